//! Records identities.

mod edits;
mod judge;

use std::collections::HashSet;

use super::error::{PlanError, PlanErrorKind, Remark, RemarkKind, error_of_metadata};
use super::write::identities_element;
use super::{Decision, Place, Places, Plan};
use crate::device::DeviceAddress;
use crate::domain::{Document, Domain, Hostdev};
use crate::edit::NewElement;
use crate::host::Host;
use crate::text::Span;
use judge::{Fillable, Judged, Left, Records};

/// What to fill, and what to do about missing devices and conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where identities are written. Those of PCI devices are only written into metadata.
    pub into: Places,
    /// Which devices are recorded.
    pub devices: Devices,
    /// What happens to a device that has no identity on this host.
    pub on_missing: OnMissing,
    /// What happens to an identity in the document that differs from this host.
    pub on_conflict: OnConflict,
}

/// Which devices are recorded. A PCI device that has a record keeps it up to date if any PCI devices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Devices {
    /// Mediated devices.
    pub mdev: bool,
    /// vGPUs that are PCI virtual functions.
    pub vgpu: bool,
    /// All PCI devices.
    pub pci: bool,
}

impl Default for Devices {
    /// Mediated devices and vGPUs.
    fn default() -> Self {
        Self { mdev: true, vgpu: true, pci: false }
    }
}

impl Policy {
    /// Fails if a device is missing or an identity differs.
    pub fn strict(into: Places) -> Self {
        Self { into, devices: Devices::default(), on_missing: OnMissing::Error, on_conflict: OnConflict::Error }
    }

    /// Returns the devices of a document that have to be looked up.
    pub fn devices_of<'a>(&'a self, document: &'a Document) -> impl Iterator<Item = DeviceAddress> + 'a {
        document.devices().filter(|device| match device {
            DeviceAddress::Mdev(_) => self.devices.mdev,
            DeviceAddress::Pci(_) => self.fills_pci(),
        })
    }

    /// Whether PCI devices are recorded, all of them or vGPUs.
    fn fills_pci(&self) -> bool {
        self.into.include(Place::Metadata) && (self.devices.vgpu || self.devices.pci)
    }
}

/// What happens to a device that is not on this host, whose parent is not a PCI device, or that has no vGPU type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMissing {
    /// The run fails.
    Error,
    /// The hostdev is unchanged.
    Skip,
}

/// What happens to an identity in the document that differs from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnConflict {
    /// The run fails: overwriting by default would defeat the purpose of the identity.
    Error,
    /// Conflicting parts are corrected and missing ones are added.
    Replace,
    /// The hostdev is unchanged: parts of two devices would describe a device that does not exist.
    Keep,
}

/// Plans what `fill` does with a document.
///
/// # Errors
/// Everything that keeps it from being done, in document order.
pub fn fill(document: &Document, host: &Host, policy: &Policy) -> Result<Plan, Vec<PlanError>> {
    run(document, host, policy).map(|filling| filling.plan)
}

/// Returns our metadata element for a document's domain, as `virsh metadata --set` takes it: without a prefix, since libvirt
/// adds one; and the remarks. It is `None` if there is nothing to record.
///
/// It replaces the element that is there, so it also contains the records of devices that the policy leaves unchanged.
///
/// # Errors
/// As [`fill`], and if the document has no domain.
pub fn identities(
    document: &Document,
    host: &Host,
    policy: &Policy,
) -> Result<(Option<NewElement>, Vec<Remark>), Vec<PlanError>> {
    let Filling { plan, mut records, .. } = run(document, host, policy)?;
    let number = document.domains.iter().position(|domain| !domain.is_inactive);
    let number = number.ok_or_else(|| vec![PlanError { span: Span::at(0), kind: PlanErrorKind::NoDomain }])?;
    let records = std::mem::take(&mut records[number]);
    let element = (!records.is_empty()).then(|| identities_element("", records));
    Ok((element, plan.remarks))
}

fn run<'a>(document: &'a Document, host: &'a Host, policy: &'a Policy) -> Result<Filling<'a>, Vec<PlanError>> {
    let mut filling =
        Filling { document, host, policy, domain: 0, plan: Plan::default(), records: Vec::new(), errors: Vec::new() };
    for (number, domain) in document.domains.iter().enumerate() {
        filling.domain = number;
        filling.fill_domain(domain);
    }
    filling.plan.decisions.sort_by_key(|decision| decision.span);
    filling.plan.remarks.sort_by_key(|remark| remark.span);
    filling.errors.sort_by_key(|error| error.span);
    if filling.errors.is_empty() { Ok(filling) } else { Err(filling.errors) }
}

struct Filling<'a> {
    document: &'a Document,
    host: &'a Host,
    policy: &'a Policy,
    /// The index of the domain that is being filled.
    domain: usize,
    plan: Plan,
    /// For each domain, the records that it has afterwards, without a prefix.
    records: Vec<Vec<NewElement>>,
    errors: Vec<PlanError>,
}

