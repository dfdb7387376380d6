//! Checks the README against the program and the files that it names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::testdata;

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
    for document in ["README.md", "testdata/README.md"] {
        let path = top().join(document);
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
