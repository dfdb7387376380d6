//! Writing identities down.

use std::collections::HashSet;

use super::device::{Found, find};
use super::error::{Fault, PlanError, Remark, RemarkKind, fault_of_metadata};
use super::recorded::{pair, recorded};
use super::write::{complete, identities_element, record_element, rename, same_record};
use super::{Decision, Place, Places, Plan, Step, span_of};
use crate::device::{Identity, Part, Uuid};
use crate::domain::{
    Document, Domain, Holder, Hostdev, Identities, Metadata, MetadataError, Model, Record, Source, with_lead,
};
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

/// What happens to a device that is not on this host, or whose parent is not a PCI device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissing {
    /// The run fails.
    Error,
    /// The hostdev is left as it is.
    Skip,
}

/// What happens to an identity that stands there and says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
/// All that keeps it from being done, in the order of the places.
pub fn fill(document: &Document, host: &Host, policy: &Policy) -> Result<Plan, Vec<Fault>> {
    let mut filling =
        Filling { document, host, policy, plan: Plan::default(), faults: Vec::new(), kept: HashSet::new() };
    document.domains.iter().for_each(|domain| filling.fill_domain(domain));
    let Filling { mut plan, mut faults, .. } = filling;
    plan.decisions.sort_by_key(|decision| decision.span);
    plan.remarks.sort_by_key(|remark| remark.span);
    faults.sort_by_key(|fault| fault.span);
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

/// Our metadata element for a document's domain, as `virsh metadata --set` takes it: without a prefix, since libvirt gives it
/// one; and what is worth saying beside it.
///
/// It takes the place of the one that stands there, so what is recorded of a device that the policy leaves alone stays in it.
///
/// # Errors
/// As [`fill`], and where there is no domain.
pub fn identities(document: &Document, host: &Host, policy: &Policy) -> Result<(NewElement, Vec<Remark>), Vec<Fault>> {
    let Plan { remarks, .. } = fill(document, host, policy)?;
    let domain = document.main_domain();
    let domain = domain.ok_or_else(|| vec![Fault { span: Span::at(0), error: PlanError::NoDomain }])?;
    let (records, stale) = pair(domain);
    let of_hostdevs = domain.hostdevs.iter().zip(records).filter_map(|(hostdev, record)| {
        let source = hostdev.source()?;
        let kept = || record.map(|record| same_record("", record));
        let Ok((uuid, Found::Device(identity))) = find(source, host) else { return kept() };
        let fillable = Fillable { source, record, uuid, identity, steps: Vec::new() };
        let is_kept = policy.on_conflict == OnConflict::Keep && !fillable.conflicts().is_empty();
        if is_kept { kept() } else { Some(record_element("", uuid, &fillable.identity)) }
    });
    let is_stale_kept = policy.on_conflict != OnConflict::Replace;
    let of_none = stale.into_iter().filter(|_| is_stale_kept).map(|record| same_record("", record));
    Ok((identities_element("", of_hostdevs.chain(of_none).collect()), remarks))
}

struct Filling<'a> {
    document: &'a Document,
    host: &'a Host,
    policy: &'a Policy,
    plan: Plan,
    faults: Vec<Fault>,
    /// The devices of the domain in hand that are kept.
    kept: HashSet<Uuid>,
}

/// A hostdev whose device was found, with nothing against filling it.
struct Fillable<'a> {
    source: &'a Source,
    record: Option<&'a Record>,
    uuid: Uuid,
    identity: Identity,
    steps: Vec<Step>,
}

/// A part that says something else than the host.
struct Conflict {
    place: Place,
    part: Part,
    written: String,
    span: Span,
}

