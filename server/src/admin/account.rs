//! `admin account …`

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::account::Sessions;
use sikkerkey_protocol::secret_text::{self, SecretText};
use zeroize::Zeroizing;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::live::World;
use crate::model::account::Standing;
use crate::model::millis::Millis;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::account::password::{LONGEST, Password};
use crate::usecase::admin::account;

/// Accounts: people, who own vaults and log in.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Makes an account that can log in. Its password is asked for, twice; or it comes from a file or standard input.
    Create {
        /// Its e-mail address.
        email: String,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Sets another password. Every session of the account ends.
    SetPassword {
        /// Its e-mail address.
        email: String,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Removes the second factor and the recovery codes of whoever has lost them. Every session of the account ends.
    ResetSecondFactor {
        /// Its e-mail address.
        email: String,
    },
    /// Lists the sessions of an account.
    Sessions {
        /// Its e-mail address.
        email: String,
    },
    /// Ends every session of an account, at once.
    EndSessions {
        /// Its e-mail address.
        email: String,
    },
    /// Refuses everything to the person and to the machines and agents of the account's vaults, for good.
    Ban {
        /// Its e-mail address.
        email: String,
    },
    /// Refuses everything to the person and to the machines and agents of the account's vaults, until its owner is known.
    Unverify {
        /// Its e-mail address.
        email: String,
    },
    /// Lists the accounts.
    List,
    /// Refuses everything to the person and to the machines and agents of the account's vaults, until it is activated.
    Suspend {
        /// Its e-mail address.
        email: String,
    },
    /// Ends a suspension or a ban, or says that the owner is known.
    Activate {
        /// Its e-mail address.
        email: String,
    },
}

/// Where a password comes from: never from the command line, which others on the host can see.
#[derive(Debug, clap::Args)]
pub struct PasswordFrom {
    /// The file with the password, whose last line break is not part of it; `-` reads standard input. Left out: it is asked
    /// for at the terminal, or read from standard input when that is none.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// A command, with the password that it asked for.
#[derive(Debug, Serialize, Deserialize)]
pub enum AccountRequest {
    Create {
        email: String,
        #[serde(serialize_with = "secret_text::serialize")]
        password: SecretText,
    },
    SetPassword {
        email: String,
        #[serde(serialize_with = "secret_text::serialize")]
        password: SecretText,
    },
    ResetSecondFactor {
        email: String,
    },
    Sessions {
        email: String,
    },
    EndSessions {
        email: String,
    },
    Standing {
        email: String,
        standing: Standing,
    },
    List,
}

impl Account {
    pub(super) fn into_request(self) -> anyhow::Result<AccountRequest> {
        let standing = |email, standing| AccountRequest::Standing { email, standing };
        Ok(match self {
            Self::Create { email, password } => AccountRequest::Create { password: password.read(&email)?, email },
            Self::SetPassword { email, password } => {
                AccountRequest::SetPassword { password: password.read(&email)?, email }
            }
            Self::ResetSecondFactor { email } => AccountRequest::ResetSecondFactor { email },
            Self::Sessions { email } => AccountRequest::Sessions { email },
            Self::EndSessions { email } => AccountRequest::EndSessions { email },
            Self::Ban { email } => standing(email, Standing::Banned),
            Self::Unverify { email } => standing(email, Standing::PendingVerification),
            Self::Suspend { email } => standing(email, Standing::Suspended),
            Self::Activate { email } => standing(email, Standing::Active),
            Self::List => AccountRequest::List,
        })
    }
}

impl PasswordFrom {
    fn read(self, email: &str) -> anyhow::Result<SecretText> {
        match self.password_file {
            Some(path) if path != Path::new("-") => {
                let file = std::fs::File::open(&path);
                let file = file.with_context(|| format!("cannot read the password from {}", path.display()))?;
                one_line(file).with_context(|| format!("cannot read the password from {}", path.display()))
            }
            None if std::io::stdin().is_terminal() => asked(email),
            _ => one_line(std::io::stdin().lock()).context("cannot read the password from standard input"),
        }
    }
}

/// Asks at the terminal, without showing what is typed.
fn asked(email: &str) -> anyhow::Result<SecretText> {
    let ask = |text: String| rpassword::prompt_password(text).map(Zeroizing::new).context("cannot ask at the terminal");
    let first = ask(format!("Password of {email}: "))?;
    let second = ask("The same again: ".to_owned())?;
    anyhow::ensure!(*first == *second, "the two are not the same: nothing was done");
    Ok(first.into())
}

/// A password from a file. A line break at its end was put there by an editor or `echo`.
fn one_line(from: impl std::io::Read) -> anyhow::Result<SecretText> {
    // More than the server takes, so that a password that is too long is refused rather than cut.
    let longest = 4 * LONGEST + 3;
    let mut text = Zeroizing::new(String::with_capacity(longest));
    from.take(u64::try_from(longest).unwrap_or(u64::MAX)).read_to_string(&mut text)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text.into())
}

pub(super) async fn execute(desk: Desk<'_>, command: AccountRequest) -> Result<Answer, Refusal> {
    Ok(match command {
        AccountRequest::Create { email, password } => {
            let hash = desk.app.passwords.hash(Password::new(&password, &email)?).await?;
            let done = format!("account {email} can log in: it has no second factor yet");
            let id = through(desk, "account create", move |it| account::create(it, &email, hash)).await?;
            Answer::new(json!({ "accountId": id }), done)
        }
        AccountRequest::SetPassword { email, password } => {
            let hash = desk.app.passwords.hash(Password::new(&password, &email)?).await?;
            let set = format!("account {email} has another password");
            let ended =
                through(desk, "account set-password", move |it| account::set_password(it, &email, hash)).await?;
            ended_with(&set, ended)
        }
        AccountRequest::ResetSecondFactor { email } => {
            let reset = format!("account {email} has no second factor: it logs in with its password alone");
            let decide = move |it: &crate::decision::Context<'_>| account::reset_second_factor(it, &email);
            ended_with(&reset, through(desk, "account reset-second-factor", decide).await?)
        }
        AccountRequest::EndSessions { email } => {
            let done = format!("account {email} is logged out everywhere");
            ended_with(&done, through(desk, "account end-sessions", move |it| account::end_sessions(it, &email)).await?)
        }
        AccountRequest::Sessions { email } => {
            sessions(&through(desk, "account sessions", move |it| account::sessions(it, &email)).await?)?
        }
        AccountRequest::Standing { email, standing } => {
            let done = format!("account {email}: {standing:?}");
            let decide = move |it: &crate::decision::Context<'_>| account::set_standing(it, &email, standing);
            ended_with(&done, through(desk, "account", decide).await?)
        }
        AccountRequest::List => list(&desk.app.live.read()),
    })
}

fn ended_with(done: &str, sessions_ended: usize) -> Answer {
    let text = if sessions_ended == 0 { done.to_owned() } else { format!("{done}; {sessions_ended} sessions ended") };
    Answer::new(json!({ "done": done, "sessionsEnded": sessions_ended }), text)
}

fn sessions(sessions: &Sessions) -> Result<Answer, Refusal> {
    let rows: Vec<[String; 7]> = sessions
        .sessions
        .iter()
        .map(|it| {
            [
                it.id.clone(),
                instant(Millis(it.since)),
                instant(Millis(it.last_used_at)),
                instant(Millis(it.ends_at)),
                it.address.clone(),
                if it.second_factor { "yes" } else { "no" }.to_owned(),
                it.user_agent.clone(),
            ]
        })
        .collect();
    let json = serde_json::to_value(sessions).map_err(|_| {
        Refusal::new(crate::refusal::RefusalKind::Unavailable, "the sessions cannot be written as JSON")
    })?;
    let headings = ["SESSION", "SINCE", "LAST-USED", "ENDS", "ADDRESS", "SECOND-FACTOR", "BROWSER"];
    Ok(Answer::new(json, table(headings, &rows)))
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let mut rows: Vec<[String; 5]> = state
        .accounts
        .values()
        .map(|it| {
            let vaults = state.vaults.values().filter(|vault| vault.account == it.id).count();
            let credential = state.credentials.get(&it.id);
            let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
            [
                it.email.clone(),
                format!("{:?}", it.standing),
                vaults.to_string(),
                yes(credential.is_some()),
                yes(credential.is_some_and(|it| it.second_factor.is_some())),
            ]
        })
        .collect();
    rows.sort();
    let json = rows.iter().map(|[email, standing, vaults, password, second_factor]| {
        json!({
            "email": email, "standing": standing, "vaults": vaults.parse::<u64>().unwrap_or(0),
            "canLogIn": password == "yes", "secondFactor": second_factor == "yes",
        })
    });
    let headings = ["ACCOUNT", "STANDING", "VAULTS", "CAN-LOG-IN", "SECOND-FACTOR"];
    Answer::new(json!({ "accounts": json.collect::<Vec<_>>() }), table(headings, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_a_password() {
        for (file, password) in
            [("s3cret words", "s3cret words"), ("a b\n", "a b"), ("a b\r\n", "a b"), ("a\n\n", "a\n"), ("", "")]
        {
            assert_eq!(one_line(file.as_bytes()).unwrap().expose(), password, "{file:?}");
        }
    }

    #[test]
    fn a_password_that_is_too_long_is_refused_rather_than_cut() {
        let read = one_line("x".repeat(1_000_000).as_bytes()).unwrap();
        let refused = Password::new(&read, "jane@example.com").unwrap_err();
        assert_eq!(refused.message, "the password is longer than 1024 bytes: choose a shorter one");
    }
}
