use sikkerkey_protocol::enrolment::Enrol;
use sikkerkey_protocol::secret_text::SecretText;

use super::*;
use crate::audit::entry::Action;
use crate::usecase::enrol::{EnrolInVault, enrol};
use crate::usecase::fixture::*;
use crate::usecase::management::office::*;

fn wanted(office: &Office) -> CreateEnrolmentToken {
    CreateEnrolmentToken {
        name: "jobs".into(),
        description: Some("the jobs of main".into()),
        project_ids: vec![office.shop.clone()],
        secret_ids: vec![office.secret(&office.shop, "one")],
        token_lifetime_seconds: 3600,
        machine_lifetime_seconds: 600,
        max_uses: 2,
        source_cidr: Some("10.0.0.0/8".into()),
        hostname_pattern: Some("ci-*".into()),
        name_pattern: Some("job-{uuid8}".into()),
    }
}

impl Office {
    fn made(&mut self) -> EnrolmentTokenCreated {
        let wanted = wanted(self);
        self.ask(|it, manager| create(it, manager, [], wanted)).unwrap()
    }

    fn job(&mut self, token: &EnrolmentTokenCreated, n: u8) -> Result<(), Refusal> {
        let enrol = Enrol {
            token: SecretText::new(token.token.expose().to_owned()),
            public_key: key(n).public_key(),
            hostname: "ci-1".into(),
            name: None,
        };
        let request = EnrolInVault { vault: "vault_v".into(), enrol };
        self.bench.run(|it| self::enrol(it, source(), request)).map(drop)
    }
}

#[test]
fn a_token_is_made_lets_machines_in_and_is_revoked() {
    let mut office = Office::open();
    let made = office.made();
    assert_eq!(made.token.expose().len(), 64);
    let expected = "1 projects, 1 secrets";
    assert!(office.bench.audit[0].detail.ends_with(expected), "{}", office.bench.audit[0].detail);
    office.job(&made, 1).unwrap();
    let id = made.view.id.clone();
    let seen = office.ask(|it, manager| get(it, manager, [&id])).unwrap();
    assert_eq!((seen.state, seen.uses, seen.max_uses, seen.alive), (EnrolmentTokenState::Active, 1, 2, 1));
    assert_eq!((seen.source_cidr.as_deref(), seen.name_pattern.as_deref()), (Some("10.0.0.0/8"), Some("job-{uuid8}")));

    let why = RevokeEnrolmentToken { reason: Some("leaked".into()) };
    let gone = office.ask(|it, manager| revoke(it, manager, [&id], why)).unwrap();
    assert_eq!((gone.state, gone.revoked_because.as_deref()), (EnrolmentTokenState::Revoked, Some("leaked")));
    office.wrote(Action::EnrolmentTokenRevoke, &format!("enrolment token jobs ({id}), after 1 of 2 uses: leaked"));
    let text = "the enrolment token is revoked: ask for a new one";
    refused(office.job(&made, 2), RefusalKind::Unauthenticated, None, text);
    // Its machine goes on, and it is revoked but once.
    assert_eq!(gone.alive, 1);
    let again = RevokeEnrolmentToken::default();
    office.ask(|it, manager| revoke(it, manager, [&id], again)).unwrap();
    assert_eq!((office.bench.changes, office.bench.actions()), (0, vec![Action::ManagementRead]));
    let listed = office.ask(|it, manager| list(it, manager, [])).unwrap().enrollment_tokens;
    assert_eq!((listed.len(), listed[0].revoked_because.as_deref()), (1, Some("leaked")));
}

#[test]
fn what_a_token_may_not_be_is_told() {
    type Spoil = fn(&mut CreateEnrolmentToken);
    let table: [(Spoil, &str); 6] = [
        (
            |it| it.token_lifetime_seconds = 59,
            "the lifetime of the token is from 1 minute (60) to 366 days (31622400), not 59 seconds",
        ),
        (
            |it| it.machine_lifetime_seconds = 31_622_401,
            "the lifetime of each machine is from 1 minute (60) to 366 days (31622400), not 31622401 seconds",
        ),
        (|it| it.max_uses = 10_001, "a token lets in from 1 to 10000 machines, not 10001"),
        (|it| it.source_cidr = Some("10.0.0.1".into()), "10.0.0.1 is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
        (|it| it.project_ids.clear(), "one is in none of the token's projects: add its project, or leave it out"),
        (
            |it| it.name_pattern = Some("{job}".into()),
            "{job} is no name pattern: in braces stands {uuid8}, {uuid} or {hostname}, and nothing else",
        ),
    ];
    for (spoil, text) in table {
        let mut office = Office::open();
        let mut wanted = wanted(&office);
        spoil(&mut wanted);
        refused(office.ask(|it, manager| create(it, manager, [], wanted)), RefusalKind::Invalid, None, text);
    }
}

#[test]
fn a_token_gives_nothing_that_its_maker_does_not_see() {
    let mut office = Office::open();
    let (shop, bank, theirs) = (office.shop.clone(), office.bank.clone(), office.theirs.clone());
    let whole = office.made().view.id;
    office.sees(&[&bank]);
    for project in [&shop, &theirs] {
        let wanted = CreateEnrolmentToken { project_ids: vec![project.clone()], secret_ids: vec![], ..wanted(&office) };
        let text = "this vault has no project of that id";
        refused(office.ask(|it, manager| create(it, manager, [], wanted)), RefusalKind::NotFound, None, text);
    }
    let foreign = CreateEnrolmentToken { project_ids: vec![bank.clone()], ..wanted(&office) };
    let text = "this vault has no secret of that id";
    refused(office.ask(|it, manager| create(it, manager, [], foreign)), RefusalKind::NotFound, None, text);
    let free = CreateEnrolmentToken { project_ids: vec![], secret_ids: vec![], ..wanted(&office) };
    let text = "projectIds is empty, and such a token is for whoever has no list of projects: name a project";
    refused(office.ask(|it, manager| create(it, manager, [], free)), RefusalKind::Invalid, None, text);

    let text = "this vault has no enrolment token of that id";
    for id in [whole.as_str(), "nothing"] {
        refused(office.ask(|it, manager| get(it, manager, [id])), RefusalKind::NotFound, None, text);
        let why = RevokeEnrolmentToken::default();
        refused(office.ask(|it, manager| revoke(it, manager, [id], why)), RefusalKind::NotFound, None, text);
    }
    assert!(office.ask(|it, manager| list(it, manager, [])).unwrap().enrollment_tokens.is_empty());
}

#[test]
fn a_namespaces_secrets_are_given_by_objects() {
    let mut office = Office::open();
    office.bench.apply_secret(generated("db")).unwrap();
    let secret = office.bench.secret("db").clone();
    let wanted = CreateEnrolmentToken {
        project_ids: vec![secret.project.clone()],
        secret_ids: vec![secret.id],
        ..wanted(&office)
    };
    let text = "project shop is namespace shop of cluster prod: apply a Grant object there";
    refused(office.ask(|it, manager| create(it, manager, [], wanted)), RefusalKind::Conflict, None, text);
}
