//! Standard input and output: whether they were closed from the start, and output that is whole or not there.
//!
//! Rust's runtime opens `/dev/null` in place of a standard descriptor that is closed (`virt-mdev fill >&-`), so output
//! would be lost without an error. Access modes do not tell the two apart: Python's `subprocess.DEVNULL` is opened for
//! reading and writing, too. So a constructor looks before the runtime does.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_getfl, fstat, ftruncate, seek};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use signal_hook::consts::SIGXFSZ;

static STDIN_WAS_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

ctor::declarative::ctor! {
    /// Runs before `main` and before Rust's runtime, so it makes system calls and nothing else.
    #[ctor(unsafe)]
    fn look_for_closed_descriptors() {
        STDIN_WAS_CLOSED.store(is_closed(stdin()), Ordering::Relaxed);
        STDOUT_WAS_CLOSED.store(is_closed(stdout()), Ordering::Relaxed);
    }
}

fn is_closed(descriptor: rustix::fd::BorrowedFd<'_>) -> bool {
    rustix::io::fcntl_getfd(descriptor) == Err(Errno::BADF)
}

/// Whether the process began with its standard input closed (`<&-`). It reads as empty then.
pub fn stdin_was_closed() -> bool {
    STDIN_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Standard output, unbuffered.
///
/// Where it is a regular file, a write that fails is undone, so that the file never holds a part of a document. A
/// standard output that was closed from the start is an error.
#[derive(Debug, Default)]
pub struct Stdout {
    /// Nothing until the first write.
    regular: Option<Option<Before>>,
}

/// What a regular file was like before the first write, and what has been written since.
#[derive(Clone, Copy, Debug)]
struct Before {
    size: u64,
    offset: u64,
    /// Whether each write goes to the end of the file.
    appends: bool,
    written: u64,
}

impl Stdout {
    /// Standard output, to which nothing has been written.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if STDOUT_WAS_CLOSED.load(Ordering::Relaxed) {
            return Err(io::Error::other("it is closed"));
        }
        let regular = self.regular.get_or_insert_with(Before::of_stdout);
        match (rustix::io::write(stdout(), bytes), regular) {
            (Ok(length), Some(before)) => {
                before.written += length as u64;
                Ok(length)
            }
            (Ok(length), None) => Ok(length),
            (Err(Errno::INTR), _) => Err(Errno::INTR.into()),
            (Err(errno), Some(before)) => Err(before.undo(errno)),
            (Err(errno), None) => Err(errno.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Before {
    /// Nothing unless standard output is a regular file.
    fn of_stdout() -> Option<Self> {
        let found = fstat(stdout()).ok()?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return None;
        }
        // Without a handler this signal ends the process at the limit of RLIMIT_FSIZE, after a part has been written.
        // Where it cannot be caught, nothing else is different.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
        Some(Self {
            size: u64::try_from(found.st_size).ok()?,
            offset: seek(stdout(), SeekFrom::Current(0)).ok()?,
            appends: fcntl_getfl(stdout()).ok()?.contains(OFlags::APPEND),
            written: 0,
        })
    }

    /// Where the file ends if nobody else has written to it.
    fn expected_size(&self) -> u64 {
        let start = if self.appends { self.size } else { self.offset };
        if self.written == 0 { self.size } else { self.size.max(start + self.written) }
    }

    /// Takes what was written away again, and returns the error to report for `errno`.
    fn undo(&mut self, errno: Errno) -> io::Error {
        let undone = self.truncate();
        self.written = 0;
        match undone {
            Ok(()) => errno.into(),
            Err(why) => {
                io::Error::other(format!("{}; a part of the output remains in the file: {why}", io::Error::from(errno)))
            }
        }
    }

    fn truncate(&self) -> io::Result<()> {
        if self.written > 0 {
            // What others have appended in the meantime would be lost.
            if u64::try_from(fstat(stdout())?.st_size) != Ok(self.expected_size()) {
                return Err(io::Error::other("someone else has written to it"));
            }
            ftruncate(stdout(), self.size)?;
        }
        seek(stdout(), SeekFrom::Start(self.offset))?;
        Ok(())
    }
}
