use serde_json::{Value, json};

use super::*;
use crate::usecase::fixture::Bench;
use crate::usecase::management::office::{Office, vault};

/// 2026-03-04T12:00:00Z, a Wednesday.
const NOON: i64 = 1_772_625_600_000;
const HOUR: i64 = 3_600_000;

fn machine(n: u8) -> MachineId {
    format!("00000000-0000-4000-8000-0000000000{n:02x}").parse().unwrap()
}

fn read(at: i64, n: u8) -> Tried {
    Tried {
        at: Millis(at),
        machine: machine(n),
        fleet: None,
        secret: "sk_db".parse().unwrap(),
        address: "10.0.0.7".parse().unwrap(),
        denial: None,
    }
}

fn denied(at: i64, n: u8, why: DenialReason) -> Tried {
    Tried { denial: Some(why), ..read(at, n) }
}

fn known(document: Value) -> Known {
    let office = Office::open();
    let project = office.bench.state.projects[&office.shop].clone();
    let policy = Policy {
        id: "policy".into(),
        vault: vault(),
        project: project.id.clone(),
        name: "guarded".into(),
        revision: 1,
        document: serde_json::from_value(document).unwrap(),
        protected: false,
        withdrawn: false,
        written: None,
        managed: None,
    };
    let id: SecretId = "sk_db".parse().unwrap();
    let mut secret = Secret::without_value(id.clone(), &project, "db".into(), Millis(NOON));
    secret.policy = Some(policy.name.clone());
    Known {
        project,
        policy,
        same_co_sign: false,
        secrets: HashMap::from([(id.clone(), secret)]),
        fleets: HashMap::new(),
        labels: HashMap::from([(Grantee::Machine(machine(1)), "machine web".to_owned())]),
        signer: None,
        reads: HashMap::from([(id, 100)]),
    }
}

fn office_hours() -> Value {
    json!({"timeZone": "UTC", "timeWindow": {"days": ["Wed"], "start": "08:00", "end": "13:00"}})
}

fn sums(past: &Past) -> [u64; 5] {
    [past.reads, past.denials, past.denied, past.waiting, past.let_through]
}

#[test]
fn reads_outside_of_a_window_would_have_been_denied_and_denials_inside_let_through() {
    let tried = [
        read(NOON, 1),
        read(NOON + 2 * HOUR, 1),
        read(NOON + 3 * HOUR, 1),
        denied(NOON, 2, DenialReason::AddressNotAllowed),
        denied(NOON + 2 * HOUR, 2, DenialReason::AddressNotAllowed),
    ];
    let past = decide(&known(office_hours()), &tried);
    assert_eq!(sums(&past), [3, 2, 2, 0, 1]);
    assert_eq!(past.found, 2);
    let web = &past.groups[0];
    assert_eq!((web.reader.as_str(), web.label.as_str(), web.reads, web.denied), ("machine web", "db", 3, 2));
    assert_eq!(web.because.as_deref(), Some("closed until Wed 08:00 UTC"));
    assert_eq!((past.groups[1].reads, past.groups[1].let_through), (0, 1));
}

#[test]
fn a_policy_that_would_have_changed_nothing_has_no_groups() {
    let past = decide(&known(json!({"ipAllowlist": ["10.0.0.0/8"]})), &[read(NOON, 1), read(NOON + 1, 2)]);
    assert_eq!((sums(&past), past.groups.len()), ([2, 0, 0, 0, 0], 0));
    let past = decide(&known(json!({"ipAllowlist": ["192.0.2.0/24"]})), &[read(NOON, 1)]);
    assert_eq!(past.groups[0].because.as_deref(), Some("10.0.0.7 is in none of the policy's CIDRs"));
}

#[test]
fn caps_count_what_the_policy_itself_lets_through() {
    let cap = json!({"rateCap": {"perMinute": 2, "countedBy": "Machine"}});
    let minute = |n: i64| NOON + n * 1000;
    // Of three in a minute one is too many; another machine and another minute begin anew.
    let tried = [read(minute(0), 1), read(minute(1), 1), read(minute(2), 1), read(minute(3), 2), read(minute(60), 1)];
    assert_eq!(sums(&decide(&known(cap.clone()), &tried)), [5, 0, 1, 0, 0]);
    // What the narrower policy denied is let through, and counts.
    let reached = DenialReason::RateCapReached;
    let tried = [read(minute(0), 1), denied(minute(1), 1, reached), denied(minute(2), 1, reached)];
    assert_eq!(sums(&decide(&known(cap), &tried)), [1, 2, 0, 0, 1]);
    let day = json!({"timeZone": "UTC", "rateCap": {"perDay": 1, "countedBy": "Machine"}});
    let tried = [read(NOON, 1), read(NOON + HOUR, 1), read(NOON + 13 * HOUR, 1)];
    assert_eq!(sums(&decide(&known(day), &tried)), [3, 0, 1, 0, 0]);
}

