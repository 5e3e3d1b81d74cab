//! The objects of many teams: what stands in their manifests, and applying them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

/// Requests at a time while they are applied.
const TOGETHER: usize = 32;

/// How many objects there are, all namespaces together.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Crowd {
    pub(in crate::bench) namespaces: usize,
    pub(in crate::bench) secrets: usize,
    pub(in crate::bench) grants: usize,
    pub(in crate::bench) machines: usize,
    pub(in crate::bench) policies: usize,
}

impl Crowd {
    /// Objects of the four kinds.
    pub(super) fn len(self) -> usize {
        self.secrets + self.grants + self.machines + self.policies
    }

    /// Creates them all. How long the four kinds took.
    pub(super) async fn fill(self, client: &Client) -> Result<Duration> {
        let all = || 0..self.namespaces;
        let plain = |kind: &str, metadata| json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
        create_all(client, all().map(|n| plain("Namespace", json!({"name": namespace(n)})))).await?;
        let accounts = all().flat_map(|n| {
            let machines = 0..share(self.machines, self.namespaces, n);
            machines.map(move |m| plain("ServiceAccount", json!({"namespace": namespace(n), "name": machine(m)})))
        });
        create_all(client, accounts).await?;
        let begun = Instant::now();
        create_all(client, all().flat_map(|n| self.team(n))).await?;
        Ok(begun.elapsed())
    }

    /// The objects of one namespace. Each Machine is granted what its files need.
    fn team(self, n: usize) -> Vec<Value> {
        let of = |total| share(total, self.namespaces, n);
        let (secrets, machines, policies) = (of(self.secrets).max(1), of(self.machines).max(1), of(self.policies));
        let two = |first: usize| {
            let both = [first % secrets, (first + 1) % secrets];
            both.map(secret).into_iter().take(secrets.min(2)).map(|name| json!({"name": name})).collect::<Vec<_>>()
        };
        let own = |kind, name: String, spec: Value| object(kind, &namespace(n), &name, &spec);
        let policy = |p| own("AccessPolicy", format!("policy-{p}"), json!({"rateCap": {"perMinute": 600}}));
        let all_secrets =
            (0..of(self.secrets)).map(|s| own("Secret", secret(s), source(s, s % 4 == 0 && policies > 0)));
        let all_machines = (0..of(self.machines)).map(|m| {
            let file = |(path, secret): (&str, Value)| json!({"path": path, "secretRefs": [secret]});
            let files: Vec<_> = ["db/first", "db/second"].into_iter().zip(two(m)).map(file).collect();
            let spec = json!({"workload": {"serviceAccountNames": [machine(m)]}, "delivery": {"files": files}});
            own("Machine", machine(m), spec)
        });
        let all_grants = (0..of(self.grants)).map(|g| {
            let machine = json!({"name": machine(g % machines)});
            own("Grant", format!("grant-{g}"), json!({"machineRef": machine, "secretRefs": two(g)}))
        });
        (0..policies).map(policy).chain(all_secrets).chain(all_machines).chain(all_grants).collect()
    }
}

/// How many of `total` fall to one of many namespaces.
fn share(total: usize, namespaces: usize, n: usize) -> usize {
    total / namespaces + usize::from(n < total % namespaces)
}

fn namespace(n: usize) -> String {
    format!("crowd-{n:03}")
}

fn machine(m: usize) -> String {
    format!("machine-{m}")
}

fn secret(s: usize) -> String {
    format!("secret-{s}")
}

fn source(s: usize, guarded: bool) -> Value {
    let generate = if s.is_multiple_of(3) {
        json!({"fields": [{"name": "username", "literal": "app"}, {"name": "password"}]})
    } else {
        json!({"length": 40})
    };
    let mut spec = json!({"source": {"generate": generate}});
    if guarded && let Some(spec) = spec.as_object_mut() {
        spec.insert("policyRef".into(), json!({"name": "policy-0"}));
    }
    spec
}

/// With the labels and the annotation that such objects have where Argo CD applies them.
pub(super) fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    let tracking = format!("{namespace}:sikkerkey.com/{kind}:{namespace}/{name}");
    json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {
            "namespace": namespace, "name": name,
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": namespace},
            "annotations": {"argocd.argoproj.io/tracking-id": tracking},
        },
    })
}

/// Creates objects, many at a time.
pub(super) async fn create_all(client: &Client, objects: impl Iterator<Item = Value>) -> Result<()> {
    stream::iter(objects).map(|object| create(client, object)).buffer_unordered(TOGETHER).try_collect().await
}

/// Creates an object.
pub(super) async fn create(client: &Client, object: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().context("an object without a kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.create(&PostParams::default(), &object).await.with_context(|| format!("cannot create a {}", types.kind))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_objects_as_said_and_each_machine_is_granted_what_its_files_need() {
        let crowd = Crowd { namespaces: 3, secrets: 20, grants: 20, machines: 10, policies: 4 };
        let teams: Vec<Vec<Value>> = (0..3).map(|n| crowd.team(n)).collect();
        assert_eq!(teams.iter().map(Vec::len).sum::<usize>(), crowd.len());
        for team in teams {
            let of = |kind: &'static str| team.iter().filter(move |object| object["kind"] == kind);
            let granted = |machine: &Value, secret: &Value| {
                let named = |grant: &&Value| grant["spec"]["machineRef"]["name"] == machine["metadata"]["name"];
                of("Grant").filter(named).any(|grant| grant["spec"]["secretRefs"].as_array().unwrap().contains(secret))
            };
            for machine in of("Machine") {
                for file in machine["spec"]["delivery"]["files"].as_array().unwrap() {
                    let secret = &file["secretRefs"][0];
                    assert!(granted(machine, secret), "{machine}");
                    assert!(of("Secret").any(|it| it["metadata"]["name"] == secret["name"]), "{secret}");
                }
            }
        }
    }
}
