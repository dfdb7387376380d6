//! Replacing one file.

use std::ffi::OsStr;
use std::os::unix::fs::{FileTypeExt, chown, symlink};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, getxattr, listxattr_query, mknodat, setxattr};
use rustix::io::Errno;

use super::*;

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// The value of an extended attribute, or none.
fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut room = [0; 256];
    getxattr(path, name, &mut room[..]).ok().map(|length| room[..length].to_vec())
}

/// Sets an extended attribute, or says that the file system, or the caller, cannot.
fn set_attribute(path: &Path, name: &str, value: &[u8]) -> bool {
    match setxattr(path, name, value, XattrFlags::empty()) {
        Ok(()) => true,
        Err(Errno::NOTSUP | Errno::PERM) => {
            skipped(&format!("{name} cannot be set on {}", path.display()));
            false
        }
        Err(errno) => panic!("{name}: {errno}"),
    }
}

/// An access ACL as acl(5) keeps it in `system.posix_acl_access`: user::rw-, user:NOBODY:permissions, group::---,
/// mask::rwx, other::---.
fn acl(permissions: u16) -> Vec<u8> {
    const ANYONE: u32 = u32::MAX;
    let entries = [(1, 6, ANYONE), (2, permissions, NOBODY), (4, 0, ANYONE), (0x10, 7, ANYONE), (0x20, 0, ANYONE)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        let (tag, permissions): (u16, u16) = (tag, permissions);
        bytes.extend(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()));
    }
    bytes
}

#[test]
fn the_file_is_the_new_one_and_nothing_else_lies_about() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    let replaced = replace(&path, None).unwrap();
    assert_eq!(replaced, [Replaced { path, backup: None }]);
    assert!(scratch.is("vm.xml", NEW));
    assert_eq!(scratch.names(), ["vm.xml"]);
}

#[test]
fn until_the_commit_the_file_is_the_old_one_and_a_dropped_one_leaves_nothing() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    let interrupt = Interrupt::deaf();
    let staged = Batch::new(&interrupt).stage(&original(&path), NEW, None).unwrap();
    assert!(scratch.is("vm.xml", OLD));
    assert_eq!(scratch.names().len(), 2);
    assert!(scratch.names()[0].starts_with(".vm.xml.virt-mdev-"), "{:?}", scratch.names());
    drop(staged);
    assert_eq!(scratch.names(), ["vm.xml"]);
}

#[test]
fn the_mode_is_kept() {
    let scratch = Scratch::new();
    for kept in [0o600, 0o640, 0o644, 0o664, 0o755, 0o4755, 0o2750, 0o1666] {
        let path = scratch.file(&format!("{kept:o}.xml"));
        set_mode(&path, kept);
        replace(&path, None).unwrap();
        assert_eq!(mode(&path), kept, "{kept:o}");
    }
}

#[test]
fn owner_and_group_are_kept() {
    if !is_root() {
        return skipped("needs root");
    }
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    chown(&path, Some(12345), Some(54321)).unwrap();
    set_mode(&path, 0o6750);
    replace(&path, None).unwrap();
    let found = path.metadata().unwrap();
    assert_eq!((found.uid(), found.gid(), mode(&path)), (12345, 54321, 0o6750));
}

#[test]
fn an_owner_that_cannot_be_kept_is_an_error_and_the_file_stays() {
    const TEST: &str = "one::an_owner_that_cannot_be_kept_is_an_error_and_the_file_stays";
    if is_root() {
        // A group-writable file of another's in a directory that is open to all: nobody may write it, but not make one
        // like it.
        let scratch = Scratch::new();
        set_mode(scratch.0.path(), 0o777);
        let path = scratch.file("vm.xml");
        chown(&path, Some(12345), Some(NOBODY)).unwrap();
        set_mode(&path, 0o664);
        as_nobody_with(TEST, &path);
        assert!(scratch.is("vm.xml", OLD));
        assert_eq!(scratch.names(), ["vm.xml"]);
        return;
    }
    let Some(path) = std::env::var_os(PREPARED) else { return skipped("needs root") };
    let fault = only_fault(replace(Path::new(&path), None));
    assert!(matches!(fault, FileError::Owner { uid: 12345, .. }), "{fault}");
}

