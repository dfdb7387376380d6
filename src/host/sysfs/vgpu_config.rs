//! The list of vGPU types that NVIDIA's driver brings: `usr/share/nvidia/vgpu/vgpuConfig.xml`.
//!
//! Its format is not documented. This module reads what the programs of others read of it, such as NVIDIA's vgpu-config and
//! XenServer's xapi: the number and the name of each type of all cards.
//!
//! ```xml
//! <vgpuType id="1148" name="NVIDIA L40S-2Q" class="Quadro">
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use crate::device::VgpuType;
use crate::file::{self, Input, Purpose};

/// Where it is, from the directory that is used as `/sys`: beside it, so that the sysfs of a test has its own or none.
const FILE: &str = "../usr/share/nvidia/vgpu/vgpuConfig.xml";

/// The largest list that is read, in bytes: more than any release has.
const MAX_BYTES: usize = 16 << 20;

/// Returns the names of all types, or none if the file cannot be read: names are only for messages.
pub(super) fn names(sysfs: &Path) -> BTreeMap<VgpuType, String> {
    let file = Input::File(sysfs.join(FILE));
    let list = file::read_up_to(MAX_BYTES, &file, Purpose::Replacing);
    list.map(|list| parse(&String::from_utf8_lossy(&list.contents))).unwrap_or_default()
}

/// Parses each start tag as an element of its own: a tree of the whole file would take a hundred megabytes.
fn parse(text: &str) -> BTreeMap<VgpuType, String> {
    const TAG: &str = "<vgpuType ";
    let number_and_name = |rest: &str| {
        let attributes = rest.split_once('>')?.0.trim_end_matches('/');
        let element = format!("{TAG}{attributes}/>");
        let element = roxmltree::Document::parse(&element).ok()?;
        let attribute = |name| element.root_element().attribute(name).map(str::trim);
        Some((VgpuType::new(attribute("id")?.parse().ok()?)?, attribute("name")?.to_owned()))
    };
    text.split(TAG).skip(1).filter_map(number_and_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_a_number_and_a_name_and_anything_else_is_left_out() {
        let text = "<vgpuconfig>\n  <version>1.0</version>\n\
            <vgpuType id=\"1148\" name=\"NVIDIA L40S-2Q\" class=\"Quadro\">\n  <devId vendorId=\"0x10DE\"></devId>\n</vgpuType>\n\
            <vgpuType class='Quadro' name='A &amp; B' id='1150'/>\n<vgpuType id=\"0\" name=\"none\">\
            <vgpuType id=\"7\"><vgpuType id=\"x\" name=\"y\"><vgpuTypes id=\"8\" name=\"z\"><vgpuType id='9' name='cut";
        let names: Vec<_> = parse(text).into_iter().map(|(number, name)| format!("{number} {name}")).collect();
        assert_eq!(names, ["nvidia-1148 NVIDIA L40S-2Q", "nvidia-1150 A & B"]);
    }
}
