//! The UUID that names a mediated device on its host.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use thiserror::Error;

/// The UUID of a mediated device, independent of how a document spells it.
///
/// It is parsed as libvirt parses the `uuid` attribute of a hostdev's address (`virUUIDParse` in `src/util/viruuid.c`):
/// whitespace around it, pairs of hexadecimal digits in any case, dashes and spaces before any pair. It is shown as sysfs shows
/// it: lower case, in groups of 8, 4, 4, 4 and 12.
///
/// ```
/// use virt_mdev::device::Uuid;
///
/// let uuid: Uuid = " C2177883F1BB-47f0-914D-32a22e3a8804".parse()?;
/// assert_eq!(uuid.to_string(), "c2177883-f1bb-47f0-914d-32a22e3a8804");
/// # Ok::<(), virt_mdev::device::UuidError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// Why text is not a UUID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UuidError {
    /// Nothing but whitespace.
    #[error("it is empty")]
    Empty,
    /// A character that is not a digit, nor a separator where one is allowed.
    #[error("{0:?} is not a hexadecimal digit")]
    NotHexadecimal(char),
    /// Fewer than 32 digits.
    #[error("it has {0} of 32 hexadecimal digits")]
    TooShort(usize),
    /// Something other than whitespace after the 32nd digit.
    #[error("more follows the 32nd hexadecimal digit")]
    TooLong,
}

impl Uuid {
    /// Returns a UUID that follows from `seed`, the same for the same seed in the same build: version 8 of RFC 9562.
    pub fn derived(seed: &impl Hash) -> Self {
        let half = |which: u8| {
            let mut hasher = DefaultHasher::new();
            (which, seed).hash(&mut hasher);
            hasher.finish().to_be_bytes()
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&half(0));
        bytes[8..].copy_from_slice(&half(1));
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

/// Whether it is whitespace for GLib's `g_ascii_isspace`, which libvirt skips at both ends.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\x0c' | '\r')
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let mut rest = text.trim_start_matches(is_space).chars();
        let mut bytes = [0; 16];
        let mut digits = 0;
        while digits < 32 {
            let character = match rest.next() {
                Some(character) => character,
                None if text.trim_matches(is_space).is_empty() => return Err(UuidError::Empty),
                None => return Err(UuidError::TooShort(digits)),
            };
            // A separator may come before a pair, never inside one.
            if digits % 2 == 0 && matches!(character, '-' | ' ') {
                continue;
            }
            let digit = character.to_digit(16).ok_or(UuidError::NotHexadecimal(character))?;
            bytes[digits / 2] = bytes[digits / 2] << 4 | digit as u8;
            digits += 1;
        }
        if rest.any(|character| !is_space(character)) {
            return Err(UuidError::TooLong);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // One piece instead of twenty: a fleet has millions of them to show.
        let mut text = String::with_capacity(36);
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DASHED: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

    #[test]
    fn every_spelling_that_libvirt_takes_is_the_same_uuid() {
        for spelling in [
            DASHED,
            "C2177883-F1BB-47F0-914D-32A22E3A8804",
            "c2177883f1bb47f0914d32a22e3a8804",
            " \t\r\n-c2177883-f1bb-47f0-914d-32a22e3a8804 \n",
            "c2 17 78 83 f1-bb--47f0 - 914d32a22e3a8804",
        ] {
            let uuid: Uuid = spelling.parse().unwrap_or_else(|error| panic!("{spelling:?}: {error}"));
            assert_eq!(uuid.to_string(), DASHED, "{spelling:?}");
        }
    }

    #[test]
    fn what_libvirt_refuses_is_refused_with_its_reason() {
        for (text, error) in [
            ("", UuidError::Empty),
            (" \n", UuidError::Empty),
            ("your-gpu-uuid-here", UuidError::NotHexadecimal('y')),
            ("../../../etc", UuidError::NotHexadecimal('.')),
            ("c-2177883f1bb47f0914d32a22e3a8804", UuidError::NotHexadecimal('-')),
            ("c2\t177883f1bb47f0914d32a22e3a8804", UuidError::NotHexadecimal('\t')),
            ("c2177883-f1bb-47f0-914d-32a22e3a880", UuidError::TooShort(31)),
            ("c2177883-f1bb-47f0-914d-32a22e3a8804-", UuidError::TooLong),
            ("c2177883-f1bb-47f0-914d-32a22e3a8804 0", UuidError::TooLong),
            ("{c2177883-f1bb-47f0-914d-32a22e3a8804}", UuidError::NotHexadecimal('{')),
            ("ｃ2177883-f1bb-47f0-914d-32a22e3a8804", UuidError::NotHexadecimal('ｃ')),
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(error), "{text:?}");
        }
    }
}
