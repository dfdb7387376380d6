//! What is done with each hostdev, and with each record.

use std::collections::HashSet;

use super::super::claims::{Claim, Claims, recorded};
use super::super::error::{PlanError, PlanErrorKind, RemarkKind};
use super::super::lookup::{Missing, find, find_device};
use super::super::write::record_element;
use super::super::{DeviceName, Place, Step, span_of};
use super::{Filling, OnConflict, OnMissing};
use crate::device::{Device, DeviceAddress, DeviceKind, Identity, Part, Uuid};
use crate::domain::{
    Domain, GuestSide, Hostdev, Model, PciHostdev, PciSource, Record, RecordKind, RecordedIdentity, Source,
};
use crate::edit::NewElement;
use crate::host::HostName;
use crate::text::Span;

/// What is done with one hostdev.
pub(super) enum Judged<'a> {
    /// Its identity is written.
    Fill(Fillable<'a>),
    /// It is unchanged, and so is its record.
    Leave {
        record: Option<&'a Record>,
        /// The device, if it is unchanged because the policy keeps conflicts.
        kept: Option<DeviceAddress>,
    },
    /// It is a PCI device that has no record and gets none.
    Unrecorded,
}

/// A hostdev whose device has an identity.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Mdev(&'a Hostdev, &'a Source),
    Pci(&'a PciHostdev, &'a PciSource),
}

impl<'a> Target<'a> {
    pub(super) fn guest(self) -> &'a GuestSide {
        match self {
            Self::Mdev(hostdev, _) => &hostdev.guest,
            Self::Pci(hostdev, _) => &hostdev.guest,
        }
    }

    /// Returns what sorts hostdevs in document order.
    pub(super) fn start(self) -> usize {
        match self {
            Self::Mdev(hostdev, _) => hostdev.start_tag.start,
            Self::Pci(hostdev, _) => hostdev.start_tag.start,
        }
    }

    /// Returns the span that messages point at.
    pub(super) fn span(self) -> Span {
        match self {
            Self::Mdev(_, source) => source.uuid.name,
            Self::Pci(_, source) => source.element.span,
        }
    }

    /// Returns the source, if an identity may be in it.
    pub(super) fn source(self) -> Option<&'a Source> {
        match self {
            Self::Mdev(_, source) => Some(source),
            Self::Pci(..) => None,
        }
    }

    pub(super) fn name(self) -> DeviceName {
        match self {
            Self::Mdev(_, source) => DeviceName { kind: RecordKind::Mdev, text: source.uuid.text.clone() },
            Self::Pci(_, source) => DeviceName { kind: RecordKind::Pci, text: source.address.to_string() },
        }
    }
}

/// A hostdev whose device was found, without an error.
pub(super) struct Fillable<'a> {
    pub(super) target: Target<'a>,
    pub(super) record: Option<&'a Record>,
    pub(super) address: DeviceAddress,
    pub(super) device: Device,
    pub(super) steps: Vec<Step>,
}

/// A hostdev that is unchanged, and its record.
pub(super) struct Left<'a> {
    pub(super) guest: &'a GuestSide,
    pub(super) start: usize,
    pub(super) record: &'a Record,
}

/// A part that differs from the host.
pub(super) struct Conflict {
    pub(super) place: Place,
    pub(super) part: Part,
    pub(super) written: String,
    pub(super) span: Span,
}

/// The records of a domain while it is filled.
pub(super) struct Records<'a> {
    pub(super) claims: Claims<'a>,
    /// The UUIDs of the domain's hostdevs.
    pub(super) uuids: HashSet<Uuid>,
    /// Whether each record belongs to a hostdev.
    pub(super) is_taken: Vec<bool>,
}

impl<'a> Records<'a> {
    pub(super) fn of(domain: &'a Domain) -> Self {
        let claims = Claims::of(domain);
        let is_taken = vec![false; claims.numbers().len()];
        Self { claims, uuids: domain.hostdevs.iter().filter_map(Hostdev::uuid).collect(), is_taken }
    }

    /// Returns the record that was made for a hostdev's UUID.
    pub(super) fn take_by_uuid(&mut self, claim: Claim) -> Option<&'a Record> {
        claim.uuid.map(|number| self.take(number))
    }

    /// Returns the record that claims a hostdev of type pci.
    pub(super) fn take_of_pci(&mut self, hostdev: &PciHostdev) -> Option<&'a Record> {
        self.claims.of_pci(hostdev).map(|number| self.take(number))
    }

    /// Returns a record that claims no hostdev and was made for a PCI device at this source address.
    pub(super) fn take_by_source(&mut self, source: &PciSource, fits: impl Fn(&Record) -> bool) -> Option<&'a Record> {
        let is_free = |number: &usize| {
            let record = self.claims.record(*number);
            let is_free = !self.is_taken[*number] && !self.claims.claims_pci(*number);
            is_free && record.source_address() == Some(source.address) && fits(record)
        };
        let number = self.claims.numbers().find(is_free)?;
        Some(self.take(number))
    }

    /// Returns a record that was made for a hostdev's address or alias and for a UUID that no hostdev has any more.
    pub(super) fn take_by_place(&mut self, claim: Claim, fits: impl Fn(&Record) -> bool) -> Option<&'a Record> {
        let is_free = |number: &usize| {
            let record = self.claims.record(*number);
            let is_gone = record.recorded_uuid().is_none_or(|uuid| !self.uuids.contains(&uuid));
            !self.is_taken[*number] && is_gone && fits(record)
        };
        let number = claim.by_place().find(is_free)?;
        Some(self.take(number))
    }

    pub(super) fn take(&mut self, number: usize) -> &'a Record {
        self.is_taken[number] = true;
        self.claims.record(number)
    }

    pub(super) fn stale(&self) -> Vec<&'a Record> {
        let stale = self.claims.numbers().filter(|number| !self.is_taken[*number]);
        stale.map(|number| self.claims.record(number)).collect()
    }
}

