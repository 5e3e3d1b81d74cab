//! The binaries of the control plane, the kubelet and Helm: found, or built once from pinned Go modules.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::build_command::Build;
use crate::report::Report;

/// A Go module that pins versions.
#[derive(Clone, Copy, Debug)]
struct Module {
    directory: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// The requirement whose version says what is built.
    pinned: &'static str,
}

/// Kubernetes and etcd.
const CONTROL_PLANE: Module = Module {
    directory: concat!(env!("CARGO_MANIFEST_DIR"), "/controlplane"),
    go_mod: include_str!("../controlplane/go.mod"),
    go_sum: include_str!("../controlplane/go.sum"),
    pinned: "k8s.io/kubernetes",
};

/// Helm, which stands on other releases of Kubernetes' libraries.
const HELM: Module = Module {
    directory: concat!(env!("CARGO_MANIFEST_DIR"), "/helm"),
    go_mod: include_str!("../helm/go.mod"),
    go_sum: include_str!("../helm/go.sum"),
    pinned: "helm.sh/helm/v4",
};

impl Module {
    fn version(self) -> &'static str {
        let lines = self.go_mod.lines().map(|line| line.trim().trim_start_matches("require "));
        let mut pins = lines.filter_map(|line| line.strip_prefix(self.pinned)?.strip_prefix(' '));
        pins.next().unwrap_or("of unknown version").trim()
    }

    /// A plain `go build` leaves the version unset, and whoever looks at it would see v0.0.0.
    fn linker_flags(self) -> String {
        let version = self.version();
        if self.directory == HELM.directory {
            return format!("-s -w -X helm.sh/helm/v4/internal/version.version={version}");
        }
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or("0"));
        let package = "k8s.io/component-base/version";
        format!("-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}")
    }

    /// One directory for each set of pinned versions and flags, so that a changed pin never finds old binaries.
    fn cache(self) -> PathBuf {
        let digest = Sha256::new().chain_update(self.go_mod).chain_update(self.go_sum);
        let digest = digest.chain_update(self.linker_flags()).finalize();
        let [first, second, third, fourth, ..] = digest.0;
        let name = if self.directory == HELM.directory { "helm-" } else { "" };
        cache_base().join(format!("{name}{}-{first:02x}{second:02x}{third:02x}{fourth:02x}", self.version()))
    }
}

/// A program built from a Go module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The data store of the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers of Kubernetes itself.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// The node agent.
    Kubelet,
    /// What leads the addresses of Services to pods.
    KubeProxy,
    /// The command line client, built only where the machine has none.
    Kubectl,
    /// What the chart is checked with.
    Helm,
}

impl Component {
    /// All of them, those that most is built on first.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Kubectl,
        Self::Helm,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
        }
    }

    fn module(self) -> Module {
        if self == Self::Helm { HELM } else { CONTROL_PLANE }
    }

    fn package(self) -> String {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3".into(),
            Self::Helm => "helm.sh/helm/v4/cmd/helm".into(),
            component => format!("k8s.io/kubernetes/cmd/{}", component.name()),
        }
    }
}

