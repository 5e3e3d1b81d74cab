//! Reading a core Secret by its name, and deleting it.
//!
//! Past the typed interface of the client, which logs what it cannot parse: of these answers nothing may be logged.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, GetParams, Preconditions};
use kube::core::{Request, Status};
use kube::{Client, Resource};
use zeroize::Zeroizing;

use super::{CoreSecret, Marks};

/// The longest answer: a core Secret has at most a megabyte of values, a third more in base64, and perhaps once more in an
/// annotation.
const MAX_ANSWER: usize = 4 << 20;
/// How long the API server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, or on its way.
    Done,
    /// It is another one, or has changed.
    Changed,
    /// The API server does not let the operator: it lacks the right, or an admission policy is against it.
    Refused,
}

/// A core Secret by its name, past every cache. None: there is none, as the API server itself says.
pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Option<CoreSecret>, kube::Error> {
    let request = Request::new(Secret::url_path(&(), Some(namespace)));
    let request = request.get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    let (status, body) = exchange(client, request).await?;
    match status {
        StatusCode::OK => {
            // The parser's own words might repeat what it met.
            serde_json::from_slice(&body).map(Some).map_err(|_| unreadable("the answer is no Kubernetes Secret"))
        }
        status => match refusal(status, &body) {
            refused if refused.code == 404 && refused.reason == "NotFound" => Ok(None),
            refused => Err(kube::Error::Api(Box::new(refused))),
        },
    }
}

/// Deletes the core Secret if it is the one with these marks, in that very state.
pub async fn delete(client: &Client, namespace: &str, name: &str, marks: &Marks) -> Result<Deletion, kube::Error> {
    let preconditions = Preconditions { uid: Some(marks.uid.clone()), resource_version: Some(marks.version.clone()) };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let request = Request::new(Secret::url_path(&(), Some(namespace)));
    let request = request.delete(name, &params).map_err(kube::Error::BuildRequest)?;
    let (status, body) = exchange(client, request).await?;
    match status {
        StatusCode::OK | StatusCode::ACCEPTED => Ok(Deletion::Done),
        StatusCode::CONFLICT => Ok(Deletion::Changed),
        status => match refusal(status, &body) {
            refused if refused.code == 404 && refused.reason == "NotFound" => Ok(Deletion::Done),
            refused if matches!(refused.code, 400 | 403 | 422) => Ok(Deletion::Refused),
            refused => Err(kube::Error::Api(Box::new(refused))),
        },
    }
}

async fn exchange(
    client: &Client,
    request: http::Request<Vec<u8>>,
) -> Result<(StatusCode, Zeroizing<Vec<u8>>), kube::Error> {
    let exchange = async {
        let answer = client.send(request.map(kube::client::Body::from)).await?;
        let (head, body) = answer.into_parts();
        let body = to_bytes(Body::new(body), MAX_ANSWER).await.map_err(|_| unreadable("the answer broke off"))?;
        // The buffer itself if it is whole, else a copy.
        Ok((head.status, Zeroizing::new(Vec::from(body))))
    };
    tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| Err(unreadable("the API server took too long")))
}

/// An answer other than a success. Such a one carries no value.
fn refusal(status: StatusCode, body: &[u8]) -> Status {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Status::failure(&format!("HTTP {status}"), "").with_code(status.as_u16()))
}

fn unreadable(what: &str) -> kube::Error {
    kube::Error::Service(what.into())
}
