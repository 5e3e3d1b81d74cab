//! What the operator manages: shown and not changed here, so that the dashboard and Git never fight.

use maud::{Markup, html};

use super::element::copyable;

/// Group and version of the objects, as their definitions in `crds/` have them.
const API_VERSION: &str = "sikkerkey.com/v1alpha1";
/// The kinds, and the short name of each for `kubectl`.
const KINDS: [(&str, &str); 4] = [("Machine", "skm"), ("Secret", "sks"), ("Grant", "skg"), ("AccessPolicy", "skp")];

/// The word beside a name in a list. `object` is as it stands in answers: `Machine shop/web of cluster prod`.
pub(super) fn mark(object: &str) -> Markup {
    html! { span.pill.plain title={ "Managed by " (object) } { "Kubernetes" } }
}

/// What stands on the page of one thing: which object speaks for it, and the manifest to edit there.
pub(super) fn notice(object: &str, manifest: &str) -> Markup {
    html! {
        section.card {
            h2 { "Managed by Kubernetes" }
            p { "This is what " strong { (object) } " says. Change it there: what is changed by hand would be taken back." }
            (copyable("manifest", manifest))
        }
    }
}

/// The manifest to edit for [`notice`]: its head, and the fields of `spec` that speak of what the page shows, each with
/// what may stand there: `[("policyRef", "{name: POLICY}"), ("rotation", "{every: 720h}")]`. The first line is the command
/// that opens the object where no Git does.
pub(super) fn manifest(object: &str, fields: &[(&str, &str)]) -> String {
    let Some(Object { kind, short, namespace, name, cluster }) = Object::read(object) else {
        return format!("# edit {object}");
    };
    let mut lines = vec![
        format!("# in cluster {cluster}: kubectl -n {namespace} edit {short}/{name}"),
        format!("apiVersion: {API_VERSION}"),
        format!("kind: {kind}"),
        "metadata:".to_owned(),
        format!("  name: {name}"),
        format!("  namespace: {namespace}"),
    ];
    if !fields.is_empty() {
        lines.push("spec:".to_owned());
    }
    lines.extend(fields.iter().map(|(field, value)| format!("  {field}: {value}")));
    lines.join("\n") + "\n"
}

struct Object<'a> {
    kind: &'a str,
    short: &'static str,
    namespace: &'a str,
    name: &'a str,
    cluster: &'a str,
}

impl<'a> Object<'a> {
    /// Reads what answers call an object.
    fn read(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        let (key, cluster) = rest.split_once(" of cluster ")?;
        let (namespace, name) = key.split_once('/')?;
        let (_, short) = KINDS.iter().find(|(it, _)| *it == kind)?;
        Some(Self { kind, short, namespace, name, cluster })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_the_head_of_the_object_and_the_fields_to_edit() {
        let text = manifest("Secret shop/db of cluster prod", &[("policyRef", "{name: guarded}"), ("rotation", "{}")]);
        assert_eq!(
            text,
            "# in cluster prod: kubectl -n shop edit sks/db\napiVersion: sikkerkey.com/v1alpha1\nkind: Secret\n\
             metadata:\n  name: db\n  namespace: shop\nspec:\n  policyRef: {name: guarded}\n  rotation: {}\n"
        );
    }

    #[test]
    fn what_is_no_object_is_told_as_it_is() {
        assert_eq!(manifest("Widget shop/db of cluster prod", &[]), "# edit Widget shop/db of cluster prod");
        assert_eq!(manifest("nothing", &[("suspend", "true")]), "# edit nothing");
    }

    /// The definitions are another crate's: they are read as they are installed.
    #[test]
    fn every_kind_is_one_that_the_cluster_knows_by_that_short_name() {
        let definitions = [
            include_str!("../../../../crds/machines.yaml"),
            include_str!("../../../../crds/secrets.yaml"),
            include_str!("../../../../crds/grants.yaml"),
            include_str!("../../../../crds/accesspolicies.yaml"),
        ];
        let (group, version) = API_VERSION.split_once('/').unwrap();
        for ((kind, short), definition) in KINDS.iter().zip(definitions) {
            let lines: Vec<&str> = definition.lines().map(|it| it.trim().trim_start_matches("- ")).collect();
            for line in
                [format!("group: {group}"), format!("kind: {kind}"), format!("name: {version}"), short.to_string()]
            {
                assert!(lines.contains(&line.as_str()), "{kind}: {line}");
            }
        }
    }
}
