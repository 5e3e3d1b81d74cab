//! A machine that signs its requests as an official SDK does: what a click did is checked with it.

use serde_json::{Value, json};
use sikkerkey_e2e::signed_client::{Answer, new_key, sign};
use sikkerkey_protocol::key::MachineKey;

use crate::site::{Site, string};

/// A machine with a key of its own.
pub(crate) struct Host {
    pub(crate) id: String,
    key: MachineKey,
}

impl Host {
    /// Registers it with the one-time token of a command, as the script of that command does. It waits for approval.
    pub(crate) async fn register(site: &Site, token: &str, about: Value) -> Self {
        let key = new_key().unwrap();
        let mut body = json!({ "token": token, "publicKey": key.public_key().to_string() });
        body.as_object_mut().unwrap().extend(about.as_object().unwrap().clone());
        let request = site.http.post(format!("{}/v1/bootstrap/register", site.server.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = answered(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { id: string(&answer.body, "machineId"), key }
    }

    /// The fingerprint of its key, as its script shows it.
    pub(crate) fn fingerprint(&self) -> String {
        self.key.public_key().fingerprint()
    }

    /// Asks for something.
    pub(crate) async fn get(&self, site: &Site, target: &str) -> Answer {
        let headers = sign(&self.key, &self.id, "GET", target, b"").unwrap();
        let request = site.http.get(format!("{}{target}", site.server.url));
        answered(headers.iter().fold(request, |request, (name, value)| request.header(name, value))).await
    }

    /// What it reads of a secret: its value, or status and words of the refusal.
    pub(crate) async fn read(&self, site: &Site, secret: &str) -> Result<String, (u16, String)> {
        let Answer { status, body } = self.get(site, &format!("/v1/secret/{secret}")).await;
        if status == 200 { Ok(string(&body, "value")) } else { Err((status, string(&body, "error"))) }
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    Answer { status, body: serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null) }
}
