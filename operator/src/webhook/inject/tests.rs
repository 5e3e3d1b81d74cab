#![expect(clippy::needless_pass_by_value, reason = "json! reads best in the call itself")]

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::webhook::injected::Injected;
use crate::webhook::resources::Resources;
use crate::webhook::sidecar::Traces;

const BUNDLE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

fn settings() -> Settings {
    Settings {
        image: "registry.example/sikkerkey-sidecar:1.2.3".into(),
        resources: Resources::new("5m", "50m", "16Mi", &[]).unwrap(),
        log_level: "info".into(),
        status_address: None,
        traces: None,
        attest_url: "https://sikkerkey-operator.sikkerkey-system.svc:9443".into(),
    }
}

fn machine(delivery: &Value) -> Received<Machine> {
    serde_json::from_value(json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine",
        "metadata": {"name": "web", "namespace": "shop", "uid": "4be6f15c-1f0a-4d1f-8b43-8b1d2bd7d0ab"},
        "spec": {"workload": {"serviceAccountNames": ["web"]}, "delivery": delivery},
    }))
    .unwrap()
}

/// A pod as an API server sends it, with this spec over the usual one.
fn pod(spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-", "namespace": "shop", "labels": {"app": "web", "sikkerkey.com/machine": "web"}},
        "spec": {
            "serviceAccountName": "web",
            "restartPolicy": "Always",
            "containers": [{"name": "app", "image": "app:1", "resources": {}}],
        },
    });
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

fn injection(pod: &Value, machine: &Received<Machine>) -> Result<Injection, Refusal> {
    held_by(Gate::Hook, pod, machine)
}

fn held_by(gate: Gate, pod: &Value, machine: &Received<Machine>) -> Result<Injection, Refusal> {
    let view = read_pod(&pod.to_string()).unwrap();
    inject(&view, "shop", Some(machine), &settings(), BUNDLE, gate)
}

fn apply(pod: &Value, injection: &Injection) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&injection.patch).unwrap()).unwrap();
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch).unwrap();
    patched
}

fn injected(pod: &Value, machine: &Received<Machine>) -> Value {
    apply(pod, &injection(pod, machine).unwrap())
}

fn refusal(pod: &Value, machine: &Received<Machine>) -> (&'static str, String) {
    let refusal = injection(pod, machine).unwrap_err();
    (refusal.reason(), refusal.to_string())
}

fn plain() -> Received<Machine> {
    machine(&json!({"files": [{"path": "db/password", "secretRefs": [{"name": "db"}]}]}))
}

/// Compares with the committed file; `UPDATE_GOLDEN=1` rewrites it.
fn assert_golden(name: &str, pod: &Value) {
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/injected")).join(format!("{name}.yaml"));
    let text = serde_yaml::to_string(pod).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs: UPDATE_GOLDEN=1 rewrites it", path.display());
}

