//! Where the elements of a document are in its text.

use std::cell::RefCell;
use std::sync::Arc;

use crate::text::Span;

/// Where an element and its tags are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The whole element.
    pub span: Span,
    /// Its start tag, or the whole element if it is `<x/>`.
    pub start_tag: Span,
    /// Its name in the start tag, prefix included.
    pub name: Span,
    /// Its content; `None` if it is `<x/>`.
    pub content: Option<Span>,
    /// Its number among the elements of its parent, from 0.
    pub index: usize,
}

impl Element {
    /// Returns its prefix with the colon, or an empty string.
    pub fn prefix<'a>(&self, text: &'a str) -> &'a str {
        let name = self.name.of(text);
        name.find(':').map_or("", |colon| &name[..=colon])
    }
}

/// An element that contains edits, with what a parser needs to read it by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditScope {
    /// The element.
    pub span: Span,
    /// The namespaces that are declared around it.
    pub namespaces: Namespaces,
}

/// The namespaces in scope at a place, as prefixes (`None` for the default namespace) and URIs.
///
/// Edit scopes with the same namespaces share one list.
pub type Namespaces = Arc<[(Option<String>, String)]>;

/// Creates the lists of namespaces, so that neighboring elements with the same namespaces share one: a URI may have a megabyte.
#[derive(Default)]
pub(super) struct Scopes {
    last: RefCell<Namespaces>,
}

impl Scopes {
    /// Returns the list of these declarations, given as prefixes and URIs.
    pub fn list<'t>(&self, declared: impl Iterator<Item = (Option<&'t str>, &'t str)>) -> Namespaces {
        let declared = declared.map(|(prefix, uri)| (prefix.map(str::to_owned), uri.to_owned())).collect();
        let mut last = self.last.borrow_mut();
        if *last != declared {
            *last = declared;
        }
        Arc::clone(&last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_share_a_list_only_if_they_have_the_same_namespaces() {
        let scopes = Scopes::default();
        let list = |declared: &[(Option<&'static str>, &'static str)]| scopes.list(declared.iter().copied());
        let first = list(&[(Some("a"), "urn:a")]);
        assert_eq!(*first, [(Some("a".to_owned()), "urn:a".to_owned())]);
        assert!(Arc::ptr_eq(&first, &list(&[(Some("a"), "urn:a")])));
        for declared in [&[][..], &[(None, "urn:a")], &[(Some("a"), "urn:b")], &[(Some("a"), "urn:a"); 2]] {
            assert_ne!(first, list(declared), "{declared:?}");
        }
    }
}
