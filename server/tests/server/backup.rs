//! Backups, and what a restored one may not bring back.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::policy::{PolicyDocument, Ttl};
use sikkerkey_server::audit::entry::{Action, Severity};
use sikkerkey_server::audit::verify::Verifier;
use sikkerkey_server::clock::Clock;
use sikkerkey_server::crypto::root_key::RootKey;
use sikkerkey_server::engine::DataPlace;
use sikkerkey_server::entropy::SystemEntropy;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::enrolment::EnrolmentToken;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::policy::Policy;
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::token::{Token, TokenPurpose};
use sikkerkey_server::model::{Entity, EntityKind};
use sikkerkey_server::store::backup::{self, RestoreError, Restored, Written};
use sikkerkey_server::usecase::admin::restore::{self, Outcome};
use tempfile::TempDir;
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::browser::{Browser, HOME, PASSWORD, add_second_factor, code, server_with_owner};
use crate::disk::Disk;
use crate::fixture::*;
use crate::process::Process;

async fn back_up(server: &Server, path: &Path) -> Written {
    let app = &server.engine.app;
    let out = BufWriter::new(File::create(path).unwrap());
    app.records.back_up(&app.keyring, app.clock.now(), out).await.unwrap()
}

/// Restores what the server of `root` has written.
async fn restore_into(
    place: DataPlace,
    file: &Path,
    root: &RootKey,
    clock: &dyn Clock,
    epoch: Option<u64>,
) -> Result<Restored<Outcome>, RestoreError> {
    let database = place.open().unwrap();
    let from = BufReader::new(File::open(file).unwrap());
    let begin = |it: backup::Reopened<'_>| restore::begin(&it, "backup.jsonl");
    backup::restore(&database, root, from, (clock, &SystemEntropy), epoch, begin).await
}

/// An empty place, in which a server finds the root key of the one that was backed up.
struct Place {
    directory: Arc<TempDir>,
    root: RootKey,
}

impl Place {
    async fn new(old: &Path) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        TestDatabase::make(directory.path()).await;
        Self::with(old, directory)
    }

    async fn postgres(old: &Path) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        TestDatabase::make_postgres(directory.path()).await;
        Self::with(old, directory)
    }

    fn sqlite(old: &Path) -> Self {
        Self::with(old, Arc::new(tempfile::tempdir().unwrap()))
    }

    fn with(old: &Path, directory: Arc<TempDir>) -> Self {
        let key = directory.path().join("root.key");
        std::fs::copy(old.join("root.key"), &key).unwrap();
        Self { root: RootKey::read(&key).unwrap(), directory }
    }

    fn data(&self) -> DataPlace {
        TestDatabase::of(self.directory.path()).place(self.directory.path()).0
    }

    async fn restore(&self, file: &Path, clock: &dyn Clock) -> Result<Restored<Outcome>, RestoreError> {
        restore_into(self.data(), file, &self.root, clock, None).await
    }

    async fn open(&self, clock: &Arc<ManualClock>) -> Server {
        Server::open(self.directory.clone(), clock.clone()).await.unwrap()
    }
}

/// A new file, outside of every data directory.
fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup.jsonl");
    (directory, path)
}

/// Who was logged out since the backup is logged out, and a recovery code that was used since is used.
#[tokio::test]
async fn after_a_restore_people_log_in_anew_and_earlier_recovery_codes_are_worth_nothing() {
    let old = server_with_owner().await;
    let browser = Browser::at(HOME);
    browser.log_in(&old, PASSWORD).await;
    let (seed, codes) = add_second_factor(&browser, &old).await;
    let (_kept, file) = file();
    back_up(&old, &file).await;
    let place = Place::new(old.directory.path()).await;
    old.clock.advance_seconds(60);
    place.restore(&file, &*old.clock).await.unwrap();
    let server = place.open(&old.clock).await;
    assert!(!browser.is_in(&server).await);
    let log_in = async |code: &str| {
        let body = serde_json::json!({ "email": "team@example.com", "password": PASSWORD, "code": code });
        browser.post(&server, "/v1/account/login", &body).await
    };
    let wrong = "the code is wrong, or was used before: wait for the next one, or use a recovery code";
    assert_eq!(log_in(&codes[0]).await.error(), wrong);
    let answer = log_in(&code(&seed, &server)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["recoveryCodesLeft"]), (200, &serde_json::json!(0)));
}

