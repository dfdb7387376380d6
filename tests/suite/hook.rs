//! The hook as libvirt calls it: which guests pass, which are refused, and the messages.
//!
//! Every run has its own syslog, so that nothing is written to the one of this machine.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::guests::{
    ABSENT, AP, NO_PCI, NONE, at, bare, different, domain, elements, filled, guest, guest_recorded, host_a, hostdev,
    identity, in_slot, record, recorded, uuid,
};
use crate::support::operations::{JUDGED, OTHERS};
use crate::support::{BINARY, Run, Scratch, testdata};

/// Returns a run of `virt-mdev hook` with its own syslog.
fn virt_mdev(scratch: &Scratch) -> Run<'_> {
    scratch.program(BINARY, ["hook"]).env("VIRT_MDEV_SYSLOG", scratch.path("syslog"))
}

/// Returns a call of the hook on host-a, with these options and words.
fn hook<'a>(scratch: &'a Scratch, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run<'a> {
    let run = virt_mdev(scratch).arg("--sysfs").arg(host_a());
    words.into_iter().fold(run, Run::arg)
}

/// Returns a call of the hook for a migration of the guest `vm`.
fn migrate(scratch: &Scratch) -> Run<'_> {
    hook(scratch, ["--", "vm", "migrate", "begin", "-"])
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[test]
fn each_judged_operation_passes_the_same_devices_and_refuses_all_others() {
    let scratch = Scratch::new();
    let mixed = [hostdev(&uuid(1), &elements(1)), hostdev(&uuid(2), &NONE)].concat();
    let both = recorded(&record(&uuid(1), identity(1)), &hostdev(&uuid(1), &elements(2)));
    for operation in JUDGED {
        let call = |document: &str| hook(&scratch, ["--", "vm", operation, "begin", "-"]).stdin(document);
        for same in [
            filled(1),
            guest_recorded(&uuid(1), identity(1)),
            at(&guest_recorded(&uuid(1), identity(1)), 9),
            domain(""),
            domain("<!-- mdev -->"),
            "<domain type='mdev'>".to_owned(),
            "not XML, mdev".to_owned(),
            guest(ABSENT, &elements(1)).replace("vfio-pci", "vfio-ap"),
        ] {
            call(&same).check();
        }
        for (document, message) in [
            (different(), "i915-V5_8"),
            (guest(&uuid(1), &elements(2)), "i915-V5_8"),
            (guest(ABSENT, &elements(1)), "is not on"),
            (guest(&uuid(NO_PCI), &elements(1)), "is not a PCI device"),
            (domain(&mixed), "is not recorded"),
            (guest(&uuid(1), &elements(1)[..1]), "0x1234"),
            (guest("../../..", &elements(1)), "UUID"),
            (guest(&uuid(AP), &elements(1)), "vfio-ap"),
            (both.clone(), "metadata"),
            (filled(1).replace("<mdevtype>", "<vendorid>0x1234</vendorid><mdevtype>"), "vendorid"),
            (different().replace("mdev:identities", "mdev:devices"), "metadata"),
            (filled(1).replace("</domain>", ""), "cannot judge"),
            ("not XML, <hostdev type='mdev'".to_owned(), "cannot judge"),
            (format!("<network>{}</network>", filled(1)), "network"),
        ] {
            let finished = call(&document).status(1).stderr_has("guest vm: ").stderr_has(message).check();
            assert_eq!(finished.stderr_text().lines().count(), 1, "{}", finished.stderr_text());
        }
    }
}

#[test]
fn every_other_operation_passes_at_once_without_reading_its_input() {
    let scratch = Scratch::new();
    // Larger than the buffer of a pipe, which stays open: the writer blocks, and so would a reader.
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
fn wrong_arguments_refuse_a_guest_only_if_the_operation_is_judged() {
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
        virt_mdev(&scratch).args(words).stdin(filled(1)).status(1).stderr_has("cannot judge").check();
        // A typo in an option does not affect guests without mediated devices.
        virt_mdev(&scratch).args(words).stdin(domain("<!-- mdev -->")).check();
    }
}

