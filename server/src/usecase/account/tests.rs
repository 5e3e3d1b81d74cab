//! Logging in, and what a session may do, without hashing anything.

use sikkerkey_protocol::account::Role;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::management::Scope;
use sikkerkey_protocol::secret_text::SecretText;

use super::login::{self, ByPassword, BySecondFactor, Outcome};
use super::password::{self, Proof};
use super::person::Person;
use super::second_factor::{self, RECOVERY_CODES};
use super::session::{self, Arrival, Renewed};
use crate::audit::entry::{Action, Actor};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::account::{Account, Standing, Vault};
use crate::model::credential::Credential;
use crate::model::member::Member;
use crate::model::session::Session;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::admin::{account, member};
use crate::usecase::fixture::*;
use crate::usecase::housekeeping;
use crate::usecase::management::{Manager, only_looks, scopes_of};

const EMAIL: &str = "team@example.com";
const WRONG: &str = "no account has this e-mail address and this password: try again, or ask whoever runs the server";
const WRONG_CODE: &str = "the code is wrong, or was used before: wait for the next one, or use a recovery code";
const NOT_FRESH: &str = "prove who you are again first: give password and code at /v1/account/step-up";
const NO_SESSION: &str = "there is no session, or it has ended: log in";

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.put(Entity::Credential(Credential::new("account".into(), "hash-1".into(), bench.now)));
    bench
}

fn right() -> Proof {
    Proof::Right { stored: "hash-1".into(), renewed: None }
}

fn text(text: &str) -> SecretText {
    SecretText::new(text.into())
}

fn attempt(proof: Proof, code: Option<&str>) -> ByPassword {
    ByPassword { email: EMAIL.into(), proof, code: code.map(text), arrival: Arrival::default() }
}

/// Logs in by password alone, or with a code.
fn log_in(bench: &mut Bench, code: Option<&str>) -> Result<Renewed, Refusal> {
    let attempt = attempt(right(), code);
    match bench.run(|it| login::by_password(it, source(), &attempt))? {
        Outcome::In(renewed) => Ok(renewed),
        Outcome::Half(_) => panic!("a code is asked for"),
    }
}

fn hash(token: &SecretText) -> String {
    sikkerkey_protocol::canonical::sha256_hex(token.expose().as_bytes())
}

/// Does something with a session, as the route does: its use is written down first.
fn with<A>(
    bench: &mut Bench,
    token: &SecretText,
    decide: impl FnOnce(&Context<'_>, &Person<'_>) -> Decided<A>,
) -> Result<A, Refusal> {
    let hash = hash(token);
    if let Some(used) = Person::admit(&bench.context(), &hash, source())?.used(&bench.context()) {
        bench.state.apply(used);
    }
    bench.run(|it| decide(it, &Person::admit(it, &hash, source())?))
}

/// Adds a second factor. Returns the session it goes on with, the codes, and the seed.
fn add_second_factor(bench: &mut Bench, token: &SecretText) -> (SecretText, Vec<String>) {
    with(bench, token, second_factor::begin).unwrap();
    let sealed = bench.state.credentials["account"].begun.clone().unwrap().seed;
    let code = bench.keyring.open_seed("account", &sealed).unwrap().code(bench.now);
    let confirmed = with(bench, token, |it, person| second_factor::confirm(it, person, &text(&code))).unwrap();
    let codes = confirmed.recovery_codes.recovery_codes.iter().map(|it| it.expose().to_owned()).collect();
    (confirmed.renewed.token, codes)
}

/// The code of this moment.
fn code(bench: &Bench) -> String {
    let sealed = bench.state.credentials["account"].second_factor.clone().unwrap().seed;
    bench.keyring.open_seed("account", &sealed).unwrap().code(bench.now)
}

fn later(bench: &mut Bench, seconds: u64) {
    bench.now = bench.now.plus_seconds(seconds);
}

