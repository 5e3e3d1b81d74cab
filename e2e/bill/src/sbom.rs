//! The bill of materials, as `CycloneDX` has it.

use serde_json::{Value, json};

use crate::linked::{Crate, Id, Linked, Native};

/// The bill of a program. No serial number and no time: the same program has the same bill.
pub fn sbom(linked: &Linked, description: &str) -> Value {
    let Linked { root, crates, natives, .. } = linked;
    let own = crates.get(root).map(|it| {
        let mut it = component("application", it);
        merge(&mut it, json!({"description": description}));
        it
    });
    let others = crates.values().filter(|it| it.id != *root).map(|it| component("library", it));
    let dependencies = crates.values().map(|it| {
        let mut to: Vec<String> = it.dependencies.iter().map(purl).collect();
        if it.id == *root {
            to.extend(natives.iter().map(|it| native_purl(&it.id)));
        }
        json!({"ref": purl(&it.id), "dependsOn": to})
    });
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {
            "component": own,
            "properties": [{"name": "cdx:rustc:sbom:target:triple", "value": linked.triple}],
        },
        "components": others.chain(natives.iter().map(native)).collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

fn component(kind: &str, it: &Crate) -> Value {
    let Crate { id, license, checksum, .. } = it;
    let mut component = json!({
        "type": kind, "bom-ref": purl(id), "name": id.name, "version": id.version, "purl": purl(id),
        "licenses": [{"expression": license}],
    });
    if let Some(checksum) = checksum {
        merge(&mut component, json!({"hashes": [{"alg": "SHA-256", "content": checksum}]}));
    }
    component
}

fn native(it: &Native) -> Value {
    let Native { id, license, home } = it;
    json!({
        "type": "library", "bom-ref": native_purl(id), "name": id.name, "version": id.version, "purl": native_purl(id),
        "licenses": [{"expression": license}], "externalReferences": [{"type": "website", "url": home}],
    })
}

fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn purl(id: &Id) -> String {
    // A plus sign of a version is one of a query otherwise.
    format!("pkg:cargo/{}@{}", id.name, id.version.replace('+', "%2B"))
}

fn native_purl(id: &Id) -> String {
    format!("pkg:generic/{}@{}", id.name, id.version)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn bill(package: &str) -> Value {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        sbom(&Linked::gather(&workspace, package).unwrap(), "A part")
    }

    fn names(bill: &Value) -> Vec<&str> {
        bill["components"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_bill_names_what_is_linked_and_not_what_builds_or_tests_it() {
        for (package, has, has_not) in [
            ("sikkerkey-sidecar", "sikkerkey-files", "kube"),
            ("sikkerkey-operator", "kube", "sqlx"),
            ("sikkerkey-server", "sqlite", "kube"),
        ] {
            let bill = bill(package);
            let names = names(&bill);
            for name in ["ring", "tokio", "rust-std", has] {
                assert!(names.contains(&name), "{package} has {name}: {names:?}");
            }
            for name in ["proptest", "tempfile", "cc", "serde_derive", has_not, package] {
                assert!(!names.contains(&name), "{package} has no {name}: {names:?}");
            }
            assert_eq!(bill["metadata"]["component"]["name"], package);
        }
    }

    #[test]
    fn each_component_has_a_licence_and_each_from_the_registry_the_checksum_of_its_package() {
        let bill = bill("sikkerkey-server");
        for it in bill["components"].as_array().unwrap() {
            assert!(it["licenses"][0]["expression"].as_str().is_some_and(|text| !text.contains('/')), "{it}");
            let (name, purl) = (it["name"].as_str().unwrap(), it["purl"].as_str().unwrap());
            let of_registry = purl.starts_with("pkg:cargo/") && !name.starts_with("sikkerkey-");
            let checksum = it["hashes"][0]["content"].as_str().unwrap_or_default();
            assert_eq!(checksum.len(), if of_registry { 64 } else { 0 }, "{it}");
        }
    }

    #[test]
    fn each_name_that_is_referred_to_is_that_of_a_component() {
        let bill = bill("sikkerkey-sidecar");
        let own = &bill["metadata"]["component"];
        let known: Vec<&Value> =
            bill["components"].as_array().unwrap().iter().chain([own]).map(|it| &it["bom-ref"]).collect();
        let edges = bill["dependencies"].as_array().unwrap();
        let from: Vec<&Value> = edges.iter().map(|it| &it["ref"]).collect();
        let to: Vec<&Value> = edges.iter().flat_map(|it| it["dependsOn"].as_array().unwrap()).collect();
        assert!(from.len() > 50 && to.len() > from.len());
        assert!(from.iter().chain(&to).all(|it| known.contains(it)));
        assert!(known.iter().all(|it| *it == &own["bom-ref"] || to.contains(it)), "nothing stands alone");
    }
}
