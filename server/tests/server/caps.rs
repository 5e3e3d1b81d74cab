//! What counts as a read, exactly: twenty pods of one fleet that are restarted and renewed, against each cap of a policy.

use serde_json::{Value, json};
use sikkerkey_protocol::Call;
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::{Register, Renew};
use sikkerkey_protocol::kubernetes::{Charset, Generator, IssueVoucher, ObjectKey, PodIdentity, Recipe};
use sikkerkey_protocol::policy::{CountedBy, PolicyDocument, RateCap, Ttl};
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Entity, EntityKind};

use crate::fixture::*;

const PODS: u8 = 20;
const SYNC: &str = "/v1/machine/sync";

/// Keys are made of one number: those of the pods' first machines, of those after a renewal, and so on.
const FIRST: u8 = 0x40;
const RENEWED: u8 = 0x60;
const RESTARTED: u8 = 0x80;

/// A fleet whose one secret, an hour old, is under this policy.
async fn server(document: PolicyDocument) -> Server {
    let server = Server::new().await;
    // Nobody else may read it.
    server.remove(EntityKind::Machine, &uuid(0x11)).await;
    server.put(Entity::Policy(policy(document))).await;
    let recipe = Recipe::Plain(Generator { length: 32, charset: Charset::Alphanumeric });
    let guarded = Secret { policy: Some("guard".into()), recipe: Some(recipe), ..secret("db", "shop") };
    server.put_secret(guarded, "first").await;
    // Rotations keep some time between them.
    server.clock.advance_seconds(600);
    server
}

/// A pod's sidecar enrols, as at the start of its process: its key is in memory only.
async fn enrol(server: &Server, pod: u8, seed: u8) -> Client {
    let issue = IssueVoucher {
        machine: ObjectKey { namespace: "shop".into(), name: "web".into() },
        pod: PodIdentity {
            namespace: "shop".into(),
            name: format!("web-{pod}"),
            uid: format!("uid-{pod}"),
            node: "node-7".into(),
            service_account: "web".into(),
        },
        public_key: key(seed).public_key(),
    };
    let issued = server.call(&Client::agent(), &issue).await;
    assert_eq!(issued.status, 200, "{}", issued.text());
    let voucher = issued.json()["voucher"].as_str().unwrap().to_owned();
    let public_key = key(seed).public_key();
    let proof = key(seed).sign(&possession(Purpose::Register, &voucher, &public_key));
    let body = json!({"token": voucher, "publicKey": public_key, "proof": proof}).to_string();
    let registered = server
        .send(Signed {
            method: "POST",
            target: Register::PATH.into(),
            headers: vec![("content-type", "application/json".into())],
            body: body.into_bytes(),
            address: POD_ADDRESS.into(),
        })
        .await;
    assert_eq!(registered.status, 200, "{}", registered.text());
    Client::new(registered.json()["machineId"].as_str().unwrap().to_owned(), seed)
}

async fn enrol_all(server: &Server, seeds: u8) -> Vec<Client> {
    let mut clients = Vec::new();
    for pod in 0..PODS {
        clients.push(enrol(server, pod, seeds + pod).await);
    }
    clients
}

/// Each gets a fresh key, and stays who it is.
async fn renew_all(server: &Server, clients: &[Client]) -> Vec<Client> {
    let mut renewed = Vec::new();
    for (seed, client) in (RENEWED..).zip(clients) {
        let public_key = key(seed).public_key();
        let proof = key(seed).sign(&possession(Purpose::Renew, &client.id, &public_key));
        let answer = server.call(client, &Renew { public_key, proof }).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        renewed.push(Client::new(client.id.clone(), seed));
    }
    renewed
}

/// How many were delivered the value and how many were not, because of a cap or an end, when each asks for what it lacks.
/// `held`: what each has already.
async fn ask(server: &Server, clients: &[Client], held: Option<u64>) -> (usize, usize) {
    let (mut delivered, mut denied) = (0, 0);
    for client in clients {
        let body = held.map_or_else(|| json!({}), |version| {
            json!({"deliveryRevision": "rev1", "held": {"shop/db": {"version": {"id": "sk_db", "version": version}}}})
        });
        let answer = server.post(client, SYNC, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        match &answer.json()["secrets"]["shop/db"] {
            Value::Null => {}
            told if told["value"].is_object() => delivered += 1,
            told => {
                let reason = told["denied"]["reason"].as_str().unwrap();
                assert!(["RateCapReached", "PolicyEnded"].contains(&reason), "{told}");
                denied += 1;
            }
        }
    }
    (delivered, denied)
}

fn reads(server: &Server) -> u64 {
    server.engine.app.live.read().ledger.secret_usage(&"sk_db".parse().unwrap()).usage.reads
}

fn version(server: &Server) -> u64 {
    server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].version
}

