//! What a host has, for people.

use std::collections::{BTreeMap, BTreeSet};

use crate::device::{PciAddress, VgpuType};
use crate::host::record::{CreatableVgpuType, MdevParent, PciDevice, VgpuState};
use crate::host::{PciNames, RecordedHost};
use crate::report::escape;
use crate::report::table::{Table, bold};

/// The most characters of a type's description.
const MAX_DESCRIPTION: usize = 60;

/// How many virtual functions a cell names.
const MAX_FUNCTIONS: usize = 2;

/// The names of devices and types, as far as they are known.
pub(super) struct Names {
    pub(super) pci: PciNames,
    pub(super) vgpu_types: BTreeMap<VgpuType, String>,
}

/// Returns a paragraph for each parent of mediated devices and each card with vGPUs, or `None` if there is neither.
pub(super) fn text(host: &RecordedHost, names: &Names, color: bool) -> Option<String> {
    let record = host.record();
    let mut cards = BTreeMap::<PciAddress, Vec<&PciDevice>>::new();
    for function in record.pci_devices.iter().filter(|device| device.vgpu_type.is_some()) {
        cards.entry(function.physfn.unwrap_or(function.address)).or_default().push(function);
    }
    let parents = record.mdev_parents.iter().filter_map(|parent| Some((parent.address()?, parent)));
    let parents: BTreeMap<PciAddress, _> = parents.collect();
    let addresses: BTreeSet<_> = parents.keys().chain(cards.keys()).copied().collect();

    let mut paragraphs = Vec::new();
    for address in addresses {
        let mut paragraph = heading(&address.to_string(), host.pci_device(address), &names.pci, color);
        let of_parent = parents.get(&address).map(|parent| parent_tables(parent, color));
        let of_card = cards.get(&address).map(|functions| card_tables(host, functions, &names.vgpu_types, color));
        paragraph += &joined(of_parent.into_iter().chain(of_card).flatten());
        paragraphs.push(paragraph);
    }
    for parent in record.mdev_parents.iter().filter(|parent| parent.address().is_none()) {
        let bus =
            parent.bus.as_deref().map_or_else(|| "on no bus".to_owned(), |bus| format!("on {}", escape::short(bus)));
        let tables = joined(parent_tables(parent, color));
        paragraphs.push(format!("{}  {bus}\n{tables}", bold(&escape::short(&parent.name), color)));
    }
    (!paragraphs.is_empty()).then(|| paragraphs.join("\n"))
}

/// Returns the tables that are not empty, with an empty line between them.
fn joined(tables: impl IntoIterator<Item = String>) -> String {
    tables.into_iter().filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Returns the lines about a PCI device.
fn heading(address: &str, device: Option<&PciDevice>, names: &PciNames, color: bool) -> String {
    let Some(device) = device else { return bold(address, color) + "\n" };
    let name = names.get(device.vendor, device.product).map(|name| format!("  {}", escape::short(name)));
    let version = device.driver_version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let facts = [
        Some(format!("{} {}", device.vendor, device.product)),
        device.subsystem.map(|subsystem| format!("subsystem {subsystem}")),
        device.revision.as_ref().map(|revision| format!("revision {revision}")),
        device.driver.as_ref().map(|driver| format!("driver {driver}{version}")),
        device.physfn.map(|physfn| format!("virtual function of {physfn}")),
    ];
    let facts: Vec<_> = facts.into_iter().flatten().map(|fact| escape::short(&fact)).collect();
    format!("{}{}\n  {}\n", bold(address, color), name.unwrap_or_default(), facts.join(", "))
}

/// Returns the table of the types of a parent, and that of its devices.
fn parent_tables(parent: &MdevParent, color: bool) -> Vec<String> {
    let mut types = Table::new(["TYPE", "NAME", "AVAILABLE", "DEVICE API", "DESCRIPTION"]);
    for supported in &parent.types {
        types.row([
            escape::short(supported.mdev_type.as_str()),
            supported.name.as_deref().map(escape::short).unwrap_or_default(),
            supported.available_instances.map(|left| left.to_string()).unwrap_or_default(),
            supported.device_api.as_ref().map(|api| escape::short(&api.0)).unwrap_or_default(),
            supported.description.as_deref().map(shortened).unwrap_or_default(),
        ]);
    }
    let mut mdevs = Table::new(["MDEV", "TYPE", "NAME", "STATE"]);
    for mdev in &parent.mdevs {
        let supported = parent.types.iter().find(|supported| supported.mdev_type == mdev.mdev_type);
        mdevs.row([
            mdev.uuid.to_string(),
            escape::short(mdev.mdev_type.as_str()),
            supported.and_then(|supported| supported.name.as_deref()).map(escape::short).unwrap_or_default(),
            if mdev.is_defined_only { "defined, not started".to_owned() } else { String::new() },
        ]);
    }
    vec![types.render("  ", color), mdevs.render("  ", color)]
}

/// Returns the table of the virtual functions of a card, and that of the types that they could be made.
fn card_tables(
    host: &RecordedHost,
    functions: &[&PciDevice],
    names: &BTreeMap<VgpuType, String>,
    color: bool,
) -> Vec<String> {
    let mut typed = Table::new(["FUNCTION", "VGPU TYPE", "NAME", "DRIVER"]);
    let mut creatable = BTreeMap::<_, (&str, Vec<PciAddress>)>::new();
    let driver_of_card = functions[0].physfn.and_then(|card| host.pci_device(card)).map(|card| &card.driver);
    for function in functions {
        let (state, name) = match function.vgpu_type {
            Some(VgpuState::Type(vgpu_type)) => (vgpu_type.to_string(), names.get(&vgpu_type)),
            Some(VgpuState::Unknown) => ("unknown".to_owned(), None),
            Some(VgpuState::Untyped) | None => ("none".to_owned(), None),
        };
        typed.row([
            function.address.to_string(),
            state,
            name.map(|name| escape::short(name)).unwrap_or_default(),
            function
                .driver
                .as_deref()
                .filter(|_| driver_of_card != Some(&function.driver))
                .map(escape::short)
                .unwrap_or_default(),
        ]);
        // Only a function without a type can be given one, whatever its list says.
        let is_untyped = function.vgpu_type == Some(VgpuState::Untyped);
        for CreatableVgpuType { vgpu_type, name } in function.creatable_vgpu_types.iter().filter(|_| is_untyped) {
            creatable.entry(*vgpu_type).or_insert((name, Vec::new())).1.push(function.address);
        }
    }
    let mut offered = Table::new(["CREATABLE", "NAME", "ON"]);
    for (vgpu_type, (name, functions)) in creatable {
        offered.row([vgpu_type.to_string(), escape::short(name), listed(&functions)]);
    }
    vec![typed.render("  ", color), offered.render("  ", color)]
}

/// Names the first functions, and counts the others.
fn listed(functions: &[PciAddress]) -> String {
    let shown = functions.iter().take(MAX_FUNCTIONS).map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match functions.len().saturating_sub(MAX_FUNCTIONS) {
        0 => shown,
        others => format!("{shown} and {others} more"),
    }
}

/// Returns the beginning of a description, in one line.
fn shortened(description: &str) -> String {
    let line = escape::escape(&description.lines().map(str::trim).collect::<Vec<_>>().join(", "));
    match line.char_indices().nth(MAX_DESCRIPTION) {
        Some((end, _)) => line[..end].trim_end().to_owned() + "…",
        None => line,
    }
}
