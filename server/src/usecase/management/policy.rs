//! Access policies, and which secret each guards.

pub mod draft;
pub mod guarding;
pub mod past;
pub mod shown;

use sikkerkey_protocol::id::{FleetId, MachineId};
use sikkerkey_protocol::management::{
    BindPolicy, Binding, BoundSecret, FieldError, PolicyDeleted, PolicyDetail, PolicyList, PolicyObject, PolicyView,
};
use sikkerkey_protocol::policy::{Approver, CountedBy, PolicyDocument};

use super::{Manager, not_found};
use crate::decision::{Context, Decided};
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::model::secret::Secret;
use crate::policy::written::{self, Changes};
use crate::refusal::{Refusal, RefusalKind, conflict};
use crate::state::State;
use crate::usecase::fence;
use crate::usecase::policy::{self, Wanted, guarded};
use crate::usecase::steps::Steps;

/// The policies of a project, by name.
pub fn list(context: &Context<'_>, manager: &Manager<'_>, [project]: [&str; 1]) -> Decided<PolicyList> {
    let project = manager.project(context, project)?.id.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&project, "the policies".to_owned()));
    Ok(steps.decide(move |context| {
        let ours = context.state.policies.values().filter(|it| it.project == project);
        let mut policies: Vec<_> = ours.map(|it| view(context.state, it)).collect();
        policies.sort_by(|a, b| a.policy.name.cmp(&b.policy.name));
        PolicyList { policies }
    }))
}

/// One policy, with the secrets that it guards.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [project, policy]: [&str; 2]) -> Decided<PolicyDetail> {
    let policy = find(context, manager, project, policy)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&policy.project, format!("policy {}", policy.name)));
    Ok(steps.decide(move |context| detail(context.state, &policy)))
}

/// Makes a policy.
pub fn create(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project]: [&str; 1],
    changes: Changes,
) -> Decided<PolicyDetail> {
    put(context, manager, manager.project(context, project)?, None, changes)
}

/// Changes a policy: a field that is not given stays as it is, `null` takes one away. With another name it takes the secrets
/// along that it guards.
pub fn update(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project, policy]: [&str; 2],
    changes: Changes,
) -> Decided<PolicyDetail> {
    let policy = find(context, manager, project, policy)?;
    put(context, manager, manager.project(context, project)?, Some(policy), changes)
}

/// Removes a policy that guards nothing any more.
pub fn delete(context: &Context<'_>, manager: &Manager<'_>, [project, policy]: [&str; 2]) -> Decided<PolicyDeleted> {
    let policy = find(context, manager, project, policy)?;
    let steps = policy::remove(context, manager.author(), policy)?;
    let id = policy.id.clone();
    Ok(steps.decide(|_| PolicyDeleted { id, deleted: true }))
}

/// Which policy guards a secret.
pub fn binding(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1]) -> Decided<Binding> {
    let secret = manager.secret(context, secret)?.clone();
    let mut steps = Steps::default();
    let mut entry = manager.looked(&secret.project, format!("the policy of {}", secret.name));
    entry.secret = Some(secret.id.clone());
    steps.audit.push(entry);
    Ok(steps.decide(move |context| bound(context.state, &secret)))
}

/// Lets a policy of the same project guard a secret, in place of any other.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn bind(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1], to: BindPolicy) -> Decided<Binding> {
    let secret = manager.secret(context, secret)?;
    let policy = context.state.policies.get(&to.policy_id).filter(|it| it.project == secret.project);
    let policy = policy.ok_or_else(|| not_found("the secret's project has no policy of that id"))?;
    rebind(context, manager, secret, Some(policy))
}

/// Takes the policy off a secret: whoever is granted it reads it.
pub fn unbind(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1]) -> Decided<Binding> {
    rebind(context, manager, manager.secret(context, secret)?, None)
}

/// Which policy is to guard a secret, and which one a page showed in that place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its id; none: no policy.
    pub policy: Option<String>,
    /// The name of the other, in force or not.
    pub was: Option<String>,
}

