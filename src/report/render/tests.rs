//! Diagnostics as they are shown.

use crate::report::{Diagnostic, Excerpt};
use crate::text::{Lines, Position, Span};
use proptest::prelude::*;

/// Returns an error at the first `marked` of `text`, with the label `here`.
fn error_at(text: &str, marked: &str) -> Diagnostic {
    let start = text.find(marked).unwrap();
    Diagnostic::error("wrong").at(excerpt(text, Span::new(start, start + marked.len()), "here"))
}

fn excerpt(text: &str, span: Span, label: &str) -> Excerpt {
    Excerpt::new("vm.xml", text, &Lines::new(text), span, label)
}

fn not_on_this_host() -> Diagnostic {
    let text = "\n".repeat(13) + "        <address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/>\n";
    let at = text.find("uuid").unwrap();
    let label = "no bus/mdev/devices/c2177883-f1bb-47f0-914d-32a22e3a8804 in /sys";
    Diagnostic::error("mdev c2177883-f1bb-47f0-914d-32a22e3a8804 is not on this host")
        .at(excerpt(&text, Span::new(at, at + 4), label))
        .help("start it (mdevctl start -u …), or skip it with --on-missing skip")
}

#[test]
fn an_error_has_message_place_line_mark_label_and_help() {
    let expected = "\
error: mdev c2177883-f1bb-47f0-914d-32a22e3a8804 is not on this host
  --> vm.xml:14:18
   |
14 |         <address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/>
   |                  ^^^^ no bus/mdev/devices/c2177883-f1bb-47f0-914d-32a22e3a8804 in /sys
   |
   = help: start it (mdevctl start -u …), or skip it with --on-missing skip
";
    assert_eq!(not_on_this_host().render(false), expected);
}

#[test]
fn color_adds_nothing_but_color() {
    let colored = not_on_this_host().render(true);
    assert!(colored.starts_with("\x1b[1m\x1b[91merror\x1b[0m\x1b[1m: mdev c2177883"), "{colored:?}");
    assert_eq!(without_color(&colored), not_on_this_host().render(false));
}

#[test]
fn without_a_place_there_is_one_line_and_the_help() {
    assert_eq!(Diagnostic::error("the input is empty").render(false), "error: the input is empty\n");
    let warning = Diagnostic::warning("libvirt will overwrite this file").help("use virsh edit").help("or skip it");
    // Without a line number, the indentation of the help differs between versions of the library.
    let text = warning.render(false);
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    assert_eq!(
        lines,
        ["warning: libvirt will overwrite this file", "|", "= help: use virsh edit", "= help: or skip it"]
    );
    assert_eq!(Diagnostic::note("skipped").render(false), "note: skipped\n");
}

#[test]
fn a_long_line_is_cut_around_the_mark_and_has_the_true_column() {
    let text = "\n".to_owned() + &"<ä>日</ä>".repeat(50_000) + "<address uuid='x'/>" + &"<b/>".repeat(500_000);
    let expected = format!(
        "\
error: wrong
 --> vm.xml:2:400010
  |
2 | .../ä>{}<address uuid='x'/>{}<b...
  | {}^^^^ here
",
        "<ä>日</ä>".repeat(6),
        "<b/>".repeat(12),
        // Sixty characters, of which six take two cells, and the dots.
        " ".repeat(3 + 60 + 6)
    );
    assert_eq!(error_at(&text, "uuid").render(false), expected);
}

#[test]
fn a_line_is_shown_whole_up_to_the_limit() {
    let line = |text: &str| error_at(text, "X").excerpt.unwrap().line;
    assert_eq!(line(&("a".repeat(119) + "X")), "a".repeat(119) + "X");
    assert_eq!(line(&("X".to_owned() + &"a".repeat(119))), "X".to_owned() + &"a".repeat(119));
    assert_eq!(line(&("a".repeat(120) + "X")), "...".to_owned() + &"a".repeat(119) + "X");
    assert_eq!(line(&("X".to_owned() + &"a".repeat(120))), "X".to_owned() + &"a".repeat(119) + "...");
}

#[test]
fn a_long_mark_ends_at_the_cut() {
    let text = "<a ".to_owned() + &"X".repeat(1000) + "/>";
    let expected =
        format!("error: wrong\n --> vm.xml:1:4\n  |\n1 | <a {}...\n  |    {} here\n", "X".repeat(117), "^".repeat(117));
    assert_eq!(error_at(&text, &"X".repeat(1000)).render(false), expected);
}

#[test]
fn the_mark_is_below_the_marked_text() {
    let indented = " ".repeat(50) + "<a uuid='1'/>";
    for (text, marked, place, line, mark) in [
        // A tab is one column.
        ("\t\t<a>\t<b uuid='1'/>", "uuid", "1:10", "        <a>    <b uuid='1'/>", "                  ^^^^ here"),
        // On a terminal each of 日本 takes two cells and the accent none.
        ("<b x='日本\u{301}' uuid='1'/>", "uuid", "1:12", "<b x='日本\u{301}' uuid='1'/>", "            ^^^^ here"),
        (&indented, "uuid", "1:54", "...                   <a uuid='1'/>", "                         ^^^^ here"),
        // Neither the byte order mark nor the carriage return is shown.
        ("\u{feff}<a/>\r\n<b/>\r\n", "a", "1:2", "<a/>", " ^ here"),
        // Of a mark over several lines, the first is shown.
        ("<a\r\n b='1'/>", "<a\r\n b='1'/>", "1:1", "<a", "^^ here"),
    ] {
        let expected = format!("error: wrong\n --> vm.xml:{place}\n  |\n1 | {line}\n  | {mark}\n");
        assert_eq!(error_at(text, marked).render(false), expected);
    }
}

