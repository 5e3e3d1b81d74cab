//! The committed scripts, read by other readers of their languages.

use std::path::{Path, PathBuf};
use std::process::Command;

use sikkerkey_protocol::bootstrap::{BootstrapCommand, Shell};

use super::tools::find;
use crate::skipped::skipped;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/src/http/bootstrap/golden");

fn scripts(ending: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(GOLDEN).unwrap().map(|it| it.unwrap().path());
    let found: Vec<PathBuf> = files.filter(|it| it.extension().is_some_and(|it| it == ending)).collect();
    assert!(found.len() >= 2, "{found:?}");
    found
}

#[test]
fn shellcheck_has_nothing_to_say_about_the_scripts() {
    let Some(shellcheck) = find("shellcheck") else {
        return skipped("shellcheck_has_nothing_to_say_about_the_scripts", "apt-get install -y shellcheck");
    };
    for script in scripts("sh") {
        let output = Command::new(&shellcheck).args(["--shell=sh", "--severity=style"]).arg(&script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn each_shell_parses_the_scripts() {
    for script in scripts("sh") {
        for shell in [&["dash"][..], &["bash"], &["bash", "--posix"], &["busybox", "ash"]] {
            let output = Command::new(shell[0]).args(&shell[1..]).arg("-n").arg(&script).output().unwrap();
            assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Whether a reader of `PowerShell` understands all of a text; where it does not, what.
fn misread(text: &str) -> Option<String> {
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
    let tree = parser.parse(text, None).unwrap();
    let mut nodes = vec![tree.root_node()];
    while let Some(node) = nodes.pop() {
        if node.is_error() || node.is_missing() {
            let line = text.lines().nth(node.start_position().row).unwrap_or_default();
            return Some(format!("line {}: {line}", node.start_position().row + 1));
        }
        let mut cursor = node.walk();
        nodes.extend(node.children(&mut cursor));
    }
    None
}

#[test]
fn a_reader_of_powershell_understands_the_scripts_and_the_commands() {
    for script in scripts("ps1") {
        let text = std::fs::read_to_string(&script).unwrap();
        assert_eq!(misread(&text), None, "{}", script.display());
        // It would not understand everything.
        assert!(
            misread(&text[..text.len() / 2].trim_end_matches(char::is_whitespace).replace('}', "")).is_some()
                || !is_long(&script)
        );
    }
    let token = "ab".repeat(32);
    let authority = "-----BEGIN CERTIFICATE-----\nMIIB+/8=\n-----END CERTIFICATE-----\n";
    for authority in [None, Some(authority)] {
        let command = BootstrapCommand { url: "https://s.example.com", token: &token, authority, temporary_in: None };
        assert_eq!(misread(&command.text(Shell::PowerShell)), None);
    }
}

fn is_long(script: &Path) -> bool {
    std::fs::metadata(script).unwrap().len() > 1000
}
