//! Leaves out diagnostics that repeat earlier ones.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::mem::{Discriminant, discriminant};

use super::Diagnostic;
use crate::domain::{HostdevError, MetadataError};
use crate::host::NoIdentity;
use crate::plan::{PlanErrorKind, RemarkKind};

/// How many diagnostics of a kind are shown: an eleventh adds nothing new.
const SHOWN: usize = 10;

/// What a diagnostic is about, regardless of the device or value that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An error of a hostdev.
    Hostdev(Discriminant<HostdevError>),
    /// An error of the metadata.
    Metadata(Discriminant<MetadataError>),
    /// A device that has no identity on this host.
    Missing(Discriminant<NoIdentity>),
    /// Any other error of a plan.
    Plan(Discriminant<PlanErrorKind>),
    /// A remark on a plan.
    Remark(Discriminant<RemarkKind>),
}

impl From<&PlanErrorKind> for Kind {
    fn from(error: &PlanErrorKind) -> Self {
        match error {
            PlanErrorKind::Hostdev(error) => Self::Hostdev(discriminant(error)),
            PlanErrorKind::Metadata(error) => Self::Metadata(discriminant(error)),
            PlanErrorKind::Missing(missing) => Self::Missing(discriminant(&missing.why)),
            other => Self::Plan(discriminant(other)),
        }
    }
}

impl From<&RemarkKind> for Kind {
    fn from(kind: &RemarkKind) -> Self {
        Self::Remark(discriminant(kind))
    }
}

/// Returns the first ten diagnostics of each kind, and the first of each kind in each document.
///
/// So every document with a problem is named. The last of a kind is followed by the number of those that were left out. All
/// diagnostics without a kind are kept.
pub fn abridge(diagnostics: impl IntoIterator<Item = Diagnostic>) -> Vec<Diagnostic> {
    #[derive(Default)]
    struct Shown {
        count: usize,
        left_out: usize,
        last: usize,
    }
    let diagnostics: Vec<_> = diagnostics.into_iter().collect();
    if diagnostics.len() <= SHOWN {
        return diagnostics;
    }
    let mut shown: HashMap<Kind, Shown> = HashMap::new();
    let mut documents = HashSet::new();
    let mut kept: Vec<Diagnostic> = Vec::new();
    for diagnostic in diagnostics {
        if let Some(kind) = diagnostic.kind {
            let document = diagnostic.excerpt.as_ref().map(|excerpt| excerpt.origin.clone());
            let is_first = documents.insert((kind, document));
            let shown = shown.entry(kind).or_default();
            if shown.count >= SHOWN && !is_first {
                shown.left_out += 1;
                continue;
            }
            shown.count += 1;
            shown.last = kept.len();
        }
        kept.push(diagnostic);
    }
    let mut shown: Vec<_> = shown.into_values().filter(|shown| shown.left_out > 0).collect();
    // From the last to the first, so that the places of the others stay right.
    shown.sort_unstable_by_key(|shown| Reverse(shown.last));
    for Shown { left_out, last, .. } in shown {
        let severity = kept[last].severity;
        kept.insert(last + 1, Diagnostic { severity, ..Diagnostic::note(format!("and {left_out} more like this")) });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Excerpt, Severity};
    use crate::text::{Lines, Span};

    fn stale(document: &str) -> Diagnostic {
        let text = "<a/>";
        let excerpt = Excerpt::new(document, text, &Lines::new(text), Span::at(0), "");
        Diagnostic { kind: Some(Kind::from(&RemarkKind::Stale)), ..Diagnostic::warning("stale").at(excerpt) }
    }

    fn lone() -> Diagnostic {
        Diagnostic { kind: Some(Kind::from(&PlanErrorKind::LoneHostdev)), ..Diagnostic::error("lone") }
    }

    fn abridged(diagnostics: Vec<Diagnostic>) -> Vec<(Severity, String)> {
        abridge(diagnostics).into_iter().map(|diagnostic| (diagnostic.severity, diagnostic.message)).collect()
    }

    #[test]
    fn ten_of_a_kind_are_all_shown() {
        let list = vec![stale("a.xml"); SHOWN];
        assert_eq!(abridge(list.clone()), list);
    }

    #[test]
    fn the_others_of_a_kind_are_counted_after_the_last_that_is_shown() {
        let mut list = vec![stale("a.xml"); 7];
        list.extend(vec![lone(); 12]);
        list.extend(vec![stale("a.xml"); 7]);
        let warning = |message: &str| (Severity::Warning, message.to_owned());
        let error = |message: &str| (Severity::Error, message.to_owned());
        let mut expected = vec![warning("stale"); 7];
        expected.extend(vec![error("lone"); 10]);
        expected.push(error("and 2 more like this"));
        expected.extend(vec![warning("stale"); 3]);
        expected.push(warning("and 4 more like this"));
        assert_eq!(abridged(list), expected);
    }

    #[test]
    fn each_document_is_named() {
        let list: Vec<_> = (0..30).flat_map(|number| vec![stale(&format!("{number}.xml")); 2]).collect();
        let kept = abridge(list);
        for number in 0..30 {
            let name = format!("{number}.xml");
            assert!(kept.iter().any(|d| d.excerpt.as_ref().is_some_and(|excerpt| excerpt.origin == name)), "{name}");
        }
        assert_eq!(kept.last().map(|last| last.message.as_str()), Some("and 25 more like this"));
    }

    #[test]
    fn a_diagnostic_without_a_kind_is_never_left_out() {
        let list = vec![Diagnostic::error("cannot read a.xml"); 100];
        assert_eq!(abridge(list.clone()), list);
    }
}
