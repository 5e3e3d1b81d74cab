//! A server in memory: applies decisions as the writer does, without a database.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::{Register, Registered};
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_protocol::kubernetes::*;
use sikkerkey_protocol::policy::PolicyDocument;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{Delivery, OnDenied};
use zeroize::Zeroizing;

use crate::audit::entry::{Action, Entry};
use crate::crypto::keyring::Keyring;
use crate::crypto::master::Master;
use crate::decision::{Context, Decided};
use crate::entropy::Entropy;
use crate::ledger::Ledger;
use crate::model::account::{Account, Standing, Vault};
use crate::model::agent::Agent;
use crate::model::cluster::Cluster;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::secret::Secret;
use crate::model::{Change, Entity, EntityKind};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::usecase::source::Source;

pub(crate) const URL: &str = "https://sikkerkey.example.com";

/// Different bytes each time, and the same ones in each run.
#[derive(Default)]
pub(crate) struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let digest = Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&digest[..chunk.len()]);
        }
    }
}

pub(crate) struct Bench {
    pub(crate) state: State,
    pub(crate) ledger: Ledger,
    pub(crate) keyring: Keyring,
    pub(crate) entropy: CountingEntropy,
    pub(crate) now: Millis,
    /// What the last decision wrote.
    pub(crate) audit: Vec<Entry>,
    pub(crate) changes: usize,
}

pub(crate) fn key(n: u8) -> MachineKey {
    MachineKey::from_seed(&Zeroizing::new([n; 32]))
}

impl Bench {
    /// One account with one vault, clusters `prod` and `test`.
    pub(crate) fn new() -> Self {
        let mut bench = Self {
            state: State::default(),
            ledger: Ledger::default(),
            keyring: Keyring::new(Master::new("test".into(), Zeroizing::new([9; 32]))),
            entropy: CountingEntropy::default(),
            now: Millis("2026-03-04T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond()),
            audit: Vec::new(),
            changes: 0,
        };
        let vault = "vault_v".parse::<sikkerkey_protocol::id::VaultId>().unwrap();
        let account = Account { id: "account".into(), email: "team@example.com".into(), standing: Standing::Active };
        bench.put(Entity::Account(account));
        bench.put(Entity::Vault(Vault { id: vault.clone(), account: "account".into(), name: "team".into() }));
        for name in ["prod", "test"] {
            bench.put(Entity::Cluster(Cluster {
                name: name.into(),
                vault: vault.clone(),
                issuer: format!("https://{name}.example.com"),
                jwks: r#"{"keys":[]}"#.into(),
                subject: "system:serviceaccount:sikkerkey-system:sikkerkey-operator".into(),
                logins_after: None,
            }));
        }
        bench
    }

    pub(crate) fn put(&mut self, entity: Entity) {
        self.state.apply(Change::put(entity));
    }

    /// An agent of a cluster. Made by hand: how it comes to be is the login's.
    pub(crate) fn agent(cluster: &str) -> Agent {
        Agent {
            id: "00000000-0000-4000-8000-0000000000aa".parse().unwrap(),
            vault: "vault_v".parse().unwrap(),
            name: "operator".into(),
            public_key: key(250).public_key(),
            cluster: Some(cluster.into()),
            approved: true,
            enabled: true,
            expires_at: None,
            pod: Some("sikkerkey-system/operator-1".into()),
            scopes: None,
            projects: None,
            created_at: None,
            earlier_names: Vec::new(),
            workload: None,
        }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            state: &self.state,
            ledger: &self.ledger,
            now: self.now,
            keyring: &self.keyring,
            entropy: &self.entropy,
            public_url: URL,
        }
    }

