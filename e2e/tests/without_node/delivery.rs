//! A value's way to a pod's file, and its end.

use serde_json::{Value, json};
use sikkerkey_e2e::sidecar::files_after;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_protocol::canonical;

use crate::team::{SHOP, Team};
use crate::{BOUND, host, without_a_node};

#[test]
fn a_file_holds_what_an_sdk_reads_until_the_grant_is_revoked() {
    without_a_node("a file and its end", async |installation| {
        let team = Team::new(installation, "shop").await;
        team.apply(SHOP).await;
        // The application ends at once if the file is not there when it starts.
        let pod = team.pod_object("web", "test -s /run/secrets/sikkerkey/db/password && exec sleep 3600");
        let pod = team.run(pod).await;
        let volume = installation.volume(&pod, "app").unwrap();
        let content = std::fs::read_to_string(volume.join("db/password")).unwrap();
        assert_eq!(content.len(), 40, "{content}");
        assert_eq!(content, host::host(&team, "auditor", &["db"]).await.value("db").await);
        assert!(files_after(&volume).unwrap() < BOUND);

        team.kubectl(&["delete", "skg", "web-reads-db"]).await;
        wait_for("the file to be gone", BOUND, async || {
            if volume.join("db/password").exists() { Err("it is there") } else { Ok(()) }
        })
        .await
        .unwrap();
        let rows = installation.audit(1000).await.unwrap();
        let is_denied = |row: &serde_json::Value| {
            row["action"] == "secret_read_denied"
                && row["reason"] == "NotGranted"
                && row.to_string().contains("shop/web")
        };
        assert!(rows.iter().any(is_denied), "{rows:#?}");
    });
}

#[test]
fn the_machine_of_a_pod_ends_with_it() {
    without_a_node("the end of a machine", async |installation| {
        let team = Team::new(installation, "leaving").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        team.machine_count_becomes(1).await;
        team.delete_pod("web").await;
        team.machine_count_becomes(0).await;
    });
}

#[test]
fn files_of_every_format_reach_a_pod_and_what_cannot_be_is_refused_when_applied() {
    without_a_node("files of every format", async |installation| {
        let team = Team::new(installation, "formats").await;
        let certificate = json!(include_str!("../../../sidecar/files/tests/fixtures/tls/root.crt"));
        let both = "secretRefs: [{name: db}, {name: token}]";
        let template = "postgres://{{ db.username }}:{{ db.password | urlencode }}@db/shop?{{ token | sha256 }}";
        let files = format!(
            "[{{path: a.json, format: JSON, {both}}}, {{path: a.yaml, format: YAML, {both}}}, \
              {{path: a.properties, format: Properties, {both}}}, {{path: a.ini, format: INI, {both}}}, \
              {{path: ca.p12, format: PKCS12, secretRefs: [{{name: ca}}], \
                pkcs12: {{type: TrustStore, passwordRef: {{name: token}}}}}}, \
              {{path: url, format: Template, {both}, template: '{template}'}}]"
        );
        team.apply(&format!(
            "
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {{name: db}}
spec: {{source: {{generate: {{fields: [{{name: username, literal: shop}}, {{name: password}}]}}}}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {{name: ca}}
spec: {{source: {{generate: {{fields: [{{name: ca.crt, literal: {certificate}}}, {{name: note}}]}}}}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {{name: token}}
spec: {{source: {{generate: {{}}}}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {{name: web}}
spec: {{workload: {{serviceAccountNames: [web]}}, delivery: {{files: {files}}}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {{name: all}}
spec: {{machineRef: {{name: web}}, secretRefs: [{{name: db}}, {{name: ca}}, {{name: token}}]}}
"
        ))
        .await;
        let pod = team.run(team.pod_object("web", "exec sleep 3600")).await;
        let volume = installation.volume(&pod, "app").unwrap();
        let read = |name: &str| std::fs::read_to_string(volume.join(name)).unwrap();
        let all: Value = serde_json::from_str(&read("a.json")).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (password, token) = (text(&all["db"]["password"]), text(&all["token"]));
        assert_eq!(all, json!({"db": {"username": "shop", "password": password}, "token": token}));
        assert_eq!((password.len(), token.len()), (32, 32));
        assert_eq!(
            read("a.yaml"),
            format!("\"db\":\n  \"username\": \"shop\"\n  \"password\": \"{password}\"\n\"token\": \"{token}\"\n")
        );
        assert_eq!(read("a.properties"), format!("DB_USERNAME=shop\nDB_PASSWORD={password}\nTOKEN={token}\n"));
        assert_eq!(
            read("a.ini"),
            format!("[db]\nusername = shop\npassword = {password}\n\n[secrets]\ntoken = {token}\n")
        );
        // A value that the server makes is of letters and digits.
        assert_eq!(
            read("url"),
            format!("postgres://shop:{password}@db/shop?{}", canonical::sha256_hex(token.as_bytes()))
        );
        let store = std::fs::read(volume.join("ca.p12")).unwrap();
        // A PFX of version 3.
        assert_eq!((store[0], &store[4..7]), (0x30, &[2, 1, 3][..]));

        let clash = "
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: web}
spec:
  workload: {serviceAccountNames: [web]}
  delivery: {files: [{path: a.json, format: JSON, secretRefs: [{name: db}, {name: token, as: db}]}]}
";
        let refusal = team.try_apply(clash).await.unwrap_err();
        let expected = "spec.delivery.files[0]: cannot be written: Secret formats/db and Secret formats/token both give the \
                        name db: give one of them another name with as";
        assert!(refusal.contains(expected), "{refusal}");

        for (template, expected) in [
            ("{{ db.username", "line 1, column 7, at `username`: syntax error: unexpected end of input"),
            ("{{ dbb }}", "line 1, column 4, at `dbb`: dbb is none of its inputs, which are db, token"),
            (
                "{{ db.username | uper }}",
                "line 1, column 18, at `uper`: there is no filter uper: use b64encode, b64decode",
            ),
        ] {
            let wrong = clash.replace(
                "{path: a.json, format: JSON,",
                &format!("{{path: url, format: Template, template: '{template}',"),
            );
            let refusal = team.try_apply(&wrong.replace(", as: db", "")).await.unwrap_err();
            let expected = format!("spec.delivery.files[0]: cannot be written: template {expected}");
            assert!(refusal.contains(&expected), "{refusal}");
        }
    });
}
