//! Filling a data directory, through the server's own engine and writer: what is in it is what a server would have written.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_server::audit::entry::{Action, Actor, Entry};
use sikkerkey_server::crypto::root_key::Source;
use sikkerkey_server::decision::{Context, Decision};
use sikkerkey_server::engine::{DataPlace, Engine, Options};
use sikkerkey_server::entropy::SystemEntropy;
use sikkerkey_server::model::account::{Account, Standing, Vault};
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::{Secret, SecretPhase};
use sikkerkey_server::model::session::Session;
use sikkerkey_server::model::version::Version;
use sikkerkey_server::model::{Change, Entity};
use sikkerkey_server::writer::ChangeRequest;

use super::clients::{Fleet, key, machine_id, secret_id};

/// Bytes of a value.
pub(super) const VALUE: usize = 1024;
/// Where the server listens does not matter while it is filled.
const URL: &str = "http://localhost";
/// Entities of one transaction.
const BATCH: usize = 500;
/// When everything was made: 2026-01-01T00:00:00Z.
const MADE: Millis = Millis(1_767_225_600_000);
const VAULT: &str = "vault_bench";
const ACCOUNT: &str = "bench";
const PROJECT: &str = "proj_bench";

/// Makes a data directory with these machines, secrets of [`VALUE`] bytes and grants.
pub(super) async fn fill(directory: &Path, fleet: Fleet) -> Result<()> {
    let engine = open(directory).await?;
    let filled = Filler { engine: &engine }.fill(fleet).await;
    engine.close().await?;
    filled
}

/// Adds audited reads until the database has this many bytes. Returns how many it has.
pub(super) async fn grow(directory: &Path, bytes: u64, fleet: Fleet) -> Result<u64> {
    let engine = open(directory).await?;
    let grown = Filler { engine: &engine }.grow(directory, bytes, fleet).await;
    engine.close().await?;
    grown?;
    size(directory)
}

/// Logs the owner in, as a browser would be after its login. Returns the token of the session.
pub(super) async fn log_in(directory: &Path) -> Result<String> {
    let mut token = [0; 32];
    getrandom::fill(&mut token).map_err(|error| anyhow!("no random bytes: {error}"))?;
    let token = sha256_hex(&token);
    let engine = open(directory).await?;
    let now = engine.app.clock.now();
    let session = Session {
        id: "bench".into(),
        hash: sha256_hex(token.as_bytes()),
        account: ACCOUNT.into(),
        since: now,
        proven_at: now,
        used_at: now,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        user_agent: "bench".into(),
        second_factor: false,
    };
    let put = Filler { engine: &engine }.put(vec![Change::put(Entity::Session(session))], Vec::new()).await;
    engine.close().await?;
    put?;
    Ok(token)
}

async fn open(directory: &Path) -> Result<Engine> {
    let place = DataPlace::Directory(directory.to_owned());
    Engine::open(Options { public_url: URL.to_owned(), ..Options::new(place, Source::Beside) }).await
}

/// Bytes of the database.
fn size(directory: &Path) -> Result<u64> {
    Ok(std::fs::metadata(directory.join("sikkerkey.db")).context("there is no database")?.len())
}

struct Filler<'e> {
    engine: &'e Engine,
}

