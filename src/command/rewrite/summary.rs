//! Counts what was done to many documents, and summarizes it in one line.

use super::Rewrite;
use super::prepare::Prepared;
use super::write::WriteResult;
use crate::domain::Document;
use crate::plan::{Plan, RemarkKind};

/// How a document is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    /// It is to be changed.
    Changes,
    /// It needs no change.
    Complete,
    /// It stays unchanged because the policy says so, although a device is missing or an identity differs.
    Skipped,
    /// It has no mdevs, and no PCI devices that are recorded.
    WithoutDevices,
}

impl Category {
    /// Returns how a document with this plan is counted.
    pub fn of(document: &Document, plan: &Plan) -> Self {
        let has = |wanted: fn(&RemarkKind) -> bool| plan.remarks.iter().any(|remark| wanted(&remark.kind));
        let is_skipped = has(|kind| matches!(kind, RemarkKind::Skipped(_) | RemarkKind::Kept { .. }));
        let has_mdevs = document.domains.iter().any(|domain| !domain.hostdevs.is_empty());
        if !plan.edits.is_empty() {
            Self::Changes
        } else if !has_mdevs && !is_skipped && !has(|kind| matches!(kind, RemarkKind::Complete(_))) {
            Self::WithoutDevices
        } else if is_skipped {
            Self::Skipped
        } else {
            Self::Complete
        }
    }
}

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
