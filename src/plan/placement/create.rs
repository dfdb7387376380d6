//! Distributing the devices that would have to be created over the cards that they can be created from.
//!
//! Devices of different types share the capacity of their card, in ways that only the driver knows. So on one card, only devices
//! of one type are counted together: each card is given to one of the identities that are wanted.

use std::collections::{HashMap, HashSet};

use super::Target;
use super::offer::{Capacity, Card, IdentityId};
use crate::device::{DeviceAddress, PciAddress};

/// Above this many states, cards are given to identities one by one: the result may then be smaller than it could be.
const MAX_STATES: usize = 1 << 12;

/// A device that the host does not have, and that may be created.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToCreate {
    /// Which of the domain's devices it is.
    pub number: usize,
    /// Its identity.
    pub identity: IdentityId,
    /// The address that the domain has for it.
    pub device: DeviceAddress,
}

/// Where devices are created, and what became of the cards.
#[derive(Debug, Default)]
pub(super) struct Created {
    /// The numbers of the devices that can be created together, with what would be created.
    pub targets: Vec<(usize, Target)>,
    /// The identity that each card was given to.
    pub given: Vec<(PciAddress, IdentityId)>,
}

/// Distributes as many of the missing devices as can be created together. `is_named` tells the devices that the domain has a
/// hostdev for: such a virtual function can only be made what that hostdev asks for. `is_taken` tells those of other guests.
pub(super) fn create(
    missing: &[ToCreate],
    cards: &[Card],
    is_named: impl Fn(DeviceAddress) -> bool,
    is_taken: impl Fn(DeviceAddress) -> bool,
) -> Created {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for device in missing {
        let known = groups.iter().position(|group| group.identity == device.identity);
        let index = known.unwrap_or_else(|| {
            groups.push(Group { identity: device.identity, members: Vec::new(), devices: HashSet::new() });
            groups.len() - 1
        });
        groups[index].members.push(device);
        groups[index].devices.insert(device.device);
    }
    let offers = cards.iter().map(|card| options(card, &groups, &is_named, &is_taken));
    let offers: Vec<_> = offers.filter(|options| !options.is_empty()).collect();
    let wanted: Vec<_> = groups.iter().map(|group| group.members.len()).collect();
    let states = wanted.iter().try_fold(offers.len(), |states, wanted| states.checked_mul(wanted + 1));
    let chosen = match states {
        Some(states) if states <= MAX_STATES => Search { offers: &offers, best: HashMap::new() }.choose(wanted),
        _ => one_by_one(&offers, wanted),
    };
    let mut created = Created::default();
    for (number, Group { identity, members, .. }) in groups.iter().enumerate() {
        let slots: Vec<_> = chosen.iter().filter(|slots| slots.group == number).collect();
        created.given.extend(slots.iter().map(|slots| (slots.card, *identity)));
        let own: HashSet<_> = slots.iter().flat_map(|slots| &slots.own).collect();
        let mut shared = slots.iter().flat_map(|slots| slots.shared());
        for member in members {
            let target = match member.device {
                DeviceAddress::Pci(address) if own.contains(&address) => Some(Target::Type(address)),
                _ => shared.next(),
            };
            created.targets.extend(target.map(|target| (member.number, target)));
        }
    }
    created
}

/// The missing devices of one identity.
struct Group<'m> {
    identity: IdentityId,
    members: Vec<&'m ToCreate>,
    /// The addresses that the domain has for them.
    devices: HashSet<DeviceAddress>,
}

/// What can be created on a card for one group.
struct Slots<'c> {
    card: PciAddress,
    group: usize,
    capacity: &'c Capacity,
    /// The untyped functions that hostdevs of the group name already.
    own: Vec<PciAddress>,
    /// Those that the domain does not name.
    functions: Vec<PciAddress>,
}

