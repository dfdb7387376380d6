//! The planned changes of one element, arranged as a tree like the elements that they are about.

use std::collections::BTreeMap;

use super::super::{Change, NewElement};

/// What is planned for an element and for those inside it.
#[derive(Debug, Default)]
pub(super) struct Changes<'a> {
    /// It is removed.
    pub is_removal: bool,
    /// It contains this text and nothing else.
    pub text: Option<&'a str>,
    /// Attributes that it has afterwards: name and value; an attribute without a value is removed.
    pub attributes: BTreeMap<&'a str, Option<&'a str>>,
    /// New elements in it, by how many of the original's elements come before them.
    pub added: BTreeMap<usize, Vec<&'a NewElement>>,
    /// Changes of the elements in it, by their number.
    pub children: BTreeMap<usize, Changes<'a>>,
}

impl<'a> Changes<'a> {
    /// No change.
    pub const NONE: Changes<'static> = Changes {
        is_removal: false,
        text: None,
        attributes: BTreeMap::new(),
        added: BTreeMap::new(),
        children: BTreeMap::new(),
    };

    /// Arranges changes that are given in document order; nothing where two contradict each other.
    pub fn of(changes: impl Iterator<Item = &'a Change>) -> Option<Self> {
        let mut root = Self::default();
        for change in changes {
            match change {
                Change::Add { parent, after, elements } => {
                    root.at(parent).added.entry(*after).or_default().extend(elements);
                }
                Change::SetText { element, value } => {
                    if root.at(element).text.replace(value).is_some() {
                        return None;
                    }
                }
                Change::SetAttributes { element, attributes } => {
                    let set = attributes.iter().map(|(name, value)| (*name, Some(value.as_str())));
                    root.at(element).change_attributes(set)?;
                }
                Change::RemoveAttribute { element, name } => {
                    root.at(element).change_attributes(std::iter::once((*name, None)))?;
                }
                Change::Remove { element } => root.at(element).is_removal = true,
            }
        }
        root.is_consistent().then_some(root)
    }

    fn at(&mut self, path: &[usize]) -> &mut Self {
        path.iter().fold(self, |changes, number| changes.children.entry(*number).or_default())
    }

    /// Nothing where an attribute is changed twice.
    fn change_attributes(&mut self, changes: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Option<()> {
        { changes }.all(|(name, value)| self.attributes.insert(name, value).is_none()).then_some(())
    }

    /// Whether nothing is planned inside an element that is removed or whose content is replaced.
    fn is_consistent(&self) -> bool {
        let has_inside = !self.added.is_empty() || !self.children.is_empty();
        let is_whole = self.is_removal || self.text.is_some();
        !(is_whole && has_inside) && self.children.values().all(Self::is_consistent)
    }

    /// Whether elements are added to it or removed from it.
    pub fn adds_or_removes(&self) -> bool {
        !self.added.is_empty() || self.children.values().any(|child| child.is_removal)
    }
}
