//! A machine that may not ask for anything learns nothing of what there is, and is told so once.

use std::collections::BTreeMap;
use std::sync::Arc;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::sync::{Held, News, Sync, Synced};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::fleet::{Fleet, FleetSubject};

use crate::fixture::*;

#[tokio::test]
async fn a_suspended_pod_hears_the_same_of_what_there_is_and_what_there_is_not_and_then_waits() {
    let server = Server::new().await;
    let subject = FleetSubject::Workload {
        service_accounts: vec!["web".into()],
        lifetime_seconds: 3600,
        delivery: Arc::new(delivery(&["db", "absent"])),
        delivery_revision: "rev2".into(),
    };
    server.put(Entity::Fleet(Fleet { suspended: true, subject: subject.clone(), ..fleet() })).await;
    let pod = Client::pod();
    let sync = async |held: BTreeMap<_, _>| -> Synced {
        let request = Sync { delivery_revision: Some("rev2".into()), held, ..Sync::default() };
        let answer = server.call(&pod, &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    };
    let first = sync(BTreeMap::new()).await;
    let held: BTreeMap<_, _> = first
        .secrets
        .into_iter()
        .map(|(key, news)| match news {
            News::Denied { reason, .. } => (key, Held::Denied(reason)),
            News::Value { .. } => panic!("a suspended pod is given {key:?}"),
        })
        .collect();
    assert_eq!(held.len(), 2);
    assert!(held.values().all(|it| *it == Held::Denied(DenialReason::MachineSuspended)), "{held:?}");
    // No news: a sidecar that has heard it waits instead of asking on and on.
    assert!(sync(held.clone()).await.secrets.is_empty());
    let rows = server.audit().await.len();
    sync(held.clone()).await;
    assert_eq!(server.audit().await.len(), rows, "nothing was tried");

    server.put(Entity::Fleet(Fleet { subject, ..fleet() })).await;
    let news = sync(held).await.secrets;
    let reasons: Vec<_> = news
        .into_values()
        .map(|it| match it {
            News::Denied { reason, .. } => Some(reason),
            News::Value { .. } => None,
        })
        .collect();
    assert_eq!(reasons, [Some(DenialReason::NotGranted), None]);
}
