//! `doctor` on made-up hosts: a healthy one, and one for each finding.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::guests::{
    ABSENT, bare, domain, filled, guest, guest_recorded, host_a, identity, record, recorded, uuid,
};
use crate::support::here::root_can;
use crate::support::{BINARY, Run, Scratch, testdata};

const QEMU_D: &str = "etc/libvirt/hooks/qemu.d";
const SCRIPT: &str = "etc/libvirt/hooks/qemu.d/zz-virt-mdev";
const TARGET: &str = "usr/sbin/virt-mdev-hook";
const CONF: &str = "etc/virt-mdev/hook.conf";
const PROGRAM: &str = "usr/bin/virt-mdev";
const LOCAL_PROFILE: &str = "etc/apparmor.d/local/usr.sbin.libvirtd";
const SHIPPED: &str = include_str!("../../hooks/virt-mdev-hook");
const HOUR: u64 = 3600;

/// A host whose root directory is a scratch directory.
struct Host {
    scratch: Scratch,
    /// Listens for as long as the host lives.
    _syslog: Option<UnixDatagram>,
}

impl Host {
    /// Returns a host on which everything works, with libvirtd started two and a half hours after the script was installed.
    fn healthy() -> Self {
        let scratch = Scratch::new();
        scratch.file(TARGET, SHIPPED);
        scratch.file(CONF, include_str!("../../hooks/hook.conf"));
        fs::create_dir_all(scratch.path(QEMU_D)).unwrap();
        symlink("/usr/sbin/virt-mdev-hook", scratch.path(SCRIPT)).unwrap();
        scratch.file("etc/libvirt/qemu/networks/default.xml", "<network/>");
        scratch.file("etc/libvirt/qemu/win10.xml", named("win10", &guest_recorded(&uuid(1), identity(1))));
        scratch.file("etc/libvirt/qemu/plain.xml", named("plain", &domain("")));
        fs::create_dir_all(scratch.path("usr/bin")).unwrap();
        // To wherever the program was built. An absolute link would be followed in the root directory of the host.
        symlink(format!("{}{BINARY}", "../".repeat(40)), scratch.path(PROGRAM)).unwrap();
        fs::create_dir(scratch.path("dev")).unwrap();
        let syslog = UnixDatagram::bind(scratch.path("dev/log")).unwrap();
        let host = Self { scratch, _syslog: Some(syslog) };
        host.mode(TARGET, 0o755);
        host.mode("dev/log", 0o666);
        host.daemon("812", "libvirtd", now() + 2 * HOUR + HOUR / 2);
        host.file("proc/812/attr/current", "libvirtd (enforce)\n");
        // Another process, and an entry that is not a process.
        host.file("proc/1/comm", "systemd\n");
        host.file("proc/self/comm", "libvirtd\n");
        host
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        assert!(!self.scratch.path(name).is_symlink(), "{name} leads to a file outside this host");
        self.scratch.file(name, content);
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.scratch.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn executable(&self, name: &str, content: impl AsRef<[u8]>) {
        self.file(name, content);
        self.mode(name, 0o755);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.scratch.path(name)).unwrap();
    }

    /// Changes the settings, which must contain `from`.
    fn set(&self, from: &str, to: &str) {
        let old = String::from_utf8(self.scratch.read(CONF)).unwrap();
        assert!(old.contains(from), "{old}");
        self.file(CONF, old.replace(from, to));
    }

    /// Replaces the link to the script by a copy of it in `hooks/qemu.d`.
    fn copy_script(&self) {
        self.remove(SCRIPT);
        self.executable(SCRIPT, SHIPPED);
    }

    fn guest(&self, name: &str, document: &str) {
        self.file(&format!("etc/libvirt/qemu/{name}.xml"), named(name, document));
    }

