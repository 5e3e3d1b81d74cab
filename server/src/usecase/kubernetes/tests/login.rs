use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{LoggedIn, Login};
use sikkerkey_protocol::secret_text::SecretText;

use super::super::login::login;
use crate::audit::entry::Action;
use crate::model::Entity;
use crate::oidc::tests::{NOW, Signer, claims, cluster, written_otherwise};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::fixture::*;
use crate::usecase::housekeeping;

fn ready(signer: &Signer) -> Bench {
    let mut bench = Bench::new();
    bench.now = NOW;
    bench.put(Entity::Cluster(cluster("prod", &[signer])));
    bench
}

fn log_in(bench: &mut Bench, token: &str, n: u8, proves: u8) -> Result<LoggedIn, Refusal> {
    let public_key = key(n).public_key();
    let proof = key(proves).sign(&possession(Purpose::Login, token, &public_key));
    bench.run(|it| login(it, source(), Login { token: SecretText::new(token.into()), public_key, proof }))
}

#[test]
fn a_replica_becomes_an_agent_that_ends_with_its_token() {
    let signer = Signer::ec(1, "k");
    let mut bench = ready(&signer);
    let logged_in = log_in(&mut bench, &signer.sign(&claims()), 1, 1).unwrap();
    assert_eq!((logged_in.cluster.as_str(), logged_in.vault_id.as_str()), ("prod", "vault_v"));
    assert_eq!(logged_in.expires_at, NOW.plus_seconds(3600).0);
    let agent = &bench.state.agents[&logged_in.agent_id];
    assert!(agent.approved && agent.enabled);
    assert_eq!(agent.cluster.as_deref(), Some("prod"));
    assert_eq!(agent.expires_at, Some(NOW.plus_seconds(3600)));
    assert_eq!(bench.actions(), [Action::AgentLogin]);
    assert!(
        bench.audit[0]
            .detail
            .starts_with("operator sikkerkey-system/sikkerkey-operator-1 of cluster prod, key SHA256:")
    );
}

#[test]
fn each_token_is_accepted_once_also_after_it_was_cleaned_up_around() {
    let signer = Signer::ec(1, "k");
    let mut bench = ready(&signer);
    let token = signer.sign(&claims());
    log_in(&mut bench, &token, 1, 1).unwrap();
    let text = "the token was used before: ask for a new one for each login";
    refused(log_in(&mut bench, &token, 2, 2), RefusalKind::Unauthenticated, None, text);
    refused(log_in(&mut bench, &written_otherwise(&token), 2, 2), RefusalKind::Unauthenticated, None, text);
    // As long as the token could be accepted, its use is remembered.
    bench.now = NOW.plus_seconds(3659);
    bench.run(housekeeping::run).unwrap();
    refused(log_in(&mut bench, &token, 2, 2), RefusalKind::Unauthenticated, None, text);
    bench.now = NOW.plus_seconds(3720);
    bench.run(housekeeping::run).unwrap();
    assert!(bench.state.spent_logins.is_empty());
    let text = "the token has expired: ask for a new one";
    refused(log_in(&mut bench, &token, 2, 2), RefusalKind::Unauthenticated, None, text);
}

#[test]
fn a_token_without_its_key_or_with_somebody_elses_is_refused() {
    let signer = Signer::ec(1, "k");
    let mut bench = ready(&signer);
    let token = signer.sign(&claims());
    let text = "the proof of possession does not verify: sign it with the key that logs in";
    refused(log_in(&mut bench, &token, 1, 2), RefusalKind::Unauthenticated, None, text);
    assert!(bench.state.spent_logins.is_empty());
    bench.put(Entity::Agent(Bench::agent("prod")));
    let text = "the key is in use already: make a new one, and keep it for one machine alone";
    refused(log_in(&mut bench, &token, 250, 250), RefusalKind::Conflict, Some(ErrorCode::KeyInUse), text);
    log_in(&mut bench, &token, 1, 1).unwrap();
}

#[test]
fn what_is_wrong_with_a_token_is_told() {
    let signer = Signer::ec(1, "k");
    let mut bench = ready(&signer);
    let mut other = claims();
    other["aud"] = serde_json::json!(["sikkerkey"]);
    refused(
        log_in(&mut bench, &signer.sign(&other), 1, 1),
        RefusalKind::Unauthenticated,
        None,
        "the token's audience must be https://sikkerkey.example.com and nothing else",
    );
    refused(
        log_in(&mut bench, &Signer::ec(2, "k").sign(&claims()), 1, 1),
        RefusalKind::Unauthenticated,
        None,
        "no trusted cluster's keys verify the token: trust the cluster with sikkerkey-server admin cluster trust, and again after its keys have changed",
    );
}
