use sikkerkey_protocol::enrolment::Registered;
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{ApplyMachine, IssueVoucher, ObjectKey, PodIdentity, Subject};

use crate::audit::entry::Action;
use crate::refusal::RefusalKind;
use crate::usecase::fixture::*;

fn ready() -> Bench {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench
}

#[test]
fn a_voucher_says_for_whom_it_is_and_only_its_hash_is_kept() {
    let mut bench = ready();
    let issued = bench.voucher(pod("pod-1"), 1).unwrap();
    let voucher = issued.voucher.expose().to_owned();
    assert!(voucher.starts_with("skv_") && voucher.len() == 68);
    assert_eq!(issued.expires_at, bench.now.plus_seconds(60).0);
    assert_eq!(bench.actions(), [Action::VoucherIssue]);
    assert_eq!(
        bench.audit[0].detail,
        "for Machine shop/web, pod shop/web-pod-1, uid pod-1, node node-1, service account web"
    );
    let stored = format!("{:?}", bench.state.tokens.values().next().unwrap());
    assert!(!stored.contains(&voucher[4..]));
}

#[test]
fn a_voucher_is_refused_with_what_to_do() {
    let not_active = Some(ErrorCode::MachineNotActive);
    let with = |change: fn(&mut ApplyMachine)| {
        let mut request = workload("web");
        change(&mut request);
        let mut bench = Bench::new();
        bench.apply_machine(request).unwrap();
        bench
    };
    let mut bench = with(|it| it.suspended = true);
    let text = "Machine shop/web is suspended: set spec.suspend to false";
    refused(bench.voucher(pod("pod-1"), 1), RefusalKind::Forbidden, not_active, text);

    let mut bench = with(|it| it.manual_approval = true);
    let id = bench.state.fleets.keys().next().unwrap().clone();
    let text = format!("Machine shop/web waits for approval: sikkerkey-server admin machine approve {id}");
    refused(bench.voucher(pod("pod-1"), 1), RefusalKind::Forbidden, not_active, &text);

    let mut bench = with(|it| it.subject = Subject::Host { public_key: None, lifetime_seconds: None });
    let text = "Machine shop/web is a host: pods need a Machine with spec.workload";
    refused(bench.voucher(pod("pod-1"), 1), RefusalKind::Forbidden, not_active, text);

    let mut bench = Bench::new();
    let text = "the server has no Machine shop/web: apply it, and wait until it is Ready";
    refused(bench.voucher(pod("pod-1"), 1), RefusalKind::NotFound, Some(ErrorCode::MachineNotFound), text);

    let mut bench = ready();
    let other = PodIdentity { namespace: "payments".into(), ..pod("pod-1") };
    let text =
        "a pod of namespace payments may not assume Machine shop/web: a pod assumes a Machine of its own namespace";
    refused(bench.voucher(other, 1), RefusalKind::Forbidden, None, text);

    let nameless = PodIdentity { uid: String::new(), ..pod("pod-1") };
    refused(bench.voucher(nameless, 1), RefusalKind::Invalid, None, "pod.uid is not what Kubernetes calls one");

    bench.gone(&["pod-1"]).unwrap();
    let text = "pod pod-1 is gone: it gets no identity any more";
    refused(bench.voucher(pod("pod-1"), 1), RefusalKind::Forbidden, Some(ErrorCode::PodGone), text);
}

#[test]
fn two_pods_never_share_a_key() {
    let mut bench = ready();
    bench.enrol("pod-1", 1);
    let text = "the key is in use already: make a new one, and keep it for one machine alone";
    refused(bench.voucher(pod("pod-2"), 1), RefusalKind::Conflict, Some(ErrorCode::KeyInUse), text);
    // Not even while the first has only its voucher.
    bench.voucher(pod("pod-3"), 3).unwrap();
    let text = "another pod has shown this key: make a new one";
    refused(bench.voucher(pod("pod-4"), 3), RefusalKind::Conflict, Some(ErrorCode::KeyInUse), text);
    // The same pod may ask again with the same key: the answer may have been lost.
    bench.voucher(pod("pod-3"), 3).unwrap();
}

#[test]
fn a_newer_voucher_of_a_pod_voids_the_older_one() {
    let mut bench = ready();
    let first = bench.voucher(pod("pod-1"), 1).unwrap().voucher;
    let second = bench.voucher(pod("pod-1"), 2).unwrap().voucher;
    let other = bench.voucher(pod("pod-2"), 3).unwrap().voucher;
    let text = "the token is not known here, or ended some time ago: ask for a new one";
    refused(bench.register(first.expose(), 1), RefusalKind::Unauthenticated, None, text);
    bench.register(second.expose(), 2).unwrap();
    bench.register(other.expose(), 3).unwrap();
}

