//! `helm upgrade` and `helm rollback` while pods run, read and are made.

use std::time::Duration;

use crate::site::{Site, seconds};
use crate::team::{self, Team, create};

/// How often a pod is made meanwhile.
const PACE: Duration = Duration::from_secs(3);

/// What the embedded database allows for: one server ends, and another starts.
const AWAY: Duration = Duration::from_secs(30);

pub(crate) async fn upgrade_and_rollback(site: &Site, team: &Team) {
    let before = team::restarts(site).await;
    let louder = ["--reuse-values", "--set", "server.logLevel=debug,operator.logLevel=debug"];
    let upgrade = [&["upgrade", "sikkerkey", "charts/sikkerkey"], &louder[..]].concat();
    for (name, words) in [("upgrade", upgrade), ("rollback", vec!["rollback", "sikkerkey", "1"])] {
        let uids = pods_of_the_installation(site).await;
        let change = async {
            let line = format!("helm {} -n {} --wait --timeout 3m", words.join(" "), crate::site::NAMESPACE);
            let mut pods = 0;
            let change = site.shell(&line);
            tokio::pin!(change);
            loop {
                let pod = format!("{name}-{pods}");
                create(site, "web", &pod)
                    .await
                    .unwrap_or_else(|error| panic!("no pod is refused in an {name}: {error}"));
                pods += 1;
                if tokio::time::timeout(PACE, &mut change).await.is_ok() {
                    break pods;
                }
            }
        };
        let (pods, seen) = Box::pin(team.reader.meanwhile(change)).await;
        site.is_up().await;
        for uid in pods_of_the_installation(site).await {
            assert!(!uids.contains(&uid), "all of the installation was replaced");
        }
        for pod in 0..pods {
            team.reads_in(site, &format!("{name}-{pod}")).await;
        }
        team.noticed_nothing(site, &before).await;
        site.told(&format!(
            "helm {name}: {} signed reads, none for {} at most; {pods} pods made meanwhile started; no file changed",
            seen.reads,
            seconds(seen.away)
        ));
        assert!(seen.away < AWAY, "{seen:?}");
    }
}

async fn pods_of_the_installation(site: &Site) -> Vec<String> {
    let pods = site.get(&["pods", "-l", "app.kubernetes.io/part-of=sikkerkey"]).await;
    let pods = pods["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    pods.filter(|pod| pod["status"]["phase"] == "Running").map(|pod| pod["metadata"]["uid"].to_string()).collect()
}