/// Twenty pods start, poll and are renewed: twenty reads. Then all are restarted, and thirty may be read: who is delivered it.
async fn started_and_restarted(server: &Server) -> (Vec<Client>, (usize, usize)) {
    let first = enrol_all(server, FIRST).await;
    assert_eq!(ask(server, &first, None).await, (20, 0));
    let renewed = renew_all(server, &first).await;
    for _ in 0..3 {
        assert_eq!(ask(server, &renewed, Some(version(server))).await, (0, 0), "a poll is no read, nor is a renewal");
    }
    assert_eq!(reads(server), 20);
    let restarted = enrol_all(server, RESTARTED).await;
    let answered = ask(server, &restarted, None).await;
    (restarted, answered)
}

fn capped(per_minute: Option<u32>, per_day: Option<u32>) -> PolicyDocument {
    let rate_cap = Some(RateCap { per_minute, per_day, counted_by: CountedBy::Machine });
    PolicyDocument { time_zone: Some("UTC".into()), rate_cap, ..PolicyDocument::default() }
}

#[tokio::test]
async fn a_cap_of_a_minute_counts_a_fleet_whose_pods_are_restarted_and_renewed() {
    let server = server(capped(Some(30), None)).await;
    let (pods, answered) = started_and_restarted(&server).await;
    assert_eq!(answered, (10, 10), "what the machines before them read counts");
    assert_eq!(ask(&server, &pods, None).await, (0, 20));
    assert_eq!(reads(&server), 30);
    let server = server.restart().await.unwrap();
    server.clock.advance_seconds(60);
    assert_eq!(ask(&server, &pods, None).await, (20, 0));
    assert_eq!(
        ask(&server, &pods, None).await,
        (10, 10),
        "a sidecar that says it has nothing is given it, and counted"
    );
    assert_eq!(reads(&server), 60);
}

#[tokio::test]
async fn a_cap_of_a_day_counts_a_fleet_whose_pods_are_restarted_and_renewed() {
    let server = server(capped(None, Some(30))).await;
    let (pods, answered) = started_and_restarted(&server).await;
    assert_eq!(answered, (10, 10));
    server.clock.advance_seconds(60);
    let server = server.restart().await.unwrap();
    assert_eq!(ask(&server, &pods, None).await, (0, 20));
    assert_eq!(reads(&server), 30);
}

#[tokio::test]
async fn so_many_reads_are_all_there_are_for_a_fleet_whose_pods_are_restarted_and_renewed() {
    let ttl = Ttl { expires_at: None, max_reads: Some(30) };
    let server = server(PolicyDocument { ttl: Some(ttl), ..PolicyDocument::default() }).await;
    let (pods, answered) = started_and_restarted(&server).await;
    assert_eq!(answered, (10, 10));
    server.clock.advance_seconds(600);
    let server = server.restart().await.unwrap();
    assert_eq!(ask(&server, &pods, None).await, (0, 20));
    assert_eq!(reads(&server), 30);
}

#[tokio::test]
async fn a_fleet_whose_pods_are_restarted_and_renewed_rotates_nothing_and_one_that_reads_again_does() {
    let server = server(PolicyDocument { rotate_after_reads: Some(30), ..PolicyDocument::default() }).await;
    let made = version(&server);
    let (pods, answered) = started_and_restarted(&server).await;
    assert_eq!((answered, reads(&server), version(&server)), ((20, 0), 40, made), "each machine reads a version once");
    assert_eq!(ask(&server, &pods, None).await, (20, 0));
    assert_eq!(ask(&server, &pods[..9], None).await, (9, 0));
    assert_eq!(version(&server), made, "29 reads again");
    assert_eq!(ask(&server, &pods[9..10], None).await, (1, 0));
    assert_eq!(version(&server), made + 1);
    assert_eq!(ask(&server, &pods, Some(made)).await, (20, 0), "all hear of it");
    assert_eq!((reads(&server), version(&server)), (90, made + 1));
}
