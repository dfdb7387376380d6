//! Recording identities.

use std::collections::HashSet;

use super::claims::{Claim, Claims, GuestKeys, recorded};
use super::error::{PlanError, PlanErrorKind, Remark, RemarkKind, error_of_metadata};
use super::lookup::{Missing, find};
use super::write::{Attributes, complete, identities_element, kept_record, record_element};
use super::{Decision, Place, Places, Plan, Step, span_of};
use crate::device::{DeviceAddress, Identity, Part, Uuid};
use crate::domain::{Document, Domain, EditScope, Hostdev, Identities, Metadata, Model, Record, Source, with_lead};
use crate::edit::{Change, Edit, NewElement};
use crate::host::Host;
use crate::text::Span;

/// What to do where something is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where identities are written.
    pub into: Places,
    /// What happens to a device that has no identity on this host.
    pub on_missing: OnMissing,
    /// What happens to an identity that stands there and says something else.
    pub on_conflict: OnConflict,
}

impl Policy {
    /// Fails if a device is missing or an identity differs.
    pub fn strict(into: Places) -> Self {
        Self { into, on_missing: OnMissing::Error, on_conflict: OnConflict::Error }
    }
}

/// What happens to a device that is not on this host, or whose parent is not a PCI device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMissing {
    /// The run fails.
    Error,
    /// The hostdev is left as it is.
    Skip,
}

/// What happens to an identity that stands there and says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnConflict {
    /// The run fails: overwriting by default would defeat what the identity is for.
    Error,
    /// What conflicts is corrected and what is missing is added.
    Replace,
    /// The hostdev is left entirely as it is: half of one device and half of another would be a device that does not exist.
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
/// adds one; and what is worth saying beside it. It is `None` if there is nothing to record.
///
/// It replaces the element that is there, so it also holds the records of devices that the policy leaves as they are.
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
    /// For each domain the records that it has afterwards, without a prefix.
    records: Vec<Vec<NewElement>>,
    errors: Vec<PlanError>,
}

/// What is done with one hostdev.
enum Judged<'a> {
    /// Its identity is written.
    Fill(Fillable<'a>),
    /// It stays as it is, and so does what was recorded for it.
    Leave {
        record: Option<&'a Record>,
        /// The device, if it stays as it is because the policy says so.
        kept: Option<(Uuid, Identity)>,
    },
}

