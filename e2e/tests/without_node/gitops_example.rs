//! The example of a whole repository in `charts/gitops/example`: its page's commands, and what Argo CD and Flux are told.

#[path = "../api_server/health/argo.rs"]
#[expect(dead_code, reason = "another test compares the scripts that are shipped twice")]
mod argo;
#[path = "../api_server/health/kstatus.rs"]
mod kstatus;
mod told;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;
use sikkerkey_e2e::fleet::files::{self, Files, MACHINES};
use sikkerkey_e2e::fleet::{Fleet, Yours};
use sikkerkey_e2e::installation::{CLUSTER_NAME, Installation};
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::{BOUND, alone};

#[test]
fn the_example_works_as_its_page_says() {
    alone("the GitOps example", async |installation| {
        let fleet = copied(installation);

        // A repository as it is cloned: the API server takes all of it, and what is not sealed says so.
        fleet.shell("kubectl apply --server-side -k platform/namespaces").await.unwrap();
        for overlay in ["staging", "production"] {
            for team in ["shop", "payments"] {
                let overlay = format!("teams/{team}/overlays/{overlay}");
                fleet.shell(&format!("kubectl apply --server-side --dry-run=server -k {overlay}")).await.unwrap();
            }
        }
        fleet.shell("kubectl apply --server-side -k teams/shop/overlays/staging/access").await.unwrap();
        becomes(installation, "shop", "Secret", "payment-provider", ("Failed", "Degraded"), "SealedKeyUnknown").await;

        fleet.follow_the_page().await.unwrap();
        for object in ours(installation).await {
            let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
            let namespace = object["metadata"]["namespace"].as_str().unwrap();
            becomes(installation, namespace, kind, name, ("Current", "Healthy"), "Ready").await;
        }
        let pods = pods(installation).await;
        let machines: BTreeSet<&str> =
            pods.iter().map(|pod| pod.metadata.labels.as_ref().unwrap()["sikkerkey.com/machine"].as_str()).collect();
        assert_eq!(machines, BTreeSet::from(["ledger", "migrate", "report", "web"]));
        for pod in &pods {
            let inits = pod.spec.as_ref().unwrap().init_containers.iter().flatten();
            let injected: Vec<&str> = inits.map(|container| container.name.as_str()).collect();
            assert_eq!(injected, ["sikkerkey"], "{}", pod::state(pod));
        }
        assert_eq!(files::wrong(&read(installation, &pods)), Vec::<String>::new());

        fleet.applied_again_changes_nothing().await.unwrap();
        // A change is seen: the empty diff of the page means something.
        fleet.replace("teams/shop/access/secrets.yaml", "length: 40", "length: 41").unwrap();
        let said = fleet.shell("kubectl diff --server-side -k \"teams/shop/overlays/$cluster\"").await;
        let said = said.unwrap_err().to_string();
        assert!(said.contains("length: 41"), "{said}");
        fleet.replace("teams/shop/access/secrets.yaml", "length: 41", "length: 40").unwrap();

        // What Flux acts as for a team may write what the team has, and nothing beside it.
        fleet
            .shell("kubectl create namespace flux-system && kubectl apply --server-side -k platform/flux/rights")
            .await
            .unwrap();
        let as_team = |team: &str, of: &str| {
            format!(
                "kubectl apply --server-side --dry-run=server --as=system:serviceaccount:flux-system:team-{team} -k \"teams/{of}/overlays/$cluster\""
            )
        };
        for team in ["shop", "payments"] {
            wait_for("the rights of a team", BOUND, async || fleet.shell(&as_team(team, team)).await).await.unwrap();
        }
        let said = fleet.shell(&as_team("shop", "payments")).await.unwrap_err().to_string();
        assert!(said.contains("is forbidden") && said.contains("in the namespace \"payments\""), "{said}");
        let as_shop = "--as=system:serviceaccount:flux-system:team-shop";
        let said = fleet.shell(&format!("kubectl label namespace shop a=b {as_shop}")).await.unwrap_err().to_string();
        assert!(said.contains("is forbidden"), "{said}");

        // Either team ends what goes from one to the other.
        let without = r#"[{"op":"remove","path":"/spec/allowFrom"}]"#;
        let kubectl = installation.cluster.kubectl();
        kubectl.run(["patch", "skm", "report", "-n", "shop", "--type=json", "-p", without]).await.unwrap();
        becomes(
            installation,
            "payments",
            "Grant",
            "shop-report-reads",
            ("InProgress", "Progressing"),
            "RefNotPermitted",
        )
        .await;
    });
}

/// As a person has it who cloned it, and installed here.
fn copied(installation: &Installation) -> Fleet {
    let yours = Yours {
        programs: installation.operator_program().parent().unwrap().to_owned(),
        cluster: CLUSTER_NAME.to_owned(),
        server: installation.server_url(),
        vault: installation.vault.clone(),
        authority: std::fs::read(installation.ca_file()).unwrap(),
    };
    Fleet::copied(&installation.cluster, yours).unwrap()
}

/// Waits until an object is that to Flux and Argo CD, and says why.
async fn becomes(
    installation: &Installation,
    namespace: &str,
    kind: &str,
    name: &str,
    expected: (&str, &str),
    reason: &str,
) {
    wait_for(&format!("{kind} {namespace}/{name} to be {expected:?}"), BOUND, async || {
        let kind_and_name = format!("{kind}.sikkerkey.com/{name}");
        let args = ["get", &kind_and_name, "-n", namespace, "-o", "json"];
        let object: Value = serde_json::from_str(&installation.cluster.kubectl().run(args).await.unwrap()).unwrap();
        let (flux, health) = (kstatus::status(&object), argo::health(kind, &object));
        let says = crate::team::condition_of(&object, "Ready").is_some_and(|(_, found, _)| found == reason);
        if (flux, health.status.as_str()) == expected && says {
            Ok(())
        } else {
            Err(format!("{flux}, {health:?}, {}", object["status"]))
        }
    })
    .await
    .unwrap();
}

/// Every object of ours, of both teams.
async fn ours(installation: &Installation) -> Vec<Value> {
    let listed = installation.cluster.kubectl().run(["get", "sikkerkey", "-A", "-o", "json"]).await.unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let objects = listed["items"].as_array().unwrap().clone();
    assert_eq!(objects.len(), 16, "{:?}", objects.iter().map(|it| &it["metadata"]["name"]).collect::<Vec<_>>());
    objects
}

async fn pods(installation: &Installation) -> Vec<Pod> {
    let pods: Api<Pod> = Api::all(installation.admin_client().unwrap());
    pods.list(&ListParams::default().labels("sikkerkey.com/machine")).await.unwrap().items
}

/// What stands in the files of the pods.
fn read(installation: &Installation, pods: &[Pod]) -> Files {
    let mut read = Files::new();
    for (_, machine, files) in MACHINES {
        let of = |pod: &&Pod| pod.metadata.labels.as_ref().unwrap()["sikkerkey.com/machine"] == machine;
        let volume = installation.volume(pods.iter().find(of).unwrap(), machine).unwrap();
        for file in files {
            let text = std::fs::read_to_string(volume.join(file));
            read.insert((machine, file), text.unwrap_or_else(|error| panic!("{machine} {file}: {error}")));
        }
    }
    read
}
