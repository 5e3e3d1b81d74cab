//! `admin secret …`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::kubernetes::{self, Charset};
use sikkerkey_protocol::management::ScheduleList;
use sikkerkey_protocol::secret_text::{self, SecretText};
use zeroize::Zeroizing;

use super::execute::{Desk, through};
use super::table::table;
use super::trash::{self, Trash};
use super::{Answer, backup};
use crate::decision::Context;
use crate::live::World;
use crate::model::millis::Millis;
use crate::model::secret::{self as model, SecretPhase};
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind};
use crate::store::StoreError;
use crate::usecase::admin::secret;
use crate::usecase::management::schedule;
use crate::usecase::management::secret as management;

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
        /// For people, never a value: at most 1000 characters.
        #[arg(long)]
        note: Option<String>,
    },
    /// Replaces a value, or some of its fields, by a new random one.
    Rotate {
        /// Its id.
        id: SecretId,
        #[command(flatten)]
        how: Making,
        /// Of a structured value: every field gets a new text.
        #[arg(long, conflicts_with = "fields")]
        all_fields: bool,
    },
    /// Lists the versions that are kept, without their values.
    Versions {
        /// Its id.
        id: SecretId,
    },
    /// Makes the value of an earlier version the next one.
    Rollback {
        /// Its id.
        id: SecretId,
        /// The number of that version.
        #[arg(long, value_name = "N")]
        version: u64,
    },
    /// Gives a secret another name. Grants are by id, and stay.
    Rename {
        /// Its id.
        id: SecretId,
        /// The new name.
        #[arg(long)]
        name: String,
    },
    /// Says something about a secret, for people. Never a value.
    Note {
        /// Its id.
        id: SecretId,
        /// At most 1000 characters; empty: says nothing any more.
        #[arg(long)]
        note: String,
    },
    /// When a secret gets a new random value by itself.
    #[command(subcommand)]
    Schedule(Schedule),
    /// Takes a secret out of the trash.
    Restore {
        /// Its id.
        id: SecretId,
    },
    /// Removes a secret of the trash for good, with its versions.
    Purge {
        /// Its id.
        id: SecretId,
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

/// When a secret gets a new random value by itself.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Schedule {
    /// Gives a secret a schedule, or changes it. A value that is older already is renewed after the first interval.
    Set {
        /// Its id.
        id: SecretId,
        /// How often, in seconds: from 300 to 2592000, which are 30 days.
        #[arg(long, value_name = "SECONDS")]
        every: u64,
        #[command(flatten)]
        how: Making,
    },
    /// Leaves the value as it is until the schedule is resumed.
    Pause {
        /// Its id.
        id: SecretId,
    },
    /// Goes on: the next value is made after one interval.
    Resume {
        /// Its id.
        id: SecretId,
    },
    /// Takes the schedule off a secret, which keeps its value.
    Remove {
        /// Its id.
        id: SecretId,
    },
    /// Lists the schedules.
    List,
}

/// How a random value is made anew.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub struct Making {
    /// How many characters it has; left out: as the secret's schedule says, or else 32.
    #[arg(long)]
    length: Option<u32>,
    /// Of which characters; left out: as the secret's schedule says, or else symbols.
    #[arg(long, value_enum)]
    charset: Option<Characters>,
    /// Of a structured value: a field that gets a new text, while the others keep theirs. May be given several times.
    #[arg(long = "field", value_name = "FIELD")]
    fields: Vec<String>,
}

