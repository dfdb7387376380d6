//! Which record was made for which hostdev.
//!
//! A record claims a hostdev by its UUID, by the guest address or by the user alias that the hostdev had when it was recorded.
//! The order of records and hostdevs means nothing.
//!
//! The record of a PCI device claims the hostdev of its guest address, or else of its user alias. A source address names a slot
//! of one host and changes with a migration, so it counts only if the record or the hostdev has neither.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::error::{PlanError, PlanErrorKind};
use super::key::Key;
use crate::device::{GuestAddress, PciAddress, UserAlias, Uuid};
use crate::domain::{
    Domain, GuestSide, Hostdev, Metadata, PciHostdev, Record, RecordKind, RecordedIdentity, RecordedPart, Source,
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
    records: &'a [Record],
    by_uuid: HashMap<Uuid, usize>,
    mdev: ByPlace<'a>,
    pci: ByPlace<'a>,
    /// The records that claim each hostdev of type pci, in the order in which they count; nothing if no PCI device is recorded.
    on_pci: Vec<Vec<(usize, Key)>>,
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

/// The records that claim a hostdev, as numbers of [`Claims::records`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claim {
    pub uuid: Option<usize>,
    pub address: Option<usize>,
    pub alias: Option<usize>,
}

impl Claim {
    /// Returns the records that claim the hostdev by its address or alias.
    pub fn by_place(self) -> impl Iterator<Item = usize> {
        let alias = self.alias.filter(|_| self.alias != self.address);
        self.address.into_iter().chain(alias)
    }
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
            by_uuid: HashMap::new(),
            mdev: ByPlace::default(),
            pci: ByPlace::default(),
            on_pci: Vec::new(),
            claiming_pci: HashSet::new(),
            second: Vec::new(),
        };
        let mut second = Vec::new();
        for (number, record) in records.iter().enumerate() {
            let by_place = match record.kind {
                RecordKind::Mdev => &mut claims.mdev,
                RecordKind::Pci => &mut claims.pci,
            };
            if let Some(address) = record.guest_address() {
                if !insert(&mut by_place.address, address, number) {
                    second.push((number, Key::Address(address.clone())));
                }
            }
            if let Some(alias) = record.user_alias() {
                if !insert(&mut by_place.alias, alias, number) {
                    second.push((number, Key::Alias(alias.clone())));
                }
            }
            if let Some(uuid) = record.recorded_uuid() {
                if !insert(&mut claims.by_uuid, uuid, number) {
                    second.push((number, Key::Uuid(uuid)));
                }
            }
        }
        // Two records of one address or alias contradict each other only if a hostdev is there.
        if !second.is_empty() {
            let places = GuestKeys::of(domain);
            second.retain(|(_, key)| match key {
                Key::Uuid(_) | Key::Source(_) => true,
                Key::Address(address) => places.addresses.contains(address),
                Key::Alias(alias) => places.aliases.contains(alias),
            });
            claims.second = second;
        }
        claims.claim_pci(domain);
        claims
    }

    /// Finds the records that claim each hostdev of type pci. Two that claim one contradict each other.
    fn claim_pci(&mut self, domain: &'a Domain) {
        if !self.records.iter().any(|record| record.kind == RecordKind::Pci) {
            return;
        }
        let mut by_source: HashMap<PciAddress, Vec<usize>> = HashMap::new();
        let places = GuestKeys::of(domain);
        for (number, record) in self.records.iter().enumerate().filter(|(_, record)| record.kind == RecordKind::Pci) {
            // The guest address or alias of a hostdev says that the record was made for that one.
            if let Some(source) = record.source_address().filter(|_| !places.has_place_of(record)) {
                by_source.entry(source).or_default().push(number);
            }
        }
        for hostdev in &domain.pci_hostdevs {
            let GuestSide { address, alias } = &hostdev.guest;
            let by_address = address
                .as_ref()
                .and_then(|address| Some((self.pci.address.get(address).copied()?, Key::Address(address.clone()))));
            let by_alias =
                alias.as_ref().and_then(|alias| Some((self.pci.alias.get(alias).copied()?, Key::Alias(alias.clone()))));
            let by_alias = by_alias.filter(|(number, _)| !places.has_address_of(&self.records[*number]));
            let mut claiming: Vec<_> = by_address.into_iter().chain(by_alias).collect();
            if let Some(source) = hostdev.source.as_ref().ok().map(|source| source.address) {
                let is_bare = address.is_none() && alias.is_none();
                let numbers = by_source.get(&source).into_iter().flatten().copied();
                let counts = |number: &usize| is_bare || self.records[*number].names_no_place();
                claiming.extend(numbers.filter(counts).take(2).map(|number| (number, Key::Source(source))));
            }
            claiming.dedup_by_key(|(number, _)| *number);
            self.second.extend(claiming.get(1).cloned().filter(|second| !self.second.contains(second)));
            self.claiming_pci.extend(claiming.iter().map(|(number, _)| *number));
            self.on_pci.push(claiming);
        }
    }

    /// Whether a record claims a hostdev of type pci.
    pub fn claims_pci(&self, number: usize) -> bool {
        self.claiming_pci.contains(&number)
    }

    /// Returns the record that counts for a hostdev of type pci.
    pub fn of_pci(&self, hostdev: &PciHostdev) -> Option<usize> {
        let (number, _) = self.on_pci.get(hostdev.ordinal - 1)?.first()?;
        Some(*number)
    }

    /// Returns the record with this number.
    pub fn record(&self, number: usize) -> &'a Record {
        &self.records[number]
    }

    /// Returns the numbers of all records.
    pub fn numbers(&self) -> std::ops::Range<usize> {
        0..self.records.len()
    }

    /// Returns the records that claim a mediated device.
    pub fn on(&self, hostdev: &Hostdev) -> Claim {
        Claim {
            uuid: hostdev.uuid().and_then(|uuid| self.by_uuid.get(&uuid).copied()),
            address: hostdev.guest.address.as_ref().and_then(|address| self.mdev.address.get(address).copied()),
            alias: hostdev.guest.alias.as_ref().and_then(|alias| self.mdev.alias.get(alias).copied()),
        }
    }

    /// Returns an error for each record that claims the same hostdev as an earlier one, by the same key.
    pub fn errors(&self) -> impl Iterator<Item = PlanError> {
        self.second.iter().map(|(number, key)| {
            let span = self.records[*number].element.start_tag;
            PlanError { span, kind: PlanErrorKind::TwoRecords(key.clone()) }
        })
    }
}

