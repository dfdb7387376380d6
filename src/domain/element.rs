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

/// Creates the lists of namespaces, so that neighboring elements with the same namespaces share one.
#[derive(Default)]
pub(super) struct Scopes {
    /// The last list, and where the parser keeps its URIs.
    last: RefCell<Option<(Vec<*const u8>, Namespaces)>>,
}

impl Scopes {
    /// Returns the list of these declarations, given as prefixes and URIs.
    ///
    /// URIs are compared by address, since one may have a megabyte, so the parser's document must outlive this. The parser
    /// stores a declaration once, however many elements are in its scope.
    pub fn list<'t>(&self, declared: impl Iterator<Item = (Option<&'t str>, &'t str)>) -> Namespaces {
        let declared: Vec<_> = declared.collect();
        let addresses: Vec<_> = declared.iter().map(|(_, uri)| uri.as_ptr()).collect();
        let mut last = self.last.borrow_mut();
        if let Some((known, list)) = &*last {
            let prefixes = list.iter().map(|(prefix, _)| prefix.as_deref());
            if *known == addresses && prefixes.eq(declared.iter().map(|(prefix, _)| *prefix)) {
                return Arc::clone(list);
            }
        }
        let list: Namespaces =
            declared.iter().map(|(prefix, uri)| (prefix.map(str::to_owned), (*uri).to_owned())).collect();
        *last = Some((addresses, Arc::clone(&list)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_share_a_list_only_if_they_have_the_same_namespaces() {
        let (uri, other) = ("urn:a".to_owned(), "urn:a".to_owned());
        let scopes = Scopes::default();
        let first = scopes.list([(Some("a"), &*uri)].into_iter());
        assert_eq!(*first, [(Some("a".to_owned()), uri.clone())]);
        assert!(Arc::ptr_eq(&first, &scopes.list([(Some("a"), &*uri)].into_iter())));
        for declared in [vec![], vec![(None, &*uri)], vec![(Some("a"), &*other)], vec![(Some("a"), &*uri); 2]] {
            assert!(!Arc::ptr_eq(&first, &scopes.list(declared.iter().copied())), "{declared:?}");
        }
    }
}
