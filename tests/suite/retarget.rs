//! `retarget`: the domain for another host. The expected differences are in `testdata/placement`.

use std::fs;

use serde_json::{Value, json};

use crate::placement::{Device, guest, host, mdev, scratch};
use crate::support::guests::{self, NONE};
use crate::support::{BINARY, Run, Scratch, assert_testdata, testdata};
use Device::{Function, Mdev};

const RICH: &str = "rich.xml --host host.json --in-use other.xml";

fn retarget<'a>(scratch: &'a Scratch, arguments: &str) -> Run<'a> {
    scratch.virt_mdev(["retarget"]).args(arguments)
}

fn text(run: Run<'_>) -> String {
    run.stdout_any().check().stdout_text()
}

/// Returns a scratch directory with `rich.xml`, a host that has other devices for it, and a guest of that host that has none.
fn rich() -> Scratch {
    let scratch = Scratch::with("rich.xml", fs::read(testdata("placement/rich.xml")).unwrap());
    scratch.file("host.json", fs::read(testdata("placement/rich-host.json")).unwrap());
    scratch.file("other.xml", guest("other", &[]));
    scratch
}

/// Returns a scratch directory with a host and a guest.
fn with(host: &Value, guest: &str) -> Scratch {
    let scratch = Scratch::with("guest.xml", guest);
    scratch.file("host.json", host.to_string());
    scratch
}

/// Returns the lines that differ; both texts have the same number.
fn difference(old: &str, new: &str) -> String {
    assert_eq!(old.lines().count(), new.lines().count(), "{new}");
    let lines = old.lines().zip(new.lines()).filter(|(old, new)| old != new);
    lines.map(|(old, new)| format!("-{old}\n+{new}\n")).collect()
}

#[test]
fn only_the_addresses_in_sources_and_records_change() {
    let scratch = rich();
    let old = fs::read_to_string(testdata("placement/rich.xml")).unwrap();
    let new = text(retarget(&scratch, RICH));
    assert_testdata(&difference(&old, &new), "placement/rich.diff");
    // Line endings and a byte order mark stay too.
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let run = retarget(&scratch, &RICH.replace("rich.xml", "-")).stdin(windows(&old));
    run.stdout(windows(&new)).check();
    // The order of attributes that are not there is that of libvirt.
    assert!(new.contains("<address domain='0x0001' bus='0x03' function='0x5'/>"), "{new}");
}

#[test]
fn the_result_passes_check_and_the_hook_and_is_not_changed_again() {
    let scratch = rich();
    let new = text(retarget(&scratch, RICH));
    scratch.file("new.xml", &new);
    scratch.virt_mdev(["check", "-q", "new.xml", "--host", "host.json"]).check();
    let hook =
        scratch.program(BINARY, ["hook", "--require", "--host", "host.json", "--", "rich", "migrate", "begin", "-"]);
    hook.env("VIRT_MDEV_SYSLOG", scratch.path("syslog")).stdin(&new).stdout_any().stderr_any().check();
    let again = "new.xml --host host.json";
    retarget(&scratch, again).stdout(&new).check();
    retarget(&scratch, &format!("{again} -n")).check();
    retarget(&scratch, &format!("{again} -n --json")).stdout("[]\n").check();
    // The hook refuses the domain as it was.
    let hook = scratch.program(BINARY, ["hook", "--host", "host.json", "--", "rich", "migrate", "begin", "-"]);
    let hook = hook.env("VIRT_MDEV_SYSLOG", scratch.path("syslog")).stdin(fs::read(scratch.path("rich.xml")).unwrap());
    hook.status(1).stderr_any().check();
}

#[test]
fn a_dry_run_prints_which_device_replaces_which() {
    let scratch = rich();
    assert_testdata(&text(retarget(&scratch, &format!("{RICH} -n"))), "placement/rich-dry-run.txt");
    assert_testdata(&text(retarget(&scratch, &format!("{RICH} -n --json"))), "placement/rich-dry-run.json");
    retarget(&scratch, &format!("{RICH} --json")).status(2).stderr_has("--dry-run").check();
}

