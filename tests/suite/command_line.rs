//! Inputs and outputs, contradictory options, and exit statuses.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use crate::support::Scratch;
use crate::support::guests::{ABSENT, NONE, bare, domain, elements, filled, guest, host_a, hostdev, uuid};
use crate::support::here::have_terminals;

#[test]
fn a_dash_is_standard_input() {
    Scratch::with("-", "not this one").fill(["-"]).stdin(bare(1)).stdout(filled(1)).check();
}

#[test]
fn one_file_goes_to_standard_output_and_is_not_changed() {
    Scratch::with("vm.xml", bare(1)).fill(["vm.xml"]).stdout(filled(1)).check();
}

#[test]
fn a_document_with_nothing_to_do_is_copied() {
    let nothing = domain("");
    Scratch::new().fill(NONE).stdin(&nothing).stdout(&nothing).check();
}

#[test]
fn several_files_need_in_place_diff_or_dry_run() {
    let scratch = Scratch::with("a.xml", bare(1));
    scratch.file("b.xml", bare(2));
    for arguments in [["a.xml", "b.xml"], ["*.xml", "a.xml"], ["a.xml", "-"]] {
        scratch.fill(arguments).stdin(bare(3)).status(2).stderr_has("--in-place").check();
    }
    scratch.fill(["-n", "a.xml", "b.xml"]).status(1).stdout_has("a.xml").stdout_has("b.xml").check();
    scratch.fill(["--diff", "*.xml"]).stdout_has("a.xml").stdout_has("b.xml").check();
}

#[test]
fn contradictory_options_are_usage_errors() {
    let scratch = Scratch::with("vm.xml", bare(1));
    scratch.file("other.xml", bare(2));
    for arguments in [
        "-i -o out.xml vm.xml",
        "-i -",
        "-i vm.xml -",
        "-i",
        "-i=.bak",
        "--diff -i vm.xml",
        "--diff -o out.xml vm.xml",
        "-o out.xml vm.xml other.xml",
        "-o out.xml *.xml",
        "-q -v vm.xml --on-missing sometimes",
        "--on-conflict never vm.xml",
        "--no-such-option vm.xml",
    ] {
        let words = arguments.split(' ');
        scratch.fill(words).stdin(bare(1)).status(2).stderr_matches("^error: ").check();
    }
}

#[test]
fn usage_errors_come_before_any_file_is_opened() {
    let run = Scratch::new();
    let run = run.fill(["-i", "-o", "out.xml", "absent.xml"]).status(2);
    run.stderr_matches("^error: ").stderr_lacks("No such file").check();
}

#[test]
fn a_suffix_joined_to_the_short_option_is_an_error_with_the_right_form() {
    Scratch::with("vm.xml", bare(1)).fill(["-i.bak", "vm.xml"]).status(2).stderr_has("-i=.bak").check();
}

#[test]
fn a_suffix_as_a_separate_word_is_an_error_with_the_right_form_and_nothing_is_rewritten() {
    let scratch = Scratch::with("vm.xml", filled(1));
    let hint = "help: a suffix for backups follows an equals sign: -i=.bak\n";
    for command in ["fill", "strip"] {
        for words in ["-i .bak vm.xml", "-k -i .bak vm.xml", "-i .bak", "--in-place .bak vm.xml"] {
            scratch.virt_mdev([command]).args(words).status(2).stderr_has(".bak").stderr_has(hint).check();
        }
        for words in ["-i bak vm.xml", "-i ./.bak vm.xml", "-i .*.bak vm.xml", "-n .bak vm.xml", "-i=.old .bak vm.xml"]
        {
            let sysfs = host_a();
            let run = scratch.virt_mdev([command]).env("VIRT_MDEV_SYSFS", sysfs).args(words);
            run.status(2).stderr_has("bak").stderr_lacks("equals sign").check();
        }
    }
    let scratch = Scratch::with(".bak", filled(1));
    scratch.virt_mdev(["strip", "-i", ".bak"]).leaves(".bak", bare(1)).stderr_any().check();
}

