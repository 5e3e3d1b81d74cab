use serde_json::{Value, json};
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::kubernetes::{ApplySecret, Charset, Generator};
use sikkerkey_protocol::management::{BindPolicy, PolicyDetail};
use sikkerkey_protocol::policy::{Approver, CountedBy, PolicyDocument, RateCap};

use super::*;
use crate::audit::entry::{Actor, Severity};
use crate::decision::Decided;
use crate::model::Entity;
use crate::model::account::Vault;
use crate::policy::written::Changes;
use crate::usecase::admin;
use crate::usecase::fixture::*;

/// A vault with a project `ci`, a secret `db` in it, and a second vault with a project and a secret.
struct World {
    bench: Bench,
    project: String,
    secret: String,
    others: (String, String),
}

fn generator() -> Generator {
    Generator { length: 20, charset: Charset::Alphanumeric }
}

fn world() -> World {
    let mut bench = Bench::new();
    let other = "vault_w".parse::<sikkerkey_protocol::id::VaultId>().unwrap();
    bench.put(Entity::Vault(Vault { id: other.clone(), account: "account".into(), name: "others".into() }));
    let mut made = |vault: &str, name: &str| {
        let vault = vault.parse().unwrap();
        let project = bench.run(|it| admin::project::create(it, &vault, name)).unwrap();
        let content = admin::secret::Content::Made(generator());
        let secret: SecretId = bench.run(|it| admin::secret::create(it, project.as_str(), "db", content)).unwrap();
        (project.to_string(), secret.to_string())
    };
    let ((project, secret), others) = (made("vault_v", "ci"), made("vault_w", "theirs"));
    World { bench, project, secret, others }
}

fn agent() -> Agent {
    Agent { cluster: None, pod: None, name: "assistant".into(), ..Bench::agent("prod") }
}

fn changes(value: Value) -> Changes {
    serde_json::from_value(value).unwrap()
}

fn office() -> Value {
    json!({"name": "office", "ipAllowlistEnabled": true, "ipAllowlistCidrs": ["10.0.0.0/8"]})
}

impl World {
    fn run<T>(&mut self, ask: impl FnOnce(&Context<'_>, &Manager<'_>) -> Decided<T>) -> Result<T, Refusal> {
        let agent = agent();
        let manager = Manager::admit(&agent, source(), None)?;
        self.bench.run(|context| ask(context, &manager))
    }

    fn create(&mut self, fields: Value) -> Result<PolicyDetail, Refusal> {
        let project = self.project.clone();
        self.run(|context, manager| policy::create(context, manager, [&project], changes(fields)))
    }

    fn update(&mut self, id: &str, fields: Value) -> Result<PolicyDetail, Refusal> {
        let project = self.project.clone();
        self.run(|context, manager| policy::update(context, manager, [&project, id], changes(fields)))
    }

    fn bind(&mut self, policy: &str) -> Result<sikkerkey_protocol::management::Binding, Refusal> {
        let (secret, to) = (self.secret.clone(), BindPolicy { policy_id: policy.into() });
        self.run(|context, manager| policy::bind(context, manager, [&secret], to))
    }

    fn unbind(&mut self) -> Result<sikkerkey_protocol::management::Binding, Refusal> {
        let secret = self.secret.clone();
        self.run(|context, manager| policy::unbind(context, manager, [&secret]))
    }

    fn delete(&mut self, id: &str) -> Result<sikkerkey_protocol::management::PolicyDeleted, Refusal> {
        let project = self.project.clone();
        self.run(|context, manager| policy::delete(context, manager, [&project, id]))
    }

    fn protect(&mut self, name: &str) {
        let project = self.project.clone();
        self.bench.run(|it| admin::policy::protect(it, &project, name)).unwrap();
    }

    fn lift(&self, name: &str, why: &str) -> String {
        format!(
            "policy {name} is protected until a person lifts that with sikkerkey-server admin policy unprotect --project {} --name {name}: {why}",
            self.project
        )
    }
}

