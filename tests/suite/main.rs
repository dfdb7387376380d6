//! Runs the built program on files, as a user would.
//!
//! [`support`] runs it in a scratch directory and compares everything that it left; [`cases`] runs the folders of
//! `testdata/cases`; the other modules hold it to its command line, its manual pages, the README, and the files that
//! libvirt writes.
//!
//! Two modules run the library: [`properties`] over documents and hosts that are made up, [`fuzz_corpus`] over what fuzzing
//! left behind; both ask for what [`invariants`] says.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod check;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod files;
#[cfg(test)]
mod fill;
#[cfg(test)]
mod fuzz_corpus;
#[cfg(test)]
mod hook;
#[cfg(test)]
mod install;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod libvirt_files;
#[cfg(test)]
mod man_pages;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod support;
#[cfg(test)]
mod writing;
