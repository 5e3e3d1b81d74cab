//! The pages of secrets, from the login to what a machine reads, and what no page ever shows.

use sikkerkey_protocol::account::Role;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::member::Member;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::{Secret, SecretPhase};

use crate::browser::{Browser, HOME, PASSWORD, server_with_owner};
use crate::fixture::*;

pub const VAULT: &str = "/vaults/vault_v";

/// A server whose owner has logged in, with a project `ci` that takes secrets by hand and the host as its member.
pub async fn desk() -> (Server, Browser) {
    let server = server_with_owner().await;
    server.put(Entity::Project(Project { namespace: None, ..server.project("ci") })).await;
    server.put(Entity::Membership(member("ci"))).await;
    let browser = Browser::at(HOME);
    assert_eq!(browser.log_in(&server, PASSWORD).await.status, 200);
    (server, browser)
}

/// Sends a form and goes where it leads. No page shows what begins with `hunter`.
pub async fn send(server: &Server, browser: &Browser, rest: &str, fields: &[(&str, &str)]) -> String {
    let answer = browser.form(server, &format!("{VAULT}/{rest}"), fields).await;
    assert_eq!(answer.status, 303, "{rest}: {}", answer.text());
    let to = answer.headers["location"].to_str().unwrap().to_owned();
    assert!(!to.contains("hunter"), "{to}");
    let page = browser.page(server, &to).await;
    assert_eq!(page.status, 200, "{to}: {}", page.text());
    assert!(page.text().contains("role=\"status\""), "{to} says nothing was done");
    assert!(!page.text().contains("hunter"), "{to} shows a value");
    to
}

/// Sends a form that is refused. What was typed is not repeated.
pub async fn refused(server: &Server, browser: &Browser, rest: &str, fields: &[(&str, &str)], status: u16, text: &str) {
    let answer = browser.form(server, &format!("{VAULT}/{rest}"), fields).await;
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(text), "{}", answer.text());
    assert!(!answer.text().contains("hunter"), "a value is repeated: {}", answer.text());
}

pub async fn shown(server: &Server, browser: &Browser, rest: &str) -> String {
    let page = browser.page(server, &format!("{VAULT}/{rest}")).await;
    assert_eq!(page.status, 200, "{rest}: {}", page.text());
    assert!(!page.text().contains("hunter"), "{rest} shows a value");
    page.text().to_owned()
}

/// What the host reads, or the status.
pub async fn read(server: &Server, secret: &str) -> Result<String, u16> {
    let answer = server.get(&Client::host(), &format!("/v1/secret/{secret}")).await;
    match answer.status.as_u16() {
        200 => Ok(answer.json()["value"].as_str().unwrap().to_owned()),
        status => Err(status),
    }
}

/// Makes a secret by the form. Returns its id.
async fn create(server: &Server, browser: &Browser, name: &str, fields: &[(&str, &str)]) -> String {
    let mut all = vec![("project", "proj_ci"), ("name", name)];
    all.extend(fields);
    let to = send(server, browser, "secrets", &all).await;
    let id = to.strip_prefix(&format!("{VAULT}/secrets/")).and_then(|it| it.split_once('?')).unwrap().0;
    id.to_owned()
}

async fn let_host_read(server: &Server, secret: &str) {
    let granted = grant(9, Grantee::Machine(host().id), &[secret]);
    server.put(Entity::Grant(Grant { project: "proj_ci".parse().unwrap(), ..granted })).await;
}

#[tokio::test]
async fn a_value_is_typed_replaced_generated_and_rolled_back_and_never_shown() {
    let (server, browser) = desk().await;
    let id = create(&server, &browser, "db", &[("kind", "text"), ("value", "hunter-1\r\nline")]).await;
    let_host_read(&server, &id).await;
    assert_eq!(read(&server, &id).await.unwrap(), "hunter-1\nline");

    let own = |rest: &str| format!("secrets/{id}/{rest}");
    send(&server, &browser, &own("value"), &[("value", "hunter-2")]).await;
    assert_eq!(read(&server, &id).await.unwrap(), "hunter-2");
    send(&server, &browser, &own("rotate"), &[("length", "16"), ("charset", "numbers")]).await;
    let made = read(&server, &id).await.unwrap();
    assert!(made.len() == 16 && made.bytes().all(|it| it.is_ascii_digit()), "{made}");
    send(&server, &browser, &own("rollback"), &[("version", "1")]).await;
    assert_eq!(read(&server, &id).await.unwrap(), "hunter-1\nline");
    refused(&server, &browser, &own("rollback"), &[("version", "77")], 404, "has no version 77").await;
    refused(&server, &browser, &own("value"), &[("value", "")], 400, "There is no value").await;

    let page = shown(&server, &browser, &format!("secrets/{id}")).await;
    assert!(page.contains("rolled back to version 1") && page.contains("build-host"), "{page}");
    // Reads are told, and by whom.
    assert!(page.contains("Last reads and denials") && page.contains(POD_ADDRESS), "{page}");
    assert!(!page.contains(&made), "a value is shown");
}