impl<'a> Filling<'a> {
    /// Decides about one hostdev: it is filled, or left as it is, or keeps the document from being written.
    pub(super) fn judge(
        &mut self,
        hostdev: &'a Hostdev,
        records: &mut Records<'a>,
    ) -> Result<Judged<'a>, Vec<PlanError>> {
        let span = span_of(hostdev);
        let error_at = |kind| vec![PlanError { span, kind }];
        if !self.policy.devices.mdev {
            let claim = records.claims.on(hostdev);
            let record = records.take_by_uuid(claim).or_else(|| records.take_by_place(claim, |_| true));
            return Ok(Judged::Leave { record, kept: None });
        }
        let source = match &hostdev.model {
            Model::VfioPci(source) => {
                source.as_ref().map_err(|error| error_at(PlanErrorKind::Hostdev(error.clone())))?
            }
            Model::Other(model) => {
                self.remark(span, RemarkKind::OtherModel(model.clone()));
                return Ok(Judged::Leave { record: None, kept: None });
            }
        };
        let claim = records.claims.on(hostdev);
        let mut record = records.take_by_uuid(claim);
        let written = record.map_or(&source.written, |record| &record.written);
        let (address, found) = find(source, written.identity().as_ref(), self.host).map_err(error_at)?;
        let device = match (found, self.policy.on_missing) {
            (Ok(device), _) => device,
            (Err(missing), OnMissing::Error) => return Err(error_at(PlanErrorKind::Missing(Box::new(missing)))),
            (Err(missing), OnMissing::Skip) => return self.skip(source, record, claim, missing, records),
        };
        if record.is_none() {
            record =
                records.take_by_place(claim, |record| record.written.identity().as_ref() == Some(&device.identity));
        }
        let target = Target::Mdev(hostdev, source);
        self.decide(Fillable { target, record, address, device, steps: Vec::new() })
    }

    /// Decides about one hostdev of type pci. `seen` has the source addresses of those before it.
    pub(super) fn judge_pci(
        &mut self,
        hostdev: &'a PciHostdev,
        records: &mut Records<'a>,
        seen: &mut HashSet<DeviceAddress>,
    ) -> Result<Judged<'a>, Vec<PlanError>> {
        let span = hostdev.span();
        let error_at = |kind| vec![PlanError { span, kind }];
        if !self.policy.fills_pci() {
            let record = records.take_of_pci(hostdev);
            return Ok(if record.is_some() { Judged::Leave { record, kept: None } } else { Judged::Unrecorded });
        }
        let source = hostdev.source.as_ref().map_err(|error| error_at(PlanErrorKind::Hostdev(error.clone())))?;
        let address = DeviceAddress::Pci(source.address);
        let claiming = records.claims.of_pci(hostdev).map(|number| records.claims.record(number));
        let identity = claiming.and_then(|record| record.written.identity());
        let found = find_device(address, identity.as_ref(), self.host).map_err(error_at)?;
        // A record of another kind of device has no part to correct: it is removed, and another one is added.
        let is_of_another_kind = |record: &Record, device: &Device| record.written.is_of_another_kind(&device.identity);
        let record = match (&found, self.policy.on_conflict) {
            (Ok(device), OnConflict::Replace) if claiming.is_some_and(|record| is_of_another_kind(record, device)) => {
                None
            }
            (Ok(device), _) if claiming.is_none() => {
                let is_equal = |record: &Record| record.written.identity().as_ref() == Some(&device.identity);
                records.take_by_source(source, is_equal)
            }
            _ => records.take_of_pci(hostdev),
        };
        let is_selected = self.policy.devices.pci
            || match &found {
                Ok(device) => matches!(device.identity.kind, DeviceKind::Vgpu(_)),
                Err(missing) => {
                    matches!(missing, Missing::Untyped { .. } | Missing::NoVgpuType { .. } | Missing::Unknown { .. })
                }
            };
        if claiming.is_none() && record.is_none() && !is_selected {
            return Ok(Judged::Unrecorded);
        }
        if !seen.insert(address) {
            return Err(error_at(PlanErrorKind::TwoHostdevs(address)));
        }
        match (found, self.policy.on_missing) {
            (Err(missing), OnMissing::Error) => Err(error_at(PlanErrorKind::Missing(Box::new(missing)))),
            (Err(missing), OnMissing::Skip) => {
                self.remark(span, RemarkKind::Skipped(missing));
                Ok(Judged::Leave { record, kept: None })
            }
            (Ok(device), _) => {
                if self.policy.into.include(Place::Source) {
                    self.remark(span, RemarkKind::NotInSource(address));
                }
                let target = Target::Pci(hostdev, source);
                self.decide(Fillable { target, record, address, device, steps: Vec::new() })
            }
        }
    }

    /// Decides about a hostdev whose device was found: it is filled, unless it conflicts with what the document has.
    fn decide(&mut self, fillable: Fillable<'a>) -> Result<Judged<'a>, Vec<PlanError>> {
        let host = self.host;
        let (device, is_defined_only) = (fillable.address, fillable.device.is_defined_only);
        if let Some(source_name) = host.source_of(device) {
            self.remark(fillable.target.span(), RemarkKind::NotFromSysfs { device, source_name, is_defined_only });
        }
        let conflicts = fillable.conflicts();
        let is_filled = |conflict: &Conflict| self.policy.into.include(conflict.place);
        match self.policy.on_conflict {
            _ if conflicts.is_empty() => Ok(Judged::Fill(fillable)),
            OnConflict::Replace if conflicts.iter().all(is_filled) => Ok(Judged::Fill(fillable)),
            // Correcting one place only would leave two that disagree.
            OnConflict::Replace => {
                let elsewhere = conflicts.into_iter().filter(|conflict| !is_filled(conflict));
                Err(elsewhere.map(|conflict| fillable.error_of_elsewhere(conflict, host.name())).collect())
            }
            OnConflict::Error => {
                Err(conflicts.into_iter().map(|conflict| fillable.error_of_conflict(conflict, host.name())).collect())
            }
            OnConflict::Keep => {
                let Fillable { target, record, address, device, .. } = fillable;
                if let Some(source) = target.source() {
                    recorded(source, record).map_err(|error| vec![error])?;
                }
                self.remark(
                    target.span(),
                    RemarkKind::Kept { device: address, identity: device.identity, host: self.host.name().clone() },
                );
                Ok(Judged::Leave { record, kept: Some(address) })
            }
        }
    }

    /// Leaves a hostdev unchanged whose device the host does not have.
    fn skip(
        &mut self,
        source: &Source,
        record: Option<&'a Record>,
        claim: Claim,
        missing: Missing,
        records: &mut Records<'a>,
    ) -> Result<Judged<'a>, Vec<PlanError>> {
        recorded(source, record).map_err(|error| vec![error])?;
        self.remark(source.uuid.name, RemarkKind::Skipped(missing));
        // A record that may have been made for it is not stale.
        let record = record.or_else(|| records.take_by_place(claim, |_| true));
        Ok(Judged::Leave { record, kept: None })
    }
}

