use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Every field, every switch on.
fn whole() -> PolicyObject {
    PolicyObject {
        name: "hours".into(),
        description: Some("office hours".into()),
        time_window_enabled: true,
        time_window_start: Some("08:00".into()),
        time_window_end: Some("18:30".into()),
        time_window_timezone: Some("Europe/Oslo".into()),
        time_window_days: Some(["fri", "mon"].map(str::to_owned).to_vec()),
        ip_allowlist_enabled: true,
        ip_allowlist_cidrs: Some(vec!["10.0.0.0/8".into()]),
        rate_cap_enabled: true,
        max_reads_per_day: Some(100),
        max_reads_per_minute: Some(10),
        co_sign_enabled: true,
        co_sign_machine_id: Some(MACHINE.into()),
        co_sign_window_seconds: Some(3600),
        ttl_expires_at: Some(1_772_625_600_000),
        ttl_max_reads: Some(1000),
        rotate_after_reads: Some(50),
    }
}

const MACHINE: &str = "00000000-0000-4000-8000-000000000011";

#[expect(clippy::unnecessary_wraps, reason = "the form that document takes")]
fn find(id: &str) -> Result<Approver, FieldError> {
    Ok(Approver::Machine(id.parse().unwrap()))
}

fn never(_: &str) -> Result<Approver, FieldError> {
    panic!("nobody has to approve")
}

#[test]
fn the_object_is_the_vendors_to_the_letter() {
    let text = json!({
        "name": "hours", "description": "office hours",
        "timeWindowEnabled": true, "timeWindowStart": "08:00", "timeWindowEnd": "18:30",
        "timeWindowTimezone": "Europe/Oslo", "timeWindowDays": ["fri", "mon"],
        "ipAllowlistEnabled": true, "ipAllowlistCidrs": ["10.0.0.0/8"],
        "rateCapEnabled": true, "maxReadsPerDay": 100, "maxReadsPerMinute": 10,
        "coSignEnabled": true, "coSignMachineId": MACHINE, "coSignWindowSeconds": 3600,
        "ttlExpiresAt": 1_772_625_600_000_i64, "ttlMaxReads": 1000, "rotateAfterReads": 50,
    });
    assert_eq!(serde_json::to_value(whole()).unwrap(), text);
    assert_eq!(serde_json::from_value::<PolicyObject>(text).unwrap(), whole());
    let least = json!({"name": "n"});
    let read: PolicyObject = serde_json::from_value(least).unwrap();
    assert_eq!(read, PolicyObject { name: "n".into(), ..Default::default() });
    assert_eq!(
        serde_json::to_value(read).unwrap(),
        json!({
            "name": "n", "timeWindowEnabled": false, "ipAllowlistEnabled": false, "rateCapEnabled": false,
            "coSignEnabled": false,
        })
    );
    let error = serde_json::from_value::<PolicyObject>(json!({"name": "n", "ipAllowList": []})).unwrap_err();
    assert!(error.to_string().starts_with("unknown field `ipAllowList`"), "{error}");
}

#[test]
fn every_axis_goes_into_the_document_and_comes_back() {
    let document = whole().document(CountedBy::Machine, find).unwrap();
    let expected = PolicyDocument {
        time_zone: Some("Europe/Oslo".into()),
        time_window: Some(TimeWindow { days: vec![Day::Mon, Day::Fri], start: "08:00".into(), end: "18:30".into() }),
        ip_allowlist: Some(vec!["10.0.0.0/8".into()]),
        rate_cap: Some(RateCap { per_minute: Some(10), per_day: Some(100), counted_by: CountedBy::Machine }),
        co_sign: Some(CoSign { approver: Approver::Machine(MACHINE.parse().unwrap()), window_seconds: 3600 }),
        ttl: Some(Ttl { expires_at: Some(1_772_625_600_000), max_reads: Some(1000) }),
        rotate_after_reads: Some(50),
    };
    assert_eq!(document, expected);
    let back = PolicyObject::of("hours".into(), &document, Some(MACHINE.into()));
    let days = Some(["mon", "fri"].map(str::to_owned).to_vec());
    assert_eq!(back, PolicyObject { description: None, time_window_days: days, ..whole() });
}

#[test]
fn what_stands_under_a_switch_that_is_off_is_not_looked_at() {
    let off = PolicyObject {
        time_window_enabled: false,
        time_window_days: Some(vec!["Someday".into()]),
        time_window_start: Some("late".into()),
        ip_allowlist_enabled: false,
        ip_allowlist_cidrs: Some(vec!["everywhere".into()]),
        rate_cap_enabled: false,
        co_sign_enabled: false,
        co_sign_machine_id: Some("nobody".into()),
        ttl_expires_at: None,
        ttl_max_reads: None,
        rotate_after_reads: None,
        ..whole()
    };
    assert_eq!(off.document(CountedBy::Machine, never), Ok(PolicyDocument::default()));
}

