//! The way it is deployed: https, with a certificate of an authority that the client was told to trust.

use serde_json::json;

use crate::driver::Driver;
use crate::python::python;
use crate::refused::assert_raised;
use crate::secured::secured;
use crate::server::text;
use crate::team::{PLAIN, Team};

#[tokio::test]
async fn a_client_that_trusts_the_authority_reads_over_tls_and_another_does_not() {
    let Some(python) = python("a_client_that_trusts_the_authority_reads_over_tls_and_another_does_not") else { return };
    let secured = secured();
    let (mut server, trusted) = (secured.server, secured.trusted);
    server.run(&secured.arguments.each_ref().map(String::as_str)).await;
    let team = Team::on(python, server).await;

    // What OpenSSL, and so Python, takes for the system's authorities.
    let trust = ("SSL_CERT_FILE", text(&trusted));
    let mut host = team.pending_with("web-1", &[trust]).await;
    team.admit(&host).await;
    let client = &mut host.client;
    assert_eq!(client.get(&team.plain).await, Ok(json!(PLAIN)));
    assert_eq!(client.call("list_secrets", &[]).await.unwrap().as_array().unwrap().len(), 2);
    assert_eq!(client.call("export", &[&team.shop]).await.unwrap()["DB_USERNAME"], json!("shop"));

    let token = team.token(&[]).await;
    let named = json!({"vault_id": team.vault, "token": token["token"]});
    // A slash at the end is what people write.
    let url = format!("{}/", team.server.url);
    let mut stranger = Driver::start(python, &host.home, &[("SIKKERKEY_API_URL", &url)]);
    let outcome = stranger.ask("bootstrap", json!([]), named.clone()).await;
    assert_raised(outcome, "ApiError", 0, "certificate verify failed");
    let mut client = Driver::start(python, &host.home, &[("SIKKERKEY_API_URL", &url), trust]);
    client.ask("bootstrap", json!([]), named).await.unwrap();
    assert_eq!(client.does("get", json!(["api_url"])).await, json!(team.server.url));
    assert_eq!(client.get(&team.plain).await, Ok(json!(PLAIN)));
    stranger.does("open", json!([])).await;
    assert_raised(stranger.get(&team.plain).await, "ApiError", 0, "certificate verify failed");
}
