//! A file that describes a host.

use thiserror::Error;

use super::record::HostRecord;
use super::recorded::{Duplicate, RecordedHost};
use crate::text::BOM;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// Why a file does not describe a host.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostFileError {
    /// Nothing but whitespace.
    #[error("the file is empty")]
    Empty,
    /// Larger than [`MAX_BYTES`].
    #[error("the file has more than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// It does not begin as JSON.
    #[error("the file begins with {0:?}, and the record of a host with '{{'")]
    NotJson(char),
    /// Not a record that can be read.
    #[error("the file is not the record of a host: {0}")]
    NotARecord(#[from] serde_json::Error),
    /// A device that appears twice.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
}

/// Reads a file that describes a host: what `virt-mdev list --json` prints. `name` is what messages call the file.
///
/// # Errors
/// If it is something else, or names a device twice.
pub fn read(name: &str, content: &[u8]) -> Result<RecordedHost, HostFileError> {
    if content.len() > MAX_BYTES {
        return Err(HostFileError::TooLarge);
    }
    let content = content.strip_prefix(BOM.encode_utf8(&mut [0; 3]).as_bytes()).unwrap_or(content);
    let record = match content.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return Err(HostFileError::Empty),
        Some(b'{') => serde_json::from_slice::<HostRecord>(content)?,
        Some(_) => {
            let text = String::from_utf8_lossy(content);
            let first =
                text.chars().find(|character| !character.is_whitespace()).unwrap_or(char::REPLACEMENT_CHARACTER);
            return Err(HostFileError::NotJson(first));
        }
    };
    Ok(RecordedHost::new(name, record)?)
}
