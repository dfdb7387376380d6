//! `hook`: what libvirt asks before a guest comes to this host.
//!
//! Called by libvirt with the domain XML on standard input; see <https://libvirt.org/hooks.html>. Exit status 0 lets it happen,
//! 1 refuses it, and what stands on standard error then is all that the person sees who asked for it, on another host.
//! Standard output stays empty: what a hook prints replaces the domain.

use std::io::{self, Read};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::settings::HookSettings;
use super::{Failure, Outcome, Streams};
use crate::domain::{Document, HostdevError, MAX_BYTES, Metadata, Model};
use crate::host::Sysfs;
use crate::plan::Missing;
use crate::plan::check::{Checked, Verdict, check};
use crate::report::escape::{escape, short};
use crate::report::{Diagnostic, Origin};

/// libvirt sets a hook no limit, and one that hangs holds one of its 20 workers; so we set our own, in all.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How a guest was judged.
enum Judgement {
    /// It may come.
    Passes,
    /// It may come, and this should be known.
    PassesWith(String),
    /// It may not, for these reasons, a line each.
    Refused(Vec<String>),
}

pub(super) fn run(settings: &HookSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    // Anything else passes whatever happens: a failure at `reconnect begin` would kill the running guest.
    if !settings.is_judged() {
        return Ok(Outcome::Done);
    }
    let judgement = match &settings.misuse {
        Some(misuse) => Judgement::Refused(vec![format!("cannot judge it: {misuse}")]),
        None => judge_in_time(settings),
    };
    Ok(match judgement {
        Judgement::Passes => Outcome::Done,
        Judgement::PassesWith(warning) => {
            tell(&settings.guest, &warning, Severity::Warning, streams);
            Outcome::Done
        }
        Judgement::Refused(reasons) => {
            reasons.iter().for_each(|reason| tell(&settings.guest, reason, Severity::Error, streams));
            Outcome::Differs
        }
    })
}

/// Judges on another thread, which the end of the process ends, as far as the kernel lets it.
fn judge_in_time(settings: &HookSettings) -> Judgement {
    let (sender, receiver) = mpsc::channel();
    let settings = settings.clone();
    thread::spawn(move || {
        // Nobody listens any more once the time is up.
        let _ = sender.send(judge(&settings));
    });
    receiver.recv_timeout(TIME_LIMIT).unwrap_or_else(|error| {
        Judgement::Refused(vec![match error {
            RecvTimeoutError::Timeout => {
                format!("not judged in {} s, time is up; see what blocks {}", TIME_LIMIT.as_secs(), host_name())
            }
            RecvTimeoutError::Disconnected => "cannot judge it: internal error".to_owned(),
        }])
    })
}

fn judge(settings: &HookSettings) -> Judgement {
    let refused = |error: Diagnostic| Judgement::Refused(vec![in_one_line(&error)]);
    let mut bytes = Vec::new();
    // One byte more than a document may have tells a larger one.
    if let Err(error) = io::stdin().lock().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes) {
        return refused(Diagnostic::error(format!("cannot read the domain: {error}")));
    }
    if bytes.len() <= MAX_BYTES && !bytes.windows(4).any(|letters| letters == b"mdev") {
        return Judgement::Passes;
    }
    let document = match Document::read(bytes) {
        Ok(document) => document,
        Err(error) => return refused(Diagnostic::of_document("domain", &error)),
    };
    let devices = vfio_pci_devices(&document);
    if devices == 0 {
        return Judgement::Passes;
    }
    if !carries_record(&document) {
        return judge_unrecorded(settings, devices);
    }
    let sysfs = match Sysfs::open(&settings.sysfs) {
        Ok(sysfs) => sysfs,
        Err(error) => return refused(Diagnostic::of(&error)),
    };
    match check(&document, &sysfs.ask(document.uuids())) {
        Ok(checked) => {
            let reasons: Vec<_> = checked.iter().filter_map(reason).collect();
            if reasons.is_empty() { Judgement::Passes } else { Judgement::Refused(reasons) }
        }
        Err(faults) => {
            let origin = Origin::new("domain", &document.text);
            Judgement::Refused(faults.iter().map(|fault| in_one_line(&origin.fault(fault))).collect())
        }
    }
}

