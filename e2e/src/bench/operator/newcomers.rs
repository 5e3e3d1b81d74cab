//! New Secrets, one after the other, and how long each takes to be Ready.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::json;
use sikkerkey_crds::secret::Secret;

use super::crowd::{create, object};
use super::sight::{Sight, place};
use crate::bench::latency::Latencies;
use crate::wait::wait_for;

/// Where they are.
pub(in crate::bench) const NAMESPACE: &str = "newcomers";

/// New Secrets.
pub(super) struct Newcomers<'s> {
    client: Client,
    sight: &'s Sight,
    /// Names are never used twice: what the server keeps of an earlier one is not measured.
    when: &'static str,
    /// The name of each, and when it was sent.
    sent: Vec<(String, Instant)>,
}

impl<'s> Newcomers<'s> {
    /// Makes room for them.
    pub(super) async fn namespace(client: &Client) -> Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        create(client, namespace).await
    }

    pub(super) fn new(client: &Client, sight: &'s Sight, when: &'static str) -> Self {
        Self { client: client.clone(), sight, when, sent: Vec::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.sent.len()
    }

    /// One more.
    pub(super) async fn come(&mut self) -> Result<()> {
        let name = format!("{}-{}", self.when, self.sent.len());
        let spec = json!({"source": {"generate": {}}, "deletionPolicy": "Delete"});
        self.sent.push((name.clone(), Instant::now()));
        create(&self.client, object("Secret", NAMESPACE, &name, &spec)).await
    }

    /// Waits until the last one is Ready.
    pub(super) async fn settle(&self, bound: Duration) -> Result<()> {
        self.latencies(bound).await.map(drop)
    }

    /// Waits until all are Ready; how long each took from before it was sent.
    pub(super) async fn latencies(&self, bound: Duration) -> Result<Latencies> {
        let latencies = wait_for("new Secrets to be Ready", bound, async || {
            let seen = self.sight.seen();
            let took = self.sent.iter().map(|(name, sent)| {
                let ready =
                    seen.ready_since(&place("Secret", NAMESPACE, name)).ok_or_else(|| format!("{name} is not"))?;
                Ok::<_, String>(ready.duration_since(*sent))
            });
            took.collect::<Result<Vec<_>, _>>()
        });
        Ok(Latencies::new(latencies.await?))
    }

    /// Deletes them, and waits until they are gone and `others` objects are left.
    pub(super) async fn leave(self, others: usize, bound: Duration) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let (how, which) = (DeleteParams::default(), ListParams::default());
        secrets.delete_collection(&how, &which).await.context("cannot delete new Secrets")?;
        self.sight.count(others, bound).await
    }
}
