//! A host that was recorded: answers about its devices from a [`HostRecord`], wherever that was read from.

use std::collections::{BTreeMap, HashMap, HashSet};

use thiserror::Error;

use super::record::{HostRecord, Mdev, MdevParent, PciDevice, VgpuState};
use super::{Absence, HostError, Lookup, NVIDIA_ID, NoIdentity};
use crate::device::{Device, DeviceAddress, DeviceKind, Identity, PciAddress, PciId, Uuid, VgpuType};
use crate::text::abridged;

/// A recorded host, and where its devices are in the record.
#[derive(Clone, Debug)]
pub struct RecordedHost {
    name: String,
    record: HostRecord,
    /// The index of the parent, and that of the device in it.
    mdevs: HashMap<Uuid, (usize, usize)>,
    pci_devices: HashMap<PciAddress, usize>,
    unreadable: HashMap<DeviceAddress, usize>,
    /// Mediated devices that are defined and not started. They are not in the record.
    pub(super) not_started: HashSet<Uuid>,
}

/// What a record has twice.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Duplicate {
    /// A device.
    #[error("{0} is recorded twice")]
    Device(DeviceAddress),
    /// A parent, by its name.
    #[error("the parent {0} is recorded twice")]
    Parent(String),
    /// A type of one parent.
    #[error("the type {mdev_type} of {parent} is recorded twice")]
    Type {
        /// The name of the parent.
        parent: String,
        /// The type.
        mdev_type: String,
    },
}

/// A device that could not be read when the host was recorded.
#[derive(Debug, Error)]
#[error("{device} could not be read when {name} was recorded: {error}")]
struct WasUnreadable {
    device: DeviceAddress,
    name: String,
    error: String,
}

impl RecordedHost {
    /// Takes a record. `name` is what messages call its source, such as the path of its file.
    ///
    /// # Errors
    /// If the record names a device, a parent or a type of one parent twice.
    pub fn new(name: &str, mut record: HostRecord) -> Result<Self, Duplicate> {
        let mut host = Self {
            name: name.to_owned(),
            record: HostRecord::default(),
            mdevs: HashMap::new(),
            pci_devices: HashMap::new(),
            unreadable: HashMap::new(),
            not_started: HashSet::new(),
        };
        for (index, device) in record.pci_devices.iter().enumerate() {
            if host.pci_devices.insert(device.address, index).is_some() {
                return Err(Duplicate::Device(DeviceAddress::Pci(device.address)));
            }
        }
        let mut parents = HashSet::new();
        for (parent, MdevParent { name, types, mdevs, .. }) in record.mdev_parents.iter_mut().enumerate() {
            if !parents.insert(&*name) {
                return Err(Duplicate::Parent(abridged(name)));
            }
            types.sort_by(|a, b| a.mdev_type.cmp(&b.mdev_type));
            if let Some(twice) = types.windows(2).find(|two| two[0].mdev_type == two[1].mdev_type) {
                let mdev_type = abridged(twice[0].mdev_type.as_str());
                return Err(Duplicate::Type { parent: abridged(name), mdev_type });
            }
            for (index, mdev) in mdevs.iter().enumerate() {
                if host.mdevs.insert(mdev.uuid, (parent, index)).is_some() {
                    return Err(Duplicate::Device(DeviceAddress::Mdev(mdev.uuid)));
                }
            }
        }
        let unreadable = record.unreadable.iter().enumerate();
        host.unreadable = unreadable.filter_map(|(index, entry)| Some((entry.device()?, index))).collect();
        host.record = record;
        Ok(host)
    }

    /// Returns the mediated devices that are defined and not started, and so not in the record.
    pub fn not_started(&self) -> impl Iterator<Item = Uuid> {
        self.not_started.iter().copied()
    }

    /// Returns what messages call its source.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the record.
    pub fn record(&self) -> &HostRecord {
        &self.record
    }

    /// Returns what the host had at this address.
    ///
    /// # Errors
    /// If the device could not be read when the host was recorded.
    pub fn lookup(&self, device: DeviceAddress) -> Result<Lookup, HostError> {
        self.must_be_readable(device)?;
        let found = match device {
            DeviceAddress::Mdev(uuid) => {
                self.mdev(uuid).map(|(parent, mdev)| self.lookup_mdev(parent, mdev)).transpose()?
            }
            DeviceAddress::Pci(address) => self.pci_device(address).map(|found| self.lookup_pci(found)),
        };
        Ok(found.unwrap_or_else(|| {
            let looked_for = format!("no {device} in {}", self.name);
            Err(NoIdentity::Absent(match device {
                DeviceAddress::Mdev(uuid) if self.not_started.contains(&uuid) => {
                    Absence::NotStarted { looked_for, definition: None }
                }
                _ => Absence::NotFound { looked_for },
            }))
        }))
    }

