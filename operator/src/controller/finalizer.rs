//! Our finalizer: the object is gone when the access is gone.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::json;
use sikkerkey_crds::{crd, names};
use sikkerkey_protocol::kubernetes::ObjectKey;

use crate::server::ServerError;

/// An object does not wait longer than this for a server that is away.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// Two clocks, ours and the API server's, are so far apart at most.
const SKEW: SignedDuration = SignedDuration::from_secs(10);

/// Whether it carries our finalizer.
pub fn is_on(meta: &ObjectMeta) -> bool {
    meta.finalizers.iter().flatten().any(|finalizer| finalizer == names::FINALIZER)
}

/// What to do about an object that is being deleted, once the server was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Let go.
    Now,
    /// Let go although the server still holds it: the comparison finishes it.
    Deferred,
    /// Tell the server again after this long.
    After(Duration),
}

/// Decides. Pure.
pub fn release(told: Result<(), &ServerError>, deleted_at: Timestamp, now: Timestamp) -> Release {
    let Err(_) = told else { return Release::Now };
    let age = now.duration_since(deleted_at);
    // Deleted in the future: by clocks that differ nobody can tell how long it has waited.
    let left = if age < -SKEW { SignedDuration::ZERO } else { PATIENCE.saturating_sub(age) };
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => Release::After(left.min(Duration::from_secs(2))),
        _ => Release::Deferred,
    }
}

/// Puts it on, by server-side apply of this one entry. With the uid, so that an object that is gone is not made anew.
pub async fn add<K: crd::Kind>(client: &Client, key: &ObjectKey, uid: &str) -> Result<(), kube::Error> {
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &key.namespace);
    let patch = json!({
        "apiVersion": names::API_VERSION,
        "kind": K::KIND,
        "metadata": {"name": key.name, "uid": uid, "finalizers": [names::FINALIZER]},
    });
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    api.patch(&key.name, &params, &Patch::Apply(&patch)).await.map(drop)
}

/// Takes it off, whoever put it on.
pub async fn remove<K: crd::Kind>(client: &Client, key: &ObjectKey, meta: &ObjectMeta) -> Result<(), kube::Error> {
    remove_by(&Api::<PartialObjectMeta<K>>::namespaced(client.clone(), &key.namespace), &key.name, meta).await
}

/// Takes it off by what reaches the object: only this entry, and only if it still stands where `meta` says.
pub async fn remove_by<K>(api: &Api<K>, name: &str, meta: &ObjectMeta) -> Result<(), kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let Some(position) = meta.finalizers.iter().flatten().position(|finalizer| finalizer == names::FINALIZER) else {
        return Ok(());
    };
    let pointer = format!("/metadata/finalizers/{position}");
    let steps = json!([
        {"op": "test", "path": "/metadata/uid", "value": meta.uid},
        {"op": "test", "path": pointer, "value": names::FINALIZER},
        {"op": "remove", "path": pointer},
    ]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(steps).map_err(kube::Error::SerdeError)?);
    match api.patch(name, &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Class;

    #[test]
    fn an_object_waits_a_minute_for_the_server_and_no_longer() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let away = ServerError::Unreachable { class: Class::ConnectionRefused };
        let refused = ServerError::Refused { status: 403, code: None, text: "no".into() };
        for (told, now, expected) in [
            (Ok(()), 100, Release::Now),
            (Ok(()), 1_000, Release::Now),
            (Err(&away), 100, Release::After(Duration::from_secs(2))),
            (Err(&away), 159, Release::After(Duration::from_secs(1))),
            (Err(&away), 160, Release::Deferred),
            (Err(&away), 9_000, Release::Deferred),
            (Err(&away), 95, Release::After(Duration::from_secs(2))),
            (Err(&away), 50, Release::Deferred),
            (Err(&refused), 110, Release::After(Duration::from_secs(2))),
            (Err(&refused), 161, Release::Deferred),
        ] {
            assert_eq!(release(told, at(100), at(now)), expected, "{told:?} {now}");
        }
    }
}
