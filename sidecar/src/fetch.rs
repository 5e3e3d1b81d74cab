//! What the sidecar holds: the delivery in force and the newest value of each of its secrets, in memory that is wiped.

use std::collections::{BTreeMap, BTreeSet};

use sikkerkey_protocol::denial::{DenialReason, FileEffect};
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{Delivery, Held, News, OnDenied, SecretKey, Sync, Synced};

use crate::client::printable;
use crate::manifest::SecretVersion;

/// A value.
#[derive(Debug)]
pub struct Value {
    /// Which secret it is of.
    pub id: SecretId,
    /// Which version.
    pub version: u64,
    /// Names of its fields, in their order; empty for a plain secret.
    pub field_names: Vec<String>,
    /// The value itself.
    pub text: SecretText,
}

/// A denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// Why, for a person, made safe to print.
    pub message: String,
}

/// Denials that a clock or a person ends, in their own time and as a policy or an owner wants it. All others are over soon, or
/// somebody has something to repair.
pub const PATIENT: [DenialReason; 7] = [
    DenialReason::OutsideTimeWindow,
    DenialReason::RateCapReached,
    DenialReason::CoSignMissing,
    DenialReason::CoSignRefused,
    DenialReason::ReleaseMissing,
    DenialReason::ProjectFrozen,
    DenialReason::LockedOut,
];

/// What an answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing.
    None,
    /// Denials for reasons that were known, perhaps in other words; or what nobody called for.
    Repeated,
    /// A delivery, a value, or a denial for another reason.
    New,
}

/// What is known of one secret.
#[derive(Debug, Default)]
struct Holding {
    /// The newest value that may still stand in files.
    value: Option<Value>,
    /// The last answer, when it was a denial.
    denial: Option<Denial>,
    /// Whether files are made of the value, and none of an older one.
    in_files: bool,
}

/// What the sidecar holds.
#[derive(Debug, Default)]
pub struct Holdings {
    revision: Option<String>,
    delivery: Option<Delivery>,
    secrets: BTreeMap<SecretKey, Holding>,
}

impl Holdings {
    /// Asks for what is new.
    pub fn ask(&self, wait_seconds: u32) -> Sync {
        let held = self.secrets.iter().filter_map(|(key, holding)| Some((key.clone(), holding.held()?)));
        let missing = self.secrets.iter().filter(|(_, holding)| !holding.in_files && holding.held().is_some());
        Sync {
            delivery_revision: self.revision.clone(),
            held: held.collect(),
            not_in_files: missing.map(|(key, _)| key.clone()).collect(),
            wait_seconds,
        }
    }

    /// Takes an answer in.
    pub fn take(&mut self, answer: Synced) -> Progress {
        let mut progress = Progress::None;
        if let Some(delivery) = answer.delivery {
            let mut before = std::mem::take(&mut self.secrets);
            let holding = |key: &SecretKey| (key.clone(), before.remove(key).unwrap_or_default());
            self.secrets = delivery.secrets().map(holding).collect();
            self.delivery = Some(delivery);
            self.revision = Some(answer.delivery_revision);
            progress = Progress::New;
        }
        for (key, news) in answer.secrets {
            // What no file needs is not kept, whoever sent it.
            let brought = self.secrets.get_mut(&key).map_or(Progress::Repeated, |holding| holding.take(news));
            progress = progress.max(brought);
        }
        self.let_go();
        progress
    }

    /// The whole machine was denied, not one secret.
    pub fn deny_all(&mut self, reason: DenialReason, message: &str) {
        for holding in self.secrets.values_mut() {
            holding.denial = Some(Denial { reason, message: message.to_owned() });
        }
        self.let_go();
    }

    /// Forgets every value.
    pub fn forget_values(&mut self) {
        for holding in self.secrets.values_mut() {
            *holding = Holding::default();
        }
    }

    /// Takes in what stands in the files.
    pub fn note_files(&mut self, standing: &[SecretVersion]) {
        for (key, holding) in &mut self.secrets {
            let versions = standing.iter().filter(|it| it.namespace == key.namespace && it.name == key.name);
            let versions: BTreeSet<_> = versions.map(|it| (&it.id, it.version)).collect();
            let held = holding.value.as_ref().map(|value| (&value.id, value.version));
            holding.in_files = held.is_some_and(|held| versions.contains(&held) && versions.len() == 1);
        }
    }

    /// Which delivery that is.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// The delivery in force.
    pub fn delivery(&self) -> Option<&Delivery> {
        self.delivery.as_ref()
    }

    /// The value of a secret that may stand in files.
    pub fn value(&self, key: &SecretKey) -> Option<&Value> {
        self.secrets.get(key)?.value.as_ref()
    }

    /// Why the last read of a secret was denied.
    pub fn denial(&self, key: &SecretKey) -> Option<&Denial> {
        self.secrets.get(key)?.denial.as_ref()
    }

