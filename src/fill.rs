//! The main job of the crate in one call.

use thiserror::Error;

use crate::domain::{Document, MAX_BYTES, ReadError};
use crate::edit::ProofError;
use crate::host::HostSource;
use crate::plan::PlanError;
use crate::plan::fill::{self, Policy};
use crate::text::{Lines, Span};

/// Records in a document what its mediated devices and vGPUs are on a host, and returns the new document.
///
/// This reads the document, asks the host about its devices, plans the edits, applies them and verifies the result. It changes
/// no other byte, and filling the result again changes nothing. To see the warnings and each decision too, call
/// [`plan::fill::fill`](crate::plan::fill::fill).
///
/// # Errors
/// If the document cannot be read, if the host or the policy does not allow to fill each device, or if the result cannot be
/// verified.
pub fn fill(xml: impl Into<Vec<u8>>, host: &HostSource, policy: &Policy) -> Result<String, FillError> {
    let document = Document::read(xml.into())?;
    let answers = host.ask(policy.devices_of(&document));
    match fill::fill(&document, &answers, policy) {
        Ok(plan) => match plan.edits.edited_len(document.text()) {
            0..=MAX_BYTES => Ok(plan.edits.apply_proven(document.text())?),
            bytes => Err(FillError::TooLarge { bytes }),
        },
        Err(errors) => Err(FillError::Plan { errors, text: document.into_text() }),
    }
}

/// Why a document was not filled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FillError {
    /// The document cannot be read.
    #[error("{}", at(&.0.text, .0.span, .0))]
    Read(#[from] Box<ReadError>),
    /// The devices cannot be filled.
    #[error("{}", errors.iter().map(|error| at(text, error.span, &error.kind)).collect::<Vec<_>>().join("\n"))]
    Plan {
        /// What is wrong, in the order of the document; at least one.
        errors: Vec<PlanError>,
        /// The text that the spans refer to.
        text: String,
    },
    /// libvirt takes no document as large as the result.
    #[error("the document would have {bytes} bytes, and libvirt takes at most {MAX_BYTES}")]
    TooLarge {
        /// The size of the result.
        bytes: usize,
    },
    /// The result is not what was planned: a bug of this crate, except for [`ProofError::Refused`].
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// Returns an error and its causes, after the line and column.
fn at(text: &str, span: Span, error: &dyn std::error::Error) -> String {
    let mut message = format!("{}: {error}", Lines::new(text).place(span.start));
    let mut source = error.source();
    while let Some(cause) = source {
        message += &format!(": {cause}");
        source = cause.source();
    }
    message
}
