//! The devices of a domain, what is recorded of them, and what a host has for them.

use serde::Serialize;

use crate::command::json::{Asked, Parts};
use crate::command::{name_of, read_document};
use crate::device::DeviceAddress;
use crate::file::{Input, Purpose};
use crate::host::{HostSource, NoIdentity, RecordedHost};
use crate::plan::Pairing;
use crate::plan::check::{Checked, check};
use crate::plan::demand::PciScope;
use crate::report::table::Table;
use crate::report::{Diagnostic, Origin, escape};

/// A device of a domain.
#[derive(Serialize)]
pub(super) struct Row {
    file: String,
    domain: Option<String>,
    #[serde(flatten)]
    asked: Asked,
    /// The identity on the host; empty if it has no such device.
    found: Parts,
    /// The parent of a mediated device on the host, or the physical function of a virtual function.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// Whether mdevctl has defined the device on the host and it is not started.
    #[serde(rename = "defined_only", skip_serializing_if = "std::ops::Not::not")]
    is_defined_only: bool,
    /// Why the host has no identity for the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Returns the devices of each domain in a document: its mediated devices of model vfio-pci, then its PCI devices.
pub(super) fn rows(input: &Input, source: &HostSource, host: &RecordedHost) -> Result<Vec<Row>, Vec<Diagnostic>> {
    let name = name_of(input);
    let (_, document) = read_document(input, Purpose::Reading).map_err(|error| vec![error])?;
    let origin = Origin::new(&name, document.text());
    let answers = source.ask(document.devices());
    let compared = check(&document, &answers, Pairing::default(), PciScope::All);
    let compared = compared.map_err(|errors| origin.errors(errors))?;
    Ok(compared.devices.iter().map(|checked| Row::new(&name, checked, host)).collect())
}

impl Row {
    fn new(file: &str, Checked { wanted, found }: &Checked<'_>, host: &RecordedHost) -> Self {
        let parent = match wanted.device {
            DeviceAddress::Mdev(uuid) => host.mdev(uuid).map(|(parent, _)| parent.name.clone()),
            DeviceAddress::Pci(address) => {
                host.pci_device(address).and_then(|device| device.physfn).map(|physfn| physfn.to_string())
            }
        };
        Self {
            file: file.to_owned(),
            domain: wanted.domain.map(str::to_owned),
            asked: Asked::from(wanted),
            found: found.as_ref().map(Parts::from).unwrap_or_default(),
            parent,
            is_defined_only: found.as_ref().is_ok_and(|found| found.is_defined_only),
            reason: found.as_ref().err().map(|missing| match (&missing.why, &missing.parent) {
                (NoIdentity::Absent(_), Some(parent)) => format!("{missing}; {parent} can create one"),
                _ => missing.reason(),
            }),
        }
    }
}

/// Returns a table for people.
pub(super) fn table<'r>(
    rows: impl Iterator<Item = &'r Row>,
    on_host: &'static str,
    has_files: bool,
    color: bool,
) -> String {
    let heading = ["FILE", "DOMAIN", "DEVICE", "GUEST ADDRESS", "RECORDED", on_host, "PARENT", "NOTE"];
    let mut table = Table::new(heading);
    for row in rows {
        let asked = &row.asked;
        let short = |text: &Option<String>| text.as_deref().map(escape::short).unwrap_or_default();
        let note = if row.is_defined_only { "defined, not started".to_owned() } else { short(&row.reason) };
        table.row([
            if has_files { row.file.clone() } else { String::new() },
            short(&row.domain),
            asked.names.device().map(escape::short).unwrap_or_default(),
            short(&asked.names.guest),
            asked.recorded.text().unwrap_or_default(),
            row.found.text().unwrap_or_default(),
            short(&row.parent),
            note,
        ]);
    }
    table.render("", color)
}
