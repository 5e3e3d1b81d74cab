//! The rules by which Flux, kpt and others compute an object's status, for kinds that they know nothing of: those of `Compute`
//! in `pkg/kstatus/status` of sigs.k8s.io/cli-utils, in its order. Messages are left out.

use serde_json::Value;

/// The status.
pub(super) fn status(object: &Value) -> &'static str {
    let metadata = &object["metadata"];
    if metadata["deletionTimestamp"].as_str().is_some_and(|at| !at.is_empty()) {
        return "Terminating";
    }
    let (generation, observed) = (metadata["generation"].as_i64(), object["status"]["observedGeneration"].as_i64());
    if generation.is_some() && observed.is_some() && generation != observed {
        return "InProgress";
    }
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for condition in conditions.iter().filter(|condition| condition["status"] == "True") {
        match condition["type"].as_str() {
            Some("Reconciling") => return "InProgress",
            Some("Stalled") => return "Failed",
            _ => {}
        }
    }
    // Only where a kind has no rules of its own, which are known by group and kind: ours is not the Secret of the core.
    match conditions.iter().find(|condition| condition["type"] == "Ready").map(|ready| &ready["status"]) {
        Some(ready) if ready != "True" => "InProgress",
        _ => "Current",
    }
}
