//! What `fuzz/` started from and what it found, run without a fuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::invariants;
use super::support::testdata_matching;

/// Far more than any of the files needs, and as much as a document may take.
const LIMIT: Duration = Duration::from_secs(10);

fn each(pattern: &str, run: impl Fn(&[u8])) {
    let does_not_hold = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        let started = Instant::now();
        catch_unwind(AssertUnwindSafe(|| run(&bytes))).is_err() || started.elapsed() > LIMIT
    };
    let failed: Vec<_> = testdata_matching(pattern).into_iter().filter(does_not_hold).collect();
    assert!(failed.is_empty(), "what went wrong is above: {failed:#?}");
}

#[test]
fn documents_of_the_corpus_are_filled_and_proven() {
    each("fuzz/document/*", invariants::bytes_as_document);
}

#[test]
fn documents_of_the_corpus_are_stripped_of_what_was_filled() {
    each("fuzz/document/*", invariants::bytes_as_document_to_strip);
}

#[test]
fn sysfs_trees_of_the_corpus_are_read_and_not_left() {
    let scratch = tempfile::tempdir().unwrap();
    each("fuzz/sysfs/*", |bytes| invariants::bytes_as_sysfs(bytes, scratch.path()));
}
