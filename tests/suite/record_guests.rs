//! The script `hooks/record-guests`, with a `virsh` that keeps guests in files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::guests::{ABSENT, bare, domain, guest, guest_recorded, host_a, identity, uuid};
use crate::support::{BINARY, Run, Scratch};

/// The guests of a host.
struct Guests {
    scratch: Scratch,
    files: TempDir,
}

impl Guests {
    fn new() -> Self {
        let guests = Self { scratch: Scratch::new(), files: tempfile::tempdir().unwrap() };
        for place in ["definition", "running", "saved"] {
            fs::create_dir(guests.files.path().join(place)).unwrap();
        }
        guests
    }

    /// Adds a guest, whose UUID is its name, to these places.
    fn with(self, name: &str, places: &[&str], domain: &str) -> Self {
        for place in places {
            let domain = domain.replace("<name>vm</name>", &format!("<name>{name}</name>"));
            fs::write(self.files.path().join(place).join(name), domain).unwrap();
        }
        self
    }

    /// Returns a run of the script on host-a.
    fn record(&self) -> Run<'_> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let binaries = Path::new(BINARY).parent().unwrap().display();
        let path = format!("{}/tests/suite/support:{binaries}:{}", top.display(), std::env::var("PATH").unwrap());
        let run = self.scratch.program(top.join("hooks/record-guests"), [""; 0]);
        run.env("PATH", path)
            .env("VIRSH_GUESTS", self.files.path())
            .env("VIRT_MDEV_SYSFS", host_a())
            .env("VISUAL", "false")
    }

    /// Returns the domains that were changed since the last call.
    fn changed(&self) -> BTreeSet<String> {
        let log = self.files.path().join("log");
        let changed = fs::read_to_string(&log).unwrap_or_default();
        fs::remove_file(log).ok();
        changed.lines().map(str::to_owned).collect()
    }

    /// Checks a domain on host-a; it must have devices, and each must be recorded.
    #[track_caller]
    fn is_recorded(&self, domain: &str) {
        let path = self.files.path().join(domain);
        let run = self.scratch.virt_mdev(["check", "--sysfs"]).arg(host_a()).arg(path);
        run.stdout_has("same").check();
    }
}

fn set<const N: usize>(paths: [&str; N]) -> BTreeSet<String> {
    paths.map(str::to_owned).into()
}

#[test]
fn every_guest_is_recorded_wherever_it_is() {
    let guests = Guests::new()
        .with("off", &["definition"], &bare(1))
        .with("on", &["definition", "running"], &bare(2))
        .with("transient", &["running"], &bare(3))
        .with("put-away", &["definition", "saved"], &bare(4))
        .with("plain", &["definition", "running", "saved"], &domain(""));
    let recorded = [
        "off: recorded in the definition",
        "on: recorded in the definition",
        "put-away: recorded in the definition",
        "on: recorded in the running guest",
        "transient: recorded in the running guest",
        "put-away: recorded in the saved state\n",
    ];
    guests.record().stdout(recorded.join("\n")).check();
    let places =
        ["definition/off", "definition/on", "definition/put-away", "running/on", "running/transient", "saved/put-away"];
    assert_eq!(guests.changed(), set(places));
    places.into_iter().for_each(|place| guests.is_recorded(place));
    // A second run has nothing to do.
    guests.record().check();
    assert_eq!(guests.changed(), set([]));
}

#[test]
fn a_guest_that_cannot_be_recorded_is_named_and_the_others_are_recorded() {
    let guests = Guests::new()
        .with("absent", &["definition", "running"], &guest(ABSENT, &[""; 0]))
        .with("broken", &["definition"], "<domain>\n<name>vm</name>\n")
        .with("other", &["definition", "saved"], &bare(1));
    let run = guests.record().status(1).stdout_has("other: recorded in the definition\n");
    let run = run.stdout_has("other: recorded in the saved state\n").stderr_has(format!("mdev {ABSENT} is not on"));
    let run = run.stderr_has("record-guests: absent is not recorded in the definition\n");
    let run = run.stderr_has("record-guests: absent is not recorded in the running guest\n");
    run.stderr_has("record-guests: broken is not recorded in the definition\n").check();
    assert_eq!(guests.changed(), set(["definition/other", "saved/other"]));
}

#[test]
fn options_are_passed_to_fill() {
    let wrong = guest_recorded(&uuid(1), identity(2));
    let guests = Guests::new().with("vm", &["definition", "running", "saved"], &wrong);
    let run = guests.record().status(1);
    run.stderr_has("record-guests: vm is not recorded in the saved state\n").stderr_has("recorded").check();
    assert_eq!(guests.changed(), set([]));
    guests.record().args("--on-conflict replace").stdout_any().stderr_any().check();
    assert_eq!(guests.changed(), set(["definition/vm", "running/vm", "saved/vm"]));
    guests.is_recorded("saved/vm");
}

#[test]
fn without_libvirt_nothing_is_recorded() {
    let guests = Guests::new();
    fs::remove_dir(guests.files.path().join("running")).unwrap();
    guests.record().status(2).stderr_has("running").check();
}

#[test]
fn the_head_of_the_script_is_its_help() {
    Guests::new().record().arg("--help").stdout_has("\n  record-guests [OPTION]...    options of").check();
}
