//! See the library.

use std::io::Write;
use std::process::ExitCode;

use sikkerkey_sidecar::cli::Command;

fn main() -> ExitCode {
    let result = match Command::parse(std::env::args_os().skip(1)) {
        Ok(command) => sikkerkey_sidecar::run::run(command),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: it becomes the message of a pod's status.
            drop(writeln!(std::io::stderr(), "{error:#}"));
            ExitCode::from(sikkerkey_sidecar::run::exit_code(&error))
        }
    }
}
