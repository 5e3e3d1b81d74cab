//! What the injected container asks for, so that the pod keeps its class, its quota and its autoscaler. A sidecar's requests add
//! to those of the app's containers; of an ordinary init container (mode `Init`) only what is more than theirs counts, and the
//! pages it leaves in the volume count against the pod from its end on.
//!
//! * A request for both resources always: autoscalers refuse pods in which one container lacks one.
//! * Guaranteed stays Guaranteed: requests equal limits.
//! * A CPU limit only where all others have one (a quota on `limits.cpu` demands it), because a limit slows the start.
//! * The memory limit holds the volume too: pages of the memory volume count against whoever wrote them.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Value, json};
use thiserror::Error;

use super::pod_view::{Amounts, Container};
use super::quantity;
use crate::dns::is_label;

/// A sidecar's resources, from the operator's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarResources {
    cpu_request: String,
    cpu_limit: String,
    memory: u64,
}

/// The sidecars' resources in each namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    everywhere: SidecarResources,
    in_namespace: BTreeMap<String, SidecarResources>,
}

/// Other amounts for one namespace, as the command line has them: `NAMESPACE=CPU-REQUEST,CPU-LIMIT,MEMORY`. What is empty is as
/// everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceAmounts {
    namespace: String,
    cpu_request: Option<String>,
    cpu_limit: Option<String>,
    memory: Option<String>,
}

/// What is configured is not usable.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ResourcesError {
    /// An amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// An amount of one namespace.
    #[error("namespace {0}")]
    In(String, #[source] AmountError),
    /// The text.
    #[error(
        "{0:?} names no resources of a namespace: write NAMESPACE=CPU-REQUEST,CPU-LIMIT,MEMORY such as shop=50m,200m,32Mi; a part that is left empty is as everywhere"
    )]
    Malformed(String),
    /// Twice the same.
    #[error("namespace {0} is given twice")]
    Twice(String),
}

impl Resources {
    /// What the operator was told: amounts for everywhere, and others for some namespaces.
    pub fn new(
        cpu_request: &str,
        cpu_limit: &str,
        memory: &str,
        namespaces: &[NamespaceAmounts],
    ) -> Result<Self, ResourcesError> {
        let mut in_namespace = BTreeMap::new();
        for other in namespaces {
            let resources = SidecarResources::new(
                other.cpu_request.as_deref().unwrap_or(cpu_request),
                other.cpu_limit.as_deref().unwrap_or(cpu_limit),
                other.memory.as_deref().unwrap_or(memory),
            );
            let resources = resources.map_err(|error| ResourcesError::In(other.namespace.clone(), error))?;
            if in_namespace.insert(other.namespace.clone(), resources).is_some() {
                return Err(ResourcesError::Twice(other.namespace.clone()));
            }
        }
        Ok(Self { everywhere: SidecarResources::new(cpu_request, cpu_limit, memory)?, in_namespace })
    }

    /// Those of sidecars in a namespace.
    pub(super) fn of(&self, namespace: &str) -> &SidecarResources {
        self.in_namespace.get(namespace).unwrap_or(&self.everywhere)
    }
}

impl FromStr for NamespaceAmounts {
    type Err = ResourcesError;

    fn from_str(text: &str) -> Result<Self, ResourcesError> {
        let malformed = || ResourcesError::Malformed(text.to_owned());
        let (namespace, amounts) = text.split_once('=').ok_or_else(malformed)?;
        let mut amounts = amounts.split(',').map(|amount| Some(amount.to_owned()).filter(|amount| !amount.is_empty()));
        let (Some(cpu_request), Some(cpu_limit), Some(memory), None) =
            (amounts.next(), amounts.next(), amounts.next(), amounts.next())
        else {
            return Err(malformed());
        };
        if !is_label(namespace) || (&cpu_request, &cpu_limit, &memory) == (&None, &None, &None) {
            return Err(malformed());
        }
        Ok(Self { namespace: namespace.to_owned(), cpu_request, cpu_limit, memory })
    }
}

/// A configured amount is not usable.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{given:?} is no amount of {what}: write a Kubernetes quantity above zero, such as {example}")]
pub struct AmountError {
    what: &'static str,
    given: String,
    example: &'static str,
}

impl SidecarResources {
    /// Checks what the operator was told: the CPU request, the CPU limit for pods that need one, and the memory that the
    /// sidecar needs beside its volume.
    pub fn new(cpu_request: &str, cpu_limit: &str, memory: &str) -> Result<Self, AmountError> {
        let cpu = |given: &str| {
            let amount = quantity::billionths(given).filter(|amount| *amount > 0);
            amount.map(|_| given.to_owned()).ok_or(AmountError { what: "CPU", given: given.to_owned(), example: "5m" })
        };
        let memory_bytes = quantity::units(memory).filter(|bytes| *bytes > 0);
        let memory_error = || AmountError { what: "memory", given: memory.to_owned(), example: "16Mi" };
        Ok(Self {
            cpu_request: cpu(cpu_request)?,
            cpu_limit: cpu(cpu_limit)?,
            memory: memory_bytes.ok_or_else(memory_error)?,
        })
    }