/// Adds a key unless it is there. Returns whether it was added.
fn insert<K: Eq + Hash>(map: &mut HashMap<K, usize>, key: K, number: usize) -> bool {
    let mut is_new = false;
    map.entry(key).or_insert_with(|| {
        is_new = true;
        number
    });
    is_new
}

/// The guest addresses and user aliases of a domain's hostdevs, mediated devices and PCI devices.
pub(super) struct GuestKeys<'a> {
    pub addresses: HashSet<&'a GuestAddress>,
    pub aliases: HashSet<&'a UserAlias>,
    /// The source addresses of the hostdevs of type pci.
    pub sources: HashSet<PciAddress>,
}

impl<'a> GuestKeys<'a> {
    pub fn of(domain: &'a Domain) -> Self {
        let guests = || {
            let mdevs = domain.hostdevs.iter().map(|hostdev| &hostdev.guest);
            mdevs.chain(domain.pci_hostdevs.iter().map(|hostdev| &hostdev.guest))
        };
        Self {
            addresses: guests().filter_map(|guest| guest.address.as_ref()).collect(),
            aliases: guests().filter_map(|guest| guest.alias.as_ref()).collect(),
            sources: domain.pci_hostdevs.iter().filter_map(|pci| Some(pci.source.as_ref().ok()?.address)).collect(),
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
    let places = (pairing == Pairing::GuestAddress).then(|| GuestKeys::of(domain));
    let by_hostdev = domain.hostdevs.iter().map(|hostdev| {
        if hostdev.source().is_none() {
            return Paired::default();
        }
        let claim = claims.on(hostdev);
        let (number, rivals) = match &places {
            None => (claim.uuid, claims.rivals(hostdev, claim)),
            Some(places) => (claims.followed(claim, places), Vec::new()),
        };
        number.into_iter().for_each(|number| is_paired[number] = true);
        if places.is_none() {
            claim.by_place().for_each(|number| is_paired[number] = true);
        }
        Paired { record: number.map(|number| claims.record(number)), rivals, is_only_pair: false }
    });
    let mut by_hostdev: Vec<_> = by_hostdev.collect();
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
    let by_pci_hostdev = of_pci.into_iter().map(|number| number.map(|number| claims.record(number))).collect();
    let left_over = claims.records.iter().zip(is_paired).filter(|(_, is_paired)| !is_paired).map(|(record, _)| record);
    Ok(Pairs { left_over: left_over.collect(), by_hostdev, by_pci_hostdev })
}

impl<'a> Claims<'a> {
    /// Returns the records that claim a hostdev by something else than its UUID, except the one of its UUID.
    fn rivals(&self, hostdev: &Hostdev, claim: Claim) -> Vec<Rival<'a>> {
        let by_address = claim.address.zip(hostdev.guest.address.clone().map(Key::Address));
        let by_alias = claim.alias.zip(hostdev.guest.alias.clone().map(Key::Alias));
        let by_alias = by_alias.filter(|_| claim.alias != claim.address);
        let by_place = by_address.into_iter().chain(by_alias).filter(|(number, _)| Some(*number) != claim.uuid);
        by_place.map(|(number, key)| Rival { record: self.record(number), key }).collect()
    }

    /// Returns the record that counts for a hostdev where the guest address decides.
    fn followed(&self, claim: Claim, places: &GuestKeys<'_>) -> Option<usize> {
        let has_address = |number: usize| places.has_address_of(self.record(number));
        let has_place = |number: usize| places.has_place_of(self.record(number));
        let by_alias = || claim.alias.filter(|number| !has_address(*number));
        let by_uuid = || claim.uuid.filter(|number| !has_place(*number));
        claim.address.or_else(by_alias).or_else(by_uuid)
    }
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
