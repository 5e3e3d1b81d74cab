//! The audit, looked through over the management plane and at the command line: against a model of what it holds.

use serde_json::{Value, json};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::management::{AuditEntry, AuditQuery, Next, SortDir};
use sikkerkey_server::audit::entry::{Action, Actor, Entry};
use sikkerkey_server::decision::{Context, Decision};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::account::Vault;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::usecase::audit::{Search, page_within};
use sikkerkey_server::writer::ChangeRequest;
use tokio::process::Command;

use crate::fixture::*;

const QUERY: &str = "/v1/ai/audit/query";
const EXPORT: &str = "/v1/ai/audit/export";
/// How many rows the tests write.
const ROWS: usize = 700;

/// The row of a number: of two vaults, three actions, four addresses, at ten rows a second.
fn entry(n: usize) -> Entry {
    let vault = if n % 5 == 4 { "vault_w" } else { "vault_v" };
    let action = [Action::SecretRead, Action::SecretReadDenied, Action::SecretDelete][n % 3];
    Entry {
        vault: Some(vault.parse().unwrap()),
        project: n.is_multiple_of(2).then(|| "proj_shop".parse().unwrap()),
        machine: Some(uuid(u8::try_from(n % 7).unwrap()).parse().unwrap()),
        secret: Some(format!("sk_n{}", n % 11).parse().unwrap()),
        source_ip: (!n.is_multiple_of(4)).then(|| format!("10.0.0.{}", n % 4).parse().unwrap()),
        denial: (n % 3 == 1).then_some(DenialReason::RateCapReached),
        detail: format!("Row \"{n}\" of Åse, \\{}", if n.is_multiple_of(13) { " =Thirteen" } else { "" }),
        ..Entry::new(action, Actor::Machine(uuid(u8::try_from(n % 7).unwrap()).parse().unwrap()))
    }
}

/// A server with those rows behind its first ones.
async fn server() -> Server {
    let server = Server::new().await;
    server.put(Entity::Agent(assistant())).await;
    let other = Vault { id: "vault_w".parse().unwrap(), account: "account".into(), name: "other".into() };
    server.put(Entity::Vault(other)).await;
    for first in (0..ROWS).step_by(10) {
        server.clock.advance_seconds(1);
        write(&server, (first..first + 10).map(entry).collect()).await;
    }
    server
}

