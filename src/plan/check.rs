//! Comparing what a document recorded about its devices with a host.

use super::claims::{Paired, Pairing, Pairs, Rival, pair, recorded};
use super::error::{PlanError, PlanErrorKind, error_of_metadata};
use super::lookup::{Missing, find};
use super::span_of;
use crate::device::{DeviceAddress, Identity};
use crate::domain::{
    Document, Domain, GuestSide, Hostdev, Model, PciHostdev, Record, RecordedIdentity, RecordedPart, Source,
};
use crate::host::Host;
use crate::text::Span;

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Comparison<'a> {
    /// The devices of model vfio-pci, in document order.
    pub devices: Vec<Checked<'a>>,
    /// The records that belong to none of them.
    pub orphans: Vec<Orphan<'a>>,
}

/// A device of model vfio-pci, compared with a host.
#[derive(Clone, Debug)]
pub struct Checked<'a> {
    /// The name of its domain; a hostdev document has none.
    pub domain: Option<&'a str>,
    /// The device that the hostdev asks for.
    pub device: DeviceAddress,
    /// What the guest sees.
    pub guest: &'a GuestSide,
    /// Where the device is named.
    pub span: Span,
    /// What was recorded, if anything was.
    pub recorded: Option<&'a RecordedIdentity>,
    /// The record that counts, if there is one in the metadata.
    pub record: Option<&'a Record>,
    /// Other records that claim the hostdev by its guest address or alias.
    pub rivals: Vec<Rival<'a>>,
    /// Whether record and hostdev belong together only because the domain has no other.
    pub is_only_pair: bool,
    /// What the host has.
    pub found: Result<Identity, Missing>,
}

/// A record that belongs to no mediated device of its domain.
#[derive(Clone, Debug)]
pub struct Orphan<'a> {
    /// The name of its domain.
    pub domain: Option<&'a str>,
    /// The record.
    pub record: &'a Record,
    /// What may have taken its place.
    pub place: OrphanPlace<'a>,
}

/// What may have taken the place of a mediated device that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrphanPlace<'a> {
    /// A hostdev of type `pci` is where the guest saw the device: libvirt 11.0 and later migrate one onto the other.
    Pci(&'a PciHostdev),
    /// The record does not say where the guest saw the device, and the domain has hostdevs of type `pci`.
    Unknown,
    /// Nothing has: the device was removed from the domain.
    Nothing,
}

/// How a device or a record was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Returns the word that commands print for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Missing => "missing",
            Self::Unrecorded => "unrecorded",
        }
    }
}

impl<'a> Checked<'a> {
    /// Returns the verdict.
    pub fn verdict(&self) -> Verdict {
        let is_whole = self.recorded.is_some_and(|written| written.identity().is_some());
        match &self.found {
            Err(_) => Verdict::Missing,
            Ok(_) if self.recorded.is_none() => Verdict::Unrecorded,
            Ok(_) if !self.conflicts().is_empty() || self.contradiction().is_some() => Verdict::Different,
            Ok(_) if is_whole => Verdict::Same,
            Ok(_) => Verdict::Unrecorded,
        }
    }

    /// Returns the recorded parts that differ from the host's device.
    pub fn conflicts(&self) -> Vec<&RecordedPart> {
        match (self.recorded, &self.found) {
            (Some(written), Ok(found)) => written.conflicts(found).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns another record that claims the hostdev and differs from the host's device.
    pub fn contradiction(&self) -> Option<&Rival<'a>> {
        let found = self.found.as_ref().ok()?;
        self.rivals.iter().find(|rival| rival.record.written.conflicts(found).next().is_some())
    }

    /// Returns a record that claims the hostdev and was made for another UUID, if nothing was recorded for its own.
    pub fn made_for_another(&self) -> Option<&Rival<'a>> {
        self.rivals.first().filter(|_| self.recorded.is_none())
    }

    /// Returns the UUID that the record was made for, if it is not the one of the hostdev.
    pub fn recorded_uuid(&self) -> Option<String> {
        let record = self.record.or_else(|| self.made_for_another().map(|rival| rival.record))?;
        let DeviceAddress::Mdev(uuid) = self.device;
        let attribute = record.uuid.as_ref().filter(|attribute| attribute.uuid != Ok(uuid))?;
        Some(attribute.uuid.as_ref().map_or_else(|_| attribute.text.clone(), ToString::to_string))
    }
}

/// Compares every device of every domain in a document with a host.
///
/// # Errors
/// Everything that keeps a device from being compared, in document order.
pub fn check<'a>(document: &'a Document, host: &Host, pairing: Pairing) -> Result<Comparison<'a>, Vec<PlanError>> {
    let mut comparison = Comparison::default();
    let mut errors = Vec::new();
    for domain in &document.domains {
        errors.extend(error_of_metadata(domain));
        match pair(domain, pairing) {
            Ok(Pairs { by_hostdev, left_over }) => {
                for (hostdev, paired) in domain.hostdevs.iter().zip(by_hostdev) {
                    match check_hostdev(domain, hostdev, paired, host) {
                        Ok(checked) => comparison.devices.extend(checked),
                        Err(error) => errors.push(error),
                    }
                }
                comparison.orphans.extend(left_over.into_iter().map(|record| orphan(domain, record)));
            }
            Err(found) => errors.extend(found),
        }
    }
    errors.sort_by_key(|error| error.span);
    if errors.is_empty() { Ok(comparison) } else { Err(errors) }
}

fn check_hostdev<'a>(
    domain: &'a Domain,
    hostdev: &'a Hostdev,
    paired: Paired<'a>,
    host: &Host,
) -> Result<Option<Checked<'a>>, PlanError> {
    let span = span_of(hostdev);
    let source: &Source = match &hostdev.model {
        Model::Other(_) => return Ok(None),
        Model::VfioPci(Err(error)) => return Err(PlanError { span, kind: PlanErrorKind::Hostdev(error.clone()) }),
        Model::VfioPci(Ok(source)) => source,
    };
    let recorded = recorded(source, paired.record)?;
    let identity = recorded.and_then(RecordedIdentity::identity);
    let (device, found) = find(source, identity.as_ref(), host).map_err(|kind| PlanError { span, kind })?;
    Ok(Some(Checked {
        domain: domain.name.as_deref(),
        device,
        guest: &hostdev.guest,
        span,
        recorded,
        record: paired.record,
        rivals: paired.rivals,
        is_only_pair: paired.is_only_pair,
        found,
    }))
}

fn orphan<'a>(domain: &'a Domain, record: &'a Record) -> Orphan<'a> {
    let is_there = |hostdev: &&PciHostdev| hostdev.guest.is_at(record.guest_address(), record.user_alias());
    let place = match domain.pci_hostdevs.iter().find(is_there) {
        Some(hostdev) => OrphanPlace::Pci(hostdev),
        None if record.guest_address().is_none() && !domain.pci_hostdevs.is_empty() => OrphanPlace::Unknown,
        None => OrphanPlace::Nothing,
    };
    Orphan { domain: domain.name.as_deref(), record, place }
}
