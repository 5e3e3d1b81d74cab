//! What the API server notes of the operator's requests, in its log.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::operator::NEWCOMERS;

/// Reads on where it stopped.
pub(super) struct Notes {
    log: PathBuf,
    read: u64,
    user: String,
}

/// What was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Objects that were created, changed or deleted, or were to be.
    pub(super) writes: usize,
    /// Of these, statuses of objects that are no newcomers.
    pub(super) statuses: usize,
    /// Writes of the Lease, by which a leader stays one.
    pub(super) leases: usize,
    /// What changes nothing.
    pub(super) reads: usize,
    /// Of these, Machines that were looked up by name, which admission does when memory does not know one.
    pub(super) lookups: usize,
    /// Of all, those that were told to come later.
    pub(super) too_many: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    verb: String,
    impersonated_user: Option<User>,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    resource: String,
    namespace: Option<String>,
    subresource: Option<String>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u16>,
}

impl Notes {
    /// Of the requests of a user whom somebody impersonates.
    pub(super) fn of(log: PathBuf, user: String) -> Self {
        Self { log, read: 0, user }
    }

    /// What was asked since the last time.
    pub(super) fn since_last(&mut self) -> Result<Asked> {
        let mut file = File::open(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        file.seek(SeekFrom::Start(self.read))?;
        let (mut lines, mut line, mut asked) = (BufReader::new(file), Vec::new(), Asked::default());
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            // The last one may be only half there.
            if !line.ends_with(b"\n") {
                return Ok(asked);
            }
            self.read += u64::try_from(length)?;
            if line.starts_with(b"{") {
                asked.count(&serde_json::from_slice(&line).context("a note that is none")?, &self.user);
            }
        }
    }
}

impl Asked {
    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            writes: self.writes + other.writes,
            statuses: self.statuses + other.statuses,
            leases: self.leases + other.leases,
            reads: self.reads + other.reads,
            lookups: self.lookups + other.lookups,
            too_many: self.too_many + other.too_many,
        }
    }

    fn count(&mut self, note: &Note, user: &str) {
        if note.impersonated_user.as_ref().is_none_or(|it| it.username != user) {
            return;
        }
        let object = note.object_ref.as_ref();
        let resource = object.map(|it| it.resource.as_str()).unwrap_or_default();
        let subresource = object.and_then(|it| it.subresource.as_deref()).unwrap_or_default();
        let changes = matches!(note.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
        match (resource, subresource) {
            ("leases", _) if changes => self.leases += 1,
            // Made by the API server, and kept nowhere.
            ("tokenreviews", _) | ("serviceaccounts", "token") => self.reads += 1,
            (_, subresource) if changes => {
                self.writes += 1;
                let newcomer = object.is_some_and(|it| it.namespace.as_deref() == Some(NEWCOMERS));
                self.statuses += usize::from(subresource == "status" && !newcomer);
            }
            _ => self.reads += 1,
        }
        self.lookups += usize::from(resource == "machines" && note.verb == "get");
        let code = note.response_status.as_ref().and_then(|status| status.code);
        self.too_many += usize::from(code == Some(429));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn requests_of_the_operator_are_sorted_and_read_once() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let mut notes = Notes::of(log.path().to_owned(), "op".into());
        let note = |verb: &str, resource: &str, user: &str, code: u16| {
            format!(
                r#"{{"verb":"{verb}","impersonatedUser":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}"}},"responseStatus":{{"code":{code}}}}}"#
            )
        };
        let status = |namespace: &str| {
            format!(
                r#"{{"verb":"patch","impersonatedUser":{{"username":"op"}},"objectRef":{{"resource":"grants","subresource":"status","namespace":"{namespace}"}}}}"#
            )
        };
        let mut write = |lines: &[String]| writeln!(log, "{}", lines.join("\n")).unwrap();
        write(&[
            "I1127 no note".into(),
            note("patch", "secrets", "op", 200),
            note("create", "events", "op", 429),
            note("update", "leases", "op", 200),
            note("list", "secrets", "op", 200),
            note("get", "machines", "op", 200),
            note("create", "tokenreviews", "op", 201),
            note("create", "secrets", "a person", 201),
            status("shop"),
            status(NEWCOMERS),
        ]);
        assert_eq!(
            notes.since_last().unwrap(),
            Asked { writes: 4, statuses: 1, leases: 1, reads: 3, lookups: 1, too_many: 1 }
        );
        write(&[note("delete", "secrets", "op", 200)]);
        assert_eq!(notes.since_last().unwrap(), Asked { writes: 1, ..Asked::default() });
        assert_eq!(notes.since_last().unwrap(), Asked::default());
    }
}