async fn write(server: &Server, entries: Vec<Entry>) {
    let decide =
        Box::new(move |_: &Context<'_>| Ok(Decision { changes: vec![], audit: entries, answer: Box::new(|_| ()) }));
    let request = ChangeRequest { spend: None, actor: Actor::System, source_ip: None, what: "test", decide };
    server.engine.app.writer.change(request).await.unwrap();
}

async fn ask(server: &Server, body: &Value) -> Value {
    let answer = server.post(&Client::assistant(), QUERY, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn details(answer: &Value) -> Vec<String> {
    let entries = answer["entries"].as_array().unwrap();
    entries.iter().map(|it| it["detail"].as_str().unwrap().to_owned()).collect()
}

fn expected(wanted: impl Fn(usize) -> bool) -> Vec<String> {
    (0..ROWS).rev().filter(|n| n % 5 != 4 && wanted(*n)).map(|n| entry(n).detail).collect()
}

/// When the row of a number was written.
fn time(n: usize) -> i64 {
    START + 1000 + i64::try_from(n / 10).unwrap() * 1000
}

/// A question, and which rows it means.
type Case = (Value, fn(usize) -> bool);

#[tokio::test]
async fn every_filter_answers_what_the_rows_say_and_no_row_of_another_vault() {
    let server = server().await;
    let cases: [Case; 14] = [
        (json!({"actions": ["secret_read"]}), |n| n % 3 == 0),
        (json!({"actions": ["secret_read", "secret_delete"], "severities": ["high"]}), |n| n % 3 == 2),
        (json!({"severities": ["medium", "high"], "actions": ["secret_read_denied"]}), |n| n % 3 == 1),
        (json!({"actions": ["secret_read"], "severities": ["critical"]}), |_| false),
        (json!({"sourceIp": "10.0.0.3"}), |n| n % 4 == 3),
        (json!({"search": "thirteen"}), |n| n % 13 == 0),
        (json!({"search": "\"13\" of Åse, \\ ="}), |n| n == 13),
        (json!({"search": "SK_N10"}), |n| n % 11 == 10),
        (json!({"search": "ratecap"}), |n| n % 3 == 1),
        (json!({"search": "vault_v", "actions": ["secret_read"]}), |_| false),
        (json!({"search": uuid(6)}), |n| n % 7 == 6),
        (
            json!({"from": time(100), "to": time(120), "actions": ["secret_read", "secret_read_denied", "secret_delete"]}),
            |n| (100..120).contains(&n),
        ),
        (json!({"from": time(100), "to": time(110), "sourceIp": "10.0.0.1", "search": "row", "actions": null}), |n| {
            (100..110).contains(&n) && n % 4 == 1
        }),
        (json!({"from": time(ROWS) + 1000}), |_| false),
    ];
    for (query, wanted) in cases {
        let mut all = Vec::new();
        let mut body = query.clone();
        body["pageSize"] = json!(40);
        for page in 1.. {
            body["page"] = json!(page);
            let answer = ask(&server, &body).await;
            all.extend(details(&answer));
            if answer["hasMore"] == false {
                assert_eq!(
                    (&answer["total"], &answer["next"], &answer["lookedBackTo"]),
                    (&json!(all.len()), &Value::Null, &Value::Null),
                    "{query}"
                );
                break;
            }
            // The rows of these very questions come on top: by the next of the answer nothing shifts.
            body["before"] = json!(answer["asOf"].as_u64().unwrap() + 1);
        }
        assert_eq!(all, expected(wanted), "{query}");
        // The same, by following where each answer says that it goes on.
        let (mut followed, mut body) = (Vec::new(), query.clone());
        loop {
            let answer = ask(&server, &body).await;
            followed.extend(details(&answer));
            match &answer["next"] {
                Value::Null => break,
                next => body["before"] = next["before"].clone(),
            }
        }
        assert_eq!(followed, all, "{query}");
        // And the other way round.
        let (mut backwards, mut body) = (Vec::new(), query.clone());
        body["sortDir"] = json!("asc");
        loop {
            let answer = ask(&server, &body).await;
            backwards.extend(details(&answer));
            match &answer["next"] {
                Value::Null => break,
                next => body["after"] = next["after"].clone(),
            }
        }
        backwards.reverse();
        assert_eq!(backwards, all, "{query}");
    }
}

#[tokio::test]
async fn a_row_is_told_with_the_keys_of_the_protocol_and_its_reason_in_words() {
    let server = server().await;
    let answer = ask(&server, &json!({"search": "Row \"1\" of"})).await;
    let id = answer["entries"][0]["id"].as_u64().unwrap();
    assert_eq!(
        answer["entries"],
        json!([{
            "id": id, "action": "secret_read_denied", "severity": "medium", "actorKind": "machine", "userId": null,
            "machineId": uuid(1), "aiAgentId": null, "projectId": null, "secretId": "sk_n1", "sourceIp": "10.0.0.1",
            "reason": "RateCapReached", "reasonText": "the policy's cap was reached", "detail": entry(1).detail,
            "timestamp": time(1),
        }])
    );
    let rows = server.engine.app.records.after(id - 1, 1).await.unwrap();
    assert!(rows[0].entry.contains("Row \\\"1\\\" of"), "{}", rows[0].entry);
    // Whoever looks is in the audit, too, and so is whoever is refused.
    let refused = server.post(&Client::assistant(), QUERY, r#"{"pageSize":0}"#).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "pageSize is from 1 to 200"));
    let answer = ask(&server, &json!({"actions": ["management_read", "management_denied"]})).await;
    let seen: Vec<_> = answer["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| [&it["action"], &it["actorKind"], &it["aiAgentId"], &it["detail"]])
        .collect();
    let (me, agent) = (json!(uuid(0xa2)), json!("ai_agent"));
    let denied =
        [&json!("management_denied"), &agent, &me, &json!("POST /v1/ai/audit/query: pageSize is from 1 to 200")];
    // Its own row is written before it looks, and may be seen by it already.
    assert!(seen.contains(&denied), "{seen:?}");
    assert!(seen.contains(&[&json!("management_read"), &agent, &me, &json!("the audit")]), "{seen:?}");
}

#[tokio::test]
async fn what_one_answer_looks_through_is_bounded_and_the_answer_says_how_to_go_on() {
    let server = server().await;
    let app = &server.engine.app;
    for direction in [SortDir::Desc, SortDir::Asc] {
        let mut query = AuditQuery {
            search: Some("thirteen".into()),
            sort_dir: Some(direction),
            page_size: Some(3),
            ..AuditQuery::default()
        };
        let (mut all, mut answers) = (Vec::<AuditEntry>::new(), 0);
        loop {
            let search = Search::new(&query, Some("vault_v".parse().unwrap()), None).unwrap();
            let page = page_within(app, &search, 50).await.unwrap();
            assert!(page.looked_at <= 50, "{}", page.looked_at);
            answers += 1;
            // How far it looked is told where it ended early, and nothing before that is left out.
            if !page.has_more && page.next.is_some() {
                let at = page.looked_back_to.unwrap();
                assert!(page.entries.iter().all(|it| if direction == SortDir::Desc {
                    it.timestamp >= at
                } else {
                    it.timestamp <= at
                }));
            }
            all.extend(page.entries);
            match page.next {
                Some(Next::Before(seq)) => query.before = Some(seq),
                Some(Next::After(seq)) => query.after = Some(seq),
                None => break,
            }
        }
        assert!(answers >= ROWS / 50, "{answers}");
        let mut told: Vec<_> = all.into_iter().map(|it| it.detail).collect();
        if direction == SortDir::Asc {
            told.reverse();
        }
        assert_eq!(told, expected(|n| n % 13 == 0));
    }
}

#[tokio::test]
async fn rows_are_sorted_by_other_columns_within_what_is_looked_through() {
    let server = server().await;
    let all = json!(["secret_read", "secret_read_denied", "secret_delete"]);
    for (by, column) in [("action", "action"), ("sourceIp", "sourceIp"), ("severity", "severity")] {
        for direction in ["asc", "desc"] {
            let body = json!({"actions": all, "sortBy": by, "sortDir": direction, "pageSize": 200});
            let answer = ask(&server, &body).await;
            let keys: Vec<_> = answer["entries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it[column].as_str().unwrap_or("").to_owned())
                .collect();
            let rank = |it: &String| match (by, it.as_str()) {
                ("severity", "info") => "0".to_owned(),
                ("severity", "medium") => "2".to_owned(),
                ("severity", "high") => "3".to_owned(),
                _ => it.clone(),
            };
            let ranks: Vec<_> = keys.iter().map(rank).collect();
            let sorted = if direction == "asc" { ranks.is_sorted() } else { ranks.iter().rev().is_sorted() };
            assert!(sorted && ranks.len() == 200, "{by} {direction}: {ranks:?}");
            assert_eq!(answer["total"], json!(expected(|_| true).len()), "{by}");
        }
    }
}

#[tokio::test]
async fn rows_are_exported_for_a_spreadsheet_and_for_programs() {
    let server = server().await;
    let answer = server.post(&Client::assistant(), EXPORT, r#"{"search":"thirteen"}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (answer.headers["content-type"].to_str().unwrap(), answer.headers["x-sikkerkey-complete"].to_str().unwrap()),
        ("text/csv", "true")
    );
    let mut reader = csv::Reader::from_reader(answer.text().as_bytes());
    let place = reader.headers().unwrap().iter().position(|it| it == "detail").unwrap();
    let read: Vec<_> = reader.records().map(|it| it.unwrap()[place].to_owned()).collect();
    assert_eq!(read, expected(|n| n % 13 == 0));
    let answer =
        server.post(&Client::assistant(), EXPORT, r#"{"format":"jsonl","search":"thirteen","sortDir":"asc"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.headers["content-type"].to_str().unwrap()), (200, "application/jsonl"));
    let read: Vec<AuditEntry> = answer.text().lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let mut read: Vec<_> = read.into_iter().map(|it| it.detail).collect();
    read.reverse();
    assert_eq!(read, expected(|n| n % 13 == 0));
    let refused = server.post(&Client::assistant(), EXPORT, r#"{"format":"xlsx"}"#).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "format is csv or jsonl"));

    // The same at the command line, of all vaults.
    let directory = server.stop().await;
    let run = async |output: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
        command
            .args(["admin", "--output", output])
            .args(TestDatabase::of(directory.path()).arguments(directory.path()));
        let output = command.args(arguments).output().await.unwrap();
        let [out, error] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        (output.status.success(), out, error)
    };
    let thirteen = (0..ROWS).filter(|n| n % 13 == 0).count();
    let (_, out, error) = run("csv", &["audit", "query", "--search", "thirteen"]).await;
    assert_eq!(csv::Reader::from_reader(out.as_bytes()).records().count(), thirteen, "{error}");
    let (_, out, _) =
        run("jsonl", &["audit", "query", "--search", "thirteen", "--vault", "vault_w", "--ascending"]).await;
    let read: Vec<AuditEntry> = out.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(read.len(), thirteen - expected(|n| n % 13 == 0).len());
    assert!(read.is_sorted_by_key(|it| it.id));
    let (_, out, _) = run(
        "json",
        &[
            "audit",
            "query",
            "--action",
            "secret_delete",
            "--severity",
            "high",
            "--page-size",
            "2",
            "--vault",
            "vault_v",
        ],
    )
    .await;
    let page: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((details(&page), &page["hasMore"]), (expected(|n| n % 3 == 2)[..2].to_vec(), &json!(true)));
    let (_, out, _) = run("text", &["audit", "query", "--action", "secret_delete", "--page-size", "2"]).await;
    assert!(out.starts_with("ROW") && out.contains("there is more: go on with --before "), "{out}");
    for arguments in [&["audit"][..], &["vault", "list"], &["audit", "status"]] {
        let (done, _, error) = run("csv", arguments).await;
        assert!(!done && error.contains("--output csv and --output jsonl are for audit query"), "{error}");
    }
    let (done, _, error) = run("json", &["audit", "query", "--severity", "urgent"]).await;
    assert!(!done && error.contains("give info, low, medium, high or critical"), "{error}");
}

#[tokio::test]
async fn figures_say_what_there_is_and_what_was_read() {
    let server = Server::new().await;
    server.put(Entity::Agent(assistant())).await;
    let get = async |target: &str| {
        let answer = server.get(&Client::assistant(), target).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    for _ in 0..3 {
        assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 200);
    }
    server.clock.advance_seconds(2 * 3600);
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_none").await.status, 404);
    let stats = get("/v1/ai/stats").await;
    assert_eq!(
        stats,
        json!({
            "machines": {"total": 2, "pending": 0, "disabled": 0}, "agents": 2, "projects": 2, "secrets": 1,
            "trashedSecrets": 0, "policies": 0, "grants": 2, "reads24h": 4, "denied24h": 1,
        })
    );
    let asked = json!({"from": START - 3_600_000, "to": START + 3 * 3_600_000, "bucket": "hour"});
    let answer = server.post(&Client::assistant(), "/v1/ai/stats/reads-over-time", &asked.to_string()).await.json();
    let bucket = |hour: i64, reads: u64, denied: u64| json!({"start": START + hour * 3_600_000, "reads": reads, "denied": denied});
    assert_eq!(
        answer,
        json!({"bucket": "hour", "countedSince": null, "buckets": [bucket(-1, 0, 0), bucket(0, 3, 0), bucket(1, 0, 0), bucket(2, 1, 1)]})
    );
    // A day later they are no more of the last day, and still of their own.
    server.clock.advance_seconds(25 * 3600);
    let stats = get("/v1/ai/stats").await;
    assert_eq!((&stats["reads24h"], &stats["denied24h"]), (&json!(0), &json!(0)));
    let asked = json!({"from": START, "bucket": "day"});
    let answer = server.post(&Client::assistant(), "/v1/ai/stats/reads-over-time", &asked.to_string()).await.json();
    assert_eq!(answer["buckets"][0], json!({"start": START - 12 * 3_600_000, "reads": 4, "denied": 1}));
    // They agree with the audit, and outlive a restart.
    let told = server.audit().await.iter().filter(|it| it.action == Action::SecretRead).count();
    assert_eq!(told, 4);
    let usage = get("/v1/ai/usage").await;
    assert_eq!(
        (&usage["machines"], &usage["webhooks"]),
        (&json!({"used": 2, "limit": null}), &json!({"used": 0, "limit": 50}))
    );
    for _ in 0..20 {
        assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
    }
    let recent = get("/v1/ai/activity").await;
    let entries = recent["entries"].as_array().unwrap();
    assert!(entries.len() == 20 && entries.is_sorted_by_key(|it| std::cmp::Reverse(it["id"].as_u64())), "{recent}");
    let actions = get("/v1/ai/audit/actions").await;
    assert_eq!(actions["actions"].as_array().unwrap().len(), Action::all().len());
    assert_eq!(actions, get("/v1/ai/alerts/actions").await);
    assert!(
        actions["actions"].as_array().unwrap().contains(&json!({"action": "canary_triggered", "severity": "critical"}))
    );
}

#[tokio::test]
async fn an_agent_with_a_list_of_projects_sees_the_rows_of_those() {
    let server = server().await;
    let agent = Agent { projects: Some(["proj_shop".parse().unwrap()].into()), ..assistant() };
    server.put(Entity::Agent(agent)).await;
    let answer = ask(&server, &json!({"actions": ["secret_read"], "pageSize": 200})).await;
    assert_eq!(details(&answer), expected(|n| n % 3 == 0 && n % 2 == 0));
}
