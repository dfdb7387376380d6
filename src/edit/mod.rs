//! Changing a text without touching any other byte of it.
//!
//! An [`Edit`] replaces a span of the original, and says what that means for a reader of the XML. [`Edits`] keeps them sorted and
//! disjoint, applies them, and verifies the result. This module does not know files, and of the domain it knows only insertion
//! points ([`InsertionPoint`]) and the elements to verify ([`EditScope`]).

mod new_element;
mod proof;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::domain::{EditScope, InsertionPoint};
use crate::text::Span;
pub use new_element::{NewContent, NewElement, escape_attribute, escape_text};
pub use proof::ProofError;
use proof::prove;

/// One edit: the bytes, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes of the original that are replaced.
    pub span: Span,
    /// The new bytes.
    pub text: String,
    /// What it changes for a reader of the XML, in the element that contains the edit.
    pub change: Change,
}

impl Edit {
    /// Adds elements at an insertion point of the element at `parent`.
    pub fn add(insertion: &InsertionPoint, parent: &[usize], elements: Vec<NewElement>) -> Self {
        let mut text = insertion.head.clone();
        elements.iter().for_each(|element| element.write(&insertion.lead, &insertion.unit, &mut text));
        text.push_str(&insertion.tail);
        Self {
            span: insertion.span,
            text,
            change: Change::Add { parent: parent.to_vec(), after: insertion.after, elements },
        }
    }
}

/// A change of the tree, by the numbers of the elements below the one that contains the edit.
///
/// A path is the number of an element among the elements of its parent, from 0, for each level down; an empty path is the
/// scope itself. Numbers are those of the original.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// New elements in `parent`, after its first `after` elements.
    Add {
        /// Path of the parent.
        parent: Vec<usize>,
        /// How many of its elements come before the new ones.
        after: usize,
        /// The new ones.
        elements: Vec<NewElement>,
    },
    /// An element contains this text, and nothing else.
    SetText {
        /// Its path.
        element: Vec<usize>,
        /// The text.
        value: String,
    },
    /// An element has these attributes, whatever values they had.
    SetAttributes {
        /// Its path.
        element: Vec<usize>,
        /// The attributes, by name and value.
        attributes: Vec<(&'static str, String)>,
    },
    /// An element loses this attribute.
    RemoveAttribute {
        /// Its path.
        element: Vec<usize>,
        /// The attribute's name.
        name: &'static str,
    },
    /// An element is removed.
    Remove {
        /// Its path.
        element: Vec<usize>,
    },
}

/// Edits of one text, in document order, of which no two overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// By span; each with the bytes that it replaces and the number of its scope.
    placed: BTreeMap<Span, HeldEdit>,
    scopes: Vec<EditScope>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HeldEdit {
    edit: Edit,
    old: String,
    scope: usize,
}

/// Two edits of the same bytes, or at the same place, so that their order is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the edit of bytes {}..{} meets another at {}..{}", new.start, new.end, old.start, old.end)]
pub struct Overlap {
    /// The span of the edit that was to be added.
    pub new: Span,
    /// The span of the edit that is there.
    pub old: Span,
}

