//! What makes pods, and how its pods come to read files of ours: the label on the template, a Machine, a Grant.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sikkerkey_crds::machine::{DeliveryFile, DeliveryMode};
use sikkerkey_crds::names::{CONTAINERS_ANNOTATION, MACHINE_LABEL};

use super::manifest::{Manifest, list, said, text};
use super::name;
use super::report::{Converted, Obstacle};
use super::{checked, object, origin};

/// The largest Machine.
const MAX_FILES: usize = 64;

/// Directories that hold what is put there at run time: nothing of an image is hidden by a mount beneath them.
const FOR_MOUNTS: [&str; 5] = ["run", "mnt", "secrets", "vault", "tmp"];

/// Where the pod stands in an object of this group and kind.
pub(super) fn pod(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => {
            Some("/spec/template")
        }
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        ("", "Pod") => Some(""),
        _ => None,
    }
}

/// Files that some containers of a pod are to see in one directory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    /// The directory.
    pub(super) mount_path: String,
    /// The files, their paths beneath it.
    pub(super) files: Vec<DeliveryFile>,
    /// The containers; none: all.
    pub(super) containers: Option<BTreeSet<String>>,
}

/// How the pods of a workload are to get files.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) wanted: Vec<Wanted>,
    pub(super) mode: Option<DeliveryMode>,
    /// The pod as it is without what brought the files until now.
    pub(super) pod: Value,
}

/// The objects by which the workload reads: its Machine, a Grant, and itself. `machine` is a name that is free.
pub(super) fn convert(manifest: &Manifest, machine: &str, plan: Plan) -> Result<Vec<Converted>, Vec<Obstacle>> {
    let Plan { wanted, mode, mut pod } = plan;
    let namespace = manifest.namespace();
    let given = manifest.object.pointer("/metadata/name").is_some();
    if !given || !name::is_label(machine) {
        let what =
            format!("its name {machine:?} cannot be that of a Machine, which is a DNS label of at most 63 characters");
        return Err(vec![Obstacle::new(what, "Write the Machine by hand, under another name.")]);
    }
    if pod.pointer("/metadata/labels").and_then(|labels| labels.get(MACHINE_LABEL)).is_some() {
        let what = format!("its pods have the label {MACHINE_LABEL} already");
        return Err(vec![Obstacle::new(what, "Add what is missing to that Machine by hand.")]);
    }
    let containers = containers(&pod, &wanted).map_err(|obstacle| vec![obstacle])?;
    let (mount_path, files) = together(wanted).map_err(|obstacle| vec![obstacle])?;

    let account = said(&pod, "/spec/serviceAccountName").unwrap_or("default");
    let delivery = match mode {
        Some(DeliveryMode::Init) => json!({"mode": "Init", "mountPath": mount_path, "files": files}),
        _ => json!({"mountPath": mount_path, "files": files}),
    };
    let spec = json!({"workload": {"serviceAccountNames": [account]}, "delivery": delivery});
    let mut comment = vec![origin(manifest)];
    if account == "default" {
        comment.push(
            "every pod of the ServiceAccount default may assume it: give the workload an account of its own".to_owned(),
        );
    }
    let secrets: BTreeSet<&str> = files.iter().flat_map(|file| &file.secret_refs).map(|it| it.name.as_str()).collect();
    let references: Vec<Value> = secrets.into_iter().map(|name| json!({"name": name})).collect();
    let grant = json!({"machineRef": {"name": machine}, "secretRefs": references});
    let made = [
        Converted { comment, object: object("Machine", namespace, machine, spec) },
        Converted {
            comment: vec![origin(manifest)],
            object: object("Grant", namespace, &format!("{machine}-reads"), grant),
        },
    ];
    for made in &made {
        checked(&made.object).map_err(|obstacle| vec![obstacle])?;
    }

    set(&mut pod, "labels", MACHINE_LABEL, machine);
    if let Some(containers) = containers {
        set(&mut pod, "annotations", CONTAINERS_ANNOTATION, &containers);
    }
    let mut workload = manifest.object.clone();
    let place = self::pod(manifest.group(), manifest.kind()).and_then(|pointer| workload.pointer_mut(pointer));
    if let Some(place) = place {
        *place = pod;
    }
    for stored in [
        "status",
        "metadata/managedFields",
        "metadata/uid",
        "metadata/resourceVersion",
        "metadata/creationTimestamp",
        "metadata/generation",
    ] {
        remove(&mut workload, stored);
    }
    let mut comment = vec![origin(manifest)];
    match manifest.kind() {
        "Job" | "Pod" => comment.push("it cannot be changed once it exists: delete the old one first".to_owned()),
        _ => {}
    }
    Ok(made.into_iter().chain([Converted { comment, object: workload }]).collect())
}

/// The annotation that names the containers, if not all see the files.
fn containers(pod: &Value, wanted: &[Wanted]) -> Result<Option<String>, Obstacle> {
    let all: BTreeSet<String> = all_containers(pod).map(|it| text(it, "/name").to_owned()).collect();
    let mut sets = wanted.iter().map(|it| it.containers.clone().unwrap_or_else(|| all.clone()));
    let first = sets.next().unwrap_or_default();
    if sets.any(|set| set != first) {
        return Err(Obstacle::new(
            "its containers see different secrets, and the files of a Machine are seen by all that see any",
            "Write the Machine by hand if they may, or make them pods of their own.",
        ));
    }
    // In their own order.
    let named: Vec<&str> = all_containers(pod).map(|it| text(it, "/name")).filter(|it| first.contains(*it)).collect();
    Ok((first != all).then(|| named.join(",")))
}

