//! Backups of files that are replaced.
//!
//! An existing backup is an error, and is never overwritten. GNU's `sed -i`, `cp -b` and `patch -b` overwrite a simple backup,
//! so the second run replaces the only copy of the original with the result of the first. A run can still be repeated, since
//! a file that needs no change is not backed up.

use std::ffi::OsString;
use std::fs::{self, FileTimes};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

use super::error::{Action, FileError};
use super::input::open_with;
use super::protection;
use super::state::FileState;
use super::target::state_of;
use super::temporary::{self, Leftovers, Temporary};

/// The suffix that turns a file's name into that of its backup, such as `.bak`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffix(OsString);

impl Suffix {
    /// Checks that the suffix names another file in the same directory.
    ///
    /// # Errors
    /// If it is empty or contains a slash.
    pub fn new(suffix: impl Into<OsString>) -> Result<Self, BadSuffix> {
        let suffix = suffix.into();
        if suffix.is_empty() || suffix.as_bytes().contains(&b'/') {
            return Err(BadSuffix);
        }
        Ok(Self(suffix))
    }

    /// Returns the path of the backup of `target`.
    pub(super) fn beside(&self, target: &Path) -> PathBuf {
        let mut name = target.as_os_str().to_owned();
        name.push(&self.0);
        PathBuf::from(name)
    }
}

/// A suffix that does not name another file in the same directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the backup suffix is empty or contains a slash")]
pub struct BadSuffix;

/// A backup that is planned or made. Dropping it removes it, unless it was [kept](Self::keep).
#[derive(Debug)]
pub(super) struct Backup {
    file: Temporary,
    /// Whether it exists as another name of the file that is to be replaced, from a run that was killed before the rename.
    pub is_found: bool,
}

impl Backup {
    /// Plans the backup of `target`, which is in the state `state`.
    pub fn plan(target: &Path, state: &FileState, suffix: &Suffix, leftovers: &Leftovers) -> Result<Self, FileError> {
        let backup = suffix.beside(target);
        let is_found = match state_of(&backup) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(Action::BackUp.failed(backup)(source)),
            Ok(found) if found.same_file(state) && state.links == 2 => true,
            Ok(_) => return Err(FileError::BackupExists { backup }),
        };
        Ok(Self { file: Temporary { path: backup, is_ours: false, leftovers: leftovers.clone() }, is_found })
    }

    /// Makes the backup of `target`, and updates `state`, since a new hard link changes it.
    ///
    /// A hard link is better than a copy: it is complete at once, has the same protection and times, and receives what a
    /// program that has the file open writes later. If the file system (FAT) or the kernel refuses hard links, the file is
    /// copied. `path` is for messages.
    pub fn make(&mut self, target: &Path, state: &mut FileState, path: &Path) -> Result<(), FileError> {
        if self.is_found {
            return Ok(());
        }
        match fs::hard_link(target, &*self.file) {
            Ok(()) => {
                self.file.is_ours = true;
                let linked = state_of(target).ok().filter(|linked| state.same_but_for_names(linked));
                *state = linked.ok_or_else(|| FileError::Changed { path: path.to_owned() })?;
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::AlreadyExists => Err(FileError::BackupExists { backup: self.file.to_path_buf() }),
                io::ErrorKind::NotFound => Err(FileError::Changed { path: path.to_owned() }),
                _ => self.copy(target, state, path),
            },
        }
    }

    /// Copies `target` to the backup, with its protection and times, and syncs the copy.
    fn copy(&mut self, target: &Path, state: &FileState, path: &Path) -> Result<(), FileError> {
        let failed = |source| Action::BackUp.failed(&*self.file)(source);
        let mut old = open_with(target, OFlags::NOFOLLOW).map_err(failed)?;
        let (mut file, temporary) =
            temporary::create(&self.file, state.permissions() & 0o600, path, &self.file.leftovers)?;
        io::copy(&mut old, &mut file).map_err(failed)?;
        let created = FileState::of(&file).map_err(failed)?;
        protection::carry_over(target, state, &file, &created, path)?;
        let times = old
            .metadata()
            .and_then(|found| Ok(FileTimes::new().set_accessed(found.accessed()?).set_modified(found.modified()?)));
        times.and_then(|times| file.set_times(times)).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        temporary.rename_to_new(&self.file).map_err(failed)?;
        self.file.is_ours = true;
        Ok(())
    }

    /// Keeps the backup, and returns its path.
    pub fn keep(self) -> PathBuf {
        self.file.keep()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_copied_backup_has_the_same_protection_and_times() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("vm.xml");
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        let state = state_of(&target).unwrap();
        let plan = || Backup::plan(&target, &state, &Suffix::new(".bak").unwrap(), &Leftovers::default());

        let mut dropped = plan().unwrap();
        dropped.copy(&target, &state, &target).unwrap();
        drop(dropped);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        let mut kept = plan().unwrap();
        kept.copy(&target, &state, &target).unwrap();
        let kept = kept.keep();
        assert_eq!(fs::read(&kept).unwrap(), b"old");
        let (old, copy) = (target.metadata().unwrap(), kept.metadata().unwrap());
        assert_ne!(old.ino(), copy.ino());
        assert_eq!((copy.mode(), copy.uid(), copy.gid()), (old.mode(), old.uid(), old.gid()));
        assert_eq!(copy.modified().unwrap(), old.modified().unwrap());
        assert!(state_of(&target).unwrap() == state, "copying does not change it");
        assert!(matches!(plan(), Err(FileError::BackupExists { .. })));
    }
}
