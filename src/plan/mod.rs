//! Deciding: a document and a host's answers in, decisions and edits out.
//!
//! Everything here is a pure function of values: no file, no clock, no environment, so that tests call it without any.
//! [`fill`] records identities, [`strip`] removes them, [`compare`] compares two documents and [`check`] a document with a host.

pub mod check;
mod claims;
pub mod compare;
pub mod demand;
mod error;
pub mod fill;
mod key;
mod lookup;
pub mod placement;
pub mod retarget;
pub mod strip;
mod write;

use crate::device::{Device, Part};
use crate::domain::{GuestSide, Hostdev, Model, PciHostdev, PciSource, Record, RecordKind, Source};
use crate::edit::Edits;
use crate::text::Span;
pub use claims::{Pairing, Rival};
pub use error::{Conflict, PlanError, PlanErrorKind, Remark, RemarkKind};
pub use key::Key;
pub use lookup::Missing;

/// Where identities are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the hostdev's `source`, after the address.
    Source,
    /// In the domain's `metadata`, where libvirt keeps them.
    Metadata,
}

/// Which places are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// One of them.
    Only(Place),
    /// Both.
    Both,
}

impl Places {
    /// Whether `place` is one of them.
    pub fn include(self, place: Place) -> bool {
        match self {
            Self::Only(only) => only == place,
            Self::Both => true,
        }
    }
}

impl Place {
    /// Returns how messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Metadata => "metadata",
        }
    }
}

/// What to do with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One for each hostdev or record that changes, in document order.
    pub decisions: Vec<Decision>,
    /// Warnings and notes, in document order.
    pub remarks: Vec<Remark>,
    /// The changes of the text.
    pub edits: Edits,
}

/// What changes for one hostdev, or for records that belong to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The index of its domain in the document.
    pub domain: usize,
    /// The device, if it has a name.
    pub device: Option<DeviceName>,
    /// Where: the UUID or the address in the source, or what comes nearest to it.
    pub span: Span,
    /// What is done, step by step; at least one.
    pub steps: Vec<Step>,
}

/// What a document calls a device, as it spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName {
    /// What kind of device it is.
    pub kind: RecordKind,
    /// The UUID of a mediated device, the source address of a PCI device.
    pub text: String,
}

impl DeviceName {
    /// Returns the name of the device that a record was made for.
    pub fn of_record(record: &Record) -> Option<Self> {
        let text = match record.kind {
            RecordKind::Mdev => record.uuid.as_ref().map(|uuid| uuid.text.clone()),
            RecordKind::Pci => record.source_address().map(|address| address.to_string()),
        };
        text.map(|text| Self { kind: record.kind, text })
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            RecordKind::Mdev => write!(f, "mdev {}", self.text),
            RecordKind::Pci => write!(f, "PCI device {}", self.text),
        }
    }
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A missing part is added.
    Add(Place, Part, String),
    /// A part with another value is corrected: from, to.
    Replace(Place, Part, String, String),
    /// A part is removed.
    Remove(Place, Part, String),
    /// The identity of a device is recorded.
    Record(Device),
    /// An attribute of a record gets the value that the hostdev has now, or is removed.
    Attribute(&'static str, Option<String>),
    /// A record of a device that is gone is removed.
    RemoveStale,
    /// Our element in the metadata is removed.
    RemoveIdentities,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = |place: &Place| match place {
            Place::Source => "",
            Place::Metadata => " in metadata",
        };
        match self {
            Self::Add(at, part, value) => write!(f, "add {part} {value}{}", place(at)),
            Self::Replace(at, part, old, new) => write!(f, "replace {part} {old} by {new}{}", place(at)),
            Self::Remove(at, part, value) => write!(f, "remove {part} {value}{}", place(at)),
            Self::Record(device) => write!(f, "record {} in metadata", device.identity),
            Self::Attribute("uuid" | "source", Some(value)) => write!(f, "record it as {value} in metadata"),
            Self::Attribute(name, Some(value)) => write!(f, "set {name} {value} in metadata"),
            Self::Attribute(name, None) => write!(f, "remove {name} in metadata"),
            Self::RemoveStale => f.write_str("remove its record from metadata"),
            Self::RemoveIdentities => f.write_str("remove all records from metadata"),
        }
    }
}

/// A hostdev whose source can be read, with the source.
#[derive(Clone, Copy, Debug)]
pub enum AnyHostdev<'a> {
    /// A mediated device of model vfio-pci.
    Mdev(&'a Hostdev, &'a Source),
    /// A PCI device.
    Pci(&'a PciHostdev, &'a PciSource),
}

impl<'a> AnyHostdev<'a> {
    /// Returns what the guest sees.
    pub fn guest(self) -> &'a GuestSide {
        match self {
            Self::Mdev(hostdev, _) => &hostdev.guest,
            Self::Pci(hostdev, _) => &hostdev.guest,
        }
    }

    /// Returns what sorts hostdevs in document order.
    fn start(self) -> usize {
        match self {
            Self::Mdev(hostdev, _) => hostdev.start_tag.start,
            Self::Pci(hostdev, _) => hostdev.start_tag.start,
        }
    }

    /// Returns the span that messages point at.
    pub fn span(self) -> Span {
        match self {
            Self::Mdev(_, source) => source.uuid.name,
            Self::Pci(_, source) => source.element.span,
        }
    }

    /// Returns the source, if an identity may be in it.
    fn source(self) -> Option<&'a Source> {
        match self {
            Self::Mdev(_, source) => Some(source),
            Self::Pci(..) => None,
        }
    }

    fn name(self) -> DeviceName {
        match self {
            Self::Mdev(_, source) => DeviceName { kind: RecordKind::Mdev, text: source.uuid.text.clone() },
            Self::Pci(_, source) => DeviceName { kind: RecordKind::Pci, text: source.address.to_string() },
        }
    }
}

/// Returns the span that messages about a hostdev point at.
fn span_of(hostdev: &Hostdev) -> Span {
    match &hostdev.model {
        Model::VfioPci(Ok(source)) => source.uuid.name,
        Model::VfioPci(Err(error)) => error.span(),
        Model::Other(_) => hostdev.start_tag,
    }
}
