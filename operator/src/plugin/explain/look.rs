//! What the objects of the cluster tell, as far as the person may see them.

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::condition::{ConditionStatus, ConditionType, find};
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::names::{CONTAINER, MACHINE_LABEL};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::Secret;

use super::Reader;
use super::line::{Line, Outcome};
use crate::plugin::cluster::{Cluster, ClusterError, Look, Unreadable};
use crate::webhook::assume::{Candidate, may_assume};
use crate::webhook::injected::was_served_once;

/// What was looked at.
pub(super) struct Seen {
    pub(super) namespace: String,
    pub(super) secret_namespace: String,
    pub(super) secret_name: String,
    /// The pod's name, where one was asked about.
    pub(super) pod_name: Option<String>,
    pub(super) pod: Option<Look<Pod>>,
    /// None: the pod names none.
    pub(super) machine: Option<SeenMachine>,
    pub(super) secret: Look<Secret>,
    /// All of the Secret's namespace.
    pub(super) grants: Result<Vec<Grant>, Unreadable>,
    /// None: the Secret names none.
    pub(super) policy: Option<(String, Look<AccessPolicy>)>,
}

/// A Machine that is named, and what was found of it.
pub(super) struct SeenMachine {
    pub(super) name: String,
    pub(super) found: Look<Received<Machine>>,
}

impl Seen {
    pub(super) async fn of(
        cluster: &Cluster,
        namespace: &str,
        reader: &Reader,
        secret_namespace: &str,
        secret_name: &str,
    ) -> Result<Self, ClusterError> {
        let (pod_name, pod, machine) = match reader {
            Reader::Machine(name) => (None, None, Some(name.clone())),
            Reader::Pod(name) => {
                let pod = cluster.one::<Pod>(namespace, name).await?;
                let found = pod.as_ref().ok().and_then(Option::as_ref);
                let machine = found.and_then(|pod| pod.labels().get(MACHINE_LABEL).cloned());
                (Some(name.clone()), Some(pod), machine)
            }
        };
        let machine = match machine {
            Some(name) => {
                let found = cluster.one::<Received<Machine>>(namespace, &name).await?;
                Some(SeenMachine { name, found })
            }
            None => None,
        };
        let secret = cluster.one::<Secret>(secret_namespace, secret_name).await?;
        let grants = cluster.all::<Grant>(secret_namespace).await?;
        let names = secret.as_ref().ok().and_then(Option::as_ref).and_then(|secret| secret.spec.policy_ref.clone());
        let policy = match names {
            Some(policy) => {
                let found = cluster.one::<AccessPolicy>(secret_namespace, &policy.name).await?;
                Some((policy.name, found))
            }
            None => None,
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            secret_namespace: secret_namespace.to_owned(),
            secret_name: secret_name.to_owned(),
            pod_name,
            pod,
            machine,
            secret,
            grants,
            policy,
        })
    }

    pub(super) fn machine_name(&self) -> Option<&str> {
        self.machine.as_ref().map(|machine| machine.name.as_str())
    }

    /// What holds and what does not. Pure.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(pod) = &self.pod {
            lines.push(self.pod_line(pod));
        }
        if let Some(machine) = &self.machine {
            lines.extend(self.machine_lines(machine));
        }
        let secret = self.secret.as_ref().map(Option::as_ref);
        lines.push(object_line("secret", &self.secret_namespace, &self.secret_name, secret));
        if self.machine.is_some() {
            lines.extend(self.grant_lines());
        }
        if let Some((name, policy)) = &self.policy {
            lines.push(self.policy_line(name, policy));
        }
        lines
    }

    fn pod_line(&self, pod: &Look<Pod>) -> Line {
        let (name, namespace) = (self.pod_name.as_deref().unwrap_or_default(), &self.namespace);
        let line = |outcome, text: String| Line::new(outcome, "pod", text);
        let pod = match pod {
            Err(Unreadable) => {
                return line(Outcome::Unknown, format!("you may not get pod/{name} in namespace {namespace}"));
            }
            Ok(None) => {
                let text = format!(
                    "pod/{name} does not exist in namespace {namespace}: --machine NAME asks about pods that are still to come"
                );
                return line(Outcome::Unknown, text);
            }
            Ok(Some(pod)) => pod,
        };
        let Some(machine) = pod.labels().get(MACHINE_LABEL) else {
            let text =
                format!("pod/{name} is no Machine's: set the label {MACHINE_LABEL}: NAME in the template of its owner");
            return line(Outcome::Denies, text);
        };
        let spec = pod.spec.as_ref();
        let containers = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten();
        let is_ours = |container: &Container| container.name == CONTAINER;
        if !containers.chain(spec.into_iter().flat_map(|spec| &spec.containers)).any(is_ours) {
            let text = format!(
                "pod/{name} was not injected: delete it, so that its owner makes it again; kubectl sikkerkey doctor tells \
                 whether the webhook is there"
            );
            return line(Outcome::Denies, text);
        }
        if was_served_once(pod) {
            let text = format!(
                "pod/{name} names Machine {machine} and got its files once, when it started (mode Init): only a new pod reads again"
            );
            return line(Outcome::Warns, text);
        }
        line(Outcome::Holds, format!("pod/{name} names Machine {machine} and has the sidecar"))
    }

    fn machine_lines(&self, machine: &SeenMachine) -> Vec<Line> {
        let object = machine.found.as_ref().map(|found| found.as_ref().map(|received| &received.object));
        let first = object_line("machine", &self.namespace, &machine.name, object);
        let (Ok(Some(found)), Some(Ok(Some(pod)))) = (&machine.found, &self.pod) else { return vec![first] };
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let candidate = Candidate {
            namespace: &self.namespace,
            machine: &machine.name,
            service_account: account,
            labels: pod.labels(),
        };
        let second = match may_assume(&candidate, Some(found)) {
            Ok(_) => Line::new(Outcome::Holds, "account", format!("ServiceAccount {account} may assume it")),
            Err(refusal) => Line::new(Outcome::Denies, "account", refusal.to_string()),
        };
        vec![first, second]
    }

    fn grant_lines(&self) -> Vec<Line> {
        let machine = self.machine_name().unwrap_or_default();
        let namespace = &self.secret_namespace;
        let line = |outcome, text: String| Line::new(outcome, "grant", text);
        let Ok(grants) = &self.grants else {
            return vec![line(Outcome::Unknown, format!("you may not list skg in namespace {namespace}"))];
        };
        let names_both = |grant: &&Grant| {
            let named = &grant.spec.machine_ref;
            named.name == machine
                && named.namespace_or(namespace) == self.namespace
                && grant.spec.secret_refs.iter().any(|secret| secret.name == self.secret_name)
        };
        let found: Vec<&Grant> = grants.iter().filter(names_both).collect();
        if found.is_empty() {
            let text = format!(
                "no Grant in namespace {namespace} gives sks/{} to Machine {}/{machine}: its owners apply one",
                self.secret_name, self.namespace
            );
            return vec![line(Outcome::Denies, text)];
        }
        found.into_iter().map(|grant| standing("grant", grant)).collect()
    }

    fn policy_line(&self, name: &str, policy: &Look<AccessPolicy>) -> Line {
        match policy {
            // The Secret says that it names it, so this tells nothing new.
            Ok(None) => Line::new(
                Outcome::Denies,
                "policy",
                format!(
                    "skp/{name} does not exist in namespace {}: every read is denied until it does",
                    self.secret_namespace
                ),
            ),
            other => object_line("policy", &self.secret_namespace, name, other.as_ref().map(Option::as_ref)),
        }
    }
}

