//! The moment at which the new file is in its place and the old one is not.
//!
//! Where the file system can, the two change places (`RENAME_EXCHANGE` of rename(2)) instead of the one being renamed
//! over the other. It is as atomic, and better in three ways: what came out can be seen to be what was read, so that
//! not even a change between the last look and the rename is lost, unless it is one of extended attributes alone; the
//! files of a batch can be put back if another fails; and freeing the old files, which is nine tenths of what renaming
//! over them costs on ext4, waits until all is done and is shared among threads.

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

/// How many threads free old files at once where nobody has said it; they wait for the disk more than they compute.
const THREADS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// A new file in its place, which may still be taken back.
#[derive(Debug)]
pub(super) struct Placed {
    pub path: PathBuf,
    pub target: PathBuf,
    /// The state of the new file.
    pub new: FileState,
    pub backup: Option<Backup>,
    /// The old file, under the name that the new one had; none if there was no old one, or it is gone.
    pub old: Option<Temporary>,
}

/// What is at a target that could not be rolled back.
#[derive(Debug)]
pub(super) enum Stays {
    /// The new file; and why, where that is not the file system's inability to exchange files.
    New(Replaced, Option<FileError>),
    /// What somebody else has made of the new file; the error says so.
    Theirs(FileError),
}

impl Placed {
    /// Restores the old file, or says what stays instead.
    pub fn take_back(mut self) -> Result<(), Stays> {
        let Some(old) = self.old.take() else { return Err(Stays::New(self.keep().0, None)) };
        let before = state_of(&old).ok();
        let restored = roll_back(&old, &self.target, &self.new);
        if matches!(restored, Ok(true)) {
            return Ok(());
        }
        // What somebody else has made of the new file may be all that there is beside the backup, so both stay.
        let (replaced, _) = self.keep();
        let is_removed = |error: &io::Error| error.kind() == io::ErrorKind::NotFound && state_of(&old).ok() == before;
        match restored {
            Err(error) if !is_removed(&error) => {
                let fault = keep_aside(old, &replaced.path, error);
                Err(Stays::New(replaced, Some(fault)))
            }
            _ => Err(Stays::Theirs(FileError::Changed { path: replaced.path })),
        }
    }

    /// Leaves the new file where it is, and the backup; what is left is the old file, to be [freed](free).
    pub fn keep(self) -> (Replaced, Option<Temporary>) {
        (Replaced { path: self.path, backup: self.backup.map(Backup::keep) }, self.old)
    }
}

/// Puts the new file at `temporary`, which is in the state `new`, in the place of `target`, which must be in the state
/// `expected`, and returns the old one.
///
/// `path` is for messages.
pub(super) fn over(
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
        // Not every file system can do it, and not everyone who may rename may do it.
        Err(_) => return rename(temporary, target, path).map(|()| None),
    }
    if state_of(&temporary).is_ok_and(|out| expected.same_but_for_names(&out)) {
        return Ok(Some(temporary));
    }
    match roll_back(&temporary, target, new) {
        Ok(_) => Err(changed()),
        // What is there now is somebody else's, and perhaps the only copy.
        Err(source) => Err(keep_aside(temporary, path, source)),
    }
}

/// Exchanges the file at `temporary` with the one at `target`, which was in the state `new`, and returns whether it is
/// there now.
///
/// Somebody else may replace or change the target at any moment, and of two files the later one belongs there. So what
/// comes out is compared with what was put in: if it is another, it is later than what has just taken its place, and goes
/// back.
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

/// Puts the new file at `temporary` where there must not be a file yet.
pub(super) fn into_nothing(temporary: Temporary, target: &Path, path: &Path) -> Result<(), FileError> {
    temporary.rename_to_new(target).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Appeared { path: path.to_owned() },
        _ => Action::Rename.failed(path)(source),
    })
}

/// Removes old files that have been replaced, `jobs` at once if that was asked for.
pub(super) fn free(old: Vec<Temporary>, jobs: Option<NonZeroUsize>) {
    parallel::map(old, Threads { most: jobs.or(Some(THREADS)), share: WORTHWHILE }, drop);
}

/// The directories that hold them, each once.
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

    use super::super::temporary::{self, Leftovers};
    use super::*;

    /// A new file and its state, a file to be replaced and its state.
    fn pair(directory: &Path) -> (Temporary, FileState, PathBuf, FileState) {
        let target = directory.join("vm.xml");
        fs::write(&target, "old").unwrap();
        let (file, temporary) = temporary::create(&target, 0o600, &target, &Leftovers::default()).unwrap();
        temporary::write(&file, b"new", &target).unwrap();
        let state = state_of(&target).unwrap();
        (temporary, FileState::of(&file).unwrap(), target, state)
    }

    fn placed(directory: &Path) -> Placed {
        let (temporary, new, target, state) = pair(directory);
        let old = over(temporary, &new, &target, &state, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        Placed { path: target.clone(), target, new, backup: None, old }
    }

    #[test]
    fn a_change_after_the_check_unchanged_is_put_back() {
        let directory = tempfile::tempdir().unwrap();
        let (temporary, new, target, state) = pair(directory.path());
        fs::write(&target, "theirs").unwrap();
        let fault = over(temporary, &new, &target, &state, &target).unwrap_err();
        assert!(matches!(fault, FileError::Changed { .. }), "{fault}");
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_placed_can_be_taken_back_as_the_very_file_that_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let placed = placed(directory.path());
        let (target, old) = (placed.target.clone(), state_of(placed.old.as_ref().unwrap()).unwrap());
        placed.take_back().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert!(state_of(&target).unwrap().same_file(&old));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_somebody_makes_of_a_new_file_stays_when_it_is_to_be_taken_back() {
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
            let stays = placed.take_back().unwrap_err();
            assert!(matches!(&stays, Stays::Theirs(FileError::Changed { path }) if *path == target), "{stays:?}");
            assert_eq!(fs::read(&target).ok(), theirs);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), usize::from(theirs.is_some()));
        }
    }

    #[test]
    fn a_file_system_that_cannot_exchange_renames() {
        let directory = tempfile::tempdir().unwrap();
        let (temporary, _, target, _) = pair(directory.path());
        rename(temporary, &target, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn old_files_are_freed_however_many_there_are() {
        let directory = tempfile::tempdir().unwrap();
        for count in [0, 1, 2 * WORTHWHILE.get(), THREADS.get() * WORTHWHILE.get() + 7] {
            let target = directory.path().join("x");
            let create = || temporary::create(&target, 0o600, &target, &Leftovers::default()).unwrap().1;
            free((0..count).map(|_| create()).collect(), None);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{count}");
        }
    }
}
