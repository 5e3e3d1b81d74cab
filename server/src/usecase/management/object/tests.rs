use super::*;
use crate::usecase::fixture::{allowlist, generated, grant, workload};
use crate::usecase::management::office::Office;

fn furnished() -> Office {
    let mut office = Office::open();
    office.bench.apply_machine(workload("web")).unwrap();
    office.bench.apply_policy(allowlist("guard", "10.0.0.0/8")).unwrap();
    office.bench.apply_secret(generated("db")).unwrap();
    office.bench.apply_grant(grant("readers", "web", &["db"])).unwrap();
    office
}

fn list(office: &mut Office, asked: Asked) -> Objects {
    office.ask(|it, manager| super::list(it, manager, [], asked)).unwrap()
}

fn names(found: &Objects) -> Vec<(Kind, &str)> {
    found.rows.iter().map(|it| (it.kind, it.name.as_str())).collect()
}

#[test]
fn every_object_of_a_cluster_is_listed_with_what_it_stands_for() {
    let mut office = furnished();
    let found = list(&mut office, Asked::default());
    let all = [(Kind::Machine, "web"), (Kind::Secret, "db"), (Kind::Grant, "readers"), (Kind::AccessPolicy, "guard")];
    assert_eq!(names(&found), all);
    assert_eq!((found.all, found.total, found.page), (4, 4, 1));
    let clusters: Vec<_> = found.clusters.iter().map(|it| (it.name.as_str(), it.counts, it.namespaces)).collect();
    assert_eq!(clusters, [("prod", [1, 1, 1, 1], 1), ("test", [0; 4], 0)]);
    assert_eq!(found.namespaces.len(), 1);
    let Held::Grant { reader, machine, state, .. } = &found.rows[2].held else { panic!("{found:?}") };
    let namespace = found.rows[2].namespace.clone();
    assert_eq!(
        (reader.as_str(), machine.as_ref()),
        (format!("Machine {namespace}/web").as_str(), Some(&(namespace.clone(), "web".to_owned())))
    );
    assert_eq!(state.granted, ["db"]);
    assert_eq!(found.rows[0].object, format!("Machine {namespace}/web of cluster prod"));
    assert!(
        matches!(&found.rows[3].held, Held::Policy { document, withdrawn: false, .. } if document.ip_allowlist.is_some())
    );
}

#[test]
fn objects_are_found_by_kind_namespace_cluster_and_a_part_of_the_name() {
    let mut office = furnished();
    let namespace = list(&mut office, Asked::default()).rows[0].namespace.clone();
    for (asked, expected) in [
        (Asked { kind: Some(Kind::Secret), ..Asked::default() }, vec![(Kind::Secret, "db")]),
        (Asked { text: "EAD".into(), ..Asked::default() }, vec![(Kind::Grant, "readers")]),
        (Asked { cluster: Some("test".into()), ..Asked::default() }, vec![]),
        (Asked { namespace: Some("elsewhere".into()), ..Asked::default() }, vec![]),
        (
            Asked { namespace: Some(namespace), kind: Some(Kind::Machine), ..Asked::default() },
            vec![(Kind::Machine, "web")],
        ),
    ] {
        let found = list(&mut office, asked);
        assert_eq!((names(&found), found.all), (expected, 4));
    }
}

#[test]
fn whoever_sees_some_projects_sees_the_objects_of_those() {
    let mut office = furnished();
    let (shop, project) = (office.shop.clone(), list(&mut office, Asked::default()).rows[0].project.clone());
    office.sees(&[&shop]);
    assert_eq!(list(&mut office, Asked::default()).all, 0);
    office.sees(&[&project]);
    assert_eq!(list(&mut office, Asked::default()).all, 4);
}
