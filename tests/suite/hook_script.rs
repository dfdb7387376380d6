//! The script that libvirt runs, `hooks/virt-mdev-hook`: when it calls the program, and what it does without one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::guests::{bare, different, domain, filled, guest_recorded, host_a, identity, uuid};
use crate::support::here::skipped;
use crate::support::operations::{JUDGED, OTHERS};
use crate::support::{BINARY, Run, Scratch, testdata};

const SHIPPED: &str = include_str!("../../hooks/virt-mdev-hook");
const CONF: &str = include_str!("../../hooks/hook.conf");

/// An installed script, with a `logger` that writes to a file instead of syslog.
struct Installed {
    scratch: Scratch,
    /// Outside the directory that a run must leave unchanged, since the script does not wait for `logger`.
    tools: tempfile::TempDir,
    binary: PathBuf,
    options: String,
}

impl Installed {
    /// Returns a script that runs the program under test, on host-a.
    fn new() -> Self {
        let tools = tempfile::tempdir().unwrap();
        let logger = tools.path().join("logger");
        fs::write(&logger, format!("#!/bin/sh\necho \"$@\" >> '{}/log'\n", tools.path().display())).unwrap();
        fs::set_permissions(&logger, fs::Permissions::from_mode(0o755)).unwrap();
        let options = format!("--sysfs {}", host_a().display());
        Self { scratch: Scratch::new(), tools, binary: BINARY.into(), options }
    }

    fn with_options(mut self, options: &str) -> Self {
        self.options = format!("{} {options}", self.options);
        self
    }

    fn with_binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = binary.into();
        self
    }

    /// Writes the script and its settings, and calls it as libvirt does.
    fn call(&self, guest: &str, operation: &str, suboperation: &str) -> Run<'_> {
        self.call_with(&format!("option={}", self.options), guest, operation, suboperation)
    }

    /// The same with these lines for the options.
    fn call_with(&self, options: &str, guest: &str, operation: &str, suboperation: &str) -> Run<'_> {
        let binary = format!("\nbinary={}\n", self.binary.display());
        let conf = CONF.replace("\nbinary=/usr/bin/virt-mdev\n", &binary);
        assert_ne!(conf, CONF);
        self.scratch.file("etc/virt-mdev/hook.conf", format!("{conf}{options}"));
        self.call_as_is(guest, operation, suboperation)
    }

    /// The same with the settings that are there.
    fn call_as_is(&self, guest: &str, operation: &str, suboperation: &str) -> Run<'_> {
        let script = self.scratch.file("etc/libvirt/hooks/qemu.d/zz-virt-mdev", SHIPPED);
        let path = format!("{}:{}", self.tools.path().display(), std::env::var("PATH").unwrap());
        let run = self.scratch.program("/bin/sh", [script]).env("PATH", path);
        run.env("VIRT_MDEV_SYSLOG", self.tools.path().join("none")).arg(guest).arg(operation).arg(suboperation).arg("-")
    }

    fn migrate(&self) -> Run<'_> {
        self.call("vm", "migrate", "begin")
    }

    /// Adds a file to the scratch directory that is used as the program.
    fn executable(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.scratch.file(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn log(&self) -> PathBuf {
        self.tools.path().join("log")
    }

    /// Waits for a message to `logger`, and returns all since the last call.
    fn logged(&self) -> String {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            match fs::read_to_string(self.log()) {
                Ok(line) if line.ends_with('\n') => {
                    fs::remove_file(self.log()).unwrap();
                    return line;
                }
                _ => thread::sleep(Duration::from_millis(2)),
            }
        }
        panic!("nothing was logged");
    }

    /// Checks that `vm` passes with a warning, or with `--require` is refused, and that the message contains `why`.
    fn cannot_judge(mut self, why: &str) {
        for (require, status, priority) in [(false, 0, "daemon.warning"), (true, 1, "daemon.err")] {
            if require {
                self = self.with_options("--require");
            }
            let run = self.migrate().stdin(different()).status(status);
            let run =
                run.stderr_matches("^virt-mdev: guest vm: cannot be judged on .*--require is (not )?set there\n$");
            run.stderr_has(why).check();
            let line = self.logged();
            assert!(line.starts_with(&format!("-t virt-mdev -p {priority} -- guest vm: cannot be judged")), "{line}");
            assert!(line.contains(why), "{line}");
        }
    }

    /// Checks that a guest without mediated devices passes without a message, whatever the options.
    fn passes_others(self) {
        let installed = self.with_options("--require --check-start --unheard-of");
        for operation in ["migrate", "restore", "prepare"] {
            installed.call("vm", operation, "begin").stdin(domain("")).check();
        }
        assert!(!installed.log().exists());
    }
}

