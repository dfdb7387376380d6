//! `check`: recorded identities compared with host-a.

use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::support::guests::{
    ABSENT, AP, NO_PCI, NONE, at, bare, domain, elements, filled, guest, guest_recorded, host_a, hostdev, identity,
    record, recorded, uuid,
};
use crate::support::{Run, Scratch};

fn check<'a>(scratch: &'a Scratch, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run<'a> {
    let run = scratch.virt_mdev(["check", "--sysfs"]).arg(host_a());
    arguments.into_iter().fold(run, Run::arg)
}

/// Returns the verdict in the table on the only device.
fn verdict(document: &str, status: i32) -> String {
    let table = check(&Scratch::new(), NONE).stdin(document).status(status).stdout_any().check().stdout_text();
    assert_eq!(table.lines().count(), 2, "{table}");
    table.lines().nth(1).unwrap().split_whitespace().nth(2).unwrap().to_owned()
}

#[test]
fn each_device_is_same_different_missing_or_unrecorded() {
    let none = |uuid: &str| guest(uuid, &NONE);
    let record = |uuid: &str| record(uuid, identity(1));
    let lacking = record(&uuid(1)).replace("        <mdev:productid>0x11e8</mdev:productid>\n", "");
    let half_recorded = recorded(&lacking, &hostdev(&uuid(1), &elements(1)));
    for (document, word, status) in [
        (filled(1), "same", 0),
        (guest_recorded(&uuid(1), identity(1)), "same", 0),
        (at(&guest_recorded(&uuid(1), identity(1)), 9), "same", 0),
        (
            guest(
                &uuid(3),
                &["<vendorid>32902</vendorid>", "<productid>0X10D3</productid>", "<mdevtype> i915-V5_4</mdevtype>"],
            ),
            "same",
            0,
        ),
        // A record that lacks a part, with a complete source that agrees with it.
        (half_recorded.clone(), "same", 0),
        (half_recorded.replace("0x11e8</product", "0x11e9</product"), "different", 1),
        (guest(&uuid(1), &elements(2)), "different", 1),
        (guest_recorded(&uuid(1), identity(5)), "different", 1),
        (guest(&uuid(1), &elements(2)[2..]), "different", 1),
        (guest(&uuid(1), &["<vendorid>1234</vendorid>"]), "different", 1),
        (guest(ABSENT, &elements(1)), "missing", 1),
        (none(ABSENT), "missing", 1),
        (none(&uuid(NO_PCI)), "missing", 1),
        (bare(1), "unrecorded", 1),
        (guest(&uuid(1), &elements(1)[..2]), "unrecorded", 1),
    ] {
        assert_eq!(verdict(&document, status), word, "{document}");
    }
}

#[test]
fn the_table_shows_what_was_recorded_and_what_the_host_has() {
    let document = domain(&[hostdev(&uuid(1), &elements(2)), hostdev(ABSENT, &elements(1)[..1])].concat());
    let run = Scratch::new();
    let run = check(&run, NONE).stdin(document).status(1).stdout(
        "DOMAIN  DEVICE                                VERDICT    RECORDED                 ON THIS HOST             \
         REASON\n\
         vm      c0ffee01-0000-4000-8000-000000000001  different  0x1234 0x11e8 i915-V5_8  0x1234 0x11e8 i915-V5_4\n\
         vm      c2177883-f1bb-47f0-914d-32a22e3a8804  missing    0x1234 - -               -                        \
         mdev c2177883-f1bb-47f0-914d-32a22e3a8804 is not on this host\n",
    );
    run.check();
}

#[test]
fn json_has_an_object_for_each_device() {
    let scratch = Scratch::with("vm.xml", guest(&uuid(1), &elements(2)));
    let run = check(&scratch, ["--json", "vm.xml"]).status(1).stdout(
        "[\n  {\n    \"file\": \"vm.xml\",\n    \"domain\": \"vm\",\n    \
         \"uuid\": \"c0ffee01-0000-4000-8000-000000000001\",\n    \"verdict\": \"different\",\n    \"recorded\": {\n      \
         \"vendorid\": \"0x1234\",\n      \"productid\": \"0x11e8\",\n      \"mdevtype\": \"i915-V5_8\"\n    },\n    \
         \"found\": {\n      \"vendorid\": \"0x1234\",\n      \"productid\": \"0x11e8\",\n      \
         \"mdevtype\": \"i915-V5_4\"\n    }\n  }\n]\n",
    );
    run.check();
    check(&scratch, ["--json"]).stdin(domain("")).stdout("[]\n").check();
    check(&scratch, ["--json"]).stdin(guest(ABSENT, &NONE)).status(1).stdout_has("\"reason\"").check();
}

