//! Comparing the devices of two domains, as a migration would.

use super::claims::{Pairing, Pairs, pair, recorded};
use super::error::{PlanError, PlanErrorKind, error_of_metadata};
use super::span_of;
use crate::device::Part;
use crate::domain::{Document, Model, RecordKind, RecordedIdentity, RecordedPart};
use crate::host::DeviceApi;
use crate::text::Span;

/// One thing in which two domains differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// How many hostdevs of a type they have.
    Number {
        /// The type.
        kind: RecordKind,
        /// How many the source domain has.
        source: usize,
        /// How many the destination domain has.
        destination: usize,
    },
    /// A hostdev that both have.
    Hostdev {
        /// Its type.
        kind: RecordKind,
        /// The number of the hostdev among those of its type in both domains, from 1.
        ordinal: usize,
        /// What differs.
        what: What,
        /// What the source domain has.
        source: Side,
        /// What the destination domain has.
        destination: Side,
    },
}

impl Difference {
    /// Whether it is worth a warning only: boards of different vendors may have vGPUs of one type.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Hostdev { what: What::Part(Part::Subsystem), .. })
    }
}

/// What one of two hostdevs has, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The value, if there is one.
    pub value: Option<String>,
    /// Where: the value, or the hostdev that lacks it.
    pub span: Span,
}

/// What two hostdevs can differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The model.
    Model,
    /// A part of the identity, which may be missing on both sides.
    Part(Part),
}

impl What {
    /// Returns the name that libvirt has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Part(part) => part.element(),
        }
    }
}

/// Compares the hostdevs of two domains, paired in document order within each type as libvirt pairs devices in its ABI check
/// (`virDomainDefCheckABIStabilityFlags`). UUIDs and source addresses may differ.
///
/// Hostdevs of type pci are compared if one of them is recorded in either domain, and each pair if either of the two is.
/// Of a snapshot its `domain` counts.
///
/// # Errors
/// Everything that keeps the source from being compared, and everything that keeps the destination from it.
pub fn compare(source: &Document, destination: &Document) -> Result<Vec<Difference>, [Vec<PlanError>; 2]> {
    let (one, other) = match (Devices::of(source), Devices::of(destination)) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => return Err([one, other].map(|devices| devices.err().unwrap_or_default())),
    };
    let mut differences = Vec::new();
    let mut compare = |kind, one: &[Compared<'_>], other: &[Compared<'_>]| {
        if one.len() != other.len() {
            differences.push(Difference::Number { kind, source: one.len(), destination: other.len() });
        }
        for (number, (one, other)) in one.iter().zip(other).enumerate() {
            one.differences(other, kind, number + 1, &mut differences);
        }
    };
    compare(RecordKind::Mdev, &one.mdevs, &other.mdevs);
    if one.pci.iter().chain(&other.pci).any(|device| device.recorded.is_some()) {
        compare(RecordKind::Pci, &one.pci, &other.pci);
    }
    Ok(differences)
}

/// The hostdevs of a domain.
struct Devices<'a> {
    mdevs: Vec<Compared<'a>>,
    pci: Vec<Compared<'a>>,
}

/// A hostdev as far as it is compared.
struct Compared<'a> {
    span: Span,
    model: Option<&'a str>,
    /// The recorded identity; mediated devices of other models than vfio-pci are compared by model only.
    recorded: Option<&'a RecordedIdentity>,
}

impl<'a> Devices<'a> {
    fn of(document: &'a Document) -> Result<Self, Vec<PlanError>> {
        let Some(domain) = document.main_domain() else {
            return Err(vec![PlanError { span: Span::at(0), kind: PlanErrorKind::NoDomain }]);
        };
        let mut errors: Vec<PlanError> = error_of_metadata(domain).into_iter().collect();
        let mut mdevs = Vec::new();
        let Pairs { by_hostdev, by_pci_hostdev, .. } = pair(domain, Pairing::Uuid)?;
        for (hostdev, paired) in domain.hostdevs.iter().zip(by_hostdev) {
            let span = span_of(hostdev);
            let (model, written) = match &hostdev.model {
                Model::Other(model) => (model.as_deref(), Ok(None)),
                Model::VfioPci(Ok(source)) => {
                    // Each document is read by itself, so a record of the address is the next best.
                    let record = paired.record.or_else(|| paired.rivals.first().map(|rival| rival.record));
                    (Some(DeviceApi::VFIO_PCI), recorded(source, record))
                }
                Model::VfioPci(Err(error)) => (Some(DeviceApi::VFIO_PCI), Err(error.into())),
            };
            match written {
                Ok(recorded) => mdevs.push(Compared { span, model, recorded }),
                Err(error) => errors.push(error),
            }
        }
        let pci = domain.pci_hostdevs.iter().zip(by_pci_hostdev).map(|(hostdev, record)| {
            let recorded = record.map(|record| &record.written).filter(|recorded| !recorded.is_empty());
            Compared { span: hostdev.span(), model: None, recorded }
        });
        let pci = pci.collect();
        if errors.is_empty() { Ok(Self { mdevs, pci }) } else { Err(errors) }
    }
}

impl Compared<'_> {
    fn part(&self, part: Part) -> Option<&RecordedPart> {
        self.recorded?.get(part)
    }

    /// Returns the value of a part and where it is, which may be in the metadata; if it is missing, where the hostdev is.
    fn side(&self, part: Option<&RecordedPart>) -> Side {
        Side { value: part.map(|part| part.text.clone()), span: part.map_or(self.span, RecordedPart::span) }
    }

    fn differences(&self, other: &Self, kind: RecordKind, ordinal: usize, differences: &mut Vec<Difference>) {
        let mut differ = |what, source, destination| {
            differences.push(Difference::Hostdev { kind, ordinal, what, source, destination });
        };
        if self.model != other.model {
            let side = |side: &Self| Side { value: side.model.map(str::to_owned), span: side.span };
            differ(What::Model, side(self), side(other));
            return;
        }
        let parts = match kind {
            RecordKind::Mdev if self.model == Some(DeviceApi::VFIO_PCI) => Part::OF_MDEV.to_vec(),
            RecordKind::Mdev => Vec::new(),
            RecordKind::Pci if self.recorded.is_none() && other.recorded.is_none() => Vec::new(),
            RecordKind::Pci => self.pci_parts(other),
        };
        for part in parts {
            let (one, two) = (self.part(part), other.part(part));
            // A part that is missing on both sides is a difference too: nothing says that the devices are the same.
            if !one.zip(two).is_some_and(|(one, two)| one.says_what(two)) {
                differ(What::Part(part), self.side(one), other.side(two));
            }
        }
    }

    /// Returns the parts in which two PCI devices are compared: a device has a vGPU type or a class, and may lack subsystem ids.
    fn pci_parts(&self, other: &Self) -> Vec<Part> {
        let in_either = |part| self.part(part).is_some() || other.part(part).is_some();
        let in_both = |part| self.part(part).is_some() && other.part(part).is_some();
        let is_compared = |part: &Part| match part {
            Part::VgpuType => in_either(Part::VgpuType) || !in_either(Part::Class),
            Part::Class => in_either(Part::Class),
            Part::Subsystem => in_both(Part::Subsystem),
            _ => true,
        };
        Part::OF_PCI.into_iter().filter(is_compared).collect()
    }
}
