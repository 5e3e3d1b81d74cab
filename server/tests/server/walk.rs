//! A walk over every route there is, taken from the server's own list: who gets in, what of another vault shows, and
//! whether a stored value ever leaves by a route that manages. A route that is added is walked without another word.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::Scope;
use sikkerkey_server::clock::Clock as _;
use sikkerkey_server::http::route::{Route, Signer, Verb};
use sikkerkey_server::http::routes;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::account::{Account, Standing, Vault};
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::{Secret, SecretPhase};

use crate::fixture::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/walk.txt");

/// Stands in the value of the secret and nowhere else.
pub const CANARY: &str = "canary-7f3a91";
/// Stands in the name of everything that belongs to the vault that is looked at.
pub const OURS: &str = "ours-7f3a91";

/// The seeds of the agents' keys, which are the last digits of their ids, too.
const KNOWING: u8 = 0xb1;
const PENDING: u8 = 0xb2;
const DISABLED: u8 = 0xb3;
const ELSEWHERE: u8 = 0xb4;
const STRANGER: u8 = 0xb5;
const SCOPED: u8 = 0xb6;
const LACKING: u8 = 0xb7;
const COLLEAGUE: u8 = 0xb8;

fn manager(n: u8) -> Agent {
    Agent {
        id: uuid(n).parse().unwrap(),
        name: format!("{OURS} agent {n}"),
        public_key: key(n).public_key(),
        cluster: None,
        scopes: Some(Scope::ALL.iter().copied().collect()),
        ..agent()
    }
}

fn other_vault() -> VaultId {
    "vault_w".parse().unwrap()
}

/// A server with two vaults. In the first: a project, a machine of no fleet that is granted its secret, agents, and one of
/// everything that a route can make.
pub struct World {
    pub server: Server,
    /// What stands where a path has a name in braces.
    pub ids: BTreeMap<&'static str, String>,
    /// How many names were given: no two things have one.
    names: AtomicU64,
}

impl World {
    pub async fn new() -> Self {
        let server = Server::new().await;
        let mut entities = vec![
            Entity::Account(Account {
                id: "other".into(),
                email: "other@example.com".into(),
                standing: Standing::Active,
            }),
            Entity::Vault(Vault { id: other_vault(), account: "other".into(), name: "theirs".into() }),
            Entity::Project(Project { namespace: None, name: OURS.into(), ..server.project("ci") }),
            Entity::Machine(Machine { name: OURS.into(), hostname: Some(OURS.into()), ..host() }),
            Entity::Membership(Membership { project: "proj_ci".parse().unwrap(), ..member("ci") }),
        ];
        let agents = [KNOWING, PENDING, DISABLED, ELSEWHERE, STRANGER, SCOPED, LACKING, COLLEAGUE].map(|n| {
            let agent = manager(n);
            Entity::Agent(match n {
                PENDING => Agent { approved: false, ..agent },
                DISABLED => Agent { enabled: false, ..agent },
                ELSEWHERE => Agent { projects: Some(["proj_payments".parse().unwrap()].into()), ..agent },
                STRANGER => Agent { vault: other_vault(), name: "theirs".into(), ..agent },
                _ => agent,
            })
        });
        entities.extend(agents);
        for entity in entities {
            server.put(entity).await;
        }
        server.put_secret(Secret { managed: None, name: OURS.into(), ..secret("key", "ci") }, CANARY).await;
        let again = Secret { managed: None, name: OURS.into(), version: 1, ..secret("key", "ci") };
        server.put_secret(again, CANARY).await;
        let phase = SecretPhase::Trashed(server.clock.now());
        let trashed = Secret { managed: None, name: format!("{OURS} once"), phase, ..secret("old", "ci") };
        server.put_secret(trashed, CANARY).await;
        let granted = grant(3, Grantee::Machine(host().id), &["sk_key"]);
        server.put(Entity::Grant(Grant { project: "proj_ci".parse().unwrap(), ..granted })).await;
        let ids = [
            ("{project}", "proj_ci".to_owned()),
            ("{secret}", "sk_key".to_owned()),
            ("{trashed}", "sk_old".to_owned()),
            ("{machine}", host().id.to_string()),
            ("{agent}", uuid(COLLEAGUE)),
            ("{vault}", "vault_v".to_owned()),
            ("{address}", "10.1.2.3".to_owned()),
        ];
        let mut world = Self { server, ids: ids.into(), names: AtomicU64::new(0) };
        for (place, path) in MADE {
            let route = routes().into_iter().find(|it| it.verb == Verb::Post && it.path == path);
            let Some(route) = route else { continue };
            let answer = world.ask(&client(KNOWING), &route).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            world.ids.insert(place, id_in(&answer.json()).unwrap_or_else(|| panic!("{path}: {}", answer.text())));
        }
        world
    }

