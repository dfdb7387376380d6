//! `doctor`: whether the hook is installed and able to do its work.
//!
//! [`facts`] reads the state of a host, [`findings`] evaluates it, and this module prints the result. Nothing is changed, and
//! libvirt is not contacted.

mod facts;
mod findings;
mod hook_conf;

use super::json;
use super::settings::{DoctorSettings, Format};
use super::{Failure, Outcome, Streams};
use crate::report::{Diagnostic, escape};
use facts::Facts;
use findings::{Check, Finding, Level, diagnose};

pub(super) fn run(settings: &DoctorSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let facts = Facts::gather(&settings.root, &settings.sysfs).map_err(|error| {
        let error = Diagnostic::error(format!("cannot open the directory {}: {error}", settings.root.display()));
        Failure::from(error.help("--root names the root directory of the host: etc and proc are in it"))
    })?;
    let mut findings = diagnose(&facts, settings.check_options);
    for finding in &mut findings {
        finding.found = escape(&finding.found);
        finding.remedy = finding.remedy.as_deref().map(escape);
    }
    streams.print(&match settings.format {
        Format::Text => lines(&findings),
        Format::Json => json::text(&findings)?,
    })?;
    let is_error = |finding: &Finding| finding.level == Level::Error;
    Ok(if findings.iter().any(is_error) { Outcome::Differs } else { Outcome::Done })
}

/// Returns lines for people: what was found, and below it what to do.
fn lines(findings: &[Finding]) -> String {
    let line = |Finding { check: Check(check), level, found, remedy }: &Finding| {
        let line = format!("{:7}  {check:8}  {found}\n", level.name());
        remedy.iter().fold(line, |line, remedy| format!("{line}{:19}-> {remedy}\n", ""))
    };
    findings.iter().map(line).collect()
}
