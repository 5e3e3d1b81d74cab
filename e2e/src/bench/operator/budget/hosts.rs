//! Machines outside the cluster whose keys stand in Git: their objects, and their reads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use tokio_rustls::TlsConnector;

use super::super::crowd::{create_all, object};
use crate::bench::clients::{key, request};
use crate::bench::connection::trusting;
use crate::bench::load::{Load, Requests};
use crate::installation::Installation;

/// How many connections they share.
const CONNECTIONS: usize = 8;
/// Characters of a value at least.
const VALUE: usize = 32;

/// In each namespace every host may read every secret, by a Grant for each.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Hosts {
    pub(in crate::bench) namespaces: usize,
    /// Of each namespace.
    pub(in crate::bench) machines: usize,
    /// Of each namespace.
    pub(in crate::bench) secrets: usize,
}

impl Hosts {
    pub(super) fn grants(self) -> usize {
        self.namespaces * self.machines * self.secrets
    }

    /// Objects of the kinds.
    pub(super) fn objects(self) -> usize {
        self.grants() + self.namespaces * (self.machines + self.secrets)
    }

    /// Creates them all.
    pub(super) async fn fill(self, client: &Client) -> Result<()> {
        let all = 0..self.namespaces;
        let plain = |n| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(n)}});
        create_all(client, all.clone().map(plain)).await?;
        create_all(client, all.flat_map(|n| self.team(n))).await
    }

    /// The objects of one namespace.
    fn team(self, n: usize) -> Vec<Value> {
        let own = |kind, name: String, spec: Value| object(kind, &namespace(n), &name, &spec);
        let host_name = |h| format!("host-{h}");
        let secret_name = |s| format!("secret-{s}");
        let secrets = (0..self.secrets)
            .map(|s| own("Secret", secret_name(s), json!({"source": {"generate": {"length": VALUE}}})));
        let hosts = (0..self.machines).map(|h| {
            let public_key = key(self.number(n, h)).public_key().to_string();
            own("Machine", host_name(h), json!({"host": {"publicKey": public_key}}))
        });
        let grants = (0..self.machines * self.secrets).map(|g| {
            let (h, s) = (g / self.secrets, g % self.secrets);
            let spec = json!({"machineRef": {"name": host_name(h)}, "secretRefs": [{"name": secret_name(s)}]});
            own("Grant", format!("grant-{g}"), spec)
        });
        secrets.chain(hosts).chain(grants).collect()
    }

    /// By which a host's key is made.
    fn number(self, namespace: usize, host: usize) -> usize {
        namespace * self.machines + host
    }
}

fn namespace(n: usize) -> String {
    format!("hosts-{n:03}")
}

/// The hosts, as the server knows them.
pub(super) struct Readers {
    hosts: Hosts,
    /// The number of each, and its id.
    ids: Arc<Vec<(usize, String)>>,
    address: SocketAddr,
    tls: TlsConnector,
}

impl Readers {
    /// Looks up who they are.
    pub(super) async fn of(installation: &Installation, client: &Client, hosts: Hosts) -> Result<Self> {
        let url = installation.server_url();
        let address = url.strip_prefix("https://").context("the server's address")?.parse()?;
        let tls = trusting(&std::fs::read_to_string(installation.ca_file())?)?;
        let mut ids = Vec::new();
        for n in 0..hosts.namespaces {
            let machines: Api<Machine> = Api::namespaced(client.clone(), &namespace(n));
            for machine in machines.list(&ListParams::default()).await? {
                let name = machine.metadata.name.unwrap_or_default();
                let host = name.strip_prefix("host-").context("a Machine that is none of ours")?.parse()?;
                let id = machine.status.and_then(|status| status.machine_id).context("a host without an id")?;
                ids.push((hosts.number(n, host), id));
            }
        }
        ensure!(ids.len() == hosts.namespaces * hosts.machines, "there are {} hosts", ids.len());
        Ok(Self { hosts, ids: Arc::new(ids), address, tls })
    }

    /// Objects of the kinds.
    pub(super) fn objects(&self) -> usize {
        self.hosts.objects()
    }

    /// Each host reads all that it may read, at some time in this time. How many reads that were.
    pub(super) async fn round(&self, time: Duration) -> Result<usize> {
        let ids = Arc::clone(&self.ids);
        let sign = move |(number, id): &(usize, String)| request(&key(*number), id, "POST", "/v1/secrets/export");
        let signed = tokio::task::spawn_blocking(move || ids.iter().map(sign).collect::<Result<Vec<_>>>());
        let requests = Requests::Each(Arc::new(signed.await.context("signing panicked")??));
        let load = Load {
            address: self.address,
            tls: Some(self.tls.clone()),
            connections: CONNECTIONS,
            least_body: self.hosts.secrets * VALUE,
        };
        #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
        let rate = requests.len() as f64 / time.as_secs_f64();
        let answered = load.open(&requests, rate, 1).await.context("a host's reads")?;
        Ok(answered.count * self.hosts.secrets)
    }

    /// Grants whose status tells of reads.
    pub(super) async fn told(&self, client: &Client) -> Result<usize> {
        let mut told = 0;
        for n in 0..self.hosts.namespaces {
            let grants: Api<Grant> = Api::namespaced(client.clone(), &namespace(n));
            let all = grants.list(&ListParams::default()).await?;
            let tells = |grant: &&Grant| grant.status.as_ref().is_some_and(|status| status.usage.is_some());
            told += all.iter().filter(tells).count();
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_grant_is_of_a_pair_of_its_own_and_no_two_hosts_have_one_key() {
        let hosts = Hosts { namespaces: 2, machines: 3, secrets: 4 };
        let all: Vec<Value> = (0..2).flat_map(|n| hosts.team(n)).collect();
        assert_eq!(all.len(), hosts.objects());
        let of = |kind: &'static str| all.iter().filter(move |object| object["kind"] == kind);
        let pairs: BTreeSet<String> =
            of("Grant").map(|it| format!("{} {}", it["metadata"]["namespace"], it["spec"])).collect();
        let keys: BTreeSet<String> = of("Machine").map(|it| it["spec"]["host"]["publicKey"].to_string()).collect();
        assert_eq!((pairs.len(), keys.len()), (hosts.grants(), 6));
    }
}
