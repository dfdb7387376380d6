//! What `--dry-run --json` prints: an object for each device or record that would change.

use serde::Serialize;

use super::super::json::Parts;
use crate::device::Part;
use crate::domain::{Document, RecordKind};
use crate::plan::{Decision, Place, Plan, Step};
use crate::report::Origin;
use crate::text::Position;

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
    #[serde(flatten)]
    place: Position,
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
    let change = |decision: &Decision| Change {
        file: origin.name().to_owned(),
        domain: document.domains.get(decision.domain).and_then(|domain| domain.name.clone()),
        uuid: name_of(decision, RecordKind::Mdev),
        source: name_of(decision, RecordKind::Pci),
        place: origin.place(decision.span),
        steps: decision.steps.iter().map(StepObject::of).collect(),
    };
    plan.decisions.iter().map(change).collect()
}

/// Returns the name of a decision's device, if it is of this kind.
fn name_of(decision: &Decision, kind: RecordKind) -> Option<String> {
    decision.device.as_ref().filter(|device| device.kind == kind).map(|device| device.text.clone())
}

impl StepObject {
    fn of(step: &Step) -> Self {
        let of_part = |action, place: Place, part: Part, from: Option<&String>, to: Option<&String>| Self {
            part: Some(part.element()),
            from: from.cloned(),
            to: to.cloned(),
            ..Self::new(action, place)
        };
        let in_metadata = |action| Self::new(action, Place::Metadata);
        match step {
            Step::Add(place, part, value) => of_part("add", *place, *part, None, Some(value)),
            Step::Replace(place, part, old, new) => of_part("replace", *place, *part, Some(old), Some(new)),
            Step::Remove(place, part, value) => of_part("remove", *place, *part, Some(value), None),
            Step::Record(device) => Self { identity: Some(Parts::from(device)), ..in_metadata("record") },
            Step::Attribute(name, Some(value)) => {
                Self { part: Some(name), to: Some(value.clone()), ..in_metadata("set") }
            }
            Step::Attribute(name, None) => Self { part: Some(name), ..in_metadata("remove") },
            Step::RemoveStale => in_metadata("remove-record"),
            Step::RemoveIdentities => in_metadata("remove-all-records"),
        }
    }

    fn new(action: &'static str, place: Place) -> Self {
        Self { action, place: place.name(), ..Self::default() }
    }
}
