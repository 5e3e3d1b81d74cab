#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use std::collections::BTreeSet;

use super::*;

/// An index and what its listeners hear.
pub(super) struct Rig {
    pub(super) index: Arc<Index>,
    pub(super) feeds: Feeds,
    heard: Vec<(Resource, mpsc::UnboundedReceiver<Touch>)>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::of(NamespaceSelector::default())
    }

    pub(super) fn of(managed: NamespaceSelector) -> Self {
        let (index, feeds) = Index::of(managed);
        let heard = Resource::KINDS.map(|resource| (resource, index.subscribe(resource)));
        Self { index, feeds, heard: heard.into() }
    }

    /// What was touched since the last time, in order of kind and name, and what may wait.
    pub(super) fn heard(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        for (resource, receiver) in &mut self.heard {
            let mut touched = BTreeSet::new();
            while let Some(Some(Touch { key, urgency })) = futures::FutureExt::now_or_never(receiver.next()) {
                let soon = if urgency == Urgency::Soon { ", soon" } else { "" };
                touched.insert(format!("{key}{soon}"));
            }
            names.extend(touched.into_iter().map(|it| format!("{resource:?} {it}")));
        }
        names
    }

    pub(super) fn machine(&mut self, value: Value) {
        self.feeds.machines.apply(&Event::Apply(seen(value)));
    }

    pub(super) fn secret(&mut self, value: Value) {
        self.feeds.secrets.apply(&Event::Apply(seen(value)));
    }

    pub(super) fn grant(&mut self, value: Value) {
        self.feeds.grants.apply(&Event::Apply(seen(value)));
    }

    pub(super) fn policy(&mut self, value: Value) {
        self.feeds.policies.apply(&Event::Apply(seen(value)));
    }
}

fn seen<K: sikkerkey_crds::crd::Kind>(value: Value) -> Seen<K> {
    let guard: kube::core::DeserializeGuard<Received<K>> = serde_json::from_value(value).unwrap();
    guard.into()
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"namespace": namespace, "name": name, "uid": name, "generation": 1, "resourceVersion": "5"},
    })
}

pub(super) fn machine(name: &str, allow: Value) -> Value {
    object("Machine", name, json!({"workload": {"serviceAccountNames": ["sa"]}, "allowFrom": allow}))
}

pub(super) fn secret(name: &str) -> Value {
    object("Secret", name, json!({"source": {"external": {}}, "policyRef": {"name": "hours"}}))
}

pub(super) fn grant(name: &str, machine: Value, secrets: &[&str]) -> Value {
    let secrets: Vec<_> = secrets.iter().map(|name| json!({"name": name})).collect();
    object("Grant", name, json!({"machineRef": machine, "secretRefs": secrets}))
}

pub(super) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

#[test]
fn a_change_touches_the_object_and_all_it_concerns() {
    let mut rig = Rig::new();
    rig.grant(grant("shop/g", json!({"name": "web"}), &["db"]));
    assert_eq!(rig.heard(), ["Machine shop/web, soon", "Secret shop/db, soon", "Grant shop/g"]);
    rig.machine(machine("shop/web", json!([])));
    assert_eq!(rig.heard(), ["Machine shop/web", "Grant shop/g"]);
    rig.secret(secret("shop/db"));
    assert_eq!(rig.heard(), ["Secret shop/db", "Grant shop/g", "AccessPolicy shop/hours"]);
    rig.policy(object("AccessPolicy", "shop/hours", json!({"rateCap": {"perMinute": 1}})));
    assert_eq!(rig.heard(), ["Secret shop/db", "AccessPolicy shop/hours"]);
    rig.policy(object("AccessPolicy", "shop/two", json!({"coSign": {"machineRef": {"name": "web"}, "window": "1m"}})));
    rig.heard();
    let mut edited = machine("shop/web", json!([]));
    edited["metadata"]["generation"] = 2.into();
    rig.machine(edited);
    assert_eq!(rig.heard(), ["Machine shop/web", "Grant shop/g", "AccessPolicy shop/two"]);
}

