//! Chromium and its chromedriver: processes of a test's own, which end with it.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use rustix::process::{Pid, Signal, kill_process};
use sikkerkey_e2e::port;
use sikkerkey_e2e::wait::wait_for;
use tempfile::TempDir;

use crate::BOUND;

/// As distributions call them.
static CHROMIUM: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(in_path));
static CHROMEDRIVER: LazyLock<Option<PathBuf>> = LazyLock::new(|| in_path("chromedriver"));

/// Where Chromium is, or what to do.
pub(crate) fn chromium() -> Result<&'static PathBuf, String> {
    let how = "apt-get install -y chromium chromium-driver";
    let chromium = CHROMIUM.as_ref().ok_or_else(|| format!("no chromium is installed: {how}"))?;
    CHROMEDRIVER.as_ref().map(|_| chromium).ok_or_else(|| format!("no chromedriver is installed: {how}"))
}

/// A chromedriver that listens. Whatever it starts is in a process namespace of its own, and ends with it.
pub(crate) struct Chromedriver {
    /// Where it and the browser keep what they write.
    place: TempDir,
    port: u16,
    process: Child,
}

impl Chromedriver {
    /// Starts one, whose browser takes this for the time zone of its host.
    pub(crate) async fn start(time_zone: &str) -> Self {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let log = place.path().join("chromedriver.log");
        // One that it chooses itself may be free at `::1` alone, and then it ends.
        let port = port::free(Ipv4Addr::LOCALHOST.into()).unwrap().port();
        // It goes with the thread that starts it, however that ends, and takes its namespace along.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "unshare", "--fork", "--kill-child=KILL", "--pid", "--mount-proc"]);
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-current-user"]);
        }
        command.arg(CHROMEDRIVER.as_ref().expect("it is looked for first")).arg(format!("--port={port}"));
        // What a browser writes outside of its profile.
        command.env("HOME", place.path()).env("TMPDIR", place.path()).env("TZ", time_zone);
        let printed = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(printed.try_clone().unwrap()).stderr(printed);
        // Ctrl-C is for the test, which ends it.
        let process = command.process_group(0).spawn().unwrap();
        let mut driver = Self { place, port, process };
        let listens = wait_for("chromedriver to listen", BOUND, async || {
            let text = std::fs::read_to_string(&log).unwrap();
            assert!(driver.process.try_wait().unwrap().is_none(), "chromedriver has ended:\n{text}");
            if text.contains("started successfully on port ") { Ok(()) } else { Err(text) }
        });
        listens.await.unwrap();
        driver
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The directory for the browser's profile.
    pub(crate) fn profile(&self) -> PathBuf {
        self.place.path().join("profile")
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        // The first process of the namespace: once it is gone, so are all others in it.
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let first = children.split_whitespace().next().and_then(|it| it.parse().ok()).and_then(Pid::from_raw);
        match first {
            Some(first) => drop(kill_process(first, Signal::KILL)),
            None => drop(self.process.kill()),
        }
        drop(self.process.wait());
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}
