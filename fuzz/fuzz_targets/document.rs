//! Reads bytes as a document, and fills it with every policy from a fixed host.

#![no_main]

#[path = "../../tests/suite/invariants.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::bytes_as_document(bytes));
