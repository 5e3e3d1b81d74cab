use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{ApplyMachine, Approval, Kind, Subject};

use crate::audit::entry::Action;
use crate::refusal::RefusalKind;
use crate::usecase::admin::machine as admin;
use crate::usecase::fixture::*;

pub(super) fn host(name: &str, n: Option<u8>) -> ApplyMachine {
    let public_key = n.map(|n| key(n).public_key());
    ApplyMachine {
        manual_approval: n.is_none(),
        subject: Subject::Host { public_key, lifetime_seconds: None },
        ..workload(name)
    }
}

#[test]
fn a_fleet_is_approved_at_once_or_waits_for_a_person() {
    let mut bench = Bench::new();
    let state = bench.apply_machine(workload("web")).unwrap();
    assert_eq!(
        (state.approval, state.alive, state.granted_secrets, state.suspended),
        (Approval::Approved, 0, 0, false)
    );
    assert_eq!(bench.actions(), [Action::ProjectCreate, Action::FleetApply]);

    let manual = ApplyMachine { manual_approval: true, ..workload("batch") };
    let state = bench.apply_machine(manual.clone()).unwrap();
    assert_eq!(state.approval, Approval::Pending);
    let id = state.machine_id.unwrap();
    bench.run(|it| admin::approve(it, &id)).unwrap();
    assert_eq!(bench.actions(), [Action::MachineApprove]);
    assert_eq!(bench.apply_machine(manual.clone()).unwrap().approval, Approval::Approved);
    // What a person denied stays denied, whatever the object says.
    bench.run(|it| admin::revoke(it, &id)).unwrap();
    let mut automatic = ApplyMachine { manual_approval: false, ..manual };
    automatic.object.generation = 2;
    assert_eq!(bench.apply_machine(automatic).unwrap().approval, Approval::Denied);
}

#[test]
fn what_stands_in_the_object_stands_in_the_fleet() {
    let mut bench = Bench::new();
    let first = bench.apply_machine(workload("web")).unwrap();
    let revision = |bench: &Bench| match &bench.state.fleet_of("prod", &object("web", 1).key).unwrap().subject {
        crate::model::fleet::FleetSubject::Workload { delivery_revision, .. } => delivery_revision.clone(),
        crate::model::fleet::FleetSubject::Host { .. } => panic!("not a host"),
    };
    let before = revision(&bench);
    let mut changed = ApplyMachine { suspended: true, ..workload("web") };
    changed.object.generation = 2;
    let mut delivery = delivery();
    delivery.max_staleness_seconds = 1;
    changed.subject = Subject::Workload { service_accounts: vec!["web".into()], lifetime_seconds: 600, delivery };
    let state = bench.apply_machine(changed).unwrap();
    assert_eq!((state.suspended, &state.machine_id), (true, &first.machine_id));
    assert_ne!(revision(&bench), before);
}

#[test]
fn a_lifetime_out_of_bounds_and_a_change_of_kind_are_refused() {
    let mut bench = Bench::new();
    for lifetime_seconds in [0, 299, 8784 * 3600 + 1] {
        let subject =
            Subject::Workload { service_accounts: vec!["web".into()], lifetime_seconds, delivery: delivery() };
        let request = ApplyMachine { subject, ..workload("web") };
        refused(bench.apply_machine(request), RefusalKind::Invalid, None, "identity.lifetime is from 5m to 8784h");
    }
    bench.apply_machine(workload("web")).unwrap();
    let registered = bench.enrol("pod-1", 1);
    let text = "a Machine is for pods or for a host for life: make a new Machine";
    refused(bench.apply_machine(host("web", Some(7))), RefusalKind::Invalid, None, text);
    // A new object of the same name may be of the other kind; nobody of the old one stays.
    let mut other = host("web", Some(7));
    other.object.uid = "web-2".into();
    bench.apply_machine(other).unwrap();
    assert!(bench.machine(&registered).is_none());
}

