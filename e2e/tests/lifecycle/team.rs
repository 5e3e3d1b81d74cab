//! A team with the GitOps example in Git, whose pods must not notice anything.
//!
//! The example is applied by the commands of its page, and its Deployments, `Job` and `CronJob` run as they stand, but for [`THEIRS`] and
//! for their image: nothing can be pulled here, so the busybox that is on the node takes the place of theirs.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use sikkerkey_e2e::fleet::files::{self, Files, MACHINES};
use sikkerkey_e2e::fleet::{Fleet, PROVIDER_KEY, Yours};
use sikkerkey_e2e::image::BUSYBOX_IMAGE;
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;
use crate::reader::{self, Reader};
use crate::site::{Site, seconds};

pub(crate) const NAMESPACE: &str = "shop";
/// As what the server knows the cluster.
const CLUSTER: &str = "kubernetes";
/// Where files are.
const MOUNT: &str = "/run/secrets/sikkerkey";

/// What the team writes for this cluster: file, what stands there, what it becomes.
const THEIRS: [(&str, &str, &str); 3] = [
    ("teams/shop/overlays/staging/app/kustomization.yaml", "count: 1", "count: 2"),
    // As in production: the addresses of this cluster's pods.
    ("teams/shop/access/policies.yaml", "rateCap:", "ipAllowlist: {cidrs: [10.97.0.0/16]}\n  rateCap:"),
    // Its pods tell when a file is not what it was: nothing is missed that lasts as long as this.
    ("teams/shop/app/web.yaml", "sleep 2", "sleep 0.1"),
];

pub(crate) struct Team {
    /// What every pod of web reads.
    pub(crate) files: String,
    /// A machine outside of the cluster, which reads with signed requests.
    pub(crate) reader: Reader,
    /// What they have in Git.
    pub(crate) fleet: Fleet,
}

/// The team applies all that it has, and pods of every kind read their files.
pub(crate) async fn arrive(site: &Site, install_began: Instant) -> Team {
    site.told("server, operators and the cluster's trust are there; the GitOps example is applied");
    let fleet = copied(site).await;
    for (file, from, to) in THEIRS {
        fleet.replace(file, from, to).unwrap();
    }
    let began = Instant::now();
    // After the installation's own commands the first apply is taken: nothing of the page is tried twice.
    let (page, (pods, took)) = tokio::join!(fleet.follow_the_page(), async {
        let pods = ready_pods(site, NAMESPACE, "web", 2).await;
        (pods, install_began.elapsed())
    });
    page.unwrap();
    site.told(&format!("{} from the first command of the README to secrets in a pod", seconds(took)));
    let ledger = ready_pods(site, "payments", "ledger", 1).await;
    assert_eq!(said(site, NAMESPACE, &pods[0], "web").await, seen_once());
    assert_eq!(said(site, "payments", &ledger[0], "ledger").await, "ledger: a token of 48 characters\n");
    let of_migrate = "migrate: shop at postgres.shop.svc as shop, a password of 40 characters\n";
    assert_eq!(said(site, NAMESPACE, "job/migrate", "migrate").await, of_migrate);
    let of_report = "report: the database's password, and a token of payments of 48 characters\n";
    assert_eq!(said(site, NAMESPACE, "job/report-now", "report").await, of_report);
    files_are_right(site, &pods[0], &ledger[0]).await;
    fleet.applied_again_changes_nothing().await.unwrap();
    site.told(&format!(
        "the GitOps example runs as its page says, in {}: each pod has its files, also across namespaces",
        seconds(began.elapsed())
    ));
    let sealed = sealed(site).await;
    site.kubectl().apply(&sealed).await.unwrap();
    site.ask(&["wait", "-n", NAMESPACE, "--for=condition=Ready", "sks/api-token", "--timeout=60s"]).await;
    let explained = site.shell(&format!("kubectl sikkerkey explain pod/{} sks/db -n {NAMESPACE}", pods[0])).await;
    assert!(explained.contains("may read sks/db"), "{explained}");
    let files = read(site, &pods[0]).await.unwrap();
    let reader = Reader::enrol(site).await;
    Team { files, reader, fleet }
}

/// The example as it is cloned, by a person who reaches the server by the name of its Service.
async fn copied(site: &Site) -> Fleet {
    let (name, address, authority) = reader::service(site).await;
    let yours = Yours {
        programs: site.programs(),
        cluster: CLUSTER.to_owned(),
        server: format!("https://{name}"),
        vault: vault(site).await,
        authority,
    };
    Fleet::copied(&site.cluster, yours).unwrap().with_host(&name, address.ip()).unwrap()
}

async fn vault(site: &Site) -> String {
    let vaults = site.admin(&["vault", "list"]).await;
    vaults["vaults"][0]["vaultId"].as_str().unwrap_or_else(|| panic!("{vaults}")).to_owned()
}

