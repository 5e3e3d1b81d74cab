#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::json;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::explain::{ExplainedRule, Explanation, Rule, RuleSays};
use sikkerkey_protocol::kubernetes::ReadExplained;

use super::*;
use crate::clock::Clock;
use crate::index::seen::{Indexed, Seen};
use crate::index::{Feed, Feeds};
use crate::metrics::Metrics;

/// An API server that knows what people may do, and gives the operator no token for the server.
#[derive(Default)]
struct Cluster {
    /// `user verb plural/name`.
    allowed: Vec<&'static str>,
    reviews: Mutex<Vec<Value>>,
}

async fn access(State(cluster): State<Arc<Cluster>>, axum::Json(mut review): axum::Json<Value>) -> axum::Json<Value> {
    let spec = review["spec"].clone();
    let attributes = &spec["resourceAttributes"];
    let text = |value: &Value| value.as_str().unwrap_or("*").to_owned();
    let asked = format!(
        "{} {} {}/{} in {}",
        text(&spec["user"]),
        text(&attributes["verb"]),
        text(&attributes["resource"]),
        text(&attributes["name"]),
        text(&attributes["namespace"])
    );
    review["status"] = json!({"allowed": cluster.allowed.contains(&asked.as_str())});
    cluster.reviews.lock().unwrap().push(spec);
    axum::Json(review)
}

struct Rig {
    cluster: Arc<Cluster>,
    questions: Questions,
    _feeds: Feeds,
}

fn list<K: Indexed>(feed: &mut Feed<K>, objects: Vec<K>) {
    feed.apply(&Event::Init);
    for object in objects {
        feed.apply(&Event::InitApply(object));
    }
    feed.apply(&Event::InitDone);
}

fn object<K: sikkerkey_crds::crd::Kind>(name: &str, spec: &Value) -> Seen<K> {
    let object = json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": K::KIND, "spec": spec,
        "metadata": {"namespace": "shop", "name": name, "uid": format!("{name}-uid"), "resourceVersion": "5"},
    });
    serde_json::from_value::<DeserializeGuard<Received<K>>>(object).unwrap().into()
}

impl Rig {
    fn new(allowed: &[&'static str]) -> Self {
        let cluster = Arc::new(Cluster { allowed: allowed.to_vec(), ..Cluster::default() });
        let router = Router::new()
            .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(access))
            .with_state(Arc::clone(&cluster));
        let client = Client::new(router, "default");
        let session = Session::without_server(client.clone(), Clock::system(), Metrics::new());
        let (index, mut feeds) = Index::new();
        let machine = json!({"workload": {"serviceAccountNames": ["web"]}});
        list(&mut feeds.machines, vec![object("web", &machine)]);
        let secret = json!({"source": {"external": {}}, "policyRef": {"name": "hours"}});
        list(&mut feeds.secrets, vec![object("db", &secret)]);
        list(&mut feeds.grants, vec![]);
        list(&mut feeds.policies, vec![]);
        list(&mut feeds.namespaces, vec![]);
        list(&mut feeds.accounts, vec![]);
        Self { cluster, questions: Questions::new(client, index, session), _feeds: feeds }
    }

    /// Code, reason and message of a refusal.
    async fn refusal(&self, user: &str, spec: Value) -> (u16, &'static str, String) {
        refused(self.answer(&review(user, true, spec)).await)
    }

    async fn answer(&self, review: &str) -> Answer {
        self.questions.answer(review.as_bytes()).await.unwrap().1
    }
}

fn refused(answer: Answer) -> (u16, &'static str, String) {
    let Answer::Refuse { code, reason, message } = answer else { panic!("{answer:?}") };
    (code, reason, message)
}

fn review(user: &str, dry_run: bool, spec: Value) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "r-1", "kind": {"group": "sikkerkey.com", "version": "v1alpha1", "kind": "Question"},
        "namespace": "shop", "operation": "CREATE", "dryRun": dry_run,
        "object": {"apiVersion": "sikkerkey.com/v1alpha1", "kind": "Question", "metadata": {"name": "q"}, "spec": spec},
        "userInfo": {"username": user, "uid": "u-1", "groups": ["team"], "extra": {"scopes": ["a"]}},
    }})
    .to_string()
}

fn explain(machine_uid: &str) -> Value {
    json!({"explain": {"machine": {"name": "web", "uid": machine_uid}, "secret": {"name": "db", "uid": "db-uid"}}})
}

