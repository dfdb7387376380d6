//! Replacing one file. `tests/suite/files` tests what a user can see from outside.

use super::*;

#[test]
fn staging_changes_nothing_and_dropping_removes_the_temporary_file() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    let interrupt = Interrupt::disabled();
    let staged = Batch::new(&interrupt, None).stage(&original(&path), NEW, None).unwrap();
    assert!(scratch.is("vm.xml", OLD));
    assert_eq!(scratch.names().len(), 2);
    assert!(scratch.names()[0].starts_with(".vm.xml.virt-mdev-"), "{:?}", scratch.names());
    drop(staged);
    assert_eq!(scratch.names(), ["vm.xml"]);
}

#[test]
fn an_output_file_that_appears_in_the_meantime_stays() {
    let scratch = Scratch::new();
    let path = scratch.path("out.xml");
    let interrupt = Interrupt::disabled();
    let batch = Batch::new(&interrupt, None);
    let staged = batch.stage_output(&path, NEW).unwrap();
    scratch.file("out.xml");
    let error = only_error(batch.commit(vec![staged]));
    assert!(matches!(error, FileError::Appeared { .. }), "{error}");
    assert!(scratch.is("out.xml", OLD));
    assert_eq!(scratch.names(), ["out.xml"]);
}

#[test]
fn standard_input_cannot_be_replaced() {
    let interrupt = Interrupt::disabled();
    let piped = Original { input: Input::Stdin, contents: Vec::new(), found: None };
    let error = Batch::new(&interrupt, None).stage(&piped, NEW, None).unwrap_err();
    assert_eq!(error.to_string(), "<stdin> is an open descriptor, not a file that could be replaced");
}
