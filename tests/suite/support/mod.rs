//! Runs a program in a scratch directory and checks everything: status, both outputs, files.
//!
//! What a test does not mention must not happen: standard error is empty, no file changes, and none appears.

mod compare;
mod files;
pub mod guests;
pub mod here;
pub mod operations;
mod process;
pub mod sysfs_tree;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use compare::first_difference;
pub use files::{Entry, Files};
use process::{Finished, Reader, Writer};
use regex::Regex;
use tempfile::TempDir;

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_virt-mdev");

/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Returns the path of a file or folder of `testdata`.
pub fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

/// Returns all paths of `testdata` that match, sorted; at least one.
pub fn testdata_matching(pattern: &str) -> Vec<PathBuf> {
    let paths = testdata_matching_or_none(pattern);
    assert!(!paths.is_empty(), "nothing in testdata matches {pattern}");
    paths
}

/// Returns all paths of `testdata` that match, sorted.
pub fn testdata_matching_or_none(pattern: &str) -> Vec<PathBuf> {
    let top = glob::Pattern::escape(testdata("").to_str().unwrap());
    glob::glob(&format!("{top}{pattern}")).unwrap().map(Result::unwrap).collect()
}

/// Compares text with a file of `testdata`; with `UPDATE_EXPECT` set, rewrites the file.
#[track_caller]
pub fn assert_testdata(text: &str, name: &str) {
    let path = testdata(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "{}", path.display());
}

/// A directory to run in, with a /sys beside it if a test describes one.
pub struct Scratch {
    top: TempDir,
}

impl Scratch {
    /// Creates an empty directory.
    pub fn new() -> Self {
        let scratch = Self { top: tempfile::tempdir().unwrap() };
        fs::create_dir(scratch.dir()).unwrap();
        scratch
    }

    /// Creates a directory with one file.
    pub fn with(name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Self {
        let scratch = Self::new();
        scratch.file(name, content);
        scratch
    }

    /// Returns the directory that the program runs in.
    pub fn dir(&self) -> PathBuf {
        self.top.path().join("scratch")
    }

    /// Returns the path of a file in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes a file.
    pub fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Returns the contents of a file.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Makes the /sys that `description` describes, and returns its path. There is at most one.
    pub fn host(&self, description: &str) -> PathBuf {
        let sys = self.top.path().join("sys");
        sysfs_tree::build(description, &sys);
        sys
    }

    /// Returns a run of `virt-mdev`.
    pub fn virt_mdev(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run<'_> {
        self.program(BINARY, arguments)
    }

    /// Returns a run of any program.
    pub fn program(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Run<'_> {
        Run {
            scratch: self,
            program: program.as_ref().to_owned(),
            arguments: arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect(),
            environment: Vec::new(),
            stdin: Vec::new(),
            writer: Writer::Closes,
            reader: Reader::Patient,
            limit: LIMIT,
            status: 0,
            stdout: Stdout::Exactly(Vec::new()),
            stderr: Stderr::default(),
            changes: Vec::new(),
        }
    }
}

/// What is expected of standard output.
enum Stdout {
    Exactly(Vec<u8>),
    Contains(Vec<String>),
    Anything,
}

/// What is expected of standard error: nothing, by default.
#[derive(Default)]
struct Stderr {
    contains: Vec<String>,
    lacks: Vec<String>,
    matches: Vec<String>,
    is_ignored: bool,
}

/// A run and what is expected of it. By default it must succeed, print nothing and change nothing.
#[must_use = "nothing runs before check"]
pub struct Run<'a> {
    scratch: &'a Scratch,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    writer: Writer,
    reader: Reader,
    limit: Duration,
    status: i32,
    stdout: Stdout,
    stderr: Stderr,
    changes: Vec<(PathBuf, Option<Entry>)>,
}

