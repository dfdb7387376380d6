//! Which documents are read or refused, which of their elements are used, and where new ones are inserted.

use crate::support::Scratch;
use crate::support::guests::{ABSENT, NONE, bare, domain, elements, filled, hostdev, uuid};

/// Fills a document that has `{}` where the three elements go, without whitespace between them.
#[track_caller]
fn fills_inline(device: usize, template: &str) {
    becomes(template.replace("{}", ""), template.replace("{}", &elements(device).concat()));
}

#[track_caller]
fn becomes(before: impl AsRef<[u8]>, after: impl AsRef<[u8]>) {
    Scratch::new().fill(NONE).stdin(before).stdout(&after).check();
    Scratch::new().fill(NONE).stdin(&after).stdout(&after).check();
}

#[track_caller]
fn stays(document: impl AsRef<[u8]>) {
    becomes(&document, &document);
}

/// Checks that a document is refused with its name and these pieces, whatever the policies.
#[track_caller]
fn refused(document: impl AsRef<[u8]>, pieces: &[&str]) {
    let scratch = Scratch::with("vm.xml", &document);
    for policy in ["error", "skip"] {
        let run = scratch.fill(["--on-missing", policy, "vm.xml"]).status(2).stderr_has("vm.xml");
        pieces.iter().fold(run, |run, piece| run.stderr_has(*piece)).check();
    }
}

mod kinds {
    use super::*;

    #[test]
    fn only_the_domain_of_a_domstatus_is_filled() {
        let beside =
            "  <devices>\n    <device alias='hostdev0'/>\n".to_owned() + &hostdev(&uuid(2), &NONE) + "  </devices>\n";
        let status = |domain: String| format!("<domstatus state='running'>\n{beside}{domain}</domstatus>\n");
        becomes(status(bare(1)), status(filled(1)));
    }

    #[test]
    fn both_domains_of_a_snapshot_are_filled() {
        let inactive =
            |domain: String| domain.replace("<domain", "<inactiveDomain").replace("</domain", "</inactiveDomain");
        let snapshot = |one: String, other: String| {
            format!("<domainsnapshot>\n  <name>s</name>\n{one}{}</domainsnapshot>\n", inactive(other))
        };
        becomes(snapshot(bare(1), bare(3)), snapshot(filled(1), filled(3)));
        becomes(snapshot(bare(1), String::new()), snapshot(filled(1), String::new()));
        stays(snapshot(String::new(), String::new()));
    }

    #[test]
    fn a_checkpoint_may_have_no_domain() {
        let checkpoint =
            |domain: String| format!("<domaincheckpoint>\n  <name>c</name>\n{domain}</domaincheckpoint>\n");
        becomes(checkpoint(bare(1)), checkpoint(filled(1)));
        stays(checkpoint(String::new()));
    }

    #[test]
    fn a_domstatus_may_have_no_domain() {
        stays("<domstatus state='shutoff'>\n  <devices/>\n</domstatus>\n");
    }

    #[test]
    fn a_lone_hostdev_is_filled() {
        becomes(hostdev(&uuid(1), &NONE), hostdev(&uuid(1), &elements(1)));
    }

    #[test]
    fn another_root_is_an_error_that_names_it() {
        for root in ["network", "device", "inactiveDomain", "devices", "Domain"] {
            refused(format!("<{root}>{}</{root}>", hostdev(&uuid(1), &NONE)), &[root]);
        }
    }

    #[test]
    fn a_root_in_a_namespace_is_an_error_that_names_it() {
        refused(bare(1).replace("<domain ", "<domain xmlns='urn:x:y' "), &["urn:x:y", "domain"]);
        let prefixed = bare(1).replace("<domain ", "<v:domain xmlns:v='urn:x:y' ").replace("</domain", "</v:domain");
        refused(prefixed, &["urn:x:y", "domain"]);
    }

    #[test]
    fn an_empty_namespace_declaration_means_no_namespace() {
        becomes(bare(1).replace("<domain ", "<domain xmlns='' "), filled(1).replace("<domain ", "<domain xmlns='' "));
    }

    #[test]
    fn two_roots_have_their_own_message() {
        refused(bare(1) + &bare(1), &["virt-install", "--print-xml 1"]);
        refused(bare(1) + "<!-- phase 2 -->\n" + &bare(2), &["--print-xml 1"]);
    }
}

mod devices {
    use super::*;

    #[test]
    fn every_devices_element_is_read() {
        let two = |one: &[String], other: &[String]| {
            domain(
                &(hostdev(&uuid(1), one)
                    + "  </devices>\n  <memory>1</memory>\n  <devices>\n"
                    + &hostdev(&uuid(2), other)),
            )
        };
        becomes(two(&[], &[]), two(&elements(1), &elements(2)));
    }

