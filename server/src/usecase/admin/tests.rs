use super::*;
use crate::model::Entity;
use crate::model::account::Standing;
use crate::model::machine::Grantee;
use crate::oidc::tests::{Signer, cluster as trusted};
use crate::refusal::RefusalKind;
use crate::usecase::fixture::*;

fn trust(signer: &Signer, name: &str) -> cluster::Trust {
    let it = trusted(name, &[signer]);
    cluster::Trust { vault: it.vault, name: it.name, issuer: it.issuer, jwks: it.jwks, subject: it.subject }
}

#[test]
fn a_vault_comes_with_its_owners_account() {
    let mut bench = Bench::new();
    let id = bench.run(|it| vault::create(it, "new", "new@example.com")).unwrap();
    assert_eq!(bench.actions(), [Action::AccountUpdate, Action::VaultCreate]);
    assert_eq!(bench.state.account_of(&id).unwrap().standing, Standing::Active);
    let second = bench.run(|it| vault::create(it, "other", "new@example.com")).unwrap();
    assert_eq!(bench.actions(), [Action::VaultCreate]);
    assert_ne!(id, second);
    let text = format!("new@example.com has a vault new already: {id}");
    refused(bench.run(|it| vault::create(it, "new", "new@example.com")), RefusalKind::Conflict, None, &text);
    let text = "nobody is not an e-mail address";
    refused(bench.run(|it| vault::create(it, "new", "nobody")), RefusalKind::Invalid, None, text);
    let text = "the name must be from 1 to 255 printable characters";
    refused(bench.run(|it| vault::create(it, "a\nb", "new@example.com")), RefusalKind::Invalid, None, text);
}

#[test]
fn a_name_in_which_something_is_hidden_is_refused_with_what_it_is() {
    for (hidden, code) in [
        ('\u{ad}', "U+00AD"),
        ('\u{61c}', "U+061C"),
        ('\u{200b}', "U+200B"),
        ('\u{200f}', "U+200F"),
        ('\u{2028}', "U+2028"),
        ('\u{202e}', "U+202E"),
        ('\u{2060}', "U+2060"),
        ('\u{2066}', "U+2066"),
        ('\u{206f}', "U+206F"),
        ('\u{feff}', "U+FEFF"),
    ] {
        let text =
            format!("the name must not contain {code}, a character that is invisible or turns the direction of text");
        refused(check_name("the name", &format!("na{hidden}s")), RefusalKind::Invalid, None, &text);
    }
    // Letters of every script, an accent of its own, and the blanks and dashes beside those.
    for name in ["nas", "für Zoë", "e\u{301}", "مخزن", "保管庫", "a\u{202f}b", "a\u{2010}b", "🔑"] {
        assert_eq!(name_flaw(name), None, "{name}");
    }
}

#[test]
fn what_has_a_name_from_before_is_changed_under_it_and_gets_no_such_name_anew() {
    use sikkerkey_protocol::policy::PolicyDocument;
    let (mut bench, _, _) = plain();
    let document = |cidr: &str| PolicyDocument { ip_allowlist: Some(vec![cidr.into()]), ..PolicyDocument::default() };
    bench.run(|it| policy::set(it, "ci", "office", document("10.0.0.0/8"))).unwrap();
    let policy = bench.state.policies.values().next().unwrap();
    let old = crate::model::policy::Policy { name: "off\u{200b}ice".into(), ..policy.clone() };
    bench.put(Entity::Policy(old));
    assert_eq!(bench.run(|it| policy::set(it, "ci", "off\u{200b}ice", document("10.0.0.0/9"))).unwrap(), 2);
    let text = "the name must not contain U+200B, a character that is invisible or turns the direction of text";
    let anew = bench.run(|it| policy::set(it, "ci", "home\u{200b}", document("10.0.0.0/9")));
    refused(anew, RefusalKind::Invalid, None, text);
}

#[test]
fn a_key_is_trusted_for_one_cluster() {
    let mut bench = Bench::new();
    bench.run(|it| cluster::trust(it, trust(&Signer::ec(1, "k"), "a"))).unwrap();
    assert_eq!(bench.actions(), [Action::ClusterTrust]);
    bench.run(|it| cluster::trust(it, trust(&Signer::ec(1, "k"), "a"))).unwrap();
    assert_eq!(bench.changes, 0);
    let same = bench.run(|it| cluster::trust(it, trust(&Signer::ec(1, "other"), "b")));
    let text = "one of the keys is cluster a's already: each cluster signs with keys of its own";
    refused(same, RefusalKind::Conflict, None, text);
}

