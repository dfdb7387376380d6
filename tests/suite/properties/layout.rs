//! Lays out a generated document, with all variations that do not change its content.

use super::content::{Element, Node};
use super::tape::Tape;

/// Lays out documents.
pub struct Layout<'t> {
    tape: Tape<'t>,
    line_ending: &'static str,
    /// The indentation of a level; `None` if everything is on one line.
    unit: Option<&'static str>,
    text: String,
}

/// Returns the document as text. An empty tape lays it out as libvirt does.
pub fn lay_out(document: &Element, tape: &[u8]) -> String {
    let mut tape = Tape::new(tape);
    let bom = if tape.once_in(4) { "\u{feff}" } else { "" };
    let line_ending = tape.pick(&["\n", "\n", "\r\n"]);
    let unit = tape.pick(&[Some("  "), Some("  "), Some("\t"), Some("    "), Some(""), None]);
    let mut layout = Layout { tape, line_ending, unit, text: bom.to_owned() };
    layout.prolog();
    layout.element(document, 0);
    if !layout.tape.once_in(4) {
        layout.text.push_str(line_ending);
    }
    if layout.tape.once_in(8) {
        layout.text.push_str("<!-- the end -->");
    }
    layout.text
}

impl Layout<'_> {
    fn prolog(&mut self) {
        let prolog = [
            "",
            "",
            "<?xml version='1.0'?>",
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>",
            "<!DOCTYPE domain SYSTEM 'a[b].dtd'>",
            "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->",
        ];
        let prolog = self.tape.pick(&prolog);
        if !prolog.is_empty() {
            self.text.push_str(&prolog.replace('\n', self.line_ending));
            self.text.push_str(self.line_ending);
        }
    }

    fn element(&mut self, element: &Element, depth: usize) {
        self.text.push('<');
        self.text.push_str(&element.name);
        let mut attributes: Vec<_> = element.attributes.iter().collect();
        if !attributes.is_empty() {
            let rotated = self.tape.below(attributes.len());
            attributes.rotate_left(rotated);
        }
        for (name, value) in attributes {
            self.attribute(name, value, depth);
        }
        if self.tape.once_in(16) {
            self.text.push(' ');
        }
        if element.children.is_empty() && !self.tape.once_in(4) {
            self.text.push_str("/>");
            return;
        }
        self.text.push('>');
        let holds_elements = element.children.iter().any(|child| matches!(child, Node::Element(_)));
        for child in &element.children {
            if holds_elements {
                self.between(depth + 1);
            }
            match child {
                Node::Element(element) => self.element(element, depth + 1),
                Node::Text(text) => self.text_content(text),
            }
            if holds_elements && self.tape.once_in(8) {
                self.text.push_str("  <!-- after -->\t");
            }
        }
        if holds_elements {
            if self.tape.once_in(8) {
                self.between(depth + 1);
                self.text.push_str("<!-- last -->");
            }
            // The end tag is sometimes on the line of the last element.
            if !self.tape.once_in(8) {
                self.line(depth);
            }
        } else if self.tape.once_in(16) {
            self.text.push_str("<!-- beside -->");
        }
        self.text.push_str("</");
        self.text.push_str(&element.name);
        self.text.push('>');
    }

    fn attribute(&mut self, name: &str, value: &str, depth: usize) {
        match self.tape.below(16) {
            14 => self.text.push_str("  "),
            15 => self.line(depth + 2),
            _ => self.text.push(' '),
        }
        // Attributes need whitespace before them even if lines are not broken.
        if !self.text.ends_with([' ', '\t', '\n']) {
            self.text.push(' ');
        }
        let quote = if self.tape.once_in(3) { '"' } else { '\'' };
        self.text.push_str(name);
        self.text.push_str(if self.tape.once_in(16) { " = " } else { "=" });
        self.text.push(quote);
        // Some parsers compare namespaces without resolving references, so declarations have none.
        let is_plain = name.starts_with("xmlns");
        for character in value.chars() {
            self.character(character, is_plain);
        }
        self.text.push(quote);
    }

    fn character(&mut self, character: char, is_plain: bool) {
        match character {
            '&' => self.text.push_str("&amp;"),
            '<' => self.text.push_str("&lt;"),
            '\'' => self.text.push_str("&apos;"),
            '"' => self.text.push_str("&quot;"),
            '>' => self.text.push_str("&gt;"),
            '\r' | '\n' | '\t' => self.text.push_str(&format!("&#{};", u32::from(character))),
            _ if !is_plain && self.tape.once_in(64) => self.text.push_str(&format!("&#x{:x};", u32::from(character))),
            _ => self.text.push(character),
        }
    }

    fn text_content(&mut self, text: &str) {
        match self.tape.below(16) {
            13 if !text.contains("]]>") && !text.contains('\r') => {
                self.text.push_str(&format!("<![CDATA[{text}]]>"));
            }
            14 => {
                self.text.push_str("<!-- before -->");
                text.chars().for_each(|character| self.character(character, false));
            }
            15 => {
                let middle = text.chars().count() / 2;
                for (at, character) in text.chars().enumerate() {
                    if at == middle {
                        self.text.push_str("<!-- in the middle -->");
                    }
                    self.character(character, false);
                }
            }
            _ => text.chars().for_each(|character| self.character(character, false)),
        }
    }

    /// Writes what comes before a child among elements.
    fn between(&mut self, depth: usize) {
        match self.tape.below(24) {
            20 => {
                self.line(depth);
                self.text.push_str("<!-- <hostdev type='mdev'> -->");
            }
            21 => {
                self.line(depth);
                self.text.push_str("<?keep this?>");
            }
            // An empty line.
            22 => self.text.push_str(self.line_ending),
            // Not on a new line.
            23 => return,
            _ => {}
        }
        self.line(depth);
    }

    fn line(&mut self, depth: usize) {
        if let Some(unit) = self.unit {
            self.text.push_str(self.line_ending);
            (0..depth).for_each(|_| self.text.push_str(unit));
        }
    }
}
