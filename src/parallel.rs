//! An ordered parallel map.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many threads to use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads {
    /// The maximum; `None` means one per processor.
    pub most: Option<NonZeroUsize>,
    /// How many items justify a thread.
    pub share: NonZeroUsize,
}

impl Threads {
    /// Uses at most `most` threads, for items that are each worth a thread.
    pub fn for_each(most: Option<NonZeroUsize>) -> Self {
        Self { most, share: NonZeroUsize::MIN }
    }

    /// Returns how many threads to use for `count` items.
    fn for_items(self, count: usize) -> usize {
        match count / self.share {
            // Counting the processors takes as long as a document does, so it is not done for one document.
            0 | 1 => 1,
            worth => {
                let processors = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
                self.most.unwrap_or_else(processors).get().min(worth)
            }
        }
    }
}

/// Applies `work` to each of `items` and returns the results in the same order.
///
/// Starts no thread if the items are not worth two.
pub(crate) fn map<I: Send, R: Send>(
    items: impl IntoIterator<Item = I, IntoIter: ExactSizeIterator + Send>,
    threads: Threads,
    work: impl Fn(I) -> R + Sync,
) -> Vec<R> {
    let items = items.into_iter();
    let threads = threads.for_items(items.len());
    if threads < 2 {
        return items.map(work).collect();
    }
    let items = Mutex::new(items.enumerate());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take = || {
        let mut results = Vec::new();
        while let Some((index, item)) = next() {
            results.push((index, work(item)));
        }
        results
    };
    let mut results = thread::scope(|scope| {
        // The caller only waits. If it worked too, Linux would let it share a processor with a worker for some milliseconds
        // before moving one to an idle processor.
        let workers: Vec<_> =
            (0..threads).map_while(|_| thread::Builder::new().spawn_scoped(scope, take).ok()).collect();
        // If no thread can be started, the caller does the work.
        if workers.is_empty() {
            return take();
        }
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.flat_map(|results| results.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Separates results into successes and failures, each in the same order.
pub(crate) fn partition_results<T, E>(results: impl IntoIterator<Item = Result<T, E>>) -> (Vec<T>, Vec<E>) {
    let results = results.into_iter();
    let mut done = Vec::with_capacity(results.size_hint().0);
    let mut failed = Vec::new();
    for result in results {
        match result {
            Ok(made) => done.push(made),
            Err(error) => failed.push(error),
        }
    }
    (done, failed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..50).collect();
        for jobs in [0, 1, 2, 7, 50, 1000] {
            let work = |item: &u64| {
                thread::sleep(Duration::from_micros((50 - item) * 20));
                item * 2
            };
            let results = map(&items, Threads::for_each(NonZeroUsize::new(jobs)), work);
            assert!(results.into_iter().eq(items.iter().map(|item| item * 2)), "{jobs} jobs");
        }
        assert!(map([], Threads::for_each(None), |item: u64| item).is_empty());
    }

    #[test]
    fn little_work_starts_no_threads() {
        let threads = |most, share| Threads { most: NonZeroUsize::new(most), share: NonZeroUsize::new(share).unwrap() };
        for (most, share, count, expected) in [
            (8, 1, 0, 1),
            (8, 1, 1, 1),
            (8, 1, 2, 2),
            (8, 1, 100, 8),
            (1, 1, 100, 1),
            (8, 32, 63, 1),
            (8, 32, 64, 2),
            (8, 32, 1000, 8),
            // None means one per processor.
            (0, 32, 63, 1),
        ] {
            assert_eq!(
                threads(most, share).for_items(count),
                expected,
                "{count} items of {share}, at most {most} threads"
            );
        }
    }

    /// In a release build a panic aborts instead of unwinding.
    #[test]
    fn a_panic_is_not_lost() {
        let result = std::panic::catch_unwind(|| {
            map([1, 2, 3, 4], Threads::for_each(NonZeroUsize::new(4)), |item| assert_ne!(item, 3));
        });
        assert!(result.is_err());
    }
}
