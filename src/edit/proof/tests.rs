//! Wrong edits of every kind. Each must be refused, even if it can be undone.

use super::*;
use crate::domain::{NAMESPACE, Namespaces};
use crate::edit::{Change, Edit};

const DOMAIN: &str = "<domain type='kvm'>
  <name>vm</name>
  <metadata>
    <m:identities xmlns:m='urn:virt-mdev:1'>
      <m:hostdev uuid='old' to='a'><m:vendorid>0x1</m:vendorid></m:hostdev>
    </m:identities>
  </metadata>
  <devices>
    <hostdev type='mdev'>
      <source>
        <address uuid='u'/> <!-- the card -->
        <keep/>
      </source>
      <address type='pci'/>
    </hostdev>
    <hostdev type='mdev'><source><vendorid note='n'>0x1</vendorid></source></hostdev>
  </devices>
</domain>
";

/// Returns the place after the first `piece`.
fn after(piece: &str) -> Span {
    Span::at(DOMAIN.find(piece).unwrap() + piece.len())
}

/// Returns the span of the first `piece`.
fn of(piece: &str) -> Span {
    let start = DOMAIN.find(piece).unwrap();
    Span::new(start, start + piece.len())
}

fn element(start: &str, end: &str) -> Span {
    let start = of(start).start;
    let length = DOMAIN[start..].find(end).unwrap() + end.len();
    Span::new(start, start + length)
}

fn scope(span: Span) -> EditScope {
    EditScope { span, namespaces: Namespaces::default() }
}

fn source() -> EditScope {
    scope(element("<source>\n", "</source>"))
}

fn second_source() -> EditScope {
    scope(element("<source><vendorid", "</source>"))
}

fn identities() -> EditScope {
    scope(element("<m:identities", "</m:identities>"))
}

fn domain() -> EditScope {
    scope(element("<domain", "</domain>"))
}

fn edits(list: Vec<(EditScope, Edit)>) -> Edits {
    let mut edits = Edits::default();
    for (scope, edit) in list {
        edits.add(DOMAIN, &scope, edit).unwrap();
    }
    edits
}

fn proof(list: Vec<(EditScope, Edit)>) -> Result<(), ProofError> {
    let edits = edits(list);
    prove(DOMAIN, &edits, &edits.apply(DOMAIN))
}

/// Returns the planned change: the three elements after the address.
fn parts() -> Change {
    let elements = vec![
        NewElement::text("vendorid", "0x8086".to_owned()),
        NewElement::text("productid", "0x591d".to_owned()),
        NewElement::text("mdevtype", "a<b".to_owned()),
    ];
    Change::Add { parent: Vec::new(), after: 1, elements }
}

const PARTS: &str = "<vendorid>0x8086</vendorid><productid>0x591d</productid><mdevtype>a&lt;b</mdevtype>";

/// Returns an edit that claims to add the parts, and writes `text` after the address.
fn writing(text: &str) -> Edit {
    Edit { span: after("<address uuid='u'/>"), text: text.to_owned(), change: parts() }
}

fn edit(span: Span, text: &str, change: Change) -> Edit {
    Edit { span, text: text.to_owned(), change }
}

fn removing(span: Span, element: &[usize]) -> Edit {
    edit(span, "", Change::Remove { element: element.to_vec() })
}

fn set_text(element: &[usize], value: &str) -> Change {
    Change::SetText { element: element.to_vec(), value: value.to_owned() }
}

fn set_uuid(value: &str) -> Change {
    Change::SetAttributes { element: vec![0], attributes: vec![("uuid", value.to_owned())] }
}

fn remove_attribute(name: &'static str) -> Change {
    Change::RemoveAttribute { element: vec![0], name }
}

fn assert_refused(what: &str, list: Vec<(EditScope, Edit)>) {
    let result = proof(list);
    assert!(matches!(result, Err(ProofError::Different { .. } | ProofError::Unreadable { .. })), "{what}: {result:?}");
}

