//! Documents that are refused because of their size, and the cost of the largest ones that are not.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::support::guests::{NONE, bare, domain, elements, filled, host_a, hostdev, identity, record, recorded, uuid};
use crate::support::{BINARY, Scratch};

/// The size of the largest document.
const LARGEST: usize = 4 * 1024 * 1024;

const OURS: &str = "urn:virt-mdev:1";

/// Returns a document of `size` bytes, padded with a comment.
fn of_size(size: usize, document: &str) -> String {
    let padding = " ".repeat(size - document.len() - "<!---->".len());
    format!("{document}<!--{padding}-->")
}

/// Returns a domain with these bytes before its devices.
fn with(rest: &str) -> String {
    bare(1).replacen("  <devices>", &format!("{rest}  <devices>"), 1)
}

/// Returns a UUID that host-a does not have.
fn absent(number: usize) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

mod counts {
    use super::*;

    /// Checks that a document with `most` of something is read, and that one more is refused with its place and the number.
    #[track_caller]
    fn at_most(most: usize, shown: &str, document: impl Fn(usize) -> String) {
        let scratch = Scratch::new();
        scratch.virt_mdev(["strip", "-q"]).stdin(document(most)).stdout_any().check();
        let place = "--> <stdin>:";
        let refused = scratch.virt_mdev(["strip", "-q"]).stdin(document(most + 1)).status(2);
        refused.stderr_has("the document is refused").stderr_has(shown).stderr_has(place).check();
    }

    #[test]
    fn elements_may_be_nested_256_deep() {
        // The domain itself counts.
        at_most(255, "256", |depth| with(&("<x>".repeat(depth) + &"</x>".repeat(depth))));
        at_most(255, "256", |depth| with(&("<x>".repeat(depth - 1) + "<x/>" + &"</x>".repeat(depth - 1))));
    }

    #[test]
    fn very_deep_nesting_is_refused_without_a_crash() {
        for document in ["<domain>".repeat(300_000), "<hostdev><source>".repeat(150_000)] {
            Scratch::new().fill(NONE).stdin(document).status(2).stderr_has("256").check();
        }
    }

    #[test]
    fn an_element_may_have_256_attributes() {
        at_most(256, "256", |count| {
            let attributes: String = (0..count).map(|number| format!(" a{number}=''")).collect();
            with(&format!("<x{attributes}/>"))
        });
    }

    #[test]
    fn a_stray_quote_is_not_counted_as_many_attributes() {
        let devices = hostdev(&uuid(1), &NONE).repeat(100);
        for stray in ["<a b='c>\n<d/>", "<a b='c'd'>", "<a 'b'>", "<a b=\"c'>\n<d e=\"f\"/>"] {
            let document = format!("<domain>\n{stray}\n<devices>{devices}</devices></domain>");
            Scratch::new().fill(NONE).stdin(document).status(2).stderr_has("not well-formed").check();
        }
    }

    #[test]
    fn a_document_may_have_4096_namespace_declarations_and_64_in_scope() {
        at_most(64, "64", |count| with(&("<x xmlns:p='u'>".repeat(count) + &"</x>".repeat(count))));
        at_most(4096, "4096", |count| with(&"<x xmlns='u'/>".repeat(count)));
    }

    #[test]
    fn a_document_may_have_1024_cdata_sections() {
        at_most(1024, "1024", |count| with(&format!("<x>{}</x>", "<![CDATA[]]>".repeat(count))));
    }

    #[test]
    fn a_document_may_have_400_000_elements_and_attributes() {
        let others = bare(1).matches('<').count() - bare(1).matches("</").count() + bare(1).matches('=').count();
        at_most(400_000 - others, "400000", |count| with(&"<x/>".repeat(count)));
    }

    #[test]
    fn a_document_may_have_4096_hostdevs() {
        at_most(4096, "4096 hostdevs", |count| domain(&hostdev(&uuid(1), &NONE).repeat(count)));
        let usb = "<hostdev mode='subsystem' type='usb'/>\n";
        at_most(4095, "4096 hostdevs", |count| domain(&(hostdev(&uuid(1), &NONE) + &usb.repeat(count))));
    }

    #[test]
    fn a_document_may_have_4096_records() {
        // The element that contains them counts.
        let records = |count: usize| "<mdev:hostdev/>".repeat(count);
        at_most(4095, "4096 records", |count| recorded(&records(count), &hostdev(&uuid(1), &NONE)));
        let beside = |count: usize| {
            with(&format!("<metadata xmlns:mdev='{OURS}'>{}</metadata>", "<mdev:identities/>".repeat(count)))
        };
        at_most(4096, "4096 records", beside);
    }

    #[test]
    fn a_snapshot_may_have_64_domains() {
        let snapshot = |domains: String| format!("<domainsnapshot>{domains}</domainsnapshot>");
        at_most(64, "64 domains", |count| snapshot(bare(1).repeat(count)));
    }

