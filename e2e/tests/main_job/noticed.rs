//! The application is told of changes, and cannot look into the sidecar that tells it.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sikkerkey_e2e::wait::wait_for;

use crate::team::{SHOP, Team};
use crate::{BOUND, on_a_node};

/// Machine `web` with these files, whose application hears `SIGHUP`.
fn machine(files: &[&str]) -> String {
    let files: Vec<_> = files.iter().map(|path| json!({"path": path, "secretRefs": [{"name": "db"}]})).collect();
    let machine = json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine", "metadata": {"name": "web"},
        "spec": {
            "workload": {"serviceAccountNames": ["web"]},
            "delivery": {
                "files": files,
                "onChange": {"signal": {"name": "SIGHUP", "processName": "sh"}, "debounce": "1s"},
            },
        },
    });
    machine.to_string()
}

#[test]
fn a_signal_reaches_the_application_after_a_change_and_the_sidecar_stays_closed_to_it() {
    on_a_node("signal", async |installation| {
        let team = Team::new(installation, "signal").await;
        team.apply(SHOP).await;
        team.apply(&machine(&["db/password"])).await;
        // The webhook goes by what the operator knows, which is this from then on.
        team.ready("Machine", "web").await;
        let script = "trap 'echo told >> /dev/shm/log' HUP; : > /dev/shm/log; sleep 3600 & while :; do wait $!; done";
        let mut pod = team.pod_object("web", script);
        let refused = team.create(pod.clone()).await.unwrap_err();
        assert!(refused.contains("Machine web sends SIGHUP: set shareProcessNamespace: true"), "{refused}");
        pod["spec"]["shareProcessNamespace"] = json!(true);
        let mut own_user = pod.clone();
        own_user["spec"]["securityContext"]["runAsUser"] = json!(null);
        let refused = team.create(own_user).await.unwrap_err();
        assert!(
            refused.contains(
                "Machine web sends SIGHUP, which reaches only processes of the sidecar's own user: set one runAsUser"
            ),
            "{refused}"
        );

        team.run(pod).await;
        assert_eq!(team.read("web", "/dev/shm/log").await.unwrap(), "", "it was not told at the start");
        for (files, expected) in [(&["db/password", "again"][..], "told\n"), (&["db/password"][..], "told\ntold\n")] {
            team.apply(&machine(files)).await;
            team.ready("Machine", "web").await;
            wait_for("the application to be told", BOUND, async || {
                let log = team.read("web", "/dev/shm/log").await?;
                if log == expected {
                    return Ok(());
                }
                Err(format!(
                    "{log:?}; the sidecar: {}",
                    team.kubectl(&["logs", "web", "-c", "sikkerkey", "--tail=5"]).await
                ))
            })
            .await
            .unwrap();
        }

        // It is of the same user in the same process namespace, and reaches nothing of the sidecar but its name.
        let look = "for process in /proc/[0-9]*; do read name < $process/comm; if [ \"$name\" = sikkerkey-sidec ]; then \
             for part in environ maps mem; do cat $process/$part > /dev/null 2>&1 && echo reached $part; done; \
             ls $process/root/ $process/fd/ > /dev/null 2>&1 && echo reached files; echo seen; fi; done";
        assert_eq!(team.exec("web", &["sh", "-c", look]).await.unwrap(), "seen\n");
    });
}

