//! `SHA256SUMS`, as `sha256sum --check` reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use crate::image;

/// Its name.
pub const FILE: &str = "SHA256SUMS";

/// The digests of files by their names.
pub type Sums = BTreeMap<String, String>;

/// Those of all files of a folder but this one.
pub fn of(folder: &Path) -> io::Result<Sums> {
    let mut sums = Sums::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != FILE {
            sums.insert(name, image::sha256(&fs::read(entry.path())?));
        }
    }
    Ok(sums)
}

/// As a file.
pub fn print(sums: &Sums) -> String {
    sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect::<Vec<_>>().concat()
}

/// A file as it is printed; `None` if it is another.
pub fn parse(text: &str) -> Option<Sums> {
    text.lines().map(|line| line.split_once("  ").map(|(sum, name)| (name.to_owned(), sum.to_owned()))).collect()
}

/// The names that are only in one of them, or have another digest in each.
pub fn differences(one: &Sums, other: &Sums) -> BTreeSet<String> {
    let names = one.keys().chain(other.keys());
    names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back_and_every_kind_of_difference_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", FILE] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let sums = of(folder.path()).unwrap();
        assert_eq!(sums.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(sums["a"], "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
        assert_eq!(parse(&print(&sums)), Some(sums.clone()));
        assert_eq!(parse("no sums"), None);
        assert!(differences(&sums, &sums).is_empty());
        fs::write(folder.path().join("a"), "other").unwrap();
        fs::remove_file(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("c"), "more").unwrap();
        let changed = of(folder.path()).unwrap();
        assert_eq!(differences(&sums, &changed).into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
