//! What a host answers about the device that a hostdev asks for.

use thiserror::Error;

use super::error::PlanErrorKind;
use crate::device::{DeviceAddress, Identity, MdevType};
use crate::domain::Source;
use crate::host::{Absence, Host, Lookup};

/// Why a device has no identity on a host.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Missing {
    /// The host has no such device.
    #[error("{device} is not on this host{}", match absence {
        Absence::NotFound { .. } => "",
        Absence::NoDriver { .. } => ": no driver for mediated devices is loaded",
    })]
    NotOnHost {
        /// The device.
        device: DeviceAddress,
        /// Why the host does not have it.
        absence: Absence,
        /// The type that was recorded for it.
        mdev_type: Option<MdevType>,
        /// A parent on which the host can create a device of the recorded identity.
        parent: Option<String>,
    },
    /// The device is there, as a slice of something that has no PCI ids.
    #[error("the parent of {device} is not a PCI device")]
    ParentNotPci {
        /// The device.
        device: DeviceAddress,
        /// The parent's name.
        parent: String,
        /// The bus or class that the parent is on.
        subsystem: Option<String>,
    },
}

impl Missing {
    /// Returns what a message says below the marked characters.
    pub fn label(&self) -> String {
        match self {
            Self::NotOnHost { absence, .. } => absence.looked_for().to_owned(),
            Self::ParentNotPci { parent, subsystem: Some(subsystem), .. } => {
                format!("{parent} is a {subsystem} device")
            }
            Self::ParentNotPci { parent, subsystem: None, .. } => format!("{parent} is on no bus"),
        }
    }
}

/// Finds the device of a source on a host. `recorded` is the identity that was recorded for it.
///
/// # Errors
/// If the source does not name a device, the host cannot be read, or the device has another device API than vfio-pci.
pub(super) fn find(
    source: &Source,
    recorded: Option<&Identity>,
    host: &Host,
) -> Result<(DeviceAddress, Result<Identity, Missing>), PlanErrorKind> {
    let device = device_of(source)?;
    let found = match host.lookup(device).map_err(|error| PlanErrorKind::Host { device, error })? {
        Lookup::Found(identity) => Ok(identity.clone()),
        Lookup::OtherDeviceApi(device_api) => {
            return Err(PlanErrorKind::DeviceApi { device, device_api: device_api.clone() });
        }
        Lookup::ParentNotPci { parent, subsystem } => {
            Err(Missing::ParentNotPci { device, parent: parent.clone(), subsystem: subsystem.clone() })
        }
        Lookup::Absent(absence) => Err(Missing::NotOnHost {
            device,
            absence: absence.clone(),
            mdev_type: recorded.map(|identity| identity.mdev_type.clone()),
            parent: recorded.and_then(|identity| host.parent_for(identity)).map(str::to_owned),
        }),
    };
    Ok((device, found))
}

/// Returns the device that a source names.
fn device_of(source: &Source) -> Result<DeviceAddress, PlanErrorKind> {
    let attribute = &source.uuid;
    let uuid = attribute.uuid.clone();
    uuid.map(DeviceAddress::Mdev).map_err(|error| PlanErrorKind::NotAUuid { text: attribute.text.clone(), error })
}