    #[test]
    fn look_alikes_are_unchanged() {
        let bait = hostdev(&uuid(2), &NONE);
        let surroundings = |hostdev: String| {
            let bait = bait.as_str();
            let foreign = bait.replace("<hostdev ", "<x:hostdev ").replace("</hostdev", "</x:hostdev");
            let moved = bait.replace("<hostdev ", "<hostdev xmlns='urn:x' ");
            let source =
                bait.replace("<source>", "<source xmlns='urn:x'>").replace("model='vfio-pci'", "model='vfio-ap'");
            format!(
                "<domain type='kvm' xmlns:x='urn:x'>\n  \
<metadata><x:devices>{bait}</x:devices><devices>{bait}</devices>{bait}</metadata>\n  \
                 <description><![CDATA[{bait}]]></description>\n  <!-- {bait} -->\n{bait}  \
<devices>\n    <!-- {bait} -->\n    \
                 <disk>{bait}</disk>\n{foreign}{moved}{source}    \
<x:hostdev type='mdev' model='vfio-pci'/>\n{hostdev}  </devices>\n  \
                 <x:devices>{bait}</x:devices>\n  <domain><devices>{bait}</devices></domain>\n</domain>\n"
            )
        };
        becomes(surroundings(hostdev(&uuid(1), &NONE)), surroundings(hostdev(&uuid(1), &elements(1))));
    }

    #[test]
    fn mode_subsystem_is_the_default() {
        let without = |lines: &[String]| domain(&hostdev(&uuid(1), lines).replace("mode='subsystem' ", ""));
        becomes(without(&[]), without(&elements(1)));
    }

    #[test]
    fn the_address_is_the_first_in_any_source() {
        fills_inline(
            1,
            &domain(&format!(
                "<hostdev type='mdev' model='vfio-pci'><address uuid='{ABSENT}'/><source/>\
<source><x><address uuid='{ABSENT}'/></x>\
                 <address uuid='{}'/>{{}}<address uuid='{ABSENT}'/></source>\
<source><address uuid='{ABSENT}'/></source></hostdev>",
                uuid(1)
            )),
        );
    }

    #[test]
    fn existing_elements_are_searched_in_the_source_of_the_address() {
        fills_inline(
            1,
            &domain(&format!(
                "<hostdev type='mdev' model='vfio-pci'><vendorid>0x9999</vendorid>\
<source><vendorid>0x9999</vendorid></source>\
                 <source><x:vendorid xmlns:x='urn:x'>0x9999</x:vendorid><x><mdevtype>y</mdevtype></x>\
                 <address uuid='{}'/>{{}}</source></hostdev>",
                uuid(1)
            )),
        );
    }

    #[test]
    fn a_missing_source_address_or_uuid_is_named() {
        for (content, message) in [
            ("", "no <source> element"),
            ("&lt;source>", "no <source> element"),
            ("<x:source xmlns:x='u'/>", "no <source> element"),
            ("<address uuid='x'/>", "no <source> element"),
            ("<source/>", "no <address> element"),
            ("<source/><source>&lt;address/></source>", "no <address> element"),
            ("<source><address/></source>", "uuid"),
            ("<source><address Uuid='x'/></source>", "uuid"),
        ] {
            let hostdev = format!("<hostdev type='mdev' model='vfio-pci'>{content}</hostdev>");
            refused(format!("<domain>\n<devices>\n{hostdev}</devices></domain>"), &["vm.xml:3:", message]);
        }
    }
}

mod places {
    use super::*;

    #[test]
    fn new_elements_have_the_indentation_of_the_address() {
        for indentation in ["", " ", "\t\t", "  \t ", "                    "] {
            let at =
                |lines: &[String]| domain(&hostdev(&uuid(1), lines).replace("        <", &format!("{indentation}<")));
            becomes(at(&[]), at(&elements(1)));
        }
    }

    #[test]
    fn new_elements_directly_follow_an_address_that_does_not_begin_its_line() {
        let address = format!("<address uuid='{}'/>", uuid(1));
        for template in [
            format!("<hostdev type='mdev' model='vfio-pci'><source>{address}{{}}</source></hostdev>"),
            format!("<hostdev type='mdev' model='vfio-pci'>\n  <source>{address}{{}}\n  </source></hostdev>\n"),
            format!(
                "<hostdev type='mdev' model='vfio-pci'>\n<source>\n<!-- T4 -->{address}{{}} <!-- x -->\n</source>\
</hostdev>"
            ),
            format!("<hostdev type='mdev' model='vfio-pci'><source>text {address}{{}} text</source></hostdev>"),
            format!("<hostdev\ntype='mdev'\nmodel='vfio-pci'\n><source\n>{address}{{}}</source></hostdev>"),
        ] {
            fills_inline(1, &template);
        }
    }

