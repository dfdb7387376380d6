//! Writes down in libvirt domain XML what its mediated devices are.

pub mod device;
pub mod domain;
pub mod edit;
pub mod file;
pub mod host;
pub mod plan;
pub mod report;
pub mod text;
