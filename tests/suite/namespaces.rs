//! Names with prefixes: attributes that libvirt takes for others, namespace errors, and namespace declarations.

use crate::support::Scratch;
use crate::support::guests::{NONE, bare, domain, elements, filled, host_a, hostdev, identity, record, recorded, uuid};

fn declared(document: &str) -> String {
    document.replacen("<domain ", "<domain xmlns:x='urn:x' ", 1)
}

/// Checks that every command refuses the document at this place, with `piece` in the message.
#[track_caller]
fn refused(document: &str, place: &str, piece: &str) {
    let scratch = Scratch::with("vm.xml", document);
    let place = format!("vm.xml:{place}");
    for run in [
        scratch.fill(["vm.xml"]),
        scratch.fill(["--into", "metadata", "vm.xml"]),
        scratch.fill(["--on-conflict", "replace", "--on-missing", "skip", "vm.xml"]),
        scratch.virt_mdev(["strip", "vm.xml"]),
        scratch.virt_mdev(["compare", "vm.xml", "vm.xml"]),
        scratch.virt_mdev(["check", "--sysfs"]).arg(host_a()).arg("vm.xml"),
    ] {
        run.status(2).stdout_any().stderr_has(&place).stderr_has(piece).check();
    }
}

#[track_caller]
fn becomes(before: &str, after: &str) {
    Scratch::new().fill(NONE).stdin(before).stdout(after).check();
    Scratch::new().fill(NONE).stdin(after).stdout(after).check();
    Scratch::new().virt_mdev(["strip"]).stdin(after).stdout(before).check();
}

mod look_alikes {
    use super::*;

    #[test]
    fn look_alikes_of_attributes_that_are_read_are_refused() {
        for (plain, prefixed, place) in [
            ("type='mdev'", "x:type='usb' type='mdev'", "4:31"),
            ("type='mdev'", "type='mdev' x:type='usb'", "4:43"),
            ("type='mdev'", "x:type='mdev' type='usb'", "4:31"),
            ("type='mdev'", "x:type='mdev'", "4:31"),
            ("mode='subsystem'", "x:mode='capabilities' mode='subsystem'", "4:14"),
            ("mode='subsystem'", "mode='capabilities' x:mode='subsystem'", "4:34"),
            ("model='vfio-pci'", "x:model='vfio-pci'", "4:56"),
            ("model='vfio-pci'", "x:model='vfio-ap' model='vfio-pci'", "4:56"),
            ("managed='no'", "x:managed='yes' managed='no'", "4:43"),
            ("<source>", "<source x:a='' a=''>", "5:15"),
            ("<address ", "<address x:uuid='' ", "6:18"),
            ("</source>", "</source><address x:slot='0x01' type='pci' slot='0x02'/>", "7:25"),
            ("</source>", "</source><alias x:name='ua-a' name='ua-b'/>", "7:23"),
        ] {
            let document = declared(&bare(1)).replacen(plain, prefixed, 1);
            let name = prefixed.split(&[' ', '=']).find(|word| word.starts_with("x:")).unwrap();
            refused(&document, place, name);
        }
    }

    #[test]
    fn look_alikes_of_other_attributes_are_kept() {
        let with = |document: String| {
            let document = declared(&document).replacen("<address ", "<address x:note='' xml:lang='en' ", 1);
            document.replacen("<hostdev ", "<hostdev x:uuid='' x:managed2='' ", 1)
        };
        becomes(&with(bare(1)), &with(filled(1)));
    }

    #[test]
    fn look_alikes_in_other_hostdevs_are_kept() {
        let others = [
            "<hostdev x:type='usb' type='usb' mode='subsystem'><source x:a='' a=''/></hostdev>",
            "<hostdev x:type='pci' type='usb'/>",
            "<hostdev mode='capabilities' x:type='mdev' x:model='vfio-pci'/>",
            "<hostdev type='mdev' x:model='vfio-ccw' model='vfio-ap'><source><address x:uuid='' uuid=''/></source></hostdev>",
        ];
        let beside = |devices: String| declared(&domain(&(others.concat() + "\n" + &devices)));
        becomes(&beside(hostdev(&uuid(1), &NONE)), &beside(hostdev(&uuid(1), &elements(1))));
    }

