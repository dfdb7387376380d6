//! Completion scripts for shells.

use clap_complete::Shell;

/// Returns the script that completes this program's command line in `shell`.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::whole(), "virt-mdev", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // If the program's name has a dash, clap_complete 4.6 gives a subcommand two different names, and bash completes none
        // of its options: https://github.com/clap-rs/clap/issues/6421.
        Shell::Bash => script.replace("virt__subcmd__mdev", "virt__mdev"),
        _ => script,
    }
}
