//! Changing a text without touching any other byte of it.
//!
//! An [`Edit`] is a span of the original and what stands there afterwards, together with what it means for a reader of the
//! XML. [`Edits`] keeps them sorted and disjoint and splices them; [`prove`] doubts the result. No file is known here, and of
//! the domain only where in its text something goes ([`Slot`]) and which element is read again ([`Holder`]).

mod new_element;
mod proof;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::domain::{Holder, Slot};
use crate::text::Span;
pub use new_element::{NewContent, NewElement, escape_attribute, escape_text};
pub use proof::{ProofError, prove};

/// One edit: the bytes, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes of the original that give way.
    pub span: Span,
    /// What stands there afterwards.
    pub text: String,
    /// What a reader of the XML finds changed in the element that holds the edit.
    pub change: Change,
}

impl Edit {
    /// New elements in a slot of the element at `parent`.
    pub fn add(slot: &Slot, parent: &[usize], elements: Vec<NewElement>) -> Self {
        let mut text = slot.head.clone();
        elements.iter().for_each(|element| element.write(&slot.lead, &slot.unit, &mut text));
        text.push_str(&slot.tail);
        Self { span: slot.span, text, change: Change::Add { parent: parent.to_vec(), behind: slot.behind, elements } }
    }
}

/// A change of the tree, said in numbers of elements below the one that holds the edit.
///
/// A path is the number of an element among the elements of its parent, from 0, for each level down; an empty path is the
/// holder itself. Numbers are those of the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// New elements in `parent`, behind the first `behind` elements there.
    Add {
        /// Path of the parent.
        parent: Vec<usize>,
        /// How many of its elements stand before the new ones.
        behind: usize,
        /// The new ones.
        elements: Vec<NewElement>,
    },
    /// An element holds this text, and nothing else.
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
    /// An element does not have this attribute any more.
    RemoveAttribute {
        /// Its path.
        element: Vec<usize>,
        /// The attribute's name.
        name: &'static str,
    },
    /// An element is gone.
    Remove {
        /// Its path.
        element: Vec<usize>,
    },
}

/// Edits of one text, in the order of their places, none touching another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// By span; each with the bytes that it replaces and the number of its holder.
    placed: BTreeMap<Span, Placed>,
    holders: Vec<Holder>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    edit: Edit,
    old: String,
    holder: usize,
}

/// Two edits of the same bytes, or at the same place: which comes first cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the edit of bytes {}..{} meets another at {}..{}", new.start, new.end, old.start, old.end)]
pub struct Overlap {
    /// The span that was to be added.
    pub new: Span,
    /// The one that is there.
    pub old: Span,
}

impl Edits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// The edits in the order of their places.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Edit> {
        self.placed.values().map(|placed| &placed.edit)
    }

    /// Adds an edit of `original` inside the element `holder`.
    ///
    /// # Errors
    /// Where it meets one that is there already.
    pub fn add(&mut self, original: &str, holder: &Holder, edit: Edit) -> Result<(), Overlap> {
        let before = self.placed.range(..edit.span).next_back();
        let after = self.placed.range(edit.span..).next();
        if let Some((old, _)) = before.into_iter().chain(after).find(|(old, _)| meets(**old, edit.span)) {
            return Err(Overlap { new: edit.span, old: *old });
        }
        // Edits of one element come one after the other, so the last holder is the one or it is new.
        if self.holders.last() != Some(holder) {
            self.holders.push(holder.clone());
        }
        let old = edit.span.of(original).to_owned();
        self.placed.insert(edit.span, Placed { edit, old, holder: self.holders.len() - 1 });
        Ok(())
    }

    /// How many bytes the text has with all edits in it.
    pub fn edited_len(&self, original: &str) -> usize {
        let [new, old] = [|placed: &Placed| placed.edit.text.len(), |placed: &Placed| placed.old.len()]
            .map(|length| self.placed.values().map(length).sum::<usize>());
        (original.len() + new).saturating_sub(old)
    }

    /// The text with all edits in it.
    pub fn apply(&self, original: &str) -> String {
        splice(original, Span::new(0, original.len()), self.placed.values())
    }

    /// The text that [`Edits::apply`] made `edited` of, found by taking each new text out of it again.
    ///
    /// Nothing where `edited` does not have the new texts in their places.
    fn undo(&self, edited: &str) -> Option<String> {
        let mut original = String::with_capacity(edited.len());
        let mut rest = edited;
        for Placed { edit, old, .. } in self.placed.values() {
            let unchanged = edit.span.start.checked_sub(original.len())?;
            original.push_str(rest.get(..unchanged)?);
            original.push_str(old);
            rest = rest.get(unchanged..)?.strip_prefix(edit.text.as_str())?;
        }
        Some(original + rest)
    }

    /// The edits in an element.
    fn inside(&self, span: Span) -> impl Iterator<Item = &Placed> + Clone {
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

/// The part `within` of the text, with these edits in it.
fn splice<'a>(original: &str, within: Span, edits: impl Iterator<Item = &'a Placed> + Clone) -> String {
    let added: usize = edits.clone().map(|placed| placed.edit.text.len()).sum();
    let mut text = String::with_capacity(within.len() + added);
    let mut from = within.start;
    for Placed { edit, .. } in edits {
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

    fn holder() -> Holder {
        Holder { span: Span::new(0, 8), namespaces: Default::default() }
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
            edits.add(original, &holder(), edit(start, end, text)).unwrap();
        }
        let edited = edits.apply(original);
        assert_eq!(edited, "x01ab4567z");
        assert_eq!(edits.undo(&edited).as_deref(), Some(original));
    }

    #[test]
    fn edits_that_meet_are_refused() {
        let mut edits = Edits::default();
        edits.add("01234567", &holder(), edit(2, 4, "")).unwrap();
        edits.add("01234567", &holder(), edit(4, 4, "")).unwrap();
        for (start, end) in [(2, 4), (3, 5), (1, 3), (0, 8), (3, 3), (4, 4)] {
            assert!(edits.add("01234567", &holder(), edit(start, end, "")).is_err(), "{start}..{end}");
        }
    }

    #[test]
    fn a_text_that_lacks_the_new_bytes_is_not_undone() {
        let mut edits = Edits::default();
        edits.add("01234567", &holder(), edit(2, 4, "ab")).unwrap();
        assert_eq!(edits.undo("01aX4567"), None);
        assert_eq!(edits.undo("0"), None);
        assert_ne!(edits.undo("01ab456").as_deref(), Some("01234567"));
    }
}
