//! `check` with `--host` or `--accept`: whether guests can go to hosts, and with which devices.

use super::super::settings::{CheckSettings, Format, PlacingSettings};
use super::super::{Failure, Outcome, Streams, expand_each, name_of, open_host, read_document, read_host};
use super::json_pairs::JsonPairs;
use super::matrix::Matrix;
use super::pair::{Destination, Pair};
use super::table::{Row, table};
use super::{not_checked, stale};
use crate::domain::Document;
use crate::file::{self, FileError, Input, Purpose};
use crate::host::RecordedHost;
use crate::plan::check::Verdict;
use crate::plan::demand::{PciScope, demand};
use crate::plan::placement::{Facts, Guest, InUse, Offer, Placer};
use crate::plan::{Pairing, PlanError, PlanErrorKind};
use crate::report::{Diagnostic, Origin};

/// What to do about a pattern of `--in-use` that matches nothing.
const NO_GUESTS: &str = "if the host has no guests, omit --in-use; retarget then needs --assume-unused";

pub(super) fn run(
    settings: &CheckSettings,
    placing: &PlacingSettings,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    let mut facts = Facts::default();
    let in_use = read_in_use(&placing.in_use)?;
    let mut errors = Vec::new();
    let mut destinations = Vec::new();
    // An unreadable one counts too: what a program reads must not depend on it.
    let mut are_several = false;
    let mut add = |host: &RecordedHost| {
        let (name, source) = (host.record().host.clone(), host.name().to_owned());
        destinations.push(Destination { name, source, offer: Offer::of(host, &mut facts) });
    };
    if placing.hosts.is_empty() {
        let source = open_host(&settings.host)?;
        let host = source.record().map_err(|error| Diagnostic::of(&error))?;
        add(&host);
    } else {
        let (files, not_found) = expand_each(&placing.hosts, settings.keep_going)?;
        are_several = files.len() + not_found.len() > 1;
        errors.extend(not_found.into_iter().map(|(_, error)| error));
        for file in &files {
            match read_host(file) {
                Ok(host) => add(&host),
                Err(error) if settings.keep_going => errors.push(error),
                Err(error) => return Err(error.into()),
            }
        }
    }
    let (inputs, not_found) = expand_each(&settings.inputs, settings.keep_going)?;
    errors.extend(not_found.iter().map(|(_, error)| error.clone()));
    if destinations.is_empty() {
        return Err(errors.into());
    }
    let mut report = match settings.format {
        None => Report::Status,
        Some(Format::Json) => Report::Json(JsonPairs::new(&destinations, are_several)?),
        Some(Format::Text) if are_several => Report::Matrix(Matrix::new(&destinations, placing.verbose)),
        Some(Format::Text) => {
            let on_host = if placing.hosts.is_empty() { "ON THIS HOST" } else { "ON THAT HOST" };
            Report::Table(Vec::new(), on_host)
        }
    };
    if let Report::Json(pairs) = &mut report {
        not_found.iter().try_for_each(|(input, error)| pairs.add_failed(input, std::slice::from_ref(error)))?;
    }
    let mut worst = Verdict::Same;
    for input in &inputs {
        let name = name_of(input);
        let read = read_document(input, Purpose::Reading).map_err(|error| vec![error]);
        let placed = read.and_then(|(_, document)| {
            let guests = guests(&name, &document, settings.pairing, &mut facts)?;
            if settings.format.is_some() {
                let orphans = guests.iter().flat_map(|guest| &guest.demand.orphans);
                streams.report_all(stale(&Origin::new(&name, document.text()), orphans));
            }
            let place = |guest| report.add(&name, guest, &destinations, &facts, &in_use, streams);
            Ok(guests.iter().map(place).collect::<Result<Vec<_>, Failure>>())
        });
        match placed {
            Ok(verdicts) => worst = verdicts?.into_iter().fold(worst, Verdict::max),
            Err(found) => {
                report.add_failed(input, &found)?;
                errors.extend(found);
            }
        }
    }
    report.print(inputs.len() > 1, streams)?;
    Outcome::of(errors, worst <= placing.accept)
}

