//! Webhooks: a real receiver over TLS that takes events, fails, hangs, redirects and comes back; a server that is killed;
//! two servers on one database.

use std::collections::HashSet;
use std::future::Future;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sikkerkey_server::audit::entry::{Action, Actor, Entry};
use sikkerkey_server::clock::{Clock, SystemClock};
use sikkerkey_server::crypto::root_key::Source;
use sikkerkey_server::decision::{Context, Decision};
use sikkerkey_server::engine::{Engine, Options};
use sikkerkey_server::http::router;
use sikkerkey_server::metrics::{DeliveryLabel, DeliveryOutcome};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::machine::Machine;
use sikkerkey_server::rates::Rate;
use sikkerkey_server::store::ChainHead;
use sikkerkey_server::usecase::webhook::progress::Rules;
use sikkerkey_server::webhook::courier::Courier;
use sikkerkey_server::webhook::sender::Sender;
use sikkerkey_server::writer::ChangeRequest;
use tempfile::TempDir;
use tokio::process::Command as TokioCommand;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fixture::*;
use crate::process::Process;
use crate::receiver::{Behaviour, Received, Receiver};
use crate::replicas::{Replicas, read};

const WEBHOOKS: &str = "/v1/ai/webhooks";

/// Waits for something that is going to happen.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let waited = async {
        loop {
            if let Some(it) = look().await {
                return it;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_mins(1), waited).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

fn loopback() -> Vec<ipnet::IpNet> {
    vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]
}

/// A server that tells webhooks, and somebody who is told.
struct Told {
    server: Server,
    receiver: Receiver,
    stop: watch::Sender<bool>,
    courier: JoinHandle<anyhow::Result<()>>,
    rules: Rules,
}

async fn open(directory: Arc<TempDir>, clock: Arc<ManualClock>, sender: Sender) -> Server {
    let (place, root_key_file) = TestDatabase::of(directory.path()).place(directory.path());
    let root_key = root_key_file.map_or(Source::Beside, Source::File);
    let options = Options {
        public_url: URL.into(),
        clock: clock.clone(),
        webhooks: Arc::new(sender),
        ..Options::new(place, root_key)
    };
    let engine = Engine::open(options).await.unwrap();
    engine.app.rates.set(Rate { per_second: 0 });
    let router = router(engine.app.clone());
    Server { directory, clock, engine, router }
}

impl Told {
    async fn new() -> Self {
        let receiver = Receiver::start().await;
        let sender = Sender::new(loopback(), Some(&receiver.ca())).unwrap().with_patience(Duration::from_secs(2));
        Self::with(receiver, sender).await
    }

