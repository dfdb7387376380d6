//! A host's answer about the device that a hostdev asks for.

use std::fmt;

use super::error::{PlanError, PlanErrorKind};
use crate::device::{Device, DeviceAddress, Identity, VgpuType};
use crate::domain::{Source, UuidAttribute};
use crate::host::{Absence, Host, HostName, NoIdentity};

/// A device that has no identity on a host, and what the host knows for advice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The device.
    pub device: DeviceAddress,
    /// The host.
    pub host: HostName,
    /// Why it has none.
    pub why: NoIdentity,
    /// The identity that was recorded for it.
    pub recorded: Option<Identity>,
    /// A parent on which the host can create a device of the recorded identity.
    pub parent: Option<String>,
    /// The recorded vGPU type with its name; if none is recorded, one that a card has. Nothing if the host knows no name.
    pub vgpu_type: Option<(VgpuType, String)>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, host, why, .. } = self;
        match why {
            NoIdentity::Absent(absence) => {
                let why = match absence {
                    Absence::NotFound { .. } => "",
                    Absence::NotStarted { .. } => ": it is defined, and not started",
                    Absence::NoDriver { .. } => ": no driver for mediated devices is loaded",
                };
                write!(f, "{device} is not {}{why}", host.place())
            }
            // libvirt would start QEMU, which would fail.
            NoIdentity::OtherDeviceApi(device_api) => {
                write!(f, "the model is vfio-pci, and {device} is a {device_api} device")
            }
            NoIdentity::Untyped => write!(f, "{device} is a virtual function without a vGPU type"),
            NoIdentity::NoVgpuType { .. } => write!(
                f,
                "{device} is a virtual function of an NVIDIA card, and the driver does not show whether it has a vGPU type"
            ),
            NoIdentity::ParentNotPci { .. } => write!(f, "the parent of {device} is not a PCI device"),
            NoIdentity::Unknown { .. } => write!(f, "what {device} is cannot be told"),
        }
    }
}

impl Missing {
    /// Returns what a message says below the marked characters.
    pub fn label(&self) -> String {
        match &self.why {
            NoIdentity::Absent(absence) => absence.looked_for().to_owned(),
            NoIdentity::OtherDeviceApi(device_api) => format!("device_api is {device_api}"),
            NoIdentity::Untyped => "its current_vgpu_type is 0".to_owned(),
            NoIdentity::NoVgpuType { looked_for } => looked_for.clone(),
            NoIdentity::ParentNotPci { parent, subsystem: Some(subsystem) } => {
                format!("{parent} is a {subsystem} device")
            }
            NoIdentity::ParentNotPci { parent, subsystem: None } => format!("{parent} is on no bus"),
            NoIdentity::Unknown { reason } => reason.clone(),
        }
    }

    /// Returns the message for a line of its own, with the reason unless the device is simply not there.
    pub fn reason(&self) -> String {
        match self.why {
            NoIdentity::Absent(_) => self.to_string(),
            _ => format!("{self}: {}", self.label()),
        }
    }
}

/// Finds a device on a host. `recorded` is the identity that was recorded for it.
///
/// # Errors
/// If the host cannot be read, or the device has another device API than vfio-pci.
pub(super) fn find_device(
    device: DeviceAddress,
    recorded: Option<Identity>,
    host: &Host,
) -> Result<Result<Device, Missing>, PlanErrorKind> {
    let why = match host.lookup(device).map_err(|error| PlanErrorKind::Host { device, error })? {
        Ok(found) => return Ok(Ok(found.clone())),
        Err(why) => why.clone(),
    };
    let parent = recorded.as_ref().and_then(|identity| host.parent_for(identity)).map(str::to_owned);
    let vgpu_type = recorded.as_ref().and_then(Identity::vgpu_type).or_else(|| host.first_vgpu_type());
    let vgpu_type = vgpu_type.and_then(|vgpu_type| Some((vgpu_type, host.vgpu_name(vgpu_type)?.to_owned())));
    let missing = Missing { device, host: host.name().clone(), why, recorded, parent, vgpu_type };
    match missing.why {
        NoIdentity::OtherDeviceApi(_) => Err(PlanErrorKind::Missing(Box::new(missing))),
        _ => Ok(Err(missing)),
    }
}

/// Returns the device that a source names.
pub(super) fn device_of(source: &Source) -> Result<DeviceAddress, PlanError> {
    let UuidAttribute { text, name, uuid, .. } = &source.uuid;
    let error = |error| PlanError { span: *name, kind: PlanErrorKind::NotAUuid { text: text.clone(), error } };
    uuid.clone().map(DeviceAddress::Mdev).map_err(error)
}
