//! Each refusal is the exception that the client documents for it.

use serde_json::{Value, json};
use sikkerkey_server::audit::entry::{Action, Actor, Entry};
use sikkerkey_server::clock::{Clock, SystemClock};
use sikkerkey_server::crypto::root_key::Source;
use sikkerkey_server::decision::{Context, Decision};
use sikkerkey_server::engine::{DataPlace, Engine, Options};
use sikkerkey_server::model::machine::Machine;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::{Change, Entity};
use sikkerkey_server::writer::ChangeRequest;

use crate::driver::{Driver, Raised};
use crate::python::python;
use crate::server::{Server, text};
use crate::team::{Host, PLAIN, Team};

/// The client raised this, and the text says why.
#[track_caller]
pub(crate) fn assert_raised(outcome: Result<Value, Raised>, class: &str, status: u16, why: &str) {
    let raised = outcome.expect_err(why);
    assert_eq!((raised.class.as_str(), raised.status), (class, Some(status)), "{raised:?}");
    assert!(raised.text.contains(why), "{raised:?} does not say: {why}");
}

/// A client with the identity of `host`, changed.
async fn impostor(team: &Team, host: &Host, name: &str, change: impl FnOnce(&mut Value)) -> Driver {
    let file = host.home.join("vaults").join(&team.vault).join("identity.json");
    let mut identity: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut identity);
    let home = team.server.directory(name);
    let file = home.join("identity.json");
    std::fs::write(&file, identity.to_string()).unwrap();
    let mut client = Driver::start(team.python, &home, &[]);
    client.does("open", json!([file])).await;
    client
}

#[tokio::test]
async fn whoever_cannot_prove_who_it_is_gets_an_authentication_error() {
    let Some(python) = python("whoever_cannot_prove_who_it_is_gets_an_authentication_error") else { return };
    let team = Team::new(python).await;
    let (mut host, mut other) = (team.host("web-1").await, team.host("web-2").await);
    let unauthenticated = |outcome, why: &str| assert_raised(outcome, "AuthenticationError", 401, why);

    let unknown = |it: &mut Value| it["machineId"] = json!("00000000-0000-4000-8000-000000000000");
    let mut client = impostor(&team, &host, "unknown", unknown).await;
    unauthenticated(client.get(&team.plain).await, "unknown machine or bad signature");
    let key = other.home.join("vaults").join(&team.vault).join("private.pem");
    let mut client = impostor(&team, &host, "other-key", |it| it["privateKeyPath"] = json!(key)).await;
    unauthenticated(client.get(&team.plain).await, "unknown machine or bad signature");

    for (name, ahead) in [("slow", -330), ("fast", 90)] {
        let mut client = impostor(&team, &host, name, |_| ()).await;
        client.does("clock", json!([ahead])).await;
        unauthenticated(client.get(&team.plain).await, "check the clock");
        client.does("clock", json!([-ahead])).await;
        assert_eq!(client.get(&team.plain).await, Ok(json!(PLAIN)));
    }
    let mut client = impostor(&team, &host, "replays", |_| ()).await;
    client.does("same_nonces", json!([])).await;
    assert_eq!(client.get(&team.plain).await, Ok(json!(PLAIN)));
    unauthenticated(client.get(&team.plain).await, "nonce");

    assert_eq!(other.client.get(&team.plain).await, Ok(json!(PLAIN)));
    team.server.admin(&["machine", "revoke", &other.id]).await;
    unauthenticated(other.client.get(&team.plain).await, "unknown machine or bad signature");
    for (what, arguments) in [("list_secrets", &[][..]), ("export", &[]), ("list_secrets_by_project", &[&*team.shop])] {
        unauthenticated(other.client.call(what, arguments).await, "unknown machine or bad signature");
    }
    // Nobody else has to do with any of that.
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
}

#[tokio::test]
async fn an_identity_that_has_ended_gets_an_authentication_error() {
    let Some(python) = python("an_identity_that_has_ended_gets_an_authentication_error") else { return };
    let mut team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
    team.server.stop().await;
    end(&team.server, &host.id).await;
    team.server.run(&[]).await;
    assert_raised(host.client.get(&team.plain).await, "AuthenticationError", 401, "has ended: enrol again");
}

