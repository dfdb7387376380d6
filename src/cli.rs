//! The command line: what may be typed, and nothing of what it does.
//!
//! The doc comments of the options are the text of `--help`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, Command, FromArgMatches, ValueEnum, ValueHint};

use crate::command::settings::{
    CheckFormat, CheckSettings, CompareSettings, CompletionSettings, FillSettings, HookSettings, Inputs, Output,
    RewriteSettings, Settings, StripSettings, Verbosity,
};
use crate::file::Suffix;
use crate::plan::fill::{OnConflict, OnMissing, Policy};
use crate::plan::{Place, Places};

/// What was asked for, free of contradictions.
#[derive(Debug)]
pub struct Request {
    /// The subcommand and what it is to do.
    pub settings: Settings,
}

const ABOUT: &str = "Write into libvirt domain XML what its mediated devices are";

const LONG_ABOUT: &str = "\
Write into libvirt domain XML what its mediated devices are.

A mediated device (mdev) stands in a libvirt domain as a bare UUID. virt-mdev looks each one up in sysfs and writes down \
what it is: vendor and product id of its parent PCI device, and its type. Then one domain can be held against another, or \
against a host, and a host can refuse a guest whose devices it does not have.";

const EXIT_STATUS: &str = "\
Exit status:
  0    done, or nothing to do
  1    a difference was found (--dry-run, compare, check)
  2    an error; nothing was written, but with --keep-going what could be
  128+ a signal ended it";

const ABOUT_FILL: &str = "Write down what each mediated device of a domain is";

const LONG_ABOUT_FILL: &str = "\
Write down what each mediated device of a domain is.

Behind the address of each hostdev of model vfio-pci come vendorid, productid and mdevtype; every other byte stays as it \
is. FILE is a domain, domstatus, domainsnapshot, domaincheckpoint or hostdev document, or a glob pattern. Without FILE, or \
with -, the document comes from standard input and goes to standard output.

libvirt as released drops these elements when a domain is defined. They serve files that stay files, and programs that \
read them. What is written --into metadata libvirt keeps.";

const ABOUT_STRIP: &str = "Take out again what fill has written";

const ABOUT_COMPARE: &str = "Compare the mediated devices of two domains";

const LONG_ABOUT_COMPARE: &str = "\
Compare the mediated devices of two domains, as a migration from one to the other would have to.

Devices are paired in document order; their UUIDs may differ. Number, model and identity must agree. With model vfio-pci an \
identity that is missing is a difference too. The identity is the one recorded in metadata, else the one in the source.";

const ABOUT_CHECK: &str = "Hold recorded identities against the devices of this host";

const LONG_ABOUT_CHECK: &str = "\
Hold recorded identities against the devices of this host.

Each device of model vfio-pci is the same, different, missing on this host, or unrecorded. FILE is as for fill.";

const ABOUT_HOOK: &str = "Refuse a migration to a host whose devices differ; for libvirt's hooks";

const LONG_ABOUT_HOOK: &str = "\
Refuse a migration to a host whose devices differ.

This is what /etc/libvirt/hooks/qemu.d/90-virt-mdev runs, with libvirt's four arguments and the domain XML on standard \
input: see virt-mdev-hook(8). `migrate begin` and `restore begin` are judged as check judges; every other operation passes \
at once. Exit status 0 lets it happen, 1 refuses it and says why on standard error and in syslog.";

const ABOUT_COMPLETIONS: &str = "Print a completion script for a shell";

