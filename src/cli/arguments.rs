//! The options of each subcommand, and their conversion to settings.
//!
//! The doc comments of the options are the text of `--help`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, ValueHint};

use super::completions::Shell;
use super::{Environment, usage_error};
use crate::command::settings::{
    CheckSettings, CompareSettings, DoctorFormat, DoctorSettings, DryRun, FillSettings, Format, HookSettings,
    HostSettings, Inputs, ListSettings, Output, PlacingSettings, RetargetSettings, RewriteSettings, Settings,
    StripSettings, Target, Verbosity,
};
use crate::file::Suffix;
use crate::host::Mdevctl;
use crate::plan::check::Verdict;
use crate::plan::fill::{Devices, OnConflict, OnMissing, Policy};
use crate::plan::{Pairing, Place, Places};

pub(super) const ABOUT_FILL: &str = "Record what each mediated device and vGPU of a domain is";

pub(super) const LONG_ABOUT_FILL: &str = "\
Record what each mediated device and vGPU of a domain is.

fill adds vendorid, productid and mdevtype after the address of each hostdev of model vfio-pci, and changes no other byte. \
FILE is a domain, domstatus, domainsnapshot, domaincheckpoint or hostdev document, or a glob pattern. Without FILE, or \
with -, fill reads the document from standard input and writes it to standard output.

libvirt currently drops these elements when a domain is defined, so they are useful only in files that are not \
given to libvirt. libvirt keeps the records that fill writes with --into metadata. vGPUs that are PCI virtual functions, and with --devices \
pci all PCI devices, are only recorded there.";

pub(super) const ABOUT_STRIP: &str = "Remove what fill has written";

pub(super) const ABOUT_COMPARE: &str = "Compare the mediated devices and vGPUs of two domains";

pub(super) const LONG_ABOUT_COMPARE: &str = "\
Compare the mediated devices and vGPUs of two domains, as needed for a migration from one to the other.

Devices are paired in document order; their UUIDs may differ. Their number, models and identities must be the same. For \
model vfio-pci, a missing identity is also a difference. The identity in the metadata takes precedence over the one in \
the source. PCI devices are compared if one is recorded.";

pub(super) const ABOUT_CHECK: &str = "Compare recorded identities with the devices of this host, or of other hosts";

pub(super) const LONG_ABOUT_CHECK: &str = "\
Compare recorded identities with the devices of this host, or of other hosts.

Each mediated device of model vfio-pci, each vGPU and each recorded PCI device is the same, different, missing on the \
host, untyped (a virtual function without a vGPU type) or unrecorded. DOMAIN is a document of a kind \
that fill reads, not the name of a guest. To check a guest: virsh dumpxml GUEST | virt-mdev check

With --host or --accept, check also finds other devices of the recorded identity, which are free or can be created, and \
says to which hosts the guests can go.";

pub(super) const ABOUT_LIST: &str = "Show the parents, mediated devices and vGPUs of a host";

pub(super) const LONG_ABOUT_LIST: &str = "\
Show the parents, mediated devices and vGPUs of a host.

Without DOMAIN, list shows each parent of mediated devices with its types and devices, and each card whose virtual functions \
are vGPUs. With DOMAIN, it shows the devices of these domains, what is recorded of them, and what the host has for them. \
list --json prints the record of the host, which --host of other commands reads.";

pub(super) const ABOUT_RETARGET: &str = "Print the domain for another host, with devices of that host";

pub(super) const LONG_ABOUT_RETARGET: &str = "\
Print the domain for another host, with devices of that host.

Each device that is not the same there is replaced by a free one of the recorded identity, in its hostdev and in its \
record; no other byte changes. Exit status 1 means that one cannot be had; then nothing is printed. Migrate with the \
result: virsh migrate --live --persistent --xml NEW --persistent-xml NEW";

pub(super) const ABOUT_HOOK: &str = "Refuse a migration to a host whose devices differ; for libvirt's hooks";

pub(super) const LONG_ABOUT_HOOK: &str = "\
Refuse a migration to a host whose devices differ.

