//! Checks of our own four kinds that a schema cannot make. Pure.
//!
//! Never of a DELETE (a namespace would hang) and never of an object that is being deleted (its finalizer could not be
//! removed). An update that leaves what is checked as it was is not checked: the operator's finalizer and a label must be
//! writable on an object that was stored before a check existed.

use jiff::tz::TimeZoneDatabase;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::names::{BOOTSTRAP_ANNOTATION, PREFIX};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::secret::Secret;
use sikkerkey_crds::unknown::unknown_and_null;
use sikkerkey_protocol::key::PublicKey;

/// The largest object, in bytes of JSON without what its author did not write.
const MAX_BYTES: usize = 128 * 1024;
/// How many findings one message names.
const SHOWN: usize = 5;

/// Why an object was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which rule.
    pub reason: Reason,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What a check may know beside the object.
pub struct Surroundings<'a> {
    /// The time.
    pub now: Timestamp,
    /// Whether a Machine (namespace, name) exists, as far as is known.
    pub machine_exists: &'a dyn Fn(&str, &str) -> bool,
}

/// Checks an object of `kind`; the warnings of one that is good.
pub fn validate(
    kind: &str,
    namespace: &str,
    object: &Value,
    old: Option<&Value>,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<String>, Invalid> {
    if object.pointer("/metadata/deletionTimestamp").is_some_and(|instant| !instant.is_null()) {
        return Ok(Vec::new());
    }
    refuse_unknown_keys(kind, object, old)?;
    if old.is_some_and(|old| old.get("spec") == object.get("spec")) {
        return Ok(Vec::new());
    }
    refuse_too_large(object)?;
    match kind {
        "Machine" => check::<Machine>(object).and_then(|machine| machine_checks(&machine)),
        "Secret" => check::<Secret>(object).map(|_| Vec::new()),
        "Grant" => check::<Grant>(object).map(|grant| grant_warnings(&grant, namespace, surroundings)),
        "AccessPolicy" => check::<AccessPolicy>(object).and_then(|policy| policy_checks(&policy, surroundings.now)),
        _ => Ok(Vec::new()),
    }
}

fn invalid(message: String) -> Invalid {
    Invalid { reason: Reason::InvalidSpec, message }
}

/// The typed form of an object without unknown keys and nulls.
fn check<K: Kind + serde::de::DeserializeOwned>(object: &Value) -> Result<K, Invalid> {
    let findings = unknown_and_null(K::schema(), object);
    if let Some(first) = findings.first() {
        let mut sentences: Vec<String> = findings.iter().take(SHOWN).map(ToString::to_string).collect();
        if findings.len() > SHOWN {
            sentences.push(format!("and {} more", findings.len() - SHOWN));
        }
        return Err(Invalid { reason: first.reason(), message: sentences.join("; ") });
    }
    K::deserialize(object).map_err(|error| invalid(format!("spec: {error}")))
}

/// A key with our prefix that means nothing here would silently do nothing.
fn refuse_unknown_keys(kind: &str, object: &Value, old: Option<&Value>) -> Result<(), Invalid> {
    for pointer in ["/metadata/labels", "/metadata/annotations"] {
        let before = old.and_then(|old| old.pointer(pointer));
        for key in object.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
            let stood_before = before.is_some_and(|before| before.get(key).is_some());
            let known = kind == "Machine" && pointer.ends_with("annotations") && key == BOOTSTRAP_ANNOTATION;
            if key.starts_with(PREFIX) && !known && !stood_before {
                let message = match kind {
                    "Machine" => format!(
                        "{key} has no meaning on a Machine: the one annotation is {BOOTSTRAP_ANNOTATION}; pods are labelled, not Machines"
                    ),
                    _ => format!("{key} has no meaning on this kind: remove it"),
                };
                return Err(Invalid { reason: Reason::UnknownAnnotation, message });
            }
        }
    }
    Ok(())
}

fn refuse_too_large(object: &Value) -> Result<(), Invalid> {
    let not_the_authors = |pointer: &str| object.pointer(pointer).map_or(0, |part| part.to_string().len());
    let last_applied = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
    let ignored: usize = ["/metadata/managedFields", "/status", last_applied].map(not_the_authors).iter().sum();
    let size = object.to_string().len().saturating_sub(ignored);
    if size > MAX_BYTES {
        let message = format!("the object has {} KiB, the limit is 128 KiB: divide it", size.div_ceil(1024));
        return Err(invalid(message));
    }
    Ok(())
}

fn machine_checks(machine: &Machine) -> Result<Vec<String>, Invalid> {
    if let Some(key) = machine.spec.host.as_ref().and_then(|host| host.public_key.as_deref()) {
        key.parse::<PublicKey>().map_err(|error| invalid(format!("spec.host.publicKey: {error}")))?;
    }
    Ok(Vec::new())
}

fn policy_checks(policy: &AccessPolicy, now: Timestamp) -> Result<Vec<String>, Invalid> {
    if let Some(zone) = policy.spec.time_zone.as_deref() {
        refuse_unknown_zone(zone)?;
    }
    let end = policy.spec.ttl.as_ref().and_then(|ttl| ttl.expires_at.as_ref());
    Ok(past("spec.ttl.expiresAt", end, now, "every read of the bound Secrets is denied").into_iter().collect())
}

fn grant_warnings(grant: &Grant, namespace: &str, surroundings: &Surroundings<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let machine = &grant.spec.machine_ref;
    // Of another namespace nothing is said: whether a Machine exists there is its owner's business.
    if machine.namespace_or(namespace) == namespace && !(surroundings.machine_exists)(namespace, &machine.name) {
        warnings.push(format!("Machine {} does not exist in namespace {namespace} (yet).", machine.name));
    }
    warnings.extend(past(
        "spec.expiresAt",
        grant.spec.expires_at.as_ref(),
        surroundings.now,
        "the Grant gives no access",
    ));
    warnings
}

fn past(path: &str, instant: Option<&Time>, now: Timestamp, effect: &str) -> Option<String> {
    instant.filter(|instant| instant.0 <= now).map(|instant| format!("{path} {} is past: {effect}.", instant.0))
}

fn refuse_unknown_zone(zone: &str) -> Result<(), Invalid> {
    // The bundled database: the same answer in every image, with or without /usr/share/zoneinfo.
    let zones = TimeZoneDatabase::bundled();
    if zones.available().any(|known| known.as_str() == zone) {
        return Ok(());
    }
    let distance = |known: &str| strsim::osa_distance(&known.to_lowercase(), &zone.to_lowercase());
    let nearest = zones.available().map(|known| (distance(known.as_str()), known.to_string())).min();
    Err(invalid(match nearest {
        Some((distance, nearest)) if distance <= 3 => {
            format!("spec.timeZone: {zone} is not a time zone of the IANA database: did you mean {nearest}?")
        }
        _ => format!(
            "spec.timeZone: {zone} is not a time zone of the IANA database: write one such as Europe/Oslo or UTC"
        ),
    }))
}

#[cfg(test)]
mod tests;
