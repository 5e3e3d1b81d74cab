//! A machine outside the cluster: it has a key of its own and signs requests, as an official SDK does.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sikkerkey_protocol::canonical::string_to_sign;
use sikkerkey_protocol::header;
use sikkerkey_protocol::key::MachineKey;
use zeroize::Zeroizing;

use crate::installation::Installation;

/// A key, and whom it signs as.
pub struct SignedClient {
    key: MachineKey,
    machine_id: String,
    url: String,
    http: reqwest::Client,
}

/// Status and body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, if it is JSON.
    pub body: Value,
}

/// Where a Service is, and by whom its certificate is.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The name in its certificate.
    pub name: &'a str,
    /// Address and port.
    pub address: SocketAddr,
    /// Certificates of the authority, in PEM.
    pub authority: &'a [u8],
}

impl Service<'_> {
    fn client(&self) -> Result<reqwest::Client> {
        let ca = reqwest::Certificate::from_pem(self.authority)?;
        let client = reqwest::Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(1));
        Ok(client.pool_max_idle_per_host(0).resolve(self.name, self.address).build()?)
    }
}

/// The headers of one signed request. Used twice, they are a replay.
#[derive(Clone, Debug)]
pub struct Headers(Vec<(&'static str, String)>);

/// Makes a key.
pub fn new_key() -> Result<MachineKey> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| anyhow!("no random bytes: {error}"))?;
    Ok(MachineKey::from_seed(&seed))
}

/// Signs a request as this machine, with this key.
#[expect(clippy::disallowed_methods, reason = "a client's clock is the wall clock")]
pub fn sign(key: &MachineKey, machine_id: &str, method: &str, target: &str, body: &[u8]) -> Result<Headers> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| anyhow!("no random bytes: {error}"))?;
    let nonce = STANDARD.encode(nonce);
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
    let signature = key.sign(&string_to_sign(method, target, &timestamp, &nonce, body));
    Ok(Headers(vec![
        (header::MACHINE_ID, machine_id.to_owned()),
        (header::TIMESTAMP, timestamp),
        (header::NONCE, nonce),
        (header::SIGNATURE, signature.to_string()),
    ]))
}

impl Headers {
    /// Each with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl SignedClient {
    /// A client of an installation's server.
    pub fn new(installation: &Installation, key: MachineKey, machine_id: &str) -> Result<Self> {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(installation.ca_file())?)?;
        let http = reqwest::Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(15)).build()?;
        Ok(Self { key, machine_id: machine_id.to_owned(), url: installation.server_url(), http })
    }

    /// A client of a Service, whose name this machine cannot resolve; impatient, and with a connection for each request.
    pub fn of_service(service: &Service<'_>, key: MachineKey, machine_id: &str) -> Result<Self> {
        let url = format!("https://{}", service.name);
        Ok(Self { key, machine_id: machine_id.to_owned(), url, http: service.client()? })
    }

    /// Goes to that Service from now on, as the same machine.
    pub fn follow(&mut self, service: &Service<'_>) -> Result<()> {
        self.http = service.client()?;
        Ok(())
    }

    /// Signs.
    pub fn sign(&self, method: &str, target: &str, body: &[u8]) -> Result<Headers> {
        sign(&self.key, &self.machine_id, method, target, body)
    }

    /// Sends a request without a body, with these headers.
    pub async fn send(&self, target: &str, headers: &Headers) -> Result<Answer> {
        let request = self.http.get(format!("{}{target}", self.url));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok(Answer { status, body: serde_json::from_slice(&answer.bytes().await?).unwrap_or(Value::Null) })
    }

    /// Signs and sends a request without a body.
    pub async fn get(&self, target: &str) -> Result<Answer> {
        self.send(target, &self.sign("GET", target, b"")?).await
    }
}