impl Run<'_> {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments, split as in a shell.
    pub fn args(self, words: &str) -> Self {
        shell_words::split(words).unwrap().into_iter().fold(self, Run::arg)
    }

    /// Runs it through another program, which gets it as its last arguments.
    pub fn under(mut self, wrapper: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut words = wrapper.into_iter().map(|word| word.as_ref().to_owned());
        let wrapper = words.next().expect("a program");
        let inner = std::mem::replace(&mut self.program, wrapper);
        let arguments = std::mem::take(&mut self.arguments);
        self.arguments = words.chain([inner]).chain(arguments).collect();
        self
    }

    /// Runs it as nobody. Only root can do that.
    pub fn by_nobody(mut self) -> Self {
        let top = self.scratch.top.path();
        fs::set_permissions(top, fs::Permissions::from_mode(0o755)).unwrap();
        // The build directory may be inaccessible to nobody.
        let binary = top.join("virt-mdev");
        if !binary.exists() {
            fs::hard_link(BINARY, &binary).or_else(|_| fs::copy(BINARY, &binary).map(|_| ())).unwrap();
        }
        self.program = binary.into();
        self.under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"])
    }

    /// Sets an environment variable. By default only PATH is set.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets standard input.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().to_owned();
        self
    }

    /// Leaves standard input open after the last byte.
    pub fn stdin_stays_open(mut self) -> Self {
        self.writer = Writer::Stays;
        self
    }

    /// Closes the reading end of standard output before the program starts.
    pub fn reader_gone(mut self) -> Self {
        self.reader = Reader::Gone;
        self
    }

    /// Changes the time limit.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Expects an exit status.
    pub fn status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// Expects exactly this on standard output.
    pub fn stdout(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdout = Stdout::Exactly(bytes.as_ref().to_owned());
        self
    }

    /// Expects standard output to contain `piece`.
    pub fn stdout_has(mut self, piece: &str) -> Self {
        match &mut self.stdout {
            Stdout::Contains(pieces) => pieces.push(piece.to_owned()),
            _ => self.stdout = Stdout::Contains(vec![piece.to_owned()]),
        }
        self
    }

    /// Accepts any standard output.
    pub fn stdout_any(mut self) -> Self {
        self.stdout = Stdout::Anything;
        self
    }

    /// Expects standard error to contain `piece`.
    pub fn stderr_has(mut self, piece: impl Into<String>) -> Self {
        self.stderr.contains.push(piece.into());
        self
    }

    /// Expects standard error not to contain `piece`; anything else is accepted.
    pub fn stderr_lacks(mut self, piece: impl Into<String>) -> Self {
        self.stderr.lacks.push(piece.into());
        self
    }

    /// Expects the regular expression `pattern` to match somewhere in standard error.
    pub fn stderr_matches(mut self, pattern: &str) -> Self {
        self.stderr.matches.push(pattern.to_owned());
        self
    }

    /// Accepts any standard error.
    pub fn stderr_any(mut self) -> Self {
        self.stderr.is_ignored = true;
        self
    }

    /// Expects a file, new or changed, to have these contents afterwards.
    pub fn leaves(mut self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Self {
        self.changes.push((name.as_ref().to_owned(), Some(Entry::File(content.as_ref().to_owned()))));
        self
    }

    /// Runs it and returns every expectation that was not met.
    pub fn errors(self) -> (Vec<String>, Finished) {
        let before = Files::of(&self.scratch.dir());
        let finished = process::run(
            &self.program,
            &self.arguments,
            &self.environment,
            &self.scratch.dir(),
            (&self.stdin, self.writer),
            self.reader,
            self.limit,
        );
        let mut errors = Vec::new();
        if finished.timed_out {
            errors.push(format!("it ran longer than {:?}", self.limit));
        } else if finished.status != Some(self.status) {
            errors.push(format!("status: want {}, got {:?}", self.status, finished.status));
        }
        match &self.stdout {
            Stdout::Exactly(want) => {
                errors.extend(first_difference(want, &finished.stdout).map(|how| format!("stdout {how}")));
            }
            Stdout::Contains(pieces) => {
                let text = String::from_utf8_lossy(&finished.stdout);
                errors.extend(missing("stdout", &text, pieces));
            }
            Stdout::Anything => {}
        }
        errors.extend(self.stderr.errors(&finished.stderr_text()));
        let mut expected = before;
        for (path, entry) in self.changes {
            expected.expect(path, entry);
        }
        errors.extend(expected.differences(&Files::of(&self.scratch.dir())));
        (errors, finished)
    }

    /// Runs it, and panics if an expectation was not met.
    #[track_caller]
    pub fn check(self) -> Finished {
        let command: Vec<String> =
            self.arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let (errors, finished) = self.errors();
        assert!(
            errors.is_empty(),
            "virt-mdev {}\n  {}\nstderr was:\n{}",
            shell_words::join(&command),
            errors.join("\n  "),
            finished.stderr_text()
        );
        finished
    }
}

