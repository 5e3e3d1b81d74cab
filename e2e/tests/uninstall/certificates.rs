//! The root of the certificates changes while everybody goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;
use sikkerkey_e2e::installation::{Installation, NAMESPACE};
use sikkerkey_e2e::wait::wait_for;
use tokio::task::JoinSet;

use crate::team::container;
use crate::{BOUND, installed};

/// What the API server verifies the webhook with at this moment.
async fn bundle(client: &Client) -> String {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let webhooks = configurations.get("sikkerkey").await.unwrap().webhooks.unwrap();
    String::from_utf8(webhooks[0].client_config.ca_bundle.clone().unwrap().0).unwrap()
}

/// One review on a connection of its own, to an operator that a bundle vouches for.
async fn review(url: &str, bundle: &str) -> Result<u16, reqwest::Error> {
    let roots = reqwest::Certificate::from_pem_bundle(bundle.as_bytes())?;
    let client = reqwest::Client::builder().tls_certs_only(roots).timeout(Duration::from_secs(10)).build()?;
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "r", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "shop", "operation": "CREATE",
        "object": {"metadata": {}, "spec": {"containers": []}},
    }});
    Ok(client.post(format!("{url}/mutate-pods")).body(body.to_string()).send().await?.status().as_u16())
}

/// A pod that the API server has injected, in a dry run.
async fn inject(client: &Client) -> Result<bool, kube::Error> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"sikkerkey.com/machine": "web"}},
        "spec": {
            "serviceAccountName": "web",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container("app", "sleep 9999")],
        },
    });
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let how = PostParams { dry_run: true, ..PostParams::default() };
    let pod = pods.create(&how, &serde_json::from_value(pod).unwrap()).await?;
    Ok(pod.spec.unwrap().init_containers.is_some_and(|all| all.iter().any(|container| container.name == "sikkerkey")))
}

/// Callers that go on until they are told to stop, and how often each has been answered.
struct Callers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    answered: Arc<[AtomicUsize; 3]>,
}

impl Callers {
    fn start(installation: &Installation) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        let answered = Arc::<[AtomicUsize; 3]>::default();
        for caller in 0..3 {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let (client, url) = (installation.admin_client().unwrap(), installation.operator_url());
            tasks.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    if caller == 0 {
                        assert!(inject(&client).await.expect("the API server's request to the webhook"));
                    } else {
                        let status = review(&url, &bundle(&client).await).await;
                        assert_eq!(status.expect("a request to the webhook"), 200);
                    }
                    answered[caller].fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { tasks, stop, answered }
    }

    /// Waits until each has been answered so many more times. A caller that failed fails the test.
    async fn go_on(&mut self, more: usize) {
        let counts = || self.answered.each_ref().map(|count| count.load(Ordering::SeqCst));
        let before = counts();
        let all = wait_for("callers to be answered", BOUND, async || {
            let now = counts();
            if now.iter().zip(before).all(|(now, before)| *now >= before + more) {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        });
        let all = all.await;
        while let Some(ended) = self.tasks.try_join_next() {
            ended.unwrap();
        }
        all.unwrap();
    }

    async fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_changes_and_no_request_fails() {
    let installation = installed().await;
    let client = installation.admin_client().unwrap();
    let url = installation.operator_url();
    let mut callers = Callers::start(&installation);
    callers.go_on(3).await;
    let old = bundle(&client).await;
    assert_eq!(old.matches("BEGIN CERTIFICATE").count(), 1);

    let asked = ["annotate", "secret", "sikkerkey-ca", "-n", NAMESPACE, "sikkerkey.com/change-root=now"];
    installation.cluster.kubectl().run(asked).await.unwrap();
    let both = wait_for("two roots in the webhooks' bundle", BOUND, async || {
        let both = bundle(&client).await;
        if both.matches("BEGIN CERTIFICATE").count() == 2 { Ok(both) } else { Err(both) }
    });
    let next = both.await.unwrap().strip_prefix(&old).expect("the present root comes first").to_owned();
    // Trusted, and not yet used.
    review(&url, &next).await.expect_err("the next root signs nothing yet");
    callers.go_on(3).await;
    wait_for("the next root to take over", BOUND, async || {
        let bundle = bundle(&client).await;
        if bundle == format!("{next}{old}") { Ok(()) } else { Err(bundle) }
    })
    .await
    .unwrap();
    wait_for("a certificate of the next root", BOUND, async || review(&url, &next).await).await.unwrap();
    callers.go_on(10).await;
    callers.stop().await;

    // Sidecars from before were given the old root alone: its word comes with the new certificate.
    assert_eq!(review(&url, &old).await.unwrap(), 200);
    // And what the operator itself does goes on.
    let late = "# YAML\n{apiVersion: sikkerkey.com/v1alpha1, kind: Secret, metadata: {name: late, namespace: shop}, \
                spec: {source: {generate: {}}}}";
    installation.cluster.kubectl().apply(late).await.unwrap();
    let team = crate::team::Team { client, namespace: "shop".into(), installation: &installation };
    team.ready("Secret", "late").await;
    installation.cluster.stop().await;
}
