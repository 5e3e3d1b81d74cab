use std::path::Path;

use axum::Router;
use axum::http::HeaderMap;
use http_body_util::BodyExt as _;
use tower_service::Service as _;

use super::*;
use crate::audit::entry::Action;
use crate::crypto::root_key::Source as RootKey;
use crate::decision::{Context, Decided};
use crate::engine::{DataPlace, Engine, Options};
use crate::usecase::admin::{allowlist, machine, vault as vaults};
use crate::writer::ChangeRequest;

const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const AUTHORITY: &str =
    "-----BEGIN CERTIFICATE-----\nMIIBAuthorityOfTheTestsWhichIsNoRealOneAtAll+/8=\n-----END CERTIFICATE-----\n";

fn golden(name: &str, text: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/bootstrap/golden")).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    assert!(text == std::fs::read_to_string(&path).unwrap_or_default(), "{name}: UPDATE_GOLDEN=1 rewrites it");
}

fn rendered(script: Script, authority: Option<&str>) -> String {
    let vault = "vault_a1b2c3d4e5".parse().unwrap();
    script.render(&Values { url: "https://sikkerkey.example.com", vault: &vault, token: TOKEN, authority })
}

#[test]
fn the_scripts_are_the_committed_ones() {
    golden("host.sh", &rendered(Script::Host, None));
    golden("k8s.sh", &rendered(Script::Kubernetes, Some(AUTHORITY)));
    golden("host.ps1", &rendered(Script::PowerShell, Some(AUTHORITY)));
    let said = "it's over: ask for \"another\" $(command) `now` \\ %s\u{2019}";
    golden("refusal.sh", &Script::Host.refusal("it's over: ask for another"));
    golden("refusal.ps1", &Script::PowerShell.refusal(said));
}

#[test]
fn every_place_is_filled_in_every_script() {
    for script in [Script::Host, Script::Kubernetes, Script::PowerShell] {
        for authority in [None, Some(AUTHORITY)] {
            let text = rendered(script, authority);
            for place in ["@TOKEN@", "@VAULT@", "@CA@", "@URL@"] {
                assert!(!text.contains(place), "{place} in {script:?}");
            }
            assert!(text.contains(&format!("'{TOKEN}'")) && text.contains("'https://sikkerkey.example.com'"));
        }
    }
}

#[test]
fn an_address_names_a_script_or_nothing() {
    let of = |path| Address::of(path).map(|it| (it.script, it.asked.token, it.asked.temporary_in));
    assert_eq!(of("/v1/bootstrap/ab"), Some((Script::Host, "ab", None)));
    assert_eq!(of("/v1/bootstrap/ab/ps"), Some((Script::PowerShell, "ab", None)));
    assert_eq!(of("/v1/bootstrap/ab/k8s"), Some((Script::Kubernetes, "ab", None)));
    assert_eq!(of("/v1/vault_v/temp-bootstrap/ab"), Some((Script::Host, "ab", Some("vault_v"))));
    assert_eq!(of("/v1/vault_v/temp-bootstrap/ab/ps"), Some((Script::PowerShell, "ab", Some("vault_v"))));
    for path in
        ["/v1/bootstrap", "/v1/bootstrap/register", "/v1/bootstrap/ab/x", "/v1/vault_v/temp-bootstrap/ab/k8s", "/"]
    {
        assert_eq!(of(path), None, "{path}");
    }
}

struct Server {
    engine: Engine,
    router: Router,
    _data: tempfile::TempDir,
}

impl Server {
    async fn open() -> (Self, VaultId) {
        let data = tempfile::tempdir().unwrap();
        let place = DataPlace::Directory(data.path().join("data"));
        let public_url = "https://sikkerkey.example.com".into();
        let engine = Engine::open(Options { public_url, ..Options::new(place, RootKey::Beside) }).await.unwrap();
        let router = crate::http::router(engine.app.clone());
        let server = Self { engine, router, _data: data };
        let vault = server.by_person(|it| vaults::create(it, "team", "team@example.com")).await;
        (server, vault)
    }

    async fn by_person<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Context<'_>) -> Decided<T> + Send + 'static,
    ) -> T {
        let (decide, actor) = (Box::new(decide), Actor::Administrator);
        let request = ChangeRequest { spend: None, actor, source_ip: None, what: "test", decide };
        self.engine.app.writer.change(request).await.unwrap()
    }

    async fn token(&self, vault: &VaultId) -> String {
        let vault = vault.clone();
        self.by_person(move |it| machine::bootstrap(it, &vault, None)).await.0.expose().to_owned()
    }

    async fn get(&self, path: &str) -> (u16, HeaderMap, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let (parts, body) = self.router.clone().call(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (parts.status.as_u16(), parts.headers, String::from_utf8(body).unwrap())
    }

    fn counted(&self, kind: ActivityKind) -> u64 {
        self.engine.app.floods.take().iter().filter(|(key, _)| key.kind == kind).map(|(_, it)| it.count).sum()
    }
}

