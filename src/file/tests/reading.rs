//! Patterns, and reading files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// Expands arguments in `scratch`, and returns the names relative to it.
fn found(scratch: &Scratch, arguments: &[&str]) -> Vec<String> {
    let arguments: Vec<_> = arguments.iter().map(|argument| scratch.path(argument)).collect();
    let inputs = expand(&arguments).unwrap();
    inputs
        .iter()
        .map(|input| input.path().unwrap().strip_prefix(scratch.0.path()).unwrap().display().to_string())
        .collect()
}

fn errors(scratch: &Scratch, arguments: &[&str]) -> Vec<FileError> {
    let arguments: Vec<_> = arguments.iter().map(|argument| scratch.path(argument)).collect();
    expand(&arguments).unwrap_err()
}

#[test]
fn a_pattern_matches_as_in_a_shell_and_the_matches_are_sorted() {
    let scratch = Scratch::new();
    for name in ["b.xml", "a.xml", "c.txt", "sub/d.xml", "sub/deep/e.xml", "other/d.xml"] {
        scratch.file(name);
    }
    assert_eq!(found(&scratch, &["*.xml"]), ["a.xml", "b.xml"]);
    assert_eq!(found(&scratch, &["?.*"]), ["a.xml", "b.xml", "c.txt"]);
    assert_eq!(found(&scratch, &["[!a].xml"]), ["b.xml"]);
    assert_eq!(found(&scratch, &["*/d.xml"]), ["other/d.xml", "sub/d.xml"]);
    assert_eq!(found(&scratch, &["sub/../*.xml"]), ["sub/../a.xml", "sub/../b.xml"]);
    assert_eq!(found(&scratch, &["**/*.xml"]), ["a.xml", "b.xml", "other/d.xml", "sub/d.xml", "sub/deep/e.xml"]);
    assert_eq!(found(&scratch, &["b.xml", "*.xml"]), ["b.xml", "a.xml"]);
}

#[test]
fn a_wildcard_does_not_match_names_that_begin_with_a_dot() {
    let scratch = Scratch::new();
    for name in [".hidden.xml", "seen.xml", ".dir/x.xml", "dir/.x.xml", "dir/.xml", "dir/y.xml"] {
        scratch.file(name);
    }
    assert_eq!(found(&scratch, &["*.xml"]), ["seen.xml"]);
    for pattern in ["?hidden.xml", "[.]hidden.xml", "dir/[.]*"] {
        assert!(matches!(&errors(&scratch, &[pattern])[..], [FileError::NoMatch { .. }]), "{pattern}");
    }
    assert_eq!(found(&scratch, &["**/*.xml"]), ["dir/y.xml", "seen.xml"]);
    assert_eq!(found(&scratch, &[".*.xml"]), [".hidden.xml"]);
    assert_eq!(found(&scratch, &[".dir/*.xml"]), [".dir/x.xml"]);
    assert_eq!(found(&scratch, &[".d*/*.xml"]), [".dir/x.xml"]);
}

#[test]
fn a_path_that_exists_is_not_a_pattern() {
    let scratch = Scratch::new();
    for name in ["vm[1].xml", "vm1.xml", "dir[ab]/x.xml", "dira/x.xml", "*"] {
        scratch.file(name);
    }
    assert_eq!(found(&scratch, &["vm[1].xml"]), ["vm[1].xml"]);
    assert_eq!(found(&scratch, &["dir[ab]/*.xml"]), ["dir[ab]/x.xml"]);
    assert_eq!(found(&scratch, &["*"]), ["*"]);
    // A dangling link exists.
    symlink("gone", scratch.path("l[1]")).unwrap();
    assert_eq!(found(&scratch, &["l[1]"]), ["l[1]"]);
}

#[test]
fn each_argument_without_a_file_is_an_error() {
    let scratch = Scratch::new();
    scratch.file("vm.xml");
    let errors = errors(&scratch, &["*.txt", "gone.xml", "gone/*.xml", "a[", "vm.xml", "vm.xml/*"]);
    let patterns: Vec<_> = errors
        .iter()
        .filter_map(|error| match error {
            FileError::NoMatch { pattern } => Some(scratch.path(pattern)),
            _ => None,
        })
        .collect();
    assert_eq!(patterns, ["*.txt", "gone/*.xml", "vm.xml/*"].map(|pattern| scratch.path(pattern)));
    let others: Vec<_> = errors.iter().filter(|error| !matches!(error, FileError::NoMatch { .. })).collect();
    assert!(
        matches!(&others[..], [FileError::BadPattern { .. }, FileError::NotFound { path }]
            if *path == scratch.path("gone.xml")),
        "{others:?}"
    );
    let alone = expand(&[scratch.path("gone.xml")]).unwrap();
    let error = read(&alone[0], Purpose::Reading).unwrap_err();
    assert!(matches!(error, FileError::NotFound { .. }), "{error}");
}

#[test]
fn names_that_are_not_utf_8_are_matched() {
    let scratch = Scratch::new();
    scratch.file("b.xml");
    let name = OsStr::from_bytes(b"caf\xe9.xml");
    let path = scratch.0.path().join(name);
    fs::write(&path, OLD).unwrap();
    assert_eq!(
        expand(&[scratch.path("*.xml")]).unwrap(),
        [Input::File(scratch.path("b.xml")), Input::File(path.clone())]
    );
    assert_eq!(expand(&[&path]).unwrap(), [Input::File(path.clone())]);
    replace(&path, Some(".bak")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), NEW);
    let pattern = scratch.0.path().join(OsStr::from_bytes(b"*\xe9.xml"));
    assert_eq!(expand(&[&pattern]).unwrap(), [Input::File(pattern)], "an argument that is not UTF-8 is literal");
}

#[test]
fn a_file_with_two_names_is_listed_once_by_the_first() {
    let scratch = Scratch::new();
    scratch.file("dir/vm.xml");
    symlink("dir/vm.xml", scratch.path("link.xml")).unwrap();
    symlink("dir", scratch.path("too")).unwrap();
    assert_eq!(found(&scratch, &["link.xml", "dir/vm.xml", "too/vm.xml", "dir/*"]), ["link.xml"]);
    assert_eq!(found(&scratch, &["dir/../dir/vm.xml", "link.xml"]), ["dir/../dir/vm.xml"]);
    assert_eq!(expand(&["-", "-"]).unwrap(), [Input::Stdin]);
}

#[test]
fn a_dangling_link_among_other_files_is_an_error() {
    let scratch = Scratch::new();
    scratch.file("vm.xml");
    symlink("gone", scratch.path("link.xml")).unwrap();
    let errors = errors(&scratch, &["*.xml"]);
    assert!(matches!(&errors[..], [FileError::DanglingLink { .. }]), "{errors:?}");
}

#[test]
fn a_fifo_is_read_even_if_the_writer_is_late() {
    let scratch = Scratch::new();
    let path = scratch.path("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let mut fifo = fs::OpenOptions::new().write(true).open(path).unwrap();
            fifo.write_all(OLD).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
            fifo.write_all(NEW).unwrap();
        })
    };
    let read = read(&Input::File(path), Purpose::Reading).unwrap();
    writer.join().unwrap();
    assert_eq!(read.contents, [OLD, NEW].concat());
}

#[test]
fn a_pipe_is_read_even_if_the_writer_is_gone() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    File::from(writer).write_all(OLD).unwrap();
    use std::os::fd::AsRawFd;
    let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
    let read = read(&Input::File(path), Purpose::Reading).unwrap();
    assert_eq!(read.contents, OLD);
}
