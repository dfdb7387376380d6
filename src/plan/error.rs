//! What keeps a plan from being made, and what is worth saying beside one.

use std::sync::Arc;

use thiserror::Error;

use super::{Missing, Place};
use crate::device::{Identity, Part, Uuid, UuidError};
use crate::domain::{Domain, HostdevError, Metadata, MetadataError};
use crate::edit::Overlap;
use crate::host::{DeviceApi, SysfsError};
use crate::text::Span;

/// Something that keeps a plan from being made, and its place in the document.
#[derive(Clone, Debug, Error)]
#[error("{error}")]
pub struct Fault {
    /// Where.
    pub span: Span,
    /// What.
    pub error: PlanError,
}

/// The fault of a domain whose metadata cannot be made out.
pub(super) fn fault_of_metadata(domain: &Domain) -> Option<Fault> {
    match &domain.metadata {
        Some(Metadata::Unreadable(error)) => {
            Some(Fault { span: error.span(), error: PlanError::Metadata(error.clone()) })
        }
        _ => None,
    }
}

/// Why a plan cannot be made.
#[derive(Clone, Debug, Error)]
pub enum PlanError {
    /// The hostdev's source cannot be made out.
    #[error(transparent)]
    Hostdev(HostdevError),
    /// Our element in the metadata cannot be made out.
    #[error(transparent)]
    Metadata(MetadataError),
    /// What stands where a UUID belongs is none, as libvirt reads them.
    #[error("'{text}' is not a UUID: {error}")]
    NotAUuid {
        /// What stands there.
        text: String,
        /// What it lacks.
        error: UuidError,
    },
    /// There is no identity to be had on this host.
    #[error(transparent)]
    Missing(Missing),
    /// The host could not be read.
    #[error("mdev {uuid} cannot be looked up")]
    Host {
        /// The device.
        uuid: Uuid,
        /// Why not.
        #[source]
        error: Arc<SysfsError>,
    },
    /// The device is of another API than the hostdev's model says: libvirt would start QEMU and fail.
    #[error("the model is vfio-pci, and mdev {uuid} is a {device_api} device")]
    DeviceApi {
        /// The device.
        uuid: Uuid,
        /// What it is.
        device_api: DeviceApi,
    },
    /// A part is written already and says something else than this host.
    #[error("{part} of mdev {uuid} is '{written}' {}, and on this host it is {found}", place.in_document())]
    Conflict {
        /// The device.
        uuid: Uuid,
        /// Where the part stands.
        place: Place,
        /// Which part.
        part: Part,
        /// What is written.
        written: String,
        /// What the host has.
        found: String,
    },
    /// A conflict that is not in the place that is filled, so that correcting that place leaves two that disagree.
    #[error("{part} of mdev {uuid} would be {found}, and {} it is '{written}'", place.in_document())]
    Elsewhere {
        /// The device.
        uuid: Uuid,
        /// Where the part stands.
        place: Place,
        /// Which part.
        part: Part,
        /// What is written.
        written: String,
        /// What the host has.
        found: String,
    },
    /// Source and metadata tell of two different devices.
    #[error("{part} of this hostdev is {source_value} in its source, and {metadata_value} in the domain's metadata")]
    Disagree {
        /// Which part.
        part: Part,
        /// What its source says.
        source_value: String,
        /// What the metadata says.
        metadata_value: String,
    },
    /// Metadata belongs to a domain.
    #[error("a hostdev by itself has no metadata")]
    LoneHostdev,
    /// A checkpoint or a status file may be without one.
    #[error("there is no domain in this document")]
    NoDomain,
    /// A fault of this program.
    #[error("internal error: {0}")]
    Overlap(Overlap),
}

impl Place {
    fn in_document(self) -> &'static str {
        match self {
            Self::Source => "in its source",
            Self::Metadata => "in the domain's metadata",
        }
    }
}

