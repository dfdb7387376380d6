//! The promises about one file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{NOBODY, SlowHost, host_of_one, output_of, traced};
use crate::support::Scratch;
use crate::support::guests::{bare, filled};
use crate::support::here::{have, have_strace, is_root, root_can, skipped};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Checks that `patterns` match in the log, each after the one before.
fn assert_order(log: &str, patterns: &[&str]) {
    let mut from = 0;
    for pattern in patterns {
        let regex = regex::Regex::new(&format!("(?m){pattern}")).unwrap();
        match regex.find_at(log, from) {
            Some(found) => from = found.end(),
            None => panic!("no {pattern} after byte {from} of\n{log}"),
        }
    }
}

/// The strace options for the replacement of one file, with the paths of descriptors.
const CALLS: [&str; 3] = [
    "-y",
    "-e",
    "trace=openat,write,fchmod,fchown,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,unlink",
];

#[test]
fn the_new_file_is_synced_before_the_rename_and_the_directory_after_it() {
    if !have_strace() {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let run = scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_any();
    let order = [
        r"openat\(.*\.vm\.xml\.virt-mdev-\w{6}\.tmp.*O_CREAT\|O_EXCL",
        r"write\(\d+<.*\.tmp>",
        r"fsync\(\d+<.*\.tmp>\) += 0",
        r"renameat2?\(.*\.tmp.*vm\.xml",
        r"fsync\(\d+<[^>]*/scratch>\) += 0",
    ];
    assert_order(&traced(run, &scratch, &CALLS), &order);
}

#[test]
fn a_backup_is_complete_and_synced_before_the_rename() {
    if !have_strace() {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let run = scratch.fill(["-i=.bak", "vm.xml"]).leaves("vm.xml", filled(1)).leaves("vm.xml.bak", bare(1));
    let order = [
        r"fsync\(\d+<[^>]*/vm\.xml>\) += 0",
        r"linkat?\(.*vm\.xml\.bak",
        r"fsync\(\d+<[^>]*/scratch>\) += 0",
        r"renameat2?\(.*\.tmp.*vm\.xml",
        r"fsync\(\d+<[^>]*/scratch>\) += 0",
    ];
    assert_order(&traced(run.stderr_any(), &scratch, &CALLS), &order);
}

#[test]
fn a_copied_backup_is_synced_before_it_gets_its_name() {
    if !have_strace() {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let run = scratch.fill(["-i=.bak", "vm.xml"]).leaves("vm.xml", filled(1)).leaves("vm.xml.bak", bare(1));
    // As on a file system without hard links.
    let log = traced(run.stderr_any(), &scratch, &["-y", "-e", "trace=all", "-e", "inject=link,linkat:error=EPERM"]);
    let order = [
        r"linkat?\(.*vm\.xml\.bak.*INJECTED",
        r"fsync\(\d+<[^>]*\.vm\.xml\.bak\.virt-mdev-\w{6}\.tmp>\) += 0",
        r"renameat2?\(.*\.vm\.xml\.bak\.virt-mdev-.*vm\.xml\.bak",
        r"fsync\(\d+<[^>]*/scratch>\) += 0",
        r"renameat2?\(.*\.tmp.*vm\.xml",
    ];
    assert_order(&log, &order);
}

/// Changing the owner drops set-id bits, and the mode gives others access.
#[test]
fn the_owner_is_changed_before_the_attributes_and_the_mode_after_them() {
    if !root_can("give files away") || !have_strace() || !have("setfattr") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let path = scratch.path("vm.xml");
    chown(&path, Some(1234), Some(2345)).unwrap();
    set_mode(&path, 0o6755);
    output_of("setfattr", &["-n", "user.note", "-v", "kept"], &path);
    let run = scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_any();
    let log = traced(run, &scratch, &["-y", "-e", "trace=fchown,fsetxattr,fchmod,renameat2"]);
    assert_order(&log, &[r"fchown\(\d+<.*\.tmp>", r"fsetxattr\(\d+<.*\.tmp>", r"fchmod\(\d+<.*\.tmp>", r"renameat2\("]);
    // And not before, since then others may read the new file.
    assert_eq!(log.matches("fchmod(").count(), 1, "{log}");
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid(), mode(&path)), (1234, 2345, 0o6755));
}

/// It would not match the new contents, and the kernel would refuse to open the file.
#[test]
fn a_signature_of_the_old_contents_is_not_kept() {
    if !root_can("sign files") || !have("setfattr") || !have("getfattr") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let path = scratch.path("vm.xml");
    let mut set = Command::new("setfattr");
    set.args(["-n", "security.ima", "-v", "0x0404deadbeef"]).arg(&path).stderr(Stdio::null());
    if !set.status().unwrap().success() {
        return skipped("security.ima cannot be set here");
    }
    output_of("setfattr", &["-n", "user.note", "-v", "kept"], &path);
    scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_any().check();
    let left = output_of("getfattr", &["-m", "-", "--absolute-names"], &path);
    assert!(left.contains("user.note") && !left.contains("security.ima"), "{left}");
}

#[test]
fn the_temporary_file_is_never_more_readable_than_the_target() {
    if !have_strace() {
        return;
    }
    for (target, created) in [(0o600, "0600"), (0o644, "0600"), (0o640, "0600"), (0o400, "0400"), (0o200, "0200")] {
        let scratch = Scratch::with("vm.xml", bare(1));
        set_mode(&scratch.path("vm.xml"), target);
        if !is_root() && target & 0o600 != 0o600 {
            continue;
        }
        let log = traced(scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_any(), &scratch, &CALLS);
        let opened = format!(r"openat\(.*\.tmp.*O_EXCL.*, {created}\)");
        assert_order(&log, &[&opened, r"write\(\d+<.*\.tmp>", &format!(r"fchmod\(\d+<.*\.tmp>, 0{target:o}\)")]);
        assert_eq!(mode(&scratch.path("vm.xml")), target);
    }
}

#[test]
fn acls_are_kept() {
    if !have("setfacl") || !have("getfacl") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let path = scratch.path("vm.xml");
    // The directory has a default ACL for new files, which the old file does not have.
    output_of("setfacl", &["-m", "u:4321:r,g:4322:rw,m::rw"], &path);
    output_of("setfacl", &["-d", "-m", "u:4323:rwx"], &scratch.dir());
    let acl = || output_of("getfacl", &["-n", "--absolute-names"], &path);
    let before = acl();
    assert!(before.contains("user:4321:r--") && !before.contains("4323"), "{before}");
    scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_any().check();
    assert_eq!(acl(), before);
}

#[test]
fn extended_attributes_and_labels_are_kept() {
    if !have("setfattr") || !have("getfattr") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let path = scratch.path("vm.xml");
    output_of("setfattr", &["-n", "user.note", "-v", "kept"], &path);
    output_of("setfattr", &["-n", "user.long", "-v", &"x".repeat(1000)], &path);
    if is_root() {
        output_of("setfattr", &["-n", "security.selinux", "-v", "system_u:object_r:virt_etc_rw_t:s0"], &path);
        output_of("setfattr", &["-n", "trusted.note", "-v", "kept"], &path);
    } else {
        skipped("only root sets labels; user attributes only");
    }
    let attributes = || output_of("getfattr", &["-d", "-m", "-", "--absolute-names"], &path);
    let before = attributes();
    scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_any().check();
    assert_eq!(attributes(), before);
}

#[test]
fn an_owner_that_cannot_be_kept_is_an_error_and_the_file_is_unchanged() {
    if !root_can("create a file that belongs to root") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let path = scratch.path("vm.xml");
    set_mode(&path, 0o666);
    chown(scratch.dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    let run = scratch.fill_on(&host_of_one(), ["-i", "vm.xml"]).by_nobody();
    run.status(2).stderr_has("cannot keep the owner 0:0 of vm.xml").check();
    assert_eq!((fs::metadata(&path).unwrap().uid(), mode(&path)), (0, 0o666));
}

#[test]
fn a_symlink_is_followed_and_stays() {
    let scratch = Scratch::with("store/vm.xml", bare(1));
    fs::create_dir_all(scratch.path("enabled/deep")).unwrap();
    symlink("../../store/vm.xml", scratch.path("enabled/deep/relative.xml")).unwrap();
    symlink("deep/relative.xml", scratch.path("enabled/chain.xml")).unwrap();
    symlink(scratch.path("store/vm.xml"), scratch.path("enabled/absolute.xml")).unwrap();
    symlink("store", scratch.path("directory")).unwrap();
    for link in ["enabled/deep/relative.xml", "enabled/chain.xml", "enabled/absolute.xml", "directory/vm.xml"] {
        scratch.file("store/vm.xml", bare(1));
        // The backup is beside the file, not beside the link.
        let run = scratch.fill(["-i=.bak", link]).leaves("store/vm.xml", filled(1));
        run.leaves("store/vm.xml.bak", bare(1)).stderr_any().check();
        fs::remove_file(scratch.path("store/vm.xml.bak")).unwrap();
    }
}

#[test]
fn a_directory_that_may_be_written_but_not_read_is_enough() {
    if !root_can("be nobody") {
        return;
    }
    let scratch = Scratch::with("guests/vm.xml", bare(1));
    chown(scratch.path("guests/vm.xml"), Some(NOBODY), Some(NOBODY)).unwrap();
    chown(scratch.path("guests"), Some(NOBODY), Some(NOBODY)).unwrap();
    set_mode(&scratch.path("guests"), 0o300);
    let run = scratch.fill_on(&host_of_one(), ["-i", "guests/vm.xml"]).by_nobody();
    run.leaves("guests/vm.xml", filled(1)).stderr_any().check();
}

#[test]
fn a_file_that_the_caller_may_not_write_is_refused_although_its_directory_is_writable() {
    if !root_can("be nobody") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    for owner in [NOBODY, 0] {
        chown(scratch.path("vm.xml"), Some(owner), Some(owner)).unwrap();
        chown(scratch.dir(), Some(NOBODY), Some(NOBODY)).unwrap();
        set_mode(&scratch.path("vm.xml"), 0o444);
        let _ = fs::remove_dir_all(scratch.path("../sys"));
        let run = scratch.fill_on(&host_of_one(), ["-i", "vm.xml"]).by_nobody();
        run.status(2).stderr_has("vm.xml is write-protected").check();
    }
}

#[test]
fn root_gets_a_warning_if_the_file_is_write_protected() {
    if !root_can("write a write-protected file") {
        return;
    }
    for (options, warns) in [(vec!["-i"], true), (vec!["-i", "-q"], false)] {
        let scratch = Scratch::with("vm.xml", bare(1));
        set_mode(&scratch.path("vm.xml"), 0o444);
        let run = scratch.fill(options).arg("vm.xml").leaves("vm.xml", filled(1));
        let run = if warns { run.stderr_has("warning: vm.xml is write-protected") } else { run };
        run.check();
        assert_eq!(mode(&scratch.path("vm.xml")), 0o444);
    }
}

#[test]
fn a_file_that_someone_else_changes_after_it_was_read_keeps_their_change() {
    let theirs: [fn(&Path); 5] = [
        |path| fs::write(path, "theirs").unwrap(),
        |path| {
            fs::write(path.with_extension("new"), bare(1)).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        },
        |path| set_mode(path, 0o600),
        // Of the same length.
        |path| fs::write(path, bare(2)).unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for change in theirs {
        let scratch = Scratch::with("vm.xml", bare(1));
        let path = scratch.path("vm.xml");
        set_mode(&path, 0o644);
        let (host, sys) = SlowHost::new(&scratch);
        let after = thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut after = None;
                host.answer_after(|| {
                    change(&path);
                    after = fs::read(&path).ok();
                });
                after
            });
            let run = scratch.virt_mdev(["fill", "-i", "vm.xml", "--sysfs"]).arg(sys).status(2);
            let (errors, finished) = run.stderr_has("vm.xml was changed by someone else").errors();
            // The other program's change is not one that the run announces.
            let is_theirs = |error: &str| error.starts_with("vm.xml line ") || error == "vm.xml: missing";
            let errors: Vec<_> = errors.iter().filter(|error| !is_theirs(error)).collect();
            assert!(errors.is_empty(), "{errors:?}: {}", finished.stderr_text());
            other.join().unwrap()
        });
        assert_eq!(fs::read(&path).ok(), after);
    }
}

