use std::collections::BTreeSet;

use sikkerkey_protocol::id::AgentId;
use sikkerkey_protocol::management::Scope;

use super::*;
use crate::audit::entry::Action;
use crate::model::Entity;
use crate::usecase::admin;
use crate::usecase::admin::agent::Said;
use crate::usecase::agent_register::{RegisterAgent, register};
use crate::usecase::authenticate;
use crate::usecase::fixture::*;
use crate::usecase::management::office::*;

impl Office {
    /// An agent that registered with a token of these rights and waits.
    fn newcomer(&mut self, name: Option<&str>, says: Option<&str>, n: u8, said: &Said) -> Result<AgentId, Refusal> {
        let name = name.map(str::to_owned);
        let (token, _) = self.bench.run(|it| admin::agent::token_with(it, &vault(), name, None, said)).unwrap();
        let request = RegisterAgent { token, public_key: key(n).public_key(), name: says.map(str::to_owned) };
        Ok(self.bench.run(|it| register(it, source(), request))?.agent_id)
    }

    fn said(&self, scopes: &[Scope]) -> Said {
        Said { scopes: scopes.to_vec(), projects: vec![self.shop.to_string()] }
    }

    fn let_in(&mut self, id: &AgentId) -> Result<AgentView, Refusal> {
        self.ask(|it, manager| approve(it, manager, [id.as_str()], ApproveAgent::default()))
    }
}

#[test]
fn who_asks_is_told_what_it_may_do() {
    let mut office = Office::open();
    let (shop, id) = (office.shop.clone(), office.agent.id.clone());
    office.sees(&[&shop]);
    let own = office.ask(|it, manager| whoami(it, manager, [])).unwrap().agent;
    assert_eq!((own.id, own.name.as_str(), own.approval, own.enabled), (id, "assistant", Approval::Approved, true));
    assert_eq!((own.scopes.len(), own.project_ids), (Scope::ALL.len(), Some(vec![shop])));
}

#[test]
fn an_agent_may_do_nothing_but_what_a_person_says() {
    let mut office = Office::open();
    let id = office.newcomer(Some("ci"), Some("another"), 1, &Said::default()).unwrap();
    let agent = office.bench.state.agents[&id].clone();
    assert_eq!(
        (agent.name.as_str(), agent.scopes.as_ref(), agent.projects.as_ref()),
        ("ci", Some(&BTreeSet::new()), None)
    );
    let text = "this needs the scope machines.read: a person gives it with sikkerkey-server admin agent";
    let admitted = Manager::admit(&agent, source(), Some(Scope::MachinesRead)).map(drop);
    refused(admitted, RefusalKind::Forbidden, None, text);
    Manager::admit(&agent, source(), None).unwrap();

    let said = office.said(&[Scope::MachinesRead]);
    let view = office.bench.run(|it| admin::agent::set_rights(it, &id, &said)).unwrap();
    assert_eq!((view.scopes, view.project_ids), (vec![Scope::MachinesRead], Some(vec![office.shop.clone()])));
    office.wrote(Action::AgentUpdate, &format!("agent ci: scopes machines.read, projects {}", office.shop));
    Manager::admit(&office.bench.state.agents[&id], source(), Some(Scope::MachinesRead)).unwrap();

    // A name where the token gives none, and none at all.
    let id = office.newcomer(None, Some("robot"), 2, &Said::default()).unwrap();
    assert_eq!(office.bench.state.agents[&id].name, "robot");
    let text = "name must be given: the token gives the agent none";
    refused(office.newcomer(None, None, 3, &Said::default()), RefusalKind::Invalid, None, text);

    let theirs = Said { scopes: vec![], projects: vec![office.theirs.to_string()] };
    let refusal = office.bench.run(|it| admin::agent::set_rights(it, &id, &theirs)).unwrap_err();
    assert_eq!(refusal.message, format!("vault vault_v has no project {}: project list shows them", office.theirs));
    let cluster = Some("prod".to_owned());
    let said = office.said(&[Scope::MachinesRead]);
    let refusal = office.bench.run(|it| admin::agent::token_with(it, &vault(), None, cluster, &said)).map(drop);
    let text = "an agent of cluster prod has routes of its own: give it no scope and no project";
    refused(refusal, RefusalKind::Invalid, None, text);
}

#[test]
fn an_agent_lets_nobody_in_who_may_do_more_than_itself() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    office.agent.scopes = Some([Scope::AgentsWrite, Scope::MachinesRead].into());
    office.sees(&[&shop]);
    let less = office.said(&[Scope::MachinesRead]);
    let id = office.newcomer(Some("less"), None, 1, &less).unwrap();
    let fingerprint = Some(key(9).public_key().fingerprint());
    let refusal =
        office.ask(|it, manager| approve(it, manager, [id.as_str()], ApproveAgent { fingerprint })).unwrap_err();
    assert!(refusal.message.starts_with("the key of agent less has the fingerprint "), "{}", refusal.message);
    assert_eq!(office.let_in(&id).unwrap().approval, Approval::Approved);
    assert_eq!(office.bench.actions(), [Action::AgentApprove]);

    let more = |what: &str| {
        format!(
            "agent more has {what}, which is more than this agent has: a person lets it in with sikkerkey-server admin agent"
        )
    };
    let table = [
        (office.said(&[Scope::MachinesWrite]), "the scope machines.write"),
        (Said { projects: vec![], ..less.clone() }, "every project"),
        (Said { projects: vec![office.bank.to_string()], ..less }, "a project that this one does not see"),
    ];
    for (n, (said, what)) in (2..).zip(table) {
        let id = office.newcomer(Some("more"), None, n, &said).unwrap();
        refused(office.let_in(&id), RefusalKind::Forbidden, None, &more(what));
        // Nor by switching it on again.
        office.bench.run(|it| admin::agent::set_enabled(it, &id, false)).unwrap();
        refused(
            office.ask(|it, manager| enable(it, manager, [id.as_str()])),
            RefusalKind::Forbidden,
            None,
            &more(what),
        );
        office.ask(|it, manager| deny(it, manager, [id.as_str()])).unwrap();
        assert_eq!(office.bench.actions(), [Action::AgentDeny]);
        assert!(!office.bench.state.agents.contains_key(&id));
    }
    // One that is older than scopes may do everything.
    let id = office.newcomer(Some("more"), None, 7, &Said::default()).unwrap();
    let old = Agent { scopes: None, projects: None, ..office.bench.state.agents[&id].clone() };
    office.bench.put(Entity::Agent(old));
    let refusal = office.let_in(&id).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Forbidden);
}

