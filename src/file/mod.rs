//! Finds files, reads them, and replaces them atomically.
//!
//! The steps are [`expand`] (arguments to files), [`read`] (a file to its bytes), [`Batch::stage`] (writes a temporary file
//! beside the target) and [`Batch::commit`] (syncs everything, then renames). No file changes before `commit` renames, and
//! dropping what is staged removes its temporary file.
//!
//! Nothing here knows what the bytes mean, and nothing outside opens a file for writing. What a caller has to know about
//! the operating system is in [`FileError`], [`Warning`] and [`Signal`].
//!
//! ```no_run
//! use virt_mdev::file::{self, Batch, Interrupt, Purpose};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let inputs = file::expand(&["*.xml"]).map_err(|mut errors| errors.remove(0))?;
//! let interrupt = Interrupt::listen()?;
//! let batch = Batch::new(&interrupt, None);
//! let mut staged = Vec::new();
//! for input in &inputs {
//!     let original = file::read(input, Purpose::Replacing)?;
//!     staged.push(batch.stage(&original, b"<domain/>\n", None)?);
//! }
//! let replaced = batch.commit(staged)?;
//! # Ok(())
//! # }
//! ```

mod backup;
mod commit;
mod durability;
mod error;
mod input;
mod interrupt;
mod pattern;
mod protection;
mod replace;
mod standard;
mod state;
mod swap;
mod target;
mod temporary;

pub use backup::{BadSuffix, Suffix};
pub use commit::CommitError;
pub use error::{Action, FileError, Protection};
pub use input::{Input, Original, Purpose, read, read_up_to};
pub use interrupt::{Interrupt, Signal};
pub use pattern::{expand, expand_each};
pub use replace::{Batch, Replaced, Staged, Warning, preflight};
pub use standard::{Stdout, stdin_was_closed};

#[cfg(test)]
mod tests;
