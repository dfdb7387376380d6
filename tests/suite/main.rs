//! Runs the built program on files, as a user would.
//!
//! [`support`] runs it in a scratch directory and compares everything that it left; [`cases`] runs the folders of
//! `testdata/cases`; the other modules check its command line, its manual pages, the README, and the files that libvirt
//! writes.
//!
//! Some modules call the library instead: [`library`] as another program would, [`hosts`] with the hosts of `testdata`,
//! [`properties`] with generated documents and hosts, and [`fuzz_corpus`] with what fuzzing found. The last two check what
//! [`invariants`] says.

// In a test, a panic is the right way to fail.
#![allow(clippy::unwrap_used)]

mod bounds;
mod cases;
mod check;
mod command_line;
mod compare;
mod completions;
mod doctor;
mod documents;
mod files;
mod fill;
mod fleet;
mod fuzz_corpus;
mod hook;
mod hook_script;
mod host_files;
mod hosts;
mod install;
mod invariants;
mod json;
mod library;
mod libvirt_files;
mod list;
mod makefile;
mod man_pages;
mod metadata;
mod namespaces;
mod packaging;
mod placement;
mod properties;
mod readme;
mod record_guests;
mod retarget;
mod sources;
mod support;
mod writing;
