//! The targets `demo` and `test` of the Makefile.

use std::fs;
use std::process::Command;

use crate::support::{BINARY, testdata};

/// Runs `make test` with a script instead of cargo, and returns its exit status and its last line.
fn make_test(cargo: &str) -> (Option<i32>, String) {
    let scratch = tempfile::tempdir().unwrap();
    let script = scratch.path().join("cargo");
    fs::write(&script, cargo).unwrap();
    let made = Command::new("make")
        .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), "test"])
        .arg(format!("CARGO=sh {}", script.display()))
        .env("CARGO_TARGET_DIR", scratch.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(made.stdout).unwrap();
    (made.status.code(), stdout.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn the_last_line_of_make_test_counts_the_skipped_tests() {
    let line = |count| format!("{count} tests skipped, in whole or in part: see the lines that begin with skipped");
    assert_eq!(make_test("echo 'test result: ok.'"), (Some(0), line(0)));
    let skip = "printf 'a::b\\nc\\na::b\\n' >> \"$VIRT_MDEV_TEST_SKIPPED\"";
    assert_eq!(make_test(skip), (Some(0), line(2)));
    assert_eq!(make_test(&format!("{skip}; exit 101")), (Some(2), line(2)));
}

#[test]
fn the_demo_shows_what_fill_writes_and_how_a_migration_is_refused() {
    let shown = Command::new(testdata("demo/run")).arg(BINARY).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stderr), "");
    let host = Command::new("uname").arg("-n").output().unwrap().stdout;
    let host = String::from_utf8(host).unwrap();
    let stdout = String::from_utf8(shown.stdout).unwrap().replace(&format!(" on {}", host.trim_end()), " on host-b");
    assert_eq!(stdout, fs::read_to_string(testdata("demo/expect.txt")).unwrap());
    assert!(shown.status.success());
}

#[test]
fn the_guest_of_the_demo_carries_the_record_of_host_a() {
    let host = testdata("hosts/linux-6.1/host-a/sys");
    let paths = [host, testdata("demo/recorded.xml")];
    assert!(Command::new(BINARY).args(["check", "--quiet", "--sysfs"]).args(paths).status().unwrap().success());
}

#[test]
fn make_and_make_install_do_not_run_the_program() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    let cargo = "mkdir -p $CARGO_TARGET_DIR/foreign/release && echo ELF > $CARGO_TARGET_DIR/foreign/release/virt-mdev";
    let script = scratch.path().join("cargo");
    fs::write(&script, cargo).unwrap();
    for target in ["build", "install"] {
        let made = Command::new("make")
            .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), target, "PREFIX=/usr"])
            .arg(format!("CARGO=sh {}", script.display()))
            .arg(format!("DESTDIR={}", root.display()))
            .envs([("CARGO_TARGET_DIR", scratch.path().as_os_str()), ("CARGO_BUILD_TARGET", "foreign".as_ref())])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    for (shell, installed) in [
        ("bash", "bash-completion/completions/virt-mdev"),
        ("fish", "fish/vendor_completions.d/virt-mdev.fish"),
        ("zsh", "zsh/site-functions/_virt-mdev"),
    ] {
        let shipped = format!("{}/src/cli/completions/virt-mdev.{shell}", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(fs::read(root.join("usr/share").join(installed)).unwrap(), fs::read(shipped).unwrap());
    }
}