#[tokio::test]
async fn fields_are_typed_one_by_one_and_the_others_are_made_or_kept() {
    let (server, browser) = desk().await;
    let typed = [
        ("kind", "fields"),
        ("field", "user"),
        ("text", "hunter"),
        ("field", "password"),
        ("text", ""),
        ("field", ""),
        ("text", ""),
        ("length", "20"),
        ("charset", "alphanumeric"),
    ];
    let id = create(&server, &browser, "conn", &typed).await;
    let_host_read(&server, &id).await;
    let fields = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let first = fields(read(&server, &id).await.unwrap());
    assert_eq!((first["user"].as_str(), first["password"].as_str().unwrap().len()), (Some("hunter"), 20));

    let own = |rest: &str| format!("secrets/{id}/{rest}");
    let other = [("field", "user"), ("text", ""), ("field", "password"), ("text", "hunter-3")];
    send(&server, &browser, &own("fields"), &other).await;
    let second = fields(read(&server, &id).await.unwrap());
    assert_eq!((second["user"].as_str(), second["password"].as_str()), (Some("hunter"), Some("hunter-3")));
    send(&server, &browser, &own("rotate"), &[("length", "8"), ("charset", "numbers"), ("field", "password")]).await;
    let third = fields(read(&server, &id).await.unwrap());
    assert_eq!((third["user"].as_str(), third["password"].as_str().unwrap().len()), (Some("hunter"), 8));
    let unknown = [("field", "hunter-9"), ("text", "x")];
    refused(&server, &browser, &own("fields"), &unknown, 400, "it has user, password").await;
    let nameless = [("project", "proj_ci"), ("name", "x"), ("kind", "fields"), ("field", ""), ("text", "hunter-4")];
    refused(&server, &browser, "secrets", &nameless, 400, "Field 1 has a text and no name").await;
}

#[tokio::test]
async fn a_schedule_is_set_paused_and_removed_and_guards_the_value_meanwhile() {
    let (server, browser) = desk().await;
    let id = create(&server, &browser, "db", &[("kind", "generated"), ("length", "8")]).await;
    let own = |rest: &str| format!("secrets/{id}/{rest}");
    send(&server, &browser, &own("schedule"), &[("every", "2"), ("unit", "hours"), ("length", "12")]).await;
    let page = shown(&server, &browser, &format!("secrets/{id}")).await;
    assert!(page.contains("every 2 hours") && !page.contains("Replace the value"), "{page}");
    refused(&server, &browser, &own("value"), &[("value", "hunter-1")], 409, "pause it where its schedule is shown")
        .await;
    send(&server, &browser, &own("schedule/pause"), &[("enabled", "false")]).await;
    send(&server, &browser, &own("value"), &[("value", "hunter-1")]).await;
    refused(&server, &browser, &own("schedule"), &[("every", "1"), ("unit", "minutes")], 400, "from 300 to 2592000")
        .await;
    send(&server, &browser, &own("schedule/delete"), &[]).await;
    assert!(shown(&server, &browser, &format!("secrets/{id}")).await.contains("It is not renewed by itself."));
}

