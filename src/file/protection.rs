//! Copies owner, group, mode, ACLs and labels from the old file to the new one.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;

use rustix::buffer::{SpareCapacity, spare_capacity};
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr};
use rustix::io::{Errno, Result as SysResult};

use super::error::{FileError, Protection};
use super::state::FileState;

/// Attributes that sign the contents. The kernel creates new ones, and the old ones would not match.
const OF_CONTENTS: [&[u8]; 2] = [b"security.evm", b"security.ima"];

/// The limit of Linux for a list of names and for a value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const XATTR_MAX: usize = 65536;

/// Gives `new`, which is in the state `created`, the protection of the file at `old`, which is in the state `state`.
/// Returns the resulting state. `path` is for messages.
///
/// The order matters: the owner first, since changing it drops set-id bits and capabilities; then labels and ACLs; the
/// mode last, since it gives others access.
pub(super) fn carry_over(
    old: &Path,
    state: &FileState,
    new: &File,
    created: &FileState,
    path: &Path,
) -> Result<FileState, FileError> {
    let mode = state.permissions();
    let not_kept = |protection, source| FileError::Protection { path: path.to_owned(), protection, source };
    let owner_error = |source| not_kept(Protection::Owner { uid: state.uid, gid: state.gid }, source);
    let mode_error = |source| not_kept(Protection::Mode(mode), source);

    if (created.uid, created.gid) != (state.uid, state.gid) {
        // A caller who may not change the owner may still set one of their own groups.
        let uid = (created.uid != state.uid).then_some(state.uid);
        let gid = (created.gid != state.gid).then_some(state.gid);
        fchown(new, uid, gid).map_err(owner_error)?;
    }
    attributes(old, new, path)?;
    new.set_permissions(Permissions::from_mode(mode)).map_err(mode_error)?;

    // Some file systems accept a change but do not store it, and the kernel may drop set-id bits.
    let now = FileState::of(new).map_err(mode_error)?;
    if (now.uid, now.gid) != (state.uid, state.gid) {
        return Err(owner_error(io::Error::other("the file system did not keep it")));
    }
    if now.permissions() != mode {
        return Err(mode_error(io::Error::other("the file system did not keep it")));
    }
    Ok(now)
}

/// Gives `new` the extended attributes of the file at `old`, and no others.
fn attributes(old: &Path, new: &File, path: &Path) -> Result<(), FileError> {
    let failed = |name: &[u8], errno: Errno| FileError::Protection {
        path: path.to_owned(),
        protection: Protection::Attribute(OsStr::from_bytes(name).to_owned()),
        source: errno.into(),
    };
    let old_names = listed(|buffer| llistxattr(old, buffer)).map_err(|errno| failed(b"*", errno))?;
    let new_names = listed(|buffer| flistxattr(new, buffer)).map_err(|errno| failed(b"*", errno))?;

    // A default ACL of the directory could give access to more people than the old file did.
    let names: HashSet<&CStr> = names(&old_names).collect();
    for name in self::names(&new_names).filter(|name| !names.contains(name)) {
        fremovexattr(new, name).map_err(|errno| failed(name.to_bytes(), errno))?;
    }
    for name in self::names(&old_names).filter(|name| !OF_CONTENTS.contains(&name.to_bytes())) {
        let value = value(|buffer| lgetxattr(old, name, buffer)).map_err(|errno| failed(name.to_bytes(), errno))?;
        if let Err(errno) = fsetxattr(new, name, &value, XattrFlags::empty()) {
            // Setting a label needs a privilege that is not needed if the file already has it.
            let kept = self::value(|buffer| fgetxattr(new, name, buffer));
            if kept.as_ref() != Ok(&value) {
                return Err(failed(name.to_bytes(), errno));
            }
        }
    }
    Ok(())
}

/// Returns the list of names, each terminated by a NUL. It is empty on a file system without extended attributes.
fn listed(list: impl FnOnce(SpareCapacity<'_, u8>) -> SysResult<usize>) -> SysResult<Vec<u8>> {
    match value(list) {
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        listed => listed,
    }
}

fn names(list: &[u8]) -> impl Iterator<Item = &CStr> {
    list.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok())
}

fn value(get: impl FnOnce(SpareCapacity<'_, u8>) -> SysResult<usize>) -> SysResult<Vec<u8>> {
    let mut value = Vec::with_capacity(XATTR_MAX);
    get(spare_capacity(&mut value))?;
    Ok(value)
}
