//! Files that describe a host, and the definitions of mdevctl.

use std::fs;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode};
use virt_mdev::device::{DeviceAddress, Uuid};
use virt_mdev::host::{self, Absence, HostSource, Lookup, NoIdentity, RecordedHost, Sysfs};

use crate::support::guests::{ABSENT, NONE, bare, filled, guest, host_a, uuid};
use crate::support::{Scratch, assert_testdata, testdata, testdata_matching};

/// Reads node devices of `testdata/nodedev`.
fn node_devices(name: &str) -> RecordedHost {
    let content = fs::read(testdata("nodedev").join(name)).unwrap();
    host::read(name, &content).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Returns an answer in one line.
fn line(answer: Result<Lookup, host::HostError>) -> String {
    match answer {
        Ok(Err(NoIdentity::Absent(Absence::NotStarted { .. }))) => "not started".to_owned(),
        Ok(Err(NoIdentity::Absent(_))) => "absent".to_owned(),
        Ok(Ok(device)) => device.identity.to_string(),
        Ok(Err(NoIdentity::OtherDeviceApi(device_api))) => device_api.to_string(),
        Ok(Err(NoIdentity::ParentNotPci { parent, subsystem })) => {
            format!("{parent} on {}", subsystem.unwrap_or_default())
        }
        Ok(Err(NoIdentity::Unknown { reason })) => reason,
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

fn mdev(uuid: &str) -> DeviceAddress {
    DeviceAddress::Mdev(uuid.parse().unwrap())
}

fn pci(address: &str) -> DeviceAddress {
    DeviceAddress::Pci(address.parse().unwrap())
}

#[test]
fn node_devices_have_every_form_that_libvirt_gave_them() {
    let host = node_devices("forms.xml");
    for (device, expected) in [
        (mdev("c2177883-f1bb-47f0-914d-32a22e3a8804"), "0x8086 0x591d i915-GVTg_V5_4"),
        (mdev("fedc4916-1ca8-49ac-b176-871d16c13076"), "not started"),
        (
            mdev("a38a3f43-4be2-4046-897f-067c2f5e0999"),
            "0000:06:00.0, the parent of mdev a38a3f43-4be2-4046-897f-067c2f5e0999, is not in forms.xml",
        ),
        (mdev("0b0b0b0b-0000-4000-8000-00000000000b"), "absent"),
        (mdev("80c6c135-ad44-41d0-b1b7-0ae47de48621"), "vfio-ccw"),
        (mdev("52177883-f1bb-47f0-914d-02a22e3a8801"), "vfio-ap"),
        (pci("0000:00:02.0"), "0x8086 0x591d class 0x030000"),
        (pci("0000:01:00.0"), "0x10de 0x26b9 class 0x030200"),
        (pci("0000:01:00.4"), "forms.xml cannot tell the vGPU type of 0000:01:00.4"),
        (pci("0000:02:00.1"), "0x1b36 0x0010 class 0x010802"),
        (pci("0000:03:00.0"), "forms.xml does not say the class of 0000:03:00.0"),
        (pci("0000:02:00.0"), "absent"),
    ] {
        assert_eq!(line(host.lookup(device)), expected, "{device}");
    }
    let creatable = host.creatable();
    let creatable: Vec<_> = creatable.iter().map(|(identity, parent)| format!("{identity} of {parent}")).collect();
    assert_eq!(creatable, ["0x8086 0x591d i915-GVTg_V5_8 of 0000:00:02.0"]);
    assert_eq!(host.record().pci_devices[0].driver.as_deref(), Some("i915"));
    let buses: Vec<_> =
        host.record().mdev_parents.iter().map(|parent| (&*parent.name, parent.bus.as_deref())).collect();
    let expected = [
        ("0.0.0052", Some("css")),
        ("0000:00:02.0", Some("pci")),
        ("0000:06:00.0", Some("pci")),
        ("matrix", Some("matrix")),
    ];
    assert_eq!(buses, expected);
}

/// The node devices are those of libvirt 9.0.0 on a copy of this sysfs.
#[test]
fn node_devices_and_the_record_of_one_host_give_the_same_answers_about_mdevs() {
    let nodedev = node_devices("host-a.xml");
    let sysfs = HostSource::Sysfs(Sysfs::open(&testdata("hosts/linux-6.1/host-a/sys")).unwrap(), None);
    let written = serde_json::to_vec(sysfs.record().unwrap().record()).unwrap();
    let record = host::read("host-a.json", &written).unwrap();
    let uuids = nodedev.record().mdev_parents.iter().flat_map(|parent| &parent.mdevs).map(|mdev| mdev.uuid);
    let uuids: Vec<Uuid> = uuids.chain(["0b0b0b0b-0000-4000-8000-00000000000b".parse().unwrap()]).collect();
    assert_eq!(uuids.len(), 8);
    for uuid in uuids.into_iter().map(DeviceAddress::Mdev) {
        assert_eq!(line(record.lookup(uuid)), line(sysfs.lookup(uuid)), "{uuid}");
        match line(record.lookup(uuid)) {
            // The AP matrix is not a node device of this libvirt, so that the device API of its types is not known.
            device_api if device_api == "vfio-ap" => assert_eq!(line(nodedev.lookup(uuid)), "matrix on vgpu_demo"),
            answer => assert_eq!(line(nodedev.lookup(uuid)), answer, "{uuid}"),
        }
    }
}

/// Returns a record of a host with these PCI devices and parents.
fn record(pci_devices: &str, mdev_parents: &str) -> String {
    format!(r#"{{"version":1,"host":"b","pci_devices":[{pci_devices}],"mdev_parents":[{mdev_parents}]}}"#)
}

/// Each file of `testdata/host-files` is refused with the message beside it.
#[test]
fn a_file_that_does_not_describe_a_host_is_refused_with_the_place_of_the_error() {
    let files = testdata_matching("host-files/*.json").into_iter().chain(testdata_matching("host-files/*.xml"));
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let scratch = Scratch::with(name, fs::read(&path).unwrap());
        let run = scratch.virt_mdev(["check", "--host", name]).stdin(filled(1)).status(2).stderr_any();
        let stderr = run.check().stderr_text();
        assert_testdata(&stderr, &format!("host-files/{name}.stderr"));
    }
}

#[test]
fn fields_that_are_not_known_are_ignored() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let known = record("", "");
    let unknown = known.replacen('{', &format!(r#"{{"later":{deep},"later":1,"#), 1);
    let unknown = unknown.replace(
        r#""pci_devices":[]"#,
        r#""pci_devices":[{"address":"0000:06:00.0","vendorid":"0x1","productid":"0x2","class":"0x3","later":{}}]"#,
    );
    let scratch = Scratch::with("b.json", unknown);
    scratch.virt_mdev(["check", "--host", "b.json"]).stdin(filled(1)).status(1).stdout_has("missing").check();
}

#[test]
fn nesting_of_any_depth_is_refused() {
    for (name, content, message) in [
        (
            "b.json",
            r#"{"version":"#.to_owned() + &"[".repeat(4_000_000),
            "cannot be read as the record of a host: invalid type",
        ),
        ("c.json", record(&"[".repeat(4_000_000), ""), "cannot be read as the record of a host: "),
        ("b.xml", "<device>".repeat(400_000), "elements are nested deeper than 64"),
        (
            "c.xml",
            format!("<device><capability type='pci'>{}", "<a>".repeat(1_000_000)),
            "elements are nested deeper than 64",
        ),
    ] {
        let scratch = Scratch::with(name, content);
        let run = scratch.virt_mdev(["check", "--host", name]).stdin(filled(1)).status(2);
        run.stderr_has(message).stderr_has(format!("--> {name}:1:")).check();
    }
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let scratch = Scratch::with("b.json", " ".repeat((16 << 20) + 1));
    let run = scratch.virt_mdev(["check", "--host", "b.json"]).stdin(filled(1)).status(2);
    run.stderr_has("b.json is larger than 16 MiB").check();
    scratch.file("b.json", " ".repeat(16 << 20));
    let run = scratch.virt_mdev(["check", "--host", "b.json"]).stdin(filled(1)).status(2);
    run.stderr_has("b.json: the file is empty").check();
    let device = format!("<device><name>a</name>{}</device>", "<b/>".repeat(70_000));
    scratch.file("b.xml", device);
    let run = scratch.virt_mdev(["check", "--host", "b.xml"]).stdin(filled(1)).status(2);
    run.stderr_has("the document of a node device has more than 256 KiB").stderr_has("--> b.xml:1:1").check();
}

#[test]
fn a_message_about_a_host_file_is_cut() {
    let long = "\u{9b}".repeat(500_000);
    let parent = format!(r#"{{"name":"{long}","types":[],"mdevs":[]}}"#);
    for (name, content) in [
        ("type.json", record("", &format!(r#"{{"name":"a","types":[],"mdevs":[{{"uuid":"{long}"}}]}}"#))),
        ("field.json", record(&format!(r#""{long}""#), "")),
        ("parent.json", record("", &format!("{parent},{parent}"))),
        ("name.xml", format!("<device><name>{}</name><capability type='pci'/></device>", "\u{9b}".repeat(100_000))),
        ("root.xml", format!("<{}/>", "a".repeat(200_000))),
        (
            "value.xml",
            format!("<device><capability type='mdev'><uuid>{}</uuid></capability></device>", "x".repeat(200_000)),
        ),
        ("attribute.xml", format!("<device><capability type='{}'></device>", "x".repeat(200_000))),
    ] {
        let scratch = Scratch::with(name, content);
        let run = scratch.virt_mdev(["check", "--host", name]).stdin(filled(1)).status(2).stderr_any();
        let stderr = run.check().stderr_text();
        assert!(stderr.len() < 4_000 && !stderr.contains('\u{9b}'), "{name}: {} bytes: {stderr:.500}", stderr.len());
    }
}

#[test]
fn a_host_is_read_from_standard_input() {
    let scratch = Scratch::with("vm.xml", filled(1));
    let nodedev = fs::read(testdata("nodedev/host-a.xml")).unwrap();
    scratch.virt_mdev(["check", "--host", "-", "vm.xml"]).stdin(&nodedev).stdout_has("same").check();
    scratch.virt_mdev(["fill", "--host", "/dev/stdin", "vm.xml"]).stdin(&nodedev).stdout(filled(1)).check();
    let run = scratch.virt_mdev(["check", "--host", "-", "vm.xml"]).stdin("<domain/>").status(2);
    run.stderr_has("--> <stdin>:1:1").check();
}

#[test]
fn sysfs_and_another_source_exclude_each_other() {
    for command in [&["fill"][..], &["check"], &["hook"]] {
        for others in [&["--sysfs", "/sys"][..], &["--defined"]] {
            let scratch = Scratch::with("b.json", record("", ""));
            let run = scratch.virt_mdev(command).args("--host b.json");
            let run = others.iter().fold(run, |run, word| run.arg(word));
            let run = if command == ["hook"] { run.args("-- vm migrate begin -") } else { run };
            let status = if command == ["hook"] { 1 } else { 2 };
            run.stdin(filled(1)).status(status).stderr_has("cannot be used with").check();
        }
    }
}

#[test]
fn a_fifo_in_place_of_a_definition_is_refused() {
    let scratch = Scratch::new();
    let definition = scratch.file(format!("mdevctl.d/0000:00:05.0/{ABSENT}"), "");
    fs::remove_file(&definition).unwrap();
    rustix::fs::mknodat(CWD, &definition, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let run = scratch.virt_mdev(["fill", "--defined", "--mdevctl-dir", "mdevctl.d", "--sysfs"]).arg(host_a());
    run.stdin(guest(ABSENT, &NONE)).status(2).stderr_has("is a FIFO, not a regular file").check();
}

#[test]
fn a_special_file_in_place_of_an_attribute_is_an_error() {
    let scratch = Scratch::with("vm.xml", filled(1));
    let sys = scratch.host(&format!(
        "parent pci 0000:00:02.0 vendor=0x8086 device=0x591d\ntype i915-V5_4 api=vfio-pci\n\
         mdev {} 0000:00:02.0 i915-V5_4\n",
        uuid(1)
    ));
    let vendor = sys.join("devices/pci0000:00/0000:00:02.0/vendor");
    for (file_type, message) in
        [(FileType::Fifo, "vendor holds \"\", which is not a PCI id"), (FileType::Socket, "cannot read ")]
    {
        fs::remove_file(&vendor).unwrap();
        rustix::fs::mknodat(CWD, &vendor, file_type, Mode::RUSR, 0).unwrap();
        for (command, status) in [(&["check"][..], 2), (&["fill"], 2), (&["doctor", "--root", "."], 1)] {
            let run = scratch.virt_mdev(command.iter().chain(&["--sysfs"])).arg(&sys);
            let run = if command[0] == "doctor" { run } else { run.arg("vm.xml") };
            let finished = run.status(status).stdout_any().stderr_any().limit(Duration::from_secs(5)).check();
            let told = finished.stderr_text() + &String::from_utf8_lossy(&finished.stdout);
            assert!(told.contains(message), "{command:?}: {told}");
        }
    }
}

#[test]
fn a_definition_of_any_size_is_read_or_refused() {
    let scratch = Scratch::with(format!("mdevctl.d/0000:00:05.0/{ABSENT}"), " ".repeat(3 << 20));
    let run = scratch.virt_mdev(["fill", "--defined", "--mdevctl-dir", "mdevctl.d", "--sysfs"]).arg(host_a());
    run.stdin(guest(ABSENT, &NONE)).status(2).stderr_has("is larger than 1 MiB").check();
    // A device that runs needs no definition, so that a bad one does no harm.
    let run = scratch.virt_mdev(["fill", "--defined", "--mdevctl-dir", "mdevctl.d", "--sysfs"]).arg(host_a());
    run.stdin(bare(1)).stdout(filled(1)).check();
    let names = scratch.virt_mdev(["check", "--mdevctl-dir", "mdevctl.d", "--sysfs"]).arg(host_a());
    names.stdin(guest(&uuid(1), &NONE)).status(1).stdout_has("unrecorded").check();
}
