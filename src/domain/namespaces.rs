//! Checks names and prefixes that the parser reads differently from libxml2, which libvirt uses.
//!
//! libxml2 only warns about a namespace error: a name whose prefix is not declared, or that is not a prefix and a local name,
//! is in no namespace and keeps its colons. The parser refuses some of these names and splits others: it reads `:uuid` as
//! `uuid`. So if a text may have such names, it is copied with their colons replaced: `todo:item` becomes `todo_item`, which
//! the parser reads as libxml2 reads the original. The copy has the same length, so offsets in it are offsets in the text.

use std::borrow::Cow;

use memchr::memmem;
use thiserror::Error;

use super::tree::Malformed;
use crate::markup::{Markup, RawAttribute, Scanner, StartTag, name_of_end_tag};
use crate::text::{Span, abridged};

const XML_URI: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_URI: &str = "http://www.w3.org/2000/xmlns/";

/// A violation of Namespaces in XML 1.0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// A prefix that is not declared.
    #[error("the namespace prefix '{prefix}' of {name} is not declared")]
    Undeclared {
        /// The prefix.
        prefix: String,
        /// The element's or attribute's name.
        name: String,
    },
    /// A name with more than one colon, or one at its start or end.
    #[error("{name} is not a valid name: a colon separates one prefix from one local name")]
    BadName {
        /// The name.
        name: String,
    },
    /// A declaration of a reserved prefix or URI, or of a prefix with an empty URI.
    #[error("the namespace declaration {name}='{uri}' is not allowed")]
    BadDeclaration {
        /// The attribute's name.
        name: String,
        /// Its value.
        uri: String,
    },
    /// Two attributes with the same local name and two prefixes for the same namespace.
    #[error("{name} and {earlier} are the same attribute: both prefixes are declared as {uri}")]
    SameAttribute {
        /// The second attribute's name.
        name: String,
        /// The first one's.
        earlier: String,
        /// The namespace.
        uri: String,
    },
}

impl NamespaceError {
    /// Returns what to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Undeclared { prefix, .. } => {
                format!("add xmlns:{prefix}='URI' to this element or one around it, or remove the prefix")
            }
            Self::BadName { .. } => "rename it, or remove the colon that is too many".to_owned(),
            Self::BadDeclaration { .. } => "remove it, or declare another prefix with another URI".to_owned(),
            Self::SameAttribute { .. } => "remove one of the two".to_owned(),
        }
    }
}

/// The result of checking the names in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The first namespace error.
    pub error: Option<(NamespaceError, Span)>,
    /// A copy that the parser reads as libxml2 reads the text; `None` if that is the text itself.
    pub copy: Option<String>,
}

/// Checks all names of a text, which must be within the bounds and have no internal subset.
///
/// # Errors
/// If a start tag declares a prefix twice, or an end tag does not match its start tag. These are not namespace errors: no parser
/// accepts them.
pub(super) fn check_names(text: &str) -> Result<Names, Malformed> {
    let mut pass = Pass { text, error: None, replaced: Vec::new(), open: Vec::new(), declared: Vec::new() };
    for markup in Scanner::new(text) {
        match markup {
            Markup::StartTag(tag) => pass.start_tag(tag)?,
            Markup::EndTag(tag) => pass.end_tag(name_of_end_tag(text, tag))?,
            Markup::Cdata(_) | Markup::Doctype { .. } | Markup::Ignored(_) => {}
        }
    }
    Ok(Names { error: pass.error, copy: copy_with(text, &pass.replaced) })
}

/// Returns a well-formed text without correct names that some parsers refuse.
///
/// These are elements with the prefix `xml`, which needs no declaration, and attributes such as `x:xmlns`.
pub fn with_common_names(text: &str) -> Cow<'_, str> {
    let may_have = ["<xml:", ":xmlns"].iter().any(|piece| memmem::find(text.as_bytes(), piece.as_bytes()).is_some());
    let copy = may_have.then(|| check_names(text).ok()?.copy).flatten();
    copy.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Returns the text with these names replaced by others of the same length; `None` if there are none.
