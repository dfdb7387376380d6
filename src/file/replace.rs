//! Replacing files: all of them written first, then each put in its place.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::backup::{Backup, Suffix};
use super::durability::{Device, Durability};
use super::error::{CommitError, FileError};
use super::input::{Original, missing};
use super::interrupt::Interrupt;
use super::stamp::Stamp;
use super::swap::{self, Placed};
use super::target::{look, may_replace, resolve};
use super::{protection, temporary};

/// Files that are replaced together: all, or as far as it can be known before, none.
///
/// [`stage`](Self::stage) may be called from several threads at once. Whatever is staged but not committed is removed
/// when it is dropped.
#[derive(Debug)]
pub struct Batch<'a> {
    interrupt: &'a Interrupt,
    durability: Durability,
}

/// A new file that lies beside the one that it will replace.
#[derive(Debug)]
#[must_use = "dropping it discards the new contents"]
pub struct Staged {
    /// As the user named it.
    path: PathBuf,
    /// Where it really is.
    target: PathBuf,
    temporary: TempPath,
    device: Device,
    /// The state in which the target must still be; none where it must not be there.
    expected: Option<Stamp>,
    backup: Option<Backup>,
    warnings: Vec<Warning>,
}

/// A file that has been replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// As the user named it.
    pub path: PathBuf,
    /// The backup of what it was.
    pub backup: Option<PathBuf>,
}

/// What does not hinder replacing a file, but should be said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Nobody is allowed to write the file by its mode (0444); the caller, root, is nevertheless.
    WriteProtected {
        /// As the user named it.
        path: PathBuf,
    },
}

impl Staged {
    /// The file that it is for, as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What should be said about replacing it.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl<'a> Batch<'a> {
    /// An empty batch, which is given up when a signal arrives.
    ///
    /// It takes an [`Interrupt`] so that there is no temporary file that a signal would leave behind.
    pub fn new(interrupt: &'a Interrupt) -> Self {
        Self { interrupt, durability: Durability::new() }
    }

    /// One that does not trust `syncfs`, as before Linux 5.8.
    #[cfg(test)]
    pub(super) fn one_by_one(interrupt: &'a Interrupt) -> Self {
        Self { interrupt, durability: Durability::one_by_one() }
    }

    /// Writes the new contents of the file that `original` was read from, beside it: with its owner, mode, ACLs and
    /// extended attributes, and at no moment readable by anyone who could not read the file itself.
    ///
    /// A symbolic link is followed, and stays.
    ///
    /// # Errors
    /// Where the file must not, or cannot, be replaced with all of that kept. Nothing is left behind.
    pub fn stage(&self, original: &Original, new: &[u8], backup: Option<&Suffix>) -> Result<Staged, FileError> {
        self.interrupt.check()?;
        let Some(path) = original.input.path() else { return Err(FileError::StandardInput) };
        let target = match original.found {
            Some(found) if !found.through_link => path.to_owned(),
            _ => resolve(path)?,
        };
        let Some(found) = original.found else { return Err(not_regular(path)) };
        self.stage_over(path, target, found.stamp, new, backup)
    }

    /// Writes what is to be the contents of the file at `path`, whether or not there is one.
    ///
    /// One that is there is replaced as by [`stage`](Self::stage), without a backup; else a new one gets the mode that
    /// any new file gets.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage). What is no regular file is refused, `/dev/stdout` and `/dev/null` too: root would
    /// replace the device.
    pub fn stage_output(&self, path: &Path, new: &[u8]) -> Result<Staged, FileError> {
        self.interrupt.check()?;
        let target = resolve(path)?;
        match look(&target) {
            Ok(stamp) => self.stage_over(path, target, stamp, new, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if target != path {
                    return Err(FileError::DanglingLink { path: path.to_owned(), missing: target });
                }
                self.stage_new(path, new)
            }
            Err(source) => Err(FileError::Look { path: path.to_owned(), source }),
        }
    }

