//! Runs every folder of `testdata/cases`; its README.md says what is in one.
//!
//! Each test runs all of them, and then reports all that failed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::support::{Run, Scratch, first_difference, testdata_matching, testdata_matching_or_none};

/// If this variable is set, the expected files are rewritten with the current results.
const UPDATE: &str = "UPDATE_EXPECT";

/// A folder of `testdata/cases`.
struct Case {
    name: String,
    folder: PathBuf,
    arguments: Vec<String>,
    document: Vec<u8>,
}

impl Case {
    /// Returns all cases, by name; there must be some.
    fn all() -> Vec<Self> {
        let found = testdata_matching("cases/*/args.txt");
        found.iter().map(|arguments| Self::read(arguments.parent().unwrap())).collect()
    }

    fn read(folder: &Path) -> Self {
        let read = |name| fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{folder:?}: {name}: {error}"));
        Self {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            arguments: shell_words::split(&String::from_utf8(read("args.txt")).unwrap()).unwrap(),
            document: read("in.xml"),
            folder: folder.to_owned(),
        }
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.file(name).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// Returns a scratch directory with the host of the case, and the arguments for it.
    fn set_up(&self) -> (Scratch, Vec<OsString>) {
        let scratch = Scratch::new();
        let sys = scratch.host(&self.text("sys.txt").unwrap_or_default());
        for name in ["host.json", "host.xml"] {
            if let Some(content) = self.file(name) {
                scratch.file(name, content);
            }
        }
        for definition in testdata_matching_or_none(&format!("cases/{}/mdevctl.d/*/*", self.name)) {
            let relative = definition.strip_prefix(&self.folder).unwrap();
            scratch.file(relative, fs::read(&definition).unwrap());
        }
        let places = [("{SYS}", sys), ("{IN2}", scratch.path("in2.xml")), ("{IN}", scratch.path("in.xml"))];
        let put = |argument: &String| {
            places.iter().fold(argument.clone(), |text, (name, path)| text.replace(name, path.to_str().unwrap())).into()
        };
        let arguments = self.arguments.iter().map(put).collect();
        (scratch, arguments)
    }

    fn reads_stdin(&self) -> bool {
        !self.arguments.iter().any(|argument| argument.contains("{IN}"))
    }

    /// Returns what is wrong with the run.
    fn errors(&self) -> Vec<String> {
        let (scratch, arguments) = self.set_up();
        scratch.file("in.xml", &self.document);
        if let Some(second) = self.file("in2.xml") {
            scratch.file("in2.xml", second);
        }
        let mut run = scratch.virt_mdev(arguments);
        if self.reads_stdin() {
            run = run.stdin(&self.document);
        }
        if std::env::var_os(UPDATE).is_some() {
            let (_, finished) = run.errors();
            self.rewrite(&scratch, finished.status, &finished.stdout);
            return Vec::new();
        }
        self.expect(run).errors().0
    }

    fn expect<'a>(&self, mut run: Run<'a>) -> Run<'a> {
        let status = self.text("expect.status").expect("expect.status").trim().parse().expect("expect.status");
        run = run.status(status).stderr_any();
        run = match self.file("expect.xml") {
            Some(stdout) => run.stdout(stdout),
            None if status == 2 => run.stdout(""),
            None => run.stdout_any(),
        };
        run = match self.text("expect.stderr") {
            Some(patterns) => {
                patterns.lines().filter(|line| !line.is_empty()).fold(run, |run, line| run.stderr_matches(line))
            }
            None if status == 2 => run.stderr_matches("."),
            None => run,
        };
        for (expected, name) in [("expect.file", "in.xml"), ("expect.bak", "in.xml.bak")] {
            if let Some(content) = self.file(expected) {
                run = run.leaves(name, content);
            }
        }
        run
    }

    fn rewrite(&self, scratch: &Scratch, status: Option<i32>, stdout: &[u8]) {
        let status = status.map_or_else(String::new, |status| format!("{status}\n"));
        fs::write(self.folder.join("expect.status"), status).unwrap();
        let update = |expected: &str, content: &dyn Fn() -> Vec<u8>| {
            if self.folder.join(expected).exists() {
                fs::write(self.folder.join(expected), content()).unwrap();
            }
        };
        update("expect.xml", &|| stdout.to_owned());
        update("expect.file", &|| scratch.read("in.xml"));
        update("expect.bak", &|| scratch.read("in.xml.bak"));
    }

    /// Returns the filled document if the case only fills it: its only options are policies.
    fn filled(&self) -> Option<Vec<u8>> {
        let plain = |argument: &String| {
            matches!(argument.as_str(), "{SYS}" | "{IN}" | "--sysfs" | "--into" | "--on-missing" | "--on-conflict")
                || matches!(argument.as_str(), "metadata" | "both" | "error" | "skip" | "replace" | "keep")
        };
        let is_plain = self.arguments[0] == "fill" && self.arguments[1..].iter().all(plain);
        self.file("expect.xml").filter(|_| is_plain)
    }

    fn fills_source_only(&self) -> bool {
        !self.arguments.iter().any(|argument| argument == "--into")
    }

    /// Whether its document has nothing that `strip` removes, nor an empty `metadata`.
    fn has_nothing_to_strip(&self) -> bool {
        static OURS: LazyLock<Regex> = LazyLock::new(|| {
            let empty = r"<metadata[^>]*/>|<metadata[^>]*>\s*</metadata";
            Regex::new(&format!("urn:virt-mdev:1|<vendorid|<productid|<mdevtype|{empty}")).unwrap()
        });
        !OURS.is_match(&self.document)
    }

    /// Fills `document` through a pipe with the policies of the case, and returns how the result differs from `want`.
    fn pipe_errors(&self, document: &[u8], want: &[u8]) -> Vec<String> {
        let (scratch, mut arguments) = self.set_up();
        arguments.retain(|argument| *argument != scratch.path("in.xml"));
        scratch.virt_mdev(arguments).stdin(document).stdout(want).stderr_any().errors().0
    }
}