/etc/libvirt/hooks/qemu.d/zz-virt-mdev runs it with libvirt's four arguments and the domain XML on standard input: see \
virt-mdev-hook(8). For `migrate begin` and `restore begin`, hook compares the guest's devices as check does; every other \
operation passes at once. Exit status 0 allows the operation; 1 refuses it, with the reason on standard error and in \
syslog.";

pub(super) const ABOUT_DOCTOR: &str = "Check that the hook is installed and works on this host";

pub(super) const LONG_ABOUT_DOCTOR: &str = "\
Check that the hook is installed and works on this host.

Each line says ok, warning or error, what was found, and what to do about it. doctor changes nothing and needs no \
connection to libvirt. Run it as root, since other users cannot read all that it checks. Exit status 1 means that there \
is an error.";

pub(super) const ABOUT_COMPLETIONS: &str = "Print a completion script for a shell";

/// The options of commands that rewrite documents.
#[derive(Debug, Args)]
pub(super) struct RewriteArgs {
    /// Documents or glob patterns; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<OsString>,

    /// Rewrite each FILE; with a SUFFIX, as in -i=.bak, keep the old content as FILE.bak
    #[arg(short, long, value_name = "SUFFIX", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    #[arg(requires = "files", conflicts_with_all = ["output", "diff"])]
    in_place: Option<OsString>,

    /// Write the document to FILE
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "diff")]
    output: Option<PathBuf>,

    /// Print the unified diff instead of writing
    #[arg(long)]
    diff: bool,

    /// Write nothing; print what would change, and exit with status 1 if anything would
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// With --dry-run, print JSON for programs
    #[arg(long, requires = "dry_run", conflicts_with = "diff")]
    json: bool,

    /// Continue with the other files if one fails; the exit status is still 2
    #[arg(short, long)]
    keep_going: bool,

    /// Work on N files at once; the default is the number of processors
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Also report each device that is unchanged, and why
    #[arg(short, long)]
    verbose: bool,
}

impl RewriteArgs {
    pub(super) fn settings(self) -> Result<RewriteSettings, clap::Error> {
        let reads_stdin = self.files.is_empty() || self.files.iter().any(|file| file == "-");
        if self.in_place.is_some() && reads_stdin {
            return Err(usage_error(
                "standard input (-) cannot be rewritten in place; omit -i to use virt-mdev as a filter",
            ));
        }
        let output = match (self.in_place, self.output) {
            // clap gives an empty value for -i without a suffix.
            (Some(suffix), _) if suffix.is_empty() => Output::File(Target::InPlace(None)),
            (Some(suffix), _) => Output::File(Target::InPlace(Some(Suffix::new(suffix).map_err(usage_error)?))),
            (None, Some(file)) if file.as_os_str() != "-" => Output::File(Target::Other(file)),
            (None, _) if self.diff => Output::Diff,
            (None, _) => Output::Stdout,
        };
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        Ok(RewriteSettings {
            inputs: Inputs::new(self.files),
            output,
            dry_run: self.dry_run.then_some(if self.json { DryRun::Json } else { DryRun::Lines }),
            keep_going: self.keep_going,
            jobs: self.jobs,
            verbosity,
        })
    }
}

/// The options of commands that look up devices.
#[derive(Debug, Args)]
struct HostArgs {
    #[command(flatten)]
    live: LiveArgs,

    /// Read devices from FILE: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["sysfs", "defined", "mdevctl_dir"])]
    host: Option<OsString>,
}

/// The options for the devices of this host.
#[derive(Debug, Args)]
struct LiveArgs {
    /// The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else /sys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Also take devices that mdevctl has defined and that are not started
    #[arg(long)]
    defined: bool,

    /// The directory of mdevctl's definitions
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    mdevctl_dir: Option<PathBuf>,
}

impl HostArgs {
    /// `environment` is the directory to use as `/sys` if no option names one.
    fn settings(self, environment: Option<PathBuf>) -> HostSettings {
        self.host.map_or_else(|| self.live.settings(environment), HostSettings::File)
    }
}