    fn stage_over(
        &self,
        path: &Path,
        target: PathBuf,
        stamp: Stamp,
        new: &[u8],
        backup: Option<&Suffix>,
    ) -> Result<Staged, FileError> {
        if !stamp.is_regular() {
            return Err(not_regular(path));
        }
        let backup = backup.map(|suffix| Backup::plan(&target, &stamp, suffix, path)).transpose()?;
        let allowed = if backup.as_ref().is_some_and(Backup::is_found) { 2 } else { 1 };
        if stamp.links > allowed {
            return Err(FileError::HardLinks { path: path.to_owned(), links: stamp.links });
        }
        may_replace(&target, path)?;
        let mut warnings = Vec::new();
        if stamp.permissions() & 0o222 == 0 {
            warnings.push(Warning::WriteProtected { path: path.to_owned() });
        }
        // Its owner may read the new file no sooner than the old one, should that be unreadable even to its owner.
        let (temporary, device) = self.write(path, &target, stamp.permissions() & 0o600, new, Some(&stamp))?;
        Ok(Staged { path: path.to_owned(), target, temporary, device, expected: Some(stamp), backup, warnings })
    }

    fn stage_new(&self, path: &Path, new: &[u8]) -> Result<Staged, FileError> {
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(FileError::NotFound { path: path.to_owned() });
        }
        let (temporary, device) = self.write(path, path, 0o666, new, None)?;
        Ok(Staged {
            path: path.to_owned(),
            target: path.to_owned(),
            temporary,
            device,
            expected: None,
            backup: None,
            warnings: Vec::new(),
        })
    }

    /// Writes a temporary file beside `target`, protected like it if it is in the state `like`.
    fn write(
        &self,
        path: &Path,
        target: &Path,
        mode: u32,
        new: &[u8],
        like: Option<&Stamp>,
    ) -> Result<(TempPath, Device), FileError> {
        let unwritten = |source| FileError::Write { path: path.to_owned(), source };
        let temporary = temporary::create(target, mode, path)?;
        let file = temporary.as_file();
        let created = file.metadata().map(|metadata| Stamp::of(&metadata)).map_err(unwritten)?;
        self.durability.begin(created.dev, file).map_err(unwritten)?;
        temporary::write(file, new, path)?;
        if let Some(stamp) = like {
            protection::carry_over(target, stamp, file, &created, path)?;
        }
        self.durability.written(file).map_err(|source| FileError::Sync { path: path.to_owned(), source })?;
        // Thousands of files may be staged: none stays open.
        Ok((temporary.into_temp_path(), created.dev))
    }

    /// Replaces all the files of `staged`, in that order.
    ///
    /// Everything is brought to disk; it is seen that no file was changed since it was read; the backups are made and
    /// brought to disk; then, and only then, each new file takes its place, and the directories are brought to disk.
    /// If one cannot, those before it are put back. A signal that arrives before the first of them gives it all up; one
    /// that arrives later lets it come to its end, which takes no time. [`Interrupt::caught`] tells of both.
    ///
    /// # Errors
    /// With every fault that was found. Nothing is replaced then, except as [`CommitError::replaced`] says.
    pub fn commit(&self, mut staged: Vec<Staged>) -> Result<Vec<Replaced>, CommitError> {
        self.bring_to_disk(&staged)?;
        self.interrupt.check()?;
        all(staged.iter().map(Staged::last_look))?;
        all(staged.iter_mut().map(Staged::make_backup))?;
        let backed_up = staged.iter().filter(|staged| staged.backup.is_some());
        self.sync_directories(backed_up.map(|staged| (staged.device, &*staged.target)))?;
        self.interrupt.check()?;

        let mut placed = Vec::with_capacity(staged.len());
        for staged in staged {
            match staged.place() {
                Ok(done) => placed.push(done),
                Err(fault) => return Err(self.take_back(placed, fault)),
            }
        }
        let synced = self.sync_directories(placed.iter().map(|placed| (placed.device, &*placed.target)));
        let (replaced, old): (Vec<_>, Vec<_>) = placed.into_iter().map(Placed::keep).unzip();
        swap::free(old.into_iter().flatten().collect());
        match synced {
            Ok(()) => Ok(replaced),
            Err(fault) => Err(CommitError { faults: vec![fault], replaced }),
        }
    }

    /// Puts back what was placed before `fault` was met.
    fn take_back(&self, placed: Vec<Placed>, fault: FileError) -> CommitError {
        let targets: Vec<_> = placed.iter().map(|placed| (placed.device, placed.target.clone())).collect();
        let mut replaced: Vec<_> = placed.into_iter().rev().map(Placed::take_back).filter_map(Result::err).collect();
        replaced.reverse();
        let synced = self.sync_directories(targets.iter().map(|(device, target)| (*device, &**target)));
        let faults = std::iter::once(fault).chain(synced.err()).collect();
        CommitError { faults, replaced }
    }

    /// Brings the new files to disk, and of those that are backed up the old ones.
    fn bring_to_disk(&self, staged: &[Staged]) -> Result<(), FileError> {
        let new =
            staged.iter().filter(|_| self.durability.is_pending()).map(|staged| (staged.device, &*staged.temporary));
        let old = staged.iter().filter(|staged| staged.backup.is_some()).map(|staged| (staged.device, &*staged.target));
        self.durability.finish(new.chain(old)).map_err(|(path, source)| not_synced(staged, path, source))
    }

    /// Brings the directories of `targets` to disk.
    fn sync_directories<'p>(&self, targets: impl Iterator<Item = (Device, &'p Path)>) -> Result<(), FileError> {
        self.durability
            .finish(swap::directories(targets))
            .map_err(|(path, source)| FileError::NotDurable { directory: path.to_owned(), source })
    }
}

