//! What the server notes of a webhook: how far it has come, who tells it, and what has failed.

use std::time::Duration;

use super::progress_of;
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::millis::Millis;
use crate::model::webhook::{Position, Progress, Webhook};
use crate::usecase::steps::{Steps, answer, by_server};

/// How a webhook is told.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long after the first failure it is tried again; twice as long after the next, and so on.
    pub first_pause: Duration,
    /// The longest of these pauses.
    pub longest_pause: Duration,
    /// After how many failures in a row it is switched off.
    pub most_failures: u32,
    /// For how long a server has a webhook for itself. It is renewed after a third of it, and a delivery that begins then
    /// ends before the rest of it does: longer than one and a half [`PATIENCE`](crate::webhook::sender::PATIENCE).
    pub lease: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_hours(1),
            // About a day.
            most_failures: 36,
            lease: Duration::from_secs(20),
        }
    }
}

/// What comes of asking for a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Whoever asked tells it, from behind this row on.
    Granted(u64),
    /// Somebody else does, or it is not to be told now.
    Refused,
}

/// Lets one server tell a webhook, from behind `at` on, which is where that server has seen it to stand.
pub fn claim(context: &Context<'_>, id: &str, at: u64, by: &str, rules: &Rules) -> Decided<Claim> {
    let Some(webhook) = context.state.webhooks.get(id).filter(|it| it.enabled) else {
        return Ok(answer(|_| Claim::Refused));
    };
    let progress = progress_of(context.state, webhook);
    let is_elsewhere = of_another(&progress, by, context.now).is_some();
    let waits = progress.retry_at.is_some_and(|it| it > context.now);
    let Position::After(stored) = progress.position else { return Ok(answer(|_| Claim::Refused)) };
    if is_elsewhere || waits || stored > at {
        return Ok(answer(|_| Claim::Refused));
    }
    let mut steps = Steps::default();
    let until = plus(context.now, rules.lease);
    steps.put(Entity::WebhookProgress(Progress { lease: Some((by.to_owned(), until)), ..progress }));
    Ok(steps.decide(move |_| Claim::Granted(at)))
}

/// How far a server has told a webhook.
#[derive(Clone, Debug)]
pub struct Advance {
    /// Up to which row.
    pub after: u64,
    /// When it last delivered something; none: there was nothing for it.
    pub delivered_at: Option<Millis>,
    /// By which server.
    pub by: String,
    /// Whether that server goes on telling it.
    pub goes_on: bool,
}

/// Notes how far a webhook has come. A position never goes back, and one that a person has set meanwhile stays. Answers
/// whether that server may go on: another one that has taken it over meanwhile keeps it.
pub fn advance(context: &Context<'_>, id: &str, it: Advance, rules: &Rules) -> Decided<bool> {
    let Some(webhook) = context.state.webhooks.get(id) else { return Ok(answer(|_| false)) };
    let mut progress = progress_of(context.state, webhook);
    if let Position::After(stored) = progress.position {
        progress.position = Position::After(stored.max(it.after));
    }
    let lease = of_another(&progress, &it.by, context.now);
    let may_go_on = it.goes_on && lease.is_none();
    progress.lease = lease.or_else(|| it.goes_on.then(|| (it.by, plus(context.now, rules.lease))));
    if it.delivered_at.is_some() {
        progress =
            Progress { failures: 0, last_failure: None, retry_at: None, delivered_at: it.delivered_at, ..progress };
    }
    let mut steps = Steps::default();
    steps.put(Entity::WebhookProgress(progress));
    Ok(steps.decide(move |_| may_go_on))
}

/// The lease of another server, while it is good.
fn of_another(progress: &Progress, by: &str, now: Millis) -> Option<(String, Millis)> {
    progress.lease.clone().filter(|(whose, until)| whose != by && *until > now)
}