/// Reads the guests whose devices are not free. All must be readable: a device that is overlooked would be given twice.
pub(in super::super) fn read_in_use(patterns: &[std::ffi::OsString]) -> Result<InUse, Failure> {
    let mut in_use = InUse::default();
    let not_found = |error: &FileError| match error {
        FileError::NoMatch { .. } => Diagnostic::of_file(error).help(NO_GUESTS),
        _ => Diagnostic::of_file(error),
    };
    let inputs = file::expand(patterns).map_err(|errors| errors.iter().map(not_found).collect::<Vec<_>>())?;
    for input in inputs {
        let (_, document) = read_document(&input, Purpose::Reading)?;
        let origin = Origin::new(name_of(&input), document.text());
        for domain in &document.domains {
            in_use.add(domain).map_err(|errors| origin.errors(errors))?;
        }
    }
    Ok(in_use)
}

fn guests<'a>(
    name: &str,
    document: &'a Document,
    pairing: Pairing,
    facts: &mut Facts,
) -> Result<Vec<Guest<'a>>, Vec<Diagnostic>> {
    let mut guests = Vec::new();
    let mut errors = Vec::new();
    for domain in &document.domains {
        let (demand, found) = demand(domain, pairing, PciScope::Vgpus);
        errors.extend(found);
        errors.extend(demand.repeated().map(|wanted| {
            let kind = PlanErrorKind::TwoHostdevs(wanted.device);
            PlanError { span: wanted.hostdev.span(), kind }
        }));
        guests.push(Guest::new(domain, demand, facts));
    }
    if errors.is_empty() { Ok(guests) } else { Err(Origin::new(name, document.text()).errors(errors)) }
}

/// What is printed.
enum Report {
    Status,
    /// One host: a row for each device.
    Table(Vec<Row>, &'static str),
    /// Several hosts: a row for each guest.
    Matrix(Matrix),
    Json(JsonPairs),
}

impl Report {
    /// Places a guest on each host. Returns the worst verdict.
    fn add(
        &mut self,
        file: &str,
        guest: &Guest<'_>,
        destinations: &[Destination],
        facts: &Facts,
        in_use: &InUse,
        streams: &mut Streams<'_>,
    ) -> Result<Verdict, Failure> {
        let mut worst = Verdict::Same;
        let mut not_compared = usize::MAX;
        match self {
            Self::Json(pairs) => pairs.begin(file, guest, facts)?,
            Self::Matrix(matrix) => matrix.begin(file, guest),
            Self::Table(..) | Self::Status => {}
        }
        let mut placer = Placer::new(facts, in_use);
        for (host, destination) in destinations.iter().enumerate() {
            let placed = placer.place(guest, &destination.offer);
            let pair = Pair { file, guest, host, placed, facts, in_use };
            worst = worst.max(pair.verdict());
            not_compared = not_compared.min(pair.not_compared());
            match self {
                Self::Status => {}
                Self::Table(rows, _) => rows.extend(Row::of_pair(&pair)),
                Self::Matrix(matrix) => matrix.add(&pair),
                Self::Json(pairs) => pairs.add(&pair, streams)?,
            }
        }
        if not_compared > 0 && !matches!(self, Self::Status) {
            streams.report(&Diagnostic::note(not_checked(file, not_compared)));
        }
        Ok(worst)
    }

    fn add_failed(&mut self, input: &Input, errors: &[Diagnostic]) -> Result<(), Failure> {
        match self {
            Self::Json(pairs) => pairs.add_failed(input, errors)?,
            Self::Matrix(matrix) => matrix.add_failed(name_of(input)),
            Self::Table(..) | Self::Status => {}
        }
        Ok(())
    }

    fn print(self, has_files: bool, streams: &mut Streams<'_>) -> Result<(), Failure> {
        match self {
            Self::Status => Ok(()),
            Self::Table(rows, on_host) => streams.print(&table(&rows, has_files, on_host)),
            Self::Matrix(matrix) => streams.print(&matrix.text()),
            Self::Json(pairs) => pairs.end(streams),
        }
    }
}