impl<'a> Filling<'a> {
    fn fill_domain(&mut self, domain: &'a Domain) {
        self.warn_of_twins(domain);
        if let Some(fault) = fault_of_metadata(domain).or_else(|| self.fault_of_lone_hostdev(domain)) {
            self.faults.push(fault);
            return;
        }
        let (records, stale) = pair(domain);
        let mut fillable = Vec::new();
        self.kept.clear();
        for (hostdev, record) in domain.hostdevs.iter().zip(records) {
            match self.judge(hostdev, record) {
                Ok(Some(found)) => fillable.push(found),
                Ok(None) => {
                    let uuid = hostdev.source().map(|source| source.uuid.text.clone());
                    self.decide(uuid, span_of(hostdev), Vec::new());
                }
                Err(faults) => self.faults.extend(faults),
            }
        }
        // Of one device that stands twice neither is filled: the record of one would be taken for the other's.
        let (kept, mut fillable): (Vec<_>, Vec<_>) =
            fillable.into_iter().partition(|found| self.kept.contains(&found.uuid));
        for found in kept {
            self.decide(Some(found.source.uuid.text.clone()), found.source.uuid.name, Vec::new());
            self.keep(found);
        }
        let goes = self.policy.on_conflict == OnConflict::Replace && self.policy.into.include(Place::Metadata);
        let fate = if goes { RemarkKind::StaleRemoved } else { RemarkKind::Stale };
        stale.iter().for_each(|record| self.remark(record.element.start_tag, fate.clone()));
        if self.policy.into.include(Place::Source) {
            fillable.iter_mut().for_each(|found| self.fill_source(found));
        }
        if self.policy.into.include(Place::Metadata) {
            self.fill_metadata(domain, &mut fillable, &stale);
        }
        for Fillable { source, uuid, steps, .. } in fillable {
            if steps.is_empty() {
                self.remark(source.uuid.name, RemarkKind::Complete(uuid));
            }
            self.decide(Some(source.uuid.text.clone()), source.uuid.name, steps);
        }
    }

    fn warn_of_twins(&mut self, domain: &Domain) {
        let mut seen = HashSet::new();
        for hostdev in &domain.hostdevs {
            let Some(Source { uuid: spelling, .. }) = hostdev.source() else { continue };
            let Ok(uuid) = spelling.uuid else { continue };
            if !seen.insert(uuid) {
                self.remark(spelling.name, RemarkKind::Twice(uuid));
            }
        }
    }

    fn fault_of_lone_hostdev(&self, domain: &Domain) -> Option<Fault> {
        let wants_metadata = domain.metadata.is_none() && self.policy.into.include(Place::Metadata);
        let span = domain.hostdevs.first().map_or(Span::at(0), |hostdev| hostdev.start_tag);
        wants_metadata.then_some(Fault { span, error: PlanError::LoneHostdev })
    }

