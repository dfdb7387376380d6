//! Reads bytes as a document, and strips, fills and strips it again.

#![no_main]

#[path = "../../tests/suite/invariants.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::bytes_as_document_to_strip(bytes));