#[test]
fn a_pinned_host_is_a_machine_at_once_and_another_key_ends_the_first() {
    let mut bench = Bench::new();
    let state = bench.apply_machine(host("backup", Some(7))).unwrap();
    assert_eq!((state.approval, state.alive), (Approval::Approved, 1));
    assert_eq!(state.fingerprint, Some(key(7).public_key().fingerprint()));
    let id = state.machine_id.unwrap();

    let mut other = host("backup", Some(8));
    other.object.generation = 2;
    let state = bench.apply_machine(other).unwrap();
    assert_ne!(state.machine_id.as_ref(), Some(&id));
    assert_eq!(bench.actions(), [Action::FleetApply, Action::MachineRevoke, Action::MachineApprove]);
    assert!(!bench.state.machines.contains_key(&id.parse().unwrap()));
    assert_eq!(state.alive, 1);

    let state = bench.apply_machine(host("unpinned", None)).unwrap();
    assert_eq!((state.approval, state.machine_id), (Approval::Pending, None));
}

#[test]
fn a_key_belongs_to_one_machine() {
    let text = "the key in spec.host.publicKey belongs to another machine at the server: make a new one on the host";
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.enrol("pod-1", 1);
    let in_use = Some(ErrorCode::KeyInUse);
    refused(bench.apply_machine(host("backup", Some(1))), RefusalKind::Conflict, in_use, text);
    bench.apply_machine(host("backup", Some(7))).unwrap();
    refused(bench.apply_machine(host("other", Some(7))), RefusalKind::Conflict, in_use, text);
    bench.put(crate::model::Entity::Agent(Bench::agent("prod")));
    refused(bench.apply_machine(host("other", Some(250))), RefusalKind::Conflict, in_use, text);
}

#[test]
fn pinning_the_key_of_a_host_that_waits_is_its_approval() {
    let mut bench = Bench::new();
    let (token, _) = bench.run(|it| admin::bootstrap(it, &"vault_v".parse().unwrap(), Some("nas".into()))).unwrap();
    let registered = bench.register(token.expose(), 7).unwrap();
    assert_eq!(bench.machine(&registered).unwrap().approval, Approval::Pending);
    let state = bench.apply_machine(host("backup", Some(7))).unwrap();
    assert_eq!(state.machine_id, Some(registered.machine_id.to_string()));
    let machine = bench.machine(&registered).unwrap();
    assert_eq!((machine.approval, machine.name.as_str()), (Approval::Approved, "shop/backup"));
    // One that a person had approved for something else is not an agent's to take.
    let (token, _) = bench.run(|it| admin::bootstrap(it, &"vault_v".parse().unwrap(), Some("ci".into()))).unwrap();
    let registered = bench.register(token.expose(), 8).unwrap();
    bench.run(|it| admin::approve(it, registered.machine_id.as_str())).unwrap();
    assert_eq!(bench.apply_machine(host("ci", Some(8))).unwrap_err().code, Some(ErrorCode::KeyInUse));
}

#[test]
fn a_deleted_fleet_takes_machines_grants_and_vouchers_with_it() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    let registered = bench.enrol("pod-1", 1);
    let voucher = bench.voucher(pod("pod-2"), 2).unwrap();
    bench.delete(deleted(Kind::Machine, "web")).unwrap();
    assert_eq!(bench.actions(), [Action::MachineRevoke, Action::GrantDelete, Action::FleetDelete]);
    assert!(bench.audit[0].detail.contains("web-pod-1") && bench.audit[0].detail.contains("node-1"));
    assert!(bench.machine(&registered).is_none());
    assert!(bench.state.grants.is_empty() && bench.state.tokens.is_empty() && bench.state.fleets.is_empty());
    refused(
        bench.register(voucher.voucher.expose(), 2),
        RefusalKind::Unauthenticated,
        None,
        "the token is not known here, or ended some time ago: ask for a new one",
    );
}

