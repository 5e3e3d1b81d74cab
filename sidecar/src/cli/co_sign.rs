//! The words after `cosign`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use sikkerkey_protocol::co_sign::CoSignVerdict;

use super::UsageError;

/// The fewest characters that name a request.
const MIN_ID: usize = 8;

/// What `cosign --help` prints.
pub const CO_SIGN_HELP: &str = "\
Approves or denies reads that a policy with coSign holds back, as the second machine that the policy names.

Usage: sikkerkey-sidecar cosign list [OPTIONS]
       sikkerkey-sidecar cosign approve ID [--for DURATION] [--yes] [OPTIONS]
       sikkerkey-sidecar cosign deny ID [--for DURATION] [--yes] [OPTIONS]

  list     show the reads that wait for this machine, the oldest first
  approve  let the reader read that secret, until the answer ends
  deny     refuse it, until the answer ends; then it may be asked for again

ID is a request's id as list shows it, or its first 8 characters or more. What is answered is shown first and asked for
on the terminal.

  --for DURATION   how long the answer stands: 30m, 2h, 1h30m; at most, and by default, the policy's window
  --yes            do not ask: needed where there is no terminal
  --identity WHICH the identity that signs: the path of an identity.json, or a vault id
                   [SIKKERKEY_IDENTITY, else the only one in SIKKERKEY_HOME/vaults or ~/.sikkerkey/vaults]
  --ca FILE        PEM certificates that vouch for the server, and no others
                   [SSL_CERT_FILE, SSL_CERT_DIR, else the system's]
  --output FORMAT  text or json [text]

Exit code: 0 it is done; 1 it is not: refused, not found, or the server was not reached; 2 wrong use, or no identity.
";

/// What to do as the second machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoSign {
    /// List or answer.
    pub action: CoSignAction,
    /// Who signs; none: as the environment says it.
    pub identity: Option<String>,
    /// The file of certificates that vouch for the server.
    pub ca: Option<PathBuf>,
    /// How to print.
    pub output: Output,
}

/// What a second machine can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoSignAction {
    /// Show what waits.
    List,
    /// Answer one request.
    Answer(CoSignAnswer),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoSignAnswer {
    /// Yes or no.
    pub verdict: CoSignVerdict,
    /// A request's id or how it begins, in lower case.
    pub request: String,
    /// How long the answer stands; none: as long as the policy's window.
    pub lasting: Option<Duration>,
    /// Whether nobody is asked.
    pub confirmation: Confirmation,
}

/// Who confirms an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// A person on the terminal.
    Ask,
    /// The command line did.
    Given,
}

/// For whom to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

/// Reads the arguments after `cosign`; none when they ask for help.
pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<CoSign>, UsageError> {
    let mut words = arguments.map(|word| word.into_string().map_err(|_| UsageError::ArgumentNotText));
    let verdict = match words.next().transpose()?.as_deref() {
        None => return Err(UsageError::NoCoSign),
        Some("help" | "--help" | "-h") => return Ok(None),
        Some("list") => None,
        Some("approve") => Some(CoSignVerdict::Approved),
        Some("deny") => Some(CoSignVerdict::Denied),
        Some(other) => return Err(UsageError::UnknownCoSign(other.to_owned())),
    };
    let mut parsed = CoSign { action: CoSignAction::List, identity: None, ca: None, output: Output::Text };
    let (mut request, mut lasting, mut confirmation) = (None, None, Confirmation::Ask);
    while let Some(word) = words.next().transpose()? {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let mut value = |option: &'static str| match attached.clone() {
            Some(value) => Ok(value),
            None => words.next().transpose()?.ok_or(UsageError::NoValue(option)),
        };
        match (name, verdict) {
            ("--help" | "-h", _) => return Ok(None),
            ("--identity", _) => parsed.identity = Some(value("--identity")?),
            ("--ca", _) => parsed.ca = Some(value("--ca")?.into()),
            ("--output", _) => parsed.output = output(&value("--output")?)?,
            ("--for", Some(_)) => lasting = Some(duration(&value("--for")?)?),
            ("--yes", Some(_)) if attached.is_none() => confirmation = Confirmation::Given,
            _ if word.starts_with('-') => return Err(UsageError::UnknownOption(word)),
            (_, Some(_)) if request.is_none() => request = Some(word),
            (_, Some(_)) => return Err(UsageError::NotOneRequest),
            (_, None) => return Err(UsageError::NothingMore(word)),
        }
    }
    if let Some(verdict) = verdict {
        let request = request.ok_or(UsageError::NotOneRequest)?.to_ascii_lowercase();
        let is_id = request.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !is_id || request.len() < MIN_ID {
            return Err(UsageError::NotAnId(request));
        }
        parsed.action = CoSignAction::Answer(CoSignAnswer { verdict, request, lasting, confirmation });
    }
    Ok(Some(parsed))
}

