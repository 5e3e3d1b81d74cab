//! `kubectl sikkerkey explain`: whether a pod may read a Secret, what stands against it, and what to do.
//!
//! What the objects tell is read with the person's own rights ([`look`]). Then the server is asked, by way of the API server and
//! the operator, for the rules that decide. Both become one list.

mod line;
mod look;

use std::net::IpAddr;

use clap::Args;
use kube::ResourceExt;
use serde::Serialize;
use sikkerkey_crds::question::{AskedKind, AskedObject, ExplainQuestion, QuestionSpec};
use sikkerkey_protocol::explain::{Explanation, RuleSays};
use sikkerkey_protocol::kubernetes::{Kind, ReadExplained};

use self::line::{Line, Outcome};
use self::look::Seen;
use super::audit::instant;
use super::cluster::{Cluster, ClusterError, ClusterOptions};
use super::question::{self, Unanswered};
use super::subject::{Subject, SubjectError, SubjectKind, named, short};
use super::{BOLD, Output, RED, YELLOW, paint, table};

/// Who and what, and how it is told.
#[derive(Args, Clone, Debug)]
pub(super) struct ExplainOptions {
    /// Who would read, and what: pod/NAME sks/NAME; for pods that do not exist yet skm/NAME sks/NAME
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    objects: Vec<String>,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// The Machine that would read, instead of a pod
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
    /// The namespace of the Secret; left out: that of the pod
    #[arg(long, value_name = "NAMESPACE")]
    secret_namespace: Option<String>,
    /// The address from which it would read; left out: the one that the server last saw
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// What to print
    #[arg(short, long, value_name = "OUTPUT", value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// Nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// It names nothing.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// Not who and what.
    #[error("say who and what: pod/NAME sks/NAME, or --machine NAME sks/NAME for pods that do not exist yet")]
    WhoAndWhat,
    /// The cluster does not tell.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Who would read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reader {
    Pod(String),
    Machine(String),
}

/// Whether the read is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Verdict {
    May,
    MayNot,
    Unknown,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    reader: String,
    namespace: String,
    secret: String,
    secret_namespace: String,
    verdict: Verdict,
    /// What holds and what does not, in the order in which a read meets it.
    lines: Vec<Line>,
    /// What the server said.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