#[test]
fn a_policy_is_made_changed_bound_taken_off_and_removed() {
    let mut world = world();
    let made = world.create(office()).unwrap().policy;
    assert_eq!((made.policy.name.as_str(), made.revision, made.protected), ("office", 1, false));
    let row = &world.bench.audit[0];
    assert_eq!((row.action, row.detail.as_str()), (Action::PolicyApply, "policy office, revision 1: ipAllowlist"));
    assert_eq!((&row.actor, row.source_ip), (&Actor::Agent(agent().id), Some(source().address)));
    assert_eq!(row.project.as_ref().map(ToString::to_string), Some(world.project.clone()));
    let stored = world.bench.state.policies[&made.id].clone();
    assert_eq!(stored.document.ip_allowlist, Some(vec!["10.0.0.0/8".to_owned()]));
    assert_eq!(stored.written.as_ref(), Some(&made.policy));

    // Kept as it was written, and not decided by.
    let changed = world.update(&made.id, json!({"description": "at work", "maxReadsPerDay": 5})).unwrap().policy;
    assert_eq!((changed.revision, changed.policy.max_reads_per_day), (1, Some(5)));
    assert_eq!(world.bench.state.policies[&made.id].document, stored.document);
    let changed = world.update(&made.id, json!({"rateCapEnabled": true, "timeWindowTimezone": "UTC"})).unwrap().policy;
    assert_eq!(changed.revision, 2);
    let cap = RateCap { per_minute: None, per_day: Some(5), counted_by: CountedBy::Machine };
    assert_eq!(world.bench.state.policies[&made.id].document.rate_cap, Some(cap));
    world.update(&made.id, json!({"rateCapEnabled": true})).unwrap();
    assert_eq!((world.bench.changes, world.bench.audit[0].detail.as_str()), (0, "policy office: nothing to change"));

    let bound = world.bind(&made.id).unwrap();
    assert_eq!(
        (bound.policy_id.as_deref(), bound.policy_name.as_deref(), bound.in_force),
        (Some(&*made.id), Some("office"), true)
    );
    assert_eq!(world.bench.audit[0].detail, "policy office guards db");
    let (project, secret) = (world.project.clone(), world.secret.clone());
    let detail = world.run(|it, manager| policy::get(it, manager, [&project, &made.id])).unwrap();
    assert_eq!(serde_json::to_value(&detail.secrets).unwrap(), json!([{"id": secret, "name": "db"}]));
    let text =
        format!("policy office guards {secret}: take it off them with POST /v1/ai/secrets/{{id}}/binding/delete");
    refused(world.delete(&made.id), RefusalKind::Conflict, None, &text);
    let free = world.unbind().unwrap();
    assert_eq!((free.policy_id, free.policy_name, free.in_force), (None, None, false));
    assert!(world.delete(&made.id).unwrap().deleted);
    assert_eq!(world.bench.actions(), [Action::PolicyDelete]);
    assert!(world.bench.state.policies.is_empty());
}

#[test]
fn what_only_looks_leaves_a_row_and_changes_nothing() {
    let mut world = world();
    let id = world.create(office()).unwrap().policy.id;
    let (project, secret) = (world.project.clone(), world.secret.clone());
    let list = world.run(|it, manager| policy::list(it, manager, [&project])).unwrap();
    assert_eq!(list.policies.len(), 1);
    let mut rows = world.bench.audit.clone();
    world.run(|it, manager| policy::get(it, manager, [&project, &id])).unwrap();
    rows.append(&mut world.bench.audit);
    world.run(|it, manager| policy::binding(it, manager, [&secret])).unwrap();
    rows.append(&mut world.bench.audit);
    let details: Vec<_> = rows.iter().map(|it| it.detail.as_str()).collect();
    assert_eq!(details, ["the policies", "policy office", "the policy of db"]);
    assert!(rows.iter().all(|it| it.action == Action::ManagementRead && it.action.severity() == Severity::Info));
    assert_eq!(rows[2].secret.as_ref().map(ToString::to_string), Some(secret));
    assert_eq!(world.bench.changes, 0);
}

