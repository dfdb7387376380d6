//! The settings of each command: consistent values, independent of the command line.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::file::Suffix;
use crate::host::Mdevctl;
use crate::plan::check::Verdict;
use crate::plan::fill::Policy;
use crate::plan::{Pairing, Places};

/// A subcommand and its settings.
#[derive(Debug)]
pub enum Settings {
    /// `fill`.
    Fill(FillSettings),
    /// `strip`.
    Strip(StripSettings),
    /// `compare`.
    Compare(CompareSettings),
    /// `check`.
    Check(CheckSettings),
    /// `list`.
    List(ListSettings),
    /// `retarget`.
    Retarget(RetargetSettings),
    /// `hook`.
    Hook(HookSettings),
    /// `doctor`.
    Doctor(DoctorSettings),
    /// `completions`: the script to print.
    Completions(&'static str),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table or lines for people.
    Text,
    /// JSON for programs.
    Json,
}

/// Where a rewritten document goes.
#[derive(Clone, Debug)]
pub enum Output {
    /// To standard output. Only one document is allowed.
    Stdout,
    /// Nowhere: the unified diff is printed.
    Diff,
    /// To a file.
    File(Target),
}

/// The file that a rewritten document goes to.
#[derive(Clone, Debug)]
pub enum Target {
    /// The file that it was read from, with a backup if there is a suffix.
    InPlace(Option<Suffix>),
    /// Another file. Only one document is allowed.
    Other(PathBuf),
}

/// How much is printed on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Also warnings and what was done.
    Normal,
    /// Also what is unchanged, and why.
    Verbose,
}

impl Output {
    /// Whether files are rewritten in place.
    pub fn is_in_place(&self) -> bool {
        matches!(self, Self::File(Target::InPlace(_)))
    }
}

/// The settings of every command that rewrites documents.
#[derive(Clone, Debug)]
pub struct RewriteSettings {
    /// The documents: paths, patterns, or `-` for standard input; at least one.
    pub inputs: Vec<OsString>,
    /// Where they go.
    pub output: Output,
    /// How to print what would change, if nothing is to be written. With `--diff` the difference is printed instead.
    pub dry_run: Option<Format>,
    /// Whether to continue if a document fails; otherwise none is written.
    pub keep_going: bool,
    /// How many documents to work on at once; by default the number of processors.
    pub jobs: Option<NonZeroUsize>,
    /// How much is printed on standard error.
    pub verbosity: Verbosity,
}

/// Where the devices of a host are read from.
#[derive(Clone, Debug)]
pub enum HostSettings {
    /// The directory to use as `/sys`, and the definitions of mdevctl.
    Sysfs(PathBuf, Option<Mdevctl>),
    /// A file that describes a host; `-` is standard input.
    File(OsString),
}

/// The settings of `fill`.
#[derive(Clone, Debug)]
pub struct FillSettings {
    /// The documents, and where they go.
    pub rewrite: RewriteSettings,
    /// Where the devices of the host are read from.
    pub host: HostSettings,
    /// Where to write, and what to do if a device is missing or an identity differs.
    pub policy: Policy,
    /// Whether to print only the metadata element.
    pub metadata_only: bool,
}

/// The settings of `strip`.
#[derive(Clone, Debug)]
pub struct StripSettings {
    /// The documents, and where they go.
    pub rewrite: RewriteSettings,
    /// Which identities to remove.
    pub from: Places,
}

/// The settings of `compare`.
#[derive(Clone, Debug)]
pub struct CompareSettings {
    /// The guest's domain on the source host.
    pub source: OsString,
    /// The guest's domain on the destination host.
    pub destination: OsString,
    /// How differences are printed; otherwise only the exit status shows them.
    pub format: Option<Format>,
}

/// The settings of `check`.
#[derive(Clone, Debug)]
pub struct CheckSettings {
    /// The documents: paths, patterns, or `-` for standard input; at least one.
    pub inputs: Vec<OsString>,
    /// Where the devices of the host are read from.
    pub host: HostSettings,
    /// Which record counts for a hostdev.
    pub pairing: Pairing,
    /// Whether files that cannot be found are skipped.
    pub keep_going: bool,
    /// How the verdicts are printed; otherwise only the exit status shows them.
    pub format: Option<Format>,
    /// Whether other devices are looked for too, and where. Otherwise only those that the documents name are compared.
    pub placing: Option<PlacingSettings>,
}

/// The settings of `check` that look for other devices.
#[derive(Clone, Debug)]
pub struct PlacingSettings {
    /// The files that describe the hosts, or patterns; if there are none, the host is [`CheckSettings::host`].
    pub hosts: Vec<OsString>,
    /// The worst verdict that is accepted.
    pub accept: Verdict,
    /// The domains of guests that have devices of the hosts, or patterns.
    pub in_use: Vec<OsString>,
    /// Whether reasons are printed for several hosts.
    pub verbose: bool,
}

/// The settings of `list`.
#[derive(Clone, Debug)]
pub struct ListSettings {
    /// The documents whose devices are shown; without any, everything that the host has.
    pub domains: Vec<OsString>,
    /// Where the devices of the host are read from.
    pub host: HostSettings,
    /// The list of the names of PCI devices, if it is not the system's.
    pub pci_ids: Option<PathBuf>,
    /// How the devices are printed.
    pub format: Format,
}

/// The settings of `retarget`.
#[derive(Clone, Debug)]
pub struct RetargetSettings {
    /// The domain; `-` is standard input.
    pub input: OsString,
    /// Where the devices of the host are read from.
    pub host: HostSettings,
    /// Which record counts for a hostdev.
    pub pairing: Pairing,
    /// The domains of guests that have devices of the host, or patterns.
    pub in_use: Vec<OsString>,
    /// Whether a device may be chosen although it is not known which are in use.
    pub assume_unused: bool,
    /// Whether devices may be chosen that have to be created, with the commands for that.
    pub create_plan: bool,
    /// How to print what would change, instead of the domain.
    pub dry_run: Option<Format>,
}

/// The settings of `hook`.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// Where the devices of the host are read from.
    pub host: HostSettings,
    /// Whether to refuse a guest that has no record.
    pub require: bool,
    /// Whether to judge starts too.
    pub check_start: bool,
    /// Whether an absent device is accepted until `prepare begin`, which is then judged too.
    pub defer_absent: bool,
    /// Which record counts for a hostdev.
    pub pairing: Pairing,
    /// The socket of syslog.
    pub syslog: PathBuf,
    /// The guest's name.
    pub guest: String,
    /// What libvirt does with the guest, and the step of it, such as `migrate` and `begin`.
    pub operation: (String, String),
    /// The error in the command line, if there is one. Then no guest with mediated devices can be judged.
    pub misuse: Option<String>,
}

/// The settings of `doctor`.
#[derive(Clone, Debug)]
pub struct DoctorSettings {
    /// The root directory of the host.
    pub root: PathBuf,
    /// The directory to use as `/sys`.
    pub sysfs: PathBuf,
    /// How the findings are printed.
    pub format: Format,
    /// Returns an error if these are not options of `hook`.
    pub check_options: fn(&[String]) -> Result<(), String>,
}
