//! The decision, told rule by rule.

use sikkerkey_protocol::explain::{ExplainedRule, Explanation, Rule, RuleSays};
use sikkerkey_protocol::policy::PolicyDocument;

use super::decide::{Finding, RULES, check, guard, label};
use super::window::{self, Window, instant};
use super::{Facts, address, cap};
use crate::model::millis::Millis;
use crate::model::secret::Secret;

/// May this machine read this secret now, and if not, which rules deny it, and what would change that. The first that
/// denies is what [`decide`](super::decide) says, in the same words.
pub fn explain(facts: &Facts<'_>) -> Explanation {
    let rules = RULES.map(|rule| match check(rule, facts) {
        Finding::Off => told(rule, RuleSays::Off, off(rule).to_owned()),
        Finding::Allows => told(rule, RuleSays::Allows, allows(rule, facts)),
        Finding::Denies(denial) => ExplainedRule {
            rule,
            says: RuleSays::Denies,
            reason: Some(denial.reason),
            message: denial.message,
            until: denial.until.map(|it| it.0),
        },
    });
    Explanation {
        machine: label(facts.machine, facts.fleet),
        secret: name(facts.secret),
        address: facts.address.to_canonical().to_string(),
        at: facts.now.0,
        allowed: rules.iter().all(|it| it.says != RuleSays::Denies),
        changes_at: changes_at(facts).map(|it| it.0),
        rules: rules.into(),
    }
}

/// The first instant after now at which time alone may change what [`decide`](super::decide) says of these facts.
pub fn changes_at(facts: &Facts<'_>) -> Option<Millis> {
    let now = facts.now;
    let grants = facts.grants.iter().filter_map(|it| it.expires_at);
    let document = guard(facts).ok().flatten().map(|it| &it.document);
    let policy = document.into_iter().flat_map(|it| policy_changes(it, facts));
    let machine = facts.machine.expires_at;
    grants.chain(machine).chain(policy).filter(|it| *it > now).min()
}

fn policy_changes(document: &PolicyDocument, facts: &Facts<'_>) -> impl Iterator<Item = Millis> {
    let now = facts.now;
    let window = Window::of(document).ok().flatten().and_then(|it| it.next_change(now));
    let end = document.ttl.as_ref().and_then(|it| it.expires_at).map(Millis);
    let answer = document.co_sign.as_ref().and(facts.consent.request).and_then(|it| it.answer.as_ref());
    // Only a cap that is reached changes with the clock.
    let capped = match check(Rule::RateCap, facts) {
        Finding::Denies(denial) => denial.until,
        Finding::Off | Finding::Allows => None,
    };
    window.into_iter().chain(end).chain(answer.map(|it| it.until)).chain(capped)
}

/// What a secret is called: of a managed one `namespace/name`.
pub fn name(secret: &Secret) -> String {
    secret.managed.as_ref().map_or_else(|| secret.name.clone(), |it| it.object.key.to_string())
}

fn told(rule: Rule, says: RuleSays, message: String) -> ExplainedRule {
    ExplainedRule { rule, says, reason: None, message, until: None }
}

fn off(rule: Rule) -> &'static str {
    match rule {
        Rule::Policy => "the secret names no policy",
        _ => "the policy does not ask for it",
    }
}

fn allows(rule: Rule, facts: &Facts<'_>) -> String {
    let policy = guard(facts).ok().flatten();
    let said = match rule {
        Rule::Machine => Some(match facts.machine.expires_at {
            Some(end) => format!("approved and enabled, until {}", instant(end)),
            None => "approved and enabled".to_owned(),
        }),
        Rule::Project => Some(format!("project {} is not frozen", facts.project.name)),
        Rule::Grant => Some(grants(facts)),
        Rule::Value => Some(format!("version {}", facts.secret.version)),
        Rule::Policy => policy.map(|it| format!("policy {} is in force, revision {}", it.name, it.revision)),
        Rule::Ttl | Rule::TimeWindow | Rule::IpAllowlist | Rule::RateCap | Rule::CoSign => {
            policy.and_then(|it| axis(rule, &it.document, facts))
        }
    };
    said.unwrap_or_default()
}

fn grants(facts: &Facts<'_>) -> String {
    let live = facts.grants.iter().filter(|it| it.expires_at.is_none_or(|end| facts.now < end));
    let told = live.map(|it| {
        let name = it.managed.as_ref().map_or_else(|| "a grant".to_owned(), |it| format!("Grant {}", it.object.key));
        match it.expires_at {
            Some(end) => format!("{name} until {}", instant(end)),
            None => name,
        }
    });
    format!("granted by {}", told.collect::<Vec<_>>().join(", "))
}

fn axis(rule: Rule, document: &PolicyDocument, facts: &Facts<'_>) -> Option<String> {
    match rule {
        Rule::Ttl => {
            let ttl = document.ttl.as_ref()?;
            let end = ttl.expires_at.map(|end| format!("until {}", instant(Millis(end))));
            let reads = ttl.max_reads.map(|max| format!("{} of {max} reads are used", facts.counters.total));
            Some(end.into_iter().chain(reads).collect::<Vec<_>>().join(", "))
        }
        Rule::TimeWindow => {
            let window = Window::of(document).ok()??;
            let change = window.next_change(facts.now);
            Some(change.map_or_else(|| "open".to_owned(), |it| format!("open until {}", window.wall_clock(it))))
        }
        Rule::IpAllowlist => {
            let ranges = document.ip_allowlist.as_ref()?;
            let one = |it: &&String| address::is_in_any(facts.address, std::slice::from_ref(*it)) == Ok(true);
            Some(format!("{} is in {}", facts.address.to_canonical(), ranges.iter().find(one)?))
        }
        Rule::RateCap => {
            let cap = document.rate_cap.as_ref()?;
            let minute = cap.per_minute.map(|it| format!("{} of {it} reads in this minute", facts.counters.minute));
            let day = cap.per_day.map(|it| {
                let end = cap::day_of(document, facts.now).map(|day| instant(day.end)).unwrap_or_default();
                format!("{} of {it} reads today, which ends at {end}", facts.counters.day)
            });
            Some(minute.into_iter().chain(day).collect::<Vec<_>>().join(", "))
        }
        Rule::CoSign => {
            let answer = facts.consent.request?.answer.as_ref()?;
            let by = facts.consent.answered_by.map_or_else(String::new, |(machine, _)| format!(" by {}", machine.name));
            Some(format!("approved{by} until {}", window::instant(answer.until)))
        }
        _ => None,
    }
}
