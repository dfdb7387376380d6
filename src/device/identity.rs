//! What a device is: the vendor and product id of its PCI device, and its type or class.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use thiserror::Error;

use crate::text::{is_xml_char, is_xml_space};

/// A PCI vendor or device id: 16 bits, shown as the kernel's sysfs and libvirt show it, `0x%04x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciId(u16);

/// Why text is not a PCI id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PciIdError {
    /// Not a number as C's `strtoul` reads one with base 0.
    #[error("it is not a number (hexadecimal wants its 0x)")]
    NotANumber,
    /// More than 16 bits.
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
/// Always a name that XML can hold and give back: not empty, without characters that XML does not allow, and without
/// whitespace at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MdevType(String);

/// Why a name cannot be recorded as an mdev type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MdevTypeError {
    /// The name is empty.
    #[error("it is empty")]
    Empty,
    /// The kernel allows any bytes in a name, XML only characters.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A character that no XML document can hold.
    #[error("XML cannot hold the character {0:?}")]
    NotXml(char),
    /// Whitespace at either end, which readers of XML drop.
    #[error("it begins or ends with whitespace")]
    SurroundingSpace,
}

impl MdevType {
    /// Parses the name as the kernel gives it: any bytes.
    ///
    /// # Errors
    /// If XML cannot hold the name, or would not give it back unchanged.
    pub fn from_bytes(name: &[u8]) -> Result<Self, MdevTypeError> {
        std::str::from_utf8(name).map_err(|_| MdevTypeError::NotUtf8)?.parse()
    }

    /// Returns the name as text.
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

/// The type of a vGPU that is a virtual function: the number in its `nvidia/current_vgpu_type`, which is never 0.
///
/// It is shown as libvirt and NVIDIA name the mdev type of the same number: `nvidia-1148`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VgpuType(NonZeroU32);

/// Text that is not `nvidia-` and a number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it is not nvidia- and a number")]
pub struct VgpuTypeError;

impl VgpuType {
    const PREFIX: &str = "nvidia-";

    /// Returns the type of this number, or `None` for 0, which means that none is set.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Returns its number, as the driver takes it.
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

impl FromStr for VgpuType {
    type Err = VgpuTypeError;

    fn from_str(text: &str) -> Result<Self, VgpuTypeError> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(VgpuTypeError)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten().map(Self).ok_or(VgpuTypeError)
    }
}

impl fmt::Display for VgpuType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0)
    }
}

/// The class of a PCI device: class, subclass and programming interface, 24 bits, shown as sysfs shows them, `0x%06x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciClass(u32);

/// Why text is not a PCI class.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PciClassError {
    /// Not a number as C's `strtoul` reads one with base 0.
    #[error("it is not a number")]
    NotANumber,
    /// More than 24 bits.
    #[error("it is larger than 0xffffff")]
    TooLarge,
}

impl PciClass {
    const MAX: u32 = 0xff_ffff;
}

impl FromStr for PciClass {
    type Err = PciClassError;

    fn from_str(text: &str) -> Result<Self, PciClassError> {
        let (digits, radix) = digits_and_radix(text).ok_or(PciClassError::NotANumber)?;
        let number = u32::from_str_radix(digits, radix).ok().filter(|number| *number <= Self::MAX);
        number.map(Self).ok_or(PciClassError::TooLarge)
    }
}

impl fmt::Display for PciClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:06x}", self.0)
    }
}

/// The subsystem vendor and device id of a PCI device, which name the board: `0x10de 0x1851`.
///
/// They are not part of an identity, since vendors allow migration between some boards. A difference is worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subsystem {
    /// The subsystem vendor id.
    pub vendor: PciId,
    /// The subsystem device id.
    pub device: PciId,
}

impl FromStr for Subsystem {
    type Err = PciIdError;

    /// Parses two ids with whitespace between them.
    fn from_str(text: &str) -> Result<Self, PciIdError> {
        let mut ids = text.split(is_xml_space).filter(|id| !id.is_empty());
        match (ids.next(), ids.next(), ids.next()) {
            (Some(vendor), Some(device), None) => Ok(Self { vendor: vendor.parse()?, device: device.parse()? }),
            _ => Err(PciIdError::NotANumber),
        }
    }
}

impl fmt::Display for Subsystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.vendor, self.device)
    }
}

/// What a device is. Two devices agree, for a migration, if their identities are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Vendor id of the PCI device; of a mediated device, that of its parent.
    pub vendor: PciId,
    /// Device id of the PCI device, which libvirt calls product; of a mediated device, that of its parent.
    pub product: PciId,
    /// What kind of device it is.
    pub kind: DeviceKind,
}

/// The kinds of devices, each with what tells two devices of equal ids apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A mediated device, by the type that it was created from.
    Mdev(MdevType),
    /// A vGPU that is a virtual function, by its type.
    Vgpu(VgpuType),
    /// Any other PCI device, by its class.
    Pci(PciClass),
}

/// What a host knows of a device: its identity, and what is recorded beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The identity, which decides.
    pub identity: Identity,
    /// The subsystem ids of a PCI device.
    pub subsystem: Option<Subsystem>,
    /// Whether it is a PCI virtual function.
    pub is_virtual_function: bool,
    /// Whether mdevctl has defined it and it is not started.
    pub is_defined_only: bool,
}

