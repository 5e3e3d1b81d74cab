//! Admission reviews (`admission.k8s.io/v1`), as far as we read and answer them.
//!
//! The object stays raw: each check parses what it needs of it, and a check of unknown keys needs it as it came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::UserInfo;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::patch::Operation;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A body that is no review we can answer.
#[derive(Debug, Error)]
pub enum Malformed {
    /// Not JSON of the right shape.
    #[error("the body is not an AdmissionReview of admission.k8s.io/v1: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind or version.
    #[error("the body is {kind} of {version}, not AdmissionReview of admission.k8s.io/v1")]
    OtherKind {
        /// Its version.
        version: String,
        /// Its kind.
        kind: String,
    },
    /// A part that this request must have is missing.
    #[error("the review has no {0}")]
    Missing(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

/// What the API server asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// To be repeated in the answer.
    pub uid: String,
    /// Of the object.
    pub kind: GroupVersionKind,
    /// A subresource, or nothing.
    pub sub_resource: Option<String>,
    /// Where the object stands.
    pub namespace: Option<String>,
    /// What is done to it.
    pub operation: Verb,
    /// The object.
    #[serde(borrow)]
    pub object: Option<&'a RawValue>,
    /// The object before an update.
    #[serde(borrow)]
    pub old_object: Option<&'a RawValue>,
    /// Who does it, as the API server has authenticated them.
    pub user_info: Option<UserInfo>,
    /// Whether nothing of it is stored.
    pub dry_run: Option<bool>,
}

/// A kind.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct GroupVersionKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Verb {
    Create,
    Update,
    Delete,
    Connect,
}

/// Reads the body of a review.
pub fn read(body: &[u8]) -> Result<Request<'_>, Malformed> {
    let review: Incoming<'_> = serde_json::from_slice(body)?;
    if review.api_version != API_VERSION || review.kind != KIND {
        return Err(Malformed::OtherKind { version: review.api_version, kind: review.kind });
    }
    review.request.ok_or(Malformed::Missing("request"))
}

impl<'a> Request<'a> {
    /// The object, which a CREATE and an UPDATE have.
    pub fn required_object(&self) -> Result<&'a RawValue, Malformed> {
        self.object.ok_or(Malformed::Missing("request.object"))
    }

    /// The namespace, which everything we look at has.
    pub fn required_namespace(&self) -> Result<&str, Malformed> {
        self.namespace.as_deref().filter(|name| !name.is_empty()).ok_or(Malformed::Missing("request.namespace"))
    }
}

/// What we answer.
#[derive(Debug)]
pub enum Answer {
    /// Admitted, with these changes.
    Admit {
        /// What to change.
        patch: Vec<Operation>,
        /// What to tell its author.
        warnings: Vec<String>,
    },
    /// Refused.
    Refuse {
        /// 403 for what may not be, 422 for what is wrong, 429 and 503 for what may succeed when it is tried again.
        code: u16,
        /// One word.
        reason: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
}

impl Answer {
    /// Admitted as it is.
    pub fn admit() -> Self {
        Self::Admit { patch: Vec::new(), warnings: Vec::new() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outgoing<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'a str,
    message: &'a str,
}

/// The body of the answer to the review `uid`.
pub fn write(uid: &str, answer: &Answer) -> Result<Vec<u8>, serde_json::Error> {
    let mut response = Response { uid, allowed: true, status: None, patch_type: None, patch: None, warnings: &[] };
    match answer {
        Answer::Admit { patch, warnings } => {
            response.warnings = warnings;
            if !patch.is_empty() {
                response.patch_type = Some("JSONPatch");
                response.patch = Some(STANDARD.encode(serde_json::to_vec(patch)?));
            }
        }
        Answer::Refuse { code, reason, message } => {
            response.allowed = false;
            response.status = Some(Status { code: *code, reason, message });
        }
    }
    serde_json::to_vec(&Outgoing { api_version: API_VERSION, kind: KIND, response })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::webhook::pod_view::PodView;

    proptest! {
        #[test]
        fn whatever_the_body_holds_it_is_read_or_refused(body in any::<Vec<u8>>(), cut in 0..400_usize, noise in "[\\[{}\":,a-z0-9]{0,12}") {
            let _ = read(&body);
            let whole = json!({"apiVersion": API_VERSION, "kind": KIND, "request": {
                "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "shop", "operation": "CREATE",
                "object": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "volumeMounts": null}]}}}});
            let mut text = whole.to_string();
            text.insert_str(cut.min(text.len()), &noise);
            if let Ok(Request { object: Some(object), .. }) = read(text.as_bytes()) {
                let _ = serde_json::from_str::<PodView>(object.get());
            }
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(read(deep.as_bytes()), Err(Malformed::Json(_))));
        assert!(serde_json::from_str::<PodView>(&format!("{{\"spec\":{deep}}}")).is_err());
    }

    #[test]
    fn a_body_that_is_no_review_is_named_as_what_it_is() {
        let no_request = json!({"apiVersion": API_VERSION, "kind": KIND}).to_string();
        let beta = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": KIND, "request": null}).to_string();
        let verb = json!({"apiVersion": API_VERSION, "kind": KIND, "request": {
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "MERGE"}})
        .to_string();
        for (body, message) in [
            (b"".as_slice(), "the body is not an AdmissionReview of admission.k8s.io/v1: EOF"),
            (b"[[[[", "the body is not an AdmissionReview of admission.k8s.io/v1:"),
            (b"\xff\xfe", "the body is not an AdmissionReview of admission.k8s.io/v1:"),
            (verb.as_bytes(), "the body is not an AdmissionReview of admission.k8s.io/v1: unknown variant `MERGE`"),
            (no_request.as_bytes(), "the review has no request"),
            (
                beta.as_bytes(),
                "the body is AdmissionReview of admission.k8s.io/v1beta1, not AdmissionReview of admission.k8s.io/v1",
            ),
        ] {
            let error = read(body).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_patch_travels_as_base64_and_a_refusal_with_its_reason() {
        let patch = vec![Operation::remove("/spec/volumes/1")];
        let body = write("u-1", &Answer::Admit { patch, warnings: vec!["mind".into()] }).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["response"]["uid"], "u-1");
        assert_eq!(body["response"]["warnings"], json!(["mind"]));
        let patch = STANDARD.decode(body["response"]["patch"].as_str().unwrap()).unwrap();
        assert_eq!(String::from_utf8(patch).unwrap(), r#"[{"op":"remove","path":"/spec/volumes/1"}]"#);

        let refusal = Answer::Refuse { code: 403, reason: "MountConflict", message: "move it".into() };
        let body: Value = serde_json::from_slice(&write("u-2", &refusal).unwrap()).unwrap();
        assert_eq!(
            body["response"],
            json!({"uid": "u-2", "allowed": false, "status": {"code": 403, "reason": "MountConflict", "message": "move it"}})
        );
    }
}
