//! The planned changes of one element, arranged as a tree like the elements that they change.

use std::collections::BTreeMap;

use super::super::{Change, NewElement};

/// What is planned for an element and for those inside it.
#[derive(Debug, Default)]
pub(super) struct Changes<'a> {
    /// Whether it is removed.
    pub is_removal: bool,
    /// The text that becomes its only content.
    pub text: Option<&'a str>,
    /// Its new attributes by name; an attribute without a value is removed.
    pub attributes: BTreeMap<&'a str, Option<&'a str>>,
    /// New children, by how many of the original's children come before them.
    pub added: BTreeMap<usize, Vec<&'a NewElement>>,
    /// Changes of its children, by their number.
    pub children: BTreeMap<usize, Changes<'a>>,
}

impl<'a> Changes<'a> {
    /// Arranges changes that are given in document order. Returns `None` if two contradict each other.
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

    /// Adds changes of attributes. Returns `None` if one is changed twice.
    fn change_attributes(&mut self, changes: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Option<()> {
        { changes }.all(|(name, value)| self.attributes.insert(name, value).is_none()).then_some(())
    }

    /// Whether nothing is planned inside an element that is removed or whose content is replaced.
    fn is_consistent(&self) -> bool {
        let has_inside = !self.added.is_empty() || !self.children.is_empty();
        let is_whole = self.is_removal || self.text.is_some();
        !(is_whole && has_inside) && self.children.values().all(Self::is_consistent)
    }

    /// Whether children are added or removed.
    pub fn adds_or_removes(&self) -> bool {
        !self.added.is_empty() || self.children.values().any(|child| child.is_removal)
    }
}
