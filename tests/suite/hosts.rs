//! Looks devices up in the hosts of `testdata/hosts`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use virt_mdev::device::{DeviceAddress, PciAddress, Uuid};
use virt_mdev::host::{self, HostSource, Mdevctl, NoIdentity, Sysfs};

use crate::support::guests::uuid;
use crate::support::{Scratch, sysfs_tree, testdata};

fn open(host: &str) -> Sysfs {
    Sysfs::open(&testdata("hosts").join(host).join("sys")).unwrap()
}

/// Returns what a host answers about a device, in one line.
fn answer(host: &str, uuid: &str) -> String {
    match open(host).lookup(DeviceAddress::Mdev(uuid.parse().unwrap())).unwrap() {
        Err(NoIdentity::Absent(_)) => "absent".to_owned(),
        Ok(device) => device.identity.to_string(),
        Err(NoIdentity::OtherDeviceApi(device_api)) => device_api.to_string(),
        Err(NoIdentity::ParentNotPci { parent, subsystem }) => format!("{parent} on {}", subsystem.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn recorded_trees_have_the_devices_that_were_created() {
    for (number, expected) in [
        (1, "0x1234 0x11e8 i915-V5_4"),
        (2, "0x1234 0x11e8 i915-V5_8"),
        (3, "0x8086 0x10d3 i915-V5_4"),
        (4, "0x8086 0x10d3 i915-V5_8"),
        (5, "0x1b36 0x0005 i915-V5_4"),
        (6, "absent"),
        (7, "vfio-ap"),
        (9, "nopci on vgpu_demo"),
    ] {
        assert_eq!(answer("linux-6.1/host-a", &uuid(number)), expected, "c0ffee0{number}");
    }
    let only_there = "0b0b0b0b-0000-4000-8000-00000000000b";
    assert_eq!(answer("linux-6.1/host-a", only_there), "absent");
    assert!(answer("linux-6.1/host-b", only_there).starts_with("0x"));
    // Both hosts have these three UUIDs, but only the first is the same device.
    for (number, same) in [(1, true), (2, false), (3, false)] {
        let [a, b] = ["linux-6.1/host-a", "linux-6.1/host-b"].map(|host| answer(host, &uuid(number)));
        assert_eq!(a == b, same, "c0ffee0{number}: {a}, {b}");
    }
}

#[test]
fn described_trees_have_the_devices_of_their_descriptions() {
    for (host, uuid, expected) in [
        ("field/gvt-g", "c2177883-f1bb-47f0-914d-32a22e3a8804", "0x8086 0x591d i915-GVTg_V5_4"),
        ("field/ampere-vf", "7d075752-aa36-4bfd-a6f1-062bf15eff01", "0x10de 0x20f1 nvidia-475"),
        ("field/ampere-vf", "7d075752-aa36-4bfd-a6f1-062bf15eff02", "0x10de 0x20f1 nvidia-474"),
        ("field/s390x", "80c6c135-ad44-41d0-b1b7-0ae47de48621", "vfio-ccw"),
        ("field/s390x", "52177883-f1bb-47f0-914d-02a22e3a8801", "vfio-ap"),
    ] {
        assert_eq!(answer(host, uuid), expected, "{host} {uuid}");
    }
}

/// Returns what a host answers about a PCI device, in one line.
fn pci_answer(host: &str, address: &str) -> String {
    match open(host).lookup(DeviceAddress::Pci(address.parse().unwrap())).unwrap() {
        Err(NoIdentity::Absent(_)) => "absent".to_owned(),
        Err(NoIdentity::Untyped) => "untyped".to_owned(),
        Ok(device) => {
            assert!(device.subsystem.is_some(), "{address}");
            let function = if device.is_virtual_function { "VF" } else { "PF" };
            format!("{} {function}", device.identity)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_trees_of_a_kernel_have_the_virtual_functions_that_were_enabled() {
    for (host, address, expected) in [
        ("host-c", "0000:01:00.0", "0x10de 0x26b9 class 0x030200 PF"),
        ("host-c", "0000:01:00.4", "0x10de 0x26b9 nvidia-1148 VF"),
        ("host-c", "0000:01:00.6", "0x10de 0x26b9 nvidia-1150 VF"),
        ("host-c", "0000:01:00.7", "untyped"),
        ("host-c", "0000:02:00.1", "0x1b36 0x0010 class 0x010802 VF"),
        ("host-c", "0000:03:00.0", "0x8086 0x10d3 class 0x020000 PF"),
        ("host-c", "0000:82:00.4", "absent"),
        ("host-d", "0000:82:00.4", "untyped"),
        ("host-d", "0000:82:00.5", "0x10de 0x26b9 nvidia-1150 VF"),
        ("host-d", "0000:82:00.6", "0x10de 0x26b9 nvidia-1148 VF"),
        ("host-d", "0000:82:00.7", "untyped"),
    ] {
        assert_eq!(pci_answer(&format!("linux-6.1/{host}"), address), expected, "{host} {address}");
    }
    assert_eq!(answer("linux-6.1/host-c", "c0ffee0c-0000-4000-8000-00000000000c"), "0x1234 0x11e8 i915-GVTg_V5_4");
}

/// Returns the devices that a directory of a tree lists.
fn listed<T: std::str::FromStr>(directory: &Path) -> Vec<T> {
    let names = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.to_str().unwrap().parse().ok()).collect()
}

/// Checks that a host answers the same from its record as from its source, about each device that it has and one that it has
/// not, and that it can create the same devices. Returns how many it has.
fn assert_recorded(source: &HostSource, sys: &Path) -> usize {
    let recorded = source.record().unwrap();
    let json = serde_json::to_vec(recorded.record()).unwrap();
    let reread = host::read(recorded.name(), &json).unwrap();
    assert_eq!(recorded.record(), reread.record());
    let mdevs = listed::<Uuid>(&sys.join("bus/mdev/devices")).into_iter().map(DeviceAddress::Mdev);
    let pci = listed::<PciAddress>(&sys.join("bus/pci/devices")).into_iter().map(DeviceAddress::Pci);
    let devices: Vec<_> = mdevs.chain(pci).collect();
    let nowhere = ["ffffffff-0000-4000-8000-00000000000f"].map(|uuid| DeviceAddress::Mdev(uuid.parse().unwrap()));
    for device in devices.iter().copied().chain(nowhere) {
        match [source.lookup(device), reread.lookup(device)] {
            [Ok(Err(NoIdentity::Absent(_))), Ok(Err(NoIdentity::Absent(_)))] => {}
            [Ok(Err(NoIdentity::NoVgpuType { .. })), Ok(Err(NoIdentity::NoVgpuType { .. }))] => {}
            [Ok(here), Ok(recorded)] => assert_eq!(here, recorded, "{device}"),
            [Err(here), Err(recorded)] => assert!(recorded.to_string().contains(&here.to_string()), "{recorded}"),
            other => panic!("{device} in {}: {other:?}", sys.display()),
        }
    }
    let sysfs = Sysfs::open(sys).unwrap();
    assert_eq!(*sysfs.creatable(), reread.creatable(), "{}", sys.display());
    devices.len()
}

#[test]
fn a_host_answers_the_same_from_its_record() {
    let mut hosts = 0;
    for kind in ["linux-6.1", "field"] {
        for entry in fs::read_dir(testdata("hosts").join(kind)).unwrap() {
            let sys = entry.unwrap().path().join("sys");
            let source = HostSource::Sysfs(Sysfs::open(&sys).unwrap(), None);
            assert!(assert_recorded(&source, &sys) > 0, "{}", sys.display());
            assert_eq!(source.record().unwrap().record().unreadable, [], "{}", sys.display());
            hosts += 1;
        }
    }
    assert_eq!(hosts, 7);
    let mut trees = BTreeSet::new();
    for entry in fs::read_dir(testdata("cases")).unwrap() {
        let Ok(description) = fs::read_to_string(entry.unwrap().path().join("sys.txt")) else { continue };
        trees.insert(description);
    }
    for description in &trees {
        let scratch = Scratch::new();
        let sys = scratch.path("sys");
        sysfs_tree::build(description, &sys);
        if let Ok(sysfs) = Sysfs::open(&sys) {
            assert_recorded(&HostSource::Sysfs(sysfs, None), &sys);
        }
    }
    assert!(trees.len() > 20, "{}", trees.len());
}

#[test]
fn a_record_has_what_mdevctl_has_defined_and_not_started() {
    let defined = "deadbeef-0000-4000-8000-000000000001";
    let started = "c2177883-f1bb-47f0-914d-32a22e3a8804";
    let orphaned = "deadbeef-0000-4000-8000-000000000002";
    let broken = "deadbeef-0000-4000-8000-000000000003";
    let scratch = Scratch::new();
    let definition = |parent: &str, uuid: &str, text: &str| scratch.file(format!("mdevctl.d/{parent}/{uuid}"), text);
    let of_type = r#"{"mdev_type": "i915-GVTg_V5_4", "start": "manual", "attrs": []}"#;
    definition("0000:00:02.0", defined, of_type);
    definition("0000:00:02.0", started, "not JSON");
    definition("0000:ff:02.0", orphaned, of_type);
    definition("0000:00:02.0", broken, "{}");
    let sys = testdata("hosts/field/gvt-g/sys");
    let source =
        |counts| HostSource::Sysfs(Sysfs::open(&sys).unwrap(), Some(Mdevctl::new(scratch.path("mdevctl.d"), counts)));
    assert_recorded(&source(true), &sys);
    let defining = source(true);
    let host = defining.record().unwrap();
    for uuid in [defined, started, orphaned, broken] {
        let device = DeviceAddress::Mdev(uuid.parse().unwrap());
        match [source(true).lookup(device), host.lookup(device)] {
            [Ok(Err(NoIdentity::Absent(_))), Ok(Err(NoIdentity::Absent(_)))] => assert_eq!(uuid, orphaned),
            [Ok(here), Ok(recorded)] => assert_eq!(here, recorded, "{uuid}"),
            [Err(_), Err(_)] => assert_eq!(uuid, broken),
            other => panic!("{uuid}: {other:?}"),
        }
    }
    let only_defined = |host: &host::RecordedHost| -> Vec<String> {
        let mdevs = host.record().mdev_parents.iter().flat_map(|parent| &parent.mdevs);
        mdevs.filter(|mdev| mdev.is_defined_only).map(|mdev| mdev.uuid.to_string()).collect()
    };
    assert_eq!(only_defined(&host), [defined]);
    assert_eq!(only_defined(&source(false).record().unwrap()), [""; 0]);
    // All answers of a run are about the same definitions.
    let counting = source(true);
    let lookup = |uuid: &str| counting.lookup(DeviceAddress::Mdev(uuid.parse().unwrap()));
    assert!(matches!(lookup("deadbeef-0000-4000-8000-000000000004"), Ok(Err(NoIdentity::Absent(_)))));
    definition("0000:00:02.0", "deadbeef-0000-4000-8000-000000000005", of_type);
    assert!(matches!(lookup("deadbeef-0000-4000-8000-000000000005"), Ok(Err(NoIdentity::Absent(_)))));
    definition("0000:ff:02.0", defined, of_type);
    let error = source(true).record().unwrap_err().to_string();
    assert!(error.contains(&format!("{defined} is defined twice")), "{error}");
}
