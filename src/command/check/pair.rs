//! A guest on a host: the verdict, and the reasons for it.

use super::reason::{explained, reason_of, vgpu_names};
use crate::device::Device;
use crate::host::Lookup;
use crate::plan::check::Verdict;
use crate::plan::demand::Orphan;
use crate::plan::placement::{Facts, Guest, InUse, Offer, Placed, Refusal, Target};
use crate::report::escape;

/// A host that guests may go to.
pub(super) struct Destination {
    /// Its name.
    pub name: String,
    /// Where it was read from.
    pub source: String,
    pub offer: Offer,
}

/// A guest on a host.
pub(in super::super) struct Pair<'p> {
    pub file: &'p str,
    pub guest: &'p Guest<'p>,
    /// The number of the destination.
    pub host: usize,
    pub placed: &'p [Placed],
    pub facts: &'p Facts,
    pub in_use: &'p InUse,
}

impl Pair<'_> {
    /// Returns the verdict on the worst device.
    pub fn verdict(&self) -> Verdict {
        let replaced = self.replaced().map(|_| Verdict::Different);
        self.placed.iter().map(|placed| placed.verdict).chain(replaced).max().unwrap_or(Verdict::Same)
    }

    /// Whether there is something to compare, or nothing that could be.
    pub fn is_compared(&self) -> bool {
        !self.placed.is_empty() || self.replaced().next().is_some() || self.not_compared() == 0
    }

    /// Returns how many of the guest's devices were not compared with the host: PCI devices without a record that are not vGPUs there.
    pub fn not_compared(&self) -> usize {
        self.guest.demand.devices.len() - self.placed.len() + self.guest.demand.out_of_scope
    }

    /// Returns the records whose device was replaced by another one in the domain.
    pub fn replaced(&self) -> impl Iterator<Item = &Orphan<'_>> {
        self.guest.demand.orphans.iter().filter(|orphan| orphan.place.is_difference())
    }

    /// Returns the host's answer about the device that the hostdev names.
    fn answer(&self, placed: &Placed) -> Option<&Lookup> {
        placed.found.map(|fact| &self.facts.answer(fact).0)
    }

    /// Returns the host's device that the hostdev names.
    pub fn device(&self, placed: &Placed) -> Option<&Device> {
        self.answer(placed)?.as_ref().ok()
    }

    /// Returns what the hostdev would have instead of its device, and why, unless that is in the identities.
    pub fn reason(&self, placed: &Placed) -> Option<String> {
        let instead = placed.target.map(|target| match target {
            Target::Free(free) if self.facts.is_defined_only(free, self.host) => {
                format!("{free} is free, and only defined")
            }
            Target::Free(free) => format!("{free} is free"),
            Target::NewMdev(parent) => format!("can be created from {parent}"),
            Target::Type(address) => format!("PCI device {address} can be given the type"),
        });
        let reasons: Vec<_> = [instead, self.why(placed)].into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Returns why the hostdev does not have its device, unless that is in the identities.
    pub fn why(&self, placed: &Placed) -> Option<String> {
        let wanted = &self.guest.demand.devices[placed.number];
        let other = self.in_use.by_another(wanted.device, self.guest.name).filter(|_| placed.is_taken);
        let taken = other.map(|guest| format!("guest {} has it", guest.map_or("-".to_owned(), escape::short)));
        let refusal = match placed.refusal {
            Some(Refusal::SharedCard(card)) => {
                Some(format!("{card} could provide it, but is counted for another type that the guest needs"))
            }
            _ => None,
        };
        let said = self.answer(placed).and_then(reason_of);
        let explained = self.device(placed).and_then(|device| {
            explained(wanted, device).or_else(|| match placed.verdict {
                Verdict::Different => vgpu_names(wanted, device, "there", |of| self.facts.vgpu_name(of)),
                _ => None,
            })
        });
        let reasons: Vec<_> = [taken, refusal, said, explained].into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}
