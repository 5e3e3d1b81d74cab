//! Changing the root key and projects' keys, under load and through crashes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_server::audit::entry::{Action, Actor, Severity};
use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::crypto::keyring::Keyring;
use sikkerkey_server::crypto::master::Master;
use sikkerkey_server::crypto::root_key::{RootKey, Source};
use sikkerkey_server::decision::Context;
use sikkerkey_server::engine::{DataPlace, Engine, Options};
use sikkerkey_server::entropy::{Entropy as _, SystemEntropy};
use sikkerkey_server::http::{self, sealed::Door};
use sikkerkey_server::model::Change;
use sikkerkey_server::store::StoreError;
use sikkerkey_server::usecase::admin::secret as secrets;
use sikkerkey_server::writer::ChangeRequest;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::database::{execute, query};
use crate::fixture::*;
use crate::process::Process;

const WRONG: &str = "not the one the data was sealed with";

/// Keys away from the data.
pub struct Keys(TempDir);

impl Keys {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with a fresh key.
    pub fn make(&self, name: &str) -> String {
        let path = self.path(name);
        RootKey::read_or_make(&path, &SystemEntropy).unwrap();
        path.display().to_string()
    }

    /// The key that a server made beside its data, moved away from it.
    pub fn take(&self, data: &Path, name: &str) -> String {
        let path = self.path(name);
        std::fs::copy(data.join("root.key"), &path).unwrap();
        std::fs::remove_file(data.join("root.key")).unwrap();
        path.display().to_string()
    }
}

/// What `sikkerkey-server admin …` answers.
pub async fn admin(data: &Path, arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"))
        .args(["admin", "--output", "json", "--data-dir"])
        .arg(data)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8(output.stderr).unwrap())
}

/// What a server says that ends by itself.
pub async fn refusal(data: &Path, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"))
        .args(["serve", "--listen", "127.0.0.1:0", "--public-url", "http://localhost:1", "--data-dir"])
        .arg(data)
        .args(arguments)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(30), run).await.expect("it ends by itself").unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

async fn open(data: &Path, root_key: Source) -> anyhow::Result<Engine> {
    let place = DataPlace::Directory(data.to_owned());
    Engine::open(Options { public_url: URL.into(), ..Options::new(place, root_key) }).await
}

async fn opens(data: &Path, key: &str) -> bool {
    match open(data, Source::File(key.into())).await {
        Ok(engine) => {
            engine.close().await.unwrap();
            true
        }
        Err(error) => {
            assert!(matches!(error.downcast_ref(), Some(StoreError::WrongRootKey)), "{error:?}");
            false
        }
    }
}

