use std::time::Duration;

use proptest::prelude::*;
use sikkerkey_protocol::management::{CreateWebhook, UpdateWebhook, WebhookSecret};

use super::progress::{Advance, Claim, Failure, Rules, advance, claim, fail, lose, pause, settle};
use super::*;
use crate::audit::entry::Actor;
use crate::decision::{Decided, Decision};
use crate::usecase::fixture::*;

const URL: &str = "https://hooks.example.com/services/token";

fn vault() -> VaultId {
    "vault_v".parse().unwrap()
}

fn wanted(actions: &[&str]) -> CreateWebhook {
    let actions = (!actions.is_empty()).then(|| actions.iter().map(|it| (*it).to_owned()).collect());
    CreateWebhook { url: URL.into(), actions, enabled: None }
}

/// As a person at the command line asks for it.
fn made(bench: &mut Bench, wanted: &CreateWebhook) -> Result<WebhookSecret, Refusal> {
    bench.run(|it| {
        let (webhook, signing_secret, steps) = create(it, Author::Person, &vault(), wanted)?;
        Ok(steps.decide(move |it| WebhookSecret { webhook: view(it.state, &webhook, it.now), signing_secret }))
    })
}

fn changed(bench: &mut Bench, id: &str, wanted: &UpdateWebhook) -> Result<WebhookView, Refusal> {
    bench.run(|it| {
        let (webhook, steps) = update(it, Author::Person, &it.state.webhooks[id], wanted)?;
        Ok(steps.decide(move |it| view(it.state, &webhook, it.now)))
    })
}

/// A webhook that has come as far as row 5.
fn at_five() -> (Bench, String) {
    let mut bench = Bench::new();
    let id = made(&mut bench, &wanted(&["secret_read"])).unwrap().webhook.id;
    let since = bench.now;
    bench.run(|it| settle(it, &id, since, 5)).unwrap();
    assert_eq!(bench.state.webhook_progress[&id].position, Position::After(5));
    (bench, id)
}

fn rules() -> Rules {
    Rules { most_failures: 3, ..Rules::default() }
}

fn failure(after: u64) -> Failure {
    Failure { after, delivered_at: None, by: "a".into(), text: "nobody is there".into(), jitter: 0 }
}

#[test]
fn a_secret_is_shown_when_it_is_made_and_kept_sealed() {
    let mut bench = Bench::new();
    let made = made(&mut bench, &wanted(&["secret_delete", "secret_read"])).unwrap();
    assert_eq!(made.signing_secret.expose().len(), 64);
    let webhook = bench.state.webhooks[&made.webhook.id].clone();
    assert_eq!(webhook.actions, [Action::SecretDelete, Action::SecretRead]);
    let stored = serde_json::to_string(&Entity::Webhook(webhook.clone())).unwrap();
    assert!(!stored.contains(made.signing_secret.expose()));
    let opened = open_secrets(&bench.keyring, &webhook, bench.now).unwrap();
    assert_eq!(opened.present.expose(), made.signing_secret.expose());
    // It opens as the secret of this webhook alone.
    let moved = Webhook { id: "other".into(), ..webhook };
    assert!(open_secrets(&bench.keyring, &moved, bench.now).is_err());
    let row = &bench.audit[0];
    assert_eq!((row.action, &row.actor), (Action::WebhookCreate, &Actor::Administrator));
    // The path may hold a token.
    let expected = format!("webhook {} to https://hooks.example.com tells secret_delete, secret_read", made.webhook.id);
    assert_eq!(row.detail, expected);
    assert!(!format!("{made:?}").contains(made.signing_secret.expose()));
}

#[test]
fn what_is_no_webhook_is_refused_with_what_is_wrong() {
    let mut bench = Bench::new();
    for (url, actions, part) in [
        ("http://hooks.example.com/x", &[][..], "url begins with https://"),
        (URL, &["secret_stolen"][..], "\"secret_stolen\" is no action"),
    ] {
        let refusal = made(&mut bench, &CreateWebhook { url: url.into(), ..wanted(actions) }).unwrap_err();
        assert!(refusal.kind == RefusalKind::Invalid && refusal.message.contains(part), "{}", refusal.message);
    }
    for _ in 0..MOST_WEBHOOKS {
        made(&mut bench, &wanted(&[])).unwrap();
    }
    let refusal = made(&mut bench, &wanted(&[])).unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.message.as_str()),
        (RefusalKind::Conflict, "a vault has at most 50 webhooks: delete one that is not needed")
    );
}

