//! What the parser lets pass although it is no XML, so that nothing is taken that libvirt's parser refuses.
//!
//! One pass over the markup of a text that has been parsed, and so is XML but for these few things.

use super::glance::{Glance, begins_name};
use super::tree::NotXml;
use crate::text::{BOM, Span, is_xml_char, is_xml_space};

/// Looks for what the parser overlooks: the XML declaration's values, names of processing instructions, references to what is
/// no character, names that begin with a colon, and what the literals of a DOCTYPE hold.
///
/// # Errors
/// The first that there is.
pub(super) fn judge(text: &str, glance: &Glance) -> Result<(), NotXml> {
    if !(glance.has_references || glance.has_leading_colons || glance.has_instructions || glance.has_doctype) {
        return Ok(());
    }
    let judge = Judge { text, glance };
    let mut at = judge.declaration()?;
    // No attribute's value holds a `<`: each begins markup, or what is skipped here.
    while let Some(found) = text[at..].find('<') {
        let start = at + found;
        judge.references(Span::new(at, start))?;
        let rest = &text[start..];
        at = if rest.starts_with("<!--") {
            judge.behind(start + 4, "-->")
        } else if rest.starts_with("<![CDATA[") {
            judge.behind(start + 9, "]]>")
        } else if rest.starts_with("<?") {
            judge.instruction(start)?
        } else if rest.starts_with("<!") {
            judge.doctype(start)?
        } else {
            judge.tag(start)?;
            start + 1
        };
    }
    judge.references(Span::new(at, text.len()))
}

struct Judge<'a> {
    text: &'a str,
    /// So that a text is not searched, stretch by stretch, for what it does not have.
    glance: &'a Glance,
}

impl Judge<'_> {
    /// The offset behind the next `end` from `from` on, or the end of the text.
    fn behind(&self, from: usize, end: &str) -> usize {
        self.text[from..].find(end).map_or(self.text.len(), |found| from + found + end.len())
    }

    /// The XML declaration, production 23; its length, with the byte order mark before it.
    fn declaration(&self) -> Result<usize, NotXml> {
        let start = if self.text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
        let rest = &self.text[start..];
        let Some(inside) = rest.strip_prefix("<?xml").filter(|inside| inside.starts_with(is_xml_space)) else {
            return Ok(start);
        };
        let end = inside.find("?>").unwrap_or(inside.len());
        if !is_declaration(&inside[..end]) {
            let reason =
                "the XML declaration wants version='1.0', then encoding='…' and standalone='yes' or 'no' at most";
            return Err(not_xml(start, start + 5, reason));
        }
        Ok(self.behind(start, "?>"))
    }

    /// A processing instruction, productions 16 and 17; the offset behind it.
    fn instruction(&self, start: usize) -> Result<usize, NotXml> {
        let end = self.behind(start + 2, "?>");
        let inside = &self.text[start + 2..end - 2];
        let target = inside.split(is_xml_space).next().unwrap_or_default();
        if target.eq_ignore_ascii_case("xml") {
            return Err(not_xml(start, start + 2 + target.len(), "an XML declaration stands only at the very start"));
        }
        match target.char_indices().find(|(_, character)| !is_name_char(*character)) {
            Some((at, wrong)) => {
                let at = start + 2 + at;
                Err(not_xml(at, at + wrong.len_utf8(), "a space is missing behind the instruction's name"))
            }
            None => Ok(end),
        }
    }

    /// The literals of a DOCTYPE without an internal subset, productions 11 to 13; the offset behind it.
    fn doctype(&self, start: usize) -> Result<usize, NotXml> {
        let name = self.text[start + "<!DOCTYPE".len()..].trim_start_matches(is_xml_space);
        let identifiers = name.trim_start_matches(|c| !is_xml_space(c) && c != '>');
        // Of a public identifier's two literals the first may hold less.
        let mut is_public = identifiers.trim_start_matches(is_xml_space).starts_with("PUBLIC");
        let mut at = self.text.len() - identifiers.len();
        while let Some(found) = self.text[at..].find(['"', '\'', '>']) {
            at += found + 1;
            let end = match self.text.as_bytes()[at - 1] {
                b'>' => return Ok(at),
                b'"' => self.behind(at, "\""),
                _ => self.behind(at, "'"),
            };
            let allowed = if is_public { is_public_id_char } else { is_xml_char };
            let wrong = self.text[at..end - 1].char_indices().find(|(_, character)| !allowed(*character));
            if let Some((offset, character)) = wrong {
                let wrong = Span::new(at + offset, at + offset + character.len_utf8());
                return Err(not_xml(wrong.start, wrong.end, "this cannot stand in a DOCTYPE's identifier"));
            }
            is_public = false;
            at = end;
        }
        Ok(self.text.len())
    }

    /// A tag: no name in it begins with a colon, which no name does in Namespaces in XML, and which the parser drops, so that
    /// it takes `:uuid` for `uuid`, as libvirt does not.
    fn tag(&self, start: usize) -> Result<(), NotXml> {
        if !self.glance.has_leading_colons {
            return Ok(());
        }
        let mut quote = None;
        let mut before = b'<';
        for (offset, &byte) in self.text.as_bytes().iter().enumerate().skip(start + 1) {
            match (quote, byte) {
                (Some(open), _) if byte == open => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'>') => break,
                (None, b':') if begins_name(before) => {
                    return Err(not_xml(offset, offset + 1, "a name begins with a colon"));
                }
                (None, _) => {}
            }
            before = byte;
        }
        Ok(())
    }

    /// The references in a stretch of text and tags: each number is that of a character, production 66.
    fn references(&self, stretch: Span) -> Result<(), NotXml> {
        if !self.glance.has_references {
            return Ok(());
        }
        for (offset, _) in stretch.of(self.text).match_indices("&#") {
            let start = stretch.start + offset;
            let end = self.behind(start, ";");
            let number = &self.text[start + 2..end - 1];
            let number = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            if !number.is_ok_and(|number| char::from_u32(number).is_some_and(is_xml_char)) {
                return Err(not_xml(start, end, "this refers to no character"));
            }
        }
        Ok(())
    }
}

