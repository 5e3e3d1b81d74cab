use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::secret_text::SecretText;

use super::*;
use crate::model::allowlist::{AllowedRange, Allowlist};
use crate::model::millis::Millis;
use crate::usecase::admin::enrolment_token::{self, NewToken};
use crate::usecase::admin::{project, secret};
use crate::usecase::fixture::*;
use crate::usecase::housekeeping;

fn vault() -> VaultId {
    "vault_v".parse().unwrap()
}

struct Gate {
    bench: Bench,
    project: ProjectId,
    secrets: Vec<SecretId>,
}

/// A project `ci` with secrets `one` and `two`.
fn gate() -> Gate {
    let mut bench = Bench::new();
    let project = bench.run(|it| project::create(it, &vault(), "ci")).unwrap();
    let secrets = ["one", "two"].map(|name| {
        let content = secret::Content::Given(SecretText::new("v".into()), vec![]);
        bench.run(|it| secret::create(it, "ci", name, content)).unwrap()
    });
    Gate { bench, project, secrets: secrets.into() }
}

impl Gate {
    fn request(&self) -> NewToken {
        NewToken {
            vault: vault(),
            name: "jobs".into(),
            description: String::new(),
            projects: vec!["ci".into()],
            secrets: self.secrets.clone(),
            token_lifetime_seconds: 3600,
            machine_lifetime_seconds: 600,
            max_uses: 2,
            source_cidr: None,
            hostname_pattern: None,
            name_pattern: None,
        }
    }

    fn token(&mut self, change: impl FnOnce(&mut NewToken)) -> (String, String) {
        let mut request = self.request();
        change(&mut request);
        let (text, token) = self.bench.run(|it| enrolment_token::create(it, request)).unwrap();
        (text.expose().to_owned(), token.id)
    }

    fn enrol(&mut self, token: &str, n: u8) -> Result<Registered, Refusal> {
        self.enrol_as(token, n, "vault_v", "ci-1", None)
    }

    fn enrol_as(
        &mut self,
        token: &str,
        n: u8,
        vault: &str,
        hostname: &str,
        name: Option<&str>,
    ) -> Result<Registered, Refusal> {
        let enrol = Enrol {
            token: SecretText::new(token.into()),
            public_key: key(n).public_key(),
            hostname: hostname.into(),
            name: name.map(str::to_owned),
        };
        let request = EnrolInVault { vault: vault.into(), enrol };
        self.bench.run(|it| super::enrol(it, source(), request))
    }

    fn uses(&self) -> u32 {
        self.bench.state.enrolment_tokens.values().next().unwrap().uses
    }
}

#[track_caller]
fn unknown<T>(result: Result<T, Refusal>, text: &str) {
    refused(result, RefusalKind::Unauthenticated, None, text);
}

#[test]
fn a_machine_is_in_at_once_with_what_the_token_gives() {
    let mut gate = gate();
    let (token, id) = gate.token(|_| ());
    assert!(!format!("{:?}", gate.bench.state.enrolment_tokens).contains(&token), "only its hash is kept");
    let registered = gate.enrol(&token, 1).unwrap();
    assert_eq!(gate.bench.actions(), [Action::MachineRegister, Action::GrantApply]);
    assert_eq!(registered.expires_at, gate.bench.now.0 + 600_000);
    let machine = gate.bench.machine(&registered).unwrap();
    assert_eq!(
        (machine.approval, machine.enabled, machine.enrolled_by.as_ref()),
        (Approval::Approved, true, Some(&id))
    );
    assert_eq!((machine.name.as_str(), registered.machine_name.as_str()), ("ci-1", "ci-1"));
    let readable = crate::usecase::reading::granted(&gate.bench.state, machine, gate.bench.now);
    assert_eq!(readable.len(), 2);
    assert!(gate.bench.state.membership(&registered.machine_id, &gate.project).is_some());
    assert_eq!(gate.uses(), 1);
}