async fn approve(server: &Server, machine: &Machine) {
    let machine = Machine { approval: Approval::Approved, ..machine.clone() };
    server.put(Entity::Machine(machine)).await;
}

async fn denied(server: &Server, client: &Client, target: &str) -> (u16, Option<DenialReason>) {
    let status = server.get(client, target).await.status.as_u16();
    (status, server.last_audit().await.denial)
}

fn second_host() -> Machine {
    Machine { id: uuid(0x13).parse().unwrap(), name: "second-host".into(), public_key: key(4).public_key(), ..host() }
}

fn ephemeral() -> Machine {
    Machine {
        id: uuid(0x14).parse().unwrap(),
        name: "job".into(),
        public_key: key(5).public_key(),
        enrolled_by: Some(uuid(0xe1)),
        ..host()
    }
}

fn limited(name: &str) -> Policy {
    let ttl = Ttl { expires_at: None, max_reads: Some(1) };
    Policy { name: name.into(), ..policy(PolicyDocument { ttl: Some(ttl), ..PolicyDocument::default() }) }
}

fn one_time_token() -> Token {
    Token {
        hash: "ab".repeat(32).parse().unwrap(),
        vault: "vault_v".parse().unwrap(),
        expires_at: Millis(START).plus_seconds(600),
        purpose: TokenPurpose::Host(Box::default()),
        used: None,
        in_order: true,
    }
}

fn enrolment_token() -> EnrolmentToken {
    EnrolmentToken {
        id: uuid(0xe1),
        hash: "cd".repeat(32),
        vault: "vault_v".parse().unwrap(),
        name: "jobs".into(),
        description: String::new(),
        projects: vec!["proj_shop".parse().unwrap()],
        secrets: vec!["sk_db".parse().unwrap()],
        created_at: Millis(START),
        expires_at: Millis(START).plus_seconds(86_400),
        machine_lifetime_seconds: 600,
        max_uses: 5,
        uses: 0,
        source_cidr: None,
        hostname_pattern: None,
        name_pattern: None,
        revoked_at: None,
        revoked_because: None,
    }
}

/// A server with one of everything that a restore looks at.
async fn full() -> Server {
    let server = Server::new().await;
    server.put(Entity::Machine(second_host())).await;
    server.put(Entity::Machine(ephemeral())).await;
    server.put(Entity::Agent(Agent { pod: Some("sikkerkey/operator-1".into()), ..agent() })).await;
    server
        .put(Entity::Agent(Agent {
            id: uuid(0xa2).parse().unwrap(),
            name: "outside".into(),
            public_key: key(6).public_key(),
            ..agent()
        }))
        .await;
    server.put(Entity::Token(one_time_token())).await;
    server.put(Entity::EnrolmentToken(enrolment_token())).await;
    server.put(Entity::Policy(limited("guard"))).await;
    let once = Secret { policy: Some("guard".into()), managed: None, ..secret("once", "shop") };
    server.put_secret(once, "only once").await;
    server.put(Entity::Grant(grant(3, Grantee::Machine(host().id), &["sk_once"]))).await;
    server.put_secret(secret("other", "shop"), "theirs").await;
    let of_object = grant(4, Grantee::Machine(host().id), &["sk_other"]);
    server
        .put(Entity::Grant(sikkerkey_server::model::grant::Grant {
            managed: Some(managed("shop", "web")),
            ..of_object
        }))
        .await;
    server
        .put(Entity::Policy(Policy { id: uuid(0x52), managed: Some(managed("shop", "hours")), ..limited("hours") }))
        .await;
    server
}