    fn must_be_readable(&self, device: DeviceAddress) -> Result<(), HostError> {
        let Some(index) = self.unreadable.get(&device) else { return Ok(()) };
        let error = self.record.unreadable[*index].error.clone();
        Err(HostError::new(WasUnreadable { device, name: self.name.clone(), error }))
    }

    /// Whether anything has this address, defined devices that are not started included.
    pub fn has(&self, device: DeviceAddress) -> bool {
        match device {
            DeviceAddress::Mdev(uuid) => self.mdevs.contains_key(&uuid) || self.not_started.contains(&uuid),
            DeviceAddress::Pci(address) => self.pci_devices.contains_key(&address),
        }
    }

    /// Returns the PCI device at this address.
    pub fn pci_device(&self, address: PciAddress) -> Option<&PciDevice> {
        self.pci_devices.get(&address).map(|index| &self.record.pci_devices[*index])
    }

    /// Returns the mediated device with this UUID, and its parent.
    pub fn mdev(&self, uuid: Uuid) -> Option<(&MdevParent, &Mdev)> {
        let (parent, index) = self.mdevs.get(&uuid)?;
        let parent = &self.record.mdev_parents[*parent];
        Some((parent, &parent.mdevs[*index]))
    }

    fn lookup_mdev(&self, parent: &MdevParent, mdev: &Mdev) -> Result<Lookup, HostError> {
        let MdevParent { name, bus, types, .. } = parent;
        let of_type = types.binary_search_by(|supported| supported.mdev_type.cmp(&mdev.mdev_type)).ok();
        let device_api = of_type.and_then(|index| types[index].device_api.as_ref());
        if let Some(other) = device_api.filter(|device_api| !device_api.is_vfio_pci()) {
            return Ok(Err(NoIdentity::OtherDeviceApi(other.clone())));
        }
        let Some(address) = parent.address() else {
            return Ok(Err(NoIdentity::ParentNotPci { parent: name.clone(), subsystem: bus.clone() }));
        };
        let Some(&PciDevice { vendor, product, .. }) = self.pci_device(address) else {
            self.must_be_readable(DeviceAddress::Pci(address))?;
            let reason = format!("{name}, the parent of mdev {}, is not in {}", mdev.uuid, self.name);
            return Ok(Err(NoIdentity::Unknown { reason }));
        };
        if device_api.is_none() {
            let reason = format!("{} does not say the device API of {}, a type of {name}", self.name, mdev.mdev_type);
            return Ok(Err(NoIdentity::Unknown { reason }));
        }
        let identity = Identity { vendor, product, kind: DeviceKind::Mdev(mdev.mdev_type.clone()) };
        Ok(Ok(Device { is_defined_only: mdev.is_defined_only, ..identity.into() }))
    }

    fn lookup_pci(&self, found: &PciDevice) -> Lookup {
        let &PciDevice { address, vendor, product, class, subsystem, physfn, vgpu_type, .. } = found;
        let unknown = |reason| Err(NoIdentity::Unknown { reason });
        let kind = match (vgpu_type, class) {
            (Some(VgpuState::Type(vgpu_type)), _) => DeviceKind::Vgpu(vgpu_type),
            (Some(VgpuState::Untyped), _) => return Err(NoIdentity::Untyped),
            (Some(VgpuState::Unknown), _) => {
                return unknown(format!("{} cannot tell the vGPU type of {address}", self.name));
            }
            (None, _) if physfn.is_some() && vendor == PciId::from(NVIDIA_ID) => {
                return Err(NoIdentity::NoVgpuType {
                    looked_for: format!("no vGPU type of {address} in {}", self.name),
                });
            }
            (None, Some(class)) => DeviceKind::Pci(class),
            (None, None) => return unknown(format!("{} does not say the class of {address}", self.name)),
        };
        let identity = Identity { vendor, product, kind };
        Ok(Device { subsystem, is_virtual_function: physfn.is_some(), ..identity.into() })
    }

    /// Returns the devices that the host could create: for each identity that has instances left, the name of a parent.
    pub fn creatable(&self) -> BTreeMap<Identity, String> {
        let mut creatable = BTreeMap::new();
        for (parent, device) in self.pci_parents() {
            for (identity, _) in parent.instances_left(device.vendor, device.product) {
                creatable.entry(identity).or_insert_with(|| parent.name.clone());
            }
        }
        creatable
    }

    /// Returns the parents that are PCI devices, each with that device.
    pub fn pci_parents(&self) -> impl Iterator<Item = (&MdevParent, &PciDevice)> {
        self.record.mdev_parents.iter().filter_map(|parent| Some((parent, self.pci_device(parent.address()?)?)))
    }

    /// Returns the names of vGPU types.
    pub fn vgpu_names(&self) -> BTreeMap<VgpuType, String> {
        let listed = self.record.pci_devices.iter().flat_map(|device| &device.creatable_vgpu_types);
        listed.map(|creatable| (creatable.vgpu_type, creatable.name.clone())).collect()
    }
}