#[test]
fn pods_that_are_gone_lose_their_machines_and_their_vouchers() {
    let mut bench = ready();
    let first = bench.enrol("pod-1", 1);
    let second = bench.enrol("pod-2", 2);
    let late = bench.voucher(pod("pod-3"), 3).unwrap().voucher;
    let revoked = bench.gone(&["pod-1", "pod-3", "never-seen"]).unwrap().revoked;
    assert_eq!((revoked, bench.actions()), (1, vec![Action::MachineRevoke, Action::PodGone]));
    assert!(bench.audit[0].detail.contains("uid pod-1, node node-1"), "{}", bench.audit[0].detail);
    assert_eq!(bench.audit[0].machine, Some(first.machine_id.clone()));
    assert!(bench.machine(&first).is_none() && bench.machine(&second).is_some());
    assert_eq!(bench.register(late.expose(), 3).unwrap_err().kind, RefusalKind::Unauthenticated);
    // The second time there is nothing to do.
    assert_eq!(bench.gone(&["pod-1", "pod-3"]).unwrap().revoked, 0);
    assert_eq!((bench.changes, bench.audit.len()), (0, 0));
}

#[test]
fn a_pod_whose_end_is_learnt_between_voucher_and_registration_makes_no_machine() {
    let mut bench = ready();
    let voucher = bench.voucher(pod("pod-1"), 1).unwrap().voucher;
    // Another replica's list of tokens may be behind: the tombstone alone must be enough.
    let gone = crate::model::cluster::GonePod {
        cluster: "prod".into(),
        uid: "pod-1".into(),
        since: bench.now,
        revoked: false,
    };
    bench.put(crate::model::Entity::GonePod(gone));
    let text = "pod pod-1 is gone: it gets no identity any more";
    refused(bench.register(voucher.expose(), 1), RefusalKind::Forbidden, Some(ErrorCode::PodGone), text);
}

#[test]
fn too_many_uids_are_refused() {
    let many: Vec<String> = (0..1001).map(|it| it.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused(Bench::new().gone(&many), RefusalKind::Invalid, None, "uids are at most 1000 uids of pods");
}

#[test]
fn a_machine_name_that_is_none_is_refused_before_it_is_looked_for() {
    let agent = Bench::agent("prod");
    let machine = ObjectKey { namespace: "shop".into(), name: "web/../x".into() };
    let request = IssueVoucher { machine, pod: pod("pod-1"), public_key: key(1).public_key() };
    refused(
        ready().run(|it| super::super::voucher::issue(it, &agent, source(), request)),
        RefusalKind::Invalid,
        None,
        "name is not the name of a Kubernetes object",
    );
}

#[test]
fn a_pod_that_a_person_revoked_does_not_come_back_until_it_is_another_pod() {
    let mut bench = ready();
    let registered = bench.enrol("pod-1", 1);
    bench.run(|it| crate::usecase::admin::machine::revoke(it, registered.machine_id.as_str())).unwrap();
    assert!(bench.machine(&registered).is_none());
    let text = "an administrator revoked pod pod-1: delete it, and the next one enrols";
    refused(bench.voucher(pod("pod-1"), 2), RefusalKind::Forbidden, Some(ErrorCode::MachineNotActive), text);
    // The operator learns that it is gone: from then on it is remembered like any other.
    bench.gone(&["pod-1"]).unwrap();
    let text = "pod pod-1 is gone: it gets no identity any more";
    refused(bench.voucher(pod("pod-1"), 2), RefusalKind::Forbidden, Some(ErrorCode::PodGone), text);
    bench.enrol("pod-2", 3);
}

#[test]
fn a_secret_counts_the_pods_that_have_it_in_their_files_and_gives_a_new_one_a_while() {
    use crate::ledger::{Counted, Delivered};

    let mut bench = ready();
    bench.apply_secret(generated("db")).unwrap();
    bench.apply_grant(grant("web-reads-db", "web", &["db"])).unwrap();
    let (id, pods) = (bench.secret("db").id.clone(), [bench.enrol("pod-1", 1), bench.enrol("pod-2", 2)]);
    let deliver = |bench: &mut Bench, pod: &Registered, version| {
        let grantee = bench.machine(pod).unwrap().grantee();
        bench.ledger.record_delivery(Delivered {
            machine: &pod.machine_id,
            grantee: &grantee,
            secret: &id,
            version,
            in_files: false,
            now: bench.now,
            counted: Counted::default(),
            at_once: false,
        });
    };
    let served = |bench: &mut Bench| {
        let state = &bench.inventory("prod").secrets[0].state;
        (state.pods_current, state.pods_total)
    };
    assert_eq!(served(&mut bench), (0, 0));
    for pod in &pods {
        deliver(&mut bench, pod, 1);
    }
    assert_eq!(served(&mut bench), (0, 0), "they are writing");
    bench.ledger.record_files(&pods[0].machine_id, &id, 1, true);
    assert_eq!(served(&mut bench), (1, 1));
    bench.now = bench.now.plus_seconds(10);
    assert_eq!(served(&mut bench), (1, 2), "one cannot");
    bench.ledger.record_files(&pods[1].machine_id, &id, 1, true);
    assert_eq!(served(&mut bench), (2, 2));
    bench.ledger.record_files(&pods[1].machine_id, &id, 1, false);
    assert_eq!(served(&mut bench), (1, 2), "its files went");
}
