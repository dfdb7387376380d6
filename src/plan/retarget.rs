//! Giving the hostdevs of a domain other devices, for another host.
//!
//! The address in the source of a hostdev changes, and the one in its record. Every other byte stays.

use super::demand::{Wanted, WantedSource};
use super::error::{PlanError, PlanErrorKind};
use super::write::Attributes;
use crate::device::{DeviceAddress, PciAddress};
use crate::domain::{Domain, Metadata, PciSource, Source};
use crate::edit::{Change, Edit, Edits, escape_attribute};
use crate::markup::scan_start_tag;
use crate::text::Span;

/// Plans the edits that give hostdevs of a domain other devices.
///
/// `text` is that of the document. The device that a hostdev has already, and one of another kind, is left out.
///
/// # Errors
/// If two edits overlap, which is a bug.
pub fn retarget<'a>(
    text: &str,
    domain: &Domain,
    changes: impl IntoIterator<Item = (&'a Wanted<'a>, DeviceAddress)>,
) -> Result<Edits, PlanError> {
    let mut edits = Edits::default();
    let mut add = |scope, edit: Edit| {
        let span = edit.span;
        let added = edits.add(text, scope, edit);
        added.map_err(|overlap| PlanError { span, kind: PlanErrorKind::Overlap(overlap) })
    };
    let mut of_records = Vec::new();
    for (wanted, device) in changes.into_iter().filter(|(wanted, device)| wanted.device != *device) {
        let (scope, of_source) = match (wanted.source, device) {
            (WantedSource::Mdev(source), DeviceAddress::Mdev(uuid)) => {
                (&source.scope, vec![set_uuid(source, uuid.to_string())])
            }
            (WantedSource::Pci(source), DeviceAddress::Pci(address)) => {
                (&source.element, set_address(text, source, address))
            }
            _ => continue,
        };
        of_source.into_iter().try_for_each(|edit| add(scope, edit))?;
        if let (Some(Metadata::Ours(identities)), Some(record)) = (&domain.metadata, wanted.record) {
            let (of_record, _) = Attributes::rename(record, device).edits(record);
            of_records.extend(of_record.into_iter().map(|edit| (&identities.scope, edit)));
        }
    }
    // All records are in one scope, which is verified once if its edits are added in a row.
    of_records.into_iter().try_for_each(|(scope, edit)| add(scope, edit))?;
    Ok(edits)
}

fn set_uuid(source: &Source, value: String) -> Edit {
    Edit {
        span: source.uuid.span,
        text: escape_attribute(&value),
        change: Change::SetAttributes { element: vec![source.address], attributes: vec![("uuid", value)] },
    }
}

/// Changes those numbers of an address that differ. libvirt takes a number that is missing for 0.
fn set_address(text: &str, source: &PciSource, address: PciAddress) -> Vec<Edit> {
    let PciAddress { domain, bus, slot, function } = address;
    let old = source.address;
    let numbers = [
        ("domain", domain != old.domain, format!("0x{domain:04x}")),
        ("bus", bus != old.bus, format!("0x{bus:02x}")),
        ("slot", slot != old.slot, format!("0x{slot:02x}")),
        ("function", function != old.function, format!("0x{function:x}")),
    ];
    let tag = scan_start_tag(text, source.element.span.start);
    let mut edits = Vec::new();
    let mut added = Vec::new();
    for (name, _, value) in numbers.into_iter().filter(|(_, differs, _)| *differs) {
        let there = tag.attributes(text).find(|attribute| attribute.name.of(text) == name);
        match there {
            Some(attribute) => edits.push(Edit {
                span: attribute.value,
                text: value.clone(),
                change: Change::SetAttributes { element: Vec::new(), attributes: vec![(name, value)] },
            }),
            None => added.push((name, value)),
        }
    }
    if !added.is_empty() {
        let text_of = added.iter().map(|(name, value)| format!(" {name}='{value}'")).collect();
        let change = Change::SetAttributes { element: Vec::new(), attributes: added };
        edits.push(Edit { span: Span::at(tag.name(text).end), text: text_of, change });
    }
    edits
}
