//! The record of a host: what it has, as a value that can be written to a file and read on another host.
//!
//! `virt-mdev list --json` writes it, and its JSON Schema is `record.schema.json` beside this file. A field that is missing in sysfs
//! is left out. A reader ignores fields that it does not know, so that a field can be added without another [`VERSION`].

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::DeviceApi;
use crate::device::{
    DeviceAddress, DeviceKind, Identity, MdevType, PciAddress, PciClass, PciId, Subsystem, Uuid, VgpuType,
};

/// The version of the format. It changes when a reader of the old one would misunderstand the new one.
pub const VERSION: u32 = 1;

/// What a host has: all its PCI devices, the parents of mediated devices, and the mediated devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Always [`VERSION`].
    pub version: Version,
    /// The name of the host, as `uname -n` prints it. For a directory laid out like sysfs, its path.
    pub host: String,
    /// When it was recorded, in UTC: `2026-11-27T15:53:44Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The release of the kernel, as `uname -r` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// All PCI devices, by address.
    pub pci_devices: Vec<PciDevice>,
    /// The devices that mediated devices are made from, by name.
    pub mdev_parents: Vec<MdevParent>,
    /// What is there and could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
}

/// The version of a record that can be read: only [`VERSION`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(de::Error::custom(format_args!("its version is {other}, and only {VERSION} is known"))),
        }
    }
}

/// A PCI device, virtual functions included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciDevice {
    /// Its address.
    pub address: PciAddress,
    /// The vendor id.
    #[serde(rename = "vendorid")]
    pub vendor: PciId,
    /// The device id.
    #[serde(rename = "productid")]
    pub product: PciId,
    /// The class, which libvirt reports since 5.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<PciClass>,
    /// The subsystem ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<Subsystem>,
    /// The revision, as sysfs shows it: `0xa1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The driver that is bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The version of the driver's module, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_version: Option<String>,
    /// Of a virtual function: the physical function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physfn: Option<PciAddress>,
    /// Of a virtual function of which NVIDIA's driver shows the vGPU type, or of which the source cannot tell: the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vgpu_type: Option<VgpuState>,
    /// The vGPU types that it could be made, as its driver lists them now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creatable_vgpu_types: Vec<CreatableVgpuType>,
}

/// Whether a virtual function has a vGPU type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VgpuState {
    /// It has this type.
    Type(VgpuType),
    /// Its driver shows that none is set.
    Untyped,
    /// The source cannot tell.
    Unknown,
}

impl Serialize for VgpuState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Type(vgpu_type) => vgpu_type.serialize(serializer),
            Self::Untyped => serializer.serialize_str("none"),
            Self::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

impl<'de> Deserialize<'de> for VgpuState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "none" => Ok(Self::Untyped),
            "unknown" => Ok(Self::Unknown),
            vgpu_type => {
                vgpu_type.parse().map(Self::Type).map_err(|error| de::Error::custom(format_args!("{text:?}: {error}")))
            }
        }
    }
}

/// A vGPU type that a virtual function could be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatableVgpuType {
    /// The type.
    #[serde(rename = "type")]
    pub vgpu_type: VgpuType,
    /// Its name: `NVIDIA L40S-2Q`.
    pub name: String,
}

/// A device that mediated devices are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MdevParent {
    /// The name of its directory in sysfs, which for a PCI device is its address.
    pub name: String,
    /// The bus or class that its `subsystem` link names: `pci`, `css`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    /// The types that it supports, by name.
    pub types: Vec<SupportedType>,
    /// The mediated devices that were made from it, by UUID.
    pub mdevs: Vec<Mdev>,
}

impl MdevParent {
    /// Returns its address if it is a PCI device.
    pub fn address(&self) -> Option<PciAddress> {
        self.name.parse().ok().filter(|_| self.bus.as_deref() == Some("pci"))
    }

    /// Returns the identities that can be created, and how many devices of each. The ids are those of the parent.
    pub fn instances_left(&self, vendor: PciId, product: PciId) -> impl Iterator<Item = (Identity, u32)> {
        self.types.iter().filter(|supported| supported.is_creatable()).filter_map(move |supported| {
            let kind = DeviceKind::Mdev(supported.mdev_type.clone());
            Some((Identity { vendor, product, kind }, supported.available_instances?))
        })
    }
}

/// A type in a parent's `mdev_supported_types`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportedType {
    /// The name of its directory.
    #[serde(rename = "type")]
    pub mdev_type: MdevType,
    /// The content of its `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The content of its `description`, which may have several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The content of its `device_api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_api: Option<DeviceApi>,
    /// How many more can be created, as the kernel says. The types of one parent share its capacity: creating a device of one
    /// type changes the numbers of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_instances: Option<u32>,
}

impl SupportedType {
    /// Whether a device with an identity can be created from it.
    pub fn is_creatable(&self) -> bool {
        self.available_instances.is_some_and(|left| left > 0)
            && self.device_api.as_ref().is_some_and(DeviceApi::is_vfio_pci)
    }
}

/// A mediated device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mdev {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub mdev_type: MdevType,
    /// Whether mdevctl has defined it and it is not started.
    #[serde(default, rename = "defined_only", skip_serializing_if = "is_false")]
    pub is_defined_only: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Something that is there and could not be read. Without a device it concerns an attribute that decides nothing, or a whole parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Of a mediated device: its UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// Of a PCI device: its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<PciAddress>,
    /// Why.
    pub error: String,
}

impl Unreadable {
    /// Returns the entry for a device, or without one for an attribute or a parent.
    pub fn new(device: impl Into<Option<DeviceAddress>>, error: String) -> Self {
        let (uuid, address) = match device.into() {
            Some(DeviceAddress::Mdev(uuid)) => (Some(uuid), None),
            Some(DeviceAddress::Pci(address)) => (None, Some(address)),
            None => (None, None),
        };
        Self { uuid, address, error }
    }

    /// Returns the device.
    pub fn device(&self) -> Option<DeviceAddress> {
        self.uuid.map(DeviceAddress::Mdev).or(self.address.map(DeviceAddress::Pci))
    }
}
