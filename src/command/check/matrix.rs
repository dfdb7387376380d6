//! The table of guests and hosts.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use super::super::json::Parts;
use super::pair::{Destination, Pair};
use super::reason::replaced_by;
use super::table::shortened;
use crate::plan::check::Verdict;
use crate::plan::placement::Guest;
use crate::report::escape;

/// A guest on a host, in one character.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Verdict(Verdict),
    /// The host says of none of its PCI devices that it is a vGPU, and nothing is recorded.
    NotCompared,
    Failed,
}

impl Cell {
    /// Returns its character, and what the legend says of it.
    fn symbol_and_name(self) -> (char, &'static str) {
        let verdict = match self {
            Self::Verdict(verdict) => verdict,
            Self::NotCompared => return ('-', "not compared"),
            Self::Failed => return ('!', "not readable"),
        };
        let symbol = match verdict {
            Verdict::Same => '=',
            Verdict::Free => 'f',
            Verdict::Creatable => 'c',
            Verdict::Different => 'D',
            Verdict::Missing => 'M',
            Verdict::Untyped => 'U',
            Verdict::Unrecorded => 'R',
            Verdict::Unknown => '?',
        };
        (symbol, verdict.name())
    }
}

/// A row for each guest, and a column for each host.
pub(super) struct Matrix {
    /// The name of each host; of those with one name, also the file.
    hosts: Vec<String>,
    rows: Vec<(String, Vec<Cell>)>,
    reasons: Option<String>,
}

impl Matrix {
    /// `verbose`: whether the reasons are listed too.
    pub fn new(destinations: &[Destination], verbose: bool) -> Self {
        let mut counts = HashMap::new();
        destinations.iter().for_each(|destination| *counts.entry(&destination.name).or_insert(0) += 1);
        let heading = |Destination { name, source, .. }: &Destination| match counts[name] {
            1 => escape::short(name),
            _ => format!("{} ({source})", escape::short(name)),
        };
        let hosts = destinations.iter().map(heading).collect();
        Self { hosts, rows: Vec::new(), reasons: verbose.then(String::new) }
    }

    pub fn begin(&mut self, file: &str, guest: &Guest<'_>) {
        let name = guest.name.map_or_else(|| file.to_owned(), escape::short);
        self.rows.push((name, Vec::with_capacity(self.hosts.len())));
    }

    pub fn add(&mut self, pair: &Pair<'_>) {
        let Some((name, row)) = self.rows.last_mut() else { return };
        row.push(if pair.is_compared() { Cell::Verdict(pair.verdict()) } else { Cell::NotCompared });
        let Some(reasons) = &mut self.reasons else { return };
        let host = &self.hosts[pair.host];
        for placed in pair.placed.iter().filter(|placed| placed.verdict != Verdict::Same) {
            let wanted = &pair.guest.demand.devices[placed.number];
            let identity = |what, parts: Parts| parts.text().map(|text| format!("{what} {text}"));
            let recorded = identity("recorded", wanted.recorded.map(Parts::from).unwrap_or_default());
            let found = identity("there", pair.device(placed).map(Parts::from).unwrap_or_default());
            let all = [Some(placed.verdict.name().to_owned()), recorded, found, pair.reason(placed)];
            let all: Vec<_> = all.into_iter().flatten().map(|reason| shortened(&reason)).collect();
            // Writing into a String cannot fail.
            let _ = writeln!(reasons, "{name} on {host}: {}: {}", wanted.device, all.join("; "));
        }
        for orphan in pair.replaced() {
            let _ = writeln!(reasons, "{name} on {host}: {}", replaced_by(orphan));
        }
    }

    pub fn add_failed(&mut self, file: String) {
        self.rows.push((file, vec![Cell::Failed; self.hosts.len()]));
    }

    /// Returns the matrix, its legend and the reasons.
    pub fn text(&self) -> String {
        const HEADING: &str = "DOMAIN";
        if self.rows.is_empty() {
            return String::new();
        }
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default().max(HEADING.len());
        let pad = |text: &str, width: usize| text.to_owned() + &" ".repeat(width - text.chars().count());
        let mut text = pad(HEADING, width);
        self.hosts.iter().for_each(|host| text.extend(["  ", host]));
        text.push('\n');
        for (name, cells) in &self.rows {
            let mut line = pad(name, width);
            for (host, cell) in self.hosts.iter().zip(cells) {
                line.extend(["  ", &pad(&cell.symbol_and_name().0.to_string(), host.chars().count().max(1))]);
            }
            text.extend([line.trim_end(), "\n"]);
        }
        let used: BTreeSet<_> = self.rows.iter().flat_map(|(_, cells)| cells).copied().collect();
        let described = used.iter().map(|cell| cell.symbol_and_name());
        let legend: Vec<_> = described.map(|(symbol, name)| format!("{symbol} {name}")).collect();
        text.extend(["\n", &legend.join("   "), "\n"]);
        if let Some(reasons) = self.reasons.as_deref().filter(|reasons| !reasons.is_empty()) {
            text.extend(["\n", reasons]);
        }
        text
    }
}
