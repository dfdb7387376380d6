//! The files of `packaging`, as far as they can be checked without building a package; `tests/packages` builds them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_package_has_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("debian/changelog", format!("virt-mdev ({version}-1) unstable; urgency=medium")),
        ("virt-mdev.spec", format!("Version:        {version}")),
        ("PKGBUILD", format!("pkgver={version}")),
    ] {
        let text = fs::read_to_string(top().join("packaging").join(file)).unwrap();
        assert!(text.lines().any(|found| found == line), "{file}: expected {line}");
    }
}

/// Returns a directory with a crate `some` whose manifest and licence file have these lines.
fn a_crate(manifest: &str, license: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("some")).unwrap();
    fs::write(directory.path().join("some/Cargo.toml"), format!("[package]\nname = \"some\"\n{manifest}\n")).unwrap();
    fs::write(directory.path().join("some/LICENSE-MIT"), license).unwrap();
    directory
}

fn licenses(directory: &TempDir) -> Output {
    let script = top().join("packaging/licenses");
    Command::new(script).arg(directory.path().join("some")).current_dir(top()).output().unwrap()
}

#[test]
fn the_licence_and_the_copyright_of_a_crate_are_listed() {
    for (manifest, license, copyright, name) in [
        ("license = \"MIT OR Apache-2.0\"", "Copyright (c) 2015 A. N. Other\n", "2015 A. N. Other", "MIT"),
        ("license = \"Apache-2.0/MIT\"", "  Copyright © 2016 Some Inc.\n", "2016 Some Inc", "MIT"),
        (
            "license = \"Apache-2.0\"\nauthors = [\"B <b@c>\"]\nbuild = \"build.rs\"\nkeywords = []",
            "Copyright [yyyy] [name]\n",
            "B <b@c>",
            "Apache-2.0",
        ),
        ("license = \"MIT\"", "", "the developers of some", "MIT"),
    ] {
        let output = licenses(&a_crate(manifest, license));
        let listed = String::from_utf8(output.stdout).unwrap();
        let stanza =
            format!("/some/*\nCopyright:\n {copyright}\nLicense: {name}\n\nLicense: MIT\n Permission is hereby");
        assert!(listed.contains(&stanza), "{manifest}: {listed}");
        assert!(output.status.success());
    }
}

/// The text is that of the first crate under the licence.
#[test]
fn a_crate_that_only_tests_need_may_have_another_free_licence() {
    for name in ["MIT-0", "Zlib"] {
        let output =
            licenses(&a_crate(&format!("license = \"{name}\""), "Copyright 2024 Some One\n\nDo as you like.\n"));
        let listed = String::from_utf8(output.stdout).unwrap();
        assert!(listed.contains(&format!("/some/*\nCopyright:\n 2024 Some One\nLicense: {name}\n\n")), "{listed}");
        let text = format!("\nLicense: {name}\n Copyright 2024 Some One\n .\n Do as you like.\n");
        assert!(listed.ends_with(&text), "{listed}");
        assert!(output.status.success());
    }
}

#[test]
fn a_crate_under_another_licence_is_an_error() {
    for manifest in ["license = \"GPL-3.0\"", "license = \"MIT AND GPL-3.0\"", "license = \"BSD-4-Clause\"", ""] {
        let output = licenses(&a_crate(manifest, ""));
        assert_eq!(output.status.code(), Some(1), "{manifest}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("/some has the licence '") && error.ends_with("', not MIT or Apache-2.0\n"), "{error}");
    }
}
