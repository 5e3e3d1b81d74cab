use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::error_body::ErrorCode;

use super::claimant::{Claimant, ReviewStatus, Reviewed, explain};
use super::decide::{Standing, authorise, standing};
use super::denial::Denial;
use crate::server::{Class, ServerError};

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn review() -> Value {
    json!({
        "authenticated": true,
        "audiences": ["sikkerkey"],
        "user": {
            "username": "system:serviceaccount:shop:web",
            "uid": "sa-1",
            "groups": ["system:serviceaccounts"],
            "extra": {
                "authentication.kubernetes.io/pod-name": ["web-1"],
                "authentication.kubernetes.io/pod-uid": ["p-1"],
                "authentication.kubernetes.io/node-name": ["node-a"],
                "authentication.kubernetes.io/node-uid": ["n-1"],
                "authentication.kubernetes.io/credential-id": ["JTI=x"],
            },
        },
    })
}

fn pod() -> Value {
    json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "p-1",
            "labels": {"sikkerkey.com/machine": "web", "tier": "front"},
            "annotations": {"sikkerkey.com/injected": "0.1.0,m-1"},
        },
        "spec": {"serviceAccountName": "web", "nodeName": "node-a", "containers": []},
        "status": {"phase": "Pending"},
    })
}

fn machine() -> Value {
    json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine",
        "metadata": {"name": "web", "namespace": "shop", "uid": "m-1"},
        "spec": {"workload": {"serviceAccountNames": ["web"], "podSelector": {"matchLabels": {"tier": "front"}}}},
    })
}

/// Everything there is to decide, as it is decided.
fn verdict(review: &Value, pod: Option<&Value>, machine: Option<&Value>) -> Result<Standing, (u16, &'static str)> {
    let decide = || -> Result<Standing, Denial> {
        let status: ReviewStatus = serde_json::from_value(review.clone()).unwrap();
        let claimant = Claimant::of(&status)?;
        let pod: Option<Pod> = pod.map(|pod| serde_json::from_value(pod.clone()).unwrap());
        let standing = standing(&claimant, pod.as_ref())?;
        let machine: Option<Received<Machine>> =
            machine.map(|machine| serde_json::from_value(machine.clone()).unwrap());
        authorise(&standing, machine.as_ref())?;
        Ok(standing)
    };
    decide().map_err(|denial| (denial.status(), denial.reason()))
}

/// `value` with `change` at the JSON Pointer `path`; null takes it away.
fn with(value: &Value, path: &str, change: Value) -> Value {
    let mut changed = value.clone();
    let (parent, key) = path.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    let parent = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if change.is_null() {
        parent.remove(&key);
    } else {
        parent.insert(key, change);
    }
    changed
}

#[test]
fn a_living_pod_of_an_allowed_account_is_vouched_for_with_what_the_api_server_says() {
    let standing = verdict(&review(), Some(&pod()), Some(&machine())).unwrap();
    assert_eq!(standing.machine, "web");
    let pod_identity = standing.pod;
    assert_eq!(
        (pod_identity.namespace, pod_identity.name, pod_identity.uid, pod_identity.node, pod_identity.service_account),
        ("shop".into(), "web-1".into(), "p-1".into(), "node-a".into(), "web".into())
    );
    let older = with(&review(), "/user/extra/authentication.kubernetes.io~1node-name", Value::Null);
    assert_eq!(verdict(&older, Some(&pod()), Some(&machine())).unwrap().pod.node, "node-a");
}

#[test]
fn what_the_api_server_says_of_a_token_decides() {
    let extra = "/user/extra/authentication.kubernetes.io~1";
    for (review, status, reason) in [
        (json!({}), 401, "TokenInvalid"),
        (json!({"authenticated": false, "error": "nope", "audiences": ["sikkerkey"]}), 401, "TokenInvalid"),
        (with(&review(), "/audiences", json!([])), 401, "WrongAudience"),
        (with(&review(), "/audiences", Value::Null), 401, "WrongAudience"),
        (with(&review(), "/audiences", json!(["https://kubernetes.default.svc", "sikkerkey2"])), 401, "WrongAudience"),
        (with(&review(), "/user/username", json!("alice")), 403, "NotAPod"),
        (with(&review(), "/user/username", json!("system:serviceaccount:shop")), 403, "NotAPod"),
        (with(&review(), "/user/username", json!("system:node:node-a")), 403, "NotAPod"),
        (with(&review(), &format!("{extra}pod-name"), Value::Null), 403, "NotAPod"),
        (with(&review(), &format!("{extra}pod-uid"), Value::Null), 403, "NotAPod"),
        (with(&review(), &format!("{extra}pod-uid"), json!(["p-1", "p-2"])), 403, "NotAPod"),
        (with(&review(), &format!("{extra}node-name"), json!(["node-b"])), 403, "NodeMismatch"),
        (with(&review(), "/user/username", json!("system:serviceaccount:shop:worker")), 403, "NotAPod"),
    ] {
        assert_eq!(verdict(&review, Some(&pod()), Some(&machine())), Err((status, reason)), "{review}");
    }
}

