//! `kubectl sikkerkey uninstall`: the way out when the operator is gone for good without its last word, and objects of ours
//! cannot be deleted because nobody lets go of them.

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;

use super::cluster::{Cluster, ClusterError, Kind, PartOptions, kinds};
use super::leader_view::LeaderView;
use super::table;
use crate::controller::finalizer;

/// How many objects are let go of at once.
const WIDTH: usize = 16;

/// Of which objects the finalizer is taken.
#[derive(Args, Clone, Debug)]
pub(super) struct UninstallOptions {
    #[command(flatten)]
    part: PartOptions,
    /// Do it; left out: only tell what would be done
    #[arg(long)]
    yes: bool,
}

/// Nothing was let go of.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// There may be an operator.
    #[error(
        "an operator may still be at work ({0}): it lets go of objects by itself when they are deleted, and of all of them when its Deployment or the definitions are. Only where it was killed this command helps"
    )]
    Operator(String),
    /// The cluster does not tell.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Takes our finalizer off the objects; what was done.
pub(super) async fn run(options: &UninstallOptions, now: Timestamp) -> Result<String, UninstallError> {
    let cluster = Cluster::connect_to(&options.part).await?;
    let namespace = &options.part.cluster.operator_namespace;
    let operator = LeaderView::of(cluster.lease(namespace).await?, namespace, now);
    if operator.may_work() {
        return Err(UninstallError::Operator(operator.to_string()));
    }
    let mut held = Vec::new();
    for kind in kinds() {
        let objects = match cluster.objects(&kind).await {
            // A definition that is gone took its objects along.
            Err(ClusterError::NoKinds) => continue,
            found => found?,
        };
        let objects = objects.into_iter().filter(|object| finalizer::is_on(&object.metadata));
        held.extend(objects.map(|object| (kind.clone(), object)));
    }
    if options.yes {
        let (cluster, each) = (&cluster, stream::iter(&held));
        let freed = each.map(|(kind, object)| cluster.let_go(kind, object)).buffer_unordered(WIDTH);
        freed.try_for_each(|()| std::future::ready(Ok(()))).await?;
    }
    Ok(told(&held, options.yes))
}

fn told(held: &[(Kind, DynamicObject)], done: bool) -> String {
    if held.is_empty() {
        return "No object is held: kubectl delete works.\n".to_owned();
    }
    let rows = held.iter().map(|(kind, object)| {
        let name = format!("{}/{}", kind.short, object.name_any());
        vec![object.namespace().unwrap_or_default(), name, if done { "let go" } else { "would be let go" }.to_owned()]
    });
    let mut lines = table::columns(&rows.collect::<Vec<_>>());
    lines.push(String::new());
    lines.push(
        if done {
            "They can be deleted now. What they gave stays in force at the server: end it there, with sikkerkey-server admin \
             machine revoke."
        } else {
            "Nothing was changed: --yes does it. An operator that comes back holds them again."
        }
        .to_owned(),
    );
    lines.join("\n") + "\n"
}
