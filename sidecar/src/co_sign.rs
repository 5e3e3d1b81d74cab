//! What a second machine does: lists the reads that wait for its approval and answers them.
//!
//! A machine cannot be talked into approving anything else than its person saw: what is signed repeats, field by field,
//! what was shown, and the instant at which the answer ends is fixed before the question.

mod show;

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use sikkerkey_protocol::co_sign::{self, CoSignList, CoSignRequest, CoSignVerdict, Consent, Settled};
use sikkerkey_protocol::id::MachineId;

use crate::cli::{CoSign, CoSignAction, CoSignAnswer, Confirmation, Output};
use crate::client::{CallError, Client, TrustError};
use crate::clock::UnixMillis;
use crate::identity_file::{IdentityFile, IdentityFileError};

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing was listed or answered.
#[derive(Debug, thiserror::Error)]
pub enum CoSignError {
    /// Nobody is there to sign.
    #[error(transparent)]
    Identity(#[from] IdentityFileError),
    /// The certificates that were named are not there.
    #[error("cannot read --ca {path}")]
    ReadCa {
        /// Where they should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificates that were named vouch for nobody.
    #[error("cannot use --ca {path}")]
    Ca {
        /// Where they are.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
    /// There is nothing to trust the server by.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Nobody is there to be asked.
    #[error("there is no terminal to ask on: add --yes to answer without being asked")]
    NoTerminal,
    /// No such request.
    #[error("no request {request} waits for machine {machine}: cosign list shows those that do")]
    NotFound {
        /// How it was named.
        request: String,
        /// Who was asked.
        machine: String,
    },
    /// Several requests.
    #[error("{request} is how several ids begin: give more of it. They are {}", ids.join(", "))]
    Ambiguous {
        /// How it was named.
        request: String,
        /// Those that begin so.
        ids: Vec<String>,
    },
    /// A person did not say yes.
    #[error("not confirmed: nothing was answered")]
    NotConfirmed,
    /// The server did not let this machine list.
    #[error("cannot list what waits for machine {machine}")]
    List {
        /// Who asked.
        machine: String,
        /// Why.
        source: CallError,
    },
    /// The server did not take the answer.
    #[error("the answer was not taken")]
    Answer(#[source] CallError),
    /// The terminal is gone.
    #[error("cannot print or read the answer")]
    Terminal(#[from] io::Error),
}

impl CoSignError {
    /// Whether it is for whoever called the command to do it otherwise.
    pub fn is_wrong_use(&self) -> bool {
        match self {
            Self::Identity(_)
            | Self::ReadCa { .. }
            | Self::Ca { .. }
            | Self::Trust(_)
            | Self::NoTerminal
            | Self::Ambiguous { .. } => true,
            Self::NotFound { .. } | Self::NotConfirmed | Self::List { .. } | Self::Answer(_) | Self::Terminal(_) => {
                false
            }
        }
    }
}

/// Where to print, and whom to ask.
pub struct Terminal<'a> {
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// Questions and warnings.
    pub err: &'a mut dyn Write,
    /// Where answers are typed, if there is a terminal.
    pub input: Option<&'a mut dyn BufRead>,
}

/// Does what the command says, as the machine `approver`.
pub async fn co_sign(
    command: &CoSign,
    approver: &IdentityFile,
    client: &mut Client,
    terminal: &mut Terminal<'_>,
) -> Result<(), CoSignError> {
    match &command.action {
        CoSignAction::List => {
            let list = list(approver, client).await?;
            match command.output {
                Output::Json => show::json(terminal.out, &list)?,
                Output::Text if list.requests.is_empty() => {
                    writeln!(
                        terminal.out,
                        "No read waits for the approval of machine {}, and none is approved.",
                        named(approver)
                    )?;
                }
                Output::Text => terminal.out.write_all(show::table(&list.requests).as_bytes())?,
            }
            Ok(())
        }
        CoSignAction::Answer(answer) => {
            let settled = settle(answer, approver, client, terminal).await?;
            match command.output {
                Output::Json => show::json(terminal.out, &settled)?,
                Output::Text => writeln!(terminal.out, "{}", show::settled(&settled))?,
            }
            Ok(())
        }
    }
}

async fn list(approver: &IdentityFile, client: &mut Client) -> Result<CoSignList, CoSignError> {
    client
        .get_signed(approver.server(), co_sign::LIST, approver.signer(), PATIENCE)
        .await
        .map_err(|source| CoSignError::List { machine: named(approver), source })
}

async fn settle(
    answer: &CoSignAnswer,
    approver: &IdentityFile,
    client: &mut Client,
    terminal: &mut Terminal<'_>,
) -> Result<Settled, CoSignError> {
    if answer.confirmation == Confirmation::Ask && terminal.input.is_none() {
        return Err(CoSignError::NoTerminal);
    }
    let list = list(approver, client).await?;
    let request = find(&answer.request, &list.requests, approver)?;
    let consent = consent(request, approver.machine_id(), answer.lasting, client.server_time_reached());
    terminal.err.write_all(show::question(request, answer.verdict, consent.not_after).as_bytes())?;
    if answer.lasting.is_some_and(|it| it > Duration::from_secs(request.window_seconds)) {
        writeln!(terminal.err, "--for is longer than the policy's window: the answer ends with that.")?;
    }
    if answer.confirmation == Confirmation::Ask {
        confirm(answer.verdict, terminal)?;
    }
    let path = co_sign::path(&request.id, answer.verdict);
    client
        .post_signed(approver.server(), &path, &consent, approver.signer(), PATIENCE)
        .await
        .map_err(CoSignError::Answer)
}

/// The one request that `request` names. What was typed is hexadecimal digits and hyphens, so what is found begins so; the
/// rest of it must be the same before it becomes part of a path.
fn find<'a>(
    request: &str,
    requests: &'a [CoSignRequest],
    approver: &IdentityFile,
) -> Result<&'a CoSignRequest, CoSignError> {
    let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let found: Vec<_> = requests.iter().filter(|known| known.id.starts_with(request) && is_id(&known.id)).collect();
    match &*found {
        [] => Err(CoSignError::NotFound { request: request.to_owned(), machine: named(approver) }),
        [only] => Ok(only),
        several => Err(CoSignError::Ambiguous {
            request: request.to_owned(),
            ids: several.iter().map(|known| known.id.clone()).collect(),
        }),
    }
}

/// What is signed: the request as it was listed, and until when the answer stands, counted from `now`, an instant that the
/// server's clock has reached.
fn consent(request: &CoSignRequest, approver: &MachineId, lasting: Option<Duration>, now: UnixMillis) -> Consent {
    let window = Duration::from_secs(request.window_seconds);
    let millis = lasting.map_or(window, |lasting| lasting.min(window)).as_millis();
    Consent {
        request_id: request.id.clone(),
        vault_id: request.vault_id.clone(),
        approver_id: approver.clone(),
        reader_id: request.reader_id.clone(),
        secret_id: request.secret_id.clone(),
        policy_revision: request.policy_revision,
        not_after: now.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)),
    }
}

