//! The Makefile's installing, as far as it needs nothing built.

use std::fs;
use std::path::Path;
use std::process::Command;

fn make(target: &str, destination: &Path) {
    let made = Command::new("make")
        .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), target, "PREFIX=/usr"])
        .arg(format!("DESTDIR={}", destination.display()))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_hook_that_is_installed_again_keeps_its_options_and_nothing_else_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let destination = scratch.path().join("with blanks in it");
    let hook = destination.join("etc/libvirt/hooks/qemu.d/90-virt-mdev");
    make("install-hook", &destination);
    let fresh = fs::read_to_string(&hook).unwrap();
    assert!(fresh.contains("\nbinary=/usr/bin/virt-mdev\n"), "{fresh}");

    let required = fresh.replace("#options=\"$options --require\"", "options=\"$options --require\"");
    assert_ne!(required, fresh);
    fs::write(&hook, format!("{required}# of an older release\n")).unwrap();
    make("install-hook", &destination);
    assert_eq!(fs::read_to_string(&hook).unwrap(), required);
    assert_eq!(fs::read_dir(hook.parent().unwrap()).unwrap().count(), 1, "libvirt runs all that is in qemu.d");

    make("uninstall", &destination);
    assert!(!hook.exists());
}
