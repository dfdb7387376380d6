//! Whether a guest can go to a host, and with which devices: what a domain asks for, against all that the host offers.
//!
//! A hostdev whose own device is not the same on the host can be given another device of the recorded identity, or one that would
//! have to be created. No device is given twice. Devices of equal identity can replace each other, so that counting them
//! finds the most that can be given; only what shares a card has to be searched (`create`).

mod create;
mod offer;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use super::check::Verdict;
use super::demand::{Demand, Wanted, named_mdev, named_pci};
use super::error::PlanError;
use super::write::device_of;
use crate::device::{DeviceAddress, PciAddress};
use crate::domain::Domain;
use crate::host::is_vgpu;
use create::{Created, ToCreate, create};
pub use offer::{AddressId, FactId, Facts, IdentityId, Offer};

/// The devices that guests of the hosts have.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    guests: HashMap<DeviceAddress, Vec<Option<String>>>,
}

impl InUse {
    /// Adds the devices of a guest.
    ///
    /// # Errors
    /// For each hostdev whose device cannot be read: it would count as free.
    pub fn add(&mut self, domain: &Domain) -> Result<(), Vec<PlanError>> {
        let mdevs = domain.hostdevs.iter().filter_map(|hostdev| named_mdev(hostdev).err());
        let pci = domain.pci_hostdevs.iter().filter_map(|hostdev| named_pci(hostdev).err());
        let errors: Vec<_> = mdevs.chain(pci).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        for device in domain.occupied() {
            self.guests.entry(device).or_default().push(domain.name.clone());
        }
        Ok(())
    }

    /// Returns the name of another guest that has the device: `Some(None)` if it has no name.
    pub fn by_another(&self, device: DeviceAddress, guest: Option<&str>) -> Option<Option<&str>> {
        let mut guests = self.guests.get(&device)?.iter().map(Option::as_deref);
        guests.find(|other| other.is_none() || *other != guest)
    }
}

/// A domain, prepared for being placed on many hosts.
#[derive(Debug)]
pub struct Guest<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// What it asks for.
    pub demand: Demand<'a>,
    /// The address of each device.
    addresses: Vec<AddressId>,
    /// The recorded identity of each device, if it is complete and not contradicted.
    identities: Vec<Option<IdentityId>>,
    /// Every device that the domain has, compared or not, and those of records that do not count for a hostdev.
    named: HashSet<DeviceAddress>,
}

impl<'a> Guest<'a> {
    /// Takes a domain and what it asks for.
    pub fn new(domain: &'a Domain, demand: Demand<'a>, facts: &mut Facts) -> Self {
        let addresses = demand.devices.iter().map(|wanted| facts.address(wanted.device)).collect();
        let identities = demand.devices.iter().map(|wanted| wanted.identity().map(|known| facts.identity(known)));
        let stale = demand.orphans.iter().map(|orphan| orphan.record);
        let rivals = demand.devices.iter().flat_map(|wanted| wanted.rivals.iter().map(|rival| rival.record));
        let named = domain.occupied().chain(stale.chain(rivals).filter_map(device_of)).collect();
        Self { name: domain.name.as_deref(), addresses, identities: identities.collect(), named, demand }
    }
}

impl Guest<'_> {
    /// Whether the domain has the device, or a record of it that does not count for a hostdev.
    pub fn names(&self, device: DeviceAddress) -> bool {
        self.named.contains(&device)
    }
}

/// What a hostdev would have on a host instead of the device that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// This device, which no guest has.
    Free(DeviceAddress),
    /// A mediated device, to be created from this parent.
    NewMdev(PciAddress),
    /// This virtual function, once it is given its vGPU type.
    Type(PciAddress),
}

/// Why a hostdev cannot have another device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing else has the recorded identity, or it is in use.
    NoneLeft,
    /// The card that could provide it was given to other devices of the guest, which are of another type.
    SharedCard(PciAddress),
}

/// A device of a guest on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which of the guest's devices it is.
    pub number: usize,
    /// The verdict.
    pub verdict: Verdict,
    /// What the host has at the address that the domain names, if anything.
    pub found: Option<FactId>,
    /// What the hostdev would have instead.
    pub target: Option<Target>,
    /// Why it cannot have another device, if that was tried.
    pub refusal: Option<Refusal>,
    /// Whether another guest has the device that the domain names.
    pub is_taken: bool,
}

/// Places guests on hosts, one after the other.
#[derive(Debug)]
pub struct Placer<'f> {
    facts: &'f Facts,
    in_use: &'f InUse,
    placed: Vec<Placed>,
    missing: Vec<ToCreate>,
    /// How many free devices of an identity were looked at.
    looked_at: HashMap<IdentityId, usize>,
}

impl<'f> Placer<'f> {
    /// Takes the facts of all hosts and guests, and the devices that are not free.
    pub fn new(facts: &'f Facts, in_use: &'f InUse) -> Self {
        Self { facts, in_use, placed: Vec::new(), missing: Vec::new(), looked_at: HashMap::new() }
    }

