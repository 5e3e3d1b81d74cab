//! Looking through the audit of a vault as a person does: by names, one page after the other.

use std::time::Duration;

use sikkerkey_protocol::id::{AgentId, MachineId, ProjectId, SecretId, VaultId};
use sikkerkey_protocol::management::{AuditPage, AuditQuery, ExportFormat, SortDir};

use super::names::Names;
use super::{WrittenFile, write_out};
use crate::app::App;
use crate::audit::entry::Actor;
use crate::decision::{Context, Decided, Decision};
use crate::refusal::Refusal;
use crate::state::State;
use crate::usecase::audit::{self, About, By, Search};
use crate::usecase::management::Manager;
use crate::usecase::steps::Steps;

/// A person's questions follow each other while they type: each waits for the one before it.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Rows that are looked through for one page, which a browser asks for again and again. The page says where to go on.
const LOOKED_AT: u64 = 50_000;
/// So many machines or secrets may have in their name what is looked for.
const MOST_NAMED: usize = 500;

/// Which rows are looked for, in a person's words: names, parts of names, or ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What the audit itself can be asked for.
    pub query: AuditQuery,
    /// By whom of a kind.
    pub by: Option<By>,
    /// By which person or agent.
    pub who: Option<String>,
    /// About or by which machine.
    pub machine: Option<String>,
    /// About which secret.
    pub secret: Option<String>,
    /// In which project.
    pub project: Option<String>,
}

/// What is to be looked for; or what a person has to say otherwise.
pub struct Wanted {
    vault: VaultId,
    search: Result<Search, String>,
    is_upwards: bool,
}

/// A page of rows.
pub struct Browsed {
    /// The rows, the newest first, and how far it was looked; or what has to be said otherwise.
    pub page: Result<AuditPage, String>,
    /// What those are called that the rows are about.
    pub names: Names,
}

/// Looks for a page of rows; `filter` may be what could not be understood. What is found is told by [`find`].
pub fn browse(context: &Context<'_>, manager: &Manager<'_>, filter: Result<Filter, String>) -> Decided<Wanted> {
    Ok(look(context, manager, filter, "the audit"))
}

/// Looks for rows for a file: how many there are is told by [`count`], and [`write`] writes them.
pub fn file(context: &Context<'_>, manager: &Manager<'_>, filter: Result<Filter, String>) -> Decided<Wanted> {
    Ok(look(context, manager, filter, "the audit, for a file"))
}

fn look(
    context: &Context<'_>,
    manager: &Manager<'_>,
    filter: Result<Filter, String>,
    what: &'static str,
) -> Decision<Wanted> {
    let is_upwards = filter.as_ref().is_ok_and(|it| it.query.after.is_some());
    let search = filter.and_then(|it| search(context.state, manager, it));
    let wanted = Wanted { vault: manager.vault.clone(), search, is_upwards };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(what.to_owned()));
    steps.decide(move |_| wanted)
}

/// Finds the page.
pub async fn find(app: App, wanted: Wanted) -> Result<Browsed, Refusal> {
    let search = match wanted.search {
        Ok(search) => search,
        Err(wrong) => return Ok(Browsed { page: Err(wrong), names: Names::default() }),
    };
    let mut page = audit::page_within(&app, &search, LOOKED_AT).await?;
    if wanted.is_upwards {
        page.entries.reverse();
    }
    let names = Names::of(&app.live.read().state, &wanted.vault, &page.entries);
    Ok(Browsed { page: Ok(page), names })
}

/// How many rows a file would hold, and from which to which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// How many.
    pub rows: usize,
    /// When the first and the last of them were written, the newest first.
    pub span: Option<(i64, i64)>,
    /// How far it was looked; without the rows.
    pub page: AuditPage,
}

