//! What the hook says about a device or a record, each in one line for a reader on another host.

use super::super::settings::HookSettings;
use crate::device::{Identity, Part};
use crate::domain::{Record, RecordKind, RecordedIdentity};
use crate::host::{Absence, Host, HostName, NoIdentity};
use crate::plan::DeviceName;
use crate::plan::check::{Checked, Verdict};
use crate::plan::demand::{Orphan, OrphanPlace};
use crate::report::escape::{short, virsh_domain};
use crate::report::help::OTHER_KIND;
use crate::report::{Diagnostic, help};

/// Where the reader learns how to find another device.
const RETARGET: &str = "virt-mdev-retarget(1)";

/// Returns why a device keeps the guest from coming, or `None` if it does not.
pub(super) fn reason(settings: &HookSettings, checked: &Checked<'_>, answers: &Host) -> Option<String> {
    let host = compared_host(answers);
    let name = |vgpu_type| answers.vgpu_name(vgpu_type);
    let device = match &checked.wanted.hostdev.guest().address {
        Some(address) => format!("{} at guest address {address}", checked.wanted.device),
        None => checked.wanted.device.to_string(),
    };
    let recorded =
        checked.wanted.recorded.map(|recorded| described_with(recorded, checked.wanted.vgpu_type().and_then(name)));
    let was_recorded = recorded
        .as_ref()
        .map_or_else(|| "was not recorded".to_owned(), |recorded| format!("was recorded as {recorded}"));
    let (identity, found) = match &checked.found {
        Ok(found) => {
            let Identity { vendor, product, kind } = &found.identity;
            let kind = with_name(short(&kind.to_string()), found.identity.vgpu_type().and_then(name));
            let was_vgpu = checked.wanted.recorded.is_some_and(|recorded| recorded.get(Part::VgpuType).is_some());
            let function = match (found.identity.kind_part(), found.is_virtual_function) {
                (Part::Class, false) if was_vgpu => ", not a virtual function",
                (Part::Class, true) if was_vgpu => ", without a vGPU type",
                _ => "",
            };
            (&found.identity, format!("{kind} ({vendor} {product}{function})"))
        }
        // The reader is on another host.
        Err(missing) => {
            let help = help::start(missing);
            return Some(match &missing.why {
                NoIdentity::Absent(absence) => {
                    let why = match absence {
                        Absence::NotFound { .. } => "",
                        Absence::NotStarted { .. } => ", where it is defined and not started",
                        Absence::NoDriver { .. } => ", where no driver for mediated devices is loaded",
                    };
                    format!(
                        "{device} {was_recorded} and is not on {host}{why}; on {host}, {help}; {RETARGET} finds a matching device"
                    )
                }
                NoIdentity::ParentNotPci { parent, .. } => {
                    format!("{device} {was_recorded}, but on {host} its parent {parent} is not a PCI device; {help}")
                }
                _ => {
                    let is = missing.to_string().replacen(&checked.wanted.device.to_string(), "it", 1);
                    format!("{device} {was_recorded}, but on {host} {is}: {}; {help}", missing.label())
                }
            });
        }
    };
    match checked.verdict() {
        Verdict::Same => None,
        Verdict::Different if checked.wanted.differs_from(identity) => Some(format!(
            "{device} is {found} on {host}, but {was_recorded}; {} assign the guest a matching device: {RETARGET}",
            match identity.kind_part() {
                Part::MdevType => format!("recreate it on {host} with the recorded type, or"),
                Part::VgpuType => format!("set the recorded type on it on {host}, or"),
                _ => format!("on {host},"),
            },
        )),
        Verdict::Different => {
            let had = checked.wanted.contradiction(identity).map_or_else(String::new, |rival| {
                format!(
                    ", but the guest had {} at {} ({})",
                    described(&rival.record.written),
                    rival.key,
                    made_for(rival.record)
                )
            });
            Some(format!("{device} is {found} on {host}{had}; assign the hostdev there a device of the recorded type"))
        }
        _ => {
            let record = record_command(settings, "");
            Some(match checked.wanted.made_for_another() {
                Some(rival) => format!(
                    "{device} is not recorded: the record of {} was {}; if the device was replaced on purpose, record it on the \
                     host that the guest comes from: {record}; if a manager changes UUIDs on the way, see \
                     --follow-guest-address in virt-mdev-hook(8)",
                    rival.key,
                    made_for(rival.record),
                ),
                None => {
                    let partly = recorded.map_or_else(String::new, |recorded| format!(" completely (only {recorded})"));
                    format!(
                        "{device} is not recorded{partly} and is {found} on {host}; record it on the host that the guest comes \
                         from: {record}"
                    )
                }
            })
        }
    }
}

/// Returns the warning for a device on another board than the recorded one. Vendors allow that for some boards.
pub(super) fn other_board(checked: &Checked<'_>, answers: &Host) -> Option<String> {
    let found = checked.found.as_ref().ok()?;
    let recorded = checked.wanted.recorded?.other_subsystem(found)?;
    let found = found.subsystem?;
    let (device, host) = (checked.wanted.device, compared_host(answers));
    Some(format!("{device} is on another board: its subsystem was {}, and is {found} on {host}", short(&recorded.text)))
}

