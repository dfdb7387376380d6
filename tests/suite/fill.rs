//! What `fill` decides about a device, from the host, the document and the policies.

use crate::support::Scratch;
use crate::support::guests::{ABSENT, AP, NO_PCI, NONE, bare, domain, elements, filled, guest, hostdev, uuid};

/// Returns a host that has one card with one device of this type, [`ABSENT`].
fn card(mdev_type: &str) -> String {
    let mdev_type = shell_words::quote(mdev_type);
    format!(
        "parent pci 0000:af:00.0 bridges=0000:ae:00.0 vendor=0x10de device=0x1eb8\n\
         type {mdev_type} api=vfio-pci\n\
         mdev {ABSENT} 0000:af:00.0 {mdev_type}\n"
    )
}

fn card_elements(mdev_type: &str) -> [String; 3] {
    ["<vendorid>0x10de</vendorid>", "<productid>0x1eb8</productid>", &format!("<mdevtype>{mdev_type}</mdevtype>")]
        .map(str::to_owned)
}

mod host {
    use super::*;

    #[test]
    fn every_device_of_a_pci_parent_gets_the_ids_of_its_parent_and_its_type() {
        for device in 1..=5 {
            Scratch::new().fill(NONE).stdin(bare(device)).stdout(filled(device)).check();
        }
    }

    #[test]
    fn several_devices_of_a_domain_are_each_filled() {
        let all = |lines: fn(usize) -> Vec<String>| {
            domain(&(1..=5).map(|device| hostdev(&uuid(device), &lines(device))).collect::<String>())
        };
        Scratch::new().fill(NONE).stdin(all(|_| Vec::new())).stdout(all(|device| elements(device).to_vec())).check();
    }

    #[test]
    fn a_missing_device_is_an_error_or_skipped() {
        let document = domain(&[hostdev(ABSENT, &NONE), hostdev(&uuid(1), &NONE)].concat());
        let half = domain(&[hostdev(ABSENT, &NONE), hostdev(&uuid(1), &elements(1))].concat());
        Scratch::new().fill(NONE).stdin(&document).status(2).stderr_has(ABSENT).check();
        Scratch::new().fill(["--on-missing", "error"]).stdin(&document).status(2).stderr_has(ABSENT).check();
        let skip = ["--on-missing=skip", "-q"];
        Scratch::new().fill(skip).stdin(&document).stdout(&half).check();
    }

    #[test]
    fn a_parent_that_is_not_pci_is_an_error_or_skipped() {
        let document = bare_of(NO_PCI);
        Scratch::new().fill(NONE).stdin(&document).status(2).stderr_has(uuid(NO_PCI)).stderr_has("PCI").check();
        Scratch::new().fill(["--on-missing", "skip", "-q"]).stdin(&document).stdout(&document).check();
    }

    #[test]
    fn another_device_api_is_an_error_whatever_the_options() {
        for options in [&NONE[..], &["--on-missing", "skip"], &["--on-missing", "skip", "--on-conflict", "keep", "-q"]]
        {
            let run = Scratch::new();
            let run = run.fill(options).stdin(bare_of(AP)).status(2);
            run.stderr_has(uuid(AP)).stderr_has("vfio-ap").stderr_has("vfio-pci").check();
        }
    }

    fn bare_of(device: usize) -> String {
        guest(&uuid(device), &NONE)
    }

    #[test]
    fn on_a_host_without_mdevs_every_device_is_missing() {
        let scratch = Scratch::with("sys/bus/pci/devices/none", "");
        let run = || scratch.virt_mdev(["fill", "--sysfs", "sys"]).stdin(bare(1));
        run().status(2).stderr_has(uuid(1)).check();
        run().arg("--on-missing=skip").arg("-q").stdout(bare(1)).check();
        scratch.virt_mdev(["fill", "--sysfs", "sys"]).stdin(domain("")).stdout(domain("")).check();
    }

