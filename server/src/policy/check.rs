//! Whether a policy document can be put in force.

use sikkerkey_protocol::policy::{CO_SIGN_WINDOW_SECONDS, PolicyDocument};

use super::address;
use super::window::{Window, is_place, not_a_zone, time_zone, zones};

/// The most ranges of an allowlist: each read looks at all of them.
pub(super) const MAX_RANGES: usize = 128;
/// An end before this instant (September 2001) was written in seconds.
pub(super) const FEWEST_MILLIS: i64 = 1_000_000_000_000;

/// Why a policy document cannot be put in force: it is contradictory or incomplete. The text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Flaw(String);

/// Whether a policy document can be put in force.
pub fn check(document: &PolicyDocument) -> Result<(), Flaw> {
    let invalid = |text: &str| Err(Flaw(text.to_owned()));
    if *document == (PolicyDocument { time_zone: document.time_zone.clone(), ..PolicyDocument::default() }) {
        return invalid(
            "a policy without an axis restricts nothing: give at least one of timeWindow, ipAllowlist, rateCap, coSign, ttl and \
             rotateAfterReads",
        );
    }
    if let Some(name) = &document.time_zone {
        time_zone(document).map_err(Flaw)?;
        // The server finds a zone in whatever case it is written; two spellings of one would be two zones to compare. And
        // some names of the database stand for no place.
        let is_one = zones().available().any(|it| it.as_str() == name) && is_place(name);
        if !is_one {
            return Err(Flaw(not_a_zone(name)));
        }
    }
    if document.time_window.is_some() {
        Window::of(document).map_err(Flaw)?;
    }
    if let Some(ranges) = &document.ip_allowlist {
        if ranges.is_empty() {
            return invalid("ipAllowlist.cidrs is empty: name at least one range, or leave ipAllowlist out");
        }
        if ranges.len() > MAX_RANGES {
            return invalid(
                "ipAllowlist.cidrs has more than 128 ranges, and each read looks at all of them: join some",
            );
        }
        for range in ranges {
            address::parse(range).map_err(Flaw)?;
        }
    }
    if let Some(cap) = &document.rate_cap {
        if cap.per_minute.is_none() && cap.per_day.is_none() {
            return invalid("rateCap: give perMinute, perDay or both");
        }
        if cap.per_minute == Some(0) || cap.per_day == Some(0) {
            return invalid("rateCap: a cap of 0 reads nothing: give at least 1");
        }
        if cap.per_day.is_some() {
            time_zone(document).map_err(Flaw)?;
        }
    }
    if let Some(ttl) = &document.ttl {
        if ttl.expires_at.is_none() && ttl.max_reads.is_none() {
            return invalid("ttl: give expiresAt, maxReads or both");
        }
        if ttl.max_reads == Some(0) {
            return invalid("ttl.maxReads of 0 reads nothing: give at least 1");
        }
    }
    if document.ttl.as_ref().and_then(|it| it.expires_at).is_some_and(|it| (0..FEWEST_MILLIS).contains(&it)) {
        return invalid("ttl.expiresAt is in milliseconds since 1970, and this looks like seconds");
    }
    if let Some(co_sign) = &document.co_sign
        && !CO_SIGN_WINDOW_SECONDS.contains(&co_sign.window_seconds)
    {
        return invalid("coSign.window is from 30s to 168h");
    }
    if document.rotate_after_reads == Some(0) {
        return invalid("rotateAfterReads of 0 rotates without end: give at least 1");
    }
    Ok(())
}
