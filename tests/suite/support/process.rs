//! Runs a program with a time limit.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How the program's standard output is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Completely.
    Patient,
    /// Not at all: the reader closes the pipe before the program starts.
    Gone,
}

/// What happens to standard input after the last byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// It is closed.
    Closes,
    /// It stays open.
    Stays,
}

/// The result of a run.
pub struct Finished {
    /// The exit status; 128 + n for signal n, as in a shell.
    pub status: Option<i32>,
    /// Whether it was killed at the time limit.
    pub timed_out: bool,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Returns standard output, which must be UTF-8.
    #[track_caller]
    pub fn stdout_text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// Returns standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs a program in `dir`, with only PATH and the given environment variables.
pub fn run(
    program: &OsStr,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    dir: &Path,
    (stdin, writer): (&[u8], Writer),
    reader: Reader,
    limit: Duration,
) -> Finished {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(environment.iter().cloned());
    command.stdin(Stdio::piped()).stdout(standard_output(reader)).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.to_string_lossy()));
    let mut input = child.stdin.take().unwrap();
    let output = child.stdout.take();
    let mut errors = child.stderr.take().unwrap();
    thread::scope(|scope| {
        // The program need not read its input; then writing fails.
        let held = scope.spawn(move || {
            input.write_all(stdin).ok();
            (writer == Writer::Stays).then_some(input)
        });
        let stdout = scope.spawn(move || output.map(read_all).unwrap_or_default());
        let stderr = scope.spawn(move || read_all(&mut errors));
        let status = wait(&mut child, limit);
        drop(held.join());
        Finished {
            status: status.map(|status| status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)),
            timed_out: status.is_none(),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
        }
    })
}

fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Returns a pipe, whose reading end is closed if the reader is gone.
fn standard_output(reader: Reader) -> Stdio {
    match reader {
        Reader::Patient => Stdio::piped(),
        Reader::Gone => rustix::pipe::pipe().expect("a pipe").1.into(),
    }
}

/// Returns `None` if the program had to be killed.
fn wait(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}