fn audit(name: &str, uid: &str) -> Value {
    json!({"audit": {"kind": "Secret", "name": name, "uid": uid}})
}

/// What shows that everything else has passed: the server would have been asked.
const ASKED: &str = "ServerUnreachable";

#[tokio::test]
async fn who_may_not_get_both_objects_hears_which_right_is_missing() {
    const MACHINE: &str = "jane get machines/web in shop";
    const SECRET: &str = "jane get secrets/db in shop";
    let secret = "you may not get sks/db: ask for the verb get on secrets.sikkerkey.com in namespace shop";
    let machine = "you may not get skm/web: ask for the verb get on machines.sikkerkey.com in namespace shop";
    for (allowed, text) in [(&[MACHINE][..], secret), (&[SECRET], machine), (&[], machine)] {
        let told = Rig::new(allowed).refusal("jane", explain("web-uid")).await;
        assert_eq!(told, (403, "NotAllowed", text.to_owned()));
    }
    let rig = Rig::new(&[MACHINE, SECRET]);
    assert_eq!(rig.refusal("joe", explain("web-uid")).await.1, "NotAllowed", "it is asked for the very person");
    let (code, reason, text) = rig.refusal("jane", explain("web-uid")).await;
    assert_eq!((code, reason), (503, ASKED), "{text}");
    let reviews = rig.cluster.reviews.lock().unwrap();
    let spec = &reviews[0];
    assert_eq!((&spec["uid"], &spec["groups"]), (&json!("u-1"), &json!(["team"])));
    assert_eq!(
        (&spec["extra"], &spec["resourceAttributes"]["group"]),
        (&json!({"scopes": ["a"]}), &json!("sikkerkey.com"))
    );
}

#[tokio::test]
async fn who_read_what_is_a_right_of_its_own() {
    const GET: &str = "jane get secrets/db in shop";
    const AUDIT: &str = "jane audit secrets/db in shop";
    let told = Rig::new(&[GET]).refusal("jane", audit("db", "db-uid")).await;
    let text = "you may not audit sks/db: ask for the verb audit on secrets.sikkerkey.com in namespace shop";
    assert_eq!(told, (403, "NotAllowed", text.to_owned()));
    assert_eq!(Rig::new(&[AUDIT]).refusal("jane", audit("db", "db-uid")).await.1, "NotAllowed");
    assert_eq!(Rig::new(&[GET, AUDIT]).refusal("jane", audit("db", "db-uid")).await.1, ASKED);
}

#[tokio::test]
async fn a_command_for_a_host_is_a_right_of_its_own_and_only_a_hash_passes() {
    const GET: &str = "jane get machines/web in shop";
    const BOOTSTRAP: &str = "jane bootstrap machines/web in shop";
    let asked = |uid: &str| json!({"bootstrap": {"name": "web", "uid": uid, "tokenHash": "ab".repeat(32)}});
    let told = Rig::new(&[GET]).refusal("jane", asked("web-uid")).await;
    let text = "you may not bootstrap skm/web: ask for the verb bootstrap on machines.sikkerkey.com in namespace shop";
    assert_eq!(told, (403, "NotAllowed", text.to_owned()));
    assert_eq!(Rig::new(&[BOOTSTRAP]).refusal("jane", asked("web-uid")).await.1, "NotAllowed");
    let rig = Rig::new(&[GET, BOOTSTRAP]);
    assert_eq!(rig.refusal("jane", asked("web-uid")).await.1, ASKED);
    assert_eq!(rig.refusal("jane", asked("guessed")).await.1, "NotFound");
    let mut slip = asked("web-uid");
    slip["bootstrap"]["token"] = json!("ab");
    assert_eq!(rig.refusal("jane", slip).await.1, "InvalidQuestion", "a token is never taken");
}

