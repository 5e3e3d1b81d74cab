//! People who log in: through the whole router and a real database, with real hashes.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use serde_json::{Value, json};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::management::Scope;
use sikkerkey_server::audit::entry::{Action, Actor};
use sikkerkey_server::decision::Context;
use sikkerkey_server::http::account::session::{manage, signed_in};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::account::Standing;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::usecase::admin::account as accounts;
use sikkerkey_server::usecase::management::{Manager, policy};

use crate::browser::*;
use crate::database::OwnPostgres;
use crate::fixture::*;
use crate::replicas::Two;

const WRONG: &str = "no account has this e-mail address and this password: try again, or ask whoever runs the server";
const NO_SESSION: &str = "there is no session, or it has ended: log in";
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/accounts.txt");

#[tokio::test]
async fn a_person_logs_in_looks_around_and_logs_out() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    let answer = browser.log_in(&server, PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap();
    let token = browser.token().unwrap();
    let attributes = "; Path=/; Secure; HttpOnly; SameSite=Strict";
    assert_eq!(cookie, format!("__Host-sikkerkey-session={token}{attributes}"));
    assert!(!answer.text().contains(&token), "the token is in the cookie alone");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let who = browser.get(&server, "/v1/account/whoami").await.json();
    assert_eq!((&who["email"], &who["secondFactor"]), (&json!(EMAIL), &json!(false)));
    let vaults = browser.get(&server, "/v1/account/vaults").await.json();
    assert_eq!(vaults["vaults"], json!([{ "vaultId": "vault_v", "name": "team", "role": "owner", "active": true }]));
    let sessions = browser.get(&server, "/v1/account/sessions").await.json();
    let session = &sessions["sessions"][0];
    assert_eq!(
        (&session["address"], &session["userAgent"], &session["current"]),
        (&json!(HOME), &json!("Mozilla/5.0 (test)"), &json!(true))
    );
    let row = server.last_audit().await;
    let by = (row.action, row.actor, row.source_ip, row.detail.as_str());
    let detail = "account team@example.com by password";
    assert_eq!(by, (Action::AccountLogin, Actor::Person("account".into()), Some(HOME.parse().unwrap()), detail));

    let answer = browser.post(&server, "/v1/account/logout", &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers[SET_COOKIE], format!("__Host-sikkerkey-session=; Max-Age=0{attributes}").as_str());
    assert_eq!((browser.token(), server.last_audit().await.action), (None, Action::AccountLogout));
    browser.set_token(Some(token));
    let answer = browser.get(&server, "/v1/account/whoami").await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, NO_SESSION));
}

#[tokio::test]
async fn whoever_is_not_let_in_hears_the_same_and_what_was_typed_is_not_kept() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    let mut answers = Vec::new();
    for (email, password) in [(EMAIL, "hunter2-hunter2"), ("hunter2-hunter2", PASSWORD), (" TEAM@example.com", "x")] {
        let body = json!({ "email": email, "password": password });
        let answer = browser.post(&server, "/v1/account/login", &body).await;
        answers.push((answer.status.as_u16(), answer.error()));
    }
    assert_eq!(answers, vec![(401, WRONG.to_owned()); 3]);
    let rows: Vec<_> = server.audit().await.into_iter().filter(|it| it.action == Action::AccountLoginRefused).collect();
    let actors: Vec<_> = rows.iter().map(|it| it.actor.clone()).collect();
    assert_eq!(actors, [Actor::Person("account".into()), Actor::Anonymous, Actor::Person("account".into())]);
    assert!(rows.iter().all(|it| !it.detail.contains("hunter2")), "{rows:?}");
}