/// The pods of the golden files.
fn gallery() -> Vec<(&'static str, Value)> {
    let istio = json!({"name": "istio-proxy", "image": "istio:1", "restartPolicy": "Always"});
    let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}});
    let mut annotated = pod(json!({
        "initContainers": [{"name": "migrate", "image": "app:1"}],
        "containers": [{"name": "app", "image": "app:1"}, {"name": "exporter", "image": "exporter:1"}],
    }));
    annotated["metadata"]["annotations"] = json!({"sikkerkey.com/containers": "app, migrate", "example.com/note": "x"});
    vec![
        ("plain", pod(json!({}))),
        (
            "own-init-containers",
            pod(json!({
                "initContainers": [{"name": "migrate", "image": "app:1", "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}]}],
                "volumes": [{"name": "scratch", "emptyDir": {}}],
            })),
        ),
        (
            "mesh",
            pod(json!({
                "initContainers": [{"name": "istio-init", "image": "istio:1"}, istio, {"name": "migrate", "image": "app:1"}],
            })),
        ),
        (
            "fixed-uid",
            pod(json!({
                "securityContext": {"runAsUser": 10001, "fsGroup": 10001},
                "containers": [{"name": "app", "image": "app:1", "securityContext": {"runAsUser": 10002}}],
            })),
        ),
        ("guaranteed", pod(json!({"containers": [{"name": "app", "image": "app:1", "resources": full}]}))),
        ("containers-annotation", annotated),
        ("job", pod(json!({"restartPolicy": "Never"}))),
    ]
}

#[test]
fn injected_pods_look_as_committed() {
    for (name, pod) in gallery() {
        assert_golden(name, &injected(&pod, &plain()));
    }
}

#[test]
fn a_pod_that_may_wait_for_hours_looks_as_committed() {
    let pod = pod(json!({}));
    assert_golden("startup-probe", &apply(&pod, &held_by(Gate::Probe, &pod, &plain()).unwrap()));
}

#[test]
fn a_pod_has_exactly_one_gate_also_when_the_policy_has_changed_between_two_passes() {
    let gates = [(Gate::Hook, "lifecycle", "startupProbe"), (Gate::Probe, "startupProbe", "lifecycle")];
    for (name, pod) in gallery() {
        for (first, ..) in gates {
            let once = apply(&pod, &held_by(first, &pod, &plain()).unwrap());
            for (second, has, has_not) in gates {
                let twice = apply(&once, &held_by(second, &once, &plain()).unwrap());
                let inits = twice["spec"]["initContainers"].as_array().unwrap();
                let sidecar = inits.iter().find(|container| container["name"] == "sikkerkey").unwrap();
                assert!(sidecar.get(has).is_some() && sidecar.get(has_not).is_none(), "{name}: {sidecar}");
            }
        }
    }
}

#[test]
fn injecting_an_injected_pod_changes_nothing() {
    for machine in [plain(), once()] {
        for (name, pod) in gallery() {
            let once = injected(&pod, &machine);
            assert_eq!(injected(&once, &machine), once, "{name}");
        }
    }
}

/// The same as [`plain`], once.
fn once() -> Received<Machine> {
    machine(&json!({"mode": "Init", "files": [{"path": "db/password", "secretRefs": [{"name": "db"}]}]}))
}

#[test]
fn a_pod_of_mode_init_looks_as_committed_whatever_gate_its_policies_would_want() {
    let pod = pod(json!({}));
    for gate in [Gate::Hook, Gate::Probe] {
        assert_golden("init", &apply(&pod, &held_by(gate, &pod, &once()).unwrap()));
    }
}

#[test]
fn the_two_modes_differ_in_the_one_container_alone_and_in_nothing_but_how_long_it_runs() {
    for (name, pod) in gallery() {
        let (mut sidecar, mut init) = (injected(&pod, &plain()), injected(&pod, &once()));
        for pod in [&mut sidecar, &mut init] {
            let inits = pod["spec"]["initContainers"].as_array_mut().unwrap();
            let ours = inits.iter_mut().find(|container| container["name"] == "sikkerkey").unwrap();
            let ours = ours.as_object_mut().unwrap();
            let taken = ["args", "restartPolicy", "lifecycle"].map(|key| ours.remove(key));
            let expected = match &taken {
                [Some(args), Some(policy), Some(_)] => *args == json!(["run"]) && policy == "Always",
                [Some(args), None, None] => *args == json!(["init"]),
                _ => false,
            };
            assert!(expected, "{name}: {taken:?}");
        }
        assert_eq!(sidecar, init, "{name}");
    }
}

#[test]
fn a_pod_that_meets_another_mode_at_the_second_pass_gets_that_one() {
    for (first, second) in [(plain(), once()), (once(), plain())] {
        for (name, pod) in gallery() {
            assert_eq!(injected(&injected(&pod, &first), &second), injected(&pod, &second), "{name}");
        }
    }
}

#[test]
fn a_notice_that_nobody_is_sent_asks_nothing_of_the_pod() {
    let signal = json!({"signal": {"name": "SIGHUP", "processName": "nginx"}});
    let machine = machine(&json!({"mode": "Init", "onChange": signal}));
    assert!(injection(&pod(json!({})), &machine).is_ok());
}

#[test]
fn the_patch_of_a_plain_pod_with_a_real_root_is_small() {
    let root = crate::ca::root::Root::generate("2026-11-24T00:00:00Z".parse().unwrap()).unwrap();
    let view = read_pod(&pod(json!({})).to_string()).unwrap();
    for gate in [Gate::Hook, Gate::Probe] {
        let injection = inject(&view, "shop", Some(&plain()), &settings(), &root.bundle_pem(), gate).unwrap();
        let bytes = serde_json::to_vec(&injection.patch).unwrap().len();
        assert!(bytes <= 2500, "{gate:?}: {bytes} bytes");
    }
}

#[test]
fn a_container_that_another_webhook_put_in_between_moves_behind_and_gets_the_files() {
    let mut once = injected(&pod(json!({})), &plain());
    let inits = once["spec"]["initContainers"].as_array_mut().unwrap();
    inits.insert(0, json!({"name": "istio-proxy", "image": "istio:1", "restartPolicy": "Always"}));
    inits.insert(0, json!({"name": "vendor", "image": "vendor:1"}));
    once["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "agent", "image": "agent:1"}));
    let twice = injected(&once, &plain());
    let names = |pod: &Value, list: &str| -> Vec<String> {
        pod["spec"][list].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&twice, "initContainers"), ["vendor", "istio-proxy", "sikkerkey"]);
    assert!(twice["spec"]["initContainers"][0].get("volumeMounts").is_none(), "it starts before the files exist");
    assert_eq!(
        twice["spec"]["containers"][1]["volumeMounts"],
        json!([{"name": "sikkerkey", "mountPath": "/run/secrets/sikkerkey", "readOnly": true}])
    );
}

#[test]
fn what_the_machine_asks_for_reaches_mount_and_size() {
    let machine = machine(&json!({"mountPath": "/etc/keys", "sizeLimit": "8Mi", "files": []}));
    let pod = injected(&pod(json!({})), &machine);
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], "/etc/keys");
    assert_eq!(pod["spec"]["volumes"][0]["emptyDir"], json!({"medium": "Memory", "sizeLimit": "8Mi"}));
    assert_eq!(pod["spec"]["initContainers"][0]["resources"]["limits"]["memory"], "24Mi");
    assert_eq!(pod["spec"]["initContainers"][0]["volumeMounts"][0]["mountPath"], "/run/secrets/sikkerkey");
}

