//! Pods that get Kubernetes Secrets: a volume becomes files of ours in the same place; an environment does not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sikkerkey_crds::file_mode::FileMode;
use sikkerkey_crds::machine::DeliveryFile;

use super::manifest::{list, text};
use super::report::Obstacle;
use super::stock::{self, Key, Stock, Stocked};
use super::workload::{self, Wanted};

const CSI_DRIVER: &str = "secrets-store.csi.k8s.io";

/// What `pod` gets from Kubernetes Secrets, all taken out of it.
pub(super) fn take(pod: &mut Value, namespace: Option<&str>, stock: &Stock) -> Result<Vec<Wanted>, Vec<Obstacle>> {
    let mut obstacles = environment(pod);
    let mut wanted = Vec::new();
    for volume in list(pod, "/spec/volumes") {
        match from_volume(pod, volume, namespace, stock) {
            Ok(more) => wanted.extend(more),
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    if !obstacles.is_empty() {
        return Err(obstacles);
    }
    let gone: BTreeSet<String> = list(pod, "/spec/volumes")
        .iter()
        .filter(|it| it.get("secret").is_some())
        .map(|it| text(it, "/name").to_owned())
        .collect();
    let stays = |entry: &Value| !gone.contains(text(entry, "/name"));
    if !gone.is_empty() {
        workload::containers_mut(pod).for_each(|container| keep(container, "volumeMounts", stays));
        if let Some(spec) = pod.get_mut("spec") {
            keep(spec, "volumes", stays);
        }
    }
    Ok(wanted)
}

/// Keeps some entries of a list, and the list if there are any.
fn keep(holder: &mut Value, list: &str, is_kept: impl Fn(&Value) -> bool) {
    let Some(holder) = holder.as_object_mut() else { return };
    if let Some(entries) = holder.get_mut(list).and_then(Value::as_array_mut) {
        entries.retain(|entry| is_kept(entry));
        if entries.is_empty() {
            holder.remove(list);
        }
    }
}

/// What a container takes from Kubernetes Secrets into its environment.
fn environment(pod: &Value) -> Vec<Obstacle> {
    let of = |container: &Value| -> Option<Obstacle> {
        let single = list(container, "/env").iter().filter(|it| it.pointer("/valueFrom/secretKeyRef").is_some());
        let mut taken: Vec<String> = single.map(|it| text(it, "/name").to_owned()).collect();
        let whole = list(container, "/envFrom").iter().filter(|it| it.get("secretRef").is_some());
        taken.extend(whole.map(|it| format!("all of {}", text(it, "/secretRef/name"))));
        let what = format!("container {} takes {} into its environment", text(container, "/name"), taken.join(", "));
        let advice = "Our secrets are files: have the app read a file, or give it one of format DotEnv that a shell sources before it \
                      (operator/MIGRATING.md, From the environment to files).";
        (!taken.is_empty()).then(|| Obstacle::new(what, advice))
    };
    workload::all_containers(pod).filter_map(of).collect()
}

fn from_volume(
    pod: &Value,
    volume: &Value,
    namespace: Option<&str>,
    stock: &Stock,
) -> Result<Option<Wanted>, Obstacle> {
    let own = text(volume, "/name");
    if list(volume, "/projected/sources").iter().any(|source| source.get("secret").is_some()) {
        let what = format!("volume {own} puts a Kubernetes Secret together with something else");
        return Err(Obstacle::new(
            what,
            "Make the Secret a volume of its own, beside the projected one, and convert again.",
        ));
    }
    if text(volume, "/csi/driver") == CSI_DRIVER {
        let what =
            format!("volume {own} is filled by the Secrets Store CSI driver, whose SecretProviderClass is not read");
        return Err(Obstacle::new(
            what,
            "Write a Secret (sks) for each of its objects, and a Machine with a file for each.",
        ));
    }
    let Some(secret) = volume.get("secret") else { return Ok(None) };
    let name = text(secret, "/secretName");
    let keys = match stock.find(namespace, name) {
        Some(Stocked::Keys(keys)) => keys,
        Some(Stocked::Left(_)) => {
            let what = format!("volume {own} is Kubernetes Secret {name}, which is not converted");
            return Err(Obstacle::new(what, "See there."));
        }
        None => {
            let what = format!("volume {own} is Kubernetes Secret {name}, and its manifest is not among these");
            let advice = format!(
                "Give it as well: kubectl get secret {name} -o yaml prints it, and nothing here prints its values."
            );
            return Err(Obstacle::new(what, advice));
        }
    };
    let Some((mount_path, containers)) = mounts(pod, own)? else {
        let what = format!("volume {own} is mounted by no container");
        return Err(Obstacle::new(what, "Take it out, and convert again."));
    };
    let files = files(secret, name, keys)?;
    Ok(Some(Wanted { mount_path, files, containers: Some(containers) }))
}

/// Where the volume is mounted, and by which containers.
fn mounts(pod: &Value, volume: &str) -> Result<Option<(String, BTreeSet<String>)>, Obstacle> {
    let (mut path, mut containers) = (None::<String>, BTreeSet::new());
    for container in workload::all_containers(pod) {
        for mount in list(container, "/volumeMounts").iter().filter(|it| text(it, "/name") == volume) {
            let name = text(container, "/name");
            if mount.get("subPath").is_some() || mount.get("subPathExpr").is_some() {
                let what = format!("container {name} mounts a part of volume {volume} (subPath)");
                let advice = "Such a mount never shows a later version: mount a directory, tell the app the file's new path, and convert again.";
                return Err(Obstacle::new(what, advice));
            }
            let here = text(mount, "/mountPath").trim_end_matches('/').to_owned();
            if path.as_ref().is_some_and(|path| *path != here) {
                let what = format!("volume {volume} is mounted in several places");
                return Err(Obstacle::new(
                    what,
                    "A Machine has one: mount it in the same place everywhere, and convert again.",
                ));
            }
            path = Some(here);
            containers.insert(name.to_owned());
        }
    }
    Ok(path.map(|path| (path, containers)))
}

fn files(volume: &Value, secret: &str, keys: &BTreeMap<String, Key>) -> Result<Vec<DeliveryFile>, Obstacle> {
    let common = mode(volume.get("defaultMode"));
    let optional = volume.get("optional").and_then(Value::as_bool).filter(|it| *it);
    let all: Vec<(String, String, Option<FileMode>)> = match volume.get("items").and_then(Value::as_array) {
        Some(items) => {
            let item = |it: &Value| {
                (text(it, "/key").to_owned(), text(it, "/path").to_owned(), mode(it.get("mode")).or(common))
            };
            items.iter().map(item).collect()
        }
        None => keys.keys().map(|key| (key.clone(), key.clone(), common)).collect(),
    };
    let file = |(key, path, mode): (String, String, Option<FileMode>)| {
        let found = keys.get(&key).ok_or_else(|| {
            let what = format!("key {key} of Kubernetes Secret {secret} is mounted and is not there");
            Obstacle::new(what, "Correct the name of the key, and convert again.")
        })?;
        let mut file = stock::file(path, found);
        (file.mode, file.optional) = (mode, optional);
        Ok(file)
    };
    all.into_iter().map(file).collect()
}

/// A volume of a Kubernetes Secret is read-only whatever its mode says, and so are our files. The API server refuses a mode in
/// quotes, which tells what is meant all the same.
fn mode(given: Option<&Value>) -> Option<FileMode> {
    let bits = match given? {
        Value::Number(number) => number.as_u64().and_then(|bits| u16::try_from(bits).ok())?,
        Value::String(text) => u16::from_str_radix(text, 8).ok()?,
        _ => return None,
    };
    let mode = FileMode::from_bits(bits & 0o555);
    (mode != FileMode::from_bits(0o444)).then_some(mode)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn modes_are_read_and_lose_the_right_to_write() {
        let told = |given: Value| mode(Some(&given)).map(|mode| mode.to_string());
        assert_eq!(told(json!(420)), None);
        assert_eq!(told(json!(256)), Some("0400".to_owned()));
        assert_eq!(told(json!("0440")), Some("0440".to_owned()));
        assert_eq!(told(json!(493)), Some("0555".to_owned()));
    }
}
