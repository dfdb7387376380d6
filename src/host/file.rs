//! A file that describes a host: a record, or libvirt's node devices.

use std::collections::HashSet;

use thiserror::Error;

use super::nodedev::{NodeDeviceError, NodeDevices};
use super::record::HostRecord;
use super::recorded::{Duplicate, RecordedHost};
use crate::text::{BOM, Span, abridged, floor_char_boundary, offset_of};

/// The largest file that a command reads, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// Why a file does not describe a host, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}")]
pub struct HostFileError {
    /// What is wrong.
    pub kind: HostFileErrorKind,
    /// Where, if it is at one place.
    pub span: Option<Span>,
}

/// What is wrong with a file that should describe a host.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HostFileErrorKind {
    /// Nothing but whitespace.
    #[error("the file is empty")]
    Empty,
    /// Not UTF-8.
    #[error("the file is not UTF-8")]
    NotUtf8,
    /// Neither JSON nor XML.
    #[error("the file begins with {0:?}: the record of a host begins with '{{', and XML with '<'")]
    OtherFormat(char),
    /// JSON that is not a record of this version.
    #[error("the file cannot be read as the record of a host: {0}")]
    NotARecord(String),
    /// XML that is not node devices.
    #[error(transparent)]
    NodeDevice(#[from] NodeDeviceError),
    /// Something that appears twice.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
}

impl From<HostFileErrorKind> for HostFileError {
    /// Returns the error without a place.
    fn from(kind: HostFileErrorKind) -> Self {
        Self { kind, span: None }
    }
}

impl HostFileErrorKind {
    fn at(self, span: Span) -> HostFileError {
        HostFileError { kind: self, span: Some(span) }
    }
}

/// Reads a file that describes a host: what `virt-mdev list --json` prints, or what `virsh nodedev-dumpxml` prints for each of
/// its devices. The first character tells JSON from XML. `name` is what messages call the file.
///
/// # Errors
/// If it is something else, or a device appears twice.
pub fn read(name: &str, content: &[u8]) -> Result<RecordedHost, HostFileError> {
    let text =
        std::str::from_utf8(content).map_err(|error| HostFileErrorKind::NotUtf8.at(Span::at(error.valid_up_to())))?;
    let without_mark = text.strip_prefix(BOM).unwrap_or(text);
    let start = text.len() - without_mark.len();
    let first = without_mark.char_indices().find(|(_, character)| !character.is_ascii_whitespace());
    let (record, not_started) = match first {
        None => return Err(HostFileErrorKind::Empty.into()),
        Some((_, '{')) => (read_record(without_mark, start)?, HashSet::new()),
        Some((_, '<')) => {
            let devices = NodeDevices::read(text);
            let devices = devices.map_err(|(error, span)| HostFileErrorKind::from(error).at(span))?;
            devices.into_record(name)
        }
        Some((at, other)) => return Err(HostFileErrorKind::OtherFormat(other).at(Span::at(start + at))),
    };
    let mut host = RecordedHost::new(name, record).map_err(HostFileErrorKind::from)?;
    host.not_started = not_started;
    Ok(host)
}

/// Reads a record that begins at `start` of the file.
fn read_record(text: &str, start: usize) -> Result<HostRecord, HostFileError> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let reason = abridged(message.strip_suffix(&place).unwrap_or(&message));
        // The column is that of the last byte that was read.
        let at = offset_of(text, error.line(), 1) + error.column().saturating_sub(1);
        let at = floor_char_boundary(text, at);
        HostFileErrorKind::NotARecord(reason).at(Span::at(start + at))
    })
}