    #[test]
    fn look_alikes_in_a_record_are_refused() {
        let document = recorded(&record(&uuid(1), identity(1)), &hostdev(&uuid(1), &NONE));
        for name in ["uuid", "guest", "alias"] {
            refused(
                &document.replacen(" uuid=", &format!(" mdev:{name}='' uuid="), 1),
                "5:21",
                &format!("mdev:{name}"),
            );
        }
        let document = document.replacen("<mdev:identities ", "<mdev:identities note='' mdev:note='' ", 1);
        refused(&document, "4:30", "mdev:note");
    }
}

mod errors {
    use super::*;

    /// Returns a guest with this in its metadata, on line 4.
    fn with(note: &str) -> String {
        bare(1).replacen("</name>", &format!("</name>\n  <metadata>\n    {note}\n  </metadata>"), 1)
    }

    #[test]
    fn a_prefix_that_is_not_declared_is_named() {
        refused(&with("<todo:item/>"), "4:6", "'todo'");
        refused(&with("<a todo:item=''/>"), "4:8", "'todo'");
        refused(&with("<a><b xmlns:p='urn:p'/><p:c/></a>"), "4:29", "xmlns:p='URI'");
        refused(&with("<xmlns:a/>"), "4:6", "'xmlns'");
    }

    #[test]
    fn an_invalid_name_is_shown() {
        for name in ["a:b:c", ":a", "a:", "a:1", ":"] {
            refused(&with(&format!("<{name}/>")), "4:6", &format!("{name} is not"));
            refused(&with(&format!("<e {name}=''/>")), "4:8", &format!("{name} is not"));
        }
        // The parser would drop the colon.
        refused(&bare(1).replacen(" uuid=", " :uuid=", 1), "6:18", ":uuid is not");
    }

    #[test]
    fn an_invalid_declaration_is_shown() {
        for declaration in [
            "xmlns:p=''",
            "xmlns:xmlns='urn:x'",
            "xmlns:xml='urn:x'",
            "xmlns='http://www.w3.org/XML/1998/namespace'",
            "xmlns:p='http://www.w3.org/2000/xmlns/'",
        ] {
            refused(&with(&format!("<e {declaration}/>")), "4:8", declaration);
        }
    }

    #[test]
    fn two_attributes_of_one_name_in_one_namespace_are_named() {
        let note = "<e xmlns:a='urn:x' xmlns:b='urn:x' a:c='' b:c=''/>";
        refused(&with(note), "4:47", "b:c and a:c");
    }

    #[test]
    fn a_prefix_declared_twice_is_not_well_formed() {
        refused(&with("<e xmlns='u' xmlns='v'/>"), "4:18", "not well-formed XML: attribute 'xmlns' appears twice");
        refused(&with("<e xmlns:p='u' xmlns:q='u' xmlns:p='u'/>"), "4:32", "'p' is already defined");
        refused(&with("<p:e xmlns:p='u'></e>"), "4:", "not well-formed XML");
    }
}

mod names {
    use super::*;

    #[test]
    fn the_prefix_xml_needs_no_declaration() {
        let with = |document: String| {
            document.replacen("<devices>", "<metadata><xml:e xml:f='g'><h/></xml:e></metadata>\n  <devices>", 1)
        };
        becomes(&with(bare(1)), &with(filled(1)));
        let scratch = Scratch::new();
        let filled = scratch.fill(["--into", "metadata"]).stdin(with(bare(1))).stdout_any().check().stdout;
        let text = String::from_utf8(filled.clone()).unwrap();
        assert!(text.contains("<xml:e xml:f='g'><h/></xml:e>") && text.contains("<mdev:hostdev "), "{text}");
        Scratch::new().virt_mdev(["strip"]).stdin(&filled).stdout(with(bare(1))).check();
        // An element with this prefix is not a device, whatever its name.
        let device = hostdev(&uuid(2), &NONE).replace("hostdev", "xml:hostdev");
        let beside = |hostdev: String| domain(&(device.clone() + &hostdev));
        becomes(&beside(hostdev(&uuid(1), &NONE)), &beside(hostdev(&uuid(1), &elements(1))));
    }

    #[test]
    fn an_attribute_x_xmlns_declares_nothing() {
        // The parser takes it for a declaration: the device would be in the namespace urn:y, and would not be an mdev.
        let with = |document: String| declared(&document).replacen("<hostdev ", "<hostdev x:xmlns='urn:y' ", 1);
        becomes(&with(bare(1)), &with(filled(1)));
    }
}
