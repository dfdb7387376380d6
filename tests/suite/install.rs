//! What the Makefile installs without building anything.

use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tempfile::TempDir;

/// A directory that the hook is installed into.
struct Destination(TempDir);

impl Destination {
    fn new() -> Self {
        let destination = Self(tempfile::Builder::new().prefix("with blanks in it").tempdir().unwrap());
        fs::create_dir_all(destination.hooks()).unwrap();
        destination
    }

    /// Runs make, and returns what it prints.
    fn make(&self, target: &str, prefix: &str) -> String {
        self.make_with(target, prefix, &[])
    }

    /// The same with more variables.
    fn make_with(&self, target: &str, prefix: &str, variables: &[String]) -> String {
        let made = Command::new("make")
            .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), target])
            .args([format!("PREFIX={prefix}"), format!("DESTDIR={}", self.0.path().display())])
            .args(variables)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap()
    }

    fn hooks(&self) -> PathBuf {
        self.0.path().join("etc/libvirt/hooks/qemu.d")
    }

    /// Returns where a release before 0.2 installed the script.
    fn older(&self) -> PathBuf {
        self.hooks().join("90-virt-mdev")
    }

    fn hook(&self) -> PathBuf {
        self.hooks().join("zz-virt-mdev")
    }

    fn conf(&self) -> PathBuf {
        self.0.path().join("etc/virt-mdev/hook.conf")
    }

    /// Installs the hook, and returns its settings.
    #[track_caller]
    fn install(&self) -> String {
        self.make("install-hook", "/usr");
        // libvirt runs every executable in the directory.
        let names: Vec<_> = fs::read_dir(self.hooks()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["zz-virt-mdev"]);
        assert_eq!(fs::read_link(self.hook()).unwrap(), Path::new("/usr/sbin/virt-mdev-hook"));
        let script = self.0.path().join("usr/sbin/virt-mdev-hook");
        assert_eq!(fs::read(&script).unwrap(), include_bytes!("../../hooks/virt-mdev-hook"));
        assert_eq!(fs::metadata(script).unwrap().permissions().mode() & 0o777, 0o755);
        let conf = self.conf();
        assert_eq!(fs::metadata(&conf).unwrap().permissions().mode() & 0o777, 0o644);
        let names: Vec<_> =
            fs::read_dir(conf.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["hook.conf"]);
        fs::read_to_string(conf).unwrap()
    }
}

/// The settings of a first installation.
const FRESH: &str = include_str!("../../hooks/hook.conf");

/// Returns the settings with these options turned on.
fn turned_on(options: &[&str]) -> String {
    options.iter().fold(FRESH.to_owned(), |conf, option| {
        let on = conf.replace(&format!("#option={option}\n"), &format!("option={option}\n"));
        assert_ne!(on, conf, "{option}");
        on
    })
}

/// Returns a script as the releases before 0.2 installed it, with these lines after the first `options=`.
fn older_script(lines: &str) -> String {
    format!(
        "#!/bin/sh\nset -e\nbinary=/usr/bin/virt-mdev\noptions=\n{lines}\n\
         #options=\"$options --follow-guest-address\"   # judge by the guest address\nset +e\n\
         if true; then\n    options=\"$options --check-start\"\nfi\n"
    )
}

#[test]
fn the_first_installation_runs_the_installed_program_without_options() {
    let destination = Destination::new();
    assert_eq!(destination.install(), FRESH);
    let destination = Destination::new();
    let printed = destination.make("install-hook", "/usr/local");
    let conf = fs::read_to_string(destination.conf()).unwrap();
    assert_eq!(conf, FRESH.replace("=/usr/bin/virt-mdev", "=/usr/local/bin/virt-mdev"));
    let rule = "usr.sbin.libvirtd: /usr/local/sbin/virt-mdev-hook PUx,\n";
    assert!(printed.contains(rule), "{printed}");
    assert!(!destination.make("install-hook", "/usr").contains("PUx"));
}

