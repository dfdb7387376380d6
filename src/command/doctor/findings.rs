//! Evaluates the facts about a host. It is pure, so that a test can make up any host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::facts::{
    CONF, Conf, Daemon, Facts, FileFacts, GUESTS, Guest, GuestState, Hooks, Lacking, OLD_SCRIPT, Program, QEMU_D,
    SCRIPT, SYSLOG, Script, THIS, Weakness,
};
use crate::host::HostRecord;
use crate::plan::check::Verdict;
use crate::report::escape;

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) level: Level,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check(pub(super) &'static str);

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warning,
    Error,
}

/// Returns what is wrong with the options of `hook`, as the command line reports it.
pub(super) type CheckOptions = fn(&[String]) -> Result<(), String>;

/// The most names in one line.
const MAX_NAMES: usize = 10;

/// The largest difference between the clocks of file times and of process start times.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(50);

const INSTALL: &str =
    "install the package virt-mdev-hook, or in the source tree: make install-hook PREFIX=/usr (virt-mdev-hook(8))";
const AS_ROOT: &str = "run virt-mdev doctor as root";
const RECORD: &str = "on a host that has the devices, record all guests: record-guests (virt-mdev-hook(8)), or one that is shut \
                      off: EDITOR='virt-mdev fill -i --into metadata' virsh edit GUEST";

impl Check {
    fn ok(self, found: impl Into<String>) -> Finding {
        Finding { check: self, level: Level::Ok, found: found.into(), remedy: None }
    }

