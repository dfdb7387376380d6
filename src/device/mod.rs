//! What a device is, and what names it: plain values that know nothing of files or documents.

mod address;
mod identity;
mod uuid;

pub use address::{DeviceAddress, GuestAddress, PciAddress, UserAlias};
pub use identity::{Identity, MdevType, MdevTypeError, Part, PciId, PciIdError};
pub use uuid::{Uuid, UuidError};
