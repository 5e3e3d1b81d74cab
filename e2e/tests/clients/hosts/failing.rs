//! Wherever a command fails, it says what to do, ends with an error, and leaves nothing.

use std::path::Path;

use super::tools::{Keys, Tools};
use super::{Stage, Typed, all_in};
use crate::server::text;

fn tools() -> Tools {
    Tools::of_debian(Keys::Both, "dash")
}

/// It failed with this text, and nothing is there.
fn assert_nothing(typed: &Typed, home: &Path, says: &str) {
    assert!(!typed.ok, "it did not fail: {}", typed.out);
    assert!(typed.err.contains("sikkerkey: ") && typed.err.contains(says), "{says} in: {}", typed.err);
    assert_eq!(all_in(home), Vec::<String>::new(), "{says}");
}

/// The command, and the script that it fetches, in a file on the host.
async fn fetched(stage: &Stage, name: &str) -> (String, String) {
    let made = stage.bootstrap(&["--name", name]).await;
    let command = made["commands"]["unix"].as_str().unwrap().to_owned();
    let script = stage.team.server.place.path().join(format!("{name}.sh"));
    let only_fetched = command.replace(" | sh", &format!(" >'{}'", text(&script)));
    assert_ne!(only_fetched, command);
    let home = stage.home(&format!("{name}-fetches"));
    assert!(stage.types(&tools(), &home, &only_fetched).await.ok);
    (command, format!("sh <'{}'", text(&script)))
}

#[tokio::test]
async fn a_token_that_opens_nothing_is_told_by_the_shell_it_is_piped_into() {
    let test = "a_token_that_opens_nothing_is_told_by_the_shell_it_is_piped_into";
    let Some(stage) = Stage::set(test).await else { return };
    let made = stage.bootstrap(&[]).await;
    let (token, command) = (made["token"].as_str().unwrap(), made["commands"]["unix"].as_str().unwrap());
    let home = stage.home("unknown");
    for shell in ["dash", "bash"] {
        let tools = Tools::of_debian(Keys::Both, shell);
        let unknown = stage.types(&tools, &home, &command.replace(token, &"0".repeat(64))).await;
        assert_nothing(&unknown, &home, "this command's token is not known here");
        let cut = stage.types(&tools, &home, &command.replace(token, &token[..40])).await;
        assert_nothing(&cut, &home, "this address has no token in it");
    }
    assert!(stage.types(&tools(), &stage.home("first"), command).await.ok);
    let used = stage.types(&tools(), &home, command).await;
    assert_nothing(&used, &home, "this command was used already, and works once");
    // Whoever checks the status finds it there as well.
    let status = stage.types(&tools(), &home, &command.replace("-sSL", "-fsSL").replace(" | sh", "")).await;
    assert!(!status.ok && status.err.contains("401"), "{}", status.err);
}

#[tokio::test]
async fn a_server_that_refuses_or_goes_after_the_key_was_made_leaves_nothing() {
    let test = "a_server_that_refuses_or_goes_after_the_key_was_made_leaves_nothing";
    let Some(mut stage) = Stage::set(test).await else { return };
    let (command, script) = fetched(&stage, "refused").await;
    assert!(stage.types(&tools(), &stage.home("first"), &command).await.ok);
    let home = stage.home("second");
    let refused = stage.types(&tools(), &home, &script).await;
    assert_nothing(&refused, &home, "the server refused (401): the token was used by another key: ask for a new one");

    let (_, script) = fetched(&stage, "away").await;
    stage.team.server.stop().await;
    let away = stage.types(&tools(), &home, &script).await;
    assert_nothing(&away, &home, "does not answer");
    // Nothing was used up.
    let arguments = stage.arguments.clone();
    stage.team.server.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(stage.types(&tools(), &home, &script).await.ok);
}

