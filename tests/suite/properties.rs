//! Properties of filling and stripping, with generated documents and hosts.
//!
//! A document is generated in two steps, its content ([`content`]) and its layout ([`layout`]), each from a sequence of bytes,
//! so that proptest can shrink it. `PROPTEST_CASES` sets the number of documents. proptest writes no regression files, since a
//! sequence of bytes means another document as soon as the generators change. Its findings are added as documents to
//! `testdata/fuzz/document` instead.

mod content;
mod layout;
mod seen;
mod tape;

use std::collections::BTreeSet;

use content::{Author, Element, Ours, identity};
use layout::lay_out;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::FileFailurePersistence;
use seen::{Parts, Seen, SeenDomain, agree, see};
use tape::Tape;
use virt_mdev::device::Uuid;
use virt_mdev::domain::Document;
use virt_mdev::host::Host;
use virt_mdev::plan::fill::{OnConflict, OnMissing, Policy};
use virt_mdev::plan::{Place, Places};

use super::invariants;

/// A document and the host that it is filled from.
struct Case {
    text: String,
    host: Host,
    content: Element,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for device in read(&self.text).devices().collect::<BTreeSet<_>>() {
            writeln!(f, "{device}: {:?}", self.host.lookup(device))?;
        }
        write!(f, "{:?}\n{}", self.text, self.text)
    }
}

fn cases(ours: Ours) -> impl Strategy<Value = Case> {
    let rows = (vec(any::<u8>(), 0..24), vec(any::<u8>(), 0..160), vec(any::<u8>(), 0..240));
    rows.prop_map(move |(host, content, layout)| {
        let host = content::host(&mut Tape::new(&host));
        let content = Author { tape: Tape::new(&content), host: &host, ours }.document();
        Case { text: lay_out(&content, &layout), host, content }
    })
}

