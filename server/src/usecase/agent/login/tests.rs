use serde_json::{Value, json};
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::management::Scope;
use sikkerkey_protocol::secret_text::SecretText;

use super::*;
use crate::audit::entry::Action;
use crate::model::Entity;
use crate::oidc::tests::{AUDIENCE, NOW, Signer, cluster, written_otherwise};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::admin;
use crate::usecase::admin::agent::{Said, Trust};
use crate::usecase::fixture::*;
use crate::usecase::housekeeping;

const ISSUER: &str = "https://token.actions.example.com";

fn trusted(signer: &Signer, name: &str, subject: &str) -> Trust {
    Trust {
        vault: "vault_v".parse().unwrap(),
        name: name.into(),
        issuer: ISSUER.into(),
        jwks: Signer::jwks(&[signer]),
        audience: None,
        subject: subject.into(),
        said: Said { scopes: vec![Scope::SecretsWrite], projects: vec![] },
        lifetime_seconds: 3600,
    }
}

fn ready(signer: &Signer) -> Bench {
    let mut bench = Bench::new();
    bench.now = NOW;
    bench.run(|it| admin::agent::trust(it, trusted(signer, "ci", "repo:example/shop:*"))).unwrap();
    bench
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "repo:example/shop:ref:refs/heads/main", "aud": AUDIENCE,
        "exp": NOW.seconds() + 300, "iat": NOW.seconds(),
    })
}

fn log_in_as(bench: &mut Bench, token: &str, n: u8, trust: Option<&str>) -> Result<AgentLoggedIn, Refusal> {
    let public_key = key(n).public_key();
    let proof = key(n).sign(&possession(Purpose::Login, token, &public_key));
    let (token, trust) = (SecretText::new(token.into()), trust.map(str::to_owned));
    let request = AgentLogin { token, public_key, proof, vault_id: None, trust };
    bench.run(|it| login(it, source(), request))
}

fn log_in(bench: &mut Bench, token: &str, n: u8) -> Result<AgentLoggedIn, Refusal> {
    log_in_as(bench, token, n, None)
}

#[test]
fn a_workload_becomes_an_agent_that_ends() {
    let signer = Signer::ec(1, "k");
    let mut bench = ready(&signer);
    let done = log_in(&mut bench, &signer.sign(&claims()), 1).unwrap();
    assert_eq!(done.name, "ci repo:example/shop:ref:refs/heads/main");
    assert_eq!((done.scopes.as_slice(), done.expires_at), (&[Scope::SecretsWrite][..], NOW.plus_seconds(3600).0));
    assert_eq!(bench.actions(), [Action::AgentLogin]);
    let agent = bench.state.agents[&done.agent_id].clone();
    assert!(agent.approved && agent.enabled && agent.cluster.is_none());
    assert_eq!(agent.expires_at, Some(NOW.plus_seconds(3600)));
    bench.now = NOW.plus_seconds(2 * 3600);
    bench.run(housekeeping::run).unwrap();
    assert!(bench.state.agents.is_empty());
}

#[test]
fn each_token_is_accepted_once_and_with_its_key_alone() {
    let signer = Signer::ec(1, "k");
    let mut bench = ready(&signer);
    let token = signer.sign(&claims());
    log_in(&mut bench, &token, 1).unwrap();
    let text = "the token was used before: ask for a new one for each login";
    refused(log_in(&mut bench, &token, 2), RefusalKind::Unauthenticated, None, text);
    refused(log_in(&mut bench, &written_otherwise(&token), 2), RefusalKind::Unauthenticated, None, text);
    let mut other = claims();
    other["jti"] = json!("2");
    let token = signer.sign(&other);
    let text = "the key is in use already: make a new one, and keep it for one machine alone";
    refused(log_in(&mut bench, &token, 1), RefusalKind::Conflict, Some(ErrorCode::KeyInUse), text);
    let public_key = key(3).public_key();
    let proof = key(4).sign(&possession(Purpose::Login, &token, &public_key));
    let request = AgentLogin { token: SecretText::new(token), public_key, proof, vault_id: None, trust: None };
    let text = "the proof of possession does not verify: sign it with the key that logs in";
    refused(bench.run(|it| login(it, source(), request)), RefusalKind::Unauthenticated, None, text);
}

#[test]
fn a_token_that_says_something_else_than_what_is_trusted_is_refused() {
    type Spoil = fn(&mut Value);
    let signer = Signer::ec(1, "k");
    let unfit = |issuer: &str, subject: &str| {
        format!(
            "nobody trusts tokens of issuer {issuer:?} for subject {subject:?} with this audience: compare them with what admin agent trusts shows"
        )
    };
    let main = "repo:example/shop:ref:refs/heads/main";
    let table: [(Spoil, String); 7] = [
        (|it| it["sub"] = json!("repo:example/shopping:x"), unfit(ISSUER, "repo:example/shopping:x")),
        (|it| it["iss"] = json!("https://other.example.com"), unfit("https://other.example.com", main)),
        (|it| it["aud"] = json!([AUDIENCE, "https://other.example.com"]), unfit(ISSUER, main)),
        (|it| it["exp"] = json!(NOW.seconds() - 61), "the token has expired: ask for a new one".into()),
        (
            |it| it["iat"] = json!(NOW.seconds() + 61),
            "the token is not valid yet: compare the clocks of cluster and server".into(),
        ),
        (
            |it| it["exp"] = json!(NOW.seconds() + 25 * 3600),
            "the token is good for more than 24 hours: ask for a shorter one".into(),
        ),
        (|it| it["exp"] = json!("soon"), "the token lacks claims that a service-account token has".into()),
    ];
    for (spoil, text) in table {
        let mut claims = claims();
        spoil(&mut claims);
        let refusal = log_in(&mut ready(&signer), &signer.sign(&claims), 1);
        refused(refusal, RefusalKind::Unauthenticated, None, &text);
    }
    let text = "no trusted issuer's keys verify the token: a person trusts it with sikkerkey-server admin agent trust, and again after its keys have changed";
    let forged = Signer::ec(2, "k").sign(&claims());
    refused(log_in(&mut ready(&signer), &forged, 1), RefusalKind::Unauthenticated, None, text);
}

