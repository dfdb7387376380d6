//! Which record was made for which hostdev.
//!
//! A record claims a hostdev by its UUID, by the guest address or by the user alias that the hostdev had when it was recorded.
//! The order of records and hostdevs means nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;

use super::error::{PlanError, PlanErrorKind};
use crate::device::{GuestAddress, UserAlias, Uuid};
use crate::domain::{Domain, Hostdev, Metadata, Record, RecordedIdentity, RecordedPart, Source};

/// Which of the records that claim a hostdev counts.
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

/// What a record claims a hostdev by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// The UUID.
    Uuid(Uuid),
    /// The guest address.
    Address(GuestAddress),
    /// The user alias.
    Alias(UserAlias),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => write!(f, "UUID {uuid}"),
            Self::Address(address) => write!(f, "guest address {address}"),
            Self::Alias(alias) => write!(f, "alias {alias}"),
        }
    }
}

/// The records of a domain by what they claim hostdevs by.
pub(super) struct Claims<'a> {
    records: &'a [Record],
    by_uuid: HashMap<Uuid, usize>,
    by_address: HashMap<&'a GuestAddress, usize>,
    by_alias: HashMap<&'a UserAlias, usize>,
    /// The second record of a key, and any further one.
    second: Vec<(usize, Key)>,
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
            by_address: HashMap::new(),
            by_alias: HashMap::new(),
            second: Vec::new(),
        };
        let mut second = Vec::new();
        for (number, record) in records.iter().enumerate() {
            if let Some(uuid) = record.recorded_uuid() {
                if !insert(&mut claims.by_uuid, uuid, number) {
                    second.push((number, Key::Uuid(uuid)));
                }
            }
            if let Some(address) = record.guest_address() {
                if !insert(&mut claims.by_address, address, number) {
                    second.push((number, Key::Address(address.clone())));
                }
            }
            if let Some(alias) = record.user_alias() {
                if !insert(&mut claims.by_alias, alias, number) {
                    second.push((number, Key::Alias(alias.clone())));
                }
            }
        }
        // Two records of one address or alias contradict each other only if a hostdev is there.
        if !second.is_empty() {
            let places = GuestKeys::of(domain);
            second.retain(|(_, key)| match key {
                Key::Uuid(_) => true,
                Key::Address(address) => places.addresses.contains(address),
                Key::Alias(alias) => places.aliases.contains(alias),
            });
            claims.second = second;
        }
        claims
    }

    /// Returns the record with this number.
    pub fn record(&self, number: usize) -> &'a Record {
        &self.records[number]
    }

    /// Returns the numbers of all records.
    pub fn numbers(&self) -> std::ops::Range<usize> {
        0..self.records.len()
    }

    /// Returns the records that claim a hostdev.
    pub fn on(&self, hostdev: &Hostdev) -> Claim {
        Claim {
            uuid: hostdev.uuid().and_then(|uuid| self.by_uuid.get(&uuid).copied()),
            address: hostdev.guest.address.as_ref().and_then(|address| self.by_address.get(address).copied()),
            alias: hostdev.guest.alias.as_ref().and_then(|alias| self.by_alias.get(alias).copied()),
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
        }
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
        if paired.record.is_none() && hostdev.source().is_some() && record.guest_address().is_none() {
            *paired = Paired { record: Some(record), is_only_pair: true, ..Paired::default() };
            is_paired[0] = true;
        }
    }
    let left_over = claims.records.iter().zip(is_paired).filter(|(_, is_paired)| !is_paired).map(|(record, _)| record);
    Ok(Pairs { left_over: left_over.collect(), by_hostdev })
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
        let is_address_elsewhere = |number: &usize| {
            self.record(*number).guest_address().is_some_and(|address| places.addresses.contains(address))
        };
        let is_alias_elsewhere =
            |number: &usize| self.record(*number).user_alias().is_some_and(|alias| places.aliases.contains(alias));
        let by_alias = || claim.alias.filter(|number| !is_address_elsewhere(number));
        let by_uuid = || claim.uuid.filter(|number| !is_address_elsewhere(number) && !is_alias_elsewhere(number));
        claim.address.or_else(by_alias).or_else(by_uuid)
    }
}

/// Returns what is recorded of a hostdev: what the metadata says, else what its source says; `None` if neither says anything.
///
/// # Errors
/// If metadata and source disagree: then neither can be trusted.
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
