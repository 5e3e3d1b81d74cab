//! The cluster, as the person who runs the plugin may see it.

use std::path::PathBuf;

use clap::Args;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DynamicObject, ListParams};
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::{GroupVersionKind, NamespaceResourceScope, PartialObjectMeta};
use kube::discovery::ApiResource;
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use sikkerkey_crds::crd;
use sikkerkey_crds::names::{GROUP, VERSION};

use crate::controller::finalizer;
use crate::leader::LEASE;

/// How many objects are asked for at once.
const PAGE: u32 = 500;

/// Which cluster, and which namespace of it.
#[derive(Args, Clone, Debug)]
pub(super) struct ClusterOptions {
    /// The kubeconfig file; left out: as for kubectl
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig file
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The namespace; left out: the context's
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The operator's namespace
    #[arg(long, value_name = "NAMESPACE", default_value = "sikkerkey-system")]
    pub(super) operator_namespace: String,
}

/// Which cluster, and which namespaces of it.
#[derive(Args, Clone, Debug)]
pub(super) struct PartOptions {
    #[command(flatten)]
    pub(super) cluster: ClusterOptions,
    /// Every namespace
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
}

/// The cluster does not tell.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No kubeconfig file, or not a good one.
    #[error("cannot read the kubeconfig file")]
    Kubeconfig(#[from] KubeconfigError),
    /// Neither a kubeconfig file nor an account in a pod.
    #[error("there is no cluster to ask: no kubeconfig file was found, and this is no pod")]
    NoCluster(#[from] InferConfigError),
    /// No connection can be made of it.
    #[error("cannot use the cluster's address or credentials")]
    Client(#[source] kube::Error),
    /// The kinds are not there.
    #[error(
        "the cluster does not know {GROUP}/{VERSION}: sikkerkey-operator crds | kubectl apply --server-side -f - installs it"
    )]
    NoKinds,
    /// The person may not look.
    #[error("you may not list {plural}.{GROUP} {place}: ask for get and list on the four kinds of {GROUP}")]
    Forbidden {
        /// Of what.
        plural: String,
        /// Where.
        place: String,
    },
    /// It cannot be changed.
    #[error("cannot let go of {0}")]
    Write(String, #[source] kube::Error),
    /// Another answer.
    #[error("cannot read {0}")]
    Read(String, #[source] kube::Error),
}

/// One of the four kinds.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) resource: ApiResource,
    /// What people type, for example `sks`.
    pub(super) short: String,
}

/// The four kinds, in the order in which they refer to each other.
pub(super) fn kinds() -> Vec<Kind> {
    let kind = |crd: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
        let names = crd.spec.names;
        let gvk = GroupVersionKind::gvk(GROUP, VERSION, &names.kind);
        let short = names.short_names.and_then(|names| names.into_iter().next());
        Kind {
            short: short.unwrap_or_else(|| names.plural.clone()),
            resource: ApiResource::from_gvk_with_plural(&gvk, &names.plural),
        }
    };
    crd::crds().into_iter().map(kind).collect()
}

/// A connection, and what of the cluster is looked at.
pub(super) struct Cluster {
    client: Client,
    /// `None`: every namespace.
    namespace: Option<String>,
    /// The context's.
    of_context: String,
}

impl Cluster {
    pub(super) async fn connect_to(options: &PartOptions) -> Result<Self, ClusterError> {
        let one = Self::connect(&options.cluster).await?;
        Ok(if options.all_namespaces { Self { namespace: None, ..one } } else { one })
    }

    pub(super) async fn connect(options: &ClusterOptions) -> Result<Self, ClusterError> {
        let chosen = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
        let config = match &options.kubeconfig {
            Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &chosen).await?,
            None if options.context.is_some() => Config::from_kubeconfig(&chosen).await?,
            None => Config::infer().await?,
        };
        let of_context = config.default_namespace.clone();
        let namespace = options.namespace.clone().unwrap_or_else(|| of_context.clone());
        let client = Client::try_from(config).map_err(ClusterError::Client)?;
        Ok(Self { client, namespace: Some(namespace), of_context })
    }

    /// To ask something else.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The namespace that is looked at; the context's where all are.
    pub(super) fn one_namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(&self.of_context)
    }

    /// All objects of a kind.
    pub(super) async fn objects(&self, kind: &Kind) -> Result<Vec<DynamicObject>, ClusterError> {
        let api: Api<DynamicObject> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind.resource),
            None => Api::all_with(self.client.clone(), &kind.resource),
        };
        let mut objects = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = api.list(&page).await.map_err(|error| self.unlisted(kind, error))?;
            objects.extend(list.items);
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    fn unlisted(&self, kind: &Kind, error: kube::Error) -> ClusterError {
        let plural = kind.resource.plural.clone();
        match &error {
            kube::Error::Api(status) if status.code == 404 => ClusterError::NoKinds,
            kube::Error::Api(status) if status.code == 403 => ClusterError::Forbidden {
                plural,
                place: match &self.namespace {
                    Some(namespace) => format!("in namespace {namespace}"),
                    None => "in every namespace (-n NAMESPACE looks at one)".to_owned(),
                },
            },
            _ => ClusterError::Read(plural, error),
        }
    }

    /// Takes our finalizer off an object.
    pub(super) async fn let_go(&self, kind: &Kind, object: &DynamicObject) -> Result<(), ClusterError> {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &namespace, &kind.resource);
        let freed = finalizer::remove_by(&api, &name, &object.metadata).await;
        freed.map_err(|error| ClusterError::Write(format!("{}/{name} in namespace {namespace}", kind.short), error))
    }

    /// One object of a namespace. `Ok(Err(_))`: the person may not look.
    pub(super) async fn one<K>(&self, namespace: &str, name: &str) -> Result<Look<K>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        looked(api.get_opt(name).await, || format!("{} {name} in namespace {namespace}", K::kind(&())))
    }

    /// The uid of one object of a namespace. `Ok(Err(_))`: the person may not look.
    pub(super) async fn uid<K>(&self, namespace: &str, name: &str) -> Result<Look<String>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let found = self.one::<PartialObjectMeta<K>>(namespace, name).await?;
        Ok(found.map(|object| object.and_then(|object| object.metadata.uid)))
    }

    /// All objects of a kind in a namespace. `Ok(Err(_))`: the person may not look.
    pub(super) async fn all<K>(&self, namespace: &str) -> Result<Result<Vec<K>, Unreadable>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let list = api.list(&ListParams::default()).await;
        looked(list.map(|list| list.items), || format!("{} in namespace {namespace}", K::plural(&())))
    }

    /// The operators' Lease. `Ok(Err(_))`: the person may not look.
    pub(super) async fn lease(&self, namespace: &str) -> Result<Result<Option<Lease>, Unreadable>, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        looked(api.get_opt(LEASE).await, || format!("Lease {LEASE} in namespace {namespace}"))
    }
}

/// What was found of an object, if the person may look.
pub(super) type Look<K> = Result<Option<K>, Unreadable>;

fn looked<T>(answer: kube::Result<T>, what: impl FnOnce() -> String) -> Result<Result<T, Unreadable>, ClusterError> {
    match answer {
        Ok(found) => Ok(Ok(found)),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Err(Unreadable)),
        Err(error) => Err(ClusterError::Read(what(), error)),
    }
}

/// The person may not look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;
