//! What searching the bytes of a document for a few letters tells: which closer looks it can be spared.
//!
//! A domain with a few devices is spared all of them. The searches are memchr's, which looks at many bytes at once: all of
//! them together take little beside parsing.

use memchr::{memchr_iter, memchr2, memchr3, memmem};

use crate::text::is_xml_space;

/// What stands in a text, whatever it means there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Glance {
    /// How many `<` there are: each element and each CDATA section has one.
    pub less_than: usize,
    /// How many `=` there are: each attribute has one.
    pub equals: usize,
    /// How many `xmlns` there are: each namespace declaration has one.
    pub xmlns: usize,
    /// Whether a prefix may be declared with an empty URI.
    pub has_empty_uri: bool,
    /// Whether `&#` stands anywhere, as in a character reference.
    pub has_references: bool,
    /// Whether `<?` stands anywhere, as in an XML declaration or a processing instruction.
    pub has_instructions: bool,
    /// Whether `<!DOCTYPE` stands anywhere.
    pub has_doctype: bool,
    /// Whether a colon stands where a name may begin.
    pub has_leading_colons: bool,
}

/// Of so many `xmlns` each is looked at, which takes a search for the next quote; of more it is not known whether they are empty.
const LOOKED_AT: usize = 64;

impl Glance {
    /// Searches a text.
    pub fn over(text: &str) -> Self {
        let bytes = text.as_bytes();
        let holds = |piece: &str| memmem::find(bytes, piece.as_bytes()).is_some();
        // One search for a letter of each instead of three: what `virsh dumpxml` writes seldom has any of them.
        let is_marked = memchr3(b'&', b'?', b'!', bytes).is_some();
        let mut glance = Self {
            less_than: memchr_iter(b'<', bytes).count(),
            equals: memchr_iter(b'=', bytes).count(),
            has_references: is_marked && holds("&#"),
            has_instructions: is_marked && holds("<?"),
            has_doctype: is_marked && holds("<!DOCTYPE"),
            has_leading_colons: memchr_iter(b':', bytes).any(|at| at > 0 && begins_name(bytes[at - 1])),
            ..Self::default()
        };
        for at in memmem::find_iter(bytes, "xmlns") {
            glance.xmlns += 1;
            glance.has_empty_uri = glance.has_empty_uri || glance.xmlns > LOOKED_AT || is_empty_value(&bytes[at..]);
        }
        glance
    }
}

/// Whether the next quote, of either kind, is followed by another of its kind.
fn is_empty_value(bytes: &[u8]) -> bool {
    memchr2(b'"', b'\'', bytes).is_some_and(|quote| bytes.get(quote + 1) == Some(&bytes[quote]))
}

/// Whether a name may begin behind this byte of a tag.
pub(super) fn begins_name(before: u8) -> bool {
    matches!(before, b'<' | b'/') || is_xml_space(before.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_seen_for_itself() {
        let none = Glance::default();
        let one = Glance { less_than: 1, ..none };
        assert_eq!(Glance::over(""), none);
        assert_eq!(Glance::over("a:b & c! ? '' \"\""), none);
        assert_eq!(Glance::over("a<"), one);
        assert_eq!(Glance::over("=b=="), Glance { equals: 3, ..none });
        assert_eq!(Glance::over("a&#"), Glance { has_references: true, ..none });
        assert_eq!(Glance::over("<?"), Glance { has_instructions: true, ..one });
        assert_eq!(Glance::over("<!--"), one);
        assert_eq!(Glance::over("<!DATA["), one);
        assert_eq!(Glance::over("<!DOCTYPE"), Glance { has_doctype: true, ..one });
        for colon in ["a :", "a/:", "a\t:", "a\n:", "a\r:"] {
            assert_eq!(Glance::over(colon), Glance { has_leading_colons: true, ..none }, "{colon:?}");
        }
    }

    #[test]
    fn an_empty_uri_is_seen_behind_any_declaration() {
        let is_seen = |text: &str| Glance::over(text).has_empty_uri;
        assert!(is_seen("<a xmlns:b='u' xmlns:c = \n''>"));
        assert!(is_seen("<a xmlns:b=\"\">"));
        assert!(!is_seen(&"<a xmlns:b='u'/>".repeat(LOOKED_AT)));
        assert!(is_seen(&"<a xmlns:b='u'/>".repeat(LOOKED_AT + 1)));
        assert!(!is_seen("<a xmlns:b='u' c=''>"));
        assert!(!is_seen("<a b=''>xmlns"));
    }
}
