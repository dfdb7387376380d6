//! The command `virt-mdev`: passes the command line to the library, prints errors, and sets the exit status.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use virt_mdev::cli::{self, Environment};
use virt_mdev::command::{self, Failure, Outcome, Streams};
use virt_mdev::file::Stdout;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let environment = Environment::read(|name| std::env::var_os(name));
    let settings = match cli::parse(std::env::args_os(), environment) {
        Ok(settings) => settings,
        Err(error) => return print_usage(&error),
    };
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let has_bar = io::stderr().is_terminal() && !is_dumb;
    let color = has_bar && !is_plain;
    let stdout_color = io::stdout().is_terminal() && !is_dumb && !is_plain;
    let mut streams =
        Streams { stdout: &mut Stdout::default(), stderr: &mut io::stderr(), color, stdout_color, has_bar };
    match command::run(&settings, &mut streams) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Differs) => ExitCode::from(1),
        Err(failure) => fail(&failure, color),
    }
}

/// Prints help, the version, or what is wrong with the command line.
fn print_usage(usage: &clap::Error) -> ExitCode {
    if !usage.use_stderr() && !io::stdout().is_terminal() {
        match Stdout::default().write_all(usage.render().to_string().as_bytes()) {
            // A reader that closes the pipe early, such as head, is not an error.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return fail(&Failure::of_stdout(&error), false),
            _ => {}
        }
    } else {
        // Errors are ignored: there is nowhere else to report them.
        let _ = usage.print();
    }
    ExitCode::from(usage.exit_code() as u8)
}

fn fail(failure: &Failure, color: bool) -> ExitCode {
    for diagnostic in &failure.errors {
        // Errors writing to stderr are ignored: there is nowhere else to report them.
        let _ = io::stderr().write_all(diagnostic.render(color).as_bytes());
    }
    ExitCode::from(failure.exit_status)
}
