//! A host that begins again.

use std::path::Path;

use serde_json::json;

use super::tools::{Keys, Tools};
use super::{Stage, all_in};
use crate::refused::assert_raised;
use crate::team::PLAIN;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in ["ca.pem", "private.pem"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let identity = std::fs::read_to_string(from.join("identity.json")).unwrap();
    let moved = identity.replace(from.to_str().unwrap(), to.to_str().unwrap());
    std::fs::write(to.join("identity.json"), moved).unwrap();
}

#[tokio::test]
async fn a_second_run_replaces_the_identity_and_its_machine_once_it_is_approved() {
    let test = "a_second_run_replaces_the_identity_and_its_machine_once_it_is_approved";
    let Some(stage) = Stage::set(test).await else { return };
    let tools = Tools::of_debian(Keys::Both, "dash");
    let home = stage.home("nas");
    let base = home.join(".sikkerkey");
    let begins = async || {
        let made = stage.bootstrap(&["--name", "nas"]).await;
        stage.types(&tools, &home, made["commands"]["unix"].as_str().unwrap()).await
    };
    let first = begins().await.said("machine");
    stage.admit(&first).await;
    let vault = stage.vault(&base);
    std::fs::create_dir(vault.join("cache")).unwrap();
    std::fs::write(vault.join("cache/sk_a.skc"), "x").unwrap();
    std::fs::write(vault.join("note"), "kept").unwrap();
    let earlier = stage.home("earlier");
    copy(&vault, &stage.vault(&earlier));

    let again = begins().await;
    let second = again.said("machine");
    assert!(again.out.contains("The identity that was here before is replaced."), "{}", again.out);
    assert_eq!(all_in(&vault), ["ca.pem", "identity.json", "note", "private.pem"]);
    assert_eq!(all_in(&base).len(), 6, "nothing else stays: {:?}", all_in(&base));
    // Until somebody has compared its key, nothing has changed at the server.
    let mut old = stage.client(&earlier).await;
    assert_eq!(old.get(&stage.team.plain).await, Ok(json!(PLAIN)));
    assert_raised(
        stage.client(&base).await.get(&stage.team.plain).await,
        "AccessDeniedError",
        403,
        "waits for approval",
    );

    stage.admit(&second).await;
    assert_eq!(stage.client(&base).await.get(&stage.team.plain).await, Ok(json!(PLAIN)));
    assert_raised(old.get(&stage.team.plain).await, "AuthenticationError", 401, "unknown machine");
}

#[tokio::test]
async fn a_run_that_fails_leaves_the_identity_that_was_there() {
    let Some(stage) = Stage::set("a_run_that_fails_leaves_the_identity_that_was_there").await else { return };
    let tools = Tools::of_debian(Keys::Both, "dash");
    let home = stage.home("nas");
    let base = home.join(".sikkerkey");
    let made = stage.bootstrap(&["--name", "nas"]).await;
    let command = made["commands"]["unix"].as_str().unwrap();
    stage.admit(&stage.types(&tools, &home, command).await.said("machine")).await;
    let before = all_in(&base);
    let used = stage.types(&tools, &home, command).await;
    assert!(!used.ok && all_in(&base) == before, "{:?}", all_in(&base));
    assert_eq!(stage.client(&base).await.get(&stage.team.plain).await, Ok(json!(PLAIN)));
}
