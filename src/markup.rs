//! Splits a text into its markup: tags, comments, CDATA sections, processing instructions and the DOCTYPE.
//!
//! The scanner knows just enough of XML to tell these apart. It reads any text, well-formed or not, and never fails: the
//! parser checks whether the text is well-formed.

use crate::text::{Span, is_xml_space};

/// A piece of markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Markup {
    /// A start tag or an empty-element tag.
    StartTag(StartTag),
    /// An end tag.
    EndTag(Span),
    /// A CDATA section.
    Cdata(Span),
    /// The DOCTYPE, or anything else that begins with `<!`.
    Doctype {
        /// From its `<` to after its `>`, or to the end of the text.
        span: Span,
        /// The `[` that begins an internal subset.
        internal_subset: Option<Span>,
    },
    /// A comment or a processing instruction.
    Ignored(Span),
}

/// A start tag or an empty-element tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StartTag {
    /// From its `<` to after its `>`. If the `>` is missing, up to the next `<` or the end of the text.
    pub span: Span,
    /// Whether it ends with `/>`.
    pub is_empty_element: bool,
    /// How many attributes it has, namespace declarations included.
    pub attributes: usize,
    /// How many of them are namespace declarations.
    pub namespaces: usize,
    /// Whether its `>` is missing.
    is_cut_off: bool,
}

/// An attribute in a start tag, namespace declarations included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawAttribute {
    /// Where its name is, prefix included.
    pub name: Span,
    /// Where its value is, between the quotes.
    pub value: Span,
}

/// Iterates over the markup of a text. Ends early at a tag whose `>` is missing: every parser stops there.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the offset after the next `end` at or after `from`, or the end of the text.
    fn after(&self, from: usize, end: &str) -> usize {
        self.text[from..].find(end).map_or(self.text.len(), |found| from + found + end.len())
    }
}

impl Iterator for Scanner<'_> {
    type Item = Markup;

    fn next(&mut self) -> Option<Markup> {
        let start = self.at + self.text[self.at..].find('<')?;
        let rest = &self.text[start..];
        let (markup, end) = if rest.starts_with("<!--") {
            let end = self.after(start + 4, "-->");
            (Markup::Ignored(Span::new(start, end)), end)
        } else if rest.starts_with("<![CDATA[") {
            let end = self.after(start + 9, "]]>");
            (Markup::Cdata(Span::new(start, end)), end)
        } else if rest.starts_with("<?") {
            let end = self.after(start + 2, "?>");
            (Markup::Ignored(Span::new(start, end)), end)
        } else if rest.starts_with("<!") {
            let (end, internal_subset) = scan_doctype(self.text, start);
            (Markup::Doctype { span: Span::new(start, end), internal_subset }, end)
        } else if rest.starts_with("</") {
            let end = self.after(start + 2, ">");
            (Markup::EndTag(Span::new(start, end)), end)
        } else {
            let tag = scan_start_tag(self.text, start);
            (Markup::StartTag(tag), if tag.is_cut_off { self.text.len() } else { tag.span.end })
        };
        self.at = end;
        Some(markup)
    }
}

/// Returns where the DOCTYPE that begins at `start` ends, and the `[` that begins its internal subset.
fn scan_doctype(text: &str, start: usize) -> (usize, Option<Span>) {
    let mut internal_subset = None;
    let mut quote = None;
    for (offset, byte) in text.bytes().enumerate().skip(start) {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[') => {
                internal_subset.get_or_insert(Span::new(offset, offset + 1));
            }
            (None, b'>') => return (offset + 1, internal_subset),
            (None, _) => {}
        }
    }
    (text.len(), internal_subset)
}

/// Scans the tag that begins with the `<` at `start`.
pub(crate) fn scan_start_tag(text: &str, start: usize) -> StartTag {
    let bytes = text.as_bytes();
    let (mut attributes, mut namespaces) = (0, 0);
    let mut quote = None;
    let is_in_tag = |&(offset, byte): &(usize, &u8)| offset == start || *byte != b'<';
    for (offset, &byte) in bytes.iter().enumerate().skip(start).take_while(is_in_tag) {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                attributes += 1;
            }
            (None, b'x') if declares_namespace(bytes, offset) => namespaces += 1,
            (None, b'>') => {
                let span = Span::new(start, offset + 1);
                let is_empty_element = bytes[offset - 1] == b'/';
                return StartTag { span, is_empty_element, attributes, namespaces, is_cut_off: false };
            }
            (None, _) => {}
        }
    }
    let end = text[start + 1..].find('<').map_or(text.len(), |found| start + 1 + found);
    let span = Span::new(start, end);
    StartTag { span, is_empty_element: false, attributes, namespaces, is_cut_off: true }
}

