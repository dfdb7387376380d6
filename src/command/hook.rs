//! `hook`: libvirt's question whether a guest may come to this host.
//!
//! libvirt calls it with the domain XML on standard input; see <https://libvirt.org/hooks.html>. Exit status 0 allows it and 1
//! refuses it. The person who asked for it, on another host, then sees only standard error. Standard output stays empty: what
//! a hook prints there replaces the domain.
//!
//! A guest is refused only if it has a mediated device of model vfio-pci, if it has a record and a hostdev of type pci, with
//! `--require` if it has a vGPU that is a virtual function, or if none of these can be ruled out.

use std::io::{self, Read};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::settings::HookSettings;
use super::{Failure, Outcome, Streams};
use memchr::memmem;

use crate::device::{DeviceAddress, Identity, Part};
use crate::domain::{Document, MAX_BYTES, Metadata, Model, Record, RecordKind, RecordedIdentity, Search, Suspicion};
use crate::file;
use crate::host::{Absence, HostSource, Sysfs};
use crate::plan::check::{Checked, Comparison, Orphan, OrphanPlace, PciScope, Verdict, check};
use crate::plan::{DeviceName, Missing};
use crate::report::escape::{escape, short, virsh_domain};
use crate::report::help::OTHER_KIND;
use crate::report::{Diagnostic, Origin, help};
use crate::text::floor_char_boundary;

/// libvirt sets a hook no time limit, and one that hangs occupies one of its 20 workers.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The verdict on a guest.
#[derive(Clone, Debug, Default)]
struct Judgement {
    /// Why it is refused, a line each; empty if it passes.
    refusals: Vec<String>,
    /// What an administrator should know all the same.
    warnings: Vec<String>,
    /// What was compared, if anything was.
    compared: Option<String>,
}

impl Judgement {
    fn refused(reason: impl Into<String>) -> Self {
        Self { refusals: vec![reason.into()], compared: Some("not compared".to_owned()), ..Self::default() }
    }

    fn cannot_judge(error: &Diagnostic) -> Self {
        Self::refused(in_one_line(error))
    }
}

impl HookSettings {
    /// Whether this operation is judged; every other passes.
    pub fn is_judged(&self) -> bool {
        match (self.operation.0.as_str(), self.operation.1.as_str()) {
            ("migrate" | "restore", "begin") => true,
            ("prepare", "begin") => self.check_start || self.defer_absent,
            _ => false,
        }
    }

    /// Whether a device that is absent now may still be created before the guest starts.
    fn defers_absent(&self) -> bool {
        self.defer_absent && self.operation.0 != "prepare"
    }
}

pub(super) fn run(settings: &HookSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    // Every other operation passes whatever happens: a failure at `reconnect begin` would kill the running guest.
    if !settings.is_judged() {
        return Ok(Outcome::Done);
    }
    let judgement = judge_in_time(settings);
    let log = Log::new(settings);
    log.tell_all(&judgement.warnings, Priority::Warning, streams);
    log.tell_all(&judgement.refusals, Priority::Error, streams);
    let is_refused = !judgement.refusals.is_empty();
    if let Some(compared) = &judgement.compared {
        let verdict = if is_refused { "refused" } else { "passes" };
        log.record(&format!("{} {}: {verdict}, {compared}", settings.operation.0, settings.operation.1));
    }
    Ok(if is_refused { Outcome::Differs } else { Outcome::Done })
}

/// Judges on another thread, which ends with the process, as far as the kernel can end it.
fn judge_in_time(settings: &HookSettings) -> Judgement {
    let (sender, receiver) = mpsc::channel();
    let on_thread = settings.clone();
    let thread = thread::Builder::new().spawn(move || {
        // Nobody receives it once the time is up.
        let _ = sender.send(judge(&on_thread));
    });
    if thread.is_err() {
        // Without a thread there is no time limit, which is better than no verdict.
        return judge(settings);
    }
    receiver.recv_timeout(TIME_LIMIT).unwrap_or_else(|error| {
        let seconds = TIME_LIMIT.as_secs();
        Judgement::refused(match error {
            RecvTimeoutError::Timeout => {
                format!("not judged within {seconds} s, time is up; find out what blocks on {}", host_name())
            }
            RecvTimeoutError::Disconnected => "cannot judge it: internal error".to_owned(),
        })
    })
}