/// Returns programs that do not work, each with a piece of the message about it.
fn broken() -> Vec<(Installed, &'static str)> {
    let mut start = Vec::new();
    File::open(BINARY).unwrap().take(1 << 20).read_to_end(&mut start).unwrap();
    let mut of_another_machine = start.clone();
    // e_machine: a number that no machine has, in either byte order
    of_another_machine[18..20].fill(0xee);
    let mut all = vec![
        (Installed::new().with_binary("/not/there/virt-mdev"), "is not installed"),
        (Installed::new().with_binary("/not/there/virt mdev"), "is not installed"),
        (Installed::new().with_binary("/bin/false"), "status 1 and without a verdict"),
        (Installed::new().with_binary("/bin/ls"), "status 2 and without a verdict"),
        (Installed::new().with_binary("/"), "is not a program for this machine"),
    ];
    for (content, why) in [
        (&b""[..], "is not a program for this machine"),
        // If a shell runs them, they create a file, which fails the test.
        (b"touch executed\n", "is not a program for this machine"),
        (b"\x7fELF\ntouch executed\n", "is not a program for this machine"),
        (b"#!/bin/sh\ntouch executed\n", "is not a program for this machine"),
        (&start[..40], "is not a program for this machine"),
        (&start[..100], "is not a program for this machine"),
        (&start[..4096], "without a verdict"),
        (&start, "without a verdict"),
        (&of_another_machine, "is not a program for this machine"),
    ] {
        let installed = Installed::new();
        let binary = installed.executable("virt-mdev", content);
        all.push((installed.with_binary(binary), why));
    }
    let installed = Installed::new();
    let binary = installed.scratch.file("virt-mdev", &start);
    // The messages of dash and bash differ.
    all.push((installed.with_binary(binary), "virt-mdev"));
    all
}

#[test]
fn only_judged_operations_call_the_program() {
    let installed = Installed::new();
    for guest in ["vm", "--help", "-dash", "--", "", "a b"] {
        for operation in JUDGED {
            installed.call(guest, operation, "begin").stdin(filled(1)).check();
            let run = installed.call(guest, operation, "begin").stdin(different()).status(1);
            run.stderr_has(format!("virt-mdev: guest {guest}: mdev ")).check();
        }
    }
    // This program always fails.
    let installed = Installed::new().with_binary("/bin/false").with_options("--require");
    for guest in ["vm", "--help", "-dash", "--", "", "a b"] {
        for [operation, suboperation] in OTHERS {
            let run = installed.call(guest, operation, suboperation).stdin(different());
            // Whether a start is judged depends on the settings, which only a guest with mediated devices reaches.
            if operation == "prepare" {
                run.check()
            } else {
                run.stdin_stays_open().check()
            };
        }
    }
}

#[test]
fn a_start_calls_the_program_if_an_option_asks_for_it() {
    let installed = Installed::new().with_options("--check-start");
    installed.call("vm", "prepare", "begin").stdin(different()).status(1).stderr_has("guest vm: mdev ").check();
    installed.call("vm", "prepare", "begin").stdin(filled(1)).check();
    let installed = Installed::new().with_binary("/bin/false").with_options("--require --defer-absent");
    installed.call("vm", "prepare", "begin").stdin(different()).status(1).stderr_has("cannot be judged").check();
    installed.call("vm", "start", "begin").stdin(different()).check();
}

#[test]
fn the_program_accepts_every_option_that_the_settings_offer() {
    let offered: Vec<_> = CONF.lines().filter_map(|line| line.strip_prefix("#option=")).collect();
    assert_eq!(offered.len(), 4);
    for option in offered {
        let installed = Installed::new().with_options(option);
        installed.migrate().stdin(guest_recorded(&uuid(1), identity(1))).check();
        installed.migrate().stdin(different()).status(1).stderr_has("guest vm: mdev ").check();
    }
}

/// libvirt 11.3 deletes the saved state of a guest if a hook fails at `restore begin`.
#[test]
fn a_guest_with_a_managed_save_image_is_judged_at_prepare_instead_of_restore() {
    for (variable, image) in
        [("HOME", ".config/libvirt/qemu/save/vm.save"), ("XDG_CONFIG_HOME", "libvirt/qemu/save/vm.save")]
    {
        for options in ["", "--require", "--check-start"] {
            let installed = Installed::new().with_options(options);
            installed.scratch.file(image, "");
            let call = |guest: &str, operation: &str| {
                let run = installed.call(guest, operation, "begin").env(variable, installed.scratch.dir());
                run.stdin(different())
            };
            call("vm", "restore").check();
            call("vm", "prepare").status(1).stderr_has("guest vm: mdev ").check();
            call("vm", "prepare").stdin(filled(1)).check();
            call("vm", "migrate").status(1).stderr_has("guest vm: mdev ").check();
            call("other", "restore").status(1).stderr_has("guest other: mdev ").check();
            if options != "--check-start" {
                call("other", "prepare").check();
            }
        }
    }
}

