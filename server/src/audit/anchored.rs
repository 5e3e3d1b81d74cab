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

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::key::MachineKey;
    use zeroize::Zeroizing;

    use super::*;
    use crate::audit::checkpoint::{Epoch, Installation};
    use crate::model::millis::Millis;
    use crate::store::ChainHead;

    #[test]
    fn several_servers_may_share_an_anchor_and_a_line_may_come_twice() {
        let key = MachineKey::from_seed(&Zeroizing::new([7; 32]));
        let of = Installation { id: "i".into(), epoch: Epoch { number: 1, continues: None } };
        let next = |last: Option<&Line>, seq| {
            Line::next(&key, &of, last, ChainHead { seq, hash: [1; 32] }, Millis(0)).unwrap()
        };
        let (a1, b1) = (next(None, 1), next(None, 2));
        let (a2, b2) = (next(Some(&a1), 3), next(Some(&b1), 4));
        let read = |lines: &[&Line]| {
            let text: Vec<_> = lines.iter().map(|it| it.text.as_str()).collect();
            let found = read(&key.public_key(), Some("i"), &text.join("\n")).findings;
            found.into_iter().map(|it| (it.kind, it.line.unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(read(&[&a1, &b1, &b2, &b2, &a2]), []);
        assert_eq!(read(&[&b1, &a1, &a2, &b2, &a2]), []);
        assert_eq!(read(&[&a1, &b2, &a2]), [(Kind::CheckpointMissing, 2)]);
        assert_eq!(read(&[&a2, &a1]), [(Kind::CheckpointMissing, 1)]);
        let foreign = Installation { id: "other".into(), ..of.clone() };
        let foreign = Line::next(&key, &foreign, None, ChainHead { seq: 1, hash: [1; 32] }, Millis(0)).unwrap();
        assert_eq!(read(&[&a1, &foreign]), [(Kind::CheckpointNotGenuine, 2)]);
    }
}
