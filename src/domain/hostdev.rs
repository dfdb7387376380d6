//! One `<hostdev>` of type mdev.

use thiserror::Error;

use super::element::{Element, Holder};
use super::indent::Slot;
use super::tree::{Attribute, Node};
use super::written::{Twice, Written};
use crate::device::{Part, Uuid, UuidError};
use crate::text::Span;

/// A mediated device that a domain asks for: a hostdev of type `mdev` and mode `subsystem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostdev {
    /// Its number among the mdev hostdevs of its domain, from 1.
    pub ordinal: usize,
    /// The start tag.
    pub start_tag: Span,
    /// Its device API, in libvirt's word.
    pub model: Model,
}

/// The `model` attribute, which says what is wanted of the hostdev.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Model {
    /// `vfio-pci`: the device has an identity. A source that cannot be made out is an error of this hostdev alone.
    VfioPci(Result<Box<Source>, HostdevError>),
    /// Any other model, or none: left alone and never judged.
    Other(Option<String>),
}

/// The `source` that holds the hostdev's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The element itself.
    pub holder: Holder,
    /// The UUID in its address.
    pub uuid: Spelling,
    /// The identity that stands in it.
    pub written: Written,
}

/// A UUID as a document spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// The attribute's value.
    pub text: String,
    /// Where it stands, between the quotes.
    pub span: Span,
    /// The attribute's name, which is what messages point at.
    pub name: Span,
    /// What it means.
    pub uuid: Result<Uuid, UuidError>,
}

/// Why the source of a hostdev cannot be made out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostdevError {
    /// None of its sources has an address.
    #[error("this mdev hostdev has no address in its source")]
    NoAddress {
        /// The hostdev's start tag.
        span: Span,
    },
    /// The address does not say which device.
    #[error("the address of this mdev hostdev has no uuid")]
    NoUuid {
        /// The address's start tag.
        span: Span,
    },
    /// Which of the two counts cannot be told.
    #[error("there are two {part} elements in this source")]
    Twice {
        /// Which element.
        part: Part,
        /// The second one's start tag.
        span: Span,
    },
}

impl HostdevError {
    /// Where it is.
    pub fn span(&self) -> Span {
        match self {
            Self::NoAddress { span } | Self::NoUuid { span } | Self::Twice { span, .. } => *span,
        }
    }
}

impl From<Attribute<'_>> for Spelling {
    fn from(attribute: Attribute<'_>) -> Self {
        Self {
            text: attribute.value.to_owned(),
            span: attribute.span,
            name: attribute.name,
            uuid: attribute.value.parse(),
        }
    }
}

impl Hostdev {
    /// Whether this `hostdev` is a mediated device, as libvirt decides it (`virDomainHostdevDefParseXML`).
    pub(super) fn is_mdev(node: Node<'_>) -> bool {
        let says = |name: &str, wanted: &str| node.attribute(name).map(|attribute| attribute.value == wanted);
        // libvirt's default mode is subsystem.
        says("type", "mdev") == Some(true) && says("mode", "subsystem") != Some(false)
    }

    /// Its source, where the model is vfio-pci and the source can be made out.
    pub fn source(&self) -> Option<&Source> {
        match &self.model {
            Model::VfioPci(Ok(source)) => Some(source),
            Model::VfioPci(Err(_)) | Model::Other(_) => None,
        }
    }

    /// Reads a hostdev that is a mediated device.
    pub(super) fn read(text: &str, node: Node<'_>, ordinal: usize) -> Self {
        let element = node.element();
        let model = match node.attribute("model") {
            Some(model) if model.value == "vfio-pci" => {
                Model::VfioPci(Source::read(text, node, &element).map(Box::new))
            }
            other => Model::Other(other.map(|model| model.value.to_owned())),
        };
        Self { ordinal, start_tag: element.start_tag, model }
    }
}

impl Source {
    fn read(text: &str, hostdev: Node<'_>, element: &Element) -> Result<Self, HostdevError> {
        let addresses = hostdev.children_named("source").filter_map(|source| {
            let address = source.children_named("address").next()?;
            Some((source, address))
        });
        let (source, address) = { addresses }.next().ok_or(HostdevError::NoAddress { span: element.start_tag })?;
        let place = address.element();
        let uuid = address.attribute("uuid").ok_or(HostdevError::NoUuid { span: place.start_tag })?;
        let slot = || Slot::behind(text, place.span, source.span().start, place.index + 1);
        let written = Written::read(text, source, None, "", slot)
            .map_err(|Twice { part, span }| HostdevError::Twice { part, span })?;
        Ok(Self { holder: source.holder(), uuid: uuid.into(), written })
    }
}
