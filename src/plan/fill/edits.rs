//! The edits that carry out what was decided.

use std::collections::HashSet;

use super::super::claims::GuestKeys;
use super::super::error::{PlanError, PlanErrorKind, Remark, RemarkKind};
use super::super::write::{Attributes, complete, identities_element, kept_record};
use super::super::{Decision, DeviceName, Place, Step};
use super::Filling;
use super::judge::{Fillable, Left};
use crate::domain::{Domain, EditScope, Identities, Metadata, Record, with_lead};
use crate::edit::{Change, Edit, NewElement};
use crate::text::Span;

impl<'a> Filling<'a> {
    pub(super) fn fill_source(&mut self, found: &mut Fillable<'_>) {
        let Some(source) = found.target.source() else { return };
        let (edits, steps) = complete(&source.written, &found.device, Place::Source, &[]);
        self.edit(&source.scope, edits);
        found.steps.extend(steps);
    }

    pub(super) fn fill_metadata(
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

    pub(super) fn fill_record(
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

    pub(super) fn remove_record(&mut self, identities: &Identities, record: &Record) {
        let span = with_lead(self.document.text(), record.element.span);
        let change = Change::Remove { element: vec![record.element.index] };
        self.edit(&identities.scope, vec![Edit { span, text: String::new(), change }]);
        self.decide_about_record(record, vec![Step::RemoveStale]);
    }

    /// Removes the guest address and the alias from a record if another hostdev has them now: libvirt gives an address that became
    /// free to the next device.
    pub(super) fn release_place(&mut self, identities: &Identities, record: &Record, attributes: Attributes) {
        let (edits, steps) = attributes.edits(record);
        if !steps.is_empty() {
            self.edit(&identities.scope, edits);
            self.decide_about_record(record, steps);
        }
    }

    pub(super) fn add_records(&mut self, metadata: &Metadata, unrecorded: Vec<&mut Fillable<'_>>) {
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

    /// Notes the records that the domain has afterwards, for [`identities`](super::identities).
    pub(super) fn keep_records(
        &mut self,
        domain: &Domain,
        fillable: &[Fillable<'_>],
        left: &[Left<'_>],
        stale: &[&Record],
    ) {
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

    pub(super) fn decide_about_record(&mut self, record: &Record, steps: Vec<Step>) {
        let device = DeviceName::of_record(record);
        self.plan.decisions.push(Decision { domain: self.domain, device, span: record.element.start_tag, steps });
    }

    pub(super) fn edit(&mut self, scope: &EditScope, edits: Vec<Edit>) {
        for edit in edits {
            let span = edit.span;
            if let Err(overlap) = self.plan.edits.add(self.document.text(), scope, edit) {
                self.errors.push(PlanError { span, kind: PlanErrorKind::Overlap(overlap) });
            }
        }
    }

    pub(super) fn remark(&mut self, span: Span, kind: RemarkKind) {
        self.plan.remarks.push(Remark { span, kind });
    }
}
