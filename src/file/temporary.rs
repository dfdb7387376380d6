//! The file beside the target that holds its new contents until it takes its place.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use super::error::FileError;
use super::target::directory_of;

/// What follows the target's name in that of a temporary file, then six letters or digits, then [`SUFFIX`]:
/// `.vm.xml.virt-mdev-Xy12zZ.tmp`.
const MARK: &str = ".virt-mdev-";
const RANDOM: usize = 6;
const SUFFIX: &str = ".tmp";

/// The longest file name of Linux (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// Whether a file of this name was left behind by a run that was killed.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let marked = name
        .strip_suffix(SUFFIX.as_bytes())
        .and_then(|rest| rest.split_last_chunk::<RANDOM>())
        .is_some_and(|(rest, random)| rest.ends_with(MARK.as_bytes()) && random.iter().all(u8::is_ascii_alphanumeric));
    marked && name.starts_with(b".")
}

/// Creates a temporary file beside `target` with `mode`, of which the umask takes its part; `path` is for messages.
///
/// It is removed when it is dropped.
pub(super) fn create(target: &Path, mode: u32, path: &Path) -> Result<NamedTempFile, FileError> {
    let directory = directory_of(target);
    Builder::new()
        .prefix(&prefix(target))
        .suffix(SUFFIX)
        .rand_bytes(RANDOM)
        // Opened here, since the crate would add the temporary file's own name to an error.
        .make_in(directory, |place| OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(place))
        .map_err(|source| FileError::Create { path: path.to_owned(), directory: directory.to_owned(), source })
}

/// A name that is nearly too long keeps its beginning.
fn prefix(target: &Path) -> OsString {
    let name = target.file_name().unwrap_or_default().as_bytes();
    let room = NAME_MAX - 1 - MARK.len() - RANDOM - SUFFIX.len();
    let mut prefix = b".".to_vec();
    prefix.extend_from_slice(&name[..name.len().min(room)]);
    prefix.extend_from_slice(MARK.as_bytes());
    OsString::from_vec(prefix)
}

/// Writes all of `contents`.
pub(super) fn write(mut file: &File, contents: &[u8], path: &Path) -> Result<(), FileError> {
    file.write_all(contents).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_is_known_by_its_name_however_long_the_target_s_is() {
        let directory = tempfile::tempdir().unwrap();
        for length in [1, 200, 255] {
            let target = directory.path().join("n".repeat(length));
            let temporary = create(&target, 0o600, &target).unwrap();
            let name = temporary.path().file_name().unwrap();
            assert!(is_temporary(name), "{name:?}");
            assert!(name.len() <= NAME_MAX);
        }
    }

    #[test]
    fn a_name_that_only_resembles_one_is_somebody_s_file() {
        for name in
            ["vm.xml", "vm.xml.virt-mdev-abcdef.tmp", ".vm.xml.virt-mdev-abc.tmp", ".virt-mdev-.tmp", ".vm.xml.tmp"]
        {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
        assert!(is_temporary(OsStr::new(".vm.xml.virt-mdev-aB3dEf.tmp")));
    }
}
