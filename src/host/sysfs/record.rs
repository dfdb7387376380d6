//! The record of a host, from its sysfs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use rustix::fs::fstatfs;
use rustix::system::uname;

use super::{
    Answer, Directory, MDEVS, PARENTS, PCI_DEVICES, Parent, Sysfs, SysfsError, TYPES, if_there, last_name, number,
};
use crate::device::{DeviceAddress, Identity, MdevType, PciAddress, Uuid};
use crate::host::record::{HostRecord, Mdev, MdevParent, PciDevice, SupportedType, Unreadable, Version};
use crate::host::{NoIdentity, with_causes};

/// The type of file system of sysfs, as `statfs(2)` lists it.
const SYSFS_MAGIC: u32 = 0x6265_6572;

impl Sysfs {
    /// Records what the host has.
    ///
    /// What cannot be read is named in [`HostRecord::unreadable`], so that it does not hide the rest. A lookup of a device in the
    /// record has the same answer as here.
    ///
    /// # Errors
    /// If the devices cannot be listed.
    pub fn record(&self) -> Result<HostRecord, SysfsError> {
        Recorder { sysfs: self, unreadable: Vec::new() }.record()
    }

    /// Returns the names in a directory, or none if it does not exist.
    fn listed(&self, path: &str) -> Result<BTreeSet<String>, SysfsError> {
        let directory = if_there(self.tree.directory(path, ""))?;
        directory.map_or_else(|| Ok(BTreeSet::new()), |directory| self.tree.names(&directory))
    }

    /// Returns those names in a directory that are devices, spelled as the kernel spells them.
    fn listed_devices<T: FromStr + ToString>(&self, path: &str) -> Result<Vec<T>, SysfsError> {
        let parse = |name: String| name.parse().ok().filter(|device: &T| device.to_string() == name);
        Ok(self.listed(path)?.into_iter().filter_map(parse).collect())
    }

    /// Reads what [`Sysfs::creatable`] returns.
    pub(super) fn read_creatable(&self) -> BTreeMap<Identity, String> {
        let mut recorder = Recorder { sysfs: self, unreadable: Vec::new() };
        let mut creatable = BTreeMap::new();
        for name in self.listed(PARENTS).unwrap_or_default() {
            let Ok(Some(path)) = self.path_of_parent(&name) else { continue };
            let facts = self.tree.directory(&path, "").and_then(|directory| self.parent(&directory));
            if let Ok(Parent::Pci { vendor, product }) = facts {
                for (identity, _) in recorder.parent(&path).instances_left(vendor, product) {
                    creatable.entry(identity).or_insert_with(|| name.clone());
                }
            }
        }
        creatable
    }

    /// Returns the version of the module that a driver belongs to. A driver that is built into the kernel has no module, and many
    /// modules have no version.
    fn module_version(&self, device: &Directory) -> Result<Option<String>, SysfsError> {
        let Some(driver) = self.tree.follow(device, "driver")? else { return Ok(None) };
        let driver = self.tree.directory(&driver.path, "")?;
        let Some(module) = self.tree.follow(&driver, "module")? else { return Ok(None) };
        let module = self.tree.directory(&module.path, "")?;
        Ok(Some(text(&self.tree.attribute(&module, "version", "")?)))
    }
}

/// Collects a record, and what cannot be read.
struct Recorder<'a> {
    sysfs: &'a Sysfs,
    unreadable: Vec<Unreadable>,
}