    /// Judges one hostdev: it can be filled, or is left alone, or keeps everything from being done.
    fn judge(&mut self, hostdev: &'a Hostdev, record: Option<&'a Record>) -> Result<Option<Fillable<'a>>, Vec<Fault>> {
        let span = span_of(hostdev);
        let fault = |error| vec![Fault { span, error }];
        let source = match &hostdev.model {
            Model::VfioPci(source) => source.as_ref().map_err(|error| fault(PlanError::Hostdev(error.clone())))?,
            Model::Other(model) => {
                self.remark(span, RemarkKind::OtherModel(model.clone()));
                return Ok(None);
            }
        };
        let (uuid, found) = find(source, self.host).map_err(fault)?;
        let identity = match (found, self.policy.on_missing) {
            (Found::Device(identity), _) => identity,
            (Found::Missing(missing), OnMissing::Error) => return Err(fault(PlanError::Missing(missing))),
            (Found::Missing(missing), OnMissing::Skip) => {
                recorded(source, record).map_err(|fault| vec![fault])?;
                self.remark(span, RemarkKind::Skipped(missing));
                return Ok(None);
            }
        };
        let fillable = Fillable { source, record, uuid, identity, steps: Vec::new() };
        let conflicts = fillable.conflicts();
        let is_filled = |conflict: &Conflict| self.policy.into.include(conflict.place);
        match self.policy.on_conflict {
            _ if conflicts.is_empty() => Ok(Some(fillable)),
            OnConflict::Replace if conflicts.iter().all(is_filled) => Ok(Some(fillable)),
            // To correct one place only would leave two that disagree.
            OnConflict::Replace => {
                let elsewhere = conflicts.into_iter().filter(|conflict| !is_filled(conflict));
                Err(elsewhere.map(|conflict| fillable.fault_of_elsewhere(conflict)).collect())
            }
            OnConflict::Error => {
                Err(conflicts.into_iter().map(|conflict| fillable.fault_of_conflict(conflict)).collect())
            }
            OnConflict::Keep => {
                recorded(source, record).map_err(|fault| vec![fault])?;
                self.keep(fillable);
                Ok(None)
            }
        }
    }

    fn keep(&mut self, Fillable { source, uuid, identity, .. }: Fillable<'_>) {
        self.kept.insert(uuid);
        self.remark(source.uuid.name, RemarkKind::Kept(uuid, identity));
    }

    fn fill_source(&mut self, found: &mut Fillable<'_>) {
        let (edits, steps) = complete(&found.source.written, &found.identity, Place::Source, &[]);
        self.edit(&found.source.holder, edits);
        found.steps.extend(steps);
    }

    fn fill_metadata(&mut self, domain: &'a Domain, fillable: &mut [Fillable<'a>], stale: &[&Record]) {
        let Some(metadata) = &domain.metadata else { return };
        if let Metadata::Ours(identities) = metadata {
            for found in &mut *fillable {
                if let Some(record) = found.record {
                    self.fill_record(identities, record, found);
                }
            }
            if self.policy.on_conflict == OnConflict::Replace {
                stale.iter().for_each(|record| self.remove_record(identities, record));
            }
        }
        let unrecorded: Vec<_> = fillable.iter_mut().filter(|found| found.record.is_none()).collect();
        if !unrecorded.is_empty() {
            self.add_records(metadata, unrecorded);
        }
    }

    fn fill_record(&mut self, identities: &Identities, record: &Record, found: &mut Fillable<'_>) {
        let path = [record.element.index];
        let (mut edits, steps) = complete(&record.written, &found.identity, Place::Metadata, &path);
        found.steps.extend(steps);
        if record.uuid.as_ref().is_none_or(|spelling| spelling.uuid != Ok(found.uuid)) {
            if record.has_other_uuid {
                let error = MetadataError::OtherUuid { span: record.element.start_tag };
                self.faults.push(Fault { span: error.span(), error: PlanError::Metadata(error) });
            }
            edits.push(rename(record, found.uuid));
            found.steps.push(Step::Rename(found.uuid));
        }
        self.edit(&identities.holder, edits);
    }

    fn remove_record(&mut self, identities: &Identities, record: &Record) {
        let span = with_lead(&self.document.text, record.element.span);
        let change = Change::Remove { element: vec![record.element.index] };
        self.edit(&identities.holder, vec![Edit { span, text: String::new(), change }]);
        let uuid = record.uuid.as_ref().map(|spelling| spelling.text.clone());
        self.decide(uuid, record.element.start_tag, vec![Step::RemoveStale]);
    }

    fn add_records(&mut self, metadata: &Metadata, unrecorded: Vec<&mut Fillable<'_>>) {
        let records = |prefix: &str| -> Vec<NewElement> {
            unrecorded.iter().map(|found| record_element(prefix, found.uuid, &found.identity)).collect()
        };
        let (holder, slot, elements) = match metadata {
            Metadata::Ours(ours) => (&ours.holder, &ours.slot, records(ours.element.prefix(&self.document.text))),
            Metadata::WithoutOurs { holder, slot } => {
                (holder, slot, vec![identities_element("mdev:", records("mdev:"))])
            }
            Metadata::Missing { holder, slot } => {
                let identities = identities_element("mdev:", records("mdev:"));
                (holder, slot, vec![NewElement::holding("metadata", vec![identities])])
            }
            Metadata::Unreadable(_) => return,
        };
        self.edit(holder, vec![Edit::add(slot, &[], elements)]);
        for found in unrecorded {
            found.steps.push(Step::Record(found.identity.clone()));
        }
    }

    fn decide(&mut self, uuid: Option<String>, span: Span, steps: Vec<Step>) {
        self.plan.decisions.push(Decision { uuid, span, steps });
    }

    fn edit(&mut self, holder: &Holder, edits: Vec<Edit>) {
        for edit in edits {
            let span = edit.span;
            if let Err(overlap) = self.plan.edits.add(&self.document.text, holder, edit) {
                self.faults.push(Fault { span, error: PlanError::Overlap(overlap) });
            }
        }
    }

    fn remark(&mut self, span: Span, kind: RemarkKind) {
        self.plan.remarks.push(Remark { span, kind });
    }
}

impl Fillable<'_> {
    /// What stands there and says something else, in the source and in the metadata, whichever of them is filled.
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

    fn fault_of_conflict(&self, Conflict { place, part, written, span }: Conflict) -> Fault {
        let found = self.identity.value(part);
        Fault { span, error: PlanError::Conflict { uuid: self.uuid, place, part, written, found } }
    }

    fn fault_of_elsewhere(&self, Conflict { place, part, written, span }: Conflict) -> Fault {
        let found = self.identity.value(part);
        Fault { span, error: PlanError::Elsewhere { uuid: self.uuid, place, part, written, found } }
    }
}
