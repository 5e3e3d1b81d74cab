//! A policy that is taken off a Secret.

use serde_json::Value;

use crate::team::{SHOP, Team};
use crate::without_a_node;

const GUARDED: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: hours}
spec: {rateCap: {perMinute: 30}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {length: 40}}, policyRef: {name: hours}}
";

/// Kind, name and words of the Events that tell of a policy that is off.
async fn told(team: &Team<'_>) -> Vec<[String; 3]> {
    let events = team.kubectl(&["get", "events", "-o", "json", "--field-selector", "reason=PolicyUnbound"]).await;
    let events: Value = serde_json::from_str(&events).unwrap();
    let text = |event: &Value, pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let of = |event: &Value| ["/involvedObject/kind", "/involvedObject/name", "/message"].map(|it| text(event, it));
    let mut told: Vec<_> = events["items"].as_array().unwrap().iter().map(of).collect();
    told.sort();
    told
}

#[test]
fn a_policy_that_is_taken_off_is_told_at_the_secret_and_at_the_policy_once() {
    without_a_node("a policy that is taken off", async |installation| {
        let team = Team::new(installation, "unbound").await;
        team.apply(GUARDED).await;
        team.ready("Secret", "db").await;
        assert_eq!(told(&team).await, [] as [[String; 3]; 0]);
        // The same Secret without the policy.
        team.apply(SHOP).await;
        for (kind, name) in [("Secret", "db"), ("Machine", "web"), ("Grant", "web-reads-db")] {
            team.ready(kind, name).await;
        }
        team.condition("AccessPolicy", "hours", "Ready", "True", "NotBound").await;
        let secret = "AccessPolicy hours does not guard it any more: if it should, name it in spec.policyRef again.";
        let policy = "Secret db is not guarded by it any more: if it should be, name it in its spec.policyRef again.";
        let expected = [["AccessPolicy", "hours", policy], ["Secret", "db", secret]];
        assert_eq!(told(&team).await, expected.map(|event| event.map(str::to_owned)));
    });
}