    /// Adds a daemon that started at a time, in seconds since 1970, 1000 hours after the host.
    fn daemon(&self, pid: &str, name: &str, started: u64) {
        self.file(&format!("proc/{pid}/comm"), format!("{name}\n"));
        self.file(&format!("proc/{pid}/environ"), "LANG=C\0PATH=/usr/sbin:/usr/bin\0");
        let fields = "0 ".repeat(18);
        self.file(&format!("proc/{pid}/stat"), format!("{pid} (a ) b) S {fields}360000000 0 0\n"));
        let uptime = i64::try_from(now()).unwrap() - i64::try_from(started).unwrap() + 1000 * 3600;
        self.file("proc/uptime", format!("{uptime}.00 0.00\n"));
    }

    fn doctor(&self) -> Run<'_> {
        self.scratch.virt_mdev(["doctor", "--root", ".", "--sysfs"]).arg(host_a())
    }

    /// Checks that the report contains this finding, and that all other lines are ok.
    #[track_caller]
    fn finds(&self, level: &str, check: &str, pieces: &[&str]) {
        assert_finds(self.doctor(), level, check, pieces);
    }
}

#[track_caller]
fn assert_finds(run: Run<'_>, level: &str, check: &str, pieces: &[&str]) {
    let report = run.status(i32::from(level == "error")).stdout_any().check().stdout;
    let report = String::from_utf8(report).unwrap();
    let head = format!("{level:7}  {check:8}  ");
    let others: Vec<_> = report.lines().filter(|line| !line.starts_with("ok ") && !line.starts_with("    ")).collect();
    if level != "ok" {
        assert!(others.len() == 1 && others[0].starts_with(&head), "expected {head}:\n{report}");
    } else {
        assert!(others.is_empty(), "{report}");
    }
    let lines: Vec<_> = report.lines().skip_while(|line| !line.starts_with(&head)).collect();
    let finding =
        [lines[0], lines.get(1).copied().filter(|line| line.starts_with("    ")).unwrap_or_default()].join("\n");
    for piece in pieces {
        assert!(finding.contains(piece), "expected {piece:?}:\n{report}");
    }
    assert!(level == "ok" || finding.contains("-> "), "it does not say what to do:\n{report}");
}

