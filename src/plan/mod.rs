//! Deciding: a document and a host's answers in, decisions and edits out.
//!
//! Everything here is a pure function of values: no file, no clock, no environment, so that tests call it without any.
//! [`fill`] records identities, [`strip`] removes them, [`compare`] compares two documents and [`check`] a document with a host.

pub mod check;
mod claims;
pub mod compare;
mod error;
pub mod fill;
mod lookup;
pub mod strip;
mod write;

use crate::device::{Identity, Part, Uuid};
use crate::domain::{Hostdev, Model};
use crate::edit::Edits;
use crate::text::Span;
pub use claims::{Key, Pairing, Rival};
pub use error::{PlanError, PlanErrorKind, Remark, RemarkKind};
pub use lookup::Missing;

/// Where identities stand.
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
    /// How messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Metadata => "metadata",
        }
    }
}

/// What is to be done with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One for each hostdev or record that changes, in document order.
    pub decisions: Vec<Decision>,
    /// What is worth a warning or a note, in the order of its places.
    pub remarks: Vec<Remark>,
    /// The same as bytes.
    pub edits: Edits,
}

/// What changes for one hostdev, or for records that belong to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The index of its domain in the document.
    pub domain: usize,
    /// The UUID, as the document spells it; nothing where there is none.
    pub uuid: Option<String>,
    /// Where: the address's UUID, or what comes nearest to it.
    pub span: Span,
    /// What is done, step by step; at least one.
    pub steps: Vec<Step>,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A part that is missing is written.
    Add(Place, Part, String),
    /// A part that says something else is corrected: from, to.
    Replace(Place, Part, String, String),
    /// A part is taken out.
    Remove(Place, Part, String),
    /// The identity of a device is recorded.
    Record(Identity),
    /// A record is given the UUID that the device has now.
    Rename(Uuid),
    /// A record gets another guest address or alias, or loses it.
    Attribute(&'static str, Option<String>),
    /// A record whose device is gone is taken out.
    RemoveStale,
    /// All of our element in the metadata is taken out.
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
            Self::Record(identity) => write!(f, "record {identity} in metadata"),
            Self::Rename(uuid) => write!(f, "record it as {uuid} in metadata"),
            Self::Attribute(name, Some(value)) => write!(f, "set {name} {value} in metadata"),
            Self::Attribute(name, None) => write!(f, "remove {name} in metadata"),
            Self::RemoveStale => f.write_str("remove its record from metadata"),
            Self::RemoveIdentities => f.write_str("remove all records from metadata"),
        }
    }
}

/// The span that a message about a hostdev points at.
fn span_of(hostdev: &Hostdev) -> Span {
    match &hostdev.model {
        Model::VfioPci(Ok(source)) => source.uuid.name,
        Model::VfioPci(Err(error)) => error.span(),
        Model::Other(_) => hostdev.start_tag,
    }
}
