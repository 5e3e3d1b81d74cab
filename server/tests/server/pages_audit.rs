//! The audit in the dashboard: rows by names, one row with its reason, files, reads over time, and whether the chain holds.

use sikkerkey_protocol::management::AuditEntry;
use sikkerkey_server::audit::entry::{Action, Actor, Entry};
use sikkerkey_server::decision::{Context, Decision};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::account::Vault;
use sikkerkey_server::writer::ChangeRequest;

use crate::browser::*;
use crate::fixture::*;
use crate::tampering::unlocked;

const AUDIT: &str = "/vaults/vault_v/audit";

/// The owner's browser, at a server whose host has read `db` and was denied `none`.
async fn scene() -> (Server, Browser) {
    let server = server_with_owner().await;
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_none").await.status, 404);
    let browser = Browser::at(HOME);
    assert_eq!(browser.log_in(&server, PASSWORD).await.status, 200);
    (server, browser)
}

async fn page(server: &Server, browser: &Browser, target: &str) -> String {
    let answer = browser.page(server, target).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.text().to_owned()
}

async fn write(server: &Server, entries: Vec<Entry>) {
    let decide =
        Box::new(move |_: &Context<'_>| Ok(Decision { changes: vec![], audit: entries, answer: Box::new(|_| ()) }));
    let request = ChangeRequest { spend: None, actor: Actor::System, source_ip: None, what: "test", decide };
    server.engine.app.writer.change(request).await.unwrap();
}

/// A row of the vault that says this.
fn row(vault: &str, detail: impl Into<String>) -> Entry {
    let vault = Some(vault.parse().unwrap());
    Entry { vault, detail: detail.into(), ..Entry::new(Action::SecretDelete, Actor::Administrator) }
}

/// The numbers of the rows on a page, in its order.
fn numbers(page: &str) -> Vec<u64> {
    let links = page.split("<th scope=\"row\"><a href=\"/vaults/vault_v/audit/").skip(1);
    links.map(|it| it.split('"').next().unwrap().parse().unwrap()).collect()
}

/// The number of the last row that has this in it.
async fn number(server: &Server, text: &str) -> u64 {
    let rows = server.engine.app.records.after(0, 10_000).await.unwrap();
    rows.iter().rfind(|it| it.entry.contains(text)).unwrap().seq
}

/// The address of a link with these words.
fn link(page: &str, words: &str) -> String {
    let before = page.split(&format!(">{words}</a>")).next().unwrap();
    let address = before.rsplit("href=\"").next().unwrap().split('"').next().unwrap();
    address.replace("&amp;", "&")
}

#[tokio::test]
async fn rows_are_told_in_words_with_links_and_the_reason_of_a_denial() {
    let (server, browser) = scene().await;
    let shown = page(&server, &browser, AUDIT).await;
    let host = host().id;
    for part in [
        &format!("<a href=\"/vaults/vault_v/machines/{host}\">build-host</a>"),
        "read a secret <a href=\"/vaults/vault_v/secrets/sk_db\">db</a>",
        "was denied a secret",
        "it asked for a secret that is not granted to it",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let ordered = numbers(&shown);
    assert!(ordered.is_sorted_by(|a, b| a > b) && ordered.len() >= 3, "{ordered:?}");
}

#[tokio::test]
async fn each_filter_finds_by_names_what_it_says() {
    let (server, browser) = scene().await;
    let read = number(&server, "\"secret_read\"").await;
    let denied = number(&server, "\"secret_read_denied\"").await;
    for (query, finds) in [
        ("machine=build", vec![denied, read]),
        ("machine=BUILD-host&action=secret_read", vec![read]),
        ("secret=sk_db", vec![read]),
        ("secret=db&severity=low", vec![]),
        ("project=shop&by=machine", vec![read]),
        ("severity=medium&by=machine", vec![denied]),
        ("q=NotGranted", vec![denied]),
        ("who=team%40example.com&action=secret_read", vec![]),
        ("from=5+minutes+ago&to=now&by=machine", vec![]),
        ("from=today&by=machine&zone=Europe%2FOslo", vec![denied, read]),
        ("to=yesterday", vec![]),
        ("address=203.0.113.99", vec![]),
        ("q=&action=&severity=&by=machine&who=&machine=&secret=&project=&address=&from=&to=&zone=", vec![denied, read]),
    ] {
        // The page about the last minutes is not empty only when the reads are younger.
        server.clock.advance_seconds(600);
        browser.set_token(None);
        assert_eq!(browser.log_in(&server, PASSWORD).await.status, 200);
        let shown = page(&server, &browser, &format!("{AUDIT}?{query}")).await;
        assert_eq!(numbers(&shown), finds, "{query}");
        assert_eq!(shown.contains("No row found"), finds.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_said_where_it_was_typed() {
    let (server, browser) = scene().await;
    for (query, wrong) in [
        ("machine=nobody", "No machine of this vault is called &quot;nobody&quot;: give a name"),
        ("from=whenever", "&quot;whenever&quot; is no instant: give a day such as 2026-03-04"),
        ("address=here", "&quot;here&quot; is no address"),
        ("action=secret_stolen", "&quot;secret_stolen&quot; is no action"),
        ("from=now&to=yesterday", "From lies at or after to"),
    ] {
        let shown = page(&server, &browser, &format!("{AUDIT}?{query}")).await;
        assert!(shown.contains(wrong), "{query}: {shown}");
        assert_eq!(numbers(&shown), [0; 0], "{query}");
    }
    let typed = page(&server, &browser, &format!("{AUDIT}?machine=%22%3E%3Cscript%3E&from=whenever")).await;
    assert!(typed.contains("value=\"&quot;&gt;&lt;script&gt;\"") && !typed.contains("<script>"), "{typed}");
}

#[tokio::test]
async fn pages_follow_each_other_both_ways_and_miss_no_row() {
    let (server, browser) = scene().await;
    write(&server, (0..130).map(|it| row("vault_v", format!("row {it}"))).collect()).await;
    let to = format!("{AUDIT}?action=secret_delete");
    let first = page(&server, &browser, &to).await;
    let second = page(&server, &browser, &link(&first, "Older")).await;
    let third = page(&server, &browser, &link(&second, "Older")).await;
    let all: Vec<u64> = [&first, &second, &third].into_iter().flat_map(|it| numbers(it)).collect();
    assert!(all.len() == 130 && all.is_sorted_by(|a, b| a == &(b + 1)), "{all:?}");
    assert!(!third.contains(">Older</a>") && !first.contains(">Newer</a>"));
    // Rows that come meanwhile shift nothing.
    write(&server, vec![row("vault_v", "later")]).await;
    let back = page(&server, &browser, &link(&third, "Newer")).await;
    assert_eq!(numbers(&back), numbers(&second));
    let back = page(&server, &browser, &link(&back, "Newer")).await;
    assert_eq!(numbers(&back), numbers(&first));
    let newest = page(&server, &browser, &link(&back, "Newest")).await;
    assert_eq!(numbers(&newest)[0], number(&server, "later").await);
}

#[tokio::test]
async fn a_page_that_stays_open_shows_new_rows_and_leaves_none() {
    let (server, browser) = scene().await;
    let shown = page(&server, &browser, AUDIT).await;
    assert!(shown.contains("<div id=\"found\" data-live=\"5\">"), "{shown}");
    let before = server.audit().await.len();
    server.get(&Client::host(), "/v1/secret/sk_db").await;
    let mut again = browser.request("GET", AUDIT, "");
    again.headers.push(("sikkerkey-by-itself", "1".into()));
    let answer = server.send(again).await;
    let newest = number(&server, "\"secret_read\"").await;
    assert_eq!((answer.status.as_u16(), numbers(answer.text())[0]), (200, newest));
    assert_eq!(server.audit().await.len(), before + 1, "the read alone");
    // What lies further back does not change.
    let back = page(&server, &browser, &format!("{AUDIT}?before={newest}")).await;
    assert!(back.contains("<div id=\"found\">"), "{back}");
}

#[tokio::test]
async fn a_row_says_which_rule_denied_and_that_it_fits_into_the_chain() {
    let (server, browser) = scene().await;
    let denied = number(&server, "\"secret_read_denied\"").await;
    let shown = page(&server, &browser, &format!("{AUDIT}/{denied}")).await;
    for part in [
        "The machine was denied because <strong>it asked for a secret that is not granted to it</strong>",
        "The rule that decided: <strong>Grant</strong>. It asks that a grant gives this secret to this machine",
        "fits",
        "\"action\":\"secret_read_denied\"".replace('"', "&quot;").as_str(),
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let around = page(&server, &browser, &link(&shown, "Rows around it")).await;
    assert!(numbers(&around).contains(&denied));
}

#[tokio::test]
async fn rows_of_another_vault_and_of_none_are_not_there() {
    let (server, browser) = scene().await;
    let other = Vault { id: "vault_w".parse().unwrap(), account: "account-w".into(), name: "other".into() };
    server.put(Entity::Vault(other)).await;
    write(&server, vec![row("vault_w", "theirs"), row("vault_v", "ours")]).await;
    let theirs = number(&server, "theirs").await;
    let shown = page(&server, &browser, AUDIT).await;
    assert!(shown.contains("ours") && !shown.contains("theirs"), "{shown}");
    for number in [theirs.to_string(), "1".into(), "999999".into(), "0".into(), "x".into()] {
        let answer = browser.page(&server, &format!("{AUDIT}/{number}")).await;
        assert_eq!(answer.status, 404, "{number}: {}", answer.text());
        assert!(answer.text().contains("The audit of this vault has no row"), "{}", answer.text());
    }
    assert_eq!(browser.page(&server, "/vaults/vault_w/audit").await.status, 404);
    let csv = browser.page(&server, &format!("{AUDIT}/rows.csv")).await;
    assert!(csv.text().contains("ours") && !csv.text().contains("theirs"), "{}", csv.text());
}

#[tokio::test]
async fn a_name_that_is_a_script_is_text() {
    let (server, browser) = scene().await;
    let name = "<script>alert(1)</script>";
    server.put(Entity::Machine(sikkerkey_server::model::machine::Machine { name: name.into(), ..host() })).await;
    write(&server, vec![row("vault_v", name)]).await;
    for target in [AUDIT.to_owned(), format!("{AUDIT}/{}", number(&server, "alert(1)").await)] {
        let shown = page(&server, &browser, &target).await;
        assert!(shown.contains("&lt;script&gt;alert(1)") && !shown.contains("<script>alert"), "{target}: {shown}");
    }
}

#[tokio::test]
async fn a_file_holds_what_its_page_said_and_the_next_one_goes_on() {
    let (server, browser) = scene().await;
    write(&server, (0..10_001).map(|it| row("vault_v", format!("row {it}"))).collect()).await;
    let told = page(&server, &browser, &format!("{AUDIT}/file?action=secret_delete")).await;
    assert!(told.contains("10000 rows") && told.contains("A file has 10000 rows at most"), "{told}");
    // Rows that come meanwhile are in none of the files.
    write(&server, vec![row("vault_v", "later")]).await;
    let csv = browser.page(&server, &link(&told, "CSV")).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    let name = csv.headers["content-disposition"].to_str().unwrap();
    assert!(name.starts_with("attachment; filename=\"audit-up-to-row-") && name.ends_with(".csv\""), "{name}");
    let text = csv.text();
    assert_eq!(text.lines().count(), 10_001);
    assert!(text.starts_with("id,time,") && text.contains(",row 10000") && text.contains(",row 1\r\n"));
    assert!(!text.contains(",later") && !text.contains(",row 0\r\n"));
    let lines = browser.page(&server, &link(&told, "JSON lines")).await;
    let entries: Vec<AuditEntry> = lines.text().lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!((entries.len(), entries[0].detail.as_str()), (10_000, "row 10000"));

    let next = page(&server, &browser, &link(&told, "The next file")).await;
    assert!(next.contains("1 row<") && !next.contains("There is more"), "{next}");
    let rest = browser.page(&server, &link(&next, "CSV")).await;
    assert!(rest.text().lines().count() == 2 && rest.text().contains(",row 0\r\n"), "{}", rest.text());
}

#[tokio::test]
async fn reads_and_denials_are_drawn_and_told_for_the_vault_a_secret_and_a_machine() {
    let (server, browser) = scene().await;
    server.get(&Client::host(), "/v1/secret/sk_db").await;
    server.get(&Client::pod(), "/v1/secret/sk_db").await;
    let host = host().id;
    for (query, words) in [
        ("", "<strong>3</strong> reads and <strong>1</strong> denials of this vault, by the hour in UTC."),
        ("?range=day", "<strong>3</strong> reads and <strong>1</strong> denials of this vault, by the hour in UTC."),
        ("?range=month", "<strong>3</strong> reads and <strong>1</strong> denials of this vault, by the day in UTC."),
        ("?secret=sk_db", "<strong>3</strong> reads and <strong>0</strong> denials of secret db, by the hour in UTC."),
        (
            &format!("?machine={host}&range=month"),
            "<strong>2</strong> reads and <strong>1</strong> denials by machine build-host, by the day in UTC.",
        ),
        (
            &format!("?machine={}&secret=sk_db", pod().id),
            "<strong>1</strong> reads and <strong>0</strong> denials of secret db by machine",
        ),
    ] {
        let shown = page(&server, &browser, &format!("{AUDIT}/reads{query}")).await;
        assert!(shown.contains(words), "{query}: {shown}");
        assert!(shown.contains("role=\"img\" aria-labelledby=\"plot-title plot-desc\""), "{query}");
        assert!(!shown.contains("style="), "{query}");
    }
    let nothing = page(&server, &browser, &format!("{AUDIT}/reads?secret=sk_gone")).await;
    assert!(nothing.contains("Nothing was read"), "{nothing}");
    let answer = browser.page(&server, &format!("{AUDIT}/reads?secret=gone")).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
}

#[tokio::test]
async fn a_check_says_what_holds_and_what_a_person_must_still_do() {
    let (server, browser) = scene().await;
    let asked = page(&server, &browser, &format!("{AUDIT}/chain")).await;
    assert!(asked.contains("Check from the first row") && !asked.contains("What was checked"), "{asked}");
    let shown = page(&server, &browser, &format!("{AUDIT}/chain?after=0")).await;
    let last = server.audit().await.len();
    let words = format!("{last} rows were checked, from row 1 to row {last}");
    for part in ["What was checked holds", &words, "no anchor", "What this page cannot tell you", "admin verify-audit"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let part = page(&server, &browser, &format!("{AUDIT}/chain?after=3")).await;
    assert!(part.contains("from row 4 to row") && part.contains("Nothing is said about rows 1 to 3"), "{part}");
    let answer = browser.page(&server, &format!("{AUDIT}/chain?after=999999")).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("There is no such row to go on after"), "{}", answer.text());
}

#[tokio::test]
async fn a_row_that_was_changed_by_hand_is_named_while_the_server_runs() {
    let (server, browser) = scene().await;
    let read = number(&server, "\"secret_read\"").await;
    let database = server.database();
    let sql = format!(
        "{}; update audit set entry = replace(entry, 'build-host', 'other-host') where seq = {read}",
        unlocked(&database)
    );
    database.execute(&sql).await;
    let shown = page(&server, &browser, &format!("{AUDIT}/chain?after=0")).await;
    assert!(shown.contains("What was checked does not hold"), "{shown}");
    assert!(shown.contains(&format!("row {read} was changed, or does not follow the one before it")), "{shown}");
    let shown = page(&server, &browser, &format!("{AUDIT}/{read}")).await;
    assert!(shown.contains("does not fit"), "{shown}");
}

#[tokio::test]
async fn rows_that_were_cut_off_while_the_server_runs_are_missed() {
    let (server, browser) = scene().await;
    page(&server, &browser, &format!("{AUDIT}/chain?after=0")).await;
    let last = server.audit().await.len();
    let database = server.database();
    database.execute(&format!("{}; delete from audit where seq > {}", unlocked(&database), last - 2)).await;
    let shown = page(&server, &browser, &format!("{AUDIT}/chain?after=0")).await;
    let words = format!("row {last} was seen by this server, and the chain ends at row {}", last - 2);
    assert!(shown.contains(&words), "{shown}");
}

#[tokio::test]
async fn one_check_at_a_time_keeps_a_core_busy() {
    let (server, browser) = scene().await;
    let turn = server.engine.app.checks.take("another").unwrap();
    let answer = browser.page(&server, &format!("{AUDIT}/chain?after=0")).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.text().contains("The chain is being checked for somebody already: wait for that"));
    drop(turn);
    page(&server, &browser, &format!("{AUDIT}/chain?after=0")).await;
}
