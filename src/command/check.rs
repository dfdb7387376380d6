//! `check`: recorded identities against the devices of a host.

use serde::Serialize;

use super::settings::{CheckFormat, CheckSettings};
use super::{Failure, Outcome, Streams, expand, name_of, open_sysfs, read_document};
use crate::device::{Identity, Part};
use crate::domain::{Document, Written};
use crate::file::Purpose;
use crate::host::Sysfs;
use crate::plan::check::{Checked, Verdict, check, stale};
use crate::report::{Diagnostic, Origin, escape};

/// One device, as JSON and as a row of the table.
#[derive(Serialize)]
struct Row {
    file: String,
    domain: Option<String>,
    uuid: String,
    verdict: &'static str,
    /// What was recorded; parts that were not are missing.
    recorded: Parts,
    /// What the host has; nothing where it has no such device.
    found: Parts,
    /// Why the host has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// An identity by the names of its elements.
#[derive(Default, Serialize)]
struct Parts {
    #[serde(skip_serializing_if = "Option::is_none")]
    vendorid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    productid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mdevtype: Option<String>,
}

pub(super) fn run(settings: &CheckSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let sysfs = open_sysfs(&settings.sysfs)?;
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for input in expand(&settings.inputs)? {
        let name = name_of(&input);
        let judged = read_document(&input, Purpose::Reading)
            .map_err(|error| vec![error])
            .and_then(|(_, document)| judge(&name, &document, &sysfs, settings, streams));
        match judged {
            Ok(found) => rows.extend(found),
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        return Err(Failure::Told(faults));
    }
    match settings.format {
        CheckFormat::Table => streams.print(&table(&rows))?,
        CheckFormat::Json => streams.print(&json(&rows)?)?,
        CheckFormat::Status => {}
    }
    let is_same = rows.iter().all(|row| row.verdict == Verdict::Same.name());
    Ok(if is_same { Outcome::Done } else { Outcome::Differs })
}

fn judge(
    name: &str,
    document: &Document,
    sysfs: &Sysfs,
    settings: &CheckSettings,
    streams: &mut Streams<'_>,
) -> Result<Vec<Row>, Vec<Diagnostic>> {
    let origin = Origin::new(name, &document.text);
    if settings.format != CheckFormat::Status {
        stale(document).iter().for_each(|remark| streams.tell(&origin.remark(remark)));
    }
    let checked = check(document, &sysfs.ask(document.uuids()))
        .map_err(|faults| faults.iter().map(|fault| origin.fault(fault)).collect::<Vec<_>>())?;
    Ok(checked.iter().map(|checked| Row::new(name, checked)).collect())
}

impl Row {
    fn new(file: &str, checked: &Checked<'_>) -> Self {
        Self {
            file: file.to_owned(),
            domain: checked.domain.map(str::to_owned),
            uuid: checked.uuid.to_string(),
            verdict: checked.verdict().name(),
            recorded: checked.recorded.map(Parts::from).unwrap_or_default(),
            found: checked.found.as_ref().map(Parts::from).unwrap_or_default(),
            reason: checked.found.as_ref().err().map(ToString::to_string),
        }
    }
}

impl From<&Written> for Parts {
    fn from(written: &Written) -> Self {
        let text = |part| written.get(part).map(|part| part.text.clone());
        Self { vendorid: text(Part::Vendor), productid: text(Part::Product), mdevtype: text(Part::MdevType) }
    }
}

impl From<&Identity> for Parts {
    fn from(identity: &Identity) -> Self {
        let value = |part| Some(identity.value(part));
        Self { vendorid: value(Part::Vendor), productid: value(Part::Product), mdevtype: value(Part::MdevType) }
    }
}

impl Parts {
    /// In one cell of the table; a dash for what is not there.
    fn cell(&self) -> String {
        let parts = [&self.vendorid, &self.productid, &self.mdevtype];
        if parts.iter().all(|part| part.is_none()) {
            return "-".to_owned();
        }
        parts.map(|part| part.as_deref().map_or_else(|| "-".to_owned(), escape::short)).join(" ")
    }
}

fn json(rows: &[Row]) -> Result<String, Failure> {
    serde_json::to_string_pretty(rows)
        .map(|text| without_controls(&text) + "\n")
        .map_err(|error| Failure::of(Diagnostic::error(format!("cannot write JSON: {error}"))))
}

/// JSON lets U+007F to U+009F stand as they are, and a terminal obeys them.
fn without_controls(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' => shown.push_str(&format!("\\u{:04x}", u32::from(character))),
            plain => shown.push(plain),
        }
    }
    shown
}

/// A table for people; nothing where there is no device.
fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heading = ["DOMAIN", "MDEV", "VERDICT", "RECORDED", "ON THIS HOST"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let domain = row.domain.as_deref().map_or_else(|| row.file.clone(), escape::short);
        [domain, row.uuid.clone(), row.verdict.to_owned(), row.recorded.cell(), row.found.cell()]
    });
    let lines: Vec<[String; 5]> = std::iter::once(heading).chain(cells).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3].map(width);
    let line = |cells: &[String; 5]| {
        let [domain, mdev, verdict, recorded, found] = cells;
        let [a, b, c, d] = widths;
        format!("{domain:a$}  {mdev:b$}  {verdict:c$}  {recorded:d$}  {found}\n")
    };
    lines.iter().map(line).collect()
}
