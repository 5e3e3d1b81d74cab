//! Which rows a person looks for, as it stands in the address of a page.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::management::{AuditQuery, Severity};

use super::when::{self, End};
use crate::model::millis::Millis;
use crate::usecase::audit::By;
use crate::usecase::management::audit::browse::Filter;

/// Which rows a person looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    /// Only rows with this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Only these actions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub action: Vec<String>,
    /// Of this severity at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// By whom of a kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// By which person or agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// About or by which machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// About which secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// In which project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// From when on, in the viewer's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Up to when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The viewer's time zone, which the script fills in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Only rows below this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Only rows above this number, the next ones first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl Question {
    /// What is asked, or what has to be said otherwise.
    pub(super) fn filter(&self, now: Millis) -> Result<Filter, String> {
        let when = |text: &Option<String>, end| {
            text.as_deref().map(|it| when::instant(it, self.zone.as_deref(), now, end)).transpose()
        };
        let severities = self.severity.map(|least| Severity::ALL.into_iter().filter(|it| *it >= least).collect());
        let address = self.address.as_deref().map(|it| {
            it.trim()
                .parse()
                .map_err(|_| format!("{:?} is no address: give one such as 192.0.2.7 or 2001:db8::7", short(it)))
        });
        let query = AuditQuery {
            actions: (!self.action.is_empty()).then(|| self.action.clone()),
            severities,
            source_ip: address.transpose()?,
            search: self.q.clone(),
            from: when(&self.from, End::From)?,
            to: when(&self.to, End::To)?,
            before: self.before,
            after: self.after,
            ..AuditQuery::default()
        };
        let text = |it: &Option<String>| it.as_deref().map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned);
        Ok(Filter {
            query,
            by: self.by,
            who: text(&self.who),
            machine: text(&self.machine),
            secret: text(&self.secret),
            project: text(&self.project),
        })
    }

    /// The same question about the rows below or above a number; or from the newest on.
    pub(super) fn moved(&self, before: Option<u64>, after: Option<u64>) -> Self {
        Self { before, after, ..self.clone() }
    }

    /// Whether it is about all rows.
    pub(super) fn is_open(&self) -> bool {
        Self { zone: None, ..self.moved(None, None) } == Self::default()
    }

    /// Whether something is asked that stands among the further fields.
    pub(super) fn is_further(&self) -> bool {
        [&self.who, &self.machine, &self.secret, &self.project, &self.address].iter().any(|it| it.is_some())
            || self.by.is_some()
            || self.severity.is_some()
    }

    /// The end of an address of a page that asks it.
    pub(super) fn query(&self) -> String {
        // Made of texts and numbers alone.
        let text = serde_html_form::to_string(self).unwrap_or_default();
        if text.is_empty() { text } else { format!("?{text}") }
    }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_772_625_600_000);

    fn read(text: &str) -> Question {
        serde_html_form::from_str(text).unwrap()
    }

    #[test]
    fn a_question_comes_back_from_its_own_address() {
        let text = "?q=a+%26+b&action=secret_read&action=secret_read_denied&severity=high&by=person&who=ada%40example.com\
                    &machine=web&secret=sk_1&project=shop&address=192.0.2.7&from=yesterday&to=now&zone=Europe%2FOslo&before=9";
        let question = read(text.trim_start_matches('?'));
        assert_eq!(question.query(), text);
        assert!(!question.is_open() && question.is_further());
        let moved = question.moved(None, Some(4));
        assert_eq!((moved.before, moved.after, moved.who.as_deref()), (None, Some(4), Some("ada@example.com")));
        assert_eq!(Question::default().query(), "");
        assert!(read("before=3&zone=UTC").is_open());
    }

    #[test]
    fn a_severity_means_it_and_what_is_worse() {
        let filter = read("severity=high").filter(NOW).unwrap();
        assert_eq!(filter.query.severities, Some(vec![Severity::High, Severity::Critical]));
        assert_eq!(read("").filter(NOW).unwrap(), Filter::default());
    }

    #[test]
    fn what_cannot_be_understood_is_told_with_what_to_give() {
        let wrong = read("address=here").filter(NOW).unwrap_err();
        assert_eq!(wrong, "\"here\" is no address: give one such as 192.0.2.7 or 2001:db8::7");
        assert!(read("from=whenever").filter(NOW).unwrap_err().starts_with("\"whenever\" is no instant"));
        assert_eq!(read("machine=+&address=+192.0.2.7+").filter(NOW).unwrap().machine, None);
    }
}