#[test]
fn a_free_device_is_chosen_only_if_it_is_known_which_ones_are_in_use() {
    let scratch = with(&host(&[], &[(1, "a")], &[]), &guest("vm", &[Mdev(0x10, "a")]));
    let run = |arguments: &str| retarget(&scratch, &format!("guest.xml --host host.json {arguments}"));
    run("").status(1).stderr_has("host.json").stderr_has("--in-use").stderr_has("--assume-unused").check();
    run("-n").status(1).stderr_has("--in-use").check();
    run("--create-plan").status(1).stderr_has("--in-use").check();
    run("--assume-unused").stdout_has(&format!("<address uuid='{}'/>", mdev(1))).check();
    scratch.file("other.xml", guest("other", &[Mdev(1, "a")]));
    run("--in-use guest.xml").stdout_has(&mdev(1)).check();
    run("--in-use guest.xml --in-use other.xml").status(1).stderr_has("no other device").check();
    run("--in-use '[go]*.xml' --assume-unused").status(1).stderr_has("no other device").check();
    run("--in-use 'none/*.xml'").status(2).stderr_has("none/*.xml").stderr_has("--assume-unused").check();
    // The device that the domain names may be in use too.
    scratch.file("guest.xml", guest("vm", &[Mdev(1, "a")]));
    run("--in-use guest.xml").stdout_has(&mdev(1)).check();
    run("--in-use other.xml").status(1).stderr_has("guest other has it").check();
    // domstatus files name the devices of running guests.
    let status = format!(
        "<domstatus state='running' reason='booted' pid='1'>\n{}</domstatus>\n",
        guest("other", &[Mdev(1, "a")])
    );
    scratch.file("status.xml", status);
    run("--in-use status.xml").status(1).stderr_has("guest other has it").check();
}

#[test]
fn a_guest_comes_back_to_the_device_that_its_own_definition_there_has() {
    let before = guest("vm", &[Mdev(1, "a"), Mdev(2, "a")]);
    let moved = guest("vm", &[Mdev(0x10, "a"), Mdev(0x11, "a")]);
    let scratch = with(&host(&[], &[(1, "a"), (2, "a"), (3, "a")], &[]), &moved);
    scratch.file("before.xml", &before);
    let back = "guest.xml --host host.json --in-use before.xml";
    retarget(&scratch, back).stdout(&before).check();
    // Another guest has one of them now.
    scratch.file("other.xml", guest("other", &[Mdev(2, "a")]));
    let other = before.replace(&mdev(2), &mdev(3));
    retarget(&scratch, &format!("{back} --in-use other.xml")).stdout(&other).check();
    // A device that is created keeps its UUID too.
    let scratch = with(&host(&[("a", 1)], &[], &[]), &guest("vm", &[Mdev(1, "a")]));
    scratch.file("before.xml", guest("vm", &[Mdev(1, "a")]));
    let plan = retarget(&scratch, &format!("{back} --create-plan -n"));
    plan.stdout(format!("mdevctl start -u {} -p 0000:01:00.0 -t a\n", mdev(1))).check();
    // So does a virtual function that has to be given its type again.
    let scratch = with(&host(&[], &[], &[(1, None)]), &guest("vm", &[Function(7, 1)]));
    scratch.file("before.xml", guest("vm", &[Function(1, 1)]));
    retarget(&scratch, &format!("{back} --create-plan -n")).stdout_has("echo 1 >").check();
}

#[test]
fn without_a_device_nothing_is_printed_and_each_reason_is_told() {
    let scratch = with(
        &host(&[("a", 1), ("b", 1)], &[(1, "c")], &[(1, None), (2, Some(1))]),
        &guest(
            "vm",
            &[Mdev(0x10, "a"), Mdev(0x11, "b"), Mdev(1, "b"), Mdev(0x12, "z"), Function(1, 3), Function(2, 9)],
        ),
    );
    let all = retarget(&scratch, "guest.xml --host host.json --assume-unused --create-plan").status(1);
    let finished = all.stderr_any().check();
    assert_testdata(&finished.stderr_text(), "placement/refused.txt");
    let unrecorded = with(&host(&[], &[(1, "a")], &[]), &guests::guest(&mdev(1), &NONE));
    let run = retarget(&unrecorded, "guest.xml --host host.json --assume-unused").status(1);
    run.stderr_has("unrecorded").stderr_has("fill --into metadata").check();
}

