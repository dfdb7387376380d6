//! Comparing the devices of two domains, as a migration would.

use super::claims::{Pairing, Pairs, pair, recorded};
use super::error::{PlanError, PlanErrorKind, error_of_metadata};
use super::span_of;
use crate::device::Part;
use crate::domain::{Document, Model, RecordedIdentity, RecordedPart};
use crate::host::DeviceApi;
use crate::text::Span;

/// One thing in which two domains differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// How many mdev hostdevs they have.
    Number {
        /// How many the source domain has.
        source: usize,
        /// How many the destination domain has.
        destination: usize,
    },
    /// A hostdev that both have.
    Hostdev {
        /// The number of the mdev hostdev in both domains, from 1.
        ordinal: usize,
        /// What differs.
        what: What,
        /// What the source domain has.
        source: Side,
        /// What the destination domain has.
        destination: Side,
    },
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

/// One of the two documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first.
    Source,
    /// The second.
    Destination,
}

/// Compares the mdev hostdevs of two domains, paired in document order as libvirt pairs devices in its ABI check
/// (`virDomainDefCheckABIStabilityFlags`). The UUIDs may differ.
///
/// Of a snapshot its `domain` counts.
///
/// # Errors
/// What keeps either from being judged.
pub fn compare(source: &Document, destination: &Document) -> Result<Vec<Difference>, Vec<(Which, PlanError)>> {
    let (one, other) = match (devices(source), devices(destination)) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => {
            let of = |which, errors: Vec<PlanError>| errors.into_iter().map(move |error| (which, error));
            let of_source = of(Which::Source, one.err().unwrap_or_default());
            return Err(of_source.chain(of(Which::Destination, other.err().unwrap_or_default())).collect());
        }
    };
    let mut differences = Vec::new();
    if one.len() != other.len() {
        differences.push(Difference::Number { source: one.len(), destination: other.len() });
    }
    for (number, (one, other)) in one.iter().zip(&other).enumerate() {
        one.differences(other, number + 1, &mut differences);
    }
    Ok(differences)
}

/// A hostdev as far as it is compared.
struct Compared<'a> {
    span: Span,
    model: Option<&'a str>,
    /// What is recorded; other models than vfio-pci are compared by model only.
    recorded: Option<&'a RecordedIdentity>,
}

fn devices(document: &Document) -> Result<Vec<Compared<'_>>, Vec<PlanError>> {
    let domain =
        document.main_domain().ok_or_else(|| vec![PlanError { span: Span::at(0), kind: PlanErrorKind::NoDomain }])?;
    let mut errors: Vec<PlanError> = error_of_metadata(domain).into_iter().collect();
    let mut devices = Vec::new();
    let Pairs { by_hostdev, .. } = pair(domain, Pairing::Uuid)?;
    for (hostdev, paired) in domain.hostdevs.iter().zip(by_hostdev) {
        let span = span_of(hostdev);
        let (model, written) = match &hostdev.model {
            Model::Other(model) => (model.as_deref(), Ok(None)),
            Model::VfioPci(Ok(source)) => {
                // Each document is read by itself, so a record of the address is the next best.
                let record = paired.record.or_else(|| paired.rivals.first().map(|rival| rival.record));
                (Some(DeviceApi::VFIO_PCI), recorded(source, record))
            }
            Model::VfioPci(Err(error)) => {
                (Some(DeviceApi::VFIO_PCI), Err(PlanError { span, kind: PlanErrorKind::Hostdev(error.clone()) }))
            }
        };
        match written {
            Ok(recorded) => devices.push(Compared { span, model, recorded }),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(devices) } else { Err(errors) }
}

impl Compared<'_> {
    fn part(&self, part: Part) -> Option<&RecordedPart> {
        self.recorded?.get(part)
    }

    /// What a part says and where, which may be the metadata; where it is missing, the hostdev that lacks it.
    fn side(&self, part: Option<&RecordedPart>) -> Side {
        Side { value: part.map(|part| part.text.clone()), span: part.map_or(self.span, RecordedPart::span) }
    }

    fn differences(&self, other: &Self, ordinal: usize, differences: &mut Vec<Difference>) {
        let mut differ = |what, source, destination| {
            differences.push(Difference::Hostdev { ordinal, what, source, destination });
        };
        if self.model != other.model {
            let side = |side: &Self| Side { value: side.model.map(str::to_owned), span: side.span };
            differ(What::Model, side(self), side(other));
        } else if self.model == Some(DeviceApi::VFIO_PCI) {
            for part in Part::ALL {
                let (one, two) = (self.part(part), other.part(part));
                // What stands on neither side is a difference too: nothing says that the devices are the same.
                if !one.zip(two).is_some_and(|(one, two)| one.says_what(two)) {
                    differ(What::Part(part), self.side(one), other.side(two));
                }
            }
        }
    }
}