#[test]
fn a_pod_that_cannot_work_is_refused_with_the_fix() {
    let signal = machine(&json!({"onChange": {"signal": {"name": "SIGHUP", "processName": "nginx"}}}));
    let mut unknown = pod(json!({}));
    unknown["metadata"]["annotations"] = json!({"sikkerkey.com/container": "app"});
    let mut misplaced = pod(json!({}));
    misplaced["metadata"]["annotations"] = json!({"sikkerkey.com/machine": "web"});
    let mut no_container = pod(json!({}));
    no_container["metadata"]["annotations"] = json!({"sikkerkey.com/containers": "app,worker"});
    let mut empty = pod(json!({}));
    empty["metadata"]["annotations"] = json!({"sikkerkey.com/containers": " , "});
    let mounting =
        |path: &str| pod(json!({"containers": [{"name": "app", "volumeMounts": [{"name": "x", "mountPath": path}]}]}));
    let sharing = |context: Value| pod(json!({"shareProcessNamespace": true, "securityContext": context}));
    let needs_user = "Machine web sends SIGHUP, which reaches only processes of the sidecar's own user: set one runAsUser, not root, for the pod's containers, or use onChange.httpPost.";
    let ordinary_proxy = pod(json!({
        "initContainers": [{"name": "istio-validation"}],
        "containers": [{"name": "app"}, {"name": "istio-proxy"}],
    }));
    let conflict =
        |path: &str| format!("Container app already mounts something at {path}: change one of the two paths.");
    let reserved = |name: &str| format!("Container or volume name {name} is reserved: rename it.");
    let cases = vec![
        (unknown, plain(), "UnknownAnnotation",
         "sikkerkey.com/container has no meaning: did you mean the annotation sikkerkey.com/containers?".to_owned()),
        (misplaced, plain(), "UnknownAnnotation",
         "annotation sikkerkey.com/machine has no meaning: did you mean the label sikkerkey.com/machine?".to_owned()),
        (no_container, plain(), "ContainerNotFound",
         "sikkerkey.com/containers names worker, which the pod does not have; it has app.".to_owned()),
        (empty, plain(), "ContainerNotFound",
         "sikkerkey.com/containers names nothing, which the pod does not have; it has app.".to_owned()),
        (mounting("/run/secrets/sikkerkey"), plain(), "MountConflict", conflict("/run/secrets/sikkerkey")),
        (mounting("/var/run/secrets/sikkerkey/"), plain(), "MountConflict", conflict("/var/run/secrets/sikkerkey/")),
        (mounting("/run/secrets/sikkerkey/db"), plain(), "MountConflict", conflict("/run/secrets/sikkerkey/db")),
        (pod(json!({"containers": [{"name": "sikkerkey"}]})), plain(), "ReservedName", reserved("sikkerkey")),
        (pod(json!({"initContainers": [{"name": "sikkerkey"}]})), plain(), "ReservedName", reserved("sikkerkey")),
        (pod(json!({"volumes": [{"name": "sikkerkey", "hostPath": {"path": "/"}}]})), plain(), "ReservedName", reserved("sikkerkey")),
        (pod(json!({"containers": [{"name": "app", "volumeMounts": [{"name": "sikkerkey-token", "mountPath": "/t"}]}]})), plain(),
         "ReservedName", reserved("sikkerkey-token")),
        (pod(json!({})), signal.clone(), "ProcessNamespaceNeeded",
         "Machine web sends SIGHUP: set shareProcessNamespace: true in the pod, or use onChange.httpPost.".to_owned()),
        (sharing(json!({})), signal.clone(), "SignalNeedsUser", needs_user.to_owned()),
        (sharing(json!({"runAsUser": 0})), signal, "SignalNeedsUser", needs_user.to_owned()),
        (ordinary_proxy, plain(), "MeshBlocksStart",
         "The mesh takes this pod's network before its proxy runs: switch native sidecars on in the mesh.".to_owned()),
        (pod(json!({"os": {"name": "windows"}})), plain(), "UnsupportedNode", "Pods on windows nodes are not supported.".to_owned()),
        (pod(json!({"nodeSelector": {"kubernetes.io/os": "windows"}})), plain(), "UnsupportedNode", "Pods on windows nodes are not supported.".to_owned()),
        (pod(json!({"serviceAccountName": null})), plain(), "ServiceAccountNotAllowed",
         "ServiceAccount default may not assume Machine web, which allows web: set serviceAccountName, or add it to spec.workload.serviceAccountNames.".to_owned()),
    ];
    for (pod, machine, reason, message) in cases {
        assert_eq!(refusal(&pod, &machine), (reason, message));
    }
    let view = read_pod(&pod(json!({})).to_string()).unwrap();
    let missing = inject(&view, "shop", None, &settings(), BUNDLE, Gate::Hook).unwrap_err();
    assert_eq!(missing.reason(), "MachineNotFound");
}

