//! `kubectl sikkerkey audit`: who read what an object is about, and who was refused.

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::question::{AskedKind, AuditQuestion, QuestionSpec};
use sikkerkey_crds::secret::Secret;
use sikkerkey_protocol::kubernetes::{Audited, AuditedRead};

use super::cluster::{Cluster, ClusterError, ClusterOptions};
use super::question::{self, Unanswered};
use super::subject::{Subject, SubjectError, SubjectKind};
use super::{BOLD, Output, RED, paint, table};

/// About what, and how it is told.
#[derive(Args, Clone, Debug)]
pub(super) struct AuditOptions {
    /// About which object: skm/NAME, sks/NAME, skg/NAME or skp/NAME
    #[arg(value_name = "KIND/NAME")]
    object: String,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// How many reads and denials
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i32).range(1..=50))]
    limit: i32,
    /// What to print
    #[arg(short, long, value_name = "OUTPUT", value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// Nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It names nothing.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The cluster does not tell.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The person may not see it.
    #[error("you may not get {object} in namespace {namespace}: without it you may not see who read what it is about")]
    Unreadable {
        /// Which object.
        object: String,
        /// Where.
        namespace: String,
    },
    /// It is not there.
    #[error("{object} does not exist in namespace {namespace} (-n NAMESPACE looks at another)")]
    Missing {
        /// Which object.
        object: String,
        /// Where.
        namespace: String,
    },
    /// The operator does not answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    object: String,
    namespace: String,
    #[serde(flatten)]
    audited: Audited,
}

/// Looks.
pub(super) async fn told(options: &AuditOptions) -> Result<Told, AuditError> {
    let subject = Subject::parse(&options.object)?;
    let SubjectKind::Ours(kind) = subject.kind else {
        let expected = "skm/NAME, sks/NAME, skg/NAME or skp/NAME";
        return Err(SubjectError::Other { given: options.object.clone(), expected }.into());
    };
    let cluster = Cluster::connect(&options.cluster).await?;
    let (namespace, object) = (cluster.one_namespace().to_owned(), subject.label());
    let uid = match kind {
        AskedKind::Machine => cluster.uid::<Machine>(&namespace, &subject.name).await?,
        AskedKind::Secret => cluster.uid::<Secret>(&namespace, &subject.name).await?,
        AskedKind::Grant => cluster.uid::<Grant>(&namespace, &subject.name).await?,
        AskedKind::AccessPolicy => cluster.uid::<AccessPolicy>(&namespace, &subject.name).await?,
    };
    let uid = match uid {
        Ok(Some(uid)) => uid,
        Ok(None) => return Err(AuditError::Missing { object, namespace }),
        Err(_) => return Err(AuditError::Unreadable { object, namespace }),
    };
    let question = AuditQuestion { kind, name: subject.name, uid, limit: Some(options.limit) };
    let spec = QuestionSpec { audit: Some(question), ..QuestionSpec::default() };
    let audited = question::ask::<Audited>(&cluster, &namespace, &spec).await??;
    Ok(Told { object, namespace, audited })
}

impl Told {
    /// The page.
    pub(super) fn text(&self, now: Timestamp, colour: bool) -> String {
        let (object, namespace) = (&self.object, &self.namespace);
        if !self.audited.held {
            return format!(
                "{object} in namespace {namespace} is not in force at the server: kubectl describe {object} says why.\n"
            );
        }
        let usage = &self.audited.usage;
        let last = |what: &str, at: Option<i64>| {
            let at = at.and_then(|at| Timestamp::from_millisecond(at).ok());
            at.map_or_else(String::new, |at| format!(", last {what} {} ago", table::age(at, now)))
        };
        let mut lines = vec![format!(
            "{object} in namespace {namespace}: {} reads{}; {} denied{}",
            usage.reads,
            last("read", usage.last_read),
            usage.denied,
            last("denied", usage.last_denied.as_ref().map(|it| it.time)),
        )];
        if !self.audited.events.is_empty() {
            lines.push(String::new());
            let head = ["TIME", "", "MACHINE", "POD", "FROM", "SECRET", "BECAUSE"].map(str::to_owned).to_vec();
            let rows = self.audited.events.iter().map(row);
            let mut rows = table::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>()).into_iter();
            lines.extend(rows.next().map(|head| paint(colour, BOLD, &head)));
            let events = rows.zip(&self.audited.events);
            lines.extend(events.map(|(line, event)| if event.denied { paint(colour, RED, &line) } else { line }));
        }
        if let Some(back) = self.audited.looked_back_to {
            lines.push(String::new());
            lines.push(format!("What was before {} was not looked at.", instant(back)));
        }
        lines.join("\n") + "\n"
    }
}

