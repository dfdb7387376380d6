//! Verifies an edited text in two independent ways before it is returned.
//!
//! First, undoing the edits must restore the original byte for byte. Then a second parser, independent of the one that found
//! the insertion points, reads each element that contains edits, before and after. It must find the planned elements and
//! values, and no other difference. Everything outside those elements is unchanged, so this is as strong as comparing the
//! whole documents.
//!
//! Both readings advance side by side, so the proof takes linear time.

mod changes;
mod reading;
#[cfg(test)]
mod tests;

use thiserror::Error;

use self::changes::Changes;
use self::reading::{Content, Reader, Tag, Token};
use super::new_element::{NewContent, NewElement};
use super::{Edits, PlacedEdit, splice};
use crate::domain::EditScope;
use crate::text::{Span, is_xml_space};

/// Why an edited text is not returned. All but [`ProofError::Refused`] are bugs of this program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Something other than the edits has changed.
    #[error("undoing the edits does not restore the original")]
    NotUndone,
    /// The second parser refuses the original element: the first one is more lenient.
    #[error("a second parser refuses the element: {reason}")]
    Refused {
        /// The element in the original.
        span: Span,
        /// The parser's error message.
        reason: String,
    },
    /// The second parser refuses the edited element.
    #[error("a second parser cannot read the edited element: {reason}")]
    Unreadable {
        /// The element in the original.
        span: Span,
        /// The parser's error message.
        reason: String,
    },
    /// The second parser finds something other than what was planned.
    #[error("a second parser does not find what was planned in the edited element")]
    Different {
        /// The element in the original.
        span: Span,
    },
}

/// Proves that `edited` is `original` with `edits`, and that each edit changes what it says.
///
/// # Errors
/// If one of the two proofs fails. Then nothing may be written.
pub(super) fn prove(original: &str, edits: &Edits, edited: &str) -> Result<(), ProofError> {
    if edits.undo(edited).as_deref() != Some(original) {
        return Err(ProofError::NotUndone);
    }
    // An edit outside its scope would not be read at all.
    let scope_of = |placed: &PlacedEdit| edits.scopes[placed.scope].span;
    let is_inside = |placed: &&PlacedEdit| scope_of(placed).covers(placed.edit.span);
    if let Some(stray) = edits.placed.values().find(|placed| !is_inside(placed)) {
        return Err(ProofError::Different { span: scope_of(stray) });
    }
    edits.scopes.iter().enumerate().try_for_each(|(number, scope)| prove_scope(original, edits, number, scope))
}

/// Compares a scope without and with its own edits.
///
/// Both readings include the edits of other scopes inside it, which are proven separately. So the second one reads the bytes
/// of the edited text.
fn prove_scope(original: &str, edits: &Edits, number: usize, scope: &EditScope) -> Result<(), ProofError> {
    let span = scope.span;
    let inside = || edits.inside(span);
    let own = inside().filter(|placed| placed.scope == number);
    let Some(changes) = Changes::of(own.map(|placed| &placed.edit.change)) else {
        return Err(ProofError::Different { span });
    };
    let before = splice(original, span, inside().filter(|placed| placed.scope != number));
    let after = splice(original, span, inside());
    let read = |text: &str| {
        Reader::new(text, scope).map_err(|reason| match Reader::new(span.of(original), scope) {
            Ok(_) => ProofError::Unreadable { span, reason },
            Err(reason) => ProofError::Refused { span, reason },
        })
    };
    let mut proof = Proof { before: read(&before)?, after: read(&after)? };
    proof.root(&changes).map_err(|Differs| ProofError::Different { span })
}

/// The second text is not what was planned.
#[derive(Debug)]
struct Differs;

/// Two readings of one element, before and after the edits. The planned changes are applied to the first on the way.
struct Proof {
    before: Reader,
    after: Reader,
}

impl Proof {
    /// Compares the root elements of both texts.
    fn root(&mut self, changes: &Changes<'_>) -> Result<(), Differs> {
        let (Some(Token::Start(before)), Some(Token::Start(after))) = (self.before.next(), self.after.next()) else {
            return Err(Differs);
        };
        // An element is removed from its parent, which is outside the scope.
        if changes.is_removal {
            return Err(Differs);
        }
        self.element(before, &after, changes)
    }

