//! What a domain asks for: its devices with what is recorded of them, whatever host is asked.

use std::collections::HashSet;

use super::AnyHostdev;
use super::claims::{Paired, Pairing, Pairs, Rival, pair, recorded};
use super::error::{PlanError, error_of_metadata};
use super::lookup::device_of;
use crate::device::{DeviceAddress, Identity, Part, VgpuType};
use crate::domain::{
    Domain, GuestSide, Hostdev, Model, PciHostdev, PciSource, Record, RecordKind, RecordedIdentity, Source, Value,
};

/// Which hostdevs of type pci are compared. Those that have a record always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PciScope {
    /// No others.
    Recorded,
    /// Also those that are a virtual function here of which NVIDIA's driver shows the vGPU type, set or not.
    Vgpus,
    /// All others.
    All,
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
    /// The hostdev.
    pub hostdev: AnyHostdev<'a>,
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

impl<'a> Wanted<'a> {
    /// Returns the recorded identity, if it is complete and no other record contradicts it.
    pub fn identity(&self) -> Option<Identity> {
        let identity = self.recorded?.identity()?;
        self.contradiction(&identity).is_none().then_some(identity)
    }

    /// Returns the recorded vGPU type, if it can be read.
    pub fn vgpu_type(&self) -> Option<VgpuType> {
        match self.recorded?.get(Part::VgpuType)?.value {
            Value::VgpuType(vgpu_type) => Some(vgpu_type),
            _ => None,
        }
    }

    /// Whether it counts only on a host where it is a vGPU: a PCI device without a record.
    pub fn is_judged_only_as_vgpu(&self) -> bool {
        self.record.is_none() && matches!(self.device, DeviceAddress::Pci(_))
    }

    /// Whether the recorded identity differs from that of a device.
    pub fn differs_from(&self, identity: &Identity) -> bool {
        self.recorded.is_some_and(|recorded| recorded.conflicts(identity).next().is_some())
    }

    /// Returns another record that claims the hostdev and differs from the identity of a device.
    pub fn contradiction(&self, identity: &Identity) -> Option<&Rival<'a>> {
        self.rivals.iter().find(|rival| rival.record.written.conflicts(identity).next().is_some())
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
                let (device, hostdev) = (DeviceAddress::Pci(source.address), AnyHostdev::Pci(hostdev, source));
                demand.devices.push(Wanted::new(domain, device, hostdev, recorded, paired));
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
    Ok(Some(Wanted::new(domain, device, AnyHostdev::Mdev(hostdev, source), recorded, paired)))
}

/// Returns the source of a mediated device and the device that it names, or `None` if the model is not vfio-pci.
pub(super) fn named_mdev(hostdev: &Hostdev) -> Result<Option<(&Source, DeviceAddress)>, PlanError> {
    match &hostdev.model {
        Model::Other(_) => Ok(None),
        Model::VfioPci(Err(error)) => Err(error.into()),
        Model::VfioPci(Ok(source)) => Ok(Some((source, device_of(source)?))),
    }
}

/// Returns the source of a PCI device.
pub(super) fn named_pci(hostdev: &PciHostdev) -> Result<&PciSource, PlanError> {
    hostdev.source.as_ref().map_err(PlanError::from)
}

impl<'a> Wanted<'a> {
    fn new(
        domain: &'a Domain,
        device: DeviceAddress,
        hostdev: AnyHostdev<'a>,
        recorded: Option<&'a RecordedIdentity>,
        paired: Paired<'a>,
    ) -> Self {
        let Paired { record, rivals, is_only_pair } = paired;
        Self { domain: domain.name.as_deref(), device, hostdev, recorded, record, rivals, is_only_pair }
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
