//! What the server holds against what the cluster holds. Pure.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sikkerkey_protocol::kubernetes::{Kind, ObjectKey};

use super::ledger::{ByObject, InForce};
use crate::index::Standing;

/// What was put in force.
pub type Applied = ByObject<InForce>;

/// An object as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtServer {
    /// Which kind.
    pub kind: Kind,
    /// Which one.
    pub key: ObjectKey,
    /// Of which uid.
    pub uid: String,
    /// In which generation.
    pub generation: i64,
}

/// An object at the server that the cluster does not have: none of its name, or another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Which kind.
    pub kind: Kind,
    /// Which one.
    pub key: ObjectKey,
    /// Of which uid.
    pub uid: String,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// At the server only.
    pub orphans: Vec<Orphan>,
    /// Objects to look at again: the server lacks them, or holds another generation.
    pub stale: Vec<(Kind, ObjectKey)>,
    /// Newer at the server than the cluster seems to have: on its way here, or the cluster was taken back.
    pub ahead: Vec<AtServer>,
    /// Objects at the server.
    pub total: usize,
}

/// Compares what the server holds with what the cluster has, by an index that is whole (`present`), and with what was put in
/// force (`applied`), from before the server was asked.
///
/// An object that was made anew under the name of an earlier one ends what that one gave, whether or not anything of the
/// new one is ever put in force.
pub fn compare(
    at_server: impl Iterator<Item = AtServer>,
    present: impl Fn(Kind, &ObjectKey) -> Option<Standing>,
    applied: &Applied,
) -> Differences {
    let mut differences = Differences::default();
    let mut held: BTreeMap<Kind, HashSet<&Arc<ObjectKey>>> = BTreeMap::new();
    for object in at_server {
        differences.total += 1;
        let own = present(object.kind, &object.key);
        let told = applied.get(&object.kind).and_then(|of_kind| of_kind.get_key_value(&object.key));
        held.entry(object.kind).or_default().extend(told.map(|(key, _)| key));
        let ours = own.as_ref().and_then(|own| told.map(|(_, entry)| entry).filter(|entry| *entry.uid == *own.uid));
        let is_stale = |entry: &InForce| *entry.uid != *object.uid || entry.generation > Some(object.generation);
        let place = || (object.kind, object.key.clone());
        match ours.filter(|entry| !entry.withdrawn) {
            // What the server refuses has its own time for the next attempt.
            Some(entry) if is_stale(entry) && !entry.refused => differences.stale.push(place()),
            None if own.as_ref().is_none_or(|own| own.uid != object.uid) => {
                let AtServer { kind, key, uid, .. } = object.clone();
                differences.orphans.push(Orphan { kind, key, uid });
            }
            // It was withdrawn, and a call that was held up has put it in force once more.
            None if ours.is_some() => differences.stale.push(place()),
            // As it should be; or a newer one was applied after `applied` was taken.
            Some(_) | None => {}
        }
        if own.is_some_and(|own| own.uid == object.uid && own.generation < object.generation) {
            differences.ahead.push(object);
        }
    }
    for (kind, of_kind) in applied {
        let held = held.get(kind);
        let missing = of_kind.iter().filter(|(key, entry)| {
            let is_held = held.is_some_and(|held| held.contains(key));
            !is_held && !entry.refused && !entry.withdrawn && present(*kind, key).is_some()
        });
        differences.stale.extend(missing.map(|(key, _)| (*kind, ObjectKey::clone(key))));
    }
    differences
}