impl PlanError {
    /// What is said below the marked characters.
    pub fn label(&self) -> String {
        match self {
            Self::Hostdev(HostdevError::NoAddress { .. }) => "no <address uuid='…'/> in it".to_owned(),
            Self::Hostdev(HostdevError::NoUuid { .. }) => "uuid is missing".to_owned(),
            Self::Hostdev(HostdevError::Twice { .. }) | Self::Metadata(MetadataError::Twice { .. }) => {
                "the second one".to_owned()
            }
            Self::Metadata(MetadataError::OtherElement { .. }) => "libvirt keeps the first alone".to_owned(),
            Self::Metadata(MetadataError::OtherUuid { .. }) => "it belongs to another device now".to_owned(),
            Self::NotAUuid { .. } => "a uuid has 32 hexadecimal digits".to_owned(),
            Self::Missing(missing) => missing.label(),
            Self::Host { .. } => String::new(),
            Self::DeviceApi { device_api, .. } => format!("device_api is {device_api}"),
            Self::Conflict { found, .. } | Self::Elsewhere { found, .. } => format!("this host has {found}"),
            Self::Disagree { metadata_value, .. } => format!("metadata has {metadata_value}"),
            Self::LoneHostdev => "not a domain".to_owned(),
            Self::NoDomain | Self::Overlap(_) => String::new(),
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Hostdev(HostdevError::Twice { part, .. }) | Self::Metadata(MetadataError::Twice { part, .. }) => {
                format!("remove the {part} that is wrong")
            }
            Self::Hostdev(_) => "a mediated device is named by <source><address uuid='…'/></source>".to_owned(),
            Self::Metadata(MetadataError::OtherElement { .. }) => {
                "remove it: virsh metadata DOMAIN --uri urn:virt-mdev:1 --remove --config".to_owned()
            }
            Self::Metadata(MetadataError::OtherUuid { .. }) => {
                "remove that attribute, or the record: fill writes a new one".to_owned()
            }
            Self::NotAUuid { .. } => {
                "put the UUID of the device there; mdevctl list shows those of this host".to_owned()
            }
            Self::Missing(missing) => missing.help(),
            Self::Host { .. } => {
                "is this the host's own sysfs, and may you read it? --sysfs says which is read".to_owned()
            }
            Self::NoDomain => return None,
            Self::DeviceApi { device_api, .. } => {
                format!("name a vfio-pci device, or say model='{device_api}'; QEMU would refuse this one at start")
            }
            Self::Conflict { .. } => "--on-conflict replace writes what this host has, --on-conflict keep leaves the \
                                      hostdev as it is"
                .to_owned(),
            Self::Elsewhere { .. } => "correct both places at once: --into both --on-conflict replace".to_owned(),
            Self::Disagree { .. } => "correct both on a host that has the device: virt-mdev fill --into both \
                                      --on-conflict replace"
                .to_owned(),
            Self::LoneHostdev => "fill it with --into source, or give the whole domain".to_owned(),
            Self::Overlap(_) => "please report it, with the document if you can".to_owned(),
        };
        Some(help)
    }
}

/// Something worth saying beside a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: RemarkKind,
}

/// What is worth saying.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RemarkKind {
    /// A warning: `--on-missing skip` left a device without its identity.
    #[error("{0}; left as it is")]
    Skipped(Missing),
    /// A warning: `--on-conflict keep` left an identity that this host contradicts.
    #[error("mdev {0} is something else on this host; kept as it is")]
    Kept(Uuid, Identity),
    /// A warning: libvirt refuses a domain that has a device twice.
    #[error("mdev {0} stands twice in this domain; libvirt refuses that")]
    Twice(Uuid),
    /// A warning: a record has lost its device.
    #[error("this record belongs to no hostdev of the domain")]
    Stale,
    /// A warning: a record has lost its device, and goes.
    #[error("this record belongs to no hostdev of the domain; removed")]
    StaleRemoved,
    /// A note: the model asks for no identity.
    #[error("left alone: {}", .0.as_deref().map_or_else(|| "no model".to_owned(), |model| format!("model {model}")))]
    OtherModel(Option<String>),
    /// A note: nothing is missing.
    #[error("mdev {0} is complete; left as it is")]
    Complete(Uuid),
}

impl RemarkKind {
    /// Whether it is a warning; else it is said only to those who asked for more.
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::OtherModel(_) | Self::Complete(_))
    }

    /// What is said below the marked characters.
    pub fn label(&self) -> String {
        match self {
            Self::Skipped(missing) => missing.label(),
            Self::OtherModel(_) => "only vfio-pci has an identity".to_owned(),
            Self::Stale => "fill --into metadata --on-conflict replace removes it".to_owned(),
            Self::Kept(_, identity) => format!("this host has {identity}"),
            Self::Twice(_) | Self::StaleRemoved | Self::Complete(_) => String::new(),
        }
    }
}
