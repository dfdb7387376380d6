//! What the Makefile installs without building anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A directory that the hook is installed into.
struct Destination(TempDir);

impl Destination {
    fn new() -> Self {
        let destination = Self(tempfile::Builder::new().prefix("with blanks in it").tempdir().unwrap());
        fs::create_dir_all(destination.hooks()).unwrap();
        destination
    }

    fn make(&self, target: &str) {
        let made = Command::new("make")
            .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), target, "PREFIX=/usr"])
            .arg(format!("DESTDIR={}", self.0.path().display()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn hooks(&self) -> PathBuf {
        self.0.path().join("etc/libvirt/hooks/qemu.d")
    }

    /// Returns where a release before 0.2 installed the script.
    fn older(&self) -> PathBuf {
        self.hooks().join("90-virt-mdev")
    }

    fn hook(&self) -> PathBuf {
        self.hooks().join("zz-virt-mdev")
    }

    /// Returns the installed hook, which must be the only one: libvirt runs every executable in the directory.
    fn installed(&self) -> String {
        let names: Vec<_> = fs::read_dir(self.hooks()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["zz-virt-mdev"]);
        fs::read_to_string(self.hook()).unwrap()
    }
}

/// Returns the script as it is installed for the first time.
fn fresh() -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/qemu.d/zz-virt-mdev");
    let shipped = fs::read_to_string(shipped).unwrap();
    let fresh = shipped.replace("\nbinary=virt-mdev\n", "\nbinary=/usr/bin/virt-mdev\n");
    assert_ne!(fresh, shipped);
    fresh
}

/// Returns the script with this option turned on.
fn turned_on(script: &str, option: &str) -> String {
    let on = script.replace(&format!("#options=\"$options {option}\""), &format!("options=\"$options {option}\""));
    assert_ne!(on, script, "{option}");
    on
}

/// Returns the script with lines added by the administrator after the first `options=`.
fn with_lines(script: &str, lines: &str) -> String {
    script.replace("\noptions=\n", &format!("\noptions=\n{lines}"))
}

#[test]
fn the_first_installation_runs_the_installed_program_without_options() {
    let destination = Destination::new();
    destination.make("install-hook");
    assert_eq!(destination.installed(), fresh());
}

#[test]
fn a_hook_that_is_installed_again_keeps_only_its_options() {
    let destination = Destination::new();
    for option in ["--require", "--check-start", "--follow-guest-address", "--defer-absent"] {
        let script = turned_on(&fresh(), option);
        fs::write(destination.hook(), format!("{script}# of an older release\n")).unwrap();
        for _ in 0..2 {
            destination.make("install-hook");
            assert_eq!(destination.installed(), script);
        }
    }
}

#[test]
fn the_options_of_an_older_release_move_to_the_new_name() {
    let destination = Destination::new();
    // As release 0.1.0 has them.
    let older = "#!/bin/sh\nbinary=/usr/bin/virt-mdev\noptions=\n\
         options=\"$options --require\"       # refuse a guest with mediated devices that carries no record of them\n\
         #options=\"$options --check-start\"   # judge at every start too, and when a snapshot is reverted to\n";
    fs::write(destination.older(), older).unwrap();
    destination.make("install-hook");
    assert_eq!(destination.installed(), turned_on(&fresh(), "--require"));
}

#[test]
fn options_of_two_releases_are_all_kept() {
    let destination = Destination::new();
    fs::write(destination.older(), turned_on(&fresh(), "--require")).unwrap();
    fs::write(destination.hook(), turned_on(&fresh(), "--check-start")).unwrap();
    destination.make("install-hook");
    assert_eq!(destination.installed(), turned_on(&turned_on(&fresh(), "--require"), "--check-start"));
}

#[test]
fn lines_added_by_the_administrator_are_kept() {
    for lines in
        ["options='--require --sysfs /a'\n", "options=\"$options --sysfs /b#c\" # why\noptions=\"$options x\"\n"]
    {
        let destination = Destination::new();
        let older = format!("#!/bin/sh\nbinary=other\noptions=\n{lines}options=\"$options --check-start\"\n");
        fs::write(destination.older(), older).unwrap();
        for _ in 0..2 {
            destination.make("install-hook");
            assert_eq!(destination.installed(), with_lines(&turned_on(&fresh(), "--check-start"), lines));
        }
    }
}

#[test]
fn uninstalling_removes_the_hook_under_both_names() {
    let destination = Destination::new();
    destination.make("install-hook");
    fs::write(destination.older(), "").unwrap();
    fs::write(destination.hooks().join("50-other"), "").unwrap();
    destination.make("uninstall");
    assert!(!destination.hook().exists() && !destination.older().exists());
    assert!(destination.hooks().join("50-other").exists());
}