fn judge(settings: &HookSettings) -> Judgement {
    let domain = match read_domain() {
        Ok(domain) => domain,
        Err(error) => return Judgement::cannot_judge(&Diagnostic::error(format!("cannot read the domain: {error}"))),
    };
    if domain.total == 0 && file::stdin_was_closed() {
        let told =
            format!("cannot judge it on {}: standard input is closed, and the domain is expected there", host_name());
        return if settings.require {
            Judgement::refused(told)
        } else {
            Judgement { warnings: vec![told], compared: Some("not compared".to_owned()), ..Judgement::default() }
        };
    }
    // Without the letters there is neither a mediated device nor a record; with --require, a PCI device may be a vGPU.
    let is_of_interest = domain.mentions_mdev || settings.require && domain.suspicion.pci;
    if !is_of_interest {
        return Judgement::default();
    }
    let error = match domain.bytes.map(Document::read_leniently) {
        Some(Ok(document)) => return judge_document(settings, &document),
        Some(Err(error)) => Diagnostic::of_document("domain", &error),
        None => {
            Diagnostic::error(format!("the domain has {} bytes, and at most {MAX_BYTES} can be read", domain.total))
        }
    };
    // What cannot be read is refused only if it may hold something that has to be judged.
    let Suspicion { mdev, record_and_pci, pci } = domain.suspicion;
    if mdev || record_and_pci || settings.require && pci {
        Judgement::cannot_judge(&error)
    } else {
        Judgement::default()
    }
}

/// The domain on standard input.
struct Input {
    /// All of it, if it is not too large to be read as a document.
    bytes: Option<Vec<u8>>,
    /// How many bytes it has.
    total: usize,
    /// Whether the letters `mdev` are in it.
    mentions_mdev: bool,
    /// What may be in it if it cannot be read as a document.
    suspicion: Suspicion,
}

/// Reads all of standard input, whatever its length, and keeps what can be read as a document.
fn read_domain() -> io::Result<Input> {
    let mut stdin = io::stdin().lock();
    let mut bytes = Vec::new();
    let mut total = 0;
    let mut mentions_mdev = false;
    let mut search = Search::new();
    // The last bytes of one chunk and the first of the next may be the four letters.
    let mut last = [0; 3];
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = match stdin.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let read = &chunk[..length];
        total += length;
        search.feed(read);
        if !mentions_mdev {
            let seam: Vec<u8> = last.iter().chain(read.iter().take(3)).copied().collect();
            mentions_mdev = [read, &seam].iter().any(|bytes| memmem::find(bytes, b"mdev").is_some());
            let tail = &seam[seam.len().saturating_sub(3)..];
            let tail = if length >= 3 { &read[length - 3..] } else { tail };
            last[3 - tail.len()..].copy_from_slice(tail);
        }
        if total <= MAX_BYTES {
            bytes.extend_from_slice(read);
        } else {
            bytes = Vec::new();
        }
    }
    let bytes = (total <= MAX_BYTES).then_some(bytes);
    Ok(Input { bytes, total, mentions_mdev, suspicion: search.finish() })
}