#[tokio::test]
async fn what_was_revoked_removed_spent_or_used_since_the_backup_does_not_come_back() {
    let (server, (_kept, path)) = (full().await, file());
    back_up(&server, &path).await;

    let spent = Client::host().request(&*server.clock, "GET", "/v1/secret/sk_once", b"");
    assert_eq!(server.send(spent.clone()).await.status, 200);
    assert_eq!(denied(&server, &Client::host(), "/v1/secret/sk_once").await, (403, Some(DenialReason::PolicyEnded)));
    let ahead = server.clock.now().seconds() + 60;
    let early = Client::host().request_with(ahead, "early", "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(early.clone()).await.status, 200);
    server.remove(EntityKind::Machine, &uuid(0x13)).await;
    server.remove(EntityKind::Grant, &uuid(2)).await;
    server.remove(EntityKind::Grant, &uuid(4)).await;
    let clock = server.clock.clone();
    let old = server.stop().await;

    let place = Place::new(old.path()).await;
    let restored = place.restore(&path, &*clock).await.unwrap();
    assert_eq!(restored.epoch, 2);
    assert_eq!(
        restored.answer,
        Outcome {
            machines_removed: 2,
            machines_pending: 2,
            agents_removed: 1,
            agents_pending: 1,
            tokens_removed: 2,
            grants_removed: 2,
            policies_removed: 1,
            secrets_held: 1,
        }
    );
    // No head has the number of one that was lost: their digests are masked by it.
    let heads = TestDatabase::of(place.directory.path()).query("select value from meta where name = 'head'").await;
    let head: Value = serde_json::from_str(&heads[0]).unwrap();
    assert!(head["seq"].as_u64().unwrap() > restored.backup.header.group + (1 << 40), "{head}");
    let server = place.open(&clock).await;
    for replayed in [spent.clone(), early.clone()] {
        assert_eq!(server.send(replayed).await.status, 401);
        assert!(server.last_audit().await.detail.contains("too old"));
    }
    // Nobody can tell what is new from what was seen: for a minute all of it is refused.
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 401);
    clock.advance_seconds(61);
    for replayed in [spent, early] {
        assert_eq!(server.send(replayed).await.status, 401);
    }

    // The pod and the job enrol anew.
    for (id, seed) in [(0x11, 1), (0x14, 5)] {
        assert_eq!(server.get(&Client::new(uuid(id), seed), "/v1/secret/sk_db").await.status, 401);
    }
    // The host's grant was removed and the second host revoked: nothing leaves before a person has looked.
    for (id, seed) in [(0x12, 2), (0x13, 4)] {
        let found = denied(&server, &Client::new(uuid(id), seed), "/v1/secret/sk_db").await;
        assert_eq!(found, (403, Some(DenialReason::MachineNotApproved)));
    }
    {
        let world = server.engine.app.live.read();
        let agents: Vec<_> = world.state.agents.values().map(|it| (it.name.as_str(), it.approved)).collect();
        assert_eq!(agents, [("outside", false)]);
        assert!(world.state.tokens.is_empty() && world.state.enrolment_tokens.is_empty());
    }
    approve(&server, &host()).await;
    assert!(server.get(&Client::host(), "/v1/secret/sk_db").await.text().contains("hunter2"));
    // The object's grant comes when its operator applies it.
    assert_eq!(denied(&server, &Client::host(), "/v1/secret/sk_other").await, (403, Some(DenialReason::NotGranted)));
    // The one read was used up: a person decides.
    assert_eq!(denied(&server, &Client::host(), "/v1/secret/sk_once").await, (403, Some(DenialReason::ReleaseMissing)));
    let detail = server.get(&Client::host(), "/v1/secret/sk_once").await.error();
    assert!(detail.contains("admin secret release sk_once"), "{detail}");

    let rows = server.audit().await;
    let row = rows.iter().find(|it| it.action == Action::ServerRestore).unwrap();
    assert_eq!(row.action.severity(), Severity::Critical);
    assert!(
        row.detail.starts_with("restored from backup.jsonl made at 2026-03-04T12:00:00Z, epoch 2"),
        "{}",
        row.detail
    );
    server.stop().await;
}

