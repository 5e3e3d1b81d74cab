//! Policies as people's agents write them: which fields there are, and what may stand in each.
//!
//! Every refusal names the field by the name that its author typed.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use sikkerkey_protocol::management::{FieldError, PolicyObject};
use sikkerkey_protocol::policy::{Approver, CO_SIGN_WINDOW_SECONDS, CountedBy, PolicyDocument};

use super::address;
use super::check::{FEWEST_MILLIS, MAX_RANGES};
use super::window::{MINUTES_OF_DAY, minutes, zones};

const MAX_DESCRIPTION: usize = 2000;
/// The longest text of any other field, and the longest list.
const MAX_TEXT: usize = 255;
/// The end of the year 9999.
const MOST_MILLIS: i64 = 253_402_300_799_999;

const TEXT: &str = "takes a text";
const SWITCH: &str = "takes true or false";
const TEXTS: &str = "takes a list of texts";
const NUMBER: &str = "takes a whole number up to 4294967295";
const SECONDS: &str = "takes a whole number of seconds";
const MILLIS: &str = "takes a whole number of milliseconds since 1970";

const FIELDS: [(&str, &str); 18] = [
    ("name", TEXT),
    ("description", TEXT),
    ("timeWindowEnabled", SWITCH),
    ("timeWindowStart", TEXT),
    ("timeWindowEnd", TEXT),
    ("timeWindowTimezone", TEXT),
    ("timeWindowDays", TEXTS),
    ("ipAllowlistEnabled", SWITCH),
    ("ipAllowlistCidrs", TEXTS),
    ("rateCapEnabled", SWITCH),
    ("maxReadsPerDay", NUMBER),
    ("maxReadsPerMinute", NUMBER),
    ("coSignEnabled", SWITCH),
    ("coSignMachineId", TEXT),
    ("coSignWindowSeconds", SECONDS),
    ("ttlExpiresAt", MILLIS),
    ("ttlMaxReads", NUMBER),
    ("rotateAfterReads", NUMBER),
];

/// What is to be changed in a policy. A field that is not there stays as it is, `null` takes one away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes(BTreeMap<String, Value>);

impl Changes {
    /// These fields are to be as given.
    pub fn of(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self(fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
    }

    /// Whether each field is one, and has the type of that field.
    pub fn check(&self) -> Result<(), FieldError> {
        for (field, value) in &self.0 {
            let Some((_, takes)) = FIELDS.iter().find(|(name, _)| name == field) else {
                let names: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
                let field: String = field.chars().take(64).collect();
                return Err(FieldError::new(field, format!("is no field of a policy: there are {}", names.join(", "))));
            };
            // A switch that is taken away would be off, and what it switches would be open.
            let stays = field == "name" || *takes == SWITCH;
            let most = if field == "description" { MAX_DESCRIPTION } else { MAX_TEXT };
            if longest(value) > most {
                return Err(FieldError::new(field, format!("has more than {most} bytes: shorten it")));
            }
            let fits = if value.is_null() { !stays } else { fits(field, value) };
            if !fits {
                let null = if stays { "" } else { ", or null to take it away" };
                return Err(FieldError::new(field, format!("{takes}{null}")));
            }
        }
        Ok(())
    }

    /// The object after them.
    pub fn onto(self, old: &PolicyObject) -> Result<PolicyObject, FieldError> {
        self.check()?;
        let unreadable = |_| FieldError::new("the policy", "cannot be read: write all its fields");
        let Ok(Value::Object(mut fields)) = serde_json::to_value(old) else {
            return Err(FieldError::new("the policy", "cannot be read: write all its fields"));
        };
        for (field, value) in self.0 {
            if value.is_null() {
                fields.remove(&field);
            } else {
                fields.insert(field, value);
            }
        }
        serde_json::from_value(Value::Object(fields)).map_err(unreadable)
    }
}

/// The fields of a policy, none of which has to be given.
impl schemars::JsonSchema for Changes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PolicyChanges".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = PolicyObject::json_schema(generator);
        schema.remove("required");
        schema
    }
}

