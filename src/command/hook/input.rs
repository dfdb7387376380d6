//! Reading the domain that libvirt gives a hook, whatever its length.

use std::io::{self, Read};

use memchr::memmem;

use crate::domain::{MAX_BYTES, Search, Suspicion};

/// The domain on standard input.
pub(super) struct Input {
    /// All of it, if it is not too large to be read as a document.
    pub bytes: Option<Vec<u8>>,
    /// How many bytes it has.
    pub total: usize,
    /// Whether the letters `mdev` are in it.
    pub mentions_mdev: bool,
    /// What may be in it if it cannot be read as a document.
    pub suspicion: Suspicion,
}

/// Reads all of standard input, whatever its length, and keeps what can be read as a document.
pub(super) fn read_domain() -> io::Result<Input> {
    let mut stdin = io::stdin().lock();
    let mut bytes = Vec::new();
    let mut total = 0;
    let mut mentions_mdev = false;
    let mut search = Search::new();
    // The last bytes of one chunk and the first of the next may be the four letters.
    let mut last = [0; 3];
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
        if !mentions_mdev {
            let seam: Vec<u8> = last.iter().chain(read.iter().take(3)).copied().collect();
            mentions_mdev = [read, &seam].iter().any(|bytes| memmem::find(bytes, b"mdev").is_some());
            let tail = &seam[seam.len().saturating_sub(3)..];
            let tail = if length >= 3 { &read[length - 3..] } else { tail };
            last[3 - tail.len()..].copy_from_slice(tail);
        }
        if total <= MAX_BYTES {
            bytes.extend_from_slice(read);
        } else {
            bytes = Vec::new();
        }
    }
    let bytes = (total <= MAX_BYTES).then_some(bytes);
    Ok(Input { bytes, total, mentions_mdev, suspicion: search.finish() })
}
