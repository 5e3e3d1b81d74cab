//! What is asked of the server, and what a person may see of the answer. Pure.

use std::net::IpAddr;

use kube::ResourceExt;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::crd::Kind as _;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::question::{AskedKind, AskedObject, AuditQuestion, BootstrapQuestion, ExplainQuestion};
use sikkerkey_crds::secret::Secret;
use sikkerkey_protocol::explain::{Rule, RuleSays};
use sikkerkey_protocol::kubernetes::{
    AuditOf, BootstrapHost, ExplainRead, Kind, ObjectIdentity, ObjectKey, ReadExplained,
};

use super::refusal::Refusal;
use super::rights::{Right, Sight};
use crate::index::Index;
use crate::manifests::{AUDIT_VERB, BOOTSTRAP_VERB};

/// How many reads and denials are told when nobody says.
const LIMIT: i32 = 20;

/// May a Machine read a Secret?
pub(super) struct ExplainAsk(ExplainRead);

/// Who read what an object is about?
pub(super) struct AuditAsk(AuditOf);

/// What does the host of a Machine need?
pub(super) struct BootstrapAsk(BootstrapHost);

/// What a person may see beyond what they ask about.
pub(super) struct Further {
    pub(super) grants: Right,
    /// None: the Secret names no policy.
    pub(super) policy: Option<Right>,
}

fn identity(object: &AskedObject, namespace: &str) -> ObjectIdentity {
    let namespace = object.namespace.as_deref().unwrap_or(namespace).to_owned();
    ObjectIdentity { key: ObjectKey { namespace, name: object.name.clone() }, uid: object.uid.clone() }
}

fn right(verb: &'static str, kind: Kind, key: &ObjectKey) -> Right {
    let (plural, short) = names(kind);
    Right { verb, plural, short, namespace: key.namespace.clone(), name: Some(key.name.clone()) }
}

fn names(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Machine => (Machine::PLURAL, Machine::SHORT_NAME),
        Kind::Secret => (Secret::PLURAL, Secret::SHORT_NAME),
        Kind::Grant => (Grant::PLURAL, Grant::SHORT_NAME),
        Kind::AccessPolicy => (AccessPolicy::PLURAL, AccessPolicy::SHORT_NAME),
    }
}

/// Lets only the very object through: one that was made anew under its name is another.
fn check(index: &Index, kind: Kind, object: &ObjectIdentity) -> Result<(), Refusal> {
    let ObjectKey { namespace, name } = &object.key;
    let uid = match kind {
        Kind::Machine => index.machine(namespace, name).and_then(|it| it.object.uid()),
        Kind::Secret => index.secret(namespace, name).and_then(|it| it.object.uid()),
        Kind::Grant => index.grant(namespace, name).and_then(|it| it.object.uid()),
        Kind::AccessPolicy => index.policy(namespace, name).and_then(|it| it.object.uid()),
    };
    if uid.is_some_and(|uid| uid == object.uid) {
        return Ok(());
    }
    Err(Refusal::Another(format!("{}/{name} in namespace {namespace}", names(kind).1)))
}

impl ExplainAsk {
    pub(super) fn of(asked: &ExplainQuestion, namespace: &str, asked_by: String) -> Result<Self, Refusal> {
        let address: Option<IpAddr> = asked.address.as_deref().map(str::parse).transpose().map_err(|_| {
            Refusal::NoQuestion("spec.explain.address is no address, such as 10.1.2.3 or 2001:db8::1".to_owned())
        })?;
        Ok(Self(ExplainRead {
            machine: identity(&asked.machine, namespace),
            secret: identity(&asked.secret, namespace),
            pod_uid: asked.pod_uid.clone(),
            address,
            asked_by,
        }))
    }

    /// Without these nothing is answered.
    pub(super) fn rights(&self) -> [Right; 2] {
        [right("get", Kind::Machine, &self.0.machine.key), right("get", Kind::Secret, &self.0.secret.key)]
    }

