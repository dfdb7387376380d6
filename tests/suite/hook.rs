//! The hook as libvirt calls it: who passes, who is refused, and what is said of it.
//!
//! What is said goes to syslog too, and this machine's is none of a test's business: every run is [`apart`] from it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::support::guests::{
    ABSENT, AP, NO_PCI, bare, domain, elements, filled, guest, guest_recorded, host_a, hostdev, identity, record,
    recorded, uuid,
};
use crate::support::here::skipped;
use crate::support::{Run, Scratch};

const NONE: [&str; 0] = [];

/// What libvirt's documentation lists for qemu, but for what is judged.
const OTHERS: [[&str; 2]; 12] = [
    ["prepare", "begin"],
    ["start", "begin"],
    ["started", "begin"],
    ["stopped", "end"],
    ["release", "end"],
    ["reconnect", "begin"],
    ["attach", "begin"],
    ["migrate", "end"],
    ["restore", "end"],
    ["unheard-of", "begin"],
    ["", ""],
    ["MIGRATE", "BEGIN"],
];

const JUDGED: [&str; 2] = ["migrate", "restore"];

const BINARY: &str = env!("CARGO_BIN_EXE_virt-mdev");

/// What is to stand before a command so that `/dev/log` is nobody's: a mount namespace of its own, where there is a syslog.
/// Nothing where that cannot be made.
fn apart() -> Option<&'static [&'static str]> {
    const SCRIPT: &str = "mount --bind /dev/null /dev/log && exec \"$@\"";
    const AS_ROOT: [&str; 5] = ["unshare", "-m", "sh", "-c", SCRIPT];
    const AS_ANYONE: [&str; 5] = ["unshare", "-rm", "sh", "-c", SCRIPT];
    static APART: LazyLock<Option<&[&str]>> = LazyLock::new(|| {
        let works = |prefix: &&[&str]| {
            let done = Command::new(prefix[0]).args(&prefix[1..]).args(["sh", "true"]).output();
            done.is_ok_and(|done| done.status.success())
        };
        let has_syslog = Path::new("/dev/log").exists();
        if has_syslog { [&AS_ROOT[..], &AS_ANYONE].into_iter().find(works) } else { Some(&[]) }
    });
    *APART
}

/// Whether a test must not run, since it would write to this machine's syslog.
fn would_be_logged() -> bool {
    if apart().is_none() {
        skipped("this machine has a syslog, and a mount namespace cannot be made");
    }
    apart().is_none()
}

/// A run of a program that does not reach this machine's syslog.
fn program<'a>(scratch: &'a Scratch, program: &str) -> Run<'a> {
    match apart() {
        Some([first, others @ ..]) => scratch.program(first, others).arg("sh").arg(program),
        _ => scratch.program(program, NONE),
    }
}

/// A run of `virt-mdev hook`.
fn virt_mdev(scratch: &Scratch) -> Run<'_> {
    program(scratch, BINARY).arg("hook")
}

/// A call of the hook on host-a, with these options and words.
fn hook<'a>(scratch: &'a Scratch, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run<'a> {
    let run = virt_mdev(scratch).arg("--sysfs").arg(host_a());
    words.into_iter().fold(run, Run::arg)
}

/// The guest `vm` comes by migration.
fn migrate(scratch: &Scratch) -> Run<'_> {
    hook(scratch, ["--", "vm", "migrate", "begin", "-"])
}