    fn warning(self, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { check: self, level: Level::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn error(self, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { level: Level::Error, ..self.warning(found, remedy) }
    }
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Evaluates a host. Returns one or more findings for each check, in the order in which the hook needs them.
pub(super) fn diagnose(facts: &Facts, check_options: CheckOptions) -> Vec<Finding> {
    let mut findings = script(&facts.hooks);
    findings.extend(order(&facts.hooks));
    findings.extend(settings(&facts.hooks));
    findings.extend(facts.program.as_ref().map(program));
    findings.extend(options(&facts.hooks, check_options));
    findings.extend(daemons(facts));
    findings.extend(facts.selinux.map(|is_enforcing| selinux(is_enforcing, &facts.daemons)));
    findings.push(sysfs(facts));
    findings.push(syslog(&facts.syslog));
    findings.extend(guests(&facts.guests));
    findings
}

fn script(hooks: &Hooks) -> Vec<Finding> {
    let check = Check("script");
    let directory = match &hooks.directory {
        Ok(directory) => directory,
        Err(lacking) => return vec![not_installed(check, QEMU_D, lacking)],
    };
    let Script { file, reads_conf } = match &hooks.script {
        Ok(script) => script,
        Err(lacking) => return vec![not_installed(check, &format!("{QEMU_D}/{SCRIPT}"), lacking)],
    };
    let path = file.path.display();
    let mut findings: Vec<_> = unsafe_file(check, directory).or_else(|| unsafe_file(check, file)).into_iter().collect();
    if !file.is_regular {
        findings.push(check.error(format!("{path} is not a regular file: libvirt does not run it"), INSTALL));
    } else if !file.is_executable {
        let found = format!("{path} is not executable: libvirt does not run it");
        findings.push(check.error(found, format!("chmod 755 {}", quoted(&file.target))));
    }
    if file.name() == OLD_SCRIPT {
        let found = format!(
            "{path} has the name of an earlier release: a hook whose name sorts after it can still change the guest"
        );
        findings.push(check.warning(found, format!("{INSTALL}, which replaces it and keeps its options")));
    }
    match reads_conf {
        Err(reason) if file.is_regular => findings.push(check.error(format!("cannot read {path}: {reason}"), AS_ROOT)),
        Ok(false) => {
            let found = format!("{path} does not read {CONF}: it is not the script of this release");
            findings.push(check.error(found, format!("{INSTALL}, which keeps the options of an earlier release")));
        }
        _ => {}
    }
    if findings.is_empty() {
        let link = (file.target != file.path).then(|| format!(", a link to {}", file.target.display()));
        findings.push(check.ok(format!("{path} is there and executable{}", link.unwrap_or_default())));
    }
    findings
}

fn not_installed(check: Check, path: &str, lacking: &Lacking) -> Finding {
    match lacking {
        Lacking::Absent => check.error(format!("{path} does not exist: the hook is not installed"), INSTALL),
        Lacking::Dangling(link) => {
            let found =
                format!("{path} is a link to {}, which does not exist: the hook is not installed", link.display());
            check.error(found, INSTALL)
        }
        Lacking::Unreadable(reason) => check.error(format!("cannot read {path}: {reason}"), AS_ROOT),
    }
}

/// Checks the file that the settings are read from.
fn settings(hooks: &Hooks) -> Option<Finding> {
    let check = Check("settings");
    let refused = "the hook refuses guests with mediated devices";
    let Conf { file, settings } = match hooks.conf.as_ref()? {
        Ok(conf) => conf,
        Err(Lacking::Unreadable(reason)) => return Some(check.error(format!("cannot read {CONF}: {reason}"), AS_ROOT)),
        Err(_) => {
            let remedy = "make install-hook creates it, and so does a package if told to: apt-get install --reinstall -o \
                          Dpkg::Options::=--force-confmiss virt-mdev-hook; an empty file means the defaults";
            return Some(check.error(format!("{CONF} does not exist: {refused}"), remedy));
        }
    };
    Some(unsafe_file(check, file).unwrap_or_else(|| match settings {
        Ok(_) => check.ok(format!("{CONF} can be read")),
        Err(error) => check.error(format!("{CONF}, {error}: {refused}"), "correct the line"),
    }))
}

/// Returns an error if somebody other than root can change what libvirt runs as root.
fn unsafe_file(check: Check, file: &FileFacts) -> Option<Finding> {
    let (path, target) = (file.path.display(), quoted(&file.target));
    let (found, remedy) = match file.weakness.as_ref()? {
        Weakness::Owner(uid) => (
            format!("{path} belongs to user {uid}, who can change what libvirt runs as root"),
            format!("chown root: {target}"),
        ),
        Weakness::Mode(mode) => (
            format!("{path} can be changed by users other than root (mode {mode:04o})"),
            if file.is_regular || file.path == file.target {
                format!("chmod go-w {target}")
            } else {
                "replace it by a regular file that only root can change".to_owned()
            },
        ),
        Weakness::Directory(directory) => (
            format!("{path} can be replaced by users other than root, who can change {}", directory.display()),
            format!(
                "put it where only root can change the directories, or: chown root: {0} && chmod go-w {0}",
                quoted(directory)
            ),
        ),
    };
    Some(check.error(found, remedy))
}

fn order(hooks: &Hooks) -> Vec<Finding> {
    let check = Check("order");
    let Ok(script) = &hooks.script else { return Vec::new() };
    let others = || hooks.files.iter().filter(|file| file.is_executable && file.name() != script.file.name());
    let (copies, rest): (Vec<_>, Vec<_>) = others().partition(|file| file.name().contains("virt-mdev"));
    let after: Vec<_> = rest.into_iter().filter(|file| file.path > script.file.path).collect();
    let mut findings = Vec::new();
    if !copies.is_empty() {
        let paths: Vec<_> = copies.iter().map(|file| quoted(&file.path)).collect();
        let found = format!(
            "libvirt runs every executable file of {QEMU_D}, also {}",
            names(copies.iter().map(|file| file.name()))
        );
        findings.push(check.error(found, format!("rm {}", paths.join(" "))));
    }
    if !after.is_empty() {
        let found = format!(
            "libvirt runs {} after {}, and what runs last can still change the devices of the guest",
            names(after.iter().map(|file| file.name())),
            script.file.name()
        );
        findings.push(check.warning(found, "give them names that sort before it in byte order"));
    }
    if findings.is_empty() {
        findings.push(check.ok(match others().count() {
            0 => format!("it is the only hook in {QEMU_D}"),
            others => format!("it is the last of {} hooks in {QEMU_D}", others + 1),
        }));
    }
    findings
}

fn program(program: &Result<Program, String>) -> Finding {
    let check = Check("program");
    let set_binary = "install it, or set binary= in /etc/virt-mdev/hook.conf";
    let Program { file, is_elf, is_noexec, version } = match program {
        Ok(program) => program,
        Err(reason) => return check.error(reason, set_binary),
    };
    let path = file.path.display();
    if let Some(finding) = unsafe_file(check, file) {
        return finding;
    }
    if !file.is_regular {
        return check.error(format!("{path} is not a regular file"), set_binary);
    }
    if !file.is_executable {
        return check.error(format!("{path} is not executable"), format!("chmod 755 {}", quoted(&file.target)));
    }
    if !is_elf {
        return check.error(format!("{path} is not an ELF file"), "install virt-mdev again: make install PREFIX=/usr");
    }
    if *is_noexec {
        return check.error(format!("{path} is on a file system that is mounted noexec"), set_binary);
    }
    let by_hand = format!("run it yourself: {} --version", quoted(&file.path));
    match version {
        Some(Ok(printed)) if printed == THIS => check.ok(format!("{path} is {THIS}, as this program is")),
        Some(Ok(printed)) if printed.starts_with("virt-mdev ") => {
            let found = format!("{path} is {printed}, and this program is {THIS}");
            check.warning(found, "install the same release in both places, or remove one of them")
        }
        Some(Ok(_)) => check.error(format!("{path} is not virt-mdev"), set_binary),
        Some(Err(reason)) => check.error(format!("{path} {reason}"), by_hand),
        None => {
            let found =
                format!("{path} differs from this program, {THIS}, and with --root it is not run to find its version");
            check.warning(found, by_hand)
        }
    }
}

fn options(hooks: &Hooks, check_options: CheckOptions) -> Option<Finding> {
    let settings = hooks.settings()?;
    let words = settings.options.join(" ");
    let check = Check("options");
    Some(match check_options(&settings.options) {
        Ok(()) if words.is_empty() => check.ok("none: guests without a record pass, and starts are not judged"),
        Ok(()) => check.ok(words),
        Err(error) => check.error(format!("{words}: {error}"), format!("correct option= in {CONF}")),
    })
}

fn daemons(facts: &Facts) -> Vec<Finding> {
    if facts.daemons.is_empty() {
        let found = "neither libvirtd nor virtqemud is running; a daemon looks for hooks when it starts";
        return vec![Check("daemon").ok(found)];
    }
    facts.daemons.iter().flat_map(|daemon| [start(daemon, &facts.hooks), app_armor(daemon, facts)]).flatten().collect()
}

/// Checks whether the daemon knows that there are hooks.
fn start(daemon: &Daemon, hooks: &Hooks) -> Option<Finding> {
    let check = Check("daemon");
    let script = &hooks.script.as_ref().ok()?.file;
    let who = format!("{} (PID {})", daemon.name, daemon.pid);
    let reload = format!("if it was not reloaded since: systemctl reload {}", daemon.name);
    let started = match &daemon.started {
        Ok(started) => *started,
        Err(reason) => {
            return Some(check.warning(format!("cannot determine when {who} started: {reason}"), reload));
        }
    };
    if started + CLOCK_TOLERANCE > script.changed {
        let age = duration(started.saturating_sub(script.changed));
        return Some(check.ok(format!("{who} started {age} after the script was last changed")));
    }
    // It only remembers whether there is any hook, and searches the directory again for each call.
    let mut known = hooks.files.iter().chain(&hooks.first).filter(|file| file.is_executable && file.changed < started);
    if let Some(other) = known.next() {
        let found = format!("{who} runs hooks: it started after {} was installed", other.path.display());
        return Some(check.ok(found));
    }
    let age = duration(script.changed - started);
    let found = format!(
        "{who} started {age} before the script was last changed; it looks for hooks only when it starts or is reloaded, and a \
         reload leaves no trace"
    );
    Some(check.warning(found, reload))
}

fn app_armor(daemon: &Daemon, facts: &Facts) -> Option<Finding> {
    let check = Check("apparmor");
    let name = daemon.name;
    let (profile, mode) = daemon.label.strip_suffix(')')?.rsplit_once(" (")?;
    if matches!(mode, "complain" | "unconfined") {
        return Some(check.ok(format!("{name} runs under profile {profile} in {mode} mode, which forbids nothing")));
    }
    // AppArmor checks the file itself, not a link to it.
    let script = facts.hooks.script.as_ref().ok().map(|script| &script.file.target);
    let program = match &facts.program {
        // A script elsewhere is not confined as the daemon is, and neither is what it runs.
        Some(Ok(program)) if script.is_some_and(|script| script.starts_with(HOOKS)) => Some(&program.file.target),
        _ => None,
    };
    let denied: Vec<&PathBuf> =
        [script, program].into_iter().flatten().filter(|path| !is_allowed(path, &daemon.rules)).collect();
    let Some(first) = denied.first() else {
        return Some(check.ok(format!("profile {profile} ({mode}) lets {name} run the script and the program")));
    };
    let found = format!(
        "profile {profile} ({mode}) has no rule that lets {name} run {}",
        names(denied.iter().map(|path| path.display()))
    );
    let remedy = format!(
        "add the line '{} PUx,' to /etc/apparmor.d/local/usr.sbin.{name}, then: apparmor_parser -r \
         /etc/apparmor.d/usr.sbin.{name}",
        first.display()
    );
    Some(check.error(found, remedy))
}

/// Where scripts are confined by the profile of the daemon that runs them (`ix`), not by one of their own or none (`PUx`).
const HOOKS: &str = "/etc/libvirt/hooks";

/// Whether an AppArmor profile as libvirt ships it, with these rules, lets the daemon execute a file.
fn is_allowed(path: &Path, rules: &str) -> bool {
    const SHIPPED: [&str; 4] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin"];
    let is_shipped = path.parent().is_some_and(|parent| SHIPPED.iter().any(|dir| parent == Path::new(dir)))
        || path.starts_with(HOOKS);
    let whole_name = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    let is_rule = |line: &str| {
        let mut words = line.trim().trim_end_matches(',').split_ascii_whitespace();
        let (Some(pattern), Some(permissions)) = (words.next(), words.next()) else { return false };
        let pattern = glob::Pattern::new(pattern.trim_matches('"'));
        permissions.contains('x') && pattern.is_ok_and(|pattern| pattern.matches_path_with(path, whole_name))
    };
    is_shipped || rules.lines().any(is_rule)
}

fn selinux(is_enforcing: bool, daemons: &[Daemon]) -> Finding {
    let check = Check("selinux");
    if !is_enforcing {
        check.ok("permissive: it denies nothing")
    } else if daemons.iter().any(|daemon| daemon.label.contains(":virtqemud_t:")) {
        check.warning(
            "enforcing, and virtqemud runs as virtqemud_t, and no known rule lets that run a hook",
            "look for denials: ausearch -m avc -ts boot | grep virt",
        )
    } else {
        check.ok("enforcing")
    }
}

fn sysfs(facts: &Facts) -> Finding {
    let check = Check("sysfs");
    let HostRecord { pci_devices, mdev_parents, unreadable, .. } = match &facts.devices {
        Ok(record) => record,
        Err(reason) => return check.error(reason, "check that it is mounted and that you may read it"),
    };
    // A virtual function that NVIDIA's driver does not manage has no vGPU type, and can be looked up.
    let is_unreadable = |address| unreadable.iter().any(|entry| entry.address == Some(address));
    let functions = pci_devices.iter().filter(|device| device.physfn.is_some());
    let vgpus = functions.filter(|device| device.vgpu_type.is_some() || is_unreadable(device.address));
    let vgpus: Vec<_> = vgpus.map(|device| device.address).collect();
    if !facts.has_mdev_bus && vgpus.is_empty() {
        let remedy = "load the driver of the GPU, or the module mdev, and run virt-mdev doctor again";
        return check.warning("no driver for mediated devices is loaded: bus/mdev does not exist", remedy);
    }
    if mdev_parents.is_empty() && vgpus.is_empty() {
        let remedy =
            "load a driver that supports mediated devices, or enable the virtual functions of a card with vGPUs";
        return check.warning("no device of this host can have mediated devices: class/mdev_bus is empty", remedy);
    }
    let mdevs = mdev_parents.iter().map(|parent| parent.mdevs.len()).sum::<usize>()
        + unreadable.iter().filter(|entry| entry.uuid.is_some()).count();
    let of_mdevs = format!("{} of {}", count(mdevs, "mdev"), count(mdev_parents.len(), "parent device"));
    let of_vgpus = format!("{} for vGPUs", count(vgpus.len(), "virtual function"));
    let counts = match (mdev_parents.len(), vgpus.len()) {
        (_, 0) => of_mdevs,
        (0, _) => of_vgpus,
        _ => format!("{of_mdevs}, {of_vgpus}"),
    };
    let lost = unreadable.iter().filter(|entry| entry.address.is_none_or(|address| vgpus.contains(&address)));
    let lost: Vec<_> = lost.filter_map(|entry| Some((entry.device()?, &entry.error))).collect();
    match lost.first() {
        None => check.ok(counts),
        Some((device, reason)) => check.error(
            format!("{counts}, of which {} cannot be looked up; the first is {device}: {reason}", lost.len()),
            "a guest with such a device is refused; check the files of the device or its parent, which the driver provides",
        ),
    }
}

fn syslog(connected: &Result<(), String>) -> Finding {
    let check = Check("syslog");
    match connected {
        Ok(()) => check.ok(format!("{SYSLOG} takes datagrams: journalctl -t virt-mdev shows the messages of the hook")),
        Err(reason) => {
            let remedy = "start systemd-journald, or a syslog daemon that listens there";
            check.warning(format!("{SYSLOG} {reason}; messages about guests that pass are lost"), remedy)
        }
    }
}

fn guests(guests: &Result<Vec<Guest>, String>) -> Vec<Finding> {
    let check = Check("guests");
    let guests = match guests {
        Ok(guests) => guests,
        Err(reason) => return vec![check.warning(format!("{GUESTS}: {reason}"), AS_ROOT)],
    };
    let mut findings = Vec::new();
    let unreadable = guests.iter().filter_map(|guest| match &guest.state {
        GuestState::Unreadable(reason) => Some((guest, reason)),
        _ => None,
    });
    if let Some((guests, first)) = listed(unreadable) {
        let remedy = format!("see where it is wrong, as root: virt-mdev check {GUESTS}/GUEST.xml");
        findings.push(check.warning(format!("{guests} cannot be read: {first}"), remedy));
    }
    let not_judged = guests.iter().filter_map(|guest| match &guest.state {
        GuestState::NotJudged(reason) => Some((guest, reason)),
        _ => None,
    });
    if let Some((guests, first)) = listed(not_judged) {
        let remedy = "the hook refuses it; correct it: virsh edit GUEST";
        findings.push(check.error(format!("{guests} cannot be judged: {first}"), remedy));
    }
    for (verdict, level, found, remedy) in [
        (
            Verdict::Different,
            Level::Error,
            "devices on this host differ from the recorded ones",
            "see how they differ: virsh dumpxml GUEST | virt-mdev check",
        ),
        (
            Verdict::Missing,
            Level::Warning,
            "this host does not have their devices now",
            "see which: virsh dumpxml GUEST | virt-mdev check; mdevctl list shows what can be started",
        ),
        (
            Verdict::Untyped,
            Level::Warning,
            "a virtual function of theirs has no vGPU type now",
            "see which: virsh dumpxml GUEST | virt-mdev check; unless it is set when a guest starts, set the type",
        ),
        (Verdict::Unrecorded, Level::Warning, "devices are not recorded", RECORD),
    ] {
        let is_so = |guest: &&Guest| matches!(&guest.state, GuestState::Judged(all) if all.contains(&verdict));
        if let Some((guests, _)) = listed(guests.iter().filter(is_so).map(|guest| (guest, ()))) {
            findings.push(Finding { level, ..check.warning(format!("{guests}: {found}"), remedy) });
        }
    }
    let has_devices = |guest: &&Guest| !matches!(&guest.state, GuestState::Judged(verdicts) if verdicts.is_empty());
    let with_devices = guests.iter().filter(has_devices).count();
    if findings.is_empty() {
        findings.push(check.ok(match (guests.len(), with_devices) {
            (0, _) => format!("none is defined in {GUESTS}"),
            (all, 0) => format!("{} defined, none with mediated devices", count(all, "guest")),
            (all, some) => {
                let all = count(all, "guest");
                format!("{all} defined, {some} with mediated devices, all recorded and the same on this host")
            }
        }));
    }
    findings
}

/// Returns the number and names of guests, and what is said of the first.
fn listed<'a, T>(guests: impl Iterator<Item = (&'a Guest, T)>) -> Option<(String, T)> {
    let (guests, said): (Vec<_>, Vec<_>) = guests.unzip();
    let number = count(guests.len(), "guest");
    let names = names(guests.into_iter().map(|guest| &guest.name));
    Some((format!("{number} ({names})"), said.into_iter().next()?))
}

/// Returns `1 guest`, `2 guests`.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Returns the first names of a list, and how many more there are.
fn names(all: impl ExactSizeIterator<Item: ToString>) -> String {
    let more = all.len().saturating_sub(MAX_NAMES);
    let listed = all.take(MAX_NAMES).map(|name| name.to_string()).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

/// Returns a path as a word for a shell.
fn quoted(path: &Path) -> String {
    escape::shell_word(&path.to_string_lossy())
}

/// Returns a duration in the largest unit that fits, such as `3 days`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (size, unit) = units.into_iter().find(|(size, _)| seconds >= *size).unwrap_or((1, "second"));
    count(usize::try_from(seconds / size).unwrap_or_default(), unit)
}

#[cfg(test)]
mod tests {
    use super::super::hook_conf::HookConf;
    use super::*;
    use crate::host::record::MdevParent;