#[test]
fn the_same_key_gets_the_same_answer_and_spends_nothing() {
    let mut gate = gate();
    let (token, id) = gate.token(|it| it.max_uses = 1);
    let first = gate.enrol(&token, 1).unwrap();
    assert_eq!(gate.enrol(&token, 1).unwrap(), first);
    assert_eq!((gate.bench.changes, gate.uses()), (0, 1));
    unknown(gate.enrol(&token, 2), "the enrolment token is used up: ask for a new one");
    assert_eq!(gate.enrol(&token, 1).unwrap(), first);
    // With another token, the key is somebody's.
    let (other, _) = gate.token(|_| ());
    let text = "the key is in use already: make a new one, and keep it for one machine alone";
    refused(gate.enrol(&other, 1), RefusalKind::Conflict, Some(ErrorCode::KeyInUse), text);
    // A machine that has ended does not come back under its key.
    gate.bench.now = gate.bench.now.plus_seconds(600);
    let text = "this key has enrolled before, and its machine has ended: make a new key";
    refused(gate.enrol(&token, 1), RefusalKind::Conflict, Some(ErrorCode::KeyInUse), text);
    gate.bench.run(|it| enrolment_token::revoke(it, &id)).unwrap();
    unknown(gate.enrol(&token, 1), "the enrolment token is revoked: ask for a new one");
}

#[test]
fn a_token_that_is_not_good_lets_nobody_in() {
    let mut gate = gate();
    let (token, id) = gate.token(|_| ());
    let text = "the enrolment token is not known in this vault: check token and vault id";
    unknown(gate.enrol("0000", 1), text);
    unknown(gate.enrol_as(&token, 1, "vault_w", "ci-1", None), text);
    unknown(gate.enrol_as(&token, 1, "../vault_v", "ci-1", None), text);
    gate.bench.run(|it| enrolment_token::revoke(it, &id)).unwrap();
    unknown(gate.enrol(&token, 1), "the enrolment token is revoked: ask for a new one");
    let (token, _) = gate.token(|_| ());
    gate.bench.now = gate.bench.now.plus_seconds(3600);
    unknown(gate.enrol(&token, 1), "the enrolment token has expired: ask for a new one");
    assert!(gate.bench.state.machines.is_empty());
}

#[test]
fn a_token_is_good_from_its_addresses_and_for_its_host_names_only() {
    let mut gate = gate();
    let (token, _) = gate.token(|it| it.source_cidr = Some("192.0.2.0/24".into()));
    let text = "the enrolment token is not good from this address";
    refused(gate.enrol(&token, 1), RefusalKind::Forbidden, None, text);
    let (token, _) = gate.token(|it| {
        it.source_cidr = Some("10.0.0.0/8".into());
        it.hostname_pattern = Some("build-*".into());
    });
    let text = "the enrolment token is not good for this host name";
    refused(gate.enrol(&token, 1), RefusalKind::Forbidden, None, text);
    gate.enrol_as(&token, 1, "vault_v", "build-7", None).unwrap();

    let entry = |cidr: &str| AllowedRange { cidr: cidr.into(), label: String::new(), enabled: true };
    for (range, is_in) in [("192.0.2.0/24", false), ("10.0.0.1/32", true)] {
        let list = Allowlist { vault: vault(), enabled: true, entries: vec![entry(range)] };
        gate.bench.put(Entity::Allowlist(list));
        let result = gate.enrol_as(&token, 2, "vault_v", "build-8", None);
        if is_in {
            result.unwrap();
        } else {
            refused(result, RefusalKind::Forbidden, None, "Access denied");
        }
    }
}

#[test]
fn a_suspended_account_lets_nobody_in() {
    use crate::model::account::Standing;
    let mut gate = gate();
    let (token, _) = gate.token(|_| ());
    gate.bench
        .run(|it| crate::usecase::admin::account::set_standing(it, "team@example.com", Standing::Banned))
        .unwrap();
    let text = "the account that owns this vault is suspended, banned or not verified: its machines are refused";
    refused(gate.enrol(&token, 1), RefusalKind::Forbidden, None, text);
}

#[test]
fn a_machine_is_called_what_the_token_says_or_else_what_it_says() {
    let mut gate = gate();
    let (token, _) = gate.token(|it| it.max_uses = 10);
    assert_eq!(gate.enrol_as(&token, 1, "vault_v", "h", Some("mine")).unwrap().machine_name, "mine");
    let text = "the machine's name must be from 1 to 255 printable characters";
    for bad in ["", "a\nb"] {
        refused(gate.enrol_as(&token, 2, "vault_v", "h", Some(bad)), RefusalKind::Invalid, None, text);
    }
    let text =
        "the machine's name must not contain U+2066, a character that is invisible or turns the direction of text";
    refused(gate.enrol_as(&token, 2, "vault_v", "h\u{2066}", None), RefusalKind::Invalid, None, text);
    // Jobs of one name are no conflict.
    gate.enrol_as(&token, 2, "vault_v", "serverless", None).unwrap();
    gate.enrol_as(&token, 3, "vault_v", "serverless", None).unwrap();
    let (token, _) = gate.token(|it| it.name_pattern = Some("worker-{uuid8}".into()));
    let name = gate.enrol_as(&token, 4, "vault_v", "h", Some("mine")).unwrap().machine_name;
    assert!(name.starts_with("worker-") && name.len() == 15, "{name}");
}

