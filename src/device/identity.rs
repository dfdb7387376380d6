//! What stands behind a UUID: vendor and product of the parent PCI device, and the type's name in sysfs.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text::{is_xml_char, is_xml_space};

/// A PCI vendor or device id: 16 bits, shown as the kernel's sysfs and libvirt show it, `0x%04x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciId(u16);

/// Why a text is no PCI id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PciIdError {
    /// Not a number as C's `strtoul` reads one with base 0.
    #[error("it is not a number (hexadecimal wants its 0x)")]
    NotANumber,
    /// A number beyond 16 bits.
    #[error("it is larger than 0xffff")]
    TooLarge,
}

impl From<u16> for PciId {
    fn from(id: u16) -> Self {
        Self(id)
    }
}

impl FromStr for PciId {
    type Err = PciIdError;

    /// Parses a number as libvirt does. Whitespace around it is ignored.
    fn from_str(text: &str) -> Result<Self, PciIdError> {
        let (digits, radix) = digits_and_radix(text).ok_or(PciIdError::NotANumber)?;
        u16::from_str_radix(digits, radix).map(Self).map_err(|_| PciIdError::TooLarge)
    }
}

/// Splits a number as C's `strtoul` does with base 0, which libvirt uses for ids and addresses (`virStrToLong_ui`): `0x`
/// begins a hexadecimal number, `0` an octal one. Returns `None` if it has other characters than digits.
pub(super) fn digits_and_radix(text: &str) -> Option<(&str, u32)> {
    let text = text.trim_matches(is_xml_space);
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    is_number.then_some((digits, radix))
}

impl fmt::Display for PciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.0)
    }
}

/// The name of an mdev type: its directory under the parent's `mdev_supported_types`, as `i915-GVTg_V5_4` or `nvidia-474`.
///
/// Always a name that XML can hold and give back: not empty, no character that XML lacks, no white space at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MdevType(String);

/// Why a name cannot be written down as an mdev type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MdevTypeError {
    /// There is no name.
    #[error("it is empty")]
    Empty,
    /// The kernel takes any bytes for a name; XML takes characters only.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A character that no XML document can hold.
    #[error("XML cannot hold the character {0:?}")]
    NotXml(char),
    /// White space at either end, which readers of XML drop.
    #[error("it begins or ends with white space")]
    SurroundingSpace,
}

impl MdevType {
    /// Takes the name as the kernel gives it: any bytes.
    ///
    /// # Errors
    /// Where XML could not hold the name, or would not give it back as it is.
    pub fn from_bytes(name: &[u8]) -> Result<Self, MdevTypeError> {
        std::str::from_utf8(name).map_err(|_| MdevTypeError::NotUtf8)?.parse()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MdevType {
    type Err = MdevTypeError;

    fn from_str(name: &str) -> Result<Self, MdevTypeError> {
        if name.is_empty() {
            return Err(MdevTypeError::Empty);
        }
        if let Some(bad) = name.chars().find(|character| !is_xml_char(*character)) {
            return Err(MdevTypeError::NotXml(bad));
        }
        if name.trim() != name {
            return Err(MdevTypeError::SurroundingSpace);
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for MdevType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a mediated device is. Two devices agree, for a migration, when this is equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Vendor id of the parent PCI device.
    pub vendor: PciId,
    /// Device id of the parent PCI device, which libvirt calls product.
    pub product: PciId,
    /// The type that the device was created from.
    pub mdev_type: MdevType,
}

/// One of the three parts of an identity, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `vendorid`.
    Vendor,
    /// `productid`.
    Product,
    /// `mdevtype`.
    MdevType,
}

impl Part {
    /// All parts, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Vendor, Self::Product, Self::MdevType];

    /// The name of the element that holds it, in a `source` and in metadata.
    pub fn element(self) -> &'static str {
        match self {
            Self::Vendor => "vendorid",
            Self::Product => "productid",
            Self::MdevType => "mdevtype",
        }
    }

    /// The part that an element of this name holds.
    pub fn of_element(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.element() == name)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.element())
    }
}

impl Identity {
    /// The value of one part, as it is written.
    pub fn value(&self, part: Part) -> String {
        match part {
            Part::Vendor => self.vendor.to_string(),
            Part::Product => self.product.to_string(),
            Part::MdevType => self.mdev_type.to_string(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.vendor, self.product, self.mdev_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_as_libvirt_reads_them() {
        for text in ["0x8086", "0X8086", "32902", "0100206", " 0x8086\n", "0x08086"] {
            assert_eq!(text.parse(), Ok(PciId(0x8086)), "{text:?}");
        }
        assert_eq!("0".parse(), Ok(PciId(0)));
        assert_eq!("0xffff".parse(), Ok(PciId(0xffff)));
        assert_eq!(PciId(0x86).to_string(), "0x0086");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", " ", "10de", "0x", "0x 1", "08", "-1", "+1", "0x10dez", "0x+1", "1 2"] {
            assert_eq!(text.parse::<PciId>(), Err(PciIdError::NotANumber), "{text:?}");
        }
        for text in ["0x10000", "65536", "0200000", "99999999999999999999"] {
            assert_eq!(text.parse::<PciId>(), Err(PciIdError::TooLarge), "{text:?}");
        }
    }

    #[test]
    fn a_type_name_is_what_xml_can_hold_and_give_back() {
        assert_eq!(MdevType::from_bytes(b"a>b c").unwrap().as_str(), "a>b c");
        for (name, error) in [
            (&b""[..], MdevTypeError::Empty),
            (b"nvidia\xff", MdevTypeError::NotUtf8),
            (b"a\x01b", MdevTypeError::NotXml('\x01')),
            ("a\u{ffff}b".as_bytes(), MdevTypeError::NotXml('\u{ffff}')),
            (b" a", MdevTypeError::SurroundingSpace),
            (b"a ", MdevTypeError::SurroundingSpace),
        ] {
            assert_eq!(MdevType::from_bytes(name), Err(error), "{name:?}");
        }
    }
}
