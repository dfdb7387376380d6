//! Reads a whole document: its kind, and the domains in it.

use std::collections::HashMap;

use memchr::memchr;
use thiserror::Error;

use super::bounds::{self, Bound, measure};
use super::hostdev::{GuestSide, Hostdev, PciHostdev, Reading};
use super::metadata::{self, Metadata};
use super::namespaces::{NamespaceError, check_names};
use super::prescan::Prescan;
use super::tree::{Malformed, Node, Tree};
use crate::device::{DeviceAddress, PciAddress};
use crate::text::{BOM, Span, is_xml_space};

/// A document with domains, and the text that all its spans refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    text: String,
    /// Its kind, which its root element tells.
    pub kind: Kind,
    /// Whether its first comment is libvirt's warning that the file is generated: libvirt overwrites changes to it.
    pub is_generated: bool,
    /// The domains in document order. A lone hostdev counts as a domain without a name and without metadata.
    pub domains: Vec<Domain>,
}

/// The kinds of libvirt's documents that contain hostdevs, named after their root elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `virsh dumpxml`, `/etc/libvirt/qemu`.
    Domain,
    /// `/run/libvirt/qemu`: a running domain with its state around it.
    DomStatus,
    /// `virsh snapshot-dumpxml`; it may contain a second domain, `inactiveDomain`.
    DomainSnapshot,
    /// `virsh checkpoint-dumpxml`.
    DomainCheckpoint,
    /// What `virsh attach-device` takes.
    Hostdev,
}

/// One domain of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// The text of its `name` element.
    pub name: Option<String>,
    /// Whether it is a snapshot's `inactiveDomain`, not the `domain` itself.
    pub is_inactive: bool,
    /// Its mediated devices in document order.
    pub hostdevs: Vec<Hostdev>,
    /// Its hostdevs of type `pci` in document order.
    pub pci_hostdevs: Vec<PciHostdev>,
    /// How many hostdevs of any type it has.
    pub hostdev_count: usize,
    /// The PCI devices of its network interfaces and disks: a virtual function, or an NVMe controller.
    pub other_pci_devices: Vec<PciAddress>,
    /// Our part of its metadata; nothing for a lone hostdev.
    pub metadata: Option<Metadata>,
}

impl Domain {
    /// Returns the devices that it asks for, mediated devices of model vfio-pci and PCI devices, each as often as it asks for it.
    pub fn devices(&self) -> impl Iterator<Item = DeviceAddress> {
        let mdevs = self.hostdevs.iter().filter_map(|hostdev| hostdev.uuid().map(DeviceAddress::Mdev));
        mdevs.chain(self.pci_hostdevs.iter().filter_map(PciHostdev::device))
    }

    /// Returns every device that no other guest can have while this one runs: [`Domain::devices`], and those of its network
    /// interfaces and disks.
    pub fn occupied(&self) -> impl Iterator<Item = DeviceAddress> {
        self.devices().chain(self.other_pci_devices.iter().copied().map(DeviceAddress::Pci))
    }

    fn add_hostdev(&mut self, text: &str, node: Node<'_>, reading: Reading) {
        self.hostdev_count += 1;
        if reading.is_subsystem(node, "mdev") {
            self.hostdevs.push(Hostdev::read(text, node, self.hostdevs.len() + 1, reading));
        } else if Reading::Lenient.is_subsystem(node, "pci") {
            self.pci_hostdevs.push(PciHostdev::read(node, self.pci_hostdevs.len() + 1, reading));
        }
    }

    /// Removes guest addresses and aliases that several hostdevs have: libvirt refuses that, and they tell nothing apart.
    fn drop_shared_places(&mut self) {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for guest in self.guests() {
            let address = guest.address.iter().map(ToString::to_string);
            let alias = guest.alias.iter().map(ToString::to_string);
            address.chain(alias).for_each(|key| *counts.entry(key).or_default() += 1);
        }
        let is_shared = |key: String| counts.get(&key).is_some_and(|count| *count > 1);
        for guest in self.guests() {
            guest.address.take_if(|address| is_shared(address.to_string()));
            guest.alias.take_if(|alias| is_shared(alias.to_string()));
        }
    }

