//! What is done with each hostdev, and with each record.

use std::collections::HashSet;

use super::super::claims::{Claim, Claims, recorded};
use super::super::demand::{named_mdev, named_pci};
use super::super::error::{Conflict, PlanError, PlanErrorKind, RemarkKind};
use super::super::lookup::find_device;
use super::super::write::{device_of, record_element};
use super::super::{AnyHostdev, Place, Step, span_of};
use super::{Filling, OnConflict, OnMissing};
use crate::device::{Device, DeviceAddress, PciAddress};
use crate::domain::{Domain, GuestSide, Hostdev, Model, PciHostdev, PciSource, Record};
use crate::edit::NewElement;
use crate::host::{HostName, NoIdentity};
use crate::text::Span;

/// What is done with one hostdev.
pub(super) enum Judged<'a> {
    /// Its identity is written.
    Fill(Fillable<'a>),
    /// It is unchanged, and so is its record, because the policy keeps conflicts.
    Keep(Fillable<'a>),
    /// It is unchanged, and so is its record.
    Leave(Option<&'a Record>),
    /// It is a PCI device that has no record and gets none.
    Unrecorded,
}

/// A hostdev whose device was found, without an error.
pub(super) struct Fillable<'a> {
    pub(super) hostdev: AnyHostdev<'a>,
    pub(super) record: Option<&'a Record>,
    pub(super) address: DeviceAddress,
    pub(super) device: Device,
    /// Whether an earlier one has the same device: then the record is that one's.
    pub(super) is_twin: bool,
    pub(super) steps: Vec<Step>,
}

/// A hostdev that is unchanged, and its record.
pub(super) struct Left<'a> {
    pub(super) guest: &'a GuestSide,
    pub(super) start: usize,
    pub(super) record: &'a Record,
}

/// The records of a domain while it is filled.
pub(super) struct Records<'a> {
    pub(super) claims: Claims<'a>,
    /// The source addresses of the hostdevs of type pci that were judged.
    pub(super) seen: HashSet<PciAddress>,
    /// Whether each record belongs to a hostdev.
    pub(super) is_taken: Vec<bool>,
}

impl<'a> Records<'a> {
    pub(super) fn of(domain: &'a Domain) -> Self {
        let claims = Claims::of(domain);
        let is_taken = vec![false; claims.records.len()];
        Self { claims, seen: HashSet::new(), is_taken }
    }

    /// Returns the record that was made for a hostdev's UUID.
    pub(super) fn take_by_uuid(&mut self, claim: &Claim) -> Option<&'a Record> {
        claim.uuid.map(|number| self.take(number))
    }

    /// Returns the record that claims a hostdev of type pci.
    pub(super) fn take_of_pci(&mut self, hostdev: &PciHostdev) -> Option<&'a Record> {
        self.claims.of_pci(hostdev).map(|number| self.take(number))
    }

    /// Returns a record that claims no hostdev and was made for a PCI device at this source address.
    pub(super) fn take_by_source(&mut self, source: &PciSource, fits: impl Fn(&Record) -> bool) -> Option<&'a Record> {
        let is_free = |number: &usize| {
            let record = &self.claims.records[*number];
            let is_free = !self.is_taken[*number] && !self.claims.claims_pci(*number);
            is_free && record.source_address() == Some(source.address) && fits(record)
        };
        let number = (0..self.is_taken.len()).find(is_free)?;
        Some(self.take(number))
    }

    /// Returns a record that was made for a hostdev's address or alias and for a UUID that no hostdev has any more.
    pub(super) fn take_by_place(&mut self, claim: &Claim, fits: impl Fn(&Record) -> bool) -> Option<&'a Record> {
        let is_free = |number: &usize| {
            let record = &self.claims.records[*number];
            let is_gone = device_of(record).is_none_or(|device| !self.claims.hostdevs.devices.contains(&device));
            !self.is_taken[*number] && is_gone && fits(record)
        };
        let number = claim.by_place.iter().map(|(number, _)| *number).find(is_free)?;
        Some(self.take(number))
    }

    fn take(&mut self, number: usize) -> &'a Record {
        self.is_taken[number] = true;
        &self.claims.records[number]
    }

    pub(super) fn stale(&self) -> Vec<&'a Record> {
        let records = self.claims.records.iter().zip(&self.is_taken);
        records.filter(|(_, is_taken)| !**is_taken).map(|(record, _)| record).collect()
    }
}

