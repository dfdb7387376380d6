//! Locates the file to replace, and checks whether it may be replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, lstat, statfs, statx};
use rustix::io::Errno;

use super::error::{Action, FileError};
use super::state::FileState;

/// How many symbolic links Linux follows (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// `PROC_SUPER_MAGIC` of linux/magic.h. Links on this file system are open descriptors.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Follows symbolic links in the last component of `path`. The result need not exist.
///
/// Links in earlier components stay, since renaming follows them.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, FileError> {
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        let link = match fs::read_link(&place) {
            Ok(link) => link,
            // EINVAL: it is not a link.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => return Ok(place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(place),
            Err(source) => return Err(Action::Stat.failed(path)(source)),
        };
        if is_descriptor(&place) {
            return Err(FileError::Descriptor { path: path.to_owned() });
        }
        // A relative link is relative to its own directory; joining an absolute path gives that path.
        place = place.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(Action::Stat.failed(path)(Errno::LOOP.into()))
}

fn is_descriptor(link: &Path) -> bool {
    statfs(directory_of(link)).is_ok_and(|found| u64::try_from(found.f_type) == Ok(PROC_SUPER_MAGIC))
}

/// Returns the directory of `path`; `.` for a bare name.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        // Replacing the root directory fails later, since it is a directory.
        _ if path.has_root() => Path::new("/"),
        _ => Path::new("."),
    }
}

/// Returns the current state of `target`; if it is a symbolic link, that of the link itself.
pub(super) fn state_of(target: &Path) -> io::Result<FileState> {
    Ok(lstat(target)?.into())
}

/// Refuses a file that the caller may not write, although a rename needs only the directory's permissions, and one that the
/// kernel would not let be renamed over. `path` is for messages.
pub(super) fn may_replace(target: &Path, path: &Path) -> Result<(), FileError> {
    accessat(CWD, target, Access::WRITE_OK, AtFlags::EACCESS).map_err(|errno| match errno {
        Errno::NOENT => FileError::Changed { path: path.to_owned() },
        _ => FileError::NotWritable { path: path.to_owned(), source: errno.into() },
    })?;
    // This would make the rename fail, which must not happen after other files have been renamed.
    let attributes = attributes(target, AtFlags::SYMLINK_NOFOLLOW);
    if attributes.contains(StatxAttributes::APPEND) {
        return Err(FileError::AppendOnly { path: path.to_owned() });
    }
    if attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(FileError::MountPoint { path: path.to_owned() });
    }
    may_rename_in_directory_of(target)
}

/// Refuses an append-only directory, in which files can be created but neither renamed nor removed.
pub(super) fn may_rename_in_directory_of(target: &Path) -> Result<(), FileError> {
    let directory = directory_of(target);
    if attributes(directory, AtFlags::empty()).contains(StatxAttributes::APPEND) {
        return Err(FileError::AppendOnly { path: directory.to_owned() });
    }
    Ok(())
}

/// Refuses a directory in which no file can be created beside `target`. `path` is for messages.
pub(super) fn may_create_beside(target: &Path, path: &Path) -> Result<(), FileError> {
    let directory = directory_of(target);
    accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|errno| Action::CreateIn(directory.to_owned()).failed(path)(errno.into()))
}

/// Returns the attributes of `path` from statx(2); none if the kernel or a sandbox does not support it.
fn attributes(path: &Path, flags: AtFlags) -> StatxAttributes {
    statx(CWD, path, flags, StatxFlags::empty())
        .map_or(StatxAttributes::empty(), |found| found.stx_attributes & found.stx_attributes_mask)
}
