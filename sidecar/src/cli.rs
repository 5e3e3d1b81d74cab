//! The command line and the environment.
//!
//! The grammar is one word, and a few options for a second machine, so it is read by hand: a parser library would be a
//! tenth of the program.

mod co_sign;

use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use sikkerkey_traces::endpoint::Endpoint;
use sikkerkey_traces::sampler::Ratio;

pub use self::co_sign::{CO_SIGN_HELP, CoSign, CoSignAction, CoSignAnswer, Confirmation, Output};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Be the sidecar.
    Run,
    /// Write the files once.
    Init,
    /// Wait until the files are there.
    Wait,
    /// Say whether the files are there.
    Ready,
    /// Approve or deny what waits for this machine.
    CoSign(CoSign),
    /// Print the help.
    Help,
    /// Print the help of `cosign`.
    CoSignHelp,
    /// Print the version.
    Version,
}

/// What the help prints.
pub const HELP: &str = "\
The SikkerKey sidecar: makes a key in memory, reads the pod's secrets with it and writes them as files. On a host it
approves, as a second machine, reads that a policy with coSign holds back.

Usage: sikkerkey-sidecar run|init|wait|ready|cosign

  run    be the sidecar, until SIGTERM
  init   write the files once, give the identity up and end; exit 1 with the reason if a file cannot be had. It waits for
         a window, a cap, an approval, a release, a frozen project or a lockout as long as it takes, and for anything else
         at most 5 minutes
  wait   wait until the files are there, at most 45 seconds; exit 1 with the reason if they are not
  ready  exit 0 if the files are there, else 1 with the reason

  cosign list                    show the reads that wait for this machine's approval
  cosign approve ID, deny ID     answer one of them; see cosign --help

  --help, --version

Environment of run, init, wait and ready (set by the webhook):
  SIKKERKEY_MOUNT       the volume that takes the files [/run/secrets/sikkerkey]

