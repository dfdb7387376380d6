//! Which record was made for which hostdev.
//!
//! A record claims a hostdev by its UUID, by the guest address or by the user alias that the hostdev had when it was recorded.
//! The order of records and hostdevs means nothing.
//!
//! The record of a PCI device claims the hostdev of its guest address, or else of its user alias. A source address names a slot
//! of one host and changes with a migration, so it counts only if the record or the hostdev has neither.

use std::collections::{HashMap, HashSet};

use super::error::{PlanError, PlanErrorKind};
use super::key::Key;
use crate::device::{DeviceAddress, GuestAddress, PciAddress, UserAlias, Uuid};
use crate::domain::{
    Domain, GuestSide, Hostdev, Metadata, PciHostdev, PciSource, Record, RecordKind, RecordedIdentity, RecordedPart,
    Source,
};

/// Which of the records that claim a mediated device counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pairing {
    /// The one of its UUID; all others that claim the hostdev must agree with it.
    #[default]
    Uuid,
    /// The one of its guest address, else of its user alias: for managers that change UUIDs on the way. The UUID decides only
    /// for a record whose address and alias are those of no hostdev. The only record of a domain with one hostdev belongs to
    /// that hostdev, unless it names a guest address.
    GuestAddress,
}

/// The records of a domain by what they claim hostdevs by.
pub(super) struct Claims<'a> {
    pub records: &'a [Record],
    pub hostdevs: HostdevKeys<'a>,
    by_uuid: HashMap<Uuid, usize>,
    mdev: ByPlace<'a>,
    pci: ByPlace<'a>,
    /// The record that counts for each hostdev of type pci.
    on_pci: Vec<Option<usize>>,
    /// The records that claim a hostdev of type pci.
    claiming_pci: HashSet<usize>,
    /// The second record of a key, and any further one.
    second: Vec<(usize, Key)>,
}

/// The records of one kind by guest address and by user alias.
#[derive(Default)]
struct ByPlace<'a> {
    address: HashMap<&'a GuestAddress, usize>,
    alias: HashMap<&'a UserAlias, usize>,
}

impl ByPlace<'_> {
    /// Returns the records that claim a hostdev by its address or alias, each once.
    fn on(&self, GuestSide { address, alias }: &GuestSide) -> Vec<(usize, Key)> {
        let by_address = address.as_ref().and_then(|at| Some((*self.address.get(at)?, Key::Address(at.clone()))));
        let by_alias = alias.as_ref().and_then(|alias| Some((*self.alias.get(alias)?, Key::Alias(alias.clone()))));
        let mut claiming: Vec<_> = by_address.into_iter().chain(by_alias).collect();
        claiming.dedup_by_key(|(number, _)| *number);
        claiming
    }
}

/// The records that claim a mediated device, as numbers of [`Claims::records`].
pub(super) struct Claim {
    pub uuid: Option<usize>,
    /// Those that claim it by its address or alias.
    pub by_place: Vec<(usize, Key)>,
}

/// A record that claims a hostdev by something else than its UUID.
#[derive(Clone, Debug)]
pub struct Rival<'a> {
    /// The record.
    pub record: &'a Record,
    /// What it claims the hostdev by.
    pub key: Key,
}

impl<'a> Claims<'a> {
    /// Reads the records of a domain.
    pub fn of(domain: &'a Domain) -> Self {
        let records = domain.metadata.as_ref().map_or(&[][..], Metadata::records);
        let mut claims = Self {
            records,
            hostdevs: HostdevKeys::of(domain),
            by_uuid: HashMap::new(),
            mdev: ByPlace::default(),
            pci: ByPlace::default(),
            on_pci: Vec::new(),
            claiming_pci: HashSet::new(),
            second: Vec::new(),
        };
        for (number, record) in records.iter().enumerate() {
            let by_place = match record.kind {
                RecordKind::Mdev => &mut claims.mdev,
                RecordKind::Pci => &mut claims.pci,
            };
            // Two records of one address or alias contradict each other only if a hostdev is there.
            if let Some(address) = record.guest_address() {
                let first = *by_place.address.entry(address).or_insert(number);
                if first != number && claims.hostdevs.addresses.contains(address) {
                    claims.second.push((number, Key::Address(address.clone())));
                }
            }
            if let Some(alias) = record.user_alias() {
                let first = *by_place.alias.entry(alias).or_insert(number);
                if first != number && claims.hostdevs.aliases.contains(alias) {
                    claims.second.push((number, Key::Alias(alias.clone())));
                }
            }
            if let Some(uuid) = record.recorded_uuid() {
                if *claims.by_uuid.entry(uuid).or_insert(number) != number {
                    claims.second.push((number, Key::Uuid(uuid)));
                }
            }
        }
        claims.claim_pci(domain);
        claims
    }

