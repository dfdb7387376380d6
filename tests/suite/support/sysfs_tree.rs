//! Builds a directory with the layout of /sys from a readable description.
//!
//! Each line is a statement; `#` starts a comment line. Words are split as in a shell, so `"a b"` is one word. `\n` in a value
//! is a line break.
//!
//! ```text
//! parent pci ADDR vendor=0x.. device=0x.. [class=0x030000] [subvendor=0x..] [subdevice=0x..] [revision=0x..] [numa=N]
//!        [root=DIR/..] [bridges=ADDR,ADDR] [driver=NAME] [physfn=ADDR]
//!     A PCI device that can have mediated devices. Its directory is devices/ROOT/BRIDGE/.../ADDR; ROOT is pciDDDD:BB
//!     of the first bridge (of ADDR without bridges), or what root= says. A bridge named pciDDDD:BB is a further root
//!     bus (as below Intel VMD), not a device. physfn=ADDR makes it ADDR's virtual function: links physfn here and
//!     virtfnN there.
//! device pci ADDR ...
//!     The same without mdev_bus and types: a card's physical function, a plain PCI device.
//! parent other NAME path=devices/.. subsystem=bus/NAME|class/NAME [driver=NAME]
//!     A parent that is not a PCI device: mtty, the AP matrix, an s390x subchannel.
//! type TYPE api=vfio-pci [available=N] [name=".."] [description=".."]
//!     A supported type of the last parent. Without name= or description= the file does not exist.
//! mdev UUID PARENT TYPE [driver=vfio_mdev]
//!     A mediated device; PARENT is its address or name.
//! tree HOST
//!     A copy of a tree of testdata/hosts, which nothing else is added to unless later lines say so; the first statement.
//! vgpu-config NUMBER=NAME ...
//!     The list of all vGPU types that NVIDIA's driver installs, outside the tree: ../usr/share/nvidia/vgpu/vgpuConfig.xml.
//! dir PATH | file PATH TEXT | link PATH TARGET | remove PATH
//!     Anything else: PATH relative to the tree, TARGET as it is in the link.
//! ```

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Makes `top`, which must not exist or be empty, the /sys of the host that `description` describes.
///
/// Panics with the line number if the description is wrong.
pub fn build(description: &str, top: &Path) {
    let mut tree = Tree::new(top);
    let has_copy = description.lines().any(|line| line.starts_with("tree "));
    for dir in ["bus/mdev/devices", "bus/pci/devices", "class/mdev_bus", "devices"].into_iter().filter(|_| !has_copy) {
        tree.dir(dir).unwrap_or_else(|error| panic!("{dir}: {error}"));
    }
    for (number, line) in (1..).zip(description.lines()) {
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            tree.statement(line).unwrap_or_else(|error| panic!("line {number} of the host, {line:?}: {error}"));
        }
    }
}

/// The words of a statement: plain ones, and those of the form `name=value`.
struct Words {
    plain: Vec<String>,
    options: HashMap<String, String>,
}

impl Words {
    fn split(line: &str) -> Result<Self> {
        let mut words = Self { plain: Vec::new(), options: HashMap::new() };
        for word in shell_words::split(line)? {
            match word.split_once('=') {
                Some((name, value)) => {
                    words.options.insert(name.to_owned(), value.replace("\\n", "\n"));
                }
                None => words.plain.push(word),
            }
        }
        Ok(words)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    fn or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.option(name).unwrap_or(default)
    }

    fn required(&self, name: &str) -> Result<&str> {
        self.option(name).ok_or_else(|| format!("{name}= is missing").into())
    }
}

struct Tree<'a> {
    top: &'a Path,
    /// The path of each device in the tree, by address or name.
    places: HashMap<String, String>,
    /// How many virtual functions each physical function has so far.
    virtual_functions: HashMap<String, usize>,
    types: HashSet<(String, String)>,
    last_parent: Option<String>,
}

impl<'a> Tree<'a> {
    fn new(top: &'a Path) -> Self {
        Self {
            top,
            places: HashMap::new(),
            virtual_functions: HashMap::new(),
            types: HashSet::new(),
            last_parent: None,
        }
    }

