//! A Secret that no policy guards any more: whoever may edit it may take its policy off, and four eyes become two. So it is
//! told, to those who look at the Secret and to those who look at the policy.

use kube::{Resource as _, ResourceExt};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::Secret;

use crate::controller::Context;
use crate::controller::events::News;

/// Publishes both Events. The audit has it in any case.
pub async fn tell(secret: &Received<Secret>, policy: &str, context: &Context) {
    let name = secret.name_any();
    context.events.publish(&secret.object_ref(&()), "Reconcile", &of_secret(policy)).await;
    let namespace = secret.namespace().unwrap_or_default();
    if let Some(policy) = context.index.policy(&namespace, policy) {
        context.events.publish(&policy.object_ref(&()), "Reconcile", &of_policy(&name)).await;
    }
}

fn of_secret(policy: &str) -> News {
    News::warning(
        Reason::PolicyUnbound,
        format!("AccessPolicy {policy} does not guard it any more: if it should, name it in spec.policyRef again."),
    )
}

fn of_policy(secret: &str) -> News {
    News::warning(
        Reason::PolicyUnbound,
        format!("Secret {secret} is not guarded by it any more: if it should be, name it in its spec.policyRef again."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_told_which_the_other_was() {
        for (news, message) in [
            (
                of_secret("hours"),
                "AccessPolicy hours does not guard it any more: if it should, name it in spec.policyRef again.",
            ),
            (
                of_policy("db"),
                "Secret db is not guarded by it any more: if it should be, name it in its spec.policyRef again.",
            ),
        ] {
            assert_eq!(news, News { is_warning: true, reason: "PolicyUnbound".into(), message: message.into() });
        }
    }
}
