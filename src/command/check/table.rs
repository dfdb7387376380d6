//! The devices of a comparison: a row of the table, and an object of the JSON.

use serde::Serialize;

use super::super::json::Parts;
use super::placing::Pair;
use crate::device::{Device, DeviceAddress};
use crate::domain::{Record, RecordKind};
use crate::host::{Absence, Host, Lookup};
use crate::plan::Missing;
use crate::plan::check::{Checked, Verdict};
use crate::plan::demand::{Orphan, OrphanPlace, Wanted};
use crate::plan::placement::Placed;
use crate::report::escape;
use crate::report::help::OTHER_KIND;
use crate::report::table::Table;

/// One device, as JSON and as a row of the table.
#[derive(Serialize)]
pub(super) struct Row {
    file: String,
    domain: Option<String>,
    /// That of a mediated device.
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    /// The source address of a PCI device.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The hostdev's own address, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<String>,
    pub verdict: &'static str,
    /// The recorded identity, as far as it was recorded.
    recorded: Parts,
    /// The UUID that it was recorded for, if that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_uuid: Option<String>,
    /// The identity on the host; empty if it has no such device.
    found: Parts,
    /// What describes the device, if that is not sysfs: a definition of mdevctl.
    #[serde(skip_serializing_if = "Option::is_none")]
    found_in: Option<String>,
    /// Whether the device is only defined.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    defined_only: bool,
    /// Why the host has no such device, or why the verdict does not follow from `recorded` and `found`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What a domain says of one of its devices.
#[derive(Serialize)]
pub(super) struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<String>,
    recorded: Parts,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_uuid: Option<String>,
}

impl From<&Wanted<'_>> for Asked {
    fn from(wanted: &Wanted<'_>) -> Self {
        let (uuid, source) = match wanted.device {
            DeviceAddress::Mdev(uuid) => (Some(uuid.to_string()), None),
            DeviceAddress::Pci(address) => (None, Some(address.to_string())),
        };
        Self {
            uuid,
            source,
            guest: wanted.guest.address.as_ref().map(ToString::to_string),
            recorded: wanted.recorded.map(Parts::from).unwrap_or_default(),
            recorded_uuid: wanted.recorded_uuid(),
        }
    }
}

impl Row {
    fn of(file: &str, wanted: &Wanted<'_>, verdict: Verdict, found: Parts, reason: Option<String>) -> Self {
        let Asked { uuid, source, guest, recorded, recorded_uuid } = Asked::from(wanted);
        Self {
            file: file.to_owned(),
            domain: wanted.domain.map(str::to_owned),
            uuid,
            source,
            guest,
            verdict: verdict.name(),
            recorded,
            recorded_uuid,
            found,
            found_in: None,
            defined_only: false,
            reason,
        }
    }

    pub fn new(file: &str, checked: &Checked<'_>, host: &Host) -> Self {
        let found = checked.found.as_ref().map(Parts::from).unwrap_or_default();
        let found_in =
            checked.found.as_ref().ok().and_then(|_| Some(host.source_of(checked.wanted.device)?.to_string()));
        let defined_only = checked.found.as_ref().is_ok_and(|found| found.is_defined_only);
        let reason = reason(checked, host).or_else(|| defined_only.then(|| "defined, and not started".to_owned()));
        let row = Self::of(file, &checked.wanted, checked.verdict(), found, reason);
        Self { found_in, defined_only, ..row }
    }

    /// Returns the rows of a guest on a host.
    pub fn of_pair(pair: &Pair<'_>) -> Vec<Self> {
        let of = |placed: &Placed| {
            let wanted = &pair.guest.demand.devices[placed.number];
            let found = pair.answer(placed).map(|answer| said_by(answer).0).unwrap_or_default();
            Self::of(pair.file, wanted, placed.verdict, found, pair.reason(placed))
        };
        let replaced = pair.replaced().map(|orphan| Self::of_replaced(pair.file, orphan));
        pair.placed.iter().map(of).chain(replaced).collect()
    }

