//! Everything about one secret, for its page: without its value. What stands in the database alone is looked for by
//! [`find`], beside the writer.

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::{ObjectKey, Recipe, Rotation};
use sikkerkey_protocol::management::{
    AuditEntry, AuditQuery, Binding, CanaryView, ScheduleView, Scope, SecretVersions, SecretView, VersionOrigin,
};

use super::{list_versions, looked, origin_of, view};
use crate::app::App;
use crate::audit::entry::Action;
use crate::audit::words;
use crate::decision::{Context, Decided};
use crate::model::machine::Grantee;
use crate::model::secret::Secret;
use crate::refusal::{Refusal, RefusalKind};
use crate::store::StoreError;
use crate::usecase::audit::{self, Search};
use crate::usecase::management::access::{Named, Note, project_named, standing, until};
use crate::usecase::management::{Manager, canary, policy, schedule};
use crate::usecase::rotation::Schedule;
use crate::usecase::steps::Steps;

/// The most readers and policies that a page shows.
const ROWS: usize = 50;
const POLICIES: usize = 200;
/// How many reads and denials.
const READS: u32 = 20;
/// Rows of the audit that are looked through for them: the page must be there at once.
const LOOKED_AT: u64 = 10_000;

/// Who says what the value is.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueFrom {
    /// Whoever may change secrets.
    Here,
    /// The server makes it as the object says.
    Recipe(Recipe),
    /// It stands sealed in the object.
    Sealed,
    /// The operator takes it over from a Kubernetes Secret.
    Taken,
    /// The object says that it comes from here.
    External,
}

/// The Kubernetes object that stands for a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its cluster.
    pub cluster: String,
    /// What it says of rotation.
    pub rotation: Option<Rotation>,
}

/// Somebody who is granted a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderRow {
    /// Who.
    pub who: Named,
    /// What is to be known of it.
    pub notes: Vec<Note>,
    /// How often it read.
    pub reads: u64,
    /// When it did last, in Unix milliseconds.
    pub last_read: Option<i64>,
    /// How often it was denied.
    pub denied: u64,
    /// When it was last, and why.
    pub last_denied: Option<(i64, &'static str)>,
}

/// Everything about one secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Dossier {
    /// What everybody is told.
    pub view: SecretView,
    /// Its project.
    pub project: Named,
    /// Whether every read in its project is refused.
    pub frozen: bool,
    /// Who says what the value is.
    pub value_from: ValueFrom,
    /// Where the present value came from.
    pub origin: Option<VersionOrigin>,
    /// The object that stands for it.
    pub object: Option<Object>,
    /// When the next value is due, whoever makes it, in Unix milliseconds.
    pub due: Option<i64>,
    /// Its schedule.
    pub schedule: Option<ScheduleView>,
    /// Which policy guards it.
    pub binding: Binding,
    /// The policies of its project, by name; none: they may not be told, or are too many.
    pub policies: Option<Vec<Named>>,
    /// What it does as a canary, where that may be told.
    pub canary: Option<CanaryView>,
    /// Who is granted it, by name; none: that may not be told.
    pub readers: Option<Vec<ReaderRow>>,
    /// How many there are.
    pub reader_count: usize,
    /// How often it was read by everybody together.
    pub reads: u64,
    /// How often it was denied.
    pub denied: u64,
    /// When it was read last, in Unix milliseconds.
    pub last_read: Option<i64>,
    /// The versions that are kept.
    pub versions: SecretVersions,
    /// The last reads and denials; none: that may not be told.
    pub activity: Option<Activity>,
}

/// The last reads and denials.
#[derive(Clone, Debug, PartialEq)]
pub enum Activity {
    /// These, the newest first, with the names of who asked; and back to which instant it was looked, unless that is the
    /// beginning.
    Found(Vec<(Option<String>, AuditEntry)>, Option<i64>),
    /// The audit could not be looked through now: why.
    Busy(String),
}

/// What is looked for beside the writer.
pub struct WantedDossier {
    secret: Secret,
    dossier: Dossier,
    search: Option<Search>,
}

