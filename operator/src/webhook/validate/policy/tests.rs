use serde_json::{Value, json};

use super::*;

fn spec(value: Value) -> AccessPolicySpec {
    serde_json::from_value(value).unwrap()
}

/// 2026-11-24, a Tuesday.
fn now() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

#[test]
fn what_no_surroundings_could_make_right_is_refused_with_its_path() {
    let window = |days: Value, start: &str, end: &str| json!({"timeZone": "UTC", "timeWindow": {"days": days, "start": start, "end": end}});
    let cidrs = |cidrs: &[&str]| json!({"ipAllowlist": {"cidrs": cidrs}});
    let one = "give a number of at least 1";
    for (value, path, what) in [
        (json!({}), "spec", "a policy without an axis restricts nothing, give at least one"),
        (json!({"timeZone": "UTC"}), "spec", "a policy without an axis restricts nothing, give at least one"),
        (
            json!({"timeWindow": {"start": "06:00", "end": "20:00"}}),
            "spec.timeZone",
            "timeWindow and rateCap.perDay need one, for example Europe/Oslo or UTC",
        ),
        (
            json!({"rateCap": {"perDay": 1}}),
            "spec.timeZone",
            "timeWindow and rateCap.perDay need one, for example Europe/Oslo or UTC",
        ),
        (
            json!({"timeZone": "Europe/Olso", "rateCap": {"perMinute": 1}}),
            "spec.timeZone",
            "Europe/Olso is not a time zone of the IANA database: did you mean Europe/Oslo?",
        ),
        (
            json!({"timeZone": "Mars/Olympus_Mons", "rateCap": {"perMinute": 1}}),
            "spec.timeZone",
            "Mars/Olympus_Mons is not a time zone of the IANA database: write one such as Europe/Oslo or UTC",
        ),
        (
            window(json!([]), "06:00", "20:00"),
            "spec.timeWindow.days",
            "it opens on no day: name one, or leave days out for every day",
        ),
        (
            window(json!(["Mon"]), "06:00", "06:00"),
            "spec.timeWindow",
            "start and end are the same: a whole day is 00:00 to 24:00",
        ),
        (
            window(json!(["Mon"]), "24:00", "06:00"),
            "spec.timeWindow.start",
            "24:00 is the end of a day: its start is 00:00",
        ),
        (cidrs(&[]), "spec.ipAllowlist.cidrs", "it lets nobody in: name a range, or leave ipAllowlist out"),
        (
            cidrs(&["10.0.0.0/8", "office"]),
            "spec.ipAllowlist.cidrs[1]",
            "office is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32",
        ),
        (
            cidrs(&["10.0.0.0/33"]),
            "spec.ipAllowlist.cidrs[0]",
            "10.0.0.0/33 is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32",
        ),
        (cidrs(&["10.1.2.3"]), "spec.ipAllowlist.cidrs[0]", "10.1.2.3 is an address, not a range: write 10.1.2.3/32"),
        (cidrs(&["fd00::1"]), "spec.ipAllowlist.cidrs[0]", "fd00::1 is an address, not a range: write fd00::1/128"),
        (
            cidrs(&["10.1.2.3/8"]),
            "spec.ipAllowlist.cidrs[0]",
            "10.1.2.3/8 has bits set after its prefix: write 10.0.0.0/8, or 10.1.2.3/32",
        ),
        (
            cidrs(&["fd00::1/8"]),
            "spec.ipAllowlist.cidrs[0]",
            "fd00::1/8 has bits set after its prefix: write fd00::/8, or fd00::1/128",
        ),
        (
            cidrs(&["::ffff:10.0.0.0/104"]),
            "spec.ipAllowlist.cidrs[0]",
            "::ffff:10.0.0.0/104 is an IPv4 range written as IPv6: write 10.0.0.0/8",
        ),
        (
            cidrs(&["fd00::/8", "10.0.0.0/8", "FD00:0::/8"]),
            "spec.ipAllowlist.cidrs[2]",
            "FD00:0::/8 is the same range as cidrs[0]: remove one",
        ),
        (json!({"rateCap": {}}), "spec.rateCap", "give perMinute, perDay or both"),
        (json!({"rateCap": {"perMinute": 0}}), "spec.rateCap.perMinute", one),
        (json!({"timeZone": "UTC", "rateCap": {"perDay": -1}}), "spec.rateCap.perDay", one),
        (
            json!({"coSign": {"machineRef": {"name": "boss"}, "window": "29s"}}),
            "spec.coSign.window",
            "an approval is good for 30s to 168h",
        ),
        (
            json!({"coSign": {"machineRef": {"name": "boss"}, "window": "169h"}}),
            "spec.coSign.window",
            "an approval is good for 30s to 168h",
        ),
        (json!({"ttl": {}}), "spec.ttl", "give expiresAt, maxReads or both"),
        (json!({"ttl": {"maxReads": 0}}), "spec.ttl.maxReads", one),
        (json!({"rotateAfterReads": 0}), "spec.rotateAfterReads", one),
    ] {
        let flaw = refuse_flaws(&spec(value.clone())).unwrap_err();
        assert_eq!(flaw.to_string(), format!("{path}: {what}"), "{value}");
    }
}

