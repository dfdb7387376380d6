//! Writes the new contents of files beside them, to be committed together.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::backup::{Backup, Suffix};
use super::durability::Durability;
use super::error::{Action, FileError};
use super::input::{Original, missing, type_of};
use super::interrupt::Interrupt;
use super::protection;
use super::state::FileState;
use super::target::{may_create_beside, may_rename_in_directory_of, may_replace, resolve, state_of};
use super::temporary::{self, Leftovers, Temporary};
use crate::parallel::Threads;

/// The number of files to stat, rename or remove that is worth a thread.
pub(super) const WORTHWHILE: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Files that are replaced together: all or none.
///
/// [`stage`](Self::stage) may be called from several threads at once. Files that are staged but not committed are removed
/// when dropped.
#[derive(Debug)]
pub struct Batch<'a> {
    pub(super) interrupt: &'a Interrupt,
    pub(super) durability: Durability,
    pub(super) threads: Threads,
    leftovers: Leftovers,
}

/// A temporary file beside the one that it will replace.
#[derive(Debug)]
#[must_use = "dropping it discards the new contents"]
pub struct Staged {
    /// The path that the user gave.
    pub(super) path: PathBuf,
    /// The path with symbolic links followed.
    pub(super) target: PathBuf,
    pub(super) temporary: Temporary,
    /// The state of the new file.
    pub(super) new: FileState,
    /// The state in which the target must be at the commit; none if it must not exist.
    pub(super) expected: Option<FileState>,
    pub(super) backup: Option<Backup>,
    /// What the user should know about it.
    pub warning: Option<Warning>,
}

/// A file that has been replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The path that the user gave.
    pub path: PathBuf,
    /// The backup of the old file.
    pub backup: Option<PathBuf>,
}

/// Something that the user should know, but that is not an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum Warning {
    /// The mode (0444) allows nobody to write the file; root may anyway.
    WriteProtected {
        /// The path that the user gave.
        path: PathBuf,
    },
    /// A temporary file or backup could not be removed.
    NotRemoved {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl<'a> Batch<'a> {
    /// Returns an empty batch, which a signal aborts. It uses at most `jobs` threads; `None` means one per processor.
    ///
    /// It takes an [`Interrupt`] so that no temporary file remains after a signal.
    pub fn new(interrupt: &'a Interrupt, jobs: Option<NonZeroUsize>) -> Self {
        let threads = Threads { most: jobs, share: WORTHWHILE };
        Self { interrupt, durability: Durability::new(), threads, leftovers: Leftovers::default() }
    }

    /// Returns the files of our own that could not be removed since the last call.
    pub fn take_leftovers(&self) -> Vec<Warning> {
        self.leftovers.take().into_iter().map(|(path, source)| Warning::NotRemoved { path, source }).collect()
    }

    /// Writes a temporary file with the new contents beside the file that `original` was read from.
    ///
    /// It has the owner, mode, ACLs and extended attributes of the old file, and is never readable by anyone who cannot read
    /// the old one. A symbolic link is followed and stays.
    ///
    /// # Errors
    /// If the file cannot be replaced, or any of these cannot be kept. No temporary file remains.
    pub fn stage(&self, original: &Original, new: &[u8], backup: Option<&Suffix>) -> Result<Staged, FileError> {
        self.interrupt.check()?;
        let (path, target, state) = locate(original)?;
        self.stage_over(path, target, state, new, backup)
    }

    /// Writes a temporary file for `path`, which need not exist.
    ///
    /// An existing file is replaced as by [`stage`](Self::stage), without a backup. A new file gets the usual mode.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage). Anything but a regular file is refused, including `/dev/stdout` and `/dev/null`: root
    /// would replace the device.
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
        let is_protected = state.permissions() & 0o222 == 0;
        let warning = is_protected.then(|| Warning::WriteProtected { path: path.to_owned() });
        // Not even the owner may read the temporary file if the old file is unreadable to its owner.
        let mode = state.permissions() & 0o600;
        Ok(Staged { backup, warning, ..self.write(path, target, mode, new, Some(state))? })
    }

    fn stage_new(&self, path: &Path, new: &[u8]) -> Result<Staged, FileError> {
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(FileError::NotFound { path: path.to_owned() });
        }
        may_rename_in_directory_of(path)?;
        self.write(path, path.to_owned(), 0o666, new, None)
    }

    /// Writes a temporary file beside `target`, with the protection of `target` if that exists, in the state `expected`.
    fn write(
        &self,
        path: &Path,
        target: PathBuf,
        mode: u32,
        contents: &[u8],
        expected: Option<FileState>,
    ) -> Result<Staged, FileError> {
        let unwritten = |source| Action::Write.failed(path)(source);
        // The file is closed at the end: thousands may be staged.
        let (mut file, temporary) = temporary::create(&target, mode, path, &self.leftovers)?;
        let created = FileState::of(&file).map_err(unwritten)?;
        self.durability.begin(created.dev, &file).map_err(unwritten)?;
        file.write_all(contents).map_err(unwritten)?;
        let new = match &expected {
            Some(state) => protection::carry_over(&target, state, &file, &created, path)?,
            None => FileState::of(&file).map_err(unwritten)?,
        };
        self.durability.written(&file).map_err(Action::Sync.failed(path))?;
        Ok(Staged { path: path.to_owned(), target, temporary, new, expected, backup: None, warning: None })
    }
}

/// Checks whether the file that `original` was read from can be replaced, without writing anything.
///
/// A full disk, for instance, or an owner that cannot be kept shows only when writing.
///
/// # Errors
/// Those of [`Batch::stage`] that can be detected without writing.
pub fn preflight(original: &Original, backup: Option<&Suffix>) -> Result<(), FileError> {
    let (path, target, state) = locate(original)?;
    plan(path, &target, &state, backup, &Leftovers::default())?;
    may_create_beside(&target, path)
}

/// Returns the path that the user gave, the path with symbolic links followed, and the state of the file.
fn locate(original: &Original) -> Result<(&Path, PathBuf, FileState), FileError> {
    let Some(path) = original.input.path() else {
        return Err(FileError::Descriptor { path: original.input.to_string().into() });
    };
    let target = resolve(path)?;
    let state = original.found.ok_or_else(|| not_regular(path))?;
    Ok((path, target, state))
}

/// Refuses a file that must not be replaced, and plans the backup.
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
    let allowed = if backup.as_ref().is_some_and(|backup| backup.is_found) { 2 } else { 1 };
    if state.links > allowed {
        return Err(FileError::HardLinks { path: path.to_owned(), links: state.links });
    }
    may_replace(target, path)?;
    Ok(backup)
}

fn not_regular(path: &Path) -> FileError {
    match type_of(path) {
        Some(file_type) => FileError::NotRegular { path: path.to_owned(), file_type },
        None => missing(path),
    }
}