/// Whoever reaches the listener may claim to be the API server, and anybody.
#[tokio::test]
async fn whoever_does_not_know_an_objects_uid_does_not_learn_whether_it_exists() {
    let all = ["get", "audit"]
        .into_iter()
        .flat_map(|verb| ["db", "nothing"].map(|name| &*format!("system:admin {verb} secrets/{name} in shop").leak()));
    let rig = Rig::new(&all.collect::<Vec<&'static str>>());
    let told = |name: &str| {
        let text = format!(
            "sks/{name} in namespace shop is not there, or is another one than was asked about: look at it again, and ask again"
        );
        (404, "NotFound", text)
    };
    for name in ["db", "nothing"] {
        assert_eq!(rig.refusal("system:admin", audit(name, "guessed")).await, told(name));
    }
    assert_eq!(rig.refusal("system:admin", audit("db", "db-uid")).await.1, ASKED);
}

#[tokio::test]
async fn a_question_that_would_be_stored_is_refused_before_anybody_is_asked() {
    let rig = Rig::new(&[]);
    let told = refused(rig.answer(&review("jane", false, explain("web-uid"))).await);
    let text = "a Question is never stored: ask with --dry-run=server, as kubectl sikkerkey explain does";
    assert_eq!(told, (403, "QuestionStored", text.to_owned()));
    assert!(rig.cluster.reviews.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_question_is_named() {
    let rig = Rig::new(&[]);
    let mut both = explain("web-uid");
    both["audit"] = audit("db", "u")["audit"].clone();
    let mut slip = explain("web-uid");
    slip["explain"]["adress"] = json!("10.0.0.1");
    let mut address = explain("web-uid");
    address["explain"]["address"] = json!("10.0.0");
    for (spec, text) in [
        (json!({}), "spec: give exactly one of explain, audit, bootstrap"),
        (both, "spec: give exactly one of explain, audit, bootstrap"),
        (slip, "unknown field `adress`"),
        (address, "spec.explain.address is no address, such as 10.1.2.3 or 2001:db8::1"),
    ] {
        let (code, reason, message) = rig.refusal("jane", spec).await;
        assert_eq!((code, reason), (422, "InvalidQuestion"));
        assert!(message.starts_with(text), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_so_often_that_others_cannot() {
    let rig = Rig::new(&[]);
    let ask = async |user: &str| rig.refusal(user, json!({})).await.1;
    for _ in 0..BURST {
        assert_eq!(ask("jane").await, "InvalidQuestion");
    }
    assert_eq!(ask("jane").await, "TooManyQuestions");
    assert_eq!(ask("joe").await, "InvalidQuestion");
    tokio::time::advance(INTERVAL).await;
    assert_eq!(ask("jane").await, "InvalidQuestion");
    let mut asked = 0;
    while ask(&format!("person {asked}")).await != "TooManyQuestions" {
        asked += 1;
        assert!(asked < BURST_OF_ALL, "all together have a bound too");
    }
}

fn told(rule: Rule, says: RuleSays) -> ExplainedRule {
    let reason = (says == RuleSays::Denies).then_some(DenialReason::OutsideTimeWindow);
    ExplainedRule { rule, says, reason, message: format!("{rule:?}"), until: None }
}

#[test]
fn what_a_person_may_not_get_is_taken_out_and_why_a_read_is_denied_stays() {
    let rules = vec![
        told(Rule::Machine, RuleSays::Allows),
        told(Rule::Grant, RuleSays::Allows),
        told(Rule::Policy, RuleSays::Allows),
        told(Rule::TimeWindow, RuleSays::Denies),
        told(Rule::IpAllowlist, RuleSays::Allows),
        told(Rule::RateCap, RuleSays::Off),
    ];
    let explanation = Explanation {
        machine: "Machine shop/web".into(),
        secret: "shop/db".into(),
        address: "10.0.0.1".into(),
        at: 0,
        allowed: false,
        rules,
        changes_at: Some(5),
    };
    let answer = ReadExplained { not_held: vec![], enrolled: None, explanation: Some(explanation) };
    let grant = "granted; you may not list skg there, which tell by which Grant";
    let policy = "you may not get the AccessPolicy, which says more";
    for (grants, may_get_policy, messages, changes_at) in [
        (true, true, ["Machine", "Grant", "Policy", "TimeWindow", "IpAllowlist", "RateCap"], Some(5)),
        (false, true, ["Machine", grant, "Policy", "TimeWindow", "IpAllowlist", "RateCap"], Some(5)),
        (true, false, ["Machine", "Grant", policy, "TimeWindow", policy, "RateCap"], None),
    ] {
        let sight = rights::Sight { grants, policy: may_get_policy };
        let seen = ask::seen_by(answer.clone(), sight).explanation.unwrap();
        let told: Vec<String> = seen.rules.into_iter().map(|it| it.message).collect();
        assert_eq!((told, seen.changes_at), (messages.map(str::to_owned).to_vec(), changes_at));
    }
}

#[test]
fn an_answer_has_a_bound() {
    assert!(bounded(&"x".repeat(MAX_ANSWER - 2)).is_ok());
    assert_eq!(bounded(&"x".repeat(MAX_ANSWER)), Err(Refusal::TooLarge));
}