#[test]
fn what_is_in_another_vault_and_what_is_nowhere_are_the_same() {
    let mut world = world();
    let theirs = world.others.0.clone();
    let document = PolicyDocument { ip_allowlist: Some(vec!["::/0".into()]), ..Default::default() };
    world.bench.run(|it| admin::policy::set(it, &theirs, "theirs", document)).unwrap();
    let held = world.bench.state.policies.keys().next().unwrap().clone();
    let id = world.create(office()).unwrap().policy.id;
    let (project, secret) = (world.project.clone(), world.secret.clone());
    let (others, foreign) = world.others.clone();
    for project in [others.as_str(), "proj_none", "none", ""] {
        let text = "this vault has no project of that id";
        let not_found = RefusalKind::NotFound;
        refused(world.run(|it, manager| policy::list(it, manager, [project])), not_found, None, text);
        refused(world.run(|it, manager| policy::get(it, manager, [project, &held])), not_found, None, text);
        let create = world.run(|it, manager| policy::create(it, manager, [project], changes(office())));
        refused(create, not_found, None, text);
        let update = world.run(|it, manager| policy::update(it, manager, [project, &held], changes(office())));
        refused(update, not_found, None, text);
        refused(world.run(|it, manager| policy::delete(it, manager, [project, &held])), not_found, None, text);
    }
    for policy in [held.as_str(), "none", ""] {
        let text = "this project has no policy of that id";
        refused(
            world.run(|it, manager| policy::get(it, manager, [&project, policy])),
            RefusalKind::NotFound,
            None,
            text,
        );
        refused(world.update(policy, json!({})), RefusalKind::NotFound, None, text);
        refused(world.delete(policy), RefusalKind::NotFound, None, text);
        refused(world.bind(policy), RefusalKind::NotFound, None, "the secret's project has no policy of that id");
    }
    for secret in [foreign.as_str(), "sk_none", "none", ""] {
        let text = "this vault has no secret of that id";
        refused(world.run(|it, manager| policy::binding(it, manager, [secret])), RefusalKind::NotFound, None, text);
        let to = BindPolicy { policy_id: id.clone() };
        refused(world.run(|it, manager| policy::bind(it, manager, [secret], to)), RefusalKind::NotFound, None, text);
        refused(world.run(|it, manager| policy::unbind(it, manager, [secret])), RefusalKind::NotFound, None, text);
    }
    // One in the trash is nowhere as well.
    let trashed: SecretId = secret.parse().unwrap();
    world.bench.run(|it| admin::secret::delete(it, &trashed)).unwrap();
    let text = "this vault has no secret of that id";
    refused(world.unbind(), RefusalKind::NotFound, None, text);
}

#[test]
fn an_agent_does_what_its_scopes_say_in_the_projects_of_its_list() {
    let world = world();
    let scoped = Agent { scopes: Some([Scope::PoliciesRead].into()), ..agent() };
    assert!(Manager::admit(&scoped, source(), Some(Scope::PoliciesRead)).is_ok());
    let text = "this needs the scope projects.policies.write: a person gives it with sikkerkey-server admin agent";
    let write = Some(Scope::PoliciesWrite);
    refused(Manager::admit(&scoped, source(), write), RefusalKind::Forbidden, None, text);
    // One that is older than scopes may what it always did.
    let before = serde_json::to_value(agent()).map(|mut it| {
        it.as_object_mut().unwrap().retain(|field, _| field != "scopes" && field != "projects");
        it
    });
    let before: Agent = serde_json::from_value(before.unwrap()).unwrap();
    assert!(Manager::admit(&before, source(), write).is_ok());

    let listed = Agent { projects: Some(["proj_other".parse().unwrap()].into()), ..agent() };
    let manager = Manager::admit(&listed, source(), None).unwrap();
    let context = world.bench.context();
    let text = "this vault has no project of that id";
    refused(manager.project(&context, &world.project).map(drop), RefusalKind::NotFound, None, text);
    let text = "this vault has no secret of that id";
    refused(manager.secret(&context, &world.secret).map(drop), RefusalKind::NotFound, None, text);
}

#[test]
fn an_operator_is_told_where_its_routes_are() {
    let operator = Bench::agent("prod");
    let text = "this agent speaks for cluster prod, and this route is for agents of people: apply an object there, or make an agent token without --cluster";
    refused(Manager::admit(&operator, source(), None), RefusalKind::Forbidden, None, text);
}

