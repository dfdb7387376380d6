//! `list`: what a host has, and its record. The expected texts are in `testdata/list`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use jsonschema::Validator;
use regex::Regex;
use serde_json::{Value, json};

use crate::support::guests::{NONE, guest};
use crate::support::here::{have, have_terminals, root_can, skipped};
use crate::support::{BINARY, Run, Scratch, assert_testdata, testdata, testdata_matching};

/// Returns a run with the names of `testdata/list/pci.ids`.
fn list<'a>(scratch: &'a Scratch, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run<'a> {
    let run = scratch.virt_mdev(["list"]).env("VIRT_MDEV_PCI_IDS", testdata("list/pci.ids"));
    arguments.into_iter().fold(run, Run::arg)
}

fn host(name: &str) -> std::path::PathBuf {
    testdata("hosts").join(name).join("sys")
}

fn of_host<'a>(scratch: &'a Scratch, name: &str) -> Run<'a> {
    list(scratch, ["--sysfs"]).arg(host(name))
}

/// Returns standard output, with the path of the tree and the time replaced.
fn output(run: Run<'_>, sys: &Path) -> String {
    let text = run.stdout_any().check().stdout_text();
    let time = Regex::new(r#""time": "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z""#).unwrap();
    time.replace(&text, r#""time": "TIME""#).replace(sys.to_str().unwrap(), "SYS")
}

fn schema() -> Validator {
    let schema = serde_json::from_str(include_str!("../../src/host/record.schema.json")).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn record(run: Run<'_>) -> Value {
    serde_json::from_slice(&run.arg("--json").stdout_any().check().stdout).unwrap()
}

#[track_caller]
fn assert_valid(schema: &Validator, record: &Value) {
    let errors: Vec<_> = schema.iter_errors(record).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}: {record:#}");
}

const HOSTS: [&str; 7] = [
    "linux-6.1/host-a",
    "linux-6.1/host-b",
    "linux-6.1/host-c",
    "linux-6.1/host-d",
    "field/ampere-vf",
    "field/gvt-g",
    "field/s390x",
];

#[test]
fn each_host_is_shown_with_its_parents_types_devices_and_vgpus() {
    let scratch = Scratch::new();
    for name in HOSTS {
        let text = output(of_host(&scratch, name), &host(name));
        assert_testdata(&text, &format!("list/{}.txt", name.rsplit('/').next().unwrap()));
    }
}

#[test]
fn json_is_the_record_which_the_schema_describes_and_every_command_reads() {
    let scratch = Scratch::new();
    assert_testdata(&output(of_host(&scratch, HOSTS[2]).arg("--json"), &host(HOSTS[2])), "list/host-c.json");
    let schema = schema();
    for name in HOSTS {
        let recorded = record(of_host(&scratch, name));
        assert_valid(&schema, &recorded);
        scratch.file("host.json", recorded.to_string());
        // A record of a record is the record, and people see the same.
        assert_eq!(record(list(&scratch, ["--host", "host.json"])), recorded, "{name}");
        let live = output(of_host(&scratch, name), &host(name));
        let read = output(list(&scratch, ["--host", "-"]).stdin(recorded.to_string()), &host(name));
        assert_eq!(read.split_once("\n\n").unwrap().1, live, "{name}");
        assert!(read.starts_with("SYS, recorded 20"), "{read}");
    }
    for nodedev in testdata_matching("nodedev/*.xml") {
        assert_valid(&schema, &record(list(&scratch, ["--host"]).arg(nodedev)));
    }
}

#[test]
fn the_record_of_this_host_has_its_name_and_kernel() {
    let scratch = Scratch::new();
    if !Path::new("/sys/bus").is_dir() {
        return skipped("this system has no /sys");
    }
    let recorded = record(list(&scratch, ["--sysfs", "/sys"]).stderr_any());
    assert_valid(&schema(), &recorded);
    let uname = rustix::system::uname();
    assert_eq!(recorded["host"], json!(uname.nodename().to_str().unwrap()));
    assert_eq!(recorded["kernel"], json!(uname.release().to_str().unwrap()));
}

#[test]
fn the_schema_refuses_what_is_not_a_record() {
    let schema = schema();
    let right = record(of_host(&Scratch::new(), "linux-6.1/host-c"));
    assert_valid(&schema, &right);
    for (pointer, wrong) in [
        ("/version", json!(2)),
        ("/host", json!(1)),
        ("/time", json!("yesterday")),
        ("/pci_devices", json!({})),
        ("/pci_devices/0/address", json!("0:0:0.0")),
        ("/pci_devices/0/vendorid", json!("8086")),
        ("/pci_devices/0/class", json!("0x03")),
        ("/pci_devices/0/subsystem", json!("0x10de:0x1851")),
        ("/pci_devices/10/vgpu_type", json!("1148")),
        ("/pci_devices/13/creatable_vgpu_types/0/type", json!(1145)),
        ("/pci_devices/10/physfn", json!(null)),
        ("/mdev_parents/0/types/0/available_instances", json!("3")),
        ("/mdev_parents/0/types/0/available_instances", json!(-1)),
        ("/mdev_parents/0/mdevs/0/uuid", json!("C0FFEE0C-0000-4000-8000-00000000000C")),
        ("/mdev_parents/0/mdevs/0/type", json!("")),
    ] {
        let mut record = right.clone();
        *record.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not in the record")) = wrong;
        assert!(!schema.is_valid(&record), "{pointer}");
    }
    for missing in ["version", "host", "pci_devices", "mdev_parents"] {
        let mut record = right.clone();
        record.as_object_mut().unwrap().remove(missing).unwrap();
        assert!(!schema.is_valid(&record), "{missing}");
    }
    let mut newer = right;
    newer["pci_devices"][0]["temperature"] = json!(40);
    assert_valid(&schema, &newer);
}

#[test]
fn a_host_without_any_says_so() {
    let scratch = Scratch::new();
    let sys = scratch.host("device pci 0000:00:00.0 vendor=0x8086 device=0x2020 class=0x060000");
    let none = format!("{} has no parent of mediated devices and no vGPU\n", sys.display());
    list(&scratch, ["--sysfs"]).arg(&sys).stdout(none).check();
    assert_eq!(record(list(&scratch, ["--sysfs"]).arg(&sys))["pci_devices"].as_array().unwrap().len(), 1);
    list(&scratch, ["--sysfs", "nowhere"]).status(2).stderr_has("nowhere is not a sysfs").check();
}

#[test]
fn the_driver_has_the_version_of_its_module() {
    let scratch = Scratch::new();
    let sys = scratch.host(
        "parent pci 0000:00:02.0 vendor=0x8086 device=0x591d driver=i915\n\
         link bus/pci/drivers/i915/module ../../../../module/i915\n\
         file module/i915/version \"1.6.0\\n\"",
    );
    list(&scratch, ["--sysfs"]).arg(&sys).stdout_has("driver i915 1.6.0\n").check();
    assert_eq!(record(list(&scratch, ["--sysfs"]).arg(&sys))["pci_devices"][0]["driver_version"], json!("1.6.0"));
    // Without names.
    let run = list(&scratch, ["--sysfs"]).arg(&sys).env("VIRT_MDEV_PCI_IDS", "nowhere");
    run.stdout_has("0000:00:02.0\n  0x8086 0x591d, subsystem").check();
}

#[test]
fn hostile_names_are_escaped_and_long_ones_cut() {
    let scratch = Scratch::new();
    let long = "x".repeat(4000);
    let sys = scratch.host(&format!(
        "parent pci 0000:00:02.0 vendor=0x8086 device=0x591d revision=\u{1b}[31m\n\
         type \"a\u{9b}31m b\" api=vfio-pci name=\"\u{1b}]0;owned\u{7}\" description=\"one\u{202e}\\ntwo\" available=1\n\
         type long api=vfio-pci name={long} description={long}"
    ));
    let text = output(list(&scratch, ["--sysfs"]).arg(&sys), &sys);
    for shown in [r"a\u{9b}31m b", r"\x1b]0;owned\x07", r"one\u{202e}, two", r"revision \x1b[31m", "x…\n"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains(|character: char| character.is_control() && character != '\n'), "{text:?}");
    assert!(text.lines().all(|line| line.chars().count() < 400), "{text}");
    let json = output(list(&scratch, ["--json", "--sysfs"]).arg(&sys), &sys);
    assert!(!json.contains(|character: char| character.is_control() && character != '\n'), "{json:?}");
    scratch.file("pci.ids", "8086  A\u{1b}[31mB\n");
    let run = list(&scratch, ["--sysfs"]).arg(&sys).env("VIRT_MDEV_PCI_IDS", "pci.ids");
    run.stdout_has(r"0000:00:02.0  A\x1b[31mB").check();
}

#[test]
fn what_cannot_be_read_is_a_warning_and_does_not_hide_the_rest() {
    let scratch = Scratch::new();
    let uuid = "c2177883-f1bb-47f0-914d-32a22e3a8804";
    let sys = scratch.host(&format!(
        "tree field/gvt-g\n\
         link bus/pci/devices/0000:00:09.0 ../../../devices/pci0000:00/0000:00:09.0\n\
         remove devices/pci0000:00/0000:00:02.0/{uuid}/mdev_type"
    ));
    let run = list(&scratch, ["--sysfs"]).arg(&sys).stdout_has("i915-GVTg_V5_8");
    run.stderr_has("warning: PCI device 0000:00:09.0 cannot be looked up: ")
        .stderr_has(format!("warning: mdev {uuid} cannot be looked up: "))
        .check();
    let recorded = record(list(&scratch, ["--sysfs"]).arg(&sys));
    assert_valid(&schema(), &recorded);
    scratch.file("host.json", recorded.to_string());
    let run = list(&scratch, ["--host", "host.json", "-"]).stdin(guest(uuid, &NONE)).status(2);
    run.stderr_has("could not be read when host.json was recorded").check();
}

#[test]
fn a_host_whose_devices_cannot_be_looked_up_is_not_said_to_have_none() {
    let scratch = Scratch::new();
    let uuids = [1, 2].map(|number| format!("c0ffee0{number}-0000-4000-8000-00000000000{number}"));
    let links = uuids.iter().map(|uuid| format!("link bus/mdev/devices/{uuid} ../../../../outside/{uuid}\n"));
    let sys = scratch.host(&links.collect::<String>());
    let run = || list(&scratch, ["--sysfs"]).arg(&sys);
    run().status(2).stderr_has(format!("error: mdev {} cannot be looked up: the link ", uuids[1])).check();
    // A record names them.
    let recorded = record(run());
    assert_eq!(recorded["unreadable"].as_array().unwrap().len(), 2);
    scratch.file("host.json", recorded.to_string());
    list(&scratch, ["--host", "host.json"]).status(2).stderr_has(&uuids[0]).check();
}

#[test]
fn defined_devices_are_shown_and_recorded() {
    let scratch = Scratch::new();
    let uuid = "deadbeef-0000-4000-8000-000000000001";
    let definition = r#"{"mdev_type": "i915-GVTg_V5_8", "start": "manual", "attrs": []}"#;
    scratch.file(format!("mdevctl.d/0000:00:02.0/{uuid}"), definition);
    let run = || of_host(&scratch, "field/gvt-g").arg("--mdevctl-dir").arg("mdevctl.d");
    assert_testdata(&output(run().arg("--defined"), &host("field/gvt-g")), "list/defined.txt");
    let recorded = record(run().arg("--defined"));
    assert_valid(&schema(), &recorded);
    assert_eq!(recorded["mdev_parents"][0]["mdevs"][1]["defined_only"], json!(true));
    assert!(!output(run(), &host("field/gvt-g")).contains(uuid));
    scratch.file(format!("mdevctl.d/0000:00:03.0/{uuid}"), definition);
    run().arg("--defined").status(2).stderr_has(format!("mdev {uuid} is defined twice")).check();
}

#[test]
fn the_devices_of_a_domain_are_shown_with_what_the_host_has_for_them() {
    let scratch = Scratch::with("ai-1.xml", fs::read(testdata("list/domain.xml")).unwrap());
    let sys = host("linux-6.1/host-c");
    let run = |arguments: &[&str]| list(&scratch, arguments).arg("--sysfs").arg(&sys);
    assert_testdata(&output(run(&["ai-1.xml"]), &sys), "list/domain.txt");
    assert_testdata(&output(run(&["--json", "ai-1.xml"]), &sys), "list/domain.json");
    scratch.file("host.json", record(run(&[])).to_string());
    let recorded = output(list(&scratch, ["--host", "host.json", "ai-1.xml"]), &sys);
    let recorded =
        recorded.replace("is not in host.json", "is not on this host").replace("ON THAT HOST", "ON THIS HOST");
    assert_eq!(recorded, fs::read_to_string(testdata("list/domain.txt")).unwrap());
    scratch.file("broken.xml", "<domain>");
    run(&["*.xml"]).status(2).stdout_has("ai-1.xml  ai-1").stderr_has("broken.xml:1:").check();
    run(&["--json", "*.xml"]).status(2).stdout_has("\"file\": \"broken.xml\",\n    \"error\"").stderr_any().check();
    run(&["-"]).stdin("<domain><devices/></domain>").check();
    run(&["nowhere.xml"]).status(2).stderr_has("nowhere.xml").check();
}

#[test]
fn a_terminal_shows_color_unless_it_is_not_wanted() {
    if !have_terminals() {
        return;
    }
    let scratch = Scratch::new();
    let command = format!("{BINARY} list --sysfs '{}'", host("field/gvt-g").display());
    let run = || scratch.program("script", ["-qec", &command, "/dev/null"]).env("TERM", "xterm");
    run().env("NO_COLOR", "").stdout_has("\x1b[1m0000:00:02.0\x1b[0m").check();
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let text = output(run().env(name, value), Path::new("SYS"));
        assert!(text.contains("0000:00:02.0") && !text.contains('\x1b'), "{text:?}");
    }
}

/// Returns what mdevctl prints where this tree is /sys.
fn mdevctl(scratch: &Scratch, sys: &Path, command: &str) -> Value {
    let script = r#"mount --bind "$1" /sys && exec mdevctl "$2" --dumpjson"#;
    let run = scratch.program("unshare", ["-m", "sh", "-c", script, "sh"]).arg(sys).arg(command);
    serde_json::from_slice(&run.stdout_any().check().stdout).unwrap()
}

/// Returns each entry of what mdevctl prints, with the name of its parent: `[{PARENT: [{NAME: VALUE}]}]`.
fn entries(printed: &Value) -> Vec<(String, String, Value)> {
    let objects = |array: &Value| -> Vec<(String, Value)> {
        array.as_array().unwrap().iter().flat_map(|object| object.as_object().unwrap().clone()).collect()
    };
    let parents = objects(printed).into_iter();
    let mut entries: Vec<_> = parents
        .flat_map(|(parent, of_parent)| {
            objects(&of_parent).into_iter().map(move |(name, value)| (parent.clone(), name, value))
        })
        .collect();
    entries.sort_by_key(|(parent, name, _)| (parent.clone(), name.clone()));
    entries
}

#[test]
fn mdevctl_lists_the_same_devices_and_types() {
    if !root_can("mount a tree as /sys") || !have("mdevctl") || !have("unshare") {
        return;
    }
    let scratch = Scratch::new();
    let mut compared = 0;
    for name in HOSTS.into_iter().filter(|name| host(name).join("class/mdev_bus").is_dir()) {
        let recorded = record(of_host(&scratch, name));
        let parents = recorded["mdev_parents"].as_array().unwrap();
        let of_parents = |of_parent: fn(&Value) -> Vec<Value>| -> Value {
            parents.iter().map(|parent| json!({ parent["name"].as_str().unwrap(): of_parent(parent) })).collect()
        };
        let mdevs = of_parents(|parent| {
            let mdevs = parent["mdevs"].as_array().unwrap().iter();
            let entry = |mdev: &Value| json!({ "mdev_type": mdev["type"], "start": "manual", "attrs": [] });
            mdevs.map(|mdev| json!({ mdev["uuid"].as_str().unwrap(): entry(mdev) })).collect()
        });
        let types = of_parents(|parent| {
            let types = parent["types"].as_array().unwrap().iter();
            types
                .map(|supported| {
                    let mut entry = supported.as_object().unwrap().clone();
                    let name = entry.remove("type").unwrap();
                    // mdevctl joins the lines.
                    if let Some(description) = entry.get_mut("description") {
                        *description = json!(description.as_str().unwrap().replace('\n', ", "));
                    }
                    json!({ name.as_str().unwrap(): entry })
                })
                .collect()
        });
        for (command, ours) in [("list", mdevs), ("types", types)] {
            let theirs = entries(&mdevctl(&scratch, &host(name), command));
            assert_eq!(entries(&ours), theirs, "{name}: left is virt-mdev list, right is mdevctl {command}");
            compared += theirs.len();
        }
    }
    assert!(compared > 30, "{compared}");
}
