//! The programs of a host, and no others: a directory of links.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::skipped::skipped;

/// What the script uses, but for what makes keys.
const COMMON: [&str; 14] =
    ["awk", "cat", "cut", "grep", "mkdir", "mktemp", "mv", "rm", "rmdir", "sed", "sha256sum", "sleep", "tr", "uname"];

/// What makes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    OpenSsl,
    SshKeygen,
    Both,
    Neither,
}

/// The programs of a host.
pub(super) struct Tools {
    directory: TempDir,
    name: &'static str,
}

impl Tools {
    /// As Debian has them, under one of its shells.
    pub(super) fn of_debian(keys: Keys, shell: &str) -> Self {
        let tools = Self::empty("debian");
        for program in COMMON.into_iter().chain(["curl"]) {
            tools.link(program, program);
        }
        tools.link("sh", shell);
        tools.keys(keys);
        tools
    }

    /// One of each kind: the three shells, each way to make a key, and tools that are not GNU's.
    pub(super) fn of_each_system(test: &str) -> Vec<Self> {
        let named = |name, tools: Self| Self { name, ..tools };
        let mut all = vec![
            named("dash-openssl", Self::of_debian(Keys::OpenSsl, "dash")),
            named("bash-ssh-keygen", Self::of_debian(Keys::SshKeygen, "bash")),
        ];
        let busybox = Self::empty("busybox-ash");
        for applet in COMMON.into_iter().chain(["sh"]) {
            busybox.link(applet, "busybox");
        }
        busybox.link("curl", "curl");
        busybox.keys(Keys::SshKeygen);
        all.push(busybox);
        if find("original-awk").is_some() {
            // What macOS and the BSDs call awk, a shasum in place of sha256sum, and no GNU tool where there is another.
            let bsd = Self::empty("bsd-like");
            for applet in COMMON.into_iter().filter(|it| !["awk", "sha256sum"].contains(it)) {
                bsd.link(applet, "busybox");
            }
            for (name, program) in [("awk", "original-awk"), ("sh", "bash"), ("curl", "curl"), ("perl", "perl")] {
                bsd.link(name, program);
            }
            bsd.link("shasum", "shasum");
            bsd.keys(Keys::OpenSsl);
            all.push(bsd);
        } else {
            skipped(test, "with the awk of the BSDs: apt-get install -y original-awk");
        }
        all
    }

    fn empty(name: &'static str) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), name }
    }

    /// What it is called here, and its machine at the server.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The one directory in `PATH`.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Adds a program of this machine under a name.
    pub(super) fn link(&self, name: &str, program: &str) {
        let target = find(program).unwrap_or_else(|| panic!("{program} is not on this machine: e2e/test installs it"));
        symlink(target, self.directory.path().join(name)).unwrap();
    }

    /// Takes a program away.
    pub(super) fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.directory.path().join(name)).unwrap();
        self
    }

    fn keys(&self, keys: Keys) {
        if matches!(keys, Keys::OpenSsl | Keys::Both) {
            self.link("openssl", "openssl");
        }
        if matches!(keys, Keys::SshKeygen | Keys::Both) {
            self.link("ssh-keygen", "ssh-keygen");
        }
    }
}

/// Where this machine has a program.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|it| it.join(program)).find(|it| it.is_file())
}