/// Whether an object is there and in force.
fn object_line<K: Kind>(about: &str, namespace: &str, name: &str, object: Result<Option<&K>, &Unreadable>) -> Line {
    let short = K::SHORT_NAME;
    match object {
        Err(Unreadable) => {
            Line::new(Outcome::Unknown, about, format!("you may not get {short}/{name} in namespace {namespace}"))
        }
        Ok(None) => Line::new(
            Outcome::Denies,
            about,
            format!("{short}/{name} does not exist in namespace {namespace}: apply it"),
        ),
        Ok(Some(object)) => standing(about, object),
    }
}

/// Whether it is in force, by its own word.
fn standing<K: Kind>(about: &str, object: &K) -> Line {
    let label = format!("{}/{}", K::SHORT_NAME, object.name_any());
    let line = |outcome, text: String| Line::new(outcome, about, text);
    if object.meta().deletion_timestamp.is_some() {
        return line(Outcome::Warns, format!("{label} is being deleted"));
    }
    let pending = || line(Outcome::Warns, format!("{label}: the operator has not seen its newest generation yet"));
    let Some(ready) = find(object.conditions(), ConditionType::Ready) else { return pending() };
    if ready.status == ConditionStatus::Unknown || object.observed_generation() < object.meta().generation {
        return pending();
    }
    let ends = [Reason::Suspended, Reason::Expired, Reason::Ended].map(Reason::as_str);
    let told = if ready.message.is_empty() {
        ready.reason.to_string()
    } else {
        format!("{}: {}", ready.reason, ready.message)
    };
    if ready.status == ConditionStatus::False {
        return line(Outcome::Warns, format!("{label} is not in force as it is written: {told}"));
    }
    if ready.reason == Reason::Ready.as_str() {
        return line(Outcome::Holds, format!("{label} is in force"));
    }
    let outcome = if ends.contains(&ready.reason.as_str()) { Outcome::Warns } else { Outcome::Holds };
    line(outcome, format!("{label} is in force: {told}"))
}
