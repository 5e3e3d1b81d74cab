//! What reaches a pod while it runs, what leaves it, and who is told.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::{Timestamp, ToSpan, Unit, tz::TimeZone};
use serde_json::{Value, json};
use sikkerkey_e2e::wait::wait_for;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::team::{SHOP, Team};
use crate::{BOUND, present_time, without_a_node};

/// In how long a change is at a running pod, also on a machine that is busy with other tests. The benchmarks say how fast it is.
const SOON: Duration = Duration::from_secs(10);

/// What an application was asked, and what stood in its file at that time.
type Heard = Arc<Mutex<Vec<(String, String)>>>;

/// An application that is told by HTTP. Answers its port, and what it hears from now on.
async fn application() -> (u16, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap().port(), listener)
}

/// Answers every notice.
async fn listen(listener: TcpListener, file: PathBuf, heard: Heard) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut lines = BufReader::new(&mut stream).lines();
        let request = lines.next_line().await.unwrap().unwrap_or_default();
        while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
        heard.lock().unwrap().push((request, std::fs::read_to_string(&file).unwrap()));
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
    }
}

async fn gone(file: &Path, bound: Duration) {
    wait_for(
        &format!("{} to be gone", file.display()),
        bound,
        async || {
            if file.exists() { Err("it is there") } else { Ok(()) }
        },
    )
    .await
    .unwrap();
}

#[test]
fn a_rotation_reaches_a_running_pod_within_seconds_its_application_is_told_by_http_and_the_secret_counts_it() {
    without_a_node("a rotation", async |installation| {
        let team = Team::new(installation, "rotation").await;
        let (port, listener) = application().await;
        let on_change =
            format!("\n    onChange: {{httpPost: {{port: {port}, path: \"/-/reload?by=us\"}}, debounce: 1s}}\n");
        team.apply(&SHOP.replace("  delivery:\n", &format!("  delivery:{on_change}"))).await;
        let pod = team.run(team.pod_object("web", "exec sleep 3600")).await;
        let file = installation.volume(&pod, "app").unwrap().join("db/password");
        let heard = Heard::default();
        let listening = tokio::spawn(listen(listener, file.clone(), Arc::clone(&heard)));
        let mut values = vec![std::fs::read_to_string(&file).unwrap()];
        team.served("db", 1, "1/1").await;

        for _ in 0..2 {
            let before = values.last().unwrap().clone();
            team.rotate("db", present_time()).await;
            let asked = Instant::now();
            let value = wait_for("the new value", SOON, async || match std::fs::read_to_string(&file) {
                Ok(value) if value != before => Ok(value),
                other => Err(format!("{other:?}")),
            })
            .await
            .unwrap();
            assert!(asked.elapsed() < SOON);
            assert_eq!(value.len(), 40, "{value}");
            values.push(value);
            // Nothing was told at the start, when the file had the first value; each change once.
            let expected: Vec<(String, String)> = values
                .iter()
                .skip(1)
                .map(|value| ("POST /-/reload?by=us HTTP/1.1".to_owned(), value.clone()))
                .collect();
            wait_for("the application to be told", BOUND, async || {
                let heard = heard.lock().unwrap().clone();
                if heard == expected { Ok(()) } else { Err(format!("{heard:?} instead of {expected:?}")) }
            })
            .await
            .unwrap();
        }
        listening.abort();
        // That all serve the newest version is written soon, and by itself.
        team.served("db", 3, "1/1").await;
    });
}

#[test]
fn a_deleted_secret_and_a_window_that_closes_take_their_files_from_a_running_pod_and_leave_it_the_others() {
    without_a_node("files that leave", async |installation| {
        let team = Team::new(installation, "leaves").await;
        let opened = present_time() - 2.hours();
        let until = |closes: Timestamp| {
            let [start, end] = [opened, closes].map(|it| it.strftime("%H:%M").to_string());
            json!({"timeZone": "UTC", "timeWindow": {"start": start, "end": end}})
        };
        let object = |kind: &str, name: &str, spec: Value| {
            json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
                .to_string()
        };
        let names = ["deleted", "closed", "stays"];
        let files: Vec<Value> = names.iter().map(|it| json!({"path": it, "secretRefs": [{"name": it}]})).collect();
        let refs: Vec<Value> = names.iter().map(|it| json!({"name": it})).collect();
        let generate = json!({"generate": {}});
        for manifest in [
            object("AccessPolicy", "hours", until(present_time() + 2.hours())),
            object("Secret", "deleted", json!({"source": generate})),
            object("Secret", "closed", json!({"source": generate, "policyRef": {"name": "hours"}})),
            object("Secret", "stays", json!({"source": generate})),
            object(
                "Machine",
                "web",
                json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"files": files}}),
            ),
            object("Grant", "all", json!({"machineRef": {"name": "web"}, "secretRefs": refs})),
        ] {
            team.apply(&manifest).await;
        }
        let pod = team.run(team.pod_object("web", "exec sleep 3600")).await;
        let volume = installation.volume(&pod, "app").unwrap();
        let read = |name: &str| std::fs::read_to_string(volume.join(name));
        // A startup probe, which a pod with policies has instead of a hook, is nothing that the pod runner waits for.
        let before = wait_for("the files", BOUND, async || {
            let found: Result<Vec<String>, _> = names.iter().map(|name| read(name)).collect();
            found.map_err(|error| error.to_string())
        })
        .await
        .unwrap();

        team.kubectl(&["delete", "sks", "deleted"]).await;
        gone(&volume.join("deleted"), SOON).await;
        let told = team.event("web", "FilesRemoved").await;
        let expected = "file deleted was removed: file deleted waits for Secret leaves/deleted: ";
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(read("closed").unwrap(), before[1]);

        // The whole minute that comes in ten seconds at the earliest.
        let closes = (present_time() + 40.seconds()).to_zoned(TimeZone::UTC).round(Unit::Minute).unwrap().timestamp();
        team.apply(&object("AccessPolicy", "hours", until(closes))).await;
        gone(&volume.join("closed"), Duration::from_secs(70) + SOON).await;
        assert!(present_time() >= closes);
        assert_eq!(read("stays").unwrap(), before[2]);
        let explained =
            installation.admin(&["explain", "--machine", "leaves/web", "--secret", "leaves/closed"]).await.unwrap();
        assert!(explained.contains("closed until"), "{explained}");
    });
}