/// A hostdev whose device was found, with nothing against filling it.
struct Fillable<'a> {
    hostdev: &'a Hostdev,
    source: &'a Source,
    record: Option<&'a Record>,
    uuid: Uuid,
    identity: Identity,
    steps: Vec<Step>,
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
        self.warn_of_pci_hostdevs(domain);
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
        for hostdev in &domain.hostdevs {
            match self.judge(hostdev, &mut records) {
                Ok(Judged::Fill(found)) => fillable.push(found),
                Ok(Judged::Leave { record, kept: device }) => {
                    kept.extend(device.map(|(uuid, _)| uuid));
                    left.extend(record.map(|record| (hostdev, record)));
                }
                Err(errors) => self.errors.extend(errors),
            }
        }
        // If a device appears twice, neither is filled: the record of one would be taken for the other's.
        let (twins, mut fillable): (Vec<_>, Vec<_>) =
            fillable.into_iter().partition(|found| kept.contains(&found.uuid));
        for Fillable { hostdev, source, record, uuid, identity, .. } in twins {
            self.remark(source.uuid.name, RemarkKind::Kept(DeviceAddress::Mdev(uuid), identity));
            left.extend(record.map(|record| (hostdev, record)));
        }
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
        for Fillable { source, uuid, steps, .. } in fillable {
            if steps.is_empty() {
                self.remark(source.uuid.name, RemarkKind::Complete(DeviceAddress::Mdev(uuid)));
            } else {
                self.decide(source, steps);
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

    fn warn_of_pci_hostdevs(&mut self, domain: &Domain) {
        if let [first, ..] = &domain.pci_hostdevs[..] {
            let (count, beside_mdevs) = (domain.pci_hostdevs.len(), !domain.hostdevs.is_empty());
            self.remark(first.start_tag, RemarkKind::PciHostdevs { count, beside_mdevs });
        }
    }

    fn error_of_lone_hostdev(&self, domain: &Domain) -> Option<PlanError> {
        let wants_metadata = domain.metadata.is_none() && self.policy.into.include(Place::Metadata);
        let span = domain.hostdevs.first().map_or(Span::at(0), |hostdev| hostdev.start_tag);
        wants_metadata.then_some(PlanError { span, kind: PlanErrorKind::LoneHostdev })
    }

    /// Decides about one hostdev: it is filled, or left as it is, or keeps the document from being written.
    fn judge(&mut self, hostdev: &'a Hostdev, records: &mut Records<'a>) -> Result<Judged<'a>, Vec<PlanError>> {
        let span = span_of(hostdev);
        let error_at = |kind| vec![PlanError { span, kind }];
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
        let (device, found) = find(source, written.identity().as_ref(), self.host).map_err(error_at)?;
        let identity = match (found, self.policy.on_missing) {
            (Ok(identity), _) => identity,
            (Err(missing), OnMissing::Error) => return Err(error_at(PlanErrorKind::Missing(missing))),
            (Err(missing), OnMissing::Skip) => return self.skip(source, record, claim, missing, records),
        };
        let DeviceAddress::Mdev(uuid) = device;
        if record.is_none() {
            record = records.take_by_place(claim, |record| record.written.identity().as_ref() == Some(&identity));
        }
        let fillable = Fillable { hostdev, source, record, uuid, identity, steps: Vec::new() };
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
                recorded(source, record).map_err(|error| vec![error])?;
                self.remark(span, RemarkKind::Kept(device, fillable.identity.clone()));
                Ok(Judged::Leave { record, kept: Some((uuid, fillable.identity)) })
            }
        }
    }

    /// Leaves a hostdev as it is whose device the host does not have.
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
        let (edits, steps) = complete(&found.source.written, &found.identity, Place::Source, &[]);
        self.edit(&found.source.scope, edits);
        found.steps.extend(steps);
    }

    fn fill_metadata(
        &mut self,
        domain: &'a Domain,
        fillable: &mut [Fillable<'a>],
        left: &[(&Hostdev, &Record)],
        stale: &[&Record],
    ) {
        let Some(metadata) = &domain.metadata else { return };
        let places = GuestKeys::of(domain);
        if let Metadata::Ours(identities) = metadata {
            let mut seen = HashSet::new();
            for found in &mut *fillable {
                // A device that appears twice has one record.
                if let Some(record) = found.record.filter(|_| seen.insert(found.uuid)) {
                    self.fill_record(identities, record, found, &places);
                }
            }
            for (hostdev, record) in left {
                self.release_place(identities, record, Attributes::of_another(record, &hostdev.guest, &places));
            }
            for record in stale {
                if self.removes_stale() {
                    self.remove_record(identities, record);
                } else {
                    self.release_place(identities, record, Attributes::for_none(record, &places));
                }
            }
        }
        let mut seen = HashSet::new();
        let unrecorded = fillable.iter_mut().filter(|found| found.record.is_none() && seen.insert(found.uuid));
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
        let (mut edits, steps) = complete(&record.written, &found.identity, Place::Metadata, &path);
        found.steps.extend(steps);
        let attributes = Attributes::for_hostdev(record, found.uuid, &found.hostdev.guest, places);
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

    /// Takes the guest address and the alias from a record if another hostdev has them now: libvirt gives an address that became
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
            found.steps.push(Step::Record(found.identity.clone()));
        }
    }

    /// Notes the records that the domain has afterwards, for [`identities`].
    fn keep_records(
        &mut self,
        domain: &Domain,
        fillable: &[Fillable<'_>],
        left: &[(&Hostdev, &Record)],
        stale: &[&Record],
    ) {
        let places = GuestKeys::of(domain);
        let mut seen = HashSet::new();
        let filled = fillable.iter().filter(|found| seen.insert(found.uuid));
        let filled = filled.map(|found| (found.hostdev.ordinal, found.record_element("")));
        let left = left.iter().map(|(hostdev, record)| {
            let attributes = Attributes::of_another(record, &hostdev.guest, &places);
            (hostdev.ordinal, kept_record("", record, &attributes))
        });
        let mut of_hostdevs: Vec<_> = filled.chain(left).collect();
        of_hostdevs.sort_by_key(|(ordinal, _)| *ordinal);
        let stale = stale.iter().filter(|_| !self.removes_stale());
        let stale = stale.map(|record| kept_record("", record, &Attributes::for_none(record, &places)));
        let records = of_hostdevs.into_iter().map(|(_, record)| record).chain(stale).collect();
        self.records.pop();
        self.records.push(records);
    }

    fn decide(&mut self, source: &Source, steps: Vec<Step>) {
        let uuid = Some(source.uuid.text.clone());
        self.plan.decisions.push(Decision { domain: self.domain, uuid, span: source.uuid.name, steps });
    }

    fn decide_about_record(&mut self, record: &Record, steps: Vec<Step>) {
        let uuid = record.uuid.as_ref().map(|attribute| attribute.text.clone());
        self.plan.decisions.push(Decision { domain: self.domain, uuid, span: record.element.start_tag, steps });
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
        record_element(prefix, self.uuid, &self.hostdev.guest, &self.identity)
    }

    /// Returns the parts that differ from the host, in the source and in the metadata, whichever of them is filled.
    fn conflicts(&self) -> Vec<Conflict> {
        let places = [(Place::Source, Some(&self.source.written)), (Place::Metadata, self.record.map(|r| &r.written))];
        let written = places.into_iter().filter_map(|(place, written)| Some((place, written?)));
        let conflicts = written.flat_map(|(place, written)| {
            let conflicts = written.conflicts(&self.identity);
            conflicts.map(move |part| Conflict {
                place,
                part: part.part,
                written: part.text.clone(),
                span: part.span(),
            })
        });
        conflicts.collect()
    }

    fn error_of_conflict(&self, Conflict { place, part, written, span }: Conflict) -> PlanError {
        let (device, found) = (DeviceAddress::Mdev(self.uuid), self.identity.value(part));
        PlanError { span, kind: PlanErrorKind::Conflict { device, place, part, written, found } }
    }

    fn error_of_elsewhere(&self, Conflict { place, part, written, span }: Conflict) -> PlanError {
        let (device, found) = (DeviceAddress::Mdev(self.uuid), self.identity.value(part));
        PlanError { span, kind: PlanErrorKind::Elsewhere { device, place, part, written, found } }
    }
}