    #[test]
    fn the_name_of_a_domain_may_have_1024_bytes() {
        at_most(1024, "1024 bytes", |length| bare(1).replace("<name>vm<", &format!("<name>{}<", "x".repeat(length))));
    }

    #[test]
    fn the_prefix_of_our_element_may_have_256_bytes() {
        // The colon counts.
        at_most(255, "256 bytes", |length| {
            let prefix = "p".repeat(length);
            with(&format!("<metadata><{prefix}:identities xmlns:{prefix}='{OURS}'/></metadata>"))
        });
    }

    #[test]
    fn the_elements_in_the_scope_of_a_long_namespace_are_limited() {
        let document = |count: usize| {
            let uri = "u".repeat(1_000_000);
            with(&format!("<metadata><a:x xmlns:a='{uri}'>{}</a:x></metadata>", "<a:y/>".repeat(count)))
        };
        let scratch = Scratch::new();
        scratch.virt_mdev(["strip", "-q"]).stdin(document(100)).stdout_any().check();
        let refused = scratch.fill(NONE).stdin(document(200)).status(2);
        refused.stderr_has("long namespace declarations").stderr_has("--> <stdin>:3:").check();
    }
}

mod sizes {
    use super::*;

    /// Returns a document, and what `fill` makes of it, which has `size` bytes.
    fn both(size: usize) -> (String, String) {
        let before = of_size(size + bare(1).len() - filled(1).len(), &bare(1));
        let after = filled(1) + &before[bare(1).len()..];
        assert_eq!(after.len(), size);
        (before, after)
    }

    #[test]
    fn four_mebibytes_are_read_and_one_more_byte_is_refused() {
        let document = of_size(LARGEST, &filled(1));
        Scratch::with("vm.xml", &document).fill(["vm.xml"]).stdout(&document).check();
        let larger = of_size(LARGEST + 1, &filled(1));
        let too_large = "vm.xml.*4 ?MiB|4 ?MiB.*vm.xml|4194304";
        Scratch::with("vm.xml", &larger).fill(["vm.xml"]).status(2).stderr_matches(too_large).check();
        Scratch::new().fill(NONE).stdin(larger).status(2).stderr_matches("4 ?MiB|4194304").check();
    }

    #[test]
    fn an_endless_input_is_refused() {
        Scratch::new().fill(["/dev/zero"]).status(2).stderr_has("/dev/zero").check();
    }

    #[test]
    fn a_result_of_four_mebibytes_is_written() {
        let (before, after) = both(LARGEST);
        Scratch::with("vm.xml", &before).fill(["vm.xml"]).stdout(&after).check();
        let scratch = Scratch::with("vm.xml", &before);
        scratch.fill(["-q", "-i", "vm.xml"]).leaves("vm.xml", &after).check();
    }

    #[test]
    fn a_larger_result_is_refused_before_anything_is_written() {
        let (before, _) = both(LARGEST + 1);
        let scratch = Scratch::with("vm.xml", &before);
        for options in [&[][..], &["-i"], &["-i=.bak"], &["-o", "out.xml"], &["--diff"], &["-n"], &["-n", "-i"]] {
            let run = scratch.fill(options).arg("vm.xml").status(2);
            run.stderr_has("error: vm.xml would have 4194305 bytes").stderr_has("4194304").check();
        }
        scratch.fill(NONE).stdin(&before).status(2).stderr_has("<stdin> would have").check();
    }

    #[test]
    fn with_keep_going_only_the_file_with_a_larger_result_fails() {
        let (before, _) = both(LARGEST + 1);
        let scratch = Scratch::with("a.xml", &before);
        scratch.file("b.xml", bare(1));
        scratch.fill(["-i", "a.xml", "b.xml"]).status(2).stderr_has("a.xml would have").check();
        let run = scratch.fill(["-k", "-i", "a.xml", "b.xml"]).status(2).leaves("b.xml", filled(1));
        run.stderr_has("a.xml would have").stderr_has("1 failed").check();
    }
}

mod messages {
    use super::*;

    fn stale(count: usize) -> String {
        let own = record(&uuid(1), identity(1));
        let stale = (0..count).map(|number| record(&absent(number), ["0x1", "0x2", "x"]));
        recorded(&(own + &stale.collect::<String>()), &hostdev(&uuid(1), &elements(1)))
    }

    #[test]
    fn the_first_ten_warnings_of_a_kind_are_shown_and_the_others_counted() {
        let scratch = Scratch::with("vm.xml", stale(300));
        for command in ["fill -q --diff", "fill --diff --into metadata --on-conflict replace", "check"] {
            let run = scratch.virt_mdev(NONE).args(command).arg("--sysfs").arg(host_a()).arg("vm.xml");
            let stderr = run.stdout_any().stderr_any().errors().1.stderr_text();
            let shown = stderr.matches("this record belongs to no hostdev").count();
            let is_quiet = command.contains("-q");
            assert_eq!(shown, if is_quiet { 0 } else { 10 }, "{command}: {stderr}");
            assert_eq!(stderr.contains("warning: and 290 more like this\n"), !is_quiet, "{command}: {stderr}");
        }
    }

