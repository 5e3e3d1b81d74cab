//! A Grant's spec as the server takes it. Pure.

use sikkerkey_crds::grant::GrantSpec;
use sikkerkey_protocol::kubernetes::{ApplyGrant, ObjectKey, ObjectMeta};

use crate::controller::figure::millis;

/// The request that puts it in force, without the Secrets that are `missing`: the server may still hold one that is gone
/// from the cluster.
pub fn convert(object: ObjectMeta, spec: &GrantSpec, missing: &[String]) -> ApplyGrant {
    let machine = ObjectKey {
        namespace: spec.machine_ref.namespace_or(&object.key.namespace).to_owned(),
        name: spec.machine_ref.name.clone(),
    };
    let named = spec.secret_refs.iter().map(|secret| &secret.name);
    ApplyGrant {
        object,
        machine,
        secrets: named.filter(|name| !missing.contains(name)).cloned().collect(),
        expires_at: spec.expires_at.as_ref().map(millis),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::fixture::meta;

    #[test]
    fn references_get_their_namespace_and_missing_secrets_are_left_out() {
        for (spec, missing, expected) in [
            (
                json!({"machineRef": {"name": "web"}, "secretRefs": [{"name": "a"}, {"name": "b"}]}),
                vec![],
                json!({"machine": {"namespace": "shop", "name": "web"}, "secrets": ["a", "b"]}),
            ),
            (
                json!({"machineRef": {"name": "web", "namespace": "front"}, "secretRefs": [{"name": "a"}, {"name": "b"}],
                       "expiresAt": "2027-03-31T00:00:00Z"}),
                vec!["a".to_owned()],
                json!({"machine": {"namespace": "front", "name": "web"}, "secrets": ["b"],
                       "expiresAt": 1_806_451_200_000_i64}),
            ),
        ] {
            let spec: GrantSpec = serde_json::from_value(spec).unwrap();
            let mut apply = serde_json::to_value(convert(meta("shop", "web-reads"), &spec, &missing)).unwrap();
            let object = apply.as_object_mut().unwrap().remove("object");
            assert_eq!(apply, expected);
            let expected: Value = json!({"namespace": "shop", "name": "web-reads", "namespaceUid": "uid-of-shop",
                                         "uid": "uid-of-web-reads", "generation": 3});
            assert_eq!(object, Some(expected));
        }
    }
}
