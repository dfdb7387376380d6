//! `fill`: records identities.

use super::rewrite::{Rewrite, check_size, read_one, rewrite};
use super::settings::FillSettings;
use super::{Failure, Outcome, Streams, open_host};
use crate::domain::Document;
use crate::host::HostSource;
use crate::plan::fill::{fill, identities};
use crate::plan::{Place, Places};

pub(super) fn run(settings: &FillSettings, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let host = open_host(&settings.host)?;
    if settings.metadata_only {
        return print_metadata(settings, &host, streams);
    }
    let again = match settings.policy.into {
        Places::Only(Place::Source) => "virt-mdev fill -i",
        // Of the two places, libvirt keeps only the metadata.
        Places::Only(Place::Metadata) | Places::Both => "virt-mdev fill -i --into metadata",
    };
    let planner =
        |document: &Document| fill(document, &host.ask(settings.policy.devices_of(document)), &settings.policy);
    let advice = Some("libvirt drops these elements when it defines a domain; it keeps what --into metadata writes");
    let as_fill = Rewrite {
        done: "filled",
        nothing_to_do: "already complete",
        no_devices: "without devices to record",
        again,
        advice,
        planner: &planner,
    };
    rewrite(&settings.rewrite, &as_fill, streams)
}

/// Prints only our metadata element, in the form for `virsh metadata --set`: without a prefix.
fn print_metadata(settings: &FillSettings, host: &HostSource, streams: &mut Streams<'_>) -> Result<Outcome, Failure> {
    let policy = &settings.policy;
    let make = |document: &Document| identities(document, &host.ask(policy.devices_of(document)), policy);
    let Some(element) = read_one(&settings.rewrite, make, streams)? else {
        let note = "no record to print: the domain has no mediated devices of model vfio-pci and no vGPUs";
        streams.note(settings.rewrite.verbosity, note);
        return Ok(Outcome::Done);
    };
    let mut text = String::new();
    element.write("\n", "  ", &mut text);
    check_size("the metadata element", text.len())?;
    streams.print(&format!("{}\n", text.trim_start()))?;
    Ok(Outcome::Done)
}