#[test]
fn an_agent_takes_nothing_from_itself_and_nothing_from_an_operator() {
    let mut office = Office::open();
    let own = office.agent.id.to_string();
    for what in ["disable", "deny", "revoke"] {
        let text = format!("an agent does not {what} itself: another agent or a person does it");
        let asked = office.ask(|it, manager| match what {
            "disable" => disable(it, manager, [&own]),
            "deny" => deny(it, manager, [&own]),
            _ => revoke(it, manager, [&own]),
        });
        refused(asked, RefusalKind::Forbidden, None, &text);
    }
    let operator = Agent { id: "00000000-0000-4000-8000-0000000000bb".parse().unwrap(), ..Bench::agent("prod") };
    office.bench.put(Entity::Agent(operator.clone()));
    let id = operator.id.to_string();
    let text = "agent operator speaks for cluster prod: a person manages it with sikkerkey-server admin agent";
    refused(office.ask(|it, manager| disable(it, manager, [&id])), RefusalKind::Conflict, None, text);
    refused(office.ask(|it, manager| revoke(it, manager, [&id])), RefusalKind::Conflict, None, text);
    office.bench.run(|it| admin::agent::revoke(it, &operator.id)).unwrap();
    assert_eq!(office.bench.actions(), [Action::AgentRevoke]);
}

#[test]
fn an_agent_is_switched_off_renamed_and_revoked() {
    let mut office = Office::open();
    let said = office.said(&[]);
    let id = office.newcomer(Some("ci"), None, 1, &said).unwrap();
    office.let_in(&id).unwrap();
    let text = "agent ci is approved: revoke it, or switch it off";
    refused(office.ask(|it, manager| deny(it, manager, [id.as_str()])), RefusalKind::Conflict, None, text);
    assert!(!office.ask(|it, manager| disable(it, manager, [id.as_str()])).unwrap().enabled);
    let may = |office: &Office| {
        authenticate::may_manage(&office.bench.state, &office.bench.state.agents[&id], office.bench.now)
    };
    refused(may(&office), RefusalKind::Forbidden, None, "Agent is disabled");
    office.ask(|it, manager| enable(it, manager, [id.as_str()])).unwrap();
    may(&office).unwrap();
    let to = Rename { name: "cd".into() };
    let renamed = office.ask(|it, manager| rename(it, manager, [id.as_str()], to)).unwrap();
    assert_eq!(renamed.name, "cd");
    let names = office.ask(|it, manager| name_history(it, manager, [id.as_str()])).unwrap();
    assert_eq!((names.history.len(), names.history[0].name.as_str()), (1, "ci"));
    let gone = office.ask(|it, manager| revoke(it, manager, [id.as_str()])).unwrap();
    assert_eq!((gone.approval, office.bench.actions()), (Approval::Denied, vec![Action::AgentRevoke]));
    let text = "this vault has no agent of that id";
    refused(office.ask(|it, manager| get(it, manager, [id.as_str()])), RefusalKind::NotFound, None, text);
}

#[test]
fn agents_of_another_vault_are_nowhere_and_projects_off_the_list_are_not_named() {
    let mut office = Office::open();
    let theirs = Agent {
        id: "00000000-0000-4000-8000-0000000000cc".parse().unwrap(),
        vault: other_vault(),
        ..office.agent.clone()
    };
    office.bench.put(Entity::Agent(theirs.clone()));
    let both = Said { scopes: vec![], projects: vec![office.shop.to_string(), office.bank.to_string()] };
    office.newcomer(Some("ci"), None, 1, &both).unwrap();
    let shop = office.shop.clone();
    office.sees(&[&shop]);
    let listed = office.ask(|it, manager| list(it, manager, [])).unwrap().agents;
    let seen: Vec<_> = listed.iter().map(|it| (it.name.as_str(), it.project_ids.clone())).collect();
    assert_eq!(seen, [("assistant", Some(vec![shop.clone()])), ("ci", Some(vec![shop]))]);
    let text = "this vault has no agent of that id";
    for id in [theirs.id.as_str(), "nothing"] {
        refused(office.ask(|it, manager| get(it, manager, [id])), RefusalKind::NotFound, None, text);
        refused(office.ask(|it, manager| revoke(it, manager, [id])), RefusalKind::NotFound, None, text);
    }
    assert!(office.bench.state.agents.contains_key(&theirs.id));
}
