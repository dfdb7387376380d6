//! The options of each subcommand, and their conversion to settings.
//!
//! The doc comments of the options are the text of `--help`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Parser, ValueEnum, ValueHint};

use super::completions::Shell;
use super::{EXIT_STATUS, Environment, check_hook_options, usage_error};
use crate::command::settings::{
    CheckSettings, CompareSettings, DoctorSettings, FillSettings, Format, HookSettings, HostSettings, ListSettings,
    Output, PlacingSettings, RetargetSettings, RewriteSettings, Settings, StripSettings, Target, Verbosity,
};
use crate::file::Suffix;
use crate::host::Mdevctl;
use crate::plan::check::Verdict;
use crate::plan::fill::{Devices, OnConflict, OnMissing, Policy};
use crate::plan::{Pairing, Place, Places};

/// Record in libvirt domain XML what its mediated devices are.
///
/// A libvirt domain names a mediated device (mdev) only by its UUID, and a vGPU that is a PCI virtual function only by its
/// address. virt-mdev looks each device up in sysfs and records what it is: the vendor and product id of the PCI device, and the
/// mdev or vGPU type. With these records a domain can be compared with another domain or with a host, and a host can refuse a
/// guest whose devices it does not have.
// Only the subcommand that is called is built: building all of them would take a tenth of the time of a whole run.
#[derive(Debug, Parser)]
#[command(name = "virt-mdev", version, after_help = EXIT_STATUS, max_term_width = 80, defer = true)]
pub(super) enum Subcommand {
    /// Record what each mediated device and vGPU of a domain is.
    ///
    /// fill adds vendorid, productid and mdevtype after the address of each hostdev of model vfio-pci, and changes no other byte.
    /// FILE is a domain, domstatus, domainsnapshot, domaincheckpoint or hostdev document, or a glob pattern. Without FILE, or
    /// with -, fill reads the document from standard input and writes it to standard output.
    ///
    /// libvirt currently drops these elements when a domain is defined, so they are useful only in files that are not given to
    /// libvirt. libvirt keeps the records that fill writes with --into metadata. vGPUs that are PCI virtual functions, and with
    /// --devices pci all PCI devices, are only recorded there.
    Fill(FillArgs),

    /// Remove what fill has written
    Strip(StripArgs),

    /// Compare the mediated devices and vGPUs of two domains, as needed for a migration from one to the other.
    ///
    /// Devices are paired in document order; their UUIDs may differ. Their number, models and identities must be the same. For
    /// model vfio-pci, a missing identity is also a difference. The identity in the metadata takes precedence over the one in
    /// the source. PCI devices are compared if one is recorded.
    #[command(about = "Compare the mediated devices and vGPUs of two domains")]
    Compare(CompareArgs),

    /// Compare recorded identities with the devices of this host, or of other hosts.
    ///
    /// Each mediated device of model vfio-pci, each vGPU and each recorded PCI device is the same, different, missing on the
    /// host, untyped (a virtual function without a vGPU type) or unrecorded. DOMAIN is a document of a kind that fill reads, not
    /// the name of a guest. To check a guest: virsh dumpxml GUEST | virt-mdev check
    ///
    /// With --host or --accept, check also finds other devices of the recorded identity, which are free or can be created, and
    /// says to which hosts the guests can go.
    Check(CheckArgs),

    /// Show the parents, mediated devices and vGPUs of a host.
    ///
    /// Without DOMAIN, list shows each parent of mediated devices with its types and devices, and each card whose virtual
    /// functions are vGPUs. With DOMAIN, it shows the devices of these domains, what is recorded of them, and what the host has
    /// for them. list --json prints the record of the host, which --host of other commands reads.
    List(ListArgs),

    /// Print the domain for another host, with devices of that host.
    ///
    /// Each device that is not the same there is replaced by a free one of the recorded identity, in its hostdev and in its
    /// record; no other byte changes. Exit status 1 means that one cannot be had; then nothing is printed. Migrate with the
    /// result: virsh migrate --live --persistent --xml NEW --persistent-xml NEW
    Retarget(RetargetArgs),

    /// Refuse a migration to a host whose devices differ.
    ///
    /// /etc/libvirt/hooks/qemu.d/zz-virt-mdev runs it with libvirt's four arguments and the domain XML on standard input: see
    /// virt-mdev-hook(8). For `migrate begin` and `restore begin`, hook compares the guest's devices as check does; every other
    /// operation passes at once. Exit status 0 allows the operation; 1 refuses it, with the reason on standard error and in
    /// syslog.
    #[command(about = "Refuse a migration to a host whose devices differ; for libvirt's hooks")]
    Hook(HookArgs),