#[test]
fn what_an_object_stands_for_is_changed_there() {
    let mut world = world();
    world.bench.apply_policy(allowlist("hours", "10.0.0.0/8")).unwrap();
    world.bench.apply_secret(ApplySecret { policy: Some("hours".into()), ..generated("web") }).unwrap();
    let (shop, secret) = (world.bench.secret("web").project.to_string(), world.bench.secret("web").id.to_string());
    let id = world.bench.state.policies.keys().next().unwrap().clone();
    let list = world.run(|it, manager| policy::list(it, manager, [&shop])).unwrap();
    assert_eq!(list.policies[0].managed_by.as_deref(), Some("AccessPolicy shop/hours of cluster prod"));
    assert_eq!((list.policies[0].secret_count, list.policies[0].policy.ip_allowlist_enabled), (1, true));
    let text = "AccessPolicy shop/hours of cluster prod stands for it: edit or delete that object";
    let update = |it: &Context<'_>, manager: &Manager<'_>| {
        policy::update(it, manager, [&shop, &id], changes(json!({"ttlMaxReads": 1})))
    };
    refused(world.run(update), RefusalKind::Conflict, None, text);
    refused(world.run(|it, manager| policy::delete(it, manager, [&shop, &id])), RefusalKind::Conflict, None, text);
    let text = "Secret shop/web of cluster prod stands for it: edit or delete that object";
    refused(world.run(|it, manager| policy::unbind(it, manager, [&secret])), RefusalKind::Conflict, None, text);
    // Else it would stand in for an AccessPolicy that is gone, and open what waits for that.
    let text = "project shop is namespace shop of cluster prod: apply an AccessPolicy object there";
    let create = world.run(|it, manager| policy::create(it, manager, [&shop], changes(office())));
    refused(create, RefusalKind::Conflict, None, text);
    let document = PolicyDocument { ip_allowlist: Some(vec!["10.0.0.0/8".into()]), ..Default::default() };
    world.bench.run(|it| admin::policy::set(it, &shop, "a-persons", document)).unwrap();
    let id = world.bench.state.policies.values().find(|it| it.name == "a-persons").unwrap().id.clone();
    let update =
        |it: &Context<'_>, manager: &Manager<'_>, fields| policy::update(it, manager, [&shop, &id], changes(fields));
    refused(world.run(|it, manager| update(it, manager, json!({"name": "gone"}))), RefusalKind::Conflict, None, text);
    world.run(|it, manager| update(it, manager, json!({"ttlMaxReads": 1}))).unwrap();
}

#[test]
fn a_policy_needs_an_axis_a_name_of_its_own_and_sense() {
    let mut world = world();
    let id = world.create(office()).unwrap().policy.id;
    let empty = "a policy without an axis restricts nothing: switch on at least one of timeWindowEnabled, ipAllowlistEnabled, rateCapEnabled and coSignEnabled, or give ttlExpiresAt, ttlMaxReads or rotateAfterReads";
    refused(world.create(json!({"name": "empty"})), RefusalKind::Invalid, None, empty);
    refused(world.update(&id, json!({"ipAllowlistEnabled": false})), RefusalKind::Invalid, None, empty);
    let text = "the name must be from 1 to 255 printable characters";
    refused(world.create(json!({"ttlMaxReads": 1})), RefusalKind::Invalid, None, text);
    refused(world.create(json!({"name": "a\nb", "ttlMaxReads": 1})), RefusalKind::Invalid, None, text);
    let taken = "project ci has a policy office already";
    refused(world.create(office()), RefusalKind::Conflict, None, taken);
    let text = "timeWindowStart is missing, and timeWindowEnabled is on: give a time such as 08:00";
    refused(world.update(&id, json!({"timeWindowEnabled": true})), RefusalKind::Invalid, None, text);
    let other = world.create(json!({"name": "other", "ttlMaxReads": 1})).unwrap().policy.id;
    refused(world.update(&other, json!({"name": "office"})), RefusalKind::Conflict, None, taken);
}

#[test]
fn a_policy_that_gets_another_name_takes_its_secrets_along() {
    let mut world = world();
    let id = world.create(office()).unwrap().policy.id;
    world.bind(&id).unwrap();
    let detail = world.update(&id, json!({"name": "work"})).unwrap();
    assert_eq!((detail.policy.id.as_str(), detail.policy.revision, detail.secrets.len()), (id.as_str(), 1, 1));
    assert_eq!(world.bench.audit[0].detail, "policy work (was office), revision 1: ipAllowlist");
    let secret = world.secret.clone();
    let bound = world.run(|it, manager| policy::binding(it, manager, [&secret])).unwrap();
    assert_eq!(
        (bound.policy_id.as_deref(), bound.policy_name.as_deref(), bound.in_force),
        (Some(&*id), Some("work"), true)
    );
    // The name is free, and nothing hangs on it.
    assert!(world.create(office()).unwrap().secrets.is_empty());
}

