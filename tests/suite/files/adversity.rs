//! Failures from outside: a full disk, missing permissions, signals. Afterwards every file is whole, either old or new, and
//! no temporary file remains.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{NOBODY, check_mounted, host_of_one, is_temporary_of};
use crate::support::guests::{bare, filled, host_a};
use crate::support::here::{have, have_strace, is_thorough, root_can, skipped};
use crate::support::{BINARY, Scratch};

#[test]
fn nothing_changes_over_the_file_size_limit() {
    if !have("prlimit") {
        return;
    }
    let scratch = Scratch::with("a.xml", bare(1));
    scratch.file("b.xml", bare(2));
    for files in [&["a.xml"][..], &["a.xml", "b.xml"]] {
        let run = scratch.fill(["-i"]).status(2).stderr_has("cannot write the new contents of a.xml: File too large");
        files.iter().fold(run, |run, file| run.arg(file)).under(["prlimit", "--fsize=100"]).check();
    }
}

#[test]
fn nothing_changes_on_a_full_disk_and_no_temporary_file_remains() {
    if !root_can("mount a small disk") || !have("unshare") {
        return;
    }
    let scratch = Scratch::new();
    for number in 0..10 {
        scratch.file(format!("vm{number}.xml"), bare(1));
    }
    // 16 pages are enough for ten files, but not for twenty.
    let script = r#"mkdir ../full && mount -t tmpfs -o size=64k tmpfs ../full || exit 99
        cp vm*.xml ../full && cd ../full && "$@"; echo "status $?"
        ls -A | wc -l; for file in vm*; do cmp "$file" "../scratch/$file"; done"#;
    let run = scratch.fill(["-i", "*.xml"]).under(["unshare", "-m", "sh", "-c", script, "sh"]);
    check_mounted(run.stdout("status 2\n10\n").stderr_has("No space left on device"));
}

#[test]
fn an_unwritable_directory_is_an_error_and_unchanged() {
    if !root_can("be nobody") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    chown(scratch.path("vm.xml"), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(scratch.dir(), fs::Permissions::from_mode(0o555)).unwrap();
    let host = host_of_one();
    let run = scratch.fill_on(&host, ["-i", "vm.xml"]).by_nobody();
    run.status(2).stderr_has("cannot create a temporary file").stderr_has("vm.xml").check();
    // A dry run reports it, too.
    let run = scratch.virt_mdev(["fill", "-n", "-i", "vm.xml", "--sysfs"]).arg(scratch.path("../sys")).by_nobody();
    run.status(2).stderr_has("cannot create a temporary file").check();
}

#[test]
fn an_unreadable_file_is_an_error_that_names_it() {
    if !root_can("be nobody") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    fs::set_permissions(scratch.path("vm.xml"), fs::Permissions::from_mode(0o600)).unwrap();
    let run = scratch.fill_on(&host_of_one(), ["-i", "vm.xml"]).by_nobody();
    run.status(2).stderr_has("cannot read vm.xml: Permission denied").check();
}

#[test]
fn a_directory_that_cannot_be_listed_is_an_error_that_names_it() {
    if !root_can("be nobody") {
        return;
    }
    let scratch = Scratch::with("open/vm.xml", bare(1));
    scratch.file("closed/vm.xml", bare(1));
    fs::set_permissions(scratch.path("closed"), fs::Permissions::from_mode(0o711)).unwrap();
    let run = scratch.fill_on(&host_of_one(), ["*/*.xml"]).by_nobody();
    run.status(2).stderr_has("cannot read the directory closed: Permission denied").check();
}

#[test]
fn nothing_changes_on_a_read_only_file_system() {
    if !root_can("mount") || !have("unshare") {
        return;
    }
    let scratch = Scratch::with("vm.xml", bare(1));
    let script = r#"mount --bind . . && mount -o remount,bind,ro . || exit 99; cd "$PWD" && exec "$@""#;
    let run = scratch.fill(["-i", "vm.xml"]).under(["unshare", "-m", "sh", "-c", script, "sh"]);
    check_mounted(run.status(2).stderr_has("Read-only file system"));
}

#[test]
fn a_file_of_our_own_that_cannot_be_removed_is_named_in_a_warning() {
    if !have_strace() {
        return;
    }
    let unlink = ["-e", "inject=unlink,unlinkat:error=EPERM"];
    // A temporary file of a run that fails; the old file of one that succeeds.
    for (error, status, left) in [(Some("inject=fsync:error=EIO"), 2, bare(1)), (None, 0, filled(1))] {
        let scratch = Scratch::with("vm.xml", bare(1));
        let wrapper = ["strace", "-o", "/dev/null"]
            .into_iter()
            .chain(unlink)
            .chain(error.into_iter().flat_map(|error| ["-e", error]));
        let run = scratch.fill(["-i", "vm.xml"]).under(wrapper).status(status).leaves("vm.xml", left);
        let warning = r"^warning: cannot remove \.vm\.xml\.virt-mdev-\w{6}\.tmp: Operation not permitted";
        let (errors, finished) = run.stderr_matches(warning).errors();
        let is_left = |error: &String| error.starts_with(".vm.xml.virt-mdev-") && error.ends_with("a file appeared");
        assert!(errors.len() == 1 && is_left(&errors[0]), "{errors:?}: {}", finished.stderr_text());
    }
}

/// A file or directory that is append-only until this is dropped.
struct AppendOnly(PathBuf);

impl AppendOnly {
    /// Returns `None` and reports a skipped test if that is not possible here.
    fn new(path: PathBuf) -> Option<Self> {
        if !root_can("make files append-only") || !have("chattr") {
            return None;
        }
        let done = Command::new("chattr").arg("+a").arg(&path).stderr(Stdio::null()).status();
        if !done.is_ok_and(|status| status.success()) {
            skipped("this file system has no append-only files");
            return None;
        }
        Some(Self(path))
    }
}

impl Drop for AppendOnly {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-a").arg(&self.0).status();
    }
}

