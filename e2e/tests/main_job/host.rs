//! A machine outside the cluster: the test's own eyes at the server.

use serde_json::Value;
use sikkerkey_e2e::signed_client::{SignedClient, new_key};

use crate::team::Team;

/// A machine outside the cluster whose key stands in Git, with a grant.
pub(crate) struct Host {
    pub(crate) client: SignedClient,
    ids: Vec<(String, String)>,
}

impl Host {
    /// Reads a value with a signed request.
    pub(crate) async fn value(&self, secret: &str) -> String {
        let answer = self.client.get(&self.target(secret)).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["value"].as_str().unwrap().to_owned()
    }

    /// The request target of a secret.
    pub(crate) fn target(&self, secret: &str) -> String {
        let (_, id) = self.ids.iter().find(|(name, _)| name == secret).unwrap();
        format!("/v1/secret/{id}")
    }
}

/// Enrols a host by pinning its key, and grants it some Secrets of the namespace.
pub(crate) async fn host(team: &Team<'_>, name: &str, secrets: &[&str]) -> Host {
    let key = new_key().unwrap();
    let refs: Vec<String> = secrets.iter().map(|secret| format!("{{name: {secret}}}")).collect();
    team.apply(&format!(
        "{{apiVersion: sikkerkey.com/v1alpha1, kind: Machine, metadata: {{name: {name}}}, spec: {{host: {{publicKey: \"{}\"}}}}}}\n---\n\
         {{apiVersion: sikkerkey.com/v1alpha1, kind: Grant, metadata: {{name: {name}-reads}}, spec: {{machineRef: {{name: {name}}}, secretRefs: [{}]}}}}",
        key.public_key(),
        refs.join(", "),
    ))
    .await;
    team.ready("Machine", name).await;
    team.ready("Grant", &format!("{name}-reads")).await;
    let machine = team.object("Machine", name).await;
    let id = machine.pointer("/status/machineID").and_then(Value::as_str).unwrap().to_owned();
    let mut ids = Vec::new();
    for secret in secrets {
        let object = team.object("Secret", secret).await;
        ids.push((
            (*secret).to_owned(),
            object.pointer("/status/secretID").and_then(Value::as_str).unwrap().to_owned(),
        ));
    }
    Host { client: SignedClient::new(team.installation, key, &id).unwrap(), ids }
}