/// Lets a machine's time be over. An enrolment token gives a minute at least, which would be long to wait for.
async fn end(server: &Server, machine: &str) {
    let id = machine.parse().unwrap();
    let options = Options::new(DataPlace::Directory(server.data()), Source::Beside);
    let engine = Engine::open(Options { public_url: server.url.clone(), ..options }).await.unwrap();
    let decide = move |context: &Context<'_>| {
        let machine = Machine {
            expires_at: Some(Millis(context.now.0 - 60_000)),
            ..Machine::clone(context.state.machines.get(&id).expect("it is there"))
        };
        let audit = vec![Entry::new(Action::MachineRegister, Actor::Administrator)];
        Ok(Decision { changes: vec![Change::put(Entity::Machine(machine))], audit, answer: Box::new(|_| ()) })
    };
    let actor = Actor::Administrator;
    let request = ChangeRequest { spend: None, actor, source_ip: None, what: "test", decide: Box::new(decide) };
    engine.app.writer.change(request).await.unwrap();
    engine.close().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_may_not_gets_an_access_denied_error() {
    let Some(python) = python("a_machine_that_may_not_gets_an_access_denied_error") else { return };
    let team = Team::new(python).await;
    let denied = |outcome, why: &str| assert_raised(outcome, "AccessDeniedError", 403, why);
    let mut host = team.pending("web-1").await;
    let plain = team.plain.as_str();
    denied(host.client.get(plain).await, "waits for approval");
    denied(host.client.call("list_secrets", &[]).await, "waits for approval");
    denied(host.client.call("export", &[]).await, "waits for approval");
    team.admit(&host).await;
    assert_eq!(host.client.get(plain).await, Ok(json!(PLAIN)));

    team.server.admin(&["machine", "disable", &host.id]).await;
    denied(host.client.get(plain).await, "disabled");
    team.server.admin(&["machine", "enable", &host.id]).await;
    let ungranted = team.secret("shop", "ungranted", "x", &[]).await;
    denied(host.client.get(&ungranted).await, "is not granted to");
    for (command, why) in [("suspend", "is suspended"), ("ban", "is banned"), ("unverify", "is not verified yet")] {
        team.server.admin(&["account", command, "owner@example.com"]).await;
        denied(host.client.get(plain).await, why);
    }
    denied(host.client.call("list_secrets", &[]).await, "suspended, banned or not verified");
    team.server.admin(&["account", "activate", "owner@example.com"]).await;
    team.server.admin(&["ip-allowlist", "add", "--vault", &team.vault, "203.0.113.0/24"]).await;
    team.server.admin(&["ip-allowlist", "on", "--vault", &team.vault]).await;
    denied(host.client.get(plain).await, "Access denied");
    team.server.admin(&["ip-allowlist", "off", "--vault", &team.vault]).await;

    // 1970-01-01 was a Thursday. In three days it is not today, whatever passes meanwhile.
    let day = SystemClock.now().0.div_euclid(86_400_000) + 3;
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(day.rem_euclid(7)).unwrap()];
    let closed = json!({"timeZone": "UTC", "timeWindow": {"days": [day], "start": "00:00", "end": "24:00"}});
    let ended = json!({"ttl": {"maxReads": 1}});
    let away = json!({"ipAllowlist": ["203.0.113.0/24"]});
    for (name, policy, why) in [
        ("closed", closed, "closed until"),
        ("away", away, "in none of the policy's CIDRs"),
        ("ended", ended, "allows 1 reads of this secret"),
    ] {
        let file = team.server.file(name, &policy.to_string());
        team.server.admin(&["policy", "set", "--project", "shop", "--name", name, "--file", text(&file)]).await;
        team.server.admin(&["policy", "bind", plain, "--policy", name]).await;
        if name == "ended" {
            // Reads from before the policy may count as well.
            drop(host.client.get(plain).await);
        }
        denied(host.client.get(plain).await, why);
    }
    team.server.admin(&["policy", "unbind", plain]).await;
    assert_eq!(host.client.get(plain).await, Ok(json!(PLAIN)));
}

#[tokio::test]
async fn what_is_not_there_for_a_machine_is_a_not_found_error() {
    let Some(python) = python("what_is_not_there_for_a_machine_is_a_not_found_error") else { return };
    let team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    let mut texts = Vec::new();
    // What nobody has, what another project has, and what no id looks like.
    for id in ["sk_0000000000", &team.ledger, "sk_", "nothing"] {
        let raised = host.client.get(id).await.unwrap_err();
        assert_eq!((raised.class.as_str(), raised.status), ("NotFoundError", Some(404)), "{id}: {raised:?}");
        texts.push(raised.text);
    }
    texts.dedup();
    assert_eq!(texts, ["no such secret"]);
    // A deleted one, as its reader sees it.
    team.server.admin(&["secret", "delete", &team.plain]).await;
    assert_raised(host.client.get(&team.plain).await, "NotFoundError", 404, "no such secret");
}