#[test]
fn an_unknown_command_and_no_command_are_usage_errors() {
    Scratch::new().virt_mdev(["fll"]).status(2).stderr_has("fll").check();
    Scratch::new().virt_mdev(NONE).status(2).stderr_has("fill").check();
}

#[test]
fn a_pattern_is_expanded_by_the_program() {
    let scratch = Scratch::with("guests/a.xml", bare(1));
    scratch.file("guests/b.xml", bare(2));
    scratch.file("guests/c.txt", bare(3));
    let run = scratch.fill(["-i", "guests/*.xml"]).leaves("guests/a.xml", filled(1)).leaves("guests/b.xml", filled(2));
    run.stderr_has("guests/a.xml").stderr_has("guests/b.xml").check();
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error_that_names_it() {
    let scratch = Scratch::with("vm.xml", bare(1));
    scratch.fill(["-i", "vm.xml", "guests/*.xml"]).status(2).stderr_has("guests/*.xml").check();
}

#[test]
fn a_path_that_does_not_exist_is_a_pattern() {
    for (path, file, other) in [
        ("v?.xml", "vm.xml", "vm1.xml"),
        ("vm[12].xml", "vm1.xml", "vm3.xml"),
        // These exist.
        ("vm[12].xml", "vm[12].xml", "vm1.xml"),
        ("vm*.xml", "vm*.xml", "vm1.xml"),
    ] {
        let scratch = Scratch::with(file, bare(1));
        scratch.file(other, bare(2));
        scratch.fill([path]).stdout(filled(1)).check();
    }
}

#[test]
fn a_pattern_does_not_match_names_that_begin_with_a_dot() {
    let scratch = Scratch::with(".hidden.xml", bare(1));
    scratch.fill(["-i", "*.xml"]).status(2).stderr_has("*.xml").check();
    scratch.file("vm.xml", bare(2));
    scratch.fill(["-i", "*.xml"]).leaves("vm.xml", filled(2)).stderr_lacks("hidden").check();
}

#[test]
fn a_pattern_matches_names_that_are_not_utf_8() {
    let name = OsStr::from_bytes(b"vm\xff.xml");
    Scratch::with(name, bare(1)).fill(["-i", "*.xml"]).leaves(name, filled(1)).stderr_has("vm").check();
}

#[test]
fn a_file_with_two_names_is_processed_once() {
    let scratch = Scratch::with("vm.xml", bare(1));
    symlink("vm.xml", scratch.path("link.xml")).unwrap();
    scratch.fill(["vm.xml", "./vm.xml", "link.xml", "vm.*"]).stdout(filled(1)).check();
    let run = scratch.fill(["-i=.bak", "vm.xml", "./vm.xml"]).leaves("vm.xml", filled(1)).leaves("vm.xml.bak", bare(1));
    let finished = run.stderr_has("vm.xml").check();
    assert_eq!(finished.stderr_text().lines().count(), 1, "{}", finished.stderr_text());
}

#[test]
fn a_file_that_does_not_exist_is_an_error_that_names_it() {
    Scratch::new().fill(["absent.xml"]).status(2).stderr_has("absent.xml").check();
    Scratch::new().fill(["/no/such/dir/vm.xml"]).status(2).stderr_has("/no/such/dir/vm.xml").check();
}

#[test]
fn the_environment_names_the_host_and_the_option_overrides_it() {
    let scratch = Scratch::new();
    scratch.virt_mdev(["fill"]).env("VIRT_MDEV_SYSFS", host_a()).stdin(bare(1)).stdout(filled(1)).check();
    scratch.fill(NONE).env("VIRT_MDEV_SYSFS", "/nowhere").stdin(bare(1)).stdout(filled(1)).check();
    let run = scratch.virt_mdev(["fill"]).env("VIRT_MDEV_SYSFS", "/nowhere").stdin(bare(1));
    run.status(2).stderr_has("/nowhere").check();
}

#[test]
fn a_directory_without_bus_is_not_a_sysfs_whatever_the_options() {
    let scratch = Scratch::with("empty/devices/x", "");
    for sysfs in ["empty", "absent"] {
        let run = scratch.virt_mdev(["fill", "--sysfs", sysfs, "--on-missing", "skip"]).stdin(bare(1));
        run.status(2).stderr_has(sysfs).check();
    }
}

#[test]
fn errors_of_all_devices_of_all_files_are_reported() {
    let scratch = Scratch::with("a.xml", guest(ABSENT, &NONE));
    let other = ABSENT.replace("c2177883", "d2177883");
    scratch.file("b.xml", domain(&[hostdev("nonsense", &NONE), hostdev(&other, &NONE)].concat()));
    scratch.file("c.xml", "<domain>");
    let run = scratch.fill(["-n", "a.xml", "b.xml", "c.xml"]).status(2);
    run.stderr_has(ABSENT).stderr_has("nonsense").stderr_has(other).stderr_has("c.xml:1:").check();
}

#[test]
fn an_error_in_one_file_leaves_all_files_unchanged() {
    let scratch = Scratch::with("a.xml", bare(1));
    scratch.file("b.xml", guest(ABSENT, &NONE));
    scratch.file("c.xml", bare(2));
    scratch.fill(["-i=.bak", "a.xml", "b.xml", "c.xml"]).status(2).stderr_has(ABSENT).check();
    scratch.fill(["--diff", "a.xml", "b.xml", "c.xml"]).status(2).stderr_has(ABSENT).check();
}

#[test]
fn an_error_in_one_device_means_no_output() {
    let document = domain(&[hostdev(&uuid(1), &NONE), hostdev(ABSENT, &NONE)].concat());
    Scratch::new().fill(NONE).stdin(document).status(2).stderr_has(ABSENT).check();
}

#[test]
fn the_error_for_empty_input_suggests_that_the_previous_command_failed() {
    let scratch = Scratch::with("empty.xml", "");
    scratch.fill(NONE).status(2).stderr_has("did the command before it fail?").check();
    scratch.fill(["empty.xml"]).status(2).stderr_has("empty").check();
}

#[test]
fn a_reader_that_closes_the_pipe_early_is_status_2_without_a_message() {
    Scratch::new().fill(NONE).stdin(bare(1)).reader_gone().status(2).check();
    Scratch::with("vm.xml", bare(1)).fill(["--diff", "vm.xml"]).reader_gone().status(2).check();
    Scratch::with("vm.xml", bare(1)).fill(["-n", "vm.xml"]).reader_gone().status(2).check();
}

#[test]
fn an_error_shows_its_line_the_reason_and_what_to_do() {
    let place = format!("<address uuid='{ABSENT}'/>");
    let run = Scratch::with("vm.xml", guest(ABSENT, &NONE));
    let finished = run
        .fill(["vm.xml"])
        .status(2)
        .stderr_has(format!("error: mdev {ABSENT} is not on this host\n"))
        .stderr_has("--> vm.xml:6:18\n")
        .stderr_has(place)
        .stderr_has(format!("bus/mdev/devices/{ABSENT} in {}", host_a().display()))
        .stderr_has("help: ")
        .stderr_has("mdevctl start")
        .stderr_has("--on-missing skip")
        .check();
    assert!(!finished.stderr_text().contains('\x1b'), "color without a terminal");
    Scratch::new().fill(NONE).stdin(guest(ABSENT, &NONE)).status(2).stderr_has("--> <stdin>:6:18\n").check();
}

#[test]
fn color_is_for_terminals_unless_no_color_is_set() {
    if !have_terminals() {
        return;
    }
    let scratch = Scratch::with("vm.xml", guest(ABSENT, &NONE));
    let fill =
        [env!("CARGO_BIN_EXE_virt-mdev"), "fill", "--sysfs", host_a().to_str().unwrap(), "vm.xml"].map(str::to_owned);
    let terminal = || scratch.program("script", ["-qec", &shell_words::join(&fill), "/dev/null"]).env("TERM", "xterm");
    terminal().status(2).stdout_has("\x1b[").check();
    let finished = terminal().env("NO_COLOR", "1").status(2).stdout_has(ABSENT).check();
    assert!(!finished.stdout.contains(&0x1b), "{:?}", String::from_utf8_lossy(&finished.stdout));
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let name = "vm\x1b[31m\u{9b}1m.xml";
    let scratch = Scratch::with(name, guest("\u{9b}31m\u{202e}x", &NONE));
    let shown = |text: String| text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}');
    let finished = scratch.fill([name]).status(2).stderr_has("vm").check();
    assert!(!shown(finished.stderr_text()), "{:?}", finished.stderr_text());
    let finished = scratch.fill(["-n", &format!("absent-{name}")]).status(2).stderr_has("absent-vm").check();
    assert!(!shown(finished.stderr_text()), "{:?}", finished.stderr_text());
    let scratch = Scratch::with(name, bare(1));
    let finished = scratch.fill(["-n", name]).status(1).stdout_has("vm").check();
    assert!(!shown(finished.stdout_text()));
    let finished = scratch.fill(["-i", name]).leaves(name, filled(1)).stderr_has("vm").check();
    assert!(!shown(finished.stderr_text()), "{:?}", finished.stderr_text());
}

