//! The unified diff, as `patch` reads it.

use similar::{Algorithm, TextDiff};

/// How long may be searched for a smaller diff; one that is larger than need be is as right.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);

/// What makes `new` of `old`; `name` is the file's.
///
/// Lines end with LF alone, as they do for `patch`: a CR is a character like any other.
pub(super) fn unified(name: &str, old: &str, new: &str) -> String {
    let [old, new]: [Vec<&str>; 2] = [old, new].map(|text| text.split_inclusive('\n').collect());
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).timeout(PATIENCE).diff_slices(&old, &new);
    let name = quoted(name);
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

/// A file name as it stands in a diff's header: one with blanks ends with a tab, as GNU diff writes it, or `patch` would take
/// the first word for all of it.
fn quoted(name: &str) -> String {
    if name.contains(' ') { format!("{name}\t") } else { name.to_owned() }
}
