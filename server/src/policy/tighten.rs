//! Whether a policy that is changed lets something through that it did not.
//!
//! An agent may tighten a protected policy and never loosen it, so this is a fence: what cannot be compared counts as
//! looser.

use ipnet::IpNet;
use sikkerkey_protocol::policy::{CoSign, CountedBy, PolicyDocument, RateCap, Ttl};

use super::address;
use super::window::{MINUTES_OF_DAY, Window, instant};
use crate::model::millis::Millis;

/// The first axis by which `new` would let a read through that `old` refuses, with what is looser about it; none when
/// whatever `new` permits `old` permits too.
///
/// Two windows, and two caps of a day, are compared in one time zone only. Counts go on through a change, so a lower cap is
/// a tighter one.
pub fn loosens(old: &PolicyDocument, new: &PolicyDocument) -> Option<String> {
    ttl(old.ttl.as_ref(), new.ttl.as_ref())
        .or_else(|| window(old, new))
        .or_else(|| ranges(old.ip_allowlist.as_deref(), new.ip_allowlist.as_deref()))
        .or_else(|| caps(old, new))
        .or_else(|| co_sign(old.co_sign.as_ref(), new.co_sign.as_ref()))
        .or_else(|| rotation(old.rotate_after_reads, new.rotate_after_reads))
}

fn ttl(old: Option<&Ttl>, new: Option<&Ttl>) -> Option<String> {
    let end = |ttl: Option<&Ttl>| ttl.and_then(|it| it.expires_at);
    let reads = |ttl: Option<&Ttl>| ttl.and_then(|it| it.max_reads);
    if let Some(was) = end(old) {
        match end(new) {
            None => return Some("ttl.expiresAt would be gone".to_owned()),
            Some(is) if is > was => {
                let (was, is) = (instant(Millis(was)), instant(Millis(is)));
                return Some(format!("ttl.expiresAt would be {is}, and is {was}"));
            }
            Some(_) => {}
        }
    }
    higher("ttl.maxReads", reads(old), reads(new))
}

fn window(old: &PolicyDocument, new: &PolicyDocument) -> Option<String> {
    old.time_window.as_ref()?;
    if new.time_window.is_none() {
        return Some("timeWindow would be gone".to_owned());
    }
    if old.time_zone != new.time_zone {
        return Some(other_zone("timeWindow", old, new));
    }
    let (Ok(Some(was)), Ok(Some(is))) = (Window::of(old), Window::of(new)) else {
        return Some("timeWindow cannot be compared with the present one".to_owned());
    };
    let names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    for (today, name) in names.into_iter().enumerate() {
        let opens = |minute: &u16| is.is_open_at(today, *minute) && !was.is_open_at(today, *minute);
        if let Some(minute) = (0..MINUTES_OF_DAY).find(opens) {
            let (hour, minute) = (minute / 60, minute % 60);
            return Some(format!("timeWindow would be open on {name} at {hour:02}:{minute:02}, and is closed then"));
        }
    }
    None
}

fn ranges(old: Option<&[String]>, new: Option<&[String]>) -> Option<String> {
    let old = old?;
    let Some(new) = new else { return Some("ipAllowlist would be gone".to_owned()) };
    let Ok(old) = old.iter().map(|it| address::parse(it)).collect::<Result<Vec<_>, _>>() else {
        return Some("ipAllowlist cannot be compared with the present one".to_owned());
    };
    // Two neighbours let the same through as the one range that they make up.
    let old = IpNet::aggregate(&old);
    let is_inside = |text: &String| address::parse(text).is_ok_and(|it| old.iter().any(|range| range.contains(&it)));
    let outside = new.iter().find(|text| !is_inside(text))?;
    Some(format!("ipAllowlist would have {outside}, which is not in the present ranges"))
}

fn caps(old: &PolicyDocument, new: &PolicyDocument) -> Option<String> {
    let was = old.rate_cap.as_ref()?;
    let Some(is) = &new.rate_cap else { return Some("rateCap would be gone".to_owned()) };
    if was.counted_by == CountedBy::Machine && is.counted_by == CountedBy::Pod {
        return Some("rateCap.countedBy would be Pod, and is Machine: each pod would have the whole cap".to_owned());
    }
    if was.per_day.is_some() && is.per_day.is_some() && old.time_zone != new.time_zone {
        return Some(other_zone("rateCap.perDay", old, new));
    }
    let higher_of = |field, of: fn(&RateCap) -> Option<u32>| higher(field, of(was), of(is));
    higher_of("rateCap.perMinute", |it| it.per_minute).or_else(|| higher_of("rateCap.perDay", |it| it.per_day))
}

fn co_sign(old: Option<&CoSign>, new: Option<&CoSign>) -> Option<String> {
    let old = old?;
    let Some(new) = new else { return Some("coSign would be gone".to_owned()) };
    if old.approver != new.approver {
        return Some("coSign would ask another machine".to_owned());
    }
    let (was, is) = (old.window_seconds, new.window_seconds);
    (is > was).then(|| format!("coSign would take an approval for {is} s, and takes it for {was} s"))
}

fn rotation(old: Option<u32>, new: Option<u32>) -> Option<String> {
    higher("rotateAfterReads", old, new)
}

fn higher(field: &str, old: Option<u32>, new: Option<u32>) -> Option<String> {
    let was = old?;
    match new {
        None => Some(format!("{field} would be gone")),
        Some(is) => (is > was).then(|| format!("{field} would be {is}, and is {was}")),
    }
}

fn other_zone(axis: &str, old: &PolicyDocument, new: &PolicyDocument) -> String {
    let name = |document: &PolicyDocument| document.time_zone.clone().unwrap_or_else(|| "none".to_owned());
    format!("{axis} would be in time zone {}, and is in {}", name(new), name(old))
}