    /// Finds the records that claim each hostdev of type pci. Two that claim one contradict each other.
    fn claim_pci(&mut self, domain: &'a Domain) {
        let mut by_source: HashMap<PciAddress, Vec<usize>> = HashMap::new();
        for (number, record) in self.records.iter().enumerate() {
            // The guest address or alias of a hostdev says that the record was made for that one.
            if let Some(source) = record.source_address().filter(|_| !self.hostdevs.has_place_of(record)) {
                by_source.entry(source).or_default().push(number);
            }
        }
        for hostdev in &domain.pci_hostdevs {
            let mut claiming = self.pci.on(&hostdev.guest);
            claiming.retain(|(number, key)| self.is_followed(*number, key));
            if let Ok(PciSource { address: source, .. }) = &hostdev.source {
                let is_bare = hostdev.guest == GuestSide::default();
                let numbers = by_source.get(source).into_iter().flatten().copied();
                let counts = |number: &usize| is_bare || self.records[*number].names_no_place();
                claiming.extend(numbers.filter(counts).take(2).map(|number| (number, Key::Source(*source))));
            }
            self.second.extend(claiming.get(1).cloned().filter(|second| !self.second.contains(second)));
            self.claiming_pci.extend(claiming.iter().map(|(number, _)| *number));
            self.on_pci.push(claiming.first().map(|(number, _)| *number));
        }
    }

    /// Whether a record claims a hostdev of type pci.
    pub fn claims_pci(&self, number: usize) -> bool {
        self.claiming_pci.contains(&number)
    }

    /// Returns the record that counts for a hostdev of type pci.
    pub fn of_pci(&self, hostdev: &PciHostdev) -> Option<usize> {
        self.on_pci[hostdev.ordinal - 1]
    }

    /// Returns the records that claim a mediated device.
    pub fn on(&self, hostdev: &Hostdev) -> Claim {
        let uuid = hostdev.uuid().and_then(|uuid| self.by_uuid.get(&uuid).copied());
        Claim { uuid, by_place: self.mdev.on(&hostdev.guest) }
    }

    /// Returns an error for each record that claims the same hostdev as an earlier one, by the same key.
    pub fn errors(&self) -> impl Iterator<Item = PlanError> {
        self.second.iter().map(|(number, key)| {
            let span = self.records[*number].element.start_tag;
            PlanError { span, kind: PlanErrorKind::TwoRecords(key.clone()) }
        })
    }

    /// Whether a record belongs to the hostdev that it claims by an address or alias: the alias counts only if no hostdev has the
    /// address of the record.
    fn is_followed(&self, number: usize, key: &Key) -> bool {
        matches!(key, Key::Address(_)) || !self.hostdevs.has_address_of(&self.records[number])
    }

    /// Returns the record that counts for a hostdev where the guest address decides.
    fn followed(&self, claim: &Claim) -> Option<usize> {
        let by_place = claim.by_place.iter().find(|(number, key)| self.is_followed(*number, key));
        let by_uuid = || claim.uuid.filter(|number| !self.hostdevs.has_place_of(&self.records[*number]));
        by_place.map(|(number, _)| *number).or_else(by_uuid)
    }
}

/// What the hostdevs of a domain can be claimed by, mediated devices and PCI devices.
pub(super) struct HostdevKeys<'a> {
    pub addresses: HashSet<&'a GuestAddress>,
    pub aliases: HashSet<&'a UserAlias>,
    /// The devices that the hostdevs name.
    pub devices: HashSet<DeviceAddress>,
}

impl<'a> HostdevKeys<'a> {
    pub fn of(domain: &'a Domain) -> Self {
        let guests = || {
            let mdevs = domain.hostdevs.iter().map(|hostdev| &hostdev.guest);
            mdevs.chain(domain.pci_hostdevs.iter().map(|hostdev| &hostdev.guest))
        };
        Self {
            addresses: guests().filter_map(|guest| guest.address.as_ref()).collect(),
            aliases: guests().filter_map(|guest| guest.alias.as_ref()).collect(),
            devices: domain.devices().collect(),
        }
    }

    /// Whether a hostdev has the guest address of a record.
    pub fn has_address_of(&self, record: &Record) -> bool {
        record.guest_address().is_some_and(|address| self.addresses.contains(address))
    }

    /// Whether a hostdev has the user alias of a record.
    pub fn has_alias_of(&self, record: &Record) -> bool {
        record.user_alias().is_some_and(|alias| self.aliases.contains(alias))
    }

