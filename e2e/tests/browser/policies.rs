//! Access policies, co-sign requests and what Kubernetes manages, as a person clicks through them.

use serde_json::json;

use crate::locator::{button, field, heading, link, row, words};
use crate::options::{Options, Scripts};
use crate::site::{Role, Site};

fn at(site: &Site, page: &str) -> String {
    format!("/vaults/{}{page}", site.vault)
}

#[tokio::test]
async fn a_policy_is_written_tried_on_last_week_and_felt_by_a_machine() {
    let Some(site) = Site::new("a_policy_is_written_tried_on_last_week_and_felt_by_a_machine").await else { return };
    site.project("shop").await;
    let secret = site.secret("shop", "db", "hunter2").await;
    let host = site.machine("web-1", &["shop"]).await;
    site.grant(&host, &[&secret]).await;
    assert_eq!(host.read(&site, &secret).await.as_deref(), Ok("hunter2"));

    let mut browser = site.signed_in(Role::Manager).await;
    browser.open(&at(&site, "/policies")).await;
    browser.wait_for(words("No access policies yet")).await;
    browser.axe().await;
    browser.click(link("New policy")).await;
    browser.wait_for(heading("New policy")).await;
    browser.choose(field("Project"), "shop").await;
    browser.fill(field("Name"), "office").await;
    browser.click(field("Only from these addresses")).await;
    // What is wrong is said while one types, beside what is typed.
    browser.fill("#range-0", "203.0.113.1/24").await;
    browser.wait_for(words("Range 1 is wrong")).await;
    browser.axe().await;
    browser.screenshot("policy-wrong").await;
    browser.fill("#range-0", "203.0.113.0/24").await;
    browser.wait_for(words("from 203.0.113.0/24")).await;
    browser.click(button("Try it on last week")).await;
    browser.wait_for(words("of the reads would have been denied")).await;
    browser.axe().await;
    browser.screenshot("policy-last-week").await;
    browser.click(button("Create")).await;
    browser.wait_for(words("The policy is in force.")).await;
    assert_eq!(host.read(&site, &secret).await.as_deref(), Ok("hunter2"), "it guards nothing yet");

    browser.click(".page-head a[href$='/bind']").await;
    browser.click(button("Guard it db")).await;
    browser.wait_for(words("The policy guards the secret from now on.")).await;
    browser.axe().await;
    browser.screenshot("policy").await;
    let (status, said) = host.read(&site, &secret).await.unwrap_err();
    assert_eq!(status, 403, "{said}");
    browser.open(&at(&site, "/policies")).await;
    browser.wait_for(row("office")).await;
    browser.axe().await;
    browser.screenshot("policies").await;

    browser.click(link("office")).await;
    browser.click(link("Take off db")).await;
    browser.wait_for(words("Without it these would read the secret")).await;
    browser.axe().await;
    browser.click(button("Take it off")).await;
    browser.wait_for(words("No policy guards the secret: a grant is enough.")).await;
    assert_eq!(host.read(&site, &secret).await.as_deref(), Ok("hunter2"));
    browser.click(link("Delete")).await;
    browser.axe().await;
    browser.click(button("Delete office")).await;
    browser.wait_for(words("The policy was deleted.")).await;
    browser.close().await;
}

#[tokio::test]
async fn a_policy_is_written_without_scripts_too() {
    let Some(site) = Site::new("a_policy_is_written_without_scripts_too").await else { return };
    site.project("shop").await;
    let options = Options { scripts: Scripts::Blocked, ..Options::default() };
    let mut browser = site.signed_in_with(Role::Manager, options).await;
    browser.open(&at(&site, "/policies/new")).await;
    browser.choose(field("Project"), "shop").await;
    browser.fill(field("Name"), "office").await;
    browser.click(field("Only from these addresses")).await;
    browser.fill("#range-0", "10.0.0.0/8").await;
    browser.fill("#range-1", "fd00::/8").await;
    browser.click(button("Add a row")).await;
    browser.wait_for("#range-2").await;
    browser.fill("#range-2", "nonsense").await;
    browser.click(button("Create")).await;
    browser.wait_for(words("Range 3 is wrong: nonsense is not a CIDR")).await;
    browser.fill("#range-2", "192.0.2.7/32").await;
    browser.click(button("Create")).await;
    browser.wait_for(words("from 10.0.0.0/8, fd00::/8, 192.0.2.7/32")).await;
    browser.close().await;
}

#[tokio::test]
async fn what_waits_and_what_kubernetes_manages_can_be_looked_at_by_everybody() {
    let Some(site) = Site::new("what_waits_and_what_kubernetes_manages_can_be_looked_at_by_everybody").await else {
        return;
    };
    for role in Role::ALL {
        let mut browser = site.signed_in(role).await;
        for (page, says) in [("/co-signs", "Nothing waits for a co-signer"), ("/kubernetes", "No cluster yet")] {
            browser.open(&at(&site, page)).await;
            browser.wait_for(words(says)).await;
            browser.axe().await;
            let wide = browser.run("return document.documentElement.scrollWidth > innerWidth", json!([])).await;
            assert_eq!(wide, false, "{page} is wider than its window");
        }
        browser.close().await;
    }
}
