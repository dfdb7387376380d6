//! The kernel's tree of devices.

use crate::device::Uuid;
use thiserror::Error;

/// Why sysfs gives no answer.
#[derive(Debug, Error)]
pub enum SysfsError {
    /// The host was never asked about this device.
    #[error("mdev {0} was not looked up")]
    NotAsked(Uuid),
}
