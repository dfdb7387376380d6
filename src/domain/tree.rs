//! Parses a text into a tree of elements with their spans. Only this module uses the parser.

use memchr::memrchr;
use roxmltree::ParsingOptions;

use super::element::{EditScope, Element, Scopes};
use crate::markup::scan_start_tag;
use crate::text::{Span, abridged, is_xml_space, offset_of};

/// A parsed document.
pub(super) struct Tree<'a> {
    document: roxmltree::Document<'a>,
    scopes: Scopes,
}

/// Why a text is not well-formed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub span: Span,
    pub reason: String,
}

impl<'a> Tree<'a> {
    /// Parses a text, which must be within the bounds and have no internal subset.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        // A DOCTYPE without an internal subset is harmless: it is never fetched. One with an internal subset has been refused.
        //
        // The parser accepts more than XML allows: any XML declaration, even in the middle of a document, `<?a?b?>`, any
        // character in the literals of a DOCTYPE, and references to invalid characters. libvirt refuses such a document, and
        // none of this changes what is read from it or written to it.
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = roxmltree::Document::parse_with_options(text, options).map_err(|error| {
            let place = error.pos();
            let offset = offset_of(text, place.row as usize, place.col as usize);
            let reason = error.to_string().replacen(&format!(" at {place}"), "", 1);
            let character = text[offset..].chars().next();
            Malformed { span: Span::new(offset, offset + character.map_or(0, char::len_utf8)), reason }
        })?;
        Ok(Self { document, scopes: Scopes::default() })
    }

    /// Returns the root element.
    pub fn root(&self) -> Node<'_> {
        Node { node: self.document.root_element(), index: 0, scopes: &self.scopes }
    }

    /// Returns the first comment before the root element.
    pub fn leading_comment(&self) -> Option<&str> {
        let before_root = self.document.root().children().take_while(|node| !node.is_element());
        before_root.filter(|node| node.is_comment()).find_map(|node| node.text())
    }
}

/// An element of the tree.
#[derive(Clone, Copy)]
pub(super) struct Node<'t> {
    node: roxmltree::Node<'t, 't>,
    /// Its number among the element children of its parent, from 0.
    pub index: usize,
    scopes: &'t Scopes,
}

/// An attribute with a prefix that libvirt reads as if it had none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAlike {
    /// Its name, prefix included.
    pub name: String,
    /// Its name without the prefix.
    pub local_name: String,
    /// Where its name is.
    pub span: Span,
}

/// An attribute of an element.
pub(super) struct Attribute<'t> {
    /// The value, with references resolved and whitespace normalized.
    pub value: &'t str,
    /// Where the value is, between its quotes.
    pub span: Span,
    /// Where the name is.
    pub name: Span,
    /// The whole attribute, with the whitespace before it.
    pub whole: Span,
}

