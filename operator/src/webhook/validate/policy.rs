//! Access policies: what is refused by the object alone, and what is worth a warning, by itself and beside the Secrets,
//! Grants and Machines around it. Pure; the controller takes the same refusals, for an object that no webhook has seen.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use k8s_openapi::jiff::Timestamp;
use sikkerkey_crds::access_policy::{AccessPolicySpec, CountedBy, IpAllowlist, RateCap, TimeWindow};
use sikkerkey_crds::clock_time::ClockTime;
use sikkerkey_crds::secret::Origin;
use sikkerkey_protocol::kubernetes::ObjectKey;
use sikkerkey_protocol::policy::CO_SIGN_WINDOW_SECONDS;

use super::past;
use super::window::opens_between;
use crate::webhook::refusal::listed;

/// Fewer reads than these are reached at once by a client that reads at each use. Rotation then comes at its shortest
/// distance, every [`ROTATION_MINUTES`], for ever.
const FEW_READS: i64 = 10;
/// The server lets at least so much time lie between two rotations by reads.
const ROTATION_MINUTES: i64 = 5;
const MINUTES_OF_DAY: i64 = 24 * 60;

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct Flaw {
    path: String,
    what: String,
}

/// A Secret that a policy guards, as far as it matters to the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Its name.
    pub name: String,
    /// Its source, where the server cannot make a new value of it.
    pub is_set_by: Option<&'static str>,
    /// Who may read it.
    pub readers: Vec<Reader>,
}

/// A Machine that is granted a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Which one.
    pub machine: ObjectKey,
    /// How many of its pods have an identity.
    pub alive: i64,
}

/// What is worth a warning, and where in the policy it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The field.
    pub path: &'static str,
    /// What is and what follows.
    pub text: String,
}

/// Refuses what no surroundings could make right.
pub fn refuse_flaws(spec: &AccessPolicySpec) -> Result<(), Flaw> {
    let unzoned = AccessPolicySpec { time_zone: None, ..spec.clone() };
    if unzoned == AccessPolicySpec::default() {
        return flaw("spec", "a policy without an axis restricts nothing, give at least one");
    }
    refuse_zone(spec)?;
    spec.time_window.as_ref().map_or(Ok(()), refuse_window)?;
    spec.ip_allowlist.as_ref().map_or(Ok(()), refuse_allowlist)?;
    spec.rate_cap.as_ref().map_or(Ok(()), refuse_cap)?;
    if let Some(co_sign) = &spec.co_sign
        && !CO_SIGN_WINDOW_SECONDS.contains(&co_sign.window.get().as_secs())
    {
        return flaw("spec.coSign.window", "an approval is good for 30s to 168h");
    }
    if let Some(ttl) = &spec.ttl {
        if ttl.expires_at.is_none() && ttl.max_reads.is_none() {
            return flaw("spec.ttl", "give expiresAt, maxReads or both");
        }
        refuse_none("spec.ttl.maxReads", ttl.max_reads)?;
    }
    refuse_none("spec.rotateAfterReads", spec.rotate_after_reads)
}

fn flaw<T>(path: impl Into<String>, what: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw { path: path.into(), what: what.into() })
}

fn refuse_none(path: &str, count: Option<i32>) -> Result<(), Flaw> {
    if count.is_some_and(|count| count < 1) { flaw(path, "give a number of at least 1") } else { Ok(()) }
}

/// The schema's limit.
const LONGEST_ZONE: usize = 64;

fn refuse_zone(spec: &AccessPolicySpec) -> Result<(), Flaw> {
    const PATH: &str = "spec.timeZone";
    let is_needed = spec.time_window.is_some() || spec.rate_cap.as_ref().is_some_and(|cap| cap.per_day.is_some());
    let Some(zone) = &spec.time_zone else {
        let what = "timeWindow and rateCap.perDay need one, for example Europe/Oslo or UTC";
        return if is_needed { flaw(PATH, what) } else { Ok(()) };
    };
    if time_zone(zone).is_some() {
        return Ok(());
    }
    // Nothing here was checked by a schema: whoever reaches the port may have sent it.
    if zone.len() > LONGEST_ZONE {
        return flaw(PATH, "this is not a time zone of the IANA database: write one such as Europe/Oslo or UTC");
    }
    let zones = TimeZoneDatabase::bundled();
    let distance = |known: &str| strsim::osa_distance(&known.to_lowercase(), &zone.to_lowercase());
    let nearest = zones.available().map(|known| (distance(known.as_str()), known.to_string())).min();
    let instead = match nearest {
        Some((distance, nearest)) if distance <= 3 => format!("did you mean {nearest}?"),
        _ => "write one such as Europe/Oslo or UTC".to_owned(),
    };
    flaw(PATH, format!("{zone} is not a time zone of the IANA database: {instead}"))
}

/// The zone of that very name. The bundled database gives the same answer in every image, with or without
/// /usr/share/zoneinfo.
fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

