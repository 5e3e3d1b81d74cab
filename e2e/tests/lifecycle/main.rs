//! The life of an installation, as a platform team sees it: the chart with its images, on a real node, from the first
//! command of the README to the last, through all that happens to it in between.
//!
//! One installation goes through everything, in order. The network plugin here does not enforce network policies: those of the chart
//! are taken by the API server, and nothing more is shown of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod installed;
mod inventory;
mod reader;
mod rebooted;
mod removed;
mod rights;
mod root_key;
mod site;
mod team;
mod tested;
mod upgraded;

use std::io::Write;
use std::time::Duration;

use sikkerkey_e2e::node_test::node_with_services_possible;

use crate::site::Site;

/// The bound of one wait. Nothing comes near it on an idle machine.
const BOUND: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_lives_through_all_that_happens_to_it() {
    if !node_with_services_possible("the life of an installation") {
        return;
    }
    let mut site = Site::prepare().await;
    let before = inventory::of(&site).await;
    let first = site.install().await;
    let mut team = team::arrive(&site, first).await;
    tested::passes_and_fails(&site).await;
    Box::pin(upgraded::upgrade_and_rollback(&site, &team)).await;
    rebooted::power_is_lost(&mut site, &mut team).await;
    root_key::is_lost(&site, &team).await;
    removed::and_installed_again(&site, &mut team, &before).await;
    rights::are_used_and_suffice(&site);
    let stopped = site.stop().await;
    assert_eq!(stopped.leftovers, Vec::<String>::new());
}

fn say(text: &str) {
    // Past the test runner, which swallows what a test prints.
    let _ = writeln!(std::io::stderr(), "{text}");
}
