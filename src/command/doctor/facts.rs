//! Reads what doctor needs to know of a host into values, and does not judge it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{OFlags, StatVfsMountFlags, fcntl_getfl, fcntl_setfl, statvfs};

use super::hook_conf::{HookConf, UnknownLine};
use crate::domain::Document;
use crate::file::{self, Input, Purpose};
use crate::host::{HostRecord, HostSource, Sysfs};
use crate::plan::Pairing;
use crate::plan::check::{Comparison, Verdict, check};
use crate::plan::demand::PciScope;
use crate::report::Diagnostic;

/// The directory whose executable files libvirt runs, in byte order.
pub(super) const QEMU_D: &str = "/etc/libvirt/hooks/qemu.d";
/// The name of our script in it.
pub(super) const SCRIPT: &str = "zz-virt-mdev";
/// The name that the script had in 0.1.0.
pub(super) const OLD_SCRIPT: &str = "90-virt-mdev";
/// The settings of our script.
pub(super) const CONF: &str = "/etc/virt-mdev/hook.conf";
/// The definitions of the guests.
pub(super) const GUESTS: &str = "/etc/libvirt/qemu";
/// The socket of syslog.
pub(super) const SYSLOG: &str = "/dev/log";
/// What this program prints for `--version`.
pub(super) const THIS: &str = concat!("virt-mdev ", env!("CARGO_PKG_VERSION"));

/// The hook that libvirt runs before those of `qemu.d`.
const FIRST_HOOK: &str = "/etc/libvirt/hooks/qemu";
/// The search path that systemd gives a daemon, and the daemon its hooks.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long the program may take to print its version.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// How many links Linux follows in one path.
const MAX_LINKS: usize = 40;
/// The unit of times in `/proc/PID/stat`, on every architecture that libvirt runs on.
const TICK: Duration = Duration::from_millis(10);

/// Everything that was read of a host.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) hooks: Hooks,
    /// The program that the script runs or why it is not found, if there is a script and its settings can be read.
    pub(super) program: Option<Result<Program, String>>,
    /// The running daemons that would run the hook.
    pub(super) daemons: Vec<Daemon>,
    /// Whether SELinux is enforcing; `None` if it is not in the kernel or is off.
    pub(super) selinux: Option<bool>,
    /// Whether `bus/mdev` is there.
    pub(super) has_mdev_bus: bool,
    pub(super) devices: Result<HostRecord, String>,
    /// Whether the socket of syslog takes datagrams, or why not.
    pub(super) syslog: Result<(), String>,
    pub(super) guests: Result<Vec<Guest>, String>,
}

/// A file as stat shows it, following links.
#[derive(Clone, Debug)]
pub(super) struct FileFacts {
    /// Its path, seen from the root directory.
    pub(super) path: PathBuf,
    /// The same without links.
    pub(super) target: PathBuf,
    pub(super) is_regular: bool,
    /// Whether libvirt, as root, would run it as a hook.
    pub(super) is_executable: bool,
    /// Its ctime, since 1970, or that of the link to it if that is later.
    pub(super) changed: Duration,
    pub(super) weakness: Option<Weakness>,
}

/// How somebody can change a file other than root and the owner of the root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Weakness {
    /// It belongs to this user.
    Owner(u32),
    /// Its mode lets others write.
    Mode(u32),
    /// A directory above it, or above the file that it links to, has one of these weaknesses: what is in it can be replaced.
    Directory(PathBuf),
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    Absent,
    /// It is a link to this file, which does not exist.
    Dangling(PathBuf),
    Unreadable(String),
}

/// The hooks that libvirt runs for QEMU guests.
#[derive(Debug)]
pub(super) struct Hooks {
    /// `qemu.d` itself.
    pub(super) directory: Result<FileFacts, Lacking>,
    /// The files in it, in byte order, without dangling links.
    pub(super) files: Vec<FileFacts>,
    /// `hooks/qemu`, if it is there.
    pub(super) first: Option<FileFacts>,
    pub(super) script: Result<Script, Lacking>,
    /// The settings, if the script reads them.
    pub(super) conf: Option<Result<Conf, Lacking>>,
}

/// Our script, under its name or its old name.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) file: FileFacts,
    /// Whether it reads `hook.conf`; those before 0.2.0 had their settings in themselves.
    pub(super) reads_conf: Result<bool, String>,
}