fn refuse_window(window: &TimeWindow) -> Result<(), Flaw> {
    if window.days().is_empty() {
        return flaw("spec.timeWindow.days", "it opens on no day: name one, or leave days out for every day");
    }
    if window.start == window.end {
        return flaw("spec.timeWindow", "start and end are the same: a whole day is 00:00 to 24:00");
    }
    if window.start == ClockTime::MIDNIGHT {
        return flaw("spec.timeWindow.start", "24:00 is the end of a day: its start is 00:00");
    }
    Ok(())
}

fn refuse_allowlist(allowlist: &IpAllowlist) -> Result<(), Flaw> {
    if allowlist.cidrs.is_empty() {
        return flaw("spec.ipAllowlist.cidrs", "it lets nobody in: name a range, or leave ipAllowlist out");
    }
    let mut seen: BTreeMap<IpNet, usize> = BTreeMap::new();
    for (position, text) in allowlist.cidrs.iter().enumerate() {
        let path = || format!("spec.ipAllowlist.cidrs[{position}]");
        let range = range(text).or_else(|what| flaw(path(), what))?;
        if let Some(first) = seen.insert(range, position) {
            return flaw(path(), format!("{text} is the same range as cidrs[{first}]: remove one"));
        }
    }
    Ok(())
}

/// A range as the contract writes it, or what is wrong with it.
fn range(text: &str) -> Result<IpNet, String> {
    let Ok(range) = text.parse::<IpNet>() else {
        return Err(match text.parse::<IpAddr>() {
            Ok(address) => format!("{text} is an address, not a range: write {}", IpNet::from(address)),
            Err(_) => format!("{text} is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
        });
    };
    if range.addr() != range.network() {
        let alone = IpNet::from(range.addr());
        return Err(format!("{text} has bits set after its prefix: write {}, or {alone}", range.trunc()));
    }
    if let IpNet::V6(v6) = range
        && let Some(prefix) = v6.prefix_len().checked_sub(96)
        && let Some(v4) = v6.network().to_ipv4_mapped()
        && let Ok(v4) = Ipv4Net::new(v4, prefix)
    {
        return Err(format!("{text} is an IPv4 range written as IPv6: write {v4}"));
    }
    Ok(range)
}

fn refuse_cap(cap: &RateCap) -> Result<(), Flaw> {
    if cap.per_minute.is_none() && cap.per_day.is_none() {
        return flaw("spec.rateCap", "give perMinute, perDay or both");
    }
    refuse_none("spec.rateCap.perMinute", cap.per_minute)?;
    refuse_none("spec.rateCap.perDay", cap.per_day)
}

/// What is worth a warning whatever stands around the policy.
pub fn warnings(spec: &AccessPolicySpec, now: Timestamp) -> Vec<String> {
    let end = spec.ttl.as_ref().and_then(|ttl| ttl.expires_at.as_ref());
    let mut warnings: Vec<String> =
        past("spec.ttl.expiresAt", end, now, "every read of the bound Secrets is denied").into_iter().collect();
    if let Some((window, end)) = spec.time_window.as_ref().zip(end.filter(|end| end.0 > now))
        && never_opens(window, spec.time_zone.as_deref(), now, end.0)
    {
        warnings.push(format!(
            "spec.timeWindow: it does not open before spec.ttl.expiresAt {}: every read of the bound Secrets is denied.",
            end.0
        ));
    }
    for (position, text) in spec.ip_allowlist.iter().flat_map(|allowlist| &allowlist.cidrs).enumerate() {
        let family = match range(text) {
            Ok(IpNet::V4(range)) if range.prefix_len() == 0 => "IPv4",
            Ok(IpNet::V6(range)) if range.prefix_len() == 0 => "IPv6",
            _ => continue,
        };
        warnings.push(format!("spec.ipAllowlist.cidrs[{position}]: {text} lets everybody in who comes by {family}."));
    }
    warnings.extend(spec.rotate_after_reads.filter(|reads| rotates_at_once(i64::from(*reads), spec)).map(|reads| {
        format!(
            "spec.rotateAfterReads: {reads} reads are soon reached where a client reads at each use, and a new value is then \
             made every {ROTATION_MINUTES} minutes: give at least {FEW_READS}, or a rateCap that holds the reads below it."
        )
    }));
    warnings
}

fn never_opens(window: &TimeWindow, zone: Option<&str>, now: Timestamp, end: Timestamp) -> bool {
    // The library that Kubernetes' types use is another version of the one with the zones.
    let instant = |at: Timestamp| jiff::Timestamp::from_millisecond(at.as_millisecond()).ok();
    let found = zone.and_then(time_zone).zip(instant(now).zip(instant(end)));
    found.is_some_and(|(zone, (now, end))| !opens_between(window, &zone, now, end))
}

/// Whether one busy client alone makes the value rotate at its shortest distance, day in, day out: few reads are enough,
/// and the caps allow that many in each [`ROTATION_MINUTES`].
fn rotates_at_once(reads: i64, spec: &AccessPolicySpec) -> bool {
    let cap = |given: fn(&RateCap) -> Option<i32>| spec.rate_cap.as_ref().and_then(given).map(i64::from);
    let by_minute = cap(|cap| cap.per_minute).is_none_or(|cap| cap * ROTATION_MINUTES >= reads);
    let by_day = cap(|cap| cap.per_day).is_none_or(|cap| cap * ROTATION_MINUTES >= reads * MINUTES_OF_DAY);
    reads < FEW_READS && by_minute && by_day
}

/// What is worth a warning of the policy `name` of the namespace `own` together with the Secrets that it guards and those
/// who read them.
pub fn remarks(name: &str, spec: &AccessPolicySpec, own: &str, guarded: &[Guarded]) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = own_approval(name, spec, own, guarded).into_iter().collect();
    remarks.extend(fleets_above_cap(name, spec, own, guarded));
    remarks.extend(fleets_that_rotate(name, spec, guarded));
    remarks.extend(values_that_become_due(name, spec, guarded));
    remarks
}

