use super::*;
use crate::model::Entity;
use crate::model::account::Standing;
use crate::model::machine::Grantee;
use crate::oidc::tests::{Signer, cluster as trusted};
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
    refused(nobody, RefusalKind::NotFound, None, "there is no account nobody@example.com: vault create makes one");
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
