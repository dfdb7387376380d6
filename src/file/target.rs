//! The file that is to be replaced: where it really is, and whether it may be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, lstat, statfs, statx};
use rustix::io::Errno;

use super::error::{Action, FileError, Obstacle};
use super::state::FileState;

/// As many symbolic links as Linux itself follows (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// `PROC_SUPER_MAGIC` of linux/magic.h. Links on this file system name open descriptors, not files.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Follows symbolic links in the last part of `path` to what is no link, which need not exist.
///
/// Links in the directories before it need not be followed: renaming goes through them.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, FileError> {
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        let link = match fs::read_link(&place) {
            Ok(link) => link,
            // EINVAL: it is no link.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => return Ok(place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(place),
            Err(source) => return Err(Action::Stat.failed(path)(source)),
        };
        if is_descriptor(&place) {
            return Err(FileError::Descriptor { path: path.to_owned() });
        }
        // A relative link counts from its own directory; joining an absolute one gives just that.
        place = place.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(Action::Stat.failed(path)(Errno::LOOP.into()))
}

fn is_descriptor(link: &Path) -> bool {
    statfs(directory_of(link)).is_ok_and(|found| u64::try_from(found.f_type) == Ok(PROC_SUPER_MAGIC))
}

/// The directory that holds `path`; `.` for a bare name.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        // The root directory is its own parent, and fails later as the directory that it is.
        _ if path.has_root() => Path::new("/"),
        _ => Path::new("."),
    }
}

/// The state of what is at `target` now, the link itself if it is one.
pub(super) fn state_of(target: &Path) -> io::Result<FileState> {
    Ok(lstat(target)?.into())
}

/// Refuses a file that its protection, or the kernel, would not let be rewritten, although a rename goes by the
/// directory's permissions alone. `path` is for messages.
pub(super) fn may_replace(target: &Path, path: &Path) -> Result<(), FileError> {
    accessat(CWD, target, Access::WRITE_OK, AtFlags::EACCESS).map_err(|errno| match errno {
        Errno::NOENT => FileError::Changed { path: path.to_owned() },
        _ => FileError::NotWritable { path: path.to_owned(), source: errno.into() },
    })?;
    // What would make the rename fail must fail now, before any other file is renamed.
    let attributes = attributes(target, AtFlags::SYMLINK_NOFOLLOW);
    if attributes.contains(StatxAttributes::APPEND) {
        return Err(FileError::Irreplaceable { path: path.to_owned(), obstacle: Obstacle::AppendOnly });
    }
    if attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(FileError::Irreplaceable { path: path.to_owned(), obstacle: Obstacle::MountPoint });
    }
    may_rename_in_directory_of(target)
}

/// Refuses an append-only directory, in which files can be created but neither renamed nor removed.
pub(super) fn may_rename_in_directory_of(target: &Path) -> Result<(), FileError> {
    let directory = directory_of(target);
    if attributes(directory, AtFlags::empty()).contains(StatxAttributes::APPEND) {
        return Err(FileError::Irreplaceable { path: directory.to_owned(), obstacle: Obstacle::AppendOnly });
    }
    Ok(())
}

/// Refuses a directory that takes no new file beside `target`. `path` is for messages.
pub(super) fn may_create_beside(target: &Path, path: &Path) -> Result<(), FileError> {
    let directory = directory_of(target);
    accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|errno| Action::CreateIn(directory.to_owned()).failed(path)(errno.into()))
}

/// What statx(2) says of `path`; nothing where the kernel or a sandbox does not know it.
fn attributes(path: &Path, flags: AtFlags) -> StatxAttributes {
    statx(CWD, path, flags, StatxFlags::empty())
        .map_or(StatxAttributes::empty(), |found| found.stx_attributes & found.stx_attributes_mask)
}