#[test]
fn create_plan_prints_the_commands_and_uses_their_uuids() {
    let (ours, other) = (mdev(0x10), mdev(0x11));
    let document = guest("vm", &[Mdev(0x10, "a"), Mdev(0x11, "a"), Function(1, 2)]);
    // The host has the second UUID for another device.
    let scratch = with(&host(&[("a", 2)], &[(0x11, "b")], &[(3, None)]), &document);
    let plain = "guest.xml --host host.json";
    let refused =
        retarget(&scratch, plain).status(1).stderr_has("would have to be created").stderr_has("--create-plan");
    refused.check();
    let with_plan = format!("{plain} --create-plan");
    let finished = retarget(&scratch, &with_plan).stdout_any().stderr_any().check();
    let new = finished.stdout_text();
    let plan = finished.stderr_text();
    let lines: Vec<_> = plan.lines().collect();
    assert_eq!(lines[0], format!("mdevctl start -u {ours} -p 0000:01:00.0 -t a"));
    let made = lines[1].strip_prefix("mdevctl start -u ").unwrap().strip_suffix(" -p 0000:01:00.0 -t a").unwrap();
    assert!(made != other && made != ours, "{plan}");
    assert_eq!(lines[2..], ["echo 2 > /sys/bus/pci/devices/0000:02:00.3/nvidia/current_vgpu_type"]);
    assert_eq!(
        new,
        document
            .replace(&other, made)
            .replace("function='1'", "function='0x3'")
            .replace("0000:02:00.1'", "0000:02:00.3'")
    );
    // The same each time, and for another guest another one.
    retarget(&scratch, &with_plan).stdout(&new).stderr_has(made).check();
    let dry_run = text(retarget(&scratch, &format!("{with_plan} -n")));
    assert_eq!(
        dry_run,
        format!("mdev {other} -> mdev {made}\nPCI device 0000:02:00.1 -> PCI device 0000:02:00.3\n{plan}")
    );
    let commands: Value = serde_json::from_str(&text(retarget(&scratch, &format!("{with_plan} -n --json")))).unwrap();
    let created: Vec<_> =
        commands.as_array().unwrap().iter().map(|change| change["create"].as_str().unwrap()).collect();
    assert_eq!(created, lines);
    scratch.file("second.xml", document.replace("<name>vm<", "<name>second<"));
    let second = retarget(&scratch, &with_plan.replace("guest", "second")).stderr_lacks(made).stdout_any();
    second.check();
    // Once they are created, the domain is the same there.
    let done = host(&[("a", 0)], &[(0x11, "b"), (0x10, "a")], &[(3, Some(2))]);
    let mut done = done;
    done["mdev_parents"][0]["mdevs"].as_array_mut().unwrap().push(json!({"uuid": made, "type": "a"}));
    scratch.file("done.json", done.to_string());
    scratch.file("new.xml", &new);
    scratch.virt_mdev(["check", "-q", "new.xml", "--host", "done.json"]).check();
}

#[test]
fn its_own_function_is_only_given_its_type() {
    let document = guest("vm", &[Function(1, 2)]);
    let scratch = with(&host(&[], &[], &[(1, None), (2, None)]), &document);
    let line = "echo 2 > /sys/bus/pci/devices/0000:02:00.1/nvidia/current_vgpu_type\n";
    retarget(&scratch, "guest.xml --host host.json --create-plan").stdout(&document).stderr_has(line).check();
    retarget(&scratch, "guest.xml --host host.json --create-plan -n").stdout(line).check();
}

