//! A mesh, as far as pods are concerned: a webhook of its own that adds a native proxy in front of all init containers.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use sikkerkey_e2e::installation::Installation;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::team::{Team, container};

/// A webhook that listens on this machine, for as long as the test runs.
pub(crate) struct Mesh {
    url: String,
    ca: String,
}

impl Mesh {
    pub(crate) async fn start() -> Self {
        let root = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&root).unwrap().pem();
        let issuer = Issuer::new(params, root);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/inject", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
            }
        });
        Self { url, ca }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let inits = review["request"]["object"]["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
    let mut proxy = container("istio-proxy", "exec sleep 3600");
    proxy["restartPolicy"] = json!("Always");
    let patch = json!([{"op": "add", "path": "/spec/initContainers/0", "value": proxy}]);
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if !inits.is_empty() && inits.iter().all(|container| container["name"] != "istio-proxy") {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = STANDARD.encode(patch.to_string()).into();
    }
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::new(review.to_string().into())).unwrap())
}

/// Has the API server call it for pods of the team's namespace, in the order that its name gives.
pub(crate) async fn install(team: &Team<'_>, mesh: &Mesh, name: &str) {
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": name},
        "webhooks": [{
            "name": "mesh.e2e.example", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "clientConfig": {"url": mesh.url, "caBundle": STANDARD.encode(&mesh.ca)},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": team.namespace}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    });
    team.installation.cluster.kubectl().apply(&configuration.to_string()).await.unwrap();
}

/// What the API server warns of when an object is sent to it.
pub(crate) async fn warnings(installation: &Installation, path: &str, object: &Value) -> String {
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(kube::client::Body::from(object.to_string().into_bytes())).unwrap();
    let answer = installation.admin_client().unwrap().send(request).await.unwrap();
    let warnings = answer.headers().get_all("warning").iter();
    warnings.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()).collect::<Vec<_>>().join("\n")
}
