//! An element of a document by its places in the text.

use std::cell::RefCell;
use std::sync::Arc;

use crate::text::Span;

/// Where an element and its tags are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// All of it.
    pub span: Span,
    /// Its start tag, or all of it if it is `<x/>`.
    pub start_tag: Span,
    /// Its name in the start tag, prefix included.
    pub name: Span,
    /// Its content; nothing if it is `<x/>`.
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

/// An element that contains edits, with what a parser needs to read it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditScope {
    /// The element.
    pub span: Span,
    /// The namespaces that are declared around it.
    pub namespaces: Namespaces,
}

/// The namespaces in scope at a place: prefix (none for the default namespace) and URI. Holders in the same scope share one
/// list.
pub type Namespaces = Arc<[(Option<String>, String)]>;

/// Makes the lists of namespaces, one for all neighboring elements in the same scope.
#[derive(Default)]
pub(super) struct Scopes {
    /// The last list, and where the parser keeps its URIs.
    last: RefCell<Option<(Vec<*const u8>, Namespaces)>>,
}

impl Scopes {
    /// Returns the list of these declarations, prefixes and URIs, which are kept as long as this.
    ///
    /// URIs are compared by address, since one may have a megabyte; the parser keeps a declaration once, however many
    /// elements are in its scope.
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
    fn elements_in_the_same_scope_share_one_list_and_others_do_not() {
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