    fn statement(&mut self, line: &str) -> Result<()> {
        let words = Words::split(line)?;
        let plain: Vec<&str> = words.plain.iter().map(String::as_str).collect();
        match plain[..] {
            ["device", "pci", address] => self.pci(address, &words),
            ["parent", "pci", address] => {
                self.pci(address, &words)?;
                self.parent(address)
            }
            ["parent", "other", name] => {
                self.other(name, &words)?;
                self.parent(name)
            }
            ["type", name] => self.mdev_type(name, &words),
            ["mdev", uuid, parent, mdev_type] => self.mdev(uuid, parent, mdev_type, words.or("driver", "vfio_mdev")),
            ["tree", host] => {
                let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/hosts");
                copy(&hosts.join(host).join("sys"), self.top)
            }
            ["remove", path] => {
                let path = self.top.join(path);
                Ok(if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }?)
            }
            ["vgpu-config"] => self.vgpu_config(&words),
            ["dir", path] => self.dir(path),
            ["file", path, text] => self.file(path, &text.replace("\\n", "\n")),
            ["link", path, target] => self.link_as(path, target),
            _ => Err("no such statement".into()),
        }
    }

    fn pci(&mut self, address: &str, words: &Words) -> Result<()> {
        let bridges: Vec<&str> = words.or("bridges", "").split(',').filter(|bridge| !bridge.is_empty()).collect();
        let first = bridges.iter().copied().find(|bridge| !is_root_bus(bridge)).unwrap_or(address);
        let (bus, _) = first.rsplit_once(':').ok_or_else(|| format!("{first} is not a PCI address"))?;
        let mut path = format!("devices/{}", words.or("root", &format!("pci{bus}")));
        for bridge in bridges {
            path = format!("{path}/{bridge}");
            if is_root_bus(bridge) {
                self.dir(&path)?;
            } else if !self.places.contains_key(bridge) {
                let root_port = Words::split("vendor=0x8086 device=0x2030 class=0x060400 driver=pcieport")?;
                self.pci_at(bridge, &path, &root_port)?;
            }
        }
        self.pci_at(address, &format!("{path}/{address}"), words)?;
        if let Some(physical) = words.option("physfn") {
            let nth = self.virtual_functions.entry(physical.to_owned()).or_default();
            let name = format!("virtfn{nth}");
            *nth += 1;
            let (here, there) = (self.place(address)?.to_owned(), self.place(physical)?.to_owned());
            self.link(&format!("{here}/physfn"), &there)?;
            self.link(&format!("{there}/{name}"), &here)?;
        }
        Ok(())
    }

    fn pci_at(&mut self, address: &str, path: &str, words: &Words) -> Result<()> {
        self.places.insert(address.to_owned(), path.to_owned());
        let vendor = words.required("vendor")?;
        for (file, value) in [
            ("vendor", vendor),
            ("device", words.required("device")?),
            ("class", words.or("class", "0x030000")),
            ("subsystem_vendor", words.or("subvendor", vendor)),
            ("subsystem_device", words.or("subdevice", "0x0000")),
            ("revision", words.or("revision", "0x00")),
            ("numa_node", words.or("numa", "-1")),
        ] {
            self.file(&format!("{path}/{file}"), &format!("{value}\n"))?;
        }
        self.file(&format!("{path}/uevent"), &format!("PCI_SLOT_NAME={address}\n"))?;
        self.in_subsystem(path, "bus/pci", address, words.option("driver"))
    }

    fn other(&mut self, name: &str, words: &Words) -> Result<()> {
        let path = words.required("path")?;
        self.places.insert(name.to_owned(), path.to_owned());
        self.file(&format!("{path}/uevent"), "")?;
        self.in_subsystem(path, words.required("subsystem")?, name, words.option("driver"))
    }

    /// Links a device with its bus or class, and with its driver if it has one.
    fn in_subsystem(&self, path: &str, subsystem: &str, name: &str, driver: Option<&str>) -> Result<()> {
        self.dir(subsystem)?;
        self.link(&format!("{path}/subsystem"), subsystem)?;
        if !subsystem.starts_with("bus/") {
            return self.link(&format!("{subsystem}/{name}"), path);
        }
        self.link(&format!("{subsystem}/devices/{name}"), path)?;
        if let Some(driver) = driver {
            let driver = format!("{subsystem}/drivers/{driver}");
            self.dir(&driver)?;
            self.link(&format!("{path}/driver"), &driver)?;
            self.link(&format!("{driver}/{name}"), path)?;
        }
        Ok(())
    }

    fn parent(&mut self, name: &str) -> Result<()> {
        self.last_parent = Some(name.to_owned());
        let path = self.place(name)?;
        self.dir(&format!("{path}/mdev_supported_types"))?;
        self.link(&format!("class/mdev_bus/{name}"), path)
    }

    fn mdev_type(&mut self, name: &str, words: &Words) -> Result<()> {
        let parent = self.last_parent.clone().ok_or("no parent precedes it")?;
        let path = format!("{}/mdev_supported_types/{name}", self.place(&parent)?);
        self.types.insert((parent, name.to_owned()));
        self.dir(&format!("{path}/devices"))?;
        self.file(&format!("{path}/device_api"), &format!("{}\n", words.required("api")?))?;
        self.file(&format!("{path}/available_instances"), &format!("{}\n", words.or("available", "0")))?;
        for file in ["name", "description"] {
            if let Some(text) = words.option(file) {
                self.file(&format!("{path}/{file}"), &format!("{text}\n"))?;
            }
        }
        Ok(())
    }

    fn mdev(&self, uuid: &str, parent: &str, mdev_type: &str, driver: &str) -> Result<()> {
        if !self.types.contains(&(parent.to_owned(), mdev_type.to_owned())) {
            return Err(format!("{parent} has no type {mdev_type}").into());
        }
        let parent = self.place(parent)?;
        let path = format!("{parent}/{uuid}");
        let mdev_type = format!("{parent}/mdev_supported_types/{mdev_type}");
        self.file(&format!("{path}/uevent"), &format!("DRIVER={driver}\n"))?;
        self.link(&format!("{path}/mdev_type"), &mdev_type)?;
        self.link(&format!("{mdev_type}/devices/{uuid}"), &path)?;
        self.in_subsystem(&path, "bus/mdev", uuid, Some(driver))
    }

    fn place(&self, name: &str) -> Result<&str> {
        self.places.get(name).map(String::as_str).ok_or_else(|| format!("{name} was not described").into())
    }

    fn dir(&self, path: &str) -> Result<()> {
        Ok(fs::create_dir_all(self.top.join(path))?)
    }

    fn vgpu_config(&self, words: &Words) -> Result<()> {
        let vgpu_type = |(number, name): (&String, &String)| {
            let card = "<devId vendorId=\"0x10DE\" deviceId=\"0x26B9\"></devId>";
            format!(
                "    <vgpuType id=\"{number}\" name=\"{name}\" class=\"Quadro\">\n        {card}\n    </vgpuType>\n"
            )
        };
        let vgpu_types: String = words.options.iter().map(vgpu_type).collect();
        self.file("../usr/share/nvidia/vgpu/vgpuConfig.xml", &format!("<vgpuconfig>\n{vgpu_types}</vgpuconfig>\n"))
    }

    fn file(&self, path: &str, text: &str) -> Result<()> {
        self.dir(directory_of(path))?;
        Ok(fs::write(self.top.join(path), text)?)
    }

    /// Creates a link from one path of the tree to another, relative and as short as in the kernel.
    fn link(&self, path: &str, target: &str) -> Result<()> {
        let from: Vec<&str> = directory_of(path).split('/').collect();
        let to: Vec<&str> = target.split('/').collect();
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let steps: Vec<&str> =
            vec![".."; from.len() - shared].into_iter().chain(to[shared..].iter().copied()).collect();
        self.link_as(path, &steps.join("/"))
    }

    fn link_as(&self, path: &str, target: &str) -> Result<()> {
        self.dir(directory_of(path))?;
        Ok(symlink(target, self.top.join(path))?)
    }
}