#[test]
fn a_secret_that_is_replaced_signs_as_well_for_a_day() {
    let mut bench = Bench::new();
    let first = made(&mut bench, &wanted(&[])).unwrap();
    let id = first.webhook.id;
    let second = bench
        .run(|it| {
            let (_, secret, steps) = rotate_secret(it, Author::Person, &it.state.webhooks[&id])?;
            Ok(steps.decide(move |_| secret))
        })
        .unwrap();
    let opened = |bench: &Bench| open_secrets(&bench.keyring, &bench.state.webhooks[&id], bench.now).unwrap();
    let both = opened(&bench);
    assert_eq!(both.present.expose(), second.expose());
    assert_eq!(both.previous.unwrap().expose(), first.signing_secret.expose());
    bench.now = bench.now.plus_seconds(OVERLAP_SECONDS);
    assert!(opened(&bench).previous.is_none());
}

#[test]
fn a_webhook_without_actions_is_told_what_the_alerts_name() {
    let mut bench = Bench::new();
    let id = made(&mut bench, &wanted(&[])).unwrap().webhook.id;
    let told = |bench: &Bench| bench.state.told_to(&bench.state.webhooks[&id]);
    assert_eq!(told(&bench), Alerts::usual());
    let names = ["secret_delete".to_owned(), "secret_delete".to_owned()];
    let set = |bench: &mut Bench, names: &[String]| {
        bench.run(|it| {
            let (actions, steps) = set_alerts(it, Author::Person, &vault(), names)?;
            Ok(steps.decide(move |_| actions))
        })
    };
    assert_eq!(set(&mut bench, &names).unwrap(), [Action::SecretDelete]);
    assert_eq!((bench.actions(), told(&bench)), (vec![Action::AlertUpdate], vec![Action::SecretDelete]));
    set(&mut bench, &names).unwrap();
    assert_eq!((bench.actions(), bench.changes), (vec![Action::ManagementRead], 0));
    assert_eq!(set(&mut bench, &["x".to_owned()]).unwrap_err().kind, RefusalKind::Invalid);
    let own = UpdateWebhook { actions: Some(vec!["pod_gone".into()]), ..UpdateWebhook::default() };
    changed(&mut bench, &id, &own).unwrap();
    assert_eq!(told(&bench), [Action::PodGone]);
}

#[test]
fn a_position_never_goes_back_and_what_a_person_has_set_stays() {
    let (mut bench, id) = at_five();
    let to = |bench: &mut Bench, after| {
        let it = Advance { after, delivered_at: Some(bench.now), by: "a".into(), goes_on: false };
        bench.run(|context| advance(context, &id, it, &rules())).unwrap();
        bench.state.webhook_progress[&id].position
    };
    assert_eq!(to(&mut bench, 9), Position::After(9));
    assert_eq!(to(&mut bench, 7), Position::After(9));
    bench.now = bench.now.plus_seconds(60);
    let skip = UpdateWebhook { skip_missed: Some(true), ..UpdateWebhook::default() };
    changed(&mut bench, &id, &skip).unwrap();
    assert_eq!(to(&mut bench, 12), Position::Since(bench.now));
    let now = bench.now;
    bench.run(|it| settle(it, &id, now, 40)).unwrap();
    assert_eq!(bench.audit[0].action, Action::WebhookDrop);
    assert_eq!(
        bench.audit[0].detail,
        format!("webhook {id}: rows 10 to 40 of the audit (31) were left out, as a person wanted it")
    );
    // Told once.
    bench.run(|it| settle(it, &id, now, 40)).unwrap();
    assert_eq!((bench.audit.len(), bench.changes), (0, 0));
}

#[test]
fn rows_that_were_archived_first_are_told_of() {
    let (mut bench, id) = at_five();
    bench.run(|it| lose(it, &id, 5, 90)).unwrap();
    let expected =
        format!("webhook {id}: rows 6 to 90 of the audit (85) were archived before it was told what is for it in them");
    assert_eq!((bench.audit[0].action, &bench.audit[0].detail), (Action::WebhookDrop, &expected));
    assert_eq!(bench.state.webhook_progress[&id].position, Position::After(90));
    bench.run(|it| lose(it, &id, 5, 90)).unwrap();
    assert_eq!((bench.audit.len(), bench.changes), (0, 0));
}

#[test]
fn failures_in_a_row_end_a_webhook_and_a_delivery_between_them_begins_anew() {
    let (mut bench, id) = at_five();
    let failed = |bench: &mut Bench, it| bench.run(|context| fail(context, &id, it, &rules())).unwrap();
    assert!(!failed(&mut bench, failure(5)));
    assert!(!failed(&mut bench, failure(5)));
    let delivered = Failure { after: 6, delivered_at: Some(bench.now), ..failure(6) };
    assert!(!failed(&mut bench, delivered));
    assert_eq!(bench.state.webhook_progress[&id].failures, 1);
    assert!(!failed(&mut bench, failure(6)));
    assert!(bench.audit.is_empty());
    assert!(failed(&mut bench, failure(6)));
    let webhook = bench.state.webhooks[&id].clone();
    assert!(!webhook.enabled);
    let because = "3 tries in a row have failed, the last one because: nobody is there";
    assert_eq!(webhook.disabled_because.as_deref(), Some(because));
    let row = &bench.audit[0];
    assert_eq!((row.action, &row.actor, row.vault.as_ref()), (Action::WebhookDisable, &Actor::System, Some(&vault())));
    assert!(row.detail.contains(because), "{}", row.detail);

    // Switched on again it goes on where it stopped, at once.
    let on = UpdateWebhook { enabled: Some(true), ..UpdateWebhook::default() };
    let view = changed(&mut bench, &id, &on).unwrap();
    assert_eq!((view.enabled, view.consecutive_failures, view.retry_at, view.disabled_because), (true, 0, None, None));
    assert_eq!(bench.state.webhook_progress[&id].position, Position::After(6));
    assert_eq!(bench.audit[0].detail, format!("webhook {id} is switched on"));
    changed(&mut bench, &id, &on).unwrap();
    assert_eq!((bench.actions(), bench.changes), (vec![Action::ManagementRead], 0));
}

