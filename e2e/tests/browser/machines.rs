//! Machines: the table, the command of a new one until it reads, and what a machine's page changes.

use serde_json::json;

use crate::host::Host;
use crate::locator::{button, field, heading, link, row, words};
use crate::options::{Options, Scripts};
use crate::site::{Role, Site};

/// What a browser's console says of an answer that is a refusal.
const CONFLICT: &str = "status of 409";

#[tokio::test]
async fn a_new_machine_appears_under_its_command_and_reads_once_its_fingerprint_is_approved() {
    let Some(site) =
        Site::new("a_new_machine_appears_under_its_command_and_reads_once_its_fingerprint_is_approved").await
    else {
        return;
    };
    let mut browser = site.signed_in(Role::Manager).await;
    browser.wait_for(words("No machines yet")).await;
    browser.click(link("New machine")).await;
    browser.wait_for(heading("New machine")).await;
    for system in ["macOS", "Windows", "Kubernetes", "CI", "Linux"] {
        browser.click(&format!("ul.tabs a[href$='?for={}']", system.to_lowercase())[..]).await;
        browser.wait_for(&format!("ul.tabs a[aria-current=page][href$='?for={}']", system.to_lowercase())[..]).await;
        browser.axe().await;
    }
    browser.fill(field("Name"), "nas").await;
    browser.click(button("Make the command")).await;
    browser.wait_for(heading("1. Run this in a shell on the host")).await;
    browser.wait_for(button("Copy")).await;
    browser.wait_for(words("Nothing has registered yet")).await;
    browser.axe().await;
    browser.screenshot("machine-command").await;
    let left = browser.text(".countdown").await;
    assert!(left.starts_with("9:") || left == "10:00", "{left}");

    let command = browser.text("#command").await;
    let token = command.split("/bootstrap/").nth(1).unwrap().split(' ').next().unwrap();
    assert!(!browser.url().await.contains(token), "the token stands in the address");
    let host = Host::register(&site, token, json!({ "hostname": "nas.example.com", "os": "Linux" })).await;
    browser.wait_for(words(&host.fingerprint())).await;
    browser.axe().await;
    browser.screenshot("machine-arrived").await;
    assert_eq!(host.get(&site, "/v1/secrets").await.status, 403);
    browser.click(button("Approve nas")).await;
    browser.wait_for(words("The machine is approved.")).await;
    assert_eq!(host.get(&site, "/v1/secrets").await.status, 200);
    browser.axe().await;
    browser.screenshot("machine").await;
    browser.close().await;
}

#[tokio::test]
async fn a_machine_that_registers_appears_in_the_list_by_itself_and_is_denied_there() {
    let Some(site) = Site::new("a_machine_that_registers_appears_in_the_list_by_itself_and_is_denied_there").await
    else {
        return;
    };
    site.machine("web-1", &[]).await;
    let mut browser = site.signed_in(Role::Owner).await;
    browser.wait_for(row("web-1")).await;
    let host = site.pending("stranger").await;
    browser.wait_for(words(&host.fingerprint())).await;
    browser.axe().await;
    browser.screenshot("machines").await;
    browser.click(button("Deny stranger")).await;
    browser.wait_for(words("The machine was denied")).await;
    browser.wait_gone(row("stranger")).await;
    assert_eq!(host.get(&site, "/v1/secrets").await.status, 401);
    browser.close().await;
}

