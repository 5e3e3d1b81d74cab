//! Two replicas that both think they lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sikkerkey_e2e::fault_proxy::{Asked, Fault};
use sikkerkey_e2e::installation::{Installation, NAMESPACE, Proxies};
use sikkerkey_e2e::wait::wait_for;

use crate::scenario::{ends_well, play};
use crate::{BOUND, installed, is_work, one_in};

/// Longer than the next leader waits for the one that is silent.
const UNDERWAY: Duration = Duration::from_secs(25);
const STOP: i32 = 19;
const CONTINUE: i32 = 18;

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_frozen_changes_nothing_any_more() {
    let (mut installation, _proxies): (Installation, Proxies) = installed().await;
    let (frozen, its_api_server) = installation.second_operator().await.unwrap();
    for round in 0..2 {
        let namespace = format!("frozen-{round}");
        // Whoever leads lets go of the Lease when it ends in good order, and the other one takes it.
        let before = holder(&installation).await.unwrap();
        installation.operator.terminate(BOUND).await.unwrap();
        let second = wait_for("the second operator to lead", BOUND, async || {
            holder(&installation).await.filter(|now| *now != before).ok_or("it does not yet")
        });
        let second = second.await.unwrap();
        installation.operator.restart().await.unwrap();
        // What it has sent when it is frozen arrives when the other one leads.
        let writes = |asked: &Asked| is_work(asked) && asked.is_write() && !asked.path.contains("/token");
        let (delay, late) = (one_in(3, writes, Fault::Delay(UNDERWAY)), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&late);
        its_api_server.does(move |asked| {
            let fault = delay(asked);
            counter.fetch_add(usize::from(fault != Fault::None), Ordering::Relaxed);
            fault
        });
        let kubectl = installation.cluster.kubectl();
        let playing = play(&kubectl, &namespace);
        let freezing = async {
            wait_for("something to be under way", BOUND, async || {
                if late.load(Ordering::Relaxed) > 0 { Ok(()) } else { Err("nothing is") }
            })
            .await
            .unwrap();
            frozen.signal(STOP).unwrap();
            let other = wait_for("the other operator to lead", BOUND, async || {
                holder(&installation).await.filter(|now| *now != second).ok_or("it does not yet")
            });
            other.await.unwrap();
            frozen.signal(CONTINUE).unwrap();
        };
        tokio::join!(playing, freezing);
        ends_well(&installation, &namespace).await;
        tokio::time::sleep(UNDERWAY).await;
        ends_well(&installation, &namespace).await;
        its_api_server.behaves();
        let leader = holder(&installation).await.unwrap();
        assert_ne!(leader, second, "the other operator has not led");
    }
    installation.cluster.stop().await;
}

/// Who leads.
async fn holder(installation: &Installation) -> Option<String> {
    let args = ["get", "lease", "-n", NAMESPACE, "-o", "jsonpath={.items[*].spec.holderIdentity}"];
    installation.cluster.kubectl().run(args).await.ok().filter(|holder| !holder.is_empty())
}