fn copy_with(text: &str, replaced: &[Span]) -> Option<String> {
    let mut copy = String::with_capacity(text.len());
    for name in replaced {
        copy.push_str(&text[copy.len()..name.start]);
        copy.push_str(&neutral(name.of(text)));
    }
    copy.push_str(&text[copy.len()..]);
    (!replaced.is_empty()).then_some(copy)
}

/// Returns a name of the same length that has no colon and is not `xmlns`.
fn neutral(name: &str) -> String {
    if name == "xmlns" { "xmln_".to_owned() } else { name.replace(':', "_") }
}

struct Pass<'a> {
    text: &'a str,
    error: Option<(NamespaceError, Span)>,
    /// The names that the parser must not see, in document order.
    replaced: Vec<Span>,
    /// The open elements.
    open: Vec<Open>,
    /// The prefixes in scope, with their URIs.
    declared: Vec<(&'a str, &'a str)>,
}

struct Open {
    name: Span,
    is_replaced: bool,
    /// How many prefixes are declared around it.
    outside: usize,
}

/// A name as libxml2 splits it (`xmlParseQName`).
enum Name<'a> {
    Plain,
    Prefixed(&'a str, &'a str),
    Bad,
}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Self {
        match name.split_once(':') {
            None => Self::Plain,
            Some((prefix, local)) => {
                let begins_like_a_name = local.starts_with(|character| !only_continues_name(character));
                let is_good = !prefix.is_empty() && begins_like_a_name && !local.contains(':');
                if is_good { Self::Prefixed(prefix, local) } else { Self::Bad }
            }
        }
    }
}

/// Whether a name may contain this character, but not begin with it (productions 4 and 4a).
fn only_continues_name(character: char) -> bool {
    matches!(character, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}')
}

impl<'a> Pass<'a> {
    fn start_tag(&mut self, tag: StartTag) -> Result<(), Malformed> {
        let outside = self.declared.len();
        let before = self.replaced.len();
        let attributes: Vec<_> = tag.attributes(self.text).collect();
        // A declaration is in scope in the whole tag.
        self.declarations(&attributes)?;
        let element = tag.name(self.text);
        let is_replaced = !self.is_element_kept(element);
        if is_replaced {
            self.replaced.push(element);
        }
        let mut seen = Vec::new();
        for attribute in attributes {
            if !self.is_attribute_kept(attribute.name, &mut seen) {
                self.replaced.push(attribute.name);
            }
        }
        self.replaced[before..].sort_unstable();
        if tag.is_empty_element {
            self.declared.truncate(outside);
        } else {
            self.open.push(Open { name: element, is_replaced, outside });
        }
        Ok(())
    }

