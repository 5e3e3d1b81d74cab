//! When one root gives way to the next. Pure.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::root::Root;

/// How long the next root is trusted before it signs. Every replica, and every API server, has looked at the bundle by then.
pub(super) const SETTLE: SignedDuration = SignedDuration::from_secs(30);

/// What a change of root needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, or time.
    Wait,
    /// A next root, to be trusted beside the present one.
    Announce,
    /// The next root takes the place of the present one.
    TakeOver,
}

/// A person asks for a change, or two thirds of the root's life are over. `spread_since`: from when on the whole bundle is
/// known to stand in the webhook configurations.
pub(super) fn step(root: &Root, is_asked: bool, spread_since: Timestamp, now: Timestamp) -> Step {
    let is_settled = now.duration_since(spread_since) >= SETTLE;
    match root.next() {
        Some(_) if is_settled => Step::TakeOver,
        None if is_asked || now >= root.facts().renewal() => Step::Announce,
        Some(_) | None => Step::Wait,
    }
}
