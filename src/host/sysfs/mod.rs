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
//! Only facts are read here. What a wrong device API or a parent that is not a PCI device means is decided elsewhere.

mod error;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::io::Errno;

use super::{Absence, DeviceApi, Lookup};
use crate::device::{Identity, MdevType, PciId, Uuid};
pub use error::SysfsError;
use tree::{Directory, Tree};

/// Where the links to all mediated devices are.
const MDEVS: &str = "bus/mdev/devices";

/// Where the links to all parents of mediated devices are.
const PARENTS: &str = "class/mdev_bus";

/// The directory of a parent that holds its types.
const TYPES: &str = "mdev_supported_types";

/// The most parents that are kept open: enough for a host full of cards, and far below the usual limit of 1024 descriptors.
const KEPT_OPEN: usize = 64;

/// How many bytes of an unexpected content are shown.
const SHOWN: usize = 60;

/// A host as its sysfs shows it during one run.
///
/// Each answer is kept, errors included, and so is what was read about a parent or a type: every decision of a run rests on
/// the same facts, however many documents and threads ask.
#[derive(Debug)]
pub struct Sysfs {
    tree: Tree,
    /// `bus/mdev/devices`, which a host has once the kernel's mdev module is loaded.
    mdevs: Option<Directory>,
    seen: Mutex<Seen>,
    creatable: OnceLock<Arc<BTreeMap<Identity, String>>>,
}

/// What was read so far.
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

/// The device that a mediated device is a slice of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parent {
    /// A PCI device, virtual functions included.
    Pci {
        /// Content of its `vendor` file.
        vendor: PciId,
        /// Content of its `device` file.
        product: PciId,
    },
    /// Anything else: the `mtty` sample, an s390x subchannel, the AP matrix.
    Other {
        /// The name of its directory.
        name: String,
        /// The bus or class that its `subsystem` link names, if it has one.
        subsystem: Option<String>,
    },
}

/// An answer that is kept.
type Answer<T> = Result<T, Arc<SysfsError>>;

impl Sysfs {
    /// Opens the directory that stands for `/sys`.
    ///
    /// # Errors
    /// [`SysfsError::NotSysfs`] if it cannot be opened or has no directory `bus`; another if `bus/mdev/devices` is there and
    /// cannot be opened.
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
        Ok(Self { tree, mdevs, seen: Mutex::default(), creatable: OnceLock::new() })
    }

    /// Returns what the host has under this UUID.
    ///
    /// # Errors
    /// If something about the device cannot be read, or is not as the kernel writes it; the same error each time.
    pub fn lookup(&self, uuid: &Uuid) -> Result<Lookup, Arc<SysfsError>> {
        // Entries are added when they are complete, so they are valid even if another thread panicked.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { answers, parents } = &mut *seen;
        match answers.entry(*uuid) {
            Entry::Occupied(answer) => answer.get().clone(),
            Entry::Vacant(place) => place.insert(self.read_mdev(uuid, parents)).clone(),
        }
    }

    /// Returns the devices that can be created: of each identity that has instances left the name of a parent.
    ///
    /// What cannot be read is left out, since this is for advice, not for a verdict.
    pub fn creatable(&self) -> Arc<BTreeMap<Identity, String>> {
        let read = || {
            let mut creatable = BTreeMap::new();
            let parents = self.tree.directory(Path::new(PARENTS), "");
            let names = parents.as_ref().map(|parents| self.tree.names(parents));
            if let (Ok(parents), Ok(Ok(names))) = (&parents, names) {
                names.iter().for_each(|name| self.add_creatable(parents, name, &mut creatable).unwrap_or_default());
            }
            Arc::new(creatable)
        };
        Arc::clone(self.creatable.get_or_init(read))
    }

    fn add_creatable(
        &self,
        parents: &Directory,
        name: &str,
        creatable: &mut BTreeMap<Identity, String>,
    ) -> Result<(), SysfsError> {
        let Some(target) = self.tree.link(parents, name)? else { return Ok(()) };
        let parent = self.tree.directory(&self.tree.resolve(parents, name, &target)?, "the parent")?;
        let Parent::Pci { vendor, product } = self.parent(&parent)? else { return Ok(()) };
        let types = self.tree.directory_in(&parent, Path::new(TYPES), "the types")?;
        for type_name in self.tree.names(&types)? {
            let Ok(mdev_type) = type_name.parse() else { continue };
            let directory = self.tree.directory_in(&types, Path::new(&type_name), "the type")?;
            let left = self.tree.attribute(&directory, "available_instances", "how many can be created")?;
            let left = String::from_utf8_lossy(&left).trim_end().parse().unwrap_or(0_u32);
            if left > 0 && self.device_api(&parent, &type_name)?.is_vfio_pci() {
                creatable.entry(Identity { vendor, product, mdev_type }).or_insert_with(|| name.to_owned());
            }
        }
        Ok(())
    }

    fn read_mdev(&self, uuid: &Uuid, parents: &mut HashMap<PathBuf, SeenParent>) -> Answer<Lookup> {
        let root = self.tree.name().display();
        let Some(mdevs) = &self.mdevs else {
            return Ok(Lookup::Absent(Absence::NoDriver { looked_for: format!("no {MDEVS} in {root}") }));
        };
        let Some(parent_path) = self.parent_path(mdevs, uuid)? else {
            return Ok(Lookup::Absent(Absence::NotFound { looked_for: format!("no {MDEVS}/{uuid} in {root}") }));
        };
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
        // Checked before the parent: another device API is the answer even if the parent's files cannot be read.
        if !device_api.is_vfio_pci() {
            return Ok(Lookup::OtherDeviceApi(device_api));
        }
        Ok(match seen.facts.get_or_insert_with(|| self.parent(&parent).map_err(Arc::new)).clone()? {
            Parent::Pci { vendor, product } => Lookup::Found(Identity { vendor, product, mdev_type }),
            Parent::Other { name, subsystem } => Lookup::ParentNotPci { parent: name, subsystem },
        })
    }

    /// Returns the path of the device's parent relative to the root, or `None` if there is no such device.
    fn parent_path(&self, mdevs: &Directory, uuid: &Uuid) -> Result<Option<PathBuf>, SysfsError> {
        let name = uuid.to_string();
        let Some(target) = self.tree.link(mdevs, &name)? else { return Ok(None) };
        let device = self.tree.resolve(mdevs, &name, &target)?;
        // Only the last two names count: directories further up may be named like a UUID or a PCI address too.
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

    /// Returns the type of a device, as its `mdev_type` names it.
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

    /// Reads what the parent is. Its `subsystem` decides, since anything may have files named `vendor` and `device`.
    fn parent(&self, parent: &Directory) -> Result<Parent, SysfsError> {
        // The link is read, never followed: its target need not exist.
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
        // Bytes that are not UTF-8 become U+FFFD, which is not a digit.
        String::from_utf8_lossy(&content).parse().map_err(|source| SysfsError::NotAPciId {
            path: self.tree.shown(&parent.path().join(name)),
            found: shortened(&content),
            source,
        })
    }
}

/// Returns the last name of a path, or `None` if it ends in `..` or is empty.
fn last_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Returns the beginning of an unexpected content, for a message.
fn shortened(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(&content[..content.len().min(SHOWN)]);
    if content.len() > SHOWN { text.into_owned() + "…" } else { text.into_owned() }
}
