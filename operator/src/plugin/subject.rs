//! Objects as people name them: `KIND/NAME`. Pure.
//!
//! `secret/NAME` means ours, as everything here does; whoever writes the group of another Secret is told.

use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::crd::Kind as _;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::names::{GROUP, VERSION};
use sikkerkey_crds::question::AskedKind;
use sikkerkey_crds::secret::Secret;

/// An object that a person names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) kind: SubjectKind,
    pub(super) name: String,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubjectKind {
    Pod,
    Ours(AskedKind),
}

/// It names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// No kind, or none that is known.
    #[error("{0:?} is no KIND/NAME: kinds are pod, skm (Machine), sks (Secret), skg (Grant), skp (AccessPolicy)")]
    Kind(String),
    /// A Secret of Kubernetes.
    #[error("{0:?} is a Kubernetes Secret: SikkerKey's are written sks/NAME")]
    CoreSecret(String),
    /// No name.
    #[error("{0:?} is not the name of an object")]
    Name(String),
    /// Something else is asked for.
    #[error("{given:?} is not what is asked about here: write {expected}")]
    Other {
        /// What was written.
        given: String,
        /// What may be.
        expected: &'static str,
    },
}

impl Subject {
    /// Reads `KIND/NAME`.
    pub(super) fn parse(text: &str) -> Result<Self, SubjectError> {
        let unknown = || SubjectError::Kind(text.to_owned());
        let (kind, name) = text.split_once('/').ok_or_else(unknown)?;
        let kind = kind.to_ascii_lowercase();
        // `secrets.v1alpha1.sikkerkey.com` as well.
        let (resource, group) = kind.split_once('.').map_or((kind.as_str(), None), |(it, group)| (it, Some(group)));
        let versioned = format!("{VERSION}.{GROUP}");
        let is_ours = group.is_none_or(|group| group == GROUP || group == versioned);
        let kind = match resource {
            "pod" | "pods" | "po" if group.is_none_or(|group| matches!(group, "v1" | "v1.")) => SubjectKind::Pod,
            "secret" | "secrets" if !is_ours => return Err(SubjectError::CoreSecret(text.to_owned())),
            _ if !is_ours => return Err(unknown()),
            "skm" | "machine" | "machines" => SubjectKind::Ours(AskedKind::Machine),
            "sks" | "secret" | "secrets" => SubjectKind::Ours(AskedKind::Secret),
            "skg" | "grant" | "grants" => SubjectKind::Ours(AskedKind::Grant),
            "skp" | "accesspolicy" | "accesspolicies" => SubjectKind::Ours(AskedKind::AccessPolicy),
            _ => return Err(unknown()),
        };
        Ok(Self { kind, name: named(name)? })
    }

    /// `KIND/NAME`, in the short form.
    pub(super) fn label(&self) -> String {
        let kind = match self.kind {
            SubjectKind::Pod => "pod",
            SubjectKind::Ours(kind) => short(kind),
        };
        format!("{kind}/{}", self.name)
    }
}

/// The short name of a kind.
pub(super) fn short(kind: AskedKind) -> &'static str {
    match kind {
        AskedKind::Machine => Machine::SHORT_NAME,
        AskedKind::Secret => Secret::SHORT_NAME,
        AskedKind::Grant => Grant::SHORT_NAME,
        AskedKind::AccessPolicy => AccessPolicy::SHORT_NAME,
    }
}

/// A name that Kubernetes may have given: it becomes part of a path.
pub(super) fn named(name: &str) -> Result<String, SubjectError> {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let is_name =
        name.len() <= 253 && edge(name.bytes().next()) && edge(name.bytes().last()) && name.bytes().all(inner);
    if is_name { Ok(name.to_owned()) } else { Err(SubjectError::Name(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_may_be_named_as_kubectl_names_it() {
        for (text, label) in [
            ("pod/web-1", "pod/web-1"),
            ("po/web-1", "pod/web-1"),
            ("pods.v1./web-1", "pod/web-1"),
            ("sks/db", "sks/db"),
            ("secret/db", "sks/db"),
            ("Secret/db.v1", "sks/db.v1"),
            ("secret.sikkerkey.com/db", "sks/db"),
            ("secrets.v1alpha1.sikkerkey.com/db", "sks/db"),
            ("skm/web", "skm/web"),
            ("machines.sikkerkey.com/web", "skm/web"),
            ("grant/web", "skg/web"),
            ("accesspolicies/hours", "skp/hours"),
        ] {
            assert_eq!(Subject::parse(text).unwrap().label(), label, "{text}");
        }
    }

    #[test]
    fn what_names_nothing_of_ours_is_told_apart() {
        for (text, refusal) in [
            ("secret.v1/db", "\"secret.v1/db\" is a Kubernetes Secret: SikkerKey's are written sks/NAME"),
            ("secrets.v1./db", "\"secrets.v1./db\" is a Kubernetes Secret: SikkerKey's are written sks/NAME"),
            ("sks/", "\"\" is not the name of an object"),
            ("sks/../web", "\"../web\" is not the name of an object"),
            ("sks/A", "\"A\" is not the name of an object"),
        ] {
            assert_eq!(Subject::parse(text).unwrap_err().to_string(), refusal);
        }
        for text in ["db", "machine.cluster.x-k8s.io/web", "deployment/web", "pod.apps/web", "\u{1b}[2J/a"] {
            let refusal = Subject::parse(text).unwrap_err();
            assert!(matches!(refusal, SubjectError::Kind(_)), "{text}");
            assert!(!refusal.to_string().contains('\u{1b}'));
        }
    }
}
