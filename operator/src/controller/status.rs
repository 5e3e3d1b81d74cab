//! Whether a status is worth writing, and writing it.

use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use serde_json::json;
use sikkerkey_crds::names;
use sikkerkey_protocol::kubernetes::ObjectKey;

use super::ledger::{Entry, Ledger};
use super::plan::Reconciled;
use crate::api_server;

/// Why a status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Conditions or facts differ: at once.
    Facts,
    /// Counters that a person waits for: before others.
    News,
    /// Counters that are due.
    DueCounters,
    /// Counters that are not due yet.
    NotYet,
    /// Nothing differs.
    Nothing,
}

/// Compares. Pure. `was_told`: whether a reason of a denial was told a short while ago.
pub fn worth<K: Reconciled>(
    previous: &K::Status,
    wanted: &K::Status,
    counters_are_due: bool,
    was_told: impl Fn(&str) -> bool,
) -> Worth {
    let is_new = |denial: &&str| K::last_denial(previous) != Some(denial) && !was_told(denial);
    if K::without_counters(previous) != K::without_counters(wanted) {
        Worth::Facts
    } else if previous == wanted {
        Worth::Nothing
    } else if K::counters_are_news(previous, wanted) || K::last_denial(wanted).as_ref().is_some_and(is_new) {
        Worth::News
    } else if counters_are_due || K::counters_turned(previous, wanted) {
        Worth::DueCounters
    } else {
        Worth::NotYet
    }
}

/// Whether to write now: counters take from the budget of the whole operator.
pub fn is_written_now(worth: Worth, ledger: &Ledger, now: Timestamp) -> bool {
    match worth {
        Worth::Facts => true,
        Worth::News | Worth::DueCounters => ledger.take_counter_write(now),
        Worth::NotYet | Worth::Nothing => false,
    }
}

/// Compares, with what is remembered of the object.
pub fn worth_now<K: Reconciled>(
    previous: &K::Status,
    wanted: &K::Status,
    ledger: &Ledger,
    entry: &Entry,
    now: Timestamp,
) -> Worth {
    let was_told = |denial: &str| Ledger::was_told(entry, denial, now);
    worth::<K>(previous, wanted, ledger.counters_are_due(entry, now), was_told)
}

