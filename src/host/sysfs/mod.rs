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
//! PCI devices are in `Documentation/ABI/testing/sysfs-bus-pci`. The directory `nvidia` of a virtual function comes from NVIDIA's
//! driver, on kernels where its vGPUs are not mediated devices:
//!
//! ```text
//! bus/pci/devices/ADDRESS -> ../../../devices/…/ADDRESS
//! devices/…/ADDRESS/{vendor,device,class,subsystem_vendor,subsystem_device}
//! devices/…/ADDRESS/physfn -> ../CARD                     (of a virtual function)
//! devices/…/ADDRESS/nvidia/current_vgpu_type              (a number; 0 if no type is set)
//! devices/…/ADDRESS/nvidia/creatable_vgpu_types           (numbers and names)
//! ```
//!
//! The same driver brings a list of the vGPU types of all cards, outside sysfs: `vgpu_config`.
//!
//! This module only reads facts. What a wrong device API or a parent that is not a PCI device means is decided elsewhere.

mod error;
mod record;
#[cfg(test)]
mod tests;
mod tree;
mod vgpu_config;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::record::{CreatableVgpuType, VgpuState};
use super::{Absence, DeviceApi, Lookup, NVIDIA_ID, NoIdentity};
use crate::device::{
    Device, DeviceAddress, DeviceKind, Identity, MdevType, PciAddress, PciClass, PciClassError, PciId, PciIdError,
    Subsystem, Uuid, VgpuType,
};
pub use error::SysfsError;
use tree::{Directory, Tree};

/// Where the links to all mediated devices are.
const MDEVS: &str = "bus/mdev/devices";

/// Where the links to all PCI devices are.
const PCI_DEVICES: &str = "bus/pci/devices";

/// The directory of a virtual function in which NVIDIA's driver shows its vGPU type.
const NVIDIA: &str = "nvidia";

/// Where the links to all parents of mediated devices are.
const PARENTS: &str = "class/mdev_bus";

/// The directory of a parent that holds its types.
const TYPES: &str = "mdev_supported_types";

/// The most parents that are kept open: enough for a host full of cards, and far below the usual limit of 1024 descriptors.
const KEPT_OPEN: usize = 64;

/// A host as its sysfs shows it during one run.
///
/// Each answer is kept, errors included, and so is what was read about a parent or a type: all decisions of a run rest on the
/// same facts, however many documents and threads ask.
#[derive(Debug)]
pub struct Sysfs {
    tree: Tree,
    /// `bus/mdev/devices`, which a host has once the kernel's mdev module is loaded.
    mdevs: Option<Directory>,
    seen: Mutex<Seen>,
    creatable: OnceLock<Arc<BTreeMap<Identity, String>>>,
    all_vgpu_names: OnceLock<Arc<BTreeMap<VgpuType, String>>>,
}

/// What was read so far.
#[derive(Debug, Default)]
struct Seen {
    answers: HashMap<DeviceAddress, Answer<Lookup>>,
    /// The cards of virtual functions that were looked up, relative to the root.
    cards: HashMap<PciAddress, PathBuf>,
    /// By card.
    vgpu_names: HashMap<PathBuf, BTreeMap<VgpuType, String>>,
    /// By path relative to the root.
    parents: HashMap<PathBuf, SeenParent>,
}

#[derive(Debug, Default)]
struct SeenParent {
    directory: Option<Arc<Directory>>,
    facts: Option<Answer<Parent>>,
    types: HashMap<MdevType, Answer<DeviceApi>>,
}