#[tokio::test]
async fn a_restore_withdraws_a_protected_policy_of_an_object_and_asks_about_each_host_anew() {
    let (server, (_kept, path)) = (Server::new().await, file());
    server.put(Entity::Machine(Machine { approved_by_person: true, ..host() })).await;
    let held = Policy { managed: Some(managed("shop", "hours")), protected: true, ..limited("hours") };
    server.put(Entity::Policy(held.clone())).await;
    back_up(&server, &path).await;
    let (clock, old) = (server.clock.clone(), server.stop().await);
    let place = Place::new(old.path()).await;
    let restored = place.restore(&path, &*clock).await.unwrap();
    assert_eq!(restored.answer.policies_removed, 1);
    let server = place.open(&clock).await;
    {
        let world = server.engine.app.live.read();
        // What its cluster applies is measured by it; until then it denies.
        assert_eq!(world.state.policies.values().collect::<Vec<_>>(), [&Policy { withdrawn: true, ..held.clone() }]);
        assert!(world.state.policy_in_force(&held.project, "hours").is_none());
        // The person is asked again, as for every host.
        let host = &world.state.machines[&host().id];
        assert_eq!((host.approval, host.approved_by_person), (Approval::Pending, false));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_backup_is_of_one_moment_while_reads_go_on_and_every_value_in_it_opens() {
    let (server, (_kept, path)) = (Server::new().await, file());
    let names: Vec<String> = (0..450).map(|n| format!("s{n}")).collect();
    for chunk in names.chunks(50) {
        let changes = chunk.iter().flat_map(|name| server.version(&secret(name, "shop"), &format!("value of {name}")));
        server.apply(changes.collect()).await.unwrap();
    }
    let ids: Vec<String> = names.iter().map(|it| format!("sk_{it}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    server.put(Entity::Grant(grant(5, Grantee::Machine(host().id), &ids))).await;
    for _ in 0..300 {
        assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 200);
    }

    let before = server.audit().await.len();
    // Reads go on before it begins and until it has ended.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn({
        let (router, clock) = (server.router.clone(), server.clock.clone());
        async move {
            let (mut reads, mut begun) = (0, Some(begun));
            while !*stopped.borrow() {
                let request = Client::pod().request(&*clock, "GET", "/v1/secret/sk_db", b"");
                assert_eq!(send_to(&router, request).await.status, 200);
                reads += 1;
                begun.take().map(|it| it.send(()));
            }
            reads
        }
    });
    beginning.await.unwrap();
    let written = back_up(&server, &path).await;
    stop.send_replace(true);
    let reads = reading.await.unwrap();
    let (clock, keyring) = (server.clock.clone(), server.engine.app.keyring.clone());
    assert_eq!(backup::check(keyring, BufReader::new(File::open(&path).unwrap())).unwrap(), written);
    let old = server.stop().await;

    let place = Place::new(old.path()).await;
    let restored = place.restore(&path, &*clock).await.unwrap();
    assert_eq!(restored.backup, written);
    let server = place.open(&clock).await;
    clock.advance_seconds(61);
    approve(&server, &host()).await;
    for name in &names {
        let answer = server.get(&Client::host(), &format!("/v1/secret/sk_{name}")).await;
        assert!(answer.text().contains(&format!("value of {name}")), "{name}: {}", answer.text());
    }
    let rows = server.engine.app.records.after(0, 100_000).await.unwrap();
    let mut verifier = Verifier::new(server.engine.app.keyring.audit());
    for row in &rows {
        verifier.next(row).unwrap();
    }
    let end = usize::try_from(restored.continues.seq).unwrap();
    assert!((before..=before + reads).contains(&end), "{before} {end} {reads}");
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_was_edited_cut_or_mixed_is_refused_with_its_line_and_leaves_nothing() {
    let (server, (_kept, path)) = (full().await, file());
    back_up(&server, &path).await;
    let original = std::fs::read_to_string(&path).unwrap();
    server.put(Entity::Grant(grant(9, Grantee::Machine(host().id), &["sk_db"]))).await;
    let (_later, later) = file();
    back_up(&server, &later).await;
    let later = std::fs::read_to_string(&later).unwrap();
    let clock = server.clock.clone();
    let old = server.stop().await;
    let place = Place::new(old.path()).await;

    let lines: Vec<&str> = original.lines().collect();
    let last = lines.len();
    let joined = |lines: &[&str]| lines.iter().flat_map(|it| [it, "\n"]).collect::<String>();
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        joined(&lines)
    };
    let grant_line = lines.iter().position(|it| it.contains("\"Grant\"")).unwrap();
    let host_edited = lines[grant_line].replace("sk_", "sk_x");
    let changed = |line: usize| format!("line {line} of the backup was changed, moved or put in");
    let swapped = {
        let mut lines = lines.clone();
        lines.swap(5, 6);
        joined(&lines)
    };
    let cut = |to: usize| joined(&lines[..to]);
    let other = later.lines().nth(grant_line).unwrap();
    let cases = [
        (with(grant_line, &host_edited), changed(grant_line + 1)),
        (with(0, &lines[0].replacen("\"time\":1", "\"time\":2", 1)), changed(1)),
        (swapped, changed(6)),
        (joined(&[&lines[..4], &lines[5..]].concat()), changed(5)),
        (joined(&[&lines[..5], &lines[4..]].concat()), changed(6)),
        (with(grant_line, other), changed(grant_line + 1)),
        (original.clone() + lines[last - 1] + "\n", changed(last + 1)),
        (cut(last - 1), format!("ends after line {} and is not whole", last - 1)),
        (cut(1), "ends after line 1 and is not whole".to_owned()),
        (
            original[..original.len() / 2].to_owned(),
            format!("ends after line {}", original[..original.len() / 2].matches('\n').count()),
        ),
        (String::new(), "ends after line 0 and is not whole".to_owned()),
        ("hello\n".to_owned(), "line 1 is not of a backup".to_owned()),
        (lines[1].to_owned() + "\n", "line 1 is not of a backup".to_owned()),
        (original.replacen("\"format\":1", "\"format\":2", 1), "written by a newer release".to_owned()),
    ];
    for (text, expected) in cases {
        assert_ne!(text, original, "{expected}");
        std::fs::write(&path, &text).unwrap();
        let error = place.restore(&path, &*clock).await.unwrap_err().to_string();
        assert!(error.contains(&expected), "{expected}: {error}");
    }
    std::fs::write(&path, &original).unwrap();
    let wrong = RootKey::from_bytes(Zeroizing::new([9; 32]));
    let error = restore_into(place.data(), &path, &wrong, &*clock, None).await.unwrap_err().to_string();
    assert!(error.contains("this root key is not the one"), "{error}");

    // None of it left anything: the place is empty still.
    place.restore(&path, &*clock).await.unwrap();
    let error = place.restore(&path, &*clock).await.unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty), "{error}");
    let error = restore_into(TestDatabase::of(old.path()).place(old.path()).0, &path, &place.root, &*clock, None).await;
    assert!(matches!(error, Err(RestoreError::NotEmpty)), "the old one is there still");
    Server::open(old, clock.clone()).await.unwrap().stop().await;
}