/// Notes from which row on a webhook is told that begins at an instant, and what it leaves out.
pub fn settle(context: &Context<'_>, id: &str, since: Millis, after: u64) -> Decided<()> {
    let Some(webhook) = context.state.webhooks.get(id) else { return Ok(answer(|_| ())) };
    let progress = progress_of(context.state, webhook);
    if progress.position != Position::Since(since) {
        return Ok(answer(|_| ()));
    }
    let mut steps = Steps::default();
    if let Some(left_at) = progress.left_at.filter(|it| *it < after) {
        steps.audit.push(dropped(webhook, left_at, after, "were left out, as a person wanted it"));
    }
    steps.put(Entity::WebhookProgress(Progress { position: Position::After(after), left_at: None, ..progress }));
    Ok(steps.decide(|_| ()))
}

/// Notes that rows behind `at` up to `base` were archived before a webhook was told of them.
pub fn lose(context: &Context<'_>, id: &str, at: u64, base: u64) -> Decided<()> {
    let Some(webhook) = context.state.webhooks.get(id) else { return Ok(answer(|_| ())) };
    let progress = progress_of(context.state, webhook);
    // Another server may have told it, or told of it.
    if !matches!(progress.position, Position::After(stored) if stored < base) {
        return Ok(answer(|_| ()));
    }
    let mut steps = Steps::default();
    steps.audit.push(dropped(webhook, at, base, "were archived before it was told what is for it in them"));
    steps.put(Entity::WebhookProgress(Progress { position: Position::After(base), ..progress }));
    Ok(steps.decide(|_| ()))
}

/// A try that has failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Up to which row everything before it was delivered.
    pub after: u64,
    /// Whether something was, since the last note.
    pub delivered_at: Option<Millis>,
    /// By which server.
    pub by: String,
    /// Why.
    pub text: String,
    /// Spreads the next tries of those that failed together: any number.
    pub jitter: u8,
}

/// Notes that a try has failed: when it is tried again, or that it is not. Answers whether the webhook is switched off now.
pub fn fail(context: &Context<'_>, id: &str, it: Failure, rules: &Rules) -> Decided<bool> {
    let Some(webhook) = context.state.webhooks.get(id) else { return Ok(answer(|_| false)) };
    let mut progress = progress_of(context.state, webhook);
    if let Position::After(stored) = progress.position {
        progress.position = Position::After(stored.max(it.after));
    }
    let failures = if it.delivered_at.is_some() { 1 } else { progress.failures.saturating_add(1) };
    let mut steps = Steps::default();
    let is_over = webhook.enabled && failures >= rules.most_failures;
    if is_over {
        let because = format!("{failures} tries in a row have failed, the last one because: {}", it.text);
        let detail = format!(
            "webhook {} is switched off: {because}; when it is switched on again it goes on where it stopped",
            webhook.id
        );
        let vault = Some(webhook.vault.clone());
        steps.audit.push(Entry { vault, detail, ..by_server(Action::WebhookDisable) });
        let disabled = Webhook { enabled: false, disabled_because: Some(because), ..webhook.clone() };
        steps.put(Entity::Webhook(disabled));
    }
    steps.put(Entity::WebhookProgress(Progress {
        failures,
        last_failure: Some(it.text),
        retry_at: Some(plus(context.now, pause(failures, it.jitter, rules))),
        delivered_at: it.delivered_at.or(progress.delivered_at),
        lease: of_another(&progress, &it.by, context.now),
        ..progress
    }));
    Ok(steps.decide(move |_| is_over))
}

/// How long after that many failures in a row it is tried again: doubled each time, up to a bound, and a quarter more or
/// less, so that those that failed together are not tried together.
pub fn pause(failures: u32, jitter: u8, rules: &Rules) -> Duration {
    let doubled = rules.first_pause.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let pause = doubled.min(rules.longest_pause);
    pause * 3 / 4 + pause / 2 * u32::from(jitter) / 255
}

fn dropped(webhook: &Webhook, left_at: u64, after: u64, why: &str) -> Entry {
    let count = after.saturating_sub(left_at);
    let rows = format!("rows {} to {after} of the audit ({count})", left_at + 1);
    let detail = format!("webhook {}: {rows} {why}", webhook.id);
    Entry { vault: Some(webhook.vault.clone()), detail, ..by_server(Action::WebhookDrop) }
}

fn plus(now: Millis, time: Duration) -> Millis {
    Millis(now.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}
