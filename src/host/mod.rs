//! The devices of a host: its answers about them, wherever they were read from.
//!
//! [`Sysfs`] reads them from the kernel's tree. This module knows nothing of documents, and does not decide what an answer means.

mod file;
mod mdevctl;
mod nodedev;
mod pci_names;
pub mod record;
mod recorded;
pub mod sysfs;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::device::{Device, DeviceAddress, Identity, VgpuType};
pub use file::{HostFileError, HostFileErrorKind, MAX_BYTES, read};
pub use mdevctl::{Mdevctl, MdevctlError};
pub use nodedev::NodeDeviceError;
pub use pci_names::PciNames;
pub use record::HostRecord;
pub use recorded::{Duplicate, RecordedHost};
pub use sysfs::{Sysfs, SysfsError};

/// NVIDIA's vendor id.
const NVIDIA_ID: u16 = 0x10de;

/// The device API of an mdev type, as in its `device_api` file in sysfs: `vfio-pci`, `vfio-ccw`, `vfio-ap`, …
///
/// libvirt's `model` attribute of a hostdev has the same values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// A host's answer about one device: what it is, or why the host has no identity for it. Failing to read is not an answer but a
/// [`HostError`].
pub type Lookup = Result<Device, NoIdentity>;

/// Whether it is a virtual function of which NVIDIA's driver shows the vGPU type, set or not.
pub fn is_vgpu(found: &Lookup) -> bool {
    match found {
        Ok(device) => device.identity.vgpu_type().is_some(),
        Err(why) => *why == NoIdentity::Untyped,
    }
}

/// Why a host has no identity for a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoIdentity {
    /// The host has no such device.
    Absent(Absence),
    /// The mediated device is there and has another device API than `vfio-pci`.
    OtherDeviceApi(DeviceApi),
    /// The virtual function is there, and no vGPU type is set on it.
    Untyped,
    /// The virtual function of an NVIDIA card is there, and its driver does not show whether it has a vGPU type.
    NoVgpuType {
        /// What was looked for and where, in the words of the source: `no nvidia directory in …`.
        looked_for: String,
    },
    /// The mediated device is there, and its parent has no PCI ids.
    ParentNotPci {
        /// The name of the parent: the `mtty` sample, the AP matrix, …
        parent: String,
        /// The bus or class that the parent is on, if any.
        subsystem: Option<String>,
    },
    /// The device is there, and the source cannot tell what it is.
    Unknown {
        /// Why, in the words of the source.
        reason: String,
    },
}

/// Why a host does not have a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Absence {
    /// It has devices of this kind, but not this one.
    NotFound {
        /// What was looked for and where, in the words of the source: `no bus/mdev/devices/UUID in /sys`.
        looked_for: String,
    },
    /// It is defined, and not started.
    NotStarted {
        /// What was looked for and where, in the words of the source.
        looked_for: String,
        /// mdevctl's definition, or `None` if only libvirt's node devices say so.
        definition: Option<PathBuf>,
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
            Self::NotFound { looked_for } | Self::NotStarted { looked_for, .. } | Self::NoDriver { looked_for } => {
                looked_for
            }
        }
    }
}

/// A host cannot be read.
#[derive(Clone, Debug)]
pub struct HostError(Arc<dyn Error + Send + Sync>);

impl HostError {
    /// Wraps the error of a source.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// Whether it wraps an error of this type.
    pub fn is<E: Error + 'static>(&self) -> bool {
        self.0.is::<E>()
    }
}

impl<E: Error + Send + Sync + 'static> From<Arc<E>> for HostError {
    fn from(error: Arc<E>) -> Self {
        Self(error)
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

/// Returns an error and all its causes, in one sentence.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(&format!(": {error}"));
        cause = error.source();
    }
    message
}

/// What messages call a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostName {
    /// The host that the program runs on.
    #[default]
    This,
    /// The host that a file describes.
    File(Arc<str>),
}

impl HostName {
    /// Returns where its devices are: `on this host`, `in host-b.json`.
    pub fn place(&self) -> String {
        match self {
            Self::This => "on this host".to_owned(),
            Self::File(file) => format!("in {file}"),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::This => "this host",
            Self::File(file) => file,
        })
    }
}

/// A host's answers about the devices that it was asked for: a plain value, so that deciding needs no running host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    name: HostName,
    definitions: HashMap<DeviceAddress, PathBuf>,
    answers: HashMap<DeviceAddress, Result<Lookup, HostError>>,
    creatable: Arc<BTreeMap<Identity, String>>,
    vgpu_names: BTreeMap<VgpuType, String>,
    all_vgpu_names: Arc<BTreeMap<VgpuType, String>>,
}

impl Host {
    /// Returns what messages call it.
    pub fn name(&self) -> &HostName {
        &self.name
    }

    /// Returns what describes a device, if that is not sysfs: a file of a host, or a definition of mdevctl.
    pub fn source_of(&self, device: DeviceAddress) -> Option<String> {
        match &self.name {
            HostName::File(file) => Some(file.to_string()),
            HostName::This => self.definitions.get(&device).map(|path| path.display().to_string()),
        }
    }

