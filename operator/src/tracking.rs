//! Who else applies an object, judged by what such tools write on it. Pure.
//!
//! What they manage comes back after it was deleted, or its deletion is undone at their next pass. In doubt an object is
//! taken for a managed one.

use std::collections::BTreeMap;

/// What a tool writes on what it applies: labels or annotations of this key, or of a key that begins so where it ends in a
/// slash.
const MARKS: &[(&str, &str)] = &[
    ("argocd.argoproj.io/", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/", "Flux"),
    ("helm.toolkit.fluxcd.io/", "Flux"),
    ("meta.helm.sh/", "Helm"),
    ("helm.sh/", "Helm"),
    ("applyset.kubernetes.io/", "kubectl apply --prune"),
    ("config.k8s.io/owning-inventory", "an inventory of kpt or Config Sync"),
    ("configmanagement.gke.io/", "Config Sync"),
    ("configsync.gke.io/", "Config Sync"),
    ("kapp.k14s.io/", "kapp"),
    ("objectset.rio.cattle.io/", "Rancher Fleet"),
    ("olm.owner", "Operator Lifecycle Manager"),
    ("sealedsecrets.bitnami.com/", "Sealed Secrets"),
    ("external-secrets.io/", "External Secrets Operator"),
    ("reconcile.external-secrets.io/", "External Secrets Operator"),
    ("secrets.hashicorp.com/", "Vault Secrets Operator"),
    ("cert-manager.io/", "cert-manager"),
    ("crossplane.io/", "Crossplane"),
    ("kubernetes.io/service-account.name", "the token controller of Kubernetes"),
];
/// Whose value names the manager.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// By which Argo CD knows what it applies unless told otherwise, and which many charts of Helm write as well.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// Who applies an object with these labels and annotations. `app.kubernetes.io/instance` alone does not say who.
pub fn manager<'a>(labels: &'a BTreeMap<String, String>, annotations: impl Iterator<Item = &'a str>) -> Option<String> {
    let keys: Vec<&str> = labels.keys().map(String::as_str).chain(annotations).collect();
    let marks = |key: &str, mark: &str| key == mark || mark.ends_with('/') && key.starts_with(mark);
    let marked = MARKS.iter().find(|(mark, _)| keys.iter().any(|key| marks(key, mark)));
    if let Some((_, manager)) = marked {
        return Some((*manager).to_owned());
    }
    if let Some(manager) = labels.get(MANAGED_BY) {
        return Some(if manager.is_empty() { format!("what {MANAGED_BY} stands for") } else { manager.clone() });
    }
    labels.contains_key(INSTANCE).then(|| format!("Argo CD or Helm (label {INSTANCE})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_known_by_what_it_writes() {
        for (label, annotation, expected) in [
            (None, None, None),
            (Some(("app", "shop")), Some("kubectl.kubernetes.io/last-applied-configuration"), None),
            (None, Some("argocd.argoproj.io/tracking-id"), Some("Argo CD")),
            (Some(("argocd.argoproj.io/instance", "shop")), None, Some("Argo CD")),
            (
                Some(("app.kubernetes.io/instance", "shop")),
                None,
                Some("Argo CD or Helm (label app.kubernetes.io/instance)"),
            ),
            (Some(("kustomize.toolkit.fluxcd.io/name", "apps")), None, Some("Flux")),
            (Some(("helm.toolkit.fluxcd.io/name", "apps")), None, Some("Flux")),
            (Some(("app.kubernetes.io/managed-by", "Helm")), Some("meta.helm.sh/release-name"), Some("Helm")),
            (None, Some("meta.helm.sh/release-name"), Some("Helm")),
            (Some(("app.kubernetes.io/managed-by", "terraform")), None, Some("terraform")),
            (Some(("app.kubernetes.io/managed-by", "")), None, Some("what app.kubernetes.io/managed-by stands for")),
            (Some(("reconcile.external-secrets.io/managed", "true")), None, Some("External Secrets Operator")),
            (None, Some("cert-manager.io/certificate-name"), Some("cert-manager")),
            (Some(("olm.owner", "x")), None, Some("Operator Lifecycle Manager")),
            (Some(("olm.owner.kind", "x")), None, None),
            (None, Some("kubernetes.io/service-account.name"), Some("the token controller of Kubernetes")),
        ] {
            let labels = label.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
            assert_eq!(manager(&labels, annotation.into_iter()).as_deref(), expected, "{label:?} {annotation:?}");
        }
    }
}
