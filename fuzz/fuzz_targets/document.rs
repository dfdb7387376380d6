//! Bytes as a document, filled from a fixed host in each way that there is.

#![no_main]

#[path = "../../tests/suite/invariants.rs"]
#[allow(dead_code, reason = "each target asks for its own part")]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::bytes_as_document(bytes));
