//! `kubectl sikkerkey rotate`: the patch that has the server make another value, once.
//!
//! It sets `spec.rotation.olderThan` to the present time: a value from before it is replaced. So it may be applied twice, taken
//! out again or restored from Git, and no second value is made. It is printed, for Git or for whoever may apply it, and applied
//! with the rights of the person only when they say so.

use std::time::Duration;

use clap::Args;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use sikkerkey_crds::question::AskedKind;
use sikkerkey_crds::secret::{Origin, Secret};

use super::cluster::{Cluster, ClusterError, ClusterOptions};
use super::subject::{Subject, SubjectError, SubjectKind, named};
use super::{BOLD, Output, paint};
use crate::tracking;

/// Under which name the API server notes whose field it is.
const FIELD_MANAGER: &str = "kubectl-sikkerkey";

/// Which Secret gets another value.
#[derive(Args, Clone, Debug)]
pub(super) struct RotateOptions {
    /// The Secret of sikkerkey.com whose value the server makes: NAME or sks/NAME
    #[arg(value_name = "SECRET")]
    secret: String,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Apply the patch; left out: only print it
    #[arg(long)]
    yes: bool,
    /// What to print
    #[arg(short, long, value_name = "OUTPUT", value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// No value is made.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// It names nothing.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The cluster does not tell.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The person may not see it.
    #[error("you may not get sks/{name} in namespace {namespace}: ask for get on secrets.sikkerkey.com there")]
    Unreadable {
        /// Which Secret.
        name: String,
        /// Where.
        namespace: String,
    },
    /// It is not there.
    #[error("sks/{name} does not exist in namespace {namespace} (-n NAMESPACE looks at another)")]
    Missing {
        /// Which Secret.
        name: String,
        /// Where.
        namespace: String,
    },
    /// The server does not make its values.
    #[error("the server does not make the value of sks/{name}, so it makes no other: {what_to_do}")]
    NotMade {
        /// Which Secret.
        name: String,
        /// How it gets another one.
        what_to_do: String,
    },
    /// It is going.
    #[error("sks/{0} is being deleted: it gets no other value")]
    BeingDeleted(String),
    /// The person may not change it.
    #[error(
        "you may not patch sks/{name} in namespace {namespace}: ask for patch on secrets.sikkerkey.com there, or have whoever may \
         apply what this prints without --yes"
    )]
    Forbidden {
        /// Which Secret.
        name: String,
        /// Where.
        namespace: String,
    },
    /// It cannot be changed.
    #[error("cannot patch sks/{0}")]
    Patch(String, #[source] kube::Error),
}

/// What came out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rotated {
    secret: String,
    namespace: String,
    /// The version that is replaced; none while there is no value.
    version: Option<i64>,
    /// A value from before this instant is replaced.
    older_than: Timestamp,
    /// A JSON merge patch.
    patch: Value,
    applied: bool,
    /// Who applies the object.
    manager: Option<String>,
}

/// Finds the Secret, and patches it if that is wanted.
pub(super) async fn rotated(options: &RotateOptions, now: Timestamp) -> Result<Rotated, RotateError> {
    let name = name(&options.secret)?;
    let cluster = Cluster::connect(&options.cluster).await?;
    let namespace = cluster.one_namespace().to_owned();
    let secret = match cluster.one::<Secret>(&namespace, &name).await? {
        Ok(Some(secret)) => secret,
        Ok(None) => return Err(RotateError::Missing { name, namespace }),
        Err(_) => return Err(RotateError::Unreadable { name, namespace }),
    };
    let rotated = Rotated::of(&secret, namespace, options.yes, now)?;
    if options.yes {
        apply(&cluster, &secret, &rotated).await?;
    }
    Ok(rotated)
}