#[test]
fn where_several_trusts_fit_one_is_named() {
    let signer = Signer::ec(1, "k");
    let mut bench = ready(&signer);
    bench.run(|it| admin::agent::trust(it, trusted(&signer, "main", "repo:example/shop:ref:refs/heads/main"))).unwrap();
    let token = signer.sign(&claims());
    let text = "several trusts fit the token: say which is meant by vaultId and trust";
    refused(log_in(&mut bench, &token, 1), RefusalKind::Unauthenticated, None, text);
    let done = log_in_as(&mut bench, &token, 1, Some("main")).unwrap();
    assert!(done.name.starts_with("main "), "{}", done.name);
}

#[test]
fn another_trust_of_the_name_and_none_at_all_end_what_has_logged_in() {
    let signer = Signer::ec(1, "k");
    let mut bench = ready(&signer);
    log_in(&mut bench, &signer.sign(&claims()), 1).unwrap();
    bench.run(|it| admin::agent::trust(it, trusted(&signer, "ci", "repo:example/shop:*"))).unwrap();
    assert_eq!((bench.changes, bench.state.agents.len()), (0, 1));
    bench.run(|it| admin::agent::trust(it, trusted(&signer, "ci", "repo:example/shop:environment:*"))).unwrap();
    assert!(bench.state.agents.is_empty());
    let vault = "vault_v".parse().unwrap();
    bench.run(|it| admin::agent::distrust(it, &vault, "ci")).unwrap();
    assert_eq!(bench.actions(), [Action::AgentTrust]);
    let text = "vault vault_v trusts nothing ci: agent trusts shows them";
    refused(bench.run(|it| admin::agent::distrust(it, &vault, "ci")), RefusalKind::NotFound, None, text);
}

#[test]
fn what_is_trusted_must_say_whose_workloads_it_means() {
    type Spoil = fn(&mut Trust);
    let wide = "--subject has to say whose workloads it means before its first '*' or '?', up to a '/' or ':', as in repo:example/* or project_path:example/shop:*";
    let table: [(Spoil, &str); 10] = [
        (|it| it.subject = "*".into(), wide),
        (|it| it.subject = "repo:*".into(), wide),
        // The beginning of a name is the beginning of others' names.
        (|it| it.subject = "repo:e*".into(), wide),
        (|it| it.subject = "repo:example/shop*".into(), wide),
        (|it| it.subject = "repo:example/sho?:*".into(), wide),
        (|it| it.subject = "repo:/*".into(), wide),
        (|it| it.subject = "?epo:example/shop:*".into(), wide),
        (|it| it.lifetime_seconds = 90_000, "--lifetime is from 1 minute to 24 hours, not 90000 seconds"),
        (|it| it.name = "C I".into(), "--name is from 1 to 63 small letters, digits, '-' and '.'"),
        (
            |it| it.jwks = "{}".into(),
            "the file is no JWK set with an RS256 or ES256 key that has a kid: fetch what jwks_uri says in the issuer's /.well-known/openid-configuration",
        ),
    ];
    let signer = Signer::ec(1, "k");
    for (spoil, text) in table {
        let mut request = trusted(&signer, "ci", "repo:example/shop:*");
        spoil(&mut request);
        refused(Bench::new().run(|it| admin::agent::trust(it, request)), RefusalKind::Invalid, None, text);
    }
    for subject in
        ["repo:example/*", "repo:example/shop:*", "system:serviceaccount:ci:*", "spiffe://ci.example/*", "one"]
    {
        let request = trusted(&signer, "ci", subject);
        Bench::new().run(|it| admin::agent::trust(it, request)).unwrap();
    }
    // A cluster's key is its operator's alone.
    let mut bench = Bench::new();
    bench.put(Entity::Cluster(cluster("prod", &[&signer])));
    let text = "one of the keys is cluster prod's, whose operator logs in by it: give pods of a cluster their secrets by a Machine object";
    let request = trusted(&signer, "ci", "system:serviceaccount:ci:*");
    refused(bench.run(|it| admin::agent::trust(it, request)), RefusalKind::Conflict, None, text);
    let mut bench = ready(&signer);
    let it = cluster("prod", &[&signer]);
    let request =
        admin::cluster::Trust { vault: it.vault, name: it.name, issuer: it.issuer, jwks: it.jwks, subject: it.subject };
    let refusal = bench.run(|it| admin::cluster::trust(it, request)).unwrap_err();
    assert!(refusal.message.starts_with("one of the keys is that of trust ci of vault vault_v"), "{}", refusal.message);
}
