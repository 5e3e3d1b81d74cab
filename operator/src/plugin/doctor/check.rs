//! What an answer means. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::probe::{Answer, NOBODY};
use crate::plugin::leader_view::LeaderView;
use crate::plugin::table;

/// By how many seconds two clocks may differ: an answer takes its time, and its date has no fractions.
const CLOCK_BOUND: u64 = 30;

/// What it means that something was taken.
const UNASKED: &str =
    "no webhook was asked; if the operator has a --namespace-selector, give a namespace that it manages with -n";

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Outcome {
    Good,
    Bad,
    Unknown,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    name: &'static str,
    outcome: Outcome,
    message: String,
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, message: impl Into<String>) -> Self {
        Self { name, outcome, message: message.into() }
    }

    /// Whether the cluster has our definitions of the kinds.
    pub(super) fn definitions(
        found: Option<Vec<(CustomResourceDefinition, Option<CustomResourceDefinition>)>>,
    ) -> Self {
        let check = |outcome, message: String| Self::new("definitions", outcome, message);
        let Some(found) = found else {
            return check(Outcome::Unknown, "you may not get CustomResourceDefinitions".to_owned());
        };
        let names = |pick: &dyn Fn(&CustomResourceDefinition, Option<&CustomResourceDefinition>) -> bool| {
            let picked = found.iter().filter(|(ours, theirs)| pick(ours, theirs.as_ref()));
            picked.map(|(ours, _)| ours.spec.names.kind.as_str()).collect::<Vec<_>>().join(", ")
        };
        let missing = names(&|_, theirs| theirs.is_none());
        let other = names(&|ours, theirs| theirs.is_some_and(|theirs| schemas(theirs) != schemas(ours)));
        match (missing.is_empty(), other.is_empty()) {
            (true, true) => check(Outcome::Good, "the kinds are defined as in this version".to_owned()),
            (false, _) => check(
                Outcome::Bad,
                format!("{missing}: not defined; sikkerkey-operator crds | kubectl apply --server-side -f - does it"),
            ),
            (true, false) => {
                check(Outcome::Bad, format!("{other}: defined otherwise than in version {}", env!("CARGO_PKG_VERSION")))
            }
        }
    }

    /// Whether an operator leads whom the server answers.
    pub(super) fn operator(view: &LeaderView) -> Self {
        let outcome = match view {
            LeaderView::NotAllowed { .. } => Outcome::Unknown,
            _ if view.is_trouble() => Outcome::Bad,
            _ => Outcome::Good,
        };
        Self::new("operator", outcome, view.to_string())
    }

    /// Whether a webhook refused what it must.
    pub(super) fn refusal(name: &'static str, answer: &Answer) -> Self {
        let expected = match name {
            "pods" => format!("Machine {NOBODY} does not exist"),
            _ => "is not a time zone".to_owned(),
        };
        let check = |outcome, message: String| Self::new(name, outcome, message);
        match answer {
            Answer::Taken if name == "pods" => {
                check(Outcome::Bad, format!("a pod with our label would start without its files: {UNASKED}"))
            }
            Answer::Taken => check(Outcome::Bad, format!("an object that is wrong was taken: {UNASKED}")),
            Answer::Refused(_, text) if text.contains(&expected) => {
                check(Outcome::Good, "the webhook answers: it refused what it must".to_owned())
            }
            Answer::Refused(403, text) if text.contains(" cannot create resource ") => {
                check(Outcome::Unknown, format!("not tried: {text}"))
            }
            Answer::Refused(_, text) if text.contains("failed calling webhook") => {
                check(Outcome::Bad, format!("the API server does not reach the webhook: {text}"))
            }
            Answer::Refused(_, text) => check(Outcome::Unknown, format!("refused by somebody else: {text}")),
        }
    }

    /// A webhook that is not asked about this namespace.
    pub(super) fn spared(name: &'static str, namespace: &str) -> Self {
        let message = format!("not tried: no webhook is asked about namespace {namespace}; give a team's with -n");
        Self::new(name, Outcome::Unknown, message)
    }

    /// Whether this computer and the API server agree on the time.
    pub(super) fn clock(theirs: Option<Timestamp>, now: Timestamp) -> Self {
        let check = |outcome, message: String| Self::new("clock", outcome, message);
        let Some(theirs) = theirs else {
            return check(Outcome::Unknown, "the API server does not say what time it is".to_owned());
        };
        let ahead = now.as_second() - theirs.as_second();
        let apart = ahead.unsigned_abs();
        if apart <= CLOCK_BOUND {
            return check(Outcome::Good, "this computer and the API server agree".to_owned());
        }
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        check(Outcome::Bad, format!("this computer is {apart} s {direction} the API server"))
    }

    /// Whether it was found not to work.
    pub(super) fn is_bad(&self) -> bool {
        self.outcome == Outcome::Bad
    }

    /// Its line.
    pub(super) fn row(&self) -> Vec<String> {
        let outcome = match self.outcome {
            Outcome::Good => "ok",
            Outcome::Bad => "BAD",
            Outcome::Unknown => "?",
        };
        vec![outcome.to_owned(), self.name.to_owned(), table::printable(&self.message)]
    }
}

