//! Programs that are not ours.

use std::fs::File;
use std::io::Write;
use std::process::Command;

/// Whether `program` can run `arguments`. If not, that is said where the test runner does not swallow it, and in the file
/// that `SIKKERKEY_E2E_SKIPPED` names.
pub(crate) fn is_there(test: &str, program: &str, arguments: &[&str], package: &str) -> bool {
    let problem = match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "with CI=true nothing may be skipped, and {test} cannot run here: {program}: {problem}");
    let said = format!("SKIPPED {test}: {program}: {}; install it: apt-get install -y {package}\n", problem.trim());
    // Not `eprintln!`, which the test runner catches.
    drop(std::io::stderr().write_all(said.as_bytes()));
    if let Some(list) = std::env::var_os("SIKKERKEY_E2E_SKIPPED") {
        let file = File::options().append(true).create(true).open(list);
        file.and_then(|mut file| writeln!(file, "{test}")).expect("SIKKERKEY_E2E_SKIPPED can be written");
    }
    false
}

/// What a program prints that must succeed.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
