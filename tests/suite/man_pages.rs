//! Compares the manual pages in `man` with the command line that clap parses.
//!
//! Every subcommand has a page, and every page a subcommand. The `.It Fl` lines of a page, its synopsis and its `.It Cm`
//! lines have exactly the options and values that clap accepts.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use clap::{Arg, Command};

/// The options that every command has. Only the first page documents them.
const OF_ALL: [&str; 2] = ["help", "version"];

/// A page of `man`, in mdoc.
struct Page {
    name: String,
    text: String,
}

impl Page {
    fn all() -> Vec<Self> {
        let top = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man");
        let entries = fs::read_dir(&top).unwrap().map(|entry| entry.unwrap().path());
        let page = |path: PathBuf| Self {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        };
        entries.map(page).collect()
    }

    fn of(name: &str) -> Self {
        let is_it = |page: &Self| page.name.rsplit_once('.').is_some_and(|(stem, _)| stem == name);
        Self::all().into_iter().find(is_it).unwrap_or_else(|| panic!("there is no page {name}"))
    }

    /// Returns the lines between this section's heading and the next.
    fn section(&self, heading: &str) -> impl Iterator<Item = &str> {
        let heading = format!(".Sh {heading}");
        let lines = self.text.lines().skip_while(move |line| *line != heading).skip(1);
        lines.take_while(|line| !line.starts_with(".Sh "))
    }

    /// Returns the options that are explained in `.It Fl` lines.
    fn explained(&self) -> Vec<Explained> {
        self.text.lines().filter_map(|line| line.strip_prefix(".It Fl ")).map(Explained::read).collect()
    }

    /// Returns the flags of the synopsis: `-i`, `--into`.
    fn synopsis(&self) -> BTreeSet<String> {
        self.section("SYNOPSIS").flat_map(flags).collect()
    }

    /// Returns the values that are explained in `.It Cm` lines.
    fn values(&self) -> BTreeSet<String> {
        self.text.lines().filter_map(|line| line.strip_prefix(".It Cm ")).map(str::to_owned).collect()
    }
}

/// An option, as in an `.It Fl` line.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Explained {
    /// `-i`, `--in-place`.
    flags: BTreeSet<String>,
    /// The name of its value.
    value: Option<String>,
}

impl Explained {
    fn read(line: &str) -> Self {
        let mut names = line.split(' ').skip_while(|word| *word != "Ar").skip(1);
        Self { flags: flags(&format!("Fl {line}")).collect(), value: names.next().map(str::to_owned) }
    }

    fn of(option: &Arg) -> Self {
        let short = option.get_short().map(|letter| format!("-{letter}"));
        let long = option.get_long().map(|name| format!("--{name}"));
        let value =
            option.get_value_names().filter(|_| option.get_action().takes_values()).map(|names| names[0].to_string());
        Self { flags: short.into_iter().chain(long).collect(), value }
    }
}

/// Returns the flags of a line of mdoc: `Fl i` is `-i`, `Fl -into` is `--into`. Several letters after one dash, as in a
/// synopsis, are several flags; `Fl -` alone ends the options and is not a flag.
fn flags(line: &str) -> impl Iterator<Item = String> {
    let words = line.trim_start_matches('.').split(' ');
    let after = words.clone().skip(1);
    words.zip(after).filter(|(word, _)| *word == "Fl").flat_map(|(_, name)| match name.strip_prefix('-') {
        Some("") => Vec::new(),
        Some(long) => vec![format!("--{long}")],
        None => name.chars().map(|letter| format!("-{letter}")).collect(),
    })
}

/// Returns the subcommands as clap uses them, each with the name of its page.
fn subcommands() -> Vec<(String, Command)> {
    let mut whole = virt_mdev::cli::whole();
    whole.build();
    let subcommands = whole.get_subcommands().filter(|subcommand| subcommand.get_name() != "help");
    subcommands.map(|subcommand| (format!("virt-mdev-{}", subcommand.get_name()), subcommand.clone())).collect()
}

/// Returns the options of a command, without those that every command has.
fn options(command: &Command) -> Vec<&Arg> {
    let is_own = |argument: &&Arg| !argument.is_positional() && !OF_ALL.contains(&argument.get_id().as_str());
    command.get_arguments().filter(is_own).collect()
}

#[test]
fn every_subcommand_has_a_page_and_every_page_a_subcommand() {
    let pages: BTreeSet<_> = Page::all().iter().map(|page| page.name.rsplit_once('.').unwrap().0.to_owned()).collect();
    let commands = subcommands().into_iter().map(|(page, _)| page).chain(["virt-mdev".to_owned()]).collect();
    assert_eq!(pages, commands);
}

#[test]
fn the_first_page_names_every_subcommand_and_the_common_options() {
    let page = Page::of("virt-mdev");
    let names = subcommands().iter().map(|(_, command)| command.get_name().to_owned()).collect();
    assert_eq!(page.values(), names);
    let whole = virt_mdev::cli::whole();
    assert!(options(&whole).is_empty(), "an option before the subcommand must be documented in the page");
    let explained: BTreeSet<_> = page.explained().into_iter().flat_map(|option| option.flags).collect();
    assert_eq!(explained, ["-h", "--help", "-V", "--version"].map(str::to_owned).into());
}

