//! What a machine must have to run a node, and how to get it.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::cgroup::Hierarchies;
use super::containerd;
use crate::image;

/// Something a machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// What is missing.
    pub missing: String,
    /// What to do about it: a command, where one helps.
    pub fix: String,
    /// The Debian and Ubuntu package that brings it.
    pub package: Option<&'static str>,
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.missing, self.fix)
    }
}

/// The programs of a node, and the packages that bring them.
const PROGRAMS: [(&str, &str); 6] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
];

/// What this machine lacks to run a node. Nothing is changed.
pub fn requirements() -> Vec<Requirement> {
    let mut missing = Vec::new();
    for (program, package) in PROGRAMS {
        if containerd::program(program).is_none() {
            missing.push(package_missing(&format!("the program {program}"), package));
        }
    }
    if containerd::plugin_directory().is_none() {
        missing.push(package_missing(
            "the network plugins bridge, host-local and loopback",
            "containernetworking-plugins",
        ));
    }
    if image::static_busybox().is_none() {
        missing.push(package_missing("a static busybox, for the images of sandboxes and test pods", "busybox-static"));
    }
    if !rustix::process::geteuid().is_root() {
        let fix =
            "run this as root (`sudo -E env \"PATH=$PATH\" …`): a node makes namespaces, mounts and cgroups".to_owned();
        missing.push(Requirement { missing: "root".into(), fix, package: None });
        // What follows can only be seen by root.
        return missing;
    }
    if let Some(problem) = Hierarchies::detect().problem() {
        let fix =
            "run this on a machine or virtual machine of its own, or in a container with --privileged --cgroupns=host"
                .to_owned();
        missing.push(Requirement { missing: format!("cgroups ({problem})"), fix, package: None });
    }
    if let Some(problem) = namespaces_refused() {
        let fix = "in a container, run it with --privileged; elsewhere the kernel must allow root to make namespaces"
            .to_owned();
        missing.push(Requirement { missing: format!("namespaces ({problem})"), fix, package: None });
    }
    if !fs::read_to_string("/proc/filesystems").is_ok_and(|text| text.contains("overlay")) && !load_module("overlay") {
        let fix = "`modprobe overlay`: containers are mounted with it".to_owned();
        missing.push(Requirement { missing: "the file system overlay".into(), fix, package: None });
    }
    missing
}

/// What this machine lacks to lead the addresses of Services to a node's pods, beyond [`requirements`]. Nothing is changed.
pub fn requirements_of_services() -> Vec<Requirement> {
    let mut missing = Vec::new();
    if containerd::program("nft").is_none() {
        missing.push(package_missing("the program nft", "nftables"));
    }
    // Without it an answer takes the short way over the bridge, past the translation of its address.
    if !fs::exists("/proc/sys/net/bridge").unwrap_or(false) && !load_module("br_netfilter") {
        let fix = "`modprobe br_netfilter`: Services are reached over a bridge".to_owned();
        missing.push(Requirement { missing: "netfilter on bridges".into(), fix, package: None });
    }
    missing
}

/// One command that installs all packages that are missing.
pub fn install_command(missing: &[Requirement]) -> Option<String> {
    let mut packages: Vec<&str> = missing.iter().filter_map(|requirement| requirement.package).collect();
    packages.sort_unstable();
    packages.dedup();
    (!packages.is_empty()).then(|| install(&packages.join(" ")))
}

fn package_missing(what: &str, package: &'static str) -> Requirement {
    Requirement { missing: what.to_owned(), fix: format!("`{}`", install(package)), package: Some(package) }
}

fn install(packages: &str) -> String {
    let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo " };
    // Other distributions name the packages alike, but for a few.
    let tool = if PathBuf::from("/usr/bin/dnf").exists() { "dnf install -y" } else { "apt-get install -y" };
    format!("{sudo}{tool} {packages}")
}

/// Tries what a node's init will do.
fn namespaces_refused() -> Option<String> {
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "true"])
        .stdin(Stdio::null())
        .output();
    match output {
        // A missing `unshare` is said elsewhere.
        Err(_) => None,
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

fn load_module(name: &str) -> bool {
    Command::new("modprobe").arg(name).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_installs_each_missing_package_once() {
        let missing = [
            package_missing("a", "containerd"),
            package_missing("b", "containerd"),
            package_missing("c", "busybox-static"),
        ];
        assert!(install_command(&missing).unwrap().ends_with("install -y busybox-static containerd"));
        let root = Requirement { missing: "root".into(), fix: "become root".into(), package: None };
        assert_eq!(install_command(&[root]), None);
    }
}
