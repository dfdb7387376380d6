//! The mediated devices that mdevctl has defined, started or not.
//!
//! mdevctl(8) keeps a definition in `/etc/mdevctl.d/PARENT/UUID`: a JSON object, of which only `mdev_type` is read. PARENT is the
//! name of the parent in `/sys/class/mdev_bus`.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::record::{HostRecord, Mdev, Unreadable};
use super::{Absence, HostError, Lookup, Sysfs, SysfsError, with_causes};
use crate::device::{Device, DeviceAddress, MdevType, Uuid};
use crate::file::{self, FileError, Input, Original, Purpose};

/// The most that is read of a definition, in bytes.
const MAX_DEFINITION: usize = 1 << 20;

/// The directory of mdevctl, and what its definitions are used for.
#[derive(Clone, Debug)]
pub struct Mdevctl {
    /// Usually `/etc/mdevctl.d`.
    pub dir: PathBuf,
    /// Whether a device that is only defined counts as a device of the host. Otherwise its definition is only mentioned.
    pub counts: bool,
}

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The UUID of the device.
    pub uuid: Uuid,
    /// The name of its parent.
    pub parent: String,
    /// The file.
    pub path: PathBuf,
}

/// What is read of a definition.
#[derive(Deserialize)]
struct Content {
    mdev_type: MdevType,
}

/// Why the definitions of mdevctl give no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MdevctlError {
    /// A definition cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two parents have a definition of one UUID.
    #[error("mdev {uuid} is defined twice: {} and {}", first.display(), second.display())]
    TwoParents {
        /// The UUID.
        uuid: Uuid,
        /// One definition.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A definition that is not JSON, or does not name a type.
    #[error("{} is not a definition of mdevctl: {reason}", path.display())]
    NotADefinition {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The parent of a defined device cannot be read.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
}

impl Mdevctl {
    /// Returns what the device with this UUID will be once it is started, and its definition, if it is defined and that counts.
    /// `absence` is why the running host does not have it.
    pub(super) fn lookup(
        &self,
        uuid: Uuid,
        absence: Absence,
        sysfs: &Sysfs,
    ) -> Result<(Lookup, Option<PathBuf>), HostError> {
        let looked_for = absence.looked_for().to_owned();
        let definition = match self.definition(uuid) {
            Ok(Some(definition)) => definition,
            Err(error) if self.counts => return Err(HostError::new(error)),
            Ok(None) | Err(_) if self.counts => {
                let looked_for = format!("{looked_for}, nor a definition in {}", self.dir.display());
                return Ok((Lookup::Absent(Absence::NotFound { looked_for }), None));
            }
            Ok(None) | Err(_) => return Ok((Lookup::Absent(absence), None)),
        };
        if !self.counts {
            let absence = Absence::NotStarted { looked_for, definition: Some(definition.path) };
            return Ok((Lookup::Absent(absence), None));
        }
        let found = match definition.started(sysfs).map_err(HostError::new)? {
            (_, Some(Lookup::Found(device))) => Lookup::Found(Device { is_defined_only: true, ..device }),
            (_, Some(other)) => other,
            (_, None) => {
                let looked_for = format!("{looked_for}; {}", NoParent(&definition));
                Lookup::Absent(Absence::NotFound { looked_for })
            }
        };
        Ok((found, Some(definition.path)))
    }

    /// Adds the devices to a record that are defined and not started, if they count.
    ///
    /// # Errors
    /// If the definitions cannot be listed, or two parents have one of the same UUID.
    pub(super) fn add_to(&self, record: &mut HostRecord, sysfs: &Sysfs) -> Result<(), MdevctlError> {
        if !self.counts {
            return Ok(());
        }
        let running = record.mdev_parents.iter().flat_map(|parent| &parent.mdevs).map(|mdev| mdev.uuid);
        let running: HashSet<_> = running.chain(record.unreadable.iter().filter_map(|entry| entry.uuid)).collect();
        let mut defined = BTreeMap::new();
        for definition in self.definitions()?.into_iter().filter(|definition| !running.contains(&definition.uuid)) {
            let uuid = definition.uuid;
            if let Some(Definition { path: first, .. }) = defined.get(&uuid) {
                return Err(MdevctlError::TwoParents { uuid, first: PathBuf::clone(first), second: definition.path });
            }
            defined.insert(uuid, definition);
        }
        for (uuid, definition) in defined {
            let parent = record.mdev_parents.iter_mut().find(|parent| parent.name == definition.parent);
            match (definition.started(sysfs), parent) {
                (Ok((mdev_type, Some(_))), Some(parent)) => {
                    parent.mdevs.push(Mdev { uuid, mdev_type, is_defined_only: true });
                    parent.mdevs.sort_by_key(|mdev| mdev.uuid);
                }
                (Ok(_), _) => record.unreadable.push(Unreadable::new(None, NoParent(&definition).to_string())),
                (Err(error), _) => {
                    record.unreadable.push(Unreadable::new(DeviceAddress::Mdev(uuid), with_causes(&error)));
                }
            }
        }
        Ok(())
    }

    /// Finds the definition of a device.
    fn definition(&self, uuid: Uuid) -> Result<Option<Definition>, MdevctlError> {
        let mut found: Option<Definition> = None;
        for definition in self.definitions()?.into_iter().filter(|definition| definition.uuid == uuid) {
            if let Some(first) = found {
                return Err(MdevctlError::TwoParents { uuid, first: first.path, second: definition.path });
            }
            found = Some(definition);
        }
        Ok(found)
    }

    /// Lists the definitions, by parent and UUID. A directory that does not exist has none.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn definitions(&self) -> Result<Vec<Definition>, MdevctlError> {
        let mut definitions = Vec::new();
        for parent in names(&self.dir)? {
            let dir = self.dir.join(&parent);
            if !dir.is_dir() {
                continue;
            }
            for name in names(&dir)? {
                // scripts.d, and whatever else has no UUID for a name, defines no device.
                let Ok(uuid) = name.parse() else { continue };
                definitions.push(Definition { uuid, parent: parent.clone(), path: dir.join(&name) });
            }
        }
        Ok(definitions)
    }
}