/// The processes under test share the real world's clock.
#[expect(clippy::disallowed_methods, reason = "the processes under test have no other clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Two Secrets and a certificate, a file of each kind, and an application that ends by `SIGTERM`.
fn every_kind() -> String {
    let both = json!([{"name": "db"}, {"name": "token"}]);
    let template = "postgres://{{ db.username }}:{{ db.password | urlencode }}@db/shop\n{% if token is defined %}{{ token | json }}{% endif %}\n";
    let store = json!({"type": "TrustStore", "passwordRef": {"name": "token"}});
    let files = json!([
        {"path": "app.env", "format": "DotEnv", "secretRefs": both, "mode": "0400"},
        {"path": "app.json", "format": "JSON", "secretRefs": both},
        {"path": "app.yaml", "format": "YAML", "secretRefs": both},
        {"path": "app.properties", "format": "Properties", "secretRefs": both},
        {"path": "app.ini", "format": "INI", "secretRefs": both},
        {"path": "url", "format": "Template", "secretRefs": both, "template": template},
        {"path": "ca.p12", "format": "PKCS12", "secretRefs": [{"name": "ca"}], "pkcs12": store},
    ]);
    let certificate = include_str!("../../../sidecar/files/tests/fixtures/tls/root.crt");
    let on_change = json!({"signal": {"name": "SIGTERM", "processName": "sh"}, "debounce": "1s"});
    let objects = [
        (
            "Secret",
            "db",
            json!({"source": {"generate": {"fields": [{"name": "username", "literal": "shop"}, {"name": "password"}]}}}),
        ),
        ("Secret", "token", json!({"source": {"generate": {}}})),
        (
            "Secret",
            "ca",
            json!({"source": {"generate": {"fields": [{"name": "ca.crt", "literal": certificate}, {"name": "note"}]}}}),
        ),
        (
            "Grant",
            "all",
            json!({"machineRef": {"name": "web"}, "secretRefs": [{"name": "db"}, {"name": "token"}, {"name": "ca"}]}),
        ),
        (
            "Machine",
            "web",
            json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"files": files, "onChange": on_change}}),
        ),
    ];
    let manifest = |(kind, name, spec): &(&str, &str, Value)| {
        json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
            .to_string()
    };
    objects.iter().map(manifest).collect::<Vec<_>>().join("\n---\n")
}

/// The files of [`every_kind`] agree; the password in them.
async fn password_in_every_file(team: &Team<'_>) -> String {
    let read = async |name: &str| team.read("web", &format!("/run/secrets/sikkerkey/{name}")).await.unwrap();
    let all: Value = serde_json::from_str(&read("app.json").await).unwrap();
    let (password, token) = (all["db"]["password"].as_str().unwrap(), all["token"].as_str().unwrap());
    assert_eq!((password.len(), token.len()), (32, 32));
    // A value that the server makes is of letters and digits.
    for (name, expected) in [
        ("app.env", format!("DB_USERNAME=\"shop\"\nDB_PASSWORD=\"{password}\"\nTOKEN=\"{token}\"\n")),
        (
            "app.yaml",
            format!("\"db\":\n  \"username\": \"shop\"\n  \"password\": \"{password}\"\n\"token\": \"{token}\"\n"),
        ),
        ("app.properties", format!("DB_USERNAME=shop\nDB_PASSWORD={password}\nTOKEN={token}\n")),
        ("app.ini", format!("[db]\nusername = shop\npassword = {password}\n\n[secrets]\ntoken = {token}\n")),
        ("url", format!("postgres://shop:{password}@db/shop\n\"{token}\"\n")),
    ] {
        assert_eq!(read(name).await, expected, "{name}");
    }
    let pod = team.pods().get("web").await.unwrap();
    let store = std::fs::read(team.installation.volume(&pod, "app").unwrap().join("ca.p12")).unwrap();
    // A PFX of version 3.
    assert_eq!((store[0], &store[4..7]), (0x30, &[2, 1, 3][..]));
    password.to_owned()
}

#[test]
fn sigterm_has_the_kubelet_start_the_application_anew_with_the_new_value_in_a_file_of_every_format() {
    on_a_node("restart by signal", async |installation| {
        let team = Team::new(installation, "restarted").await;
        team.apply(&every_kind()).await;
        let script = ". /run/secrets/sikkerkey/app.env; echo $DB_PASSWORD >> /dev/shm/log; sleep 3600 & wait";
        let mut pod = team.pod_object("web", script);
        pod["spec"]["shareProcessNamespace"] = json!(true);
        team.run(pod).await;
        let first = password_in_every_file(&team).await;
        team.rotate("db", now()).await;
        let app = wait_for("the application to have been started again", BOUND, async || {
            let status = team.pods().get("web").await.map_err(|error| error.to_string())?.status.unwrap();
            let app = status.container_statuses.unwrap().remove(0);
            if app.restart_count > 0 && app.ready { Ok(app) } else { Err(format!("{app:?}")) }
        })
        .await
        .unwrap();
        assert_eq!(app.restart_count, 1);
        assert_eq!(app.last_state.unwrap().terminated.unwrap().exit_code, 128 + 15);
        let second = password_in_every_file(&team).await;
        assert_ne!(second, first);
        // What each of its processes read when it began.
        assert_eq!(team.read("web", "/dev/shm/log").await.unwrap(), format!("{first}\n{second}\n"));
        let sidecar = team.pods().get("web").await.unwrap().status.unwrap().init_container_statuses.unwrap().remove(0);
        assert_eq!(sidecar.restart_count, 0);
    });
}