#[test]
fn one_server_at_a_time_has_a_webhook() {
    let (mut bench, id) = at_five();
    let ask = |bench: &mut Bench, at, by: &str| bench.run(|it| claim(it, &id, at, by, &rules())).unwrap();
    assert_eq!(ask(&mut bench, 7, "a"), Claim::Granted(7));
    assert_eq!(ask(&mut bench, 7, "b"), Claim::Refused);
    assert_eq!(ask(&mut bench, 8, "a"), Claim::Granted(8));
    // It was killed, or held up.
    bench.now = bench.now.plus_seconds(20);
    assert_eq!(ask(&mut bench, 7, "b"), Claim::Granted(7));
    // Whoever comes back late does not take it away again.
    let note = |bench: &mut Bench, by: &str, goes_on| {
        let it = Advance { after: 7, delivered_at: None, by: by.into(), goes_on };
        bench.run(|context| advance(context, &id, it, &rules())).unwrap()
    };
    assert!(note(&mut bench, "b", true) && !note(&mut bench, "a", true) && !note(&mut bench, "a", false));
    bench.run(|context| fail(context, &id, failure(7), &rules())).unwrap();
    assert_eq!(bench.state.webhook_progress[&id].lease.as_ref().map(|it| it.0.as_str()), Some("b"));
    bench.now = bench.now.plus_seconds(20);
    // What is told already is not told again.
    let it = Advance { after: 9, delivered_at: None, by: "a".into(), goes_on: false };
    bench.run(|context| advance(context, &id, it, &rules())).unwrap();
    assert_eq!(ask(&mut bench, 7, "a"), Claim::Refused);
    assert_eq!(ask(&mut bench, 9, "a"), Claim::Granted(9));
    bench.run(|context| fail(context, &id, failure(9), &rules())).unwrap();
    assert_eq!(ask(&mut bench, 9, "b"), Claim::Refused);
    bench.now = bench.now.plus_seconds(2);
    assert_eq!(ask(&mut bench, 9, "b"), Claim::Granted(9));
    changed(&mut bench, &id, &UpdateWebhook { enabled: Some(false), ..UpdateWebhook::default() }).unwrap();
    assert_eq!(ask(&mut bench, 9, "b"), Claim::Refused);
}

fn unchanged<T>(it: Decided<T>) -> bool {
    it.is_ok_and(|Decision { changes, audit, .. }| changes.is_empty() && audit.is_empty())
}

#[test]
fn a_webhook_that_is_deleted_leaves_nothing_behind_and_is_noted_no_more() {
    let (mut bench, id) = at_five();
    bench
        .run(|it| {
            let (deleted, steps) = delete(Author::Person, &it.state.webhooks[&id]);
            Ok(steps.decide(move |_| deleted))
        })
        .unwrap();
    assert_eq!(bench.actions(), [Action::WebhookDelete]);
    let it = Advance { after: 9, delivered_at: None, by: "a".into(), goes_on: false };
    assert!(unchanged(advance(&bench.context(), &id, it, &rules())));
    assert!(unchanged(fail(&bench.context(), &id, failure(9), &rules())));
    assert!(unchanged(claim(&bench.context(), &id, 9, "a", &rules())));
    assert!(bench.state.webhooks.is_empty() && bench.state.webhook_progress.is_empty());
}

proptest! {
    #[test]
    fn a_pause_grows_to_its_bound_and_is_never_far_from_it(failures in 1u32..200, jitter in any::<u8>()) {
        let rules = Rules::default();
        let whole = rules.first_pause.saturating_mul(2_u32.saturating_pow(failures - 1)).min(rules.longest_pause);
        let it = pause(failures, jitter, &rules);
        prop_assert!(it >= whole * 3 / 4 && it <= whole * 5 / 4, "{it:?} {whole:?}");
        prop_assert!(pause(failures + 1, jitter, &rules) >= it);
        prop_assert!(it <= Duration::from_mins(75));
    }
}