#[test]
fn what_is_trusted_must_be_whole() {
    type Spoil = fn(&mut cluster::Trust);
    let table: [(Spoil, RefusalKind, &str); 6] = [
        (
            |it| it.subject = "sikkerkey-operator".into(),
            RefusalKind::Invalid,
            "--subject is written system:serviceaccount:NAMESPACE:NAME",
        ),
        (
            |it| it.jwks = "<html>".into(),
            RefusalKind::Invalid,
            "the file is not a JWK set: fetch it with kubectl get --raw /openid/v1/jwks",
        ),
        (
            |it| it.jwks = r#"{"keys":[]}"#.into(),
            RefusalKind::Invalid,
            "the JWK set has no RS256 or ES256 key with a kid",
        ),
        (
            |it| it.name = "A b".into(),
            RefusalKind::Invalid,
            "the cluster's name is from 1 to 63 small letters, digits, '-' and '.'",
        ),
        (
            |it| it.issuer.clear(),
            RefusalKind::Invalid,
            "--issuer is the issuer of the cluster's tokens: kubectl get --raw /.well-known/openid-configuration",
        ),
        (
            |it| it.vault = "vault_x".parse().unwrap(),
            RefusalKind::NotFound,
            "there is no vault vault_x: vault list shows them",
        ),
    ];
    for (spoil, kind, text) in table {
        let mut request = trust(&Signer::ec(1, "k"), "a");
        spoil(&mut request);
        refused(Bench::new().run(|it| cluster::trust(it, request)), kind, None, text);
    }
}

#[test]
fn new_keys_of_a_cluster_end_the_logins_that_stood_on_the_old_ones() {
    let mut bench = Bench::new();
    bench.run(|it| cluster::trust(it, trust(&Signer::ec(1, "k"), "prod"))).unwrap();
    bench.put(Entity::Agent(Bench::agent("prod")));
    bench.run(|it| cluster::trust(it, trust(&Signer::ec(2, "k"), "prod"))).unwrap();
    assert!(bench.state.agents.is_empty());
    // A cluster that has its projects in one vault does not move to another.
    bench.apply_secret(generated("db")).unwrap();
    let other = bench.run(|it| vault::create(it, "other", "team@example.com")).unwrap();
    let moved = cluster::Trust { vault: other, ..trust(&Signer::ec(2, "k"), "prod") };
    let text = "cluster prod has its projects in vault vault_v: choose another name";
    refused(bench.run(|it| cluster::trust(it, moved)), RefusalKind::Conflict, None, text);
}

#[test]
fn revoking_a_host_takes_its_grants_and_revoking_a_fleet_denies_it() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    let (token, _) = bench.run(|it| machine::bootstrap(it, &"vault_v".parse().unwrap(), Some("nas".into()))).unwrap();
    let host = bench.register(token.expose(), 5).unwrap();
    bench.run(|it| machine::approve(it, host.machine_id.as_str())).unwrap();
    let secret = bench.secret("db").clone();
    bench.put(Entity::Grant(crate::model::grant::Grant {
        id: "g".into(),
        vault: secret.vault,
        project: secret.project,
        grantee: Grantee::Machine(host.machine_id.clone()),
        secrets: vec![secret.id],
        expires_at: None,
        managed: None,
    }));
    bench.run(|it| machine::revoke(it, host.machine_id.as_str())).unwrap();
    assert_eq!(bench.actions(), [Action::MachineRevoke, Action::GrantDelete]);
    assert!(bench.state.grants.is_empty() && bench.state.machines.is_empty());

    let pod = bench.enrol("pod-1", 1);
    let fleet = bench.state.fleets.keys().next().unwrap().clone();
    bench.run(|it| machine::revoke(it, fleet.as_str())).unwrap();
    assert_eq!(bench.actions(), [Action::MachineRevoke, Action::MachineRevoke]);
    assert!(bench.machine(&pod).is_none());
    let text = "an administrator denied Machine shop/web at the server";
    let code = Some(sikkerkey_protocol::error_body::ErrorCode::MachineNotActive);
    refused(bench.voucher(super::super::fixture::pod("pod-1"), 2), RefusalKind::Forbidden, code, text);
    bench.run(|it| machine::approve(it, fleet.as_str())).unwrap();
    bench.enrol("pod-1", 3);

    let text = "there is no machine and no fleet 00000000-0000-4000-8000-0000000000bb: machine list shows them";
    let unknown = "00000000-0000-4000-8000-0000000000bb";
    refused(bench.run(|it| machine::approve(it, unknown)), RefusalKind::NotFound, None, text);
}

