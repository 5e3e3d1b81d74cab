//! A site with something of everything, and with names in it that would be scripts, if a page took them for HTML.
//!
//! The names are put where they belong by the server's own writer, past every check of names: whatever is shown one day is
//! tried, whoever may set it.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sikkerkey_e2e::signed_client::new_key;
use sikkerkey_protocol::kubernetes::{Approval, ObjectKey, ObjectMeta, PodIdentity};
use sikkerkey_protocol::sync::{Delivery, OnDenied};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::fleet::{Fleet, FleetSubject};
use sikkerkey_server::model::machine::{Machine, PodOf};
use sikkerkey_server::model::managed::Managed;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::project::{Project, ProjectNamespace};
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::state::State;

use crate::site::{Site, string};

/// What nobody may find on a page, whatever is on it.
pub(crate) const VALUES: [&str; 4] = ["hunter2-of-db", "hunter2-of-mail", "hunter2-of-bait", "hunter2-of-trash"];

/// What a page that takes a name for HTML runs.
const HOSTILE: [&str; 4] = [
    "\"><script>document.documentElement.dataset.pwned=1</script>",
    "<img src=x onerror=document.documentElement.dataset.pwned=2>",
    "'><svg onload=document.documentElement.dataset.pwned=3>",
    "</title></textarea><script>document.documentElement.dataset.pwned=4</script>",
];

/// What people, machines and manifests say in their own words.
const SAID: [&str; 19] = [
    "name",
    "hostname",
    "os",
    "note",
    "description",
    "label",
    "reason",
    "node",
    "namespace",
    "service_account",
    "serviceAccount",
    "user_agent",
    "asked_as",
    "disabled_because",
    "last_failure",
    "name_pattern",
    "hostname_pattern",
    "subject",
    "issuer",
];

impl Site {
    /// Adds something of everything, in each state that it can be in.
    pub(crate) async fn furnish(&self) {
        let vault = self.vault.clone();
        for name in ["shop", "books"] {
            self.project(name).await;
        }
        self.project("cluster").await;
        self.server.admin(&["project", "freeze", "books"]).await;
        let db = self.secret("shop", "db", VALUES[0]).await;
        let fields = json!({ "username": "shop", "password": VALUES[1] }).to_string();
        let create = ["secret", "create", "--project", "shop", "--name", "mail", "--value-file", "-"];
        let more = ["--fields", "username,password", "--note", "for the newsletter"];
        let mail = string(&self.server.admin_with(&[&create[..], &more].concat(), &fields).await, "secretId");
        self.server.admin_with(&["secret", "set", &db, "--value-file", "-"], VALUES[0]).await;
        self.server.admin(&["secret", "schedule", "set", &mail, "--every", "2592000", "--field", "password"]).await;
        let bait = self.secret("shop", "bait", VALUES[2]).await;
        self.server.admin(&["canary", "arm", &bait, "--no-freeze"]).await;
        let gone = self.secret("shop", "old", VALUES[3]).await;
        self.server.admin(&["secret", "delete", &gone]).await;

        let reader = self.machine("reader", &["shop"]).await;
        let approver = self.machine("approver", &["shop"]).await;
        self.grant(&reader, &[&db, &mail, &bait]).await;
        let policy = json!({
            "timeZone": "Europe/Oslo", "timeWindow": {"days": ["Mon", "Tue"], "start": "06:00", "end": "18:00"},
            "ipAllowlist": ["10.0.0.0/8"], "rateCap": {"perMinute": 30, "perDay": 500, "countedBy": "Machine"},
        });
        let cosign = json!({ "coSign": {"approver": {"machine": approver.id}, "windowSeconds": 600} });
        for (name, document, secret) in [("hours", policy, &db), ("two-people", cosign, &mail)] {
            let file = self.server.file(&format!("{name}.json"), &document.to_string());
            let file = file.to_str().unwrap();
            self.server.admin(&["policy", "set", "--project", "shop", "--name", name, "--file", file]).await;
            self.server.admin(&["policy", "bind", secret, "--policy", name]).await;
        }
        // Read, denied by its window, and asked for a co-signature.
        assert_eq!(reader.read(self, &bait).await.as_deref(), Ok(VALUES[2]));
        assert!(reader.read(self, &db).await.is_err());
        assert!(reader.read(self, &mail).await.is_err());

        self.pending("waiting").await;
        let disabled = self.machine("disabled", &["books"]).await;
        self.server.admin(&["machine", "disable", &disabled.id]).await;
        self.server.admin(&["machine", "rename", &disabled.id, "renamed"]).await;
        self.server.admin(&["machine", "guard", &approver.id, "--from", "127.0.0.0/8"]).await;
        let temporary = ["machine", "bootstrap", "--vault", &vault, "--temporary", "30d"];
        self.server.admin(&temporary).await;
        let list = ["ip-allowlist", "add", "--vault", &vault, "127.0.0.0/8", "--label", "here"];
        self.server.admin(&list).await;
        let token = ["enrolment-token", "create", "--vault", &vault, "--name", "jobs", "--project", "shop"];
        self.server.admin(&token).await;
        self.server.admin(&["agent", "token", "--vault", &vault, "--name", "helper", "--scope", "all"]).await;
        let application = self.server.admin(&["application", "create", "--vault", &vault, "--name", "store"]).await;
        let application = string(&application, "applicationId");
        self.server.admin(&["application", "assign", "shop", "--application", &application]).await;
        self.server.admin(&["webhook", "create", "--vault", &vault, "--url", "https://hooks.example.com/hook"]).await;
    }

