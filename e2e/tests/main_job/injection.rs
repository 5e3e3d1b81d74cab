//! What a kubelet makes of injected pods: those whose files are written once, whose files have owners, and whose network is
//! the node's.

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use serde_json::{Value, json};
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{PASSWORD, SHOP, Team, container};
use crate::{BOUND, on_a_node};

/// [`SHOP`], whose Machine writes its files once.
fn once() -> String {
    SHOP.replace("  delivery:\n", "  delivery:\n    mode: Init\n")
}

/// The state of our container.
fn ours(pod: &Pod) -> Option<(ContainerState, Option<ContainerState>)> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == "sikkerkey")?;
    Some((status.state.clone()?, status.last_state.clone()))
}

/// Rows of the audit about a pod.
async fn rows(team: &Team<'_>, action: &str, pod: &str) -> Vec<Value> {
    let named = format!("{}/{pod}", team.namespace);
    let rows = team.installation.audit(2000).await.unwrap();
    rows.into_iter().filter(|row| row["action"] == action && row.to_string().contains(&named)).collect()
}

#[test]
fn a_job_whose_files_are_written_once_completes_and_its_identity_ends_before_it_works() {
    on_a_node("job of mode Init", async |installation| {
        let team = Team::new(installation, "job-once").await;
        team.apply(&once()).await;
        let mut spec = team.pod_spec(&format!("test -s {PASSWORD}"));
        spec["restartPolicy"] = json!("Never");
        let template = json!({"metadata": {"labels": {"sikkerkey.com/machine": "web"}}, "spec": spec});
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "report"},
            "spec": {"backoffLimit": 0, "template": template},
        });
        team.apply(&job.to_string()).await;
        team.kubectl(&["wait", "--for=condition=Complete", "job/report", "--timeout=90s"]).await;
        let [revoked] = &*rows(&team, "machine_revoke", "report-").await else { panic!("not revoked once") };
        assert_eq!(revoked["actorKind"], "machine", "by itself, not by the operator: {revoked:#}");
        assert!(team.machines().await.is_empty());
    });
}

#[test]
fn a_pod_whose_files_were_written_once_runs_on_with_nothing_of_ours_and_starts_again_after_its_sandbox_is_lost() {
    on_a_node("pod of mode Init", async |installation| {
        let team = Team::new(installation, "pod-once").await;
        team.apply(&once()).await;
        let mut pod = team.pod_object("web", &format!("test -s {PASSWORD} && exec sleep 3600"));
        pod["spec"]["initContainers"] = json!([container("migration", &format!("test -s {PASSWORD}"))]);
        let pod = team.run(pod).await;
        let (state, _) = ours(&pod).unwrap();
        assert_eq!(state.terminated.unwrap().exit_code, 0);
        assert!(team.machines().await.is_empty(), "nobody holds an identity of this pod any more");
        assert!(installation.sidecar(&pod).is_none(), "no process of ours is left");
        assert_eq!(rows(&team, "machine_revoke", "web").await.len(), 1);
        let content = team.read("web", PASSWORD).await.unwrap();
        assert_eq!(content.len(), 40);
        for held in [
            installation.cluster.logs_with(content.as_bytes()),
            installation.cluster.etcd_files_with(content.as_bytes()),
        ] {
            assert_eq!(held.unwrap(), Vec::<std::path::PathBuf>::new(), "everything logs at trace level");
        }
        wait_for("the Machine to count the pod", BOUND, async || {
            let pods = team.object("Machine", "web").await["status"]["pods"].clone();
            if pods["summary"] == "1/1" { Ok(()) } else { Err(pods.to_string()) }
        })
        .await
        .unwrap();

        // As after a restart of the node's runtime: the kubelet makes the sandbox anew and runs all init containers again.
        end_all(pod.metadata.uid.as_deref().unwrap());
        wait_for("another identity, given up as well", BOUND, async || {
            let revoked = rows(&team, "machine_revoke", "web").await;
            if revoked.len() == 2 { Ok(()) } else { Err(format!("{} were revoked", revoked.len())) }
        })
        .await
        .unwrap();
        pod::ready(&team.client, &team.namespace, "web", BOUND).await.unwrap();
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), content);
        assert!(team.machines().await.is_empty());
    });
}

/// Kills every process of a pod from outside, the one that holds its sandbox as well.
fn end_all(pod_uid: &str) {
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let is_of_pod =
            std::fs::read_to_string(entry.path().join("cgroup")).is_ok_and(|cgroup| cgroup.contains(pod_uid));
        if is_of_pod {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            killed += usize::from(rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok());
        }
    }
    assert!(killed >= 2, "the sandbox and the application: {killed}");
}

