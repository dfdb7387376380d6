//! Generates the content of a document, without its layout, and the host of its devices.

use virt_mdev::device::{DeviceAddress, DeviceKind, Identity, MdevType, Part, PciAddress, PciId, Uuid};
use virt_mdev::domain::NAMESPACE;
use virt_mdev::host::{Absence, DeviceApi, Host, Lookup, NoIdentity};

use super::super::invariants;
use super::tape::Tape;

/// A node of a document, before it is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Element(Element),
    /// A value or other text.
    Text(String),
}

/// An element of a document, before it is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its name, prefix included.
    pub name: String,
    /// Its attributes, namespace declarations included.
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
}

impl Element {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), attributes: Vec::new(), children: Vec::new() }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    fn holding(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    fn saying(mut self, text: impl Into<String>) -> Self {
        self.children.push(Node::Text(text.into()));
        self
    }
}

/// The devices that documents ask for.
const UUIDS: [&str; 6] = [
    "c2177883-f1bb-47f0-914d-32a22e3a8804",
    "c0ffee01-0000-4000-8000-000000000001",
    "c0ffee02-0000-4000-8000-000000000002",
    "c0ffee03-0000-4000-8000-000000000003",
    "c0ffee04-0000-4000-8000-000000000004",
    "c0ffee05-0000-4000-8000-000000000005",
];

/// How many PCI devices documents ask for.
const PCI_DEVICES: u8 = 4;

fn pci_address(function: u8) -> PciAddress {
    PciAddress { domain: 0, bus: 0x26, slot: 0, function }
}

fn pci_answer(tape: &mut Tape<'_>) -> Lookup {
    match tape.below(10) {
        9 => Err(NoIdentity::Absent(Absence::NotFound { looked_for: "no bus/pci/devices in /sys".to_owned() })),
        8 => Err(NoIdentity::Untyped),
        7 => Err(NoIdentity::NoVgpuType { looked_for: "no directory nvidia".to_owned() }),
        5 | 6 => invariants::pci_device(),
        4 => invariants::vgpu(1150),
        _ => invariants::vgpu(1148),
    }
}

/// Names of types, common ones and ones that need escaping.
const TYPES: [&str; 10] = [
    "i915-GVTg_V5_4",
    "nvidia-474",
    "GRID M60-0B4, 2>1",
    "a&b<c>]]>d",
    "--> <!-- ",
    "\"quoted\" 'twice'",
    "tab\there",
    "return\rand\r\nline\nending",
    "日本 é 𝄞",
    "&amp;&#13;",
];

/// Returns a host that has most of the devices.
pub fn host(tape: &mut Tape<'_>) -> Host {
    let mut host = Host::default();
    for uuid in UUIDS {
        host.insert(DeviceAddress::Mdev(parsed(uuid)), Ok(answer(tape)));
    }
    for function in 0..PCI_DEVICES {
        host.insert(DeviceAddress::Pci(pci_address(function)), Ok(pci_answer(tape)));
    }
    host
}

fn answer(tape: &mut Tape<'_>) -> Lookup {
    let kind = tape.below(16);
    let mdev_type: MdevType = tape.pick(&TYPES).trim().parse().unwrap();
    let ids = [0x8086, 0x10de, 0, 0xffff, 0x0086].map(PciId::from);
    let (vendor, product) = (tape.pick(&ids), tape.pick(&ids));
    match kind {
        15 => Err(NoIdentity::Absent(Absence::NotFound { looked_for: "no bus/mdev/devices in /sys".to_owned() })),
        14 => Err(NoIdentity::OtherDeviceApi(DeviceApi("vfio-ccw".to_owned()))),
        13 => Err(NoIdentity::ParentNotPci { parent: "mtty".to_owned(), subsystem: Some("vgpu".to_owned()) }),
        _ => Ok(Identity { vendor, product, kind: DeviceKind::Mdev(mdev_type) }.into()),
    }
}

pub fn parsed(uuid: &str) -> Uuid {
    uuid.parse().unwrap()
}