    #[test]
    fn an_unreadable_device_is_an_error_and_not_missing() {
        let parent = "devices/pci0000:af/0000:af:00.0";
        let device = format!(
            "link bus/mdev/devices/{ABSENT} ../../../{parent}/{ABSENT}\n\
             link {parent}/{ABSENT}/mdev_type ../mdev_supported_types/nvidia-231\n\
             file {parent}/mdev_supported_types/nvidia-231/device_api 'vfio-pci\\n'\n\
             link {parent}/subsystem ../../../bus/pci\n"
        );
        for (host, named) in [
            (format!("{device}dir {parent}/vendor\nfile {parent}/device '0x1eb8\\n'\n"), "vendor"),
            (format!("{device}file {parent}/vendor '0x10de\\n'\nfile {parent}/device 'junk\\n'\n"), "device"),
            (format!("{device}file {parent}/vendor '0x10de\\n'\n"), "device"),
            (
                format!("link bus/mdev/devices/{ABSENT} ../../../{parent}/{ABSENT}\ndir {parent}/{ABSENT}\n"),
                "mdev_type",
            ),
        ] {
            let scratch = Scratch::new();
            let run = scratch.fill_on(&host, ["--on-missing", "skip"]).stdin(guest(ABSENT, &NONE));
            run.status(2).stderr_has(named).check();
        }
    }

    #[test]
    fn links_out_of_the_tree_are_not_followed() {
        let scratch = Scratch::with(format!("outside/0000:af:00.0/{ABSENT}/uevent"), "");
        let host = format!("link bus/mdev/devices/{ABSENT} ../../../../scratch/outside/0000:af:00.0/{ABSENT}");
        let run = scratch.fill_on(&host, ["--on-missing", "skip"]).stdin(guest(ABSENT, &NONE));
        run.status(2).stderr_has(ABSENT).check();
    }

    #[test]
    fn a_type_name_is_escaped_for_xml() {
        for (name, escaped) in [
            ("a>b", "a&gt;b"),
            ("a&b", "a&amp;b"),
            ("a<b", "a&lt;b"),
            ("größe-1", "größe-1"),
            ("GRID A100-4C", "GRID A100-4C"),
        ] {
            let after = guest(ABSENT, &card_elements(escaped));
            Scratch::new().fill_on(&card(name), NONE).stdin(guest(ABSENT, &NONE)).stdout(&after).check();
            Scratch::new().fill_on(&card(name), NONE).stdin(&after).stdout(&after).check();
        }
    }

    #[test]
    fn a_type_name_that_xml_does_not_allow_is_an_error() {
        for name in ["a\u{1}b", " nvidia-1", "nvidia-1 ", "nvidia-1\t", "a\u{fffe}b"] {
            let run = Scratch::new();
            let run = run.fill_on(&card(name), ["--on-missing=skip"]).stdin(guest(ABSENT, &NONE));
            run.status(2).stderr_has(ABSENT).check();
        }
    }
}

mod conflict {
    use super::*;

    /// Returns a document that conflicts with device 3, and its elements.
    fn conflicting() -> (String, [String; 3]) {
        let [_, product, mdev_type] = elements(3);
        let lines = ["<vendorid>0x1002</vendorid>".to_owned(), product, mdev_type];
        (guest(&uuid(3), &lines), lines)
    }

    #[test]
    fn a_conflict_is_an_error_by_default_that_names_device_element_and_both_values() {
        let (document, _) = conflicting();
        for options in [&NONE[..], &["--on-conflict", "error"]] {
            let scratch = Scratch::with("vm.xml", &document);
            let run = scratch.fill(options).arg("vm.xml").status(2).stderr_has("vm.xml:7:");
            run.stderr_has(uuid(3)).stderr_has("vendorid").stderr_has("0x1002").stderr_has("0x8086").check();
        }
    }

    #[test]
    fn replace_corrects_a_conflict() {
        let (document, _) = conflicting();
        Scratch::new().fill(["--on-conflict", "replace"]).stdin(document).stdout(filled(3)).stderr_any().check();
    }

    #[test]
    fn keep_leaves_a_hostdev_with_a_conflict_unchanged() {
        let (_, lines) = conflicting();
        let partial = [lines[0].clone()];
        for lines in [&lines[..], &partial] {
            let before = domain(&[hostdev(&uuid(3), lines), hostdev(&uuid(1), &NONE)].concat());
            let after = domain(&[hostdev(&uuid(3), lines), hostdev(&uuid(1), &elements(1))].concat());
            Scratch::new().fill(["--on-conflict", "keep", "-q"]).stdin(before).stdout(after).check();
        }
    }