    async fn ask(&self, client: &Client, route: &Route) -> Answer {
        let (method, target, body) = self.request(route);
        self.server.send(client.request(&*self.server.clock, method, &target, body.as_bytes())).await
    }

    /// A request that makes sense, as far as the description of the route tells.
    fn request(&self, route: &Route) -> (&'static str, String, String) {
        let part = |part: &str| {
            let place = part.starts_with('{');
            if !place {
                return part.to_owned();
            }
            self.ids.get(part).cloned().unwrap_or_else(|| uuid(0x99))
        };
        let target: Vec<String> = route.path.split('/').map(part).collect();
        let body = route.takes.map(|(schema, _)| {
            let mut generator = SchemaSettings::draft2020_12().into_generator();
            let schema = schema(&mut generator).to_value();
            let definitions = Value::Object(generator.take_definitions(true));
            let mut body = self.example("", &schema, &definitions, 0);
            // A schedule comes with a new secret, or is of one that there is.
            if route.path == "/v1/ai/dynamic-secrets" {
                body.as_object_mut().unwrap().remove("secretId");
            }
            body.to_string()
        });
        let method = if route.verb == Verb::Get { "GET" } else { "POST" };
        (method, target.join("/"), body.unwrap_or_default())
    }

    /// A value of a schema: what has to be there, and what this walk has a value for.
    fn example(&self, name: &str, schema: &Value, definitions: &Value, depth: usize) -> Value {
        if let Some(known) = self.known(name) {
            return known;
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target = reference.rsplit('/').next().unwrap();
            return self.example(name, &definitions[target], definitions, depth + 1);
        }
        for any in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema[any].as_array().and_then(|it| it.first()) {
                return self.example(name, first, definitions, depth + 1);
            }
        }
        if let Some(first) = schema["enum"].as_array().and_then(|it| it.first()).or(schema.get("const")) {
            return first.clone();
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
        match kind {
            "string" => json!("text"),
            "integer" | "number" => json!(schema["minimum"].as_i64().unwrap_or(0).max(600)),
            "boolean" => json!(false),
            "array" => json!([]),
            _ => {
                let required: Vec<&str> =
                    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let properties = schema["properties"].as_object().into_iter().flatten();
                let wanted =
                    properties.filter(|(name, _)| required.contains(&name.as_str()) || self.known(name).is_some());
                let fields: Map<String, Value> = wanted
                    .filter(|_| depth < 8)
                    .map(|(name, schema)| (name.clone(), self.example(name, schema, definitions, depth + 1)))
                    .collect();
                Value::Object(fields)
            }
        }
    }

    /// What a field of this name is given.
    fn known(&self, name: &str) -> Option<Value> {
        let id = |place| self.ids.get(place).map(|it: &String| json!(it));
        match name {
            "projectId" => id("{project}"),
            "machineId" => id("{machine}"),
            "secretId" => id("{secret}"),
            "policyId" => id("{policy}"),
            "projectIds" => Some(json!([self.ids["{project}"]])),
            "secretIds" => Some(json!([self.ids["{secret}"]])),
            "name" => Some(json!(format!("{OURS} {}", self.names.fetch_add(1, Ordering::Relaxed)))),
            "value" => Some(json!(CANARY)),
            "url" => Some(json!("https://hooks.example.com/ours")),
            "cidr" => Some(json!("10.9.0.0/16")),
            "rateCapEnabled" => Some(json!(true)),
            "maxReadsPerMinute" => Some(json!(5)),
            "version" => Some(json!(1)),
            "maxUses" => Some(json!(2)),
            "intervalSeconds" | "tokenLifetimeSeconds" | "machineLifetimeSeconds" => Some(json!(3600)),
            "confirmName" => Some(json!(OURS)),
            "bucket" => Some(json!("hour")),
            _ => None,
        }
    }
}

