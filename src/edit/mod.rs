//! Edits a text without changing any other byte.
//!
//! An [`Edit`] replaces a span of the original, and says what that means for a reader of the XML. [`Edits`] keeps them sorted and
//! disjoint, applies them, and verifies the result. This module does not depend on files, and of the domain it uses only
//! insertion points ([`InsertionPoint`]) and the elements to verify ([`EditScope`]).

mod new_element;
mod proof;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::domain::{EditScope, InsertionPoint};
use crate::text::Span;
pub use new_element::{NewContent, NewElement, escape_attribute, escape_text};
pub use proof::ProofError;
use proof::prove;

/// One edit: the bytes and their meaning.
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
    /// Returns an edit that adds elements at an insertion point of the element at `parent`.
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

/// A change of the tree, with paths from the edit scope.
///
/// A path has for each level the number of an element among the elements of its parent, from 0; an empty path is the scope
/// itself. Numbers are those of the original.
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
    /// An element has this text as its only content.
    SetText {
        /// Its path.
        element: Vec<usize>,
        /// The text.
        value: String,
    },
    /// An element gets these attributes, in addition to others or with new values.
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

/// Edits of one text, in document order, which do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The edits by span.
    placed: BTreeMap<Span, PlacedEdit>,
    scopes: Vec<EditScope>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PlacedEdit {
    edit: Edit,
    /// The bytes that it replaces.
    old: String,
    /// The index of its scope in [`Edits::scopes`].
    scope: usize,
}

/// Two edits of the same bytes, or at the same place, so that their order is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the edit of bytes {}..{} overlaps another of bytes {}..{}", new.start, new.end, old.start, old.end)]
pub struct Overlap {
    /// The span of the edit that was added.
    pub new: Span,
    /// The span of the existing edit.
    pub old: Span,
}

impl Edits {
    /// Whether it contains no edits.
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// Returns the edits in document order.
    pub fn iter(&self) -> impl Iterator<Item = &Edit> {
        self.placed.values().map(|placed| &placed.edit)
    }

    /// Adds an edit of `original` inside the element `scope`.
    ///
    /// # Errors
    /// If it overlaps an existing edit.
    pub fn add(&mut self, original: &str, scope: &EditScope, edit: Edit) -> Result<(), Overlap> {
        let before = self.placed.range(..edit.span).next_back();
        let after = self.placed.range(edit.span..).next();
        if let Some((old, _)) = before.into_iter().chain(after).find(|(old, _)| overlap(**old, edit.span)) {
            return Err(Overlap { new: edit.span, old: *old });
        }
        // The edits of one scope are added in a row, so it is the last scope or a new one.
        if self.scopes.last() != Some(scope) {
            self.scopes.push(scope.clone());
        }
        let old = edit.span.of(original).to_owned();
        self.placed.insert(edit.span, PlacedEdit { edit, old, scope: self.scopes.len() - 1 });
        Ok(())
    }

    /// Returns the length of the text with all edits applied.
    pub fn edited_len(&self, original: &str) -> usize {
        self.placed.values().fold(original.len(), |length, placed| length + placed.edit.text.len() - placed.old.len())
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

    /// Returns the text that [`Edits::apply`] made `edited` from, by replacing each new text with the old one.
    ///
    /// Returns `None` if a new text is not at its place in `edited`.
    fn undo(&self, edited: &str) -> Option<String> {
        let mut original = String::with_capacity(edited.len());
        let mut rest = edited;
        for PlacedEdit { edit, old, .. } in self.placed.values() {
            let unchanged = edit.span.start.checked_sub(original.len())?;
            original.push_str(rest.get(..unchanged)?);
            original.push_str(old);
            rest = rest.get(unchanged..)?.strip_prefix(edit.text.as_str())?;
        }
        Some(original + rest)
    }

    /// Returns the edits inside a span.
    fn inside(&self, span: Span) -> impl Iterator<Item = &PlacedEdit> + Clone {
        self.placed
            .range(Span::at(span.start)..)
            .map(|(_, placed)| placed)
            .take_while(move |placed| placed.edit.span.end <= span.end)
    }
}

/// Whether two spans share bytes, or are the same place between two bytes.
fn overlap(one: Span, other: Span) -> bool {
    one == other || (one.start < other.end && other.start < one.end)
}

/// Returns the part `within` of the text, with these edits applied.
fn splice<'a>(original: &str, within: Span, edits: impl Iterator<Item = &'a PlacedEdit> + Clone) -> String {
    let added: usize = edits.clone().map(|placed| placed.edit.text.len()).sum();
    let mut text = String::with_capacity(within.len() + added);
    let mut from = within.start;
    for PlacedEdit { edit, .. } in edits {
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
    fn edits_may_be_added_in_any_order() {
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
    fn a_text_without_the_new_bytes_cannot_be_undone() {
        let mut edits = Edits::default();
        edits.add("01234567", &scope(), edit(2, 4, "ab")).unwrap();
        assert_eq!(edits.undo("01aX4567"), None);
        assert_eq!(edits.undo("0"), None);
        assert_ne!(edits.undo("01ab456").as_deref(), Some("01234567"));
    }
}
