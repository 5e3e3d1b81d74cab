use super::*;

fn machine() -> MachineId {
    "00000000-0000-4000-8000-000000000001".parse().unwrap()
}

fn fleet() -> Grantee {
    Grantee::Fleet("00000000-0000-4000-8000-0000000000ff".parse().unwrap())
}

fn secret() -> SecretId {
    "sk_db".parse().unwrap()
}

fn deliver(ledger: &mut Ledger, at: i64, version: u64) {
    let (machine, grantee, secret) = (machine(), fleet(), secret());
    ledger.record_delivery(Delivered {
        machine: &machine,
        grantee: &grantee,
        secret: &secret,
        version,
        in_files: false,
        now: Millis(at),
        counted: Counted { by_pod: true, by_day: true, rotate_after: Some(1), is_compared: true },
        at_once: true,
    });
}

#[test]
fn a_read_counts_for_the_fleet_and_the_pod_but_once_in_the_total() {
    let mut ledger = Ledger::default();
    deliver(&mut ledger, 0, 1);
    deliver(&mut ledger, 59_999, 2);
    for reader in [Reader::from(&fleet()), Reader::Pod(machine())] {
        let counts = ledger.counts(&secret(), &reader, Millis(59_999), Some(Millis(0)));
        assert_eq!(counts, Counts { minute: 2, day: 2, total: 2 }, "{reader}");
        let later = ledger.counts(&secret(), &reader, Millis(60_000), Some(Millis(0)));
        assert_eq!(later, Counts { minute: 0, day: 2, total: 2 }, "{reader}");
    }
    assert_eq!(ledger.delivered(&machine(), &secret()), Some(2));
    assert_eq!(ledger.usage(&fleet(), &secret()).unwrap().last_read, Some(59_999));
}

#[test]
fn a_day_is_counted_from_its_own_midnight() {
    let mut ledger = Ledger::default();
    let quarter = 15 * 60_000;
    for at in [0, quarter, 2 * quarter, 90 * quarter] {
        deliver(&mut ledger, at, 1);
    }
    let day = |start: i64| ledger.counts(&secret(), &Reader::from(&fleet()), Millis(0), Some(Millis(start))).day;
    assert_eq!([day(0), day(quarter), day(3 * quarter), day(91 * quarter)], [4, 3, 1, 0]);
}

#[test]
fn denials_by_a_policy_are_counted_for_a_day() {
    let hour = 3_600_000;
    let mut ledger = Ledger::default();
    for (hours, reason) in [
        (0, DenialReason::OutsideTimeWindow),
        (0, DenialReason::NotGranted),
        (1, DenialReason::PolicyMissing),
        (24, DenialReason::RateCapReached),
    ] {
        let denied = LastDenied { time: hours * hour, secret: "db".into(), reason, message: "no".into() };
        ledger.record_denial(&fleet(), &secret(), denied);
    }
    let lately = |hours: i64| ledger.denied_lately(&secret(), Millis(hours * hour + 1));
    assert_eq!([lately(23), lately(24), lately(25), lately(47), lately(48)], [2, 2, 1, 1, 0]);
}

#[test]
fn a_group_that_fails_leaves_no_trace() {
    let mut ledger = Ledger::default();
    deliver(&mut ledger, 0, 1);
    ledger.settle();
    let before = ledger.secret_usage(&secret());
    deliver(&mut ledger, 1, 2);
    ledger.record_denial(
        &fleet(),
        &secret(),
        LastDenied { time: 1, secret: "db".into(), reason: DenialReason::NotGranted, message: "no".into() },
    );
    ledger.record_activity(ActivityKind::Poll, Millis(1), "m".into());
    ledger.forget_secret(&secret());
    assert_eq!(ledger.dirty(1).tallies.iter().filter(|(_, tally)| tally.is_none()).count(), 2);
    ledger.take_back();
    assert_eq!(ledger.secret_usage(&secret()), before);
    assert_eq!(ledger.delivered(&machine(), &secret()), Some(1));
    assert!(ledger.dirty(1).tallies.is_empty());
    assert!(ledger.dirty(1).activity.is_empty());
}

#[test]
fn every_reader_is_read_back_as_it_was_written() {
    for reader in [Reader::from(&fleet()), Reader::Pod(machine()), Reader::Grantee(Grantee::Machine(machine()))] {
        assert_eq!(reader.to_string().parse::<Reader>().unwrap(), reader);
    }
}

#[test]
fn machines_that_hold_the_same_share_it_until_one_of_them_holds_something_else() {
    let mut ledger = Ledger::default();
    let machines: [MachineId; 2] =
        [1, 2].map(|n| format!("00000000-0000-4000-8000-00000000000{n}").parse::<MachineId>().unwrap());
    let first = Holding { version: 1, in_files: true };
    for it in &machines {
        ledger.hold(it, &secret(), first);
    }
    ledger.settle();
    let share = |ledger: &Ledger| {
        let [one, other] = machines.each_ref().map(|it| &ledger.delivered[it]);
        Arc::ptr_eq(one, other)
    };
    let versions = |ledger: &Ledger| machines.each_ref().map(|it| ledger.delivered(it, &secret()));
    assert!(share(&ledger));

    let second = Holding { version: 2, ..first };
    ledger.hold(&machines[0], &secret(), second);
    assert_eq!(versions(&ledger), [Some(2), Some(1)]);
    ledger.take_back();
    assert_eq!(versions(&ledger), [Some(1), Some(1)]);
    assert!(share(&ledger));

    for (machine, expected) in machines.iter().zip([[Some(2), Some(1)], [Some(2), Some(2)]]) {
        ledger.restore(Stored::Delivered(machine.clone(), secret(), Some(second)));
        ledger.settle_restored();
        assert_eq!((versions(&ledger), share(&ledger)), (expected, expected[0] == expected[1]));
    }
    ledger.forget_machine(&machines[0]);
    assert_eq!(versions(&ledger), [None, Some(2)]);
}