#[test]
fn control_characters_of_a_wrong_command_line_never_reach_the_terminal() {
    for words in [
        &["fill", "--on-missing=\u{9b}31m"][..],
        &["fill", "--\u{85}\r"],
        &["fill", "-i\r\u{9b}", "vm.xml"],
        &["compare", "a.xml", "b.xml", "\u{9b}\r\n\x1b[1m"],
        &["completions", "\u{202e}"],
        &["\u{9b}\r"],
    ] {
        let finished = Scratch::new().virt_mdev(words).status(2).stderr_has("error: ").check();
        let stderr = finished.stderr_text();
        assert!(!stderr.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{words:?}: {stderr:?}");
    }
    let finished = Scratch::new().virt_mdev(["compare", "a", "b", "c\nd"]).status(2).stderr_has("c\\nd").check();
    assert!(!finished.stderr_text().contains("c\nd"), "{}", finished.stderr_text());
}

#[test]
fn quiet_suppresses_warnings_but_not_errors() {
    let twice = domain(&[hostdev(&uuid(1), &NONE), hostdev(&uuid(1), &NONE)].concat());
    let both = domain(&[hostdev(&uuid(1), &elements(1)), hostdev(&uuid(1), &elements(1))].concat());
    Scratch::new().fill(NONE).stdin(&twice).stdout(&both).stderr_has("warning: ").stderr_has(uuid(1)).check();
    Scratch::new().fill(["-q"]).stdin(&twice).stdout(&both).check();
    Scratch::new().fill(["-q"]).stdin(guest(ABSENT, &NONE)).status(2).stderr_has(ABSENT).check();
}

#[test]
fn help_says_that_libvirt_drops_the_elements() {
    let finished = Scratch::new().virt_mdev(["fill", "--help"]).stdout_has("--on-missing").stdout_has("define").check();
    let text = finished.stdout_text();
    assert!(text.contains("libvirt") && text.contains("drops"), "{text}");
    Scratch::new().virt_mdev(["--help"]).stdout_has("fill").stdout_has("completions").check();
    Scratch::new().virt_mdev(["--version"]).stdout(concat!("virt-mdev ", env!("CARGO_PKG_VERSION"), "\n")).check();
}
