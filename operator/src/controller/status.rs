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

/// Compares. Pure.
pub fn worth<K: Reconciled>(previous: &K::Status, wanted: &K::Status, counters_are_due: bool) -> Worth {
    if K::without_counters(previous) != K::without_counters(wanted) {
        Worth::Facts
    } else if previous == wanted {
        Worth::Nothing
    } else if K::counters_are_news(previous, wanted) {
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
    worth::<K>(previous, wanted, ledger.counters_are_due(entry, now))
}

/// Writes by server-side apply: what is not in `status` and was ours goes. Its new resource version.
///
/// The uid makes sure that a successor of the same name is not written to.
pub async fn write<K: Reconciled>(
    client: &Client,
    key: &ObjectKey,
    uid: &str,
    status: &K::Status,
) -> Result<Option<String>, kube::Error> {
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &key.namespace);
    let patch = json!({
        "apiVersion": names::API_VERSION,
        "kind": K::KIND,
        "metadata": {"name": key.name, "uid": uid},
        "status": status,
    });
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    let written = api.patch_status(&key.name, &params, &Patch::Apply(&patch)).await?;
    Ok(written.metadata.resource_version)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sikkerkey_crds::grant::{Grant, GrantStatus};
    use sikkerkey_crds::machine::{Machine, MachineStatus};
    use sikkerkey_crds::secret::Secret;

    use super::*;

    fn grant(status: Value) -> GrantStatus {
        serde_json::from_value(status).unwrap()
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
            let found = worth::<Grant>(&grant(previous.clone()), &grant(wanted.clone()), due);
            assert_eq!(found, expected, "{previous} {wanted}");
        }
    }

    #[test]
    fn the_first_pod_and_the_last_are_due_at_once_and_those_between_are_not() {
        let alive =
            |alive: i32| -> MachineStatus { serde_json::from_value(json!({"pods": {"alive": alive}})).unwrap() };
        for (before, after, expected) in
            [(0, 1, Worth::DueCounters), (1, 3, Worth::NotYet), (3, 0, Worth::DueCounters), (3, 3, Worth::Nothing)]
        {
            assert_eq!(worth::<Machine>(&alive(before), &alive(after), false), expected, "{before} {after}");
        }
    }

    #[test]
    fn what_grants_give_is_written_at_once() {
        let machine = |granted: i32| serde_json::from_value(json!({"grantedSecrets": granted})).unwrap();
        let secret = |grants: i32| serde_json::from_value(json!({"grants": grants})).unwrap();
        for (before, after, expected) in
            [(0, 1, Worth::Facts), (1, 2, Worth::Facts), (1, 0, Worth::Facts), (2, 2, Worth::Nothing)]
        {
            assert_eq!(worth::<Machine>(&machine(before), &machine(after), false), expected, "{before} {after}");
            assert_eq!(worth::<Secret>(&secret(before), &secret(after), false), expected, "{before} {after}");
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
