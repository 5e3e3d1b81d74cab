//! A Machine's spec as the server takes it, with every default filled in. Pure.

use std::time::Duration;

use sikkerkey_crds::machine::{
    Approval, ChangeNotice, Delivery, DeliveryFile, FileFormat, MachineSpec, OnDenied, Pkcs12, Pkcs12Type, Subject,
};
use sikkerkey_crds::reference::SecretFieldRef;
use sikkerkey_protocol::kubernetes::{ApplyMachine, ObjectMeta};
use sikkerkey_protocol::{kubernetes as wire, sync};

use super::room;

/// A value that cannot be converted: its field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct InvalidSpec {
    path: String,
    what: String,
}

impl InvalidSpec {
    fn new(path: impl Into<String>, what: impl std::fmt::Display) -> Self {
        Self { path: path.into(), what: what.to_string() }
    }
}

/// The request that puts it in force.
pub fn convert(object: ObjectMeta, spec: &MachineSpec) -> Result<ApplyMachine, InvalidSpec> {
    let subject =
        match spec.subject().map_err(|error| InvalidSpec::new("spec", strip(&error)))? {
            Subject::Workload(workload) => wire::Subject::Workload {
                service_accounts: workload.service_account_names.clone(),
                lifetime_seconds: spec.lifetime().map_or(0, |lifetime| lifetime.as_secs()),
                delivery: delivery(spec.delivery(), &object.key.namespace)?,
            },
            Subject::Host(host) => wire::Subject::Host {
                public_key: host.public_key.as_ref().map(|key| key.parse()).transpose().map_err(
                    |error: sikkerkey_protocol::key::KeyError| InvalidSpec::new("spec.host.publicKey", error),
                )?,
                lifetime_seconds: spec.lifetime().map(|lifetime| lifetime.as_secs()),
            },
        };
    Ok(ApplyMachine {
        object,
        manual_approval: spec.approval() == Approval::Manual,
        suspended: spec.suspended(),
        subject,
    })
}

/// The sentence without its path, which is put in front again.
fn strip(error: &sikkerkey_crds::choice::NotExactlyOne) -> String {
    format!("give exactly one of {}", error.members.join(", "))
}

/// What a sidecar of namespace `own` writes.
pub fn delivery(delivery: &Delivery, own: &str) -> Result<sync::Delivery, InvalidSpec> {
    let on_change = delivery.on_change.as_ref().map(|on_change| {
        let notice = on_change.notice().map_err(|error| InvalidSpec::new(error.path, strip(&error)))?;
        Ok(sync::OnChange { debounce_millis: millis(on_change.debounce()), action: change_action(notice)? })
    });
    let files = delivery.files().iter().enumerate();
    let files = files.map(|(index, one)| file(one, index, own)).collect::<Result<Vec<_>, _>>()?;
    room::check(&files, delivery.size_limit()).map_err(|error| InvalidSpec::new("spec.delivery.sizeLimit", error))?;
    Ok(sync::Delivery {
        on_revoked: on_denied(delivery.on_revoked()),
        on_closed: on_denied(delivery.on_closed()),
        max_staleness_seconds: delivery.max_staleness().as_secs(),
        on_change: on_change.transpose()?,
        files,
    })
}

fn on_denied(effect: OnDenied) -> sync::OnDenied {
    match effect {
        OnDenied::Remove => sync::OnDenied::Remove,
        OnDenied::Keep => sync::OnDenied::Keep,
    }
}

fn change_action(notice: ChangeNotice<'_>) -> Result<sync::ChangeAction, InvalidSpec> {
    Ok(match notice {
        ChangeNotice::HttpPost(post) => sync::ChangeAction::HttpPost {
            port: u16::try_from(post.port).ok().filter(|port| *port > 0).ok_or_else(|| {
                InvalidSpec::new("spec.delivery.onChange.httpPost.port", "give a port from 1 to 65535")
            })?,
            path: post.path().to_owned(),
        },
        ChangeNotice::Signal(signal) => sync::ChangeAction::Signal {
            name: signal.name.as_str().to_owned(),
            process_name: signal.process_name.clone(),
        },
    })
}

