//! Machines, projects, grants, tokens, the allowlist and agents over the management plane: what the routes add to the use
//! cases, which is scopes, bodies and the database.

use serde_json::{Value, json};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::management::{Guardrails, Scope};
use sikkerkey_server::audit::entry::{Action, Actor};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::machine::{Grantee, HostOf, Machine};
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::Secret;

use crate::fixture::*;

fn agent_with(scopes: &[Scope]) -> Agent {
    Agent { scopes: Some(scopes.iter().copied().collect()), ..assistant() }
}

/// A server with project `ci`, which stands for no namespace, its secret `sk_key`, which the host reads, and an agent of
/// people that may do everything.
async fn server() -> Server {
    let server = Server::new().await;
    server.put(Entity::Agent(agent_with(Scope::ALL))).await;
    server.put(Entity::Project(Project { namespace: None, ..server.project("ci") })).await;
    server.put_secret(Secret { managed: None, ..secret("key", "ci") }, "hunter3").await;
    server.put(Entity::Membership(member("ci"))).await;
    let granted = grant(3, Grantee::Machine(host().id), &["sk_key"]);
    let project = "proj_ci".parse().unwrap();
    server.put(Entity::Grant(sikkerkey_server::model::grant::Grant { project, ..granted })).await;
    server
}

async fn ask(server: &Server, method: &'static str, target: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = server.send(Client::assistant().request(&*server.clock, method, target, body.as_bytes())).await;
    assert!(!answer.text().contains("hunter"), "{}", answer.text());
    (answer.status.as_u16(), answer.json())
}

/// Every route with a scope, as the public protocol lists them, and this server's own.
fn routes() -> Vec<(Scope, &'static str, String, Value)> {
    use Scope::*;
    let (machine, project, token, entry, agent) =
        (host().id, "/v1/ai/projects/proj_ci", "/v1/ai/enrollment-tokens/t", "/v1/ai/ipallowlist/e", uuid(0xa9));
    let of_machine = format!("/v1/ai/machines/{machine}");
    let of_member = format!("{project}/machines/{machine}");
    let of_agent = format!("/v1/ai/ai-agents/{agent}");
    let get = |scope, target: String| (scope, "GET", target, Value::Null);
    let post = |scope, target: String, body: Value| (scope, "POST", target, body);
    let mut routes = vec![
        get(MachinesRead, "/v1/ai/machines".into()),
        get(MachinesRead, of_machine.clone()),
        get(MachinesRead, format!("{of_machine}/name-history")),
        post(MachinesWrite, format!("{of_machine}/rename"), json!({"name": "x"})),
        post(MachinesWrite, format!("{of_machine}/extend"), json!({"seconds": 1, "reason": "x"})),
        post(MachinesWrite, format!("{of_machine}/guardrails"), json!({})),
        get(ProjectsRead, "/v1/ai/projects".into()),
        post(ProjectsWrite, "/v1/ai/projects".into(), json!({"name": "x"})),
        post(ProjectsWrite, format!("{project}/update"), json!({"name": "x"})),
        post(ProjectsWrite, format!("{project}/delete"), json!({"preview": true})),
        post(MembersRead, format!("{project}/machines/query"), Value::Null),
        post(MembersWrite, format!("{project}/machines"), json!({"machineId": machine})),
        post(MembersWrite, format!("{of_member}/detach"), Value::Null),
        get(MembersRead, format!("{of_member}/secrets")),
        post(MembersWrite, format!("{of_member}/grants"), json!({"secretIds": null})),
        get(EnrolmentRead, "/v1/ai/enrollment-tokens".into()),
        get(EnrolmentRead, token.into()),
        post(
            EnrolmentWrite,
            "/v1/ai/enrollment-tokens".into(),
            json!({
                "name": "jobs", "projectIds": ["proj_ci"], "secretIds": ["sk_key"], "tokenLifetimeSeconds": 600,
                "machineLifetimeSeconds": 600, "maxUses": 1,
            }),
        ),
        post(EnrolmentWrite, format!("{token}/revoke"), json!({"reason": "x"})),
        get(AllowlistRead, "/v1/ai/ipallowlist".into()),
        post(AllowlistWrite, "/v1/ai/ipallowlist".into(), json!({"cidr": "10.0.0.0/8"})),
        post(AllowlistWrite, format!("{entry}/update"), json!({"label": "x"})),
        post(AllowlistWrite, "/v1/ai/ipallowlist/bulk-delete".into(), json!({"entryIds": ["x"]})),
        get(AgentsRead, "/v1/ai/ai-agents".into()),
        get(AgentsRead, of_agent.clone()),
        get(AgentsRead, format!("{of_agent}/name-history")),
        post(AgentsWrite, format!("{of_agent}/rename"), json!({"name": "x"})),
    ];
    for act in ["approve", "deny", "disable", "enable", "revoke", "revert-extension"] {
        routes.push(post(MachinesWrite, format!("{of_machine}/{act}"), Value::Null));
    }
    for act in ["delete", "enable", "disable"] {
        routes.push(post(AllowlistWrite, format!("{entry}/{act}"), Value::Null));
    }
    for act in ["on", "off"] {
        routes.push(post(AllowlistWrite, format!("/v1/ai/ipallowlist/{act}"), Value::Null));
    }
    for act in ["approve", "deny", "disable", "enable", "revoke"] {
        routes.push(post(AgentsWrite, format!("{of_agent}/{act}"), Value::Null));
    }
    routes
}