    fn file(path: &str, changed: u64) -> FileFacts {
        FileFacts {
            path: path.into(),
            target: path.into(),
            is_regular: true,
            is_executable: true,
            changed: Duration::from_secs(changed),
            weakness: None,
        }
    }

    /// Returns a host with a working hook, without daemons and guests.
    fn facts() -> Facts {
        let script = file("/etc/libvirt/hooks/qemu.d/zz-virt-mdev", 1000);
        let settings = HookConf { binary: "/usr/bin/virt-mdev".into(), options: Vec::new() };
        let parent = MdevParent { name: "mtty".into(), bus: None, types: Vec::new(), mdevs: Vec::new() };
        Facts {
            hooks: Hooks {
                directory: Ok(file(QEMU_D, 0)),
                files: vec![script.clone()],
                first: None,
                script: Ok(Script { file: script, reads_conf: Ok(true) }),
                conf: Some(Ok(Conf { file: file(CONF, 1000), settings: Ok(settings) })),
            },
            program: None,
            daemons: Vec::new(),
            selinux: None,
            has_mdev_bus: true,
            devices: Ok(HostRecord { mdev_parents: vec![parent], ..HostRecord::default() }),
            syslog: Ok(()),
            guests: Ok(Vec::new()),
        }
    }

    /// Returns the findings that are not ok, as level and text.
    fn problems(facts: &Facts) -> Vec<(Level, String)> {
        let findings = diagnose(facts, |_| Ok(()));
        let problems = findings.into_iter().filter(|finding| finding.level != Level::Ok);
        problems
            .inspect(|finding| assert!(finding.remedy.is_some(), "{finding:?}"))
            .map(|f| (f.level, f.found))
            .collect()
    }

