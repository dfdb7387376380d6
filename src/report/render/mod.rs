//! Renders a diagnostic as text, with annotate-snippets.
//!
//! Everything is escaped first, since the library does not escape labels, paths and help, nor U+0080 to U+009F anywhere.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};

use super::escape::{escape, escape_line, message};
use super::{Diagnostic, Excerpt, Severity};
use crate::text::floor_char_boundary;

/// Wide enough that the library never cuts a line: [`Excerpt::new`] has done that.
const NEVER_CUT: usize = 100_000;

impl Diagnostic {
    /// Returns the text in rustc's layout, with a line ending; in color if `color` is set.
    ///
    /// Without color it contains no control characters except line endings.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(NEVER_CUT);
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let group = Group::with_title(level.primary_title(message(&self.message)))
            .elements(self.excerpt.as_deref().map(snippet))
            .elements(self.help.iter().map(|help| Level::HELP.message(message(help))));

        let mut text = renderer.render(&[group]);
        if let Some(excerpt) = &self.excerpt {
            set_column(&mut text, excerpt.place.column);
        }
        text.push('\n');
        text
    }
}

/// Returns the line with its mark, below the name of its document and the place.
fn snippet(excerpt: &Excerpt) -> Element<'static> {
    let end = floor_char_boundary(&excerpt.line, excerpt.marked.end);
    let start = floor_char_boundary(&excerpt.line, excerpt.marked.start.min(end));
    // A replaced character may be longer or shorter in bytes, so the mark is computed again.
    let before = escape_line(&excerpt.line[..start]);
    let marked = escape_line(&excerpt.line[start..end]);
    let after = escape_line(&excerpt.line[end..]);
    let span = before.len()..before.len() + marked.len();
    let label = Some(message(&excerpt.label)).filter(|label| !label.is_empty());

    Snippet::source(before + &marked + &after)
        .line_start(excerpt.place.line)
        .path(escape(&excerpt.origin))
        .annotation(AnnotationKind::Primary.span(span).label(label))
        .into()
}

/// Sets the true column after the last colon of the second line, `--> FILE:LINE:COLUMN`.
///
/// The library counts the column in the piece of the line that it is given. Its `Origin` takes any column, but a snippet
/// below an `Origin` gets a `:::` as if it were of another file.
fn set_column(text: &mut String, column: usize) {
    let Some(title_end) = text.find('\n') else { return };
    let origin_end = text[title_end + 1..].find('\n').map_or(text.len(), |length| title_end + 1 + length);
    let Some(colon) = text[..origin_end].rfind(':') else { return };
    let digits = text[colon + 1..].bytes().take_while(u8::is_ascii_digit).count();
    text.replace_range(colon + 1..colon + 1 + digits, &column.to_string());
}

#[cfg(test)]
mod tests;
