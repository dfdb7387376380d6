//! `compare`: compares the devices of two domains, for a migration from one to the other.

use serde::Serialize;

use super::json;
use super::settings::{CompareSettings, Format};
use super::{Failure, Outcome, Streams, expand, name_of, read_document};
use crate::domain::{Document, RecordKind};
use crate::file::Purpose;
use crate::plan::compare::{Difference, Side, Which, compare};
use crate::report::help::OTHER_KIND;
use crate::report::{Diagnostic, Origin, escape};

pub(super) fn run(settings: &CompareSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    if settings.source == "-" && settings.destination == "-" {
        return Err(Failure::from(Diagnostic::error("only one of the two domains can be standard input")));
    }
    let (source_name, source) = read(&settings.source)?;
    let (destination_name, destination) = read(&settings.destination)?;
    let source_origin = Origin::new(source_name, source.text());
    let destination_origin = Origin::new(destination_name, destination.text());
    let differences = compare(&source, &destination).map_err(|errors| {
        let reported = errors.iter().map(|(which, error)| match which {
            Which::Source => source_origin.error(error),
            Which::Destination => destination_origin.error(error),
        });
        reported.collect::<Vec<_>>()
    })?;
    let (warnings, differences): (Vec<_>, Vec<_>) = differences.into_iter().partition(Difference::is_warning);
    if settings.format.is_some() {
        let told = warnings.iter().map(|warning| line(warning, &source_origin, &destination_origin));
        told.for_each(|line| streams.report(&Diagnostic::warning(line.trim_end())));
        if exchanges_kinds(&differences) {
            streams.report(&Diagnostic::note(OTHER_KIND));
        }
    }
    let differences = differences.iter();
    let is_same = differences.len() == 0;
    match settings.format {
        Some(Format::Text) => {
            let lines = differences.map(|difference| line(difference, &source_origin, &destination_origin));
            streams.print(&lines.collect::<String>())?;
        }
        Some(Format::Json) => {
            let objects = differences.map(|difference| Object::of(difference, &source_origin, &destination_origin));
            streams.print(&json::text(&objects.collect::<Vec<_>>())?)?;
        }
        None => {}
    }
    Ok(if is_same { Outcome::Done } else { Outcome::Differs })
}

fn read(argument: &std::ffi::OsString) -> Result<(String, Document), Failure> {
    let inputs = expand(std::slice::from_ref(argument))?;
    let [input] = inputs.as_slice() else {
        return Err(Failure::from(Diagnostic::error(format!(
            "{} matches more than one file, but compare takes one file for each domain",
            escape::path(argument.as_ref())
        ))));
    };
    let (_, document) = read_document(input, Purpose::Reading)?;
    Ok((name_of(input), document))
}

/// Whether one domain has mediated devices where the other has PCI devices.
fn exchanges_kinds(differences: &[Difference]) -> bool {
    let of = |wanted: RecordKind| {
        differences.iter().find_map(|difference| match difference {
            Difference::Number { kind, source, destination } if *kind == wanted => Some(source.cmp(destination)),
            _ => None,
        })
    };
    of(RecordKind::Mdev).zip(of(RecordKind::Pci)).is_some_and(|(mdev, pci)| mdev == pci.reverse())
}

/// Returns the name of a type of hostdev.
fn type_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Mdev => "mdev",
        RecordKind::Pci => "pci",
    }
}

/// Returns the line for people: which device, which value, what each side has, and where.
fn line(difference: &Difference, source: &Origin<'_>, destination: &Origin<'_>) -> String {
    let (subject, source, destination) = match difference {
        Difference::Number { kind, source: one, destination: other } => {
            let side = |count: &usize, origin: &Origin<'_>| format!("{count} ({})", origin.name());
            (format!("number of {} hostdevs", type_name(*kind)), side(one, source), side(other, destination))
        }
        Difference::Hostdev { kind, ordinal, what, source: one, destination: other } => {
            let side = |side: &Side, origin: &Origin<'_>| {
                let value = side.value.as_ref().map_or_else(|| "nothing".to_owned(), |value| escape(value));
                format!("{value} ({})", origin.named_place(side.span))
            };
            (
                format!("{} hostdev {ordinal}: {}", type_name(*kind), what.name()),
                side(one, source),
                side(other, destination),
            )
        }
    };
    format!("{subject}: source has {source}, destination has {destination}\n")
}

/// A difference as JSON.
#[derive(Serialize)]
struct Object {
    /// The number of the hostdev; `None` if it is the number of hostdevs that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    ordinal: Option<usize>,
    /// The type of the hostdevs, if it is not mdev.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    what: &'static str,
    source: SideObject,
    destination: SideObject,
}

/// One side of a difference as JSON.
#[derive(Serialize)]
struct SideObject {
    value: Option<String>,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl Object {
    fn of(difference: &Difference, source: &Origin<'_>, destination: &Origin<'_>) -> Self {
        match difference {
            Difference::Number { kind, source: one, destination: other } => Self {
                ordinal: None,
                kind: (*kind == RecordKind::Pci).then(|| type_name(*kind)),
                what: "number",
                source: SideObject::of_number(*one, source),
                destination: SideObject::of_number(*other, destination),
            },
            Difference::Hostdev { kind, ordinal, what, source: one, destination: other } => Self {
                ordinal: Some(*ordinal),
                kind: (*kind == RecordKind::Pci).then(|| type_name(*kind)),
                what: what.name(),
                source: SideObject::of(one, source),
                destination: SideObject::of(other, destination),
            },
        }
    }
}

impl SideObject {
    fn of_number(number: usize, origin: &Origin<'_>) -> Self {
        Self { value: Some(number.to_string()), file: origin.name().to_owned(), line: None, column: None }
    }

    fn of(side: &Side, origin: &Origin<'_>) -> Self {
        let place = origin.place(side.span);
        Self {
            value: side.value.clone(),
            file: origin.name().to_owned(),
            line: Some(place.line),
            column: Some(place.column),
        }
    }
}