/// The subcommands: name, how clap learns its options, how they become settings.
const SUBCOMMANDS: [Subcommand; 6] = [
    Subcommand {
        name: "fill",
        command: || FillArgs::augment_args(Command::new("fill")).about(ABOUT_FILL).long_about(LONG_ABOUT_FILL),
        settings: |matches, sysfs| FillArgs::from_arg_matches(matches)?.settings(sysfs),
    },
    Subcommand {
        name: "strip",
        command: || StripArgs::augment_args(Command::new("strip")).about(ABOUT_STRIP),
        settings: |matches, _| StripArgs::from_arg_matches(matches)?.settings(),
    },
    Subcommand {
        name: "compare",
        command: || {
            CompareArgs::augment_args(Command::new("compare")).about(ABOUT_COMPARE).long_about(LONG_ABOUT_COMPARE)
        },
        settings: |matches, _| Ok(CompareArgs::from_arg_matches(matches)?.settings()),
    },
    Subcommand {
        name: "check",
        command: || CheckArgs::augment_args(Command::new("check")).about(ABOUT_CHECK).long_about(LONG_ABOUT_CHECK),
        settings: |matches, sysfs| Ok(CheckArgs::from_arg_matches(matches)?.settings(sysfs)),
    },
    Subcommand {
        name: "hook",
        command: || HookArgs::augment_args(Command::new("hook")).about(ABOUT_HOOK).long_about(LONG_ABOUT_HOOK),
        settings: |matches, sysfs| Ok(HookArgs::from_arg_matches(matches)?.settings(sysfs)),
    },
    Subcommand {
        name: "completions",
        command: || CompletionArgs::augment_args(Command::new("completions")).about(ABOUT_COMPLETIONS),
        settings: |matches, _| {
            let CompletionArgs { shell } = CompletionArgs::from_arg_matches(matches)?;
            Ok(Settings::Completions(CompletionSettings { shell, command: whole }))
        },
    },
];

struct Subcommand {
    name: &'static str,
    command: fn() -> Command,
    settings: fn(&clap::ArgMatches, Option<PathBuf>) -> Result<Settings, clap::Error>,
}

impl Request {
    /// Reads what was typed, the program's own name first. `sysfs` is the value of `VIRT_MDEV_SYSFS`; an empty one counts as
    /// none.
    ///
    /// # Errors
    /// For help and version too; the error knows its exit status and where it is printed.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>, sysfs: Option<OsString>) -> Result<Self, clap::Error> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let sysfs = sysfs.filter(|dir| !dir.is_empty()).map(PathBuf::from);
        match Self::parse_words(&arguments, sysfs) {
            // A hook that exits with anything but 0 kills the guest at `reconnect begin`: what is wrong is its own to judge.
            Err(error) if is_called_as_hook(&arguments) => Ok(Self { settings: misused_hook(&error, &arguments) }),
            parsed => parsed,
        }
    }

    fn parse_words(arguments: &[OsString], sysfs: Option<PathBuf>) -> Result<Self, clap::Error> {
        let named = SUBCOMMANDS.iter().find(|subcommand| arguments.get(1).is_some_and(|word| word == subcommand.name));
        // To build what is not used would cost a tenth of a whole run.
        let mut command = named.map_or_else(whole, |subcommand| {
            // A guest may be named --help.
            let is_hook = is_called_as_hook(arguments);
            root().subcommand((subcommand.command)().disable_help_flag(is_hook))
        });
        let matches = command.try_get_matches_from_mut(arguments).map_err(|error| explain(error, arguments))?;
        let chosen = matches.subcommand().and_then(|(name, matches)| {
            let subcommand = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name)?;
            Some((subcommand.settings)(matches, sysfs))
        });
        let no_subcommand = || clap::Error::new(ErrorKind::MissingSubcommand);
        Ok(Self { settings: chosen.ok_or_else(no_subcommand)?? })
    }
}

/// Whether this is a call as libvirt makes it, not a person who asks for help.
fn is_called_as_hook(arguments: &[OsString]) -> bool {
    let [_, subcommand, words @ ..] = arguments else { return false };
    let asks_for_help = matches!(words, [word] if word == "--help" || word == "-h");
    subcommand == "hook" && !asks_for_help
}