    /// Adds what a cluster's operator manages, and puts scripts into everything that somebody says in their own words.
    pub(crate) async fn besiege(&mut self) {
        self.while_stopped(|state| {
            let mut entities = managed(state);
            entities.extend(state.vaults.values().cloned().map(Entity::Vault));
            entities.extend(state.projects.values().filter(|it| it.name != "cluster").cloned().map(Entity::Project));
            entities.extend(state.machines.values().map(|it| Entity::Machine(Machine::clone(it))));
            entities.extend(state.secrets.values().filter(|it| it.name != "db").cloned().map(Entity::Secret));
            entities.extend(state.policies.values().cloned().map(Entity::Policy));
            entities.extend(state.agents.values().cloned().map(Entity::Agent));
            entities.extend(state.applications.values().cloned().map(Entity::Application));
            entities.extend(state.co_signs.values().cloned().map(Entity::CoSign));
            entities.extend(state.allowlists.values().cloned().map(Entity::Allowlist));
            entities.extend(state.enrolment_tokens.values().cloned().map(Entity::EnrolmentToken));
            entities.extend(state.webhooks.values().cloned().map(Entity::Webhook));
            entities.extend(state.webhook_progress.values().cloned().map(Entity::WebhookProgress));
            entities.extend(state.sessions.values().cloned().map(Entity::Session));
            let hostile = entities.iter().enumerate().map(|(n, it)| hostile(it, HOSTILE[n % HOSTILE.len()]));
            hostile.collect()
        })
        .await;
    }
}

/// The same entity, saying this.
fn hostile<E: Serialize + DeserializeOwned>(entity: &E, words: &str) -> E {
    let mut value = serde_json::to_value(entity).unwrap();
    say(&mut value, words);
    serde_json::from_value(value).unwrap_or_else(|it| panic!("{it}"))
}

fn say(value: &mut Value, words: &str) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if SAID.contains(&name.as_str()) => text.push_str(words),
                    // What may be said and is not.
                    Value::Null if ["note", "hostname", "os"].contains(&name.as_str()) => *field = words.into(),
                    other => say(other, words),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| say(it, words)),
        _ => {}
    }
}

/// What an operator has made of the project `cluster`, and of the secret `db`.
fn managed(state: &State) -> Vec<Entity> {
    let project = state.projects.values().find(|it| it.name == "cluster").unwrap().clone();
    let db = state.secrets.values().find(|it| it.name == "db").unwrap().clone();
    let object = |name: &str| Managed {
        cluster: "prod".into(),
        object: ObjectMeta {
            key: ObjectKey { namespace: "shop".into(), name: name.into() },
            namespace_uid: "uid-shop".into(),
            uid: format!("uid-{name}"),
            generation: 1,
        },
    };
    let id = |n: u8| format!("00000000-0000-4000-8000-0000000000{n:02x}");
    let vault = project.vault.clone();
    let subject = FleetSubject::Workload {
        service_accounts: vec!["web".into()],
        lifetime_seconds: 3600,
        delivery: Arc::new(Delivery {
            on_revoked: OnDenied::Remove,
            on_closed: OnDenied::Remove,
            max_staleness_seconds: 86_400,
            on_change: None,
            files: Vec::new(),
        }),
        delivery_revision: "rev1".into(),
    };
    let fleet = Fleet {
        id: id(1).parse().unwrap(),
        vault: vault.clone(),
        project: project.id.clone(),
        managed: object("web"),
        approval: Approval::Approved,
        suspended: false,
        subject,
    };
    let pod = Machine {
        id: id(2).parse().unwrap(),
        vault: vault.clone(),
        name: "shop/web-1".into(),
        public_key: new_key().unwrap().public_key(),
        approval: Approval::Approved,
        enabled: true,
        expires_at: None,
        created_at: Millis(1_772_625_600_000),
        fleet: Some(fleet.id.clone()),
        pod: Some(PodOf {
            cluster: "prod".into(),
            pod: PodIdentity {
                namespace: "shop".into(),
                name: "web-1".into(),
                uid: "pod-1".into(),
                node: "node-7".into(),
                service_account: "web".into(),
            }
            .into(),
        }),
        hostname: None,
        enrolled_by: None,
        approved_by_person: false,
        voucher: None,
        host: None,
    };
    let waiting =
        Fleet { id: id(3).parse().unwrap(), managed: object("later"), approval: Approval::Pending, ..fleet.clone() };
    let agent = Agent {
        id: id(4).parse().unwrap(),
        vault,
        name: "operator".into(),
        public_key: new_key().unwrap().public_key(),
        cluster: None,
        approved: false,
        enabled: true,
        expires_at: None,
        pod: None,
        scopes: None,
        projects: None,
        created_at: None,
        earlier_names: Vec::new(),
        workload: None,
    };
    let namespace = ProjectNamespace { cluster: "prod".into(), name: "shop".into(), uid: "uid-shop".into() };
    vec![
        Entity::Project(Project { namespace: Some(namespace), ..project }),
        Entity::Secret(Secret { managed: Some(object("db")), ..db }),
        Entity::Fleet(fleet),
        Entity::Fleet(waiting),
        Entity::Machine(pod),
        Entity::Agent(agent),
    ]
}
