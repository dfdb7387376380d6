//! Completion scripts for shells.
//!
//! They are shipped, not generated when they are printed: `make` and packages install them after a cross build, whose program
//! does not run on the machine that built it. `tests/suite/completions.rs` generates them and checks that they are current.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    /// Returns the script that completes this program's command line.
    pub(super) fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("completions/virt-mdev.bash"),
            Self::Elvish => include_str!("completions/virt-mdev.elvish"),
            Self::Fish => include_str!("completions/virt-mdev.fish"),
            Self::Powershell => include_str!("completions/virt-mdev.powershell"),
            Self::Zsh => include_str!("completions/virt-mdev.zsh"),
        }
    }
}
