//! An element to be written.

/// An element to be added. One description serves to write it and to verify what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewElement {
    /// Its prefix with the colon, or empty.
    pub prefix: String,
    /// Its name without the prefix.
    pub name: &'static str,
    /// The namespace that it is in.
    pub namespace: Option<&'static str>,
    /// Whether it declares that namespace for its prefix; otherwise an element around it does.
    pub declares_namespace: bool,
    /// Its attributes, without a prefix.
    pub attributes: Vec<(&'static str, String)>,
    /// Its content.
    pub content: NewContent,
}

/// The content of a new element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewContent {
    /// Text.
    Text(String),
    /// Elements.
    Elements(Vec<NewElement>),
}

impl NewElement {
    /// Returns an element that contains text, in no namespace.
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

    /// Returns an element that contains elements, in no namespace.
    pub fn holding(name: &'static str, elements: Vec<Self>) -> Self {
        Self { content: NewContent::Elements(elements), ..Self::text(name, String::new()) }
    }

    /// Writes it after `lead`, a line ending and the indentation; its children are indented by `unit` more.
    ///
    /// Without a `lead` it is written on one line.
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

/// Returns escaped text content. A CR becomes a reference, since a parser reads a bare one as a line ending.
pub fn escape_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;")
}

/// Returns an escaped attribute value.
pub fn escape_attribute(text: &str) -> String {
    escape_text(text).replace('\'', "&apos;").replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#9;")
}