fn file(file: &DeliveryFile, index: usize, own: &str) -> Result<sync::File, InvalidSpec> {
    file.content().map_err(|error| InvalidSpec::new(format!("spec.delivery.files[{index}]"), error))?;
    let inputs = file.secret_refs.iter().map(|input| sync::Input {
        secret: secret(input.namespace_or(own), &input.name),
        field: input.field.clone(),
        alias: input.alias.clone(),
    });
    let converted = sync::File {
        path: file.path.clone(),
        format: match file.format() {
            FileFormat::Raw => sync::Format::Raw,
            FileFormat::DotEnv => sync::Format::DotEnv,
            FileFormat::Json => sync::Format::Json,
            FileFormat::Yaml => sync::Format::Yaml,
            FileFormat::Properties => sync::Format::Properties,
            FileFormat::Ini => sync::Format::Ini,
            FileFormat::Pkcs12 => sync::Format::Pkcs12,
            FileFormat::Template => sync::Format::Template,
        },
        mode: file.mode().bits().into(),
        optional: file.is_optional(),
        inputs: inputs.collect(),
        template: file.template.clone(),
        pkcs12: file.pkcs12.as_ref().map(|store| keystore(store, own)),
    };
    sikkerkey_files::check(&converted)
        .map_err(|error| InvalidSpec::new(format!("spec.delivery.files[{index}]"), error))?;
    Ok(converted)
}

fn keystore(store: &Pkcs12, own: &str) -> sync::Pkcs12 {
    let SecretFieldRef { name, field, .. } = &store.password_ref;
    sync::Pkcs12 {
        trust_store: store.type_ == Pkcs12Type::TrustStore,
        alias: store.alias.clone(),
        password: sync::Input {
            secret: secret(store.password_ref.namespace_or(own), name),
            field: field.clone(),
            alias: None,
        },
    }
}