    /// Places a guest on a host: judges each of its devices, and finds others for those that are not the same.
    ///
    /// A device that needs no verdict there is left out: an unrecorded PCI device that is not a vGPU.
    pub fn place(&mut self, guest: &Guest<'_>, offer: &Offer) -> &[Placed] {
        self.placed.clear();
        self.missing.clear();
        self.looked_at.clear();
        for (number, wanted) in guest.demand.devices.iter().enumerate() {
            let found = self.facts.device(guest.addresses[number], offer.number);
            let Some(verdict) = verdict(wanted, guest.identities[number], found, self.facts) else { continue };
            let is_taken = verdict == Verdict::Same && self.is_taken(wanted.device, guest);
            let verdict = if is_taken { Verdict::Missing } else { verdict };
            self.placed.push(Placed { number, verdict, found, target: None, refusal: None, is_taken });
        }
        self.place_on_free(guest, offer);
        if self.missing.iter().any(|missing| offer.can_create(missing.identity)) {
            self.place_on_new(guest, offer);
        }
        &self.placed
    }
}

/// Returns the verdict on the device that a hostdev names, or `None` if it needs none.
fn verdict(wanted: &Wanted<'_>, identity: Option<IdentityId>, found: Option<FactId>, facts: &Facts) -> Option<Verdict> {
    let answer = found.map(|fact| facts.answer(fact));
    if wanted.is_judged_only_as_vgpu() && !answer.is_some_and(|(answer, _)| is_vgpu(answer)) {
        return None;
    }
    Some(match answer {
        Some((Ok(_), found)) if identity.is_some() && identity == *found => Verdict::Same,
        Some((answer, _)) => Verdict::of(wanted, answer.as_ref()),
        None => Verdict::Missing,
    })
}

impl Placer<'_> {
    /// Whether another guest has the device. A definition of this guest that a host kept does not keep it from the device.
    fn is_taken(&self, device: DeviceAddress, guest: &Guest<'_>) -> bool {
        self.in_use.by_another(device, guest.name).is_some()
    }

    /// Gives free devices to those that are not the same, and notes the rest of those that could have another device.
    ///
    /// Those whose own virtual function can be made what they want come last: no other hostdev can have that function.
    fn place_on_free(&mut self, guest: &Guest<'_>, offer: &Offer) {
        for of_those_that_can_be_made in [false, true] {
            for index in 0..self.placed.len() {
                let place = self.placed[index];
                let is_sought = matches!(place.verdict, Verdict::Different | Verdict::Missing | Verdict::Untyped);
                let Some(identity) = guest.identities[place.number].filter(|_| is_sought) else { continue };
                let device = guest.demand.devices[place.number].device;
                let can_be_made = place.verdict == Verdict::Untyped
                    && offer.can_make(device, identity)
                    && !self.is_taken(device, guest);
                if can_be_made != of_those_that_can_be_made {
                    continue;
                }
                let mut looked_at = self.looked_at.get(&identity).copied().unwrap_or_default();
                let rest = offer.free(identity)[looked_at..].iter().inspect(|_| looked_at += 1);
                let free = { rest }.find(|device| !guest.names(**device) && !self.is_taken(**device, guest));
                self.looked_at.insert(identity, looked_at);
                let place = &mut self.placed[index];
                if let Some(device) = free {
                    place.verdict = Verdict::Free;
                    place.target = Some(Target::Free(*device));
                } else {
                    place.refusal = Some(Refusal::NoneLeft);
                    self.missing.push(ToCreate { number: index, identity, device });
                }
            }
        }
    }

    /// Gives devices that would have to be created to those that are still missing.
    fn place_on_new(&mut self, guest: &Guest<'_>, offer: &Offer) {
        let is_taken = |device| self.is_taken(device, guest);
        let Created { targets, given } = create(&self.missing, &offer.cards, |device| guest.names(device), is_taken);
        for (index, target) in targets {
            let place = &mut self.placed[index];
            (place.verdict, place.target, place.refusal) = (Verdict::Creatable, Some(target), None);
        }
        let given: HashMap<_, _> = given.into_iter().collect();
        // Many devices have one identity, and a host may have many cards.
        let mut shared: HashMap<IdentityId, Option<PciAddress>> = HashMap::new();
        for ToCreate { number, identity, .. } in &self.missing {
            let place = &mut self.placed[*number];
            if place.refusal.is_some() {
                let card = shared.entry(*identity).or_insert_with(|| {
                    let could = offer.cards.iter().filter(|card| card.makes.contains_key(identity));
                    let is_given = |card: &PciAddress| given.get(card).is_some_and(|to| to != identity);
                    could.map(|card| card.address).find(is_given)
                });
                place.refusal = card.map(Refusal::SharedCard).or(place.refusal);
            }
        }
    }
}
