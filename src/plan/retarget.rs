//! Giving the hostdevs of a domain other devices, for another host.
//!
//! The address in the source of a hostdev changes, and the one in its record. Every other byte stays.

use super::AnyHostdev;
use super::demand::Wanted;
use super::error::PlanError;
use super::write::{Attributes, TagEdits};
use crate::device::{DeviceAddress, PciAddress, Uuid};
use crate::domain::{Domain, Metadata, PciSource, Source};
use crate::edit::{Edit, Edits};
use crate::markup::scan_start_tag;

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
    let mut of_records = Vec::new();
    for (wanted, device) in changes.into_iter().filter(|(wanted, device)| wanted.device != *device) {
        let (scope, of_source) = match (wanted.hostdev, device) {
            (AnyHostdev::Mdev(_, source), DeviceAddress::Mdev(uuid)) => (&source.scope, set_uuid(source, uuid)),
            (AnyHostdev::Pci(_, source), DeviceAddress::Pci(address)) => {
                (&source.element, set_address(text, source, address))
            }
            _ => continue,
        };
        of_source.into_iter().try_for_each(|edit| edits.add(text, scope, edit))?;
        if let (Some(Metadata::Ours(identities)), Some(record)) = (&domain.metadata, wanted.record) {
            let (of_record, _) = Attributes::rename(record, device).edits(record);
            of_records.extend(of_record.into_iter().map(|edit| (&identities.scope, edit)));
        }
    }
    // All records are in one scope, which is verified once if its edits are added in a row.
    of_records.into_iter().try_for_each(|(scope, edit)| edits.add(text, scope, edit))?;
    Ok(edits)
}

fn set_uuid(source: &Source, uuid: Uuid) -> Vec<Edit> {
    let mut tag = TagEdits::new(vec![source.address]);
    tag.set("uuid", Some(source.uuid.span), uuid.to_string());
    tag.into_edits(source.uuid.whole.end)
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
    let start_tag = scan_start_tag(text, source.element.span.start);
    let mut tag = TagEdits::new(Vec::new());
    for (name, _, value) in numbers.into_iter().filter(|(_, differs, _)| *differs) {
        let there = start_tag.attributes(text).find(|attribute| attribute.name.of(text) == name);
        tag.set(name, there.map(|attribute| attribute.value), value);
    }
    tag.into_edits(start_tag.name(text).end)
}
