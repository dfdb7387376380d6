//! What a domain asks for: libvirt's XML read into plain values.
//!
//! Text goes in, a [`Document`] comes out: which hostdevs are mediated devices, what is written about each already, and where
//! more would go. The values hold offsets into the text and borrow nothing of the parser. Nothing here knows of hosts, and
//! nothing decides what should be written.

mod bounds;
mod document;
mod element;
mod hostdev;
mod indent;
mod markup;
mod metadata;
mod namespaces;
mod prescan;
mod search;
mod tree;
mod written;

pub use bounds::{Bound, MAX_BYTES};
pub use document::{Compression, Document, Domain, Kind, ReadError, ReadErrorKind};
pub use element::{Element, Holder};
pub use hostdev::{GuestSide, Hostdev, HostdevError, Model, PciHostdev, Source, Spelling};
pub use indent::{Slot, lead_of, with_lead};
pub use metadata::{Identities, Metadata, MetadataError, NAMESPACE, Record, RecordAttribute};
pub use namespaces::{NamespaceError, with_common_names};
pub use search::{Search, Suspicion};
pub use tree::LookAlike;
pub use written::{Content, Value, Written, WrittenPart};
