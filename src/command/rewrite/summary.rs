//! What became of many documents, in one line.

use super::Rewrite;
use crate::domain::Document;
use crate::plan::{Plan, RemarkKind};

/// What there is to be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is to be changed.
    Changes,
    /// It is as it should be.
    Complete,
    /// It is not as it should be, and is left so because that was asked for (`--on-missing skip`, `--on-conflict keep`).
    Skipped,
    /// It has no mdevs.
    WithoutMdevs,
}

impl Standing {
    pub fn of(document: &Document, plan: &Plan) -> Self {
        let is_skipped = |kind: &RemarkKind| matches!(kind, RemarkKind::Skipped(_) | RemarkKind::Kept(..));
        if !plan.edits.is_empty() {
            Self::Changes
        } else if document.domains.iter().all(|domain| domain.hostdevs.is_empty()) {
            Self::WithoutMdevs
        } else if plan.remarks.iter().any(|remark| is_skipped(&remark.kind)) {
            Self::Skipped
        } else {
            Self::Complete
        }
    }
}

/// How many documents came to what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Those that are to be changed and are not, or not yet.
    pending: usize,
    changed: usize,
    complete: usize,
    skipped: usize,
    without_mdevs: usize,
    /// Those that something was wrong with.
    failed: usize,
}

impl Summary {
    /// Takes down a document that could be read.
    pub fn count(&mut self, standing: Standing) {
        let count = match standing {
            Standing::Changes => &mut self.pending,
            Standing::Complete => &mut self.complete,
            Standing::Skipped => &mut self.skipped,
            Standing::WithoutMdevs => &mut self.without_mdevs,
        };
        *count += 1;
    }

    /// Takes down some of which nothing more is known than that something is wrong with them.
    pub fn fail(&mut self, count: usize) {
        self.failed += count;
    }

    /// Takes down how writing those that are to be changed ended.
    pub fn write(&mut self, changed: usize, failed: usize) {
        self.changed += changed;
        self.failed += failed;
        self.pending = self.pending.saturating_sub(changed + failed);
    }

    /// Whether any document is to be changed, or was.
    pub fn changes(&self) -> bool {
        self.pending + self.changed > 0
    }

    /// `9 files: 4 filled, 2 already complete, 1 without mdevs, 2 failed`; what is rare is named only where it is.
    pub fn line(&self, rewrite: &Rewrite<'_>) -> String {
        let Self { pending, changed, complete, skipped, without_mdevs, failed } = self;
        let count = pending + changed + complete + skipped + without_mdevs + failed;
        let (done, nothing_to_do) = (rewrite.done, rewrite.nothing_to_do);
        let mut line = format!("{count} files: {changed} {done}, {complete} {nothing_to_do}, ");
        if *skipped > 0 {
            line += &format!("{skipped} skipped, ");
        }
        line += &format!("{without_mdevs} without mdevs, {failed} failed");
        if *pending > 0 {
            line += &format!(", {pending} left alone");
        }
        line
    }
}