#[test]
fn a_right_password_begins_a_session_whose_token_is_stored_nowhere() {
    let mut bench = bench();
    let renewed = log_in(&mut bench, None).unwrap();
    assert_eq!(bench.actions(), [Action::AccountLogin]);
    assert_eq!(bench.audit[0].actor, Actor::Person("account".into()));
    assert_eq!(renewed.token.expose().len(), 64);
    assert_eq!(renewed.answer.email, EMAIL);
    let session = bench.state.session_with_hash(&hash(&renewed.token)).unwrap();
    assert!(!serde_json::to_string(session).unwrap().contains(renewed.token.expose()));
    assert_eq!(renewed.answer.session_ends_at, bench.now.plus_seconds(30 * 60).0);
    let who = with(&mut bench, &renewed.token, session::who_am_i).unwrap();
    assert_eq!(who, renewed.answer);
}

#[test]
fn whoever_proves_nothing_hears_the_same_whether_the_account_exists_or_not() {
    let mut bench = bench();
    for (email, proof) in [
        (EMAIL, Proof::Wrong),
        ("nobody@example.com", Proof::Wrong),
        // Proven for a hash that is another by now.
        (EMAIL, Proof::Right { stored: "hash-0".into(), renewed: None }),
    ] {
        let attempt = ByPassword { email: email.into(), ..attempt(proof, None) };
        let refusal = bench.run(|it| login::by_password(it, source(), &attempt)).err();
        assert_eq!(refusal, Some(Refusal::new(RefusalKind::Unauthenticated, WRONG)));
    }
}

#[test]
fn whether_an_account_is_active_is_told_only_to_who_knows_its_password() {
    for (standing, told) in [
        (Standing::Suspended, "this account is suspended: ask whoever runs the server"),
        (Standing::Banned, "this account is banned"),
        (Standing::PendingVerification, "this account is not verified yet: ask whoever runs the server to activate it"),
    ] {
        let mut bench = bench();
        bench.put(Entity::Account(Account { id: "account".into(), email: EMAIL.into(), standing }));
        let refusal = log_in(&mut bench, None).err().unwrap();
        assert_eq!((refusal.message.as_str(), refusal.denial), (told, Some(DenialReason::AccountNotActive)));
        let wrong = attempt(Proof::Wrong, None);
        assert_eq!(bench.run(|it| login::by_password(it, source(), &wrong)).err().unwrap().message, WRONG);
    }
}

#[test]
fn a_hash_that_is_too_weak_is_replaced_at_the_login() {
    let mut bench = bench();
    let attempt = attempt(Proof::Right { stored: "hash-1".into(), renewed: Some("hash-2".into()) }, None);
    bench.run(|it| login::by_password(it, source(), &attempt)).unwrap();
    assert_eq!(bench.state.credentials["account"].password, "hash-2");
}

