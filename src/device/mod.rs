//! What a mediated device is: plain values that are compared, ordered and shown, and know nothing of files or documents.

mod identity;
mod uuid;

pub use identity::{Identity, MdevType, MdevTypeError, Part, PciId, PciIdError};
pub use uuid::{Uuid, UuidError};