impl From<Making> for secret::Rotate {
    fn from(it: Making) -> Self {
        Self { length: it.length, charset: it.charset.map(Into::into), fields: it.fields }
    }
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
        note: Option<String>,
    },
    Set {
        id: SecretId,
        #[serde(serialize_with = "secret_text::serialize")]
        value: SecretText,
        fields: Option<Vec<String>>,
    },
    Rotate {
        id: SecretId,
        how: Making,
        all_fields: bool,
    },
    Versions {
        id: SecretId,
    },
    Rollback {
        id: SecretId,
        version: u64,
    },
    Rename {
        id: SecretId,
        name: String,
    },
    Note {
        id: SecretId,
        note: String,
    },
    Schedule(Schedule),
    Delete {
        id: SecretId,
    },
    Release {
        id: SecretId,
    },
    Trash(Trash),
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
            Self::Create { project, name, value_file, generate: _, fields, generator, note } => {
                let content = match value_file {
                    Some(file) => SecretContent::Given { value: read_value(&file)?, fields },
                    None => SecretContent::Made { length: generator.length, charset: generator.charset },
                };
                SecretRequest::Create { project, name, content, note }
            }
            Self::Rotate { id, how, all_fields } => SecretRequest::Rotate { id, how, all_fields },
            Self::Versions { id } => SecretRequest::Versions { id },
            Self::Rollback { id, version } => SecretRequest::Rollback { id, version },
            Self::Rename { id, name } => SecretRequest::Rename { id, name },
            Self::Note { id, note } => SecretRequest::Note { id, note },
            Self::Schedule(it) => SecretRequest::Schedule(it),
            Self::Restore { id } => SecretRequest::Trash(Trash::Restore { id }),
            Self::Purge { id } => SecretRequest::Trash(Trash::Purge { id }),
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
        SecretRequest::Create { project, name, content, note } => {
            let content = match content {
                SecretContent::Given { value, fields } => secret::Content::Given(value, fields),
                SecretContent::Made { length, charset } => {
                    secret::Content::Made(kubernetes::Generator { length, charset: charset.into() })
                }
            };
            let create = move |it: &Context<'_>| secret::create_with(it, &project, &name, note, content);
            let id = through(desk, "secret create", create).await?;
            Answer::new(json!({ "secretId": id, "version": 1 }), id.to_string())
        }
        SecretRequest::Rotate { id, how, all_fields } => {
            let shown = id.clone();
            let rotate = move |it: &Context<'_>| secret::rotate(it, &id, how.into(), all_fields);
            at(shown, through(desk, "secret rotate", rotate).await?)
        }
        SecretRequest::Versions { id } => versions(desk, &id).await?,
        SecretRequest::Rollback { id, version } => {
            let stored = desk.app.records.version(&id, version).await.map_err(|it| unread(&it))?;
            let shown = id.clone();
            let roll_back = move |it: &Context<'_>| secret::roll_back(it, &id, version, stored.as_ref());
            at(shown, through(desk, "secret rollback", roll_back).await?)
        }
        SecretRequest::Rename { id, name } => {
            let done = format!("{id} is called {name}");
            through(desk, "secret rename", move |it| secret::rename(it, &id, name)).await?;
            Answer::done(done)
        }
        SecretRequest::Note { id, note } => {
            let done = format!("{id} {}", if note.trim().is_empty() { "has no note any more" } else { "has the note" });
            through(desk, "secret note", move |it| secret::annotate(it, &id, note)).await?;
            Answer::done(done)
        }
        SecretRequest::Schedule(it) => time(desk, it).await?,
        SecretRequest::Trash(it) => trash::execute(desk, it).await?,
        SecretRequest::Delete { id } => {
            let done = format!("{id} is in the trash for 30 days");
            through(desk, "secret delete", move |it| secret::delete(it, &id)).await?;
            Answer::done(done)
        }
        SecretRequest::Release { id } => backup::release(desk, id).await?,
        SecretRequest::List => list(&desk.app.live.read()),
    })
}

async fn time(desk: Desk<'_>, request: Schedule) -> Result<Answer, Refusal> {
    let (id, timing) = match request {
        Schedule::Set { id, every, how } => (id, secret::Timing::Set(every, how.into())),
        Schedule::Pause { id } => (id, secret::Timing::Enabled(false)),
        Schedule::Resume { id } => (id, secret::Timing::Enabled(true)),
        Schedule::Remove { id } => (id, secret::Timing::Remove),
        Schedule::List => return Ok(schedules(&desk.app.live.read())),
    };
    let shown = id.clone();
    through(desk, "secret schedule", move |it| secret::time(it, &id, timing)).await?;
    let world = desk.app.live.read();
    let timed = world.state.secrets.get(&shown);
    let view = timed.and_then(|it| it.schedule.as_ref().map(|schedule| schedule::view(it, schedule)));
    let Some(view) = view else { return Ok(Answer::done(format!("{shown} has no schedule any more"))) };
    let text = match view.next_rotation_at {
        Some(next) => format!("{shown} gets a new value every {} seconds, next {}", view.interval_seconds, when(next)),
        None => format!("{shown} keeps its value until its schedule is resumed"),
    };
    Ok(Answer::new(json!(view), text))
}

