//! A progress bar for long runs, on a terminal.
//!
//! It does not use indicatif, since that needs libm, and loading libm takes 3 % of a short run.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A shorter run shows no bar.
const DELAY: Duration = Duration::from_millis(500);

/// How often the bar is drawn.
const INTERVAL: Duration = Duration::from_millis(100);

/// How many characters are between the brackets.
const WIDTH: usize = 30;

/// Returns to the start of the line and erases it.
const ERASE: &str = "\r\x1b[2K";

/// Turn wrapping at the edge of the terminal off and on (DECAWM), since a bar that wraps could not be erased.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// A bar that is drawn by its own thread, so that the workers only count and never wait for a terminal.
///
/// Dropping it erases it.
pub(super) struct Progress {
    shared: Arc<Shared>,
    /// `None` if the bar is not shown.
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Default)]
struct Shared {
    done: AtomicUsize,
    bar: Mutex<Bar>,
}

#[derive(Default)]
struct Bar {
    label: &'static str,
    count: usize,
    is_drawn: bool,
}

impl Progress {
    /// Starts to count. If `visible`, draws the bar after [`DELAY`].
    pub fn new(visible: bool) -> Self {
        let shared = Arc::<Shared>::default();
        let draw = |ended| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().spawn(move || shared.draw_until(&ended))
        };
        let (end, ended) = channel();
        // If the thread cannot be started, only the bar is missing.
        let drawing = visible.then(|| draw(ended).ok()).flatten().map(|thread| (end, thread));
        Self { shared, drawing }
    }

    /// Starts the next part of the work: `count` steps with this label.
    pub fn begin(&self, label: &'static str, count: usize) {
        let mut bar = self.shared.bar();
        (bar.label, bar.count) = (label, count);
        self.shared.done.store(0, Ordering::Relaxed);
    }

    /// Changes the label of the bar.
    pub fn set_label(&self, label: &'static str) {
        self.shared.bar().label = label;
    }

    /// Counts a step.
    pub fn step(&self) {
        self.shared.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes messages while the bar is erased.
    pub fn pause<R>(&self, write: impl FnOnce() -> R) -> R {
        let mut bar = self.shared.bar();
        bar.erase();
        write()
    }
}

impl Shared {
    fn bar(&self) -> MutexGuard<'_, Bar> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws until the other end of `ended` is dropped.
    fn draw_until(&self, ended: &Receiver<()>) {
        let mut wait = DELAY;
        while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = INTERVAL;
            self.bar().draw(self.done.load(Ordering::Relaxed));
        }
        self.bar().erase();
    }
}

impl Bar {
    fn draw(&mut self, done: usize) {
        self.is_drawn = true;
        show(&format!("{ERASE}{NO_WRAP}{}{WRAP}", line(self.label, done, self.count)));
    }

    fn erase(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            show(ERASE);
        }
    }
}

/// `reading [==========>         ] 37/100`.
fn line(label: &str, done: usize, count: usize) -> String {
    let filled = (done * WIDTH).checked_div(count).map_or(WIDTH, |filled| filled.min(WIDTH));
    let head = if filled < WIDTH { ">" } else { "" };
    let bar = format!("{}{head}", "=".repeat(filled));
    format!("{label} [{bar:WIDTH$}] {done}/{count}")
}

fn show(text: &str) {
    // Errors are ignored: only the bar is lost.
    let _ = io::stderr().write_all(text.as_bytes());
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.drawing.take() {
            drop(end);
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_from_empty_to_full() {
        for (done, count, expected) in [
            (0, 3, "reading [>                             ] 0/3"),
            (1, 3, "reading [==========>                   ] 1/3"),
            (3, 3, "reading [==============================] 3/3"),
            (0, 0, "reading [==============================] 0/0"),
        ] {
            assert_eq!(line("reading", done, count), expected);
        }
    }
}
