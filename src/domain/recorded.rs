//! An identity as it stands in an element, complete or not: in a hostdev's `source`, or in a record in the metadata.

use super::element::Element;
use super::insertion::InsertionPoint;
use super::tree::Node;
use crate::device::{Identity, MdevType, Part, PciId};
use crate::text::{Span, is_xml_space};

/// What stands in an element of the three that make an identity, and where those that are missing would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedIdentity {
    parts: [Option<RecordedPart>; 3],
    /// Where missing parts go.
    pub insertion: InsertionPoint,
    /// The prefix of their names, with its colon, or nothing.
    pub prefix: String,
}

/// One of the three, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPart {
    /// Which of the three.
    pub part: Part,
    /// Its element.
    pub element: Element,
    /// Its text, comments left out.
    pub text: String,
    /// What the text means.
    pub value: Value,
    /// What gives way to another value.
    pub content: Content,
}

/// What the text of a part means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An id, in whatever notation.
    Id(PciId),
    /// A type's name.
    MdevType(MdevType),
    /// Neither: it agrees with no device.
    Neither,
}

/// The bytes that a new value replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The value's own characters, or all between the tags where they are not one run of text.
    Text(Span),
    /// The `/>` of an element that has no content, and the name for its end tag.
    EmptyElement(Span, String),
}

/// A part that stands twice in one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// Which part.
    pub part: Part,
    /// The second one's start tag.
    pub span: Span,
}

impl RecordedIdentity {
    /// Reads the parts among the children of `parent` that are in `namespace`.
    ///
    /// Those that are missing go after the last that stands there, else where `otherwise` says.
    pub(super) fn read(
        text: &str,
        parent: Node<'_>,
        namespace: Option<&str>,
        prefix: &str,
        otherwise: impl FnOnce() -> InsertionPoint,
    ) -> Result<Self, Twice> {
        let mut parts: [Option<RecordedPart>; 3] = [None, None, None];
        let mut last = None;
        for child in parent.children().filter(|child| child.namespace() == namespace) {
            let Some(part) = Part::of_element(child.local_name()) else { continue };
            let written = RecordedPart::read(text, part, child);
            if parts[part as usize].is_some() {
                return Err(Twice { part, span: written.element.start_tag });
            }
            last = Some(child);
            parts[part as usize] = Some(written);
        }
        let after = |last: Node<'_>| InsertionPoint::after(text, last.span(), parent.span().start, last.index + 1);
        let insertion = last.map_or_else(otherwise, after);
        Ok(Self { parts, insertion, prefix: prefix.to_owned() })
    }

    /// The part, if it stands there.
    pub fn get(&self, part: Part) -> Option<&RecordedPart> {
        self.parts[part as usize].as_ref()
    }

    /// Whether none of the parts stands there.
    pub fn is_empty(&self) -> bool {
        self.parts().next().is_none()
    }

    /// The parts that stand there.
    pub fn parts(&self) -> impl Iterator<Item = &RecordedPart> {
        self.parts.iter().flatten()
    }

    /// The parts that do not.
    pub fn missing(&self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(|part| self.get(*part).is_none())
    }

    /// The identity, where all three stand there and can be read.
    pub fn identity(&self) -> Option<Identity> {
        match [Part::Vendor, Part::Product, Part::MdevType].map(|part| self.get(part).map(|part| &part.value)) {
            [Some(Value::Id(vendor)), Some(Value::Id(product)), Some(Value::MdevType(mdev_type))] => {
                Some(Identity { vendor: *vendor, product: *product, mdev_type: mdev_type.clone() })
            }
            _ => None,
        }
    }

    /// The parts that say something else than `identity`.
    pub fn conflicts<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a RecordedPart> {
        self.parts().filter(move |part| !part.agrees(identity))
    }
}

impl RecordedPart {
    fn read(text: &str, part: Part, node: Node<'_>) -> Self {
        let element = node.element();
        let words = node.text_content();
        let value = match part {
            _ if node.children().next().is_some() => Value::Neither,
            Part::Vendor | Part::Product => words.parse().map_or(Value::Neither, Value::Id),
            Part::MdevType => words.parse().map_or(Value::Neither, Value::MdevType),
        };
        let content = Content::of(text, &element);
        Self { part, element, text: words, value, content }
    }

    /// Where its text stands, or its tag where it has none.
    pub fn span(&self) -> Span {
        match self.content {
            Content::Text(span) if !span.is_empty() => span,
            Content::Text(_) | Content::EmptyElement(..) => self.element.span,
        }
    }

    /// Whether both say the same, in whatever notation; what cannot be read says nothing.
    pub fn says_what(&self, other: &Self) -> bool {
        self.value == other.value && self.value != Value::Neither
    }

    /// Whether it says what `identity` has for this part.
    pub fn agrees(&self, identity: &Identity) -> bool {
        match (&self.value, self.part) {
            (Value::Id(id), Part::Vendor) => *id == identity.vendor,
            (Value::Id(id), Part::Product) => *id == identity.product,
            (Value::MdevType(mdev_type), Part::MdevType) => *mdev_type == identity.mdev_type,
            _ => false,
        }
    }
}

impl Content {
    fn of(text: &str, element: &Element) -> Self {
        let Some(content) = element.content else {
            let close = Span::new(element.span.end - 2, element.span.end);
            return Self::EmptyElement(close, element.name.of(text).to_owned());
        };
        let inner = content.of(text);
        let run = inner.trim_matches(is_xml_space);
        if run.is_empty() || run.contains('<') {
            return Self::Text(content);
        }
        let start = content.start + (inner.len() - inner.trim_start_matches(is_xml_space).len());
        Self::Text(Span::new(start, start + run.len()))
    }
}
