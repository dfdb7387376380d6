//! Runs the built program on files, as a user would.
//!
//! [`support`] runs it in a scratch directory and compares everything that it left; [`cases`] runs the folders of
//! `testdata/cases`; the other modules hold it to its command line, its manual pages, the README, and the files that
//! libvirt writes.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod fill;
#[cfg(test)]
mod libvirt_files;
#[cfg(test)]
mod man_pages;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod support;
#[cfg(test)]
mod writing;