#[test]
fn correct_edits_of_each_kind_are_proven() {
    for text in [PARTS.to_owned(), PARTS.replace("><v", ">\n\t <v"), PARTS.replace("&lt;", "&#60;") + "\r\n"] {
        assert_eq!(proof(vec![(source(), writing(&text))]), Ok(()), "{text:?}");
    }
    for right in [
        (second_source(), edit(of("0x1</vendorid>"), "0x2</vendorid>", set_text(&[0], "0x2"))),
        (identities(), edit(of("old"), "new", set_uuid("new"))),
        (identities(), edit(of(" to='a'"), "", remove_attribute("to"))),
        (source(), removing(of("<keep/>"), &[1])),
        (domain(), removing(element("<metadata", "</metadata>"), &[1])),
    ] {
        assert_eq!(proof(vec![right.clone()]), Ok(()), "{right:?}");
    }
}

#[test]
fn any_byte_changed_outside_the_edits_is_refused() {
    let edits = edits(vec![(source(), writing(PARTS)), (identities(), edit(of("old"), "new", set_uuid("new")))]);
    let edited = edits.apply(DOMAIN);
    assert_eq!(prove(DOMAIN, &edits, &edited), Ok(()));
    for at in 0..edited.len() {
        let with = |piece: &str, end: usize| edited[..at].to_owned() + piece + &edited[end..];
        let other = if &edited[at..=at] == "~" { "^" } else { "~" };
        for changed in [with(other, at + 1), with("~", at), with("", at + 1), edited[..at].to_owned()] {
            // Removing or doubling one of two equal neighbors may give the same text.
            if changed != edited {
                assert_eq!(prove(DOMAIN, &edits, &changed), Err(ProofError::NotUndone), "{changed}");
            }
        }
    }
}

