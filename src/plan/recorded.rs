//! Which record belongs to which hostdev, and what is recorded of it in all.

use std::collections::{HashMap, VecDeque};

use super::error::{Fault, PlanError};
use crate::device::Uuid;
use crate::domain::{Domain, Metadata, Record, Source, Written, WrittenPart};

/// Pairs the hostdevs of a domain with the records in its metadata.
///
/// A record belongs to the hostdev of its UUID. Records and hostdevs that are left over are paired in document order, since a
/// manager that migrates a domain changes the UUIDs on the way.
///
/// Gives for each of the domain's hostdevs the record that belongs to it, and the records that belong to none.
pub(super) fn pair(domain: &Domain) -> (Vec<Option<&Record>>, Vec<&Record>) {
    let records = domain.metadata.as_ref().map_or(&[][..], Metadata::records);
    let mut by_hostdev: Vec<Option<&Record>> = vec![None; domain.hostdevs.len()];
    if records.is_empty() {
        return (by_hostdev, Vec::new());
    }
    // Of a UUID that stands several times the first record goes with the first hostdev, and so on.
    let mut by_uuid: HashMap<Uuid, VecDeque<usize>> = HashMap::new();
    for (number, record) in records.iter().enumerate() {
        if let Some(Ok(uuid)) = record.uuid.as_ref().map(|spelling| &spelling.uuid) {
            by_uuid.entry(*uuid).or_default().push_back(number);
        }
    }
    let mut taken = vec![false; records.len()];
    for (hostdev, paired) in domain.hostdevs.iter().zip(&mut by_hostdev) {
        let uuid = hostdev.source().and_then(|source| source.uuid.uuid.as_ref().ok());
        let number = uuid.and_then(|uuid| by_uuid.get_mut(uuid)?.pop_front());
        if let Some(number) = number {
            taken[number] = true;
            *paired = Some(&records[number]);
        }
    }
    let mut left_over = records.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(record, _)| record);
    for (hostdev, paired) in domain.hostdevs.iter().zip(&mut by_hostdev) {
        if paired.is_none() && hostdev.source().is_some() {
            *paired = left_over.next();
        }
    }
    (by_hostdev, left_over.collect())
}

/// What is recorded of a hostdev: the metadata's word, else its source's; nothing where neither says anything.
///
/// # Errors
/// Where metadata and source disagree: then neither can be believed.
pub(super) fn recorded<'a>(source: &'a Source, record: Option<&'a Record>) -> Result<Option<&'a Written>, Fault> {
    let in_source = &source.written;
    let Some(Record { written: in_metadata, .. }) = record else {
        return Ok(Some(in_source).filter(|w| !w.is_empty()));
    };
    // What cannot be read, and stands in both, is no disagreement: it agrees with no device.
    let disagrees = |(part, other): &(&WrittenPart, &WrittenPart)| !part.says_what(other) && part.text != other.text;
    let in_both = in_source.parts().filter_map(|part| Some((part, in_metadata.get(part.part)?)));
    if let Some((part, other)) = { in_both }.find(disagrees) {
        let (source_value, metadata_value) = (part.text.clone(), other.text.clone());
        let error = PlanError::Disagree { part: part.part, source_value, metadata_value };
        return Err(Fault { span: part.span(), error });
    }
    let places = [in_metadata, in_source];
    let whole = places.into_iter().find(|written| written.identity().is_some());
    Ok(whole.or_else(|| places.into_iter().find(|written| !written.is_empty())))
}