/// What a definition says of the objects.
fn schemas(definition: &CustomResourceDefinition) -> Vec<(&str, serde_json::Value)> {
    let schema = |version: &CustomResourceDefinitionVersion| serde_json::to_value(&version.schema).unwrap_or_default();
    definition.spec.versions.iter().map(|version| (version.name.as_str(), schema(version))).collect()
}

#[cfg(test)]
mod tests {
    use sikkerkey_crds::crd::crds;

    use super::*;
    use crate::plugin::cluster::Unreadable;

    fn refused(text: &str) -> Answer {
        Answer::Refused(403, text.to_owned())
    }

    #[test]
    fn what_a_webhook_says_tells_whether_it_is_there() {
        let by_webhook = "admission webhook \"pods.sikkerkey.com\" denied the request: Machine \
                          kubectl-sikkerkey-doctor does not exist in namespace shop: apply it";
        let zone = "admission webhook denied: spec.timeZone: Nowhere/Doctor is not a time zone of the IANA database";
        let rights = "pods is forbidden: User \"eve\" cannot create resource \"pods\" in API group \"\"";
        let away = "Internal error occurred: failed calling webhook \"pods.sikkerkey.com\": connection refused";
        for (name, answer, outcome) in [
            ("pods", refused(by_webhook), Outcome::Good),
            ("objects", refused(zone), Outcome::Good),
            ("pods", refused(zone), Outcome::Unknown),
            ("pods", refused(rights), Outcome::Unknown),
            ("pods", Answer::Refused(500, away.to_owned()), Outcome::Bad),
            ("pods", refused("exceeded quota"), Outcome::Unknown),
            ("pods", Answer::Taken, Outcome::Bad),
            ("objects", Answer::Taken, Outcome::Bad),
        ] {
            assert_eq!(Check::refusal(name, &answer).outcome, outcome, "{name} {answer:?}");
        }
    }

    #[test]
    fn definitions_are_compared_with_our_own() {
        let ours = || crds().into_iter().map(|crd| (crd.clone(), Some(crd))).collect::<Vec<_>>();
        assert_eq!(Check::definitions(Some(ours())).outcome, Outcome::Good);
        assert_eq!(Check::definitions(None).outcome, Outcome::Unknown);
        let mut missing = ours();
        missing[1].1 = None;
        let check = Check::definitions(Some(missing));
        assert!(check.is_bad() && check.message.starts_with("Secret: not defined"), "{check:?}");
        let mut other = ours();
        other[3].1.as_mut().unwrap().spec.versions[0].schema = None;
        let check = Check::definitions(Some(other));
        assert!(check.is_bad() && check.message.starts_with("AccessPolicy: defined otherwise"), "{check:?}");
    }

    #[test]
    fn clocks_may_differ_by_what_an_answer_takes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (theirs, outcome) in [
            (Some(at(1_000)), Outcome::Good),
            (Some(at(970)), Outcome::Good),
            (Some(at(969)), Outcome::Bad),
            (Some(at(1_031)), Outcome::Bad),
            (None, Outcome::Unknown),
        ] {
            assert_eq!(Check::clock(theirs, at(1_000)).outcome, outcome, "{theirs:?}");
        }
        assert_eq!(Check::clock(Some(at(1_600)), at(1_000)).message, "this computer is 600 s behind the API server");
    }

    #[test]
    fn what_one_may_not_see_is_not_bad() {
        let view = LeaderView::of(Err(Unreadable), "system", Timestamp::UNIX_EPOCH);
        assert_eq!(Check::operator(&view).outcome, Outcome::Unknown);
        let view = LeaderView::of(Ok(None), "system", Timestamp::UNIX_EPOCH);
        assert!(Check::operator(&view).is_bad());
    }
}
