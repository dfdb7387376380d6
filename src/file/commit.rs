//! Renames new files over their targets, once all of them are written.

use std::io;
use std::path::Path;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use super::durability::Device;
use super::error::{Action, FileError};
use super::replace::{Batch, Replaced, Staged};
use super::swap::{self, Placed, Stays};
use super::target::state_of;
use crate::parallel::{self, partition_results};

/// Why a batch was not committed.
#[derive(Debug, Error)]
#[error("not all files were replaced")]
pub struct CommitError {
    /// Every error that was found; never empty.
    pub errors: Vec<FileError>,
    /// The files that are replaced nevertheless: all of them if only the sync of a directory failed, otherwise those that
    /// could not be rolled back, as on a file system without `RENAME_EXCHANGE`. Usually empty.
    pub replaced: Vec<Replaced>,
}

impl Batch<'_> {
    /// Replaces all files of `staged`, and returns them in the same order.
    ///
    /// Syncs the new files, checks that no target has changed since it was read, makes and syncs the backups, then renames,
    /// and syncs the directories. On failure rolls back every rename, except for files that somebody else has modified in
    /// the meantime. A signal before the first rename aborts the batch; one that arrives later does not interrupt it.
    /// [`Interrupt::caught`](super::Interrupt::caught) reports both.
    ///
    /// # Errors
    /// Every error that was found. Nothing is replaced then, except for [`CommitError::replaced`].
    pub fn commit(&self, mut staged: Vec<Staged>) -> Result<Vec<Replaced>, CommitError> {
        self.sync_contents(&staged)?;
        self.interrupt.check()?;
        all(parallel::map(&staged, self.threads, Staged::check_unchanged))?;
        all(parallel::map(&mut staged, self.threads, Staged::make_backup))?;
        self.sync_backups(&staged)?;
        self.interrupt.check()?;

        let (placed, errors) = self.place(staged);
        if !errors.is_empty() {
            return Err(self.roll_back(placed, errors));
        }
        let synced = self.sync_directories(placed.iter().map(|placed| (placed.new.dev, &*placed.target)));
        let replaced = self.keep(placed);
        match synced {
            Ok(()) => Ok(replaced),
            Err(error) => Err(CommitError { errors: vec![error], replaced }),
        }
    }

    /// Replaces each file of `staged` independently of the others, and returns the errors of those that failed.
    ///
    /// The order of the steps is that of [`commit`](Self::commit). A signal before the first rename aborts the batch.
    pub fn commit_each(&self, staged: Vec<Staged>) -> (Vec<Replaced>, Vec<FileError>) {
        let mut errors = Vec::new();
        let staged = self.retain_all(staged, &mut errors, |all| self.sync_contents(all));
        let staged = self.retain_each(staged, &mut errors, |staged| staged.check_unchanged());
        let staged = self.retain_each(staged, &mut errors, Staged::make_backup);
        let staged = self.retain_all(staged, &mut errors, |all| self.sync_backups(all));
        if let Err(interrupted) = self.interrupt.check() {
            errors.push(interrupted);
            return (Vec::new(), errors);
        }
        let (placed, unplaced) = partition_results(parallel::map(staged, self.threads, Staged::place));
        errors.extend(unplaced);
        let synced = self.sync_directories(placed.iter().map(|placed| (placed.new.dev, &*placed.target)));
        errors.extend(synced.err());
        (self.keep(placed), errors)
    }

    /// Renames each new file; starts no other rename after a failure.
    fn place(&self, staged: Vec<Staged>) -> (Vec<Placed>, Vec<FileError>) {
        let has_failed = AtomicBool::new(false);
        let results = parallel::map(staged, self.threads, |staged| {
            let placed = (!has_failed.load(Ordering::Relaxed)).then(|| staged.place())?;
            has_failed.fetch_or(placed.is_err(), Ordering::Relaxed);
            Some(placed)
        });
        partition_results(results.into_iter().flatten())
    }

    /// Rolls back what was placed before the failure, or at the same time.
    fn roll_back(&self, placed: Vec<Placed>, mut errors: Vec<FileError>) -> CommitError {
        let targets: Vec<_> = placed.iter().map(|placed| (placed.new.dev, placed.target.clone())).collect();
        let mut replaced = Vec::new();
        for stays in placed.into_iter().map(Placed::roll_back).filter_map(Result::err) {
            match stays {
                Stays::New(file, error) => {
                    replaced.push(file);
                    errors.extend(error);
                }
                Stays::Theirs(error) => errors.push(error),
            }
        }
        let synced = self.sync_directories(targets.iter().map(|(device, target)| (*device, &**target)));
        errors.extend(synced.err());
        CommitError { errors, replaced }
    }

    /// Keeps the new files, and removes the old ones.
    fn keep(&self, placed: Vec<Placed>) -> Vec<Replaced> {
        let (replaced, old): (Vec<_>, Vec<_>) = placed.into_iter().map(Placed::keep).unzip();
        swap::free(old.into_iter().flatten().collect(), self.threads.most);
        replaced
    }

    /// Syncs the new files, and the old ones that are backed up.
    fn sync_contents(&self, staged: &[Staged]) -> Result<(), FileError> {
        let new =
            staged.iter().filter(|_| self.durability.is_pending()).map(|staged| (staged.new.dev, &*staged.temporary));
        let old =
            staged.iter().filter(|staged| staged.backup.is_some()).map(|staged| (staged.new.dev, &*staged.target));
        self.durability.finish(new.chain(old)).map_err(|(path, source)| not_synced(staged, path, source))
    }

    /// Syncs the directories that hold the backups.
    fn sync_backups(&self, staged: &[Staged]) -> Result<(), FileError> {
        let backed_up = staged.iter().filter(|staged| staged.backup.is_some());
        let directories = swap::directories(backed_up.map(|staged| (staged.new.dev, &*staged.target)));
        self.durability.finish(directories).map_err(|(path, source)| Action::Sync.failed(path)(source))
    }

    /// Returns those for which `work` succeeds.
    fn retain_each(
        &self,
        staged: Vec<Staged>,
        errors: &mut Vec<FileError>,
        work: impl Fn(&mut Staged) -> Result<(), FileError> + Sync,
    ) -> Vec<Staged> {
        let tried = parallel::map(staged, self.threads, |mut staged| work(&mut staged).map(|()| staged));
        let (staged, more) = partition_results(tried);
        errors.extend(more);
        staged
    }

    /// Returns those for which `work` succeeds. Tries all at once, which is cheap, and one by one only if that fails.
    fn retain_all(
        &self,
        staged: Vec<Staged>,
        errors: &mut Vec<FileError>,
        work: impl Fn(&[Staged]) -> Result<(), FileError> + Sync,
    ) -> Vec<Staged> {
        match work(&staged) {
            Ok(()) => staged,
            Err(_) => self.retain_each(staged, errors, |staged| work(slice::from_ref(staged))),
        }
    }

    /// Syncs the directories of `targets`.
    fn sync_directories<'p>(&self, targets: impl Iterator<Item = (Device, &'p Path)>) -> Result<(), FileError> {
        self.durability
            .finish(swap::directories(targets))
            .map_err(|(path, source)| FileError::NotDurable { directory: path.to_owned(), source })
    }
}

