//! The `<hostdev>`s of a domain: mediated devices, and how the others can be mistaken for them.

use std::collections::HashMap;

use thiserror::Error;

use super::element::{Element, Holder};
use super::indent::Slot;
use super::tree::{Attribute, Node};
use super::written::{Twice, Written};
use crate::device::{GuestAddress, Part, PciAddress, UserAlias, Uuid, UuidError};
use crate::text::Span;

/// A mediated device that a domain asks for: a hostdev of type `mdev` and mode `subsystem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostdev {
    /// Its number among the mdev hostdevs of its domain, from 1.
    pub ordinal: usize,
    /// The start tag.
    pub start_tag: Span,
    /// What the guest sees.
    pub guest: GuestSide,
    /// Its device API, in libvirt's word.
    pub model: Model,
}

/// A PCI device that is assigned to the guest whole: a hostdev of type `pci` and mode `subsystem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciHostdev {
    /// The start tag.
    pub start_tag: Span,
    /// What the guest sees.
    pub guest: GuestSide,
}

/// What ties a hostdev to the device that the guest sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestSide {
    /// The hostdev's own address. Before `virsh define` it may have none.
    pub address: Option<GuestAddress>,
    /// The alias that a user gave it.
    pub alias: Option<UserAlias>,
}

/// The hostdevs of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hostdevs {
    /// The mediated devices, in document order.
    pub mdevs: Vec<Hostdev>,
    /// Those of type `pci`, in document order.
    pub pci: Vec<PciHostdev>,
    /// How many there are of any type.
    pub count: usize,
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
    /// All of the attribute, with the whitespace before it.
    pub whole: Span,
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
            whole: attribute.whole,
            uuid: attribute.value.parse(),
        }
    }
}

impl Hostdevs {
    /// Reads the hostdevs of a domain.
    pub fn read<'t>(text: &str, nodes: impl Iterator<Item = Node<'t>>) -> Self {
        let mut hostdevs = Self::default();
        for node in nodes {
            hostdevs.count += 1;
            match subsystem_type(node) {
                Some("mdev") => hostdevs.mdevs.push(Hostdev::read(text, node, hostdevs.mdevs.len() + 1)),
                Some("pci") => {
                    hostdevs.pci.push(PciHostdev { start_tag: node.element().start_tag, guest: GuestSide::read(node) })
                }
                _ => {}
            }
        }
        hostdevs.drop_shared_places();
        hostdevs
    }

    /// Removes guest addresses and aliases that several hostdevs have: libvirt refuses that, and they tell nothing apart.
    fn drop_shared_places(&mut self) {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for guest in self.guests() {
            let keys = [guest.address.as_ref().map(ToString::to_string), guest.alias.as_ref().map(ToString::to_string)];
            keys.into_iter().flatten().for_each(|key| *counts.entry(key).or_default() += 1);
        }
        if counts.values().all(|count| *count == 1) {
            return;
        }
        let is_shared = |key: String| counts.get(&key).is_some_and(|count| *count > 1);
        for guest in self.guests_mut() {
            guest.address = guest.address.take().filter(|address| !is_shared(address.to_string()));
            guest.alias = guest.alias.take().filter(|alias| !is_shared(alias.to_string()));
        }
    }

    fn guests(&self) -> impl Iterator<Item = &GuestSide> {
        self.mdevs.iter().map(|hostdev| &hostdev.guest).chain(self.pci.iter().map(|hostdev| &hostdev.guest))
    }

    fn guests_mut(&mut self) -> impl Iterator<Item = &mut GuestSide> {
        self.mdevs
            .iter_mut()
            .map(|hostdev| &mut hostdev.guest)
            .chain(self.pci.iter_mut().map(|hostdev| &mut hostdev.guest))
    }
}

/// Returns the type of a `hostdev` whose mode is `subsystem`, libvirt's default (`virDomainHostdevDefParseXML`).
fn subsystem_type(node: Node<'_>) -> Option<&str> {
    let mode = node.attribute("mode").map(|mode| mode.value);
    node.attribute("type").map(|kind| kind.value).filter(|_| mode.is_none_or(|mode| mode == "subsystem"))
}

impl GuestSide {
    /// Whether a record that was made for this guest address or alias was made for this hostdev.
    pub fn is_at(&self, address: Option<&GuestAddress>, alias: Option<&UserAlias>) -> bool {
        (address.is_some() && address == self.address.as_ref()) || (alias.is_some() && alias == self.alias.as_ref())
    }

    fn read(hostdev: Node<'_>) -> Self {
        // libvirt takes the first of several (`virDomainDeviceInfoParseXML`).
        let address = hostdev.children_named("address").next().and_then(guest_address);
        let alias = hostdev.children_named("alias").next().and_then(|alias| alias.attribute("name"));
        Self { address, alias: alias.and_then(|alias| UserAlias::new(alias.value)) }
    }
}

/// Reads a hostdev's own address; `None` if it does not name a place, so that libvirt will assign one.
fn guest_address(address: Node<'_>) -> Option<GuestAddress> {
    let kind = address.attribute("type")?.value;
    if kind == "pci" {
        let address = PciAddress::from_attributes(|name| address.attribute(name).map(|attribute| attribute.value))?;
        return Some(GuestAddress::Pci(address)).filter(|_| !address.is_unassigned());
    }
    let mut attributes: Vec<_> = address.attributes().filter(|(name, _)| *name != "type").collect();
    attributes.sort_unstable();
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (!attributes.is_empty()).then(|| GuestAddress::Other(format!("{kind}:{}", attributes.join(","))))
}

impl Hostdev {
    /// Returns the UUID of the device, if the model is vfio-pci and the UUID can be read.
    pub fn uuid(&self) -> Option<Uuid> {
        self.source()?.uuid.uuid.as_ref().ok().copied()
    }

    /// Returns its source, if the model is vfio-pci and the source can be read.
    pub fn source(&self) -> Option<&Source> {
        match &self.model {
            Model::VfioPci(Ok(source)) => Some(source),
            Model::VfioPci(Err(_)) | Model::Other(_) => None,
        }
    }

    /// Reads a hostdev that is a mediated device.
    fn read(text: &str, node: Node<'_>, ordinal: usize) -> Self {
        let element = node.element();
        let model = match node.attribute("model") {
            Some(model) if model.value == "vfio-pci" => {
                Model::VfioPci(Source::read(text, node, &element).map(Box::new))
            }
            other => Model::Other(other.map(|model| model.value.to_owned())),
        };
        Self { ordinal, start_tag: element.start_tag, guest: GuestSide::read(node), model }
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
