//! Reads libvirt's XML into plain values.
//!
//! A [`Document`] says which hostdevs are mediated devices, what is recorded about each, and where more can be inserted. Its
//! values are offsets into the text and do not borrow from the parser. Nothing here knows about hosts or decides what to write.

mod bounds;
mod document;
mod element;
mod hostdev;
mod insertion;
mod metadata;
mod namespaces;
mod prescan;
mod recorded;
mod search;
mod tree;

pub use bounds::{Bound, MAX_BYTES};
pub use document::{Compression, Document, Domain, Kind, ReadError, ReadErrorKind};
pub use element::{EditScope, Element, Namespaces};
pub use hostdev::{GuestSide, Hostdev, HostdevError, Model, PciHostdev, PciSource, Source, UuidAttribute};
pub use insertion::{InsertionPoint, with_lead};
pub use metadata::{Identities, Metadata, MetadataError, NAMESPACE, Record, RecordAttribute, RecordKind};
pub use namespaces::{NamespaceError, with_common_names};
pub use recorded::{Content, RecordedIdentity, RecordedPart, Twice, Value};
pub use search::{Search, Suspicion};
pub use tree::LookAlike;
