//! What the second parser finds in an element, tag by tag.

use std::collections::BTreeMap;

use xml::reader::{EventReader, ParserConfig, XmlEvent};

use super::super::new_element::{NewElement, escape_attribute};
use crate::domain::{Holder, with_common_names};

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
    /// Values by namespace and name.
    pub attributes: BTreeMap<(Option<String>, String), String>,
}

/// What an element contains besides elements.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub text: String,
    pub comments: Vec<String>,
    pub instructions: Vec<(String, Option<String>)>,
}

/// Reads one element.
pub(super) struct Reader {
    events: EventReader<std::io::Cursor<String>>,
    /// The content of the open elements so far, the wrapper's first.
    open: Vec<Content>,
}

impl Reader {
    /// Begins to read `text`, with the namespaces around it declared on a wrapper.
    ///
    /// # Errors
    /// What the parser says if it refuses the beginning.
    pub fn new(text: &str, holder: &Holder) -> Result<Self, String> {
        let mut wrapped = "<wrapper".to_owned();
        for (prefix, uri) in holder.namespaces.iter() {
            let colon = if prefix.is_some() { ":" } else { "" };
            let prefix = prefix.as_deref().unwrap_or_default();
            wrapped.push_str(&format!(" xmlns{colon}{prefix}='{}'", escape_attribute(uri)));
        }
        wrapped.push('>');
        wrapped.push_str(text);
        wrapped.push_str("</wrapper>");
        let config =
            ParserConfig::new().ignore_comments(false).cdata_to_characters(true).whitespace_to_characters(true);
        let readable = with_common_names(&wrapped).into_owned();
        let events = EventReader::new_with_config(std::io::Cursor::new(readable), config);
        let mut reader = Self { events, open: Vec::new() };
        match reader.token()? {
            Some(Token::Start(_)) => Ok(reader),
            _ => Err(NOT_ONE.to_owned()),
        }
    }

    /// Reads a text to its end.
    ///
    /// # Errors
    /// What the parser says if it refuses it.
    pub fn read_whole(text: &str, holder: &Holder) -> Result<(), String> {
        let mut reader = Self::new(text, holder)?;
        while !matches!(reader.next()?, Token::End(_)) || reader.open.len() > 1 {}
        reader.finish()
    }

    /// The next tag.
    ///
    /// # Errors
    /// What the parser says if it refuses the text.
    pub fn next(&mut self) -> Result<Token, String> {
        self.token()?.ok_or_else(|| NOT_ONE.to_owned())
    }

    /// Expects nothing more after the element.
    ///
    /// # Errors
    /// Where there is something, or the parser refuses it.
    pub fn finish(&mut self) -> Result<(), String> {
        match (self.token()?, self.token()?) {
            (Some(Token::End(beside)), None) if beside == Content::default() => Ok(()),
            _ => Err(NOT_ONE.to_owned()),
        }
    }

    fn token(&mut self) -> Result<Option<Token>, String> {
        loop {
            let event = self.events.next().map_err(|error| error.to_string())?;
            match event {
                XmlEvent::StartElement { name, attributes, .. } => {
                    self.open.push(Content::default());
                    let attributes = attributes
                        .into_iter()
                        .map(|attribute| ((attribute.name.namespace, attribute.name.local_name), attribute.value));
                    let attributes = attributes.collect();
                    return Ok(Some(Token::Start(Tag {
                        namespace: name.namespace,
                        name: name.local_name,
                        attributes,
                    })));
                }
                XmlEvent::EndElement { .. } => return Ok(self.open.pop().map(Token::End)),
                XmlEvent::EndDocument => return Ok(None),
                XmlEvent::StartDocument { .. } | XmlEvent::Doctype { .. } => {}
                XmlEvent::Characters(text) | XmlEvent::CData(text) | XmlEvent::Whitespace(text) => {
                    if let Some(content) = self.open.last_mut() {
                        content.text.push_str(&text);
                    }
                }
                XmlEvent::Comment(comment) => {
                    if let Some(content) = self.open.last_mut() {
                        content.comments.push(comment);
                    }
                }
                XmlEvent::ProcessingInstruction { name, data } => {
                    if let Some(content) = self.open.last_mut() {
                        content.instructions.push((name, data));
                    }
                }
            }
        }
    }
}

const NOT_ONE: &str = "it is not one element";

impl From<&NewElement> for Tag {
    fn from(new: &NewElement) -> Self {
        let attributes = new.attributes.iter().map(|(name, value)| ((None, (*name).to_owned()), value.clone()));
        Self {
            namespace: new.namespace.map(str::to_owned),
            name: new.name.to_owned(),
            attributes: attributes.collect(),
        }
    }
}
