//! What pages of others try with a person who has logged in here.

use serde_json::json;

use crate::browser::Browser;
use crate::locator::{button, heading, link, words};
use crate::site::{PASSWORD, Role, Site};
use crate::stranger::{Page, Stranger};

/// The page of a stranger that sends a form to the server, as soon as its button is clicked.
fn form(action: &str, fields: &[(&str, &str)]) -> Page {
    let inputs: String =
        fields.iter().map(|(name, value)| format!("<input type=hidden name='{name}' value='{value}'>")).collect();
    Page::new(format!(
        "<!doctype html><title>Win</title><link rel=icon href='data:,'>
         <form method=post action='{action}'>{inputs}<button>Win</button></form>"
    ))
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing_in_a_persons_name() {
    let Some(site) = Site::new("a_form_of_another_page_changes_nothing_in_a_persons_name").await else { return };
    let url = &site.server.url;
    let projects = format!("{url}/vaults/{}/projects", site.vault);
    let stranger = Stranger::serve([
        ("/project", form(&projects, &[("name", "stolen"), ("description", "")])),
        ("/logout", form(&format!("{url}/logout"), &[])),
        ("/others", form(&format!("{url}/account/sessions/revoke-others"), &[])),
        ("/theme", form(&format!("{url}/theme"), &[("theme", "dark")])),
        ("/login", form(&format!("{url}/login"), &[("email", &Role::Auditor.email()), ("password", PASSWORD)])),
        (
            "/fetch",
            Page::new(format!(
                "<!doctype html><title>Win</title><link rel=icon href='data:,'><p id=done>no</p><script>
                 const send = (type) => fetch('{projects}', {{method: 'POST', mode: 'no-cors', credentials: 'include',
                   headers: {{'content-type': type}}, body: 'name=stolen&description='}});
                 Promise.all([send('application/x-www-form-urlencoded'), send('text/plain')])
                   .finally(() => {{ done.textContent = 'yes'; }});</script>"
            )),
        ),
    ]);
    let stranger = stranger.await;
    let mut browser = site.signed_in(Role::Owner).await;
    let cookies = browser.cookies().await;
    // One at another name, and one that shares the server's: there the cookie goes along, for a port makes no other site.
    for origin in [stranger.origin.clone(), stranger.neighbour()] {
        browser.forgive("status of 403");
        for path in ["/project", "/logout", "/others", "/login"] {
            browser.open(&format!("{origin}{path}")).await;
            browser.click(button("Win")).await;
            browser.wait_for(heading("This was not done")).await;
            let said = browser.text("[role=alert]").await;
            assert_eq!(said, format!("Origin is another than {url}: open the page of this server itself."), "{path}");
        }
        // Its refusal is no page, and has no icon of its own.
        browser.forgive("favicon.ico");
        browser.open(&format!("{origin}/theme")).await;
        browser.click(button("Win")).await;
        browser.wait_for(words("Origin is another than")).await;
        browser.forgive("net::ERR_BLOCKED_BY_RESPONSE");
        browser.forgive("net::ERR_FAILED");
        browser.open(&format!("{origin}/fetch")).await;
        browser.wait_for(words("yes")).await;
    }
    // It is still the same session, of the same person, with the same colours.
    browser.open("/account").await;
    browser.wait_for(words(&Role::Owner.email())).await;
    assert_eq!(browser.cookies().await, cookies);
    browser.close().await;
    let projects = site.server.admin(&["project", "list"]).await;
    assert!(!projects.to_string().contains("stolen"), "{projects}");
}

#[tokio::test]
async fn a_link_of_another_page_leads_on_to_the_page_and_reads_nothing_by_itself() {
    let Some(site) = Site::new("a_link_of_another_page_leads_on_to_the_page_and_reads_nothing_by_itself").await else {
        return;
    };
    let url = &site.server.url;
    let page = Page::new(format!(
        "<!doctype html><title>x</title><link rel=icon href='data:,'><a href='{url}/account'>There</a>"
    ));
    let stranger = Stranger::serve([("/", page)]).await;
    let mut browser = site.signed_in(Role::Manager).await;
    for origin in [stranger.origin.clone(), stranger.neighbour()] {
        browser.open(&origin).await;
        browser.click(link("There")).await;
        browser.wait_for(words("this one")).await;
        assert!(browser.path().await.starts_with("/account"));
        let opener = browser.run("return [window.opener, document.referrer]", json!([])).await;
        assert_eq!(opener[0], json!(null), "{opener}");
    }
    browser.close().await;
}

#[tokio::test]
async fn a_session_that_somebody_else_has_put_there_is_not_taken_over() {
    let Some(site) = Site::new("a_session_that_somebody_else_has_put_there_is_not_taken_over").await else { return };
    // One that was made up, and one that the attacker has logged in with.
    let attacker = site.signed_in(Role::Auditor).await;
    let cookies = attacker.cookies().await;
    let theirs = cookies.iter().find(|it| it["name"] == "sikkerkey-session").unwrap()["value"].as_str().unwrap();
    for planted in [theirs.to_owned(), "ab".repeat(32)] {
        let mut browser = site.browser().await;
        browser.open("/login").await;
        browser.set_cookie(json!({ "name": "sikkerkey-session", "value": planted, "path": "/" })).await;
        browser.log_in(&Role::Owner.email(), PASSWORD).await;
        browser.wait_for(heading("Projects")).await;
        let cookies = browser.cookies().await;
        let sessions: Vec<_> = cookies.iter().filter(|it| it["name"] == "sikkerkey-session").collect();
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        assert_ne!(sessions[0]["value"], json!(planted), "the login made another token");

        // With two of them somebody has put one there: neither is taken.
        browser.set_cookie(json!({ "name": "sikkerkey-session", "value": planted, "path": "/account" })).await;
        browser.open("/account").await;
        browser.wait_path("/login?next=%2Faccount").await;
        browser.close().await;
    }
    // Whoever logs in where a session was ends that: the attacker is out.
    let mut attacker = attacker;
    attacker.open("/account").await;
    attacker.wait_path("/login?next=%2Faccount").await;
    attacker.close().await;
    let mut stranger = site.browser().await;
    stranger.open("/login").await;
    let made_up = json!({ "name": "sikkerkey-session", "value": "ab".repeat(32), "path": "/" });
    stranger.set_cookie(made_up).await;
    stranger.open("/account").await;
    stranger.wait_path("/login?next=%2Faccount").await;
    stranger.close().await;
}

#[tokio::test]
async fn no_page_is_shown_in_a_frame_of_others() {
    let Some(site) = Site::new("no_page_is_shown_in_a_frame_of_others").await else { return };
    let url = &site.server.url;
    let frame = |path: &str| {
        Page::new(format!(
            "<!doctype html><title>x</title><link rel=icon href='data:,'><iframe src='{url}{path}'></iframe>"
        ))
    };
    let stranger = Stranger::serve([("/login", frame("/login")), ("/account", frame("/account")), ("/", frame("/"))]);
    let stranger = stranger.await;
    let mut browser = site.signed_in(Role::Owner).await;
    for origin in [stranger.origin.clone(), stranger.neighbour()] {
        for path in ["/login", "/account", "/"] {
            assert_framed_nowhere(&mut browser, &format!("{origin}{path}")).await;
        }
    }
    browser.close().await;
}

async fn assert_framed_nowhere(browser: &mut Browser, page: &str) {
    let before = browser.complaints().len();
    browser.forgive("frame");
    browser.forgive("ERR_BLOCKED_BY_RESPONSE");
    browser.open(page).await;
    browser.session.post("/frame", json!({ "id": 0 })).await.unwrap();
    assert_eq!(browser.count("form").await + browser.count("main").await, 0, "{page}");
    browser.session.post("/frame", json!({ "id": null })).await.unwrap();
    browser.run("return 1", json!([])).await;
    let said = &browser.complaints()[before..];
    assert!(said.iter().any(|it| it.contains("frame-ancestors") || it.contains("frame")), "{page}: {said:?}");
}

#[tokio::test]
async fn over_tls_a_browser_never_comes_by_plain_http_again() {
    let Some(site) = Site::secured("over_tls_a_browser_never_comes_by_plain_http_again").await else { return };
    let answer = site.http.get(format!("{}/login", site.server.url)).send().await.unwrap();
    assert_eq!(answer.headers().get("strict-transport-security").unwrap(), "max-age=31536000");
    let mut browser = site.browser().await;
    browser.open("/login").await;
    browser.log_in(&Role::Owner.email(), PASSWORD).await;
    browser.wait_for(heading("Projects")).await;
    browser.close().await;
}
