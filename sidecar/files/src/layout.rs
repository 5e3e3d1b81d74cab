//! Names of files, checked again: what is written comes from the network, and the volume is shared with an application.
//!
//! The same rule stands in the `Machine` kind. Here it is what keeps a file from leaving the volume or from taking a
//! name of the swap scheme (`..data`, `..state`), whatever the server says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The longest path.
const MAX_PATH: usize = 200;
/// The most segments.
const MAX_SEGMENTS: usize = 8;

/// Why a file is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// No path at all.
    #[error("its path is empty")]
    Empty,
    /// More than [`MAX_PATH`] bytes.
    #[error("its path is longer than {MAX_PATH} bytes")]
    TooLong,
    /// It begins with `/`.
    #[error("its path is absolute: write it relative to the volume")]
    Absolute,
    /// More than [`MAX_SEGMENTS`] segments.
    #[error("its path has more than {MAX_SEGMENTS} segments")]
    TooDeep,
    /// A segment is empty, `.` or begins with `..`.
    #[error("its path has a segment that is empty, . or begins with ..")]
    Dots,
    /// A character that is not a letter, a digit, `_`, `-` or `.`, or a segment that begins with `-`.
    #[error(
        "its path has a character that is not allowed: use letters, digits, _, - and ., and no - first in a segment"
    )]
    Character,
    /// Two files of one path.
    #[error("another file has the same path")]
    Taken,
    /// A file where another file needs a directory.
    #[error("its path and that of file {0} need a file and a directory of the same name")]
    FileForDirectory(FileName),
}

/// A path below the volume that is safe to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FileName {
    /// Parses a path.
    pub fn parse(path: &str) -> Result<Self, LayoutError> {
        if path.is_empty() {
            return Err(LayoutError::Empty);
        }
        if path.len() > MAX_PATH {
            return Err(LayoutError::TooLong);
        }
        if path.starts_with('/') {
            return Err(LayoutError::Absolute);
        }
        for segment in path.split('/') {
            check_segment(segment)?;
        }
        if path.split('/').count() > MAX_SEGMENTS {
            return Err(LayoutError::TooDeep);
        }
        Ok(Self(path.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The entry of the volume that leads to it.
    pub fn top(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(top, _)| top)
    }

    /// The directories above it, the outermost first, and its own last segment.
    pub fn split(&self) -> (impl Iterator<Item = &str>, &str) {
        let (directories, last) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        (directories.split('/').filter(|segment| !segment.is_empty()), last)
    }

    /// The paths of the directories above it, the outermost first.
    fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(end, _)| self.0.get(..end))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_segment(segment: &str) -> Result<(), LayoutError> {
    let rest = segment.strip_prefix('.').unwrap_or(segment);
    let mut bytes = rest.bytes();
    match bytes.next() {
        None | Some(b'.') => Err(LayoutError::Dots),
        Some(first) if first.is_ascii_alphanumeric() || first == b'_' => {
            if bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
                Ok(())
            } else {
                Err(LayoutError::Character)
            }
        }
        Some(_) => Err(LayoutError::Character),
    }
}

/// The name of each file in turn, or why it has none. Of two files that cannot stand beside each other, the earlier one
/// stands.
pub fn plan<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<Result<FileName, LayoutError>> {
    let mut files = BTreeSet::<FileName>::new();
    let mut directories = BTreeMap::<String, FileName>::new();
    let mut place = |path: &str| {
        let name = FileName::parse(path)?;
        if files.contains(&name) {
            return Err(LayoutError::Taken);
        }
        if let Some(below) = directories.get(name.as_str()) {
            return Err(LayoutError::FileForDirectory(below.clone()));
        }
        if let Some(above) = name.parents().find_map(|parent| files.get(&FileName(parent.to_owned()))) {
            return Err(LayoutError::FileForDirectory(above.clone()));
        }
        for parent in name.parents() {
            directories.entry(parent.to_owned()).or_insert_with(|| name.clone());
        }
        files.insert(name.clone());
        Ok(name)
    };
    paths.into_iter().map(&mut place).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_of_the_machine_kind_is_a_name() {
        for path in ["a", "db/password", ".env", ".pgpass", "a/b/c/d/e/f/g/h", "a..b", "_x/9-y.z", &"a".repeat(200)] {
            assert_eq!(FileName::parse(path).map(|name| name.to_string()), Ok(path.to_owned()));
        }
    }

    #[test]
    fn a_hostile_path_is_refused_by_reason() {
        let long = "a".repeat(201);
        for (path, error) in [
            ("", LayoutError::Empty),
            (&*long, LayoutError::TooLong),
            ("/etc/passwd", LayoutError::Absolute),
            ("//a", LayoutError::Absolute),
            ("..", LayoutError::Dots),
            ("../a", LayoutError::Dots),
            ("a/../../b", LayoutError::Dots),
            ("..data", LayoutError::Dots),
            ("..state", LayoutError::Dots),
            ("a/..b", LayoutError::Dots),
            ("...", LayoutError::Dots),
            (".", LayoutError::Dots),
            ("a/./b", LayoutError::Dots),
            ("a//b", LayoutError::Dots),
            ("a/", LayoutError::Dots),
            ("a\0b", LayoutError::Character),
            ("a\nb", LayoutError::Character),
            ("a b", LayoutError::Character),
            ("a\\b", LayoutError::Character),
            ("-rf", LayoutError::Character),
            (".-a", LayoutError::Character),
            ("é", LayoutError::Character),
            ("a/b/c/d/e/f/g/h/i", LayoutError::TooDeep),
        ] {
            assert_eq!(FileName::parse(path), Err(error), "{path:?}");
        }
    }

    #[test]
    fn of_two_files_that_cannot_stand_together_the_earlier_one_stands() {
        let name = |path: &str| FileName::parse(path).unwrap();
        let clash = |path| Err(LayoutError::FileForDirectory(name(path)));
        assert_eq!(plan(["a", "a/b", "c"]), [Ok(name("a")), clash("a"), Ok(name("c"))]);
        assert_eq!(
            plan(["a/b/c", "a/b", "a", "a/b/d"]),
            [Ok(name("a/b/c")), clash("a/b/c"), clash("a/b/c"), Ok(name("a/b/d"))]
        );
        assert_eq!(plan(["a", "a"]), [Ok(name("a")), Err(LayoutError::Taken)]);
        assert_eq!(plan(["../x", "x"]), [Err(LayoutError::Dots), Ok(name("x"))]);
    }

    #[test]
    fn a_name_is_taken_apart() {
        let name = FileName::parse("a/b/c").unwrap();
        assert_eq!(name.top(), "a");
        let (directories, last) = name.split();
        assert_eq!((directories.collect::<Vec<_>>(), last), (vec!["a", "b"], "c"));
        let name = FileName::parse("a").unwrap();
        assert_eq!((name.top(), name.split().0.count(), name.split().1), ("a", 0, "a"));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_below_the_volume(path in "[a/.\\-_ \0]{0,12}") {
            if let Ok(name) = FileName::parse(&path) {
                let joined = std::path::Path::new("/volume").join(name.as_str());
                prop_assert!(joined.components().all(|part| !matches!(part, std::path::Component::ParentDir)));
                prop_assert!(joined.starts_with("/volume") && joined != std::path::Path::new("/volume"));
                prop_assert!(!name.top().starts_with(".."));
            }
        }
    }
}
