//! The command line and the environment.
//!
//! The whole grammar is one word, so it is read by hand: a parser library would be a tenth of the program.

use std::ffi::OsString;
use std::path::PathBuf;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Be the sidecar.
    Run,
    /// Wait until the files are there.
    Wait,
    /// Say whether the files are there.
    Ready,
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// What the help prints.
pub const HELP: &str = "\
The SikkerKey sidecar: makes a key in memory, reads the pod's secrets with it and writes them as files.

Usage: sikkerkey-sidecar run|wait|ready

  run    be the sidecar, until SIGTERM
  wait   wait until the files are there, at most 45 seconds; exit 1 with the reason if they are not
  ready  exit 0 if the files are there, else 1 with the reason

Environment (set by the webhook):
  SIKKERKEY_ATTEST_URL  origin of the operator, https://HOST[:PORT]
  SIKKERKEY_CA          PEM certificates that vouch for it
  SIKKERKEY_MOUNT       the volume that takes the files [/run/secrets/sikkerkey]
  SIKKERKEY_TOKEN       the pod's token [/var/run/secrets/sikkerkey.com/token]
  SIKKERKEY_LOG         what to log: error, warn, info, debug or trace [info]
";

const DEFAULT_MOUNT: &str = "/run/secrets/sikkerkey";
const DEFAULT_TOKEN: &str = "/var/run/secrets/sikkerkey.com/token";

/// The command line or the environment is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No such command.
    #[error("{0:?} is no command: say run, wait or ready")]
    UnknownCommand(String),
    /// There is no command, or more than one word.
    #[error("give exactly one command: run, wait or ready")]
    NotOneCommand,
    /// A variable is not set.
    #[error("{0} is not set: it is set by the webhook that injects the sidecar")]
    NotSet(&'static str),
    /// A variable is not UTF-8.
    #[error("{0} is not UTF-8 text")]
    NotText(&'static str),
}

impl Command {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut arguments = arguments.into_iter();
        let (Some(word), None) = (arguments.next(), arguments.next()) else {
            return Err(UsageError::NotOneCommand);
        };
        match word.to_str() {
            Some("run") => Ok(Self::Run),
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

/// What `run` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        Ok(Self {
            attest_url: required("SIKKERKEY_ATTEST_URL")?,
            ca: required("SIKKERKEY_CA")?,
            mount: mount(&variable),
            token: variable("SIKKERKEY_TOKEN").map_or_else(|| DEFAULT_TOKEN.into(), Into::into),
            log: text("SIKKERKEY_LOG")?.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Command, UsageError> {
        Command::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn one_word_is_the_whole_grammar() {
        assert_eq!(parse(&["run"]), Ok(Command::Run));
        assert_eq!(parse(&["wait"]), Ok(Command::Wait));
        assert_eq!(parse(&["ready"]), Ok(Command::Ready));
        assert_eq!(parse(&[]), Err(UsageError::NotOneCommand));
        assert_eq!(parse(&["run", "--mount=/etc"]), Err(UsageError::NotOneCommand));
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
    }
}