fn judge_document(settings: &HookSettings, document: &Document) -> Judgement {
    let devices = vfio_pci_devices(document);
    let has_pci = document.domains.iter().any(|domain| !domain.pci_hostdevs.is_empty());
    let is_recorded = carries_record(document);
    if devices == 0 && !(has_pci && (settings.require || has_metadata_record(document))) {
        return Judgement::default();
    }
    if let Some(misuse) = &settings.misuse {
        return Judgement::refused(format!("cannot judge it on {}: options of the hook: {misuse}", host_name()));
    }
    if !is_recorded && devices > 0 {
        return judge_unrecorded(settings, devices);
    }
    let host = match Sysfs::open(&settings.sysfs) {
        Ok(sysfs) => HostSource::Sysfs(sysfs),
        Err(error) => return Judgement::cannot_judge(&Diagnostic::of(&error)),
    };
    let scope = if settings.require { PciScope::Vgpus } else { PciScope::Recorded };
    match check(document, &host.ask(document.devices()), settings.pairing, scope) {
        Ok(comparison) => judge_comparison(settings, &comparison),
        Err(errors) => {
            let origin = Origin::new("domain", document.text());
            let refusals = errors.iter().map(|error| in_one_line(&origin.error(error))).collect();
            Judgement { refusals, ..Judgement::refused("") }
        }
    }
}

