//! Checks of our own four kinds that a schema cannot make. Pure.
//!
//! Never of a DELETE (a namespace would hang) and never of an object that is being deleted (its finalizer could not be
//! removed). An update that leaves what is checked as it was is not checked: the operator's finalizer and a label must be
//! writable on an object that was stored before a check existed.

pub mod guarded;
pub mod policy;
mod window;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::{Delivery, DeliveryMode, Machine};
use sikkerkey_crds::names::PREFIX;
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::secret::{OnTaken, Secret};
use sikkerkey_crds::unknown::unknown_and_null;
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::kubernetes::ObjectKey;
use sikkerkey_protocol::sealed::MAX_CIPHERTEXT;

use self::policy::Guarded;
use crate::controller::machine::gather::gather;
use crate::controller::machine::{convert, plan};
use crate::index::Index;
use crate::tracking;

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
    /// What is known of the cluster.
    pub index: &'a Index,
}

/// How an object is to be taken by what can be told from its text.
#[derive(Debug, PartialEq, Eq)]
pub enum Bulk {
    /// It is parsed and checked.
    Fits,
    /// Nothing holds up an object that is being deleted.
    BeingDeleted,
    /// Nobody needs one of that size.
    TooLarge(Invalid),
}

/// Looks at an object before it is parsed: then it takes a hundred times its text, and whoever reaches the port may have
/// sent it. What the API server keeps for itself in `metadata` may be large.
pub fn bulk(object: &str) -> Result<Bulk, serde_json::Error> {
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
        #[serde(borrow)]
        spec: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        deletion_timestamp: Option<IgnoredAny>,
    }
    let Parts { metadata, spec } = serde_json::from_str(object)?;
    let length = |part: Option<&RawValue>| part.map_or(0, |part| part.get().len());
    if length(spec) <= 2 * MAX_BYTES && length(metadata) <= 8 * MAX_BYTES {
        return Ok(Bulk::Fits);
    }
    let deleted = metadata.map(|it| serde_json::from_str::<Metadata>(it.get())).transpose()?;
    if deleted.is_some_and(|it| it.deletion_timestamp.is_some()) {
        return Ok(Bulk::BeingDeleted);
    }
    let text = "the object is larger than any that can be taken, the limit is 128 KiB: divide it";
    Ok(Bulk::TooLarge(invalid(text.to_owned())))
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
        "Machine" => check::<Machine>(object).and_then(|machine| machine_checks(&machine, namespace, surroundings)),
        "Secret" => check::<Secret>(object).and_then(|secret| {
            refuse_unsealable(&secret)?;
            Ok(secret_warnings(&secret, namespace, surroundings))
        }),
        "Grant" => check::<Grant>(object).map(|grant| grant_warnings(&grant, namespace, surroundings)),
        "AccessPolicy" => {
            check::<AccessPolicy>(object).and_then(|policy| policy_checks(&policy, namespace, surroundings))
        }
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
            if key.starts_with(PREFIX) && !stood_before {
                let message = match kind {
                    "Machine" => {
                        format!("{key} has no meaning on a Machine: remove it; pods are labelled, not Machines")
                    }
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

fn machine_checks(machine: &Machine, namespace: &str, surroundings: &Surroundings<'_>) -> Result<Vec<String>, Invalid> {
    if let Some(key) = machine.spec.host.as_ref().and_then(|host| host.public_key.as_deref()) {
        key.parse::<PublicKey>().map_err(|error| invalid(format!("spec.host.publicKey: {error}")))?;
    }
    let delivery = machine.spec.delivery();
    convert::delivery(delivery, namespace).map_err(|error| invalid(error.to_string()))?;
    let mut warnings = idle_in_mode_init(delivery);
    warnings.extend(lacking(machine, namespace, surroundings));
    Ok(warnings)
}

/// What files lack as things stand: Secrets that no Grant covers, fields that a Secret does not have. What follows in the same
/// breath, as a Grant often does, may change that.
fn lacking(machine: &Machine, namespace: &str, surroundings: &Surroundings<'_>) -> Vec<String> {
    // One that is to get its name from the API server is named by no Grant yet.
    if machine.metadata.name.is_none() {
        return Vec::new();
    }
    let problems = gather(machine, surroundings.index, surroundings.now).problems;
    let mut sentences: Vec<String> =
        problems.iter().take(SHOWN).map(|problem| plan::message(problem, namespace)).collect();
    if problems.len() > SHOWN {
        sentences
            .push(format!("{} more files lack something: kubectl describe skm says what.", problems.len() - SHOWN));
    }
    sentences
}

/// What says how files follow changes, where they are written once.
fn idle_in_mode_init(delivery: &Delivery) -> Vec<String> {
    if delivery.mode() != DeliveryMode::Init {
        return Vec::new();
    }
    let given = [
        ("onChange", delivery.on_change.is_some()),
        ("onRevoked", delivery.on_revoked.is_some()),
        ("onClosed", delivery.on_closed.is_some()),
        ("maxStaleness", delivery.max_staleness.is_some()),
    ];
    let idle = given.into_iter().filter(|(_, is_given)| *is_given).map(|(field, _)| field);
    idle.map(|field| {
        format!(
            "spec.delivery.{field} has no effect in mode Init: files are written once, before the pod starts, and nothing \
             is left that could change them. Remove it, or use mode Sidecar."
        )
    })
    .collect()
}

fn policy_checks(
    policy: &AccessPolicy,
    namespace: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<String>, Invalid> {
    let spec = &policy.spec;
    policy::refuse_flaws(spec).map_err(|flaw| invalid(flaw.to_string()))?;
    let Surroundings { now, index } = *surroundings;
    let mut warnings = policy::warnings(spec, now);
    let approver = spec.co_sign.as_ref().map(|co_sign| &co_sign.machine_ref);
    // Of another namespace nothing is said: whether a Machine exists there is its owner's business.
    if let Some(name) = approver.filter(|machine| machine.namespace_or(namespace) == namespace).map(|it| &it.name)
        && index.machine(namespace, name).is_none()
    {
        warnings.push(format!(
            "spec.coSign.machineRef: Machine {name} does not exist in namespace {namespace} (yet): reads that need its \
             approval are denied until it does."
        ));
    }
    // One that is to get its name from the API server is named by nobody.
    if let Some(name) = policy.metadata.name.as_deref() {
        let guarded = guarded::by_policy(index, namespace, name, now);
        let remarks = policy::remarks(name, spec, namespace, &guarded).into_iter();
        warnings.extend(remarks.map(|remark| format!("{}: {}", remark.path, remark.text)));
    }
    Ok(warnings)
}

/// Only the server opens a sealed value; that it cannot be one shows here already.
fn refuse_unsealable(secret: &Secret) -> Result<(), Invalid> {
    let Some(sealed) = &secret.spec.source.sealed else { return Ok(()) };
    let what = match STANDARD.decode(&sealed.ciphertext) {
        Ok(bytes) if bytes.len() <= MAX_CIPHERTEXT => return Ok(()),
        Ok(_) => "a sealed value has at most 24 KiB: divide it",
        Err(_) => "not base64: copy it whole, as sikkerkey-operator seal prints it",
    };
    Err(invalid(format!("spec.source.sealed.ciphertext: {what}")))
}

/// What becomes of a Secret, and of the core Secret that it takes its value from.
fn secret_warnings(secret: &Secret, namespace: &str, surroundings: &Surroundings<'_>) -> Vec<String> {
    let mut warnings: Vec<String> = comes_back(secret).into_iter().collect();
    warnings.extend(policy_warnings(secret, namespace, surroundings));
    warnings
}

/// What applies this object may well apply the core Secret too. Of that one itself nothing is known here: admission asks
/// nobody.
fn comes_back(secret: &Secret) -> Option<String> {
    let source = secret.spec.source.kubernetes_secret.as_ref().filter(|it| it.on_taken() == OnTaken::Delete)?;
    let (none, name) = (BTreeMap::new(), &source.name);
    let labels = secret.metadata.labels.as_ref().unwrap_or(&none);
    let annotations = secret.metadata.annotations.iter().flat_map(BTreeMap::keys).map(String::as_str);
    let manager = tracking::manager(labels, annotations)?;
    Some(format!(
        "spec.source.kubernetesSecret.onTaken is Delete, and {manager} applies this object: if it applies Kubernetes Secret \
         {name} as well, that is not deleted, or comes back. Remove it there."
    ))
}

/// What becomes of a Secret under the policy that it names.
fn policy_warnings(secret: &Secret, namespace: &str, surroundings: &Surroundings<'_>) -> Vec<String> {
    let Surroundings { now, index } = *surroundings;
    let Some((name, policy)) = secret.metadata.name.as_deref().zip(secret.spec.policy_ref.as_ref()) else {
        return Vec::new();
    };
    let Some(found) = index.policy(namespace, &policy.name) else { return Vec::new() };
    let key = ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() };
    let guarded = guarded::guarded(index, secret, &key, now);
    let remarks = policy::remarks(&policy.name, &found.spec, namespace, &[guarded]);
    remarks.into_iter().map(|remark| remark.text).collect()
}

fn grant_warnings(grant: &Grant, namespace: &str, surroundings: &Surroundings<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let machine = &grant.spec.machine_ref;
    // Of another namespace nothing is said: whether a Machine exists there is its owner's business.
    if machine.namespace_or(namespace) == namespace && surroundings.index.machine(namespace, &machine.name).is_none() {
        warnings.push(format!("Machine {} does not exist in namespace {namespace} (yet).", machine.name));
    }
    warnings.extend(past(
        "spec.expiresAt",
        grant.spec.expires_at.as_ref(),
        surroundings.now,
        "the Grant gives no access",
    ));
    warnings.extend(own_approvals(grant, namespace, surroundings.index));
    warnings
}

/// Where the Grant gives a Secret to the very Machine that co-signs for it.
fn own_approvals(grant: &Grant, namespace: &str, index: &Index) -> Vec<String> {
    let named = &grant.spec.machine_ref;
    let key = ObjectKey { namespace: named.namespace_or(namespace).to_owned(), name: named.name.clone() };
    let reader = guarded::reader(index, key);
    let mut by_policy: BTreeMap<String, Vec<Guarded>> = BTreeMap::new();
    for secret in &grant.spec.secret_refs {
        let found = index.secret(namespace, &secret.name);
        if let Some(policy) = found.and_then(|found| found.spec.policy_ref.clone()) {
            let guarded = Guarded { name: secret.name.clone(), is_set_by: None, readers: vec![reader.clone()] };
            by_policy.entry(policy.name).or_default().push(guarded);
        }
    }
    let remark = |(name, guarded): (String, Vec<Guarded>)| {
        let policy = index.policy(namespace, &name)?;
        policy::own_approval(&name, &policy.spec, namespace, &guarded).map(|remark| remark.text)
    };
    by_policy.into_iter().filter_map(remark).collect()
}

fn past(path: &str, instant: Option<&Time>, now: Timestamp, effect: &str) -> Option<String> {
    instant.filter(|instant| instant.0 <= now).map(|instant| format!("{path} {} is past: {effect}.", instant.0))
}

#[cfg(test)]
mod tests;
