use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::enrolment::Register;

use super::*;
use crate::audit::entry::Action;
use crate::refusal::RefusalKind;
use crate::usecase::fixture::*;
use crate::usecase::management::machine as manage;
use crate::usecase::management::office::*;
use crate::usecase::register;

fn made(office: &mut Office, name: Option<&str>, lifetime_seconds: Option<u64>) -> Command {
    let machine = NewMachine { name: name.map(str::to_owned), lifetime_seconds };
    office.ask(|it, manager| begin(it, manager, [], machine)).unwrap()
}

fn registers(office: &mut Office, command: &Command) {
    let request = Register {
        token: SecretText::new(command.token.expose().to_owned()),
        public_key: key(1).public_key(),
        proof: None,
        hostname: Some("nas.example.com".into()),
        os: None,
    };
    office.bench.run(|it| register::register(it, source(), request)).unwrap();
}

fn come_of(office: &mut Office, id: &str) -> Arrival {
    office.ask(|it, manager| arrival(it, manager, [id])).unwrap()
}

#[test]
fn a_command_awaits_its_host_and_shows_it_when_it_has_registered() {
    let mut office = Office::open();
    let command = made(&mut office, Some("nas"), None);
    office.wrote(Action::BootstrapTokenCreate, "for machine nas");
    assert_eq!(command.expires_at, office.bench.now.plus_seconds(600).0);
    assert!(!command.id.contains(command.token.expose()));
    assert!(matches!(come_of(&mut office, &command.id), Arrival::Awaited { until } if until == command.expires_at));
    registers(&mut office, &command);
    let Arrival::Came(row) = come_of(&mut office, &command.id) else { panic!("it did not come") };
    assert_eq!((row.row.name.as_str(), row.waits), ("nas", true));
    assert_eq!(row.row.fingerprint, Some(key(1).public_key().fingerprint()));
    let id = row.row.id;
    office.ask(|it, manager| manage::deny(it, manager, [id.as_str()])).unwrap();
    assert!(matches!(come_of(&mut office, &command.id), Arrival::Gone { name } if name == "nas"));
}

#[test]
fn a_command_that_nobody_used_in_time_is_over_and_so_is_one_that_was_forgotten() {
    let mut office = Office::open();
    let command = made(&mut office, None, Some(7200));
    office.wrote(Action::BootstrapTokenCreate, "for machine (its host name), temporary, for 7200 s");
    office.bench.now = office.bench.now.plus_seconds(600);
    assert!(matches!(come_of(&mut office, &command.id), Arrival::Over));
    assert!(matches!(come_of(&mut office, &"0".repeat(64)), Arrival::Over));
    for id in ["", "new", &"0".repeat(63), &"G".repeat(64)] {
        let asked = office.ask(|it, manager| arrival(it, manager, [id]));
        refused(asked, RefusalKind::NotFound, None, "there is no such command");
    }
}

#[test]
fn a_command_of_another_vault_says_nothing() {
    let mut office = Office::open();
    let theirs = office.bench.run(|it| crate::usecase::admin::machine::bootstrap(it, &other_vault(), None)).unwrap();
    let id = sha256_hex(theirs.0.expose().as_bytes());
    assert!(office.bench.state.tokens.contains_key(&id.parse().unwrap()));
    assert!(matches!(come_of(&mut office, &id), Arrival::Over));
}

#[test]
fn a_name_that_is_none_and_a_time_that_is_too_short_are_refused() {
    let mut office = Office::open();
    let mut refusal = |name: &str, lifetime_seconds| {
        let machine = NewMachine { name: Some(name.into()), lifetime_seconds };
        let refusal = office.ask(|it, manager| begin(it, manager, [], machine)).unwrap_err();
        (refusal.kind, refusal.message)
    };
    let text = "a temporary machine lasts from 1 hour to 12 months (366d)";
    assert_eq!(refusal("nas", Some(3599)), (RefusalKind::Invalid, text.to_owned()));
    assert_eq!(refusal("a\nb", None).0, RefusalKind::Invalid);
}
