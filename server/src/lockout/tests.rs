use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn what(result: Result<(), Lock>) -> Option<Locked> {
    result.err().map(|lock| lock.what)
}

#[test]
fn three_failures_in_five_minutes_lock_for_thirty() {
    let lockout = Lockout::default();
    let attacker = ip("203.0.113.9");
    for at in [0, 2 * MINUTE] {
        assert!(lockout.failed(Millis(at), attacker, None).is_empty());
    }
    // The first is more than five minutes old: it no longer counts.
    assert!(lockout.failed(Millis(5 * MINUTE), attacker, None).is_empty());
    let locks = lockout.failed(Millis(6 * MINUTE), attacker, None);
    let until = Millis(36 * MINUTE);
    assert_eq!(locks, [Lock { what: Locked::Address(attacker), until }]);
    assert_eq!(what(lockout.check(Millis(until.0 - 1), attacker, None)), Some(Locked::Address(attacker)));
    assert_eq!(lockout.check(until, attacker, None), Ok(()));
    assert_eq!(lockout.check(Millis(6 * MINUTE), ip("203.0.113.10"), None), Ok(()));
}

#[test]
fn a_person_is_told_who_is_shut_out_from_where_and_until_when() {
    let lockout = Lockout::default();
    let (attacker, now) = (ip("203.0.113.9"), Millis(0));
    for _ in 0..3 {
        lockout.failed(now, attacker, Some("web"));
    }
    let until = Millis(30 * MINUTE);
    assert_eq!(lockout.on_signer(now, "web"), [(None, until), (Some(attacker), until)]);
    assert_eq!(lockout.signers(now), HashMap::from([("web".to_owned(), until)]));
    assert_eq!(lockout.on_signer(now, "db"), []);
    assert!(lockout.on_signer(until, "web").is_empty() && lockout.signers(until).is_empty());
}

#[test]
fn a_machine_cannot_be_locked_out_of_its_own_address() {
    let lockout = Lockout::default();
    let (home, now) = (ip("10.0.0.5"), Millis(0));
    lockout.succeeded(home, "web");
    for attacker in ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"] {
        lockout.failed(now, ip(attacker), Some("web"));
    }
    assert_eq!(lockout.check(now, home, Some("web")), Ok(()));
    let stranger = ip("198.51.100.1");
    assert_eq!(what(lockout.check(now, stranger, Some("web"))), Some(Locked::Signer("web".into())));
    assert_eq!(lockout.check(now, stranger, Some("db")), Ok(()));
}

#[test]
fn failures_from_its_own_address_lock_the_pair_and_the_address_but_not_the_machine() {
    let lockout = Lockout::default();
    let (home, now) = (ip("10.0.0.5"), Millis(0));
    lockout.succeeded(home, "web");
    lockout.succeeded(home, "db");
    let locks: Vec<_> = (0..4).flat_map(|_| lockout.failed(now, home, Some("web"))).map(|lock| lock.what).collect();
    assert_eq!(locks, [Locked::Address(home), Locked::Pair("web".into(), home)]);
    assert_eq!(what(lockout.check(now, home, Some("web"))), Some(Locked::Pair("web".into(), home)));
    // Who has authenticated from there goes on, and so does the machine from elsewhere; a stranger does not.
    assert_eq!(lockout.check(now, home, Some("db")), Ok(()));
    assert_eq!(lockout.check(now, ip("10.0.0.6"), Some("web")), Ok(()));
    assert_eq!(what(lockout.check(now, home, Some("new"))), Some(Locked::Address(home)));
    assert_eq!(what(lockout.check(now, home, None)), Some(Locked::Address(home)));
    assert_eq!(lockout.check_tokens(now, home), Ok(()));
}

#[test]
fn behind_a_shared_address_nobody_locks_a_neighbour_out() {
    let lockout = Lockout::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let (gateway, now) = (ip("10.0.0.5"), Millis(0));
    lockout.succeeded(gateway, "web");
    for _ in 0..9 {
        assert_eq!(lockout.failed(now, gateway, Some("web")), []);
        assert_eq!(lockout.failed(now, gateway, None), []);
    }
    for signer in [Some("web"), Some("db"), None] {
        assert_eq!(lockout.check(now, gateway, signer), Ok(()));
    }
}

