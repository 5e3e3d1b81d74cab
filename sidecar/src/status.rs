//! How the sidecar stands, for `/status` and `/metrics`. It holds names, versions and reasons; no value ever reaches it.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sikkerkey_traces::Fate;

use crate::clock::{UnixMillis, rfc3339};
use crate::manifest::SecretVersion;

/// Where the sidecar writes down how it stands, and whoever asks reads it.
#[derive(Debug, Default)]
pub struct Board {
    standing: Mutex<Standing>,
    /// What has happened so often.
    pub counts: Counts,
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether every required file is there.
    pub ready: bool,
    /// Why, for a program.
    pub reason: String,
    /// Why, for a person.
    pub message: String,
    /// Since when.
    pub since: String,
    /// Its name at the server, once it has one.
    pub machine_id: Option<String>,
    /// The server's origin.
    pub server: Option<String>,
    /// When the identity ends; none for never, or without one.
    pub identity_expires_at: Option<UnixMillis>,
    /// When the server last answered.
    pub last_sync: Option<UnixMillis>,
    /// Until when the files stay if it does not.
    pub files_until: Option<String>,
    /// The server's clock minus this one's.
    pub clock_skew_millis: UnixMillis,
    /// What a person should see to.
    pub warnings: Vec<String>,
    /// The files of the delivery.
    pub files: Vec<FileStanding>,
}

/// How a file stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileStanding {
    /// Where, below the volume.
    pub path: String,
    /// Whether it is there.
    pub present: bool,
    /// Whether it is there although its secrets cannot be read now, or their new values do not fit its format.
    pub stale: bool,
    /// Whether the application starts without it.
    pub optional: bool,
    /// What it was made of, as far as this process knows.
    pub secrets: Vec<SecretVersion>,
    /// Why it is absent or stale, for a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a thing went.
#[derive(Debug, Default)]
pub struct Count {
    ok: AtomicU64,
    failed: AtomicU64,
}

impl Count {
    /// It went well, or not.
    pub fn add<T, E>(&self, result: &Result<T, E>) {
        let count = if result.is_ok() { &self.ok } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What has happened so often since the process started.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "their names say it; `metrics` describes them")]
pub struct Counts {
    pub syncs: Count,
    pub enrolments: Count,
    pub renewals: Count,
    pub publications: Count,
    pub notices: Count,
    pub reports: Count,
    pub spans: Spans,
}

/// What became of spans, by [`Fate::ALL`].
#[derive(Debug, Default)]
pub struct Spans([AtomicU64; Fate::ALL.len()]);