#[test]
fn each_page_explains_exactly_the_options_of_its_command() {
    for (name, command) in subcommands() {
        let explained: BTreeSet<_> = Page::of(&name).explained().into_iter().collect();
        let accepted: BTreeSet<_> = options(&command).into_iter().map(Explained::of).collect();
        let (too_many, too_few): (Vec<_>, Vec<_>) =
            (explained.difference(&accepted).collect(), accepted.difference(&explained).collect());
        assert!(too_many.is_empty() && too_few.is_empty(), "{name} explains {too_many:?}, and not {too_few:?}");
    }
}

#[test]
fn each_synopsis_has_exactly_the_options_of_its_command() {
    for (name, command) in subcommands() {
        let synopsis = Page::of(&name).synopsis();
        // The short form, if there is one.
        let accepted = options(&command).into_iter().map(|option| match (option.get_short(), option.get_long()) {
            (Some(letter), _) => format!("-{letter}"),
            (None, long) => format!("--{}", long.unwrap()),
        });
        assert_eq!(synopsis, accepted.collect(), "{name}: left is the page, right is what clap accepts");
    }
}

#[test]
fn each_synopsis_has_the_operands_of_its_command() {
    for (name, command) in subcommands() {
        let page = Page::of(&name);
        for operand in command.get_positionals() {
            let operand = operand.get_value_names().unwrap()[0].as_str();
            let has_it = page.section("SYNOPSIS").any(|line| {
                let operands = line.trim_start_matches(".Op ").trim_start_matches('.');
                operands.strip_prefix("Ar ").is_some_and(|rest| rest.split(' ').next() == Some(operand))
            });
            assert!(has_it, "{name}: no {operand} in the synopsis");
        }
    }
}

#[test]
fn each_page_explains_exactly_the_values_of_its_command() {
    for (name, command) in subcommands() {
        let arguments = command.get_arguments().filter(|argument| argument.get_action().takes_values());
        let accepted = arguments.flat_map(Arg::get_possible_values).map(|value| value.get_name().to_owned()).collect();
        assert_eq!(Page::of(&name).values(), accepted, "{name}: left is the page, right is what clap accepts");
    }
}

#[test]
fn each_documented_default_is_right() {
    for (name, command) in subcommands() {
        let page = Page::of(&name);
        let lines: Vec<_> = page.text.lines().collect();
        for option in options(&command).into_iter().filter(|option| option.get_action().takes_values()) {
            let default = match option.get_default_values() {
                [] => continue,
                [default] => default,
                several => {
                    let list = several.iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(",");
                    assert!(page.text.contains(&format!("the default is\n.Ql {list} :\n")), "{name}: {list}");
                    continue;
                }
            };
            let flag = format!(".It Fl -{} ", option.get_long().unwrap());
            let begin = lines.iter().position(|line| line.starts_with(&flag)).unwrap();
            let documented = (begin..lines.len()).find(|at| lines[*at].contains("this is the default")).unwrap();
            let value = lines[..documented].iter().rev().find_map(|line| line.strip_prefix(".It Cm ")).unwrap();
            assert_eq!(value, default.to_str().unwrap(), "{name}: {flag}");
        }
    }
}

#[test]
fn pages_refer_to_each_other_with_the_right_section() {
    let pages = Page::all();
    let names: BTreeSet<_> = pages.iter().map(|page| page.name.clone()).collect();
    for page in &pages {
        assert!(page.text.contains(&format!(".Dt {}\n", page.name.to_uppercase().replace('.', " "))), "{}", page.name);
        let references = page.text.lines().filter_map(|line| line.strip_prefix(".Xr virt-mdev"));
        for reference in references {
            let mut words = reference.split(' ');
            let file = format!("virt-mdev{}.{}", words.next().unwrap(), words.next().unwrap());
            assert!(names.contains(&file), "{}: {file} is not a page", page.name);
        }
    }
}

/// Without an operating system, `man` prints its own name for this one: "Debian" on Debian, whatever the host runs.
#[test]
fn each_page_names_the_version_and_in_a_release_its_date() {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md")).unwrap();
    // Before a release, the first heading is "## [Unreleased]".
    let newest = changelog.lines().find(|line| line.starts_with("## [")).unwrap();
    let released = newest.strip_prefix(&format!("## [{version}] - ")).map(in_words);
    for page in Page::all() {
        assert!(page.text.contains(&format!("\n.Os virt-mdev {version}\n")), "{}", page.name);
        if let Some(date) = &released {
            assert!(page.text.contains(&format!("\n.Dd {date}\n")), "{}: it should be dated {date}", page.name);
        }
    }
    assert_eq!(in_words("2026-01-05"), "January 5, 2026");
}

/// Returns the date `2026-11-25` as `November 25, 2026`.
fn in_words(date: &str) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let numbers: Vec<usize> = date.split('-').map(|number| number.parse().unwrap()).collect();
    format!("{} {}, {}", MONTHS[numbers[1] - 1], numbers[2], numbers[0])
}