/// Returns the names in a directory in byte order, except those that are not UTF-8.
fn names(dir: &Path) -> Result<Vec<String>, MdevctlError> {
    let unreadable = |source| MdevctlError::Unreadable { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string()));
    let mut names: Vec<_> = names.collect::<Result<Vec<_>, _>>().map_err(unreadable)?.into_iter().flatten().collect();
    names.sort();
    Ok(names)
}

/// A definition that cannot be started on this host.
#[derive(Debug, Error)]
#[error("{} defines mdev {}, and this host has no parent {}", .0.path.display(), .0.uuid, .0.parent)]
struct NoParent<'a>(&'a Definition);

impl Definition {
    /// Returns the type, and what the device will be once it is started: nothing if the host does not have its parent.
    fn started(&self, sysfs: &Sysfs) -> Result<(MdevType, Option<Lookup>), MdevctlError> {
        let mdev_type = self.read()?;
        let found = sysfs.would_be(&self.parent, &mdev_type)?;
        Ok((mdev_type, found))
    }

    /// Reads the type of the device.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a definition.
    pub fn read(&self) -> Result<MdevType, MdevctlError> {
        // Only a regular file: a FIFO would block.
        let input = Input::File(self.path.clone());
        let Original { contents, .. } = file::read_up_to(MAX_DEFINITION, &input, Purpose::Replacing)?;
        serde_json::from_slice(&contents)
            .map(|Content { mdev_type }| mdev_type)
            .map_err(|error| MdevctlError::NotADefinition { path: self.path.clone(), reason: error.to_string() })
    }
}
