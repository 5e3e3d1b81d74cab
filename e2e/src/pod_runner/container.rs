//! What a container's process gets: its command and environment, with the paths of its mounts replaced.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use super::{NODE_NAME, Program};

/// The address of each pod.
pub(super) const POD_IP: &str = "127.0.0.1";

/// Where a container's mounts are on this machine; the longest path first, as it is the nearest.
#[derive(Debug)]
pub(super) struct Mounts(Vec<(String, String)>);

impl Mounts {
    pub(super) fn of(container: &Container, volumes: &Path) -> Self {
        let mut mounts: Vec<(String, String)> = container
            .volume_mounts
            .iter()
            .flatten()
            .map(|mount| {
                let mut directory = volumes.join(&mount.name);
                directory.extend(mount.sub_path.as_deref());
                (mount.mount_path.trim_end_matches('/').to_owned(), directory.display().to_string())
            })
            .collect();
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self(mounts)
    }

    /// Whether a path is below a mount.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.0.iter().any(|(mount, _)| is_below(path, mount))
    }

    /// Replaces each mount path in a text, where it stands as a whole path or as the beginning of one.
    pub(super) fn replace(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let starts_path =
                !out.ends_with(|before: char| before.is_ascii_alphanumeric() || before == '/' || before == '.');
            let mount = self.0.iter().find(|(mount, _)| starts_path && is_below(rest, mount));
            if let Some((mount, directory)) = mount {
                out.push_str(directory);
                rest = rest.get(mount.len()..).unwrap_or_default();
            } else {
                out.push(letter);
                rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            }
        }
        out
    }
}

/// Whether a text begins with this path, and the path ends there.
fn is_below(text: &str, path: &str) -> bool {
    text.strip_prefix(path).is_some_and(|rest| {
        !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || matches!(next, '-' | '_' | '.'))
    })
}

/// The program and arguments of a container, or of one of its hooks.
pub(super) fn command(
    program: &Program,
    command: &[String],
    args: &[String],
    mounts: &Mounts,
) -> (PathBuf, Vec<String>) {
    // The first word of a command is the image's program, which is another file here; to busybox it is the name of an applet.
    let skip = usize::from(!program.is_busybox);
    let words = command.iter().skip(skip).chain(args);
    (program.path.clone(), words.map(|word| mounts.replace(word)).collect())
}

/// The environment of a container.
pub(super) fn environment(
    program: &Program,
    container: &Container,
    pod: &Pod,
    mounts: &Mounts,
) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = Vec::new();
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => value.clone(),
            (None, Some(source)) => field(source, pod).unwrap_or_default(),
            (None, None) => String::new(),
        };
        environment.push((variable.name.clone(), mounts.replace(&value)));
    }
    for (name, value) in &program.env {
        if !environment.iter().any(|(known, _)| known == name) {
            environment.push((name.clone(), mounts.replace(value)));
        }
    }
    environment
}

/// The fields of a pod that a variable or a file may show.
pub(super) fn field(source: &EnvVarSource, pod: &Pod) -> Option<String> {
    by_path(&source.field_ref.as_ref()?.field_path, pod)
}

pub(super) fn by_path(path: &str, pod: &Pod) -> Option<String> {
    match path {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "spec.nodeName" => Some(NODE_NAME.into()),
        "spec.serviceAccountName" => pod.spec.as_ref()?.service_account_name.clone(),
        "status.podIP" | "status.hostIP" => Some(POD_IP.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container() -> Container {
        serde_json::from_value(json!({
            "name": "sikkerkey",
            "env": [
                {"name": "MOUNT", "value": "/run/secrets/sikkerkey"},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "volumeMounts": [
                {"name": "files", "mountPath": "/run/secrets/sikkerkey"},
                {"name": "token", "mountPath": "/run/secrets/sikkerkey/token/"},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn mount_paths_are_replaced_where_they_stand_as_paths() {
        let mounts = Mounts::of(&container(), Path::new("/v"));
        for (text, replaced) in [
            ("/run/secrets/sikkerkey", "/v/files"),
            ("cat /run/secrets/sikkerkey/db > /x", "cat /v/files/db > /x"),
            ("--dir=/run/secrets/sikkerkey/token/t", "--dir=/v/token/t"),
            ("'/run/secrets/sikkerkey'", "'/v/files'"),
            ("/run/secrets/sikkerkeys", "/run/secrets/sikkerkeys"),
            ("/var/run/secrets/sikkerkey", "/var/run/secrets/sikkerkey"),
            ("/run/secrets/sikkerkey.com", "/run/secrets/sikkerkey.com"),
            ("é /run/secrets/sikkerkey é", "é /v/files é"),
        ] {
            assert_eq!(mounts.replace(text), replaced, "{text}");
        }
        assert!(mounts.covers("/run/secrets/sikkerkey/db") && !mounts.covers("/etc/passwd"));
    }

    #[test]
    fn the_environment_holds_the_pods_fields_and_the_programs_defaults() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web"}})).unwrap();
        let program =
            Program::new("/p").default_env("MOUNT", "/other").default_env("TOKEN", "/run/secrets/sikkerkey/token/t");
        let container = container();
        let environment = environment(&program, &container, &pod, &Mounts::of(&container, Path::new("/v")));
        let expected = [("MOUNT", "/v/files"), ("POD", "web"), ("TOKEN", "/v/token/t")];
        assert_eq!(environment, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_command_is_the_program_and_busybox_gets_all_its_words() {
        let mounts = Mounts(Vec::new());
        let words = ["sh".to_owned(), "-c".to_owned()];
        let args = ["true".to_owned()];
        assert_eq!(
            command(&Program::new("/p"), &words, &args, &mounts),
            ("/p".into(), vec!["-c".into(), "true".into()])
        );
        let all = vec!["sh".into(), "-c".into(), "true".into()];
        assert_eq!(command(&Program::busybox("/b"), &words, &args, &mounts), ("/b".into(), all));
    }
}
