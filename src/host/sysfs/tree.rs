//! A tree under one directory, out of which no link leads.
//!
//! Every file is opened relative to an open directory, one name at a time and never through a link (`O_NOFOLLOW`); links are
//! read and resolved by their text. `openat2` would do the same in one call, but needs Linux 5.6.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::{Errno, read, retry_on_intr};

use super::error::{DIRECTORY, FILE, LINK, SysfsError};

/// The largest attribute file of the kernel, in bytes: a page.
const PAGE: usize = 4096;

/// How a directory is opened to open something in it: it need not be readable.
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The root of a tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// As the user gave it.
    name: PathBuf,
    fd: OwnedFd,
}

/// An open directory of a tree.
#[derive(Debug)]
pub(super) struct Directory {
    /// Relative to the tree's root.
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// Relative to the tree's root.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Tree {
    /// Opens the root. It may be a link, since the user names it.
    pub(super) fn open(dir: &Path) -> Result<Self, Errno> {
        let fd = retry_on_intr(|| openat(CWD, dir, THROUGH, Mode::empty()))?;
        Ok(Self { name: dir.to_owned(), fd })
    }

    /// Returns the open root.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.fd
    }

    /// As the user gave it.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Returns how messages name `path` in the tree.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        self.name.join(path)
    }

    /// Opens a directory by its path from the root.
    pub(super) fn directory(&self, path: &Path, missing: &'static str) -> Result<Directory, SysfsError> {
        self.walk(self.fd.as_fd(), PathBuf::new(), path, missing)
    }

    /// Opens a directory by its path from another directory.
    pub(super) fn directory_in(
        &self,
        base: &Directory,
        path: &Path,
        missing: &'static str,
    ) -> Result<Directory, SysfsError> {
        self.walk(base.fd.as_fd(), base.path.clone(), path, missing)
    }

    fn walk(
        &self,
        base: impl AsFd,
        mut walked: PathBuf,
        path: &Path,
        missing: &'static str,
    ) -> Result<Directory, SysfsError> {
        let mut reached: Option<OwnedFd> = None;
        for name in path {
            walked.push(name);
            let here = reached.as_ref().map_or(base.as_fd(), AsFd::as_fd);
            let next = retry_on_intr(|| openat(here, name, THROUGH | OFlags::NOFOLLOW, Mode::empty()))
                .map_err(|errno| SysfsError::reading(&self.shown(&walked), errno, DIRECTORY, missing))?;
            reached = Some(next);
        }
        let fd = reached.ok_or_else(|| SysfsError::reading(&self.shown(&walked), Errno::NOENT, DIRECTORY, missing))?;
        Ok(Directory { path: walked, fd })
    }

    /// Returns the names in a directory, except those that are not UTF-8.
    pub(super) fn names(&self, base: &Directory) -> Result<BTreeSet<String>, SysfsError> {
        // Directories are opened with O_PATH; listing one takes another descriptor.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries: Result<Vec<_>, Errno> = retry_on_intr(|| openat(&base.fd, ".", flags, Mode::empty()))
            .and_then(Dir::new)
            .and_then(|entries| entries.collect());
        let entries = entries.map_err(|errno| SysfsError::reading(&self.shown(&base.path), errno, DIRECTORY, ""))?;
        let names = entries.iter().filter_map(|entry| entry.file_name().to_str().ok());
        Ok(names.filter(|name| !matches!(*name, "." | "..")).map(str::to_owned).collect())
    }

    /// Returns the text of a link, or `None` if there is nothing of that name.
    pub(super) fn link(&self, base: &Directory, name: &str) -> Result<Option<PathBuf>, SysfsError> {
        match retry_on_intr(|| readlinkat(&base.fd, name, Vec::new())) {
            Ok(target) => Ok(Some(PathBuf::from(OsString::from_vec(target.into_bytes())))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(SysfsError::reading(&self.shown(&base.path.join(name)), errno, LINK, "")),
        }
    }

    /// Returns the target of a link in `base`, relative to the root.
    pub(super) fn resolve(&self, base: &Directory, name: &str, target: &Path) -> Result<PathBuf, SysfsError> {
        resolve(&base.path, target).ok_or_else(|| SysfsError::OutsideTree {
            path: self.shown(&base.path.join(name)),
            target: target.to_owned(),
        })
    }

    /// Returns the bytes of an attribute file, from one read: the kernel generates its content at the first read.
    ///
    /// It waits without a time limit: a slow attribute is not an error.
    pub(super) fn attribute(&self, base: &Directory, name: &str, missing: &'static str) -> Result<Vec<u8>, SysfsError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let mut page = vec![0; PAGE];
        let length = retry_on_intr(|| openat(&base.fd, name, flags, Mode::empty()))
            .and_then(|file| retry_on_intr(|| read(&file, &mut page[..])))
            .map_err(|errno| SysfsError::reading(&self.shown(&base.path.join(name)), errno, FILE, missing))?;
        page.truncate(length);
        Ok(page)
    }
}

/// Follows `target` from the directory `base` by its text alone. Returns `None` if it leaves the tree.
fn resolve(base: &Path, target: &Path) -> Option<PathBuf> {
    let mut resolved = base.to_owned();
    for component in target.components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_resolved_by_its_text_and_never_above_the_root() {
        let base = Path::new("bus/mdev/devices");
        for (target, resolved) in [
            ("../../../devices/a/b", Some("devices/a/b")),
            ("./x//y/", Some("bus/mdev/devices/x/y")),
            ("../../..", Some("")),
            ("../../../devices/../devices/a", Some("devices/a")),
            ("../../../../devices/a", None),
            ("/devices/a", None),
            ("../../../devices/../../sys/devices/a", None),
        ] {
            assert_eq!(resolve(base, Path::new(target)).as_deref(), resolved.map(Path::new), "{target}");
        }
    }
}