#[test]
fn the_wrong_option_is_named() {
    let scratch = Scratch::new();
    for (words, error) in [
        ("--requre -- vm migrate begin -", "unexpected argument '--requre' found"),
        ("--requre vm migrate begin -", "unexpected argument '--requre' found"),
        ("--check-start --requre -- vm prepare begin -", "unexpected argument '--requre' found"),
        ("--requre -- --require migrate begin -", "unexpected argument '--requre' found"),
        ("-x -- vm restore begin -", "unexpected argument '-x' found"),
        ("require -- vm migrate begin -", "'require' is not an option"),
        ("--require=yes -- vm migrate begin -", "unexpected value 'yes' for '--require' found; no more were expected"),
        ("--sysfs -- vm migrate begin -", "a value is required for '--sysfs <DIR>' but none was supplied"),
        ("-- vm migrate begin", "the following required arguments were not provided: <EXTRA>"),
        ("-- vm migrate begin - more", "unexpected argument 'more' found"),
    ] {
        let finished = virt_mdev(&scratch).args(words).stdin(filled(1)).status(1).stderr_any().check();
        let message = finished.stderr_text();
        assert!(message.ends_with(&format!(": options of the hook: {error}\n")), "{words}: {message}");
    }
}

#[test]
fn a_guest_may_have_any_name() {
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
    // Also without --, unless the name is an option of the hook.
    for name in ["--help", "-h", "-dash", "-V", "--version", "-", ""] {
        hook(&scratch, [name, "migrate", "begin", "-"]).stdin(filled(1)).check();
        let run = hook(&scratch, [name, "migrate", "begin", "-"]).stdin(different()).status(1);
        run.stderr_has(format!("guest {name}: mdev ")).check();
        hook(&scratch, [name, "reconnect", "begin", "-"]).stdin(different()).stdin_stays_open().check();
    }
    for name in ["--require", "--check-start", "--sysfs"] {
        hook(&scratch, [name, "migrate", "begin", "-"]).stdin(different()).status(1).stderr_any().check();
        hook(&scratch, [name, "reconnect", "begin", "-"]).stdin(different()).stdin_stays_open().check();
    }
}