#[test]
fn quiet_prints_nothing_but_keeps_the_status() {
    let scratch = Scratch::new();
    check(&scratch, ["-q"]).stdin(filled(1)).check();
    check(&scratch, ["-q"]).stdin(bare(1)).status(1).check();
    check(&scratch, ["-q"]).stdin("<domain>").status(2).stderr_has("<stdin>").check();
    check(&scratch, ["-q", "--json"]).stdin(filled(1)).status(2).stderr_has("--json").check();
}

#[test]
fn a_domain_without_devices_of_model_vfio_pci_is_all_same() {
    let scratch = Scratch::new();
    check(&scratch, NONE).stdin(domain("")).check();
    for model in ["vfio-ap", "vfio-ccw"] {
        check(&scratch, NONE).stdin(guest(ABSENT, &elements(1)).replace("vfio-pci", model)).check();
    }
}

#[test]
fn every_domain_of_a_snapshot_is_checked() {
    let inactive = guest(&uuid(2), &elements(1)).replace("domain", "inactiveDomain");
    let snapshot = format!("<domainsnapshot>\n{}{inactive}</domainsnapshot>", filled(1));
    let run = Scratch::new();
    check(&run, NONE).stdin(snapshot).status(1).stdout_has("same").stdout_has("different").check();
}

#[test]
fn several_documents_patterns_and_standard_input_share_a_table() {
    let scratch = Scratch::with("a.xml", filled(1));
    scratch.file("b.xml", filled(2));
    check(&scratch, ["*.xml", "-"])
        .stdin(filled(3))
        .stdout_has(&uuid(1))
        .stdout_has(&uuid(2))
        .stdout_has(&uuid(3))
        .check();
    scratch.file("b.xml", bare(2));
    check(&scratch, ["a.xml", "b.xml"]).status(1).stdout_has("same").stdout_has("unrecorded").check();
}

