//! Why a plan cannot be made, and remarks that come with a plan.

use thiserror::Error;

use super::key::Key;
use super::{Missing, Place};
use crate::device::{DeviceAddress, Identity, Part, UuidError};
use crate::domain::{Domain, HostdevError, Metadata, MetadataError};
use crate::edit::Overlap;
use crate::host::{HostError, HostName};
use crate::text::Span;

/// Why a plan cannot be made, and where in the document.
#[derive(Clone, Debug, Error)]
#[error("{kind}")]
pub struct PlanError {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: PlanErrorKind,
}

impl From<&HostdevError> for PlanError {
    fn from(error: &HostdevError) -> Self {
        Self { span: error.span(), kind: PlanErrorKind::Hostdev(error.clone()) }
    }
}

impl From<&MetadataError> for PlanError {
    fn from(error: &MetadataError) -> Self {
        Self { span: error.span(), kind: PlanErrorKind::Metadata(error.clone()) }
    }
}

impl From<Overlap> for PlanError {
    fn from(overlap: Overlap) -> Self {
        Self { span: overlap.new, kind: PlanErrorKind::Overlap(overlap) }
    }
}

/// Returns the error of a domain whose metadata cannot be read.
pub(super) fn error_of_metadata(domain: &Domain) -> Option<PlanError> {
    match &domain.metadata {
        Some(Metadata::Unreadable(error)) => Some(error.into()),
        _ => None,
    }
}

/// Why a plan cannot be made.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum PlanErrorKind {
    /// The hostdev's source cannot be read.
    #[error(transparent)]
    Hostdev(HostdevError),
    /// Two hostdevs have the same source address: their records could not be told apart.
    #[error("{0} appears twice in this domain, which libvirt refuses")]
    TwoHostdevs(DeviceAddress),
    /// Our element in the metadata cannot be read.
    #[error(transparent)]
    Metadata(MetadataError),
    /// The `uuid` of an address is not a UUID as libvirt reads them.
    #[error("'{text}' is not a UUID: {error}")]
    NotAUuid {
        /// The attribute's value.
        text: String,
        /// Why not.
        error: UuidError,
    },
    /// The device has no identity on this host.
    #[error("{0}")]
    Missing(Box<Missing>),
    /// The host could not be read.
    #[error("{device} cannot be looked up")]
    Host {
        /// The device.
        device: DeviceAddress,
        /// Why not.
        #[source]
        error: HostError,
    },
    /// A part is already there and differs from this host.
    #[error("{} of {} is '{}' {}, and {} it is {}", .0.part, .0.device, .0.written, .0.place.in_document(), .0.host.place(), .0.found)]
    Conflict(Conflict),
    /// A part in the other place differs from this host: correcting one place only would leave two that disagree.
    #[error("{} of {} would be {}, and {} it is '{}'", .0.part, .0.device, .0.found, .0.place.in_document(), .0.written)]
    Elsewhere(Conflict),
    /// Source and metadata describe two different devices.
    #[error("{part} of this hostdev is {source_value} in its source, and {metadata_value} in the domain's metadata")]
    Disagree {
        /// Which part.
        part: Part,
        /// What its source says.
        source_value: String,
        /// What the metadata says.
        metadata_value: String,
    },
    /// Two records claim one hostdev, so which one counts is unknown.
    #[error("two records have the {0}")]
    TwoRecords(Key),
    /// A hostdev document has no metadata.
    #[error("a hostdev by itself has no metadata")]
    LoneHostdev,
    /// A checkpoint or a status file may have no domain.
    #[error("there is no domain in this document")]
    NoDomain,
    /// A bug in this program.
    #[error("internal error: {0}")]
    Overlap(Overlap),
}

/// A part of a recorded identity that differs from the host.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// The device.
    pub device: DeviceAddress,
    /// The host.
    pub host: HostName,
    /// Where the part is.
    pub place: Place,
    /// Which part.
    pub part: Part,
    /// The value in the document.
    pub written: String,
    /// The value on the host.
    pub found: String,
}

impl Place {
    fn in_document(self) -> &'static str {
        match self {
            Self::Source => "in its source",
            Self::Metadata => "in the domain's metadata",
        }
    }
}