#[test]
fn an_account_is_suspended_and_activated_by_its_address() {
    let mut bench = Bench::new();
    bench.run(|it| account::set_standing(it, "team@example.com", Standing::Suspended)).unwrap();
    assert_eq!(
        (bench.actions(), bench.audit[0].detail.as_str()),
        (vec![Action::AccountUpdate], "account team@example.com: Suspended (was Active)")
    );
    assert_eq!(bench.state.accounts["account"].standing, Standing::Suspended);
    bench.run(|it| account::set_standing(it, "team@example.com", Standing::Suspended)).unwrap();
    assert_eq!(bench.changes, 0);
    let nobody = bench.run(|it| account::set_standing(it, "nobody@example.com", Standing::Active));
    refused(nobody, RefusalKind::NotFound, None, "there is no account nobody@example.com: account list shows them");
}

#[test]
fn every_namespace_of_a_restored_cluster_is_adopted_at_once() {
    let mut bench = Bench::new();
    for namespace in ["shop", "payments"] {
        let mut request = generated("db");
        request.object.key.namespace = namespace.into();
        bench.apply_secret(request).unwrap();
    }
    assert_eq!(bench.run(|it| adopt::adopt(it, "prod", None, None)).unwrap(), 2);
    for namespace in ["shop", "payments"] {
        let mut request = generated("db");
        request.object.key.namespace = namespace.into();
        (request.object.uid, request.object.namespace_uid) = ("new".into(), format!("{namespace}-new"));
        assert_eq!(bench.apply_secret(request).unwrap().version, 1);
    }
}

fn team() -> VaultId {
    "vault_v".parse().unwrap()
}

fn given(text: &str, fields: &[&str]) -> secret::Content {
    let fields = fields.iter().map(|it| (*it).to_owned()).collect();
    secret::Content::Given(sikkerkey_protocol::secret_text::SecretText::new(text.into()), fields)
}

/// A project `ci`, the plain secret `db` in it, and an approved host that is no member.
fn plain() -> (Bench, sikkerkey_protocol::id::SecretId, sikkerkey_protocol::id::MachineId) {
    let mut bench = Bench::new();
    bench.run(|it| project::create(it, &team(), "ci")).unwrap();
    let secret = bench.run(|it| secret::create(it, "ci", "db", given("hunter2", &[]))).unwrap();
    let token = bench.run(|it| machine::bootstrap(it, &team(), Some("nas".into()))).unwrap().0;
    let host = bench.register(token.expose(), 5).unwrap().machine_id;
    bench.run(|it| machine::approve(it, host.as_str())).unwrap();
    (bench, secret, host)
}

