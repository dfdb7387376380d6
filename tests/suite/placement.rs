//! `check` against other hosts: whether a guest can go there. The guests and the expected texts are in `testdata/placement`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::support::guests::{self, ABSENT, NONE, guest_recorded, host_a, identity, uuid};
use crate::support::{BINARY, Run, Scratch, assert_testdata, testdata, testdata_matching};

/// Returns a scratch directory with the guests of `testdata/placement/guests`, the records of host-a to host-d as `a.json` to
/// `d.json`, and node devices as `nodedev.xml`.
pub fn scratch() -> Scratch {
    let scratch = Scratch::new();
    for guest in testdata_matching("placement/guests/*.xml") {
        scratch.file(guest.file_name().unwrap(), fs::read(&guest).unwrap());
    }
    for host in ["a", "b", "c", "d"] {
        let name = format!("host-{host}");
        let sys = testdata("hosts/linux-6.1").join(&name).join("sys");
        let run = scratch.virt_mdev(["list", "--json", "--sysfs"]).arg(sys).stdout_any();
        let mut record: Value = serde_json::from_slice(&run.check().stdout).unwrap();
        record["host"] = name.into();
        scratch.file(format!("{host}.json"), record.to_string());
    }
    scratch.file("nodedev.xml", fs::read(testdata("nodedev/forms.xml")).unwrap());
    scratch
}

/// Compares both outputs of a run with a file of `testdata/placement`.
fn expect(run: Run<'_>, name: &str) {
    let finished = run.stdout_any().stderr_any().check();
    let mut text = finished.stdout_text();
    if !finished.stderr_text().is_empty() {
        text += &format!("--- standard error\n{}", finished.stderr_text());
    }
    assert_testdata(&text, &format!("placement/{name}"));
}

fn check<'a>(scratch: &'a Scratch, arguments: &str) -> Run<'a> {
    scratch.virt_mdev(["check"]).args(arguments)
}

/// A host with one parent of mediated devices, and one card with virtual functions.
pub fn host(types: &[(&str, u32)], mdevs: &[(u8, &str)], functions: &[(u8, Option<u32>)]) -> Value {
    let card =
        |address: &str| json!({"address": address, "vendorid": "0x10de", "productid": "0x26b9", "driver": "nvidia"});
    let mut pci = vec![card("0000:01:00.0"), card("0000:02:00.0")];
    for (function, vgpu_type) in functions {
        let mut device = card(&format!("0000:02:00.{function}"));
        device["physfn"] = "0000:02:00.0".into();
        device["vgpu_type"] = vgpu_type.map_or("none".into(), |number| format!("nvidia-{number}").into());
        let creatable =
            [1, 2].map(|number| json!({"type": format!("nvidia-{number}"), "name": format!("Type {number}")}));
        device["creatable_vgpu_types"] = creatable.into_iter().collect();
        pci.push(device);
    }
    let others =
        mdevs.iter().map(|(_, mdev_type)| (*mdev_type, 0)).filter(|(of, _)| types.iter().all(|(name, _)| name != of));
    let types: BTreeMap<_, _> = types.iter().copied().chain(others).collect();
    let types =
        types.iter().map(|(name, left)| json!({"type": name, "device_api": "vfio-pci", "available_instances": left}));
    let mdevs = mdevs.iter().map(|(number, mdev_type)| json!({"uuid": mdev(*number), "type": mdev_type}));
    json!({"version": 1, "host": "host-x", "pci_devices": pci, "mdev_parents": [{
        "name": "0000:01:00.0", "bus": "pci", "types": types.collect::<Value>(), "mdevs": mdevs.collect::<Value>(),
    }]})
}

/// Returns the UUID of the mediated device of this number.
pub fn mdev(number: u8) -> String {
    format!("c0ffee00-0000-4000-8000-0000000000{number:02x}")
}

/// A device of a guest.
#[derive(Clone, Copy)]
pub enum Device<'a> {
    /// A mediated device of this number and recorded type.
    Mdev(u8, &'a str),
    /// The virtual function of this number of the card 0000:02:00.0, and its recorded vGPU type.
    Function(u8, u32),
}
use Device::{Function, Mdev};

