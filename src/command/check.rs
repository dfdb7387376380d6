//! `check`: compares recorded identities with the devices of a host.

use serde::Serialize;

use super::json::{self, Entry, Parts};
use super::settings::{CheckSettings, Format};
use super::{Failure, Outcome, Streams, expand, expand_each, name_of, open_host, read_document};
use crate::device::DeviceAddress;
use crate::domain::{Record, RecordKind};
use crate::file::{Input, Purpose};
use crate::host::{Host, HostSource};
use crate::plan::check::{Checked, Comparison, Verdict, check};
use crate::plan::demand::{Orphan, OrphanPlace, PciScope};
use crate::plan::{Missing, Remark, RemarkKind};
use crate::report::help::OTHER_KIND;
use crate::report::{Diagnostic, Origin, escape};

/// One device, as JSON and as a row of the table.
#[derive(Serialize)]
struct Row {
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
    verdict: &'static str,
    /// The recorded identity, as far as it was recorded.
    recorded: Parts,
    /// The UUID that it was recorded for, if that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_uuid: Option<String>,
    /// The identity on the host; empty if it has no such device.
    found: Parts,
    /// What describes the device, if that is not sysfs: the file that `--host` names, or a definition of mdevctl.
    #[serde(skip_serializing_if = "Option::is_none")]
    found_in: Option<String>,
    /// Whether the device is only defined.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    defined_only: bool,
    /// Why the host has no such device, or why the verdict does not follow from `recorded` and `found`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) fn run(settings: &CheckSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let host = open_host(&settings.host).map_err(Failure::of)?;
    let (inputs, mut errors) = match settings.keep_going {
        true => expand_each(&settings.inputs),
        false => (expand(&settings.inputs)?, Vec::new()),
    };
    let mut entries = Vec::new();
    for input in &inputs {
        match judge(input, &host, settings, streams) {
            Ok(rows) => entries.extend(rows.into_iter().map(Entry::Found)),
            Err(found) => {
                entries.push(Entry::failed(name_of(input), &found));
                errors.extend(found);
            }
        }
    }
    match settings.format {
        Format::Text => {
            let on_host = if host.is_recorded() { "ON THAT HOST" } else { "ON THIS HOST" };
            streams.print(&table(&entries, inputs.len() > 1, on_host))?;
        }
        Format::Json => streams.print(&json::array(&entries)?)?,
        Format::Status => {}
    }
    if !errors.is_empty() {
        return Err(Failure::Told(errors));
    }
    let is_same = |entry: &Entry<Row>| matches!(entry, Entry::Found(row) if row.verdict == Verdict::Same.name());
    Ok(if entries.iter().all(is_same) { Outcome::Done } else { Outcome::Differs })
}

fn judge(
    input: &Input,
    host: &HostSource,
    settings: &CheckSettings,
    streams: &mut Streams<'_>,
) -> Result<Vec<Row>, Vec<Diagnostic>> {
    let name = name_of(input);
    let (_, document) = read_document(input, Purpose::Reading).map_err(|error| vec![error])?;
    let origin = Origin::new(&name, document.text());
    let mut answers = host.ask(document.devices());
    let comparison = check(&document, &answers, settings.pairing, PciScope::Vgpus)
        .map_err(|errors| errors.iter().map(|error| origin.error(error)).collect::<Vec<_>>())?;
    if !comparison.is_same() {
        host.name_vgpus(&mut answers);
    }
    let Comparison { devices, orphans, not_compared } = comparison;
    let is_replaced = |orphan: &&Orphan<'_>| orphan.place.is_difference();
    if settings.format != Format::Status {
        let stale = orphans
            .iter()
            .filter(|orphan| !is_replaced(orphan))
            .map(|orphan| Remark { span: orphan.record.element.start_tag, kind: RemarkKind::Stale });
        streams.tell_all(stale.map(|remark| origin.remark(&remark)));
        if not_compared > 0 {
            streams.tell(&Diagnostic::note(not_checked(&name, not_compared)));
        }
    }
    let rows = devices.iter().map(|checked| Row::new(&name, checked, &answers));
    Ok(rows.chain(orphans.iter().filter(is_replaced).map(|orphan| Row::of_replaced(&name, orphan))).collect())
}

/// Returns the note about hostdevs that are not compared.
pub(super) fn not_checked(name: &str, count: usize) -> String {
    let (hostdevs, were) = if count == 1 { ("hostdev", "was") } else { ("hostdevs", "were") };
    format!("{name}: {count} {hostdevs} of type pci {were} not compared: not recorded and not vGPUs")
}

impl Row {
    fn new(file: &str, checked: &Checked<'_>, host: &Host) -> Self {
        let (uuid, source) = match checked.wanted.device {
            DeviceAddress::Mdev(uuid) => (Some(uuid.to_string()), None),
            DeviceAddress::Pci(address) => (None, Some(address.to_string())),
        };
        let defined_only = checked.found.as_ref().is_ok_and(|found| found.is_defined_only);
        Self {
            file: file.to_owned(),
            domain: checked.wanted.domain.map(str::to_owned),
            uuid,
            source,
            guest: checked.wanted.guest.address.as_ref().map(ToString::to_string),
            verdict: checked.verdict().name(),
            recorded: checked.wanted.recorded.map(Parts::from).unwrap_or_default(),
            recorded_uuid: checked.wanted.recorded_uuid(),
            found: checked.found.as_ref().map(Parts::from).unwrap_or_default(),
            found_in: checked
                .found
                .as_ref()
                .ok()
                .and_then(|_| Some(host.source_of(checked.wanted.device)?.to_string())),
            defined_only,
            reason: reason(checked, host).or_else(|| defined_only.then(|| "defined, and not started".to_owned())),
        }
    }