/// Whether so many removals of so many objects need a person's word: more than a tenth, and more than five.
pub fn needs_acknowledgement(removals: usize, total: usize, acknowledged: usize) -> bool {
    removals > 5 && removals * 10 > total && removals > acknowledged
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "shop".into(), name: name.into() }
    }

    fn at_server(grants: &[(&str, &str, i64)]) -> Vec<AtServer> {
        let of = |(name, uid, generation): &(&str, &str, i64)| AtServer {
            kind: Kind::Grant,
            key: key(name),
            uid: (*uid).into(),
            generation: *generation,
        };
        grants.iter().map(of).collect()
    }

    type Present = HashMap<(Kind, ObjectKey), Standing>;

    fn compared(grants: &[(&str, &str, i64)], present: &Present, applied: &Applied) -> Differences {
        compare(at_server(grants).into_iter(), |kind, key| present.get(&(kind, key.clone())).cloned(), applied)
    }

    /// The generation is of no account where it is not lower than the server's.
    fn present(objects: &[(&str, &str)]) -> Present {
        let standing = |uid: &str| Standing { uid: uid.to_owned(), generation: 9 };
        objects.iter().map(|(name, uid)| ((Kind::Grant, key(name)), standing(uid))).collect()
    }

    fn applied(entries: &[(&str, &str, i64)]) -> Applied {
        let entry = |uid: &str, generation| InForce {
            uid: uid.into(),
            generation: Some(generation),
            refused: false,
            withdrawn: false,
        };
        let grants = entries.iter().map(|(name, uid, generation)| (Arc::new(key(name)), entry(uid, *generation)));
        Applied::from([(Kind::Grant, grants.collect())])
    }

    #[test]
    fn each_difference_is_sorted_into_removal_or_another_look() {
        let orphan = |name: &str| Orphan { kind: Kind::Grant, key: key(name), uid: "u".into() };
        let again = |name: &str| (Kind::Grant, key(name));
        let (u, v) = (("a", "u"), ("a", "v"));
        for (what, server, cluster, known, orphans, stale) in [
            ("the same", vec![("a", "u", 1)], vec![u], vec![("a", "u", 1)], vec![], vec![]),
            ("gone here", vec![("a", "u", 1)], vec![], vec![], vec![orphan("a")], vec![]),
            ("gone here, remembered", vec![("a", "u", 1)], vec![], vec![("a", "u", 1)], vec![orphan("a")], vec![]),
            ("lost there", vec![], vec![u], vec![("a", "u", 1)], vec![], vec![again("a")]),
            ("older there", vec![("a", "u", 1)], vec![u], vec![("a", "u", 2)], vec![], vec![again("a")]),
            ("newer there", vec![("a", "u", 3)], vec![u], vec![("a", "u", 2)], vec![], vec![]),
            ("not looked at yet", vec![("a", "u", 1)], vec![u], vec![], vec![], vec![]),
            ("never put in force", vec![], vec![u], vec![], vec![], vec![]),
            ("made anew", vec![("a", "u", 1)], vec![v], vec![], vec![orphan("a")], vec![]),
            (
                "made anew, and only the earlier one in force",
                vec![("a", "u", 1)],
                vec![v],
                vec![("a", "u", 1)],
                vec![orphan("a")],
                vec![],
            ),
            (
                "made anew and in force here, not there",
                vec![("a", "u", 1)],
                vec![v],
                vec![("a", "v", 1)],
                vec![],
                vec![again("a")],
            ),
            ("made anew and in force since", vec![("a", "v", 1)], vec![v], vec![("a", "u", 1)], vec![], vec![]),
        ] {
            let total = server.len();
            let found = compared(&server, &present(&cluster), &applied(&known));
            assert_eq!(found, Differences { orphans, stale, ahead: vec![], total }, "{what}");
        }
    }

    #[test]
    fn what_the_server_holds_in_a_newer_generation_is_told_apart() {
        let standing = |uid: &str, generation| Standing { uid: uid.to_owned(), generation };
        for (what, own, known, is_ahead) in [
            ("the same", standing("u", 5), vec![("a", "u", 5)], false),
            ("newer here", standing("u", 6), vec![("a", "u", 5)], false),
            ("newer there", standing("u", 4), vec![("a", "u", 4)], true),
            ("newer there, and nothing known yet", standing("u", 4), vec![], true),
            ("of another object", standing("v", 4), vec![], false),
        ] {
            let cluster: Present = [((Kind::Grant, key("a")), own)].into();
            let found = compared(&[("a", "u", 5)], &cluster, &applied(&known));
            let ahead: Vec<_> = found.ahead.iter().map(|it| (it.kind, it.generation)).collect();
            assert_eq!(ahead, [(Kind::Grant, 5)][usize::from(!is_ahead)..], "{what}");
        }
    }

    #[test]
    fn what_was_taken_out_of_force_and_is_there_again_is_looked_at() {
        let mut known = applied(&[("a", "u", 2), ("b", "u", 1), ("c", "u", 1)]);
        for entry in known.values_mut().flat_map(HashMap::values_mut) {
            entry.withdrawn = true;
        }
        let cluster = present(&[("a", "u"), ("b", "u"), ("c", "u")]);
        let found = compared(&[("a", "u", 2), ("c", "earlier", 1)], &cluster, &known);
        let orphans = vec![Orphan { kind: Kind::Grant, key: key("c"), uid: "earlier".into() }];
        let stale = vec![(Kind::Grant, key("a"))];
        assert_eq!(found, Differences { stale, orphans, total: 2, ..Differences::default() });
    }

    #[test]
    fn what_was_refused_waits_for_its_own_time() {
        let mut known = applied(&[("a", "u", 2), ("b", "u", 1)]);
        for entry in known.values_mut().flat_map(HashMap::values_mut) {
            entry.refused = true;
        }
        let cluster = present(&[("a", "u"), ("b", "u")]);
        let found = compared(&[("a", "u", 1)], &cluster, &known);
        assert_eq!(found, Differences { total: 1, ..Differences::default() });
    }

    #[test]
    fn the_same_name_of_another_kind_is_another_object() {
        let machines: Present = [((Kind::Machine, key("a")), Standing { uid: "u".into(), generation: 9 })].into();
        let found = compared(&[("a", "u", 1)], &machines, &Applied::new());
        assert_eq!(found.orphans, [Orphan { kind: Kind::Grant, key: key("a"), uid: "u".into() }]);
    }

    #[test]
    fn more_than_five_and_more_than_a_tenth_need_a_word() {
        for (removals, total, acknowledged, needs) in [
            (0, 0, 0, false),
            (5, 5, 0, false),
            (6, 6, 0, true),
            (6, 59, 0, true),
            (6, 60, 0, false),
            (6, 61, 0, false),
            (1_000, 10_000, 0, false),
            (1_001, 10_000, 0, true),
            (1_001, 10_000, 1_001, false),
            (1_002, 10_000, 1_001, true),
        ] {
            assert_eq!(needs_acknowledgement(removals, total, acknowledged), needs, "{removals} of {total}");
        }
    }
}