/// Returns a recorded guest with these devices, in the slots from 08 on.
pub fn guest(name: &str, devices: &[Device<'_>]) -> String {
    let (mut records, mut hostdevs) = (String::new(), String::new());
    let ids = "<mdev:vendorid>0x10de</mdev:vendorid><mdev:productid>0x26b9</mdev:productid>";
    for (slot, device) in (8..).zip(devices) {
        let at = format!("<address type='pci' slot='{slot:#04x}'/>");
        let key = format!("guest='0000:00:{slot:02x}.0'");
        match *device {
            Mdev(number, mdev_type) => {
                let uuid = mdev(number);
                hostdevs += &format!(
                    "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='{uuid}'/></source>{at}\
                     </hostdev>\n"
                );
                records += &format!(
                    "<mdev:hostdev uuid='{uuid}' {key}>{ids}<mdev:mdevtype>{mdev_type}</mdev:mdevtype></mdev:hostdev>\n"
                );
            }
            Function(number, vgpu_type) => {
                hostdevs += &format!(
                    "<hostdev mode='subsystem' type='pci'><source><address bus='2' function='{number}'/></source>{at}\
                     </hostdev>\n"
                );
                records += &format!(
                    "<mdev:pci source='0000:02:00.{number}' {key}>{ids}<mdev:vgputype>nvidia-{vgpu_type}</mdev:vgputype>\
                     </mdev:pci>\n"
                );
            }
        }
    }
    format!(
        "<domain><name>{name}</name><metadata><mdev:identities xmlns:mdev='urn:virt-mdev:1'>\n{records}\
         </mdev:identities></metadata><devices>\n{hostdevs}</devices></domain>\n"
    )
}

/// Returns the verdict on each device of a guest on a host with these guests, with what it would have instead, or the reason.
fn verdicts(host: &Value, guest: &str, in_use: &[&str]) -> Vec<String> {
    let scratch = Scratch::with("guest.xml", guest);
    scratch.file("host.json", host.to_string());
    let mut run = check(&scratch, "guest.xml --host host.json --accept creatable --json").stdout_any();
    for (number, other) in in_use.iter().enumerate() {
        scratch.file(format!("other-{number}.xml"), other);
        run = run.args(&format!("--in-use other-{number}.xml"));
    }
    let (errors, finished) = run.errors();
    let pairs: Value = serde_json::from_slice(&finished.stdout).unwrap_or_else(|_| panic!("{errors:?}"));
    let devices = pairs[0]["devices"].as_array().unwrap();
    let verdict = |device: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let instead = device.get("instead").map(|instead| {
            let (what, which) = instead.as_object().unwrap().iter().next().unwrap();
            format!(" {what} {}", text(which))
        });
        let reason = device.get("reason").map(|reason| format!(": {}", text(reason)));
        [text(&device["verdict"]), instead.unwrap_or_default(), reason.unwrap_or_default()].concat()
    };
    let verdicts: Vec<_> = devices.iter().map(verdict).collect();
    let is_accepted = |verdict: &String| ["same", "free", "creatable"].iter().any(|good| verdict.starts_with(good));
    assert_eq!(finished.status, Some(i32::from(!verdicts.iter().all(is_accepted))), "{verdicts:?}");
    verdicts
}

