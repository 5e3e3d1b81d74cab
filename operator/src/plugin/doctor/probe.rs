//! Asks the cluster.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::rfc2822;
use kube::api::{DynamicObject, PostParams};
use kube::client::Body;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sikkerkey_crds::names::{API_VERSION, MACHINE_LABEL};
use sikkerkey_crds::{crd, question};

use crate::plugin::cluster::{Cluster, ClusterError, kinds};

/// A name that nobody gives to anything.
pub(super) const NOBODY: &str = "kubectl-sikkerkey-doctor";
/// A zone that is in no database.
const NOWHERE: &str = "Nowhere/Doctor";

/// What the API server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It would have taken it.
    Taken,
    /// It refused, with this text and status.
    Refused(u16, String),
}

/// The definitions as the cluster has them, beside ours. `None`: the person may not look.
pub(super) async fn definitions(
    cluster: &Cluster,
) -> Result<Option<Vec<(CustomResourceDefinition, Option<CustomResourceDefinition>)>>, ClusterError> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let mut found = Vec::new();
    for ours in crd::crds().into_iter().chain([question::definition()]) {
        let name = ours.metadata.name.clone().unwrap_or_default();
        match api.get_opt(&name).await {
            Ok(theirs) => found.push((ours, theirs)),
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(None),
            Err(error) => return Err(ClusterError::Read(format!("definition {name}"), error)),
        }
    }
    Ok(Some(found))
}

/// A pod that assumes a Machine which does not exist.
pub(super) async fn pod(cluster: &Cluster) -> Result<Answer, ClusterError> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": NOBODY, "labels": {MACHINE_LABEL: NOBODY}},
        "spec": {"containers": [{"name": "app", "image": "registry.example/none"}]},
    });
    dry_run(&Api::<Pod>::namespaced(cluster.client(), cluster.one_namespace()), "a pod", pod).await
}

/// An `AccessPolicy` of a time zone that does not exist, which no schema knows.
pub(super) async fn object(cluster: &Cluster) -> Result<Answer, ClusterError> {
    let policy = json!({
        "apiVersion": API_VERSION, "kind": "AccessPolicy",
        "metadata": {"name": NOBODY},
        "spec": {"timeZone": NOWHERE, "rateCap": {"perDay": 1}},
    });
    let Some(kind) = kinds().into_iter().find(|kind| kind.resource.kind == "AccessPolicy") else {
        return Err(ClusterError::NoKinds);
    };
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), cluster.one_namespace(), &kind.resource);
    dry_run(&api, "an AccessPolicy", policy).await
}

async fn dry_run<K>(api: &Api<K>, what: &str, object: Value) -> Result<Answer, ClusterError>
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let failed = |error| ClusterError::Read(format!("the answer to a dry run of {what}"), error);
    let object: K = serde_json::from_value(object).map_err(|error| failed(kube::Error::SerdeError(error)))?;
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await {
        Ok(_) => Ok(Answer::Taken),
        Err(kube::Error::Api(status)) => Ok(Answer::Refused(status.code, status.message.clone())),
        Err(error) => Err(failed(error)),
    }
}

/// What time it is at the API server, if it says so.
pub(super) async fn clock(cluster: &Cluster) -> Result<Option<Timestamp>, ClusterError> {
    let failed = |error| ClusterError::Read("the API server's version".to_owned(), error);
    let request =
        http::Request::get("/version").body(Body::empty()).map_err(|error| failed(kube::Error::HttpError(error)))?;
    let answer = cluster.client().send(request).await.map_err(failed)?;
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    Ok(date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp()))
}