#[test]
fn an_append_only_file_or_directory_is_refused_before_anything_is_written() {
    for (append_only, named) in [("guests/b.xml", "guests/b.xml"), ("guests", "guests")] {
        let scratch = Scratch::with("guests/a.xml", bare(1));
        scratch.file("guests/b.xml", bare(2));
        let Some(_guard) = AppendOnly::new(scratch.path(append_only)) else { return };
        let message = format!("error: {named} is append-only (chattr +a) and cannot be replaced\n");
        for options in [&["-i"][..], &["-n", "-i"]] {
            let files = ["guests/a.xml", "guests/b.xml"];
            scratch.fill(options.iter().chain(&files)).status(2).stderr_has(&message).check();
        }
        if named == "guests" {
            // A temporary file could not be removed there.
            scratch.fill(["-o", "guests/new.xml"]).stdin(bare(1)).status(2).stderr_has(&message).check();
        }
    }
}

#[test]
fn a_mount_point_is_refused_before_anything_is_written() {
    if !root_can("mount") || !have("unshare") {
        return;
    }
    for options in [&["-i"][..], &["-n", "-i"]] {
        let scratch = Scratch::with("a.xml", bare(1));
        scratch.file("b.xml", bare(2));
        let script = r#"mount --bind b.xml b.xml || exit 99; exec "$@""#;
        let run =
            scratch.fill(options.iter().chain(&["a.xml", "b.xml"])).under(["unshare", "-m", "sh", "-c", script, "sh"]);
        let run = run.status(2).stderr_has("error: b.xml is a mount point and cannot be replaced\n");
        check_mounted(run);
    }
}

const FILES: usize = 500;

/// The result of a run that was sent a signal.
struct Outcome {
    status: i32,
    new: usize,
    temporaries: usize,
}

/// 500 guests, for runs that are sent a signal.
struct Target {
    scratch: Scratch,
    old: String,
    new: String,
    /// How long a run takes without a signal.
    undisturbed: Duration,
}

impl Target {
    fn new() -> Self {
        let mut target = Self { scratch: Scratch::new(), old: bare(1), new: filled(1), undisturbed: Duration::ZERO };
        target.reset();
        let start = Instant::now();
        assert!(target.start().wait().unwrap().success());
        target.undisturbed = start.elapsed();
        target
    }

    fn reset(&self) {
        for number in 0..FILES {
            let name = format!("vm{number}.xml");
            if fs::read_to_string(self.scratch.path(&name)).ok().as_ref() != Some(&self.old) {
                self.scratch.file(&name, &self.old);
            }
        }
    }

    fn start(&self) -> Child {
        let [env, default] = super::DEFAULT_SIGNALS;
        let mut run = Command::new(env);
        run.args([default, BINARY, "fill", "-i", "*.xml", "--sysfs"]).arg(host_a()).current_dir(self.scratch.dir());
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts a run and sends it `signal` at a random moment. Checks that every file is whole and old or new, and that any
    /// other file has the name of a temporary one.
    fn signal(&self, signal: &str) -> Outcome {
        self.reset();
        let mut child = self.start();
        let moment = RandomState::new().build_hasher().finish() % 1100;
        std::thread::sleep(self.undisturbed * u32::try_from(moment).unwrap() / 1000);
        // The shell's builtin, since the program may not be installed.
        let kill = ["-c", "kill -s \"$0\" \"$1\"", signal, &child.id().to_string()];
        let sent = Command::new("sh").args(kill).stderr(Stdio::null()).status();
        assert!(sent.is_ok());
        let status = child.wait().unwrap();
        let status = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();

        let mut outcome = Outcome { status, new: 0, temporaries: 0 };
        let mut found = 0;
        for entry in fs::read_dir(self.scratch.dir()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let target = name.trim_start_matches('.').split_inclusive(".xml").next().unwrap();
            if is_temporary_of(target, name) {
                outcome.temporaries += 1;
                fs::remove_file(path).unwrap();
                continue;
            }
            let content = fs::read_to_string(&path).unwrap();
            assert!(content == self.old || content == self.new, "{name} at {moment}: {content:?}");
            outcome.new += usize::from(content == self.new);
            found += 1;
        }
        assert_eq!(found, FILES, "at {moment}");
        outcome
    }
}

fn moments() -> usize {
    if is_thorough() { 200 } else { 9 }
}

#[test]
fn after_sigkill_every_file_is_whole_and_old_or_new() {
    let target = Target::new();
    for _ in 0..moments() {
        let outcome = target.signal("KILL");
        assert!([0, 137].contains(&outcome.status), "{}", outcome.status);
        assert!(outcome.status == 137 || (outcome.new, outcome.temporaries) == (FILES, 0));
    }
}

#[test]
fn after_a_signal_all_files_are_old_or_all_are_new_and_no_temporary_file_remains() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let target = Target::new();
        for _ in 0..moments().div_ceil(3) {
            let outcome = target.signal(signal);
            assert!([0, 128 + number].contains(&outcome.status), "{signal}: {}", outcome.status);
            assert!([0, FILES].contains(&outcome.new), "{signal}: {} of {FILES} are new", outcome.new);
            assert_eq!(outcome.temporaries, 0, "{signal}");
            assert!(outcome.status != 0 || outcome.new == FILES, "{signal}");
        }
    }
}
