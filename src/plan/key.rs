//! What ties a record to a hostdev.

use std::fmt;

use crate::device::{GuestAddress, PciAddress, UserAlias, Uuid};

/// What a record claims a hostdev by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// The UUID.
    Uuid(Uuid),
    /// The source address of a PCI device.
    Source(PciAddress),
    /// The guest address.
    Address(GuestAddress),
    /// The user alias.
    Alias(UserAlias),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => write!(f, "UUID {uuid}"),
            Self::Source(address) => write!(f, "source address {address}"),
            Self::Address(address) => write!(f, "guest address {address}"),
            Self::Alias(alias) => write!(f, "alias {alias}"),
        }
    }
}
