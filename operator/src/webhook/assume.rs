//! Who may assume a Machine: one rule for admission and attestation.

use std::collections::BTreeMap;

use kube::Resource;
use sikkerkey_crds::machine::{Machine, Subject};
use sikkerkey_crds::received::Received;

use super::refusal::Refusal;

/// A pod that wants to be a Machine.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The name in its label [`MACHINE_LABEL`](sikkerkey_crds::names::MACHINE_LABEL).
    pub machine: &'a str,
    /// Its service account.
    pub service_account: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// Lets the pod be `machine`, or says why not.
///
/// The service account decides; labels only narrow, because anybody who makes pods sets them. A Machine with a key that
/// is no field is refused as a whole: what it misspells may be the very restriction that should keep this pod out.
pub fn may_assume<'m>(
    candidate: &Candidate<'_>,
    machine: Option<&'m Received<Machine>>,
) -> Result<&'m Machine, Refusal> {
    let name = candidate.machine.to_owned();
    let Some(found) = machine.filter(|found| found.meta().deletion_timestamp.is_none()) else {
        return Err(Refusal::MachineNotFound { machine: name, namespace: candidate.namespace.to_owned() });
    };
    if let Some(finding) = found.refusal() {
        return Err(Refusal::MachineNotAccepted { machine: name, why: finding.to_string() });
    }
    let machine = &found.object;
    let workload = match machine.spec.subject() {
        Ok(Subject::Workload(workload)) => workload,
        Ok(Subject::Host(_)) => return Err(Refusal::MachineIsHost { machine: name }),
        Err(error) => return Err(Refusal::MachineNotAccepted { machine: name, why: error.to_string() }),
    };
    if !workload.service_account_names.iter().any(|allowed| allowed == candidate.service_account) {
        return Err(Refusal::ServiceAccountNotAllowed {
            account: candidate.service_account.to_owned(),
            machine: name,
            allowed: workload.service_account_names.clone(),
        });
    }
    match workload.pod_selector.as_ref().and_then(|selector| selector.mismatch(candidate.labels)) {
        Some(missing) => Err(Refusal::SelectorMismatch { machine: name, missing }),
        None => Ok(machine),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "json! reads best in the call itself")]
    fn machine(spec: Value) -> Received<Machine> {
        serde_json::from_value(json!({
            "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine",
            "metadata": {"name": "web", "namespace": "shop", "uid": "m-1"}, "spec": spec,
        }))
        .unwrap()
    }

    fn verdict(
        machine: Option<&Received<Machine>>,
        account: &str,
        labels: &[(&str, &str)],
    ) -> Result<(), (&'static str, String)> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let candidate = Candidate { namespace: "shop", machine: "web", service_account: account, labels: &labels };
        may_assume(&candidate, machine).map(|_| ()).map_err(|refusal| (refusal.reason(), refusal.to_string()))
    }

    #[test]
    fn the_service_account_and_the_selector_both_must_allow_the_pod() {
        let open = machine(json!({"workload": {"serviceAccountNames": ["web", "worker"]}}));
        let narrow = machine(json!({"workload": {
            "serviceAccountNames": ["web"],
            "podSelector": {"matchLabels": {"tier": "front"}, "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]},
        }}));
        assert_eq!(verdict(Some(&open), "worker", &[]), Ok(()));
        assert_eq!(verdict(Some(&narrow), "web", &[("tier", "front"), ("zone", "b")]), Ok(()));
        let cases = [
            (
                &open,
                "default",
                vec![],
                "ServiceAccountNotAllowed",
                "ServiceAccount default may not assume Machine web, which allows web, worker: set serviceAccountName, or add it to spec.workload.serviceAccountNames.",
            ),
            (
                &narrow,
                "web",
                vec![("zone", "a")],
                "SelectorMismatch",
                "The pod's labels do not match spec.workload.podSelector of Machine web: tier=front is missing.",
            ),
            (
                &narrow,
                "web",
                vec![("tier", "front"), ("zone", "c")],
                "SelectorMismatch",
                "The pod's labels do not match spec.workload.podSelector of Machine web: zone is c, not one of a, b.",
            ),
            (
                &narrow,
                "worker",
                vec![("tier", "front"), ("zone", "a")],
                "ServiceAccountNotAllowed",
                "ServiceAccount worker may not assume Machine web, which allows web: set serviceAccountName, or add it to spec.workload.serviceAccountNames.",
            ),
        ];
        for (machine, account, labels, reason, message) in cases {
            assert_eq!(verdict(Some(machine), account, &labels), Err((reason, message.to_owned())));
        }
    }

    #[test]
    fn what_is_no_machine_for_pods_is_refused() {
        let host = machine(json!({"host": {}}));
        assert_eq!(
            verdict(Some(&host), "web", &[]),
            Err(("MachineIsHost", "Machine web is a host: pods need a Machine with spec.workload.".into()))
        );
        let missing = "Machine web does not exist in namespace shop: apply it before its pods (Argo CD: sync-wave -1), or correct the label sikkerkey.com/machine.";
        assert_eq!(verdict(None, "web", &[]), Err(("MachineNotFound", missing.into())));
        let mut leaving = machine(json!({"workload": {"serviceAccountNames": ["web"]}}));
        leaving.object.metadata.deletion_timestamp =
            Some(sikkerkey_crds::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(verdict(Some(&leaving), "web", &[]), Err(("MachineNotFound", missing.into())));
        let neither = machine(json!({}));
        assert_eq!(verdict(Some(&neither), "web", &[]).unwrap_err().0, "MachineNotAccepted");
    }

    #[test]
    fn a_misspelt_restriction_lets_nobody_in() {
        let slip = machine(
            json!({"workload": {"serviceAccountNames": ["web"], "podselector": {"matchLabels": {"tier": "front"}}}}),
        );
        assert_eq!(
            verdict(Some(&slip), "web", &[]),
            Err((
                "MachineNotAccepted",
                "Machine web is not accepted (spec.workload.podselector is not a field: did you mean spec.workload.podSelector?): correct it before its pods.".into()
            ))
        );
    }
}