#[test]
fn a_record_that_belongs_by_guest_address_or_alias_gets_the_device() {
    let two = host(&[("a", 0)], &[(1, "a"), (2, "a")], &[]);
    let both = guest("vm", &[Mdev(0x10, "a"), Mdev(0x11, "a")]);
    // The records were made for other UUIDs.
    let moved = both.replace("<mdev:hostdev uuid='c0ffee00", "<mdev:hostdev uuid='0badc0de");
    let scratch = with(&two, &moved);
    let follow = "guest.xml --host host.json --assume-unused --follow-guest-address";
    let given = both.replace(&mdev(0x10), &mdev(1)).replace(&mdev(0x11), &mdev(2));
    retarget(&scratch, follow).stdout(&given).check();
    retarget(&scratch, "guest.xml --host host.json --assume-unused")
        .status(1)
        .stderr_has("fill --into metadata")
        .check();
    let by_alias = |text: &str| {
        let text = text.replace("guest='0000:00:08.0'", "alias='ua-1'").replace("guest='0000:00:09.0'", "alias='ua-2'");
        let text = text.replace("<address type='pci' slot='0x08'/>", "<alias name='ua-1'/>");
        text.replace("<address type='pci' slot='0x09'/>", "<alias name='ua-2'/>")
    };
    scratch.file("guest.xml", by_alias(&moved));
    retarget(&scratch, follow).stdout(by_alias(&given)).check();
    // Exchanged records stay as they are for a device that keeps its UUID.
    let exchanged = both.replace("<mdev:hostdev uuid='c0ffee00-0000-4000-8000-000000000010", "<mdev:hostdev uuid='X");
    let exchanged = exchanged.replace(
        "<mdev:hostdev uuid='c0ffee00-0000-4000-8000-000000000011",
        "<mdev:hostdev uuid='c0ffee00-0000-4000-8000-000000000010",
    );
    let exchanged = exchanged.replace("uuid='X", "uuid='c0ffee00-0000-4000-8000-000000000011");
    scratch.file("guest.xml", &exchanged);
    scratch.file("host.json", host(&[("a", 1)], &[(0x11, "a")], &[]).to_string());
    retarget(&scratch, &format!("{follow} --create-plan")).stdout(&exchanged).stderr_has(mdev(0x10)).check();
}

#[test]
fn a_device_that_a_record_without_hostdev_names_is_not_chosen() {
    let document = guest("vm", &[Mdev(0x10, "a"), Mdev(1, "a")]);
    let at = document.find("<hostdev").unwrap() + 8;
    let second = at + document[at..].find("<hostdev").unwrap();
    let stale = format!("{}</devices></domain>\n", &document[..second]);
    let scratch = with(&host(&[("a", 0)], &[(1, "a"), (2, "a")], &[]), &stale);
    let new = text(retarget(&scratch, "guest.xml --host host.json --assume-unused"));
    assert_eq!(new, stale.replace(&mdev(0x10), &mdev(2)));
    scratch.file("new.xml", new);
    scratch.virt_mdev(["check", "-q", "new.xml", "--host", "host.json"]).check();
}

#[test]
fn a_result_whose_records_contradict_each_other_is_not_printed() {
    // The record of the first device names the only free one, which the second would get.
    let document = guest("vm", &[Mdev(1, "a"), Mdev(0x10, "a")]);
    let moved = document.replacen(
        &format!("<mdev:hostdev uuid='{}'", mdev(1)),
        &format!("<mdev:hostdev uuid='{}'", mdev(2)),
        1,
    );
    let scratch = with(&host(&[("a", 0)], &[(1, "a"), (2, "a")], &[]), &moved);
    let run = retarget(&scratch, "guest.xml --host host.json --assume-unused --follow-guest-address");
    run.status(2).stderr_has("record of another hostdev").stderr_has("virt-mdev fill").check();
}

#[test]
fn hostdevs_that_are_not_compared_are_counted() {
    let scratch = scratch();
    let run = retarget(&scratch, "two.xml --host b.json --assume-unused --create-plan").stdout_has("bus='0x03'");
    run.stderr_has("two.xml: 1 hostdev of type pci was not compared").stderr_has("mdevctl start").check();
}