/// A guest whose device is another one on host-a.
fn different() -> String {
    guest_recorded(&uuid(1), identity(2))
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[test]
fn each_operation_that_is_judged_passes_what_is_the_same_and_refuses_the_rest() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    let mixed = [hostdev(&uuid(1), &elements(1)), hostdev(&uuid(2), &NONE)].concat();
    let both = recorded(&record(&uuid(1), identity(1)), &hostdev(&uuid(1), &elements(2)));
    for operation in JUDGED {
        let call = |document: &str| hook(&scratch, ["--", "vm", operation, "begin", "-"]).stdin(document);
        for same in [
            filled(1),
            guest_recorded(&uuid(1), identity(1)),
            recorded(&record(ABSENT, identity(1)), &hostdev(&uuid(1), &NONE)),
            domain(""),
            domain("<!-- mdev -->"),
            guest(ABSENT, &elements(1)).replace("vfio-pci", "vfio-ap"),
        ] {
            call(&same).check();
        }
        for (document, told) in [
            (different(), "i915-V5_8"),
            (guest(&uuid(1), &elements(2)), "i915-V5_8"),
            (guest(ABSENT, &elements(1)), "does not have it"),
            (guest(&uuid(NO_PCI), &elements(1)), "is not a PCI device"),
            (domain(&mixed), "nothing recorded"),
            (guest(&uuid(1), &elements(1)[..1]), "0x1234"),
            (guest("../../..", &elements(1)), "UUID"),
            (guest(&uuid(AP), &elements(1)), "vfio-ap"),
            (both.clone(), "metadata"),
            (filled(1).replace("<mdevtype>", "<vendorid>0x1234</vendorid><mdevtype>"), "vendorid"),
            (different().replace("mdev:identities", "mdev:devices"), "metadata"),
            ("<domain type='mdev'>".to_owned(), "cannot judge"),
            ("not XML, mdev".to_owned(), "cannot judge"),
            (format!("<network>{}</network>", filled(1)), "network"),
        ] {
            let finished = call(&document).status(1).stderr_has("guest vm: ").stderr_has(told).check();
            assert_eq!(finished.stderr_text().lines().count(), 1, "{}", finished.stderr_text());
        }
    }
}

#[test]
fn every_other_operation_passes_at_once_with_its_input_unread() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    // More than a pipe takes: whoever writes it waits for ever, and so would a reader.
    let endless = [different().into_bytes(), vec![b' '; 1 << 20]].concat();
    for [operation, suboperation] in OTHERS {
        for document in [&endless[..], b"<broken mdev", b""] {
            for options in [&["--"][..], &["--require", "--"], &[]] {
                let run = options.iter().fold(hook(&scratch, NONE), |run, option| run.arg(option));
                let run = run.arg("vm").arg(operation).arg(suboperation).arg("-").stdin(document).stdin_stays_open();
                run.limit(Duration::from_secs(2)).check();
            }
        }
    }
}

#[test]
fn wrong_arguments_pass_where_nothing_is_judged_and_are_refused_where_it_is_and_are_never_an_error() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    for words in [
        "",
        "--",
        "vm",
        "-- vm",
        "-- vm reconnect begin",
        "-- vm reconnect begin - more",
        "--bogus -- vm reconnect begin -",
        "--bogus vm reconnect begin -",
        "--sysfs",
        "--sysfs -- vm reconnect begin -",
        "-- migrate reconnect begin -",
        "--bogus -- migrate reconnect begin -",
        "--require --require -- vm stopped end -",
        "--bogus -- vm prepare begin -",
        "-V -- vm start begin -",
        "--help -- vm start begin -",
    ] {
        virt_mdev(&scratch).args(words).stdin(different()).stdin_stays_open().check();
    }
    for words in [
        "-- vm migrate begin",
        "-- vm migrate begin - more",
        "-- vm migrate begin - more and more",
        "--bogus -- vm migrate begin -",
        "--bogus vm restore begin -",
        "--require --require -- vm migrate begin -",
        "--require=yes -- vm migrate begin -",
        "--bogus --check-start -- vm prepare begin -",
        "--bogus -- --help migrate begin -",
        "--bogus -- '' migrate begin -",
    ] {
        let run = virt_mdev(&scratch).args(words).stdin(filled(1)).stdin_stays_open();
        run.status(1).stderr_has("cannot judge").check();
    }
}

