//! What is written, and when it is taken away.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use sikkerkey_protocol::Call;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::sync::{ChangeAction, File, Format, Held, Input, OnChange, OnDenied, Pkcs12, Sync};
use sikkerkey_sidecar::status::Board;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::peer::{Peer, key, raw};
use crate::pod::{Pod, eventually};

async fn peer_with(secrets: &[(&str, &str)]) -> Peer {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = secrets.iter().map(|(name, _)| raw(name, name)).collect();
        for (name, value) in secrets {
            world.set(name, 1, value);
        }
    });
    peer
}

#[tokio::test]
async fn all_files_are_written_and_the_state_says_so() {
    let peer = Peer::start().await;
    peer.change(|world| {
        let mut password = raw("db/password", "db");
        password.inputs[0].field = Some("password".to_owned());
        password.mode = 0o440;
        let mut env = raw("app.env", "db");
        env.format = Format::DotEnv;
        env.inputs.push(Input { secret: key("stripe-key"), field: None, alias: None });
        world.delivery.files = vec![password, env, raw("ledger/token", "stripe-key")];
        world.set_fields("db", 3, &["username", "password"], r#"{"username":"shop","password":"p\"w"}"#);
        world.set("stripe-key", 1, "sk_live_1");
    });
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    assert_eq!(pod.state().message, "3 files");
    assert_eq!(pod.read("db/password").unwrap(), "p\"w");
    assert_eq!(pod.read("ledger/token").unwrap(), "sk_live_1");
    assert_eq!(
        pod.read("app.env").unwrap(),
        "DB_USERNAME=\"shop\"\nDB_PASSWORD=\"p\\\"w\"\nSTRIPE_KEY=\"sk_live_1\"\n"
    );
    let mode = std::fs::metadata(pod.volume().join("db/password")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o440);

    let world = peer.world();
    assert_eq!(world.alive().len(), 1);
    assert_eq!(world.asked[0].wait_seconds, 0, "the first answer is wanted at once");
    assert!(world.user_agents.iter().all(|agent| agent.starts_with("sikkerkey-sidecar/")));
}

#[tokio::test]
async fn a_new_value_reaches_its_file_and_an_idle_server_hears_nothing() {
    let peer = peer_with(&[("a", "one"), ("b", "two")]).await;
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    eventually("the second question is held", || peer.world().asked.len() == 2).await;
    assert_eq!(peer.world().asked[1].wait_seconds, 55);
    assert_eq!(peer.world().asked[1].held.len(), 2);

    let before = pod.generation();
    peer.change(|world| world.set("a", 2, "three"));
    pod.has("a", "three").await;
    assert_eq!(pod.read("b").unwrap(), "two");
    assert_ne!(pod.generation(), before);

    // The same value as a new version is read, and stands in the manifest.
    peer.change(|world| world.set("a", 3, "three"));
    eventually("version 3 is in the manifest", || pod.version("a") == Some(3)).await;
    assert_eq!(pod.version("b"), Some(1));
    assert_eq!(pod.read("a").unwrap(), "three");
    eventually("version 3 is held", || {
        let world = peer.world();
        let last = world.asked.last().unwrap();
        format!("{:?}", last.held[&key("a")]).contains("version: 3")
    })
    .await;
    assert_eq!(peer.world().count(Sync::PATH, 200), 3);
}

#[tokio::test]
async fn a_denied_read_takes_the_file_away_or_leaves_it_as_the_machine_says() {
    use DenialReason as R;
    use OnDenied::{Keep, Remove};
    for (reason, on_revoked, on_closed, stays) in [
        (R::NotGranted, Remove, Keep, false),
        (R::NotGranted, Keep, Remove, true),
        (R::OutsideTimeWindow, Keep, Remove, false),
        (R::OutsideTimeWindow, Remove, Keep, true),
        (R::RateCapReached, Remove, Remove, true),
    ] {
        let peer = peer_with(&[("a", "one"), ("b", "two")]).await;
        peer.change(|world| (world.delivery.on_revoked, world.delivery.on_closed) = (on_revoked, on_closed));
        let pod = Pod::started(&peer);
        pod.is_ready().await;
        peer.change(|world| world.deny("a", reason, "no longer"));
        let held = || format!("{:?}", peer.world().asked.last().unwrap().held.get(&key("a")));
        eventually("the denial is known", || held() == format!("Some(Denied({reason:?}))")).await;
        assert_eq!(pod.read("a").is_some(), stays, "{reason:?}");
        assert_eq!(pod.state().ready, stays, "{reason:?}");
        assert_eq!(pod.read("b").as_deref(), Some("two"), "the others stay");
        let said = if stays {
            format!("2 files; file a stays although Secret shop/a is refused: {}", reason.as_str())
        } else {
            format!("file a waits for Secret shop/a: {}: no longer", reason.as_str())
        };
        assert!(pod.state().message.starts_with(&said), "{}", pod.state().message);

        // Back again.
        peer.change(|world| world.set("a", 2, "new"));
        pod.has("a", "new").await;
        pod.is_ready().await;
    }
}

#[tokio::test]
async fn a_required_file_holds_the_pod_back_until_it_is_granted_and_an_optional_one_does_not() {
    let peer = peer_with(&[("a", "one")]).await;
    peer.change(|world| {
        let mut optional = raw("optional", "never");
        optional.optional = true;
        world.deliver(vec![raw("a", "a"), raw("db/password", "db"), optional]);
    });
    let pod = Pod::started(&peer);
    pod.says("NotGranted").await;
    let state = pod.state();
    assert!(!state.ready);
    assert_eq!(
        state.message,
        "file db/password waits for Secret shop/db: NotGranted: add it to a Grant in namespace shop"
    );
    assert_eq!(pod.read("a").as_deref(), Some("one"), "what can be written is written");

    peer.change(|world| world.set("db", 1, "s3cret"));
    pod.is_ready().await;
    assert_eq!(pod.read("db/password").unwrap(), "s3cret");
    assert_eq!(
        pod.state().message,
        "2 files; left out, as it is optional: file optional waits for Secret shop/never: NotGranted: add it to a Grant in namespace shop"
    );
}

#[tokio::test]
async fn a_changed_delivery_is_followed_at_once() {
    let peer = peer_with(&[("a", "one"), ("b", "two")]).await;
    peer.change(|world| world.deliver(vec![raw("a", "a")]));
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    assert_eq!(pod.read("b"), None);
    peer.change(|world| world.deliver(vec![raw("moved/a", "a"), raw("b", "b")]));
    pod.has("b", "two").await;
    pod.lacks("a").await;
    assert_eq!(pod.read("moved/a").unwrap(), "one");
    peer.change(|world| world.deliver(vec![]));
    pod.lacks("b").await;
    assert!(pod.state().ready);
    assert_eq!(pod.state().message, "0 files");
}

#[tokio::test]
async fn a_hostile_or_impossible_file_stops_only_itself() {
    let peer = peer_with(&[("a", "one ")]).await;
    let outside = tempfile::tempdir().unwrap();
    let of = |path: &str, format| File { format, ..raw(path, "a") };
    peer.change(|world| {
        let absolute = outside.path().join("x");
        world.deliver(vec![
            raw("../escaped", "a"),
            raw(absolute.to_str().unwrap(), "a"),
            raw("..data", "a"),
            of("config.ini", Format::Ini),
            of("config.yaml", Format::Yaml),
        ]);
    });
    let pod = Pod::started(&peer);
    pod.has("config.yaml", "\"a\": \"one \"\n").await;
    pod.says("FileRefused").await;
    assert!(!pod.state().ready);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!pod.volume().parent().unwrap().join("escaped").exists());

    peer.change(|world| world.deliver(vec![of("config.ini", Format::Ini), raw("a", "a")]));
    pod.says("FileInvalid").await;
    assert_eq!(
        pod.state().message,
        "file config.ini cannot be written: Secret shop/a begins or ends with white space, which is not \
         read back: use format JSON or YAML"
    );

    peer.change(|world| world.set("a", 2, "two"));
    pod.is_ready().await;
    assert_eq!(pod.read("config.ini").unwrap(), "[secrets]\na = two\n");
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_format_takes_no_working_file_away() {
    let peer = peer_with(&[("a", "one")]).await;
    peer.change(|world| world.deliver(vec![File { format: Format::Ini, ..raw("config.ini", "a") }]));
    let mut pod = Pod::started(&peer);
    pod.is_ready().await;
    let (generation, content) = (pod.generation(), "[secrets]\na = one\n");
    let said = "1 file; as it was before, because file config.ini cannot be written: Secret shop/a begins or ends with white \
                space, which is not read back: use format JSON or YAML";
    peer.change(|world| world.set("a", 2, "two "));
    eventually("the state says why", || pod.state().message == said).await;
    // The server hears that the version it has delivered is in no file, and that the one before was.
    let told = |version: u64, missing: bool| {
        let expected = (Some(version), missing);
        let says = |ask: &Sync| {
            let held = match ask.held.get(&key("a")) {
                Some(Held::Version { version, .. }) => Some(*version),
                _ => None,
            };
            (held, ask.not_in_files.contains(&key("a")))
        };
        peer.world().asked.last().is_some_and(|ask| says(ask) == expected)
    };
    eventually("the server is told", || told(2, true)).await;
    assert!(peer.world().asked.iter().any(|ask| !ask.held.is_empty() && ask.not_in_files.is_empty()));
    // Nor does a restart.
    pod.kill().await;
    pod.start();
    pod.is_ready().await;
    assert_eq!((pod.state().message.as_str(), pod.generation()), (said, generation));
    assert_eq!(pod.read("config.ini").as_deref(), Some(content));
    assert_eq!(pod.version("config.ini"), Some(1));

    peer.change(|world| world.deny("a", DenialReason::NotGranted, ""));
    pod.lacks("config.ini").await;
    // What was never written is still held back.
    peer.change(|world| world.set("a", 3, "three "));
    pod.says("FileInvalid").await;
    assert!(!pod.state().ready);
    peer.change(|world| world.set("a", 4, "four"));
    pod.has("config.ini", "[secrets]\na = four\n").await;
    eventually("the server is told", || told(4, false)).await;
}

#[tokio::test]
async fn the_server_is_asked_less_and_less_often_while_the_volume_takes_nothing() {
    let peer = peer_with(&[("a", "one")]).await;
    let pod = Pod::new(&peer);
    let in_the_way = pod.volume().join("a");
    std::fs::create_dir(&in_the_way).unwrap();
    let mut agent = pod.agent();
    let mut pauses = vec![];
    for _ in 0..40 {
        pauses.push(agent.exchange().await);
        assert_eq!(agent.said().reason, "PublishFailed");
    }
    // Random times up to a bound that doubles: of thirty up to half a minute, one is above five seconds.
    let longest = |pauses: &[Duration]| pauses.iter().max().copied().unwrap();
    assert!(longest(&pauses[..4]) < Duration::from_secs(2), "{pauses:?}");
    assert!(longest(&pauses[10..]) > Duration::from_secs(5), "{pauses:?}");
    std::fs::remove_dir(&in_the_way).unwrap();
    agent.exchange().await;
    assert!(agent.said().ready, "{:?}", agent.said());
    assert_eq!(pod.read("a").as_deref(), Some("one"));
}

#[tokio::test]
async fn a_store_does_not_change_while_its_secrets_do_not() {
    let peer = peer_with(&[("ca", include_str!("../../files/tests/fixtures/tls/root.crt")), ("pw", "changeit")]).await;
    peer.change(|world| {
        let password = raw("", "pw").inputs.remove(0);
        let pkcs12 = Some(Pkcs12 { trust_store: true, alias: None, password });
        world.deliver(vec![File { format: Format::Pkcs12, pkcs12, ..raw("ca.p12", "ca") }]);
    });
    let mut pod = Pod::started(&peer);
    pod.is_ready().await;
    let generation = pod.generation();
    // Another process makes it anew.
    pod.kill().await;
    pod.start();
    pod.is_ready().await;
    assert_eq!(pod.generation(), generation, "the application is not told");
    peer.change(|world| world.set("pw", 2, "changed"));
    eventually("the new password's store is there", || pod.generation() != generation).await;
}

#[tokio::test]
async fn a_killed_sidecar_goes_on_where_it_was_and_no_file_is_ever_missing() {
    let peer = peer_with(&[("a", "one"), ("b", "two")]).await;
    let board = Arc::<Board>::default();
    let mut pod = Pod::started(&peer);
    pod.is_ready().await;
    let (generation, first) = (pod.generation(), peer.world().alive()[0].clone());
    pod.kill().await;
    assert_eq!(pod.read("a").as_deref(), Some("one"));

    // It reads a again, but must not read b: the file stays as it was.
    peer.change(|world| world.deny("b", DenialReason::RateCapReached, "again at noon"));
    pod.show_on(&board);
    pod.start();
    assert!(!pod.state().ready, "the state of the dead one does not count");
    assert_eq!(pod.generation(), generation);
    pod.is_ready().await;
    assert_eq!(
        pod.state().message,
        "2 files; as it was before, because file b waits for Secret shop/b: RateCapReached: again at noon"
    );
    assert_eq!(pod.generation(), generation, "nothing changed for the application");
    let publications = |count| board.metrics().contains(&format!("publications_total{{result=\"ok\"}} {count}\n"));
    assert!(publications(0), "no set was put in place");
    assert_eq!(pod.read("b").as_deref(), Some("two"));
    assert_ne!(*peer.world().alive()[0], first, "it has a new identity");
    assert_eq!(peer.world().alive().len(), 1);

    // What is revoked goes, although this process never held it.
    peer.change(|world| world.deny("b", DenialReason::NotGranted, ""));
    pod.lacks("b").await;
    assert_eq!(pod.read("a").as_deref(), Some("one"));
    eventually("that set is counted", || publications(1)).await;
}

#[tokio::test]
async fn a_file_never_keeps_the_value_of_another_secret_or_field() {
    for is_restarted in [false, true] {
        let peer = peer_with(&[("a", "one"), ("b", "two"), ("c", "three")]).await;
        let (user, password) = (Some("user".to_owned()), Some("password".to_owned()));
        let part = |field: &Option<String>| {
            let mut file = raw("db", "db");
            file.inputs[0].field.clone_from(field);
            file
        };
        peer.change(|world| {
            world.set_fields("db", 1, &["user", "password"], r#"{"user":"shop","password":"p"}"#);
            world.deliver(vec![raw("a", "a"), part(&password), raw("c", "c")]);
        });
        let mut pod = Pod::started(&peer);
        pod.is_ready().await;
        assert_eq!(pod.read("db").as_deref(), Some("p"));

        if is_restarted {
            pod.kill().await;
        }
        peer.change(|world| {
            for name in ["b", "c", "db"] {
                world.deny(name, DenialReason::CoSignMissing, "");
            }
            world.deliver(vec![raw("a", "b"), part(&user), raw("c", "c")]);
        });
        if is_restarted {
            pod.start();
        }
        pod.lacks("a").await;
        pod.says("CoSignMissing").await;
        // Of what is held, the other field is written. A new process holds nothing.
        assert_eq!(pod.read("db").as_deref(), (!is_restarted).then_some("shop"));
        assert_eq!(pod.read("c").as_deref(), Some("three"), "what is of the same secret stays");
        peer.change(|world| world.set("b", 2, "two"));
        pod.has("a", "two").await;
    }
}

#[tokio::test]
async fn the_application_is_told_once_after_several_changes_and_not_at_the_start() {
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = application.local_addr().unwrap().port();
    let peer = peer_with(&[("a", "one")]).await;
    peer.change(|world| {
        world.delivery.on_change = Some(OnChange {
            debounce_millis: 1500,
            action: ChangeAction::HttpPost { port, path: "/-/reload?now".to_owned() },
        });
    });
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    for version in 2..5 {
        peer.change(|world| world.set("a", version, &format!("value {version}")));
        pod.has("a", &format!("value {version}")).await;
    }
    let (mut stream, _) = tokio::time::timeout(Duration::from_secs(10), application.accept()).await.unwrap().unwrap();
    let mut head = vec![0; 4096];
    let length = stream.read(&mut head).await.unwrap();
    let head = String::from_utf8(head[..length].to_vec()).unwrap();
    assert!(head.starts_with("POST /-/reload?now HTTP/1.1\r\n"), "{head}");
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(pod.read("a").as_deref(), Some("value 4"), "it is told when the last one is there");
    // The same bytes of another version are no news for it.
    peer.change(|world| world.set("a", 5, "value 4"));
    eventually("version 5 is in the manifest", || pod.version("a") == Some(5)).await;
    let more = tokio::time::timeout(Duration::from_secs(2), application.accept()).await;
    assert!(more.is_err(), "it is told once");
}

/// A pod may wait for days, with a part of its files in place: what makes the set whole is what its application starts with.
#[tokio::test]
async fn an_application_that_had_to_wait_is_told_of_what_comes_after_its_start_alone() {
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = application.local_addr().unwrap().port();
    let peer = peer_with(&[("a", "one")]).await;
    peer.change(|world| {
        world.delivery.on_change =
            Some(OnChange { debounce_millis: 0, action: ChangeAction::HttpPost { port, path: "/reload".to_owned() } });
        world.deliver(vec![raw("a", "a"), raw("b", "b"), raw("c", "c")]);
    });
    let mut pod = Pod::started(&peer);
    pod.says("NotGranted").await;
    assert_eq!(pod.read("a").as_deref(), Some("one"));
    // The hook gave up, and the sidecar is another one.
    pod.kill().await;
    pod.start();
    peer.change(|world| world.set("b", 1, "two"));
    pod.has("b", "two").await;
    peer.change(|world| world.set("c", 1, "three"));
    pod.is_ready().await;
    let told = tokio::time::timeout(Duration::from_millis(500), application.accept()).await;
    assert!(told.is_err(), "it starts with what is there now");

    for (version, is_restarted) in [(2, false), (3, true)] {
        if is_restarted {
            pod.kill().await;
            pod.start();
            pod.is_ready().await;
        }
        let value = format!("value {version}");
        peer.change(|world| world.set("a", version, &value));
        let (mut stream, _) =
            tokio::time::timeout(Duration::from_secs(10), application.accept()).await.unwrap().unwrap();
        assert_eq!(pod.read("a"), Some(value), "restarted: {is_restarted}");
        assert!(stream.read(&mut vec![0; 4096]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    }
    let more = tokio::time::timeout(Duration::from_millis(500), application.accept()).await;
    assert!(more.is_err(), "each change is told once");
}
