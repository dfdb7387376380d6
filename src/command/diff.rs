//! The unified diff, as `patch` reads it.

use std::os::unix::ffi::OsStrExt;

use similar::{Algorithm, TextDiff};

use crate::file::Input;
use crate::report::escape;

/// How long may be searched for a smaller diff; one that is larger than need be is as right.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);

/// What makes `new` of `old`, which is what `input` holds.
///
/// Lines end with LF alone, as they do for `patch`: a CR is a character like any other.
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
        // The library's own way to print a hunk takes a CR at the end of the text for the end of a line.
        for change in hunk.iter_changes() {
            written += &format!("{}{}", change.tag(), change.value());
            if !change.value().ends_with('\n') {
                written += "\n\\ No newline at end of file\n";
            }
        }
    }
    written
}

/// The file name as `patch` finds it in a diff's header, written as GNU diff does.
///
/// One that holds anything a line or a terminal would take amiss stands between quotes, with C's escapes; behind one with
/// blanks comes a tab, or `patch` would take the first word for all of it.
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
    fn names_stand_in_the_header_as_patch_reads_them() {
        let name = |bytes: &[u8]| header_name(&Input::File(OsStr::from_bytes(bytes).into()));
        assert_eq!(name(b"guests/vm.xml"), "guests/vm.xml");
        assert_eq!(name("gäste/vm.xml".as_bytes()), "gäste/vm.xml");
        assert_eq!(name(b"my vm.xml"), "my vm.xml\t");
        assert_eq!(name(b"a\nb \xff\"\\.xml"), "\"a\\012b \\377\\\"\\\\.xml\"");
    }
}
