//! What `--json` prints; the expected texts are in `testdata/json`.

use crate::support::guests::{
    ABSENT, NONE, bare, domain, elements, filled, guest, hostdev, identity, in_slot, record, recorded, uuid,
};
use crate::support::{Run, Scratch, assert_testdata};

const GONE: &str = "a38a3f43-4be2-4046-897f-067c2f5e0999";

/// Checks a run whose standard output is this file of `testdata/json`.
fn check(run: Run<'_>, name: &str) {
    assert_testdata(&run.stdout_any().check().stdout_text(), &format!("json/{name}"));
}

fn compare<'a>(scratch: &'a Scratch, source: &str, destination: &str) -> Run<'a> {
    scratch.file("a.xml", source);
    scratch.file("b.xml", destination);
    scratch.virt_mdev(["compare", "--json", "a.xml", "b.xml"])
}

/// Returns a domain that needs every kind of step of `fill` and `strip`.
fn mixed() -> String {
    let first = record(&uuid(1), identity(2)).replace("'>", "' alias='ua-moved'>");
    let renamed = record(ABSENT, identity(3)).replace("'>", "' guest='0000:00:0a.0'>");
    let stale = record(GONE, identity(5));
    let moved = "      <alias name='ua-moved'/>\n    </hostdev>";
    let hostdevs = [
        in_slot(&hostdev(&uuid(1), &elements(2)[2..]), 9),
        in_slot(&hostdev(&uuid(3), &NONE), 10),
        hostdev(&uuid(5), &NONE).replace("    </hostdev>", moved),
    ];
    recorded(&[first, renamed, stale].concat(), &hostdevs.concat())
}

#[test]
fn compare_has_an_object_for_each_difference() {
    let scratch = Scratch::new();
    let lines = |device: usize, count: usize| hostdev(&uuid(device), &elements(device)[..count]);
    let source = domain(&[lines(3, 3), lines(1, 2), lines(2, 3)].concat());
    let ccw = lines(2, 3).replace("vfio-pci", "vfio-ccw");
    let destination = domain(&[lines(4, 3), lines(1, 3), ccw, lines(5, 3)].concat());
    check(compare(&scratch, &source, &destination).status(1), "compare.json");
}

#[test]
fn compare_of_equal_domains_is_an_empty_array() {
    let scratch = Scratch::new();
    compare(&scratch, &filled(1), &filled(1)).stdout("[]\n").check();
    compare(&scratch, &filled(1), "<domain>").status(2).stderr_has("b.xml:1:").check();
    compare(&scratch, &filled(1), &filled(2)).arg("-q").status(2).stderr_has("'--json'").check();
}

#[test]
fn fill_has_an_object_for_each_device_or_record_that_would_change() {
    let scratch = Scratch::with("a.xml", bare(1));
    scratch.file("b.xml", mixed());
    scratch.file("c.xml", filled(2));
    check(scratch.fill(["-n", "--json", "a.xml", "c.xml"]).status(1), "fill-source.json");
    let run = scratch.fill(["-n", "--json", "--into", "both", "--on-conflict", "replace", "b.xml"]).status(1);
    check(run.stderr_has("warning: "), "fill-both.json");
    scratch.fill(["-n", "--json", "c.xml"]).stdout("[]\n").check();
}

#[test]
fn strip_has_an_object_for_each_device_or_record_that_would_change() {
    let scratch = Scratch::with("b.xml", mixed());
    check(scratch.virt_mdev(["strip", "-n", "--json", "b.xml"]).status(1), "strip.json");
    scratch.virt_mdev(["strip", "-n", "--json"]).stdin(bare(1)).stdout("[]\n").check();
}

#[test]
fn both_domains_of_a_snapshot_are_named() {
    let inactive = bare(2).replace("domain", "inactiveDomain").replace("<name>vm<", "<name>vm-before<");
    let snapshot = format!("<domainsnapshot>\n{}{inactive}</domainsnapshot>", bare(1));
    check(Scratch::new().fill(["-n", "--json"]).stdin(snapshot).status(1), "fill-snapshot.json");
}

#[test]
fn a_file_that_fails_has_an_object_with_its_errors_and_does_not_hide_the_others() {
    let scratch = Scratch::with("a.xml", bare(1));
    scratch.file("b.xml", "<domain>");
    scratch.file("c.xml", domain(&[hostdev(ABSENT, &NONE), hostdev("nonsense", &NONE)].concat()));
    scratch.file("d.xml", bare(2));
    for options in ["-n --json", "-n --json -k", "-n --json -i"] {
        let run = scratch.fill(NONE).args(options).args("a.xml b.xml c.xml d.xml").status(2);
        check(run.stderr_has("b.xml:1:").stderr_has(ABSENT), "fill-failed.json");
    }
    scratch.fill(["-n", "--json", "a.xml", "absent.xml"]).status(2).stderr_has("absent.xml").check();
    for (absent, file) in [("absent.xml", "absent.xml"), ("absent/*.xml", "absent/*.xml")] {
        let run = scratch.fill(["-n", "--json", "-k", "c.xml", absent]).status(2).stderr_has(absent);
        let object = format!("[\n  {{\n    \"file\": \"{file}\",\n    \"error\"");
        run.stdout_has(&object).stdout_has("\"places\": [\n      null\n    ]").stdout_has("\"c.xml\"").check();
    }
}

#[test]
fn json_of_fill_and_strip_needs_a_dry_run() {
    let scratch = Scratch::with("a.xml", filled(1));
    for command in ["fill", "strip"] {
        scratch.virt_mdev([command, "--json", "a.xml"]).status(2).stderr_has("--dry-run").check();
        scratch.virt_mdev([command, "-n", "--json", "--diff", "a.xml"]).status(2).stderr_has("--diff").check();
    }
    scratch.fill(["-n", "--json", "--metadata-only", "a.xml"]).status(2).stderr_has("--metadata-only").check();
}

#[test]
fn what_a_terminal_obeys_or_hides_is_escaped() {
    let evil = guest(&uuid(1), &["<mdevtype>a\u{9b}31mb</mdevtype>"])
        .replace("<name>vm<", "<name>v\u{85}m&#10;x\u{202e}\u{e0041}é<");
    let scratch = Scratch::new();
    let run = compare(&scratch, &filled(1), &evil).status(1);
    run.stdout_has("a\\u009b31mb").check();
    let run = scratch.fill(["-n", "--json", "--on-conflict", "replace"]).stdin(&evil).status(1);
    run.stdout_has("v\\u0085m\\nx\\u202e\\udb40\\udc41é").stdout_has("a\\u009b31mb").check();
}
