//! Secrets and who reads them: from the login to what a machine gets.

use serde_json::json;

use crate::browser::Key;
use crate::locator::{button, field, heading, link, row, words};
use crate::options::{Options, Scripts};
use crate::site::{Role, Site};

/// What no page and no address shows.
const VALUE: &str = "correct-horse";

#[tokio::test]
async fn a_value_is_typed_in_once_and_a_machine_reads_it() {
    let Some(site) = Site::new("a_value_is_typed_in_once_and_a_machine_reads_it").await else { return };
    let project = site.project("shop").await;
    let host = site.machine("web-1", &[&project]).await;
    let mut browser = site.signed_in(Role::Manager).await;
    let secrets = format!("/vaults/{}/secrets", site.vault);
    browser.open(&secrets).await;
    browser.wait_for(heading("No secrets yet")).await;
    browser.axe().await;
    browser.screenshot("secrets-empty").await;

    browser.click(link("Create a secret")).await;
    browser.fill(field("Name"), "db").await;
    browser.fill(field("The value"), VALUE).await;
    let hidden = "return getComputedStyle(document.getElementById('value')).webkitTextSecurity";
    assert_eq!(browser.run(hidden, json!([])).await, "disc", "it is typed where others look on");
    browser.axe().await;
    browser.click(button("Create secret")).await;
    browser.wait_for(words("The secret was created.")).await;
    let path = browser.path().await;
    let id = path.rsplit('/').next().and_then(|it| it.split('?').next()).unwrap().to_owned();
    assert_eq!(host.read(&site, &id).await.unwrap_err().0, 403);
    site.grant(&host, &[&id]).await;
    assert_eq!(host.read(&site, &id).await.unwrap(), VALUE);

    browser.reload().await;
    browser.wait_for(row("web-1")).await;
    assert!(!browser.source().await.contains(VALUE));
    browser.axe().await;
    browser.screenshot("secret").await;
    browser.click(button("Generate now")).await;
    browser.wait_for(words("A new value was generated.")).await;
    assert_eq!(host.read(&site, &id).await.unwrap().len(), 32);
    browser.click("button[name=version][value='1']").await;
    browser.wait_for(words("The value of the earlier version is the newest one again.")).await;
    assert_eq!(host.read(&site, &id).await.unwrap(), VALUE);

    browser.click(link("Move to the trash")).await;
    browser.axe().await;
    browser.click(button("Move to the trash")).await;
    browser.wait_for(words("The secret is in the trash: nobody reads it.")).await;
    assert_eq!(host.read(&site, &id).await.unwrap_err().0, 404);
    browser.click(link("Trash")).await;
    browser.axe().await;
    browser.screenshot("trash").await;
    browser.click(button("Restore db")).await;
    browser.wait_for(words("The secret is out of the trash.")).await;
    assert_eq!(host.read(&site, &id).await.unwrap(), VALUE);
    browser.close().await;
}

#[tokio::test]
async fn access_is_moved_between_two_panels_and_in_force_when_it_is_saved() {
    let Some(site) = Site::new("access_is_moved_between_two_panels_and_in_force_when_it_is_saved").await else {
        return;
    };
    let project = site.project("shop").await;
    let host = site.machine("web-1", &[&project]).await;
    let db = site.secret(&project, "db", VALUE).await;
    let api = site.secret(&project, "api", VALUE).await;
    site.grant(&host, &[&api]).await;
    let mut browser = site.signed_in(Role::Manager).await;
    browser.open(&format!("/vaults/{}/machines/{}/access", site.vault, host.id)).await;
    browser.axe().await;
    browser.click(button("Grant db")).await;
    browser.wait_for(heading("1 added, 0 taken away")).await;
    // With the keyboard, and what was moved before stays.
    browser.run("document.querySelector('#granted input[type=checkbox]').focus()", json!([])).await;
    browser.press(&[Key::Space]).await;
    browser.run("document.getElementById('back').focus()", json!([])).await;
    browser.press(&[Key::Enter]).await;
    browser.wait_for(heading("1 added, 1 taken away")).await;
    browser.axe().await;
    browser.screenshot("access").await;
    assert_eq!(host.read(&site, &db).await.unwrap_err().0, 403, "nothing is changed before it is saved");
    browser.click(button("Save")).await;
    browser.wait_for(words("Saved. It is in force from now on.")).await;
    assert_eq!(host.read(&site, &db).await.unwrap(), VALUE);
    assert_eq!(host.read(&site, &api).await.unwrap_err().0, 403);
    browser.close().await;
}

#[tokio::test]
async fn without_scripts_a_secrets_machines_are_chosen_and_join_its_project() {
    let test = "without_scripts_a_secrets_machines_are_chosen_and_join_its_project";
    let Some(site) = Site::new(test).await else { return };
    let project = site.project("shop").await;
    let db = site.secret(&project, "db", VALUE).await;
    let host = site.machine("<b>web</b>", &[]).await;
    let mut browser =
        site.signed_in_with(Role::Owner, Options { scripts: Scripts::Blocked, ..Options::default() }).await;
    browser.open(&format!("/vaults/{}/secrets/{db}/access", site.vault)).await;
    browser.wait_for(words("<b>web</b>")).await;
    browser.click("#available input[type=checkbox]").await;
    browser.click(button("Grant →")).await;
    browser.wait_for(words("Becomes a member of project shop")).await;
    assert_eq!(host.read(&site, &db).await.unwrap_err().0, 403);
    browser.click(button("Save")).await;
    browser.wait_for(words("Saved. It is in force from now on.")).await;
    assert_eq!(host.read(&site, &db).await.unwrap(), VALUE);
    browser.close().await;
}

#[tokio::test]
async fn on_a_narrow_screen_every_page_of_secrets_fits() {
    let Some(site) = Site::new("on_a_narrow_screen_every_page_of_secrets_fits").await else { return };
    let project = site.project("shop").await;
    let host = site.machine("web-1", &[&project]).await;
    let db = site.secret(&project, "a-secret-with-a-rather-long-name-that-nobody-shortens", VALUE).await;
    site.grant(&host, &[&db]).await;
    let mut browser = site.signed_in(Role::Owner).await;
    browser.resize(360, 800).await;
    for rest in [
        "secrets".to_owned(),
        "secrets/new".to_owned(),
        format!("secrets/{db}"),
        format!("secrets/{db}/access"),
        format!("machines/{}/access", host.id),
        "trash".to_owned(),
    ] {
        browser.open(&format!("/vaults/{}/{rest}", site.vault)).await;
        let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.run(wide, json!([])).await, 0, "{rest} is too wide");
    }
    browser.close().await;
}
