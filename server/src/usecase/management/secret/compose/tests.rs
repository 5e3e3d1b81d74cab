use sikkerkey_protocol::kubernetes::Charset;
use sikkerkey_protocol::policy::PolicyDocument;

use super::*;
use crate::audit::entry::Action;
use crate::model::Entity;
use crate::model::policy::Policy as PolicyEntity;
use crate::model::secret::{Secret, ValueOrigin};
use crate::refusal::RefusalKind;
use crate::usecase::fixture::refused;
use crate::usecase::management::office::*;

fn generator() -> Generator {
    Generator { length: 12, charset: Charset::Numeric }
}

fn text(it: &str) -> SecretText {
    SecretText::new(it.into())
}

impl Office {
    fn compose(&mut self, policy: Option<&str>, value: NewValue) -> Result<Secret, Refusal> {
        let wanted = NewSecret {
            project: "shop".into(),
            name: "new".into(),
            note: Some("of the till".into()),
            policy: policy.map(str::to_owned),
            value,
        };
        let made = self.ask(|it, manager| create(it, manager, [], wanted))?;
        Ok(self.bench.state.secrets[&made.id].clone())
    }

    fn compose_policy(&mut self, name: &str) -> String {
        let policy = PolicyEntity {
            id: format!("policy-{name}"),
            vault: vault(),
            project: if name == "theirs" { self.bank.clone() } else { self.shop.clone() },
            name: name.into(),
            revision: 1,
            document: PolicyDocument { ip_allowlist: Some(vec!["10.0.0.0/8".into()]), ..PolicyDocument::default() },
            protected: false,
            withdrawn: false,
            written: None,
            managed: None,
        };
        let id = policy.id.clone();
        self.bench.put(Entity::Policy(policy));
        id
    }

    fn opened_value(&self, secret: &Secret) -> String {
        let project = &self.bench.state.projects[&secret.project];
        let sealed = self.bench.state.value(&secret.id).unwrap();
        self.bench.keyring.open(project, &secret.id, secret.version, sealed).unwrap().expose().to_owned()
    }
}

#[test]
fn a_secret_is_made_whole_with_its_note_and_its_policy() {
    let mut office = Office::open();
    let guard = office.compose_policy("guard");
    let secret = office.compose(Some(&guard), NewValue::Text(text("hunter2"))).unwrap();
    assert_eq!((secret.policy.as_deref(), secret.note.as_deref()), (Some("guard"), Some("of the till")));
    assert_eq!((office.opened_value(&secret).as_str(), secret.version), ("hunter2", 1));
    assert_eq!(office.bench.actions(), [Action::SecretCreate, Action::SecretUpdate]);
}

#[test]
fn a_field_that_nobody_types_is_made_and_the_others_are_as_they_were_typed() {
    let mut office = Office::open();
    let fields = vec![("user".to_owned(), Some(text("ada"))), ("password".to_owned(), None)];
    let secret = office.compose(None, NewValue::Fields(fields, generator())).unwrap();
    let value: BTreeMap<String, String> = serde_json::from_str(&office.opened_value(&secret)).unwrap();
    assert_eq!((value["user"].as_str(), value["password"].len()), ("ada", 12));

    let texts = BTreeMap::from([("password".to_owned(), text("hunter2"))]);
    office.ask(|it, manager| set_fields(it, manager, [secret.id.as_str()], texts)).unwrap();
    office.wrote(Action::SecretUpdate, "shop/new, version 2, fields password");
    let secret = office.bench.state.secrets[&secret.id].clone();
    assert_eq!(office.opened_value(&secret), r#"{"user":"ada","password":"hunter2"}"#);
    let text_of = "no field has another text: type one into the fields that change";
    let none = office.ask(|it, manager| set_fields(it, manager, [secret.id.as_str()], BTreeMap::new()));
    refused(none, RefusalKind::Invalid, None, text_of);
    let other = BTreeMap::from([("hunter2".to_owned(), text("x"))]);
    let other = office.ask(|it, manager| set_fields(it, manager, [secret.id.as_str()], other));
    let text_of = "fields names one that new does not have: it has user, password";
    refused(other, RefusalKind::Invalid, None, text_of);
    let many = (0..65).map(|it| (format!("f{it}"), text("hunter2"))).collect();
    let many = office.ask(|it, manager| set_fields(it, manager, [secret.id.as_str()], many));
    let text_of = "fields names more than 64: name each once, of those new has: user, password";
    refused(many, RefusalKind::Invalid, None, text_of);
}

#[test]
fn fields_that_are_all_typed_were_set_and_not_generated() {
    let mut office = Office::open();
    let typed = vec![("user".to_owned(), Some(text("ada"))), ("password".to_owned(), Some(text("a\"b")))];
    let secret = office.compose(None, NewValue::Fields(typed, generator())).unwrap();
    assert_eq!((secret.origin.as_ref(), secret.recipe.as_ref()), (Some(&ValueOrigin::Set), None));
    assert_eq!(office.opened_value(&secret), r#"{"user":"ada","password":"a\"b"}"#);
}

#[test]
fn a_canary_has_bait_for_a_value_and_is_armed_at_once() {
    let mut office = Office::open();
    let bait = SetCanary { armed: true, freeze_project: true, freeze_related: false };
    let secret = office.compose(None, NewValue::Bait(bait)).unwrap();
    assert_eq!((office.opened_value(&secret).len(), secret.note.as_deref()), (64, Some("of the till")));
    let canary = &office.bench.state.canaries[&secret.id];
    assert_eq!((canary.armed, canary.freeze_project, canary.freeze_related), (true, true, false));
}

#[test]
fn what_does_not_fit_makes_nothing() {
    let mut office = Office::open();
    let theirs = office.compose_policy("theirs");
    let before = office.bench.state.secrets.len();
    let made = office.compose(Some(&theirs), NewValue::Made(generator()));
    let told = "project shop has no such policy: choose one of the same project, or none";
    refused(made, RefusalKind::NotFound, None, told);
    let twice = vec![("a".to_owned(), Some(text("hunter2"))), ("a".to_owned(), Some(text("x")))];
    let made = office.compose(None, NewValue::Fields(twice, generator()));
    refused(made, RefusalKind::Invalid, None, "field a is given twice");
    // However they come: all made, one typed, all typed.
    for typed in [0, 1, 65] {
        let many = (0..65).map(|it| (format!("f{it}"), (it < typed).then(|| text("hunter2")))).collect();
        let made = office.compose(None, NewValue::Fields(many, generator()));
        refused(made, RefusalKind::Invalid, None, "a structured value has from 1 to 64 fields");
    }
    let long = Generator { length: 2000, charset: Charset::Symbols };
    let made = office.compose(None, NewValue::Made(long));
    refused(made, RefusalKind::Invalid, None, "length is from 1 to 1024, not 2000");
    assert_eq!(office.bench.state.secrets.len(), before);
}