/// A policy in which a field stands twice could be read in two ways.
impl<'de> Deserialize<'de> for Changes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Changes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the fields of a policy")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Changes, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((field, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(field, value).is_some() {
                        return Err(A::Error::custom("a field stands twice"));
                    }
                }
                Ok(Changes(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The longest text in a value, or the number of its texts: both are kept, also where a switch is off.
fn longest(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(longest).max().unwrap_or(0).max(items.len()),
        _ => 0,
    }
}

fn fits(field: &str, value: &Value) -> bool {
    let mut alone = Map::new();
    alone.insert("name".to_owned(), Value::String(String::new()));
    alone.insert(field.to_owned(), value.clone());
    serde_json::from_value::<PolicyObject>(Value::Object(alone)).is_ok()
}

/// What a policy says: the axes that are on, each of which is complete and makes sense.
///
/// `find` says who the machine of an id is, see [`PolicyObject::document`].
pub fn document(
    object: &PolicyObject,
    counted_by: CountedBy,
    find: impl FnOnce(&str) -> Result<Approver, FieldError>,
) -> Result<PolicyDocument, FieldError> {
    let document = object.document(counted_by, find)?;
    if let Some(window) = &document.time_window {
        let start = minutes(&window.start).filter(|it| *it < MINUTES_OF_DAY);
        if start.is_none() {
            let text = format!("is {}, which is no time: write HH:mm, such as 08:00", window.start);
            return Err(FieldError::new("timeWindowStart", text));
        }
        let end = minutes(&window.end);
        if end.is_none() {
            let text = format!("is {}, which is no time: write HH:mm, such as 18:30, or 24:00", window.end);
            return Err(FieldError::new("timeWindowEnd", text));
        }
        if start == end {
            return Err(FieldError::new("timeWindowEnd", "is the start as well: a whole day is 00:00 to 24:00"));
        }
    }
    if let Some(zone) = &document.time_zone
        && zones().get(zone).is_err()
    {
        let text =
            format!("is {zone}, which is no time zone of the IANA database: write one such as Europe/Oslo or UTC");
        return Err(FieldError::new("timeWindowTimezone", text));
    }
    if let Some(ranges) = &document.ip_allowlist {
        if ranges.len() > MAX_RANGES {
            return Err(FieldError::new("ipAllowlistCidrs", format!("has more than {MAX_RANGES} ranges: join some")));
        }
        for (place, range) in ranges.iter().enumerate() {
            address::parse(range)
                .map_err(|text| FieldError::new(format!("ipAllowlistCidrs[{place}]"), format!("is wrong: {text}")))?;
        }
    }
    numbers(&document)?;
    Ok(document)
}

fn numbers(document: &PolicyDocument) -> Result<(), FieldError> {
    let cap = document.rate_cap.as_ref();
    let ttl = document.ttl.as_ref();
    for (field, number) in [
        ("maxReadsPerDay", cap.and_then(|it| it.per_day)),
        ("maxReadsPerMinute", cap.and_then(|it| it.per_minute)),
        ("ttlMaxReads", ttl.and_then(|it| it.max_reads)),
        ("rotateAfterReads", document.rotate_after_reads),
    ] {
        if number == Some(0) {
            return Err(FieldError::new(field, "is 0: give at least 1, or null to take it away"));
        }
    }
    if let Some(end) = ttl.and_then(|it| it.expires_at) {
        if (0..FEWEST_MILLIS).contains(&end) {
            let text = format!("is {end}, which looks like seconds: it is in milliseconds, as in {}", end * 1000);
            return Err(FieldError::new("ttlExpiresAt", text));
        }
        if !(0..=MOST_MILLIS).contains(&end) {
            return Err(FieldError::new("ttlExpiresAt", "is outside the calendar: it is in milliseconds since 1970"));
        }
    }
    if let Some(co_sign) = &document.co_sign
        && !CO_SIGN_WINDOW_SECONDS.contains(&co_sign.window_seconds)
    {
        let (least, most) = (CO_SIGN_WINDOW_SECONDS.start(), CO_SIGN_WINDOW_SECONDS.end());
        let text = format!("is {}: give from {least} to {most} seconds", co_sign.window_seconds);
        return Err(FieldError::new("coSignWindowSeconds", text));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