/// One directory, and the files beneath it.
fn together(wanted: Vec<Wanted>) -> Result<(String, Vec<DeliveryFile>), Obstacle> {
    let paths: BTreeSet<&str> = wanted.iter().map(|it| it.mount_path.as_str()).collect();
    let root = match paths.iter().copied().collect::<Vec<_>>().as_slice() {
        [only] => (*only).to_owned(),
        several => parent(several).ok_or_else(|| {
            let what = format!("secrets are mounted in several directories ({}), and a Machine has one", several.join(", "));
            let advice = "Mount them in directories beneath one, such as /run/secrets/app/db and /run/secrets/app/tls, and convert again.";
            Obstacle::new(what, advice)
        })?,
    };
    if !name::is_mount_path(&root) {
        let what = format!("{root} cannot be the mountPath of a Machine");
        return Err(Obstacle::new(what, "Mount the files in another directory, and convert again."));
    }
    let mut files: Vec<DeliveryFile> = Vec::new();
    for Wanted { mount_path, files: more, .. } in wanted {
        let beneath = mount_path.strip_prefix(&root).unwrap_or_default().trim_start_matches('/').to_owned();
        for file in more {
            let path = if beneath.is_empty() { file.path } else { format!("{beneath}/{}", file.path) };
            if !name::is_file_path(&path) {
                let what = format!("{path} cannot be the path of a file");
                return Err(Obstacle::new(what, "Give the key, or the file, another name."));
            }
            if files.iter().any(|other| other.path == path) {
                return Err(Obstacle::new(
                    format!("two files would stand at {path}"),
                    "Give one of them another path.",
                ));
            }
            files.push(DeliveryFile { path, ..file });
        }
    }
    if files.len() > MAX_FILES {
        let what = format!("it has {} files, and a Machine has {MAX_FILES} at most", files.len());
        return Err(Obstacle::new(what, "Mount fewer keys with items."));
    }
    Ok((root, files))
}

/// The directory above all of `paths`, where a mount hides nothing of an image.
fn parent(paths: &[&str]) -> Option<String> {
    let split = |path: &str| path.split('/').skip(1).map(str::to_owned).collect::<Vec<String>>();
    let mut common = split(paths.first()?);
    for path in paths {
        let equal = common.iter().zip(split(path)).take_while(|(a, b)| *a == b).count();
        common.truncate(equal);
    }
    // A directory among them would have files of the others' directories.
    let is_for_mounts = common.first().is_some_and(|first| FOR_MOUNTS.contains(&first.as_str()));
    let deep = common.len() >= 2 || common.first().is_some_and(|first| matches!(first.as_str(), "secrets" | "vault"));
    let parent = format!("/{}", common.join("/"));
    (is_for_mounts && deep && parent != "/run/secrets").then_some(parent)
}

/// Init containers first, in the order of the pod.
pub(super) fn all_containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "/spec/initContainers").iter().chain(list(pod, "/spec/containers"))
}

/// The same, to change them.
pub(super) fn containers_mut(pod: &mut Value) -> impl Iterator<Item = &mut Value> {
    let spec = pod.get_mut("spec").and_then(Value::as_object_mut);
    let lists = spec.into_iter().flat_map(Map::iter_mut);
    let lists = lists.filter(|(key, _)| matches!(key.as_str(), "initContainers" | "containers"));
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten()
}

/// Sets a label or an annotation.
fn set(pod: &mut Value, map: &str, key: &str, value: &str) {
    let Some(pod) = pod.as_object_mut() else { return };
    let metadata = pod.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    let Some(metadata) = metadata.as_object_mut() else { return };
    let entries = metadata.entry(map).or_insert_with(|| json!({}));
    if entries.is_null() {
        *entries = json!({});
    }
    if let Some(entries) = entries.as_object_mut() {
        entries.insert(key.to_owned(), value.into());
    }
}

/// Takes a part away, and what held nothing else.
pub(super) fn remove(object: &mut Value, path: &str) {
    let (head, rest) = path.split_once('/').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let Some(map) = object.as_object_mut() else { return };
    if let Some(rest) = rest {
        map.get_mut(head).into_iter().for_each(|inner| remove(inner, rest));
    } else {
        map.remove(head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_put_under_one_only_where_nothing_of_an_image_is() {
        assert_eq!(parent(&["/run/app/db", "/run/app/tls"]), Some("/run/app".to_owned()));
        assert_eq!(parent(&["/vault/secrets", "/vault/tls"]), Some("/vault".to_owned()));
        for apart in [
            ["/etc/app/db", "/etc/app/tls"],
            ["/run/a", "/run/b"],
            ["/run/a", "/mnt/a"],
            ["/run/secrets/a", "/run/secrets/b"],
        ] {
            assert_eq!(parent(&apart), None, "{apart:?}");
        }
    }
}
