//! Configure access: what is moved between the panels, and what a machine reads at once.

use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::Machine;
use sikkerkey_server::model::secret::Secret;

use crate::browser::Browser;
use crate::fixture::*;
use crate::pages_secrets::{desk, read, refused, send, shown};

/// The desk with secrets `one` and `two` that the host is not granted.
async fn desk_with_secrets() -> (Server, Browser) {
    let (server, browser) = desk().await;
    for name in ["one", "two"] {
        server.put_secret(Secret { managed: None, ..secret(name, "ci") }, "hunter2").await;
    }
    (server, browser)
}

#[tokio::test]
async fn what_is_moved_is_shown_before_it_is_saved_and_in_force_at_once() {
    let (server, browser) = desk_with_secrets().await;
    let page = format!("machines/{}/access", host().id);
    let address = format!("{page}?project=proj_ci");
    assert_eq!(read(&server, "sk_one").await, Err(403));
    // Moved and not saved, it changes nothing.
    let draft = shown(&server, &browser, &format!("{address}&give=sk_one&give=sk_two&move=give")).await;
    assert!(draft.contains("2 added, 0 taken away"), "{draft}");
    assert_eq!(read(&server, "sk_one").await, Err(403));
    let undone = shown(&server, &browser, &format!("{address}&add=sk_one&add=sk_two&one=sk_two")).await;
    assert!(undone.contains("1 added, 0 taken away"), "{undone}");

    let fields = [("project", "proj_ci"), ("add", "sk_one"), ("add", "sk_two")];
    send(&server, &browser, &page, &fields).await;
    assert_eq!(read(&server, "sk_one").await.unwrap(), "hunter2");
    assert_eq!(read(&server, "sk_two").await.unwrap(), "hunter2");
    let draft = shown(&server, &browser, &format!("{address}&back=sk_one&move=back")).await;
    assert!(draft.contains("0 added, 1 taken away"), "{draft}");
    send(&server, &browser, &page, &[("project", "proj_ci"), ("take", "sk_one")]).await;
    assert_eq!(read(&server, "sk_one").await, Err(403));
    assert_eq!(read(&server, "sk_two").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn what_two_people_change_at_once_is_both_done() {
    let (server, browser) = desk_with_secrets().await;
    let page = format!("machines/{}/access", host().id);
    // Both look at the same page; the second saves what it has shown.
    send(&server, &browser, &page, &[("project", "proj_ci"), ("add", "sk_one")]).await;
    let to = send(&server, &browser, &page, &[("project", "proj_ci"), ("add", "sk_two")]).await;
    assert!(to.ends_with("said=access-saved"), "{to}");
    assert!(read(&server, "sk_one").await.is_ok() && read(&server, "sk_two").await.is_ok());
    // What both did is told.
    let to = send(&server, &browser, &page, &[("project", "proj_ci"), ("add", "sk_one"), ("take", "sk_two")]).await;
    assert!(to.ends_with("said=access-merged"), "{to}");
    assert!(read(&server, "sk_one").await.is_ok() && read(&server, "sk_two").await == Err(403));
    let open = shown(&server, &browser, &format!("{page}?project=proj_ci&add=sk_one&take=sk_two&add=sk_gone")).await;
    assert!(open.contains("2 of your changes were made by somebody else meanwhile"), "{open}");
    assert!(open.contains("1 of your changes were about something that is not there any more"), "{open}");
    // What is gone meanwhile is told, and nothing is done by halves.
    send(&server, &browser, "secrets/sk_two/delete", &[]).await;
    let fields = [("project", "proj_ci"), ("take", "sk_one"), ("add", "sk_two")];
    refused(&server, &browser, &page, &fields, 409, "Secret two is not in project ci any more, so nothing was saved")
        .await;
    assert!(read(&server, "sk_one").await.is_ok());
}

#[tokio::test]
async fn a_machine_joins_a_project_and_leaves_it_with_what_it_is_granted() {
    let (server, browser) = desk_with_secrets().await;
    let page = format!("machines/{}/access", host().id);
    let leave = format!("{page}/proj_ci/leave");
    send(&server, &browser, &page, &[("project", "proj_ci"), ("add", "sk_one")]).await;
    let preview = shown(&server, &browser, &leave).await;
    assert!(preview.contains("one") && read(&server, "sk_one").await.is_ok(), "{preview}");
    send(&server, &browser, &leave, &[]).await;
    assert_eq!(read(&server, "sk_one").await, Err(404));
    let fields = [("project", "proj_ci"), ("add", "sk_one")];
    let text = "Machine build-host is no member of project ci: add it on the page of its access";
    refused(&server, &browser, &page, &fields, 409, text).await;
    send(&server, &browser, &format!("{page}/join"), &[("project", "ci")]).await;
    assert_eq!(read(&server, "sk_one").await, Err(403));
    send(&server, &browser, &page, &fields).await;
    assert_eq!(read(&server, "sk_one").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn from_a_secrets_side_a_machine_that_is_no_member_becomes_one() {
    let (server, browser) = desk_with_secrets().await;
    let other = Machine {
        id: uuid(0x13).parse().unwrap(),
        name: "<i>nas</i>".into(),
        public_key: key(5).public_key(),
        ..host()
    };
    server.put(Entity::Machine(other.clone())).await;
    let nas = Client::new(other.id.to_string(), 5);
    let page = "secrets/sk_one/access";
    let draft = shown(&server, &browser, &format!("{page}?one={}", other.id)).await;
    assert!(draft.contains("Becomes a member of project ci") && draft.contains("not in the project"), "{draft}");
    assert!(draft.contains("&lt;i&gt;nas") && !draft.contains("<i>nas"), "{draft}");
    let id = other.id.to_string();
    let silent = [("add", id.as_str())];
    refused(&server, &browser, page, &silent, 409, "is no member of project ci").await;
    assert_eq!(server.get(&nas, "/v1/secret/sk_one").await.status, 404);
    send(&server, &browser, page, &[("add", id.as_str()), ("joins", id.as_str())]).await;
    assert_eq!(server.get(&nas, "/v1/secret/sk_one").await.status, 200);
    send(&server, &browser, page, &[("take", id.as_str())]).await;
    assert_eq!(server.get(&nas, "/v1/secret/sk_one").await.status, 403);
}

#[tokio::test]
async fn what_objects_grant_is_shown_on_both_sides_and_not_moved() {
    let (server, browser) = desk_with_secrets().await;
    let side = shown(&server, &browser, "secrets/sk_db/access").await;
    assert!(side.contains("shop/web") && side.contains("Managed by Machine shop/web of cluster prod"), "{side}");
    for machine in [fleet().id.to_string(), pod().id.to_string()] {
        let page = shown(&server, &browser, &format!("machines/{machine}/access")).await;
        assert!(page.contains("kind: Grant") && !page.contains("name=\"move\""), "{page}");
    }
    let text = "Machine shop/web of cluster prod says so: grant to it by a Grant object";
    let fields = [("project", "proj_ci"), ("add", "sk_one")];
    refused(&server, &browser, &format!("machines/{}/access", fleet().id), &fields, 409, text).await;
}
