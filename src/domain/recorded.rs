//! A recorded identity, complete or not: in a hostdev's `source`, or in a record in the metadata.

use super::element::Element;
use super::insertion::InsertionPoint;
use super::tree::Node;
use crate::device::{Device, DeviceKind, Identity, MdevType, Part, PciClass, PciId, Subsystem, VgpuType};
use crate::text::{Span, is_xml_space};

/// The parts of an identity that an element contains, and where missing ones go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedIdentity {
    parts: [Option<RecordedPart>; Part::COUNT],
    /// Where missing parts go.
    pub insertion: InsertionPoint,
    /// The prefix of their names, with its colon, or nothing.
    pub prefix: String,
}

/// A part that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPart {
    /// Which part.
    pub part: Part,
    /// Its element.
    pub element: Element,
    /// Its text, without comments.
    pub text: String,
    /// What the text means.
    pub value: Value,
    /// What another value replaces.
    pub content: Content,
}

/// What the text of a part means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An id, in whatever notation.
    Id(PciId),
    /// The name of an mdev type.
    MdevType(MdevType),
    /// A vGPU type.
    VgpuType(VgpuType),
    /// A PCI class.
    Class(PciClass),
    /// Subsystem ids.
    Subsystem(Subsystem),
    /// None of them: it agrees with no device.
    Neither,
}

/// The bytes that a new value replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The value's own characters, or all between the tags if they are not one run of text.
    Text(Span),
    /// The `/>` of an element that has no content, and the name for its end tag.
    EmptyElement(Span, String),
}

/// A part that appears twice in one element, so which one counts is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// Which part.
    pub part: Part,
    /// The second one's start tag.
    pub span: Span,
}

impl RecordedIdentity {
    /// Reads those of `known` parts that are among the children of `parent` in `namespace`.
    ///
    /// Missing parts go after the last one that is there, or else to the insertion point that `otherwise` returns.
    pub(super) fn read(
        text: &str,
        parent: Node<'_>,
        namespace: Option<&str>,
        known: &[Part],
        prefix: &str,
        otherwise: impl FnOnce() -> InsertionPoint,
    ) -> Result<Self, Twice> {
        let mut parts = [const { None }; Part::COUNT];
        let mut last = None;
        for child in parent.children().filter(|child| child.namespace() == namespace) {
            let name = child.local_name();
            let Some(part) = known.iter().copied().find(|part| part.element() == name) else { continue };
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

    /// Returns the part, if it is there.
    pub fn get(&self, part: Part) -> Option<&RecordedPart> {
        self.parts[part as usize].as_ref()
    }

    /// Whether none of the parts is there.
    pub fn is_empty(&self) -> bool {
        self.parts().next().is_none()
    }

    /// Returns the parts that are there.
    pub fn parts(&self) -> impl Iterator<Item = &RecordedPart> {
        self.parts.iter().flatten()
    }

    /// Returns what is missing of what is recorded of a device, with the values.
    pub fn missing<'a>(&'a self, device: &'a Device) -> impl Iterator<Item = (Part, String)> + 'a {
        device.recorded_parts().filter(|(part, _)| self.get(*part).is_none())
    }

    /// Returns the identity, if all its parts are there and can be read, and no part of another kind of device is there.
    pub fn identity(&self) -> Option<Identity> {
        let value = |part| self.get(part).map(|part| &part.value);
        let (Some(Value::Id(vendor)), Some(Value::Id(product))) = (value(Part::Vendor), value(Part::Product)) else {
            return None;
        };
        let kind = match [Part::MdevType, Part::VgpuType, Part::Class].map(value) {
            [Some(Value::MdevType(mdev_type)), None, None] => DeviceKind::Mdev(mdev_type.clone()),
            [None, Some(Value::VgpuType(vgpu_type)), None] => DeviceKind::Vgpu(*vgpu_type),
            [None, None, Some(Value::Class(class))] => DeviceKind::Pci(*class),
            _ => return None,
        };
        Some(Identity { vendor: *vendor, product: *product, kind })
    }

    /// Returns the parts of the identity that differ from `identity`, or that it does not have.
    pub fn conflicts<'a>(&'a self, identity: &Identity) -> impl Iterator<Item = &'a RecordedPart> {
        self.parts().filter(move |part| part.part.is_of_identity() && !part.agrees(identity))
    }

    /// Whether it has the part by which devices of another kind are told apart: a class for a vGPU, or the reverse.
    pub fn is_of_another_kind(&self, identity: &Identity) -> bool {
        let kinds = [Part::MdevType, Part::VgpuType, Part::Class];
        kinds.into_iter().any(|part| part != identity.kind_part() && self.get(part).is_some())
    }

    /// Returns the recorded subsystem ids, if they differ from those of a device.
    pub fn other_subsystem(&self, device: &Device) -> Option<&RecordedPart> {
        let recorded = self.get(Part::Subsystem)?;
        device.subsystem.filter(|found| recorded.value != Value::Subsystem(*found)).map(|_| recorded)
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
            Part::VgpuType => words.parse().map_or(Value::Neither, Value::VgpuType),
            Part::Class => words.parse().map_or(Value::Neither, Value::Class),
            Part::Subsystem => words.parse().map_or(Value::Neither, Value::Subsystem),
        };
        let content = Content::of(text, &element);
        Self { part, element, text: words, value, content }
    }

    /// Returns where its text is, or its tag if it has none.
    pub fn span(&self) -> Span {
        match self.content {
            Content::Text(span) if !span.is_empty() => span,
            Content::Text(_) | Content::EmptyElement(..) => self.element.span,
        }
    }

    /// Whether both have the same value, in whatever notation. A text that cannot be read has no value.
    pub fn says_what(&self, other: &Self) -> bool {
        self.value == other.value && self.value != Value::Neither
    }

    /// Whether it has the value that `identity` has for this part.
    pub fn agrees(&self, identity: &Identity) -> bool {
        match (&self.value, self.part, &identity.kind) {
            (Value::Id(id), Part::Vendor, _) => *id == identity.vendor,
            (Value::Id(id), Part::Product, _) => *id == identity.product,
            (Value::MdevType(recorded), _, DeviceKind::Mdev(found)) => recorded == found,
            (Value::VgpuType(recorded), _, DeviceKind::Vgpu(found)) => recorded == found,
            (Value::Class(recorded), _, DeviceKind::Pci(found)) => recorded == found,
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