#[test]
fn what_stands_at_a_boundary_passes() {
    for value in [
        json!({"timeZone": "US/Eastern", "timeWindow": {"start": "22:00", "end": "00:00"}}),
        json!({"timeZone": "Etc/GMT+12", "timeWindow": {"days": ["Sun"], "start": "00:00", "end": "24:00"}}),
        json!({"ipAllowlist": {"cidrs": ["10.1.2.3/32", "fd00::1/128", "0.0.0.0/0", "::/0", "::/96", "10.0.0.0/8"]}}),
        json!({"rateCap": {"perMinute": 1}}),
        json!({"coSign": {"machineRef": {"name": "boss"}, "window": "30s"}}),
        json!({"coSign": {"machineRef": {"name": "boss"}, "window": "168h"}}),
        json!({"ttl": {"maxReads": 1}, "rotateAfterReads": 1}),
    ] {
        assert_eq!(refuse_flaws(&spec(value.clone())), Ok(()), "{value}");
    }
}

#[test]
fn what_a_policy_says_about_itself_is_worth_a_warning() {
    let few = "spec.rotateAfterReads: 9 reads are soon reached where a client reads at each use, and a new value is then made \
               every 5 minutes: give at least 10, or a rateCap that holds the reads below it.";
    for (value, expected) in [
        (
            json!({"ttl": {"expiresAt": "2026-11-24T00:00:00Z"}}),
            vec!["spec.ttl.expiresAt 2026-11-24T00:00:00Z is past: every read of the bound Secrets is denied."],
        ),
        (
            // Past and closed: the first says it all.
            json!({"timeZone": "UTC", "timeWindow": {"days": ["Mon"], "start": "06:00", "end": "07:00"},
                   "ttl": {"expiresAt": "2026-11-23T00:00:00Z"}}),
            vec!["spec.ttl.expiresAt 2026-11-23T00:00:00Z is past: every read of the bound Secrets is denied."],
        ),
        (
            json!({"timeZone": "Europe/Oslo", "timeWindow": {"days": ["Mon"], "start": "06:00", "end": "07:00"},
                   "ttl": {"expiresAt": "2026-11-30T05:00:00Z"}}),
            vec![
                "spec.timeWindow: it does not open before spec.ttl.expiresAt 2026-11-30T05:00:00Z: every read of the bound \
                 Secrets is denied.",
            ],
        ),
        (
            json!({"timeZone": "Europe/Oslo", "timeWindow": {"days": ["Mon"], "start": "06:00", "end": "07:00"},
                   "ttl": {"expiresAt": "2026-11-30T05:00:01Z"}}),
            vec![],
        ),
        (
            json!({"ipAllowlist": {"cidrs": ["10.0.0.0/8", "0.0.0.0/0", "::/0", "0.0.0.0/1"]}}),
            vec![
                "spec.ipAllowlist.cidrs[1]: 0.0.0.0/0 lets everybody in who comes by IPv4.",
                "spec.ipAllowlist.cidrs[2]: ::/0 lets everybody in who comes by IPv6.",
            ],
        ),
        (json!({"rotateAfterReads": 9}), vec![few]),
        (json!({"rotateAfterReads": 10}), vec![]),
        (json!({"rotateAfterReads": 9, "rateCap": {"perMinute": 2}}), vec![few]),
        (json!({"rotateAfterReads": 9, "rateCap": {"perMinute": 1}}), vec![]),
        (json!({"rotateAfterReads": 9, "timeZone": "UTC", "rateCap": {"perDay": 2592}}), vec![few]),
        (json!({"rotateAfterReads": 9, "timeZone": "UTC", "rateCap": {"perDay": 2591}}), vec![]),
    ] {
        assert_eq!(warnings(&spec(value.clone()), now()), expected, "{value}");
    }
}