async fn documents(directory: &Path) -> Vec<String> {
    TestDatabase::of(directory).query("select kind || ' ' || id || ' ' || doc from entity order by kind, id").await
}

#[tokio::test]
async fn from_one_kind_of_database_to_the_other_and_back_nothing_is_lost_and_the_audit_holds_over_both_restores() {
    let ((_one, first), (_two, second), (_three, third)) = (file(), file(), file());
    let server = full().await;
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
    back_up(&server, &first).await;
    let rows = server.engine.app.records.after(0, 100_000).await.unwrap();
    let clock = server.clock.clone();
    let old = server.stop().await;

    let embedded = Place::sqlite(old.path());
    assert_eq!(embedded.restore(&first, &*clock).await.unwrap().epoch, 2);
    let server = embedded.open(&clock).await;
    back_up(&server, &second).await;
    server.stop().await;
    let shared = Place::postgres(old.path()).await;
    // A key of its own was made there, and is not the one.
    std::fs::copy(old.path().join("root.key"), shared.directory.path().join("root.key")).unwrap();
    assert_eq!(shared.restore(&second, &*clock).await.unwrap().epoch, 3);
    let server = shared.open(&clock).await;
    back_up(&server, &third).await;
    server.stop().await;
    let back = Place::sqlite(old.path());
    let restored = restore_into(back.data(), &third, &back.root, &*clock, Some(9)).await.unwrap();
    assert_eq!(restored.epoch, 9);

    // The first restore changed what it had to; the others found nothing more.
    let expected = documents(embedded.directory.path()).await;
    assert_eq!(documents(shared.directory.path()).await, expected);
    assert_eq!(documents(back.directory.path()).await, expected);
    let server = back.open(&clock).await;
    let after = server.engine.app.records.after(0, 100_000).await.unwrap();
    assert_eq!(after[..rows.len()], rows[..]);
    let count = server.audit().await.iter().filter(|it| it.action == Action::ServerRestore).count();
    assert_eq!(count, 3);
    clock.advance_seconds(61);
    approve(&server, &host()).await;
    assert!(server.get(&Client::host(), "/v1/secret/sk_db").await.text().contains("hunter2"));
    server.stop().await;

    let (ok, report, error) = admin(back.directory.path(), &["verify-audit"]).await;
    assert!(ok, "{error}");
    assert_eq!(report["holds"], true);
    assert!(report["cannotProve"].to_string().contains("epoch 9 begins: the database was restored"), "{report}");
    // And they go on from there.
    Server::open(back.directory.clone(), clock).await.unwrap().stop().await;
}

