//! One row of the audit, and its place in the chain.

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::AuditEntry;

use super::names::Names;
use crate::app::App;
use crate::audit::digest::Digest;
use crate::audit::{chain, view};
use crate::decision::{Context, Decided};
use crate::refusal::{Refusal, not_found};
use crate::store::ChainHead;
use crate::usecase::archive;
use crate::usecase::audit::away;
use crate::usecase::management::Manager;
use crate::usecase::steps::Steps;

/// Which row is looked for.
pub struct Wanted {
    vault: VaultId,
    number: u64,
}

/// A row, and its place in the chain.
pub struct Row {
    /// What it says.
    pub entry: AuditEntry,
    /// What those are called that it is about.
    pub names: Names,
    /// The access policy that guards the secret now: its id and its name.
    pub policy: Option<(String, String)>,
    /// What its hash covers, as it is stored.
    pub text: String,
    /// Its hash.
    pub hash: Digest,
    /// The hash of the row before it; none: that one is missing.
    pub previous: Option<Digest>,
    /// Whether its hash is what follows from the row before it, its number, its time and its text.
    pub fits: bool,
    /// The last row that there is.
    pub last: u64,
    /// The last row that a checkpoint of this server vouches for, and when it was made.
    pub checkpoint: Option<(u64, i64)>,
}

/// Looks for a row. It is told by [`find`].
pub fn row(_: &Context<'_>, manager: &Manager<'_>, [number]: [&str; 1]) -> Decided<Wanted> {
    let number: u64 = number.parse().ok().filter(|it| *it > 0).ok_or_else(|| none(number))?;
    let wanted = Wanted { vault: manager.vault.clone(), number };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(format!("row {number} of the audit")));
    Ok(steps.decide(move |_| wanted))
}

/// Finds the row. One of another vault and none are the same.
pub async fn find(app: App, wanted: Wanted) -> Result<Row, Refusal> {
    let Wanted { vault, number } = wanted;
    let known = archive::known(&app).await.map_err(|error| away(&error))?;
    let rows = app.records.after(number.saturating_sub(2), 2).await.map_err(|error| away(&error))?;
    let before = match number - 1 {
        seq if seq == known.base.seq => Some(known.base),
        seq => rows.iter().find(|it| it.seq == seq).map(|it| ChainHead { seq, hash: it.hash }),
    };
    let row = rows.into_iter().find(|it| it.seq == number);
    let told = row.as_ref().and_then(|row| Some((row, view::parse(row)?)));
    let told = told.filter(|(_, entry)| entry.vault.as_ref() == Some(&vault));
    let (row, entry) = told.ok_or_else(|| none(&number.to_string()))?;
    let key = app.keyring.audit();
    let fits = before.is_some_and(|it| chain::hash(key, &it.hash, row.seq, row.time, &row.entry) == row.hash);
    let entry = view::tell(row, entry);
    let checkpoint = app.checkpoints.get().and_then(|it| it.status().last);
    let checkpoint = checkpoint.filter(|it| it.epoch == known.installation.epoch).map(|it| (it.seq, it.time.0));
    let world = app.live.read();
    let state = &world.state;
    let secret = entry.secret_id.as_ref().and_then(|id| state.secrets.get(id)).filter(|it| it.vault == vault);
    let policy = secret.and_then(|it| state.policy_named(&it.project, it.policy.as_deref()?));
    Ok(Row {
        names: Names::of(state, &vault, std::slice::from_ref(&entry)),
        policy: policy.map(|it| (it.id.clone(), it.name.clone())),
        text: row.entry.clone(),
        hash: Digest(row.hash),
        previous: before.map(|it| Digest(it.hash)),
        fits,
        last: known.head.seq,
        checkpoint,
        entry,
    })
}

fn none(number: &str) -> Refusal {
    let number: String = number.chars().take(20).collect();
    not_found(format!(
        "the audit of this vault has no row {number} any more, or never had: rows of other vaults have numbers, too"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::RefusalKind;
    use crate::usecase::management::office::Office;

    #[test]
    fn a_row_is_named_by_its_number() {
        let mut office = Office::open();
        assert_eq!(office.ask(|it, manager| row(it, manager, ["7"])).unwrap().number, 7);
        for text in ["0", "-1", "", "x", "99999999999999999999999"] {
            let refusal = office.ask(|it, manager| row(it, manager, [text])).map(drop).unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::NotFound, "{text}");
        }
    }
}
