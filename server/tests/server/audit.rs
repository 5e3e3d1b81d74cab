//! What the audit proves, and to whom.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use sikkerkey_server::anchor::{Keeper, Known, Means, Refused, Target};
use sikkerkey_server::audit::anchored;
use sikkerkey_server::audit::checkpoint::{Checkpoint, Line};
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::clock::Clock;
use sikkerkey_server::store::ChainHead;
use sikkerkey_server::usecase::archive;
use tempfile::TempDir;
use tokio::process::Command;

use crate::fixture::*;
use crate::process::Process;
use crate::tampering::unlocked;

/// What makes checkpoints, as `serve` opens it.
async fn keeper(server: &Server, anchors: &[Target], accept_restored: bool) -> anyhow::Result<Keeper> {
    let app = &server.engine.app;
    let head = app.writer.audit_head();
    let end = *head.borrow();
    let means = Means {
        keyring: app.keyring.clone(),
        clock: app.clock.clone(),
        metrics: app.metrics.clone(),
        head,
        known: Known::read(&app.records, app.keyring.rows(), end).await.unwrap(),
        directory: Some(server.directory.path().join("audit")),
    };
    Keeper::open(means, anchors, &app.records, accept_restored).await
}

fn file(path: &Path) -> Target {
    format!("file:{}", path.display()).parse().unwrap()
}

fn lines(server: &Server, anchor: &Path) -> Vec<Checkpoint> {
    let key = server.engine.app.keyring.audit_signer().public_key();
    let text = std::fs::read_to_string(anchor).unwrap();
    let read = anchored::read(&key, None, &text);
    assert_eq!(read.findings, []);
    read.lines.into_iter().map(|(_, line)| line.checkpoint).collect()
}

async fn read_once(server: &Server) {
    assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 200);
}

/// A command of the real binary: whether it succeeded, its answer, and what it complained of.
async fn admin(data: Option<&Path>, arguments: &[&str]) -> (bool, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command.args(["admin", "--output", "json"]);
    if let Some(data) = data {
        command.args(TestDatabase::of(data).arguments(data));
    }
    let output = command.args(arguments).output().await.unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.success(), json, String::from_utf8(output.stderr).unwrap())
}

/// A server that has made three checkpoints and stopped, and its anchor beside the data directory.
struct Anchored {
    data: Arc<TempDir>,
    outside: TempDir,
    clock: Arc<ManualClock>,
    checkpoints: Vec<Checkpoint>,
}

impl Anchored {
    async fn new() -> Self {
        let (server, outside) = (Server::new().await, tempfile::tempdir().unwrap());
        let path = outside.path().join("anchor.jsonl");
        let keeper = keeper(&server, &[file(&path)], false).await.unwrap();
        for _ in 0..3 {
            read_once(&server).await;
            keeper.now().await;
        }
        let (checkpoints, clock) = (lines(&server, &path), server.clock.clone());
        Self { data: server.stop().await, outside, clock, checkpoints }
    }

    fn anchor(&self) -> PathBuf {
        self.outside.path().join("anchor.jsonl")
    }

    fn database(&self) -> TestDatabase {
        TestDatabase::of(self.data.path())
    }

    async fn verify(&self) -> (bool, Value, String) {
        admin(Some(self.data.path()), &["verify-audit", "--anchor", self.anchor().to_str().unwrap()]).await
    }
}

#[tokio::test]
async fn a_checkpoint_is_made_once_a_minute_when_rows_were_added_and_when_asked_for() {
    let (server, outside) = (Server::new().await, tempfile::tempdir().unwrap());
    let path = outside.path().join("anchor");
    let keeper = keeper(&server, &[file(&path)], false).await.unwrap();
    let seqs = || lines(&server, &path).iter().map(|it| it.seq).collect::<Vec<_>>();
    keeper.routine().await;
    let first = seqs()[0];
    read_once(&server).await;
    server.clock.advance_seconds(59);
    keeper.routine().await;
    assert_eq!(seqs(), [first], "a minute is not over");
    server.clock.advance_seconds(1);
    keeper.routine().await;
    assert_eq!(seqs(), [first, first + 1]);
    server.clock.advance_seconds(600);
    keeper.routine().await;
    keeper.now().await;
    assert_eq!(seqs(), [first, first + 1], "no row was added");
    read_once(&server).await;
    keeper.now().await;
    assert_eq!(seqs(), [first, first + 1, first + 2]);
    let all = lines(&server, &path);
    assert_eq!(all.iter().map(|it| it.rows).collect::<Vec<_>>(), [first, 1, 1]);
    assert_eq!(all[0].previous, None);
    let rows = server.engine.app.records.after(first + 1, 1).await.unwrap();
    assert_eq!(all[2].hash.0, rows[0].hash);
}