    /// Adds the answer about `device`.
    pub fn insert(&mut self, device: DeviceAddress, answer: Result<Lookup, HostError>) {
        self.answers.insert(device, answer);
    }

    /// Returns the name of a vGPU type, such as `NVIDIA L40S-2Q`, if the host knows it.
    pub fn vgpu_name(&self, vgpu_type: VgpuType) -> Option<&str> {
        let name = self.vgpu_names.get(&vgpu_type).or_else(|| self.all_vgpu_names.get(&vgpu_type));
        name.map(String::as_str)
    }

    /// Returns a vGPU type that a card offers, of which the host knows the name.
    pub fn first_vgpu_type(&self) -> Option<VgpuType> {
        self.vgpu_names.keys().next().copied()
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
    /// The sysfs of a running host or a directory laid out like it, and the definitions of mdevctl, if they matter.
    Sysfs(Sysfs, Option<Mdevctl>),
    /// What was recorded of a host.
    Recorded(RecordedHost),
}

impl HostSource {
    /// Returns what messages call it: the directory, or the file.
    pub fn name(&self) -> String {
        match self {
            Self::Sysfs(sysfs, _) => sysfs.dir().display().to_string(),
            Self::Recorded(host) => host.name().to_owned(),
        }
    }

    /// Asks for these devices; if a mediated device is absent, also for those that can be created, and if a virtual function has
    /// no vGPU type, for the names of types.
    pub fn ask(&self, devices: impl IntoIterator<Item = DeviceAddress>) -> Host {
        let mut host = Host::default();
        if let Self::Recorded(recorded) = self {
            host.name = HostName::File(recorded.name().into());
        }
        let mut is_absent = false;
        let mut is_untyped = false;
        for device in devices {
            let answer = self.lookup_with_definition(device).map(|(found, definition)| {
                host.definitions.extend(definition.map(|path| (device, path)));
                found
            });
            is_absent |= matches!((device, &answer), (DeviceAddress::Mdev(_), Ok(Err(NoIdentity::Absent(_)))));
            is_untyped |= matches!(answer, Ok(Err(NoIdentity::Untyped)));
            host.insert(device, answer);
        }
        if is_absent {
            host.creatable = match self {
                Self::Sysfs(sysfs, _) => sysfs.creatable(),
                Self::Recorded(recorded) => Arc::new(recorded.creatable()),
            };
        }
        if is_untyped {
            self.name_vgpus(&mut host);
        }
        host
    }

    /// Asks for the names of vGPU types, if `host` has a vGPU that is a virtual function.
    ///
    /// Only messages need them: the driver is slow to list them, and the file of all types is large.
    pub fn name_vgpus(&self, host: &mut Host) {
        let vgpus = host.answers.iter().filter_map(|(device, answer)| match (device, answer) {
            (DeviceAddress::Pci(address), Ok(found)) if is_vgpu(found) => Some(*address),
            _ => None,
        });
        let vgpus: Vec<_> = vgpus.collect();
        if vgpus.is_empty() {
            return;
        }
        match self {
            Self::Sysfs(sysfs, _) => {
                host.vgpu_names = sysfs.vgpu_names(&vgpus);
                host.all_vgpu_names = sysfs.all_vgpu_names();
            }
            Self::Recorded(recorded) => host.vgpu_names = recorded.vgpu_names(),
        }
    }

    /// Whether the facts were recorded earlier, perhaps on another host.
    pub fn is_recorded(&self) -> bool {
        matches!(self, Self::Recorded(_))
    }

    /// Records what the host has. Devices that mdevctl has defined are included if they count and are not started.
    ///
    /// # Errors
    /// If its devices cannot be listed, or two parents have a definition of one UUID.
    pub fn record(&self) -> Result<Cow<'_, RecordedHost>, HostError> {
        match self {
            Self::Sysfs(sysfs, mdevctl) => {
                let mut record = sysfs.record().map_err(HostError::new)?;
                if let Some(mdevctl) = mdevctl {
                    mdevctl.add_to(&mut record, sysfs)?;
                }
                RecordedHost::new(&self.name(), record).map(Cow::Owned).map_err(HostError::new)
            }
            Self::Recorded(host) => Ok(Cow::Borrowed(host)),
        }
    }

    /// Returns the answer about one device.
    ///
    /// # Errors
    /// If something about the device cannot be read, or is not as its source writes it.
    pub fn lookup(&self, device: DeviceAddress) -> Result<Lookup, HostError> {
        self.lookup_with_definition(device).map(|(found, _)| found)
    }

    /// Returns the answer about one device, and the definition of mdevctl if it comes from one.
    fn lookup_with_definition(&self, device: DeviceAddress) -> Result<(Lookup, Option<PathBuf>), HostError> {
        let (sysfs, mdevctl) = match self {
            Self::Sysfs(sysfs, mdevctl) => (sysfs, mdevctl),
            Self::Recorded(host) => return Ok((host.lookup(device)?, None)),
        };
        match (device, sysfs.lookup(device)?, mdevctl) {
            (DeviceAddress::Mdev(uuid), Err(NoIdentity::Absent(absence)), Some(mdevctl)) => {
                mdevctl.lookup(uuid, absence, sysfs)
            }
            (_, found, _) => Ok((found, None)),
        }
    }
}
