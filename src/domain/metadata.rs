//! The records in a domain's `<metadata>`, where libvirt keeps them through define and migration.
//!
//! ```xml
//! <metadata>
//!   <mdev:identities xmlns:mdev='urn:virt-mdev:1'>
//!     <mdev:hostdev uuid='c2177883-f1bb-47f0-914d-32a22e3a8804' guest='0000:00:09.0' alias='ua-vgpu0'>
//!       <mdev:vendorid>0x8086</mdev:vendorid>
//!       <mdev:productid>0x591d</mdev:productid>
//!       <mdev:mdevtype>i915-GVTg_V5_4</mdev:mdevtype>
//!     </mdev:hostdev>
//!     <mdev:pci source='0000:26:00.4' guest='0000:09:00.0' alias='ua-gpu0'>
//!       <mdev:vendorid>0x10de</mdev:vendorid>
//!       <mdev:productid>0x26b9</mdev:productid>
//!       <mdev:vgputype>nvidia-1148</mdev:vgputype>
//!       <mdev:subsystem>0x10de 0x1851</mdev:subsystem>
//!     </mdev:pci>
//!   </mdev:identities>
//! </metadata>
//! ```
//!
//! A `hostdev` is the record of a mediated device, a `pci` that of a PCI device, which has a `class` if it is not a vGPU. `guest`
//! is the address at which the guest sees the device, `alias` the alias that a user gave it; both are missing if the hostdev has
//! none. Records of version 0.1.0 have neither, and it ignores those of PCI devices.
//!
//! libvirt rewrites prefixes and quotes, so everything is read by namespace. Attributes and elements that this version does
//! not know are kept and ignored, so that records of a later version stay valid.

use thiserror::Error;

use super::element::{EditScope, Element};
use super::hostdev::UuidAttribute;
use super::insertion::InsertionPoint;
use super::recorded::{RecordedIdentity, Twice};
use super::tree::{Attribute, LookAlike, Node};
use crate::device::{GuestAddress, Part, PciAddress, UserAlias, Uuid};
use crate::text::{Span, is_xml_space};

/// The namespace of our element: libvirt keeps one element for each namespace.
pub const NAMESPACE: &str = "urn:virt-mdev:1";

/// The elements that libvirt writes before `metadata`, in its own order.
const BEFORE_METADATA: [&str; 5] = ["name", "uuid", "genid", "title", "description"];

/// Our part of a domain's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metadata {
    /// The domain has no `metadata`.
    Missing {
        /// The domain.
        scope: EditScope,
        /// Where `metadata` goes.
        insertion: InsertionPoint,
    },
    /// There is a `metadata`, without our element.
    WithoutOurs {
        /// The `metadata`.
        scope: EditScope,
        /// Where our element goes.
        insertion: InsertionPoint,
    },
    /// Our element is there.
    Ours(Box<Identities>),
    /// An element of our namespace is there that cannot be read.
    Unreadable(MetadataError),
}

/// Our element in a domain's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identities {
    /// The element.
    pub scope: EditScope,
    /// The element and its tags.
    pub element: Element,
    /// The `metadata` that contains it.
    pub metadata: EditScope,
    /// The other elements of our namespace after it, which do not count.
    pub further: Vec<Element>,
    /// The domain and its `metadata`, if that contains nothing else and is the only one: otherwise the next one would become the
    /// first, and count.
    pub alone: Option<(EditScope, Element)>,
    /// Where a new record goes.
    pub insertion: InsertionPoint,
    /// The records.
    pub records: Vec<Record>,
}

/// What a record was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A mediated device.
    Mdev,
    /// A PCI device.
    Pci,
}

impl RecordKind {
    /// Returns the name of its element.
    pub fn element(self) -> &'static str {
        match self {
            Self::Mdev => "hostdev",
            Self::Pci => "pci",
        }
    }

    /// Returns the parts that it may have.
    fn parts(self) -> &'static [Part] {
        match self {
            Self::Mdev => &Part::OF_MDEV,
            Self::Pci => &Part::OF_PCI,
        }
    }

    fn of(node: Node<'_>) -> Option<Self> {
        let is_ours = node.namespace() == Some(NAMESPACE);
        [Self::Mdev, Self::Pci].into_iter().find(|kind| is_ours && node.local_name() == kind.element())
    }
}

