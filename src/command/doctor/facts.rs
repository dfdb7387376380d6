//! Reads what doctor needs to know of a host into values, and does not judge it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{OFlags, StatVfsMountFlags, fcntl_getfl, fcntl_setfl, statvfs};

use super::hook_conf::{HookConf, UnknownLine};
use crate::device::{DeviceAddress, PciAddress, Uuid};
use crate::domain::Document;
use crate::file::{self, Input, Purpose};
use crate::host::{HostSource, Sysfs};
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
    /// The owner of the root directory, who owns what libvirt runs.
    pub(super) owner: Owner,
    pub(super) hooks: Hooks,
    /// The program that the script runs, if there is a script and its settings can be read.
    pub(super) program: Option<Program>,
    /// The running daemons that would run the hook.
    pub(super) daemons: Vec<Daemon>,
    /// `None` if SELinux is not in the kernel or is off.
    pub(super) selinux: Option<SelinuxMode>,
    pub(super) sysfs: Result<Devices, String>,
    /// Whether the socket of syslog takes datagrams, or why not.
    pub(super) syslog: Result<(), String>,
    pub(super) guests: Result<Vec<Guest>, String>,
}

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A file as stat shows it, following links.
#[derive(Clone, Debug)]
pub(super) struct FileFacts {
    /// Its path, seen from the root directory.
    pub(super) path: PathBuf,
    /// The same without links.
    pub(super) target: PathBuf,
    pub(super) is_regular: bool,
    pub(super) mode: u32,
    pub(super) owner: Owner,
    /// Its ctime, since 1970, or that of the link to it if that is later.
    pub(super) changed: Duration,
    /// The directories above it and above the file that it links to, from the root down.
    pub(super) directories: Vec<Directory>,
}

/// A directory: who can change it can replace what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) owner: Owner,
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
    pub(super) conf: Result<Conf, Lacking>,
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
pub(super) enum Program {
    /// The file does not exist.
    Absent {
        /// As `hook.conf` spells it.
        binary: String,
        /// Where it was searched, if it is a name without a slash.
        path: Option<String>,
    },
    Found {
        file: FileFacts,
        is_elf: bool,
        is_noexec: bool,
        version: Version,
    },
}

/// What the program prints for `--version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The program is the one that is running.
    Itself,
    Printed(String),
    /// It failed, or could not be started.
    Failed(String),
    TimedOut(Duration),
    /// It was not run: it is not an executable that only root can change, or not of the root directory of this process.
    NotTried,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DaemonName {
    Libvirtd,
    Virtqemud,
}

/// A daemon that runs hooks for QEMU guests.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) name: DaemonName,
    pub(super) pid: u32,
    /// When it started, since 1970.
    pub(super) started: Result<Duration, String>,
    pub(super) label: Label,
    /// The rules of its AppArmor profile and of the administrator's additions to it.
    pub(super) rules: String,
    /// `PATH` in its environment, which it passes on to hooks.
    pub(super) path: Option<String>,
}

/// How a security module confines a process: the content of `/proc/PID/attr/current`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// No security module confines it.
    None,
    AppArmor {
        profile: String,
        mode: String,
    },
    /// An SELinux context, or a label in another form.
    Context(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SelinuxMode {
    Enforcing,
    Permissive,
}

/// The mediated devices and vGPUs of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Devices {
    /// Whether `bus/mdev` is there.
    pub(super) has_bus: bool,
    /// How many devices can have mdevs.
    pub(super) parents: usize,
    /// How many mdevs there are.
    pub(super) mdevs: usize,
    /// How many virtual functions there are of which NVIDIA's driver shows the vGPU type.
    pub(super) vgpus: usize,
    /// The mdevs and virtual functions that cannot be looked up, and why.
    pub(super) unreadable: Vec<(DeviceAddress, String)>,
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

/// Where a host is found.
#[derive(Debug)]
pub(super) struct Roots<'a> {
    pub(super) root: &'a Path,
    pub(super) sysfs: &'a Path,
}

