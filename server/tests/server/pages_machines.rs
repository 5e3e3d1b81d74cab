//! Machines in the dashboard: from the page to what the machine plane then says.

use serde_json::json;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::Secret;

use crate::browser::*;
use crate::fixture::*;

const MACHINES: &str = "/vaults/vault_v/machines";

/// The owner's browser, at a server with a project `ci` whose secret `sk_key` the host reads.
async fn scene() -> (Server, Browser) {
    let server = server_with_owner().await;
    server.put(Entity::Project(Project { namespace: None, ..server.project("ci") })).await;
    server.put_secret(Secret { managed: None, ..secret("key", "ci") }, "hunter3").await;
    server.put(Entity::Membership(member("ci"))).await;
    let granted = grant(3, Grantee::Machine(host().id), &["sk_key"]);
    let project = "proj_ci".parse().unwrap();
    server.put(Entity::Grant(sikkerkey_server::model::grant::Grant { project, ..granted })).await;
    let browser = Browser::at(HOME);
    assert_eq!(browser.log_in(&server, PASSWORD).await.status, 200);
    (server, browser)
}

async fn page(server: &Server, browser: &Browser, target: &str) -> String {
    let answer = browser.page(server, target).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.text().to_owned()
}

/// Sends a form that is done. Returns where it leads.
async fn done(server: &Server, browser: &Browser, target: &str, fields: &[(&str, &str)]) -> String {
    let answer = browser.form(server, target, fields).await;
    assert_eq!(answer.status, 303, "{target}: {}", answer.text());
    answer.headers["location"].to_str().unwrap().to_owned()
}

async fn read(server: &Server) -> u16 {
    server.get(&Client::host(), "/v1/secret/sk_key").await.status.as_u16()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from} in {text}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} in {rest}")).0
}

