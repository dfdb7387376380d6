//! `completions`: a script for a shell.

use clap_complete::Shell;

use super::settings::CompletionSettings;
use super::{Failure, Outcome, Streams};

pub(super) fn run(settings: &CompletionSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(settings.shell, &mut (settings.command)(), "virt-mdev", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if settings.shell == Shell::Bash {
        // With a dash in the program's name clap_complete 4.6 calls a subcommand by one name where it finds it and by
        // another where it completes its options, and so completes none: https://github.com/clap-rs/clap/issues/6421.
        script = script.replace("virt__subcmd__mdev", "virt__mdev");
    }
    streams.print(&script)?;
    Ok(Outcome::Done)
}
