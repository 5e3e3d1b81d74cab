//! The two core Secrets that the operator owns: its CA, and the server's certificate.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use thiserror::Error;

use super::certificate::{Facts, Verdict, Why, judge};
use super::name::Name;
use super::root::{Leaf, Root, RootError, public_key_of};

/// Name of the Secret that holds the CA.
pub const CA_SECRET: &str = "sikkerkey-ca";
/// Name of the Secret that holds the server's certificate.
pub const SERVER_SECRET: &str = "sikkerkey-server-tls";

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const PREVIOUS: &str = "previous.crt";
const CROSS: &str = "cross.crt";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const LEAF_CERTIFICATE: &str = "tls.crt";
const LEAF_KEY: &str = "tls.key";

/// By this annotation on the CA's Secret a person asks for a change of root.
pub const CHANGE_ROOT: &str = "sikkerkey.com/change-root";

/// Marks what the operator made. A Secret without it was supplied by somebody else and is left alone.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "sikkerkey-operator");

/// A Secret could not be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The API server refused or did not answer.
    #[error("could not {verb} Secret {name}")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// On which.
        name: &'static str,
        /// Why it failed.
        #[source]
        source: kube::Error,
    },
    /// A key of the Secret is missing or no text.
    #[error(
        "Secret {name} has no usable {key}: restore it, or delete the Secret and restart the operator, which makes a new one (every pod with a sidecar must then be replaced)"
    )]
    Content {
        /// Which Secret.
        name: &'static str,
        /// Which key.
        key: &'static str,
    },
    /// The root does not read.
    #[error(
        "Secret {CA_SECRET} holds no usable root: restore it, or delete it and restart the operator, which makes a new one (every pod with a sidecar must then be replaced)"
    )]
    Root(#[source] RootError),
    /// A certificate could not be made.
    #[error("could not issue the server's certificate")]
    Issue(#[source] RootError),
}

/// The CA as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    /// The root, and the next one if there is one.
    pub(super) root: Root,
    /// Whether a person asks for a change of root.
    pub(super) is_change_asked: bool,
    /// Whether somebody else keeps it, such as cert-manager: then it is never changed from here.
    pub(super) is_supplied: bool,
}

/// Reads the root; makes and stores it when there is none. Whichever replica comes first wins, the others read.
pub(super) async fn root(client: &Client, namespace: &str, now: Timestamp) -> Result<Stored, StoreError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let get = || async { api.get_opt(CA_SECRET).await.map_err(failed("read", CA_SECRET)) };
    if let Some(secret) = get().await? {
        return read_root(&secret);
    }
    let root = Root::generate(now).map_err(StoreError::Issue)?;
    match api.create(&PostParams::default(), &root_secret(namespace, &root)).await {
        Ok(_) => {
            tracing::info!(secret = CA_SECRET, "made a root certificate");
            Ok(Stored { root, is_change_asked: false, is_supplied: false })
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => match get().await? {
            Some(secret) => read_root(&secret),
            None => Err(StoreError::Content { name: CA_SECRET, key: CERTIFICATE }),
        },
        Err(error) => Err(failed("create", CA_SECRET)(error)),
    }
}

/// Puts the next root beside the present one, from when on both are trusted. Not if another replica did.
pub(super) async fn announce(client: &Client, namespace: &str, now: Timestamp) -> Result<bool, StoreError> {
    change(client, namespace, |secret, root| {
        if root.next().is_some() {
            return Ok(false);
        }
        let next = Root::generate(now).map_err(StoreError::Issue)?;
        put(secret, NEXT_CERTIFICATE, Some(next.certificate_pem()));
        put(secret, NEXT_KEY, Some(&next.key_pem()));
        secret.annotations_mut().remove(CHANGE_ROOT);
        Ok(true)
    })
    .await
}

/// Gives the next root the place of the present one, which goes on to be trusted. Not if another replica did.
pub(super) async fn take_over(client: &Client, namespace: &str, now: Timestamp) -> Result<bool, StoreError> {
    change(client, namespace, |secret, root| {
        let Some(next) = root.next() else { return Ok(false) };
        put(secret, CROSS, root.certify_next(now).map_err(StoreError::Issue)?.as_deref());
        put(secret, PREVIOUS, Some(root.certificate_pem()));
        put(secret, CERTIFICATE, Some(next.certificate_pem()));
        put(secret, KEY, Some(&next.key_pem()));
        put(secret, NEXT_CERTIFICATE, None);
        put(secret, NEXT_KEY, None);
        Ok(true)
    })
    .await
}

/// Changes the CA's Secret as it is stored now: of two replicas that do so at a time one is refused.
async fn change(
    client: &Client,
    namespace: &str,
    edit: impl FnOnce(&mut Secret, &Root) -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut secret = api.get(CA_SECRET).await.map_err(failed("read", CA_SECRET))?;
    let root = read_root(&secret)?.root;
    if !edit(&mut secret, &root)? {
        return Ok(false);
    }
    api.replace(CA_SECRET, &PostParams::default(), &secret).await.map_err(failed("replace", CA_SECRET))?;
    Ok(true)
}

