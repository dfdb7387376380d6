//! Counts what was done to many documents, and summarizes it in one line.

use super::Rewrite;
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

/// The number of documents with each result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Those that are to be changed but have not been written.
    pending: usize,
    changed: usize,
    complete: usize,
    skipped: usize,
    without_devices: usize,
    /// Those with errors.
    failed: usize,
}

impl Summary {
    /// Counts a document without errors.
    pub fn count(&mut self, category: Category) {
        let count = match category {
            Category::Changes => &mut self.pending,
            Category::Complete => &mut self.complete,
            Category::Skipped => &mut self.skipped,
            Category::WithoutDevices => &mut self.without_devices,
        };
        *count += 1;
    }

    /// Counts documents with errors.
    pub fn fail(&mut self, count: usize) {
        self.failed += count;
    }

    /// Counts the documents that were written and those that could not be.
    pub fn write(&mut self, changed: usize, failed: usize) {
        self.changed += changed;
        self.failed += failed;
        self.pending = self.pending.saturating_sub(changed + failed);
    }

    /// Whether any document is to be changed or was changed.
    pub fn changes(&self) -> bool {
        self.pending + self.changed > 0
    }

    /// Returns a line such as `9 files: 4 filled, 2 already complete, 1 without devices to record, 2 failed`.
    pub fn line(&self, rewrite: &Rewrite<'_>) -> String {
        let Self { pending, changed, complete, skipped, without_devices, failed } = self;
        let count = pending + changed + complete + skipped + without_devices + failed;
        let Rewrite { done, nothing_to_do, no_devices, .. } = rewrite;
        let mut line = format!("{count} files: {changed} {done}, {complete} {nothing_to_do}, ");
        if *skipped > 0 {
            line += &format!("{skipped} skipped, ");
        }
        line += &format!("{without_devices} {no_devices}, {failed} failed");
        if *pending > 0 {
            line += &format!(", {pending} not written");
        }
        line
    }
}
