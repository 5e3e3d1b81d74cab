//! What a Machine's plan needs to know of its surroundings.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use sikkerkey_crds::machine::{FileSecretRef, Machine};
use sikkerkey_protocol::kubernetes::ObjectKey;

use crate::index::{Given, Index, Until};

/// The surroundings of a Machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Service accounts it names that do not exist.
    pub missing_accounts: Vec<String>,
    /// What its files lack, in the order of the files.
    pub problems: Vec<FileProblem>,
    /// When the first of the Grants that its files need ends.
    pub grant_ends: Option<Timestamp>,
    /// The Secrets it is granted.
    pub granted: Given,
    /// Pods that run with an older mode, mount path or size of the volume; none while that is not known. Not from the index.
    pub outdated_pods: Option<usize>,
    /// Pods that an init container has served and left; none while that is not known. Not from the index.
    pub served_once: Option<usize>,
}

/// What one file lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileProblem {
    /// A Secret that is not granted, or that does not exist: from here the two are the same.
    NotGranted {
        /// The file.
        path: String,
        /// The Secret.
        secret: ObjectKey,
    },
    /// A field that the Secret does not have.
    NoField {
        /// The file.
        path: String,
        /// The Secret.
        secret: ObjectKey,
        /// The field.
        field: String,
        /// The fields there are.
        fields: Vec<String>,
    },
}

/// Looks around.
pub fn gather(machine: &Machine, index: &Index, now: Timestamp) -> Facts {
    let own = machine.namespace().unwrap_or_default();
    let accounts = machine.spec.workload.iter().flat_map(|workload| &workload.service_account_names);
    let missing_accounts = accounts.filter(|name| !index.service_account_exists(&own, name)).cloned().collect();
    let mut grant_ends = None;
    let granted = |key: &ObjectKey| {
        let until = index.granted_until(machine, key, now)?;
        if let Until::Instant(end) = until {
            grant_ends = Some(grant_ends.map_or(end, |earlier: Timestamp| earlier.min(end)));
        }
        Some(until)
    };
    let problems = file_problems(machine, granted, |key| known_fields(index, key));
    let granted = index.secrets_granted_to(&ObjectKey { namespace: own, name: machine.name_any() }, now);
    Facts { missing_accounts, problems, grant_ends, granted, outdated_pods: None, served_once: None }
}

/// The names of the fields of a Secret that has a value.
fn known_fields(index: &Index, key: &ObjectKey) -> Option<Vec<String>> {
    let secret = index.secret(&key.namespace, &key.name)?;
    let status = secret.status.as_ref()?;
    status.version.filter(|version| *version > 0).map(|_| status.fields.clone())
}

/// What the files that are not optional lack. Pure.
fn file_problems(
    machine: &Machine,
    mut granted: impl FnMut(&ObjectKey) -> Option<Until>,
    fields_of: impl Fn(&ObjectKey) -> Option<Vec<String>>,
) -> Vec<FileProblem> {
    let own = machine.namespace().unwrap_or_default();
    let mut problems = Vec::new();
    for file in machine.spec.delivery().files().iter().filter(|file| !file.is_optional()) {
        let passwords = file.pkcs12.iter().map(|store| {
            let password = &store.password_ref;
            (password.namespace_or(&own), &password.name, password.field.as_ref())
        });
        let input =
            |input: &'_ FileSecretRef| (input.namespace_or(&own).to_owned(), input.name.clone(), input.field.clone());
        let inputs = file.secret_refs.iter().map(input);
        let passwords = passwords.map(|(namespace, name, field)| (namespace.to_owned(), name.clone(), field.cloned()));
        for (namespace, name, field) in inputs.chain(passwords) {
            let secret = ObjectKey { namespace, name };
            let path = file.path.clone();
            if granted(&secret).is_none() {
                problems.push(FileProblem::NotGranted { path, secret });
            } else if let (Some(field), Some(fields)) = (field, fields_of(&secret))
                && !fields.contains(&field)
            {
                problems.push(FileProblem::NoField { path, secret, field, fields });
            }
        }
    }
    problems.dedup();
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn every_input_and_password_of_a_required_file_is_checked() {
        let machine: Machine = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"workload": {"serviceAccountNames": ["web"]}, "delivery": {"files": [
                {"path": "password", "secretRefs": [{"name": "db", "field": "password"}]},
                {"path": "user", "secretRefs": [{"name": "db", "field": "user"}]},
                {"path": "unset", "secretRefs": [{"name": "later", "field": "any"}]},
                {"path": "token", "secretRefs": [{"name": "token", "namespace": "payments"}]},
                {"path": "extra", "optional": true, "secretRefs": [{"name": "nothing"}]},
                {"path": "store.p12", "format": "PKCS12", "secretRefs": [{"name": "tls"}],
                 "pkcs12": {"type": "KeyStore", "passwordRef": {"name": "store"}}},
            ]}},
        }))
        .unwrap();
        let granted = [key("shop", "db"), key("shop", "tls"), key("shop", "later")];
        let fields = |key: &ObjectKey| (key.name == "db").then(|| vec!["password".to_owned()]);
        assert_eq!(
            file_problems(&machine, |key| granted.contains(key).then_some(Until::Revoked), fields),
            [
                FileProblem::NoField {
                    path: "user".into(),
                    secret: key("shop", "db"),
                    field: "user".into(),
                    fields: vec!["password".into()],
                },
                FileProblem::NotGranted { path: "token".into(), secret: key("payments", "token") },
                FileProblem::NotGranted { path: "store.p12".into(), secret: key("shop", "store") },
            ]
        );
    }
}