/// Three other programs rename files over the target: before the exchange, before its rollback, and before the rollback of
/// the rollback.
#[test]
fn the_last_of_three_concurrent_renames_wins() {
    if !have_strace() {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let path = scratch.path("vm.xml");
    let rename_over = |content: &str| {
        let beside = scratch.path("../theirs");
        fs::write(&beside, content).unwrap();
        fs::rename(beside, &path).unwrap();
    };
    let wait_until = |is_so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", fs::read_to_string(&path));
            thread::sleep(Duration::from_millis(1));
        }
    };
    let is_there = |content: &str| fs::read_to_string(&path).unwrap() == content;
    // How long after its creation the new file is complete, and the run waits before the exchange.
    const WRITTEN: Duration = Duration::from_millis(150);
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_until(&|| fs::read_dir(scratch.dir()).unwrap().count() == 2);
            thread::sleep(WRITTEN);
            rename_over("first");
            wait_until(&|| is_there(&filled(1)));
            rename_over("second");
            wait_until(&|| is_there("first"));
            rename_over("third");
        });
        // strace waits before and after each exchange.
        let inject = "inject=renameat2:delay_enter=400000:delay_exit=200000";
        let run = scratch.fill(["-i", "vm.xml"]).under(["strace", "-o", "/dev/null", "-e", inject]);
        run.status(2).stderr_has("vm.xml was changed by someone else").leaves("vm.xml", "third").check();
    });
}

