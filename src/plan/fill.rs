//! Records identities.

use std::collections::HashSet;

use super::claims::{Claim, Claims, GuestKeys, recorded};
use super::error::{PciAdvice, PlanError, PlanErrorKind, Remark, RemarkKind, error_of_metadata};
use super::lookup::{Missing, find, find_device};
use super::write::{Attributes, complete, identities_element, kept_record, record_element};
use super::{Decision, DeviceName, Place, Places, Plan, Step, span_of};
use crate::device::{Device, DeviceAddress, DeviceKind, Identity, Part, Uuid};
use crate::domain::{
    Document, Domain, EditScope, GuestSide, Hostdev, Identities, Metadata, Model, PciHostdev, PciSource, Record,
    RecordKind, RecordedIdentity, Source, with_lead,
};
use crate::edit::{Change, Edit, NewElement};
use crate::host::Host;
use crate::text::Span;

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
/// As [`fill`], and if there is no domain.
pub fn identities(
    document: &Document,
    host: &Host,
    policy: &Policy,
) -> Result<(Option<NewElement>, Vec<Remark>), Vec<PlanError>> {
    let Filling { plan, mut records, .. } = run(document, host, policy)?;
    let is_main = |domain: &&Domain| !domain.is_inactive;
    let number = document.domains.iter().position(|domain| is_main(&domain));
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

/// What is done with one hostdev.
enum Judged<'a> {
    /// Its identity is written.
    Fill(Fillable<'a>),
    /// It is unchanged, and so is its record.
    Leave {
        record: Option<&'a Record>,
        /// The device, if it is unchanged because the policy keeps conflicts.
        kept: Option<DeviceAddress>,
    },
    /// It is a PCI device that has no record and gets none.
    Unrecorded,
}

/// A hostdev whose device has an identity.
#[derive(Clone, Copy)]
enum Target<'a> {
    Mdev(&'a Hostdev, &'a Source),
    Pci(&'a PciHostdev, &'a PciSource),
}

impl<'a> Target<'a> {
    fn guest(self) -> &'a GuestSide {
        match self {
            Self::Mdev(hostdev, _) => &hostdev.guest,
            Self::Pci(hostdev, _) => &hostdev.guest,
        }
    }

    /// Returns what sorts hostdevs in document order.
    fn start(self) -> usize {
        match self {
            Self::Mdev(hostdev, _) => hostdev.start_tag.start,
            Self::Pci(hostdev, _) => hostdev.start_tag.start,
        }
    }

    /// Returns the span that messages point at.
    fn span(self) -> Span {
        match self {
            Self::Mdev(_, source) => source.uuid.name,
            Self::Pci(_, source) => source.span,
        }
    }

    /// Returns the source, if an identity may be in it.
    fn source(self) -> Option<&'a Source> {
        match self {
            Self::Mdev(_, source) => Some(source),
            Self::Pci(..) => None,
        }
    }

    fn name(self) -> DeviceName {
        match self {
            Self::Mdev(_, source) => DeviceName { kind: RecordKind::Mdev, text: source.uuid.text.clone() },
            Self::Pci(_, source) => DeviceName { kind: RecordKind::Pci, text: source.address.to_string() },
        }
    }
}

/// A hostdev whose device was found, without an error.
struct Fillable<'a> {
    target: Target<'a>,
    record: Option<&'a Record>,
    address: DeviceAddress,
    device: Device,
    steps: Vec<Step>,
}

/// A hostdev that is unchanged, and its record.
struct Left<'a> {
    guest: &'a GuestSide,
    start: usize,
    record: &'a Record,
}

/// A part that differs from the host.
struct Conflict {
    place: Place,
    part: Part,
    written: String,
    span: Span,
}

/// The records of a domain while it is filled.
struct Records<'a> {
    claims: Claims<'a>,
    /// The UUIDs of the domain's hostdevs.
    uuids: HashSet<Uuid>,
    /// Whether each record belongs to a hostdev.
    is_taken: Vec<bool>,
}