#[test]
fn an_ipv6_network_is_one_address() {
    let lockout = Lockout::default();
    let now = Millis(0);
    for host in 1..4 {
        lockout.failed(now, ip(&format!("2001:db8::{host}")), None);
    }
    assert!(lockout.check(now, ip("2001:db8::ffff"), None).is_err());
    assert!(lockout.check(now, ip("2001:db8:0:1::1"), None).is_ok());
}

#[test]
fn a_lifted_lock_is_over_and_begins_to_count_anew() {
    let lockout = Lockout::default();
    let (address, now) = (ip("203.0.113.9"), Millis(0));
    for _ in 0..3 {
        lockout.failed(now, address, Some("web"));
    }
    assert_eq!((lockout.lift_address(address), lockout.lift_signer("web")), (2, 1));
    assert_eq!(lockout.check(now, address, Some("web")), Ok(()));
    assert!(lockout.failed(now, address, Some("web")).is_empty());
}

#[test]
fn wrong_tokens_are_only_slowed_down() {
    let lockout = Lockout::default();
    let (address, now) = (ip("10.0.0.5"), Millis(0));
    for _ in 0..9 {
        assert_eq!(lockout.token_failed(now, address), None);
    }
    assert!(lockout.token_failed(now, address).is_some());
    assert_eq!(what(lockout.check_tokens(now, address)), Some(Locked::Tokens(address)));
    assert_eq!(lockout.check(now, address, Some("web")), Ok(()));
    assert_eq!(lockout.check_tokens(Millis(31_000), address), Ok(()));
}

#[test]
fn a_flood_of_failures_is_audited_a_few_times_a_minute() {
    let lockout = Lockout::default();
    let address = ip("203.0.113.9");
    let audited = |at| (0..100).filter(|_| lockout.may_audit(Millis(at), address)).count();
    assert_eq!((audited(0), audited(MINUTE)), (5, 5));
}

#[test]
fn all_addresses_together_have_an_end_as_well() {
    let lockout = Lockout::default();
    let audited = |at| {
        let addresses = (0..10_000_u32).map(|n| IpAddr::V4(std::net::Ipv4Addr::from_bits(n)));
        addresses.filter(|address| lockout.may_audit(Millis(at), *address)).count()
    };
    assert_eq!((audited(0), audited(MINUTE)), (300, 300));
    let locks = |at| (0..1_000).filter(|_| lockout.may_audit_lock(Millis(at))).count();
    assert_eq!((locks(0), locks(MINUTE)), (300, 300));
}

#[test]
fn an_attacker_with_many_addresses_cannot_fill_the_memory() {
    let lockout = Lockout::default();
    lockout.succeeded(ip("10.0.0.5"), "web");
    for n in 0..60_000_u32 {
        let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x2000_0000 + n));
        // All of them lock: their address, themselves there, and nobody else.
        for _ in 0..3 {
            lockout.failed(Millis(i64::from(n)), address, Some("web"));
        }
        lockout.may_audit(Millis(i64::from(n)), address);
    }
    let inner = lockout.lock();
    let sizes = [inner.failures.len(), inner.locks.len(), inner.audited.len()];
    assert!(sizes.iter().all(|size| *size <= PLACES + 3), "{sizes:?}");
    assert!(inner.known.contains_key("web"));
}

#[test]
fn of_many_signers_those_that_were_here_lately_are_remembered() {
    let lockout = Lockout::default();
    let home = ip("10.0.0.5");
    lockout.succeeded(home, "web");
    for n in 0..SIGNERS + SIGNERS / 2 {
        lockout.succeeded(ip("10.0.0.6"), &n.to_string());
        if n % 1000 == 0 {
            lockout.succeeded(home, "web");
        }
    }
    let inner = lockout.lock();
    assert!(inner.known.len() <= SIGNERS && inner.knows("web", home), "{}", inner.known.len());
}

