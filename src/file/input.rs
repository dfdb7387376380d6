//! Reading: standard input or a file, to bytes.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, stat};
use rustix::io::{Errno, retry_on_intr};

use super::error::{Action, FileError, FileKind};
use super::standard::stdin_was_closed;
use super::state::FileState;
use crate::domain::MAX_BYTES;

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input, `-`.
    Stdin,
    /// A file, by the path that the user gave or that a pattern found.
    File(PathBuf),
}

impl Input {
    /// The path, where it has one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }
}

/// As messages name it: the path, or `<stdin>`.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("<stdin>"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What a file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Only to see what it holds. Pipes are as good as files: `<(virsh dumpxml vm)`, `/dev/stdin`. Waits for them as
    /// `cat` would.
    Reading,
    /// To replace it, or to say what replacing would do: only a regular file will do, and nothing is waited for.
    Replacing,
}

/// What was read, and what is needed to see later whether it is still the same.
#[derive(Debug)]
pub struct Original {
    /// From where.
    pub input: Input,
    /// All its bytes, at most [`MAX_BYTES`].
    pub contents: Vec<u8>,
    pub(super) found: Option<Found>,
}

/// The regular file that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Its state when it was opened, so before the first byte was read.
    pub state: FileState,
    /// Whether its path is a symbolic link.
    pub through_link: bool,
}

/// Reads all of `input`.
///
/// # Errors
/// [`FileError::NotFound`], [`FileError::DanglingLink`], [`FileError::NotRegular`], [`FileError::TooLarge`] or
/// [`FileError::Io`].
pub fn read(input: &Input, purpose: Purpose) -> Result<Original, FileError> {
    let (contents, found) = match input {
        Input::Stdin if stdin_was_closed() => {
            return Err(unread(input)(io::Error::other("it is closed")));
        }
        Input::Stdin => (read_all(io::stdin().lock(), 0, input)?, None),
        Input::File(path) => {
            let (file, state, through_link) = open(path)?;
            if state.file_type() == FileType::RegularFile {
                (read_regular(&file, state.size, input)?, Some(Found { state, through_link }))
            } else {
                prepare(&file, path, state.file_type(), purpose)?;
                (read_all(&file, 0, input)?, None)
            }
        }
    };
    Ok(Original { input: input.clone(), contents, found })
}

/// Opens `path` without waiting for anyone, and says whether it is a symbolic link.
///
/// That it is one costs nothing to learn this way where it is none, which is nearly always.
fn open(path: &Path) -> Result<(File, FileState, bool), FileError> {
    let mut through_link = false;
    let opened = match open_with(path, OFlags::NOFOLLOW) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            through_link = true;
            open_with(path, OFlags::empty())
        }
        opened => opened,
    };
    let file = opened.map_err(|source| not_opened(path, source))?;
    let state = FileState::of(&file).map_err(Action::Read.failed(path))?;
    Ok((file, state, through_link))
}

/// Opens for reading: never the controlling terminal, never waiting for the other end of a FIFO.
pub(super) fn open_with(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

fn not_opened(path: &Path, source: io::Error) -> FileError {
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT) => missing(path),
        // Only a socket, or a device without a driver, refuses to be opened for reading in this way.
        Some(Errno::NXIO) => {
            FileError::NotRegular { path: path.to_owned(), kind: kind_of(path).unwrap_or(FileKind::Other) }
        }
        _ => Action::Read.failed(path)(source),
    }
}

/// The error for a path that leads nowhere.
pub(super) fn missing(path: &Path) -> FileError {
    match path.read_link() {
        Ok(missing) => FileError::DanglingLink { path: path.to_owned(), missing },
        Err(_) => FileError::NotFound { path: path.to_owned() },
    }
}

/// What is at `path`, which is no regular file; a link is followed.
pub(super) fn kind_of(path: &Path) -> Option<FileKind> {
    stat(path).ok().map(|found| FileKind::of(FileType::from_raw_mode(found.st_mode)))
}

/// Of what is no regular file, refuses what cannot serve, and makes reading wait for what can.
fn prepare(file: &File, path: &Path, file_type: FileType, purpose: Purpose) -> Result<(), FileError> {
    if purpose == Purpose::Replacing || !matches!(file_type, FileType::Fifo | FileType::CharacterDevice) {
        return Err(FileError::NotRegular { path: path.to_owned(), kind: FileKind::of(file_type) });
    }
    wait_for_writer(file, file_type == FileType::Fifo).map_err(|errno| Action::Read.failed(path)(errno.into()))
}

/// Makes reads wait again, and waits for a FIFO's writer as an ordinary open would: without one, a read says that it is
/// at its end.
fn wait_for_writer(file: &File, fifo: bool) -> Result<(), Errno> {
    fcntl_setfl(file, fcntl_getfl(file)? - OFlags::NONBLOCK)?;
    if fifo {
        retry_on_intr(|| poll(&mut [PollFd::new(file, PollFlags::IN)], None))?;
    }
    Ok(())
}

/// Reads a regular file, of which one read gives all that it asks for, unless that is the end: so there is no need to
/// ask again, which for thousands of files is felt.
fn read_regular(file: &File, size: u64, input: &Input) -> Result<Vec<u8>, FileError> {
    let mut contents = Vec::with_capacity(room_for(size));
    let room = contents.capacity();
    retry_on_intr(|| rustix::io::read(file, spare_capacity(&mut contents)))
        .map_err(|errno| unread(input)(errno.into()))?;
    if contents.len() < room && contents.len() as u64 == size {
        return Ok(contents);
    }
    // It has grown or shrunk since, or lies where sizes say nothing, as in /proc.
    let rest = read_all(file, 0, input)?;
    contents.extend(rest);
    within_limit(contents, input)
}

/// One byte more than expected lets the end be found without growing.
fn room_for(size: u64) -> usize {
    usize::try_from(size).map_or(MAX_BYTES, |size| size.min(MAX_BYTES)) + 1
}

fn unread(input: &Input) -> impl FnOnce(io::Error) -> FileError {
    Action::Read.failed(input.to_string())
}

fn within_limit(contents: Vec<u8>, input: &Input) -> Result<Vec<u8>, FileError> {
    if contents.len() > MAX_BYTES {
        return Err(FileError::TooLarge { name: input.to_string() });
    }
    Ok(contents)
}

/// Reads to the end, but no further than one byte behind the limit; `size` is what is expected.
fn read_all(from: impl Read, size: u64, input: &Input) -> Result<Vec<u8>, FileError> {
    let mut contents = Vec::with_capacity(room_for(size));
    from.take(MAX_BYTES as u64 + 1).read_to_end(&mut contents).map_err(unread(input))?;
    within_limit(contents, input)
}