impl From<Identity> for Device {
    /// A device with this identity. Nothing else is known of it.
    fn from(identity: Identity) -> Self {
        Self { identity, subsystem: None, is_virtual_function: false, is_defined_only: false }
    }
}

/// A part of what is recorded of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// `vendorid`.
    Vendor,
    /// `productid`.
    Product,
    /// `mdevtype`, of a mediated device.
    MdevType,
    /// `vgputype`, of a vGPU that is a virtual function.
    VgpuType,
    /// `class`, of any other PCI device.
    Class,
    /// `subsystem`, of a PCI device. It is not part of the identity.
    Subsystem,
}

impl Part {
    /// How many parts there are.
    pub(crate) const COUNT: usize = 6;
    /// The parts of a mediated device, in the order in which they are written.
    pub const OF_MDEV: [Self; 3] = [Self::Vendor, Self::Product, Self::MdevType];
    /// The parts that a PCI device may have, in the order in which they are written.
    pub const OF_PCI: [Self; 5] = [Self::Vendor, Self::Product, Self::VgpuType, Self::Class, Self::Subsystem];

    /// Returns the name of the element that holds it, in a `source` and in metadata.
    pub fn element(self) -> &'static str {
        match self {
            Self::Vendor => "vendorid",
            Self::Product => "productid",
            Self::MdevType => "mdevtype",
            Self::VgpuType => "vgputype",
            Self::Class => "class",
            Self::Subsystem => "subsystem",
        }
    }

    /// Whether it decides whether two devices agree.
    pub fn is_of_identity(self) -> bool {
        self != Self::Subsystem
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.element())
    }
}

impl Identity {
    /// Returns the type of a vGPU that is a virtual function.
    pub fn vgpu_type(&self) -> Option<VgpuType> {
        match self.kind {
            DeviceKind::Vgpu(vgpu_type) => Some(vgpu_type),
            _ => None,
        }
    }

    /// Returns the part that tells devices of equal ids apart.
    pub fn kind_part(&self) -> Part {
        match self.kind {
            DeviceKind::Mdev(_) => Part::MdevType,
            DeviceKind::Vgpu(_) => Part::VgpuType,
            DeviceKind::Pci(_) => Part::Class,
        }
    }

    /// Returns the value of one part, as it is written, if the identity has the part.
    pub fn value(&self, part: Part) -> Option<String> {
        match (part, &self.kind) {
            (Part::Vendor, _) => Some(self.vendor.to_string()),
            (Part::Product, _) => Some(self.product.to_string()),
            (Part::MdevType, DeviceKind::Mdev(mdev_type)) => Some(mdev_type.to_string()),
            (Part::VgpuType, DeviceKind::Vgpu(vgpu_type)) => Some(vgpu_type.to_string()),
            (Part::Class, DeviceKind::Pci(class)) => Some(class.to_string()),
            _ => None,
        }
    }
}

impl Device {
    /// Returns what is recorded of it, in the order in which it is written.
    pub fn recorded_parts(&self) -> impl Iterator<Item = (Part, String)> {
        let parts = [Part::Vendor, Part::Product, self.identity.kind_part()];
        let identity = parts.into_iter().filter_map(|part| Some((part, self.identity.value(part)?)));
        identity.chain(self.subsystem.map(|subsystem| (Part::Subsystem, subsystem.to_string())))
    }
}

impl fmt::Display for DeviceKind {
    /// Writes the kind as messages show it: the type, or the class.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mdev(mdev_type) => mdev_type.fmt(f),
            Self::Vgpu(vgpu_type) => vgpu_type.fmt(f),
            Self::Pci(class) => write!(f, "class {class}"),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.vendor, self.product, self.kind)
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
    fn text_that_is_not_an_id_is_refused() {
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

    #[test]
    fn a_vgpu_type_is_a_number_other_than_0_after_its_prefix() {
        assert_eq!("nvidia-1148".parse(), Ok(VgpuType::new(1148).unwrap()));
        assert_eq!(VgpuType::new(1148).unwrap().to_string(), "nvidia-1148");
        for text in ["", "1148", "nvidia-", "nvidia-0", "nvidia-+1", "nvidia-1148 ", "nvidia-4294967296", "NVIDIA-1148"]
        {
            assert_eq!(text.parse::<VgpuType>(), Err(VgpuTypeError), "{text:?}");
        }
    }

    #[test]
    fn a_class_has_24_bits_and_a_subsystem_two_ids() {
        assert_eq!("0x030200\n".parse::<PciClass>().unwrap().to_string(), "0x030200");
        assert_eq!("0x1000000".parse::<PciClass>(), Err(PciClassError::TooLarge));
        assert_eq!("class".parse::<PciClass>(), Err(PciClassError::NotANumber));
        assert_eq!(" 0x10DE\n 6225 ".parse::<Subsystem>().unwrap().to_string(), "0x10de 0x1851");
        for text in ["", "0x10de", "0x10de 0x1851 0", "0x10de:0x1851"] {
            assert_eq!(text.parse::<Subsystem>(), Err(PciIdError::NotANumber), "{text:?}");
        }
    }
}
