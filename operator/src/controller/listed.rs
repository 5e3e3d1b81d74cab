//! The answer to [`Inventory`](sikkerkey_protocol::kubernetes::Inventory), of which one object is read at a time: of ten
//! thousand objects all that it says would take several times as much memory as its text.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sikkerkey_protocol::kubernetes::{Entry, Kind, ObjectKey, PodState};

use super::compare::AtServer;

/// What the server holds, as its answer says it.
#[derive(Debug, Deserialize)]
pub struct Listed<'a> {
    #[serde(borrow)]
    machines: Vec<&'a RawValue>,
    #[serde(borrow)]
    secrets: Vec<&'a RawValue>,
    #[serde(borrow)]
    grants: Vec<&'a RawValue>,
    #[serde(borrow)]
    policies: Vec<&'a RawValue>,
    /// Live machines of pods.
    pub pods: Vec<PodState>,
}

/// Of an entry what says which object it is.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    generation: i64,
}

impl<'a> Listed<'a> {
    /// Reads the answer. One of which an object cannot be read is as good as none: it must not be taken for one without that
    /// object.
    pub fn of(answer: &'a [u8]) -> serde_json::Result<Self> {
        let listed: Self = serde_json::from_slice(answer)?;
        for (_, entry) in listed.entries() {
            serde_json::from_str::<Named<'_>>(entry.get())?;
        }
        Ok(listed)
    }

    fn of_kind(&self, kind: Kind) -> &[&'a RawValue] {
        match kind {
            Kind::Machine => &self.machines,
            Kind::Secret => &self.secrets,
            Kind::Grant => &self.grants,
            Kind::AccessPolicy => &self.policies,
        }
    }

    fn entries(&self) -> impl Iterator<Item = (Kind, &'a RawValue)> {
        let kinds = [Kind::Machine, Kind::Secret, Kind::Grant, Kind::AccessPolicy];
        kinds.into_iter().flat_map(|kind| self.of_kind(kind).iter().map(move |entry| (kind, *entry)))
    }

    /// All objects, without their states.
    pub fn objects(&self) -> impl Iterator<Item = AtServer> {
        self.entries().filter_map(|(kind, entry)| {
            // Each was read once already.
            let Named { object } = serde_json::from_str(entry.get()).ok()?;
            let key = ObjectKey { namespace: object.namespace.into_owned(), name: object.name.into_owned() };
            Some(AtServer { kind, key, uid: object.uid.into_owned(), generation: object.generation })
        })
    }

    /// The objects of a kind, each as it stands.
    pub fn states<S: DeserializeOwned>(&self, kind: Kind) -> impl Iterator<Item = serde_json::Result<Entry<S>>> {
        self.of_kind(kind).iter().map(|entry| serde_json::from_str(entry.get()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sikkerkey_protocol::kubernetes::GrantState;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "it is made where it is given")]
    fn grant(object: Value) -> Value {
        let state = json!({"machineId": null, "granted": ["db"], "missing": [], "usage": {"reads": 0, "denied": 0}});
        json!({"object": object, "state": state})
    }

    fn object(name: &str) -> Value {
        json!({"namespace": "shop", "name": name, "namespaceUid": "n", "uid": "u", "generation": 2})
    }

    fn answer(grants: &[Value]) -> Vec<u8> {
        let answer = json!({"machines": [], "secrets": [], "grants": grants, "policies": [], "pods": []});
        serde_json::to_vec(&answer).unwrap()
    }

    #[test]
    fn each_object_is_told_and_then_how_it_stands() {
        let answer = answer(&[grant(object("a")), grant(object("b"))]);
        let listed = Listed::of(&answer).unwrap();
        let told: Vec<_> = listed.objects().map(|it| (it.kind, it.key.name, it.uid, it.generation)).collect();
        let grant = |name: &str| (Kind::Grant, name.to_owned(), "u".to_owned(), 2);
        assert_eq!(told, [grant("a"), grant("b")]);
        let states: Vec<Entry<GrantState>> = listed.states(Kind::Grant).collect::<Result<_, _>>().unwrap();
        let granted: Vec<_> = states.iter().map(|it| (it.object.key.name.as_str(), it.state.granted.len())).collect();
        assert_eq!((granted, listed.states::<GrantState>(Kind::Machine).count()), (vec![("a", 1), ("b", 1)], 0));
    }

    #[test]
    fn an_answer_with_an_object_that_cannot_be_read_is_none() {
        let mut nameless = object("b");
        nameless.as_object_mut().unwrap().remove("uid");
        let error = Listed::of(&answer(&[grant(object("a")), grant(nameless)])).unwrap_err();
        assert!(error.to_string().starts_with("missing field `uid`"), "{error}");
        assert!(Listed::of(br#"{"machines": []}"#).is_err());
    }
}
