//! Who refers to whom, in both directions.

use std::collections::BTreeMap;
use std::sync::Arc;

use sikkerkey_protocol::kubernetes::{Kind, ObjectKey};

/// What the index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Our Machine.
    Machine,
    /// Our Secret.
    Secret,
    /// Our Grant.
    Grant,
    /// Our access policy.
    AccessPolicy,
    /// Service accounts, by name only.
    ServiceAccount,
    /// Namespaces, by name, uid and labels only.
    Namespace,
}

impl Resource {
    /// The four kinds.
    pub const KINDS: [Self; 4] = [Self::Machine, Self::Secret, Self::Grant, Self::AccessPolicy];
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Machine, Self::Secret, Self::Grant, Self::AccessPolicy, Self::ServiceAccount, Self::Namespace];

    /// The plural, for labels and log lines.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Machine => "machines",
            Self::Secret => "secrets",
            Self::Grant => "grants",
            Self::AccessPolicy => "accesspolicies",
            Self::ServiceAccount => "serviceaccounts",
            Self::Namespace => "namespaces",
        }
    }

    /// How closely objects of the other resource look at those of this one that refer to them, if they do.
    pub(super) fn is_looked_at_by(self, referred: Self) -> Option<Look> {
        match (self, referred) {
            (Self::Grant, Self::Machine | Self::Secret) => Some(Look::AtWhatItShows),
            (Self::Secret, Self::AccessPolicy) => Some(Look::AtItsSpec),
            _ => None,
        }
    }
}

/// How closely an object looks at those that refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// At which there are, and what their specs say.
    AtItsSpec,
    /// At how they stand as well.
    AtWhatItShows,
}

impl From<Kind> for Resource {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Machine => Self::Machine,
            Kind::Secret => Self::Secret,
            Kind::Grant => Self::Grant,
            Kind::AccessPolicy => Self::AccessPolicy,
        }
    }
}

/// One object. A cluster-scoped one has an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Of which resource.
    pub resource: Resource,
    /// Which one.
    pub key: ObjectKey,
}

impl Target {
    /// The object `name` in `namespace`.
    pub fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, key: ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() } }
    }
}

/// Who refers to what, by name: what is named need not exist. What an object refers to stands in the object.
///
/// Each list is sorted and holds nothing twice. Most hold two or three: a tree for each would be mostly empty. What refers to
/// many stands here once.
#[derive(Debug, Default)]
pub struct References {
    from: BTreeMap<Arc<Target>, Vec<Arc<Target>>>,
}

impl References {
    /// From now on `from` refers to exactly `to`, where it referred to `before` until now.
    pub fn replace(&mut self, from: &Target, before: &[Target], to: &[Target]) {
        // Most changes are of a status.
        if before == to {
            return;
        }
        for target in before.iter().filter(|target| !to.contains(target)) {
            if let Some(referrers) = self.from.get_mut(target) {
                if let Ok(place) = place(referrers, from) {
                    referrers.remove(place);
                }
                if referrers.is_empty() {
                    self.from.remove(target);
                }
            }
        }
        let shared = self.from.get_key_value(from).map_or_else(|| Arc::new(from.clone()), |(key, _)| Arc::clone(key));
        for target in to {
            let Some(referrers) = self.from.get_mut(target) else {
                self.from.insert(Arc::new(target.clone()), vec![Arc::clone(&shared)]);
                continue;
            };
            if let Err(place) = place(referrers, from) {
                referrers.insert(place, Arc::clone(&shared));
            }
        }
    }

    /// Who refers to `target`.
    pub fn referrers(&self, target: &Target) -> impl Iterator<Item = &Target> {
        self.from.get(target).into_iter().flatten().map(|from| &**from)
    }
}

/// Where it stands in a sorted list, or would.
fn place(sorted: &[Arc<Target>], target: &Target) -> Result<usize, usize> {
    sorted.binary_search_by(|it| (**it).cmp(target))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn target(resource: Resource, name: &str) -> Target {
        Target::new(resource, "shop", name)
    }

    proptest! {
        /// Who refers to something is known, whatever is replaced in whatever order, and nothing is left when all is gone.
        #[test]
        fn who_refers_is_known(steps in proptest::collection::vec((0u8..4, proptest::collection::btree_set(0u8..4, 0..4)), 0..24)) {
            let mut references = References::default();
            let mut expected: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
            let grant = |n: u8| target(Resource::Grant, &format!("g{n}"));
            let machine = |n: u8| target(Resource::Machine, &format!("m{n}"));
            for (from, to) in steps {
                let now: Vec<Target> = to.iter().map(|n| machine(*n)).collect();
                let before: Vec<Target> = expected.insert(from, to).unwrap_or_default().into_iter().map(machine).collect();
                references.replace(&grant(from), &before, &now);
                for m in 0..4 {
                    let found: BTreeSet<Target> = references.referrers(&machine(m)).cloned().collect();
                    let wanted = expected.iter().filter(|(_, to)| to.contains(&m)).map(|(from, _)| grant(*from)).collect();
                    prop_assert_eq!(found, wanted);
                }
            }
            for from in 0..4 {
                let before: Vec<Target> = expected.remove(&from).unwrap_or_default().into_iter().map(machine).collect();
                references.replace(&grant(from), &before, &[]);
            }
            prop_assert!(references.from.is_empty());
        }
    }
}
