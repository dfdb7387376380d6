//! The kernel's tree of devices, or a directory laid out like it.
//!
//! How the kernel lays out mediated devices is written in its `Documentation/driver-api/vfio-mediated-device.rst`,
//! section "Mediated Device Management Interface Through sysfs", and `Documentation/ABI/testing/sysfs-bus-vfio-mdev`:
//!
//! ```text
//! bus/mdev/devices/UUID -> ../../../devices/…/PARENT/UUID
//! devices/…/PARENT/subsystem -> …/bus/pci
//! devices/…/PARENT/{vendor,device}
//! devices/…/PARENT/mdev_supported_types/TYPE/device_api
//! devices/…/PARENT/UUID/mdev_type -> ../mdev_supported_types/TYPE
//! ```
//!
//! Here are facts only. That a device API is the wrong one, or that a parent is no PCI device, is for others to judge.

mod error;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use super::{Device, DeviceApi, Host, Lookup, Parent};
use crate::device::{MdevType, PciId, Uuid};
pub use error::SysfsError;
use tree::{Directory, Tree};

/// Where the links to all mediated devices are.
const MDEVS: &str = "bus/mdev/devices";

/// The directory of a parent that holds its types.
const TYPES: &str = "mdev_supported_types";

/// How many parents are kept open at most: enough for a host full of cards, and far from the usual limit of 1024
/// descriptors.
const KEPT_OPEN: usize = 64;

/// How much of a wrong content is shown, in bytes.
const SHOWN: usize = 60;

/// A host as its sysfs shows it, for one run.
///
/// An answer is given once and kept, errors included, and so is what was read of a parent or a type: all that a run
/// decides rests on one look, however many documents and threads ask.
#[derive(Debug)]
pub struct Sysfs {
    tree: Tree,
    /// `bus/mdev/devices`; a host that has never loaded the kernel's mdev module lacks it.
    mdevs: Option<Directory>,
    seen: Mutex<Seen>,
}

/// What was read already.
#[derive(Debug, Default)]
struct Seen {
    answers: HashMap<Uuid, Answer<Lookup>>,
    /// By path relative to the root.
    parents: HashMap<PathBuf, SeenParent>,
}

#[derive(Debug, Default)]
struct SeenParent {
    directory: Option<Arc<Directory>>,
    facts: Option<Answer<Parent>>,
    /// By the name of the type's directory.
    types: HashMap<OsString, Answer<DeviceApi>>,
}

/// What is kept of a reading, to be told again.
type Answer<T> = Result<T, Arc<SysfsError>>;