impl Staged {
    /// Checks that the target has not changed since it was read.
    fn check_unchanged(&self) -> Result<(), FileError> {
        match (state_of(&self.target), &self.expected) {
            (Ok(now), Some(expected)) if now == *expected => Ok(()),
            (Ok(_), None) => Err(FileError::Appeared { path: self.path.clone() }),
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            (Err(source), _) if source.kind() != io::ErrorKind::NotFound => {
                Err(Action::Stat.failed(&self.path)(source))
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

    /// Renames the new file to its target.
    fn place(self) -> Result<Placed, FileError> {
        self.check_unchanged()?;
        let Self { path, target, temporary, new, expected, backup, .. } = self;
        let old = match expected {
            Some(expected) => swap::replace_existing(temporary, &new, &target, &expected, &path)?,
            None => swap::create_new(temporary, &target, &path).map(|()| None)?,
        };
        Ok(Placed { path, target, new, backup, old })
    }
}

/// Returns an error with all failures, if there are any.
fn all(results: Vec<Result<(), FileError>>) -> Result<(), CommitError> {
    let (_, errors) = partition_results(results);
    if errors.is_empty() { Ok(()) } else { Err(CommitError { errors, replaced: Vec::new() }) }
}

/// Returns the error for `path`, a temporary file or a target that could not be synced, with the path that the user gave.
fn not_synced(staged: &[Staged], path: &Path, source: io::Error) -> FileError {
    let owner = staged.iter().find(|staged| &*staged.temporary == path || staged.target == path);
    let named = owner.map_or(path, |staged| &staged.path).to_owned();
    // The target can have been removed by somebody else.
    if source.kind() == io::ErrorKind::NotFound && owner.is_some_and(|staged| staged.target == path) {
        return FileError::Changed { path: named };
    }
    Action::Sync.failed(named)(source)
}

/// Converts an error that occurred before anything was replaced.
impl From<FileError> for CommitError {
    fn from(error: FileError) -> Self {
        Self { errors: vec![error], replaced: Vec::new() }
    }
}