Of run and init also:
  SIKKERKEY_ATTEST_URL  origin of the operator, https://HOST[:PORT]
  SIKKERKEY_CA          PEM certificates that vouch for it
  SIKKERKEY_TOKEN       the pod's token [/var/run/secrets/sikkerkey.com/token]
  SIKKERKEY_LOG         what to log: error, warn, info, debug or trace [info]
  SIKKERKEY_OTLP_ENDPOINT  an OpenTelemetry collector for traces, http(s)://HOST[:PORT] [none]
  SIKKERKEY_OTLP_CA     PEM certificates that vouch for it [the system's]
  SIKKERKEY_TRACE_RATIO how many of the traces that begin here are kept, 0 to 1 [1]
  SIKKERKEY_TRACEPARENT the span that the start of this pod belongs to

Of run alone:
  SIKKERKEY_STATUS      where to answer /status and /metrics, ADDRESS:PORT [nowhere]

Environment of cosign:
  SIKKERKEY_IDENTITY    the identity.json of the machine that signs
  SIKKERKEY_HOME        where identities are [~/.sikkerkey]
";

const DEFAULT_MOUNT: &str = "/run/secrets/sikkerkey";
const DEFAULT_TOKEN: &str = "/var/run/secrets/sikkerkey.com/token";

/// The command line or the environment is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No such command.
    #[error("{0:?} is no command: say run, init, wait, ready or cosign (--help says more)")]
    UnknownCommand(String),
    /// There is no command, or more than one word.
    #[error("give exactly one command: run, init, wait, ready or cosign (--help says more)")]
    NotOneCommand,
    /// `cosign` by itself.
    #[error("say cosign list, cosign approve ID or cosign deny ID (cosign --help says more)")]
    NoCoSign,
    /// No such command of `cosign`.
    #[error("cosign has no command {0:?}: say list, approve or deny")]
    UnknownCoSign(String),
    /// No such option.
    #[error("there is no option {0:?} here: cosign --help shows those there are")]
    UnknownOption(String),
    /// An option without its value.
    #[error("{0} needs a value")]
    NoValue(&'static str),
    /// A word too many.
    #[error("cosign list takes options alone, not {0:?}")]
    NothingMore(String),
    /// No request is named, or several.
    #[error("name exactly one request by its id: cosign list shows those that wait")]
    NotOneRequest,
    /// What is named is no request.
    #[error("{0:?} is no id of a request: give it as cosign list shows it, or at least its first 8 characters")]
    NotAnId(String),
    /// No such time.
    #[error("--for {0:?} is no time that an answer can stand: write 30m, 2h or 1h30m")]
    Duration(String),
    /// No such format.
    #[error("--output {0:?} is no format: say text or json")]
    Output(String),
    /// An argument is not UTF-8.
    #[error("an argument is not UTF-8 text")]
    ArgumentNotText,
    /// A variable is not set.
    #[error("{0} is not set: it is set by the webhook that injects the sidecar")]
    NotSet(&'static str),
    /// A variable is no address.
    #[error("SIKKERKEY_STATUS {0:?} is no address with a port, such as 127.0.0.1:9917")]
    Status(String),
    /// A variable about traces is wrong.
    #[error("{0}: {1}")]
    Traces(&'static str, String),
    /// A variable is not UTF-8.
    #[error("{0} is not UTF-8 text")]
    NotText(&'static str),
}

impl UsageError {
    /// Whether the command line is wrong, not the environment.
    pub fn is_of_command_line(&self) -> bool {
        !matches!(self, Self::NotSet(_) | Self::NotText(_) | Self::Status(_) | Self::Traces(..))
    }
}

impl Command {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut arguments = arguments.into_iter();
        let word = arguments.next().ok_or(UsageError::NotOneCommand)?;
        if word == "cosign" {
            return Ok(co_sign::parse(arguments)?.map_or(Self::CoSignHelp, Self::CoSign));
        }
        if arguments.next().is_some() {
            return Err(UsageError::NotOneCommand);
        }
        match word.to_str() {
            Some("run") => Ok(Self::Run),
            Some("init") => Ok(Self::Init),
            Some("wait") => Ok(Self::Wait),
            Some("ready") => Ok(Self::Ready),
            Some("help" | "--help" | "-h") => Ok(Self::Help),
            Some("--version" | "-V") => Ok(Self::Version),
            _ => Err(UsageError::UnknownCommand(word.to_string_lossy().into_owned())),
        }
    }
}

/// Where the volume is.
pub fn mount(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    variable("SIKKERKEY_MOUNT").map_or_else(|| DEFAULT_MOUNT.into(), Into::into)
}

/// What `run` and `init` need to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Origin of the operator.
    pub attest_url: String,
    /// PEM certificates that vouch for it.
    pub ca: String,
    /// The volume.
    pub mount: PathBuf,
    /// The pod's token.
    pub token: PathBuf,
    /// What to log.
    pub log: String,
    /// Where to answer how it stands; `init` answers nobody.
    pub status: Option<SocketAddr>,
    /// Where traces go.
    pub traces: Option<TraceSettings>,
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The collector.
    pub endpoint: Endpoint,
    /// PEM certificates that vouch for it; none: the system's.
    pub authority: Option<String>,
    /// How many of the traces that begin here are kept.
    pub ratio: Ratio,
    /// The span that the start of this pod belongs to, as a `traceparent`.
    pub parent: Option<String>,
    /// The pod's name.
    pub instance: String,
}

impl Settings {
    /// Reads the environment through `variable`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, UsageError> {
        let text = |name: &'static str| match variable(name).map(OsString::into_string) {
            Some(Ok(text)) if !text.is_empty() => Ok(Some(text)),
            Some(Err(_)) => Err(UsageError::NotText(name)),
            _ => Ok(None),
        };
        let required = |name| text(name)?.ok_or(UsageError::NotSet(name));
        let status = text("SIKKERKEY_STATUS")?;
        let status = status.map(|text| text.parse().map_err(|_| UsageError::Status(text))).transpose()?;
        Ok(Self {
            attest_url: required("SIKKERKEY_ATTEST_URL")?,
            ca: required("SIKKERKEY_CA")?,
            mount: mount(&variable),
            token: variable("SIKKERKEY_TOKEN").map_or_else(|| DEFAULT_TOKEN.into(), Into::into),
            log: text("SIKKERKEY_LOG")?.unwrap_or_else(|| "info".to_owned()),
            status,
            traces: traces(&text)?,
        })
    }
}

