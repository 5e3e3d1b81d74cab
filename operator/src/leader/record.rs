//! The record in the Lease, and what to do about it. Pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use tokio::time::Instant;

use super::LEASE;

/// How long a holder that wrote no length is waited for.
const UNSTATED: Duration = Duration::from_secs(15);
/// The longest length of another holder that is believed.
const LONGEST: Duration = Duration::from_mins(1);

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; empty: nobody.
    pub(super) holder: String,
    duration: Duration,
    renewed: Option<Timestamp>,
    transitions: i32,
}

impl Record {
    pub(super) fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: seconds.map_or(UNSTATED, Duration::from_secs).min(LONGEST),
            renewed: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}

/// A record, and since when it has stood as it stands.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    record: Record,
    since: Instant,
}

impl Seen {
    /// What is seen now, after what was seen before.
    pub(super) fn next(before: Option<Self>, record: Record, now: Instant) -> Self {
        let since = before.filter(|before| before.record == record).map_or(now, |before| before.since);
        Self { record, since }
    }

    pub(super) fn is_held_by(&self, identity: &str) -> bool {
        self.record.holder == identity
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is no Lease: make it.
    Create,
    /// It is ours: renew it.
    Renew,
    /// Nobody holds it, or its holder is dead: take it.
    Take,
    /// Another holds it.
    Follow,
}

/// What `identity` does about what it sees.
pub(super) fn decide(seen: Option<&Seen>, identity: &str, now: Instant) -> Step {
    match seen {
        None => Step::Create,
        Some(seen) if seen.is_held_by(identity) => Step::Renew,
        Some(seen) if seen.record.holder.is_empty() => Step::Take,
        Some(seen) if now.saturating_duration_since(seen.since) > seen.record.duration => Step::Take,
        Some(_) => Step::Follow,
    }
}

/// The Lease of the first leader.
pub(super) fn first(identity: &str, duration: Duration, now: Timestamp) -> Lease {
    let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
    next(Lease { metadata, spec: None }, identity, duration, now)
}

/// `lease` renewed or taken. It keeps the version that was read, so that two who take it at once cannot both succeed.
pub(super) fn next(lease: Lease, identity: &str, duration: Duration, now: Timestamp) -> Lease {
    let before = lease.spec.clone().unwrap_or_default();
    let is_renewal = before.holder_identity.as_deref() == Some(identity);
    let transitions = before.lease_transitions.unwrap_or_default();
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
        acquire_time: if is_renewal { before.acquire_time } else { Some(MicroTime(now)) },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if is_renewal { transitions } else { transitions.saturating_add(1) }),
        ..LeaseSpec::default()
    };
    Lease { spec: Some(spec), ..lease }
}

/// `lease` held by nobody.
pub(super) fn released(lease: Lease, now: Timestamp) -> Lease {
    let spec = LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(now)),
        ..lease.spec.unwrap_or_default()
    };
    Lease { spec: Some(spec), ..lease }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn held_by(holder: &str) -> Lease {
        first(holder, Duration::from_secs(15), now())
    }

    #[test]
    fn a_candidate_takes_what_nobody_holds_and_never_what_a_living_one_holds() {
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let seen = |lease: &Lease| Some(Seen::next(None, Record::of(lease), start));
        let released = released(held_by("a"), now());
        for (seen, at, step) in [
            (None, 0.0, Step::Create),
            (seen(&held_by("me")), 100.0, Step::Renew),
            (seen(&released), 0.0, Step::Take),
            (seen(&held_by("a")), 0.0, Step::Follow),
            (seen(&held_by("a")), 15.0, Step::Follow),
            (seen(&held_by("a")), 15.1, Step::Take),
            (seen(&Lease::default()), 0.0, Step::Take),
        ] {
            assert_eq!(decide(seen.as_ref(), "me", after(at)), step, "{seen:?} at {at}");
        }
    }

    #[test]
    fn a_holder_that_renews_is_alive_whatever_its_clock_says() {
        let start = Instant::now();
        let ancient: Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();
        let lease = first("a", Duration::from_secs(15), ancient);
        let seen = Seen::next(None, Record::of(&lease), start);
        assert_eq!(decide(Some(&seen), "me", start + Duration::from_secs(10)), Step::Follow);
        let renewed =
            next(lease, "a", Duration::from_secs(15), ancient + k8s_openapi::jiff::SignedDuration::from_secs(1));
        let later = start + Duration::from_secs(14);
        let seen = Seen::next(Some(seen), Record::of(&renewed), later);
        assert_eq!(decide(Some(&seen), "me", later + Duration::from_secs(14)), Step::Follow);
        assert_eq!(decide(Some(&seen), "me", later + Duration::from_secs(16)), Step::Take);
    }

    #[test]
    fn a_holder_cannot_keep_others_out_for_ever() {
        let mut lease = held_by("a");
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(i32::MAX);
        let start = Instant::now();
        let seen = Seen::next(None, Record::of(&lease), start);
        assert_eq!(decide(Some(&seen), "me", start + Duration::from_secs(61)), Step::Take);
    }

    #[test]
    fn only_a_change_of_holder_counts_as_a_transition() {
        let taken = next(held_by("a"), "me", Duration::from_secs(15), now());
        let renewed = next(taken.clone(), "me", Duration::from_secs(15), now());
        let transitions = |lease: &Lease| lease.spec.as_ref().unwrap().lease_transitions;
        assert_eq!((transitions(&taken), transitions(&renewed)), (Some(2), Some(2)));
    }
}
