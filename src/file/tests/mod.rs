//! Unit tests of the promises about files that a user cannot see from outside.

mod many;
mod one;
mod reading;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;

const OLD: &[u8] = b"<domain>old</domain>\n";
const NEW: &[u8] = b"<domain>new, and longer</domain>\n";

/// A temporary directory.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file that holds `OLD`.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, OLD).unwrap();
        path
    }

    /// Returns all names in it, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn is(&self, name: &str, contents: &[u8]) -> bool {
        fs::read(self.path(name)).unwrap() == contents
    }
}

fn original(path: &Path) -> Original {
    read(&Input::File(path.to_owned()), Purpose::Replacing).unwrap()
}

/// Reads, stages and commits one file.
fn replace(path: &Path, backup: Option<&str>) -> Result<Vec<Replaced>, CommitError> {
    let interrupt = Interrupt::disabled();
    let batch = Batch::new(&interrupt, None);
    let original = read(&Input::File(path.to_owned()), Purpose::Replacing)?;
    let suffix = backup.map(|suffix| Suffix::new(suffix).unwrap());
    let staged = batch.stage(&original, NEW, suffix.as_ref())?;
    batch.commit(vec![staged])
}

/// The only error of a commit that failed and replaced nothing.
fn only_error(result: Result<Vec<Replaced>, CommitError>) -> FileError {
    let mut error = result.unwrap_err();
    assert_eq!(error.replaced, [], "{error}");
    assert_eq!(error.errors.len(), 1, "{error}");
    error.errors.remove(0)
}
