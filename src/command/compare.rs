//! `compare`: compares the devices of two domains, for a migration from one to the other.

use serde::Serialize;

use super::json;
use super::settings::{CompareSettings, Format};
use super::{Failure, Outcome, Streams, expand, name_of, read_document};
use crate::domain::{Document, RecordKind};
use crate::file::Purpose;
use crate::plan::compare::{Difference, Side, compare};
use crate::report::help::OTHER_KIND;
use crate::report::{Diagnostic, Origin, escape};
use crate::text::Position;

pub(super) fn run(settings: &CompareSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    if settings.source == "-" && settings.destination == "-" {
        return Err(Failure::from(Diagnostic::error("only one of the two domains can be standard input")));
    }
    let (source_name, source) = read(&settings.source)?;
    let (destination_name, destination) = read(&settings.destination)?;
    let source_origin = Origin::new(source_name, source.text());
    let destination_origin = Origin::new(destination_name, destination.text());
    let differences = compare(&source, &destination).map_err(|[of_source, of_destination]| {
        [source_origin.errors(of_source), destination_origin.errors(of_destination)].concat()
    })?;
    let (warnings, differences): (Vec<_>, Vec<_>) = differences.into_iter().partition(Difference::is_warning);
    let object = |difference| Object::of(difference, &source_origin, &destination_origin);
    if settings.format.is_some() {
        for warning in &warnings {
            streams.report(&Diagnostic::warning(object(warning).line()));
        }
        if exchanges_kinds(&differences) {
            streams.report(&Diagnostic::note(OTHER_KIND));
        }
    }
    let objects: Vec<_> = differences.iter().map(object).collect();
    match settings.format {
        Some(Format::Text) => streams.print(&objects.iter().map(|object| object.line() + "\n").collect::<String>())?,
        Some(Format::Json) => streams.print(&json::text(&objects)?)?,
        None => {}
    }
    Outcome::of(Vec::new(), objects.is_empty())
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

/// A difference, as JSON and as a line for people.
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

/// One side of a difference.
#[derive(Serialize)]
struct SideObject {
    value: Option<String>,
    file: String,
    #[serde(flatten)]
    place: Option<Position>,
}

impl Object {
    fn of(difference: &Difference, source_origin: &Origin<'_>, destination_origin: &Origin<'_>) -> Self {
        let (kind, ordinal, what, source, destination) = match difference {
            Difference::Number { kind, source, destination } => {
                let number = |number: &usize, origin: &Origin<'_>| SideObject {
                    value: Some(number.to_string()),
                    file: origin.name().to_owned(),
                    place: None,
                };
                (kind, None, "number", number(source, source_origin), number(destination, destination_origin))
            }
            Difference::Hostdev { kind, ordinal, what, source, destination } => {
                let side = |side: &Side, origin: &Origin<'_>| SideObject {
                    value: side.value.clone(),
                    file: origin.name().to_owned(),
                    place: Some(origin.place(side.span)),
                };
                (kind, Some(*ordinal), what.name(), side(source, source_origin), side(destination, destination_origin))
            }
        };
        let kind = (*kind == RecordKind::Pci).then_some("pci");
        Self { ordinal, kind, what, source, destination }
    }

    /// Returns the line for people: which device, which value, what each side has, and where.
    fn line(&self) -> String {
        let kind = self.kind.unwrap_or("mdev");
        let subject = match self.ordinal {
            Some(ordinal) => format!("{kind} hostdev {ordinal}: {}", self.what),
            None => format!("number of {kind} hostdevs"),
        };
        let side = |SideObject { value, file, place }: &SideObject| {
            let value = value.as_deref().map_or_else(|| "nothing".to_owned(), escape);
            let place = place.map(|place| format!(":{place}")).unwrap_or_default();
            format!("{value} ({file}{place})")
        };
        format!("{subject}: source has {}, destination has {}", side(&self.source), side(&self.destination))
    }
}
