//! A server that is measured: a process of its own, ended with its handle.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::connection::Connection;
use super::load::Load;
use super::meter::Meter;
use crate::log_file::LogFile;
use crate::port;

/// Until it answers, and until it has ended.
const BOUND: Duration = Duration::from_mins(2);
/// How often it is asked whether it answers. Start to serving is measured with this.
const INTERVAL: Duration = Duration::from_millis(1);

/// A server that is measured.
pub(super) struct Served {
    child: Child,
    log: LogFile,
    pub(super) address: SocketAddr,
    pub(super) meter: Meter,
    /// From the start of the process to its first good answer.
    pub(super) start: Duration,
}

/// How a server is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Programs<'p> {
    /// `sikkerkey-server`.
    pub(super) server: &'p Path,
    /// This program, which answers nothing as `bench-hello`.
    pub(super) own: &'p Path,
}

impl Programs<'_> {
    /// Runs the server on a data directory.
    pub(super) async fn server(self, data: &Path, max_group: Option<usize>) -> Result<Served> {
        let address = port::free(Ipv4Addr::LOCALHOST.into()).context("cannot listen on 127.0.0.1")?;
        let mut command = Command::new(self.server);
        command.arg("serve").arg("--data-dir").arg(data).args(["--listen", &address.to_string()]);
        command.args(["--public-url", &format!("http://{address}")]);
        // Few machines stand for many here.
        command.args(["--machine-rate", "0"]);
        if let Some(max_group) = max_group {
            command.args(["--max-group", &max_group.to_string()]);
        }
        // What a person's shell says about logging must not be measured.
        command.env_remove("SIKKERKEY_LOG");
        Served::start(command, &data.with_extension("log"), address, "/readyz").await
    }

    /// Runs the reference. `directory` is where its log goes.
    pub(super) async fn hello(self, directory: &Path) -> Result<Served> {
        let address = port::free(Ipv4Addr::LOCALHOST.into()).context("cannot listen on 127.0.0.1")?;
        let mut command = Command::new(self.own);
        command.arg("bench-hello").arg(OsStr::new(&address.to_string()));
        Served::start(command, &directory.join("hello.log"), address, "/").await
    }
}

impl Served {
    async fn start(mut command: Command, log: &Path, address: SocketAddr, path: &str) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let begun = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let meter = Meter::new(child.id());
        let mut served = Self { child, log: LogFile::new(log), address, meter, start: Duration::ZERO };
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        loop {
            if let Some(status) = served.child.try_wait().context("cannot look after a process")? {
                bail!("{} ended with {status}. {}", command.get_program().display(), served.log.tail());
            }
            if let Ok(mut connection) = Connection::open(address, None).await
                && connection.exchange(request.as_bytes()).await.is_ok()
            {
                served.start = begun.elapsed();
                return Ok(served);
            }
            if begun.elapsed() > BOUND {
                bail!("{} did not answer in time. {}", command.get_program().display(), served.log.tail());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// A load for it.
    pub(super) fn load(&self, connections: usize) -> Load {
        Load { address: self.address, tls: None, connections, least_body: 0 }
    }

    /// Asks it to end, and waits until it has.
    pub(super) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself: then the wait below says how.
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + BOUND;
        loop {
            match self.child.try_wait().context("cannot look after a process")? {
                // A signal is how the reference ends: it does not catch any.
                Some(status) if status.success() || status.code().is_none() => return Ok(()),
                Some(status) => bail!("it ended with {status}. {}", self.log.tail()),
                None if Instant::now() > end => bail!("it did not end in time. {}", self.log.tail()),
                None => tokio::time::sleep(INTERVAL).await,
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Waited for, so that nobody writes any more where everything is removed next.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
