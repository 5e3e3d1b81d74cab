//! What strangers send costs nobody else anything: no nonce, no place on the disk, and no verification of what nobody
//! could have signed.

use tokio::task::JoinSet;

use crate::fixture::*;
use crate::wire::{Dice, value_of};

const FLOOD: usize = 2_000;
/// Failures that are audited one by one in a minute, and locks that begin: see `lockout`.
const AUDITED: usize = 300 + 300;

/// Bytes of everything that is kept.
async fn size(database: &TestDatabase) -> u64 {
    let sql = database.by(
        "select (page_count * page_size) || '' from pragma_page_count(), pragma_page_size()",
        "select (sum(pg_total_relation_size(oid))) || '' from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
    );
    database.query(sql).await[0].parse().unwrap()
}

async fn count(database: &TestDatabase, table: &str) -> usize {
    database.query(&format!("select count(*) || '' from {table}")).await[0].parse().unwrap()
}

/// The n-th request of somebody who cannot sign, each from an address of its own.
fn request(server: &Server, n: usize, dice: &mut Dice) -> Signed {
    let host = Client::host();
    let good = || host.request_with(START / 1000, "mine", "GET", "/v1/secret/sk_db", b"");
    let forged = |id| Client::new(id, 99).request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
    let request = match n % 5 {
        0 => good().without("x-signature"),
        1 => good().with("x-signature", "AAAA"),
        2 => forged(host.id.clone()),
        3 => forged(format!("{:08x}-0000-4000-8000-{:012x}", dice.next() >> 32, dice.next() >> 16)),
        _ => Client::host().request_with(START / 1000 - 301, "mine", "GET", "/v1/secret/sk_db", b""),
    };
    request.from(&format!("198.18.{}.{}", n / 250, n % 250))
}

/// Many at once: on a shared database those whom nobody knows wait for one look.
const AT_ONCE: usize = 200;

async fn send_all(server: &Server, requests: impl IntoIterator<Item = Signed>, expected: &[u16]) {
    let mut requests = requests.into_iter().peekable();
    while requests.peek().is_some() {
        let mut answers = JoinSet::new();
        for request in requests.by_ref().take(AT_ONCE) {
            let router = server.router.clone();
            answers.spawn(async move { send_to(&router, request).await });
        }
        for answer in answers.join_all().await {
            assert!(expected.contains(&answer.status.as_u16()), "{} {}", answer.status, answer.text());
        }
    }
}

async fn flood(server: &Server, from: usize, to: usize) {
    let mut dice = Dice(7);
    send_all(server, (from..to).map(|n| request(server, n, &mut dice)), &[401, 429]).await;
}

#[tokio::test]
async fn a_flood_of_what_nobody_signed_burns_no_nonce_and_does_not_grow_the_disk() {
    let server = Server::new().await;
    let database = server.database();
    let rows = count(&database, "audit").await;
    flood(&server, 0, FLOOD).await;
    let (audited, bytes) = (count(&database, "audit").await, size(&database).await);
    assert!(audited - rows <= AUDITED, "{}", audited - rows);
    // What was written down is enough for this minute: thrice as many more leave nothing but counters.
    flood(&server, FLOOD, 4 * FLOOD).await;
    assert_eq!(count(&database, "audit").await, audited);
    let server = server.restart().await.unwrap();
    let grown = size(&database).await.saturating_sub(bytes);
    assert!(grown < 64 * 1024, "{grown} bytes");
    let counted = database.query("select kind || ' ' || sum(count) from activity group by kind order by kind").await;
    assert_eq!(counted.len(), 2, "{counted:?}");
    let sum = |it: &String| it.split_once(' ').unwrap().1.parse::<usize>().unwrap();
    let rows_of_requests = database.query("select entry from audit").await;
    let one_by_one = rows_of_requests.iter().filter(|it| it.contains("auth_failure")).count();
    // Every answer stands somewhere, locks that began beside them.
    let all = counted.iter().map(sum).sum::<usize>() + one_by_one;
    let locks_counted = all.saturating_sub(4 * FLOOD);
    assert!(all >= 4 * FLOOD && locks_counted <= 4 * FLOOD / 5, "{all} {counted:?}");
    assert_eq!(count(&database, "nonce").await, 0);
    let good = Client::host().request_with(START / 1000, "mine", "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(good).await.status, 200);
}

#[tokio::test]
async fn for_a_key_that_is_not_known_nothing_is_verified() {
    let server = Server::new().await;
    let verified = || {
        let metrics = server.engine.app.metrics.render();
        ["verified_together", "verify_seconds"].map(|it| value_of(&metrics, &format!("sikkerkey_{it}_count")))
    };
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
    let before = verified();
    assert_eq!(before, [1, 1]);
    let (host, mut dice) = (Client::host(), Dice(9));
    let strangers = (0..2_500).filter(|n| n % 5 != 2).map(|n| request(&server, n, &mut dice));
    send_all(&server, strangers, &[401, 429]).await;
    // Nor for what the route does not take, nor for a body that is too large.
    let large = vec![b' '; 200_000];
    let spoilt = (0..100).flat_map(|_| {
        [
            host.request(&*server.clock, "GET", "/v1/secret/sk_db?a=b", b""),
            host.request(&*server.clock, "POST", "/v1/secrets/poll", &large).with("content-length", "200000"),
        ]
    });
    send_all(&server, spoilt, &[400]).await;
    assert_eq!(verified(), before);
    assert_eq!(server.send(request(&server, 2, &mut dice)).await.status, 401);
    assert_eq!(verified(), [2, 2]);
}
