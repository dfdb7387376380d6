//! The options that write and remove identities in the metadata. `testdata/cases` tests where they are inserted.

use crate::support::Scratch;
use crate::support::guests::{
    ABSENT, NONE, bare, domain, elements, guest_recorded, hostdev, identity, record, recorded, uuid,
};

fn after(device: usize) -> String {
    guest_recorded(&uuid(device), identity(device))
}

#[test]
fn fill_writes_to_the_source_by_default() {
    let scratch = Scratch::new();
    scratch.fill(["--into", "source"]).stdin(bare(1)).stdout(crate::support::guests::filled(1)).check();
    scratch.fill(["--into", "metadata"]).stdin(bare(1)).stdout(after(1)).check();
    let both = recorded(&record(&uuid(1), identity(1)), &hostdev(&uuid(1), &elements(1)));
    scratch.fill(["--into", "both"]).stdin(bare(1)).stdout(both).check();
    scratch.fill(["--into", "nowhere"]).stdin(bare(1)).status(2).stderr_has("metadata").check();
}

#[test]
fn metadata_is_written_in_place_with_a_backup_and_stripped_in_place_again() {
    let scratch = Scratch::with("vm.xml", bare(1));
    let run = scratch.fill(["--into", "metadata", "-i=.bak", "vm.xml"]).stderr_has("vm.xml: filled");
    run.leaves("vm.xml", after(1)).leaves("vm.xml.bak", bare(1)).check();
    scratch
        .virt_mdev(["strip", "-i=.old", "vm.xml"])
        .stderr_has("vm.xml: stripped")
        .leaves("vm.xml", bare(1))
        .leaves("vm.xml.old", after(1))
        .check();
    scratch.virt_mdev(["strip", "-i", "vm.xml"]).check();
}

#[test]
fn dry_runs_and_diffs_show_what_would_be_recorded_and_removed() {
    let scratch = Scratch::with("bare.xml", bare(1));
    scratch.file("after.xml", after(1));
    let fill = || scratch.fill(["--into", "metadata"]);
    let run = fill().arg("-n").arg("bare.xml").status(1);
    run.stdout_has(&uuid(1)).stdout_has("record 0x1234 0x11e8 i915-V5_4 in metadata").check();
    fill().arg("-n").arg("after.xml").stdout("").check();
    fill().arg("--diff").arg("bare.xml").stdout_has("+  <metadata>\n").stdout_has("+++ bare.xml").check();
    let strip = || scratch.virt_mdev(["strip"]);
    strip().arg("-n").arg("after.xml").status(1).stdout_has("after.xml:").stdout_has("metadata").check();
    strip().arg("-n").arg("bare.xml").stdout("").check();
    strip().arg("--diff").arg("after.xml").stdout_has("-  <metadata>\n").check();
    strip().arg("--diff").arg("-n").arg("after.xml").status(1).stdout_has("-  <metadata>\n").check();
    strip().arg("-o").arg("out.xml").arg("after.xml").leaves("out.xml", bare(1)).check();
    strip().arg("-o").arg("out2.xml").arg("bare.xml").leaves("out2.xml", bare(1)).check();
    strip().stdin(after(1)).stdout(bare(1)).check();
}

#[test]
fn strip_has_the_same_rules_for_arguments_as_fill() {
    let scratch = Scratch::with("vm.xml", after(1));
    scratch.file("other.xml", after(2));
    for arguments in
        ["vm.xml other.xml", "-i", "-i -", "-i -o out.xml vm.xml", "--diff -i vm.xml", "none.xml", "*.none"]
    {
        scratch.virt_mdev(["strip"]).args(arguments).stdin(after(1)).status(2).stderr_any().check();
    }
    scratch.virt_mdev(["strip", "--from", "nowhere", "vm.xml"]).status(2).stderr_has("metadata").check();
    scratch.virt_mdev(["strip"]).stdin("").status(2).stderr_has("empty").check();
    scratch.virt_mdev(["strip"]).stdin("<network/>").status(2).stderr_has("network").check();
    let run = scratch.virt_mdev(["strip", "-i", "*.xml"]).leaves("vm.xml", bare(1)).leaves("other.xml", bare(2));
    run.stderr_has("vm.xml").stderr_has("other.xml").check();
}

#[test]
fn strip_writes_no_document_if_one_has_an_error() {
    let scratch = Scratch::with("a.xml", after(1));
    scratch.file("b.xml", "<domain>");
    scratch.virt_mdev(["strip", "-i", "a.xml", "b.xml"]).status(2).stderr_has("b.xml:1:").check();
}

#[test]
fn a_warning_says_how_to_edit_a_file_of_libvirt() {
    let generated = format!("<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n{}", bare(1));
    let scratch = Scratch::with("vm.xml", &generated);
    let run =
        scratch.fill(["-i", "--into", "metadata", "vm.xml"]).leaves("vm.xml", generated.replace(&bare(1), &after(1)));
    run.stderr_has("EDITOR='virt-mdev fill -i --into metadata' virsh edit vm").check();
}

