//! Checks the README against the program and the files that it names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::guests::{bare, domain};
use crate::support::{BINARY, Scratch, testdata};

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(top().join("README.md")).unwrap()
}

#[test]
fn the_diff_is_what_the_program_prints_for_the_demo() {
    let printed = Command::new(env!("CARGO_BIN_EXE_virt-mdev"))
        .args(["fill", "--diff", "--sysfs"])
        .args([testdata("hosts/field/gvt-g/sys"), testdata("demo/win10.xml")])
        .output()
        .unwrap();
    let diff = String::from_utf8(printed.stdout).unwrap();
    let hunk = &diff[diff.find("@@").unwrap()..];
    assert!(readme().contains(&format!("```diff\n{hunk}```\n")), "the README should have:\n{hunk}");
}

#[test]
fn every_link_points_to_a_file() {
    let pages = glob::glob(&format!("{}/docs/*.md", glob::Pattern::escape(top().to_str().unwrap())))
        .unwrap()
        .map(Result::unwrap);
    for path in pages.chain(["README.md", "testdata/README.md"].map(|document| top().join(document))) {
        let document = path.display();
        let text = fs::read_to_string(&path).unwrap();
        let links = text.split("](").skip(1).map(|rest| &rest[..rest.find(')').unwrap()]);
        for link in links.filter(|link| !link.contains("://")) {
            assert!(path.parent().unwrap_or(Path::new("")).join(link).exists(), "{document}: {link}");
        }
    }
}

#[test]
fn it_names_every_manual_page() {
    for page in fs::read_dir(top().join("man")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let (stem, section) = name.rsplit_once('.').unwrap();
        let (whole, short) = (format!("{stem}({section})"), format!("{}({section})", stem.replace("virt-mdev", "")));
        assert!(readme().contains(&format!("`{whole}`")) || readme().contains(&format!("`{short}`")), "{whole}");
    }
}

/// Returns the blocks of code of a section.
fn blocks(heading: &str) -> Vec<String> {
    let readme = readme();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split_once("\n## ").unwrap().0;
    let fenced = section.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect()
}

/// Hosts that `ssh` and `scp` reach, and two guests: win10 has an mdev of host-a, win11 a virtual function of host-c.
struct Hosts(Scratch);

impl Hosts {
    fn new() -> Self {
        let hosts = Self(Scratch::new());
        let linux = testdata("hosts/linux-6.1");
        let ssh = format!(
            "#!/bin/sh\nexport VIRT_MDEV_SYSFS={}/$1/sys\n\"$2\" \"$3\" \"$4\" | sed 's|\"host\": .*|\"host\": \"'$1'\",|'",
            linux.display()
        );
        let scp = "#!/bin/sh\ncase $* in 'host-b:/etc/libvirt/qemu/*.xml in-use') cp ../qemu/*.xml in-use ;; *) exit 9 ;; esac";
        for (name, script) in [("ssh", ssh.as_str()), ("scp", scp)] {
            let path = hosts.0.file(format!("bin/{name}"), script);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let vgpu = "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='1' slot='0' function='4'/></source></hostdev>";
        let vgpu = domain(vgpu).replace("<name>vm<", "<name>win11<");
        let vgpu =
            hosts.0.virt_mdev(["fill", "--into", "metadata", "--sysfs"]).arg(linux.join("host-c/sys")).stdin(vgpu);
        let vgpu = vgpu.stdout_any().check().stdout;
        for place in ["definition", "running"] {
            hosts.0.file(format!("guests/{place}/win10"), fs::read(testdata("demo/recorded.xml")).unwrap());
            hosts.0.file(format!("guests/{place}/win11"), &vgpu);
        }
        // A guest of host-b, with another device.
        hosts.0.file("qemu/linux.xml", bare(1));
        fs::create_dir(hosts.0.path("work")).unwrap();
        hosts
    }

    /// Runs a script in an empty directory, and returns its output and exit status.
    fn run(&self, script: &str) -> (String, Option<i32>) {
        let binaries = Path::new(BINARY).parent().unwrap().display();
        let path = format!(
            "{}:{}/tests/suite/support:{binaries}:{}",
            self.0.path("bin").display(),
            top().display(),
            std::env::var("PATH").unwrap()
        );
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", script]).current_dir(self.0.path("work"));
        let output = bash.envs([("PATH", path.into()), ("VIRSH_GUESTS", self.0.path("guests"))]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    }
}

#[test]
fn the_recipe_that_checks_all_guests_against_all_hosts_prints_what_the_readme_says() {
    let [script, table] = blocks("Can it go there?").try_into().unwrap();
    assert_eq!(Hosts::new().run(&script), (table, Some(1)));
}

#[test]
fn the_recipe_that_migrates_to_another_device_takes_one_that_is_recorded() {
    let [script] = blocks("Take it there").try_into().unwrap();
    let hosts = Hosts::new();
    assert_eq!(hosts.run(&script), (String::new(), Some(0)));
    let migrated = hosts.0.read("guests/migrated-win10");
    let check = hosts.0.virt_mdev(["check", "--sysfs"]).arg(testdata("hosts/linux-6.1/host-b/sys")).stdin(migrated);
    check.stdout_has("0b0b0b0b-0000-4000-8000-00000000000b  same").check();
}

/// `docs/refused.svg` shows a session on two libvirt hosts; tests/e2e draws it.
#[test]
fn the_picture_has_the_message_of_the_hook() {
    let picture = fs::read_to_string(top().join("docs/refused.svg")).unwrap();
    let lines =
        picture.lines().filter_map(|line| line.strip_prefix("<text ")?.strip_suffix("</text>")?.split_once('>'));
    let text: Vec<_> = lines.map(|(_, text)| text).collect();
    let expected = fs::read_to_string(testdata("demo/expect.txt")).unwrap();
    let message = expected.lines().find(|line| line.starts_with("virt-mdev: guest win10: ")).unwrap();
    assert!(text.join(" ").contains(message), "{text:#?}");
}
