//! Places in a text: spans of bytes, and lines and columns as an editor shows them.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// A range of bytes of a document: from `start` up to, not including, `end`.
///
/// Both ends are character boundaries of the text that the span was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// Returns the span from `start` to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end, "a span ends before it begins: {start}..{end}");
        Self { start, end }
    }

    /// Returns the empty span at `offset`: a place between two bytes.
    pub fn at(offset: usize) -> Self {
        Self::new(offset, offset)
    }

    /// Returns how many bytes it covers.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it is a place between two bytes.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether it contains `other`.
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Returns the part of `text` that it covers.
    pub fn of(self, text: &str) -> &str {
        &text[self.start..self.end]
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self::new(range.start, range.end)
    }
}

/// A place as an editor shows it: line and column, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line; lines end with LF, as in libxml2's messages.
    pub line: usize,
    /// The character in the line. A byte order mark is not counted.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where the lines of a text begin, so that many places can be found without reading the text again for each.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// How many characters begin before each [`STRIDE`]th byte: the whole text may be one line with a thousand places.
    characters: Vec<usize>,
}

const STRIDE: usize = 4096;

/// The byte order mark that Windows editors put before UTF-8.
pub const BOM: char = '\u{feff}';

impl<'a> Lines<'a> {
    /// Returns the lines of `text`.
    pub fn new(text: &'a str) -> Self {
        let first = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
        let starts = std::iter::once(first).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut seen = 0;
        let characters = std::iter::once(0)
            .chain(text.as_bytes().chunks(STRIDE).map(|chunk| {
                seen += characters_begun(chunk);
                seen
            }))
            .collect();
        Self { text, starts, characters }
    }

    /// Returns the line and column of `offset`.
    ///
    /// An offset after the text counts as its end, and one inside a character as the character's start.
    pub fn place(&self, offset: usize) -> Position {
        let offset = floor_char_boundary(self.text, offset);
        let line = self.number(offset);
        let start = self.starts[line - 1];
        Position { line, column: self.characters_before(offset).saturating_sub(self.characters_before(start)) + 1 }
    }

    /// Returns the span of the line that contains `offset`, without its line ending.
    pub fn line_around(&self, offset: usize) -> Span {
        let line = self.number(offset);
        let start = self.starts[line - 1];
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        let content = self.text[start..end].trim_end_matches('\r');
        Span::new(start, start + content.len())
    }

    /// Returns the number of the line that contains `offset`, from 1.
    fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }

    fn characters_before(&self, offset: usize) -> usize {
        let stride = offset / STRIDE;
        self.characters[stride] + characters_begun(&self.text.as_bytes()[stride * STRIDE..offset])
    }
}

/// Returns how many characters begin in these bytes of UTF-8: all bytes except the continuation bytes, `0b10xx_xxxx`.
fn characters_begun(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// Returns the offset of a line and column as parsers count them: both from 1, and the column in characters.
pub fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start = match line {
        0 | 1 => 0,
        _ => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(at, _)| at + 1),
    };
    let column = text[start..].char_indices().nth(column.saturating_sub(1));
    column.map_or(text.len(), |(at, _)| start + at)
}

/// Returns the last character boundary at or before `offset`, at most the text's end.
// `str::floor_char_boundary` came with Rust 1.91, and `rust-version` is older.
pub fn floor_char_boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Returns a name or value for a message, cut if it is long: in a document it may have millions of bytes.
pub fn abridged(text: &str) -> String {
    cut(text, 128)
}

/// Returns at most the first `most` characters of a text, and `…` if it has more.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether the character is whitespace in XML 1.0, production 3 (`S`).
pub fn is_xml_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// Whether XML 1.0 allows the character, production 2 (`Char`).
pub fn is_xml_char(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_but_not_the_byte_order_mark() {
        let text = "\u{feff}<ä>\r\n  <b/>";
        let lines = Lines::new(text);
        assert_eq!(lines.place(3), Position { line: 1, column: 1 });
        assert_eq!(lines.place(text.find('>').unwrap()), Position { line: 1, column: 3 });
        assert_eq!(lines.place(text.find("<b").unwrap()), Position { line: 2, column: 3 });
        assert_eq!(lines.line_around(4).of(text), "<ä>");
        assert_eq!(lines.line_around(text.len()).of(text), "  <b/>");
    }

    #[test]
    fn columns_of_a_long_line_are_counted_correctly() {
        let text = "\u{feff}ä\n".to_owned() + &"<日 é='𝄞'/>".repeat(2000);
        let lines = Lines::new(&text);
        let start = text.find('<').unwrap();
        for (column, (at, _)) in text[start..].char_indices().enumerate() {
            assert_eq!(lines.place(start + at), Position { line: 2, column: column + 1 });
        }
        let end = text[start..].chars().count() + 1;
        assert_eq!(lines.place(text.len()), Position { line: 2, column: end });
        assert_eq!(lines.place(start + 2), Position { line: 2, column: 2 }, "inside a character");
    }

    #[test]
    fn the_end_of_a_text_of_whole_strides_has_a_position() {
        let text = "x".repeat(2 * STRIDE);
        assert_eq!(Lines::new(&text).place(text.len()), Position { line: 1, column: 2 * STRIDE + 1 });
    }

    #[test]
    fn the_place_after_the_last_line_ending_is_on_a_new_line() {
        assert_eq!(Lines::new("a\n").place(2), Position { line: 2, column: 1 });
        assert_eq!(Lines::new("").place(0), Position { line: 1, column: 1 });
        assert_eq!(Lines::new("a").place(99), Position { line: 1, column: 2 });
    }
}