async fn apply(cluster: &Cluster, secret: &Secret, rotated: &Rotated) -> Result<(), RotateError> {
    let Rotated { secret: name, namespace, .. } = rotated;
    // One that was made anew meanwhile is another Secret.
    let mut patch = rotated.patch.clone();
    if let Some(fields) = patch.as_object_mut() {
        fields.insert("metadata".to_owned(), json!({"uid": secret.metadata.uid}));
    }
    let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(cluster.client(), namespace);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch(name, &params, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 403 && status.reason == "Forbidden" => {
            Err(RotateError::Forbidden { name: name.clone(), namespace: namespace.clone() })
        }
        Err(error) => Err(RotateError::Patch(name.clone(), error)),
    }
}

/// The name of the Secret.
fn name(text: &str) -> Result<String, SubjectError> {
    if !text.contains('/') {
        return named(text);
    }
    let subject = Subject::parse(text)?;
    if subject.kind != SubjectKind::Ours(AskedKind::Secret) {
        return Err(SubjectError::Other { given: text.to_owned(), expected: "NAME or sks/NAME" });
    }
    Ok(subject.name)
}

/// The next whole second: a value that was made in this one is replaced as well.
fn instant(now: Timestamp) -> Timestamp {
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let next = SignedDuration::try_from(Duration::from_secs(1)).unwrap_or_default();
    if second == now { now } else { second.checked_add(next).unwrap_or(now) }
}

impl Rotated {
    fn of(secret: &Secret, namespace: String, applied: bool, now: Timestamp) -> Result<Self, RotateError> {
        let name = secret.name_any();
        if secret.metadata.deletion_timestamp.is_some() {
            return Err(RotateError::BeingDeleted(name));
        }
        if let Some(what_to_do) = made_by_others(secret, &namespace) {
            return Err(RotateError::NotMade { name, what_to_do });
        }
        let older_than = instant(now);
        let patch = json!({"spec": {"rotation": {"olderThan": older_than.to_string()}}});
        let version = secret.status.as_ref().and_then(|status| status.version).filter(|version| *version > 0);
        let annotations = secret.annotations().keys().map(String::as_str);
        let manager = tracking::manager(secret.labels(), annotations);
        Ok(Self { secret: name, namespace, version, older_than, patch, applied, manager })
    }

    /// The page.
    pub(super) fn text(&self, colour: bool) -> String {
        let Self { secret, namespace, version, older_than, patch, applied, manager } = self;
        let version = version.map_or_else(|| "no value yet".to_owned(), |version| format!("version {version}"));
        let undone = "that changes nothing, for the value is new then";
        if *applied {
            let mut lines = vec![
                format!("sks/{secret} of namespace {namespace} has {version}, and the server makes another one."),
                format!("kubectl get sks {secret} -n {namespace} -w shows when it is there."),
            ];
            lines
                .extend(manager.iter().map(|by| format!("{by} may take spec.rotation.olderThan out again: {undone}.")));
            return lines.join("\n") + "\n";
        }
        let patch = format!("kubectl patch secrets.sikkerkey.com {secret} -n {namespace} --type merge -p '{patch}'");
        let mut lines = vec![
            format!("sks/{secret} of namespace {namespace} has {version}. This has the server make another one, once:"),
            String::new(),
            format!("  {}", paint(colour, BOLD, &patch)),
            String::new(),
            "The same in a manifest:".to_owned(),
            String::new(),
            "  spec:".to_owned(),
            "    rotation:".to_owned(),
            format!("      olderThan: \"{older_than}\""),
            String::new(),
        ];
        lines.extend(
            manager
                .iter()
                .map(|by| format!("{by} applies this object: put it there. A patch may be undone: {undone}.")),
        );
        lines.push("Nothing was changed: --yes applies the patch.".to_owned());
        lines.join("\n") + "\n"
    }
}