    #[test]
    fn replace_also_adds_what_is_missing() {
        let before = guest(&uuid(3), &["<mdevtype>i915-V5_8</mdevtype>"]);
        let [vendor, product, mdev_type] = elements(3);
        let after = guest(&uuid(3), &[mdev_type, vendor, product]);
        Scratch::new().fill(["--on-conflict", "replace"]).stdin(before).stdout(after).stderr_any().check();
    }

    #[test]
    fn replace_changes_only_the_characters_of_the_value() {
        let before = [
            "<vendorid > 0x1002\n\t</vendorid >",
            "<productid a='1'>0x10d3</productid>",
            "<mdevtype>x</mdevtype><!-- y -->",
        ];
        let after = [
            "<vendorid > 0x8086\n\t</vendorid >",
            "<productid a='1'>0x10d3</productid>",
            "<mdevtype>i915-V5_4</mdevtype><!-- y -->",
        ];
        let run = Scratch::new();
        let run =
            run.fill(["--on-conflict", "replace"]).stdin(guest(&uuid(3), &before)).stdout(guest(&uuid(3), &after));
        run.stderr_any().check();
    }

    #[test]
    fn ids_are_equal_in_every_notation_that_libvirt_reads() {
        for vendor in ["0x8086", "0X8086", "32902", "0100206", " 0x8086\n", "<!-- Intel -->0x8086", "0x08086"] {
            for product in ["0x10d3", "0x10D3", "0X10D3", "4307", "<![CDATA[0x10d3]]>", "&#48;x10d3"] {
                let lines = [
                    format!("<vendorid>{vendor}</vendorid>"),
                    format!("<productid>{product}</productid>"),
                    elements(3)[2].clone(),
                ];
                let document = guest(&uuid(3), &lines);
                Scratch::new().fill(NONE).stdin(&document).stdout(&document).check();
            }
        }
    }

    #[test]
    fn an_invalid_number_is_a_conflict() {
        let bare_hexadecimal = ["<vendorid>10de</vendorid>".to_owned()];
        let run = Scratch::new();
        let run = run.fill_on(&card("nvidia-231"), NONE).stdin(guest(ABSENT, &bare_hexadecimal));
        run.status(2).stderr_has("10de").stderr_has("vendorid").check();
        for vendor in ["", "0x", "8086", "0x18086", "0x8086 0x8086", "-32634", "Intel", "0x8086h"] {
            let document = guest(&uuid(3), &[format!("<vendorid>{vendor}</vendorid>")]);
            Scratch::new().fill(NONE).stdin(&document).status(2).stderr_has("vendorid").check();
            let run = Scratch::new();
            let run = run.fill(["--on-conflict=replace"]).stdin(document).stdout(filled(3));
            run.stderr_any().check();
        }
    }

    #[test]
    fn types_are_compared_as_text() {
        for mdev_type in
            [" i915-V5_4 ", "\n i915-V5_4\t", "i915<!-- - -->-V5_4", "<![CDATA[i915-V5_4]]>", "i915&#45;V5_4"]
        {
            let [vendor, product, _] = elements(3);
            let document = guest(&uuid(3), &[vendor, product, format!("<mdevtype>{mdev_type}</mdevtype>")]);
            Scratch::new().fill(NONE).stdin(&document).stdout(&document).check();
        }
        for mdev_type in ["I915-V5_4", "i915-v5_4", "i915 -V5_4", "i915-V5_8", ""] {
            let document = guest(&uuid(3), &[format!("<mdevtype>{mdev_type}</mdevtype>")]);
            Scratch::new().fill(NONE).stdin(document).status(2).stderr_has("mdevtype").check();
        }
    }

    #[test]
    fn a_duplicate_element_is_an_error_whatever_the_policies() {
        for element in elements(1) {
            let name = element[1..].split('>').next().unwrap().to_owned();
            let document = guest(&uuid(1), &[&element, &element]);
            for policy in ["error", "keep", "replace"] {
                let run = Scratch::new();
                let run = run.fill(["--on-missing=skip", "--on-conflict", policy]).stdin(&document);
                run.status(2).stderr_has(&name).check();
            }
        }
    }
}

#[test]
fn the_example_of_the_proposal_is_complete() {
    let document = domain(&format!(
        "    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>\n      <source>\n        \
         <address uuid='{}'/>\n        <vendorid>0x8086</vendorid>   <!-- vendor of the physical device -->\n        \
         <productid>0x10d3</productid> <!-- its product id -->\n        \
<mdevtype>i915-V5_4</mdevtype> <!-- its type -->\n      \
         </source>\n    </hostdev>\n",
        uuid(3)
    ));
    Scratch::new().fill(NONE).stdin(&document).stdout(&document).check();
}

