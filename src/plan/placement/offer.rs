//! What a host offers: its devices by address and by identity, and what could be created.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::device::{DeviceAddress, DeviceKind, Identity, PciAddress, VgpuType};
use crate::host::record::{PciDevice, VgpuState};
use crate::host::{Lookup, NoIdentity, RecordedHost};

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

/// A device's address in [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressId(u32);

/// The addresses, identities and answers of all hosts and domains, each once: hosts of a fleet are alike.
#[derive(Debug, Default)]
pub struct Facts {
    addresses: HashMap<DeviceAddress, AddressId>,
    /// What the hosts have at each address, by the number of the host: most addresses are those of one host.
    devices: Vec<Vec<(usize, FactId)>>,
    /// How many hosts were added.
    hosts: usize,
    identities: HashMap<Identity, IdentityId>,
    answers: Vec<(Lookup, Option<IdentityId>)>,
    by_answer: HashMap<Lookup, FactId>,
    vgpu_names: BTreeMap<VgpuType, String>,
}

impl Facts {
    /// Returns the number of an identity.
    pub fn identity(&mut self, identity: Identity) -> IdentityId {
        let next = IdentityId(self.identities.len() as u32);
        *self.identities.entry(identity).or_insert(next)
    }

    /// Returns the number of a device's address.
    pub fn address(&mut self, device: DeviceAddress) -> AddressId {
        let next = AddressId(self.addresses.len() as u32);
        let address = *self.addresses.entry(device).or_insert(next);
        if address == next {
            self.devices.push(Vec::new());
        }
        address
    }

    /// Returns what a host, by its number, has at an address.
    pub fn device(&self, address: AddressId, host: usize) -> Option<FactId> {
        let devices = &self.devices[address.0 as usize];
        let index = devices.binary_search_by_key(&host, |(number, _)| *number).ok()?;
        Some(devices[index].1)
    }

    fn add(&mut self, answer: Lookup) -> FactId {
        if let Some(known) = self.by_answer.get(&answer) {
            return *known;
        }
        let identity = answer.as_ref().ok().map(|device| self.identity(device.identity.clone()));
        let next = FactId(self.answers.len() as u32);
        self.by_answer.insert(answer.clone(), next);
        self.answers.push((answer, identity));
        next
    }

    /// Whether a host, by its number, has a mediated device that is only defined.
    pub fn is_defined_only(&self, device: DeviceAddress, host: usize) -> bool {
        let found = self.addresses.get(&device).and_then(|address| self.device(*address, host));
        matches!(found.map(|fact| &self.answer(fact).0), Some(Ok(device)) if device.is_defined_only)
    }

    /// Returns an answer, and the number of the identity in it.
    pub fn answer(&self, fact: FactId) -> &(Lookup, Option<IdentityId>) {
        &self.answers[fact.index()]
    }

    /// Returns the name of a vGPU type, if a host offers it.
    pub fn vgpu_name(&self, vgpu_type: VgpuType) -> Option<&str> {
        self.vgpu_names.get(&vgpu_type).map(String::as_str)
    }

    /// Returns all answers, by number.
    pub fn answers(&self) -> impl Iterator<Item = &Lookup> {
        self.answers.iter().map(|(answer, _)| answer)
    }
}

/// What a host offers.
#[derive(Debug)]
pub struct Offer {
    /// The number of the host in [`Facts`].
    pub(super) number: usize,
    /// The devices that can be given to a guest.
    free: BTreeMap<IdentityId, Vec<DeviceAddress>>,
    pub(super) cards: Vec<Card>,
    /// The index of the card of each virtual function that can be given a type.
    card_of: HashMap<PciAddress, usize>,
    /// The identities that can be created.
    creatable: BTreeSet<IdentityId>,
}

/// A PCI device, and the capacity that everything created from it shares.
#[derive(Debug)]
pub(super) struct Card {
    pub address: PciAddress,
    pub makes: BTreeMap<IdentityId, Capacity>,
}

/// What can be created of one identity.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    /// The parents that have instances of the type left, and how many. A virtual function may be a parent.
    pub mdevs: Vec<(PciAddress, u32)>,
    /// The virtual functions that can be made this, by address.
    pub functions: Vec<PciAddress>,
}