#[test]
fn what_the_object_cannot_say_stays_as_somebody_else_chose_it() {
    let mut world = world();
    let project = world.project.clone();
    let cap = RateCap { per_minute: Some(3), per_day: None, counted_by: CountedBy::Pod };
    let document = PolicyDocument { rate_cap: Some(cap), ..Default::default() };
    world.bench.run(|it| admin::policy::set(it, &project, "pods", document)).unwrap();
    let id = world.bench.state.policies.keys().next().unwrap().clone();
    let changed = world.update(&id, json!({"maxReadsPerMinute": 2})).unwrap().policy;
    assert_eq!((changed.policy.rate_cap_enabled, changed.policy.max_reads_per_minute), (true, Some(2)));
    let cap = RateCap { per_minute: Some(2), per_day: None, counted_by: CountedBy::Pod };
    assert_eq!(world.bench.state.policies[&id].document.rate_cap, Some(cap));
    // What a person puts in its place is all there is.
    let document = PolicyDocument { ip_allowlist: Some(vec!["::/0".into()]), ..Default::default() };
    world.bench.run(|it| admin::policy::set(it, &project, "pods", document)).unwrap();
    let shown = world.run(|it, manager| policy::get(it, manager, [&project, &id])).unwrap().policy.policy;
    assert_eq!((shown.rate_cap_enabled, shown.max_reads_per_minute, shown.ip_allowlist_enabled), (false, None, true));
}

#[test]
fn an_agent_tightens_a_protected_policy_and_does_nothing_else_to_it() {
    let mut world = world();
    let id = world
        .create(json!({"name": "office", "ipAllowlistEnabled": true, "ipAllowlistCidrs": ["10.0.0.0/8"],
        "rateCapEnabled": true, "maxReadsPerMinute": 5}))
        .unwrap()
        .policy
        .id;
    let other = world.create(json!({"name": "strict", "ttlMaxReads": 1})).unwrap().policy.id;
    world.bind(&id).unwrap();
    world.protect("office");
    assert_eq!(world.bench.actions(), [Action::PolicyProtect]);

    let tighter =
        world.update(&id, json!({"maxReadsPerMinute": 4, "ipAllowlistCidrs": ["10.1.0.0/16"], "ttlMaxReads": 9}));
    assert_eq!((tighter.as_ref().unwrap().policy.revision, tighter.unwrap().policy.protected), (2, true));
    for (fields, axis) in [
        (json!({"maxReadsPerMinute": 5}), "rateCap.perMinute would be 5, and is 4"),
        (json!({"rateCapEnabled": false}), "rateCap would be gone"),
        (
            json!({"ipAllowlistCidrs": ["10.1.0.0/16", "192.0.2.0/24"]}),
            "ipAllowlist would have 192.0.2.0/24, which is not in the present ranges",
        ),
        (json!({"ttlMaxReads": null}), "ttl.maxReads would be gone"),
    ] {
        let text = world.lift("office", &format!("an agent may tighten it and not loosen it ({axis})"));
        refused(world.update(&id, fields), RefusalKind::Conflict, None, &text);
    }
    let text = world.lift("office", "an agent may not rename it");
    refused(world.update(&id, json!({"name": "mine"})), RefusalKind::Conflict, None, &text);
    let text = world.lift("office", "an agent may not put another policy on db");
    refused(world.bind(&other), RefusalKind::Conflict, None, &text);
    let text = world.lift("office", "an agent may not take it off db");
    refused(world.unbind(), RefusalKind::Conflict, None, &text);
    let text = world.lift("office", "an agent may not remove it");
    refused(world.delete(&id), RefusalKind::Conflict, None, &text);
    // What is bound already may be bound again, and other things may be put under it.
    world.bind(&id).unwrap();
    assert_eq!(world.bench.changes, 0);

    // A person does all of it.
    let (project, secret) = (world.project.clone(), world.secret.parse().unwrap());
    let loose = PolicyDocument { ip_allowlist: Some(vec!["::/0".into()]), ..Default::default() };
    world.bench.run(|it| admin::policy::set(it, &project, "office", loose)).unwrap();
    assert!(world.bench.state.policies[&id].protected);
    world.bench.run(|it| admin::policy::bind(it, &secret, Some("strict"))).unwrap();
    world.bench.run(|it| admin::policy::delete(it, &project, "office")).unwrap();
}