fn confirm(verdict: CoSignVerdict, terminal: &mut Terminal<'_>) -> Result<(), CoSignError> {
    let input = terminal.input.as_mut().ok_or(CoSignError::NoTerminal)?;
    write!(terminal.err, "{} it? [y/N] ", show::verb(verdict))?;
    terminal.err.flush()?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    if matches!(line.trim(), "y" | "Y" | "yes" | "Yes") { Ok(()) } else { Err(CoSignError::NotConfirmed) }
}

/// A machine, for a person.
fn named(approver: &IdentityFile) -> String {
    format!("{} ({})", approver.machine_name(), approver.machine_id())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(window_seconds: u64) -> CoSignRequest {
        CoSignRequest {
            id: "6f1c2b3a-0000-4000-8000-000000000001".to_owned(),
            vault_id: "vault_a".parse().unwrap(),
            approver_id: "00000000-0000-4000-8000-0000000000aa".parse().unwrap(),
            reader_id: "reader".to_owned(),
            reader: "Machine shop/web".to_owned(),
            asked_by: "web-0".to_owned(),
            asked_from: "10.0.0.7".to_owned(),
            asked_at: 0,
            secret_id: "sk_a".parse().unwrap(),
            secret: "shop/db".to_owned(),
            policy: "four-eyes".to_owned(),
            policy_revision: 7,
            window_seconds,
            approved_until: None,
        }
    }

    fn not_after(window: u64, lasting: Option<u64>, now: UnixMillis) -> UnixMillis {
        let approver = "00000000-0000-4000-8000-0000000000aa".parse().unwrap();
        consent(&request(window), &approver, lasting.map(Duration::from_secs), now).not_after
    }

    #[test]
    fn an_answer_stands_for_the_window_or_for_as_long_as_it_was_said_if_that_is_shorter() {
        for (window, lasting, ends) in [
            (3600, None, 3_601_000),
            (3600, Some(60), 61_000),
            (3600, Some(3600), 3_601_000),
            (3600, Some(7200), 3_601_000),
            (u64::MAX, Some(60), 61_000),
            (u64::MAX, None, i64::MAX),
        ] {
            assert_eq!(not_after(window, lasting, 1000), ends, "{window} {lasting:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_ever_stands_for_longer_than_the_window(window: u64, lasting: Option<u64>, now in 0i64..i64::MAX / 2) {
            let ends = not_after(window, lasting, now);
            let bound = i128::from(now) + i128::from(window) * 1000;
            prop_assert!(i128::from(ends) <= bound && ends >= now);
        }
    }
}