    /// Compares an element whose start tags have been read, up to its end tags.
    fn element(&mut self, mut before: Tag, after: &Tag, changes: &Changes<'_>) -> Result<(), Differs> {
        for (name, value) in &changes.attributes {
            match value {
                Some(value) => before.attributes.insert((*name).to_owned(), (*value).to_owned()),
                None => Some(before.attributes.remove(*name).ok_or(Differs)?),
            };
        }
        same(&before, after)?;
        if let Some(text) = changes.text {
            self.skip()?;
            return self.expect_text(text);
        }
        let mut count = 0;
        let mut visited = 0;
        self.expect_added(changes, count, &mut visited)?;
        loop {
            match self.before.next().ok_or(Differs)? {
                Token::Start(tag) => {
                    let below = changes.children.get(&count);
                    visited += usize::from(below.is_some());
                    match below {
                        Some(below) if below.is_removal => self.skip()?,
                        _ => {
                            let Some(Token::Start(found)) = self.after.next() else { return Err(Differs) };
                            self.element(tag, &found, below.unwrap_or(&Changes::default()))?;
                        }
                    }
                    count += 1;
                    self.expect_added(changes, count, &mut visited)?;
                }
                Token::End(planned) => {
                    let Some(Token::End(found)) = self.after.next() else { return Err(Differs) };
                    // A planned change that was not visited is not in the text.
                    let is_complete = visited == changes.children.len() + changes.added.len();
                    let is_layout = count > 0 || changes.adds_or_removes();
                    return if is_complete && planned.means_the_same(&found, is_layout) {
                        Ok(())
                    } else {
                        Err(Differs)
                    };
                }
            }
        }
    }

    /// Skips to the end tag of the open element in the text before the edits.
    fn skip(&mut self) -> Result<(), Differs> {
        let mut depth = 1;
        while depth > 0 {
            match self.before.next().ok_or(Differs)? {
                Token::Start(_) => depth += 1,
                Token::End(_) => depth -= 1,
            }
        }
        Ok(())
    }

    /// Expects the elements that are planned after the first `count` of the original.
    fn expect_added(&mut self, changes: &Changes<'_>, count: usize, visited: &mut usize) -> Result<(), Differs> {
        let Some(added) = changes.added.get(&count) else { return Ok(()) };
        *visited += 1;
        added.iter().try_for_each(|new| self.expect(new))
    }

    /// Expects a new element next in the text after the edits.
    fn expect(&mut self, new: &NewElement) -> Result<(), Differs> {
        let Some(Token::Start(found)) = self.after.next() else { return Err(Differs) };
        same(&Tag::from(new), &found)?;
        match &new.content {
            NewContent::Text(text) => self.expect_text(text),
            NewContent::Elements(elements) => {
                elements.iter().try_for_each(|element| self.expect(element))?;
                self.expect_end(&Content::default(), !elements.is_empty())
            }
        }
    }

    fn expect_text(&mut self, text: &str) -> Result<(), Differs> {
        self.expect_end(&Content { text: text.to_owned(), ..Content::default() }, false)
    }

    fn expect_end(&mut self, planned: &Content, is_layout: bool) -> Result<(), Differs> {
        match self.after.next() {
            Some(Token::End(found)) if planned.means_the_same(&found, is_layout) => Ok(()),
            _ => Err(Differs),
        }
    }
}

fn same(planned: &Tag, found: &Tag) -> Result<(), Differs> {
    if planned == found { Ok(()) } else { Err(Differs) }
}

impl Content {
    /// Whether both have the same meaning.
    ///
    /// If `is_layout` is set, there are or were elements among the text, so all whitespace is layout; otherwise only that at
    /// both ends is.
    fn means_the_same(&self, other: &Self, is_layout: bool) -> bool {
        let is_same_text = if is_layout {
            let [one, other] = [self, other].map(|content| content.text.chars().filter(|c| !is_xml_space(*c)));
            one.eq(other)
        } else {
            self.text.trim_matches(is_xml_space) == other.text.trim_matches(is_xml_space)
        };
        is_same_text && self.instructions == other.instructions && self.comments == other.comments
    }
}
