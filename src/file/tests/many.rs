//! Replacing many files, and signals.

use std::time::Duration;

use super::*;

/// Enough for several threads.
const COUNT: usize = 100;

fn files(scratch: &Scratch) -> Vec<PathBuf> {
    (0..COUNT).map(|number| scratch.file(&format!("{:02}/vm{number:02}.xml", number % 3))).collect()
}

/// Returns the contents of all files in all directories, including temporary ones.
fn contents(scratch: &Scratch) -> Vec<Vec<u8>> {
    let directories = scratch.names().into_iter().map(|name| scratch.path(&name));
    directories
        .flat_map(|path| fs::read_dir(path).unwrap())
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

fn stage(batch: &Batch<'_>, paths: &[PathBuf], backup: Option<&Suffix>) -> Vec<Staged> {
    paths.iter().map(|path| batch.stage(&original(path), NEW, backup).unwrap()).collect()
}

#[test]
fn an_error_leaves_all_files_unchanged_and_all_errors_are_returned() {
    let scratch = Scratch::new();
    let paths = files(&scratch);
    let interrupt = Interrupt::disabled();
    let batch = Batch::new(&interrupt, None);
    let staged = stage(&batch, &paths, Some(&Suffix::new(".bak").unwrap()));
    std::thread::sleep(Duration::from_millis(20));
    fs::write(&paths[7], OLD).unwrap();
    fs::write(&paths[31], OLD).unwrap();
    let error = batch.commit(staged).unwrap_err();
    assert_eq!(error.replaced, []);
    assert!(matches!(&error.errors[..], [FileError::Changed { path: one }, FileError::Changed { path: two }]
        if *one == paths[7] && *two == paths[31]));
    assert_eq!(contents(&scratch), vec![OLD; COUNT], "no new file, no backup, no temporary file");
}

#[test]
fn if_a_backup_cannot_be_made_the_others_are_removed() {
    let scratch = Scratch::new();
    let paths = files(&scratch);
    let interrupt = Interrupt::disabled();
    let batch = Batch::new(&interrupt, None);
    let staged = stage(&batch, &paths, Some(&Suffix::new(".bak").unwrap()));
    let theirs = paths[COUNT - 1].with_extension("xml.bak");
    fs::write(&theirs, b"theirs").unwrap();
    let error = batch.commit(staged).unwrap_err();
    assert!(matches!(&error.errors[..], [FileError::BackupExists { .. }]));
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    fs::remove_file(theirs).unwrap();
    assert_eq!(contents(&scratch), vec![OLD; COUNT]);
}

#[test]
fn if_a_file_cannot_be_replaced_the_others_are_rolled_back() {
    let scratch = Scratch::new();
    let mut paths = files(&scratch);
    let inodes = |paths: &[PathBuf]| paths.iter().map(|path| path.metadata().unwrap().ino()).collect::<Vec<_>>();
    let before = inodes(&paths);
    // The same file twice: at the second rename it has changed, which cannot be detected earlier.
    paths.push(paths[5].clone());
    let interrupt = Interrupt::disabled();
    let batch = Batch::new(&interrupt, None);
    let error = only_error(batch.commit(stage(&batch, &paths, None)));
    assert!(matches!(&error, FileError::Changed { path } if *path == paths[5]), "{error}");
    assert_eq!(contents(&scratch), vec![OLD; COUNT]);
    assert_eq!(inodes(&paths[..COUNT]), before);
}

/// Signals affect the whole process, so this test runs in a process of its own.
#[test]
fn signals_are_caught_only_while_files_are_written() {
    const TEST: &str = "file::tests::many::signals_are_caught_only_while_files_are_written";
    const CHILD: &str = "VIRT_MDEV_TEST_SIGNALS";
    // The tests themselves may run under nohup.
    const DEFAULT: [&str; 1] = ["--default-signal=HUP,INT,TERM"];
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::low_level::raise;
    use std::os::unix::process::ExitStatusExt;

    let Some(stage) = std::env::var_os(CHILD) else {
        let run = |program: &str, arguments: &[&str], stage: &str| {
            let mut child = Command::new(program);
            child.args(arguments).arg(std::env::current_exe().unwrap()).args(["--exact", TEST]).env(CHILD, stage);
            child.output().unwrap().status
        };
        for (stage, signal) in [("before", SIGTERM), ("after", SIGTERM)] {
            assert_eq!(run("env", &DEFAULT, stage).signal(), Some(signal), "{stage}");
        }
        assert!(run("env", &DEFAULT, "during").success());
        assert!(run("sh", &["-c", r#"trap '' HUP; exec "$0" "$@""#], "nohup").success());
        return;
    };
    match stage.to_str().unwrap() {
        "before" => raise(SIGTERM).unwrap(),
        "after" => {
            drop(Interrupt::listen().unwrap());
            raise(SIGTERM).unwrap();
        }
        "nohup" => {
            let interrupt = Interrupt::listen().unwrap();
            raise(SIGHUP).unwrap();
            assert_eq!(interrupt.caught(), None);
            drop(interrupt);
            raise(SIGHUP).unwrap();
        }
        _ => {
            for (number, signal) in
                [(SIGHUP, Signal::Hangup), (SIGINT, Signal::Interrupt), (SIGTERM, Signal::Terminate)]
            {
                let interrupt = Interrupt::listen().unwrap();
                assert_eq!(interrupt.caught(), None);
                raise(number).unwrap();
                assert_eq!(interrupt.caught(), Some(signal));
                assert_eq!(i32::from(signal.exit_status()), 128 + number);
            }
        }
    }
}
