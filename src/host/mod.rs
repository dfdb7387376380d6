//! What a host has: the answers about the mediated devices that were asked for, wherever they were read from.
//!
//! [`sysfs`] reads them out of the kernel's tree. Nothing here knows of documents, and nothing decides what an answer
//! means.

pub mod sysfs;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::device::{Identity, MdevType, PciId, Uuid};
pub use sysfs::{Sysfs, SysfsError};

/// The device API of an mdev type, as its `device_api` file in sysfs says it: `vfio-pci`, `vfio-ccw`, `vfio-ap`, …
///
/// libvirt's `model` attribute of a hostdev has the same words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceApi(pub String);

impl DeviceApi {
    /// The only one whose devices have an identity.
    pub const VFIO_PCI: &'static str = "vfio-pci";

    /// Whether it is `vfio-pci`.
    pub fn is_vfio_pci(&self) -> bool {
        self.0 == Self::VFIO_PCI
    }
}

impl fmt::Display for DeviceApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The device that a mediated device is a slice of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// A PCI device, a virtual function included; the ids are its own.
    Pci {
        /// Content of its `vendor` file.
        vendor: PciId,
        /// Content of its `device` file.
        product: PciId,
    },
    /// Anything else: the `mtty` sample, an s390x subchannel, the AP matrix.
    Other {
        /// Its directory's name.
        name: String,
        /// The bus or class that its `subsystem` link names, where it has one.
        subsystem: Option<String>,
    },
    /// Not looked at, since the device API of the mdev's type is not `vfio-pci`: such a device has no identity, and
    /// what is wrong with its parent's files must not stand before that.
    Unread {
        /// Its directory's name.
        name: String,
    },
}

/// A mediated device that a host has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The type that it was created from.
    pub mdev_type: MdevType,
    /// That type's device API.
    pub device_api: DeviceApi,
    /// What it is a slice of.
    pub parent: Parent,
}

/// A parent that is no PCI device, or was not looked at: why a device has no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPci<'a> {
    /// Its directory's name.
    pub parent: &'a str,
    /// The bus or class that it is on, where that is known.
    pub subsystem: Option<&'a str>,
}

impl Device {
    /// Its identity.
    ///
    /// # Errors
    /// It has one only where its device API is `vfio-pci` and the parent is a PCI device.
    pub fn identity(&self) -> Result<Identity, NotPci<'_>> {
        match &self.parent {
            Parent::Pci { vendor, product } => {
                Ok(Identity { vendor: *vendor, product: *product, mdev_type: self.mdev_type.clone() })
            }
            Parent::Other { name, subsystem } => Err(NotPci { parent: name, subsystem: subsystem.as_deref() }),
            Parent::Unread { name } => Err(NotPci { parent: name, subsystem: None }),
        }
    }
}

/// A host's answer about one UUID. Failing to read is no answer but an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The device is there.
    Found(Device),
    /// No mediated device of the host has this UUID.
    Absent,
}

/// What a host said about the devices that it was asked for.
///
/// A plain value: deciding needs no file and no running host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// How messages name it: `/sys`, or the directory that stands for it.
    pub name: String,
    answers: HashMap<Uuid, Result<Lookup, Arc<SysfsError>>>,
}

impl Host {
    /// A host that has not been asked yet; `name` is how messages call it.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), answers: HashMap::new() }
    }

    /// Takes down the answer about `uuid`.
    pub fn insert(&mut self, uuid: Uuid, answer: Result<Lookup, Arc<SysfsError>>) {
        self.answers.insert(uuid, answer);
    }

    /// The answer about `uuid`.
    ///
    /// # Errors
    /// Where the host could not be read about it.
    pub fn lookup(&self, uuid: &Uuid) -> Result<&Lookup, Arc<SysfsError>> {
        match self.answers.get(uuid) {
            Some(Ok(lookup)) => Ok(lookup),
            Some(Err(error)) => Err(Arc::clone(error)),
            // A host says nothing about what it was not asked: to decide as if it had said no would be wrong.
            None => Err(Arc::new(SysfsError::NotAsked(*uuid))),
        }
    }
}
