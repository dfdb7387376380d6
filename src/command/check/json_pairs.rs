//! The JSON of guests on hosts: an object for each pair.
//!
//! A fleet has a million pairs, and what they say repeats. So the text of a guest, of a host and of an answer is made once, and
//! a pair is put together from such pieces.

use std::mem;

use super::super::json::{Asked, FailedFile, Parts, in_one_line};
use super::super::{Failure, Streams};
use super::pair::{Destination, Pair};
use super::table::Row;
use crate::device::DeviceAddress;
use crate::file::Input;
use crate::plan::placement::{Facts, Guest, Placed, Target};
use crate::report::Diagnostic;

/// How many bytes are collected before they are written.
const CHUNK: usize = 1 << 17;

/// The pieces of the current guest, and the text that is not written yet.
pub(super) struct JsonPairs {
    /// Whether there are several hosts: an object on each line. Otherwise an array.
    are_lines: bool,
    text: String,
    is_first: bool,
    /// What follows the guest, up to the verdict.
    hosts: Vec<String>,
    /// The identity in each fact.
    facts: Vec<String>,
    /// The beginning of an object: the file and the name of the guest.
    guest: String,
    devices: Vec<Device>,
    replaced: Vec<String>,
}

/// A device of the current guest.
struct Device {
    /// The beginning of its object, up to its verdict.
    head: String,
    /// How it was placed last, and what is written of that.
    last: Option<(Placed, String)>,
}

impl Device {
    fn new(asked: &Asked) -> Result<Self, Failure> {
        let mut head = in_one_line(asked)?;
        // The brace at the end.
        head.pop();
        Ok(Self { head: head + ",\"verdict\":\"", last: None })
    }
}

impl JsonPairs {
    /// `are_lines`: whether several hosts were asked for.
    pub fn new(destinations: &[Destination], are_lines: bool) -> Result<Self, Failure> {
        let host = |Destination { name, source, .. }: &Destination| {
            let (name, source) = (in_one_line(name)?, in_one_line(source)?);
            Ok(format!(",\"host\":{name},\"source\":{source},\"verdict\":\""))
        };
        Ok(Self {
            are_lines,
            text: String::new(),
            is_first: true,
            hosts: destinations.iter().map(host).collect::<Result<_, Failure>>()?,
            facts: Vec::new(),
            guest: String::new(),
            devices: Vec::new(),
            replaced: Vec::new(),
        })
    }

    /// Takes the next guest.
    pub fn begin(&mut self, file: &str, guest: &Guest<'_>, facts: &Facts) -> Result<(), Failure> {
        for answer in facts.answers().skip(self.facts.len()) {
            self.facts.push(in_one_line(&answer.as_ref().map(Parts::from).unwrap_or_default())?);
        }
        self.guest = format!("{{\"file\":{},\"domain\":{}", in_one_line(&file)?, in_one_line(&guest.name)?);
        let devices = guest.demand.devices.iter().map(|wanted| Device::new(&Asked::from(wanted)));
        self.devices = devices.collect::<Result<_, _>>()?;
        let orphans = guest.demand.orphans.iter().filter(|orphan| orphan.place.is_difference());
        self.replaced = orphans.map(|orphan| in_one_line(&Row::of_replaced(file, orphan))).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Adds the guest on a host.
    pub fn add(&mut self, pair: &Pair<'_>, streams: &mut Streams<'_>) -> Result<(), Failure> {
        self.separate();
        push(&mut self.text, &[&self.guest, &self.hosts[pair.host], pair.verdict().name(), "\",\"devices\":["]);
        let mut separator = "";
        for placed in pair.placed {
            self.text += mem::replace(&mut separator, ",");
            let Device { head, last } = &mut self.devices[placed.number];
            if placed.target.is_some() {
                // On each host it is another one.
                push_placed(&mut self.text, head, placed, pair, &self.facts)?;
                continue;
            }
            // What is written of a device follows from how it is placed, and on most hosts it is placed alike.
            if last.as_ref().is_none_or(|(of, _)| of != placed) {
                let mut text = String::new();
                push_placed(&mut text, head, placed, pair, &self.facts)?;
                *last = Some((*placed, text));
            }
            self.text += last.as_ref().map_or("", |(_, text)| text);
        }
        for replaced in &self.replaced {
            push(&mut self.text, &[mem::replace(&mut separator, ","), replaced]);
        }
        self.text += "]";
        match pair.not_compared() {
            0 => {}
            count => push(&mut self.text, &[",\"not_compared\":", &count.to_string()]),
        }
        self.text += if self.are_lines { "}\n" } else { "}" };
        if self.text.len() >= CHUNK {
            streams.stdout.write_all(self.text.as_bytes()).map_err(|error| Failure::of_stdout(&error))?;
            self.text.clear();
        }
        Ok(())
    }

    /// Adds a file that is not found, or a document that cannot be read or judged.
    pub fn add_failed(&mut self, input: &Input, errors: &[Diagnostic]) -> Result<(), Failure> {
        self.separate();
        self.text += &in_one_line(&FailedFile::new(input, errors))?;
        self.text += if self.are_lines { "\n" } else { "" };
        Ok(())
    }

    /// Writes the rest.
    pub fn end(mut self, streams: &mut Streams<'_>) -> Result<(), Failure> {
        if !self.are_lines {
            self.text += if self.is_first { "[]\n" } else { "\n]\n" };
        }
        streams.print(&self.text)
    }

    fn separate(&mut self) {
        let is_first = mem::replace(&mut self.is_first, false);
        if !self.are_lines {
            self.text += if is_first { "[\n  " } else { ",\n  " };
        }
    }
}

fn push(text: &mut String, pieces: &[&str]) {
    pieces.iter().for_each(|piece| text.push_str(piece));
}

/// Adds the object of a device on a host.
fn push_placed(
    text: &mut String,
    head: &str,
    placed: &Placed,
    pair: &Pair<'_>,
    facts: &[String],
) -> Result<(), Failure> {
    let found = placed.found.map_or("{}", |fact| &facts[fact.index()]);
    push(text, &[head, placed.verdict.name(), "\",\"found\":", found]);
    let instead = placed.target.map(|target| match target {
        Target::Free(DeviceAddress::Mdev(uuid)) => ("uuid", uuid.to_string()),
        Target::Free(DeviceAddress::Pci(address)) => ("source", address.to_string()),
        Target::NewMdev(parent) => ("parent", parent.to_string()),
        Target::Type(address) => ("untyped", address.to_string()),
    });
    if let Some((name, value)) = instead {
        push(text, &[",\"instead\":{\"", name, "\":\"", &value, "\"}"]);
    }
    if let Some(reason) = pair.why(placed) {
        push(text, &[",\"reason\":", &in_one_line(&reason)?]);
    }
    text.push('}');
    Ok(())
}