    /// Whether a file of this secret may stay while nothing newer can be written.
    pub fn may_stay(&self, key: &SecretKey) -> bool {
        let denial = self.denial(key);
        denial.is_none_or(|denial| {
            self.delivery.as_ref().is_some_and(|delivery| effect(delivery, denial) == OnDenied::Keep)
        })
    }

    /// Drops the values that may not stand in files any more, as the delivery in force says it.
    fn let_go(&mut self) {
        let Some(delivery) = &self.delivery else { return };
        for holding in self.secrets.values_mut() {
            if holding.denial.as_ref().is_some_and(|denial| effect(delivery, denial) == OnDenied::Remove) {
                holding.value = None;
            }
        }
    }
}

fn effect(delivery: &Delivery, denial: &Denial) -> OnDenied {
    match denial.reason.file_effect() {
        FileEffect::Revoked => delivery.on_revoked,
        FileEffect::Closed => delivery.on_closed,
        FileEffect::Keep => OnDenied::Keep,
    }
}

impl Holding {
    fn held(&self) -> Option<Held> {
        match (&self.denial, &self.value) {
            (Some(denial), _) => Some(Held::Denied(denial.reason)),
            (None, Some(value)) => Some(Held::Version { id: value.id.clone(), version: value.version }),
            (None, None) => None,
        }
    }

