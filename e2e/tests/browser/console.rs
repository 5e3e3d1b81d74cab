//! What a browser complains about: errors of scripts, files that do not load, what the Content-Security-Policy stopped.

use serde_json::{Value, json};

use crate::webdriver::Session;

/// The complaints that a test expects.
#[derive(Default)]
pub(crate) struct Console {
    forgiven: Vec<String>,
    seen: Vec<String>,
}

impl Console {
    /// From now on a complaint with these words in it is expected. What came before is not forgiven.
    pub(crate) fn forgive(&mut self, words: &str) {
        self.forgiven.push(words.to_owned());
    }

    /// The expected complaints that came.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }

    /// Looks at what came since the last look.
    ///
    /// # Panics
    ///
    /// If a complaint came that nobody expects.
    pub(crate) async fn look(&mut self, session: &Session) {
        // A dialog that stands open keeps it from answering; whatever comes next tells of that.
        let Ok(entries) = session.post("/se/log", json!({ "type": "browser" })).await else { return };
        for entry in entries.as_array().unwrap() {
            let message = entry["message"].as_str().unwrap_or_default();
            if !is_complaint(entry) {
                continue;
            }
            assert!(self.forgiven.iter().any(|it| message.contains(it)), "the browser complains: {message}");
            self.seen.push(message.to_owned());
        }
    }
}

fn is_complaint(entry: &Value) -> bool {
    matches!(entry["level"].as_str(), Some("WARNING" | "SEVERE"))
}
