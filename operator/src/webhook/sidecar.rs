//! The parts that injection puts into a pod: the container, its two volumes and the mounts.
//!
//! Everything here comes from the operator's configuration or is a constant. Of the pod and its Machine only a number
//! (the user id), two amounts and a path checked by the schema reach these parts: nobody who writes a label, an
//! annotation or a Machine chooses an image, a command, a host path or an address.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sikkerkey_crds::names::{AUDIENCE, CONTAINER, FILES_VOLUME, TOKEN_VOLUME};

use super::gate::Gate;
use super::quantity;
use super::resources::Resources;

/// Where the sidecar sees the files; the app's containers see them at the Machine's `mountPath`.
const FILES_PATH: &str = "/run/secrets/sikkerkey";
/// Where the sidecar finds its token.
const TOKEN_PATH: &str = "/var/run/secrets/sikkerkey.com";
/// The shortest life the API server gives a projected token, in seconds.
const TOKEN_SECONDS: u32 = 600;
/// The name of the port where it answers `/status` and `/metrics`.
const STATUS_PORT: &str = "sikkerkey";
/// The user the sidecar runs as where the pod says root: its own image's.
pub(super) const OWN_USER: i64 = 65532;

/// What the operator was told about sidecars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The image.
    pub image: String,
    /// What it asks for.
    pub resources: Resources,
    /// Its log filter.
    pub log_level: String,
    /// Where it answers `/status` and `/metrics`, if it does.
    pub status_address: Option<SocketAddr>,
    /// Where it attests: an `https` origin without a trailing slash.
    pub attest_url: String,
    /// Where its traces go, if they go anywhere.
    pub traces: Option<Traces>,
}

/// What a sidecar is told about traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// Origin of the collector.
    pub endpoint: String,
    /// PEM certificates that vouch for it; none: those of the sidecar's image, which has none.
    pub authority: Option<String>,
    /// How many of the traces that begin in it are kept.
    pub ratio: String,
    /// The span of this admission, as a `traceparent`.
    pub parent: Option<String>,
}

/// How long the injected container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// As long as the pod: a native sidecar, with what holds the app back.
    Sidecar(Gate),
    /// Until the files are written: an ordinary init container, which holds the app back by itself for as long as it runs. Its
    /// logs work meanwhile and it can be ended at any time, so it needs no gate, however long a policy makes it wait.
    Init,
}

impl Life {
    /// The keys of the container that make it.
    fn parts(self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Sidecar(gate) => vec![("args", json!(["run"])), ("restartPolicy", json!("Always")), gate.part()],
            Self::Init => vec![("args", json!(["init"]))],
        }
    }
}

/// The injected container.
pub(super) fn container(
    settings: &Settings,
    trust_bundle: &str,
    resources: &Value,
    user: Option<i64>,
    life: Life,
) -> Value {
    let mut security = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if let (Some(user), Some(security)) = (user, security.as_object_mut()) {
        security.insert("runAsUser".to_owned(), user.into());
    }
    let mut container = json!({
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "SIKKERKEY_ATTEST_URL", "value": settings.attest_url},
            {"name": "SIKKERKEY_CA", "value": trust_bundle},
            {"name": "SIKKERKEY_LOG", "value": settings.log_level},
        ],
        "resources": resources,
        "securityContext": security,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": FILES_VOLUME, "mountPath": FILES_PATH},
            {"name": TOKEN_VOLUME, "mountPath": TOKEN_PATH, "readOnly": true},
        ],
    });
    if let Some(container) = container.as_object_mut() {
        container.extend(life.parts().into_iter().map(|(key, value)| (key.to_owned(), value)));
    }
    container
}

/// Has `container` send its spans where those of the operator go.
pub(super) fn trace(container: &mut Value, settings: &Settings) {
    let Some(traces) = &settings.traces else { return };
    let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) else { return };
    env.push(json!({"name": "SIKKERKEY_OTLP_ENDPOINT", "value": traces.endpoint}));
    env.push(json!({"name": "SIKKERKEY_TRACE_RATIO", "value": traces.ratio}));
    let further = [("SIKKERKEY_OTLP_CA", &traces.authority), ("SIKKERKEY_TRACEPARENT", &traces.parent)];
    let further = further.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    env.extend(further.map(|(name, value)| json!({"name": name, "value": value})));
}

/// Has `container` answer `/status` and `/metrics`, where the operator was told so. Its port is named for whoever scrapes
/// pods.
pub(super) fn answer_status(container: &mut Value, settings: &Settings) {
    let Some(address) = settings.status_address else { return };
    if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
        env.push(json!({"name": "SIKKERKEY_STATUS", "value": address.to_string()}));
    }
    if let Some(container) = container.as_object_mut().filter(|_| !address.ip().is_loopback()) {
        let port = json!([{"name": STATUS_PORT, "containerPort": address.port(), "protocol": "TCP"}]);
        container.insert("ports".to_owned(), port);
    }
}

/// The memory volume that holds the files.
pub(super) fn files_volume(size: u64) -> Value {
    json!({"name": FILES_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": quantity::bytes(size)}})
}

/// The volume that holds the sidecar's token. No other container mounts it.
pub(super) fn token_volume() -> Value {
    let token = json!({"audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"});
    json!({"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}})
}

/// The mount of an app's container.
pub(super) fn mount(path: &str) -> Value {
    json!({"name": FILES_VOLUME, "mountPath": path, "readOnly": true})
}
