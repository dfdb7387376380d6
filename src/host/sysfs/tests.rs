//! Trees that the kernel makes, and trees that it would not.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::device::{DeviceAddress, Identity, MdevTypeError, PciIdError};
use crate::host::record::{MdevParent, PciDevice, SupportedType};
use crate::host::{HostError, HostSource, with_causes};
use crate::skipped::skipped;

const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const OTHER_UUID: &str = "4b20d080-1b54-4048-85b3-06a62d165c01";
const GPU: &str = "devices/pci0000:00/0000:00:02.0";
const TYPE: &str = "i915-GVTg_V5_4";

/// A tree to be damaged, below a directory that is not part of it.
struct Scratch {
    around: TempDir,
}

impl Scratch {
    /// With `bus`, and nothing else.
    fn empty() -> Self {
        let scratch = Self { around: TempDir::new().unwrap() };
        fs::create_dir_all(scratch.at("bus")).unwrap();
        scratch
    }

    /// The proposal's own example: one GVT-g device.
    fn gvt_g() -> Self {
        let scratch = Self::empty();
        scratch.pci_parent(GPU, "0x8086\n", "0x591d\n");
        scratch.mdev(UUID, GPU, TYPE);
        scratch
    }

    fn sys(&self) -> PathBuf {
        self.around.path().join("sys")
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sys().join(path)
    }

    fn file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.clear(&path);
        fs::write(path, content).unwrap();
    }

    fn link(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.clear(&path);
        symlink(target, path).unwrap();
    }

    fn remove(&self, path: impl AsRef<Path>) {
        self.clear(&self.at(path));
    }

    fn clear(&self, path: &Path) {
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => fs::remove_dir_all(path).unwrap(),
            Ok(_) => fs::remove_file(path).unwrap(),
            Err(_) => {}
        }
    }

    /// The link in `bus/mdev/devices`.
    fn bus_link(&self, uuid: &str, target: impl AsRef<Path>) {
        self.link(Path::new(MDEVS).join(uuid), target);
    }

    fn pci_parent(&self, path: &str, vendor: &str, device: &str) {
        self.file(format!("{path}/vendor"), vendor);
        self.file(format!("{path}/device"), device);
        self.link(format!("{path}/subsystem"), "../../../bus/pci");
    }

    /// A device and its type, of device API vfio-pci.
    fn mdev(&self, uuid: &str, parent: &str, mdev_type: &str) {
        self.file(format!("{parent}/{TYPES}/{mdev_type}/device_api"), "vfio-pci\n");
        self.link(format!("{parent}/{uuid}/mdev_type"), format!("../{TYPES}/{mdev_type}"));
        self.bus_link(uuid, format!("../../../{parent}/{uuid}"));
    }

    fn open(&self) -> Sysfs {
        Sysfs::open(&self.sys()).unwrap()
    }

    /// Looks the device up, here and in the record of this host.
    fn lookup(&self) -> Answer<Lookup> {
        let answer = self.open().lookup(mdev(UUID));
        match HostSource::Sysfs(self.open(), None).record() {
            Ok(host) => assert_same(&answer, &host.lookup(mdev(UUID))),
            Err(error) => assert!(answer.is_err(), "{error}"),
        }
        answer
    }

    fn error(&self) -> Arc<SysfsError> {
        self.lookup().unwrap_err()
    }

    /// The error message, without the path of the tree.
    fn message(&self) -> String {
        without(&self.error().to_string(), &self.sys())
    }
}

/// Checks that the record of a host gives the same answer as its sysfs.
fn assert_same(answer: &Answer<Lookup>, recorded: &Result<Lookup, HostError>) {
    match (answer, recorded) {
        (Ok(Err(NoIdentity::Absent(_))), Ok(Err(NoIdentity::Absent(_)))) => {}
        (Ok(Err(NoIdentity::NoVgpuType { .. })), Ok(Err(NoIdentity::NoVgpuType { .. }))) => {}
        (Err(error), Err(recorded)) => {
            let (error, recorded) = (with_causes(error), with_causes(recorded));
            assert!(recorded.ends_with(&error), "{recorded}, not {error}");
        }
        _ => assert_eq!(answer.as_ref().unwrap(), recorded.as_ref().unwrap()),
    }
}

fn without(message: &str, dir: &Path) -> String {
    message.replace(&dir.display().to_string(), "/sys")
}

fn mdev(uuid: &str) -> DeviceAddress {
    DeviceAddress::Mdev(uuid.parse().unwrap())
}

fn found(vendor: u16, product: u16, mdev_type: &str) -> Lookup {
    let kind = DeviceKind::Mdev(mdev_type.parse().unwrap());
    Ok(Identity { vendor: vendor.into(), product: product.into(), kind }.into())
}

