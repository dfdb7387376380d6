//! Exchanges the new file with the old one.
//!
//! If the file system supports it, the two are exchanged (`RENAME_EXCHANGE` of rename(2)) instead of one being renamed
//! over the other. That is just as atomic and has three advantages: the old file can be compared with what was read, so
//! that even a change just before the exchange is not lost, except one of extended attributes only; the files of a batch
//! can be rolled back if another fails; and freeing the old files, which is 90 % of the cost of renaming over them on
//! ext4, is left to the end and shared among threads.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::backup::Backup;
use super::durability::Device;
use super::error::{Action, FileError};
use super::replace::{Replaced, WORTHWHILE};
use super::state::FileState;
use super::target::{directory_of, state_of};
use super::temporary::Temporary;
use crate::parallel::{self, Threads};

/// How many threads remove old files by default. They wait for the disk more than they compute.
const THREADS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// A new file at its target, which can still be rolled back.
#[derive(Debug)]
pub(super) struct Placed {
    pub path: PathBuf,
    pub target: PathBuf,
    /// The state of the new file.
    pub new: FileState,
    pub backup: Option<Backup>,
    /// The old file under the temporary name; none if there was none, or if it was renamed over.
    pub old: Option<Temporary>,
}

/// What is at a target that could not be rolled back.
#[derive(Debug)]
pub(super) enum Stays {
    /// The new file, and an error unless the file system cannot exchange files.
    New(Replaced, Option<FileError>),
    /// What somebody else has changed the new file to, with an error that says so.
    Theirs(FileError),
}

impl Placed {
    /// Restores the old file, or returns what stays instead.
    pub fn roll_back(mut self) -> Result<(), Stays> {
        let Some(old) = self.old.take() else { return Err(Stays::New(self.keep().0, None)) };
        let before = state_of(&old).ok();
        let restored = roll_back(&old, &self.target, &self.new);
        if matches!(restored, Ok(true)) {
            return Ok(());
        }
        // A change by somebody else and the backup may be the only copies of their contents, so both stay.
        let (replaced, _) = self.keep();
        let is_removed = |error: &io::Error| error.kind() == io::ErrorKind::NotFound && state_of(&old).ok() == before;
        match restored {
            Err(error) if !is_removed(&error) => {
                let error = keep_aside(old, &replaced.path, error);
                Err(Stays::New(replaced, Some(error)))
            }
            _ => Err(Stays::Theirs(FileError::Changed { path: replaced.path })),
        }
    }

    /// Keeps the new file and the backup, and returns the old file, to be [freed](free).
    pub fn keep(self) -> (Replaced, Option<Temporary>) {
        (Replaced { path: self.path, backup: self.backup.map(Backup::keep) }, self.old)
    }
}

/// Replaces `target`, which must be in the state `expected`, with the file at `temporary`, which is in the state `new`.
/// Returns the old file, if it can still be restored.
///
/// `path` is for messages.
pub(super) fn replace_existing(
    temporary: Temporary,
    new: &FileState,
    target: &Path,
    expected: &FileState,
    path: &Path,
) -> Result<Option<Temporary>, FileError> {
    let changed = || FileError::Changed { path: path.to_owned() };
    match exchange(&temporary, target) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(changed()),
        // Not every file system supports it, and not everyone who may rename may exchange.
        Err(_) => return rename(temporary, target, path).map(|()| None),
    }
    if state_of(&temporary).is_ok_and(|out| expected.same_but_for_names(&out)) {
        return Ok(Some(temporary));
    }
    match roll_back(&temporary, target, new) {
        Ok(_) => Err(changed()),
        // It is now somebody else's file, and perhaps the only copy.
        Err(source) => Err(keep_aside(temporary, path, source)),
    }
}

/// Exchanges the file at `temporary` with the one at `target`, which was in the state `new`. Returns whether it is at
/// `target` now.
///
/// Somebody else may replace or change the target at any moment, and then their file belongs there. So the file that comes
/// out is compared with the one that was put in last. If it differs, it is newer than the one just put in, and is put back.
fn roll_back(temporary: &Path, target: &Path, new: &FileState) -> io::Result<bool> {
    let mut put_in = *new;
    let mut is_restored = true;
    loop {
        let goes_in = state_of(temporary)?;
        exchange(temporary, target)?;
        if state_of(temporary).is_ok_and(|out| put_in.same_but_for_names(&out)) {
            return Ok(is_restored);
        }
        put_in = goes_in;
        is_restored = false;
    }
}

