//! The command line: what may be typed, and nothing of what it does.
//!
//! The doc comments of the options are the text of `--help`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, Command, FromArgMatches, ValueEnum, ValueHint};

use crate::command::settings::{
    CompletionSettings, FillSettings, Inputs, Output, RewriteSettings, Settings, StripSettings, Verbosity,
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
what it is: vendor and product id of its parent PCI device, and its type.";

const EXIT_STATUS: &str = "\
Exit status:
  0    done, or nothing to do
  1    a difference was found where one was asked for
  2    an error; nothing was written
  128+ a signal ended it";

const ABOUT_FILL: &str = "Write down what each mediated device of a domain is";

const LONG_ABOUT_FILL: &str = "\
Write down what each mediated device of a domain is.

Behind the address of each hostdev of model vfio-pci come vendorid, productid and mdevtype; every other byte stays as it \
is. FILE is a domain, domstatus, domainsnapshot, domaincheckpoint or hostdev document, or a glob pattern. Without FILE, or \
with -, the document comes from standard input and goes to standard output.

libvirt as released drops these elements when a domain is defined. They serve files that stay files, and programs that \
read them.";

const ABOUT_STRIP: &str = "Take out again what fill has written";

const ABOUT_COMPLETIONS: &str = "Print a completion script for a shell";

/// The subcommands: name, how clap learns its options, how they become settings.
const SUBCOMMANDS: [Subcommand; 3] = [
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
        let named = SUBCOMMANDS.iter().find(|subcommand| arguments.get(1).is_some_and(|word| word == subcommand.name));
        // To build what is not used would cost a tenth of a whole run.
        let mut command = named.map_or_else(whole, |subcommand| root().subcommand((subcommand.command)()));
        let matches = command.try_get_matches_from_mut(&arguments).map_err(|error| explain(error, &arguments))?;
        let chosen = matches.subcommand().and_then(|(name, matches)| {
            let subcommand = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name)?;
            Some((subcommand.settings)(matches, sysfs))
        });
        let no_subcommand = || clap::Error::new(ErrorKind::MissingSubcommand);
        let settings = chosen.ok_or_else(no_subcommand)?.map_err(|error| error.format(&mut command))?;
        Ok(Self { settings })
    }
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
    clap::Error::raw(ErrorKind::ArgumentConflict, format!("{message}\n"))
}

/// The options of what rewrites documents.
#[derive(Debug, Args)]
struct RewriteArgs {
    /// Documents, or glob patterns for them; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<OsString>,

    /// Rewrite each FILE, keeping the old one under SUFFIX if that is given
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
        let inputs = Inputs { arguments: if self.files.is_empty() { vec!["-".into()] } else { self.files } };
        Ok(RewriteSettings { inputs, output, dry_run: self.dry_run, verbosity })
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
            sysfs: self.sysfs.or(sysfs).unwrap_or_else(|| "/sys".into()),
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
