//! `check`: compares recorded identities with the devices of a host, or of many.

mod json_pairs;
mod matrix;
mod pair;
mod placing;
mod reason;
mod table;

use super::json::{self, Entry};
use super::settings::{CheckSettings, Format, Inputs};
use super::{Failure, Outcome, Streams, expand, expand_each, name_of, open_host, read_document};
use crate::file::{Input, Purpose};
use crate::host::HostSource;
use crate::plan::check::{Comparison, Verdict, check};
use crate::plan::demand::{Orphan, PciScope};
use crate::plan::{Remark, RemarkKind};
use crate::report::{Diagnostic, Origin};
pub(super) use pair::Pair;
pub(super) use placing::read_in_use;
use table::{Row, table};

pub(super) fn run(settings: &CheckSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    match &settings.placing {
        Some(placing) => placing::run(settings, placing, streams),
        None => compare_with_one(settings, streams),
    }
}

/// Compares the devices that the documents name, and looks for no others.
fn compare_with_one(settings: &CheckSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let host = open_host(&settings.host).map_err(Failure::of)?;
    let (inputs, mut errors) = expand_inputs(&settings.inputs, settings.keep_going)?;
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
            let rows = entries.iter().filter_map(|entry| match entry {
                Entry::Found(row) => Some(row),
                Entry::Failed(_) => None,
            });
            streams.print(&table(rows, inputs.len() > 1, "ON THIS HOST"))?;
        }
        Format::Json => streams.print(&json::text(&entries)?)?,
        Format::Status => {}
    }
    if !errors.is_empty() {
        return Err(Failure::Told(errors));
    }
    let is_same = |entry: &Entry<Row>| matches!(entry, Entry::Found(row) if row.verdict == Verdict::Same.name());
    Ok(if entries.iter().all(is_same) { Outcome::Done } else { Outcome::Differs })
}

/// Returns the inputs that there are; with `keep_going`, also the errors about the others.
fn expand_inputs(inputs: &Inputs, keep_going: bool) -> Result<(Vec<Input>, Vec<Diagnostic>), Failure> {
    if keep_going { Ok(expand_each(inputs)) } else { Ok((expand(inputs)?, Vec::new())) }
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
        streams.tell_all(stale(&origin, &orphans));
        if not_compared > 0 {
            streams.tell(&Diagnostic::note(not_checked(&name, not_compared)));
        }
    }
    let rows = devices.iter().map(|checked| Row::new(&name, checked, &answers));
    Ok(rows.chain(orphans.iter().filter(is_replaced).map(|orphan| Row::of_replaced(&name, orphan))).collect())
}

/// Returns the warnings about records that belong to no hostdev.
fn stale<'a>(
    origin: &'a Origin<'_>,
    orphans: impl IntoIterator<Item = &'a Orphan<'a>>,
) -> impl Iterator<Item = Diagnostic> {
    let stale = orphans.into_iter().filter(|orphan| !orphan.place.is_difference());
    let remark = |orphan: &Orphan<'_>| Remark { span: orphan.record.element.start_tag, kind: RemarkKind::Stale };
    stale.map(move |orphan| origin.remark(&remark(orphan)))
}

/// Returns the note about hostdevs that are not compared.
pub(super) fn not_checked(name: &str, count: usize) -> String {
    let (hostdevs_were, vgpus) = match count {
        1 => ("hostdev of type pci was", "a vGPU"),
        _ => ("hostdevs of type pci were", "vGPUs"),
    };
    format!("{name}: {count} {hostdevs_were} not compared: not recorded, and not {vgpus} on the host")
}
