//! Writes down in libvirt domain XML what its mediated devices are.

pub mod device;
pub mod file;
pub mod host;
pub mod report;
pub mod text;