    fn guests(&mut self) -> impl Iterator<Item = &mut GuestSide> {
        let mdevs = self.hostdevs.iter_mut().map(|hostdev| &mut hostdev.guest);
        mdevs.chain(self.pci_hostdevs.iter_mut().map(|hostdev| &mut hostdev.guest))
    }
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// Where.
    pub span: Span,
    /// The text that the span refers to; bytes that are not UTF-8 are U+FFFD in it.
    pub text: String,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// Nothing but whitespace.
    #[error("the document is empty")]
    Empty,
    /// libvirt reads UTF-8, whatever the declaration says.
    #[error("the document is not UTF-8: byte 0x{0:02x} cannot be here")]
    NotUtf8(u8),
    /// A compressed file.
    #[error("the document is compressed with {}", .0.name)]
    Compressed(Compression),
    /// Not UTF-8, nor text in a single-byte encoding.
    #[error("the document is not text: byte 0x{0:02x} cannot be in XML")]
    NotText(u8),
    /// Over a bound that keeps parsers safe.
    #[error("the document is refused: {0}")]
    TooMuch(Bound),
    /// A DOCTYPE with an internal subset, by which a small document can become huge; libvirt's own have none.
    #[error("the DOCTYPE has an internal subset")]
    InternalSubset,
    /// Two documents, one after the other.
    #[error("a second document begins here")]
    TwoRoots,
    /// Not well-formed.
    #[error("the document is not well-formed XML: {0}")]
    Malformed(String),
    /// A namespace error, of which libvirt's parser only warns.
    #[error("{0}")]
    Namespace(NamespaceError),
    /// A root element that is not of any [`Kind`].
    #[error("the root element is <{0}>")]
    OtherRoot(String),
    /// A root element in a namespace: libvirt's are in none.
    #[error("the root element <{name}> is in the namespace {namespace:?}")]
    RootInNamespace {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
    },
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The program that compressed it.
    pub name: &'static str,
    /// The command that prints the decompressed file.
    pub command: &'static str,
}

impl Compression {
    /// Recognizes a compressed file by its magic number.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (name, command) = match bytes {
            [0x1f, 0x8b, ..] => ("gzip", "zcat"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("xz", "xzcat"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", "zstdcat"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => ("bzip2", "bzcat"),
            _ => return None,
        };
        Some(Self { name, command })
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Domain, Self::DomStatus, Self::DomainSnapshot, Self::DomainCheckpoint, Self::Hostdev];

    /// The name of the root element.
    pub fn root(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::DomStatus => "domstatus",
            Self::DomainSnapshot => "domainsnapshot",
            Self::DomainCheckpoint => "domaincheckpoint",
            Self::Hostdev => "hostdev",
        }
    }
}

impl Document {
    /// Reads a document as UTF-8, whatever its declaration says, as libvirt does.
    ///
    /// # Errors
    /// If the bytes are not a document with domains, or not safe to parse. What is wrong with a single hostdev or with our
    /// metadata is not an error here: it is kept in [`Hostdev`] and [`Metadata`], so that all of it can be reported at once.
    pub fn read(bytes: Vec<u8>) -> Result<Self, Box<ReadError>> {
        Self::read_as(bytes, Reading::Strict)
    }

    /// Reads a document that libvirt has written, as libvirt reads it: for `hook`.
    ///
    /// Unlike [`Document::read`] it accepts namespace errors, of which libxml2 only warns: a name with an undeclared prefix is
    /// in no namespace and keeps its prefix as a part of the name. Of several attributes of one local name the first counts,
    /// as for libvirt. Nothing may be written from such a document: edits of it are not proven.
    ///
    /// # Errors
    /// If the bytes are not well-formed XML, not a document with domains, or not safe to parse.
    pub fn read_leniently(bytes: Vec<u8>) -> Result<Self, Box<ReadError>> {
        Self::read_as(bytes, Reading::Lenient)
    }

    fn read_as(bytes: Vec<u8>, reading: Reading) -> Result<Self, Box<ReadError>> {
        let text = text_of(bytes)?;
        match Contents::read(&text, reading) {
            Ok(Contents { kind, is_generated, domains }) => Ok(Self { text, kind, is_generated, domains }),
            Err((kind, span)) => Err(Box::new(ReadError { kind, span, text })),
        }
    }

