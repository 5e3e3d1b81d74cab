//! What becomes of pods of every shape: admitted by the real API server, most of them in a dry run.
//!
//! Every namespace here enforces Pod Security `restricted`, but for the one whose pod asks for what that forbids.

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::mesh::{self, Mesh};
use crate::team::{SHOP, Team, container};
use crate::{BOUND, without_a_node};

/// [`SHOP`], and beside its Machine web one of mode `Init`, `once`, with the same file.
async fn shop<'a>(installation: &'a Installation, namespace: &str) -> Team<'a> {
    let team = Team::new(installation, namespace).await;
    team.apply(SHOP).await;
    team.apply(ONCE).await;
    team.ready("Machine", "web").await;
    team.ready("Machine", "once").await;
    team
}

const ONCE: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: once}
spec:
  workload: {serviceAccountNames: [web]}
  delivery:
    mode: Init
    files: [{path: db/password, secretRefs: [{name: db}]}]
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: once-reads-db}
spec: {machineRef: {name: once}, secretRefs: [{name: db}]}
";

/// A pod with these containers, and this over the rest of its spec.
fn shaped(team: &Team<'_>, inits: Value, containers: Value, more: &Value) -> Value {
    let mut pod = team.pod_object("shaped", "true");
    let spec = pod["spec"].as_object_mut().unwrap();
    spec.insert("initContainers".to_owned(), inits);
    spec.insert("containers".to_owned(), containers);
    spec.extend(more.as_object().unwrap().clone());
    pod
}

/// What the API server would store.
async fn admitted(team: &Team<'_>, pod: &Value) -> Result<Pod, String> {
    let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    team.pods().create(&dry_run, &pod).await.map_err(|error| error.to_string())
}

fn inits(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().unwrap().init_containers.as_deref().unwrap_or_default()
}

fn names(pod: &Pod) -> Vec<&str> {
    inits(pod).iter().map(|container| container.name.as_str()).collect()
}

fn ours(pod: &Pod) -> &Container {
    let mut found = inits(pod).iter().filter(|container| container.name == "sikkerkey");
    let (Some(ours), None) = (found.next(), found.next()) else {
        panic!("not one container of ours: {:?}", names(pod))
    };
    ours
}

fn qos(pod: &Pod) -> &str {
    pod.status.as_ref().unwrap().qos_class.as_deref().unwrap()
}

/// The containers of the pod's author that see the files, and only see them.
fn with_files(pod: &Pod) -> Vec<&str> {
    let others = inits(pod).iter().chain(&pod.spec.as_ref().unwrap().containers).filter(|it| it.name != "sikkerkey");
    let of_ours = |mount: &&VolumeMount| mount.name.starts_with("sikkerkey");
    let mut seen = vec![];
    for container in others {
        for mount in container.volume_mounts.iter().flatten().filter(of_ours) {
            let shown = (mount.name.as_str(), mount.mount_path.as_str(), mount.read_only);
            assert_eq!(shown, ("sikkerkey", "/run/secrets/sikkerkey", Some(true)), "{}", container.name);
            seen.push(container.name.as_str());
        }
    }
    seen
}

/// What holds for our container in every pod.
fn assert_sound(pod: &Pod, mode: &str, what: &str) {
    let ours = ours(pod);
    let (args, policy) = (ours.args.as_deref().unwrap_or_default(), ours.restart_policy.as_deref());
    match mode {
        "web" => assert_eq!((args, policy), (&["run".to_owned()][..], Some("Always")), "{what}"),
        _ => assert_eq!((args, policy, &ours.lifecycle), (&["init".to_owned()][..], None, &None), "{what}"),
    }
    let resources = ours.resources.as_ref().unwrap();
    for asked in ["cpu", "memory"] {
        let requests = resources.requests.as_ref().unwrap();
        assert!(
            requests.contains_key(asked),
            "{what}: an autoscaler refuses a pod in which one container asks for no {asked}"
        );
    }
    assert!(resources.limits.as_ref().unwrap().contains_key("memory"), "{what}");
    let security = ours.security_context.as_ref().unwrap();
    assert_eq!((security.read_only_root_filesystem, security.run_as_non_root), (Some(true), Some(true)), "{what}");
    let spec = pod.spec.as_ref().unwrap();
    let volumes: Vec<&str> = spec.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    for volume in ["sikkerkey", "sikkerkey-token"] {
        assert_eq!(volumes.iter().filter(|name| **name == volume).count(), 1, "{what}: {volumes:?}");
    }
}

