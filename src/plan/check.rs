//! Holding what a document recorded of its devices against a host.

use super::device::{Found, Missing, find};
use super::error::{Fault, PlanError, Remark, RemarkKind, fault_of_metadata};
use super::recorded::{pair, recorded};
use super::span_of;
use crate::device::{Identity, Uuid};
use crate::domain::{Document, Domain, Model, Record, Source, Written, WrittenPart};
use crate::host::Host;
use crate::text::Span;

/// A device of model vfio-pci, held against a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The name of its domain; a lone hostdev has none.
    pub domain: Option<&'a str>,
    /// Its UUID.
    pub uuid: Uuid,
    /// Where that stands.
    pub span: Span,
    /// What was recorded, if anything was.
    pub recorded: Option<&'a Written>,
    /// What the host has.
    pub found: Result<Identity, Missing>,
}

/// How a device was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The host's device is what was recorded.
    Same,
    /// The host's device is another one.
    Different,
    /// The host has no such device.
    Missing,
    /// Nothing was recorded, or not all of it.
    Unrecorded,
}

impl Verdict {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Missing => "missing",
            Self::Unrecorded => "unrecorded",
        }
    }
}

impl Checked<'_> {
    /// The judgement.
    pub fn verdict(&self) -> Verdict {
        let is_whole = self.recorded.is_some_and(|written| written.identity().is_some());
        match &self.found {
            Err(_) => Verdict::Missing,
            Ok(_) if !self.conflicts().is_empty() => Verdict::Different,
            Ok(_) if is_whole => Verdict::Same,
            Ok(_) => Verdict::Unrecorded,
        }
    }

    /// The parts that were recorded and say something else than the host.
    pub fn conflicts(&self) -> Vec<&WrittenPart> {
        match (self.recorded, &self.found) {
            (Some(written), Ok(found)) => written.conflicts(found).collect(),
            _ => Vec::new(),
        }
    }
}

/// Holds every device of every domain in a document against a host.
///
/// # Errors
/// All that keeps a device from being judged, in the order of the places.
pub fn check<'a>(document: &'a Document, host: &Host) -> Result<Vec<Checked<'a>>, Vec<Fault>> {
    let mut checked = Vec::new();
    let mut faults = Vec::new();
    for domain in &document.domains {
        faults.extend(fault_of_metadata(domain));
        let (records, _) = pair(domain);
        for (hostdev, record) in domain.hostdevs.iter().zip(records) {
            let span = span_of(hostdev);
            match &hostdev.model {
                Model::Other(_) => {}
                Model::VfioPci(Err(error)) => faults.push(Fault { span, error: PlanError::Hostdev(error.clone()) }),
                Model::VfioPci(Ok(source)) => match check_source(domain, source, record, host) {
                    Ok(device) => checked.push(device),
                    Err(fault) => faults.push(fault),
                },
            }
        }
    }
    faults.sort_by_key(|fault| fault.span);
    if faults.is_empty() { Ok(checked) } else { Err(faults) }
}

/// The records that belong to no hostdev, which are not judged.
pub fn stale(document: &Document) -> Vec<Remark> {
    let records = document.domains.iter().flat_map(|domain| pair(domain).1);
    records.map(|record| Remark { span: record.element.start_tag, kind: RemarkKind::Stale }).collect()
}

fn check_source<'a>(
    domain: &'a Domain,
    source: &'a Source,
    record: Option<&'a Record>,
    host: &Host,
) -> Result<Checked<'a>, Fault> {
    let span = source.uuid.name;
    let (uuid, found) = find(source, host).map_err(|error| Fault { span, error })?;
    let found = match found {
        Found::Device(identity) => Ok(identity),
        Found::Missing(missing) => Err(missing),
    };
    Ok(Checked { domain: domain.name.as_deref(), uuid, span, recorded: recorded(source, record)?, found })
}