fn secret(namespace: &str, name: &str) -> sync::SecretKey {
    sync::SecretKey { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::fixture::meta;

    fn converted(spec: Value) -> Result<Value, String> {
        let spec: MachineSpec = serde_json::from_value(spec).unwrap();
        convert(meta("shop", "web"), &spec)
            .map(|apply| {
                let mut apply = serde_json::to_value(apply).unwrap();
                apply.as_object_mut().unwrap().remove("object");
                apply
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_bare_workload_gets_every_default() {
        assert_eq!(
            converted(json!({"workload": {"serviceAccountNames": ["web"]}})),
            Ok(json!({"manualApproval": false, "suspended": false, "subject": {"workload": {
                "serviceAccounts": ["web"],
                "lifetimeSeconds": 3600,
                "delivery": {"onRevoked": "Remove", "onClosed": "Remove", "maxStalenessSeconds": 86_400, "files": []},
            }}}))
        );
    }

    #[test]
    fn a_delivery_has_its_namespaces_and_defaults_filled_in() {
        let spec = json!({
            "workload": {"serviceAccountNames": ["web"]}, "approval": "Manual", "suspend": true,
            "identity": {"lifetime": "10m"},
            "delivery": {"onRevoked": "Keep", "onClosed": "Keep", "maxStaleness": "8h", "onChange": {"httpPost": {"port": 8080}}, "files": [
                {"path": "db/password", "secretRefs": [{"name": "db", "field": "password"}]},
                {"path": "app.env", "format": "DotEnv", "mode": "0400", "optional": true,
                 "secretRefs": [{"name": "db", "as": "DB"}, {"name": "token", "namespace": "payments"}]},
                {"path": "t", "format": "Template", "template": "{{ db }}", "secretRefs": [{"name": "db"}]},
                {"path": "s", "format": "PKCS12", "secretRefs": [{"name": "tls"}],
                 "pkcs12": {"type": "TrustStore", "alias": "a", "passwordRef": {"name": "pw", "field": "f"}}},
            ]},
        });
        assert_eq!(
            converted(spec),
            Ok(json!({"manualApproval": true, "suspended": true, "subject": {"workload": {
                "serviceAccounts": ["web"],
                "lifetimeSeconds": 600,
                "delivery": {
                    "onRevoked": "Keep", "onClosed": "Keep", "maxStalenessSeconds": 28_800,
                    "onChange": {"debounceMillis": 5000, "action": {"httpPost": {"port": 8080, "path": "/"}}},
                    "files": [
                        {"path": "db/password", "format": "Raw", "mode": 0o444, "optional": false,
                         "inputs": [{"secret": "shop/db", "field": "password"}]},
                        {"path": "app.env", "format": "DotEnv", "mode": 0o400, "optional": true,
                         "inputs": [{"secret": "shop/db", "as": "DB"}, {"secret": "payments/token"}]},
                        {"path": "t", "format": "Template", "mode": 0o444, "optional": false, "template": "{{ db }}",
                         "inputs": [{"secret": "shop/db"}]},
                        {"path": "s", "format": "PKCS12", "mode": 0o444, "optional": false,
                         "inputs": [{"secret": "shop/tls"}],
                         "pkcs12": {"trustStore": true, "alias": "a", "password": {"secret": "shop/pw", "field": "f"}}},
                    ],
                },
            }}}))
        );
    }

    #[test]
    fn every_file_of_the_readme_is_admitted() {
        let (_, table) =
            include_str!("../../../../crds/README.md").split_once("| An entry of `files` | The file |\n").unwrap();
        let files: Vec<Value> = table
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with('|'))
            .map(|row| {
                let entry = row.split(" | `{").nth(1).and_then(|rest| rest.split("}`").next()).unwrap();
                serde_yaml::from_str(&format!("{{{}}}", entry.replace("\\|", "|"))).unwrap()
            })
            .collect();
        assert!(files.len() >= 9, "{files:?}");
        converted(json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"files": files}})).unwrap();
    }

    #[test]
    fn a_signal_and_its_debounce_are_taken_over() {
        let notice = json!({"signal": {"name": "SIGHUP", "processName": "nginx"}, "debounce": "500ms"});
        let spec = json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"onChange": notice}});
        let spec: MachineSpec = serde_json::from_value(spec).unwrap();
        let wire::Subject::Workload { delivery, .. } = convert(meta("shop", "web"), &spec).unwrap().subject else {
            panic!("not a workload")
        };
        let action = sync::ChangeAction::Signal { name: "SIGHUP".into(), process_name: "nginx".into() };
        assert_eq!(delivery.on_change, Some(sync::OnChange { debounce_millis: 500, action }));
    }

    #[test]
    fn a_host_is_approved_by_a_person_or_by_its_pinned_key() {
        assert_eq!(
            converted(json!({"host": {}})),
            Ok(json!({"manualApproval": true, "suspended": false, "subject": {"host": {}}}))
        );
        let key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
        assert_eq!(
            converted(json!({"host": {"publicKey": key}, "identity": {"lifetime": "24h"}})),
            Ok(json!({"manualApproval": false, "suspended": false,
                      "subject": {"host": {"publicKey": key, "lifetimeSeconds": 86_400}}}))
        );
    }

    #[test]
    fn what_a_schema_would_refuse_is_refused_with_its_field() {
        let workload = json!({"serviceAccountNames": ["web"]});
        let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for (spec, message) in [
            (json!({}), "spec: give exactly one of workload, host"),
            (json!({"workload": workload, "host": {}}), "spec: give exactly one of workload, host"),
            (
                json!({"host": {"publicKey": weak}}),
                "spec.host.publicKey: the public key is weak (small order): make a new one",
            ),
            (
                json!({"workload": workload, "delivery": {"onChange": {}}}),
                "spec.delivery.onChange: give exactly one of httpPost, signal",
            ),
            (
                json!({"workload": workload, "delivery": {"onChange": {"httpPost": {"port": 70_000}}}}),
                "spec.delivery.onChange.httpPost.port: give a port from 1 to 65535",
            ),
            (
                json!({"workload": workload, "delivery": {"files": [
                    {"path": "a", "secretRefs": [{"name": "a"}]},
                    {"path": "b", "secretRefs": [{"name": "a"}, {"name": "b"}]},
                ]}}),
                "spec.delivery.files[1]: format Raw takes exactly one entry in secretRefs, without as",
            ),
            (
                json!({"workload": workload, "delivery": {"files": [
                    {"path": "a", "format": "JSON", "secretRefs": [{"name": "a"}, {"name": "b", "as": "a"}]},
                ]}}),
                "spec.delivery.files[0]: cannot be written: Secret shop/a and Secret shop/b both give the name a: give \
                 one of them another name with as",
            ),
            (
                json!({"workload": workload, "delivery": {"files": [
                    {"path": "a", "format": "PKCS12", "secretRefs": [{"name": "a"}, {"name": "b"}],
                     "pkcs12": {"type": "KeyStore", "passwordRef": {"name": "pw"}}},
                ]}}),
                "spec.delivery.files[0]: cannot be written: a KeyStore takes exactly one Secret, with private key and \
                 certificates, not 2",
            ),
        ] {
            assert_eq!(converted(spec.clone()), Err(message.to_owned()), "{spec}");
        }
    }
}
