//! Reads the node devices of libvirt: the documents that `virsh nodedev-dumpxml` prints, one after the other.
//!
//! Mediated devices, their parents and PCI devices are read; other devices are ignored. libvirt does not say the vGPU type of a
//! virtual function, nor the subsystem ids of a PCI device.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::str::FromStr;

use thiserror::Error;
use xmltree::{Element, XMLNode};

use super::record::{HostRecord, Mdev, MdevParent, PciDevice, SupportedType, VgpuState};
use super::{DeviceApi, NVIDIA_ID};
use crate::device::{DeviceAddress, PciAddress, PciId, Uuid};
use crate::markup::{Markup, Scanner, StartTag};
use crate::text::{BOM, Span, abridged, is_xml_space, offset_of};

/// The largest document of one device, in bytes. A parser takes about a hundred times as much memory.
const MAX_DEVICE: usize = 256 << 10;

/// The deepest nesting of elements: the parser recurses.
const MAX_DEPTH: usize = 64;

/// The most attributes of one element: a parser compares them pair by pair.
const MAX_ATTRIBUTES: usize = 64;

/// What is wrong with the XML of a node device.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NodeDeviceError {
    /// Larger than any node device.
    #[error("the document of a node device has more than {} KiB", MAX_DEVICE >> 10)]
    TooLarge,
    /// Nested deeper than any node device.
    #[error("elements are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More attributes than any node device has.
    #[error("an element has more than {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes,
    /// A DOCTYPE, which libvirt does not write.
    #[error("the document has a DOCTYPE")]
    Doctype,
    /// A namespace declaration, which libvirt does not write.
    #[error("the document declares a namespace")]
    Namespace,
    /// Something between two documents.
    #[error("a <device> was expected here")]
    NotADocument,
    /// Another root element than `device`.
    #[error("the root element is <{0}>, and that of a node device <device>")]
    OtherRoot(String),
    /// Not well-formed.
    #[error("the document is not well-formed XML: {0}")]
    Malformed(String),
    /// An element or attribute that libvirt always writes.
    #[error("the node device {device} has no {what}")]
    Lacks {
        /// Its name.
        device: String,
        /// The element or attribute.
        what: &'static str,
    },
    /// A value that libvirt does not write.
    #[error("the {what} of node device {device} is '{text}': {reason}")]
    Invalid {
        /// Its name.
        device: String,
        /// The element or attribute.
        what: &'static str,
        /// The value.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A device that appears twice.
    #[error("{0} is there twice")]
    Duplicate(DeviceAddress),
    /// A parent that appears twice.
    #[error("the node device {0} is there twice")]
    DuplicateParent(String),
}

/// What node devices say of a host.
#[derive(Debug, Default)]
pub(super) struct NodeDevices {
    pci_devices: BTreeMap<PciAddress, PciDevice>,
    parents: BTreeMap<String, MdevParent>,
    running: HashSet<Uuid>,
    defined: HashSet<Uuid>,
}

impl NodeDevices {
    /// Reads documents that follow each other.
    ///
    /// # Errors
    /// If something is not the document of a node device, or a device appears twice.
    pub fn read(text: &str) -> Result<Self, (NodeDeviceError, Span)> {
        let mut devices = Self::default();
        for span in documents(text)? {
            let start = Span::new(span.start, span.start + 1);
            let element = parse(span.of(text)).map_err(|(error, at)| (error, Span::at(span.start + at)))?;
            devices.add(&element).map_err(|error| (error, start))?;
        }
        Ok(devices)
    }

    /// Returns the record of a host, and the devices that are defined and not started.
    pub fn into_record(self, host: &str) -> (HostRecord, HashSet<Uuid>) {
        let Self { pci_devices, parents, running, mut defined } = self;
        defined.retain(|uuid| !running.contains(uuid));
        let record = HostRecord {
            host: host.to_owned(),
            pci_devices: pci_devices.into_values().collect(),
            mdev_parents: parents.into_values().collect(),
            ..HostRecord::default()
        };
        (record, defined)
    }