#[test]
fn each_verdict_has_its_status_with_each_accept() {
    let scratch = scratch();
    for (guest, host, verdict, accepted_from) in [
        ("same", "a.json", "same", 0),
        ("twin", "b.json", "free", 1),
        ("vgpu", "d.json", "free", 1),
        ("new", "b.json", "creatable", 2),
        ("different", "b.json", "different", 3),
        ("missing", "b.json", "missing", 3),
        ("twin", "d.json", "missing", 3),
        ("untyped", "d.json", "untyped", 3),
        ("unrecorded", "a.json", "unrecorded", 3),
        ("vgpu", "nodedev.xml", "unknown", 3),
    ] {
        for (number, accept) in ["same", "free", "creatable"].into_iter().enumerate() {
            let status = i32::from(number < accepted_from);
            let run = check(&scratch, &format!("{guest}.xml --host {host} --accept {accept}"));
            let table = run.status(status).stdout_any().check().stdout_text();
            assert_eq!(table.lines().nth(1).unwrap().split_whitespace().nth(2), Some(verdict), "{guest}: {table}");
            check(&scratch, &format!("-q {guest}.xml --host {host} --accept {accept}")).status(status).check();
        }
        // --host alone, and --in-use alone, accept only the same device.
        check(&scratch, &format!("-q {guest}.xml --host {host}")).status(i32::from(accepted_from > 0)).check();
    }
}

#[test]
fn one_host_is_a_table_or_an_array() {
    let scratch = scratch();
    for host in ["a", "b", "c", "d"] {
        let status = 1;
        let run = check(&scratch, &format!("*.xml --host {host}.json --accept creatable"));
        scratch.path("nodedev.xml").exists().then(|| fs::remove_file(scratch.path("nodedev.xml")).unwrap());
        expect(run.status(status), &format!("table-{host}.txt"));
    }
    expect(check(&scratch, "twin.xml --host b.json --accept free"), "table-one-file.txt");
    expect(check(&scratch, "*.xml --host b.json --accept free --json").status(1), "array.json");
    let run = scratch.virt_mdev(["check", "same.xml", "--accept", "same", "--sysfs"]).arg(host_a());
    expect(run, "table-this-host.txt");
}

#[test]
fn several_hosts_are_a_matrix_or_json_lines() {
    let scratch = scratch();
    fs::rename(scratch.path("nodedev.xml"), scratch.path("nodedev")).unwrap();
    scratch.file("broken.xml", "<domain>");
    let hosts = "--host '*.json' --host nodedev";
    expect(check(&scratch, &format!("*.xml {hosts} --accept creatable")).status(2), "matrix.txt");
    expect(check(&scratch, &format!("*.xml {hosts} --accept creatable -v")).status(2), "matrix-reasons.txt");
    expect(check(&scratch, &format!("same.xml twin.xml broken.xml {hosts} --json")).status(2), "lines.json");
    // Each line is a document of its own, and says the same as the array of one host.
    let lines = check(&scratch, &format!("*.xml {hosts} --json")).status(2).stderr_any().stdout_any().check();
    let lines: Vec<Value> = lines.stdout_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for host in ["a.json", "b.json", "c.json", "d.json", "nodedev"] {
        let run = check(&scratch, &format!("*.xml --host {host} --json")).status(2).stderr_any().stdout_any();
        let array: Vec<Value> = serde_json::from_slice(&run.check().stdout).unwrap();
        let name = &array[1]["host"];
        let of_host = lines.iter().filter(|line| line["host"] == *name || line.get("error").is_some());
        assert_eq!(of_host.cloned().collect::<Vec<_>>(), array, "{host}");
    }
}

#[test]
fn two_hostdevs_never_get_one_free_device() {
    let two = guest("vm", &[Mdev(0x10, "a"), Mdev(0x11, "a")]);
    let free = |number| format!("free uuid {}", mdev(number));
    assert_eq!(verdicts(&host(&[], &[(1, "a"), (2, "a")], &[]), &two, &[]), [free(1), free(2)]);
    assert_eq!(verdicts(&host(&[], &[(1, "a"), (2, "b")], &[]), &two, &[]), [free(1), "missing".to_owned()]);
    // A device that the guest has is not free for its other hostdev.
    let has_it = guest("vm", &[Mdev(0x10, "a"), Mdev(1, "a")]);
    assert_eq!(verdicts(&host(&[], &[(1, "a")], &[]), &has_it, &[]), ["missing", "same"]);
    // Not even if it has another type than its hostdev asks for.
    let wrong = guest("vm", &[Mdev(0x10, "a"), Mdev(1, "b")]);
    assert_eq!(verdicts(&host(&[], &[(1, "a")], &[]), &wrong, &[]), ["missing", "different"]);
    // Virtual functions likewise.
    let functions = guest("vm", &[Function(1, 1), Function(2, 1)]);
    let one = host(&[], &[], &[(3, Some(1)), (1, Some(2))]);
    assert_eq!(verdicts(&one, &functions, &[]), ["free source 0000:02:00.3", "missing"]);
}