    /// Check that the hook is installed and works on this host.
    ///
    /// Each line says ok, warning or error, what was found, and what to do about it. doctor changes nothing and needs no
    /// connection to libvirt. Run it as root, since other users cannot read all that it checks. Exit status 1 means that there
    /// is an error.
    Doctor(DoctorArgs),

    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

impl Subcommand {
    pub(super) fn settings(self, environment: Environment) -> Result<Settings, clap::Error> {
        Ok(match self {
            Self::Fill(arguments) => Settings::Fill(arguments.settings(environment.sysfs)?),
            Self::Strip(arguments) => Settings::Strip(arguments.settings()?),
            Self::Compare(arguments) => Settings::Compare(arguments.settings()),
            Self::Check(arguments) => Settings::Check(arguments.settings(environment.sysfs)?),
            Self::List(arguments) => Settings::List(arguments.settings(environment)?),
            Self::Retarget(arguments) => Settings::Retarget(arguments.settings(environment.sysfs)?),
            Self::Hook(arguments) => Settings::Hook(arguments.settings(environment)?),
            Self::Doctor(arguments) => Settings::Doctor(arguments.settings(environment.sysfs)),
            Self::Completions { shell } => Settings::Completions(shell.script()),
        })
    }
}

// A doc comment of a flattened struct would become the help of the command.
#[derive(Debug, Args)]
struct RewriteArgs {
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
    fn settings(self) -> Result<RewriteSettings, clap::Error> {
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
            inputs: or_stdin(self.files),
            output,
            dry_run: self.dry_run.then_some(format(self.json)),
            keep_going: self.keep_going,
            jobs: self.jobs,
            verbosity,
        })
    }
}

#[derive(Debug, Args)]
struct HostArgs {
    #[command(flatten)]
    live: LiveArgs,

    /// Read devices from FILE: virt-mdev list --json or virsh nodedev-dumpxml of a host; - is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["sysfs", "defined", "mdevctl_dir"])]
    host: Option<OsString>,
}

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
    into: Places,

    /// Which devices to record; vgpu and pci are only recorded in metadata
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_values = ["mdev", "vgpu"])]
    devices: Vec<DevicesArg>,

    /// Print only the metadata element, in the form for virsh metadata --set
    #[arg(long, conflicts_with_all = ["into", "in_place", "output", "diff", "dry_run"])]
    metadata_only: bool,

    /// What to do if this host does not have a device
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_missing: OnMissing,

    /// What to do if an identity in the document differs from the device on this host
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_conflict: OnConflict,
}