/// A co-signer that is granted what it approves.
pub fn own_approval(name: &str, spec: &AccessPolicySpec, own: &str, guarded: &[Guarded]) -> Option<Remark> {
    let reference = &spec.co_sign.as_ref()?.machine_ref;
    let approver = ObjectKey { namespace: reference.namespace_or(own).to_owned(), name: reference.name.clone() };
    let reads = |secret: &&Guarded| secret.readers.iter().any(|reader| reader.machine == approver);
    let names: Vec<String> = guarded.iter().filter(reads).map(|secret| secret.name.clone()).collect();
    (!names.is_empty()).then(|| Remark {
        path: "spec.coSign.machineRef",
        text: format!(
            "Machine {} co-signs for AccessPolicy {name} and is itself granted Secret {}: nobody approves their own reads, so \
             it cannot read that.",
            shown(&approver, own),
            listed(&names)
        ),
    })
}

/// Fleets with more pods than may read in a minute.
fn fleets_above_cap(name: &str, spec: &AccessPolicySpec, own: &str, guarded: &[Guarded]) -> Vec<Remark> {
    let cap = spec.rate_cap.as_ref().filter(|cap| cap.counted_by() == CountedBy::Machine);
    let Some(per_minute) = cap.and_then(|cap| cap.per_minute) else { return Vec::new() };
    let readers = guarded.iter().flat_map(|secret| &secret.readers);
    let fleets: BTreeMap<&ObjectKey, i64> = readers.map(|reader| (&reader.machine, reader.alive)).collect();
    let above = fleets.into_iter().filter(|(_, alive)| *alive > i64::from(per_minute));
    let remark = |(machine, alive): (&ObjectKey, i64)| Remark {
        path: "spec.rateCap.perMinute",
        text: format!(
            "AccessPolicy {name} lets all pods of Machine {} together read a Secret {per_minute} times in a minute, and \
             {alive} are alive: when they start at once, the others wait.",
            shown(machine, own)
        ),
    };
    above.map(remark).collect()
}

/// Secrets with as many pods alive as there are reads to a new value: one more read by each, and it is made.
fn fleets_that_rotate(name: &str, spec: &AccessPolicySpec, guarded: &[Guarded]) -> Option<Remark> {
    let reads = spec.rotate_after_reads?;
    let pods = |secret: &Guarded| secret.readers.iter().map(|reader| reader.alive).sum::<i64>();
    let (most, secret) = guarded.iter().map(|secret| (pods(secret), &secret.name)).max()?;
    (most >= i64::from(reads)).then(|| Remark {
        path: "spec.rotateAfterReads",
        text: format!(
            "Secret {secret} is granted to {most} pods that are alive, and AccessPolicy {name} makes a new value after {reads} \
             reads: one more read by each is enough, every {ROTATION_MINUTES} minutes at the earliest."
        ),
    })
}

/// Secrets of which the server cannot make a new value.
fn values_that_become_due(name: &str, spec: &AccessPolicySpec, guarded: &[Guarded]) -> Option<Remark> {
    let reads = spec.rotate_after_reads?;
    let set = guarded.iter().filter_map(|secret| Some(format!("{} ({})", secret.name, secret.is_set_by?)));
    let set: Vec<String> = set.collect();
    (!set.is_empty()).then(|| Remark {
        path: "spec.rotateAfterReads",
        text: format!(
            "The server makes no new value of Secret {}: after {reads} reads under AccessPolicy {name} it becomes due \
             (RotationDue), and somebody has to set it.",
            listed(&set)
        ),
    })
}

/// The source of a Secret of which the server cannot make a new value.
pub fn set_by(origin: &Origin<'_>) -> Option<&'static str> {
    match origin {
        Origin::Generate(_) => None,
        Origin::Sealed(_) => Some("sealed"),
        Origin::KubernetesSecret(_) => Some("kubernetesSecret"),
        Origin::External(_) => Some("external"),
    }
}

fn shown(machine: &ObjectKey, own: &str) -> String {
    if machine.namespace == own { machine.name.clone() } else { format!("{}/{}", machine.namespace, machine.name) }
}

#[cfg(test)]
mod tests;
