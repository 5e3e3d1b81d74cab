//! Finding a Machine: in the cache, and on a miss with one question to the API server.
//!
//! A cache may be a moment behind, and on a first sync a pod comes right after its Machine. The question has a bound, so
//! that an API server that does not answer costs a refusal, not an admission that hangs.

use std::sync::Arc;
use std::time::Duration;

use kube::{Api, Client};
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;

use super::refusal::Refusal;
use crate::dns::is_label;

/// How long the one question may take.
const BOUND: Duration = Duration::from_millis(500);

/// What memory says of a Machine.
#[derive(Clone, Debug)]
pub enum Remembered {
    /// It is this one.
    Machine(Arc<Received<Machine>>),
    /// Nothing.
    Nothing,
    /// Its namespace is not managed: whether or not it exists, it is nobody's.
    NotManaged,
}

/// A Machine by namespace and name, from memory.
pub type Cached = Box<dyn Fn(&str, &str) -> Remembered + Send + Sync>;

/// Finds Machines.
pub struct Machines {
    cached: Cached,
    client: Client,
}

impl Machines {
    /// Looks into `cached` first and asks `client` on a miss.
    pub fn new(cached: Cached, client: Client) -> Self {
        Self { cached, client }
    }

    /// The Machine, or none if there is none.
    pub async fn find(&self, namespace: &str, name: &str) -> Result<Option<Arc<Received<Machine>>>, Refusal> {
        match (self.cached)(namespace, name) {
            Remembered::Machine(machine) => return Ok(Some(machine)),
            Remembered::NotManaged => return Ok(None),
            Remembered::Nothing => {}
        }
        // A review comes before the pod is validated: its label may hold anything, such as a path to another namespace.
        if !is_label(name) || !is_label(namespace) {
            return Ok(None);
        }
        let api: Api<Received<Machine>> = Api::namespaced(self.client.clone(), namespace);
        match tokio::time::timeout(BOUND, api.get_opt(name)).await {
            Ok(Ok(machine)) => Ok(machine.filter(|machine| is_at(machine, namespace, name)).map(Arc::new)),
            Ok(Err(kube::Error::SerdeError(error))) => {
                Err(Refusal::MachineNotAccepted { machine: name.to_owned(), why: error.to_string() })
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    namespace,
                    machine = name,
                    error = &error as &dyn std::error::Error,
                    "could not look up a Machine"
                );
                Err(not_looked_up(namespace, name))
            }
            Err(_) => Err(not_looked_up(namespace, name)),
        }
    }
}

fn is_at(machine: &Received<Machine>, namespace: &str, name: &str) -> bool {
    machine.metadata.namespace.as_deref() == Some(namespace) && machine.metadata.name.as_deref() == Some(name)
}

fn not_looked_up(namespace: &str, name: &str) -> Refusal {
    Refusal::MachineNotLookedUp { machine: name.to_owned(), namespace: namespace.to_owned() }
}

impl std::fmt::Debug for Machines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machines").finish_non_exhaustive()
    }
}