impl<'a> Filling<'a> {
    /// Decides about one hostdev: it is filled, or left as it is, or keeps the document from being written.
    pub(super) fn judge(&mut self, hostdev: &'a Hostdev, records: &mut Records<'a>) -> Result<Judged<'a>, PlanError> {
        let span = span_of(hostdev);
        let claim = records.claims.on(hostdev);
        if !self.policy.devices.mdev {
            let record = records.take_by_uuid(&claim).or_else(|| records.take_by_place(&claim, |_| true));
            return Ok(Judged::Leave(record));
        }
        let Some((source, address)) = named_mdev(hostdev)? else {
            if let Model::Other(model) = &hostdev.model {
                self.remark(span, RemarkKind::OtherModel(model.clone()));
            }
            return Ok(Judged::Leave(None));
        };
        let record = records.take_by_uuid(&claim);
        let written = record.map_or(&source.written, |record| &record.written);
        let error_at = |kind| PlanError { span, kind };
        let found = find_device(address, written.identity(), self.host).map_err(error_at)?;
        match (found, self.policy.on_missing) {
            (Ok(device), _) => {
                let is_equal = |record: &Record| record.written.identity().as_ref() == Some(&device.identity);
                let record = record.or_else(|| records.take_by_place(&claim, is_equal));
                self.decide(AnyHostdev::Mdev(hostdev, source), record, address, device)
            }
            (Err(missing), OnMissing::Error) => Err(error_at(PlanErrorKind::Missing(Box::new(missing)))),
            (Err(missing), OnMissing::Skip) => {
                recorded(source, record)?;
                self.remark(span, RemarkKind::Skipped(missing));
                // A record that may have been made for it is not stale.
                Ok(Judged::Leave(record.or_else(|| records.take_by_place(&claim, |_| true))))
            }
        }
    }

    /// Decides about one hostdev of type pci.
    pub(super) fn judge_pci(
        &mut self,
        hostdev: &'a PciHostdev,
        records: &mut Records<'a>,
    ) -> Result<Judged<'a>, PlanError> {
        if !self.policy.fills_pci() {
            let record = records.take_of_pci(hostdev);
            return Ok(if record.is_some() { Judged::Leave(record) } else { Judged::Unrecorded });
        }
        let span = hostdev.span();
        let error_at = |kind| PlanError { span, kind };
        let source = named_pci(hostdev)?;
        let address = DeviceAddress::Pci(source.address);
        let claiming = records.claims.of_pci(hostdev).map(|number| &records.claims.records[number]);
        let identity = claiming.and_then(|record| record.written.identity());
        let found = find_device(address, identity, self.host).map_err(error_at)?;
        let record = match (&found, claiming) {
            // A record of another kind of device has no part to correct: it is removed, and another one is added.
            (Ok(device), Some(record))
                if self.policy.on_conflict == OnConflict::Replace
                    && record.written.is_of_another_kind(&device.identity) =>
            {
                None
            }
            (Ok(device), None) => {
                let is_equal = |record: &Record| record.written.identity().as_ref() == Some(&device.identity);
                records.take_by_source(source, is_equal)
            }
            _ => records.take_of_pci(hostdev),
        };
        let is_selected = self.policy.devices.pci
            || match &found {
                Ok(device) => device.identity.vgpu_type().is_some(),
                Err(missing) => !matches!(missing.why, NoIdentity::Absent(_)),
            };
        if claiming.is_none() && record.is_none() && !is_selected {
            return Ok(Judged::Unrecorded);
        }
        if !records.seen.insert(source.address) {
            return Err(error_at(PlanErrorKind::TwoHostdevs(address)));
        }
        match (found, self.policy.on_missing) {
            (Ok(device), _) => {
                if self.policy.into.include(Place::Source) {
                    self.remark(span, RemarkKind::NotInSource(address));
                }
                self.decide(AnyHostdev::Pci(hostdev, source), record, address, device)
            }
            (Err(missing), OnMissing::Error) => Err(error_at(PlanErrorKind::Missing(Box::new(missing)))),
            (Err(missing), OnMissing::Skip) => {
                self.remark(span, RemarkKind::Skipped(missing));
                Ok(Judged::Leave(record))
            }
        }
    }

    /// Decides about a hostdev whose device was found: it is filled, unless it conflicts with what the document has.
    fn decide(
        &mut self,
        hostdev: AnyHostdev<'a>,
        record: Option<&'a Record>,
        address: DeviceAddress,
        device: Device,
    ) -> Result<Judged<'a>, PlanError> {
        if let Some(source_name) = self.host.source_of(address) {
            let is_defined_only = device.is_defined_only;
            self.remark(hostdev.span(), RemarkKind::NotFromSysfs { device: address, source_name, is_defined_only });
        }
        let fillable = Fillable { hostdev, record, address, device, is_twin: false, steps: Vec::new() };
        let mut conflicts = fillable.conflicts(self.host.name());
        if conflicts.is_empty() {
            return Ok(Judged::Fill(fillable));
        }
        let kind = match self.policy.on_conflict {
            OnConflict::Keep => {
                if let Some(source) = hostdev.source() {
                    recorded(source, record)?;
                }
                return Ok(Judged::Keep(fillable));
            }
            OnConflict::Error => PlanErrorKind::Conflict,
            OnConflict::Replace => {
                // Correcting one place only would leave two that disagree.
                conflicts.retain(|(_, conflict)| !self.policy.into.include(conflict.place));
                PlanErrorKind::Elsewhere
            }
        };
        self.errors.extend(conflicts.into_iter().map(|(span, conflict)| PlanError { span, kind: kind(conflict) }));
        Ok(Judged::Fill(fillable))
    }
}

impl Fillable<'_> {
    pub(super) fn record_element(&self, prefix: &str) -> NewElement {
        record_element(prefix, self.address, self.hostdev.guest(), &self.device)
    }

    /// Returns how far the hostdev is from its record: at the guest address that the record names, elsewhere, or without one.
    pub(super) fn distance_to_record(&self) -> u8 {
        match self.record.map(|record| record.guest_address()) {
            Some(Some(address)) if Some(address) == self.hostdev.guest().address.as_ref() => 0,
            Some(_) => 1,
            None => 2,
        }
    }

    /// Returns the parts that differ from the host, in the source and in the metadata, whichever of them is filled.
    fn conflicts(&self, host: &HostName) -> Vec<(Span, Conflict)> {
        let identity = &self.device.identity;
        let in_source = self.hostdev.source().map(|source| (Place::Source, &source.written));
        let in_metadata = self.record.map(|record| (Place::Metadata, &record.written));
        let mut conflicts = Vec::new();
        for (place, recorded) in in_source.into_iter().chain(in_metadata) {
            for recorded in recorded.conflicts(identity) {
                let conflict = Conflict {
                    device: self.address,
                    host: host.clone(),
                    place,
                    part: recorded.part,
                    written: recorded.text.clone(),
                    found: identity.value(recorded.part).unwrap_or_else(|| identity.kind.to_string()),
                };
                conflicts.push((recorded.span(), conflict));
            }
        }
        conflicts
    }
}
