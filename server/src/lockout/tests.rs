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
fn an_attacker_with_many_addresses_cannot_fill_the_memory() {
    let lockout = Lockout::default();
    for i in 0..200_000_u32 {
        lockout.failed(Millis(0), IpAddr::V4(std::net::Ipv4Addr::from_bits(i)), None);
    }
    assert!(lockout.lock().failures.len() <= PLACES);
}
