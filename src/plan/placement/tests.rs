//! Placing small guests on small hosts, against every way to do it.

use std::collections::HashSet;
use std::fmt::Write;

use super::*;
use crate::device::{DeviceKind, Identity, MdevType, PciId, Uuid, VgpuType};
use crate::domain::Document;
use crate::host::record::{CreatableVgpuType, HostRecord, Mdev, MdevParent, PciDevice, SupportedType, VgpuState};
use crate::host::{DeviceApi, RecordedHost};
use crate::plan::Pairing;
use crate::plan::demand::{PciScope, demand};

/// A sequence of numbers that is the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

fn uuid(number: u64) -> Uuid {
    format!("c0ffee{number:02x}-0000-4000-8000-000000000000").parse().unwrap()
}

fn mdev_type(number: u64) -> MdevType {
    format!("type-{number}").parse().unwrap()
}

fn vgpu_type(number: u64) -> VgpuType {
    VgpuType::new(1000 + number as u32).unwrap()
}

fn pci(address: PciAddress) -> PciDevice {
    PciDevice {
        address,
        vendor: PciId::from(0x10de),
        product: PciId::from(0x26b9),
        class: "0x030200".parse().ok(),
        subsystem: None,
        revision: None,
        driver: Some("nvidia".to_owned()),
        driver_version: None,
        physfn: None,
        vgpu_type: None,
        creatable_vgpu_types: Vec::new(),
    }
}

fn address(bus: u64, function: u64) -> PciAddress {
    PciAddress::new(0, bus as u32, 0, function as u32).unwrap()
}

/// A host with two cards that make mediated devices of two types, and two with virtual functions.
fn host(numbers: &mut Numbers) -> RecordedHost {
    let mut record = HostRecord { host: "host-b".to_owned(), ..HostRecord::default() };
    for bus in 1..=2 {
        record.pci_devices.push(pci(address(bus, 0)));
        let types = (0..2).map(|number| SupportedType {
            mdev_type: mdev_type(number),
            name: None,
            description: None,
            device_api: Some(DeviceApi("vfio-pci".to_owned())),
            available_instances: Some(numbers.below(3) as u32),
        });
        let types = types.collect();
        let mdevs = (0..numbers.below(3)).map(|number| Mdev {
            uuid: uuid(bus * 8 + number),
            mdev_type: mdev_type(numbers.below(2)),
            is_defined_only: false,
        });
        let mdevs = mdevs.collect();
        record.mdev_parents.push(MdevParent {
            name: address(bus, 0).to_string(),
            bus: Some("pci".to_owned()),
            types,
            mdevs,
        });
    }
    for bus in 3..=4 {
        record.pci_devices.push(pci(address(bus, 0)));
        for function in 1..=numbers.below(4) {
            let state = numbers.below(3);
            let creatable = (0..2)
                .filter(|_| numbers.below(3) > 0)
                .map(|number| CreatableVgpuType { vgpu_type: vgpu_type(number), name: format!("Type {number}") });
            let creatable_vgpu_types = if state == 2 { creatable.collect() } else { Vec::new() };
            let state = if state == 2 { VgpuState::Untyped } else { VgpuState::Type(vgpu_type(state)) };
            record.pci_devices.push(PciDevice {
                physfn: Some(address(bus, 0)),
                vgpu_type: Some(state),
                creatable_vgpu_types,
                ..pci(address(bus, function))
            });
        }
    }
    RecordedHost::new("host-b.json", record).unwrap()
}

/// A guest with up to four hostdevs, of which some name a device of the host.
fn domain(numbers: &mut Numbers) -> String {
    let mut hostdevs = String::new();
    let mut records = String::new();
    let mut named = HashSet::new();
    let ids = "<mdev:vendorid>0x10de</mdev:vendorid><mdev:productid>0x26b9</mdev:productid>";
    for guest in 0..1 + numbers.below(4) {
        let at = format!("<address type='pci' bus='{}'/>", guest + 1);
        let key = format!("guest='0000:{:02x}:00.0'", guest + 1);
        if numbers.below(2) == 0 {
            let uuid = uuid(8 + numbers.below(12));
            if !named.insert(uuid.to_string()) {
                continue;
            }
            write!(
                hostdevs,
                "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='{uuid}'/></source>{at}</hostdev>"
            )
            .unwrap();
            let mdev_type = mdev_type(numbers.below(2));
            write!(
                records,
                "<mdev:hostdev uuid='{uuid}' {key}>{ids}<mdev:mdevtype>{mdev_type}</mdev:mdevtype></mdev:hostdev>"
            )
            .unwrap();
        } else {
            let source = address(3 + numbers.below(3), 1 + numbers.below(3));
            if !named.insert(source.to_string()) {
                continue;
            }
            let PciAddress { bus, function, .. } = source;
            write!(
                hostdevs,
                "<hostdev mode='subsystem' type='pci'><source><address bus='{bus}' function='{function}'/></source>{at}</hostdev>"
            )
            .unwrap();
            let vgpu_type = vgpu_type(numbers.below(2));
            write!(
                records,
                "<mdev:pci source='{source}' {key}>{ids}<mdev:vgputype>{vgpu_type}</mdev:vgputype></mdev:pci>"
            )
            .unwrap();
        }
    }
    format!(
        "<domain><name>win10</name><metadata><mdev:identities xmlns:mdev='urn:virt-mdev:1'>{records}</mdev:identities>\
         </metadata><devices>{hostdevs}</devices></domain>"
    )
}

