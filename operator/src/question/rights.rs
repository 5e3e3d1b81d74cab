//! What a person may see, by the word of the API server.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use sikkerkey_crds::names::GROUP;

/// A right on objects of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// The verb.
    pub verb: &'static str,
    /// The resource.
    pub plural: &'static str,
    /// Its short name.
    pub short: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The object; none: all of them.
    pub name: Option<String>,
}

impl Right {
    /// The object, as people type it.
    pub fn object(&self) -> String {
        match &self.name {
            Some(name) => format!("{}/{name}", self.short),
            None => self.short.to_owned(),
        }
    }
}

/// What of an explanation a person may see beyond the two objects it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The Grants of the Secret's namespace.
    pub grants: bool,
    /// The policy that the Secret names.
    pub policy: bool,
}

/// The review that asks whether `person` has `right`.
pub(super) fn review(person: &UserInfo, right: &Right) -> SubjectAccessReview {
    let extra = person.extra.as_ref().map(|extra| extra.clone().into_iter().collect::<BTreeMap<_, _>>());
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: person.username.clone(),
            groups: person.groups.clone(),
            uid: person.uid.clone(),
            extra,
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                version: Some("*".to_owned()),
                resource: Some(right.plural.to_owned()),
                namespace: Some(right.namespace.clone()),
                name: right.name.clone(),
                verb: Some(right.verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

/// Whether `person` has `right`.
pub(super) async fn has(client: &Client, person: &UserInfo, right: &Right) -> Result<bool, kube::Error> {
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review(person, right)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
}
