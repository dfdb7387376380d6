//! By what a file is known again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The state of a file at one moment: if it is the same later, nobody replaced, wrote or re-protected the file in
/// between.
///
/// The kernel's clock for these times ticks every few milliseconds on most file systems (finer since Linux 6.13); a
/// write of the same length in the very tick in which the file was read is the one change that goes unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub dev: u64,
    pub ino: u64,
    pub size: u64,
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Seconds and nanoseconds. Moves with the mode, the owner, the links and the extended attributes too.
    pub ctime: (i64, i64),
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            links: metadata.nlink(),
        }
    }

    /// The mode as `chmod` takes it: permissions, set-id and sticky bits.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    /// Whether it is a regular file: `S_IFREG` of inode(7).
    pub fn is_regular(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Whether both are of one file, in whatever state.
    pub fn same_file(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }

    /// Whether `later` is this file with this content and protection, after we ourselves gave it another name, or one
    /// more; that moves its ctime.
    pub fn same_but_for_names(&self, later: &Self) -> bool {
        *self == Self { ctime: self.ctime, links: self.links, ..*later }
    }
}