impl Spans {
    /// So many more.
    pub fn add(&self, fate: Fate, count: u64) {
        let of_fate = Fate::ALL.iter().zip(&self.0).find(|(it, _)| **it == fate);
        if let Some((_, of_fate)) = of_fate {
            of_fate.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Board {
    /// Writes down how it stands.
    pub fn show(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The JSON text of `/status`.
    pub fn status(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Text<'a> {
            version: &'static str,
            ready: bool,
            reason: &'a str,
            message: &'a str,
            since: &'a str,
            machine_id: Option<&'a str>,
            server: Option<&'a str>,
            identity_expires_at: Option<String>,
            last_sync: Option<String>,
            files_until: Option<&'a str>,
            clock_skew_seconds: i64,
            warnings: &'a [String],
            files: &'a [FileStanding],
        }
        let standing = self.standing();
        let text = Text {
            version: env!("CARGO_PKG_VERSION"),
            ready: standing.ready,
            reason: &standing.reason,
            message: &standing.message,
            since: &standing.since,
            machine_id: standing.machine_id.as_deref(),
            server: standing.server.as_deref(),
            identity_expires_at: standing.identity_expires_at.map(rfc3339),
            last_sync: standing.last_sync.map(rfc3339),
            files_until: standing.files_until.as_deref(),
            clock_skew_seconds: standing.clock_skew_millis / 1000,
            warnings: &standing.warnings,
            files: &standing.files,
        };
        let mut text = serde_json::to_string(&text).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The text of `/metrics`, in the format of Prometheus.
    pub fn metrics(&self) -> String {
        let standing = self.standing();
        let mut text = String::new();
        let seconds = |millis: Option<UnixMillis>| millis.map(|millis| millis.div_euclid(1000));
        let present = standing.files.iter().filter(|file| file.present).count();
        let missing = standing.files.iter().filter(|file| !file.present && !file.optional).count();
        let stale = standing.files.iter().filter(|file| file.stale).count();
        for (name, value, help) in [
            ("ready", Some(i64::from(standing.ready)), "Whether every required file is there."),
            ("files", i64::try_from(present).ok(), "Files that are there."),
            ("files_missing", i64::try_from(missing).ok(), "Required files that are not there."),
            (
                "files_stale",
                i64::try_from(stale).ok(),
                "Files that are there although their secrets cannot be read now or do not fit.",
            ),
            (
                "identity_expires_timestamp_seconds",
                seconds(standing.identity_expires_at),
                "When the pod's identity ends, unless it is renewed.",
            ),
            ("last_sync_timestamp_seconds", seconds(standing.last_sync), "When the server last answered."),
            ("clock_skew_seconds", Some(standing.clock_skew_millis / 1000), "The server's clock minus this one's."),
        ] {
            if let Some(value) = value {
                let name = format!("sikkerkey_sidecar_{name}");
                append(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
            }
        }
        for (name, count, help) in [
            ("syncs", &self.counts.syncs, "Answers of the server to the question what is new."),
            ("enrolments", &self.counts.enrolments, "Attempts to become a machine."),
            ("renewals", &self.counts.renewals, "Attempts to renew the identity."),
            ("publications", &self.counts.publications, "Sets of files that were put in place."),
            ("notices", &self.counts.notices, "Attempts to tell the application of a change."),
            ("reports", &self.counts.reports, "Reports to the operator, for an Event about the pod."),
        ] {
            let name = format!("sikkerkey_sidecar_{name}_total");
            append(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} counter\n"));
            for (result, value) in [("ok", &count.ok), ("failed", &count.failed)] {
                let value = value.load(Ordering::Relaxed);
                append(&mut text, format_args!("{name}{{result=\"{result}\"}} {value}\n"));
            }
        }
        let name = "sikkerkey_sidecar_spans_total";
        append(
            &mut text,
            format_args!("# HELP {name} Spans of traces, by what became of them.\n# TYPE {name} counter\n"),
        );
        for (fate, count) in Fate::ALL.iter().zip(&self.counts.spans.0) {
            let (fate, value) = (fate.as_str(), count.load(Ordering::Relaxed));
            append(&mut text, format_args!("{name}{{fate=\"{fate}\"}} {value}\n"));
        }
        text
    }
}

fn append(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_texts_say_how_it_stands() {
        let board = Board::default();
        board.counts.syncs.add(&Ok::<(), ()>(()));
        board.counts.syncs.add(&Err::<(), ()>(()));
        board.counts.spans.add(Fate::QueueFull, 3);
        let file =
            |path: &str, present, stale| FileStanding { path: path.into(), present, stale, ..FileStanding::default() };
        board.show(Standing {
            ready: true,
            reason: "Ready".into(),
            message: "2 files".into(),
            since: "2026-10-17T02:36:01Z".into(),
            machine_id: Some("m".into()),
            server: Some("https://server".into()),
            identity_expires_at: Some(1_792_204_561_123),
            clock_skew_millis: -31_500,
            files: vec![file("a", true, false), file("b", true, true), file("c", false, false)],
            ..Standing::default()
        });
        let status: serde_json::Value = serde_json::from_str(&board.status()).unwrap();
        assert_eq!(
            (&status["ready"], &status["reason"], &status["machineId"]),
            (&true.into(), &"Ready".into(), &"m".into())
        );
        assert_eq!(status["identityExpiresAt"], "2026-10-17T02:36:01.123Z");
        assert_eq!((&status["lastSync"], &status["clockSkewSeconds"]), (&serde_json::Value::Null, &(-31).into()));
        assert_eq!(status["files"][1]["stale"], true);
        let metrics = board.metrics();
        for line in [
            "sikkerkey_sidecar_ready 1",
            "sikkerkey_sidecar_files 2",
            "sikkerkey_sidecar_files_missing 1",
            "sikkerkey_sidecar_files_stale 1",
            "sikkerkey_sidecar_identity_expires_timestamp_seconds 1792204561",
            "sikkerkey_sidecar_syncs_total{result=\"ok\"} 1",
            "sikkerkey_sidecar_syncs_total{result=\"failed\"} 1",
            "# TYPE sikkerkey_sidecar_notices_total counter",
            "sikkerkey_sidecar_spans_total{fate=\"QueueFull\"} 3",
        ] {
            assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
        }
        assert!(!metrics.contains("last_sync"), "what is not known is not there");
    }
}