#[test]
fn a_guest_without_mediated_devices_does_not_depend_on_the_program() {
    for (installed, _) in broken() {
        installed.passes_others();
    }
}

#[test]
fn without_a_working_program_a_guest_passes_with_a_warning_and_is_refused_with_require() {
    for (installed, why) in broken() {
        installed.cannot_judge(why);
    }
}

#[test]
fn a_program_on_a_noexec_mount_does_not_work() {
    let mount = |directory: &Path| {
        let script = "mount -t tmpfs -o noexec tmpfs \"$0\" && cp \"$1\" \"$0/virt-mdev\" && shift && exec \"$@\"";
        let words = ["unshare", "-rm", "/bin/sh", "-c", script].map(OsString::from);
        words.into_iter().chain([directory.into(), BINARY.into()])
    };
    let directory = tempfile::tempdir().unwrap();
    let mut words = mount(directory.path());
    let trial = Command::new(words.next().unwrap()).args(words).arg("true").output();
    if !trial.is_ok_and(|trial| trial.status.success()) {
        return skipped("a tmpfs cannot be mounted");
    }
    for (options, status) in [("", 0), ("--require", 1)] {
        let installed = Installed::new().with_binary(directory.path().join("virt-mdev")).with_options(options);
        let run = installed.migrate().under(mount(directory.path())).stdin(different()).status(status);
        run.stderr_has("guest vm: cannot be judged on ").stderr_has("ermission denied").check();
        installed.migrate().under(mount(directory.path())).stdin(domain("")).check();
    }
}

#[test]
fn a_verdict_after_a_message_of_the_loader_is_recognized() {
    let run = Installed::new();
    let run = run.migrate().env("LD_PRELOAD", "/not/there.so").stdin(different()).status(1);
    run.stderr_matches("(?m)^virt-mdev: guest vm: mdev ").stderr_lacks("cannot be judged").check();
}

#[test]
fn a_typo_in_the_options_refuses_only_guests_with_mediated_devices() {
    for typo in ["--requier", "require", "--require=yes", "--check-start --check-start", "'", "*"] {
        let installed = Installed::new().with_options(typo);
        for operation in JUDGED {
            let run = installed.call("vm", operation, "begin").stdin(filled(1)).status(1);
            run.stderr_has("virt-mdev: guest vm: ").stderr_lacks("cannot be judged on").check();
            installed.call("vm", operation, "begin").stdin(domain("")).check();
        }
    }
}

/// Checks that the settings that are there refuse guests with mediated devices, say why, and concern no others.
fn refuses_mediated_devices(installed: &Installed, why: &str) {
    let conf = installed.scratch.path("etc/virt-mdev/hook.conf");
    for [operation, suboperation] in OTHERS.into_iter().filter(|[operation, _]| *operation != "prepare") {
        installed.call_as_is("vm", operation, suboperation).stdin(different()).stdin_stays_open().check();
    }
    for operation in ["migrate", "restore", "prepare"] {
        installed.call_as_is("vm", operation, "begin").stdin(domain("")).check();
        let run = installed.call_as_is("vm", operation, "begin").stdin(filled(1)).status(1);
        run.stderr_has("guest vm: cannot be judged on ").stderr_has(format!("{} {why}", conf.display())).check();
    }
}

#[test]
fn a_line_that_is_not_a_setting_refuses_guests_with_mediated_devices_and_no_others() {
    for line in
        ["option=require", "option = --require", "options=--require", "--require", "option=", "binary=", ": $(exit)"]
    {
        let installed = Installed::new();
        installed.scratch.file("etc/virt-mdev/hook.conf", format!("{CONF}{line}"));
        refuses_mediated_devices(&installed, &format!("has the line '{line}'"));
    }
    let installed = Installed::new();
    installed.scratch.file("etc/virt-mdev/hook.conf", "option\u{1b}[31m\r\n");
    refuses_mediated_devices(&installed, "has the line 'option?[31m?'");
}

#[test]
fn settings_that_cannot_be_read_refuse_guests_with_mediated_devices_and_no_others() {
    let installed = Installed::new();
    refuses_mediated_devices(&installed, "does not exist");
    fs::create_dir_all(installed.scratch.path("etc/virt-mdev/hook.conf")).unwrap();
    refuses_mediated_devices(&installed, "is not a regular file");
}

