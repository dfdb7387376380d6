//! The edits that write an identity into a source or a record.

use super::claims::HostdevKeys;
use super::{Place, Step};
use crate::device::{Device, DeviceAddress, Part};
use crate::domain::{
    Content, GuestSide, NAMESPACE, Record, RecordAttribute, RecordKind, RecordedIdentity, RecordedPart, UuidAttribute,
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

/// The attributes of a record that change, with their new values; `None` removes one.
pub(super) struct Attributes(Vec<(&'static str, Option<String>)>);

impl Attributes {
    /// Makes a record name another device.
    pub fn rename(record: &Record, device: DeviceAddress) -> Self {
        let (name, value) = name_of_device(device);
        Self(if device_of(record) == Some(device) { Vec::new() } else { vec![(name, Some(value))] })
    }

    /// Makes a record name its hostdev. An attribute that the hostdev has no value for is removed only if another hostdev of the
    /// domain has the value now.
    pub fn for_hostdev(record: &Record, device: DeviceAddress, guest: &GuestSide, places: &HostdevKeys<'_>) -> Self {
        let Self(mut changes) = Self::rename(record, device);
        match &guest.address {
            Some(address) if record.guest_address() == Some(address) => {}
            Some(address) => changes.push(("guest", Some(address.to_string()))),
            None if places.has_address_of(record) => changes.push(("guest", None)),
            None => {}
        }
        match &guest.alias {
            Some(alias) if record.user_alias() == Some(alias) => {}
            Some(alias) => changes.push(("alias", Some(alias.to_string()))),
            None if places.has_alias_of(record) => changes.push(("alias", None)),
            None => {}
        }
        Self(changes)
    }

    /// Removes the guest address and the alias from a record whose hostdev is unchanged, if another hostdev has them.
    pub fn of_another(record: &Record, guest: &GuestSide, places: &HostdevKeys<'_>) -> Self {
        let mut changes = Vec::new();
        if record.guest_address() != guest.address.as_ref() && places.has_address_of(record) {
            changes.push(("guest", None));
        }
        if record.user_alias() != guest.alias.as_ref() && places.has_alias_of(record) {
            changes.push(("alias", None));
        }
        Self(changes)
    }

    /// Removes the guest address and the alias from a record if a hostdev of the domain has them, and the source address of a PCI
    /// device if a hostdev has it: the record must not claim that hostdev once it has no other key.
    pub fn for_none(record: &Record, places: &HostdevKeys<'_>) -> Self {
        let Self(mut changes) = Self::of_another(record, &GuestSide::default(), places);
        if record.source_address().is_some_and(|source| places.devices.contains(&DeviceAddress::Pci(source))) {
            changes.insert(0, ("source", None));
        }
        Self(changes)
    }

    /// Returns the edits of a record's start tag, and their steps.
    pub fn edits(self, record: &Record) -> (Vec<Edit>, Vec<Step>) {
        let old = Attribute::all_of(record);
        let mut tag = TagEdits::new(vec![record.element.index]);
        let mut steps = Vec::new();
        for (name, value) in self.0 {
            steps.push(Step::Attribute(name, value.clone()));
            let attribute = old.iter().find(|attribute| attribute.name == name);
            match (attribute, value) {
                (attribute, Some(value)) => tag.set(name, attribute.map(|attribute| attribute.span), value),
                (Some(attribute), None) => tag.remove(name, attribute.whole),
                (None, None) => {}
            }
        }
        // After the last attribute of ours.
        let end = old.iter().map(|attribute| attribute.whole.end).max().unwrap_or(record.element.name.end);
        (tag.into_edits(end), steps)
    }
}

/// An attribute of a record.
struct Attribute {
    name: &'static str,
    /// What it means, if it can be read.
    value: Option<String>,
    /// Its value, between the quotes.
    span: Span,
    /// All of it, with the whitespace before it.
    whole: Span,
}

impl Attribute {
    /// Returns those of a record, in the order in which they are written.
    fn all_of(record: &Record) -> Vec<Self> {
        fn read<T: ToString>(name: &'static str, attribute: &Option<RecordAttribute<T>>) -> Option<Attribute> {
            let RecordAttribute { value, span, whole } = attribute.as_ref()?;
            Some(Attribute { name, value: value.as_ref().map(T::to_string), span: *span, whole: *whole })
        }
        let uuid = record.uuid.as_ref().map(|UuidAttribute { text, span, whole, .. }| Self {
            name: "uuid",
            value: Some(text.clone()),
            span: *span,
            whole: *whole,
        });
        let others = [read("source", &record.source), read("guest", &record.guest), read("alias", &record.alias)];
        uuid.into_iter().chain(others.into_iter().flatten()).collect()
    }
}

/// Returns the device that a record was made for.
pub(super) fn device_of(record: &Record) -> Option<DeviceAddress> {
    match record.kind {
        RecordKind::Mdev => record.recorded_uuid().map(DeviceAddress::Mdev),
        RecordKind::Pci => record.source_address().map(DeviceAddress::Pci),
    }
}

/// Returns the attribute by which a record names a device.
fn name_of_device(device: DeviceAddress) -> (&'static str, String) {
    match device {
        DeviceAddress::Mdev(uuid) => ("uuid", uuid.to_string()),
        DeviceAddress::Pci(address) => ("source", address.to_string()),
    }
}

/// The edits of one start tag.
pub(super) struct TagEdits {
    /// The path of its element.
    element: Vec<usize>,
    edits: Vec<Edit>,
    /// Attributes that are not there yet: they are added in one edit.
    added: Vec<(&'static str, String)>,
}

impl TagEdits {
    pub fn new(element: Vec<usize>) -> Self {
        Self { element, edits: Vec::new(), added: Vec::new() }
    }

    /// Gives an attribute a value. `span` is that of its value, if it is there.
    pub fn set(&mut self, name: &'static str, span: Option<Span>, value: String) {
        let Some(span) = span else {
            self.added.push((name, value));
            return;
        };
        let text = escape_attribute(&value);
        let change = Change::SetAttributes { element: self.element.clone(), attributes: vec![(name, value)] };
        self.edits.push(Edit { span, text, change });
    }

    /// Removes an attribute. `whole` is the span of all of it.
    fn remove(&mut self, name: &'static str, whole: Span) {
        let change = Change::RemoveAttribute { element: self.element.clone(), name };
        self.edits.push(Edit { span: whole, text: String::new(), change });
    }

    /// Returns the edits. New attributes go to `end`.
    pub fn into_edits(mut self, end: usize) -> Vec<Edit> {
        if !self.added.is_empty() {
            let text =
                self.added.iter().map(|(name, value)| format!(" {name}='{}'", escape_attribute(value))).collect();
            let change = Change::SetAttributes { element: self.element, attributes: self.added };
            self.edits.push(Edit { span: Span::at(end), text, change });
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
    let kind = match address {
        DeviceAddress::Mdev(_) => RecordKind::Mdev,
        DeviceAddress::Pci(_) => RecordKind::Pci,
    };
    let record = in_our_namespace(prefix, kind.element(), NewContent::Elements(parts.collect()));
    let guest_address = guest.address.iter().map(|address| ("guest", address.to_string()));
    let alias = guest.alias.iter().map(|alias| ("alias", alias.to_string()));
    let attributes = std::iter::once(name_of_device(address)).chain(guest_address).chain(alias);
    NewElement { attributes: attributes.collect(), ..record }
}

/// Returns a record as it is, without some attributes and without what this version does not know of it.
pub(super) fn kept_record(prefix: &str, record: &Record, Attributes(removed): &Attributes) -> NewElement {
    let text = |part: &RecordedPart| part_element(prefix, Place::Metadata, part.part, part.text.clone());
    let parts = record.written.parts().map(text).collect();
    let attributes = Attribute::all_of(record).into_iter().filter_map(|Attribute { name, value, .. }| {
        let is_removed = removed.iter().any(|(removed, _)| *removed == name);
        Some((name, value?)).filter(|_| !is_removed)
    });
    let attributes = attributes.collect();
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
