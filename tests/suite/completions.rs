//! The completion scripts in `src/cli/completions`, which the program prints and `make install` installs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;
use clap_complete::Shell;

use crate::support::Scratch;
use crate::support::here::have;

/// Generates a script from the command line that clap parses.
fn generate(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut virt_mdev::cli::whole(), "virt-mdev", &mut script);
    let script = String::from_utf8(script).unwrap();
    match shell {
        // If the program's name has a dash, clap_complete 4.6 gives a subcommand two different names, and bash completes none
        // of its options: https://github.com/clap-rs/clap/issues/6421.
        Shell::Bash => script.replace("virt__subcmd__mdev", "virt__mdev"),
        _ => script,
    }
}

#[test]
fn the_script_of_each_shell_is_current() {
    for shell in Shell::value_variants() {
        let path = format!("src/cli/completions/virt-mdev.{shell}");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
        let current = generate(*shell);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &current).unwrap();
        } else {
            let shipped = fs::read_to_string(&path).unwrap();
            let path = path.display();
            assert!(shipped == current, "{path} is out of date: UPDATE_EXPECT=1 cargo test --test suite completions");
            Scratch::new().virt_mdev(["completions", &shell.to_string()]).stdout(current).check();
        }
    }
}

#[test]
fn a_shell_without_a_script_is_an_error() {
    Scratch::new().virt_mdev(["completions", "no-such-shell"]).status(2).stderr_has("no-such-shell").check();
}

#[test]
fn bash_completes_options_and_values_after_a_subcommand() {
    if !have("bash") {
        return;
    }
    let completed = |words: &[&str]| {
        let [.., previous, current] = words else { panic!("{words:?}") };
        let script = format!(
            "source <('{}' completions bash)\n\
             COMP_WORDS=({} '{current}') COMP_CWORD={}\n\
             _virt__mdev virt-mdev '{current}' '{previous}' && echo \"${{COMPREPLY[*]}}\"",
            env!("CARGO_BIN_EXE_virt-mdev"),
            words[..words.len() - 1].join(" "),
            words.len() - 1,
        );
        let printed = Command::new("bash").args(["-c", &script]).output().unwrap();
        String::from_utf8(printed.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(completed(&["virt-mdev", "fil"]), "fill");
    assert_eq!(completed(&["virt-mdev", "fill", "--on-m"]), "--on-missing");
    assert_eq!(completed(&["virt-mdev", "fill", "--into", ""]), "source metadata both");
    assert_eq!(completed(&["virt-mdev", "completions", "z"]), "zsh");
}