#[test]
fn a_domain_with_one_device_in_two_hostdevs_is_refused() {
    let document = guest("vm", &[Mdev(0x10, "a")]);
    let (start, end) = (document.find("<hostdev").unwrap(), document.find("</devices>").unwrap());
    let hostdev = document[start..end].replace("slot='0x08'", "slot='0x09'");
    let twice = document.replace("</devices>", &format!("{hostdev}</devices>"));
    let scratch = with(&host(&[("a", 2)], &[(1, "a"), (2, "a")], &[]), &twice);
    for option in ["--assume-unused", "--create-plan", "-n"] {
        let run = retarget(&scratch, &format!("guest.xml --host host.json {option}")).status(2);
        run.stderr_has("guest.xml:")
            .stderr_has(format!("another hostdev of the domain names mdev {}", mdev(0x10)))
            .check();
    }
}

#[test]
fn only_a_domain_can_be_retargeted() {
    let domain = guest("vm", &[Mdev(1, "a")]);
    let scratch = with(&host(&[], &[(1, "a")], &[]), &domain);
    for (document, root) in [
        (format!("<domainsnapshot>{domain}</domainsnapshot>"), "domainsnapshot"),
        (format!("<domaincheckpoint>{domain}</domaincheckpoint>"), "domaincheckpoint"),
        (format!("<domstatus state='running'>{domain}</domstatus>"), "domstatus"),
        (guests::hostdev(&mdev(1), &NONE), "hostdev"),
    ] {
        let run = retarget(&scratch, "--host host.json").stdin(document).status(2);
        run.stderr_has(format!("<{root}>")).stderr_has("virsh dumpxml --migratable").check();
    }
    scratch.file("other.xml", &domain);
    retarget(&scratch, "*.xml --host host.json").status(2).stderr_has("2 files match").check();
    retarget(&scratch, "guest.xml other.xml --host host.json").status(2).stderr_has("other.xml").check();
    retarget(&scratch, "guest.xml --host none.json").status(2).stderr_has("none.json").check();
    retarget(&scratch, "none.xml --host host.json").status(2).stderr_has("none.xml").check();
    retarget(&scratch, "guest.xml --host host.json --sysfs /sys").status(2).stderr_has("--sysfs").check();
}

#[test]
fn this_host_is_the_default() {
    let scratch = scratch();
    let sys = testdata("hosts/linux-6.1/host-b/sys");
    let run = retarget(&scratch, "twin.xml --assume-unused").env("VIRT_MDEV_SYSFS", &sys);
    let new = text(run);
    retarget(&scratch, "twin.xml --assume-unused --host b.json").stdout(&new).check();
    retarget(&scratch, "twin.xml --assume-unused --sysfs").arg(&sys).stdout(&new).check();
    assert_eq!(new.matches("0b0b0b0b-0000-4000-8000-00000000000b").count(), 2, "{new}");
}

#[test]
fn a_reader_that_is_gone_is_status_2_without_a_message() {
    let scratch = rich();
    for option in ["", "-n", "-n --json"] {
        retarget(&scratch, &format!("{RICH} {option}")).reader_gone().status(2).check();
    }
}

