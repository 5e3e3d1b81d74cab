//! The volume: what does not fit it, and a writer that ends while it writes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::{Value, json};
use sikkerkey_e2e::wait::wait_for;

use crate::noticed::now;
use crate::team::Team;
use crate::{BOUND, on_a_node};

/// A Secret `db`, Machine `web` with these files of it, and a Grant.
fn manifests(source: &Value, size: &str, files: &[Value]) -> String {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
            .to_string()
    };
    let machine =
        json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"sizeLimit": size, "files": files}});
    [
        object("Secret", "db", json!({"source": source})),
        object("Machine", "web", machine),
        object("Grant", "web-reads-db", json!({"machineRef": {"name": "web"}, "secretRefs": [{"name": "db"}]})),
    ]
    .join("\n---\n")
}

fn template(path: &str, template: &str) -> Value {
    json!({"path": path, "format": "Template", "template": template, "secretRefs": [{"name": "db"}]})
}

#[test]
fn what_does_not_fit_leaves_the_set_before_and_is_written_once_it_fits() {
    on_a_node("full volume", async |installation| {
        let team = Team::new(installation, "full-volume").await;
        let files = [template("many", &"{{ db }}".repeat(6)), json!({"path": "one", "secretRefs": [{"name": "db"}]})];
        team.apply(&manifests(&json!({"external": {}}), "64Ki", &files)).await;
        team.set("db", "first").await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let holds = async |value: &str| {
            team.file_becomes("web", "/run/secrets/sikkerkey/one", Some(value)).await;
            assert_eq!(team.read("web", "/run/secrets/sikkerkey/many").await.unwrap(), value.repeat(6));
        };
        holds("first").await;
        team.served("db", 1, "1/1").await;

        // Six of these are 72 KB.
        team.set("db", &"x".repeat(12_000)).await;
        let told = team.event("web", "FilesNotWritten").await;
        assert!(told.starts_with("the files do not fit the volume: raise spec.delivery.sizeLimit"), "{told}");
        holds("first").await;
        team.served("db", 2, "0/1").await;

        team.set("db", "third").await;
        holds("third").await;
        team.served("db", 3, "1/1").await;
        let pod = team.pods().get("web").await.unwrap();
        assert_eq!(sidecar_status(&pod).restart_count, 0);
    });
}

/// How many large files there are, and how long each one is: long enough to be seen while they are written. All that a Machine may have.
const FILES: usize = 8;
const VALUE: usize = 1024;
const REPEATED: usize = 31 * 32;

/// What a reader has found who reads all the time.
#[derive(Default)]
struct Found {
    stop: AtomicBool,
    /// Whole sets that were read.
    sets: AtomicUsize,
    /// How often another set was being written meanwhile.
    unfinished: AtomicUsize,
}