#[tokio::test]
async fn a_canary_springs_freezes_and_the_project_is_opened_again() {
    let (server, browser) = desk().await;
    let id = create(&server, &browser, "admin-key", &[("kind", "canary"), ("freeze", "true")]).await;
    let other = create(&server, &browser, "db", &[("kind", "text"), ("value", "hunter-1")]).await;
    let_host_read(&server, &other).await;
    let granted = grant(8, Grantee::Machine(host().id), &[&id]);
    server.put(Entity::Grant(Grant { project: "proj_ci".parse().unwrap(), ..granted })).await;
    assert_eq!(read(&server, &id).await.unwrap().len(), 64);
    assert_eq!(read(&server, &other).await, Err(423));
    assert!(shown(&server, &browser, "secrets?only=canaries").await.contains("admin-key"));
    let why = shown(&server, &browser, "projects/proj_ci/unfreeze").await;
    assert!(why.contains("admin-key") && why.contains("build-host") && why.contains(POD_ADDRESS), "{why}");
    send(&server, &browser, "projects/proj_ci/unfreeze", &[]).await;
    assert_eq!(read(&server, &other).await.unwrap(), "hunter-1");

    // Not armed, and then an ordinary secret, it freezes nothing.
    let page = shown(&server, &browser, &format!("secrets/{id}")).await;
    let (_, seen) = page.split_once("name=\"seen\" value=\"").unwrap();
    let fields = [("freeze", "true"), ("seen", seen.split_once('"').unwrap().0)];
    send(&server, &browser, &format!("secrets/{id}/canary"), &fields).await;
    // The same page again shows what is not so any more.
    let text = "t does something else as a canary meanwhile: open the page again";
    refused(&server, &browser, &format!("secrets/{id}/canary"), &fields, 409, text).await;
    assert_eq!(read(&server, &id).await.unwrap().len(), 64);
    assert_eq!(read(&server, &other).await.unwrap(), "hunter-1");
    let text = "is a canary, whose value stays as it is";
    refused(&server, &browser, &format!("secrets/{id}/value"), &[("value", "hunter-2")], 409, text).await;
    send(&server, &browser, &format!("secrets/{id}/canary/remove"), &[]).await;
    send(&server, &browser, &format!("secrets/{id}/value"), &[("value", "hunter-2")]).await;
    assert_eq!(read(&server, &id).await.unwrap(), "hunter-2");
}

#[tokio::test]
async fn what_goes_into_the_trash_is_refused_at_once_comes_back_and_is_purged_by_its_name() {
    let (server, browser) = desk().await;
    let id = create(&server, &browser, "db", &[("kind", "text"), ("value", "hunter-1")]).await;
    let_host_read(&server, &id).await;
    let preview = shown(&server, &browser, &format!("secrets/{id}/delete")).await;
    assert!(preview.contains("build-host") && read(&server, &id).await.is_ok(), "{preview}");
    send(&server, &browser, &format!("secrets/{id}/delete"), &[]).await;
    assert_eq!(read(&server, &id).await, Err(404));
    assert!(shown(&server, &browser, "trash?q=db").await.contains("db"));
    send(&server, &browser, &format!("trash/{id}/restore"), &[]).await;
    assert_eq!(read(&server, &id).await.unwrap(), "hunter-1");

    send(&server, &browser, &format!("secrets/{id}/delete"), &[]).await;
    shown(&server, &browser, &format!("trash/{id}/purge")).await;
    let text = "The name to confirm with is not that of the secret";
    refused(&server, &browser, &format!("trash/{id}/purge"), &[("name", "hunter")], 409, text).await;
    send(&server, &browser, &format!("trash/{id}/purge"), &[("name", "db")]).await;
    assert!(shown(&server, &browser, "trash").await.contains("The trash is empty"));
    refused(&server, &browser, &format!("trash/{id}/restore"), &[], 404, "The trash of this vault has no secret").await;
}

