//! The core Secret that a value is taken over from: what a look at it finds. Pure; [`read`] is what looks.
//!
//! It is read by name, and nothing of it is kept. Buffers of ours that hold a value are wiped; those of the HTTP and TLS
//! libraries are not.

pub mod read;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use sikkerkey_crds::reason::Reason;
use sikkerkey_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

use crate::controller::conditions::Verdict;
use crate::tracking;

/// The longest value that the server takes, in bytes.
const MAX_VALUE: usize = 12 * 1024;
/// The most fields of one value.
const MAX_FIELDS: usize = 64;
/// The longest name of a field that a status shows.
const MAX_FIELD_NAME: usize = 63;
/// How many names one message gives.
const SHOWN: usize = 5;

/// What a look found.
#[derive(Debug, Default)]
pub enum Original {
    /// Nobody looked: the value comes from elsewhere, or what the last look found stands.
    #[default]
    NotLooked,
    /// It may not be read.
    Disabled(Disabled),
    /// It is not there.
    Missing,
    /// It is there.
    Found(Found),
}

/// Why no core Secret is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disabled {
    /// The operator was not told to.
    SwitchedOff,
    /// The operator was told to, and has no right.
    NoRight,
    /// In its own namespace there are the keys of the operator itself.
    OwnNamespace,
}

/// A core Secret that is there.
#[derive(Debug)]
pub struct Found {
    /// Which one, in which state.
    pub marks: Marks,
    /// What there is to take.
    pub value: Result<Taking, Flaw>,
    /// Why it may not be deleted.
    pub kept_by: Option<Keeper>,
    /// Whether it is being deleted already.
    pub is_going: bool,
}

/// What tells one state of a core Secret from every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Its uid.
    pub uid: String,
    /// Its resource version.
    pub version: String,
}

/// What the server acknowledged, as this leader remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Of which state of the core Secret.
    pub marks: Marks,
    /// By which generation of our object.
    pub generation: i64,
    /// The version at the server.
    pub version: u64,
    /// Since when.
    pub since: Timestamp,
}

/// What there is to take.
#[derive(Debug)]
pub enum Taking {
    /// The server has it.
    Known,
    /// This.
    New(TakenValue),
}

/// A value, ready to be sent.
#[derive(Debug)]
pub struct TakenValue {
    /// The text; of a structured value, the JSON object.
    pub text: SecretText,
    /// Names of its fields; none for a plain value.
    pub field_names: Vec<String>,
}

/// Why nothing can be taken from a core Secret that is there. Never says what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It lacks the key.
    NoKey {
        /// The keys that it has.
        keys: Vec<String>,
    },
    /// It has no keys at all.
    NoData,
    /// The key has an empty value.
    Empty,
    /// A value that is not UTF-8.
    NotText {
        /// Of which key.
        key: String,
    },
    /// A key that is too long for the name of a field.
    LongKey {
        /// Which one.
        key: String,
    },
    /// Too many keys for one value.
    ManyKeys,
    /// The value is too long.
    TooLarge,
}

/// Why a core Secret is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// Something else manages it.
    Manager(String),
    /// Other Secrets (sks) take from it as well, and keep it or have not taken it yet.
    Others(Vec<String>),
    /// The API server does not let the operator delete it.
    Refused,
}

impl Disabled {
    /// For `Programmed`.
    pub fn verdict(self, namespace: &str) -> Verdict {
        let message = match self {
            Self::SwitchedOff => {
                "Taking over Kubernetes Secrets is switched off: set kubernetesSecretSource.enabled in the chart."
                    .to_owned()
            }
            Self::NoRight => format!(
                "The operator may not read Kubernetes Secrets of namespace {namespace}: apply the role that \
                 sikkerkey-operator manifests --kubernetes-secret-source prints."
            ),
            Self::OwnNamespace => format!(
                "Kubernetes Secrets of namespace {namespace} are not taken over: the operator's own keys are there. Use \
                 another namespace."
            ),
        };
        Verdict::fails(Reason::SourceDisabled, message)
    }
}

impl Flaw {
    /// For `ResolvedRefs`: what is named is not there.
    pub fn unresolved(&self, name: &str, key: Option<&str>) -> Option<Verdict> {
        let Self::NoKey { keys } = self else { return None };
        let key = key.unwrap_or_default();
        let has = if keys.is_empty() { "none".to_owned() } else { listed(keys) };
        let message = format!("Kubernetes Secret {name} has no key {key}; it has {has}.");
        Some(Verdict::fails(Reason::KubernetesSecretKeyNotFound, message))
    }

    /// For `Programmed`: what is there is no value.
    pub fn unusable(&self, name: &str, key: Option<&str>) -> Option<Verdict> {
        let what = match self {
            Self::NoKey { .. } => return None,
            Self::TooLarge => {
                return Some(Verdict::fails(Reason::ValueTooLarge, "The value is larger than 12 KiB."));
            }
            Self::NoData => "it has no keys. Give it a value.".to_owned(),
            Self::Empty => format!("key {} is empty. Give it a value.", key.unwrap_or_default()),
            Self::NotText { key } => format!("key {key} is not UTF-8 text. Encode it, for example in base64."),
            Self::LongKey { key } => format!(
                "key {key} is longer than the {MAX_FIELD_NAME} characters of a field. Take one key with \
                 spec.source.kubernetesSecret.key."
            ),
            Self::ManyKeys => {
                format!("it has more than {MAX_FIELDS} keys. Take one with spec.source.kubernetesSecret.key.")
            }
        };
        let message = format!("Kubernetes Secret {name} cannot be taken over: {what}");
        Some(Verdict::fails(Reason::KubernetesSecretInvalid, message))
    }
}

