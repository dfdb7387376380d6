//! What `--json` prints: an array of objects.

use serde::Serialize;

use super::Failure;
use crate::device::{Identity, Part};
use crate::domain::RecordedIdentity;
use crate::report::Diagnostic;

/// What was found in a document, or why it failed.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Entry<T> {
    /// One of the results.
    Found(T),
    /// The document that failed.
    Failed(FailedDocument),
}

/// A document that could not be read or judged.
#[derive(Serialize)]
pub(super) struct FailedDocument {
    file: String,
    error: Vec<String>,
}

impl<T> Entry<T> {
    /// Returns an entry for a document with these errors.
    pub(super) fn failed(file: String, errors: &[Diagnostic]) -> Self {
        Self::Failed(FailedDocument { file, error: errors.iter().map(|error| error.message.clone()).collect() })
    }
}

/// The parts of an identity by the names of their elements. A missing part is left out.
#[derive(Default, Serialize)]
pub(super) struct Parts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vendorid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) productid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mdevtype: Option<String>,
}

impl From<&RecordedIdentity> for Parts {
    fn from(recorded: &RecordedIdentity) -> Self {
        let text = |part| recorded.get(part).map(|part| part.text.clone());
        Self { vendorid: text(Part::Vendor), productid: text(Part::Product), mdevtype: text(Part::MdevType) }
    }
}

impl From<&Identity> for Parts {
    fn from(identity: &Identity) -> Self {
        let value = |part| Some(identity.value(part));
        Self { vendorid: value(Part::Vendor), productid: value(Part::Product), mdevtype: value(Part::MdevType) }
    }
}

/// Returns an array as text for a terminal or a program.
pub(super) fn array<T: Serialize>(entries: &[T]) -> Result<String, Failure> {
    serde_json::to_string_pretty(entries)
        .map(|text| without_controls(&text) + "\n")
        .map_err(|error| Failure::of(Diagnostic::error(format!("cannot write JSON: {error}"))))
}

/// Escapes U+007F to U+009F, which JSON allows as they are and a terminal obeys.
fn without_controls(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' => shown.push_str(&format!("\\u{:04x}", u32::from(character))),
            plain => shown.push(plain),
        }
    }
    shown
}