impl Recorder<'_> {
    fn record(mut self) -> Result<HostRecord, SysfsError> {
        let sysfs = self.sysfs;
        let mut pci_devices = BTreeMap::new();
        for address in sysfs.listed_devices::<PciAddress>(PCI_DEVICES)? {
            let device = DeviceAddress::Pci(address);
            if let Err(error) = sysfs.lookup(device) {
                self.fail(device, &error);
            }
            // If this fails, so did the lookup.
            if let Ok(Some(directory)) = sysfs.pci_directory(address) {
                pci_devices.extend(self.pci_device(address, &directory).ok().map(|device| (address, device)));
            }
        }

        let mut parents = BTreeMap::new();
        for name in sysfs.listed(PARENTS)? {
            if let Some(path) = self.optional(sysfs.path_of_parent(&name)).flatten() {
                let parent = self.parent(&path);
                parents.insert(path, parent);
            }
        }
        for uuid in sysfs.listed_devices(MDEVS)? {
            match self.mdev(uuid) {
                Ok(Some((path, mdev_type))) => {
                    let parent = parents.entry(path.clone()).or_insert_with(|| self.parent(&path));
                    parent.mdevs.push(Mdev { uuid, mdev_type, is_defined_only: false });
                }
                Ok(None) => {}
                Err(error) => self.fail(DeviceAddress::Mdev(uuid), &error),
            }
        }

        // The kernel lists every parent that is a PCI device among the PCI devices too.
        for (path, parent) in &parents {
            let Some(address) = parent.address().filter(|address| !pci_devices.contains_key(address)) else { continue };
            let directory = sysfs.tree.directory(path, "the parent");
            match directory.and_then(|directory| self.pci_device(address, &directory)) {
                Ok(device) => pci_devices.extend([(address, device)]),
                Err(error) => self.fail(DeviceAddress::Pci(address), &error),
            }
        }
        let mut mdev_parents: Vec<_> = parents.into_values().collect();
        mdev_parents.sort_by(|a, b| a.name.cmp(&b.name));

        let is_running = fstatfs(sysfs.tree.root()).is_ok_and(|stat| stat.f_type as u32 == SYSFS_MAGIC);
        let in_words = |name: &CStr| name.to_string_lossy().into_owned();
        let (host, kernel) = if is_running {
            let uname = uname();
            (in_words(uname.nodename()), Some(in_words(uname.release())))
        } else {
            (sysfs.dir().display().to_string(), None)
        };
        Ok(HostRecord {
            version: Version,
            host,
            time: Some(humantime::format_rfc3339_seconds(SystemTime::now()).to_string()),
            kernel,
            pci_devices: pci_devices.into_values().collect(),
            mdev_parents,
            unreadable: self.unreadable,
        })
    }

    /// Adds an error, unless it is the one about this device already.
    fn fail(&mut self, device: impl Into<Option<DeviceAddress>>, error: &SysfsError) {
        let entry = Unreadable::new(device, with_causes(error));
        if !self.unreadable.contains(&entry) {
            self.unreadable.push(entry);
        }
    }

    /// Returns what was read, or `None` if it does not exist. Another error is recorded.
    fn optional<T>(&mut self, read: Result<T, SysfsError>) -> Option<T> {
        if_there(read).unwrap_or_else(|error| {
            self.fail(None, &error);
            None
        })
    }

    fn attribute(&mut self, directory: &Directory, name: &str) -> Option<String> {
        self.optional(self.sysfs.tree.attribute(directory, name, "")).map(|content| text(&content))
    }

    /// Reads a PCI device. What the lookup of the device reports, if it cannot be read, is not recorded again.
    fn pci_device(&mut self, address: PciAddress, directory: &Directory) -> Result<PciDevice, SysfsError> {
        let sysfs = self.sysfs;
        let (vendor, product) = sysfs.pci_ids(directory)?;
        let driver = self.optional(sysfs.tree.link(directory, "driver")).flatten();
        let driver_version = self.optional(sysfs.module_version(directory)).flatten();
        let physfn = sysfs.physfn(directory).ok().flatten().map(|(address, _)| address);
        let vgpu_type = physfn.and_then(|_| sysfs.vgpu_state(directory).ok().flatten());
        let creatable = vgpu_type.and_then(|_| self.optional(sysfs.creatable_vgpu_types(directory)));
        Ok(PciDevice {
            address,
            vendor,
            product,
            class: sysfs.pci_class(directory).ok(),
            subsystem: sysfs.subsystem(directory),
            revision: self.attribute(directory, "revision"),
            driver: driver.and_then(|driver| last_name(&driver)),
            driver_version,
            physfn,
            vgpu_type,
            creatable_vgpu_types: creatable.unwrap_or_default(),
        })
    }

    /// Reads a parent and its types.
    fn parent(&mut self, path: &Path) -> MdevParent {
        let tree = &self.sysfs.tree;
        let name = last_name(path).unwrap_or_default();
        let mut parent = MdevParent { name, bus: None, types: Vec::new(), mdevs: Vec::new() };
        let Some(directory) = self.optional(tree.directory(path, "")) else { return parent };
        let bus = self.optional(tree.link(&directory, "subsystem")).flatten();
        parent.bus = bus.and_then(|target| last_name(&target));
        let Some(types) = self.optional(tree.directory_in(&directory, TYPES, "")) else { return parent };
        for name in self.optional(tree.names(&types)).unwrap_or_default() {
            let supported = self.supported_type(&directory, &types, &name);
            parent.types.extend(self.optional(supported));
        }
        parent
    }

    fn supported_type(
        &mut self,
        parent: &Directory,
        types: &Directory,
        name: &str,
    ) -> Result<SupportedType, SysfsError> {
        let tree = &self.sysfs.tree;
        let directory = tree.directory_in(types, name, "")?;
        let mdev_type = MdevType::from_str(name).map_err(|source| SysfsError::TypeName {
            path: tree.shown(directory.path()),
            name: name.to_owned(),
            source,
        })?;
        let available = tree
            .parsed(&directory, "available_instances", "", "a number of instances", |text| number(text).ok_or(None));
        Ok(SupportedType {
            mdev_type,
            name: self.attribute(&directory, "name"),
            description: self.attribute(&directory, "description"),
            device_api: self.optional(self.sysfs.device_api(parent, name)),
            available_instances: self.optional(available),
        })
    }

    /// Returns the path of the parent and the type of a mediated device, or `None` if it was removed in the meantime.
    fn mdev(&self, uuid: Uuid) -> Answer<Option<(PathBuf, MdevType)>> {
        let sysfs = self.sysfs;
        let found = sysfs.lookup(DeviceAddress::Mdev(uuid))?;
        let (Some(mdevs), false) = (&sysfs.mdevs, matches!(found, Err(NoIdentity::Absent(_)))) else { return Ok(None) };
        let Some(path) = sysfs.parent_path(mdevs, uuid)? else { return Ok(None) };
        let mdev_type = sysfs.mdev_type(&sysfs.tree.directory(&path, "the mdev's parent")?, uuid)?;
        Ok(Some((path, mdev_type)))
    }
}

/// Returns the content of an attribute without its line ending.
fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content.strip_suffix(b"\n").unwrap_or(content)).into_owned()
}