#[tokio::test]
async fn with_a_second_factor_a_login_takes_two_steps_and_a_code_is_good_once() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    browser.log_in(&server, PASSWORD).await;
    let before = browser.token();
    let (secret, codes) = add_second_factor(&browser, &server).await;
    assert_ne!(browser.token(), before, "the session goes on under another token");
    server.clock.advance_seconds(30);

    let other = Browser::at("203.0.113.1");
    let half = other.log_in(&server, PASSWORD).await;
    assert_eq!((half.status.as_u16(), other.token()), (200, None));
    let half = half.json()["halfLogin"].as_str().unwrap().to_owned();
    let give = async |code: &str| {
        let body = json!({ "halfLogin": half, "code": code });
        other.post(&server, "/v1/account/login/second-factor", &body).await
    };
    let wrong = "the code is wrong, or was used before: wait for the next one, or use a recovery code";
    let no_code = if code(&secret, &server) == "000000" { "111111" } else { "000000" };
    let refused = give(no_code).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (401, wrong));
    let good = code(&secret, &server);
    assert_eq!(give(&good).await.status, 200);
    assert!(other.is_in(&server).await);
    let replayed = give(&good).await;
    assert_eq!((replayed.status.as_u16(), replayed.error().as_str()), (401, wrong));
    // In one step, with a recovery code, which is good once as well.
    let third = Browser::at("203.0.113.2");
    let body = json!({ "email": EMAIL, "password": PASSWORD, "code": codes[0] });
    assert_eq!(third.post(&server, "/v1/account/login", &body).await.status, 200);
    assert_eq!(third.post(&server, "/v1/account/login", &body).await.error(), wrong);

    // What is shown once is nowhere else, and nothing but a fresh proof changes it.
    server.clock.advance_seconds(600);
    let refused = third.post(&server, "/v1/account/totp/remove", &Value::Null).await;
    let fresh = "prove who you are again first: give password and code at /v1/account/step-up";
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (403, fresh));
    let token = third.token();
    let body = json!({ "password": PASSWORD, "code": code(&secret, &server) });
    assert_eq!(third.post(&server, "/v1/account/step-up", &body).await.status, 200);
    assert_ne!(third.token(), token);
    assert_eq!(third.post(&server, "/v1/account/totp/remove", &Value::Null).await.status, 200);
    assert!(!other.is_in(&server).await, "the other sessions ended");
    assert!(third.is_in(&server).await);
}

#[tokio::test]
async fn a_session_that_somebody_put_into_a_browser_is_not_the_one_its_person_gets() {
    let server = server_with_owner().await;
    let attacker = Browser::at("203.0.113.66");
    attacker.log_in(&server, PASSWORD).await;
    let planted = attacker.token();
    for planted in [planted.clone(), Some("ab".repeat(32))] {
        let victim = Browser::at(HOME);
        victim.set_token(planted.clone());
        assert_eq!(victim.log_in(&server, PASSWORD).await.status, 200);
        assert_ne!(victim.token(), planted);
    }
    assert!(!attacker.is_in(&server).await, "what was planted has ended");
    // Two cookies: one of them is not ours, and nobody can tell which.
    let victim = Browser::at(HOME);
    victim.log_in(&server, PASSWORD).await;
    let twice = victim.request("GET", "/v1/account/whoami", "");
    let twice = twice.and("cookie", &format!("{}={}", victim.cookie_name, "cd".repeat(32)));
    assert_eq!(server.send(twice).await.status, 401);
}

#[tokio::test]
async fn no_other_page_does_anything_in_a_persons_name() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    browser.log_in(&server, PASSWORD).await;
    let change = || browser.request("POST", "/v1/account/sessions/revoke-others", "");
    let site = "Sec-Fetch-Site is another than same-origin: open the page of this server itself";
    let origin = "Origin is another than https://sikkerkey.example.com: open the page of this server itself";
    let json_text = "Content-Type is another than application/json: send it, and JSON as the body";
    let neither = "the request does not say where it comes from: send Origin: https://sikkerkey.example.com";
    for (request, text) in [
        (change().without("origin").without("sec-fetch-site"), neither),
        (change().with("origin", "https://evil.example.com"), origin),
        (change().with("origin", "null"), origin),
        (change().and("origin", URL), origin),
        (change().with("sec-fetch-site", "cross-site"), site),
        (change().with("sec-fetch-site", "same-site"), site),
        (change().without("origin").with("sec-fetch-site", "none"), site),
        (change().without("content-type"), json_text),
        (change().with("content-type", "text/plain"), json_text),
        (change().with("content-type", "application/x-www-form-urlencoded"), json_text),
        (browser.request("GET", "/v1/account/whoami", "").with("sec-fetch-site", "cross-site"), site),
        (
            Browser::at(HOME)
                .request("POST", "/v1/account/login", &json!({ "email": EMAIL, "password": PASSWORD }).to_string())
                .with("origin", "https://evil.example.com"),
            origin,
        ),
    ] {
        let answer = server.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (403, text));
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    assert_eq!(server.send(change()).await.status, 200);
    assert_eq!(server.send(change().without("origin")).await.status, 200);
    assert_eq!(server.send(change().without("sec-fetch-site")).await.status, 200);
    let preflight = Signed { method: "OPTIONS", ..change() };
    assert_eq!(server.send(preflight).await.status, 405);
}

