//! What a device is and what it is called: plain values, independent of files and documents.

mod address;
mod identity;
mod serialize;
mod uuid;

pub use address::{DeviceAddress, GuestAddress, PciAddress, PciAddressError, UserAlias};
pub use identity::{
    Device, DeviceKind, Identity, MdevType, MdevTypeError, Part, PciClass, PciClassError, PciId, PciIdError, Subsystem,
    VgpuType, VgpuTypeError,
};
pub use uuid::{Uuid, UuidError};
