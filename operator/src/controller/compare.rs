//! What the server holds against what the cluster holds. Pure.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sikkerkey_protocol::kubernetes::{Kind, ObjectKey};

use super::ledger::{ByObject, Held, InForce};
use crate::index::Standing;

/// What is believed to be in force.
pub type Believed = ByObject<InForce>;

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

/// An object of which the server holds something else than was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// Which kind.
    pub kind: Kind,
    /// Which one.
    pub key: ObjectKey,
    /// What was believed.
    pub believed: InForce,
    /// The generation that the server holds, if any.
    pub at_server: Option<i64>,
}

impl Stale {
    fn new(kind: Kind, key: &ObjectKey, believed: &InForce, at_server: Option<i64>) -> Self {
        Self { kind, key: key.clone(), believed: believed.clone(), at_server }
    }

    /// Whether a pass is to put it right. What the server refuses has its own time for the next attempt, but for what has just come
    /// back.
    pub fn is_due(&self) -> bool {
        self.believed.held == Held::Withdrawn || !self.believed.refused
    }
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// At the server only.
    pub orphans: Vec<Orphan>,
    /// The server lacks them, or holds another generation.
    pub stale: Vec<Stale>,
    /// Newer at the server than the cluster seems to have: on its way here, or the cluster was taken back.
    pub ahead: Vec<AtServer>,
    /// Objects at the server.
    pub total: usize,
}

/// Compares what the server holds with what the cluster has, by an index that is whole (`present`), and with what is believed
/// to be in force, from before the server was asked.
///
/// An object that was made anew under the name of an earlier one ends what that one gave, whether or not anything of the
/// new one is ever put in force. Where it is about to be, the server puts it in the place of the earlier one by itself, and a
/// person's word on that one still counts.
pub fn compare(
    at_server: impl Iterator<Item = AtServer>,
    present: impl Fn(Kind, &ObjectKey) -> Option<Standing>,
    believed: &Believed,
) -> Differences {
    let mut differences = Differences::default();
    let mut held: BTreeMap<Kind, HashSet<&Arc<ObjectKey>>> = BTreeMap::new();
    for object in at_server {
        differences.total += 1;
        let own = present(object.kind, &object.key);
        let noted = believed.get(&object.kind).and_then(|of_kind| of_kind.get_key_value(&object.key));
        held.entry(object.kind).or_default().extend(noted.map(|(key, _)| key));
        let ours = own.as_ref().and_then(|own| noted.map(|(_, entry)| entry).filter(|entry| *entry.uid == *own.uid));
        let is_own = own.as_ref().is_some_and(|own| own.uid == object.uid);
        let at_server = is_own.then_some(object.generation);
        if !is_own && !ours.is_some_and(|entry| is_in_force(entry) || entry.due) {
            let AtServer { kind, key, uid, .. } = object.clone();
            differences.orphans.push(Orphan { kind, key, uid });
        } else if let Some(entry) = ours.filter(|entry| entry.held.gives_nothing() || entry.generation != at_server) {
            differences.stale.push(Stale::new(object.kind, &object.key, entry, at_server));
        }
        if is_own && own.is_some_and(|own| own.generation < object.generation) {
            differences.ahead.push(object);
        }
    }
    for (kind, of_kind) in believed {
        let held = held.get(kind);
        let missing = of_kind.iter().filter(|(key, entry)| {
            let is_held = held.is_some_and(|held| held.contains(key));
            !is_held && is_in_force(entry) && present(*kind, key).is_some()
        });
        differences.stale.extend(missing.map(|(key, entry)| Stale::new(*kind, key, entry, None)));
    }
    differences
}