impl PlanErrorKind {
    /// Returns what a message says below the marked characters.
    pub fn label(&self) -> String {
        let label = match self {
            Self::Missing(missing) => return missing.label(),
            Self::Conflict(conflict) | Self::Elsewhere(conflict) => {
                return format!("{} has {}", conflict.host, conflict.found);
            }
            Self::Disagree { metadata_value, .. } => return format!("metadata has {metadata_value}"),
            Self::Hostdev(HostdevError::NoSource { .. }) => "no <source> in it",
            Self::Hostdev(HostdevError::NoAddress { .. }) => "no <address uuid='…'/> in it",
            Self::Hostdev(HostdevError::NoUuid { .. }) => "uuid is missing",
            Self::Hostdev(HostdevError::NoPciAddress { .. }) => "no <address> in its source",
            Self::Hostdev(HostdevError::NotAPciAddress { .. }) => {
                "domain, bus, slot and function are numbers, in hexadecimal with 0x"
            }
            Self::Hostdev(HostdevError::Twice(_))
            | Self::Metadata(MetadataError::Twice(_))
            | Self::TwoHostdevs(_)
            | Self::TwoRecords(_) => "the second one",
            Self::Hostdev(HostdevError::LookAlike(_)) | Self::Metadata(MetadataError::LookAlike(_)) => "this attribute",
            Self::Metadata(MetadataError::OtherElement { .. }) => "libvirt keeps only the first",
            Self::NotAUuid { .. } => "a uuid has 32 hexadecimal digits",
            Self::LoneHostdev => "not a domain",
            Self::Host { .. } | Self::NoDomain | Self::Overlap(_) => "",
        };
        label.to_owned()
    }
}

/// A warning or a note that comes with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: RemarkKind,
}

/// What a remark is about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RemarkKind {
    /// A warning: `--on-missing skip` left a device without its identity.
    #[error("{0}; skipped")]
    Skipped(Missing),
    /// A warning: `--on-conflict keep` left an identity that this host contradicts.
    #[error("{device} differs {}; kept as it is", host.place())]
    Kept {
        /// The device.
        device: DeviceAddress,
        /// Its identity on the host.
        identity: Identity,
        /// The host.
        host: HostName,
    },
    /// A note: the elements in the source are for mediated devices.
    #[error("{0} is recorded in the metadata only")]
    NotInSource(DeviceAddress),
    /// A warning: libvirt refuses a domain that has a device twice.
    #[error("{0} appears twice in this domain; libvirt refuses that")]
    Twice(DeviceAddress),
    /// A warning: no hostdev belongs to a record.
    #[error("this record belongs to no hostdev of the domain")]
    Stale,
    /// A warning: no hostdev belongs to a record, which is removed.
    #[error("this record belongs to no hostdev of the domain; removed")]
    StaleRemoved,
    /// Hostdevs of type pci are not recorded: a warning if the domain has no other device that is, else a note.
    #[error("{count} hostdev{} of type pci {} not recorded", if *count == 1 { "" } else { "s" }, if *count == 1 { "is" } else { "are" })]
    PciHostdevs {
        /// How many there are.
        count: usize,
        /// Whether the domain has other devices that are recorded.
        beside_others: bool,
        /// Which options would record them, or exclude them.
        advice: &'static str,
    },
    /// A note: devices of this model have no identity.
    #[error("ignored: {}", .0.as_deref().map_or_else(|| "no model".to_owned(), |model| format!("model {model}")))]
    OtherModel(Option<String>),
    /// A note: nothing is missing.
    #[error("{0} is complete; unchanged")]
    Complete(DeviceAddress),
    /// A note: the identity of a device does not come from sysfs.
    #[error("{device} is described by {source_name}{}", if *is_defined_only { ", and not started" } else { "" })]
    NotFromSysfs {
        /// The device.
        device: DeviceAddress,
        /// What describes it.
        source_name: String,
        /// Whether it is not started.
        is_defined_only: bool,
    },
}

impl RemarkKind {
    /// Whether it is a warning; else it is said only to those who asked for more.
    pub fn is_warning(&self) -> bool {
        !matches!(
            self,
            Self::OtherModel(_)
                | Self::Complete(_)
                | Self::NotFromSysfs { .. }
                | Self::PciHostdevs { beside_others: true, .. }
                | Self::NotInSource(_)
        )
    }

    /// Returns what a message says below the marked characters.
    pub fn label(&self) -> String {
        let label = match self {
            Self::Skipped(missing) => return missing.label(),
            Self::Kept { identity, host, .. } => return format!("{host} has {identity}"),
            Self::OtherModel(_) => "only vfio-pci has an identity",
            Self::PciHostdevs { advice, .. } => advice,
            Self::NotInSource(_) => "a source has elements for mediated devices only",
            Self::Stale | Self::Twice(_) | Self::StaleRemoved | Self::Complete(_) | Self::NotFromSysfs { .. } => "",
        };
        label.to_owned()
    }
}