    /// `resources` of the sidecar beside these containers, with a volume of `volume` bytes.
    pub(super) fn beside(&self, others: &[&Container], volume: u64) -> Value {
        let limit = quantity::bytes(self.memory.saturating_add(volume));
        if others.iter().all(|other| is_guaranteed(other)) {
            let both = json!({"cpu": self.cpu_limit, "memory": limit});
            return json!({"requests": both, "limits": both});
        }
        let mut limits = json!({"memory": limit});
        let all_limited = others.iter().all(|other| amount(limits_of(other), "cpu").is_some());
        if let (true, Some(limits)) = (all_limited, limits.as_object_mut()) {
            limits.insert("cpu".to_owned(), self.cpu_limit.clone().into());
        }
        json!({"requests": {"cpu": self.cpu_request, "memory": quantity::bytes(self.memory)}, "limits": limits})
    }
}

fn limits_of(container: &Container) -> Option<&Amounts> {
    container.resources.as_ref()?.limits.as_ref()
}

fn amount(amounts: Option<&Amounts>, name: &str) -> Option<i128> {
    amounts?.get(name).and_then(|text| quantity::billionths(text)).filter(|amount| *amount > 0)
}

/// Whether a container has limits for both resources and requests no other amount (absent: the API server copies the
/// limit).
fn is_guaranteed(container: &Container) -> bool {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    ["cpu", "memory"].into_iter().all(|name| {
        let limit = amount(limits_of(container), name);
        let requested = requests.is_some_and(|requests| requests.contains_key(name));
        limit.is_some() && (!requested || amount(requests, name) == limit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(resources: &[Value]) -> Vec<Container> {
        let named = resources.iter().map(|resources| json!({"name": "c", "resources": resources}));
        named.map(|container| serde_json::from_value(container).unwrap()).collect()
    }

    #[test]
    fn the_pod_keeps_its_class() {
        let sidecar = SidecarResources::new("5m", "50m", "16Mi").unwrap();
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        let copied = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let burstable = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}});
        let memory_only = json!({"limits": {"memory": "1Gi"}});
        let guaranteed =
            json!({"requests": {"cpu": "50m", "memory": "20Mi"}, "limits": {"cpu": "50m", "memory": "20Mi"}});
        let plain = json!({"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "20Mi"}});
        let limited = json!({"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "50m", "memory": "20Mi"}});
        for (others, expected) in [
            (vec![full.clone()], &guaranteed),
            (vec![full.clone(), copied], &guaranteed),
            (vec![full.clone(), burstable], &limited),
            (vec![full.clone(), memory_only], &plain),
            (vec![full, json!({})], &plain),
            (vec![json!({})], &plain),
        ] {
            let others = containers(&others);
            assert_eq!(&sidecar.beside(&others.iter().collect::<Vec<_>>(), 4 << 20), expected, "{others:?}");
        }
    }

    #[test]
    fn a_namespace_may_have_amounts_of_its_own_in_whole_or_in_part() {
        let given = |texts: &[&str]| -> Result<Resources, ResourcesError> {
            let namespaces = texts.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()?;
            Resources::new("5m", "50m", "16Mi", &namespaces)
        };
        let resources = given(&["shop=50m,200m,32Mi", "pay=,,64Mi"]).unwrap();
        assert_eq!(*resources.of("shop"), SidecarResources::new("50m", "200m", "32Mi").unwrap());
        assert_eq!(*resources.of("pay"), SidecarResources::new("5m", "50m", "64Mi").unwrap());
        assert_eq!(*resources.of("other"), SidecarResources::new("5m", "50m", "16Mi").unwrap());
        for text in ["shop", "shop=", "shop=,,", "shop=1,2", "shop=1,2,3,4", "Shop=1,2,3Mi", "=1,2,3Mi"] {
            assert_eq!(given(&[text]), Err(ResourcesError::Malformed(text.to_owned())));
        }
        assert_eq!(given(&["a=1,,", "a=2,,"]), Err(ResourcesError::Twice("a".to_owned())));
        let error = given(&["a=1,,much"]).unwrap_err();
        assert!(matches!(&error, ResourcesError::In(namespace, amount) if namespace == "a" && amount.given == "much"));
    }

    #[test]
    fn a_configured_amount_that_is_none_is_refused_with_an_example() {
        for (cpu, memory, text) in [
            ("none", "16Mi", "\"none\" is no amount of CPU: write a Kubernetes quantity above zero, such as 5m"),
            ("0", "16Mi", "\"0\" is no amount of CPU: write a Kubernetes quantity above zero, such as 5m"),
            ("5m", "16 MB", "\"16 MB\" is no amount of memory: write a Kubernetes quantity above zero, such as 16Mi"),
        ] {
            assert_eq!(SidecarResources::new(cpu, "50m", memory).unwrap_err().to_string(), text);
        }
    }
}