    /// Whether a hostdev has the guest address or the user alias of a record.
    pub fn has_place_of(&self, record: &Record) -> bool {
        self.has_address_of(record) || self.has_alias_of(record)
    }
}

/// The record of a hostdev.
#[derive(Clone, Debug, Default)]
pub(super) struct Paired<'a> {
    /// The record that counts.
    pub record: Option<&'a Record>,
    /// Others that claim the hostdev, which must agree with it.
    pub rivals: Vec<Rival<'a>>,
    /// Whether the two belong together only because the domain has no other record and no other hostdev.
    pub is_only_pair: bool,
}

/// The records of a domain's hostdevs, and those of none.
pub(super) struct Pairs<'a> {
    /// One for each of the domain's mdev hostdevs.
    pub by_hostdev: Vec<Paired<'a>>,
    /// The record of each of the domain's pci hostdevs, if it has one.
    pub by_pci_hostdev: Vec<Option<&'a Record>>,
    /// The records that do not count for any hostdev.
    pub left_over: Vec<&'a Record>,
}

/// Pairs the hostdevs of a domain with its records.
///
/// # Errors
/// If two records claim one hostdev by the same key.
pub(super) fn pair(domain: &Domain, pairing: Pairing) -> Result<Pairs<'_>, Vec<PlanError>> {
    let claims = Claims::of(domain);
    let errors: Vec<_> = claims.errors().collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut is_paired = vec![false; claims.records.len()];
    let mut by_hostdev = Vec::new();
    for hostdev in &domain.hostdevs {
        let mut paired = Paired::default();
        if hostdev.source().is_some() {
            let claim = claims.on(hostdev);
            let number = match pairing {
                Pairing::Uuid => claim.uuid,
                Pairing::GuestAddress => claims.followed(&claim),
            };
            number.into_iter().for_each(|number| is_paired[number] = true);
            paired.record = number.map(|number| &claims.records[number]);
            if pairing == Pairing::Uuid {
                for (rival, key) in claim.by_place.into_iter().filter(|(rival, _)| Some(*rival) != number) {
                    is_paired[rival] = true;
                    paired.rivals.push(Rival { record: &claims.records[rival], key });
                }
            }
        }
        by_hostdev.push(paired);
    }
    if let (Pairing::GuestAddress, 1, [record], [hostdev], [paired]) =
        (pairing, domain.hostdev_count, claims.records, &domain.hostdevs[..], &mut by_hostdev[..])
    {
        let is_for_it = record.kind == RecordKind::Mdev && record.guest_address().is_none();
        if paired.record.is_none() && hostdev.source().is_some() && is_for_it {
            *paired = Paired { record: Some(record), is_only_pair: true, ..Paired::default() };
            is_paired[0] = true;
        }
    }
    let of_pci: Vec<_> = domain.pci_hostdevs.iter().map(|hostdev| claims.of_pci(hostdev)).collect();
    of_pci.iter().flatten().for_each(|number| is_paired[*number] = true);
    let by_pci_hostdev = of_pci.into_iter().map(|number| number.map(|number| &claims.records[number])).collect();
    let left_over = claims.records.iter().zip(is_paired).filter(|(_, is_paired)| !is_paired).map(|(record, _)| record);
    Ok(Pairs { left_over: left_over.collect(), by_hostdev, by_pci_hostdev })
}

/// Returns what is recorded of a hostdev: in the metadata, or else in its source; `None` if nothing is.
///
/// # Errors
/// If metadata and source disagree: neither can be trusted then.
pub(super) fn recorded<'a>(
    source: &'a Source,
    record: Option<&'a Record>,
) -> Result<Option<&'a RecordedIdentity>, PlanError> {
    let in_source = &source.written;
    let Some(Record { written: in_metadata, .. }) = record else {
        return Ok(Some(in_source).filter(|w| !w.is_empty()));
    };
    // Equal text that cannot be read is not a disagreement: it agrees with no device.
    let disagrees = |(part, other): &(&RecordedPart, &RecordedPart)| !part.says_what(other) && part.text != other.text;
    let in_both = in_source.parts().filter_map(|part| Some((part, in_metadata.get(part.part)?)));
    if let Some((part, other)) = { in_both }.find(disagrees) {
        let (source_value, metadata_value) = (part.text.clone(), other.text.clone());
        let kind = PlanErrorKind::Disagree { part: part.part, source_value, metadata_value };
        return Err(PlanError { span: part.span(), kind });
    }
    let places = [in_metadata, in_source];
    let whole = places.into_iter().find(|written| written.identity().is_some());
    Ok(whole.or_else(|| places.into_iter().find(|written| !written.is_empty())))
}
