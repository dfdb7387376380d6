//! The playbook in `docs/ansible`, on two hosts that are trees of `testdata`, with the `virsh` of the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::guests::{bare, domain, guest_recorded, uuid};
use crate::support::here::have;
use crate::support::{BINARY, testdata};

/// Two hosts and the inventory that names them.
struct Fleet(TempDir);

impl Fleet {
    fn new() -> Self {
        let fleet = Self(tempfile::tempdir().unwrap());
        let top = fleet.0.path();
        let mut inventory = "[gpu_hosts:vars]\nansible_connection=local\n[gpu_hosts]\n".to_owned();
        for host in ["host-a", "host-b"] {
            for place in ["definition", "running", "saved"] {
                fs::create_dir_all(top.join(host).join(place)).unwrap();
            }
            // Modules run in the environment of this interpreter, as they would on the host.
            let python = top.join(host).join("python");
            let script = format!(
                "#!/bin/sh\nexport VIRT_MDEV_SYSFS={}/sys VIRSH_GUESTS={} PATH={}/tests/suite/support:$PATH\nexec python3 \"$@\"\n",
                testdata("hosts/linux-6.1").join(host).display(),
                top.join(host).display(),
                env!("CARGO_MANIFEST_DIR"),
            );
            fs::write(&python, script).unwrap();
            fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
            inventory += &format!("{host} ansible_python_interpreter={}\n", python.display());
        }
        fs::write(top.join("inventory"), inventory).unwrap();
        fleet
    }

    fn guest(&self, host: &str, place: &str, name: &str, domain: &str) {
        let domain = domain.replace("<name>vm<", &format!("<name>{name}<"));
        fs::write(self.0.path().join(host).join(place).join(name), domain).unwrap();
    }

    /// Runs the playbook without its installation, and returns what it prints.
    fn play(&self) -> String {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = format!("{}:{}", Path::new(BINARY).parent().unwrap().display(), std::env::var("PATH").unwrap());
        let played = Command::new("ansible-playbook")
            .args(["--inventory", "inventory", "--skip-tags", "install", "--extra-vars", "ansible_become=false"])
            .args(["--extra-vars", &format!("fleet={}/fleet", self.0.path().display())])
            .args(["--extra-vars", &format!("virt_mdev_record_guests={}/hooks/record-guests", top.display())])
            .arg(top.join("docs/ansible/fleet.yml"))
            .current_dir(self.0.path())
            .envs([("HOME", self.0.path().as_os_str()), ("PATH", path.as_ref()), ("ANSIBLE_NOCOLOR", "1".as_ref())])
            .output()
            .unwrap();
        let printed = String::from_utf8(played.stdout).unwrap();
        assert!(played.status.success(), "{printed}{}", String::from_utf8_lossy(&played.stderr));
        printed
    }
}

#[test]
fn the_playbook_records_all_guests_and_says_where_each_can_go() {
    if !have("ansible-playbook") {
        return;
    }
    let fleet = Fleet::new();
    // host-b has a device like device 2 under another UUID.
    fleet.guest("host-a", "definition", "two", &bare(2));
    fleet.guest("host-a", "running", "two", &bare(2));
    fleet.guest("host-a", "definition", "plain", &domain(""));
    // The record does not agree with host-a, so this guest cannot be recorded; the others are.
    let foreign = guest_recorded(&uuid(1), ["0x10de", "0x26b9", "nvidia-1148"]);
    fleet.guest("host-a", "definition", "foreign", &foreign);
    let printed = fleet.play();
    assert!(printed.contains("foreign is not recorded in the definition"), "{printed}");
    assert!(printed.contains("\"foreign  D     "), "the table of all guests: {printed}");
    for line in [
        "two can go to host-a same, host-b free",
        "plain can go to host-a same, host-b same",
        "foreign can go to no host",
    ] {
        assert!(printed.contains(&format!("\"{line}\"")), "{line}: {printed}");
    }
    assert_eq!(["host-a", "host-b"].map(|host| changes(&printed, host)), ["1", "0"]);
    // In the second run, there is nothing to do on host-a, and a guest of host-b has the device that was free.
    fs::remove_file(fleet.0.path().join("host-a/definition/foreign")).unwrap();
    fleet.guest("host-b", "definition", "twin", &bare(2).replace(&uuid(2), "0b0b0b0b-0000-4000-8000-00000000000b"));
    let printed = fleet.play();
    assert!(printed.contains("\"two can go to host-a same, host-b creatable\""), "{printed}");
    assert_eq!(["host-a", "host-b"].map(|host| changes(&printed, host)), ["0", "1"]);
}

/// Returns the number of changes that the recap of a play counts for a host.
fn changes(printed: &str, host: &str) -> String {
    let recap = printed.split_once("PLAY RECAP").unwrap().1;
    let line = recap.lines().find(|line| line.starts_with(host)).unwrap();
    let (_, rest) = line.split_once("changed=").unwrap();
    rest.split(' ').next().unwrap().to_owned()
}
