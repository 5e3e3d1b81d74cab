//! The objects in every state of the contract, as the operator's crate keeps them.

use serde::Deserialize;
use serde_json::Value;
use sikkerkey_e2e::yaml;

/// An object in a state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// The object, with its status. Its name is that of the state.
    pub(crate) object: Value,
    /// The Event that tells of the state.
    pub(crate) event: Option<Told>,
}

/// An Event.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) reason: String,
    pub(crate) note: String,
}

impl State {
    /// The state's name.
    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap()
    }

    /// A condition of the status.
    pub(crate) fn condition(&self, type_: &str) -> Option<&Value> {
        let conditions = self.object["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == type_)
    }
}

/// A kind, with its states.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) states: Vec<State>,
}

/// The four kinds.
pub(crate) fn kinds() -> [Kind; 4] {
    [
        kind("Machine", "machines", include_str!("../../../operator/tests/golden/states/machines.yaml")),
        kind("Secret", "secrets", include_str!("../../../operator/tests/golden/states/secrets.yaml")),
        kind("Grant", "grants", include_str!("../../../operator/tests/golden/states/grants.yaml")),
        kind(
            "AccessPolicy",
            "accesspolicies",
            include_str!("../../../operator/tests/golden/states/accesspolicies.yaml"),
        ),
    ]
}

fn kind(name: &'static str, plural: &'static str, text: &str) -> Kind {
    let states: Vec<State> = yaml::documents(text).unwrap();
    assert!(states.len() > 10 && states.iter().all(|state| state.object["kind"] == name), "{name}");
    Kind { name, plural, states }
}
