//! The promises about many files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{SlowHost, traced};
use crate::support::guests::{ABSENT, NONE, bare, domain, filled, guest};
use crate::support::here::{have, have_strace, have_terminals};
use crate::support::{BINARY, Run, Scratch};

/// Returns guests with one device each, the devices 1 to 5 in turn.
fn guests(count: usize) -> Scratch {
    let scratch = Scratch::new();
    for number in 0..count {
        scratch.file(format!("vm{number:03}.xml"), bare(number % 5 + 1));
    }
    scratch
}

fn leaves_all_filled(mut run: Run<'_>, count: usize) -> Run<'_> {
    for number in 0..count {
        run = run.leaves(format!("vm{number:03}.xml"), filled(number % 5 + 1));
    }
    run
}

/// Adds four bad files: an absent device, a malformed document, a file with two hard links, and a FIFO.
fn add_four_bad_files(scratch: &Scratch) {
    scratch.file("vm001.xml", guest(ABSENT, &NONE));
    scratch.file("vm003.xml", "<domain>");
    scratch.file("vm005.xml", bare(1));
    fs::hard_link(scratch.path("vm005.xml"), scratch.path("other")).unwrap();
    fs::remove_file(scratch.path("vm007.xml")).unwrap();
    mknodat(CWD, scratch.path("vm007.xml"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn a_bad_document_leaves_all_files_unchanged_and_all_errors_are_shown() {
    let scratch = guests(9);
    add_four_bad_files(&scratch);
    let run = scratch.fill(["-i", "*.xml"]).status(2);
    let run = run.stderr_has(ABSENT).stderr_has("vm003.xml:1:").stderr_has("vm007.xml is a FIFO");
    run.stderr_matches(
        r"^9 files: 0 filled, 0 already complete, 0 without devices to record, 3 failed, 6 not written$",
    )
    .check();
}

#[test]
fn a_file_that_cannot_be_written_leaves_all_unchanged_and_all_errors_are_shown() {
    let scratch = guests(5);
    for name in ["vm001.xml", "vm003.xml"] {
        fs::hard_link(scratch.path(name), scratch.path(name).with_extension("other")).unwrap();
    }
    let run = scratch.fill(["-i", "*.xml"]).status(2).stderr_has("vm001.xml has 2 hard links");
    let run = run.stderr_has("vm003.xml has 2 hard links").stderr_lacks("vm000.xml");
    run.stderr_matches(r"^5 files: 0 filled, .* 2 failed, 3 not written$").check();
}

#[test]
fn with_keep_going_the_good_files_are_written_and_the_status_is_2() {
    for option in ["-k", "--keep-going"] {
        let scratch = guests(9);
        add_four_bad_files(&scratch);
        let mut run = scratch.fill([option, "-i", "absent.xml", "*.xml"]).status(2);
        for good in [0, 2, 4, 6, 8] {
            run = run.leaves(format!("vm00{good}.xml"), filled(good % 5 + 1));
            run = run.stderr_has(format!("vm00{good}.xml: filled\n"));
        }
        let run = run.stderr_has(ABSENT).stderr_has("vm003.xml:1:").stderr_has("vm005.xml has 2 hard links");
        let run = run.stderr_has("vm007.xml is a FIFO").stderr_has("absent.xml: no such file");
        run.stderr_matches(r"^10 files: 5 filled, 0 already complete, 0 without devices to record, 5 failed$").check();
    }
}

#[test]
fn with_keep_going_a_concurrent_change_affects_only_its_file() {
    for (keeps_going, status) in [(false, 2), (true, 2)] {
        let scratch = Scratch::new();
        for name in ["a.xml", "b.xml", "c.xml"] {
            scratch.file(name, bare(1));
        }
        let (host, sys) = SlowHost::new(&scratch);
        thread::scope(|scope| {
            scope.spawn(|| {
                host.answer_after(|| {
                    // With one job the first file is read, and its device looked up, before the others.
                    fs::set_permissions(scratch.path("a.xml"), fs::Permissions::from_mode(0o600)).unwrap();
                })
            });
            let run = scratch.virt_mdev(["fill", "-i", "-j1", "*.xml", "--sysfs"]).arg(sys).status(status);
            let run = run.stderr_has("a.xml was changed by someone else");
            if keeps_going {
                run.arg("-k").leaves("b.xml", filled(1)).leaves("c.xml", filled(1)).check();
            } else {
                run.check();
            }
        });
    }
}

#[test]
fn with_keep_going_the_diff_of_the_good_files_is_shown() {
    let scratch = guests(3);
    scratch.file("vm001.xml", "<domain>");
    scratch.fill(["--diff", "*.xml"]).status(2).stderr_has("vm001.xml:1:").check();
    let run = scratch.fill(["-k", "--diff", "*.xml"]).status(2).stderr_has("vm001.xml:1:");
    run.stdout_has("+++ vm000.xml").stdout_has("+++ vm002.xml").check();
    let run = scratch.fill(["-kn", "*.xml"]).status(2).stderr_has("vm001.xml:1:");
    run.stdout_has("vm000.xml:").stdout_has("vm002.xml:").check();
}

#[test]
fn output_and_its_order_do_not_depend_on_the_number_of_jobs() {
    let outcome = |jobs: &str| {
        let scratch = guests(60);
        for number in [7, 23, 41] {
            scratch.file(format!("vm{number:03}.xml"), guest(ABSENT, &NONE));
        }
        let diff = scratch.fill(["-k", "--diff", "-j", jobs, "*.xml"]).status(2).stdout_any().stderr_any().check();
        let run = scratch.fill(["-k", "-v", "-i", "--jobs", jobs, "*.xml"]);
        let mut run = run.status(2).stderr_any();
        for number in (0..60).filter(|number| ![7, 23, 41].contains(number)) {
            run = run.leaves(format!("vm{number:03}.xml"), filled(number % 5 + 1));
        }
        let finished = run.check();
        (diff.stdout, diff.stderr, finished.stderr)
    };
    let alone = outcome("1");
    for jobs in ["2", "7", "1000"] {
        assert!(outcome(jobs) == alone, "-j {jobs}");
    }
    let lines: Vec<_> = String::from_utf8(alone.2).unwrap().lines().map(str::to_owned).collect();
    let named: Vec<_> = lines.iter().filter(|line| line.ends_with(": filled")).collect();
    assert!(named.len() == 57 && named.is_sorted(), "{lines:?}");
}

#[test]
fn an_invalid_number_of_jobs_is_an_error() {
    for jobs in ["0", "-1", "many", ""] {
        Scratch::with("vm.xml", bare(1))
            .fill([&format!("--jobs={jobs}"), "-i", "vm.xml"])
            .status(2)
            .stderr_any()
            .check();
    }
}

#[test]
fn sysfs_is_read_once_for_the_whole_run() {
    if !have_strace() {
        return;
    }
    let scratch = guests(40);
    let run = leaves_all_filled(scratch.fill(["-i", "-j4", "*.xml"]), 40).stderr_any();
    let log = traced(run, &scratch, &["-e", "trace=openat,readlinkat"]);
    let count = |piece: &str| log.lines().filter(|line| line.contains(piece) && !line.contains("resumed")).count();
    // Five devices on three parents.
    assert_eq!(count("\"vendor\""), 3, "{log}");
    assert_eq!(count("\"mdev_type\""), 5, "{log}");
}

#[test]
fn every_new_file_is_written_and_synced_before_the_first_is_renamed() {
    if !have_strace() {
        return;
    }
    for option in ["-i", "-ki"] {
        let scratch = guests(20);
        let run = leaves_all_filled(scratch.fill([option, "-j2", "*.xml"]), 20).stderr_any();
        let calls = "trace=openat,write,fsync,syncfs,rename,renameat,renameat2,unlink";
        let log = traced(run, &scratch, &["-y", "-e", calls]);
        let lines: Vec<_> = log.lines().collect();
        let all = |piece: &str| -> Vec<usize> {
            lines.iter().enumerate().filter(|(_, line)| line.contains(piece)).map(|(number, _)| number).collect()
        };
        let (renames, synced) = (all("renameat2("), all("syncfs("));
        let written: Vec<_> = all(".tmp>").into_iter().filter(|number| lines[*number].contains("write(")).collect();
        assert_eq!((written.len(), renames.len(), synced.len()), (20, 20, 1), "{log}");
        assert!(written.iter().all(|write| *write < synced[0]) && synced[0] < renames[0], "{log}");
        // The directory is synced once, and only then are the old files removed.
        let directory = all("/scratch>) ");
        let directory: Vec<_> = directory.into_iter().filter(|number| lines[*number].contains("fsync(")).collect();
        let unlinked = all("unlink(\"");
        assert_eq!(directory.len(), 1, "{log}");
        assert!(renames.iter().all(|rename| *rename < directory[0]), "{log}");
        assert!(unlinked.iter().all(|unlink| directory[0] < *unlink) && unlinked.len() == 20, "{log}");
    }
}

#[test]
fn a_directory_that_cannot_be_synced_is_an_error_although_all_files_are_replaced() {
    if !have_strace() {
        return;
    }
    for option in ["-i", "-ki"] {
        let scratch = guests(20);
        let run = leaves_all_filled(scratch.fill(["-q", option, "*.xml"]), 20).status(2);
        let run = run.stderr_has("replaced, but the directory . could not be synced to disk");
        let directory = scratch.dir();
        let inject = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "-P"];
        run.under(inject.map(OsStr::new).into_iter().chain([directory.as_os_str()])).check();
    }
}

#[test]
fn a_file_that_cannot_be_replaced_rolls_all_others_back() {
    if !have_strace() {
        return;
    }
    for jobs in ["-j1", "-j4"] {
        let scratch = guests(200);
        let run = scratch.fill(["-i", jobs, "*.xml"]).status(2).stderr_has("vm143.xml");
        let inject =
            ["strace", "-f", "-o", "/dev/null", "-P", "vm143.xml", "-e", "trace=renameat2,renameat,rename", "-e"];
        // The exchange fails, and so does the rename that is tried instead.
        let errors = ["inject=renameat2:error=EINVAL", "-e", "inject=renameat,rename:error=EACCES"];
        run.under(inject.into_iter().chain(errors)).check();
    }
}

#[test]
fn after_a_failure_no_other_file_is_replaced_and_the_rollback_is_synced() {
    if !have_strace() {
        return;
    }
    let scratch = guests(50);
    let run = scratch.fill(["-i", "-j1", "*.xml"]).status(2).stderr_has("cannot rename the new file over vm014.xml");
    let errors = ["-e", "inject=renameat2:error=EINVAL:when=15", "-e", "inject=renameat,rename:error=EACCES"];
    let calls = ["-y", "-e", "trace=renameat2,renameat,rename,fsync"];
    let log = traced(run, &scratch, &[&calls[..], &errors].concat());
    let exchanges: Vec<_> = log.match_indices("renameat2(").map(|(at, _)| at).collect();
    // 14 files are replaced, the 15th fails, and the 14 are restored.
    assert_eq!(exchanges.len(), 14 + 1 + 14, "{log}");
    let after = &log[exchanges[28]..];
    assert!(regex::Regex::new(r"fsync\(\d+<[^>]*/scratch>\) += 0").unwrap().is_match(after), "{log}");
}

/// Before Linux 5.8 syncfs does not report errors.
#[test]
fn on_an_old_kernel_each_file_is_synced_by_itself() {
    if !have_strace() || !have("setarch") {
        return;
    }
    let scratch = guests(20);
    let run =
        leaves_all_filled(scratch.fill(["-i", "-j2", "*.xml"]), 20).stderr_any().under(["setarch", "--uname-2.6"]);
    let log = traced(run, &scratch, &["-y", "-e", "trace=fsync,syncfs,renameat2"]);
    let first_exchange = log.find("renameat2(").unwrap();
    let synced = regex::Regex::new(r"fsync\(\d+<[^>]*\.tmp>").unwrap().find_iter(&log[..first_exchange]).count();
    assert_eq!((synced, log.matches("syncfs(").count()), (20, 0), "{log}");
}

#[test]
fn the_summary_counts_the_files_by_outcome() {
    let scratch = guests(3);
    scratch.file("complete.xml", filled(1));
    scratch.file("without.xml", domain(""));
    scratch.file("passthrough.xml", domain("<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='1' slot='0' function='0'/></source></hostdev>"));
    scratch.file("absent.xml", guest(ABSENT, &NONE));
    let run = leaves_all_filled(scratch.fill(["-i", "--on-missing=skip", "*.xml"]), 3);
    let summary = "^7 files: 3 filled, 1 already complete, 1 skipped, 2 without devices to record, 0 failed$";
    run.stderr_matches(summary).check();
    let run = scratch.virt_mdev(["strip", "-i", "*.xml"]).leaves("complete.xml", bare(1));
    let run = (0..3).fold(run, |run, number| run.leaves(format!("vm{number:03}.xml"), bare(number + 1)));
    run.stderr_matches("^7 files: 4 stripped, 1 without identities, 2 without mdevs, 0 failed$").check();
}

#[test]
fn there_is_no_summary_for_one_file_with_quiet_or_if_nothing_is_written() {
    let run = |options: &[&str]| guests(2).fill(options).stdout_any().stderr_any().stderr_lacks("files:").errors().0;
    for options in [&["-i", "vm000.xml"][..], &["-q", "-i", "*.xml"], &["-n", "*.xml"], &["--diff", "*.xml"]] {
        let errors = run(options);
        assert!(!errors.iter().any(|error| error.contains("files:")), "{options:?}: {errors:?}");
    }
    leaves_all_filled(guests(2).fill(["-q", "-i", "*.xml"]), 2).check();
}

#[test]
fn a_fifo_among_several_inputs_is_an_error() {
    let scratch = guests(2);
    mknodat(CWD, scratch.path("vm001.xml.fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for option in ["--diff", "-n", "-i"] {
        scratch.fill([option, "vm*"]).status(2).stderr_has("vm001.xml.fifo is a FIFO").check();
    }
}

/// Returns what a terminal shows of a run that is delayed by `pause`.
fn on_a_terminal(options: &str, pause: Duration) -> String {
    let scratch = Scratch::new();
    for name in ["a.xml", "b.xml"] {
        scratch.file(name, bare(1));
    }
    let (host, sys) = SlowHost::new(&scratch);
    let command = format!("{BINARY} fill {options} --sysfs {} '*.xml'", sys.display());
    let finished = thread::scope(|scope| {
        scope.spawn(|| host.answer_after(|| thread::sleep(pause)));
        let run = scratch.program("script", ["-qec", &command, "/dev/null"]).env("TERM", "xterm").stdout_any();
        run.leaves("a.xml", filled(1)).leaves("b.xml", filled(1)).check()
    });
    String::from_utf8_lossy(&finished.stdout).into_owned()
}

#[test]
fn a_progress_bar_is_shown_on_a_terminal_once_the_run_lasts_longer_than_half_a_second() {
    if !have_terminals() {
        return;
    }
    let shown = on_a_terminal("-i", Duration::from_millis(1200));
    assert!(shown.contains("reading [") && shown.contains("/2"), "{shown:?}");
    // It is erased for messages and at the end.
    for message in [
        "a.xml: filled",
        "b.xml: filled",
        "2 files: 2 filled, 0 already complete, 0 without devices to record, 0 failed",
    ] {
        let alone = format!(r"(^|\n|\x1b\[2K){message}\r\n");
        assert!(regex::Regex::new(&alone).unwrap().is_match(&shown), "{shown:?}");
    }
    assert!(shown.ends_with("0 failed\r\n"), "{shown:?}");
    let shown = on_a_terminal("-i", Duration::ZERO);
    assert!(!shown.contains("reading"), "{shown:?}");
    let shown = on_a_terminal("-q -i", Duration::from_millis(800));
    assert!(shown.trim().is_empty(), "{shown:?}");
}

#[test]
fn there_is_no_progress_bar_if_standard_error_is_not_a_terminal() {
    let scratch = Scratch::with("a.xml", bare(1));
    scratch.file("b.xml", bare(1));
    let (host, sys) = SlowHost::new(&scratch);
    thread::scope(|scope| {
        scope.spawn(|| host.answer_after(|| thread::sleep(Duration::from_millis(800))));
        let run = scratch.virt_mdev(["fill", "-i", "*.xml", "--sysfs"]).arg(sys);
        run.leaves("a.xml", filled(1)).leaves("b.xml", filled(1)).stderr_lacks("reading").check();
    });
}

#[test]
fn strip_takes_the_same_options() {
    let scratch = Scratch::with("a.xml", filled(1));
    scratch.file("b.xml", "<domain>");
    scratch.virt_mdev(["strip", "-ki", "-j2", "*.xml"]).status(2).leaves("a.xml", bare(1)).stderr_has("b.xml").check();
}