fn not_xml(start: usize, end: usize, reason: &str) -> NotXml {
    NotXml { span: Span::new(start, end), reason: reason.to_owned() }
}

/// Whether this is what may stand between `<?xml` and `?>`.
fn is_declaration(inside: &str) -> bool {
    let Some((version, rest)) = pseudo_attribute(inside, "version") else { return false };
    // XML 1.0 of the fifth edition reads any 1.x, and so does libvirt's parser.
    let is_version =
        version.strip_prefix("1.").is_some_and(|minor| !minor.is_empty() && all(minor, |b| b.is_ascii_digit()));
    let (encoding, rest) = pseudo_attribute(rest, "encoding").unwrap_or(("UTF-8", rest));
    let is_encoding = encoding.starts_with(|c: char| c.is_ascii_alphabetic())
        && all(encoding, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let (standalone, rest) = pseudo_attribute(rest, "standalone").unwrap_or(("no", rest));
    is_version && is_encoding && matches!(standalone, "yes" | "no") && rest.chars().all(is_xml_space)
}

fn all(text: &str, holds: impl Fn(u8) -> bool) -> bool {
    text.bytes().all(holds)
}

/// The value of ` name = 'value'` at the start, and what follows.
fn pseudo_attribute<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let rest = text.starts_with(is_xml_space).then(|| text.trim_start_matches(is_xml_space))?;
    let rest = rest.strip_prefix(name)?.trim_start_matches(is_xml_space);
    let rest = rest.strip_prefix('=')?.trim_start_matches(is_xml_space);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest[1..].split_once(quote)
}

/// What a name may hold, productions 4 and 4a (`NameChar`); where it begins the parser has seen to what may begin it.
fn is_name_char(character: char) -> bool {
    matches!(character,
        ':' | '_' | '-' | '.' | 'A'..='Z' | 'a'..='z' | '0'..='9' | '\u{b7}' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
        | '\u{f8}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}' | '\u{200d}' | '\u{203f}' | '\u{2040}'
        | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}'
        | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}'
    )
}

/// What a public identifier may hold, production 13 (`PubidChar`).
fn is_public_id_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || " \r\n-'()+,./:=?;!*#@$_%".contains(character)
}

#[cfg(test)]
mod tests {
    use super::super::glance::Glance;
    use super::super::tree::Tree;

    /// What is marked in a text that is refused; nothing if it is taken.
    fn marked(text: &str) -> Option<String> {
        Tree::parse(text, &Glance::over(text)).err().map(|error| error.span.of(text).to_owned())
    }