#[tokio::test]
async fn the_chain_of_checkpoints_goes_on_after_a_restart_also_without_what_lies_beside_the_data() {
    for lose_local in [false, true] {
        let it = Anchored::new().await;
        if lose_local {
            std::fs::remove_file(it.data.path().join("audit/last-checkpoint")).unwrap();
        }
        let server = Server::open(it.data.clone(), it.clock.clone()).await.unwrap();
        let keeper = keeper(&server, &[file(&it.anchor())], false).await.unwrap();
        keeper.routine().await;
        assert_eq!(lines(&server, &it.anchor()).len(), 3, "no row was added, and no line is there twice");
        read_once(&server).await;
        keeper.now().await;
        let all = lines(&server, &it.anchor());
        assert_eq!((all.len(), all[3].rows), (4, 1));
        assert!(all[3].previous.is_some());
    }
}

#[tokio::test]
async fn an_anchor_that_is_added_later_begins_with_a_line_that_names_none() {
    let it = Anchored::new().await;
    let server = Server::open(it.data.clone(), it.clock.clone()).await.unwrap();
    let later = it.outside.path().join("later");
    let keeper = keeper(&server, &[file(&it.anchor()), file(&later)], false).await.unwrap();
    keeper.routine().await;
    assert_eq!(lines(&server, &later).iter().map(|it| it.previous).collect::<Vec<_>>(), [None]);
    assert_eq!(lines(&server, &it.anchor()).len(), 4);
}

type Spoil = fn(&Anchored);
/// SQL, a change to the anchor, and what is found: kind, row counted from the first checkpoint's, line.
type Tampering = (&'static str, Spoil, &'static str, Option<i64>, Option<u64>);
type Edit = fn(&mut Vec<String>);

/// Changes the lines of the anchor.
fn edit(it: &Anchored, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<_> = std::fs::read_to_string(it.anchor()).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(it.anchor(), lines.join("\n") + "\n").unwrap();
}

#[tokio::test]
async fn what_was_tampered_with_is_named_with_its_row_or_line() {
    let cases: [Tampering; 12] = [
        ("", |_| {}, "", None, None),
        ("update audit set entry = replace(entry, 'read', 'seen') where seq = $", |_| {}, "row_changed", Some(0), None),
        ("update audit set time = time + 1 where seq = $ + 1", |_| {}, "row_changed", Some(1), None),
        ("delete from audit where seq = $ + 1", |_| {}, "rows_missing", Some(1), None),
        ("delete from audit where seq > $", |_| {}, "tail_cut", Some(0), None),
        (
            "delete from audit where seq > $; update meta set value = '{}' where name = 'head'",
            |_| {},
            "head_not_genuine",
            None,
            None,
        ),
        (
            "",
            |it| edit(it, |lines| lines[1] = lines[1].replace("\"rows\":1", "\"rows\":2")),
            "checkpoint_not_genuine",
            None,
            Some(2),
        ),
        ("", |it| edit(it, |lines| drop(lines.remove(1))), "checkpoint_missing", None, Some(2)),
        ("", |it| edit(it, |lines| drop(lines.remove(0))), "checkpoint_missing", None, Some(1)),
        ("", |it| edit(it, |lines| lines.swap(0, 1)), "checkpoint_missing", None, Some(1)),
        ("", |it| edit(it, |lines| lines[2].truncate(40)), "", None, None),
        ("", |it| edit(it, |lines| lines.insert(0, "{\"seq\":9}".into())), "checkpoint_not_genuine", None, Some(1)),
    ];
    for (sql, spoil, kind, row, line) in cases {
        let it = Anchored::new().await;
        let first = it.checkpoints[0].seq;
        if !sql.is_empty() {
            let database = it.database();
            let sql = format!("{}; {}", unlocked(&database), sql.replace('$', &first.to_string()));
            database.execute(&sql).await;
        }
        spoil(&it);
        let (holds, report, stderr) = it.verify().await;
        assert_eq!(holds, kind.is_empty(), "{sql} {kind}: {report} {stderr}");
        assert_eq!(report["holds"], holds);
        let row = row.map(|it| first + u64::try_from(it).unwrap());
        let findings = report["findings"].as_array().unwrap();
        let is_it = |it: &&Value| it["kind"] == kind && it["row"].as_u64() == row && it["line"].as_u64() == line;
        assert_eq!(findings.iter().any(|it| is_it(&it)), !holds, "{sql} {kind}: {report}");
        assert_eq!(stderr.contains("the audit does not hold"), !holds, "{stderr}");
    }
}