#[test]
fn hostile_names_are_escaped() {
    let mut host = host(&[("$(x) 'y", 1)], &[], &[]);
    host["host"] = "host\u{1b}[31m\n".into();
    let mdev_type = "$(x) &apos;y";
    let scratch = with(&host, &guest("vm&#xA;\u{9b}31m", &[Mdev(0x10, mdev_type), Mdev(1, "a")]));
    scratch.file("other.xml", guest("other&#xA;\u{9b}31m", &[Mdev(1, "a")]));
    scratch.file("odd\u{1b}\n.json", host.to_string());
    for arguments in ["--host host.json", "--host 'odd\u{1b}\n.json'"] {
        let run = retarget(&scratch, &format!("guest.xml {arguments} --in-use other.xml --create-plan"));
        let finished = run.status(1).stderr_any().check();
        let text = finished.stderr_text();
        assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains("\n.json"), "{text:?}");
    }
    // A type is a word of the command, whatever is in it.
    let host = crate::placement::host(&[("$(x) 'y", 1)], &[], &[]);
    let scratch = with(&host, &guest("vm", &[Mdev(0x10, "$(x) &apos;y")]));
    let run = retarget(&scratch, "guest.xml --host host.json --create-plan -n");
    let line = text(run);
    let words = shell_words::split(line.trim_end()).unwrap();
    assert_eq!(words, ["mdevctl", "start", "-u", &mdev(0x10), "-p", "0000:01:00.0", "-t", "$(x) 'y"], "{line}");
}

/// A sequence of numbers that is the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u8) -> u8 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % u64::from(limit)) as u8
    }

    fn mdev_type(&mut self) -> &'static str {
        ["a", "b"][usize::from(self.below(2))]
    }

    fn guest(&mut self, name: &str) -> String {
        let mut devices = Vec::new();
        for number in 0..1 + self.below(4) {
            devices.push(match self.below(2) {
                0 => Mdev(4 * self.below(2) + number, self.mdev_type()),
                _ => Function(1 + number, 1 + u32::from(self.below(2))),
            });
        }
        guest(name, &devices)
    }

    fn host(&mut self) -> Value {
        let types = [("a", u32::from(self.below(3))), ("b", u32::from(self.below(3)))];
        let mdevs: Vec<_> = (0..self.below(6)).map(|number| (number, self.mdev_type())).collect();
        let function = |number| (number, Some(u32::from(self.below(3))).filter(|of| *of > 0));
        let functions: Vec<_> = (1..6).map(function).collect();
        host(&types, &mdevs, &functions)
    }
}

/// Changes a host as the commands of a plan would. Returns their number.
fn carry_out(plan: &str, host: &mut Value) -> usize {
    let entry = |list: &mut Value, key: &str, value: &str, change: &dyn Fn(&mut Value)| {
        change(list.as_array_mut().unwrap().iter_mut().find(|entry| entry[key] == value).unwrap());
    };
    for line in plan.lines() {
        match line.split([' ', '/']).collect::<Vec<_>>()[..] {
            ["mdevctl", "start", "-u", uuid, "-p", parent, "-t", mdev_type] => {
                assert!(!host.to_string().contains(uuid), "{line}");
                entry(&mut host["mdev_parents"], "name", parent, &|parent| {
                    entry(&mut parent["types"], "type", mdev_type, &|of| {
                        of["available_instances"] =
                            (of["available_instances"].as_u64().unwrap().checked_sub(1).unwrap()).into();
                    });
                    parent["mdevs"].as_array_mut().unwrap().push(json!({"uuid": uuid, "type": mdev_type}));
                });
            }
            ["echo", number, ">", "", "sys", "bus", "pci", "devices", address, "nvidia", "current_vgpu_type"] => {
                entry(&mut host["pci_devices"], "address", address, &|device| {
                    assert_eq!(device["vgpu_type"], "none", "{line}");
                    device["vgpu_type"] = format!("nvidia-{number}").into();
                });
            }
            _ => panic!("{line}"),
        }
    }
    plan.lines().count()
}