#[test]
fn a_guest_may_have_any_name() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    for name in
        ["--help", "-h", "-dash", "-V", "--version", "--require", "--", "-", "", "migrate", "prüfung", "--sysfs=/x"]
    {
        let call = |words: [&str; 3]| hook(&scratch, ["--", name]).args(&words.join(" "));
        call(["migrate", "begin", "-"]).stdin(filled(1)).check();
        let run = call(["migrate", "begin", "-"]).stdin(different()).status(1);
        run.stderr_has(format!("guest {name}: mdev ")).check();
        call(["reconnect", "begin", "-"]).stdin(different()).stdin_stays_open().check();
    }
    // Without the -- as well, but where the name is an option of ours.
    for name in ["--help", "-h", "-dash", "-V", "--version", "-", ""] {
        hook(&scratch, [name, "migrate", "begin", "-"]).stdin(filled(1)).check();
        let run = hook(&scratch, [name, "migrate", "begin", "-"]).stdin(different()).status(1);
        run.stderr_has(format!("guest {name}: mdev ")).check();
        hook(&scratch, [name, "reconnect", "begin", "-"]).stdin(different()).stdin_stays_open().check();
    }
    for name in ["--require", "--check-start", "--sysfs"] {
        hook(&scratch, [name, "migrate", "begin", "-"]).stdin(different()).status(1).stderr_has("").check();
        hook(&scratch, [name, "reconnect", "begin", "-"]).stdin(different()).stdin_stays_open().check();
    }
}

#[test]
fn a_name_cannot_command_the_terminal() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    for (name, shown) in [
        (&b"a\x1b[31mb"[..], "guest a\\x1b[31mb: "),
        (b"two\nlines", "guest two\\nlines: "),
        (b"caf\xe9", "guest caf\u{fffd}: "),
        ("c1\u{9b}".as_bytes(), "guest c1\\u{9b}: "),
    ] {
        let call = || hook(&scratch, [OsStr::new("--"), OsStr::from_bytes(name)]).args("migrate begin -");
        call().stdin(filled(1)).check();
        let finished = call().stdin(different()).status(1).stderr_has(shown).check();
        assert_eq!(finished.stderr_text().lines().count(), 1);
    }
}

#[test]
fn a_guest_without_the_letters_mdev_passes_without_being_parsed() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    for document in ["", "<broken", "no XML at all", "<domain>\u{0}</domain>", "<domain><name>MDEV</name></domain>"] {
        for option in ["--", "--require"] {
            hook(&scratch, [option]).args("vm migrate begin -").stdin(document).check();
        }
    }
    migrate(&scratch).stdin(b"\xff\xfe").check();
}

#[test]
fn a_document_that_is_too_large_is_refused() {
    if would_be_logged() {
        return;
    }
    let large = filled(1).replace("</name>", &format!("</name><!--{}-->", "x".repeat(4 << 20)));
    let scratch = Scratch::new();
    migrate(&scratch).stdin(&large).status(1).stderr_has("cannot judge").check();
    // It cannot be told that the letters do not stand in the rest.
    migrate(&scratch).stdin("x".repeat((4 << 20) + 1)).status(1).stderr_has("cannot judge").check();
    let just = "x".repeat(4 << 20);
    migrate(&scratch).stdin(just).check();
}

#[test]
fn a_guest_without_a_record_passes_with_a_warning_and_is_refused_where_one_is_required() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    let empty = recorded("", &hostdev(&uuid(1), &NONE));
    for document in [bare(1), guest(ABSENT, &NONE), empty] {
        migrate(&scratch).stdin(&document).stderr_has("not recorded").stderr_has("fill --into metadata").check();
        let run = hook(&scratch, ["--require", "--", "vm", "migrate", "begin", "-"]).stdin(document);
        run.status(1).stderr_has("guest vm: ").stderr_has(host_name()).check();
    }
    for document in [filled(1), domain("<!-- mdev -->"), bare(1).replace("vfio-pci", "vfio-ccw")] {
        hook(&scratch, ["--require", "--", "vm", "migrate", "begin", "-"]).stdin(document).check();
    }
}

