//! Syncs what was written: a few files one by one, many by a sync of the whole file system.
//!
//! Syncing ten thousand files one by one flushes the disk ten thousand times. `syncfs` flushes it a few times, but also
//! writes what other programs have written, which may take longer than a few syncs. It reports errors only since Linux 5.8.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{OFlags, syncfs};
use rustix::io::Errno;
use rustix::system::uname;

use super::input::open_with;

/// Up to this many files of a file system are synced one by one.
const FEW: usize = 8;

/// A device number, which identifies a file system.
pub(super) type Device = u64;

/// Syncs files and directories.
#[derive(Debug)]
pub(super) struct Durability {
    /// Whether `syncfs` reports errors.
    by_file_system: bool,
    /// A file of each file system, opened before the first byte was written: `syncfs` reports the errors since then.
    witnesses: Mutex<HashMap<Device, File>>,
}

impl Durability {
    pub fn new() -> Self {
        let by_file_system = uname().release().to_str().ok().is_some_and(syncfs_reports_errors);
        Self { by_file_system, witnesses: Mutex::default() }
    }

    /// Registers `file`, which is on `device` and to which nothing has been written yet.
    pub fn begin(&self, device: Device, file: &File) -> io::Result<()> {
        if let Entry::Vacant(place) = self.witnesses().entry(device) {
            place.insert(file.try_clone()?);
        }
        Ok(())
    }

    /// Syncs `file`, unless [`finish`](Self::finish) will.
    pub fn written(&self, file: &File) -> io::Result<()> {
        if self.by_file_system { Ok(()) } else { file.sync_all() }
    }

    /// Whether files that were [`written`](Self::written) have yet to be synced by [`finish`](Self::finish).
    pub fn is_pending(&self) -> bool {
        self.by_file_system
    }

    /// Syncs the files or directories at `paths`. The error names the one that failed.
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
            // A directory that is writable but not readable; a file system that cannot sync directories.
            Some(Errno::ACCESS | Errno::INVAL) => self.sync_file_system(device),
            _ => synced,
        }
    }

    fn sync_file_system(&self, device: Device) -> io::Result<()> {
        let witnesses = self.witnesses();
        let witness = witnesses.get(&device).ok_or_else(|| io::Error::other("nothing was written there"))?;
        Ok(syncfs(witness)?)
    }

    fn witnesses(&self) -> MutexGuard<'_, HashMap<Device, File>> {
        self.witnesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a kernel release such as `6.1.0-13-amd64` is Linux 5.8 or later.
fn syncfs_reports_errors(release: &str) -> bool {
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map_while(|number| number.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncfs_reports_errors_since_linux_5_8() {
        for (release, trusted) in [
            ("5.7.19", false),
            ("4.19.0-25-amd64", false),
            ("5.8-rc1", true),
            ("5.10.0", true),
            ("6.1.0-13-amd64", true),
            ("", false),
        ] {
            assert_eq!(syncfs_reports_errors(release), trusted, "{release}");
        }
    }
}