/// How a Secret gets another value that the server does not make.
fn made_by_others(secret: &Secret, namespace: &str) -> Option<String> {
    let name = secret.name_any();
    match secret.spec.source.origin() {
        Ok(Origin::Generate(_)) => None,
        Ok(Origin::Sealed(_)) => {
            Some(format!("seal one with kubectl sikkerkey seal --namespace {namespace} --name {name}, and apply it"))
        }
        Ok(Origin::KubernetesSecret(source)) => Some(format!("put one into Kubernetes Secret {}", source.name)),
        Ok(Origin::External(_)) => {
            let id = secret.status.as_ref().and_then(|status| status.secret_id.as_deref()).unwrap_or("ID");
            Some(format!("sikkerkey-server admin secret set {id} --value-file FILE sets one"))
        }
        Err(_) => Some("give spec.source exactly one source first".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "they are made where they are given")]
    fn secret(source: Value, metadata: Value) -> Secret {
        let mut secret = json!({"spec": {"source": source, "rotation": {"every": "720h"}}, "status": {"version": 3}});
        secret["metadata"] = json!({"name": "db", "namespace": "shop", "uid": "u"});
        for (key, value) in metadata.as_object().unwrap() {
            secret["metadata"][key] = value.clone();
        }
        serde_json::from_value(secret).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-27T12:00:00.25Z".parse().unwrap()
    }

    fn rotated(source: Value, metadata: Value, applied: bool) -> Result<Rotated, RotateError> {
        Rotated::of(&secret(source, metadata), "shop".to_owned(), applied, now())
    }

    #[test]
    fn the_page_is_the_committed_one() {
        let generated = || json!({"generate": {}});
        let tracked = || json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop"}});
        let mut new = secret(generated(), json!({}));
        new.status = None;
        let pages = [
            rotated(generated(), json!({}), false).unwrap(),
            rotated(generated(), tracked(), false).unwrap(),
            rotated(generated(), json!({}), true).unwrap(),
            rotated(generated(), tracked(), true).unwrap(),
            Rotated::of(&new, "shop".to_owned(), true, now()).unwrap(),
        ];
        let text = pages.map(|page| page.text(false)).join("---\n");
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/rotate.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap_or_default(), "UPDATE_GOLDEN=1 rewrites it");
    }

    #[test]
    fn the_patch_leaves_how_often_a_value_is_made_and_takes_a_value_of_this_very_second_along() {
        let Rotated { patch, older_than, .. } = rotated(json!({"generate": {}}), json!({}), false).unwrap();
        assert_eq!(patch, json!({"spec": {"rotation": {"olderThan": "2026-11-27T12:00:01Z"}}}));
        assert!(older_than > now());
        let whole = "2026-11-27T12:00:00Z".parse().unwrap();
        assert_eq!(instant(whole), whole);
    }

    #[test]
    fn a_value_that_the_server_does_not_make_is_refused_with_the_way_to_another_one() {
        for (source, expected) in [
            (
                json!({"sealed": {"keyID": "k", "ciphertext": "c"}}),
                "seal one with kubectl sikkerkey seal --namespace shop --name db, and apply it",
            ),
            (json!({"kubernetesSecret": {"name": "old"}}), "put one into Kubernetes Secret old"),
            (json!({"external": {}}), "sikkerkey-server admin secret set ID --value-file FILE sets one"),
            (json!({}), "give spec.source exactly one source first"),
        ] {
            match rotated(source, json!({}), true) {
                Err(RotateError::NotMade { what_to_do, .. }) => assert_eq!(what_to_do, expected),
                other => panic!("{other:?}"),
            }
        }
        let going = rotated(json!({"generate": {}}), json!({"deletionTimestamp": "2026-11-27T11:00:00Z"}), true);
        assert!(matches!(going, Err(RotateError::BeingDeleted(_))), "{going:?}");
    }

    #[test]
    fn a_secret_is_named_with_its_kind_or_without() {
        assert_eq!((name("db"), name("secret/db")), (Ok("db".to_owned()), Ok("db".to_owned())));
        let other = SubjectError::Other { given: "skm/web".into(), expected: "NAME or sks/NAME" };
        assert_eq!(name("skm/web"), Err(other));
        assert!(matches!(name("secret.v1/db"), Err(SubjectError::CoreSecret(_))));
    }
}