#[test]
fn extended_attributes_are_kept() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    let long = vec![b'x'; 1000];
    if !set_attribute(&path, "user.origin", b"ansible") || !set_attribute(&path, "user.long", &long) {
        return;
    }
    replace(&path, None).unwrap();
    assert_eq!(attribute(&path, "user.origin").as_deref(), Some(&b"ansible"[..]));
    let mut room = [0; 2000];
    assert_eq!(getxattr(&path, "user.long", &mut room[..]), Ok(1000));
}

#[test]
fn labels_are_kept() {
    if !is_root() {
        return skipped("needs root");
    }
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    // Without SELinux the kernel keeps a label as it keeps any other bytes.
    let label = b"system_u:object_r:virt_etc_rw_t:s0\0";
    if set_attribute(&path, "security.selinux", label) {
        replace(&path, None).unwrap();
        assert_eq!(attribute(&path, "security.selinux").as_deref(), Some(&label[..]));
    }
}

#[test]
fn an_acl_is_kept() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    if set_attribute(&path, "system.posix_acl_access", &acl(4)) {
        replace(&path, None).unwrap();
        assert_eq!(attribute(&path, "system.posix_acl_access"), Some(acl(4)));
    }
}

#[test]
fn an_acl_that_the_directory_gives_to_new_files_does_not_open_the_file_to_others() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    set_mode(&path, 0o640);
    if set_attribute(scratch.0.path(), "system.posix_acl_default", &acl(6)) {
        replace(&path, None).unwrap();
        assert_eq!(attribute(&path, "system.posix_acl_access"), None);
        assert_eq!(listxattr_query(&path), Ok(0));
        assert_eq!(mode(&path), 0o640);
    }
}

#[test]
fn the_temporary_file_is_never_more_readable_than_the_file() {
    let scratch = Scratch::new();
    let interrupt = Interrupt::deaf();
    for kept in [0o600, 0o200, 0o000, 0o640, 0o666] {
        if !is_root() && kept & 0o600 != 0o600 {
            continue;
        }
        let path = scratch.file("vm.xml");
        set_mode(&path, kept);
        let staged = Batch::new(&interrupt).stage(&original(&path), NEW, None).unwrap();
        assert_eq!(mode(&scratch.path(&scratch.names()[0])), kept);
        drop(staged);
    }
}

