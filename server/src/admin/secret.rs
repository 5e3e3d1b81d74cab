//! `admin secret …`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::kubernetes::{self, Charset};
use sikkerkey_protocol::secret_text::{self, SecretText};
use zeroize::Zeroizing;

use super::execute::{Desk, through};
use super::table::table;
use super::{Answer, backup};
use crate::decision::Context;
use crate::live::World;
use crate::model::secret::SecretPhase;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::secret;

/// Secrets.
#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Makes a secret with its first value: one of a file, or a random one.
    Create {
        /// The project's id or name.
        #[arg(long)]
        project: String,
        /// What people and programs call it.
        #[arg(long)]
        name: String,
        /// The file with the value, taken as it is; `-` reads standard input.
        #[arg(long, value_name = "FILE", required_unless_present = "generate")]
        value_file: Option<PathBuf>,
        /// Makes a random value.
        #[arg(long, conflicts_with = "value_file")]
        generate: bool,
        /// The fields of a structured value, a JSON object whose values are all strings; left out: it is plain.
        #[arg(long, value_delimiter = ',', conflicts_with = "generate")]
        fields: Vec<String>,
        #[command(flatten)]
        generator: Generator,
    },
    /// Replaces a plain value by a new random one.
    Rotate {
        /// Its id.
        id: SecretId,
        #[command(flatten)]
        generator: Generator,
    },
    /// Puts a secret into the trash for 30 days. Nobody reads it there.
    Delete {
        /// Its id.
        id: SecretId,
    },
    /// Lets a secret be read again that is held since a backup was restored, because its reads are limited and those since
    /// the backup were not counted.
    Release {
        /// Its id.
        id: SecretId,
    },
    /// Sets a value as the next version.
    Set {
        /// Its id.
        id: SecretId,
        /// The file with the value, taken as it is; `-` reads standard input.
        #[arg(long, value_name = "FILE")]
        value_file: PathBuf,
        /// The fields of a structured value, a JSON object whose values are all strings; left out: those the secret has.
        #[arg(long, value_delimiter = ',')]
        fields: Option<Vec<String>>,
    },
    /// Lists secrets, without their values.
    List,
}

/// How a random value is made.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Generator {
    /// How many characters a random value has.
    #[arg(long, default_value_t = 32)]
    length: u32,
    /// Of which characters.
    #[arg(long, value_enum, default_value_t = Characters::Symbols)]
    charset: Characters,
}

/// A command, with the contents of the files it named.
#[derive(Debug, Serialize, Deserialize)]
pub enum SecretRequest {
    Create {
        project: String,
        name: String,
        content: SecretContent,
    },
    Set {
        id: SecretId,
        #[serde(serialize_with = "secret_text::serialize")]
        value: SecretText,
        fields: Option<Vec<String>>,
    },
    Rotate {
        id: SecretId,
        length: u32,
        charset: Characters,
    },
    Delete {
        id: SecretId,
    },
    Release {
        id: SecretId,
    },
    List,
}

/// Where a secret's first value comes from.
#[derive(Debug, Serialize, Deserialize)]
pub enum SecretContent {
    /// A file.
    Given {
        /// What is in it.
        #[serde(serialize_with = "secret_text::serialize")]
        value: SecretText,
        /// The names of its fields; none for a plain one.
        fields: Vec<String>,
    },
    /// Chance.
    Made {
        /// How many characters.
        length: u32,
        /// Which.
        charset: Characters,
    },
}

/// Of which characters a random value is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Characters {
    /// Letters, digits and signs that rarely break where a value is pasted.
    Symbols,
    /// Letters and digits.
    Alphanumeric,
    /// Digits.
    Numbers,
    /// A random UUID; the length does not matter.
    Uuid,
}

impl From<Characters> for Charset {
    fn from(it: Characters) -> Self {
        match it {
            Characters::Symbols => Self::Symbols,
            Characters::Alphanumeric => Self::Alphanumeric,
            Characters::Numbers => Self::Numeric,
            Characters::Uuid => Self::Uuid,
        }
    }
}

