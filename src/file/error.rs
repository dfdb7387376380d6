//! What can go wrong with a file, each with its path.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::fs::FileType;
use thiserror::Error;

use super::interrupt::Signal;
use super::replace::Replaced;

/// Why a file was not found, read or replaced.
///
/// The paths are as the user wrote them, except where a variant says otherwise. Whatever the variant, the file that it
/// names is as it was, save for [`NotDurable`](Self::NotDurable).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// A path, not a pattern, that leads nowhere.
    #[error("{}: no such file", path.display())]
    NotFound {
        /// What is missing.
        path: PathBuf,
    },
    /// A symbolic link that leads nowhere.
    #[error("{} is a symbolic link to {}, which does not exist", path.display(), missing.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// Where it leads, as far as it could be followed.
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
    /// A directory could not be searched for what matches a pattern.
    #[error("cannot read the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else than the regular file that is needed.
    #[error("{} is {kind}, not a regular file", path.display())]
    NotRegular {
        /// What is no regular file.
        path: PathBuf,
        /// What it is instead.
        kind: FileKind,
    },
    /// The path is another name of an open descriptor, as `/dev/stdout` and `/dev/fd/1` are.
    #[error("{} is an open descriptor, not a file that could be replaced", path.display())]
    Descriptor {
        /// The path.
        path: PathBuf,
    },
    /// Standard input has no place to which it could be written back.
    #[error("standard input is no file that could be replaced")]
    StandardInput,
    /// More bytes than [`LIMIT`](super::LIMIT).
    #[error("{name} is larger than {} MiB", limit >> 20)]
    TooLarge {
        /// The file, or `<stdin>`.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file or standard input could not be read.
    #[error("cannot read {name}")]
    Read {
        /// The file, or `<stdin>`.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A path could not be followed or looked at.
    #[error("cannot look at {}", path.display())]
    Look {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has other hard links, which would keep the old contents.
    #[error("{} has {links} hard links; replacing it would part it from the others", path.display())]
    HardLinks {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// The caller may not write the file, although the directory would allow to replace it.
    #[error("{} is write-protected", path.display())]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// Why: its mode or ACL, a read-only file system, an immutable file.
        source: io::Error,
    },
    /// The file may be added to but not replaced (`chattr +a`).
    #[error("{} is append-only (chattr +a) and cannot be replaced", path.display())]
    AppendOnly {
        /// The file, or its directory.
        path: PathBuf,
    },
    /// The file is mounted by itself, as containers do with single files; nothing can be renamed over it.
    #[error("{} is a mount point and cannot be replaced", path.display())]
    MountPoint {
        /// The file.
        path: PathBuf,
    },
    /// The directory takes no new file.
    #[error("cannot create a temporary file in {} for {}", directory.display(), path.display())]
    Create {
        /// The file that was to be written.
        path: PathBuf,
        /// The directory of the file itself, symbolic links followed.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The new contents did not fit, or could not be written.
    #[error("cannot write the new contents of {}", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The new file could not be given the owner and group of the old one.
    #[error("cannot keep the owner {uid}:{gid} of {}", path.display())]
    Owner {
        /// The file that was to be replaced.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Why.
        source: io::Error,
    },
    /// The new file could not be given the mode of the old one.
    #[error("cannot keep the mode {mode:04o} of {}", path.display())]
    Mode {
        /// The file that was to be replaced.
        path: PathBuf,
        /// Its mode, without the bits of the file's type.
        mode: u32,
        /// Why.
        source: io::Error,
    },
    /// The new file could not be given an extended attribute of the old one, or could not be rid of one; ACLs are such
    /// attributes.
    #[error("cannot keep the extended attribute {} of {}", name.to_string_lossy(), path.display())]
    Attribute {
        /// The file that was to be replaced.
        path: PathBuf,
        /// `security.selinux`, `system.posix_acl_access`, `user.…`; `*` where they could not be listed.
        name: OsString,
        /// Why.
        source: io::Error,
    },
    /// There is a file where the backup would go; it may be the only copy of what it holds.
    #[error("the backup {} exists already", backup.display())]
    BackupExists {
        /// The file that was to be replaced.
        path: PathBuf,
        /// Its backup.
        backup: PathBuf,
    },
    /// The backup could not be made.
    #[error("cannot make the backup {}", backup.display())]
    Backup {
        /// The file that was to be replaced.
        path: PathBuf,
        /// Its backup.
        backup: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Someone else changed the file after it was read; their change stays.
    #[error("{} was changed by someone else in the meantime", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Someone else made a file where there was none; it stays.
    #[error("{} was created by someone else in the meantime", path.display())]
    Appeared {
        /// The file.
        path: PathBuf,
    },
    /// What was written did not reach the disk.
    #[error("cannot write {} to disk", path.display())]
    Sync {
        /// The file that was to be replaced, or one of those on the same file system.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The new file could not be moved to its place.
    #[error("cannot rename the new file over {}", path.display())]
    Rename {
        /// The file that was to be replaced.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that came out of its place, perhaps somebody else's and the only copy, could not be put back.
    #[error("cannot restore {} from {}, which is kept", path.display(), kept.display())]
    KeptAside {
        /// The file.
        path: PathBuf,
        /// Where its contents are now.
        kept: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The files are replaced, but after a power cut the old ones may be back.
    #[error("replaced, but the directory {} could not be written to disk", directory.display())]
    NotDurable {
        /// The directory that holds them.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A signal asked to stop before the first file was replaced.
    #[error("interrupted by {signal}")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
    /// The operating system did not let signals be caught.
    #[error("cannot listen for {signal}")]
    Signals {
        /// The signal.
        signal: Signal,
        /// Why.
        source: io::Error,
    },
}

/// Why a batch was not committed, with all that stood in the way.
#[derive(Debug, Error)]
#[error("{}", summary(faults, replaced))]
pub struct CommitError {
    /// Every fault that was found; never empty.
    pub faults: Vec<FileError>,
    /// The files that are replaced nevertheless: all of them where only the sync of a directory failed; else those that
    /// could not be put back, as on a file system without `RENAME_EXCHANGE`. Empty in every other case.
    pub replaced: Vec<Replaced>,
}

fn summary(faults: &[FileError], replaced: &[Replaced]) -> String {
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    match (faults.len().saturating_sub(1), replaced.len()) {
        (0, 0) => first,
        (more, 0) => format!("{first} (and {more} more)"),
        (0, replaced) => format!("{first} ({replaced} replaced before it)"),
        (more, replaced) => format!("{first} (and {more} more; {replaced} replaced before them)"),
    }
}

/// A backup suffix that would not name another file in the same directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadSuffix {
    /// The backup would be the file itself.
    #[error("the backup suffix is empty")]
    Empty,
    /// The backup would be in another directory.
    #[error("the backup suffix contains a slash")]
    Slash,
}

/// What a path is that is no regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A named pipe, or a pipe.
    Fifo,
    /// A terminal, `/dev/null`.
    CharacterDevice,
    /// A disk.
    BlockDevice,
    /// A Unix socket.
    Socket,
    /// What Linux has no name for yet.
    Other,
}

impl FileKind {
    /// The kind of what has this type, which is not that of a regular file.
    pub(super) fn of(file_type: FileType) -> Self {
        match file_type {
            FileType::Directory => Self::Directory,
            FileType::Fifo => Self::Fifo,
            FileType::CharacterDevice => Self::CharacterDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Socket => Self::Socket,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Fifo => "a FIFO",
            Self::CharacterDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Socket => "a socket",
            Self::Other => "something special",
        })
    }
}