#[tokio::test]
async fn a_good_token_gets_the_script_as_often_as_it_is_asked_for_and_each_time_is_counted() {
    let (server, vault) = Server::open().await;
    let token = server.token(&vault).await;
    for _ in 0..2 {
        let (status, headers, body) = server.get(&format!("/v1/bootstrap/{token}")).await;
        assert_eq!(
            (status, &headers[CACHE_CONTROL], &headers[CONTENT_TYPE]),
            (200, &HeaderValue::from_static("no-store"), &HeaderValue::from_static("text/plain; charset=utf-8"))
        );
        assert!(body.starts_with("#!/bin/sh\n") && body.ends_with("\nsikkerkey_bootstrap \"$@\"\n"));
        assert!(body.contains(&format!("token='{token}'")) && body.contains(&format!("vault='{vault}'")));
    }
    let (status, _, body) = server.get(&format!("/v1/bootstrap/{token}/ps")).await;
    assert!(status == 200 && body.contains(&format!("$token = '{token}'")));
    assert_eq!(server.counted(ActivityKind::BootstrapScript), 3);
}

#[tokio::test]
async fn a_bad_token_is_answered_by_a_script_that_says_so_and_ends_with_an_error() {
    let (server, vault) = Server::open().await;
    let (status, headers, body) = server.get(&format!("/v1/bootstrap/{TOKEN}")).await;
    assert_eq!((status, &headers[CACHE_CONTROL]), (401, &HeaderValue::from_static("no-store")));
    assert_eq!(
        body,
        "#!/bin/sh\nprintf '%s\\n' 'sikkerkey: this command'\\''s token is not known here, or ended some time ago: ask for a new \
         command: sikkerkey-server admin machine bootstrap, or kubectl sikkerkey bootstrap' >&2\nexit 1\n"
    );
    let (status, _, body) = server.get(&format!("/v1/{vault}/temp-bootstrap/{TOKEN}/ps")).await;
    assert!(status == 401 && body.starts_with("throw 'sikkerkey: this command''s token is not known here"), "{body}");
    let rows = server.engine.app.records.after(0, 100).await.unwrap();
    let last: crate::audit::entry::Entry = serde_json::from_str(&rows.last().unwrap().entry).unwrap();
    assert_eq!((last.action, last.actor), (Action::AuthFailure, Actor::Anonymous));
}

#[tokio::test]
async fn what_is_no_token_never_stands_in_a_script() {
    let (server, _) = Server::open().await;
    for bad in ["xyzzy", "%27;id;%27", "$(id)", &TOKEN.to_uppercase(), &format!("{TOKEN}0")] {
        let (status, _, body) = server.get(&format!("/v1/bootstrap/{bad}")).await;
        assert_eq!(status, 404, "{bad}");
        assert!(body.contains("sikkerkey: this address has no token in it") && !body.contains(bad), "{body}");
    }
    assert_eq!(server.counted(ActivityKind::Malformed), 5);
}

#[tokio::test]
async fn whoever_guesses_tokens_is_locked_out_by_a_script_too() {
    let (server, _) = Server::open().await;
    let mut last = (0, HeaderMap::new(), String::new());
    for n in 0..200 {
        last = server.get(&format!("/v1/bootstrap/{n:064x}")).await;
        if last.0 != 401 {
            break;
        }
    }
    let (status, headers, body) = last;
    assert!(status == 429 && headers.contains_key(RETRY_AFTER), "{status}");
    assert!(body.starts_with("#!/bin/sh\n") && body.ends_with(" >&2\nexit 1\n"), "{body}");
}

#[tokio::test]
async fn an_address_that_may_not_connect_gets_no_script() {
    let (server, vault) = Server::open().await;
    let token = server.token(&vault).await;
    let at = vault.clone();
    server.by_person(move |it| allowlist::add(it, &at, "192.0.2.0/24", String::new())).await;
    server.by_person(move |it| allowlist::switch(it, &vault, true)).await;
    let (status, _, body) = server.get(&format!("/v1/bootstrap/{token}")).await;
    assert!((status, body.contains("Access denied"), body.contains(&token)) == (403, true, false), "{status} {body}");
}