/// Returns what can be created on a card for each group that it could be given to.
fn options<'c>(
    card: &'c Card,
    groups: &[Group<'_>],
    is_named: &impl Fn(DeviceAddress) -> bool,
    is_taken: &impl Fn(DeviceAddress) -> bool,
) -> Vec<Slots<'c>> {
    let mut options = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let Some(capacity) = card.makes.get(&group.identity) else { continue };
        let mut slots = Slots { card: card.address, group: number, capacity, own: Vec::new(), functions: Vec::new() };
        for function in &capacity.functions {
            let device = DeviceAddress::Pci(*function);
            if is_taken(device) {
                continue;
            }
            if group.devices.contains(&device) {
                slots.own.push(*function);
            }
            if !is_named(device) {
                slots.functions.push(*function);
            }
        }
        if slots.count() > 0 {
            options.push(slots);
        }
    }
    options
}

impl Slots<'_> {
    /// Returns how many devices of the group can be created.
    fn count(&self) -> usize {
        let mdevs = self.capacity.mdevs.iter().map(|(_, left)| *left as usize);
        mdevs.fold(self.own.len() + self.functions.len(), usize::saturating_add)
    }

    /// Returns how many devices it serves, if so many of each group are missing.
    fn served(&self, missing: &[usize]) -> usize {
        self.count().min(missing[self.group])
    }

    /// Returns what can be created for any device of the group.
    fn shared(&self) -> impl Iterator<Item = Target> {
        let mdevs = self.capacity.mdevs.iter().flat_map(|(parent, left)| (0..*left).map(|_| Target::NewMdev(*parent)));
        mdevs.chain(self.functions.iter().map(|address| Target::Type(*address)))
    }
}

/// The search for the best choice: for each card, the option that it is used for.
struct Search<'o> {
    /// The options of each card.
    offers: &'o [Vec<Slots<'o>>],
    /// By card and by how many devices of each group are still missing: how many the remaining cards can serve, and the choice.
    best: HashMap<(usize, Vec<usize>), (usize, Option<usize>)>,
}

impl<'o> Search<'o> {
    fn choose(mut self, mut missing: Vec<usize>) -> Vec<&'o Slots<'o>> {
        let mut chosen = Vec::new();
        for (card, options) in self.offers.iter().enumerate() {
            if let (_, Some(option)) = self.best(card, &missing) {
                let slots = &options[option];
                missing[slots.group] -= slots.served(&missing);
                chosen.push(slots);
            }
        }
        chosen
    }

    fn best(&mut self, card: usize, missing: &[usize]) -> (usize, Option<usize>) {
        if card == self.offers.len() || missing.iter().all(|missing| *missing == 0) {
            return (0, None);
        }
        let key = (card, missing.to_vec());
        if let Some(known) = self.best.get(&key) {
            return *known;
        }
        let mut best = (self.best(card + 1, missing).0, None);
        for (option, slots) in self.offers[card].iter().enumerate() {
            let served = slots.served(missing);
            let mut left = missing.to_vec();
            left[slots.group] -= served;
            let total = served + self.best(card + 1, &left).0;
            if total > best.0 {
                best = (total, Some(option));
            }
        }
        self.best.insert(key, best);
        best
    }
}

/// Uses each card for the group of which it can serve most. Those with the fewest options come first: what they cannot serve is
/// left for the others.
fn one_by_one<'o>(offers: &'o [Vec<Slots<'o>>], mut missing: Vec<usize>) -> Vec<&'o Slots<'o>> {
    let mut order: Vec<_> = (0..offers.len()).collect();
    order.sort_by_key(|card| offers[*card].len());
    let mut chosen = vec![None; offers.len()];
    for card in order {
        let best = offers[card].iter().max_by_key(|slots| slots.served(&missing));
        if let Some(slots) = best.filter(|slots| slots.served(&missing) > 0) {
            missing[slots.group] -= slots.served(&missing);
            chosen[card] = Some(slots);
        }
    }
    chosen.into_iter().flatten().collect()
}