#[test]
fn a_sidecar_answers_where_the_operator_was_told_if_the_pod_has_a_network_of_its_own() {
    let init = machine(&json!({"mode": "Init"}));
    for (machine, address, host_network, answers, port) in [
        (plain(), "127.0.0.1:9917", false, true, Value::Null),
        (
            plain(),
            "0.0.0.0:9917",
            false,
            true,
            json!([{"name": "sikkerkey", "containerPort": 9917, "protocol": "TCP"}]),
        ),
        // The addresses of the node are not for it to listen on.
        (plain(), "0.0.0.0:9917", true, false, Value::Null),
        (plain(), "127.0.0.1:9917", true, false, Value::Null),
        // It answers nobody: there is nothing to ask once it has ended.
        (init, "0.0.0.0:9917", false, false, Value::Null),
    ] {
        let settings = Settings { status_address: Some(address.parse().unwrap()), ..settings() };
        let pod = pod(json!({"hostNetwork": host_network}));
        let view = read_pod(&pod.to_string()).unwrap();
        let injection = inject(&view, "shop", Some(&machine), &settings, BUNDLE, Gate::Hook).unwrap();
        let sidecar = injection
            .patch
            .iter()
            .map(|it| serde_json::to_value(it).unwrap())
            .find(|it| it["path"].as_str().is_some_and(|path| path.starts_with("/spec/initContainers")));
        let value = &sidecar.unwrap()["value"];
        let sidecar = value.get(0).unwrap_or(value);
        assert_eq!(sidecar["ports"], port, "{address} {host_network}");
        let env = sidecar["env"].as_array().unwrap();
        assert_eq!(env.contains(&json!({"name": "SIKKERKEY_STATUS", "value": address})), answers, "{env:?}");
    }
}

