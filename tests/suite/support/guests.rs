//! Small documents, and what `fill` makes of them on host-a of `testdata/hosts`.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::{Run, Scratch, testdata};

/// The identities of the devices 1 to 5 of host-a. Their parents are on the root bus, below a root port and below a bridge.
const IDENTITIES: [[&str; 3]; 5] = [
    ["0x1234", "0x11e8", "i915-V5_4"],
    ["0x1234", "0x11e8", "i915-V5_8"],
    ["0x8086", "0x10d3", "i915-V5_4"],
    ["0x8086", "0x10d3", "i915-V5_8"],
    ["0x1b36", "0x0005", "i915-V5_4"],
];

/// A device of host-a of type vfio-ap, whose parent is not a PCI device.
pub const AP: usize = 7;
/// A device of host-a of type vfio-pci, whose parent is not a PCI device.
pub const NO_PCI: usize = 9;
/// No lines after an address, no options.
pub const NONE: [&str; 0] = [];
/// A UUID that host-a does not have.
pub const ABSENT: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

/// Returns the host with the devices 1 to 5, [`AP`] and [`NO_PCI`].
pub fn host_a() -> PathBuf {
    let sys = testdata("hosts/linux-6.1/host-a/sys");
    assert!(sys.join("bus").is_dir(), "{} does not exist", sys.display());
    sys
}

/// Returns the UUID of a device of host-a.
pub fn uuid(device: usize) -> String {
    format!("c0ffee0{device}-0000-4000-8000-00000000000{device}")
}

/// Returns the three elements of a device of host-a, 1 to 5.
pub fn elements(device: usize) -> [String; 3] {
    let [vendor, product, mdev_type] = IDENTITIES[device - 1];
    [
        format!("<vendorid>{vendor}</vendorid>"),
        format!("<productid>{product}</productid>"),
        format!("<mdevtype>{mdev_type}</mdevtype>"),
    ]
}

/// Returns a hostdev as libvirt writes it, with lines after the address.
pub fn hostdev(uuid: &str, lines: &[impl AsRef<str>]) -> String {
    let lines: String = lines.iter().map(|line| format!("        {}\n", line.as_ref())).collect();
    format!(
        "    <hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>\n      <source>\n        \
         <address uuid='{uuid}'/>\n{lines}      </source>\n    </hostdev>\n"
    )
}

/// Returns a domain with the given devices.
pub fn domain(devices: &str) -> String {
    format!("<domain type='kvm'>\n  <name>vm</name>\n  <devices>\n{devices}  </devices>\n</domain>\n")
}

/// Returns the identity of a device of host-a, 1 to 5: vendor, product and type.
pub fn identity(device: usize) -> [&'static str; 3] {
    IDENTITIES[device - 1]
}

/// Returns a record in the metadata.
pub fn record(uuid: &str, [vendor, product, mdev_type]: [&str; 3]) -> String {
    format!(
        "      <mdev:hostdev uuid='{uuid}'>\n        <mdev:vendorid>{vendor}</mdev:vendorid>\n        \
         <mdev:productid>{product}</mdev:productid>\n        <mdev:mdevtype>{mdev_type}</mdev:mdevtype>\n      \
         </mdev:hostdev>\n"
    )
}

/// Returns a domain with the given records and devices.
pub fn recorded(records: &str, devices: &str) -> String {
    let metadata = format!(
        "</name>\n  <metadata>\n    <mdev:identities xmlns:mdev='urn:virt-mdev:1'>\n{records}    </mdev:identities>\n  \
         </metadata>\n"
    );
    domain(devices).replace("</name>\n", &metadata)
}

/// Moves a hostdev, or the only one of a domain, to this slot of the guest.
pub fn in_slot(hostdev: &str, slot: u8) -> String {
    hostdev.replacen("    </hostdev>", &format!("      <address type='pci' slot='{slot:#04x}'/>\n    </hostdev>"), 1)
}

/// Moves the only record and the only hostdev of a domain to this slot of the guest.
pub fn at(domain: &str, slot: u8) -> String {
    let key = format!("<mdev:hostdev guest='0000:00:{slot:02x}.0' ");
    in_slot(&domain.replacen("<mdev:hostdev ", &key, 1), slot)
}

/// Returns a recorded guest whose device differs on host-a.
pub fn different() -> String {
    guest_recorded(&uuid(1), identity(2))
}

/// Returns a domain with one device and its record.
pub fn guest_recorded(uuid: &str, identity: [&str; 3]) -> String {
    recorded(&record(uuid, identity), &hostdev(uuid, &NONE))
}

/// Returns a domain with one hostdev, with lines after its address.
pub fn guest(uuid: &str, lines: &[impl AsRef<str>]) -> String {
    domain(&hostdev(uuid, lines))
}

/// Returns a domain with one device of host-a, before `fill`.
pub fn bare(device: usize) -> String {
    guest(&uuid(device), &NONE)
}

/// Returns a domain with one device of host-a, after `fill`.
pub fn filled(device: usize) -> String {
    guest(&uuid(device), &elements(device))
}

impl Scratch {
    /// Returns a run of `virt-mdev fill` on host-a.
    pub fn fill(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run<'_> {
        let run = self.virt_mdev(["fill", "--sysfs"]).arg(host_a());
        arguments.into_iter().fold(run, Run::arg)
    }

    /// Returns a run of `virt-mdev fill` on the host that `description` describes.
    pub fn fill_on(&self, description: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run<'_> {
        let run = self.virt_mdev(["fill", "--sysfs"]).arg(self.host(description));
        arguments.into_iter().fold(run, Run::arg)
    }
}
