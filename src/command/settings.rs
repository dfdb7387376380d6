//! What each command is asked to do: values without contradictions, free of the command line they came from.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::file::Suffix;
use crate::plan::fill::Policy;
use crate::plan::{Pairing, Places};

/// A subcommand and what it is to do.
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
    /// `hook`.
    Hook(HookSettings),
    /// `doctor`.
    Doctor(DoctorSettings),
    /// `completions`: the script to print.
    Completions(String),
}

/// Which documents are meant: paths, patterns, or `-` for standard input; at least one.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// As they were typed.
    pub arguments: Vec<OsString>,
}

impl Inputs {
    /// What was typed; nothing is standard input.
    pub fn new(arguments: Vec<OsString>) -> Self {
        Self { arguments: if arguments.is_empty() { vec!["-".into()] } else { arguments } }
    }
}

/// Where a rewritten document goes.
#[derive(Clone, Debug)]
pub enum Output {
    /// To standard output; one document only.
    Stdout,
    /// Nowhere: the difference is printed.
    Diff,
    /// To a file.
    File(Target),
}

/// The file that a rewritten document goes to.
#[derive(Clone, Debug)]
pub enum Target {
    /// The file that it came from, of which a backup with the suffix is kept if there is one.
    InPlace(Option<Suffix>),
    /// Another file; one document only.
    Other(PathBuf),
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings and what was done, too.
    Normal,
    /// What was left alone, too.
    Verbose,
}

impl Output {
    /// Whether files are rewritten in place.
    pub fn is_in_place(&self) -> bool {
        matches!(self, Self::File(Target::InPlace(_)))
    }
}

/// What every command that rewrites documents is told.
#[derive(Clone, Debug)]
pub struct RewriteSettings {
    /// Which documents.
    pub inputs: Inputs,
    /// Where they go.
    pub output: Output,
    /// How to print what would change, if nothing is to be written.
    pub dry_run: Option<DryRun>,
    /// Whether each document stands for itself; else one that fails keeps all from being written.
    pub keep_going: bool,
    /// How many are worked on at once; as many as there are processors where it is not said.
    pub jobs: Option<NonZeroUsize>,
    /// How much is said.
    pub verbosity: Verbosity,
}

/// How `--dry-run` prints what would change. With `--diff` the difference is printed instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// Lines for people.
    Lines,
    /// JSON for programs.
    Json,
}

/// What `fill` is told.
#[derive(Clone, Debug)]
pub struct FillSettings {
    /// Which documents, and where they go.
    pub rewrite: RewriteSettings,
    /// What stands for `/sys`.
    pub sysfs: PathBuf,
    /// What to write, and what to do where something is not as it should be.
    pub policy: Policy,
    /// Whether to print the metadata element alone.
    pub metadata_only: bool,
}

/// What `strip` is told.
#[derive(Clone, Debug)]
pub struct StripSettings {
    /// Which documents, and where they go.
    pub rewrite: RewriteSettings,
    /// Which identities are taken out.
    pub from: Places,
}

/// What `compare` is told.
#[derive(Clone, Debug)]
pub struct CompareSettings {
    /// The domain where the guest runs.
    pub source: OsString,
    /// The domain where it is to run.
    pub destination: OsString,
    /// How differences are printed.
    pub format: Format,
}

/// What `check` is told.
#[derive(Clone, Debug)]
pub struct CheckSettings {
    /// Which documents.
    pub inputs: Inputs,
    /// What stands for `/sys`.
    pub sysfs: PathBuf,
    /// Which record counts for a hostdev.
    pub pairing: Pairing,
    /// Whether files that cannot be found are skipped.
    pub keep_going: bool,
    /// How the verdicts are printed.
    pub format: Format,
}

/// How the results of `check` and `compare` are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table or lines for people.
    Text,
    /// JSON for programs.
    Json,
    /// The exit status alone.
    Status,
}

/// What `hook` is told.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// What stands for `/sys`.
    pub sysfs: PathBuf,
    /// Whether a guest that carries no record is refused.
    pub require: bool,
    /// Whether a start is judged too.
    pub check_start: bool,
    /// Whether a device that is absent passes until `prepare begin`, which is judged then.
    pub defer_absent: bool,
    /// Which record counts for a hostdev.
    pub pairing: Pairing,
    /// Where syslog listens.
    pub syslog: PathBuf,
    /// The guest's name.
    pub guest: String,
    /// What libvirt does with the guest, and which part of that, as `migrate` and `begin`.
    pub operation: (String, String),
    /// What was wrong with the command line, so that no guest with mediated devices can be judged.
    pub misuse: Option<String>,
}

/// What `doctor` is told.
#[derive(Clone, Debug)]
pub struct DoctorSettings {
    /// The root directory of the host.
    pub root: PathBuf,
    /// What stands for `/sys`.
    pub sysfs: PathBuf,
    /// How the findings are printed.
    pub format: DoctorFormat,
    /// Says what is wrong with the options of `hook`.
    pub check_options: fn(&[String]) -> Result<(), String>,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoctorFormat {
    /// Lines for people.
    Lines,
    /// JSON for programs.
    Json,
}