#[test]
fn several_files_are_named_and_a_malformed_one_does_not_hide_the_others() {
    let scratch = Scratch::with("a.xml", filled(1));
    scratch.file("b.xml", bare(2));
    scratch.file("c.xml", "<domain>");
    let run = check(&scratch, ["a.xml", "c.xml", "b.xml"]).status(2).stderr_has("c.xml:1:");
    run.stdout(
        "FILE   DOMAIN  DEVICE                                VERDICT     RECORDED                 ON THIS HOST\n\
         a.xml  vm      c0ffee01-0000-4000-8000-000000000001  same        0x1234 0x11e8 i915-V5_4  0x1234 0x11e8 i915-V5_4\n\
         b.xml  vm      c0ffee02-0000-4000-8000-000000000002  unrecorded  -                        0x1234 0x11e8 i915-V5_8\n",
    )
    .check();
    let run = check(&scratch, ["--json", "a.xml", "c.xml", "b.xml"]).status(2).stderr_has("c.xml:1:");
    run.stdout_has("\"same\"").stdout_has("\"file\": \"c.xml\",\n    \"error\"").stdout_has("\"unrecorded\"").check();
    check(&scratch, ["a.xml", "d.xml"]).status(2).stderr_has("d.xml").check();
    check(&scratch, ["-k", "a.xml", "d.xml"]).status(2).stderr_has("d.xml").stdout_has("same").check();
    let absent = |form: &str| form.replace("ERROR", "d.xml: no such file");
    let run = check(&scratch, ["-k", "--json", "a.xml", "d.xml"]).status(2).stderr_has("d.xml").stdout_has("same");
    let object = "  {\n    \"file\": \"d.xml\",\n    \"error\": [\n      \"ERROR\"\n    ],\n    \"places\": [\n      null\n    ]\n  }";
    run.stdout_has(&absent(object)).check();
    let run = check(&scratch, ["-k", "--json", "--accept", "free", "a.xml", "d.xml"]).status(2).stderr_has("d.xml");
    let object = absent(r#"{"file":"d.xml","error":["ERROR"],"places":[null]}"#);
    run.stdout_has("\"same\"").stdout_has(&object).check();
}

#[test]
fn in_json_an_error_has_the_line_and_column_of_its_message() {
    let scratch = Scratch::with("a.xml", filled(1));
    scratch.file("b.xml", domain(&[hostdev("nonsense", &NONE), hostdev("no", &NONE)].concat()));
    let places = json!([{"line": 6, "column": 18}, {"line": 11, "column": 18}]);
    for (command, is_placing) in [("check", false), ("check", true), ("list", false)] {
        let run = scratch.virt_mdev([command, "--json", "a.xml", "b.xml"]).env("VIRT_MDEV_SYSFS", host_a());
        let run = if is_placing { run.args("--accept free") } else { run }.status(2);
        let run = run.stderr_has("b.xml:6:18").stderr_has("b.xml:11:18").stdout_any().check();
        let entries: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(entries[1]["error"].as_array().unwrap().len(), 2, "{command}");
        assert_eq!(entries[1]["places"], places, "{command}");
    }
}

#[test]
fn a_device_that_cannot_be_checked_is_an_error() {
    let scratch = Scratch::new();
    let both = recorded(&record(&uuid(1), identity(1)), &hostdev(&uuid(1), &elements(2)));
    check(&scratch, NONE).stdin(both).status(2).stderr_has("metadata").check();
    check(&scratch, NONE).stdin(bare(AP)).status(2).stderr_has("vfio-ap").check();
    check(&scratch, NONE).stdin(guest("../../..", &NONE)).status(2).stderr_has("UUID").check();
    check(&scratch, NONE).stdin(filled(1).replace("<address uuid", "<address id")).status(2).stderr_has("uuid").check();
    check(&scratch, NONE).stdin("").status(2).stderr_has("empty").check();
    scratch.file("no-sysfs/x", "");
    scratch.virt_mdev(["check", "--sysfs", "no-sysfs"]).stdin(filled(1)).status(2).stderr_has("no-sysfs").check();
    scratch.virt_mdev(["check"]).env("VIRT_MDEV_SYSFS", host_a()).stdin(filled(1)).stdout_has("same").check();
}

#[test]
fn a_stale_record_is_reported_and_ignored() {
    let stale =
        recorded(&[record(&uuid(1), identity(1)), record(ABSENT, identity(2))].concat(), &hostdev(&uuid(1), &NONE));
    let scratch = Scratch::new();
    check(&scratch, NONE).stdin(&stale).stdout_has("same").stderr_has("warning: ").stderr_has(ABSENT).check();
    check(&scratch, ["-q"]).stdin(&stale).check();
}

#[test]
fn a_long_value_is_shortened_in_the_table_but_not_in_json() {
    let (name, value) = ("ä".repeat(512), "ä".repeat(70_000));
    let named = guest(&uuid(1), &elements(1)).replace("<name>vm<", &format!("<name>{name}<"));
    let recorded = guest(&uuid(1), &[&format!("<vendorid>{value}</vendorid>")]);
    let scratch = Scratch::new();
    for (document, status, long) in [(&named, 0, &name), (&recorded, 1, &value)] {
        let table = check(&scratch, NONE).stdin(document).status(status).stdout_has("ää… ").check().stdout;
        assert!(table.len() < 1000, "{} bytes", table.len());
        check(&scratch, ["--json"]).stdin(document).status(status).stdout_has(long).check();
    }
}

#[test]
fn control_characters_are_escaped_in_table_and_json() {
    let evil = guest(&uuid(1), &[elements(1)[0].as_str(), &elements(1)[1], "<mdevtype>a\u{9b}31mb</mdevtype>"]);
    let evil = evil.replace("<name>vm<", "<name>v\u{85}m&#10;x<");
    let scratch = Scratch::new();
    check(&scratch, NONE).stdin(&evil).status(1).stdout_has("v\\u{85}m\\nx").stdout_has("a\\u{9b}31mb").check();
    check(&scratch, ["--json"]).stdin(evil).status(1).stdout_has("v\\u0085m\\nx").stdout_has("a\\u009b31mb").check();
}

#[test]
fn a_cell_longer_than_a_format_can_pad_is_cut() {
    let long = "x".repeat(70_000);
    let document = recorded(&record(&long, identity(1)), &hostdev(&uuid(1), &NONE));
    let aliased = document.replace("uuid='xxx", "alias='ua-a' uuid='xxx");
    let aliased = aliased.replace("</source>\n    </hostdev>", "</source>\n      <alias name='ua-a'/>\n    </hostdev>");
    let scratch = Scratch::with("long.xml", &aliased);
    scratch.file("same.xml", filled(1));
    let run = check(&scratch, ["long.xml", "same.xml"]).status(1).stderr_any();
    let table = run.stdout_has("unrecorded").stdout_has("same").check().stdout_text();
    assert!(table.lines().all(|line| line.chars().count() < 1000), "{} bytes", table.len());
}