#[test]
fn a_refusal_names_guest_device_record_this_host_what_it_has_and_what_to_do() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    let devices = [(1, 2), (3, 4)].map(|(device, other)| hostdev(&uuid(device), &elements(other))).concat();
    let others = [ABSENT, &uuid(NO_PCI), &uuid(5)].map(|other| hostdev(other, &elements(5))).concat();
    let document = domain(&[devices, others].concat());
    let finished = migrate(&scratch).stdin(document).status(1).stderr_has("").check();
    let text = finished.stderr_text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    let host = host_name();
    for (line, pieces) in lines.iter().zip([
        [&uuid(1), "0x1234 0x11e8 i915-V5_8", "0x1234 0x11e8 i915-V5_4", "make it of the recorded type"],
        [&uuid(3), "0x8086 0x10d3 i915-V5_8", "0x8086 0x10d3 i915-V5_4", "make it of the recorded type"],
        [ABSENT, "0x1b36 0x0005 i915-V5_4", "does not have it", "mdevctl start"],
        [&uuid(NO_PCI), "0x1b36 0x0005 i915-V5_4", "its parent nopci is not a PCI device", "give the guest"],
    ]) {
        for piece in ["guest vm: ", &host].iter().chain(&pieces) {
            assert!(line.contains(*piece), "{line:?} does not hold {piece:?}");
        }
    }
}

#[test]
fn starts_are_judged_where_that_is_asked_for() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    let prepare = || hook(&scratch, ["--check-start", "--", "vm", "prepare", "begin", "-"]);
    prepare().stdin(filled(1)).check();
    prepare().stdin(different()).status(1).stderr_has("i915-V5_8").check();
    for [operation, suboperation] in OTHERS.into_iter().filter(|other| other[0] != "prepare") {
        let run = hook(&scratch, ["--check-start", "--", "vm", operation, suboperation, "-"]);
        run.stdin(different()).stdin_stays_open().check();
    }
}

#[test]
fn the_environment_names_the_sysfs_where_no_option_does() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    let call = || virt_mdev(&scratch).args("-- vm migrate begin -").env("VIRT_MDEV_SYSFS", host_a());
    call().stdin(filled(1)).check();
    call().stdin(different()).status(1).stderr_has("i915-V5_8").check();
}

#[test]
fn a_sysfs_that_cannot_be_read_is_a_refusal_of_guests_with_a_record_alone() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::with("no-sysfs/x", "");
    for dir in ["no-sysfs", "not-there"] {
        let call = || virt_mdev(&scratch).arg("--sysfs").arg(dir).args("-- vm migrate begin -");
        call().stdin(filled(1)).status(1).stderr_has("cannot judge").stderr_has(dir).check();
        call().stdin(domain("")).check();
        call().stdin(bare(1)).stderr_has("not recorded").check();
    }
    scratch.file("sys/bus/mdev/devices", "not a directory");
    let run = virt_mdev(&scratch).args("--sysfs sys -- vm migrate begin -");
    run.stdin(filled(1)).status(1).stderr_has("guest vm: ").check();
}