#[test]
fn a_sidecar_sends_its_spans_where_the_operator_was_told_and_whatever_the_pod_says() {
    let names = ["SIKKERKEY_OTLP_ENDPOINT", "SIKKERKEY_TRACE_RATIO", "SIKKERKEY_OTLP_CA", "SIKKERKEY_TRACEPARENT"];
    let traces = |authority: Option<&str>, parent: Option<&str>| Traces {
        endpoint: "http://collector:4318".into(),
        authority: authority.map(str::to_owned),
        ratio: "0.5".into(),
        parent: parent.map(str::to_owned),
    };
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (traces, expected) in [
        (None, [None; 4]),
        (Some(traces(None, None)), [Some("http://collector:4318"), Some("0.5"), None, None]),
        (
            Some(traces(Some("PEM"), Some(parent))),
            [Some("http://collector:4318"), Some("0.5"), Some("PEM"), Some(parent)],
        ),
    ] {
        let settings = Settings { traces, ..settings() };
        let env = json!([{"name": "SIKKERKEY_OTLP_ENDPOINT", "value": "http://evil"}]);
        let theirs = json!({"containers": [{"name": "app", "image": "app:1", "resources": {}, "env": env}]});
        let view = read_pod(&pod(theirs).to_string()).unwrap();
        let injection = inject(&view, "shop", Some(&plain()), &settings, BUNDLE, Gate::Hook).unwrap();
        let patch: Vec<Value> = injection.patch.iter().map(|it| serde_json::to_value(it).unwrap()).collect();
        let is_sidecar = |it: &&Value| it["path"].as_str().is_some_and(|path| path.starts_with("/spec/initContainers"));
        let value = &patch.iter().find(is_sidecar).unwrap()["value"];
        let env = value.get(0).unwrap_or(value)["env"].as_array().unwrap().clone();
        let found = |name: &str| env.iter().find(|it| it["name"] == name).map(|it| it["value"].as_str().unwrap());
        assert_eq!(names.map(found), expected);
    }
}

#[test]
fn a_signal_is_sent_by_a_sidecar_of_the_users_of_the_pod() {
    let signal = machine(&json!({"onChange": {"signal": {"name": "SIGHUP", "processName": "nginx"}}}));
    let containers = json!([{"name": "app", "securityContext": {"runAsUser": 1000}}]);
    let pod = injected(&pod(json!({"shareProcessNamespace": true, "containers": containers})), &signal);
    assert_eq!(pod["spec"]["initContainers"][0]["securityContext"]["runAsUser"], 1000);
}

#[test]
fn a_parent_of_the_mount_and_a_mount_of_another_container_are_no_conflict() {
    let mut pod = pod(json!({"containers": [
        {"name": "app", "volumeMounts": [{"name": "run", "mountPath": "/run"}, {"name": "x", "mountPath": "/run/secrets/sikkerkey2"}]},
        {"name": "other", "volumeMounts": [{"name": "x", "mountPath": "/run/secrets/sikkerkey"}]},
    ]}));
    pod["metadata"]["annotations"] = json!({"sikkerkey.com/containers": "app"});
    assert!(injection(&pod, &plain()).is_ok());
}

/// Somebody writes the annotation himself to be taken for injected, with parts of his own under our names.
#[test]
fn a_pod_that_only_says_it_was_injected_gets_our_parts_in_the_place_of_its_own() {
    let mut forged = pod(json!({
        "initContainers": [
            {"name": "sikkerkey", "image": "evil:1", "command": ["/steal"], "restartPolicy": "Always"},
            {"name": "migrate", "image": "app:1", "volumeMounts": [{"name": "sikkerkey", "mountPath": "/run/secrets/sikkerkey", "subPath": "x"}]},
            {"name": "sikkerkey", "image": "evil:2"},
        ],
        "containers": [{"name": "app", "image": "app:1", "volumeMounts": [{"name": "sikkerkey", "mountPath": "/mine"}]}],
        "volumes": [
            {"name": "sikkerkey-token", "hostPath": {"path": "/"}},
            {"name": "data", "emptyDir": {}},
            {"name": "sikkerkey", "emptyDir": {}},
            {"name": "sikkerkey", "hostPath": {"path": "/"}},
        ],
    }));
    forged["metadata"]["annotations"] = json!({"sikkerkey.com/injected": "9.9.9,somebody-else"});
    let pod = injected(&forged, &plain());
    let honest = injected(&self::pod(json!({})), &plain());
    assert_eq!(pod["spec"]["initContainers"][0], honest["spec"]["initContainers"][0]);
    assert_eq!(pod["spec"]["initContainers"].as_array().unwrap().len(), 2);
    assert_eq!(pod["metadata"]["annotations"], honest["metadata"]["annotations"]);
    let mount = json!({"name": "sikkerkey", "mountPath": "/run/secrets/sikkerkey", "readOnly": true});
    assert_eq!(pod["spec"]["initContainers"][1]["volumeMounts"], json!([mount]));
    assert_eq!(
        pod["spec"]["containers"][0]["volumeMounts"],
        json!([{"name": "sikkerkey", "mountPath": "/mine", "readOnly": true}, mount])
    );
    let volumes = honest["spec"]["volumes"].as_array().unwrap();
    assert_eq!(pod["spec"]["volumes"], json!([volumes[1], {"name": "data", "emptyDir": {}}, volumes[0]]));
    assert_eq!(injected(&pod, &plain()), pod);
}

