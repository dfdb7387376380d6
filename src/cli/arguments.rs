//! The options of each subcommand, and what they amount to.
//!
//! The doc comments of the options are the text of `--help`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, ValueHint};

use super::{Environment, usage_error};
use crate::command::settings::{
    CheckSettings, CompareSettings, DoctorFormat, DoctorSettings, DryRun, FillSettings, Format, HookSettings, Inputs,
    Output, RewriteSettings, Settings, StripSettings, Target, Verbosity,
};
use crate::file::Suffix;
use crate::plan::fill::{OnConflict, OnMissing, Policy};
use crate::plan::{Pairing, Place, Places};

pub(super) const ABOUT_FILL: &str = "Write down what each mediated device of a domain is";

pub(super) const LONG_ABOUT_FILL: &str = "\
Write down what each mediated device of a domain is.

After the address of each hostdev of model vfio-pci it writes vendorid, productid and mdevtype; every other byte stays as \
it is. FILE is a domain, domstatus, domainsnapshot, domaincheckpoint or hostdev document, or a glob pattern. Without FILE, or \
with -, the document comes from standard input and goes to standard output.

libvirt as released drops these elements when a domain is defined. They are of use in files that are not given to \
libvirt, and to programs that read them. What is written --into metadata libvirt keeps.";

pub(super) const ABOUT_STRIP: &str = "Take out again what fill has written";

pub(super) const ABOUT_COMPARE: &str = "Compare the mediated devices of two domains";

pub(super) const LONG_ABOUT_COMPARE: &str = "\
Compare the mediated devices of two domains, in what must agree for a migration from one to the other.

Devices are paired in document order; their UUIDs may differ. Number, model and identity must agree. With model vfio-pci an \
identity that is missing is a difference too. The identity is the one recorded in metadata, else the one in the source.";

pub(super) const ABOUT_CHECK: &str = "Compare recorded identities with the devices of this host";

pub(super) const LONG_ABOUT_CHECK: &str = "\
Compare recorded identities with the devices of this host.

Each device of model vfio-pci is the same, different, missing on this host, or unrecorded. DOMAIN is \
a document as fill takes it, not a guest's name; for a guest: virsh dumpxml GUEST | virt-mdev check";

pub(super) const ABOUT_HOOK: &str = "Refuse a migration to a host whose devices differ; for libvirt's hooks";

pub(super) const LONG_ABOUT_HOOK: &str = "\
Refuse a migration to a host whose devices differ.

This is what /etc/libvirt/hooks/qemu.d/zz-virt-mdev runs, with libvirt's four arguments and the domain XML on standard \
input: see virt-mdev-hook(8). `migrate begin` and `restore begin` are judged as check judges; every other operation passes \
at once. Exit status 0 lets it happen, 1 refuses it and says why on standard error and in syslog.";

pub(super) const ABOUT_DOCTOR: &str = "Check that the hook is installed and works on this host";

pub(super) const LONG_ABOUT_DOCTOR: &str = "\
Check that the hook is installed and works on this host.

Each line says ok, warning or error, what was found, and what to do about it. Nothing is changed, and no connection to \
libvirt is needed. Run it as root: much of what it reads is closed to others. Exit status 1 says that there is an error.";

pub(super) const ABOUT_COMPLETIONS: &str = "Print a completion script for a shell";

/// The options of what rewrites documents.
#[derive(Debug, Args)]
pub(super) struct RewriteArgs {
    /// Documents, or glob patterns for them; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<OsString>,

    /// Rewrite each FILE; with a SUFFIX, as in -i=.bak, keep the old one as FILE.bak
    #[arg(short, long, value_name = "SUFFIX", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    #[arg(requires = "files", conflicts_with_all = ["output", "diff"])]
    in_place: Option<OsString>,

    /// Write the document to FILE
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "diff")]
    output: Option<PathBuf>,

    /// Print the unified diff instead of writing
    #[arg(long)]
    diff: bool,

    /// Write nothing; print what would change, and exit with 1 if anything would
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// With --dry-run, print JSON, for programs
    #[arg(long, requires = "dry_run", conflicts_with = "diff")]
    json: bool,

    /// Go on with the other files when one fails; the exit status is still 2
    #[arg(short, long)]
    keep_going: bool,

    /// Work on N files at once; as many as there are processors if not given
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Print no warnings and no messages, only errors
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Name each device that is left alone, and why
    #[arg(short, long)]
    verbose: bool,
}

