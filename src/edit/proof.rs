//! Doubting the result, twice over, before anything that was edited is handed on.
//!
//! First the edits, undone, must give the original byte for byte. Then a second parser, independent of the one that found the
//! places, reads each element that holds edits, before and after, and must find the planned elements and values and no other
//! difference. All outside those elements is the original's own bytes, so this is as strong as reading both documents whole.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use thiserror::Error;
use xmltree::{ParserConfig, XMLNode};

use super::new_element::{NewContent, NewElement, escape_attribute};
use super::{Change, Edits, Placed, splice};
use crate::domain::{Holder, with_common_names};
use crate::text::{Span, is_xml_space};

/// Why an edited text is not handed on. But for [`ProofError::Refused`] it is a fault of this program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// Something other than the edits has changed.
    #[error("the edits undone do not give the original")]
    NotUndone,
    /// The second parser refuses the element as it came: the first is more lenient in some corner of XML.
    #[error("a second parser refuses the element: {reason}")]
    Refused {
        /// The element in the original.
        span: Span,
        /// What the parser says.
        reason: String,
    },
    /// The second parser refuses the edited element.
    #[error("a second parser cannot read the edited element: {reason}")]
    Unreadable {
        /// The element in the original.
        span: Span,
        /// What the parser says.
        reason: String,
    },
    /// The second parser finds something else than what was planned.
    #[error("a second parser does not find what was planned in the edited element")]
    Different {
        /// The element in the original.
        span: Span,
    },
}

/// Proves that `edited` is `original` with `edits`, and that these mean what they say.
///
/// # Errors
/// Where one of the two proofs fails: then nothing may be written.
pub fn prove(original: &str, edits: &Edits, edited: &str) -> Result<(), ProofError> {
    if edits.undo(edited).as_deref() != Some(original) {
        return Err(ProofError::NotUndone);
    }
    // An edit outside the element that is said to hold it would be read nowhere.
    let holder_of = |placed: &Placed| edits.holders[placed.holder].span;
    let is_held = |placed: &&Placed| holder_of(placed).covers(placed.edit.span);
    if let Some(stray) = edits.placed.iter().find(|placed| !is_held(placed)) {
        return Err(ProofError::Different { span: holder_of(stray) });
    }
    edits.holders.iter().enumerate().try_for_each(|(number, holder)| prove_holder(original, edits, number, holder))
}

/// Compares an element without and with its own edits. Those of elements inside it, which are proven by themselves, stand in
/// both readings; so the second one is of the edited text's own bytes.
fn prove_holder(original: &str, edits: &Edits, number: usize, holder: &Holder) -> Result<(), ProofError> {
    let span = holder.span;
    let inside = edits.inside(span);
    let read = |text: String| {
        Reading::of(&text, holder).map_err(|reason| match Reading::of(span.of(original), holder) {
            Ok(_) => ProofError::Unreadable { span, reason },
            Err(reason) => ProofError::Refused { span, reason },
        })
    };
    let mut planned = read(splice(original, span, inside, |placed| placed.holder != number))?;
    let found = read(splice(original, span, inside, |_| true))?;
    // From the last to the first, since each counts the elements of the original.
    let own = inside.iter().rev().filter(|placed| placed.holder == number);
    let all_applied = { own }.all(|placed| planned.apply(&placed.edit.change).is_some());
    if all_applied && planned.means_the_same(&found) { Ok(()) } else { Err(ProofError::Different { span }) }
}

/// What the second parser makes of an element; layout is not part of it.
#[derive(Clone, Debug, Default)]
struct Reading {
    namespace: Option<String>,
    name: String,
    attributes: BTreeMap<String, String>,
    content: Vec<Piece>,
    /// Whether a planned change adds elements to it or removes some, with the white space that belongs to them.
    gains_or_loses: bool,
}

#[derive(Clone, Debug)]
enum Piece {
    Element(Reading),
    Text(String),
    Instruction(String, Option<String>),
    Comment(String),
}

impl Reading {
    /// Reads one element, with the namespaces around it declared on a wrapper.
    fn of(text: &str, holder: &Holder) -> Result<Self, String> {
        let declared = holder.namespaces.iter().map(|(prefix, uri)| {
            let prefix = prefix.as_ref().map(|prefix| format!(":{prefix}")).unwrap_or_default();
            format!(" xmlns{prefix}='{}'", escape_attribute(uri))
        });
        let wrapped = format!("<wrapper{}>{text}</wrapper>", declared.collect::<String>());
        let config = ParserConfig::new().ignore_comments(false).cdata_to_characters(true);
        let readable = with_common_names(&wrapped);
        let wrapper =
            xmltree::Element::parse_with_config(readable.as_bytes(), config).map_err(|error| error.to_string())?;
        match <[Piece; 1]>::try_from(Self::from(wrapper).content) {
            Ok([Piece::Element(element)]) => Ok(element),
            _ => Err("it is not one element".to_owned()),
        }
    }

