//! Which machines are looked for, and by what they are sorted: decided on each as it lies in memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use sikkerkey_protocol::id::{FleetId, ProjectId};

use super::{Column, Locks, Sight, Wanted};
use crate::decision::Context;
use crate::model::machine::{Grantee, Machine};
use crate::model::secret::SecretPhase;
use crate::usecase::machine::Found;
use crate::usecase::machine::status::{self, Sort, Status};

/// One that was found, and what it is sorted by.
pub(super) struct Item<'a> {
    pub(super) found: Found<'a>,
    pub(super) key: Key<'a>,
    pub(super) name: Cow<'a, str>,
    pub(super) id: &'a str,
}

/// What something is sorted by. All keys of one list are of one kind.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    /// By name.
    Nothing,
    /// What waits comes first, and of that the oldest.
    Waits(bool, i64),
    Text(Cow<'a, str>),
    Texts(Option<(&'a str, &'a str)>),
    Number(i64),
    Address(Option<IpAddr>),
    Status(Status),
    Sort(Sort),
}

/// Whether a machine is looked for, and what it is sorted by.
pub(super) struct Finder<'a, 'w> {
    context: &'w Context<'a>,
    sight: &'w Sight,
    locks: &'w Locks,
    wanted: &'w Wanted,
    text: Option<Text>,
    /// How many secrets each fleet is granted, where that is sorted by: its machines are granted the same.
    secrets_of_fleets: HashMap<&'a FleetId, usize>,
}

/// A text that is looked for.
struct Text {
    small: String,
    /// Whether an address can have it in itself.
    in_address: bool,
    /// The part of a fingerprint that it would be.
    in_fingerprint: Option<String>,
}

impl Text {
    fn of(text: &str) -> Option<Self> {
        let small = text.trim().to_lowercase();
        let in_address = small.bytes().all(|b| b.is_ascii_hexdigit() || b == b'.' || b == b':');
        let digits = small.strip_prefix("sha256:").unwrap_or(&small);
        let is_part = digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let in_fingerprint = is_part.then(|| digits.to_owned());
        (!small.is_empty()).then_some(Self { small, in_address, in_fingerprint })
    }

    /// Whether a text has it in itself, in letters of either case.
    fn is_in(&self, text: &str) -> bool {
        if !text.is_ascii() {
            return text.to_lowercase().contains(&self.small);
        }
        let small = self.small.as_bytes();
        let begins = |it: &[u8]| it.first().map(u8::to_ascii_lowercase) == small.first().copied();
        text.as_bytes().windows(small.len()).any(|it| begins(it) && it.eq_ignore_ascii_case(small))
    }
}

impl<'a, 'w> Finder<'a, 'w> {
    pub(super) fn new(context: &'w Context<'a>, sight: &'w Sight, locks: &'w Locks, wanted: &'w Wanted) -> Self {
        let text = wanted.q.as_deref().and_then(Text::of);
        let mut finder = Self { context, sight, locks, wanted, text, secrets_of_fleets: HashMap::new() };
        if wanted.sort == Some(Column::Secrets) {
            let fleets = context.state.fleets.values();
            let counted = fleets.map(|it| (&it.id, finder.granted(&Grantee::Fleet(it.id.clone()))));
            let counted: HashMap<_, _> = counted.collect();
            finder.secrets_of_fleets = counted;
        }
        finder
    }

    pub(super) fn finds(&self, found: Found<'a>) -> bool {
        let Wanted { status, kind, project, fleet, .. } = self.wanted;
        kind.is_none_or(|it| it == Sort::of(found))
            && status.is_none_or(|it| it == self.status(found))
            && fleet
                .as_ref()
                .is_none_or(|it| matches!(found, Found::Machine(machine) if machine.fleet.as_ref() == Some(it)))
            && project.as_ref().is_none_or(|it| projects_of(self.context, found).any(|of| of == it))
            && self.text.as_ref().is_none_or(|it| self.has(found, it))
    }

    fn status(&self, found: Found<'a>) -> Status {
        let is_locked = !self.locks.is_empty() && self.locks.contains_key(id_of(found));
        status::of(self.context.state, found, self.context.now, is_locked)
    }

    fn has(&self, found: Found<'a>, text: &Text) -> bool {
        if text.is_in(id_of(found)) || text.is_in(&name_of(found)) {
            return true;
        }
        let Found::Machine(machine) = found else { return false };
        machine.hostname.as_ref().is_some_and(|it| text.is_in(it))
            || machine.pod.as_ref().is_some_and(|it| {
                [&it.pod.name, &it.pod.namespace, &it.pod.node, &it.cluster].iter().any(|it| text.is_in(it))
            })
            || (text.in_address && self.address(found).is_some_and(|it| text.is_in(&it.to_string())))
            || text.in_fingerprint.as_ref().is_some_and(|it| {
                let fingerprint = machine.public_key.fingerprint();
                fingerprint.trim_start_matches("SHA256:").contains(it.as_str())
            })
    }

