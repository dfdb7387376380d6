//! How results are written: in place, to a file, as a diff, or not at all.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::Scratch;
use crate::support::guests::{ABSENT, NONE, bare, domain, elements, filled, guest, uuid};
use crate::support::here::{have, skipped};

#[test]
fn in_place_rewrites_the_file_and_names_it_on_stderr() {
    for option in ["-i", "--in-place"] {
        let scratch = Scratch::with("vm.xml", bare(1));
        scratch.fill([option, "vm.xml"]).leaves("vm.xml", filled(1)).stderr_has("vm.xml").check();
    }
}

#[test]
fn a_suffix_leaves_a_backup() {
    for option in ["-i=.bak", "--in-place=.bak"] {
        let scratch = Scratch::with("vm.xml", bare(1));
        let run = scratch.fill([option, "vm.xml"]).leaves("vm.xml", filled(1)).leaves("vm.xml.bak", bare(1));
        run.stderr_has("vm.xml").check();
    }
}

#[test]
fn mode_and_owner_are_kept() {
    for mode in [0o600, 0o640, 0o644, 0o664, 0o755, 0o4755, 0o2750, 0o1666] {
        let scratch = Scratch::with("vm.xml", bare(1));
        let path = scratch.path("vm.xml");
        // Only root may change the owner.
        let is_given = chown(&path, Some(1234), Some(2345)).is_ok();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_has("vm.xml").check();
        let after = fs::metadata(path).unwrap();
        assert_eq!(after.mode() & 0o7777, mode);
        if is_given {
            assert_eq!((after.uid(), after.gid()), (1234, 2345));
        } else {
            skipped("only root can change the owner");
        }
    }
}

#[test]
fn a_file_with_other_hard_links_is_refused() {
    let scratch = Scratch::with("vm.xml", bare(1));
    fs::hard_link(scratch.path("vm.xml"), scratch.path("other.xml")).unwrap();
    scratch.fill(["-i", "vm.xml"]).status(2).stderr_matches("vm.xml.*hard link|hard link.*vm.xml").check();
    scratch.fill(["vm.xml"]).stdout(filled(1)).check();
}

/// Creates a FIFO, a directory, a socket, a link to the FIFO and a dangling link.
fn with_special_files() -> (Scratch, UnixListener) {
    let scratch = Scratch::new();
    mknodat(CWD, scratch.path("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fs::create_dir(scratch.path("directory")).unwrap();
    symlink("fifo", scratch.path("link")).unwrap();
    symlink("gone.xml", scratch.path("dangling")).unwrap();
    let listener = UnixListener::bind(scratch.path("socket")).unwrap();
    (scratch, listener)
}

#[test]
fn only_a_regular_file_is_rewritten_in_place_and_no_run_blocks() {
    let (scratch, _listener) = with_special_files();
    for (name, message) in [
        ("fifo", "fifo is a FIFO, not a regular file"),
        ("directory", "directory is a directory, not a regular file"),
        ("link", "link is a FIFO, not a regular file"),
        ("socket", "socket is a socket, not a regular file"),
        ("/dev/null", "/dev/null is a character device, not a regular file"),
        ("dangling", "dangling is a symbolic link to gone.xml, which does not exist"),
    ] {
        scratch.fill(["-i", name]).status(2).stderr_has(message).check();
    }
}

#[test]
fn output_goes_to_a_regular_file_only() {
    let (scratch, _listener) = with_special_files();
    for (name, message) in [
        ("fifo", "fifo is a FIFO, not a regular file"),
        ("directory", "directory is a directory, not a regular file"),
        ("/dev/null", "/dev/null is a character device, not a regular file"),
        ("/dev/stdout", "/dev/stdout is an open descriptor, not a file that could be replaced"),
        ("/dev/fd/1", "/dev/fd/1 is an open descriptor, not a file that could be replaced"),
        ("dangling", "dangling is a symbolic link to gone.xml, which does not exist"),
        ("new/", "new/: no such file"),
    ] {
        scratch.fill(["-o", name]).stdin(bare(1)).status(2).stderr_has(message).check();
    }
}

#[test]
fn a_directory_is_refused_with_a_hint_to_name_its_files() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("guests")).unwrap();
    for options in [&[][..], &["-i"], &["-n"]] {
        let run = scratch.fill([options, &["guests"]].concat());
        run.status(2).stderr_has("guests is a directory").stderr_has("/*.xml'").check();
    }
}