#[test]
fn a_lone_hostdev_has_no_metadata() {
    for options in [&["--into", "metadata"][..], &["--into", "both"], &["--metadata-only"]] {
        let scratch = Scratch::new();
        scratch.fill(options).stdin(hostdev(&uuid(1), &NONE)).status(2).stderr_has("metadata").check();
    }
}

#[test]
fn a_missing_device_is_an_error_or_skipped_without_a_record() {
    let devices = [hostdev(ABSENT, &NONE), hostdev(&uuid(1), &NONE)].concat();
    let scratch = Scratch::new();
    scratch.fill(["--into", "metadata"]).stdin(domain(&devices)).status(2).stderr_has(ABSENT).check();
    let skip = ["--into", "metadata", "--on-missing", "skip"];
    let half = recorded(&record(&uuid(1), identity(1)), &devices);
    scratch.fill(skip).stdin(domain(&devices)).stdout(&half).stderr_has(ABSENT).check();
    // The record of a device that is skipped stays.
    let whole = recorded(&[record(ABSENT, identity(2)), record(&uuid(1), identity(1))].concat(), &devices);
    scratch.fill(skip).stdin(&whole).stdout(&whole).stderr_has(ABSENT).check();
}

#[test]
fn ids_in_a_record_are_equal_in_every_notation_that_libvirt_reads() {
    for (vendor, product) in
        [("0X8086", "0x10D3"), ("32902", "4307"), ("0100206", "\n 0x10d3 "), ("<!-- Intel -->0x8086", "0x10d3")]
    {
        let document = guest_recorded(&uuid(3), [vendor, product, " i915-V5_4 "]);
        Scratch::new().fill(["--into", "metadata"]).stdin(&document).stdout(&document).check();
    }
    for vendor in ["8086", "", "Intel"] {
        let document = guest_recorded(&uuid(3), [vendor, "0x10d3", "i915-V5_4"]);
        let scratch = Scratch::new();
        scratch.fill(["--into", "metadata"]).stdin(&document).status(2).stderr_has("vendorid").check();
        let replace = ["--into", "metadata", "--on-conflict", "replace"];
        scratch.fill(replace).stdin(&document).stdout(after(3)).check();
    }
}

#[test]
fn a_duplicate_part_of_a_record_is_an_error_whatever_the_policies() {
    let twice = after(1).replace("<mdev:productid>", "<mdev:vendorid>0x1234</mdev:vendorid><mdev:productid>");
    for policy in ["error", "keep", "replace"] {
        let scratch = Scratch::new();
        let run = scratch.fill(["--into", "metadata", "--on-missing=skip", "--on-conflict", policy]).stdin(&twice);
        run.status(2).stderr_has("vendorid").check();
    }
}

#[test]
fn another_element_in_our_namespace_is_an_error_and_not_overwritten() {
    let other = after(1).replace("mdev:identities", "mdev:devices");
    for options in [&["--into", "metadata"][..], &["--into=both", "--on-conflict=replace"], &["--metadata-only"]] {
        Scratch::new().fill(options).stdin(&other).status(2).stderr_has("<devices>").check();
    }
}

#[test]
fn metadata_only_contradicts_all_other_outputs() {
    let scratch = Scratch::with("vm.xml", bare(1));
    for options in ["-i", "-o out.xml", "--diff", "-n", "--into both"] {
        let run = scratch.fill(["--metadata-only", "vm.xml"]).args(options);
        run.status(2).stderr_has("--metadata-only").check();
    }
    scratch.file("other.xml", bare(2));
    scratch.fill(["--metadata-only", "vm.xml", "other.xml"]).status(2).stderr_any().check();
}

#[test]
fn metadata_only_prints_the_element_and_warnings() {
    let bare_element = "<identities xmlns='urn:virt-mdev:1'>\n  \
                        <hostdev uuid='c0ffee01-0000-4000-8000-000000000001'>\n    \
                        <vendorid>0x1234</vendorid>\n    <productid>0x11e8</productid>\n    \
                        <mdevtype>i915-V5_4</mdevtype>\n  </hostdev>\n</identities>\n";
    let scratch = Scratch::new();
    scratch.fill(["--metadata-only"]).stdin(bare(1)).stdout(bare_element).check();
    let stale =
        recorded(&[record(&uuid(1), identity(1)), record(ABSENT, identity(2))].concat(), &hostdev(&uuid(1), &NONE));
    let replace = ["--metadata-only", "--on-conflict", "replace"];
    scratch.fill(replace).stdin(&stale).stdout(bare_element).stderr_any().check();
    // Only replace removes a stale record, in this form too.
    scratch.fill(["--metadata-only"]).stdin(&stale).stdout_has(ABSENT).stderr_has("warning: ").check();
    scratch.fill(["--metadata-only", "-q"]).stdin(&stale).stdout_has(ABSENT).check();
}