impl LiveArgs {
    /// `environment` is the directory to use as `/sys` if no option names one.
    fn settings(self, environment: Option<PathBuf>) -> HostSettings {
        let sysfs = self.sysfs.or(environment);
        // The definitions of this host say nothing about another one's sysfs.
        let default = || (self.defined || sysfs.is_none()).then(|| "/etc/mdevctl.d".into());
        let mdevctl = self.mdevctl_dir.or_else(default).map(|dir| Mdevctl::new(dir, self.defined));
        HostSettings::Sysfs(sysfs.unwrap_or_else(|| "/sys".into()), mdevctl)
    }
}

#[derive(Debug, Args)]
pub(super) struct FillArgs {
    #[command(flatten)]
    rewrite: RewriteArgs,

    #[command(flatten)]
    host: HostArgs,

    /// Where to write identities
    #[arg(long, value_name = "PLACE", default_value = "source")]
    into: PlaceArg,

    /// Which devices to record; vgpu and pci are only recorded in metadata
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_values = ["mdev", "vgpu"])]
    devices: Vec<DevicesArg>,

    /// Print only the metadata element, in the form for virsh metadata --set
    #[arg(long, conflicts_with_all = ["into", "in_place", "output", "diff", "dry_run"])]
    metadata_only: bool,

    /// What to do if this host does not have a device
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_missing: OnMissingArg,

    /// What to do if an identity in the document differs from the device on this host
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_conflict: OnConflictArg,
}

impl FillArgs {
    pub(super) fn settings(self, sysfs: Option<PathBuf>) -> Result<Settings, clap::Error> {
        let into = if self.metadata_only { PlaceArg::Metadata } else { self.into };
        let selects = |kind| self.devices.contains(&kind);
        let devices =
            Devices { mdev: selects(DevicesArg::Mdev), vgpu: selects(DevicesArg::Vgpu), pci: selects(DevicesArg::Pci) };
        let (on_missing, on_conflict) = (self.on_missing.into(), self.on_conflict.into());
        let policy = Policy { into: into.into(), devices, on_missing, on_conflict };
        Ok(Settings::Fill(FillSettings {
            rewrite: self.rewrite.settings()?,
            host: self.host.settings(sysfs),
            policy,
            metadata_only: self.metadata_only,
        }))
    }
}

#[derive(Debug, Args)]
pub(super) struct StripArgs {
    #[command(flatten)]
    rewrite: RewriteArgs,

    /// Where to remove identities
    #[arg(long, value_name = "PLACE", default_value = "both")]
    from: PlaceArg,
}

impl StripArgs {
    pub(super) fn settings(self) -> Result<Settings, clap::Error> {
        Ok(Settings::Strip(StripSettings { rewrite: self.rewrite.settings()?, from: self.from.into() }))
    }
}

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The guest's domain on the source host; - is standard input
    #[arg(value_name = "SOURCE", value_hint = ValueHint::FilePath)]
    source: OsString,

    /// The guest's domain on the destination host; - is standard input
    #[arg(value_name = "DESTINATION", value_hint = ValueHint::FilePath)]
    destination: OsString,

    /// Print JSON for programs
    #[arg(long)]
    json: bool,

    /// Print errors only; the exit status is the result
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

