//! Bounds on the size and structure of documents.
//!
//! They keep a parser from overflowing its stack, and a document from taking more than a second or much memory. One pass over
//! the markup checks most of them before a parser sees the document. It accepts any document within the bounds, well-formed
//! or not. Bounds that depend on names and namespaces are checked after parsing.

use std::fmt;

use crate::markup::{Markup, Scanner, StartTag};
use crate::text::Span;

/// The largest document: libvirt's own RPC carries no larger string (`REMOTE_STRING_MAX`).
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The deepest nesting of elements: libxml2's own limit, so libvirt reads no deeper document.
pub(super) const MAX_DEPTH: usize = 256;

/// The most attributes of one element, namespace declarations included: a parser compares them pair by pair.
pub(super) const MAX_ATTRIBUTES: usize = 256;

/// The most namespace declarations in scope at one place: a parser searches them one by one for each prefix.
pub(super) const MAX_NAMESPACES_IN_SCOPE: usize = 64;

/// The most namespace declarations of a document: a parser copies those in scope for each element that adds one.
const MAX_NAMESPACES: usize = 4096;

/// The most CDATA sections: a parser copies the text before each one that adjoins it.
pub(super) const MAX_CDATA: usize = 1024;

/// The most elements, attributes, comments and processing instructions of a document: each takes memory when an edit around
/// it is verified. libvirt writes more than ten bytes for each, so its documents reach [`MAX_BYTES`] first.
const MAX_PIECES: usize = 400_000;

/// The most work for the namespaces of a document: for each element and attribute, the bytes of the start tags with
/// declarations in scope, [`DECLARATION_EFFORT`] for each of these declarations, and [`LEVEL_EFFORT`] for each open element.
/// A parser copies all declarations in scope for each element, and searches for each prefix level by level.
const MAX_NAMESPACE_EFFORT: usize = 128 * 1024 * 1024;
const DECLARATION_EFFORT: usize = 128;
const LEVEL_EFFORT: usize = 8;

/// The most domains, hostdevs and records of a document: each takes memory, and may cause a message. A snapshot has two domains,
/// and QEMU does not start a guest with so many devices.
pub(super) const MAX_DOMAINS: usize = 64;
pub(super) const MAX_HOSTDEVS: usize = 4096;
pub(super) const MAX_RECORDS: usize = 4096;

/// The longest name of a domain, which is printed for each of its devices. libvirt keeps a domain in a file of that name, so
/// names have 251 bytes at most.
pub(super) const MAX_NAME: usize = 1024;

/// The longest prefix of our metadata element, which is written with each new record.
pub(super) const MAX_PREFIX: usize = 256;

/// A bound that a document exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// Bytes of a document.
    Bytes,
    /// Elements within elements.
    Depth,
    /// Attributes of one element.
    Attributes,
    /// Namespace declarations, in scope at one place or in total.
    Namespaces,
    /// Bytes of namespace declarations, times the elements and attributes in their scope.
    NamespaceEffort,
    /// CDATA sections.
    Cdata,
    /// Elements and attributes, in total.
    Pieces,
    /// Domains.
    Domains,
    /// Hostdevs, in total.
    Hostdevs,
    /// Records, in total.
    Records,
    /// Bytes of a domain's name.
    Name,
    /// Bytes of the prefix of our metadata element.
    Prefix,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes => write!(f, "it is larger than {MAX_BYTES} bytes, the most that libvirt's RPC carries"),
            Self::Depth => write!(f, "elements are nested deeper than {MAX_DEPTH}, libxml2's limit"),
            Self::Attributes => write!(f, "an element has more than {MAX_ATTRIBUTES} attributes"),
            Self::Namespaces => write!(
                f,
                "there are more than {MAX_NAMESPACES_IN_SCOPE} namespace declarations in scope, or {MAX_NAMESPACES} in total"
            ),
            Self::NamespaceEffort => f.write_str("too many elements are in the scope of long namespace declarations"),
            Self::Cdata => write!(f, "there are more than {MAX_CDATA} CDATA sections"),
            Self::Pieces => {
                write!(f, "there are more than {MAX_PIECES} elements, attributes, comments and instructions")
            }
            Self::Domains => write!(f, "there are more than {MAX_DOMAINS} domains"),
            Self::Hostdevs => write!(f, "there are more than {MAX_HOSTDEVS} hostdevs"),
            Self::Records => write!(f, "there are more than {MAX_RECORDS} records"),
            Self::Name => write!(f, "the name of the domain is longer than {MAX_NAME} bytes"),
            Self::Prefix => write!(f, "the prefix of this element is longer than {MAX_PREFIX} bytes"),
        }
    }
}

/// What the pass finds that the parser does not report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// The `[` of a DOCTYPE with declarations in it.
    pub internal_subset: Option<Span>,
    /// The first start tag after the end of the root element.
    pub second_root: Option<Span>,
}

/// Checks a document against the bounds that depend on its markup only.
///
/// # Errors
/// The bound that the document exceeds, and where.
pub(super) fn measure(text: &str) -> Result<Outline, (Bound, Span)> {
    if text.len() > MAX_BYTES {
        return Err((Bound::Bytes, Span::at(0)));
    }
    let mut pass = Pass { text, ..Pass::default() };
    pass.run()?;
    Ok(pass.outline)
}