    #[test]
    fn the_first_ten_errors_of_a_kind_are_shown_and_the_others_counted() {
        let absent: String = (0..30).map(|number| hostdev(&absent(number), &NONE)).collect();
        let conflict = hostdev(&uuid(1), &["<vendorid>0x1</vendorid>"]);
        let document = domain(&(absent + &conflict.repeat(12)));
        let stderr = Scratch::new().fill(NONE).stdin(document).status(2).stderr_any().check().stderr_text();
        assert_eq!(stderr.matches("is not on this host").count(), 10, "{stderr}");
        assert_eq!(stderr.matches("error: vendorid of mdev").count(), 10, "{stderr}");
        assert!(stderr.contains("error: and 20 more like this\n"), "{stderr}");
        assert!(stderr.contains("error: and 2 more like this\n"), "{stderr}");
    }

    #[test]
    fn each_file_is_named_even_if_many_have_the_same_error() {
        let scratch = Scratch::new();
        for number in 0..15 {
            scratch.file(format!("{number:02}.xml"), bare(1).replace(&uuid(1), &absent(number)));
        }
        let run = scratch.fill(["-k", "-i", "*.xml"]).status(2);
        (0..15)
            .fold(run, |run, number| run.stderr_has(format!("--> {number:02}.xml:")))
            .stderr_lacks("more like")
            .check();
    }

    #[test]
    fn json_is_never_abridged() {
        let document = domain(&hostdev(&uuid(1), &elements(1)).repeat(100));
        let scratch = Scratch::new();
        let run = scratch.virt_mdev(["check", "--json", "--sysfs"]).arg(host_a()).stdin(document).stdout_any();
        let printed = run.check().stdout_text();
        assert_eq!(printed.matches("\"verdict\": \"same\"").count(), 100);
    }

    #[test]
    fn a_message_that_quotes_a_long_value_is_cut() {
        let long = "\u{9b}".repeat(500_000);
        let document = domain(&hostdev(&uuid(1), &[format!("<mdevtype>{long}</mdevtype>")]));
        let stderr = Scratch::new().fill(NONE).stdin(document).status(2).stderr_has("\\u{9b}").check().stderr;
        assert!(stderr.len() < 200_000, "{} bytes", stderr.len());
    }
}

/// The cost of the largest documents that are not refused.
///
/// The limits are those of the manual page: a second of user time, and 256 MiB of memory, or 512 MiB for commands that write.
/// Memory is the address space, which the kernel limits (`ulimit -v`): it is never less than the resident memory, and does not
/// depend on the build or the load. User time does. So an unoptimized build may take [`UNOPTIMIZED`] times as long, and a busy
/// machine [`BUSY`] times. Each error that led to these limits exceeded that: it took 12 s and more, or gigabytes.
mod costs {
    use super::*;

    /// How much longer a build without optimization takes.
    const UNOPTIMIZED: f64 = if cfg!(debug_assertions) { 5.0 } else { 1.0 };

    /// How much longer a run takes on a busy machine.
    const BUSY: f64 = 2.0;

    /// In seconds.
    const USER_TIME: f64 = 1.0 * UNOPTIMIZED * BUSY;

    /// The commands, and how many MiB each may take.
    const COMMANDS: [(&str, usize); 9] = [
        ("check", 256),
        ("check --json", 256),
        ("hook -- g migrate begin -", 256),
        ("compare - vm.xml", 256),
        ("strip", 512),
        ("fill", 512),
        ("fill --into metadata --on-conflict replace --on-missing skip", 512),
        ("fill --into both --on-conflict replace --on-missing skip --diff", 512),
        ("fill --into both --on-conflict keep --on-missing skip -n -v", 512),
    ];

    /// The number of documents so far. An unoptimized build runs a third of the commands on each, in turn.
    #[derive(Default)]
    struct Costs(usize);

    impl Costs {
        /// Runs the commands on a document, and panics with those that exceed a limit.
        #[track_caller]
        fn of(&mut self, what: &str, document: &str) {
            assert!(document.len() <= LARGEST, "{what}: {} bytes", document.len());
            let scratch = Scratch::with("vm.xml", document);
            let turn = self.0;
            self.0 += 1;
            let is_run = |number: usize| !cfg!(debug_assertions) || number % 3 == turn % 3;
            let mut exceeded = String::new();
            for (_, (command, memory)) in COMMANDS.into_iter().enumerate().filter(|(number, _)| is_run(*number)) {
                let (user_time, status) = run(&scratch, command, memory);
                // A document may be refused for another reason than its size, such as a conflict.
                let has_ended =
                    matches!(status.code(), Some(0..=2)) && (command != "strip" || status.code() == Some(0));
                if !has_ended || user_time > USER_TIME {
                    let _ = writeln!(exceeded, "{what}, {command}: {user_time:.2} s, {status}");
                }
            }
            assert!(exceeded.is_empty(), "more than {USER_TIME} s or too much memory:\n{exceeded}");
        }
    }

