//! The state of a file, by which a later change is detected.

use std::fs::File;
use std::io;

use rustix::fs::{FileType, Stat, fstat};

/// The state of a file at one moment. If it is the same later, nobody has replaced or written the file, or changed its
/// protection.
///
/// The kernel's clock for these times ticks every few milliseconds on most file systems (finer since Linux 6.13). A write
/// of the same length in the tick in which the file was read is not detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    pub dev: u64,
    pub ino: u64,
    pub size: u64,
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Seconds and nanoseconds. Changes of mode, owner, links and extended attributes update it, too.
    pub ctime: (i64, i64),
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
}

impl FileState {
    /// Returns the state of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(fstat(file)?.into())
    }

    /// Returns permissions, set-id and sticky bits, as `chmod` takes them.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    /// Returns the type: regular file, directory and so on.
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Whether both are states of the same inode.
    pub fn same_file(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }

    /// Whether `later` is the same state after we renamed or linked the file ourselves, which updates its ctime.
    pub fn same_but_for_names(&self, later: &Self) -> bool {
        *self == Self { ctime: self.ctime, links: self.links, ..*later }
    }
}

/// Converts the result of fstat(2) or lstat(2). The statx(2) of `std` requests more than is needed and takes 50 % longer.
impl From<Stat> for FileState {
    #[allow(clippy::unnecessary_cast, reason = "the types differ between processors")]
    fn from(found: Stat) -> Self {
        Self {
            dev: found.st_dev as u64,
            ino: found.st_ino as u64,
            size: found.st_size as u64,
            mtime: (found.st_mtime as i64, found.st_mtime_nsec as i64),
            ctime: (found.st_ctime as i64, found.st_ctime_nsec as i64),
            mode: found.st_mode as u32,
            uid: found.st_uid,
            gid: found.st_gid,
            links: found.st_nlink as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_detected_but_renames_of_our_own_may_be_ignored() {
        let one = FileState {
            dev: 1,
            ino: 2,
            size: 3,
            mtime: (4, 5),
            ctime: (6, 7),
            mode: 0o100_644,
            uid: 8,
            gid: 9,
            links: 1,
        };
        for named in
            [FileState { ctime: (6, 8), ..one }, FileState { ctime: (7, 7), ..one }, FileState { links: 2, ..one }]
        {
            assert!(named != one && one.same_but_for_names(&named), "{named:?}");
        }
        for changed in [
            FileState { dev: 2, ..one },
            FileState { ino: 3, ..one },
            FileState { size: 4, ..one },
            FileState { mtime: (4, 6), ..one },
            FileState { mtime: (5, 5), ..one },
            FileState { mode: 0o100_600, ..one },
            FileState { uid: 9, ..one },
            FileState { gid: 8, ..one },
        ] {
            assert!(changed != one && !one.same_but_for_names(&changed), "{changed:?}");
        }
    }

    #[test]
    fn it_matches_the_metadata_that_std_reports() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::tempfile().unwrap();
        file.set_len(3).unwrap();
        let (state, found) = (FileState::of(&file).unwrap(), file.metadata().unwrap());
        assert_eq!((state.dev, state.ino, state.size), (found.dev(), found.ino(), 3));
        assert_eq!(
            (state.mtime, state.ctime),
            ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()))
        );
        assert_eq!((state.mode, state.uid, state.gid), (found.mode(), found.uid(), found.gid()));
        assert_eq!((state.links, state.file_type()), (found.nlink(), FileType::RegularFile));
    }
}