/// The parent of a mediated device.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parent {
    /// A PCI device, virtual functions included.
    Pci {
        /// The content of its `vendor` file.
        vendor: PciId,
        /// The content of its `device` file.
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
    /// Opens the directory to use as `/sys`.
    ///
    /// # Errors
    /// [`SysfsError::NotSysfs`] if it cannot be opened or has no directory `bus`; another if `bus/mdev/devices` is there and
    /// cannot be opened.
    pub fn open(dir: &Path) -> Result<Self, SysfsError> {
        let tree = Tree::open(dir)?;
        let mdevs = if_there(tree.directory(MDEVS, ""))?;
        Ok(Self { tree, mdevs, seen: Mutex::default(), creatable: OnceLock::new(), all_vgpu_names: OnceLock::new() })
    }

    /// Returns the directory, as it was given.
    pub fn dir(&self) -> &Path {
        self.tree.name()
    }

    /// Returns what the host has under this UUID or at this PCI address.
    ///
    /// # Errors
    /// If something about the device cannot be read, or is not as the kernel writes it; the same error each time.
    pub fn lookup(&self, device: DeviceAddress) -> Result<Lookup, Arc<SysfsError>> {
        // Entries are added when they are complete, so they are valid even if another thread panicked.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = seen.answers.get(&device) {
            return answer.clone();
        }
        let answer = match device {
            DeviceAddress::Mdev(uuid) => self.read_mdev(uuid, &mut seen.parents),
            DeviceAddress::Pci(address) => self.read_pci(address, &mut seen.cards).map_err(Arc::new),
        };
        seen.answers.insert(device, answer.clone());
        answer
    }

    /// Returns what a device of this type would be, made from this parent, or `None` if the host has no such parent.
    ///
    /// # Errors
    /// If something about the parent or the type cannot be read, or is not as the kernel writes it.
    pub(super) fn would_be(&self, parent: &str, mdev_type: &MdevType) -> Answer<Option<Lookup>> {
        let Some(path) = self.path_of_parent(parent)? else { return Ok(None) };
        let parent = self.tree.directory(&path, "the parent")?;
        self.read_made_from(&parent, mdev_type.clone(), &mut SeenParent::default()).map(Some)
    }

    /// Returns the path of a parent of mediated devices relative to the root, or `None` if the host has none of this name.
    fn path_of_parent(&self, name: &str) -> Result<Option<PathBuf>, SysfsError> {
        let Some(parents) = if_there(self.tree.directory(PARENTS, ""))? else { return Ok(None) };
        Ok(self.tree.follow(&parents, name)?.map(|target| target.path))
    }

    /// Returns the names of vGPU types that the cards of these virtual functions list, of those that were looked up.
    ///
    /// What cannot be read is left out: names are only for messages.
    pub fn vgpu_names(&self, functions: &[PciAddress]) -> BTreeMap<VgpuType, String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { cards, vgpu_names, .. } = &mut *seen;
        let mut names = BTreeMap::new();
        for card in functions.iter().filter_map(|function| cards.get(function)) {
            let of_card =
                vgpu_names.entry(card.clone()).or_insert_with(|| self.vgpu_names_of_card(card).unwrap_or_default());
            names.extend(of_card.clone());
        }
        names
    }

    /// Returns the names of the vGPU types of all cards, from the list that NVIDIA's driver brings, if it is there.
    pub fn all_vgpu_names(&self) -> Arc<BTreeMap<VgpuType, String>> {
        Arc::clone(self.all_vgpu_names.get_or_init(|| Arc::new(vgpu_config::names(self.tree.name()))))
    }

    /// Reads the list of each virtual function of a card: it is empty once the function has its type, or the card is full.
    fn vgpu_names_of_card(&self, card: &Path) -> Result<BTreeMap<VgpuType, String>, SysfsError> {
        let mut names = BTreeMap::new();
        let card = self.tree.directory(card, "the card")?;
        for link in self.tree.names(&card)?.iter().filter(|name| name.starts_with("virtfn")) {
            let Ok(Some(function)) = self.tree.follow(&card, link) else { continue };
            let function = self.tree.directory(&function.path, "");
            let list = function.and_then(|function| self.creatable_vgpu_types(&function)).unwrap_or_default();
            names.extend(list.into_iter().map(|listed| (listed.vgpu_type, listed.name)));
        }
        Ok(names)
    }

    /// Returns the vGPU types that a virtual function could be made.
    fn creatable_vgpu_types(&self, function: &Directory) -> Result<Vec<CreatableVgpuType>, SysfsError> {
        let directory = self.tree.directory_in(function, NVIDIA, "")?;
        let list = self.tree.attribute(&directory, "creatable_vgpu_types", "")?;
        Ok(String::from_utf8_lossy(&list).lines().filter_map(creatable_vgpu_type).collect())
    }

    fn read_pci(&self, address: PciAddress, cards: &mut HashMap<PciAddress, PathBuf>) -> Result<Lookup, SysfsError> {
        let Some(device) = self.pci_directory(address)? else {
            let looked_for = format!("no {PCI_DEVICES}/{address} in {}", self.tree.name().display());
            return Ok(Err(NoIdentity::Absent(Absence::NotFound { looked_for })));
        };
        let (vendor, product) = self.pci_ids(&device)?;
        let physfn = self.physfn(&device)?;
        let found = |kind| {
            let identity = Identity { vendor, product, kind };
            let is_virtual_function = physfn.is_some();
            Ok(Ok(Device { subsystem: self.subsystem(&device), is_virtual_function, ..identity.into() }))
        };
        if let Some((_, card)) = &physfn {
            if let Some(state) = self.vgpu_state(&device)? {
                cards.insert(address, card.clone());
                return match state {
                    VgpuState::Type(vgpu_type) => found(DeviceKind::Vgpu(vgpu_type)),
                    VgpuState::Untyped | VgpuState::Unknown => Ok(Err(NoIdentity::Untyped)),
                };
            }
            if vendor == PciId::from(NVIDIA_ID) {
                let looked_for = format!("no directory {NVIDIA} in {}", self.tree.shown(device.path()).display());
                return Ok(Err(NoIdentity::NoVgpuType { looked_for }));
            }
        }
        found(DeviceKind::Pci(self.pci_class(&device)?))
    }

    /// Opens the directory of a PCI device, or returns `None` if the host has none at this address.
    fn pci_directory(&self, address: PciAddress) -> Result<Option<Directory>, SysfsError> {
        let name = address.to_string();
        let Some(devices) = if_there(self.tree.directory(PCI_DEVICES, ""))? else { return Ok(None) };
        let Some(target) = self.tree.follow(&devices, &name)? else { return Ok(None) };
        if !target.path.ends_with(&name) || !target.path.starts_with("devices") {
            return Err(target.wrong("devices/…/ADDRESS"));
        }
        self.tree.directory(&target.path, "the PCI device's own directory").map(Some)
    }

    /// Returns the vendor and device id of a PCI device.
    fn pci_ids(&self, device: &Directory) -> Result<(PciId, PciId), SysfsError> {
        let vendor = self.pci_id(device, "vendor", "the vendor id of a PCI device")?;
        Ok((vendor, self.pci_id(device, "device", "the device id of a PCI device")?))
    }

    /// Returns the physical function of a virtual function: its address, and its path relative to the root.
    fn physfn(&self, device: &Directory) -> Result<Option<(PciAddress, PathBuf)>, SysfsError> {
        let Some(target) = self.tree.follow(device, "physfn")? else { return Ok(None) };
        match last_name(&target.path).and_then(|name| name.parse().ok()) {
            Some(address) => Ok(Some((address, target.path))),
            None => Err(target.wrong("the address of a PCI device")),
        }
    }

    fn pci_class(&self, device: &Directory) -> Result<PciClass, SysfsError> {
        self.tree.parsed(device, "class", "the class of a PCI device", "a PCI class", |text| {
            text.parse().map_err(|error: PciClassError| Some(error.into()))
        })
    }

    /// Returns the subsystem ids. They decide nothing, so a device without them is not an error.
    fn subsystem(&self, device: &Directory) -> Option<Subsystem> {
        let id = |name| self.pci_id(device, name, "").ok();
        let (vendor, device) = id("subsystem_vendor").zip(id("subsystem_device"))?;
        Some(Subsystem { vendor, device })
    }

    /// Returns whether a virtual function has a vGPU type, or `None` if NVIDIA's driver does not show it.
    ///
    /// Other attributes of the directory are not read: some fail until a type is set.
    fn vgpu_state(&self, function: &Directory) -> Result<Option<VgpuState>, SysfsError> {
        let Some(directory) = if_there(self.tree.directory_in(function, NVIDIA, ""))? else { return Ok(None) };
        let (missing, wanted) = ("the vGPU type of a virtual function", "the number of a vGPU type");
        let number =
            self.tree.parsed(&directory, "current_vgpu_type", missing, wanted, |text| number(text).ok_or(None))?;
        Ok(Some(VgpuType::new(number).map_or(VgpuState::Untyped, VgpuState::Type)))
    }

    /// Returns the devices that can be created: for each identity that has instances left, the name of a parent.
    ///
    /// What cannot be read is left out, since this is for advice, not for a verdict.
    pub fn creatable(&self) -> Arc<BTreeMap<Identity, String>> {
        Arc::clone(self.creatable.get_or_init(|| Arc::new(self.read_creatable())))
    }

    fn read_mdev(&self, uuid: Uuid, parents: &mut HashMap<PathBuf, SeenParent>) -> Answer<Lookup> {
        let root = self.tree.name().display();
        let Some(mdevs) = &self.mdevs else {
            return Ok(Err(NoIdentity::Absent(Absence::NoDriver { looked_for: format!("no {MDEVS} in {root}") })));
        };
        let Some(parent_path) = self.parent_path(mdevs, uuid)? else {
            return Ok(Err(NoIdentity::Absent(Absence::NotFound {
                looked_for: format!("no {MDEVS}/{uuid} in {root}"),
            })));
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
        self.read_made_from(&parent, mdev_type, seen)
    }

    /// Returns what a device of this type is, made from this parent.
    fn read_made_from(&self, parent: &Directory, mdev_type: MdevType, seen: &mut SeenParent) -> Answer<Lookup> {
        let device_api = seen.types.entry(mdev_type.clone());
        let device_api =
            device_api.or_insert_with(|| self.device_api(parent, mdev_type.as_str()).map_err(Arc::new)).clone()?;
        // Checked before the parent: another device API is the answer even if the parent's files cannot be read.
        if !device_api.is_vfio_pci() {
            return Ok(Err(NoIdentity::OtherDeviceApi(device_api)));
        }
        Ok(match seen.facts.get_or_insert_with(|| self.parent(parent).map_err(Arc::new)).clone()? {
            Parent::Pci { vendor, product } => {
                Ok(Identity { vendor, product, kind: DeviceKind::Mdev(mdev_type) }.into())
            }
            Parent::Other { name, subsystem } => Err(NoIdentity::ParentNotPci { parent: name, subsystem }),
        })
    }

    /// Returns the path of the device's parent relative to the root, or `None` if the device does not exist.
    fn parent_path(&self, mdevs: &Directory, uuid: Uuid) -> Result<Option<PathBuf>, SysfsError> {
        let name = uuid.to_string();
        let Some(target) = self.tree.follow(mdevs, &name)? else { return Ok(None) };
        let device = &target.path;
        // Only the last two names count: directories further up may be named like a UUID or a PCI address too.
        match device.parent() {
            Some(parent)
                if device.ends_with(&name) && device.starts_with("devices") && parent.iter().nth(1).is_some() =>
            {
                Ok(Some(parent.to_owned()))
            }
            _ => Err(target.wrong("devices/…/PARENT/UUID")),
        }
    }

    /// Returns the type of a device, as its `mdev_type` names it.
    fn mdev_type(&self, parent: &Directory, uuid: Uuid) -> Result<MdevType, SysfsError> {
        const LINK: &str = "mdev_type";
        let device = self.tree.directory_in(parent, uuid.to_string(), "the mdev's own directory")?;
        let path = self.tree.shown(&device.path().join(LINK));
        let Some(target) = self.tree.follow(&device, LINK)? else {
            return Err(SysfsError::Missing { path, wanted: "the link to the mdev's type" });
        };
        let name = target.path.strip_prefix(parent.path().join(TYPES)).ok().filter(|below| below.iter().count() == 1);
        let Some(name) = name.map(Path::as_os_str) else {
            return Err(target.wrong("mdev_supported_types/TYPE of its parent"));
        };
        MdevType::from_bytes(name.as_bytes()).map_err(|source| SysfsError::TypeName {
            path,
            name: name.to_string_lossy().into_owned(),
            source,
        })
    }

    fn device_api(&self, parent: &Directory, type_name: &str) -> Result<DeviceApi, SysfsError> {
        let path = Path::new(TYPES).join(type_name);
        let directory = self.tree.directory_in(parent, path, "the directory of the mdev's type")?;
        let missing = "the device API of the mdev's type";
        self.tree.parsed(&directory, "device_api", missing, "a device API", |text| {
            let word = text.strip_suffix('\n').unwrap_or(text);
            let is_word = !word.is_empty() && word.chars().all(|character| character.is_ascii_graphic());
            is_word.then(|| DeviceApi(word.to_owned())).ok_or(None)
        })
    }

    /// Reads what the parent is. Its `subsystem` decides, since anything may have files named `vendor` and `device`.
    fn parent(&self, parent: &Directory) -> Result<Parent, SysfsError> {
        // The link is read, never followed: its target need not exist.
        let subsystem = self.tree.link(parent, "subsystem")?.and_then(|target| last_name(&target));
        if subsystem.as_deref() != Some("pci") {
            return Ok(Parent::Other { name: last_name(parent.path()).unwrap_or_default(), subsystem });
        }
        let (vendor, product) = self.pci_ids(parent)?;
        Ok(Parent::Pci { vendor, product })
    }

    fn pci_id(&self, device: &Directory, name: &str, missing: &'static str) -> Result<PciId, SysfsError> {
        self.tree.parsed(device, name, missing, "a PCI id", |text| {
            text.parse().map_err(|error: PciIdError| Some(error.into()))
        })
    }
}

/// Returns what was read, or `None` if it does not exist.
fn if_there<T>(read: Result<T, SysfsError>) -> Result<Option<T>, SysfsError> {
    match read {
        Err(SysfsError::Missing { .. }) => Ok(None),
        read => read.map(Some),
    }
}

/// Parses a number as the kernel writes it.
fn number(text: &str) -> Option<u32> {
    let digits = text.strip_suffix('\n').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Returns the last name of a path, or `None` if it ends in `..` or is empty.
fn last_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Parses a line of a list of vGPU types: `1148  : NVIDIA L40S-2Q`, or the name first, as some drivers print it.
fn creatable_vgpu_type(line: &str) -> Option<CreatableVgpuType> {
    let pair = |(number, name): (&str, &str)| {
        let vgpu_type = VgpuType::new(number.trim().parse().ok()?)?;
        Some(CreatableVgpuType { vgpu_type, name: name.trim().to_owned() })
    };
    let number_first = line.split_once(':').and_then(pair);
    number_first.or_else(|| line.rsplit_once(':').and_then(|(name, number)| pair((number, name))))
}