    /// Without these less is answered.
    pub(super) fn further_rights(&self, index: &Index) -> Further {
        let ObjectKey { namespace, name } = &self.0.secret.key;
        let policy = index.secret(namespace, name).and_then(|it| it.spec.policy_ref.clone());
        let policy = policy.map(|it| ObjectKey { namespace: namespace.clone(), name: it.name });
        Further {
            grants: Right { name: None, ..right("list", Kind::Grant, &self.0.secret.key) },
            policy: policy.map(|key| right("get", Kind::AccessPolicy, &key)),
        }
    }

    /// The question for the server.
    pub(super) fn call(self, index: &Index) -> Result<ExplainRead, Refusal> {
        check(index, Kind::Machine, &self.0.machine)?;
        check(index, Kind::Secret, &self.0.secret)?;
        Ok(self.0)
    }
}

impl AuditAsk {
    pub(super) fn of(asked: &AuditQuestion, namespace: &str, asked_by: String) -> Self {
        let kind = match asked.kind {
            AskedKind::Machine => Kind::Machine,
            AskedKind::Secret => Kind::Secret,
            AskedKind::Grant => Kind::Grant,
            AskedKind::AccessPolicy => Kind::AccessPolicy,
        };
        let key = ObjectKey { namespace: namespace.to_owned(), name: asked.name.clone() };
        let limit = u32::try_from(asked.limit.unwrap_or(LIMIT)).unwrap_or_default();
        Self(AuditOf { kind, object: ObjectIdentity { key, uid: asked.uid.clone() }, limit, asked_by })
    }

    /// Without these nothing is answered.
    pub(super) fn rights(&self) -> [Right; 2] {
        ["get", AUDIT_VERB].map(|verb| right(verb, self.0.kind, &self.0.object.key))
    }

    /// The question for the server.
    pub(super) fn call(self, index: &Index) -> Result<AuditOf, Refusal> {
        check(index, self.0.kind, &self.0.object)?;
        Ok(self.0)
    }
}

impl BootstrapAsk {
    pub(super) fn of(asked: &BootstrapQuestion, namespace: &str, asked_by: String) -> Self {
        let key = ObjectKey { namespace: namespace.to_owned(), name: asked.name.clone() };
        let machine = ObjectIdentity { key, uid: asked.uid.clone() };
        Self(BootstrapHost { machine, token_hash: asked.token_hash.clone(), asked_by })
    }

    /// Without these nothing is answered.
    pub(super) fn rights(&self) -> [Right; 2] {
        ["get", BOOTSTRAP_VERB].map(|verb| right(verb, Kind::Machine, &self.0.machine.key))
    }

    /// The question for the server.
    pub(super) fn call(self, index: &Index) -> Result<BootstrapHost, Refusal> {
        check(index, Kind::Machine, &self.0.machine)?;
        Ok(self.0)
    }
}

/// What is told instead.
const UNSEEN_GRANT: &str = "granted; you may not list skg there, which tell by which Grant";
const UNSEEN_POLICY: &str = "you may not get the AccessPolicy, which says more";

/// The answer without what the person may not see. Why a read is denied stays: pods hear it, and statuses tell it.
pub(super) fn seen_by(mut told: ReadExplained, sight: Sight) -> ReadExplained {
    let Some(explanation) = &mut told.explanation else { return told };
    for rule in explanation.rules.iter_mut().filter(|rule| rule.says == RuleSays::Allows) {
        match rule.rule {
            Rule::Machine | Rule::Project | Rule::Value => {}
            Rule::Grant if sight.grants => {}
            Rule::Grant => UNSEEN_GRANT.clone_into(&mut rule.message),
            _ if sight.policy => {}
            _ => UNSEEN_POLICY.clone_into(&mut rule.message),
        }
    }
    // The times of a window say what the window is.
    let is_guarded = explanation.rules.iter().any(|it| it.rule == Rule::Policy && it.says != RuleSays::Off);
    if is_guarded && !sight.policy {
        explanation.changes_at = None;
    }
    told
}