    fn take(&mut self, news: News) -> Progress {
        match news {
            News::Value { id, version, field_names, value } => {
                let value = Some(Value { id, version, field_names, text: value });
                *self = Self { value, denial: None, in_files: false };
                Progress::New
            }
            News::Denied { reason, message, until: _ } => {
                let was_known = self.denial.as_ref().is_some_and(|denial| denial.reason == reason);
                self.denial = Some(Denial { reason, message: printable(&message) });
                if was_known { Progress::Repeated } else { Progress::New }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::sync::{File, Format, Input};

    use super::*;

    fn key(name: &str) -> SecretKey {
        SecretKey { namespace: "shop".into(), name: name.into() }
    }

    fn delivery(on_revoked: OnDenied, on_closed: OnDenied, secrets: &[&str]) -> Delivery {
        let file = |name: &&str| File {
            path: (*name).to_owned(),
            format: Format::Raw,
            mode: 0o444,
            optional: false,
            inputs: vec![Input { secret: key(name), field: None, alias: None }],
            template: None,
            pkcs12: None,
        };
        Delivery {
            on_revoked,
            on_closed,
            max_staleness_seconds: 60,
            on_change: None,
            files: secrets.iter().map(file).collect(),
        }
    }

    fn value(version: u64) -> News {
        News::Value {
            id: "sk_a".parse().unwrap(),
            version,
            field_names: vec![],
            value: SecretText::new(format!("value {version}")),
        }
    }

    fn denied(reason: DenialReason) -> News {
        News::Denied { reason, message: "because".into(), until: None }
    }

    fn answer(delivery: Option<Delivery>, secrets: Vec<(&str, News)>) -> Synced {
        Synced {
            delivery_revision: "r1".into(),
            delivery,
            secrets: secrets.into_iter().map(|(name, news)| (key(name), news)).collect(),
            next_sync_millis: 0,
            identity_expires_at: 0,
        }
    }

    fn version(holdings: &Holdings) -> Option<u64> {
        holdings.value(&key("db")).map(|value| value.version)
    }

    #[test]
    fn a_denial_removes_or_keeps_by_its_reason_and_by_the_delivery() {
        use DenialReason as R;
        use OnDenied::{Keep, Remove};
        for (reason, on_revoked, on_closed, stays) in [
            (R::NotGranted, Remove, Keep, false),
            (R::NotGranted, Keep, Remove, true),
            (R::GrantExpired, Remove, Keep, false),
            (R::MachineSuspended, Remove, Keep, false),
            (R::MachineNotApproved, Remove, Keep, false),
            (R::PolicyEnded, Remove, Keep, false),
            (R::PolicyMissing, Remove, Keep, false),
            (R::OutsideTimeWindow, Keep, Remove, false),
            (R::OutsideTimeWindow, Remove, Keep, true),
            (R::AddressNotAllowed, Keep, Remove, false),
            (R::RateCapReached, Remove, Remove, true),
            (R::CoSignMissing, Remove, Remove, true),
            (R::CoSignRefused, Remove, Remove, true),
            (R::ProjectFrozen, Remove, Remove, true),
            (R::LockedOut, Remove, Remove, true),
            (R::AccountNotActive, Remove, Remove, true),
            (R::Other, Remove, Remove, true),
        ] {
            let mut holdings = Holdings::default();
            holdings.take(answer(Some(delivery(on_revoked, on_closed, &["db"])), vec![("db", value(1))]));
            holdings.take(answer(None, vec![("db", denied(reason))]));
            assert_eq!(version(&holdings), stays.then_some(1), "{reason:?} {on_revoked:?} {on_closed:?}");
            assert_eq!(holdings.may_stay(&key("db")), stays, "{reason:?} {on_revoked:?} {on_closed:?}");
            assert_eq!(holdings.ask(0).held[&key("db")], Held::Denied(reason));
            holdings.take(answer(None, vec![("db", value(2))]));
            assert_eq!((version(&holdings), holdings.denial(&key("db"))), (Some(2), None));
        }
    }

    #[test]
    fn a_delivery_that_becomes_stricter_removes_what_an_earlier_denial_kept() {
        let mut holdings = Holdings::default();
        holdings.take(answer(Some(delivery(OnDenied::Keep, OnDenied::Keep, &["db"])), vec![("db", value(1))]));
        holdings.take(answer(None, vec![("db", denied(DenialReason::NotGranted))]));
        assert_eq!(version(&holdings), Some(1));
        holdings.take(answer(Some(delivery(OnDenied::Remove, OnDenied::Keep, &["db"])), vec![]));
        assert_eq!(version(&holdings), None);
    }

    #[test]
    fn it_asks_with_what_it_holds_and_nothing_else() {
        let mut holdings = Holdings::default();
        let first = holdings.ask(0);
        assert_eq!((first.delivery_revision, first.held.len(), first.wait_seconds), (None, 0, 0));
        let both = delivery(OnDenied::Remove, OnDenied::Remove, &["db", "tls"]);
        holdings.take(answer(Some(both), vec![("db", value(7)), ("uncalled-for", value(1))]));
        let second = holdings.ask(55);
        assert_eq!(second.delivery_revision.as_deref(), Some("r1"));
        assert_eq!(second.held.len(), 1, "nothing is known of tls, and nobody needs uncalled-for");
        assert_eq!(second.held[&key("db")], Held::Version { id: "sk_a".parse().unwrap(), version: 7 });
        holdings.take(answer(Some(delivery(OnDenied::Remove, OnDenied::Remove, &["tls"])), vec![]));
        assert!(holdings.value(&key("db")).is_none(), "a value that no file needs any more is not kept");
    }

    #[test]
    fn it_says_which_of_what_it_holds_stands_in_no_file_or_beside_an_older_version() {
        let standing = |name: &str, version| SecretVersion {
            id: "sk_a".parse().unwrap(),
            namespace: "shop".into(),
            name: name.into(),
            field: None,
            version,
        };
        let mut holdings = Holdings::default();
        let both = delivery(OnDenied::Remove, OnDenied::Remove, &["db", "tls"]);
        holdings.take(answer(Some(both), vec![("db", value(7)), ("tls", value(2))]));
        let missing = |holdings: &Holdings| {
            holdings.ask(0).not_in_files.into_iter().map(|key| key.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(missing(&holdings), "db tls", "nothing is written yet");
        for (files, expected) in [
            (vec![standing("db", 7), standing("tls", 2)], ""),
            (vec![standing("db", 7)], "tls"),
            (vec![standing("db", 6), standing("tls", 2)], "db"),
            (vec![standing("db", 7), standing("db", 6), standing("tls", 2)], "db"),
            (vec![], "db tls"),
        ] {
            holdings.note_files(&files);
            assert_eq!(missing(&holdings), expected, "{files:?}");
        }
        holdings.note_files(&[standing("db", 7), standing("tls", 2)]);
        holdings.take(answer(None, vec![("db", value(8))]));
        assert_eq!(missing(&holdings), "db");
        holdings.take(answer(None, vec![("tls", denied(DenialReason::CoSignMissing))]));
        assert_eq!(missing(&holdings), "db", "what is denied and stays, stays");
    }

    #[test]
    fn an_answer_is_new_unless_it_repeats_denials() {
        use DenialReason::{CoSignMissing, CoSignRefused};
        let mut holdings = Holdings::default();
        assert_eq!(holdings.take(answer(None, vec![])), Progress::None);
        let db = delivery(OnDenied::Remove, OnDenied::Remove, &["db"]);
        assert_eq!(holdings.take(answer(Some(db), vec![])), Progress::New);
        for (news, progress) in [
            (denied(CoSignMissing), Progress::New),
            (denied(CoSignMissing), Progress::Repeated),
            (denied(CoSignRefused), Progress::New),
            (denied(CoSignMissing), Progress::New),
            (value(1), Progress::New),
            (denied(CoSignMissing), Progress::New),
        ] {
            assert_eq!(holdings.take(answer(None, vec![("db", news)])), progress);
        }
        let News::Denied { reason, .. } = denied(CoSignMissing) else { panic!() };
        let other = News::Denied { reason, message: "request 2".into(), until: None };
        assert_eq!(holdings.take(answer(None, vec![("db", other)])), Progress::Repeated);
        assert_eq!(holdings.denial(&key("db")).unwrap().message, "request 2", "the words are taken all the same");
        assert_eq!(holdings.take(answer(None, vec![("uncalled-for", value(1))])), Progress::Repeated);
    }
}