#[tokio::test]
async fn a_host_that_lacks_something_is_told_what_and_the_token_stays_good() {
    let test = "a_host_that_lacks_something_is_told_what_and_the_token_stays_good";
    let Some(stage) = Stage::set(test).await else { return };
    let (_, script) = fetched(&stage, "lacking").await;
    let home = stage.home("lacks");
    let no_keys = Tools::of_debian(Keys::Neither, "dash");
    let typed = stage.types(&no_keys, &home, &script).await;
    assert_nothing(
        &typed,
        &home,
        "no program here makes an Ed25519 key: install openssl (1.1.1 or newer) or ssh-keygen",
    );
    let no_client = tools().without("curl");
    assert_nothing(&stage.types(&no_client, &home, &script).await, &home, "neither curl nor GNU wget is here");
    // Root may write everywhere but into a file.
    let nowhere = [("SIKKERKEY_HOME", "/dev/null/x")];
    assert_nothing(
        &stage.types_with(&tools(), &home, &script, &nowhere).await,
        &home,
        "cannot make /dev/null/x/vaults",
    );
    let no_key = [("SIKKERKEY_KEY", "/etc/hostname")];
    let typed = stage.types_with(&tools(), &home, &script, &no_key).await;
    assert_nothing(&typed, &home, "/etc/hostname is no Ed25519 private key");
    // GNU wget does as well.
    no_client.link("wget", "wget");
    let typed = stage.types(&no_client, &home, &script).await;
    assert!(typed.ok, "{}", typed.err);
}

#[tokio::test]
async fn a_script_that_arrived_in_part_does_nothing() {
    let test = "a_script_that_arrived_in_part_does_nothing";
    let Some(stage) = Stage::set(test).await else { return };
    let (_, script) = fetched(&stage, "parts").await;
    let path = stage.team.server.place.path().join("parts.sh");
    let whole = std::fs::read(&path).unwrap();
    let home = stage.home("part");
    for shell in ["dash", "bash", "busybox"] {
        let tools = Tools::of_debian(Keys::Both, shell);
        for part in (0..whole.len() - 30).step_by(997).chain([whole.len() - 10]) {
            std::fs::write(&path, &whole[..part]).unwrap();
            let typed = stage.types(&tools, &home, &script).await;
            assert_eq!((typed.out.as_str(), all_in(&home)), ("", vec![]), "{shell}, {part} bytes: {}", typed.err);
        }
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(stage.types(&tools(), &home, &script).await.ok, "and the token is as good as before");
}

#[tokio::test]
async fn a_disk_that_is_full_at_any_step_leaves_nothing_or_everything() {
    let test = "a_disk_that_is_full_at_any_step_leaves_nothing_or_everything";
    let Some(stage) = Stage::set(test).await else { return };
    let tools = tools();
    tools.link("mount", "mount");
    tools.link("find", "find");
    let (mut failed, mut whole) = (0, 0);
    for pages in 1..=14 {
        let (_, script) = fetched(&stage, &format!("disk-{pages}")).await;
        let home = stage.home(&format!("home-{pages}"));
        // Mounts of the command's own: nobody else sees it, and it goes with it.
        let size = 4 * pages;
        let command = format!(
            "mount -t tmpfs -o size={size}k none . && cd \"$PWD\" && mkdir tight && export SIKKERKEY_HOME=$PWD/tight && {{ {script} >/dev/null; \
             echo \"ended $?\"; find tight -type f; }}"
        );
        let typed = stage.types(&tools, &home, &command).await;
        let mut lines = typed.out.lines();
        let ended = lines.next().unwrap();
        let left = lines.count();
        if ended == "ended 0" {
            assert_eq!(left, 3, "{size} KiB: {}", typed.out);
            whole += 1;
        } else {
            assert_eq!(left, 0, "{size} KiB: {}", typed.out);
            assert!(typed.err.contains("sikkerkey: "), "{size} KiB: {}", typed.err);
            failed += 1;
        }
    }
    assert!(failed > 2 && whole > 0, "{failed} failed, {whole} did not");
}
