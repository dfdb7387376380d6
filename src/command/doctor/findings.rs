//! Evaluates the facts about a host. It is pure, so that a test can make up any host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::facts::{
    CONF, Conf, Daemon, Devices, Facts, FileFacts, GUESTS, Guest, GuestState, Hooks, Label, Lacking, OLD_SCRIPT, Owner,
    Program, QEMU_D, SCRIPT, SYSLOG, Script, SelinuxMode, Version,
};
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
#[serde(rename_all = "lowercase")]
pub(super) enum Check {
    Script,
    Order,
    Settings,
    Program,
    Options,
    Daemon,
    AppArmor,
    Selinux,
    Sysfs,
    Syslog,
    Guests,
}

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
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Order => "order",
            Self::Settings => "settings",
            Self::Program => "program",
            Self::Options => "options",
            Self::Daemon => "daemon",
            Self::AppArmor => "apparmor",
            Self::Selinux => "selinux",
            Self::Sysfs => "sysfs",
            Self::Syslog => "syslog",
            Self::Guests => "guests",
        }
    }

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
    let mut findings = script(&facts.hooks, facts.owner);
    findings.extend(order(&facts.hooks));
    findings.extend(settings(&facts.hooks, facts.owner));
    findings.extend(facts.program.as_ref().map(|found| program(found, facts.owner)));
    findings.extend(options(&facts.hooks, check_options));
    findings.extend(daemons(facts));
    findings.extend(facts.selinux.map(|mode| selinux(mode, &facts.daemons)));
    findings.extend(sysfs(&facts.sysfs));
    findings.push(syslog(&facts.syslog));
    findings.extend(guests(&facts.guests));
    findings
}