    /// Decides and applies.
    pub(crate) fn run<T>(&mut self, decide: impl FnOnce(&Context<'_>) -> Decided<T>) -> Result<T, Refusal> {
        let decision = decide(&self.context())?;
        // What is only forgotten, because it has ended by itself, needs no row; everything else does.
        let forgets = |kind| {
            use EntityKind::{Agent, EnrolmentToken, GonePod, Session, SpentLogin, Token};
            matches!(kind, Token | SpentLogin | Agent | GonePod | EnrolmentToken | Session)
        };
        // How far a webhook was told is no news to anybody either.
        let notes = |it: &Change| matches!(it, Change::Put(entity) if matches!(**entity, Entity::WebhookProgress(_)));
        let is_quiet = |it: &Change| matches!(it, Change::Remove(key) if forgets(key.kind)) || notes(it);
        let says = decision.changes.iter().any(|it| !is_quiet(it));
        assert!(!says || !decision.audit.is_empty(), "changed, and not audited: {:?}", decision.changes);
        self.audit = decision.audit;
        self.changes = decision.changes.len();
        for change in decision.changes {
            self.state.apply(change);
        }
        Ok((decision.answer)(&self.context()))
    }

    /// The actions of the last decision's rows.
    pub(crate) fn actions(&self) -> Vec<Action> {
        self.audit.iter().map(|it| it.action).collect()
    }

    pub(crate) fn apply_machine(&mut self, request: ApplyMachine) -> Result<MachineState, Refusal> {
        let agent = Self::agent("prod");
        self.run(|it| super::kubernetes::machine::apply(it, &agent, source(), request))
    }

    pub(crate) fn apply_secret(&mut self, request: ApplySecret) -> Result<SecretState, Refusal> {
        let agent = Self::agent("prod");
        self.run(|it| super::kubernetes::secret::apply(it, &agent, source(), request))
    }

    pub(crate) fn apply_grant(&mut self, request: ApplyGrant) -> Result<GrantState, Refusal> {
        let agent = Self::agent("prod");
        self.run(|it| super::kubernetes::grant::apply(it, &agent, source(), request))
    }

    pub(crate) fn apply_policy(&mut self, request: ApplyPolicy) -> Result<PolicyState, Refusal> {
        let agent = Self::agent("prod");
        self.run(|it| super::kubernetes::policy::apply(it, &agent, source(), request))
    }

    pub(crate) fn delete(&mut self, request: Delete) -> Result<Deleted, Refusal> {
        let agent = Self::agent("prod");
        self.run(|it| super::kubernetes::delete::delete(it, &agent, source(), request))
    }

    pub(crate) fn rewind(&mut self, request: Rewind) -> Result<Rewound, Refusal> {
        let agent = Self::agent("prod");
        self.run(|it| super::kubernetes::rewind::rewind(it, &agent, source(), request))
    }

    pub(crate) fn inventory(&mut self, cluster: &str) -> Inventoried {
        let agent = Self::agent(cluster);
        self.run(|it| super::kubernetes::inventory::list(it, &agent, source(), Inventory {})).unwrap()
    }

    pub(crate) fn voucher(&mut self, pod: PodIdentity, n: u8) -> Result<IssuedVoucher, Refusal> {
        let agent = Self::agent("prod");
        let machine = ObjectKey { namespace: "shop".into(), name: "web".into() };
        let request = IssueVoucher { machine, pod, public_key: key(n).public_key() };
        self.run(|it| super::kubernetes::voucher::issue(it, &agent, source(), request))
    }

    pub(crate) fn gone(&mut self, uids: &[&str]) -> Result<PodsRevoked, Refusal> {
        let agent = Self::agent("prod");
        let request = GonePods { uids: uids.iter().map(|it| (*it).to_owned()).collect() };
        self.run(|it| super::kubernetes::pods::gone(it, &agent, source(), request))
    }

    pub(crate) fn register(&mut self, token: &str, n: u8) -> Result<Registered, Refusal> {
        let key = key(n);
        let public_key = key.public_key();
        let proof = Some(key.sign(&possession(Purpose::Register, token, &public_key)));
        let request = Register { token: SecretText::new(token.into()), public_key, proof, hostname: None, os: None };
        self.run(|it| super::register::register(it, source(), request))
    }

    /// A pod with its voucher and machine.
    pub(crate) fn enrol(&mut self, uid: &str, n: u8) -> Registered {
        let voucher = self.voucher(pod(uid), n).unwrap().voucher;
        self.register(voucher.expose(), n).unwrap()
    }

    pub(crate) fn secret(&self, name: &str) -> &Secret {
        let key = ObjectKey { namespace: "shop".into(), name: name.into() };
        self.state.secret_of("prod", &key).unwrap()
    }

    pub(crate) fn machine(&self, registered: &Registered) -> Option<&Machine> {
        self.state.machines.get(&registered.machine_id).map(|it| &**it)
    }

    /// The newest value, opened.
    pub(crate) fn value(&self, name: &str) -> String {
        let secret = self.secret(name);
        let project = &self.state.projects[&secret.project];
        let sealed = self.state.value(&secret.id).unwrap();
        self.keyring.open(project, &secret.id, secret.version, sealed).unwrap().expose().to_owned()
    }
}

pub(crate) fn source() -> Source {
    Source { address: "10.0.0.1".parse().unwrap() }
}

pub(crate) fn object(name: &str, generation: i64) -> ObjectMeta {
    ObjectMeta {
        key: ObjectKey { namespace: "shop".into(), name: name.into() },
        namespace_uid: "ns-1".into(),
        uid: format!("{name}-1"),
        generation,
    }
}

pub(crate) fn delivery() -> Delivery {
    Delivery {
        on_revoked: OnDenied::Remove,
        on_closed: OnDenied::Remove,
        max_staleness_seconds: 86_400,
        on_change: None,
        files: vec![],
    }
}

pub(crate) fn workload(name: &str) -> ApplyMachine {
    ApplyMachine {
        object: object(name, 1),
        manual_approval: false,
        suspended: false,
        subject: Subject::Workload {
            service_accounts: vec!["web".into()],
            lifetime_seconds: 3600,
            delivery: delivery(),
        },
    }
}

pub(crate) fn generated(name: &str) -> ApplySecret {
    let recipe = Recipe::Plain(Generator { length: 32, charset: Charset::Alphanumeric });
    let source = SecretSource::Generate(recipe);
    ApplySecret { object: object(name, 1), source, policy: None, rotation: None, expected: None }
}

pub(crate) fn supplied(name: &str, value: &str, fields: &[&str]) -> ApplySecret {
    let field_names = fields.iter().map(|it| (*it).to_owned()).collect();
    let from = TakenFrom { name: "old".into(), key: None };
    let source = SecretSource::Supplied { value: SecretText::new(value.into()), field_names, from };
    ApplySecret { source, ..generated(name) }
}

pub(crate) fn grant(name: &str, machine: &str, secrets: &[&str]) -> ApplyGrant {
    ApplyGrant {
        object: object(name, 1),
        machine: ObjectKey { namespace: "shop".into(), name: machine.into() },
        secrets: secrets.iter().map(|it| (*it).to_owned()).collect(),
        expires_at: None,
    }
}

pub(crate) fn allowlist(name: &str, range: &str) -> ApplyPolicy {
    let policy = PolicyDocument { ip_allowlist: Some(vec![range.into()]), ..Default::default() };
    ApplyPolicy { object: object(name, 1), policy }
}

pub(crate) fn deleted(kind: Kind, name: &str) -> Delete {
    Delete { kind, key: object(name, 1).key, uid: format!("{name}-1"), trash: false }
}

pub(crate) fn pod(uid: &str) -> PodIdentity {
    PodIdentity {
        namespace: "shop".into(),
        name: format!("web-{uid}"),
        uid: uid.into(),
        node: "node-1".into(),
        service_account: "web".into(),
    }
}

#[track_caller]
pub(crate) fn refused<T>(result: Result<T, Refusal>, kind: RefusalKind, code: Option<ErrorCode>, text: &str) {
    let Err(refusal) = result else { panic!("not refused: {text}") };
    assert_eq!((refusal.kind, refusal.code, refusal.message.as_str()), (kind, code, text));
}
