//! Documents of every kind as libvirt itself wrote them, with the expected results of filling them.
//!
//! `testdata/libvirt-9.0.0/NAME.xml` and `NAME.filled.xml`; the guest has two devices of host-a. The expected files
//! were not written by the program.

use std::fs;
use std::path::PathBuf;

use crate::support::guests::NONE;
use crate::support::{Scratch, testdata_matching};

/// Returns each document with its expected result.
fn pairs() -> Vec<(PathBuf, Vec<u8>, Vec<u8>)> {
    let pair = |filled: PathBuf| {
        let name = PathBuf::from(filled.to_str().unwrap().replace(".filled.xml", ".xml"));
        let (document, filled) = (fs::read(&name).unwrap(), fs::read(filled).unwrap());
        (name, document, filled)
    };
    testdata_matching("libvirt-9.0.0/*.filled.xml").into_iter().map(pair).collect()
}

#[test]
fn every_document_has_an_expected_result() {
    assert_eq!(testdata_matching("libvirt-9.0.0/*.xml").len(), 2 * pairs().len());
}

#[test]
fn there_is_a_document_of_every_kind() {
    for root in ["<domain ", "<domstatus ", "<domainsnapshot>", "<inactiveDomain ", "<domaincheckpoint>"] {
        let has = |text: &[u8]| String::from_utf8_lossy(text).contains(root);
        assert!(pairs().iter().any(|(_, document, _)| has(document)), "{root}");
    }
}

#[test]
fn documents_of_libvirt_are_filled_and_then_unchanged() {
    let mut failed = Vec::new();
    for (name, document, filled) in pairs() {
        for document in [&document, &filled] {
            let scratch = Scratch::new();
            let run = scratch.fill(NONE).stdin(document).stdout(&filled);
            failed.extend(run.errors().0.into_iter().map(|error| format!("{}: {error}", name.display())));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
