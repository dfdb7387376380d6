//! Rules about the source code that no compiler checks.

use std::fs;
use std::path::Path;

#[test]
fn the_only_unsafe_attribute_is_that_of_the_constructor() {
    let is_unsafe = regex::Regex::new(r"\b(unsafe|unsafe_code)\b").unwrap();
    let mut found = Vec::new();
    let mut pending = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            found.extend(code.filter(|line| is_unsafe.is_match(line)).map(str::to_owned));
        }
    }
    assert_eq!(found, ["#[ctor(unsafe)]"]);
}