impl Stderr {
    fn errors(&self, text: &str) -> Vec<String> {
        let mut errors = missing("stderr", text, &self.contains);
        errors.extend(
            self.lacks.iter().filter(|piece| text.contains(*piece)).map(|piece| format!("stderr contains {piece:?}")),
        );
        for pattern in &self.matches {
            let regex = Regex::new(&format!("(?m){pattern}")).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            if !regex.is_match(text) {
                errors.push(format!("stderr does not match /{pattern}/"));
            }
        }
        let silent = self.contains.is_empty() && self.lacks.is_empty() && self.matches.is_empty() && !self.is_ignored;
        if silent && !text.is_empty() {
            errors.push("stderr: want nothing".to_owned());
        }
        errors
    }
}

fn missing(stream: &str, text: &str, pieces: &[String]) -> Vec<String> {
    let absent = pieces.iter().filter(|piece| !text.contains(*piece));
    absent.map(|piece| format!("{stream} does not contain {piece:?}")).collect()
}

/// Tests this module with /bin/sh as the program.
mod tests {
    use super::*;

    fn shell<'a>(scratch: &'a Scratch, script: &str) -> Run<'a> {
        scratch.program("/bin/sh", ["-c", script])
    }

    fn errors(run: Run<'_>) -> String {
        run.errors().0.join("; ")
    }

    #[test]
    fn by_default_a_run_is_expected_to_do_nothing() {
        assert_eq!(errors(shell(&Scratch::with("a", "1"), ":")), "");
    }

    #[test]
    fn every_unexpected_effect_is_reported() {
        for (script, error) in [
            ("exit 3", "status: want 0, got Some(3)"),
            ("echo hello", "stdout line 1: want the end, got \"hello\\n\""),
            ("echo hello >&2", "stderr: want nothing"),
            ("echo 2 >a", "a line 1: want \"1\", got \"2\\n\""),
            ("rm a", "a: missing"),
            ("echo >b", "b: a file appeared"),
            ("ln -s a b", "b: a link to a appeared"),
            ("rm a; ln -s b a", "a: a link to b took the place of a file"),
            ("kill -9 $$", "status: want 0, got Some(137)"),
        ] {
            assert_eq!(errors(shell(&Scratch::with("a", "1"), script)), error, "{script}");
        }
    }

    #[test]
    fn every_missing_effect_is_reported() {
        let scratch = Scratch::with("a", "1");
        let run = shell(&scratch, ":").status(1).stdout("x").stderr_has("no").leaves("b", "2");
        let expected = "status: want 1, got Some(0); stdout line 1: want \"x\", got the end; \
                        stderr does not contain \"no\"; b: missing";
        assert_eq!(errors(run), expected);
        assert_eq!(errors(shell(&scratch, "echo yes >&2").stderr_lacks("yes")), "stderr contains \"yes\"");
        assert_eq!(errors(shell(&scratch, "echo yes >&2").stderr_matches("^no$")), "stderr does not match /^no$/");
    }

    #[test]
    fn expected_effects_are_not_reported() {
        let scratch = Scratch::with("a", "1");
        let run = shell(&scratch, "cat; echo 2 >a; echo why >&2; exit 1");
        assert_eq!(errors(run.stdin("x\r\n").stdout("x\r\n").leaves("a", "2\n").stderr_matches("^why$").status(1)), "");
    }

    #[test]
    fn only_the_given_environment_variables_are_set() {
        let scratch = Scratch::new();
        let script = "echo ${HOME-none} ${VIRT_MDEV_SYSFS-none} ${NO_COLOR-none}";
        shell(&scratch, script).env("NO_COLOR", "1").stdout("none none 1\n").check();
    }

    #[test]
    #[should_panic(expected = "nothing in testdata matches")]
    fn missing_test_data_panics() {
        testdata_matching("cases/no-such-case/*");
    }

    #[test]
    fn a_run_that_hangs_is_ended() {
        let (errors, finished) = shell(&Scratch::new(), "exec sleep 60").limit(Duration::from_millis(100)).errors();
        assert!(finished.timed_out && errors[0].starts_with("it ran longer than"), "{errors:?}");
    }

    #[test]
    fn an_input_that_stays_open_does_not_end() {
        let scratch = Scratch::new();
        let run = shell(&scratch, "read a; echo $a; exec cat").stdin("x\n").stdin_stays_open().stdout("x\n");
        let (errors, finished) = run.limit(Duration::from_millis(300)).errors();
        assert!(finished.timed_out && errors.len() == 1, "{errors:?}");
    }

    #[test]
    fn without_a_reader_the_pipe_is_broken() {
        shell(&Scratch::new(), "trap '' PIPE; cat; exit $?").stdin("x").reader_gone().status(1).stderr_any().check();
    }
}