impl FillArgs {
    fn settings(self, sysfs: Option<PathBuf>) -> Result<FillSettings, clap::Error> {
        let into = if self.metadata_only { Places::Only(Place::Metadata) } else { self.into };
        let selects = |kind| self.devices.contains(&kind);
        let devices =
            Devices { mdev: selects(DevicesArg::Mdev), vgpu: selects(DevicesArg::Vgpu), pci: selects(DevicesArg::Pci) };
        let rewrite = self.rewrite.settings()?;
        check_stdin(&[&rewrite.inputs, self.host.host.as_slice()])?;
        Ok(FillSettings {
            rewrite,
            host: self.host.settings(sysfs),
            policy: Policy { into, devices, on_missing: self.on_missing, on_conflict: self.on_conflict },
            metadata_only: self.metadata_only,
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct StripArgs {
    #[command(flatten)]
    rewrite: RewriteArgs,

    /// Where to remove identities
    #[arg(long, value_name = "PLACE", default_value = "both")]
    from: Places,
}

impl StripArgs {
    fn settings(self) -> Result<StripSettings, clap::Error> {
        Ok(StripSettings { rewrite: self.rewrite.settings()?, from: self.from })
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
    fn settings(self) -> CompareSettings {
        let format = (!self.quiet).then_some(format(self.json));
        CompareSettings { source: self.source, destination: self.destination, format }
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
    accept: Option<Verdict>,

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
    fn settings(self, sysfs: Option<PathBuf>) -> Result<CheckSettings, clap::Error> {
        let inputs = or_stdin(self.files);
        check_stdin(&[&inputs, &self.host, &self.in_use])?;
        let is_placing = self.accept.is_some() || !self.host.is_empty() || !self.in_use.is_empty();
        let placing = is_placing.then(|| PlacingSettings {
            hosts: self.host,
            accept: self.accept.unwrap_or(Verdict::Same),
            in_use: self.in_use,
            verbose: self.verbose,
        });
        Ok(CheckSettings {
            inputs,
            host: self.live.settings(sysfs),
            pairing: pairing(self.follow_guest_address),
            keep_going: self.keep_going,
            format: (!self.quiet).then_some(format(self.json)),
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
    fn settings(self, environment: Environment) -> Result<ListSettings, clap::Error> {
        check_stdin(&[&self.files, self.host.host.as_slice()])?;
        Ok(ListSettings {
            domains: self.files,
            host: self.host.settings(environment.sysfs),
            pci_ids: environment.pci_ids,
            format: format(self.json),
        })
    }
}

fn format(json: bool) -> Format {
    if json { Format::Json } else { Format::Text }
}

/// Returns the files, or if there are none, standard input.
fn or_stdin(files: Vec<OsString>) -> Vec<OsString> {
    if files.is_empty() { vec!["-".into()] } else { files }
}

/// Returns an error if more than one of the groups of files has standard input.
fn check_stdin(groups: &[&[OsString]]) -> Result<(), clap::Error> {
    if groups.iter().filter(|files| files.iter().any(|file| file == "-")).count() < 2 {
        return Ok(());
    }
    Err(usage_error("standard input (-) can be read only once; the domain is read from it if no file is given"))
}

/// Returns an error if the file of the host is standard input, which has the domain.
pub(super) fn check_stdin_of_hook(host: Option<&OsString>) -> Result<(), clap::Error> {
    check_stdin(&[&["-".into()], host.map_or(&[], std::slice::from_ref)])
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
    fn settings(self, sysfs: Option<PathBuf>) -> Result<RetargetSettings, clap::Error> {
        let input = self.file.unwrap_or_else(|| "-".into());
        check_stdin(&[std::slice::from_ref(&input), self.host.host.as_slice(), &self.in_use])?;
        Ok(RetargetSettings {
            input,
            host: self.host.settings(sysfs),
            pairing: pairing(self.follow_guest_address),
            in_use: self.in_use,
            assume_unused: self.assume_unused,
            create_plan: self.create_plan,
            dry_run: self.dry_run.then_some(format(self.json)),
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
    fn settings(self, environment: Environment) -> Result<HookSettings, clap::Error> {
        check_stdin_of_hook(self.host.host.as_ref())?;
        let text = |word: OsString| word.to_string_lossy().into_owned();
        Ok(HookSettings {
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
    fn settings(self, sysfs: Option<PathBuf>) -> DoctorSettings {
        let root = self.root.unwrap_or_else(|| "/".into());
        DoctorSettings {
            sysfs: self.sysfs.or(sysfs).unwrap_or_else(|| root.join("sys")),
            root,
            format: format(self.json),
            check_options: check_hook_options,
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

impl ValueEnum for Places {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Only(Place::Source), Self::Only(Place::Metadata), Self::Both]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Only(Place::Source) => PossibleValue::new("source").help("The hostdev's source"),
            Self::Only(Place::Metadata) => {
                PossibleValue::new("metadata").help("The domain's metadata, where libvirt keeps them")
            }
            Self::Both => PossibleValue::new("both").help("Both places"),
        })
    }
}

impl ValueEnum for OnMissing {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Error, Self::Skip]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Error => PossibleValue::new("error").help("Fail and write nothing"),
            Self::Skip => PossibleValue::new("skip").help("Warn and leave the hostdev unchanged"),
        })
    }
}

impl ValueEnum for OnConflict {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Error, Self::Replace, Self::Keep]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Error => PossibleValue::new("error").help("Fail and write nothing"),
            Self::Replace => PossibleValue::new("replace").help("Correct what differs and add what is missing"),
            Self::Keep => PossibleValue::new("keep").help("Warn and leave the hostdev unchanged"),
        })
    }
}

/// The verdicts that `--accept` takes.
impl ValueEnum for Verdict {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Same, Self::Free, Self::Creatable]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Same => "Only the device that the domain names",
            Self::Free => "Also another device that is free",
            Self::Creatable => "Also a device that would have to be created",
            _ => return None,
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}
