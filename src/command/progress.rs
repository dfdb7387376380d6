//! How far a long run is, on a terminal.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A run that lasts no longer shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(100);

const STYLE: &str = "{msg} [{bar:30}] {pos}/{len}";

/// A bar that one thread draws, and only that one: those that work count, and need not wait for a terminal.
///
/// Dropped, it is gone from the screen.
pub(super) struct Progress {
    shared: Arc<Shared>,
    /// Nothing where there is nothing to draw on.
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Default)]
struct Shared {
    done: AtomicUsize,
    screen: Mutex<Screen>,
}

#[derive(Default)]
struct Screen {
    what: &'static str,
    count: usize,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins to count; draws where `visible`, once it has lasted.
    pub fn new(visible: bool) -> Self {
        let shared = Arc::<Shared>::default();
        let draw = |ended| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().spawn(move || shared.draw(&ended))
        };
        let (end, ended) = channel();
        // Without that thread there is no bar, and nothing else is lacking.
        let drawing = visible.then(|| draw(ended).ok()).flatten().map(|thread| (end, thread));
        Self { shared, drawing }
    }

    /// Begins the next part of the work: `count` times `what`.
    pub fn begin(&self, what: &'static str, count: usize) {
        self.shared.screen().count = count;
        self.shared.done.store(0, Ordering::Relaxed);
        self.say(what);
    }

    /// Says what is done now, where it cannot be counted.
    pub fn say(&self, what: &'static str) {
        let mut screen = self.shared.screen();
        screen.what = what;
        if let Some(bar) = &screen.bar {
            bar.set_message(what);
        }
    }

    /// One more is done.
    pub fn step(&self) {
        self.shared.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes messages, with the bar out of the way.
    pub fn pause<R>(&self, write: impl FnOnce() -> R) -> R {
        let screen = self.shared.screen();
        match &screen.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Shared {
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws until the other end of `ended` is dropped.
    fn draw(&self, ended: &Receiver<()>) {
        let mut wait = PATIENCE;
        while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = EVERY;
            let mut screen = self.screen();
            let (what, count) = (screen.what, screen.count);
            let bar = screen.bar.get_or_insert_with(|| {
                let style = ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
                let bar = ProgressBar::with_draw_target(Some(count as u64), ProgressDrawTarget::stderr());
                bar.with_style(style.progress_chars("=> ")).with_message(what)
            });
            bar.update(|state| {
                state.set_len(count as u64);
                state.set_pos(self.done.load(Ordering::Relaxed) as u64);
            });
        }
        if let Some(bar) = &self.screen().bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.drawing.take() {
            drop(end);
            // What it panicked with, if it did, is on the screen.
            let _ = thread.join();
        }
    }
}