#[test]
fn a_policy_is_an_agents_again_when_a_person_says_so() {
    let mut world = world();
    let id = world.create(office()).unwrap().policy.id;
    world.bind(&id).unwrap();
    world.protect("office");
    let project = world.project.clone();
    assert!(!world.bench.run(|it| admin::policy::unprotect(it, &project, "office")).unwrap());
    assert_eq!(world.bench.actions(), [Action::PolicyUnprotect]);
    world.bench.run(|it| admin::policy::unprotect(it, &project, "office")).unwrap();
    assert_eq!(world.bench.changes, 0);
    world.unbind().unwrap();
    world.delete(&id).unwrap();
}

#[test]
fn a_co_signer_is_a_machine_of_the_vault_by_the_id_that_lasts() {
    let mut world = world();
    world.bench.apply_machine(workload("web")).unwrap();
    let pod = world.bench.enrol("pod-1", 1).machine_id;
    let fleet = world.bench.state.fleets.keys().next().unwrap().clone();
    let co_sign =
        |id: &str| json!({"name": "two", "coSignEnabled": true, "coSignMachineId": id, "coSignWindowSeconds": 60});
    let text = "coSignMachineId names no machine of this vault: give the id of one, as admin machine list shows it";
    for id in ["00000000-0000-4000-8000-0000000000ff", "boss"] {
        refused(world.create(co_sign(id)), RefusalKind::Invalid, None, text);
    }
    let text = format!(
        "coSignMachineId names a pod, which has another id tomorrow: name the fleet of its Machine, for example {fleet}"
    );
    refused(world.create(co_sign(pod.as_str())), RefusalKind::Invalid, None, &text);
    let text = "coSignMachineId names Machine shop/web of cluster prod, and the project belongs to no namespace there: name a single machine";
    refused(world.create(co_sign(fleet.as_str())), RefusalKind::Invalid, None, text);
}

#[test]
fn a_co_signer_may_be_every_machine_of_an_object_of_the_projects_own_cluster() {
    let mut world = world();
    world.bench.apply_machine(workload("web")).unwrap();
    let fleet = world.bench.state.fleets.values().next().unwrap().clone();
    let shop = fleet.project.to_string();
    let document = PolicyDocument { ip_allowlist: Some(vec!["10.0.0.0/8".into()]), ..Default::default() };
    world.bench.run(|it| admin::policy::set(it, &shop, "two", document)).unwrap();
    let id = world.bench.state.policies.keys().next().unwrap().clone();
    let fields =
        json!({"coSignEnabled": true, "coSignMachineId": fleet.id, "coSignWindowSeconds": 60, "rotateAfterReads": 5});
    let changed = world.run(|it, manager| policy::update(it, manager, [&shop, &id], changes(fields))).unwrap();
    assert_eq!(changed.policy.policy.co_sign_machine_id.as_deref(), Some(fleet.id.as_str()));
    let held = world.bench.state.policies[&id].document.clone();
    assert_eq!(held.co_sign.as_ref().unwrap().approver, Approver::Object(fleet.managed.object.key.clone()));
    assert_eq!(held.rotate_after_reads, Some(5));

    // One that an object wrote names it by the same id.
    let mut object = allowlist("hours", "10.0.0.0/8");
    object.policy.co_sign = held.co_sign;
    world.bench.apply_policy(object).unwrap();
    let list = world.run(|it, manager| policy::list(it, manager, [&shop])).unwrap().policies;
    let of_object = list.iter().find(|it| it.policy.name == "hours").unwrap();
    assert_eq!(of_object.policy.co_sign_machine_id.as_deref(), Some(fleet.id.as_str()));

    // When it is gone nobody reads, and everything else can still be changed.
    world.bench.delete(deleted(sikkerkey_protocol::kubernetes::Kind::Machine, "web")).unwrap();
    let fields = json!({"rotateAfterReads": 4});
    let changed = world.run(|it, manager| policy::update(it, manager, [&shop, &id], changes(fields))).unwrap();
    assert_eq!(changed.policy.policy.co_sign_machine_id.as_deref(), Some(fleet.id.as_str()));
}
