//! Asks the operator, by way of the API server: a question is created as a dry run and comes back with its answer.

use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sikkerkey_crds::names::{GROUP, VERSION};
use sikkerkey_crds::question::QuestionSpec;

use super::cluster::{Cluster, ClusterError};
use super::table;

/// What a question is called while it is on its way.
const NAME: &str = "kubectl-sikkerkey";

/// There is no answer, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The kind is not there.
    #[error(
        "the cluster does not know questions.{GROUP}: sikkerkey-operator crds | kubectl apply --server-side -f - installs it"
    )]
    NoKind,
    /// The person may not ask.
    #[error("you may not create questions.{GROUP} in namespace {0}: ask for it, it gives nothing that you may not get")]
    Forbidden(String),
    /// The API server does not reach the operator.
    #[error("no operator answers (kubectl sikkerkey status and doctor tell more): {0}")]
    Away(String),
    /// Nobody was asked.
    #[error("nobody was asked: the webhook questions.{GROUP} is not installed; sikkerkey-operator manifests prints it")]
    NoWebhook,
    /// The operator refused.
    #[error("{0}")]
    Refused(String),
    /// It was answered in words of another version.
    #[error("the answer cannot be read: the operator is of another version than {}", env!("CARGO_PKG_VERSION"))]
    Unreadable,
}

/// Asks in a namespace.
pub(super) async fn ask<A: DeserializeOwned>(
    cluster: &Cluster,
    namespace: &str,
    spec: &QuestionSpec,
) -> Result<Result<A, Unanswered>, ClusterError> {
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, "Question");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "questions");
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), namespace, &resource);
    let question = DynamicObject::new(NAME, &resource).within(namespace).data(json!({"spec": spec}));
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &question).await {
        Ok(answered) => Ok(read(&answered.data)),
        Err(kube::Error::Api(status)) => Ok(Err(refused(status.code, &status.message, namespace))),
        Err(error) => Err(ClusterError::Read("the answer to a question".to_owned(), error)),
    }
}

/// The answer in what came back.
fn read<A: DeserializeOwned>(question: &Value) -> Result<A, Unanswered> {
    let answer = question.get("answer").ok_or(Unanswered::NoWebhook)?;
    A::deserialize(answer).map_err(|_| Unanswered::Unreadable)
}

/// What the API server's refusal means.
fn refused(code: u16, message: &str, namespace: &str) -> Unanswered {
    let text = table::printable(message);
    if let Some((_, said)) = text.split_once("denied the request: ") {
        return Unanswered::Refused(said.to_owned());
    }
    if text.contains("failed calling webhook") {
        return Unanswered::Away(text);
    }
    match code {
        404 => Unanswered::NoKind,
        403 if text.contains(" cannot create resource ") => Unanswered::Forbidden(namespace.to_owned()),
        _ => Unanswered::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::kubernetes::Audited;

    use super::*;

    #[test]
    fn a_refusal_says_who_refused_and_what_to_do() {
        let told = |code, message| refused(code, message, "shop");
        let by_webhook = "admission webhook \"questions.sikkerkey.com\" denied the request: you may not get sks/db";
        assert_eq!(told(403, by_webhook), Unanswered::Refused("you may not get sks/db".to_owned()));
        let another = "admission webhook \"questions.sikkerkey.com\" denied the request: sks/db is not there";
        assert_eq!(told(404, another), Unanswered::Refused("sks/db is not there".to_owned()));
        assert_eq!(told(404, "the server could not find the requested resource"), Unanswered::NoKind);
        let rights =
            "questions.sikkerkey.com is forbidden: User \"eve\" cannot create resource \"questions\" in API group";
        assert_eq!(told(403, rights), Unanswered::Forbidden("shop".to_owned()));
        let away = "Internal error occurred: failed calling webhook \"questions.sikkerkey.com\": connection refused";
        assert_eq!(told(500, away), Unanswered::Away(away.to_owned()));
        assert_eq!(told(403, "quota\u{1b}[2J"), Unanswered::Refused("quota\\u{1b}[2J".to_owned()));
    }

    #[test]
    fn an_answer_that_is_missing_or_strange_is_told_apart() {
        assert_eq!(read::<Audited>(&json!({"spec": {}})), Err(Unanswered::NoWebhook));
        assert_eq!(read::<Audited>(&json!({"answer": {"held": 1}})), Err(Unanswered::Unreadable));
        let answer = json!({"answer": {"held": false, "usage": {"reads": 0, "denied": 0}, "events": []}});
        assert!(!read::<Audited>(&answer).unwrap().held);
    }
}
