//! Where new elements are inserted, and the whitespace that lays them out like their neighbors.

use memchr::memrchr;

use super::element::Element;
use crate::text::{Span, is_xml_space};

/// A place for new elements, and the whitespace that lays them out like their neighbors.
///
/// The new text is `head`, then each element preceded by `lead`, then `tail`. If `lead` is empty, all of it is on one line,
/// including the children of the new elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertionPoint {
    /// The bytes that are replaced: none, or the `/>` of an element that is opened.
    pub span: Span,
    /// How many elements of the same parent come before the place.
    pub after: usize,
    /// What comes first: the `>` of an element that is opened.
    pub head: String,
    /// Line ending and indentation before each element, or empty.
    pub lead: String,
    /// The additional indentation of the children of a new element.
    pub unit: String,
    /// What comes last: the end tag of an element that is opened, on its own line if the element begins a line.
    pub tail: String,
}

/// The longest indentation that is copied: it is written again with each new element.
const MAX_INDENTATION: usize = 256;

/// How far back the beginning of a line is searched for: the line may be the whole document, and each element searches it.
const MAX_LINE_START: usize = 4096;

/// Returns the line ending and the indentation before `offset`, if nothing else is before it on its line.
///
/// A line ends with LF or CR LF; a lone CR is not a line ending.
fn lead_of(text: &str, offset: usize) -> Option<&str> {
    let before = &text[..offset];
    let line = before.trim_end_matches([' ', '\t']);
    if before.len() - line.len() > MAX_INDENTATION {
        return None;
    }
    let line = line.strip_suffix('\n')?;
    let start = line.strip_suffix('\r').unwrap_or(line).len();
    Some(&before[start..])
}

/// Returns the span with its line ending and indentation, or with the spaces and tabs before it if it does not begin its line.
pub fn with_lead(text: &str, span: Span) -> Span {
    let start = match lead_of(text, span.start) {
        Some(lead) => span.start - lead.len(),
        None => text[..span.start].trim_end_matches([' ', '\t']).len(),
    };
    Span::new(start, span.end)
}

/// Returns by how much an element with this lead is indented more than the line on which its parent begins.
fn deeper(text: &str, lead: &str, parent: usize) -> String {
    let indentation = if lead.is_empty() { None } else { indentation(text, parent) };
    let deeper = indentation.and_then(|outer| lead.trim_start_matches(['\r', '\n']).strip_prefix(outer));
    deeper.unwrap_or_default().to_owned()
}

/// Returns the indentation of the line that contains `offset`; `None` if the line begins too far before it.
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
    /// Returns the place after an element.
    ///
    /// If the element begins its line, so do new elements, after the comments that follow it on its line. Otherwise they
    /// follow it directly. `parent` is the offset at which its parent begins.
    pub fn after(text: &str, sibling: Span, parent: usize, after: usize) -> Self {
        let lead = lead_of(text, sibling.start).unwrap_or_default();
        let offset = if lead.is_empty() { sibling.end } else { after_comments(text, sibling.end) };
        Self::at(text, offset, after, lead, parent)
    }

    /// Returns the place before everything in `parent`, laid out like its first element.
    pub fn first(text: &str, parent: &Element, sibling: Option<Span>) -> Self {
        let lead = sibling.and_then(|sibling| lead_of(text, sibling.start)).unwrap_or_default();
        Self::at(text, parent.start_tag.end, 0, lead, parent.span.start)
    }

    fn at(text: &str, offset: usize, after: usize, lead: &str, parent: usize) -> Self {
        Self {
            span: Span::at(offset),
            after,
            head: String::new(),
            lead: lead.to_owned(),
            unit: deeper(text, lead, parent),
            tail: String::new(),
        }
    }

    /// Returns the place in an element that contains no elements.
    ///
    /// `<x/>` is opened. If there is no text, new elements are on lines of their own, indented more than `element` by as much
    /// as that is indented more than its parent, which begins at `parent`. Otherwise they follow the text directly.
    pub fn inside(text: &str, element: &Element, parent: usize) -> Self {
        let outer = lead_of(text, element.span.start).unwrap_or_default();
        let unit = deeper(text, outer, parent);
        let mut lead = if outer.is_empty() { String::new() } else { format!("{outer}{unit}") };
        let (span, head, tail) = match element.content {
            None => {
                let end_tag = format!("{outer}</{}>", element.name.of(text));
                (Span::new(element.span.end - 2, element.span.end), ">", end_tag)
            }
            Some(content) => {
                let existing = content.of(text).trim_end_matches(is_xml_space);
                if !existing.is_empty() {
                    lead.clear();
                }
                let ends_line = lead.is_empty() || content.of(text).contains('\n');
                (Span::at(content.start + existing.len()), "", if ends_line { "" } else { outer }.to_owned())
            }
        };
        Self { span, after: 0, head: head.to_owned(), lead, unit, tail }
    }
}

/// Returns the offset after the spaces, tabs and comments that begin at `offset`.
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
    fn a_lead_is_a_line_ending_and_indentation() {
        assert_eq!(lead_of("<a>\n\t <b/>", 6), Some("\n\t "));
        assert_eq!(lead_of("<a>\r\n<b/>", 5), Some("\r\n"));
        assert_eq!(lead_of("<a>\r  <b/>", 6), None);
        assert_eq!(lead_of("<a>\n.<b/>", 5), None);
        assert_eq!(lead_of("  <a/>", 2), None);
    }

    #[test]
    fn a_removed_element_takes_its_own_whitespace_with_it() {
        let without_x = |text: &str| {
            let start = text.find("<x/>").unwrap();
            let span = with_lead(text, Span::new(start, start + 4));
            text[..span.start].to_owned() + &text[span.end..]
        };
        assert_eq!(without_x("<a> \n  <x/>\n</a>"), "<a> \n</a>");
        assert_eq!(without_x("<a>\r\n  <x/></a>"), "<a></a>");
        assert_eq!(without_x("<a/><x/><b/>"), "<a/><b/>");
        assert_eq!(without_x("<a/> <x/> <b/>"), "<a/> <b/>");
    }

    #[test]
    fn new_elements_come_after_the_comments_on_the_line() {
        let after = |text: &str| text[after_comments(text, 0)..].to_owned();
        assert_eq!(after(" \t<!-- a --> <!--b-->\t\n <c/>"), "\n <c/>");
        assert_eq!(after("  </source>"), "</source>");
        assert_eq!(after("<!-- never closed"), "<!-- never closed");
    }
}
