//! The errors of reading a tree.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

use crate::device::MdevTypeError;

/// Why sysfs gives no answer.
///
/// Paths begin with the directory that was given, as the user would type them. Texts and paths contain whatever the tree
/// contains, control characters included.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SysfsError {
    /// The directory that was given cannot be opened, or has no directory `bus`.
    #[error("{} is not a sysfs: cannot open the directory {}", dir.display(), path.display())]
    NotSysfs {
        /// The directory that was given.
        dir: PathBuf,
        /// What could not be opened: `dir`, or `bus` in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// Something that the kernel always has is missing, or was removed in the meantime.
    #[error("{} is missing, {wanted}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What it would contain.
        wanted: &'static str,
    },

    /// It is there, but this process may not read it, or reading failed for another reason.
    #[error("{} {}", match source.kind() {
        io::ErrorKind::PermissionDenied => "not permitted to read",
        _ => "cannot read",
    }, path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A file instead of a directory, a directory instead of a file, or a link instead of either.
    #[error("{} is not {wanted}, as it is in the kernel's sysfs", path.display())]
    WrongKind {
        /// What was opened.
        path: PathBuf,
        /// What was expected: `a directory`, `a file` or `a symbolic link`.
        wanted: &'static str,
    },

    /// A link with an absolute path, or to a path above the tree's root.
    #[error("the link {} leads out of the tree: {}", path.display(), target.display())]
    OutsideTree {
        /// The link.
        path: PathBuf,
        /// Its text.
        target: PathBuf,
    },

    /// A link with another target than the kernel's.
    #[error("the link {} leads to {}, not to {wanted}", path.display(), target.display())]
    WrongTarget {
        /// The link.
        path: PathBuf,
        /// Its text.
        target: PathBuf,
        /// The form of the expected target.
        wanted: &'static str,
    },

    /// A type whose name cannot be written in XML.
    #[error("{} names the mdev type {name:?}, which XML cannot hold", path.display())]
    TypeName {
        /// Its directory, or the link to it.
        path: PathBuf,
        /// The name, with U+FFFD for bytes that are not UTF-8.
        name: String,
        /// Why not.
        source: MdevTypeError,
    },

    /// An attribute with another content than the kernel's.
    #[error("{} holds {found:?}, which is not {wanted}", path.display())]
    WrongContent {
        /// The file.
        path: PathBuf,
        /// What it holds, shortened.
        found: String,
        /// What was expected: `a PCI id`, `a device API`, …
        wanted: &'static str,
        /// Why not, if that is known.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl SysfsError {
    /// Returns the error for a failure to open or read `path`, where `wanted` is expected.
    ///
    /// `missing` says what it would contain.
    pub(super) fn reading(path: &Path, errno: Errno, wanted: &'static str, missing: &'static str) -> Self {
        let path = path.to_owned();
        match errno {
            Errno::NOENT => Self::Missing { path, wanted: missing },
            // A link is ELOOP with O_NOFOLLOW, a file or link ENOTDIR with O_DIRECTORY, a directory EISDIR for read, and anything
            // else EINVAL for readlink.
            Errno::LOOP | Errno::NOTDIR | Errno::ISDIR => Self::WrongKind { path, wanted },
            Errno::INVAL if wanted == LINK => Self::WrongKind { path, wanted },
            _ => Self::Unreadable { path, source: errno.into() },
        }
    }
}

pub(super) const DIRECTORY: &str = "a directory";
pub(super) const FILE: &str = "a file";
pub(super) const LINK: &str = "a symbolic link";
