//! Looks devices up in the hosts of `testdata/hosts`.

use std::path::PathBuf;

use virt_mdev::host::{Lookup, Sysfs};

/// Returns what a host answers about a device, in one line.
fn answer(host: &str, uuid: &str) -> String {
    let sys: PathBuf = [env!("CARGO_MANIFEST_DIR"), "testdata/hosts", host, "sys"].iter().collect();
    match Sysfs::open(&sys).unwrap().lookup(&uuid.parse().unwrap()).unwrap() {
        Lookup::Absent(_) => "absent".to_owned(),
        Lookup::Found(device) => device.identity.to_string(),
        Lookup::OtherDeviceApi(device_api) => device_api.to_string(),
        Lookup::ParentNotPci { parent, subsystem } => format!("{parent} on {}", subsystem.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn recorded_trees_have_the_devices_that_were_created() {
    let numbered = |number: u8| format!("c0ffee0{number}-0000-4000-8000-00000000000{number}");
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
        assert_eq!(answer("linux-6.1/host-a", &numbered(number)), expected, "c0ffee0{number}");
    }
    let only_there = "0b0b0b0b-0000-4000-8000-00000000000b";
    assert_eq!(answer("linux-6.1/host-a", only_there), "absent");
    assert!(answer("linux-6.1/host-b", only_there).starts_with("0x"));
    // Both hosts have these three UUIDs, but only the first is the same device.
    for (number, same) in [(1, true), (2, false), (3, false)] {
        let [a, b] = ["linux-6.1/host-a", "linux-6.1/host-b"].map(|host| answer(host, &numbered(number)));
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
    let sys: PathBuf = [env!("CARGO_MANIFEST_DIR"), "testdata/hosts", host, "sys"].iter().collect();
    match Sysfs::open(&sys).unwrap().lookup_pci(address.parse().unwrap()).unwrap() {
        Lookup::Absent(_) => "absent".to_owned(),
        Lookup::Untyped => "untyped".to_owned(),
        Lookup::Found(device) => {
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