#[tokio::test]
async fn a_policy_guards_a_secret_from_its_page_and_name_and_note_are_changed_there() {
    let (server, browser) = desk().await;
    let id = create(&server, &browser, "db", &[("kind", "text"), ("value", "hunter-1")]).await;
    let_host_read(&server, &id).await;
    let document = sikkerkey_protocol::policy::PolicyDocument {
        ip_allowlist: Some(vec!["203.0.113.0/24".into()]),
        ..Default::default()
    };
    let guard = sikkerkey_server::model::policy::Policy { project: "proj_ci".parse().unwrap(), ..policy(document) };
    server.put(Entity::Policy(guard.clone())).await;
    let own = |rest: &str| format!("secrets/{id}/{rest}");
    send(&server, &browser, &own("policy"), &[("policy", &guard.id), ("was", "")]).await;
    assert_eq!(read(&server, &id).await, Err(403));
    // A page that showed none takes off nothing.
    let text = "nother policy guards it meanwhile, or none: open the page again";
    refused(&server, &browser, &own("policy"), &[("policy", ""), ("was", "")], 409, text).await;
    // One that is not in force is what is chosen, and a mere Save sends no choice.
    let withdrawn = sikkerkey_server::model::policy::Policy { withdrawn: true, ..guard.clone() };
    server.put(Entity::Policy(withdrawn)).await;
    let page = shown(&server, &browser, &format!("secrets/{id}")).await;
    let lost = r#"<option value="" disabled selected>guard (not in force: nobody reads it)</option>"#;
    assert!(page.contains(lost) && page.contains(r#"name="was" value="guard""#), "{page}");
    let text = "open the page again and fill it in there";
    refused(&server, &browser, &own("policy"), &[("was", "guard")], 400, text).await;
    assert_eq!(read(&server, &id).await, Err(403));
    send(&server, &browser, &own("policy"), &[("policy", ""), ("was", "guard")]).await;
    assert_eq!(read(&server, &id).await.unwrap(), "hunter-1");
    send(&server, &browser, &own("name"), &[("name", "<b>db</b>")]).await;
    send(&server, &browser, &own("note"), &[("note", "<script>alert(1)</script>\r\nof the till")]).await;
    for page in ["secrets".to_owned(), format!("secrets/{id}"), own("access"), own("delete")] {
        let page = shown(&server, &browser, &page).await;
        assert!(!page.contains("<b>db") && !page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;b&gt;db&lt;/b&gt;"), "{page}");
    }
}

#[tokio::test]
async fn what_an_object_stands_for_is_shown_with_its_manifest_and_not_changed() {
    let (server, browser) = desk().await;
    let page = shown(&server, &browser, "secrets/sk_db").await;
    assert!(page.contains("Managed by Kubernetes") && page.contains("kind: Secret"), "{page}");
    for form in ["/rotate\"", "/schedule\"", "/name\"", "/note\"", "/policy\"", "/delete\""] {
        assert!(!page.contains(form), "{form} is offered");
    }
    let text = "Secret shop/db of cluster prod stands for it: edit or delete that object";
    refused(&server, &browser, "secrets/sk_db/rotate", &[("length", "8")], 409, text).await;
    refused(&server, &browser, "secrets/sk_db/delete", &[], 409, text).await;
}

#[tokio::test]
async fn an_auditor_is_offered_nothing_and_refused_everything_and_a_stranger_finds_nothing() {
    let (server, browser) = desk().await;
    let id = create(&server, &browser, "db", &[("kind", "text"), ("value", "hunter-1")]).await;
    // The owner's vault is given to somebody else, and the account is an auditor of it.
    let vault: sikkerkey_protocol::id::VaultId = "vault_v".parse().unwrap();
    let other = sikkerkey_server::model::account::Account {
        id: "other".into(),
        email: "other@example.com".into(),
        ..account(sikkerkey_server::model::account::Standing::Active)
    };
    server.put(Entity::Account(other)).await;
    let moved =
        sikkerkey_server::model::account::Vault { id: vault.clone(), account: "other".into(), name: "team".into() };
    server.put(Entity::Vault(moved)).await;
    refused(&server, &browser, &format!("secrets/{id}/value"), &[("value", "hunter-2")], 404, "There is no such vault")
        .await;
    assert_eq!(browser.page(&server, &format!("{VAULT}/secrets")).await.status, 404);
    let auditor =
        Member { vault, account: "account".into(), role: Role::Auditor, since: server.engine.app.clock.now() };
    server.put(Entity::Member(auditor)).await;
    let page = shown(&server, &browser, &format!("secrets/{id}")).await;
    assert!(!page.contains(&format!("action=\"{VAULT}")), "a form is offered: {page}");
    assert!(!shown(&server, &browser, "secrets").await.contains("secrets/new"));
    let text = "This needs the role manager in the vault";
    refused(&server, &browser, &format!("secrets/{id}/value"), &[("value", "hunter-2")], 403, text).await;
    let mut foreign = Browser::at(HOME);
    foreign.set_token(browser.token());
    foreign.origin = "https://evil.example.com";
    refused(&server, &foreign, &format!("secrets/{id}/delete"), &[], 403, "Origin is another than").await;
}

#[tokio::test]
async fn a_page_stays_small_with_many_secrets() {
    let (server, browser) = desk().await;
    let many = (0..2_000).map(|it| {
        let name = format!("service-{it:05}-of-a-long-name");
        sikkerkey_server::model::Change::put(Entity::Secret(Secret {
            id: format!("sk_many{it}").parse().unwrap(),
            managed: None,
            name,
            phase: SecretPhase::Active,
            ..secret("x", "ci")
        }))
    });
    server.apply(many.collect()).await.unwrap();
    for rest in [
        "secrets".to_owned(),
        format!("machines/{}/access?project=proj_ci", host().id),
        "secrets?sort=-read&page=7".into(),
    ] {
        let page = shown(&server, &browser, &rest).await;
        assert!(page.len() < 100_000, "{rest}: {} bytes", page.len());
        assert!(page.contains("service-0"), "{rest}");
    }
    assert!(shown(&server, &browser, "secrets?q=01999").await.contains("service-01999"));
}
