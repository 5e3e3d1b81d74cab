//! What pods of a Machine get: where the files stand, and what happens when something changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DeliveryFile;
use crate::{
    choice::{NotExactlyOne, exactly_one},
    defaults,
    duration::Duration,
    shape::{self, check},
    size::Size,
};

/// What pods of this Machine get.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// `Sidecar`: files are kept current while the pod runs. `Init`: files are written once, before the pod starts; the pod
    /// then gives its identity up and nothing is left running, so what is said of changes has no effect. Absent: `Sidecar`.
    /// Read when a pod is admitted: a change reaches pods when they are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<DeliveryMode>,
    /// Where the files stand in the pod's containers. Absent: `/run/secrets/sikkerkey`. Read when a pod is admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 2, max = 255),
        regex(pattern = r"^(/[A-Za-z0-9_.-]+)+$"),
        transform = check(
            "!self.split('/').exists(s, s == '.' || s == '..')",
            "mountPath is an absolute path without . and .. segments"
        )
    )]
    pub mount_path: Option<String>,
    /// Size of the memory volume that holds the files, from `64Ki` to `64Mi`. It adds to the sidecar's memory limit.
    /// Absent: `4Mi`. Read when a pod is admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = check(
        "quantity(self).compareTo(quantity('64Ki')) >= 0 && quantity(self).compareTo(quantity('64Mi')) <= 0",
        "sizeLimit is from 64Ki to 64Mi"
    ))]
    pub size_limit: Option<Size>,
    /// What happens to a file when its Secret may no longer be read: `Remove` takes it away, `Keep` leaves the last
    /// version. Absent: `Remove`. Live: a change reaches running pods within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_revoked: Option<OnDenied>,
    /// What happens to a file while the policy of its Secret is closed to the pod, by `timeWindow` or `ipAllowlist`: `Remove`
    /// takes it away until it opens, `Keep` leaves the last version. A pod that starts meanwhile waits. Absent: `Remove`. Live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_closed: Option<OnDenied>,
    /// How long files stay while the server cannot be reached, for example `8h`. Absent: `24h`. Live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness: Option<Duration>,
    /// How the app learns that files have changed. Absent: it watches the files by itself. Live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
    /// The files. A Grant alone never makes a file: each one is listed here. Absent: none. Live.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 64),
        transform = shape::map_list(["path"]),
        transform = check(
            "self.all(f, self.all(g, !g.path.startsWith(f.path + '/')))",
            "one file stands where another file needs a directory: no path may continue another file's path"
        )
    )]
    pub files: Option<Vec<DeliveryFile>>,
}

/// Whether something keeps running beside the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeliveryMode {
    /// A native sidecar keeps the files current.
    Sidecar,
    /// An init container writes the files once.
    Init,
}

/// What happens to a file whose Secret may not be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDenied {
    /// It goes.
    Remove,
    /// Its last version stays.
    Keep,
}

/// How the app learns that files have changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = check(
    "has(self.httpPost) != has(self.signal)",
    "give exactly one of httpPost and signal, or leave onChange out"
))]
pub struct OnChange {
    /// An HTTP POST without a body to 127.0.0.1. Give exactly one of `httpPost` and `signal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_post: Option<HttpPost>,
    /// A signal to a process of the pod, which needs `shareProcessNamespace: true` and one `runAsUser` for all containers.
    /// Give exactly one of `httpPost` and `signal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// How long to wait for further changes before the app is told once, for example `5s`. Absent: `5s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Duration>,
}

/// An HTTP POST to 127.0.0.1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpPost {
    /// Port on 127.0.0.1.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Path and query, for example `/-/reload`. Absent: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = r"^/[!-~]*$"))]
    pub path: Option<String>,
}

/// A signal to a process of the pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signal {
    /// The signal: `SIGHUP`, `SIGUSR1`, `SIGUSR2`, or `SIGTERM` to have the container restarted.
    pub name: SignalName,
    /// Name of the process as it stands in `/proc/PID/comm`: at most 15 characters, without its path. Of several, those
    /// whose parent has another name.
    #[schemars(length(min = 1, max = 15), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    pub process_name: String,
}

/// A signal that an app may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SignalName {
    /// Reload, by custom.
    #[serde(rename = "SIGHUP")]
    Hangup,
    /// The app's own.
    #[serde(rename = "SIGUSR1")]
    User1,
    /// The app's own.
    #[serde(rename = "SIGUSR2")]
    User2,
    /// End: the kubelet starts the container again.
    #[serde(rename = "SIGTERM")]
    Terminate,
}

/// How the app is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChangeNotice<'a> {
    /// By an HTTP POST to 127.0.0.1.
    HttpPost(&'a HttpPost),
    /// By a signal.
    Signal(&'a Signal),
}

impl Delivery {
    /// A delivery of nothing, all defaults.
    pub(super) const EMPTY: Self = Self {
        mode: None,
        mount_path: None,
        size_limit: None,
        on_revoked: None,
        on_closed: None,
        max_staleness: None,
        on_change: None,
        files: None,
    };

    /// Whether something keeps running beside the app.
    pub fn mode(&self) -> DeliveryMode {
        self.mode.unwrap_or(defaults::DELIVERY_MODE)
    }

    /// Where the files stand in the pod's containers.
    pub fn mount_path(&self) -> &str {
        self.mount_path.as_deref().unwrap_or(defaults::MOUNT_PATH)
    }

    /// Size of the memory volume.
    pub fn size_limit(&self) -> Size {
        self.size_limit.unwrap_or(defaults::SIZE_LIMIT)
    }

    /// What happens to a file whose Secret may no longer be read.
    pub fn on_revoked(&self) -> OnDenied {
        self.on_revoked.unwrap_or(defaults::ON_REVOKED)
    }

    /// What happens to a file while its Secret's policy is closed to the pod.
    pub fn on_closed(&self) -> OnDenied {
        self.on_closed.unwrap_or(defaults::ON_CLOSED)
    }

    /// How long files stay while the server is away.
    pub fn max_staleness(&self) -> std::time::Duration {
        self.max_staleness.map_or(defaults::MAX_STALENESS, Duration::get)
    }

    /// The files.
    pub fn files(&self) -> &[DeliveryFile] {
        self.files.as_deref().unwrap_or_default()
    }
}

impl OnChange {
    /// How the app is told.
    pub fn notice(&self) -> Result<ChangeNotice<'_>, NotExactlyOne> {
        exactly_one(
            "spec.delivery.onChange",
            &["httpPost", "signal"],
            [self.http_post.as_ref().map(ChangeNotice::HttpPost), self.signal.as_ref().map(ChangeNotice::Signal)],
        )
    }

    /// How long to wait for further changes.
    pub fn debounce(&self) -> std::time::Duration {
        self.debounce.map_or(defaults::DEBOUNCE, Duration::get)
    }
}

impl HttpPost {
    /// Path and query of the request.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(defaults::HTTP_POST_PATH)
    }
}

impl SignalName {
    /// The name as it stands in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::User1 => "SIGUSR1",
            Self::User2 => "SIGUSR2",
            Self::Terminate => "SIGTERM",
        }
    }
}