impl<'t> Node<'t> {
    fn text(&self) -> &'t str {
        self.node.document().input_text()
    }

    /// Returns the name without its prefix.
    pub fn local_name(&self) -> &'t str {
        self.node.tag_name().name()
    }

    /// Returns the namespace, if there is one; `xmlns=''` means none.
    pub fn namespace(&self) -> Option<&'t str> {
        self.node.tag_name().namespace().filter(|uri| !uri.is_empty())
    }

    /// Whether it has this name and no namespace, like all of libvirt's elements.
    pub fn is(&self, name: &str) -> bool {
        self.namespace().is_none() && self.local_name() == name
    }

    /// Returns the span of the whole element.
    pub fn span(&self) -> Span {
        self.node.range().into()
    }

    /// Returns the element's spans, which can outlive the tree.
    pub fn element(&self) -> Element {
        let span = self.span();
        let tag = scan_start_tag(self.text(), span.start);
        let content = (!tag.is_empty_element).then(|| {
            // An end tag contains one `<`.
            let end = memrchr(b'<', span.of(self.text()).as_bytes()).map_or(span.end, |at| span.start + at);
            Span::new(tag.span.end, end)
        });
        Element { span, start_tag: tag.span, name: tag.name(self.text()), content, index: self.index }
    }

    /// Returns the element with the namespaces that are declared around it.
    pub fn scope(&self) -> EditScope {
        let declared = self.node.parent().into_iter().flat_map(|parent| parent.namespaces());
        let declared = declared
            .filter(|namespace| namespace.name() != Some("xml"))
            .map(|namespace| (namespace.name(), namespace.uri()));
        EditScope { span: self.span(), namespaces: self.scopes.list(declared) }
    }

    /// Returns its child elements in document order.
    pub fn children(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let scopes = self.scopes;
        let elements = self.node.children().filter(roxmltree::Node::is_element);
        elements.enumerate().map(move |(index, node)| Node { node, index, scopes })
    }

    /// Returns its child elements of this name that are in no namespace.
    pub fn children_named(&self, name: &'static str) -> impl Iterator<Item = Node<'t>> + use<'t> {
        self.children().filter(move |child| child.is(name))
    }

    /// Returns the span of its last child that is not text.
    pub fn last_child_span(&self) -> Option<Span> {
        let mut children = self.node.children().rev();
        children.find(|node| !node.is_text()).map(|node| node.range().into())
    }

    /// Returns the attribute of this name, without a prefix.
    pub fn attribute(&self, name: &str) -> Option<Attribute<'t>> {
        let attribute = self.node.attributes().find(|a| a.namespace().is_none() && a.name() == name)?;
        let name: Span = attribute.range_qname().into();
        let before = self.text()[..name.start].trim_end_matches(is_xml_space).len();
        Some(Attribute {
            value: attribute.value(),
            span: attribute.range_value().into(),
            name,
            whole: Span::new(before, attribute.range().end),
        })
    }

    /// Returns the attributes without a prefix, by name and value.
    pub fn attributes(&self) -> impl Iterator<Item = (&'t str, &'t str)> {
        let unprefixed = self.node.attributes().filter(|attribute| attribute.namespace().is_none());
        unprefixed.map(|attribute| (attribute.name(), attribute.value()))
    }

    /// Returns the values of all attributes of this local name, in document order, whatever their prefixes.
    ///
    /// libvirt takes the first (`xmlGetProp`).
    pub fn values_of(&self, local_name: &str) -> impl Iterator<Item = &'t str> {
        self.node
            .attributes()
            .filter(move |attribute| attribute.name() == local_name)
            .map(|attribute| attribute.value())
    }

    /// Returns the first attribute in a namespace that libvirt may take for another one: its local name is one of `names`,
    /// or that of another attribute.
    pub fn look_alike(&self, names: &[&str]) -> Option<LookAlike> {
        let is_ambiguous = |name: &str| names.contains(&name) || self.values_of(name).nth(1).is_some();
        let mut prefixed = self.node.attributes().filter(|attribute| attribute.namespace().is_some());
        let found = prefixed.find(|attribute| is_ambiguous(attribute.name()))?;
        let span = Span::from(found.range_qname());
        Some(LookAlike { name: abridged(span.of(self.text())), local_name: abridged(found.name()), span })
    }

    /// Returns its text content, without comments and surrounding whitespace.
    pub fn text_content(&self) -> String {
        let pieces = self.node.children().filter(roxmltree::Node::is_text).filter_map(|node| node.text());
        pieces.collect::<String>().trim_matches(is_xml_space).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Tree<'_>, Malformed> {
        Tree::parse(text)
    }

    #[test]
    fn an_error_has_the_right_place_after_a_byte_order_mark_and_wide_characters() {
        for before in ["", "\u{feff}", "<!-- ä -->\r\n", "\u{feff}<!-- ä -->"] {
            let text = format!("{before}<a>ä</b>");
            let Err(error) = parse(&text) else { panic!("{text:?} was accepted") };
            assert_eq!(error.span.of(&text), "<", "{text:?}: {error:?}");
            assert!(text[error.span.start..].starts_with("</b>"), "{text:?}: {error:?}");
        }
    }

    #[test]
    fn elements_have_the_spans_of_their_tags_and_content() {
        let text = "<r a='>' ><b c=\"/>\"/><d ></d><![CDATA[]]></r>";
        let tree = parse(text).unwrap_or_else(|error| panic!("{error:?}"));
        let root = tree.root().element();
        assert_eq!(root.start_tag.of(text), "<r a='>' >");
        assert_eq!(root.content.map(|span| span.of(text)), Some("<b c=\"/>\"/><d ></d><![CDATA[]]>"));
        let children: Vec<_> = tree.root().children().map(|child| child.element()).collect();
        assert_eq!(children.iter().map(|e| (e.name.of(text), e.index)).collect::<Vec<_>>(), [("b", 0), ("d", 1)]);
        assert_eq!(children[0].content, None);
        assert_eq!(children[1].content, Some(Span::at(text.find("</d>").unwrap())));
    }

    #[test]
    fn an_attribute_looks_like_another_by_its_local_name() {
        let look_alike = |attributes: &str| {
            let text = format!("<r xmlns:p='u' xmlns:q='v' {attributes}/>");
            let tree = parse(&text).unwrap_or_else(|error| panic!("{error:?}"));
            tree.root().look_alike(&["type", "model"]).map(|found| found.name)
        };
        assert_eq!(look_alike("type='' model='' other='' p:another='' xml:lang=''"), None);
        assert_eq!(look_alike("p:type='' type=''").as_deref(), Some("p:type"));
        assert_eq!(look_alike("type='' p:a='' p:model=''").as_deref(), Some("p:model"));
        assert_eq!(look_alike("a='' q:a=''").as_deref(), Some("q:a"));
        assert_eq!(look_alike("q:a='' p:a=''").as_deref(), Some("q:a"));
    }

    #[test]
    fn text_is_joined_over_comments_and_cdata() {
        let text = "<r> nvi<!-- x -->dia<![CDATA[-6]]>3&#x20;\n</r>";
        let tree = parse(text).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(tree.root().text_content(), "nvidia-63");
    }
}
