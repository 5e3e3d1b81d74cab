use serde_json::json;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::LastDenied;

use super::draft::{Checked, Draft, Editor, Place, Saved};
use super::shown::{Asked, Sort, Stands};
use super::*;
use crate::audit::entry::Action;
use crate::model::Entity;
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::usecase::admin;
use crate::usecase::fixture::refused;
use crate::usecase::management::office::Office;

fn draft(changes: serde_json::Value) -> Draft {
    Draft { changes: Ok(serde_json::from_value(changes).unwrap()), revision: None }
}

fn window() -> serde_json::Value {
    json!({
        "name": "nights", "timeWindowEnabled": true, "timeWindowStart": "22:00", "timeWindowEnd": "06:00",
        "timeWindowTimezone": "UTC", "timeWindowDays": ["mon", "tue"],
    })
}

fn create(office: &mut Office, changes: serde_json::Value) -> String {
    let project = office.shop.to_string();
    match office.ask(|it, manager| draft::save(it, manager, Place::In(Some(&project)), draft(changes))).unwrap() {
        Saved::Done(id) => id,
        Saved::Again(editor) => panic!("{:?}", editor.checked),
    }
}

fn bind(office: &mut Office, policy: &str, secret: &str) {
    let secret = office.secret(&office.shop.clone(), secret).to_string();
    let was = office.bench.state.secrets.values().find(|it| it.id.as_str() == secret).unwrap().policy.clone();
    let chosen = guarding::Chosen { secret, was };
    office.ask(|it, manager| guarding::bind(it, manager, [policy], chosen)).unwrap();
}

/// Deletes a policy with what it guards, as its page shows it now.
fn release(office: &mut Office, policy: &str) -> Result<String, Refusal> {
    let shown = office.ask(|it, manager| shown::get(it, manager, [policy], 1)).unwrap();
    release_seen(office, policy, &shown)
}

fn release_seen(office: &mut Office, policy: &str, shown: &shown::Shown) -> Result<String, Refusal> {
    let removal = guarding::Removal { releases: true, seen: Some((shown.row.revision, shown.guards.clone())) };
    office.ask(|it, manager| guarding::delete(it, manager, [policy], removal))
}

fn list(office: &mut Office, asked: Asked) -> shown::Policies {
    office.ask(|it, manager| shown::list(it, manager, [], asked)).unwrap()
}

fn names(found: &shown::Policies) -> Vec<&str> {
    found.rows.iter().map(|it| it.name.as_str()).collect()
}

fn check(office: &mut Office, place: Place<'_>, draft: Draft) -> (Editor, Checked) {
    let (mut editor, _) = office.ask(|it, manager| draft::check(it, manager, place, draft, false)).unwrap();
    let checked = editor.checked.take().unwrap();
    (editor, checked)
}

#[test]
fn a_list_tells_what_each_policy_says_how_it_stands_and_what_it_denied() {
    let mut office = Office::open();
    let nights = create(&mut office, window());
    create(
        &mut office,
        json!({"name": "office", "description": "For the Auditors", "ipAllowlistEnabled": true, "ipAllowlistCidrs": ["10.0.0.0/8"]}),
    );
    bind(&mut office, &nights, "one");
    let secret = office.secret(&office.shop.clone(), "one");
    let who = Grantee::Machine("00000000-0000-4000-8000-000000000001".parse().unwrap());
    let now = office.bench.now;
    for (at, reason) in [
        (now, DenialReason::OutsideTimeWindow),
        (now, DenialReason::NotGranted),
        (Millis(now.0 - 25 * 3_600_000), DenialReason::OutsideTimeWindow),
    ] {
        let denied = LastDenied { time: at.0, secret: "one".into(), reason, message: "no".into() };
        office.bench.ledger.record_denial(&who, &secret, denied);
    }
    let found = list(&mut office, Asked::default());
    assert_eq!((names(&found), found.total, found.all, found.page), (vec!["nights", "office"], 2, 2, 1));
    let [nights, rest] = found.rows.as_slice() else { panic!("{found:?}") };
    assert_eq!(nights.words, ["Mon, Tue, 22:00 to 06:00 of the next day, UTC"]);
    assert_eq!(
        (nights.stands, nights.secrets, nights.denied_lately, nights.project_name.as_str()),
        (Stands::Closed, 1, 1, "shop")
    );
    // Wednesday noon: it opens on Monday.
    assert_eq!(nights.changes_at.map(crate::policy::window::instant).as_deref(), Some("2026-03-09T22:00:00Z"));
    assert_eq!((rest.stands, rest.changes_at, rest.secrets), (Stands::Always, None, 0));
    for (text, expected) in [("NIGHT", vec!["nights"]), ("auditors", vec!["office"]), ("x", vec![])] {
        assert_eq!(names(&list(&mut office, Asked { text: text.into(), ..Asked::default() })), expected);
    }
    for sort in [Sort::Secrets, Sort::Denials, Sort::Project, Sort::Name] {
        assert_eq!(names(&list(&mut office, Asked { sort, ..Asked::default() })), ["nights", "office"]);
    }
    let elsewhere = Some(office.bank.to_string());
    assert_eq!(names(&list(&mut office, Asked { project: elsewhere, ..Asked::default() })), Vec::<&str>::new());
    let bank = office.bank.clone();
    office.sees(&[&bank]);
    let found = list(&mut office, Asked::default());
    assert_eq!((found.all, found.projects.len()), (0, 1));
}