    /// Returns the text, unchanged.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text, unchanged, without a copy.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The domain that the document is about: not a snapshot's `inactiveDomain`.
    pub fn main_domain(&self) -> Option<&Domain> {
        self.domains.iter().find(|domain| !domain.is_inactive)
    }

    /// Returns the devices that the document asks for, mediated devices of model vfio-pci and PCI devices, each as often as it
    /// asks for it.
    pub fn devices(&self) -> impl Iterator<Item = DeviceAddress> {
        self.domains.iter().flat_map(Domain::devices)
    }
}

/// The text of a document.
fn text_of(bytes: Vec<u8>) -> Result<String, Box<ReadError>> {
    let refused = |kind, span, text| Err(Box::new(ReadError { kind, span, text }));
    if let Some(compression) = Compression::of(&bytes) {
        return refused(ReadErrorKind::Compressed(compression), Span::at(0), String::new());
    }
    match String::from_utf8(bytes) {
        Ok(text) => match memchr(0, text.as_bytes()) {
            Some(at) => refused(ReadErrorKind::NotText(0), Span::new(at, at + 1), text),
            None => Ok(text),
        },
        Err(error) => {
            let start = error.utf8_error().valid_up_to();
            let byte = error.as_bytes()[start];
            let is_text = error.as_bytes().iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'));
            let kind = if is_text { ReadErrorKind::NotUtf8(byte) } else { ReadErrorKind::NotText(byte) };
            let span = Span::new(start, start + char::REPLACEMENT_CHARACTER.len_utf8());
            refused(kind, span, String::from_utf8_lossy(error.as_bytes()).into_owned())
        }
    }
}

/// What is wrong with a text, and where.
type Refusal = (ReadErrorKind, Span);

/// A document without its text.
struct Contents {
    kind: Kind,
    is_generated: bool,
    domains: Vec<Domain>,
}

impl Contents {
    fn read(text: &str, reading: Reading) -> Result<Self, Refusal> {
        if text.trim_start_matches(BOM).trim_matches(is_xml_space).is_empty() {
            return Err((ReadErrorKind::Empty, Span::at(0)));
        }
        let prescan = Prescan::of(text);
        if !prescan.is_modest(text) {
            let outline = measure(text).map_err(|(bound, span)| (ReadErrorKind::TooMuch(bound), span))?;
            if let Some(span) = outline.internal_subset {
                return Err((ReadErrorKind::InternalSubset, span));
            }
        }
        match Tree::parse(text) {
            Ok(tree) if !prescan.has_odd_names => Self::of(text, &tree, reading),
            parsed => Self::read_names(text, parsed, reading),
        }
    }

    /// Reads a text that the parser may have misread: with some names it is stricter than libxml2, with others more lenient.
    fn read_names(text: &str, parsed: Result<Tree<'_>, Malformed>, reading: Reading) -> Result<Self, Refusal> {
        let names = match (&parsed, check_names(text)) {
            (_, Ok(names)) => names,
            // The parser knows better what is wrong, if it found anything.
            (Err(error), Err(_)) => return Err(not_well_formed(text, error.clone())),
            (Ok(_), Err(error)) => return Err(not_well_formed(text, error)),
        };
        let copy = names.copy;
        let tree = match &copy {
            None => parsed,
            Some(copy) => Tree::parse(copy),
        };
        let tree = tree.map_err(|error| not_well_formed(text, error))?;
        match names.error.filter(|_| reading == Reading::Strict) {
            Some((error, span)) => Err((ReadErrorKind::Namespace(error), span)),
            None => Self::of(text, &tree, reading),
        }
    }

    fn of(text: &str, tree: &Tree<'_>, reading: Reading) -> Result<Self, Refusal> {
        let root = tree.root();
        let kind = kind_of(root)?;
        let is_generated = tree.leading_comment().is_some_and(|comment| comment.contains("AUTO-GENERATED FILE"));
        let mut reader = DomainReader { text, reading, hostdevs: 0, records: 0 };
        let mut domains = Vec::new();
        match kind {
            Kind::Domain => domains.push(reader.domain(root)?),
            Kind::Hostdev => {
                let mut domain = Domain::default();
                domain.add_hostdev(text, root, reading);
                domains.push(domain);
            }
            Kind::DomStatus | Kind::DomainSnapshot | Kind::DomainCheckpoint => {
                for node in root.children().filter(|child| child.is("domain") || child.is("inactiveDomain")) {
                    at_most(bounds::MAX_DOMAINS, domains.len() + 1, Bound::Domains, node)?;
                    domains.push(reader.domain(node)?);
                }
            }
        }
        Ok(Self { kind, is_generated, domains })
    }
}

