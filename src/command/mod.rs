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

use std::ffi::OsString;
use std::io::{self, Write};

use crate::domain::Document;
use crate::file::{self, FileError, Input, Original, Purpose};
use crate::host::{self, HostSource, RecordedHost, Sysfs};
use crate::report::{Diagnostic, abridge, escape, help};
use settings::{HostSettings, Settings, Verbosity};

/// How a command succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded, or there was nothing to do: exit status 0.
    Done,
    /// It succeeded, and found a difference or an error that it was to find: exit status 1.
    Differs,
}

impl Outcome {
    /// Returns how a command ended that goes on after errors; `is_same` is whether it found no difference.
    fn of(errors: Vec<Diagnostic>, is_same: bool) -> Result<Self, Failure> {
        match is_same {
            _ if !errors.is_empty() => Err(errors.into()),
            true => Ok(Self::Done),
            false => Ok(Self::Differs),
        }
    }
}

/// How a command failed.
#[derive(Debug)]
pub struct Failure {
    /// The errors to print; none if they were printed already, or if the reader of standard output has closed it.
    pub errors: Vec<Diagnostic>,
    /// 2, or 128 plus the number of the signal that ended the command.
    pub exit_status: u8,
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(errors: Vec<Diagnostic>) -> Self {
        Self { errors, exit_status: 2 }
    }
}

impl From<Diagnostic> for Failure {
    fn from(error: Diagnostic) -> Self {
        vec![error].into()
    }
}

impl Failure {
    /// Returns the failure to write to standard output.
    pub fn of_stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Vec::new().into(),
            _ => Diagnostic::error(format!("cannot write to standard output: {error}")).into(),
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
    fn report(&mut self, diagnostic: &Diagnostic) {
        let _ = self.stderr.write_all(diagnostic.render(self.color).as_bytes());
    }

    /// Prints diagnostics on standard error, only the first of each kind.
    fn report_all(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        abridge(diagnostics).iter().for_each(|diagnostic| self.report(diagnostic));
    }

    /// Prints a warning on standard error, unless `verbosity` is quiet.
    fn warn(&mut self, verbosity: Verbosity, diagnostic: &Diagnostic) {
        if verbosity != Verbosity::Quiet {
            self.report(diagnostic);
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
            Ok(HostSource::Sysfs(sysfs, mdevctl.clone()))
        }
        HostSettings::File(file) => {
            read_host(&if file == "-" { Input::Stdin } else { Input::File(file.into()) }).map(HostSource::Recorded)
        }
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
fn expand(arguments: &[OsString]) -> Result<Vec<Input>, Failure> {
    Ok(file::expand(arguments).map_err(|errors| errors.iter().map(Diagnostic::of_file).collect::<Vec<_>>())?)
}

/// An input that cannot be found, and the error.
type NotFound = (Input, Diagnostic);

/// Expands patterns to the inputs. With `keep_going`, also returns those that cannot be found, each with its error.
fn expand_each(arguments: &[OsString], keep_going: bool) -> Result<(Vec<Input>, Vec<NotFound>), Failure> {
    if !keep_going {
        return Ok((expand(arguments)?, Vec::new()));
    }
    let (inputs, errors) = file::expand_each(arguments);
    let named = errors.iter().map(|error| {
        let name = match error {
            FileError::NotFound { path } | FileError::DanglingLink { path, .. } | FileError::Io { path, .. } => {
                path.clone()
            }
            FileError::NoMatch { pattern } | FileError::BadPattern { pattern, .. } => pattern.into(),
            // Nothing else keeps a file from being found.
            other => other.to_string().into(),
        };
        (Input::File(name), Diagnostic::of_file(error))
    });
    Ok((inputs, named.collect()))
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
    result.map_err(|failure| Failure { errors: abridge(failure.errors), ..failure })
}
