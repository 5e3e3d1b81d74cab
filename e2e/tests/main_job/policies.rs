//! Access policies through real objects: windows, approvals, ends and rotation, as a pod and a person at kubectl see them.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::{Timestamp, ToSpan, Unit, tz::TimeZone};
use serde_json::{Value, json};
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_protocol::key::MachineKey;
use zeroize::Zeroizing;

use crate::host::host;
use crate::team::{PASSWORD, SHOP, Team};
use crate::{BOUND, on_a_node};

/// [`SHOP`], its Secret under a policy.
fn guarded(policy: &str) -> String {
    SHOP.replacen(
        "spec: {source: {generate: {length: 40}}}",
        &format!("spec: {{source: {{generate: {{length: 40}}}}, policyRef: {{name: {policy}}}}}"),
        1,
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!("{{apiVersion: sikkerkey.com/v1alpha1, kind: AccessPolicy, metadata: {{name: {name}}}, spec: {spec}}}")
}

/// A window and an end are instants of the real world: server, sidecar and kubelet share its clock.
#[expect(clippy::disallowed_methods, reason = "the processes under test have no other clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// What a person sees in one column of `kubectl get`.
async fn column(team: &Team<'_>, kind: &str, name: &str, column: &str) -> String {
    let table = team.kubectl(&["get", kind, name]).await;
    let mut lines = table.lines();
    let (headings, row) = (lines.next().unwrap(), lines.next().unwrap());
    let at = headings.find(column).unwrap();
    row[at.min(row.len())..].split_whitespace().next().unwrap_or_default().to_owned()
}

async fn column_becomes(team: &Team<'_>, kind: &str, name: &str, heading: &str, expected: &str) {
    wait_for(&format!("{heading} of {name} to be {expected}"), BOUND, async || {
        let found = column(team, kind, name, heading).await;
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

/// What the sidecar of a pod says of itself.
async fn state_becomes(team: &Team<'_>, pod: &str, reason: &str) -> String {
    wait_for(&format!("the sidecar of {pod} to say {reason}"), BOUND, async || {
        let pod = team.pods().get(pod).await.map_err(|error| error.to_string())?;
        let path = team.installation.path(&pod, "sikkerkey", "/run/secrets/sikkerkey/..state");
        let path = path.ok_or("no sidecar yet")?;
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let state: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if state["reason"] == reason { Ok(state["message"].as_str().unwrap().to_owned()) } else { Err(text) }
    })
    .await
    .unwrap()
}

async fn restarts(team: &Team<'_>, pod: &str) -> i32 {
    let status = team.pods().get(pod).await.unwrap().status.unwrap();
    let statuses = status.init_container_statuses.into_iter().chain(status.container_statuses).flatten();
    statuses.map(|it| it.restart_count).sum()
}

#[test]
fn a_pod_whose_window_is_closed_waits_and_starts_when_it_opens() {
    on_a_node("closed window", async |installation| {
        let team = Team::new(installation, "closed-window").await;
        // The whole minute that begins at least half a minute from now, on today's day in the zone.
        let opens = (now() + 30.seconds() + 1.minute()).to_zoned(TimeZone::UTC).round(Unit::Minute).unwrap();
        let closes = opens.checked_add(2.hours()).unwrap();
        let spec = format!(
            "{{timeZone: UTC, timeWindow: {{start: \"{}\", end: \"{}\"}}}}",
            opens.strftime("%H:%M"),
            closes.strftime("%H:%M")
        );
        team.apply(&policy("hours", &spec)).await;
        team.apply(&guarded("hours")).await;
        team.ready("Secret", "db").await;
        column_becomes(&team, "skp", "hours", "OPEN", "Closed").await;
        assert_eq!(column(&team, "skp", "hours", "AXES").await, "TimeWindow");
        assert_eq!(column(&team, "skp", "hours", "SECRETS").await, "1");

        team.create(team.pod_object("web", &format!("test -s {PASSWORD} && exec sleep 3600"))).await.unwrap();
        let spec = team.pods().get("web").await.unwrap().spec.unwrap();
        let sidecar = spec.init_containers.unwrap().remove(0);
        assert!(sidecar.startup_probe.is_some() && sidecar.lifecycle.is_none(), "{sidecar:?}");
        let message = state_becomes(&team, "web", "OutsideTimeWindow").await;
        assert!(message.contains("closed until"), "{message}");
        assert!(now() < opens.timestamp(), "the pod came too late to find the window closed");

        pod::ready(&team.client, &team.namespace, "web", BOUND + Duration::from_secs(90)).await.unwrap();
        assert!(now() >= opens.timestamp());
        assert_eq!(restarts(&team, "web").await, 0, "it waits, it does not crash");
        column_becomes(&team, "skp", "hours", "OPEN", "Open").await;
        column_becomes(&team, "skp", "hours", "DENIED", "1").await;
    });
}

#[test]
fn a_pod_starts_when_a_second_machine_has_approved_its_read() {
    on_a_node("co-sign", async |installation| {
        let team = Team::new(installation, "co-sign").await;
        let boss = Boss::enrol(&team).await;
        team.apply(&policy("four-eyes", "{coSign: {machineRef: {name: boss}, window: 10m}}")).await;
        team.apply(&guarded("four-eyes")).await;
        team.ready("AccessPolicy", "four-eyes").await;
        assert_eq!(column(&team, "skp", "four-eyes", "AXES").await, "CoSign");
        team.create(team.pod_object("web", &format!("test -s {PASSWORD} && exec sleep 3600"))).await.unwrap();

        let message = state_becomes(&team, "web", "CoSignMissing").await;
        assert!(message.contains("waits for Machine co-sign/boss, request "), "{message}");
        let listed = boss.run(&["cosign", "list", "--output", "json"]).await.unwrap();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let [request] = listed["requests"].as_array().unwrap().as_slice() else { panic!("{listed}") };
        assert_eq!((&request["reader"], &request["secret"]), (&json!("Machine co-sign/web"), &json!("co-sign/db")));
        let id = request["id"].as_str().unwrap();
        assert!(message.contains(id), "{message} {id}");
        let awaited = wait_for("the Grant to say who is awaited", BOUND, async || {
            let problems = team.object("Grant", "web-reads-db").await.pointer("/status/problems").cloned();
            problems.filter(|it| it[0]["reason"] == "CoSignMissing").ok_or("no problem yet".to_owned())
        });
        let awaited = awaited.await.unwrap();
        assert_eq!(awaited[0]["message"], format!("waits for Machine co-sign/boss, request {id}"));
        let explained =
            installation.admin(&["explain", "--machine", "co-sign/web", "--secret", "co-sign/db"]).await.unwrap();
        assert!(explained.contains(&format!("waits for Machine co-sign/boss, request {id}")), "{explained}");

        let approved = boss.run(&["cosign", "approve", id, "--yes"]).await.unwrap();
        assert!(approved.contains("approved until "), "{approved}");
        pod::ready(&team.client, &team.namespace, "web", BOUND).await.unwrap();
        assert_eq!(restarts(&team, "web").await, 0, "it waits, it does not crash");
        let password = team.read("web", PASSWORD).await.unwrap();

        // Another pod of the same Machine, inside the window, asks nobody.
        team.run(team.pod_object("web-2", &format!("test -s {PASSWORD} && exec sleep 3600"))).await;
        assert_eq!(team.read("web-2", PASSWORD).await.unwrap(), password);
        wait_for("the Grant to await nobody", BOUND, async || {
            let grant = team.object("Grant", "web-reads-db").await;
            let problems = grant.pointer("/status/problems").and_then(Value::as_array).map_or(0, Vec::len);
            if problems == 0 { Ok(()) } else { Err(grant.to_string()) }
        })
        .await
        .unwrap();

        // What was approved can be taken back: what is read stays read, and a pod that comes now hears of it.
        let taken_back = boss.run(&["cosign", "deny", id, "--yes"]).await.unwrap();
        assert!(taken_back.contains("denied until "), "{taken_back}");
        team.create(team.pod_object("web-3", "exec sleep 3600")).await.unwrap();
        let message = state_becomes(&team, "web-3", "CoSignRefused").await;
        assert!(message.contains(&format!("Machine co-sign/boss refused request {id}")), "{message}");
        assert_eq!(team.read("web-2", PASSWORD).await.unwrap(), password);
    });
}

#[test]
fn the_end_of_a_policy_takes_the_file_away() {
    on_a_node("end of a policy", async |installation| {
        let team = Team::new(installation, "policy-end").await;
        let ending = |at: Timestamp| {
            policy("project", &format!("{{ttl: {{expiresAt: \"{}\"}}}}", at.strftime("%Y-%m-%dT%H:%M:%SZ")))
        };
        team.apply(&ending(now() + 1.hour())).await;
        team.apply(&guarded("project")).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        assert_eq!(team.read("web", PASSWORD).await.unwrap().len(), 40);
        let ends = now() + 10.seconds();
        team.apply(&ending(ends)).await;
        team.file_becomes("web", PASSWORD, None).await;
        assert!(now().as_second() >= ends.as_second());
        team.condition("AccessPolicy", "project", "Ready", "True", "Ended").await;
        column_becomes(&team, "skp", "project", "OPEN", "Ended").await;
    });
}

#[test]
fn reads_by_an_sdk_rotate_a_value_and_the_file_follows() {
    on_a_node("rotation by reads", async |installation| {
        let team = Team::new(installation, "by-reads").await;
        team.apply(&policy("fresh", "{rotateAfterReads: 3}")).await;
        team.apply(&guarded("fresh")).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let first = team.read("web", PASSWORD).await.unwrap();
        let auditor = host(&team, "auditor", &["db"]).await;
        // Its first read does not count, the pod's neither.
        for _ in 0..4 {
            assert_eq!(auditor.value("db").await, first);
        }
        let second = auditor.value("db").await;
        assert_ne!(second, first);
        team.file_becomes("web", PASSWORD, Some(&second)).await;
    });
}

/// A host that approves with the real program and an identity on its disk.
struct Boss {
    home: PathBuf,
    program: PathBuf,
    ca: PathBuf,
}

impl Boss {
    async fn enrol(team: &Team<'_>) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).unwrap();
        let key = MachineKey::from_seed(&seed);
        team.apply(&format!(
            "{{apiVersion: sikkerkey.com/v1alpha1, kind: Machine, metadata: {{name: boss}}, spec: {{host: {{publicKey: \"{}\"}}}}}}",
            key.public_key()
        ))
        .await;
        team.ready("Machine", "boss").await;
        let machine = team.object("Machine", "boss").await;
        let installation = team.installation;
        let home = installation.cluster.run().join("boss");
        let vault = home.join("vaults").join(&installation.vault);
        std::fs::create_dir_all(&vault).unwrap();
        let der: Vec<u8> =
            [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &seed[..]].concat();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
        std::fs::write(vault.join("private.pem"), pem).unwrap();
        let identity = json!({
            "machineId": machine.pointer("/status/machineID"), "machineName": "boss", "vaultId": installation.vault,
            "apiUrl": installation.server_url(), "privateKeyPath": vault.join("private.pem"),
        });
        std::fs::write(vault.join("identity.json"), identity.to_string()).unwrap();
        // The plugin of kubectl, which hands over to the program of the same release beside it.
        let program = installation.operator_program().with_file_name("kubectl-sikkerkey");
        Self { home, program, ca: installation.ca_file() }
    }

    /// Runs the plugin; what it wrote, or how it refused.
    async fn run(&self, args: &[&str]) -> Result<String, String> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(args).arg("--ca").arg(&self.ca).env("SIKKERKEY_HOME", &self.home).kill_on_drop(true);
        let output = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}