#[tokio::test]
async fn a_database_that_was_put_back_holds_by_itself_and_not_beside_its_anchor() {
    let (server, outside) = (Server::new().await, tempfile::tempdir().unwrap());
    let TestDatabase::Sqlite(database) = server.database() else { return };
    let path = outside.path().join("anchor.jsonl");
    keeper(&server, &[file(&path)], false).await.unwrap().now().await;
    let clock = server.clock.clone();
    let data = server.stop().await;
    let copy = outside.path().join("copy");
    std::fs::copy(&database, &copy).unwrap();
    let server = Server::open(data, clock.clone()).await.unwrap();
    let keeper_now = keeper(&server, &[file(&path)], false).await.unwrap();
    read_once(&server).await;
    keeper_now.now().await;
    let anchored = lines(&server, &path).last().unwrap().seq;
    drop(keeper_now);
    let data = server.stop().await;
    // All of it, also what the server keeps beside the data.
    std::fs::copy(&copy, &database).unwrap();
    std::fs::remove_dir_all(data.path().join("audit")).unwrap();

    let (holds, report, _) = admin(Some(data.path()), &["verify-audit"]).await;
    assert!(holds, "{report}");
    assert!(report["cannotProve"][0].as_str().unwrap().contains("put back to an earlier state"));
    let (holds, report, _) = admin(Some(data.path()), &["verify-audit", "--anchor", path.to_str().unwrap()]).await;
    assert!(!holds);
    let finding = &report["findings"][0];
    assert_eq!((&finding["kind"], finding["row"].as_u64()), (&Value::from("tail_cut"), Some(anchored - 1)));
    assert!(finding["text"].as_str().unwrap().contains(&format!("has seen row {anchored}")), "{finding}");

    let server = Server::open(data.clone(), clock).await.unwrap();
    let refused = keeper(&server, &[file(&path)], false).await.err().unwrap();
    let refused = refused.downcast_ref::<Refused>().unwrap();
    assert!(matches!(refused, Refused::Behind { found, anchored: at } if *found == anchored - 1 && *at == anchored));
    server.stop().await;

    let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--public-url", "http://localhost:1"]);
    command
        .args(TestDatabase::of(data.path()).arguments(data.path()))
        .arg(format!("--audit-anchor=file:{}", path.display()));
    let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await.unwrap().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("the database was put back"), "{stderr}");
    assert!(!stderr.contains("listening"), "{stderr}");
}

#[tokio::test]
async fn another_history_and_another_installation_are_refused() {
    let it = Anchored::new().await;
    let server = Server::open(it.data.clone(), it.clock.clone()).await.unwrap();
    let app = &server.engine.app;
    let end = *app.writer.audit_head().borrow();
    let known = Known::read(&app.records, app.keyring.rows(), end).await.unwrap();
    // What the anchor would hold of a history that whoever has the root key wrote anew.
    let head = ChainHead { seq: known.head.seq, hash: [9; 32] };
    let signer = app.keyring.audit_signer();
    let other = Line::next(signer, &known.installation, None, head, it.checkpoints[0].time).unwrap();
    std::fs::write(it.anchor(), format!("{}\n", other.text)).unwrap();
    let refused = keeper(&server, &[file(&it.anchor())], false).await.err().unwrap();
    assert!(matches!(refused.downcast_ref(), Some(Refused::Rewritten(seq)) if *seq == head.seq), "{refused:?}");

    let foreign = Anchored::new().await;
    let refused = keeper(&server, &[file(&foreign.anchor())], true).await.err().unwrap();
    assert!(matches!(refused.downcast_ref(), Some(Refused::NotGenuine(_))), "{refused:?}");
}

