//! `list`: shows what a host has, or what it has for the devices of a domain.

mod domain;
mod host;

use std::collections::{BTreeMap, BTreeSet};

use super::json::{self, Results};
use super::settings::{Format, ListSettings};
use super::{Failure, Outcome, Streams, expand, open_host};
use crate::device::VgpuType;
use crate::host::record::VgpuState;
use crate::host::{HostSource, PciNames, RecordedHost};
use crate::report::{Diagnostic, escape};
use host::Names;

pub(super) fn run(settings: &ListSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let source = open_host(&settings.host)?;
    let host = source.record().map_err(|error| Diagnostic::of(&error))?;
    if !settings.domains.is_empty() {
        let inputs = expand(&settings.domains)?;
        let mut results = Results::new(Vec::new());
        for input in &inputs {
            results.add(input, domain::rows(input, &source, &host));
        }
        streams.print(&match settings.format {
            Format::Json => json::text(&results.entries)?,
            Format::Text => {
                let on_host = if source.is_recorded() { "ON THAT HOST" } else { "ON THIS HOST" };
                domain::table(results.found(), on_host, inputs.len() > 1, streams.stdout_color)
            }
        })?;
        return Outcome::of(results.errors, true);
    }

    if settings.format == Format::Json {
        streams.print(&json::text(host.record())?)?;
        return Ok(Outcome::Done);
    }
    let record = host.record();
    let shown: BTreeSet<_> = record.pci_devices.iter().map(|device| (device.vendor, device.product)).collect();
    let names =
        Names { pci: PciNames::read(settings.pci_ids.as_deref(), &shown), vgpu_types: vgpu_names(&source, &host) };
    let unreadable = record.unreadable.iter().map(|entry| match entry.device() {
        Some(device) => format!("{device} cannot be looked up: {}", entry.error),
        None => entry.error.clone(),
    });
    let text = match host::text(&host, &names, streams.stdout_color) {
        Some(text) => text,
        // Each of them may be such a device.
        None if record.unreadable.iter().any(|entry| entry.device().is_some()) => {
            return Err(unreadable.map(Diagnostic::error).collect::<Vec<_>>().into());
        }
        None => format!("{} has no parent of mediated devices and no vGPU\n", escape::short(host.name())),
    };
    let heading = if source.is_recorded() { heading(&host) } else { String::new() };
    streams.print(&(heading + &text))?;
    streams.report_all(unreadable.map(Diagnostic::warning));
    Ok(Outcome::Done)
}

/// Returns the names of vGPU types: those that the cards list, and if that does not suffice, all that the driver knows.
fn vgpu_names(source: &HostSource, host: &RecordedHost) -> BTreeMap<VgpuType, String> {
    let mut names = host.vgpu_names();
    let is_named = |state| !matches!(state, Some(VgpuState::Type(vgpu_type)) if !names.contains_key(&vgpu_type));
    if let HostSource::Sysfs(sysfs, _) = source {
        if !host.record().pci_devices.iter().all(|device| is_named(device.vgpu_type)) {
            names.extend(sysfs.all_vgpu_names().iter().map(|(vgpu_type, name)| (*vgpu_type, name.clone())));
        }
    }
    names
}

/// Returns which host was recorded, and when.
fn heading(host: &RecordedHost) -> String {
    let record = host.record();
    let parts = [
        Some(escape::short(&record.host)),
        record.time.as_ref().map(|time| format!("recorded {}", escape::short(time))),
        record.kernel.as_ref().map(|kernel| format!("kernel {}", escape::short(kernel))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ") + "\n\n"
}
