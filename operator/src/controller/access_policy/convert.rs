//! A policy's spec as the server takes it, with every default filled in. Pure.

use sikkerkey_crds::access_policy::{AccessPolicySpec, CountedBy, Day};
use sikkerkey_protocol::kubernetes::{ApplyPolicy, ObjectKey, ObjectMeta};
use sikkerkey_protocol::policy::{self, Approver, CoSign, PolicyDocument, RateCap, TimeWindow, Ttl};

use crate::controller::figure::millis;

/// A count that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: give a number of at least 1")]
pub struct NotACount {
    path: &'static str,
}

/// The request that puts it in force.
pub fn convert(object: ObjectMeta, spec: &AccessPolicySpec) -> Result<ApplyPolicy, NotACount> {
    let own = &object.key.namespace;
    let policy = PolicyDocument {
        time_zone: spec.time_zone.clone(),
        time_window: spec.time_window.as_ref().map(|window| TimeWindow {
            days: window.days().iter().map(|day| wire_day(*day)).collect(),
            start: window.start.to_string(),
            end: window.end.to_string(),
        }),
        ip_allowlist: spec.ip_allowlist.as_ref().map(|allowlist| allowlist.cidrs.clone()),
        rate_cap: spec
            .rate_cap
            .as_ref()
            .map(|cap| {
                Ok(RateCap {
                    per_minute: positive(cap.per_minute, "spec.rateCap.perMinute")?,
                    per_day: positive(cap.per_day, "spec.rateCap.perDay")?,
                    counted_by: match cap.counted_by() {
                        CountedBy::Machine => policy::CountedBy::Machine,
                        CountedBy::Pod => policy::CountedBy::Pod,
                    },
                })
            })
            .transpose()?,
        co_sign: spec.co_sign.as_ref().map(|co_sign| CoSign {
            approver: Approver::Object(ObjectKey {
                namespace: co_sign.machine_ref.namespace_or(own).to_owned(),
                name: co_sign.machine_ref.name.clone(),
            }),
            window_seconds: co_sign.window.get().as_secs(),
        }),
        ttl: spec
            .ttl
            .as_ref()
            .map(|ttl| {
                Ok(Ttl {
                    expires_at: ttl.expires_at.as_ref().map(millis),
                    max_reads: positive(ttl.max_reads, "spec.ttl.maxReads")?,
                })
            })
            .transpose()?,
        rotate_after_reads: positive(spec.rotate_after_reads, "spec.rotateAfterReads")?,
    };
    Ok(ApplyPolicy { object, policy })
}

fn positive(number: Option<i32>, path: &'static str) -> Result<Option<u32>, NotACount> {
    let positive = |number| u32::try_from(number).ok().filter(|number| *number > 0).ok_or(NotACount { path });
    number.map(positive).transpose()
}

fn wire_day(day: Day) -> policy::Day {
    match day {
        Day::Mon => policy::Day::Mon,
        Day::Tue => policy::Day::Tue,
        Day::Wed => policy::Day::Wed,
        Day::Thu => policy::Day::Thu,
        Day::Fri => policy::Day::Fri,
        Day::Sat => policy::Day::Sat,
        Day::Sun => policy::Day::Sun,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::fixture::meta;

    fn converted(spec: Value) -> Result<Value, String> {
        let spec: AccessPolicySpec = serde_json::from_value(spec).unwrap();
        let apply = convert(meta("shop", "hours"), &spec).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(apply.policy).unwrap())
    }

    #[test]
    fn every_axis_is_taken_over_with_its_defaults() {
        for (spec, expected) in [
            (
                json!({"timeZone": "Europe/Oslo", "timeWindow": {"start": "22:00", "end": "06:00"}}),
                json!({"timeZone": "Europe/Oslo", "timeWindow": {
                    "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "start": "22:00", "end": "06:00"}}),
            ),
            (
                json!({"timeZone": "UTC", "timeWindow": {"days": ["Sat"], "start": "00:00", "end": "24:00"}}),
                json!({"timeZone": "UTC", "timeWindow": {"days": ["Sat"], "start": "00:00", "end": "24:00"}}),
            ),
            (
                json!({"ipAllowlist": {"cidrs": ["10.0.0.0/8", "fd00::/8"]}}),
                json!({"ipAllowlist": ["10.0.0.0/8", "fd00::/8"]}),
            ),
            (json!({"rateCap": {"perMinute": 5}}), json!({"rateCap": {"perMinute": 5, "countedBy": "Machine"}})),
            (
                json!({"timeZone": "UTC", "rateCap": {"perDay": 7, "countedBy": "Pod"}}),
                json!({"timeZone": "UTC", "rateCap": {"perDay": 7, "countedBy": "Pod"}}),
            ),
            (
                json!({"coSign": {"machineRef": {"name": "boss"}, "window": "10m"}}),
                json!({"coSign": {"approver": {"object": {"namespace": "shop", "name": "boss"}}, "windowSeconds": 600}}),
            ),
            (
                json!({"coSign": {"machineRef": {"name": "boss", "namespace": "hq"}, "window": "30s"}}),
                json!({"coSign": {"approver": {"object": {"namespace": "hq", "name": "boss"}}, "windowSeconds": 30}}),
            ),
            (
                json!({"ttl": {"expiresAt": "2027-03-31T00:00:00Z", "maxReads": 3}, "rotateAfterReads": 9}),
                json!({"ttl": {"expiresAt": 1_806_451_200_000_i64, "maxReads": 3}, "rotateAfterReads": 9}),
            ),
        ] {
            assert_eq!(converted(spec.clone()), Ok(expected), "{spec}");
        }
    }

    #[test]
    fn a_count_that_is_none_is_refused_with_its_field() {
        for (spec, path) in [
            (json!({"rateCap": {"perMinute": 0}}), "spec.rateCap.perMinute"),
            (json!({"rateCap": {"perDay": -1}}), "spec.rateCap.perDay"),
            (json!({"ttl": {"maxReads": 0}}), "spec.ttl.maxReads"),
            (json!({"rotateAfterReads": 0}), "spec.rotateAfterReads"),
        ] {
            assert_eq!(converted(spec), Err(format!("{path}: give a number of at least 1")));
        }
    }
}