#[test]
fn a_list_has_pages_and_a_page_that_is_not_there_is_the_last() {
    let mut office = Office::open();
    for n in 0..60 {
        create(&mut office, json!({"name": format!("p{n:02}"), "ttlMaxReads": 5}));
    }
    let found = list(&mut office, Asked { page: 9, ..Asked::default() });
    assert_eq!((found.page, found.total, found.rows.len(), found.rows[0].name.as_str()), (2, 60, 10, "p50"));
    assert_eq!(list(&mut office, Asked { page: 0, ..Asked::default() }).rows.len(), shown::PAGE);
}

#[test]
fn a_draft_is_told_what_it_would_be_and_nothing_is_changed() {
    let mut office = Office::open();
    let shop = office.shop.to_string();
    let (editor, checked) = check(&mut office, Place::In(Some(&shop)), draft(window()));
    assert!(checked.wrong.is_none());
    assert_eq!((checked.words.len(), checked.stands), (1, Stands::Closed));
    assert_eq!(editor.project.map(|it| it.1).as_deref(), Some("shop"));
    assert_eq!(editor.projects.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["bank", "shop"]);
    assert!(office.bench.state.policies.is_empty() && office.bench.changes == 0);
}

#[test]
fn what_is_wrong_with_a_draft_is_told_of_its_field_and_nothing_is_lost() {
    let mut office = Office::open();
    let shop = office.shop.to_string();
    let wrong = json!({"name": "nights", "timeWindowEnabled": true, "timeWindowStart": "25:00"});
    let (_, checked) = check(&mut office, Place::In(Some(&shop)), draft(wrong.clone()));
    let Some(Wrong::Field(error)) = checked.wrong else { panic!("{checked:?}") };
    assert_eq!(error.field, "timeWindowEnd");
    let saved = office.ask(|it, manager| draft::save(it, manager, Place::In(Some(&shop)), draft(wrong))).unwrap();
    assert!(
        matches!(saved, Saved::Again(editor) if matches!(editor.checked, Some(Checked { wrong: Some(Wrong::Field(_)), .. })))
    );
    let (_, checked) = check(&mut office, Place::In(None), draft(window()));
    assert!(matches!(checked.wrong, Some(Wrong::Field(error)) if error.field == "project"));
    let (_, checked) = check(&mut office, Place::In(Some(&shop)), draft(json!({"name": ""})));
    assert!(matches!(checked.wrong, Some(Wrong::Whole(refusal)) if refusal.message.contains("restricts nothing")));
    create(&mut office, window());
    let (_, checked) = check(&mut office, Place::In(Some(&shop)), draft(window()));
    assert!(
        matches!(checked.wrong, Some(Wrong::Whole(refusal)) if refusal.message == "project shop has a policy nights already")
    );
    assert_eq!(office.bench.state.policies.len(), 1);
    // A project of others is nowhere.
    let theirs = office.theirs.to_string();
    let answer = office.ask(|it, manager| draft::check(it, manager, Place::In(Some(&theirs)), draft(window()), false));
    refused(answer.map(drop), RefusalKind::NotFound, None, "this vault has no project of that id");
}

