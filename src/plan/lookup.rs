//! A host's answer about the device that a hostdev asks for.

use thiserror::Error;

use super::error::{PlanError, PlanErrorKind};
use crate::device::{Device, DeviceAddress, DeviceKind, Identity, VgpuType};
use crate::domain::{Source, UuidAttribute};
use crate::host::{Absence, Host, HostName, Lookup};

/// Why a device has no identity on a host.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Missing {
    /// The host has no such device.
    #[error("{device} is not {}{}", host.place(), match absence {
        Absence::NotFound { .. } => "",
        Absence::NotStarted { .. } => ": it is defined, and not started",
        Absence::NoDriver { .. } => ": no driver for mediated devices is loaded",
    })]
    NotOnHost {
        /// The device.
        device: DeviceAddress,
        /// The host.
        host: HostName,
        /// Why the host does not have it.
        absence: Absence,
        /// What kind of device was recorded.
        recorded: Option<DeviceKind>,
        /// A parent on which the host can create a device of the recorded identity.
        parent: Option<String>,
    },
    /// The virtual function is there, and no vGPU type is set on it.
    #[error("{device} is a virtual function without a vGPU type")]
    Untyped {
        /// The device.
        device: DeviceAddress,
        /// The host.
        host: HostName,
        /// The vGPU type that was recorded for it.
        recorded: Option<VgpuType>,
        /// The recorded type with its name; if none is recorded, one that the card has. Nothing if the host knows no name.
        example: Option<(VgpuType, String)>,
    },
    /// The virtual function of an NVIDIA card is there, and its driver does not show the vGPU type.
    #[error(
        "{device} is a virtual function of an NVIDIA card, and the driver does not show whether it has a vGPU type"
    )]
    NoVgpuType {
        /// The device.
        device: DeviceAddress,
        /// What was looked for and where.
        looked_for: String,
    },
    /// The device is there, and the source cannot tell what it is.
    #[error("what {device} is cannot be told")]
    Unknown {
        /// The device.
        device: DeviceAddress,
        /// Why.
        reason: String,
    },
    /// The mediated device is there, and its parent has no PCI ids.
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
            Self::Untyped { .. } => "its current_vgpu_type is 0".to_owned(),
            Self::NoVgpuType { looked_for, .. } => looked_for.clone(),
            Self::Unknown { reason, .. } => reason.clone(),
            Self::ParentNotPci { parent, subsystem: Some(subsystem), .. } => {
                format!("{parent} is a {subsystem} device")
            }
            Self::ParentNotPci { parent, subsystem: None, .. } => format!("{parent} is on no bus"),
        }
    }
}

/// Finds a device on a host. `recorded` is the identity that was recorded for it.
///
/// # Errors
/// If the host cannot be read, or the device has another device API than vfio-pci.
pub(super) fn find_device(
    device: DeviceAddress,
    recorded: Option<&Identity>,
    host: &Host,
) -> Result<Result<Device, Missing>, PlanErrorKind> {
    let found = match host.lookup(device).map_err(|error| PlanErrorKind::Host { device, error })? {
        Lookup::Found(found) => Ok(found.clone()),
        Lookup::OtherDeviceApi(device_api) => {
            return Err(PlanErrorKind::DeviceApi { device, device_api: device_api.clone() });
        }
        Lookup::ParentNotPci { parent, subsystem } => {
            Err(Missing::ParentNotPci { device, parent: parent.clone(), subsystem: subsystem.clone() })
        }
        Lookup::Untyped => {
            let recorded = recorded.and_then(Identity::vgpu_type);
            let named = |vgpu_type| host.vgpu_name(vgpu_type).map(|name| (vgpu_type, name.to_owned()));
            let example = recorded.or_else(|| host.first_vgpu_type()).and_then(named);
            Err(Missing::Untyped { device, host: host.name().clone(), recorded, example })
        }
        Lookup::NoVgpuType { looked_for } => Err(Missing::NoVgpuType { device, looked_for: looked_for.clone() }),
        Lookup::Unknown { reason } => Err(Missing::Unknown { device, reason: reason.clone() }),
        Lookup::Absent(absence) => Err(Missing::NotOnHost {
            device,
            host: host.name().clone(),
            absence: absence.clone(),
            recorded: recorded.map(|identity| identity.kind.clone()),
            parent: recorded.and_then(|identity| host.parent_for(identity)).map(str::to_owned),
        }),
    };
    Ok(found)
}

/// Returns the device that a source names.
pub(super) fn device_of(source: &Source) -> Result<DeviceAddress, PlanError> {
    let UuidAttribute { text, name, uuid, .. } = &source.uuid;
    let error = |error| PlanError { span: *name, kind: PlanErrorKind::NotAUuid { text: text.clone(), error } };
    uuid.clone().map(DeviceAddress::Mdev).map_err(error)
}
