//! The attest endpoint: whose token it takes, and what it says to the others.

use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::{Value, json};
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::signed_client::new_key;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::Attest;

use crate::on_a_node;
use crate::team::{SHOP, Team};

/// Asks for a voucher with a token and a fresh key: status and body.
async fn attest(installation: &Installation, token: &str) -> (u16, Value) {
    let key = new_key().unwrap();
    let proof = key.sign(&possession(Purpose::Attest, token, &key.public_key()));
    post(installation, &json!({"token": token, "publicKey": key.public_key(), "proof": proof})).await
}

async fn post(installation: &Installation, body: &Value) -> (u16, Value) {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(installation.ca_file()).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(15)).build().unwrap();
    let url = format!("{}{}", installation.operator_url(), Attest::PATH);
    let answer =
        client.post(url).header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
}

#[test]
fn a_token_is_taken_only_for_its_own_live_pod_and_audience() {
    on_a_node("attestation", async |installation| {
        let team = Team::new(installation, "attestation").await;
        team.apply(SHOP).await;
        let pod = team.run(team.pod_object("web", "exec sleep 3600")).await;
        let token = |pod, audience| async move {
            team.installation.cluster.token("attestation", "web", pod, &[audience]).await.unwrap()
        };

        let (status, body) = attest(team.installation, &token(Some(&pod), "sikkerkey").await).await;
        assert_eq!(status, 200, "{body}");

        let (status, body) = attest(team.installation, &token(Some(&pod), "other").await).await;
        assert_eq!(status, 401, "{body}");
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");

        let (status, body) = attest(team.installation, "not-a-token").await;
        assert_eq!(status, 401, "{body}");

        let (status, body) = attest(team.installation, &token(None, "sikkerkey").await).await;
        assert!(matches!(status, 401 | 403), "a token of no pod: {status} {body}");

        // A key that the sender does not have.
        let (mine, other) = (new_key().unwrap(), new_key().unwrap());
        let stolen = token(Some(&pod), "sikkerkey").await;
        let proof = mine.sign(&possession(Purpose::Attest, &stolen, &other.public_key()));
        let (status, body) =
            post(team.installation, &json!({"token": stolen, "publicKey": other.public_key(), "proof": proof})).await;
        assert_eq!(status, 401, "{body}");

        // The API server goes on accepting the token of a deleted pod for some seconds.
        let late = token(Some(&pod), "sikkerkey").await;
        team.pods().delete("web", &DeleteParams::default().grace_period(0)).await.unwrap();
        sikkerkey_e2e::pod::gone(&team.client, &team.namespace, "web", crate::BOUND).await.unwrap();
        let (status, body) = attest(team.installation, &late).await;
        assert!(matches!(status, 401 | 403), "{status} {body}");
        team.machine_count_becomes(0).await;
    });
}

#[test]
fn a_pod_that_was_not_injected_for_the_machine_gets_no_voucher() {
    on_a_node("uninjected pod", async |installation| {
        let team = Team::new(installation, "uninjected").await;
        team.apply(SHOP).await;
        let mut plain = team.pod_object("plain", "exec sleep 3600");
        plain["metadata"]["labels"] = json!({});
        let pod = team.run(plain).await;
        let token = team.installation.cluster.token("uninjected", "web", Some(&pod), &["sikkerkey"]).await.unwrap();
        let (status, body) = attest(team.installation, &token).await;
        assert_eq!(status, 403, "{body}");
        let told = team.event("plain", "EnrolmentRefused").await;
        assert!(told.starts_with("the pod was not admitted with a sidecar"), "{told}");
    });
}
