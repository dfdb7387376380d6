//! `check`: compares recorded identities with the devices of a host, or of many.

mod json_pairs;
mod matrix;
mod pair;
mod placing;
mod reason;
mod table;

use super::json::{self, Results};
use super::settings::{CheckSettings, Format};
use super::{Failure, Outcome, Streams, expand_each, name_of, open_host, read_document};
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
    let host = open_host(&settings.host)?;
    let (inputs, not_found) = expand_each(&settings.inputs, settings.keep_going)?;
    let mut results = Results::new(not_found);
    for input in &inputs {
        results.add(input, judge(input, &host, settings, streams));
    }
    match settings.format {
        Some(Format::Text) => streams.print(&table(results.found(), inputs.len() > 1, "ON THIS HOST"))?,
        Some(Format::Json) => streams.print(&json::text(&results.entries)?)?,
        None => {}
    }
    let is_same = results.found().all(|row| row.verdict == Verdict::Same.name());
    Outcome::of(results.errors, is_same)
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
    let comparison =
        check(&document, &answers, settings.pairing, PciScope::Vgpus).map_err(|errors| origin.errors(errors))?;
    if !comparison.is_same() {
        host.name_vgpus(&mut answers);
    }
    let Comparison { devices, orphans, not_compared } = comparison;
    let is_replaced = |orphan: &&Orphan<'_>| orphan.place.is_difference();
    if settings.format.is_some() {
        streams.report_all(stale(&origin, &orphans));
        if not_compared > 0 {
            streams.report(&Diagnostic::note(not_checked(&name, not_compared)));
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
