//! A path in each line.

use std::path::{Component, Path};

use sikkerkey_files::layout::{FileName, plan};

/// Plans a volume with these files.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let paths: Vec<&str> = text.split('\n').collect();
    let planned = plan(paths.iter().copied());
    assert_eq!(planned.len(), paths.len());
    let mut taken: Vec<FileName> = vec![];
    for (path, name) in paths.iter().zip(planned) {
        let parsed = FileName::parse(path);
        let Ok(name) = name else { continue };
        assert_eq!(parsed.as_ref(), Ok(&name));
        assert_eq!(name.as_str(), *path);
        let joined = Path::new("/volume").join(name.as_str());
        assert!(joined.starts_with("/volume") && joined != Path::new("/volume"), "{path:?} leaves the volume");
        assert!(joined.components().skip(1).all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        assert!(!name.top().starts_with("..") && !path.contains('\0'), "{path:?} takes a name of the swap scheme");
        for other in &taken {
            let beside = Path::new("/volume").join(other.as_str());
            assert!(!joined.starts_with(&beside) && !beside.starts_with(&joined), "{path:?} and {other}");
        }
        let (directories, last) = name.split();
        let rebuilt = directories.chain([last]).collect::<Vec<_>>().join("/");
        assert_eq!(rebuilt, *path);
        taken.push(name);
    }
}