/// What the world's own routes make, in this order, and where it stands in paths.
const MADE: [(&str, &str); 6] = [
    ("{schedule}", "/v1/ai/dynamic-secrets"),
    ("{policy}", "/v1/ai/projects/{project}/policies"),
    ("{canary}", "/v1/ai/canaries"),
    ("{token}", "/v1/ai/enrollment-tokens"),
    ("{entry}", "/v1/ai/ipallowlist"),
    ("{webhook}", "/v1/ai/webhooks"),
];

/// The id of what was made.
fn id_in(answer: &Value) -> Option<String> {
    let fields = answer.as_object()?;
    let own = fields.get("id").or_else(|| fields.iter().find(|(name, _)| name.ends_with("Id")).map(|(_, id)| id));
    own.and_then(Value::as_str).map(str::to_owned).or_else(|| fields.values().find_map(id_in))
}

fn client(n: u8) -> Client {
    Client::new(uuid(n), n)
}

/// Routes that somebody signs who manages.
fn managing() -> impl Iterator<Item = (Route, Option<Scope>)> {
    routes().into_iter().filter_map(|route| match route.signer {
        Signer::Manager(scope) => Some((route, scope)),
        _ => None,
    })
}

#[tokio::test]
async fn who_gets_in_is_as_committed_for_every_route() {
    let mut table = String::from("Status by route and signer. Made by walk.rs: see there.\n");
    let actors: [(&str, Client); 10] = [
        ("nobody", client(0x77)),
        ("machine", Client::host()),
        ("operator", Client::agent()),
        ("agent that waits for approval", client(PENDING)),
        ("agent that is disabled", client(DISABLED)),
        ("agent without the scope", client(LACKING)),
        ("agent of another project", client(ELSEWHERE)),
        ("agent of another vault", client(STRANGER)),
        ("agent, its account suspended", client(KNOWING)),
        ("agent with the scope alone", client(SCOPED)),
    ];
    for route in routes().into_iter().filter(|it| it.signer != Signer::Nobody) {
        let world = World::new().await;
        let scope = if let Signer::Manager(scope) = route.signer { scope } else { None };
        let scopes = |n: u8, wanted: &dyn Fn(&Scope) -> bool| {
            let scopes = Scope::ALL.iter().copied().filter(|it| wanted(it)).collect();
            Entity::Agent(Agent { scopes: Some(scopes), ..manager(n) })
        };
        world.server.put(scopes(SCOPED, &|it| Some(*it) == scope)).await;
        world.server.put(scopes(LACKING, &|it| Some(*it) != scope)).await;
        writeln!(table, "\n{:?} {}{}", route.verb, route.path, scope.map(|it| format!("  {it}")).unwrap_or_default())
            .unwrap();
        for (place, (name, client)) in (1..).zip(&actors) {
            let suspended = name.contains("suspended");
            if suspended {
                world.server.put(Entity::Account(account(Standing::Suspended))).await;
            }
            let (method, target, body) = world.request(&route);
            let request = client.request(&*world.server.clock, method, &target, body.as_bytes());
            // Each from an address of its own: nothing here is about lockouts.
            let answer = world.server.send(request.from(&format!("10.9.{place}.1"))).await;
            if suspended {
                world.server.put(Entity::Account(account(Standing::Active))).await;
            }
            writeln!(table, "  {name:<32} {}", answer.status.as_u16()).unwrap();
            let refused = answer.status.is_client_error();
            // What others were refused stands in the audit, which some routes answer.
            let missing = refused && scope.is_some_and(|it| answer.text().contains(&format!("needs the scope {it}:")));
            let lacks = *name == "agent without the scope" && scope.is_some();
            assert!(lacks == missing, "{} {}: {}", route.path, name, answer.text());
            let outside = matches!(*name, "nobody") || (*name == "machine" && route.signer != Signer::Machine);
            assert!(!outside || refused, "{} lets {name} in: {}", route.path, answer.text());
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &table).unwrap();
    }
    let committed = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(table == committed, "the matrix is another one: UPDATE_GOLDEN=1 writes it, git diff shows how");
}