    fn add(&mut self, element: &Element) -> Result<(), NodeDeviceError> {
        if element.name != "device" || element.prefix.is_some() {
            return Err(NodeDeviceError::OtherRoot(abridged(&element.name)));
        }
        let name = text_of(element, "name").unwrap_or_default();
        let device = NodeDevice { element, name: abridged(&name) };
        for capability in children(element, "capability") {
            match attribute(capability, "type") {
                Some("pci") => self.add_pci(&device, capability)?,
                Some("mdev") => self.add_mdev(&device, capability)?,
                Some("css") => self.add_types(&device, capability, device.sysfs_name(), Some("css"))?,
                Some("ap_matrix") => self.add_types(&device, capability, device.sysfs_name(), Some("matrix"))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn add_pci(&mut self, device: &NodeDevice<'_>, capability: &Element) -> Result<(), NodeDeviceError> {
        let number = |what| device.value::<u32>(what, text_of(capability, what));
        let numbers = [number("domain")?, number("bus")?, number("slot")?, number("function")?];
        let [domain, bus, slot, function] = numbers;
        let address = PciAddress::new(domain, bus, slot, function).ok_or_else(|| {
            let text = numbers.map(|number| number.to_string()).join(" ");
            device.invalid("PCI address", &text, "a number is too large")
        })?;
        let id = |what| {
            let element = children(capability, what).next();
            device.value::<PciId>(what, element.and_then(|element| attribute(element, "id")).map(str::to_owned))
        };
        let (vendor, product) = (id("vendor")?, id("product")?);
        let physfn =
            capability_of(capability, "phys_function").and_then(|function| children(function, "address").next());
        let physfn = physfn.map(|element| {
            PciAddress::from_attributes(|name| attribute(element, name))
                .ok_or_else(|| device.invalid("phys_function", "", "it is not a PCI address"))
        });
        let physfn = physfn.transpose()?;
        let is_nvidia_vf = physfn.is_some() && vendor == PciId::from(NVIDIA_ID);
        let class = text_of(capability, "class").map(|class| device.value("class", Some(class))).transpose()?;
        let found = PciDevice {
            address,
            vendor,
            product,
            class,
            subsystem: None,
            revision: None,
            driver: children(device.element, "driver").find_map(|driver| text_of(driver, "name")),
            driver_version: None,
            physfn,
            vgpu_type: is_nvidia_vf.then_some(VgpuState::Unknown),
            creatable_vgpu_types: Vec::new(),
        };
        if self.pci_devices.insert(address, found).is_some() {
            return Err(NodeDeviceError::Duplicate(DeviceAddress::Pci(address)));
        }
        self.add_types(device, capability, Some(address.to_string()), Some("pci"))
    }

    fn add_mdev(&mut self, device: &NodeDevice<'_>, capability: &Element) -> Result<(), NodeDeviceError> {
        let of_name = || device.name.strip_prefix("mdev_")?.get(..36).map(|uuid| uuid.replace('_', "-"));
        let uuid: Uuid = device.value("uuid", text_of(capability, "uuid").or_else(of_name))?;
        let Some(path) = text_of(device.element, "path") else {
            self.defined.insert(uuid);
            return Ok(());
        };
        let mdev_type = children(capability, "type").next().and_then(|element| attribute(element, "id"));
        let mdev_type = device.value("type id", mdev_type.map(str::to_owned))?;
        let components: Vec<_> = path.split('/').collect();
        let of_path = || components.iter().rev().nth(1).filter(|name| !name.is_empty()).map(|name| (*name).to_owned());
        let name: String = device.value("parent_addr", text_of(capability, "parent_addr").or_else(of_path))?;
        // A device without a parent of its own is in /sys/devices/virtual/CLASS.
        let bus = match components.as_slice() {
            ["", "sys", "devices", "virtual", class, ..] => Some(*class),
            _ => name.parse::<PciAddress>().ok().map(|_| "pci"),
        };
        if !self.running.insert(uuid) {
            return Err(NodeDeviceError::Duplicate(DeviceAddress::Mdev(uuid)));
        }
        self.parent(name, bus).mdevs.push(Mdev { uuid, mdev_type, is_defined_only: false });
        Ok(())
    }

    /// Adds a parent with its types, if this is the capability of one. `name` is that of its directory in sysfs.
    fn add_types(
        &mut self,
        device: &NodeDevice<'_>,
        capability: &Element,
        name: Option<String>,
        bus: Option<&str>,
    ) -> Result<(), NodeDeviceError> {
        let Some(listed) = capability_of(capability, "mdev_types") else { return Ok(()) };
        let mut types = Vec::new();
        for listed in children(listed, "type") {
            let available = text_of(listed, "availableInstances");
            let available = available.map(|text| device.value("availableInstances", Some(text))).transpose()?;
            types.push(SupportedType {
                mdev_type: device.value("type id", attribute(listed, "id").map(str::to_owned))?,
                name: text_of(listed, "name"),
                description: None,
                device_api: text_of(listed, "deviceAPI").map(DeviceApi),
                available_instances: available,
            });
        }
        let parent = self.parent(device.value("path", name)?, bus);
        if !parent.types.is_empty() {
            return Err(NodeDeviceError::DuplicateParent(device.name.clone()));
        }
        parent.types = types;
        Ok(())
    }

    fn parent(&mut self, name: String, bus: Option<&str>) -> &mut MdevParent {
        let new = || MdevParent { name: name.clone(), bus: None, types: Vec::new(), mdevs: Vec::new() };
        let parent = self.parents.entry(name.clone()).or_insert_with(new);
        parent.bus = parent.bus.take().or_else(|| bus.map(str::to_owned));
        parent
    }
}

/// A node device, and its name for messages.
struct NodeDevice<'a> {
    element: &'a Element,
    name: String,
}

impl NodeDevice<'_> {
    /// Returns the name of its directory in sysfs.
    fn sysfs_name(&self) -> Option<String> {
        text_of(self.element, "path")?.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// Parses a value that must be there.
    fn value<T: FromStr<Err: Display>>(&self, what: &'static str, text: Option<String>) -> Result<T, NodeDeviceError> {
        let text = text.ok_or_else(|| NodeDeviceError::Lacks { device: self.name.clone(), what })?;
        text.parse().map_err(|error: T::Err| self.invalid(what, &text, &error.to_string()))
    }

    fn invalid(&self, what: &'static str, text: &str, reason: &str) -> NodeDeviceError {
        NodeDeviceError::Invalid { device: self.name.clone(), what, text: abridged(text), reason: reason.to_owned() }
    }
}

/// Returns the child elements of this name.
fn children<'a>(element: &'a Element, name: &str) -> impl Iterator<Item = &'a Element> {
    let elements = element.children.iter().filter_map(XMLNode::as_element);
    elements.filter(move |child| child.name == name && child.prefix.is_none())
}

