//! The commands: each reads its input, lets [`crate::plan`] decide, and prints or writes the result.
//!
//! Streams are passed in, and errors are returned as values.

mod check;
mod compare;
mod diff;
mod doctor;
mod fill;
mod hook;
mod json;
mod list;
mod progress;
mod retarget;
mod rewrite;
pub mod settings;
mod strip;

use std::io::{self, Write};

use crate::domain::Document;
use crate::file::{self, Input, Original, Purpose, Signal};
use crate::host::{self, HostSource, RecordedHost, Sysfs};
use crate::report::{Diagnostic, abridge, escape, help};
use settings::{HostSettings, Inputs, Settings, Verbosity};

/// How a command succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded, or there was nothing to do: exit status 0.
    Done,
    /// It succeeded, and found a difference or an error that it was to find: exit status 1.
    Differs,
}

/// How a command failed.
#[derive(Debug)]
pub enum Failure {
    /// With these errors, at least one: exit status 2.
    Told(Vec<Diagnostic>),
    /// With errors that were printed already: exit status 2.
    AlreadyTold,
    /// Because the reader of standard output closed it, which needs no message: exit status 2.
    BrokenPipe,
    /// By a signal: exit status 128 plus its number.
    Interrupted(Signal, Vec<Diagnostic>),
}

impl Failure {
    /// Returns a failure with one error.
    pub fn of(diagnostic: Diagnostic) -> Self {
        Self::Told(vec![diagnostic])
    }

    /// Returns the failure to write to standard output.
    pub fn of_stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::of(Diagnostic::error(format!("cannot write to standard output: {error}"))),
        }
    }

    /// Keeps only the first errors of each kind.
    fn abridged(self) -> Self {
        match self {
            Self::Told(diagnostics) => Self::Told(abridge(diagnostics)),
            Self::Interrupted(signal, diagnostics) => Self::Interrupted(signal, abridge(diagnostics)),
            Self::AlreadyTold | Self::BrokenPipe => self,
        }
    }

    /// Returns the errors to print.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Told(diagnostics) | Self::Interrupted(_, diagnostics) => diagnostics,
            Self::AlreadyTold | Self::BrokenPipe => &[],
        }
    }

    /// Returns the exit status.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Told(_) | Self::AlreadyTold | Self::BrokenPipe => 2,
            Self::Interrupted(signal, _) => signal.exit_status(),
        }
    }
}

/// The standard streams that a command writes to.
pub struct Streams<'a> {
    /// Standard output: documents, diffs, tables.
    pub stdout: &'a mut dyn Write,
    /// Standard error: warnings and messages.
    pub stderr: &'a mut dyn Write,
    /// Whether standard error shows color.
    pub color: bool,
    /// Whether standard output does.
    pub stdout_color: bool,
    /// Whether standard error is a terminal that can show a progress bar.
    pub has_bar: bool,
}

impl Streams<'_> {
    /// Prints a diagnostic on standard error. Errors writing to it are ignored: there is nowhere else to report them.
    fn tell(&mut self, diagnostic: &Diagnostic) {
        let _ = self.stderr.write_all(diagnostic.render(self.color).as_bytes());
    }

    /// Prints diagnostics on standard error, only the first of each kind.
    fn tell_all(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        abridge(diagnostics).iter().for_each(|diagnostic| self.tell(diagnostic));
    }

    /// Prints a warning on standard error, unless `verbosity` is quiet.
    fn warn(&mut self, verbosity: Verbosity, diagnostic: &Diagnostic) {
        if verbosity != Verbosity::Quiet {
            self.tell(diagnostic);
        }
    }

    /// Prints a line about what was done on standard error, unless `verbosity` is quiet.
    fn note(&mut self, verbosity: Verbosity, line: &str) {
        if verbosity != Verbosity::Quiet {
            let _ = writeln!(self.stderr, "{line}");
        }
    }

    /// Writes all of `text` to standard output.
    fn print(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush());
        written.map_err(|error| Failure::of_stdout(&error))
    }
}

/// Opens the host that the settings name.
fn open_host(settings: &HostSettings) -> Result<HostSource, Diagnostic> {
    match settings {
        HostSettings::Sysfs(dir, mdevctl) => {
            let sysfs = Sysfs::open(dir).map_err(|error| {
                Diagnostic::of(&error).help("--sysfs names a directory like /sys, with bus and devices in it")
            })?;
            Ok(match mdevctl {
                Some(mdevctl) => HostSource::Mdevctl(sysfs, mdevctl.clone()),
                None => HostSource::Sysfs(sysfs),
            })
        }
        HostSettings::File(file) => read_host(&if file == "-" { Input::Stdin } else { Input::File(file.into()) })
            .map(|host| HostSource::Recorded(Box::new(host))),
    }
}

/// Reads a file that describes a host.
fn read_host(input: &Input) -> Result<RecordedHost, Diagnostic> {
    let original = file::read_up_to(host::MAX_BYTES, input, Purpose::Reading);
    let name = name_of(input);
    let Original { contents, .. } = original.map_err(|error| Diagnostic::of(&error).help(help::HOST_FILE))?;
    host::read(&name, &contents)
        .map_err(|error| Diagnostic::of_host_file(&name, &String::from_utf8_lossy(&contents), &error))
}

/// Reads and parses one document.
fn read_document(input: &Input, purpose: Purpose) -> Result<(Original, Document), Diagnostic> {
    let mut original = file::read(input, purpose).map_err(|error| Diagnostic::of_file(&error))?;
    let contents = std::mem::take(&mut original.contents);
    let document = Document::read(contents).map_err(|error| Diagnostic::of_document(&name_of(input), &error))?;
    Ok((original, document))
}

/// Returns the name of an input in messages.
fn name_of(input: &Input) -> String {
    input.path().map_or_else(|| "<stdin>".to_owned(), escape::path)
}

/// Expands patterns to the inputs.
fn expand(inputs: &Inputs) -> Result<Vec<Input>, Failure> {
    file::expand(&inputs.arguments).map_err(|errors| Failure::Told(errors.iter().map(Diagnostic::of_file).collect()))
}

/// Expands patterns to the inputs, and returns the errors of those that cannot be found.
fn expand_each(inputs: &Inputs) -> (Vec<Input>, Vec<Diagnostic>) {
    let (inputs, errors) = file::expand_each(&inputs.arguments);
    (inputs, errors.iter().map(Diagnostic::of_file).collect())
}

/// Runs a command.
///
/// # Errors
/// If the command fails. Nothing was written then, unless the failure says so.
pub fn run(settings: &Settings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let result = match settings {
        Settings::Fill(settings) => fill::run(settings, streams),
        Settings::Strip(settings) => strip::run(settings, streams),
        Settings::Compare(settings) => compare::run(settings, streams),
        Settings::Check(settings) => check::run(settings, streams),
        Settings::List(settings) => list::run(settings, streams),
        Settings::Retarget(settings) => retarget::run(settings, streams),
        Settings::Hook(settings) => hook::run(settings, streams),
        Settings::Doctor(settings) => doctor::run(settings, streams),
        Settings::Completions(script) => streams.print(script).map(|()| Outcome::Done),
    };
    result.map_err(Failure::abridged)
}