fn not_well_formed(text: &str, error: Malformed) -> (ReadErrorKind, Span) {
    match measure(text).ok().and_then(|outline| outline.second_root) {
        // The parser does not know a second root element when it meets one.
        Some(root) if root.start <= error.span.start => (ReadErrorKind::TwoRoots, root),
        _ => (ReadErrorKind::Malformed(error.reason), error.span),
    }
}

fn kind_of(root: Node<'_>) -> Result<Kind, Refusal> {
    let name = root.local_name();
    let kind = match root.namespace() {
        Some(namespace) => {
            Err(ReadErrorKind::RootInNamespace { name: name.to_owned(), namespace: namespace.to_owned() })
        }
        None => Kind::ALL
            .into_iter()
            .find(|kind| kind.root() == name)
            .ok_or_else(|| ReadErrorKind::OtherRoot(name.to_owned())),
    };
    kind.map_err(|error| (error, root.element().start_tag))
}

/// Refuses `element` if the document has more than `most` of something with it.
fn at_most(most: usize, count: usize, bound: Bound, element: Node<'_>) -> Result<(), Refusal> {
    let start = element.span().start;
    if count > most { Err((ReadErrorKind::TooMuch(bound), Span::new(start, start + 1))) } else { Ok(()) }
}

/// Reads the domains of a document, and checks that it has no more of anything than can be planned and told.
struct DomainReader<'a> {
    text: &'a str,
    reading: Reading,
    /// How many hostdevs the document has so far.
    hostdevs: usize,
    /// How many records it has so far; the elements that contain them count, too.
    records: usize,
}

