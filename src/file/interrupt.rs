//! Signals that ask to stop.

use std::fmt;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level};

use super::error::FileError;

/// A signal that asks a program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The terminal was closed.
    Hangup = SIGHUP as isize,
    /// Ctrl-C.
    Interrupt = SIGINT as isize,
    /// `kill`, systemd, a shutdown.
    Terminate = SIGTERM as isize,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Hangup, Self::Interrupt, Self::Terminate];

    /// Returns the exit status with which a shell reports a program that the signal ended: 128 + its number.
    pub fn exit_status(self) -> u8 {
        128 + self as u8
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Catches SIGHUP, SIGINT and SIGTERM while files are written, so that the work is either finished or undone.
///
/// While this lives, a signal is recorded instead of ending the process. Dropping it restores the default actions. A signal
/// that was ignored from the start, as SIGHUP is under `nohup`, stays ignored.
#[derive(Debug)]
pub struct Interrupt {
    caught: Arc<AtomicUsize>,
    listening: Vec<SigId>,
}

/// Whether the default actions apply. Signal handlers belong to the process, so this is a static.
static RELEASED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

impl Interrupt {
    /// Starts to catch signals. Only one should exist at a time: dropping one restores the default actions for all.
    ///
    /// # Errors
    /// If the operating system does not let a signal be caught.
    pub fn listen() -> io::Result<Self> {
        let mut interrupt = Self::disabled();
        let ignored = ignored();
        for signal in Signal::ALL.map(|signal| signal as i32).into_iter().filter(|signal| !is_in(ignored, *signal)) {
            // The handler itself stays installed, so it needs the default action for the time after.
            flag::register_conditional_default(signal, Arc::clone(&RELEASED))?;
            let caught = Arc::clone(&interrupt.caught);
            interrupt.listening.push(flag::register_usize(signal, caught, signal as usize)?);
        }
        // Without a handler, this signal would end the process when a write exceeds RLIMIT_FSIZE. With one, the write fails.
        interrupt.listening.extend(flag::register(SIGXFSZ, Arc::default()));
        RELEASED.store(false, Ordering::SeqCst);
        Ok(interrupt)
    }

    /// Returns an instance that catches nothing, for programs that handle signals themselves.
    pub fn disabled() -> Self {
        Self { caught: Arc::default(), listening: Vec::new() }
    }

    /// Returns the last signal that arrived.
    pub fn caught(&self) -> Option<Signal> {
        let number = self.caught.load(Ordering::SeqCst);
        Signal::ALL.into_iter().find(|signal| *signal as usize == number)
    }

    /// Fails if a signal has arrived.
    pub(super) fn check(&self) -> Result<(), FileError> {
        self.caught().map_or(Ok(()), |_| Err(FileError::Interrupted))
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        if !self.listening.is_empty() {
            RELEASED.store(true, Ordering::SeqCst);
        }
        for listening in self.listening.drain(..) {
            low_level::unregister(listening);
        }
    }
}

/// Returns the ignored signals as in `SigIgn` of `/proc/self/status`: bit 0 is signal 1. None without `/proc`.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

fn is_in(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}
