//! What a program logs, as its source says it.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use sikkerkey_e2e::cargo;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// One line of the log, before anything is filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: String,
    pub(crate) fields: Vec<String>,
    /// With `…` for what is filled in; none where that is all there is.
    pub(crate) message: Option<String>,
}

/// Every line of the sources below these directories of the repository, tests apart.
pub(crate) fn lines(directories: &[&str]) -> Vec<Line> {
    let mut found = Vec::new();
    let mut left: Vec<_> = directories.iter().map(|directory| cargo::workspace().join(directory)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            left.extend(entries.filter(|path| path.file_stem().unwrap() != "tests"));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source: TokenStream = std::fs::read_to_string(&path).unwrap().parse().unwrap();
            found.extend(walk(source, &path));
        }
    }
    found
}

fn walk(source: TokenStream, path: &Path) -> Vec<Line> {
    let tokens: Vec<TokenTree> = source.into_iter().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(token) = tokens.get(at) {
        let before = |back: usize| at.checked_sub(back).map(|at| tokens[at].to_string()).unwrap_or_default();
        match token {
            TokenTree::Group(group) if before(1) == "#" && plain(&group.stream()) == "cfg(test)" => {
                // What is for tests ends with its body, or without one.
                let is_end = |token: &TokenTree| match token {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    TokenTree::Punct(punct) => punct.as_char() == ';',
                    _ => false,
                };
                at += tokens[at..].iter().position(is_end).unwrap_or(0);
            }
            TokenTree::Group(group) => {
                let level = before(2);
                if before(1) == "!" && LEVELS.contains(&&*level) {
                    let of = [before(5), before(4), before(3)].concat();
                    assert_eq!(of, "tracing::", "{}: write tracing::{level}!, so that it is found", path.display());
                    found.push(line(level, group.stream()));
                }
                found.extend(walk(group.stream(), path));
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Without spaces.
fn plain(tokens: &TokenStream) -> String {
    tokens.to_string().replace(char::is_whitespace, "")
}

fn line(level: String, arguments: TokenStream) -> Line {
    let (mut fields, mut part) = (Vec::new(), Vec::new());
    let comma = TokenTree::Punct(proc_macro2::Punct::new(',', proc_macro2::Spacing::Alone));
    for token in arguments.into_iter().chain([comma]) {
        if !matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',') {
            part.push(token);
            continue;
        }
        let texts: Vec<String> = std::mem::take(&mut part).iter().map(ToString::to_string).collect();
        match &*texts {
            [] => {}
            // Behind the message stands what is filled in.
            [message] if message.starts_with('"') => return Line { level, fields, message: message_of(message) },
            [word, colon, ..] if colon == ":" => assert_eq!(word, "target", "an argument that is not known here"),
            texts => {
                let name = texts.split(|text| text == "=").next().unwrap().concat();
                fields.push(name.trim_start_matches(['%', '?']).to_owned());
            }
        }
    }
    Line { level, fields, message: None }
}

fn message_of(literal: &str) -> Option<String> {
    let text = literal[1..literal.len() - 1].replace("\\\"", "\"");
    // A backslash at the end of a line takes the space before the next away.
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    let text = parts.fold(first, |text, part| text + part.trim_start());
    let (mut message, mut rest) = (String::new(), &*text);
    while let Some((before, after)) = rest.split_once('{') {
        message = message + before + "…";
        rest = after.split_once('}').unwrap().1;
    }
    message += rest;
    (message != "…").then_some(message)
}

#[test]
fn lines_are_found_with_their_fields_and_tests_are_not() {
    let source = r#"
        fn a() {
            if b { tracing::warn!(%error, kind = K::KIND, ?c.d, target: "x", leads = *e.f(g, h), "not {}: \
                      {error} \"q\"", 1 + 2) }
            match x { Err(_) => tracing::error!("{back}"), _ => tracing::info!(first, "all"), }
        }
        #[cfg(test)]
        mod tests { fn f() { tracing::info!(unseen, "never"); } }
        #[cfg(test)]
        mod elsewhere;
        fn g() { tracing::debug!(seen) }
    "#;
    let line = |level: &str, fields: &[&str], message: Option<&str>| Line {
        level: level.to_owned(),
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
        message: message.map(str::to_owned),
    };
    let found = walk(source.parse().unwrap(), Path::new("a.rs"));
    let expected = [
        line("warn", &["error", "kind", "c.d", "leads"], Some("not …: … \"q\"")),
        line("error", &[], None),
        line("info", &["first"], Some("all")),
        line("debug", &["seen"], None),
    ];
    assert_eq!(found, expected);
    let known: BTreeSet<_> = lines(&["sidecar/src"]).into_iter().filter_map(|line| line.message).collect();
    assert!(known.contains("enrolled") && !known.contains("a whole body"), "{known:?}");
}