#[test]
fn the_very_pod_decides_not_one_of_its_name() {
    let injected = "/metadata/annotations/sikkerkey.com~1injected";
    for (pod, reason) in [
        (None, "PodGone"),
        (Some(with(&pod(), "/metadata/uid", json!("p-2"))), "PodGone"),
        (Some(with(&pod(), "/metadata/uid", Value::Null)), "PodGone"),
        (Some(with(&pod(), "/metadata/deletionTimestamp", json!("2026-11-24T11:59:00Z"))), "PodTerminating"),
        (Some(with(&pod(), "/status/phase", json!("Succeeded"))), "PodGone"),
        (Some(with(&pod(), "/status/phase", json!("Failed"))), "PodGone"),
        (Some(with(&pod(), "/spec/nodeName", Value::Null)), "NodeMismatch"),
        (Some(with(&pod(), "/spec/serviceAccountName", json!("worker"))), "NotAPod"),
        (Some(with(&pod(), "/metadata/labels/sikkerkey.com~1machine", Value::Null)), "NotInjected"),
        (Some(with(&pod(), injected, Value::Null)), "NotInjected"),
        (Some(with(&pod(), injected, json!("0.1.0"))), "NotInjected"),
        (Some(with(&pod(), injected, json!("0.1.0,"))), "NotInjected"),
    ] {
        assert_eq!(verdict(&review(), pod.as_ref(), Some(&machine())), Err((403, reason)), "{pod:?}");
    }
}

#[test]
fn the_machine_as_it_stands_now_decides() {
    let workload = "/spec/workload";
    for (machine, reason) in [
        (None, "MachineNotFound"),
        (Some(with(&machine(), "/metadata/uid", json!("m-2"))), "MachineReplaced"),
        (Some(with(&machine(), "/metadata/deletionTimestamp", json!("2026-11-24T11:59:00Z"))), "MachineNotFound"),
        (Some(with(&machine(), "/spec", json!({"host": {}}))), "MachineIsHost"),
        (
            Some(with(&machine(), &format!("{workload}/serviceAccountNames"), json!(["other"]))),
            "ServiceAccountNotAllowed",
        ),
        (
            Some(with(&machine(), &format!("{workload}/podSelector"), json!({"matchLabels": {"tier": "back"}}))),
            "SelectorMismatch",
        ),
        (Some(with(&machine(), &format!("{workload}/podselector"), json!({}))), "MachineNotAccepted"),
    ] {
        assert_eq!(verdict(&review(), Some(&pod()), machine.as_ref()), Err((403, reason)), "{machine:?}");
    }
}

#[test]
fn a_refused_token_is_explained_by_what_it_says_of_itself() {
    let token = |claims: Value| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let second = now().as_second();
    for (token, denial) in [
        (token(json!({"aud": ["sikkerkey"], "exp": second})), Denial::TokenExpired),
        (token(json!({"aud": "sikkerkey", "exp": second - 1})), Denial::TokenExpired),
        (token(json!({"aud": ["sikkerkey"], "exp": second + 1})), Denial::TokenInvalid),
        (token(json!({"aud": ["https://kubernetes.default.svc"], "exp": second - 1})), Denial::WrongAudience),
        (token(json!({"aud": [], "exp": second + 1})), Denial::WrongAudience),
        ("not a token".to_owned(), Denial::TokenInvalid),
        ("a.b.c".to_owned(), Denial::TokenInvalid),
        (String::new(), Denial::TokenInvalid),
    ] {
        assert_eq!(explain(&token, now()), denial, "{token}");
    }
}

#[test]
fn what_the_server_says_reaches_the_pod_with_the_right_status() {
    let refused = |status, code, text: &str| ServerError::Refused { status, code, text: text.into() };
    for (error, status, reason) in [
        (ServerError::Unreachable { class: Class::TimedOut }, 503, "ServerUnreachable"),
        (ServerError::Sealed, 503, "ServerSealed"),
        (ServerError::NoToken("why".into()), 503, "OperatorNotLoggedIn"),
        (refused(401, None, "unknown agent"), 503, "OperatorNotLoggedIn"),
        (refused(409, Some(ErrorCode::PodGone), "gone"), 403, "PodGone"),
        (refused(403, Some(ErrorCode::MachineNotActive), "suspended"), 403, "MachineNotActive"),
        (refused(404, Some(ErrorCode::MachineNotFound), "no"), 503, "MachineNotProgrammed"),
        (refused(429, None, "slow"), 503, "Busy"),
        (refused(403, None, "not yours"), 403, "ServerRefused"),
    ] {
        let denial = Denial::of_server(&error, "web");
        assert_eq!((denial.status(), denial.reason()), (status, reason), "{error}");
        assert_eq!(denial.retry_after().is_some(), status == 503, "{error}");
    }
}

#[test]
fn a_review_is_read_without_the_token_it_repeats() {
    let body = json!({"kind": "TokenReview", "spec": {"token": "eyJhbGciOi.secret"}, "status": review()});
    let reviewed: Reviewed = serde_json::from_value(body).unwrap();
    assert!(Claimant::of(&reviewed.status).is_ok());
    assert!(!format!("{reviewed:?}").contains("secret"));
}
