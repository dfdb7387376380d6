//! What a domain asks for: its devices with what is recorded of them, whatever host is asked.

use std::collections::HashSet;

use super::claims::{Paired, Pairing, Pairs, Rival, pair, recorded};
use super::error::{PlanError, PlanErrorKind, error_of_metadata};
use super::lookup::device_of;
use super::span_of;
use crate::device::{Device, DeviceAddress, Identity};
use crate::domain::{
    Domain, GuestSide, Hostdev, HostdevError, Model, PciHostdev, PciSource, Record, RecordKind, RecordedIdentity,
    RecordedPart, Source,
};
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

/// What a domain asks for.
#[derive(Clone, Debug, Default)]
pub struct Demand<'a> {
    /// Its mediated devices of model vfio-pci, then its PCI devices, in document order.
    pub devices: Vec<Wanted<'a>>,
    /// The records that belong to none of them.
    pub orphans: Vec<Orphan<'a>>,
    /// How many hostdevs of type pci are not compared on any host.
    pub out_of_scope: usize,
}

/// A device that a domain asks for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The name of its domain; a hostdev document has none.
    pub domain: Option<&'a str>,
    /// The device that the hostdev asks for.
    pub device: DeviceAddress,
    /// What the guest sees.
    pub guest: &'a GuestSide,
    /// The source that names it.
    pub source: WantedSource<'a>,
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

impl OrphanPlace<'_> {
    /// Whether the guest has another device than was recorded.
    pub fn is_difference(self) -> bool {
        matches!(self, Self::Pci(_) | Self::Mdev(_) | Self::UnrecordedPci(_))
    }
}

/// The source of a hostdev.
#[derive(Clone, Copy, Debug)]
pub enum WantedSource<'a> {
    /// Of a mediated device.
    Mdev(&'a Source),
    /// Of a PCI device.
    Pci(&'a PciSource),
}

impl<'a> Wanted<'a> {
    /// Returns the recorded identity, if it is complete and no other record contradicts it.
    pub fn identity(&self) -> Option<Identity> {
        let identity = self.recorded?.identity()?;
        let is_contradicted =
            self.rivals.iter().any(|rival| rival.record.written.conflicts(&identity).next().is_some());
        (!is_contradicted).then_some(identity)
    }

    /// Whether it counts only on a host where it is a vGPU: a PCI device without a record.
    pub fn is_judged_only_as_vgpu(&self) -> bool {
        self.record.is_none() && matches!(self.device, DeviceAddress::Pci(_))
    }

    /// Returns the recorded parts that differ from a device.
    pub fn conflicts(&self, found: &Device) -> Vec<&'a RecordedPart> {
        self.recorded.into_iter().flat_map(|recorded| recorded.conflicts(&found.identity)).collect()
    }

    /// Returns another record that claims the hostdev and differs from a device.
    pub fn contradiction(&self, found: &Device) -> Option<&Rival<'a>> {
        self.rivals.iter().find(|rival| rival.record.written.conflicts(&found.identity).next().is_some())
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

impl<'a> Demand<'a> {
    /// Returns the devices that an earlier hostdev of the domain names too. libvirt refuses such a domain.
    pub fn repeated(&self) -> impl Iterator<Item = &Wanted<'a>> {
        let mut seen = HashSet::new();
        self.devices.iter().filter(move |wanted| !seen.insert(wanted.device))
    }
}

/// Returns what a domain asks for, and every error that keeps one of its devices from being compared.
pub fn demand<'a>(domain: &'a Domain, pairing: Pairing, scope: PciScope) -> (Demand<'a>, Vec<PlanError>) {
    let mut demand = Demand::default();
    let mut errors: Vec<_> = error_of_metadata(domain).into_iter().collect();
    let Pairs { by_hostdev, by_pci_hostdev, left_over } = match pair(domain, pairing) {
        Ok(pairs) => pairs,
        Err(found) => {
            errors.extend(found);
            return (demand, errors);
        }
    };
    for (hostdev, paired) in domain.hostdevs.iter().zip(by_hostdev) {
        match wanted_mdev(domain, hostdev, paired) {
            Ok(wanted) => demand.devices.extend(wanted),
            Err(error) => errors.push(error),
        }
    }
    let pci = || domain.pci_hostdevs.iter().zip(&by_pci_hostdev);
    for (hostdev, record) in pci() {
        if record.is_none() && scope == PciScope::Recorded {
            demand.out_of_scope += 1;
            continue;
        }
        match named_pci(hostdev) {
            Ok(source) => {
                let recorded = record.map(|record| &record.written).filter(|recorded| !recorded.is_empty());
                let paired = Paired { record: *record, ..Paired::default() };
                let device = DeviceAddress::Pci(source.address);
                let source = WantedSource::Pci(source);
                demand.devices.push(Wanted::new(
                    domain,
                    device,
                    &hostdev.guest,
                    source,
                    hostdev.span(),
                    recorded,
                    paired,
                ));
            }
            Err(error) => errors.push(error),
        }
    }
    let unrecorded = pci().find(|(_, record)| record.is_none()).map(|(hostdev, _)| hostdev);
    demand.orphans = left_over.into_iter().map(|record| orphan(domain, record, unrecorded)).collect();
    (demand, errors)
}

fn wanted_mdev<'a>(
    domain: &'a Domain,
    hostdev: &'a Hostdev,
    paired: Paired<'a>,
) -> Result<Option<Wanted<'a>>, PlanError> {
    let Some((source, device)) = named_mdev(hostdev)? else { return Ok(None) };
    let recorded = recorded(source, paired.record)?;
    let span = span_of(hostdev);
    Ok(Some(Wanted::new(domain, device, &hostdev.guest, WantedSource::Mdev(source), span, recorded, paired)))
}

/// Returns the source of a mediated device and the device that it names, or `None` if the model is not vfio-pci.
pub(super) fn named_mdev(hostdev: &Hostdev) -> Result<Option<(&Source, DeviceAddress)>, PlanError> {
    let read = match &hostdev.model {
        Model::Other(_) => return Ok(None),
        Model::VfioPci(Err(error)) => Err(PlanErrorKind::Hostdev(error.clone())),
        Model::VfioPci(Ok(source)) => device_of(source).map(|device| (&**source, device)),
    };
    read.map(Some).map_err(|kind| PlanError { span: span_of(hostdev), kind })
}

/// Returns the source of a PCI device.
pub(super) fn named_pci(hostdev: &PciHostdev) -> Result<&PciSource, PlanError> {
    let error = |error: &HostdevError| PlanError { span: hostdev.span(), kind: PlanErrorKind::Hostdev(error.clone()) };
    hostdev.source.as_ref().map_err(error)
}

impl<'a> Wanted<'a> {
    fn new(
        domain: &'a Domain,
        device: DeviceAddress,
        guest: &'a GuestSide,
        source: WantedSource<'a>,
        span: Span,
        recorded: Option<&'a RecordedIdentity>,
        paired: Paired<'a>,
    ) -> Self {
        let Paired { record, rivals, is_only_pair } = paired;
        Self { domain: domain.name.as_deref(), device, guest, source, span, recorded, record, rivals, is_only_pair }
    }
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