#[test]
fn reads_before_the_week_count_towards_the_last_one() {
    // A hundred reads ever, of which two are in the week.
    let tried = [read(NOON, 1), read(NOON + 1, 1)];
    assert_eq!(sums(&decide(&known(json!({"ttl": {"maxReads": 99}})), &tried)), [2, 0, 1, 0, 0]);
    assert_eq!(sums(&decide(&known(json!({"ttl": {"maxReads": 98}})), &tried)), [2, 0, 2, 0, 0]);
    assert_eq!(sums(&decide(&known(json!({"ttl": {"maxReads": 100}})), &tried)), [2, 0, 0, 0, 0]);
}

#[test]
fn a_co_signer_would_have_been_waited_for_unless_it_had_approved() {
    let terms = json!({"coSign": {"approver": {"machine": machine(9)}, "windowSeconds": 60}});
    let mut known = known(terms);
    let boss = explain::stand_in(machine(9), "boss".into(), &vault(), None, Millis(NOON));
    known.signer = Some(Signer::Machine(Box::new(boss)));
    let tried = [read(NOON, 1), read(NOON + 1, 9), denied(NOON + 2, 1, DenialReason::CoSignMissing)];
    let past = decide(&known, &tried);
    assert_eq!(sums(&past), [2, 1, 1, 1, 0]);
    let own = past.groups.iter().find(|it| it.denied == 1).unwrap();
    assert_eq!(own.because.as_deref(), Some("machine boss would approve its own reads: name another in coSign"));
    known.same_co_sign = true;
    assert_eq!(sums(&decide(&known, &tried)), [2, 1, 0, 0, 0]);
}

#[test]
fn the_most_that_would_be_otherwise_comes_first_and_no_answer_grows() {
    let document = json!({"ipAllowlist": ["192.0.2.0/24"]});
    let mut tried: Vec<Tried> = (0..60).map(|n| read(NOON + i64::from(n), n)).collect();
    tried.push(read(NOON + HOUR, 42));
    let past = decide(&known(document), &tried);
    assert_eq!((past.found, past.groups.len(), past.denied), (60, GROUPS, 61));
    assert_eq!(past.groups[0].denied, 2);
}

#[test]
fn only_what_a_policy_has_to_do_with_is_decided_once_more() {
    let row = |entry: Value| AuditRow { seq: 1, time: Millis(NOON), entry: entry.to_string(), hash: [0; 32] };
    let entry = |action: &str, denial: Value| json!({"action": action, "actor": "System", "machine": machine(1), "secret": "sk_db", "source_ip": "10.0.0.7", "denial": denial});
    for (entry, is_one) in [
        (entry("secret_read", Value::Null), true),
        (entry("secret_read_denied", json!("OutsideTimeWindow")), true),
        (entry("secret_read_denied", json!("PolicyMissing")), true),
        (entry("secret_read_denied", json!("NotGranted")), false),
        (entry("secret_read_denied", json!("ProjectFrozen")), false),
        (entry("policy_apply", Value::Null), false),
        (json!({"action": "secret_read", "actor": "System"}), false),
    ] {
        assert_eq!(super::tried(&row(entry.clone())).is_some(), is_one, "{entry}");
    }
    assert!(super::tried(&row(json!({}))).is_none());
}

#[test]
fn what_is_looked_for_is_what_it_guards_and_of_a_new_one_the_whole_project() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let wanted = office
        .ask(|context, manager| {
            let project = &context.state.projects[&shop];
            let policy = known(office_hours()).policy;
            let new = wanted(context, manager, project, None, &policy);
            let old = wanted(context, manager, project, Some(&policy), &policy);
            let mut steps = crate::usecase::steps::Steps::default();
            steps.audit.push(manager.looked(&shop, "a test".into()));
            Ok(steps.decide(move |_| [new, old]))
        })
        .unwrap();
    assert_eq!(wanted.each_ref().map(|it| (it.secrets.len(), it.is_bound)), [(2, false), (0, true)]);
    let Bench { state, .. } = office.bench;
    let [new, _] = wanted;
    let tried = [Tried { secret: new.secrets[0].clone(), ..read(NOON, 1) }, read(NOON, 1)];
    let known = gather(&state, |_| 7, new, &tried);
    // One that is gone is left out.
    assert_eq!((known.secrets.len(), known.reads.values().copied().collect::<Vec<_>>()), (1, vec![7]));
    assert!(known.secrets.values().all(|it| it.policy.as_deref() == Some("guarded")));
    assert_eq!(known.labels.len(), 1);
}
