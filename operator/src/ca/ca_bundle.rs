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
pub(super) async fn spread(client: &Client, bundle: &str) -> Result<usize, BundleError> {
    let mutating = spread_to::<MutatingWebhookConfiguration>(client, bundle).await?;
    let validating = spread_to::<ValidatingWebhookConfiguration>(client, bundle).await?;
    Ok(usize::from(mutating) + usize::from(validating))
}

async fn spread_to<C: Configuration>(client: &Client, bundle: &str) -> Result<bool, BundleError> {
    let failed = |verb| move |source| BundleError { verb, kind: C::kind(&()).into_owned(), source };
    let api: Api<C> = Api::all_with(client.clone(), &());
    let Some(configuration) = api.get_opt(CONFIGURATION).await.map_err(failed("read"))? else { return Ok(false) };
    let Some(patch) = plan(&configuration.webhooks(), bundle) else { return Ok(false) };
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(CONFIGURATION, &params, &Patch::Strategic(patch)).await.map_err(failed("patch"))?;
    Ok(true)
}

/// The patch that brings `bundle` to every webhook that lacks it. Its list merges by name.
fn plan(webhooks: &[(&str, &WebhookClientConfig)], bundle: &str) -> Option<Value> {
    let wanted = ByteString(bundle.as_bytes().to_vec());
    let stale = webhooks.iter().filter(|(_, client)| client.ca_bundle.as_ref() != Some(&wanted));
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
        assert_eq!(plan(&[("a", &with)], "new"), None);
        assert_eq!(
            plan(&[("a", &with), ("b", &old), ("c", &without)], "new"),
            Some(json!({"webhooks": [
                {"name": "b", "clientConfig": {"caBundle": "bmV3"}},
                {"name": "c", "clientConfig": {"caBundle": "bmV3"}},
            ]}))
        );
        assert_eq!(plan(&[], "new"), None);
    }
}
