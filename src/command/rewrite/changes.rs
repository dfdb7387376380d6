//! What `--dry-run --json` prints: an object for each device or record that would change.

use serde::Serialize;

use super::super::json::Parts;
use crate::device::DeviceAddress;
use crate::domain::{Document, RecordKind};
use crate::plan::{Decision, Place, Plan, Step};
use crate::report::Origin;

/// A device or a record that would change.
#[derive(Serialize)]
pub(in super::super) struct Change {
    file: String,
    domain: Option<String>,
    /// That of a mediated device, as the document spells it.
    uuid: Option<String>,
    /// The source address of a PCI device.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    line: usize,
    column: usize,
    steps: Vec<StepObject>,
}

/// One step of a change. Fields without a value are not printed.
#[derive(Default, Serialize)]
struct StepObject {
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The identity that a new record has.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Parts>,
    place: &'static str,
}

/// Returns what a plan would change in a document.
pub(super) fn changes(document: &Document, plan: &Plan, origin: &Origin<'_>) -> Vec<Change> {
    let change = |decision: &Decision| {
        let place = origin.place(decision.span);
        Change {
            file: origin.name().to_owned(),
            domain: document.domains.get(decision.domain).and_then(|domain| domain.name.clone()),
            uuid: name_of(decision, RecordKind::Mdev),
            source: name_of(decision, RecordKind::Pci),
            line: place.line,
            column: place.column,
            steps: decision.steps.iter().map(StepObject::of).collect(),
        }
    };
    plan.decisions.iter().map(change).collect()
}

/// Returns the name of a decision's device, if it is of this kind.
fn name_of(decision: &Decision, kind: RecordKind) -> Option<String> {
    decision.device.as_ref().filter(|device| device.kind == kind).map(|device| device.text.clone())
}

impl StepObject {
    fn of(step: &Step) -> Self {
        let in_metadata = |action| Self { action, place: Place::Metadata.name(), ..Self::default() };
        match step {
            Step::Add(place, part, value) => Self {
                action: "add",
                part: Some(part.element()),
                to: Some(value.clone()),
                place: place.name(),
                ..Self::default()
            },
            Step::Replace(place, part, old, new) => Self {
                action: "replace",
                part: Some(part.element()),
                from: Some(old.clone()),
                to: Some(new.clone()),
                place: place.name(),
                ..Self::default()
            },
            Step::Remove(place, part, value) => Self {
                action: "remove",
                part: Some(part.element()),
                from: Some(value.clone()),
                place: place.name(),
                ..Self::default()
            },
            Step::Record(device) => Self { identity: Some(Parts::from(device)), ..in_metadata("record") },
            Step::Rename(DeviceAddress::Mdev(uuid)) => {
                Self { part: Some("uuid"), to: Some(uuid.to_string()), ..in_metadata("set") }
            }
            Step::Rename(DeviceAddress::Pci(address)) => {
                Self { part: Some("source"), to: Some(address.to_string()), ..in_metadata("set") }
            }
            Step::Attribute(name, Some(value)) => {
                Self { part: Some(name), to: Some(value.clone()), ..in_metadata("set") }
            }
            Step::Attribute(name, None) => Self { part: Some(name), ..in_metadata("remove") },
            Step::RemoveStale => in_metadata("remove-record"),
            Step::RemoveIdentities => in_metadata("remove-all-records"),
        }
    }
}