#[test]
fn a_grant_takes_a_member_and_leaving_takes_the_grants() {
    let (mut bench, secret, host) = plain();
    let secrets = [secret.clone()];
    let project = bench.state.secrets[&secret].project.clone();
    let text =
        format!("machine nas is no member of project ci: add it with project add-machine {project} --machine {host}");
    refused(bench.run(|it| grant::create(it, &host, &secrets, None)), RefusalKind::Conflict, None, &text);
    bench.run(|it| project::add_machine(it, "ci", &host)).unwrap();
    assert_eq!(bench.actions(), [Action::ProjectMachineAdd]);
    bench.run(|it| project::add_machine(it, "ci", &host)).unwrap();
    assert_eq!(bench.changes, 0);
    let ended = Some(bench.now);
    let text = "the grant would have ended already: give a later --expires-at";
    refused(bench.run(|it| grant::create(it, &host, &secrets, ended)), RefusalKind::Invalid, None, text);
    let ids = bench.run(|it| grant::create(it, &host, &secrets, None)).unwrap();
    assert_eq!((ids.len(), bench.actions()), (1, vec![Action::GrantApply]));
    let readable = |bench: &Bench| {
        let machine = &bench.state.machines[&host];
        crate::usecase::reading::granted(&bench.state, machine, bench.now).len()
    };
    assert_eq!(readable(&bench), 1);
    bench.run(|it| project::remove_machine(it, "ci", &host)).unwrap();
    assert_eq!(bench.actions(), [Action::GrantDelete, Action::ProjectMachineRemove]);
    assert_eq!((readable(&bench), bench.state.grants.len()), (0, 0));

    // A revoked machine leaves nothing behind.
    bench.run(|it| project::add_machine(it, "ci", &host)).unwrap();
    let ids = bench.run(|it| grant::create(it, &host, &secrets, None)).unwrap();
    bench.run(|it| machine::revoke(it, host.as_str())).unwrap();
    assert_eq!(bench.actions(), [Action::MachineRevoke, Action::GrantDelete]);
    assert_eq!(bench.state.memberships_of(&host).count(), 0);
    let text = format!("there is no grant {}: grant list shows them", ids[0]);
    refused(bench.run(|it| grant::delete(it, &ids[0])), RefusalKind::NotFound, None, &text);
}

#[test]
fn what_an_object_stands_for_is_changed_there() {
    let (mut bench, _, _) = plain();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(supplied("db", "x", &[])).unwrap();
    bench.apply_grant(super::super::fixture::grant("web-db", "web", &["db"])).unwrap();
    bench.apply_policy(super::super::fixture::allowlist("office", "10.0.0.0/8")).unwrap();
    let pod = bench.enrol("pod-1", 1).machine_id;
    let managed = bench.secret("db").id.clone();
    let held = bench.state.grants.keys().next().unwrap().clone();
    let edit = "Secret shop/db of cluster prod stands for it: edit or delete that object";
    refused(bench.run(|it| secret::delete(it, &managed)), RefusalKind::Conflict, None, edit);
    refused(
        bench.run(|it| secret::rotate(it, &managed, secret::Rotate::default(), false)),
        RefusalKind::Conflict,
        None,
        edit,
    );
    refused(bench.run(|it| policy::bind(it, &managed, None)), RefusalKind::Conflict, None, edit);
    let text = "Grant shop/web-db of cluster prod says so: delete it there";
    refused(bench.run(|it| grant::delete(it, &held)), RefusalKind::Conflict, None, text);
    let text = "AccessPolicy shop/office of cluster prod stands for it: edit or delete that object";
    refused(bench.run(|it| policy::delete(it, "shop", "office")), RefusalKind::Conflict, None, text);
    let text =
        "it belongs to Machine shop/web: set spec.suspend there, or take one pod its identity with machine revoke";
    refused(bench.run(|it| machine::set_enabled(it, &pod, false)), RefusalKind::Conflict, None, text);
    let text = "it belongs to Machine shop/web: grant to that by a Grant object";
    refused(bench.run(|it| project::add_machine(it, "ci", &pod)), RefusalKind::Conflict, None, text);
    let text = "project shop is namespace shop of cluster prod: apply a Secret object there";
    let made = bench.run(|it| secret::create(it, "shop", "other", given("x", &[])));
    refused(made, RefusalKind::Conflict, None, text);
    // Freezing is a person's at any project.
    bench.run(|it| project::set_frozen(it, "shop", true)).unwrap();
    assert_eq!(bench.audit[0].detail, "project shop frozen");
}