fn script(hooks: &Hooks, owner: Owner) -> Vec<Finding> {
    let check = Check::Script;
    let directory = match &hooks.directory {
        Ok(directory) => directory,
        Err(lacking) => return vec![not_installed(check, QEMU_D, lacking)],
    };
    let Script { file, reads_conf } = match &hooks.script {
        Ok(script) => script,
        Err(lacking) => return vec![not_installed(check, &format!("{QEMU_D}/{SCRIPT}"), lacking)],
    };
    let path = shown(&file.path);
    let mut findings: Vec<_> = [
        unsafe_file(check, directory, owner).or_else(|| unsafe_file(check, file, owner)),
        (!file.is_regular)
            .then(|| check.error(format!("{path} is not a regular file: libvirt does not run it"), INSTALL)),
        (file.is_regular && !file.is_executable()).then(|| {
            check.error(
                format!("{path} is not executable: libvirt does not run it"),
                format!("chmod 755 {}", quoted(&file.target)),
            )
        }),
        (file.name() == OLD_SCRIPT).then(|| {
            let found = format!(
                "{path} has the name of an earlier release: a hook whose name sorts after it can still change the guest"
            );
            check.warning(found, format!("{INSTALL}, which replaces it and keeps its options"))
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    match reads_conf {
        Err(reason) if file.is_regular => findings.push(check.error(format!("cannot read {path}: {reason}"), AS_ROOT)),
        Ok(false) => {
            let found = format!("{path} does not read {CONF}: it is not the script of this release");
            findings.push(check.error(found, format!("{INSTALL}, which keeps the options of an earlier release")));
        }
        _ => {}
    }
    if findings.is_empty() {
        let link = (file.target != file.path).then(|| format!(", a link to {}", shown(&file.target)));
        findings.push(check.ok(format!("{path} is there and executable{}", link.unwrap_or_default())));
    }
    findings
}

fn not_installed(check: Check, path: &str, lacking: &Lacking) -> Finding {
    match lacking {
        Lacking::Absent => check.error(format!("{path} does not exist: the hook is not installed"), INSTALL),
        Lacking::Dangling(link) => {
            let found = format!("{path} is a link to {}, which does not exist: the hook is not installed", shown(link));
            check.error(found, INSTALL)
        }
        Lacking::Unreadable(reason) => check.error(format!("cannot read {path}: {reason}"), AS_ROOT),
    }
}

/// Checks the file that the settings are read from.
fn settings(hooks: &Hooks, owner: Owner) -> Option<Finding> {
    let check = Check::Settings;
    if !matches!(&hooks.script, Ok(Script { reads_conf: Ok(true), .. })) {
        return None;
    }
    let refused = "the hook refuses guests with mediated devices";
    let Conf { file, settings } = match &hooks.conf {
        Ok(conf) => conf,
        Err(Lacking::Unreadable(reason)) => return Some(check.error(format!("cannot read {CONF}: {reason}"), AS_ROOT)),
        Err(_) => {
            let remedy = "make install-hook creates it, and so does a package if told to: apt-get install --reinstall -o \
                          Dpkg::Options::=--force-confmiss virt-mdev-hook; an empty file means the defaults";
            return Some(check.error(format!("{CONF} does not exist: {refused}"), remedy));
        }
    };
    Some(unsafe_file(check, file, owner).unwrap_or_else(|| match settings {
        Ok(_) => check.ok(format!("{CONF} can be read")),
        Err(error) => check.error(format!("{CONF}, {error}: {refused}"), "correct the line"),
    }))
}

/// Returns an error if somebody other than root can change what libvirt runs as root.
fn unsafe_file(check: Check, file: &FileFacts, owner: Owner) -> Option<Finding> {
    let (path, target) = (shown(&file.path), quoted(&file.target));
    if !file.has_trusted_owner(owner) {
        let found = format!("{path} belongs to user {}, who can change what libvirt runs as root", file.owner.uid);
        Some(check.error(found, format!("chown root: {target}")))
    } else if file.is_writable_by_others(owner) {
        let found = format!("{path} can be changed by users other than root (mode {:04o})", file.mode & 0o7777);
        let remedy = if file.is_regular || file.path == file.target {
            format!("chmod go-w {target}")
        } else {
            "replace it by a regular file that only root can change".to_owned()
        };
        Some(check.error(found, remedy))
    } else if let Some(directory) = file.weak_directory(owner) {
        let above = shown(&directory.path);
        let found = format!("{path} can be replaced by users other than root, who can change {above}");
        Some(check.error(
            found,
            format!(
                "put it where only root can change the directories, or: chown root: {0} && chmod go-w {0}",
                quoted(&directory.path)
            ),
        ))
    } else {
        None
    }
}

fn order(hooks: &Hooks) -> Vec<Finding> {
    let check = Check::Order;
    let Ok(script) = &hooks.script else { return Vec::new() };
    let others = || hooks.files.iter().filter(|file| file.is_executable() && file.name() != script.file.name());
    let is_copy = |file: &&FileFacts| file.name().to_string_lossy().contains("virt-mdev");
    let (copies, after): (Vec<_>, Vec<_>) = (
        others().filter(is_copy).collect(),
        others().filter(|file| !is_copy(file) && file.path > script.file.path).collect(),
    );
    let mut findings = Vec::new();
    if !copies.is_empty() {
        let paths: Vec<_> = copies.iter().map(|file| quoted(&file.path)).collect();
        let found = format!(
            "libvirt runs every executable file of {QEMU_D}, also {}",
            names(copies.iter().map(|file| name(file)))
        );
        findings.push(check.error(found, format!("rm {}", paths.join(" "))));
    }
    if !after.is_empty() {
        let found = format!(
            "libvirt runs {} after {}, and what runs last can still change the devices of the guest",
            names(after.iter().map(|file| name(file))),
            name(&script.file)
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

fn program(program: &Program, owner: Owner) -> Finding {
    const THIS: &str = concat!("virt-mdev ", env!("CARGO_PKG_VERSION"));
    let check = Check::Program;
    let set_binary = "install it, or set binary= in /etc/virt-mdev/hook.conf";
    let (file, is_elf, is_noexec, version) = match program {
        Program::Absent { binary, path: Some(path) } => {
            return check
                .error(format!("{binary} is in none of the directories of libvirt's PATH: {path}"), set_binary);
        }
        Program::Absent { binary, path: None } => return check.error(format!("{binary} does not exist"), set_binary),
        Program::Found { file, is_elf, is_noexec, version } => (file, is_elf, is_noexec, version),
    };
    let path = shown(&file.path);
    if let Some(finding) = unsafe_file(check, file, owner) {
        return finding;
    }
    if !file.is_regular {
        return check.error(format!("{path} is not a regular file"), set_binary);
    }
    if !file.is_executable() {
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
        Version::Itself => check.ok(format!("{path} is {THIS}, as this program is")),
        Version::Printed(printed) if printed == THIS => check.ok(format!("{path} is {THIS}, as this program is")),
        Version::Printed(printed) if printed.starts_with("virt-mdev ") => {
            let found = format!("{path} is {printed}, and this program is {THIS}");
            check.warning(found, "install the same release in both places, or remove one of them")
        }
        Version::Printed(_) => check.error(format!("{path} is not virt-mdev"), set_binary),
        Version::Failed(reason) => check.error(format!("{path} does not run: {reason}"), by_hand),
        Version::TimedOut(limit) => {
            check.error(format!("{path} --version does not end within {} s", limit.as_secs()), by_hand)
        }
        Version::NotTried => {
            let found =
                format!("{path} differs from this program, {THIS}, and with --root it is not run to find its version");
            check.warning(found, by_hand)
        }
    }
}

fn options(hooks: &Hooks, check_options: CheckOptions) -> Option<Finding> {
    let settings = hooks.settings()?;
    let words = settings.options.join(" ");
    Some(match check_options(&settings.options) {
        Ok(()) if words.is_empty() => {
            Check::Options.ok("none: guests without a record pass, and starts are not judged")
        }
        Ok(()) => Check::Options.ok(words),
        Err(error) => Check::Options.error(format!("{words}: {error}"), format!("correct option= in {CONF}")),
    })
}

fn daemons(facts: &Facts) -> Vec<Finding> {
    if facts.daemons.is_empty() {
        return vec![
            Check::Daemon.ok("neither libvirtd nor virtqemud is running; a daemon looks for hooks when it starts"),
        ];
    }
    facts.daemons.iter().flat_map(|daemon| [start(daemon, &facts.hooks), app_armor(daemon, facts)]).flatten().collect()
}

/// Checks whether the daemon knows that there are hooks.
fn start(daemon: &Daemon, hooks: &Hooks) -> Option<Finding> {
    let script = &hooks.script.as_ref().ok()?.file;
    let who = format!("{} (PID {})", daemon.name.name(), daemon.pid);
    let reload = format!("if it was not reloaded since: systemctl reload {}", daemon.name.name());
    let started = match &daemon.started {
        Ok(started) => *started,
        Err(reason) => {
            return Some(Check::Daemon.warning(format!("cannot determine when {who} started: {reason}"), reload));
        }
    };
    if started + CLOCK_TOLERANCE > script.changed {
        let age = duration(started.saturating_sub(script.changed));
        return Some(Check::Daemon.ok(format!("{who} started {age} after the script was last changed")));
    }
    // It only remembers whether there is any hook, and searches the directory again for each call.
    let mut known =
        hooks.files.iter().chain(&hooks.first).filter(|file| file.is_executable() && file.changed < started);
    if let Some(other) = known.next() {
        let found = format!("{who} runs hooks: it started after {} was installed", shown(&other.path));
        return Some(Check::Daemon.ok(found));
    }
    let age = duration(script.changed - started);
    let found = format!(
        "{who} started {age} before the script was last changed; it looks for hooks only when it starts or is reloaded, and a \
         reload leaves no trace"
    );
    Some(Check::Daemon.warning(found, reload))
}

fn app_armor(daemon: &Daemon, facts: &Facts) -> Option<Finding> {
    let check = Check::AppArmor;
    let name = daemon.name.name();
    let Label::AppArmor { profile, mode } = &daemon.label else { return None };
    if matches!(mode.as_str(), "complain" | "unconfined") {
        return Some(check.ok(format!("{name} runs under profile {profile} in {mode} mode, which forbids nothing")));
    }
    // AppArmor checks the file itself, not a link to it.
    let script = facts.hooks.script.as_ref().ok().map(|script| &script.file.target);
    let program = match &facts.program {
        // A script elsewhere is not confined as the daemon is, and neither is what it runs.
        Some(Program::Found { file, .. }) if script.is_some_and(|script| script.starts_with(HOOKS)) => {
            Some(&file.target)
        }
        _ => None,
    };
    let denied: Vec<&PathBuf> =
        [script, program].into_iter().flatten().filter(|path| !is_allowed(path, &daemon.rules)).collect();
    let Some(first) = denied.first() else {
        return Some(check.ok(format!("profile {profile} ({mode}) lets {name} run the script and the program")));
    };
    let found = format!(
        "profile {profile} ({mode}) has no rule that lets {name} run {}",
        names(denied.iter().map(|path| shown(path)))
    );
    let remedy = format!(
        "add the line '{} PUx,' to /etc/apparmor.d/local/usr.sbin.{name}, then: apparmor_parser -r \
         /etc/apparmor.d/usr.sbin.{name}",
        shown(first)
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

fn selinux(mode: SelinuxMode, daemons: &[Daemon]) -> Finding {
    let check = Check::Selinux;
    let in_virtqemud_t = daemons
        .iter()
        .any(|daemon| matches!(&daemon.label, Label::Context(context) if context.contains(":virtqemud_t:")));
    match mode {
        SelinuxMode::Permissive => check.ok("permissive: it denies nothing"),
        SelinuxMode::Enforcing if in_virtqemud_t => check.warning(
            "enforcing, and virtqemud runs as virtqemud_t, and no known rule lets that run a hook",
            "look for denials: ausearch -m avc -ts boot | grep virt",
        ),
        SelinuxMode::Enforcing => check.ok("enforcing"),
    }
}

fn sysfs(devices: &Result<Devices, String>) -> Vec<Finding> {
    let check = Check::Sysfs;
    let devices = match devices {
        Ok(devices) => devices,
        Err(reason) => return vec![check.error(reason.clone(), "check that it is mounted and that you may read it")],
    };
    let Devices { has_bus, parents, mdevs, vgpus, unreadable } = devices;
    if !has_bus && *vgpus == 0 {
        let remedy = "load the driver of the GPU, or the module mdev, and run virt-mdev doctor again";
        return vec![check.warning("no driver for mediated devices is loaded: there is no bus/mdev", remedy)];
    }
    if *parents == 0 && *vgpus == 0 {
        let remedy =
            "load a driver that supports mediated devices, or enable the virtual functions of a card with vGPUs";
        return vec![
            check.warning("no device of this host can have mediated devices: class/mdev_bus is empty", remedy),
        ];
    }
    let of_mdevs = || format!("{} of {}", count(*mdevs, "mdev"), count(*parents, "parent device"));
    let of_vgpus = || format!("{} for vGPUs", count(*vgpus, "virtual function"));
    let counts = match (parents, vgpus) {
        (_, 0) => of_mdevs(),
        (0, _) => of_vgpus(),
        _ => format!("{}, {}", of_mdevs(), of_vgpus()),
    };
    match unreadable.first() {
        None => vec![check.ok(counts)],
        Some((device, reason)) => {
            let found =
                format!("{counts}, of which {} cannot be looked up; the first is {device}: {reason}", unreadable.len());
            vec![check.error(
                found,
                "a guest with such a device is refused; check the files of the device or its parent, which the driver provides",
            )]
        }
    }
}

fn syslog(connected: &Result<(), String>) -> Finding {
    match connected {
        Ok(()) => Check::Syslog
            .ok(format!("{SYSLOG} takes datagrams: journalctl -t virt-mdev shows the messages of the hook")),
        Err(reason) => {
            let remedy = "start systemd-journald, or a syslog daemon that listens there";
            Check::Syslog.warning(format!("{SYSLOG} {reason}; messages about guests that pass are lost"), remedy)
        }
    }
}

fn guests(guests: &Result<Vec<Guest>, String>) -> Vec<Finding> {
    let check = Check::Guests;
    let guests = match guests {
        Ok(guests) => guests,
        Err(reason) => return vec![check.warning(format!("{GUESTS}: {reason}"), AS_ROOT)],
    };
    let mut findings = Vec::new();
    let unreadable = |guest: &Guest| match &guest.state {
        GuestState::Unreadable(reason) => Some(reason.clone()),
        _ => None,
    };
    findings.extend(guests_that(guests, unreadable).map(|(guests, first)| {
        let remedy = format!("see where it is wrong, as root: virt-mdev check {GUESTS}/GUEST.xml");
        check.warning(format!("{guests} cannot be read: {first}"), remedy)
    }));
    let not_judged = |guest: &Guest| match &guest.state {
        GuestState::NotJudged(reason) => Some(reason.clone()),
        _ => None,
    };
    findings.extend(guests_that(guests, not_judged).map(|(guests, first)| {
        check.error(format!("{guests} cannot be judged: {first}"), "the hook refuses it; correct it: virsh edit GUEST")
    }));
    let with = |verdict: Verdict| {
        let verdicts_have = move |guest: &Guest| match &guest.state {
            GuestState::Judged(verdicts) => verdicts.contains(&verdict).then(String::new),
            _ => None,
        };
        guests_that(guests, verdicts_have).map(|(guests, _)| guests)
    };
    findings.extend(with(Verdict::Different).map(|guests| {
        let remedy = "see how they differ: virsh dumpxml GUEST | virt-mdev check";
        check.error(format!("{guests}: devices on this host differ from the recorded ones"), remedy)
    }));
    findings.extend(with(Verdict::Missing).map(|guests| {
        let remedy = "see which: virsh dumpxml GUEST | virt-mdev check; mdevctl list shows what can be started";
        check.warning(format!("{guests}: this host does not have their devices now"), remedy)
    }));
    findings.extend(with(Verdict::Untyped).map(|guests| {
        let remedy =
            "see which: virsh dumpxml GUEST | virt-mdev check; unless it is set when a guest starts, set the type";
        check.warning(format!("{guests}: a virtual function of theirs has no vGPU type now"), remedy)
    }));
    findings.extend(
        with(Verdict::Unrecorded).map(|guests| check.warning(format!("{guests}: devices are not recorded"), RECORD)),
    );
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

/// Returns the number and names of the guests for which `what` returns a text, and the text for the first.
fn guests_that(guests: &[Guest], what: impl Fn(&Guest) -> Option<String>) -> Option<(String, String)> {
    let (found, mut texts): (Vec<_>, Vec<_>) =
        guests.iter().filter_map(|guest| Some((guest.name.clone(), what(guest)?))).unzip();
    let number = count(found.len(), "guest");
    (!texts.is_empty()).then(|| (format!("{number} ({})", names(found.into_iter())), texts.swap_remove(0)))
}

/// Returns `1 guest`, `2 guests`.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Returns the first names of a list, and how many more there are.
fn names(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(MAX_NAMES);
    let listed = all.take(MAX_NAMES).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

fn name(file: &FileFacts) -> String {
    file.name().to_string_lossy().into_owned()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Returns a path as a word for a shell.
fn quoted(path: &Path) -> String {
    escape::shell_word(&shown(path))
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
    use super::super::facts::DaemonName;
    use super::super::hook_conf::HookConf;
    use super::*;

    const ROOT: Owner = Owner { uid: 0, gid: 0 };

    fn file(path: &str, changed: u64) -> FileFacts {
        let changed = Duration::from_secs(changed);
        FileFacts {
            path: path.into(),
            target: path.into(),
            is_regular: true,
            mode: 0o755,
            owner: ROOT,
            changed,
            directories: Vec::new(),
        }
    }

    /// Returns a host with a working hook, without daemons and guests.
    fn facts() -> Facts {
        let script = file("/etc/libvirt/hooks/qemu.d/zz-virt-mdev", 1000);
        let settings = HookConf { binary: "/usr/bin/virt-mdev".into(), options: Vec::new() };
        let conf = FileFacts { mode: 0o644, ..file(CONF, 1000) };
        Facts {
            owner: ROOT,
            hooks: Hooks {
                directory: Ok(file(QEMU_D, 0)),
                files: vec![script.clone()],
                first: None,
                script: Ok(Script { file: script, reads_conf: Ok(true) }),
                conf: Ok(Conf { file: conf, settings: Ok(settings) }),
            },
            program: None,
            daemons: Vec::new(),
            selinux: None,
            sysfs: Ok(Devices { has_bus: true, parents: 1, ..Devices::default() }),
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
        let this = concat!("virt-mdev ", env!("CARGO_PKG_VERSION"));
        for (is_noexec, version, problem) in [
            (false, Version::Itself, None),
            (false, Version::Printed(this.into()), None),
            (false, Version::Printed("virt-mdev 0.0.1".into()), Some((Level::Warning, "virt-mdev 0.0.1, and this"))),
            (false, Version::Printed("true (GNU coreutils) 9.1".into()), Some((Level::Error, "is not virt-mdev"))),
            (false, Version::Failed("exit status: 1".into()), Some((Level::Error, "does not run: exit status: 1"))),
            (false, Version::TimedOut(Duration::from_secs(5)), Some((Level::Error, "does not end within 5 s"))),
            (true, Version::NotTried, Some((Level::Error, "mounted noexec"))),
        ] {
            let mut facts = facts();
            let program = file("/usr/bin/virt-mdev", 0);
            facts.program = Some(Program::Found { file: program, is_elf: true, is_noexec, version: version.clone() });
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
            name: DaemonName::Libvirtd,
            pid: 1,
            started: Ok(Duration::from_secs(500)),
            label: Label::None,
            rules: String::new(),
            path: None,
        }];
        assert_eq!(problems(&facts).len(), 1);
        let other = |changed| file("/etc/libvirt/hooks/qemu.d/10-other", changed);
        facts.hooks.files.insert(0, other(600));
        assert_eq!(problems(&facts).len(), 1, "it was installed after the daemon started, too");
        facts.hooks.files[0] = FileFacts { mode: 0o644, ..other(400) };
        assert_eq!(problems(&facts).len(), 1, "libvirt does not run it");
        facts.hooks.files[0] = other(400);
        assert_eq!(problems(&facts), []);
        facts.hooks.files.remove(0);
        facts.hooks.first = Some(file("/etc/libvirt/hooks/qemu", 400));
        assert_eq!(problems(&facts), []);
    }

    #[test]
    fn a_script_that_others_can_change_is_an_error() {
        for (owner, mode, is_safe) in [
            (ROOT, 0o755, true),
            (ROOT, 0o775, true),
            (Owner { uid: 0, gid: 4 }, 0o775, false),
            (ROOT, 0o757, false),
            (Owner { uid: 1000, gid: 0 }, 0o700, false),
        ] {
            let mut facts = facts();
            if let Ok(script) = &mut facts.hooks.script {
                script.file = FileFacts { owner, mode, ..script.file.clone() };
            }
            assert_eq!(problems(&facts).is_empty(), is_safe, "{owner:?} {mode:o}");
        }
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
