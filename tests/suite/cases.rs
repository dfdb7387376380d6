//! Runs every folder of `testdata/cases`; its README.md says what is in one.
//!
//! Each test looks at all of them and then names all that failed, so that one run shows everything.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::support::{Run, Scratch, first_difference, testdata_matching};

/// With this variable set, the expected files are rewritten with what the program does now.
const UPDATE: &str = "UPDATE_EXPECT";

/// A folder of `testdata/cases`.
struct Case {
    name: String,
    folder: PathBuf,
    arguments: Vec<String>,
    document: Vec<u8>,
}

impl Case {
    /// All of them, by name; there must be some.
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

    /// A scratch directory with the case's host, and the arguments as they are there.
    fn set_up(&self) -> (Scratch, Vec<OsString>) {
        let scratch = Scratch::new();
        let sys = scratch.host(&self.text("sys.txt").unwrap());
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

    /// What is wrong with the run; empty where it is as expected.
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

    /// What the document becomes, where the case is one of plain filling: policies and nothing else.
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

    /// Whether its document has none of ours, nor a `metadata` that is empty but for white space.
    fn is_virgin(&self) -> bool {
        static OURS: LazyLock<Regex> = LazyLock::new(|| {
            let empty = r"<metadata[^>]*/>|<metadata[^>]*>\s*</metadata";
            Regex::new(&format!("urn:virt-mdev:1|<vendorid|<productid|<mdevtype|{empty}")).unwrap()
        });
        !OURS.is_match(&self.document)
    }

    /// How the program with the case's policies fails to make `want` of `document`, through the pipe.
    fn pipe_faults(&self, document: &[u8], want: &[u8]) -> Vec<String> {
        let (scratch, mut arguments) = self.set_up();
        arguments.retain(|argument| *argument != scratch.path("in.xml"));
        scratch.virt_mdev(arguments).stdin(document).stdout(want).stderr_any().errors().0
    }
}

/// Panics with every case that has a error.
#[track_caller]
fn report(failures: Vec<(String, Vec<String>)>) {
    let failed: Vec<String> = failures
        .into_iter()
        .filter(|(_, errors)| !errors.is_empty())
        .map(|(name, errors)| format!("{name}: {}", errors.join("; ")))
        .collect();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// Judges every case of plain filling by what `judge` says of its input and its result.
#[track_caller]
fn for_each_filled(judge: impl Fn(&Case, &[u8], &[u8]) -> Vec<String>) {
    let cases: Vec<(Case, Vec<u8>)> =
        Case::all().into_iter().filter_map(|case| case.filled().map(|filled| (case, filled))).collect();
    assert!(!cases.is_empty(), "no case of plain filling");
    report(cases.iter().map(|(case, filled)| (case.name.clone(), judge(case, &case.document, filled))).collect());
}

#[test]
fn every_case_ends_as_its_folder_says() {
    report(Case::all().into_iter().map(|case| (case.name.clone(), case.errors())).collect());
}

#[test]
fn filling_twice_is_filling_once() {
    for_each_filled(|case, _, filled| case.pipe_faults(filled, filled));
}

#[test]
fn what_was_filled_is_stripped_to_what_it_was() {
    let mut count = 0;
    let mut failures = Vec::new();
    for case in Case::all().into_iter().filter(Case::is_virgin) {
        let Some(filled) = case.filled() else { continue };
        let run = Scratch::new();
        let run = run.virt_mdev(["strip"]).stdin(filled).stdout(&case.document).stderr_any();
        failures.push((case.name.clone(), run.errors().0));
        count += 1;
    }
    assert!(count > 10, "only {count} cases have nothing of ours");
    report(failures);
}

#[test]
fn a_document_with_crlf_is_filled_with_crlf() {
    let crlf = |text: &[u8]| {
        let bare = text.iter().copied().filter(|byte| *byte != b'\r');
        bare.flat_map(|byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] }).collect::<Vec<u8>>()
    };
    for_each_filled(|case, document, filled| case.pipe_faults(&crlf(document), &crlf(filled)));
}

#[test]
fn a_byte_order_mark_stays_in_front() {
    let marked = |text: &[u8]| [b"\xef\xbb\xbf", text].concat();
    for_each_filled(|case, document, filled| case.pipe_faults(&marked(document), &marked(filled)));
}

/// Cuts the three elements out, each with the line break and indentation before it.
fn without_elements(text: &[u8]) -> Vec<u8> {
    static ELEMENT: LazyLock<Regex> = LazyLock::new(|| {
        let one = |name| format!(r"(?:\r?\n[ \t]*)?<{name}(?:[ \t\r\n][^>]*)?(?:/>|>(?s-u:.)*?</{name}[ \t\r\n]*>)");
        Regex::new(&["vendorid", "productid", "mdevtype"].map(one).join("|")).unwrap()
    });
    ELEMENT.replace_all(text, &b""[..]).into_owned()
}

#[test]
fn outside_the_three_elements_no_byte_changes() {
    for_each_filled(|case, document, _| {
        if !case.fills_source_only() {
            return Vec::new();
        }
        let (scratch, mut arguments) = case.set_up();
        arguments.retain(|argument| *argument != scratch.path("in.xml"));
        let (_, finished) = scratch.virt_mdev(arguments).stdin(document).errors();
        first_difference(&without_elements(document), &without_elements(&finished.stdout)).into_iter().collect()
    });
}

/// The expectations themselves, free of the program: a file that an editor has touched would be wrong for ever.
#[test]
fn no_expected_file_differs_from_its_input_but_by_the_elements() {
    for_each_filled(|case, document, filled| {
        if !case.fills_source_only() {
            return Vec::new();
        }
        first_difference(&without_elements(document), &without_elements(filled)).into_iter().collect()
    });
}

#[test]
fn every_file_of_a_case_is_one_that_is_looked_at() {
    let known = [
        "about.txt",
        "args.txt",
        "sys.txt",
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