    /// Returns the row for a record whose device was replaced by another one.
    pub fn of_replaced(file: &str, orphan: &Orphan<'_>) -> Self {
        let Orphan { domain, record, .. } = orphan;
        let uuid = record.uuid.as_ref().map(|uuid| uuid.text.clone()).unwrap_or_default();
        let source = record.source_address().map(|address| address.to_string());
        Self {
            file: file.to_owned(),
            domain: domain.map(str::to_owned),
            uuid: (record.kind == RecordKind::Mdev).then_some(uuid),
            source,
            guest: record.guest_address().map(ToString::to_string),
            verdict: Verdict::Different.name(),
            recorded: Parts::from(&record.written),
            recorded_uuid: None,
            found: Parts::default(),
            found_in: None,
            defined_only: false,
            reason: Some(replaced_by(orphan)),
        }
    }
}

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
pub(super) fn said_by(answer: &Lookup) -> (Parts, Option<String>) {
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
fn reason(checked: &Checked<'_>, host: &Host) -> Option<String> {
    if let Err(missing) = &checked.found {
        return Some(match missing {
            Missing::NotOnHost { .. } => missing.to_string(),
            _ => format!("{missing}: {}", missing.label()),
        });
    }
    if let Some(reason) = checked.found.as_ref().ok().and_then(|found| explained(&checked.wanted, found)) {
        return Some(reason);
    }
    let names = checked.vgpu_names(host);
    let names = [("recorded", names.recorded), ("here", names.found)];
    let names = names.into_iter().filter_map(|(which, name)| Some(format!("{which}: {}", name?)));
    Some(names.collect::<Vec<_>>().join(", "))
        .filter(|names| checked.verdict() == Verdict::Different && !names.is_empty())
}

/// Returns the reason for the verdict on a device of the host, if it is not in the identities.
pub(super) fn explained(wanted: &Wanted<'_>, found: &Device) -> Option<String> {
    let made_for = |record: &Record| record.uuid.as_ref().map_or("no UUID", |uuid| &uuid.text).to_owned();
    if let Some(rival) = wanted.made_for_another() {
        return Some(format!("the record of {} was made for {}", rival.key, made_for(rival.record)));
    }
    if let Some(rival) = wanted.contradiction(found).filter(|_| wanted.conflicts(found).is_empty()) {
        return Some(format!("the record of {}, made for {}, differs", rival.key, made_for(rival.record)));
    }
    if let Some(record) = wanted.record.filter(|_| wanted.recorded_uuid().is_some()) {
        return Some(format!("recorded for {}", made_for(record)));
    }
    let recorded = wanted.recorded?.other_subsystem(found)?;
    let subsystem = found.subsystem.filter(|_| Verdict::of(wanted, found) != Verdict::Different)?;
    Some(format!("a warning: the board was {}, and is {subsystem} here", recorded.text))
}

/// Returns the beginning of a reason: a document may give it a megabyte.
pub(super) fn shortened(reason: &str) -> String {
    const SHOWN: usize = 512;
    match reason.char_indices().nth(SHOWN) {
        Some((end, _)) => reason[..end].to_owned() + "…",
        None => reason.to_owned(),
    }
}

/// Returns the cell of the table for an identity; a dash replaces what is missing.
pub(super) fn cell(parts: &Parts) -> String {
    let parts = [parts.vendorid.as_deref(), parts.productid.as_deref(), parts.kind()];
    if parts.iter().all(|part| part.is_none()) {
        return "-".to_owned();
    }
    parts.map(|part| part.map_or_else(|| "-".to_owned(), escape::short)).join(" ")
}

/// Returns a table for people, or an empty string without devices. The columns FILE and REASON appear only if they are
/// needed.
pub(super) fn table<'r>(rows: impl IntoIterator<Item = &'r Row>, has_files: bool, on_host: &'static str) -> String {
    let mut table = Table::new(["FILE", "DOMAIN", "DEVICE", "VERDICT", "RECORDED", on_host, "REASON"]).with_remarks();
    for row in rows {
        let device = row.uuid.as_deref().or(row.source.as_deref());
        table.row([
            if has_files { row.file.clone() } else { String::new() },
            row.domain.as_deref().map_or_else(|| row.file.clone(), escape::short),
            device.map_or_else(|| "-".to_owned(), escape::short),
            row.verdict.to_owned(),
            cell(&row.recorded),
            cell(&row.found),
            row.reason.as_deref().map(|reason| shortened(&escape::escape(reason))).unwrap_or_default(),
        ]);
    }
    table.render("", false)
}
