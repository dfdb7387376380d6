//! Removes identities.

use super::error::{PlanError, Remark, RemarkKind};
use super::{Decision, DeviceName, Place, Places, Plan, Step, span_of};
use crate::domain::{Document, EditScope, Hostdev, HostdevError, Metadata, Model, RecordKind, Source, with_lead};
use crate::edit::{Change, Edit};
use crate::text::Span;

/// Plans what `strip` does with a document: it removes what [`super::fill`] wrote, with the whitespace before it.
///
/// No device is looked up, so UUIDs need not be valid.
///
/// # Errors
/// Everything that keeps it from being done, in document order.
pub fn strip(document: &Document, from: Places) -> Result<Plan, Vec<PlanError>> {
    let mut stripping = Stripping { document, domain: 0, plan: Plan::default(), errors: Vec::new() };
    for (number, domain) in document.domains.iter().enumerate() {
        stripping.domain = number;
        if from.include(Place::Source) {
            domain.hostdevs.iter().for_each(|hostdev| stripping.strip_hostdev(hostdev));
        }
        if from.include(Place::Metadata) {
            domain.metadata.iter().for_each(|metadata| stripping.strip_metadata(metadata));
        }
    }
    let Stripping { mut plan, mut errors, .. } = stripping;
    plan.decisions.sort_by_key(|decision| decision.span);
    errors.sort_by_key(|error| error.span);
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

struct Stripping<'a> {
    document: &'a Document,
    /// The index of the domain that is being stripped.
    domain: usize,
    plan: Plan,
    errors: Vec<PlanError>,
}

impl Stripping<'_> {
    fn strip_hostdev(&mut self, hostdev: &Hostdev) {
        let span = span_of(hostdev);
        match &hostdev.model {
            Model::VfioPci(Ok(source)) => self.strip_source(source),
            // Without an address, fill has written nothing.
            Model::VfioPci(Err(
                HostdevError::NoSource { .. } | HostdevError::NoAddress { .. } | HostdevError::NoUuid { .. },
            )) => {}
            Model::VfioPci(Err(error)) => {
                self.errors.push(error.into());
            }
            Model::Other(model) => {
                self.plan.remarks.push(Remark { span, kind: RemarkKind::OtherModel(model.clone()) });
            }
        }
    }

    fn strip_source(&mut self, source: &Source) {
        let mut steps = Vec::new();
        for part in source.written.parts() {
            self.remove(&source.scope, part.element.span, part.element.index);
            steps.push(Step::Remove(Place::Source, part.part, part.text.clone()));
        }
        if !steps.is_empty() {
            let device = Some(DeviceName { kind: RecordKind::Mdev, text: source.uuid.text.clone() });
            self.plan.decisions.push(Decision { domain: self.domain, device, span: source.uuid.name, steps });
        }
    }

    fn strip_metadata(&mut self, metadata: &Metadata) {
        let identities = match metadata {
            Metadata::Missing { .. } | Metadata::WithoutOurs { .. } => return,
            Metadata::Unreadable(error) => return self.errors.push(error.into()),
            Metadata::Ours(identities) => identities,
        };
        match &identities.alone {
            Some((domain, metadata)) => self.remove(domain, metadata.span, metadata.index),
            // Further elements would count if they were left.
            None => std::iter::once(&identities.element)
                .chain(&identities.further)
                .for_each(|element| self.remove(&identities.metadata, element.span, element.index)),
        }
        let span = identities.element.start_tag;
        let steps = vec![Step::RemoveIdentities];
        self.plan.decisions.push(Decision { domain: self.domain, device: None, span, steps });
    }

    fn remove(&mut self, scope: &EditScope, element: Span, index: usize) {
        let span = with_lead(self.document.text(), element);
        let edit = Edit { span, text: String::new(), change: Change::Remove { element: vec![index] } };
        let added = self.plan.edits.add(self.document.text(), scope, edit);
        self.errors.extend(added.err().map(PlanError::from));
    }
}