impl DaemonName {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Libvirtd => "libvirtd",
            Self::Virtqemud => "virtqemud",
        }
    }

    fn of_comm(comm: &str) -> Option<Self> {
        [Self::Libvirtd, Self::Virtqemud].into_iter().find(|daemon| daemon.name() == comm.trim_end())
    }
}

impl Hooks {
    /// Returns the settings, if the script reads them and can.
    pub(super) fn settings(&self) -> Option<&HookConf> {
        let reads_conf = matches!(&self.script, Ok(Script { reads_conf: Ok(true), .. }));
        self.conf.as_ref().ok().filter(|_| reads_conf)?.settings.as_ref().ok()
    }
}

impl FileFacts {
    pub(super) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Whether libvirt, as root, would run it as a hook.
    pub(super) fn is_executable(&self) -> bool {
        self.is_regular && self.mode & 0o111 != 0
    }
}

impl Label {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim_end_matches(['\n', '\0']);
        match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
            Some((profile, mode)) => Self::AppArmor { profile: profile.to_owned(), mode: mode.to_owned() },
            None if matches!(text, "" | "unconfined" | "kernel") => Self::None,
            None => Self::Context(text.to_owned()),
        }
    }
}

impl Roots<'_> {
    /// Reads everything about the host. Changes nothing, and starts only the hook's program, for its version.
    ///
    /// # Errors
    /// If the root directory cannot be opened.
    pub(super) fn gather(&self) -> io::Result<Facts> {
        let root = fs::metadata(self.root)?;
        let owner = Owner { uid: root.uid(), gid: root.gid() };
        // Fails for a file.
        fs::read_dir(self.root)?;
        let daemons = self.daemons(owner);
        let hooks = self.hooks();
        let program = self.program(&hooks, &daemons, owner);
        let sysfs = Sysfs::open(self.sysfs).map_err(|error| Diagnostic::of(&error).message);
        let devices = sysfs.as_ref().map_err(String::clone).and_then(|sysfs| self.devices(sysfs));
        let guests = match sysfs {
            Ok(sysfs) => self.guests(&HostSource::Sysfs(sysfs), pairing(&hooks)),
            Err(_) => Err(format!("not looked at, since {} cannot be read", self.sysfs.display())),
        };
        let selinux = match self.read("/sys/fs/selinux/enforce").as_deref().map(str::trim_end) {
            Ok("1") => Some(SelinuxMode::Enforcing),
            Ok(_) => Some(SelinuxMode::Permissive),
            Err(_) => None,
        };
        Ok(Facts { owner, hooks, program, daemons, selinux, sysfs: devices, syslog: self.syslog(), guests })
    }

    /// Returns the name of an absolute path of the host.
    fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
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
        let inside = self.root.canonicalize().ok().and_then(|root| target.strip_prefix(root).map(Path::to_owned).ok());
        let target = inside.map_or(target, |inside| Path::new("/").join(inside));
        Ok(FileFacts {
            directories: self.directories([path, &target]),
            path: path.to_owned(),
            target,
            is_regular: found.is_file(),
            mode: found.mode(),
            owner: Owner { uid: found.uid(), gid: found.gid() },
            changed: fs::symlink_metadata(self.inside(path))
                .map_or(ctime(&found), |link| ctime(&link).max(ctime(&found))),
        })
    }

    /// Returns the directories above these paths, as far as they can be read, each once.
    fn directories(&self, paths: [&Path; 2]) -> Vec<Directory> {
        let mut above: Vec<_> = paths.iter().flat_map(|path| path.ancestors().skip(1)).collect();
        above.sort_unstable();
        above.dedup();
        let directory = |path: &Path| {
            let found = fs::metadata(self.real(path)).ok()?;
            let owner = Owner { uid: found.uid(), gid: found.gid() };
            Some(Directory { path: path.to_owned(), mode: found.mode(), owner })
        };
        above.into_iter().filter_map(directory).collect()
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
        Hooks { directory: listed, files, first: self.file(FIRST_HOOK).ok(), script, conf: self.conf() }
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

    fn program(&self, hooks: &Hooks, daemons: &[Daemon], owner: Owner) -> Option<Program> {
        let binary = hooks.settings()?.binary.as_str();
        let path = daemons.iter().find_map(|daemon| daemon.path.as_deref()).unwrap_or(DEFAULT_PATH);
        let (found, searched) = if binary.contains('/') {
            (self.file(binary).ok(), None)
        } else {
            let candidates = path.split(':').filter_map(|dir| self.file(Path::new(dir).join(binary)).ok());
            ({ candidates }.find(FileFacts::is_executable), Some(path.to_owned()))
        };
        let Some(file) = found else { return Some(Program::Absent { binary: binary.to_owned(), path: searched }) };
        let real = self.real(&file.path);
        let is_elf = file.is_regular && begins_as_elf(&real);
        let is_noexec = statvfs(&real).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC));
        let can_run = is_elf && !is_noexec && file.is_executable() && file.is_trusted(owner);
        let version = if can_run && is_running(&real) {
            Version::Itself
        } else if can_run && is_same_file(self.root, Path::new("/")) {
            version_of(&real, &["--version"], TIME_LIMIT)
        } else {
            Version::NotTried
        };
        Some(Program::Found { file, is_elf, is_noexec, version })
    }

    fn daemons(&self, owner: Owner) -> Vec<Daemon> {
        let pids = names(&self.real("/proc")).unwrap_or_default();
        let mut pids: Vec<u32> = pids.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        pids.into_iter().filter_map(|pid| self.daemon(pid, owner)).collect()
    }

    /// Returns the daemon with this process id; `None` if it is another program or a session daemon, which runs other hooks.
    fn daemon(&self, pid: u32, owner: Owner) -> Option<Daemon> {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        let name = DaemonName::of_comm(&self.read(directory.join("comm")).ok()?)?;
        let uid = self.file(&directory).ok()?.owner.uid;
        if uid != 0 && uid != owner.uid {
            return None;
        }
        let label =
            ["attr/apparmor/current", "attr/current"].iter().find_map(|file| self.read(directory.join(file)).ok());
        let path = self.read(directory.join("environ")).ok();
        let path =
            path.and_then(|text| text.split('\0').find_map(|entry| Some(entry.strip_prefix("PATH=")?.to_owned())));
        let rules = ["local/", ""].map(|sub| self.read(format!("/etc/apparmor.d/{sub}usr.sbin.{}", name.name())));
        Some(Daemon {
            name,
            pid,
            started: self.start_of(&directory),
            label: Label::parse(&label.unwrap_or_default()),
            rules: rules.into_iter().flatten().collect::<Vec<_>>().join("\n"),
            path,
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

    fn devices(&self, sysfs: &Sysfs) -> Result<Devices, String> {
        let listed = |path: &str| match names(&self.sysfs.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("cannot list {}: {error}", self.sysfs.join(path).display()))
            }
            names => Ok(names.unwrap_or_default()),
        };
        let mdevs = listed("bus/mdev/devices")?;
        let uuids = mdevs.iter().filter_map(|name| name.to_str()?.parse::<Uuid>().ok());
        let functions = listed("bus/pci/devices")?;
        let functions = functions.iter().filter_map(|name| name.to_str()?.parse::<PciAddress>().ok());
        let is_vgpu = |address: &PciAddress| {
            let function = self.sysfs.join("bus/pci/devices").join(address.to_string());
            function.join("physfn").exists() && function.join("nvidia").is_dir()
        };
        let vgpus: Vec<_> = functions.filter(is_vgpu).collect();
        let devices = uuids.map(DeviceAddress::Mdev).chain(vgpus.iter().copied().map(DeviceAddress::Pci));
        let unreadable = devices.filter_map(|device| {
            let answer = sysfs.lookup(device);
            Some((device, Diagnostic::of(&*answer.err()?).message))
        });
        Ok(Devices {
            has_bus: self.sysfs.join("bus/mdev").is_dir(),
            parents: listed("class/mdev_bus")?.len(),
            mdevs: mdevs.len(),
            vgpus: vgpus.len(),
            unreadable: unreadable.collect(),
        })
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
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
fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
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

/// Runs a program and returns what it prints, for as long as `limit` at most.
fn version_of(program: &Path, arguments: &[&str], limit: Duration) -> Version {
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Version::Failed(format!("cannot be started: {error}")),
    };
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                // Do not wait for it: a process in uninterruptible sleep does not end when it is killed.
                let _ = child.kill();
                return Version::TimedOut(limit);
            }
            Err(error) => return Version::Failed(format!("cannot be waited for: {error}")),
        }
    };
    if !status.success() {
        return Version::Failed(format!("--version ends with {status}"));
    }
    let printed = child.stdout.map(|mut stdout| {
        let mut printed = vec![0; 256];
        // A child of it may hold the pipe open: read what is there, and do not wait.
        let read = fcntl_getfl(&stdout)
            .and_then(|flags| fcntl_setfl(&stdout, flags | OFlags::NONBLOCK))
            .map_err(io::Error::from)
            .and_then(|()| stdout.read(&mut printed));
        printed.truncate(read.unwrap_or_default());
        String::from_utf8_lossy(&printed).trim_end().to_owned()
    });
    Version::Printed(printed.unwrap_or_default())
}

