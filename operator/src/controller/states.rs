//! One object in every state that a contract of the kinds names, as `kubectl get -o yaml` would show it. The statuses come
//! from `conclude`, so they cannot drift from what the operator writes; the files are read by the tests of health checks and
//! of what `kubectl` prints.

#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

mod access_policy;
mod grant;
mod machine;
mod secret;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::error_body::ErrorCode;

use super::events::news;
use super::fixture::{Pass, away, meta, now, refused};
use super::plan::{Outcome, Plan, Reconciled};
use crate::server::ServerError;

/// The generation of an object that was edited after its first one had come into force.
const EDITED: i64 = 3;

/// What the states of a kind are made from.
trait States: Reconciled {
    /// An object in which nothing is wrong.
    fn plain() -> Value;
    /// Its surroundings.
    fn facts() -> Self::Facts;
    /// How the server holds it.
    fn state() -> Self::State;
    /// A generation that a schema lets pass and the operator does not accept.
    fn invalid() -> Value;
    /// The states that are this kind's own.
    fn own(gallery: &mut Gallery<Self>);
}

/// The states of a kind, in the order of the contract.
struct Gallery<K: States> {
    objects: Vec<(Value, Option<Value>)>,
    kind: std::marker::PhantomData<K>,
}

impl<K: States> Gallery<K> {
    fn new() -> Self {
        let mut gallery = Self { objects: Vec::new(), kind: std::marker::PhantomData };
        gallery.common();
        K::own(&mut gallery);
        gallery
    }

    /// What all kinds have: section 3.2 of the contract.
    fn common(&mut self) {
        let pending = serde_json::to_value(&K::schema().properties.as_ref().unwrap()["status"].default).unwrap();
        self.objects.push((object::<K>("pending", K::plain(), 1, pending), None));
        self.shows("ready", K::plain(), K::facts(), Outcome::InForce(K::state()));
        let mut mistyped = K::plain();
        mistyped["suspended"] = true.into();
        self.edited("unknown-field", mistyped, Outcome::NotAsked);
        self.edited("invalid-spec", K::invalid(), Outcome::NotAsked);
        self.not_managed("namespace-not-managed");
        self.shows("adoption-required", K::plain(), K::facts(), refused(ErrorCode::AdoptionRequired));
        self.edited("server-unreachable", K::plain(), away());
        self.edited("server-sealed", K::plain(), Outcome::Failed(ServerError::Sealed));
        self.edited("server-refused", K::plain(), refused(ErrorCode::Unsupported));
        let frozen = ServerError::Refused { status: 423, code: None, text: "frozen".to_owned() };
        self.shows("project-frozen", K::plain(), K::facts(), Outcome::Failed(frozen));
        let first = away();
        self.shows("server-unreachable-at-first", K::plain(), K::facts(), first);
    }

    /// A first generation.
    fn shows(&mut self, name: &str, spec: Value, facts: K::Facts, outcome: Outcome<K::State>) {
        // The object may have been in force before the server said no.
        let refused = matches!(&outcome, Outcome::Failed(ServerError::Refused { .. }));
        let previous = if refused { in_force::<K>(name, 1) } else { K::Status::default() };
        self.push(name, spec, 1, facts, outcome, previous);
    }

    /// A later generation of an object that was in force.
    fn edited(&mut self, name: &str, spec: Value, outcome: Outcome<K::State>) {
        self.push(name, spec, EDITED, K::facts(), outcome, in_force::<K>(name, 1));
    }

    /// One that was in force until its namespace was one that the operator does not manage.
    fn not_managed(&mut self, name: &str) {
        let object = received::<K>(name, &K::plain(), 1);
        let previous = in_force::<K>(name, 1);
        let pass = Pass { object: &object, facts: K::facts(), outcome: Outcome::NotAsked, previous, is_absent: false };
        let status = pass.status_after(&Plan::NotManaged);
        self.add(name, K::plain(), 1, &pass.previous, &status);
    }

    fn push(
        &mut self,
        name: &str,
        spec: Value,
        generation: i64,
        facts: K::Facts,
        outcome: Outcome<K::State>,
        previous: K::Status,
    ) {
        let object = received::<K>(name, &spec, generation);
        let plan = K::plan(&object, meta("shop", name), &facts);
        assert!(!matches!(plan, Plan::Wait), "{name}");
        let pass = Pass { object: &object, facts, outcome, previous, is_absent: false };
        let status = pass.status();
        self.add(name, spec, generation, &pass.previous, &status);
    }