/// Lets a policy guard a secret, or none, in place of the one that a page showed: an old page takes no stricter one
/// off.
pub fn choose(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1], choice: Choice) -> Decided<Binding> {
    let Choice { policy, was } = choice;
    if manager.secret(context, secret)?.policy != was {
        return Err(conflict("another policy guards it meanwhile, or none: open the page again"));
    }
    match policy {
        Some(policy_id) => bind(context, manager, [secret], BindPolicy { policy_id }),
        None => unbind(context, manager, [secret]),
    }
}

fn rebind(context: &Context<'_>, manager: &Manager<'_>, secret: &Secret, policy: Option<&Policy>) -> Decided<Binding> {
    let steps = policy::bind(context, manager.author(), secret, policy)?;
    let steps = manager.settle(steps, &secret.project, || format!("the policy of {}: nothing to change", secret.name));
    let secret = Secret { policy: policy.map(|it| it.name.clone()), ..secret.clone() };
    Ok(steps.decide(move |context| bound(context.state, &secret)))
}

fn put(
    context: &Context<'_>,
    manager: &Manager<'_>,
    project: &Project,
    old: Option<&Policy>,
    changes: Changes,
) -> Decided<PolicyDetail> {
    let (policy, steps) = drafted(context, manager, project, old, changes).map_err(Wrong::refusal)?;
    let steps = manager.settle(steps, &project.id, || format!("policy {}: nothing to change", policy.name));
    Ok(steps.decide(move |context| detail(context.state, &policy)))
}

/// Why a policy cannot be as it was written.
#[derive(Debug)]
pub enum Wrong {
    /// This field cannot.
    Field(FieldError),
    /// It as a whole.
    Whole(Refusal),
}

impl From<FieldError> for Wrong {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Self::Whole(refusal)
    }
}

impl Wrong {
    /// The refusal that says it.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Field(error) => Refusal::new(RefusalKind::Invalid, error.to_string()),
            Self::Whole(refusal) => refusal,
        }
    }
}

/// The policy that the changes would make, and what there is to do for it.
fn drafted(
    context: &Context<'_>,
    manager: &Manager<'_>,
    project: &Project,
    old: Option<&Policy>,
    changes: Changes,
) -> Result<(Policy, Steps), Wrong> {
    let before = old.map_or_else(PolicyObject::default, |it| object(context.state, it));
    let object = changes.onto(&before)?;
    let was = old.map(|it| &it.document);
    if let Some(namespace) = &project.namespace
        && old.is_none_or(|it| it.name != object.name)
    {
        // A Secret of that namespace that names a policy waits for an object of its namespace, and for nobody else's.
        let text = format!(
            "project {} is namespace {} of cluster {}: apply an AccessPolicy object there",
            project.name, namespace.name, namespace.cluster
        );
        return Err(Refusal::new(RefusalKind::Conflict, text).into());
    }
    // The object cannot say it: what somebody chose by other means stays.
    let counted_by = was.and_then(|it| it.rate_cap.as_ref()).map_or(CountedBy::Machine, |it| it.counted_by);
    let find = |id: &str| {
        // Whoever it was that approved, he may be gone since: that denies, and is no reason to refuse another change.
        let same = was.and_then(|it| it.co_sign.as_ref()).filter(|_| before.co_sign_machine_id.as_deref() == Some(id));
        same.map_or_else(|| approver(context.state, project, id), |it| Ok(it.approver.clone()))
    };
    let document = written::document(&object, counted_by, find)?;
    if document == PolicyDocument::default() {
        let text = "a policy without an axis restricts nothing: switch on at least one of timeWindowEnabled, \
                    ipAllowlistEnabled, rateCapEnabled and coSignEnabled, or give ttlExpiresAt, ttlMaxReads or \
                    rotateAfterReads";
        return Err(Refusal::new(RefusalKind::Invalid, text).into());
    }
    let wanted = Wanted { name: object.name.clone(), document, written: Some(object) };
    Ok(policy::put(context, manager.author(), project, old, wanted)?)
}

