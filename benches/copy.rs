//! The baseline of `benches/run`: a Rust program that only copies standard input to standard output.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let mut contents = Vec::new();
    io::stdin().lock().read_to_end(&mut contents)?;
    io::stdout().lock().write_all(&contents)
}
