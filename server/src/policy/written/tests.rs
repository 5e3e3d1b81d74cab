use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::policy::check;

fn changes(value: Value) -> Changes {
    serde_json::from_value(value).unwrap()
}

fn whole() -> Value {
    json!({
        "name": "hours", "timeWindowEnabled": true, "timeWindowStart": "08:00", "timeWindowEnd": "18:30",
        "timeWindowTimezone": "Europe/Oslo", "timeWindowDays": ["mon"], "ipAllowlistEnabled": true,
        "ipAllowlistCidrs": ["10.0.0.0/8"], "rateCapEnabled": true, "maxReadsPerDay": 100, "coSignEnabled": true,
        "coSignMachineId": "m", "coSignWindowSeconds": 60, "ttlExpiresAt": 1_772_625_600_000_i64, "ttlMaxReads": 5,
        "rotateAfterReads": 3,
    })
}

fn object_of(value: Value) -> PolicyObject {
    changes(value).onto(&PolicyObject::default()).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "the form that document takes")]
fn find(_: &str) -> Result<Approver, FieldError> {
    Ok(Approver::Machine("00000000-0000-4000-8000-000000000011".parse().unwrap()))
}

fn decided(fields: Value) -> Result<PolicyDocument, String> {
    let object = changes(fields).onto(&PolicyObject::default()).map_err(|it| it.to_string())?;
    document(&object, CountedBy::Machine, find).map_err(|it| it.to_string())
}

#[test]
fn every_field_that_makes_no_sense_is_named_with_what_to_write() {
    let table = [
        (json!({"timeWindowStart": "8:00"}), "timeWindowStart is 8:00, which is no time: write HH:mm, such as 08:00"),
        (json!({"timeWindowStart": "24:00"}), "timeWindowStart is 24:00, which is no time: write HH:mm, such as 08:00"),
        (
            json!({"timeWindowEnd": "18.30"}),
            "timeWindowEnd is 18.30, which is no time: write HH:mm, such as 18:30, or 24:00",
        ),
        (json!({"timeWindowEnd": "08:00"}), "timeWindowEnd is the start as well: a whole day is 00:00 to 24:00"),
        (
            json!({"timeWindowTimezone": "Mars/Olympus"}),
            "timeWindowTimezone is Mars/Olympus, which is no time zone of the IANA database: write one such as Europe/Oslo or UTC",
        ),
        (
            json!({"ipAllowlistCidrs": ["10.0.0.0/8", "::/0", "10.1.2.3/8"]}),
            "ipAllowlistCidrs[2] is wrong: 10.1.2.3/8 is not a CIDR in its shortest form: write 10.0.0.0/8",
        ),
        (json!({"ipAllowlistCidrs": vec!["::/0"; 129]}), "ipAllowlistCidrs has more than 128 ranges: join some"),
        (json!({"maxReadsPerDay": 0}), "maxReadsPerDay is 0: give at least 1, or null to take it away"),
        (json!({"maxReadsPerMinute": 0}), "maxReadsPerMinute is 0: give at least 1, or null to take it away"),
        (json!({"ttlMaxReads": 0}), "ttlMaxReads is 0: give at least 1, or null to take it away"),
        (json!({"rotateAfterReads": 0}), "rotateAfterReads is 0: give at least 1, or null to take it away"),
        (
            json!({"ttlExpiresAt": 1_772_625_600}),
            "ttlExpiresAt is 1772625600, which looks like seconds: it is in milliseconds, as in 1772625600000",
        ),
        (json!({"ttlExpiresAt": -1}), "ttlExpiresAt is outside the calendar: it is in milliseconds since 1970"),
        (json!({"ttlExpiresAt": i64::MAX}), "ttlExpiresAt is outside the calendar: it is in milliseconds since 1970"),
        (json!({"coSignWindowSeconds": 29}), "coSignWindowSeconds is 29: give from 30 to 604800 seconds"),
        (json!({"description": "x".repeat(2001)}), "description has more than 2000 bytes: shorten it"),
        (json!({"timeWindowDays": "mon"}), "timeWindowDays takes a list of texts, or null to take it away"),
        (
            json!({"maxReadsPerDay": -1}),
            "maxReadsPerDay takes a whole number up to 4294967295, or null to take it away",
        ),
        (
            json!({"maxReadsPerDay": 1.5}),
            "maxReadsPerDay takes a whole number up to 4294967295, or null to take it away",
        ),
        (json!({"rateCapEnabled": "yes"}), "rateCapEnabled takes true or false"),
        (json!({"rateCapEnabled": null}), "rateCapEnabled takes true or false"),
        (json!({"name": null}), "name takes a text"),
    ];
    for (spoilt, text) in table {
        let mut fields = whole();
        fields.as_object_mut().unwrap().extend(spoilt.as_object().unwrap().clone());
        assert_eq!(decided(fields).unwrap_err(), text);
    }
    let unknown = changes(json!({"ipAllowList": []})).check().unwrap_err().to_string();
    assert!(unknown.starts_with("ipAllowList is no field of a policy: there are name, description, "), "{unknown}");
    assert!(decided(whole()).is_ok());
}

