//! An object as the index keeps it: what it refers to, what it asks for, and what it shows to others.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::Store;
use kube::{Resource as KubeResource, ResourceExt};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::condition::{Condition, ConditionStatus, ConditionType, find};
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret;
use sikkerkey_crds::word::Word;

use super::Index;
use super::references::{Resource, Target};

/// One of our objects, or why it does not parse: one that does not must not hide the others.
#[derive(Clone, Debug)]
pub struct Seen<K>(pub Result<Arc<Received<K>>, Box<InvalidObject>>);

impl<K: Kind> From<DeserializeGuard<Received<K>>> for Seen<K> {
    fn from(guard: DeserializeGuard<Received<K>>) -> Self {
        Self(guard.0.map(Arc::new).map_err(Box::new))
    }
}

impl<K: Kind> Seen<K> {
    /// Whether nobody has said anything of its newest generation, as far as its status can be read.
    pub fn is_news(&self) -> bool {
        let said_of =
            |received: &Arc<Received<K>>| find(received.object.conditions(), ConditionType::Ready)?.observed_generation;
        self.0.as_ref().ok().and_then(said_of) != self.meta().generation
    }
}

/// Takes out what nobody here reads. Of ten thousand objects that is more than what is left. The labels of a namespace say
/// whether it is managed.
pub(super) fn slim(resource: Resource, meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    meta.labels = meta.labels.take().filter(|_| resource == Resource::Namespace);
    meta.owner_references = None;
    meta.annotations = None;
}

impl<K: Kind> KubeResource for Seen<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(received) => received.meta(),
            Err(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(received) => Arc::make_mut(received).meta_mut(),
            Err(invalid) => &mut invalid.metadata,
        }
    }
}

/// What makes a pass over the object itself necessary. Neither its status nor its finalizer: both are ours, and writing
/// them must not cause another pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks {
    is: Is,
}

/// What others look at: a change of it makes a pass over them necessary. Counters are not among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shows {
    is: Is,
    /// Whether it was looked at, accepted and put in force, and why not.
    stands: Vec<(ConditionStatus, Word)>,
    tells: Vec<String>,
}

/// Which object, in which generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Is {
    uid: Option<String>,
    generation: Option<i64>,
    being_deleted: bool,
}

impl Is {
    fn of(meta: &ObjectMeta) -> Self {
        Self { uid: meta.uid.clone(), generation: meta.generation, being_deleted: meta.deletion_timestamp.is_some() }
    }
}

impl Asks {
    fn of(meta: &ObjectMeta) -> Self {
        Self { is: Is::of(meta) }
    }
}

impl Shows {
    fn of(meta: &ObjectMeta, conditions: &[Condition], tells: Vec<String>) -> Self {
        let looked_at = [ConditionType::Accepted, ConditionType::Programmed];
        let stands = looked_at.into_iter().filter_map(|type_| find(conditions, type_));
        Self {
            is: Is::of(meta),
            stands: stands.map(|condition| (condition.status, condition.reason.clone())).collect(),
            tells,
        }
    }
}

/// Whether the object has been looked at since it exists, and since its namespace is managed: one in a namespace that is not
/// is not found.
pub fn is_pending(conditions: &[Condition]) -> bool {
    let not_yet = [Reason::Pending, Reason::NamespaceNotManaged].map(Reason::as_str);
    find(conditions, ConditionType::Ready).is_none_or(|ready| not_yet.contains(&ready.reason.as_str()))
}

/// What the index needs to know of an object.
pub trait Indexed: KubeResource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Which resource it is of.
    const RESOURCE: Resource;

    /// Where the index keeps it.
    fn store(index: &Index) -> &Store<Self>;

    /// What it refers to, by name.
    fn refers_to(&self) -> Vec<Target> {
        Vec::new()
    }

    /// What makes a pass over itself necessary.
    fn asks(&self) -> Asks {
        Asks::of(self.meta())
    }

    /// What others look at.
    fn shows(&self) -> Shows {
        Shows::of(self.meta(), &[], Vec::new())
    }

    /// Which object it is, in which generation.
    fn is(&self) -> Is {
        Is::of(self.meta())
    }

    /// Whether its first status is still to come.
    fn is_to_come(&self) -> bool {
        false
    }

    /// Its place.
    fn target(&self) -> Target {
        Target::new(Self::RESOURCE, &self.namespace().unwrap_or_default(), &self.name_any())
    }
}

/// What the index needs to know of one of the four kinds.
pub trait IndexedKind: Kind {
    /// Which resource it is of.
    const RESOURCE: Resource;