#[test]
fn a_sidecar_that_ends_in_mid_write_leaves_whole_files_and_the_next_one_goes_on() {
    on_a_node("mid-write", async |installation| {
        let team = Team::new(installation, "mid-write").await;
        let numbers = |end: usize| (0..end).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let text = format!(
            "{{% for a in [{}] %}}{{% for b in [{}] %}}{{{{ db }}}}{{% endfor %}}{{% endfor %}}",
            numbers(31),
            numbers(32)
        );
        let files: Vec<Value> = (0..FILES).map(|n| template(&format!("f{n}"), &text)).collect();
        team.apply(&manifests(&json!({"generate": {"length": VALUE}}), "64Mi", &files)).await;
        let pod = team.run(team.pod_object("web", "exec sleep 3600")).await;
        let uid = pod.metadata.uid.clone().unwrap();
        let volume = volume_of_application(&uid);
        let first = whole_set(&volume).unwrap().unwrap();
        let found = Arc::<Found>::default();
        let reader = read_all_the_time(volume.clone(), Arc::clone(&found));
        let changed = async |from: Vec<u8>| {
            wait_for("another set", BOUND, async || match whole_set(&volume) {
                Ok(Some(set)) if set != from => Ok(set),
                other => Err(format!("{:?}", other.map(|set| set.map(|set| set.len())))),
            })
            .await
            .unwrap()
        };

        // Asked to end: it does so between two sets.
        let sidecar = installation.sidecar(&pod).unwrap().pid();
        let (beneath, asked) = (volume.clone(), rustix::process::Pid::from_raw(sidecar).unwrap());
        let while_it_writes = tokio::task::spawn_blocking(move || {
            let (begun, before) = (Instant::now(), generations(&beneath));
            // Both stand there for a short time only, which a busy machine may miss.
            while generations(&beneath) == before {
                assert!(begun.elapsed() < BOUND, "no other set was begun");
                std::thread::yield_now();
            }
            rustix::process::kill_process(asked, rustix::process::Signal::TERM).unwrap();
        });
        team.rotate("db", now()).await;
        while_it_writes.await.unwrap();
        let second = changed(first).await;
        let ended = restarted(&team, 1).await;
        assert_eq!(ended.last_state.unwrap().terminated.unwrap().exit_code, 0);

        // Killed for want of memory, with half of the set written: there is room for what is made, not for what is stored.
        let sidecar = wait_for("the sidecar's process", BOUND, async || {
            installation.sidecar(&pod).filter(|it| it.pid() != sidecar).ok_or("there is none")
        })
        .await
        .unwrap();
        team.machine_count_becomes(1).await;
        team.served("db", 2, "1/1").await;
        let content = u64::try_from(FILES * VALUE * REPEATED).unwrap();
        leave_memory(sidecar.pid(), content * 3 / 2);
        team.rotate("db", now()).await;
        let ended = restarted(&team, 2).await;
        let reason = ended.last_state.unwrap().terminated.unwrap();
        // That it has ended may be told before why.
        assert!(matches!(reason.reason.as_deref(), Some("OOMKilled" | "Error")), "{reason:?}");
        assert_eq!(reason.exit_code, 137, "{reason:?}");
        changed(second).await;
        wait_for("what was left behind to be gone", BOUND, async || {
            let left = generations(&volume);
            if left.len() == 1 { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await
        .unwrap();

        found.stop.store(true, Ordering::SeqCst);
        reader.join().expect("no reader sees a part of a file, or of a set");
        let (sets, unfinished) = (found.sets.load(Ordering::SeqCst), found.unfinished.load(Ordering::SeqCst));
        assert!(sets > 0 && unfinished > 0, "{sets} sets read, {unfinished} of them beside an unfinished one");
        let app = &team.pods().get("web").await.unwrap().status.unwrap().container_statuses.unwrap()[0];
        assert_eq!(app.restart_count, 0);
    });
}

fn read_all_the_time(volume: PathBuf, found: Arc<Found>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while !found.stop.load(Ordering::SeqCst) {
            let beside = generations(&volume).len() > 1;
            if whole_set(&volume).unwrap().is_some() {
                found.sets.fetch_add(1, Ordering::SeqCst);
                found.unfinished.fetch_add(usize::from(beside), Ordering::SeqCst);
            }
        }
    })
}

/// The value that all files of the set in place are made of. None if another set took its place meanwhile.
fn whole_set(volume: &Path) -> io::Result<Option<Vec<u8>>> {
    let in_place = || std::fs::read_link(volume.join("..data"));
    let name = in_place()?;
    let set = volume.join(&name);
    let mut value: Option<Vec<u8>> = None;
    for n in 0..FILES {
        let content = match std::fs::read(set.join(format!("f{n}"))) {
            // A set that was replaced goes file by file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && in_place()? != name => return Ok(None),
            read => read?,
        };
        assert_eq!(content.len(), VALUE * REPEATED, "f{n} is not whole");
        let value = value.get_or_insert_with(|| content[..VALUE].to_vec());
        assert!(content.chunks(VALUE).all(|part| part == value), "f{n} is of another set, or of several");
    }
    Ok(value)
}

/// The sets that are in the volume, in place or not.
fn generations(volume: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(volume).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("..2")).collect()
}

/// The volume in the application's container, as this machine sees it whatever becomes of the sidecar.
fn volume_of_application(pod_uid: &str) -> PathBuf {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let is_of_pod = std::fs::read_to_string(path.join("cgroup")).is_ok_and(|cgroup| cgroup.contains(pod_uid));
        is_of_pod && std::fs::read_to_string(path.join("cmdline")).is_ok_and(|command| command.starts_with("sleep\0"))
    };
    let volumes = processes.into_iter().filter(is_it).map(|path| path.join("root/run/secrets/sikkerkey"));
    // Other containers of the pod sleep as well.
    volumes.into_iter().find(|volume| volume.exists()).expect("the application's process")
}

/// Leaves a process's container so much more memory than it uses.
fn leave_memory(pid: i32, bytes: u64) {
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of = |controller: &str| {
        cgroups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|it| it == controller).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let (directory, used, limit) = match of("memory") {
        Some(path) => (Path::new("/sys/fs/cgroup/memory").join(path), "memory.usage_in_bytes", "memory.limit_in_bytes"),
        None => (Path::new("/sys/fs/cgroup").join(of("").unwrap()), "memory.current", "memory.max"),
    };
    let used: u64 = std::fs::read_to_string(directory.join(used)).unwrap().trim().parse().unwrap();
    std::fs::write(directory.join(limit), (used + bytes).to_string()).unwrap();
}

fn sidecar_status(pod: &Pod) -> ContainerStatus {
    pod.status.clone().unwrap().init_container_statuses.unwrap().remove(0)
}

/// Waits until the sidecar of pod `web` runs after so many restarts.
async fn restarted(team: &Team<'_>, times: i32) -> ContainerStatus {
    wait_for(&format!("the sidecar's restart {times}"), BOUND + Duration::from_secs(30), async || {
        let status = sidecar_status(&team.pods().get("web").await.map_err(|error| error.to_string())?);
        let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
        if status.restart_count == times && runs { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .await
    .unwrap()
}
