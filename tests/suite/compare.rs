//! `compare`: two domains, compared as for a migration.

use crate::support::guests::{
    NONE, at, bare, domain, elements, filled, guest, guest_recorded, hostdev, identity, record, recorded, uuid,
};
use crate::support::{Run, Scratch};

const OTHER: &str = "a38a3f43-4be2-4046-897f-067c2f5e0999";

/// Returns a run on two documents, named `a.xml` and `b.xml`.
fn compare<'a>(scratch: &'a Scratch, source: impl AsRef<[u8]>, destination: impl AsRef<[u8]>) -> Run<'a> {
    scratch.file("a.xml", source);
    scratch.file("b.xml", destination);
    scratch.virt_mdev(["compare", "a.xml", "b.xml"])
}

#[test]
fn the_same_devices_with_different_uuids_are_equal() {
    let scratch = Scratch::new();
    compare(&scratch, filled(1), filled(1)).check();
    compare(&scratch, filled(1), guest(OTHER, &elements(1))).check();
    compare(&scratch, filled(1), guest_recorded(OTHER, identity(1))).check();
    compare(&scratch, guest_recorded(&uuid(1), identity(1)), guest_recorded(OTHER, identity(1))).check();
    compare(&scratch, domain(""), domain("")).check();
}

#[test]
fn the_notation_of_ids_is_not_a_difference() {
    let scratch = Scratch::new();
    for (vendor, product) in [("0X8086", "4307"), ("32902", "0x10D3"), ("0100206", "<![CDATA[0x10d3]]>")] {
        let other = guest_recorded(OTHER, [vendor, product, " i915-V5_4"]);
        compare(&scratch, filled(3), other).check();
    }
}

#[test]
fn each_part_that_differs_is_one_line_with_both_values_and_places() {
    let scratch = Scratch::new();
    let line = |part: &str, one: &str, two: &str, place: &str| {
        format!("mdev hostdev 1: {part}: source has {one} (a.xml:{place}), destination has {two} (b.xml:{place})\n")
    };
    let vendor = line("vendorid", "0x8086", "0x1b36", "7:19");
    let product = line("productid", "0x10d3", "0x0005", "8:20");
    let mdev_type = line("mdevtype", "i915-V5_4", "i915-V5_8", "9:19");
    compare(&scratch, filled(3), filled(4)).status(1).stdout(&mdev_type).check();
    compare(&scratch, filled(3), filled(5)).status(1).stdout([vendor.clone(), product.clone()].concat()).check();
    let all = guest(
        OTHER,
        &["<vendorid>0x1b36</vendorid>", "<productid>0x0005</productid>", "<mdevtype>i915-V5_8</mdevtype>"],
    );
    compare(&scratch, filled(3), &all).status(1).stdout([vendor, product, mdev_type].concat()).check();
    compare(&scratch, filled(3), &all).arg("-q").status(1).check();
}

#[test]
fn the_place_of_a_recorded_value_is_in_the_metadata() {
    let scratch = Scratch::new();
    let run = compare(&scratch, guest_recorded(&uuid(3), identity(3)), filled(4)).status(1);
    run.stdout_has("a.xml:8:24").stdout_has("b.xml:9:19").check();
}

#[test]
fn an_identity_that_is_missing_or_incomplete_on_either_side_or_both_is_a_difference() {
    let scratch = Scratch::new();
    let [vendor, product, _] = elements(1);
    let half = guest(&uuid(1), &[vendor, product]);
    for (one, other, lines) in [
        (bare(1), filled(1), 3),
        (filled(1), bare(1), 3),
        (bare(1), bare(1), 3),
        (half.clone(), filled(1), 1),
        (filled(1), half.clone(), 1),
        (half.clone(), half, 1),
    ] {
        let finished = compare(&scratch, one, other).status(1).stdout_has("nothing (").check();
        assert_eq!(finished.stdout_text().lines().count(), lines);
    }
}

#[test]
fn an_invalid_value_differs_even_from_itself() {
    let unreadable = guest(&uuid(1), &["<vendorid>10de</vendorid>", &elements(1)[1], &elements(1)[2]]);
    let scratch = Scratch::new();
    compare(&scratch, &unreadable, &unreadable).status(1).stdout_has("vendorid").check();
}

