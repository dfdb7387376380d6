//! Counts what was done to many documents, and summarizes it in one line.

use super::Rewrite;
use super::prepare::{Category, Prepared};
use super::write::WriteResult;

/// Returns a line such as `9 files: 4 filled, 2 already complete, 1 without devices to record, 2 failed`.
///
/// `unread` is the number of files that could not be prepared.
pub(super) fn line(rewrite: &Rewrite<'_>, prepared: &[Prepared], unread: usize, written: &WriteResult) -> String {
    let Rewrite { done, nothing_to_do, no_devices, .. } = rewrite;
    let count = |category| prepared.iter().filter(|document| document.category == category).count();
    let (complete, without_devices) = (count(Category::Complete), count(Category::WithoutDevices));
    let mut line =
        format!("{} files: {} {done}, {complete} {nothing_to_do}, ", prepared.len() + unread, written.replaced);
    match count(Category::Skipped) {
        0 => {}
        skipped => line += &format!("{skipped} skipped, "),
    }
    line += &format!("{without_devices} {no_devices}, {} failed", unread + written.failed);
    match count(Category::Changes).saturating_sub(written.replaced + written.failed) {
        0 => {}
        pending => line += &format!(", {pending} not written"),
    }
    line
}
