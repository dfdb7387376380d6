//! Reads an element with xmltree, the second parser, tag by tag.

use std::collections::BTreeMap;
use std::vec;

use xmltree::{Element, ParserConfig, XMLNode};

use super::super::new_element::{NewElement, escape_attribute};
use crate::domain::{EditScope, with_common_names};

/// What comes next in a text.
#[derive(Debug)]
pub(super) enum Token {
    /// A start tag.
    Start(Tag),
    /// An end tag, with what the element contains besides elements.
    End(Content),
}

/// A start tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub namespace: Option<String>,
    pub name: String,
    /// Values by local name: of attributes that differ only by their prefix, xmltree keeps one.
    pub attributes: BTreeMap<String, String>,
}

/// What an element contains besides elements.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub text: String,
    pub comments: Vec<String>,
    pub instructions: Vec<(String, Option<String>)>,
}

/// Iterates over the tags of one element, and frees what has been read.
pub(super) struct Reader {
    /// The element, until its start tag has been read.
    root: Option<Element>,
    /// The rest of the open elements, and their content so far.
    open: Vec<(vec::IntoIter<XMLNode>, Content)>,
}

impl Reader {
    /// Parses `text`, with the namespaces around it declared on a wrapper.
    ///
    /// # Errors
    /// The reason if the parser refuses the text, or the text is not one element.
    pub fn new(text: &str, scope: &EditScope) -> Result<Self, String> {
        let mut wrapped = "<wrapper".to_owned();
        for (prefix, uri) in scope.namespaces.iter() {
            let colon = if prefix.is_some() { ":" } else { "" };
            let prefix = prefix.as_deref().unwrap_or_default();
            wrapped.push_str(&format!(" xmlns{colon}{prefix}='{}'", escape_attribute(uri)));
        }
        wrapped.push('>');
        wrapped.push_str(text);
        wrapped.push_str("</wrapper>");
        let config =
            ParserConfig::new().ignore_comments(false).cdata_to_characters(true).whitespace_to_characters(true);
        let readable = with_common_names(&wrapped);
        let wrapper = Element::parse_with_config(readable.as_bytes(), config).map_err(|error| error.to_string())?;
        match <[XMLNode; 1]>::try_from(wrapper.children) {
            Ok([XMLNode::Element(element)]) => Ok(Self { root: Some(element), open: Vec::new() }),
            _ => Err("it is not one element".to_owned()),
        }
    }

    /// Returns the next tag, or `None` after the last.
    pub fn next(&mut self) -> Option<Token> {
        if let Some(root) = self.root.take() {
            return Some(self.enter(root));
        }
        let (rest, content) = self.open.last_mut()?;
        for node in rest {
            match node {
                XMLNode::Element(element) => return Some(self.enter(element)),
                XMLNode::Text(text) | XMLNode::CData(text) => content.text.push_str(&text),
                XMLNode::Comment(comment) => content.comments.push(comment),
                XMLNode::ProcessingInstruction(name, data) => content.instructions.push((name, data)),
            }
        }
        self.open.pop().map(|(_, content)| Token::End(content))
    }

    fn enter(&mut self, element: Element) -> Token {
        self.open.push((element.children.into_iter(), Content::default()));
        let attributes = element.attributes.into_iter().collect();
        Token::Start(Tag { namespace: element.namespace, name: element.name, attributes })
    }
}

impl From<&NewElement> for Tag {
    fn from(new: &NewElement) -> Self {
        let attributes = new.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self {
            namespace: new.namespace.map(str::to_owned),
            name: new.name.to_owned(),
            attributes: attributes.collect(),
        }
    }
}
