//! An element of a document by its places in the text.

use crate::text::Span;

/// Where an element and its tags stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// All of it.
    pub span: Span,
    /// Its start tag, or all of it where it is `<x/>`.
    pub start_tag: Span,
    /// Its name in the start tag, prefix included.
    pub name: Span,
    /// What stands between its tags; nothing where it is `<x/>`.
    pub content: Option<Span>,
    /// Its number among the elements in its parent, from 0.
    pub index: usize,
}

impl Element {
    /// Its prefix with the colon, or nothing.
    pub fn prefix<'a>(&self, text: &'a str) -> &'a str {
        let name = self.name.of(text);
        name.find(':').map_or("", |colon| &name[..=colon])
    }
}

/// An element that holds edits, with what a parser must know to read it by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The element.
    pub span: Span,
    /// The namespaces that are declared around it: prefix (none is the default one) and URI.
    pub namespaces: Vec<(Option<String>, String)>,
}