impl Secret {
    /// Reads the file that the command names.
    pub(super) fn into_request(self) -> anyhow::Result<SecretRequest> {
        Ok(match self {
            Self::Set { id, value_file, fields } => SecretRequest::Set { id, value: read_value(&value_file)?, fields },
            Self::Create { project, name, value_file, generate: _, fields, generator } => {
                let content = match value_file {
                    Some(file) => SecretContent::Given { value: read_value(&file)?, fields },
                    None => SecretContent::Made { length: generator.length, charset: generator.charset },
                };
                SecretRequest::Create { project, name, content }
            }
            Self::Rotate { id, generator } => {
                SecretRequest::Rotate { id, length: generator.length, charset: generator.charset }
            }
            Self::Delete { id } => SecretRequest::Delete { id },
            Self::Release { id } => SecretRequest::Release { id },
            Self::List => SecretRequest::List,
        })
    }
}

pub(super) async fn execute(desk: Desk<'_>, request: SecretRequest) -> Result<Answer, Refusal> {
    let at = |id: SecretId, version: u64| {
        Answer::new(json!({ "secretId": id, "version": version }), format!("{id} is at version {version}"))
    };
    Ok(match request {
        SecretRequest::Set { id, value, fields } => {
            let shown = id.clone();
            at(shown, through(desk, "secret set", move |it| secret::set(it, &id, value, fields)).await?)
        }
        SecretRequest::Create { project, name, content } => {
            let content = match content {
                SecretContent::Given { value, fields } => secret::Content::Given(value, fields),
                SecretContent::Made { length, charset } => {
                    secret::Content::Made(kubernetes::Generator { length, charset: charset.into() })
                }
            };
            let create = move |it: &Context<'_>| secret::create(it, &project, &name, content);
            let id = through(desk, "secret create", create).await?;
            Answer::new(json!({ "secretId": id, "version": 1 }), id.to_string())
        }
        SecretRequest::Rotate { id, length, charset } => {
            let (shown, generator) = (id.clone(), kubernetes::Generator { length, charset: charset.into() });
            at(shown, through(desk, "secret rotate", move |it| secret::rotate(it, &id, generator)).await?)
        }
        SecretRequest::Delete { id } => {
            let done = format!("{id} is in the trash for 30 days");
            through(desk, "secret delete", move |it| secret::delete(it, &id)).await?;
            Answer::done(done)
        }
        SecretRequest::Release { id } => backup::release(desk, id).await?,
        SecretRequest::List => list(&desk.app.live.read()),
    })
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let mut rows: Vec<[String; 6]> = state
        .secrets
        .values()
        .map(|it| {
            let project = state.projects.get(&it.project).map(|it| it.name.clone()).unwrap_or_default();
            let phase = match it.phase {
                SecretPhase::Active if it.held => "Held since a restore".to_owned(),
                SecretPhase::Active => "Active".to_owned(),
                SecretPhase::Retained => "Retained".to_owned(),
                SecretPhase::Trashed(since) => format!("In the trash since {}", instant(since)),
            };
            [it.id.to_string(), project, it.name.clone(), it.version.to_string(), it.field_names.join(","), phase]
        })
        .collect();
    rows.sort_by(|a, b| (&a[1], &a[2], &a[0]).cmp(&(&b[1], &b[2], &b[0])));
    let json = rows.iter().map(|[id, project, name, version, fields, phase]| {
        json!({ "secretId": id, "project": project, "name": name, "version": version.parse::<u64>().unwrap_or(0), "fields": fields, "phase": phase })
    });
    let headings = ["SECRET", "PROJECT", "NAME", "VERSION", "FIELDS", "PHASE"];
    Answer::new(json!({ "secrets": json.collect::<Vec<_>>() }), table(headings, &rows))
}

fn read_value(path: &Path) -> anyhow::Result<SecretText> {
    use std::io::Read as _;
    // One more than the server takes, so that a value that is too long is refused rather than cut.
    let longest = u64::try_from(crate::value::MAX_VALUE + 1).unwrap_or(u64::MAX);
    let mut text = Zeroizing::new(String::with_capacity(crate::value::MAX_VALUE + 1));
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(longest).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(longest).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read the value from {} as UTF-8 text", path.display()))?;
    Ok(text.into())
}