/// Looks what a file would hold.
pub async fn count(app: App, wanted: Wanted) -> Result<Result<Contents, String>, Refusal> {
    let search = match wanted.search {
        Ok(search) => search,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let mut page = audit::export(&app, &search).await?;
    let entries = std::mem::take(&mut page.entries);
    let span = entries.first().zip(entries.last()).map(|(newest, oldest)| (newest.timestamp, oldest.timestamp));
    Ok(Ok(Contents { rows: entries.len(), span, page }))
}

/// Writes the file.
pub async fn write(app: App, (wanted, format): (Wanted, ExportFormat)) -> Result<WrittenFile, Refusal> {
    write_out(&app, &wanted.search.map_err(crate::refusal::invalid)?, format).await
}

fn search(state: &State, manager: &Manager<'_>, filter: Filter) -> Result<Search, String> {
    let Filter { mut query, by, who, machine, secret, project } = filter;
    if query.after.is_some() {
        query.sort_dir = Some(SortDir::Asc);
    }
    let who = who.map(|it| actors(state, manager.vault, &it)).transpose()?;
    let machines = machine.map(|it| machines(state, manager.vault, &it)).transpose()?;
    let secrets = secret.map(|it| secrets(state, manager.vault, &it)).transpose()?;
    let projects = match project {
        Some(text) => Some(projects(state, manager, &text)?),
        None => manager.projects.map(|it| it.iter().cloned().collect()),
    };
    let search = Search::new(&query, Some(manager.vault.clone()), projects).map_err(|it| it.message)?;
    let about = About { by, actors: who, machines, secrets };
    Ok(search.about(about).asked_by(manager.asker()).patient(PATIENCE))
}

fn actors(state: &State, vault: &VaultId, text: &str) -> Result<Vec<Actor>, String> {
    let people = state.accounts.values().filter(|it| has(&it.email, text) || it.id == text);
    // Of people who have nothing to do with this vault there are no rows here, and they are not told of.
    let people = people.filter(|it| state.role_in(vault, &it.id).is_some()).map(|it| Actor::Person(it.id.clone()));
    let agents = state.agents.values().filter(|it| it.vault == *vault && has(&it.name, text));
    let mut found: Vec<Actor> =
        people.chain(agents.map(|it| Actor::Agent(it.id.clone()))).take(MOST_NAMED + 1).collect();
    // Whoever is gone has rows still.
    found.extend(text.parse::<AgentId>().ok().map(Actor::Agent).filter(|it| !found.contains(it)));
    some(found, "person or agent", text, "an e-mail address, an agent's name or a part of one")
}

fn machines(state: &State, vault: &VaultId, text: &str) -> Result<Vec<MachineId>, String> {
    if let Ok(id) = text.parse() {
        return Ok(vec![id]);
    }
    let ours = state.machines.values().filter(|it| it.vault == *vault && has(&it.name, text));
    let found = ours.take(MOST_NAMED + 1).map(|it| it.id.clone()).collect();
    some(found, "machine", text, "a name, a part of one, or the id, by which also machines are found that are gone")
}

fn secrets(state: &State, vault: &VaultId, text: &str) -> Result<Vec<SecretId>, String> {
    if let Ok(id) = text.parse() {
        return Ok(vec![id]);
    }
    let ours = state.secrets.values().filter(|it| it.vault == *vault && has(&it.name, text));
    let found = ours.take(MOST_NAMED + 1).map(|it| it.id.clone()).collect();
    some(found, "secret", text, "a name, a part of one, or the id, by which also secrets are found that are gone")
}

fn projects(state: &State, manager: &Manager<'_>, text: &str) -> Result<Vec<ProjectId>, String> {
    let ours = state.projects.values().filter(|it| manager.sees(it));
    let mut found: Vec<_> =
        ours.filter(|it| has(&it.name, text)).take(MOST_NAMED + 1).map(|it| it.id.clone()).collect();
    let named = text.parse::<ProjectId>().ok().filter(|it| manager.projects.is_none_or(|all| all.contains(it)));
    found.extend(named.filter(|it| !found.contains(it)));
    some(found, "project", text, "a name, a part of one, or the id")
}

fn has(name: &str, text: &str) -> bool {
    name.to_lowercase().contains(&text.to_lowercase())
}

fn some<T>(found: Vec<T>, kind: &str, text: &str, give: &str) -> Result<Vec<T>, String> {
    let text: String = text.chars().take(64).collect();
    match found.len() {
        0 => Err(format!("no {kind} of this vault is called {text:?}: give {give}")),
        1..=MOST_NAMED => Ok(found),
        _ => Err(format!("more than {MOST_NAMED} are called something with {text:?}: give more of the name")),
    }
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::account::Role;

    use super::*;
    use crate::model::Entity;
    use crate::model::account::{Account, Standing};
    use crate::model::member::Member;
    use crate::model::millis::Millis;
    use crate::usecase::management::office::{Office, other_vault, vault};

    fn asked(office: &mut Office, filter: Filter) -> Result<(), String> {
        office.ask(|it, manager| browse(it, manager, Ok(filter))).unwrap().search.map(drop)
    }

    #[test]
    fn names_and_parts_of_names_are_those_of_this_vault_alone() {
        let mut office = Office::open();
        let ours = office.approved("web-1", 1);
        let more = office.approved("WEB-2", 2);
        let _theirs = office.host(&other_vault(), "web-3", 3);
        let state = &office.bench.state;
        let mut found = machines(state, &vault(), "web").unwrap();
        found.sort();
        let mut both = vec![ours.clone(), more.clone()];
        both.sort();
        assert_eq!(found, both);
        assert_eq!(machines(state, &vault(), "web-2").unwrap(), [more]);
        // Whoever is gone is found by the id.
        let gone = uuid::Uuid::nil().to_string();
        assert_eq!(machines(state, &vault(), &gone).unwrap(), [gone.parse().unwrap()]);
        assert_eq!(
            machines(state, &vault(), "web-3").unwrap_err(),
            "no machine of this vault is called \"web-3\": give a name, a part of one, or the id, by which also machines \
             are found that are gone"
        );
        assert_eq!(secrets(state, &vault(), "on").unwrap().len(), 2);
        assert!(secrets(state, &vault(), "three").unwrap_err().starts_with("no secret of this vault is called"));
    }

    #[test]
    fn people_are_those_with_a_role_here_and_agents_those_of_the_vault() {
        let mut office = Office::open();
        for (id, email) in [("a", "ada@example.com"), ("b", "ada@elsewhere.example.com")] {
            let account = Account { id: id.into(), email: email.into(), standing: Standing::Active };
            office.bench.put(Entity::Account(account));
        }
        office.bench.put(Entity::Member(Member {
            vault: vault(),
            account: "a".into(),
            role: Role::Auditor,
            since: Millis(0),
        }));
        let agent = office.agent.id.clone();
        let state = &office.bench.state;
        assert_eq!(actors(state, &vault(), "ADA@").unwrap(), [Actor::Person("a".into())]);
        assert_eq!(actors(state, &vault(), "assist").unwrap(), [Actor::Agent(agent.clone())]);
        assert_eq!(actors(state, &vault(), agent.as_str()).unwrap(), [Actor::Agent(agent)]);
        assert!(actors(state, &vault(), "elsewhere").unwrap_err().starts_with("no person or agent of this vault"));
    }

    #[test]
    fn what_cannot_be_looked_for_is_told_and_refuses_nothing() {
        let mut office = Office::open();
        assert_eq!(asked(&mut office, Filter::default()), Ok(()));
        let query = AuditQuery { from: Some(5), to: Some(5), ..AuditQuery::default() };
        let wrong = asked(&mut office, Filter { query, ..Filter::default() }).unwrap_err();
        assert_eq!(wrong, "from lies at or after to: nothing was written between them");
        let project = Some("nowhere".to_owned());
        let wrong = asked(&mut office, Filter { project, ..Filter::default() }).unwrap_err();
        assert!(wrong.starts_with("no project of this vault is called \"nowhere\""), "{wrong}");
        let wanted = office.ask(|it, manager| browse(it, manager, Err("not understood".into()))).unwrap();
        assert_eq!(wanted.search.map(drop).unwrap_err(), "not understood");
    }

    #[test]
    fn a_name_that_too_many_have_is_to_be_given_with_more_of_it() {
        let few = some(vec![0; MOST_NAMED], "machine", "w", "a name");
        assert_eq!(few.unwrap().len(), MOST_NAMED);
        let many = some(vec![0; MOST_NAMED + 1], "machine", "w", "a name").unwrap_err();
        assert_eq!(many, "more than 500 are called something with \"w\": give more of the name");
    }
}