    /// Returns the user time of a run with limited memory, and its exit status.
    fn run(scratch: &Scratch, command: &str, memory: usize) -> (f64, std::process::ExitStatus) {
        let name = command.split(' ').next().unwrap();
        let rest = shell_words::split(&command[name.len()..]).unwrap();
        let limited = format!("ulimit -v {} && exec \"$@\"", memory * 1024);
        let mut child = Command::new("/bin/sh");
        child.args(["-c", &limited, "sh", BINARY, name]);
        if !matches!(name, "compare" | "strip") && !rest.iter().any(|word| word == "--host") {
            child.arg("--sysfs").arg(host_a());
        }
        child.args(rest).current_dir(scratch.dir()).stdin(File::open(scratch.path("vm.xml")).unwrap());
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Waits without reaping, so that the times can still be read.
        let pid = Pid::from_child(&child);
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let status = child.wait().unwrap();
        assert_ne!(status.signal(), Some(9), "{command}: killed by someone else");
        (user_time(&stat), status)
    }

    /// Returns field 14 of `/proc/PID/stat`, the twelfth after the name in parentheses, in seconds.
    fn user_time(stat: &str) -> f64 {
        let after_name = &stat[stat.rfind(')').unwrap() + 1..];
        let ticks: f64 = after_name.split_whitespace().nth(11).unwrap().parse().unwrap();
        ticks / rustix::param::clock_ticks_per_second() as f64
    }

    /// Repeats a piece as often as it fits into the largest document, at most `most` times.
    fn repeated(piece: &str, most: usize) -> String {
        piece.repeat(most.min((LARGEST - 2_000) / piece.len()))
    }

    fn records(count: usize) -> String {
        (0..count).map(|number| format!("\n{}", record(&absent(number), ["0x1", "0x2", "x"]).trim())).collect()
    }

    /// Returns a hostdev without whitespace between its elements.
    fn short_hostdev(uuid: &str) -> String {
        hostdev(uuid, &NONE).lines().map(str::trim).collect()
    }

    #[test]
    fn time_and_memory_are_measured() {
        let scratch = Scratch::with("vm.xml", of_size(LARGEST, &filled(1)));
        let (user_time, status) = run(&scratch, "check", 256);
        assert_eq!(status.code(), Some(0));
        assert!(user_time < USER_TIME, "{user_time}");
        // The document alone takes 4 MiB, and the program and its libraries some.
        assert_ne!(run(&scratch, "check", 8).1.code(), Some(0));
        let stat = "1 (a) b) S 2 3 4 5 6 7 8 9 10 11 1234 5 6";
        assert!((super::costs::user_time(stat) * rustix::param::clock_ticks_per_second() as f64 - 1234.0).abs() < 0.5);
    }

    #[test]
    fn elements() {
        let mut costs = Costs::default();
        costs.of("empty elements", &with(&"<x/>".repeat(399_000)));
        costs.of(
            "attributes",
            &with(&format!("<x{}/>", (0..250).map(|n| format!(" a{n}=''")).collect::<String>()).repeat(1_550)),
        );
        costs.of(
            "deep and wide",
            &with(&format!("{}{}{}", "<x>".repeat(250), "<y/>".repeat(60_000), "</x>".repeat(250))),
        );
    }

    #[test]
    fn text() {
        let mut costs = Costs::default();
        costs.of("comments", &with(&"<!---->".repeat(398_000)));
        costs.of("instructions", &with(&"<?x?>y".repeat(398_000)));
        costs.of("line endings", &with(&format!("<x>{}</x>", repeated("\n", usize::MAX))));
        costs.of("CDATA", &with(&format!("<x>{}{}</x>", "y".repeat(4_000_000), "<![CDATA[y]]>".repeat(1024))));
    }

    #[test]
    fn namespaces() {
        let mut costs = Costs::default();
        let declared = |count: usize, uri: usize| -> String {
            (0..count).map(|number| format!(" xmlns:n{number}='{}'", "u".repeat(uri))).collect()
        };
        let scope = |declared: String, inside: String| with(&format!("<metadata{declared}>{inside}</metadata>"));
        costs.of("short", &scope(declared(60, 1), "<n0:x/>".repeat(15_000)));
        costs.of("a long one", &scope(declared(1, 1_000_000), "<n0:x/>".repeat(120)));
        let attributes: String = (0..110).map(|number| format!(" n0:a{number}=''")).collect();
        costs.of("attributes in a long one", &scope(declared(1, 1_000_000), format!("<x{attributes}/>")));
        let hostdevs = |count: usize, declared: &str| {
            domain(&short_hostdev(&uuid(1)).repeat(count)).replacen("<domain", &format!("<domain{declared}"), 1)
        };
        costs.of("hostdevs in many", &hostdevs(900, &declared(60, 1)));
        let own =
            (0..2_000).map(|n| short_hostdev(&uuid(1)).replacen("<hostdev", &format!("<hostdev xmlns:o='{n}'"), 1));
        let own = domain(&own.collect::<String>()).replacen("<domain", &format!("<domain{}", declared(50, 1)), 1);
        costs.of("hostdevs that declare one", &own);
    }

