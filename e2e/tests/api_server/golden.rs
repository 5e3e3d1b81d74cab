//! Committed answers.

use std::path::PathBuf;

/// Compares with the committed file; `UPDATE_GOLDEN=1` rewrites it.
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api_server/golden")).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == golden, "{} differs: UPDATE_GOLDEN=1 rewrites it\n{text}", path.display());
}
