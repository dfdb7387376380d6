//! Comparing what a document recorded about its devices with a host.

use super::claims::Pairing;
use super::demand::{Demand, Orphan, PciScope, Wanted, demand};
use super::error::{PlanError, PlanErrorKind};
use super::lookup::{Missing, find_device};
use crate::device::Device;
use crate::domain::{Document, RecordedIdentity};
use crate::host::{Host, NoIdentity, is_vgpu};

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
    /// Compares what was recorded of a device with what a host has.
    pub fn of(wanted: &Wanted<'_>, found: Result<&Device, &NoIdentity>) -> Self {
        let identity = match found {
            Ok(device) => &device.identity,
            Err(NoIdentity::OtherDeviceApi(_)) => return Self::Different,
            Err(NoIdentity::Untyped) => return Self::Untyped,
            Err(NoIdentity::Unknown { .. }) => return Self::Unknown,
            Err(NoIdentity::Absent(_) | NoIdentity::NoVgpuType { .. } | NoIdentity::ParentNotPci { .. }) => {
                return Self::Missing;
            }
        };
        match wanted.recorded {
            Some(_) if wanted.differs_from(identity) || wanted.contradiction(identity).is_some() => Self::Different,
            Some(recorded) if recorded.identity().is_some() => Self::Same,
            _ => Self::Unrecorded,
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

impl Checked<'_> {
    /// Returns the verdict.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.wanted, self.found.as_ref().map_err(|missing| &missing.why))
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
            let span = wanted.hostdev.span();
            match compare(wanted, host, scope) {
                Ok(Some(checked)) => comparison.devices.push(checked),
                Ok(None) => comparison.not_compared += 1,
                Err(kind) => errors.push(PlanError { span, kind }),
            }
        }
    }
    errors.sort_by_key(|error| error.span);
    if errors.is_empty() { Ok(comparison) } else { Err(errors) }
}

/// Compares a device with a host. Returns `None` for a PCI device without a record that is not in the scope there.
fn compare<'a>(wanted: Wanted<'a>, host: &Host, scope: PciScope) -> Result<Option<Checked<'a>>, PlanErrorKind> {
    let is_only_vgpu = wanted.is_judged_only_as_vgpu() && scope != PciScope::All;
    if is_only_vgpu && host.lookup(wanted.device).is_ok_and(|found| !is_vgpu(found)) {
        return Ok(None);
    }
    let identity = wanted.recorded.and_then(RecordedIdentity::identity);
    let found = find_device(wanted.device, identity, host)?;
    Ok(Some(Checked { wanted, found }))
}
