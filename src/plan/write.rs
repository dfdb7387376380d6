//! The edits that write an identity, in a source or in a record.

use super::{Place, Step};
use crate::device::{Identity, Part, Uuid};
use crate::domain::{Content, NAMESPACE, Record, Written, WrittenPart};
use crate::edit::{Change, Edit, NewContent, NewElement, escape_attribute, escape_text};
use crate::text::Span;

/// Corrects the parts that say something else and adds those that are missing.
///
/// `path` leads from the element that holds the edits to the one that holds the parts.
pub(super) fn complete(written: &Written, identity: &Identity, place: Place, path: &[usize]) -> (Vec<Edit>, Vec<Step>) {
    let mut edits = Vec::new();
    let mut steps = Vec::new();
    for part in written.conflicts(identity) {
        let value = identity.value(part.part);
        steps.push(Step::Replace(place, part.part, part.text.clone(), value.clone()));
        let element = [path, &[part.element.index]].concat();
        edits.push(replace_content(&part.content, element, value));
    }
    let missing: Vec<_> = written.missing().collect();
    if !missing.is_empty() {
        let elements = missing.iter().map(|part| part_element(&written.prefix, place, *part, identity));
        edits.push(Edit::add(&written.slot, path, elements.collect()));
        steps.extend(missing.into_iter().map(|part| Step::Add(place, part, identity.value(part))));
    }
    (edits, steps)
}

fn replace_content(content: &Content, element: Vec<usize>, value: String) -> Edit {
    let escaped = escape_text(&value);
    let (span, text) = match content {
        Content::Text(span) => (*span, escaped),
        Content::EmptyElement(close, name) => (*close, format!(">{escaped}</{name}>")),
    };
    Edit { span, text, change: Change::SetText { element, value } }
}

/// Gives a record the UUID that its device has now.
pub(super) fn rename(record: &Record, uuid: Uuid) -> Edit {
    let value = uuid.to_string();
    let (span, text) = match &record.uuid {
        Some(spelling) => (spelling.span, escape_attribute(&value)),
        None => (Span::at(record.element.name.end), format!(" uuid='{}'", escape_attribute(&value))),
    };
    Edit {
        span,
        text,
        change: Change::SetAttribute { element: vec![record.element.index], name: "uuid".to_owned(), value },
    }
}

/// Our element, with the records in it.
pub(super) fn identities_element(prefix: &str, records: Vec<NewElement>) -> NewElement {
    NewElement { declares_namespace: true, ..in_our_namespace(prefix, "identities", NewContent::Elements(records)) }
}

/// The record of one device.
pub(super) fn record_element(prefix: &str, uuid: Uuid, identity: &Identity) -> NewElement {
    let parts = Part::ALL.map(|part| part_element(prefix, Place::Metadata, part, identity));
    let record = in_our_namespace(prefix, "hostdev", NewContent::Elements(parts.into()));
    NewElement { attributes: vec![("uuid", uuid.to_string())], ..record }
}

/// A record as it stands, as far as it is known.
pub(super) fn same_record(prefix: &str, record: &Record) -> NewElement {
    let text = |part: &WrittenPart| in_our_namespace(prefix, part.part.element(), NewContent::Text(part.text.clone()));
    let parts = record.written.parts().map(text).collect();
    let uuid = record.uuid.iter().map(|spelling| ("uuid", spelling.text.clone()));
    NewElement { attributes: uuid.collect(), ..in_our_namespace(prefix, "hostdev", NewContent::Elements(parts)) }
}

fn part_element(prefix: &str, place: Place, part: Part, identity: &Identity) -> NewElement {
    let text = identity.value(part);
    match place {
        Place::Source => NewElement::text(part.element(), text),
        Place::Metadata => in_our_namespace(prefix, part.element(), NewContent::Text(text)),
    }
}

fn in_our_namespace(prefix: &str, name: &'static str, content: NewContent) -> NewElement {
    NewElement {
        prefix: prefix.to_owned(),
        name,
        namespace: Some(NAMESPACE),
        declares_namespace: false,
        attributes: Vec::new(),
        content,
    }
}
