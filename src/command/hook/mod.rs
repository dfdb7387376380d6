//! `hook`: libvirt's question whether a guest may come to this host.
//!
//! libvirt calls it with the domain XML on standard input; see <https://libvirt.org/hooks.html>. Exit status 0 allows it and 1
//! refuses it. The person who asked for it, on another host, then sees only standard error. Standard output stays empty: what
//! a hook prints there replaces the domain.
//!
//! A guest is refused only if it has a mediated device of model vfio-pci, if it has a record and a hostdev of type pci, with
//! `--require` if it has a vGPU that is a virtual function, or if none of these can be ruled out.

mod input;
mod log;
mod message;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use memchr::memmem;

use super::settings::HookSettings;
use super::{Failure, Outcome, Streams, open_host};
use crate::device::DeviceAddress;
use crate::domain::{Document, MAX_BYTES, Metadata, Model, Suspicion};
use crate::file;
use crate::host::{Host, NoIdentity};
use crate::plan::Missing;
use crate::plan::check::{Comparison, check};
use crate::plan::demand::{OrphanPlace, PciScope};
use crate::report::{Diagnostic, Origin};
use input::read_domain;
use log::{Log, Priority};
use message::{about_orphan, host_name, in_one_line, other_board, reason, record_command};

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

    fn cannot_judge(errors: &[Diagnostic]) -> Self {
        Self { refusals: errors.iter().map(in_one_line).collect(), ..Self::refused("") }
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
    log.write_all(&judgement.warnings, Priority::Warning, streams);
    log.write_all(&judgement.refusals, Priority::Error, streams);
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
        // A verdict without a time limit is better than none.
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
        Err(error) => return Judgement::cannot_judge(&[Diagnostic::error(format!("cannot read the domain: {error}"))]),
    };
    if domain.total == 0 && file::stdin_was_closed() {
        let closed = Diagnostic::error("standard input is closed, and the domain is expected there");
        let refused = Judgement::cannot_judge(&[closed]);
        return if settings.require {
            refused
        } else {
            Judgement { warnings: refused.refusals, refusals: Vec::new(), ..refused }
        };
    }
    // Without the letters there is neither a mediated device nor a record; with --require, a PCI device may be a vGPU.
    let mentions_mdev = domain.bytes.as_ref().is_none_or(|bytes| memmem::find(bytes, b"mdev").is_some());
    if !(mentions_mdev || settings.require && domain.suspicion.pci) {
        return Judgement::default();
    }
    let error = match domain.bytes.map(Document::read_leniently) {
        Some(Ok(document)) => {
            return judge_document(settings, &document).unwrap_or_else(|errors| Judgement::cannot_judge(&errors));
        }
        Some(Err(error)) => Diagnostic::of_document("domain", &error),
        None => {
            Diagnostic::error(format!("the domain has {} bytes, and at most {MAX_BYTES} can be read", domain.total))
        }
    };
    // What cannot be read is refused only if it may hold something that has to be judged.
    let Suspicion { mdev, record_and_pci, pci } = domain.suspicion;
    if mdev || record_and_pci || settings.require && pci {
        Judgement::cannot_judge(&[error])
    } else {
        Judgement::default()
    }
}

fn judge_document(settings: &HookSettings, document: &Document) -> Result<Judgement, Vec<Diagnostic>> {
    let devices = vfio_pci_devices(document);
    let has_pci = document.domains.iter().any(|domain| !domain.pci_hostdevs.is_empty());
    let is_recorded = carries_record(document);
    if devices == 0 && !(has_pci && (settings.require || has_metadata_record(document))) {
        return Ok(Judgement::default());
    }
    if let Some(misuse) = &settings.misuse {
        return Err(vec![Diagnostic::error(format!("options of the hook: {misuse}"))]);
    }
    if !is_recorded && devices > 0 {
        return Ok(judge_unrecorded(settings, devices));
    }
    let host = open_host(&settings.host).map_err(|error| vec![error])?;
    let scope = if settings.require { PciScope::Vgpus } else { PciScope::Recorded };
    let mut answers = host.ask(document.devices());
    let comparison = check(document, &answers, settings.pairing, scope)
        .map_err(|errors| Origin::new("domain", document.text()).errors(errors))?;
    if !comparison.is_same() {
        host.name_vgpus(&mut answers);
    }
    Ok(judge_comparison(settings, &comparison, &answers))
}

fn judge_comparison(settings: &HookSettings, comparison: &Comparison<'_>, host: &Host) -> Judgement {
    let mut judgement = Judgement::default();
    let mut absent = 0;
    for checked in &comparison.devices {
        let is_absent = matches!(checked.found, Err(Missing { why: NoIdentity::Absent(_) | NoIdentity::Untyped, .. }));
        if is_absent && checked.wanted.recorded.is_some() && settings.defers_absent() {
            absent += 1;
            continue;
        }
        judgement.refusals.extend(reason(settings, checked, host));
        judgement.warnings.extend(other_board(checked, host));
        if checked.wanted.is_only_pair {
            let made_for = checked.wanted.recorded_uuid().map_or_else(String::new, |uuid| format!(" for mdev {uuid}"));
            judgement.warnings.push(format!(
                "{} is judged by the guest's only record, which was made{made_for} and names no guest address",
                checked.wanted.device
            ));
        }
    }
    for orphan in &comparison.orphans {
        let is_refused = orphan.place.is_difference() || orphan.place == OrphanPlace::Unknown && settings.require;
        let lines = if is_refused { &mut judgement.refusals } else { &mut judgement.warnings };
        lines.push(about_orphan(settings, orphan));
    }
    if comparison.devices.is_empty() && comparison.orphans.is_empty() {
        return judgement;
    }
    let devices = comparison.devices.len() - absent;
    let deferred = if absent > 0 { format!(", {absent} deferred to prepare begin") } else { String::new() };
    let are_mdevs = comparison.devices.iter().all(|checked| matches!(checked.wanted.device, DeviceAddress::Mdev(_)));
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
    let remedy = format!("record {them} on the host that the guest comes from: {}", record_command(settings, ""));
    let compared = Some("nothing is recorded".to_owned());
    if settings.require {
        let refusal = format!("{are} not recorded, which {} requires; {remedy}", host_name());
        Judgement { refusals: vec![refusal], compared, ..Judgement::default() }
    } else {
        let warning = format!("{are} not recorded, so nothing was compared; {remedy}");
        Judgement { warnings: vec![warning], compared, ..Judgement::default() }
    }
}
