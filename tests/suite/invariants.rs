//! Properties that hold for every document and every host: generated ones, the corpus, and the input of a fuzzer.
//!
//! `fuzz/` includes this file by its path, so it does not use the test crate. Each function panics if a property does not hold,
//! and returns nothing if a document is refused, which is always allowed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};
use std::str::FromStr;

use virt_mdev::device::{
    Device, DeviceAddress, DeviceKind, Identity, MdevType, PciAddress, PciId, Subsystem, Uuid, VgpuType,
};
use virt_mdev::domain::{Document, Metadata, Model};
use virt_mdev::edit::{Edits, ProofError};
use virt_mdev::host::{self, Absence, DeviceApi, Host, HostSource, Lookup, NoIdentity, Sysfs};
use virt_mdev::plan::fill::{Devices, OnConflict, OnMissing, Policy};
use virt_mdev::plan::{Pairing, Place, Places, Plan, check, compare, fill, strip};
use virt_mdev::report::Diagnostic;

/// All values of `--into` and `--from`.
pub const PLACES: [Places; 3] = [Places::Only(Place::Source), Places::Only(Place::Metadata), Places::Both];

/// All combinations of `--on-missing` and `--on-conflict`.
pub const ANSWERS: [(OnMissing, OnConflict); 6] = [
    (OnMissing::Skip, OnConflict::Replace),
    (OnMissing::Skip, OnConflict::Keep),
    (OnMissing::Skip, OnConflict::Error),
    (OnMissing::Error, OnConflict::Replace),
    (OnMissing::Error, OnConflict::Keep),
    (OnMissing::Error, OnConflict::Error),
];

/// The policies with these answers: one for each place, and in metadata also for all devices and for mediated devices alone.
pub fn policies((on_missing, on_conflict): (OnMissing, OnConflict)) -> impl Iterator<Item = Policy> {
    let places = PLACES.into_iter().map(|into| (into, Devices::default()));
    let others = [(true, true), (false, false)].map(|(vgpu, pci)| {
        let devices = Devices { mdev: true, vgpu, pci };
        (Places::Only(Place::Metadata), devices)
    });
    places.chain(others).map(move |(into, devices)| Policy { into, devices, on_missing, on_conflict })
}

/// A device of the fuzzed documents, with a common identity.
const UUID: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";

/// Returns the host of the fuzzed documents, with each kind of answer, and type names that need escaping.
fn host() -> Host {
    let mut host = Host::default();
    for (uuid, answer) in [
        (UUID, found("i915-GVTg_V5_4", 0x8086, 0x591d)),
        ("c0ffee01-0000-4000-8000-000000000001", found("a>b]]>&<c", 0x10de, 0)),
        ("c0ffee02-0000-4000-8000-000000000002", found("--> \r\n\té\u{85}'\"/", 0, 0xffff)),
        (
            "c0ffee03-0000-4000-8000-000000000003",
            Err(NoIdentity::ParentNotPci { parent: "mtty".to_owned(), subsystem: None }),
        ),
        ("c0ffee04-0000-4000-8000-000000000004", Err(NoIdentity::OtherDeviceApi(DeviceApi("vfio-ccw".to_owned())))),
        ("c0ffee05-0000-4000-8000-000000000005", absent()),
    ] {
        host.insert(mdev(uuid), Ok(answer));
    }
    for (function, answer) in [
        (0, vgpu(1148)),
        (1, vgpu(1150)),
        (2, pci_device()),
        (3, Err(NoIdentity::Untyped)),
        (4, Err(NoIdentity::NoVgpuType { looked_for: "no directory nvidia".to_owned() })),
        (5, absent()),
    ] {
        let address = PciAddress { domain: 0, bus: 0x26, slot: 0, function };
        host.insert(DeviceAddress::Pci(address), Ok(answer));
    }
    host
}

