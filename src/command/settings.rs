//! What each command is asked to do: values without contradictions, free of the command line they came from.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::file::Suffix;
use crate::plan::Places;
use crate::plan::fill::Policy;

/// A subcommand and what it is to do.
#[derive(Debug)]
pub enum Settings {
    /// `fill`.
    Fill(FillSettings),
    /// `strip`.
    Strip(StripSettings),
    /// `completions`.
    Completions(CompletionSettings),
}

/// Which documents are meant: paths, patterns, or `-` for standard input; at least one.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// As they were typed.
    pub arguments: Vec<OsString>,
}

/// Where a rewritten document goes.
#[derive(Clone, Debug)]
pub enum Output {
    /// To standard output; one document only.
    Stdout,
    /// Over the file that it came from, which is kept under the suffix if there is one.
    InPlace(Option<Suffix>),
    /// To a file; one document only.
    File(PathBuf),
    /// Nowhere: the difference is printed.
    Diff,
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

/// What every command that rewrites documents is told.
#[derive(Clone, Debug)]
pub struct RewriteSettings {
    /// Which documents.
    pub inputs: Inputs,
    /// Where they go.
    pub output: Output,
    /// Whether only to say what would change.
    pub dry_run: bool,
    /// How much is said.
    pub verbosity: Verbosity,
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

/// What `completions` is told.
#[derive(Debug)]
pub struct CompletionSettings {
    /// The shell.
    pub shell: clap_complete::Shell,
    /// Makes the command line that is completed.
    pub command: fn() -> clap::Command,
}