impl Fillable<'_> {
    pub(super) fn record_element(&self, prefix: &str) -> NewElement {
        record_element(prefix, self.address, self.target.guest(), &self.device)
    }

    /// Returns how far the hostdev is from its record: at the guest address that the record names, elsewhere, or without one.
    pub(super) fn distance_to_record(&self) -> u8 {
        match self.record.map(|record| record.guest_address()) {
            Some(Some(address)) if Some(address) == self.target.guest().address.as_ref() => 0,
            Some(_) => 1,
            None => 2,
        }
    }

    /// Returns the parts that differ from the host, in the source and in the metadata, whichever of them is filled.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let in_source = self.target.source().map(|source| &source.written);
        let places: [(Place, Option<&RecordedIdentity>); 2] =
            [(Place::Source, in_source), (Place::Metadata, self.record.map(|record| &record.written))];
        let written = places.into_iter().filter_map(|(place, written)| Some((place, written?)));
        let conflicts = written.flat_map(|(place, written)| {
            let conflicts = written.conflicts(&self.device.identity);
            conflicts.map(move |part| Conflict {
                place,
                part: part.part,
                written: part.text.clone(),
                span: part.span(),
            })
        });
        conflicts.collect()
    }

    /// Returns the value that this host has for a part, or the kind of its device if it has none.
    pub(super) fn value(&self, part: Part) -> String {
        let identity: &Identity = &self.device.identity;
        identity.value(part).unwrap_or_else(|| identity.kind.to_string())
    }

    pub(super) fn error_of_conflict(&self, conflict: Conflict, host: &HostName) -> PlanError {
        let Conflict { place, part, written, span } = conflict;
        let (device, host, found) = (self.address, host.clone(), self.value(part));
        PlanError { span, kind: PlanErrorKind::Conflict { device, host, place, part, written, found } }
    }

    pub(super) fn error_of_elsewhere(&self, conflict: Conflict, host: &HostName) -> PlanError {
        let Conflict { place, part, written, span } = conflict;
        let (device, host, found) = (self.address, host.clone(), self.value(part));
        PlanError { span, kind: PlanErrorKind::Elsewhere { device, host, place, part, written, found } }
    }
}
