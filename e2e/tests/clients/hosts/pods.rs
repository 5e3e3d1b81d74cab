//! The variant for pods that bring an identity of their own along.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::tools::{Keys, Tools};
use super::{Stage, all_in, mode};
use crate::server::text;
use crate::team::PLAIN;

const KEYS: [&str; 6] = ["api-url", "ca.pem", "machine-id", "machine-name", "private-key", "vault-id"];

/// Lays the parts of the Secret out as a pod's init container does, and reads with the official client.
async fn reads(stage: &Stage, name: &str, part: impl Fn(&str) -> String) {
    let id = part("machine-id");
    stage.admit(&id).await;
    let base = stage.home(name);
    let vault = stage.vault(&base);
    std::fs::create_dir_all(&vault).unwrap();
    let key = vault.join("private.pem");
    std::fs::write(&key, part("private-key")).unwrap();
    std::fs::write(vault.join("ca.pem"), part("ca.pem")).unwrap();
    let identity = json!({
        "machineId": id, "machineName": part("machine-name"), "vaultId": part("vault-id"), "apiUrl": part("api-url"),
        "privateKeyPath": text(&key),
    });
    std::fs::write(vault.join("identity.json"), identity.to_string()).unwrap();
    assert_eq!(stage.client(&base).await.get(&stage.team.plain).await, Ok(json!(PLAIN)));
}

#[tokio::test]
async fn the_identity_for_a_secret_is_in_private_files_and_in_no_argument() {
    let Some(stage) = Stage::set("the_identity_for_a_secret_is_in_private_files_and_in_no_argument").await else {
        return;
    };
    for shell in ["dash", "bash", "busybox"] {
        let tools = Tools::of_debian(Keys::SshKeygen, shell);
        let home = stage.home(shell);
        let name = format!("pods-{shell}");
        let made = stage.bootstrap(&["--for", "kubernetes", "--name", &name]).await;
        let command = made["commands"]["kubernetes"].as_str().unwrap();
        let typed = stage.types_with(&tools, &home, command, &[("TMPDIR", text(&home))]).await;
        assert!(typed.ok, "{}", typed.err);
        let line = typed
            .out
            .lines()
            .find_map(|it| it.trim().strip_prefix("kubectl create secret generic sikkerkey-identity "));
        let (from, then) = line.unwrap().split_once(" && ").unwrap();
        let directory = PathBuf::from(from.strip_prefix("--from-file='").unwrap().strip_suffix('\'').unwrap());
        assert_eq!(then, format!("rm -r '{}'", directory.display()));
        assert_eq!(all_in(&directory), KEYS);
        assert_eq!(mode(&directory), 0o700);
        for it in &KEYS {
            assert_eq!(mode(&directory.join(it)), 0o600, "{it}");
        }
        let name = directory.file_name().unwrap().to_str().unwrap();
        assert!(all_in(&home).iter().all(|it| it.starts_with(name)), "nothing else stays: {:?}", all_in(&home));
        reads(&stage, &format!("{shell}-pod"), |it| std::fs::read_to_string(directory.join(it)).unwrap()).await;
    }
}

#[tokio::test]
async fn who_asks_for_a_manifest_gets_one_that_goes_into_kubectl_and_leaves_no_file() {
    let test = "who_asks_for_a_manifest_gets_one_that_goes_into_kubectl_and_leaves_no_file";
    let Some(stage) = Stage::set(test).await else { return };
    let tools = Tools::of_debian(Keys::OpenSsl, "dash");
    let home = stage.home("manifest");
    let made = stage.bootstrap(&[]).await;
    let file = stage.team.server.place.path().join("secret.yaml");
    let to_file = format!("sh -s -- manifest >'{}'", text(&file));
    let command = made["commands"]["kubernetes"].as_str().unwrap().replace("| sh", &format!("| {to_file}"));
    let typed = stage.types_with(&tools, &home, &command, &[("TMPDIR", text(&home))]).await;
    assert!(typed.ok, "{}", typed.err);
    assert_eq!(all_in(&home), Vec::<String>::new());
    let secret: Value = serde_yaml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&secret["kind"], &secret["metadata"]["name"]), (&json!("Secret"), &json!("sikkerkey-identity")));
    assert!(secret["stringData"]["machine-name"].as_str().unwrap().starts_with("k8s-"));
    reads(&stage, "pod", |it| secret["stringData"][it].as_str().unwrap().to_owned()).await;
}
