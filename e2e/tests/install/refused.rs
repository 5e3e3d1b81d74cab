//! Values that are refused, with the place and what to do.

use serde_json::Value;
use sikkerkey_e2e::helm::Helm;

use crate::variant::helm;

#[test]
fn a_value_that_is_wrong_is_refused_with_its_place() {
    for (values, said) in [
        ("server: {replica: 2}", "at '/server': additional properties 'replica' not allowed"),
        ("sevrer: {}", "additional properties 'sevrer' not allowed"),
        ("server: {service: {prot: 443}}", "at '/server/service': additional properties 'prot' not allowed"),
        ("operator: {replicas: two}", "at '/operator/replicas': got string, want integer"),
        ("operator: {logFormat: xml}", "at '/operator/logFormat': value must be one of 'text', 'json'"),
        ("server: {publicUrl: 'http://x'}", "at '/server/publicUrl': 'http://x' does not match pattern"),
        ("server: {trustedProxies: [10.0.0.1]}", "at '/server/trustedProxies/0': '10.0.0.1' does not match pattern"),
        ("images: {server: {digest: latest}}", "at '/images/server/digest': 'latest' does not match pattern"),
        ("tracing: {endpoint: 'otel:4317'}", "at '/tracing/endpoint': 'otel:4317' does not match pattern"),
        ("tracing: {ratio: 5}", "at '/tracing/ratio': maximum: got 5, want 1"),
        ("sidecar: {ofNamespace: {shop: {cpu: 1}}}", "at '/sidecar/ofNamespace/shop'"),
    ] {
        let refused = helm().template(values).unwrap_err().to_string();
        assert!(refused.contains(said), "{values}: {refused}");
    }
}

#[test]
fn values_that_do_not_fit_each_other_are_refused_with_what_to_do() {
    for (values, said) in [
        (
            "server: {replicas: 2}",
            "server.replicas is 2, and the embedded database has room for one server: set server.database.existingSecret.name",
        ),
        ("server: {enabled: false}", "server.enabled is false: set server.publicUrl to where the server is"),
        (
            "server: {rootKey: {existingSecret: {name: ''}}}",
            "the server has no root key: set server.rootKey.existingSecret.name",
        ),
        (
            "tracing: {endpoint: 'http://otel:4318', ca: {configMap: ca}}",
            "tracing.endpoint is no https:// address: set tracing.endpoint to one",
        ),
        (
            "server: {auditRetentionDays: 90, database: {existingSecret: {name: db}}}",
            "with PostgreSQL the server has no volume that stays: set server.extraVolumes",
        ),
        (
            "monitoring: {podMonitor: {enabled: true}}",
            "sidecars answer nowhere: set sidecar.statusAddress to 0.0.0.0:9917",
        ),
    ] {
        let refused = helm().template(values).unwrap_err().to_string();
        assert!(refused.contains(said), "{values}: {refused}");
    }
}

/// The schema has an entry for each value that there is, and says of each object that there are no others.
#[test]
fn the_schema_knows_every_value_and_no_other() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(Helm::chart().join("values.schema.json")).unwrap()).unwrap();
    let values: Value =
        serde_yaml::from_str(&std::fs::read_to_string(Helm::chart().join("values.yaml")).unwrap()).unwrap();
    let mut seen = 0;
    let mut all = vec![(String::new(), &values, &schema)];
    while let Some((path, value, described)) = all.pop() {
        let described = match described["$ref"].as_str() {
            Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap(),
            None => described,
        };
        seen += 1;
        let (Some(entries), Some(properties)) = (value.as_object(), described["properties"].as_object()) else {
            continue;
        };
        assert_eq!(described["additionalProperties"], false, "{path} takes anything");
        for (key, value) in entries {
            let described = properties.get(key).unwrap_or_else(|| panic!("{path}.{key} is not in the schema"));
            all.push((format!("{path}.{key}"), value, described));
        }
        // Without a default, and not written down.
        let undocumented = ["global", "claims", "nodeAffinity", "podAffinity", "podAntiAffinity"];
        for key in properties.keys().filter(|key| !undocumented.contains(&key.as_str())) {
            assert!(entries.contains_key(key), "{path}.{key} is in the schema and not in values.yaml");
        }
    }
    assert!(seen > 100, "the walk finds the values: {seen}");
}