fn traces(
    text: &impl Fn(&'static str) -> Result<Option<String>, UsageError>,
) -> Result<Option<TraceSettings>, UsageError> {
    fn parsed<T: FromStr<Err: Display>>(name: &'static str, text: &str) -> Result<T, UsageError> {
        text.parse().map_err(|error: T::Err| UsageError::Traces(name, error.to_string()))
    }
    const ENDPOINT: &str = "SIKKERKEY_OTLP_ENDPOINT";
    const RATIO: &str = "SIKKERKEY_TRACE_RATIO";
    let Some(endpoint) = text(ENDPOINT)? else { return Ok(None) };
    Ok(Some(TraceSettings {
        endpoint: parsed(ENDPOINT, &endpoint)?,
        authority: text("SIKKERKEY_OTLP_CA")?,
        ratio: parsed(RATIO, text(RATIO)?.as_deref().unwrap_or("1"))?,
        parent: text("SIKKERKEY_TRACEPARENT")?,
        instance: text("HOSTNAME")?.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Command, UsageError> {
        Command::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn one_word_is_the_grammar_of_a_pod() {
        assert_eq!(parse(&["run"]), Ok(Command::Run));
        assert_eq!(parse(&["init"]), Ok(Command::Init));
        assert_eq!(parse(&["wait"]), Ok(Command::Wait));
        assert_eq!(parse(&["ready"]), Ok(Command::Ready));
        assert_eq!(parse(&[]), Err(UsageError::NotOneCommand));
        assert_eq!(parse(&["run", "--mount=/etc"]), Err(UsageError::NotOneCommand));
        assert_eq!(parse(&["cosign"]), Err(UsageError::NoCoSign));
        assert_eq!(parse(&["cosign", "--help"]), Ok(Command::CoSignHelp));
        assert_eq!(parse(&["start"]), Err(UsageError::UnknownCommand("start".to_owned())));
    }

    #[test]
    fn a_variable_that_is_missing_or_empty_is_named() {
        let only_url = |name: &str| (name == "SIKKERKEY_ATTEST_URL").then(|| OsString::from("https://operator"));
        assert_eq!(Settings::from_environment(only_url), Err(UsageError::NotSet("SIKKERKEY_CA")));
        assert_eq!(Settings::from_environment(|_| Some("".into())), Err(UsageError::NotSet("SIKKERKEY_ATTEST_URL")));
    }

    #[test]
    fn the_paths_have_defaults() {
        let settings = Settings::from_environment(|name| {
            matches!(name, "SIKKERKEY_ATTEST_URL" | "SIKKERKEY_CA").then(|| "x".into())
        })
        .unwrap();
        assert_eq!(settings.mount, PathBuf::from("/run/secrets/sikkerkey"));
        assert_eq!(settings.token, PathBuf::from("/var/run/secrets/sikkerkey.com/token"));
        assert_eq!(settings.log, "info");
        assert_eq!(settings.traces, None);
    }

    #[test]
    fn traces_go_where_the_environment_says_or_the_variable_that_is_wrong_is_named() {
        let settings = |endpoint: &'static str, ratio: &'static str| {
            Settings::from_environment(move |name| match name {
                "SIKKERKEY_ATTEST_URL" | "SIKKERKEY_CA" => Some("x".into()),
                "SIKKERKEY_OTLP_ENDPOINT" => Some(endpoint.into()),
                "SIKKERKEY_TRACE_RATIO" => Some(ratio.into()),
                _ => None,
            })
        };
        let traces = settings("http://collector:4318", "0.5").unwrap().traces.unwrap();
        assert_eq!(
            (traces.endpoint.to_string(), traces.ratio.to_string()),
            ("http://collector:4318".into(), "0.5".into())
        );
        let error = settings("collector", "").unwrap_err().to_string();
        assert!(error.starts_with("SIKKERKEY_OTLP_ENDPOINT: \"collector\" is no address of a collector"), "{error}");
        let error = settings("http://collector", "9").unwrap_err().to_string();
        assert!(error.starts_with("SIKKERKEY_TRACE_RATIO: \"9\" is no share"), "{error}");
    }
}