#[test]
fn hostdevs_of_other_models_than_vfio_pci_are_ignored() {
    for attributes in [
        "type='mdev' model='vfio-ccw'",
        "type='mdev' model='vfio-ap'",
        "type='mdev' model='VFIO-PCI'",
        "type='mdev'",
        "type='mdev' model='vfio-pci' mode='capabilities'",
        "model='vfio-pci'",
    ] {
        for content in [
            format!("<source><address uuid='{}'/></source>", uuid(1)),
            format!("<source><address uuid='{ABSENT}'/></source>"),
            "<source><address uuid='your-gpu-uuid-here'/></source>".to_owned(),
            "<source><address domain='0x0000'/></source>".to_owned(),
            "<source/>".to_owned(),
            String::new(),
        ] {
            let document = domain(&format!("<hostdev {attributes}>{content}</hostdev>\n"));
            Scratch::new().fill(NONE).stdin(&document).stdout(&document).check();
        }
    }
}

#[test]
fn hostdevs_of_type_pci_are_counted_and_unchanged() {
    let pci = "<hostdev type='pci' model='vfio-pci'><source><address bus='0x01'/></source></hostdev>\n";
    let scratch = Scratch::new();
    let document = domain(&pci.repeat(2));
    scratch.fill(NONE).stdin(&document).stdout(&document).stderr_has("2 hostdevs of type pci are not recorded").check();
    scratch.fill(["-q"]).stdin(&document).stdout(&document).check();
    let document = domain(&[hostdev(&uuid(1), &elements(1)), pci.to_owned()].concat());
    scratch.fill(NONE).stdin(&document).stdout(&document).check();
    scratch.fill(["-v"]).stdin(&document).stdout(&document).stderr_has("1 hostdev of type pci is not recorded").check();
}

#[test]
fn verbose_says_why_each_device_is_unchanged() {
    let ccw = hostdev(&uuid(2), &NONE).replace("vfio-pci", "vfio-ccw");
    let document = domain(&[hostdev(&uuid(1), &elements(1)), ccw, hostdev(ABSENT, &NONE)].concat());
    let run = Scratch::new();
    let run = run.fill(["-v", "--on-missing", "skip"]).stdin(&document).stdout(&document);
    run.stderr_has(uuid(1)).stderr_has("vfio-ccw").stderr_has(ABSENT).check();
}

#[test]
fn the_same_uuid_twice_is_a_warning_and_both_are_filled() {
    let both = |lines: &[String]| domain(&[hostdev(&uuid(1), lines), hostdev(&uuid(1).to_uppercase(), lines)].concat());
    let run = Scratch::new();
    let run = run.fill(NONE).stdin(both(&[])).stdout(both(&elements(1)));
    run.stderr_has("warning: ").stderr_has(uuid(1)).check();
}

#[test]
fn an_invalid_uuid_is_an_error_and_never_part_of_a_path() {
    // As a part of a path, this would lead to a directory that exists.
    for uuid in [
        "../../..",
        "../../../bus",
        ".",
        "",
        " ",
        "your-gpu-uuid-here",
        "c0ffee01",
        "c0ffee01-0000-4000-8000-0000000000011",
    ] {
        for options in [&NONE[..], &["--on-missing", "skip"], &["--on-conflict", "keep"]] {
            let scratch = Scratch::with("vm.xml", guest(uuid, &NONE));
            let run = scratch.fill(options).arg("vm.xml").status(2).stderr_has("--> vm.xml:6:18\n").stderr_has("uuid");
            run.stderr_lacks("not on this host").check();
        }
    }
}

#[test]
fn a_uuid_may_have_any_spelling_that_libvirt_accepts() {
    for spelling in [
        "C0FFEE01-0000-4000-8000-000000000001",
        "c0ffee01000040008000000000000001",
        " \tc0ffee01-0000-4000-8000-000000000001\n ",
        "-c0 ff-ee--01 0000 4000 8000 000000000001",
        "c0ffee01&#45;0000-4000-8000-000000000001",
    ] {
        Scratch::new().fill(NONE).stdin(guest(spelling, &NONE)).stdout(guest(spelling, &elements(1))).check();
    }
}