/// One instance that can be created: its card, and what it is then used by name.
type Instance = (PciAddress, Option<DeviceAddress>, usize);

/// What each sought device could have, and the search for the most of them at once.
struct Exhaustive<'h> {
    host: &'h RecordedHost,
    sought: Vec<(DeviceAddress, Identity)>,
    named: HashSet<DeviceAddress>,
}

impl Exhaustive<'_> {
    fn free(&self, identity: &Identity) -> Vec<DeviceAddress> {
        let record = self.host.record();
        let mdevs =
            record.mdev_parents.iter().flat_map(|parent| &parent.mdevs).map(|mdev| DeviceAddress::Mdev(mdev.uuid));
        let all = mdevs.chain(record.pci_devices.iter().map(|device| DeviceAddress::Pci(device.address)));
        let is_equal =
            |device: &DeviceAddress| matches!(self.host.lookup(*device), Ok(Ok(found)) if found.identity == *identity);
        all.filter(|device| is_equal(device) && !self.named.contains(device)).collect()
    }

    fn instances(&self, device: DeviceAddress, identity: &Identity) -> Vec<Instance> {
        let mut instances = Vec::new();
        for parent in &self.host.record().mdev_parents {
            for supported in &parent.types {
                if identity.kind == DeviceKind::Mdev(supported.mdev_type.clone()) {
                    let left = supported.available_instances.unwrap_or(0) as usize;
                    instances.extend((0..left).map(|number| (parent.address().unwrap(), None, number)));
                }
            }
        }
        for function in &self.host.record().pci_devices {
            let at = DeviceAddress::Pci(function.address);
            let makes = |creatable: &CreatableVgpuType| identity.kind == DeviceKind::Vgpu(creatable.vgpu_type);
            let may = at == device || !self.named.contains(&at);
            if may && function.vgpu_type == Some(VgpuState::Untyped) && function.creatable_vgpu_types.iter().any(makes)
            {
                instances.push((function.physfn.unwrap(), Some(at), 0));
            }
        }
        instances
    }

    /// Returns the most devices that can be had from the `number`th on, as free ones and as created ones.
    fn most(
        &self,
        number: usize,
        used: &mut Vec<DeviceAddress>,
        created: &mut Vec<(Instance, Identity)>,
    ) -> (usize, usize) {
        let Some((device, identity)) = self.sought.get(number) else { return (0, 0) };
        let mut best = self.most(number + 1, used, created);
        for free in self.free(identity) {
            if !used.contains(&free) {
                used.push(free);
                let (frees, creations) = self.most(number + 1, used, created);
                best = best.max((frees + 1, creations));
                used.pop();
            }
        }
        for instance in self.instances(*device, identity) {
            let is_used = created.iter().any(|(other, _)| *other == instance);
            let is_mixed = created.iter().any(|(other, of)| other.0 == instance.0 && of != identity);
            if !is_used && !is_mixed {
                created.push((instance, identity.clone()));
                let (frees, creations) = self.most(number + 1, used, created);
                best = best.max((frees, creations + 1));
                created.pop();
            }
        }
        best
    }
}

#[test]
fn as_many_devices_are_placed_as_there_is_any_way_to() {
    let mut numbers = Numbers(1);
    let (mut frees, mut creations, mut refusals) = (0, 0, 0);
    for round in 0..3000 {
        let host = host(&mut numbers);
        let xml = domain(&mut numbers);
        let document = Document::read(xml.clone().into_bytes()).unwrap();
        let (demand, errors) = demand(&document.domains[0], Pairing::Uuid, PciScope::Vgpus);
        assert!(errors.is_empty(), "{errors:?}");
        let in_use = InUse::default();
        let mut facts = Facts::default();
        let offer = Offer::of(&host, &mut facts);
        let guest = Guest::new(&document.domains[0], demand, &mut facts);
        let placed = Placer::new(&facts, &in_use).place(&guest, &offer).to_vec();

        let sought = placed.iter().filter(|placed| placed.verdict != Verdict::Same).map(|placed| {
            let wanted = &guest.demand.devices[placed.number];
            (wanted.device, wanted.identity().unwrap())
        });
        let exhaustive =
            Exhaustive { host: &host, sought: sought.collect(), named: document.domains[0].devices().collect() };
        let count = |verdict| placed.iter().filter(|placed| placed.verdict == verdict).count();
        let found = (count(Verdict::Free), count(Verdict::Creatable));
        let most = exhaustive.most(0, &mut Vec::new(), &mut Vec::new());
        assert_eq!(found, most, "round {round}: {xml}\n{:#?}\n{placed:#?}", host.record());

        let targets: Vec<_> = placed.iter().filter_map(|placed| placed.target).collect();
        let unique: HashSet<_> = targets.iter().filter(|target| !matches!(target, Target::NewMdev(_))).collect();
        let new = targets.iter().filter(|target| matches!(target, Target::NewMdev(_))).count();
        assert_eq!(unique.len() + new, targets.len(), "round {round}: a device is given twice: {targets:?}");
        frees += found.0;
        creations += found.1;
        refusals += placed.iter().filter(|placed| matches!(placed.refusal, Some(Refusal::SharedCard(_)))).count();
    }
    // The cases are worth something only if they have each kind of answer.
    assert!(frees > 500 && creations > 500 && refusals > 20, "{frees} {creations} {refusals}");
}