    #[test]
    fn a_lone_carriage_return_is_not_a_line_ending() {
        let template = format!(
            "<hostdev type='mdev' model='vfio-pci'>\r<source>\r  <address uuid='{}'/>{{}}\r</source>\r</hostdev>\r",
            uuid(1)
        );
        fills_inline(1, &template);
    }

    #[test]
    fn new_elements_have_the_line_ending_that_is_before_the_address() {
        let mixed = |text: String| text.replacen("<source>\n", "<source>\r\n", 1);
        let [vendor, product, mdev_type] = elements(1);
        let indentation = "        ";
        let lines = format!("\r\n{indentation}{vendor}\r\n{indentation}{product}\r\n{indentation}{mdev_type}");
        let after = mixed(bare(1)).replacen("001'/>", &format!("001'/>{lines}"), 1);
        becomes(mixed(bare(1)), after);
    }

    #[test]
    fn new_elements_follow_the_comments_after_the_address_on_its_line() {
        let with = |rest: &str, text: String| text.replacen("001'/>", &format!("001'/>{rest}"), 1);
        for rest in ["  ", "\t<!-- the T4 -->", " <!-- a --> <!-- b -->\t", "<!-- over\n two lines -->"] {
            becomes(with(rest, bare(1)), with(rest, filled(1)));
        }
        // What follows stays after the last new element.
        let end = |text: String| text.replacen("\n      </source>", " </source>", 1);
        let [vendor, product, mdev_type] = elements(1);
        let after = bare(1).replacen(
            "\n      </source>",
            &format!(" \n        {vendor}\n        {product}\n        {mdev_type}</source>"),
            1,
        );
        becomes(end(bare(1)), after);
    }

    #[test]
    fn new_elements_follow_the_last_existing_one() {
        let [vendor, product, mdev_type] = elements(1);
        let other = "<other/>".to_owned();
        for (before, after) in [
            (vec![&vendor], vec![&vendor, &product, &mdev_type]),
            (vec![&vendor, &product], vec![&vendor, &product, &mdev_type]),
            (vec![&product], vec![&product, &vendor, &mdev_type]),
            (vec![&mdev_type], vec![&mdev_type, &vendor, &product]),
            (vec![&mdev_type, &vendor], vec![&mdev_type, &vendor, &product]),
            (vec![&other, &vendor, &other], vec![&other, &vendor, &product, &mdev_type, &other]),
            (vec![&other], vec![&vendor, &product, &mdev_type, &other]),
        ] {
            let document = |lines: &[&String]| domain(&hostdev(&uuid(1), lines));
            becomes(document(&before), document(&after));
        }
    }

    #[test]
    fn new_elements_may_follow_an_existing_one_before_the_address() {
        let template = format!(
            "<hostdev type='mdev' model='vfio-pci'><source><mdevtype>i915-V5_4</mdevtype>[]\
<address uuid='{}'/>{{}}</source></hostdev>",
            uuid(1)
        );
        let [vendor, product, _] = elements(1);
        let run = Scratch::new();
        let before = template.replace("{}", "").replace("[]", "");
        let finished = run.fill(NONE).stdin(&before).stdout_has(&vendor).stdout_has(&product).check();
        let text = finished.stdout_text();
        let added = vendor + &product;
        let places =
            [template.replace("[]", &added).replace("{}", ""), template.replace("[]", "").replace("{}", &added)];
        assert!(places.contains(&text), "{text}");
    }
}

mod bytes {
    use super::*;

    #[test]
    fn all_other_bytes_are_kept() {
        let odd = |hostdev: String| {
            format!(
                "\u{feff}<?xml version=\"1.0\"  standalone='yes' ?>\r\n\
<!DOCTYPE domain SYSTEM \"http://nowhere.invalid/[x]\">\n<?pi \
                 a?>\n<!-- auto-generated -->\r\n\r\n<domain   type = \"kvm\"\n\
\txmlns:q='urn:q' >\n  <name>a&amp;b&#x20;&lt;</name>\n\
                 <q:x a=\"1\" b='2'/><description><![CDATA[ ]] > ]]></description>\r  \t\n  \
<devices >{hostdev}</devices\n>\n</domain >\n\n\
                 <!-- end -->"
            )
        };
        becomes(odd(hostdev(&uuid(1), &NONE)), odd(hostdev(&uuid(1), &elements(1))));
    }