#[test]
fn a_status_touches_those_who_look_at_it_and_counters_touch_nobody() {
    let mut rig = Rig::new();
    rig.secret(secret("shop/db"));
    rig.grant(grant("shop/g", json!({"name": "web"}), &["db"]));
    rig.heard();
    let mut ready = secret("shop/db");
    let condition = json!({"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                           "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    ready["status"] = json!({"conditions": [condition], "grants": 1});
    rig.secret(ready.clone());
    assert_eq!(rig.heard(), ["Grant shop/g"], "not the Secret itself: the status is ours");
    ready["status"]["grants"] = 2.into();
    rig.secret(ready);
    assert_eq!(rig.heard(), Vec::<String>::new());
}

#[test]
fn a_grant_that_comes_into_force_or_gives_another_number_touches_both_sides_and_its_reads_touch_nobody() {
    let mut rig = Rig::new();
    let mut given = grant("shop/g", json!({"name": "web"}), &["db"]);
    rig.grant(given.clone());
    rig.heard();
    let both = ["Machine shop/web, soon", "Secret shop/db, soon"];
    given["status"] = json!({"machineID": "m-1", "secrets": {"granted": 0, "total": 1, "summary": "0/1"}});
    rig.grant(given.clone());
    assert_eq!(rig.heard(), both, "in force");
    given["status"]["secrets"] = json!({"granted": 1, "total": 1, "summary": "1/1"});
    rig.grant(given.clone());
    assert_eq!(rig.heard(), both, "a Secret more");
    given["status"]["usage"] = json!({"reads": 3});
    rig.grant(given.clone());
    assert_eq!(rig.heard(), Vec::<String>::new());
    given["status"]["machineID"] = Value::Null;
    rig.grant(given);
    assert_eq!(rig.heard(), both, "withdrawn");
}

#[test]
fn only_grants_in_force_are_counted_and_secrets_once() {
    let mut rig = Rig::new();
    for name in ["shop/a", "shop/b", "pay/a"] {
        let mut known = secret(name);
        known["status"] = json!({"secretID": "sk_1"});
        rig.secret(known);
    }
    rig.secret(secret("shop/not-at-the-server"));
    let mut give = |name: &str, secrets: &[&str], status: Value, more: Value| {
        let mut given = grant(name, json!({"name": "web", "namespace": "shop"}), secrets);
        given["status"] = status;
        for part in ["metadata", "spec"] {
            let more = more[part].as_object().cloned().unwrap_or_default();
            given[part].as_object_mut().unwrap().extend(more);
        }
        rig.grant(given);
    };
    let in_force = || json!({"machineID": "m-1"});
    let ends = |at: &str| json!({"spec": {"expiresAt": at}});
    give("shop/one", &["a", "b"], in_force(), json!({}));
    give("shop/two", &["a", "not-at-the-server", "nowhere"], in_force(), ends("1970-01-01T00:00:09Z"));
    give("shop/three", &["a"], in_force(), ends("1970-01-01T00:00:05Z"));
    give("pay/one", &["a"], in_force(), json!({}));
    give("shop/ended", &["a"], in_force(), ends("1970-01-01T00:00:00Z"));
    give("shop/leaving", &["a"], in_force(), json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:00Z"}}));
    give("shop/withdrawn", &["a"], json!({"secrets": {"granted": 0}}), json!({}));
    give("shop/new", &["a"], Value::Null, json!({}));
    let key = |namespace: &str, name: &str| ObjectKey { namespace: namespace.into(), name: name.into() };
    let fifth = Timestamp::from_second(5).unwrap();
    let ends = Some(fifth);
    let given = |count, changes_at| Given { count, changes_at };
    assert_eq!(rig.index.grants_of(&key("shop", "a"), now()), given(3, ends));
    assert_eq!(rig.index.grants_of(&key("shop", "a"), fifth).count, 2);
    assert_eq!(rig.index.grants_of(&key("shop", "b"), now()), given(1, None));
    assert_eq!(rig.index.grants_of(&key("pay", "a"), now()), given(1, None));
    assert_eq!(rig.index.secrets_granted_to(&key("shop", "web"), now()), given(3, ends));
    assert_eq!(rig.index.secrets_granted_to(&key("pay", "web"), now()), Given::default());
}

#[test]
fn a_reference_that_moves_touches_what_it_named_and_what_it_names() {
    let mut rig = Rig::new();
    rig.grant(grant("shop/g", json!({"name": "old"}), &["db"]));
    rig.heard();
    let mut edited = grant("shop/g", json!({"name": "new"}), &["db"]);
    edited["metadata"]["generation"] = 2.into();
    rig.grant(edited.clone());
    let three = ["Machine shop/new, soon", "Machine shop/old, soon", "Secret shop/db, soon"];
    assert_eq!(rig.heard(), [&three[..], &["Grant shop/g"]].concat());
    rig.feeds.grants.apply(&Event::Delete(seen(edited)));
    assert_eq!(rig.heard(), ["Machine shop/new, soon", "Secret shop/db, soon", "Grant shop/g"]);
}

#[test]
fn a_list_touches_what_is_new_what_is_gone_and_nothing_else() {
    let mut rig = Rig::new();
    rig.secret(secret("shop/stays"));
    rig.secret(secret("shop/goes"));
    rig.heard();
    for event in [
        Event::Init,
        Event::InitApply(seen(secret("shop/stays"))),
        Event::InitApply(seen(secret("shop/comes"))),
        Event::InitDone,
    ] {
        rig.feeds.secrets.apply(&event);
    }
    assert_eq!(rig.heard(), ["Secret shop/comes", "Secret shop/goes", "AccessPolicy shop/hours"]);
    assert!(!rig.index.is_synced(), "the other lists are not there yet");
}

#[test]
fn a_service_account_touches_its_machines_and_a_namespace_all_it_holds() {
    let mut rig = Rig::new();
    rig.machine(machine("shop/web", json!([])));
    rig.secret(secret("shop/db"));
    rig.secret(secret("other/db"));
    rig.heard();
    let meta =
        |name: &str, namespace: Option<&str>| json!({"metadata": {"name": name, "namespace": namespace, "uid": "u"}});
    rig.feeds.accounts.apply(&Event::Apply(serde_json::from_value(meta("sa", Some("shop"))).unwrap()));
    assert_eq!(rig.heard(), ["Machine shop/web"]);
    assert!(rig.index.service_account_exists("shop", "sa") && !rig.index.service_account_exists("other", "sa"));
    rig.feeds.namespaces.apply(&Event::Apply(serde_json::from_value(meta("shop", None)).unwrap()));
    assert_eq!(rig.heard(), ["Machine shop/web", "Secret shop/db"]);
    assert_eq!(rig.index.namespace_uid("shop").as_deref(), Some("u"));
}

#[test]
fn what_stands_in_a_namespace_that_is_not_managed_is_there_for_nobody_and_touched_when_that_turns() {
    let mut rig = Rig::of("!sandbox".parse().unwrap());
    rig.machine(machine("shop/web", json!([])));
    rig.secret(secret("pay/db"));
    rig.grant(grant("pay/g", json!({"name": "web", "namespace": "shop"}), &["db"]));
    rig.policy(object("AccessPolicy", "shop/hours", json!({"rateCap": {"perMinute": 1}})));
    rig.secret(secret("other/db"));
    let mut namespace = |name: &str, labels: Value| {
        let meta = json!({"metadata": {"name": name, "uid": name, "labels": labels}});
        rig.feeds.namespaces.apply(&Event::Apply(serde_json::from_value(meta).unwrap()));
        let found = rig.index.machine("shop", "web").is_some();
        let heard = rig.heard();
        (rig.index.manages(name), found, heard)
    };
    let inside = ["Machine shop/web", "AccessPolicy shop/hours"].map(str::to_owned).to_vec();
    let with_others = ["Machine shop/web", "Grant pay/g", "AccessPolicy shop/hours"].map(str::to_owned).to_vec();
    namespace("other", json!({}));
    assert_eq!(namespace("shop", json!({"team": "a"})), (true, true, inside));
    assert_eq!(namespace("shop", json!({"team": "b"})), (true, true, vec![]), "what nobody asks for");
    assert_eq!(namespace("shop", json!({"sandbox": ""})), (false, false, with_others.clone()));
    assert_eq!(namespace("shop", json!({})), (true, true, with_others));
    // What its objects refer to looks at them too.
    let all =
        ["Machine shop/web", "Secret pay/db", "Grant pay/g", "AccessPolicy pay/hours"].map(str::to_owned).to_vec();
    namespace("pay", json!({}));
    assert_eq!(namespace("pay", json!({"sandbox": "yes"})), (false, true, all));
    assert!(rig.index.secret("pay", "db").is_none() && rig.index.grant("pay", "g").is_none());
    assert_eq!(rig.index.keys(Resource::Secret).len(), 2, "they are told that they are not managed");
    assert!(rig.index.manages("not-known-yet"));
}

#[test]
fn a_grant_counts_with_consent_while_it_lasts_and_for_secrets_that_exist() {
    let mut rig = Rig::new();
    let consent = json!([{"namespace": "pay", "kinds": ["Grant"]}, {"namespace": "hq", "kinds": ["AccessPolicy"]}]);
    rig.machine(machine("shop/web", consent));
    for name in ["shop/a", "shop/b", "shop/c", "shop/d", "pay/t", "hq/t"] {
        rig.secret(secret(name));
    }
    let foreign = json!({"name": "web", "namespace": "shop"});
    rig.grant(grant("shop/own", json!({"name": "web"}), &["a", "missing"]));
    rig.grant(grant("pay/consented", foreign.clone(), &["t"]));
    rig.grant(grant("hq/not-consented", foreign, &["t"]));
    let mut ended = grant("shop/ended", json!({"name": "web"}), &["b"]);
    ended["spec"]["expiresAt"] = "1970-01-01T00:00:00Z".into();
    rig.grant(ended);
    let mut ends = grant("shop/ends", json!({"name": "web"}), &["a", "d"]);
    ends["spec"]["expiresAt"] = "1970-01-01T00:00:01Z".into();
    rig.grant(ends);
    let mut deleted = grant("shop/deleted", json!({"name": "web"}), &["c"]);
    deleted["metadata"]["deletionTimestamp"] = "1970-01-01T00:00:00Z".into();
    rig.grant(deleted);
    let machine = rig.index.machine("shop", "web").unwrap();
    let mut found = Vec::new();
    for name in ["shop/a", "shop/b", "shop/c", "shop/d", "shop/missing", "pay/t", "hq/t"] {
        let (namespace, name) = name.split_once('/').unwrap();
        let key = ObjectKey { namespace: namespace.into(), name: name.into() };
        found.extend(rig.index.granted_until(&machine, &key, now()).map(|until| (key.to_string(), until)));
    }
    let second = Until::Instant(Timestamp::from_second(1).unwrap());
    assert_eq!(
        found,
        [("shop/a".to_owned(), Until::Revoked), ("shop/d".to_owned(), second), ("pay/t".to_owned(), Until::Revoked)]
    );
}

#[test]
fn an_object_that_does_not_parse_hides_nothing_and_is_passed_over_itself() {
    let mut rig = Rig::new();
    rig.secret(secret("shop/good"));
    let mut newer = secret("shop/newer");
    newer["spec"]["deletionPolicy"] = "Shred".into();
    rig.secret(newer);
    assert_eq!(rig.heard(), ["Secret shop/good", "Secret shop/newer", "AccessPolicy shop/hours"]);
    assert!(rig.index.secret("shop", "good").is_some());
    assert!(rig.index.secret("shop", "newer").is_none());
    assert_eq!(rig.index.keys(Resource::Secret).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn catching_up_waits_for_the_version_and_no_longer_than_its_bound() {
    let mut rig = Rig::new();
    rig.secret(secret("shop/db"));
    let key = ObjectKey { namespace: "shop".into(), name: "db".into() };
    let index = Arc::clone(&rig.index);
    let bound = Duration::from_secs(1);
    for version in [4, 5] {
        let begun = tokio::time::Instant::now();
        index.catch_up::<Seen<secret_module::Secret>>(&key, version, bound).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "{version}");
    }
    let begun = tokio::time::Instant::now();
    index.catch_up::<Seen<secret_module::Secret>>(&key, 6, bound).await;
    assert!(begun.elapsed() >= bound);
    let begun = tokio::time::Instant::now();
    let mut newer = secret("shop/db");
    newer["metadata"]["resourceVersion"] = "6".into();
    tokio::join!(index.catch_up::<Seen<secret_module::Secret>>(&key, 6, bound), async { rig.secret(newer) });
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

use sikkerkey_crds::secret as secret_module;

#[test]
fn objects_are_counted_by_how_they_stand() {
    use crate::metrics::Ready;
    use sikkerkey_protocol::kubernetes::Kind;

    let mut rig = Rig::of("!sandbox".parse().unwrap());
    let with = |mut object: Value, status: &str| {
        let time = "2026-11-24T12:00:00Z";
        object["status"] = json!({"conditions": [{
            "type": "Ready", "status": status, "reason": "Pending", "message": "", "lastTransitionTime": time,
        }]});
        object
    };
    rig.grant(with(grant("shop/ready", json!({"name": "web"}), &["db"]), "True"));
    rig.grant(with(grant("shop/refused", json!({"name": "web"}), &["db"]), "False"));
    rig.grant(grant("shop/new", json!({"name": "web"}), &["db"]));
    let mut going = with(grant("shop/going", json!({"name": "web"}), &["db"]), "False");
    going["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z".into();
    rig.grant(going);
    rig.secret(object("Secret", "shop/none", json!({"source": "nothing"})));
    let counts = rig.index.readiness();
    let of = |kind, ready| counts.iter().find(|it| (it.0, it.1) == (kind, ready)).unwrap().2;
    assert_eq!([Ready::True, Ready::False, Ready::Unknown].map(|ready| of(Kind::Grant, ready)), [1, 1, 1]);
    assert_eq!(of(Kind::Secret, Ready::False), 1, "one that does not parse");
    assert_eq!(counts.len(), 12, "what is nothing is said as well");
}
