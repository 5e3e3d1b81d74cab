//! The mounts of the files in the pod's own containers.

use serde_json::json;
use sikkerkey_crds::names::{FILES_VOLUME, VOLUMES};

use super::layout::{Layout, Placed};
use crate::webhook::patch::Operation;
use crate::webhook::pod_view::VolumeMount;
use crate::webhook::refusal::Refusal;
use crate::webhook::sidecar;

/// Whether the volume holds the files.
pub(super) fn is_files(volume: &str) -> bool {
    volume == FILES_VOLUME
}

/// Whether only the sidecar may mount the volume.
pub(super) fn is_private(volume: &str) -> bool {
    VOLUMES.contains(&volume) && !is_files(volume)
}

/// Refuses a container that mounts something else at `path` or beneath it.
pub(super) fn refuse_conflicts(layout: &Layout<'_>, path: &str) -> Result<(), Refusal> {
    let wanted = normal(path);
    let is_there = |mount: &&VolumeMount| {
        let taken = normal(&mount.mount_path);
        taken == wanted || taken.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with('/'))
    };
    for placed in layout.others().filter(|placed| placed.gets_files) {
        let mut foreign = placed.container.mounts().iter().filter(|mount| !is_files(&mount.name));
        if let Some(mount) = foreign.find(is_there) {
            let container = placed.container.name.clone();
            return Err(Refusal::MountConflict { container, path: mount.mount_path.clone() });
        }
    }
    Ok(())
}

/// The operations that mount the files, read-only, where they shall be, and that take the right to write from mounts
/// that the pod's author added.
pub(super) fn place(layout: &Layout<'_>, path: &str, operations: &mut Vec<Operation>) {
    for placed in layout.others() {
        let own = place_in(placed, path, operations);
        for (index, mount) in placed.container.mounts().iter().enumerate() {
            if is_files(&mount.name) && mount.read_only != Some(true) && own != Some(index) {
                let path = format!("{}/volumeMounts/{index}/readOnly", placed.pointer);
                operations.push(Operation::add(path, json!(true)));
            }
        }
    }
}

/// Mounts the files in one container, and tells which of its present mounts is ours.
fn place_in(placed: &Placed<'_>, path: &str, operations: &mut Vec<Operation>) -> Option<usize> {
    if !placed.gets_files {
        return None;
    }
    let list = format!("{}/volumeMounts", placed.pointer);
    let mount = sidecar::mount(path);
    let Some(mounts) = &placed.container.volume_mounts else {
        operations.push(Operation::add(list, json!([mount])));
        return None;
    };
    let wanted = normal(path);
    let same_place = |mount: &VolumeMount| is_files(&mount.name) && normal(&mount.mount_path) == wanted;
    let Some(index) = mounts.iter().position(same_place) else {
        operations.push(Operation::add(format!("{list}/-"), mount));
        return None;
    };
    if !mounts.get(index).is_some_and(|present| is_ours(present, path)) {
        operations.push(Operation::replace(format!("{list}/{index}"), mount));
    }
    Some(index)
}

fn is_ours(mount: &VolumeMount, path: &str) -> bool {
    mount.mount_path == path && mount.read_only == Some(true) && !mount.is_part() && mount.mount_propagation.is_none()
}

/// A path without doubled and trailing slashes and without `.` and `..`. `/var/run` is `/run` in nearly every image.
pub(in crate::webhook) fn normal(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let clean = format!("/{}", segments.join("/"));
    match clean.strip_prefix("/var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
        _ => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn the_same_place_in_any_spelling_is_one_path() {
        for path in
            ["/run/secrets/x", "/run//secrets/x/", "/run/./secrets/y/../x", "/var/run/secrets/x", "run/secrets/x"]
        {
            assert_eq!(normal(path), "/run/secrets/x", "{path}");
        }
        assert_eq!(normal("/var/running"), "/var/running");
        assert_eq!(normal("/../.."), "/");
    }
}
