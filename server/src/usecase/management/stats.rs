//! Counts of a vault. What there is, is counted in memory; reads are counted by the hour, in the transaction of their rows in
//! the audit.

use std::collections::BTreeMap;

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::{
    Bucket, MachineCounts, ReadsInBucket, ReadsOverTime, ReadsOverTimeQuery, Stats, Used, VaultUsage,
};

use super::Manager;
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::model::millis::Millis;
use crate::model::secret::SecretPhase;
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::state::State;
use crate::store::HourOfReads;
use crate::usecase::audit::away;
use crate::usecase::steps::Steps;
use crate::usecase::webhook::MOST_WEBHOOKS;

pub(super) const HOUR: i64 = 3_600_000;
const DAY: i64 = 24;
const WEEK: i64 = 7 * DAY;
/// The most buckets of one answer.
const MOST_BUCKETS: i64 = 2_000;

/// Counts, and of which vault reads are still to be counted; none: of none, for they are counted of the whole vault.
pub struct Counted {
    counts: Stats,
    vault: Option<VaultId>,
    now: Millis,
}

/// Between which hours reads are counted.
pub struct Wanted {
    pub(super) vault: VaultId,
    pub(super) bucket: Bucket,
    /// Hours since the epoch, where each bucket begins, and where the last one ends.
    pub(super) starts: Vec<i64>,
    pub(super) end: i64,
}

/// What a vault has. [`with_reads`] counts what was read, for whoever sees the whole vault.
pub fn stats(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<Counted> {
    let vault = manager.projects.is_none().then(|| manager.vault.clone());
    let counted = Counted { counts: count(context.state, manager, context.now), vault, now: context.now };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the figures of the vault".to_owned()));
    Ok(steps.decide(move |_| counted))
}

/// What a vault uses of what it may have.
pub fn usage(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<VaultUsage> {
    let (state, vault, now) = (context.state, manager.vault, context.now);
    let used = |used: usize| Used { used: used as u64, limit: None };
    let counts = VaultUsage {
        machines: used(state.machines.values().filter(|it| it.vault == *vault).count()),
        agents: used(state.agents.values().filter(|it| it.vault == *vault).count()),
        projects: used(state.projects.values().filter(|it| manager.sees(it)).count()),
        secrets: used(state.secrets.values().filter(|it| it.vault == *vault).count()),
        enrollment_tokens: used(
            state.enrolment_tokens.values().filter(|it| it.vault == *vault && it.expires_at > now).count(),
        ),
        webhooks: Used { limit: Some(MOST_WEBHOOKS as u64), ..used(state.webhooks_of(vault).len()) },
    };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("what the vault uses".to_owned()));
    Ok(steps.decide(move |_| counts))
}

/// Reads over time. They are counted by [`count_reads`].
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn reads_over_time(
    context: &Context<'_>,
    manager: &Manager<'_>,
    []: [&str; 0],
    query: ReadsOverTimeQuery,
) -> Decided<Wanted> {
    if manager.projects.is_some() {
        let text = "this agent may look at some projects only, and reads are counted of the whole vault: use one without a \
                    list of projects, or look for secret_read in the audit, which shows the rows of those projects";
        return Err(Refusal::new(RefusalKind::Forbidden, text));
    }
    let wanted = wanted(&query, manager.vault, context.now)?;
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("reads over time".to_owned()));
    Ok(steps.decide(move |_| wanted))
}

/// Adds what was read in the last day.
pub async fn with_reads(app: App, counted: Counted) -> Result<Stats, Refusal> {
    let Counted { counts, vault, now } = counted;
    let Some(vault) = vault else { return Ok(counts) };
    let hour = now.0.div_euclid(HOUR);
    let hours = app.records.hours_of_reads(&vault, hour - DAY, hour + 1).await.map_err(|error| away(&error))?;
    let reads_24h = Some(hours.iter().map(|it| it.delivered).sum());
    Ok(Stats { reads_24h, denied_24h: Some(hours.iter().map(|it| it.denied).sum()), ..counts })
}