#[test]
fn new_elements_that_are_not_the_planned_ones_are_refused() {
    for (what, text) in [
        ("nothing at all", String::new()),
        ("another value", PARTS.replace("0x8086", "0x8087")),
        ("no value", PARTS.replace("0x8086", "")),
        ("whitespace in a value", PARTS.replace("0x8086", "0x80 86")),
        (
            "values in each other's elements",
            PARTS.replace("0x8086", "_").replace("0x591d", "0x8086").replace('_', "0x591d"),
        ),
        ("an element is missing", PARTS.replace("<productid>0x591d</productid>", "")),
        ("an element twice", PARTS.to_owned() + "<vendorid>0x8086</vendorid>"),
        (
            "another order",
            "<productid>0x591d</productid><vendorid>0x8086</vendorid><mdevtype>a&lt;b</mdevtype>".to_owned(),
        ),
        ("another name", PARTS.replace("vendorid", "vendorId")),
        ("another namespace", PARTS.replace("<vendorid>", "<vendorid xmlns='urn:virt-mdev:1'>")),
        (
            "another namespace by prefix",
            PARTS.replace("vendorid>", "x:vendorid>").replacen("<x:vendorid>", "<x:vendorid xmlns:x='u'>", 1),
        ),
        ("an undeclared prefix", PARTS.replace("vendorid>", "x:vendorid>")),
        ("an attribute", PARTS.replace("<vendorid>", "<vendorid note='n'>")),
        ("an element inside", PARTS.replace("0x8086", "0x8086<b/>")),
        ("text after them", PARTS.to_owned() + "words"),
        ("a comment after them", PARTS.to_owned() + "<!-- c -->"),
        ("an instruction after them", PARTS.to_owned() + "<?p i?>"),
        ("all in a comment", format!("<!--{PARTS}-->")),
        ("all in CDATA", format!("<![CDATA[{PARTS}]]>")),
        (
            "one inside the other",
            "<vendorid>0x8086<productid>0x591d</productid></vendorid><mdevtype>a&lt;b</mdevtype>".to_owned(),
        ),
        ("an unescaped value", PARTS.replace("a&lt;b", "a<b")),
        ("a value escaped twice", PARTS.replace("a&lt;b", "a&amp;lt;b")),
        ("an undeclared entity", PARTS.replace("a&lt;b", "a&none;b")),
        ("an element that is not closed", PARTS.replace("</mdevtype>", "")),
        ("a comment that is not closed", PARTS.to_owned() + "<!--"),
        ("a declaration", format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{PARTS}")),
    ] {
        assert_refused(what, vec![(source(), writing(&text))]);
    }
}

#[test]
fn a_value_that_breaks_out_of_its_element_is_refused() {
    for value in [
        "a</mdevtype></source><source><mdevtype>b",
        "a</mdevtype><mdevtype>b",
        "a</mdevtype></source></wrapper><wrapper><source><mdevtype>b",
        "a</mdevtype><!-- ",
        "a--><b",
        "]]>",
        "a&b",
    ] {
        let mut right = writing("");
        let Change::Add { elements, .. } = &mut right.change else { unreachable!() };
        elements[2] = NewElement::text("mdevtype", value.to_owned());
        right.text = PARTS.replace("a&lt;b", &super::super::escape_text(value));
        let wrong = Edit { text: PARTS.replace("a&lt;b", value), ..right.clone() };
        assert_eq!(proof(vec![(source(), right)]), Ok(()), "{value:?}");
        assert_refused(value, vec![(source(), wrong)]);
    }
}

#[test]
fn correct_elements_in_another_place_are_refused() {
    for (what, span) in [
        ("before the address", after("<source>\n")),
        ("after another element", after("<keep/>")),
        ("inside the address's comment", after("<!-- the")),
        ("inside a tag", after("<address uuid='u'")),
    ] {
        assert_refused(what, vec![(source(), Edit { span, ..writing(PARTS) })]);
    }
    for (what, span) in [
        ("in the other source", after("<source><vendorid note='n'>0x1</vendorid>")),
        ("outside of any source", after("<address type='pci'/>")),
        ("in the domain", after("</metadata>")),
        ("after the document", Span::at(DOMAIN.len())),
    ] {
        // With the wrong scope, and with the one that contains the edit.
        assert_refused(what, vec![(source(), Edit { span, ..writing(PARTS) })]);
        assert_refused(what, vec![(domain(), Edit { span, ..writing(PARTS) })]);
    }
}

#[test]
fn an_edit_that_claims_another_change_is_refused() {
    let elements = || match parts() {
        Change::Add { elements, .. } => elements,
        _ => unreachable!(),
    };
    for change in [
        Change::Add { parent: Vec::new(), after: 0, elements: elements() },
        Change::Add { parent: Vec::new(), after: 2, elements: elements() },
        Change::Add { parent: Vec::new(), after: 3, elements: elements() },
        Change::Add { parent: vec![0], after: 0, elements: elements() },
        Change::Add { parent: vec![9], after: 0, elements: elements() },
        Change::Add { parent: Vec::new(), after: 1, elements: Vec::new() },
        Change::Add { parent: Vec::new(), after: 1, elements: elements().split_off(1) },
        set_text(&[0], "0x8086"),
        set_text(&[9], "0x8086"),
        set_uuid("u"),
        Change::Remove { element: vec![1] },
        Change::Remove { element: Vec::new() },
        Change::Remove { element: vec![9] },
    ] {
        assert_refused(&format!("{change:?}"), vec![(source(), edit(after("<address uuid='u'/>"), PARTS, change))]);
    }
}

#[test]
fn a_value_that_is_not_replaced_as_planned_is_refused() {
    let value = of("0x1</vendorid></source>").start;
    let value = Span::new(value, value + 3);
    let planned = || set_text(&[0], "0x2");
    for (what, span, text) in [
        ("nothing is done", value, "0x1"),
        ("another value", value, "0x3"),
        ("a part of it is left", Span::at(value.start), "0x2"),
        ("an element in it", value, "0x2<b/>"),
        ("a comment in it", value, "0x2<!-- c -->"),
        ("its attribute is changed", of("n'>0x1"), "o'>0x2"),
        ("its attribute is lost", of(" note='n'>0x1"), ">0x2"),
        ("its name is changed", of("<vendorid note='n'>0x1</vendorid>"), "<productid note='n'>0x2</productid>"),
        ("it appears twice", of("0x1</vendorid></source>"), "0x2</vendorid><vendorid note='n'>0x2</vendorid></source>"),
    ] {
        assert_refused(what, vec![(second_source(), edit(span, text, planned()))]);
    }
    assert_refused("another element", vec![(identities(), edit(of("0x1"), "0x2", set_text(&[0], "0x2")))]);
    assert_eq!(proof(vec![(identities(), edit(of("0x1"), "0x2", set_text(&[0, 0], "0x2")))]), Ok(()));
}

#[test]
fn an_attribute_that_is_not_set_as_planned_is_refused() {
    for (what, span, text) in [
        ("another value", of("old"), "other"),
        ("nothing is done", of("old"), "old"),
        ("another attribute", of("a'><m:vendorid"), "new'><m:vendorid"),
        ("one more attribute", of("old"), "new' evil='yes"),
        ("another attribute is lost", of("old' to='a"), "new"),
        ("the attribute twice", of("old"), "new' uuid='new"),
        ("out of the tag", of("old"), "new'/><m:hostdev uuid='new"),
        ("another name", of("uuid='old"), "uid='new"),
        ("a namespace", of("old"), "new' xmlns:m='urn:other"),
    ] {
        assert_refused(what, vec![(identities(), edit(span, text, set_uuid("new")))]);
    }
    for (what, span, text) in [
        ("nothing is removed", of(" to='a'"), " to='a'"),
        ("its value only", of("a'><m:vendorid"), "'><m:vendorid"),
        ("another attribute", of(" uuid='old'"), ""),
        ("both attributes", of(" uuid='old' to='a'"), ""),
        ("it gains a prefix", of(" to='a'"), " m:to='a'"),
    ] {
        assert_refused(what, vec![(identities(), edit(span, text, remove_attribute("to")))]);
    }
    assert_refused("it is not there", vec![(identities(), edit(of(" to='a'"), "", remove_attribute("from")))]);
}

#[test]
fn changes_that_contradict_each_other_are_refused() {
    let uuid = || edit(of("old"), "new", set_uuid("new"));
    for (what, other) in [
        ("an attribute changed twice", edit(Span::at(of("old").end), "", set_uuid("new"))),
        ("an attribute set and removed", edit(of(" to='a'"), "", remove_attribute("uuid"))),
    ] {
        assert_refused(what, vec![(identities(), uuid()), (identities(), other)]);
    }
    let inside = edit(of("0x1"), "0x2", set_text(&[0, 0], "0x2"));
    let beside = |change| edit(Span::at(of("<m:hostdev").start), "", change);
    assert_refused(
        "inside a removed element",
        vec![(identities(), inside.clone()), (identities(), beside(Change::Remove { element: vec![0] }))],
    );
    assert_refused("inside replaced text", vec![(identities(), inside), (identities(), beside(set_text(&[0], "x")))]);
}

#[test]
fn removing_more_or_less_than_the_planned_element_is_refused() {
    let keep = element("<keep/>", "<keep/>");
    for (what, span, path) in [
        ("another element", of("<address uuid='u'/>"), vec![1]),
        ("the neighbor too", element("<address uuid", "<keep/>"), vec![1]),
        ("the comment before it too", element("<!-- the card", "<keep/>"), vec![1]),
        ("nothing", Span::at(keep.start), vec![1]),
        ("half of it", Span::new(keep.start, keep.end - 2), vec![1]),
        ("all of the content", element("<address uuid", "<keep/>"), vec![0]),
    ] {
        assert_refused(what, vec![(source(), removing(span, &path))]);
    }
    assert_refused(
        "an element and its parent",
        vec![(domain(), removing(element("<metadata", "</metadata>"), &[1, 0]))],
    );
}

#[test]
fn edits_that_hide_what_is_between_them_are_refused() {
    let between = |opens: &str, closes: &str| {
        let first =
            edit(after("<source>\n"), opens, Change::Add { parent: Vec::new(), after: 0, elements: Vec::new() });
        let second = edit(after("<keep/>"), closes, Change::Add { parent: Vec::new(), after: 2, elements: Vec::new() });
        vec![(source(), first), (source(), second)]
    };
    assert_eq!(proof(between("", "")), Ok(()), "two edits of nothing are harmless");
    for (opens, closes) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?p ", "?>"), ("<x>", "</x>"), ("<x a=\"", "\"/>")]
    {
        assert_refused(opens, between(opens, closes));
    }
}

