//! The promises about files: [`one`] file, [`many`] files, failures from outside ([`adversity`]), and standard input and
//! output ([`streams`]).

mod adversity;
mod many;
mod one;
mod streams;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, inotify, mknodat};

use crate::support::guests::uuid;
use crate::support::here::skipped;
use crate::support::{Run, Scratch};

/// The user `nobody`.
const NOBODY: u32 = 65534;

/// Runs a program with default actions for signals: the tests may run under nohup, which ignores SIGHUP.
const DEFAULT_SIGNALS: [&str; 2] = ["env", "--default-signal=HUP,INT,TERM"];

/// Runs under strace with `options`, and returns its log of the system calls of all threads.
fn traced(run: Run<'_>, scratch: &Scratch, options: &[&str]) -> String {
    let log = scratch.path("../strace.log");
    let strace = ["strace", "-f"].iter().chain(options).chain(&["-o"]).map(OsStr::new);
    run.under(strace.chain([log.as_os_str()])).check();
    fs::read_to_string(log).unwrap()
}

/// Checks a run under a script that mounts something first and exits with 99 if it cannot; that is reported as a skipped test.
#[track_caller]
fn check_mounted(run: Run<'_>) {
    let (errors, finished) = run.errors();
    if finished.status == Some(99) || finished.stderr_text().contains("unshare") {
        return skipped("nothing can be mounted here");
    }
    assert!(errors.is_empty(), "{errors:?}: {}", finished.stderr_text());
}

/// Returns the standard output of a program, which must succeed.
fn output_of(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the description of a host with device 1 of host-a.
fn host_of_one() -> String {
    let parent = "parent pci 0000:00:02.0 vendor=0x1234 device=0x11e8\n    type i915-V5_4 api=vfio-pci\n";
    format!("{parent}mdev {} 0000:00:02.0 i915-V5_4\n", uuid(1))
}

/// A host that answers on request: a FIFO that has a writer. Until then a run waits, after it has read the document.
struct SlowHost {
    vendor: File,
    opened: OwnedFd,
}

impl SlowHost {
    /// Makes the host in `scratch`, and returns its path.
    fn new(scratch: &Scratch) -> (Self, PathBuf) {
        let sys = scratch.host(&host_of_one());
        let path = sys.join("devices/pci0000:00/0000:00:02.0/vendor");
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        let vendor = File::options().read(true).write(true).open(&path).unwrap();
        let opened = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&opened, &path, inotify::WatchFlags::OPEN).unwrap();
        (Self { vendor, opened }, sys)
    }

    /// Waits until a run looks up the device, does `meanwhile`, and answers.
    fn answer_after(&self, meanwhile: impl FnOnce()) {
        let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
        let events = poll(&mut [PollFd::new(&self.opened, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(events, 1, "no run has looked up the device");
        meanwhile();
        (&self.vendor).write_all(b"0x1234\n").unwrap();
    }
}

/// Whether this is the name of a temporary file for `target`, which may remain from a killed run.
fn is_temporary_of(target: &str, name: &str) -> bool {
    let rest = name.strip_prefix(&format!(".{target}.virt-mdev-")).and_then(|rest| rest.strip_suffix(".tmp"));
    rest.is_some_and(|random| random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
