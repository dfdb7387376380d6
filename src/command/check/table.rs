//! The devices of a comparison: a row of the table, and an object of the JSON.

use serde::Serialize;

use super::super::json::{Asked, DeviceNames, Parts};
use super::pair::Pair;
use super::reason::{reason, replaced_by};
use crate::domain::RecordKind;
use crate::host::Host;
use crate::plan::check::{Checked, Verdict};
use crate::plan::demand::{Orphan, Wanted};
use crate::plan::placement::Placed;
use crate::report::table::Table;
use crate::report::{escape, escape::short};
use crate::text::cut;

/// One device, as JSON and as a row of the table.
#[derive(Serialize)]
pub(super) struct Row {
    file: String,
    domain: Option<String>,
    #[serde(flatten)]
    names: DeviceNames,
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

impl Row {
    fn of(file: &str, wanted: &Wanted<'_>, verdict: Verdict, found: Parts, reason: Option<String>) -> Self {
        let Asked { names, recorded, recorded_uuid } = Asked::from(wanted);
        Self {
            file: file.to_owned(),
            domain: wanted.domain.map(str::to_owned),
            names,
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
        let found_in = if checked.found.is_ok() { host.source_of(checked.wanted.device) } else { None };
        let defined_only = checked.found.as_ref().is_ok_and(|found| found.is_defined_only);
        let reason = reason(checked, host).or_else(|| defined_only.then(|| "defined, and not started".to_owned()));
        let row = Self::of(file, &checked.wanted, checked.verdict(), found, reason);
        Self { found_in, defined_only, ..row }
    }

    /// Returns the rows of a guest on a host.
    pub fn of_pair(pair: &Pair<'_>) -> Vec<Self> {
        let of = |placed: &Placed| {
            let wanted = &pair.guest.demand.devices[placed.number];
            let found = pair.device(placed).map(Parts::from).unwrap_or_default();
            Self::of(pair.file, wanted, placed.verdict, found, pair.reason(placed))
        };
        let replaced = pair.replaced().map(|orphan| Self::of_replaced(pair.file, orphan));
        pair.placed.iter().map(of).chain(replaced).collect()
    }

    /// Returns the row for a record whose device was replaced by another one.
    pub fn of_replaced(file: &str, orphan: &Orphan<'_>) -> Self {
        let Orphan { domain, record, .. } = orphan;
        let uuid = record.uuid.as_ref().map(|uuid| uuid.text.clone()).unwrap_or_default();
        Self {
            file: file.to_owned(),
            domain: domain.map(str::to_owned),
            names: DeviceNames {
                uuid: (record.kind == RecordKind::Mdev).then_some(uuid),
                source: record.source_address().map(|address| address.to_string()),
                guest: record.guest_address().map(ToString::to_string),
            },
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

/// Returns a reason as it is shown: a document may give it a megabyte.
pub(super) fn shortened(reason: &str) -> String {
    cut(&escape(reason), 512)
}

/// Returns a table for people, or an empty string without devices. The columns FILE and REASON appear only if they are
/// needed.
pub(super) fn table<'r>(rows: impl IntoIterator<Item = &'r Row>, has_files: bool, on_host: &'static str) -> String {
    let mut table = Table::new(["FILE", "DOMAIN", "DEVICE", "VERDICT", "RECORDED", on_host, "REASON"]);
    table.ends_with_remarks = true;
    for row in rows {
        let device = row.names.device();
        table.row([
            if has_files { row.file.clone() } else { String::new() },
            row.domain.as_deref().map_or_else(|| row.file.clone(), short),
            device.map_or_else(|| "-".to_owned(), short),
            row.verdict.to_owned(),
            row.recorded.text().unwrap_or_else(|| "-".to_owned()),
            row.found.text().unwrap_or_else(|| "-".to_owned()),
            row.reason.as_deref().map(shortened).unwrap_or_default(),
        ]);
    }
    table.render("", false)
}
