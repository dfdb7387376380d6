//! `retarget`: the domain for another host.

use serde::{Serialize, Serializer};

use super::check::{Pair, not_checked, read_in_use};
use super::settings::{Format, RetargetSettings};
use super::{Failure, Outcome, Streams, expand, json, name_of, open_host, read_document};
use crate::device::{DeviceAddress, DeviceKind, Uuid};
use crate::domain::{Document, Kind};
use crate::file::Purpose;
use crate::host::RecordedHost;
use crate::plan::Pairing;
use crate::plan::check::Verdict;
use crate::plan::demand::{PciScope, demand};
use crate::plan::placement::{Facts, Guest, InUse, Offer, Placed, Placer, Refusal, Target};
use crate::plan::retarget::retarget;
use crate::report::{Diagnostic, Origin, escape};

/// A hostdev that gets another device.
#[derive(Serialize)]
struct Change {
    /// The device that the domain names.
    #[serde(serialize_with = "address")]
    from: DeviceAddress,
    /// The device that it names on the host.
    #[serde(serialize_with = "address")]
    to: DeviceAddress,
    /// The hostdev's own address, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<String>,
    /// The command that creates the device, or starts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    create: Option<String>,
    #[serde(skip)]
    number: usize,
}

/// Writes only the UUID or the address: their forms tell mediated and PCI devices apart.
fn address<S: Serializer>(device: &DeviceAddress, serializer: S) -> Result<S::Ok, S::Error> {
    match device {
        DeviceAddress::Mdev(uuid) => serializer.collect_str(uuid),
        DeviceAddress::Pci(address) => serializer.collect_str(address),
    }
}

pub(super) fn run(settings: &RetargetSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let source = open_host(&settings.host)?;
    let host = source.record().map_err(|error| Diagnostic::of(&error))?;
    let in_use = read_in_use(&settings.in_use)?;
    let inputs = expand(std::slice::from_ref(&settings.input))?;
    let [input] = inputs.as_slice() else {
        return Err(Failure::from(Diagnostic::error(format!("{} files match; give one domain", inputs.len()))));
    };
    let name = name_of(input);
    let (_, document) = read_document(input, Purpose::Reading)?;
    let origin = Origin::new(&name, document.text());
    let ([domain], Kind::Domain) = (&document.domains[..], document.kind) else {
        let error = Diagnostic::error(format!("{name} is a <{}>, and a <domain> is needed", document.kind.root()));
        return Err(Failure::from(error.help("virsh dumpxml --migratable GUEST prints it")));
    };
    let (demand, errors) = demand(domain, settings.pairing, PciScope::Vgpus);
    if !errors.is_empty() {
        return Err(Failure::from(origin.errors(errors)));
    }
    if let Some(again) = demand.repeated().next() {
        let place = origin.named_place(again.hostdev.span());
        let error = format!("{place}: another hostdev of the domain names {} too", again.device);
        return Err(Failure::from(Diagnostic::error(error).help("libvirt refuses such a domain; remove one of them")));
    }
    let mut facts = Facts::default();
    let offer = Offer::of(&host, &mut facts);
    let guest = Guest::new(domain, demand, &mut facts);
    let placed = Placer::new(&facts, &in_use).place(&guest, &offer).to_vec();

    let pair = Pair { file: &name, guest: &guest, host: 0, placed: &placed, facts: &facts, in_use: &in_use };
    let mut refusals: Vec<_> =
        placed.iter().filter_map(|placed| refusal(settings, &pair, placed, host.name())).collect();
    refusals.extend(pair.replaced().map(|_| {
        Diagnostic::error("a recorded device has been replaced by another one in the domain").help("check shows which")
    }));
    if !refusals.is_empty() {
        streams.report_all(refusals);
        return Ok(Outcome::Differs);
    }

    if pair.not_compared() > 0 {
        streams.report(&Diagnostic::note(not_checked(&name, pair.not_compared())));
    }
    let changes: Vec<_> = placed.iter().filter_map(|placed| change(&guest, placed, &host, &in_use)).collect();
    let commands: String =
        changes.iter().filter_map(|change| change.create.as_ref()).map(|line| format!("{line}\n")).collect();
    match settings.dry_run {
        Some(Format::Json) => streams.print(&json::text(&changes)?)?,
        Some(Format::Text) => {
            let lines = changes.iter().filter(|change| change.from != change.to);
            let lines: String = lines.map(|Change { from, to, .. }| format!("{from} -> {to}\n")).collect();
            streams.print(&(lines + &commands))?;
        }
        None => {
            let wanted = |change: &Change| (&guest.demand.devices[change.number], change.to);
            let edits = retarget(document.text(), domain, changes.iter().map(wanted))
                .map_err(|error| Failure::from(origin.error(&error)))?;
            let text = edits.apply_proven(document.text()).map_err(|error| Failure::from(origin.unproven(&error)))?;
            if !is_judged(&text, settings.pairing) {
                let error = Diagnostic::error("a record of another hostdev names a device that this guest would get");
                return Err(Failure::from(
                    error.help("bring the records up to date where the guest runs: virt-mdev fill --into metadata"),
                ));
            }
            // Before the domain: without its devices it is of no use.
            let told = streams.stderr.write_all(commands.as_bytes());
            told.map_err(|error| Failure::from(Diagnostic::error(format!("cannot write the plan: {error}"))))?;
            streams.print(&text)?;
        }
    }
    Ok(Outcome::Done)
}

