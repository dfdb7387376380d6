//! The mediated devices that mdevctl has defined, started or not.
//!
//! mdevctl(8) keeps a definition in `/etc/mdevctl.d/PARENT/UUID`: a JSON object, of which only `mdev_type` is read. PARENT is the
//! name of the parent in `/sys/class/mdev_bus`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use thiserror::Error;

use super::record::{HostRecord, Mdev, Unreadable};
use super::{Absence, HostError, Lookup, NoIdentity, Sysfs, SysfsError, with_causes};
use crate::device::{Device, DeviceAddress, MdevType, Uuid};
use crate::file::{self, FileError, Input, Original, Purpose};

/// The most that is read of a definition, in bytes.
const MAX_DEFINITION: usize = 1 << 20;

/// The definitions of mdevctl as they are during one run, and what they are used for.
#[derive(Clone, Debug)]
pub struct Mdevctl {
    dir: PathBuf,
    counts: bool,
    definitions: OnceLock<Answer<BTreeMap<Uuid, Vec<Definition>>>>,
}

/// A definition.
#[derive(Clone, Debug)]
struct Definition {
    uuid: Uuid,
    /// The name of the parent.
    parent: String,
    /// The file.
    path: PathBuf,
}

/// An answer that is kept.
type Answer<T> = Result<T, Arc<MdevctlError>>;

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
    Sysfs(#[from] Arc<SysfsError>),
}

impl Mdevctl {
    /// Uses the definitions in a directory, usually `/etc/mdevctl.d`. `counts` says whether a device that is only defined counts
    /// as a device of the host; otherwise its definition is only mentioned.
    pub fn new(dir: PathBuf, counts: bool) -> Self {
        Self { dir, counts, definitions: OnceLock::new() }
    }

    /// Returns what the device with this UUID will be once it is started, and its definition, if it is defined and that counts.
    /// `absence` is why the running host does not have it.
    pub(super) fn lookup(
        &self,
        uuid: Uuid,
        absence: Absence,
        sysfs: &Sysfs,
    ) -> Result<(Lookup, Option<PathBuf>), HostError> {
        let looked_for = absence.looked_for();
        let definition = match self.definition(uuid) {
            Ok(Some(definition)) => definition,
            Err(error) if self.counts => return Err(error.into()),
            Ok(None) if self.counts => {
                let looked_for = format!("{looked_for}, nor a definition in {}", self.dir.display());
                return Ok((Err(NoIdentity::Absent(Absence::NotFound { looked_for })), None));
            }
            Ok(None) | Err(_) => return Ok((Err(NoIdentity::Absent(absence)), None)),
        };
        let path = definition.path.clone();
        if !self.counts {
            let absence = Absence::NotStarted { looked_for: looked_for.to_owned(), definition: Some(path) };
            return Ok((Err(NoIdentity::Absent(absence)), None));
        }
        let found = match definition.started(sysfs).map_err(HostError::new)? {
            (_, Some(found)) => found.map(|device| Device { is_defined_only: true, ..device }),
            (_, None) => {
                let looked_for = format!("{looked_for}; {}", definition.no_parent());
                Err(NoIdentity::Absent(Absence::NotFound { looked_for }))
            }
        };
        Ok((found, Some(path)))
    }

    /// Adds the devices to a record that are defined and not started, if they count.
    ///
    /// # Errors
    /// If the definitions cannot be listed, or two parents have one of the same UUID.
    pub(super) fn add_to(&self, record: &mut HostRecord, sysfs: &Sysfs) -> Result<(), HostError> {
        if !self.counts {
            return Ok(());
        }
        let running = record.mdev_parents.iter().flat_map(|parent| &parent.mdevs).map(|mdev| mdev.uuid);
        let running: HashSet<_> = running.chain(record.unreadable.iter().filter_map(|entry| entry.uuid)).collect();
        let definitions = self.definitions()?;
        for uuid in definitions.keys().copied().filter(|uuid| !running.contains(uuid)) {
            let Some(definition) = self.definition(uuid)? else { continue };
            let parent = record.mdev_parents.iter_mut().find(|parent| parent.name == definition.parent);
            match (definition.started(sysfs), parent) {
                (Ok((mdev_type, Some(_))), Some(parent)) => {
                    parent.mdevs.push(Mdev { uuid, mdev_type, is_defined_only: true });
                    parent.mdevs.sort_by_key(|mdev| mdev.uuid);
                }
                (Ok(_), _) => record.unreadable.push(Unreadable::new(None, definition.no_parent())),
                (Err(error), _) => {
                    record.unreadable.push(Unreadable::new(DeviceAddress::Mdev(uuid), with_causes(&error)));
                }
            }
        }
        Ok(())
    }

    /// Returns the definition of a device, if it has one.
    fn definition(&self, uuid: Uuid) -> Answer<Option<&Definition>> {
        match self.definitions()?.get(&uuid).map(Vec::as_slice) {
            None => Ok(None),
            Some([first, second, ..]) => {
                let (first, second) = (first.path.clone(), second.path.clone());
                Err(MdevctlError::TwoParents { uuid, first, second }.into())
            }
            Some(definitions) => Ok(definitions.first()),
        }
    }

    /// Returns the definitions by UUID, and those of one UUID by parent.
    fn definitions(&self) -> Answer<&BTreeMap<Uuid, Vec<Definition>>> {
        self.definitions.get_or_init(|| self.list().map_err(Arc::new)).as_ref().map_err(Arc::clone)
    }

    /// Lists the definitions. A directory that does not exist has none.
    fn list(&self) -> Result<BTreeMap<Uuid, Vec<Definition>>, MdevctlError> {
        let mut definitions = BTreeMap::<_, Vec<_>>::new();
        for parent in names(&self.dir)? {
            let dir = self.dir.join(&parent);
            if !dir.is_dir() {
                continue;
            }
            for name in names(&dir)? {
                // scripts.d, and whatever else has no UUID for a name, defines no device.
                let Ok(uuid) = name.parse() else { continue };
                let definition = Definition { uuid, parent: parent.clone(), path: dir.join(&name) };
                definitions.entry(uuid).or_default().push(definition);
            }
        }
        Ok(definitions)
    }
}

/// Returns the names in a directory in byte order, except those that are not UTF-8.
fn names(dir: &Path) -> Result<BTreeSet<String>, MdevctlError> {
    let unreadable = |source| MdevctlError::Unreadable { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    Ok(names)
}

impl Definition {
    /// Returns why it cannot be started on this host.
    fn no_parent(&self) -> String {
        format!("{} defines mdev {}, and this host has no parent {}", self.path.display(), self.uuid, self.parent)
    }

    /// Returns the type, and what the device will be once it is started: nothing if the host does not have its parent.
    fn started(&self, sysfs: &Sysfs) -> Result<(MdevType, Option<Lookup>), MdevctlError> {
        let mdev_type = self.read()?;
        let found = sysfs.would_be(&self.parent, &mdev_type)?;
        Ok((mdev_type, found))
    }

    /// Reads the type of the device.
    fn read(&self) -> Result<MdevType, MdevctlError> {
        // Only a regular file: a FIFO would block.
        let input = Input::File(self.path.clone());
        let Original { contents, .. } = file::read_up_to(MAX_DEFINITION, &input, Purpose::Replacing)?;
        serde_json::from_slice(&contents)
            .map(|Content { mdev_type }| mdev_type)
            .map_err(|error| MdevctlError::NotADefinition { path: self.path.clone(), reason: error.to_string() })
    }
}
