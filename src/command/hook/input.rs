//! Reading the domain that libvirt gives a hook, whatever its length.

use std::io::{self, Read};

use crate::domain::{MAX_BYTES, Search, Suspicion};

/// The domain on standard input.
pub(super) struct Input {
    /// All of it, if it is not too large to be read as a document.
    pub bytes: Option<Vec<u8>>,
    /// How many bytes it has.
    pub total: usize,
    /// What may be in it if it cannot be read as a document.
    pub suspicion: Suspicion,
}

/// Reads all of standard input, whatever its length, and keeps what can be read as a document.
pub(super) fn read_domain() -> io::Result<Input> {
    let mut stdin = io::stdin().lock();
    let mut bytes = Vec::new();
    let mut total = 0;
    let mut search = Search::default();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = match stdin.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let read = &chunk[..length];
        total += length;
        search.feed(read);
        if total <= MAX_BYTES {
            bytes.extend_from_slice(read);
        } else {
            bytes = Vec::new();
        }
    }
    let bytes = (total <= MAX_BYTES).then_some(bytes);
    Ok(Input { bytes, total, suspicion: search.finish() })
}
