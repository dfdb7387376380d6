//! An element to be written.

/// An element that is not there yet: said once, for the bytes and for the reader that checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewElement {
    /// Its prefix with the colon, or nothing.
    pub prefix: String,
    /// Its name without the prefix.
    pub name: &'static str,
    /// The namespace that it is in.
    pub namespace: Option<&'static str>,
    /// Whether it declares that namespace for its prefix; else one around it does.
    pub declares_namespace: bool,
    /// Its attributes, without a prefix.
    pub attributes: Vec<(&'static str, String)>,
    /// What stands between its tags.
    pub content: NewContent,
}

/// What stands between the tags of a new element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewContent {
    /// Text.
    Text(String),
    /// Elements.
    Elements(Vec<NewElement>),
}

impl NewElement {
    /// An element that holds text, in no namespace.
    pub fn text(name: &'static str, text: String) -> Self {
        Self {
            prefix: String::new(),
            name,
            namespace: None,
            declares_namespace: false,
            attributes: Vec::new(),
            content: NewContent::Text(text),
        }
    }

    /// An element that holds elements, in no namespace.
    pub fn holding(name: &'static str, elements: Vec<Self>) -> Self {
        Self { content: NewContent::Elements(elements), ..Self::text(name, String::new()) }
    }

    /// Writes it behind `lead`, a line ending and the indentation; elements in it are indented by `unit` more.
    ///
    /// Without a `lead` all of it stands on one line.
    pub fn write(&self, lead: &str, unit: &str, into: &mut String) {
        let Self { prefix, name, .. } = self;
        into.push_str(lead);
        into.push_str(&format!("<{prefix}{name}"));
        if let Some(namespace) = self.namespace.filter(|_| self.declares_namespace) {
            let declared =
                prefix.strip_suffix(':').map_or_else(|| "xmlns".to_owned(), |prefix| format!("xmlns:{prefix}"));
            into.push_str(&format!(" {declared}='{}'", escape_attribute(namespace)));
        }
        for (attribute, value) in &self.attributes {
            into.push_str(&format!(" {attribute}='{}'", escape_attribute(value)));
        }
        into.push('>');
        match &self.content {
            NewContent::Text(text) => into.push_str(&escape_text(text)),
            NewContent::Elements(elements) => {
                let deeper = if lead.is_empty() { String::new() } else { format!("{lead}{unit}") };
                elements.iter().for_each(|element| element.write(&deeper, unit, into));
                into.push_str(lead);
            }
        }
        into.push_str(&format!("</{prefix}{name}>"));
    }
}

/// Text as it stands between tags. A reader takes a bare CR for a line ending, so that is a reference.
pub fn escape_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;")
}

/// Text as it stands between the quotes of an attribute.
pub fn escape_attribute(text: &str) -> String {
    escape_text(text).replace('\'', "&apos;").replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#9;")
}
