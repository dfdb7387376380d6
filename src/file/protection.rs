//! Who may do what with a file: owner, group, mode, ACLs and labels, from the old file to the new one.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr};
use rustix::io::{Errno, Result as SysResult};

use super::error::{FileError, Protection};
use super::state::FileState;

/// Attributes that speak of the contents, not of who may use them: the kernel writes them anew, and the old ones would
/// be wrong.
const OF_CONTENTS: [&[u8]; 2] = [b"security.evm", b"security.ima"];

/// The longest list of names, and the longest value, that Linux has (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const XATTR_MAX: usize = 65536;

/// Gives `new` the protection of the file at `old`, which was in the state `state`.
///
/// `created` is the state of `new` as it was made; what it is then is returned. `path` is for messages.
///
/// The order matters: the owner first, since changing it drops set-id bits and capabilities; then labels and ACLs; the
/// mode last, as it is what opens the file to others.
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
        // A caller who may not change the owner may still pass the file to a group of theirs.
        let uid = (created.uid != state.uid).then_some(state.uid);
        let gid = (created.gid != state.gid).then_some(state.gid);
        fchown(new, uid, gid).map_err(owner_error)?;
    }
    attributes(old, new, path)?;
    new.set_permissions(Permissions::from_mode(mode)).map_err(mode_error)?;

    // Some file systems accept what they do not keep, and set-id bits are dropped in silence.
    let now = FileState::of(new).map_err(mode_error)?;
    if (now.uid, now.gid) != (state.uid, state.gid) {
        return Err(owner_error(io::Error::other("the file system did not keep it")));
    }
    if now.permissions() != mode {
        return Err(mode_error(io::Error::other("the file system did not keep it")));
    }
    Ok(now)
}

/// Gives `new` all extended attributes of the file at `old`, and no others.
fn attributes(old: &Path, new: &File, path: &Path) -> Result<(), FileError> {
    let fault = |name: &[u8], errno: Errno| FileError::Protection {
        path: path.to_owned(),
        protection: Protection::Attribute(OsStr::from_bytes(name).to_owned()),
        source: errno.into(),
    };
    let wanted = listed(|buffer| llistxattr(old, buffer)).map_err(|errno| fault(b"*", errno))?;
    let inherited = listed(|buffer| flistxattr(new, buffer)).map_err(|errno| fault(b"*", errno))?;

    // An ACL that the directory hands to every new file would let in more people than the old file did.
    let names: HashSet<&CStr> = names(&wanted).collect();
    for name in self::names(&inherited).filter(|name| !names.contains(name)) {
        fremovexattr(new, name).map_err(|errno| fault(name.to_bytes(), errno))?;
    }
    for name in self::names(&wanted).filter(|name| !OF_CONTENTS.contains(&name.to_bytes())) {
        let value = value(|buffer| lgetxattr(old, name, buffer)).map_err(|errno| fault(name.to_bytes(), errno))?;
        if let Err(errno) = fsetxattr(new, name, &value, XattrFlags::empty()) {
            // Setting a label needs a right that is not needed where the file has that label from the start.
            let kept = self::value(|buffer| fgetxattr(new, name, buffer));
            if kept.as_ref() != Ok(&value) {
                return Err(fault(name.to_bytes(), errno));
            }
        }
    }
    Ok(())
}

/// The names that `list` gives, each ended by a NUL. A file system without extended attributes has none.
fn listed(list: impl FnMut(&mut [u8]) -> SysResult<usize>) -> SysResult<Vec<u8>> {
    match value(list) {
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        listed => listed,
    }
}

fn names(list: &[u8]) -> impl Iterator<Item = &CStr> {
    list.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok())
}

/// All that `get` gives: mostly little, so asked once with little room, and again with all there may be.
fn value(mut get: impl FnMut(&mut [u8]) -> SysResult<usize>) -> SysResult<Vec<u8>> {
    let mut room = [0; 256];
    match get(&mut room) {
        Ok(length) => Ok(room[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut room = vec![0; XATTR_MAX];
            let length = get(&mut room)?;
            room.truncate(length);
            Ok(room)
        }
        Err(errno) => Err(errno),
    }
}
