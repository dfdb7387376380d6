//! Replacing files: all of them written first, then each put in its place.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::backup::{Backup, Suffix};
use super::durability::Durability;
use super::error::{Action, FileError};
use super::input::{Original, kind_of, missing};
use super::interrupt::Interrupt;
use super::protection;
use super::state::FileState;
use super::target::{may_create_beside, may_rename_in_directory_of, may_replace, resolve, state_of};
use super::temporary::{self, Leftovers, Temporary};
use crate::parallel::Threads;

/// So many files of which little is left to do, only to be looked at, renamed or removed, are worth a thread.
pub(super) const WORTHWHILE: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Files that are replaced together: all, or as far as it can be known before, none.
///
/// [`stage`](Self::stage) may be called from several threads at once. Whatever is staged but not committed is removed
/// when it is dropped.
#[derive(Debug)]
pub struct Batch<'a> {
    pub(super) interrupt: &'a Interrupt,
    pub(super) durability: Durability,
    pub(super) threads: Threads,
    leftovers: Leftovers,
}

/// A new file that lies beside the one that it will replace.
#[derive(Debug)]
#[must_use = "dropping it discards the new contents"]
pub struct Staged {
    /// As the user named it.
    pub(super) path: PathBuf,
    /// Where it really is.
    pub(super) target: PathBuf,
    pub(super) temporary: Temporary,
    /// The state of the new file.
    pub(super) new: FileState,
    /// The state in which the target must still be; none where it must not be there.
    pub(super) expected: Option<FileState>,
    pub(super) backup: Option<Backup>,
    pub(super) warnings: Vec<Warning>,
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
#[derive(Debug)]
#[non_exhaustive]
pub enum Warning {
    /// Nobody is allowed to write the file by its mode (0444); the caller, root, is nevertheless.
    WriteProtected {
        /// As the user named it.
        path: PathBuf,
    },
    /// A file of our own, temporary or a backup, could not be removed.
    NotRemoved {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Staged {
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
        Self { interrupt, durability: Durability::new(), threads: Self::threads(None), leftovers: Leftovers::default() }
    }

    /// One that puts at most `jobs` files in their place at once; none is as many as there are processors.
    pub fn with_jobs(self, jobs: Option<NonZeroUsize>) -> Self {
        Self { threads: Self::threads(jobs), ..self }
    }

    fn threads(jobs: Option<NonZeroUsize>) -> Threads {
        Threads { most: jobs, share: WORTHWHILE }
    }

    /// The files of our own that could not be removed so far, each told once.
    pub fn take_leftovers(&self) -> Vec<Warning> {
        self.leftovers.take().into_iter().map(|(path, source)| Warning::NotRemoved { path, source }).collect()
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
        let (path, target, state) = place_of(original)?;
        self.stage_over(path, target, state, new, backup)
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
        match state_of(&target) {
            Ok(state) => self.stage_over(path, target, state, new, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if target != path {
                    return Err(FileError::DanglingLink { path: path.to_owned(), missing: target });
                }
                self.stage_new(path, new)
            }
            Err(source) => Err(Action::Stat.failed(path)(source)),
        }
    }

    fn stage_over(
        &self,
        path: &Path,
        target: PathBuf,
        state: FileState,
        new: &[u8],
        backup: Option<&Suffix>,
    ) -> Result<Staged, FileError> {
        let backup = plan(path, &target, &state, backup, &self.leftovers)?;
        let mut warnings = Vec::new();
        if state.permissions() & 0o222 == 0 {
            warnings.push(Warning::WriteProtected { path: path.to_owned() });
        }
        // Its owner may read the new file no sooner than the old one, should that be unreadable even to its owner.
        let (temporary, new) = self.write(path, &target, state.permissions() & 0o600, new, Some(&state))?;
        Ok(Staged { path: path.to_owned(), target, temporary, new, expected: Some(state), backup, warnings })
    }

    fn stage_new(&self, path: &Path, new: &[u8]) -> Result<Staged, FileError> {
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(FileError::NotFound { path: path.to_owned() });
        }
        may_rename_in_directory_of(path)?;
        let (temporary, new) = self.write(path, path, 0o666, new, None)?;
        Ok(Staged {
            path: path.to_owned(),
            target: path.to_owned(),
            temporary,
            new,
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
        like: Option<&FileState>,
    ) -> Result<(Temporary, FileState), FileError> {
        let unwritten = |source| Action::Write.failed(path)(source);
        // Thousands of files may be staged: none stays open.
        let (file, temporary) = temporary::create(target, mode, path, &self.leftovers)?;
        let created = FileState::of(&file).map_err(unwritten)?;
        self.durability.begin(created.dev, &file).map_err(unwritten)?;
        temporary::write(&file, new, path)?;
        let written = match like {
            Some(state) => protection::carry_over(target, state, &file, &created, path)?,
            None => FileState::of(&file).map_err(unwritten)?,
        };
        self.durability.written(&file).map_err(Action::Sync.failed(path))?;
        Ok((temporary, written))
    }
}

/// Says what would keep the file that `original` was read from from being replaced, without writing anything.
///
/// What only writing shows, a full disk or an owner that cannot be kept, it does not preflight.
///
/// # Errors
/// Those of [`Batch::stage`], as far as they can be known before.
pub fn preflight(original: &Original, backup: Option<&Suffix>) -> Result<(), FileError> {
    let (path, target, state) = place_of(original)?;
    plan(path, &target, &state, backup, &Leftovers::default())?;
    may_create_beside(&target, path)
}

/// The file that was read: as the user named it, where it really is, and its state.
fn place_of(original: &Original) -> Result<(&Path, PathBuf, FileState), FileError> {
    let Some(path) = original.input.path() else {
        return Err(FileError::Descriptor { path: original.input.to_string().into() });
    };
    let target = match original.found {
        Some(found) if !found.through_link => path.to_owned(),
        _ => resolve(path)?,
    };
    let Some(found) = original.found else { return Err(not_regular(path)) };
    Ok((path, target, found.state))
}

/// Refuses what must not be replaced, and plans the backup.
fn plan(
    path: &Path,
    target: &Path,
    state: &FileState,
    backup: Option<&Suffix>,
    leftovers: &Leftovers,
) -> Result<Option<Backup>, FileError> {
    if state.file_type() != FileType::RegularFile {
        return Err(not_regular(path));
    }
    let backup = backup.map(|suffix| Backup::plan(target, state, suffix, leftovers)).transpose()?;
    let allowed = if backup.as_ref().is_some_and(Backup::is_found) { 2 } else { 1 };
    if state.links > allowed {
        return Err(FileError::HardLinks { path: path.to_owned(), links: state.links });
    }
    may_replace(target, path)?;
    Ok(backup)
}

fn not_regular(path: &Path) -> FileError {
    match kind_of(path) {
        Some(kind) => FileError::NotRegular { path: path.to_owned(), kind },
        None => missing(path),
    }
}