    async fn with(receiver: Receiver, sender: Sender) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        TestDatabase::make(directory.path()).await;
        let server = open(directory, Arc::new(ManualClock::at(START)), sender).await;
        server.seed().await;
        server.put(Entity::Agent(assistant())).await;
        server.clock.advance_seconds(1);
        let rules = Rules::default();
        let (stop, courier) = start(&server, rules).await;
        Self { server, receiver, stop, courier, rules }
    }

    /// Stops telling.
    async fn pause(&mut self) {
        self.stop.send_replace(true);
        (&mut self.courier).await.unwrap().unwrap();
    }

    async fn go_on(&mut self) {
        (self.stop, self.courier) = start(&self.server, self.rules).await;
    }

    async fn ask(&self, method: &'static str, target: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|it| it.to_string()).unwrap_or_default();
        let answer =
            self.server.send(Client::assistant().request(&*self.server.clock, method, target, body.as_bytes())).await;
        (answer.status.as_u16(), answer.json())
    }

    /// A webhook to the receiver. Its id and secret.
    async fn webhook(&self, actions: &[&str]) -> (String, String) {
        let asked = json!({ "url": self.receiver.url(), "actions": actions });
        let (status, made) = self.ask("POST", WEBHOOKS, Some(asked)).await;
        assert_eq!(status, 200, "{made}");
        let [id, secret] = ["id", "signingSecret"].map(|it| made[it].as_str().unwrap().to_owned());
        (id, secret)
    }

    async fn state(&self, id: &str) -> Value {
        self.ask("GET", &format!("{WEBHOOKS}/{id}"), None).await.1
    }

    async fn update(&self, id: &str, change: Value) -> Value {
        let (status, answer) = self.ask("POST", &format!("{WEBHOOKS}/{id}/update"), Some(change)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn read(&self) {
        assert_eq!(self.server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 200);
    }

    /// Rows that say what a test wants them to.
    async fn write(&self, entries: Vec<Entry>) {
        write(&self.server, entries).await;
    }

    async fn taken(&self, count: usize) -> Vec<Received> {
        let what = format!("{count} events are taken");
        until(&what, || async { Some(self.receiver.taken()).filter(|it| it.len() >= count) }).await
    }

    fn count(&self, outcome: DeliveryOutcome) -> u64 {
        self.server.engine.app.metrics.deliveries.get_or_create(&DeliveryLabel { outcome }).get()
    }

    /// Rows of one action, oldest first.
    async fn rows(&self, action: Action) -> Vec<Entry> {
        self.server.audit().await.into_iter().filter(|it| it.action == action).collect()
    }
}

async fn start(server: &Server, rules: Rules) -> (watch::Sender<bool>, JoinHandle<anyhow::Result<()>>) {
    let courier = Courier::new(server.engine.app.clone(), rules).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    (stop, tokio::spawn(async move { courier.run(stopped).await }))
}

async fn write(server: &Server, entries: Vec<Entry>) {
    let decide =
        Box::new(move |_: &Context<'_>| Ok(Decision { changes: vec![], audit: entries, answer: Box::new(|_| ()) }));
    let request = ChangeRequest { spend: None, actor: Actor::System, source_ip: None, what: "test", decide };
    server.engine.app.writer.change(request).await.unwrap();
}

fn deleted(n: usize) -> Entry {
    let vault = Some("vault_v".parse().unwrap());
    Entry { vault, detail: format!("n{n}"), ..Entry::new(Action::SecretDelete, Actor::System) }
}

/// As a receiver in another language checks it.
fn verifies(secret: &str, it: &Received) -> bool {
    let script = "import hmac, hashlib, sys
secret, signature = sys.argv[1:3]
expected = hmac.new(secret.encode(), sys.stdin.buffer.read(), hashlib.sha256).hexdigest()
print(hmac.compare_digest(expected, signature))";
    let mut child = Command::new("python3")
        .args(["-c", script, secret, &it.headers["x-sikkerkey-signature"]])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), it.body.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim() == "True"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_told_what_it_names_in_order_and_signed() {
    let told = Told::new().await;
    told.read().await;
    told.server.clock.advance_seconds(1);
    let (id, secret) = told.webhook(&["secret_read", "secret_read_denied"]).await;
    told.server.clock.advance_seconds(1);
    for _ in 0..3 {
        told.read().await;
    }
    assert_eq!(told.server.get(&Client::pod(), "/v1/secret/sk_none").await.status, 404);
    // Of another vault, and of an action that it does not name.
    let others = Entry { vault: Some("vault_w".parse().unwrap()), ..Entry::new(Action::SecretRead, Actor::System) };
    told.write(vec![others, deleted(0)]).await;
    told.read().await;

    let events = told.taken(5).await;
    let names: Vec<_> = events.iter().map(|it| it.json()["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["secret_read", "secret_read", "secret_read", "secret_read_denied", "secret_read"]);
    let first = &events[0];
    assert_eq!(first.path, "/hooks/token?a=b");
    let header = |name: &str| first.headers.get(name).cloned().unwrap_or_default();
    assert_eq!(
        [header("content-type"), header("user-agent"), header("x-sikkerkey-event"), header("x-sikkerkey-delivery-id")],
        ["application/json".to_owned(), "SikkerKey-Webhook/1.0".to_owned(), "secret_read".to_owned(), first.id()]
    );
    assert_eq!(
        first.json(),
        json!({
            "id": first.id(), "event": "secret_read", "severity": "info", "timestamp": START + 3000,
            "data": {
                "userId": null, "machineId": uuid(0x11), "secretId": "sk_db", "sourceIp": POD_ADDRESS,
                "detail": "v1 db; pod shop/web-1 on node node-7 as web-sa in cluster prod",
            },
        })
    );
    assert!(verifies(&secret, first) && !verifies("another", first));
    let ids: HashSet<_> = events.iter().map(Received::id).collect();
    assert_eq!(ids.len(), 5);
    assert_eq!(told.count(DeliveryOutcome::Delivered), 5);
    let noted =
        until("it is noted", || async { Some(told.state(&id).await).filter(|it| it["lastDeliveryAt"] != Value::Null) });
    assert_eq!(noted.await["consecutiveFailures"], 0);
    // Telling leaves no row that could be told.
    assert_eq!(told.rows(Action::SecretRead).await.len(), 6);
    assert!(told.server.audit().await.iter().all(|it| !it.detail.contains("token")), "a path may be a secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_hangs_and_redirects_gets_everything_when_it_comes_back() {
    let told = Told::new().await;
    let (id, _) = told.webhook(&["secret_delete"]).await;
    told.server.clock.advance_seconds(1);
    for (n, (behaviour, part, outcome)) in [
        (Behaviour::Answer(500), "answered 500", DeliveryOutcome::Refused),
        (
            Behaviour::Redirect,
            "answered 307: it has to answer 2xx when it has taken the event; redirects are not followed",
            DeliveryOutcome::Refused,
        ),
        (Behaviour::Hang, "did not answer within 2 seconds", DeliveryOutcome::Slow),
        (Behaviour::Close, "did not answer as HTTP does", DeliveryOutcome::Unreachable),
    ]
    .into_iter()
    .enumerate()
    {
        let before = (told.receiver.received().len(), told.count(outcome));
        told.receiver.behave(behaviour);
        told.write(vec![deleted(2 * n), deleted(2 * n + 1)]).await;
        let failed = until("it fails", || async {
            Some(told.state(&id).await).filter(|it| it["lastFailure"].as_str().is_some_and(|it| it.contains(part)))
        });
        let failed = failed.await;
        assert_eq!((&failed["enabled"], &failed["consecutiveFailures"]), (&json!(true), &json!(1)), "{failed}");
        assert_eq!(told.receiver.received().len(), before.0 + 1, "it is not tried again before its time");
        assert_eq!(told.count(outcome), before.1 + 1);
        until("the lag grows", || async {
            told.server.clock.advance_seconds(1);
            Some(()).filter(|()| told.server.engine.app.metrics.delivery_lag.get() > 0)
        })
        .await;
        told.receiver.behave(Behaviour::Answer(204));
        // It may be in the middle of failing once more.
        until("what failed is told", || async {
            told.server.clock.advance_seconds(1);
            Some(()).filter(|()| told.receiver.taken().len() >= 2 * n + 2)
        })
        .await;
        until("all is well", || async {
            Some(told.state(&id).await).filter(|it| it["consecutiveFailures"] == 0 && it["lastFailure"] == Value::Null)
        })
        .await;
    }
    let details: Vec<_> = told.receiver.taken().iter().map(Received::detail).collect();
    assert_eq!(details, (0..8).map(|n| format!("n{n}")).collect::<Vec<_>>());
    assert!(told.receiver.received().iter().all(|it| it.path == "/hooks/token?a=b"), "no redirect is followed");
    // Whatever more is answered is not read.
    told.receiver.behave(Behaviour::Flood);
    told.write(vec![deleted(8)]).await;
    told.taken(9).await;
    until("the lag is gone", || async { Some(()).filter(|()| told.server.engine.app.metrics.delivery_lag.get() == 0) })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_fails_too_often_is_switched_off_and_goes_on_where_it_stopped() {
    let mut told = Told::new().await;
    told.pause().await;
    told.rules.most_failures = 3;
    told.go_on().await;
    let (id, _) = told.webhook(&["secret_delete", "webhook_disable"]).await;
    let (witness, _) = told.webhook(&["webhook_disable"]).await;
    told.server.clock.advance_seconds(1);
    told.receiver.behave(Behaviour::Answer(503));
    told.write((0..3).map(deleted).collect()).await;
    for failures in 1..=3 {
        until("it fails", || async { Some(told.state(&id).await).filter(|it| it["consecutiveFailures"] == failures) })
            .await;
        // The other one is about to be told that this one is switched off.
        if failures == 3 {
            told.receiver.behave(Behaviour::Answer(200));
        }
        told.server.clock.advance_seconds(10);
    }
    let state = told.state(&id).await;
    assert_eq!(state["enabled"], false, "{state}");
    let because = state["disabledBecause"].as_str().unwrap();
    assert!(because.starts_with("3 tries in a row have failed") && because.contains("answered 503"), "{because}");
    let rows = told.rows(Action::WebhookDisable).await;
    assert_eq!(
        (rows.len(), &rows[0].actor, rows[0].vault.as_ref().map(ToString::to_string)),
        (1, &Actor::System, Some("vault_v".into()))
    );
    until("it is counted", || async {
        Some(()).filter(|()| told.server.engine.app.metrics.disabled_webhooks.get() == 1)
    })
    .await;
    // It may have been told before the receiver was well.
    until("the other one is told", || async {
        told.server.clock.advance_seconds(1);
        Some(()).filter(|()| !told.receiver.taken().is_empty())
    })
    .await;
    let events = told.taken(1).await;
    assert_eq!((events[0].json()["event"].as_str(), events[0].detail().contains(&id)), (Some("webhook_disable"), true));
    told.write(vec![deleted(3)]).await;

    told.update(&id, json!({"enabled": true})).await;
    let details: Vec<_> = told.taken(6).await.iter().skip(1).map(Received::detail).collect();
    assert_eq!(details[..3], ["n0", "n1", "n2"]);
    assert!(details[3].contains("is switched off") && details[4] == "n3", "{details:?}");
    assert_eq!(told.state(&witness).await["consecutiveFailures"], 0);

    // Whoever does not want what was missed leaves it out, which is told.
    told.update(&id, json!({"enabled": false})).await;
    told.write(vec![deleted(4), deleted(5)]).await;
    told.server.clock.advance_seconds(1);
    told.update(&id, json!({"enabled": true, "skipMissed": true})).await;
    until("it is told what was left out", || async {
        Some(told.rows(Action::WebhookDrop).await).filter(|it| it.len() == 1)
    })
    .await;
    let dropped = &told.rows(Action::WebhookDrop).await[0];
    assert!(dropped.detail.contains("were left out, as a person wanted it"), "{}", dropped.detail);
    told.write(vec![deleted(6)]).await;
    let last = told.taken(7).await.pop().unwrap();
    assert_eq!(last.detail(), "n6");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_in_order_tells_nothing_twice() {
    let mut told = Told::new().await;
    told.webhook(&["secret_delete"]).await;
    told.server.clock.advance_seconds(1);
    for round in 1..=3 {
        told.write((0..40).map(|n| deleted(40 * round + n)).collect()).await;
        told.taken(40 * (round - 1) + 3).await;
        told.pause().await;
        told.go_on().await;
    }
    told.taken(120).await;
    let details: Vec<_> = told.receiver.received().iter().map(Received::detail).collect();
    assert_eq!(details, (40..160).map(|n| format!("n{n}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_archived_before_they_were_told_are_told_of() {
    let mut told = Told::new().await;
    let (id, _) = told.webhook(&["secret_delete"]).await;
    told.server.clock.advance_seconds(1);
    told.write(vec![deleted(0)]).await;
    told.taken(1).await;
    told.pause().await;
    told.write(vec![deleted(1), deleted(2)]).await;
    let app = &told.server.engine.app;
    let last = app.records.newest(1, None).await.unwrap().remove(0);
    app.writer.drop_audit(ChainHead { seq: last.seq, hash: last.hash }, None).await.unwrap();
    told.write(vec![deleted(3)]).await;
    told.go_on().await;
    let events = told.taken(2).await;
    assert_eq!(events.iter().map(Received::detail).collect::<Vec<_>>(), ["n0", "n3"]);
    let rows = told.rows(Action::WebhookDrop).await;
    let expected = format!(
        "webhook {id}: rows {} to {} of the audit (2) were archived before it was told what is for it in them",
        last.seq - 1,
        last.seq
    );
    assert_eq!(rows.iter().map(|it| it.detail.clone()).collect::<Vec<_>>(), [expected]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_replaced_without_a_gap_and_a_webhook_is_tried() {
    let told = Told::new().await;
    let (id, first) = told.webhook(&[]).await;
    told.server.clock.advance_seconds(1);
    let (status, tested) = told.ask("POST", &format!("{WEBHOOKS}/{id}/test"), None).await;
    assert_eq!(
        (status, &tested["delivered"], &tested["status"], &tested["error"]),
        (200, &json!(true), &json!(200), &Value::Null)
    );
    let event = told.taken(1).await.remove(0);
    assert_eq!(
        (event.id().as_str(), event.json()["event"].as_str()),
        (tested["deliveryId"].as_str().unwrap(), Some("webhook_test"))
    );
    assert!(verifies(&first, &event) && !event.headers.contains_key("x-sikkerkey-signature-previous"));

    let (status, rotated) = told.ask("POST", &format!("{WEBHOOKS}/{id}/rotate-secret"), None).await;
    assert_eq!(status, 200, "{rotated}");
    let second = rotated["signingSecret"].as_str().unwrap();
    assert!(second != first && rotated["previousSecretUntil"] == json!(START + 2000 + 86_400_000), "{rotated}");
    // Without actions of its own it is told what the alerts name: critical things, until somebody says otherwise.
    let vault = Some("vault_v".parse().unwrap());
    told.write(vec![Entry { vault, ..Entry::new(Action::CanaryTriggered, Actor::System) }, deleted(0)]).await;
    let event = told.taken(2).await.remove(1);
    assert_eq!(event.json()["event"], "canary_triggered");
    assert!(verifies(second, &event));
    let previous = event.headers["x-sikkerkey-signature-previous"].clone();
    let headers = [("x-sikkerkey-signature".to_owned(), previous)].into();
    assert!(verifies(&first, &Received { headers, ..event }));
    let (_, set) = told.ask("POST", "/v1/ai/alerts", Some(json!({"enabledActions": ["secret_delete"]}))).await;
    assert_eq!(set, json!({"enabledActions": ["secret_delete"]}));
    assert_eq!(told.ask("GET", "/v1/ai/alerts", None).await.1, set);
    told.write(vec![deleted(1)]).await;
    assert_eq!(told.taken(3).await[2].detail(), "n1");

    told.receiver.behave(Behaviour::Answer(404));
    let (status, tested) = told.ask("POST", &format!("{WEBHOOKS}/{id}/test"), None).await;
    assert_eq!((status, &tested["delivered"], &tested["status"]), (200, &json!(false), &json!(404)));
    let (status, deleted) = told.ask("POST", &format!("{WEBHOOKS}/{id}/delete"), None).await;
    assert_eq!((status, deleted), (200, json!({"id": id, "deleted": true})));
    assert_eq!(told.ask("GET", WEBHOOKS, None).await.1, json!({"webhooks": []}));
    // Nothing that was stored is the secret.
    for (name, content) in told.server.database().files() {
        for secret in [&first, second] {
            assert!(memchr::memmem::find(&content, secret.as_bytes()).is_none(), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_to_an_address_that_is_not_public_unless_a_person_opens_it() {
    let receiver = Receiver::start().await;
    let sender = Sender::new(vec!["10.0.0.0/8".parse().unwrap()], Some(&receiver.ca())).unwrap();
    let told = Told::with(receiver, sender).await;
    let (id, _) = told.webhook(&["secret_delete"]).await;
    told.server.clock.advance_seconds(1);
    told.write(vec![deleted(0)]).await;
    let failed =
        until("it fails", || async { Some(told.state(&id).await).filter(|it| it["lastFailure"] != Value::Null) });
    let failed = failed.await["lastFailure"].as_str().unwrap().to_owned();
    assert!(failed.contains("is a loopback address: deliveries go to public addresses only"), "{failed}");
    for url in ["https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]/x", "https://[fd00:ec2::254]/x"]
    {
        told.update(&id, json!({ "url": url })).await;
        let (status, tested) = told.ask("POST", &format!("{WEBHOOKS}/{id}/test"), None).await;
        let error = tested["error"].as_str().unwrap();
        assert!(status == 200 && error.contains("deliveries go to public addresses only"), "{url}: {tested}");
    }
    assert!(told.count(DeliveryOutcome::Blocked) >= 1);
    assert!(told.receiver.received().is_empty());
    for (url, part) in [("http://localhost/x", "https://"), ("https://user:x@localhost/x", "no user and password")] {
        let (status, refused) = told.ask("POST", WEBHOOKS, Some(json!({ "url": url }))).await;
        assert!(status == 400 && refused["error"].as_str().unwrap().contains(part), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_sees_some_projects_only_is_told_why_webhooks_are_not_for_it() {
    let told = Told::new().await;
    let (id, _) = told.webhook(&[]).await;
    told.server
        .put(Entity::Agent(Agent { projects: Some(["proj_shop".parse().unwrap()].into()), ..assistant() }))
        .await;
    for (method, target) in
        [("GET", WEBHOOKS.to_owned()), ("GET", format!("{WEBHOOKS}/{id}")), ("POST", format!("{WEBHOOKS}/{id}/test"))]
    {
        let (status, refused) = told.ask(method, &target, None).await;
        assert_eq!(status, 403, "{refused}");
        assert!(
            refused["error"].as_str().unwrap().contains("webhooks and alerts tell of the whole vault"),
            "{refused}"
        );
    }
}

fn arguments(receiver: &Receiver) -> Vec<String> {
    let ca = receiver.ca().display().to_string();
    ["--webhook-allow", "127.0.0.0/8", "--webhook-allow", "::1/128", "--webhook-ca", &ca].map(str::to_owned).into()
}

/// A stopped server whose webhook is told of reads.
async fn with_webhook(server: Server, receiver: &Receiver) -> (Arc<TempDir>, String) {
    let directory = server.stop().await;
    // The command line makes it, and prints the secret alone.
    let mut command = TokioCommand::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command.arg("admin").args(TestDatabase::of(directory.path()).arguments(directory.path()));
    command.args(["webhook", "create", "--vault", "vault_v", "--url", &receiver.url(), "--action", "secret_read"]);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (directory, String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_arrives_in_order_although_the_server_is_killed_between_delivery_and_noting_it() {
    const READS: usize = 60;
    let receiver = Receiver::start().await;
    let server = Server::open_at(
        {
            let directory = Arc::new(tempfile::tempdir().unwrap());
            TestDatabase::make(directory.path()).await;
            directory
        },
        SystemClock.now(),
    )
    .await;
    server.seed().await;
    server.put(Entity::Machine(Machine { expires_at: None, ..pod() })).await;
    let (directory, secret) = with_webhook(server, &receiver).await;
    assert_eq!(secret.len(), 64);
    let arguments = arguments(&receiver);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut reads = 0;
    for round in 1..=3 {
        let before = receiver.taken().len();
        let mut process = Process::start_with(directory.path(), "info", &arguments).await;
        let mut connection = process.connect().await;
        while reads < round * READS / 3 {
            let request = read(&Client::pod(), &format!("hook-{reads}"));
            assert_eq!(connection.send(request).await.unwrap().0, 200);
            reads += 1;
        }
        // In the middle of telling: some is delivered and not noted yet, and more is still to be told. Counted from before
        // the reads: all of them may have been told by now.
        if round < 3 {
            until("some are delivered", || async { Some(()).filter(|()| receiver.taken().len() > before + 3) }).await;
            process.child.kill().await.unwrap();
        } else {
            until("all arrive", || async { Some(()).filter(|()| unique(&receiver.taken()).len() >= READS) }).await;
            process.child.kill().await.unwrap();
        }
    }
    let server = Server::open_at(directory, SystemClock.now()).await;
    let rows = server.engine.app.records.after(0, 100_000).await.unwrap();
    let expected: Vec<i64> =
        rows.iter().filter(|it| it.entry.contains("\"secret_read\"")).map(|it| it.time.0).collect();
    assert_eq!(expected.len(), READS);
    let events = receiver.taken();
    let told = unique(&events);
    assert_eq!(told.iter().map(|it| it.json()["timestamp"].as_i64().unwrap()).collect::<Vec<_>>(), expected);
    assert!(told.iter().all(|it| verifies(&secret, it)));
    // What came twice is the same, to the byte.
    for it in &events {
        let first = told.iter().find(|first| first.id() == it.id()).unwrap();
        assert_eq!(first.body, it.body);
    }
    let world = server.engine.app.live.read();
    assert!(world.state.webhooks.values().all(|it| it.enabled));
}

/// Each event as it came first.
fn unique(events: &[Received]) -> Vec<Received> {
    let mut seen = HashSet::new();
    events.iter().filter(|it| seen.insert(it.id())).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_database_tell_each_row_once() {
    const READS: usize = 100;
    let receiver = Receiver::start().await;
    let replicas = Replicas::new().await;
    let Replicas { directories, here } = replicas;
    let (_, _) = with_webhook(here, &receiver).await;
    let arguments = arguments(&receiver);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let first = Process::start_with(directories[0].path(), "info", &arguments).await;
    let mut second = Process::start_with(directories[1].path(), "info", &arguments).await;
    let mut connections = [first.connect().await, second.connect().await];
    for n in 0..READS {
        let request = read(&Client::pod(), &format!("both-{n}"));
        assert_eq!(connections[n % 2].send(request).await.unwrap().0, 200);
    }
    until("all arrive", || async { Some(()).filter(|()| receiver.taken().len() >= READS) }).await;
    // One of them is killed, the other tells what comes then.
    second.child.kill().await.unwrap();
    for n in 0..10 {
        let request = read(&Client::pod(), &format!("after-{n}"));
        assert_eq!(connections[0].send(request).await.unwrap().0, 200);
    }
    until("the rest arrives", || async { Some(()).filter(|()| unique(&receiver.taken()).len() >= READS + 10) }).await;
    let events = receiver.taken();
    assert_eq!(unique(&events[..READS]).len(), READS, "no event is told by both");
    let times: Vec<i64> = unique(&events).iter().map(|it| it.json()["timestamp"].as_i64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_stand_in_the_log_and_a_person_manages_webhooks_at_the_command_line() {
    let receiver = Receiver::start().await;
    let server = Server::open_at(
        {
            let directory = Arc::new(tempfile::tempdir().unwrap());
            TestDatabase::make(directory.path()).await;
            directory
        },
        SystemClock.now(),
    )
    .await;
    server.seed().await;
    server.put(Entity::Machine(Machine { expires_at: None, ..pod() })).await;
    let (directory, _) = with_webhook(server, &receiver).await;
    let arguments = arguments(&receiver);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let process = Process::start_with(directory.path(), "warn,sikkerkey_server=info", &arguments).await;
    let run = async |arguments: &[&str]| {
        let mut command = TokioCommand::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
        command
            .args(["admin", "--output", "json"])
            .args(TestDatabase::of(directory.path()).arguments(directory.path()));
        let output = command.args(arguments).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default(), text)
    };
    let id = run(&["webhook", "list"]).await.0["webhooks"][0]["id"].as_str().unwrap().to_owned();
    let (tested, _) = run(&["webhook", "test", &id]).await;
    assert_eq!(tested["delivered"], true, "{tested}");
    assert_eq!(run(&["webhook", "disable", &id]).await.0["enabled"], false);
    assert_eq!(run(&["webhook", "enable", &id, "--skip-missed"]).await.0["enabled"], true);
    let (changed, _) = run(&["webhook", "update", &id, "--action", "secret_delete", "--action", "secret_create"]).await;
    assert_eq!(changed["actions"], json!(["secret_create", "secret_delete"]));
    let (rotated, _) = run(&["webhook", "rotate-secret", &id]).await;
    assert_eq!(rotated["signingSecret"].as_str().unwrap().len(), 64);
    assert_eq!(
        run(&["alert", "get", "--vault", "vault_v"]).await.0,
        json!({"enabledActions": ["canary_triggered", "project_unfreeze", "server_restore"]})
    );
    run(&["alert", "set", "--vault", "vault_v", "--action", "secret_read"]).await;
    let mut connection = process.connect().await;
    assert_eq!(connection.send(read(&Client::pod(), "alerted")).await.unwrap().0, 200);
    until("the log tells it", || async {
        let log = process.log.lock().await;
        let has = |line: &str| line.contains("alert") && line.contains("secret_read") && line.contains("secret=sk_db");
        Some(()).filter(|()| log.lines().any(has))
    })
    .await;
    assert_eq!(run(&["webhook", "delete", &id]).await.0, json!({"id": id, "deleted": true}));
    assert!(run(&["webhook", "test", &id]).await.1.contains("webhook list shows them"));
    assert!(
        run(&["webhook", "create", "--vault", "vault_v", "--url", "http://x", "--action", "secret_read"])
            .await
            .1
            .contains("begins with https://")
    );
    assert!(
        run(&["alert", "set", "--vault", "vault_v", "--action", "secret_reed"])
            .await
            .1
            .contains("invalid value 'secret_reed'")
    );
}
