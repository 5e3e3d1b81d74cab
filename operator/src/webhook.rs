//! The admission webhook: injects the sidecar into pods, refuses objects of our kinds that a schema cannot refuse.
//!
//! # The way of one review
//!
//! [`review`] reads the body. A pod goes to [`inject`], one of our kinds to [`validate`]; both are pure. What they need
//! to know of the cluster, and what holds the pod's app back ([`gate`]), comes from memory; only a Machine that is not
//! there is asked for, once ([`machines`]). The answer holds a patch, a refusal or warnings. Nothing is written anywhere,
//! so a dry run is the same as any other.
//!
//! # Failure modes
//!
//! A body that is no review is a 400 with the reason. A Machine that cannot be looked up in time refuses the pod with a
//! 503, which whoever made it retries. The configuration says `failurePolicy: Fail`, limited to pods with our label.

pub mod assume;
pub mod gate;
pub mod inject;
pub mod injected;
pub mod machines;
pub mod patch;
pub mod pod_view;
mod quantity;
pub mod refusal;
pub mod resources;
pub mod review;
pub mod sidecar;
pub mod validate;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use sikkerkey_crds::names::{GROUP, MACHINE_LABEL};
use sikkerkey_traces::parent;

use self::gate::Gate;
use self::inject::Warning;
use self::machines::Machines;
use self::refusal::Refusal;
use self::review::{Answer, Malformed, Request, Verb};
use self::sidecar::{Settings, Traces};
use self::validate::{Bulk, Invalid, Surroundings};
use crate::ca::TrustBundle;
use crate::clock::Clock;
use crate::index::Index;

/// What the webhook knows.
#[derive(Debug)]
pub struct Webhook {
    /// About sidecars.
    pub settings: Settings,
    /// About Machines.
    pub machines: Arc<Machines>,
    /// What is known of the cluster.
    pub index: Arc<Index>,
    /// What sidecars shall trust.
    pub trust: TrustBundle,
    /// The time.
    pub clock: Clock,
}

impl Webhook {
    /// Answers a review of a pod.
    pub async fn mutate(&self, body: &[u8]) -> Result<(Vec<u8>, Answer), Malformed> {
        let request = review::read(body)?;
        let answer = self.inject(&request).await?;
        Ok((review::write(&request.uid, &answer)?, answer))
    }

    /// Answers a review of one of our kinds.
    pub fn validate(&self, body: &[u8]) -> Result<(Vec<u8>, Answer), Malformed> {
        let request = review::read(body)?;
        let answer = self.check(&request)?;
        Ok((review::write(&request.uid, &answer)?, answer))
    }

    async fn inject(&self, request: &Request<'_>) -> Result<Answer, Malformed> {
        let is_pod = request.kind.group.is_empty() && request.kind.kind == "Pod";
        let is_whole = request.sub_resource.as_deref().is_none_or(str::is_empty);
        if !is_pod || !is_whole || request.operation != Verb::Create {
            return Ok(Answer::admit());
        }
        let namespace = request.required_namespace()?;
        let pod = inject::read_pod(request.required_object()?.get())?;
        let Some(name) = pod.metadata.labels.as_ref().and_then(|labels| labels.get(MACHINE_LABEL)) else {
            return Ok(Answer::admit());
        };
        let machine = match self.machines.find(namespace, name).await {
            Ok(machine) => machine,
            Err(refusal) => return Ok(refuse(&refusal)),
        };
        let trust = self.trust.pem();
        let gate = machine.as_deref().map_or(Gate::Hook, |it| Gate::of(it, &self.index, self.clock.now()));
        let settings = self.settings_now();
        Ok(match inject::inject(&pod, namespace, machine.as_deref(), &settings, &trust, gate) {
            Ok(injection) => Answer::Admit {
                patch: injection.patch,
                warnings: injection.warnings.iter().map(Warning::to_string).collect(),
            },
            Err(refusal) => refuse(&refusal),
        })
    }

    /// What the sidecar of a pod is told that is admitted now: with traces, to which admission its start belongs.
    fn settings_now(&self) -> Cow<'_, Settings> {
        match (&self.settings.traces, parent::traceparent()) {
            (Some(traces), Some(parent)) => {
                let parent = parent.to_str().ok().map(str::to_owned);
                Cow::Owned(Settings { traces: Some(Traces { parent, ..traces.clone() }), ..self.settings.clone() })
            }
            _ => Cow::Borrowed(&self.settings),
        }
    }

    fn check(&self, request: &Request<'_>) -> Result<Answer, Malformed> {
        let is_whole = request.sub_resource.as_deref().is_none_or(str::is_empty);
        if request.kind.group != GROUP || !is_whole || !matches!(request.operation, Verb::Create | Verb::Update) {
            return Ok(Answer::admit());
        }
        let namespace = request.required_namespace()?;
        for raw in [Some(request.required_object()?), request.old_object].into_iter().flatten() {
            match validate::bulk(raw.get())? {
                Bulk::Fits => {}
                Bulk::BeingDeleted => return Ok(Answer::admit()),
                Bulk::TooLarge(invalid) => return Ok(refuse_object(invalid)),
            }
        }
        let object: Value = serde_json::from_str(request.required_object()?.get())?;
        let old: Option<Value> = request.old_object.map(|old| serde_json::from_str(old.get())).transpose()?;
        let surroundings = Surroundings { now: self.clock.now(), index: &self.index };
        Ok(match validate::validate(&request.kind.kind, namespace, &object, old.as_ref(), &surroundings) {
            Ok(warnings) => Answer::Admit { patch: Vec::new(), warnings },
            Err(invalid) => refuse_object(invalid),
        })
    }
}

fn refuse_object(invalid: Invalid) -> Answer {
    Answer::Refuse { code: 422, reason: invalid.reason.as_str(), message: invalid.message }
}

fn refuse(refusal: &Refusal) -> Answer {
    let code = if refusal.is_transient() { 503 } else { 403 };
    Answer::Refuse { code, reason: refusal.reason(), message: refusal.to_string() }
}
