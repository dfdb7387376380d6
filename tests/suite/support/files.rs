//! The contents of a directory, before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::first_difference;

/// A directory entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A regular file with its contents.
    File(Vec<u8>),
    /// A symbolic link with its target.
    Link(PathBuf),
    /// A directory.
    Directory,
    /// A FIFO, socket or device, which is never opened.
    Special,
}

impl Entry {
    fn of(path: &Path) -> Self {
        let kind = fs::symlink_metadata(path).unwrap().file_type();
        if kind.is_symlink() {
            Self::Link(fs::read_link(path).unwrap())
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_file() {
            Self::File(fs::read(path).unwrap())
        } else {
            Self::Special
        }
    }

    fn kind(&self) -> String {
        match self {
            Self::File(_) => "a file".to_owned(),
            Self::Link(target) => format!("a link to {}", target.display()),
            Self::Directory => "a directory".to_owned(),
            Self::Special => "a special file".to_owned(),
        }
    }
}

/// Everything below a directory, by path.
#[derive(Debug, Default)]
pub struct Files(BTreeMap<PathBuf, Entry>);

impl Files {
    /// Reads everything below `top`, without following links.
    pub fn of(top: &Path) -> Self {
        let mut files = Self::default();
        let mut pending = vec![top.to_owned()];
        while let Some(dir) = pending.pop() {
            for child in fs::read_dir(dir).unwrap() {
                let path = child.unwrap().path();
                let entry = Entry::of(&path);
                files.0.insert(path.strip_prefix(top).unwrap().to_owned(), entry.clone());
                if entry == Entry::Directory {
                    pending.push(path);
                }
            }
        }
        files
    }

    /// Changes the expected entry of a path; `None` means that it does not exist.
    pub fn expect(&mut self, path: PathBuf, entry: Option<Entry>) {
        match entry {
            Some(entry) => self.0.insert(path, entry),
            None => self.0.remove(&path),
        };
    }

    /// Returns the differences between this and `got`, one line per path.
    pub fn differences(&self, got: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (path, want) in &self.0 {
            let path_shown = path.display();
            match (want, got.0.get(path)) {
                (_, None) => differences.push(format!("{path_shown}: missing")),
                (Entry::File(want), Some(Entry::File(got))) => {
                    differences.extend(first_difference(want, got).map(|how| format!("{path_shown} {how}")));
                }
                (want, Some(got)) if want != got => {
                    differences.push(format!("{path_shown}: {} took the place of {}", got.kind(), want.kind()));
                }
                _ => {}
            }
        }
        let new = got.0.iter().filter(|(path, _)| !self.0.contains_key(*path));
        differences.extend(new.map(|(path, entry)| format!("{}: {} appeared", path.display(), entry.kind())));
        differences
    }
}