    #[test]
    fn devices_and_records() {
        let mut costs = Costs::default();
        let absent_hostdevs: String = (0..4096).map(|number| short_hostdev(&absent(number))).collect();
        costs.of("hostdevs on one line", &domain(&short_hostdev(&uuid(1)).repeat(4096)));
        costs.of("hostdevs that are absent", &domain(&absent_hostdevs));
        let conflicting =
            short_hostdev(&uuid(1)).replace("</source>", &format!("<mdevtype>{}</mdevtype></source>", "x".repeat(800)));
        costs.of("conflicts", &domain(&conflicting.repeat(3_900)));
        let comment = format!("<!--{}-->", "x".repeat(2 * 1024 * 1024));
        let on_long_line = |records: &str, devices: &str| {
            recorded(records, devices).replacen("  <metadata>\n", &format!("{comment}<metadata>"), 1).replacen(
                "<metadata>    <",
                "<metadata><",
                1,
            )
        };
        costs.of("stale records after a long comment", &on_long_line(&records(4095), &hostdev(&uuid(1), &NONE)));
        let empty = "\n<mdev:hostdev/>".repeat(4095);
        costs.of("empty records after a long comment", &on_long_line(&empty, &short_hostdev(&uuid(1)).repeat(4096)));
        let reversed: String = (0..4095).rev().map(|number| record(&absent(number), ["0x1", "0x2", "x"])).collect();
        costs.of("records in reverse order", &recorded(&reversed, &absent_hostdevs));
        costs.of(
            "a source with many elements",
            &with("").replacen("<source>", &format!("<source>{}", "<x/>".repeat(398_000)), 1),
        );
        let long_name = bare(1).replace("<name>vm<", &format!("<name>{}<", "&#x7f;".repeat(1024)));
        let snapshot = long_name
            .replacen("</devices>", &format!("{}</devices>", short_hostdev(&uuid(1)).repeat(62)), 1)
            .repeat(64);
        costs.of("many domains with long names", &format!("<domainsnapshot>{snapshot}</domainsnapshot>"));
    }

    #[test]
    fn layout() {
        let mut costs = Costs::default();
        let prefix = "p".repeat(255);
        let lead = format!("\n{}", " ".repeat(256));
        let ours = format!(
            "<metadata>{lead}<{prefix}:identities xmlns:{prefix}='{OURS}'>{lead}<!-- -->{lead}</{prefix}:identities></metadata>"
        );
        let hostdevs = short_hostdev(&uuid(1)).repeat(4096);
        costs.of(
            "a long prefix and indentation",
            &domain(&hostdevs).replacen("  <devices>", &format!("{ours}  <devices>"), 1),
        );
        let blanks = format!("\n{}{}", " ".repeat(2 * 1024 * 1024), record(&absent(1), ["0x1", "0x2", "x"]));
        costs.of("two megabytes of indentation", &recorded(&blanks, &hostdevs));
        let comments = hostdev(&uuid(1), &NONE).replace("'/>\n", &format!("'/>{}\n", "<!---->".repeat(100)));
        costs.of("comments after addresses", &domain(&comments.repeat(3_500)));
    }

    /// Runs commands with a file that describes a host, on a domain with as many devices as a document may have. An unoptimized
    /// build runs the first.
    fn host_file(what: &str, file: &str) {
        assert!(file.len() <= LARGEST && file.len() > LARGEST / 2, "{what}: {} bytes", file.len());
        let devices: String = (0..4096).map(|number| short_hostdev(&absent(number))).collect();
        let scratch = Scratch::with("vm.xml", domain(&devices));
        scratch.file("host", file);
        let commands = [
            ("check --host host", 256),
            ("check --json --host host", 256),
            ("hook --host host -- g migrate begin -", 256),
            ("fill --host host --on-missing skip", 512),
        ];
        for (command, memory) in commands.into_iter().take(if cfg!(debug_assertions) { 1 } else { 4 }) {
            let (user_time, status) = run(&scratch, command, memory);
            let has_ended = matches!(status.code(), Some(0..=2));
            assert!(has_ended && user_time <= USER_TIME, "{what}, {command}: {user_time:.2} s, {status}");
        }
    }

    /// Returns as many of the pieces as fit into the largest host file, with commas between them.
    fn listed(piece: impl Fn(usize) -> String) -> String {
        let mut list = piece(0);
        for number in 1.. {
            let next = piece(number);
            if list.len() + next.len() + 1_000 > LARGEST {
                break;
            }
            list = list + "," + &next;
        }
        list
    }