fn named(name: &str, document: &str) -> String {
    document.replace("<name>vm</name>", &format!("<name>{name}</name>"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn expected(name: &str) -> String {
    let text = fs::read_to_string(testdata("doctor").join(name)).unwrap();
    text.replace("VERSION", env!("CARGO_PKG_VERSION"))
}

#[test]
fn a_healthy_host_is_ok_in_every_line() {
    let host = Host::healthy();
    host.doctor().stdout(expected("healthy.txt")).check();
    host.doctor().arg("--json").stdout(expected("healthy.json")).check();
}

#[test]
fn without_the_hook_the_report_says_how_to_install_it() {
    let scratch = Scratch::new();
    let run = || scratch.virt_mdev(["doctor", "--root", ".", "--sysfs"]).arg(host_a());
    run().status(1).stdout(expected("bare.txt")).check();
    run().arg("--json").status(1).stdout(expected("bare.json")).check();
}

#[test]
fn a_root_that_is_not_a_directory_is_status_2() {
    let scratch = Scratch::with("file", "");
    for root in ["absent", "file"] {
        scratch.virt_mdev(["doctor", "--root", root]).status(2).stderr_has(root).stderr_has("--root").check();
    }
    scratch.virt_mdev(["doctor", "--rot", "/"]).status(2).stderr_has("--rot").check();
}

#[test]
fn a_script_that_libvirt_does_not_run_is_an_error() {
    let host = Host::healthy();
    host.mode(TARGET, 0o644);
    host.finds("error", "script", &["zz-virt-mdev is not executable", "-> chmod 755 /usr/sbin/virt-mdev-hook"]);
    host.mode(TARGET, 0o757);
    host.finds(
        "error",
        "script",
        &["changed by users other than root", "0757", "-> chmod go-w /usr/sbin/virt-mdev-hook"],
    );

    let host = Host::healthy();
    host.mode(QEMU_D, 0o777);
    host.finds("error", "script", &["qemu.d can be changed by users other than root"]);

    let host = Host::healthy();
    host.mode("etc/libvirt", 0o777);
    host.finds("error", "script", &["qemu.d can be replaced by users other than root, who can change /etc/libvirt"]);

    let host = Host::healthy();
    host.mode("usr/sbin", 0o777);
    host.finds("error", "script", &["zz-virt-mdev can be replaced by users other than root, who can change /usr/sbin"]);

    let host = Host::healthy();
    host.remove(SCRIPT);
    fs::create_dir(host.scratch.path(SCRIPT)).unwrap();
    host.finds("error", "script", &["zz-virt-mdev is not a regular file"]);
}

#[test]
fn a_link_to_a_script_that_was_removed_is_an_error() {
    let host = Host::healthy();
    host.remove(TARGET);
    host.finds("error", "script", &["zz-virt-mdev is a link to /usr/sbin/virt-mdev-hook, which does not exist"]);
}

#[test]
fn a_script_that_belongs_to_a_user_is_an_error() {
    if !root_can("give a file away") {
        return;
    }
    let host = Host::healthy();
    chown(host.scratch.path(TARGET), Some(1000), None).unwrap();
    host.finds("error", "script", &["belongs to user 1000", "chown root: /usr/sbin/virt-mdev-hook"]);
}

#[test]
fn the_script_may_be_a_regular_file() {
    let host = Host::healthy();
    host.copy_script();
    // There AppArmor confines it, and what it runs, as it confines the daemon: the program is elsewhere.
    host.file("proc/812/attr/current", "unconfined\n");
    host.finds("ok", "script", &["zz-virt-mdev is there and executable\n"]);
    host.mode(SCRIPT, 0o757);
    host.finds("error", "script", &["changed by users other than root", "0757", "-> chmod go-w /etc/libvirt/hooks/"]);
}

#[test]
fn a_script_of_a_release_that_had_its_settings_in_it_is_an_error() {
    for script in ["#!/bin/sh\nbinary=virt-mdev\noptions=\noptions=\"$options --require\"\n", "#!/bin/sh\nexit 0\n"] {
        let host = Host::healthy();
        host.remove(SCRIPT);
        host.executable(SCRIPT, script);
        host.finds("error", "script", &["does not read /etc/virt-mdev/hook.conf", "keeps the options"]);
    }
}

#[test]
fn the_script_under_its_old_name_is_checked_and_reported() {
    let host = Host::healthy();
    fs::rename(host.scratch.path(SCRIPT), host.scratch.path(QEMU_D).join("90-virt-mdev")).unwrap();
    host.finds("warning", "script", &["90-virt-mdev has the name of an earlier release", "make install-hook"]);
    // With the new script beside it, libvirt runs both.
    let host = Host::healthy();
    host.executable(&format!("{QEMU_D}/90-virt-mdev"), SHIPPED);
    host.finds("error", "order", &["also 90-virt-mdev", "-> rm /etc/libvirt/hooks/qemu.d/90-virt-mdev"]);
}

#[test]
fn a_copy_of_the_script_that_libvirt_would_run_is_an_error() {
    for name in ["zz-virt-mdev.dpkg-dist", "zz-virt-mdev.rpmnew", "zz-virt-mdev~", "zz-virt-mdev.a b"] {
        let host = Host::healthy();
        let path = format!("{QEMU_D}/{name}");
        host.file(&path, SHIPPED);
        host.finds("ok", "order", &[]);
        host.mode(&path, 0o755);
        host.finds("error", "order", &[name, "-> rm "]);
        if name.contains([' ', '~']) {
            host.finds("error", "order", &[&format!("-> rm '/{path}'")]);
        }
    }
}

#[test]
fn a_hook_that_runs_after_the_script_is_a_warning() {
    let host = Host::healthy();
    host.executable(&format!("{QEMU_D}/vgpu"), "#!/bin/sh\n");
    host.finds("ok", "order", &["the last of 2 hooks"]);
    host.executable(&format!("{QEMU_D}/zzz"), "#!/bin/sh\n");
    host.finds("warning", "order", &["zzz after zz-virt-mdev", "what runs last can still change the devices"]);
    host.mode(&format!("{QEMU_D}/zzz"), 0o644);
    host.finds("ok", "order", &["the last of 2 hooks"]);
}

#[test]
fn a_program_that_the_hook_cannot_run_is_an_error() {
    let host = Host::healthy();
    host.remove(PROGRAM);
    host.finds("error", "program", &["/usr/bin/virt-mdev does not exist", "binary="]);
    host.file(PROGRAM, "#!/bin/sh\necho virt-mdev 0\n");
    host.finds("error", "program", &["not executable", "chmod 755 /usr/bin/virt-mdev"]);
    host.mode(PROGRAM, 0o755);
    host.finds("error", "program", &["not an ELF file"]);
    // A program of another root directory is not run.
    host.executable(PROGRAM, b"\x7fELF\x02\x01\x01");
    host.finds(
        "warning",
        "program",
        &["differs from this program", "-> run it yourself: /usr/bin/virt-mdev --version"],
    );
    host.mode(PROGRAM, 0o757);
    host.finds("error", "program", &["changed by users other than root"]);
    host.remove(PROGRAM);
    fs::create_dir(host.scratch.path(PROGRAM)).unwrap();
    host.finds("error", "program", &["not a regular file"]);
}

#[test]
fn another_copy_of_this_program_is_ok() {
    let host = Host::healthy();
    host.remove(PROGRAM);
    fs::copy(BINARY, host.scratch.path(PROGRAM)).unwrap();
    host.finds("ok", "program", &["as this program"]);
}

#[test]
fn a_name_without_a_slash_is_searched_in_the_path_of_the_daemon() {
    let host = Host::healthy();
    host.set("binary=/usr/bin/virt-mdev", "binary=virt-mdev");
    host.finds("ok", "program", &["/usr/bin/virt-mdev"]);
    host.file("proc/812/environ", "PATH=/bin:/opt/bin\0HOME=/\0");
    host.finds("error", "program", &["none of the directories of libvirt's PATH: /bin:/opt/bin"]);
}

#[test]
fn options_are_read_as_the_hook_reads_them() {
    let host = Host::healthy();
    host.set("#option=--require", "option=--require");
    host.finds("ok", "options", &["--require"]);
    host.set("option=--require", "option=--requier --check-start");
    host.finds("error", "options", &["--requier", "unexpected argument '--requier' found", "correct option= in"]);
    host.set("--requier --check-start", "--check-start require");
    host.finds("error", "options", &["'require' is not an option"]);
    host.set("--check-start require", "--help");
    host.finds("error", "options", &["unexpected argument '--help' found"]);
    host.set("option=--help", "option=--sysfs");
    host.finds("error", "options", &["a value is required for '--sysfs <DIR>'"]);
    host.set("option=--sysfs", "option=--host -");
    host.finds("error", "options", &["standard input (-) can be read only once", "correct option= in"]);
}

#[test]
fn settings_with_which_the_hook_refuses_guests_are_an_error() {
    let host = Host::healthy();
    host.set("#option=--require", "option = --require");
    host.finds(
        "error",
        "settings",
        &["/etc/virt-mdev/hook.conf, line 8 is 'option = --require'; expected ", "refuses"],
    );
    host.remove(CONF);
    host.finds("error", "settings", &["/etc/virt-mdev/hook.conf does not exist", "make install-hook", "confmiss"]);
    fs::create_dir(host.scratch.path(CONF)).unwrap();
    host.finds("error", "settings", &["cannot read /etc/virt-mdev/hook.conf: "]);
}

/// They name the program that libvirt's hook runs as root.
#[test]
fn settings_that_others_can_change_are_an_error() {
    let host = Host::healthy();
    host.mode(CONF, 0o646);
    host.finds("error", "settings", &["changed by users other than root", "-> chmod go-w /etc/virt-mdev/hook.conf"]);
}

#[test]
fn a_daemon_that_started_before_the_script_was_installed_is_a_warning() {
    let host = Host::healthy();
    host.daemon("812", "libvirtd", now() - 84 * HOUR);
    host.finds("warning", "daemon", &["libvirtd (PID 812) started 3 days before", "systemctl reload libvirtd"]);
    host.file("proc/812/attr/current", "unconfined\n");
    host.daemon("812", "virtqemud", now() - 90);
    host.finds("warning", "daemon", &["virtqemud (PID 812) started 1 minute before", "systemctl reload virtqemud"]);
    host.file("proc/812/stat", "812 (virtqemud) S 1\n");
    host.finds("warning", "daemon", &["cannot determine when virtqemud (PID 812) started"]);
}

#[test]
fn without_a_daemon_there_is_nothing_to_reload() {
    let host = Host::healthy();
    host.file("proc/812/comm", "virtlogd\n");
    host.finds("ok", "daemon", &["neither libvirtd nor virtqemud is running"]);
}

#[test]
fn an_enforced_profile_needs_a_rule_for_a_program_elsewhere() {
    let host = Host::healthy();
    host.copy_script();
    fs::create_dir_all(host.scratch.path("usr/local/bin")).unwrap();
    fs::copy(BINARY, host.scratch.path("usr/local/bin/virt-mdev")).unwrap();
    host.set("binary=/usr/bin/virt-mdev", "binary=/usr/local/bin/virt-mdev");
    let denied = [
        "(enforce)",
        "'/usr/local/bin/virt-mdev PUx,'",
        "/etc/apparmor.d/local/usr.sbin.libvirtd",
        "apparmor_parser -r",
    ];
    host.finds("error", "apparmor", &denied);
    host.file(
        "etc/apparmor.d/local/usr.sbin.libvirtd",
        "# /usr/local/bin/virt-mdev PUx,\n/usr/local/* PUx,\n/usr/local/bin/virt-mdev r,\n",
    );
    host.finds("error", "apparmor", &denied);
    host.file(LOCAL_PROFILE, "  /usr/local/bin/virt-mdev PUx,\n");
    host.finds("ok", "apparmor", &["lets libvirtd run the script and the program"]);
    host.file(LOCAL_PROFILE, "/usr/local/bin/* PUx,\n");
    host.finds("ok", "apparmor", &[]);
    host.remove(LOCAL_PROFILE);
    for label in ["libvirtd (complain)\n", "unconfined\n"] {
        host.file("proc/812/attr/current", label);
        host.finds("ok", "daemon", &[]);
    }
    // If there are two security modules, each has its own directory.
    host.file("proc/812/attr/apparmor/current", "virtqemud (enforce)\n");
    host.file("proc/812/comm", "virtqemud\n");
    host.finds("error", "apparmor", &["/etc/apparmor.d/local/usr.sbin.virtqemud"]);
}

#[test]
fn an_enforced_profile_needs_a_rule_for_a_script_elsewhere() {
    let host = Host::healthy();
    host.finds("ok", "apparmor", &["lets libvirtd run the script and the program"]);
    fs::create_dir_all(host.scratch.path("usr/local/sbin")).unwrap();
    fs::rename(host.scratch.path(TARGET), host.scratch.path("usr/local/sbin/virt-mdev-hook")).unwrap();
    host.remove(SCRIPT);
    symlink("/usr/local/sbin/virt-mdev-hook", host.scratch.path(SCRIPT)).unwrap();
    host.finds(
        "error",
        "apparmor",
        &["'/usr/local/sbin/virt-mdev-hook PUx,'", "/etc/apparmor.d/local/usr.sbin.libvirtd"],
    );
    host.file(LOCAL_PROFILE, "/usr/local/sbin/virt-mdev-hook PUx,\n");
    host.finds("ok", "apparmor", &[]);
}

#[test]
fn selinux_is_reported_and_a_domain_without_known_rules_is_a_warning() {
    let host = Host::healthy();
    host.file("proc/812/attr/current", "system_u:system_r:virtd_t:s0-s0:c0.c1023\0");
    host.file("sys/fs/selinux/enforce", "1");
    host.finds("ok", "selinux", &["enforcing"]);
    host.file("proc/812/attr/current", "system_u:system_r:virtqemud_t:s0\0");
    host.finds("warning", "selinux", &["virtqemud_t", "ausearch"]);
    host.file("sys/fs/selinux/enforce", "0");
    host.finds("ok", "selinux", &["permissive"]);
}

#[test]
fn a_host_without_mediated_devices_is_a_warning_and_without_sysfs_an_error() {
    let host = Host::healthy();
    host.remove("etc/libvirt/qemu/win10.xml");
    let on = |sysfs: &str| host.scratch.virt_mdev(["doctor", "--root", ".", "--sysfs", sysfs]);
    fs::create_dir_all(host.scratch.path("no-mdev/bus/pci")).unwrap();
    assert_finds(on("no-mdev"), "warning", "sysfs", &["no driver for mediated devices is loaded"]);
    fs::create_dir_all(host.scratch.path("no-parent/bus/mdev/devices")).unwrap();
    assert_finds(on("no-parent"), "warning", "sysfs", &["class/mdev_bus is empty"]);
    let broken = host.scratch.host(
        "parent pci 0000:00:02.0 vendor=0x8086 device=0x591d\ntype i915-V5_4 api=vfio-pci\n\
         mdev c2177883-f1bb-47f0-914d-32a22e3a8804 0000:00:02.0 i915-V5_4\n",
    );
    fs::remove_file(broken.join("devices/pci0000:00/0000:00:02.0/vendor")).unwrap();
    assert_finds(on(broken.to_str().unwrap()), "error", "sysfs", &["1 cannot be looked up", ABSENT, "vendor"]);
    // Then the devices of guests cannot be compared.
    on("nothing").status(1).stdout_has("error    sysfs ").stdout_has("warning  guests  ").check();
    // Without --sysfs, the sysfs of the root directory is read.
    fs::create_dir_all(host.scratch.path("sys/bus/mdev/devices")).unwrap();
    fs::create_dir_all(host.scratch.path("sys/class/mdev_bus")).unwrap();
    symlink("../../devices/virtual/mtty/mtty", host.scratch.path("sys/class/mdev_bus/mtty")).unwrap();
    host.scratch.virt_mdev(["doctor", "--root", "."]).stdout_has("0 mdevs of 1 parent device\n").check();
}

#[test]
fn a_syslog_that_nobody_reads_is_a_warning() {
    let mut host = Host::healthy();
    host._syslog = None;
    host.finds("warning", "syslog", &["/dev/log takes no datagram"]);
    host.remove("dev/log");
    host.finds("warning", "syslog", &["/dev/log does not exist"]);
    host.file("dev/log", "");
    host.finds("warning", "syslog", &["/dev/log is not a socket"]);
}

#[test]
fn the_doctor_sends_nothing_to_syslog() {
    let host = Host::healthy();
    host.finds("ok", "syslog", &[]);
    let socket = host._syslog.as_ref().unwrap();
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 16]).is_err());
}

