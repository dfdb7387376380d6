//! Records in libvirt domain XML what its mediated devices (mdevs) and vGPUs are, and compares the record with a host.
//!
//! A libvirt domain names an mdev only by a UUID, and a vGPU that is a PCI virtual function only by its address. On another host,
//! the device with that UUID or address may be of another type. This crate looks up the *identity* of the device: the vendor and
//! product id of the PCI device, which for an mdev is its parent, and its mdev type or vGPU type. It writes the identity into the
//! document, or checks that the device of a host still has it.
//!
//! [`fill()`] does the main job in one call:
//!
//! ```
//! use std::path::Path;
//!
//! use virt_mdev::host::{HostSource, Sysfs};
//! use virt_mdev::plan::fill::Policy;
//! use virt_mdev::plan::{Place, Places};
//!
//! # use std::{fs, os::unix::fs::symlink};
//! # let dir = tempfile::tempdir()?;
//! # let sys = dir.path();
//! # let gpu = sys.join("devices/pci0000:00/0000:00:02.0");
//! # let mdev_type = "mdev_supported_types/i915-GVTg_V5_4";
//! # let uuid = "c2177883-f1bb-47f0-914d-32a22e3a8804";
//! # for dir in [gpu.join(uuid), gpu.join(mdev_type), sys.join("bus/pci"), sys.join("bus/mdev/devices")] {
//! #     fs::create_dir_all(dir)?;
//! # }
//! # fs::write(gpu.join("vendor"), "0x8086\n")?;
//! # fs::write(gpu.join("device"), "0x591d\n")?;
//! # fs::write(gpu.join(mdev_type).join("device_api"), "vfio-pci\n")?;
//! # symlink("../../../bus/pci", gpu.join("subsystem"))?;
//! # symlink(format!("../{mdev_type}"), gpu.join(uuid).join("mdev_type"))?;
//! # let device = format!("../../../devices/pci0000:00/0000:00:02.0/{uuid}");
//! # symlink(device, sys.join("bus/mdev/devices").join(uuid))?;
//! let xml = "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>
//!   <source>
//!     <address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/>
//!   </source>
//! </hostdev>";
//! let sys = Path::new("/sys");
//! # let sys = dir.path();
//! let host = HostSource::Sysfs(Sysfs::open(sys)?, None);
//! let filled = virt_mdev::fill(xml, &host, &Policy::strict(Places::Only(Place::Source)))?;
//! assert!(filled.contains("<mdevtype>i915-GVTg_V5_4</mdevtype>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The steps
//!
//! Data flows in one direction, and each step is a module:
//!
//! 1. [`domain`] parses the bytes of a document into a [`Document`](domain::Document), whose values are spans of the text.
//! 2. [`host`] answers what devices a host has. This is the only step that reads from the system.
//! 3. [`plan`] decides, as a pure function of the document and the answers: [`plan::fill`] and [`plan::strip`] plan edits,
//!    [`plan::check`] and [`plan::compare`] find differences.
//! 4. [`edit`] applies the edits and verifies the result with a second parser.
//!
//! [`device`] has the types that all of them use, and [`text`] turns a span into a line and a column.
//!
//! The other modules are the command `virt-mdev`. They are public because its `main` uses them, they may change in any release,
//! and they are not documented here.

#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod command;
pub mod device;
pub mod domain;
pub mod edit;
#[doc(hidden)]
pub mod file;
mod fill;
pub mod host;
mod markup;
mod parallel;
pub mod plan;
#[doc(hidden)]
pub mod report;
#[cfg(test)]
mod skipped;
pub mod text;

pub use fill::{FillError, fill};