/// Panics with all cases that have errors.
#[track_caller]
fn report(failures: Vec<(String, Vec<String>)>) {
    let failed: Vec<String> = failures
        .into_iter()
        .filter(|(_, errors)| !errors.is_empty())
        .map(|(name, errors)| format!("{name}: {}", errors.join("; ")))
        .collect();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// Checks every case that only fills: `check` gets its input and its expected result, and returns errors.
#[track_caller]
fn for_each_filled(check: impl Fn(&Case, &[u8], &[u8]) -> Vec<String>) {
    let cases: Vec<(Case, Vec<u8>)> =
        Case::all().into_iter().filter_map(|case| case.filled().map(|filled| (case, filled))).collect();
    assert!(!cases.is_empty(), "no case only fills");
    report(cases.iter().map(|(case, filled)| (case.name.clone(), check(case, &case.document, filled))).collect());
}

#[test]
fn every_case_has_its_expected_result() {
    report(Case::all().into_iter().map(|case| (case.name.clone(), case.errors())).collect());
}

#[test]
fn filling_again_changes_nothing() {
    for_each_filled(|case, _, filled| case.pipe_errors(filled, filled));
}

#[test]
fn stripping_restores_the_original() {
    let mut count = 0;
    let mut failures = Vec::new();
    for case in Case::all().into_iter().filter(Case::has_nothing_to_strip) {
        let Some(filled) = case.filled() else { continue };
        let run = Scratch::new();
        let run = run.virt_mdev(["strip"]).stdin(filled).stdout(&case.document).stderr_any();
        failures.push((case.name.clone(), run.errors().0));
        count += 1;
    }
    assert!(count > 10, "only {count} cases have nothing to strip");
    report(failures);
}

#[test]
fn a_document_with_crlf_is_filled_with_crlf() {
    let crlf = |text: &[u8]| {
        let bare = text.iter().copied().filter(|byte| *byte != b'\r');
        bare.flat_map(|byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] }).collect::<Vec<u8>>()
    };
    for_each_filled(|case, document, filled| case.pipe_errors(&crlf(document), &crlf(filled)));
}

#[test]
fn a_byte_order_mark_is_kept() {
    let marked = |text: &[u8]| [b"\xef\xbb\xbf", text].concat();
    for_each_filled(|case, document, filled| case.pipe_errors(&marked(document), &marked(filled)));
}

/// Removes the three elements, each with the line break and indentation before it.
fn without_elements(text: &[u8]) -> Vec<u8> {
    static ELEMENT: LazyLock<Regex> = LazyLock::new(|| {
        let one = |name| format!(r"(?:\r?\n[ \t]*)?<{name}(?:[ \t\r\n][^>]*)?(?:/>|>(?s-u:.)*?</{name}[ \t\r\n]*>)");
        Regex::new(&["vendorid", "productid", "mdevtype"].map(one).join("|")).unwrap()
    });
    ELEMENT.replace_all(text, &b""[..]).into_owned()
}

/// Checks the expected files without the program: an editor may have changed them.
#[test]
fn expected_files_differ_from_their_inputs_only_by_the_elements() {
    for_each_filled(|case, document, filled| {
        if !case.fills_source_only() {
            return Vec::new();
        }
        first_difference(&without_elements(document), &without_elements(filled)).into_iter().collect()
    });
}

#[test]
fn every_file_of_a_case_is_used() {
    let known = [
        "about.txt",
        "args.txt",
        "sys.txt",
        "host.json",
        "host.xml",
        "mdevctl.d",
        "in.xml",
        "in2.xml",
        "expect.status",
        "expect.xml",
        "expect.stderr",
        "expect.file",
        "expect.bak",
    ];
    let unknown = |case: Case| {
        let names = fs::read_dir(&case.folder).unwrap().map(|entry| entry.unwrap().file_name());
        let strange: Vec<String> = names
            .filter(|name| !known.iter().any(|known| name.as_bytes() == known.as_bytes()))
            .map(|name| format!("{name:?} is not part of a case"))
            .collect();
        (case.name, strange)
    };
    report(Case::all().into_iter().map(unknown).collect());
}
