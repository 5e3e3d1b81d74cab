//! Reads over time: of a vault as they are counted, of one secret or machine out of the rows of the audit.

use sikkerkey_protocol::id::{MachineId, SecretId, VaultId};
use sikkerkey_protocol::management::{ReadsOverTime, ReadsOverTimeQuery};

use super::browse::PATIENCE;
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::model::millis::Millis;
use crate::refusal::{Refusal, RefusalKind, not_found};
use crate::store::{HourOfReads, StoreError};
use crate::usecase::archive;
use crate::usecase::audit::{LOOKED_AT, STRETCH, away};
use crate::usecase::management::Manager;
use crate::usecase::management::stats::{self, HOUR, put_together};

/// Of what reads are counted; without any: of the vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Of {
    /// Of one secret.
    pub secret: Option<String>,
    /// By one machine.
    pub machine: Option<String>,
}

/// What is to be counted.
pub struct Wanted {
    reads: stats::Wanted,
    vault: VaultId,
    secret: Option<SecretId>,
    machine: Option<MachineId>,
    asker: Option<String>,
}

/// What was counted.
pub struct Counted {
    /// Reads and denials.
    pub reads: ReadsOverTime,
    /// What the secret is called, if it is one secret.
    pub secret: Option<String>,
    /// What the machine is called, if it is one machine.
    pub machine: Option<String>,
}

/// Asks for reads over time. They are counted by [`count`].
pub fn wanted(context: &Context<'_>, manager: &Manager<'_>, of: &Of, query: ReadsOverTimeQuery) -> Decided<Wanted> {
    let secret = of.secret.as_ref().map(|it| it.parse().map_err(|_| not_found("this vault has no secret of that id")));
    let machine =
        of.machine.as_ref().map(|it| it.parse().map_err(|_| not_found("this vault has no machine of that id")));
    let (secret, machine) = (secret.transpose()?, machine.transpose()?);
    let (vault, asker) = (manager.vault.clone(), manager.asker());
    let decision = stats::reads_over_time(context, manager, [], query)?;
    let answer = decision.answer;
    Ok(crate::decision::Decision {
        changes: decision.changes,
        audit: decision.audit,
        answer: Box::new(move |context| Wanted { reads: answer(context), vault, secret, machine, asker }),
    })
}

/// Counts them.
pub async fn count(app: App, wanted: Wanted) -> Result<Counted, Refusal> {
    let Wanted { reads, vault, secret, machine, asker } = wanted;
    if secret.is_none() && machine.is_none() {
        return Ok(Counted { reads: stats::count_reads(app, reads).await?, secret: None, machine: None });
    }
    let turn = match &asker {
        Some(asker) => Some(app.questions.wait(asker, PATIENCE).await),
        None => None,
    };
    let _turn = turn.transpose().map_err(|_| {
        let text = "the audit is being looked through already, for you or for others: try again in some seconds";
        Refusal::new(RefusalKind::TooMany, text).retry_after(3)
    })?;
    let of = (secret.as_ref(), machine.as_ref());
    let (hours, counted_since) = rows(&app, &reads, &vault, of).await.map_err(|error| away(&error))?;
    let buckets = put_together(&reads.starts, &hours);
    let world = app.live.read();
    let state = &world.state;
    let named = secret.as_ref().map(|id| {
        let it = state.secrets.get(id).filter(|it| it.vault == vault);
        it.map_or_else(|| id.to_string(), |it| it.name.clone())
    });
    let machine = machine.as_ref().map(|id| {
        let it = state.machines.get(id).filter(|it| it.vault == vault);
        it.map_or_else(|| id.to_string(), |it| it.name.clone())
    });
    Ok(Counted { reads: ReadsOverTime { bucket: reads.bucket, buckets, counted_since }, secret: named, machine })
}

/// Counts rows, the newest first, as many as one answer may look through. Says back to when, if that is not all.
async fn rows(
    app: &App,
    reads: &stats::Wanted,
    vault: &VaultId,
    of: (Option<&SecretId>, Option<&MachineId>),
) -> Result<(Vec<HourOfReads>, Option<i64>), StoreError> {
    let known = archive::known(app).await?;
    let at = |hour: i64| Millis(hour.saturating_mul(HOUR));
    let begin = reads.starts.first().copied().unwrap_or(reads.end);
    let first = archive::first_at(app, &known, at(begin)).await?;
    let mut upper = archive::first_at(app, &known, at(reads.end)).await?.saturating_sub(1);
    let wanted = first.saturating_sub(1);
    let lower = wanted.max(upper.saturating_sub(LOOKED_AT));
    // Some rows may have been archived.
    let is_cut = lower > wanted || (known.base.seq > 0 && first == known.base.seq + 1);
    let mut hours = Vec::new();
    while upper > lower {
        let from = lower.max(upper.saturating_sub(STRETCH));
        hours.extend(app.records.hours_of(vault, of, (from, upper)).await?);
        upper = from;
    }
    let edge = if is_cut { app.records.after(lower, 1).await?.first().map(|it| it.time.0) } else { None };
    Ok((hours, edge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usecase::management::office::Office;

    #[test]
    fn what_is_no_id_is_not_found_and_an_id_that_is_gone_is_counted() {
        let mut office = Office::open();
        let mut asked = |secret: Option<&str>, machine: Option<&str>| {
            let of = Of { secret: secret.map(Into::into), machine: machine.map(Into::into) };
            let asked = office.ask(|it, manager| wanted(it, manager, &of, ReadsOverTimeQuery::default()));
            asked.map(drop).map_err(|it| (it.kind, it.message))
        };
        let gone = uuid::Uuid::nil().to_string();
        assert_eq!(asked(Some("sk_gone"), Some(&gone)), Ok(()));
        let none = |what: &str| Err((RefusalKind::NotFound, format!("this vault has no {what} of that id")));
        assert_eq!(asked(Some("gone"), None), none("secret"));
        assert_eq!(asked(None, Some("gone")), none("machine"));
    }
}