#[test]
fn number_and_model_are_differences() {
    let scratch = Scratch::new();
    let two = domain(&[hostdev(&uuid(1), &elements(1)), hostdev(&uuid(2), &elements(2))].concat());
    let number = "number of mdev hostdevs: source has 1 (a.xml), destination has 2 (b.xml)\n";
    compare(&scratch, filled(1), &two).status(1).stdout(number).check();
    compare(&scratch, &two, domain("")).status(1).stdout_has("source has 2").stdout_has("destination has 0").check();
    let ccw = filled(1).replace("vfio-pci", "vfio-ccw");
    let model = "mdev hostdev 1: model: source has vfio-pci (a.xml:6:18), destination has vfio-ccw (b.xml:4:5)\n";
    compare(&scratch, filled(1), &ccw).status(1).stdout(model).check();
    compare(&scratch, ccw, filled(1).replace(" model='vfio-pci'", "")).status(1).stdout_has("nothing").check();
}

#[test]
fn for_other_models_only_the_model_is_compared() {
    let scratch = Scratch::new();
    let ap = |document: String| document.replace("vfio-pci", "vfio-ap");
    for (one, other) in [(bare(1), bare(1)), (filled(1), filled(2)), (filled(1), bare(1))] {
        compare(&scratch, ap(one), ap(other)).check();
    }
}

#[test]
fn devices_are_paired_in_document_order_and_other_hostdevs_are_ignored() {
    let scratch = Scratch::new();
    let both =
        |one, other| domain(&[hostdev(&uuid(one), &elements(one)), hostdev(&uuid(other), &elements(other))].concat());
    compare(&scratch, both(1, 2), both(1, 2)).check();
    compare(&scratch, both(1, 2), both(2, 1))
        .status(1)
        .stdout_has("hostdev 1: mdevtype")
        .stdout_has("hostdev 2: mdevtype")
        .check();
    let usb = "    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/></source></hostdev>\n";
    compare(&scratch, filled(1), domain(&[usb, &hostdev(OTHER, &elements(1))].concat())).check();
}

#[test]
fn metadata_takes_precedence_over_source_and_a_contradiction_is_an_error() {
    let scratch = Scratch::new();
    let both = |device| recorded(&record(&uuid(1), identity(1)), &hostdev(&uuid(1), &elements(device)));
    compare(&scratch, both(1), filled(1)).check();
    compare(&scratch, both(1), filled(2)).status(1).stdout_has("i915-V5_4 (a.xml:8:24)").check();
    compare(&scratch, both(2), filled(1)).status(2).stderr_has("a.xml:").stderr_has("metadata").check();
    compare(&scratch, filled(1), both(2)).status(2).stderr_has("b.xml:").check();
    // A source with a part of the identity does not contradict the record.
    let some = recorded(&record(&uuid(1), identity(1)), &hostdev(&uuid(1), &elements(1)[..1]));
    compare(&scratch, some, filled(1)).check();
}

#[test]
fn the_record_of_the_guest_address_is_used_if_no_record_has_the_uuid() {
    let scratch = Scratch::new();
    let changed = recorded(&record(&uuid(1), identity(1)), &hostdev(OTHER, &NONE));
    compare(&scratch, filled(1), &changed).status(1).stdout_has("destination has nothing").check();
    let changed = at(&changed, 9);
    compare(&scratch, filled(1), &changed).check();
    compare(&scratch, filled(2), changed).status(1).stdout_has("mdevtype").check();
}

#[test]
fn the_domain_of_a_snapshot_is_compared() {
    let scratch = Scratch::new();
    let inactive = filled(2).replace("domain", "inactiveDomain");
    for snapshot in [
        format!("<domainsnapshot>\n{}{inactive}</domainsnapshot>", filled(1)),
        format!("<domainsnapshot>\n{inactive}{}</domainsnapshot>", filled(1)),
    ] {
        compare(&scratch, &snapshot, filled(1)).check();
        compare(&scratch, filled(2), &snapshot).status(1).stdout_has("mdevtype").check();
    }
}

