//! Doing what was asked: each command gathers, asks [`crate::plan`] and hands on what comes of it.
//!
//! Streams are passed in and what is to be told comes back as values, so that a test needs no process.

mod check;
mod compare;
mod diff;
mod doctor;
mod fill;
mod hook;
mod json;
mod progress;
mod rewrite;
pub mod settings;
mod strip;

use std::io::{self, Write};
use std::path::Path;

use crate::domain::Document;
use crate::file::{self, Input, Original, Purpose, Signal};
use crate::host::{HostSource, Sysfs};
use crate::report::{Diagnostic, abridge, escape};
use settings::{Inputs, Settings, Verbosity};

/// How a command ended that did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or there was nothing to do: exit status 0.
    Done,
    /// A difference or an error was found where one was asked for: exit status 1.
    Differs,
}

/// How a command ended that could not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// For the reasons told here, at least one: exit status 2.
    Told(Vec<Diagnostic>),
    /// For reasons that were told already: exit status 2, and nothing to add.
    AlreadyTold,
    /// The reader of standard output went away, which it knows itself: exit status 2, in silence.
    BrokenPipe,
    /// A signal: exit status 128 and its number.
    Interrupted(Signal, Vec<Diagnostic>),
}

impl Failure {
    /// One reason.
    pub fn of(diagnostic: Diagnostic) -> Self {
        Self::Told(vec![diagnostic])
    }

    /// Standard output could not be written.
    pub fn of_stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::of(Diagnostic::error(format!("cannot write to standard output: {error}"))),
        }
    }

    /// The same, with the first of each kind of reason only.
    fn abridged(self) -> Self {
        match self {
            Self::Told(diagnostics) => Self::Told(abridge(diagnostics)),
            Self::Interrupted(signal, diagnostics) => Self::Interrupted(signal, abridge(diagnostics)),
            Self::AlreadyTold | Self::BrokenPipe => self,
        }
    }

    /// What is to be told.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Told(diagnostics) | Self::Interrupted(_, diagnostics) => diagnostics,
            Self::AlreadyTold | Self::BrokenPipe => &[],
        }
    }

    /// The exit status that it becomes.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Told(_) | Self::AlreadyTold | Self::BrokenPipe => 2,
            Self::Interrupted(signal, _) => signal.exit_status(),
        }
    }
}

/// What a command reads and writes beside files.
pub struct Streams<'a> {
    /// Standard output: documents, diffs, tables.
    pub stdout: &'a mut dyn Write,
    /// Standard error: warnings and messages.
    pub stderr: &'a mut dyn Write,
    /// Whether standard error shows colour.
    pub colour: bool,
    /// Whether standard error is a terminal that can show a progress bar.
    pub has_bar: bool,
}

impl Streams<'_> {
    /// Says something on standard error. That it cannot be said is no reason to fail.
    fn tell(&mut self, diagnostic: &Diagnostic) {
        let _ = self.stderr.write_all(diagnostic.render(self.colour).as_bytes());
    }

    /// Says many things on standard error, of one kind only the first.
    fn tell_all(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        abridge(diagnostics).iter().for_each(|diagnostic| self.tell(diagnostic));
    }

    /// Says something that is no error, unless that is not wanted.
    fn warn(&mut self, verbosity: Verbosity, diagnostic: &Diagnostic) {
        if verbosity != Verbosity::Quiet {
            self.tell(diagnostic);
        }
    }

    /// Says in one line on standard error what was done, unless that is not wanted.
    fn note(&mut self, verbosity: Verbosity, line: &str) {
        if verbosity != Verbosity::Quiet {
            let _ = writeln!(self.stderr, "{line}");
        }
    }

    /// Writes to standard output, all of it.
    fn print(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush());
        written.map_err(|error| Failure::of_stdout(&error))
    }
}

/// Opens the host whose sysfs is `dir`.
fn open_host(dir: &Path) -> Result<HostSource, Failure> {
    Sysfs::open(dir).map(HostSource::Sysfs).map_err(|error| {
        let told = Diagnostic::of(&error);
        Failure::of(told.help("--sysfs names a directory like /sys, with bus and devices in it"))
    })
}

/// Reads one document, and how messages name it.
fn read_document(input: &Input, purpose: Purpose) -> Result<(Original, Document), Diagnostic> {
    let mut original = file::read(input, purpose).map_err(|error| Diagnostic::of_file(&error))?;
    let contents = std::mem::take(&mut original.contents);
    let document = Document::read(contents).map_err(|error| Diagnostic::of_document(&name_of(input), &error))?;
    Ok((original, document))
}

/// How messages name an input.
fn name_of(input: &Input) -> String {
    input.path().map_or_else(|| "<stdin>".to_owned(), escape::path)
}

/// The inputs that are meant.
fn expand(inputs: &Inputs) -> Result<Vec<Input>, Failure> {
    file::expand(&inputs.arguments).map_err(|faults| Failure::Told(faults.iter().map(Diagnostic::of_file).collect()))
}

/// The inputs that are meant, and what is wrong with those that cannot be had.
fn expand_each(inputs: &Inputs) -> (Vec<Input>, Vec<Diagnostic>) {
    let (inputs, faults) = file::expand_each(&inputs.arguments);
    (inputs, faults.iter().map(Diagnostic::of_file).collect())
}

/// Does what was asked.
///
/// # Errors
/// Where it cannot be done; then nothing was written, but where the failure says so.
pub fn run(settings: &Settings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let result = match settings {
        Settings::Fill(settings) => fill::run(settings, streams),
        Settings::Strip(settings) => strip::run(settings, streams),
        Settings::Compare(settings) => compare::run(settings, streams),
        Settings::Check(settings) => check::run(settings, streams),
        Settings::Hook(settings) => hook::run(settings, streams),
        Settings::Doctor(settings) => doctor::run(settings, streams),
        Settings::Completions(script) => streams.print(script).map(|()| Outcome::Done),
    };
    result.map_err(Failure::abridged)
}
