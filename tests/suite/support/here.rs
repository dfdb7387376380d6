//! What this machine has. A test that needs more than Rust, make and a C compiler asks here, and says that it was skipped.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::thread;

/// Where this is set, as in `.ci/run`, a program that a test needs must be there, and tests of chance take their time.
const THOROUGH: &str = "VIRT_MDEV_TEST_THOROUGH";

pub fn is_thorough() -> bool {
    std::env::var_os(THOROUGH).is_some()
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Whether the test can run here; says so where it cannot.
pub fn root_can(what: &str) -> bool {
    if !is_root() {
        skipped(&format!("only root can {what}"));
    }
    is_root()
}

/// Whether a program that is needed runs here; says so where it does not.
pub fn have(program: &str) -> bool {
    let mut probe = Command::new(program);
    let found = probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(found || !is_thorough(), "{program} is not installed");
    if !found {
        skipped(&format!("no program {program}"));
    }
    found
}

/// Whether system calls can be watched here.
pub fn have_strace() -> bool {
    have_working("strace", &["-o", "/dev/null", "true"], "strace may not watch")
}

/// Whether `script` can make a terminal here.
pub fn have_terminals() -> bool {
    have_working("script", &["-qec", "true", "/dev/null"], "no terminal can be made")
}

fn have_working(program: &str, arguments: &[&str], otherwise: &str) -> bool {
    let mut trial = Command::new(program);
    trial.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !have(program) {
        return false;
    }
    let works = trial.status().is_ok_and(|status| status.success());
    if !works {
        skipped(otherwise);
    }
    works
}

/// Says that a test, or a part of it, could not be made here.
///
/// Not by `eprintln!`: what that prints of a test that passes is not shown.
pub fn skipped(why: &str) {
    let test = thread::current();
    let line = format!("skipped {}: {why}\n", test.name().unwrap_or_default());
    io::stderr().write_all(line.as_bytes()).unwrap();
}