impl FileFacts {
    /// Whether only root and the owner of the root directory may change or replace it.
    pub(super) fn is_trusted(&self, owner: Owner) -> bool {
        self.has_trusted_owner(owner) && !self.is_writable_by_others(owner) && self.weak_directory(owner).is_none()
    }

    pub(super) fn has_trusted_owner(&self, owner: Owner) -> bool {
        self.owner.is_trusted(owner)
    }

    pub(super) fn is_writable_by_others(&self, owner: Owner) -> bool {
        is_writable_by_others(self.mode, self.owner, owner)
    }

    /// Returns a directory above it that others can change.
    pub(super) fn weak_directory(&self, owner: Owner) -> Option<&Directory> {
        let is_weak = |directory: &&Directory| {
            !directory.owner.is_trusted(owner) || is_writable_by_others(directory.mode, directory.owner, owner)
        };
        self.directories.iter().find(is_weak)
    }
}

impl Owner {
    fn is_trusted(self, owner: Self) -> bool {
        self.uid == 0 || self.uid == owner.uid
    }
}

fn is_writable_by_others(mode: u32, of_file: Owner, owner: Owner) -> bool {
    let is_trusted_group = of_file.gid == 0 || of_file.gid == owner.gid;
    mode & 0o002 != 0 || (mode & 0o020 != 0 && !is_trusted_group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_told_apart_by_its_form() {
        let app_armor = |profile: &str, mode: &str| Label::AppArmor { profile: profile.into(), mode: mode.into() };
        for (text, label) in [
            ("libvirtd (enforce)\n", app_armor("libvirtd", "enforce")),
            ("/usr/sbin/libvirtd (complain)\n", app_armor("/usr/sbin/libvirtd", "complain")),
            ("unconfined\n", Label::None),
            ("", Label::None),
            ("system_u:system_r:virtd_t:s0\0", Label::Context("system_u:system_r:virtd_t:s0".into())),
        ] {
            assert_eq!(Label::parse(text), label, "{text:?}");
        }
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_and_one_that_fails_is_told() {
        let sh = Path::new("/bin/sh");
        let limit = Duration::from_millis(50);
        assert_eq!(version_of(sh, &["-c", "exec sleep 60"], limit), Version::TimedOut(limit));
        let limit = Duration::from_secs(10);
        assert_eq!(version_of(sh, &["-c", "echo virt-mdev 9"], limit), Version::Printed("virt-mdev 9".into()));
        // A child that keeps the pipe open is not waited for.
        let begun = Instant::now();
        assert_eq!(version_of(sh, &["-c", "echo a; sleep 8 &"], limit), Version::Printed("a".into()));
        assert!(begun.elapsed() < Duration::from_secs(6));
        assert!(matches!(version_of(sh, &["-c", "exit 3"], limit), Version::Failed(_)));
        assert!(matches!(version_of(Path::new("/no/such/program"), &[], limit), Version::Failed(_)));
    }
}