#[tokio::test]
async fn each_route_asks_for_its_scope_and_for_no_other() {
    let server = server().await;
    for (scope, method, target, body) in routes() {
        let place = format!("{method} {target}");
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|it| *it != scope).collect();
        server.put(Entity::Agent(agent_with(&others))).await;
        let text = format!("this needs the scope {scope}: a person gives it with sikkerkey-server admin agent");
        assert_eq!(ask(&server, method, &target, &body).await, (403, json!({"error": text})), "{place}");
        let row = server.last_audit().await;
        assert_eq!((row.action, row.actor), (Action::ManagementDenied, Actor::Agent(agent_with(&[]).id)), "{place}");
        server.put(Entity::Agent(agent_with(&[scope]))).await;
        let (status, answer) = ask(&server, method, &target, &body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(matches!(status, 200 | 404 | 409 | 400) && !error.contains("scope"), "{place}: {status} {answer}");
    }
    server.put(Entity::Agent(agent_with(&[]))).await;
    let (status, own) = ask(&server, "GET", "/v1/ai/whoami", &Value::Null).await;
    let rows = own["recentActivity"].as_array().unwrap();
    let is_own = |it: &Value| it["aiAgentId"] == own["id"];
    assert!((1..=20).contains(&rows.len()) && rows.iter().all(is_own), "{own}");
    assert_eq!((&rows[0]["action"], &rows[0]["detail"]), (&json!("management_read"), &json!("itself")));
    assert_eq!(
        (status, &own["name"], &own["scopes"], &own["projectIds"]),
        (200, &json!("assistant"), &json!([]), &Value::Null)
    );
}

#[tokio::test]
async fn an_old_agent_keeps_what_it_could() {
    let server = server().await;
    server.put(Entity::Agent(Agent { scopes: None, ..agent_with(&[]) })).await;
    let (status, list) = ask(&server, "GET", "/v1/ai/machines", &Value::Null).await;
    assert_eq!((status, list["machines"].as_array().map(Vec::len)), (200, Some(3)), "{list}");
    assert_eq!(list["machines"][0]["kind"], "standard");
}

#[tokio::test]
async fn a_body_that_says_too_much_is_refused_before_anything_is_done() {
    let server = server().await;
    let target = format!("/v1/ai/machines/{}/revoke", host().id);
    let (status, answer) = ask(&server, "POST", &target, &json!({"preveiw": true})).await;
    let text = "the body has another shape than this route takes (line 1, column 10)";
    assert_eq!((status, &answer), (400, &json!({"error": text})));
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_key").await.status.as_u16(), 200);
    let (status, told) = ask(&server, "POST", &target, &json!({"preview": true})).await;
    assert_eq!((status, &told["preview"], &told["grants"]), (200, &json!(true), &json!(2)));
    assert_eq!(ask(&server, "POST", &target, &Value::Null).await.0, 200);
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_key").await.status.as_u16(), 401);
}

#[tokio::test]
async fn what_falls_with_a_project_is_gone_from_the_database() {
    let server = server().await;
    let confirm = json!({"confirmName": "ci"});
    assert_eq!(ask(&server, "POST", "/v1/ai/projects/proj_ci/delete", &confirm).await.0, 200);
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_key").await.status.as_u16(), 404);
    let directory = server.stop().await;
    let left = TestDatabase::of(directory.path()).query("select secret from version where project = 'proj_ci'").await;
    assert!(left.is_empty(), "{left:?}");
    let server = Server::open_at(directory, Millis(START)).await;
    let (status, list) = ask(&server, "GET", "/v1/ai/projects", &Value::Null).await;
    let names: Vec<_> = list["projects"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
    assert_eq!((status, names.contains(&json!("proj_ci"))), (200, false));
}

#[tokio::test]
async fn a_guardrail_is_kept_to_on_every_signed_request_and_a_breach_is_audited() {
    let server = server().await;
    let rails = Guardrails { ip_allowlist: Some(vec!["203.0.113.0/24".into()]), ..Guardrails::default() };
    let guarded = HostOf { guardrails: Some(rails), ..HostOf::default() };
    server.put(Entity::Machine(Machine { host: Some(Box::new(guarded)), ..host() })).await;
    for (method, target, body) in [
        ("GET", "/v1/secret/sk_key", ""),
        ("GET", "/v1/secrets", ""),
        ("POST", "/v1/secrets/export", "{}"),
        ("POST", "/v1/secrets/poll", r#"{"watch":["sk_key"]}"#),
        ("POST", "/v1/machine/resign", "{}"),
    ] {
        let answer = server.send(Client::host().request(&*server.clock, method, target, body.as_bytes())).await;
        assert_eq!(answer.status.as_u16(), 403, "{target}: {}", answer.text());
        assert_eq!(answer.error(), "this machine may not come from this address", "{target}");
        let row = server.last_audit().await;
        assert_eq!((row.denial, row.machine), (Some(DenialReason::AddressNotAllowed), Some(host().id)), "{target}");
    }
    let from_there = Client::host().request(&*server.clock, "GET", "/v1/secret/sk_key", b"").from("203.0.113.9");
    assert_eq!(server.send(from_there).await.status.as_u16(), 200);
}
