//! `compare`: two domains, as a migration between them would.

use super::settings::{CompareSettings, Inputs, Verbosity};
use super::{Failure, Outcome, Streams, expand, name_of, read_document};
use crate::domain::Document;
use crate::file::Purpose;
use crate::plan::compare::{Difference, Side, Which, compare};
use crate::report::{Diagnostic, Origin, escape};

pub(super) fn run(settings: &CompareSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    if settings.source == "-" && settings.destination == "-" {
        return Err(Failure::of(Diagnostic::error("standard input can be one of the two domains only")));
    }
    let (source_name, source) = read(&settings.source)?;
    let (destination_name, destination) = read(&settings.destination)?;
    let source_origin = Origin::new(source_name, &source.text);
    let destination_origin = Origin::new(destination_name, &destination.text);
    let differences = compare(&source, &destination).map_err(|faults| {
        let told = faults.iter().map(|(which, fault)| match which {
            Which::Source => source_origin.fault(fault),
            Which::Destination => destination_origin.fault(fault),
        });
        Failure::Told(told.collect())
    })?;
    if settings.verbosity != Verbosity::Quiet {
        let lines = differences.iter().map(|difference| line(difference, &source_origin, &destination_origin));
        streams.print(&lines.collect::<String>())?;
    }
    Ok(if differences.is_empty() { Outcome::Done } else { Outcome::Differs })
}

fn read(argument: &std::ffi::OsString) -> Result<(String, Document), Failure> {
    let inputs = expand(&Inputs { arguments: vec![argument.clone()] })?;
    let [input] = inputs.as_slice() else {
        return Err(Failure::of(Diagnostic::error(format!(
            "{} is more than one file, and two domains are compared",
            escape::path(argument.as_ref())
        ))));
    };
    let (_, document) = read_document(input, Purpose::Reading).map_err(Failure::of)?;
    Ok((name_of(input), document))
}

/// Returns the line for people: which device, which value, what each side has, and where.
fn line(difference: &Difference, source: &Origin<'_>, destination: &Origin<'_>) -> String {
    let (subject, source, destination) = match difference {
        Difference::Number { source: one, destination: other } => {
            let side = |count: &usize, origin: &Origin<'_>| format!("{count} ({})", origin.name());
            ("number of mdev hostdevs".to_owned(), side(one, source), side(other, destination))
        }
        Difference::Hostdev { ordinal, what, source: one, destination: other } => {
            let side = |side: &Side, origin: &Origin<'_>| {
                let value = side.value.as_ref().map_or_else(|| "nothing".to_owned(), |value| escape(value));
                format!("{value} ({})", origin.named_place(side.span))
            };
            (format!("mdev hostdev {ordinal}: {}", what.name()), side(one, source), side(other, destination))
        }
    };
    format!("{subject}: source has {source}, destination has {destination}\n")
}