/// Returns the identity that a host has for a device.
pub fn identity(host: &Host, uuid: &Uuid) -> Option<Identity> {
    match host.lookup(DeviceAddress::Mdev(*uuid)) {
        Ok(Ok(device)) => Some(device.identity.clone()),
        _ => None,
    }
}

/// What a document may have of ours before it is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// Nothing, and no empty `metadata`, so that strip restores it.
    Nothing,
    /// Anything: complete, partial, conflicting, stale, renamed.
    Anything,
}

/// Generates documents.
pub struct Author<'t, 'h> {
    pub tape: Tape<'t>,
    pub host: &'h Host,
    pub ours: Ours,
}

impl Author<'_, '_> {
    /// Generates a document of any kind.
    pub fn document(&mut self) -> Element {
        match self.tape.below(8) {
            0..4 => self.domain("domain"),
            4 => Element::new("domstatus")
                .with("state", "running")
                // The devices of the state itself, which are aliases and not hostdevs.
                .holding([Element::new("devices").holding([Element::new("device").with("alias", "hostdev0")])])
                .holding([self.domain("domain")]),
            5 => {
                let inactive = self.tape.once_in(2).then(|| self.domain("inactiveDomain"));
                Element::new("domainsnapshot")
                    .holding([Element::new("name").saying("before"), self.domain("domain")])
                    .holding(inactive)
            }
            6 => {
                let domain = (!self.tape.once_in(3)).then(|| self.domain("domain"));
                Element::new("domaincheckpoint").holding([Element::new("name").saying("first")]).holding(domain)
            }
            _ => self.mdev(),
        }
    }