fn settings() -> ProptestConfig {
    let failure_persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    ProptestConfig { failure_persistence, max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

fn read(text: &str) -> Document {
    Document::read(text.as_bytes().to_vec()).unwrap_or_else(|error| panic!("not read: {error}\n{text}"))
}

proptest! {
    #![proptest_config(settings())]

    /// The result is verified and can be undone, filling again changes nothing, and comparing and checking agree with it.
    #[test]
    fn filling_changes_only_its_edits_and_filling_again_nothing(
        case in cases(Ours::Anything),
        answers in select(&invariants::ANSWERS[..]),
    ) {
        invariants::hold_for_filling(&read(&case.text), &case.host, answers);
    }

    #[test]
    fn another_parser_finds_only_the_identities_added(
        case in cases(Ours::Anything),
        answers in select(&invariants::ANSWERS[..]),
    ) {
        let before = see(&case.text);
        for policy in invariants::policies(answers) {
            if let Some(text) = invariants::filled(&read(&case.text), &case.host, &policy) {
                assert_only_identities_added(&before, &see(&text), &case.host, &policy);
            }
        }
    }

    #[test]
    fn the_layout_does_not_affect_the_elements_added(
        case in cases(Ours::Anything),
        layout in vec(any::<u8>(), 0..240),
        answers in select(&invariants::ANSWERS[..]),
    ) {
        let other = lay_out(&case.content, &layout);
        for policy in invariants::policies(answers) {
            let fill = |text: &str| invariants::filled(&read(text), &case.host, &policy).map(|text| see(&text));
            prop_assert_eq!(fill(&case.text), fill(&other), "{:?}\n{}", policy, other);
        }
    }

    #[test]
    fn stripping_restores_what_was_filled(case in cases(Ours::Nothing)) {
        let document = read(&case.text);
        prop_assert!(invariants::is_given_back(&document), "the generator made something of ours");
        invariants::hold_for_giving_back(&document, &case.host);
    }

    #[test]
    fn stripping_removes_everything_of_ours_and_stripping_again_nothing(case in cases(Ours::Anything)) {
        invariants::hold_for_stripping(&read(&case.text), &case.host);
        for from in invariants::PLACES {
            if let Some(text) = invariants::stripped(&read(&case.text), from) {
                assert_only_identities_removed(&see(&case.text), &see(&text), from);
            }
        }
    }
}

/// Checks that the properties are not tested mostly with documents that cannot be filled.
#[test]
fn most_generated_documents_are_filled() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let policy =
        Policy { on_missing: OnMissing::Skip, on_conflict: OnConflict::Replace, ..Policy::strict(Places::Both) };
    let (mut filled, mut changed, total) = (0, 0, 400);
    for _ in 0..total {
        let case = cases(Ours::Anything).new_tree(&mut runner).unwrap().current();
        if let Some(text) = invariants::filled(&read(&case.text), &case.host, &policy) {
            filled += 1;
            changed += usize::from(text != case.text);
        }
    }
    assert!(filled > total / 2 && changed > total / 3, "{filled} filled, {changed} changed, of {total}");
}

/// Compares what another parser found before and after filling with the host.
fn assert_only_identities_added(before: &Seen, after: &Seen, host: &Host, policy: &Policy) {
    assert_eq!(before.rest, after.rest, "{policy:?}: something else has changed");
    assert_eq!(before.domains.len(), after.domains.len());
    for (before, after) in before.domains.iter().zip(&after.domains) {
        assert_eq!(before.hostdevs.len(), after.hostdevs.len());
        for ((uuid, old), (same, new)) in before.hostdevs.iter().zip(&after.hostdevs) {
            assert_eq!(uuid, same);
            let identity = identity(host, uuid);
            let is_right = |parts: &Parts| identity.as_ref().is_some_and(|identity| agree(parts, identity));
            let must_be_filled = identity.is_some() && policy.on_conflict != OnConflict::Keep;
            if policy.into.include(Place::Source) && must_be_filled {
                assert!(is_right(new), "{policy:?}: {uuid} is not filled: {new:?}");
            } else if !policy.into.include(Place::Source) || !is_right(new) {
                assert_eq!(old, new, "{policy:?}: {uuid} is half filled");
            }
            for (name, part) in old {
                let is_kept = seen::value(old, name).is_some() && seen::value(old, name) == seen::value(new, name);
                assert!(!is_kept || new.get(name) == Some(part), "{policy:?}: {name} of {uuid} was rewritten");
            }
            if policy.into.include(Place::Metadata) && must_be_filled {
                // A device that appears twice has one record.
                let is_of_it = |(of, parts): &(Option<Uuid>, Parts)| *of == Some(*uuid) && is_right(parts);
                assert_eq!(after.records.iter().filter(|record| is_of_it(record)).count(), 1, "{policy:?}: {uuid}");
            }
        }
        assert_no_record_lost(before, after, policy);
    }
}

fn assert_no_record_lost(before: &SeenDomain, after: &SeenDomain, policy: &Policy) {
    if !policy.into.include(Place::Metadata) {
        assert_eq!(before.records, after.records, "{policy:?}");
        assert_eq!(before.pci_records, after.pci_records, "{policy:?}");
    } else if policy.on_conflict != OnConflict::Replace {
        assert!(before.pci_records.len() <= after.pci_records.len(), "{policy:?}: a record is lost");
        for (old, new) in before.pci_records.iter().zip(&after.pci_records) {
            for (name, part) in old.iter().filter(|(name, _)| *name != "subsystem") {
                assert_eq!(Some(part), new.get(name), "{policy:?}: a record has lost its {name}");
            }
        }
        let kept = after.records.iter().take(before.records.len());
        assert_eq!(kept.len(), before.records.len(), "{policy:?}: a record is lost");
        for ((_, old), (_, new)) in before.records.iter().zip(kept) {
            for (name, part) in old {
                assert_eq!(Some(part), new.get(name), "{policy:?}: a record has lost its {name}");
            }
        }
    }
}

/// Compares what another parser found before and after stripping.
fn assert_only_identities_removed(before: &Seen, after: &Seen, from: Places) {
    for (before, after) in before.domains.iter().zip(&after.domains) {
        for ((uuid, old), (same, new)) in before.hostdevs.iter().zip(&after.hostdevs) {
            assert_eq!(uuid, same);
            let stays = if from.include(Place::Source) { &Parts::new() } else { old };
            assert_eq!(new, stays, "{from:?}");
        }
        let stay = if from.include(Place::Metadata) { &Vec::new() } else { &before.records };
        assert_eq!(&after.records, stay, "{from:?}");
        let stay = if from.include(Place::Metadata) { &Vec::new() } else { &before.pci_records };
        assert_eq!(&after.pci_records, stay, "{from:?}");
    }
    let has_unknown = format!("{:?}", before.rest).contains("urn:virt-mdev:1");
    assert!(has_unknown || before.rest == after.rest, "{from:?}: something else has changed");
}
