//! The `<hostdev>`s of a domain: mediated devices and PCI devices.

use thiserror::Error;

use super::element::{EditScope, Element};
use super::insertion::InsertionPoint;
use super::recorded::{RecordedIdentity, Twice};
use super::tree::{Attribute, LookAlike, Node};
use crate::device::{DeviceAddress, GuestAddress, Part, PciAddress, UserAlias, Uuid, UuidError};
use crate::text::Span;

/// The model of a hostdev whose device has an identity.
const MODEL_VFIO_PCI: &str = "vfio-pci";

/// The attributes of a hostdev's own `address`, of whatever type, and of its `alias`.
const GUEST_ADDRESS: [&str; 9] = ["type", "domain", "bus", "slot", "function", "cssid", "ssid", "devno", "name"];

/// The attributes of the `address` in a source of type `mdev`, and in one of type `pci`.
const MDEV_ADDRESS: [&str; 1] = ["uuid"];
const PCI_ADDRESS: [&str; 4] = ["domain", "bus", "slot", "function"];

/// How attributes are read that have one local name and different prefixes, of which libvirt takes the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Any of them may be meant: an element that may be an mdev is one, and the ambiguity is its error.
    Strict,
    /// The first is meant, as libvirt reads it.
    Lenient,
}

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

/// A PCI function that is assigned to the guest, virtual functions included: a hostdev of type `pci` and mode `subsystem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciHostdev {
    /// Its number among the pci hostdevs of its domain, from 1.
    pub ordinal: usize,
    /// The start tag.
    pub start_tag: Span,
    /// What the guest sees.
    pub guest: GuestSide,
    /// The address in its source.
    pub source: Result<PciSource, HostdevError>,
}

/// The address of a PCI function on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciSource {
    /// The address.
    pub address: PciAddress,
    /// The `<address>`.
    pub element: EditScope,
}

/// What ties a hostdev to the device that the guest sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestSide {
    /// The hostdev's own address. Before `virsh define` it may have none.
    pub address: Option<GuestAddress>,
    /// The alias that a user gave it.
    pub alias: Option<UserAlias>,
}

/// The `model` attribute, which says what is wanted of the hostdev.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Model {
    /// `vfio-pci`: the device has an identity. A source that cannot be read is an error of this hostdev alone.
    VfioPci(Result<Box<Source>, HostdevError>),
    /// Any other model, or none: ignored and never judged.
    Other(Option<String>),
}

/// The `source` that holds the hostdev's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The element itself.
    pub scope: EditScope,
    /// The number of the address among its elements.
    pub address: usize,
    /// The UUID in its address.
    pub uuid: UuidAttribute,
    /// The identity in it.
    pub written: RecordedIdentity,
}

/// A UUID as a document spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UuidAttribute {
    /// The attribute's value.
    pub text: String,
    /// Where the value is, between the quotes.
    pub span: Span,
    /// The attribute's name, which messages point at.
    pub name: Span,
    /// All of the attribute, with the whitespace before it.
    pub whole: Span,
    /// What it means.
    pub uuid: Result<Uuid, UuidError>,
}

/// Why the source of a hostdev cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HostdevError {
    /// It has no source.
    #[error("this mdev hostdev has no <source> element")]
    NoSource {
        /// The hostdev's start tag.
        span: Span,
    },
    /// None of its sources has an address.
    #[error("this mdev hostdev has no <address> element in its source")]
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
    /// The source of a pci hostdev has no address.
    #[error("this pci hostdev has no <address> element in its source")]
    NoPciAddress {
        /// The hostdev's start tag.
        span: Span,
    },
    /// The source address of a pci hostdev is not one for libvirt either.
    #[error("the source address of this pci hostdev is not a PCI address")]
    NotAPciAddress {
        /// The address.
        span: Span,
    },
    /// A part appears twice.
    #[error("there are two {} elements in this source", .0.part)]
    Twice(Twice),
    /// An attribute with a prefix that libvirt would take for one without.
    #[error("libvirt reads the attribute {} as {}, whatever its prefix", .0.name, .0.local_name)]
    LookAlike(LookAlike),
}

impl HostdevError {
    /// Whether its source may contain an identity all the same.
    pub fn may_hide_record(&self) -> bool {
        matches!(self, Self::Twice(_) | Self::LookAlike(_))
    }

    /// Returns where it is.
    pub fn span(&self) -> Span {
        match self {
            Self::NoSource { span }
            | Self::NoAddress { span }
            | Self::NoUuid { span }
            | Self::NoPciAddress { span }
            | Self::NotAPciAddress { span }
            | Self::Twice(Twice { span, .. }) => *span,
            Self::LookAlike(look_alike) => look_alike.span,
        }
    }
}

