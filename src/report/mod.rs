//! Diagnostics: one form for every error and warning, whatever module it comes from.
//!
//! The modules return their errors as values. Here each becomes a [`Diagnostic`]: what is wrong, where, and what to do
//! about it. Nothing here prints; [`Diagnostic::render`] returns the text.

mod abridge;
pub mod escape;
pub mod help;
mod origin;
mod render;
pub mod table;

pub use abridge::{Kind, abridge};
pub use escape::escape;
pub use origin::Origin;

use crate::text::{Lines, Position, Span, floor_char_boundary};

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The run fails because of it.
    Error,
    /// The run continues. Not shown with `--quiet`.
    Warning,
    /// Shown only with `--verbose`.
    Note,
}

/// An error, a warning or a note, with its place in a file if it has one.
///
/// The texts may contain anything that a document, a path or sysfs contains: rendering escapes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where.
    pub excerpt: Option<Box<Excerpt>>,
    /// What to do about it, each in a line of its own.
    pub help: Vec<String>,
    /// What it is about; only the first of each kind are shown.
    pub kind: Option<Kind>,
}

/// A place in a text, with the line of the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The file's name as the user gave it, or `<stdin>`.
    pub origin: String,
    /// Where the marked characters begin.
    pub place: Position,
    /// The line that contains them, without its line ending. A long line is cut around them, and has `...` at each cut.
    pub line: String,
    /// The marked bytes of `line`: of a span over several lines those on the first line, of a long span its beginning.
    pub marked: Span,
    /// The label below the marked characters; may be empty.
    pub label: String,
}

/// How many characters of a line are shown, and how many of them at most before the marked ones.
///
/// A document may be one line of 4 MiB, and may have a thousand errors.
const SHOWN: usize = 120;
const SHOWN_BEFORE: usize = 60;
const CUT: &str = "...";

impl Excerpt {
    /// Returns the line of `text` that contains the start of `span`, or if it is long, the piece around the span.
    ///
    /// `lines` are those of `text`. The time does not depend on the length of the line.
    pub fn new(origin: &str, text: &str, lines: &Lines<'_>, span: Span, label: impl Into<String>) -> Self {
        let line = lines.line_around(span.start);
        let start = floor_char_boundary(text, span.start.clamp(line.start, line.end));
        let shown = shown_of(line.of(text), start - line.start);
        let (from, to) = (line.start + shown.start, line.start + shown.end);
        let end = floor_char_boundary(text, span.end.clamp(start, to));

        let left = if from > line.start { CUT } else { "" };
        let right = if to < line.end { CUT } else { "" };
        Self {
            origin: origin.to_owned(),
            place: lines.place(span.start),
            line: [left, &text[from..to], right].concat(),
            marked: Span::new(left.len() + start - from, left.len() + end - from),
            label: label.into(),
        }
    }
}

/// Returns the bytes of `line` that are shown for a mark that begins at byte `mark`.
fn shown_of(line: &str, mark: usize) -> Span {
    let back = |from: usize, characters: usize| {
        line[..from].char_indices().rev().take(characters).last().map_or(from, |(at, _)| at)
    };
    let start = back(mark, SHOWN_BEFORE);
    match line[start..].char_indices().nth(SHOWN) {
        Some((length, _)) => Span::new(start, start + length),
        None => Span::new(back(line.len(), SHOWN), line.len()),
    }
}

impl Diagnostic {
    /// Returns an error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), excerpt: None, help: Vec::new(), kind: None }
    }

    /// Returns a warning without a place.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Returns a note without a place.
    pub fn note(message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(message) }
    }

    /// Adds a place.
    #[must_use]
    pub fn at(self, excerpt: Excerpt) -> Self {
        Self { excerpt: Some(Box::new(excerpt)), ..self }
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}