#[tokio::test]
async fn guessing_is_stopped_and_the_owner_goes_on_from_home() {
    let server = server_with_owner().await;
    let home = Browser::at(HOME);
    assert_eq!(home.log_in(&server, PASSWORD).await.status, 200);
    let stranger = Browser::at("203.0.113.5");
    for _ in 0..5 {
        assert_eq!(stranger.log_in(&server, "hunter2-hunter2").await.status, 401);
    }
    // Right or wrong, nothing is looked at any more.
    let locked = stranger.log_in(&server, PASSWORD).await;
    assert_eq!((locked.status.as_u16(), locked.headers[RETRY_AFTER].to_str().unwrap()), (429, "900"));
    assert_eq!(locked.error(), "too many failed logins: wait, or ask whoever runs the server to unlock");
    let lock = server.audit().await.into_iter().find(|it| it.action == Action::LockoutStart).unwrap();
    assert_eq!(lock.denial, Some(DenialReason::LockedOut));
    assert_eq!(lock.detail, "this account from 203.0.113.5 cannot log in until 2026-03-04T12:15:00Z");
    // With many addresses: after ten failures one try a minute, for all of them together.
    let mut outcomes = Vec::new();
    for n in 0..8 {
        let other = Browser::at(&format!("203.0.113.{}", 100 + n));
        outcomes.push(other.log_in(&server, "hunter2-hunter2").await.status.as_u16());
    }
    assert_eq!(outcomes, [401, 401, 401, 401, 401, 429, 429, 429]);
    let home = Browser::at(HOME);
    assert_eq!(home.log_in(&server, PASSWORD).await.status, 200, "at home nobody is kept out");
    server.clock.advance_seconds(60);
    let elsewhere = Browser::at("203.0.113.200");
    assert_eq!(elsewhere.log_in(&server, PASSWORD).await.status, 200);
    server.clock.advance_seconds(900);
    assert_eq!(stranger.log_in(&server, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_session_opens_no_route_of_agents_and_machines_and_theirs_no_route_of_people() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    browser.log_in(&server, PASSWORD).await;
    for (method, target) in
        [("GET", "/v1/ai/projects/proj_shop/policies"), ("GET", "/v1/secret/sk_db"), ("POST", "/v1/machine/sync")]
    {
        let answer = server.send(browser.request(method, target, "")).await;
        assert_eq!(answer.status, 401, "{target}: {}", answer.text());
        assert!(!answer.text().contains("hunter2"));
    }
    let answer = server.get(&Client::host(), "/v1/account/whoami").await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, NO_SESSION));
}

#[tokio::test]
async fn a_page_does_in_a_vault_what_the_persons_role_says() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    browser.log_in(&server, PASSWORD).await;
    let look = async |vault: &str, scope| {
        let (parts, _) = browser.request("GET", "/policies", "").build().into_parts();
        let person = signed_in(&server.engine.app, &parts).await.unwrap();
        let decide = |context: &Context<'_>, manager: &Manager<'_>| policy::list(context, manager, ["proj_shop"]);
        manage(&server.engine.app, person, vault.parse().unwrap(), Some(scope), "GET /policies", decide).await
    };
    look("vault_v", Scope::PoliciesRead).await.unwrap();
    let row = server.last_audit().await;
    assert_eq!((row.action, row.actor), (Action::ManagementRead, Actor::Person("account".into())));
    let refusal = look("vault_w", Scope::PoliciesRead).await.map(drop).unwrap_err();
    assert_eq!(refusal.message, "there is no such vault");
}