/// The settings of the script.
#[derive(Debug)]
pub(super) struct Conf {
    pub(super) file: FileFacts,
    pub(super) settings: Result<HookConf, UnknownLine>,
}

/// The program that the script runs.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) file: FileFacts,
    pub(super) is_elf: bool,
    pub(super) is_noexec: bool,
    /// What it prints for `--version`, or why it prints nothing. `None` if it was not run: it is not an executable that only
    /// root can change, or not of the root directory of this process.
    pub(super) version: Option<Result<String, String>>,
}

/// A daemon that runs hooks for QEMU guests.
#[derive(Debug)]
pub(super) struct Daemon {
    /// `libvirtd` or `virtqemud`.
    pub(super) name: &'static str,
    pub(super) pid: u32,
    /// When it started, since 1970.
    pub(super) started: Result<Duration, String>,
    /// How a security module confines it: the content of `/proc/PID/attr/current`.
    pub(super) label: String,
    /// The rules of its AppArmor profile and of the administrator's additions to it.
    pub(super) rules: String,
    /// `PATH` in its environment, which it passes on to hooks.
    pub(super) path: Option<String>,
}

/// A guest's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guest {
    /// The name of the domain, or else of the file.
    pub(super) name: String,
    pub(super) state: GuestState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GuestState {
    /// The file is not a document that can be read.
    Unreadable(String),
    /// A device cannot be judged.
    NotJudged(String),
    /// The verdict on each mediated device of model vfio-pci and each vGPU or recorded PCI device.
    Judged(Vec<Verdict>),
}

/// The root directory of a host.
struct Root<'a> {
    dir: &'a Path,
    /// Its owner, who owns what libvirt runs.
    uid: u32,
    gid: u32,
}

impl Hooks {
    /// Returns the settings, if the script reads them and can.
    pub(super) fn settings(&self) -> Option<&HookConf> {
        self.conf.as_ref()?.as_ref().ok()?.settings.as_ref().ok()
    }
}