impl CompareArgs {
    pub(super) fn settings(self) -> Settings {
        let format = format(self.json, self.quiet);
        Settings::Compare(CompareSettings { source: self.source, destination: self.destination, format })
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Domain documents or glob patterns; - is standard input
    #[arg(value_name = "DOMAIN", value_hint = ValueHint::FilePath)]
    files: Vec<OsString>,

    #[command(flatten)]
    live: LiveArgs,

    /// Check against the host that FILE describes, or a pattern; may be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["sysfs", "defined", "mdevctl_dir"])]
    host: Vec<OsString>,

    /// Look for other devices too; the worst verdict that is accepted [default with --host: same]
    #[arg(long, value_name = "VERDICT")]
    accept: Option<AcceptArg>,

    /// A domain, or a pattern, of a guest that has devices of the hosts; may be repeated
    #[arg(long, value_name = "DOMAIN", value_hint = ValueHint::FilePath)]
    in_use: Vec<OsString>,

    /// Use the record of a device's guest address, for managers that change UUIDs
    #[arg(long)]
    follow_guest_address: bool,

    /// Continue if a file cannot be found; the exit status is still 2
    #[arg(short, long)]
    keep_going: bool,

    /// Print JSON for programs
    #[arg(long)]
    json: bool,

    /// Print errors only; the exit status is the result
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// With several hosts, also print the reasons
    #[arg(short, long, conflicts_with_all = ["json", "quiet"])]
    verbose: bool,
}

impl CheckArgs {
    pub(super) fn settings(self, sysfs: Option<PathBuf>) -> Settings {
        let is_placing = self.accept.is_some() || !self.host.is_empty() || !self.in_use.is_empty();
        let placing = is_placing.then(|| PlacingSettings {
            hosts: self.host,
            accept: self.accept.map_or(Verdict::Same, Verdict::from),
            in_use: self.in_use,
            verbose: self.verbose,
        });
        Settings::Check(CheckSettings {
            inputs: Inputs::new(self.files),
            host: self.live.settings(sysfs),
            pairing: pairing(self.follow_guest_address),
            keep_going: self.keep_going,
            format: format(self.json, self.quiet),
            placing,
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Domain documents or glob patterns; - is standard input
    #[arg(value_name = "DOMAIN", value_hint = ValueHint::FilePath)]
    files: Vec<OsString>,

    #[command(flatten)]
    host: HostArgs,

    /// Print JSON for programs: without DOMAIN, the record of the host
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    pub(super) fn settings(self, environment: Environment) -> Settings {
        Settings::List(ListSettings {
            domains: (!self.files.is_empty()).then(|| Inputs::new(self.files)),
            host: self.host.settings(environment.sysfs),
            pci_ids: environment.pci_ids,
            format: format(self.json, false),
        })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AcceptArg {
    /// Only the device that the domain names
    Same,
    /// Also another device that is free
    Free,
    /// Also a device that would have to be created
    Creatable,
}

impl From<AcceptArg> for Verdict {
    fn from(argument: AcceptArg) -> Self {
        match argument {
            AcceptArg::Same => Self::Same,
            AcceptArg::Free => Self::Free,
            AcceptArg::Creatable => Self::Creatable,
        }
    }
}

fn format(json: bool, quiet: bool) -> Format {
    match (json, quiet) {
        (true, _) => Format::Json,
        (false, true) => Format::Status,
        (false, false) => Format::Text,
    }
}

fn pairing(follow_guest_address: bool) -> Pairing {
    if follow_guest_address { Pairing::GuestAddress } else { Pairing::Uuid }
}

#[derive(Debug, Args)]
pub(super) struct RetargetArgs {
    /// The domain; without it, or with -, standard input
    #[arg(value_name = "DOMAIN", value_hint = ValueHint::FilePath)]
    file: Option<OsString>,

    #[command(flatten)]
    host: HostArgs,

    /// A domain, or a pattern, of a guest that has devices of the host; may be repeated
    #[arg(long, value_name = "DOMAIN", value_hint = ValueHint::FilePath)]
    in_use: Vec<OsString>,

    /// Choose free devices without knowing which ones guests of the host have
    #[arg(long)]
    assume_unused: bool,

    /// Also choose devices that have to be created, and print the commands that create them
    #[arg(long)]
    create_plan: bool,

    /// Print which devices would change instead of the domain
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// With --dry-run, print JSON for programs
    #[arg(long, requires = "dry_run")]
    json: bool,

    /// Use the record of a device's guest address, for managers that change UUIDs
    #[arg(long)]
    follow_guest_address: bool,
}

impl RetargetArgs {
    pub(super) fn settings(self, sysfs: Option<PathBuf>) -> Settings {
        Settings::Retarget(RetargetSettings {
            input: Inputs::new(self.file.into_iter().collect()),
            host: self.host.settings(sysfs),
            pairing: pairing(self.follow_guest_address),
            in_use: self.in_use,
            assume_unused: self.assume_unused,
            create_plan: self.create_plan,
            dry_run: self.dry_run.then_some(if self.json { DryRun::Json } else { DryRun::Lines }),
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct HookArgs {
    #[command(flatten)]
    host: HostArgs,

    /// Refuse a guest that has mediated devices or vGPUs but no record of them
    #[arg(long)]
    require: bool,

    /// Also check at every start (prepare begin) and when a snapshot is reverted to
    #[arg(long)]
    check_start: bool,

    /// Check that a device is present only at prepare begin, for hosts that create it or set its type there
    #[arg(long)]
    defer_absent: bool,

    /// Use the record of a device's guest address, for managers that change UUIDs
    #[arg(long)]
    follow_guest_address: bool,

    /// The guest's name
    #[arg(value_name = "GUEST", allow_hyphen_values = true)]
    guest: OsString,

    /// What libvirt does with the guest, such as migrate
    #[arg(value_name = "OPERATION", allow_hyphen_values = true)]
    operation: OsString,

    /// The step of the operation, such as begin
    #[arg(value_name = "SUBOPERATION", allow_hyphen_values = true)]
    suboperation: OsString,

    /// libvirt's fourth argument; ignored
    #[arg(value_name = "EXTRA", allow_hyphen_values = true)]
    extra: OsString,
}

impl HookArgs {
    pub(super) fn settings(self, environment: Environment) -> Settings {
        let text = |word: OsString| word.to_string_lossy().into_owned();
        Settings::Hook(HookSettings {
            syslog: environment.syslog(),
            host: self.host.settings(environment.sysfs),
            require: self.require,
            check_start: self.check_start,
            defer_absent: self.defer_absent,
            pairing: pairing(self.follow_guest_address),
            guest: text(self.guest),
            operation: (text(self.operation), text(self.suboperation)),
            misuse: None,
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The root directory of the host, with etc, proc, sys and dev in it; the default is /
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,

    /// The sysfs to read devices from; the default is VIRT_MDEV_SYSFS, or else sys in the root directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Print JSON for programs
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    pub(super) fn settings(
        self,
        sysfs: Option<PathBuf>,
        check_options: fn(&[String]) -> Result<(), String>,
    ) -> Settings {
        let root = self.root.unwrap_or_else(|| "/".into());
        Settings::Doctor(DoctorSettings {
            sysfs: self.sysfs.or(sysfs).unwrap_or_else(|| root.join("sys")),
            root,
            format: if self.json { DoctorFormat::Json } else { DoctorFormat::Lines },
            check_options,
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL", action = ArgAction::Set)]
    pub(super) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PlaceArg {
    /// The hostdev's source
    Source,
    /// The domain's metadata, where libvirt keeps them
    Metadata,
    /// Both places
    Both,
}

impl From<PlaceArg> for Places {
    fn from(place: PlaceArg) -> Self {
        match place {
            PlaceArg::Source => Self::Only(Place::Source),
            PlaceArg::Metadata => Self::Only(Place::Metadata),
            PlaceArg::Both => Self::Both,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DevicesArg {
    /// Mediated devices
    Mdev,
    /// vGPUs that are PCI virtual functions
    Vgpu,
    /// All PCI devices
    Pci,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnMissingArg {
    /// Fail and write nothing
    Error,
    /// Warn and leave the hostdev unchanged
    Skip,
}

impl From<OnMissingArg> for OnMissing {
    fn from(argument: OnMissingArg) -> Self {
        match argument {
            OnMissingArg::Error => Self::Error,
            OnMissingArg::Skip => Self::Skip,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnConflictArg {
    /// Fail and write nothing
    Error,
    /// Correct what differs and add what is missing
    Replace,
    /// Warn and leave the hostdev unchanged
    Keep,
}

impl From<OnConflictArg> for OnConflict {
    fn from(argument: OnConflictArg) -> Self {
        match argument {
            OnConflictArg::Error => Self::Error,
            OnConflictArg::Replace => Self::Replace,
            OnConflictArg::Keep => Self::Keep,
        }
    }
}
