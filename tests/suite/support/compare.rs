//! Compares bytes and reports the first difference.

/// Returns the first line that differs, in both versions; `None` if there is none.
///
/// Lines are escaped as in Rust, so that a CR, a tab or a missing newline is visible.
pub fn first_difference(want: &[u8], got: &[u8]) -> Option<String> {
    if want == got {
        return None;
    }
    let mut lines = (want.split_inclusive(is_newline), got.split_inclusive(is_newline));
    let mut number = 0;
    loop {
        number += 1;
        let (want, got) = (lines.0.next(), lines.1.next());
        if want != got {
            return Some(format!("line {number}: want {}, got {}", show(want), show(got)));
        }
    }
}

fn is_newline(byte: &u8) -> bool {
    *byte == b'\n'
}

fn show(line: Option<&[u8]>) -> String {
    match line {
        None => "the end".to_owned(),
        Some(line) => match std::str::from_utf8(line) {
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("\"{}\"", line.escape_ascii()),
        },
    }
}

mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_returned_in_both_versions() {
        for (want, got, difference) in [
            ("a\nb\n", "a\nb\n", None),
            ("a\nb\n", "a\nc\n", Some("line 2: want \"b\\n\", got \"c\\n\"")),
            ("a\nb\n", "a\nb", Some("line 2: want \"b\\n\", got \"b\"")),
            ("a\r\n", "a\n", Some("line 1: want \"a\\r\\n\", got \"a\\n\"")),
            ("a\n", "a\nb", Some("line 2: want the end, got \"b\"")),
        ] {
            assert_eq!(first_difference(want.as_bytes(), got.as_bytes()).as_deref(), difference);
        }
        assert_eq!(first_difference(b"a", b"\xff").as_deref(), Some("line 1: want \"a\", got \"\\xff\""));
    }
}