    pub(super) fn item(&self, found: Found<'a>) -> Item<'a> {
        let ledger = self.context.ledger;
        let key = match self.wanted.sort {
            None => {
                let since = match found {
                    Found::Machine(it) => it.created_at.0,
                    Found::Fleet(_) => 0,
                };
                if status::waits(found) { Key::Waits(false, since) } else { Key::Waits(true, 0) }
            }
            Some(Column::Name) => Key::Text(small(name_of(found))),
            Some(Column::Status) => Key::Status(self.status(found)),
            Some(Column::Kind) => Key::Sort(Sort::of(found)),
            Some(Column::Address) => Key::Address(self.address(found)),
            Some(Column::Secrets) => Key::Number(i64::try_from(self.secrets(found)).unwrap_or(i64::MAX)),
            Some(Column::LastSeen) => {
                let at = match found {
                    Found::Machine(it) => ledger.seen(&it.id).map(|it| it.at.0),
                    Found::Fleet(it) => {
                        let machines = self.context.state.machines_in(&it.id);
                        machines.filter_map(|it| ledger.seen(&it.id)).map(|it| it.at.0).max()
                    }
                };
                Key::Number(at.unwrap_or(i64::MIN))
            }
            Some(Column::Project) => {
                let names = projects_of(self.context, found).filter_map(|it| self.context.state.projects.get(it));
                let first = names.map(|it| it.name.as_str()).min();
                first.map_or(Key::Nothing, |it| Key::Text(small(Cow::Borrowed(it))))
            }
            Some(Column::Node) => {
                let pod = match found {
                    Found::Machine(it) => it.pod.as_ref(),
                    Found::Fleet(_) => None,
                };
                Key::Texts(pod.map(|it| (it.pod.node.as_str(), it.pod.name.as_str())))
            }
        };
        Item { found, key, name: name_of(found), id: id_of(found) }
    }

    fn address(&self, found: Found<'a>) -> Option<IpAddr> {
        let ledger = self.context.ledger;
        match found {
            Found::Machine(it) => {
                let contact = || Some(it.host.as_ref()?.first_contact.as_ref()?.address);
                ledger.seen(&it.id).and_then(|it| it.address).or_else(contact)
            }
            Found::Fleet(it) => {
                let machines = self.context.state.machines_in(&it.id);
                machines.filter_map(|it| ledger.seen(&it.id)).max_by_key(|it| it.at)?.address
            }
        }
    }

    fn secrets(&self, found: Found<'a>) -> usize {
        let fleet = match found {
            Found::Machine(it) => it.fleet.as_ref(),
            Found::Fleet(it) => Some(&it.id),
        };
        match (fleet, found) {
            (Some(id), _) => self.secrets_of_fleets.get(id).copied().unwrap_or(0),
            (None, Found::Machine(it)) => self.granted(&Grantee::Machine(it.id.clone())),
            (None, Found::Fleet(_)) => 0,
        }
    }

    fn granted(&self, grantee: &Grantee) -> usize {
        let secrets = self.context.state.secrets_granted_to(grantee);
        secrets.filter(|it| it.phase == SecretPhase::Active && self.sight.sees(&it.project)).count()
    }
}

fn small(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) { text.to_lowercase().into() } else { text }
}

fn name_of(found: Found<'_>) -> Cow<'_, str> {
    match found {
        Found::Machine(it) => it.name.as_str().into(),
        Found::Fleet(it) => it.managed.object.key.to_string().into(),
    }
}

fn id_of(found: Found<'_>) -> &str {
    match found {
        Found::Machine(it) => it.id.as_str(),
        Found::Fleet(it) => it.id.as_str(),
    }
}

/// The projects that a machine has to do with.
pub(super) fn projects_of<'a>(context: &Context<'a>, found: Found<'a>) -> Box<dyn Iterator<Item = &'a ProjectId> + 'a> {
    match found {
        Found::Fleet(it) => Box::new(std::iter::once(&it.project)),
        Found::Machine(Machine { fleet: Some(id), .. }) => {
            Box::new(context.state.fleets.get(id).map(|it| &it.project).into_iter())
        }
        Found::Machine(it) => Box::new(context.state.memberships_of(&it.id).map(|it| &it.project)),
    }
}