fn schedules(world: &World) -> Answer {
    let scheduled = world.state.secrets.values().filter(|it| it.phase == SecretPhase::Active);
    let mut views: Vec<_> =
        scheduled.filter_map(|it| it.schedule.as_ref().map(|schedule| schedule::view(it, schedule))).collect();
    views.sort_by(|a, b| (&a.project_id, &a.name).cmp(&(&b.project_id, &b.name)));
    let rows: Vec<[String; 6]> = views
        .iter()
        .map(|it| {
            [
                it.id.to_string(),
                it.project_id.to_string(),
                it.name.clone(),
                format!("{}s", it.interval_seconds),
                it.fields.clone().unwrap_or_default().join(","),
                it.next_rotation_at.map_or_else(|| "Paused".to_owned(), when),
            ]
        })
        .collect();
    let headings = ["SECRET", "PROJECT", "NAME", "EVERY", "FIELDS", "NEXT"];
    Answer::new(json!(ScheduleList { dynamic_secrets: views }), table(headings, &rows))
}

async fn versions(desk: Desk<'_>, id: &SecretId) -> Result<Answer, Refusal> {
    let kept = desk.app.records.kept(id).await.map_err(|it| unread(&it))?;
    let world = desk.app.live.read();
    let secret = world.state.secrets.get(id).ok_or_else(|| {
        Refusal::new(RefusalKind::NotFound, format!("there is no secret {id}: secret list shows them"))
    })?;
    let list = management::list_versions(&world.state, secret, &kept);
    let rows: Vec<[String; 5]> = list
        .versions
        .iter()
        .map(|it| {
            let origin = match (it.origin, it.value_of) {
                (Some(_), Some(number)) => format!("RolledBack to {number}"),
                (origin, _) => origin.map(|it| format!("{it:?}")).unwrap_or_default(),
            };
            let number = it.version.to_string();
            [
                if it.current { format!("{number} (current)") } else { number },
                when(it.created_at),
                origin,
                it.created_by.clone().unwrap_or_default(),
                it.field_names.clone().unwrap_or_default().join(","),
            ]
        })
        .collect();
    Ok(Answer::new(json!(list), table(["VERSION", "MADE", "ORIGIN", "BY", "FIELDS"], &rows)))
}

fn unread(error: &StoreError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "the versions of a secret cannot be read");
    Refusal::new(RefusalKind::Unavailable, "the server cannot read its database: see its log")
}

fn when(at: i64) -> String {
    instant(Millis(at))
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let project = |it: &model::Secret| state.projects.get(&it.project).map(|it| it.name.clone()).unwrap_or_default();
    let mut secrets: Vec<_> = state.secrets.values().map(|it| (project(it), it)).collect();
    secrets.sort_by(|a, b| (&a.0, &a.1.name, &a.1.id).cmp(&(&b.0, &b.1.name, &b.1.id)));
    let phase = |it: &model::Secret| match it.phase {
        SecretPhase::Active if it.held => "Held since a restore".to_owned(),
        SecretPhase::Active => "Active".to_owned(),
        SecretPhase::Retained => "Retained".to_owned(),
        SecretPhase::Trashed(since) => format!("In the trash since {}", instant(since)),
    };
    let row = |(project, it): &(String, &model::Secret)| {
        let fields = it.field_names.join(",");
        let note = it.note.as_deref().and_then(|it| it.lines().next()).unwrap_or_default().to_owned();
        [it.id.to_string(), project.clone(), it.name.clone(), it.version.to_string(), fields, phase(it), note]
    };
    let rows: Vec<_> = secrets.iter().map(row).collect();
    let listed = secrets.iter().map(|(project, it)| {
        let mut object = json!(management::view(state, it));
        // What was here before the management plane had words for it.
        if let Some(object) = object.as_object_mut() {
            let fields = it.field_names.join(",");
            let more = [
                ("secretId", it.id.to_string()),
                ("project", project.clone()),
                ("fields", fields),
                ("phase", phase(it)),
            ];
            object.extend(more.map(|(key, text)| (key.to_owned(), text.into())));
        }
        object
    });
    let headings = ["SECRET", "PROJECT", "NAME", "VERSION", "FIELDS", "PHASE", "NOTE"];
    Answer::new(json!({ "secrets": listed.collect::<Vec<_>>() }), table(headings, &rows))
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
