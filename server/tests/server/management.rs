//! Access policies over the management plane, as an agent of people asks for them.

use serde_json::{Value, json};
use sikkerkey_protocol::policy::{PolicyDocument, Ttl};
use sikkerkey_server::audit::entry::{Action, Actor};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::account::{Standing, Vault};
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::policy::Policy;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::Secret;

use crate::fixture::*;

const POLICIES: &str = "/v1/ai/projects/proj_ci/policies";
const BINDING: &str = "/v1/ai/secrets/sk_key/binding";

/// A server with project `ci`, which stands for no namespace, its secret `sk_key`, which the host reads, and an agent of
/// people.
async fn server() -> Server {
    let server = Server::new().await;
    server.put(Entity::Agent(assistant())).await;
    server.put(Entity::Project(Project { namespace: None, ..server.project("ci") })).await;
    server.put_secret(Secret { managed: None, ..secret("key", "ci") }, "hunter3").await;
    server.put(Entity::Membership(member("ci"))).await;
    let granted = grant(3, Grantee::Machine(host().id), &["sk_key"]);
    let project = "proj_ci".parse().unwrap();
    server.put(Entity::Grant(sikkerkey_server::model::grant::Grant { project, ..granted })).await;
    server
}

async fn ask(server: &Server, method: &'static str, target: &str, body: Option<Value>) -> (u16, Value) {
    server.manage(&Client::assistant(), method, target, body).await
}

async fn get(server: &Server, target: &str) -> (u16, Value) {
    ask(server, "GET", target, None).await
}

async fn post(server: &Server, target: &str, body: Value) -> (u16, Value) {
    ask(server, "POST", target, Some(body)).await
}

async fn act(server: &Server, target: &str) -> (u16, Value) {
    ask(server, "POST", target, None).await
}

async fn read(server: &Server) -> u16 {
    server.get(&Client::host(), "/v1/secret/sk_key").await.status.as_u16()
}

fn hours() -> Value {
    json!({
        "name": "hours", "description": "office hours", "timeWindowEnabled": true, "timeWindowStart": "08:00",
        "timeWindowEnd": "18:00", "timeWindowTimezone": "Europe/Oslo", "timeWindowDays": ["mon", "tue", "wed"],
        "rateCapEnabled": false, "maxReadsPerMinute": 5, "ttlExpiresAt": START + 86_400_000,
    })
}