/// Returns the names that were removed from these directories, or whose files were written, while `work` ran.
fn missing_or_written(directories: &[PathBuf], work: impl FnOnce()) -> Vec<String> {
    let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
    for directory in directories {
        let flags = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MODIFY;
        inotify::add_watch(&watch, directory, flags).unwrap();
    }
    work();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    let mut names = Vec::new();
    loop {
        match events.next() {
            Ok(event) => names.push(event.file_name().unwrap().to_str().unwrap().to_owned()),
            Err(Errno::AGAIN) => return names,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn an_upgrade_never_leaves_a_guest_without_the_hook_or_the_program() {
    let destination = Destination::new();
    let bin = destination.0.path().join("usr/bin");
    // What `make install` copies need not be the program.
    let target = tempfile::tempdir().unwrap();
    fs::create_dir(target.path().join("release")).unwrap();
    fs::write(target.path().join("release/virt-mdev"), "the program").unwrap();
    let upgrade = || {
        destination.make_with("install", "/usr", &[format!("CARGO_TARGET_DIR={}", target.path().display())]);
        destination.make("install-hook", "/usr");
    };
    upgrade();
    let directories = [bin.clone(), bin.with_file_name("sbin"), destination.hooks()];
    let names = missing_or_written(&directories, upgrade);
    let ours = ["virt-mdev", "virt-mdev-hook", "zz-virt-mdev"];
    assert!(names.iter().any(|name| name == "virt-mdev.new"), "nothing was seen: {names:?}");
    assert!(!names.iter().any(|name| ours.contains(&name.as_str())), "{names:?}");
}

#[test]
fn settings_stay_as_they_are() {
    let destination = Destination::new();
    destination.install();
    let conf = "# mine\nbinary=/opt/virt-mdev\noption=--require\nwrong";
    fs::write(destination.conf(), conf).unwrap();
    assert_eq!(destination.install(), conf);
    assert!(destination.make("install-hook", "/usr").contains("names another program than /usr/bin/virt-mdev\n"));
}

#[test]
fn options_of_an_older_script_are_taken_over() {
    for (lines, options) in [
        ("", &[][..]),
        ("options=\"$options --require\"       # refuse a guest", &["--require"]),
        ("options=\"$options --check-start\"\noptions=\"$options --require\"", &["--require", "--check-start"]),
        ("options=\"$options --require\"\noptions='--check-start'  # alone", &["--check-start"]),
        ("options=--defer-absent", &["--defer-absent"]),
        ("options=\"${options} --require --check-start\"", &["--require", "--check-start"]),
    ] {
        for name in [Destination::older, Destination::hook] {
            let destination = Destination::new();
            fs::write(name(&destination), older_script(lines)).unwrap();
            for _ in 0..2 {
                assert_eq!(destination.install(), turned_on(options), "{lines}");
            }
        }
    }
}

#[test]
fn options_of_two_scripts_and_of_the_settings_are_all_kept() {
    let destination = Destination::new();
    destination.install();
    fs::remove_file(destination.hook()).unwrap();
    fs::write(destination.conf(), turned_on(&["--defer-absent"])).unwrap();
    fs::write(destination.older(), older_script("options=\"$options --require\"")).unwrap();
    fs::write(destination.hook(), older_script("options=\"$options --check-start\"")).unwrap();
    assert_eq!(destination.install(), turned_on(&["--require", "--check-start", "--defer-absent"]));
}

#[test]
fn options_that_the_settings_do_not_offer_are_added() {
    for (lines, options) in [
        ("options='--require --sysfs /a'", "option=--sysfs /a\n"),
        ("options=\"$options --require --sysfs /b#c --new\" # why", "option=--sysfs /b#c\noption=--new\n"),
        // The hook refuses guests with mediated devices until this line is corrected.
        ("options=\"$options --require\"\noptions=\"$options $(cat /etc/x)\"", "option=$(cat /etc/x)\n"),
    ] {
        let destination = Destination::new();
        fs::write(destination.older(), older_script(lines)).unwrap();
        for _ in 0..2 {
            assert_eq!(destination.install(), turned_on(&["--require"]) + options);
        }
    }
}

#[test]
fn uninstalling_removes_the_hook_under_both_names() {
    let destination = Destination::new();
    destination.install();
    fs::write(destination.older(), "").unwrap();
    fs::write(destination.hooks().join("50-other"), "").unwrap();
    destination.make("uninstall", "/usr");
    assert!(!destination.hook().is_symlink() && !destination.older().exists());
    assert!(!destination.0.path().join("usr/sbin/virt-mdev-hook").exists());
    assert!(!destination.conf().parent().unwrap().exists());
    assert!(destination.hooks().join("50-other").exists());
}
