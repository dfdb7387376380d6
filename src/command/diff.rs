//! Unified diffs, as `patch` reads them.

use std::os::unix::ffi::OsStrExt;

use similar::{Algorithm, TextDiff};

use crate::file::Input;
use crate::report::escape;

/// How long to search for a smaller diff; a larger one is also correct.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);

/// Returns the diff from `old`, the content of `input`, to `new`.
///
/// Only LF ends a line, as for `patch`; CR is an ordinary character.
pub(super) fn unified(input: &Input, old: &str, new: &str) -> String {
    let [old, new]: [Vec<&str>; 2] = [old, new].map(|text| text.split_inclusive('\n').collect());
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).timeout(PATIENCE).diff_slices(&old, &new);
    let name = header_name(input);
    let mut written = String::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        if written.is_empty() {
            written = format!("--- {name}\n+++ {name}\n");
        }
        written += &format!("{}\n", hunk.header());
        // The library's own printing of a hunk takes a CR at the end of the text for a line ending.
        for change in hunk.iter_changes() {
            written += &format!("{}{}", change.tag(), change.value());
            if !change.value().ends_with('\n') {
                written += "\n\\ No newline at end of file\n";
            }
        }
    }
    written
}

/// Returns the file name for a diff's header, as GNU diff writes it and `patch` reads it.
///
/// A name with control characters, quotes or backslashes is quoted, with the escapes of C. A name with spaces is followed by
/// a tab; otherwise `patch` would take its first word for the whole name.
fn header_name(input: &Input) -> String {
    let Some(path) = input.path() else { return input.to_string() };
    let shown = escape::path(path);
    let is_plain = path.to_str() == Some(&shown) && !shown.contains(['"', '\\']);
    match (is_plain, shown.contains(' ')) {
        (true, false) => shown,
        (true, true) => format!("{shown}\t"),
        (false, _) => {
            let escaped = path.as_os_str().as_bytes().iter().map(|byte| match byte {
                b'"' => "\\\"".to_owned(),
                b'\\' => "\\\\".to_owned(),
                b' '..=b'~' => char::from(*byte).to_string(),
                _ => format!("\\{byte:03o}"),
            });
            format!("\"{}\"", escaped.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn patch_can_read_the_file_names_in_the_header() {
        let name = |bytes: &[u8]| header_name(&Input::File(OsStr::from_bytes(bytes).into()));
        assert_eq!(name(b"guests/vm.xml"), "guests/vm.xml");
        assert_eq!(name("gäste/vm.xml".as_bytes()), "gäste/vm.xml");
        assert_eq!(name(b"my vm.xml"), "my vm.xml\t");
        assert_eq!(name(b"a\nb \xff\"\\.xml"), "\"a\\012b \\377\\\"\\\\.xml\"");
    }
}