#[test]
fn one_side_may_be_standard_input_but_not_both() {
    let scratch = Scratch::with("a.xml", filled(1));
    scratch.virt_mdev(["compare", "-", "a.xml"]).stdin(filled(1)).check();
    scratch.virt_mdev(["compare", "a.xml", "-"]).stdin(filled(2)).status(1).stdout_has("<stdin>:9:19").check();
    scratch.virt_mdev(["compare", "-", "-"]).stdin(filled(1)).status(2).stderr_has("standard input").check();
}

#[test]
fn lone_hostdevs_and_every_document_with_a_domain_are_compared() {
    let scratch = Scratch::new();
    let lone = |device| hostdev(&uuid(device), &elements(device));
    compare(&scratch, lone(1), lone(1)).check();
    compare(&scratch, lone(1), lone(2)).status(1).stdout_has("mdevtype").check();
    for root in ["domstatus", "domaincheckpoint"] {
        compare(&scratch, format!("<{root}>{}</{root}>", filled(1)), filled(1)).check();
        compare(&scratch, filled(1), format!("<{root}/>")).status(2).stderr_has("b.xml").stderr_has("domain").check();
    }
}

#[test]
fn all_errors_of_both_documents_are_reported() {
    let scratch = Scratch::new();
    for (one, other, message) in [
        (filled(1), "<domain>".to_owned(), "b.xml:1"),
        (filled(1), String::new(), "empty"),
        ("<network/>".to_owned(), filled(1), "network"),
        (filled(1), filled(1).replace("<address uuid", "<address id"), "b.xml:"),
        (filled(1).replace("<mdevtype>", "<vendorid>1</vendorid><mdevtype>"), filled(1), "vendorid"),
    ] {
        compare(&scratch, one, other).status(2).stderr_has(message).check();
    }
    let wrong = filled(1).replace("<address uuid", "<address id");
    compare(&scratch, &wrong, &wrong).status(2).stderr_has("a.xml:").stderr_has("b.xml:").check();
    for arguments in [&["a.xml"][..], &["a.xml", "b.xml", "a.xml"], &["a.xml", "none.xml"], &["a.xml", "*.xml"]] {
        let run = scratch.virt_mdev(["compare"]);
        arguments.iter().fold(run, |run, argument| run.arg(argument)).status(2).stderr_any().check();
    }
}

#[test]
fn control_characters_of_a_document_are_escaped() {
    let scratch = Scratch::new();
    let evil = guest(&uuid(1), &[elements(1)[0].as_str(), &elements(1)[1], "<mdevtype>a\u{9b}31mb&#10;c</mdevtype>"]);
    compare(&scratch, filled(1), evil).status(1).stdout_has("a\\u{9b}31mb\\nc").check();
}

/// A guest with a PCI device that is recorded as this vGPU type.
fn with_vgpu(vgpu_type: &str) -> String {
    format!(
        "<domain>\n<metadata><identities xmlns='urn:virt-mdev:1'><pci source='0000:26:00.4'>\n\
         <vendorid>0x10de</vendorid><productid>0x26b9</productid>\n<vgputype>{vgpu_type}</vgputype>\n\
         </pci></identities></metadata>\n<devices><hostdev type='pci'><source>\n\
         <address bus='0x26' function='4'/></source></hostdev></devices></domain>"
    )
}

#[test]
fn vgpus_that_are_pci_devices_are_compared_by_type_and_never_exchanged_with_mdevs() {
    let scratch = Scratch::new();
    let vgpu = with_vgpu("nvidia-1148");
    compare(&scratch, &vgpu, &vgpu).check();
    let line =
        "pci hostdev 1: vgputype: source has nvidia-1148 (a.xml:4:11), destination has nvidia-1150 (b.xml:4:11)\n";
    compare(&scratch, &vgpu, with_vgpu("nvidia-1150")).status(1).stdout(line).check();
    let counts = "number of mdev hostdevs: source has 1 (a.xml), destination has 0 (b.xml)\n\
                  number of pci hostdevs: source has 0 (a.xml), destination has 1 (b.xml)\n";
    compare(&scratch, filled(1), &vgpu).status(1).stdout(counts).stderr_has("cannot exchange guests").check();
    compare(&scratch, filled(1), &vgpu).arg("-q").status(1).check();
    let json = compare(&scratch, &vgpu, with_vgpu("nvidia-1150")).arg("--json").status(1);
    json.stdout_has("\"type\": \"pci\"").stdout_has("\"what\": \"vgputype\"").check();
}