/// Keeps the file at `temporary` under that name, and returns an error that names it.
fn keep_aside(temporary: Temporary, path: &Path, source: io::Error) -> FileError {
    FileError::KeptAside { path: path.to_owned(), kept: temporary.keep(), source }
}

/// Renames `temporary` to `target`, which must not exist.
pub(super) fn create_new(temporary: Temporary, target: &Path, path: &Path) -> Result<(), FileError> {
    temporary.rename_to_new(target).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Appeared { path: path.to_owned() },
        _ => Action::Rename.failed(path)(source),
    })
}

/// Removes old files, at most `jobs` at once.
pub(super) fn free(old: Vec<Temporary>, jobs: Option<NonZeroUsize>) {
    parallel::map(old, Threads { most: jobs.or(Some(THREADS)), share: WORTHWHILE }, drop);
}

/// Returns the directories of `targets`, without duplicates.
pub(super) fn directories<'a>(
    targets: impl Iterator<Item = (Device, &'a Path)>,
) -> impl Iterator<Item = (Device, &'a Path)> {
    targets.map(|(device, target)| (device, directory_of(target))).collect::<HashSet<_>>().into_iter()
}

fn exchange(temporary: &Path, target: &Path) -> Result<(), Errno> {
    renameat_with(CWD, temporary, CWD, target, RenameFlags::EXCHANGE)
}

fn rename(temporary: Temporary, target: &Path, path: &Path) -> Result<(), FileError> {
    temporary.rename_over(target).map_err(Action::Rename.failed(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::super::temporary::{self, Leftovers};
    use super::*;

    /// Returns a new file and its state, and a file to be replaced and its state.
    fn pair(directory: &Path) -> (Temporary, FileState, PathBuf, FileState) {
        let target = directory.join("vm.xml");
        fs::write(&target, "old").unwrap();
        let (mut file, temporary) = temporary::create(&target, 0o600, &target, &Leftovers::default()).unwrap();
        file.write_all(b"new").unwrap();
        let state = state_of(&target).unwrap();
        (temporary, FileState::of(&file).unwrap(), target, state)
    }

    fn placed(directory: &Path) -> Placed {
        let (temporary, new, target, state) = pair(directory);
        let old = replace_existing(temporary, &new, &target, &state, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        Placed { path: target.clone(), target, new, backup: None, old }
    }

    #[test]
    fn a_change_just_before_the_exchange_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (temporary, new, target, state) = pair(directory.path());
        fs::write(&target, "theirs").unwrap();
        let error = replace_existing(temporary, &new, &target, &state, &target).unwrap_err();
        assert!(matches!(error, FileError::Changed { .. }), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_rollback_restores_the_same_inode() {
        let directory = tempfile::tempdir().unwrap();
        let placed = placed(directory.path());
        let (target, old) = (placed.target.clone(), state_of(placed.old.as_ref().unwrap()).unwrap());
        placed.roll_back().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert!(state_of(&target).unwrap().same_file(&old));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_rollback_keeps_what_somebody_else_has_changed() {
        let change: [&dyn Fn(&Path); 4] = [
            &|target| fs::write(target, "theirs").unwrap(),
            // As long as the new one was.
            &|target| fs::write(target, "her").unwrap(),
            &|target| {
                let beside = target.with_extension("theirs");
                fs::write(&beside, "theirs").unwrap();
                fs::rename(beside, target).unwrap();
            },
            &|target| fs::remove_file(target).unwrap(),
        ];
        for change in change {
            let directory = tempfile::tempdir().unwrap();
            let placed = placed(directory.path());
            let target = placed.target.clone();
            std::thread::sleep(std::time::Duration::from_millis(20));
            change(&target);
            let theirs = fs::read(&target).ok();
            let stays = placed.roll_back().unwrap_err();
            assert!(matches!(&stays, Stays::Theirs(FileError::Changed { path }) if *path == target), "{stays:?}");
            assert_eq!(fs::read(&target).ok(), theirs);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), usize::from(theirs.is_some()));
        }
    }

    #[test]
    fn without_exchange_the_file_is_renamed() {
        let directory = tempfile::tempdir().unwrap();
        let (temporary, _, target, _) = pair(directory.path());
        rename(temporary, &target, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn all_old_files_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        for count in [0, 1, 2 * WORTHWHILE.get(), THREADS.get() * WORTHWHILE.get() + 7] {
            let target = directory.path().join("x");
            let create = || temporary::create(&target, 0o600, &target, &Leftovers::default()).unwrap().1;
            free((0..count).map(|_| create()).collect(), None);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{count}");
        }
    }
}
