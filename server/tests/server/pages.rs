//! A walk over every page of the dashboard, taken from the server's own list: who gets in, where a stranger and a foreign
//! page get, and what each answer carries. A page that is added is walked without another word.

use std::fmt::Write as _;

use sikkerkey_protocol::account::Role;
use sikkerkey_server::clock::Clock as _;
use sikkerkey_server::http::pages;
use sikkerkey_server::http::route::{Route, Verb};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::account::{Account, Standing};
use sikkerkey_server::model::member::Member;

use crate::browser::{Browser, HOME};
use crate::fixture::*;
use crate::walk::{CANARY, OURS, World};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/pages.txt");

/// Who looks, with the account's id.
const PEOPLE: [(&str, &str); 4] =
    [("owner of another vault", "other"), ("auditor", "auditor"), ("manager", "manager"), ("owner", "account")];

/// The world of the walk with people in it.
struct Scene {
    world: World,
    owner: String,
    /// The number of a row of the audit of the vault.
    seq: u64,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let owner = world.server.engine.app.live.read().state.vaults[&"vault_v".parse().unwrap()].account.clone();
        for (account, role) in [("auditor", Role::Auditor), ("manager", Role::Manager)] {
            let email = format!("{account}@example.com");
            world.server.put(Entity::Account(Account { id: account.into(), email, standing: Standing::Active })).await;
            let since = world.server.clock.now();
            let member = Member { vault: "vault_v".parse().unwrap(), account: account.into(), role, since };
            world.server.put(Entity::Member(member)).await;
        }
        let rows = world.server.engine.app.records.after(0, 1000).await.unwrap();
        let seq = rows.iter().find(|it| it.entry.contains("\"vault\":\"vault_v\"")).unwrap().seq;
        Self { world, owner, seq }
    }

    /// The browser of somebody who has logged in.
    async fn browser(&self, account: &str) -> Browser {
        let account = if account == "account" { self.owner.as_str() } else { account };
        Browser::of(&self.world.server, account).await
    }

    /// The address of a page, with what the world has in its places.
    fn target(&self, route: &Route) -> String {
        let place = |part: &str| match part {
            "{seq}" => self.seq.to_string(),
            "{session}" => "none".to_owned(),
            "{command}" => "0".repeat(64),
            part if part.starts_with('{') => {
                let known = self.world.ids.get(part).cloned();
                known.unwrap_or_else(|| panic!("the world of the walk has nothing for {part} of {}", route.path))
            }
            part => part.to_owned(),
        };
        route.path.split('/').map(place).collect::<Vec<_>>().join("/")
    }
}

async fn ask(scene: &Scene, browser: &Browser, route: &Route) -> Answer {
    let target = scene.target(route);
    match route.verb {
        Verb::Get => browser.page(&scene.world.server, &target).await,
        Verb::Post => browser.form(&scene.world.server, &target, &[]).await,
    }
}

fn of_vault(route: &Route) -> bool {
    route.path.starts_with("/vaults/{vault}/")
}

#[tokio::test]
async fn who_gets_to_a_page_is_as_committed() {
    let mut table = String::from("Status by page and person. A form is sent empty. Made by pages.rs: see there.\n");
    let shared = Scene::new().await;
    for route in pages() {
        writeln!(table, "\n{:?} {}", route.verb, route.path).unwrap();
        // What a form changes must not be another's.
        let own;
        let scene = if route.verb == Verb::Get {
            &shared
        } else {
            own = Scene::new().await;
            &own
        };
        let nobody = ask(scene, &Browser::at(HOME), &route).await;
        writeln!(table, "  {:<24} {}", "nobody", nobody.status.as_u16()).unwrap();
        for (name, account) in PEOPLE {
            let browser = scene.browser(account).await;
            let answer = ask(scene, &browser, &route).await;
            writeln!(table, "  {name:<24} {}", answer.status.as_u16()).unwrap();
            assert!(!answer.status.is_server_error(), "{} {name}: {}", route.path, answer.text());
            assert!(!answer.text().contains(CANARY), "{} shows {name} a value: {}", route.path, answer.text());
            if name == "owner of another vault" && of_vault(&route) {
                assert_eq!(answer.status, 404, "{}: {}", route.path, answer.text());
                assert!(!answer.text().contains(OURS), "{} shows a stranger a name: {}", route.path, answer.text());
            }
            if route.verb == Verb::Get && of_vault(&route) && name == "owner" {
                assert_eq!(answer.status, 200, "{}: {}", route.path, answer.text());
            }
            if route.verb == Verb::Post && of_vault(&route) && name == "auditor" {
                assert_eq!(answer.status, 403, "{}: {}", route.path, answer.text());
            }
        }
        if of_vault(&route) {
            let (status, shown) = (nobody.status.as_u16(), nobody.text());
            assert_eq!(status, if route.verb == Verb::Get { 303 } else { 401 }, "{}: {shown}", route.path);
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &table).unwrap();
    }
    let committed = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(table == committed, "the matrix is another one: UPDATE_GOLDEN=1 writes it, git diff shows how");
}

#[tokio::test]
async fn a_form_on_a_page_of_others_does_nothing() {
    let scene = Scene::new().await;
    for route in pages().iter().filter(|it| it.verb == Verb::Post) {
        let mut browser = scene.browser("account").await;
        browser.origin = "https://evil.example.com";
        let answer = ask(&scene, &browser, route).await;
        assert_eq!(answer.status, 403, "{}: {}", route.path, answer.text());
        assert!(answer.text().contains("Origin is another than"), "{}: {}", route.path, answer.text());
    }
}