/// A call as a hook whose command line is wrong: one that is judged wherever an operation that is judged stands in it.
fn misused_hook(error: &clap::Error, arguments: &[OsString]) -> Settings {
    let words: Vec<_> = arguments.iter().skip(2).map(|word| word.to_string_lossy().into_owned()).collect();
    let misuse = error.to_string().lines().next().map(str::to_owned);
    let called = |guest: &str, operation: &str, suboperation: &str| HookSettings {
        sysfs: PathBuf::new(),
        require: false,
        check_start: words.iter().any(|word| word == "--check-start"),
        guest: guest.to_owned(),
        operation: (operation.to_owned(), suboperation.to_owned()),
        misuse: misuse.clone(),
    };
    let mut calls = words.windows(3).map(|words| called(&words[0], &words[1], &words[2]));
    Settings::Hook(calls.find(HookSettings::is_judged).unwrap_or_else(|| called("", "", "")))
}

fn root() -> Command {
    Command::new("virt-mdev")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_help(EXIT_STATUS)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(80)
}

/// The command line with all its subcommands, as help, completions and the man pages' test want it.
pub fn whole() -> Command {
    SUBCOMMANDS.iter().fold(root(), |command, subcommand| command.subcommand((subcommand.command)()))
}

/// Says of sed's `-i.bak` how it is written here.
fn explain(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let glued = arguments.iter().filter_map(|word| word.to_str()?.strip_prefix("-i")).find(|rest| !rest.is_empty());
    match (error.kind(), glued) {
        (ErrorKind::NoEquals | ErrorKind::UnknownArgument, Some(suffix)) if !suffix.starts_with('=') => {
            usage_error(format!("a suffix for backups follows an equals sign: -i={suffix} or --in-place={suffix}"))
        }
        _ => error,
    }
}

fn usage_error(message: impl std::fmt::Display) -> clap::Error {
    clap::Error::raw(ErrorKind::ArgumentConflict, format!("{message}\n\nFor more information, try '--help'.\n"))
}

/// The options of what rewrites documents.
#[derive(Debug, Args)]
struct RewriteArgs {
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

    /// Write nothing; say what would change, exit with 1 if anything would
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Rewrite what can be rewritten, though others fail; the exit status is 2 all the same
    #[arg(short, long)]
    keep_going: bool,

    /// Work on N files at once; as many as there are processors if not given
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// No warnings and no messages
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Name each device that is left alone, and why
    #[arg(short, long)]
    verbose: bool,
}

impl RewriteArgs {
    fn settings(self) -> Result<RewriteSettings, clap::Error> {
        let reads_stdin = self.files.is_empty() || self.files.iter().any(|file| file == "-");
        if self.in_place.is_some() && reads_stdin {
            return Err(usage_error("standard input (-) cannot be rewritten in place; leave -i out to filter it"));
        }
        let output = match (self.in_place, self.output) {
            (Some(suffix), _) if in_place_without_suffix(&suffix) => Output::InPlace(None),
            (Some(suffix), _) => Output::InPlace(Some(Suffix::new(suffix).map_err(usage_error)?)),
            (None, Some(file)) if file.as_os_str() != "-" => Output::File(file),
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
            dry_run: self.dry_run,
            keep_going: self.keep_going,
            jobs: self.jobs.unwrap_or_else(|| available_parallelism().unwrap_or(NonZeroUsize::MIN)),
            verbosity,
        })
    }
}

/// clap gives an empty value where `-i` stands by itself.
fn in_place_without_suffix(suffix: &OsString) -> bool {
    suffix.is_empty()
}

#[derive(Debug, Args)]
struct FillArgs {
    #[command(flatten)]
    rewrite: RewriteArgs,

    /// Where the host's devices are read; VIRT_MDEV_SYSFS if not given, else /sys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Where identities are written
    #[arg(long, value_name = "PLACE", default_value = "source")]
    into: PlaceArg,

    /// Print only the metadata element, as virsh metadata --set takes it
    #[arg(long, conflicts_with_all = ["into", "in_place", "output", "diff", "dry_run"])]
    metadata_only: bool,

