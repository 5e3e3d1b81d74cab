//! The node loses its power.

use std::time::Instant;

use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;
use crate::site::{Site, seconds};
use crate::team::{self, Team, read};

pub(crate) async fn power_is_lost(site: &mut Site, team: &mut Team) {
    let before = team::restarts(site).await;
    site.told("the node's power is lost: etcd, API server, containerd, kubelet and all pods are killed, what is in memory is gone");
    site.cluster.reboot().await.unwrap();
    let back = Instant::now();
    // Until the kubelet has looked, the API server shows what was before: only what a pod says itself counts.
    for name in before.keys() {
        wait_for(&format!("{name} to read its files again"), BOUND, async || match read(site, name).await {
            Ok(files) if files == team.files => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    }
    let read_again = back.elapsed();
    wait_for("the pods from before to have been started anew", BOUND, async || {
        let now = team::restarts(site).await;
        assert!(now.keys().eq(before.keys()), "the pods are those from before: {now:?}");
        if now.iter().all(|(name, count)| *count > before[name]) { Ok(()) } else { Err(format!("{before:?}, {now:?}")) }
    })
    .await
    .unwrap();
    site.is_up().await;
    // The way of this machine to the Service went with the node.
    team.reader.find(site).await;
    team.new_pod(site, "after-reboot").await;
    site.told(&format!("{} after the API server was back, all pods had read their files again", seconds(read_again)));
}