/// Everything about one secret that stands in memory. [`find`] adds the rest.
pub fn dossier(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<WantedDossier> {
    let secret = manager.secret(context, id)?;
    let project = manager.project(context, secret.project.as_str())?;
    let state = context.state;
    let sees_policies = manager.require(Scope::PoliciesRead).is_ok();
    let search = manager.require(Scope::AuditRead).is_ok().then(|| search(manager, secret)).transpose()?;
    let readers = manager.require(Scope::MembersRead).is_ok().then(|| readers(context, secret));
    let policies = sees_policies.then(|| {
        let ours = state.policies.values().filter(|it| it.project == project.id && !it.withdrawn);
        let mut ours: Vec<_> = ours.map(|it| Named { name: it.name.clone(), id: it.id.clone() }).collect();
        ours.sort_unstable();
        ours
    });
    let usage = context.ledger.secret_usage(&secret.id).usage;
    let mut steps = Steps::default();
    steps.audit.push(looked(manager, secret, format!("secret {}", secret.name)));
    let dossier = Dossier {
        view: view(state, secret),
        project: project_named(project),
        frozen: project.frozen,
        value_from: value_from(secret),
        origin: secret.origin.as_ref().map(origin_of),
        object: secret.managed.as_ref().map(|it| Object {
            key: it.object.key.clone(),
            cluster: it.cluster.clone(),
            rotation: secret.rotation.clone(),
        }),
        due: Schedule::of(secret).next.map(|it| it.0),
        schedule: secret.schedule.as_ref().map(|it| schedule::view(secret, it)),
        binding: policy::bound(state, secret),
        policies: policies.filter(|it| it.len() <= POLICIES),
        canary: state.canaries.get(&secret.id).filter(|_| sees_policies).map(|it| canary::view(state, secret, it)),
        reader_count: readers.as_ref().map_or(0, Vec::len),
        readers: readers.map(|mut it| {
            it.truncate(ROWS);
            it
        }),
        reads: usage.reads,
        denied: usage.denied,
        last_read: usage.last_read,
        versions: list_versions(state, secret, &[]),
        activity: None,
    };
    let secret = secret.clone();
    Ok(steps.decide(move |_| WantedDossier { secret, dossier, search }))
}

/// What stands in the database.
pub async fn find(app: App, wanted: WantedDossier) -> Result<Dossier, Refusal> {
    let WantedDossier { secret, mut dossier, search } = wanted;
    let kept = app.records.kept(&secret.id).await.map_err(|it| unread(&it))?;
    if let Some(search) = search {
        dossier.activity = Some(activity(&app, &search).await?);
    }
    dossier.versions = list_versions(&app.live.read().state, &secret, &kept);
    Ok(dossier)
}

async fn activity(app: &App, search: &Search) -> Result<Activity, Refusal> {
    let page = match audit::page_within(app, search, LOOKED_AT).await {
        Ok(page) => page,
        // The page is good without: whoever opens two at once is not turned away.
        Err(refusal) if refusal.kind == RefusalKind::TooMany => return Ok(Activity::Busy(refusal.message)),
        Err(refusal) => return Err(refusal),
    };
    let world = app.live.read();
    let name = |it: &AuditEntry| Some(world.state.machines.get(it.machine_id.as_ref()?)?.name.clone());
    let looked_back_to = page.looked_back_to;
    let entries = page.entries.into_iter().map(|it| (name(&it), it)).collect();
    Ok(Activity::Found(entries, looked_back_to))
}

/// The version of a secret that is to be rolled back to, as it stands in the database.
pub async fn version(app: App, secret: String, number: u64) -> Result<Option<crate::model::version::Version>, Refusal> {
    let Ok(id) = secret.parse() else { return Ok(None) };
    app.records.version(&id, number).await.map_err(|it| unread(&it))
}

fn unread(error: &StoreError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "the versions of a secret cannot be read");
    Refusal::new(RefusalKind::Unavailable, "the server cannot read its database: try again")
}