impl Keeper {
    /// For `Ready`.
    pub fn verdict(&self, name: &str) -> Verdict {
        let why = match self {
            Self::Manager(manager) => format!("{manager} manages it. Remove it there."),
            Self::Others(others) => {
                let others: Vec<String> = others.iter().map(|other| format!("sks/{other}")).collect();
                format!("{} take from it as well, and keep it or have not taken it yet.", listed(&others))
            }
            Self::Refused => "the API server does not let the operator. Delete it yourself.".to_owned(),
        };
        let message = format!("Kubernetes Secret {name} was not deleted: {why}");
        Verdict::holds_with(Reason::OriginalKept, message)
    }
}

fn listed(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(SHOWN).cloned().collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}

/// A core Secret as the API server sends it: what is needed of it. Its annotations may repeat its values, so of them there
/// are only the keys.
#[derive(Debug, Deserialize)]
pub struct CoreSecret {
    metadata: Metadata,
    #[serde(default)]
    data: Option<BTreeMap<String, SecretText>>,
    #[serde(default, rename = "type")]
    type_: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    uid: String,
    resource_version: String,
    #[serde(default)]
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "annotations", deserialize_with = "keys")]
    annotation_keys: Vec<String>,
    #[serde(default)]
    owner_references: Option<Vec<Owner>>,
}

#[derive(Debug, Deserialize)]
struct Owner {
    kind: String,
    name: String,
}

#[expect(clippy::zero_sized_map_values, reason = "the values must not be kept")]
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let map: Option<BTreeMap<String, IgnoredAny>> = Option::deserialize(deserializer)?;
    Ok(map.into_iter().flat_map(BTreeMap::into_keys).collect())
}

impl CoreSecret {
    /// Which one, in which state.
    pub fn marks(&self) -> Marks {
        Marks { uid: self.metadata.uid.clone(), version: self.metadata.resource_version.clone() }
    }

    /// Whether it is being deleted.
    pub fn is_going(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Who else manages it: an owner, what applied it, or what keeps Secrets of its type.
    pub fn manager(&self) -> Option<String> {
        if let Some(owner) = self.metadata.owner_references.iter().flatten().next() {
            return Some(format!("{} {}", owner.kind, owner.name));
        }
        let none = BTreeMap::new();
        let labels = self.metadata.labels.as_ref().unwrap_or(&none);
        let annotations = self.metadata.annotation_keys.iter().map(String::as_str);
        tracking::manager(labels, annotations).or_else(|| match self.type_.as_deref() {
            Some("helm.sh/release.v1") => Some("Helm".to_owned()),
            Some("kubernetes.io/service-account-token") => Some("the token controller of Kubernetes".to_owned()),
            _ => None,
        })
    }

    /// The value of one key, or of all as fields.
    pub fn value(&self, key: Option<&str>) -> Result<TakenValue, Flaw> {
        let none = BTreeMap::new();
        let data = self.data.as_ref().unwrap_or(&none);
        match key {
            Some(key) => {
                let keys = || data.keys().cloned().collect();
                let value = data.get(key).ok_or_else(|| Flaw::NoKey { keys: keys() })?;
                match decoded(key, value)? {
                    text if text.is_empty() => Err(Flaw::Empty),
                    text if text.len() > MAX_VALUE => Err(Flaw::TooLarge),
                    text => Ok(TakenValue { text: text.into(), field_names: Vec::new() }),
                }
            }
            None => structured(data),
        }
    }
}

fn structured(data: &BTreeMap<String, SecretText>) -> Result<TakenValue, Flaw> {
    if data.is_empty() {
        return Err(Flaw::NoData);
    }
    if data.len() > MAX_FIELDS {
        return Err(Flaw::ManyKeys);
    }
    if let Some(key) = data.keys().find(|key| key.len() > MAX_FIELD_NAME) {
        return Err(Flaw::LongKey { key: key.clone() });
    }
    let fields = data.iter().map(|(key, value)| Ok((key.as_str(), decoded(key, value)?)));
    let fields: BTreeMap<&str, Zeroizing<String>> = fields.collect::<Result<_, Flaw>>()?;
    let length: usize = fields.values().map(|text| text.len()).sum();
    if length > MAX_VALUE {
        return Err(Flaw::TooLarge);
    }
    // Room for all of it, escapes too: a buffer that grows leaves copies behind.
    let room = 6 * length + fields.len() * (MAX_FIELD_NAME + 6) + 2;
    let mut json = Zeroizing::new(Vec::with_capacity(room));
    let plain: BTreeMap<&str, &str> = fields.iter().map(|(key, text)| (*key, text.as_str())).collect();
    // Into memory, of strings: it cannot fail.
    serde_json::to_writer(&mut *json, &plain).map_err(|_| Flaw::TooLarge)?;
    if json.len() > MAX_VALUE {
        return Err(Flaw::TooLarge);
    }
    let text = String::from_utf8(std::mem::take(&mut *json)).map_err(|_| Flaw::TooLarge)?;
    Ok(TakenValue { text: SecretText::new(text), field_names: data.keys().cloned().collect() })
}

fn decoded(key: &str, value: &SecretText) -> Result<Zeroizing<String>, Flaw> {
    let flaw = || Flaw::NotText { key: key.to_owned() };
    let mut bytes = STANDARD.decode(value.expose()).map(Zeroizing::new).map_err(|_| flaw())?;
    // Before it is taken: the error of a conversion would keep the bytes.
    std::str::from_utf8(&bytes).map_err(|_| flaw())?;
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|_| flaw())
}

#[cfg(test)]
mod tests;
