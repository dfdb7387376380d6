//! How a test reports that this machine cannot run it; `tests/suite` includes this file too.

use std::fs::File;
use std::io::{self, Write};

/// The file to which the name of each skipped test is appended, for `make test` to count.
const NAMES: &str = "VIRT_MDEV_TEST_SKIPPED";

/// Reports that a test, or a part of it, could not run here.
///
/// Does not use `eprintln!`, whose output is hidden if the test passes.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    io::stderr().write_all(format!("skipped {test}: {why}\n").as_bytes()).unwrap();
    if let Some(names) = std::env::var_os(NAMES) {
        let mut names = File::options().append(true).open(names).unwrap();
        names.write_all(format!("{test}\n").as_bytes()).unwrap();
    }
}