#[test]
fn a_secret_is_made_renewed_and_put_away() {
    use sikkerkey_protocol::kubernetes::{Charset, Generator};
    let (mut bench, id, _) = plain();
    let text = format!("project ci has a secret db already: {id}");
    refused(bench.run(|it| secret::create(it, "ci", "db", given("x", &[]))), RefusalKind::Conflict, None, &text);
    let structured = bench.run(|it| secret::create(it, "ci", "conn", given(r#"{"user":"u"}"#, &["user"]))).unwrap();
    assert_eq!(bench.state.secrets[&structured].field_names, ["user"]);
    let wrong = bench.run(|it| secret::create(it, "ci", "bad", given(r#"{"user":1}"#, &["user"])));
    refused(wrong, RefusalKind::Invalid, None, "a structured value is a JSON object whose values are all strings");
    let generator = || Generator { length: 40, charset: Charset::Alphanumeric };
    let how = |length| secret::Rotate { length: Some(length), charset: Some(Charset::Alphanumeric), fields: vec![] };
    let made = bench.run(|it| secret::create(it, "ci", "made", secret::Content::Made(generator()))).unwrap();
    let open = |bench: &Bench, id| {
        let secret: &crate::model::secret::Secret = &bench.state.secrets[id];
        let project = &bench.state.projects[&secret.project];
        let sealed = bench.state.value(id).unwrap();
        bench.keyring.open(project, id, secret.version, sealed).unwrap().expose().to_owned()
    };
    let first = open(&bench, &made);
    assert_eq!((first.len(), open(&bench, &id)), (40, "hunter2".to_owned()));
    assert_eq!(bench.run(|it| secret::rotate(it, &made, how(40), false)).unwrap(), 2);
    assert_ne!(open(&bench, &made), first);
    let text = "conn has fields, of which a random value would be wrong for some: name those with --field, or give --all-fields";
    refused(bench.run(|it| secret::rotate(it, &structured, how(40), false)), RefusalKind::Conflict, None, text);
    let text = "length is from 1 to 1024, not 0";
    refused(bench.run(|it| secret::rotate(it, &made, how(0), false)), RefusalKind::Invalid, None, text);
    bench.run(|it| secret::delete(it, &id)).unwrap();
    assert_eq!(bench.actions(), [Action::SecretDelete]);
    // The name is free again; the one in the trash is another.
    let again = bench.run(|it| secret::create(it, "ci", "db", given("x", &[]))).unwrap();
    assert_ne!(again, id);
    let text = format!("there is no secret {id}: secret list shows them");
    refused(bench.run(|it| secret::delete(it, &id)), RefusalKind::NotFound, None, &text);
}

#[test]
fn a_project_is_in_one_application_at_most() {
    let (mut bench, _, _) = plain();
    let store = bench.run(|it| application::create(it, &team(), "store")).unwrap();
    let text = format!("vault vault_v has an application store already: {store}");
    refused(bench.run(|it| application::create(it, &team(), "store")), RefusalKind::Conflict, None, &text);
    let other = bench.run(|it| application::create(it, &team(), "other")).unwrap();
    let project = bench.state.projects.keys().next().unwrap().clone();
    let of = |bench: &Bench| bench.state.application_of(&project).map(|it| it.name.clone());
    bench.run(|it| application::assign(it, "ci", Some(&store))).unwrap();
    assert_eq!(of(&bench).as_deref(), Some("store"));
    bench.run(|it| application::assign(it, "ci", Some("other"))).unwrap();
    assert_eq!((of(&bench).as_deref(), bench.state.applications[&store].projects.len()), (Some("other"), 0));
    bench.run(|it| application::assign(it, "ci", Some(&other))).unwrap();
    assert_eq!(bench.changes, 0);
    bench.run(|it| application::assign(it, "ci", None)).unwrap();
    assert_eq!(of(&bench), None);
    let text = "there is no application x: application list shows them";
    refused(bench.run(|it| application::assign(it, "ci", Some("x"))), RefusalKind::NotFound, None, text);
}

#[test]
fn projects_of_one_name_are_told_apart_by_id() {
    let (mut bench, _, _) = plain();
    let other = bench.run(|it| vault::create(it, "other", "team@example.com")).unwrap();
    let second = bench.run(|it| project::create(it, &other, "ci")).unwrap();
    let text = "there are several projects ci: name it by its id";
    refused(bench.run(|it| project::set_frozen(it, "ci", true)), RefusalKind::Conflict, None, text);
    bench.run(|it| project::set_frozen(it, second.as_str(), true)).unwrap();
    let text = "there is no project x: project list shows them";
    refused(bench.run(|it| project::set_frozen(it, "x", true)), RefusalKind::NotFound, None, text);
    let held = bench.run(|it| project::create(it, &other, "ci"));
    let text = format!("vault {other} has a project ci already: {second}");
    refused(held, RefusalKind::Conflict, None, &text);
}

#[test]
fn an_address_has_one_place_on_an_allowlist_however_it_is_written() {
    let mut bench = Bench::new();
    for (given, known) in [
        ("10.0.0.5", "10.0.0.5/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:192.0.3.0/120", "192.0.3.0/24"),
    ] {
        assert_eq!(bench.run(|it| allowlist::add(it, &team(), given, String::new())).unwrap(), known);
        assert_eq!(bench.actions(), [Action::IpAllowlistUpdate]);
    }
    let again = bench.run(|it| allowlist::add(it, &team(), "::ffff:10.0.0.5", String::new()));
    refused(again, RefusalKind::Conflict, None, "10.0.0.5/32 is on the list already");
    let wide = bench.run(|it| allowlist::add(it, &team(), "10.0.0.5/8", String::new()));
    refused(wide, RefusalKind::Invalid, None, "10.0.0.5/8 is not a CIDR in its shortest form: write 10.0.0.0/8");
    assert_eq!(bench.run(|it| allowlist::switch(it, &team(), true)).unwrap(), 4);
    bench.run(|it| allowlist::set_entry(it, &team(), "10.0.0.5", false)).unwrap();
    let may = |bench: &Bench, address: &str| {
        crate::usecase::authenticate::may_connect(&bench.state, &team(), address.parse().unwrap()).is_ok()
    };
    assert!(may(&bench, "192.0.2.7") && may(&bench, "::ffff:192.0.2.7") && !may(&bench, "10.0.0.5"));
    bench.run(|it| allowlist::remove(it, &team(), "192.0.2.0/24")).unwrap();
    assert!(!may(&bench, "192.0.2.7"));
    let gone = bench.run(|it| allowlist::remove(it, &team(), "192.0.2.0/24"));
    let text = "192.0.2.0/24 is not on the list: ip-allowlist list shows it";
    refused(gone, RefusalKind::NotFound, None, text);
    bench.run(|it| allowlist::switch(it, &team(), false)).unwrap();
    assert!(may(&bench, "192.0.2.7") && may(&bench, "10.0.0.5"));
}

#[test]
fn a_machine_is_switched_off_and_on_and_one_whose_time_is_over_is_not() {
    let (mut bench, _, host) = plain();
    bench.run(|it| machine::set_enabled(it, &host, false)).unwrap();
    assert_eq!(
        (bench.actions(), bench.audit[0].detail.as_str()),
        (vec![Action::MachineUpdate], "machine nas disabled")
    );
    bench.run(|it| machine::set_enabled(it, &host, false)).unwrap();
    assert_eq!(bench.changes, 0);
    bench.run(|it| machine::set_enabled(it, &host, true)).unwrap();
    let held = bench.state.machines[&host].clone();
    bench.put(Entity::Machine(crate::model::machine::Machine { expires_at: Some(bench.now), ..(*held).clone() }));
    let text = "the time of machine nas is over: let it enrol again";
    refused(bench.run(|it| machine::set_enabled(it, &host, true)), RefusalKind::Conflict, None, text);
}

#[test]
fn a_policy_that_guards_something_stays() {
    use sikkerkey_protocol::policy::PolicyDocument;
    let (mut bench, id, _) = plain();
    let document = || PolicyDocument { ip_allowlist: Some(vec!["10.0.0.0/8".into()]), ..PolicyDocument::default() };
    assert_eq!(bench.run(|it| policy::set(it, "ci", "office", document())).unwrap(), 1);
    assert_eq!(bench.run(|it| policy::set(it, "ci", "office", document())).unwrap(), 1);
    assert_eq!(bench.changes, 0);
    let text = "the project of db has no policy home: policy list shows them";
    refused(bench.run(|it| policy::bind(it, &id, Some("home"))), RefusalKind::NotFound, None, text);
    bench.run(|it| policy::bind(it, &id, Some("office"))).unwrap();
    assert_eq!(bench.audit[0].detail, "policy office guards db");
    let text = format!("policy office guards {id}: take it off them with policy unbind");
    refused(bench.run(|it| policy::delete(it, "ci", "office")), RefusalKind::Conflict, None, &text);
    bench.run(|it| policy::bind(it, &id, None)).unwrap();
    bench.run(|it| policy::delete(it, "ci", "office")).unwrap();
    assert!(bench.state.policies.is_empty());
    let empty = bench.run(|it| policy::set(it, "ci", "office", PolicyDocument::default()));
    assert_eq!(empty.unwrap_err().kind, RefusalKind::Invalid);
}