#[test]
fn guests_that_the_hook_would_refuse_or_not_protect_are_named() {
    let host = Host::healthy();
    host.guest("b", &bare(2));
    host.guest("a", &bare(3));
    host.guest("c", &filled(1));
    host.finds("warning", "guests", &["2 guests (a, b): devices are not recorded", "record-guests", "virsh edit"]);
    let host = Host::healthy();
    host.guest("other", &guest_recorded(&uuid(1), identity(2)));
    host.finds("error", "guests", &["1 guest (other): devices on this host differ", "virt-mdev check"]);
    let host = Host::healthy();
    host.guest("gone", &guest_recorded(ABSENT, identity(1)));
    host.finds("warning", "guests", &["1 guest (gone): this host does not have their devices now"]);
    let host = Host::healthy();
    let both =
        record(&uuid(1), identity(1)).replace("</mdev:hostdev>", "<mdev:vendorid>1</mdev:vendorid></mdev:hostdev>");
    host.guest("twice", &recorded(&both, ""));
    host.finds("error", "guests", &["1 guest (twice) cannot be judged: ", "vendorid"]);
    let host = Host::healthy();
    host.file("etc/libvirt/qemu/cut.xml", "<domain>");
    host.finds("warning", "guests", &["1 guest (cut) cannot be read: ", "virt-mdev check /etc/libvirt/qemu/GUEST.xml"]);
    let host = Host::healthy();
    host.guest("two", &guest("no-uuid", &[""; 0]));
    host.finds("error", "guests", &["1 guest (two) cannot be judged: 'no-uuid' is not a UUID"]);
}