/// A Secret whose value stands in Git, as `sikkerkey-operator seal` prints it with nothing but the key.
async fn sealed(site: &Site) -> String {
    let key = site.admin(&["sealing-key", "show", "--vault", &vault(site).await]).await;
    let seal = format!("sikkerkey-operator seal --cluster {CLUSTER} --namespace {NAMESPACE} --name api-token --key");
    site.shell(&format!("echo '{key}' >key.json; printf '%s' sk_live_of_the_shop | {seal} key.json")).await
}

/// The pods of a Deployment, when that many are ready; their names.
async fn ready_pods(site: &Site, namespace: &str, app: &str, count: usize) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(site.client(), namespace);
    wait_for(&format!("{count} pods of {app}"), BOUND, async || {
        let of_app = ListParams::default().labels(&format!("app={app}"));
        let list = pods.list(&of_app).await.map_err(|error| error.to_string())?;
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

/// What a container wrote.
async fn said(site: &Site, namespace: &str, whose: &str, container: &str) -> String {
    site.ask(&["logs", "-n", namespace, whose, "-c", container]).await
}

/// What a pod of web writes at its start, and whenever a file is not what it was.
fn seen_once() -> String {
    let provider = PROVIDER_KEY.len();
    format!("web: user shop, a password of 40 characters, a session key of 64, a provider's key of {provider}\n")
}

/// Each Machine's pods have what the example says. Those of `migrate` and `report` have ended: others of theirs stay for this.
async fn files_are_right(site: &Site, web: &str, ledger: &str) {
    let stay = ["migrate", "report"];
    for machine in stay {
        create(site, machine, machine).await.unwrap();
    }
    for machine in stay {
        pod::ready(&site.client(), NAMESPACE, machine, BOUND).await.unwrap();
    }
    let mut read = Files::new();
    for (namespace, machine, files) in MACHINES {
        let (pod, container) = match machine {
            "web" => (web, "web"),
            "ledger" => (ledger, "ledger"),
            of_its_own => (of_its_own, of_its_own),
        };
        for file in files {
            let cat = ["cat", &format!("{MOUNT}/{file}")];
            read.insert((machine, file), pod::exec(&site.client(), namespace, pod, container, &cat).await.unwrap());
        }
    }
    assert_eq!(files::wrong(&read), Vec::<String>::new());
    for machine in stay {
        site.ask(&["delete", "pod", machine, "-n", NAMESPACE, "--wait=false"]).await;
    }
}

/// Every file of a Machine, with its name.
fn read_all(machine: &str) -> String {
    let (.., files) = MACHINES.iter().find(|(_, name, _)| *name == machine).unwrap();
    format!("cd {MOUNT} && for f in {}; do echo \"$f:\"; cat $f || exit; echo; done", files.join(" "))
}

/// What a pod of web reads in its files.
pub(crate) async fn read(site: &Site, name: &str) -> Result<String, String> {
    let command = ["sh", "-c", &read_all("web")];
    pod::exec(&site.client(), NAMESPACE, name, "web", &command).await.map_err(|error| error.to_string())
}

/// How often the containers of each pod of the Deployment web have been started anew.
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
        create(site, "web", name).await.unwrap();
        self.reads_in(site, name).await;
    }

    /// That pod comes up, and reads what all read.
    pub(crate) async fn reads_in(&self, site: &Site, name: &str) {
        pod::ready(&site.client(), NAMESPACE, name, BOUND).await.unwrap();
        assert_eq!(read(site, name).await.as_ref(), Ok(&self.files), "{name}");
        site.ask(&["delete", "pod", name, "-n", NAMESPACE, "--wait=false"]).await;
    }

    /// No pod of the Deployment web has ever seen a file that was not what it was, and none was started anew.
    pub(crate) async fn noticed_nothing(&self, site: &Site, before: &BTreeMap<String, i32>) {
        assert_eq!(&restarts(site).await, before);
        for name in before.keys() {
            assert_eq!(said(site, NAMESPACE, name, "web").await, seen_once(), "{name}");
            assert_eq!(read(site, name).await.as_ref(), Ok(&self.files), "{name}");
        }
    }
}

/// Makes a pod of one of team shop's Machines, that reads its files and stays.
pub(crate) async fn create(site: &Site, machine: &str, name: &str) -> Result<(), String> {
    let pods: Api<Pod> = Api::namespaced(site.client(), NAMESPACE);
    pods.create(&PostParams::default(), &serde_json::from_value(object(machine, name)).unwrap())
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

fn object(machine: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"sikkerkey.com/machine": machine}},
        "spec": {
            "serviceAccountName": machine, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": machine, "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never",
                "command": ["sh", "-c", format!("({}) >/dev/null && exec sleep 3600", read_all(machine))],
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}
