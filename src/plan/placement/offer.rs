//! What a host offers: its devices by address and by identity, and what could be created.

use std::collections::HashMap;

use super::InUse;
use crate::device::{DeviceAddress, DeviceKind, Identity, PciAddress};
use crate::host::record::{PciDevice, VgpuState};
use crate::host::{Lookup, RecordedHost};

/// A value in [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId(u32);

/// An answer in [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FactId(u32);

impl FactId {
    /// Returns its number: the facts are numbered from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The identities and answers of all hosts and domains, each once: hosts of a fleet are alike.
#[derive(Debug, Default)]
pub struct Facts {
    identities: HashMap<Identity, IdentityId>,
    answers: Vec<(Lookup, Option<IdentityId>)>,
    by_answer: HashMap<Lookup, FactId>,
}

impl Facts {
    /// Returns the number of an identity.
    pub fn identity(&mut self, identity: Identity) -> IdentityId {
        let next = IdentityId(self.identities.len() as u32);
        *self.identities.entry(identity).or_insert(next)
    }

    fn add(&mut self, answer: Lookup) -> FactId {
        if let Some(known) = self.by_answer.get(&answer) {
            return *known;
        }
        let identity = match &answer {
            Lookup::Found(device) => Some(self.identity(device.identity.clone())),
            _ => None,
        };
        let next = FactId(self.answers.len() as u32);
        self.by_answer.insert(answer.clone(), next);
        self.answers.push((answer, identity));
        next
    }

    /// Returns an answer, and the number of the identity in it.
    pub fn answer(&self, fact: FactId) -> &(Lookup, Option<IdentityId>) {
        &self.answers[fact.index()]
    }

    /// Returns all answers, by number.
    pub fn answers(&self) -> impl Iterator<Item = &Lookup> {
        self.answers.iter().map(|(answer, _)| answer)
    }
}

/// What a host offers.
#[derive(Debug)]
pub struct Offer {
    devices: HashMap<DeviceAddress, FactId>,
    /// The devices that no guest of [`InUse`] has.
    free: ByIdentity<Vec<DeviceAddress>>,
    pub(super) cards: Vec<Card>,
}

/// Values by identity. A host has few, so that this is smaller and faster than a hash map.
#[derive(Debug)]
pub(super) struct ByIdentity<T>(Vec<(IdentityId, T)>);

impl<T> Default for ByIdentity<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> ByIdentity<T> {
    pub fn get(&self, identity: IdentityId) -> Option<&T> {
        let index = self.0.binary_search_by_key(&identity, |(known, _)| *known).ok()?;
        Some(&self.0[index].1)
    }

    pub fn entry(&mut self, identity: IdentityId) -> &mut T {
        let index = self.0.binary_search_by_key(&identity, |(known, _)| *known).unwrap_or_else(|index| {
            self.0.insert(index, (identity, T::default()));
            index
        });
        &mut self.0[index].1
    }
}

/// A PCI device, and the capacity that everything created from it shares.
#[derive(Debug)]
pub(super) struct Card {
    pub address: PciAddress,
    pub makes: ByIdentity<Capacity>,
}

/// What can be created of one identity.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    /// The parents that have instances of the type left, and how many. A virtual function may be a parent.
    pub mdevs: Vec<(PciAddress, u32)>,
    /// The virtual functions that can be made this.
    pub functions: Vec<PciAddress>,
}

impl Offer {
    /// Indexes the devices of a host.
    pub fn of(host: &RecordedHost, in_use: &InUse, facts: &mut Facts) -> Self {
        let mut offer = Self { devices: HashMap::new(), free: ByIdentity::default(), cards: Vec::new() };
        let record = host.record();
        let mdevs = record.mdev_parents.iter().flat_map(|parent| &parent.mdevs);
        let pci = record.pci_devices.iter().map(|device| device.address);
        let all = mdevs.map(|mdev| DeviceAddress::Mdev(mdev.uuid)).chain(pci.map(DeviceAddress::Pci));
        let unreadable = record.unreadable.iter().filter_map(|entry| entry.device());
        let not_started = host.not_started().map(DeviceAddress::Mdev);
        for device in all.chain(unreadable).chain(not_started) {
            let answer = host.lookup(device).unwrap_or_else(|error| Lookup::Unknown { reason: error.to_string() });
            let can_be_given = match device {
                DeviceAddress::Mdev(_) => true,
                DeviceAddress::Pci(address) => host.pci_device(address).is_some_and(can_be_given),
            };
            let fact = facts.add(answer);
            offer.devices.insert(device, fact);
            if let (_, Some(identity)) = facts.answer(fact) {
                if can_be_given && !in_use.has(device) {
                    offer.free.entry(*identity).push(device);
                }
            }
        }
        offer.add_capacity(host, in_use, facts);
        offer
    }

    fn add_capacity(&mut self, host: &RecordedHost, in_use: &InUse, facts: &mut Facts) {
        let mut cards: HashMap<PciAddress, usize> = HashMap::new();
        let mut capacity = |identity: Identity, device: &PciDevice, add: &dyn Fn(&mut Capacity)| {
            // The functions of a card share what it has.
            let address = device.physfn.unwrap_or(device.address);
            let index = *cards.entry(address).or_insert_with(|| {
                self.cards.push(Card { address, makes: ByIdentity::default() });
                self.cards.len() - 1
            });
            add(self.cards[index].makes.entry(facts.identity(identity)));
        };
        for parent in &host.record().mdev_parents {
            let Some(device) = parent.address().and_then(|address| host.pci_device(address)) else { continue };
            let &PciDevice { address, vendor, product, .. } = device;
            for supported in parent.types.iter().filter(|supported| supported.is_creatable()) {
                let kind = DeviceKind::Mdev(supported.mdev_type.clone());
                let left = supported.available_instances.unwrap_or(0);
                capacity(Identity { vendor, product, kind }, device, &|of| of.mdevs.push((address, left)));
            }
        }
        for device in &host.record().pci_devices {
            let &PciDevice { address, vendor, product, vgpu_type, .. } = device;
            if vgpu_type != Some(VgpuState::Untyped) || in_use.has(DeviceAddress::Pci(address)) {
                continue;
            }
            for creatable in &device.creatable_vgpu_types {
                let kind = DeviceKind::Vgpu(creatable.vgpu_type);
                capacity(Identity { vendor, product, kind }, device, &|of| of.functions.push(address));
            }
        }
    }

    /// Returns what the host has at this address.
    pub fn device(&self, device: DeviceAddress) -> Option<FactId> {
        self.devices.get(&device).copied()
    }

    /// Whether this device is a virtual function without a type that can be made the identity.
    pub(super) fn can_make(&self, device: DeviceAddress, identity: IdentityId) -> bool {
        let capacities = self.cards.iter().filter_map(|card| card.makes.get(identity));
        let mut functions = capacities.flat_map(|capacity| &capacity.functions);
        functions.any(|function| DeviceAddress::Pci(*function) == device)
    }

    /// Returns the devices of an identity that no other guest has.
    pub(super) fn free(&self, identity: IdentityId) -> &[DeviceAddress] {
        self.free.get(identity).map_or(&[], Vec::as_slice)
    }
}

/// Whether a device can be given to a guest without taking it from the host: a vGPU, or one that no driver of the host uses.
fn can_be_given(device: &PciDevice) -> bool {
    matches!(device.vgpu_type, Some(VgpuState::Type(_)))
        || device.driver.as_deref().is_none_or(|driver| driver == "vfio-pci")
}
