//! Standard output that cannot be written, and standard streams that are closed.

use std::fs::{self, File};
use std::io::Write;
use std::thread;
use std::time::Duration;

use super::check_mounted;
use crate::support::guests::{bare, filled, host_a};
use crate::support::here::{have, have_strace, root_can};
use crate::support::{Run, Scratch};

/// Runs the program in a shell script, which starts it with `"$@"`.
fn in_shell<'a>(run: Run<'a>, script: &str) -> Run<'a> {
    run.under(["sh", "-c", script, "sh"])
}

#[test]
fn output_over_the_file_size_limit_is_undone() {
    if !have("prlimit") {
        return;
    }
    let before = "before\n";
    for (script, left) in [
        (r#"prlimit --fsize=100 "$@" >out"#, ""),
        (r#"printf 'before\n' >out; prlimit --fsize=100 "$@" >>out"#, before),
        // The output of the shell before and after it stays.
        (r#"{ printf 'before\n'; prlimit --fsize=100 "$@"; s=$?; printf after; exit $s; } >out"#, "before\nafter"),
    ] {
        let scratch = Scratch::with("vm.xml", bare(1));
        let run = in_shell(scratch.fill(["vm.xml"]), script).leaves("out", left).status(2);
        run.stderr_has("cannot write to standard output: File too large").check();
    }
}

#[test]
fn all_diffs_of_a_run_are_undone_when_one_cannot_be_written() {
    if !have("prlimit") {
        return;
    }
    let scratch = Scratch::new();
    for number in 0..10 {
        scratch.file(format!("vm{number}.xml"), bare(1));
    }
    let run = in_shell(scratch.fill(["--diff", "*.xml"]), r#"prlimit --fsize=1500 "$@" >out"#);
    run.leaves("out", "").status(2).stderr_has("File too large").check();
}

#[test]
fn what_someone_else_appends_in_the_meantime_is_kept() {
    if !have_strace() {
        return;
    }
    let scratch = Scratch::new();
    for number in 0..10 {
        scratch.file(format!("vm{number}.xml"), bare(1));
    }
    let out = scratch.file("out", "");
    thread::scope(|scope| {
        scope.spawn(|| {
            while fs::metadata(&out).unwrap().len() == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            // Two diffs are written immediately, and strace delays the third.
            thread::sleep(Duration::from_millis(100));
            File::options().append(true).open(&out).unwrap().write_all(b"theirs\n").unwrap();
        });
        let inject = "inject=write:error=ENOSPC:delay_enter=500000:when=3+";
        let run = in_shell(scratch.fill(["--diff", "*.xml"]), r#"exec "$@" >out"#);
        let run = run.under(["strace", "-o", "/dev/null", "-P", out.to_str().unwrap(), "-e", inject]).status(2);
        let run = run.stderr_has("No space left on device");
        let run = run.stderr_has("a part of the output remains in the file: someone else has written to it");
        let (errors, finished) = run.errors();
        // The contents of the file are checked below.
        assert!(errors.iter().all(|error| error.starts_with("out ")), "{errors:?}: {}", finished.stderr_text());
    });
    let left = String::from_utf8(scratch.read("out")).unwrap();
    assert!(left.contains("+++ vm1.xml") && !left.contains("+++ vm2.xml") && left.ends_with("theirs\n"), "{left}");
}

#[test]
fn output_on_a_full_disk_is_undone() {
    if !root_can("mount a small disk") || !have("unshare") {
        return;
    }
    let scratch = Scratch::new();
    // More than fits on the disk, so that a part is written first.
    let padding = format!("<!--{}-->\n", "x".repeat(60_000));
    scratch.file("vm.xml", bare(1) + &padding);
    let script = r#"mkdir ../full && mount -t tmpfs -o size=32k tmpfs ../full || exit 99
        "$@" >../full/new; echo "status $?, $(wc -c <../full/new) bytes"
        echo before >../full/old; "$@" >>../full/old; echo "status $?, $(cat ../full/old)""#;
    let run = in_shell(scratch.fill(["vm.xml"]), script).under(["unshare", "-m"]);
    let run = run.stdout("status 2, 0 bytes\nstatus 2, before\n").stderr_has("No space left on device");
    check_mounted(run);
}

#[test]
fn a_closed_standard_output_is_an_error_for_every_command_that_prints() {
    let sys = host_a();
    let sys = sys.to_str().unwrap();
    for arguments in [
        &["fill", "--sysfs", sys, "vm.xml"][..],
        &["fill", "--diff", "--sysfs", sys, "vm.xml"],
        &["fill", "-n", "--sysfs", sys, "vm.xml"],
        &["fill", "--metadata-only", "--sysfs", sys, "vm.xml"],
        &["strip", "filled.xml"],
        &["compare", "vm.xml", "filled.xml"],
        &["check", "--sysfs", sys, "vm.xml"],
        &["check", "--json", "--sysfs", sys, "vm.xml"],
        &["doctor"],
        &["completions", "bash"],
        &["--help"],
        &["fill", "--help"],
        &["--version"],
    ] {
        let scratch = Scratch::with("vm.xml", bare(1));
        scratch.file("filled.xml", filled(1));
        let run = in_shell(scratch.virt_mdev(arguments), r#"exec "$@" >&-"#).status(2);
        run.stderr_has("error: cannot write to standard output: it is closed\n").check();
    }
}

#[test]
fn a_closed_standard_output_does_not_matter_if_nothing_is_printed() {
    let scratch = Scratch::with("vm.xml", bare(1));
    in_shell(scratch.fill(["-q", "-i", "vm.xml"]), r#"exec "$@" >&-"#).leaves("vm.xml", filled(1)).check();
}

/// Rust opens `/dev/null` like this in place of a closed descriptor, and so does Python for `subprocess.DEVNULL`.
#[test]
fn dev_null_open_for_reading_and_writing_is_not_a_closed_descriptor() {
    let scratch = Scratch::with("vm.xml", bare(1));
    in_shell(scratch.fill(["vm.xml"]), r#"exec "$@" 1<>/dev/null"#).check();
    let run = in_shell(scratch.fill(["-"]), r#"exec "$@" 0<>/dev/null"#);
    run.status(2).stderr_has("the document is empty").check();
}

#[test]
fn a_closed_standard_input_is_an_error_that_says_so() {
    let scratch = Scratch::with("vm.xml", bare(1));
    for run in [scratch.fill(["-"]), scratch.fill(["-n"]), scratch.virt_mdev(["compare", "vm.xml", "-"])] {
        let run = in_shell(run, r#"exec "$@" <&-"#).status(2);
        run.stderr_has("error: cannot read <stdin>: it is closed\n").check();
    }
    in_shell(scratch.fill(["vm.xml"]), r#"exec "$@" <&-"#).stdout(filled(1)).check();
}
