//! Files that describe a host, and the definitions of mdevctl.

use virt_mdev::device::{DeviceAddress, Uuid};
use virt_mdev::host::{self, Absence, HostSource, Lookup, RecordedHost, Sysfs};

use crate::support::testdata;

/// Reads node devices of `testdata/nodedev`.
fn node_devices(name: &str) -> RecordedHost {
    let content = std::fs::read(testdata("nodedev").join(name)).unwrap();
    host::read(name, &content).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Returns an answer in one line.
fn line(answer: Result<Lookup, host::HostError>) -> String {
    match answer {
        Ok(Lookup::Absent(Absence::NotStarted { .. })) => "not started".to_owned(),
        Ok(Lookup::Absent(_)) => "absent".to_owned(),
        Ok(Lookup::Found(device)) => device.identity.to_string(),
        Ok(Lookup::OtherDeviceApi(device_api)) => device_api.to_string(),
        Ok(Lookup::ParentNotPci { parent, subsystem }) => format!("{parent} on {}", subsystem.unwrap_or_default()),
        Ok(Lookup::Unknown { reason }) => reason,
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

fn mdev(uuid: &str) -> DeviceAddress {
    DeviceAddress::Mdev(uuid.parse().unwrap())
}

fn pci(address: &str) -> DeviceAddress {
    DeviceAddress::Pci(address.parse().unwrap())
}

#[test]
fn node_devices_have_every_form_that_libvirt_gave_them() {
    let host = node_devices("forms.xml");
    for (device, expected) in [
        (mdev("c2177883-f1bb-47f0-914d-32a22e3a8804"), "0x8086 0x591d i915-GVTg_V5_4"),
        (mdev("fedc4916-1ca8-49ac-b176-871d16c13076"), "not started"),
        (
            mdev("a38a3f43-4be2-4046-897f-067c2f5e0999"),
            "0000:06:00.0, the parent of mdev a38a3f43-4be2-4046-897f-067c2f5e0999, is not in forms.xml",
        ),
        (mdev("0b0b0b0b-0000-4000-8000-00000000000b"), "absent"),
        (mdev("80c6c135-ad44-41d0-b1b7-0ae47de48621"), "vfio-ccw"),
        (mdev("52177883-f1bb-47f0-914d-02a22e3a8801"), "vfio-ap"),
        (pci("0000:00:02.0"), "0x8086 0x591d class 0x030000"),
        (pci("0000:01:00.0"), "0x10de 0x26b9 class 0x030200"),
        (pci("0000:01:00.4"), "forms.xml cannot tell the vGPU type of 0000:01:00.4"),
        (pci("0000:02:00.1"), "0x1b36 0x0010 class 0x010802"),
        (
            pci("0000:03:00.0"),
            "PCI device 0000:03:00.0 could not be read when forms.xml was recorded: its node device has no class, which libvirt \
             writes since 5.2",
        ),
        (pci("0000:02:00.0"), "absent"),
    ] {
        assert_eq!(line(host.lookup(device)), expected, "{device}");
    }
    let creatable = host.creatable();
    let creatable: Vec<_> = creatable.iter().map(|(identity, parent)| format!("{identity} of {parent}")).collect();
    assert_eq!(creatable, ["0x8086 0x591d i915-GVTg_V5_8 of 0000:00:02.0"]);
    assert_eq!(host.record().pci_devices[0].driver.as_deref(), Some("i915"));
    let buses: Vec<_> =
        host.record().mdev_parents.iter().map(|parent| (&*parent.name, parent.bus.as_deref())).collect();
    let expected = [
        ("0.0.0052", Some("css")),
        ("0000:00:02.0", Some("pci")),
        ("0000:06:00.0", Some("pci")),
        ("matrix", Some("matrix")),
    ];
    assert_eq!(buses, expected);
}

/// The node devices are those of libvirt 9.0.0 on a copy of this sysfs.
#[test]
fn node_devices_and_sysfs_of_one_host_give_the_same_answers_about_mdevs() {
    let nodedev = node_devices("host-a.xml");
    let sysfs = HostSource::Sysfs(Sysfs::open(&testdata("hosts/linux-6.1/host-a/sys")).unwrap());
    let uuids = nodedev.record().mdev_parents.iter().flat_map(|parent| &parent.mdevs).map(|mdev| mdev.uuid);
    let uuids: Vec<Uuid> = uuids.chain(["0b0b0b0b-0000-4000-8000-00000000000b".parse().unwrap()]).collect();
    assert_eq!(uuids.len(), 8);
    for uuid in uuids.into_iter().map(DeviceAddress::Mdev) {
        match line(sysfs.lookup(uuid)) {
            // The AP matrix is not a node device of this libvirt, so that the device API of its types is not known.
            device_api if device_api == "vfio-ap" => assert_eq!(line(nodedev.lookup(uuid)), "matrix on vgpu_demo"),
            answer => assert_eq!(line(nodedev.lookup(uuid)), answer, "{uuid}"),
        }
    }
}