impl DomainReader<'_> {
    fn domain(&mut self, node: Node<'_>) -> Result<Domain, Refusal> {
        let mut domain = Domain { is_inactive: node.is("inactiveDomain"), ..Domain::default() };
        let mut metadata = Vec::new();
        for child in node.children().filter(|child| child.namespace().is_none()) {
            match child.local_name() {
                "name" if domain.name.is_none() => {
                    let name = child.text_content();
                    at_most(bounds::MAX_NAME, name.len(), Bound::Name, child)?;
                    domain.name = Some(name);
                }
                "metadata" => metadata.push(child),
                "devices" => self.devices(child, &mut domain)?,
                _ => {}
            }
        }
        domain.drop_shared_places();
        // Of several, libvirt takes the first.
        for ours in metadata.first().into_iter().flat_map(metadata::ours) {
            at_most(bounds::MAX_PREFIX, ours.element().prefix(self.text).len(), Bound::Prefix, ours)?;
            for element in std::iter::once(ours).chain(ours.children()) {
                self.records += 1;
                at_most(bounds::MAX_RECORDS, self.records, Bound::Records, element)?;
            }
        }
        domain.metadata = Some(Metadata::read(self.text, node, &metadata));
        Ok(domain)
    }

    fn devices(&mut self, devices: Node<'_>, domain: &mut Domain) -> Result<(), Refusal> {
        for device in devices.children().filter(|device| device.namespace().is_none()) {
            match device.local_name() {
                "hostdev" => {
                    self.hostdevs += 1;
                    at_most(bounds::MAX_HOSTDEVS, self.hostdevs, Bound::Hostdevs, device)?;
                    domain.add_hostdev(self.text, device, self.reading);
                }
                "interface" | "disk" => add_pci_devices(device, &mut domain.other_pci_devices),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Adds the PCI devices of an interface of type `hostdev` or a disk of type `nvme`, wherever their sources are: that of a
/// running guest's interface may be in an `actual`, that of a disk in a `backingStore`.
fn add_pci_devices(node: Node<'_>, found: &mut Vec<PciAddress>) {
    for child in node.children() {
        if child.is("source") {
            let of_pci = |address: &Node<'_>| address.values_of("type").next().is_none_or(|kind| kind == "pci");
            let addresses = child.children_named("address").filter(of_pci);
            let read = |address: Node<'_>| PciAddress::from_attributes(|name| address.values_of(name).next());
            found.extend(addresses.filter_map(read));
        }
        add_pci_devices(child, found);
    }
}

impl ReadErrorKind {
    /// Whether the document is text, of which a line can be shown.
    pub fn is_of_text(&self) -> bool {
        !matches!(self, Self::Compressed(_) | Self::NotText(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{HostdevError, Model};

    const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

    fn with(hostdev: &str) -> Vec<u8> {
        format!("<domain xmlns:x='u'><metadata><todo:item/></metadata><devices>{hostdev}</devices></domain>").into()
    }

    /// The models of the mediated devices of a guest of which the metadata has an undeclared prefix.
    #[track_caller]
    fn models(hostdev: &str) -> Vec<Model> {
        assert!(matches!(Document::read(with(hostdev)).unwrap_err().kind, ReadErrorKind::Namespace(_)));
        let mut document = Document::read_leniently(with(hostdev)).unwrap_or_else(|error| panic!("{hostdev}: {error}"));
        document.domains.remove(0).hostdevs.into_iter().map(|hostdev| hostdev.model).collect()
    }

    #[test]
    fn a_lenient_reading_finds_what_libvirt_finds() {
        let source = format!("<source><address uuid='{UUID}'/></source>");
        let hostdev = |attributes: &str| format!("<hostdev {attributes}>{source}</hostdev>");
        let is_judged = |attributes: &str| !models(&hostdev(attributes)).is_empty();
        assert!(is_judged("type='mdev' model='vfio-pci'"));
        assert!(is_judged("x:type='mdev' type='usb' x:model='vfio-pci'"));
        assert!(!is_judged("type='usb' x:type='mdev' model='vfio-pci'"));
        assert!(!is_judged("x:type='usb' type='mdev' model='vfio-pci'"));
        assert!(!is_judged("y:type='mdev' type='usb'"));
        assert!(!is_judged(":type='mdev'"));
        assert!(is_judged("x:mode='subsystem' mode='capabilities' type='mdev'"));
        assert!(is_judged("type='mdev' xmlns:p='u' p:xmlns='v' model='vfio-pci'"), "it is in no namespace");
        assert!(!is_judged("type='mdev' xmlns='v'"));
        assert!(models(&hostdev("type='mdev' model='vfio-pci'").replace("hostdev", "y:hostdev")).is_empty());
    }

    #[test]
    fn a_look_alike_is_an_error_of_a_device_with_an_identity_only() {
        let of = |model: &str, address: &str| {
            models(&format!("<hostdev type='mdev' {model}><source><address {address}/></source></hostdev>"))
        };
        let two = format!("x:uuid='1' uuid='{UUID}'");
        assert!(matches!(of("model='vfio-pci'", &two)[..], [Model::VfioPci(Err(HostdevError::LookAlike(_)))]));
        assert!(matches!(of("model='vfio-ccw'", &two)[..], [Model::Other(_)]));
        assert!(matches!(of("model='vfio-ccw' x:model='vfio-pci'", &two)[..], [Model::Other(_)]));
        // An undeclared prefix is a part of the name.
        let undeclared = format!("y:uuid='1' :uuid='2' uuid='{UUID}'");
        let [Model::VfioPci(Ok(source))] = &of("model='vfio-pci'", &undeclared)[..] else { panic!() };
        assert_eq!(source.uuid.text, UUID);
    }

    #[test]
    fn a_lenient_reading_refuses_what_is_not_well_formed() {
        for text in [
            "<domain><a b:c='' xmlns:b='u' b:c=''/><x:a/></domain>",
            "<domain><a b:c='' b:c=''/></domain>",
            "<domain><a :b='' :b=''/></domain>",
            "<domain><x:a></domain>",
            "<domain><a xmlns='u' xmlns='v'/></domain>",
            "<domain><x:a></x_a></domain>",
        ] {
            let error = Document::read_leniently(text.into()).unwrap_err();
            assert!(matches!(error.kind, ReadErrorKind::Malformed(_)), "{text}: {error}");
        }
    }
}