#[derive(Default)]
struct Pass<'a> {
    text: &'a str,
    outline: Outline,
    /// How many namespaces each open element declares, and the bytes of its start tag if there are any.
    open: Vec<(usize, usize)>,
    in_scope: usize,
    /// The bytes of the start tags of open elements that declare namespaces.
    bytes_in_scope: usize,
    namespace_effort: usize,
    declared: usize,
    cdata: usize,
    pieces: usize,
    root_closed: bool,
}

impl Pass<'_> {
    fn run(&mut self) -> Result<(), (Bound, Span)> {
        for markup in Scanner::new(self.text) {
            match markup {
                Markup::StartTag(tag) => self.start_tag(tag)?,
                Markup::EndTag(_) => self.close(),
                Markup::Cdata(span) => {
                    self.cdata += 1;
                    if self.cdata > MAX_CDATA {
                        return Err((Bound::Cdata, Span::new(span.start, span.start + 9)));
                    }
                }
                Markup::Doctype { internal_subset, .. } => {
                    self.outline.internal_subset = self.outline.internal_subset.or(internal_subset);
                }
                Markup::Ignored(span) => self.count_pieces(1, Span::new(span.start, span.start + 1))?,
            }
        }
        Ok(())
    }

    fn count_pieces(&mut self, count: usize, span: Span) -> Result<(), (Bound, Span)> {
        self.pieces += count;
        if self.pieces > MAX_PIECES { Err((Bound::Pieces, span)) } else { Ok(()) }
    }

    fn start_tag(&mut self, tag: StartTag) -> Result<(), (Bound, Span)> {
        let name = Span::new(tag.span.start, tag.span.start + 1);
        if tag.attributes > MAX_ATTRIBUTES {
            return Err((Bound::Attributes, name));
        }
        self.in_scope += tag.namespaces;
        self.declared += tag.namespaces;
        if self.in_scope > MAX_NAMESPACES_IN_SCOPE || self.declared > MAX_NAMESPACES {
            return Err((Bound::Namespaces, name));
        }
        self.count_pieces(1 + tag.attributes, name)?;
        if self.open.is_empty() && self.root_closed {
            self.outline.second_root.get_or_insert(name);
        }
        let bytes = if tag.namespaces > 0 { tag.span.len() } else { 0 };
        self.open.push((tag.namespaces, bytes));
        self.bytes_in_scope += bytes;
        let effort = self.bytes_in_scope + DECLARATION_EFFORT * self.in_scope + LEVEL_EFFORT * self.open.len();
        self.namespace_effort += (1 + tag.attributes) * effort;
        if self.namespace_effort > MAX_NAMESPACE_EFFORT {
            return Err((Bound::NamespaceEffort, name));
        }
        if self.open.len() > MAX_DEPTH {
            return Err((Bound::Depth, name));
        }
        if tag.is_empty_element {
            self.close();
        }
        Ok(())
    }

    fn close(&mut self) {
        let (namespaces, bytes) = self.open.pop().unwrap_or_default();
        self.in_scope -= namespaces;
        self.bytes_in_scope -= bytes;
        self.root_closed |= self.open.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_in_comments_and_cdata_are_not_counted() {
        let hidden = "<a>".repeat(MAX_DEPTH + 1);
        let text = format!("<r x='>' y=\"<a>\"><!--{hidden}--><![CDATA[{hidden}]]><?p {hidden}?></r>");
        assert_eq!(measure(&text), Ok(Outline::default()));
    }

    #[test]
    fn elements_and_attributes_are_bounded_together() {
        let many = |piece: &str, count: usize| format!("<a>{}</a>", piece.repeat(count));
        assert!(measure(&many("<b/>", MAX_PIECES - 1)).is_ok());
        assert_eq!(measure(&many("<b/>", MAX_PIECES)).unwrap_err().0, Bound::Pieces);
        assert_eq!(measure(&many("<b c=''/>", MAX_PIECES / 2)).unwrap_err().0, Bound::Pieces);
        assert_eq!(measure(&many("<!---->", MAX_PIECES)).unwrap_err().0, Bound::Pieces);
        assert!(measure(&many("<?a?>", MAX_PIECES - 1)).is_ok());
    }

    #[test]
    fn an_internal_subset_is_found_outside_quotes_only() {
        let outline = |text: &str| measure(text).unwrap().internal_subset;
        assert_eq!(outline("<!DOCTYPE domain SYSTEM \"a[b].dtd\"><domain/>"), None);
        assert_eq!(outline("<!DOCTYPE domain [<!ENTITY a 'b'>]><domain/>"), Some(Span::new(17, 18)));
    }

    #[test]
    fn a_second_root_is_found() {
        assert_eq!(measure("<a><b/></a>\n<c/>").unwrap().second_root, Some(Span::new(12, 13)));
        assert_eq!(measure("<a/><!-- <b/> -->").unwrap().second_root, None);
    }

    #[test]
    fn malformed_documents_are_accepted() {
        for text in ["", "<", "</", "<a", "<a b='", "<!", "<!--", "<![CDATA[", "<?", "</a></a>", "<!DOCTYPE '", "<>"] {
            assert!(measure(text).is_ok(), "{text:?}");
        }
    }
}