/// Ten seconds, and little more than that.
fn assert_time_is_up(run: Run<'_>) {
    let start = Instant::now();
    let run = run.status(1).stderr_has("time is up").stderr_has("10 s").limit(Duration::from_secs(20));
    run.check();
    let took = start.elapsed();
    assert!((9..13).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn takes_ten_seconds_a_standard_input_that_never_ends_is_a_refusal_after_ten_seconds() {
    if would_be_logged() {
        return;
    }
    assert_time_is_up(migrate(&Scratch::new()).stdin(filled(1)).stdin_stays_open());
}

#[test]
fn takes_ten_seconds_a_vendor_that_blocks_is_a_refusal_after_ten_seconds() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    let sys = scratch.host(&format!(
        "parent pci 0000:af:00.0 vendor=0x10de device=0x1eb8\ntype nvidia-231 api=vfio-pci\n\
         mdev {ABSENT} 0000:af:00.0 nvidia-231\n"
    ));
    let vendor = sys.join("devices/pci0000:af/0000:af:00.0/vendor");
    fs::remove_file(&vendor).unwrap();
    assert!(Command::new("mkfifo").arg(&vendor).status().unwrap().success());
    let run = virt_mdev(&scratch).arg("--sysfs").arg(&sys).args("-- vm migrate begin -");
    assert_time_is_up(run.stdin(guest(ABSENT, &elements(1))));
}

/// In a mount namespace of its own, where `/dev` holds nothing but a socket that this test listens at.
#[test]
fn warnings_and_refusals_go_to_syslog_too() {
    let can_mount = Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|done| done.status.success());
    if !can_mount {
        skipped("a mount namespace takes root");
        return;
    }
    let beside = tempfile::tempdir().unwrap();
    let log = UnixDatagram::bind(beside.path().join("log")).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let scratch = Scratch::new();
    let call = || {
        let script = "mount --bind \"$1\" /dev && shift && exec \"$@\"";
        let run = scratch.program("unshare", ["-m", "sh", "-c", script, "sh"]).arg(beside.path());
        run.arg(BINARY).arg("hook").arg("--sysfs").arg(host_a()).args("-- 'a\nb' migrate begin -")
    };
    let heard = || {
        let mut message = [0; 4096];
        let length = log.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_owned()).unwrap()
    };
    for (document, status, priority) in [(bare(1), 0, "<28>virt-mdev["), (different(), 1, "<27>virt-mdev[")] {
        let finished = call().stdin(document).status(status).stderr_has("").check();
        let (said, heard) = (finished.stderr_text(), heard());
        assert!(heard.starts_with(priority), "{heard:?}");
        let line = said.trim_end().strip_prefix("virt-mdev: ").unwrap();
        assert!(heard.ends_with(&format!("]: {line}")) && line.starts_with("guest a\\nb: "), "{heard:?}, {said:?}");
    }
    call().stdin(filled(1)).check();
    log.set_nonblocking(true).unwrap();
    assert!(log.recv(&mut [0; 16]).is_err(), "a guest that passes is nothing to log");
}

#[test]
fn nobody_at_the_other_end_of_standard_error_changes_nothing() {
    if would_be_logged() {
        return;
    }
    let scratch = Scratch::new();
    let shell = |script: &str| program(&scratch, "/bin/sh").arg("-c").arg(script).arg(BINARY).arg(host_a());
    let script = "exec \"$0\" hook --sysfs \"$1\" -- vm migrate begin - 2>&- >&-";
    shell(script).stdin(different()).status(1).check();
    shell(script).stdin(bare(1)).check();
    shell(script).stdin(filled(1)).check();
}

/// The script that libvirt runs, with this binary in it.
#[test]
fn the_script_lets_only_what_is_judged_reach_the_binary() {
    if would_be_logged() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/qemu.d/90-virt-mdev");
    let script = fs::read_to_string(script).unwrap();
    let scratch = Scratch::new();
    let options = format!("\noptions='--sysfs {}'\n", host_a().display());
    let with = |binary: &str| {
        script.replace("\nbinary=virt-mdev\n", &format!("\nbinary='{binary}'\n")).replace("\noptions=\n", &options)
    };
    let call = |binary: &str, words: [&str; 3]| {
        let script = scratch.file("90-virt-mdev", with(binary));
        let run = program(&scratch, "/bin/sh").arg(script);
        words.iter().fold(run, Run::arg).arg("-")
    };
    for guest in ["vm", "--help", "-dash", "--", "", "a b"] {
        for operation in JUDGED {
            call(BINARY, [guest, operation, "begin"]).stdin(filled(1)).check();
            let run = call(BINARY, [guest, operation, "begin"]).stdin(different()).status(1);
            run.stderr_has(format!("guest {guest}: mdev ")).check();
        }
        for [operation, suboperation] in OTHERS {
            // A binary that would fail whatever it is given.
            let run = call("/bin/false", [guest, operation, suboperation]);
            run.stdin(different()).stdin_stays_open().check();
        }
    }
    // Without logger in the way, which would write to syslog.
    let run = call("/not/there/virt-mdev", ["vm", "migrate", "begin"]).env("PATH", "/not/there");
    if apart() == Some(&[]) {
        run.stdin(different()).check();
    }
}
