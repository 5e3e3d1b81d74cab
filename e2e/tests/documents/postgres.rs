//! A PostgreSQL server of a test's own.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sikkerkey_e2e::wait::wait_for;
use tempfile::TempDir;

use crate::run::{BOUND, free_port};

/// One that takes everybody of this machine for who they say.
pub(crate) struct Postgres {
    child: Child,
    pub(crate) port: u16,
    _directory: TempDir,
}

/// Where its programs are; a distribution keeps them out of `PATH`.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed.map(|it| it.path().join("bin")).filter(|it| it.join("initdb").exists()).max();
    newest.unwrap_or_else(|| PathBuf::from("/usr/bin"))
}

/// A command as somebody whom PostgreSQL runs for: it refuses root. It ends with whoever started it.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg(program).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        for path in [directory.path(), &data] {
            let changed = Command::new("chown").arg("postgres").arg(path).status().unwrap();
            assert!(changed.success() || std::fs::metadata("/proc/self").unwrap().uid() != 0);
        }
        let mut made = as_postgres(&programs().join("initdb"));
        made.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale", "C"]);
        assert!(made.status().expect("setpriv is installed").success(), "initdb");
        let port = free_port();
        let mut command = as_postgres(&programs().join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(directory.path()).args(["-p", &port.to_string()]);
        let child = command.args(["-c", "listen_addresses=127.0.0.1"]).spawn().unwrap();
        wait_for("PostgreSQL to take connections", BOUND, async || {
            let mut ready = Command::new(programs().join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
            if ready.status().unwrap().success() { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await
        .unwrap();
        Self { child, port, _directory: directory }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // `setpriv` has become PostgreSQL itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
