//! Escapes untrusted text, so that it can neither control the terminal nor be invisible on it.
//!
//! Escaping is idempotent: a backslash is not escaped, so a text may contain what was escaped before.

use std::fmt::Write;
use std::path::Path;

use crate::text::{abridged, cut};

/// Replaces what a terminal would obey or not show with a visible escape: `\n`, `\r`, `\t`, `\x1b`, `\u{9b}`.
///
/// These are the control characters (U+0000 to U+001F, U+007F to U+009F), the line and paragraph separators, the characters
/// that reorder text, and the invisible format characters that no script needs.
pub fn escape(text: &str) -> String {
    // A fast path, since nearly every text is plain ASCII.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' => push_byte(&mut escaped, character as u8),
            hidden if is_hidden(hidden) => escaped.extend(hidden.escape_unicode()),
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// Escapes a line of a document, replacing each character by one character, so that columns stay right.
///
/// The ASCII controls become their pictures (U+2400 to U+2421), the others U+FFFD. A tab stays: the renderer decides its width
/// and draws the mark accordingly.
pub fn escape_line(line: &str) -> String {
    let shown = |character| match character {
        '\t' => '\t',
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        hidden if is_hidden(hidden) => char::REPLACEMENT_CHARACTER,
        plain => plain,
    };
    line.chars().map(shown).collect()
}

/// Escapes a path as [`escape`] does, and bytes that are not UTF-8 as `\xff`.
pub fn path(path: &Path) -> String {
    let mut escaped = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        escaped.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            push_byte(&mut escaped, *byte);
        }
    }
    escaped
}

fn push_byte(escaped: &mut String, byte: u8) {
    // Writing into a String cannot fail.
    let _ = write!(escaped, "\\x{byte:02x}");
}

/// Whether a non-ASCII character has an effect instead of being shown.
///
/// The joiners U+200C and U+200D are shown: Persian and Hindi need them.
pub fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}' // C1 controls: U+009B starts a sequence as ESC [ does
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' // direction
        | '\u{2028}' | '\u{2029}' // line and paragraph separator
        | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' // no width
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' // annotations, tags
    )
}

/// The most characters of a message: enough for a path or a command, not for a value of a megabyte.
const MAX_MESSAGE: usize = 8192;

/// Escapes a name or a value as [`escape`] does, and cuts it if it is long.
pub fn short(text: &str) -> String {
    escape(&abridged(text))
}

/// Escapes a whole message as [`escape`] does, and cuts it if it is too long to be read.
pub fn message(text: &str) -> String {
    escape(&cut(text, MAX_MESSAGE))
}

/// Quotes a word for a shell, if it needs quotes: a suggested command is pasted, perhaps as root.
pub fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Quotes a guest's name as an argument of virsh, which would take a name that begins with a dash for an option.
pub fn virsh_domain(name: &str) -> String {
    if name.starts_with('-') { format!("-- {}", shell_word(name)) } else { shell_word(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_and_reordering_characters_become_visible_escapes() {
        assert_eq!(escape("a\x1b[31mb\u{9b}m\n\r\t\0\x7f"), r"a\x1b[31mb\u{9b}m\n\r\t\x00\x7f");
        assert_eq!(escape("\u{202e}\u{2066}\u{2028}\u{61c}\u{200f}"), r"\u{202e}\u{2066}\u{2028}\u{61c}\u{200f}");
        assert_eq!(escape("c2177883\u{200b}"), r"c2177883\u{200b}");
        assert_eq!(escape("Prüfung 日本 می\u{200c}روم C:\\x"), "Prüfung 日本 می\u{200c}روم C:\\x");
    }

    #[test]
    fn a_line_keeps_its_tabs_and_its_number_of_characters() {
        assert_eq!(escape_line("\t<a>\x1b[m\r\n\0\x7f\u{9b}\u{202e}ä"), "\t<a>␛[m␍␊␀␡\u{fffd}\u{fffd}ä");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_shows_bytes_that_are_not_utf8() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(path(Path::new(OsStr::from_bytes(b"vm\xff\xc3-\xc3\xa4\x1b\n.xml"))), r"vm\xff\xc3-ä\x1b\n.xml");
    }

    #[test]
    fn a_word_is_quoted_for_the_shell_if_it_needs_quotes() {
        assert_eq!(shell_word("win10"), "win10");
        assert_eq!(shell_word("0000:00:02.0"), "0000:00:02.0");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("win10; touch /tmp/x"), "'win10; touch /tmp/x'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(virsh_domain("-dash"), "-- -dash");
    }

    proptest! {
        #[test]
        fn escaping_twice_is_escaping_once(text: String) {
            prop_assert_eq!(escape(&escape(&text)), escape(&text));
        }

        #[test]
        fn no_control_character_remains(text in any::<Vec<char>>().prop_map(String::from_iter)) {
            prop_assert!(!escape(&text).contains(char::is_control));
            prop_assert!(!escape_line(&text).replace('\t', "").contains(char::is_control));
            prop_assert_eq!(escape_line(&text).chars().count(), text.chars().count());
        }
    }
}