#[test]
fn the_first_ten_of_many_guests_are_named() {
    let host = Host::healthy();
    for number in 10..30 {
        host.guest(&format!("vm{number}"), &bare(1));
    }
    host.finds("warning", "guests", &["20 guests", "vm10, vm11, ", "vm19 and 10 more"]);
}

#[test]
fn control_characters_in_names_are_escaped() {
    let host = Host::healthy();
    host.file("etc/libvirt/qemu/x.xml", bare(1).replace("<name>vm<", "<name>v\u{9b}31m&#10;x<"));
    host.finds("warning", "guests", &["v\\u{9b}31m\\nx"]);
    host.doctor().arg("--json").stdout_has("v\\\\u{9b}31m\\\\nx").check();
}

#[test]
fn a_fifo_does_not_block_the_run() {
    let host = Host::healthy();
    for name in [PROGRAM, "etc/libvirt/qemu/pipe.xml", "proc/812/environ"] {
        let _ = fs::remove_file(host.scratch.path(name));
        let made = std::process::Command::new("mkfifo").arg(host.scratch.path(name)).status().unwrap();
        assert!(made.success());
    }
    host.doctor().status(1).stdout_has("/usr/bin/virt-mdev is not a regular file").stdout_has("pipe").check();
}

#[test]
fn a_host_whose_vgpus_are_virtual_functions_is_in_order_without_mediated_devices() {
    let host = Host::healthy();
    host.remove("etc/libvirt/qemu/win10.xml");
    let on = |name: &str| {
        let sys = testdata(&format!("hosts/linux-6.1/{name}/sys"));
        host.scratch.virt_mdev(["doctor", "--root", ".", "--sysfs"]).arg(sys)
    };
    assert_finds(on("host-d"), "ok", "sysfs", &["4 virtual functions for vGPUs"]);
    assert_finds(on("host-c"), "ok", "sysfs", &["1 mdev of 1 parent device, 4 virtual functions for vGPUs"]);
    let address = |function: u8| format!("<source><address bus='0x82' function='{function}'/></source>");
    let hostdev = |function| domain(&format!("<hostdev type='pci'>{}</hostdev>", address(function)));
    host.guest("typed", &hostdev(6));
    assert_finds(on("host-d"), "warning", "guests", &["typed", "devices are not recorded"]);
    host.guest("typed", &hostdev(4));
    assert_finds(on("host-d"), "warning", "guests", &["typed", "has no vGPU type now"]);
}