#[tokio::test]
async fn nothing_that_is_stored_lets_anybody_in() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    browser.log_in(&server, PASSWORD).await;
    let mut canaries = vec![PASSWORD.to_owned(), browser.token().unwrap()];
    let (secret, codes) = add_second_factor(&browser, &server).await;
    let seed = totp_rs::Secret::try_from_base32(&secret).unwrap().as_bytes().to_vec();
    canaries.extend([browser.token().unwrap(), secret]);
    canaries.extend(codes.iter().flat_map(|it| [it.clone(), it.replace('-', "")]));
    server.clock.advance_seconds(30);
    let other = Browser::at(HOME);
    let half = other.log_in(&server, PASSWORD).await;
    canaries.push(half.json()["halfLogin"].as_str().unwrap().to_owned());
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "looking at llamas" });
    let answer = browser.post(&server, "/v1/account/password", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    canaries.extend(["looking at llamas".to_owned(), browser.token().unwrap()]);

    let database = server.database();
    let _directory = server.stop().await;
    let mut canaries: Vec<Vec<u8>> = canaries.into_iter().map(String::into_bytes).collect();
    // As bytes, and as the list of numbers that JSON makes of bytes.
    let numbers: Vec<String> = seed.iter().map(ToString::to_string).collect();
    canaries.extend([seed, numbers.join(",").into_bytes()]);
    let files = database.files();
    let finds = |needle: &[u8]| {
        let found = files.iter().find(|(_, bytes)| memchr::memmem::find(bytes, needle).is_some());
        found.map(|(name, _)| name.clone())
    };
    assert!(finds(b"argon2id$v=19$m=65536,t=3,p=2").is_some(), "the hash is there, so this looks at the right files");
    for canary in &canaries {
        assert_eq!(finds(canary), None, "{}", String::from_utf8_lossy(canary));
    }
}

#[tokio::test]
async fn a_restart_keeps_sessions_and_makes_none_longer() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    browser.log_in(&server, PASSWORD).await;
    server.clock.advance_seconds(59);
    assert!(browser.is_in(&server).await);
    let server = server.restart().await.unwrap();
    assert!(browser.is_in(&server).await);
    // The request after 59 seconds was not written down: it counts as not made.
    server.clock.advance_seconds(1740);
    assert!(browser.is_in(&server).await, "half an hour after the login less a second");
    server.clock.advance_seconds(1799);
    assert!(browser.is_in(&server).await);
    server.clock.advance_seconds(1800);
    assert!(!browser.is_in(&server).await);
}