impl RewriteArgs {
    pub(super) fn settings(self) -> Result<RewriteSettings, clap::Error> {
        let reads_stdin = self.files.is_empty() || self.files.iter().any(|file| file == "-");
        if self.in_place.is_some() && reads_stdin {
            return Err(usage_error("standard input (-) cannot be rewritten in place; leave -i out to filter it"));
        }
        let output = match (self.in_place, self.output) {
            // clap gives an empty value where -i stands by itself.
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

#[derive(Debug, Args)]
pub(super) struct FillArgs {
    #[command(flatten)]
    rewrite: RewriteArgs,

    /// Where this host's devices are read; VIRT_MDEV_SYSFS if not given, else /sys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Where identities are written
    #[arg(long, value_name = "PLACE", default_value = "source")]
    into: PlaceArg,

    /// Print only the metadata element, as virsh metadata --set takes it
    #[arg(long, conflicts_with_all = ["into", "in_place", "output", "diff", "dry_run"])]
    metadata_only: bool,

    /// What to do about a device that this host does not have
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_missing: OnMissingArg,

    /// What to do about an identity that is there already and differs from the host's
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_conflict: OnConflictArg,
}

impl FillArgs {
    pub(super) fn settings(self, sysfs: Option<PathBuf>) -> Result<Settings, clap::Error> {
        let into = if self.metadata_only { PlaceArg::Metadata } else { self.into };
        let policy =
            Policy { into: into.into(), on_missing: self.on_missing.into(), on_conflict: self.on_conflict.into() };
        Ok(Settings::Fill(FillSettings {
            rewrite: self.rewrite.settings()?,
            sysfs: sysfs_dir(self.sysfs, sysfs),
            policy,
            metadata_only: self.metadata_only,
        }))
    }
}

#[derive(Debug, Args)]
pub(super) struct StripArgs {
    #[command(flatten)]
    rewrite: RewriteArgs,

    /// Where identities are taken out
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
    /// The domain where the guest runs; - is standard input
    #[arg(value_name = "SOURCE", value_hint = ValueHint::FilePath)]
    source: OsString,

    /// The domain where it is to run; - is standard input
    #[arg(value_name = "DESTINATION", value_hint = ValueHint::FilePath)]
    destination: OsString,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Print nothing but errors; the exit status is the answer
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
    /// Domain documents, or glob patterns for them; - is standard input
    #[arg(value_name = "DOMAIN", value_hint = ValueHint::FilePath)]
    files: Vec<OsString>,

    /// Where this host's devices are read; VIRT_MDEV_SYSFS if not given, else /sys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Judge a device by the record of its guest address, for managers that change UUIDs
    #[arg(long)]
    follow_guest_address: bool,

    /// Go on when a file cannot be found; the exit status is still 2
    #[arg(short, long)]
    keep_going: bool,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Print nothing but errors; the exit status is the answer
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

impl CheckArgs {
    pub(super) fn settings(self, sysfs: Option<PathBuf>) -> Settings {
        Settings::Check(CheckSettings {
            inputs: Inputs::new(self.files),
            sysfs: sysfs_dir(self.sysfs, sysfs),
            pairing: pairing(self.follow_guest_address),
            keep_going: self.keep_going,
            format: format(self.json, self.quiet),
        })
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

/// The directory that stands for `/sys`: the option's, else the environment's.
fn sysfs_dir(option: Option<PathBuf>, environment: Option<PathBuf>) -> PathBuf {
    option.or(environment).unwrap_or_else(|| "/sys".into())
}

#[derive(Debug, Args)]
pub(super) struct HookArgs {
    /// Where this host's devices are read; VIRT_MDEV_SYSFS if not given, else /sys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Refuse a guest with mediated devices that carries no record of them
    #[arg(long)]
    require: bool,

    /// Judge at every start too (prepare begin), and when a snapshot is reverted to
    #[arg(long)]
    check_start: bool,

    /// Let a device that is absent pass until prepare begin, for hosts that create it there
    #[arg(long)]
    defer_absent: bool,

    /// Judge a device by the record of its guest address, for managers that change UUIDs
    #[arg(long)]
    follow_guest_address: bool,

    /// The guest's name
    #[arg(value_name = "GUEST", allow_hyphen_values = true)]
    guest: OsString,

    /// What libvirt does with it, such as migrate
    #[arg(value_name = "OPERATION", allow_hyphen_values = true)]
    operation: OsString,

    /// Which part of that, such as begin
    #[arg(value_name = "SUBOPERATION", allow_hyphen_values = true)]
    suboperation: OsString,

    /// What else libvirt says; ignored
    #[arg(value_name = "EXTRA", allow_hyphen_values = true)]
    extra: OsString,
}

impl HookArgs {
    pub(super) fn settings(self, environment: Environment) -> Settings {
        let text = |word: OsString| word.to_string_lossy().into_owned();
        Settings::Hook(HookSettings {
            syslog: environment.syslog(),
            sysfs: sysfs_dir(self.sysfs, environment.sysfs),
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
    /// The root directory of the host, in which etc, proc, sys and dev are; / if not given
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,

    /// Where this host's devices are read; VIRT_MDEV_SYSFS if not given, else sys in the root directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Print JSON, for programs
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
    pub(super) shell: clap_complete::Shell,
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnMissingArg {
    /// Fail, and write nothing
    Error,
    /// Warn, and leave the hostdev as it is
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
    /// Fail, and write nothing
    Error,
    /// Correct what conflicts, and add what is missing
    Replace,
    /// Warn, and leave the hostdev entirely as it is
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