fn output(text: &str) -> Result<Output, UsageError> {
    match text {
        "text" => Ok(Output::Text),
        "json" => Ok(Output::Json),
        _ => Err(UsageError::Output(text.to_owned())),
    }
}

/// Whole seconds, at least one: what is shorter has ended before it is signed.
fn duration(text: &str) -> Result<Duration, UsageError> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    let seconds = parsed.map(|duration| duration.as_secs()).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(|| UsageError::Duration(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Option<CoSign>, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn answer(line: &str) -> CoSignAnswer {
        match words(line).unwrap().unwrap().action {
            CoSignAction::Answer(answer) => answer,
            CoSignAction::List => panic!("{line}"),
        }
    }

    #[test]
    fn a_list_takes_an_identity_certificates_and_a_format() {
        let plain = CoSign { action: CoSignAction::List, identity: None, ca: None, output: Output::Text };
        assert_eq!(words("list"), Ok(Some(plain.clone())));
        let full =
            CoSign { identity: Some("vault_a".to_owned()), ca: Some("/ca.pem".into()), output: Output::Json, ..plain };
        assert_eq!(words("list --identity vault_a --ca /ca.pem --output json"), Ok(Some(full.clone())));
        assert_eq!(words("list --output=json --ca=/ca.pem --identity=vault_a"), Ok(Some(full)));
    }

    #[test]
    fn an_answer_names_one_request_how_long_it_stands_and_who_confirms_it() {
        let id = "6F1C2B3A-0000-4000-8000-000000000001";
        assert_eq!(
            answer(&format!("approve {id}")),
            CoSignAnswer {
                verdict: CoSignVerdict::Approved,
                request: id.to_ascii_lowercase(),
                lasting: None,
                confirmation: Confirmation::Ask,
            }
        );
        assert_eq!(
            answer("deny --yes --for 1h30m 6f1c2b3a"),
            CoSignAnswer {
                verdict: CoSignVerdict::Denied,
                request: "6f1c2b3a".to_owned(),
                lasting: Some(Duration::from_mins(90)),
                confirmation: Confirmation::Given,
            }
        );
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("2h", 7200), ("PT1M", 60), ("1500ms", 1)] {
            assert_eq!(answer(&format!("deny 6f1c2b3a --for={text}")).lasting, Some(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn help_is_help_wherever_it_stands() {
        for line in ["help", "--help", "-h", "list --help", "approve -h", "approve 6f1c2b3a --yes --help"] {
            assert_eq!(words(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn a_wrong_line_is_refused_with_what_would_be_right() {
        use UsageError as E;
        let text = |text: &str| text.to_owned();
        for (line, error) in [
            ("", E::NoCoSign),
            ("show", E::UnknownCoSign(text("show"))),
            ("list 6f1c2b3a", E::NothingMore(text("6f1c2b3a"))),
            ("list --yes", E::UnknownOption(text("--yes"))),
            ("list --for 1h", E::UnknownOption(text("--for"))),
            ("list --force", E::UnknownOption(text("--force"))),
            ("list --output yaml", E::Output(text("yaml"))),
            ("list --identity", E::NoValue("--identity")),
            ("list --ca", E::NoValue("--ca")),
            ("approve", E::NotOneRequest),
            ("approve --yes", E::NotOneRequest),
            ("approve 6f1c2b3a 7f1c2b3a", E::NotOneRequest),
            ("approve 6f1c2b3", E::NotAnId(text("6f1c2b3"))),
            ("approve shop/web-db", E::NotAnId(text("shop/web-db"))),
            ("approve 6f1c2b3a --yes=no", E::UnknownOption(text("--yes=no"))),
            ("approve 6f1c2b3a --for", E::NoValue("--for")),
            ("approve 6f1c2b3a --for soon", E::Duration(text("soon"))),
            ("approve 6f1c2b3a --for 30", E::Duration(text("30"))),
            ("approve 6f1c2b3a --for 0s", E::Duration(text("0s"))),
            ("approve 6f1c2b3a --for=-1h", E::Duration(text("-1h"))),
        ] {
            assert_eq!(words(line), Err(error), "{line}");
        }
    }

    #[test]
    fn every_option_that_is_read_stands_in_the_help() {
        for word in ["--for", "--yes", "--identity", "--ca", "--output", "list", "approve", "deny"] {
            assert!(CO_SIGN_HELP.contains(word), "{word}");
        }
    }
}
