//! Where a verdict is written: standard error and syslog.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::super::Streams;
use super::super::settings::HookSettings;
use crate::report::escape::{escape, short};
use crate::text::floor_char_boundary;

/// The priority of a line, in syslog's numbers (RFC 3164, section 4.1.1).
#[derive(Clone, Copy)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// Where a guest's verdict is written.
pub(super) struct Log<'a> {
    guest: String,
    syslog: &'a Path,
}

impl<'a> Log<'a> {
    pub fn new(settings: &'a HookSettings) -> Self {
        Self { guest: short(&settings.guest), syslog: &settings.syslog }
    }

    /// Writes a line to standard error, which reaches the person who asked if the guest is refused, and to syslog, which keeps
    /// it in any case.
    fn write(&self, line: &str, priority: Priority, streams: &mut Streams<'_>) {
        let line = self.line(line);
        let _ = writeln!(streams.stderr, "virt-mdev: {line}");
        self.send(&line, priority);
    }

    /// Writes the first lines, and how many more there are: a guest may have thousands of devices.
    pub fn write_all(&self, lines: &[String], priority: Priority, streams: &mut Streams<'_>) {
        const SHOWN: usize = 10;
        lines.iter().take(SHOWN).for_each(|line| self.write(line, priority, streams));
        if lines.len() > SHOWN {
            self.write(&format!("{} more like these", lines.len() - SHOWN), priority, streams);
        }
    }

    /// Writes a line to syslog alone.
    pub fn record(&self, line: &str) {
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