#[test]
fn an_axis_that_is_on_names_the_field_it_misses() {
    type Spoil = fn(&mut PolicyObject);
    let table: [(Spoil, &str); 11] = [
        (
            |it| it.time_window_start = None,
            "timeWindowStart is missing, and timeWindowEnabled is on: give a time such as 08:00",
        ),
        (
            |it| it.time_window_end = None,
            "timeWindowEnd is missing, and timeWindowEnabled is on: give a time such as 18:00",
        ),
        (
            |it| (it.time_window_timezone, it.max_reads_per_day) = (None, None),
            "timeWindowTimezone is missing, and timeWindowEnabled is on: give a time zone such as Europe/Oslo or UTC",
        ),
        (
            |it| it.time_window_days = None,
            "timeWindowDays is missing, and timeWindowEnabled is on: give some of mon, tue, wed, thu, fri, sat, sun",
        ),
        (|it| it.time_window_days = Some(vec![]), "timeWindowDays is empty: name at least one of mon to sun"),
        (
            |it| it.time_window_days = Some(vec!["mon".into(), "Tue".into()]),
            "timeWindowDays[1] is Tue, which is no day: write mon, tue, wed, thu, fri, sat or sun",
        ),
        (
            |it| it.ip_allowlist_cidrs = None,
            "ipAllowlistCidrs is missing, and ipAllowlistEnabled is on: give ranges such as 10.0.0.0/8 or 2001:db8::/32",
        ),
        (
            |it| it.ip_allowlist_cidrs = Some(vec![]),
            "ipAllowlistCidrs is empty: name at least one range such as 10.0.0.0/8, or switch ipAllowlistEnabled off",
        ),
        (
            |it| (it.max_reads_per_day, it.max_reads_per_minute) = (None, None),
            "rateCapEnabled is on: give maxReadsPerMinute, maxReadsPerDay or both, or switch it off",
        ),
        (
            |it| it.co_sign_machine_id = None,
            "coSignMachineId is missing, and coSignEnabled is on: give the id of the machine that approves",
        ),
        (
            |it| it.co_sign_window_seconds = None,
            "coSignWindowSeconds is missing, and coSignEnabled is on: give a number such as 3600",
        ),
    ];
    for (spoil, text) in table {
        let mut object = whole();
        spoil(&mut object);
        assert_eq!(object.document(CountedBy::Machine, find).unwrap_err().to_string(), text);
    }
}

#[test]
fn a_days_cap_asks_for_its_time_zone_with_a_window_or_without() {
    let capped = PolicyObject { time_window_enabled: false, co_sign_enabled: false, ..whole() };
    let zone = |object: &PolicyObject| object.document(CountedBy::Machine, never).map(|it| it.time_zone);
    assert_eq!(zone(&capped), Ok(Some("Europe/Oslo".into())));
    assert_eq!(zone(&PolicyObject { max_reads_per_day: None, ..capped.clone() }), Ok(None));
    assert_eq!(
        zone(&PolicyObject { time_window_timezone: None, ..capped }).unwrap_err().to_string(),
        "timeWindowTimezone is missing, and maxReadsPerDay counts the days of a time zone: give one such as Europe/Oslo or UTC"
    );
}

proptest! {
    #[test]
    fn a_document_survives_being_written_as_an_object(
        days in proptest::sample::subsequence(DAYS.map(|(_, day)| day).to_vec(), 1..=7),
        on in proptest::array::uniform5(any::<bool>()),
        numbers in proptest::array::uniform3(proptest::option::of(1u32..9)),
        counted_by in proptest::sample::select(vec![CountedBy::Machine, CountedBy::Pod]),
    ) {
        let [minute, day, reads] = numbers;
        let cap = (on[2] && (minute.is_some() || day.is_some()))
            .then_some(RateCap { per_minute: minute, per_day: day, counted_by });
        let window = on[0].then(|| TimeWindow { days, start: "08:00".into(), end: "24:00".into() });
        let needs_zone = window.is_some() || cap.as_ref().is_some_and(|it| it.per_day.is_some());
        let document = PolicyDocument {
            time_zone: needs_zone.then(|| "Europe/Oslo".into()),
            time_window: window,
            ip_allowlist: on[1].then(|| vec!["::/0".into()]),
            rate_cap: cap,
            co_sign: on[3].then(|| CoSign { approver: Approver::Machine(MACHINE.parse().unwrap()), window_seconds: 60 }),
            ttl: reads.map(|reads| Ttl { expires_at: on[4].then_some(5), max_reads: Some(reads) }),
            rotate_after_reads: minute,
        };
        let object = PolicyObject::of("p".into(), &document, Some(MACHINE.into()));
        let text = serde_json::to_string(&object).unwrap();
        let read: PolicyObject = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.document(counted_by, find), Ok(document));
    }
}