fn judge_comparison(settings: &HookSettings, comparison: &Comparison<'_>) -> Judgement {
    let mut judgement = Judgement::default();
    let mut absent = 0;
    for checked in &comparison.devices {
        let is_absent = matches!(checked.found, Err(Missing::NotOnHost { .. } | Missing::Untyped { .. }));
        if is_absent && checked.recorded.is_some() && settings.defers_absent() {
            absent += 1;
            continue;
        }
        judgement.refusals.extend(reason(settings, checked));
        judgement.warnings.extend(other_board(checked));
        if checked.is_only_pair {
            let made_for = checked.recorded_uuid().map_or_else(String::new, |uuid| format!(" for mdev {uuid}"));
            judgement.warnings.push(format!(
                "{} is judged by the guest's only record, which was made{made_for} and names no guest address",
                checked.device
            ));
        }
    }
    for orphan in &comparison.orphans {
        let told = about_orphan(orphan);
        let is_refused = orphan.place.is_difference() || orphan.place == OrphanPlace::Unknown && settings.require;
        let lines = if is_refused { &mut judgement.refusals } else { &mut judgement.warnings };
        lines.push(told);
    }
    if comparison.devices.is_empty() && comparison.orphans.is_empty() {
        return judgement;
    }
    let devices = comparison.devices.len() - absent;
    let deferred = if absent > 0 { format!(", {absent} deferred to prepare begin") } else { String::new() };
    let are_mdevs = comparison.devices.iter().all(|checked| matches!(checked.device, DeviceAddress::Mdev(_)));
    let kind = if are_mdevs { "mediated device" } else { "device" };
    judgement.compared = Some(format!("{devices} {kind}{} compared{deferred}", plural(devices)));
    judgement
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn vfio_pci_devices(document: &Document) -> usize {
    let hostdevs = document.domains.iter().flat_map(|domain| &domain.hostdevs);
    hostdevs.filter(|hostdev| matches!(hostdev.model, Model::VfioPci(_))).count()
}

/// Whether anything is recorded in the document's metadata.
fn has_metadata_record(document: &Document) -> bool {
    document.domains.iter().any(|domain| match &domain.metadata {
        Some(Metadata::Ours(ours)) => !ours.records.is_empty(),
        Some(Metadata::Unreadable(_)) => true,
        Some(Metadata::Missing { .. } | Metadata::WithoutOurs { .. }) | None => false,
    })
}

/// Whether anything is recorded of the document's devices.
fn carries_record(document: &Document) -> bool {
    let mut hostdevs = document.domains.iter().flat_map(|domain| &domain.hostdevs);
    has_metadata_record(document)
        || hostdevs.any(|hostdev| match &hostdev.model {
            Model::VfioPci(Ok(source)) => !source.written.is_empty(),
            Model::VfioPci(Err(error)) => error.may_hide_record(),
            Model::Other(_) => false,
        })
}

fn judge_unrecorded(settings: &HookSettings, devices: usize) -> Judgement {
    let (are, them) = match devices {
        1 => ("its mediated device is".to_owned(), "it"),
        _ => (format!("its {devices} mediated devices are"), "them"),
    };
    let remedy = format!("record {them} on the host that the guest comes from: {}", record_command(settings));
    let compared = Some("nothing is recorded".to_owned());
    if settings.require {
        let refusal = format!("{are} not recorded, which {} requires; {remedy}", host_name());
        Judgement { refusals: vec![refusal], compared, ..Judgement::default() }
    } else {
        let warning = format!("{are} not recorded, so nothing was compared; {remedy}");
        Judgement { warnings: vec![warning], compared, ..Judgement::default() }
    }
}

/// Returns why a device keeps the guest from coming, or `None` if it does not.
fn reason(settings: &HookSettings, checked: &Checked<'_>) -> Option<String> {
    let host = host_name();
    let device = match &checked.guest.address {
        Some(address) => format!("{} at guest address {address}", checked.device),
        None => checked.device.to_string(),
    };
    let recorded = checked.recorded.map(|recorded| described_with(recorded, checked.vgpu_names.recorded.as_deref()));
    let was_recorded = recorded
        .as_ref()
        .map_or_else(|| "was not recorded".to_owned(), |recorded| format!("was recorded as {recorded}"));
    let found = match &checked.found {
        Ok(found) => {
            let Identity { vendor, product, kind } = &found.identity;
            let kind = with_name(short(&kind.to_string()), checked.vgpu_names.found.as_deref());
            let was_vgpu = checked.recorded.is_some_and(|recorded| recorded.get(Part::VgpuType).is_some());
            let function = match (found.identity.kind_part(), found.is_virtual_function) {
                (Part::Class, false) if was_vgpu => ", not a virtual function",
                (Part::Class, true) if was_vgpu => ", without a vGPU type",
                _ => "",
            };
            format!("{kind} ({vendor} {product}{function})")
        }
        // The reader is on another host.
        Err(missing @ Missing::NotOnHost { .. }) => {
            let why = match missing {
                Missing::NotOnHost { absence: Absence::NoDriver { .. }, .. } => {
                    ", where no driver for mediated devices is loaded"
                }
                _ => "",
            };
            return Some(format!(
                "{device} {was_recorded} and is not on {host}{why}; on {host}, {}",
                help::start(missing)
            ));
        }
        Err(missing @ (Missing::Untyped { .. } | Missing::NoVgpuType { .. })) => {
            let found = missing.label();
            let is = missing.to_string().replacen(&checked.device.to_string(), "it", 1);
            return Some(format!("{device} {was_recorded}, but on {host} {is}: {found}; {}", help::start(missing)));
        }
        Err(Missing::ParentNotPci { parent, .. }) => {
            let remedy = "assign the guest a slice of a PCI device";
            return Some(format!(
                "{device} {was_recorded}, but on {host} its parent {parent} is not a PCI device; {remedy}"
            ));
        }
    };
    match checked.verdict() {
        Verdict::Same => None,
        Verdict::Different if !checked.conflicts().is_empty() => Some(format!(
            "{device} is {found} on {host}, but {was_recorded}; {} assign the guest a matching device",
            match checked.found.as_ref().map(|found| found.identity.kind_part()) {
                Ok(Part::MdevType) => format!("recreate it on {host} with the recorded type, or"),
                Ok(Part::VgpuType) => format!("set the recorded type on it on {host}, or"),
                _ => format!("on {host},"),
            },
        )),
        Verdict::Different => {
            let had = checked.contradiction().map_or_else(String::new, |rival| {
                format!(
                    ", but the guest had {} at {} ({})",
                    described(&rival.record.written),
                    rival.key,
                    made_for(rival.record)
                )
            });
            Some(format!("{device} is {found} on {host}{had}; assign the hostdev there a device of the recorded type"))
        }
        Verdict::Unrecorded | Verdict::Missing | Verdict::Untyped => {
            let record = record_command(settings);
            Some(match checked.made_for_another() {
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
fn other_board(checked: &Checked<'_>) -> Option<String> {
    let recorded = checked.other_subsystem()?;
    let found = checked.found.as_ref().ok()?.subsystem?;
    let (device, host) = (checked.device, host_name());
    Some(format!("{device} is on another board: its subsystem was {}, and is {found} on {host}", short(&recorded.text)))
}

/// Describes a record that belongs to no hostdev of the guest.
fn about_orphan(orphan: &Orphan<'_>) -> String {
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
             record it or remove the record on the host that the guest comes from: virt-mdev fill --into metadata \
             --on-conflict replace",
            hostdev.device().map_or_else(|| "a hostdev of type pci".to_owned(), |device| device.to_string()),
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
fn record_command(settings: &HookSettings) -> String {
    let guest = virsh_domain(&settings.guest);
    let editor = "EDITOR='virt-mdev fill -i --into metadata'";
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
fn in_one_line(error: &Diagnostic) -> String {
    let place =
        error.excerpt.as_ref().map(|excerpt| format!(" ({}:{})", excerpt.origin, excerpt.place)).unwrap_or_default();
    let help = error.help.first().map(|help| format!("; {help}")).unwrap_or_default();
    format!("cannot judge it on {}: {}{place}{help}", host_name(), error.message)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The priority of a line, in syslog's numbers (RFC 3164, section 4.1.1).
#[derive(Clone, Copy)]
enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// Where a guest's verdict is written.
struct Log<'a> {
    guest: String,
    syslog: &'a Path,
}

impl<'a> Log<'a> {
    fn new(settings: &'a HookSettings) -> Self {
        Self { guest: short(&settings.guest), syslog: &settings.syslog }
    }

    /// Writes a line to standard error, which reaches the person who asked if the guest is refused, and to syslog, which keeps
    /// it in any case.
    fn tell(&self, line: &str, priority: Priority, streams: &mut Streams<'_>) {
        let line = self.line(line);
        let _ = writeln!(streams.stderr, "virt-mdev: {line}");
        self.send(&line, priority);
    }

    /// Writes the first lines, and how many more there are: a guest may have thousands of devices.
    fn tell_all(&self, lines: &[String], priority: Priority, streams: &mut Streams<'_>) {
        const SHOWN: usize = 10;
        lines.iter().take(SHOWN).for_each(|line| self.tell(line, priority, streams));
        if lines.len() > SHOWN {
            self.tell(&format!("{} more like these", lines.len() - SHOWN), priority, streams);
        }
    }

    /// Writes a line to syslog alone.
    fn record(&self, line: &str) {
        self.send(&self.line(line), Priority::Info);
    }

    /// Returns a line as it is written, cut where syslog or libvirt's client would not take it.
    fn line(&self, line: &str) -> String {
        const LONGEST: usize = 4096;
        let mut line = format!("guest {}: {}", self.guest, escape(line));
        if line.len() > LONGEST {
            line.truncate(floor_char_boundary(&line, LONGEST));
            line.push('…');
        }
        line
    }

    /// Sends a line to syslog. A host may have no logger, and one that is stuck must not hold libvirt up.
    fn send(&self, line: &str, priority: Priority) {
        const DAEMON: u8 = 3;
        const PATIENCE: Duration = Duration::from_millis(100);
        let Ok(socket) = UnixDatagram::unbound() else { return };
        let (priority, process) = (DAEMON << 3 | priority as u8, std::process::id());
        let message = format!("<{priority}>virt-mdev[{process}]: {line}");
        let _ = socket.set_write_timeout(Some(PATIENCE)).and_then(|()| socket.send_to(message.as_bytes(), self.syslog));
    }
}
