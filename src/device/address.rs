//! Which device a hostdev asks for, and where the guest sees it.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Uuid;
use super::identity::digits_and_radix;

/// Which device a hostdev asks for, as its `source` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeviceAddress {
    /// A mediated device, by its UUID.
    Mdev(Uuid),
    /// A PCI function, by its address on the host.
    Pci(PciAddress),
}

impl fmt::Display for DeviceAddress {
    /// Writes the device as messages name it: `mdev c2177883-f1bb-47f0-914d-32a22e3a8804`, `PCI device 0000:26:00.4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mdev(uuid) => write!(f, "mdev {uuid}"),
            Self::Pci(address) => write!(f, "PCI device {address}"),
        }
    }
}

/// The address of a PCI function, shown as the kernel shows it: `0000:00:09.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// The domain, which the kernel also calls segment. Below Intel VMD it has more than 16 bits.
    pub domain: u32,
    /// The bus.
    pub bus: u8,
    /// The slot, 5 bits.
    pub slot: u8,
    /// The function, 3 bits.
    pub function: u8,
}

impl PciAddress {
    const MAX_SLOT: u8 = 0x1f;
    const MAX_FUNCTION: u8 = 7;

    /// Returns the address of these four numbers, or `None` if one is too large.
    pub fn new(domain: u32, bus: u32, slot: u32, function: u32) -> Option<Self> {
        let (bus, slot, function) = (bus.try_into().ok()?, slot.try_into().ok()?, function.try_into().ok()?);
        (slot <= Self::MAX_SLOT && function <= Self::MAX_FUNCTION).then_some(Self { domain, bus, slot, function })
    }

    /// Parses the attributes of an `<address>` as libvirt does (`virPCIDeviceAddressParseXML`): an attribute that is missing is 0.
    /// Returns `None` if libvirt would refuse one.
    pub fn from_attributes<'a>(attribute: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let number = |name| match attribute(name) {
            Some(text) => digits_and_radix(text).and_then(|(digits, radix)| u32::from_str_radix(digits, radix).ok()),
            None => Some(0),
        };
        Self::new(number("domain")?, number("bus")?, number("slot")?, number("function")?)
    }

    /// Whether a guest's device has yet to be assigned an address, as libvirt sees it (`virPCIDeviceAddressIsEmpty`).
    pub fn is_unassigned(self) -> bool {
        self.domain == 0 && self.bus == 0 && self.slot == 0
    }
}

/// Text that is not a PCI address as the kernel writes it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it is not a PCI address like 0000:26:00.4")]
pub struct PciAddressError;

impl FromStr for PciAddress {
    type Err = PciAddressError;

    /// Parses the notation of the kernel, `DDDD:BB:SS.F` in hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, PciAddressError> {
        let numbers = || {
            let (domain, rest) = text.split_once(':')?;
            let (bus, rest) = rest.split_once(':')?;
            let (slot, function) = rest.split_once('.')?;
            let number = |digits: &str, lengths: std::ops::RangeInclusive<usize>| {
                let is_hexadecimal = lengths.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
                is_hexadecimal.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
            };
            Self::new(number(domain, 4..=8)?, number(bus, 2..=2)?, number(slot, 2..=2)?, number(function, 1..=1)?)
        };
        numbers().ok_or(PciAddressError)
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.slot, self.function)
    }
}

/// Where the guest sees a device: the hostdev's own `<address>`, outside its `source`.
///
/// A record spells a PCI address as the kernel does, `0000:00:09.0`, and one of another type as its type and its
/// attributes in alphabetical order: `ccw:cssid=0xfe,devno=0x0001,ssid=0x0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GuestAddress {
    /// `<address type='pci' …/>`.
    Pci(PciAddress),
    /// Any other type, as a record spells it.
    Other(String),
}

impl FromStr for GuestAddress {
    type Err = Infallible;

    /// Reads what a record holds. Text in no known notation is the address of no hostdev.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Other(text.to_owned()), Self::Pci))
    }
}

impl fmt::Display for GuestAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(address) => address.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// An alias that a user gave to a device, which libvirt keeps. Its own aliases change from start to start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserAlias(String);

impl UserAlias {
    /// What libvirt wants a user's alias to begin with (`virDomainDefPostParse`).
    const PREFIX: &str = "ua-";

    /// Returns the alias if a user gave it.
    pub fn new(alias: &str) -> Option<Self> {
        alias.starts_with(Self::PREFIX).then(|| Self(alias.to_owned()))
    }
}

impl fmt::Display for UserAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> GuestAddress {
        text.parse().unwrap()
    }

    #[test]
    fn a_pci_address_is_equal_to_itself_in_any_case() {
        let parsed = address("0000:0A:1f.7");
        assert_eq!(parsed, GuestAddress::Pci(PciAddress { domain: 0, bus: 0x0a, slot: 0x1f, function: 7 }));
        assert_eq!(parsed.to_string(), "0000:0a:1f.7");
        assert_eq!(address("10000:00:09.0").to_string(), "10000:00:09.0");
    }

    #[test]
    fn text_that_is_not_a_pci_address_is_kept() {
        for text in ["", "0000:00:09", "0000:00:20.0", "0000:00:09.8", "0:0:9.0", "+000:00:09.0", "ccw:cssid=0xfe"] {
            assert_eq!(address(text), GuestAddress::Other(text.to_owned()));
        }
    }

    #[test]
    fn only_an_alias_with_the_prefix_is_a_users() {
        assert_eq!(UserAlias::new("ua-vgpu0").map(|alias| alias.to_string()).as_deref(), Some("ua-vgpu0"));
        assert_eq!(UserAlias::new("hostdev0"), None);
    }
}