#[test]
fn instances_of_one_type_are_counted() {
    let new = |count: usize, of: usize| {
        let made = std::iter::repeat_n("creatable parent 0000:01:00.0", count);
        made.chain(std::iter::repeat_n("missing", of - count)).collect::<Vec<_>>()
    };
    let guest = guest("vm", &[Mdev(0x10, "a"), Mdev(0x11, "a"), Mdev(0x12, "a")]);
    for left in 0..5 {
        assert_eq!(verdicts(&host(&[("a", left)], &[], &[]), &guest, &[]), new(left.min(3) as usize, 3), "{left}");
    }
    assert_eq!(verdicts(&host(&[("a", u32::MAX)], &[], &[]), &guest, &[]), new(3, 3));
    // Free ones come first.
    let both = verdicts(&host(&[("a", 1)], &[(1, "a")], &[]), &guest, &[]);
    assert_eq!(both, [format!("free uuid {}", mdev(1)), new(1, 1).concat(), "missing".to_owned()]);
}

#[test]
fn two_types_are_not_counted_together_on_one_card() {
    let shared = |card| format!("{card} could provide it, but is counted for another type that the guest needs");
    let mixed = guest("vm", &[Mdev(0x10, "a"), Mdev(0x11, "b"), Mdev(0x12, "b")]);
    let parent = host(&[("a", 3), ("b", 3)], &[], &[]);
    let created = "creatable parent 0000:01:00.0".to_owned();
    let refused = format!("missing: {}", shared("0000:01:00.0"));
    // The card is given to the type of which it can make most.
    assert_eq!(verdicts(&parent, &mixed, &[]), [refused, created.clone(), created.clone()]);
    // A second parent serves the other one.
    let mut two = parent;
    let mut other = two["mdev_parents"][0].clone();
    other["name"] = "0000:02:00.0".into();
    two["mdev_parents"].as_array_mut().unwrap().push(other);
    let verdicts_of_two = verdicts(&two, &mixed, &[]);
    assert!(verdicts_of_two.iter().all(|verdict| verdict.starts_with("creatable")), "{verdicts_of_two:?}");
    assert_ne!(verdicts_of_two[0], verdicts_of_two[1]);

    let functions = guest("vm", &[Function(1, 1), Function(2, 2)]);
    let untyped = host(&[], &[], &[(1, None), (2, None)]);
    let own = "creatable untyped 0000:02:00.1".to_owned();
    assert_eq!(verdicts(&untyped, &functions, &[]), [own.clone(), format!("untyped: {}", shared("0000:02:00.0"))]);
    // Of one type both can be made.
    let alike = guest("vm", &[Function(1, 1), Function(2, 1)]);
    assert_eq!(verdicts(&untyped, &alike, &[]), [own, "creatable untyped 0000:02:00.2".to_owned()]);
    // A function that the guest names for something else is not given.
    let crossed = guest("vm", &[Function(1, 1), Function(2, 3)]);
    assert_eq!(verdicts(&host(&[], &[], &[(2, None)]), &crossed, &[]), ["missing", "untyped"]);
}

