//! A tree under one directory, out of which no link leads.
//!
//! Every file is opened relative to an open directory, one name at a time and never through a link (`O_NOFOLLOW`); links are
//! read and resolved by their text. `openat2` would do the same in one call, but needs Linux 5.6.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fcntl_setfl, fstat, openat, readlinkat};
use rustix::io::{Errno, read, retry_on_intr};

use super::error::{DIRECTORY, FILE, LINK, SysfsError};

/// The largest attribute file of the kernel, in bytes: a page.
const PAGE: usize = 4096;

/// How many bytes of unexpected content are shown.
const SHOWN: usize = 60;

/// How a directory is opened to open something in it: it need not be readable.
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The root of a tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// As the user gave it.
    name: PathBuf,
    root: Directory,
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
    pub(super) fn open(dir: &Path) -> Result<Self, SysfsError> {
        let not_sysfs = |path: &Path, errno: Errno| SysfsError::NotSysfs {
            dir: dir.to_owned(),
            path: path.to_owned(),
            source: errno.into(),
        };
        let open = |fd: BorrowedFd<'_>, path: &Path, flags| retry_on_intr(|| openat(fd, path, flags, Mode::empty()));
        let fd = open(CWD, dir, THROUGH).map_err(|errno| not_sysfs(dir, errno))?;
        open(fd.as_fd(), Path::new("bus"), THROUGH | OFlags::NOFOLLOW)
            .map_err(|errno| not_sysfs(&dir.join("bus"), errno))?;
        Ok(Self { name: dir.to_owned(), root: Directory { path: PathBuf::new(), fd } })
    }

    /// Returns the open root.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root.fd
    }

    /// As the user gave it.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Returns how messages name `path` in the tree.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        self.name.join(path)
    }

    /// Opens a directory by its path from the root. `missing` says what it would contain.
    pub(super) fn directory(&self, path: impl AsRef<Path>, missing: &'static str) -> Result<Directory, SysfsError> {
        self.directory_in(&self.root, path, missing)
    }

    /// Opens a directory by its path from another directory.
    pub(super) fn directory_in(
        &self,
        base: &Directory,
        path: impl AsRef<Path>,
        missing: &'static str,
    ) -> Result<Directory, SysfsError> {
        let mut walked = base.path.clone();
        let mut reached: Option<OwnedFd> = None;
        for name in path.as_ref() {
            walked.push(name);
            let here = reached.as_ref().unwrap_or(&base.fd);
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

    /// Follows a link in `base`, or returns `None` if there is nothing of that name.
    pub(super) fn follow(&self, base: &Directory, name: &str) -> Result<Option<Target>, SysfsError> {
        let Some(text) = self.link(base, name)? else { return Ok(None) };
        let link = self.shown(&base.path.join(name));
        match resolve(&base.path, &text) {
            Some(path) => Ok(Some(Target { path, link, text })),
            None => Err(SysfsError::OutsideTree { path: link, target: text }),
        }
    }

    /// Returns the bytes of an attribute file, from one read: the kernel generates its content at the first read.
    ///
    /// It waits without a time limit: a slow attribute is not an error. Only a FIFO without a writer is not waited for.
    pub(super) fn attribute(&self, base: &Directory, name: &str, missing: &'static str) -> Result<Vec<u8>, SysfsError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
        let mut page = vec![0; PAGE];
        let length = retry_on_intr(|| openat(&base.fd, name, flags, Mode::empty()))
            .and_then(|file| match retry_on_intr(|| read(&file, &mut page[..])) {
                // A FIFO with a writer, or a device, which is not waited for.
                Err(Errno::AGAIN) if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Fifo => {
                    fcntl_setfl(&file, OFlags::empty())?;
                    retry_on_intr(|| read(&file, &mut page[..]))
                }
                length => length,
            })
            .map_err(|errno| SysfsError::reading(&self.shown(&base.path.join(name)), errno, FILE, missing))?;
        page.truncate(length);
        Ok(page)
    }

    /// Reads an attribute and parses it. The error says what is `missing`, or which content is `wanted`.
    pub(super) fn parsed<T>(
        &self,
        base: &Directory,
        name: &str,
        missing: &'static str,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Option<Box<dyn Error + Send + Sync>>>,
    ) -> Result<T, SysfsError> {
        let content = self.attribute(base, name, missing)?;
        // Bytes that are not UTF-8 become U+FFFD, which no value has.
        parse(&String::from_utf8_lossy(&content)).map_err(|source| {
            let shown = String::from_utf8_lossy(&content[..content.len().min(SHOWN)]);
            let cut = if content.len() > SHOWN { "…" } else { "" };
            let path = self.shown(&base.path.join(name));
            SysfsError::WrongContent { path, found: format!("{shown}{cut}"), wanted, source }
        })
    }
}

/// Where a link leads.
pub(super) struct Target {
    /// Relative to the tree's root.
    pub(super) path: PathBuf,
    /// How messages name the link.
    link: PathBuf,
    /// The text of the link.
    text: PathBuf,
}

impl Target {
    /// Returns the error for a link that does not lead to what is `wanted`.
    pub(super) fn wrong(self, wanted: &'static str) -> SysfsError {
        SysfsError::WrongTarget { path: self.link, target: self.text, wanted }
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
