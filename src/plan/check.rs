//! Comparing what a document recorded about its devices with a host.

use super::claims::{Pairing, Rival};
use super::demand::{Demand, Orphan, PciScope, Wanted, demand};
use super::error::{PlanError, PlanErrorKind};
use super::lookup::{Missing, find_device};
use crate::device::{Device, DeviceKind, Part};
use crate::domain::{Document, RecordedIdentity, RecordedPart, Value};
use crate::host::Host;

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

/// A device that a domain asks for, compared with a host.
#[derive(Clone, Debug)]
pub struct Checked<'a> {
    /// What the domain asks for.
    pub wanted: Wanted<'a>,
    /// The device of the host.
    pub found: Result<Device, Missing>,
}

impl Comparison<'_> {
    /// Whether each device is the recorded one.
    pub fn is_same(&self) -> bool {
        self.devices.iter().all(|checked| checked.verdict() == Verdict::Same)
    }
}

/// The names of two vGPU types, as far as a host knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VgpuNames<'h> {
    /// The name of the type that was recorded.
    pub recorded: Option<&'h str>,
    /// The name of the type that the device has.
    pub found: Option<&'h str>,
}

/// How a device or a record was judged.
///
/// They are in order, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verdict {
    /// The host's device has the recorded identity.
    Same,
    /// It does not, and another device of the recorded identity is free there.
    Free,
    /// It does not, and a device of the recorded identity can be created there.
    Creatable,
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
    /// Compares what was recorded of a device with the device that a host has.
    pub fn of(wanted: &Wanted<'_>, found: &Device) -> Self {
        let is_whole = wanted.recorded.is_some_and(|written| written.identity().is_some());
        match wanted.recorded {
            None => Self::Unrecorded,
            Some(_) if !wanted.conflicts(found).is_empty() || wanted.contradiction(found).is_some() => Self::Different,
            Some(_) if is_whole => Self::Same,
            Some(_) => Self::Unrecorded,
        }
    }

    /// Returns the word that commands print for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Free => "free",
            Self::Creatable => "creatable",
            Self::Different => "different",
            Self::Missing => "missing",
            Self::Untyped => "untyped",
            Self::Unrecorded => "unrecorded",
            Self::Unknown => "unknown",
        }
    }
}

impl<'a> Checked<'a> {
    /// Returns the verdict.
    pub fn verdict(&self) -> Verdict {
        match &self.found {
            Err(Missing::Untyped { .. }) => Verdict::Untyped,
            Err(Missing::Unknown { .. }) => Verdict::Unknown,
            Err(_) => Verdict::Missing,
            Ok(found) => Verdict::of(&self.wanted, found),
        }
    }

    /// Returns the recorded parts that differ from the host's device.
    pub fn conflicts(&self) -> Vec<&'a RecordedPart> {
        self.found.as_ref().map(|found| self.wanted.conflicts(found)).unwrap_or_default()
    }

    /// Returns another record that claims the hostdev and differs from the host's device.
    pub fn contradiction(&self) -> Option<&Rival<'a>> {
        self.wanted.contradiction(self.found.as_ref().ok()?)
    }

    /// Returns the names of the recorded and the found vGPU type, for messages; [`HostSource::name_vgpus`] asks for them.
    ///
    /// [`HostSource::name_vgpus`]: crate::host::HostSource::name_vgpus
    pub fn vgpu_names<'h>(&self, host: &'h Host) -> VgpuNames<'h> {
        let recorded = self.wanted.recorded.and_then(|recorded| match recorded.get(Part::VgpuType)?.value {
            Value::VgpuType(vgpu_type) => host.vgpu_name(vgpu_type),
            _ => None,
        });
        let found = self.found.as_ref().ok().and_then(|found| match found.identity.kind {
            DeviceKind::Vgpu(vgpu_type) => host.vgpu_name(vgpu_type),
            _ => None,
        });
        VgpuNames { recorded, found }
    }

    /// Returns the recorded subsystem ids, if the host's device has others: a warning.
    pub fn other_subsystem(&self) -> Option<&'a RecordedPart> {
        self.wanted.recorded?.other_subsystem(self.found.as_ref().ok()?)
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
        let (Demand { devices, orphans, out_of_scope }, found) = demand(domain, pairing, scope);
        errors.extend(found);
        comparison.orphans.extend(orphans);
        comparison.not_compared += out_of_scope;
        for wanted in devices {
            let span = wanted.span;
            match compare(wanted, host) {
                Ok(Some(checked)) => comparison.devices.push(checked),
                Ok(None) => comparison.not_compared += 1,
                Err(kind) => errors.push(PlanError { span, kind }),
            }
        }
    }
    errors.sort_by_key(|error| error.span);
    if errors.is_empty() { Ok(comparison) } else { Err(errors) }
}

/// Compares a device with a host. Returns `None` for a PCI device without a record that is not a vGPU there.
fn compare<'a>(wanted: Wanted<'a>, host: &Host) -> Result<Option<Checked<'a>>, PlanErrorKind> {
    if wanted.is_judged_only_as_vgpu() && host.lookup(wanted.device).is_ok_and(|found| !found.is_vgpu()) {
        return Ok(None);
    }
    let identity = wanted.recorded.and_then(RecordedIdentity::identity);
    let found = find_device(wanted.device, identity.as_ref(), host)?;
    Ok(Some(Checked { wanted, found }))
}
