//! The `caBundle` of the two webhook configurations. The operator is the only writer of it: a chart leaves it out, so no
//! tool fights over it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sikkerkey_crds::names::FIELD_MANAGER;
use thiserror::Error;

/// Name of both webhook configurations.
pub const CONFIGURATION: &str = "sikkerkey";

/// A webhook configuration could not be read or patched.
#[derive(Debug, Error)]
#[error("could not {verb} {kind} {CONFIGURATION}")]
pub struct BundleError {
    verb: &'static str,
    kind: String,
    #[source]
    source: kube::Error,
}

/// A webhook configuration of either kind.
trait Configuration: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug {
    /// Its webhooks, by name.
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)>;
}

impl Configuration for MutatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)> {
        self.webhooks.iter().flatten().map(|webhook| (webhook.name.as_str(), &webhook.client_config)).collect()
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)> {
        self.webhooks.iter().flatten().map(|webhook| (webhook.name.as_str(), &webhook.client_config)).collect()
    }
}

/// Puts `bundle` into both configurations where it is not there yet; tells how many were changed. One that does not exist
/// is none of our business: whoever installs us makes it.
pub(super) async fn spread(client: &Client, bundle: &str, lacking: Lacking) -> Result<usize, BundleError> {
    let mutating = spread_to::<MutatingWebhookConfiguration>(client, bundle, lacking).await?;
    let validating = spread_to::<ValidatingWebhookConfiguration>(client, bundle, lacking).await?;
    Ok(usize::from(mutating) + usize::from(validating))
}

/// Which webhooks are given the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// Those that have another one or none: what a leader sees to.
    This,
    /// Those that have none at all, and so trust nobody: what any replica may see to.
    Any,
}

async fn spread_to<C: Configuration>(client: &Client, bundle: &str, lacking: Lacking) -> Result<bool, BundleError> {
    let failed = |verb| move |source| BundleError { verb, kind: C::kind(&()).into_owned(), source };
    let api: Api<C> = Api::all_with(client.clone(), &());
    let Some(configuration) = api.get_opt(CONFIGURATION).await.map_err(failed("read"))? else { return Ok(false) };
    let Some(patch) = plan(&configuration.webhooks(), bundle, lacking) else { return Ok(false) };
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(CONFIGURATION, &params, &Patch::Strategic(patch)).await.map_err(failed("patch"))?;
    Ok(true)
}

/// The patch that brings `bundle` to every webhook that lacks it. Its list merges by name.
fn plan(webhooks: &[(&str, &WebhookClientConfig)], bundle: &str, lacking: Lacking) -> Option<Value> {
    let wanted = ByteString(bundle.as_bytes().to_vec());
    let stale = webhooks.iter().filter(|(_, client)| match (&client.ca_bundle, lacking) {
        (None, _) => true,
        (Some(found), Lacking::This) => *found != wanted,
        (Some(_), Lacking::Any) => false,
    });
    let encoded = STANDARD.encode(bundle);
    let entries: Vec<Value> =
        stale.map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": encoded}})).collect();
    (!entries.is_empty()).then(|| json!({"webhooks": entries}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_webhooks_without_the_bundle_are_patched() {
        let with = WebhookClientConfig { ca_bundle: Some(ByteString(b"new".to_vec())), ..Default::default() };
        let old = WebhookClientConfig { ca_bundle: Some(ByteString(b"old".to_vec())), ..Default::default() };
        let without = WebhookClientConfig::default();
        let all = [("a", &with), ("b", &old), ("c", &without)];
        assert_eq!(plan(&all[..1], "new", Lacking::This), None);
        assert_eq!(
            plan(&all, "new", Lacking::This),
            Some(json!({"webhooks": [
                {"name": "b", "clientConfig": {"caBundle": "bmV3"}},
                {"name": "c", "clientConfig": {"caBundle": "bmV3"}},
            ]}))
        );
        assert_eq!(
            plan(&all, "new", Lacking::Any),
            Some(json!({"webhooks": [{"name": "c", "clientConfig": {"caBundle": "bmV3"}}]})),
            "whoever does not lead may be behind a change of the root"
        );
        assert_eq!(plan(&all[..2], "new", Lacking::Any), None);
        assert_eq!(plan(&[], "new", Lacking::This), None);
    }
}