/// Counts reads.
pub async fn count_reads(app: App, wanted: Wanted) -> Result<ReadsOverTime, Refusal> {
    let from = wanted.starts.first().copied().unwrap_or(wanted.end);
    let hours = app.records.hours_of_reads(&wanted.vault, from, wanted.end).await.map_err(|error| away(&error))?;
    let since = app.records.reads_counted_since().await.map_err(|error| away(&error))?;
    let buckets = put_together(&wanted.starts, &hours);
    Ok(ReadsOverTime { bucket: wanted.bucket, buckets, counted_since: since.map(|it| it.0) })
}

fn count(state: &State, manager: &Manager<'_>, now: Millis) -> Stats {
    let vault = manager.vault;
    let mut machines = MachineCounts::default();
    for machine in state.machines.values().filter(|it| it.vault == *vault) {
        machines.total += 1;
        machines.pending += u64::from(machine.approval == Approval::Pending);
        machines.disabled += u64::from(!machine.enabled);
    }
    // What an agent with a list of projects may not look at is not counted for it either.
    let seen = |project| state.projects.get(project).is_some_and(|it| manager.sees(it));
    let (mut secrets, mut trashed_secrets) = (0, 0);
    for secret in state.secrets.values().filter(|it| seen(&it.project)) {
        match secret.phase {
            SecretPhase::Trashed(_) => trashed_secrets += 1,
            _ => secrets += 1,
        }
    }
    let ends = |it: &crate::model::grant::Grant| it.expires_at.is_some_and(|end| end <= now);
    Stats {
        machines,
        agents: state.agents.values().filter(|it| it.vault == *vault).count() as u64,
        projects: state.projects.values().filter(|it| manager.sees(it)).count() as u64,
        secrets,
        trashed_secrets,
        policies: state.policies.values().filter(|it| seen(&it.project)).count() as u64,
        grants: state.grants.values().filter(|it| seen(&it.project) && !ends(it)).count() as u64,
        ..Stats::default()
    }
}

fn wanted(query: &ReadsOverTimeQuery, vault: &VaultId, now: Millis) -> Result<Wanted, Refusal> {
    let bucket = query.bucket.unwrap_or_default();
    let to = query.to.unwrap_or(now.0.saturating_add(1));
    let from = query.from.unwrap_or(to.saturating_sub(WEEK * HOUR));
    if from >= to {
        return Err(invalid("from lies at or after to: nothing was read between them".to_owned()));
    }
    let width = match bucket {
        Bucket::Hour => 1,
        Bucket::Day => DAY,
        Bucket::Week => WEEK,
    };
    // The epoch began on a Thursday.
    let shift = if bucket == Bucket::Week { 3 * DAY } else { 0 };
    let begin = |hour: i64| (hour + shift).div_euclid(width) * width - shift;
    let (first, last) = (begin(from.div_euclid(HOUR)), begin((to - 1).div_euclid(HOUR)));
    let count = (last - first) / width + 1;
    if count > MOST_BUCKETS {
        let text = format!(
            "that is {count} buckets, and an answer has {MOST_BUCKETS} at most: ask for days or weeks, or for a shorter time"
        );
        return Err(invalid(text));
    }
    let starts = (0..count).map(|it| first + it * width).collect();
    Ok(Wanted { vault: vault.clone(), bucket, starts, end: last + width })
}