fn parent_not_pci(parent: &str, subsystem: Option<&str>) -> Lookup {
    Err(NoIdentity::ParentNotPci { parent: parent.to_owned(), subsystem: subsystem.map(str::to_owned) })
}

fn is_absent(lookup: &Answer<Lookup>) -> bool {
    matches!(lookup, Ok(Err(NoIdentity::Absent(Absence::NotFound { .. }))))
}

#[test]
fn a_source_answers_about_each_device_it_is_asked_for() {
    let scratch = Scratch::gvt_g();
    let host = HostSource::Sysfs(scratch.open(), None).ask([UUID, OTHER_UUID, UUID].map(mdev));
    assert_eq!(host.lookup(mdev(UUID)).unwrap(), &found(0x8086, 0x591d, TYPE));
    let looked_for = format!("no bus/mdev/devices/{OTHER_UUID} in {}", scratch.sys().display());
    assert_eq!(host.lookup(mdev(OTHER_UUID)).unwrap(), &Err(NoIdentity::Absent(Absence::NotFound { looked_for })));
    assert!(HostSource::Sysfs(scratch.open(), None).ask([]).lookup(mdev(UUID)).is_err());
}

#[test]
fn a_parent_can_create_a_device_if_its_ids_fit_and_instances_are_left() {
    let identity = |product: u16, mdev_type: &str| Identity {
        vendor: 0x8086.into(),
        product: product.into(),
        kind: DeviceKind::Mdev(mdev_type.parse().unwrap()),
    };
    let left = format!("{GPU}/{TYPES}/{TYPE}/available_instances");
    let parent_for = |scratch: &Scratch, identity: &Identity| scratch.open().creatable().get(identity).cloned();
    let scratch = Scratch::gvt_g();
    scratch.link(format!("{PARENTS}/0000:00:02.0"), format!("../../{GPU}"));
    assert_eq!(parent_for(&scratch, &identity(0x591d, TYPE)), None, "without available_instances");
    for (content, parent) in [("1\n", Some("0000:00:02.0")), ("0\n", None), ("", None), ("-1\n", None), ("x", None)] {
        scratch.file(&left, content);
        assert_eq!(parent_for(&scratch, &identity(0x591d, TYPE)).as_deref(), parent, "{content:?}");
    }
    scratch.file(&left, "1\n");
    assert_eq!(parent_for(&scratch, &identity(0x591e, TYPE)), None);
    assert_eq!(parent_for(&scratch, &identity(0x591d, "i915-GVTg_V5_8")), None);
    scratch.file(format!("{GPU}/{TYPES}/{TYPE}/device_api"), "vfio-ccw\n");
    assert_eq!(parent_for(&scratch, &identity(0x591d, TYPE)), None);
}

#[test]
fn a_record_has_the_attributes_that_decide_nothing() {
    let scratch = Scratch::gvt_g();
    let types = format!("{GPU}/{TYPES}/{TYPE}");
    scratch.file(format!("{types}/name"), "GVTg_V5_4\n");
    scratch.file(format!("{types}/description"), "low_gm_size: 128MB\nfence: 4\n");
    scratch.file(format!("{types}/available_instances"), "3\n");
    scratch.file(format!("{GPU}/revision"), "0x06\n");
    scratch.link(format!("{GPU}/driver"), "../../../bus/pci/drivers/i915");
    scratch.link("bus/pci/drivers/i915/module", "../../../../module/i915");
    let recorded = |scratch: &Scratch| scratch.open().record().unwrap();
    assert_eq!(recorded(&scratch).pci_devices[0].driver_version, None, "a link that leads nowhere");
    scratch.file("module/i915/version", "1.2.3\n");
    let record = recorded(&scratch);
    let [PciDevice { class: None, revision, driver, driver_version, .. }] = &record.pci_devices[..] else {
        panic!("{record:?}")
    };
    assert_eq!([revision, driver, driver_version].map(Option::as_deref), [Some("0x06"), Some("i915"), Some("1.2.3")]);
    let [MdevParent { name, bus, types: recorded_types, mdevs }] = &record.mdev_parents[..] else {
        panic!("{record:?}")
    };
    assert_eq!((name.as_str(), bus.as_deref(), mdevs.len()), ("0000:00:02.0", Some("pci"), 1));
    let [SupportedType { name, description, available_instances, .. }] = &recorded_types[..] else {
        panic!("{record:?}")
    };
    let texts = [name, description].map(Option::as_deref);
    assert_eq!(texts, [Some("GVTg_V5_4"), Some("low_gm_size: 128MB\nfence: 4")]);
    assert_eq!((*available_instances, &record.unreadable[..]), (Some(3), &[][..]));

    scratch.file(format!("{types}/available_instances"), "many\n");
    fs::create_dir(scratch.at(format!("{GPU}/{TYPES}/ "))).unwrap();
    scratch.remove(format!("{GPU}/revision"));
    fs::create_dir(scratch.at(format!("{GPU}/revision"))).unwrap();
    let errors: Vec<_> = recorded(&scratch).unreadable.into_iter().map(|entry| (entry.device(), entry.error)).collect();
    let expected = [
        format!("/sys/{types}/available_instances holds \"many\\n\", which is not a number of instances"),
        format!(
            "/sys/{GPU}/{TYPES}/  names the mdev type \" \", which XML cannot hold: it begins or ends with whitespace"
        ),
        format!("/sys/{GPU}/revision is not a file, as it is in the kernel's sysfs"),
    ];
    let without = |(device, error): (_, String)| (device, without(&error, &scratch.sys()));
    let mut errors: Vec<_> = errors.into_iter().map(without).collect();
    errors.sort();
    let mut expected: Vec<_> = expected.into_iter().map(|error| (None, error)).collect();
    expected.sort();
    assert_eq!(errors, expected);
}

