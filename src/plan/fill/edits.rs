//! The edits that carry out what was decided.

use super::super::claims::HostdevKeys;
use super::super::error::{PlanError, Remark, RemarkKind};
use super::super::write::{Attributes, complete, identities_element, kept_record};
use super::super::{Decision, DeviceName, Place, Step};
use super::Filling;
use super::judge::{Fillable, Left};
use crate::domain::{EditScope, Identities, Metadata, Record, with_lead};
use crate::edit::{Change, Edit, NewElement};
use crate::text::Span;

impl<'a> Filling<'a> {
    pub(super) fn fill_source(&mut self, found: &mut Fillable<'_>) {
        let Some(source) = found.hostdev.source() else { return };
        let (edits, steps) = complete(&source.written, &found.device, Place::Source, &[]);
        self.edit(&source.scope, edits);
        found.steps.extend(steps);
    }

    pub(super) fn fill_metadata(
        &mut self,
        metadata: &Metadata,
        fillable: &mut [Fillable<'_>],
        left: &[Left<'_>],
        stale: &[&Record],
        places: &HostdevKeys<'_>,
    ) {
        let first = fillable.iter_mut().filter(|found| !found.is_twin);
        let (recorded, unrecorded): (Vec<_>, Vec<_>) = first.partition(|found| found.record.is_some());
        if let Metadata::Ours(identities) = metadata {
            for found in recorded {
                self.fill_record(identities, found, places);
            }
            for Left { guest, record, .. } in left {
                self.release_place(identities, record, Attributes::of_another(record, guest, places));
            }
            for record in stale {
                if self.removes_stale() {
                    self.remove_record(identities, record);
                } else {
                    self.release_place(identities, record, Attributes::for_none(record, places));
                }
            }
        }
        if !unrecorded.is_empty() {
            self.add_records(metadata, unrecorded);
        }
    }

    fn fill_record(&mut self, identities: &Identities, found: &mut Fillable<'_>, places: &HostdevKeys<'_>) {
        let Some(record) = found.record else { return };
        let path = [record.element.index];
        let (mut edits, steps) = complete(&record.written, &found.device, Place::Metadata, &path);
        found.steps.extend(steps);
        let attributes = Attributes::for_hostdev(record, found.address, found.hostdev.guest(), places);
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

    /// Returns the records that the domain has afterwards, for [`identities`](super::identities).
    pub(super) fn kept_records(
        &self,
        fillable: &[Fillable<'_>],
        left: &[Left<'_>],
        stale: &[&Record],
        places: &HostdevKeys<'_>,
    ) -> Vec<NewElement> {
        let filled = fillable.iter().filter(|found| !found.is_twin);
        let filled = filled.map(|found| (found.hostdev.start(), found.record_element("")));
        let left = left.iter().map(|Left { guest, start, record }| {
            (*start, kept_record("", record, &Attributes::of_another(record, guest, places)))
        });
        let mut of_hostdevs: Vec<_> = filled.chain(left).collect();
        of_hostdevs.sort_by_key(|(start, _)| *start);
        let stale = stale.iter().filter(|_| !self.removes_stale());
        let stale = stale.map(|record| kept_record("", record, &Attributes::for_none(record, places)));
        of_hostdevs.into_iter().map(|(_, record)| record).chain(stale).collect()
    }

    fn decide_about_record(&mut self, record: &Record, steps: Vec<Step>) {
        let device = DeviceName::of_record(record);
        self.plan.decisions.push(Decision { domain: self.domain, device, span: record.element.start_tag, steps });
    }

    fn edit(&mut self, scope: &EditScope, edits: Vec<Edit>) {
        for edit in edits {
            let added = self.plan.edits.add(self.document.text(), scope, edit);
            self.errors.extend(added.err().map(PlanError::from));
        }
    }

    pub(super) fn remark(&mut self, span: Span, kind: RemarkKind) {
        self.plan.remarks.push(Remark { span, kind });
    }
}