    #[test]
    fn each_failure_of_the_program_is_reported() {
        assert_eq!(problems(&facts()), []);
        for (is_noexec, version, problem) in [
            (false, Some(Ok(THIS)), None),
            (false, Some(Ok("virt-mdev 0.0.1")), Some((Level::Warning, "virt-mdev 0.0.1, and this"))),
            (false, Some(Ok("true (GNU coreutils) 9.1")), Some((Level::Error, "is not virt-mdev"))),
            (false, Some(Err("does not run: x")), Some((Level::Error, "/usr/bin/virt-mdev does not run: x"))),
            (true, None, Some((Level::Error, "mounted noexec"))),
        ] {
            let mut facts = facts();
            let file = file("/usr/bin/virt-mdev", 0);
            let version = version.map(|version| version.map(str::to_owned).map_err(str::to_owned));
            facts.program = Some(Ok(Program { file, is_elf: true, is_noexec, version: version.clone() }));
            match (&problems(&facts)[..], problem) {
                ([], None) => {}
                ([(level, found)], Some((expected, piece))) if *level == expected && found.contains(piece) => {}
                (problems, _) => panic!("{version:?}: {problems:?}"),
            }
        }
    }

    #[test]
    fn a_daemon_that_started_after_another_hook_was_installed_finds_the_script() {
        let mut facts = facts();
        facts.daemons = vec![Daemon {
            name: "libvirtd",
            pid: 1,
            started: Ok(Duration::from_secs(500)),
            label: String::new(),
            rules: String::new(),
            path: None,
        }];
        assert_eq!(problems(&facts).len(), 1);
        let other = |changed| file("/etc/libvirt/hooks/qemu.d/10-other", changed);
        facts.hooks.files.insert(0, other(600));
        assert_eq!(problems(&facts).len(), 1, "it was installed after the daemon started, too");
        facts.hooks.files[0] = FileFacts { is_executable: false, ..other(400) };
        assert_eq!(problems(&facts).len(), 1, "libvirt does not run it");
        facts.hooks.files[0] = other(400);
        assert_eq!(problems(&facts), []);
        facts.hooks.files.remove(0);
        facts.hooks.first = Some(file("/etc/libvirt/hooks/qemu", 400));
        assert_eq!(problems(&facts), []);
    }

    #[test]
    fn an_unreadable_file_is_not_reported_as_absent() {
        let mut facts = facts();
        facts.hooks.directory = Err(Lacking::Unreadable("Permission denied".into()));
        facts.hooks.script = Err(Lacking::Unreadable("Permission denied".into()));
        assert_eq!(problems(&facts), [(Level::Error, format!("cannot read {QEMU_D}: Permission denied"))]);
        facts.hooks.directory = Ok(file(QEMU_D, 0));
        assert_eq!(problems(&facts), [(Level::Error, format!("cannot read {QEMU_D}/{SCRIPT}: Permission denied"))]);
    }

    #[test]
    fn a_duration_is_in_the_largest_unit_that_fits() {
        for (seconds, shown) in
            [(0, "0 seconds"), (1, "1 second"), (119, "1 minute"), (7200, "2 hours"), (400_000, "4 days")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), shown);
        }
    }
}