#[test]
fn what_is_no_directory_or_has_no_bus_is_no_sysfs() {
    let around = TempDir::new().unwrap();
    fs::write(around.path().join("file"), "").unwrap();
    fs::create_dir(around.path().join("none")).unwrap();
    fs::create_dir(around.path().join("linked")).unwrap();
    symlink("/sys/bus", around.path().join("linked/bus")).unwrap();
    for (dir, at) in [("absent", "absent"), ("file", "file"), ("none", "none/bus"), ("linked", "linked/bus")] {
        let given = around.path().join(dir);
        let Err(error) = Sysfs::open(&given) else { panic!("{dir} was taken for a sysfs") };
        let SysfsError::NotSysfs { dir, path, .. } = &error else { panic!("{error:?}") };
        assert_eq!((dir, path), (&given, &around.path().join(at)));
        assert_eq!(
            without(&error.to_string(), around.path()),
            format!(
                "/sys/{} is not a sysfs: cannot open the directory /sys/{at}",
                given.file_name().unwrap().to_string_lossy()
            )
        );
    }
}

#[test]
fn the_root_itself_may_be_a_link() {
    let scratch = Scratch::gvt_g();
    let link = scratch.around.path().join("link");
    symlink("sys", &link).unwrap();
    assert_eq!(Sysfs::open(&link).unwrap().lookup(mdev(UUID)).unwrap(), found(0x8086, 0x591d, TYPE));
}

#[test]
fn a_host_without_the_mdev_module_says_so() {
    for there in ["bus", "bus/mdev"] {
        let scratch = Scratch::empty();
        fs::create_dir_all(scratch.at(there)).unwrap();
        let looked_for = format!("no {MDEVS} in {}", scratch.sys().display());
        assert_eq!(scratch.lookup().unwrap(), Err(NoIdentity::Absent(Absence::NoDriver { looked_for })));
    }
    let scratch = Scratch::empty();
    fs::create_dir_all(scratch.at(MDEVS)).unwrap();
    assert!(is_absent(&scratch.lookup()));
}

#[test]
fn the_directory_of_mdevs_is_not_followed_out_of_the_tree() {
    for linked in ["bus/mdev", MDEVS] {
        let scratch = Scratch::empty();
        scratch.link(linked, scratch.around.path());
        let error = Sysfs::open(&scratch.sys()).unwrap_err();
        assert_eq!(
            without(&error.to_string(), &scratch.sys()),
            format!("/sys/{linked} is not a directory, as it is in the kernel's sysfs")
        );
    }
}

#[test]
fn the_link_of_an_mdev_must_lead_to_it_inside_the_tree() {
    let place = format!("/sys/{MDEVS}/{UUID}");
    for target in [format!("/{GPU}/{UUID}"), format!("../../../../{GPU}/{UUID}"), "../../../../../../etc".to_owned()] {
        let scratch = Scratch::gvt_g();
        scratch.bus_link(UUID, &target);
        assert!(matches!(&*scratch.error(), SysfsError::OutsideTree { .. }), "{target}");
        assert_eq!(scratch.message(), format!("the link {place} leads out of the tree: {target}"));
    }
    for target in [
        "../../..".to_owned(),
        format!("../../../devices/{UUID}"),
        format!("../../../{GPU}"),
        format!("../../../{GPU}/{OTHER_UUID}"),
        format!("../../../class/mdev_bus/0000:00:02.0/{UUID}"),
        format!("../../../{GPU}/{UUID}/mdev_type"),
    ] {
        let scratch = Scratch::gvt_g();
        scratch.bus_link(UUID, &target);
        assert!(matches!(&*scratch.error(), SysfsError::WrongTarget { .. }), "{target}");
        assert_eq!(scratch.message(), format!("the link {place} leads to {target}, not to devices/…/PARENT/UUID"));
    }
}

