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

/// A device that is wanted and not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
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
    missing: &[Missing],
    cards: &[Card],
    is_named: impl Fn(DeviceAddress) -> bool,
    is_taken: impl Fn(DeviceAddress) -> bool,
) -> Created {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for device in missing {
        match groups.iter_mut().find(|group| group.identity == device.identity) {
            Some(group) => group.members.push(device),
            None => groups.push(Group { identity: device.identity, members: vec![device], devices: HashSet::new() }),
        }
    }
    for group in &mut groups {
        group.devices = group.members.iter().map(|member| member.device).collect();
    }
    let offers: Vec<_> = cards.iter().filter_map(|card| CardOffer::of(card, &groups, &is_named, &is_taken)).collect();
    let wanted: Vec<_> = groups.iter().map(|group| group.members.len()).collect();
    let states = wanted.iter().try_fold(offers.len(), |states, wanted| states.checked_mul(wanted + 1));
    let chosen = match states {
        Some(states) if states <= MAX_STATES => Search { offers: &offers, best: HashMap::new() }.choose(wanted),
        _ => one_by_one(&offers, wanted),
    };
    let mut created = Created::default();
    for (group, Group { identity, members, .. }) in groups.iter().enumerate() {
        let slots: Vec<_> = chosen
            .iter()
            .zip(&offers)
            .filter(|(chosen, _)| **chosen == Some(group))
            .flat_map(|(_, offer)| offer.options.iter().find(|option| option.group == group))
            .collect();
        let own: HashSet<_> = slots.iter().flat_map(|slots| &slots.own).collect();
        let (at_own, others): (Vec<&Missing>, Vec<_>) = members.iter().partition(|member| own.contains(&member.device));
        for member in at_own {
            if let DeviceAddress::Pci(address) = member.device {
                created.targets.push((member.number, Target::Type(address)));
            }
        }
        let shared = slots.iter().flat_map(|slots| slots.shared());
        created.targets.extend(others.into_iter().zip(shared).map(|(member, target)| (member.number, target)));
        let cards = chosen.iter().zip(&offers).filter(|(chosen, _)| **chosen == Some(group));
        created.given.extend(cards.map(|(_, offer)| (offer.card.address, *identity)));
    }
    created
}

/// The missing devices of one identity.
struct Group<'m> {
    identity: IdentityId,
    members: Vec<&'m Missing>,
    /// The addresses that the domain has for them.
    devices: HashSet<DeviceAddress>,
}

/// What a card could be given to.
struct CardOffer<'c> {
    card: &'c Card,
    options: Vec<Slots<'c>>,
}

/// What can be created on a card for one group.
struct Slots<'c> {
    group: usize,
    capacity: &'c Capacity,
    /// The untyped functions that hostdevs of the group name already.
    own: HashSet<DeviceAddress>,
    /// Those that the domain does not name.
    functions: Vec<PciAddress>,
}

impl<'c> CardOffer<'c> {
    fn of(
        card: &'c Card,
        groups: &[Group<'_>],
        is_named: &impl Fn(DeviceAddress) -> bool,
        is_taken: &impl Fn(DeviceAddress) -> bool,
    ) -> Option<Self> {
        let options = groups.iter().enumerate().filter_map(|(number, group)| {
            let capacity = card.makes.get(&group.identity)?;
            let left =
                || capacity.functions.iter().copied().filter(|function| !is_taken(DeviceAddress::Pci(*function)));
            let own = left().map(DeviceAddress::Pci).filter(|function| group.devices.contains(function)).collect();
            let functions = left().filter(|function| !is_named(DeviceAddress::Pci(*function))).collect();
            Some(Slots { group: number, capacity, own, functions })
        });
        let options: Vec<_> = options.filter(|slots| slots.count() > 0).collect();
        (!options.is_empty()).then_some(Self { card, options })
    }
}

impl Slots<'_> {
    /// Returns how many devices of the group can be created.
    fn count(&self) -> usize {
        let mdevs = self.capacity.mdevs.iter().map(|(_, left)| *left as usize);
        mdevs.fold(self.own.len() + self.functions.len(), usize::saturating_add)
    }

    /// Returns what can be created for any device of the group.
    fn shared(&self) -> impl Iterator<Item = Target> {
        let mdevs = self.capacity.mdevs.iter().flat_map(|(parent, left)| (0..*left).map(|_| Target::NewMdev(*parent)));
        mdevs.chain(self.functions.iter().map(|address| Target::Type(*address)))
    }
}

/// The search for the best choice: for each card, the group that it is given to.
struct Search<'o> {
    offers: &'o [CardOffer<'o>],
    /// By card and by how many devices of each group are still missing: how many the remaining cards can serve, and the choice.
    best: HashMap<(usize, Vec<usize>), (usize, Option<usize>)>,
}

impl Search<'_> {
    fn choose(mut self, mut missing: Vec<usize>) -> Vec<Option<usize>> {
        let mut chosen = Vec::new();
        for card in 0..self.offers.len() {
            let (_, group) = self.best(card, &missing);
            if let Some(group) = group {
                missing[group] -= self.served(card, group, &missing);
            }
            chosen.push(group);
        }
        chosen
    }

    fn served(&self, card: usize, group: usize, missing: &[usize]) -> usize {
        let option = self.offers[card].options.iter().find(|option| option.group == group);
        option.map_or(0, |option| option.count().min(missing[group]))
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
        let groups: Vec<_> = self.offers[card].options.iter().map(|option| option.group).collect();
        for group in groups {
            let served = self.served(card, group, missing);
            let mut left = missing.to_vec();
            left[group] -= served;
            let total = served + self.best(card + 1, &left).0;
            if total > best.0 {
                best = (total, Some(group));
            }
        }
        self.best.insert(key, best);
        best
    }
}

/// Gives each card to the group of which it can serve most. Those with the fewest options come first: what they cannot serve is
/// left for the others.
fn one_by_one(offers: &[CardOffer<'_>], mut missing: Vec<usize>) -> Vec<Option<usize>> {
    let mut order: Vec<_> = (0..offers.len()).collect();
    order.sort_by_key(|card| offers[*card].options.len());
    let mut chosen = vec![None; offers.len()];
    for card in order {
        let options = &offers[card].options;
        let options = options.iter().map(|option| (option.count().min(missing[option.group]), option.group));
        if let Some((served, group)) = options.max_by_key(|(served, _)| *served).filter(|(served, _)| *served > 0) {
            missing[group] -= served;
            chosen[card] = Some(group);
        }
    }
    chosen
}