    fn elements(&self) -> impl Iterator<Item = &Reading> {
        self.content.iter().filter_map(|piece| match piece {
            Piece::Element(element) => Some(element),
            Piece::Text(_) | Piece::Instruction(..) | Piece::Comment(_) => None,
        })
    }

    /// Where in the content the element with this number stands; the end of the content for the number behind the last.
    fn position(&self, number: usize) -> Option<usize> {
        let is_element = |(_, piece): &(usize, &Piece)| matches!(piece, Piece::Element(_));
        let positions = self.content.iter().enumerate().filter(is_element).map(|(position, _)| position);
        positions.chain(std::iter::once(self.content.len())).nth(number)
    }

    fn at(&mut self, path: &[usize]) -> Option<&mut Reading> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let position = self.position(*first)?;
        match self.content.get_mut(position)? {
            Piece::Element(element) => element.at(rest),
            Piece::Text(_) | Piece::Instruction(..) | Piece::Comment(_) => None,
        }
    }

    /// Makes a planned change; nothing where the place for it is not there.
    fn apply(&mut self, change: &Change) -> Option<()> {
        match change {
            Change::Add { parent, behind, elements } => {
                let parent = self.at(parent)?;
                // Directly behind the element before, as text may follow it.
                let position = match behind.checked_sub(1) {
                    Some(last) => parent.position(last).filter(|at| *at < parent.content.len())? + 1,
                    None => 0,
                };
                parent.gains_or_loses = true;
                parent.content.splice(position..position, elements.iter().map(|new| Piece::Element(new.into())));
            }
            Change::SetText { element, value } => self.at(element)?.content = vec![Piece::Text(value.clone())],
            Change::SetAttributes { element, attributes } => {
                let set = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
                self.at(element)?.attributes.extend(set);
            }
            Change::RemoveAttribute { element, name } => {
                self.at(element)?.attributes.remove(*name)?;
            }
            Change::Remove { element } => {
                let (number, parent) = element.split_last()?;
                let parent = self.at(parent)?;
                let position = parent.position(*number).filter(|at| *at < parent.content.len())?;
                parent.gains_or_loses = true;
                parent.content.remove(position);
            }
        }
        Some(())
    }

    /// Whether both say the same, layout apart; `self` is what was planned.
    fn means_the_same(&self, other: &Self) -> bool {
        let is_spaced = self.gains_or_loses || self.elements().next().is_some();
        self.namespace == other.namespace
            && self.name == other.name
            && self.attributes == other.attributes
            && self.words(is_spaced) == other.words(is_spaced)
            && self.instructions().eq(other.instructions())
            && self.comments().eq(other.comments())
            && self.elements().count() == other.elements().count()
            && self.elements().zip(other.elements()).all(|(one, other)| one.means_the_same(other))
    }

    fn instructions(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.content.iter().filter_map(|piece| match piece {
            Piece::Instruction(target, data) => Some((target.as_str(), data.as_deref())),
            Piece::Element(_) | Piece::Text(_) | Piece::Comment(_) => None,
        })
    }

    fn comments(&self) -> impl Iterator<Item = &str> {
        self.content.iter().filter_map(|piece| match piece {
            Piece::Comment(comment) => Some(comment.as_str()),
            Piece::Element(_) | Piece::Text(_) | Piece::Instruction(..) => None,
        })
    }

    /// Its own text: where elements are or were in it, so that white space is layout, without any; else what stands between
    /// the white space at both ends.
    fn words(&self, is_spaced: bool) -> String {
        let pieces = self.content.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Element(_) | Piece::Instruction(..) | Piece::Comment(_) => None,
        });
        let words: String = pieces.collect();
        if is_spaced {
            words.chars().filter(|character| !is_xml_space(*character)).collect()
        } else {
            words.trim_matches(is_xml_space).to_owned()
        }
    }
}

impl From<xmltree::Element> for Reading {
    fn from(element: xmltree::Element) -> Self {
        let content = element.children.into_iter().map(|node| match node {
            XMLNode::Element(element) => Piece::Element(element.into()),
            XMLNode::Text(text) | XMLNode::CData(text) => Piece::Text(text),
            XMLNode::ProcessingInstruction(target, data) => Piece::Instruction(target, data),
            XMLNode::Comment(comment) => Piece::Comment(comment),
        });
        Self {
            namespace: element.namespace,
            name: element.name,
            attributes: element.attributes.into_iter().collect(),
            content: content.collect(),
            gains_or_loses: false,
        }
    }
}

impl From<&NewElement> for Reading {
    fn from(new: &NewElement) -> Self {
        let content = match &new.content {
            NewContent::Text(text) => vec![Piece::Text(text.clone())],
            NewContent::Elements(elements) => elements.iter().map(|new| Piece::Element(new.into())).collect(),
        };
        Self {
            namespace: new.namespace.map(str::to_owned),
            name: new.name.to_owned(),
            attributes: new.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            content,
            gains_or_loses: false,
        }
    }
}