#[tokio::test]
async fn a_policy_lives_from_its_making_to_its_end_over_http() {
    let server = server().await;
    let (status, made) = post(&server, POLICIES, hours()).await;
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (status, &made),
        (
            200,
            &json!({
                "id": id, "projectId": "proj_ci", "name": "hours", "description": "office hours",
                "timeWindowEnabled": true, "timeWindowStart": "08:00", "timeWindowEnd": "18:00",
                "timeWindowTimezone": "Europe/Oslo", "timeWindowDays": ["mon", "tue", "wed"],
                "ipAllowlistEnabled": false, "rateCapEnabled": false, "maxReadsPerMinute": 5, "coSignEnabled": false,
                "ttlExpiresAt": START + 86_400_000, "revision": 1, "protected": false, "withdrawn": false,
                "secretCount": 0, "secrets": [],
            })
        )
    );
    let (policy, secret) = (format!("{POLICIES}/{id}"), json!({"id": "sk_key", "name": "key"}));

    assert_eq!(read(&server).await, 200);
    let (status, bound) = post(&server, BINDING, json!({"policyId": id})).await;
    let binding = json!({"secretId": "sk_key", "policyId": id, "policyName": "hours", "inForce": true});
    assert_eq!((status, &bound), (200, &binding));
    assert_eq!(get(&server, BINDING).await, (200, binding));
    // The clock stands at 13:00 in Oslo, on a Wednesday.
    assert_eq!(read(&server).await, 200);
    assert_eq!(post(&server, &format!("{policy}/update"), json!({"timeWindowDays": ["mon", "tue"]})).await.0, 200);
    assert_eq!(read(&server).await, 403);

    let (status, detail) = get(&server, &policy).await;
    assert_eq!((status, &detail["revision"], &detail["secrets"]), (200, &json!(2), &json!([secret])));
    assert_eq!(detail["maxReadsPerMinute"], 5);
    let (status, mut list) = get(&server, POLICIES).await;
    let mut summary = detail;
    summary.as_object_mut().unwrap().remove("secrets");
    assert_eq!((status, list["policies"].take()), (200, json!([summary])));

    let (status, refused) = act(&server, &format!("{policy}/delete")).await;
    let text = "policy hours guards sk_key: take it off them with POST /v1/ai/secrets/{id}/binding/delete";
    assert_eq!((status, refused), (409, json!({"error": text})));
    let free = json!({"secretId": "sk_key", "policyId": null, "policyName": null, "inForce": false});
    assert_eq!(act(&server, &format!("{BINDING}/delete")).await, (200, free));
    assert_eq!(read(&server).await, 200);
    assert_eq!(act(&server, &format!("{policy}/delete")).await, (200, json!({"id": id, "deleted": true})));
    assert_eq!(get(&server, &policy).await, (404, json!({"error": "this project has no policy of that id"})));

    let agent = Actor::Agent(assistant().id);
    let rows: Vec<_> = server.audit().await.into_iter().filter(|it| it.actor == agent).map(|it| it.action).collect();
    let all = [
        Action::PolicyApply,
        Action::SecretUpdate,
        Action::ManagementRead,
        Action::PolicyApply,
        Action::ManagementRead,
        Action::ManagementRead,
        Action::ManagementDenied,
        Action::PolicyUnbind,
        Action::PolicyDelete,
        Action::ManagementDenied,
    ];
    assert_eq!(rows, all);
}

#[tokio::test]
async fn a_co_signer_that_an_agent_names_is_asked_and_answers() {
    let server = server().await;
    let boss = Client { address: "10.0.0.7".into(), ..Client::new(uuid(0xb1), 0xb1) };
    let machine =
        Machine { id: boss.id.parse().unwrap(), public_key: boss.key.public_key(), name: "boss".into(), ..host() };
    server.put(Entity::Machine(machine)).await;
    let fields = json!({"name": "two", "coSignEnabled": true, "coSignMachineId": boss.id, "coSignWindowSeconds": 600});
    let (status, made) = post(&server, POLICIES, fields).await;
    assert_eq!((status, &made["coSignMachineId"]), (200, &json!(boss.id)));
    assert_eq!(post(&server, BINDING, json!({"policyId": made["id"]})).await.0, 200);
    let refused = server.get(&Client::host(), "/v1/secret/sk_key").await;
    assert!(
        refused.status == 403 && refused.error().starts_with("waits for machine boss, request "),
        "{}",
        refused.error()
    );
    let waiting = server.get(&boss, "/v1/cosign").await.json()["requests"][0].clone();
    let consent = json!({
        "requestId": waiting["id"], "vaultId": "vault_v", "approverId": boss.id, "readerId": host().id,
        "secretId": "sk_key", "policyRevision": 1, "notAfter": START + 600_000,
    });
    let approve = format!("/v1/cosign/{}/approve", waiting["id"].as_str().unwrap());
    assert_eq!(server.post(&boss, &approve, &consent.to_string()).await.status, 200);
    assert_eq!(read(&server).await, 200);
    // What says another thing was not approved.
    let update = format!("{POLICIES}/{}/update", made["id"].as_str().unwrap());
    assert_eq!(post(&server, &update, json!({"ttlMaxReads": 9})).await.0, 200);
    assert_eq!(read(&server).await, 403);
}