#[test]
fn the_result_is_the_same_on_the_host_once_its_plan_is_carried_out() {
    let mut numbers = Numbers(1);
    let (mut changed, mut created, mut refused) = (0, 0, 0);
    for round in 0..100 {
        let mut host = numbers.host();
        let document = numbers.guest("vm");
        let scratch = with(&host, &document);
        scratch.file("other.xml", numbers.guest("other"));
        let arguments = "--host host.json --in-use other.xml";
        let accepted = scratch.virt_mdev(["check", "-q", "guest.xml", "--accept", "creatable"]).args(arguments);
        let accepted = accepted.stderr_any().errors().1.status;
        let (_, finished) = retarget(&scratch, &format!("guest.xml {arguments} --create-plan")).errors();
        assert_eq!(finished.status, accepted, "round {round}: {document}\n{host:#}\n{}", finished.stderr_text());
        if accepted == Some(1) {
            assert!(finished.stdout.is_empty());
            refused += 1;
            continue;
        }
        created += carry_out(&finished.stderr_text(), &mut host);
        changed += usize::from(finished.stdout != document.as_bytes());
        scratch.file("host.json", host.to_string());
        scratch.file("new.xml", &finished.stdout);
        scratch.virt_mdev(["check", "-q", "new.xml"]).args(arguments).check();
        retarget(&scratch, &format!("new.xml {arguments}")).stdout(&finished.stdout).check();
    }
    // The rounds are worth something only if they have each kind of answer.
    assert!(changed > 20 && created > 20 && refused > 20, "{changed} {created} {refused}");
}

#[test]
fn a_device_of_a_rival_record_is_not_chosen() {
    // A second record has the guest address of the hostdev, and names a free device.
    let both = guest("vm", &[Mdev(0x10, "a"), Mdev(1, "a")]);
    let record = both.lines().find(|line| line.contains(&format!("<mdev:hostdev uuid='{}'", mdev(1)))).unwrap();
    let rival = record.replace("0000:00:09.0", "0000:00:08.0");
    let one = guest("vm", &[Mdev(0x10, "a")]);
    let document = one.replace("</mdev:identities>", &format!("{rival}</mdev:identities>"));
    let document = document.replacen(" guest='0000:00:08.0'", "", 1);
    let scratch = with(&host(&[("a", 0)], &[(1, "a"), (2, "a")], &[]), &document);
    let run = retarget(&scratch, "guest.xml --host host.json --assume-unused");
    run.stdout(document.replace(&mdev(0x10), &mdev(2))).check();
}

#[test]
fn a_guest_whose_devices_cannot_be_read_may_have_any() {
    let scratch = with(&host(&[("a", 0)], &[(1, "a")], &[]), &guest("vm", &[Mdev(0x10, "a")]));
    let other = guest("other", &[Mdev(1, "a"), Function(1, 1)]);
    for (what, document, message) in [
        ("UUID", other.replace(&mdev(1), "zz"), "'zz' is not a UUID"),
        ("no address", other.replace(&format!("<address uuid='{}'/>", mdev(1)), ""), "no <address> element"),
        ("no source address", other.replace("<address bus='2' function='1'/>", ""), "no <address> element"),
        ("not an address", other.replace("bus='2' function='1'", "bus='2' function='99'"), "not a PCI address"),
    ] {
        assert_ne!(document, other, "{what}");
        scratch.file("other.xml", document);
        for command in ["retarget", "check"] {
            let run = scratch.virt_mdev([command]).args("guest.xml --host host.json --in-use other.xml");
            run.status(2).stderr_has(message).stderr_has("other.xml:").check();
        }
    }
}

