//! `admin policy …`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::policy::PolicyDocument;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::decision::Context;
use crate::live::World;
use crate::refusal::Refusal;
use crate::usecase::admin::policy;

/// Access policies: when, from where and how often a secret may be read.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Puts a policy in force, or replaces what it says.
    Set {
        /// The project's id or name.
        #[arg(long)]
        project: String,
        /// The policy's name.
        #[arg(long)]
        name: String,
        /// A file with the policy in JSON, such as {"rateCap":{"perMinute":10,"countedBy":"Machine"}}; server/README.md has
        /// one with every axis.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Removes a policy that guards nothing any more.
    Delete {
        /// The project's id or name.
        #[arg(long)]
        project: String,
        /// The policy's name.
        #[arg(long)]
        name: String,
    },
    /// Lets a policy guard a secret of its project, in place of any other.
    Bind {
        /// The secret's id.
        id: SecretId,
        /// The policy's name.
        #[arg(long)]
        policy: String,
    },
    /// Takes the policy off a secret.
    Unbind {
        /// The secret's id.
        id: SecretId,
    },
    /// Lets agents, operators among them, tighten a policy at most: none loosens it, takes it off a secret or removes it.
    Protect {
        /// The project's id or name.
        #[arg(long)]
        project: String,
        /// The policy's name.
        #[arg(long)]
        name: String,
    },
    /// Lets agents change a policy as they like again.
    Unprotect {
        /// The project's id or name.
        #[arg(long)]
        project: String,
        /// The policy's name.
        #[arg(long)]
        name: String,
    },
    /// Lists the policies.
    List,
}

/// A command with the policy of the file that it named.
#[derive(Debug, Serialize, Deserialize)]
pub enum PolicyRequest {
    /// See [`Policy::Set`].
    Set {
        /// The project.
        project: String,
        /// The policy.
        name: String,
        /// What it says.
        document: Box<PolicyDocument>,
    },
    /// See [`Policy::Delete`].
    Delete {
        /// The project.
        project: String,
        /// The policy.
        name: String,
    },
    /// See [`Policy::Bind`] and [`Policy::Unbind`].
    Bind {
        /// The secret.
        id: SecretId,
        /// The policy; none takes it off.
        policy: Option<String>,
    },
    /// See [`Policy::Protect`] and [`Policy::Unprotect`].
    Protect {
        /// The project.
        project: String,
        /// The policy.
        name: String,
        /// Whether it is to be protected.
        protected: bool,
    },
    /// See [`Policy::List`].
    List,
}

impl Policy {
    pub(super) fn into_request(self) -> anyhow::Result<PolicyRequest> {
        Ok(match self {
            Self::Set { project, name, file } => {
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read the policy from {}", file.display()))?;
                let document = serde_json::from_str(&text)
                    .with_context(|| format!("{} is not a policy in JSON", file.display()))?;
                PolicyRequest::Set { project, name, document: Box::new(document) }
            }
            Self::Delete { project, name } => PolicyRequest::Delete { project, name },
            Self::Bind { id, policy } => PolicyRequest::Bind { id, policy: Some(policy) },
            Self::Unbind { id } => PolicyRequest::Bind { id, policy: None },
            Self::Protect { project, name } => PolicyRequest::Protect { project, name, protected: true },
            Self::Unprotect { project, name } => PolicyRequest::Protect { project, name, protected: false },
            Self::List => PolicyRequest::List,
        })
    }
}

pub(super) async fn execute(desk: Desk<'_>, command: PolicyRequest) -> Result<Answer, Refusal> {
    Ok(match command {
        PolicyRequest::Set { project, name, document } => {
            let shown = name.clone();
            let set = move |it: &Context<'_>| policy::set(it, &project, &name, *document);
            let revision = through(desk, "policy set", set).await?;
            let text = format!("policy {shown} is at revision {revision}");
            Answer::new(json!({ "name": shown, "revision": revision }), text)
        }
        PolicyRequest::Delete { project, name } => {
            let done = format!("policy {name} is removed");
            through(desk, "policy delete", move |it| policy::delete(it, &project, &name)).await?;
            Answer::done(done)
        }
        PolicyRequest::Bind { id, policy: name } => {
            let done = match &name {
                Some(name) => format!("policy {name} guards {id}"),
                None => format!("no policy guards {id}"),
            };
            through(desk, "policy bind", move |it| policy::bind(it, &id, name.as_deref())).await?;
            Answer::done(done)
        }
        PolicyRequest::Protect { project, name, protected: true } => {
            let done = format!("policy {name} is protected: agents may tighten it at most");
            through(desk, "policy protect", move |it| policy::protect(it, &project, &name)).await?;
            Answer::done(done)
        }
        PolicyRequest::Protect { project, name, protected: false } => {
            let shown = name.clone();
            let goes = through(desk, "policy unprotect", move |it| policy::unprotect(it, &project, &name)).await?;
            Answer::done(if goes {
                format!("policy {shown}, whose object was deleted, is removed: what names it stays locked")
            } else {
                format!("policy {shown} is not protected: agents may change and remove it")
            })
        }
        PolicyRequest::List => list(&desk.app.live.read()),
    })
}

fn protection(policy: &crate::model::policy::Policy) -> &'static str {
    match (policy.protected, policy.withdrawn) {
        (_, true) => "Withdrawn",
        (true, false) => "Protected",
        (false, false) => "",
    }
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let mut policies: Vec<_> = state.policies.values().collect();
    policies.sort_by(|a, b| (&a.project, &a.name).cmp(&(&b.project, &b.name)));
    let rows: Vec<[String; 7]> = policies
        .iter()
        .map(|it| {
            [
                it.name.clone(),
                state.projects.get(&it.project).map(|it| it.name.clone()).unwrap_or_default(),
                it.document.axes().join(", "),
                it.revision.to_string(),
                state.secrets_naming(&it.project, &it.name).count().to_string(),
                protection(it).to_owned(),
                it.managed.as_ref().map(|it| it.object.key.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    let json = policies.iter().map(|it| {
        json!({
            "name": it.name, "projectId": it.project, "revision": it.revision, "policy": it.document,
            "secretIds": state.secrets_naming(&it.project, &it.name).map(|it| &it.id).collect::<Vec<_>>(),
            "protected": it.protected, "withdrawn": it.withdrawn,
            "object": it.managed.as_ref().map(|it| it.object.key.to_string()),
        })
    });
    let headings = ["POLICY", "PROJECT", "AXES", "REVISION", "SECRETS", "PROTECTED", "OBJECT"];
    Answer::new(json!({ "policies": json.collect::<Vec<_>>() }), table(headings, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_the_readme_is_one_and_has_every_axis() {
        let readme = include_str!("../../README.md");
        let after = readme.split("every axis of it: `").nth(1).unwrap();
        let document: PolicyDocument = serde_json::from_str(
            &after.split('`').next().unwrap().replace("ID", "00000000-0000-4000-8000-000000000001"),
        )
        .unwrap();
        assert_eq!(document.axes().len(), 6);
        crate::policy::check(&document).unwrap();
    }
}