    /// Returns the row for a record whose device was replaced by another one.
    fn of_replaced(file: &str, Orphan { domain, record, place }: &Orphan<'_>) -> Self {
        let uuid = record.uuid.as_ref().map(|uuid| uuid.text.clone()).unwrap_or_default();
        let source = record.source_address().map(|address| address.to_string());
        let reason = match place {
            OrphanPlace::Mdev(_) => format!("the guest has a hostdev of type mdev in its place; {OTHER_KIND}"),
            OrphanPlace::UnrecordedPci(hostdev) => {
                let which =
                    hostdev.device().map_or_else(|| "a hostdev of type pci".to_owned(), |device| device.to_string());
                format!("it belongs to no hostdev, and {which} has no record")
            }
            _ => format!("the guest has a hostdev of type pci in its place; {OTHER_KIND}"),
        };
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
            reason: Some(reason),
        }
    }
}

/// Returns the reason for a verdict that does not follow from the recorded identity and the one on the host.
fn reason(checked: &Checked<'_>, host: &Host) -> Option<String> {
    let made_for = |record: &Record| record.uuid.as_ref().map_or("no UUID", |uuid| &uuid.text).to_owned();
    if let Err(missing) = &checked.found {
        return Some(match missing {
            Missing::NotOnHost { .. } => missing.to_string(),
            _ => format!("{missing}: {}", missing.label()),
        });
    }
    if let Some(rival) = checked.wanted.made_for_another() {
        return Some(format!("the record of {} was made for {}", rival.key, made_for(rival.record)));
    }
    if checked.conflicts().is_empty() {
        if let Some(rival) = checked.contradiction() {
            return Some(format!("the record of {}, made for {}, differs", rival.key, made_for(rival.record)));
        }
    }
    if let Some(record) = checked.wanted.record.filter(|_| checked.wanted.recorded_uuid().is_some()) {
        return Some(format!("recorded for {}", made_for(record)));
    }
    let names = checked.vgpu_names(host);
    let names = [("recorded", names.recorded), ("here", names.found)];
    let names = names.into_iter().filter_map(|(which, name)| Some(format!("{which}: {}", name?)));
    match checked.verdict() {
        Verdict::Different => Some(names.collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty()),
        _ => {
            let recorded = checked.other_subsystem()?;
            let found = checked.found.as_ref().ok()?.subsystem?;
            Some(format!("a warning: the board was {}, and is {found} here", recorded.text))
        }
    }
}

/// Returns the beginning of a reason: a document may give it a megabyte.
fn shortened(reason: &str) -> String {
    const SHOWN: usize = 512;
    match reason.char_indices().nth(SHOWN) {
        Some((end, _)) => reason[..end].to_owned() + "…",
        None => reason.to_owned(),
    }
}

/// Returns the cell of the table for an identity; a dash replaces what is missing.
fn cell(parts: &Parts) -> String {
    let parts = [parts.vendorid.as_deref(), parts.productid.as_deref(), parts.kind()];
    if parts.iter().all(|part| part.is_none()) {
        return "-".to_owned();
    }
    parts.map(|part| part.map_or_else(|| "-".to_owned(), escape::short)).join(" ")
}

/// Returns a table for people, or an empty string without devices. The columns FILE and REASON appear only if they are
/// needed.
fn table(entries: &[Entry<Row>], has_files: bool, on_host: &str) -> String {
    let rows: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Found(row) => Some(row),
            Entry::Failed(_) => None,
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let heading = ["FILE", "DOMAIN", "DEVICE", "VERDICT", "RECORDED", on_host, "REASON"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let domain = row.domain.as_deref().map_or_else(|| row.file.clone(), escape::short);
        let reason = row.reason.as_deref().map(|reason| shortened(&escape::escape(reason))).unwrap_or_default();
        [
            row.file.clone(),
            domain,
            row.uuid.as_deref().or(row.source.as_deref()).map_or_else(|| "-".to_owned(), escape::short),
            row.verdict.to_owned(),
            cell(&row.recorded),
            cell(&row.found),
            reason,
        ]
    });
    let lines: Vec<[String; 7]> = std::iter::once(heading).chain(cells).collect();
    let has_reasons = rows.iter().any(|row| row.reason.is_some());
    let columns: Vec<usize> =
        (0..7).filter(|column| (*column > 0 || has_files) && (*column < 6 || has_reasons)).collect();
    let width = |column: &usize| lines.iter().map(|line| line[*column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let line = |cells: &[String; 7]| {
        let padded = columns.iter().zip(&widths).map(|(column, width)| {
            let cell = &cells[*column];
            // Not by the width of a format, which has 16 bits: a path may be longer.
            cell.clone() + &" ".repeat(width - cell.chars().count())
        });
        let padded: Vec<_> = padded.collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}