fn is_in_force(entry: &InForce) -> bool {
    entry.generation.is_some() && !entry.held.gives_nothing()
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

    fn compared(grants: &[(&str, &str, i64)], present: &Present, believed: &Believed) -> Differences {
        compare(at_server(grants).into_iter(), |kind, key| present.get(&(kind, key.clone())).cloned(), believed)
    }

    /// Names, and the generation that the server holds.
    fn stale(differences: &Differences) -> Vec<(&str, Option<i64>)> {
        differences.stale.iter().map(|stale| (&*stale.key.name, stale.at_server)).collect()
    }

    /// The generation is of no account where it is not lower than the server's.
    fn present(objects: &[(&str, &str)]) -> Present {
        let standing = |uid: &str| Standing { uid: uid.to_owned(), generation: 9 };
        objects.iter().map(|(name, uid)| ((Kind::Grant, key(name)), standing(uid))).collect()
    }

    /// Generation 0 is none.
    fn believed(entries: &[(&str, &str, i64)]) -> Believed {
        let entry = |uid: &str, generation: i64| InForce {
            uid: uid.into(),
            generation: Some(generation).filter(|generation| *generation > 0),
            refused: false,
            held: Held::Applied,
            due: false,
            passes: 0,
        };
        let grants = entries.iter().map(|(name, uid, generation)| (Arc::new(key(name)), entry(uid, *generation)));
        Believed::from([(Kind::Grant, grants.collect())])
    }

    #[test]
    fn each_difference_is_sorted_into_removal_or_another_look() {
        let orphan = |name: &str| Orphan { kind: Kind::Grant, key: key(name), uid: "u".into() };
        let differs = |at_server| Some(("a", at_server));
        let (u, v) = (("a", "u"), ("a", "v"));
        for (what, server, cluster, known, orphans, again) in [
            ("the same", vec![("a", "u", 1)], vec![u], vec![("a", "u", 1)], vec![], None),
            ("gone here", vec![("a", "u", 1)], vec![], vec![], vec![orphan("a")], None),
            ("gone here, remembered", vec![("a", "u", 1)], vec![], vec![("a", "u", 1)], vec![orphan("a")], None),
            ("lost there", vec![], vec![u], vec![("a", "u", 1)], vec![], differs(None)),
            ("lost there, and that is known", vec![], vec![u], vec![("a", "u", 0)], vec![], None),
            ("older there", vec![("a", "u", 1)], vec![u], vec![("a", "u", 2)], vec![], differs(Some(1))),
            ("newer there", vec![("a", "u", 3)], vec![u], vec![("a", "u", 2)], vec![], differs(Some(3))),
            (
                "there, against what was believed",
                vec![("a", "u", 3)],
                vec![u],
                vec![("a", "u", 0)],
                vec![],
                differs(Some(3)),
            ),
            ("not looked at yet", vec![("a", "u", 1)], vec![u], vec![], vec![], None),
            ("never put in force", vec![], vec![u], vec![], vec![], None),
            ("made anew", vec![("a", "u", 1)], vec![v], vec![], vec![orphan("a")], None),
            ("made anew and not in force", vec![("a", "u", 1)], vec![v], vec![("a", "v", 0)], vec![orphan("a")], None),
            (
                "made anew, and only the earlier one in force",
                vec![("a", "u", 1)],
                vec![v],
                vec![("a", "u", 1)],
                vec![orphan("a")],
                None,
            ),
            (
                "made anew and in force here, not there",
                vec![("a", "u", 1)],
                vec![v],
                vec![("a", "v", 1)],
                vec![],
                differs(None),
            ),
            ("made anew and in force since", vec![("a", "v", 1)], vec![v], vec![("a", "u", 1)], vec![], None),
        ] {
            let found = compared(&server, &present(&cluster), &believed(&known));
            assert_eq!((&found.orphans, found.total), (&orphans, server.len()), "{what}");
            assert!(stale(&found).into_iter().eq(again), "{what}: {found:?}");
            assert!(found.ahead.is_empty(), "{what}");
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
            let found = compared(&[("a", "u", 5)], &cluster, &believed(&known));
            let ahead: Vec<_> = found.ahead.iter().map(|it| (it.kind, it.generation)).collect();
            assert_eq!(ahead, [(Kind::Grant, 5)][usize::from(!is_ahead)..], "{what}");
        }
    }

    #[test]
    fn what_was_taken_out_of_force_and_is_there_again_is_looked_at() {
        let mut known = believed(&[("a", "u", 2), ("b", "u", 1), ("c", "u", 1)]);
        for entry in known.values_mut().flat_map(HashMap::values_mut) {
            entry.held = Held::Withdrawn;
        }
        let cluster = present(&[("a", "u"), ("b", "u"), ("c", "u")]);
        let found = compared(&[("a", "u", 2), ("c", "earlier", 1)], &cluster, &known);
        let orphans = vec![Orphan { kind: Kind::Grant, key: key("c"), uid: "earlier".into() }];
        assert_eq!((found.orphans.as_slice(), found.total), (orphans.as_slice(), 2));
        assert_eq!(stale(&found), [("a", Some(2))]);
    }

    #[test]
    fn what_has_come_back_is_due_at_once_and_then_has_the_time_of_its_refusal() {
        for (held, refused, is_due) in [
            (Held::Withdrawn, false, true),
            (Held::Withdrawn, true, true),
            (Held::Returned(1), false, true),
            (Held::Returned(1), true, false),
        ] {
            let mut known = believed(&[("a", "u", 2)]);
            for entry in known.values_mut().flat_map(HashMap::values_mut) {
                (entry.held, entry.refused) = (held, refused);
            }
            let found = compared(&[("a", "u", 1)], &present(&[("a", "u")]), &known);
            assert_eq!(stale(&found), [("a", Some(1))], "{held:?}");
            assert_eq!(found.stale[0].is_due(), is_due, "{held:?} {refused}");
        }
    }

    #[test]
    fn what_was_refused_waits_for_its_own_time_and_keeps_nothing_earlier_in_force() {
        let mut known = believed(&[("a", "u", 2), ("b", "u", 1), ("c", "v", 1)]);
        for entry in known.values_mut().flat_map(HashMap::values_mut) {
            entry.refused = true;
        }
        let cluster = present(&[("a", "u"), ("b", "u"), ("c", "v")]);
        let server = [("a", "u", 1), ("c", "u", 1)];
        let found = compared(&server, &cluster, &known);
        assert_eq!(stale(&found), [("a", Some(1)), ("c", None), ("b", None)]);
        assert!(found.stale.iter().all(|stale| !stale.is_due()) && found.orphans.is_empty());
        // As it is noted then.
        for entry in known.values_mut().flat_map(HashMap::values_mut) {
            entry.generation = Some(1).filter(|_| *entry.uid == *"u");
        }
        let found = compared(&server, &cluster, &known);
        assert_eq!(found.orphans, [Orphan { kind: Kind::Grant, key: key("c"), uid: "u".into() }]);
    }

    #[test]
    fn what_is_about_to_be_in_force_takes_the_place_of_an_earlier_one() {
        let mut known = believed(&[("a", "v", 0)]);
        for entry in known.values_mut().flat_map(HashMap::values_mut) {
            entry.due = true;
        }
        let found = compared(&[("a", "u", 1)], &present(&[("a", "v")]), &known);
        assert_eq!(found, Differences { total: 1, ..Differences::default() });
    }

    #[test]
    fn the_same_name_of_another_kind_is_another_object() {
        let machines: Present = [((Kind::Machine, key("a")), Standing { uid: "u".into(), generation: 9 })].into();
        let found = compared(&[("a", "u", 1)], &machines, &Believed::new());
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
