//! What an anchor holds: whether its lines are whole and follow each other.

use std::collections::HashSet;

use sikkerkey_protocol::key::PublicKey;

use super::checkpoint::Line;
use super::digest::Digest;
use super::report::{Finding, Kind};

/// The lines of an anchor that are good, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Anchored {
    /// The good ones, in their order, with the numbers of their lines.
    pub lines: Vec<(u64, Line)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Reads an anchor. A line is wrong when its signature is, when it is of another installation, or when the line that it
/// names before itself is not there. The last line may be torn: the server died while it wrote it.
pub fn read(key: &PublicKey, installation: Option<&str>, text: &str) -> Anchored {
    let mut anchored = Anchored::default();
    let mut seen: HashSet<Digest> = HashSet::new();
    let mut lines = (1u64..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).peekable();
    while let Some((number, text)) = lines.next() {
        let mut found = |kind, text: String| anchored.findings.push(Finding::line(kind, number, text));
        let line = match Line::parse(key, text) {
            Ok(line) => line,
            // What a full disk tore is written again as a whole.
            Err(_) if lines.peek().is_none_or(|(_, next)| next.starts_with(text)) && !text.ends_with('}') => continue,
            Err(error) => {
                found(Kind::CheckpointNotGenuine, format!("line {number} of the anchor: {error}"));
                continue;
            }
        };
        if installation.is_some_and(|it| it != line.checkpoint.installation) {
            let text = format!("line {number} of the anchor is of another installation");
            found(Kind::CheckpointNotGenuine, text);
            continue;
        }
        if line.checkpoint.previous.is_some_and(|it| !seen.contains(&it)) {
            let text =
                format!("line {number} of the anchor follows a line that is not there: it was removed or changed");
            found(Kind::CheckpointMissing, text);
        }
        seen.insert(line.digest());
        anchored.lines.push((number, line));
    }
    anchored
}