#[test]
fn a_card_that_can_make_few_types_is_given_to_them_first() {
    // So many devices and cards that not every way to give the cards is tried.
    let mut host = host(&[], &[], &[]);
    let types = |b: u32| {
        json!([{"type": "a", "device_api": "vfio-pci", "available_instances": 12},
               {"type": "b", "device_api": "vfio-pci", "available_instances": b}])
    };
    let addresses: Vec<_> = (1..30).map(|bus| format!("0000:{bus:02x}:00.0")).collect();
    host["pci_devices"] = addresses
        .iter()
        .map(|address| json!({"address": address, "vendorid": "0x10de", "productid": "0x26b9"}))
        .collect();
    let parent = |address: &String| {
        let types = types(if address == &addresses[0] { 12 } else { 0 });
        json!({"name": address, "bus": "pci", "types": types, "mdevs": []})
    };
    host["mdev_parents"] = addresses.iter().map(parent).collect();
    for first in ["a", "b"] {
        let second = if first == "a" { "b" } else { "a" };
        let devices: Vec<_> = (0..24).map(|number| Mdev(number, if number < 12 { first } else { second })).collect();
        let verdicts = verdicts(&host, &guest("vm", &devices), &[]);
        assert!(verdicts.iter().all(|verdict| verdict.starts_with("creatable")), "{first} first: {verdicts:?}");
    }
}

#[test]
fn the_reason_names_the_recorded_vgpu_type_and_the_one_there() {
    let host = host(&[], &[], &[(4, Some(2))]);
    let guest = guest("win10", &[Function(4, 1)]);
    assert_eq!(verdicts(&host, &guest, &[]), ["different: recorded: Type 1, there: Type 2"]);
}

#[test]
fn a_device_of_another_guest_is_not_free() {
    let wanting = guest("vm", &[Mdev(0x10, "a")]);
    let one = host(&[], &[(1, "a")], &[]);
    let having = |name| guest(name, &[Mdev(1, "a")]);
    let free = format!("free uuid {}", mdev(1));
    assert_eq!(verdicts(&one, &wanting, &[]), [&*free]);
    assert_eq!(verdicts(&one, &wanting, &[&having("other")]), ["missing"]);
    assert_eq!(verdicts(&one, &wanting, &[&wanting]), [&*free]);
    // The device that the domain names, unless the other guest is the same.
    assert_eq!(verdicts(&one, &having("vm"), &[&having("vm")]), ["same"]);
    assert_eq!(verdicts(&one, &having("vm"), &[&having("vm"), &having("other")]), ["missing: guest other has it"]);
    let nameless = having("").replace("<name></name>", "");
    assert_eq!(verdicts(&one, &nameless, &[&nameless]), ["missing: guest - has it"]);
    // Then another one is free.
    let two = host(&[], &[(1, "a"), (2, "a")], &[]);
    let instead = format!("free uuid {}: guest other has it", mdev(2));
    assert_eq!(verdicts(&two, &having("vm"), &[&having("other")]), [instead]);
    // A function that another guest waits for is not given a type.
    let function = guest("vm", &[Function(1, 1)]);
    let untyped = host(&[], &[], &[(2, None)]);
    assert_eq!(verdicts(&untyped, &function, &[]), ["creatable untyped 0000:02:00.2"]);
    assert_eq!(verdicts(&untyped, &function, &[&guest("other", &[Function(2, 2)])]), ["missing"]);
    // A snapshot has two domains; both count.
    let snapshot = format!(
        "<domainsnapshot>{}{}</domainsnapshot>",
        having("other"),
        guest("other", &[Mdev(2, "a")]).replace("domain>", "inactiveDomain>")
    );
    assert_eq!(verdicts(&two, &wanting, &[&snapshot]), ["missing"]);
}