#[test]
fn what_is_no_link_in_the_bus_is_an_error_and_not_an_absent_device() {
    let scratch = Scratch::gvt_g();
    // As a checkout without symbolic links leaves them.
    scratch.file(format!("{MDEVS}/{UUID}"), format!("../../../{GPU}/{UUID}"));
    assert_eq!(
        scratch.message(),
        format!("/sys/{MDEVS}/{UUID} is not a symbolic link, as it is in the kernel's sysfs")
    );
    scratch.remove(format!("{MDEVS}/{UUID}"));
    fs::create_dir(scratch.at(format!("{MDEVS}/{UUID}"))).unwrap();
    assert!(matches!(&*scratch.error(), SysfsError::WrongKind { .. }));
}

#[test]
fn a_directory_that_is_a_link_is_not_walked_through() {
    // The same tree again outside, so that following any of the links would find a device.
    let outside = Scratch::gvt_g();
    for linked in [
        "devices".to_owned(),
        "devices/pci0000:00".to_owned(),
        GPU.to_owned(),
        format!("{GPU}/{UUID}"),
        format!("{GPU}/{TYPES}"),
        format!("{GPU}/{TYPES}/{TYPE}"),
    ] {
        let scratch = Scratch::gvt_g();
        scratch.link(&linked, outside.at(&linked));
        assert_eq!(scratch.message(), format!("/sys/{linked} is not a directory, as it is in the kernel's sysfs"));
    }
}

#[test]
fn an_attribute_is_a_file_and_neither_a_link_nor_a_directory() {
    let outside = Scratch::gvt_g();
    for attribute in [format!("{GPU}/vendor"), format!("{GPU}/device"), format!("{GPU}/{TYPES}/{TYPE}/device_api")] {
        let expected = format!("/sys/{attribute} is not a file, as it is in the kernel's sysfs");
        let scratch = Scratch::gvt_g();
        scratch.link(&attribute, outside.at(&attribute));
        assert_eq!(scratch.message(), expected);
        scratch.remove(&attribute);
        fs::create_dir(scratch.at(&attribute)).unwrap();
        assert_eq!(scratch.message(), expected);
    }
}

#[test]
fn what_the_kernel_always_has_and_is_not_there_is_named() {
    for (removed, wanted) in [
        (GPU.to_owned(), "the mdev's parent"),
        (format!("{GPU}/{UUID}"), "the mdev's own directory"),
        (format!("{GPU}/{UUID}/mdev_type"), "the link to the mdev's type"),
        (format!("{GPU}/{TYPES}/{TYPE}"), "the directory of the mdev's type"),
        (format!("{GPU}/{TYPES}/{TYPE}/device_api"), "the device API of the mdev's type"),
        (format!("{GPU}/vendor"), "the vendor id of a PCI device"),
        (format!("{GPU}/device"), "the device id of a PCI device"),
    ] {
        let scratch = Scratch::gvt_g();
        scratch.remove(&removed);
        assert!(matches!(&*scratch.error(), SysfsError::Missing { .. }), "{removed}");
        assert_eq!(scratch.message(), format!("/sys/{removed} is missing, {wanted}"));
    }
}

#[test]
fn the_type_is_one_of_the_parents_own() {
    let link = format!("{GPU}/{UUID}/mdev_type");
    for target in [
        "..".to_owned(),
        format!("../{TYPES}"),
        format!("../{TYPES}/{TYPE}/devices"),
        format!("../../0000:00:03.0/{TYPES}/{TYPE}"),
        format!("{TYPES}/{TYPE}"),
    ] {
        let scratch = Scratch::gvt_g();
        scratch.link(&link, &target);
        assert!(matches!(&*scratch.error(), SysfsError::WrongTarget { .. }), "{target}");
        assert_eq!(
            scratch.message(),
            format!("the link /sys/{link} leads to {target}, not to mdev_supported_types/TYPE of its parent")
        );
    }
    for target in [format!("/{GPU}/{TYPES}/{TYPE}"), "../../../../../../../../etc".to_owned()] {
        let scratch = Scratch::gvt_g();
        scratch.link(&link, &target);
        assert!(matches!(&*scratch.error(), SysfsError::OutsideTree { .. }), "{target}");
    }
    let scratch = Scratch::gvt_g();
    scratch.file(&link, TYPE);
    assert!(matches!(&*scratch.error(), SysfsError::WrongKind { .. }));
}