#[test]
fn a_change_is_told_whether_it_loosens_and_one_of_an_older_revision_is_not_made() {
    let mut office = Office::open();
    let id = create(&mut office, window());
    bind(&mut office, &id, "one");
    let longer = json!({"timeWindowEnd": "07:00"});
    let (editor, checked) = check(&mut office, Place::Of(&id), draft(longer.clone()));
    assert_eq!((editor.policy.map(|it| it.revision), checked.secrets), (Some(1), 1));
    let text = "timeWindow would be open on Tuesday at 06:00, and is closed then";
    assert_eq!(checked.loosens.as_deref(), Some(text));
    let (_, checked) = check(&mut office, Place::Of(&id), draft(json!({"timeWindowEnd": "05:00"})));
    assert_eq!(checked.loosens, None);
    let saved = office.ask(|it, manager| draft::save(it, manager, Place::Of(&id), draft(longer))).unwrap();
    assert!(matches!(saved, Saved::Done(done) if done == id));
    let stale = Draft { revision: Some(1), ..draft(json!({"timeWindowEnd": "08:00"})) };
    let (_, checked) = check(&mut office, Place::Of(&id), stale.clone());
    assert!(
        matches!(checked.wrong, Some(Wrong::Whole(it)) if it.message.contains("you saw revision 1, and it is revision 2 now"))
    );
    let saved = office.ask(|it, manager| draft::save(it, manager, Place::Of(&id), stale)).unwrap();
    assert!(matches!(saved, Saved::Again(_)));
    assert_eq!(office.bench.state.policies[&id].revision, 2);
}

#[test]
fn what_a_policy_may_guard_is_what_its_project_has_and_it_does_not_guard() {
    let mut office = Office::open();
    let (nights, days) =
        (create(&mut office, window()), create(&mut office, json!({"name": "days", "ttlMaxReads": 3})));
    bind(&mut office, &days, "two");
    let candidates = |office: &mut Office, text: &str| {
        let found = office.ask(|it, manager| guarding::candidates(it, manager, [&nights], (text.into(), 1))).unwrap();
        found.secrets.into_iter().map(|it| (it.secret.label, it.now)).collect::<Vec<_>>()
    };
    let both = [("one".to_owned(), None), ("two".to_owned(), Some("days".to_owned()))];
    assert_eq!(candidates(&mut office, ""), both);
    assert_eq!(candidates(&mut office, "TW"), both[1..]);
    bind(&mut office, &nights, "two");
    assert_eq!(candidates(&mut office, ""), both[..1]);
    // A secret of another project is none of it.
    let other = office.secret(&office.bank.clone(), "one").to_string();
    let chosen = guarding::Chosen { secret: other, was: None };
    let answer = office.ask(|it, manager| guarding::bind(it, manager, [&nights], chosen));
    refused(answer.map(drop), RefusalKind::NotFound, None, "the secret's project has no policy of that id");
}

#[test]
fn who_would_read_is_told_before_a_policy_is_taken_off() {
    let mut office = Office::open();
    let id = create(&mut office, window());
    bind(&mut office, &id, "one");
    let shop = office.shop.clone();
    let web = office.member("web", 7, &shop);
    let one = office.secret(&shop, "one");
    office.bench.run(|it| admin::grant::create(it, &web, std::slice::from_ref(&one), None)).unwrap();
    let told = office.ask(|it, manager| guarding::unbinding(it, manager, [&id, one.as_str()])).unwrap();
    assert_eq!((told.is_bound, told.readers, told.secret.readers), (true, vec!["machine web".to_owned()], 1));
    office.ask(|it, manager| guarding::unbind(it, manager, [&id, one.as_str()])).unwrap();
    office.wrote(Action::PolicyUnbind, "no policy guards one");
    // An old page takes no other policy off.
    let other = create(&mut office, json!({"name": "days", "ttlMaxReads": 3}));
    bind(&mut office, &other, "one");
    let answer = office.ask(|it, manager| guarding::unbind(it, manager, [&id, one.as_str()]));
    refused(answer.map(drop), RefusalKind::NotFound, None, "policy nights does not guard one (any more)");
    assert_eq!(office.bench.state.secrets[&one].policy.as_deref(), Some("days"));
}