/// Whether the records of the domain in a document can be judged: no two of them claim a hostdev.
fn is_judged(text: &str, pairing: Pairing) -> bool {
    let document = Document::read(text.into());
    document.is_ok_and(|document| {
        document.domains.iter().all(|domain| demand(domain, pairing, PciScope::Vgpus).1.is_empty())
    })
}

/// Returns why a hostdev cannot have a device of the host, or may not be given one.
fn refusal(settings: &RetargetSettings, pair: &Pair<'_>, placed: &Placed, host: &str) -> Option<Diagnostic> {
    let wanted = &pair.guest.demand.devices[placed.number];
    let device = wanted.device;
    let may_choose = settings.assume_unused || !settings.in_use.is_empty();
    let error = match placed.verdict {
        Verdict::Same => return None,
        Verdict::Free if may_choose => return None,
        Verdict::Creatable if settings.create_plan => return None,
        Verdict::Free => Diagnostic::error(format!(
            "{device} can be replaced by another device of {host}, but whether a guest there has that one is not known"
        ))
        .help("name the domains of the guests there: --in-use 'GUESTS/*.xml'; --assume-unused if none has mediated devices"),
        Verdict::Creatable => Diagnostic::error(format!("{device}: a device would have to be created on {host}"))
            .help("--create-plan prints the commands that create it"),
        verdict => {
            let none_left = (placed.refusal == Some(Refusal::NoneLeft))
                .then(|| "no other device of the recorded identity is free there".to_owned());
            let why: Vec<_> = [pair.why(placed), none_left].into_iter().flatten().collect();
            let before = if why.is_empty() { "" } else { ": " };
            let why = why.join("; ");
            let error = Diagnostic::error(format!("{device} is {} on {host}{before}{why}", verdict.name()));
            match wanted.identity() {
                None => error.help("record it where the guest runs: virt-mdev fill --into metadata"),
                _ => error,
            }
        }
    };
    Some(error)
}

/// Returns what changes for a hostdev, or what has to be done for it on the host.
fn change(guest: &Guest<'_>, placed: &Placed, host: &RecordedHost, in_use: &InUse) -> Option<Change> {
    let wanted = &guest.demand.devices[placed.number];
    let identity = wanted.identity();
    let start = |device| match device {
        DeviceAddress::Mdev(uuid) if host.mdev(uuid).is_some_and(|(_, mdev)| mdev.is_defined_only) => {
            Some(format!("mdevctl start -u {uuid}"))
        }
        _ => None,
    };
    let (device, create) = match placed.target {
        None => (wanted.device, Some(start(wanted.device)?)),
        Some(Target::Free(device)) => (device, start(device)),
        Some(Target::NewMdev(parent)) => {
            let is_taken = |device| host.has(device) || in_use.by_another(device, guest.name).is_some();
            let uuid = match wanted.device {
                DeviceAddress::Mdev(uuid) if !is_taken(wanted.device) => uuid,
                old => {
                    let derive = |attempt: u32| Uuid::derived(&(&host.record().host, guest.name, old, attempt));
                    let is_new = |device| !is_taken(device) && !guest.names(device);
                    (0..).map(derive).find(|uuid| is_new(DeviceAddress::Mdev(*uuid)))?
                }
            };
            let DeviceKind::Mdev(mdev_type) = identity?.kind else { return None };
            let mdev_type = escape::shell_word(mdev_type.as_str());
            (DeviceAddress::Mdev(uuid), Some(format!("mdevctl start -u {uuid} -p {parent} -t {mdev_type}")))
        }
        Some(Target::Type(address)) => {
            let number = identity?.vgpu_type()?.number();
            let file = format!("/sys/bus/pci/devices/{address}/nvidia/current_vgpu_type");
            (DeviceAddress::Pci(address), Some(format!("echo {number} > {file}")))
        }
    };
    Some(Change {
        from: wanted.device,
        to: device,
        guest: wanted.hostdev.guest().address.as_ref().map(ToString::to_string),
        create,
        number: placed.number,
    })
}