impl Offer {
    /// Indexes the devices of a host.
    pub fn of(host: &RecordedHost, facts: &mut Facts) -> Self {
        let number = facts.hosts;
        facts.hosts += 1;
        let mut offer = Self {
            number,
            free: BTreeMap::new(),
            cards: Vec::new(),
            card_of: HashMap::new(),
            creatable: BTreeSet::new(),
        };
        let record = host.record();
        for offered in record.pci_devices.iter().flat_map(|device| &device.creatable_vgpu_types) {
            facts.vgpu_names.entry(offered.vgpu_type).or_insert_with(|| offered.name.clone());
        }
        // Those that run are given first.
        let mdevs = |is_defined_only| {
            let mdevs = record.mdev_parents.iter().flat_map(|parent| &parent.mdevs);
            let mdevs = mdevs.filter(move |mdev| mdev.is_defined_only == is_defined_only);
            mdevs.map(|mdev| DeviceAddress::Mdev(mdev.uuid))
        };
        let pci = record.pci_devices.iter().map(|device| DeviceAddress::Pci(device.address));
        let all = mdevs(false).chain(mdevs(true)).chain(pci);
        let unreadable = record.unreadable.iter().filter_map(|entry| entry.device());
        let not_started = host.not_started().map(DeviceAddress::Mdev);
        for device in all.chain(unreadable).chain(not_started) {
            let answer =
                host.lookup(device).unwrap_or_else(|error| Err(NoIdentity::Unknown { reason: error.to_string() }));
            let can_be_given = match device {
                DeviceAddress::Mdev(_) => true,
                DeviceAddress::Pci(address) => host.pci_device(address).is_some_and(can_be_given),
            };
            let fact = facts.add(answer);
            let address = facts.address(device);
            facts.devices[address.0 as usize].push((number, fact));
            if let (_, Some(identity)) = facts.answer(fact) {
                if can_be_given {
                    offer.free.entry(*identity).or_default().push(device);
                }
            }
        }
        offer.add_capacity(host, facts);
        offer
    }

    fn add_capacity(&mut self, host: &RecordedHost, facts: &mut Facts) {
        let mut cards: HashMap<PciAddress, usize> = HashMap::new();
        let mut capacity = |identity: Identity, device: &PciDevice, add: &dyn Fn(&mut Capacity)| {
            // The functions of a card share what it has.
            let address = device.physfn.unwrap_or(device.address);
            let index = *cards.entry(address).or_insert_with(|| {
                self.cards.push(Card { address, makes: BTreeMap::new() });
                self.cards.len() - 1
            });
            let identity = facts.identity(identity);
            self.creatable.insert(identity);
            add(self.cards[index].makes.entry(identity).or_default());
            index
        };
        for (parent, device) in host.pci_parents() {
            // Devices that are only defined count as devices of the host, and need instances when they are started.
            let defined = parent.mdevs.iter().filter(|mdev| mdev.is_defined_only).count() as u32;
            for (identity, left) in
                parent.instances_left(device.vendor, device.product).filter(|(_, left)| *left > defined)
            {
                capacity(identity, device, &|of| of.mdevs.push((device.address, left - defined)));
            }
        }
        for device in &host.record().pci_devices {
            let &PciDevice { address, vendor, product, vgpu_type, .. } = device;
            if vgpu_type != Some(VgpuState::Untyped) {
                continue;
            }
            for creatable in &device.creatable_vgpu_types {
                let kind = DeviceKind::Vgpu(creatable.vgpu_type);
                let card = capacity(Identity { vendor, product, kind }, device, &|of| of.functions.push(address));
                self.card_of.insert(address, card);
            }
        }
        for capacity in self.cards.iter_mut().flat_map(|card| card.makes.values_mut()) {
            capacity.functions.sort_unstable();
        }
    }

    /// Whether a device of an identity can be created.
    pub(super) fn can_create(&self, identity: IdentityId) -> bool {
        self.creatable.contains(&identity)
    }

    /// Whether this device is a virtual function without a type that can be made the identity.
    pub(super) fn can_make(&self, device: DeviceAddress, identity: IdentityId) -> bool {
        let DeviceAddress::Pci(address) = device else { return false };
        let card = self.card_of.get(&address).map(|index| &self.cards[*index]);
        let capacity = card.and_then(|card| card.makes.get(&identity));
        capacity.is_some_and(|capacity| capacity.functions.binary_search(&address).is_ok())
    }

    /// Returns the devices of an identity that can be given to a guest, unless one has them.
    pub(super) fn free(&self, identity: IdentityId) -> &[DeviceAddress] {
        self.free.get(&identity).map_or(&[], Vec::as_slice)
    }
}

/// Whether a device can be given to a guest without taking it from the host: a vGPU, or one that no driver of the host uses.
fn can_be_given(device: &PciDevice) -> bool {
    matches!(device.vgpu_type, Some(VgpuState::Type(_)))
        || device.driver.as_deref().is_none_or(|driver| driver == "vfio-pci")
}
