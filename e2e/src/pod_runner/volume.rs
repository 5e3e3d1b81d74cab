//! The volumes of a pod, as directories of the run.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Pod, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::container;
use crate::run_directory::RunDirectory;

/// Why a volume could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeError {
    #[error("cannot write the volume {name}: {source}")]
    Write { name: String, source: io::Error },
    #[error("cannot get what the volume {name} shows: {source}")]
    Source { name: String, source: kube::Error },
    #[error(
        "the pod runner has no volumes of the kind of {0}: it knows emptyDir, and tokens, config maps and fields in projected ones"
    )]
    Unknown(String),
}

/// Where the volumes of a pod are.
pub(super) fn directory(run: &RunDirectory, pod: &Pod) -> PathBuf {
    run.join("pods").join(pod.metadata.uid.as_deref().unwrap_or_default())
}

/// Makes all volumes that the containers of a pod mount. Answers when the first token should be replaced, if there is one.
pub(super) async fn prepare(client: &Client, run: &RunDirectory, pod: &Pod) -> Result<Option<Duration>, VolumeError> {
    let mut refresh = None;
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let name = &volume.name;
        let path = directory(run, pod).join(name);
        make(volume, run, pod, &path).map_err(|source| VolumeError::Write { name: name.clone(), source })?;
        for projection in sources(volume)? {
            let file_system = |source| VolumeError::Write { name: name.clone(), source };
            if let Some(token) = &projection.service_account_token {
                let text = request(client, pod, token)
                    .await
                    .map_err(|source| VolumeError::Source { name: name.clone(), source })?;
                write(&path, &token.path, text.as_bytes()).map_err(file_system)?;
                // The kubelet replaces a token after four fifths of its life.
                let life = Duration::from_secs(token.expiration_seconds.unwrap_or(3600).unsigned_abs());
                refresh = refresh.max(Some(life.mul_f32(0.8)));
            }
            for item in projection.downward_api.iter().flat_map(|fields| fields.items.iter().flatten()) {
                let value = item.field_ref.as_ref().and_then(|field| container::by_path(&field.field_path, pod));
                write(&path, &item.path, value.unwrap_or_default().as_bytes()).map_err(file_system)?;
            }
            if let Some(map) = &projection.config_map {
                let maps: Api<ConfigMap> =
                    Api::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
                let data =
                    maps.get(&map.name).await.map_err(|source| VolumeError::Source { name: name.clone(), source })?;
                for (key, value) in data.data.unwrap_or_default() {
                    write(&path, &key, value.as_bytes()).map_err(file_system)?;
                }
            }
        }
    }
    Ok(refresh)
}

/// Makes the directory of a volume: in memory where that is asked for, with a link to it.
fn make(volume: &Volume, run: &RunDirectory, pod: &Pod, path: &Path) -> io::Result<()> {
    if volume.empty_dir.as_ref().and_then(|empty| empty.medium.as_deref()) != Some("Memory") {
        return fs::create_dir_all(path);
    }
    let in_memory = memory(run, pod).join(&volume.name);
    fs::create_dir_all(&in_memory)?;
    fs::create_dir_all(directory(run, pod))?;
    match std::os::unix::fs::symlink(in_memory, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Removes the volumes of a pod.
pub(super) fn remove(run: &RunDirectory, pod: &Pod) {
    for path in [directory(run, pod), memory(run, pod)] {
        // What stays goes with the run.
        let _ = fs::remove_dir_all(path);
    }
}

fn memory(run: &RunDirectory, pod: &Pod) -> PathBuf {
    run.memory().join(pod.metadata.uid.as_deref().unwrap_or_default())
}

fn sources(volume: &Volume) -> Result<Vec<VolumeProjection>, VolumeError> {
    match (&volume.empty_dir, &volume.projected) {
        (Some(_), _) => Ok(Vec::new()),
        (None, Some(projected)) => Ok(projected.sources.clone().unwrap_or_default()),
        (None, None) => Err(VolumeError::Unknown(volume.name.clone())),
    }
}

/// Asks for a token as the kubelet does: bound to the pod.
async fn request(
    client: &Client,
    pod: &Pod,
    projection: &ServiceAccountTokenProjection,
) -> Result<String, kube::Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let spec = TokenRequestSpec {
        audiences: projection.audience.iter().cloned().collect(),
        bound_object_ref: Some(BoundObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        }),
        expiration_seconds: projection.expiration_seconds,
    };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(answer.status.map(|status| status.token).unwrap_or_default())
}

/// Replaces a file at once, so that no reader sees half of it.
fn write(volume: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = volume.join(name.trim_start_matches('/'));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let part = path.with_extension("part");
    let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    fs::rename(part, path)
}
