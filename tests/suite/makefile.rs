//! The targets of the Makefile, except `install-hook` and `uninstall`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{BINARY, testdata};

/// Runs `make test` with a script instead of cargo, and returns its exit status and its last line.
fn make_test(cargo: &str) -> (Option<i32>, String) {
    let scratch = tempfile::tempdir().unwrap();
    let script = scratch.path().join("cargo");
    fs::write(&script, cargo).unwrap();
    let made = Command::new("make")
        .arg("--no-print-directory")
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

/// Runs a target of the Makefile in `scratch`, with a script instead of cargo that makes a program which does not run.
fn make_foreign(scratch: &Path, target: &str) {
    let script = scratch.join("cargo");
    let release = "$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/release";
    let vendor = "mkdir -p \"$4/a\" && echo 'license = \"MIT\"' > \"$4/a/Cargo.toml\"";
    let build = format!("mkdir -p {release} && echo ELF > {release}/virt-mdev");
    fs::write(&script, format!("case $1 in vendor) {vendor} ;; *) {build} ;; esac")).unwrap();
    succeed(
        Command::new("make")
            .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), target, "PREFIX=/usr"])
            .arg(format!("CARGO=sh {}", script.display()))
            .arg(format!("DESTDIR={}", scratch.join("made").display()))
            .envs([("CARGO_TARGET_DIR", scratch.as_os_str()), ("CARGO_BUILD_TARGET", "foreign".as_ref())])
            .env("PORTABLE_TARGET", "x86_64-foreign"),
    );
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn make_and_make_install_do_not_run_the_program() {
    let scratch = tempfile::tempdir().unwrap();
    make_foreign(scratch.path(), "build");
    make_foreign(scratch.path(), "install");
    for (shell, installed) in [
        ("bash", "bash-completion/completions/virt-mdev"),
        ("fish", "fish/vendor_completions.d/virt-mdev.fish"),
        ("zsh", "zsh/site-functions/_virt-mdev"),
    ] {
        let shipped = format!("{}/src/cli/completions/virt-mdev.{shell}", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(
            fs::read(scratch.path().join("made/usr/share").join(installed)).unwrap(),
            fs::read(shipped).unwrap()
        );
    }
    let schema = scratch.path().join("made/usr/share/virt-mdev/host-record.schema.json");
    assert_eq!(fs::read_to_string(schema).unwrap(), include_str!("../../src/host/record.schema.json"));
}

/// Makes the tarball of `make portable` twice, and unpacks it.
fn portable(scratch: &Path) -> PathBuf {
    let name = concat!("virt-mdev-", env!("CARGO_PKG_VERSION"), "-x86_64-linux");
    let tarball = scratch.join(format!("{name}.tar.gz"));
    make_foreign(scratch, "portable");
    let first = fs::read(&tarball).unwrap();
    std::thread::sleep(Duration::from_secs(1)); // the time stamps of the files differ
    make_foreign(scratch, "portable");
    assert!(first == fs::read(&tarball).unwrap());
    succeed(Command::new("tar").arg("-xzf").arg(tarball).arg("-C").arg(scratch));
    scratch.join(name)
}

/// Lists the files below `root` with their modes and contents.
fn listing(root: &Path) -> String {
    let list = "find . -type d -printf '%p %m\\n' -o -printf '%p %m %l ' -exec md5sum {} \\; | LC_ALL=C sort";
    succeed(Command::new("sh").args(["-c", list]).current_dir(root))
}

#[test]
fn the_portable_tarball_installs_what_make_installs() {
    let scratch = tempfile::tempdir().unwrap();
    let unpacked = portable(scratch.path());
    let licenses = fs::read_to_string(unpacked.join("LICENSE.dependencies")).unwrap();
    assert!(
        licenses.starts_with("\nFiles: vendor/a/*\nCopyright:\n the developers of a\nLicense: MIT\n"),
        "{licenses}"
    );
    let [installed, made] = ["installed", "made"].map(|name| scratch.path().join(name));
    let install = |options: &[&str]| {
        let mut script = Command::new(unpacked.join("install.sh"));
        succeed(script.args(options).env("DESTDIR", &installed).env_remove("PREFIX"));
    };
    make_foreign(scratch.path(), "build");
    make_foreign(scratch.path(), "install");
    install(&[]);
    assert_eq!(listing(&installed), listing(&made));
    make_foreign(scratch.path(), "install-hook");
    for _ in 0..2 {
        install(&["--hook"]);
        assert_eq!(listing(&installed), listing(&made));
    }
    let conf = installed.join("etc/virt-mdev/hook.conf");
    fs::write(&conf, "binary=/usr/bin/virt-mdev\noption=--require\n").unwrap();
    install(&["--hook"]);
    assert!(fs::read_to_string(conf).unwrap().contains("\noption=--require\n"));
}

/// Runs `make` with a script instead of cargo, and returns the flags that cargo would pass to rustc.
fn flags_of_make(variables: &[(&str, &str)]) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let script = scratch.path().join("cargo");
    let cargo =
        "printf %s \"$CARGO_ENCODED_RUSTFLAGS\" > \"$CARGO_TARGET_DIR/flags\"; mkdir \"$CARGO_TARGET_DIR/release\"\n";
    fs::write(&script, cargo).unwrap();
    let made = Command::new("make")
        .args(["-s", "-C", env!("CARGO_MANIFEST_DIR")])
        .arg(format!("CARGO=sh {}", script.display()))
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_DIR", scratch.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let flags = fs::read_to_string(scratch.path().join("flags")).unwrap();
    flags.split('\x1f').map(str::to_owned).collect()
}

#[test]
fn make_keeps_the_paths_of_this_machine_out_of_the_program() {
    let remapped = |home: &str| {
        let top = format!("--remap-path-prefix={}=.", env!("CARGO_MANIFEST_DIR"));
        [top, format!("--remap-path-prefix={home}/registry/src=registry")]
    };
    assert_eq!(flags_of_make(&[("CARGO_HOME", "/with a blank")]), remapped("/with a blank"));
    let flags = flags_of_make(&[("CARGO_HOME", "/home"), ("RUSTFLAGS", "-C target-cpu=native")]);
    assert_eq!(flags[..2], ["-C", "target-cpu=native"]);
    assert_eq!(flags[2..], remapped("/home"));
    let flags = flags_of_make(&[("CARGO_HOME", "/home"), ("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1fa b")]);
    assert_eq!(flags[..2], ["--cfg", "a b"]);
    assert_eq!(flags[2..], remapped("/home"));
}