/// A domain that gains metadata, and has an edited source inside. Each is proven with its own edits.
mod nested {
    use super::*;

    fn metadata() -> (Change, &'static str) {
        let identities = NewElement {
            prefix: "mdev:".to_owned(),
            namespace: Some(NAMESPACE),
            declares_namespace: true,
            ..NewElement::holding("identities", Vec::new())
        };
        let elements = vec![NewElement::holding("metadata", vec![identities])];
        let change = Change::Add { parent: Vec::new(), after: 1, elements };
        (change, "<metadata><mdev:identities xmlns:mdev='urn:virt-mdev:1'></mdev:identities></metadata>")
    }

    fn both(of_source: &str, of_domain: &str, from: Span) -> Vec<(EditScope, Edit)> {
        vec![(source(), writing(of_source)), (domain(), edit(from, of_domain, metadata().0))]
    }

    #[test]
    fn correct_edits_are_proven_in_either_order() {
        let mut list = both(PARTS, metadata().1, after("<name>vm</name>"));
        assert_eq!(proof(list.clone()), Ok(()));
        list.reverse();
        assert_eq!(proof(list), Ok(()));
    }

    #[test]
    fn a_wrong_edit_is_refused_in_either_scope() {
        let place = after("<name>vm</name>");
        let right = metadata().1;
        for (what, of_source, of_domain) in [
            ("inside", PARTS.replace("0x8086", "0x8087"), right.to_owned()),
            ("inside, not readable", PARTS.replace("0x8086", "<"), right.to_owned()),
            ("around", PARTS.to_owned(), right.replace("metadata", "metaData")),
            ("around, another namespace", PARTS.to_owned(), right.replace("urn:virt-mdev:1", "urn:virt-mdev:2")),
            ("around, no namespace", PARTS.to_owned(), right.replace(" xmlns:mdev='urn:virt-mdev:1'", "")),
            ("around, twice", PARTS.to_owned(), right.to_owned() + right),
        ] {
            let mut list = both(&of_source, &of_domain, place);
            assert_refused(what, list.clone());
            list.reverse();
            assert_refused(what, list);
        }
    }

