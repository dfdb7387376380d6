//! Comparing what a document recorded about its devices with a host.

use super::claims::{Paired, Pairing, Pairs, Rival, pair, recorded};
use super::error::{PlanError, PlanErrorKind, error_of_metadata};
use super::lookup::{Missing, find, find_device};
use super::span_of;
use crate::device::{Device, DeviceAddress, DeviceKind, Part};
use crate::domain::{
    Document, Domain, GuestSide, Hostdev, Model, PciHostdev, Record, RecordKind, RecordedIdentity, RecordedPart,
    Source, Value,
};
use crate::host::Host;
use crate::text::Span;

/// Which hostdevs of type pci are compared. Those that have a record always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PciScope {
    /// No others.
    Recorded,
    /// Also those that are a virtual function here of which NVIDIA's driver shows the vGPU type, set or not.
    Vgpus,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Comparison<'a> {
    /// The devices that were compared, those of each domain in document order: mediated devices of model vfio-pci, then PCI
    /// devices.
    pub devices: Vec<Checked<'a>>,
    /// The records that belong to none of them.
    pub orphans: Vec<Orphan<'a>>,
    /// How many hostdevs of type pci were not compared.
    pub not_compared: usize,
}

/// A device, compared with a host.
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
    /// The recorded identity, if anything was recorded.
    pub recorded: Option<&'a RecordedIdentity>,
    /// The record that counts, if there is one in the metadata.
    pub record: Option<&'a Record>,
    /// Other records that claim the hostdev by its guest address or alias.
    pub rivals: Vec<Rival<'a>>,
    /// Whether record and hostdev belong together only because the domain has no other.
    pub is_only_pair: bool,
    /// The device of the host.
    pub found: Result<Device, Missing>,
}

/// The names of two vGPU types, as far as a host knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VgpuNames<'h> {
    /// The name of the type that was recorded.
    pub recorded: Option<&'h str>,
    /// The name of the type that the device has.
    pub found: Option<&'h str>,
}

/// A record that belongs to no hostdev of its domain.
#[derive(Clone, Debug)]
pub struct Orphan<'a> {
    /// The name of its domain.
    pub domain: Option<&'a str>,
    /// The record.
    pub record: &'a Record,
    /// What may have replaced its device.
    pub place: OrphanPlace<'a>,
}

/// What may have replaced a device that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrphanPlace<'a> {
    /// A mediated device was recorded, and a hostdev of type `pci` is where the guest saw it: libvirt 11.0 and later migrate one
    /// onto the other.
    Pci(&'a PciHostdev),
    /// A PCI device was recorded, and a mediated device is where the guest saw it.
    Mdev(&'a Hostdev),
    /// A PCI device was recorded, and the domain has this hostdev of type `pci` without a record.
    UnrecordedPci(&'a PciHostdev),
    /// A mediated device was recorded without a guest address, and the domain has a hostdev of type `pci` without a record.
    Unknown,
    /// Nothing: the device was removed from the domain.
    Nothing,
}

/// How a device or a record was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The host's device has the recorded identity.
    Same,
    /// The host's device differs.
    Different,
    /// The host has no such device.
    Missing,
    /// The host's device is a virtual function on which no vGPU type is set.
    Untyped,
    /// Nothing was recorded, or not all of it.
    Unrecorded,
    /// The source cannot tell what the host's device is.
    Unknown,
}

impl Verdict {
    /// Returns the word that commands print for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Missing => "missing",
            Self::Untyped => "untyped",
            Self::Unrecorded => "unrecorded",
            Self::Unknown => "unknown",
        }
    }
}

impl OrphanPlace<'_> {
    /// Whether the guest has another device than was recorded.
    pub fn is_difference(self) -> bool {
        matches!(self, Self::Pci(_) | Self::Mdev(_) | Self::UnrecordedPci(_))
    }
}

impl Comparison<'_> {
    /// Whether each device is the recorded one.
    pub fn is_same(&self) -> bool {
        self.devices.iter().all(|checked| checked.verdict() == Verdict::Same)
    }
}

impl<'a> Checked<'a> {
    /// Returns the verdict.
    pub fn verdict(&self) -> Verdict {
        let is_whole = self.recorded.is_some_and(|written| written.identity().is_some());
        match &self.found {
            Err(Missing::Untyped { .. }) => Verdict::Untyped,
            Err(Missing::Unknown { .. }) => Verdict::Unknown,
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
            (Some(written), Ok(found)) => written.conflicts(&found.identity).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns another record that claims the hostdev and differs from the host's device.
    pub fn contradiction(&self) -> Option<&Rival<'a>> {
        let found = self.found.as_ref().ok()?;
        self.rivals.iter().find(|rival| rival.record.written.conflicts(&found.identity).next().is_some())
    }

    /// Returns the recorded subsystem ids, if the host's device has others: a warning.
    pub fn other_subsystem(&self) -> Option<&'a RecordedPart> {
        self.recorded?.other_subsystem(self.found.as_ref().ok()?)
    }