/// Whether an attribute `xmlns` or `xmlns:…` begins at `offset`.
fn declares_namespace(bytes: &[u8], offset: usize) -> bool {
    bytes[offset..].starts_with(b"xmlns") && offset > 0 && bytes[offset - 1].is_ascii_whitespace()
}

impl StartTag {
    /// Returns where its name is, prefix included.
    pub fn name(&self, text: &str) -> Span {
        name_at(text, self.span.start + 1, self.span.end)
    }

    /// Returns its attributes, up to the first piece that is not one.
    pub fn attributes<'a>(&self, text: &'a str) -> impl Iterator<Item = RawAttribute> + use<'a> {
        let mut at = self.name(text).end;
        let end = self.span.end;
        std::iter::from_fn(move || {
            let name = name_at(text, skip_space(text, at, end), end);
            let equals = skip_space(text, name.end, end);
            let open = skip_space(text, equals + 1, end);
            let quote = text.as_bytes().get(open).filter(|quote| open < end && matches!(quote, b'"' | b'\''))?;
            if name.is_empty() || text.as_bytes()[equals] != b'=' {
                return None;
            }
            let length = text.as_bytes()[open + 1..end].iter().position(|byte| byte == quote)?;
            at = open + 1 + length + 1;
            Some(RawAttribute { name, value: Span::new(open + 1, at - 1) })
        })
    }
}

/// Returns where the name in an end tag is, prefix included.
pub(crate) fn name_of_end_tag(text: &str, tag: Span) -> Span {
    name_at(text, tag.start + 2, tag.end)
}

fn name_at(text: &str, start: usize, end: usize) -> Span {
    let is_end = |byte: &u8| matches!(byte, b'=' | b'/' | b'>' | b'<' | b'"' | b'\'') || is_xml_space((*byte).into());
    let length = text.as_bytes().get(start..end).and_then(|rest| rest.iter().position(is_end));
    Span::new(start.min(end), length.map_or(end, |length| start + length))
}

fn skip_space(text: &str, start: usize, end: usize) -> usize {
    let rest = text.as_bytes().get(start..end).unwrap_or_default();
    start + rest.iter().take_while(|byte| is_xml_space((**byte).into())).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_tags(text: &str) -> Vec<&str> {
        let tags = Scanner::new(text).filter_map(|markup| match markup {
            Markup::StartTag(tag) => Some(tag.span.of(text)),
            _ => None,
        });
        tags.collect()
    }

    #[test]
    fn tags_in_other_markup_are_not_tags() {
        let text = "<!DOCTYPE a SYSTEM '<x>'><a b='>'><!--<x>--><![CDATA[<x>]]><?p <x>?><c d=\"/>\"/></a>";
        assert_eq!(start_tags(text), ["<a b='>'>", "<c d=\"/>\"/>"]);
    }

    #[test]
    fn an_incomplete_tag_is_the_last() {
        assert_eq!(start_tags("<a><b c='<d/>'/><e/>"), ["<a>", "<b c='"]);
        assert_eq!(start_tags("<a><b c='"), ["<a>", "<b c='"]);
        assert_eq!(start_tags("<<a/>"), ["<"]);
    }

    #[test]
    fn attributes_have_names_and_values() {
        let of = |text: &str| {
            let tag = scan_start_tag(text, 0);
            tag.attributes(text).map(|a| format!("{}={}", a.name.of(text), a.value.of(text))).collect::<Vec<_>>()
        };
        assert_eq!(of("<a b = 'c'\n:d=\"e'/>\"f:g='' />"), ["b=c", ":d=e'/>", "f:g="]);
        assert_eq!(of("<a/>"), [""; 0]);
        assert_eq!(of("<a ='c' d='e'>"), [""; 0]);
        assert_eq!(of("<a b c='d'>"), [""; 0]);
        assert_eq!(of("<a b=c d='e'>"), [""; 0]);
        assert_eq!(of("<a b='c"), [""; 0]);
        for cut in ["<", "<a", "<a ", "<a b", "<a b=", "<a b= ", "<ä"] {
            assert_eq!(of(cut), [""; 0]);
        }
    }
}
