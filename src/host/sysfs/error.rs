//! What can be wrong with a tree.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

use crate::device::{MdevTypeError, PciIdError};

/// Why sysfs gives no answer.
///
/// Paths are as the user would type them: the directory that was given, and what is below it. Texts and paths hold
/// whatever the tree holds, control characters included.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SysfsError {
    /// The directory that was given cannot be opened, or has no directory `bus`.
    #[error("{} is not a sysfs: cannot open the directory {}", dir.display(), path.display())]
    NotSysfs {
        /// What was given.
        dir: PathBuf,
        /// What could not be opened: `dir`, or `bus` in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// It is there, but this process may not read it.
    #[error("not permitted to read {}", path.display())]
    NotPermitted {
        /// What was to be read.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },

    /// Something that the kernel always has is not there, or went away meanwhile.
    #[error("{} is missing, {wanted}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What it would have told.
        wanted: &'static str,
    },

    /// Reading failed for another reason.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A file where a directory belongs, a directory where a file belongs, or a link in place of either.
    #[error("{} is not {wanted}, as the kernel would have it", path.display())]
    WrongKind {
        /// What was opened.
        path: PathBuf,
        /// What belongs there: `a directory`, `a file` or `a symbolic link`.
        wanted: &'static str,
    },

    /// A link that names an absolute path, or climbs above the tree's root.
    #[error("the link {} leads out of the tree: {}", path.display(), target.display())]
    OutsideTree {
        /// The link.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
    },

    /// A link that leads somewhere else than the kernel lets it lead.
    #[error("the link {} leads to {}, not to {wanted}", path.display(), target.display())]
    WrongTarget {
        /// The link.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
        /// The form of what it should lead to.
        wanted: &'static str,
    },

    /// A type whose name no document can hold.
    #[error("the link {} names the mdev type {name:?}, which XML cannot hold", path.display())]
    TypeName {
        /// The link that names it.
        path: PathBuf,
        /// The name, with what is not UTF-8 replaced.
        name: String,
        /// Why not.
        source: MdevTypeError,
    },

    /// A `vendor` or `device` that holds no PCI id.
    #[error("{} holds {found:?}, which is not a PCI id", path.display())]
    NotAPciId {
        /// The file.
        path: PathBuf,
        /// What it holds, shortened.
        found: String,
        /// Why not.
        source: PciIdError,
    },

    /// A `device_api` that holds no word.
    #[error("{} holds {found:?}, which is not a device API", path.display())]
    NotADeviceApi {
        /// The file.
        path: PathBuf,
        /// What it holds, shortened.
        found: String,
    },
}

impl SysfsError {
    /// What the kernel's refusal to open or read `path` means where `wanted` belongs.
    ///
    /// `missing` says what it would have told.
    pub(super) fn reading(path: &Path, errno: Errno, wanted: &'static str, missing: &'static str) -> Self {
        let path = path.to_owned();
        match errno {
            Errno::NOENT => Self::Missing { path, wanted: missing },
            Errno::ACCESS | Errno::PERM => Self::NotPermitted { path, source: errno.into() },
            // O_NOFOLLOW says ELOOP of a link, O_DIRECTORY ENOTDIR of a file or a link, read EISDIR of a directory, and
            // readlink EINVAL of what is no link.
            Errno::LOOP | Errno::NOTDIR | Errno::ISDIR => Self::WrongKind { path, wanted },
            Errno::INVAL if wanted == LINK => Self::WrongKind { path, wanted },
            _ => Self::Unreadable { path, source: errno.into() },
        }
    }
}

pub(super) const DIRECTORY: &str = "a directory";
pub(super) const FILE: &str = "a file";
pub(super) const LINK: &str = "a symbolic link";