/// The record of one hostdev.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it was made for.
    pub kind: RecordKind,
    /// The element.
    pub element: Element,
    /// The UUID that the mediated device had when it was recorded.
    pub uuid: Option<UuidAttribute>,
    /// The source address that the PCI device had when it was recorded.
    pub source: Option<RecordAttribute<PciAddress>>,
    /// The guest address that the hostdev had when it was recorded.
    pub guest: Option<RecordAttribute<GuestAddress>>,
    /// The user alias that the hostdev had when it was recorded.
    pub alias: Option<RecordAttribute<UserAlias>>,
    /// The identity.
    pub written: RecordedIdentity,
}

/// An attribute of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordAttribute<T> {
    /// What it means; `None` if it ties the record to no hostdev.
    pub value: Option<T>,
    /// Its value, between the quotes.
    pub span: Span,
    /// All of it, with the whitespace before it.
    pub whole: Span,
}

/// Why our element cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// libvirt keeps the first element of a namespace, and this one is not `identities`.
    #[error("metadata in the namespace {NAMESPACE} is <{name}>, not <identities>")]
    OtherElement {
        /// Its name.
        name: String,
        /// Its start tag.
        span: Span,
    },
    /// A part appears twice.
    #[error("there are two {} elements in this record", .0.part)]
    Twice(Twice),
    /// An attribute with a prefix, which a reader that ignores namespaces, such as libvirt, mistakes for one without.
    #[error("the attribute {} can be mistaken for {}, and must not have a prefix", .0.name, .0.local_name)]
    LookAlike(LookAlike),
}

impl MetadataError {
    /// Returns where it is.
    pub fn span(&self) -> Span {
        match self {
            Self::OtherElement { span, .. } | Self::Twice(Twice { span, .. }) => *span,
            Self::LookAlike(look_alike) => look_alike.span,
        }
    }
}

impl Metadata {
    /// Returns the records; none if our element is missing.
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Ours(identities) => &identities.records,
            Self::Missing { .. } | Self::WithoutOurs { .. } | Self::Unreadable(_) => &[],
        }
    }

    /// Reads the first of a domain's `metadata` elements.
    pub(super) fn read(text: &str, domain: Node<'_>, all: &[Node<'_>]) -> Self {
        let Some((&metadata, others)) = all.split_first() else {
            return Self::Missing { scope: domain.scope(), insertion: place_for_metadata(text, domain) };
        };
        let mut of_our_namespace = ours(&metadata);
        let Some(ours) = of_our_namespace.next() else {
            let insertion = place_for_last_child(text, metadata, domain);
            return Self::WithoutOurs { scope: metadata.scope(), insertion };
        };
        let further: Vec<_> = of_our_namespace.map(|node| node.element()).collect();
        match Identities::read(text, metadata, ours, further) {
            Ok(identities) if others.is_empty() && identities.fill(text, &metadata.element()) => {
                Self::Ours(Box::new(Identities { alone: Some((domain.scope(), metadata.element())), ..identities }))
            }
            Ok(identities) => Self::Ours(Box::new(identities)),
            Err(error) => Self::Unreadable(error),
        }
    }
}

impl Identities {
    fn read(text: &str, metadata: Node<'_>, ours: Node<'_>, further: Vec<Element>) -> Result<Self, MetadataError> {
        let element = ours.element();
        if ours.local_name() != "identities" {
            let name = ours.local_name().to_owned();
            return Err(MetadataError::OtherElement { name, span: element.start_tag });
        }
        if let Some(look_alike) = ours.look_alike(&[]) {
            return Err(MetadataError::LookAlike(look_alike));
        }
        let records = ours.children().filter_map(|child| Some((RecordKind::of(child)?, child)));
        let records = records.map(|(kind, record)| Record::read(text, ours, kind, record)).collect::<Result<_, _>>()?;
        Ok(Self {
            scope: ours.scope(),
            metadata: metadata.scope(),
            further,
            alone: None,
            insertion: place_for_last_child(text, ours, metadata),
            element,
            records,
        })
    }