#[test]
fn what_was_deleted_since_is_not_given() {
    let mut gate = gate();
    let (token, _) = gate.token(|_| ());
    let gone = gate.secrets[0].clone();
    gate.bench.run(|it| secret::delete(it, &gone)).unwrap();
    let registered = gate.enrol(&token, 1).unwrap();
    let machine = gate.bench.machine(&registered).unwrap();
    let grants: Vec<_> = gate.bench.state.grants.values().filter(|it| it.grantee == machine.grantee()).collect();
    assert_eq!((grants.len(), &grants[0].secrets), (1, &vec![gate.secrets[1].clone()]));
}

#[test]
fn a_token_says_only_what_makes_sense() {
    type Spoil = fn(&mut NewToken);
    let table: [(Spoil, &str); 9] = [
        (|it| it.max_uses = 0, "a token lets in from 1 to 10000 machines, not 0"),
        (|it| it.max_uses = 10_001, "a token lets in from 1 to 10000 machines, not 10001"),
        (
            |it| it.token_lifetime_seconds = 59,
            "the lifetime of the token is from 1 minute (60) to 366 days (31622400), not 59 seconds",
        ),
        (
            |it| it.machine_lifetime_seconds = 31_622_401,
            "the lifetime of each machine is from 1 minute (60) to 366 days (31622400), not 31622401 seconds",
        ),
        (|it| it.source_cidr = Some("10.0.0.1".into()), "10.0.0.1 is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
        (
            |it| it.hostname_pattern = Some("^ci".into()),
            "^ci is no host name pattern: write letters, digits, '-', '.', '_', '*' for any characters and '?' for one",
        ),
        (
            |it| it.name_pattern = Some("{x}".into()),
            "{x} is no name pattern: in braces stands {uuid8}, {uuid} or {hostname}, and nothing else",
        ),
        (|it| it.projects.clear(), "one is in none of the token's projects: add its project, or leave it out"),
        (|it| it.name.clear(), "the name must be from 1 to 255 printable characters"),
    ];
    for (spoil, text) in table {
        let mut gate = gate();
        let mut request = gate.request();
        spoil(&mut request);
        refused(gate.bench.run(|it| enrolment_token::create(it, request)), RefusalKind::Invalid, None, text);
    }
}

#[test]
fn a_machine_whose_time_is_over_is_disabled_and_a_day_later_gone_with_its_grants() {
    let mut gate = gate();
    let (token, _) = gate.token(|_| ());
    let registered = gate.enrol(&token, 1).unwrap();
    let end = Millis(registered.expires_at);
    gate.bench.now = Millis(end.0 - 1);
    gate.bench.run(housekeeping::run).unwrap();
    assert_eq!(gate.bench.changes, 0);
    gate.bench.now = end;
    gate.bench.run(housekeeping::run).unwrap();
    assert_eq!(gate.bench.actions(), [Action::MachineUpdate]);
    let machine = gate.bench.machine(&registered).unwrap();
    assert!(!machine.enabled);
    // Its end is what it hears, not that it is disabled: to enrol again is what helps.
    let refusal = super::super::authenticate::may_ask(&gate.bench.state, machine, end).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Unauthenticated);
    gate.bench.run(housekeeping::run).unwrap();
    assert_eq!(gate.bench.changes, 0);

    gate.bench.now = end.plus_seconds(24 * 3600);
    gate.bench.run(housekeeping::run).unwrap();
    assert_eq!(gate.bench.actions(), [Action::MachineRevoke, Action::GrantDelete]);
    let state = &gate.bench.state;
    assert!(state.machines.is_empty() && state.grants.is_empty());
    assert_eq!(state.memberships_of(&registered.machine_id).count(), 0);
    assert_eq!(state.enrolment_tokens.len(), 1);
    gate.bench.now = gate.bench.now.plus_seconds(31 * 24 * 3600);
    gate.bench.run(housekeeping::run).unwrap();
    assert!(gate.bench.state.enrolment_tokens.is_empty());
}
