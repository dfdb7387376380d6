//! What this machine supports. A test that needs more than Rust, make and a C compiler checks it here, or is reported as
//! skipped.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

#[path = "../../../src/skipped.rs"]
mod skip;

pub use skip::skipped;

/// If this is set, as in `.ci/run`, programs that a test needs must be installed, and random tests run longer.
const THOROUGH: &str = "VIRT_MDEV_TEST_THOROUGH";

pub fn is_thorough() -> bool {
    std::env::var_os(THOROUGH).is_some()
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Whether the user is root; otherwise reports a skipped test.
pub fn root_can(what: &str) -> bool {
    if !is_root() {
        skipped(&format!("only root can {what}"));
    }
    is_root()
}

/// Whether a program is installed; otherwise reports a skipped test.
pub fn have(program: &str) -> bool {
    let mut probe = Command::new(program);
    let found = probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(found || !is_thorough(), "{program} is not installed");
    if !found {
        skipped(&format!("no program {program}"));
    }
    found
}

/// Whether strace works here.
pub fn have_strace() -> bool {
    have_working("strace", &["-o", "/dev/null", "true"], "strace may not watch")
}

/// Whether `script` can make a terminal.
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
