//! The yardstick of `benches/run`: what any Rust program costs that reads standard input and writes it out again.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let mut contents = Vec::new();
    io::stdin().lock().read_to_end(&mut contents)?;
    io::stdout().lock().write_all(&contents)
}
