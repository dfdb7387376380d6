//! Putting new files in their place, once all of them are written.

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
#[error("{}", summary(errors, replaced))]
pub struct CommitError {
    /// Every error that was found; never empty.
    pub errors: Vec<FileError>,
    /// The files that are replaced nevertheless: all of them if only the sync of a directory failed, otherwise those that
    /// could not be rolled back, as on a file system without `RENAME_EXCHANGE`. Usually empty.
    pub replaced: Vec<Replaced>,
}

fn summary(errors: &[FileError], replaced: &[Replaced]) -> String {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    match (errors.len().saturating_sub(1), replaced.len()) {
        (0, 0) => first,
        (more, 0) => format!("{first} (and {more} more)"),
        (0, replaced) => format!("{first} ({replaced} replaced before it)"),
        (more, replaced) => format!("{first} (and {more} more; {replaced} replaced before them)"),
    }
}

impl Batch<'_> {
    /// Replaces all the files of `staged`, and returns them in that order.
    ///
    /// Everything is brought to disk; it is seen that no file was changed since it was read; the backups are made and
    /// brought to disk; then, and only then, each new file takes its place, and the directories are brought to disk.
    /// If one cannot, all that did are put back, save what somebody has changed since. A signal that arrives before the
    /// first of them gives it all up; one that arrives later lets it come to its end, which takes no time.
    /// [`Interrupt::caught`](super::Interrupt::caught) tells of both.
    ///
    /// # Errors
    /// With every fault that was found. Nothing is replaced then, except as [`CommitError::replaced`] says.
    pub fn commit(&self, mut staged: Vec<Staged>) -> Result<Vec<Replaced>, CommitError> {
        self.bring_to_disk(&staged)?;
        self.interrupt.check()?;
        all(parallel::map(&staged, self.threads, Staged::check_unchanged))?;
        let backed_up: Vec<_> = staged.iter_mut().filter(|staged| staged.backup.is_some()).collect();
        all(parallel::map(backed_up, self.threads, Staged::make_backup))?;
        self.sync_backups(&staged)?;
        self.interrupt.check()?;

        let (placed, faults) = self.place(staged);
        if !faults.is_empty() {
            return Err(self.take_back(placed, faults));
        }
        let synced = self.sync_directories(placed.iter().map(|placed| (placed.new.dev, &*placed.target)));
        let replaced = self.keep(placed);
        match synced {
            Ok(()) => Ok(replaced),
            Err(fault) => Err(CommitError { errors: vec![fault], replaced }),
        }
    }

    /// Replaces each file of `staged` that can be, whatever becomes of the others; and says what is wrong with those that
    /// cannot.
    ///
    /// For each of them the order of things is that of [`commit`](Self::commit). A signal that arrives before the first
    /// takes its place gives up all.
    pub fn commit_each(&self, staged: Vec<Staged>) -> (Vec<Replaced>, Vec<FileError>) {
        let mut faults = Vec::new();
        let staged = self.those_that(staged, &mut faults, |all| self.bring_to_disk(all));
        let staged = self.each_that(staged, &mut faults, |staged| staged.check_unchanged());
        let staged = self.each_that(staged, &mut faults, Staged::make_backup);
        let staged = self.those_that(staged, &mut faults, |all| self.sync_backups(all));
        if let Err(interrupted) = self.interrupt.check() {
            faults.push(interrupted);
            return (Vec::new(), faults);
        }
        let (placed, unplaced) = partition_results(parallel::map(staged, self.threads, Staged::place));
        faults.extend(unplaced);
        let synced = self.sync_directories(placed.iter().map(|placed| (placed.new.dev, &*placed.target)));
        faults.extend(synced.err());
        (self.keep(placed), faults)
    }

    /// Puts each new file in its place, but begins with no other once one has failed.
    fn place(&self, staged: Vec<Staged>) -> (Vec<Placed>, Vec<FileError>) {
        let has_failed = AtomicBool::new(false);
        let results = parallel::map(staged, self.threads, |staged| {
            let placed = (!has_failed.load(Ordering::Relaxed)).then(|| staged.place())?;
            has_failed.fetch_or(placed.is_err(), Ordering::Relaxed);
            Some(placed)
        });
        partition_results(results.into_iter().flatten())
    }

    /// Puts back what was placed before, or beside, what is wrong by `faults`.
    fn take_back(&self, placed: Vec<Placed>, mut faults: Vec<FileError>) -> CommitError {
        let targets: Vec<_> = placed.iter().map(|placed| (placed.new.dev, placed.target.clone())).collect();
        let mut replaced = Vec::new();
        for stays in placed.into_iter().map(Placed::take_back).filter_map(Result::err) {
            match stays {
                Stays::New(file, fault) => {
                    replaced.push(file);
                    faults.extend(fault);
                }
                Stays::Theirs(fault) => faults.push(fault),
            }
        }
        let synced = self.sync_directories(targets.iter().map(|(device, target)| (*device, &**target)));
        faults.extend(synced.err());
        CommitError { errors: faults, replaced }
    }

    /// Leaves all that was placed where it is, and frees what was there before.
    fn keep(&self, placed: Vec<Placed>) -> Vec<Replaced> {
        let (replaced, old): (Vec<_>, Vec<_>) = placed.into_iter().map(Placed::keep).unzip();
        swap::free(old.into_iter().flatten().collect(), self.threads.most);
        replaced
    }

    /// Brings the new files to disk, and of those that are backed up the old ones.
    fn bring_to_disk(&self, staged: &[Staged]) -> Result<(), FileError> {
        let new =
            staged.iter().filter(|_| self.durability.is_pending()).map(|staged| (staged.new.dev, &*staged.temporary));
        let old =
            staged.iter().filter(|staged| staged.backup.is_some()).map(|staged| (staged.new.dev, &*staged.target));
        self.durability.finish(new.chain(old)).map_err(|(path, source)| not_synced(staged, path, source))
    }

    /// Brings the names of the backups to disk.
    fn sync_backups(&self, staged: &[Staged]) -> Result<(), FileError> {
        let backed_up = staged.iter().filter(|staged| staged.backup.is_some());
        let directories = swap::directories(backed_up.map(|staged| (staged.new.dev, &*staged.target)));
        self.durability.finish(directories).map_err(|(path, source)| Action::Sync.failed(path)(source))
    }

    /// Those with which `work` succeeds.
    fn each_that(
        &self,
        staged: Vec<Staged>,
        faults: &mut Vec<FileError>,
        work: impl Fn(&mut Staged) -> Result<(), FileError> + Sync,
    ) -> Vec<Staged> {
        let tried = parallel::map(staged, self.threads, |mut staged| work(&mut staged).map(|()| staged));
        let (staged, more) = partition_results(tried);
        faults.extend(more);
        staged
    }

    /// Those with which `work` succeeds, tried all at once, which is cheap, and one by one only where that fails.
    fn those_that(
        &self,
        staged: Vec<Staged>,
        faults: &mut Vec<FileError>,
        work: impl Fn(&[Staged]) -> Result<(), FileError> + Sync,
    ) -> Vec<Staged> {
        match work(&staged) {
            Ok(()) => staged,
            Err(_) => self.each_that(staged, faults, |staged| work(slice::from_ref(staged))),
        }
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

    /// Puts the new file in its place.
    fn place(self) -> Result<Placed, FileError> {
        self.check_unchanged()?;
        let Self { path, target, temporary, new, expected, backup, .. } = self;
        let old = match expected {
            Some(expected) => swap::over(temporary, &new, &target, &expected, &path)?,
            None => swap::into_nothing(temporary, &target, &path).map(|()| None)?,
        };
        Ok(Placed { path, target, new, backup, old })
    }
}

/// Goes on only where nothing failed.
fn all(results: Vec<Result<(), FileError>>) -> Result<(), CommitError> {
    let (_, faults) = partition_results(results);
    if faults.is_empty() { Ok(()) } else { Err(CommitError { errors: faults, replaced: Vec::new() }) }
}

/// The error for `path`, a temporary file or a target, that could not be brought to disk, in the user's own terms.
fn not_synced(staged: &[Staged], path: &Path, source: io::Error) -> FileError {
    let owner = staged.iter().find(|staged| &*staged.temporary == path || staged.target == path);
    let named = owner.map_or(path, |staged| &staged.path).to_owned();
    // Only the file itself can have been removed by someone who knows nothing of us.
    if source.kind() == io::ErrorKind::NotFound && owner.is_some_and(|staged| staged.target == path) {
        return FileError::Changed { path: named };
    }
    Action::Sync.failed(named)(source)
}

/// A fault that stopped a batch before anything was replaced.
impl From<FileError> for CommitError {
    fn from(fault: FileError) -> Self {
        Self { errors: vec![fault], replaced: Vec::new() }
    }
}
