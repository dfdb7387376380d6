//! What a host says about the device that a hostdev asks for.

use thiserror::Error;

use super::error::PlanError;
use crate::device::{Identity, Uuid};
use crate::domain::Source;
use crate::host::{Host, Lookup, NotPci};

/// Why a device has no identity on this host.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Missing {
    /// The host has no such device.
    #[error("mdev {uuid} is not on this host")]
    NotOnHost {
        /// The device.
        uuid: Uuid,
        /// Where it was looked for.
        host: String,
    },
    /// The device is there, as a slice of something that has no PCI ids.
    #[error("the parent of mdev {uuid} is not a PCI device")]
    ParentNotPci {
        /// The device.
        uuid: Uuid,
        /// The parent's name.
        parent: String,
        /// The bus or class that the parent is on.
        subsystem: Option<String>,
    },
}

impl Missing {
    /// What is said below the marked characters.
    pub fn label(&self) -> String {
        match self {
            Self::NotOnHost { uuid, host } => format!("no bus/mdev/devices/{uuid} in {host}"),
            Self::ParentNotPci { parent, subsystem: Some(subsystem), .. } => {
                format!("{parent} is a {subsystem} device")
            }
            Self::ParentNotPci { parent, subsystem: None, .. } => format!("{parent} is on no bus"),
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NotOnHost { uuid, .. } => {
                format!("start it (mdevctl start -u {uuid}), or leave it with --on-missing skip")
            }
            Self::ParentNotPci { .. } => {
                "it has no vendor and product id to write down; leave it with --on-missing skip".to_owned()
            }
        }
    }
}

/// What a host has for a hostdev of model vfio-pci.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The device, by its identity.
    Device(Identity),
    /// None that has an identity.
    Missing(Missing),
}

/// Finds the device of a source.
///
/// The device API is judged before the parent is: a device of another API is an error even where its parent is not PCI.
pub(super) fn find(source: &Source, host: &Host) -> Result<(Uuid, Found), PlanError> {
    let uuid = uuid_of(source)?;
    let device = match host.lookup(&uuid).map_err(|error| PlanError::Host { uuid, error })? {
        Lookup::Found(device) => device,
        Lookup::Absent => return Ok((uuid, Found::Missing(Missing::NotOnHost { uuid, host: host.name.clone() }))),
    };
    if !device.device_api.is_vfio_pci() {
        return Err(PlanError::DeviceApi { uuid, device_api: device.device_api.clone() });
    }
    let found = device.identity().map_or_else(
        |NotPci { parent, subsystem }| {
            let (parent, subsystem) = (parent.to_owned(), subsystem.map(str::to_owned));
            Found::Missing(Missing::ParentNotPci { uuid, parent, subsystem })
        },
        Found::Device,
    );
    Ok((uuid, found))
}

/// The UUID in a source's address.
pub(super) fn uuid_of(source: &Source) -> Result<Uuid, PlanError> {
    let spelling = &source.uuid;
    spelling.uuid.clone().map_err(|error| PlanError::NotAUuid { text: spelling.text.clone(), error })
}