#[test]
fn the_functions_of_interfaces_and_disks_are_in_use() {
    let mut pci = host(&[], &[], &[]);
    let device = |function: u8| json!({"address": format!("0000:03:00.{function}"), "vendorid": "0x8086", "productid": "0x10ed", "class": "0x020000"});
    pci["pci_devices"].as_array_mut().unwrap().extend([1, 2].map(device));
    let ids =
        "<mdev:vendorid>0x8086</mdev:vendorid><mdev:productid>0x10ed</mdev:productid><mdev:class>0x020000</mdev:class>";
    let recorded = |others: &str| {
        format!(
            "<domain><name>vm</name><metadata><mdev:identities xmlns:mdev='urn:virt-mdev:1'>\
             <mdev:pci source='0000:07:00.0'>{ids}</mdev:pci></mdev:identities></metadata><devices>\
             <hostdev mode='subsystem' type='pci'><source><address bus='7'/></source></hostdev>{others}</devices></domain>\n"
        )
    };
    let scratch = with(&pci, &recorded(""));
    scratch.file("empty.xml", guest("empty", &[]));
    let run = |arguments: &str| retarget(&scratch, &format!("guest.xml --host host.json -n {arguments}"));
    run("--in-use empty.xml").stdout_has("0000:07:00.0 -> PCI device 0000:03:00.1").check();
    let address = "<source><address type='pci' domain='0' bus='3' slot='0' function='1'/></source>";
    let actual = format!("<actual type='hostdev' managed='yes'>{address}</actual>");
    let of_nvme = "<source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x03' slot='0x00' function='0x1'/></source>";
    for other in [
        format!("<interface type='hostdev' managed='yes'>{address}</interface>"),
        format!("<interface type='network'><source network='pool'/>{actual}</interface>"),
        format!("<disk type='nvme' device='disk'>{of_nvme}</disk>"),
        format!("<disk type='file' device='disk'><backingStore type='nvme'>{of_nvme}</backingStore></disk>"),
    ] {
        let domain = |name| format!("<domain><name>{name}</name><devices>{other}</devices></domain>");
        scratch.file("other.xml", domain("other"));
        run("--in-use other.xml").stdout_has("0000:07:00.0 -> PCI device 0000:03:00.2").check();
        // The domain itself may have it too.
        scratch.file("own.xml", recorded(&other));
        let own = retarget(&scratch, "own.xml --host host.json -n --assume-unused");
        own.stdout_has("0000:07:00.0 -> PCI device 0000:03:00.2").check();
    }
}

#[test]
fn a_device_that_is_only_defined_is_started() {
    let document = guest("vm", &[Mdev(0x10, "a")]);
    let mut defined = host(&[("a", 0)], &[(1, "a"), (2, "a")], &[]);
    let mdevs =
        |host: &mut Value, number: usize| host["mdev_parents"][0]["mdevs"][number]["defined_only"] = true.into();
    mdevs(&mut defined, 0);
    let scratch = with(&defined, &document);
    // One that runs is better.
    let run = |arguments: &str| retarget(&scratch, &format!("{arguments} --host host.json --assume-unused"));
    run("guest.xml").stdout(document.replace(&mdev(0x10), &mdev(2))).check();
    mdevs(&mut defined, 1);
    scratch.file("host.json", defined.to_string());
    let start = format!("mdevctl start -u {}\n", mdev(1));
    run("guest.xml").stdout(document.replace(&mdev(0x10), &mdev(1))).stderr_has(&start).check();
    run("guest.xml -n").stdout(format!("mdev {} -> mdev {}\n{start}", mdev(0x10), mdev(1))).check();
    let check = scratch.virt_mdev(["check"]).args("guest.xml --host host.json").status(1);
    check.stdout_has(&format!("mdev {} is free, and only defined", mdev(1))).check();
    // The device that the domain names is started too.
    let own = guest("vm", &[Mdev(1, "a")]);
    scratch.file("guest.xml", &own);
    run("guest.xml").stdout(&own).stderr_has(&start).check();
    // A device that is only defined takes an instance when it is started.
    let two = guest("vm", &[Mdev(1, "a"), Mdev(0x11, "a")]);
    scratch.file("guest.xml", two);
    let mut one_left = host(&[("a", 1)], &[(1, "a")], &[]);
    mdevs(&mut one_left, 0);
    scratch.file("host.json", one_left.to_string());
    run("guest.xml --create-plan").status(1).stderr_has(mdev(0x11)).check();
    scratch.file("host.json", one_left.to_string().replace("\"available_instances\":1", "\"available_instances\":2"));
    run("guest.xml --create-plan").stdout_any().stderr_has(format!("mdevctl start -u {} -p", mdev(0x11))).check();
}

#[test]
fn a_plan_that_cannot_be_written_is_an_error() {
    let scratch = with(&host(&[("a", 1)], &[], &[]), &guest("vm", &[Mdev(0x10, "a")]));
    let line = "\"$0\" retarget --host host.json --create-plan guest.xml 2> /dev/full";
    scratch.program("/bin/sh", ["-c", line, BINARY]).status(2).check();
}
