//! The operator's process ends between any two of its writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sikkerkey_e2e::fault_proxy::{Asked, Fault};
use sikkerkey_e2e::installation::Proxies;
use tokio::sync::Notify;

use crate::scenario::{MOMENT, ends_well, play};
use crate::{installed, is_work};

/// Beyond this many writes of one run something is wrong.
const MANY: usize = 400;
/// After every so many-th write the operator is killed. No multiple of what one object takes, so that each kind of write has its
/// turn.
const STRIDE: usize = 5;

/// Whether it changes something that lasts.
fn lasts(asked: &Asked) -> bool {
    let passing = ["/token", "/events", "/login", "/inventory"];
    is_work(asked) && asked.is_write() && !passing.iter().any(|part| asked.path.contains(part))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_after_any_write_goes_on_where_it_was() {
    let (mut installation, Proxies { api_server, server }) = installed().await;
    let mut killed = 0;
    for after in (1..MANY).step_by(STRIDE) {
        let (count, reached) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        for proxy in [&api_server, &server] {
            let (count, reached) = (Arc::clone(&count), Arc::clone(&reached));
            proxy.does(move |asked| {
                if !lasts(asked) || count.fetch_add(1, Ordering::Relaxed) + 1 != after {
                    return Fault::None;
                }
                reached.notify_one();
                // It happened, and whoever did it will never learn.
                Fault::Lose
            });
        }
        let (namespace, kubectl, played) = (format!("killed-{after}"), installation.cluster.kubectl(), Notify::new());
        let playing = async {
            play(&kubectl, &namespace).await;
            played.notify_one();
        };
        let killing = async {
            // What follows the last edit is done soon after it.
            let end = async {
                played.notified().await;
                tokio::time::sleep(3 * MOMENT).await;
            };
            tokio::select! {
                () = reached.notified() => {}
                () = end => return false,
            }
            installation.operator.kill().await.unwrap();
            installation.operator.restart().await.unwrap();
            true
        };
        let (was_killed, ()) = tokio::join!(killing, playing);
        ends_well(&installation, &namespace).await;
        if !was_killed {
            break;
        }
        killed += 1;
    }
    assert!(killed >= 5, "killed {killed} times only");
    installation.cluster.stop().await;
}
