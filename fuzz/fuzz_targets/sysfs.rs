//! Reads bytes as the links, contents and names of a host's sysfs.

#![no_main]

use std::path::Path;

#[path = "../../tests/suite/invariants.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // In memory if possible, since a tree is built for each input.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    invariants::bytes_as_sysfs(bytes, &scratch);
});
