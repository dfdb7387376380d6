//! Writes down in libvirt's domain XML what its mediated devices are, and compares that between hosts.
//!
//! A mediated device stands in a libvirt domain as a bare UUID. This crate finds out what is behind it, its *identity*: vendor
//! and product id of the parent PCI device, and the type's name in sysfs. All goes one way:
//!
//! bytes → [`domain`] reads → [`host`] answers → [`plan`] decides → [`edit`] splices and doubts → [`mod@file`] writes
//!
//! ```
//! use virt_mdev::domain::Document;
//! use virt_mdev::edit;
//! use virt_mdev::host::{HostSource, Sysfs};
//! use virt_mdev::plan::{Place, Places, fill};
//!
//! let xml = "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>
//!   <source>
//!     <address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/>
//!   </source>
//! </hostdev>";
//! let document = Document::read(xml.into())?;
//! let source = HostSource::Sysfs(Sysfs::open("testdata/hosts/field/gvt-g/sys".as_ref())?);
//! let host = source.ask(document.devices());
//! let policy = fill::Policy {
//!     into: Places::Only(Place::Source),
//!     on_missing: fill::OnMissing::Error,
//!     on_conflict: fill::OnConflict::Error,
//! };
//! let plan = fill::fill(&document, &host, &policy).map_err(|mut faults| faults.remove(0))?;
//! let filled = plan.edits.apply(document.text());
//! edit::prove(document.text(), &plan.edits, &filled)?;
//! assert!(filled.contains("<mdevtype>i915-GVTg_V5_4</mdevtype>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`cli`] says what can be asked for and [`command`] does it, returning what is to be told as [`report`]s. Only the binary
//! exits.

pub mod cli;
pub mod command;
pub mod device;
pub mod domain;
pub mod edit;
pub mod file;
pub mod host;
mod parallel;
pub mod plan;
pub mod report;
pub mod text;
