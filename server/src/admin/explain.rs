//! `admin explain` and `admin co-sign`: why a read is denied, and who is awaited.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::explain::{Explanation, RuleSays};

use super::Answer;
use super::execute::Desk;
use super::table::table;
use crate::model::millis::Millis;
use crate::policy;
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::co_sign;
use crate::usecase::explain::{Question, explain};

/// Whether a machine may read a secret now, rule by rule.
#[derive(Debug, Args, Serialize, Deserialize)]
pub struct Explain {
    /// Who would read: id or name of a machine, id of a fleet, or namespace/name of a Machine object.
    #[arg(long)]
    machine: String,
    /// What: id or name of a secret, or namespace/name of a Secret object.
    #[arg(long)]
    secret: String,
    /// From where; left out: from where the machine was seen last.
    #[arg(long)]
    address: Option<IpAddr>,
}

/// Approvals that policies with a co-signer ask for.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum CoSign {
    /// Lists the reads that wait for approval. Their co-signers answer with sikkerkey-sidecar cosign.
    List,
}

pub(super) fn answer(desk: Desk<'_>, asked: &Explain) -> Result<Answer, Refusal> {
    let question = Question { machine: &asked.machine, secret: &asked.secret, address: asked.address, vault: None };
    let explanation = {
        let world = desk.app.live.read();
        explain(&world.state, &world.ledger, desk.app.clock.now(), &question)?
    };
    let text = text(&explanation);
    let json = serde_json::to_value(&explanation)
        .map_err(|error| Refusal::new(RefusalKind::Unavailable, error.to_string()))?;
    Ok(Answer::new(json, text))
}

fn text(it: &Explanation) -> String {
    let may = if it.allowed { "may read" } else { "may not read" };
    let at = instant(Millis(it.at));
    let mut text = format!("{} {may} {} from {} at {at}.\n", it.machine, it.secret, it.address);
    if let Some(changes) = it.changes_at {
        text.push_str(&format!("Time alone may change that at {}.\n", instant(Millis(changes))));
    }
    let rows: Vec<[String; 3]> = it
        .rules
        .iter()
        .map(|rule| {
            let says = match rule.says {
                RuleSays::Allows => "allows",
                RuleSays::Denies => "DENIES",
                RuleSays::Off => "-",
            };
            [rule.rule.as_str().to_owned(), says.to_owned(), rule.message.clone()]
        })
        .collect();
    text + "\n" + &table(["RULE", "SAYS", "BECAUSE"], &rows)
}

pub(super) fn waiting(desk: Desk<'_>) -> Answer {
    let world = desk.app.live.read();
    let state = &world.state;
    let waiting = co_sign::waiting(state, desk.app.clock.now());
    let rows: Vec<[String; 7]> = waiting
        .iter()
        .map(|it| {
            [
                it.request.id.clone(),
                co_sign::reader(state, &it.request.reader),
                policy::name(it.secret),
                it.co_signer.label(),
                it.policy.name.clone(),
                it.request.asked_as.clone(),
                instant(it.request.asked_at),
            ]
        })
        .collect();
    let json = rows.iter().map(|[id, reader, secret, co_signer, policy, asked_by, asked_at]| {
        json!({
            "id": id, "reader": reader, "secret": secret, "coSigner": co_signer, "policy": policy, "askedBy": asked_by,
            "askedAt": asked_at,
        })
    });
    let headings = ["REQUEST", "READER", "SECRET", "WAITS FOR", "POLICY", "ASKED BY", "SINCE"];
    Answer::new(json!({ "requests": json.collect::<Vec<_>>() }), table(headings, &rows))
}