#[test]
fn the_sidecar_runs_as_the_apps_user_where_there_is_one_and_never_as_root() {
    let user = |spec: Value| {
        let pod = injected(&pod(spec), &plain());
        pod["spec"]["initContainers"][0]["securityContext"].get("runAsUser").cloned()
    };
    let containers = |users: &[Option<i64>]| -> Value {
        let container = |user: &Option<i64>| match user {
            Some(user) => json!({"name": format!("c{user}"), "securityContext": {"runAsUser": user}}),
            None => json!({"name": "c"}),
        };
        users.iter().map(container).collect()
    };
    for (pod_user, users, expected) in [
        (None, vec![None], None),
        (Some(1000), vec![None, None], None),
        (Some(1000), vec![Some(1000), None], None),
        (None, vec![Some(7)], Some(7)),
        (Some(1000), vec![Some(7)], Some(7)),
        (None, vec![Some(7), Some(8)], None),
        (None, vec![Some(7), None], None),
        (Some(0), vec![None], Some(65532)),
        (Some(0), vec![Some(7)], Some(7)),
        (Some(0), vec![Some(7), Some(8)], Some(65532)),
        (None, vec![Some(0)], None),
    ] {
        let spec = json!({"securityContext": {"runAsUser": pod_user}, "containers": containers(&users)});
        assert_eq!(user(spec), expected.map(Value::from), "{pod_user:?} {users:?}");
    }
}

#[test]
fn warnings_name_what_will_surprise() {
    let strict = machine(&json!({"files": [
        {"path": "open", "secretRefs": [{"name": "a"}]},
        {"path": "owner", "mode": "0400", "secretRefs": [{"name": "a"}]},
        {"path": "group", "mode": "0440", "secretRefs": [{"name": "a"}]},
    ]}));
    let warnings = |spec: Value, machine: &Received<Machine>| -> Vec<String> {
        injection(&pod(spec), machine).unwrap().warnings.iter().map(ToString::to_string).collect()
    };
    let unreadable = |path: &str, mode: &str| {
        format!(
            "FileModeUnreadable: The pod's users may not be able to read {path} (mode {mode}): give them one runAsUser or an fsGroup, or use mode \"0444\"."
        )
    };
    assert_eq!(warnings(json!({}), &strict), [unreadable("owner", "0400"), unreadable("group", "0440")]);
    assert_eq!(warnings(json!({"securityContext": {"fsGroup": 5}}), &strict), [unreadable("owner", "0400")]);
    assert_eq!(warnings(json!({"securityContext": {"runAsUser": 5}}), &strict), Vec::<String>::new());

    let part = json!({"containers": [{"name": "app", "volumeMounts": [{"name": "sikkerkey", "mountPath": "/a", "subPath": "db"}]}]});
    assert_eq!(
        warnings(part, &plain()),
        [
            "SubPathNeverUpdates: Container app mounts a part of the volume (subPath), which never shows a later version: mount the whole."
        ]
    );
    let mut paused = plain();
    paused.object.spec.suspend = Some(true);
    paused.object.status = serde_json::from_value(json!({"conditions": [{
        "type": "ResolvedRefs", "status": "False", "reason": "SecretNotGranted",
        "message": "File db/password needs Secret shop/db.", "lastTransitionTime": "2026-11-24T00:00:00Z",
    }]}))
    .unwrap();
    assert_eq!(
        warnings(json!({}), &paused),
        [
            "MachineSuspended: Machine web is suspended: the pod waits until spec.suspend is false.",
            "NotGrantedYet: File db/password needs Secret shop/db.",
        ]
    );
}

// ------------------------------------------------------------------------------------------------------- properties

const MARK: &str = "attacker";