#[test]
fn a_symlink_is_followed_and_stays() {
    let scratch = Scratch::new();
    let path = scratch.file("real/vm.xml");
    fs::create_dir_all(scratch.path("links/more")).unwrap();
    symlink("../more/second", scratch.path("links/more/first")).unwrap();
    symlink("../../real/vm.xml", scratch.path("links/more/second")).unwrap();
    symlink(&path, scratch.path("absolute")).unwrap();
    symlink("links", scratch.path("directory")).unwrap();
    for link in ["links/more/first", "absolute", "directory/more/second"] {
        fs::write(&path, OLD).unwrap();
        let link = scratch.path(link);
        replace(&link, Some(".bak")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert!(scratch.is("real/vm.xml", NEW));
        assert!(scratch.is("real/vm.xml.bak", OLD), "the backup lies beside the file, not beside the link");
        fs::remove_file(scratch.path("real/vm.xml.bak")).unwrap();
    }
    assert_eq!(fs::read_dir(scratch.path("links/more")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(scratch.path("real")).unwrap().count(), 1);
}

#[test]
fn a_directory_may_be_a_symlink_too() {
    let scratch = Scratch::new();
    scratch.file("real/vm.xml");
    symlink("real", scratch.path("link")).unwrap();
    replace(&scratch.path("link/vm.xml"), Some(".bak")).unwrap();
    assert!(scratch.is("real/vm.xml", NEW) && scratch.is("real/vm.xml.bak", OLD));
    assert!(scratch.path("link").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn a_symlink_that_leads_nowhere_is_an_error_that_says_where() {
    let scratch = Scratch::new();
    symlink("gone.xml", scratch.path("vm.xml")).unwrap();
    let fault = only_fault(replace(&scratch.path("vm.xml"), None));
    assert!(matches!(&fault, FileError::DanglingLink { missing, .. } if missing.as_os_str() == "gone.xml"), "{fault}");
    symlink("loop.xml", scratch.path("loop.xml")).unwrap();
    let fault = only_fault(replace(&scratch.path("loop.xml"), None));
    assert!(matches!(fault, FileError::Read { .. }), "{fault}");
}

#[test]
fn a_file_with_other_hard_links_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    fs::hard_link(&path, scratch.path("other.xml")).unwrap();
    let fault = only_fault(replace(&path, None));
    assert!(matches!(fault, FileError::HardLinks { links: 2, .. }), "{fault}");
    assert!(scratch.is("vm.xml", OLD));
    assert_eq!(scratch.names(), ["other.xml", "vm.xml"]);
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("directory")).unwrap();
    fifo(&scratch.path("fifo"));
    let _listening = std::os::unix::net::UnixListener::bind(scratch.path("socket")).unwrap();
    symlink("fifo", scratch.path("link")).unwrap();
    let begun = Instant::now();
    for (path, kind) in [
        (scratch.path("directory"), FileKind::Directory),
        (scratch.path("fifo"), FileKind::Fifo),
        (scratch.path("link"), FileKind::Fifo),
        (scratch.path("socket"), FileKind::Socket),
        (PathBuf::from("/dev/null"), FileKind::CharacterDevice),
    ] {
        let fault = only_fault(replace(&path, None));
        assert!(matches!(fault, FileError::NotRegular { kind: found, .. } if found == kind), "{fault}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(scratch.path("fifo").symlink_metadata().unwrap().file_type().is_fifo());
}

#[test]
fn a_write_protected_file_is_refused_although_its_directory_is_writable() {
    if !as_nobody("one::a_write_protected_file_is_refused_although_its_directory_is_writable") {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    set_mode(&path, 0o444);
    let fault = only_fault(replace(&path, None));
    assert!(matches!(fault, FileError::NotWritable { .. }), "{fault}");
    assert!(scratch.is("vm.xml", OLD));
    assert_eq!(scratch.names(), ["vm.xml"]);
}

#[test]
fn a_write_protected_file_is_replaced_for_root_with_a_warning() {
    if !is_root() {
        return skipped("needs root");
    }
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    set_mode(&path, 0o444);
    let interrupt = Interrupt::deaf();
    let batch = Batch::new(&interrupt);
    let staged = batch.stage(&original(&path), NEW, None).unwrap();
    assert!(matches!(staged.warnings(), [Warning::WriteProtected { path: named }] if *named == path));
    batch.commit(vec![staged]).unwrap();
    assert_eq!(mode(&path), 0o444);
    assert!(scratch.is("vm.xml", NEW));
}

#[test]
fn a_directory_that_takes_no_new_file_is_an_error_that_names_it() {
    if !as_nobody("one::a_directory_that_takes_no_new_file_is_an_error_that_names_it") {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    set_mode(scratch.0.path(), 0o555);
    let fault = only_fault(replace(&path, None));
    set_mode(scratch.0.path(), 0o755);
    assert!(matches!(&fault, FileError::Create { directory, .. } if directory == scratch.0.path()), "{fault}");
    assert!(scratch.is("vm.xml", OLD));
}

#[test]
fn a_directory_that_may_be_written_but_not_read_is_good_enough() {
    if !as_nobody("one::a_directory_that_may_be_written_but_not_read_is_good_enough") {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    set_mode(scratch.0.path(), 0o300);
    let result = replace(&path, None);
    set_mode(scratch.0.path(), 0o700);
    result.unwrap();
    assert!(scratch.is("vm.xml", NEW));
}

#[test]
fn changed_by_someone_else_is_an_error_and_their_change_stays() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("written", |path| fs::write(path, b"<theirs/>").unwrap()),
        ("written with the same length", |path| fs::write(path, OLD.to_ascii_uppercase()).unwrap()),
        ("replaced", |path| {
            fs::write(path.with_extension("new"), OLD).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("protected", |path| set_mode(path, 0o600)),
        ("removed", |path| fs::remove_file(path).unwrap()),
    ];
    let interrupt = Interrupt::deaf();
    for (what, change) in changes {
        let scratch = Scratch::new();
        let path = scratch.file("vm.xml");
        set_mode(&path, 0o644);
        let batch = Batch::new(&interrupt);
        let staged = batch.stage(&original(&path), NEW, Some(&Suffix::new(".bak").unwrap())).unwrap();
        // The kernel's clock ticks every few milliseconds.
        std::thread::sleep(Duration::from_millis(20));
        change(&path);
        let theirs = (fs::read(&path).ok(), path.metadata().ok().map(|found| found.ino()));
        let fault = only_fault(batch.commit(vec![staged]));
        assert!(matches!(fault, FileError::Changed { .. }), "{what}: {fault}");
        assert_eq!((fs::read(&path).ok(), path.metadata().ok().map(|found| found.ino())), theirs, "{what}");
        assert!(scratch.names().len() <= 1, "{what}: {:?}", scratch.names());
    }
}

#[test]
fn a_backup_is_complete_and_has_the_same_protection() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    set_mode(&path, 0o640);
    let labelled = set_attribute(&path, "user.origin", b"ansible");
    let before = path.metadata().unwrap();
    let replaced = replace(&path, Some(".bak")).unwrap();
    let backup = scratch.path("vm.xml.bak");
    assert_eq!(replaced, [Replaced { path: path.clone(), backup: Some(backup.clone()) }]);
    assert!(scratch.is("vm.xml", NEW) && scratch.is("vm.xml.bak", OLD));
    let after = backup.metadata().unwrap();
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(attribute(&backup, "user.origin").is_some(), labelled);
    assert_eq!((path.metadata().unwrap().nlink(), after.nlink()), (1, 1), "they share nothing");
    assert_eq!(scratch.names(), ["vm.xml", "vm.xml.bak"]);
}

#[test]
fn an_existing_backup_is_not_overwritten() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    fs::write(scratch.path("vm.xml.bak"), b"the only copy").unwrap();
    let fault = only_fault(replace(&path, Some(".bak")));
    assert!(matches!(fault, FileError::BackupExists { .. }), "{fault}");
    assert!(scratch.is("vm.xml", OLD) && scratch.is("vm.xml.bak", b"the only copy"));
    assert_eq!(scratch.names(), ["vm.xml", "vm.xml.bak"]);
}

#[test]
fn a_backup_that_appears_before_the_commit_is_not_overwritten() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    let interrupt = Interrupt::deaf();
    let batch = Batch::new(&interrupt);
    let staged = batch.stage(&original(&path), NEW, Some(&Suffix::new("~").unwrap())).unwrap();
    fs::write(scratch.path("vm.xml~"), b"theirs").unwrap();
    let fault = only_fault(batch.commit(vec![staged]));
    assert!(matches!(fault, FileError::BackupExists { .. }), "{fault}");
    assert!(scratch.is("vm.xml", OLD) && scratch.is("vm.xml~", b"theirs"));
}

#[test]
fn the_backup_of_a_run_that_was_killed_before_its_rename_is_taken_for_what_it_is() {
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    fs::hard_link(&path, scratch.path("vm.xml.bak")).unwrap();
    replace(&path, Some(".bak")).unwrap();
    assert!(scratch.is("vm.xml", NEW) && scratch.is("vm.xml.bak", OLD));
}

#[test]
fn a_suffix_names_another_file_beside_the_first() {
    assert_eq!(Suffix::new(""), Err(BadSuffix::Empty));
    assert_eq!(Suffix::new("/../x"), Err(BadSuffix::Slash));
    assert_eq!(Suffix::new(".bak").unwrap().as_os_str(), OsStr::new(".bak"));
}

#[test]
fn what_does_not_fit_is_an_error_and_leaves_nothing() {
    const TEST: &str = "file::tests::one::what_does_not_fit_is_an_error_and_leaves_nothing";
    const LIMITED: &str = "VIRT_MDEV_TEST_LIMITED";
    if std::env::var_os(LIMITED).is_none() {
        // A limit of 512 bytes for each file stands for a disk that is full; the signal that comes with it must not
        // kill.
        let output = Command::new("sh")
            .args(["-c", r#"ulimit -f 1; exec "$0" --exact "$1""#])
            .arg(std::env::current_exe().unwrap())
            .arg(TEST)
            .env(LIMITED, "1")
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains("1 passed"), "{:?} {stdout}", output.status);
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.file("vm.xml");
    let interrupt = Interrupt::listen().unwrap();
    let fault = Batch::new(&interrupt).stage(&original(&path), &[b'x'; 4096], None).unwrap_err();
    assert!(matches!(fault, FileError::Write { .. }), "{fault}");
    assert!(scratch.is("vm.xml", OLD));
    assert_eq!(scratch.names(), ["vm.xml"]);
}

fn output(path: &Path) -> Result<Vec<Replaced>, CommitError> {
    let interrupt = Interrupt::deaf();
    let batch = Batch::new(&interrupt);
    let staged = batch.stage_output(path, NEW)?;
    batch.commit(vec![staged])
}

#[test]
fn an_output_file_that_is_new_has_the_mode_of_any_new_file() {
    let scratch = Scratch::new();
    let usual = scratch.file("usual");
    output(&scratch.path("out.xml")).unwrap();
    assert!(scratch.is("out.xml", NEW));
    assert_eq!(mode(&scratch.path("out.xml")), mode(&usual));
    assert_eq!(scratch.names(), ["out.xml", "usual"]);
}

#[test]
fn an_output_file_that_exists_is_replaced_with_the_same_care() {
    let scratch = Scratch::new();
    let path = scratch.file("real.xml");
    set_mode(&path, 0o600);
    symlink("real.xml", scratch.path("link.xml")).unwrap();
    output(&scratch.path("link.xml")).unwrap();
    assert!(scratch.is("real.xml", NEW));
    assert_eq!(mode(&path), 0o600);
    assert!(scratch.path("link.xml").symlink_metadata().unwrap().is_symlink());
    fs::hard_link(&path, scratch.path("other.xml")).unwrap();
    assert!(matches!(only_fault(output(&path)), FileError::HardLinks { .. }));
}

#[test]
fn an_output_file_that_appears_in_the_meantime_stays() {
    let scratch = Scratch::new();
    let path = scratch.path("out.xml");
    let interrupt = Interrupt::deaf();
    let batch = Batch::new(&interrupt);
    let staged = batch.stage_output(&path, NEW).unwrap();
    scratch.file("out.xml");
    let fault = only_fault(batch.commit(vec![staged]));
    assert!(matches!(fault, FileError::Appeared { .. }), "{fault}");
    assert!(scratch.is("out.xml", OLD));
    assert_eq!(scratch.names(), ["out.xml"]);
}

#[test]
fn an_output_that_is_no_file_is_refused() {
    let scratch = Scratch::new();
    fifo(&scratch.path("fifo"));
    symlink("gone/x", scratch.path("dangling")).unwrap();
    let refused = |path: PathBuf| only_fault(output(&path));
    let kind = |path: &Path| match refused(path.to_owned()) {
        FileError::NotRegular { kind, .. } => kind,
        fault => panic!("{fault}"),
    };
    assert_eq!(kind(Path::new("/dev/null")), FileKind::CharacterDevice);
    assert_eq!(kind(&scratch.path("fifo")), FileKind::Fifo);
    assert_eq!(kind(scratch.0.path()), FileKind::Directory);
    assert!(matches!(refused("/dev/stdout".into()), FileError::Descriptor { .. }));
    assert!(matches!(refused("/dev/fd/1".into()), FileError::Descriptor { .. }));
    assert!(matches!(refused(scratch.path("dangling")), FileError::DanglingLink { .. }));
    assert!(matches!(refused(scratch.path("gone/x")), FileError::Create { .. }));
    assert!(matches!(refused(scratch.path("new/")), FileError::NotFound { .. }));
    assert!(matches!(refused("".into()), FileError::NotFound { .. }));
}

#[test]
fn standard_input_is_no_file_to_replace() {
    let interrupt = Interrupt::deaf();
    let piped = Original { input: Input::Stdin, contents: Vec::new(), found: None };
    let fault = Batch::new(&interrupt).stage(&piped, NEW, None).unwrap_err();
    assert!(matches!(fault, FileError::StandardInput), "{fault}");
}
