//! Pictures of pages, kept in `target/screenshots` for people to look at.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::browser::Browser;
use crate::options::Theme;

/// Where they are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory").join("screenshots")
}

impl Browser {
    /// Takes a picture of the whole page in both themes: `NAME-light.png` and `NAME-dark.png`.
    pub(crate) async fn screenshot(&mut self, name: &str) {
        for theme in Theme::ALL {
            self.theme(theme).await;
            self.picture(&format!("{name}-{}", theme.name())).await;
        }
        self.theme(Theme::Light).await;
    }

    /// Takes one picture of the whole page as it is shown now: `NAME.png`.
    pub(crate) async fn picture(&mut self, name: &str) {
        let taken = self.session.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        let png = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(directory()).unwrap();
        std::fs::write(directory().join(format!("{name}.png")), png).unwrap();
    }
}