#[test]
fn in_use_takes_patterns_and_every_document_must_be_readable() {
    let scratch = scratch();
    let having = |device: &str| guests::guest(device, &NONE).replace("<name>vm<", "<name>other<");
    scratch.file("used/1.xml", having("0b0b0b0b-0000-4000-8000-00000000000b"));
    scratch.file("used/2.xml", having(ABSENT));
    let with = |arguments: &str| check(&scratch, &format!("twin.xml --host b.json --accept free {arguments}"));
    with("--in-use used/2.xml").stdout_has("free").check();
    with("--in-use 'used/*.xml'").status(1).stdout_has("creatable").check();
    with("--in-use used/2.xml --in-use used/1.xml").status(1).stdout_has("creatable").check();
    with("--in-use 'none/*.xml'").status(2).stderr_has("none/*.xml").check();
    with("--in-use none.xml").status(2).stderr_has("none.xml").check();
    scratch.file("used/3.xml", "<domain>");
    with("--in-use 'used/*.xml'").status(2).stderr_has("used/3.xml").check();
    // Not even with -k: a device that is overlooked would be given twice.
    with("-k --in-use 'used/*.xml'").status(2).stderr_has("used/3.xml").check();
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_with_keep_going_the_others_are_checked() {
    let scratch = scratch();
    scratch.file("broken.json", "{}");
    scratch.file("broken.xml", "<domain>");
    let with = |arguments: &str| check(&scratch, arguments).status(2);
    with("same.xml --host a.json --host broken.json").stderr_has("broken.json").check();
    with("same.xml --host a.json --host absent.json").stderr_has("absent.json").check();
    with("same.xml --host a.json --host 'absent/*.json'").stderr_has("absent/*.json").check();
    with("absent.xml --host a.json").stderr_has("absent.xml").check();
    with("-k same.xml --host a.json --host broken.json").stderr_has("broken.json").stdout_has("same").check();
    with("-k same.xml --host a.json --host absent.json").stderr_has("absent.json").stdout_has("same").check();
    with("-k absent.xml same.xml --host a.json").stderr_has("absent.xml").stdout_has("same").check();
    with("broken.xml same.xml --host a.json").stderr_has("broken.xml:1:").stdout_has("same").check();
    with("-k same.xml --host broken.json").stderr_has("broken.json").check();
    with("-k --json same.xml --host broken.json").stderr_has("broken.json").check();
    // Of the hosts that were asked for, one is left; the form stays that of several.
    with("-k same.xml --host a.json --host broken.json")
        .stderr_any()
        .stdout("DOMAIN  host-a\nsame    =\n\n= same\n")
        .check();
    with("-k --json same.xml --host a.json --host broken.json").stderr_any().stdout_has("{\"file\"").check();
    with("broken.xml --host a.json --json").stderr_has("broken.xml").stdout_has("\"error\":").check();
    with("-k 'absent/*.xml' --host a.json").stderr_has("absent/*.xml").check();
    with("-k --json 'absent/*.xml' --host a.json").stderr_any().stdout_has("{\"file\":\"absent/*.xml\",").check();
    with("-k --json 'absent/*.xml' --host a.json --host b.json")
        .stderr_any()
        .stdout_has("{\"file\":\"absent/*.xml\",")
        .check();
    with("-k 'absent/*.xml' --host a.json --host b.json").stderr_any().check();
}

#[test]
fn standard_input_is_read_once() {
    let scratch = scratch();
    for words in [
        "check - --host -",
        "check --host -",
        "check --host a.json --in-use -",
        "check same.xml --host - --in-use -",
        "fill --host -",
        "fill -n same.xml - --host -",
        "list - --host -",
        "retarget --host -",
        "retarget same.xml --host - --in-use -",
    ] {
        let run = scratch.program(BINARY, words.split(' ')).stdin("<domain/>").status(2);
        run.stderr_has("standard input (-) can be read only once").check();
    }
    let hook = ["hook", "--host", "-", "--", "same", "migrate", "begin", "-"];
    let guest = fs::read(scratch.path("same.xml")).unwrap();
    scratch.program(BINARY, hook).stdin(guest).status(1).stderr_has("standard input (-) can be read only once").check();
}

#[test]
fn hosts_of_one_name_are_told_apart_by_their_files() {
    let scratch = scratch();
    scratch.file("twin.json", fs::read_to_string(scratch.path("a.json")).unwrap());
    let run = check(&scratch, "same.xml --host a.json --host c.json --host twin.json -v").status(1);
    run.stdout(
        "DOMAIN  host-a (a.json)  host-c  host-a (twin.json)\n\
         same    =                M       =\n\n\
         = same   M missing\n\n\
         same on host-c: mdev c0ffee01-0000-4000-8000-000000000001: missing; recorded 0x1234 0x11e8 i915-V5_4\n",
    )
    .check();
}

#[test]
fn a_guest_without_devices_can_go_anywhere() {
    let scratch = scratch();
    let bare = "<domain><name>bare</name><devices/></domain>";
    let with = |arguments: &str| check(&scratch, arguments).stdin(bare);
    with("--host d.json").check();
    with("--host d.json --json").stdout_has("\"verdict\":\"same\",\"devices\":[]").check();
    with("--host c.json --host d.json").stdout("DOMAIN  host-c  host-d\nbare    =       =\n\n= same\n").check();
    with("--host c.json --host d.json -v").stdout("DOMAIN  host-c  host-d\nbare    =       =\n\n= same\n").check();
}

#[test]
fn the_node_devices_of_a_host_give_the_same_verdicts_as_its_sysfs() {
    let scratch = scratch();
    scratch.file("nodedev.xml", fs::read(testdata("nodedev/host-a.xml")).unwrap());
    let of = |guest: &str, host: &str| {
        let run = check(&scratch, &format!("{guest}.xml --host {host} --accept creatable --json"));
        let pairs: Value = serde_json::from_slice(&run.errors().1.stdout).unwrap();
        let devices = pairs[0]["devices"].as_array().unwrap();
        let verdict = |device: &Value| {
            let reason = device.get("reason").map(|reason| reason.as_str().unwrap().replace(host, "HOST"));
            json!([device["verdict"], device["found"], device.get("instead"), reason])
        };
        devices.iter().map(verdict).collect::<Vec<_>>()
    };
    let mut verdicts = BTreeSet::new();
    for (number, device) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (1, 2), (5, 3), (8, 1), (8, 4), (8, 5), (9, 1)] {
        let [vendor, product, mdev_type] = identity(device);
        for mdev_type in [mdev_type, "i915-V5_8", "i915-V5_2"] {
            scratch.file("guest.xml", guest_recorded(&uuid(number), [vendor, product, mdev_type]));
            let of_sysfs = of("guest", "a.json");
            assert_eq!(of("guest", "nodedev.xml"), of_sysfs, "{number} recorded as {device}, {mdev_type}");
            verdicts.extend(of_sysfs.iter().map(|device| device[0].to_string()));
        }
    }
    assert!(verdicts.len() >= 5, "{verdicts:?}");
    for guest in ["same", "twin", "new", "different", "missing", "unrecorded"] {
        assert_eq!(of(guest, "nodedev.xml"), of(guest, "a.json"), "{guest}");
    }
}