#[test]
fn a_machine_that_is_made_anew_is_the_same_reader_unless_its_namespace_is_another() {
    let mut bench = Bench::new();
    let first = bench.apply_machine(workload("web")).unwrap().machine_id;
    bench.delete(deleted(Kind::Machine, "web")).unwrap();
    let mut anew = workload("web");
    anew.object.uid = "made-anew".into();
    // Else each new one would begin its caps anew.
    assert_eq!(bench.apply_machine(anew).unwrap().machine_id, first);
    assert_ne!(bench.apply_machine(workload("other")).unwrap().machine_id, first);
    let id = |uid: &str| {
        let mut object = workload("web").object;
        object.namespace_uid = uid.into();
        crate::usecase::fresh_id::object_id::<sikkerkey_protocol::id::FleetId>("prod", &object).unwrap()
    };
    assert_ne!(id("one"), id("two"));
}

#[test]
fn a_service_account_that_is_taken_off_the_list_ends_its_pods_and_their_vouchers() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    let registered = bench.enrol("pod-1", 1);
    let late = bench.voucher(pod("pod-2"), 2).unwrap().voucher;
    let narrowed = |accounts: &[&str]| {
        let service_accounts = accounts.iter().map(|it| (*it).to_owned()).collect();
        let subject = Subject::Workload { service_accounts, lifetime_seconds: 3600, delivery: delivery() };
        let mut request = ApplyMachine { subject, ..workload("web") };
        request.object.generation = 2;
        request
    };
    bench.apply_machine(narrowed(&["other"])).unwrap();
    assert_eq!(bench.actions(), vec![Action::MachineRevoke, Action::FleetApply]);
    assert!(bench.machine(&registered).is_none());
    let text = "ServiceAccount web may not assume Machine shop/web: add it to spec.workload.serviceAccountNames";
    let code = Some(ErrorCode::ServiceAccountNotAllowed);
    refused(bench.register(late.expose(), 2), RefusalKind::Forbidden, code, text);
    refused(bench.voucher(pod("pod-3"), 3), RefusalKind::Forbidden, code, text);
    let mut widened = narrowed(&["other", "web"]);
    widened.object.generation = 3;
    bench.apply_machine(widened).unwrap();
    bench.enrol("pod-1", 4);
}

#[test]
fn what_no_sidecar_can_do_is_refused_before_a_pod_waits_for_it() {
    use sikkerkey_protocol::sync::{ChangeAction, File, Format, OnChange};
    let with = |change: &dyn Fn(&mut sikkerkey_protocol::sync::Delivery)| {
        let mut delivery = delivery();
        change(&mut delivery);
        let subject = Subject::Workload { service_accounts: vec!["web".into()], lifetime_seconds: 3600, delivery };
        ApplyMachine { subject, ..workload("web") }
    };
    let file = |format| File {
        path: "app".into(),
        format,
        mode: 0o444,
        optional: false,
        inputs: vec![],
        template: None,
        pkcs12: None,
    };
    let code = Some(ErrorCode::Unsupported);
    let signal = |name: &str| {
        let action = ChangeAction::Signal { name: name.into(), process_name: "nginx".into() };
        with(&|it| it.on_change = Some(OnChange { debounce_millis: 0, action: action.clone() }))
    };
    let text = "onChange.signal SIGKILL is not supported by this version: use SIGHUP, SIGUSR1, SIGUSR2, SIGTERM";
    refused(Bench::new().apply_machine(signal("SIGKILL")), RefusalKind::Invalid, code, text);
    Bench::new().apply_machine(signal("SIGHUP")).unwrap();
    let formats = [
        Format::Raw,
        Format::DotEnv,
        Format::Json,
        Format::Yaml,
        Format::Properties,
        Format::Ini,
        Format::Pkcs12,
        Format::Template,
    ];
    for format in formats {
        Bench::new().apply_machine(with(&|it| it.files = vec![file(format)])).unwrap();
    }
}