fn put(secret: &mut Secret, key: &str, text: Option<&str>) {
    let data = secret.data.get_or_insert_default();
    match text {
        Some(text) => data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec())),
        None => data.remove(key),
    };
}

/// What became of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerCertificate {
    /// It serves until it is renewed then.
    Kept(Timestamp),
    /// A new one was stored.
    Issued(Why),
    /// Somebody else supplies it.
    Foreign,
}

/// Sees to it that the server has a certificate for `names` under `root`.
pub(super) async fn server_certificate(
    client: &Client,
    namespace: &str,
    root: &Root,
    names: &BTreeSet<Name>,
    now: Timestamp,
) -> Result<ServerCertificate, StoreError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let present = api.get_opt(SERVER_SECRET).await.map_err(failed("read", SERVER_SECRET))?;
    if present
        .as_ref()
        .is_some_and(|secret| secret.labels().get(MANAGED_BY.0).map(String::as_str) != Some(MANAGED_BY.1))
    {
        return Ok(ServerCertificate::Foreign);
    }
    let leaf = present.as_ref().and_then(read_leaf);
    let verdict = judge(leaf.as_ref().map(|(facts, key)| (facts, key.as_slice())), root.facts(), names, now);
    let bundle = root.bundle_pem();
    let why = match verdict {
        Verdict::Keep(until) if present.as_ref().is_some_and(|secret| text(secret, CERTIFICATE) == Some(&bundle)) => {
            return Ok(ServerCertificate::Kept(until));
        }
        // What is trusted beside the root has changed: the Secret carries the bundle.
        Verdict::Keep(_) => Why::OtherRoot,
        Verdict::Issue(why) => why,
    };
    let leaf = root.issue(names, now).map_err(StoreError::Issue)?;
    let version = present.as_ref().and_then(ResourceExt::resource_version);
    let secret = server_secret(namespace, &leaf, bundle, version);
    // With the version that was read: what another replica wrote in between is not overwritten.
    if present.is_some() {
        api.replace(SERVER_SECRET, &PostParams::default(), &secret).await.map_err(failed("replace", SERVER_SECRET))?;
    } else {
        api.create(&PostParams::default(), &secret).await.map_err(failed("create", SERVER_SECRET))?;
    }
    Ok(ServerCertificate::Issued(why))
}

fn failed(verb: &'static str, name: &'static str) -> impl Fn(kube::Error) -> StoreError {
    move |source| StoreError::Api { verb, name, source }
}

fn text<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    std::str::from_utf8(&secret.data.as_ref()?.get(key)?.0).ok()
}

fn read_root(secret: &Secret) -> Result<Stored, StoreError> {
    let part = |key| text(secret, key).ok_or(StoreError::Content { name: CA_SECRET, key });
    if text(secret, KEY).is_none() && text(secret, LEAF_KEY).is_some() {
        // cert-manager keeps an authority as it keeps any certificate.
        let root = Root::parse(part(LEAF_CERTIFICATE)?, part(LEAF_KEY)?, None).map_err(StoreError::Root)?;
        return Ok(Stored { root, is_change_asked: false, is_supplied: true });
    }
    let root = Root::parse(part(CERTIFICATE)?, part(KEY)?, text(secret, PREVIOUS)).map_err(StoreError::Root)?;
    let root = root.crossed(text(secret, CROSS));
    let root = match text(secret, NEXT_CERTIFICATE) {
        Some(next) => root.announcing(Root::parse(next, part(NEXT_KEY)?, None).map_err(StoreError::Root)?),
        None => root,
    };
    let is_change_asked = secret.annotations().contains_key(CHANGE_ROOT);
    Ok(Stored { root, is_change_asked, is_supplied: false })
}

/// The certificate and the public half of the key beside it.
fn read_leaf(secret: &Secret) -> Option<(Facts, Vec<u8>)> {
    let facts = Facts::of_pem(text(secret, LEAF_CERTIFICATE)?).ok()?;
    Some((facts, public_key_of(text(secret, LEAF_KEY)?)?))
}

fn root_secret(namespace: &str, root: &Root) -> Secret {
    let data = [(CERTIFICATE, root.certificate_pem().to_owned()), (KEY, root.key_pem().to_string())];
    secret(CA_SECRET, namespace, "Opaque", data.into(), None)
}

fn server_secret(namespace: &str, leaf: &Leaf, bundle: String, version: Option<String>) -> Secret {
    let data = [
        (LEAF_CERTIFICATE, leaf.certificate_pem().to_owned()),
        (LEAF_KEY, leaf.key_pem().to_owned()),
        (CERTIFICATE, bundle),
    ];
    secret(SERVER_SECRET, namespace, "kubernetes.io/tls", data.into(), version)
}

fn secret(
    name: &str,
    namespace: &str,
    type_: &str,
    data: BTreeMap<&str, String>,
    resource_version: Option<String>,
) -> Secret {
    let data = data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
            resource_version,
            ..ObjectMeta::default()
        },
        type_: Some(type_.to_owned()),
        data: Some(data.collect()),
        ..Secret::default()
    }
}