#[tokio::test]
async fn a_restored_database_is_accepted_by_a_persons_word_and_from_then_on() {
    let it = Anchored::new().await;
    let kept = &it.checkpoints[0];
    let epoch = format!(r#"{{"number":2,"continues":{{"seq":{},"hash":"{}"}}}}"#, kept.seq, kept.hash);
    it.database().execute(&format!("insert into meta values ('epoch', '{epoch}')")).await;
    let server = Server::open(it.data.clone(), it.clock.clone()).await.unwrap();
    let anchor = [file(&it.anchor())];
    let refused = keeper(&server, &anchor, false).await.err().unwrap();
    assert!(matches!(refused.downcast_ref(), Some(Refused::Restored { kept: at, .. }) if *at == kept.seq), "{refused}");
    let accepted = keeper(&server, &anchor, true).await.unwrap();
    accepted.routine().await;
    // The anchor knows it now.
    keeper(&server, &anchor, false).await.unwrap();
    let last = lines(&server, &it.anchor()).pop().unwrap();
    assert_eq!((last.epoch.number, last.epoch.continues.unwrap().seq), (2, kept.seq));
    let data = server.stop().await;
    let (holds, report, _) = it.verify().await;
    assert!(holds, "{report}");
    // And who takes the restore back is found.
    it.database().execute("delete from meta where name = 'epoch'").await;
    let (holds, report, _) = it.verify().await;
    assert_eq!((holds, &report["findings"][0]["kind"]), (false, &Value::from("epoch_behind")));
    let server = Server::open(data, it.clock.clone()).await.unwrap();
    let refused = keeper(&server, &anchor, true).await.err().unwrap();
    assert!(matches!(refused.downcast_ref(), Some(Refused::EpochBehind { found: 1, anchored: 2 })), "{refused}");
}

/// A web server that keeps what it is sent, once it works.
async fn webhook(works: Arc<Mutex<bool>>) -> (Target, Arc<Mutex<Vec<String>>>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let all = kept.clone();
    let handler = move |body: String| {
        let (works, all) = (works.clone(), all.clone());
        async move {
            if !*works.lock().unwrap() {
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            all.lock().unwrap().push(body);
            StatusCode::NO_CONTENT
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/hooks/token-of-the-hook", post(handler));
    tokio::spawn(async move { axum_serve(listener, router).await });
    (format!("http://{address}/hooks/token-of-the-hook").parse().unwrap(), kept)
}

async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service),
        );
    }
}

#[tokio::test]
async fn an_anchor_that_is_away_stops_no_read_is_counted_and_gets_every_line_later() {
    let works = Arc::new(Mutex::new(false));
    let (target, kept) = webhook(works.clone()).await;
    let server = Server::new().await;
    let keeper = keeper(&server, std::slice::from_ref(&target), false).await.unwrap();
    keeper.now().await;
    read_once(&server).await;
    keeper.now().await;
    let status = keeper.status();
    assert_eq!((status.anchors[0].failures, status.anchors[0].seq), (2, None));
    assert!(status.anchors[0].failure.as_ref().unwrap().contains("answered 500"), "{status:?}");
    assert!(!format!("{status:?}").contains("token-of-the-hook"));
    assert!(server.engine.app.metrics.render().contains("sikkerkey_anchor_failures_total 2"));
    let waiting = status.last.unwrap().seq;

    *works.lock().unwrap() = true;
    server.clock.advance_seconds(3);
    keeper.routine().await;
    assert!(kept.lock().unwrap().is_empty(), "it is not tried again at once");
    assert_eq!(server.engine.app.metrics.anchor_lag.get(), 3);
    server.clock.advance_seconds(61);
    keeper.routine().await;
    let status = keeper.status();
    assert_eq!((status.anchors[0].seq, &status.anchors[0].failure), (Some(waiting + 1), &None));
    assert_eq!(server.engine.app.metrics.anchor_lag.get(), 0);
    // What the web server has kept can be checked like a file.
    let path = server.directory.path().join("kept");
    std::fs::write(&path, kept.lock().unwrap().concat()).unwrap();
    let seqs: Vec<_> = lines(&server, &path).iter().map(|it| it.seq).collect();
    assert_eq!(seqs, [waiting, waiting + 1]);
    let (holds, report, _) =
        admin(Some(server.directory.path()), &["verify-audit", "--anchor", path.to_str().unwrap()]).await;
    assert!(holds, "beside the server that runs: {report}");
}

