//! The reasons for verdicts that do not follow from the identities.

use super::super::json::Parts;
use crate::device::{Device, VgpuType};
use crate::domain::Record;
use crate::host::{Absence, Host, Lookup};
use crate::plan::Missing;
use crate::plan::check::{Checked, Verdict};
use crate::plan::demand::{Orphan, OrphanPlace, Wanted};
use crate::report::help::OTHER_KIND;

/// Returns what is in the place of a device that was recorded.
pub(super) fn replaced_by(orphan: &Orphan<'_>) -> String {
    match orphan.place {
        OrphanPlace::Mdev(_) => format!("the guest has a hostdev of type mdev in its place; {OTHER_KIND}"),
        OrphanPlace::UnrecordedPci(hostdev) => {
            let which =
                hostdev.device().map_or_else(|| "a hostdev of type pci".to_owned(), |device| device.to_string());
            format!("it belongs to no hostdev, and {which} has no record")
        }
        _ => format!("the guest has a hostdev of type pci in its place; {OTHER_KIND}"),
    }
}

/// Returns the identity that an answer has, and why it has none.
pub(super) fn identity_and_reason(answer: &Lookup) -> (Parts, Option<String>) {
    let why = match answer {
        Lookup::Found(device) => {
            return (Parts::from(device), device.is_defined_only.then(|| "defined, and not started".to_owned()));
        }
        Lookup::Absent(Absence::NotStarted { .. }) => "defined, and not started".to_owned(),
        Lookup::OtherDeviceApi(device_api) => format!("its device API is {device_api}"),
        Lookup::NoVgpuType { looked_for } => looked_for.clone(),
        Lookup::ParentNotPci { parent, .. } => format!("its parent {parent} is not a PCI device"),
        Lookup::Unknown { reason } => reason.clone(),
        Lookup::Untyped | Lookup::Absent(_) => return (Parts::default(), None),
    };
    (Parts::default(), Some(why))
}

/// Returns the reason for a verdict that does not follow from the recorded identity and the one on the host.
pub(super) fn reason(checked: &Checked<'_>, host: &Host) -> Option<String> {
    let found = match &checked.found {
        Ok(found) => found,
        Err(missing @ Missing::NotOnHost { .. }) => return Some(missing.to_string()),
        Err(missing) => return Some(format!("{missing}: {}", missing.label())),
    };
    explained(&checked.wanted, found).or_else(|| match checked.verdict() {
        Verdict::Different => vgpu_names(&checked.wanted, found, "here", |vgpu_type| host.vgpu_name(vgpu_type)),
        _ => None,
    })
}

/// Returns the names of the recorded vGPU type and of the one that a device has, as far as they are known.
pub(super) fn vgpu_names<'n>(
    wanted: &Wanted<'_>,
    found: &Device,
    place: &str,
    name: impl Fn(VgpuType) -> Option<&'n str>,
) -> Option<String> {
    let types = [("recorded", wanted.vgpu_type()), (place, found.identity.vgpu_type())];
    let names = types.into_iter().filter_map(|(which, of)| Some(format!("{which}: {}", name(of?)?)));
    let names: Vec<_> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Returns the reason for the verdict on a device of the host, if it is not in the identities.
pub(super) fn explained(wanted: &Wanted<'_>, found: &Device) -> Option<String> {
    let made_for = |record: &Record| record.uuid.as_ref().map_or("no UUID", |uuid| &uuid.text).to_owned();
    if let Some(rival) = wanted.made_for_another() {
        return Some(format!("the record of {} was made for {}", rival.key, made_for(rival.record)));
    }
    if let Some(rival) = wanted.contradiction(&found.identity).filter(|_| !wanted.differs_from(&found.identity)) {
        return Some(format!("the record of {}, made for {}, differs", rival.key, made_for(rival.record)));
    }
    if let Some(record) = wanted.record.filter(|_| wanted.recorded_uuid().is_some()) {
        return Some(format!("recorded for {}", made_for(record)));
    }
    let recorded = wanted.recorded?.other_subsystem(found)?;
    let subsystem = found.subsystem.filter(|_| Verdict::of(wanted, found) != Verdict::Different)?;
    Some(format!("a warning: another board, whose subsystem is {subsystem} instead of {}", recorded.text))
}
