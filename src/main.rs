//! The command `virt-mdev`: what was typed goes to the library, what comes back is printed and becomes the exit status.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use virt_mdev::cli::{Environment, Request};
use virt_mdev::command::{self, Failure, Outcome, Streams};

fn main() -> ExitCode {
    let environment = Environment::read(|name| std::env::var_os(name));
    let request = match Request::parse(std::env::args_os(), environment) {
        Ok(request) => request,
        Err(asked) => {
            // Help and version are no errors; a reader that has closed the pipe has seen enough of them.
            let _ = asked.print();
            return ExitCode::from(asked.exit_code() as u8);
        }
    };
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let has_bar = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let colour = has_bar && !is_plain;
    let mut streams = Streams { stdout: &mut io::stdout().lock(), stderr: &mut io::stderr(), colour, has_bar };
    match command::run(&request, &mut streams) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Differs) => ExitCode::from(1),
        Err(failure) => fail(&failure, colour),
    }
}

fn fail(failure: &Failure, colour: bool) -> ExitCode {
    for diagnostic in failure.diagnostics() {
        // There is nobody to tell that nobody can be told.
        let _ = io::stderr().write_all(diagnostic.render(colour).as_bytes());
    }
    ExitCode::from(failure.exit_status())
}