    fn add(&mut self, name: &str, spec: Value, generation: i64, previous: &K::Status, status: &K::Status) {
        let event = news(K::conditions_of(previous), K::conditions_of(status)).map(|news| {
            let type_ = if news.is_warning { "Warning" } else { "Normal" };
            json!({"type": type_, "reason": news.reason, "note": news.message})
        });
        let object = object::<K>(name, spec, generation, serde_json::to_value(status).unwrap());
        self.objects.push((object, event));
    }

    /// The reasons that the conditions of all states give.
    fn reasons(&self) -> BTreeSet<String> {
        let conditions = |(object, _): &(Value, _)| object["status"]["conditions"].as_array().unwrap().clone();
        self.objects.iter().flat_map(conditions).map(|one| one["reason"].as_str().unwrap().to_owned()).collect()
    }

    /// The file: objects with the Event that tells of the state.
    fn to_yaml(&self) -> String {
        let head = "# Generated from what the operator concludes: UPDATE_GOLDEN=1 cargo test -p sikkerkey-operator --lib states\n";
        let one = |(object, event): &(Value, Option<Value>)| {
            format!("---\n{}", serde_yaml::to_string(&json!({"object": object, "event": event})).unwrap())
        };
        std::iter::once(head.to_owned()).chain(self.objects.iter().map(one)).collect()
    }
}

fn object<K: Kind>(name: &str, spec: Value, generation: i64, status: Value) -> Value {
    json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": K::KIND,
        "metadata": {"name": name, "namespace": "shop", "generation": generation}, "spec": spec, "status": status,
    })
}

fn received<K: Kind>(name: &str, spec: &Value, generation: i64) -> Received<K> {
    serde_json::from_value(object::<K>(name, spec.clone(), generation, json!(null))).unwrap()
}

/// The status of a generation that is in force.
fn in_force<K: States>(name: &str, generation: i64) -> K::Status {
    let object = received::<K>(name, &K::plain(), generation);
    let outcome = Outcome::InForce(K::state());
    Pass { object: &object, facts: K::facts(), outcome, previous: K::Status::default(), is_absent: false }.status()
}

/// Compares with the committed file; `UPDATE_GOLDEN=1` rewrites it.
fn assert_golden<K: States>() {
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/states")).join(format!("{}.yaml", K::PLURAL));
    let text = Gallery::<K>::new().to_yaml();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == golden, "{} differs: UPDATE_GOLDEN=1 rewrites it", path.display());
}

type Machine = sikkerkey_crds::machine::Machine;
type Secret = sikkerkey_crds::secret::Secret;
type Grant = sikkerkey_crds::grant::Grant;
type AccessPolicy = sikkerkey_crds::access_policy::AccessPolicy;

#[test]
fn the_committed_states_are_what_the_operator_concludes() {
    assert_golden::<Machine>();
    assert_golden::<Secret>();
    assert_golden::<Grant>();
    assert_golden::<AccessPolicy>();
}

/// Reasons that stand in no condition: of a refusal, a warning or an Event.
const NOT_IN_CONDITIONS: &[Reason] = &[
    // Why a read was denied.
    Reason::NotGranted,
    Reason::GrantExpired,
    Reason::MachineSuspended,
    Reason::MachineNotApproved,
    Reason::MachineExpired,
    Reason::OutsideTimeWindow,
    Reason::AddressNotAllowed,
    Reason::RateCapReached,
    Reason::CoSignMissing,
    Reason::CoSignRefused,
    Reason::PolicyEnded,
    Reason::PolicyMissing,
    Reason::AccountNotActive,
    Reason::LockedOut,
    // Why a pod was refused at admission.
    Reason::MachineIsHost,
    Reason::ServiceAccountNotAllowed,
    Reason::SelectorMismatch,
    Reason::UnknownAnnotation,
    Reason::ContainerNotFound,
    Reason::MountConflict,
    Reason::ReservedName,
    Reason::ProcessNamespaceNeeded,
    Reason::SignalNeedsUser,
    Reason::MeshBlocksStart,
    Reason::UnsupportedNode,
    // Warnings at admission.
    Reason::FileModeUnreadable,
    Reason::NotGrantedYet,
    Reason::SubPathNeverUpdates,
    // Events.
    Reason::Enrolled,
    Reason::EnrolmentRefused,
    Reason::EnrolmentFailed,
    Reason::ReadDenied,
    Reason::CoSignAwaited,
    Reason::FilesStale,
    Reason::FilesRemoved,
    Reason::FilesNotWritten,
    Reason::MachineReplaced,
    Reason::CleanupDeferred,
    Reason::PolicyUnbound,
    Reason::OriginalDeleted,
    Reason::ValueRetained,
    Reason::ValueTrashed,
];

