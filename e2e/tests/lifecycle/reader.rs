//! A machine outside of the cluster that reads all the time, with signed requests to the Service, and so knows when reads were away.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sikkerkey_e2e::signed_client::{Service, SignedClient, new_key};
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;
use crate::site::{NAMESPACE, Site};
use crate::team;

/// How often it reads.
const INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Reader {
    client: SignedClient,
    target: String,
}

/// What a reader saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Reads that were answered.
    pub(crate) reads: usize,
    /// The longest time between one that was answered and the next.
    pub(crate) away: Duration,
}

impl Reader {
    /// Pins a key in Git, with the grant of a secret.
    pub(crate) async fn enrol(site: &Site) -> Self {
        let key = new_key().unwrap();
        let objects = format!(
            "# YAML\n{{apiVersion: sikkerkey.com/v1alpha1, kind: Machine, metadata: {{name: outside}}, spec: {{host: {{publicKey: \"{}\"}}}}}}\n---\n\
             {{apiVersion: sikkerkey.com/v1alpha1, kind: Grant, metadata: {{name: outside-reads-db}}, spec: {{machineRef: {{name: outside}}, secretRefs: [{{name: db}}]}}}}",
            key.public_key()
        );
        site.kubectl().run_with_input(["apply", "-n", team::NAMESPACE, "-f", "-"], &objects).await.unwrap();
        for object in ["skm/outside", "skg/outside-reads-db"] {
            site.ask(&["wait", "-n", team::NAMESPACE, "--for=condition=Ready", object, "--timeout=60s"]).await;
        }
        let status = async |object: &str, field: &str| {
            let path = format!("jsonpath={{.status.{field}}}");
            site.ask(&["get", "-n", team::NAMESPACE, object, "-o", &path]).await
        };
        let (machine, secret) = (status("skm/outside", "machineID").await, status("sks/db", "secretID").await);
        let (name, address, authority) = service(site).await;
        let service = Service { name: &name, address, authority: &authority };
        let client = SignedClient::of_service(&service, key, &machine).unwrap();
        let reader = Self { client, target: format!("/v1/secret/{secret}") };
        reader.reads().await;
        reader
    }

    /// Finds the Service again, when it or the way to it is another.
    pub(crate) async fn find(&mut self, site: &Site) {
        let (name, address, authority) = service(site).await;
        self.client.follow(&Service { name: &name, address, authority: &authority }).unwrap();
        self.reads().await;
    }

    /// Waits until a read is answered.
    pub(crate) async fn reads(&self) {
        wait_for("a signed read from outside", BOUND, async || self.read().await).await.unwrap();
    }

    /// What the server says to whoever watches it: status and text.
    pub(crate) async fn readiness(&self) -> (u16, String) {
        wait_for("the server to answer", BOUND, async || {
            let answer = self.client.get("/readyz").await.map_err(|error| format!("{error:#}"))?;
            Ok::<_, String>((answer.status, answer.body["error"].as_str().unwrap_or_default().to_owned()))
        })
        .await
        .unwrap()
    }

    async fn read(&self) -> Result<(), String> {
        let answer = self.client.get(&self.target).await.map_err(|error| format!("{error:#}"))?;
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    }

    /// Reads all the time while something is done, and until reads are back.
    pub(crate) async fn meanwhile<T>(&self, what: impl Future<Output = T>) -> (T, Seen) {
        let done = Cell::new(false);
        let what = async {
            let outcome = what.await;
            done.set(true);
            outcome
        };
        let reading = async {
            let (mut seen, mut last) = (Seen { reads: 0, away: Duration::ZERO }, Instant::now());
            loop {
                let answer = self.read().await;
                if answer.is_ok() {
                    seen.reads += 1;
                    seen.away = seen.away.max(last.elapsed());
                    last = Instant::now();
                    if done.get() {
                        return seen;
                    }
                }
                assert!(last.elapsed() < BOUND, "reads never came back: {answer:?}");
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::join!(what, reading)
    }
}

/// Name, address and authority of the server's Service, and a way to it.
pub(crate) async fn service(site: &Site) -> (String, SocketAddr, Vec<u8>) {
    let secret = site.get(&["secret", "sikkerkey-server-tls"]).await;
    let authority = STANDARD.decode(secret["data"]["ca.crt"].as_str().unwrap()).unwrap();
    let service = site.get(&["service", "sikkerkey-server"]).await;
    let address: Ipv4Addr = service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
    site.cluster.reach_service(address).unwrap();
    (format!("sikkerkey-server.{NAMESPACE}.svc"), SocketAddr::from((address, 443)), authority)
}
