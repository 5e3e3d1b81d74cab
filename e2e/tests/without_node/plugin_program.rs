//! Our plugin, run by kubectl.

use std::path::Path;
use std::process::Output;

use sikkerkey_e2e::installation::Installation;
use tokio::process::Command;

/// Runs `kubectl sikkerkey`, with nothing else in its path.
pub(crate) async fn plugin(installation: &Installation, kubeconfig: &Path, arguments: &[&str]) -> Output {
    let programs = installation.operator_program().parent().unwrap();
    Command::new(installation.cluster.kubectl().program())
        .arg("sikkerkey")
        .args(arguments)
        .env_clear()
        .env("PATH", programs)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", kubeconfig.with_file_name("plugin-home"))
        .output()
        .await
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
