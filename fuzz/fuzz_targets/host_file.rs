//! Reads bytes as a file that describes a host: a record, or libvirt's node devices.

#![no_main]

#[path = "../../tests/suite/invariants.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::bytes_as_host_file(bytes));
