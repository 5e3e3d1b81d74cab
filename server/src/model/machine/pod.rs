//! The pod behind a machine. There are many, and what many have alike is shared among them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sikkerkey_protocol::kubernetes::PodIdentity;
use uuid::Uuid;

use crate::pool::Pool;

/// The pod behind a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodOf {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The pod.
    pub pod: Pod,
}

/// A pod, as its cluster knows it: a [`PodIdentity`] that takes little room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Box<str>,
    /// Uid.
    pub uid: PodUid,
    /// The node it runs on.
    pub node: Arc<str>,
    /// Its service account's name.
    pub service_account: Arc<str>,
}

impl PodOf {
    /// Has what others have alike in one copy with them.
    pub fn share(&mut self, names: &mut Pool<str>) {
        let Self { cluster, pod: Pod { namespace, node, service_account, .. } } = self;
        for it in [cluster, namespace, node, service_account] {
            names.share(it);
        }
    }
}

impl From<PodIdentity> for Pod {
    fn from(it: PodIdentity) -> Self {
        Self {
            namespace: it.namespace.into(),
            name: it.name.into(),
            uid: it.uid.into(),
            node: it.node.into(),
            service_account: it.service_account.into(),
        }
    }
}

impl From<&Pod> for PodIdentity {
    fn from(it: &Pod) -> Self {
        Self {
            namespace: it.namespace.as_ref().into(),
            name: it.name.as_ref().into(),
            uid: it.uid.to_string(),
            node: it.node.as_ref().into(),
            service_account: it.service_account.as_ref().into(),
        }
    }
}

/// A pod's uid. Kubernetes promises no form, and makes UUIDs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PodUid(Form);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    /// In its canonical spelling, so that the text comes back as it was.
    Uuid([u8; 16]),
    Other(Box<str>),
}

impl From<&str> for PodUid {
    fn from(text: &str) -> Self {
        let uuid = Uuid::try_parse(text).ok();
        let canonical = uuid.filter(|it| it.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text);
        Self(canonical.map_or_else(|| Form::Other(text.into()), |it| Form::Uuid(it.into_bytes())))
    }
}

impl From<String> for PodUid {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Uuid(bytes) => Uuid::from_bytes(*bytes).fmt(f),
            Form::Other(text) => text.fmt(f),
        }
    }
}

impl fmt::Debug for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodUid({self})")
    }
}

impl Serialize for PodUid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PodUid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_comes_back_letter_by_letter_whatever_its_form() {
        for text in [
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "67E55044-10B1-426F-9247-BB680E5FE0C8",
            "67e5504410b1426f9247bb680e5fe0c8",
            "{67e55044-10b1-426f-9247-bb680e5fe0c8}",
            "pod-1",
            "",
        ] {
            let uid = PodUid::from(text);
            assert_eq!(uid.to_string(), text);
            assert_eq!(serde_json::from_value::<PodUid>(text.into()).unwrap(), uid);
        }
        assert_ne!(
            PodUid::from("67e55044-10b1-426f-9247-bb680e5fe0c8"),
            PodUid::from("67E55044-10B1-426F-9247-BB680E5FE0C8"),
        );
    }

    #[test]
    fn a_pod_is_stored_as_it_travels() {
        let identity = crate::usecase::fixture::pod("u");
        let pod = Pod::from(identity.clone());
        assert_eq!(serde_json::to_value(&pod).unwrap(), serde_json::to_value(&identity).unwrap());
        assert_eq!(PodIdentity::from(&pod), identity);
    }
}