#[test]
fn the_table_of_fields_is_the_objects() {
    let object = changes(whole()).onto(&PolicyObject::default()).unwrap();
    let more = json!({"description": "d", "maxReadsPerMinute": 1});
    let Value::Object(all) = serde_json::to_value(changes(more).onto(&object).unwrap()).unwrap() else { panic!() };
    let mut names: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let mut there: Vec<_> = all.keys().map(String::as_str).collect();
    there.sort_unstable();
    assert_eq!(there, names);
}

#[test]
fn an_update_leaves_what_it_does_not_name_and_takes_away_what_it_names_null() {
    let old = changes(whole()).onto(&PolicyObject::default()).unwrap();
    let new = changes(json!({"rateCapEnabled": false, "ttlMaxReads": null, "timeWindowEnd": "24:00"})).onto(&old);
    let end = Some("24:00".to_owned());
    let expected = PolicyObject { rate_cap_enabled: false, ttl_max_reads: None, time_window_end: end, ..old.clone() };
    assert_eq!(new.unwrap(), expected);
    // What is under a switch that is off stays, and counts again when it is switched on.
    let off = changes(json!({"rateCapEnabled": false})).onto(&old).unwrap();
    assert_eq!(off.max_reads_per_day, Some(100));
    assert_eq!(changes(json!({"rateCapEnabled": true})).onto(&off).unwrap(), old);
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let text = r#"{"ipAllowlistEnabled":true,"ipAllowlistEnabled":false}"#;
    let error = serde_json::from_str::<Changes>(text).unwrap_err().to_string();
    assert!(error.starts_with("a field stands twice"), "{error}");
}

/// A field that there is or nearly is, and something that may or may not stand in it.
fn field() -> impl Strategy<Value = (String, Value)> {
    let names = FIELDS.iter().map(|(name, _)| (*name).to_owned()).chain(["ttl".into(), String::new()]);
    let values = vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(60),
        json!(5),
        json!(1_772_625_600_000_i64),
        json!(""),
        json!("08:00"),
        json!("24:00"),
        json!("25:00"),
        json!("UTC"),
        json!("10.0.0.0/8"),
        json!(["mon"]),
        json!(["10.0.0.0/8"]),
        json!([]),
        json!([null]),
        json!({"a": []}),
    ];
    (proptest::sample::select(names.collect::<Vec<_>>()), proptest::sample::select(values))
}

proptest! {
    /// Whatever is typed into whatever field is refused, or is a policy that can be put in force; and what passes the first
    /// look alone passes it together.
    #[test]
    fn any_fields_are_refused_or_make_sense(fields in proptest::collection::vec(field(), 0..12)) {
        let changes = Changes(fields.into_iter().collect());
        let base = object_of(whole());
        let checked = changes.check();
        let merged = changes.onto(&base);
        prop_assert_eq!(checked.is_ok(), merged.is_ok());
        if let Ok(object) = merged && let Ok(document) = document(&object, CountedBy::Machine, find) {
            prop_assert!(check(&document).is_ok() || document == PolicyDocument::default());
        }
    }

    /// What is let through here can be put in force: the check of documents finds nothing more.
    #[test]
    fn what_is_complete_and_sound_can_be_put_in_force(
        start in "([01][0-9]|2[0-9]):[0-6][0-9]", end in "([01][0-9]|2[0-9]):[0-6][0-9]",
        zone in proptest::sample::select(vec!["Europe/Oslo", "UTC", "Nowhere", ""]),
        day in proptest::sample::select(vec!["mon", "sun", "Mon", ""]),
        range in "[0-9a-f:.]{0,9}(/[0-9]{1,2})?",
        numbers in proptest::array::uniform4(proptest::option::of(0u32..3)),
        on in proptest::array::uniform3(any::<bool>()),
    ) {
        let object = PolicyObject {
            name: "p".into(),
            time_window_enabled: on[0],
            time_window_start: Some(start),
            time_window_end: Some(end),
            time_window_timezone: Some(zone.into()),
            time_window_days: Some(vec![day.into()]),
            ip_allowlist_enabled: on[1],
            ip_allowlist_cidrs: Some(vec![range]),
            rate_cap_enabled: on[2],
            max_reads_per_day: numbers[0],
            max_reads_per_minute: numbers[1],
            ttl_max_reads: numbers[2],
            ..Default::default()
        };
        if let Ok(document) = document(&object, CountedBy::Machine, find) && document != PolicyDocument::default() {
            prop_assert_eq!(check(&document), Ok(()));
        }
    }
}