/// A vGPU of this type.
pub fn vgpu(number: u32) -> Lookup {
    let kind = DeviceKind::Vgpu(VgpuType::new(number).unwrap_or_else(|| panic!("{number} is not a type")));
    let [vendor, product, board] = [0x10de, 0x26b9, 0x1851].map(PciId::from);
    let subsystem = Some(Subsystem { vendor, device: board });
    Ok(Device { subsystem, is_virtual_function: true, ..Identity { vendor, product, kind }.into() })
}

/// A PCI device that is not a vGPU, of which the subsystem is not known.
pub fn pci_device() -> Lookup {
    let class = "0x020000".parse().unwrap_or_else(|error| panic!("{error}"));
    let [vendor, product] = [0x8086, 0x10d3].map(PciId::from);
    Ok(Identity { vendor, product, kind: DeviceKind::Pci(class) }.into())
}

fn mdev(text: &str) -> DeviceAddress {
    DeviceAddress::Mdev(uuid_of(text))
}

fn uuid_of(text: &str) -> Uuid {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn absent() -> Lookup {
    Err(NoIdentity::Absent(Absence::NotFound { looked_for: "no bus/mdev/devices in /sys".to_owned() }))
}

/// Returns the host of the fuzzed documents, with all other devices of this document added, so that most of it can be filled.
fn host_for(document: &Document) -> Host {
    let mut host = host();
    for device in document.devices() {
        if host.lookup(device).is_err() {
            host.insert(
                device,
                Ok(match device {
                    DeviceAddress::Pci(_) => vgpu(1148),
                    _ => found("nvidia-474", 0x10de, 0x20b0),
                }),
            );
        }
    }
    host
}

fn found(name: &str, vendor: u16, product: u16) -> Lookup {
    let mdev_type = name.parse::<MdevType>().unwrap_or_else(|error| panic!("{name:?}: {error}"));
    let [vendor, product] = [vendor, product].map(PciId::from);
    Ok(Identity { vendor, product, kind: DeviceKind::Mdev(mdev_type) }.into())
}

/// Reads what this program wrote: it must be a document.
pub fn reread(text: &str) -> Document {
    Document::read(text.as_bytes().to_vec()).unwrap_or_else(|error| panic!("cannot be read again: {error}\n{text}"))
}

/// Fills a document. The result is verified, differs only in the edits, and is not changed by filling it again.
pub fn filled(document: &Document, host: &Host, policy: &Policy) -> Option<String> {
    let plan = fill::fill(document, host, policy).ok()?;
    let text = applied(document.text(), &plan)?;
    let again = fill::fill(&reread(&text), host, policy);
    let again = again.unwrap_or_else(|errors| panic!("{policy:?}: not filled again: {errors:?}\n{text}"));
    assert!(again.edits.is_empty(), "{policy:?}: filling again has edits: {:?}", again.edits);
    Some(text)
}

/// Strips a document. The result is verified, differs only in the edits, and is not changed by stripping it again.
pub fn stripped(document: &Document, from: Places) -> Option<String> {
    let plan = strip::strip(document, from).ok()?;
    let text = applied(document.text(), &plan)?;
    let again = strip::strip(&reread(&text), from);
    let again = again.unwrap_or_else(|errors| panic!("{from:?}: not stripped again: {errors:?}\n{text}"));
    assert!(again.edits.is_empty(), "{from:?}: stripping again has edits: {:?}", again.edits);
    Some(text)
}

/// Returns the text with the edits of a plan, verified, and byte for byte the same outside the edits.
///
/// Returns `None` if the parser that verifies refuses the original.
fn applied(original: &str, plan: &Plan) -> Option<String> {
    let text = match plan.edits.apply_proven(original) {
        Ok(text) => text,
        Err(ProofError::Refused { .. }) if is_refused(original) => return None,
        Err(error) => panic!("the proof fails: {error:?}\n{original}\n---\n{:?}", plan.edits),
    };
    assert_eq!(undone(original, &plan.edits, &text), original, "undoing the edits does not restore the original");
    Some(text)
}

/// Whether xmltree refuses a whole document. Like libvirt, this ignores the declared encoding.
fn is_refused(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let declaration = if text.starts_with("<?xml ") { text.find("?>").map_or(0, |at| at + 2) } else { 0 };
    xmltree::Element::parse(&text.as_bytes()[declaration..]).is_err()
}

/// Undoes the edits of `text` by their spans and lengths. Panics if a new text is not at its place.
fn undone(original: &str, edits: &Edits, text: &str) -> String {
    let (mut undone, mut at, mut from) = (String::new(), 0, 0);
    for edit in edits.iter() {
        let kept = edit.span.start - from;
        undone += &text[at..at + kept];
        assert_eq!(&text[at + kept..at + kept + edit.text.len()], edit.text);
        undone += edit.span.of(original);
        (at, from) = (at + kept + edit.text.len(), edit.span.end);
    }
    undone + &text[at..]
}

/// Whether stripping must restore the document after filling: it has nothing of ours, and no empty `metadata`.
pub fn is_given_back(document: &Document) -> bool {
    document.domains.iter().all(|domain| {
        let is_bare = domain.hostdevs.iter().all(|hostdev| match &hostdev.model {
            Model::VfioPci(Ok(source)) => source.written.is_empty(),
            _ => true,
        });
        is_bare
            && match &domain.metadata {
                None | Some(Metadata::Missing { .. }) => true,
                Some(Metadata::WithoutOurs { scope, .. }) => !is_blank(scope.span.of(document.text())),
                Some(_) => false,
            }
    })
}

/// Whether an element is empty or contains only whitespace.
fn is_blank(element: &str) -> bool {
    let mut quote = None;
    let end_of_tag = element.find(|character| match quote {
        Some(open) => {
            quote = quote.filter(|_| character != open);
            false
        }
        None if matches!(character, '\'' | '"') => {
            quote = Some(character);
            false
        }
        None => character == '>',
    });
    let content = &element[end_of_tag.map_or(element.len(), |at| at + 1)..];
    content.trim_start_matches([' ', '\t', '\r', '\n']).starts_with("</") || content.is_empty()
}

/// Checks a document in which each device is recorded: it is equal to itself, and each device is the recorded one.
pub fn agrees_with_its_records(text: &str, host: &Host) {
    let document = reread(text);
    if document.main_domain().is_some() {
        let differences = compare::compare(&document, &document);
        assert_eq!(differences.unwrap_or_else(|errors| panic!("not compared: {errors:?}\n{text}")), [], "\n{text}");
    }
    let checked = check::check(&document, host, Pairing::Uuid, virt_mdev::plan::demand::PciScope::Recorded);
    for device in checked.unwrap_or_else(|errors| panic!("not checked: {errors:?}\n{text}")).devices {
        assert_eq!(device.verdict(), check::Verdict::Same, "{device:?}\n{text}");
    }
}

/// Fills a document into each place. If that fills each device, the records agree with the host.
pub fn hold_for_filling(document: &Document, host: &Host, answers: (OnMissing, OnConflict)) {
    for policy in policies(answers) {
        let Some(text) = filled(document, host, &policy) else { continue };
        let fills_each = policy.on_missing == OnMissing::Error && policy.on_conflict != OnConflict::Keep;
        // If only the source is filled, a record of another device at the same guest address stays.
        if fills_each && policy.devices.vgpu && policy.into.include(Place::Metadata) {
            agrees_with_its_records(&text, host);
        }
    }
}

/// Strips a document from each place. A document without anything of ours is restored after it is filled and stripped.
pub fn hold_for_stripping(document: &Document, host: &Host) {
    for from in PLACES {
        let text = stripped(document, from);
        if let Some(text) = text.filter(|_| from == Places::Both) {
            hold_for_giving_back(&reread(&text), host);
        }
    }
    hold_for_giving_back(document, host);
}

/// Fills a document into each place and strips it from each place, which restores it if it has nothing of ours.
pub fn hold_for_giving_back(document: &Document, host: &Host) {
    let is_given_back = is_given_back(document);
    for policy in policies((OnMissing::Skip, OnConflict::Replace)) {
        let Some(filled) = filled(document, host, &policy) else { continue };
        for from in PLACES {
            let text = stripped(&reread(&filled), from);
            // If it could be verified when it was filled, it can be when it is stripped.
            if is_given_back && (from == policy.into || from == Places::Both) {
                let text = text.unwrap_or_else(|| panic!("{policy:?}: what was filled is not stripped\n{filled}"));
                assert_eq!(text, document.text(), "{policy:?}, from {from:?}: strip(fill(x)) differs from x");
            }
        }
    }
}

/// Reads bytes as a document, and fills it with every policy.
pub fn bytes_as_document(bytes: &[u8]) {
    if let Ok(document) = Document::read(bytes.to_vec()) {
        let host = host_for(&document);
        ANSWERS.into_iter().for_each(|answers| hold_for_filling(&document, &host, answers));
    }
}

/// Reads bytes as a document, and strips it before and after filling it.
pub fn bytes_as_document_to_strip(bytes: &[u8]) {
    if let Ok(document) = Document::read(bytes.to_vec()) {
        hold_for_stripping(&document, &host_for(&document));
    }
}

/// The type, the ids and the vGPU type of devices outside the tree, which a link out of the tree would lead to.
const CANARY: (&str, u16, u32) = ("canary", 0xdead, 0xdead);

/// Reads bytes as the contents of a host's sysfs: targets of links, contents of files, the name of a type.
///
/// The bytes are fields, separated by NUL: first a digit for each [`entry`](ENTRIES), then the contents of those of the mediated
/// device in the same order, the name of the type's directory, the contents of those of the virtual function, and `vgpuConfig.xml`.
/// The digits mean: 0 what the kernel has there, 1 a link instead of a file or a file instead of a link, 2 a directory, 3 nothing.
/// Missing digits and fields at the end are as in the kernel.
pub fn bytes_as_sysfs(bytes: &[u8], scratch: &Path) {
    let top = tempfile::tempdir_in(scratch).unwrap_or_else(|error| panic!("no scratch directory: {error}"));
    let Some(built) = build(top.path(), bytes) else { return };
    let Ok(sysfs) = Sysfs::open(&top.path().join("sys")) else { return };
    let mdev = DeviceAddress::Mdev(uuid_of(UUID));
    let answer = sysfs.lookup(mdev);
    if let Ok(Ok(device)) = &answer {
        let Identity { vendor, product, kind: DeviceKind::Mdev(mdev_type) } = &device.identity else {
            panic!("not a mediated device: {device:?}");
        };
        assert_eq!(mdev_type.as_str().as_bytes(), built.type_name.as_bytes(), "a type that is not in the tree");
        let ids = ["PARENT/vendor", "PARENT/device"].map(|path| built.parsed(path));
        assert_eq!([Some(*vendor), Some(*product)], ids, "ids that are not in the tree");
    }
    assert_eq!(format!("{answer:?}"), format!("{:?}", sysfs.lookup(mdev)), "a second lookup has another answer");

    let address = PciAddress { domain: 0, bus: 0x26, slot: 0, function: 4 };
    let function = DeviceAddress::Pci(address);
    let answer = sysfs.lookup(function);
    if let Ok(Ok(device)) = &answer {
        built.holds(device);
    }
    assert_eq!(format!("{answer:?}"), format!("{:?}", sysfs.lookup(function)), "a second lookup has another answer");
    for (vgpu_type, name) in sysfs.vgpu_names(&[address]) {
        let list = built.content("FUNCTION/nvidia/creatable_vgpu_types").map(String::from_utf8_lossy);
        let is_listed = list.is_some_and(|list| list.contains(&name) && list.contains(&vgpu_type.number().to_string()));
        assert!(is_listed, "{vgpu_type} {name:?} is not in the tree");
    }

    let xml = format!(
        "<domain>\n  <name>vm</name>\n  <devices>\n    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>\n      <source>\n        \
         <address uuid='{UUID}'/>\n      </source>\n    </hostdev>\n    <hostdev mode='subsystem' type='pci'>\n      <source>\n        \
         <address bus='0x26' slot='0x00' function='0x4'/>\n      </source>\n    </hostdev>\n  </devices>\n</domain>\n"
    );
    let source = HostSource::Sysfs(sysfs, None);
    if let Ok(recorded) = source.record() {
        for device in [mdev, function] {
            match (source.lookup(device), recorded.lookup(device)) {
                (Ok(Err(NoIdentity::Absent(_))), Ok(Err(NoIdentity::Absent(_)))) => {}
                (Ok(Err(NoIdentity::NoVgpuType { .. })), Ok(Err(NoIdentity::NoVgpuType { .. }))) => {}
                (Ok(answer), Ok(recorded)) => assert_eq!(answer, recorded, "the record has another answer"),
                (Err(_), Err(_)) => {}
                (answer, recorded) => panic!("{answer:?}, and from the record {recorded:?}"),
            }
        }
    }
    let mut host = source.ask([mdev, function]);
    source.name_vgpus(&mut host);
    let document = reread(&xml);
    hold_for_filling(&document, &host, (OnMissing::Error, OnConflict::Error));
    hold_for_stripping(&document, &host);
}

/// The contents of a tree: only these may be in an answer.
struct Built {
    type_name: OsString,
    /// What is a file, by its path with placeholders.
    files: BTreeMap<&'static str, Vec<u8>>,
    is_virtual_function: bool,
}

impl Built {
    fn content(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    fn parsed<T: FromStr>(&self, path: &str) -> Option<T> {
        String::from_utf8_lossy(self.content(path)?).parse().ok()
    }

    /// Panics if the tree does not have this device as the virtual function.
    fn holds(&self, device: &Device) {
        let Device { identity: Identity { vendor, product, kind }, subsystem, is_virtual_function, .. } = device;
        let ids = ["FUNCTION/vendor", "FUNCTION/device"].map(|path| self.parsed(path));
        assert_eq!([Some(*vendor), Some(*product)], ids, "ids that are not in the tree");
        let board = self.parsed("FUNCTION/subsystem_vendor").zip(self.parsed("FUNCTION/subsystem_device"));
        assert_eq!(
            *subsystem,
            board.map(|(vendor, device)| Subsystem { vendor, device }),
            "a board that is not in the tree"
        );
        assert_eq!(*is_virtual_function, self.is_virtual_function, "{device:?}");
        match kind {
            DeviceKind::Vgpu(vgpu_type) => {
                let content = self.content("FUNCTION/nvidia/current_vgpu_type").unwrap_or_default();
                let digits = String::from_utf8_lossy(content.strip_suffix(b"\n").unwrap_or(content)).into_owned();
                assert_eq!(
                    digits.trim_start_matches('0'),
                    vgpu_type.number().to_string(),
                    "a type that is not in the tree"
                );
            }
            DeviceKind::Pci(class) => {
                assert_eq!(Some(class), self.parsed("FUNCTION/class").as_ref(), "a class that is not in the tree");
                assert!(!(self.is_virtual_function && self.content("FUNCTION/nvidia/current_vgpu_type").is_some()));
            }
            _ => panic!("not a PCI device: {device:?}"),
        }
    }
}

/// Something in the tree, with its usual content.
struct Entry {
    /// Its path, with placeholders PARENT, UUID, TYPE, FUNCTION and CARD.
    path: &'static str,
    is_link: bool,
    usual: &'static str,
}

const PARENT: &str = "devices/pci0000:00/0000:00:02.0";
const FUNCTION: &str = "devices/pci0000:25/0000:26:00.4";
const CARD: &str = "devices/pci0000:25/0000:26:00.0";

/// Reads bytes as a file that describes a host. An error has a place in the file and can be shown. A host has an answer about each
/// of its devices, and its record is the same after it was written and read again.
pub fn bytes_as_host_file(bytes: &[u8]) {
    let host = match host::read("host-b", bytes) {
        Ok(host) => host,
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            let shown = Diagnostic::of_host_file("host-b", &text, &error).render(false);
            let is_shown = |character: char| character == '\n' || !character.is_control();
            assert!(shown.chars().all(is_shown) && shown.len() < 8_000, "{shown:?}");
            return;
        }
    };
    let record = host.record();
    let mdevs = record.mdev_parents.iter().flat_map(|parent| &parent.mdevs).map(|mdev| DeviceAddress::Mdev(mdev.uuid));
    let pci_devices = record.pci_devices.iter().map(|device| DeviceAddress::Pci(device.address));
    let devices: Vec<_> = mdevs.chain(pci_devices).collect();
    let written = serde_json::to_vec(record).unwrap_or_else(|error| panic!("{error}"));
    let again = host::read("host-b", &written).unwrap_or_else(|error| panic!("not read again: {error}\n{record:?}"));
    assert_eq!(again.record(), record);
    for device in &devices {
        let (first, second) = (host.lookup(*device), again.lookup(*device));
        assert_eq!(first.is_ok(), second.is_ok(), "{device}");
        assert_eq!(first.ok(), second.ok(), "{device}");
        assert!(!matches!(host.lookup(*device), Ok(Err(NoIdentity::Absent(_)))), "{device} is recorded and absent");
    }
    let source = HostSource::Recorded(host);
    let mut answers = source.ask(devices.into_iter().chain([mdev(UUID)]));
    source.name_vgpus(&mut answers);
}

/// How many of the entries are of the mediated device.
const MDEV_ENTRIES: usize = 6;

const ENTRIES: [Entry; 16] = [
    link("bus/mdev/devices/UUID", "../../../devices/pci0000:00/0000:00:02.0/c2177883-f1bb-47f0-914d-32a22e3a8804"),
    link("PARENT/UUID/mdev_type", "../mdev_supported_types/i915-GVTg_V5_4"),
    link("PARENT/subsystem", "../../../bus/pci"),
    file("PARENT/vendor", "0x8086\n"),
    file("PARENT/device", "0x591d\n"),
    file("PARENT/mdev_supported_types/TYPE/device_api", "vfio-pci\n"),
    link("bus/pci/devices/0000:26:00.4", "../../../devices/pci0000:25/0000:26:00.4"),
    link("FUNCTION/physfn", "../0000:26:00.0"),
    file("FUNCTION/vendor", "0x10de\n"),
    file("FUNCTION/device", "0x26b9\n"),
    file("FUNCTION/class", "0x030200\n"),
    file("FUNCTION/subsystem_vendor", "0x10de\n"),
    file("FUNCTION/subsystem_device", "0x1851\n"),
    file("FUNCTION/nvidia/current_vgpu_type", "1148\n"),
    file("FUNCTION/nvidia/creatable_vgpu_types", "ID    : vGPU Name\n1148  : NVIDIA L40S-2Q\n"),
    link("CARD/virtfn0", "../0000:26:00.4"),
];

const VGPU_CONFIG: &str =
    "<vgpuconfig>\n    <vgpuType id=\"1148\" name=\"NVIDIA L40S-2Q\">\n    </vgpuType>\n</vgpuconfig>\n";

const fn link(path: &'static str, usual: &'static str) -> Entry {
    Entry { path, is_link: true, usual }
}

const fn file(path: &'static str, usual: &'static str) -> Entry {
    Entry { path, is_link: false, usual }
}

/// Builds `sys`, and outside it similar devices that must not be read. Returns `None` if a name is not valid for a file.
fn build(top: &Path, bytes: &[u8]) -> Option<Built> {
    let fields: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let field = |number: usize, usual: &'static str| fields.get(number).copied().unwrap_or(usual.as_bytes());
    let type_name = OsStr::from_bytes(field(MDEV_ENTRIES + 1, "i915-GVTg_V5_4"));
    let mut names = Path::new(type_name).components();
    if !matches!((names.next(), names.next()), (Some(Component::Normal(only)), None) if only == type_name)
        || type_name == CANARY.0
    {
        return None;
    }
    let outside = top.join("outside");
    parent_at(&outside, OsStr::new(CANARY.0))?;
    fs::create_dir_all(outside.join("nvidia")).ok()?;
    for path in ["vendor", "device", "subsystem_vendor", "subsystem_device"] {
        fs::write(outside.join(path), format!("0x{:04x}\n", CANARY.1)).ok()?;
    }
    for (path, content) in [
        ("class", "0x0dead0\n".to_owned()),
        ("nvidia/current_vgpu_type", format!("{}\n", CANARY.2)),
        ("nvidia/creatable_vgpu_types", format!("{} : {}\n", CANARY.2, CANARY.0)),
    ] {
        fs::write(outside.join(path), content).ok()?;
    }
    symlink(Path::new("../mdev_supported_types").join(CANARY.0), outside.join(UUID).join("mdev_type")).ok()?;
    symlink("../sys/bus/pci", outside.join("subsystem")).ok()?;
    symlink(".", outside.join("virtfn0")).ok()?;
    fs::write(outside.join("mdev_supported_types").join(CANARY.0).join("device_api"), "vfio-pci\n").ok()?;

    let sys = top.join("sys");
    fs::create_dir_all(sys.join("bus/mdev/devices")).ok()?;
    parent_at(&sys.join(PARENT), type_name)?;
    let kinds = fields.first().copied().unwrap_or_default();
    let mut built = Built { type_name: type_name.to_owned(), files: BTreeMap::new(), is_virtual_function: false };
    for (number, entry) in ENTRIES.iter().enumerate() {
        let mut path = sys.clone();
        for name in entry.path.split('/') {
            match name {
                "PARENT" => path.push(PARENT),
                "UUID" => path.push(UUID),
                "TYPE" => path.push(type_name),
                "FUNCTION" => path.push(FUNCTION),
                "CARD" => path.push(CARD),
                name => path.push(name),
            }
        }
        // The name of the type is between the two devices.
        let content = field(number + if number < MDEV_ENTRIES { 1 } else { 2 }, entry.usual);
        let kind = kinds.get(number);
        if kind != Some(&b'3') {
            fs::create_dir_all(path.parent()?).ok()?;
        }
        match (kind, entry.is_link) {
            (Some(b'3'), _) => {}
            (Some(b'2'), _) => fs::create_dir(path).ok()?,
            // This fails if the target is empty or very long.
            (Some(b'1'), false) => symlink(OsStr::from_bytes(content), path).ok()?,
            (kind, true) if kind != Some(&b'1') => {
                symlink(OsStr::from_bytes(content), path).ok()?;
                built.is_virtual_function |= entry.path == "FUNCTION/physfn";
            }
            _ => {
                fs::write(path, content).ok()?;
                built.files.insert(entry.path, content.to_vec());
            }
        }
    }
    let config = top.join("usr/share/nvidia/vgpu");
    fs::create_dir_all(&config).ok()?;
    fs::write(config.join("vgpuConfig.xml"), field(ENTRIES.len() + 2, VGPU_CONFIG)).ok()?;
    Some(built)
}

fn parent_at(path: &Path, type_name: &OsStr) -> Option<()> {
    fs::create_dir_all(path.join(UUID)).ok()?;
    fs::create_dir_all(path.join("mdev_supported_types").join(type_name)).ok()
}