    #[test]
    fn records_of_hosts() {
        let record = |pci_devices: &str, mdev_parents: &str, unreadable: &str| {
            format!(
                r#"{{"version":1,"host":"b","pci_devices":[{pci_devices}],"mdev_parents":[{mdev_parents}],"unreadable":[{unreadable}]}}"#
            )
        };
        let pci_device = |number: usize| {
            let address = address(number + (number & !0xff));
            format!(r#"{{"address":"{address}","vendorid":"1","productid":"2","class":"3"}}"#)
        };
        host_file("PCI devices", &record(&listed(pci_device), "", ""));
        let mdev = |number: usize| format!(r#"{{"uuid":"{}","type":"t"}}"#, absent(number));
        let parent = |types: &str, mdevs: &str| {
            format!(r#"{{"name":"0000:00:00.0","bus":"pci","types":[{types}],"mdevs":[{mdevs}]}}"#)
        };
        let types = r#"{"type":"t","device_api":"vfio-pci"}"#;
        host_file("mediated devices", &record(&pci_device(0), &parent(types, &listed(mdev)), ""));
        let types: Vec<_> =
            (0..60_000).map(|number| format!(r#"{{"type":"{number}","device_api":"vfio-pci"}}"#)).collect();
        let mdevs: Vec<_> = (0..4096).map(|number| mdev(number).replace("\"t\"", "\"59999\"")).collect();
        host_file("types", &record(&pci_device(0), &parent(&types.join(","), &mdevs.join(",")), ""));
        host_file(
            "parents",
            &record("", &listed(|number| format!(r#"{{"name":"{number}","types":[],"mdevs":[]}}"#)), ""),
        );
        host_file("unreadable", &record("", "", &listed(|_| r#"{"error":""}"#.to_owned())));
        host_file(
            "unknown fields",
            &record("", "", "").replacen('{', &format!(r#"{{"x":[{}],"#, listed(|_| "[]".to_owned())), 1),
        );
        host_file("a long string", &format!(r#"{{"version":1,"host":"{}"}}"#, "\\u009b".repeat(LARGEST / 7)));
        host_file("an error after many lines", &format!("{{{}]", repeated("\n", usize::MAX)));
        host_file("nesting", &repeated("[", usize::MAX).replacen('[', "{\"host\":", 1));
    }

    /// Returns a host with the same in the reverse order.
    fn reversed(host: &str) -> String {
        let mut reverse: serde_json::Value = serde_json::from_str(host).unwrap();
        for parent in reverse["mdev_parents"].as_array_mut().unwrap() {
            for list in ["types", "mdevs"] {
                parent[list].as_array_mut().unwrap().reverse();
            }
        }
        reverse["pci_devices"].as_array_mut().unwrap().reverse();
        reverse.to_string()
    }

    /// Runs the commands that look for other devices, on a domain with as many devices as a document may have, each recorded
    /// as the type that `wanted` returns. An unoptimized build runs the last.
    fn placed(what: &str, pci_devices: &str, mdev_parents: &str, is_mdev: bool, wanted: impl Fn(usize) -> String) {
        let (mut records, mut hostdevs) = (String::new(), String::new());
        let ids = "<m:vendorid>1</m:vendorid><m:productid>2</m:productid>";
        for number in 0..4095 {
            let wanted = wanted(number);
            if is_mdev {
                let uuid = absent(number);
                hostdevs += &short_hostdev(&uuid);
                records += &format!("<m:hostdev uuid='{uuid}'>{ids}<m:mdevtype>{wanted}</m:mdevtype></m:hostdev>");
            } else {
                let (bus, slot, function) = (number >> 8, number >> 3 & 0x1f, number & 7);
                hostdevs += &format!(
                    "<hostdev mode='subsystem' type='pci'><source><address bus='{bus}' slot='{slot}' function='{function}'/>\
                     </source></hostdev>"
                );
                let source = address(number);
                records += &format!("<m:pci source='{source}'>{ids}<m:vgputype>nvidia-{wanted}</m:vgputype></m:pci>");
            }
        }
        let metadata = format!("<metadata><m:identities xmlns:m='{OURS}'>{records}</m:identities></metadata>");
        let scratch = Scratch::with("vm.xml", format!("<domain>{metadata}<devices>{hostdevs}</devices></domain>"));
        let host =
            format!(r#"{{"version":1,"host":"b","pci_devices":[{pci_devices}],"mdev_parents":[{mdev_parents}]}}"#);
        assert!(host.len() <= LARGEST && host.len() > LARGEST / 2, "{what}: {} bytes", host.len());
        let commands = [
            ("check --host host --accept creatable", 256),
            ("check --host host --host reverse -v", 256),
            ("check --host host --host reverse --json", 256),
            ("retarget --host host --assume-unused --create-plan -n", 256),
            ("retarget --host host --assume-unused --create-plan", 512),
        ];
        if !cfg!(debug_assertions) {
            scratch.file("reverse", reversed(&host));
        }
        scratch.file("host", host);
        for (command, memory) in commands.into_iter().skip(if cfg!(debug_assertions) { 4 } else { 0 }) {
            let (user_time, status) = run(&scratch, command, memory);
            let has_ended = matches!(status.code(), Some(0..=1));
            assert!(has_ended && user_time <= USER_TIME, "{what}, {command}: {user_time:.2} s, {status}");
        }
    }

    fn address(number: usize) -> String {
        format!("{:04x}:{:02x}:{:02x}.{}", number >> 16, number >> 8 & 0xff, number >> 3 & 0x1f, number & 7)
    }

    #[test]
    fn placements() {
        let pci = |number: usize| format!(r#"{{"address":"{}","vendorid":"1","productid":"2"}}"#, address(number));
        let function = |number: usize, card: usize, state: &str, creatable: usize| {
            let (address, card) = (address(number), address(card));
            format!(
                r#"{{"address":"{address}","vendorid":"1","productid":"2","physfn":"{card}","vgpu_type":"{state}","creatable_vgpu_types":[{{"type":"nvidia-{creatable}","name":""}}]}}"#
            )
        };
        let mdev_type = |name: &str, left: usize| {
            format!(r#"{{"type":"{name}","device_api":"vfio-pci","available_instances":{left}}}"#)
        };
        let parent = |number: usize, types: &str, mdevs: &str| {
            format!(r#"{{"name":"{}","bus":"pci","types":[{types}],"mdevs":[{mdevs}]}}"#, address(number))
        };
        let other = |number: usize| format!("{number:08x}-0000-4000-8000-000000000001");
        let mdev = |number: usize, mdev_type: &str| format!(r#"{{"uuid":"{}","type":"{mdev_type}"}}"#, other(number));

        let mdevs = listed(|number| mdev(number, "t"));
        placed("free devices", &pci(0), &parent(0, &mdev_type("t", 0), &mdevs), true, |_| "t".to_owned());
        let join = |count: usize, piece: &dyn Fn(usize) -> String| (0..count).map(piece).collect::<Vec<_>>().join(",");
        let types = join(28_000, &|number| mdev_type(&number.to_string(), 0));
        let mdevs = join(28_000, &|number| mdev(number, &number.to_string()));
        placed("free devices of many types", &pci(0), &parent(0, &types, &mdevs), true, |number| number.to_string());
        let types = listed(|number| mdev_type(&number.to_string(), 1));
        placed("many types on a parent", &pci(0), &parent(0, &types, ""), true, |number| number.to_string());
        let own_type = |number: usize| parent(number, &mdev_type(&number.to_string(), 1), "");
        placed("many parents", &join(22_000, &pci), &join(22_000, &own_type), true, |number| number.to_string());
        let shared =
            |number: usize| parent(number, &join(40, &|of| mdev_type(&((number * 40 + of) % 4096).to_string(), 1)), "");
        placed("types on several parents", &join(1_300, &pci), &join(1_300, &shared), true, |number| {
            number.to_string()
        });
        let reverse = join(30_000, &|number| mdev_type(&(30_000 - number).to_string(), 1));
        let types = join(30_000, &|number| mdev_type(&(number + 1).to_string(), 1));
        let both = [parent(0, &types, ""), parent(1, &reverse, "")].join(",");
        placed("types in another order", &join(2, &pci), &both, true, |number| number.to_string());
        let functions = listed(|number| function(number, number, "none", 1));
        placed("functions of their own cards", &functions, "", false, |_| "1".to_owned());
        let functions = listed(|number| function(number, 0, "none", 1));
        placed("functions of one card", &functions, "", false, |_| "1".to_owned());
        let functions = listed(|number| function(number, 0, "none", number + 1));
        placed("functions of many types", &functions, "", false, |number| (number + 1).to_string());
        let functions = listed(|number| function(number, 0, if number < 4096 { "nvidia-2" } else { "nvidia-1" }, 1));
        placed("free functions", &functions, "", false, |_| "1".to_owned());
    }

    #[test]
    fn many_devices_on_many_cards() {
        let hostdev = |number: usize| {
            let (bus, slot) = (number >> 8 & 0xff, number >> 3 & 0x1f);
            format!(
                "<hostdev mode='subsystem' type='pci'><source>\
                 <address domain='{}' bus='{bus}' slot='{slot}' function='{}'/></source></hostdev>",
                number >> 16,
                number & 7
            )
        };
        let record = |number: usize| {
            format!(
                "<mdev:pci source='{}'><mdev:vendorid>1</mdev:vendorid><mdev:productid>2</mdev:productid>\
                 <mdev:vgputype>nvidia-1</mdev:vgputype></mdev:pci>",
                address(number)
            )
        };
        let numbers = || (1 << 16) + 1..(1 << 16) + 4001;
        let document =
            recorded(&numbers().map(record).collect::<String>(), &numbers().map(hostdev).collect::<String>());
        let scratch = Scratch::with("vm.xml", document);
        // The functions of `first`, so many of them on each card.
        let host = |first: usize, count: usize, on_each: usize| {
            let device = |number: usize| {
                format!(
                    r#"{{"address":"{}","vendorid":"1","productid":"2","physfn":"{}","vgpu_type":"none",
                    "creatable_vgpu_types":[{{"type":"nvidia-1","name":""}}]}}"#,
                    address(first + number),
                    address((2 << 16) + number / on_each)
                )
            };
            let devices: Vec<_> = (0..count).map(device).collect();
            let devices = devices.join(",");
            scratch.file("host", format!(r#"{{"version":1,"host":"b","pci_devices":[{devices}],"mdev_parents":[]}}"#));
        };
        for (what, (first, count, on_each), expected) in [
            ("a card for each function", (0, 3000, 1), 1),
            ("a card for each function of the guest", ((1 << 16) + 1, 4000, 1), 0),
            ("one card for all functions of the guest", ((1 << 16) + 1, 40_000, 40_000), 0),
        ] {
            host(first, count, on_each);
            let (user_time, status) = run(&scratch, "check -q --accept creatable --host host", 256);
            assert!(status.code() == Some(expected) && user_time <= USER_TIME, "{what}: {user_time:.2} s, {status}");
        }
    }

    #[test]
    fn many_parents_are_listed() {
        let parent = |number| format!(r#"{{"name":"{}","bus":"pci","types":[],"mdevs":[]}}"#, address(number));
        let parents: Vec<_> = (0..100_000).map(parent).collect();
        let host = format!(r#"{{"version":1,"host":"b","pci_devices":[],"mdev_parents":[{}]}}"#, parents.join(","));
        let scratch = Scratch::with("vm.xml", "");
        scratch.file("host", host);
        let (user_time, status) = run(&scratch, "list --host host", 256);
        assert!(status.code() == Some(0) && user_time <= 2.0 * USER_TIME, "{user_time:.2} s, {status}");
    }

    #[test]
    fn node_devices() {
        let device = |content: &str| format!("<device><name>a</name>{content}</device>");
        let mdev = |number: usize| {
            let uuid = absent(number);
            device(&format!(
                "<path>/sys/0000:00:00.0/u</path><capability type='mdev'><type id='t'/><uuid>{uuid}</uuid></capability>"
            ))
        };
        host_file("nothing", &repeated("<device/>", usize::MAX));
        host_file("mediated devices", &(0..24_000).map(mdev).collect::<String>());
        let types = |count: usize| (0..count).map(|number| format!("<type id='{number}'/>")).collect::<String>();
        let parent = |number: usize| {
            let numbers = format!("<domain>{number}</domain><bus>0</bus><slot>0</slot><function>0</function>");
            let ids = "<product id='0x1'/><vendor id='0x2'/>";
            let types = types(11_000);
            device(&format!(
                "<capability type='pci'>{numbers}{ids}<capability type='mdev_types'>{types}</capability></capability>"
            ))
        };
        host_file("types", &(0..17).map(parent).collect::<String>());
        host_file("elements", &device(&"<b/>".repeat(65_000)).repeat(16));
        let attributes: String = (0..60).map(|number| format!(" a{number}=''")).collect();
        host_file("attributes", &device(&format!("<b{attributes}/>").repeat(500)).repeat(16));
        host_file("depth", &device(&format!("{}{}", "<b>".repeat(60), "</b>".repeat(60)).repeat(500)).repeat(18));
        host_file("references", &device(&"&#65;".repeat(50_000)).repeat(16));
        host_file("CDATA", &device(&"<![CDATA[a]]>".repeat(19_000)).repeat(16));
        host_file("comments between", &format!("{}{}", device(""), repeated("<!---->", usize::MAX)));
        host_file("a long attribute", &format!("<device a='{}'/>", "b".repeat(LARGEST - 100)));
        host_file("no end", &repeated("<device a='", usize::MAX));
        host_file("an error after many lines", &format!("{}<", repeated("\n", usize::MAX)));
    }

    #[test]
    fn refusals() {
        let scratch = Scratch::new();
        for (what, document) in [
            ("tags that do not end", repeated("<a ", usize::MAX)),
            ("values that do not end", repeated("<a b='", usize::MAX)),
            ("comments that do not end", repeated("<!--", usize::MAX)),
            ("sections that do not end", repeated("<![CDATA[", usize::MAX)),
            ("end tags", repeated("</a>", usize::MAX)),
            ("an error at the end of a long line", with(&"x".repeat(4_000_000)) + "<"),
            ("an error after many lines", with(&"\n".repeat(4_000_000)) + "<"),
            (
                "hostdevs without a source",
                domain(&"<hostdev mode='subsystem' type='mdev' model='vfio-pci'/>".repeat(4096)),
            ),
            ("invalid UUIDs", domain(&short_hostdev(&"z".repeat(800)).repeat(4000))),
        ] {
            scratch.file("vm.xml", &document);
            let (user_time, status) = run(&scratch, "fill", 512);
            assert!(user_time < USER_TIME && status.code() == Some(2), "{what}: {user_time} s, {status}");
        }
    }
}