#[test]
fn every_reason_that_may_stand_in_a_condition_has_a_state() {
    let shown: BTreeSet<String> = [
        Gallery::<Machine>::new().reasons(),
        Gallery::<Secret>::new().reasons(),
        Gallery::<Grant>::new().reasons(),
        Gallery::<AccessPolicy>::new().reasons(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let missing = |reason: &&Reason| !shown.contains(reason.as_str()) && !NOT_IN_CONDITIONS.contains(reason);
    let missing: Vec<_> = Reason::ALL.iter().filter(missing).collect();
    assert!(missing.is_empty(), "give these a state, or say that they stand in no condition: {missing:?}");
    let both: Vec<_> = NOT_IN_CONDITIONS.iter().filter(|reason| shown.contains(reason.as_str())).collect();
    assert!(both.is_empty(), "{both:?}");
}

/// What an object said of itself at the server is void once the server has lost it and does not get it again.
fn the_lost_gives_nothing<K: States>(void: &[&str]) {
    let status = |spec: &Value, outcome, is_absent| {
        let (object, facts, previous) = (received::<K>("lost", spec, EDITED), K::facts(), in_force::<K>("lost", 1));
        serde_json::to_value(Pass { object: &object, facts, outcome, previous, is_absent }.status()).unwrap()
    };
    let held = status(&K::invalid(), Outcome::NotAsked, false);
    let lost = status(&K::invalid(), Outcome::NotAsked, true);
    for (what, status, is_void) in [
        ("not accepted", &held, false),
        ("not accepted, and lost", &lost, true),
        ("refused", &status(&K::plain(), refused(ErrorCode::Unsupported), false), false),
        ("refused, and lost", &status(&K::plain(), refused(ErrorCode::Unsupported), true), true),
        ("lost, and the server is away again", &status(&K::plain(), away(), true), false),
    ] {
        for field in void {
            assert_eq!(status[field].is_null(), is_void, "{} {what}: {field}", K::KIND);
        }
    }
    for (status, end) in [(&held, " Generation 1 stays in force."), (&lost, " Nothing is in force yet.")] {
        let accepted = status["conditions"][0]["message"].as_str().unwrap();
        assert!(accepted.ends_with(end), "{}: {accepted}", K::KIND);
    }
    let programmed = |status: &Value| status["conditions"][2]["status"].clone();
    assert_eq!([programmed(&held), programmed(&lost)], ["True", "False"], "{}", K::KIND);
}

#[test]
fn what_the_server_has_lost_is_not_said_of_an_object() {
    the_lost_gives_nothing::<Machine>(&["machineID", "approval", "grantedSecrets"]);
    the_lost_gives_nothing::<Secret>(&["secretID", "projectID", "grants"]);
    the_lost_gives_nothing::<Grant>(&["machineID"]);
    the_lost_gives_nothing::<AccessPolicy>(&["window"]);
}

/// The parts of a status whose changes Argo CD is told to ignore.
fn ignored_by_argo<K: Kind>() -> Vec<String> {
    let map: Value = serde_yaml::from_str(include_str!("../../../charts/gitops/argocd/argocd-cm.yaml")).unwrap();
    let key = format!("resource.customizations.ignoreResourceUpdates.sikkerkey.com_{}", K::KIND);
    let rule: Value = serde_yaml::from_str(map["data"][&key].as_str().unwrap()).unwrap();
    let pointers = rule["jsonPointers"].as_array().unwrap().iter();
    pointers.map(|pointer| pointer.as_str().unwrap().strip_prefix("/status/").unwrap().to_owned()).collect()
}

fn figures_refresh_nothing<K: States>() {
    let ignored = ignored_by_argo::<K>();
    let fields = K::schema().properties.as_ref().unwrap()["status"].properties.as_ref().unwrap();
    for field in &ignored {
        assert!(fields.contains_key(field), "{}: status.{field} is not a field", K::KIND);
    }
    let mut counted = 0;
    for (object, _) in &Gallery::<K>::new().objects {
        let received: Received<K> = serde_json::from_value(object.clone()).unwrap();
        let status = received.status().unwrap();
        let rest = |status: &K::Status| {
            let mut status = serde_json::to_value(status).unwrap();
            status.as_object_mut().unwrap().retain(|field, _| !ignored.contains(field));
            status
        };
        let without = K::without_counters(status);
        counted += usize::from(without != *status);
        assert_eq!(rest(status), rest(&without), "{} {}", K::KIND, object["metadata"]["name"]);
    }
    assert!(counted > 0, "{}: no state has figures", K::KIND);
}

#[test]
fn argo_ignores_at_least_what_moves_while_pods_read() {
    figures_refresh_nothing::<Machine>();
    figures_refresh_nothing::<Secret>();
    figures_refresh_nothing::<Grant>();
    figures_refresh_nothing::<AccessPolicy>();
}