#[test]
fn a_type_name_that_no_document_can_hold_is_an_error() {
    for (name, error) in [
        (&b"nvidia-\xff"[..], MdevTypeError::NotUtf8),
        (b"nvidia-\x1b[2J", MdevTypeError::NotXml('\x1b')),
        (b" nvidia-474", MdevTypeError::SurroundingSpace),
    ] {
        let scratch = Scratch::gvt_g();
        let target = Path::new("..").join(TYPES).join(OsStr::from_bytes(name));
        scratch.link(format!("{GPU}/{UUID}/mdev_type"), target);
        let told = scratch.error();
        assert!(matches!(&*told, SysfsError::TypeName { source, .. } if *source == error), "{told:?}");
    }
}

#[test]
fn a_wrong_content_is_shown() {
    let vendor = format!("{GPU}/vendor");
    for (content, found, reason) in [
        (&b""[..], r#""""#, PciIdError::NotANumber),
        (b"8086x\n", r#""8086x\n""#, PciIdError::NotANumber),
        (b"0x18086\n", r#""0x18086\n""#, PciIdError::TooLarge),
        (b"\xff\n", "\"\u{fffd}\\n\"", PciIdError::NotANumber),
        (b"0x8086\n0x8086\n", r#""0x8086\n0x8086\n""#, PciIdError::NotANumber),
    ] {
        let scratch = Scratch::gvt_g();
        scratch.file(&vendor, content);
        assert_eq!(scratch.message(), format!("/sys/{vendor} holds {found}, which is not a PCI id"));
        assert!(with_causes(&scratch.error()).ends_with(&format!(": {reason}")));
    }
    let api = format!("{GPU}/{TYPES}/{TYPE}/device_api");
    for (content, found) in
        [("", r#""""#), ("\n", r#""\n""#), ("vfio pci\n", r#""vfio pci\n""#), ("a\n\n", r#""a\n\n""#)]
    {
        let scratch = Scratch::gvt_g();
        scratch.file(&api, content);
        assert_eq!(scratch.message(), format!("/sys/{api} holds {found}, which is not a device API"));
    }
    let scratch = Scratch::gvt_g();
    scratch.file(&vendor, "x".repeat(100_000));
    assert!(scratch.message().len() < 200, "{}", scratch.message());
}

#[test]
fn a_parent_is_pci_by_its_subsystem_and_not_by_its_files() {
    let other = |subsystem| parent_not_pci("0000:00:02.0", subsystem);
    let scratch = Scratch::gvt_g();
    assert!(!scratch.at("bus/pci").exists(), "the link's target need not exist");
    assert_eq!(scratch.lookup().unwrap(), found(0x8086, 0x591d, TYPE));
    for (target, subsystem) in [("../../../class/mtty", "mtty"), ("../../../bus/pci_express", "pci_express")] {
        scratch.link(format!("{GPU}/subsystem"), target);
        assert_eq!(scratch.lookup().unwrap(), other(Some(subsystem)));
    }
    scratch.remove(format!("{GPU}/subsystem"));
    assert_eq!(scratch.lookup().unwrap(), other(None));
    scratch.file(format!("{GPU}/subsystem"), "../../../bus/pci");
    assert!(matches!(&*scratch.error(), SysfsError::WrongKind { .. }));
}

#[test]
fn a_parent_that_is_not_pci_needs_no_ids() {
    let scratch = Scratch::empty();
    let mtty = "devices/virtual/mtty/mtty";
    scratch.mdev(UUID, mtty, "mtty-2");
    scratch.link(format!("{mtty}/subsystem"), "../../../../class/mtty");
    // The sample driver's own: a directory named vendor, in the mdev's directory and not in the parent's.
    scratch.file(format!("{mtty}/{UUID}/vendor/sample_mdev_dev"), "This is MDEV\n");
    assert_eq!(scratch.lookup().unwrap(), parent_not_pci("mtty", Some("mtty")));
}

#[test]
fn another_device_api_is_told_whatever_is_wrong_with_the_parent() {
    let scratch = Scratch::gvt_g();
    scratch.file(format!("{GPU}/{TYPES}/{TYPE}/device_api"), "vfio-ccw\n");
    scratch.file(format!("{GPU}/vendor"), "none");
    scratch.file(format!("{GPU}/subsystem"), "");
    assert_eq!(scratch.lookup().unwrap(), Err(NoIdentity::OtherDeviceApi(DeviceApi("vfio-ccw".to_owned()))));
}

#[test]
fn the_parent_is_the_directory_just_above_whatever_is_further_up() {
    for parent in [
        "devices/LNXSYSTM:00/VMBUS:00/47505500-0001-0000-3130-444531450001/pci0001:00/0001:00:00.0".to_owned(),
        format!("devices/pci0000:00/{UUID}/0000:3b:00.0"),
        "devices/pci0000:85/0000:85:00.0/0000:86:00.0/0000:89:00.0".to_owned(),
        "devices/pci0000:64/0000:64:05.5/pci10000:e0/10000:e0:06.0/10000:e1:00.0".to_owned(),
    ] {
        let scratch = Scratch::empty();
        let above = Path::new(&parent).parent().unwrap().display().to_string();
        scratch.pci_parent(&above, "0x8086\n", "0x2030\n");
        scratch.pci_parent(&parent, "0x10de\n", "0x1eb8\n");
        scratch.mdev(UUID, &parent, "nvidia-222");
        assert_eq!(scratch.lookup().unwrap(), found(0x10de, 0x1eb8, "nvidia-222"), "{parent}");
    }
}

#[test]
fn parent_and_type_are_read_once_for_all_their_devices() {
    let scratch = Scratch::gvt_g();
    scratch.mdev(OTHER_UUID, GPU, TYPE);
    let sysfs = scratch.open();
    let first = sysfs.lookup(mdev(UUID)).unwrap();
    for file in ["vendor", "device", "subsystem"].map(|name| format!("{GPU}/{name}")) {
        scratch.remove(file);
    }
    scratch.remove(format!("{GPU}/{TYPES}"));
    assert_eq!(sysfs.lookup(mdev(OTHER_UUID)).unwrap(), first);
    assert!(scratch.open().lookup(mdev(OTHER_UUID)).is_err(), "a new run looks again");
}

#[test]
fn an_answer_once_given_stays_an_error_included() {
    let scratch = Scratch::gvt_g();
    scratch.file(format!("{GPU}/vendor"), "");
    scratch.mdev(OTHER_UUID, GPU, TYPE);
    let sysfs = scratch.open();
    let first = sysfs.lookup(mdev(UUID)).unwrap_err();
    scratch.file(format!("{GPU}/vendor"), "0x8086\n");
    assert!(Arc::ptr_eq(&first, &sysfs.lookup(mdev(UUID)).unwrap_err()));
    assert!(Arc::ptr_eq(&first, &sysfs.lookup(mdev(OTHER_UUID)).unwrap_err()), "nor is the parent read anew");
}

#[test]
fn more_parents_than_are_kept_open_are_all_found() {
    let scratch = Scratch::empty();
    let count = KEPT_OPEN as u32 + 10;
    let parent = |number: u32| format!("devices/css0/0.0.{number:04x}");
    let uuids: Vec<String> = (0..2 * count).map(|number| format!("{number:08x}-0000-4000-8000-000000000000")).collect();
    for (number, uuid) in (0..).zip(&uuids) {
        scratch.pci_parent(&parent(number % count), "0x10de\n", &format!("{:#06x}\n", number % count));
        scratch.mdev(uuid, &parent(number % count), "t");
    }
    let sysfs = scratch.open();
    for (number, uuid) in (0..).zip(&uuids) {
        assert_eq!(sysfs.lookup(mdev(uuid)).unwrap(), found(0x10de, (number % count) as u16, "t"));
    }
    let open = sysfs.seen.lock().unwrap().parents.values().filter(|seen| seen.directory.is_some()).count();
    assert_eq!(open, KEPT_OPEN);
}

#[test]
fn a_content_that_comes_late_is_waited_for() {
    let scratch = Scratch::gvt_g();
    let vendor = scratch.at(format!("{GPU}/vendor"));
    fs::remove_file(&vendor).unwrap();
    mknodat(CWD, &vendor, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // Without a writer it is empty.
    assert!(scratch.message().contains(r#"vendor holds "", which is not a PCI id"#), "{}", scratch.message());
    let mut writer = fs::File::options().read(true).write(true).open(&vendor).unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| scratch.open().lookup(mdev(UUID)));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!asked.is_finished());
        writer.write_all(b"0x10de\n").unwrap();
        assert_eq!(asked.join().unwrap().unwrap(), found(0x10de, 0x591d, TYPE));
    });
}

/// Root may read everything, so this holds for others only; the errors themselves are told apart in the test after it.
#[test]
fn what_may_not_be_read_is_an_error_and_never_an_absent_device() {
    for (closed, mode) in [
        (MDEVS.to_owned(), 0o600),
        (GPU.to_owned(), 0o600),
        (format!("{GPU}/{UUID}"), 0o600),
        (format!("{GPU}/{TYPES}/{TYPE}/device_api"), 0),
        (format!("{GPU}/vendor"), 0),
    ] {
        let scratch = Scratch::gvt_g();
        let path = scratch.at(&closed);
        let open = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let may_anyway = if path.is_dir() { path.join(".").exists() } else { fs::read(&path).is_ok() };
        let answer = scratch.lookup();
        fs::set_permissions(&path, open).unwrap();
        if may_anyway {
            return skipped("this user may read everything");
        }
        let error = answer.unwrap_err();
        assert!(error.to_string().starts_with(&format!("not permitted to read {}", path.display())), "{error}");
    }
}

#[test]
fn the_kernels_refusals_are_told_apart() {
    let told = |errno| SysfsError::reading(Path::new("/sys/x"), errno, "a file", "the x");
    for errno in [Errno::ACCESS, Errno::PERM] {
        assert_eq!(told(errno).to_string(), "not permitted to read /sys/x");
    }
    for errno in [Errno::LOOP, Errno::NOTDIR, Errno::ISDIR] {
        assert!(matches!(told(errno), SysfsError::WrongKind { .. }), "{errno}");
    }
    for errno in [Errno::IO, Errno::MFILE, Errno::NODEV, Errno::INVAL, Errno::NAMETOOLONG] {
        assert_eq!(told(errno).to_string(), "cannot read /sys/x");
    }
    assert!(matches!(told(Errno::NOENT), SysfsError::Missing { .. }));
}

const FUNCTION: &str = "devices/pci0000:25/0000:25:01.0/0000:26:00.4";
const CARD: &str = "devices/pci0000:25/0000:25:01.0/0000:26:00.0";
const LIST: &str = "ID    : vGPU Name\n1148  : NVIDIA L40S-2Q\n1150  : NVIDIA L40S: 3Q\n";

/// A card with a virtual function of type 1148, whose driver has two files.
fn vgpu() -> Scratch {
    let scratch = Scratch::empty();
    pci(&scratch, CARD);
    pci(&scratch, FUNCTION);
    scratch.link(format!("{FUNCTION}/physfn"), "../0000:26:00.0");
    scratch.link(format!("{CARD}/virtfn0"), "../0000:26:00.4");
    scratch.file(format!("{FUNCTION}/nvidia/current_vgpu_type"), "1148\n");
    scratch.file(format!("{FUNCTION}/nvidia/creatable_vgpu_types"), "");
    scratch
}

fn pci(scratch: &Scratch, path: &str) {
    scratch.pci_parent(path, "0x10de\n", "0x26b9\n");
    for (file, content) in [("class", "0x030200"), ("subsystem_vendor", "0x10de"), ("subsystem_device", "0x1851")] {
        scratch.file(format!("{path}/{file}"), format!("{content}\n"));
    }
    let address = path.rsplit('/').next().unwrap();
    scratch.link(format!("{PCI_DEVICES}/{address}"), format!("../../../{path}"));
}

fn function() -> PciAddress {
    "0000:26:00.4".parse().unwrap()
}

/// The host's answer about the function, in one line.
fn answer(scratch: &Scratch) -> String {
    match scratch.open().lookup(DeviceAddress::Pci(function())) {
        Ok(Ok(device)) => {
            let subsystem = device.subsystem.map_or_else(|| "none".to_owned(), |subsystem| subsystem.to_string());
            format!("{}, subsystem {subsystem}, virtual: {}", device.identity, device.is_virtual_function)
        }
        Ok(Err(NoIdentity::NoVgpuType { looked_for })) => without(&looked_for, &scratch.sys()),
        Ok(Err(other)) => format!("{other:?}"),
        Err(error) => without(&error.to_string(), &scratch.sys()),
    }
}

#[test]
fn a_virtual_function_has_a_type_or_none() {
    let scratch = vgpu();
    assert_eq!(answer(&scratch), "0x10de 0x26b9 nvidia-1148, subsystem 0x10de 0x1851, virtual: true");
    scratch.file(format!("{FUNCTION}/nvidia/current_vgpu_type"), "0\n");
    assert_eq!(answer(&scratch), "Untyped");
    for content in ["", "\n", "-1\n", "+1\n", "1148 \n", "4294967296\n", "nvidia-1148\n"] {
        scratch.file(format!("{FUNCTION}/nvidia/current_vgpu_type"), content);
        let expected = format!(
            "/sys/{FUNCTION}/nvidia/current_vgpu_type holds {content:?}, which is not the number of a vGPU type"
        );
        assert_eq!(answer(&scratch), expected);
    }
    scratch.remove(format!("{FUNCTION}/nvidia/current_vgpu_type"));
    assert_eq!(
        answer(&scratch),
        format!("/sys/{FUNCTION}/nvidia/current_vgpu_type is missing, the vGPU type of a virtual function")
    );
}

#[test]
fn a_function_without_the_directory_is_not_known_if_it_is_nvidias_and_plain_otherwise() {
    let scratch = vgpu();
    scratch.remove(format!("{FUNCTION}/nvidia"));
    assert_eq!(answer(&scratch), format!("no directory nvidia in /sys/{FUNCTION}"));
    scratch.file(format!("{FUNCTION}/vendor"), "0x8086\n");
    assert_eq!(answer(&scratch), "0x8086 0x26b9 class 0x030200, subsystem 0x10de 0x1851, virtual: true");
    scratch.file(format!("{FUNCTION}/vendor"), "0x10de\n");
    scratch.remove(format!("{FUNCTION}/physfn"));
    assert_eq!(answer(&scratch), "0x10de 0x26b9 class 0x030200, subsystem 0x10de 0x1851, virtual: false");
    scratch.file(format!("{FUNCTION}/class"), "display\n");
    assert_eq!(answer(&scratch), format!("/sys/{FUNCTION}/class holds \"display\\n\", which is not a PCI class"));
}

#[test]
fn attributes_that_cannot_be_read_do_not_matter_unless_they_are_needed() {
    let scratch = vgpu();
    // A directory cannot be read as a file, like an attribute that fails with ENXIO.
    for name in
        ["nvidia/gpu_instance_id", "nvidia/placement_id", "nvidia/creatable_vgpu_types", "subsystem_device", "class"]
    {
        scratch.remove(format!("{FUNCTION}/{name}"));
        scratch.file(format!("{FUNCTION}/{name}/x"), "");
    }
    assert_eq!(answer(&scratch), "0x10de 0x26b9 nvidia-1148, subsystem none, virtual: true");
    scratch.remove(format!("{FUNCTION}/nvidia/current_vgpu_type"));
    scratch.file(format!("{FUNCTION}/nvidia/current_vgpu_type/x"), "");
    let expected = format!("/sys/{FUNCTION}/nvidia/current_vgpu_type is not a file, as it is in the kernel's sysfs");
    assert_eq!(answer(&scratch), expected);
}

#[test]
fn a_pci_device_is_absent_or_its_link_leads_to_it() {
    let scratch = vgpu();
    let link = format!("{PCI_DEVICES}/0000:26:00.4");
    scratch.link(&link, "../../../devices/pci0000:25/0000:25:01.0/0000:26:00.5");
    assert!(answer(&scratch).contains("not to devices/…/ADDRESS"), "{}", answer(&scratch));
    scratch.link(&link, format!("../../../../{FUNCTION}"));
    assert!(answer(&scratch).contains("leads out of the tree"), "{}", answer(&scratch));
    scratch.remove(&link);
    assert!(answer(&scratch).contains("no bus/pci/devices/0000:26:00.4 in"), "{}", answer(&scratch));
    scratch.remove("bus/pci");
    assert!(answer(&scratch).contains("no bus/pci/devices/0000:26:00.4 in"), "{}", answer(&scratch));
}

#[test]
fn the_names_of_types_come_from_any_function_of_the_card_with_number_or_name_first() {
    let scratch = vgpu();
    let names = |scratch: &Scratch| {
        let sysfs = scratch.open();
        assert!(sysfs.lookup(DeviceAddress::Pci(function())).is_ok());
        let names = sysfs.vgpu_names(&[function()]).into_iter();
        names.map(|(vgpu_type, name)| format!("{vgpu_type} {name}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(names(&scratch), "");
    let sibling = "devices/pci0000:25/0000:25:01.0/0000:26:00.5";
    scratch.file(format!("{sibling}/nvidia/creatable_vgpu_types"), LIST);
    scratch.link(format!("{CARD}/virtfn1"), "../0000:26:00.5");
    assert_eq!(names(&scratch), "nvidia-1148 NVIDIA L40S-2Q, nvidia-1150 NVIDIA L40S: 3Q");
    scratch.file(format!("{sibling}/nvidia/creatable_vgpu_types"), "vGPU Name : ID\nNVIDIA L40S-2Q : 1148\n");
    assert_eq!(names(&scratch), "nvidia-1148 NVIDIA L40S-2Q");
    scratch.link(format!("{CARD}/virtfn1"), "../../../../../out");
    assert_eq!(names(&scratch), "");
}

#[test]
fn names_of_types_are_only_read_when_a_message_needs_them() {
    let scratch = vgpu();
    scratch.file(format!("{FUNCTION}/nvidia/creatable_vgpu_types"), LIST);
    let vgpu_type = VgpuType::new(1148).unwrap();
    let source = HostSource::Sysfs(scratch.open(), None);
    let mut host = source.ask([DeviceAddress::Pci(function())]);
    assert_eq!(host.vgpu_name(vgpu_type), None);
    source.name_vgpus(&mut host);
    assert_eq!(host.vgpu_name(vgpu_type), Some("NVIDIA L40S-2Q"));
    scratch.file(format!("{FUNCTION}/nvidia/current_vgpu_type"), "0\n");
    let host = HostSource::Sysfs(scratch.open(), None).ask([DeviceAddress::Pci(function())]);
    assert_eq!(host.vgpu_name(vgpu_type), Some("NVIDIA L40S-2Q"));
}
