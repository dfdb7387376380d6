//! The reasons for verdicts that do not follow from the identities.

use crate::device::{Device, VgpuType};
use crate::domain::Record;
use crate::host::{Absence, Host, Lookup, NoIdentity};
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

/// Returns why a host has no identity for a device, or that the device is only defined.
pub(super) fn reason_of(answer: &Lookup) -> Option<String> {
    match answer {
        Ok(Device { is_defined_only: true, .. }) | Err(NoIdentity::Absent(Absence::NotStarted { .. })) => {
            Some("defined, and not started".to_owned())
        }
        Err(NoIdentity::OtherDeviceApi(device_api)) => Some(format!("its device API is {device_api}")),
        Err(NoIdentity::NoVgpuType { looked_for }) => Some(looked_for.clone()),
        Err(NoIdentity::ParentNotPci { parent, .. }) => Some(format!("its parent {parent} is not a PCI device")),
        Err(NoIdentity::Unknown { reason }) => Some(reason.clone()),
        Ok(_) | Err(NoIdentity::Absent(_) | NoIdentity::Untyped) => None,
    }
}

/// Returns the reason for a verdict that does not follow from the recorded identity and the one on the host.
pub(super) fn reason(checked: &Checked<'_>, host: &Host) -> Option<String> {
    let found = match &checked.found {
        Ok(found) => found,
        Err(missing) => return Some(missing.reason()),
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
    let subsystem = found.subsystem.filter(|_| Verdict::of(wanted, Ok(found)) != Verdict::Different)?;
    Some(format!("a warning: another board, whose subsystem is {subsystem} instead of {}", recorded.text))
}
