//! Two panels, Available and Granted, and what somebody has moved between them and not saved yet. Pure: from what there is
//! and what is asked to what is shown.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// How many rows a panel shows, beside those that were moved.
pub const ROWS: usize = 50;
/// The most changes that are saved at once: they stand in the address of the page until then.
pub const CHANGES: usize = 100;

/// What somebody asks to see, and what he has moved. It stands in the address, so that it works without a script, and a
/// page that is loaded again shows the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PanelsQuery {
    /// Of a machine: in which project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// What is searched for among what is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// What is searched for among what is granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Which page of what is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// Which page of what is granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_page: Option<usize>,
    /// What is to be granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// What is to be taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub take: Vec<String>,
    /// What is ticked among what is available.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub give: Vec<String>,
    /// What is ticked among what is granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub back: Vec<String>,
    /// One that is moved to the other panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one: Option<String>,
    /// Which of the ticked ones are moved.
    #[serde(rename = "move", skip_serializing_if = "Option::is_none")]
    pub moved: Option<Move>,
}

/// To where ticked rows are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Move {
    /// To Granted.
    Give,
    /// To Available.
    Back,
}

/// Something that is granted, or could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    /// Whether it is granted now.
    pub(crate) granted: bool,
    /// Whether it is decided elsewhere, and only shown.
    pub(crate) fixed: bool,
}

/// What was moved and is not saved yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) add: BTreeSet<String>,
    pub(crate) take: BTreeSet<String>,
    /// How many of the changes somebody else has made meanwhile.
    pub(crate) done_by_others: usize,
    /// How many were about something that is not there any more.
    pub(crate) gone: usize,
    /// Whether something was not moved since one save takes no more.
    pub(crate) is_full: bool,
}

/// The rows of one panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Side<'a> {
    /// Those that were moved here, by name.
    pub(crate) moved: Vec<Candidate<'a>>,
    /// Those of the page, by name.
    pub(crate) rows: Vec<Candidate<'a>>,
    /// How many there are on all pages.
    pub(crate) total: usize,
    /// Which page it is.
    pub(crate) page: usize,
}

/// Both panels, and what is not saved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arranged<'a> {
    pub(crate) available: Side<'a>,
    pub(crate) granted: Side<'a>,
    pub(crate) draft: Draft,
}

/// Puts everything into its panel.
pub(crate) fn arrange<'a>(candidates: &[Candidate<'a>], query: &PanelsQuery) -> Arranged<'a> {
    let draft = draft(candidates, query);
    let (mut available, mut granted) = (Vec::new(), Vec::new());
    let (mut moved_back, mut moved_here) = (Vec::new(), Vec::new());
    let [searched, held] = [&query.q, &query.held].map(|it| it.as_deref().unwrap_or_default().to_lowercase());
    for it in candidates {
        let is_moved = draft.has(it);
        let (list, moved, text) = if it.granted == is_moved {
            (&mut available, &mut moved_back, &searched)
        } else {
            (&mut granted, &mut moved_here, &held)
        };
        if is_moved {
            moved.push(*it);
        } else if finds(it, text) {
            list.push(*it);
        }
    }
    let available = side(available, moved_back, query.page);
    let granted = side(granted, moved_here, query.held_page);
    Arranged { available, granted, draft }
}

