//! The edits that write an identity into a source or a record.

use super::claims::GuestKeys;
use super::{Place, Step};
use crate::device::{Device, DeviceAddress, Part};
use crate::domain::{
    Content, GuestSide, NAMESPACE, Record, RecordAttribute, RecordKind, RecordedIdentity, RecordedPart,
};
use crate::edit::{Change, Edit, NewContent, NewElement, escape_attribute, escape_text};
use crate::text::Span;

/// Corrects the parts that differ from a device and adds those that are missing.
///
/// `path` leads from the element that contains the edits to the one that contains the parts.
pub(super) fn complete(
    written: &RecordedIdentity,
    device: &Device,
    place: Place,
    path: &[usize],
) -> (Vec<Edit>, Vec<Step>) {
    let mut edits = Vec::new();
    let mut steps = Vec::new();
    for (part, value) in device.recorded_parts() {
        let Some(recorded) = written.get(part) else { continue };
        let agrees = match part {
            Part::Subsystem => written.other_subsystem(device).is_none(),
            _ => recorded.agrees(&device.identity),
        };
        if !agrees {
            steps.push(Step::Replace(place, part, recorded.text.clone(), value.clone()));
            let element = [path, &[recorded.element.index]].concat();
            edits.push(replace_content(&recorded.content, element, value));
        }
    }
    let missing: Vec<_> = written.missing(device).collect();
    if !missing.is_empty() {
        let elements = missing.iter().map(|(part, value)| part_element(&written.prefix, place, *part, value.clone()));
        edits.push(Edit::add(&written.insertion, path, elements.collect()));
        steps.extend(missing.into_iter().map(|(part, value)| Step::Add(place, part, value)));
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

/// What happens to an attribute of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum NewValue {
    /// It is unchanged.
    #[default]
    Same,
    /// It gets this value.
    Set(String),
    /// It is removed.
    Gone,
}

/// What happens to the attributes of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// The device that it is made for, if it was made for another one.
    pub rename: Option<DeviceAddress>,
    /// Whether the source address of a PCI device is removed.
    drops_source: bool,
    guest: NewValue,
    alias: NewValue,
}

impl Attributes {
    /// Makes a record name another device.
    pub fn rename(record: &Record, device: DeviceAddress) -> Self {
        Self { rename: Some(device).filter(|_| device_of(record) != Some(device)), ..Self::default() }
    }

    /// Makes a record name its hostdev. An attribute that the hostdev has no value for is removed only if another hostdev of the
    /// domain has the value now.
    pub fn for_hostdev(record: &Record, device: DeviceAddress, guest: &GuestSide, places: &GuestKeys<'_>) -> Self {
        let none = Self::for_none(record, places);
        Self {
            rename: Some(device).filter(|_| device_of(record) != Some(device)),
            drops_source: false,
            guest: match &guest.address {
                Some(address) if record.guest_address() == Some(address) => NewValue::Same,
                Some(address) => NewValue::Set(address.to_string()),
                None => none.guest,
            },
            alias: match &guest.alias {
                Some(alias) if record.user_alias() == Some(alias) => NewValue::Same,
                Some(alias) => NewValue::Set(alias.to_string()),
                None => none.alias,
            },
        }
    }

    /// Removes the guest address and the alias from a record whose hostdev is unchanged, if another hostdev has them.
    pub fn of_another(record: &Record, guest: &GuestSide, places: &GuestKeys<'_>) -> Self {
        let all = Self::for_none(record, places);
        let unless = |is_own: bool, value| if is_own { NewValue::Same } else { value };
        Self {
            rename: None,
            drops_source: false,
            guest: unless(record.guest_address() == guest.address.as_ref(), all.guest),
            alias: unless(record.user_alias() == guest.alias.as_ref(), all.alias),
        }
    }

    /// Removes the guest address and the alias from a record if a hostdev of the domain has them, and the source address of a PCI
    /// device if a hostdev has it: the record must not claim that hostdev once it has no other key.
    pub fn for_none(record: &Record, places: &GuestKeys<'_>) -> Self {
        let gone = |is_used: bool| if is_used { NewValue::Gone } else { NewValue::Same };
        Self {
            rename: None,
            drops_source: record.source_address().is_some_and(|source| places.sources.contains(&source)),
            guest: gone(places.has_address_of(record)),
            alias: gone(places.has_alias_of(record)),
        }
    }

    /// Returns the edits of a record's start tag, and their steps.
    pub fn edits(self, record: &Record) -> (Vec<Edit>, Vec<Step>) {
        let mut tag = StartTag { element: record.element.index, edits: Vec::new(), added: Vec::new() };
        let mut steps = Vec::new();
        let source = record.source.as_ref().map(RecordAttribute::spans);
        match self.rename {
            Some(device @ DeviceAddress::Mdev(uuid)) => {
                let attribute = record.uuid.as_ref().map(|attribute| (attribute.span, attribute.whole));
                tag.change("uuid", attribute, Some(uuid.to_string()));
                steps.push(Step::Rename(device));
            }
            Some(device @ DeviceAddress::Pci(address)) => {
                tag.change("source", source, Some(address.to_string()));
                steps.push(Step::Rename(device));
            }
            None if self.drops_source => {
                tag.change("source", source, None);
                steps.push(Step::Attribute("source", None));
            }
            None => {}
        }
        let mut change = |name, attribute: Option<(Span, Span)>, value: NewValue| {
            let value = match value {
                NewValue::Same => return,
                NewValue::Set(value) => Some(value),
                NewValue::Gone => None,
            };
            steps.push(Step::Attribute(name, value.clone()));
            tag.change(name, attribute, value);
        };
        change("guest", record.guest.as_ref().map(RecordAttribute::spans), self.guest);
        change("alias", record.alias.as_ref().map(RecordAttribute::spans), self.alias);
        (tag.into_edits(record), steps)
    }

