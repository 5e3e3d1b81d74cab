//! How the demo looks on a terminal.

use std::io::{self, Write};

use crate::cargo;

/// A line. A reader that went away must not keep the demo from cleaning up.
pub fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// A step of the story: a heading, and a sentence of what happens and why.
pub fn chapter(title: &str, why: &str) {
    say(&format!("\n\x1b[1m── {title}\x1b[0m"));
    if !why.is_empty() {
        say(why);
    }
}

/// A command and what it wrote.
pub(super) fn command(command: &str, output: &str) {
    let workspace = format!("{}/", cargo::workspace().display());
    say(&format!("\x1b[36m$ {}\x1b[0m", command.replace(&workspace, "")));
    say(output.trim_end());
}

/// Words as a person types them to a shell.
pub(super) fn typed<S: AsRef<str>>(program: &str, words: &[S]) -> String {
    let quoted = words.iter().map(|word| {
        let word = word.as_ref();
        if word.contains([' ', '*', '[', '$', '\'']) {
            format!("'{}'", word.replace('\'', r"'\''"))
        } else {
            word.to_owned()
        }
    });
    std::iter::once(program.to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

/// What was measured.
pub(super) fn measured(text: &str) {
    say(&format!("\x1b[32m→ {text}\x1b[0m"));
}

/// Some columns of a table that is aligned below its headings, each line at most `width` characters.
pub(super) fn columns(table: &str, wanted: &[&str], width: usize) -> String {
    let Some(headings) = table.lines().next() else { return String::new() };
    let mut ranges: Vec<(usize, &str)> = Vec::new();
    for name in headings.split_whitespace() {
        let from = ranges.last().map_or(0, |(at, name)| at + name.len());
        let at = headings.get(from..).and_then(|rest| rest.find(name)).map_or(from, |at| from + at);
        ranges.push((at, name));
    }
    let cut = |line: &str| -> String {
        let letters: Vec<char> = line.chars().collect();
        let mut out = String::new();
        for (index, (at, name)) in ranges.iter().enumerate() {
            if wanted.contains(name) {
                let end = ranges.get(index + 1).map_or(letters.len(), |(next, _)| *next).min(letters.len());
                out.extend(letters.get(*at..end).unwrap_or_default());
            }
        }
        let out = out.trim_end();
        if out.chars().count() <= width {
            return out.to_owned();
        }
        out.chars().take(width - 1).chain(['…']).collect()
    };
    table.lines().map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_command_can_be_typed() {
        assert_eq!(typed("kubectl", &["get", "pod", "-o", "name"]), "kubectl get pod -o name");
        assert_eq!(typed("grep", &[" /run ", "it's"]), r"grep ' /run ' 'it'\''s'");
    }

    #[test]
    fn only_the_wanted_columns_are_shown_and_no_line_is_too_long() {
        let table = "TIME  ACTION  NODE    DETAIL\n10:00 read    node-1  é and more\n10:01 apply   -       short";
        assert_eq!(columns(table, &["TIME", "NODE"], 80), "TIME  NODE\n10:00 node-1\n10:01 -");
        assert_eq!(columns(table, &["NODE", "DETAIL"], 12), "NODE    DET…\nnode-1  é a…\n-       sho…");
        assert_eq!(columns("", &["NODE"], 10), "");
    }
}
