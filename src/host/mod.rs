//! What a host has: its answers about devices, wherever they were read from.
//!
//! [`Sysfs`] reads them from the kernel's tree. Nothing here knows of documents, and nothing decides what an answer means.

pub mod sysfs;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::device::{DeviceAddress, Identity};
pub use sysfs::{Sysfs, SysfsError};

/// The device API of an mdev type, as its `device_api` file in sysfs says it: `vfio-pci`, `vfio-ccw`, `vfio-ap`, …
///
/// libvirt's `model` attribute of a hostdev has the same words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceApi(pub String);

impl DeviceApi {
    /// The only device API whose devices have an identity.
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

/// A host's answer about one device. Failing to read is not an answer but a [`HostError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup {
    /// The device is there.
    Found(Identity),
    /// The device is there and has another device API than `vfio-pci`.
    OtherDeviceApi(DeviceApi),
    /// The device is there, as a slice of something that has no PCI ids.
    ParentNotPci {
        /// The name of the parent: the `mtty` sample, the AP matrix, …
        parent: String,
        /// The bus or class that the parent is on, if any.
        subsystem: Option<String>,
    },
    /// The host has no such device.
    Absent(Absence),
}

/// Why a host does not have a device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Absence {
    /// It has mediated devices, but not this one.
    NotFound {
        /// What was looked for and where, in the words of the source: `no bus/mdev/devices/UUID in /sys`.
        looked_for: String,
    },
    /// It has no mediated devices at all: the kernel's mdev module is not loaded.
    NoDriver {
        /// What was looked for and where, in the words of the source: `no bus/mdev/devices in /sys`.
        looked_for: String,
    },
}

impl Absence {
    /// Returns what was looked for and where.
    pub fn looked_for(&self) -> &str {
        match self {
            Self::NotFound { looked_for } | Self::NoDriver { looked_for } => looked_for,
        }
    }
}

/// A host cannot be read, whatever its facts are read from.
#[derive(Clone, Debug)]
pub struct HostError(Arc<dyn Error + Send + Sync>);

impl HostError {
    /// Wraps the error of a source.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for HostError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// What a host answered about the devices that it was asked for: a plain value, so that deciding needs no running host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    answers: HashMap<DeviceAddress, Result<Lookup, HostError>>,
    creatable: Arc<BTreeMap<Identity, String>>,
}

impl Host {
    /// Adds the answer about `device`.
    pub fn insert(&mut self, device: DeviceAddress, answer: Result<Lookup, HostError>) {
        self.answers.insert(device, answer);
    }

    /// Adds the devices that the host can create, each with the name of a parent.
    pub fn can_create(&mut self, creatable: Arc<BTreeMap<Identity, String>>) {
        self.creatable = creatable;
    }

    /// Returns the name of a parent on which a device of this identity can be created, if the host has one.
    pub fn parent_for(&self, identity: &Identity) -> Option<&str> {
        self.creatable.get(identity).map(String::as_str)
    }

    /// Returns the answer about `device`.
    ///
    /// # Errors
    /// If the host could not be read, or was not asked about the device.
    pub fn lookup(&self, device: DeviceAddress) -> Result<&Lookup, HostError> {
        #[derive(Debug, thiserror::Error)]
        #[error("{0} was not looked up")]
        struct NotAsked(DeviceAddress);

        match self.answers.get(&device) {
            Some(answer) => answer.as_ref().map_err(HostError::clone),
            None => Err(HostError::new(NotAsked(device))),
        }
    }
}

/// Where the facts about a host come from.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostSource {
    /// The sysfs of a running host, or a directory laid out like it.
    Sysfs(Sysfs),
}

impl HostSource {
    /// Asks for these devices; if one of them is absent, also for what can be created.
    pub fn ask(&self, devices: impl IntoIterator<Item = DeviceAddress>) -> Host {
        let Self::Sysfs(sysfs) = self;
        let mut host = Host::default();
        let mut is_absent = false;
        for device in devices {
            let DeviceAddress::Mdev(uuid) = device;
            let answer = sysfs.lookup(&uuid);
            is_absent |= matches!(answer, Ok(Lookup::Absent(_)));
            host.insert(device, answer.map_err(|error| HostError(error)));
        }
        if is_absent {
            host.can_create(sysfs.creatable());
        }
        host
    }
}
