//! `admin explain`: why a read is denied.

use std::net::IpAddr;

use clap::Args;
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::explain::{Explanation, RuleSays};

use super::Answer;
use super::execute::Desk;
use super::table::table;
use crate::model::millis::Millis;
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind};
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
    let change = it.changes_at.map_or_else(String::new, |changes| {
        format!("With nothing but time going by, that changes at {}.\n", instant(Millis(changes)))
    });
    let text = format!("{} {may} {} from {} at {at}.\n{change}", it.machine, it.secret, it.address);
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