fn find<'s>(context: &Context<'s>, manager: &Manager<'_>, project: &str, policy: &str) -> Result<&'s Policy, Refusal> {
    let project = manager.project(context, project)?;
    let policy = context.state.policies.get(policy).filter(|it| it.project == project.id);
    policy.ok_or_else(|| not_found("this project has no policy of that id"))
}

/// Who the co-signer of an id is: a machine of the vault, or all machines of a `Machine` object of the project's cluster.
fn approver(state: &State, project: &Project, id: &str) -> Result<Approver, FieldError> {
    let wrong = |text: String| Err(FieldError::new("coSignMachineId", text));
    let machine = id.parse::<MachineId>().ok().and_then(|id| state.machines.get(&id));
    if let Some(machine) = machine.filter(|it| it.vault == project.vault) {
        if machine.pod.is_some() {
            let fleet = machine.fleet.as_ref().map_or_else(String::new, |it| format!(", for example {it}"));
            return wrong(format!("names a pod, which has another id tomorrow: name the fleet of its Machine{fleet}"));
        }
        return Ok(Approver::Machine(machine.id.clone()));
    }
    let fleet = id.parse::<FleetId>().ok().and_then(|id| state.fleets.get(&id));
    let Some(fleet) = fleet.filter(|it| it.vault == project.vault) else {
        return wrong("names no machine of this vault: give the id of one, as admin machine list shows it".to_owned());
    };
    // A policy means the objects of its own cluster, and that of a project without one means none.
    if project.namespace.as_ref().is_none_or(|it| it.cluster != fleet.managed.cluster) {
        return wrong(format!(
            "names Machine {} of cluster {}, and the project belongs to no namespace there: name a single machine",
            fleet.managed.object.key, fleet.managed.cluster
        ));
    }
    Ok(Approver::Object(fleet.managed.object.key.clone()))
}

fn detail(state: &State, policy: &Policy) -> PolicyDetail {
    let mut secrets: Vec<_> =
        guarded(state, policy).map(|it| BoundSecret { id: it.id.clone(), name: it.name.clone() }).collect();
    secrets.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    PolicyDetail { policy: view(state, policy), secrets }
}

fn view(state: &State, policy: &Policy) -> PolicyView {
    let object =
        |it: &crate::model::managed::Managed| format!("AccessPolicy {} of cluster {}", it.object.key, it.cluster);
    PolicyView {
        id: policy.id.clone(),
        project_id: policy.project.clone(),
        policy: self::object(state, policy),
        revision: policy.revision,
        protected: policy.protected,
        withdrawn: policy.withdrawn,
        managed_by: policy.managed.as_ref().map(object),
        secret_count: guarded(state, policy).count(),
    }
}

/// As it was written; else what its document says.
fn object(state: &State, policy: &Policy) -> PolicyObject {
    if let Some(written) = &policy.written {
        return written.clone();
    }
    let approver = policy.document.co_sign.as_ref().and_then(|it| match &it.approver {
        Approver::Machine(id) => Some(id.to_string()),
        Approver::Object(key) => {
            let fleet = fence::cluster_of(state, policy).and_then(|cluster| state.fleet_of(cluster, key));
            fleet.map(|it| it.id.to_string())
        }
    });
    PolicyObject::of(policy.name.clone(), &policy.document, approver)
}

pub(super) fn bound(state: &State, secret: &Secret) -> Binding {
    let name = secret.policy.as_ref();
    let policy = name.and_then(|name| state.policy_named(&secret.project, name));
    Binding {
        secret_id: secret.id.clone(),
        policy_id: policy.map(|it| it.id.clone()),
        policy_name: name.cloned(),
        in_force: policy.is_some_and(|it| !it.withdrawn),
    }
}

#[cfg(test)]
mod tests;