#[tokio::test]
async fn two_servers_on_one_database_know_each_others_sessions_and_logouts() {
    let two = Box::pin(Two::new()).await;
    let [first, second] = &two.servers;
    give_password(first).await;
    let browser = Browser::at(HOME);
    assert_eq!(browser.log_in(first, PASSWORD).await.status, 200);
    assert!(browser.is_in(second).await);
    let token = browser.token();
    assert_eq!(browser.post(second, "/v1/account/logout", &Value::Null).await.status, 200);
    browser.set_token(token);
    assert!(!browser.is_in(first).await);
    // So is the second factor's code: good once on both of them.
    browser.set_token(None);
    assert_eq!(browser.log_in(second, PASSWORD).await.status, 200);
    let (secret, _) = add_second_factor(&browser, second).await;
    first.clock.advance_seconds(30);
    second.clock.advance_seconds(30);
    let body = json!({ "email": EMAIL, "password": PASSWORD, "code": code(&secret, first) });
    let mut outcomes = Vec::new();
    for server in [first, second, first] {
        outcomes.push(Browser::at(HOME).post(server, "/v1/account/login", &body).await.status.as_u16());
    }
    assert_eq!(outcomes, [200, 401, 401]);
    administer(second, |it| accounts::set_standing(it, EMAIL, Standing::Suspended)).await;
    assert!(!browser.is_in(first).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nobody_learns_who_has_an_account() {
    let mut postgres = OwnPostgres::start();
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let _database = TestDatabase::make_on(postgres.url(), directory.path()).await;
    let server = Server::open_at(directory, Millis(START)).await;
    server.seed().await;
    give_password(&server).await;
    postgres.stop_at_once();
    let mut answers = Vec::new();
    for email in [EMAIL, "nobody@example.com"] {
        let body = json!({ "email": email, "password": "hunter2-hunter2" });
        let answer = Browser::at(HOME).post(&server, "/v1/account/login", &body).await;
        answers.push((answer.status.as_u16(), answer.error()));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, 503);
    postgres.start_again();
}

#[tokio::test]
async fn the_states_of_an_account_are_enforced_everywhere_as_committed() {
    let states = [Standing::Active, Standing::Suspended, Standing::Banned, Standing::PendingVerification];
    let mut table = String::from(
        "What is answered by the state of an account. Made by accounts.rs: see there.\n\n\
         The session began while the account was active; `kept` is one whose row was put back by hand.\n",
    );
    for state in states {
        let server = server_with_owner().await;
        let assistant =
            Agent { id: uuid(0xa2).parse().unwrap(), public_key: key(0xa2).public_key(), cluster: None, ..agent() };
        server.put(Entity::Agent(assistant)).await;
        let browser = Browser::at(HOME);
        browser.log_in(&server, PASSWORD).await;
        let session = server.engine.app.live.read().state.sessions.values().next().unwrap().clone();
        if state != Standing::Active {
            administer(&server, move |it| accounts::set_standing(it, EMAIL, state)).await;
        }
        let began = browser.get(&server, "/v1/account/whoami").await;
        server.put(Entity::Session(session)).await;
        let assistant = Client::new(uuid(0xa2), 0xa2);
        let answers = [
            ("session request", began),
            ("session request, kept", browser.get(&server, "/v1/account/whoami").await),
            ("login", Browser::at(HOME).log_in(&server, PASSWORD).await),
            ("login, wrong password", Browser::at(HOME).log_in(&server, "hunter2-hunter2").await),
            ("machine read", server.get(&Client::host(), "/v1/secret/sk_db").await),
            ("pod read", server.get(&Client::pod(), "/v1/secret/sk_db").await),
            ("agent request", server.get(&assistant, "/v1/ai/projects/proj_shop/policies").await),
            ("operator request", server.post(&Client::agent(), "/v1/ai/kubernetes/inventory", "{}").await),
        ];
        writeln!(table, "\n== {state:?}").unwrap();
        for (what, answer) in answers {
            let text = answer.json()["error"].as_str().map_or_else(String::new, |it| format!("  {it}"));
            writeln!(table, "  {what:<24} {}{text}", answer.status.as_u16()).unwrap();
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &table).unwrap();
    }
    let committed = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(table == committed, "the table is another one: UPDATE_GOLDEN=1 writes it, git diff shows how\n{table}");
}

#[tokio::test]
async fn what_is_no_request_of_a_page_is_told_what_is_wrong_with_it() {
    let server = server_with_owner().await;
    let browser = Browser::at(HOME);
    let login = async |body: &str| server.send(browser.request("POST", "/v1/account/login", body)).await;
    let email = "x".repeat(255);
    for (body, text) in [
        ("", "the body is not JSON (line 1, column 0)"),
        ("[]", "the body has another shape than this route takes (line 1, column 2)"),
        (
            r#"{"email":"a","password":"b","colour":"c"}"#,
            "the body has another shape than this route takes (line 1, column 36)",
        ),
        (&json!({ "email": email, "password": "x" }).to_string(), "no e-mail address has more than 254 bytes"),
        (&json!({ "email": "x", "password": "y".repeat(40_000) }).to_string(), "the body is larger than 32 KiB"),
    ] {
        let answer = login(body).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, text));
    }
    browser.log_in(&server, PASSWORD).await;
    for (new, text) in [
        ("short", "the password has fewer than 12 characters: choose a longer one"),
        (EMAIL, "the password is the e-mail address: choose another"),
    ] {
        let body = json!({ "currentPassword": PASSWORD, "newPassword": new });
        let answer = browser.post(&server, "/v1/account/password", &body).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, text));
    }
    let body = json!({ "currentPassword": "hunter2-hunter2", "newPassword": "looking at llamas" });
    let answer = browser.post(&server, "/v1/account/password", &body).await;
    let text = "the current password is another one: nothing was changed";
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (403, text));
    // Guessing the password of an open session is guessing.
    for _ in 0..4 {
        assert_eq!(browser.post(&server, "/v1/account/password", &body).await.status, 403);
    }
    assert_eq!(browser.post(&server, "/v1/account/password", &body).await.status, 429);
    assert_eq!(browser.post(&server, "/v1/account/step-up", &json!({ "password": PASSWORD })).await.status, 429);
    let none = browser.post(&server, "/v1/account/sessions/00000000-0000-4000-8000-000000000001/revoke", &Value::Null);
    assert_eq!(none.await.error(), "this account has no session of that id");
}