    /// Where the index keeps it.
    fn store(index: &Index) -> &Store<Seen<Self>>;

    /// What it refers to, by name, from the namespace `own`.
    fn refers_to(&self, own: &str) -> Vec<Target>;

    /// What of its status others look at beside its conditions.
    fn tells(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<K: IndexedKind> Indexed for Seen<K> {
    const RESOURCE: Resource = K::RESOURCE;

    fn store(index: &Index) -> &Store<Self> {
        K::store(index)
    }

    fn refers_to(&self) -> Vec<Target> {
        let own = self.namespace().unwrap_or_default();
        self.0.as_ref().map(|received| received.object.refers_to(&own)).unwrap_or_default()
    }

    fn is_to_come(&self) -> bool {
        let is_pending = |received: &Arc<Received<K>>| is_pending(received.object.conditions());
        self.meta().deletion_timestamp.is_none() && self.0.as_ref().is_ok_and(is_pending)
    }

    fn shows(&self) -> Shows {
        match &self.0 {
            Ok(received) => Shows::of(self.meta(), received.object.conditions(), received.object.tells()),
            Err(_) => Shows::of(self.meta(), &[], Vec::new()),
        }
    }
}

impl IndexedKind for Machine {
    const RESOURCE: Resource = Resource::Machine;

    fn store(index: &Index) -> &Store<Seen<Self>> {
        &index.machines
    }

    fn refers_to(&self, own: &str) -> Vec<Target> {
        let accounts = self.spec.workload.iter().flat_map(|workload| &workload.service_account_names);
        let accounts = accounts.map(|name| Target::new(Resource::ServiceAccount, own, name));
        let files = self.spec.delivery().files();
        let inputs = files.iter().flat_map(|file| &file.secret_refs);
        let inputs = inputs.map(|input| (input.namespace_or(own), &input.name));
        let passwords = files.iter().filter_map(|file| file.pkcs12.as_ref()).map(|store| &store.password_ref);
        let passwords = passwords.map(|password| (password.namespace_or(own), &password.name));
        let secrets = inputs.chain(passwords);
        accounts.chain(secrets.map(|(namespace, name)| Target::new(Resource::Secret, namespace, name))).collect()
    }
}

impl IndexedKind for secret::Secret {
    const RESOURCE: Resource = Resource::Secret;

    fn store(index: &Index) -> &Store<Seen<Self>> {
        &index.secrets
    }

    fn refers_to(&self, own: &str) -> Vec<Target> {
        self.spec.policy_ref.iter().map(|policy| Target::new(Resource::AccessPolicy, own, &policy.name)).collect()
    }

    /// The names of its fields.
    fn tells(&self) -> Vec<String> {
        self.status.as_ref().map(|status| status.fields.clone()).unwrap_or_default()
    }
}

impl IndexedKind for Grant {
    const RESOURCE: Resource = Resource::Grant;

    fn store(index: &Index) -> &Store<Seen<Self>> {
        &index.grants
    }

    fn refers_to(&self, own: &str) -> Vec<Target> {
        let machine = &self.spec.machine_ref;
        let machine = Target::new(Resource::Machine, machine.namespace_or(own), &machine.name);
        let secrets = self.spec.secret_refs.iter().map(|secret| Target::new(Resource::Secret, own, &secret.name));
        secrets.chain([machine]).collect()
    }

    /// To which machine it gives how much.
    fn tells(&self) -> Vec<String> {
        let Some(status) = &self.status else { return Vec::new() };
        let granted = status.secrets.as_ref().and_then(|secrets| secrets.summary.clone());
        status.machine_id.clone().into_iter().chain(granted).collect()
    }
}

impl IndexedKind for AccessPolicy {
    const RESOURCE: Resource = Resource::AccessPolicy;

    fn store(index: &Index) -> &Store<Seen<Self>> {
        &index.policies
    }

    fn refers_to(&self, own: &str) -> Vec<Target> {
        let approver = self.spec.co_sign.iter().map(|co_sign| &co_sign.machine_ref);
        approver.map(|machine| Target::new(Resource::Machine, machine.namespace_or(own), &machine.name)).collect()
    }
}

impl Indexed for PartialObjectMeta<Namespace> {
    const RESOURCE: Resource = Resource::Namespace;

    fn store(index: &Index) -> &Store<Self> {
        &index.namespaces
    }
}

impl Indexed for PartialObjectMeta<ServiceAccount> {
    const RESOURCE: Resource = Resource::ServiceAccount;

    fn store(index: &Index) -> &Store<Self> {
        &index.accounts
    }
}