impl Sysfs {
    /// Opens the directory that stands for `/sys`.
    ///
    /// # Errors
    /// [`SysfsError::NotSysfs`] where it cannot be opened or has no directory `bus`; another where `bus/mdev/devices`
    /// is there and cannot be opened.
    pub fn open(dir: &Path) -> Result<Self, SysfsError> {
        let no_sysfs = |path, errno: Errno| SysfsError::NotSysfs { dir: dir.to_owned(), path, source: errno.into() };
        let tree = Tree::open(dir).map_err(|errno| no_sysfs(dir.to_owned(), errno))?;
        let bus = tree.directory(Path::new("bus"), "").map_err(|error| match error {
            SysfsError::Missing { path, .. } => no_sysfs(path, Errno::NOENT),
            SysfsError::WrongKind { path, .. } => no_sysfs(path, Errno::NOTDIR),
            SysfsError::NotPermitted { path, source } | SysfsError::Unreadable { path, source } => {
                SysfsError::NotSysfs { dir: dir.to_owned(), path, source }
            }
            other => other,
        })?;
        let below_bus = Path::new(MDEVS).strip_prefix("bus").unwrap_or(Path::new(MDEVS));
        let mdevs = match tree.directory_in(&bus, below_bus, "") {
            Ok(directory) => Some(directory),
            Err(SysfsError::Missing { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { tree, mdevs, seen: Mutex::default() })
    }

    /// Whether the host has the device, and what it is.
    ///
    /// # Errors
    /// Where something of the device cannot be read, or is not as the kernel has it; the same error each time.
    pub fn lookup(&self, uuid: &Uuid) -> Result<Lookup, Arc<SysfsError>> {
        // What a thread that panicked left behind is whole: each entry is put in when it is complete.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { answers, parents } = &mut *seen;
        match answers.entry(*uuid) {
            Entry::Occupied(answer) => answer.get().clone(),
            Entry::Vacant(place) => place.insert(self.look(uuid, parents)).clone(),
        }
    }

    /// What the host says about these devices, each asked for once.
    pub fn ask(&self, uuids: impl IntoIterator<Item = Uuid>) -> Host {
        let mut host = Host::new(self.tree.name().to_string_lossy());
        for uuid in uuids {
            host.insert(uuid, self.lookup(&uuid));
        }
        host
    }

    fn look(&self, uuid: &Uuid, parents: &mut HashMap<PathBuf, SeenParent>) -> Answer<Lookup> {
        let Some(parent_path) = self.parent_path(uuid)? else { return Ok(Lookup::Absent) };
        let keep = parents.len() < KEPT_OPEN;
        let seen = parents.entry(parent_path.clone()).or_default();
        let parent = match &seen.directory {
            Some(directory) => Arc::clone(directory),
            None => {
                let opened = Arc::new(self.tree.directory(&parent_path, "the mdev's parent")?);
                seen.directory = keep.then(|| Arc::clone(&opened));
                opened
            }
        };

        let mdev_type = self.mdev_type(&parent, uuid)?;
        let device_api = match seen.types.entry(mdev_type.as_str().into()) {
            Entry::Occupied(api) => api.get().clone(),
            Entry::Vacant(place) => {
                place.insert(self.device_api(&parent, mdev_type.as_str()).map_err(Arc::new)).clone()
            }
        }?;
        // A device API that rules the device out is to be told, whatever may be wrong with the parent's files.
        let parent = if device_api.is_vfio_pci() {
            seen.facts.get_or_insert_with(|| self.parent(&parent).map_err(Arc::new)).clone()?
        } else {
            Parent::Unread { name: last_name(parent.path()).unwrap_or_default() }
        };
        Ok(Lookup::Found(Device { mdev_type, device_api, parent }))
    }

    /// Where the device's parent is, relative to the root; `None` where there is no such device.
    fn parent_path(&self, uuid: &Uuid) -> Result<Option<PathBuf>, SysfsError> {
        let Some(mdevs) = &self.mdevs else { return Ok(None) };
        let name = uuid.to_string();
        let Some(target) = self.tree.link(mdevs, &name)? else { return Ok(None) };
        let device = self.tree.resolve(mdevs, &name, &target)?;
        // What stands further up is of no account: it may be named like a UUID or a PCI address too.
        match device.parent() {
            Some(parent)
                if device.ends_with(&name) && device.starts_with("devices") && parent.iter().nth(1).is_some() =>
            {
                Ok(Some(parent.to_owned()))
            }
            _ => Err(SysfsError::WrongTarget {
                path: self.tree.shown(&mdevs.path().join(name)),
                target,
                wanted: "devices/…/PARENT/UUID",
            }),
        }
    }

    /// The type of a device, as its `mdev_type` names it.
    fn mdev_type(&self, parent: &Directory, uuid: &Uuid) -> Result<MdevType, SysfsError> {
        const LINK: &str = "mdev_type";
        let device = self.tree.directory_in(parent, Path::new(&uuid.to_string()), "the mdev's own directory")?;
        let path = self.tree.shown(&device.path().join(LINK));
        let Some(target) = self.tree.link(&device, LINK)? else {
            return Err(SysfsError::Missing { path, wanted: "the link to the mdev's type" });
        };
        let resolved = self.tree.resolve(&device, LINK, &target)?;
        let name = match resolved.strip_prefix(parent.path().join(TYPES)).map(|below| below.iter()) {
            Ok(mut names) => names.next().filter(|_| names.next().is_none()),
            Err(_) => None,
        };
        let Some(name) = name else {
            return Err(SysfsError::WrongTarget { path, target, wanted: "mdev_supported_types/TYPE of its parent" });
        };
        MdevType::from_bytes(name.as_bytes()).map_err(|source| SysfsError::TypeName {
            path,
            name: name.to_string_lossy().into_owned(),
            source,
        })
    }

    fn device_api(&self, parent: &Directory, type_name: &str) -> Result<DeviceApi, SysfsError> {
        const FILE: &str = "device_api";
        let path = Path::new(TYPES).join(type_name);
        let directory = self.tree.directory_in(parent, &path, "the directory of the mdev's type")?;
        let content = self.tree.attribute(&directory, FILE, "the device API of the mdev's type")?;
        let word = content.strip_suffix(b"\n").unwrap_or(&content);
        if word.is_empty() || !word.iter().all(u8::is_ascii_graphic) {
            let path = self.tree.shown(&directory.path().join(FILE));
            return Err(SysfsError::NotADeviceApi { path, found: shortened(&content) });
        }
        Ok(DeviceApi(String::from_utf8_lossy(word).into_owned()))
    }

    /// What the parent is: by its `subsystem` alone, since anything may have files named `vendor` and `device`.
    fn parent(&self, parent: &Directory) -> Result<Parent, SysfsError> {
        // Only read, never followed: where it leads need not exist.
        let subsystem = self.tree.link(parent, "subsystem")?.and_then(|target| last_name(&target));
        if subsystem.as_deref() != Some("pci") {
            return Ok(Parent::Other { name: last_name(parent.path()).unwrap_or_default(), subsystem });
        }
        Ok(Parent::Pci {
            vendor: self.pci_id(parent, "vendor", "the vendor id of a PCI device")?,
            product: self.pci_id(parent, "device", "the device id of a PCI device")?,
        })
    }

    fn pci_id(&self, parent: &Directory, name: &str, missing: &'static str) -> Result<PciId, SysfsError> {
        let content = self.tree.attribute(parent, name, missing)?;
        // What is not UTF-8 is replaced, and the replacement is no digit.
        String::from_utf8_lossy(&content).parse().map_err(|source| SysfsError::NotAPciId {
            path: self.tree.shown(&parent.path().join(name)),
            found: shortened(&content),
            source,
        })
    }
}

/// The last name in a path; `None` where it ends in `..` or in no name.
fn last_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// A wrong content as far as a message has room for it.
fn shortened(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(&content[..content.len().min(SHOWN)]);
    if content.len() > SHOWN { text.into_owned() + "…" } else { text.into_owned() }
}