/// A pod as its author writes it, and what is to come of it.
struct Shape {
    what: &'static str,
    pod: Value,
    /// The init containers, in order.
    order: &'static [&'static str],
    /// The containers that see the files.
    files: &'static [&'static str],
    class: &'static str,
    /// Whom ours runs as, where that is not the pod's.
    user: Option<i64>,
}

impl Shape {
    /// A pod of a user of its own, of no class to keep.
    fn new(what: &'static str, pod: Value, order: &'static [&'static str], files: &'static [&'static str]) -> Self {
        Self { what, pod, order, files, class: "Burstable", user: None }
    }
}

fn plain(name: &str) -> Value {
    container(name, "true")
}

fn native(name: &str) -> Value {
    let mut container = plain(name);
    container["restartPolicy"] = json!("Always");
    container
}

fn sized(name: &str, resources: &Value) -> Value {
    let mut container = plain(name);
    container["resources"] = resources.clone();
    container
}

fn of_user(name: &str, user: i64) -> Value {
    let mut container = plain(name);
    container["securityContext"]["runAsUser"] = json!(user);
    container
}

fn containers(team: &Team<'_>) -> Vec<Shape> {
    let shaped = |inits, containers| shaped(team, inits, containers, &json!({}));
    let app = || json!([plain("app")]);
    let mut named = shaped(json!([plain("first"), plain("second")]), json!([plain("app"), plain("metrics")]));
    named["metadata"]["annotations"] = json!({"sikkerkey.com/containers": "app, first"});
    let mut never = shaped(json!([]), app());
    never["spec"]["restartPolicy"] = json!("Never");
    let own = shaped(json!([plain("first"), plain("second")]), app());
    let proxied = shaped(json!([plain("istio-init"), native("istio-proxy"), plain("first")]), app());
    let ordinary = shaped(json!([plain("istio-init"), plain("first")]), json!([plain("app"), plain("istio-proxy")]));
    vec![
        Shape::new("plain", shaped(json!([]), app()), &["sikkerkey"], &["app"]),
        Shape::new("never restarted", never, &["sikkerkey"], &["app"]),
        Shape::new("own init containers", own, &["sikkerkey", "first", "second"], &["first", "second", "app"]),
        Shape::new(
            "a native sidecar of its own",
            shaped(json!([native("logs"), plain("first")]), app()),
            &["sikkerkey", "logs", "first"],
            &["logs", "first", "app"],
        ),
        Shape::new(
            "several containers",
            shaped(json!([]), json!([plain("app"), plain("metrics")])),
            &["sikkerkey"],
            &["app", "metrics"],
        ),
        Shape::new("some of several", named, &["sikkerkey", "first", "second"], &["first", "app"]),
        Shape::new("a native proxy", proxied, &["istio-init", "istio-proxy", "sikkerkey", "first"], &["first", "app"]),
        Shape::new("an ordinary proxy", ordinary, &["sikkerkey", "istio-init", "first"], &["first", "app"]),
    ]
}

fn classes(team: &Team<'_>) -> Vec<Shape> {
    let full = json!({"limits": {"cpu": "100m", "memory": "32Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}});
    let zero = json!({"limits": {"cpu": "100m", "memory": "32Mi"}, "requests": {"cpu": "0", "memory": "0"}});
    let app = || sized("app", &full);
    let shaped = |inits, containers| shaped(team, inits, containers, &json!({}));
    let guaranteed = |what, pod, order, files| Shape { class: "Guaranteed", ..Shape::new(what, pod, order, files) };
    vec![
        guaranteed("guaranteed", shaped(json!([]), json!([app()])), &["sikkerkey"], &["app"]),
        guaranteed(
            "guaranteed, with an init container",
            shaped(json!([sized("first", &full)]), json!([app()])),
            &["sikkerkey", "first"],
            &["first", "app"],
        ),
        Shape::new(
            "nearly guaranteed",
            shaped(json!([plain("first")]), json!([app()])),
            &["sikkerkey", "first"],
            &["first", "app"],
        ),
        Shape::new("requests of nothing", shaped(json!([]), json!([sized("app", &zero)])), &["sikkerkey"], &["app"]),
    ]
}

fn users(team: &Team<'_>) -> Vec<Shape> {
    let context = |more: Value| {
        let mut context = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"securityContext": context})
    };
    let pod = |containers, more: Value| shaped(team, json!([]), containers, &context(more));
    let both = json!([of_user("app", 10_002), plain("metrics")]);
    let of_pod = json!({"runAsUser": 10_001});
    vec![
        Shape::new("no user known", pod(json!([plain("app")]), json!({})), &["sikkerkey"], &["app"]),
        Shape::new("the pod's user", pod(json!([plain("app")]), of_pod.clone()), &["sikkerkey"], &["app"]),
        Shape {
            user: Some(10_002),
            ..Shape::new("another user", pod(json!([of_user("app", 10_002)]), of_pod.clone()), &["sikkerkey"], &["app"])
        },
        Shape::new("two users", pod(both, of_pod), &["sikkerkey"], &["app", "metrics"]),
        Shape::new("a group", pod(json!([plain("app")]), json!({"fsGroup": 3000})), &["sikkerkey"], &["app"]),
    ]
}

#[test]
fn pods_of_every_shape_get_one_container_in_its_place_and_stay_what_they_are() {
    without_a_node("the shapes of pods", async |installation| {
        let team = shop(installation, "shapes").await;
        let shapes = [containers(&team), classes(&team), users(&team)].into_iter().flatten();
        for Shape { what, mut pod, order, files, class, user } in shapes {
            for machine in ["web", "once"] {
                let what = format!("{what} of Machine {machine}");
                pod["metadata"]["labels"]["sikkerkey.com/machine"] = machine.into();
                let once = admitted(&team, &pod).await.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(names(&once), order, "{what}");
                assert_eq!(with_files(&once), files, "{what}");
                assert_eq!(qos(&once), class, "{what}");
                assert_eq!(ours(&once).security_context.as_ref().unwrap().run_as_user, user, "{what}");
                let asked = pod["spec"]["securityContext"].clone();
                let context = serde_json::to_value(&once.spec.as_ref().unwrap().security_context).unwrap();
                assert_eq!(context, asked, "{what}: what holds for the whole pod is left alone");
                assert_sound(&once, machine, &what);
                // A copy of it, as kubectl and backups make it.
                let mut copy = serde_json::to_value(&once).unwrap();
                let kept = ["labels", "annotations", "name", "namespace"];
                copy["metadata"].as_object_mut().unwrap().retain(|key, _| kept.contains(&key.as_str()));
                copy.as_object_mut().unwrap().remove("status");
                let twice = admitted(&team, &copy).await.unwrap_or_else(|error| panic!("{what}, again: {error}"));
                assert_eq!(twice.spec, once.spec, "{what}");
            }
        }
    });
}

#[test]
fn a_pod_in_the_network_of_its_node_is_injected_like_any_other() {
    without_a_node("the network of the node", async |installation| {
        let team = shop(installation, "host-network").await;
        // The standard forbids it, whoever injects.
        let pod = shaped(&team, json!([]), json!([container("app", "true")]), &json!({"hostNetwork": true}));
        let refused = admitted(&team, &pod).await.unwrap_err();
        assert!(
            refused.contains("violates PodSecurity \"restricted:latest\": host namespaces (hostNetwork=true)"),
            "{refused}"
        );
        let label = ["label", "namespace", "host-network", "pod-security.kubernetes.io/enforce-"];
        installation.cluster.kubectl().run(label).await.unwrap();
        let pod = wait_for("the standard to be off", BOUND, async || admitted(&team, &pod).await).await.unwrap();
        assert_sound(&pod, "web", "host network");
        let ports = inits(&pod)[0].ports.as_deref().unwrap_or_default();
        assert!(ports.is_empty(), "nothing of ours can be in the way of another pod: {ports:?}");
    });
}

#[test]
fn a_mesh_that_holds_the_network_until_its_ordinary_proxy_runs_is_refused() {
    without_a_node("a mesh that blocks the start", async |installation| {
        let team = shop(installation, "blocking-mesh").await;
        let proxies = json!([container("app", "true"), container("istio-proxy", "true")]);
        for validator in ["istio-validation", "linkerd-network-validator"] {
            let pod = shaped(&team, json!([container(validator, "true")]), proxies.clone(), &json!({}));
            let said = admitted(&team, &pod).await.unwrap_err();
            let expected =
                "The mesh takes this pod's network before its proxy runs: switch native sidecars on in the mesh.";
            assert!(said.contains(expected), "{validator}: {said}");
        }
    });
}

#[test]
fn a_proxy_that_another_webhook_adds_stands_before_ours_whichever_is_called_first() {
    without_a_node("another webhook", async |installation| {
        let team = shop(installation, "meshed").await;
        let mesh = Mesh::start().await;
        // Webhooks are called in the order of their names.
        for name in ["a-mesh", "zz-mesh"] {
            mesh::install(&team, &mesh, name).await;
            for machine in ["web", "once"] {
                let mut pod =
                    shaped(&team, json!([container("first", "true")]), json!([container("app", "true")]), &json!({}));
                pod["metadata"]["labels"]["sikkerkey.com/machine"] = machine.into();
                // The API server knows of a configuration some moments after it stored it.
                let pod = wait_for("the mesh to be called", BOUND, async || {
                    let pod = admitted(&team, &pod).await?;
                    if names(&pod).contains(&"istio-proxy") { Ok(pod) } else { Err(format!("{:?}", names(&pod))) }
                })
                .await
                .unwrap();
                assert_eq!(names(&pod), ["istio-proxy", "sikkerkey", "first"], "{name}, {machine}");
                assert_eq!(with_files(&pod), ["first", "app"], "{name}, {machine}");
                assert_sound(&pod, machine, name);
            }
            team.kubectl(&["delete", "mutatingwebhookconfiguration", name]).await;
        }
    });
}

#[test]
fn what_a_pod_may_not_be_called_or_say_is_refused_with_what_to_write() {
    without_a_node("reserved names and unknown keys", async |installation| {
        let team = shop(installation, "reserved").await;
        let app = || json!([container("app", "true")]);
        let marked = |pointer: &str, key: &str| {
            let mut pod = team.pod_object("web", "true");
            let place = pod["metadata"].as_object_mut().unwrap().entry(pointer).or_insert_with(|| json!({}));
            place[key] = json!("app");
            pod
        };
        let mut mounting = container("app", "true");
        mounting["volumeMounts"] = json!([{"name": "sikkerkey-token", "mountPath": "/token"}]);
        let mut covering = container("app", "true");
        covering["volumeMounts"] = json!([{"name": "mine", "mountPath": "/var/run/secrets/sikkerkey"}]);
        let reserved = |name: &str| format!("Container or volume name {name} is reserved: rename it.");
        let volume = |name: &str| json!({"volumes": [{"name": name, "emptyDir": {}}]});
        for (pod, expected) in [
            (shaped(&team, json!([]), json!([container("sikkerkey", "true")]), &json!({})), reserved("sikkerkey")),
            (shaped(&team, json!([container("sikkerkey", "true")]), app(), &json!({})), reserved("sikkerkey")),
            (shaped(&team, json!([]), app(), &volume("sikkerkey")), reserved("sikkerkey")),
            (shaped(&team, json!([]), app(), &volume("sikkerkey-token")), reserved("sikkerkey-token")),
            (shaped(&team, json!([]), json!([mounting]), &json!({})), reserved("sikkerkey-token")),
            (
                shaped(&team, json!([]), json!([covering]), &volume("mine")),
                "Container app already mounts something at /var/run/secrets/sikkerkey: change one of the two paths."
                    .to_owned(),
            ),
            (
                marked("annotations", "sikkerkey.com/container"),
                "sikkerkey.com/container has no meaning: did you mean the annotation sikkerkey.com/containers?"
                    .to_owned(),
            ),
            (
                marked("annotations", "sikkerkey.com/machine"),
                "annotation sikkerkey.com/machine has no meaning: did you mean the label sikkerkey.com/machine?"
                    .to_owned(),
            ),
            (
                marked("labels", "sikkerkey.com/machines"),
                "sikkerkey.com/machines has no meaning: did you mean the label sikkerkey.com/machine?".to_owned(),
            ),
            (
                marked("labels", "sikkerkey.com/containers"),
                "label sikkerkey.com/containers has no meaning: did you mean the annotation sikkerkey.com/containers?"
                    .to_owned(),
            ),
            (
                {
                    let mut pod = team.pod_object("web", "true");
                    pod["metadata"]["annotations"] = json!({"sikkerkey.com/containers": "app,worker"});
                    pod
                },
                "sikkerkey.com/containers names worker, which the pod does not have; it has app.".to_owned(),
            ),
        ] {
            let said = admitted(&team, &pod).await.unwrap_err();
            assert!(said.contains(&expected), "expected {expected}: {said}");
        }
    });
}

#[test]
fn a_pod_whose_label_is_misspelt_does_not_start_without_its_files() {
    without_a_node("misspelt labels", async |installation| {
        let team = shop(installation, "misspelt").await;
        for (place, key, expected) in [
            ("labels", "sikkerkey.com/machines", "did you mean the label sikkerkey.com/machine?"),
            ("labels", "sikkerkey.com/Machine", "did you mean the label sikkerkey.com/machine?"),
            (
                "annotations",
                "sikkerkey.com/machine",
                "did you mean the label sikkerkey.com/machine, or the annotation sikkerkey.com/containers beside it?",
            ),
        ] {
            let mut pod = team.pod_object("web", "true");
            pod["metadata"]["labels"] = json!({"app": "web"});
            pod["metadata"][place][key] = json!("web");
            let said = admitted(&team, &pod).await.unwrap_err();
            assert!(
                said.contains("sikkerkey-keys") && said.contains(&format!("{key} has no meaning: {expected}")),
                "{said}"
            );
        }
        let mut others = team.pod_object("web", "true");
        others["metadata"]["labels"] = json!({"app.sikkerkey.com/machine": "web", "sikkerkey.community/x": "y"});
        let pod = admitted(&team, &others).await.unwrap();
        assert!(names(&pod).is_empty(), "pods that are not ours are left alone");
    });
}

#[test]
fn a_limit_range_and_a_quota_hold_for_our_container_too_and_can_be_met() {
    without_a_node("limits of namespaces", async |installation| {
        let range = r#"{apiVersion: v1, kind: LimitRange, metadata: {name: range}, spec: {limits: [{type: Container, min: {cpu: 50m, memory: 24Mi}, max: {cpu: "1", memory: 128Mi}}]}}"#;
        let enough = json!({"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "60m", "memory": "32Mi"}});
        let app = || {
            let mut app = container("app", "true");
            app["resources"] = enough.clone();
            json!([app])
        };
        let refused = shop(installation, "limited").await;
        refused.apply(range).await;
        let pod = shaped(&refused, json!([]), app(), &json!({}));
        let said = wait_for("the range to be in force", BOUND, async || match admitted(&refused, &pod).await {
            Ok(_) => Err("admitted"),
            Err(said) => Ok(said),
        })
        .await
        .unwrap();
        for expected in [
            "minimum cpu usage per Container is 50m, but request is 5m",
            "minimum memory usage per Container is 24Mi, but request is 16Mi",
        ] {
            assert!(said.contains(expected), "{said}");
        }
        // The installed operator was told of a namespace that needs more: the same range, the same pod.
        let roomy = shop(installation, sikkerkey_e2e::installation::SIZED_NAMESPACE).await;
        roomy.apply(range).await;
        for machine in ["web", "once"] {
            let mut pod = shaped(&roomy, json!([]), app(), &json!({}));
            pod["metadata"]["labels"]["sikkerkey.com/machine"] = machine.into();
            let pod = admitted(&roomy, &pod).await.unwrap();
            let requests = ours(&pod).resources.as_ref().unwrap().requests.as_ref().unwrap();
            assert_eq!((requests["cpu"].0.as_str(), requests["memory"].0.as_str()), ("60m", "24Mi"), "{machine}");
        }
        // The range gives limits to containers that have none, and then ours has what the others have.
        let defaulted = shaped(&roomy, json!([]), json!([plain("app")]), &json!({}));
        let defaulted = admitted(&roomy, &defaulted).await.unwrap();
        assert_eq!(qos(&defaulted), "Guaranteed");

        let counted = shop(installation, "counted").await;
        counted.apply(r#"{apiVersion: v1, kind: ResourceQuota, metadata: {name: quota}, spec: {hard: {limits.cpu: "2", limits.memory: 1Gi, requests.cpu: "1", requests.memory: 1Gi}}}"#).await;
        let without = shaped(&counted, json!([]), json!([container("app", "true")]), &json!({}));
        // Who demands limits names whoever has none; the app's own are its author's business.
        let said = wait_for("the quota to be in force", BOUND, async || match admitted(&counted, &without).await {
            Err(said) if said.contains("must specify") => Ok(said),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
        assert!(said.contains("limits.cpu for: app"), "{said}");
        for machine in ["web", "once"] {
            let mut pod = shaped(&counted, json!([]), app(), &json!({}));
            pod["metadata"]["labels"]["sikkerkey.com/machine"] = machine.into();
            let pod = admitted(&counted, &pod).await.unwrap();
            assert!(ours(&pod).resources.as_ref().unwrap().limits.as_ref().unwrap().contains_key("cpu"), "{machine}");
        }
    });
}

#[test]
fn every_kind_of_workload_makes_pods_that_are_injected_and_run() {
    without_a_node("workloads", async |installation| {
        let team = shop(installation, "workloads").await;
        let template = |machine: &str, command: &str, more: Value| {
            let mut spec = team.pod_spec(command);
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"metadata": {"labels": {"app": "it", "sikkerkey.com/machine": machine}}, "spec": spec})
        };
        let reads = "test -s /run/secrets/sikkerkey/db/password";
        let stays = format!("{reads} && exec sleep 3600");
        let selector = json!({"matchLabels": {"app": "it"}});
        let never = json!({"restartPolicy": "Never"});
        // Nobody takes the taint of a new node from one that is made up.
        let anywhere = json!({"tolerations": [{"operator": "Exists"}]});
        let workloads = [
            (
                "Deployment",
                "apps/v1",
                "web",
                json!({"selector": selector, "template": template("web", &stays, json!({}))}),
            ),
            (
                "StatefulSet",
                "apps/v1",
                "once",
                json!({"serviceName": "s", "selector": selector, "template": template("once", &stays, json!({}))}),
            ),
            (
                "DaemonSet",
                "apps/v1",
                "web",
                json!({"selector": selector, "template": template("web", &stays, anywhere)}),
            ),
            ("Job", "batch/v1", "once", json!({"template": template("once", reads, never.clone())})),
            (
                "CronJob",
                "batch/v1",
                "once",
                json!({"schedule": "* * * * *", "concurrencyPolicy": "Forbid",
                "jobTemplate": {"spec": {"template": template("once", reads, never)}}}),
            ),
        ];
        for (kind, version, _, spec) in &workloads {
            let name = kind.to_lowercase();
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
            team.apply(&object.to_string()).await;
        }
        for (kind, _, machine, _) in &workloads {
            let prefix = kind.to_lowercase();
            let is_done = matches!(*kind, "Job" | "CronJob");
            let pod = wait_for(&format!("a pod of the {kind}"), BOUND, async || {
                let pods = team.pods().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
                let of_it = |pod: &&Pod| {
                    pod.metadata.name.as_deref().is_some_and(|name| name.starts_with(&format!("{prefix}-")))
                };
                let pod = pods.items.iter().find(of_it).ok_or("there is none")?;
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                let is_there = if is_done { phase == Some("Succeeded") } else { pod::has_condition(pod, "Ready") };
                if is_there { Ok(pod.clone()) } else { Err(pod::state(pod)) }
            })
            .await
            .unwrap();
            assert_sound(&pod, machine, kind);
        }
        team.kubectl(&["delete", "cronjob", "cronjob"]).await;
        team.kubectl(&["wait", "--for=condition=Complete", "job/job", "--timeout=60s"]).await;
        // Those that are left: Deployment and DaemonSet, each with a sidecar.
        team.machine_count_becomes(2).await;
    });
}

#[test]
fn a_label_on_the_workload_alone_warns_and_a_debugging_container_stays_out() {
    without_a_node("slips", async |installation| {
        let team = shop(installation, "slips").await;
        let mut spec = team.pod_spec("true");
        spec["restartPolicy"] = json!("Never");
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job", "labels": {"sikkerkey.com/machine": "web"}},
            "spec": {"suspend": true, "template": {"spec": spec}},
        });
        let warnings = mesh::warnings(installation, "/apis/batch/v1/namespaces/slips/jobs?dryRun=All", &job).await;
        let expected = "the label sikkerkey.com/machine stands on the workload, not on spec.template.metadata.labels: its pods will get no secrets";
        assert!(warnings.contains(expected), "{warnings}");

        let cron = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cron", "labels": {"sikkerkey.com/machine": "web"}},
            "spec": {"schedule": "0 0 1 1 *", "jobTemplate": job["spec"].as_object().map(|spec| json!({"spec": spec}))},
        });
        let warnings = mesh::warnings(installation, "/apis/batch/v1/namespaces/slips/cronjobs?dryRun=All", &cron).await;
        let expected = "stands on the workload, not on spec.jobTemplate.spec.template.metadata.labels";
        assert!(warnings.contains(expected), "{warnings}");
        let mut right = cron.clone();
        right["spec"]["jobTemplate"]["spec"]["template"]["metadata"] =
            json!({"labels": {"sikkerkey.com/machine": "web"}});
        let warnings =
            mesh::warnings(installation, "/apis/batch/v1/namespaces/slips/cronjobs?dryRun=All", &right).await;
        assert_eq!(warnings, "");

        let name = team.create(team.pod_object("web", "exec sleep 3600")).await.unwrap();
        let debug = |more: Value| {
            let mut debugger =
                json!({"name": "debugger", "image": sikkerkey_e2e::image::BUSYBOX_IMAGE, "command": ["sh"]});
            let security = container("x", "")["securityContext"].clone();
            debugger["securityContext"] = security;
            debugger.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"spec": {"ephemeralContainers": [debugger]}})
        };
        for (more, expected) in [
            (
                json!({"volumeMounts": [{"name": "sikkerkey", "mountPath": "/x"}]}),
                Some("an ephemeral container may not mount sikkerkey or sikkerkey-token: they hold secrets"),
            ),
            (
                json!({"volumeMounts": [{"name": "sikkerkey-token", "mountPath": "/x"}]}),
                Some("an ephemeral container may not mount sikkerkey or sikkerkey-token: they hold secrets"),
            ),
            (
                json!({"targetContainerName": "sikkerkey"}),
                Some("an ephemeral container may not target sikkerkey, which holds the pod's key in memory"),
            ),
            (json!({"targetContainerName": "app"}), None),
        ] {
            let patch = kube::api::Patch::Strategic(debug(more));
            let patched =
                team.pods().patch_ephemeral_containers(&name, &kube::api::PatchParams::default(), &patch).await;
            let said = patched.map(drop).map_err(|error| error.to_string());
            match (said, expected) {
                (Ok(()), None) => {}
                (Err(said), Some(expected)) if said.contains(expected) => {}
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn pods_whose_files_were_written_once_are_counted_and_told_of_when_the_mode_changes() {
    without_a_node("pods of mode Init in the status", async |installation| {
        let team = shop(installation, "counted-once").await;
        let pods = async |alive: i64, outdated: i64, summary: &str| {
            wait_for(&format!("{alive} pods, {summary}"), BOUND, async || {
                let pods = team.object("Machine", "once").await["status"]["pods"].clone();
                let is_so = pods["alive"] == alive && pods["outdated"] == outdated && pods["summary"] == summary;
                if is_so { Ok(()) } else { Err(pods.to_string()) }
            })
            .await
            .unwrap();
        };
        let mut pod = team.pod_object("first", "exec sleep 3600");
        pod["metadata"]["labels"]["sikkerkey.com/machine"] = "once".into();
        team.run(pod).await;
        assert!(team.machines().await.is_empty(), "the identity was given up before the app started");
        pods(1, 0, "1/1").await;
        team.kubectl(&["patch", "skm", "once", "--type=merge", "-p", r#"{"spec": {"delivery": {"mode": null}}}"#])
            .await;
        pods(1, 1, "0/1").await;
        team.condition("Machine", "once", "Ready", "True", "PodsOutdated").await;
        team.delete_pod("first").await;
        pods(0, 0, "0/0").await;
        team.ready("Machine", "once").await;
    });
}
