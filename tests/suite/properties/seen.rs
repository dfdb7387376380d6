//! Reads a document with xmltree only, independently of the program.
//!
//! Identities are separated from the rest, so that the rest can be compared as a whole.

use std::collections::BTreeMap;

use virt_mdev::device::{DeviceKind, Identity, Uuid};
use virt_mdev::domain::NAMESPACE;
use xmltree::{ParserConfig, XMLNode};

/// A document, with its identities separated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Everything else; an element that only held identities is left out.
    pub rest: Tree,
    pub domains: Vec<SeenDomain>,
}

/// The identities of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenDomain {
    /// Those of hostdevs of model vfio-pci, in document order.
    pub hostdevs: Vec<(Uuid, Parts)>,
    /// Those of mediated devices in the metadata, in document order.
    pub records: Vec<(Option<Uuid>, Parts)>,
    /// Those of PCI devices in the metadata, in document order.
    pub pci_records: Vec<Parts>,
}

/// The three elements of a source or a record, by name.
pub type Parts = BTreeMap<String, Tree>;

/// An element without its layout, comments and processing instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    namespace: Option<String>,
    name: String,
    attributes: BTreeMap<String, String>,
    /// Its text content, without the whitespace at both ends.
    text: String,
    children: Vec<Tree>,
}

/// Reads a document.
pub fn see(text: &str) -> Seen {
    // The XML declaration and the DOCTYPE are skipped: libvirt reads UTF-8 whatever they declare.
    let root = ["<domain", "<domstatus", "<hostdev"].iter().filter_map(|root| text.find(root)).min().unwrap();
    let config = ParserConfig::new().ignore_comments(true).cdata_to_characters(true);
    let element = xmltree::Element::parse_with_config(&text.as_bytes()[root..], config);
    let mut rest = Tree::from(element.unwrap_or_else(|error| panic!("{error}\n{text}")));
    let mut domains = Vec::new();
    match rest.name.as_str() {
        "domain" => domains.push(take_identities(&mut rest)),
        "hostdev" => {
            let hostdevs = take_hostdev(&mut rest).into_iter().collect();
            domains.push(SeenDomain { hostdevs, ..SeenDomain::default() });
        }
        _ => {
            let inside = rest.children.iter_mut().filter(|child| child.is("domain") || child.is("inactiveDomain"));
            domains.extend(inside.map(take_identities));
        }
    }
    rest.drop_layout();
    Seen { rest, domains }
}

/// Returns the value of one of the parts.
pub fn value<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.get(name).filter(|part| part.children.is_empty()).map(|part| part.text.as_str())
}

/// Whether the parts agree with the identity, in any notation of the generator.
pub fn agree(parts: &Parts, identity: &Identity) -> bool {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u16::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    };
    let is_id =
        |name, id: String| value(parts, name).and_then(number).is_some_and(|number| format!("0x{number:04x}") == id);
    is_id("vendorid", identity.vendor.to_string())
        && is_id("productid", identity.product.to_string())
        && matches!(&identity.kind, DeviceKind::Mdev(name) if value(parts, "mdevtype") == Some(name.as_str()))
}

fn take_identities(domain: &mut Tree) -> SeenDomain {
    let devices = domain.children.iter_mut().filter(|child| child.is("devices"));
    let hostdevs = devices.flat_map(|devices| &mut devices.children).filter(|child| child.is("hostdev"));
    let hostdevs = hostdevs.filter_map(take_hostdev).collect();
    let mut records = Vec::new();
    let mut pci_records = Vec::new();
    if let Some(at) = domain.children.iter().position(|child| child.is("metadata")) {
        let metadata = &mut domain.children[at];
        if let Some(ours) = metadata.children.iter().position(Tree::is_ours) {
            let identities = &mut metadata.children[ours];
            for mut record in std::mem::take(&mut identities.children) {
                if record.is_ours() && record.name == "pci" {
                    pci_records.push(record.take_parts(Tree::is_ours));
                    assert!(record.children.is_empty(), "more in a record: {record:?}");
                } else if record.is_ours() && record.name == "hostdev" {
                    let uuid = record.attributes.get("uuid").and_then(|uuid| uuid.parse().ok());
                    records.push((uuid, record.take_parts(Tree::is_ours)));
                    assert!(record.children.is_empty(), "unexpected elements in a record: {record:?}");
                } else {
                    identities.children.push(record);
                }
            }
            if identities.children.is_empty() {
                metadata.children.remove(ours);
            }
        }
        if metadata.children.is_empty() && metadata.text.is_empty() {
            domain.children.remove(at);
        }
    }
    SeenDomain { hostdevs, records, pci_records }
}

fn take_hostdev(hostdev: &mut Tree) -> Option<(Uuid, Parts)> {
    let is_mdev = |name: &str, value: &str| hostdev.attributes.get(name).is_some_and(|found| found == value);
    if !is_mdev("type", "mdev") || !is_mdev("model", "vfio-pci") {
        return None;
    }
    let sources = hostdev.children.iter_mut().filter(|child| child.is("source"));
    let mut with_address = sources.filter(|source| source.children.iter().any(|child| child.is("address")));
    let source = with_address.next()?;
    let address = source.children.iter().find(|child| child.is("address"))?;
    let uuid = address.attributes.get("uuid")?.parse().ok()?;
    Some((uuid, source.take_parts(|part| part.namespace.is_none())))
}

impl Tree {
    fn is(&self, name: &str) -> bool {
        self.namespace.is_none() && self.name == name
    }

    fn is_ours(&self) -> bool {
        self.namespace.as_deref() == Some(NAMESPACE)
    }

    fn take_parts(&mut self, is_part: impl Fn(&Tree) -> bool) -> Parts {
        let names = ["vendorid", "productid", "mdevtype", "vgputype", "class", "subsystem"];
        let mut parts = Parts::new();
        for child in std::mem::take(&mut self.children) {
            if is_part(&child) && names.contains(&child.name.as_str()) {
                let before = parts.insert(child.name.clone(), child);
                assert!(before.is_none(), "twice: {before:?}");
            } else {
                self.children.push(child);
            }
        }
        parts
    }

    /// Removes all whitespace of text content.
    fn drop_layout(&mut self) {
        self.text.retain(|character| !character.is_whitespace());
        self.children.iter_mut().for_each(Self::drop_layout);
    }
}

impl From<xmltree::Element> for Tree {
    fn from(element: xmltree::Element) -> Self {
        let mut text = String::new();
        let mut children = Vec::new();
        for node in element.children {
            match node {
                XMLNode::Element(element) => children.push(element.into()),
                XMLNode::Text(piece) | XMLNode::CData(piece) => text.push_str(&piece),
                XMLNode::ProcessingInstruction(..) | XMLNode::Comment(_) => {}
            }
        }
        let text = text.trim_matches([' ', '\t', '\r', '\n']).to_owned();
        let attributes = element.attributes.into_iter().collect();
        Self { namespace: element.namespace, name: element.name, attributes, text, children }
    }
}
