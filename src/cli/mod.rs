//! The command line: parses arguments into [`Settings`].

mod arguments;
mod completions;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, Command, CommandFactory, FromArgMatches};

use crate::command::settings::{HookSettings, HostSettings, Settings};
use crate::plan::Pairing;
use crate::report::escape;
use arguments::{HookArgs, Subcommand, check_stdin_of_hook};

/// The environment variables that are read.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The directory to read instead of `/sys`: `VIRT_MDEV_SYSFS`.
    pub sysfs: Option<PathBuf>,
    /// The list of the names of PCI devices to read instead of the system's: `VIRT_MDEV_PCI_IDS`.
    pub pci_ids: Option<PathBuf>,
    /// The socket to send to instead of `/dev/log`: `VIRT_MDEV_SYSLOG`.
    pub syslog: Option<PathBuf>,
}

impl Environment {
    /// Reads the environment. An empty variable counts as unset.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { sysfs: path("VIRT_MDEV_SYSFS"), pci_ids: path("VIRT_MDEV_PCI_IDS"), syslog: path("VIRT_MDEV_SYSLOG") }
    }

    fn syslog(&self) -> PathBuf {
        self.syslog.clone().unwrap_or_else(|| "/dev/log".into())
    }
}

const EXIT_STATUS: &str = "\
Exit status:
  0      success, also if there was nothing to do
  1      --dry-run, compare or check found a difference, or doctor an error
  2      an error; nothing was written, unless --keep-going was given
  128+n  ended by signal n";

/// Parses a command line, which begins with the program's own name.
///
/// # Errors
/// Also for `--help` and `--version`. The error determines the exit status and the stream to print to.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> Result<Settings, clap::Error> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    match parse_words(&arguments, environment.clone()) {
        // If a hook fails at `reconnect begin`, libvirt kills the guest. So `hook` itself decides what an error means.
        Err(error) if is_called_as_hook(&arguments) => Ok(misused_hook(&error, &arguments, &environment)),
        Err(error) if error.use_stderr() => Err(with_words_escaped(error, &arguments)),
        parsed => parsed,
    }
}

/// Returns the same error with the words escaped for a terminal, since clap quotes them as they were typed.
fn with_words_escaped(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let escaped: Vec<_> = arguments.iter().map(|word| escape::path(Path::new(word)).into()).collect();
    if escaped == arguments { error } else { parse_words(&escaped, Environment::default()).err().unwrap_or(error) }
}

fn parse_words(arguments: &[OsString], environment: Environment) -> Result<Settings, clap::Error> {
    let mut command = whole();
    if is_called_as_hook(arguments) {
        // A guest may be named --help.
        command = command.mut_subcommand("hook", |hook| hook.disable_help_flag(true));
    }
    let matches = command.try_get_matches_from_mut(arguments).map_err(|error| explain(error, arguments))?;
    Subcommand::from_arg_matches(&matches)?.settings(environment)
}

/// Whether libvirt makes this call, rather than a person who asks for help.
fn is_called_as_hook(arguments: &[OsString]) -> bool {
    let [_, subcommand, words @ ..] = arguments else { return false };
    let asks_for_help = matches!(words, [word] if word == "--help" || word == "-h");
    subcommand == "hook" && !asks_for_help
}

/// Returns the settings for a hook call whose command line is wrong. A guest with mediated devices is refused if an operation
/// that is judged appears anywhere in it.
fn misused_hook(error: &clap::Error, arguments: &[OsString], environment: &Environment) -> Settings {
    let words: Vec<_> = arguments.iter().skip(2).map(|word| word.to_string_lossy().into_owned()).collect();
    let misuse = check_hook_options(options_of_hook(&words)).err().unwrap_or_else(|| in_one_line(error));
    let called = |guest: &str, operation: &str, suboperation: &str| HookSettings {
        host: HostSettings::Sysfs(PathBuf::new(), None),
        require: false,
        check_start: words.iter().any(|word| word == "--check-start"),
        defer_absent: words.iter().any(|word| word == "--defer-absent"),
        pairing: Pairing::default(),
        syslog: environment.syslog(),
        guest: guest.to_owned(),
        operation: (operation.to_owned(), suboperation.to_owned()),
        misuse: Some(misuse.clone()),
    };
    let mut calls = words.windows(3).map(|words| called(&words[0], &words[1], &words[2]));
    Settings::Hook(calls.find(HookSettings::is_judged).unwrap_or_else(|| called("", "", "")))
}

/// Returns the words of a hook call that come before `--`, or if there is none, before libvirt's four arguments.
fn options_of_hook(words: &[String]) -> &[String] {
    let end = words.iter().position(|word| word == "--").unwrap_or_else(|| words.len().saturating_sub(4));
    &words[..end]
}

/// Returns what is wrong with a command line, without the usage.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // clap names missing arguments on the lines after the first; the usage follows an empty line.
    let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    lines.join(" ")
}

/// Returns an error if `options` are not options of `hook`.
///
/// In a whole call, clap takes a misspelled option for the guest's name, which may begin with a dash, and so reports a later
/// word instead.
fn check_hook_options(options: &[String]) -> Result<(), String> {
    let hook = HookArgs::augment_args(Command::new("hook")).disable_help_flag(true);
    let mut hook = hook.mut_args(|argument| argument.required(false).allow_hyphen_values(false));
    let call = std::iter::once("hook").chain(options.iter().map(String::as_str));
    let matches = hook.try_get_matches_from_mut(call).map_err(|error| in_one_line(&error))?;
    if let Some(word) = matches.get_one::<OsString>("guest") {
        return Err(format!("'{}' is not an option", word.to_string_lossy()));
    }
    check_stdin_of_hook(matches.get_one("host")).map_err(|error| in_one_line(&error))
}

/// Returns the command line with all its subcommands.
pub fn whole() -> Command {
    Subcommand::command()
}

/// Returns an error that explains the form of `-i=.bak`, if sed's `-i.bak` was given.
fn explain(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let glued = arguments.iter().filter_map(|word| word.to_str()?.strip_prefix("-i")).find(|rest| !rest.is_empty());
    match (error.kind(), glued) {
        (ErrorKind::NoEquals | ErrorKind::UnknownArgument, Some(suffix)) if !suffix.starts_with('=') => {
            usage_error(format!("a suffix for backups follows an equals sign: -i={suffix} or --in-place={suffix}"))
        }
        _ => error,
    }
}

fn usage_error(message: impl std::fmt::Display) -> clap::Error {
    clap::Error::raw(ErrorKind::ArgumentConflict, format!("{message}\n\nFor more information, try '--help'.\n"))
}