#[test]
fn control_characters_are_escaped_everywhere() {
    let text = "<a\x1b[31m\u{9b}\u{202e}\x07 uuid='1'\r\x0c/>";
    let at = text.find("uuid").unwrap();
    let lines = Lines::new(text);
    let diagnostic = Diagnostic::error("bad\nerror: \x1b]0;title\x07")
        .at(Excerpt::new("vm\x1b[2J\n.xml", text, &lines, Span::new(at, at + 4), "a\n\u{9b}31m"))
        .help("try\r\u{85}\u{2028}\u{202e}this");
    let expected = r"error: bad\nerror: \x1b]0;title\x07
 --> vm\x1b[2J\n.xml:1:12
  |
1 | <a␛[31m��␇ uuid='1'␍␌/>
  |            ^^^^ a\n\u{9b}31m
  |
  = help: try\r\u{85}\u{2028}\u{202e}this
";
    assert_eq!(diagnostic.render(false), expected);
    assert_eq!(without_color(&diagnostic.render(true)), expected);
}

#[test]
fn nothing_follows_the_mark_without_a_label() {
    let expected = "error: wrong\n --> vm.xml:1:2\n  |\n1 | <a/>\n  |  ^\n";
    assert_eq!(Diagnostic::error("wrong").at(excerpt("<a/>", Span::new(1, 2), "")).render(false), expected);
}

#[test]
fn an_empty_mark_is_one_caret() {
    let at_end = Diagnostic::error("wrong").at(excerpt("<a\n<b", Span::at(2), "unfinished"));
    assert_eq!(at_end.render(false), "error: wrong\n --> vm.xml:1:3\n  |\n1 | <a\n  |   ^ unfinished\n");
    let empty = Diagnostic::error("wrong").at(excerpt("", Span::at(0), "nothing"));
    assert_eq!(empty.render(false), "error: wrong\n --> vm.xml:1:1\n  |\n1 |\n  | ^ nothing\n");
}

#[test]
fn an_inconsistent_excerpt_does_not_panic() {
    let wrong = Excerpt {
        origin: "vm.xml".into(),
        place: Position { line: 7, column: 70 },
        line: "ä".into(),
        marked: Span::new(1, 99),
        label: String::new(),
    };
    assert_eq!(Diagnostic::error("x").at(wrong).render(false), "error: x\n --> vm.xml:7:70\n  |\n7 | ä\n  | ^\n");
}

#[test]
fn a_diagnostic_is_small_even_if_the_line_has_4_mib() {
    let text = "<é/>".repeat(4 * 1024 * 1024 / 5);
    let lines = Lines::new(&text);
    for index in 0..1000 {
        let excerpt = Excerpt::new("vm.xml", &text, &lines, Span::at(text.len() - 5 * index), "");
        assert_eq!(excerpt.place.column, 4 * (text.len() / 5 - index) + 1);
        assert!(excerpt.line.len() < 1000);
    }
}

/// Removes the escape sequences with which the library sets colors, and no others.
fn without_color(text: &str) -> String {
    ["\x1b[0m", "\x1b[1m", "\x1b[91m", "\x1b[92m", "\x1b[94m", "\x1b[33m"]
        .iter()
        .fold(text.to_owned(), |text, sequence| text.replace(sequence, ""))
}

/// Generates text with many unusual characters.
fn unusual_text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        any::<char>(),
        proptest::char::range('\0', '\u{ff}'),
        proptest::sample::select(
            "\t\n\r\x1b\u{9b}\u{202e}\u{200d}\u{301}\u{feff}\u{2028}日👩".chars().collect::<Vec<_>>()
        ),
    ];
    proptest::collection::vec(character, 0..300).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn no_input_can_control_the_terminal(
        message in unusual_text(), origin in unusual_text(), text in unusual_text(), label in unusual_text(),
        help in unusual_text(),
        start in 0..1000_usize, length in 0..1000_usize,
    ) {
        let lines = Lines::new(&text);
        let diagnostic = Diagnostic::warning(message)
            .at(Excerpt::new(&origin, &text, &lines, Span::new(start, start + length), label))
            .help(help);
        let plain = diagnostic.render(false);
        prop_assert!(!plain.replace('\n', "").contains(char::is_control), "{:?}", plain);
        prop_assert_eq!(plain.matches('\n').count(), 7, "{:?}", plain);
        prop_assert!(plain.ends_with('\n'));
        let place = format!(":{}", lines.place(start));
        prop_assert!(plain.lines().nth(1).unwrap().ends_with(&place), "{:?}", plain);
        prop_assert_eq!(without_color(&diagnostic.render(true)), plain);
    }

    #[test]
    fn an_excerpt_marks_the_same_characters_as_in_the_text(before in "[ -~ä日]{0,200}", after in "[ -~ä日]{0,200}") {
        let text = format!("{before}MARK{after}");
        let excerpt = excerpt(&text, Span::new(before.len(), before.len() + 4), "");
        prop_assert_eq!(excerpt.marked.of(&excerpt.line), "MARK");
        prop_assert!(excerpt.line.chars().count() <= 126);
    }
}