#[tokio::test]
async fn a_new_machine_goes_from_the_command_to_its_approval_by_the_fingerprint_that_was_shown() {
    let (server, browser) = scene().await;
    let form = page(&server, &browser, &format!("{MACHINES}/new?for=macos")).await;
    assert!(form.contains("in Terminal on the Mac"), "{form}");
    let fields = [("for", "macos"), ("name", "nas"), ("kind", "temporary"), ("lasts", "2"), ("lasts_unit", "days")];
    let answer = browser.form(&server, &format!("{MACHINES}/new"), &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = answer.text();
    let token = between(shown, "/v1/vault_v/temp-bootstrap/", " | sh").to_owned();
    assert!(shown.contains("2 days from its approval on"), "{shown}");
    let of = between(shown, "data-from=\"", "\"").to_owned();
    assert!(!of.contains(&token), "the token stands in an address");
    let awaited = page(&server, &browser, &of).await;
    assert!(awaited.contains("Nothing has registered yet") && !awaited.contains(&token), "{awaited}");

    let client = Client::new(String::new(), 0x21);
    let body = json!({ "token": token, "publicKey": key(0x21).public_key(), "hostname": "<script>nas" }).to_string();
    let registered = server.post(&client, "/v1/bootstrap/register", &body).await;
    assert_eq!(registered.status, 200, "{}", registered.text());
    let id = registered.json()["machineId"].as_str().unwrap().to_owned();
    let client = Client::new(id.clone(), 0x21);
    assert_eq!(server.get(&client, "/v1/secrets").await.status, 403);

    let fingerprint = key(0x21).public_key().fingerprint();
    for shown in [page(&server, &browser, &of).await, page(&server, &browser, MACHINES).await] {
        assert!(shown.contains(&fingerprint) && shown.contains(&format!("{MACHINES}/{id}/approve")), "{shown}");
        assert!(!shown.contains("<script>nas"), "{shown}");
    }
    let approve = format!("{MACHINES}/{id}/approve");
    let other = browser.form(&server, &approve, &[("fingerprint", "SHA256:0000")]).await;
    assert_eq!(other.status, 409, "{}", other.text());
    assert!(other.text().contains("it is not the one that was looked at"), "{}", other.text());
    assert_eq!(server.get(&client, "/v1/secrets").await.status, 403);
    let to = done(&server, &browser, &approve, &[("fingerprint", &fingerprint)]).await;
    assert_eq!(to, format!("{MACHINES}/{id}?said=machine-approved"));
    assert!(page(&server, &browser, &to).await.contains("The machine is approved."));
    assert_eq!(server.get(&client, "/v1/secrets").await.status, 200);

    // More time, and back again.
    let ends = |server: &Server| server.engine.app.live.read().state.machines[&id.parse().unwrap()].expires_at.unwrap();
    let before = ends(&server);
    let fields = [("by", "3"), ("by_unit", "hours"), ("reason", "the <b>audit</b> goes on")];
    done(&server, &browser, &format!("{MACHINES}/{id}/extend"), &fields).await;
    assert_eq!(ends(&server), before.plus_seconds(3 * 3600));
    let shown = page(&server, &browser, &format!("{MACHINES}/{id}")).await;
    assert!(shown.contains("the &lt;b&gt;audit&lt;/b&gt; goes on"), "{shown}");
    done(&server, &browser, &format!("{MACHINES}/{id}/revert-extension"), &[]).await;
    assert_eq!(ends(&server), before);
}

#[tokio::test]
async fn a_machine_that_waits_is_denied_in_its_row_and_its_command_says_so() {
    let (server, browser) = scene().await;
    let answer = browser.form(&server, &format!("{MACHINES}/new"), &[("for", "linux"), ("name", "nas")]).await;
    let token = between(answer.text(), "/v1/bootstrap/", " | sh").to_owned();
    let of = between(answer.text(), "data-from=\"", "\"").to_owned();
    let body = json!({ "token": token, "publicKey": key(0x22).public_key() }).to_string();
    let registered = server.post(&Client::new(String::new(), 0x22), "/v1/bootstrap/register", &body).await;
    let id = registered.json()["machineId"].as_str().unwrap().to_owned();
    let to = done(&server, &browser, &format!("{MACHINES}/{id}/deny"), &[]).await;
    assert_eq!(to, format!("{MACHINES}?said=machine-denied"));
    assert!(!server.engine.app.live.read().state.machines.contains_key(&id.parse().unwrap()));
    assert!(page(&server, &browser, &of).await.contains("was denied or revoked since"));
}

#[tokio::test]
async fn what_is_changed_on_a_machines_page_holds_for_its_next_request() {
    let (server, browser) = scene().await;
    let of = format!("{MACHINES}/{}", host().id);
    assert_eq!(read(&server).await, 200);
    let shown = page(&server, &browser, &of).await;
    for part in ["What it may read", "sk_key", "Last reads and denials", "/vaults/vault_v/projects/proj_ci"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    done(&server, &browser, &format!("{of}/disable"), &[]).await;
    assert_eq!(read(&server).await, 403);
    assert!(page(&server, &browser, &of).await.contains(&format!("{of}/enable")));
    done(&server, &browser, &format!("{of}/enable"), &[]).await;
    assert_eq!(read(&server).await, 200);

    done(&server, &browser, &format!("{of}/rename"), &[("name", " <script>alert(1)</script> ")]).await;
    let shown = page(&server, &browser, &of).await;
    assert!(!shown.contains("<script>alert"), "{shown}");
    assert!(shown.contains("Earlier names") && shown.contains(&host().name), "{shown}");

    let seen = between(&shown, "name=\"seen\" value=\"", "\"");
    let rails = [("ranges", "192.0.2.0/24\r\n"), ("days", "Mon"), ("start", "08:00"), ("end", "18:00"), ("seen", seen)];
    let half = browser.form(&server, &format!("{of}/guardrails"), &rails).await;
    assert_eq!(half.status, 400, "{}", half.text());
    done(&server, &browser, &format!("{of}/guardrails"), &[("ranges", "192.0.2.0/24\r\n"), ("seen", seen)]).await;
    assert_eq!(read(&server).await, 403);
    // A page that was open before that takes nothing back.
    let stale = browser.form(&server, &format!("{of}/guardrails"), &[("ranges", ""), ("seen", seen)]).await;
    assert_eq!(stale.status, 409, "{}", stale.text());
    assert!(stale.text().contains("t has other guardrails meanwhile: open the page again"), "{}", stale.text());
    assert_eq!(read(&server).await, 403);
    let shown = page(&server, &browser, &of).await;
    assert!(shown.contains("192.0.2.0/24"), "{shown}");
    let seen = between(&shown, "name=\"seen\" value=\"", "\"");
    done(&server, &browser, &format!("{of}/guardrails"), &[("ranges", ""), ("seen", seen)]).await;
    assert_eq!(read(&server).await, 200);

    let preview = page(&server, &browser, &format!("{of}/revoke")).await;
    for part in ["<strong>2</strong> memberships", "<strong>2</strong> grants", "<strong>2</strong> secrets"] {
        assert!(preview.contains(part), "no {part} in {preview}");
    }
    assert_eq!(read(&server).await, 200);
    done(&server, &browser, &format!("{of}/revoke"), &[]).await;
    assert_eq!(read(&server).await, 401);
}

#[tokio::test]
async fn the_list_is_searched_filtered_and_sorted_by_its_address() {
    let (server, browser) = scene().await;
    for n in 0..60u8 {
        let id = uuid(0x40 + n).parse().unwrap();
        let name = format!("host-{n:02}");
        server.put(Entity::Machine(Machine { id, name, public_key: key(0x40 + n).public_key(), ..host() })).await;
    }
    let shown = page(&server, &browser, &format!("{MACHINES}?q=HOST-5&sort=name&order=desc")).await;
    let rows: Vec<&str> = shown.match_indices(">host-").map(|(at, _)| &shown[at + 1..at + 8]).collect();
    assert_eq!(
        rows,
        ["host-59", "host-58", "host-57", "host-56", "host-55", "host-54", "host-53", "host-52", "host-51", "host-50"]
    );
    assert!(shown.contains("aria-sort=\"descending\""), "{shown}");
    let shown = page(&server, &browser, &format!("{MACHINES}?q=host-&page=2")).await;
    assert!(shown.contains("51–60 of 60") && shown.contains("host-59") && !shown.contains("host-49"), "{shown}");
    let shown = page(&server, &browser, &format!("{MACHINES}?q=&status=locked-out")).await;
    assert!(shown.contains("No machine is like that"), "{shown}");
    let odd = browser.page(&server, &format!("{MACHINES}?status=odd")).await;
    assert_eq!(odd.status, 400);
    assert!(odd.text().contains("open the page from the menu"), "{}", odd.text());
}

#[tokio::test]
async fn a_machine_that_is_granted_very_much_shows_the_first_of_it_and_where_the_rest_is() {
    let (server, browser) = scene().await;
    let of = format!("{MACHINES}/{}", host().id);
    let link = format!("<a href=\"{of}/access\">and ");
    assert!(!page(&server, &browser, &of).await.contains(&link));
    let names: Vec<String> = (0..120).map(|n| format!("m{n:03}")).collect();
    for name in &names {
        server.put(Entity::Secret(Secret { managed: None, ..secret(name, "ci") })).await;
    }
    let ids: Vec<String> = names.iter().map(|it| format!("sk_{it}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let granted = grant(0x7a, Grantee::Machine(host().id), &ids);
    let project = "proj_ci".parse().unwrap();
    server.put(Entity::Grant(sikkerkey_server::model::grant::Grant { project, ..granted })).await;
    let shown = page(&server, &browser, &of).await;
    let more: usize = between(&shown, &link, " more</a>").parse().unwrap();
    assert!(more >= 71, "{more}");
    assert!(shown.contains("/secrets/sk_m000\"") && !shown.contains("/secrets/sk_m119\""), "{shown}");
}

#[tokio::test]
async fn a_machine_of_a_fleet_shows_its_object_and_offers_no_change_of_what_that_says() {
    let (server, browser) = scene().await;
    let pod = pod();
    let shown = page(&server, &browser, &format!("{MACHINES}/{}", pod.id)).await;
    for part in ["Managed by Kubernetes", "kubectl -n", "suspend: false", "/revoke"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    for part in ["/disable", "/rename", "/guardrails"] {
        assert!(!shown.contains(part), "{part} in {shown}");
    }
    let refused = browser.form(&server, &format!("{MACHINES}/{}/disable", pod.id), &[]).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("set spec.suspend there"), "{}", refused.text());

    // A fleet that asks for a person's word gets it here.
    let fleet = fleet();
    server
        .put(Entity::Fleet(sikkerkey_server::model::fleet::Fleet { approval: Approval::Pending, ..fleet.clone() }))
        .await;
    let list = page(&server, &browser, MACHINES).await;
    assert!(list.contains("Its object asks for a person’s word"), "{list}");
    done(&server, &browser, &format!("{MACHINES}/{}/approve", fleet.id), &[]).await;
    assert_eq!(server.engine.app.live.read().state.fleets[&fleet.id].approval, Approval::Approved);
    let preview = page(&server, &browser, &format!("{MACHINES}/{}/revoke", fleet.id)).await;
    assert!(preview.contains("Every machine of it loses its identity"), "{preview}");
    done(&server, &browser, &format!("{MACHINES}/{}/revoke", fleet.id), &[]).await;
    assert!(!server.engine.app.live.read().state.machines.contains_key(&pod.id));
    // Denied once, it is approved again in the same way.
    let of = format!("{MACHINES}/{}", fleet.id);
    let denied = page(&server, &browser, &of).await;
    assert!(denied.contains(&format!("{of}/approve")) && !denied.contains(&format!("{of}/revoke")), "{denied}");
    done(&server, &browser, &format!("{of}/approve"), &[]).await;
    assert_eq!(server.engine.app.live.read().state.fleets[&fleet.id].approval, Approval::Approved);
}

#[tokio::test]
async fn a_job_enrols_with_a_token_that_a_page_made_and_not_when_it_is_revoked() {
    let (server, browser) = scene().await;
    let form = page(&server, &browser, &format!("{MACHINES}/new?for=ci&project=proj_ci")).await;
    assert!(form.contains("value=\"sk_key\""), "{form}");
    let fields = [
        ("name", "jobs"),
        ("project", "proj_ci"),
        ("secrets", "sk_key"),
        ("good", "30"),
        ("good_unit", "days"),
        ("lasts", "90"),
        ("lasts_unit", "minutes"),
        ("uses", "2"),
    ];
    let made = browser.form(&server, "/vaults/vault_v/enrolment", &fields).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let token = between(made.text(), "<code id=\"token\">", "</code>").to_owned();
    let enrol = async |seed: u8| {
        let body = json!({ "token": token, "publicKey": key(seed).public_key(), "hostname": "ci-1" }).to_string();
        let client = Client::new(String::new(), seed);
        server.post(&client, "/v1/vault_v/enroll/register", &body).await
    };
    let enrolled = enrol(0x31).await;
    assert_eq!(enrolled.status, 200, "{}", enrolled.text());
    let job = Client::new(enrolled.json()["machineId"].as_str().unwrap().to_owned(), 0x31);
    assert_eq!(server.get(&job, "/v1/secret/sk_key").await.status, 200);

    let list = page(&server, &browser, "/vaults/vault_v/enrolment").await;
    assert!(list.contains("1 of 2") && !list.contains(&token), "{list}");
    let id = between(&list, "/vaults/vault_v/enrolment/", "\"").to_owned();
    let of = format!("/vaults/vault_v/enrolment/{id}");
    done(&server, &browser, &format!("{of}/revoke"), &[("reason", "no more jobs")]).await;
    assert!(page(&server, &browser, &of).await.contains("no more jobs"));
    assert_eq!(enrol(0x32).await.status, 401);
    assert_eq!(server.get(&job, "/v1/secret/sk_key").await.status, 200);
}
