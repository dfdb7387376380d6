//! White space: how the neighbours are laid out, and how something new is laid out like them.

use memchr::memrchr;

use super::element::Element;
use crate::text::{Span, is_xml_space};

/// A place for new elements, and the white space that makes them look like what stands around them.
///
/// The new text is `head`, then each element preceded by `lead`, then `tail`. Where `lead` is empty all of it stands on one
/// line, and elements in a new element do so too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertionPoint {
    /// The bytes that give way: none, or the `/>` of an element that is opened.
    pub span: Span,
    /// How many elements stand before the place, in the same parent.
    pub after: usize,
    /// What comes first: the `>` of an element that is opened.
    pub head: String,
    /// Line ending and indentation before each element, or nothing.
    pub lead: String,
    /// What an element in a new element is indented by, beyond it.
    pub unit: String,
    /// What comes last: the end tag of an element that is opened, on a line of its own where it began one.
    pub tail: String,
}

/// The most blanks that are taken for indentation: it is written with each new element.
const MAX_INDENTATION: usize = 256;

/// How far back the beginning of a line is looked for: the line may be the whole document, and be asked for of each element.
const MAX_LINE_START: usize = 4096;

/// The line ending and the blanks before `offset`, where nothing else is before it on its line.
///
/// A line ends with LF or CR LF; a lone CR is not a line ending.
pub fn lead_of(text: &str, offset: usize) -> Option<&str> {
    let before = &text[..offset];
    let line = before.trim_end_matches([' ', '\t']);
    if before.len() - line.len() > MAX_INDENTATION {
        return None;
    }
    let line = line.strip_suffix('\n')?;
    let start = line.strip_suffix('\r').unwrap_or(line).len();
    Some(&before[start..])
}

/// The span with the white space that belongs to it: its line ending and indentation, or the blanks before it on its line.
pub fn with_lead(text: &str, span: Span) -> Span {
    let start = match lead_of(text, span.start) {
        Some(lead) => span.start - lead.len(),
        None => text[..span.start].trim_end_matches([' ', '\t']).len(),
    };
    Span::new(start, span.end)
}

/// What an element with this lead is indented by beyond the line on which its parent begins; nothing without a lead.
fn deeper(text: &str, lead: &str, parent: usize) -> String {
    let indentation = if lead.is_empty() { None } else { indentation(text, parent) };
    let deeper = indentation.and_then(|outer| lead.trim_start_matches(['\r', '\n']).strip_prefix(outer));
    deeper.unwrap_or_default().to_owned()
}

/// The blanks at the beginning of the line that holds `offset`; nothing where the line begins too far before it.
fn indentation(text: &str, offset: usize) -> Option<&str> {
    let from = offset.saturating_sub(MAX_LINE_START);
    let line = match memrchr(b'\n', &text.as_bytes()[from..offset]) {
        Some(at) => from + at + 1,
        None if from == 0 => 0,
        None => return None,
    };
    let rest = &text[line..];
    Some(&rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()])
}

impl InsertionPoint {
    /// The place after an element: what is new begins its line as the element does, after the blanks and comments that
    /// follow the element on its line. Behind an element that does not begin its line it follows directly.
    ///
    /// `parent` is where the element's parent begins.
    pub fn after(text: &str, sibling: Span, parent: usize, after: usize) -> Self {
        let lead = lead_of(text, sibling.start).unwrap_or_default();
        let offset = if lead.is_empty() { sibling.end } else { after_comments(text, sibling.end) };
        Self {
            span: Span::at(offset),
            after,
            head: String::new(),
            lead: lead.to_owned(),
            unit: deeper(text, lead, parent),
            tail: String::new(),
        }
    }

    /// The place before all that stands in `parent`, laid out like the first element there.
    pub fn first(text: &str, parent: &Element, sibling: Option<Span>) -> Self {
        let lead = sibling.and_then(|sibling| lead_of(text, sibling.start)).unwrap_or_default();
        Self {
            span: Span::at(parent.start_tag.end),
            after: 0,
            head: String::new(),
            lead: lead.to_owned(),
            unit: deeper(text, lead, parent.span.start),
            tail: String::new(),
        }
    }

    /// The place in an element that holds nothing but text.
    ///
    /// `<x/>` is opened, and where there is only white space what is new begins its lines, deeper by what `element` itself is
    /// deeper than its parent, which begins at `parent`. Words are followed directly: their layout is their own.
    pub fn inside(text: &str, element: &Element, parent: usize) -> Self {
        let outer = lead_of(text, element.span.start).unwrap_or_default();
        let unit = deeper(text, outer, parent);
        let lead = if outer.is_empty() { String::new() } else { format!("{outer}{unit}") };
        let opened = |span: Span, head: &str, tail: String| Self {
            span,
            after: 0,
            head: head.to_owned(),
            lead: lead.clone(),
            unit: unit.clone(),
            tail,
        };
        let Some(content) = element.content else {
            let name = element.name.of(text);
            return opened(Span::new(element.span.end - 2, element.span.end), ">", format!("{outer}</{name}>"));
        };
        let words = content.of(text).trim_end_matches(is_xml_space);
        let place = Span::at(content.start + words.len());
        if !words.is_empty() {
            return Self { lead: String::new(), ..opened(place, "", String::new()) };
        }
        let closes_its_line = content.of(text).contains('\n');
        opened(place, "", if closes_its_line { String::new() } else { outer.to_owned() })
    }
}

/// The offset after the blanks and comments that begin at `offset`, up to the end of the line or to anything else.
fn after_comments(text: &str, offset: usize) -> usize {
    let mut rest = text[offset..].trim_start_matches([' ', '\t']);
    while let Some(comment) = rest.strip_prefix("<!--") {
        let Some(end) = comment.find("-->") else { break };
        rest = comment[end + 3..].trim_start_matches([' ', '\t']);
    }
    text.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_a_line_ending_and_blanks_and_nothing_else() {
        assert_eq!(lead_of("<a>\n\t <b/>", 6), Some("\n\t "));
        assert_eq!(lead_of("<a>\r\n<b/>", 5), Some("\r\n"));
        assert_eq!(lead_of("<a>\r  <b/>", 6), None);
        assert_eq!(lead_of("<a>\n.<b/>", 5), None);
        assert_eq!(lead_of("  <a/>", 2), None);
    }

    #[test]
    fn what_is_taken_out_takes_its_own_white_space_along_and_no_more() {
        let taken = |text: &str| {
            let start = text.find("<x/>").unwrap();
            let span = with_lead(text, Span::new(start, start + 4));
            text[..span.start].to_owned() + &text[span.end..]
        };
        assert_eq!(taken("<a> \n  <x/>\n</a>"), "<a> \n</a>");
        assert_eq!(taken("<a>\r\n  <x/></a>"), "<a></a>");
        assert_eq!(taken("<a/><x/><b/>"), "<a/><b/>");
        assert_eq!(taken("<a/> <x/> <b/>"), "<a/> <b/>");
    }

    #[test]
    fn comments_and_blanks_on_the_line_stay_before_what_is_new() {
        let after = |text: &str| text[after_comments(text, 0)..].to_owned();
        assert_eq!(after(" \t<!-- a --> <!--b-->\t\n <c/>"), "\n <c/>");
        assert_eq!(after("  </source>"), "</source>");
        assert_eq!(after("<!-- never closed"), "<!-- never closed");
    }
}