impl FileFacts {
    pub(super) fn name(&self) -> Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

impl Facts {
    /// Reads everything about a host. Changes nothing, and starts only the hook's program, for its version.
    ///
    /// # Errors
    /// If the root directory cannot be opened.
    pub(super) fn gather(root: &Path, sysfs_dir: &Path) -> io::Result<Self> {
        let found = fs::metadata(root)?;
        // Fails for a file.
        fs::read_dir(root)?;
        let root = Root { dir: root, uid: found.uid(), gid: found.gid() };
        let daemons = root.daemons();
        let hooks = root.hooks();
        let program = hooks.settings().map(|settings| root.program(&settings.binary, &daemons));
        let sysfs = Sysfs::open(sysfs_dir).map_err(|error| Diagnostic::of(&error).message);
        let devices = sysfs.as_ref().map_err(String::clone);
        let devices = devices.and_then(|sysfs| sysfs.record().map_err(|error| Diagnostic::of(&error).message));
        let guests = match sysfs {
            Ok(sysfs) => root.guests(&HostSource::Sysfs(sysfs, None), pairing(&hooks)),
            Err(_) => Err(format!("not looked at, since {} cannot be read", sysfs_dir.display())),
        };
        let selinux = root.read("/sys/fs/selinux/enforce").ok().map(|enforce| enforce.trim_end() == "1");
        let has_mdev_bus = sysfs_dir.join("bus/mdev").is_dir();
        Ok(Self { hooks, program, daemons, selinux, has_mdev_bus, devices, syslog: root.syslog(), guests })
    }
}

impl Root<'_> {
    /// Returns the name of an absolute path of the host.
    fn inside(&self, path: &Path) -> PathBuf {
        self.dir.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns where a path of the host is. If it names an absolute link, that is followed in the root directory.
    fn real(&self, path: impl AsRef<Path>) -> PathBuf {
        let mut real = self.inside(path.as_ref());
        for _ in 0..MAX_LINKS {
            match fs::read_link(&real) {
                Ok(link) if link.is_absolute() => real = self.inside(&link),
                _ => break,
            }
        }
        real
    }

    fn read(&self, path: impl AsRef<Path>) -> Result<String, String> {
        read_bytes(&self.real(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn file(&self, path: impl AsRef<Path>) -> Result<FileFacts, Lacking> {
        let path = path.as_ref();
        let real = self.real(path);
        let link = fs::read_link(self.inside(path));
        let lacking = |error: io::Error| match (error.kind(), &link) {
            (io::ErrorKind::NotFound, Ok(link)) => Lacking::Dangling(link.clone()),
            (io::ErrorKind::NotFound, Err(_)) => Lacking::Absent,
            _ => Lacking::Unreadable(error.to_string()),
        };
        let found = fs::metadata(&real).map_err(lacking)?;
        let target = real.canonicalize().map_err(lacking)?;
        // Seen from the root directory, unless a link leads out of it.
        let inside = self.dir.canonicalize().ok().and_then(|root| target.strip_prefix(root).map(Path::to_owned).ok());
        let target = inside.map_or(target, |inside| Path::new("/").join(inside));
        Ok(FileFacts {
            weakness: self.weakness(&found, [path, &target]),
            path: path.to_owned(),
            target,
            is_regular: found.is_file(),
            is_executable: found.is_file() && found.mode() & 0o111 != 0,
            changed: fs::symlink_metadata(self.inside(path))
                .map_or(ctime(&found), |link| ctime(&link).max(ctime(&found))),
        })
    }

    /// Returns the weakness of a file, or of a directory above one of its paths.
    fn weakness(&self, file: &Metadata, paths: [&Path; 2]) -> Option<Weakness> {
        let weakness = |found: &Metadata| self.weakness_of(found.uid(), found.gid(), found.mode());
        let mut above: Vec<_> = paths.iter().flat_map(|path| path.ancestors().skip(1)).collect();
        above.sort_unstable();
        let is_weak = |path: &&Path| fs::metadata(self.real(path)).is_ok_and(|found| weakness(&found).is_some());
        weakness(file).or_else(|| Some(Weakness::Directory(above.into_iter().find(is_weak)?.to_owned())))
    }

    fn weakness_of(&self, uid: u32, gid: u32, mode: u32) -> Option<Weakness> {
        let is_trusted_group = gid == 0 || gid == self.gid;
        if uid != 0 && uid != self.uid {
            Some(Weakness::Owner(uid))
        } else if mode & 0o002 != 0 || (mode & 0o020 != 0 && !is_trusted_group) {
            Some(Weakness::Mode(mode & 0o7777))
        } else {
            None
        }
    }

    fn hooks(&self) -> Hooks {
        let directory = self.file(QEMU_D);
        let mut files = Vec::new();
        let listed = directory.and_then(|directory| {
            let names = names(&self.real(QEMU_D)).map_err(|error| Lacking::Unreadable(error.to_string()))?;
            files = names.iter().filter_map(|name| self.file(Path::new(QEMU_D).join(name)).ok()).collect();
            Ok(directory)
        });
        let script = match self.script(SCRIPT) {
            Err(Lacking::Absent) => self.script(OLD_SCRIPT),
            script => script,
        };
        let reads_conf = matches!(script, Ok(Script { reads_conf: Ok(true), .. }));
        let conf = reads_conf.then(|| self.conf());
        Hooks { directory: listed, files, first: self.file(FIRST_HOOK).ok(), script, conf }
    }

    fn script(&self, name: &str) -> Result<Script, Lacking> {
        let file = self.file(Path::new(QEMU_D).join(name))?;
        let reads_conf = self.read(&file.path).map(|text| text.contains("/hook.conf"));
        Ok(Script { file, reads_conf })
    }

    fn conf(&self) -> Result<Conf, Lacking> {
        let file = self.file(CONF)?;
        let text = self.read(CONF).map_err(Lacking::Unreadable)?;
        Ok(Conf { file, settings: HookConf::parse(&text) })
    }

    /// Finds a program as the script does. The error says where it is not.
    fn program(&self, binary: &str, daemons: &[Daemon]) -> Result<Program, String> {
        let file = if binary.contains('/') {
            self.file(binary).map_err(|_| format!("{binary} does not exist"))?
        } else {
            let path = daemons.iter().find_map(|daemon| daemon.path.as_deref()).unwrap_or(DEFAULT_PATH);
            let mut candidates = path.split(':').filter_map(|dir| self.file(Path::new(dir).join(binary)).ok());
            candidates
                .find(|file| file.is_executable)
                .ok_or_else(|| format!("{binary} is in none of the directories of libvirt's PATH: {path}"))?
        };
        let real = self.real(&file.path);
        let is_elf = file.is_regular && begins_as_elf(&real);
        let is_noexec = statvfs(&real).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC));
        let version = if !is_elf || is_noexec || !file.is_executable || file.weakness.is_some() {
            None
        } else if is_running(&real) {
            Some(Ok(THIS.to_owned()))
        } else {
            is_same_file(self.dir, Path::new("/")).then(|| version_of(&real, &["--version"], TIME_LIMIT))
        };
        Ok(Program { file, is_elf, is_noexec, version })
    }

    fn daemons(&self) -> Vec<Daemon> {
        let pids = names(&self.real("/proc")).unwrap_or_default();
        let mut pids: Vec<u32> = pids.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        pids.into_iter().filter_map(|pid| self.daemon(pid)).collect()
    }

    /// Returns the daemon with this process id; `None` if it is another program or a session daemon, which runs other hooks.
    fn daemon(&self, pid: u32) -> Option<Daemon> {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        let comm = self.read(directory.join("comm")).ok()?;
        let name = ["libvirtd", "virtqemud"].into_iter().find(|name| *name == comm.trim_end())?;
        let uid = fs::metadata(self.real(&directory)).ok()?.uid();
        if uid != 0 && uid != self.uid {
            return None;
        }
        let label =
            ["attr/apparmor/current", "attr/current"].iter().find_map(|file| self.read(directory.join(file)).ok());
        let environment = self.read(directory.join("environ")).unwrap_or_default();
        let rules = ["local/", ""].map(|sub| self.read(format!("/etc/apparmor.d/{sub}usr.sbin.{name}")));
        Some(Daemon {
            name,
            pid,
            started: self.start_of(&directory),
            label: label.unwrap_or_default().trim_end_matches(['\n', '\0']).to_owned(),
            rules: rules.into_iter().flatten().collect::<Vec<_>>().join("\n"),
            path: environment.split('\0').find_map(|entry| entry.strip_prefix("PATH=")).map(str::to_owned),
        })
    }

    /// Returns when a process started. `btime` in `/proc/stat` has only whole seconds.
    fn start_of(&self, directory: &Path) -> Result<Duration, String> {
        let uptime = self.read("/proc/uptime")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let uptime = uptime.split_ascii_whitespace().next().and_then(|seconds| seconds.parse().ok());
        let boot = uptime.and_then(|seconds| now.checked_sub(Duration::try_from_secs_f64(seconds).ok()?));
        let stat = self.read(directory.join("stat"))?;
        // The second field is the name of the program in parentheses, and may hold anything. The start is the 22nd.
        let ticks = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse().ok());
        let started = ticks.and_then(|ticks| boot?.checked_add(TICK.checked_mul(ticks)?));
        started.ok_or_else(|| "/proc/uptime or /proc/PID/stat is not as Linux writes it".to_owned())
    }

    /// Connects to the socket of syslog, which sends nothing.
    fn syslog(&self) -> Result<(), String> {
        let path = self.real(SYSLOG);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("does not exist".to_owned()),
            Ok(found) if !found.file_type().is_socket() => return Err("is not a socket".to_owned()),
            _ => {}
        }
        UnixDatagram::unbound()
            .and_then(|socket| socket.connect(&path))
            .map_err(|error| format!("takes no datagram: {error}"))
    }

