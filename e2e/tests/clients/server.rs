//! The real server as a process, and its command line.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::port;
use sikkerkey_e2e::wait::wait_for;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::BOUND;

static PROGRAM: LazyLock<PathBuf> =
    LazyLock::new(|| cargo::build_workspace().expect("it builds").program("sikkerkey-server").expect("a server"));

/// A server with data of its own.
pub(crate) struct Server {
    /// Where everything of a test is.
    pub(crate) place: TempDir,
    /// By which clients reach it.
    pub(crate) url: String,
    listen: String,
    /// Before its program's name.
    enter: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// A server that does not run yet. `scheme` is `http` or `https`.
    pub(crate) fn new(scheme: &str) -> Self {
        // It has to be known before the server starts, and to stay when it is started again.
        let port = port::free(Ipv4Addr::LOCALHOST.into()).unwrap().port();
        // As the clients demand it: https, or the name localhost.
        Self::at(format!("{scheme}://localhost:{port}"), format!("127.0.0.1:{port}"), Vec::new())
    }

    /// One that does not run yet, with what stands before its program's name.
    pub(crate) fn at(url: String, listen: String, enter: Vec<String>) -> Self {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { place, url, listen, enter, process: None }
    }

    /// A server that runs, and answers without TLS.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut server = Self::new("http");
        server.run(arguments).await;
        server
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn run(&mut self, arguments: &[&str]) {
        let log = self.place.path().join("server.log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(&self.enter).arg(&*PROGRAM);
        command.args(["serve", "--listen", &self.listen]);
        command.args(["--public-url", &self.url, "--data-dir"]).arg(self.data()).args(arguments);
        command.env_remove("SIKKERKEY_LOG").stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = command.stderr(File::create(&log).unwrap()).kill_on_drop(true).spawn().unwrap();
        let listens = wait_for("the server to listen", BOUND, async || {
            let text = std::fs::read_to_string(&log).unwrap();
            let is_over = process.try_wait().unwrap().is_some();
            assert!(!is_over, "the server has ended:\n{text}");
            if text.contains("listening address=") { Ok(()) } else { Err(text) }
        });
        listens.await.unwrap();
        self.process = Some(process);
    }

    /// Ends it as an administrator does.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let pid = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).unwrap())).expect("it runs");
        kill_process(pid, Signal::TERM).unwrap();
        let status = timeout(BOUND, process.wait()).await.expect("it ends in time").unwrap();
        assert!(status.success(), "{status}");
    }

    /// Runs `sikkerkey-server admin`, which has to succeed.
    pub(crate) async fn admin(&self, arguments: &[&str]) -> Value {
        self.admin_with(arguments, "").await
    }

    /// The same with something on its standard input.
    pub(crate) async fn admin_with(&self, arguments: &[&str], input: &str) -> Value {
        let mut command = Command::new(&*PROGRAM);
        command.arg("admin").arg("--data-dir").arg(self.data()).args(["--output", "json"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        // Where nobody reads it, nothing is lost.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()).await);
        let output = timeout(BOUND, child.wait_with_output()).await.expect("it ends in time").unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// A new directory beside the data.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.place.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    }

    /// Writes a file beside the data.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.place.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}