impl Edits {
    /// Whether there are no edits.
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// The edits in document order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Edit> {
        self.placed.values().map(|placed| &placed.edit)
    }

    /// Adds an edit of `original` inside the element `scope`.
    ///
    /// # Errors
    /// If it overlaps one that is there already.
    pub fn add(&mut self, original: &str, scope: &EditScope, edit: Edit) -> Result<(), Overlap> {
        let before = self.placed.range(..edit.span).next_back();
        let after = self.placed.range(edit.span..).next();
        if let Some((old, _)) = before.into_iter().chain(after).find(|(old, _)| meets(**old, edit.span)) {
            return Err(Overlap { new: edit.span, old: *old });
        }
        // Edits of one element are added one after the other, so this scope is the last one or a new one.
        if self.scopes.last() != Some(scope) {
            self.scopes.push(scope.clone());
        }
        let old = edit.span.of(original).to_owned();
        self.placed.insert(edit.span, HeldEdit { edit, old, scope: self.scopes.len() - 1 });
        Ok(())
    }

    /// Returns the length of the text with all edits applied.
    pub fn edited_len(&self, original: &str) -> usize {
        let [new, old] = [|placed: &HeldEdit| placed.edit.text.len(), |placed: &HeldEdit| placed.old.len()]
            .map(|length| self.placed.values().map(length).sum::<usize>());
        (original.len() + new).saturating_sub(old)
    }

    /// Returns the text with all edits applied, after verifying that undoing the edits gives `original`, and that an
    /// independent parser finds what was planned and no other change.
    ///
    /// # Errors
    /// If the result cannot be verified. Then nothing may be written.
    pub fn apply_proven(&self, original: &str) -> Result<String, ProofError> {
        let edited = self.apply(original);
        prove(original, self, &edited)?;
        Ok(edited)
    }

    /// Returns the text with all edits applied, not verified.
    fn apply(&self, original: &str) -> String {
        splice(original, Span::new(0, original.len()), self.placed.values())
    }

    /// Returns the text that [`Edits::apply`] made `edited` from, by taking each new text out again.
    ///
    /// Returns nothing if a new text is not in its place in `edited`.
    fn undo(&self, edited: &str) -> Option<String> {
        let mut original = String::with_capacity(edited.len());
        let mut rest = edited;
        for HeldEdit { edit, old, .. } in self.placed.values() {
            let unchanged = edit.span.start.checked_sub(original.len())?;
            original.push_str(rest.get(..unchanged)?);
            original.push_str(old);
            rest = rest.get(unchanged..)?.strip_prefix(edit.text.as_str())?;
        }
        Some(original + rest)
    }

    /// Returns the edits in an element.
    fn inside(&self, span: Span) -> impl Iterator<Item = &HeldEdit> + Clone {
        self.placed
            .range(Span::at(span.start)..)
            .map(|(_, placed)| placed)
            .take_while(move |placed| placed.edit.span.end <= span.end)
    }
}

/// Whether two spans share bytes, or are the same place between two.
fn meets(one: Span, other: Span) -> bool {
    one == other || (one.start < other.end && other.start < one.end)
}

/// Returns the part `within` of the text, with these edits applied.
fn splice<'a>(original: &str, within: Span, edits: impl Iterator<Item = &'a HeldEdit> + Clone) -> String {
    let added: usize = edits.clone().map(|placed| placed.edit.text.len()).sum();
    let mut text = String::with_capacity(within.len() + added);
    let mut from = within.start;
    for HeldEdit { edit, .. } in edits {
        text.push_str(&original[from..edit.span.start]);
        text.push_str(&edit.text);
        from = edit.span.end;
    }
    text.push_str(&original[from..within.end]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> EditScope {
        EditScope { span: Span::new(0, 8), namespaces: Default::default() }
    }

    fn edit(start: usize, end: usize, text: &str) -> Edit {
        let change = Change::SetText { element: Vec::new(), value: text.to_owned() };
        Edit { span: Span::new(start, end), text: text.to_owned(), change }
    }

    #[test]
    fn edits_are_sorted_whatever_the_order_they_come_in() {
        let original = "01234567";
        let mut edits = Edits::default();
        for (start, end, text) in [(8, 8, "z"), (2, 4, "ab"), (0, 0, "x"), (4, 4, "")] {
            edits.add(original, &scope(), edit(start, end, text)).unwrap();
        }
        let edited = edits.apply(original);
        assert_eq!(edited, "x01ab4567z");
        assert_eq!(edits.undo(&edited).as_deref(), Some(original));
    }

    #[test]
    fn edits_that_overlap_are_refused() {
        let mut edits = Edits::default();
        edits.add("01234567", &scope(), edit(2, 4, "")).unwrap();
        edits.add("01234567", &scope(), edit(4, 4, "")).unwrap();
        for (start, end) in [(2, 4), (3, 5), (1, 3), (0, 8), (3, 3), (4, 4)] {
            assert!(edits.add("01234567", &scope(), edit(start, end, "")).is_err(), "{start}..{end}");
        }
    }

    #[test]
    fn a_text_that_lacks_the_new_bytes_is_not_undone() {
        let mut edits = Edits::default();
        edits.add("01234567", &scope(), edit(2, 4, "ab")).unwrap();
        assert_eq!(edits.undo("01aX4567"), None);
        assert_eq!(edits.undo("0"), None);
        assert_ne!(edits.undo("01ab456").as_deref(), Some("01234567"));
    }
}