    fn guests(&self, host: &HostSource, pairing: Pairing) -> Result<Vec<Guest>, String> {
        let names = match names(&self.real(GUESTS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            names => names.map_err(|error| error.to_string())?,
        };
        let files = names.iter().map(Path::new).filter(|name| name.extension() == Some(OsStr::new("xml")));
        Ok(files.map(|name| Guest::read(&self.real(GUESTS).join(name), host, pairing)).collect())
    }
}

/// Returns which record counts for a hostdev to the hook.
fn pairing(hooks: &Hooks) -> Pairing {
    let follows =
        hooks.settings().is_some_and(|settings| settings.options.iter().any(|word| word == "--follow-guest-address"));
    if follows { Pairing::GuestAddress } else { Pairing::Uuid }
}

impl Guest {
    fn read(path: &Path, host: &HostSource, pairing: Pairing) -> Self {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let document = read_bytes(path)
            .and_then(|bytes| Document::read_leniently(bytes).map_err(|error| Diagnostic::of(&*error).message));
        let document = match document {
            Ok(document) => document,
            Err(reason) => return Self { name: stem, state: GuestState::Unreadable(reason) },
        };
        let name = document.main_domain().and_then(|domain| domain.name.clone()).unwrap_or(stem);
        let state = match check(&document, &host.ask(document.devices()), pairing, PciScope::Vgpus) {
            Ok(Comparison { devices, orphans, .. }) => {
                let replaced = orphans.iter().filter(|orphan| orphan.place.is_difference());
                let verdicts = devices.iter().map(|checked| checked.verdict());
                GuestState::Judged(verdicts.chain(replaced.map(|_| Verdict::Different)).collect())
            }
            Err(errors) => {
                let reasons: Vec<_> = errors.iter().map(|error| Diagnostic::of(&error.kind).message).collect();
                GuestState::NotJudged(reasons.join("; "))
            }
        };
        Self { name, state }
    }
}

/// Reads a regular file; anything that may block is an error.
fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let read = file::read(&Input::File(path.to_owned()), Purpose::Replacing);
    read.map(|original| original.contents).map_err(|error| Diagnostic::of(&error).message)
}