/// Describes a record that belongs to no hostdev of the guest.
pub(super) fn about_orphan(settings: &HookSettings, orphan: &Orphan<'_>) -> String {
    let record = format!("the record that was {}, {},", made_for(orphan.record), described(&orphan.record.written));
    match orphan.place {
        OrphanPlace::Pci(hostdev) => {
            let place = hostdev
                .guest
                .address
                .as_ref()
                .map_or_else(|| "under its alias".to_owned(), |address| format!("at guest address {address}"));
            format!(
                "{record} has no device: a hostdev of type pci is {place}, and {OTHER_KIND}; assign the mediated device there, or \
                 remove the record"
            )
        }
        OrphanPlace::Mdev(hostdev) => format!(
            "{record} has no device: the guest has {} in its place, and {OTHER_KIND}; assign the PCI device there, or remove the \
             record",
            hostdev.uuid().map_or_else(|| "a mediated device".to_owned(), |uuid| format!("mdev {uuid}")),
        ),
        OrphanPlace::UnrecordedPci(hostdev) => format!(
            "{record} belongs to no hostdev, and {}, which may have replaced its device, has no record; if that is on purpose, \
             replace the record on the host that the guest comes from: {}",
            hostdev.device().map_or_else(|| "a hostdev of type pci".to_owned(), |device| device.to_string()),
            record_command(settings, " --on-conflict replace"),
        ),
        OrphanPlace::Unknown => format!(
            "{record} belongs to no hostdev and names no guest address, and the guest has a hostdev of type pci that may have \
             taken its place; remove the record if the device was removed on purpose"
        ),
        OrphanPlace::Nothing => format!("{record} belongs to no hostdev of the guest"),
    }
}

fn made_for(record: &Record) -> String {
    match DeviceName::of_record(record) {
        Some(device) => format!("made for {}", short(&device.to_string())),
        None if record.kind == RecordKind::Mdev => "made for no UUID".to_owned(),
        None => "made for no source address".to_owned(),
    }
}

/// Returns how to record the guest's devices where the hook finds them: in a definition, a running guest or a saved one.
/// `options` are further options of `fill`.
pub(super) fn record_command(settings: &HookSettings, options: &str) -> String {
    let guest = virsh_domain(&settings.guest);
    let editor = format!("EDITOR='virt-mdev fill -i --into metadata{options}'");
    match settings.operation.0.as_str() {
        "restore" => format!("{editor} virsh save-image-edit FILE, the file that it is restored from"),
        "prepare" => format!("{editor} virsh edit {guest} (managedsave-edit if it has a managed-save image)"),
        _ => format!("{editor} virsh edit {guest} (a running guest: virsh metadata --live, virt-mdev-hook(8))"),
    }
}

/// Returns a recorded identity as messages show it, the type first: `i915-GVTg_V5_4 (0x8086 0x591d)`.
fn described(written: &RecordedIdentity) -> String {
    described_with(written, None)
}

/// The same, with the name of a vGPU type.
fn described_with(written: &RecordedIdentity, name: Option<&str>) -> String {
    let text = |part| written.get(part).map(|part| short(&part.text));
    let ids: Vec<_> = [Part::Vendor, Part::Product].into_iter().filter_map(text).collect();
    let kind = text(Part::MdevType)
        .or_else(|| text(Part::VgpuType).map(|vgpu_type| with_name(vgpu_type, name)))
        .or_else(|| text(Part::Class).map(|class| format!("class {class}")));
    match (kind, ids.is_empty()) {
        (Some(kind), false) => format!("{kind} ({})", ids.join(" ")),
        (Some(kind), true) => kind,
        (None, false) => format!("a device of {} without a type", ids.join(" ")),
        (None, true) => "nothing".to_owned(),
    }
}

/// Returns a vGPU type with its name, if that is known.
fn with_name(vgpu_type: String, name: Option<&str>) -> String {
    name.map_or_else(|| vgpu_type.clone(), |name| format!("{vgpu_type}, {}", short(name)))
}

/// Returns an error without its excerpt, which the reader does not have, and with what to do about it.
pub(super) fn in_one_line(error: &Diagnostic) -> String {
    let place =
        error.excerpt.as_ref().map(|excerpt| format!(" ({}:{})", excerpt.origin, excerpt.place)).unwrap_or_default();
    let help = error.help.first().map(|help| format!("; {help}")).unwrap_or_default();
    format!("cannot judge it on {}: {}{place}{help}", host_name(), error.message)
}

/// Returns the name of the host that the guest was compared with.
fn compared_host(answers: &Host) -> String {
    match answers.name() {
        HostName::This => host_name(),
        HostName::File(file) => format!("the host of {file}"),
    }
}

pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
