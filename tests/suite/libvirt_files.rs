//! Documents as libvirt itself wrote them, of every kind, beside what filling makes of them.
//!
//! `testdata/libvirt-9.0.0/NAME.xml` and `NAME.filled.xml`; the guest has two devices of host-a. The expected files
//! were not made by the program.

use std::fs;
use std::path::PathBuf;

use crate::support::{Scratch, testdata_matching};

/// Each document, with what it becomes.
fn pairs() -> Vec<(PathBuf, Vec<u8>, Vec<u8>)> {
    let pair = |filled: PathBuf| {
        let name = PathBuf::from(filled.to_str().unwrap().replace(".filled.xml", ".xml"));
        let (document, filled) = (fs::read(&name).unwrap(), fs::read(filled).unwrap());
        (name, document, filled)
    };
    testdata_matching("libvirt-9.0.0/*.filled.xml").into_iter().map(pair).collect()
}

#[test]
fn every_document_has_its_expected_one() {
    assert_eq!(testdata_matching("libvirt-9.0.0/*.xml").len(), 2 * pairs().len());
}

#[test]
fn every_kind_of_document_is_among_them() {
    for root in ["<domain ", "<domstatus ", "<domainsnapshot>", "<inactiveDomain ", "<domaincheckpoint>"] {
        let has = |text: &[u8]| String::from_utf8_lossy(text).contains(root);
        assert!(pairs().iter().any(|(_, document, _)| has(document)), "{root}");
    }
}

#[test]
fn what_libvirt_wrote_is_filled() {
    let mut failed = Vec::new();
    for (name, document, filled) in pairs() {
        let scratch = Scratch::new();
        let run = scratch.fill([""; 0]).stdin(document).stdout(filled);
        failed.extend(run.errors().0.into_iter().map(|error| format!("{}: {error}", name.display())));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_libvirt_wrote_and_was_filled_stays() {
    for (_, _, filled) in pairs() {
        let scratch = Scratch::new();
        scratch.fill([""; 0]).stdin(&filled).stdout(&filled).check();
    }
}
