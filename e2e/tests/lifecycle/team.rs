//! A team with manifests in Git, whose pods must not notice anything.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use sikkerkey_e2e::image::BUSYBOX_IMAGE;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_e2e::{cargo, pod};

use crate::BOUND;
use crate::reader::Reader;
use crate::site::{Site, seconds};

pub(crate) const NAMESPACE: &str = "shop";
/// What they sealed.
const TOKEN: &str = "sk_live_of_the_shop";
/// Every file of theirs, with its name.
const READ_ALL: &str = "cd /run/secrets/sikkerkey && for f in db/password app.env session-key api-token; do echo \"$f:\"; cat $f; echo; done";

pub(crate) struct Team {
    /// What every pod reads.
    pub(crate) files: String,
    /// A machine outside of the cluster, which reads with signed requests.
    pub(crate) reader: Reader,
}

/// A team applies all that it has, and pods of every kind read their files.
pub(crate) async fn arrive(site: &Site, install_began: Instant) -> Team {
    let manifest = |name: &str| std::fs::read_to_string(cargo::workspace().join("e2e").join(name)).unwrap();
    let kubectl = site.kubectl();
    site.told("server, operators and the cluster's trust are there; a team applies its manifests");
    // With the operator on its way nothing is taken: a person, Argo CD and Flux try again.
    let mut refused = Vec::new();
    let objects = manifest("manifests/shop.yaml");
    wait_for("the manifests to be taken", BOUND, async || {
        kubectl.apply(&objects).await.inspect_err(|error| refused.push(error.to_string()))
    })
    .await
    .unwrap();
    assert_eq!(refused, Vec::<String>::new(), "after the installation's own commands the first apply is taken");
    kubectl.apply(&sealed(site).await).await.unwrap();
    kubectl.apply(&manifest("tests/lifecycle/workloads.yaml")).await.unwrap();
    let pods = web_pods(site, 2).await;
    let files = read(site, &pods[0]).await.unwrap();
    let took = install_began.elapsed();
    site.told(&format!("{} from the first command of the README to secrets in a pod", seconds(took)));
    assert!(took.as_secs() < 60, "an installation takes less than a minute once images are there: {took:?}");
    assert!(files.contains(TOKEN) && files.lines().count() > 8, "{files}");
    site.ask(&["create", "job", "-n", NAMESPACE, "--from=cronjob/report", "report-now"]).await;
    let wait = ["wait", "-n", NAMESPACE, "--for=condition=Complete", "job/report-now", "--timeout=90s"];
    site.ask(&wait).await;
    assert_eq!(site.ask(&["logs", "-n", NAMESPACE, "job/report-now", "-c", "app"]).await, "all read\n");
    let explained = site.shell(&format!("kubectl sikkerkey explain pod/{} sks/db -n {NAMESPACE}", pods[0])).await;
    assert!(explained.contains("may read sks/db"), "{explained}");
    let reader = Reader::enrol(site).await;
    Team { files, reader }
}

/// A Secret whose value stands in Git, as `sikkerkey-operator seal` prints it.
async fn sealed(site: &Site) -> String {
    let vaults = site.admin(&["vault", "list"]).await;
    let vault = vaults["vaults"][0]["vaultId"].as_str().unwrap_or_else(|| panic!("{vaults}"));
    let key = site.admin(&["sealing-key", "show", "--vault", vault]).await;
    let seal = format!("sikkerkey-operator seal --cluster kubernetes --namespace {NAMESPACE} --name api-token --key");
    site.shell(&format!("echo '{key}' >key.json; printf '%s' {TOKEN} | {seal} key.json")).await
}

/// The pods of the Deployment, when that many are ready; their names.
pub(crate) async fn web_pods(site: &Site, count: usize) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(site.client(), NAMESPACE);
    wait_for(&format!("{count} pods of web"), BOUND, async || {
        let list = pods.list(&ListParams::default().labels("app=web")).await.map_err(|error| error.to_string())?;
        let ready = list.items.iter().filter(|pod| pod::has_condition(pod, "Ready"));
        let names: Vec<String> = ready.filter_map(|pod| pod.metadata.name.clone()).collect();
        if names.len() == count {
            Ok(names)
        } else {
            Err(list.items.iter().map(pod::state).collect::<Vec<_>>().join(" | "))
        }
    })
    .await
    .unwrap()
}

/// What a pod reads in its files.
pub(crate) async fn read(site: &Site, name: &str) -> Result<String, String> {
    let command = ["sh", "-c", READ_ALL];
    pod::exec(&site.client(), NAMESPACE, name, "app", &command).await.map_err(|error| error.to_string())
}

/// How often the containers of each pod of the Deployment have been started anew.
pub(crate) async fn restarts(site: &Site) -> BTreeMap<String, i32> {
    let pods: Api<Pod> = Api::namespaced(site.client(), NAMESPACE);
    let list = pods.list(&ListParams::default().labels("app=web")).await.unwrap();
    let restarts = |pod: &Pod| {
        let status = pod.status.clone().unwrap_or_default();
        let containers = [status.init_container_statuses, status.container_statuses];
        containers.iter().flatten().flatten().map(|status| status.restart_count).sum()
    };
    list.items.iter().map(|pod| (pod.metadata.name.clone().unwrap(), restarts(pod))).collect()
}

impl Team {
    /// A pod that is made now starts, and reads what all read.
    pub(crate) async fn new_pod(&self, site: &Site, name: &str) {
        create(site, name).await.unwrap();
        self.reads_in(site, name).await;
    }

    /// That pod comes up, and reads what all read.
    pub(crate) async fn reads_in(&self, site: &Site, name: &str) {
        pod::ready(&site.client(), NAMESPACE, name, BOUND).await.unwrap();
        assert_eq!(read(site, name).await.as_ref(), Ok(&self.files), "{name}");
        site.ask(&["delete", "pod", name, "-n", NAMESPACE, "--wait=false"]).await;
    }

    /// No pod of the Deployment has ever seen a file that was not what it was, and none was started anew.
    pub(crate) async fn noticed_nothing(&self, site: &Site, before: &BTreeMap<String, i32>) {
        assert_eq!(&restarts(site).await, before);
        for name in before.keys() {
            assert_eq!(site.ask(&["logs", "-n", NAMESPACE, name, "-c", "app"]).await, "", "{name}");
            assert_eq!(read(site, name).await.as_ref(), Ok(&self.files), "{name}");
        }
    }
}

/// Makes a pod of team shop.
pub(crate) async fn create(site: &Site, name: &str) -> Result<(), String> {
    let pods: Api<Pod> = Api::namespaced(site.client(), NAMESPACE);
    pods.create(&PostParams::default(), &serde_json::from_value(object(name)).unwrap())
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

fn object(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"sikkerkey.com/machine": "web"}},
        "spec": {
            "serviceAccountName": "web", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "app", "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never",
                "command": ["sh", "-c", format!("({READ_ALL}) >/dev/null && exec sleep 3600")],
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}
