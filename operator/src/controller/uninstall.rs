//! The last word of an operator that is being uninstalled: it takes its finalizers off, so that nothing hangs.

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::{Api, Client, CustomResourceExt, Resource as KubeResource, ResourceExt};
use serde::de::DeserializeOwned;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::secret;

use super::finalizer;
use super::plan::Reconciled;
use crate::index::Index;
use crate::index::seen::Indexed;
use crate::server::Account;

/// How an object stands to whoever asks for it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is there to stay.
    Stays,
    /// It is gone, or on its way.
    Goes,
    /// We may not know.
    Unknown,
}

/// Looks once whether the operator is being uninstalled: its Deployment, its namespace or the definition of a kind is being
/// deleted. A right that is missing, or an API server that is away, is no such sign.
pub async fn is_under_way(client: &Client, account: &Account) -> bool {
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let definitions: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client.clone());
    let names = [Machine::crd_name(), secret::Secret::crd_name(), Grant::crd_name(), AccessPolicy::crd_name()];
    let mut standings = vec![deployment(client, account).await, standing(&namespaces, &account.namespace).await.0];
    for name in names {
        // One that is gone took its objects along.
        let (standing, object) = standing(&definitions, name).await;
        standings.push(if object.is_some() { standing } else { Standing::Unknown });
    }
    standings.contains(&Standing::Goes)
}

/// Our Deployment, through our pod and its `ReplicaSet`. A process that is no pod has none.
async fn deployment(client: &Client, account: &Account) -> Standing {
    let namespace = &account.namespace;
    let pods: Api<PartialObjectMeta<Pod>> = Api::namespaced(client.clone(), namespace);
    let replica_sets: Api<PartialObjectMeta<ReplicaSet>> = Api::namespaced(client.clone(), namespace);
    let deployments: Api<PartialObjectMeta<Deployment>> = Api::namespaced(client.clone(), namespace);
    let (_, Some(pod)) = standing(&pods, &account.pod_name).await else { return Standing::Unknown };
    let Some(owner) = owner(&pod, "ReplicaSet") else { return Standing::Unknown };
    let (replica_set_stands, replica_set) = standing(&replica_sets, &owner).await;
    let Some(replica_set) = replica_set else { return replica_set_stands };
    let Some(owner) = self::owner(&replica_set, "Deployment") else { return replica_set_stands };
    standing(&deployments, &owner).await.0
}

fn owner(object: &impl KubeResource, kind: &str) -> Option<String> {
    object.owner_references().iter().find(|owner| owner.kind == kind).map(|owner| owner.name.clone())
}

async fn standing<K>(api: &Api<K>, name: &str) -> (Standing, Option<K>)
where
    K: KubeResource + Clone + std::fmt::Debug + DeserializeOwned,
{
    match api.get_opt(name).await {
        Ok(Some(object)) if object.meta().deletion_timestamp.is_some() => (Standing::Goes, Some(object)),
        Ok(Some(object)) => (Standing::Stays, Some(object)),
        Ok(None) => (Standing::Goes, None),
        Err(error) => {
            tracing::debug!(name, %error, "whether it is being deleted is not known");
            (Standing::Unknown, None)
        }
    }
}

/// Takes our finalizer off every object.
pub async fn strip(client: &Client, index: &Index) {
    tokio::join!(
        strip_kind::<Machine>(client, index),
        strip_kind::<secret::Secret>(client, index),
        strip_kind::<Grant>(client, index),
        strip_kind::<AccessPolicy>(client, index),
    );
}

async fn strip_kind<K: Reconciled>(client: &Client, index: &Index) {
    let objects = K::store(index).state();
    let objects = objects.into_iter().filter(|object| finalizer::is_on(object.meta()));
    let removed = stream::iter(objects).map(|object| async move {
        let key = object.target().key;
        if let Err(error) = finalizer::remove::<K>(client, &key, object.meta()).await {
            tracing::warn!(kind = K::KIND, %key, %error, "its finalizer stays");
        }
    });
    removed.buffer_unordered(16).for_each(|()| std::future::ready(())).await;
}