#[tokio::test]
async fn a_server_makes_a_last_checkpoint_when_it_ends_and_one_when_asked() {
    let (data, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = outside.path().join("anchor");
    let anchor = format!("file:{}", path.display());
    let mut process = Process::start_with(data.path(), "info", &["--audit-anchor", &anchor]).await;
    let (_, status, _) = admin(Some(data.path()), &["audit", "checkpoint"]).await;
    assert_eq!((&status["row"], &status["anchors"][0]["seq"]), (&Value::from(1), &Value::from(1)), "{status}");
    let (done, _, error) =
        admin(Some(data.path()), &["vault", "create", "--name", "v", "--owner", "o@example.com"]).await;
    assert!(done, "{error}");
    let (holds, report, _) = admin(Some(data.path()), &["verify-audit", "--anchor", path.to_str().unwrap()]).await;
    assert!(holds, "{report}");
    let unproven = report["cannotProve"][0].as_str().unwrap();
    assert!(unproven.contains("after row 1 "), "{report}");
    let id = process.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert!(process.ended().await.success());
    let (holds, report, _) = admin(Some(data.path()), &["verify-audit", "--anchor", path.to_str().unwrap()]).await;
    assert_eq!((holds, &report["anchored"]), (true, &report["last"]), "{report}");
    assert!(report["last"].as_u64().unwrap() > 1);
}

#[tokio::test]
async fn an_export_is_checked_by_whoever_has_the_public_key_and_shows_each_change() {
    let it = Anchored::new().await;
    let out = it.outside.path().join("export.jsonl");
    let path = out.to_str().unwrap();
    let (_, key, _) = admin(Some(it.data.path()), &["audit-key"]).await;
    let key = key["publicKey"].as_str().unwrap();
    let (done, answer, error) =
        admin(Some(it.data.path()), &["audit", "export", "--from", "3", "--to", "8", "--out", path]).await;
    assert!(done && answer["rows"] == 6, "{answer} {error}");
    let again = admin(Some(it.data.path()), &["audit", "export", "--out", path]).await;
    assert!(!again.0 && again.2.contains("is there already"), "{}", again.2);

    let verify = ["verify-audit", "--from-export", path, "--public-key", key];
    let (holds, report, error) = admin(None, &verify).await;
    assert!(holds, "{report} {error}");
    assert_eq!((&report["first"], &report["last"], &report["chainFollowed"]), (&3.into(), &8.into(), &false.into()));
    let other = key_of_another();
    let (holds, _, _) = admin(None, &["verify-audit", "--from-export", path, "--public-key", &other]).await;
    assert!(!holds);

    let text = std::fs::read_to_string(&out).unwrap();
    // What is changed, what is found without the root key, and at which row with it.
    let cases: [(Edit, &str, Option<u64>); 6] = [
        (
            |lines| lines[2] = lines[2].replace("administrator", "system").replace("Administrator", "System"),
            "file_changed",
            Some(5),
        ),
        (|lines| drop(lines.remove(2)), "rows_missing", Some(5)),
        (|lines| drop(lines.remove(0)), "file_changed", None),
        (|lines| drop(lines.pop()), "file_changed", None),
        (|lines| lines[6] = lines[6].replace("\"rows\":6", "\"rows\":5"), "file_changed", None),
        (|lines| lines.push("{}".into()), "file_changed", None),
    ];
    for (number, (edit, kind, row)) in cases.into_iter().enumerate() {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        edit(&mut lines);
        let changed = lines.join("\n") + "\n";
        assert_ne!(changed, text, "{number}");
        std::fs::write(&out, changed).unwrap();
        let (holds, report, _) = admin(None, &verify).await;
        let kinds = |report: &Value| {
            report["findings"].as_array().unwrap().iter().map(|it| it["kind"].to_string()).collect::<Vec<_>>()
        };
        assert!(!holds && kinds(&report).contains(&format!("\"{kind}\"")), "{number}: {report}");
        let (holds, report, _) = admin(Some(it.data.path()), &["verify-audit", "--from-export", path]).await;
        let rows: Vec<_> = report["findings"].as_array().unwrap().iter().filter_map(|it| it["row"].as_u64()).collect();
        assert!(!holds && row.is_none_or(|it| rows.contains(&it)), "{number}: {report}");
    }
}

fn key_of_another() -> String {
    key(99).public_key().to_string()
}

#[tokio::test]
async fn a_range_is_given_by_rows_or_by_time() {
    let server = Server::new().await;
    let before = server.audit().await.len();
    server.clock.advance_seconds(86_400);
    server
        .put(sikkerkey_server::model::Entity::Machine(sikkerkey_server::model::machine::Machine {
            expires_at: None,
            ..pod()
        }))
        .await;
    read_once(&server).await;
    server.clock.advance_seconds(86_400);
    read_once(&server).await;
    let data = server.stop().await;
    // 2026-03-04 is the first day; two rows on the second, one on the third.
    let before = u64::try_from(before).unwrap();
    for (n, (from, to, first, last)) in [
        (None, Some("2026-03-05"), 1, before),
        (Some("2026-03-05"), Some("2026-03-06"), before + 1, before + 2),
        (Some("2026-03-05T12:00:00Z"), None, before + 1, before + 3),
        (Some("2"), Some("2"), 2, 2),
    ]
    .into_iter()
    .enumerate()
    {
        let out = data.path().join(format!("out-{n}"));
        let mut arguments = vec!["audit", "export", "--out", out.to_str().unwrap()];
        arguments.extend(from.iter().flat_map(|it| ["--from", it]));
        arguments.extend(to.iter().flat_map(|it| ["--to", it]));
        let (_, answer, error) = admin(Some(data.path()), &arguments).await;
        assert_eq!((answer["first"].as_u64(), answer["last"].as_u64()), (Some(first), Some(last)), "{n}: {error}");
    }
    for (arguments, part) in [
        (["--from", "2026-04-01", "--to", "2026-04-02"], "no row in that range"),
        (["--from", "1", "--to", "9999"], "there is no row 9999"),
        (["--from", "yesterday", "--to", "1"], "give a day such as"),
    ] {
        let out = data.path().join("refused");
        let all = [&["audit", "export", "--out", out.to_str().unwrap()][..], &arguments[..]].concat();
        let (done, _, error) = admin(Some(data.path()), &all).await;
        assert!(!done && error.contains(part) && !out.exists(), "{part}: {error}");
    }
}

/// Three days with reads, of which two are archived; the data, the archive and how many rows went.
async fn archived() -> (Server, PathBuf, u64) {
    let server = Server::new().await;
    for _ in 0..2 {
        server.clock.advance_seconds(86_400);
        assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
    }
    let directory = server.directory.path().join("audit");
    let (app, now) = (&server.engine.app, server.clock.now());
    let before = *app.writer.audit_head().borrow();
    // Noon of the third day: the first day has been over for one day, the second for half a day.
    archive::retain(app, now, 1, &directory).await.unwrap();
    assert_eq!(app.records.audit_base(app.keyring.rows()).await.unwrap().seq, before.seq - 2);
    archive::retain(app, now, 0, &directory).await.unwrap();
    (server, directory, before.seq - 1)
}

#[tokio::test]
async fn days_that_are_old_enough_go_to_files_and_the_chain_goes_on_from_there() {
    let (server, directory, dropped) = archived().await;
    let rows = server.engine.app.records.after(0, 100).await.unwrap();
    assert_eq!(rows[0].seq, dropped + 1);
    let archived: Vec<_> = server.audit().await.into_iter().filter(|it| it.action == Action::AuditArchive).collect();
    assert_eq!(archived.len(), 2);
    assert!(
        archived[1].detail.starts_with(&format!("rows {dropped} to {dropped} are in 2026-03-05.jsonl")),
        "{archived:?}"
    );
    let anchor = server.directory.path().join("anchor");
    keeper(&server, &[file(&anchor)], false).await.unwrap().now().await;

    let server = server.restart().await.unwrap();
    keeper(&server, &[file(&anchor)], false).await.unwrap();
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
    let data = server.stop().await;
    let (holds, report, error) = admin(Some(data.path()), &["verify-audit"]).await;
    assert_eq!((holds, report["first"].as_u64()), (true, Some(dropped + 1)), "{report} {error}");
    assert!(report["cannotProve"].to_string().contains("exported and dropped"), "{report}");
    let with_archive = ["verify-audit", "--archive", directory.to_str().unwrap(), "--anchor", anchor.to_str().unwrap()];
    let (holds, report, error) = admin(Some(data.path()), &with_archive).await;
    assert_eq!((holds, report["first"].as_u64()), (true, Some(1)), "{report} {error}");
    assert_eq!(report["rows"], report["last"]);
    std::fs::remove_file(directory.join("2026-03-05.jsonl")).unwrap();
    let (holds, report, _) = admin(Some(data.path()), &with_archive).await;
    let finding = &report["findings"][0];
    assert_eq!((holds, &finding["kind"], finding["row"].as_u64()), (false, &"rows_missing".into(), Some(dropped)));
}

#[tokio::test]
async fn only_the_server_can_drop_rows_and_only_those_it_has_archived() {
    let (server, _, dropped) = archived().await;
    let database = server.database();
    for sql in ["delete from audit", "update audit set time = 1"] {
        let refused = database.try_execute(sql).await.unwrap_err();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    let data = server.stop().await;
    // Who moves the base by hand is found, in one way or the other.
    let moved = format!(
        "update meta set value = replace(value, '\"seq\":{dropped}', '\"seq\":{}') where name = 'audit base';
         delete from audit where seq <= {}",
        dropped + 1,
        dropped + 1
    );
    for (sql, part) in
        [(moved.as_str(), "the beginning of the audit"), ("delete from meta where name = 'audit base'", "")]
    {
        database.execute(sql).await;
        let (holds, report, error) = admin(Some(data.path()), &["verify-audit"]).await;
        assert!(!holds, "{sql}: {report}");
        match part {
            "" => assert_eq!(report["findings"][0]["kind"], "rows_missing", "{report}"),
            part => assert!(error.contains(part), "{error}"),
        }
    }
}

#[tokio::test]
async fn archiving_goes_on_where_it_was_cut_off_and_replaces_no_file() {
    let server = Server::new().await;
    server.clock.advance_seconds(86_400);
    let (app, now) = (&server.engine.app, server.clock.now());
    let directory = server.directory.path().join("audit");
    let path = directory.join("2026-03-04.jsonl");
    std::fs::create_dir_all(&directory).unwrap();
    let known = archive::known(app).await.unwrap();
    // A file with fewer rows than the day has is somebody's.
    archive::write(app, &known, 1, 3, &path).await.unwrap();
    let refused = archive::retain(app, now, 0, &directory).await.err().unwrap();
    assert!(refused.to_string().contains("holds other rows"), "{refused}");
    assert_eq!(app.records.audit_base(app.keyring.rows()).await.unwrap(), ChainHead::default());
    std::fs::remove_file(&path).unwrap();
    // One with all of them was written before the server ended, which had begun to drop rows.
    archive::write(app, &known, 1, known.head.seq, &path).await.unwrap();
    let rows = app.records.after(0, 100).await.unwrap();
    app.writer.drop_audit(ChainHead { seq: 2, hash: rows[1].hash }, None).await.unwrap();
    archive::retain(app, now, 0, &directory).await.unwrap();
    let base = app.records.audit_base(app.keyring.rows()).await.unwrap();
    assert_eq!(base, known.head);
}

#[tokio::test]
async fn whoever_has_no_root_key_asks_the_server_that_runs() {
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = elsewhere.path().join("key");
    std::fs::write(&key, "ab".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    let key = key.to_str().unwrap();
    let mut process = Process::start_with(data.path(), "info", &["--root-key-file", key]).await;
    let (holds, report, error) = admin(Some(data.path()), &["verify-audit"]).await;
    assert!(holds && report["rows"] == 1, "{report} {error}");
    process.child.kill().await.unwrap();
    let (holds, _, error) = admin(Some(data.path()), &["verify-audit"]).await;
    assert!(!holds && error.contains("no root key"), "{error}");
    let (holds, report, error) = admin(Some(data.path()), &["--root-key-file", key, "verify-audit"]).await;
    assert!(holds && report["rows"] == 1, "after kill -9: {report} {error}");
    let (holds, _, error) = admin(None, &["verify-audit"]).await;
    assert!(!holds && error.contains("--data-dir"), "{error}");
}
