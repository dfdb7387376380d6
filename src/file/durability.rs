//! What was written, on the disk: each file by itself where they are few, a whole file system at once where they are
//! many.
//!
//! A sync of ten thousand files one by one flushes the disk as often. `syncfs` flushes it a few times, whatever their
//! number, but writes out what others have written too, which may take longer than a few syncs; and only since Linux
//! 5.8 does it say that something could not be written.
//!
//! Where they are very many it is called now and then while they are being written too, so that in the end the disk has
//! nearly all of them. That is a beginning only: what counts is the call behind the last of them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::fs::{OFlags, syncfs};
use rustix::io::Errno;
use rustix::system::uname;

use super::input::open_with;

/// Up to so many files of a file system are synced one by one.
const FEW: usize = 8;

/// So many files written to a file system are worth beginning to bring them to disk.
const MANY: usize = 2000;

/// A device number, by which file systems are told apart.
pub(super) type Device = u64;

/// Brings files and directories to disk.
#[derive(Debug)]
pub(super) struct Durability {
    /// Whether `syncfs` tells of errors.
    by_file_system: bool,
    file_systems: Mutex<HashMap<Device, FileSystem>>,
}

/// A file system to which is written.
#[derive(Debug)]
struct FileSystem {
    /// A file of it, opened before the first byte was written: `syncfs` tells of the errors since then.
    witness: File,
    /// How many files were begun since it was last told to bring them to disk.
    begun: usize,
    /// Brings to disk what is written so far.
    ahead: Option<JoinHandle<()>>,
}

impl Durability {
    pub fn new() -> Self {
        let by_file_system = uname().release().to_str().ok().is_some_and(syncfs_tells_errors);
        Self { by_file_system, file_systems: Mutex::default() }
    }

    /// Takes down that `file`, to which nothing has been written yet, is on `device`.
    pub fn begin(&self, device: Device, file: &File) -> io::Result<()> {
        let mut file_systems = self.file_systems.lock().unwrap_or_else(PoisonError::into_inner);
        let file_system = match file_systems.entry(device) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(FileSystem { witness: file.try_clone()?, begun: 0, ahead: None }),
        };
        file_system.begun += 1;
        if self.by_file_system && file_system.begun > MANY {
            file_system.go_ahead(file);
        }
        Ok(())
    }

    /// Whether `file` is brought to disk by [`finish`](Self::finish) or had to be at once.
    pub fn written(&self, file: &File) -> io::Result<()> {
        if self.by_file_system { Ok(()) } else { file.sync_all() }
    }

    /// Whether files that were [`written`](Self::written) are still to be brought to disk.
    pub fn is_pending(&self) -> bool {
        self.by_file_system
    }

    /// Brings the files or directories at `paths` to disk, or says of which it failed.
    pub fn finish<'a>(&self, paths: impl IntoIterator<Item = (Device, &'a Path)>) -> Result<(), (&'a Path, io::Error)> {
        let mut groups: BTreeMap<Device, Vec<&Path>> = BTreeMap::new();
        for (device, path) in paths {
            groups.entry(device).or_default().push(path);
        }
        for (device, paths) in groups {
            if self.by_file_system && paths.len() > FEW {
                self.sync_file_system(device).map_err(|error| (paths[0], error))?;
            } else {
                for path in paths {
                    self.sync(device, path).map_err(|error| (path, error))?;
                }
            }
        }
        Ok(())
    }

    fn sync(&self, device: Device, path: &Path) -> io::Result<()> {
        let synced = open_with(path, OFlags::empty()).and_then(|file| file.sync_all());
        match synced.as_ref().err().and_then(Errno::from_io_error) {
            // A directory that may be written but not read; a file system that syncs no directories.
            Some(Errno::ACCESS | Errno::INVAL) => self.sync_file_system(device),
            _ => synced,
        }
    }

    fn sync_file_system(&self, device: Device) -> io::Result<()> {
        let file_systems = self.file_systems.lock().unwrap_or_else(PoisonError::into_inner);
        let found = file_systems.get(&device).ok_or_else(|| io::Error::other("nothing was written there"))?;
        Ok(syncfs(&found.witness)?)
    }
}

impl FileSystem {
    /// Begins to bring to disk what was written, by means of `file`, unless that is still being done.
    fn go_ahead(&mut self, file: &File) {
        if self.ahead.as_ref().is_some_and(|ahead| !ahead.is_finished()) {
            return;
        }
        self.begun = 0;
        // Not by the witness, which would have told its errors then.
        let Ok(file) = file.try_clone() else { return };
        let sync = move || {
            let _ = syncfs(&file);
        };
        self.ahead = thread::Builder::new().spawn(sync).ok();
    }
}

/// Whoever has written waits for it, so that nothing goes on behind their back.
impl Drop for FileSystem {
    fn drop(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            let _ = ahead.join();
        }
    }
}

/// Whether a kernel of this release, `6.1.0-13-amd64`, is Linux 5.8 or later.
fn syncfs_tells_errors(release: &str) -> bool {
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map_while(|number| number.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncfs_is_trusted_since_linux_5_8() {
        for (release, trusted) in [
            ("5.7.19", false),
            ("4.19.0-25-amd64", false),
            ("5.8-rc1", true),
            ("5.10.0", true),
            ("6.1.0-13-amd64", true),
            ("", false),
        ] {
            assert_eq!(syncfs_tells_errors(release), trusted, "{release}");
        }
    }
}
