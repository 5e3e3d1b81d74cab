//! The status of a policy. Pure.

use std::collections::BTreeMap;

use sikkerkey_crds::Time;
use sikkerkey_crds::access_policy::{
    AccessPolicy, AccessPolicySpec, AccessPolicyStatus, Axis, DeniedBy, PolicyUsage, PolicyWindow, WindowState,
};
use sikkerkey_crds::reason::Reason;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::{self as wire, PolicyState, Usage};

use crate::controller::conditions::Verdict;
use crate::controller::figure::{big, count, millis, second, time};
use crate::controller::plan::{Evidence, Opinion, Plan};

/// The status that follows.
pub fn conclude(evidence: &Evidence<'_, AccessPolicy>) -> AccessPolicyStatus {
    let spec = &evidence.object.spec;
    let ready = evidence.state().and_then(|state| ready(spec, state)).or_else(|| unbound(evidence.facts.bound));
    let conditions = evidence.conditions(Opinion { ready, ..Opinion::default() }, |_| None);
    let mut status = AccessPolicyStatus {
        observed_generation: Some(evidence.generation()),
        conditions,
        ..evidence.previous.clone()
    };
    if let Plan::Act { .. } = evidence.plan {
        status.axes = Some(axes(spec));
        status.secrets = Some(count(evidence.facts.bound));
    }
    if let Some(state) = evidence.state() {
        fill(&mut status, spec, state, second(evidence.now));
    } else if evidence.is_void() {
        status.window = None;
    }
    status
}

/// The axes that are given, in the order of the documentation.
fn axes(spec: &AccessPolicySpec) -> String {
    let given = [
        (spec.time_window.is_some(), Axis::TimeWindow.as_str()),
        (spec.ip_allowlist.is_some(), Axis::IpAllowlist.as_str()),
        (spec.rate_cap.is_some(), Axis::RateCap.as_str()),
        (spec.co_sign.is_some(), Axis::CoSign.as_str()),
        (spec.ttl.is_some(), Axis::Ttl.as_str()),
        (spec.rotate_after_reads.is_some(), "RotateAfterReads"),
    ];
    given.into_iter().filter_map(|(given, name)| given.then_some(name)).collect::<Vec<_>>().join(",")
}

fn fill(status: &mut AccessPolicyStatus, spec: &AccessPolicySpec, state: &PolicyState, now: Time) {
    let window = match state.window {
        wire::WindowState::Always => WindowState::Always,
        wire::WindowState::Open => WindowState::Open,
        wire::WindowState::Closed => WindowState::Closed,
        wire::WindowState::Ended => WindowState::Ended,
    };
    status.window = Some(PolicyWindow { state: Some(window), change_time: time(state.window_changes_at) });
    let before = status.usage.take();
    status.usage = usage(spec, state, before, now);
}

/// The figures, as old as they are: they keep their date while they stay the same. Nothing while nothing was ever read or
/// asked for, and no number of reads is set.
fn usage(spec: &AccessPolicySpec, state: &PolicyState, before: Option<PolicyUsage>, now: Time) -> Option<PolicyUsage> {
    let is_untouched = state.usage == Usage::default() && state.denied_by.is_empty() && state.pending_co_signs == 0;
    if is_untouched && state.remaining_reads.is_none() {
        return None;
    }
    let fresh = PolicyUsage {
        reads: Some(big(state.usage.reads)),
        denied: Some(big(state.usage.denied)),
        denied_by: denied_by(&state.denied_by),
        pending_co_signs: spec.co_sign.is_some().then(|| count(state.pending_co_signs)),
        remaining_reads: state.remaining_reads.map(big),
        as_of: before.as_ref().and_then(|before| before.as_of.clone()),
    };
    if before.as_ref() == Some(&fresh) { before } else { Some(PolicyUsage { as_of: Some(now), ..fresh }) }
}

fn denied_by(counts: &BTreeMap<DenialReason, u64>) -> Vec<DeniedBy> {
    let axis = |reason: &DenialReason| match reason {
        DenialReason::OutsideTimeWindow => Some(Axis::TimeWindow),
        DenialReason::AddressNotAllowed => Some(Axis::IpAllowlist),
        DenialReason::RateCapReached => Some(Axis::RateCap),
        DenialReason::CoSignMissing | DenialReason::CoSignRefused => Some(Axis::CoSign),
        DenialReason::PolicyEnded => Some(Axis::Ttl),
        // Not the policy's doing.
        _ => None,
    };
    let mut by_axis: BTreeMap<Axis, u64> = BTreeMap::new();
    for (reason, count) in counts {
        if let Some(axis) = axis(reason) {
            *by_axis.entry(axis).or_default() += count;
        }
    }
    by_axis.into_iter().map(|(axis, count)| DeniedBy { axis, count: big(count) }).collect()
}

/// What the policy itself says of `Ready`, once all else is true.
fn ready(spec: &AccessPolicySpec, state: &PolicyState) -> Option<Verdict> {
    if state.window == wire::WindowState::Ended {
        let message = "ttl ended: every read of the bound Secrets is denied.";
        return Some(Verdict::holds_with(Reason::Ended, message));
    }
    // The server tells when the window opens next: a policy that ends before that never lets anybody read.
    let end = spec.ttl.as_ref().and_then(|ttl| ttl.expires_at.as_ref()).map(millis)?;
    let closed = spec.time_window.is_some() && state.window == wire::WindowState::Closed;
    let never = closed && state.window_changes_at.is_none_or(|change| change >= end);
    never.then(|| {
        let message = "The axes together never allow a read: timeWindow and ttl.";
        Verdict::holds_with(Reason::NeverOpens, message)
    })
}

fn unbound(bound: usize) -> Option<Verdict> {
    (bound == 0).then(|| Verdict::holds_with(Reason::NotBound, "No Secret names this policy in policyRef."))
}

#[cfg(test)]
mod tests;