impl Filler<'_> {
    async fn fill(&self, fleet: Fleet) -> Result<()> {
        let vault = VAULT.parse()?;
        let id = PROJECT.parse()?;
        let wrapped_key = self.engine.app.keyring.new_project_key(&vault, &id, &SystemEntropy)?;
        let project = Project {
            id,
            vault: vault.clone(),
            name: "bench".into(),
            namespace: None,
            frozen: false,
            description: String::new(),
            created_at: None,
            wrapped_key,
        };
        let account = Account { id: ACCOUNT.into(), email: "bench@example.com".into(), standing: Standing::Active };
        let owner = Vault { id: vault, account: account.id.clone(), name: "bench".into() };
        let first = [Entity::Account(account), Entity::Vault(owner), Entity::Project(project.clone())];
        self.put(first.into_iter().map(Change::put).collect(), Vec::new()).await?;

        let mut changes = Vec::with_capacity(BATCH + 2);
        for secret in 0..fleet.secrets {
            changes.extend(self.secret(&project, secret)?);
            if changes.len() >= BATCH {
                self.put(std::mem::take(&mut changes), Vec::new()).await?;
            }
        }
        for machine in 0..fleet.machines {
            changes.extend(machine_and_grant(fleet, machine)?.map(Change::put));
            if changes.len() >= BATCH {
                self.put(std::mem::take(&mut changes), Vec::new()).await?;
            }
        }
        self.put(changes, Vec::new()).await
    }

    async fn grow(&self, directory: &Path, bytes: u64, fleet: Fleet) -> Result<()> {
        let mut n = 0;
        while size(directory)? < bytes {
            let rows = (n..n + 20 * BATCH).map(|n| {
                let machine = n % fleet.machines;
                let mut row = Entry::new(Action::SecretRead, Actor::Machine(machine_id(machine).parse()?));
                row.machine = Some(machine_id(machine).parse()?);
                row.vault = Some(VAULT.parse()?);
                row.project = Some(PROJECT.parse()?);
                row.secret = Some(secret_id(n % fleet.secrets).parse()?);
                row.source_ip = Some(std::net::Ipv4Addr::LOCALHOST.into());
                row.detail = format!("v1 secret-{}; machine host-{machine}", n % fleet.secrets);
                Ok(row)
            });
            let rows = rows.collect::<Result<Vec<_>>>()?;
            n += rows.len();
            self.put(Vec::new(), rows).await?;
        }
        Ok(())
    }

    fn secret(&self, project: &Project, n: usize) -> Result<[Change; 2]> {
        let id = secret_id(n).parse()?;
        let value = SecretText::new("x".repeat(VALUE));
        let sealed = self.engine.app.keyring.seal(project, &id, 1, &value, &SystemEntropy)?;
        let (vault, project) = (project.vault.clone(), project.id.clone());
        let secret = Secret {
            id: id.clone(),
            vault: vault.clone(),
            project: project.clone(),
            name: format!("secret-{n}"),
            field_names: Vec::new(),
            version: 1,
            version_time: Some(MADE),
            policy: None,
            origin: None,
            recipe: None,
            rotation: None,
            due_by_reads: None,
            bindings: 0,
            schedule: None,
            note: None,
            taken_over: false,
            history: <_>::default(),
            sealing: None,
            phase: SecretPhase::Active,
            held: false,
            managed: None,
        };
        let version = Version {
            vault,
            project,
            secret: id,
            version: 1,
            time: MADE,
            field_names: Vec::new(),
            sealed: Arc::new(sealed),
        };
        Ok([Change::put(Entity::Secret(secret)), Change::PutVersion(version)])
    }

    async fn put(&self, changes: Vec<Change>, mut audit: Vec<Entry>) -> Result<()> {
        if audit.is_empty() {
            audit.push(Entry::new(Action::AccountUpdate, Actor::Administrator));
        }
        let decide = Box::new(move |_: &Context<'_>| Ok(Decision { changes, audit, answer: Box::new(|_| ()) }));
        let actor = Actor::Administrator;
        let request = ChangeRequest { spend: None, actor, source_ip: None, what: "filling", decide };
        match self.engine.app.writer.change(request).await {
            Ok(()) => Ok(()),
            Err(refusal) => bail!("the data directory could not be filled: {refusal}"),
        }
    }
}

fn machine_and_grant(fleet: Fleet, n: usize) -> Result<[Entity; 3]> {
    let (id, vault) = (machine_id(n), VAULT.parse()?);
    let machine = Machine {
        id: id.parse()?,
        vault,
        name: format!("host-{n}"),
        public_key: key(n).public_key(),
        approval: Approval::Approved,
        enabled: true,
        expires_at: None,
        created_at: MADE,
        fleet: None,
        pod: None,
        hostname: None,
        enrolled_by: None,
        approved_by_person: false,
        voucher: None,
        host: None,
    };
    let grant = Grant {
        id,
        vault: machine.vault.clone(),
        project: PROJECT.parse()?,
        grantee: Grantee::Machine(machine.id.clone()),
        secrets: fleet.secrets_of(n).map(|it| secret_id(it).parse()).collect::<Result<_, _>>()?,
        expires_at: None,
        managed: None,
    };
    let membership = Membership {
        vault: machine.vault.clone(),
        project: PROJECT.parse()?,
        machine: machine.id.clone(),
        since: MADE,
    };
    Ok([Entity::Machine(machine), Entity::Membership(membership), Entity::Grant(grant)])
}