/// Returns the capability of this type in another one.
fn capability_of<'a>(capability: &'a Element, of_type: &str) -> Option<&'a Element> {
    children(capability, "capability").find(|nested| attribute(nested, "type") == Some(of_type))
}

/// Returns the text of the first child element of this name, without surrounding whitespace, unless it is empty.
fn text_of(element: &Element, name: &str) -> Option<String> {
    let text = children(element, name).next()?.get_text()?;
    Some(text.trim_matches(is_xml_space).to_owned()).filter(|text| !text.is_empty())
}

fn attribute<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    element.attributes.get(name).map(String::as_str)
}

/// Finds the documents in a text, each from the start tag of its root element to the end tag. Between them whitespace, comments
/// and XML declarations are accepted.
fn documents(text: &str) -> Result<Vec<Span>, (NodeDeviceError, Span)> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut root = 0;
    let mut end = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
    for markup in Scanner::new(text) {
        let span = match markup {
            Markup::StartTag(StartTag { span, .. })
            | Markup::EndTag(span)
            | Markup::Cdata(span)
            | Markup::Ignored(span) => span,
            Markup::Doctype { span, .. } => return Err((NodeDeviceError::Doctype, span)),
        };
        if depth == 0 {
            check_between(text, end, span.start)?;
            root = span.start;
            end = span.end;
        }
        if span.end - root > MAX_DEVICE {
            return Err((NodeDeviceError::TooLarge, Span::new(root, root + 1)));
        }
        let is_end = match markup {
            Markup::StartTag(tag) => {
                let error = match tag {
                    _ if depth == MAX_DEPTH => Some(NodeDeviceError::TooDeep),
                    _ if tag.attributes > MAX_ATTRIBUTES => Some(NodeDeviceError::TooManyAttributes),
                    _ if tag.namespaces > 0 => Some(NodeDeviceError::Namespace),
                    _ => None,
                };
                if let Some(error) = error {
                    return Err((error, Span::new(span.start, span.start + 1)));
                }
                depth += usize::from(!tag.is_empty_element);
                tag.is_empty_element
            }
            Markup::EndTag(_) if depth > 0 => {
                depth -= 1;
                true
            }
            Markup::EndTag(_) | Markup::Cdata(_) if depth == 0 => {
                return Err((NodeDeviceError::NotADocument, Span::new(span.start, span.start + 1)));
            }
            _ => false,
        };
        if is_end && depth == 0 {
            found.push(Span::new(root, span.end));
            end = span.end;
        }
    }
    if depth == 0 {
        check_between(text, end, text.len())?;
    } else if text.len() - root > MAX_DEVICE {
        return Err((NodeDeviceError::TooLarge, Span::new(root, root + 1)));
    } else {
        // The parser says what is wrong with it.
        found.push(Span::new(root, text.len()));
    }
    Ok(found)
}

/// Returns an error if there is anything but whitespace here.
fn check_between(text: &str, start: usize, end: usize) -> Result<(), (NodeDeviceError, Span)> {
    match text[start..end].find(|character| !is_xml_space(character)) {
        Some(at) => Err((NodeDeviceError::NotADocument, Span::at(start + at))),
        None => Ok(()),
    }
}

/// Parses the document of one device. An error has its offset.
fn parse(text: &str) -> Result<Element, (NodeDeviceError, usize)> {
    Element::parse(text.as_bytes()).map_err(|error| {
        let message = error.to_string();
        // The parser's error has its line and column only in its text: `Malformed XML. 3:5 Unexpected token`.
        let message = message.strip_prefix("Malformed XML. ").unwrap_or(&message);
        let placed = message.split_once(' ').and_then(|(place, reason)| {
            let (line, column) = place.split_once(':')?;
            Some((offset_of(text, line.parse().ok()?, column.parse().ok()?), reason))
        });
        let (offset, reason) = placed.unwrap_or((0, message));
        (NodeDeviceError::Malformed(abridged(reason)), offset)
    })
}
