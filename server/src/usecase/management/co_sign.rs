//! Reads that wait for a second machine, and the answers that stand. Who looks cannot answer: an answer is a signature by
//! the key of the machine that the policy names.

use std::net::IpAddr;

use sikkerkey_protocol::co_sign::CoSignVerdict;
use sikkerkey_protocol::id::{MachineId, SecretId};

use super::Manager;
use crate::decision::{Context, Decided};
use crate::model::co_sign::CoSignRequest;
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::policy::{CoSigner, secret_label};
use crate::state::State;
use crate::usecase::co_sign::{InForce, forgotten_at, in_vault, reader};
use crate::usecase::steps::Steps;

/// Rows of a page.
pub const PAGE: usize = 50;

/// A page of requests.
#[derive(Debug)]
pub struct Requests {
    /// The requests, those first that wait, the oldest of them first.
    pub rows: Vec<Row>,
    /// Which page it is.
    pub page: usize,
    /// How many are found.
    pub total: usize,
    /// How many there are.
    pub all: usize,
    /// How many wait.
    pub waiting: usize,
}

/// A request that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id: what the co-signer answers.
    pub id: String,
    /// Who is to read.
    pub reader: Grantee,
    /// What that is called.
    pub reader_label: String,
    /// Which of the reader's machines asked.
    pub asked_as: String,
    /// From where.
    pub asked_from: IpAddr,
    /// When.
    pub asked_at: Millis,
    /// What is to be read.
    pub secret: SecretId,
    /// What that is called.
    pub secret_label: String,
    /// The policy, by id.
    pub policy: String,
    /// Its name.
    pub policy_name: String,
    /// Its revision.
    pub revision: u64,
    /// Who has to approve.
    pub co_signer: String,
    /// Whether any machine of that may: it is a `Machine` object.
    pub is_fleet: bool,
    /// How long an approval is good, in seconds.
    pub window_seconds: u64,
    /// How it stands.
    pub state: Standing,
}

/// How a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits; nobody answers it until then, it is forgotten.
    Waits(Millis),
    /// It is approved, by this machine, until then.
    Approved(String, Millis),
    /// It is refused, by this machine, until then.
    Refused(String, Millis),
}

/// The requests of a vault that are in force. `text` is looked for in reader, secret, policy and co-signer.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], (text, page): (String, usize)) -> Decided<Requests> {
    let (vault, sight) = (manager.vault.clone(), manager.sight());
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the requests for co-signatures".to_owned()));
    Ok(steps.decide(move |context| {
        let in_force = in_vault(context.state, &vault, context.now);
        let seen: Vec<&InForce<'_>> = in_force.iter().filter(|it| sight.sees(&it.secret.project)).collect();
        let waiting = seen.iter().filter(|it| it.request.answer.is_none()).count();
        let all = seen.len();
        let text = text.trim().to_lowercase();
        let mut rows: Vec<Row> =
            seen.into_iter().map(|it| row(context.state, it)).filter(|it| has(it, &text)).collect();
        rows.sort_by_key(|it| !matches!(it.state, Standing::Waits(_)));
        let total = rows.len();
        let page = page.clamp(1, total.div_ceil(PAGE).max(1));
        let rows = rows.into_iter().skip((page - 1) * PAGE).take(PAGE).collect();
        Requests { rows, page, total, all, waiting }
    }))
}

fn has(row: &Row, text: &str) -> bool {
    let fields = [&row.reader_label, &row.asked_as, &row.secret_label, &row.policy_name, &row.co_signer, &row.id];
    text.is_empty() || fields.iter().any(|it| it.to_lowercase().contains(text))
}

fn row(state: &State, it: &InForce<'_>) -> Row {
    let request = it.request;
    Row {
        id: request.id.clone(),
        reader: request.reader.clone(),
        reader_label: reader(state, &request.reader),
        asked_as: request.asked_as.clone(),
        asked_from: request.asked_from.to_canonical(),
        asked_at: request.asked_at,
        secret: it.secret.id.clone(),
        secret_label: secret_label(it.secret),
        policy: it.policy.id.clone(),
        policy_name: it.policy.name.clone(),
        revision: it.policy.revision,
        co_signer: it.co_signer.label(),
        is_fleet: matches!(it.co_signer, CoSigner::Fleet(_)),
        window_seconds: it.terms.window_seconds,
        state: standing(state, request),
    }
}

fn standing(state: &State, request: &CoSignRequest) -> Standing {
    let name = |id: &MachineId| state.machines.get(id).map_or_else(|| format!("machine {id}"), |it| it.name.clone());
    match &request.answer {
        None => Standing::Waits(forgotten_at(request)),
        Some(answer) => match answer.verdict {
            CoSignVerdict::Approved => Standing::Approved(name(&answer.by), answer.until),
            CoSignVerdict::Denied => Standing::Refused(name(&answer.by), answer.until),
        },
    }
}