/// Whether a bridge is the root of a further PCI hierarchy: `pci10000:e0`.
fn is_root_bus(name: &str) -> bool {
    name.starts_with("pci")
}

/// Copies a tree with its links.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()? {
            kind if kind.is_symlink() => symlink(fs::read_link(from)?, to)?,
            kind if kind.is_dir() => copy(&from, &to)?,
            _ => fs::write(to, fs::read(from)?)?,
        }
    }
    Ok(())
}

fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

mod tests {
    use super::*;

    #[test]
    fn links_and_files_are_where_the_kernel_has_them() {
        let top = tempfile::tempdir().unwrap();
        build(
            "# a card below a bridge\n\
             parent pci 0000:03:00.0 bridges=0000:00:03.0 vendor=0x10de device=0x1b38 driver=nvidia\n\
             type nvidia-46 api=vfio-pci name=\"GRID P40-1Q\"\n\
             mdev 334852fe-079b-11ee-9fc7-0123456789ab 0000:03:00.0 nvidia-46\n",
            top.path(),
        );
        let parent = "devices/pci0000:00/0000:00:03.0/0000:03:00.0";
        let uuid = "334852fe-079b-11ee-9fc7-0123456789ab";
        let link = |path: &str| fs::read_link(top.path().join(path)).unwrap().to_str().unwrap().to_owned();
        let file = |path: &str| fs::read_to_string(top.path().join(path)).unwrap();
        assert_eq!(link(&format!("bus/mdev/devices/{uuid}")), format!("../../../{parent}/{uuid}"));
        assert_eq!(link(&format!("{parent}/{uuid}/mdev_type")), "../mdev_supported_types/nvidia-46");
        assert_eq!(link(&format!("{parent}/subsystem")), "../../../../bus/pci");
        assert_eq!(link("class/mdev_bus/0000:03:00.0"), format!("../../{parent}"));
        assert_eq!(file(&format!("{parent}/vendor")), "0x10de\n");
        assert_eq!(file(&format!("{parent}/mdev_supported_types/nvidia-46/name")), "GRID P40-1Q\n");
        assert_eq!(file(&format!("bus/mdev/devices/{uuid}/mdev_type/device_api")), "vfio-pci\n");
    }

    #[test]
    #[should_panic(expected = "line 2 of the host")]
    fn an_error_in_the_description_is_reported_with_its_line() {
        build(
            "\nmdev 334852fe-079b-11ee-9fc7-0123456789ab 0000:03:00.0 nvidia-46",
            tempfile::tempdir().unwrap().path(),
        );
    }
}