#[test]
fn control_characters_of_a_name_are_escaped() {
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
fn a_document_without_the_letters_mdev_passes_without_being_parsed() {
    let scratch = Scratch::new();
    for document in ["", "<broken", "no XML at all", "<domain>\u{0}</domain>", "<domain><name>MDEV</name></domain>"] {
        for option in ["--", "--require"] {
            hook(&scratch, [option]).args("vm migrate begin -").stdin(document).check();
        }
    }
    migrate(&scratch).stdin(b"\xff\xfe").check();
}

#[test]
fn a_too_large_domain_is_refused_only_if_it_may_have_a_mediated_device() {
    let scratch = Scratch::new();
    let description = |length: usize| format!("</name><description>mdev {}</description>", "&apos;".repeat(length));
    let padded = |domain: &str, length: usize| domain.replace("</name>", &description(length));
    let refused = |document: String| {
        migrate(&scratch)
            .stdin(document)
            .status(1)
            .stderr_has("cannot judge")
            .stderr_has("4194304 can be read")
            .check();
    };
    migrate(&scratch).stdin(padded(&filled(1), 600_000)).check();
    refused(padded(&filled(1), 900_000));
    let recorded = guest_recorded(&uuid(1), identity(1));
    let pci = "<hostdev mode='subsystem' type='pci'><source><address bus='1'/></source></hostdev>";
    refused(padded(&recorded.replace("type='mdev'", "type='pci'"), 900_000));
    migrate(&scratch).stdin(padded(&domain(""), 900_000)).check();
    migrate(&scratch).stdin(padded(&domain(pci), 900_000)).check();
    // The letters are in two chunks that are read one after the other.
    for length in (64 * 1024 - 3)..(64 * 1024 + 1) {
        let start = format!("<!--{}-->", "x".repeat(length - 150));
        let device = filled(1).replace("    <hostdev", &format!("{}<hostdev", " ".repeat(140)));
        refused(format!("{start}{device}{}", "<!---->".repeat(600_000)));
    }
    migrate(&scratch).stdin(vec![b'x'; 20 << 20]).check();
}

/// libxml2 only warns about these, and libvirt writes them back unchanged.
#[test]
fn a_guest_with_namespace_errors_is_judged() {
    let scratch = Scratch::new();
    for metadata in [
        "<app:note xmlns:app='urn:app'><todo:item/></app:note>",
        "<a:note xmlns:a='urn:a' b:undeclared='1'/>",
        "<a:b:c xmlns:a='urn:a'/>",
        "<:c/>",
        "<a:note xmlns:a='urn:a' xmlns:b='urn:a' a:x='1' b:x='2'/>",
        "<xml:e/>",
    ] {
        let with = |document: &str| {
            let inside = format!("<title>mdev</title><metadata>{metadata}");
            if document.contains("<metadata>") {
                document.replace("<metadata>", &inside)
            } else {
                document.replace("</name>", &format!("</name>{inside}</metadata>"))
            }
        };
        for option in ["--require", "--check-start"] {
            let call = |document: &str| hook(&scratch, [option, "--", "vm", "restore", "begin", "-"]).stdin(document);
            call(&with(&domain(""))).check();
            call(&with(&guest_recorded(&uuid(1), identity(1)))).check();
            call(&with(&different())).status(1).stderr_has("was recorded as i915-V5_8").check();
        }
    }
}

#[test]
fn a_closed_standard_input_is_refused_only_with_require() {
    let scratch = Scratch::new();
    for (option, status) in [("--check-start", 0), ("--require", 1)] {
        let script = "exec \"$0\" hook --sysfs \"$1\" \"$2\" -- vm migrate begin - <&-";
        let run = scratch.program("/bin/sh", ["-c", script]).env("VIRT_MDEV_SYSLOG", scratch.path("syslog"));
        let run = run.arg(BINARY).arg(host_a()).arg(option).status(status);
        run.stderr_has("standard input is closed").check();
    }
}

#[test]
fn a_guest_without_a_record_passes_with_a_warning_and_is_refused_with_require() {
    let scratch = Scratch::new();
    let empty = recorded("", &hostdev(&uuid(1), &NONE));
    for document in [bare(1), guest(ABSENT, &NONE), empty] {
        migrate(&scratch).stdin(&document).stderr_has("not recorded").stderr_has("--into metadata").check();
        let run = hook(&scratch, ["--require", "--", "vm", "migrate", "begin", "-"]).stdin(document);
        run.status(1).stderr_has("guest vm: ").stderr_has(host_name()).check();
    }
    for document in [filled(1), domain("<!-- mdev -->"), bare(1).replace("vfio-pci", "vfio-ccw")] {
        hook(&scratch, ["--require", "--", "vm", "migrate", "begin", "-"]).stdin(document).check();
    }
}

#[test]
fn a_refusal_names_guest_device_host_both_identities_and_a_remedy() {
    let scratch = Scratch::new();
    let devices = [(1, 2), (3, 4)].map(|(device, other)| hostdev(&uuid(device), &elements(other))).concat();
    let others = [ABSENT, &uuid(NO_PCI), &uuid(5)].map(|other| hostdev(other, &elements(5))).concat();
    let document = domain(&[devices, others].concat());
    let finished = migrate(&scratch).stdin(document).status(1).stderr_any().check();
    let text = finished.stderr_text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    let host = host_name();
    for (line, pieces) in lines.iter().zip([
        [&uuid(1), "recorded as i915-V5_8 (0x1234 0x11e8)", "is i915-V5_4 (0x1234 0x11e8)", "with the recorded type"],
        [&uuid(3), "recorded as i915-V5_8 (0x8086 0x10d3)", "is i915-V5_4 (0x8086 0x10d3)", "with the recorded type"],
        [ABSENT, "recorded as i915-V5_4 (0x1b36 0x0005)", "is not on", "mdevctl start"],
        [&uuid(NO_PCI), "i915-V5_4 (0x1b36 0x0005)", "its parent nopci is not a PCI device", "assign the guest"],
    ]) {
        for piece in ["guest vm: ", &host].iter().chain(&pieces) {
            assert!(line.contains(*piece), "{line:?} does not contain {piece:?}");
        }
    }
}

#[test]
fn starts_are_judged_with_check_start() {
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
fn the_environment_names_the_sysfs_if_no_option_does() {
    let scratch = Scratch::new();
    let call = || virt_mdev(&scratch).args("-- vm migrate begin -").env("VIRT_MDEV_SYSFS", host_a());
    call().stdin(filled(1)).check();
    call().stdin(different()).status(1).stderr_has("i915-V5_8").check();
}

#[test]
fn an_unreadable_sysfs_refuses_only_guests_with_a_record() {
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

/// Checks that a run is refused after ten seconds, and not much later.
fn assert_time_is_up(run: Run<'_>) {
    let start = Instant::now();
    let run = run.status(1).stderr_has("time is up").stderr_has("10 s").limit(Duration::from_secs(20));
    run.check();
    let took = start.elapsed();
    assert!((9..13).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn an_endless_standard_input_and_a_blocking_vendor_file_are_refused_after_ten_seconds() {
    let scratch = Scratch::new();
    let sys = scratch.host(&format!(
        "parent pci 0000:af:00.0 vendor=0x10de device=0x1eb8\ntype nvidia-231 api=vfio-pci\n\
         mdev {ABSENT} 0000:af:00.0 nvidia-231\n"
    ));
    let vendor = sys.join("devices/pci0000:af/0000:af:00.0/vendor");
    fs::remove_file(&vendor).unwrap();
    assert!(Command::new("mkfifo").arg(&vendor).status().unwrap().success());
    // Only a FIFO with a writer is waited for.
    let _writer = fs::File::options().read(true).write(true).open(&vendor).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert_time_is_up(migrate(&Scratch::new()).stdin(filled(1)).stdin_stays_open()));
        let run = virt_mdev(&scratch).arg("--sysfs").arg(&sys).args("-- vm migrate begin -");
        assert_time_is_up(run.stdin(guest(ABSENT, &elements(1))));
    });
}

/// A socket that receives the messages of the hook.
struct Syslog(UnixDatagram);

impl Syslog {
    fn listen(scratch: &Scratch) -> Self {
        let socket = UnixDatagram::bind(scratch.path("syslog")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self(socket)
    }

    fn message(&self) -> String {
        let mut message = [0; 8192];
        let length = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_owned()).unwrap()
    }

    fn is_silent(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let is_silent = self.0.recv(&mut [0; 16]).is_err();
        self.0.set_nonblocking(false).unwrap();
        is_silent
    }
}

#[test]
fn warnings_and_refusals_go_to_syslog_too() {
    let scratch = Scratch::new();
    let syslog = Syslog::listen(&scratch);
    for (document, status, priority) in [(bare(1), 0, "<28>virt-mdev["), (different(), 1, "<27>virt-mdev[")] {
        let call = hook(&scratch, ["--", "a\nb", "migrate", "begin", "-"]);
        let finished = call.stdin(document).status(status).stderr_any().check();
        let (stderr, logged) = (finished.stderr_text(), syslog.message());
        assert!(logged.starts_with(priority), "{logged:?}");
        let line = stderr.trim_end().strip_prefix("virt-mdev: ").unwrap();
        assert!(logged.ends_with(&format!("]: {line}")) && line.starts_with("guest a\\nb: "), "{logged:?}, {stderr:?}");
        assert!(syslog.message().starts_with("<30>virt-mdev["));
    }
    let stale = [record(&uuid(1), identity(1)), record(ABSENT, identity(2))].concat();
    migrate(&scratch).stdin(recorded(&stale, &hostdev(&uuid(1), &NONE))).stderr_has("belongs to no hostdev").check();
    let logged = syslog.message();
    assert!(logged.starts_with("<28>virt-mdev[") && logged.contains(ABSENT), "{logged:?}");
}

#[test]
fn each_verdict_is_logged_with_guest_and_operation() {
    let scratch = Scratch::new();
    let syslog = Syslog::listen(&scratch);
    migrate(&scratch).stdin(filled(1)).check();
    let logged = syslog.message();
    assert!(logged.starts_with("<30>virt-mdev["), "{logged:?}");
    assert!(logged.ends_with("]: guest vm: migrate begin: passes, 1 mediated device compared"), "{logged:?}");
    hook(&scratch, ["--", "vm", "restore", "begin", "-"]).stdin(different()).status(1).stderr_any().check();
    assert!(syslog.message().starts_with("<27>"));
    assert!(syslog.message().ends_with("]: guest vm: restore begin: refused, 1 mediated device compared"));
    migrate(&scratch).stdin(domain("")).check();
    hook(&scratch, ["--", "vm", "start", "begin", "-"]).stdin(filled(1)).check();
    assert!(syslog.is_silent(), "nothing was judged");
}

#[test]
fn a_closed_standard_error_does_not_change_the_verdict() {
    let scratch = Scratch::new();
    let shell = |script: &str| {
        let run = scratch.program("/bin/sh", ["-c", script]).env("VIRT_MDEV_SYSLOG", scratch.path("syslog"));
        run.arg(BINARY).arg(host_a())
    };
    let script = "exec \"$0\" hook --sysfs \"$1\" -- vm migrate begin - 2>&- >&-";
    shell(script).stdin(different()).status(1).check();
    shell(script).stdin(bare(1)).check();
    shell(script).stdin(filled(1)).check();
}

/// libvirt gives the guest address of a detached device to the next one.
#[test]
fn a_guest_that_is_filled_after_its_device_was_replaced_passes() {
    let scratch = Scratch::new();
    let fill = |document: &str, options: &[&str]| {
        let run = scratch.fill(["--into", "metadata"].iter().chain(options)).stdin(document).stdout_any().stderr_any();
        run.check().stdout_text()
    };
    let first = fill(&domain(&in_slot(&hostdev(&uuid(1), &NONE), 9)), &[]);
    let replaced = first.replace(&uuid(1), &uuid(2)).replacen(&uuid(2), &uuid(1), 1);
    migrate(&scratch).stdin(&replaced).status(1).stderr_has("is not recorded").stderr_has(uuid(1)).check();
    for (options, warning) in [(&[][..], "belongs to no hostdev"), (&["--on-conflict", "replace"], "")] {
        let filled = fill(&replaced, options);
        for option in ["--require", "--follow-guest-address"] {
            let run = hook(&scratch, [option, "--", "vm", "migrate", "begin", "-"]).stdin(&filled);
            if warning.is_empty() {
                run.check()
            } else {
                run.stderr_has(warning).check()
            };
        }
    }
}

/// A PCI hostdev, by the function of its address on the bus of host-c's card, and by its slot in the guest.
fn pci(function: u8, slot: u8) -> String {
    format!(
        "    <hostdev mode='subsystem' type='pci'>\n      <source>\n        \
         <address domain='0x0000' bus='0x01' slot='0x00' function='{function}'/>\n      </source>\n      \
         <address type='pci' domain='0x0000' bus='0x00' slot='{slot}' function='0x0'/>\n    </hostdev>\n"
    )
}

#[test]
fn what_fill_writes_of_vgpus_passes_after_they_were_detached_attached_and_exchanged() {
    let scratch = Scratch::new();
    let sys = testdata("hosts/linux-6.1/host-c/sys");
    let fill = |document: &str| {
        let run = scratch.virt_mdev(["fill", "--into", "metadata", "--on-conflict", "replace", "--sysfs"]).arg(&sys);
        run.stdin(document).stderr_any().stdout_any().check().stdout_text()
    };
    let judge = |document: &str| {
        virt_mdev(&scratch).args("--require --sysfs").arg(&sys).args("vm migrate begin -").stdin(document)
    };
    // Types: function 4 and 5 are of 1148, 6 is of 1150.
    let both = fill(&domain(&(pci(4, 8) + &pci(6, 9))));
    judge(&both).check();
    let exchanged = both.replace("function='4'", "function='x'").replace("function='6'", "function='4'");
    let exchanged = exchanged.replace("function='x'", "function='6'");
    judge(&exchanged).status(1).stderr_has("guest address 0000:00:08.0 is nvidia-1150").check();
    judge(&fill(&exchanged)).check();
    let detached = both.replace(&pci(4, 8), "");
    judge(&fill(&detached)).check();
    let attached = detached.replace("  </devices>", &(pci(5, 8) + "  </devices>"));
    judge(&fill(&attached)).check();
    let became_mdev = both.replace(&pci(4, 8), &at(&hostdev("c0ffee0c-0000-4000-8000-00000000000c", &NONE), 8));
    judge(&became_mdev).status(1).stderr_has("cannot exchange guests").check();
    judge(&fill(&became_mdev)).check();
}

#[test]
fn many_devices_and_long_values_make_few_and_short_lines() {
    let scratch = Scratch::new();
    let syslog = Syslog::listen(&scratch);
    let devices: String = (0..50).map(|_| hostdev(&uuid(1), &elements(2))).collect();
    let long = hostdev(&format!("{}{}", uuid(1), "\u{9b}".repeat(300_000)), &elements(1));
    for (devices, lines) in [(devices, 11), (long, 1)] {
        let finished = migrate(&scratch).stdin(domain(&devices)).status(1).stderr_any().check();
        let text = finished.stderr_text();
        assert_eq!(text.lines().count(), lines, "{} bytes", text.len());
        assert!(text.lines().all(|line| line.len() < 5000));
        // Nobody has read since the call, so the socket has room for ten lines only.
        for _ in 0..lines.min(10) {
            assert!(syslog.message().starts_with("<27>"));
        }
        while !syslog.is_silent() {}
    }
}
