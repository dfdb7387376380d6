//! `strip`: takes identities out again.

use super::rewrite::{Rewrite, rewrite};
use super::settings::StripSettings;
use super::{Failure, Outcome, Streams};
use crate::plan::strip::strip;

pub(super) fn run(settings: &StripSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let planner = |document: &_| strip(document, settings.from);
    rewrite(&settings.rewrite, &Rewrite { done: "stripped", again: "virt-mdev strip -i", planner: &planner }, streams)
}