/// Some who read all the time, and to whom nothing may be refused.
struct Readers {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Readers {
    async fn start(process: &Process) -> Self {
        let mut readers = Self { stop: Arc::default(), count: Arc::default(), tasks: JoinSet::new() };
        for _ in 0..6 {
            let mut connection = process.connect().await;
            let (stop, count) = (Arc::clone(&readers.stop), Arc::clone(&readers.count));
            readers.tasks.spawn(async move {
                let host = Client::host();
                while !stop.load(Ordering::Relaxed) {
                    let request = host.request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
                    let (status, body) = connection.send(request).await.unwrap();
                    assert_eq!((status, &body[..]), (200, &br#"{"value":"hunter2"}"#[..]));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        readers
    }

    /// Waits until they have read so many more.
    async fn more(&self, reads: usize) {
        let until = self.count.load(Ordering::Relaxed) + reads;
        let wait = async {
            while self.count.load(Ordering::Relaxed) < until {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(30), wait).await.expect("they go on reading");
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(reader) = self.tasks.join_next().await {
            reader.unwrap();
        }
    }
}

async fn read(process: &Process, secret: &str) -> (u16, String) {
    let request = Client::host().request(&SystemClock, "GET", &format!("/v1/secret/{secret}"), b"");
    let (status, body) = process.connect().await.send(request).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_key_is_rotated_under_load_and_the_old_one_opens_nothing_afterwards() {
    let directory = Server::new().await.stop().await;
    let (data, keys) = (directory.path(), Keys::new());
    let (old, new) = (keys.take(data, "old"), keys.make("new"));
    let mut process = Process::start_with(data, "info", &["--root-key-file", &old]).await;
    let was = admin(data, &["seal", "status"]).await.unwrap();
    assert_eq!(was["sealed"], false);

    let readers = Readers::start(&process).await;
    readers.more(20).await;
    let answer = admin(data, &["rotate-root-key", "--new-root-key-file", &new]).await.unwrap();
    readers.more(20).await;
    readers.end().await;
    assert_eq!(answer["argument"], format!("--root-key-file {new}"));
    assert_eq!(answer["was"], was["wrappedBy"]);
    let is = admin(data, &["seal", "status"]).await.unwrap();
    assert_eq!((&is["wrappedBy"], &is["installation"]), (&answer["by"], &was["installation"]));
    assert_ne!(answer["by"], answer["was"]);
    let again = admin(data, &["rotate-root-key", "--new-root-key-file", &new]).await.unwrap_err();
    assert!(again.contains("wraps the master key already"), "{again}");
    process.child.kill().await.unwrap();

    let refused = refusal(data, &["--root-key-file", &old]).await;
    assert!(refused.contains(WRONG), "{refused}");
    let alone = admin(data, &["--root-key-file", &old, "vault", "list"]).await.unwrap_err();
    assert!(alone.contains(WRONG), "{alone}");
    let process = Process::start_with(data, "info", &["--root-key-file", &new]).await;
    assert_eq!(read(&process, "sk_db").await, (200, r#"{"value":"hunter2"}"#.into()));
    let rows = admin(data, &["audit", "--limit", "1000"]).await.unwrap();
    let rotated = rows["rows"].as_array().unwrap().iter().find(|it| it["action"] == "root_key_rotate").unwrap();
    assert_eq!((&rotated["severity"], &rotated["actorKind"]), (&"high".into(), &"administrator".into()));
    assert_eq!(Action::RootKeyRotate.severity(), Severity::High);
    assert_eq!(admin(data, &["verify-audit"]).await.unwrap()["holds"], true);
}

/// Each step of writing the new root key, made to fail.
const STEPS: [&str; 3] = [
    "create trigger full before update on meta when new.name = 'master key' begin select raise(abort, 'disk full'); end",
    "create trigger full before insert on audit begin select raise(abort, 'disk full'); end",
    "create trigger full before update on meta when new.name = 'head' begin select raise(abort, 'disk full'); end",
];

#[tokio::test]
async fn a_step_that_fails_leaves_the_old_root_key() {
    let directory = Server::new().await.stop().await;
    let (data, keys) = (directory.path(), Keys::new());
    let (old, new) = (keys.take(data, "old"), keys.make("new"));
    let database = data.join("sikkerkey.db");
    for step in STEPS {
        let mut process = Process::start_with(data, "info", &["--root-key-file", &old]).await;
        let was = query(&database, "select value from meta where name = 'master key'").await;
        execute(&database, step).await;
        let failed = admin(data, &["rotate-root-key", "--new-root-key-file", &new]).await.unwrap_err();
        assert!(failed.contains("nothing was done"), "{step}: {failed}");
        execute(&database, "drop trigger full").await;
        assert_eq!(query(&database, "select value from meta where name = 'master key'").await, was, "{step}");
        assert_eq!(read(&process, "sk_db").await.0, 200, "{step}");
        process.child.kill().await.unwrap();
        assert!(!opens(data, &new).await && opens(data, &old).await, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_while_the_root_key_is_rotated_leaves_the_old_one_or_the_new() {
    let directory = Server::new().await.stop().await;
    let (data, keys) = (directory.path(), Keys::new());
    let mut current = keys.take(data, "0");
    let (mut kept, mut changed) = (0, 0);
    for round in 1..=8_u32 {
        let mut process = Process::start_with(data, "info", &["--root-key-file", &current]).await;
        let next = keys.make(&round.to_string());
        let rotate = {
            let (data, next) = (data.to_owned(), next.clone());
            tokio::spawn(async move { admin(&data, &["rotate-root-key", "--new-root-key-file", &next]).await })
        };
        // Half of them at once, the others as soon as something was written; the last when it was answered.
        if round == 8 {
            let answered = async {
                while !rotate.is_finished() {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(30), answered).await.expect("it is answered");
        } else if round % 2 == 0 {
            let wal = data.join("sikkerkey.db-wal");
            let size = || std::fs::metadata(&wal).map_or(0, |it| it.len());
            let before = size();
            let wait = async {
                while size() == before && !rotate.is_finished() {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(30), wait).await.expect("it writes");
        }
        process.child.kill().await.unwrap();
        let answered = rotate.await.unwrap();
        let (old, new) = (opens(data, &current).await, opens(data, &next).await);
        assert!(old != new, "round {round}: the old one opens: {old}, the new one: {new}");
        // What was acknowledged stays.
        assert!(answered.is_err() || new, "round {round}: {answered:?}");
        if new {
            current = next;
            changed += 1;
        } else {
            kept += 1;
        }
    }
    assert!(kept > 0 && changed > 0, "kept {kept}, changed {changed}");
    let process = Process::start_with(data, "info", &["--root-key-file", &current]).await;
    assert_eq!(read(&process, "sk_db").await, (200, r#"{"value":"hunter2"}"#.into()));
}

/// `sk_db` with three versions, and some more secrets of the project `shop`.
async fn with_many_versions() -> Arc<TempDir> {
    let server = Server::new().await;
    for _ in 0..2 {
        let secret = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
        server.apply(server.version(&secret, "hunter2")).await.unwrap();
    }
    let more: Vec<Change> =
        (0..40).flat_map(|n| server.version(&secret(&format!("n{n:02}"), "shop"), "value")).collect();
    server.apply(more).await.unwrap();
    server.put_secret(secret("pay", "payments"), "theirs").await;
    server.stop().await
}

/// Everything that a new project key changes.
const KEYS: &str = "select hex(wrapped_key) from version order by secret, version";
const PROJECTS: &str = "select doc from entity where kind = 'Project' order by id";
const VALUES: &str = "select hex(ciphertext) from version order by secret, version";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_gets_a_new_key_while_its_values_are_read() {
    let directory = with_many_versions().await;
    let data = directory.path();
    let database = data.join("sikkerkey.db");
    let (keys, projects, values) =
        (query(&database, KEYS).await, query(&database, PROJECTS).await, query(&database, VALUES).await);
    assert_eq!(keys.len(), 44);
    let mut process = Process::start(data, "info").await;
    let readers = Readers::start(&process).await;
    readers.more(20).await;
    let answer = admin(data, &["rotate-project-key", "--project", "proj_shop"]).await.unwrap();
    assert_eq!(answer["projects"][0]["versions"], 43);
    readers.more(20).await;
    let answer = admin(data, &["rotate-project-key", "--all"]).await.unwrap();
    let count = |n: usize| answer["projects"][n]["versions"].as_u64().unwrap();
    assert_eq!((count(0), count(1)), (1, 43));
    readers.more(20).await;
    readers.end().await;
    assert!(query(&database, KEYS).await.iter().zip(&keys).all(|(is, was)| is != was));
    assert!(query(&database, PROJECTS).await.iter().zip(&projects).all(|(is, was)| is != was));
    assert_eq!(query(&database, VALUES).await, values);
    let gone = admin(data, &["rotate-project-key", "--project", "proj_none"]).await.unwrap_err();
    let text = "there is no project proj_none: there are proj_payments (payments), proj_shop (shop)";
    assert!(gone.contains(text), "{gone}");
    process.child.kill().await.unwrap();

    let process = Process::start(data, "info").await;
    assert_eq!(read(&process, "sk_db").await, (200, r#"{"value":"hunter2"}"#.into()));
    let rows = admin(data, &["audit", "--limit", "1000"]).await.unwrap();
    let rotated = rows["rows"].as_array().unwrap().iter().filter(|it| it["action"] == "project_key_rotate");
    assert_eq!(rotated.filter(|it| it["severity"] == "high").count(), 3);
    // Once more, from what is on the disk: every old version opens there as well.
    assert_eq!(admin(data, &["rotate-project-key", "--all"]).await.unwrap()["projects"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_are_set_while_a_project_gets_new_keys_are_all_readable() {
    let server = Server::new().await;
    let app = server.engine.app.clone();
    let (ended, told) = tokio::sync::oneshot::channel::<()>();
    let data = server.directory.path().to_owned();
    let socket = tokio::spawn({
        let (socket, door) = (http::admin::listen(&data).unwrap(), Door::open(app.clone()));
        async move { http::admin::serve(socket, door, async move { drop(told.await) }).await }
    });
    let setter = tokio::spawn(async move {
        let mut set = 1;
        while set < 300 {
            let id: SecretId = "sk_db".parse().unwrap();
            let decide =
                Box::new(move |it: &Context<'_>| secrets::set(it, &id, SecretText::new(set.to_string()), None));
            let request =
                ChangeRequest { spend: None, actor: Actor::Administrator, source_ip: None, what: "set", decide };
            set = app.writer.change(request).await.unwrap();
        }
        set
    });
    while !setter.is_finished() {
        match admin(&data, &["rotate-project-key", "--project", "proj_shop"]).await {
            Ok(_) => {}
            // Where versions change faster than their keys are wrapped, the command says so and changes nothing.
            Err(text) => assert!(text.contains("was another each time"), "{text}"),
        }
    }
    let set = setter.await.unwrap();
    // Each version that is kept is read from the disk and opened for this.
    let last = admin(&data, &["rotate-project-key", "--project", "proj_shop"]).await.unwrap();
    assert!(set > 100 && last["projects"][0]["versions"] == 100, "{set} {last}");
    drop(ended);
    socket.await.unwrap().unwrap();
    let server = server.restart().await.unwrap();
    let answer = server.get(&Client::pod(), "/v1/secret/sk_db").await;
    assert_eq!(answer.text(), format!(r#"{{"value":"{}"}}"#, set - 1));
}

#[tokio::test]
async fn a_project_key_that_cannot_be_written_whole_is_not_written_at_all() {
    let directory = with_many_versions().await;
    let data = directory.path();
    let database = data.join("sikkerkey.db");
    let was = (query(&database, KEYS).await, query(&database, PROJECTS).await);
    for step in [
        "create trigger full before update on entity when new.kind = 'Project' begin select raise(abort, 'disk full'); end",
        "create trigger full before update on version when new.secret = 'sk_n20' begin select raise(abort, 'disk full'); end",
        "create trigger full before insert on audit begin select raise(abort, 'disk full'); end",
        "create trigger full before update on meta when new.name = 'head' begin select raise(abort, 'disk full'); end",
    ] {
        let mut process = Process::start(data, "info").await;
        execute(&database, step).await;
        let failed = admin(data, &["rotate-project-key", "--project", "proj_shop"]).await.unwrap_err();
        assert!(failed.contains("nothing was done"), "{step}: {failed}");
        execute(&database, "drop trigger full").await;
        assert!((query(&database, KEYS).await, query(&database, PROJECTS).await) == was, "{step}");
        // In memory as on the disk.
        assert_eq!(read(&process, "sk_db").await.0, 200, "{step}");
        process.child.kill().await.unwrap();
        let mut process = Process::start(data, "info").await;
        assert_eq!(read(&process, "sk_db").await.0, 200, "{step}");
        process.child.kill().await.unwrap();
    }
    assert_eq!(
        admin(data, &["rotate-project-key", "--project", "proj_shop"]).await.unwrap()["projects"][0]["versions"],
        43
    );
}

#[tokio::test]
async fn a_stored_version_that_was_replaced_stops_a_new_project_key_and_is_named() {
    let directory = with_many_versions().await;
    let data = directory.path();
    let swap = "update version set wrapped_key = (select wrapped_key from version where secret = 'sk_n01')
         where secret = 'sk_db' and version = 2";
    execute(&data.join("sikkerkey.db"), swap).await;
    let failed = admin(data, &["rotate-project-key", "--all"]).await.unwrap_err();
    assert!(failed.contains("version 2 of sk_db does not open"), "{failed}");
    assert!(failed.contains("1 projects before it have new keys"), "{failed}");
}

#[tokio::test]
async fn a_master_key_that_was_changed_by_hand_refuses_to_start() {
    let set = |field: &str, value: &str| {
        format!("update meta set value = json_set(value, '$.{field}', '{value}') where name = 'master key'")
    };
    let other = Server::new().await;
    let theirs =
        query(&other.directory.path().join("sikkerkey.db"), "select value from meta where name = 'master key'")
            .await
            .remove(0);
    for (sql, names) in [
        (set("wrapped", "AAAA"), "the master key in the database was not written by this server"),
        (set("installation", "00000000-0000-4000-8000-000000000000"), "the master key in the database"),
        (set("check", &"0".repeat(64)), "the master key in the database"),
        // Who wraps it is for people: it names the key, and opens nothing by itself.
        ("update meta set value = '{}' where name = 'master key'".to_owned(), "the master key in the database"),
        ("delete from meta where name = 'master key'".to_owned(), "the missing master key"),
        (
            "delete from meta; drop trigger audit_is_deleted_up_to_its_base_only; delete from audit".to_owned(),
            "the missing master key",
        ),
        // Of an installation with another root key.
        (format!("update meta set value = '{theirs}' where name = 'master key'"), WRONG),
    ] {
        let server = Server::new().await;
        let clock = server.clock.clone();
        let directory = server.stop().await;
        execute(&directory.path().join("sikkerkey.db"), &sql).await;
        let error = Server::open(directory, clock).await.err().unwrap().to_string();
        assert!(error.contains(names), "{sql}: {error}");
    }
}

#[tokio::test]
async fn the_master_key_of_another_installation_with_the_same_root_key_opens_nothing() {
    let (mine, theirs) = (Server::new().await.stop().await, tempfile::tempdir().unwrap());
    let key = mine.path().join("root.key");
    open(theirs.path(), Source::File(key.clone())).await.unwrap().close().await.unwrap();
    let row = query(&theirs.path().join("sikkerkey.db"), "select value from meta where name = 'master key'").await;
    let database = mine.path().join("sikkerkey.db");
    execute(&database, &format!("update meta set value = '{}' where name = 'master key'", row[0])).await;
    let error = open(mine.path(), Source::File(key.clone())).await.err().unwrap().to_string();
    assert!(error.contains("the head in the database was not written by this server"), "{error}");

    // A master key that somebody made up, with a head to it, would need the root key to be wrapped.
    let made_up = Keyring::new(Master::new("made up".into(), sikkerkey_server::entropy::bytes(&SystemEntropy)));
    let mut bytes = [0; 32];
    SystemEntropy.fill(&mut bytes);
    let wrapped = made_up.wrap_master(&RootKey::from_bytes(bytes.into()), &SystemEntropy).await.unwrap();
    let sql = format!("update meta set value = '{}' where name = 'master key'", wrapped.encode().unwrap());
    execute(&database, &sql).await;
    let error = open(mine.path(), Source::File(key)).await.err().unwrap().to_string();
    assert!(error.contains(WRONG), "{error}");
}