/// Why the binaries are not there.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// Go is missing.
    #[error(
        "cannot run `go`, which builds {0} once: install Go 1.24 or newer (`apt-get install -y golang-go` where that is new enough, else https://go.dev/dl), or point KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd"
    )]
    NoGo(&'static str, #[source] io::Error),
    /// A build failed.
    #[error("building {name} from {module} failed; go said:\n{output}")]
    Build {
        /// Which binary.
        name: &'static str,
        /// From which directory.
        module: &'static str,
        /// The end of what Go wrote.
        output: String,
    },
    /// The cache is not usable.
    #[error("cannot use the cache directory {}: set SIKKERKEY_E2E_CACHE to another one", path.display())]
    Cache {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `KUBEBUILDER_ASSETS` names a directory without a binary.
    #[error("KUBEBUILDER_ASSETS is set, but {} is not there: unset it to use the pinned version", .0.display())]
    NotInKubebuilderAssets(PathBuf),
}

/// Where the binaries are.
#[derive(Clone, Debug)]
pub struct Assets {
    cache: PathBuf,
    kubebuilder: Option<PathBuf>,
    kubectl: PathBuf,
}

impl Assets {
    /// Finds these components, and builds what is missing, which takes some minutes the first time. Blocks.
    pub fn ensure(components: &[Component], report: &Report) -> Result<Self, AssetError> {
        let cache = CONTROL_PLANE.cache();
        let kubebuilder = std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from);
        let installed = std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path).map(|directory| directory.join("kubectl")).find(|file| file.is_file())
        });
        let kubectl = installed.unwrap_or_else(|| cache.join(Component::Kubectl.name()));
        let assets = Self { cache, kubebuilder, kubectl };
        let missing: Vec<Component> =
            components.iter().copied().filter(|component| !assets.path(*component).is_file()).collect();
        if missing.is_empty() {
            return Ok(assets);
        }
        for component in [Component::Etcd, Component::ApiServer] {
            if assets.kubebuilder.is_some() && missing.contains(&component) {
                return Err(AssetError::NotInKubebuilderAssets(assets.path(component)));
            }
        }
        assets.build(&missing, report)?;
        Ok(assets)
    }

    /// Where a component is.
    pub fn path(&self, component: Component) -> PathBuf {
        match (component, &self.kubebuilder) {
            (Component::Etcd | Component::ApiServer, Some(directory)) => directory.join(component.name()),
            (Component::Kubectl, _) => self.kubectl.clone(),
            (Component::Helm, _) => HELM.cache().join(component.name()),
            _ => self.cache.join(component.name()),
        }
    }

    /// The directory that holds what was built.
    pub fn directory(&self) -> &Path {
        &self.cache
    }

    /// The directories that hold them.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        std::iter::once(self.cache.clone()).chain(self.kubebuilder.clone()).filter(|path| path.is_dir()).collect()
    }

    fn build(&self, components: &[Component], report: &Report) -> Result<(), AssetError> {
        let failed = |source| AssetError::Cache { path: self.cache.clone(), source };
        for directory in [&self.cache, &HELM.cache()] {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let lock = File::create(self.cache.join("lock")).map_err(failed)?;
        if lock.try_lock().is_err() {
            report.line("another run is building what this one needs: waiting for it");
            lock.lock().map_err(failed)?;
        }
        let count = components.len();
        for (index, component) in components.iter().enumerate() {
            let path = self.path(*component);
            if path.is_file() {
                continue;
            }
            let (name, start) = (component.name(), Instant::now());
            report.line(&format!(
                "building {name} {} ({} of {count}); minutes the first time, then kept",
                component.module().version(),
                index + 1
            ));
            let part = path.with_extension("part");
            build_one(*component, &part, report)?;
            fs::rename(&part, &path).map_err(failed)?;
            report.line(&format!("built {name} in {} s", start.elapsed().as_secs()));
        }
        Ok(())
    }
}

fn build_one(component: Component, output: &Path, report: &Report) -> Result<(), AssetError> {
    let (name, module) = (component.name(), component.module());
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-ldflags", &module.linker_flags(), "-o"])
        .arg(output)
        .arg(component.package())
        .current_dir(module.directory)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut build = Build::start(&mut command).map_err(|error| AssetError::NoGo(name, error))?;
    let mut lines: Vec<String> = Vec::new();
    if let Some(stderr) = build.child.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.starts_with("go: downloading") {
                report.detail(&line);
            }
            lines.push(line);
        }
    }
    if build.output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let skip = lines.len().saturating_sub(20);
    let output = lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n");
    Err(AssetError::Build { name, module: module.directory, output })
}

/// The version of Kubernetes that is pinned.
pub fn version() -> &'static str {
    CONTROL_PLANE.version()
}

/// Where what is fetched or built once is kept, outside of the repository.
pub fn cache_base() -> PathBuf {
    std::env::var_os("SIKKERKEY_E2E_CACHE").map_or_else(
        || std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".cache/sikkerkey-e2e"),
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_go_modules() {
        assert!(version().starts_with("v1."), "{}", version());
        assert!(HELM.version().starts_with("v4."), "{}", HELM.version());
        assert!(CONTROL_PLANE.linker_flags().contains(&format!("gitVersion={}", version())));
        assert!(HELM.linker_flags().contains(&format!("version.version={}", HELM.version())));
        let name = |module: Module| module.cache().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name(CONTROL_PLANE).starts_with(version()));
        assert!(name(HELM).starts_with(&format!("helm-{}", HELM.version())));
    }
}