fn draft(candidates: &[Candidate<'_>], query: &PanelsQuery) -> Draft {
    let known: HashMap<&str, &Candidate<'_>> = candidates.iter().map(|it| (it.id, it)).collect();
    let mut draft = Draft::default();
    for (ids, granted) in [(&query.add, false), (&query.take, true)] {
        for id in ids {
            match known.get(id.as_str()) {
                Some(it) if it.granted == granted && !draft.has(it) => draft.toggle(it),
                Some(it) if it.granted == granted => {}
                Some(_) => draft.done_by_others += 1,
                None => draft.gone += 1,
            }
        }
    }
    let (ticked, from_granted) = match query.moved {
        Some(Move::Give) => (query.give.as_slice(), false),
        Some(Move::Back) => (query.back.as_slice(), true),
        None => (&[][..], false),
    };
    for it in ticked.iter().filter_map(|id| known.get(id.as_str())) {
        if (it.granted != draft.has(it)) == from_granted {
            draft.toggle(it);
        }
    }
    if let Some(it) = query.one.as_deref().and_then(|id| known.get(id)) {
        draft.toggle(it);
    }
    draft
}

impl Draft {
    /// Whether it is moved.
    fn has(&self, it: &Candidate<'_>) -> bool {
        if it.granted { self.take.contains(it.id) } else { self.add.contains(it.id) }
    }

    /// Moves it to the other panel, or back to where it was.
    fn toggle(&mut self, it: &Candidate<'_>) {
        if it.fixed {
            return;
        }
        let is_full = self.add.len() + self.take.len() >= CHANGES;
        let set = if it.granted { &mut self.take } else { &mut self.add };
        if set.remove(it.id) {
            return;
        }
        if is_full {
            self.is_full = true;
        } else {
            set.insert(it.id.to_owned());
        }
    }
}

/// By name or by the whole id.
fn finds(it: &Candidate<'_>, text: &str) -> bool {
    text.is_empty() || it.name.to_lowercase().contains(text) || it.id == text
}

fn side<'a>(mut list: Vec<Candidate<'a>>, mut moved: Vec<Candidate<'a>>, page: Option<usize>) -> Side<'a> {
    let by_name = |a: &Candidate<'_>, b: &Candidate<'_>| (a.name, a.id).cmp(&(b.name, b.id));
    list.sort_unstable_by(by_name);
    moved.sort_unstable_by(by_name);
    let total = list.len();
    let page = page.unwrap_or(1).clamp(1, total.div_ceil(ROWS).max(1));
    let rows = list.into_iter().skip((page - 1).saturating_mul(ROWS)).take(ROWS).collect();
    Side { moved, rows, total, page }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate<'a>(id: &'a str, name: &'a str, granted: bool) -> Candidate<'a> {
        Candidate { id, name, granted, fixed: false }
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|it| (*it).to_owned()).collect()
    }

    fn names<'a>(rows: &[Candidate<'a>]) -> Vec<&'a str> {
        rows.iter().map(|it| it.name).collect()
    }

    const ALL: [Candidate<'static>; 4] = [
        Candidate { id: "sk_1", name: "Db", granted: true, fixed: false },
        Candidate { id: "sk_2", name: "api", granted: false, fixed: false },
        Candidate { id: "sk_3", name: "cert", granted: false, fixed: false },
        Candidate { id: "sk_4", name: "fleet", granted: true, fixed: true },
    ];

    #[test]
    fn everything_stands_in_its_panel_by_name() {
        let it = arrange(&ALL, &PanelsQuery::default());
        assert_eq!((names(&it.available.rows), it.available.total), (vec!["api", "cert"], 2));
        assert_eq!((names(&it.granted.rows), it.granted.total), (vec!["Db", "fleet"], 2));
        assert_eq!(it.draft, Draft::default());
    }

    #[test]
    fn what_is_moved_stands_first_in_the_other_panel_whatever_is_searched_for() {
        let query = PanelsQuery {
            add: ids(&["sk_3"]),
            one: Some("sk_1".into()),
            q: Some("AP".into()),
            held: Some("nothing".into()),
            ..PanelsQuery::default()
        };
        let it = arrange(&ALL, &query);
        assert_eq!((names(&it.available.moved), names(&it.available.rows)), (vec!["Db"], vec!["api"]));
        assert_eq!((names(&it.granted.moved), names(&it.granted.rows)), (vec!["cert"], vec![]));
        assert_eq!((it.draft.add, it.draft.take), (["sk_3".into()].into(), ["sk_1".into()].into()));
    }

    #[test]
    fn one_that_is_moved_twice_is_where_it_was() {
        let query = PanelsQuery { add: ids(&["sk_2"]), one: Some("sk_2".into()), ..PanelsQuery::default() };
        assert_eq!(arrange(&ALL, &query).draft, Draft::default());
    }

    #[test]
    fn only_what_is_ticked_in_the_panel_of_the_button_is_moved() {
        let both = PanelsQuery { give: ids(&["sk_2", "sk_3"]), back: ids(&["sk_1", "sk_4"]), ..PanelsQuery::default() };
        let none = arrange(&ALL, &both);
        assert_eq!(none.draft, Draft::default());
        let given = arrange(&ALL, &PanelsQuery { moved: Some(Move::Give), ..both.clone() }).draft;
        assert_eq!((given.add, given.take), (["sk_2".into(), "sk_3".into()].into(), BTreeSet::new()));
        // What is decided elsewhere stays.
        let back = arrange(&ALL, &PanelsQuery { moved: Some(Move::Back), ..both }).draft;
        assert_eq!((back.add, back.take), (BTreeSet::new(), ["sk_1".into()].into()));
    }

    #[test]
    fn what_another_did_meanwhile_or_what_is_gone_is_counted_and_not_done_again() {
        let query =
            PanelsQuery { add: ids(&["sk_1", "sk_2", "sk_2", "sk_9"]), take: ids(&["sk_3"]), ..PanelsQuery::default() };
        let draft = arrange(&ALL, &query).draft;
        assert_eq!((draft.done_by_others, draft.gone), (2, 1));
        assert_eq!((draft.add, draft.take), (["sk_2".into()].into(), BTreeSet::new()));
    }

    #[test]
    fn one_save_takes_so_many_changes_and_the_pages_are_bounded() {
        let texts: Vec<String> = (0..1000).map(|it| format!("sk_{it:04}")).collect();
        let all: Vec<_> = texts.iter().map(|it| candidate(it, it, false)).collect();
        let add = texts.iter().take(CHANGES).cloned().collect();
        let query = PanelsQuery { add, one: Some("sk_0999".into()), page: Some(99), ..PanelsQuery::default() };
        let it = arrange(&all, &query);
        assert_eq!((it.draft.add.len(), it.draft.is_full), (CHANGES, true));
        assert_eq!((it.available.total, it.available.page, it.available.rows.len()), (900, 18, ROWS));
        let back = arrange(&all, &PanelsQuery { one: Some("sk_0001".into()), ..query }).draft;
        assert_eq!((back.add.len(), back.is_full), (CHANGES - 1, false));
    }

    proptest! {
        #[test]
        fn nothing_is_in_both_panels_and_the_draft_says_just_what_moved(
            granted in prop::collection::vec(any::<bool>(), 1..20),
            add in prop::collection::vec(0..25_usize, 0..8),
            take in prop::collection::vec(0..25_usize, 0..8),
            one in prop::option::of(0..25_usize),
        ) {
            let texts: Vec<String> = (0..granted.len()).map(|it| format!("sk_{it}")).collect();
            let all: Vec<_> = texts.iter().zip(&granted).map(|(it, granted)| candidate(it, it, *granted)).collect();
            let named = |it: &[usize]| it.iter().map(|it| format!("sk_{it}")).collect::<Vec<_>>();
            let query = PanelsQuery {
                add: named(&add),
                take: named(&take),
                one: one.map(|it| format!("sk_{it}")),
                ..PanelsQuery::default()
            };
            let it = arrange(&all, &query);
            let shown = |side: &Side<'_>| {
                side.moved.iter().chain(&side.rows).map(|it| it.id.to_owned()).collect::<BTreeSet<_>>()
            };
            let (left, right) = (shown(&it.available), shown(&it.granted));
            prop_assert!(left.is_disjoint(&right));
            prop_assert_eq!(left.len() + right.len(), all.len());
            for candidate in &all {
                let becomes = right.contains(candidate.id);
                prop_assert_eq!(it.draft.add.contains(candidate.id), becomes && !candidate.granted);
                prop_assert_eq!(it.draft.take.contains(candidate.id), !becomes && candidate.granted);
            }
        }
    }
}