/// Who and what was named.
fn asked(options: &ExplainOptions) -> Result<(Reader, String), ExplainError> {
    let subjects = options.objects.iter().map(|text| Subject::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let machine =
        options.machine.as_deref().map(|name| named(name.strip_prefix("skm/").unwrap_or(name))).transpose()?;
    let (reader, secret) = match (subjects.as_slice(), machine) {
        ([secret], Some(machine)) => (Reader::Machine(machine), secret),
        ([reader, secret], None) => match reader.kind {
            SubjectKind::Pod => (Reader::Pod(reader.name.clone()), secret),
            SubjectKind::Ours(AskedKind::Machine) => (Reader::Machine(reader.name.clone()), secret),
            SubjectKind::Ours(_) => return Err(ExplainError::WhoAndWhat),
        },
        _ => return Err(ExplainError::WhoAndWhat),
    };
    if secret.kind != SubjectKind::Ours(AskedKind::Secret) {
        return Err(SubjectError::Other { given: secret.label(), expected: "sks/NAME" }.into());
    }
    Ok((reader, secret.name.clone()))
}

/// Looks, and asks.
pub(super) async fn explained(options: &ExplainOptions) -> Result<Explained, ExplainError> {
    let (reader, secret) = asked(options)?;
    let secret_namespace = options.secret_namespace.as_deref().map(named).transpose()?;
    let cluster = Cluster::connect(&options.cluster).await?;
    let namespace = cluster.one_namespace().to_owned();
    let secret_namespace = secret_namespace.unwrap_or_else(|| namespace.clone());
    let seen = Seen::of(&cluster, &namespace, &reader, &secret_namespace, &secret).await?;
    let answer = match question(&seen, options.address) {
        Some(question) => {
            let spec = QuestionSpec { explain: Some(question), ..QuestionSpec::default() };
            Some(question::ask::<ReadExplained>(&cluster, &namespace, &spec).await?)
        }
        None => None,
    };
    let reader = match (&reader, seen.machine_name()) {
        (Reader::Pod(pod), Some(machine)) => format!("pod/{pod} ({}/{machine})", short(AskedKind::Machine)),
        (Reader::Pod(pod), None) => format!("pod/{pod}"),
        (Reader::Machine(machine), _) => format!("{}/{machine}", short(AskedKind::Machine)),
    };
    let secret = format!("{}/{secret}", short(AskedKind::Secret));
    Ok(Explained::of(reader, secret, &seen, answer))
}

/// What the server is asked; none: there is nothing to ask it about.
fn question(seen: &Seen, address: Option<IpAddr>) -> Option<ExplainQuestion> {
    let object =
        |name: String, namespace: &str, uid: String| AskedObject { name, namespace: Some(namespace.to_owned()), uid };
    let machine = seen.machine.as_ref()?.found.as_ref().ok()?.as_ref()?;
    let secret = seen.secret.as_ref().ok()?.as_ref()?;
    Some(ExplainQuestion {
        machine: object(machine.object.name_any(), &seen.namespace, machine.object.uid()?),
        secret: object(secret.name_any(), &seen.secret_namespace, secret.uid()?),
        pod_uid: seen.pod.as_ref().and_then(|pod| pod.as_ref().ok()?.as_ref()?.uid()),
        address: address.map(|it| it.to_string()),
    })
}

impl Explained {
    /// One list of what was seen and what was answered (`None`: the server was not asked). Pure.
    fn of(reader: String, secret: String, seen: &Seen, answer: Option<Result<ReadExplained, Unanswered>>) -> Self {
        let mut lines = seen.lines();
        let mut explanation = None;
        match answer {
            None => lines.push(Line::new(Outcome::Unknown, "server", "not asked: what is missing above comes first")),
            Some(Err(unanswered)) => lines.push(Line::new(Outcome::Unknown, "server", unanswered.to_string())),
            Some(Ok(told)) => {
                for kind in &told.not_held {
                    let object = match kind {
                        Kind::Machine => reader_of(seen),
                        _ => secret.clone(),
                    };
                    let text = format!("{object} is not in force at the server: kubectl describe it, which says why");
                    lines.push(Line::new(Outcome::Denies, "server", text));
                }
                if told.enrolled == Some(false) {
                    let text = "the pod has no key at the server: kubectl logs POD -c sikkerkey says why. What follows is for \
                                another pod of the Machine";
                    lines.push(Line::new(Outcome::Warns, "server", text));
                }
                if let Some(told) = told.explanation {
                    // The server's word about grants is the last.
                    lines.retain(|line| !(line.is_about("grant") && line.outcome == Outcome::Denies));
                    lines.extend(told.rules.iter().map(Line::of_rule));
                    explanation = Some(told);
                }
            }
        }
        let denies = lines.iter().any(|line| line.outcome == Outcome::Denies);
        let verdict = match (denies, &explanation) {
            (false, Some(told)) if told.allowed => Verdict::May,
            (false, None) => Verdict::Unknown,
            (true, _) | (false, Some(_)) => Verdict::MayNot,
        };
        let (namespace, secret_namespace) = (seen.namespace.clone(), seen.secret_namespace.clone());
        Self { reader, namespace, secret, secret_namespace, verdict, lines, explanation }
    }

    /// 0: it may. 1: it may not. 2: nobody knows.
    pub(super) fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::May => 0,
            Verdict::MayNot => 1,
            Verdict::Unknown => 2,
        }
    }

    /// The page.
    pub(super) fn text(&self, colour: bool) -> String {
        let reader = format!("{} of namespace {}", self.reader, self.namespace);
        let secret = format!("{} of namespace {}", self.secret, self.secret_namespace);
        let title = match self.verdict {
            Verdict::May => format!("{reader} may read {secret}."),
            Verdict::MayNot => format!("{reader} may not read {secret}."),
            Verdict::Unknown => format!("Whether {reader} may read {secret} could not be found out."),
        };
        let mut lines = vec![paint(colour, BOLD, &title)];
        if let Some(told) = &self.explanation {
            // The server's word for an address that nothing looks at.
            let from = if told.address == "0.0.0.0" { String::new() } else { format!(" from {}", told.address) };
            let change = told.changes_at.map_or_else(String::new, |at| {
                format!(" With nothing but time going by, that changes at {}.", instant(at))
            });
            lines.push(format!("Asked for {}{from}.{change}", instant(told.at)));
        }
        lines.push(String::new());
        let shown: Vec<&Line> = self.lines.iter().filter(|line| line.outcome != Outcome::Off).collect();
        let rows = table::columns(&shown.iter().map(|line| line.row()).collect::<Vec<_>>());
        lines.extend(rows.iter().zip(shown).map(|(row, line)| match line.outcome {
            Outcome::Denies => paint(colour, RED, row),
            Outcome::Warns | Outcome::Unknown => paint(colour, YELLOW, row),
            Outcome::Holds | Outcome::Off => row.clone(),
        }));
        lines.join("\n") + "\n"
    }
}

fn reader_of(seen: &Seen) -> String {
    format!("{}/{}", short(AskedKind::Machine), seen.machine_name().unwrap_or_default())
}

impl From<RuleSays> for Outcome {
    fn from(says: RuleSays) -> Self {
        match says {
            RuleSays::Allows => Self::Holds,
            RuleSays::Denies => Self::Denies,
            RuleSays::Off => Self::Off,
        }
    }
}

#[cfg(test)]
mod tests;