#[test]
fn an_init_container_that_a_policy_makes_wait_runs_and_logs_until_it_may_read() {
    on_a_node("waiting in mode Init", async |installation| {
        let team = Team::new(installation, "waiting-once").await;
        team.apply(
            "{apiVersion: sikkerkey.com/v1alpha1, kind: AccessPolicy, metadata: {name: never-now}, spec: {coSign: {machineRef: {name: web}, window: 10m}}}",
        )
        .await;
        let guarded = once().replacen("{length: 40}}}", "{length: 40}}, policyRef: {name: never-now}}", 1);
        team.apply(&guarded).await;
        team.ready("Secret", "db").await;
        team.create(team.pod_object("web", "exec sleep 3600")).await.unwrap();
        let log = wait_for("the log to say what is awaited", BOUND, async || {
            let params = kube::api::LogParams { container: Some("sikkerkey".to_owned()), ..Default::default() };
            let log = team.pods().logs("web", &params).await.map_err(|error| error.to_string())?;
            if log.contains("waits for Secret waiting-once/db: CoSignMissing") { Ok(log) } else { Err(log) }
        })
        .await
        .unwrap();
        // The kubelet writes its status a moment after the fact.
        wait_for("the container to run, by the pod's status", BOUND, async || {
            let (state, last) = ours(&team.pods().get("web").await.unwrap()).ok_or("no status yet")?;
            let has_ended = state.terminated.is_some() || last.is_some_and(|last| last.terminated.is_some());
            assert!(!has_ended, "{state:?}: {log}");
            if state.running.is_some() { Ok(()) } else { Err("it waits") }
        })
        .await
        .unwrap();
        team.kubectl(&["patch", "sks", "db", "--type=merge", "-p", r#"{"spec": {"policyRef": null}}"#]).await;
        let pod = pod::ready(&team.client, &team.namespace, "web", BOUND).await.unwrap();
        let restarts = pod.status.unwrap().init_container_statuses.unwrap()[0].restart_count;
        assert_eq!(restarts, 0, "it waits, it does not crash");
        assert!(team.machines().await.is_empty());
    });
}

#[test]
fn a_pod_of_mode_init_that_is_refused_fails_with_the_reason_in_its_status() {
    on_a_node("refused in mode Init", async |installation| {
        let team = Team::new(installation, "refused-once").await;
        team.apply(&once().replace("spec:\n  workload", "spec:\n  suspend: true\n  workload")).await;
        team.condition("Machine", "web", "Ready", "True", "Suspended").await;
        let mut pod = team.pod_object("web", "exec sleep 3600");
        pod["spec"]["restartPolicy"] = json!("Never");
        team.create(pod).await.unwrap();
        let pod = pod::in_phase(&team.client, &team.namespace, "web", "Failed", BOUND).await.unwrap();
        let ended = ours(&pod).unwrap().0.terminated.unwrap();
        let message = ended.message.unwrap_or_default();
        let last = message.lines().last().unwrap_or_default();
        assert_eq!((ended.exit_code, ended.reason.as_deref()), (1, Some("Error")));
        assert!(last.starts_with("EnrolmentRefused: ") && last.contains("Machine web"), "{message}");
        let app = &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
        assert!(app.state.as_ref().unwrap().running.is_none(), "no application without its files: {app:?}");
        assert!(team.machines().await.is_empty());
    });
}

#[test]
fn files_are_read_by_whom_their_mode_and_the_pods_user_and_group_say() {
    on_a_node("owners of files", async |installation| {
        let team = Team::new(installation, "owners").await;
        let file = |path: &str, mode: &str| json!({"path": path, "mode": mode, "secretRefs": [{"name": "db"}]});
        let files = json!([file("all", "0444"), file("d/group", "0440"), file("d/owner", "0400")]);
        let machine = |name: &str, mode: &str| {
            let workload = json!({"serviceAccountNames": ["web"]});
            let delivery = json!({"mode": mode, "files": files});
            let spec = json!({"workload": workload, "delivery": delivery});
            let machine = json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine", "metadata": {"name": name}, "spec": spec});
            machine.to_string()
        };
        team.apply(SHOP).await;
        team.apply(&machine("web", "Sidecar")).await;
        team.apply(&machine("once", "Init")).await;
        team.apply(
            "{apiVersion: sikkerkey.com/v1alpha1, kind: Grant, metadata: {name: once-reads-db}, spec: {machineRef: {name: once}, secretRefs: [{name: db}]}}",
        )
        .await;
        team.ready("Machine", "web").await;
        team.ready("Machine", "once").await;
        let of_user = |name: &str, user: u32| {
            let mut container = container(name, "exec sleep 3600");
            container["securityContext"]["runAsUser"] = user.into();
            container["securityContext"]["runAsGroup"] = user.into();
            container
        };
        let (app, other) = (of_user("app", 10_001), of_user("other", 10_002));
        let two = json!([app, other]);
        let (all, group, owner) = ("all", "d/group", "d/owner");
        // Pod, its Machine, its containers, its fsGroup; the group of the files; what each container reads.
        let cases = [
            (
                "grouped",
                "web",
                two.clone(),
                Some(3000),
                Some("3000"),
                vec![("app", vec![all, group]), ("other", vec![all, group])],
            ),
            (
                "grouped-once",
                "once",
                two.clone(),
                Some(3000),
                Some("3000"),
                vec![("app", vec![all, group]), ("other", vec![all, group])],
            ),
            ("owned", "web", json!([app]), None, None, vec![("app", vec![all, group, owner])]),
            ("owned-once", "once", json!([app]), None, None, vec![("app", vec![all, group, owner])]),
            ("strangers", "once", two, None, None, vec![("app", vec![all]), ("other", vec![all])]),
        ];
        for (name, machine, containers, fs_group, expected_group, readers) in cases {
            let mut pod = team.pod_object(name, "");
            pod["metadata"]["labels"]["sikkerkey.com/machine"] = machine.into();
            pod["spec"]["containers"] = containers;
            // Nobody's user but the containers' own: the sidecar takes theirs where they agree, else its image's.
            pod["spec"]["securityContext"] =
                json!({"runAsNonRoot": true, "fsGroup": fs_group, "seccompProfile": {"type": "RuntimeDefault"}});
            team.run(pod).await;
            for (container, readable) in readers {
                let read = async |path: &str| {
                    let path = format!("/run/secrets/sikkerkey/{path}");
                    pod::exec(&team.client, &team.namespace, name, container, &["cat", &path])
                        .await
                        .map_err(|it| it.to_string())
                };
                for path in [all, group, owner] {
                    let (outcome, may_read) = (read(path).await, readable.contains(&path));
                    let is_right = match &outcome {
                        Ok(content) => may_read && content.len() == 40,
                        Err(said) => !may_read && said.contains("Permission denied"),
                    };
                    assert!(is_right, "{name}: {container} and {path}: {outcome:?}");
                }
                let stat = ["stat", "-L", "-c", "%g", "/run/secrets/sikkerkey/d/group"];
                let found = pod::exec(&team.client, &team.namespace, name, container, &stat).await.unwrap();
                if let Some(expected) = expected_group {
                    assert_eq!(found.trim(), expected, "{name}");
                }
            }
            team.pods().delete(name, &kube::api::DeleteParams::default()).await.unwrap();
        }
    });
}

#[test]
fn a_pod_in_the_network_of_its_node_has_its_files() {
    on_a_node("host network", async |installation| {
        let team = Team::new(installation, "host-network").await;
        team.apply(SHOP).await;
        let label = ["label", "namespace", "host-network", "pod-security.kubernetes.io/enforce-"];
        installation.cluster.kubectl().run(label).await.unwrap();
        let mut pod = team.pod_object("web", &format!("test -s {PASSWORD} && exec sleep 3600"));
        pod["spec"]["hostNetwork"] = json!(true);
        // The API server takes a moment to see that the standard is off.
        let name = wait_for("the pod to be taken", BOUND, async || team.create(pod.clone()).await).await.unwrap();
        pod::ready(&team.client, &team.namespace, &name, BOUND).await.unwrap();
        team.machine_count_becomes(1).await;
    });
}

/// A container that may change the pod's network.
fn of_mesh(name: &str, command: &str) -> Value {
    let mut container = container(name, command);
    container["securityContext"] =
        json!({"runAsUser": 0, "runAsNonRoot": false, "capabilities": {"add": ["NET_ADMIN"]}});
    container
}

#[test]
fn behind_a_proxy_without_which_nothing_leaves_the_pod_the_files_come_all_the_same() {
    on_a_node("fake mesh", async |installation| {
        let team = Team::new(installation, "fake-mesh").await;
        let label = ["label", "namespace", "fake-mesh", "pod-security.kubernetes.io/enforce-"];
        installation.cluster.kubectl().run(label).await.unwrap();
        for (name, delivery) in [("sidecar", SHOP.to_owned()), ("once", once())] {
            team.apply(&delivery).await;
            team.ready("Machine", "web").await;
            let mut pod = team.pod_object(name, &format!("test -s {PASSWORD} && exec sleep 3600"));
            // Every address of the node and its pods is in this half.
            let hold = of_mesh("istio-init", "busybox ip route add blackhole 0.0.0.0/1");
            let mut proxy = of_mesh("istio-proxy", "busybox ip route del blackhole 0.0.0.0/1 && exec sleep 3600");
            proxy["restartPolicy"] = json!("Always");
            pod["spec"]["initContainers"] = json!([hold, proxy, container("first", &format!("test -s {PASSWORD}"))]);
            let pod = team.run(pod).await;
            let names: Vec<_> = pod.spec.unwrap().init_containers.unwrap().into_iter().map(|it| it.name).collect();
            assert_eq!(names, ["istio-init", "istio-proxy", "sikkerkey", "first"], "{name}");
            team.delete_pod(name).await;
        }
    });
}