#[test]
fn a_change_that_cannot_be_restored_is_kept_and_named() {
    if !have_strace() {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let path = scratch.path("vm.xml");
    // The state of the file is checked twice, and strace delays the run after each check: the file is replaced after the
    // second. Then the exchange that would undo the first fails.
    const DELAY: Duration = Duration::from_millis(400);
    let delay = format!("inject=lstat,newfstatat:delay_exit={}", DELAY.as_micros());
    thread::scope(|scope| {
        scope.spawn(|| {
            while fs::read_dir(scratch.dir()).unwrap().count() < 2 {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(DELAY * 3 / 2);
            fs::write(scratch.path("../theirs"), "theirs").unwrap();
            fs::rename(scratch.path("../theirs"), &path).unwrap();
        });
        let wrapper =
            ["strace", "-o", "/dev/null", "-P", "vm.xml", "-e", &delay, "-e", "inject=renameat2:error=EIO:when=2"];
        let run = scratch.fill(["-i", "vm.xml"]).under(wrapper).status(2).leaves("vm.xml", filled(1));
        let message =
            r"^error: cannot restore vm\.xml from (\.vm\.xml\.virt-mdev-\w{6}\.tmp), which is kept: Input/output";
        let (errors, finished) = run.stderr_matches(message).errors();
        let is_kept = |error: &String| error.starts_with(".vm.xml.virt-mdev-") && error.ends_with("a file appeared");
        assert!(errors.len() == 1 && is_kept(&errors[0]), "{errors:?}: {}", finished.stderr_text());
        let kept = errors[0].split(':').next().unwrap();
        assert_eq!(scratch.read(kept), b"theirs");
    });
}

#[test]
fn a_backup_has_the_same_protection_and_an_existing_one_is_not_overwritten() {
    let scratch = Scratch::with("vm.xml", bare(1));
    set_mode(&scratch.path("vm.xml"), 0o640);
    let before = fs::metadata(scratch.path("vm.xml")).unwrap();
    scratch.fill(["-i=.bak", "vm.xml"]).leaves("vm.xml", filled(1)).leaves("vm.xml.bak", bare(1)).stderr_any().check();
    let backup = fs::metadata(scratch.path("vm.xml.bak")).unwrap();
    assert_eq!((backup.mode(), backup.uid(), backup.gid()), (before.mode(), before.uid(), before.gid()));
    assert_eq!((backup.modified().unwrap(), backup.nlink()), (before.modified().unwrap(), 1));

    scratch.file("vm.xml", bare(1));
    scratch.file("vm.xml.bak", "precious");
    scratch.fill(["-i=.bak", "vm.xml"]).status(2).stderr_has("vm.xml.bak already exists").check();
}

#[test]
fn the_backup_of_a_run_that_was_killed_before_its_rename_is_used() {
    let scratch = Scratch::with("vm.xml", bare(1));
    fs::hard_link(scratch.path("vm.xml"), scratch.path("vm.xml.bak")).unwrap();
    scratch.fill(["-i=.bak", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_has("vm.xml: filled").check();
}

#[test]
fn a_signal_before_the_rename_leaves_the_file_unchanged_and_a_later_one_lets_the_run_finish() {
    if !have_strace() {
        return;
    }
    for (name, number) in [("SIGHUP", 1), ("SIGINT", 2), ("SIGTERM", 15)] {
        // A backup is made by linkat, after the first sync.
        for (option, call, is_finished) in [
            ("-i", "fchmod", false),
            ("-i", "fsync", false),
            ("-i=.bak", "linkat", false),
            ("-ki", "fsync", false),
            ("-ki=.bak", "linkat", false),
            ("-i", "renameat2", true),
            ("-ki", "renameat2", true),
        ] {
            let scratch = Scratch::with("vm.xml", bare(1));
            let run = scratch.fill([option, "vm.xml"]).status(128 + number);
            let run = if is_finished { run.leaves("vm.xml", filled(1)).stderr_has("vm.xml: filled") } else { run };
            let inject = format!("inject={call}:signal={name}:when=1");
            let [env, default] = super::DEFAULT_SIGNALS;
            run.under([env, default, "strace", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject])
                .check();
        }
    }
}

#[test]
fn other_errors_are_reported_after_a_signal_too() {
    if !have_strace() {
        return;
    }
    // The first sync is of the file, the second of the directory.
    let scratch = Scratch::with("vm.xml", bare(1));
    let run = scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", filled(1)).status(143);
    let run = run.stderr_has("could not be synced to disk").stderr_has("vm.xml: filled");
    let (signal, error) = ("inject=renameat2:signal=SIGTERM:when=1", "inject=fsync:error=EIO:when=2");
    run.under(["strace", "-o", "/dev/null", "-e", "trace=fsync,renameat2", "-e", signal, "-e", error]).check();
}

#[test]
fn patterns_do_not_match_temporary_files() {
    let scratch = Scratch::with("vm.xml", bare(1));
    scratch.file(".vm.xml.virt-mdev-aB3dE9.tmp", bare(2));
    for pattern in ["*", ".*", "*.xml", "**"] {
        scratch.file("vm.xml", bare(1));
        let run = scratch.fill(["-i", pattern]);
        // A pattern that matches nothing else is an error, and changes nothing.
        if pattern == ".*" {
            run.status(2).stderr_has("no file matches").check();
        } else if pattern == "**" {
            run.status(2).stderr_any().check();
        } else {
            run.leaves("vm.xml", filled(1)).stderr_any().check();
        }
    }
}

#[test]
fn a_dry_run_in_place_reports_what_would_be_refused() {
    let scratch = Scratch::with("vm.xml", bare(1));
    fs::hard_link(scratch.path("vm.xml"), scratch.path("other")).unwrap();
    scratch.fill(["-n", "-i", "vm.xml"]).status(2).stderr_has("hard links").check();
    scratch.fill(["-n", "vm.xml"]).status(1).stdout_has("vm.xml").check();
    let scratch = Scratch::with("vm.xml", bare(1));
    scratch.file("vm.xml.bak", "precious");
    scratch.fill(["-n", "-i=.bak", "vm.xml"]).status(2).stderr_has("vm.xml.bak already exists").check();
}