#[test]
fn a_record_of_a_host_gives_the_same_reasons_as_the_host() {
    for case in [
        "check-became-a-pci-device",
        "check-record-of-the-address-was-made-for-another-uuid",
        "check-records-exchanged",
        "check-vgpu-other-board",
    ] {
        let read = |name: &str| fs::read_to_string(testdata("cases").join(case).join(name)).unwrap();
        let scratch = Scratch::with("guest.xml", read("in.xml"));
        let sys = scratch.host(&read("sys.txt"));
        let record = scratch.virt_mdev(["list", "--json", "--sysfs"]).arg(sys).stdout_any().stderr_any().check().stdout;
        scratch.file("host.json", record);
        let status = read("expect.status").trim().parse().unwrap();
        let expected = read("expect.xml").replace("ON THIS HOST", "ON THAT HOST");
        check(&scratch, "- --host host.json")
            .stdin(read("in.xml"))
            .status(status)
            .stderr_any()
            .stdout(expected)
            .check();
    }
}

#[test]
fn a_record_without_hostdev_and_hostdevs_that_are_not_compared_are_reported() {
    let scratch = scratch();
    let two = check(&scratch, "two.xml --host a.json");
    two.stdout_any().stderr_has("note: two.xml: 1 hostdev of type pci was not compared").check();
    check(&scratch, "-q two.xml --host a.json").check();
    // A function that has a type on one host only.
    let unrecorded = "<domain><name>vm</name><devices><hostdev mode='subsystem' type='pci'><source>\
        <address bus='1' slot='0' function='4'/></source></hostdev></devices></domain>";
    let matrix = "DOMAIN  host-c  host-d\nvm      R       -\n\nR unrecorded   - not compared\n";
    check(&scratch, "--host c.json --host d.json").stdin(unrecorded).status(1).stdout(matrix).check();
    let stale = fs::read_to_string(scratch.path("same.xml")).unwrap();
    let (start, end) = (stale.find("    <hostdev").unwrap(), stale.find("  </devices>").unwrap());
    scratch.file("same.xml", format!("{}{}", &stale[..start], &stale[end..]));
    for hosts in ["--host a.json", "--host a.json --host b.json", "--host a.json --json"] {
        let run = check(&scratch, &format!("same.xml {hosts}")).stdout_any();
        run.stderr_has("warning: ").stderr_has("c0ffee01").check();
    }
    check(&scratch, "-q same.xml --host a.json").check();
}