/// Writes by server-side apply: what is not in `status` and was ours goes. The resource version of the object with it.
///
/// The uid makes sure that a successor of the same name is not written to.
pub async fn write<K: Reconciled>(
    client: &Client,
    key: &ObjectKey,
    uid: &str,
    status: &K::Status,
) -> Result<Option<u64>, kube::Error> {
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &key.namespace);
    let patch = json!({
        "apiVersion": names::API_VERSION,
        "kind": K::KIND,
        "metadata": {"name": key.name, "uid": uid},
        "status": status,
    });
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    let written = api.patch_status(&key.name, &params, &Patch::Apply(&patch)).await?;
    Ok(api_server::version(&written.metadata))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sikkerkey_crds::access_policy::AccessPolicy;
    use sikkerkey_crds::grant::{Grant, GrantStatus};
    use sikkerkey_crds::machine::{Machine, MachineStatus};
    use sikkerkey_crds::secret::Secret;

    use super::*;

    fn grant(status: Value) -> GrantStatus {
        serde_json::from_value(status).unwrap()
    }

    fn never(_: &str) -> bool {
        false
    }

    #[test]
    fn facts_come_before_news_and_news_before_counters_that_are_due() {
        let usage = |reads: i64, denied: Option<&str>| {
            let last = denied.map(|reason| json!({"reason": reason}));
            json!({"machine": "web", "usage": {"reads": reads, "lastDenied": last, "asOf": "2026-01-01T00:00:00Z"}})
        };
        for (previous, wanted, due, expected) in [
            (json!({"machine": "web"}), json!({"machine": "web"}), true, Worth::Nothing),
            (json!({"machine": "web"}), json!({"machine": "api"}), false, Worth::Facts),
            (json!({"machine": "web"}), usage(1, None), false, Worth::News),
            (usage(1, None), usage(2, None), false, Worth::NotYet),
            (usage(1, None), usage(2, None), true, Worth::DueCounters),
            (usage(1, None), usage(1, Some("RateCapReached")), false, Worth::News),
            (usage(1, Some("RateCapReached")), usage(2, Some("RateCapReached")), false, Worth::NotYet),
            (usage(1, Some("RateCapReached")), usage(1, Some("OutsideTimeWindow")), false, Worth::News),
        ] {
            let found = worth::<Grant>(&grant(previous.clone()), &grant(wanted.clone()), due, never);
            assert_eq!(found, expected, "{previous} {wanted}");
        }
    }

    #[test]
    fn two_reasons_that_take_turns_are_news_once_each_in_ten_minutes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ledger = Ledger::new(at(0));
        let denied =
            |reason: &str| grant(json!({"usage": {"reads": 1, "denied": 1, "lastDenied": {"reason": reason}}}));
        let (closed, capped) = (denied("OutsideTimeWindow"), denied("RateCapReached"));
        let entry = Entry {
            uid: "u".into(),
            counters_written: Some(at(1_000)),
            denials_told: [("OutsideTimeWindow".into(), at(990)), ("RateCapReached".into(), at(1_000))].into(),
            ..Entry::default()
        };
        for (previous, wanted, now, expected) in [
            (&capped, &closed, 1_010, Worth::NotYet),
            (&capped, &denied("CoSignMissing"), 1_010, Worth::News),
            (&capped, &closed, 1_589, Worth::NotYet),
            (&capped, &closed, 1_590, Worth::News),
        ] {
            assert_eq!(worth_now::<Grant>(previous, wanted, &ledger, &entry, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn a_read_that_waits_for_its_co_signer_and_one_that_no_longer_does_are_news() {
        let policy = |pending: Option<i32>| {
            let usage = json!({"reads": 1, "pendingCoSigns": pending});
            serde_json::from_value(json!({"axes": "CoSign", "usage": usage})).unwrap()
        };
        for (before, after, expected) in [
            (None, Some(0), Worth::NotYet),
            (Some(0), Some(1), Worth::News),
            (Some(1), Some(2), Worth::News),
            (Some(2), Some(0), Worth::News),
        ] {
            let found = worth::<AccessPolicy>(&policy(before), &policy(after), false, never);
            assert_eq!(found, expected, "{before:?} {after:?}");
        }
        let waits = |requests: &[&str]| {
            let problem = |(at, request): (usize, &&str)| {
                let message = format!("waits for Machine hq/boss, request {request}");
                json!({"secret": format!("s{at}"), "reason": "CoSignMissing", "message": message})
            };
            let missing = json!({"secret": "gone", "reason": "SecretNotFound", "message": "it is gone"});
            let problems: Vec<Value> = requests.iter().enumerate().map(problem).chain([missing]).collect();
            grant(json!({"machine": "web", "problems": problems}))
        };
        for (before, after, expected) in [
            (waits(&[]), waits(&["1"]), Worth::News),
            (waits(&["1"]), waits(&["1", "2"]), Worth::News),
            (waits(&["1"]), waits(&["2"]), Worth::News),
            (waits(&["1"]), waits(&[]), Worth::News),
            (waits(&["1"]), waits(&["1"]), Worth::Nothing),
            (waits(&["1"]), grant(json!({"machine": "web", "problems": []})), Worth::Facts),
        ] {
            assert_eq!(worth::<Grant>(&before, &after, false, never), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_window_that_changes_is_news_and_takes_from_the_budget_like_any_other() {
        let policy =
            |state: &str| serde_json::from_value(json!({"axes": "TimeWindow", "window": {"state": state}})).unwrap();
        for (before, after, expected) in [("Open", "Closed", Worth::News), ("Open", "Open", Worth::Nothing)] {
            let found = worth::<AccessPolicy>(&policy(before), &policy(after), false, never);
            assert_eq!(found, expected, "{before} {after}");
        }
    }

    #[test]
    fn reads_that_remain_are_due_when_their_number_is_first_known() {
        let policy = |remaining: Option<i64>| {
            serde_json::from_value(json!({"axes": "TTL", "usage": {"remainingReads": remaining}})).unwrap()
        };
        for (before, after, expected) in [
            (None, Some(5), Worth::DueCounters),
            (Some(5), Some(4), Worth::NotYet),
            (Some(4), None, Worth::DueCounters),
        ] {
            let found = worth::<AccessPolicy>(&policy(before), &policy(after), false, never);
            assert_eq!(found, expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_first_pod_and_the_last_are_due_at_once_and_those_between_are_not() {
        let alive =
            |alive: i32| -> MachineStatus { serde_json::from_value(json!({"pods": {"alive": alive}})).unwrap() };
        for (before, after, expected) in
            [(0, 1, Worth::DueCounters), (1, 3, Worth::NotYet), (3, 0, Worth::DueCounters), (3, 3, Worth::Nothing)]
        {
            assert_eq!(worth::<Machine>(&alive(before), &alive(after), false, never), expected, "{before} {after}");
        }
    }

    #[test]
    fn the_first_pod_that_falls_behind_and_the_last_that_catches_up_are_due_and_those_between_are_not() {
        let served = |current: i32, total: i32| {
            serde_json::from_value(json!({"version": 7, "pods": {"total": total, "current": current}})).unwrap()
        };
        for (before, after, expected) in [
            ((5, 5), (4, 5), Worth::DueCounters),
            ((0, 5), (3, 5), Worth::NotYet),
            ((3, 5), (4, 5), Worth::NotYet),
            ((4, 5), (5, 5), Worth::DueCounters),
            ((5, 5), (6, 6), Worth::NotYet),
            ((5, 5), (5, 5), Worth::Nothing),
            ((0, 0), (1, 1), Worth::DueCounters),
            ((1, 1), (0, 0), Worth::DueCounters),
        ] {
            let [before, after] = [before, after].map(|(current, total)| served(current, total));
            assert_eq!(worth::<Secret>(&before, &after, false, never), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn what_grants_give_is_written_at_once() {
        let machine = |granted: i32| serde_json::from_value(json!({"grantedSecrets": granted})).unwrap();
        let secret = |grants: i32| serde_json::from_value(json!({"grants": grants})).unwrap();
        for (before, after, expected) in
            [(0, 1, Worth::Facts), (1, 2, Worth::Facts), (1, 0, Worth::Facts), (2, 2, Worth::Nothing)]
        {
            assert_eq!(worth::<Machine>(&machine(before), &machine(after), false, never), expected, "{before} {after}");
            assert_eq!(worth::<Secret>(&secret(before), &secret(after), false, never), expected, "{before} {after}");
        }
    }

    #[test]
    fn counters_stop_at_the_budget_and_facts_do_not() {
        let now = Timestamp::from_second(1_000).unwrap();
        for (worth, expected) in
            [(Worth::News, 20), (Worth::DueCounters, 20), (Worth::Facts, 30), (Worth::NotYet, 0), (Worth::Nothing, 0)]
        {
            let ledger = Ledger::new(now);
            let written = (0..30).filter(|_| is_written_now(worth, &ledger, now)).count();
            assert_eq!(written, expected, "{worth:?}");
        }
    }
}