impl Staged {
    /// Sees whether the target is still what was read.
    fn last_look(&self) -> Result<(), FileError> {
        match (look(&self.target), &self.expected) {
            (Ok(now), Some(expected)) if now == *expected => Ok(()),
            (Ok(_), None) => Err(FileError::Appeared { path: self.path.clone() }),
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            (Err(source), _) if source.kind() != io::ErrorKind::NotFound => {
                Err(FileError::Look { path: self.path.clone(), source })
            }
            _ => Err(FileError::Changed { path: self.path.clone() }),
        }
    }

    fn make_backup(&mut self) -> Result<(), FileError> {
        match (&mut self.backup, &mut self.expected) {
            (Some(backup), Some(expected)) => backup.make(&self.target, expected, &self.path),
            _ => Ok(()),
        }
    }

    /// Puts the new file in its place.
    fn place(self) -> Result<Placed, FileError> {
        self.last_look()?;
        let Self { path, target, temporary, device, expected, backup, .. } = self;
        let old = match expected {
            Some(expected) => swap::over(temporary, &target, &expected, &path)?,
            None => swap::into_nothing(temporary, &target, &path).map(|()| None)?,
        };
        Ok(Placed { path, target, device, backup, old })
    }
}

/// Runs all of them, and gathers what failed.
fn all(results: impl Iterator<Item = Result<(), FileError>>) -> Result<(), CommitError> {
    let faults: Vec<_> = results.filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(CommitError { faults, replaced: Vec::new() }) }
}

/// The error for `path`, a temporary file or a target, that could not be brought to disk, in the user's own terms.
fn not_synced(staged: &[Staged], path: &Path, source: io::Error) -> FileError {
    let owner = staged.iter().find(|staged| &*staged.temporary == path || staged.target == path);
    let named = owner.map_or(path, |staged| &staged.path).to_owned();
    // Only the file itself can have been removed by someone who knows nothing of us.
    if source.kind() == io::ErrorKind::NotFound && owner.is_some_and(|staged| staged.target == path) {
        return FileError::Changed { path: named };
    }
    FileError::Sync { path: named, source }
}

fn not_regular(path: &Path) -> FileError {
    match path.metadata() {
        Ok(found) => FileError::NotRegular { path: path.to_owned(), kind: found.file_type().into() },
        Err(_) => missing(path),
    }
}

/// A fault that stopped a batch before anything was replaced.
impl From<FileError> for CommitError {
    fn from(fault: FileError) -> Self {
        Self { faults: vec![fault], replaced: Vec::new() }
    }
}