#[test]
fn a_host_is_either_a_file_or_this_one() {
    let scratch = scratch();
    for option in ["--sysfs /sys", "--defined"] {
        let run = check(&scratch, &format!("same.xml --host a.json {option}"));
        run.status(2).stderr_has("--host").stderr_has(option.split_whitespace().next().unwrap()).check();
    }
    check(&scratch, "same.xml --host a.json --accept different").status(2).stderr_has("possible values").check();
    // The environment names the live host only.
    check(&scratch, "same.xml --host a.json").env("VIRT_MDEV_SYSFS", "/nowhere").stdout_has("same").check();
    // Without --host, the live host is looked at for other devices too.
    let sys = testdata("hosts/linux-6.1/host-b/sys");
    let run = check(&scratch, "twin.xml --accept free").env("VIRT_MDEV_SYSFS", &sys);
    run.stdout_has("0b0b0b0b-0000-4000-8000-00000000000b is free").check();
    let run = check(&scratch, "twin.xml --in-use same.xml").env("VIRT_MDEV_SYSFS", &sys).status(1);
    run.stdout_has("0b0b0b0b-0000-4000-8000-00000000000b is free").check();
    check(&scratch, "twin.xml").env("VIRT_MDEV_SYSFS", &sys).status(1).stdout_has("different").check();
}

#[test]
fn hostile_names_are_escaped() {
    let scratch = scratch();
    let mut host = host(&[], &[(1, "a")], &[]);
    host["host"] = "host\u{1b}[31m\n".into();
    scratch.file("host.json", host.to_string());
    scratch.file("guest.xml", guest("vm&#xA;\u{9b}31m", &[Mdev(1, "a"), Mdev(2, "a")]));
    scratch.file("other.xml", guest("other&#xA;\u{9b}31m", &[Mdev(1, "a")]));
    scratch.file("odd\u{1b}\n31m.xml", guest("odd", &[Mdev(2, "a")]).replace("<name>odd</name>", ""));
    scratch.file("odd\u{1b}\n31m-broken.xml", "<domain>");
    for arguments in ["", "--host d.json", "--host d.json -v"] {
        let run = check(&scratch, &format!("guest.xml odd*.xml --host host.json --in-use other.xml {arguments}"));
        let text = run.status(2).stdout_any().stderr_any().check().stdout_text();
        let is_bad = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(is_bad) && !text.contains("\n31m") && !text.contains("[31m\n"), "{text:?}");
    }
}

#[test]
fn a_reader_that_is_gone_is_status_2_without_a_message() {
    let scratch = scratch();
    for arguments in ["--host a.json", "--host a.json --host b.json", "--host a.json --host b.json --json"] {
        check(&scratch, &format!("same.xml {arguments}")).reader_gone().status(2).check();
    }
}

#[test]
fn one_device_in_two_hostdevs_cannot_be_judged() {
    let document = guest("vm", &[Mdev(1, "a"), Mdev(2, "a")]);
    let document =
        document.replace(&format!("<address uuid='{}'/>", mdev(2)), &format!("<address uuid='{}'/>", mdev(1)));
    let scratch = Scratch::with("guest.xml", document);
    scratch.file("host.json", host(&[("a", 0)], &[(1, "a"), (2, "a")], &[]).to_string());
    check(&scratch, "guest.xml --host host.json").status(2).stderr_has("appears twice in this domain").check();
}