impl From<Attribute<'_>> for UuidAttribute {
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
    let kind = address.values_of("type").next()?;
    if kind == "pci" {
        let address = PciAddress::from_attributes(|name| address.values_of(name).next())?;
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
    pub(super) fn read(text: &str, node: Node<'_>, ordinal: usize, reading: Reading) -> Self {
        let element = node.element();
        let model = if reading.says(node, "model", MODEL_VFIO_PCI) {
            Model::VfioPci(Source::read(text, node, &element).map(Box::new))
        } else {
            Model::Other(node.values_of("model").next().map(str::to_owned))
        };
        Self { ordinal, start_tag: element.start_tag, guest: GuestSide::read(node), model }
    }
}

impl PciHostdev {
    /// Returns the device, if its source can be read.
    pub fn device(&self) -> Option<DeviceAddress> {
        self.source.as_ref().ok().map(|source| DeviceAddress::Pci(source.address))
    }

    /// Returns the span that messages about it point at.
    pub fn span(&self) -> Span {
        match &self.source {
            Ok(source) => source.element.span,
            Err(error) => error.span(),
        }
    }

    pub(super) fn read(node: Node<'_>, ordinal: usize, reading: Reading) -> Self {
        let start_tag = node.element().start_tag;
        Self { ordinal, start_tag, guest: GuestSide::read(node), source: PciSource::read(node, start_tag, reading) }
    }
}

impl PciSource {
    /// Reads the address as libvirt does: the first of the first source, of which no attribute is required.
    fn read(hostdev: Node<'_>, start_tag: Span, reading: Reading) -> Result<Self, HostdevError> {
        if let Some(look_alike) = look_alike(hostdev, &PCI_ADDRESS).filter(|_| reading == Reading::Strict) {
            return Err(HostdevError::LookAlike(look_alike));
        }
        let source = hostdev.children_named("source").next();
        let address = source.and_then(|source| source.children_named("address").next());
        let address = address.ok_or(HostdevError::NoPciAddress { span: start_tag })?;
        let element = address.scope();
        let span = element.span;
        let read = PciAddress::from_attributes(|name| address.values_of(name).next());
        read.map(|address| Self { address, element }).ok_or(HostdevError::NotAPciAddress { span })
    }
}

impl Reading {
    /// Whether a `hostdev` has this type and the mode `subsystem`, which is the default (`virDomainHostdevDefParseXML`).
    pub fn is_subsystem(self, node: Node<'_>, wanted: &str) -> bool {
        let has_mode = node.values_of("mode").next().is_some();
        self.says(node, "type", wanted) && (!has_mode || self.says(node, "mode", "subsystem"))
    }

    /// Whether the attribute of this local name has this value.
    fn says(self, node: Node<'_>, local_name: &str, wanted: &str) -> bool {
        let mut values = node.values_of(local_name);
        match self {
            Self::Strict => values.any(|value| value == wanted),
            Self::Lenient => values.next() == Some(wanted),
        }
    }
}

/// The first attribute that libvirt would take for another one, in the elements that are read of a hostdev.
fn look_alike(hostdev: Node<'_>, in_address: &[&str]) -> Option<LookAlike> {
    let in_source = |source: Node<'_>| {
        let mut addresses = source.children_named("address");
        source.look_alike(&[]).or_else(|| addresses.find_map(|address| address.look_alike(in_address)))
    };
    let in_child = |child: Node<'_>| match child.local_name() {
        _ if child.namespace().is_some() => None,
        "source" => in_source(child),
        "address" | "alias" => child.look_alike(&GUEST_ADDRESS),
        _ => None,
    };
    hostdev.look_alike(&["mode", "type", "model"]).or_else(|| hostdev.children().find_map(in_child))
}

impl Source {
    fn read(text: &str, hostdev: Node<'_>, element: &Element) -> Result<Self, HostdevError> {
        if let Some(look_alike) = look_alike(hostdev, &MDEV_ADDRESS) {
            return Err(HostdevError::LookAlike(look_alike));
        }
        let addresses = hostdev.children_named("source").filter_map(|source| {
            let address = source.children_named("address").next()?;
            Some((source, address))
        });
        let (source, address) = { addresses }.next().ok_or_else(|| {
            let span = element.start_tag;
            let has_source = hostdev.children_named("source").next().is_some();
            if has_source { HostdevError::NoAddress { span } } else { HostdevError::NoSource { span } }
        })?;
        let place = address.element();
        let uuid = address.attribute("uuid").ok_or(HostdevError::NoUuid { span: place.start_tag })?;
        let insertion = || InsertionPoint::after(text, place.span, source.span().start, place.index + 1);
        let written =
            RecordedIdentity::read(text, source, None, &Part::OF_MDEV, "", insertion).map_err(HostdevError::Twice)?;
        Ok(Self { scope: source.scope(), address: place.index, uuid: uuid.into(), written })
    }
}
