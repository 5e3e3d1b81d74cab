//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sikkerkey_traces::endpoint::Endpoint;
use sikkerkey_traces::sampler::Ratio;

use crate::ca::name::Name;
use crate::manifests::ManifestOptions;
use crate::namespaces::NamespaceSelector;
use crate::seal::SealOptions;
use crate::server::ServerUrl;
use crate::webhook::resources::NamespaceAmounts;

/// The SikkerKey operator
#[derive(Debug, Parser)]
#[command(name = "sikkerkey-operator", version, about)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run: controllers (the leader), webhook and attestation (every replica)
    Run(Box<RunOptions>),
    /// Print the definitions of the four kinds
    Crds,
    /// Print the admission policies that hold without the webhook
    AdmissionPolicies,
    /// Print what else the cluster needs: account, rights, webhook configurations
    Manifests(ManifestOptions),
    /// Encrypt a value from standard input or a file, so that it may stand in Git; prints the Secret object
    Seal(Box<SealOptions>),
}

/// How to run.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// Origin of the server, for the operator and for sidecars; https, or http on the loopback interface
    #[arg(long, value_name = "URL")]
    pub server_url: ServerUrl,
    /// Origin at which sidecars reach the attest endpoint of the operators
    #[arg(long, value_name = "URL")]
    pub attest_url: String,
    /// Where to listen: webhook, /healthz, /readyz and /metrics, all by TLS, and attestation unless it has its own address
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:9443")]
    pub listen: SocketAddr,
    /// Where to listen for attestation alone, so that a network policy can keep pods from the webhook
    #[arg(long, value_name = "ADDRESS")]
    pub attest_listen: Option<SocketAddr>,
    /// Name of this cluster; the login is refused when the server knows it by another one
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Namespace of the operator
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "sikkerkey-system")]
    pub namespace: String,
    /// Name of the operator's own pod
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub pod_name: String,
    /// Uid of the operator's own pod
    #[arg(long, value_name = "UID", env = "POD_UID")]
    pub pod_uid: String,
    /// The operator's service account
    #[arg(long, value_name = "NAME", env = "POD_SERVICE_ACCOUNT", default_value = "sikkerkey-operator")]
    pub service_account: String,
    /// Image of the sidecar
    #[arg(long, value_name = "IMAGE")]
    pub sidecar_image: String,
    /// CPU that a sidecar asks for
    #[arg(long, value_name = "QUANTITY", default_value = "5m")]
    pub sidecar_cpu_request: String,
    /// CPU limit of a sidecar in pods that need one
    #[arg(long, value_name = "QUANTITY", default_value = "100m")]
    pub sidecar_cpu_limit: String,
    /// Memory of a sidecar, beside its volume
    #[arg(long, value_name = "QUANTITY", default_value = "16Mi")]
    pub sidecar_memory: String,
    /// Other resources for the sidecars of one namespace: NAMESPACE=CPU-REQUEST,CPU-LIMIT,MEMORY, where an empty part is as
    /// everywhere; repeatable. For namespaces whose `LimitRange` refuses the usual ones
    #[arg(long, value_name = "RESOURCES")]
    pub sidecar_resources_of: Vec<NamespaceAmounts>,
    /// Log filter of sidecars
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub sidecar_log_level: String,
    /// Where sidecars answer /status and /metrics, without TLS and to anybody who reaches it: 127.0.0.1:9917 inside the pod
    /// alone, 0.0.0.0:9917 or [::]:9917 to the cluster; absent: nowhere
    #[arg(long, value_name = "ADDRESS")]
    pub sidecar_status_address: Option<SocketAddr>,
    /// Further name or address of the server's certificate; repeatable
    #[arg(long, value_name = "NAME")]
    pub server_san: Vec<Name>,
    /// Further name or address of the operator's own certificate; repeatable
    #[arg(long, value_name = "NAME")]
    pub serving_san: Vec<Name>,
    /// Remove up to so many objects from the server that are not in this cluster, or not in a managed namespace, where a
    /// comparison stopped
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub acknowledge_removals: usize,
    /// Manage only namespaces with these labels: KEY=VALUE, KEY!=VALUE, KEY or !KEY, several with commas; for `manifests` the
    /// same
    #[arg(long, value_name = "LABELS")]
    pub namespace_selector: Option<NamespaceSelector>,
    /// Take values over from core Secrets, for Secrets (sks) whose source is kubernetesSecret; needs the role that manifests
    /// prints with the same flag
    #[arg(long)]
    pub kubernetes_secret_source: bool,
    /// OpenTelemetry collector for traces, this operator's and those of sidecars: http(s)://HOST[:PORT], OTLP over HTTP;
    /// absent: no traces
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<Endpoint>,
    /// PEM certificates that vouch for the collector; absent: the system's
    #[arg(long, value_name = "FILE", env = "OTEL_EXPORTER_OTLP_CERTIFICATE", requires = "otlp_endpoint")]
    pub otlp_ca: Option<PathBuf>,
    /// How many of the traces that begin here, or in a sidecar, are kept: from 0 to 1
    #[arg(long, value_name = "RATIO", env = "OTEL_TRACES_SAMPLER_ARG", default_value = "1")]
    pub trace_ratio: Ratio,
    /// Log filter, for example info or debug
    #[arg(long, value_name = "FILTER", env = "SIKKERKEY_LOG", default_value = "info")]
    pub log_filter: String,
    /// Log format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plain_http_server_elsewhere_is_refused_with_what_to_do() {
        let given =
            ["sikkerkey-operator", "run", "--server-url", "http://server.example", "--attest-url", "https://op"];
        let more = ["--pod-name", "p", "--pod-uid", "u", "--sidecar-image", "i"];
        let error = Cli::try_parse_from(given.into_iter().chain(more)).unwrap_err().to_string();
        assert!(error.contains("is not https: plain http is accepted on the loopback interface only"), "{error}");
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let given = ["sikkerkey-operator", "run", "--server-url", "https://s:8443/", "--attest-url", "https://op:9443"];
        let more = ["--pod-name", "p", "--pod-uid", "u", "--sidecar-image", "i"];
        let Command::Run(options) = Cli::try_parse_from(given.into_iter().chain(more)).unwrap().command else {
            panic!("not run")
        };
        assert_eq!(options.server_url.as_str(), "https://s:8443");
        assert_eq!((options.sidecar_cpu_request.as_str(), options.sidecar_memory.as_str()), ("5m", "16Mi"));
        assert_eq!(options.service_account, "sikkerkey-operator");
        assert_eq!(options.acknowledge_removals, 0);
        assert!(!options.kubernetes_secret_source, "the operator reads no core Secret unless it is told to");
        assert_eq!((options.listen.port(), options.attest_listen), (9443, None));
        assert_eq!(options.namespace_selector, None, "every namespace");
    }

    #[test]
    fn a_namespace_can_have_sidecars_of_another_size() {
        let given = ["sikkerkey-operator", "run", "--server-url", "https://s:8443/", "--attest-url", "https://op:9443"];
        let more = ["--pod-name", "p", "--pod-uid", "u", "--sidecar-image", "i"];
        let parsed = |of: &[&str]| {
            let words = given.into_iter().chain(more);
            Cli::try_parse_from(words.chain(of.iter().flat_map(|of| ["--sidecar-resources-of", of])))
                .map(|cli| cli.command)
        };
        let Command::Run(options) = parsed(&["shop=50m,,", "pay=,,32Mi"]).unwrap() else { panic!("not run") };
        assert_eq!(options.sidecar_resources_of, ["shop=50m,,".parse().unwrap(), "pay=,,32Mi".parse().unwrap()]);
        let error = parsed(&["shop:50m"]).unwrap_err().to_string();
        assert!(error.contains("write NAMESPACE=CPU-REQUEST,CPU-LIMIT,MEMORY such as shop=50m,200m,32Mi"), "{error}");
    }

    #[test]
    fn namespaces_are_selected_by_labels_and_by_nothing_else() {
        let given = ["sikkerkey-operator", "manifests", "--webhook-service", "operator", "--namespace-selector"];
        let parsed = |labels| Cli::try_parse_from(given.into_iter().chain([labels])).map(|cli| cli.command);
        let Command::Manifests(options) = parsed("team=shop,!sandbox").unwrap() else { panic!("not manifests") };
        assert_eq!(options.namespace_selector, Some("team=shop,!sandbox".parse().unwrap()));
        let error = parsed("team in (shop)").unwrap_err().to_string();
        assert!(error.contains("write KEY=VALUE, KEY!=VALUE, KEY or !KEY, several with commas"), "{error}");
    }
}