    /// Returns the attributes of a record that they are applied to.
    fn applied(&self, record: &Record) -> Vec<(&'static str, String)> {
        let value = |old: Option<String>, new: &NewValue| match new {
            NewValue::Same => old,
            NewValue::Set(value) => Some(value.clone()),
            NewValue::Gone => None,
        };
        let uuid = record.uuid.as_ref().map(|attribute| attribute.text.clone());
        let source = record.source_address().filter(|_| !self.drops_source).map(|address| address.to_string());
        let guest = record.guest_address().map(ToString::to_string);
        let alias = record.user_alias().map(ToString::to_string);
        let (guest, alias) = (value(guest, &self.guest), value(alias, &self.alias));
        let all = [("uuid", uuid), ("source", source), ("guest", guest), ("alias", alias)];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Returns the device that a record was made for.
pub(super) fn device_of(record: &Record) -> Option<DeviceAddress> {
    match record.kind {
        RecordKind::Mdev => record.recorded_uuid().map(DeviceAddress::Mdev),
        RecordKind::Pci => record.source_address().map(DeviceAddress::Pci),
    }
}

/// The edits of one start tag.
struct StartTag {
    element: usize,
    edits: Vec<Edit>,
    /// Attributes that are not there yet: they are added in one edit.
    added: Vec<(&'static str, String)>,
}

impl StartTag {
    /// Gives an attribute a value, or removes it. `spans` are those of its value and of all of it, if it is there.
    fn change(&mut self, name: &'static str, spans: Option<(Span, Span)>, value: Option<String>) {
        let element = vec![self.element];
        match (spans, value) {
            (Some((span, _)), Some(value)) => {
                let text = escape_attribute(&value);
                let change = Change::SetAttributes { element, attributes: vec![(name, value)] };
                self.edits.push(Edit { span, text, change });
            }
            (Some((_, whole)), None) => {
                let change = Change::RemoveAttribute { element, name };
                self.edits.push(Edit { span: whole, text: String::new(), change });
            }
            (None, Some(value)) => self.added.push((name, value)),
            (None, None) => {}
        }
    }

    fn into_edits(mut self, record: &Record) -> Vec<Edit> {
        if !self.added.is_empty() {
            // After the last attribute of ours.
            let ends = [
                record.uuid.as_ref().map(|attribute| attribute.whole.end),
                record.source.as_ref().map(|attribute| attribute.whole.end),
                record.guest.as_ref().map(|attribute| attribute.whole.end),
                record.alias.as_ref().map(|attribute| attribute.whole.end),
            ];
            let place = ends.into_iter().flatten().max().unwrap_or(record.element.name.end);
            let text = self.added.iter().map(|(name, value)| format!(" {name}='{}'", escape_attribute(value)));
            let text = text.collect();
            let change = Change::SetAttributes { element: vec![self.element], attributes: self.added };
            self.edits.push(Edit { span: Span::at(place), text, change });
        }
        self.edits
    }
}

/// Returns our element, with the records in it.
pub(super) fn identities_element(prefix: &str, records: Vec<NewElement>) -> NewElement {
    NewElement { declares_namespace: true, ..in_our_namespace(prefix, "identities", NewContent::Elements(records)) }
}

/// Returns the record of one device.
pub(super) fn record_element(prefix: &str, address: DeviceAddress, guest: &GuestSide, device: &Device) -> NewElement {
    let parts = device.recorded_parts().map(|(part, value)| part_element(prefix, Place::Metadata, part, value));
    let (kind, name) = match address {
        DeviceAddress::Mdev(uuid) => (RecordKind::Mdev, ("uuid", uuid.to_string())),
        DeviceAddress::Pci(address) => (RecordKind::Pci, ("source", address.to_string())),
    };
    let record = in_our_namespace(prefix, kind.element(), NewContent::Elements(parts.collect()));
    let guest_address = guest.address.iter().map(|address| ("guest", address.to_string()));
    let alias = guest.alias.iter().map(|alias| ("alias", alias.to_string()));
    let attributes = std::iter::once(name).chain(guest_address).chain(alias);
    NewElement { attributes: attributes.collect(), ..record }
}

/// Returns a record as it is, with other attributes and without what this version does not know of it.
pub(super) fn kept_record(prefix: &str, record: &Record, attributes: &Attributes) -> NewElement {
    let text = |part: &RecordedPart| in_our_namespace(prefix, part.part.element(), NewContent::Text(part.text.clone()));
    let parts = record.written.parts().map(text).collect();
    let attributes = attributes.applied(record);
    NewElement { attributes, ..in_our_namespace(prefix, record.kind.element(), NewContent::Elements(parts)) }
}

fn part_element(prefix: &str, place: Place, part: Part, text: String) -> NewElement {
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