#[test]
fn settings_are_not_run() {
    let installed = Installed::new();
    let run = installed.call_with("option=--sysfs $(touch executed) `touch executed`", "vm", "migrate", "begin");
    run.stdin(filled(1)).status(1).stderr_has("virt-mdev: guest vm: ").check();
    assert!(!installed.scratch.path("executed").exists());
}

#[test]
fn lines_with_blanks_around_them_and_without_a_newline_at_the_end_are_settings() {
    let installed = Installed::new();
    let options = format!("\n \t# a comment\n\t option={}  --check-start \t", installed.options);
    installed
        .call_with(&options, "vm", "prepare", "begin")
        .stdin(different())
        .status(1)
        .stderr_has("guest vm: mdev ")
        .check();
}

/// The default program is searched for in PATH, where this test has none.
#[test]
fn empty_settings_are_the_defaults() {
    let installed = Installed::new();
    installed.scratch.file("etc/virt-mdev/hook.conf", "");
    let path = installed.tools.path().join("bin");
    fs::create_dir(&path).unwrap();
    let mut tools = vec![(BINARY.to_owned(), "virt-mdev")];
    tools.extend(["cat", "tr", "uname", "od"].map(|tool| (which(tool), tool)));
    for (from, to) in tools {
        std::os::unix::fs::symlink(from, path.join(to)).unwrap();
    }
    let call = |operation: &str| installed.call_as_is("vm", operation, "begin").env("PATH", &path);
    call("migrate").env("VIRT_MDEV_SYSFS", host_a()).stdin(different()).status(1).stderr_has("guest vm: mdev ").check();
    call("prepare").stdin(different()).check();
}

fn which(program: &str) -> String {
    let found = Command::new("/bin/sh").args(["-c", "command -v \"$0\"", program]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn a_warning_about_a_guest_that_passes_is_shown() {
    let installed = Installed::new();
    installed.migrate().stdin(bare(1)).stderr_has("virt-mdev: guest vm: its mediated device is not recorded").check();
}

/// libvirt takes the output of a hook for the domain.
#[test]
fn the_output_of_the_program_does_not_become_the_domain() {
    let installed = Installed::new().with_binary("/bin/echo");
    installed.migrate().stdin(different()).check();
}

#[test]
fn the_program_gets_a_long_domain_whole() {
    let padding = |length: usize| format!("<description>{}</description></domain>", "&apos;".repeat(length / 6));
    let long = |document: String, length| document.replace("</domain>", &padding(length));
    let limit = Duration::from_secs(30);
    let installed = Installed::new();
    installed.migrate().stdin(long(filled(1), 4_000_000)).limit(limit).check();
    let run = installed.migrate().stdin(long(different(), 4_000_000)).limit(limit).status(1);
    run.stderr_has("guest vm: mdev ").check();
    installed.migrate().stdin(long(domain(""), 12_000_000)).limit(limit).check();
}

#[test]
fn a_domain_that_cannot_be_read_is_refused_only_with_require() {
    // Where standard input is closed, bash gives the pipe of a command substitution its number.
    let has_bash = Path::new("/bin/bash").exists();
    if !has_bash {
        skipped("/bin/bash does not exist");
    }
    for shell in ["/bin/sh", "/bin/bash"].into_iter().filter(|shell| has_bash || *shell == "/bin/sh") {
        for (options, status) in [("", 0), ("--require", 1)] {
            let installed = Installed::new().with_options(options);
            let run = installed.migrate().under(["/bin/sh", "-c", "sh=$0; shift; exec \"$sh\" \"$@\" <&-", shell]);
            run.status(status).stderr_has("guest vm: cannot be judged on ").stderr_has("standard input").check();
        }
    }
}

/// A guest without the letters `mdev`, whose VF on host-d has a vGPU type.
fn unrecorded_vgpu() -> String {
    let address = "<address domain='0x0000' bus='0x82' slot='0x00' function='0x6'/>";
    domain(&format!("<hostdev mode='subsystem' type='pci'><source>{address}</source></hostdev>"))
}

#[test]
fn a_guest_with_a_vgpu_that_is_a_pci_device_reaches_the_program_only_with_require() {
    let host_d = testdata("hosts/linux-6.1/host-d/sys");
    let with = |options: &str| {
        let mut installed = Installed::new();
        installed.options = format!("--sysfs {} {options}", host_d.display());
        installed
    };
    let document = unrecorded_vgpu();
    with("--check-start").migrate().stdin(&document).check();
    with("--require").migrate().stdin(&document).status(1).stderr_has("is not recorded and is nvidia-1148").check();
    with("--require")
        .with_binary("/nowhere")
        .migrate()
        .stdin(&document)
        .status(1)
        .stderr_has("cannot be judged")
        .check();
    with("--require").migrate().stdin(document.replace("type='pci'", "type='usb'")).check();
}
