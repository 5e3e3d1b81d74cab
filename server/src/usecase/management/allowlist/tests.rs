use super::*;
use crate::audit::entry::Action;
use crate::usecase::admin;
use crate::usecase::authenticate::may_connect;
use crate::usecase::fixture::*;
use crate::usecase::management::office::*;

impl Office {
    fn allow(&mut self, cidr: &str) -> Result<String, Refusal> {
        let wanted = AddAllowlistEntry { cidr: cidr.into(), label: Some("office".into()) };
        let done = self.ask(|it, manager| add(it, manager, [], wanted))?;
        assert_eq!((done.label.as_str(), done.enabled), ("office", true));
        Ok(done.id)
    }

    fn connects(&self, address: &str) -> bool {
        may_connect(&self.bench.state, &vault(), address.parse().unwrap()).is_ok()
    }
}

#[test]
fn entries_are_added_labelled_switched_and_removed() {
    let mut office = Office::open();
    let id = office.allow("::ffff:10.0.0.5").unwrap();
    office.wrote(Action::IpAllowlistUpdate, "IP allowlist: 10.0.0.5/32 added");
    let text = "10.0.0.5/32 is on the list already";
    refused(office.allow("10.0.0.5"), RefusalKind::Conflict, None, text);
    let text = "10.0.0.5/8 is not a CIDR in its shortest form: write 10.0.0.0/8";
    refused(office.allow("10.0.0.5/8"), RefusalKind::Invalid, None, text);

    let on = office.ask(|it, manager| switch_on(it, manager, [])).unwrap();
    assert_eq!((on.enabled, on.open_entries), (true, 1));
    assert!(office.connects("10.0.0.5") && !office.connects("10.0.0.6"));
    assert!(!office.ask(|it, manager| disable(it, manager, [&id])).unwrap().enabled);
    office.wrote(Action::IpAllowlistUpdate, "IP allowlist: 10.0.0.5/32 switched off; every machine is kept out");
    assert!(!office.connects("10.0.0.5"));
    office.ask(|it, manager| enable(it, manager, [&id])).unwrap();
    let to = UpdateAllowlistEntry { label: "depot".into() };
    office.ask(|it, manager| update(it, manager, [&id], to)).unwrap();
    let entry = AllowlistEntry { id: id.clone(), cidr: "10.0.0.5/32".into(), label: "depot".into(), enabled: true };
    assert_eq!(
        office.ask(|it, manager| list(it, manager, [])).unwrap(),
        AllowlistView { enabled: true, entries: vec![entry] }
    );

    office.ask(|it, manager| delete(it, manager, [&id])).unwrap();
    let text = "this vault's IP allowlist has no entry of that id";
    refused(office.ask(|it, manager| enable(it, manager, [&id])), RefusalKind::NotFound, None, text);
    office.ask(|it, manager| switch_off(it, manager, [])).unwrap();
    assert!(office.connects("10.0.0.6"));
    office.ask(|it, manager| switch_off(it, manager, [])).unwrap();
    assert_eq!((office.bench.changes, office.bench.actions()), (0, vec![Action::ManagementRead]));
}

#[test]
fn several_entries_go_together_or_not_at_all() {
    let mut office = Office::open();
    let ids = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"].map(|it| office.allow(it).unwrap());
    let which = |ids: &[&str]| DeleteAllowlistEntries { entry_ids: ids.iter().map(|it| (*it).to_owned()).collect() };
    let text = "this vault's IP allowlist has no entry of that id";
    let wrong = which(&[&ids[0], "nothing"]);
    refused(office.ask(|it, manager| delete_many(it, manager, [], wrong)), RefusalKind::NotFound, None, text);
    let text = "entryIds is empty: name at least one entry";
    refused(office.ask(|it, manager| delete_many(it, manager, [], which(&[]))), RefusalKind::Invalid, None, text);
    // However often one is named, it goes once, and is told once.
    let again = which(&[&ids[0], &ids[2], &ids[0], &ids[0]]);
    let done = office.ask(|it, manager| delete_many(it, manager, [], again)).unwrap();
    assert_eq!((done.entry_ids, done.open_entries), (vec![ids[0].clone(), ids[2].clone()], 1));
    office.wrote(Action::IpAllowlistUpdate, "IP allowlist: 10.0.0.0/8 2001:db8::/32 removed");
    let left = office.ask(|it, manager| list(it, manager, [])).unwrap().entries;
    assert_eq!(left.iter().map(|it| it.cidr.as_str()).collect::<Vec<_>>(), ["192.0.2.0/24"]);
}

#[test]
fn the_list_of_another_vault_is_nobody_elses() {
    let mut office = Office::open();
    office.bench.run(|it| admin::allowlist::add(it, &other_vault(), "10.0.0.0/8", String::new())).unwrap();
    let theirs = entry_id(&other_vault(), "10.0.0.0/8");
    assert!(office.ask(|it, manager| list(it, manager, [])).unwrap().entries.is_empty());
    let text = "this vault's IP allowlist has no entry of that id";
    refused(office.ask(|it, manager| delete(it, manager, [&theirs])), RefusalKind::NotFound, None, text);
    assert_ne!(office.allow("10.0.0.0/8").unwrap(), theirs);
}