    #[test]
    fn the_declared_encoding_is_ignored_as_libvirt_does() {
        for encoding in ["utf-16", "UTF-16LE", "ISO-8859-1", "windows-1252", "klingon"] {
            let labeled = |text: String| {
                format!("<?xml version='1.0' encoding='{encoding}'?>\n{}", text.replace(">vm<", ">größe<"))
            };
            becomes(labeled(bare(1)), labeled(filled(1)));
        }
    }

    #[test]
    fn invalid_utf_8_is_an_error_with_its_place() {
        for bytes in [&b"\xe4"[..], b"\xc3", b"\xff\xfe", b"\xed\xa0\x80"] {
            let [before, after] = ["<domain>\n  <name>", "</name>\n</domain>\n"].map(str::as_bytes);
            refused([before, bytes, after].concat(), &["vm.xml:2:9"]);
        }
        let utf_16: Vec<u8> = "\u{feff}<domain/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        refused(utf_16, &["vm.xml:1:1"]);
    }

    #[test]
    fn binary_data_is_not_shown() {
        let utf_16: Vec<u8> = bare(1).encode_utf16().flat_map(u16::to_le_bytes).collect();
        let png = b"\x89PNG\r\n\x1a\n\0\0IHDR".to_vec();
        for (bytes, place) in
            [(b"<domain>\n\0</domain>".to_vec(), "vm.xml:2:1"), (utf_16, "vm.xml:1:2"), (png, "vm.xml:1:1")]
        {
            let run = Scratch::with("vm.xml", &bytes);
            let stderr = run.fill(["vm.xml"]).status(2).stderr_has(place).stderr_has("not text").check().stderr_text();
            assert_eq!(stderr.lines().count(), 3, "{stderr}");
        }
    }

    #[test]
    fn a_compressed_document_is_recognized_and_not_shown() {
        for (bytes, name, command) in [
            (&b"\x1f\x8b\x08\0\0\n\n"[..], "gzip", "zcat"),
            (b"\xfd7zXZ\0\0\n\n", "xz", "xzcat"),
            (b"\x28\xb5\x2f\xfd\x04\n\n", "zstd", "zstdcat"),
            (b"BZh91AY&SY\n\n", "bzip2", "bzcat"),
        ] {
            let run = Scratch::with("vm.xml", bytes);
            let stderr = run.fill(["vm.xml"]).status(2).stderr_has("vm.xml: ").check().stderr_text();
            assert!(stderr.contains(name) && stderr.contains(command), "{stderr}");
            assert_eq!(stderr.lines().count(), 3, "{stderr}");
        }
    }

    #[test]
    fn a_doctype_is_ignored_and_never_fetched() {
        for doctype in [
            "<!DOCTYPE domain>",
            "<!DOCTYPE domain SYSTEM 'no-such-file.dtd'>",
            "<!DOCTYPE domain PUBLIC '-//x' \"y[z\">",
        ] {
            becomes(format!("{doctype}\n{}", bare(1)), format!("{doctype}\n{}", filled(1)));
        }
    }

    #[test]
    fn a_doctype_with_an_internal_subset_is_refused() {
        for declarations in
            ["", "<!ENTITY a 'b'>", "<!ENTITY a SYSTEM '/etc/passwd'>", "<!ENTITY a '&b;&b;'><!ENTITY b '&a;'>"]
        {
            refused(format!("<!DOCTYPE domain [{declarations}]>\n{}", bare(1)), &["vm.xml:1:", "DOCTYPE"]);
        }
    }

    #[test]
    fn an_invalid_declaration_is_not_reported_as_a_doctype() {
        refused("<hostdev><!DATA[x]]></hostdev>", &["vm.xml:1:10", "not well-formed"]);
    }

    #[test]
    fn a_malformed_document_is_refused_with_its_place() {
        for (document, place) in [
            ("<domain>\n<devices>\n</domain>", "vm.xml:3:"),
            ("<domain>\n<a b=c/></domain>", "vm.xml:2:"),
            ("<domain>\n<q:a/></domain>", "vm.xml:2:"),
            ("<domain>\n<a q:b=''/></domain>", "vm.xml:2:"),
            ("<domain>\n<a b='' b=''/></domain>", "vm.xml:2:"),
            ("<domain>\n&nbsp;</domain>", "vm.xml:2:"),
            ("<domain/>\ntext", "vm.xml:2:"),
            ("text", "vm.xml:1:"),
            ("<domain>\n", "vm.xml:"),
            ("<domain>\n\u{1}</domain>", "vm.xml:2:"),
            ("<domain>\n<!-- a -- b --></domain>", "vm.xml:2:"),
        ] {
            refused(document, &[place]);
        }
    }
}