#[test]
fn of_many_addresses_those_that_were_used_lately_are_remembered() {
    let lockout = Lockout::default();
    let home = ip("10.0.0.5");
    for n in 0..100 {
        lockout.succeeded(home, "web");
        lockout.succeeded(ip(&format!("10.1.0.{n}")), "web");
    }
    let inner = lockout.lock();
    assert!(inner.knows("web", home) && inner.knows("web", ip("10.1.0.99")) && !inner.knows("web", ip("10.1.0.0")));
    assert_eq!(inner.known["web"].addresses.len(), ADDRESSES);
}

/// What somebody does who is not the machine.
#[derive(Clone, Debug)]
enum Deed {
    Fail { from: u8, as_whom: Option<&'static str> },
    Token { from: u8 },
    Authenticate { from: u8, as_whom: &'static str },
    Audit { from: u8 },
    Wait { seconds: i64 },
}

fn deeds() -> impl Strategy<Value = Deed> {
    let whom = || prop_oneof![Just("web"), Just("db"), Just("operator")];
    prop_oneof![
        6 => (any::<u8>(), proptest::option::of(whom())).prop_map(|(from, as_whom)| Deed::Fail { from, as_whom }),
        1 => any::<u8>().prop_map(|from| Deed::Token { from }),
        // Whoever else authenticates does so as himself.
        1 => (any::<u8>(), prop_oneof![Just("db"), Just("operator")])
            .prop_map(|(from, as_whom)| Deed::Authenticate { from, as_whom }),
        1 => any::<u8>().prop_map(|from| Deed::Audit { from }),
        1 => (0i64..600).prop_map(|seconds| Deed::Wait { seconds }),
    ]
}

proptest! {
    /// A machine that authenticates from its own address is never locked out by others, whatever they send from theirs.
    #[test]
    fn others_never_lock_a_machine_out_of_its_own_address(deeds in proptest::collection::vec(deeds(), 0..300)) {
        let lockout = Lockout::default();
        let (home, mut now) = (ip("10.0.0.5"), Millis(0));
        lockout.succeeded(home, "web");
        for deed in deeds {
            // Few enough addresses for locks to begin.
            let theirs = |from: u8| ip(&format!("203.0.113.{}", from % 8));
            match deed {
                Deed::Fail { from, as_whom } => drop(lockout.failed(now, theirs(from), as_whom)),
                Deed::Token { from } => drop(lockout.token_failed(now, theirs(from))),
                Deed::Authenticate { from, as_whom } => lockout.succeeded(theirs(from), as_whom),
                Deed::Audit { from } => drop(lockout.may_audit(now, theirs(from)).then_some(())),
                Deed::Wait { seconds } => now = Millis(now.0 + seconds * 1000),
            }
            prop_assert_eq!(lockout.check(now, home, Some("web")), Ok(()));
            prop_assert_eq!(lockout.check_tokens(now, home), Ok(()));
        }
    }

    /// Three failures within five minutes lock, fewer never do, and a lock ends after thirty.
    #[test]
    fn a_lock_begins_and_ends_when_it_is_said_to(gaps in proptest::collection::vec(1i64..400, 1..30)) {
        let lockout = Lockout::default();
        let (address, mut now) = (ip("203.0.113.9"), Millis(0));
        let (mut failures, mut until): (Vec<i64>, i64) = (Vec::new(), 0);
        for gap in gaps {
            now = Millis(now.0 + gap * 1000);
            prop_assert_eq!(lockout.check(now, address, None).is_err(), now.0 < until);
            let locks = lockout.failed(now, address, None);
            if now.0 < until {
                prop_assert!(locks.is_empty());
                continue;
            }
            failures.retain(|at| now.0 - at < 5 * MINUTE);
            failures.push(now.0);
            prop_assert_eq!(!locks.is_empty(), failures.len() == 3);
            if failures.len() == 3 {
                failures.clear();
                until = now.0 + 30 * MINUTE;
            }
        }
    }
}