    /// Returns the names of the recorded and the found vGPU type, for messages; [`HostSource::name_vgpus`] asks for them.
    ///
    /// [`HostSource::name_vgpus`]: crate::host::HostSource::name_vgpus
    pub fn vgpu_names<'h>(&self, host: &'h Host) -> VgpuNames<'h> {
        let recorded = self.recorded.and_then(|recorded| match recorded.get(Part::VgpuType)?.value {
            Value::VgpuType(vgpu_type) => host.vgpu_name(vgpu_type),
            _ => None,
        });
        let found = self.found.as_ref().ok().and_then(|found| match found.identity.kind {
            DeviceKind::Vgpu(vgpu_type) => host.vgpu_name(vgpu_type),
            _ => None,
        });
        VgpuNames { recorded, found }
    }

    /// Returns a record that claims the hostdev and was made for another UUID, if nothing was recorded for its own.
    pub fn made_for_another(&self) -> Option<&Rival<'a>> {
        self.rivals.first().filter(|_| self.recorded.is_none())
    }

    /// Returns the UUID that the record was made for, if it is not the one of the hostdev.
    pub fn recorded_uuid(&self) -> Option<String> {
        let record = self.record.or_else(|| self.made_for_another().map(|rival| rival.record))?;
        let DeviceAddress::Mdev(uuid) = self.device else { return None };
        let attribute = record.uuid.as_ref().filter(|attribute| attribute.uuid != Ok(uuid))?;
        Some(attribute.uuid.as_ref().map_or_else(|_| attribute.text.clone(), ToString::to_string))
    }
}

/// Compares the devices of every domain in a document with a host.
///
/// # Errors
/// Everything that keeps a device from being compared, in document order.
pub fn check<'a>(
    document: &'a Document,
    host: &Host,
    pairing: Pairing,
    scope: PciScope,
) -> Result<Comparison<'a>, Vec<PlanError>> {
    let mut comparison = Comparison::default();
    let mut errors = Vec::new();
    for domain in &document.domains {
        errors.extend(error_of_metadata(domain));
        match pair(domain, pairing) {
            Ok(Pairs { by_hostdev, by_pci_hostdev, left_over }) => {
                for (hostdev, paired) in domain.hostdevs.iter().zip(by_hostdev) {
                    match check_hostdev(domain, hostdev, paired, host) {
                        Ok(checked) => comparison.devices.extend(checked),
                        Err(error) => errors.push(error),
                    }
                }
                let pci = || domain.pci_hostdevs.iter().zip(&by_pci_hostdev);
                for (hostdev, record) in pci() {
                    match check_pci_hostdev(domain, hostdev, *record, host, scope) {
                        Ok(Some(checked)) => comparison.devices.push(checked),
                        Ok(None) => comparison.not_compared += 1,
                        Err(error) => errors.push(error),
                    }
                }
                let unrecorded = pci().find(|(_, record)| record.is_none()).map(|(hostdev, _)| hostdev);
                comparison.orphans.extend(left_over.into_iter().map(|record| orphan(domain, record, unrecorded)));
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

fn check_pci_hostdev<'a>(
    domain: &'a Domain,
    hostdev: &'a PciHostdev,
    record: Option<&'a Record>,
    host: &Host,
    scope: PciScope,
) -> Result<Option<Checked<'a>>, PlanError> {
    if record.is_none() && scope == PciScope::Recorded {
        return Ok(None);
    }
    let span = hostdev.span();
    let error_at = |kind| PlanError { span, kind };
    let source = hostdev.source.as_ref().map_err(|error| error_at(PlanErrorKind::Hostdev(error.clone())))?;
    let device = DeviceAddress::Pci(source.address);
    if record.is_none() && host.lookup(device).is_ok_and(|found| !found.is_vgpu()) {
        return Ok(None);
    }
    let recorded = record.map(|record| &record.written).filter(|recorded| !recorded.is_empty());
    let identity = recorded.and_then(RecordedIdentity::identity);
    let found = find_device(device, identity.as_ref(), host).map_err(error_at)?;
    Ok(Some(Checked {
        domain: domain.name.as_deref(),
        device,
        guest: &hostdev.guest,
        span,
        recorded,
        record,
        rivals: Vec::new(),
        is_only_pair: false,
        found,
    }))
}

/// Finds what may have replaced the device of a record. `unrecorded` is the first hostdev of type pci without a record.
fn orphan<'a>(domain: &'a Domain, record: &'a Record, unrecorded: Option<&'a PciHostdev>) -> Orphan<'a> {
    let is_there = |guest: &GuestSide| guest.is_at(record.guest_address(), record.user_alias());
    let place = match record.kind {
        RecordKind::Mdev => match domain.pci_hostdevs.iter().find(|hostdev| is_there(&hostdev.guest)) {
            Some(hostdev) => OrphanPlace::Pci(hostdev),
            None if record.guest_address().is_none() && unrecorded.is_some() => OrphanPlace::Unknown,
            None => OrphanPlace::Nothing,
        },
        RecordKind::Pci => match domain.hostdevs.iter().find(|hostdev| is_there(&hostdev.guest)) {
            Some(hostdev) => OrphanPlace::Mdev(hostdev),
            None => unrecorded.map_or(OrphanPlace::Nothing, OrphanPlace::UnrecordedPci),
        },
    };
    Orphan { domain: domain.name.as_deref(), record, place }
}