fn search(manager: &Manager<'_>, secret: &Secret) -> Result<Search, Refusal> {
    let query = AuditQuery {
        actions: Some([Action::SecretRead, Action::SecretReadDenied].map(Action::name).to_vec()),
        search: Some(secret.id.to_string()),
        page_size: Some(READS),
        ..AuditQuery::default()
    };
    let projects = Some(vec![secret.project.clone()]);
    Ok(Search::new(&query, Some(secret.vault.clone()), projects)?.asked_by(manager.asker()))
}

/// Who is granted a secret now, by name.
fn readers(context: &Context<'_>, secret: &Secret) -> Vec<ReaderRow> {
    let state = context.state;
    let grantees = state.grantees_of(&secret.id).filter(|it| state.is_granted(it, &secret.id, context.now));
    let row = |grantee: &Grantee| {
        let (who, mut notes) = match grantee {
            Grantee::Machine(id) => {
                let machine = state.machines.get(id)?;
                let mut notes = standing(machine, context.now);
                if !state.may_be_granted(machine, &secret.project) {
                    notes.push(Note::NoMember);
                }
                (Named { name: machine.name.clone(), id: id.to_string() }, notes)
            }
            Grantee::Fleet(id) => {
                let fleet = state.fleets.get(id)?;
                let object = crate::usecase::machine::view::object(fleet);
                let who = Named { name: fleet.managed.object.key.to_string(), id: id.to_string() };
                (who, vec![Note::Object(object)])
            }
        };
        notes.extend(until(context, grantee, &secret.id).map(|it| Note::Until(it.0)));
        let usage = context.ledger.usage(grantee, &secret.id);
        let last_denied = usage.and_then(|it| it.last_denied.as_ref());
        Some(ReaderRow {
            who,
            notes,
            reads: usage.map_or(0, |it| it.reads),
            last_read: usage.and_then(|it| it.last_read),
            denied: usage.map_or(0, |it| it.denied),
            last_denied: last_denied.map(|it| (it.time, in_words(it.reason))),
        })
    };
    let mut rows: Vec<_> = grantees.filter_map(row).collect();
    rows.sort_unstable_by(|a, b| a.who.cmp(&b.who));
    rows
}

fn in_words(reason: DenialReason) -> &'static str {
    words::denial(reason)
}

fn value_from(secret: &Secret) -> ValueFrom {
    match (&secret.managed, &secret.recipe) {
        (None, _) => ValueFrom::Here,
        (Some(_), Some(recipe)) => ValueFrom::Recipe(recipe.clone()),
        (Some(_), None) if secret.sealing.is_some_and(|it| it.is_source) => ValueFrom::Sealed,
        (Some(_), None) if secret.taken_over => ValueFrom::Taken,
        (Some(_), None) => ValueFrom::External,
    }
}

/// What goes into the trash with a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Falling {
    /// The secret.
    pub secret: Named,
    /// Its project's name.
    pub project: String,
    /// Who reads it no longer, the first by name.
    pub readers: Vec<String>,
    /// How many these are.
    pub reader_count: usize,
    /// Whether it is a canary.
    pub canary: bool,
    /// When it would go for good, in Unix milliseconds.
    pub purged_at: i64,
}

/// What would go into the trash with a secret.
pub fn falling(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<Falling> {
    let secret = manager.secret(context, id)?;
    let project = manager.project(context, secret.project.as_str())?;
    super::require_for_canary(context, manager, secret)?;
    crate::usecase::managed::refuse_managed("Secret", secret.managed.as_ref())?;
    let readers = readers(context, secret);
    let answer = Falling {
        secret: Named { name: secret.name.clone(), id: secret.id.to_string() },
        project: project.name.clone(),
        reader_count: readers.len(),
        readers: readers.into_iter().take(ROWS).map(|it| it.who.name).collect(),
        canary: context.state.canaries.contains_key(&secret.id),
        purged_at: context.now.plus_seconds(crate::usecase::trash::TRASH_SECONDS).0,
    };

    let mut steps = Steps::default();
    steps.audit.push(looked(manager, secret, format!("what would fall with {}", secret.name)));
    Ok(steps.decide(move |_| answer))
}