/// A command of the real binary: whether it succeeded, its answer, and what it complained of.
async fn admin(data: &Path, arguments: &[&str]) -> (bool, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command.args(["admin", "--output", "json"]).args(TestDatabase::of(data).arguments(data));
    let output = command.args(arguments).output().await.unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.success(), json, String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_running_server_is_backed_up_and_restored_by_the_command_line() {
    let (server, (_kept, path)) = (full().await, file());
    let old = server.stop().await;
    let mut process = Process::start(old.path(), "info").await;
    let out = path.to_str().unwrap();
    let (ok, answer, error) = admin(old.path(), &["backup", "--out", out]).await;
    assert!(ok, "{error}");
    assert!(answer["rows"].as_u64().unwrap() > 20, "{answer}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("only once"));
    let (ok, _, error) = admin(old.path(), &["backup", "--out", out]).await;
    assert!(!ok && error.contains("is there already: give a new file"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    // Into the place of the running server, and into an empty one.
    let (ok, _, error) = admin(old.path(), &["restore", "--from", out]).await;
    assert!(
        !ok && (error.contains("another sikkerkey-server is using") || error.contains("there is data already")),
        "{error}"
    );
    process.child.kill().await.unwrap();
    let place = Place::new(old.path()).await;
    let (ok, answer, error) = admin(place.directory.path(), &["restore", "--from", out]).await;
    assert!(ok, "{error}");
    assert_eq!(
        (&answer["epoch"], &answer["secretsHeld"], &answer["machinesPending"]),
        (&2.into(), &1.into(), &2.into())
    );
    let (ok, answer, error) = admin(place.directory.path(), &["secret", "list"]).await;
    assert!(ok, "{error}");
    let phase = |answer: &Value| {
        let secrets = answer["secrets"].as_array().unwrap();
        secrets.iter().find(|it| it["secretId"] == "sk_once").unwrap()["phase"].as_str().unwrap().to_owned()
    };
    assert_eq!(phase(&answer), "Held since a restore");
    let (ok, _, error) = admin(place.directory.path(), &["secret", "release", "sk_once"]).await;
    assert!(ok, "{error}");
    let (_, answer, _) = admin(place.directory.path(), &["secret", "list"]).await;
    assert_eq!(phase(&answer), "Active");
    let (ok, _, error) = admin(place.directory.path(), &["secret", "release", "sk_once"]).await;
    assert!(!ok && error.contains("is not held"), "{error}");
    let (ok, answer, error) = admin(place.directory.path(), &["audit", "--limit", "2"]).await;
    assert!(ok, "{error}");
    assert_eq!(answer["rows"][0]["action"], "management_denied");
    assert_eq!(answer["rows"][1]["action"], "secret_release");
}

#[tokio::test]
async fn a_restored_database_is_served_beside_its_anchor_when_a_person_accepts_it_once() {
    let ((kept, path), server) = (file(), Server::new().await);
    let old = server.stop().await;
    let anchor = format!("file:{}", kept.path().join("anchor").display());
    let mut process = Process::start_with(old.path(), "info", &["--audit-anchor", &anchor]).await;
    let (ok, _, error) = admin(old.path(), &["backup", "--out", path.to_str().unwrap()]).await;
    assert!(ok, "{error}");
    // A row that the backup does not have.
    let token = ["machine", "bootstrap", "--vault", "vault_v"];
    for arguments in [&token[..], &["audit", "checkpoint"]] {
        let (ok, _, error) = admin(old.path(), arguments).await;
        assert!(ok, "{error}");
    }
    process.child.kill().await.unwrap();

    let place = Place::new(old.path()).await;
    let (ok, _, error) = admin(place.directory.path(), &["restore", "--from", path.to_str().unwrap()]).await;
    assert!(ok, "{error}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--public-url", "http://localhost:1", "--audit-anchor", &anchor])
        .args(TestDatabase::of(place.directory.path()).arguments(place.directory.path()));
    let refused = tokio::time::timeout(Duration::from_secs(30), command.output()).await.unwrap().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && error.contains("start once with --accept-restored"), "{error}");

    let accepted = ["--audit-anchor", &*anchor, "--accept-restored"];
    let mut process = Process::start_with(place.directory.path(), "info", &accepted).await;
    let (ok, answer, error) = admin(place.directory.path(), &["audit", "checkpoint"]).await;
    assert!(ok, "{error}");
    assert_eq!(answer["epoch"]["number"], 2);
    process.child.kill().await.unwrap();
    let mut process = Process::start_with(place.directory.path(), "info", &accepted[..2]).await;
    process.child.kill().await.unwrap();
}

#[tokio::test]
async fn a_backup_that_does_not_fit_on_the_disk_leaves_no_file() {
    let disk = Disk::new();
    let (server, (kept, path)) = (Server::new().await, file());
    let old = server.stop().await;
    let process = disk.start(old.path()).await;
    disk.fail("full");
    let (ok, _, error) = admin(old.path(), &["backup", "--out", path.to_str().unwrap()]).await;
    assert!(!ok && error.contains("cannot write the backup") && error.contains("No space left"), "{error}");
    assert_eq!(std::fs::read_dir(kept.path()).unwrap().count(), 0);
    disk.mend();
    let (ok, _, error) = admin(old.path(), &["backup", "--out", path.to_str().unwrap()]).await;
    assert!(ok, "{error}");
    drop(process);
}