    fn domain(&mut self, name: &str) -> Element {
        let mut domain = Element::new(name).with("type", "kvm");
        if self.tape.once_in(4) {
            domain = domain.with("xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
        }
        if self.tape.once_in(8) {
            domain = domain.with("xmlns:mdev", "urn:someone");
        }
        for (name, text) in [("name", "vm > 1"), ("uuid", "60a8f5b3-0000-4000-8000-000000000000"), ("title", "a & b")] {
            if !self.tape.once_in(4) {
                domain = domain.holding([Element::new(name).saying(text)]);
            }
        }
        let metadata = self.tape.below(6);
        if metadata > 1 {
            domain = domain.holding([self.metadata()]);
        }
        if metadata == 5 {
            domain = domain.holding([self.metadata()]);
        }
        domain = domain.holding([Element::new("memory").with("unit", "KiB").saying("1048576")]);
        for _ in 0..=usize::from(self.tape.once_in(6)) {
            let mut devices = Element::new("devices");
            for _ in 0..=self.tape.below(4) {
                devices = devices.holding([self.device()]);
            }
            domain = domain.holding([devices]);
        }
        if self.tape.once_in(8) {
            domain = domain.saying("stray words");
        }
        domain
    }

    fn metadata(&mut self) -> Element {
        let mut metadata = Element::new("metadata");
        for _ in 0..self.tape.below(3) {
            metadata = metadata.holding([self.metadata_of_others()]);
        }
        if self.ours == Ours::Anything && self.tape.below(3) > 0 {
            metadata = metadata.holding([self.identities()]);
            if self.tape.once_in(12) {
                metadata = metadata.holding([self.identities()]);
            }
            if self.tape.once_in(3) {
                metadata = metadata.holding([self.metadata_of_others()]);
            }
        }
        if self.tape.once_in(8) {
            metadata = metadata.saying("stray words");
        }
        if self.ours == Ours::Nothing && metadata.children.is_empty() {
            metadata = metadata.holding([self.metadata_of_others()]);
        }
        metadata
    }

    fn metadata_of_others(&mut self) -> Element {
        match self.tape.below(4) {
            0 => Element::new("libosinfo:libosinfo")
                .with("xmlns:libosinfo", "http://libosinfo.org/xmlns/libvirt/domain/1.0")
                .holding([Element::new("libosinfo:os").with("id", "http://debian.org/debian/12")]),
            1 => Element::new("vmtemplate").with("xmlns", "unraid").with("name", "Debian"),
            // oVirt has an mdevType of its own.
            2 => Element::new("ovirt-vm:vm")
                .with("xmlns:ovirt-vm", "http://ovirt.org/vm/1.0")
                .holding([
                    Element::new("ovirt-vm:device").holding([Element::new("ovirt-vm:mdevtype").saying("nvidia-11")])
                ]),
            _ => Element::new("mdev:identities").with("xmlns:mdev", "urn:virt-mdev:2"),
        }
    }

    fn identities(&mut self) -> Element {
        let prefix = self.tape.pick(&["mdev:", "", "m:"]);
        let declared = prefix.strip_suffix(':').map_or("xmlns".to_owned(), |prefix| format!("xmlns:{prefix}"));
        let mut identities = Element::new(format!("{prefix}identities")).with(&declared, NAMESPACE);
        for _ in 0..self.tape.below(4) {
            let record = if self.tape.once_in(3) { self.pci_record(prefix) } else { self.record(prefix) };
            identities = identities.holding([record]);
        }
        if self.tape.once_in(8) {
            identities = identities.holding([Element::new(format!("{prefix}unknown")).with("to", "us")]);
        }
        identities
    }

    fn record(&mut self, prefix: &str) -> Element {
        let (uuid, spelling) = self.uuid();
        let mut record = Element::new(format!("{prefix}hostdev"));
        if !self.tape.once_in(12) {
            record = record.with("uuid", spelling);
        }
        if self.tape.once_in(3) {
            let guest =
                self.tape.pick(&["0000:00:07.0", "0000:00:08.0", "0000:00:09.0", "ccw:devno=0x0001", "nowhere"]);
            record = record.with("guest", guest);
        }
        if self.tape.once_in(4) {
            record = record.with("alias", self.tape.pick(&["ua-one", "ua-two", "hostdev0"]));
        }
        self.parts(prefix, &uuid).into_iter().fold(record, |record, part| record.holding([part]))
    }

    fn device(&mut self) -> Element {
        match self.tape.below(12) {
            8..11 => self.pci(),
            11 => Element::new("disk").with("type", "file").holding([Element::new("source").with("file", "/a>b.img")]),
            _ => self.mdev(),
        }
    }

    fn mdev(&mut self) -> Element {
        let mut hostdev = Element::new("hostdev").with("mode", "subsystem").with("type", "mdev");
        match self.tape.below(8) {
            6 => hostdev = hostdev.with("model", "vfio-ccw"),
            7 => {}
            _ => hostdev = hostdev.with("model", "vfio-pci").with("display", "off"),
        }
        if self.tape.once_in(8) {
            hostdev = hostdev.holding([Element::new("source")]);
        }
        let (uuid, spelling) = self.uuid();
        let mut source = Element::new("source");
        let mut parts = if self.ours == Ours::Anything { self.parts("", &uuid) } else { Vec::new() };
        let before = if self.tape.once_in(8) { self.tape.below(parts.len() + 1) } else { 0 };
        let after = parts.split_off(before);
        source = source.holding(parts).holding([Element::new("address").with("uuid", spelling)]).holding(after);
        if self.tape.once_in(8) {
            source = source.holding([Element::new("o:vendorid").with("xmlns:o", "urn:someone").saying("0xffff")]);
        }
        hostdev = hostdev.holding([source]);
        if self.tape.once_in(8) {
            hostdev = hostdev.holding([Element::new("source").holding([Element::new("address").with("uuid", "none")])]);
        }
        self.guest_side(hostdev)
    }

    /// Adds a guest address or an alias to a hostdev, or both or neither.
    fn guest_side(&mut self, mut hostdev: Element) -> Element {
        if self.tape.once_in(2) {
            let slot = self.tape.pick(&["0x07", "7", "0x08", "0"]);
            hostdev = hostdev.holding([Element::new("address").with("type", "pci").with("slot", slot)]);
        } else if self.tape.once_in(8) {
            hostdev = hostdev.holding([Element::new("address").with("type", "ccw").with("devno", "0x0001")]);
        }
        if self.tape.once_in(4) {
            let alias = self.tape.pick(&["ua-one", "ua-two", "hostdev0"]);
            hostdev = hostdev.holding([Element::new("alias").with("name", alias)]);
        }
        hostdev
    }

    fn pci(&mut self) -> Element {
        let function = self.pci_function();
        let mut address = Element::new("address").with("bus", self.tape.pick(&["0x26", "38", "046"]));
        if self.tape.once_in(2) {
            address = address.with("type", "pci").with("domain", "0x0000").with("slot", "0");
        }
        address =
            address.with("function", if self.tape.once_in(2) { function.to_string() } else { format!("0x{function}") });
        let hostdev = Element::new("hostdev").with("mode", "subsystem").with("type", "pci").with("managed", "no");
        self.guest_side(hostdev.holding([Element::new("source").holding([address])]))
    }

    fn pci_function(&mut self) -> u8 {
        u8::try_from(self.tape.below(PCI_DEVICES.into())).unwrap()
    }

    /// Generates a record of a PCI device: complete or not, of this host or of another.
    fn pci_record(&mut self, prefix: &str) -> Element {
        let address = pci_address(self.pci_function());
        let mut record = Element::new(format!("{prefix}pci"));
        if !self.tape.once_in(8) {
            let source = address.to_string();
            record = record.with("source", self.tape.pick(&[source.as_str(), "0000:82:00.4"]));
        }
        if self.tape.once_in(2) {
            record = record.with("guest", self.tape.pick(&["0000:00:07.0", "0000:00:08.0", "0000:00:09.0"]));
        }
        if self.tape.once_in(4) {
            record = record.with("alias", self.tape.pick(&["ua-one", "ua-two"]));
        }
        let answer = self.host.lookup(DeviceAddress::Pci(address));
        let parts: Vec<_> = match answer {
            Ok(Ok(device)) if !self.tape.once_in(6) => device.recorded_parts().collect(),
            _ => [(Part::Vendor, "0x10de"), (Part::Product, "0x26b9"), (Part::VgpuType, "nvidia-1150")]
                .map(|(part, value)| (part, value.to_owned()))
                .into(),
        };
        for (part, value) in parts {
            let element = Element::new(format!("{prefix}{}", part.element()));
            match self.tape.below(12) {
                9 => {}
                10 => record = record.holding([element.saying("0x4321 0x1")]),
                11 => record = record.holding([element.saying(format!(" {value} "))]),
                _ => record = record.holding([element.saying(value)]),
            }
        }
        record
    }

    /// Picks a UUID and a spelling of it.
    fn uuid(&mut self) -> (Uuid, String) {
        let uuid = self.tape.pick(&UUIDS);
        let spelling = match self.tape.below(6) {
            3 => uuid.to_uppercase(),
            4 => uuid.replace('-', ""),
            5 => format!(" {uuid}  "),
            _ => uuid.to_owned(),
        };
        (parsed(uuid), spelling)
    }

    /// Generates some of the three parts, in any order, mostly with the values of the host.
    fn parts(&mut self, prefix: &str, uuid: &Uuid) -> Vec<Element> {
        const ALL: [Part; 3] = Part::OF_MDEV;
        let identity = identity(self.host, uuid);
        let kept = self.tape.pick(&[&[][..], &ALL[..], &ALL[..1], &ALL[1..], &ALL[2..]]);
        let mut parts: Vec<_> = kept.iter().map(|part| self.part(prefix, *part, identity.as_ref())).collect();
        if self.tape.once_in(6) {
            parts.reverse();
        }
        parts
    }

    fn part(&mut self, prefix: &str, part: Part, identity: Option<&Identity>) -> Element {
        let element = Element::new(format!("{prefix}{}", part.element()));
        let right = identity.and_then(|identity| identity.value(part)).unwrap_or_else(|| "0x1234".to_owned());
        match self.tape.below(16) {
            8 => element.saying(format!("  {right} ")),
            9 | 10 if part != Part::MdevType => {
                let number = u32::from_str_radix(right.trim_start_matches("0x"), 16).unwrap();
                element.saying(if self.tape.once_in(2) { format!("0{number:o}") } else { number.to_string() })
            }
            11 => element.saying("0x4321"),
            12 => element.saying("not a number <&>"),
            13 => element,
            14 => element.with("note", "by hand").saying(right),
            15 if self.tape.once_in(2) => element.holding([Element::new("nested")]),
            _ => element.saying(right),
        }
    }
}