#[test]
fn a_login_takes_nobodys_session_over_and_ends_the_one_that_came_along() {
    let mut bench = bench();
    let before = log_in(&mut bench, None).unwrap().token;
    let arrival = Arrival { before: Some(before.clone()), ..Arrival::default() };
    let attempt = ByPassword { arrival, ..attempt(right(), None) };
    let Outcome::In(after) = bench.run(|it| login::by_password(it, source(), &attempt)).unwrap() else { panic!() };
    assert_ne!(after.token.expose(), before.expose());
    refused(with(&mut bench, &before, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    with(&mut bench, &after.token, session::who_am_i).unwrap();
}

#[test]
fn with_a_second_factor_a_password_alone_is_half_a_login() {
    let mut bench = bench();
    let token = log_in(&mut bench, None).unwrap().token;
    add_second_factor(&mut bench, &token);
    later(&mut bench, 30);
    let attempt = attempt(right(), None);
    let Outcome::Half(half) = bench.run(|it| login::by_password(it, source(), &attempt)).unwrap() else { panic!() };
    assert_eq!((bench.actions(), bench.changes), (vec![Action::SecondFactorAsk], 0));
    let second = |bench: &mut Bench, half: &SecretText, code: &str| {
        let request = BySecondFactor { half: half.clone(), code: text(code), arrival: Arrival::default() };
        bench.run(|it| login::by_second_factor(it, source(), &request))
    };
    refused(second(&mut bench, &half.half_login, "000000"), RefusalKind::Unauthenticated, None, WRONG_CODE);
    let good = code(&bench);
    let renewed = second(&mut bench, &half.half_login, &good).unwrap();
    assert!(bench.state.session_with_hash(&hash(&renewed.token)).unwrap().second_factor);
    // A code is good once, whatever it comes with.
    refused(second(&mut bench, &half.half_login, &good), RefusalKind::Unauthenticated, None, WRONG_CODE);
    refused(log_in(&mut bench, Some(&good)), RefusalKind::Unauthenticated, None, WRONG_CODE);

    later(&mut bench, 30);
    let good = code(&bench);
    let over = "the first step is too long ago, or the password was changed since: begin again with the password";
    let (account, rest) = half.half_login.expose().split_once('.').unwrap();
    for spoilt in ["", "account", "account.1.2", &format!("other.{rest}"), &format!("{account}.9{rest}")] {
        refused(second(&mut bench, &text(spoilt), &good), RefusalKind::Unauthenticated, None, over);
    }
    let mut late = bench.now;
    std::mem::swap(&mut late, &mut bench.now);
    bench.now = late.plus_seconds(300);
    refused(second(&mut bench, &half.half_login, &good), RefusalKind::Unauthenticated, None, over);
    bench.now = late;
    bench.run(|it| account::set_password(it, EMAIL, "hash-3".into())).unwrap();
    refused(second(&mut bench, &half.half_login, &good), RefusalKind::Unauthenticated, None, over);
}

#[test]
fn a_recovery_code_is_good_once_however_it_is_written_and_only_its_mac_is_kept() {
    let mut bench = bench();
    let token = log_in(&mut bench, None).unwrap().token;
    let (_, codes) = add_second_factor(&mut bench, &token);
    assert_eq!(codes.len(), RECOVERY_CODES);
    let stored = serde_json::to_string(&bench.state.credentials["account"]).unwrap();
    assert!(codes.iter().all(|it| !stored.contains(&it.replace('-', "")) && !stored.contains(it)));
    let typed = format!(" {} ", codes[3].to_lowercase().replace('-', " "));
    let renewed = log_in(&mut bench, Some(&typed)).unwrap();
    assert_eq!(renewed.answer.recovery_codes_left, RECOVERY_CODES - 1);
    refused(log_in(&mut bench, Some(&codes[3])), RefusalKind::Unauthenticated, None, WRONG_CODE);
    let again = with(&mut bench, &renewed.token, second_factor::renew_codes).unwrap();
    refused(log_in(&mut bench, Some(&codes[4])), RefusalKind::Unauthenticated, None, WRONG_CODE);
    log_in(&mut bench, Some(again.recovery_codes[0].expose())).unwrap();
}

#[test]
fn a_second_factor_is_in_force_when_it_is_confirmed_and_not_before() {
    let mut bench = bench();
    let token = log_in(&mut bench, None).unwrap().token;
    let confirm = |bench: &mut Bench, token: &SecretText, code: &str| {
        with(bench, token, |it, person| second_factor::confirm(it, person, &text(code))).map(drop)
    };
    let none = "no second factor was begun in the last 15 minutes: begin one, and confirm it with its code";
    refused(confirm(&mut bench, &token, "000000"), RefusalKind::Conflict, None, none);
    let begun = with(&mut bench, &token, second_factor::begin).unwrap();
    assert!(begun.url.expose().starts_with("otpauth://totp/SikkerKey:team%40example.com?secret="));
    let wrong = "the code is not the one of this moment: compare the clock of your device, and try the next code";
    refused(confirm(&mut bench, &token, "000000"), RefusalKind::Invalid, None, wrong);
    log_in(&mut bench, None).unwrap();
    let (token, _) = add_second_factor(&mut bench, &token);
    let twice = "this account has a second factor already: remove it first";
    refused(with(&mut bench, &token, second_factor::begin).map(drop), RefusalKind::Conflict, None, twice);
    // Every other session ended with it.
    assert_eq!(bench.state.sessions_of("account").count(), 1);
    let renewed = with(&mut bench, &token, second_factor::remove).unwrap();
    refused(with(&mut bench, &token, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    assert!(!renewed.answer.second_factor);
    log_in(&mut bench, None).unwrap();
}

#[test]
fn how_one_proves_who_one_is_is_changed_only_by_who_proved_it_just_now() {
    let mut bench = bench();
    let token = log_in(&mut bench, None).unwrap().token;
    let (token, _) = add_second_factor(&mut bench, &token);
    later(&mut bench, 600);
    refused(with(&mut bench, &token, second_factor::remove).map(drop), RefusalKind::Forbidden, None, NOT_FRESH);
    refused(with(&mut bench, &token, second_factor::renew_codes).map(drop), RefusalKind::Forbidden, None, NOT_FRESH);
    let step_up = |bench: &mut Bench, proof: Proof, code: Option<String>| {
        let request = session::StepUp { proof, code: code.as_deref().map(text) };
        with(bench, &token, |it, person| session::step_up(it, person, &request))
    };
    let wrong = "the password is another one: nothing was changed";
    let now = code(&bench);
    refused(step_up(&mut bench, Proof::Wrong, Some(now.clone())).map(drop), RefusalKind::Forbidden, None, wrong);
    let missing = "this account has a second factor: give a code as well";
    refused(step_up(&mut bench, right(), None).map(drop), RefusalKind::Invalid, None, missing);
    let renewed = step_up(&mut bench, right(), Some(now)).unwrap();
    assert_ne!(renewed.token.expose(), token.expose());
    refused(with(&mut bench, &token, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    with(&mut bench, &renewed.token, second_factor::remove).unwrap();
}

#[test]
fn another_password_ends_the_other_sessions_and_goes_on_under_another_token() {
    let mut bench = bench();
    let (mine, other) = (log_in(&mut bench, None).unwrap().token, log_in(&mut bench, None).unwrap().token);
    let change = |bench: &mut Bench, proof: &Proof| {
        with(bench, &mine, |it, person| password::change(it, person, proof, "hash-2".into()))
    };
    let wrong = "the current password is another one: nothing was changed";
    refused(change(&mut bench, &Proof::Wrong).map(drop), RefusalKind::Forbidden, None, wrong);
    with(&mut bench, &other, session::who_am_i).unwrap();
    let renewed = change(&mut bench, &right()).unwrap();
    assert_eq!(bench.actions(), [Action::PasswordChange, Action::SessionRevoke]);
    for gone in [&mine, &other] {
        refused(with(&mut bench, gone, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    }
    with(&mut bench, &renewed.token, session::who_am_i).unwrap();
    refused(log_in(&mut bench, None).map(drop), RefusalKind::Unauthenticated, None, WRONG);
}

#[test]
fn another_password_is_no_proof_of_the_second_factor() {
    let mut bench = bench();
    let token = log_in(&mut bench, None).unwrap().token;
    let change = |bench: &mut Bench, token: &SecretText, new: &str| {
        let stored = bench.state.credentials["account"].password.clone();
        let proof = Proof::Right { stored, renewed: None };
        with(bench, token, |it, person| password::change(it, person, &proof, new.into()))
    };
    // Without a second factor the old password is all there is to prove, however long ago the login was.
    later(&mut bench, 600);
    let renewed = change(&mut bench, &token, "hash-2").unwrap();
    assert_eq!(renewed.answer.fresh_until, bench.now.plus_seconds(600).0);
    let (token, _) = add_second_factor(&mut bench, &renewed.token);
    let fresh_until = bench.now.plus_seconds(600).0;
    later(&mut bench, 599);
    let renewed = change(&mut bench, &token, "hash-3").unwrap();
    assert_eq!(renewed.answer.fresh_until, fresh_until);
    later(&mut bench, 1);
    let token = renewed.token;
    refused(with(&mut bench, &token, second_factor::remove).map(drop), RefusalKind::Forbidden, None, NOT_FRESH);
    refused(with(&mut bench, &token, second_factor::renew_codes).map(drop), RefusalKind::Forbidden, None, NOT_FRESH);
    refused(change(&mut bench, &token, "hash-4").map(drop), RefusalKind::Forbidden, None, NOT_FRESH);
    let proof = Proof::Right { stored: "hash-3".into(), renewed: None };
    let request = session::StepUp { proof, code: Some(text(&code(&bench))) };
    let renewed = with(&mut bench, &token, |it, person| session::step_up(it, person, &request)).unwrap();
    change(&mut bench, &renewed.token, "hash-4").unwrap();
}

#[test]
fn a_session_ends_by_rest_by_age_by_logout_and_by_who_runs_the_server() {
    let mut bench = bench();
    let token = log_in(&mut bench, None).unwrap().token;
    for _ in 0..24 {
        later(&mut bench, 29 * 60);
        with(&mut bench, &token, session::who_am_i).unwrap();
    }
    later(&mut bench, 29 * 60);
    refused(with(&mut bench, &token, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    let token = log_in(&mut bench, None).unwrap().token;
    later(&mut bench, 1800);
    refused(with(&mut bench, &token, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    bench.run(housekeeping::run).unwrap();
    assert_eq!(bench.state.sessions.len(), 0);

    let token = log_in(&mut bench, None).unwrap().token;
    with(&mut bench, &token, session::log_out).unwrap();
    assert_eq!(bench.actions(), [Action::AccountLogout]);
    refused(with(&mut bench, &token, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);

    for end in [
        (|it| account::end_sessions(it, EMAIL)) as fn(&Context<'_>) -> Decided<usize>,
        |it| account::set_standing(it, EMAIL, Standing::Suspended),
        |it| account::set_standing(it, EMAIL, Standing::Banned),
        |it| account::set_standing(it, EMAIL, Standing::PendingVerification),
        |it| account::set_password(it, EMAIL, "hash-1".into()),
    ] {
        bench.run(|it| account::set_standing(it, EMAIL, Standing::Active)).unwrap();
        let token = log_in(&mut bench, None).unwrap().token;
        assert_eq!(bench.run(end).unwrap(), 1);
        bench.run(|it| account::set_standing(it, EMAIL, Standing::Active)).unwrap();
        refused(with(&mut bench, &token, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    }
}

#[test]
fn sessions_are_listed_and_revoked_by_whose_they_are_and_by_nobody_else() {
    let mut bench = bench();
    let (mine, other) = (log_in(&mut bench, None).unwrap(), log_in(&mut bench, None).unwrap());
    bench.run(|it| account::create(it, "john@example.com", "hash-1".into())).unwrap();
    let john = ByPassword { email: "John@example.com".into(), ..attempt(right(), None) };
    let Outcome::In(johns) = bench.run(|it| login::by_password(it, source(), &john)).unwrap() else { panic!() };
    let listed = with(&mut bench, &mine.token, session::list).unwrap();
    let shown: Vec<_> = listed.sessions.iter().map(|it| (it.id.as_str(), it.current)).collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.contains(&(&mine.answer.session_id, true)) && shown.contains(&(&other.answer.session_id, false)));
    let revoke = |bench: &mut Bench, token: &SecretText, id: &str| {
        with(bench, token, |it, person| session::revoke(it, person, id))
    };
    let none = "this account has no session of that id";
    let of_other = other.answer.session_id.clone();
    refused(revoke(&mut bench, &johns.token, &of_other), RefusalKind::NotFound, None, none);
    assert_eq!(revoke(&mut bench, &mine.token, &of_other).unwrap().sessions_ended, 1);
    refused(with(&mut bench, &other.token, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    log_in(&mut bench, None).unwrap();
    assert_eq!(with(&mut bench, &mine.token, session::revoke_others).unwrap().sessions_ended, 1);
    with(&mut bench, &johns.token, session::who_am_i).unwrap();
}

#[test]
fn an_account_has_at_most_fifty_sessions_and_the_oldest_make_room() {
    let mut bench = bench();
    let first = log_in(&mut bench, None).unwrap();
    for _ in 0..50 {
        later(&mut bench, 1);
        log_in(&mut bench, None).unwrap();
    }
    assert_eq!(bench.state.sessions_of("account").count(), 50);
    assert!(!bench.state.sessions.contains_key(&first.answer.session_id));
}

/// A session of an account in a vault that is somebody else's.
fn manager<A>(
    bench: &mut Bench,
    token: &SecretText,
    vault: &str,
    scope: Scope,
    decide: impl FnOnce(&Context<'_>, &Manager<'_>) -> Decided<A>,
) -> Result<A, Refusal> {
    let vault = vault.parse().unwrap();
    with(bench, token, |it, person| decide(it, &Manager::person(it, *person, &vault, Some(scope))?))
}

#[test]
fn a_role_is_what_a_person_may_do_in_a_vault_and_without_one_there_is_no_vault() {
    let mut bench = bench();
    bench.run(|it| account::create(it, "owner@example.com", "hash-9".into())).unwrap();
    let owner = bench.state.account_named("owner@example.com").unwrap().id.clone();
    let vault = Vault { id: "vault_w".parse().unwrap(), account: owner, name: "other".into() };
    bench.put(Entity::Vault(vault));
    let token = log_in(&mut bench, None).unwrap().token;
    let nothing = |_: &Context<'_>, _: &Manager<'_>| Ok(crate::usecase::steps::answer(|_| ()));
    for vault in ["vault_w", "vault_nowhere"] {
        let result = manager(&mut bench, &token, vault, Scope::MachinesRead, nothing);
        refused(result, RefusalKind::NotFound, None, "there is no such vault");
    }
    for role in Role::ALL {
        bench.run(|it| member::add(it, &"vault_w".parse().unwrap(), EMAIL, *role)).unwrap();
        for scope in Scope::ALL {
            let allowed = manager(&mut bench, &token, "vault_w", *scope, nothing).is_ok();
            assert_eq!(allowed, scopes_of(*role).contains(scope), "{role} {scope}");
        }
        let vaults = with(&mut bench, &token, session::vaults).unwrap().vaults;
        let roles: Vec<_> = vaults.iter().map(|it| (it.vault_id.as_str(), it.role, it.active)).collect();
        assert_eq!(roles, [("vault_w", *role, true), ("vault_v", Role::Owner, true)]);
    }
    bench.run(|it| member::add(it, &"vault_w".parse().unwrap(), EMAIL, Role::Auditor)).unwrap();
    let text = "this needs the role manager in the vault: ask whoever runs the server to give it";
    let result = manager(&mut bench, &token, "vault_w", Scope::MachinesWrite, nothing);
    refused(result, RefusalKind::Forbidden, None, text);
    let text = "this needs the role owner in the vault: ask whoever runs the server to give it";
    let result = manager(&mut bench, &token, "vault_w", Scope::AgentsWrite, nothing);
    refused(result, RefusalKind::Forbidden, None, text);
    // The owner's standing is everybody's there.
    bench.run(|it| account::set_standing(it, "owner@example.com", Standing::Suspended)).unwrap();
    let refusal = manager(&mut bench, &token, "vault_w", Scope::MachinesRead, nothing).unwrap_err();
    assert_eq!(refusal.denial, Some(DenialReason::AccountNotActive));
    bench.run(|it| account::set_standing(it, "owner@example.com", Standing::Active)).unwrap();
    bench.run(|it| member::remove(it, &"vault_w".parse().unwrap(), EMAIL)).unwrap();
    let result = manager(&mut bench, &token, "vault_w", Scope::MachinesRead, nothing);
    refused(result, RefusalKind::NotFound, None, "there is no such vault");
}

#[test]
fn roles_grow_and_only_an_owner_says_who_else_manages() {
    let [auditor, manager, owner] = [Role::Auditor, Role::Manager, Role::Owner].map(scopes_of);
    assert!(auditor.is_subset(manager) && manager.is_subset(owner));
    assert!(auditor.iter().all(|it| only_looks(*it)));
    let kept: Vec<_> = owner.difference(manager).map(|it| it.as_str()).collect();
    assert_eq!(kept, ["alerts.write", "ipallowlist.write", "aiagents.write"]);
    assert_eq!(owner.len(), Scope::ALL.len());
}

#[test]
fn what_a_person_does_in_a_vault_stands_in_the_audit_under_the_account() {
    let mut bench = bench();
    let token = log_in(&mut bench, None).unwrap().token;
    bench.put(Entity::Member(Member {
        vault: "vault_v".parse().unwrap(),
        account: "nobody".into(),
        role: Role::Auditor,
        since: bench.now,
    }));
    manager(&mut bench, &token, "vault_v", Scope::PoliciesRead, |_, manager| {
        let entry = manager.author().entry(Action::ManagementRead, &"vault_v".parse().unwrap(), "looked".into());
        Ok(crate::decision::Decision { changes: vec![], audit: vec![entry], answer: Box::new(|_| ()) })
    })
    .unwrap();
    let row = &bench.audit[0];
    assert_eq!((&row.actor, row.source_ip), (&Actor::Person("account".into()), Some(source().address)));
    assert_eq!(row.vault, Some("vault_v".parse().unwrap()));
}

#[test]
fn accounts_and_members_that_cannot_be_are_refused_with_what_to_do() {
    let mut bench = bench();
    let create = |bench: &mut Bench, email: &str| bench.run(|it| account::create(it, email, "hash".into())).map(drop);
    for email in ["jane", "@example.com", "jane@", "jane doe@example.com", "jane\n@example.com"] {
        refused(create(&mut bench, email), RefusalKind::Invalid, None, &format!("{email} is not an e-mail address"));
    }
    let text = "there is an account team@example.com already: account set-password gives it another password";
    refused(create(&mut bench, "TEAM@example.com"), RefusalKind::Conflict, None, text);
    let add = |bench: &mut Bench, vault: &str, email: &str| {
        bench.run(|it| member::add(it, &vault.parse().unwrap(), email, Role::Manager))
    };
    let text = "vault vault_v belongs to team@example.com, who may do everything there";
    refused(add(&mut bench, "vault_v", EMAIL), RefusalKind::Conflict, None, text);
    let text = "there is no vault vault_x: vault list shows them";
    refused(add(&mut bench, "vault_x", EMAIL), RefusalKind::NotFound, None, text);
    let reset = bench.run(|it| account::reset_second_factor(it, EMAIL)).map(drop);
    refused(reset, RefusalKind::Conflict, None, "account team@example.com has no second factor");
}

#[test]
fn the_administrator_removes_a_second_factor_with_its_codes_and_sessions() {
    let mut bench = bench();
    let token = log_in(&mut bench, None).unwrap().token;
    let (token, _) = add_second_factor(&mut bench, &token);
    assert_eq!(bench.run(|it| account::reset_second_factor(it, EMAIL)).unwrap(), 1);
    assert_eq!(bench.actions(), [Action::SecondFactorRemove, Action::SessionRevoke]);
    refused(with(&mut bench, &token, session::who_am_i), RefusalKind::Unauthenticated, None, NO_SESSION);
    let renewed = log_in(&mut bench, None).unwrap();
    assert_eq!((renewed.answer.second_factor, renewed.answer.recovery_codes_left), (false, 0));
}

#[test]
fn what_a_browser_says_of_itself_is_kept_short_and_printable() {
    let mut bench = bench();
    let arrival = Arrival { user_agent: format!("Mozilla\u{1b}[2J{}", "x".repeat(1000)), before: None };
    let attempt = ByPassword { arrival, ..attempt(right(), None) };
    bench.run(|it| login::by_password(it, source(), &attempt)).unwrap();
    let session: &Session = bench.state.sessions.values().next().unwrap();
    assert_eq!(session.user_agent.chars().count(), 256);
    assert!(session.user_agent.starts_with("Mozilla[2Jxx"));
}