#[tokio::test]
async fn the_list_is_searched_while_one_types_and_sorted_by_its_heads() {
    let Some(site) = Site::new("the_list_is_searched_while_one_types_and_sorted_by_its_heads").await else { return };
    for name in ["alpha", "beta", "gamma"] {
        site.machine(name, &[]).await;
    }
    let mut browser = site.signed_in(Role::Auditor).await;
    browser.wait_for(row("alpha")).await;
    assert_eq!(browser.count(link("New machine")).await, 0, "an auditor is offered a change");
    browser.fill(field("Search"), "BET").await;
    browser.wait_gone(row("alpha")).await;
    browser.wait_for(row("beta")).await;
    assert!(browser.path().await.ends_with("?q=BET"), "{}", browser.path().await);
    browser.open(&format!("/vaults/{}/machines", site.vault)).await;
    browser.click(link("Name")).await;
    browser.wait_for("th[aria-sort=ascending]").await;
    browser.click(link("Name")).await;
    browser.wait_for("th[aria-sort=descending]").await;
    assert_eq!(browser.texts("tbody th a").await, ["gamma", "beta", "alpha"]);
    browser.axe().await;
    browser.close().await;
}

#[tokio::test]
async fn what_a_machine_s_page_says_holds_for_its_next_request() {
    let Some(site) = Site::new("what_a_machine_s_page_says_holds_for_its_next_request").await else { return };
    site.project("shop").await;
    let secret = site.secret("shop", "db", "hunter2").await;
    let host = site.machine("web-1", &["shop"]).await;
    site.grant(&host, &[&secret]).await;
    assert_eq!(host.read(&site, &secret).await.as_deref(), Ok("hunter2"));
    let mut browser = site.signed_in(Role::Manager).await;
    browser.click(link("web-1")).await;
    browser.wait_for(heading("Last reads and denials")).await;
    browser.wait_for(link("db")).await;
    browser.axe().await;
    browser.screenshot("machine-with-grants").await;
    browser.click(button("Disable")).await;
    browser.wait_for(words("The machine is disabled")).await;
    assert_eq!(host.read(&site, &secret).await.unwrap_err().0, 403);
    browser.click(button("Enable")).await;
    browser.wait_for(words("The machine is enabled.")).await;

    browser.fill(field("Only from these addresses"), "192.0.2.0/24").await;
    browser.click(button("Save")).await;
    browser.wait_for(words("The guardrails hold from the next request on.")).await;
    assert_eq!(host.read(&site, &secret).await.unwrap_err().0, 403);
    browser.fill(field("Name"), "web-2").await;
    browser.click(button("Rename")).await;
    browser.wait_for(heading("Machine web-2")).await;
    browser.wait_for(heading("Earlier names")).await;

    browser.click(link("Revoke…")).await;
    browser.wait_for(heading("Revoke web-2")).await;
    browser.axe().await;
    browser.screenshot("machine-revoke").await;
    browser.click(button("Revoke it")).await;
    browser.wait_for(words("Revoked: its requests are refused from now on.")).await;
    assert_eq!(host.read(&site, &secret).await.unwrap_err().0, 401);
    browser.close().await;
}

#[tokio::test]
async fn an_approval_is_of_the_key_that_was_shown_without_scripts_too() {
    let Some(site) = Site::new("an_approval_is_of_the_key_that_was_shown_without_scripts_too").await else { return };
    let host = site.pending("nas").await;
    let without = Options { scripts: Scripts::Blocked, ..Options::default() };
    let mut browser = site.signed_in_with(Role::Owner, without).await;
    browser.wait_for(words(&host.fingerprint())).await;
    browser.click(button("Approve nas")).await;
    browser.wait_for(words("The machine is approved.")).await;
    assert_eq!(host.get(&site, "/v1/secrets").await.status, 200);

    // Another key than the one that was shown is not approved.
    let host = site.pending("box").await;
    let mut browser = {
        browser.close().await;
        site.signed_in(Role::Owner).await
    };
    browser.wait_for(words(&host.fingerprint())).await;
    browser.run("document.querySelector('[name=fingerprint]').value = 'SHA256:0'", json!([])).await;
    browser.forgive(CONFLICT);
    browser.click(button("Approve box")).await;
    browser.wait_for(words("it is not the one that was looked at")).await;
    assert_eq!(host.get(&site, "/v1/secrets").await.status, 403);
    browser.close().await;
}
