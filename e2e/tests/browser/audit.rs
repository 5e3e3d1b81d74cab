//! The audit: what an auditor sees while machines read, from the row that appears by itself to the chain that holds.

use serde_json::json;

use crate::browser::Key;
use crate::locator::{button, field, heading, link, words};
use crate::options::Options;
use crate::site::{Role, Site};

/// The row of a read that a machine was allowed.
const READ: &str = "#found tbody tr:has(td:nth-child(2) a[href*='/machines/']):has(.pill.plain)";

#[tokio::test]
async fn a_denied_read_appears_by_itself_and_says_why() {
    let Some(site) = Site::new("a_denied_read_appears_by_itself_and_says_why").await else { return };
    site.project("shop").await;
    let secret = site.secret("shop", "db", "hunter2").await;
    let host = site.machine("web-1", &["shop"]).await;
    let mut browser = site.signed_in(Role::Auditor).await;
    browser.click(link("Audit")).await;
    browser.wait_for(heading("Audit")).await;

    assert_eq!(host.read(&site, &secret).await.unwrap_err().0, 403);
    browser.wait_for("#found .pill.bad").await;
    site.grant(&host, &[&secret]).await;
    assert_eq!(host.read(&site, &secret).await.as_deref(), Ok("hunter2"));
    browser.wait_for(READ).await;
    browser.axe().await;
    browser.screenshot("audit").await;

    // While one types: no other row is left.
    browser.fill(field("Search"), "NotGranted").await;
    browser.wait_gone(READ).await;
    browser.wait_gone("#found tbody tr + tr").await;
    assert_eq!(browser.count("#found tbody tr").await, 1);
    browser.click("#found tbody th a").await;
    browser.wait_for(heading("Why it was denied")).await;
    browser.wait_for(words("The rule that decided: Grant.")).await;
    browser.wait_for(words("Its hash follows from the row before it")).await;
    browser.axe().await;
    browser.screenshot("audit-row").await;
    browser.close().await;
}

#[tokio::test]
async fn reads_are_drawn_the_chain_is_checked_and_rows_become_files() {
    let Some(site) = Site::new("reads_are_drawn_the_chain_is_checked_and_rows_become_files").await else { return };
    site.project("shop").await;
    let secret = site.secret("shop", "db", "hunter2").await;
    let host = site.machine("web-1", &["shop"]).await;
    host.read(&site, &secret).await.unwrap_err();
    site.grant(&host, &[&secret]).await;
    host.read(&site, &secret).await.unwrap();
    let mut browser = site.signed_in(Role::Auditor).await;
    browser.click(link("Audit")).await;
    browser.click(link("Reads over time")).await;
    browser.wait_for(words("denials of this vault, by the hour in UTC.")).await;
    assert_eq!(
        (browser.count("figure > svg rect.reads").await, browser.count("figure > svg path.denied").await),
        (1, 1)
    );
    browser.click(button("The same figures as a table")).await;
    browser.axe().await;
    browser.screenshot("audit-reads").await;

    browser.click(link("Chain")).await;
    browser.click(button("Check from the first row")).await;
    browser.wait_for(heading("What was checked holds")).await;
    browser.wait_for(heading("What this page cannot tell you")).await;
    browser.axe().await;
    browser.screenshot("audit-chain").await;

    browser.click(link("Rows")).await;
    browser.click(link("Take these rows as a file")).await;
    browser.wait_for(link("CSV")).await;
    browser.axe().await;
    browser.screenshot("audit-file").await;
    let script = "const done = arguments[arguments.length - 1];
        fetch(document.querySelector('a[download]').href).then(it => it.text()).then(done);";
    let file = browser.run_later(script, json!([])).await;
    assert!(file.as_str().is_some_and(|it| it.starts_with("id,time,") && it.contains("secret_read_denied")), "{file}");
    browser.close().await;
}

#[tokio::test]
async fn times_are_meant_in_the_viewer_s_zone_and_a_small_window_scrolls_sideways_nowhere() {
    let test = "times_are_meant_in_the_viewer_s_zone_and_a_small_window_scrolls_sideways_nowhere";
    let Some(site) = Site::new(test).await else { return };
    let options = Options { time_zone: "Asia/Tokyo".into(), window: (360, 740), ..Options::default() };
    let mut browser = site.signed_in_with(Role::Auditor, options).await;
    for page in ["audit", "audit/reads", "audit/chain", "audit/file"] {
        browser.open(&format!("/vaults/{}/{page}", site.vault)).await;
        let wide = browser.run("return document.documentElement.scrollWidth > innerWidth", json!([])).await;
        assert_eq!(wide, false, "{page}");
    }
    browser.open(&format!("/vaults/{}/audit", site.vault)).await;
    let zone = browser.run("return document.querySelector('input[data-zone]').value", json!([])).await;
    assert_eq!(zone, "Asia/Tokyo");
    // By the keyboard alone.
    browser.fill(field("From"), "yesterday").await;
    browser.press(&[Key::Enter]).await;
    browser.wait_path(&format!("/vaults/{}/audit?zone=Asia%2FTokyo&from=yesterday", site.vault)).await;
    browser.wait_for("#found tbody tr").await;
    browser.close().await;
}