fn container(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let mount = (
        prop::sample::select(vec!["sikkerkey", "data", MARK]),
        prop::sample::select(vec!["/run/secrets/sikkerkey", "/data", "/run/secrets/sikkerkey/", "/attacker"]),
        prop::option::of(any::<bool>()),
        prop::option::of(Just("attacker-part")),
    )
        .prop_map(|(name, path, read_only, sub_path)| {
            json!({"name": name, "mountPath": path, "readOnly": read_only, "subPath": sub_path})
        });
    (
        prop::sample::select(names),
        prop::option::of(prop::collection::vec(mount, 0..3)),
        prop::option::of(prop::sample::select(vec!["Always", MARK])),
        prop::option::of(0..3_i64),
        prop::option::of(prop::sample::select(vec!["1", "500m", MARK])),
    )
        .prop_map(|(name, mounts, policy, user, amount)| {
            json!({
                "name": name, "image": "attacker:1", "command": ["/attacker"], "args": ["attacker"],
                "env": [{"name": "SIKKERKEY_ATTEST_URL", "value": "https://attacker"}],
                "volumeMounts": mounts, "restartPolicy": policy, "securityContext": {"runAsUser": user},
                "resources": {"limits": amount.map(|amount| json!({"cpu": amount, "memory": amount}))},
            })
        })
}