fn row(event: &AuditedRead) -> Vec<String> {
    let because = match &event.reason {
        Some(reason) => format!("{}: {}", reason.as_str(), event.message),
        None => event.message.clone(),
    };
    let cells = [
        instant(event.time),
        if event.denied { "DENIED" } else { "read" }.to_owned(),
        event.machine.clone(),
        // Its namespace is the Machine's.
        event.pod.as_deref().map(|pod| pod.rsplit('/').next().unwrap_or(pod).to_owned()).unwrap_or_default(),
        event.address.map(|it| it.to_string()).unwrap_or_default(),
        event.secret.clone().unwrap_or_default(),
        because,
    ];
    cells.iter().map(|cell| table::printable(cell)).collect()
}

/// To the second.
pub(super) fn instant(millis: i64) -> String {
    Timestamp::from_second(millis.div_euclid(1000)).map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sikkerkey_protocol::denial::DenialReason;
    use sikkerkey_protocol::kubernetes::{LastDenied, Usage};

    use super::*;

    const NOW: i64 = 1_780_322_700_000;

    fn read(seconds_ago: i64) -> AuditedRead {
        AuditedRead {
            time: NOW - seconds_ago * 1000,
            denied: false,
            machine: "shop/web".into(),
            pod: Some("shop/web-7d9c-x2x".into()),
            address: Some("10.0.3.17".parse().unwrap()),
            secret: Some("shop/db".into()),
            reason: None,
            message: "version 3".into(),
        }
    }

    fn denied(seconds_ago: i64, reason: DenialReason, message: &str) -> AuditedRead {
        AuditedRead { denied: true, reason: Some(reason), message: message.into(), ..read(seconds_ago) }
    }

    fn told() -> Told {
        let last = LastDenied {
            time: NOW - 300_000,
            secret: "db".into(),
            reason: DenialReason::OutsideTimeWindow,
            message: "closed".into(),
        };
        let usage = Usage { reads: 41, denied: 2, last_read: Some(NOW - 12_000), last_denied: Some(last) };
        let host = AuditedRead { machine: "backup\u{1b}[2J".into(), pod: None, address: None, ..read(8_000) };
        let events = vec![
            read(12),
            denied(300, DenialReason::OutsideTimeWindow, "closed until Mon 06:00 Europe/Oslo"),
            host,
            AuditedRead {
                secret: None,
                ..denied(9_000, DenialReason::NotGranted, "it asked for a secret that is not granted to it")
            },
        ];
        let audited = Audited { held: true, usage, events, looked_back_to: Some(NOW - 86_400_000) };
        Told { object: "skm/web".into(), namespace: "shop".into(), audited }
    }

    #[test]
    fn the_page_is_the_committed_one() {
        let now = Timestamp::from_millisecond(NOW).unwrap();
        let nothing = Audited { held: true, ..Audited::default() };
        let not_held = Audited::default();
        let others = [nothing, not_held].map(|audited| Told { audited, ..told() }.text(now, false));
        let text = [told().text(now, false)].into_iter().chain(others).collect::<Vec<_>>().join("---\n");
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/audit.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap_or_default(), "UPDATE_GOLDEN=1 rewrites it");
        assert!(!text.contains('\u{1b}'), "a name cannot command the terminal");
        assert!(told().text(now, true).contains("\u{1b}[31m2026-06-01T14:00:00Z   DENIED"), "colour is ours alone");
    }

    #[test]
    fn programs_read_the_same() {
        let told = serde_json::to_value(told()).unwrap();
        assert_eq!(
            (&told["object"], &told["held"], &told["usage"]["reads"]),
            (&"skm/web".into(), &true.into(), &41.into())
        );
        assert_eq!(told["events"][1]["reason"], "OutsideTimeWindow");
    }
}
