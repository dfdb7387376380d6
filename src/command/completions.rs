//! `completions`: a script for a shell.

use super::settings::CompletionSettings;
use super::{Failure, Outcome, Streams};

pub(super) fn run(settings: &CompletionSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(settings.shell, &mut (settings.command)(), "virt-mdev", &mut script);
    streams.print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
