//! The identities that stand under a domain's `<metadata>`, where libvirt keeps them through define and migration.
//!
//! ```xml
//! <metadata>
//!   <mdev:identities xmlns:mdev='urn:virt-mdev:1'>
//!     <mdev:hostdev uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'>
//!       <mdev:vendorid>0x8086</mdev:vendorid>
//!       <mdev:productid>0x591d</mdev:productid>
//!       <mdev:mdevtype>i915-GVTg_V5_4</mdev:mdevtype>
//!     </mdev:hostdev>
//!   </mdev:identities>
//! </metadata>
//! ```
//!
//! libvirt rewrites prefixes and quotes, so all is read by namespace. What is not known in our element is kept and ignored.

use thiserror::Error;

use super::element::{Element, Holder};
use super::hostdev::Spelling;
use super::indent::Slot;
use super::tree::Node;
use super::written::{Twice, Written};
use crate::device::Part;
use crate::text::Span;

/// The namespace of our element: libvirt keeps one element for each namespace.
pub const NAMESPACE: &str = "urn:virt-mdev:1";

/// The elements that libvirt writes before `metadata`, in its own order.
const BEFORE_METADATA: [&str; 5] = ["name", "uuid", "genid", "title", "description"];

/// What a domain's metadata holds of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// The domain has no `metadata`.
    Missing {
        /// The domain.
        holder: Holder,
        /// Where `metadata` goes.
        slot: Slot,
    },
    /// There is a `metadata`, with nothing of ours in it.
    WithoutOurs {
        /// The `metadata`.
        holder: Holder,
        /// Where our element goes.
        slot: Slot,
    },
    /// Our element is there.
    Ours(Box<Identities>),
    /// Something is there in our namespace that cannot be made out.
    Unreadable(MetadataError),
}

/// Our element in a domain's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identities {
    /// The element.
    pub holder: Holder,
    /// The same, by its tags.
    pub element: Element,
    /// The `metadata` that it stands in.
    pub metadata: Holder,
    /// The domain, and the `metadata` in it, where that holds nothing else.
    pub alone: Option<(Holder, Element)>,
    /// Where a new record goes.
    pub slot: Slot,
    /// What is recorded.
    pub records: Vec<Record>,
}

/// What is recorded of one hostdev.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The element.
    pub element: Element,
    /// The UUID that the hostdev had when it was recorded.
    pub uuid: Option<Spelling>,
    /// The identity.
    pub written: Written,
}

/// Why our element cannot be made out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// libvirt keeps the first element of a namespace, and this one is not `identities`.
    #[error("metadata in the namespace {NAMESPACE} is <{name}>, not <identities>")]
    OtherElement {
        /// Its name.
        name: String,
        /// Its start tag.
        span: Span,
    },
    /// Which of the two counts cannot be told.
    #[error("there are two {part} elements in this record")]
    Twice {
        /// Which element.
        part: Part,
        /// The second one's start tag.
        span: Span,
    },
}

impl MetadataError {
    /// Where it is.
    pub fn span(&self) -> Span {
        match self {
            Self::OtherElement { span, .. } | Self::Twice { span, .. } => *span,
        }
    }
}

impl Metadata {
    /// What there is of ours: nothing where our element is missing.
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Ours(identities) => &identities.records,
            Self::Missing { .. } | Self::WithoutOurs { .. } | Self::Unreadable(_) => &[],
        }
    }

    pub(super) fn read(text: &str, domain: Node<'_>) -> Self {
        // Of several libvirt takes the first.
        let Some(metadata) = domain.children_named("metadata").next() else {
            return Self::Missing { holder: domain.holder(), slot: place_for_metadata(text, domain) };
        };
        let Some(ours) = metadata.children().find(|child| child.namespace() == Some(NAMESPACE)) else {
            let slot = place_for_last_child(text, metadata, domain);
            return Self::WithoutOurs { holder: metadata.holder(), slot };
        };
        Identities::read(text, domain, metadata, ours).map_or_else(Self::Unreadable, |ours| Self::Ours(Box::new(ours)))
    }
}

impl Identities {
    fn read(text: &str, domain: Node<'_>, metadata: Node<'_>, ours: Node<'_>) -> Result<Self, MetadataError> {
        let element = ours.element();
        if ours.local_name() != "identities" {
            let name = ours.local_name().to_owned();
            return Err(MetadataError::OtherElement { name, span: element.start_tag });
        }
        let records =
            ours.children().filter(|child| child.namespace() == Some(NAMESPACE) && child.local_name() == "hostdev");
        let records = records.map(|record| Record::read(text, ours, record)).collect::<Result<_, _>>()?;
        let around = metadata.element();
        let is_alone = around.content.is_some_and(|content| {
            let before = Span::new(content.start, element.span.start).of(text);
            let behind = Span::new(element.span.end, content.end).of(text);
            before.trim().is_empty() && behind.trim().is_empty()
        });
        Ok(Self {
            holder: ours.holder(),
            metadata: metadata.holder(),
            alone: is_alone.then(|| (domain.holder(), around)),
            slot: place_for_last_child(text, ours, metadata),
            element,
            records,
        })
    }
}

impl Record {
    fn read(text: &str, ours: Node<'_>, node: Node<'_>) -> Result<Self, MetadataError> {
        let element = node.element();
        let slot = place_for_last_child(text, node, ours);
        let written = Written::read(text, node, Some(NAMESPACE), element.prefix(text), slot)
            .map_err(|Twice { part, span }| MetadataError::Twice { part, span })?;
        Ok(Self { uuid: node.attribute("uuid").map(Spelling::from), element, written })
    }
}

/// Behind the last of the elements that libvirt writes before `metadata`, else before everything.
fn place_for_metadata(text: &str, domain: Node<'_>) -> Slot {
    let before = domain.children().filter(|child| BEFORE_METADATA.iter().any(|name| child.is(name)));
    match before.last() {
        Some(sibling) => Slot::behind(text, sibling.span(), domain.span().start, sibling.index + 1),
        None => Slot::first(text, &domain.element(), domain.children().next().map(|child| child.span())),
    }
}

/// Behind all that stands in `node`, laid out like the last that stands there.
fn place_for_last_child(text: &str, node: Node<'_>, parent: Node<'_>) -> Slot {
    match node.last_child_span() {
        Some(sibling) => Slot::behind(text, sibling, node.span().start, node.children().count()),
        None => Slot::inside(text, &node.element(), parent.span().start),
    }
}
