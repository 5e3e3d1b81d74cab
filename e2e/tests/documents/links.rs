//! What a document links to.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use sikkerkey_e2e::cargo;
use sikkerkey_e2e::document::{self, Document};

/// As the forge makes it of a heading.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().to_lowercase();
    let kept = letters.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

/// Outside of blocks.
fn prose(document: &Document) -> impl Iterator<Item = &str> {
    let mut inside = false;
    document.text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        !inside && !is_fence
    })
}

fn anchors(document: &Document) -> BTreeSet<String> {
    prose(document).filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// `a/b/../c` is `a/c`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

#[test]
fn every_link_leads_somewhere() {
    let documents = document::all().unwrap();
    let headings: HashMap<&str, BTreeSet<String>> =
        documents.iter().map(|it| (it.path.as_str(), anchors(it))).collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in &documents {
        let targets =
            prose(document).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|it| !it.starts_with("http")) {
            seen += 1;
            let (file, heading) =
                target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
            let path = match file {
                "" => PathBuf::from(&document.path),
                file => plain(&Path::new(&document.path).with_file_name("").join(file)),
            };
            let is_there = cargo::workspace().join(&path).exists();
            let has_heading = heading.is_none_or(|it| {
                path.to_str().and_then(|path| headings.get(path)).is_some_and(|headings| headings.contains(it))
            });
            if !is_there || !has_heading {
                wrong.push(format!("{}: {target}", document.path));
            }
        }
    }
    assert!(seen > 20, "{seen} links");
    assert!(wrong.is_empty(), "these lead nowhere: {wrong:#?}");
}