#[tokio::test]
async fn an_agent_sees_and_changes_nothing_of_another_vault() {
    let world = World::new().await;
    let before = fingerprint(&world.server);
    for (route, _) in managing() {
        let (method, target, body) = world.request(&route);
        let request = client(STRANGER).request(&*world.server.clock, method, &target, body.as_bytes());
        let answer = world.server.send(request).await;
        // The name that the stranger gave is his own; nothing else in the world has it.
        let given: Value = serde_json::from_str(&body).unwrap_or_default();
        let shown = given["name"].as_str().map_or(answer.text().to_owned(), |it| answer.text().replace(it, ""));
        assert!(!shown.contains(OURS), "{} shows it: {}", route.path, answer.text());
        let named = route.path.split('/').any(|part| part.starts_with('{'));
        assert!(!named || answer.status.is_client_error(), "{}: {} {}", route.path, answer.status, answer.text());
    }
    assert_eq!(fingerprint(&world.server), before, "something of the vault has changed");
}

#[tokio::test]
async fn an_agent_with_a_list_of_projects_sees_and_changes_nothing_of_the_others() {
    let world = World::new().await;
    for (route, _) in
        managing().filter(|(route, _)| route.path.contains("{project}") || route.path.contains("{secret}"))
    {
        let answer = world.ask(&client(ELSEWHERE), &route).await;
        assert!(answer.status.is_client_error(), "{}: {} {}", route.path, answer.status, answer.text());
    }
}

#[tokio::test]
async fn no_route_that_manages_answers_a_stored_value() {
    let mut done = 0;
    for (route, _) in managing() {
        let world = World::new().await;
        let answer = world.ask(&client(KNOWING), &route).await;
        assert!(!answer.text().contains(CANARY), "{}: {}", route.path, answer.text());
        assert!(!answer.status.is_server_error(), "{}: {} {}", route.path, answer.status, answer.text());
        done += usize::from(answer.status == 200);
        for entry in world.server.audit().await {
            assert!(!entry.detail.contains(CANARY), "{}: {}", route.path, entry.detail);
        }
    }
    // Else the walk would prove nothing: most requests are such as are done.
    let all = managing().count();
    assert!(done * 10 >= all * 8, "only {done} of {all} routes did what they were asked");
}

/// What the first vault holds.
fn fingerprint(server: &Server) -> Vec<String> {
    let ours: VaultId = "vault_v".parse().unwrap();
    let world = server.engine.app.live.read();
    let state = &world.state;
    let mut all = Vec::new();
    all.extend(state.projects.values().filter(|it| it.vault == ours).map(|it| format!("{it:?}")));
    all.extend(state.secrets.values().filter(|it| it.vault == ours).map(|it| format!("{it:?}")));
    all.extend(state.machines.values().filter(|it| it.vault == ours).map(|it| format!("{it:?}")));
    all.extend(state.agents.values().filter(|it| it.vault == ours).map(|it| format!("{it:?}")));
    all.extend(state.grants.values().filter(|it| it.vault == ours).map(|it| format!("{it:?}")));
    all.extend(state.policies.values().filter(|it| it.vault == ours).map(|it| format!("{it:?}")));
    all.extend(state.enrolment_tokens.values().filter(|it| it.vault == ours).map(|it| format!("{it:?}")));
    all.extend(state.canaries.values().map(|it| format!("{it:?}")));
    all.extend(state.allowlists.get(&ours).map(|it| format!("{it:?}")));
    all.extend(state.webhooks_of(&ours).into_iter().map(|it| format!("{it:?} {} {}", it.url, it.enabled)));
    all.extend(state.alerts.get(&ours).map(|it| format!("{it:?}")));
    all.sort();
    all
}
