//! The completion scripts in `src/cli/completions`, which the program prints and `make install` installs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;
use clap_complete::Shell;

use crate::support::Scratch;
use crate::support::here::{have, have_terminals};

/// Generates a script from the command line that clap parses.
fn generate(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut virt_mdev::cli::whole(), "virt-mdev", &mut script);
    let script = String::from_utf8(script).unwrap();
    match shell {
        // If the program's name has a dash, clap_complete 4.6 gives a subcommand two different names, and bash completes none
        // of its options: https://github.com/clap-rs/clap/issues/6421.
        Shell::Bash => with_file_names(&script.replace("virt__subcmd__mdev", "virt__mdev")),
        _ => script,
    }
}

/// Lets bash complete file names for `virt-mdev check <Tab>`, where the script of clap_complete 4.6 offers all options.
fn with_file_names(script: &str) -> String {
    const FILTER: &str = r#"
# Offers options only for a word that begins with a dash. Bash completes file names where nothing is offered.
_virt__mdev_or_files() {
    _virt__mdev "$@"
    local word words=()
    for word in "${COMPREPLY[@]}"; do
        [[ ${word} == -* && ${2} != -* ]] || words+=("${word}")
    done
    COMPREPLY=("${words[@]}")
}

if [["#;
    script.replacen("\nif [[", FILTER, 1).replace("complete -F _virt__mdev ", "complete -F _virt__mdev_or_files ")
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
             _virt__mdev_or_files virt-mdev '{current}' '{previous}' && echo \"${{COMPREPLY[*]}}\"",
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
    assert_eq!(completed(&["virt-mdev", "completions", ""]), "bash elvish fish powershell zsh");
}

#[test]
fn bash_completes_file_names_after_a_subcommand() {
    if !have("bash") || !have_terminals() {
        return;
    }
    let scratch = Scratch::with("domain.xml", "");
    // What is typed at a prompt; the function shows the arguments that Tab completed.
    let typed = format!(
        "source <('{}' completions bash); virt-mdev() {{ echo \"got: $*\"; }}\n\
         virt-mdev check \t\nvirt-mdev check -q do\t\nvirt-mdev fill -i \t\nvirt-mdev retarget --host d\t\nexit\n",
        env!("CARGO_BIN_EXE_virt-mdev")
    );
    let run = scratch.program("script", ["-qec", "bash --norc --noprofile -i", "/dev/null"]).env("TERM", "dumb");
    let run = run.stdin(typed).stdout_has("\ngot: check domain.xml\r").stdout_has("\ngot: check -q domain.xml\r");
    run.stdout_has("\ngot: fill -i domain.xml\r").stdout_has("\ngot: retarget --host domain.xml\r").check();
}
