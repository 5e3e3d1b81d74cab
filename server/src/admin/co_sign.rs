//! `admin co-sign …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Answer;
use super::execute::Desk;
use super::table::table;
use crate::policy;
use crate::policy::window::instant;
use crate::usecase::co_sign;

/// Approvals that policies with a co-signer ask for.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum CoSign {
    /// Lists the reads that wait for approval, and those that are approved. Their co-signers answer with
    /// sikkerkey-sidecar cosign; an edit of the policy voids what was asked and answered.
    List,
}

pub(super) fn list(desk: Desk<'_>) -> Answer {
    let world = desk.app.live.read();
    let state = &world.state;
    let requests = co_sign::standing(state, desk.app.clock.now());
    let until = |it: &co_sign::InForce<'_>| it.request.answer.as_ref().map(|it| instant(it.until));
    let rows: Vec<[String; 8]> = requests
        .iter()
        .map(|it| {
            [
                it.request.id.clone(),
                co_sign::reader(state, &it.request.reader),
                policy::secret_label(it.secret),
                it.co_signer.label(),
                it.policy.name.clone(),
                it.request.asked_as.clone(),
                instant(it.request.asked_at),
                until(it).map_or_else(|| "waits".to_owned(), |until| format!("approved until {until}")),
            ]
        })
        .collect();
    let json =
        requests.iter().zip(&rows).map(|(it, [id, reader, secret, co_signer, policy, asked_by, asked_at, _])| {
            json!({
                "id": id, "reader": reader, "secret": secret, "coSigner": co_signer, "policy": policy,
                "askedBy": asked_by, "askedAt": asked_at, "approvedUntil": until(it),
            })
        });
    let headings = ["REQUEST", "READER", "SECRET", "CO-SIGNER", "POLICY", "ASKED BY", "SINCE", "STATE"];
    Answer::new(json!({ "requests": json.collect::<Vec<_>>() }), table(headings, &rows))
}
