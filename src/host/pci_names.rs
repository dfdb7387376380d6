//! The names of PCI devices, from the list that lspci uses.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::device::PciId;
use crate::file::{self, Input, Purpose};

/// Where distributions install the list.
const FILES: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

/// The largest list that is read, in bytes: ten times that of 2026.
const MAX_BYTES: usize = 16 << 20;

/// The names of some PCI devices, by vendor and device id.
#[derive(Clone, Debug, Default)]
pub struct PciNames(HashMap<(PciId, PciId), String>);

impl PciNames {
    /// Reads the names of these devices from a list, or from the first of the system's lists that can be read. If there
    /// is none, devices have no names: these are only for people.
    pub fn read(file: Option<&Path>, wanted: &BTreeSet<(PciId, PciId)>) -> Self {
        let files = file.map_or_else(|| FILES.map(PathBuf::from).into(), |file| vec![file.to_owned()]);
        let read = |file: &PathBuf| {
            let list = file::read_up_to(MAX_BYTES, &Input::File(file.clone()), Purpose::Replacing).ok()?;
            Some(Self::parse(&String::from_utf8_lossy(&list.contents), wanted))
        };
        files.iter().find_map(read).unwrap_or_default()
    }

    /// Returns the name of a device, or that of its vendor.
    pub fn get(&self, vendor: PciId, product: PciId) -> Option<&str> {
        self.0.get(&(vendor, product)).map(String::as_str)
    }

    /// Parses the list: `VENDOR  NAME`, below it `DEVICE  NAME` after a tab, and below that subsystems after two tabs. Classes
    /// follow, which begin with `C`.
    fn parse(text: &str, wanted: &BTreeSet<(PciId, PciId)>) -> Self {
        let id_and_name = |line: &str| {
            let (id, name) = line.split_once("  ").filter(|(id, _)| id.len() == 4)?;
            Some((PciId::from(u16::from_str_radix(id, 16).ok()?), name.trim().to_owned()))
        };
        let mut names = HashMap::new();
        let mut vendor = None;
        for line in text.lines().filter(|line| !line.starts_with(['#', ' ']) && !line.is_empty()) {
            if let Some(line) = line.strip_prefix('\t') {
                let Some(((vendor, of_vendor), (product, name))) = vendor.as_ref().zip(id_and_name(line)) else {
                    continue;
                };
                if let Some(of_device) = names.get_mut(&(*vendor, product)) {
                    *of_device = format!("{of_vendor} {name}");
                }
            } else {
                vendor = id_and_name(line);
                let Some((vendor, name)) = &vendor else { continue };
                names.extend(wanted.iter().filter(|(id, _)| id == vendor).map(|ids| (*ids, name.clone())));
            }
        }
        Self(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_its_name_or_that_of_its_vendor() {
        let list = "# comment\n10de  NVIDIA Corporation\n\t26b9  AD102GL [L40S]\n\t\t10de 1851  board\n\
            8086  Intel Corporation\n\t26b9  Another\nC 03  Display controller\n\t00  VGA\n";
        let id = PciId::from;
        let wanted = [(0x10de, 0x26b9), (0x10de, 1), (0x1234, 0x26b9), (0x1851, 0)];
        let names = PciNames::parse(list, &wanted.map(|(vendor, product)| (id(vendor), id(product))).into());
        let name = |vendor, product| names.get(id(vendor), id(product));
        assert_eq!(name(0x10de, 0x26b9), Some("NVIDIA Corporation AD102GL [L40S]"));
        assert_eq!(name(0x10de, 1), Some("NVIDIA Corporation"));
        assert_eq!([name(0x1234, 0x26b9), name(0x1851, 0), name(0x8086, 0x26b9)], [None; 3]);
    }
}
