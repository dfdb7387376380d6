//! A quick search of the bytes of a document, which shows which validation passes can be skipped.
//!
//! A domain with a few devices needs none of them. The search uses memchr, which compares many bytes at once, so it takes
//! little time compared with parsing.

use memchr::{memchr, memchr_iter, memchr2, memmem};

use super::bounds::{MAX_ATTRIBUTES, MAX_CDATA, MAX_DEPTH, MAX_NAMESPACES_IN_SCOPE};
use crate::text::is_xml_space;

/// The largest document for which these counts are enough to rule out that it exceeds a bound.
const MODEST_BYTES: usize = 64 * 1024;

/// What occurs in a text, whether or not it is markup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prescan {
    /// How many `<` there are: each element and each CDATA section has one.
    pub less_than: usize,
    /// How many `=` there are: each attribute has one.
    pub equals: usize,
    /// Whether `<!DOCTYPE` occurs.
    pub has_doctype: bool,
    /// Whether there may be names or namespace declarations that the parser accepts and libxml2 does not, or reads
    /// differently, or more than [`MAX_NAMESPACES_IN_SCOPE`] declarations.
    pub has_odd_names: bool,
}

impl Prescan {
    /// Searches a text.
    pub fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let is_leading_colon = |at: usize| at > 0 && begins_name(bytes[at - 1]);
        let mut prescan = Self {
            less_than: memchr_iter(b'<', bytes).count(),
            equals: memchr_iter(b'=', bytes).count(),
            has_doctype: memmem::find(bytes, b"<!DOCTYPE").is_some(),
            has_odd_names: memchr_iter(b':', bytes).any(is_leading_colon),
        };
        let mut last = None;
        // A declaration begins after whitespace, and `c:xmlns` is odd. Others are in values: many namespace URIs contain one.
        let is_in_name = |at: &usize| *at > 0 && (bytes[at - 1] == b':' || is_xml_space(bytes[at - 1].into()));
        for (before, at) in memmem::find_iter(bytes, "xmlns").filter(is_in_name).enumerate() {
            prescan.has_odd_names = prescan.has_odd_names
                || before == MAX_NAMESPACES_IN_SCOPE
                || is_empty_value(&bytes[at..])
                || bytes[at - 1] == b':'
                || last.is_some_and(|last| is_in_one_tag(&bytes[last..at]));
            last = Some(at);
        }
        prescan
    }

    /// Whether [`measure`](super::bounds::measure) can be skipped: `text`, which was searched, is too small to exceed a bound, and
    /// has no DOCTYPE.
    pub fn is_modest(&self, text: &str) -> bool {
        text.len() <= MODEST_BYTES
            && self.less_than <= MAX_DEPTH.min(MAX_CDATA)
            && self.equals <= MAX_ATTRIBUTES
            && !self.has_odd_names
            && !self.has_doctype
    }
}

/// Whether the next quoted value is empty.
fn is_empty_value(bytes: &[u8]) -> bool {
    memchr2(b'"', b'\'', bytes).is_some_and(|quote| bytes.get(quote + 1) == Some(&bytes[quote]))
}

/// Whether no tag begins in these bytes.
fn is_in_one_tag(between: &[u8]) -> bool {
    memchr(b'<', between).is_none()
}

/// Whether a name may begin after this byte of a tag.
fn begins_name(before: u8) -> bool {
    matches!(before, b'<' | b'/') || is_xml_space(before.into())
}

#[cfg(test)]
mod tests {
    use super::super::bounds::measure;
    use super::*;

    #[test]
    fn everything_is_counted() {
        let none = Prescan::default();
        let one = Prescan { less_than: 1, ..none };
        assert_eq!(Prescan::of(""), none);
        assert_eq!(Prescan::of("a:b & c! ? '' \"\""), none);
        assert_eq!(Prescan::of("a<"), one);
        assert_eq!(Prescan::of("=b=="), Prescan { equals: 3, ..none });
        assert_eq!(Prescan::of("<!--"), one);
        assert_eq!(Prescan::of("<!DATA["), one);
        assert_eq!(Prescan::of("<!DOCTYPE"), Prescan { has_doctype: true, ..one });
    }

    #[test]
    fn odd_names_and_declarations_are_found() {
        let is_odd = |text: &str| Prescan::of(text).has_odd_names;
        for text in [
            "a :",
            "a/:",
            "a\t:",
            "a\n:",
            "a\r:",
            "<:",
            "<a xmlns:b='u' c:xmlns='v'>",
            "<a xmlns='u' xmlns='v'>",
            "<a xmlns:b='u' c='' xmlns='v'>",
            "<a xmlns:b=\"\">",
            "<a xmlns:b='u'/><c xmlns:d = \n''>",
        ] {
            assert!(is_odd(text), "{text:?}");
        }
        for text in [
            "a:b",
            "<a:b c:d='e:f'>",
            "<a xmlns:b='u'><c xmlns:b='u'>",
            "<a xmlns:b='u' c=''>",
            "<a b=''>xmlns",
            "<a xmlns:b='http://libosinfo.org/xmlns/libvirt/domain/1.0'>",
        ] {
            assert!(!is_odd(text), "{text:?}");
        }
        assert!(!is_odd(&"<a xmlns:b='u'/>".repeat(MAX_NAMESPACES_IN_SCOPE)));
        assert!(is_odd(&"<a xmlns:b='u'/>".repeat(MAX_NAMESPACES_IN_SCOPE + 1)));
    }

    #[test]
    fn a_modest_document_is_within_every_bound() {
        let is_modest = |text: &str| Prescan::of(text).is_modest(text);
        let many = |piece: &str, count: usize| format!("<a>{}</a>", piece.repeat(count));
        for count in [1, 63, 64, 65, 128, 254, 255, 256, 257, 1023, 1024, 1025, 5000] {
            for piece in
                ["<b>", "<b/>", "</b>", " b='c'", "<b xmlns:c='d'>", "<b xmlns:c='d'/>", "<![CDATA[]]>", "<!--"]
            {
                let text = many(piece, count);
                let in_tag = format!("<a{}/>", piece.repeat(count));
                for text in [text, in_tag] {
                    assert!(!is_modest(&text) || measure(&text).is_ok(), "{count} times {piece}");
                }
            }
        }
        assert!(is_modest(&many("<b c='d'/>", 250)));
        assert!(!is_modest("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"));
    }
}
