use std::collections::BTreeSet;

use super::*;
use crate::model::Entity;
use crate::model::canary::Canary;
use crate::model::millis::Millis;
use crate::usecase::management::office::*;

impl Office {
    fn overview_names(&mut self, query: SecretsQuery) -> Vec<String> {
        let shown = self.ask(|it, manager| overview(it, manager, [], query)).unwrap();
        assert_eq!((shown.all, shown.total), (4, shown.rows.len()));
        shown.rows.into_iter().map(|it| format!("{}/{}", it.project, it.view.name)).collect()
    }

    fn change_secret(&mut self, project: &str, name: &str, change: impl FnOnce(&mut Secret)) {
        let project = if project == "shop" { self.shop.clone() } else { self.bank.clone() };
        let id = self.secret(&project, name);
        let mut secret = self.bench.state.secrets[&id].clone();
        change(&mut secret);
        self.bench.put(Entity::Secret(secret));
    }
}

fn by(sort: Sort) -> SecretsQuery {
    SecretsQuery { sort: Some(sort), ..SecretsQuery::default() }
}

#[test]
fn the_secrets_of_every_project_of_the_vault_are_found_by_what_is_known_of_them() {
    let mut office = Office::open();
    office.change_secret("shop", "two", |it| {
        it.note = Some("Of the TILL".into());
        it.policy = Some("guard".into());
    });
    office.change_secret("bank", "one", |it| it.held = true);
    let all = office.overview_names(SecretsQuery::default());
    assert_eq!(all, ["bank/one", "shop/one", "bank/two", "shop/two"]);
    let query = |change: fn(&mut SecretsQuery)| {
        let mut query = SecretsQuery::default();
        change(&mut query);
        query
    };
    let id = office.secret(&office.shop, "one").to_string();
    let by_id = SecretsQuery { q: Some(id.to_uppercase()), ..SecretsQuery::default() };
    for (query, found) in [
        (query(|it| it.q = Some("till ".into())), vec!["shop/two"]),
        (by_id, vec!["shop/one"]),
        (query(|it| it.q = Some("nothing".into())), vec![]),
        (query(|it| it.project = Some("bank".into())), vec!["bank/one", "bank/two"]),
        (query(|it| it.policy = Some("any".into())), vec!["shop/two"]),
        (query(|it| it.policy = Some("none".into())), vec!["bank/one", "shop/one", "bank/two"]),
        (query(|it| it.policy = Some("=guard".into())), vec!["shop/two"]),
        (query(|it| it.policy = Some("=any".into())), vec![]),
        (query(|it| it.only = Some(Only::Held)), vec!["bank/one"]),
        (query(|it| it.only = Some(Only::Empty)), vec![]),
    ] {
        assert_eq!(office.overview_names(query.clone()), found, "{query:?}");
    }
}

#[test]
fn what_is_due_next_comes_first_and_what_never_is_comes_last_both_ways() {
    let mut office = Office::open();
    let now = office.bench.now;
    let due = |seconds: u64| {
        move |it: &mut Secret| {
            it.rotation =
                Some(sikkerkey_protocol::kubernetes::Rotation { every_seconds: Some(seconds), older_than: None });
            it.version_time = Some(Millis(now.0 - 1_000_000));
        }
    };
    office.change_secret("shop", "one", due(5_000));
    office.change_secret("shop", "two", due(500));
    assert_eq!(office.overview_names(by(Sort::Due)), ["shop/two", "shop/one", "bank/one", "bank/two"]);
    assert_eq!(office.overview_names(by(Sort::DueDown)), ["shop/one", "shop/two", "bank/one", "bank/two"]);
    let only = SecretsQuery { only: Some(Only::Due), ..SecretsQuery::default() };
    assert_eq!(office.overview_names(only), ["shop/two"]);
    assert_eq!(office.overview_names(by(Sort::ProjectDown)), ["shop/one", "shop/two", "bank/one", "bank/two"]);
}

#[test]
fn a_canary_is_marked_for_those_alone_who_may_see_canaries() {
    let mut office = Office::open();
    let id = office.secret(&office.shop, "one");
    office.bench.put(Entity::Canary(Canary {
        secret: id,
        vault: vault(),
        project: office.shop.clone(),
        armed: true,
        freeze_project: true,
        freeze_related: false,
        trips: 0,
        last_trip: None,
    }));
    let only = || SecretsQuery { only: Some(Only::Canaries), ..SecretsQuery::default() };
    assert_eq!(office.overview_names(only()), ["shop/one"]);
    let canaries = |office: &mut Office| {
        let shown = office.ask(|it, manager| overview(it, manager, [], SecretsQuery::default())).unwrap();
        shown.rows.iter().filter(|it| it.canary.is_some()).count()
    };
    assert_eq!(canaries(&mut office), 1);
    office.agent.scopes = Some(BTreeSet::from([Scope::SecretsRead]));
    office.bench.put(Entity::Agent(office.agent.clone()));
    assert_eq!(canaries(&mut office), 0);
    assert_eq!(office.overview_names(only()), Vec::<String>::new());
}

#[test]
fn machines_are_counted_that_could_read_now() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let (nas, off) = (office.member("nas", 1, &shop), office.member("off", 2, &shop));
    let one = office.secret(&shop, "one");
    for host in [&nas, &off] {
        let ids = std::slice::from_ref(&one);
        office.bench.run(|it| crate::usecase::admin::grant::create(it, host, ids, None)).unwrap();
    }
    let machines = |office: &mut Office| {
        let query = SecretsQuery { project: Some("shop".into()), q: Some("one".into()), ..SecretsQuery::default() };
        office.ask(|it, manager| overview(it, manager, [], query)).unwrap().rows[0].machines
    };
    assert_eq!(machines(&mut office), 2);
    let machine = crate::model::machine::Machine { enabled: false, ..office.machine(&off).clone() };
    office.bench.put(Entity::Machine(machine));
    assert_eq!(machines(&mut office), 1);
}
