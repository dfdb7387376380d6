//! Standard input and output: detects closed descriptors, and undoes output that cannot be written completely.
//!
//! Rust's runtime opens `/dev/null` in place of a closed standard descriptor (`virt-mdev fill >&-`), and the output would
//! be lost without an error. The access mode does not show this: Python's `subprocess.DEVNULL` is opened for reading and
//! writing, too. So a constructor checks the descriptors before the runtime starts.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_getfl, fstat, ftruncate, seek};
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;
use rustix::stdio::{stdin, stdout};
use signal_hook::consts::SIGXFSZ;

/// What a pipe holds unless a program asks for more, and what any user may ask for (`/proc/sys/fs/pipe-max-size`), in bytes.
const PIPE: usize = 64 << 10;
const LARGE_PIPE: usize = 1 << 20;

static STDIN_WAS_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

ctor::declarative::ctor! {
    /// Runs before Rust's runtime, so it only makes system calls.
    #[ctor(unsafe)]
    fn check_standard_descriptors() {
        STDIN_WAS_CLOSED.store(is_closed(stdin()), Ordering::Relaxed);
        STDOUT_WAS_CLOSED.store(is_closed(stdout()), Ordering::Relaxed);
    }
}

fn is_closed(descriptor: rustix::fd::BorrowedFd<'_>) -> bool {
    rustix::io::fcntl_getfd(descriptor) == Err(Errno::BADF)
}

/// Whether standard input was closed when the process started (`<&-`). Reading it returns no bytes and no error.
pub fn stdin_was_closed() -> bool {
    STDIN_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Standard output, unbuffered.
///
/// If it is a regular file and a write fails, everything that was written is undone, so that the file never holds a part of
/// a document. Writing to a standard output that was closed from the start is an error.
#[derive(Debug, Default)]
pub struct Stdout {
    /// `None` until the first write; then `Some(None)` if it is not a regular file.
    regular: Option<Option<Before>>,
}

/// The state of a regular file before the first write, and how much has been written since.
#[derive(Clone, Copy, Debug)]
struct Before {
    size: u64,
    offset: u64,
    /// Whether each write goes to the end of the file.
    appends: bool,
    written: u64,
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if STDOUT_WAS_CLOSED.load(Ordering::Relaxed) {
            return Err(io::Error::other("it is closed"));
        }
        let regular = self.regular.get_or_insert_with(|| {
            if bytes.len() > PIPE {
                // The two ends of a full pipe wait for each other, which takes longer than to write a large output. This fails
                // if it is not a pipe, or if the user has too many.
                let _ = fcntl_setpipe_size(stdout(), LARGE_PIPE);
            }
            Before::of_stdout()
        });
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
    /// Returns `None` unless standard output is a regular file.
    fn of_stdout() -> Option<Self> {
        let found = fstat(stdout()).ok()?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return None;
        }
        // Without a handler this signal ends the process when a write exceeds RLIMIT_FSIZE, after a part has been written.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
        Some(Self {
            size: u64::try_from(found.st_size).ok()?,
            offset: seek(stdout(), SeekFrom::Current(0)).ok()?,
            appends: fcntl_getfl(stdout()).ok()?.contains(OFlags::APPEND),
            written: 0,
        })
    }

    /// Returns the size that the file has if nobody else has written to it.
    fn expected_size(&self) -> u64 {
        let start = if self.appends { self.size } else { self.offset };
        if self.written == 0 { self.size } else { self.size.max(start + self.written) }
    }

    /// Restores size and offset, and returns the error to report for `errno`.
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
            // Truncating would remove what somebody else has appended.
            if u64::try_from(fstat(stdout())?.st_size) != Ok(self.expected_size()) {
                return Err(io::Error::other("someone else has written to it"));
            }
            ftruncate(stdout(), self.size)?;
        }
        seek(stdout(), SeekFrom::Start(self.offset))?;
        Ok(())
    }
}
