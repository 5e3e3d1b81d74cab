//! The example of a whole repository in `charts/gitops/example`: its page's commands, and what Argo CD and Flux are told.

#[path = "../api_server/health/argo.rs"]
#[expect(dead_code, reason = "another test compares the scripts that are shipped twice")]
mod argo;
mod fleet;
#[path = "../api_server/health/kstatus.rs"]
mod kstatus;
mod told;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::{BOUND, alone};
use fleet::{Fleet, PROVIDER_KEY};

/// What an operator may change while nobody applies anything: status. The rest is the team's.
const TEAMS_OBJECTS: [&str; 5] = ["sikkerkey", "deployments", "jobs", "cronjobs", "serviceaccounts"];

#[test]
fn the_example_works_as_its_page_says() {
    alone("the GitOps example", async |installation| {
        let fleet = Fleet::copied(installation);
        let kubectl = installation.cluster.kubectl();

        // A repository as it is cloned: the API server takes all of it, and what is not sealed says so.
        fleet.shell("kubectl apply --server-side -k platform/namespaces").await;
        for overlay in ["staging", "production"] {
            for team in ["shop", "payments"] {
                let overlay = format!("teams/{team}/overlays/{overlay}");
                fleet.shell(&format!("kubectl apply --server-side --dry-run=server -k {overlay}")).await;
            }
        }
        fleet.shell("kubectl apply --server-side -k teams/shop/overlays/staging/access").await;
        becomes(installation, "shop", "Secret", "payment-provider", ("Failed", "Degraded"), "SealedKeyUnknown").await;

        fleet.follow_the_page().await;
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
        assert_files(installation, &pods);

        // What any GitOps tool does every few minutes.
        wait_for("an apply that changes nothing", BOUND, async || {
            let before = versions(installation).await;
            let applied = format!(
                "for team in payments shop; do kubectl apply --server-side -k teams/$team/overlays/{}; done",
                fleet.cluster()
            );
            fleet.shell(&applied).await;
            let after = versions(installation).await;
            // A status may come in between: an apply that writes is never found unchanged.
            if before == after { Ok(()) } else { Err(format!("{before}\n{after}")) }
        })
        .await
        .unwrap();
        // A change is seen: the empty diff of the page means something.
        fleet.replace("teams/shop/access/secrets.yaml", "length: 40", "length: 41");
        let said =
            fleet.try_shell(&format!("kubectl diff --server-side -k teams/shop/overlays/{}", fleet.cluster())).await;
        let said = said.unwrap_err();
        assert!(said.contains("length: 41"), "{said}");
        fleet.replace("teams/shop/access/secrets.yaml", "length: 41", "length: 40");

        // What Flux acts as for a team may write what the team has, and nothing beside it.
        fleet
            .shell("kubectl create namespace flux-system && kubectl apply --server-side -k platform/flux/rights")
            .await;
        let cluster = fleet.cluster();
        let as_team = |team: &str, of: &str| {
            format!(
                "kubectl apply --server-side --dry-run=server --as=system:serviceaccount:flux-system:team-{team} -k teams/{of}/overlays/{cluster}"
            )
        };
        for team in ["shop", "payments"] {
            wait_for("the rights of a team", BOUND, async || fleet.try_shell(&as_team(team, team)).await)
                .await
                .unwrap();
        }
        let said = fleet.try_shell(&as_team("shop", "payments")).await.unwrap_err();
        assert!(said.contains("is forbidden") && said.contains("in the namespace \"payments\""), "{said}");
        let as_shop = "--as=system:serviceaccount:flux-system:team-shop";
        let said = fleet.try_shell(&format!("kubectl label namespace shop a=b {as_shop}")).await.unwrap_err();
        assert!(said.contains("is forbidden"), "{said}");

        // Either team ends what goes from one to the other.
        let without = r#"[{"op":"remove","path":"/spec/allowFrom"}]"#;
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

/// What stands in the files of pods that run.
fn assert_files(installation: &Installation, pods: &[Pod]) {
    let volume = |machine: &'static str| {
        let of = |pod: &&Pod| pod.metadata.labels.as_ref().unwrap()["sikkerkey.com/machine"] == machine;
        let pod = pods.iter().find(of).unwrap();
        let volume = installation.volume(pod, machine).unwrap();
        move |file: &str| {
            std::fs::read_to_string(volume.join(file)).unwrap_or_else(|error| panic!("{machine} {file}: {error}"))
        }
    };
    let (web, ledger) = (volume("web"), volume("ledger"));
    assert_eq!(web("payment-provider"), PROVIDER_KEY);
    assert_eq!((web("session-key").len(), ledger("token").len()), (64, 48));
    let env = web("app.env");
    let lines: Vec<&str> = env.lines().collect();
    assert_eq!((lines[0], lines[1].len()), (r#"DB_USERNAME="shop""#, r#"DB_PASSWORD="""#.len() + 40), "{lines:?}");
}

/// The version of each object of both teams.
async fn versions(installation: &Installation) -> Value {
    let mut versions = json!({});
    for namespace in ["shop", "payments"] {
        let args = ["get", &TEAMS_OBJECTS.join(","), "-n", namespace, "-o", "json"];
        let listed = installation.cluster.kubectl().run(args).await.unwrap();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        for object in listed["items"].as_array().unwrap() {
            let name = format!("{namespace} {} {}", object["kind"], object["metadata"]["name"]);
            versions[name] = object["metadata"]["resourceVersion"].clone();
        }
    }
    assert!(versions.as_object().unwrap().len() > 20, "{versions}");
    versions
}