impl<'a> Filling<'a> {
    fn fill_domain(&mut self, domain: &'a Domain) {
        self.records.push(Vec::new());
        self.warn_of_twins(domain);
        if let Some(error) = error_of_metadata(domain).or_else(|| self.error_of_lone_hostdev(domain)) {
            self.errors.push(error);
            return;
        }
        let mut records = Records::of(domain);
        if !self.removes_stale() {
            let errors = self.errors.len();
            self.errors.extend(records.claims.errors());
            if self.errors.len() > errors {
                return;
            }
        }
        let mut fillable = Vec::new();
        let mut kept = Vec::new();
        let mut left = Vec::new();
        let mut unrecorded = Vec::new();
        let mut judged = Vec::new();
        for hostdev in &domain.hostdevs {
            judged.push((self.judge(hostdev, &mut records), &hostdev.guest, hostdev.start_tag));
        }
        for hostdev in &domain.pci_hostdevs {
            judged.push((self.judge_pci(hostdev, &mut records), &hostdev.guest, hostdev.start_tag));
        }
        for (judged, guest, start_tag) in judged {
            match judged {
                Ok(Judged::Fill(found)) => fillable.push(found),
                Ok(Judged::Keep(found)) => kept.push(found),
                Ok(Judged::Leave(record)) => {
                    left.extend(record.map(|record| Left { guest, start: start_tag.start, record }));
                }
                Ok(Judged::Unrecorded) => unrecorded.push(start_tag),
                Err(error) => self.errors.push(error),
            }
        }
        self.warn_of_unrecorded(domain, &unrecorded);
        // If a device appears twice, neither is filled: the record of one would be taken for the other's.
        let devices: HashSet<_> = kept.iter().map(|found| found.address).collect();
        let (twins, mut fillable): (Vec<_>, Vec<_>) =
            fillable.into_iter().partition(|found: &Fillable<'_>| devices.contains(&found.address));
        for Fillable { hostdev, record, address, device, .. } in kept.into_iter().chain(twins) {
            let host = self.host.name().clone();
            self.remark(hostdev.span(), RemarkKind::Kept { device: address, identity: device.identity, host });
            left.extend(record.map(|record| Left { guest: hostdev.guest(), start: hostdev.start(), record }));
        }
        // A device that appears twice has one record, which belongs to the first: where it was made, if it names a guest address.
        fillable.sort_by_key(Fillable::distance_to_record);
        let mut seen = HashSet::new();
        for found in &mut fillable {
            found.is_twin = !seen.insert(found.address);
        }
        let stale = records.stale();
        let fate = if self.removes_stale() { RemarkKind::StaleRemoved } else { RemarkKind::Stale };
        stale.iter().for_each(|record| self.remark(record.element.start_tag, fate.clone()));
        if self.policy.into.include(Place::Source) {
            fillable.iter_mut().for_each(|found| self.fill_source(found));
        }
        if let Some(metadata) = domain.metadata.as_ref().filter(|_| self.policy.into.include(Place::Metadata)) {
            let places = &records.claims.hostdevs;
            self.fill_metadata(metadata, &mut fillable, &left, &stale, places);
            self.records[self.domain] = self.kept_records(&fillable, &left, &stale, places);
        }
        for Fillable { hostdev, address, steps, .. } in fillable {
            if steps.is_empty() {
                self.remark(hostdev.span(), RemarkKind::Complete(address));
            } else {
                let (device, span) = (Some(hostdev.name()), hostdev.span());
                self.plan.decisions.push(Decision { domain: self.domain, device, span, steps });
            }
        }
    }

    /// Whether records that belong to no hostdev are removed.
    fn removes_stale(&self) -> bool {
        self.policy.on_conflict == OnConflict::Replace && self.policy.into.include(Place::Metadata)
    }

    fn warn_of_twins(&mut self, domain: &Domain) {
        let mut seen = HashSet::new();
        for source in domain.hostdevs.iter().filter_map(Hostdev::source) {
            let Ok(uuid) = source.uuid.uuid else { continue };
            if !seen.insert(uuid) {
                self.remark(source.uuid.name, RemarkKind::Twice(DeviceAddress::Mdev(uuid)));
            }
        }
    }

    /// Says how many hostdevs of type pci have no record and get none.
    fn warn_of_unrecorded(&mut self, domain: &Domain, unrecorded: &[Span]) {
        let [first, ..] = unrecorded else { return };
        let advice = match self.policy.devices {
            _ if !self.policy.into.include(Place::Metadata) => "--into metadata records vGPUs",
            Devices { vgpu: false, pci: false, .. } => "--devices excludes them",
            _ => "not vGPUs, or not on the host; --devices pci records them",
        };
        let beside_others = !domain.hostdevs.is_empty() || domain.pci_hostdevs.len() > unrecorded.len();
        self.remark(*first, RemarkKind::PciHostdevs { count: unrecorded.len(), beside_others, advice });
    }

    fn error_of_lone_hostdev(&self, domain: &Domain) -> Option<PlanError> {
        let wants_metadata = domain.metadata.is_none() && self.policy.into.include(Place::Metadata);
        let mdev = domain.hostdevs.first().map(|hostdev| hostdev.start_tag);
        let span = mdev.or_else(|| Some(domain.pci_hostdevs.first()?.start_tag)).unwrap_or(Span::at(0));
        wants_metadata.then_some(PlanError { span, kind: PlanErrorKind::LoneHostdev })
    }
}