fn vfio_pci_devices(document: &Document) -> usize {
    let hostdevs = document.domains.iter().flat_map(|domain| &domain.hostdevs);
    hostdevs.filter(|hostdev| matches!(hostdev.model, Model::VfioPci(_))).count()
}

/// Whether anything at all is recorded of the document's devices.
fn carries_record(document: &Document) -> bool {
    document.domains.iter().any(|domain| {
        let in_metadata = match &domain.metadata {
            Some(Metadata::Ours(ours)) => !ours.records.is_empty(),
            Some(Metadata::Unreadable(_)) => true,
            Some(Metadata::Missing { .. } | Metadata::WithoutOurs { .. }) | None => false,
        };
        let in_source = domain.hostdevs.iter().any(|hostdev| match &hostdev.model {
            Model::VfioPci(Ok(source)) => !source.written.is_empty(),
            Model::VfioPci(Err(error)) => matches!(error, HostdevError::Twice { .. }),
            Model::Other(_) => false,
        });
        in_metadata || in_source
    })
}

fn judge_unrecorded(settings: &HookSettings, devices: usize) -> Judgement {
    let are =
        if devices == 1 { "its mediated device is".to_owned() } else { format!("its {devices} mediated devices are") };
    let remedy = "record what it is where it comes from: virt-mdev fill --into metadata";
    if settings.require {
        Judgement::Refused(vec![format!("{are} not recorded, which {} requires; {remedy}", host_name())])
    } else {
        Judgement::PassesWith(format!("{are} not recorded, so nothing was compared; {remedy}"))
    }
}

/// Why a device keeps the guest from coming; nothing where it does not.
fn reason(checked: &Checked<'_>) -> Option<String> {
    let uuid = checked.uuid;
    let host = host_name();
    let recorded = checked.recorded.map(|written| {
        let parts: Vec<_> = written.parts().map(|part| short(&part.text)).collect();
        parts.join(" ")
    });
    let recorded = recorded.map_or_else(|| "nothing recorded".to_owned(), |recorded| format!("recorded {recorded}"));
    let found = match &checked.found {
        Ok(found) => found,
        // This host is another one for the person who reads it.
        Err(Missing::NotOnHost { .. }) => {
            return Some(format!("mdev {uuid}: {recorded}, {host} does not have it; mdevctl start -u {uuid} there"));
        }
        Err(Missing::ParentNotPci { parent, .. }) => {
            let remedy = "give the guest a device of a PCI device";
            return Some(format!(
                "mdev {uuid}: {recorded}, on {host} its parent {parent} is not a PCI device; {remedy}"
            ));
        }
    };
    let remedy = match checked.verdict() {
        Verdict::Same => return None,
        Verdict::Different => "make it of the recorded type there, or give the guest a device that is",
        Verdict::Unrecorded | Verdict::Missing => "record it where it comes from: virt-mdev fill --into metadata",
    };
    Some(format!("mdev {uuid}: {recorded}, {host} has {found}; {remedy}"))
}

/// An error without its excerpt: the person who reads it does not have the text.
fn in_one_line(error: &Diagnostic) -> String {
    let place =
        error.excerpt.as_ref().map(|excerpt| format!(" ({}:{})", excerpt.origin, excerpt.place)).unwrap_or_default();
    format!("cannot judge it on {}: {}{place}", host_name(), error.message)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How bad a line is, in syslog's numbers (RFC 3164, section 4.1.1).
#[derive(Clone, Copy)]
enum Severity {
    Error = 3,
    Warning = 4,
}

/// Says it on standard error, which reaches the person who asked if we refuse, and to syslog, which keeps it if we do not.
fn tell(guest: &str, line: &str, severity: Severity, streams: &mut Streams<'_>) {
    let line = format!("guest {}: {}", escape(guest), escape(line));
    let _ = writeln!(streams.stderr, "virt-mdev: {line}");
    // A host may be without a logger, and one that is stuck must not hold libvirt up.
    if let Ok(socket) = UnixDatagram::unbound() {
        const DAEMON: u8 = 3;
        let priority = DAEMON << 3 | severity as u8;
        let message = format!("<{priority}>virt-mdev[{}]: {line}", std::process::id());
        let _ = socket.set_nonblocking(true).and_then(|()| socket.send_to(message.as_bytes(), "/dev/log"));
    }
}