/// Returns the names in a directory, in byte order.
fn names(directory: &Path) -> io::Result<BTreeSet<OsString>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
}

fn ctime(file: &Metadata) -> Duration {
    Duration::new(u64::try_from(file.ctime()).unwrap_or_default(), u32::try_from(file.ctime_nsec()).unwrap_or_default())
}

fn begins_as_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// Whether it is the program that is running now, or a copy of it.
fn is_running(path: &Path) -> bool {
    let running = Path::new("/proc/self/exe");
    let length = |path| fs::metadata(path).map(|file| file.len()).ok();
    let is_copy = || length(path) == length(running) && fs::read(path).ok() == fs::read(running).ok();
    is_same_file(path, running) || is_copy()
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Runs a program and returns what it prints, or what is wrong with it. It may take as long as `limit`.
fn version_of(program: &Path, arguments: &[&str], limit: Duration) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("does not run: cannot be started: {error}"))?;
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait().map_err(|error| format!("does not run: cannot be waited for: {error}"))? {
            Some(status) => break status,
            None if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
            None => {
                // Do not wait for it: a process in uninterruptible sleep does not end when it is killed.
                let _ = child.kill();
                return Err(format!("--version does not end within {} s", limit.as_secs()));
            }
        }
    };
    if !status.success() {
        return Err(format!("does not run: --version ends with {status}"));
    }
    let Some(mut stdout) = child.stdout else { return Ok(String::new()) };
    let mut printed = vec![0; 256];
    // A child of it may hold the pipe open: read what is there, and do not wait.
    let read = fcntl_getfl(&stdout)
        .and_then(|flags| fcntl_setfl(&stdout, flags | OFlags::NONBLOCK))
        .map_err(io::Error::from)
        .and_then(|()| stdout.read(&mut printed));
    printed.truncate(read.unwrap_or_default());
    Ok(String::from_utf8_lossy(&printed).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_owner_of_the_root_directory_may_change_a_file() {
        let root = Root { dir: Path::new("/"), uid: 500, gid: 500 };
        for (uid, gid, mode, weakness) in [
            (0, 0, 0o755, None),
            (500, 500, 0o100_775, None),
            (0, 4, 0o755, None),
            (0, 4, 0o100_775, Some(Weakness::Mode(0o775))),
            (0, 0, 0o757, Some(Weakness::Mode(0o757))),
            (1000, 0, 0o700, Some(Weakness::Owner(1000))),
        ] {
            assert_eq!(root.weakness_of(uid, gid, mode), weakness, "{uid} {gid} {mode:o}");
        }
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_and_one_that_fails_is_told() {
        let sh = Path::new("/bin/sh");
        let hangs = version_of(sh, &["-c", "exec sleep 60"], Duration::from_millis(50));
        assert_eq!(hangs, Err("--version does not end within 0 s".to_owned()));
        let limit = Duration::from_secs(10);
        assert_eq!(version_of(sh, &["-c", "echo virt-mdev 9"], limit), Ok("virt-mdev 9".to_owned()));
        // A child that keeps the pipe open is not waited for.
        let begun = Instant::now();
        assert_eq!(version_of(sh, &["-c", "echo a; sleep 8 &"], limit), Ok("a".to_owned()));
        assert!(begun.elapsed() < Duration::from_secs(6));
        assert!(
            version_of(sh, &["-c", "exit 3"], limit).unwrap_err().starts_with("does not run: --version ends with ")
        );
        assert!(version_of(Path::new("/no/such/program"), &[], limit).is_err());
    }
}
