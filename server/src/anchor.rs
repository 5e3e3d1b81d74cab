//! A place outside the database that remembers where the audit ended.
//!
//! Whoever can write the database and everything beside it can put all of it back to how it was last week, and no key
//! finds that out. An anchor can: the server sends it a signed checkpoint once a minute when rows were added, and
//! refuses to start with a database that knows less than its anchor. The anchor has to stand where an attacker on the
//! server's host cannot change it: a file that is append-only on another host's disk, or a webhook.
//!
//! A checkpoint goes to all anchors before the next one is made. So an anchor that is away costs nothing but time: there
//! is one line to send again, and the next one covers all rows since. Reads never wait for an anchor.

mod file;
mod keeper;
mod start;
mod webhook;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub use self::file::FileAnchor;
pub use self::keeper::{AnchorStatus, Keeper, Means, Status};
pub use self::start::{Known, Refused, admit};
pub use self::webhook::{Webhook, WebhookUrl};

/// Where checkpoints go, as it is given on the command line: `file:/path` or `https://…`.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A file to which lines are appended.
    File(PathBuf),
    /// A web server to which lines are posted.
    Webhook(WebhookUrl),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("file:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::File(path))
            } else {
                Err("a file anchor needs an absolute path, such as file:/mnt/anchor/sikkerkey.jsonl".to_owned())
            };
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return text.parse().map(Self::Webhook);
        }
        Err("an anchor is file:/absolute/path or https://host/path".to_owned())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Webhook(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an anchor did not take a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The file cannot be used.
    #[error("cannot {0} the anchor file {1}")]
    File(&'static str, PathBuf, #[source] std::io::Error),
    /// The web server cannot be reached.
    #[error("cannot connect to the anchor {0}")]
    Connect(String, #[source] std::io::Error),
    /// The web server did not answer.
    #[error("the anchor {0} did not answer as HTTP does")]
    Http(String, #[source] hyper::Error),
    /// The web server did not take it.
    #[error("the anchor {0} answered {1}: it has to answer 2xx when it has kept the line")]
    Refused(String, u16),
    /// It took too long.
    #[error("the anchor {0} did not answer in time")]
    Slow(String),
    /// The system has no certificates.
    #[error("no certificate authority is known to this system, so {0} cannot be trusted: set SSL_CERT_FILE")]
    NoRoots(String),
}

/// Where checkpoints go.
#[derive(Debug)]
enum Anchor {
    File(FileAnchor),
    Webhook(Webhook),
}

impl Anchor {
    fn open(target: &Target) -> Result<Self, AnchorError> {
        Ok(match target {
            Target::File(path) => Self::File(FileAnchor::new(path.clone())),
            Target::Webhook(url) => Self::Webhook(Webhook::new(url.clone())?),
        })
    }

    /// Keeps a line. One that it has already may come again.
    async fn keep(&self, line: &str) -> Result<(), AnchorError> {
        match self {
            Self::File(file) => file.append(line).await,
            Self::Webhook(webhook) => webhook.post(line).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_file_or_a_web_server_and_its_path_is_not_shown() {
        for (text, shown) in [
            ("file:/mnt/a.jsonl", Ok("file:/mnt/a.jsonl")),
            ("https://anchor.example.com/hooks/token-123", Ok("https://anchor.example.com")),
            ("https://anchor.example.com:8443/x?y=z", Ok("https://anchor.example.com:8443")),
            ("http://127.0.0.1:9000/x", Ok("http://127.0.0.1:9000")),
            ("http://[::1]:9000/x", Ok("http://[::1]:9000")),
            ("file:relative", Err("absolute path")),
            ("http://anchor.example.com/x", Err("https")),
            ("https://user:password@anchor.example.com/x", Err("user")),
            ("https://", Err("host")),
            ("/mnt/a.jsonl", Err("file:/")),
        ] {
            match (text.parse::<Target>(), shown) {
                (Ok(target), Ok(shown)) => assert_eq!(format!("{target:?}"), shown),
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }
}