#[tokio::test]
async fn enrolment_is_refused_with_the_exception_of_its_reason() {
    let Some(python) = python("enrolment_is_refused_with_the_exception_of_its_reason") else { return };
    let team = Team::new(python).await;
    let home = team.server.directory("job");
    let mut client = Driver::start(python, &home, &[("SIKKERKEY_API_URL", &team.server.url), ("HOSTNAME", "runner-7")]);
    let named = |vault: &str, token: &str| json!({"vault_id": vault, "token": token});
    let mut tokens = Vec::new();
    for more in [&["--hostname-pattern", "build-*"][..], &["--source-cidr", "203.0.113.0/24"], &["--max-uses", "9"]] {
        tokens.push(team.token(more).await);
    }
    let [other_host, other_place, good] = <[Value; 3]>::try_from(tokens).unwrap();
    let good_text = good["token"].as_str().unwrap();
    for (token, why) in [(other_host, "host name"), (other_place, "address")] {
        let outcome = client.ask("bootstrap", json!([]), named(&team.vault, token["token"].as_str().unwrap())).await;
        assert_raised(outcome, "AccessDeniedError", 403, why);
    }
    for (vault, token) in [(team.vault.as_str(), "0".repeat(64)), ("vault_another", good_text.to_owned())] {
        let outcome = client.ask("bootstrap", json!([]), named(vault, &token)).await;
        assert_raised(outcome, "AuthenticationError", 401, "not known in this vault");
    }
    // A key that somebody has already: the one conflict that this client can meet.
    let host = team.host("web-1").await;
    let key = host.home.join("vaults").join(&team.vault).join("private.pem");
    let mut copy = Driver::start(python, &home, &[("SIKKERKEY_API_URL", &team.server.url)]);
    copy.does("same_keys", json!([key])).await;
    let outcome = copy.ask("bootstrap", json!([]), named(&team.vault, good_text)).await;
    assert_raised(outcome, "ConflictError", 409, "the key is in use already");

    client.ask("bootstrap", json!([]), named(&team.vault, good_text)).await.unwrap();
    team.server.admin(&["enrolment-token", "revoke", good["tokenId"].as_str().unwrap()]).await;
    let outcome = client.ask("bootstrap", json!([]), named(&team.vault, good_text)).await;
    assert_raised(outcome, "AuthenticationError", 401, "is revoked");
    let once = team.token(&[]).await;
    let once = named(&team.vault, once["token"].as_str().unwrap());
    client.ask("bootstrap", json!([]), once.clone()).await.unwrap();
    assert_eq!(client.get(&team.plain).await, Ok(json!(PLAIN)));
    assert_raised(client.ask("bootstrap", json!([]), once).await, "AuthenticationError", 401, "used up");
}

#[tokio::test]
async fn a_canary_that_was_read_freezes_its_project() {
    let Some(python) = python("a_canary_that_was_read_freezes_its_project") else { return };
    let team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    let canary = team.secret("shop", "root-password", "bait", &[]).await;
    team.grant(&host, &[&canary]).await;
    team.server.admin(&["canary", "arm", &canary]).await;
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
    // Whoever reads it gets it, and nothing more. There is no class of its own for 423.
    assert_eq!(host.client.get(&canary).await, Ok(json!("bait")));
    for secret in [&team.plain, &team.structured, &canary] {
        assert_raised(host.client.get(secret).await, "ApiError", 423, "is frozen");
    }
    assert_raised(host.client.call("export", &[]).await, "ApiError", 423, "is frozen");
    assert_eq!(host.client.call("list_secrets", &[]).await.unwrap().as_array().unwrap().len(), 3);
    team.server.admin(&["project", "unfreeze", "shop"]).await;
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
    // An export takes what it finds, the bait too.
    let exported = host.client.call("export", &[]).await.unwrap();
    assert_eq!(exported["ROOT_PASSWORD"], json!("bait"));
    assert_raised(host.client.get(&team.plain).await, "ApiError", 423, "is frozen");
}