#[tokio::test]
async fn every_page_is_kept_from_frames_scripts_and_caches() {
    let scene = Scene::new().await;
    let browser = scene.browser("account").await;
    for route in pages().iter().filter(|it| it.verb == Verb::Get) {
        let answer = ask(&scene, &browser, route).await;
        let header = |name: &str| answer.headers.get(name).map_or("", |it| it.to_str().unwrap());
        if !header("content-type").starts_with("text/html") {
            continue;
        }
        let policy = header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(directive), "{}: {policy}", route.path);
        }
        assert_eq!(header("cache-control"), "no-store", "{}", route.path);
        assert_eq!(header("x-frame-options"), "DENY", "{}", route.path);
        assert_eq!(header("referrer-policy"), "same-origin", "{}", route.path);
        let text = answer.text();
        for inline in ["<script>", "style=\"", "onclick=", "onload=", "javascript:"] {
            assert!(!text.contains(inline), "{} has {inline}", route.path);
        }
        assert!(text.len() < 100_000, "{} has {} bytes", route.path, text.len());
    }
}

#[tokio::test]
async fn a_link_from_elsewhere_leads_to_a_doorstep_that_asks_again() {
    let scene = Scene::new().await;
    let browser = scene.browser("account").await;
    let mut request = browser.request("GET", "/vaults/vault_v/projects?q=a", "");
    for (name, value) in &mut request.headers {
        if *name == "sec-fetch-site" {
            *value = "cross-site".into();
        }
    }
    request.headers.push(("sec-fetch-mode", "navigate".into()));
    let answer = scene.world.server.send(request).await;
    assert_eq!(answer.status, 200);
    let to = "/vaults/vault_v/projects?q=a&amp;said=link";
    assert!(answer.text().contains(&format!("content=\"0; url={to}\"")), "{}", answer.text());
    assert!(!answer.text().contains(OURS), "{}", answer.text());
}

#[tokio::test]
async fn a_page_that_stays_open_is_audited_once_and_keeps_no_session_from_ending() {
    let scene = Scene::new().await;
    let server = &scene.world.server;
    let browser = scene.browser("account").await;
    let looks = async || server.audit().await.iter().filter(|it| it.detail.contains("the projects")).count();
    let before = looks().await;
    assert_eq!(browser.page(server, "/vaults/vault_v/projects").await.status, 200);
    for _ in 0..29 {
        server.clock.advance_seconds(60);
        let mut request = browser.request("GET", "/vaults/vault_v/projects", "");
        request.headers.push(("sikkerkey-by-itself", "1".into()));
        assert_eq!(server.send(request).await.status, 200);
    }
    assert_eq!(looks().await - before, 3, "a row when it is opened, and one each ten minutes");
    server.clock.advance_seconds(60);
    let mut request = browser.request("GET", "/vaults/vault_v/projects", "");
    request.headers.push(("sikkerkey-by-itself", "1".into()));
    assert_eq!(server.send(request).await.status, 401, "half an hour after the person did something");
}

#[tokio::test]
async fn what_is_not_there_is_told_to_people_as_a_page_and_to_programs_as_json() {
    let scene = Scene::new().await;
    for (target, accept, is_page) in [
        ("/nothing", "text/html,application/xhtml+xml", true),
        ("/nothing", "*/*", false),
        ("/v1/nothing", "text/html", false),
    ] {
        let mut request = Browser::at(HOME).request("GET", target, "");
        request.headers.push(("accept", accept.into()));
        let answer = scene.world.server.send(request).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.text().contains("There is nothing at this address."), is_page, "{}", answer.text());
        assert_eq!(answer.text().contains(r#"{"error":"no such route"}"#), !is_page, "{}", answer.text());
    }
}

#[tokio::test]
async fn one_address_that_asks_about_two_things_is_audited_for_each() {
    let scene = Scene::new().await;
    let server = &scene.world.server;
    let browser = scene.browser("account").await;
    let looks = async || {
        let rows = server.audit().await;
        rows.iter().filter(|it| it.detail.contains("tried on the reads of the last week")).count()
    };
    let check = async |fields: &[(&str, &str)]| {
        let answer = browser.form(server, "/vaults/vault_v/policies/check", fields).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    check(&[("project", "proj_ci"), ("name", "hours")]).await;
    assert_eq!(looks().await, 0);
    for _ in 0..2 {
        check(&[("project", "proj_ci"), ("name", "hours"), ("act", "past")]).await;
    }
    assert_eq!(looks().await, 1);
    check(&[("project", "proj_payments"), ("name", "hours"), ("act", "past")]).await;
    assert_eq!(looks().await, 2);
}

#[tokio::test]
async fn whoever_says_that_a_form_is_sent_by_itself_uses_the_session_all_the_same() {
    let scene = Scene::new().await;
    let server = &scene.world.server;
    let browser = scene.browser("account").await;
    server.clock.advance_seconds(20 * 60);
    let mut request = browser.request("POST", "/vaults/vault_v/projects", "name=other");
    for (name, value) in &mut request.headers {
        if *name == "content-type" {
            *value = "application/x-www-form-urlencoded".into();
        }
    }
    request.headers.push(("sikkerkey-by-itself", "1".into()));
    assert_eq!(server.send(request).await.status, 303);
    let used = server.engine.app.live.read().state.sessions[&scene.owner].used_at;
    assert_eq!(used, server.clock.now());
}