#[tokio::test]
async fn a_policy_outlives_a_restart_as_it_was_written() {
    let server = server().await;
    let made = post(&server, POLICIES, hours()).await.1;
    let server = server.restart().await.unwrap();
    let held = get(&server, &format!("{POLICIES}/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(held, (200, made));
}

#[tokio::test]
async fn a_body_that_is_no_policy_is_refused_by_the_name_of_its_field() {
    let server = server().await;
    for (body, text) in [
        (json!({"name": "p", "timeWindowEnabled": "yes"}), "timeWindowEnabled takes true or false"),
        (
            json!({"name": "p", "ipAllowlistEnabled": true, "ipAllowlistCidrs": ["10.0.0.0/8", "10.0.0.1/8"]}),
            "ipAllowlistCidrs[1] is wrong: 10.0.0.1/8 is not a CIDR in its shortest form: write 10.0.0.0/8",
        ),
        (
            json!({"name": "p", "rateCapEnabled": true, "maxReadsPerDay": 5}),
            "timeWindowTimezone is missing, and maxReadsPerDay counts the days of a time zone: give one such as Europe/Oslo or UTC",
        ),
    ] {
        assert_eq!(post(&server, POLICIES, body).await, (400, json!({"error": text})));
    }
    let (status, answer) = post(&server, POLICIES, json!({"name": "p", "timeWindowZone": "UTC"})).await;
    let text = answer["error"].as_str().unwrap();
    assert!(status == 400 && text.starts_with("timeWindowZone is no field of a policy: there are name, "), "{text}");
    let refused = |text: &str| (400, json!({"error": text}));
    assert_eq!(post(&server, POLICIES, json!([])).await.0, 400);
    assert_eq!(act(&server, POLICIES).await, refused("the body is not JSON (line 1, column 0)"));
    assert_eq!(post(&server, &format!("{BINDING}/delete"), json!({"x": 1})).await, refused("this route takes no body"));
    assert_eq!(post(&server, BINDING, json!({"policyId": "p", "x": 1})).await.0, 400);
    assert_eq!(ask(&server, "POST", &format!("{POLICIES}/x"), None).await.0, 405);
    // An id is what stands on the wire, not what it might be unescaped to.
    let escaped = get(&server, "/v1/ai/projects/proj%5Fci/policies").await;
    assert_eq!(escaped, (404, json!({"error": "this vault has no project of that id"})));
    assert!(server.engine.app.live.read().state.policies.is_empty());
}

#[tokio::test]
async fn a_request_counts_once() {
    let server = server().await;
    for (method, target, body) in [
        ("GET", POLICIES.to_owned(), String::new()),
        ("POST", POLICIES.to_owned(), hours().to_string()),
        ("POST", format!("{BINDING}/delete"), String::new()),
    ] {
        let request = Client::assistant().request(&*server.clock, method, &target, body.as_bytes());
        assert_eq!(server.send(request.clone()).await.status, 200, "{method} {target}");
        assert_eq!(server.send(request).await.status, 401, "{method} {target}");
        let row = server.last_audit().await;
        assert_eq!((row.action, row.actor), (Action::AuthFailure, Actor::Agent(assistant().id)));
        assert!(row.detail.starts_with(&format!("{method} /v1/ai/")), "{}", row.detail);
    }
    assert_eq!(server.engine.app.live.read().state.policies.len(), 1);
}

#[tokio::test]
async fn a_protected_policy_is_tightened_and_nothing_else() {
    let server = server().await;
    let id = post(&server, POLICIES, hours()).await.1["id"].as_str().unwrap().to_owned();
    assert_eq!(post(&server, BINDING, json!({"policyId": id})).await.0, 200);
    let held = server.engine.app.live.read().state.policies[&id].clone();
    server.put(Entity::Policy(Policy { protected: true, ..held })).await;
    let update = format!("{POLICIES}/{id}/update");
    assert_eq!(post(&server, &update, json!({"timeWindowStart": "09:00"})).await.0, 200);
    let fence = |why: &str| {
        let text = format!(
            "policy hours is protected until a person lifts that with sikkerkey-server admin policy unprotect --project proj_ci --name hours: {why}"
        );
        (409, json!({"error": text}))
    };
    let axis = "timeWindow would be open on Monday at 08:00, and is closed then";
    let loosened = post(&server, &update, json!({"timeWindowStart": "08:00"})).await;
    assert_eq!(loosened, fence(&format!("an agent may tighten it and not loosen it ({axis})")));
    assert_eq!(act(&server, &format!("{BINDING}/delete")).await, fence("an agent may not take it off key"));
    assert_eq!(act(&server, &format!("{POLICIES}/{id}/delete")).await, fence("an agent may not remove it"));
    assert_eq!(server.last_audit().await.action, Action::ManagementDenied);
}

/// A policy of project `ci` that guards nothing yet.
fn theirs() -> Policy {
    let ttl = Ttl { expires_at: None, max_reads: Some(9) };
    let document = PolicyDocument { ttl: Some(ttl), ..Default::default() };
    Policy { project: "proj_ci".parse().unwrap(), ..policy(document) }
}

/// The server with that policy.
async fn guarded() -> Server {
    let server = server().await;
    server.put(Entity::Policy(theirs())).await;
    server
}

/// Every route, with something that it would do.
fn routes() -> [(&'static str, String, Value); 8] {
    let policy = format!("{POLICIES}/{}", uuid(0x51));
    [
        ("GET", POLICIES.into(), Value::Null),
        ("POST", POLICIES.into(), hours()),
        ("GET", policy.clone(), Value::Null),
        ("POST", format!("{policy}/update"), json!({"ttlMaxReads": 1})),
        ("GET", BINDING.into(), Value::Null),
        ("POST", BINDING.into(), json!({"policyId": uuid(0x51)})),
        ("POST", format!("{BINDING}/delete"), Value::Null),
        ("POST", format!("{policy}/delete"), Value::Null),
    ]
}

/// What is changed before the request.
type Prepare = fn() -> Vec<Entity>;

/// Status and beginning of the text of a refusal.
type Expected = Option<(u16, &'static str)>;

fn of(spoil: fn(&mut Agent)) -> Vec<Entity> {
    let mut agent = assistant();
    spoil(&mut agent);
    vec![Entity::Agent(agent)]
}

#[tokio::test]
async fn who_may_not_is_told_why_on_every_route() {
    let nothing: Prepare = Vec::new;
    let stranger = || Client::new(uuid(0x77), 9);
    let table: [(&str, Client, Prepare, Expected); 10] = [
        ("an agent of people", Client::assistant(), nothing, None),
        ("another key", Client::new(uuid(0xa2), 61), nothing, Some((401, "unknown machine or bad signature"))),
        ("nobody", stranger(), nothing, Some((401, "unknown machine or bad signature"))),
        ("a host", Client::host(), nothing, Some((403, "a machine manages nothing"))),
        ("a pod", Client::pod(), nothing, Some((403, "a machine manages nothing"))),
        ("an operator", Client::agent(), nothing, Some((403, "this agent speaks for cluster prod"))),
        (
            "an agent that waits",
            Client::assistant(),
            || of(|it| it.approved = false),
            Some((403, "this agent waits for approval by a person")),
        ),
        ("a disabled agent", Client::assistant(), || of(|it| it.enabled = false), Some((403, "Agent is disabled"))),
        (
            "an agent whose time is over",
            Client::assistant(),
            || of(|it| it.expires_at = Some(Millis(START))),
            Some((401, "this agent's login has ended")),
        ),
        (
            "an agent of a suspended account",
            Client::assistant(),
            || vec![Entity::Account(account(Standing::Suspended))],
            Some((403, "the account that owns this vault is suspended")),
        ),
    ];
    for (who, client, prepare, expected) in table {
        for (method, target, body) in routes() {
            // Each with a server of its own: nothing here is about lockouts, or about what an earlier request has done.
            let server = guarded().await;
            for entity in prepare() {
                server.put(entity).await;
            }
            let rows = server.audit().await.len();
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = server.send(client.request(&*server.clock, method, &target, body.as_bytes())).await;
            let place = format!("{who}: {method} {target}: {}", answer.text());
            let written = &server.audit().await[rows..];
            assert_eq!(written.len(), 1, "{place}: {written:?}");
            match expected {
                None => assert_eq!(answer.status, 200, "{place}"),
                Some((status, text)) => {
                    assert_eq!(answer.status, status, "{place}");
                    assert!(answer.error().starts_with(text), "{place}");
                    let action = if status == 401 { Action::AuthFailure } else { Action::ManagementDenied };
                    assert_eq!(written[0].action, action, "{place}");
                    let world = server.engine.app.live.read();
                    let held: Vec<_> = world.state.policies.values().collect();
                    assert_eq!(held, [&theirs()], "{place}");
                    assert_eq!(world.state.secrets[&"sk_key".parse().unwrap()].policy, None, "{place}");
                }
            }
        }
    }
    // Without a signature there is nobody.
    let server = server().await;
    for (route, (method, target, _)) in (1..).zip(routes()) {
        let request = Client::assistant().request(&*server.clock, method, &target, b"").without("x-signature");
        let answer = server.send(request.from(&format!("10.8.99.{route}"))).await;
        assert_eq!(answer.status, 401, "{method} {target}");
    }
}

#[tokio::test]
async fn an_agent_of_another_vault_finds_nothing() {
    let server = guarded().await;
    let vault: sikkerkey_protocol::id::VaultId = "vault_w".parse().unwrap();
    server.put(Entity::Vault(Vault { id: vault.clone(), account: "account".into(), name: "others".into() })).await;
    server.put(Entity::Agent(Agent { vault, ..assistant() })).await;
    for (method, target, body) in routes() {
        let body = Some(body).filter(|it| !it.is_null());
        let (status, answer) = ask(&server, method, &target, body.clone()).await;
        let what = if target.contains("projects") { "project" } else { "secret" };
        let text = format!("this vault has no {what} of that id");
        assert_eq!((status, answer), (404, json!({"error": text})), "{method} {target}");
        // The same as of one that is nowhere.
        let nowhere = target.replace("proj_ci", "proj_none").replace("sk_key", "sk_none");
        let (status, answer) = ask(&server, method, &nowhere, body).await;
        assert_eq!((status, answer), (404, json!({"error": text})), "{method} {nowhere}");
    }
}

#[tokio::test]
async fn why_a_machine_may_read_a_secret_or_not_is_told_rule_by_rule() {
    let server = server().await;
    let host = host().id;
    let target = format!("/v1/ai/explain/{host}/sk_key");
    let (status, told) = get(&server, &target).await;
    assert_eq!((status, &told["allowed"], &told["machine"]), (200, &json!(true), &json!("machine build-host")));
    let row = server.last_audit().await;
    assert_eq!((row.action, row.secret.unwrap().as_str()), (Action::ManagementRead, "sk_key"));

    let body = json!({"name": "near", "ipAllowlistEnabled": true, "ipAllowlistCidrs": ["10.0.0.0/8"]});
    let (_, made) = post(&server, POLICIES, body).await;
    post(&server, BINDING, json!({"policyId": made["id"]})).await;
    let (_, told) = get(&server, &format!("{target}/192.0.2.7")).await;
    assert_eq!((&told["allowed"], &told["address"]), (&json!(false), &json!("192.0.2.7")));
    let denies: Vec<_> = told["rules"].as_array().unwrap().iter().filter(|it| it["says"] == "Denies").collect();
    assert_eq!(
        denies,
        [&json!({
            "rule": "IPAllowlist", "says": "Denies", "reason": "AddressNotAllowed",
            "message": "192.0.2.7 is in none of the policy's CIDRs",
        })]
    );
    assert_eq!(get(&server, &format!("{target}/10.9.9.9")).await.1["allowed"], true);
    for (target, status) in [
        (format!("{target}/nowhere"), 400),
        (format!("/v1/ai/explain/{host}/sk_none"), 404),
        (format!("/v1/ai/explain/{}/sk_key", uuid(0x99)), 404),
        ("/v1/ai/explain/build-host/sk_key/10.0.0.1".to_owned(), 200),
        // Never seen, and the policy looks at its address.
        ("/v1/ai/explain/build-host/sk_key".to_owned(), 400),
    ] {
        assert_eq!(get(&server, &target).await.0, status, "{target}");
    }
}