fn guarded(name: &str, is_set_by: Option<&'static str>, readers: &[(&str, i64)]) -> Guarded {
    let reader = |(machine, alive): &(&str, i64)| {
        let (namespace, name) = machine.split_once('/').unwrap();
        Reader { machine: ObjectKey { namespace: namespace.into(), name: name.into() }, alive: *alive }
    };
    Guarded { name: name.into(), is_set_by, readers: readers.iter().map(reader).collect() }
}

#[test]
fn what_stands_around_a_policy_is_worth_a_warning() {
    let signed = |machine: Value| json!({"coSign": {"machineRef": machine, "window": "10m"}});
    let capped = |cap: Value| json!({"rateCap": cap});
    for (value, around, expected) in [
        (signed(json!({"name": "boss"})), vec![guarded("db", None, &[("shop/web", 1)])], vec![]),
        (
            signed(json!({"name": "web"})),
            vec![
                guarded("db", None, &[("shop/web", 1), ("shop/api", 1)]),
                guarded("api", None, &[("shop/api", 1)]),
                guarded("key", None, &[("shop/web", 1)]),
            ],
            vec![
                "spec.coSign.machineRef: Machine web co-signs for AccessPolicy p and is itself granted Secret db, key: nobody \
                 approves their own reads, so it cannot read that.",
            ],
        ),
        (signed(json!({"name": "web", "namespace": "hq"})), vec![guarded("db", None, &[("shop/web", 1)])], vec![]),
        (
            signed(json!({"name": "web", "namespace": "hq"})),
            vec![guarded("db", None, &[("hq/web", 1)])],
            vec![
                "spec.coSign.machineRef: Machine hq/web co-signs for AccessPolicy p and is itself granted Secret db: nobody \
                 approves their own reads, so it cannot read that.",
            ],
        ),
        (capped(json!({"perMinute": 5})), vec![guarded("db", None, &[("shop/web", 5)])], vec![]),
        (
            capped(json!({"perMinute": 5})),
            vec![guarded("db", None, &[("shop/web", 6), ("hq/job", 20)]), guarded("key", None, &[("shop/web", 6)])],
            vec![
                "spec.rateCap.perMinute: AccessPolicy p lets all pods of Machine hq/job together read a Secret 5 times in a \
                 minute, and 20 are alive: when they start at once, the others wait.",
                "spec.rateCap.perMinute: AccessPolicy p lets all pods of Machine web together read a Secret 5 times in a \
                 minute, and 6 are alive: when they start at once, the others wait.",
            ],
        ),
        (capped(json!({"perMinute": 5, "countedBy": "Pod"})), vec![guarded("db", None, &[("shop/web", 20)])], vec![]),
        (
            json!({"rotateAfterReads": 20}),
            vec![guarded("db", None, &[("shop/web", 10), ("shop/api", 9)]), guarded("key", None, &[("shop/web", 10)])],
            vec![],
        ),
        (
            json!({"rotateAfterReads": 20}),
            vec![guarded("db", None, &[("shop/web", 10), ("shop/api", 10)]), guarded("key", None, &[("shop/web", 10)])],
            vec![
                "spec.rotateAfterReads: Secret db is granted to 20 pods that are alive, and AccessPolicy p makes a new value \
                 after 20 reads: one more read by each is enough, every 5 minutes at the earliest.",
            ],
        ),
        (
            json!({"rotateAfterReads": 20}),
            vec![guarded("db", None, &[]), guarded("key", Some("external"), &[]), guarded("pin", Some("sealed"), &[])],
            vec![
                "spec.rotateAfterReads: The server makes no new value of Secret key (external), pin (sealed): after 20 reads \
                 under AccessPolicy p it becomes due (RotationDue), and somebody has to set it.",
            ],
        ),
        (json!({"ttl": {"maxReads": 1}}), vec![guarded("key", Some("external"), &[("shop/web", 9)])], vec![]),
    ] {
        let found = remarks("p", &spec(value.clone()), "shop", &around);
        let found: Vec<String> = found.iter().map(|remark| format!("{}: {}", remark.path, remark.text)).collect();
        assert_eq!(found, expected, "{value}");
    }
}
