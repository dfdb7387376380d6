//! Errors about files.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::fs::FileType;
use thiserror::Error;

/// Why a file was not found, read or replaced.
///
/// Paths are as the user wrote them, unless a variant says otherwise. The file that an error names is unchanged, except
/// for [`NotDurable`](Self::NotDurable) and [`KeptAside`](Self::KeptAside).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// A path, not a pattern, that does not exist.
    #[error("{}: no such file", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// A symbolic link whose target does not exist.
    #[error("{} is a symbolic link to {}, which does not exist", path.display(), missing.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// Its target, as far as it could be followed.
        missing: PathBuf,
    },
    /// A pattern without a match.
    #[error("no file matches the pattern {pattern}")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// A pattern that the glob crate does not understand.
    #[error("{pattern} is neither a file nor a valid pattern")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// Not a regular file, although one is needed.
    #[error("{} is {}, not a regular file", path.display(), name_of(*file_type))]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        file_type: FileType,
    },
    /// Another name of an open descriptor, such as `/dev/stdout` and `/dev/fd/1`, or standard input itself.
    #[error("{} is an open descriptor, not a file that could be replaced", path.display())]
    Descriptor {
        /// The path, or `<stdin>`.
        path: PathBuf,
    },
    /// More bytes than are read.
    #[error("{name} is larger than {} MiB", limit >> 20)]
    TooLarge {
        /// The file, or `<stdin>`.
        name: String,
        /// How many bytes are read at most.
        limit: usize,
    },
    /// The file has other hard links, which would keep the old contents.
    #[error("{} has {links} hard links; replacing it would break them", path.display())]
    HardLinks {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// The caller may not write the file, although the directory would allow it to be replaced.
    #[error("{} is write-protected", path.display())]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file or its directory has the flag `a` of chattr(1).
    #[error("{} is append-only (chattr +a) and cannot be replaced", path.display())]
    AppendOnly {
        /// The file, or its directory.
        path: PathBuf,
    },
    /// Something is mounted on the file.
    #[error("{} is a mount point and cannot be replaced", path.display())]
    MountPoint {
        /// The file.
        path: PathBuf,
    },
    /// The backup exists, and may be the only copy of its contents.
    #[error("the backup {} already exists", backup.display())]
    BackupExists {
        /// The backup.
        backup: PathBuf,
    },
    /// Someone else changed the file after it was read. Their change stays.
    #[error("{} was changed by someone else in the meantime", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Someone else created a file where there was none. It stays.
    #[error("{} was created by someone else in the meantime", path.display())]
    Appeared {
        /// The file.
        path: PathBuf,
    },
    /// The new file could not be given the owner, mode or an attribute of the old one.
    #[error("cannot keep the {protection} of {}", path.display())]
    Protection {
        /// The file that was to be replaced.
        path: PathBuf,
        /// What could not be kept.
        protection: Protection,
        /// Why.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: Action,
        /// With which file. It may be `<stdin>`.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file that was exchanged with the target, perhaps somebody else's only copy, could not be restored.
    #[error("cannot restore {} from {}, which is kept", path.display(), kept.display())]
    KeptAside {
        /// The file.
        path: PathBuf,
        /// Where its contents are now.
        kept: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The files are replaced, but a power failure may bring the old ones back.
    #[error("replaced, but the directory {} could not be synced to disk", directory.display())]
    NotDurable {
        /// Their directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A signal arrived before the first file was replaced.
    #[error("interrupted")]
    Interrupted,
}

/// What [`FileError::Io`] was about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Read a file or standard input.
    Read,
    /// List a directory.
    ReadDirectory,
    /// Stat a path, or follow a symbolic link.
    Stat,
    /// Create a temporary file in this directory, which is where the file really is.
    CreateIn(PathBuf),
    /// Write to the temporary file.
    Write,
    /// Make this backup.
    BackUp,
    /// Sync the new contents, or contents on the same file system.
    Sync,
    /// Rename the temporary file.
    Rename,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::ReadDirectory => "read the directory",
            Self::Stat => "access",
            Self::CreateIn(directory) => {
                return write!(f, "create a temporary file in {} for", directory.display());
            }
            Self::Write => "write the new contents of",
            Self::BackUp => "make the backup",
            Self::Sync => "sync",
            Self::Rename => "rename the new file over",
        })
    }
}

impl Action {
    /// Returns the error for `path`, once it is given the reason.
    pub(super) fn failed(self, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> FileError {
        let path = path.into();
        move |source| FileError::Io { action: self, path, source }
    }
}

/// What the new file should have in common with the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Owner and group.
    Owner {
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// Permissions, set-id and sticky bits.
    Mode(u32),
    /// An extended attribute, such as `security.selinux` or `system.posix_acl_access`; `*` if they could not be listed.
    Attribute(OsString),
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { uid, gid } => write!(f, "owner {uid}:{gid}"),
            Self::Mode(mode) => write!(f, "mode {mode:04o}"),
            Self::Attribute(name) => write!(f, "extended attribute {}", name.to_string_lossy()),
        }
    }
}

/// Returns what a message calls a path that is not a regular file.
fn name_of(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Socket => "a socket",
        _ => "something special",
    }
}
