//! `strip`: removes identities.

use super::rewrite::{Rewrite, rewrite};
use super::settings::StripSettings;
use super::{Failure, Outcome, Streams};
use crate::plan::strip::strip;

pub(super) fn run(settings: &StripSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let planner = |document: &_| strip(document, settings.from);
    let as_strip = Rewrite {
        done: "stripped",
        nothing_to_do: "without identities",
        no_devices: "without mdevs",
        again: "virt-mdev strip -i",
        advice: None,
        planner: &planner,
    };
    rewrite(&settings.rewrite, &as_strip, streams)
}