#[test]
fn a_policy_goes_when_it_guards_nothing_or_with_a_word_for_what_it_guards() {
    let mut office = Office::open();
    let id = create(&mut office, window());
    bind(&mut office, &id, "one");
    bind(&mut office, &id, "two");
    let removal = guarding::Removal { releases: false, seen: None };
    let answer = office.ask(|it, manager| guarding::delete(it, manager, [&id], removal));
    assert!(answer.unwrap_err().message.starts_with("policy nights guards "));
    assert_eq!(office.bench.state.policies.len(), 1);
    assert_eq!(release(&mut office, &id).unwrap(), "nights");
    assert_eq!(office.bench.actions(), [Action::PolicyUnbind, Action::PolicyUnbind, Action::PolicyDelete]);
    assert!(office.bench.state.policies.is_empty());
    assert!(office.bench.state.secrets.values().all(|it| it.policy.is_none()));
}

#[test]
fn a_policy_takes_nothing_along_that_was_not_seen() {
    let mut office = Office::open();
    let id = create(&mut office, window());
    bind(&mut office, &id, "one");
    let text = "policy nights has changed, or guards others than you saw: open the page again";
    let seen = office.ask(|it, manager| shown::get(it, manager, [&id], 1)).unwrap();
    // Another secret, and another revision.
    bind(&mut office, &id, "two");
    refused(release_seen(&mut office, &id, &seen), RefusalKind::Conflict, None, text);
    let seen = office.ask(|it, manager| shown::get(it, manager, [&id], 1)).unwrap();
    let shorter = draft(json!({"timeWindowEnd": "05:00"}));
    office.ask(|it, manager| draft::save(it, manager, Place::Of(&id), shorter)).unwrap();
    refused(release_seen(&mut office, &id, &seen), RefusalKind::Conflict, None, text);
    let unseen = guarding::Removal { releases: true, seen: None };
    let answer = office.ask(|it, manager| guarding::delete(it, manager, [&id], unseen));
    refused(answer, RefusalKind::Conflict, None, text);
    assert!(office.bench.state.policies.contains_key(&id));
    release(&mut office, &id).unwrap();
}

#[test]
fn an_old_page_puts_no_policy_in_the_place_of_one_that_it_did_not_show() {
    let mut office = Office::open();
    let (nights, days) =
        (create(&mut office, window()), create(&mut office, json!({"name": "days", "ttlMaxReads": 3})));
    bind(&mut office, &nights, "one");
    let one = office.secret(&office.shop.clone(), "one");
    let text = "another policy guards it meanwhile, or none: open the page again";
    for policy in [None, Some(days.clone())] {
        for was in [None, Some("days".to_owned())] {
            let choice = Choice { policy: policy.clone(), was };
            let answer = office.ask(|it, manager| choose(it, manager, [one.as_str()], choice));
            refused(answer.map(drop), RefusalKind::Conflict, None, text);
        }
    }
    let chosen = guarding::Chosen { secret: one.to_string(), was: None };
    let answer = office.ask(|it, manager| guarding::bind(it, manager, [&days], chosen));
    refused(answer.map(drop), RefusalKind::Conflict, None, text);
    assert_eq!(office.bench.state.secrets[&one].policy.as_deref(), Some("nights"));
    let choice = Choice { policy: Some(days), was: Some("nights".into()) };
    office.ask(|it, manager| choose(it, manager, [one.as_str()], choice)).unwrap();
    assert_eq!(office.bench.state.secrets[&one].policy.as_deref(), Some("days"));
}

#[test]
fn what_an_agent_may_not_do_to_a_protected_policy_it_may_not_do_by_way_of_what_it_guards() {
    let mut office = Office::open();
    let id = create(&mut office, window());
    bind(&mut office, &id, "one");
    let policy = office.bench.state.policies[&id].clone();
    office.bench.put(Entity::Policy(Policy { protected: true, ..policy }));
    let answer = release(&mut office, &id);
    assert!(answer.unwrap_err().message.ends_with("an agent may not remove it"));
    let (_, checked) = check(&mut office, Place::Of(&id), draft(json!({"timeWindowEnd": "07:00"})));
    assert!(
        matches!(checked.wrong, Some(Wrong::Whole(it)) if it.message.contains("an agent may tighten it and not loosen it"))
    );
}
