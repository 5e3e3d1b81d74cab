//! What the sidecar asks for, so that the pod keeps its class, its quota and its autoscaler.
//!
//! * A request for both resources always: autoscalers refuse pods in which one container lacks one.
//! * Guaranteed stays Guaranteed: requests equal limits.
//! * A CPU limit only where all others have one (a quota on `limits.cpu` demands it), because a limit slows the start.
//! * The memory limit holds the volume too: pages of the memory volume count against whoever wrote them.

use serde_json::{Value, json};
use thiserror::Error;

use super::pod_view::{Amounts, Container};
use super::quantity;

/// The sidecar's resources, from the operator's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarResources {
    cpu_request: String,
    cpu_limit: String,
    memory: u64,
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