    #[test]
    fn edits_of_the_domain_are_refused_in_the_source_and_vice_versa() {
        assert_refused("parts in the domain", vec![(domain(), writing(PARTS))]);
        // Each claims the change that the other one writes.
        let (change, text) = metadata();
        let crossed = vec![(source(), writing(text)), (domain(), edit(after("<name>vm</name>"), PARTS, change))];
        assert_refused("crossed", crossed);
    }

    #[test]
    fn edits_that_hide_the_edited_source_are_refused() {
        let nothing = |after| Change::Add { parent: vec![2], after, elements: Vec::new() };
        let list = vec![
            (source(), writing(PARTS)),
            (domain(), edit(after("<devices>"), "<!--", nothing(0))),
            (domain(), edit(after("</hostdev>"), "-->", nothing(1))),
        ];
        // The text between them contains a comment, so the result is malformed.
        assert_refused("comment", list);
        let list = vec![
            (source(), writing(PARTS)),
            (domain(), edit(after("<devices>"), "<![CDATA[", nothing(0))),
            (domain(), edit(after("</hostdev>"), "]]>", nothing(1))),
        ];
        assert_refused("CDATA", list);
    }
}

#[test]
fn only_the_namespaces_of_the_edit_scope_are_declared() {
    let record = Span::new(of("<m:hostdev").start, of("</m:hostdev>").end);
    let known = EditScope { span: record, namespaces: [(Some("m".to_owned()), NAMESPACE.to_owned())].into() };
    let rename = || {
        edit(
            of("old"),
            "new",
            Change::SetAttributes { element: Vec::new(), attributes: vec![("uuid", "new".to_owned())] },
        )
    };
    assert_eq!(proof(vec![(known, rename())]), Ok(()));
    let unknown = proof(vec![(scope(record), rename())]);
    assert!(matches!(unknown, Err(ProofError::Refused { .. })), "{unknown:?}");
}

#[test]
fn an_original_that_the_second_parser_refuses_is_a_separate_error() {
    let original = "<source :a='b'><address/></source>";
    let mut edits = Edits::default();
    edits.add(original, &scope(Span::new(0, original.len())), edit(Span::at(25), "", set_text(&[0], ""))).unwrap();
    let result = prove(original, &edits, &edits.apply(original));
    assert!(matches!(result, Err(ProofError::Refused { .. })), "{result:?}");
}

#[test]
fn removing_the_last_element_may_remove_whitespace_but_not_text() {
    let original = "<metadata>\n  words\n  <x/>\n  more\n</metadata>";
    let removing = |from: &str| {
        let span = Span::new(original.find(from).unwrap(), original.find("<x/>").unwrap() + 4);
        let mut edits = Edits::default();
        edits.add(original, &scope(Span::new(0, original.len())), self::removing(span, &[0])).unwrap();
        prove(original, &edits, &edits.apply(original))
    };
    assert_eq!(removing("\n  <x/>"), Ok(()));
    assert!(matches!(removing("s\n  <x/>"), Err(ProofError::Different { .. })));
}