fn any_pod() -> impl Strategy<Value = Value> {
    let init = container(&["sikkerkey", "istio-proxy", "istio-init", "migrate", "linkerd-proxy"]);
    let app = container(&["app", "worker", "istio-proxy", "sikkerkey"]);
    let volume = prop::sample::select(vec!["sikkerkey", "sikkerkey-token", "data"])
        .prop_map(|name| json!({"name": name, "hostPath": {"path": "/attacker"}}));
    let annotation = prop::sample::select(vec!["sikkerkey.com/injected", "sikkerkey.com/containers", "example.com/x"]);
    let value = prop::sample::select(vec!["app", "attacker", "app,migrate", "attacker,attacker"]);
    (
        prop::option::of(prop::collection::vec(init, 0..4)),
        prop::collection::vec(app, 0..3),
        prop::option::of(prop::collection::vec(volume, 0..5)),
        prop::option::of(prop::collection::btree_map(annotation, value, 0..3)),
        prop::option::of(0..3_i64),
    )
        .prop_map(|(inits, apps, volumes, annotations, user)| {
            let mut pod = pod(json!({
                "initContainers": inits, "containers": apps, "volumes": volumes,
                "securityContext": {"runAsUser": user}, "schedulerName": MARK,
            }));
            pod["metadata"]["annotations"] = json!(annotations);
            pod["metadata"]["labels"]["example.com/attacker"] = json!(MARK);
            pod
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_a_pod_contains_our_parts_are_ours_and_a_second_pass_changes_nothing(pod in any_pod(), is_once in any::<bool>()) {
        let machine = if is_once { self::once() } else { plain() };
        let Ok(first) = injection(&pod, &machine) else { return Ok(()) };
        let once = apply(&pod, &first);
        let spec = &once["spec"];

        let named = |list: &str, name: &str| -> Vec<Value> {
            let all = spec[list].as_array().cloned().unwrap_or_default();
            all.into_iter().filter(|item| item["name"] == name).collect()
        };
        let sidecars = named("initContainers", "sikkerkey");
        prop_assert_eq!(sidecars.len(), 1);
        let text = sidecars[0].to_string();
        prop_assert!(!text.contains(MARK), "{}", text);
        prop_assert_eq!(&sidecars[0]["image"], "registry.example/sikkerkey-sidecar:1.2.3");
        prop_assert!(sidecars[0].get("command").is_none());
        let lives = sidecars[0].get("restartPolicy").is_some_and(|policy| policy == "Always");
        prop_assert_eq!((&sidecars[0]["args"], lives), (&json!([if is_once { "init" } else { "run" }]), !is_once));
        prop_assert_ne!(sidecars[0]["securityContext"].get("runAsUser"), Some(&json!(0)));
        for volume in ["sikkerkey", "sikkerkey-token"] {
            let volumes = named("volumes", volume);
            prop_assert_eq!(volumes.len(), 1);
            prop_assert!(!volumes[0].to_string().contains(MARK));
        }

        let others = ["initContainers", "containers"].into_iter().flat_map(|list| spec[list].as_array().cloned().unwrap_or_default());
        for other in others.filter(|container| container["name"] != "sikkerkey") {
            for mount in other["volumeMounts"].as_array().into_iter().flatten() {
                prop_assert_ne!(&mount["name"], "sikkerkey-token");
                if mount["name"] == "sikkerkey" {
                    prop_assert_eq!(&mount["readOnly"], true);
                }
            }
        }
        prop_assert_eq!(injected(&once, &machine), once);
    }
}

/// What is read back from a pod after its injection for a Machine with this delivery.
fn read_back(pod: &Value, delivery: &Value) -> Injected {
    let machine = machine(delivery);
    let read = Injected::of(&serde_json::from_value(injected(pod, &machine)).unwrap()).unwrap();
    assert_eq!(Some(&read.machine_uid), machine.metadata.uid.as_ref());
    read
}

#[test]
fn a_pod_is_up_to_date_until_what_it_was_given_for_life_differs() {
    let own = json!([{"name": "app", "image": "app:1", "volumeMounts": [{"name": "sikkerkey", "mountPath": "/run//files/"}]}]);
    let none = json!([{"name": "istio-proxy", "image": "proxy:1"}]);
    let with = |containers: Value| pod(json!({"containers": containers}));
    let is_as_of = |pod: &Value, then: Value, now: Value| read_back(pod, &then).is_as_of(machine(&now).spec.delivery());
    let files = json!([{"path": "db", "secretRefs": [{"name": "db"}]}]);
    for (what, pod, then, now, expected) in [
        ("the defaults", pod(json!({})), json!({}), json!({}), true),
        (
            "the defaults, written out",
            pod(json!({})),
            json!({}),
            json!({"mode": "Sidecar", "mountPath": "/run/secrets/sikkerkey", "sizeLimit": "4Mi"}),
            true,
        ),
        (
            "one place in two spellings",
            pod(json!({})),
            json!({"mountPath": "/run/files"}),
            json!({"mountPath": "/var/run/files"}),
            true,
        ),
        ("the same amount", pod(json!({})), json!({"sizeLimit": "2Mi"}), json!({"sizeLimit": "2048Ki"}), true),
        ("what it takes while it runs", pod(json!({})), json!({}), json!({"files": files, "maxStaleness": "1h"}), true),
        ("another place", pod(json!({})), json!({}), json!({"mountPath": "/run/files"}), false),
        ("the place where its author has them too", with(own), json!({}), json!({"mountPath": "/run/files"}), true),
        ("a place in no container", with(none.clone()), json!({}), json!({"mountPath": "/run/files"}), true),
        ("more room", pod(json!({})), json!({}), json!({"sizeLimit": "2Mi"}), false),
        ("more room, and no container", with(none), json!({}), json!({"sizeLimit": "2Mi"}), false),
        ("another mode", pod(json!({})), json!({}), json!({"mode": "Init"}), false),
        ("another mode", pod(json!({})), json!({"mode": "Init"}), json!({}), false),
        ("the same mode", pod(json!({})), json!({"mode": "Init"}), json!({"mode": "Init"}), true),
    ] {
        assert_eq!(is_as_of(&pod, then, now), expected, "{what}");
    }
}

#[test]
fn of_a_pod_that_was_not_injected_nothing_is_read_back() {
    let machine = machine(&json!({}));
    let whole = apply(&pod(json!({})), &injection(&pod(json!({})), &machine).unwrap());
    let read = |pod: Value| Injected::of(&serde_json::from_value(pod).unwrap());
    assert!(read(whole.clone()).is_some());
    assert_eq!(read(pod(json!({}))), None);
    for pointer in ["/metadata/annotations", "/spec/initContainers", "/spec/volumes"] {
        let mut less = whole.clone();
        *less.pointer_mut(pointer).unwrap() = json!(null);
        assert_eq!(read(less), None, "{pointer}");
    }
}

#[test]
fn what_a_pod_says_at_any_length_is_answered_shortly() {
    let mut long = pod(json!({}));
    long["metadata"]["annotations"] = json!({ format!("sikkerkey.com/{}", "a".repeat(1_000_000)): "" });
    let refusal = injection(&long, &plain()).unwrap_err();
    assert_eq!(refusal.reason(), "UnknownAnnotation");
    assert!(refusal.to_string().len() < 500, "{} bytes", refusal.to_string().len());

    // Each by each they would be billions of comparisons.
    let containers: Vec<_> = (0..20_000).map(|n| json!({"name": format!("c{n}"), "image": "app:1"})).collect();
    let mut many = pod(json!({ "containers": containers }));
    let names: Vec<_> = (0..20_000).rev().map(|n| format!("c{n}")).collect();
    many["metadata"]["annotations"] = json!({ "sikkerkey.com/containers": names.join(",") });
    let patched = apply(&many, &injection(&many, &plain()).unwrap());
    assert_eq!(patched["spec"]["containers"][19_999]["volumeMounts"][0]["name"], "sikkerkey");
}
