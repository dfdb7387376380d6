//! Runs the corpus of `fuzz/`, with its findings, without a fuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::invariants;
use super::support::testdata_matching;

/// The time limit for a file, far more than any needs.
const LIMIT: Duration = Duration::from_secs(10);

fn for_each(pattern: &str, run: impl Fn(&[u8])) {
    let does_not_hold = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        let started = Instant::now();
        catch_unwind(AssertUnwindSafe(|| run(&bytes))).is_err() || started.elapsed() > LIMIT
    };
    let failed: Vec<_> = testdata_matching(pattern).into_iter().filter(does_not_hold).collect();
    assert!(failed.is_empty(), "see the errors above: {failed:#?}");
}

#[test]
fn documents_of_the_corpus_are_filled_and_proven() {
    for_each("fuzz/document/*", invariants::bytes_as_document);
}

#[test]
fn documents_of_the_corpus_are_stripped_of_what_was_filled() {
    for_each("fuzz/document/*", invariants::bytes_as_document_to_strip);
}

#[test]
fn host_files_of_the_corpus_are_read_or_refused() {
    for pattern in ["fuzz/host_file/*", "host-files/*", "nodedev/*", "cases/*/host.*"] {
        for_each(pattern, invariants::bytes_as_host_file);
    }
}

#[test]
fn no_link_out_of_the_sysfs_trees_of_the_corpus_is_followed() {
    let scratch = tempfile::tempdir().unwrap();
    for_each("fuzz/sysfs/*", |bytes| invariants::bytes_as_sysfs(bytes, scratch.path()));
}
