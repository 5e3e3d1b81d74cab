//! Commands of the server that stand within sentences and tables: the program has each, with the options that are given.

use clap::{Command, CommandFactory};
use sikkerkey_e2e::document;
use sikkerkey_server::cli::Cli;

/// The command that these words name; or which word names none.
fn named<'a>(root: &'a Command, words: &[&str]) -> Result<&'a Command, String> {
    let mut command = root;
    for word in words {
        if !command.has_subcommands()
            || word.starts_with('-')
            || !word.chars().all(|it| it.is_ascii_lowercase() || it == '-')
        {
            break;
        }
        command = command.find_subcommand(word).ok_or_else(|| format!("{} has no {word}", command.get_name()))?;
    }
    Ok(command)
}

#[test]
fn every_administrative_command_that_is_named_is_one() {
    let mut cli = Cli::command();
    cli.build();
    let admin = cli.find_subcommand("admin").unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in document::all().unwrap() {
        let spans = document.text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        for span in spans.filter_map(|span| span.trim_start_matches("sikkerkey-server ").strip_prefix("admin ")) {
            let words: Vec<&str> = span.split_whitespace().collect();
            seen += 1;
            match named(admin, &words) {
                Err(error) => wrong.push(format!("{}: admin {span}: {error}", document.path)),
                Ok(command) => {
                    let has = |name: &str| command.get_arguments().any(|it| it.get_long() == Some(name));
                    let options = words.iter().filter_map(|word| word.strip_prefix("--"));
                    let unknown = options
                        .filter(|name| !has(name) && !admin.get_arguments().any(|it| it.get_long() == Some(name)));
                    wrong.extend(unknown.map(|name| format!("{}: admin {span}: there is no --{name}", document.path)));
                }
            }
        }
    }
    assert!(seen > 30, "{seen} commands");
    assert!(wrong.is_empty(), "the program does not take these: {wrong:#?}");
}
