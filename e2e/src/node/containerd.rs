//! containerd with runc, and the network plugins for pods, all below the run's directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::network::Network;
use crate::keeper::protocol::Spawn;
use crate::keeper::{Keeper, KeeperError};
use crate::run_directory::RunDirectory;

/// The image of each pod's sandbox.
pub(crate) const PAUSE_IMAGE: &str = "localhost/sikkerkey-e2e-pause:1";

/// Where distributions put the network plugins.
const PLUGIN_DIRECTORIES: [&str; 4] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni", "/usr/lib64/cni"];

/// The directory that has the plugins a pod's network needs.
pub(crate) fn plugin_directory() -> Option<PathBuf> {
    PLUGIN_DIRECTORIES
        .iter()
        .map(PathBuf::from)
        .find(|path| ["bridge", "host-local", "loopback"].iter().all(|plugin| path.join(plugin).is_file()))
}

/// Finds a program where the node's processes will look for it.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
}

/// containerd's socket.
pub(crate) fn socket(run: &RunDirectory) -> PathBuf {
    run.join("containerd/sock")
}

/// What containerd keeps in memory elsewhere.
pub(crate) fn volatile(run: &RunDirectory) -> PathBuf {
    run.join("containerd/state")
}

/// Writes the configuration of containerd and of the pod network.
pub(crate) fn configure(run: &RunDirectory, number: u8) -> io::Result<()> {
    let plugins = plugin_directory().ok_or_else(|| io::Error::other("no network plugins"))?;
    fs::create_dir_all(run.join("cni/net.d"))?;
    fs::create_dir_all(run.join("containerd"))?;
    fs::write(run.join("containerd.toml"), configuration(run.path(), &plugins, snapshotter(run.path())))?;
    let network = json!({"cniVersion": "1.0.0", "name": "e2e", "plugins": [{
        "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
        "ipam": {
            "type": "host-local", "dataDir": run.join("cni/ipam"),
            "ranges": [[{"subnet": Network::of_node(number).pods()}]], "routes": [{"dst": "0.0.0.0/0"}],
        },
    }]});
    fs::write(run.join("cni/net.d/10-e2e.conflist"), network.to_string())
}

fn configuration(run: &Path, plugins: &Path, snapshotter: &str) -> String {
    let (run, plugins) = (run.display(), plugins.display());
    // Root in some virtual machines may not lower an OOM score: `restrict_oom_score_adj` keeps runc from failing there.
    format!(
        r#"version = 2
root = "{run}/containerd/root"
state = "{run}/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{run}/containerd/sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{run}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{run}/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#
    )
}

/// An overlay cannot lie on an overlay, as when the harness itself runs in a container: files are copied there.
fn snapshotter(run: &Path) -> &'static str {
    const OVERLAY: rustix::fs::FsWord = 0x794c_7630;
    match rustix::fs::statfs(run) {
        Ok(file_system) if file_system.f_type == OVERLAY => "native",
        _ => "overlayfs",
    }
}

/// How containerd is started.
pub(crate) fn spawn(run: &RunDirectory) -> Option<Spawn> {
    Some(Spawn {
        program: program("containerd")?,
        args: vec!["--config".into(), run.join("containerd.toml").display().to_string()],
        env: Vec::new(),
        log: run.log("containerd").path().to_owned(),
    })
}

/// Imports an image archive.
pub(crate) async fn import(keeper: &Keeper, run: &RunDirectory, archive: &Path) -> Result<(), KeeperError> {
    let args = [
        "-a",
        &socket(run).display().to_string(),
        "-n",
        "k8s.io",
        "images",
        "import",
        "--snapshotter",
        snapshotter(run.path()),
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([archive.display().to_string()])
    .collect();
    let log = run.log("ctr").path().to_owned();
    let program = program("ctr").unwrap_or_else(|| "ctr".into());
    keeper.run(Spawn { program, args, env: Vec::new(), log }, Duration::from_mins(1)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_containerd_writes_is_below_the_run() {
        let text = configuration(Path::new("/r"), Path::new("/p"), "overlayfs");
        for line in [
            "root = \"/r/containerd/root\"",
            "state = \"/r/containerd/state\"",
            "path = \"/r/containerd/opt\"",
            "bin_dir = \"/p\"",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