impl<'a> Records<'a> {
    fn of(domain: &'a Domain) -> Self {
        let claims = Claims::of(domain);
        let is_taken = vec![false; claims.numbers().len()];
        Self { claims, uuids: domain.hostdevs.iter().filter_map(Hostdev::uuid).collect(), is_taken }
    }

    /// Returns the record that was made for a hostdev's UUID.
    fn take_by_uuid(&mut self, claim: Claim) -> Option<&'a Record> {
        claim.uuid.map(|number| self.take(number))
    }

    /// Returns the record that claims a hostdev of type pci.
    fn take_of_pci(&mut self, hostdev: &PciHostdev) -> Option<&'a Record> {
        self.claims.of_pci(hostdev).map(|number| self.take(number))
    }

    /// Returns a record that claims no hostdev and was made for a PCI device at this source address.
    fn take_by_source(&mut self, source: &PciSource, fits: impl Fn(&Record) -> bool) -> Option<&'a Record> {
        let is_free = |number: &usize| {
            let record = self.claims.record(*number);
            let is_free = !self.is_taken[*number] && !self.claims.claims_pci(*number);
            is_free && record.source_address() == Some(source.address) && fits(record)
        };
        let number = self.claims.numbers().find(is_free)?;
        Some(self.take(number))
    }

    /// Returns a record that was made for a hostdev's address or alias and for a UUID that no hostdev has any more.
    fn take_by_place(&mut self, claim: Claim, fits: impl Fn(&Record) -> bool) -> Option<&'a Record> {
        let is_free = |number: &usize| {
            let record = self.claims.record(*number);
            let is_gone = record.recorded_uuid().is_none_or(|uuid| !self.uuids.contains(&uuid));
            !self.is_taken[*number] && is_gone && fits(record)
        };
        let number = claim.by_place().find(is_free)?;
        Some(self.take(number))
    }

    fn take(&mut self, number: usize) -> &'a Record {
        self.is_taken[number] = true;
        self.claims.record(number)
    }

    fn stale(&self) -> Vec<&'a Record> {
        let stale = self.claims.numbers().filter(|number| !self.is_taken[*number]);
        stale.map(|number| self.claims.record(number)).collect()
    }
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
        let mut left = Vec::new();
        let mut kept = HashSet::new();
        let mut unrecorded = Vec::new();
        let mdevs = domain
            .hostdevs
            .iter()
            .map(|hostdev| (self.judge(hostdev, &mut records), &hostdev.guest, hostdev.start_tag));
        let mut judged: Vec<_> = mdevs.collect();
        let mut seen = HashSet::new();
        for hostdev in &domain.pci_hostdevs {
            judged.push((self.judge_pci(hostdev, &mut records, &mut seen), &hostdev.guest, hostdev.start_tag));
        }
        for (judged, guest, start_tag) in judged {
            match judged {
                Ok(Judged::Fill(found)) => fillable.push(found),
                Ok(Judged::Leave { record, kept: device }) => {
                    kept.extend(device);
                    left.extend(record.map(|record| Left { guest, start: start_tag.start, record }));
                }
                Ok(Judged::Unrecorded) => unrecorded.push(start_tag),
                Err(errors) => self.errors.extend(errors),
            }
        }
        self.warn_of_unrecorded(domain, &unrecorded);
        // If a device appears twice, neither is filled: the record of one would be taken for the other's.
        let (twins, mut fillable): (Vec<_>, Vec<_>) =
            fillable.into_iter().partition(|found| kept.contains(&found.address));
        for Fillable { target, record, address, device, .. } in twins {
            self.remark(target.span(), RemarkKind::Kept(address, device.identity));
            left.extend(record.map(|record| Left { guest: target.guest(), start: target.start(), record }));
        }
        // A device that appears twice has one record, which belongs to the first: where it was made, if it names a guest address.
        fillable.sort_by_key(Fillable::distance_to_record);
        let stale = records.stale();
        let fate = if self.removes_stale() { RemarkKind::StaleRemoved } else { RemarkKind::Stale };
        stale.iter().for_each(|record| self.remark(record.element.start_tag, fate.clone()));
        if self.policy.into.include(Place::Source) {
            fillable.iter_mut().for_each(|found| self.fill_source(found));
        }
        if self.policy.into.include(Place::Metadata) {
            self.fill_metadata(domain, &mut fillable, &left, &stale);
            self.keep_records(domain, &fillable, &left, &stale);
        }
        for Fillable { target, address, steps, .. } in fillable {
            if steps.is_empty() {
                self.remark(target.span(), RemarkKind::Complete(address));
            } else {
                let (device, span) = (Some(target.name()), target.span());
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
            _ if !self.policy.into.include(Place::Metadata) => PciAdvice::Metadata,
            Devices { vgpu: false, pci: false, .. } => PciAdvice::NotSelected,
            _ => PciAdvice::Devices,
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

    /// Decides about one hostdev: it is filled, or left as it is, or keeps the document from being written.
    fn judge(&mut self, hostdev: &'a Hostdev, records: &mut Records<'a>) -> Result<Judged<'a>, Vec<PlanError>> {
        let span = span_of(hostdev);
        let error_at = |kind| vec![PlanError { span, kind }];
        if !self.policy.devices.mdev {
            let claim = records.claims.on(hostdev);
            let record = records.take_by_uuid(claim).or_else(|| records.take_by_place(claim, |_| true));
            return Ok(Judged::Leave { record, kept: None });
        }
        let source = match &hostdev.model {
            Model::VfioPci(source) => {
                source.as_ref().map_err(|error| error_at(PlanErrorKind::Hostdev(error.clone())))?
            }
            Model::Other(model) => {
                self.remark(span, RemarkKind::OtherModel(model.clone()));
                return Ok(Judged::Leave { record: None, kept: None });
            }
        };
        let claim = records.claims.on(hostdev);
        let mut record = records.take_by_uuid(claim);
        let written = record.map_or(&source.written, |record| &record.written);
        let (address, found) = find(source, written.identity().as_ref(), self.host).map_err(error_at)?;
        let device = match (found, self.policy.on_missing) {
            (Ok(device), _) => device,
            (Err(missing), OnMissing::Error) => return Err(error_at(PlanErrorKind::Missing(missing))),
            (Err(missing), OnMissing::Skip) => return self.skip(source, record, claim, missing, records),
        };
        if record.is_none() {
            record =
                records.take_by_place(claim, |record| record.written.identity().as_ref() == Some(&device.identity));
        }
        let target = Target::Mdev(hostdev, source);
        self.decide(Fillable { target, record, address, device, steps: Vec::new() })
    }

    /// Decides about one hostdev of type pci. `seen` has the source addresses of those before it.
    fn judge_pci(
        &mut self,
        hostdev: &'a PciHostdev,
        records: &mut Records<'a>,
        seen: &mut HashSet<DeviceAddress>,
    ) -> Result<Judged<'a>, Vec<PlanError>> {
        let span = hostdev.span();
        let error_at = |kind| vec![PlanError { span, kind }];
        if !self.policy.fills_pci() {
            let record = records.take_of_pci(hostdev);
            return Ok(if record.is_some() { Judged::Leave { record, kept: None } } else { Judged::Unrecorded });
        }
        let source = hostdev.source.as_ref().map_err(|error| error_at(PlanErrorKind::Hostdev(error.clone())))?;
        let address = DeviceAddress::Pci(source.address);
        let claiming = records.claims.of_pci(hostdev).map(|number| records.claims.record(number));
        let identity = claiming.and_then(|record| record.written.identity());
        let found = find_device(address, identity.as_ref(), self.host).map_err(error_at)?;
        // A record of another kind of device has no part to correct: it is removed, and another one is added.
        let is_of_another_kind = |record: &Record, device: &Device| record.written.is_of_another_kind(&device.identity);
        let record = match (&found, self.policy.on_conflict) {
            (Ok(device), OnConflict::Replace) if claiming.is_some_and(|record| is_of_another_kind(record, device)) => {
                None
            }
            (Ok(device), _) if claiming.is_none() => {
                let is_equal = |record: &Record| record.written.identity().as_ref() == Some(&device.identity);
                records.take_by_source(source, is_equal)
            }
            _ => records.take_of_pci(hostdev),
        };
        let is_selected = self.policy.devices.pci
            || match &found {
                Ok(device) => matches!(device.identity.kind, DeviceKind::Vgpu(_)),
                Err(missing) => matches!(missing, Missing::Untyped { .. } | Missing::NoVgpuType { .. }),
            };
        if claiming.is_none() && record.is_none() && !is_selected {
            return Ok(Judged::Unrecorded);
        }
        if !seen.insert(address) {
            return Err(error_at(PlanErrorKind::TwoHostdevs(address)));
        }
        match (found, self.policy.on_missing) {
            (Err(missing), OnMissing::Error) => Err(error_at(PlanErrorKind::Missing(missing))),
            (Err(missing), OnMissing::Skip) => {
                self.remark(span, RemarkKind::Skipped(missing));
                Ok(Judged::Leave { record, kept: None })
            }
            (Ok(device), _) => {
                if self.policy.into.include(Place::Source) {
                    self.remark(span, RemarkKind::NotInSource(address));
                }
                let target = Target::Pci(hostdev, source);
                self.decide(Fillable { target, record, address, device, steps: Vec::new() })
            }
        }
    }

    /// Decides about a hostdev whose device was found: it is filled, unless it conflicts with what the document has.
    fn decide(&mut self, fillable: Fillable<'a>) -> Result<Judged<'a>, Vec<PlanError>> {
        let conflicts = fillable.conflicts();
        let is_filled = |conflict: &Conflict| self.policy.into.include(conflict.place);
        match self.policy.on_conflict {
            _ if conflicts.is_empty() => Ok(Judged::Fill(fillable)),
            OnConflict::Replace if conflicts.iter().all(is_filled) => Ok(Judged::Fill(fillable)),
            // Correcting one place only would leave two that disagree.
            OnConflict::Replace => {
                let elsewhere = conflicts.into_iter().filter(|conflict| !is_filled(conflict));
                Err(elsewhere.map(|conflict| fillable.error_of_elsewhere(conflict)).collect())
            }
            OnConflict::Error => {
                Err(conflicts.into_iter().map(|conflict| fillable.error_of_conflict(conflict)).collect())
            }
            OnConflict::Keep => {
                let Fillable { target, record, address, device, .. } = fillable;
                if let Some(source) = target.source() {
                    recorded(source, record).map_err(|error| vec![error])?;
                }
                self.remark(target.span(), RemarkKind::Kept(address, device.identity));
                Ok(Judged::Leave { record, kept: Some(address) })
            }
        }
    }

    /// Leaves a hostdev unchanged whose device the host does not have.
    fn skip(
        &mut self,
        source: &Source,
        record: Option<&'a Record>,
        claim: Claim,
        missing: Missing,
        records: &mut Records<'a>,
    ) -> Result<Judged<'a>, Vec<PlanError>> {
        recorded(source, record).map_err(|error| vec![error])?;
        self.remark(source.uuid.name, RemarkKind::Skipped(missing));
        // A record that may have been made for it is not stale.
        let record = record.or_else(|| records.take_by_place(claim, |_| true));
        Ok(Judged::Leave { record, kept: None })
    }

    fn fill_source(&mut self, found: &mut Fillable<'_>) {
        let Some(source) = found.target.source() else { return };
        let (edits, steps) = complete(&source.written, &found.device, Place::Source, &[]);
        self.edit(&source.scope, edits);
        found.steps.extend(steps);
    }

    fn fill_metadata(
        &mut self,
        domain: &'a Domain,
        fillable: &mut [Fillable<'a>],
        left: &[Left<'_>],
        stale: &[&Record],
    ) {
        let Some(metadata) = &domain.metadata else { return };
        let places = GuestKeys::of(domain);
        if let Metadata::Ours(identities) = metadata {
            let mut seen = HashSet::new();
            for found in &mut *fillable {
                if let Some(record) = found.record.filter(|_| seen.insert(found.address)) {
                    self.fill_record(identities, record, found, &places);
                }
            }
            for Left { guest, record, .. } in left {
                self.release_place(identities, record, Attributes::of_another(record, guest, &places));
            }
            for record in stale {
                if self.removes_stale() {
                    self.remove_record(identities, record);
                } else {
                    self.release_place(identities, record, Attributes::for_none(record, &places));
                }
            }
        }
        let mut seen: HashSet<_> =
            fillable.iter().filter(|found| found.record.is_some()).map(|found| found.address).collect();
        let unrecorded = fillable.iter_mut().filter(|found| found.record.is_none() && seen.insert(found.address));
        let unrecorded: Vec<_> = unrecorded.collect();
        if !unrecorded.is_empty() {
            self.add_records(metadata, unrecorded);
        }
    }

    fn fill_record(
        &mut self,
        identities: &Identities,
        record: &Record,
        found: &mut Fillable<'_>,
        places: &GuestKeys<'_>,
    ) {
        let path = [record.element.index];
        let (mut edits, steps) = complete(&record.written, &found.device, Place::Metadata, &path);
        found.steps.extend(steps);
        let attributes = Attributes::for_hostdev(record, found.address, found.target.guest(), places);
        let (attribute_edits, steps) = attributes.edits(record);
        edits.extend(attribute_edits);
        found.steps.extend(steps);
        self.edit(&identities.scope, edits);
    }

    fn remove_record(&mut self, identities: &Identities, record: &Record) {
        let span = with_lead(self.document.text(), record.element.span);
        let change = Change::Remove { element: vec![record.element.index] };
        self.edit(&identities.scope, vec![Edit { span, text: String::new(), change }]);
        self.decide_about_record(record, vec![Step::RemoveStale]);
    }

    /// Removes the guest address and the alias from a record if another hostdev has them now: libvirt gives an address that became
    /// free to the next device.
    fn release_place(&mut self, identities: &Identities, record: &Record, attributes: Attributes) {
        let (edits, steps) = attributes.edits(record);
        if !steps.is_empty() {
            self.edit(&identities.scope, edits);
            self.decide_about_record(record, steps);
        }
    }

    fn add_records(&mut self, metadata: &Metadata, unrecorded: Vec<&mut Fillable<'_>>) {
        let records =
            |prefix: &str| -> Vec<NewElement> { unrecorded.iter().map(|found| found.record_element(prefix)).collect() };
        let (scope, insertion, elements) = match metadata {
            Metadata::Ours(ours) => (&ours.scope, &ours.insertion, records(ours.element.prefix(self.document.text()))),
            Metadata::WithoutOurs { scope, insertion } => {
                (scope, insertion, vec![identities_element("mdev:", records("mdev:"))])
            }
            Metadata::Missing { scope, insertion } => {
                let identities = identities_element("mdev:", records("mdev:"));
                (scope, insertion, vec![NewElement::holding("metadata", vec![identities])])
            }
            Metadata::Unreadable(_) => return,
        };
        self.edit(scope, vec![Edit::add(insertion, &[], elements)]);
        for found in unrecorded {
            found.steps.push(Step::Record(found.device.clone()));
        }
    }

    /// Notes the records that the domain has afterwards, for [`identities`].
    fn keep_records(&mut self, domain: &Domain, fillable: &[Fillable<'_>], left: &[Left<'_>], stale: &[&Record]) {
        let places = GuestKeys::of(domain);
        let mut seen = HashSet::new();
        let filled = fillable.iter().filter(|found| seen.insert(found.address));
        let filled = filled.map(|found| (found.target.start(), found.record_element("")));
        let left = left.iter().map(|Left { guest, start, record }| {
            let attributes = Attributes::of_another(record, guest, &places);
            (*start, kept_record("", record, &attributes))
        });
        let mut of_hostdevs: Vec<_> = filled.chain(left).collect();
        of_hostdevs.sort_by_key(|(start, _)| *start);
        let stale = stale.iter().filter(|_| !self.removes_stale());
        let stale = stale.map(|record| kept_record("", record, &Attributes::for_none(record, &places)));
        let records = of_hostdevs.into_iter().map(|(_, record)| record).chain(stale).collect();
        self.records.pop();
        self.records.push(records);
    }

    fn decide_about_record(&mut self, record: &Record, steps: Vec<Step>) {
        let device = DeviceName::of_record(record);
        self.plan.decisions.push(Decision { domain: self.domain, device, span: record.element.start_tag, steps });
    }

    fn edit(&mut self, scope: &EditScope, edits: Vec<Edit>) {
        for edit in edits {
            let span = edit.span;
            if let Err(overlap) = self.plan.edits.add(self.document.text(), scope, edit) {
                self.errors.push(PlanError { span, kind: PlanErrorKind::Overlap(overlap) });
            }
        }
    }

    fn remark(&mut self, span: Span, kind: RemarkKind) {
        self.plan.remarks.push(Remark { span, kind });
    }
}

impl Fillable<'_> {
    fn record_element(&self, prefix: &str) -> NewElement {
        record_element(prefix, self.address, self.target.guest(), &self.device)
    }

    /// Returns how far the hostdev is from its record: at the guest address that the record names, elsewhere, or without one.
    fn distance_to_record(&self) -> u8 {
        match self.record.map(|record| record.guest_address()) {
            Some(Some(address)) if Some(address) == self.target.guest().address.as_ref() => 0,
            Some(_) => 1,
            None => 2,
        }
    }

    /// Returns the parts that differ from the host, in the source and in the metadata, whichever of them is filled.
    fn conflicts(&self) -> Vec<Conflict> {
        let in_source = self.target.source().map(|source| &source.written);
        let places: [(Place, Option<&RecordedIdentity>); 2] =
            [(Place::Source, in_source), (Place::Metadata, self.record.map(|record| &record.written))];
        let written = places.into_iter().filter_map(|(place, written)| Some((place, written?)));
        let conflicts = written.flat_map(|(place, written)| {
            let conflicts = written.conflicts(&self.device.identity);
            conflicts.map(move |part| Conflict {
                place,
                part: part.part,
                written: part.text.clone(),
                span: part.span(),
            })
        });
        conflicts.collect()
    }

    /// Returns the value that this host has for a part, or the kind of its device if it has none.
    fn value(&self, part: Part) -> String {
        let identity: &Identity = &self.device.identity;
        identity.value(part).unwrap_or_else(|| identity.kind.to_string())
    }

    fn error_of_conflict(&self, Conflict { place, part, written, span }: Conflict) -> PlanError {
        let (device, found) = (self.address, self.value(part));
        PlanError { span, kind: PlanErrorKind::Conflict { device, place, part, written, found } }
    }

    fn error_of_elsewhere(&self, Conflict { place, part, written, span }: Conflict) -> PlanError {
        let (device, found) = (self.address, self.value(part));
        PlanError { span, kind: PlanErrorKind::Elsewhere { device, place, part, written, found } }
    }
}