    fn end_tag(&mut self, name: Span) -> Result<(), Malformed> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let [start, end] = [open.name, name].map(|name| name.of(self.text));
        if start != end {
            let [start, end] = [start, end].map(abridged);
            return Err(Malformed { span: name, reason: format!("expected '{start}' tag, not '{end}'") });
        }
        if open.is_replaced {
            self.replaced.push(name);
        }
        self.declared.truncate(open.outside);
        Ok(())
    }

    /// Declares the prefixes that these attributes declare, and replaces the declarations that are not allowed.
    fn declarations(&mut self, attributes: &[RawAttribute]) -> Result<(), Malformed> {
        let mut names = Vec::new();
        for attribute in attributes {
            let [name, uri] = [attribute.name, attribute.value].map(|span| span.of(self.text));
            let prefix = match Name::of(name) {
                Name::Plain if name == "xmlns" => None,
                Name::Prefixed("xmlns", prefix) => Some(prefix),
                _ => continue,
            };
            if names.contains(&name) {
                let reason = format!("attribute '{}' appears twice", abridged(name));
                return Err(Malformed { span: attribute.name, reason });
            }
            names.push(name);
            let is_allowed = match prefix {
                Some("xml") => uri == XML_URI,
                Some("xmlns") => false,
                Some(_) => !matches!(uri, "" | XML_URI | XMLNS_URI),
                None => !matches!(uri, XML_URI | XMLNS_URI),
            };
            if is_allowed {
                self.declare(prefix, uri);
            } else {
                // libxml2 ignores it: an outer declaration of the prefix stays in scope.
                let error = NamespaceError::BadDeclaration { name: abridged(name), uri: abridged(uri) };
                self.report(error, attribute.name);
                self.replaced.push(attribute.name);
            }
        }
        Ok(())
    }

    fn declare(&mut self, prefix: Option<&'a str>, uri: &'a str) {
        let Some(prefix) = prefix else { return };
        // Equal URIs share one string, so that they can be compared by address.
        let known = self.declared.iter().find(|(_, known)| *known == uri);
        let uri = known.map_or(uri, |(_, known)| *known);
        self.declared.push((prefix, uri));
    }

    /// Whether the parser reads the name of an element as libxml2 does.
    fn is_element_kept(&mut self, span: Span) -> bool {
        match Name::of(span.of(self.text)) {
            Name::Plain => true,
            // The parser does not know that this prefix is always declared.
            Name::Prefixed("xml", _) => false,
            Name::Prefixed(prefix, _) => self.uri(prefix, span).is_some(),
            Name::Bad => {
                self.bad_name(span);
                false
            }
        }
    }

    /// Whether the parser reads the name of an attribute as libxml2 does. `seen` contains the earlier attributes of the tag
    /// that are in a namespace.
    fn is_attribute_kept(&mut self, span: Span, seen: &mut Vec<(&'a str, &'a str, Span)>) -> bool {
        match Name::of(span.of(self.text)) {
            // Declarations have been checked.
            Name::Plain | Name::Prefixed("xmlns", _) => true,
            // The parser takes it for a declaration of the default namespace.
            Name::Prefixed(prefix, "xmlns") => {
                self.uri(prefix, span);
                false
            }
            Name::Prefixed(prefix, local) => match self.uri(prefix, span) {
                Some(uri) => self.is_first(uri, local, span, seen),
                None => false,
            },
            Name::Bad => {
                self.bad_name(span);
                false
            }
        }
    }

    /// Whether no attribute before this one has the same local name in the same namespace.
    fn is_first(&mut self, uri: &'a str, local: &'a str, span: Span, seen: &mut Vec<(&'a str, &'a str, Span)>) -> bool {
        let is_same = |other: &str, name: &str| other.as_ptr() == uri.as_ptr() && name == local;
        if let Some((.., earlier)) = seen.iter().find(|(other, name, _)| is_same(other, name)) {
            let [name, earlier] = [span, *earlier].map(|span| span.of(self.text));
            if name == earlier {
                // Not a namespace error: the parser refuses it.
                return true;
            }
            let [name, earlier] = [name, earlier].map(abridged);
            self.report(NamespaceError::SameAttribute { name, earlier, uri: abridged(uri) }, span);
            return false;
        }
        seen.push((uri, local, span));
        true
    }

    /// Returns the URI of the prefix of the name at `span`; reports an error if it is not declared.
    fn uri(&mut self, prefix: &str, span: Span) -> Option<&'a str> {
        let declared = self.declared.iter().rev().find(|(declared, _)| *declared == prefix);
        let uri = if prefix == "xml" { Some(XML_URI) } else { declared.map(|(_, uri)| *uri) };
        if uri.is_none() {
            let name = abridged(span.of(self.text));
            self.report(NamespaceError::Undeclared { prefix: abridged(prefix), name }, span);
        }
        uri
    }

    fn bad_name(&mut self, span: Span) {
        self.report(NamespaceError::BadName { name: abridged(span.of(self.text)) }, span);
    }

    fn report(&mut self, error: NamespaceError, span: Span) {
        self.error.get_or_insert((error, span));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the text that the parser sees.
    #[track_caller]
    fn seen(text: &str) -> String {
        let names = check_names(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        names.copy.unwrap_or_else(|| text.to_owned())
    }

    #[track_caller]
    fn error(text: &str) -> Option<String> {
        check_names(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).error.map(|(error, _)| error.to_string())
    }

    /// The expected names are those of libxml2 2.9.14, with `_` for each colon that it keeps in a name.
    #[test]
    fn the_parser_sees_the_names_that_libxml2_sees() {
        for (text, expected) in [
            ("<todo:item/>", "<todo_item/>"),
            ("<x:a>x:a</x:a>", "<x_a>x:a</x_a>"),
            ("<e x:hostdev='' y:a=\"x:y\"/>", "<e x_hostdev='' y_a=\"x:y\"/>"),
            ("<a:b:c/>", "<a_b_c/>"),
            ("<e xmlns:a='u' a:b:c=''/>", "<e xmlns:a='u' a_b_c=''/>"),
            ("<:c></:c>", "<_c></_c>"),
            ("<e :uuid='1' uuid='2'/>", "<e _uuid='1' uuid='2'/>"),
            ("<a:1/>", "<a_1/>"),
            ("<a:/>", "<a_/>"),
            ("<e a::=''/>", "<e a__=''/>"),
            ("<xmlns:e/>", "<xmlns_e/>"),
            ("<xml:e xml:lang='x'><f/></xml:e>", "<xml_e xml:lang='x'><f/></xml_e>"),
            ("<e xmlns:='u'/>", "<e xmlns_='u'/>"),
            ("<e :xmlns='u'/>", "<e _xmlns='u'/>"),
            ("<e xmlns:a:b='u'/>", "<e xmlns_a_b='u'/>"),
            ("<e xmlns:p='u' p:xmlns='v'/>", "<e xmlns:p='u' p_xmlns='v'/>"),
            ("<e xmlns:p=''><p:f/></e>", "<e xmlns_p=''><p_f/></e>"),
            ("<e xmlns:p='u'><f xmlns:p=''><p:g/></f></e>", "<e xmlns:p='u'><f xmlns_p=''><p:g/></f></e>"),
            ("<e xmlns='http://www.w3.org/2000/xmlns/'/>", "<e xmln_='http://www.w3.org/2000/xmlns/'/>"),
            ("<e xmlns:xml='u'/>", "<e xmlns_xml='u'/>"),
            ("<e xmlns:a='u' xmlns:b='u' a:x='' b:x=''/>", "<e xmlns:a='u' xmlns:b='u' a:x='' b_x=''/>"),
        ] {
            assert_eq!(seen(text), expected);
        }
    }

    #[test]
    fn a_prefix_is_declared_in_its_element_only() {
        let text = "<p:e xmlns:p='u'><f p:a='' xmlns:p='v'/><p:g/></p:e>";
        assert_eq!(seen(text), text);
        assert_eq!(error(text), None);
        assert_eq!(seen("<e><f xmlns:p='u'><p:g/></f><p:h/></e>"), "<e><f xmlns:p='u'><p:g/></f><p_h/></e>");
        assert_eq!(seen("<e><p:f xmlns:p='u'/><p:h/></e>"), "<e><p:f xmlns:p='u'/><p_h/></e>");
        assert_eq!(
            seen("<e><!-- <x:a> --><![CDATA[<x:a>]]><?p <x:a>?></e>"),
            "<e><!-- <x:a> --><![CDATA[<x:a>]]><?p <x:a>?></e>"
        );
    }

    #[test]
    fn errors_name_the_prefix() {
        let message = |text: &str| error(text).unwrap_or_default();
        assert_eq!(message("<e><todo:item/></e>"), "the namespace prefix 'todo' of todo:item is not declared");
        assert_eq!(message("<a:b:c/>"), "a:b:c is not a valid name: a colon separates one prefix from one local name");
        assert_eq!(message("<e xmlns:p=''/>"), "the namespace declaration xmlns:p='' is not allowed");
        assert_eq!(
            message("<e xmlns:a='u' xmlns:b='u' a:x='' b:x=''/>"),
            "b:x and a:x are the same attribute: both prefixes are declared as u"
        );
        for fine in [
            "<xml:e/>",
            "<e xmlns='' xmlns:p='u' p:xmlns='v'/>",
            "<e xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        ] {
            assert_eq!(error(fine), None);
        }
    }

    #[test]
    fn a_malformed_text_is_not_a_namespace_error() {
        for (text, place) in [
            ("<e xmlns='u' xmlns='v'/>", 13),
            ("<e xmlns:p='u' xmlns:p='u'/>", 15),
            ("<x:a></x_a>", 7),
            ("<x:a></x:b>", 7),
        ] {
            assert_eq!(check_names(text).unwrap_err().span.start, place, "{text}");
        }
    }

    #[test]
    fn incomplete_texts_are_accepted() {
        for text in ["", "<", "</", "<a", "<a b='", "</a></a>", "<>", "<:", "<a :='"] {
            assert!(check_names(text).is_ok(), "{text:?}");
        }
    }
}
