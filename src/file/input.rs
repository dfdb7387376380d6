//! Reads standard input or a file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, stat};
use rustix::io::{Errno, retry_on_intr};

use super::error::{Action, FileError};
use super::standard::stdin_was_closed;
use super::state::FileState;
use crate::domain::MAX_BYTES;

/// A document to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input, `-`.
    Stdin,
    /// A file, with the path that the user gave or that a pattern matched.
    File(PathBuf),
}

impl Input {
    /// Returns the path of a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }
}

/// The name in messages: the path, or `<stdin>`.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("<stdin>"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Why a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For its contents. Pipes such as `<(virsh dumpxml vm)` and `/dev/stdin` are accepted, and may block as with `cat`.
    Reading,
    /// To replace it, or to show what would change. Only regular files are accepted, and opening one does not block.
    Replacing,
}

/// What was read, and the state by which a later change is detected.
#[derive(Debug)]
pub struct Original {
    /// Where it was read from.
    pub input: Input,
    /// The contents, at most [`MAX_BYTES`].
    pub contents: Vec<u8>,
    /// The state of a regular file when it was opened, before the first byte was read.
    pub(super) found: Option<FileState>,
}

/// Reads all of `input`, a document of at most [`MAX_BYTES`].
///
/// # Errors
/// [`FileError::NotFound`], [`FileError::DanglingLink`], [`FileError::NotRegular`], [`FileError::TooLarge`] or
/// [`FileError::Io`].
pub fn read(input: &Input, purpose: Purpose) -> Result<Original, FileError> {
    read_up_to(MAX_BYTES, input, purpose)
}

/// Reads all of `input`, of at most `limit` bytes.
///
/// # Errors
/// Those of [`read`].
pub fn read_up_to(limit: usize, input: &Input, purpose: Purpose) -> Result<Original, FileError> {
    let (contents, found) = match input {
        Input::Stdin if stdin_was_closed() => {
            return Err(unread(input)(io::Error::other("it is closed")));
        }
        Input::Stdin => (read_all(io::stdin().lock(), 0, limit, input)?, None),
        Input::File(path) => {
            let file = open_with(path, OFlags::empty()).map_err(|source| not_opened(path, source))?;
            let state = FileState::of(&file).map_err(unread(input))?;
            if state.file_type() == FileType::RegularFile {
                (read_all(&file, state.size, limit, input)?, Some(state))
            } else {
                prepare(&file, path, state.file_type(), purpose)?;
                (read_all(&file, 0, limit, input)?, None)
            }
        }
    };
    Ok(Original { input: input.clone(), contents, found })
}

/// Opens a file for reading, without blocking on a FIFO or acquiring a controlling terminal.
pub(super) fn open_with(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

fn not_opened(path: &Path, source: io::Error) -> FileError {
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT) => missing(path),
        // Only a socket or a device without a driver fails like this.
        Some(Errno::NXIO) => {
            FileError::NotRegular { path: path.to_owned(), file_type: type_of(path).unwrap_or(FileType::Unknown) }
        }
        _ => Action::Read.failed(path)(source),
    }
}

/// Returns the error for a path that does not exist.
pub(super) fn missing(path: &Path) -> FileError {
    match path.read_link() {
        Ok(missing) => FileError::DanglingLink { path: path.to_owned(), missing },
        Err(_) => FileError::NotFound { path: path.to_owned() },
    }
}

/// Returns the type of `path`, if it exists. Follows links.
pub(super) fn type_of(path: &Path) -> Option<FileType> {
    stat(path).ok().map(|found| FileType::from_raw_mode(found.st_mode))
}

/// Refuses a special file that cannot be read for this purpose. Makes reads of another one block, and waits for the writer of a
/// FIFO as an ordinary open would: without a writer a read returns the end of file.
fn prepare(file: &File, path: &Path, file_type: FileType, purpose: Purpose) -> Result<(), FileError> {
    if purpose == Purpose::Replacing || !matches!(file_type, FileType::Fifo | FileType::CharacterDevice) {
        return Err(FileError::NotRegular { path: path.to_owned(), file_type });
    }
    let block = || {
        fcntl_setfl(file, fcntl_getfl(file)? - OFlags::NONBLOCK)?;
        if file_type == FileType::Fifo {
            retry_on_intr(|| poll(&mut [PollFd::new(file, PollFlags::IN)], None))?;
        }
        Ok(())
    };
    block().map_err(|errno: Errno| Action::Read.failed(path)(errno.into()))
}

fn unread(input: &Input) -> impl FnOnce(io::Error) -> FileError {
    Action::Read.failed(input.to_string())
}

/// Reads to the end, at most one byte more than the limit. `size` is the expected size.
fn read_all(from: impl Read, size: u64, limit: usize, input: &Input) -> Result<Vec<u8>, FileError> {
    // Room for one byte more than expected, so that the end is found without growing.
    let room = usize::try_from(size).map_or(limit, |size| size.min(limit)) + 1;
    let mut contents = Vec::with_capacity(room);
    from.take(limit as u64 + 1).read_to_end(&mut contents).map_err(unread(input))?;
    if contents.len() > limit {
        return Err(FileError::TooLarge { name: input.to_string(), limit });
    }
    Ok(contents)
}
