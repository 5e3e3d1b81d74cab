//! The decision, told rule by rule.

use sikkerkey_protocol::explain::{ExplainedRule, Explanation, Rule, RuleSays};
use sikkerkey_protocol::policy::PolicyDocument;

use super::decide::{Finding, RULES, check, decide, guard, label};
use super::window::{self, Window, instant};
use super::{Counters, Facts, Verdict, address, cap};
use crate::model::millis::Millis;
use crate::model::secret::Secret;

/// May this machine read this secret now, and if not, which rules deny it, and what would change that. The first that
/// denies is what [`decide`](super::decide) says, in the same words.
pub fn explain(facts: &Facts<'_>) -> Explanation {
    let rules = RULES.map(|rule| match check(rule, facts) {
        Finding::Off => told(rule, RuleSays::Off, off(rule, facts).to_owned()),
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
        secret: secret_label(facts.secret),
        address: facts.address.to_canonical().to_string(),
        at: facts.now.0,
        allowed: rules.iter().all(|it| it.says != RuleSays::Denies),
        changes_at: flips_at(facts).map(|it| it.0),
        rules: rules.into(),
    }
}

/// How far ahead another answer is looked for: windows and caps come round, and most do within a week.
const STEPS: usize = 32;

/// The first instant at which time alone turns the decision round. None: it is not near, or something else has to change.
fn flips_at(facts: &Facts<'_>) -> Option<Millis> {
    let is_permitted = |facts: &Facts<'_>| matches!(decide(facts), Verdict::Permit(_));
    let now = is_permitted(facts);
    let mut ahead = facts.clone();
    for _ in 0..STEPS {
        let next = changes_at(&ahead)?;
        ahead.counters = counted_at(&ahead, next);
        ahead.now = next;
        if is_permitted(&ahead) != now {
            return Some(next);
        }
    }
    None
}

/// What the counters say at a later instant when nobody reads meanwhile.
fn counted_at(facts: &Facts<'_>, later: Millis) -> Counters {
    let document = guard(facts).ok().flatten().map(|it| &it.document);
    let day = document.and_then(|it| cap::day_of(it, facts.now).ok());
    Counters {
        minute: if later < cap::minute_of(facts.now).end { facts.counters.minute } else { 0 },
        day: if day.is_some_and(|it| later < it.end) { facts.counters.day } else { 0 },
        ..facts.counters
    }
}

/// The first instant after now at which a rule may say otherwise by time alone.
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
pub fn secret_label(secret: &Secret) -> String {
    secret.managed.as_ref().map_or_else(|| secret.name.clone(), |it| it.object.key.to_string())
}

fn told(rule: Rule, says: RuleSays, message: String) -> ExplainedRule {
    ExplainedRule { rule, says, reason: None, message, until: None }
}

fn off(rule: Rule, facts: &Facts<'_>) -> &'static str {
    match (rule, guard(facts)) {
        (Rule::Policy, _) => "the secret names no policy",
        (_, Ok(Some(_))) => "the policy does not ask for it",
        (_, Ok(None) | Err(_)) => "",
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
        Rule::Ttl | Rule::TimeWindow | Rule::IpAllowlist | Rule::RateCap | Rule::CoSign | Rule::RotateAfterReads => {
            policy.and_then(|it| axis(rule, &it.document, facts))
        }
    };
    said.unwrap_or_default()
}

fn grants(facts: &Facts<'_>) -> String {
    let live = facts.grants.iter().filter(|it| it.is_live(facts.now));
    let told = live.map(|it| {
        let name =
            it.managed.as_ref().map_or_else(|| format!("grant {}", it.id), |it| format!("Grant {}", it.object.key));
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
        Rule::RotateAfterReads => {
            let (reads, after) = (facts.counters.again, document.rotate_after_reads?);
            let version = facts.secret.version;
            let due = facts.secret.due_by_reads.map_or("", |_| ", a new value is due");
            Some(format!("{reads} of {after} reads of version {version} that count{due}"))
        }
        Rule::CoSign => {
            let answer = facts.consent.request?.answer.as_ref()?;
            let by = facts.consent.answered_by.map_or_else(String::new, |(machine, _)| format!(" by {}", machine.name));
            Some(format!("approved{by} until {}", window::instant(answer.until)))
        }
        _ => None,
    }
}