    /// What to do about a device that has no identity on this host
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_missing: OnMissingArg,

    /// What to do about an identity that stands there and says something else
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_conflict: OnConflictArg,
}

impl FillArgs {
    fn settings(self, sysfs: Option<PathBuf>) -> Result<Settings, clap::Error> {
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
struct StripArgs {
    #[command(flatten)]
    rewrite: RewriteArgs,

    /// Where identities are taken out
    #[arg(long, value_name = "PLACE", default_value = "both")]
    from: PlaceArg,
}

impl StripArgs {
    fn settings(self) -> Result<Settings, clap::Error> {
        Ok(Settings::Strip(StripSettings { rewrite: self.rewrite.settings()?, from: self.from.into() }))
    }
}

#[derive(Debug, Args)]
struct CompareArgs {
    /// The domain where the guest runs; - is standard input
    #[arg(value_name = "SOURCE", value_hint = ValueHint::FilePath)]
    source: OsString,

    /// The domain where it is to run; - is standard input
    #[arg(value_name = "DESTINATION", value_hint = ValueHint::FilePath)]
    destination: OsString,

    /// Print nothing, the exit status says it
    #[arg(short, long)]
    quiet: bool,
}

impl CompareArgs {
    fn settings(self) -> Settings {
        let verbosity = if self.quiet { Verbosity::Quiet } else { Verbosity::Normal };
        Settings::Compare(CompareSettings { source: self.source, destination: self.destination, verbosity })
    }
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Documents, or glob patterns for them; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<OsString>,

    /// Where the host's devices are read; VIRT_MDEV_SYSFS if not given, else /sys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Print nothing, the exit status says it
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

impl CheckArgs {
    fn settings(self, sysfs: Option<PathBuf>) -> Settings {
        let format = match (self.json, self.quiet) {
            (true, _) => CheckFormat::Json,
            (false, true) => CheckFormat::Status,
            (false, false) => CheckFormat::Table,
        };
        Settings::Check(CheckSettings { inputs: Inputs::new(self.files), sysfs: sysfs_dir(self.sysfs, sysfs), format })
    }
}

/// The directory that stands for `/sys`: the option's, else the environment's.
fn sysfs_dir(option: Option<PathBuf>, environment: Option<PathBuf>) -> PathBuf {
    option.or(environment).unwrap_or_else(|| "/sys".into())
}

#[derive(Debug, Args)]
struct HookArgs {
    /// Where the host's devices are read; VIRT_MDEV_SYSFS if not given, else /sys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    sysfs: Option<PathBuf>,

    /// Refuse a guest with mediated devices that carries no record of them
    #[arg(long)]
    require: bool,

    /// Judge at every start too (prepare begin), and when a snapshot is reverted to
    #[arg(long)]
    check_start: bool,

    /// The guest's name
    #[arg(value_name = "GUEST", allow_hyphen_values = true)]
    guest: OsString,

    /// What libvirt does with it
    #[arg(value_name = "OPERATION", allow_hyphen_values = true)]
    operation: OsString,

    /// Which part of that
    #[arg(value_name = "SUBOPERATION", allow_hyphen_values = true)]
    suboperation: OsString,

    /// What else libvirt says; not looked at
    #[arg(value_name = "EXTRA", allow_hyphen_values = true)]
    extra: OsString,
}

impl HookArgs {
    fn settings(self, sysfs: Option<PathBuf>) -> Settings {
        let text = |word: OsString| word.to_string_lossy().into_owned();
        Settings::Hook(HookSettings {
            sysfs: sysfs_dir(self.sysfs, sysfs),
            require: self.require,
            check_start: self.check_start,
            guest: text(self.guest),
            operation: (text(self.operation), text(self.suboperation)),
            misuse: None,
        })
    }
}

#[derive(Debug, Args)]
struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL", action = ArgAction::Set)]
    shell: clap_complete::Shell,
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