pub(super) fn put_together(starts: &[i64], hours: &[HourOfReads]) -> Vec<ReadsInBucket> {
    let mut buckets: BTreeMap<i64, ReadsInBucket> = starts
        .iter()
        .map(|start| (*start, ReadsInBucket { start: start * HOUR, ..ReadsInBucket::default() }))
        .collect();
    for hour in hours {
        if let Some((_, bucket)) = buckets.range_mut(..=hour.hour).next_back() {
            bucket.reads += hour.delivered;
            bucket.denied += hour.denied;
        }
    }
    buckets.into_values().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::usecase::fixture::refused;
    use crate::usecase::management::office::Office;

    /// 2026-03-04T12:00:00Z, a Wednesday.
    const NOW: Millis = Millis(1_772_625_600_000);

    fn asked(from: Option<i64>, to: Option<i64>, bucket: Option<Bucket>) -> Result<Wanted, Refusal> {
        wanted(&ReadsOverTimeQuery { from, to, bucket }, &"vault_v".parse().unwrap(), NOW)
    }

    #[test]
    fn buckets_begin_where_hours_days_and_weeks_do() {
        let begins = |bucket| {
            let wanted = asked(Some(NOW.0 - 90 * 60_000), Some(NOW.0 + 1), Some(bucket)).unwrap();
            wanted.starts.iter().map(|it| crate::policy::window::instant(Millis(it * HOUR))).collect::<Vec<_>>()
        };
        assert_eq!(begins(Bucket::Hour), ["2026-03-04T10:00:00Z", "2026-03-04T11:00:00Z", "2026-03-04T12:00:00Z"]);
        assert_eq!(begins(Bucket::Day), ["2026-03-04T00:00:00Z"]);
        assert_eq!(begins(Bucket::Week), ["2026-03-02T00:00:00Z"]);
        // An end on the hour is not included.
        assert_eq!(asked(Some(NOW.0 - HOUR), Some(NOW.0), None).unwrap().starts.len(), 1);
        assert_eq!(asked(None, None, None).unwrap().starts.len(), 169);
    }

    #[test]
    fn reads_are_counted_of_the_whole_vault_and_told_to_nobody_who_sees_a_part() {
        let mut office = Office::open();
        let query = || ReadsOverTimeQuery { from: None, to: None, bucket: None };
        assert!(office.ask(|it, manager| stats(it, manager, [])).unwrap().vault.is_some());
        assert!(office.ask(|it, manager| reads_over_time(it, manager, [], query())).is_ok());
        let shop = office.shop.clone();
        office.sees(&[&shop]);
        let counted = office.ask(|it, manager| stats(it, manager, [])).unwrap();
        assert_eq!((counted.vault, counted.counts.secrets), (None, 2));
        let told = serde_json::to_value(&counted.counts).unwrap();
        assert!(told.get("reads24h").is_none() && told.get("denied24h").is_none(), "{told}");
        let text = "this agent may look at some projects only, and reads are counted of the whole vault: use one without a \
                    list of projects, or look for secret_read in the audit, which shows the rows of those projects";
        let answer = office.ask(|it, manager| reads_over_time(it, manager, [], query())).map(drop);
        refused(answer, RefusalKind::Forbidden, None, text);
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        for (from, to, bucket, part) in [
            (Some(5), Some(5), None, "from lies at or after to"),
            (Some(0), None, None, "buckets, and an answer has 2000 at most"),
            (Some(i64::MIN), Some(i64::MAX), Some(Bucket::Week), "buckets, and an answer has 2000 at most"),
        ] {
            let refusal = asked(from, to, bucket).map(drop).unwrap_err();
            assert!(refusal.kind == RefusalKind::Invalid && refusal.message.contains(part), "{}", refusal.message);
        }
    }

    proptest! {
        #[test]
        fn every_read_is_in_exactly_one_bucket(
            from in 0i64..2_000,
            length in 1i64..1_000,
            counts in prop::collection::btree_map(0i64..3_000, (0u64..5, 0u64..5), 0..30),
            bucket in prop_oneof![Just(Bucket::Hour), Just(Bucket::Day), Just(Bucket::Week)],
        ) {
            let wanted = asked(Some(from * HOUR), Some((from + length) * HOUR), Some(bucket)).unwrap();
            let (first, end) = (wanted.starts[0], wanted.end);
            prop_assert!(first <= from && from + length <= end);
            let hours: Vec<_> = counts
                .range(first..end)
                .map(|(hour, (delivered, denied))| HourOfReads { hour: *hour, delivered: *delivered, denied: *denied })
                .collect();
            let buckets = put_together(&wanted.starts, &hours);
            let sum: (u64, u64) = buckets.iter().fold((0, 0), |sum, it| (sum.0 + it.reads, sum.1 + it.denied));
            let all = hours.iter().fold((0, 0), |sum, it| (sum.0 + it.delivered, sum.1 + it.denied));
            prop_assert_eq!(sum, all);
            prop_assert_eq!(buckets.len(), wanted.starts.len());
        }
    }
}