    /// Whether `metadata` contains nothing but whitespace and elements of ours.
    fn fill(&self, text: &str, metadata: &Element) -> bool {
        let content = metadata.content.unwrap_or(Span::at(metadata.span.end));
        let ours = std::iter::once(&self.element).chain(&self.further).map(|element| element.span);
        let starts = std::iter::once(content.start).chain(ours.clone().map(|span| span.end));
        let ends = ours.map(|span| span.start).chain(std::iter::once(content.end));
        starts.zip(ends).all(|(start, end)| text[start..end].trim_matches(is_xml_space).is_empty())
    }
}

impl Record {
    fn read(text: &str, ours: Node<'_>, kind: RecordKind, node: Node<'_>) -> Result<Self, MetadataError> {
        let name_of_device = match kind {
            RecordKind::Mdev => "uuid",
            RecordKind::Pci => "source",
        };
        if let Some(look_alike) = node.look_alike(&[name_of_device, "guest", "alias"]) {
            return Err(MetadataError::LookAlike(look_alike));
        }
        let element = node.element();
        let insertion = || place_for_last_child(text, node, ours);
        let prefix = element.prefix(text);
        let written = RecordedIdentity::read(text, node, Some(NAMESPACE), kind.parts(), prefix, insertion)
            .map_err(MetadataError::Twice)?;
        let guest = node.attribute("guest").map(|guest| RecordAttribute::read(&guest, guest.value.parse().ok()));
        let alias = node.attribute("alias").map(|alias| RecordAttribute::read(&alias, UserAlias::new(alias.value)));
        let attribute = |name, of| node.attribute(name).filter(|_| kind == of);
        let uuid = attribute("uuid", RecordKind::Mdev).map(UuidAttribute::from);
        let source = attribute("source", RecordKind::Pci);
        let source = source.map(|source| RecordAttribute::read(&source, source.value.parse().ok()));
        Ok(Self { kind, uuid, source, guest, alias, element, written })
    }

    /// Returns the UUID that the hostdev had when it was recorded, if the record has one that can be read.
    pub fn recorded_uuid(&self) -> Option<Uuid> {
        self.uuid.as_ref()?.uuid.as_ref().ok().copied()
    }

    /// Returns the source address that the hostdev had when it was recorded, if the record has one that can be read.
    pub fn source_address(&self) -> Option<PciAddress> {
        self.source.as_ref()?.value
    }

    /// Returns the guest address that the hostdev had when it was recorded.
    pub fn guest_address(&self) -> Option<&GuestAddress> {
        self.guest.as_ref()?.value.as_ref()
    }

    /// Whether it has neither a guest address nor a user alias.
    pub fn names_no_place(&self) -> bool {
        self.guest_address().is_none() && self.user_alias().is_none()
    }

    /// Returns the user alias that the hostdev had when it was recorded.
    pub fn user_alias(&self) -> Option<&UserAlias> {
        self.alias.as_ref()?.value.as_ref()
    }
}

impl<T> RecordAttribute<T> {
    fn read(attribute: &Attribute<'_>, value: Option<T>) -> Self {
        Self { value, span: attribute.span, whole: attribute.whole }
    }
}

/// Returns the elements of our namespace in a `metadata`, of which the first counts.
pub(super) fn ours<'t>(metadata: &Node<'t>) -> impl Iterator<Item = Node<'t>> + use<'t> {
    metadata.children().filter(|child| child.namespace() == Some(NAMESPACE))
}

/// Returns the insertion point after the last of the elements that libvirt writes before `metadata`, or else before everything.
fn place_for_metadata(text: &str, domain: Node<'_>) -> InsertionPoint {
    let before = domain.children().filter(|child| BEFORE_METADATA.iter().any(|name| child.is(name)));
    match before.last() {
        Some(sibling) => InsertionPoint::after(text, sibling.span(), domain.span().start, sibling.index + 1),
        None => InsertionPoint::first(text, &domain.element(), domain.children().next().map(|child| child.span())),
    }
}

/// Returns the insertion point after everything in `node`, laid out like the last child.
fn place_for_last_child(text: &str, node: Node<'_>, parent: Node<'_>) -> InsertionPoint {
    match node.last_child_span() {
        Some(sibling) => InsertionPoint::after(text, sibling, node.span().start, node.children().count()),
        None => InsertionPoint::inside(text, &node.element(), parent.span().start),
    }
}
