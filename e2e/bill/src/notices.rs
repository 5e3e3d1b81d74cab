//! The licence texts of all that is inside a program, as those licences ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::linked::{Crate, Id, Linked};

/// How the names of files begin that are such texts.
const BEGINNINGS: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
const LINE: &str = "================================================================================";

/// Reads the texts out of the packages, and puts them into one document; a text that several have stands there once.
pub fn notices(linked: &Linked) -> io::Result<String> {
    let foreign: Vec<&Crate> = linked.crates.values().filter(|it| it.checksum.is_some()).collect();
    let mut texts = BTreeMap::<String, BTreeSet<&Id>>::new();
    for it in &foreign {
        for text in texts_of(&it.directory)? {
            texts.entry(text).or_default().insert(&it.id);
        }
    }
    Ok(print(linked, &foreign, &texts))
}

fn texts_of(directory: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if BEGINNINGS.iter().any(|begin| name.starts_with(begin)) && entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.iter().map(|file| Ok(normal(&String::from_utf8_lossy(&fs::read(file)?)))).collect()
}

/// Without what does not show: texts that differ in it alone are the same.
fn normal(text: &str) -> String {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        .trim_matches('\n')
        .to_owned()
}

fn print(linked: &Linked, foreign: &[&Crate], texts: &BTreeMap<String, BTreeSet<&Id>>) -> String {
    let Id { name, version } = &linked.root;
    let mut out = format!("What {name} {version} for {} has inside, and under which licences.\n\n", linked.triple);
    let told = |id: &Id| texts.values().any(|ids| ids.contains(id));
    // Writing to a string cannot fail.
    for Crate { id, license, .. } in foreign {
        let without = if told(id) { "" } else { " (its package has no text of it)" };
        let _ = writeln!(out, "{} {}: {license}{without}", id.name, id.version);
    }
    for native in &linked.natives {
        let _ = writeln!(out, "{} {}: {}, see {}", native.id.name, native.id.version, native.license, native.home);
    }
    for (text, ids) in texts {
        let ids: Vec<String> = ids.iter().map(|id| format!("{} {}", id.name, id.version)).collect();
        let _ = write!(out, "\n{LINE}\nOf {}\n{LINE}\n\n{text}\n", ids.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notices_have_each_text_once_and_say_of_whom_it_is() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let linked = Linked::gather(&workspace, "sikkerkey-sidecar").unwrap();
        let notices = notices(&linked).unwrap();
        let crates = linked.crates.values().filter(|it| it.checksum.is_some());
        for Crate { id, license, .. } in crates {
            let line = format!("\n{} {}: {license}", id.name, id.version);
            assert!(notices.contains(&line), "{line}");
        }
        assert!(notices.contains("\nglibc ") || !linked.triple.ends_with("-gnu"));
        let texts: Vec<&str> = notices.split(&format!("\n{LINE}\nOf ")).skip(1).collect();
        let of = |id: &str, word: &str| {
            texts.iter().any(|text| {
                let (ids, text) = text.split_once(LINE).unwrap();
                ids.trim().split(", ").any(|it| it.starts_with(id)) && text.contains(word)
            })
        };
        assert!(of("tokio ", "Tokio Contributors") && of("ring ", "Brian Smith"));
        let bodies: BTreeSet<&str> = texts.iter().map(|text| text.split_once(LINE).unwrap().1).collect();
        assert_eq!(bodies.len(), texts.len());
        for name in ["proptest", "/root", env!("CARGO_MANIFEST_DIR")] {
            assert!(!notices.contains(name), "{name}");
        }
    }

    #[test]
    fn a_package_without_a_text_is_said_to_have_none() {
        let directory = std::env::temp_dir().join("sikkerkey-bill-without-a-text");
        fs::create_dir_all(directory.join("LICENSES")).unwrap();
        assert_eq!(texts_of(&directory).unwrap(), Vec::<String>::new());
        let id = |name: &str| Id { name: name.to_owned(), version: "1.0.0".to_owned() };
        let bare = Crate {
            id: id("bare"),
            license: "MIT".to_owned(),
            checksum: Some("00".to_owned()),
            directory,
            dependencies: BTreeSet::new(),
        };
        let linked = Linked {
            root: id("app"),
            triple: "x86_64-unknown-linux-musl".to_owned(),
            crates: BTreeMap::from([(bare.id.clone(), bare)]),
            natives: Vec::new(),
        };
        assert!(notices(&linked).unwrap().ends_with("bare 1.0.0: MIT (its package has no text of it)\n"));
    }
}
