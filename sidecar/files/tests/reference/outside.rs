//! Programs that are not ours.

use std::process::Command;

use crate::skipped::skipped;

/// Whether `program` can run `arguments`. If not, the test is [`skipped`].
pub(crate) fn is_there(test: &str, program: &str, arguments: &[&str], package: &str) -> bool {
    let problem = match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    skipped(test, &format!("{program}: {}; install it: apt-get install -y {package}", problem.trim()));
    false
}

/// What a program prints that must succeed.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