    fn assert_refused(texts: &[&str]) {
        for text in texts {
            assert!(marked(text).is_some(), "{text:?} was taken");
        }
    }

    fn assert_taken(texts: &[&str]) {
        for text in texts {
            assert_eq!(marked(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_reference_to_no_character_is_refused() {
        assert_refused(&[
            "<a>&#xD800;</a>",
            "<a b='&#x110000;'/>",
            "<a>&#0;</a>",
            "<a>&#xFFFE;</a>",
            "<a>&#99999999999;</a>",
        ]);
        assert_eq!(marked("<a>&#65;<b/>x&#xDFFF;</a>").as_deref(), Some("&#xDFFF;"));
        assert_taken(&[
            "<a b='&#10;'>&#x10FFFF;</a>",
            "<!--&#0;--><a><![CDATA[&#0;]]><?p &#0;?></a><?p &#xD800?>",
            "<!DOCTYPE a SYSTEM '&#0;'><a/>",
        ]);
    }

    #[test]
    fn a_name_that_begins_with_a_colon_is_refused() {
        assert_refused(&["<:a/>", "<a></:a>", "<:a></a>", "<a :b=''/>", "<a c=' :d'\n:b=''/>", "<a :xmlns='u'/>"]);
        assert_taken(&["<a b=' :c' d='/:'> :e /:f <!-- <:g/> --><?p :h?></a>", "<p:a xmlns:p = 'u'\tp:b=''/>"]);
    }

    #[test]
    fn an_instruction_that_is_a_late_declaration_or_has_no_space_is_refused() {
        assert_refused(&[
            "\n<?xml version='1.0'?><a/>",
            "\n<?xml\tversion='1.0'?><a/>",
            "<a><?XML x?></a>",
            "<a/><?xml?>",
            "<?xml?><a/>",
            "<?a??><a/>",
            "<?a?b?><a/>",
            "<?a%b c?><a/>",
            "<?a<b?><a/>",
            "<a><?a\u{a0}b?></a>",
            "<a><?a\u{2028}?></a>",
        ]);
        assert_taken(&[
            "<?xml-stylesheet x?><a><?x?><?x ??><?x y?z?></a>",
            "<?xmlx?><a/>",
            "<?ä-.·1\u{300}\u{10000}:?><a/>",
            "<a/><?x  xml?>",
        ]);
    }

    #[test]
    fn a_declaration_with_other_values_than_xml_allows_is_refused() {
        let declared = |inside: &str| format!("<?xml{inside}?><a/>");
        for inside in [
            " version='2.0'",
            " version='1.'",
            " version='x'",
            " version='1.0' standalone='maybe'",
            " version='1.0' encoding=''",
            " version='1.0' encoding='a b'",
            " version='1.0' encoding='8'",
            "\tencoding='UTF-8'",
            "\tversion='1.0' foo='x'",
            "\n",
        ] {
            assert!(marked(&declared(inside)).is_some(), "{inside:?} was taken");
            assert!(marked(&format!("\u{feff}{}", declared(inside))).is_some(), "{inside:?} was taken behind a BOM");
        }
        for inside in [
            " version='1.0'",
            "\nversion = \"1.1\" ",
            " version='1.0' encoding='ISO-8859-1' standalone='yes'",
            "\tversion='1.0'\tstandalone='no'\t",
        ] {
            assert_eq!(marked(&declared(inside)), None, "{inside:?}");
            assert_eq!(marked(&format!("\u{feff}{}", declared(inside))), None, "{inside:?} behind a BOM");
        }
    }

    #[test]
    fn a_doctype_whose_identifiers_hold_what_xml_cannot_is_refused() {
        assert_refused(&[
            "<!DOCTYPE a SYSTEM '\u{1}'><a/>",
            "<!DOCTYPE a PUBLIC '{' 'x'><a/>",
            "<!DOCTYPE a PUBLIC 'x' '\u{1f}'><a/>",
            "<!DOCTYPE a PUBLIC \"\t\" 'x'><a/>",
        ]);
        assert_taken(&[
            "<!DOCTYPE a SYSTEM '{>ä'><a/>",
            "<!DOCTYPE PUBLIC SYSTEM '{'><PUBLIC/>",
            "<!DOCTYPE a PUBLIC \"-//x'y//EN\" '{\u{7f}'><a/>",
        ]);
    }
}
