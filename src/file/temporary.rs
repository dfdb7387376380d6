//! Temporary files beside the target, which hold the new contents until they are renamed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, RenameFlags, renameat, renameat_with};
use rustix::io::Errno;
use tempfile::Builder;

use super::error::{Action, FileError};
use super::target::directory_of;

/// A temporary file is called `.vm.xml.virt-mdev-Xy12zZ.tmp`: a dot, the target's name, this mark, six random letters or
/// digits, and [`SUFFIX`].
const MARK: &str = ".virt-mdev-";
const RANDOM: usize = 6;
const SUFFIX: &str = ".tmp";

/// The longest file name of Linux (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// Whether this is the name of a temporary file, which may remain from a killed run.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let marked = name
        .strip_suffix(SUFFIX.as_bytes())
        .and_then(|rest| rest.split_last_chunk::<RANDOM>())
        .is_some_and(|(rest, random)| rest.ends_with(MARK.as_bytes()) && random.iter().all(u8::is_ascii_alphanumeric));
    marked && name.starts_with(b".")
}

/// Files that could not be removed, each with the reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Leftovers(Arc<Mutex<Vec<(PathBuf, io::Error)>>>);

impl Leftovers {
    /// Removes a file, or remembers it if that fails.
    pub fn remove(&self, path: &Path) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), error));
            }
            _ => {}
        }
    }

    /// Returns all of them, and clears the list.
    pub fn take(&self) -> Vec<(PathBuf, io::Error)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The path of a temporary file or a backup, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    pub path: PathBuf,
    /// Whether the file is there, and ours.
    pub is_ours: bool,
    pub leftovers: Leftovers,
}

impl Temporary {
    /// Renames the file over the one at `target`.
    pub fn rename_over(mut self, target: &Path) -> io::Result<()> {
        renameat(CWD, &self.path, CWD, target)?;
        self.is_ours = false;
        Ok(())
    }

    /// Renames the file to `target`, which must not exist.
    pub fn rename_to_new(mut self, target: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            Ok(()) => self.is_ours = false,
            // Some file systems do not support this, but hard links. The first name is removed when `self` is dropped.
            Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(&self.path, target)?,
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Leaves the file where it is, and returns its path.
    pub fn keep(mut self) -> PathBuf {
        self.is_ours = false;
        std::mem::take(&mut self.path)
    }
}

impl Deref for Temporary {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.is_ours {
            self.leftovers.remove(&self.path);
        }
    }
}

/// Creates a temporary file beside `target` with `mode`, less the umask; `path` is for messages.
pub(super) fn create(
    target: &Path,
    mode: u32,
    path: &Path,
    leftovers: &Leftovers,
) -> Result<(File, Temporary), FileError> {
    let directory = directory_of(target);
    let created = Builder::new()
        .prefix(&prefix(target))
        .suffix(SUFFIX)
        .rand_bytes(RANDOM)
        // Opened here because the crate would add the name of the temporary file to the error.
        .make_in(directory, |place| OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(place))
        .and_then(|created| Ok(created.keep()?))
        .map_err(Action::CreateIn(directory.to_owned()).failed(path))?;
    let (file, created) = created;
    // The crate makes the path absolute; messages show it as the user would write it.
    let path = created.file_name().map_or_else(|| created.clone(), |name| target.with_file_name(name));
    Ok((file, Temporary { path, is_ours: true, leftovers: leftovers.clone() }))
}

/// Returns the name of a temporary file up to the random part. A name that would be too long is cut.
fn prefix(target: &Path) -> OsString {
    let name = target.file_name().unwrap_or_default().as_bytes();
    let room = NAME_MAX - 1 - MARK.len() - RANDOM - SUFFIX.len();
    let mut prefix = b".".to_vec();
    prefix.extend_from_slice(&name[..name.len().min(room)]);
    prefix.extend_from_slice(MARK.as_bytes());
    OsString::from_vec(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_is_recognized_even_if_the_name_of_the_target_is_long() {
        let directory = tempfile::tempdir().unwrap();
        for length in [1, 200, 255] {
            let target = directory.path().join("n".repeat(length));
            let (_, temporary) = create(&target, 0o600, &target, &Leftovers::default()).unwrap();
            let name = temporary.file_name().unwrap();
            assert!(is_temporary(name), "{name:?}");
            assert!(name.len() <= NAME_MAX);
        }
    }

    #[test]
    fn a_file_that_cannot_be_removed_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let leftovers = Leftovers::default();
        let (_, temporary) = create(&directory.path().join("vm.xml"), 0o600, Path::new("vm.xml"), &leftovers).unwrap();
        let path = temporary.to_path_buf();
        fs::remove_file(&path).unwrap();
        drop(temporary);
        assert!(leftovers.take().is_empty(), "it does not exist any more");
        // Not even root removes a directory like a file.
        fs::create_dir(&path).unwrap();
        leftovers.remove(&path);
        assert_eq!(leftovers.take().into_iter().map(|(path, _)| path).collect::<Vec<_>>(), [path]);
    }

    #[test]
    fn similar_names_are_not_temporary_files() {
        for name in
            ["vm.xml", "vm.xml.virt-mdev-abcdef.tmp", ".vm.xml.virt-mdev-abc.tmp", ".virt-mdev-.tmp", ".vm.xml.tmp"]
        {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
        assert!(is_temporary(OsStr::new(".vm.xml.virt-mdev-aB3dEf.tmp")));
    }
}