#[test]
fn a_file_that_needs_no_change_is_neither_written_nor_backed_up() {
    let scratch = Scratch::with("vm.xml", filled(1));
    let state = || {
        let metadata = fs::metadata(scratch.path("vm.xml")).unwrap();
        (metadata.ino(), metadata.modified().unwrap(), metadata.ctime_nsec())
    };
    let before = state();
    scratch.fill(["-i=.bak", "vm.xml"]).check();
    assert_eq!(state(), before);
}

#[test]
fn only_the_files_that_change_are_named() {
    let scratch = Scratch::with("new.xml", bare(1));
    scratch.file("old.xml", filled(2));
    let run = scratch.fill(["-i=~", "new.xml", "old.xml"]).leaves("new.xml", filled(1)).leaves("new.xml~", bare(1));
    run.stderr_has("new.xml").stderr_lacks("old.xml").check();
}

#[test]
fn a_directory_that_cannot_be_written_to_is_an_error_that_names_the_file() {
    let scratch = Scratch::with("guests/vm.xml", bare(1));
    fs::set_permissions(scratch.path("guests"), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(scratch.path("guests/probe"), "").is_ok() {
        fs::remove_file(scratch.path("guests/probe")).unwrap();
        skipped("root may write anywhere");
        return;
    }
    scratch.fill(["-i", "guests/vm.xml"]).status(2).stderr_has("guests/vm.xml").check();
    fs::set_permissions(scratch.path("guests"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn output_writes_the_file_and_leaves_the_input() {
    let scratch = Scratch::with("vm.xml", bare(1));
    scratch.fill(["-o", "out.xml", "vm.xml"]).leaves("out.xml", filled(1)).stderr_any().check();
    scratch.fill(["--output=piped.xml"]).stdin(bare(2)).leaves("piped.xml", filled(2)).stderr_any().check();
    scratch.fill(["-o", "dash.xml", "-"]).stdin(bare(3)).leaves("dash.xml", filled(3)).stderr_any().check();
}

#[test]
fn output_is_written_even_if_nothing_changed() {
    let scratch = Scratch::with("vm.xml", filled(1));
    scratch.fill(["-o", "out.xml", "vm.xml"]).leaves("out.xml", filled(1)).stderr_any().check();
}

#[test]
fn output_replaces_an_existing_file_but_not_after_an_error() {
    let scratch = Scratch::with("out.xml", "old");
    scratch.fill(["-o", "out.xml"]).stdin(guest(ABSENT, &NONE)).status(2).stderr_has(ABSENT).check();
    scratch.fill(["-o", "out.xml"]).stdin(bare(1)).leaves("out.xml", filled(1)).stderr_any().check();
}

#[test]
fn output_has_the_mode_of_a_new_file_or_of_the_one_that_it_replaces() {
    let scratch = Scratch::with("usual", "");
    scratch.file("real.xml", "old");
    fs::set_permissions(scratch.path("real.xml"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.xml", scratch.path("link.xml")).unwrap();
    let mode = |name: &str| fs::metadata(scratch.path(name)).unwrap().mode();
    scratch.fill(["-o", "new.xml"]).stdin(bare(1)).leaves("new.xml", filled(1)).check();
    assert_eq!(mode("new.xml"), mode("usual"));
    scratch.fill(["-o", "link.xml"]).stdin(bare(1)).leaves("real.xml", filled(1)).check();
    assert_eq!(mode("real.xml") & 0o7777, 0o640);
    fs::hard_link(scratch.path("real.xml"), scratch.path("other.xml")).unwrap();
    scratch.fill(["-o", "real.xml"]).stdin(bare(2)).status(2).stderr_has("real.xml has 2 hard links").check();
}

#[test]
fn output_may_be_the_input() {
    let scratch = Scratch::with("vm.xml", bare(1));
    scratch.fill(["-o", "vm.xml", "vm.xml"]).leaves("vm.xml", filled(1)).stderr_any().check();
}

#[test]
fn output_into_a_missing_directory_is_an_error_that_names_it() {
    let message =
        "cannot create a temporary file in absent for absent/out.xml: No such file or directory (os error 2)\n";
    Scratch::new().fill(["-o", "absent/out.xml"]).stdin(bare(1)).status(2).stderr_has(message).check();
}

#[test]
fn the_diff_has_the_three_lines_and_their_context() {
    let [vendor, product, mdev_type] = elements(1);
    let finished = Scratch::with("vm.xml", bare(1)).fill(["--diff", "vm.xml"]).stdout_has("vm.xml").check();
    let text = finished.stdout_text();
    let added = format!("+        {vendor}\n+        {product}\n+        {mdev_type}\n");
    assert!(text.contains(&added), "{text}");
    assert!(text.starts_with("--- ") && text.contains("\n+++ ") && text.contains("\n@@ -4,6 +4,9 @@"), "{text}");
}

#[test]
fn patch_makes_of_the_diff_what_fill_writes() {
    if !have("patch") {
        return;
    }
    let without_newline = |text: String| text.trim_end().to_owned();
    let crlf = |text: String| text.replace('\n', "\r\n");
    // The last line changes and has no newline, before and after.
    let on_one_line = |lines: String| {
        format!("<hostdev type='mdev' model='vfio-pci'><source><address uuid='{}'/>{lines}</source></hostdev>", uuid(1))
    };
    for (before, after) in [
        (bare(1), filled(1)),
        (without_newline(bare(1)), without_newline(filled(1))),
        (crlf(bare(1)), crlf(filled(1))),
        (on_one_line(String::new()), on_one_line(elements(1).concat())),
        // A CR at the end is not a line ending.
        (without_newline(bare(1)) + "\r", without_newline(filled(1)) + "\r"),
        (on_one_line(String::new()) + "\r", on_one_line(elements(1).concat()) + "\r"),
        (domain(""), domain("")),
    ] {
        let scratch = Scratch::with("vm.xml", &before);
        let diff = scratch.fill(["--diff", "vm.xml"]).stdout_any().check().stdout;
        scratch.file("fill.diff", diff);
        let run = scratch.program("patch", ["--binary", "--silent", "vm.xml", "fill.diff"]);
        run.leaves("vm.xml", &after).check();
    }
}

#[test]
fn patch_applies_the_diff_of_several_files() {
    if !have("patch") {
        return;
    }
    let scratch = Scratch::with("guests/a.xml", bare(1));
    scratch.file("guests/b.xml", bare(2));
    let diff = scratch.fill(["--diff", "guests/*.xml"]).stdout_any().check().stdout;
    let run = scratch.program("patch", ["--binary", "--silent", "-p0"]).stdin(diff);
    run.leaves("guests/a.xml", filled(1)).leaves("guests/b.xml", filled(2)).check();
}

#[test]
fn only_a_dry_run_tells_by_its_status_whether_something_would_change() {
    for (options, shown) in [
        ("--diff vm.xml", "@@"),
        ("--diff -n vm.xml", "@@"),
        ("--diff -n", "@@"),
        ("-n vm.xml", "vm.xml:6:18: "),
        ("--dry-run vm.xml", "vm.xml:6:18: "),
        ("-n -i=.bak vm.xml", "vm.xml:6:18: "),
        ("-n", "<stdin>:6:18: "),
    ] {
        let run = |document: &str, status: i32| {
            let run = Scratch::with("vm.xml", document);
            let run = run.fill(options.split(' ')).stdin(document).status(status).stdout_any().stderr_any();
            let (errors, finished) = run.errors();
            assert!(errors.is_empty(), "{options}: {errors:?}");
            finished.stdout_text()
        };
        let is_diff = options.contains("--diff");
        let printed = run(&bare(1), if options.contains("-n") || options.contains("--dry-run") { 1 } else { 0 });
        assert!(printed.contains(shown) && printed.contains(&uuid(1)), "{options}: {printed}");
        let printed = run(&filled(1), 0);
        assert!(!is_diff || printed.is_empty(), "{options}: {printed}");
        assert_eq!(run(&guest(ABSENT, &NONE), 2), "", "{options}");
    }
}

#[test]
fn in_place_warns_if_libvirt_will_overwrite_the_file() {
    let comment = "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE\n\
OVERWRITTEN AND LOST. \
                   Changes to this xml configuration should be made using:\n  virsh edit vm\nor other \
application using the libvirt API.\n-->\n\n";
    let (before, after) = (format!("{comment}{}", bare(1)), format!("{comment}{}", filled(1)));
    let scratch = Scratch::with("vm.xml", &before);
    scratch.fill(["vm.xml"]).stdout(&after).check();
    scratch.fill(["-i", "-q", "vm.xml"]).leaves("vm.xml", &after).stderr_lacks("warning").check();
    let scratch = Scratch::with("vm.xml", &before);
    let run = scratch.fill(["-i", "vm.xml"]).leaves("vm.xml", &after);
    run.stderr_has("warning: ").stderr_has("EDITOR='virt-mdev fill -i' virsh edit").check();
}
