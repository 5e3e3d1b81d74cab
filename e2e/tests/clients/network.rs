//! Two network namespaces with a wire between them: a server's, and a host's that reaches nothing else.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::server::Server;
use crate::skipped::skipped;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The network. It goes when this does.
pub(crate) struct Network {
    server: String,
    host: String,
}

impl Network {
    /// The server's address. Nobody but the host sees it, so it can be the same everywhere.
    pub(crate) const SERVER: &str = "10.99.0.1";
    const HOST: &str = "10.99.0.2";

    /// A network; none where this machine lets nobody make one, and then the test is [`skipped`].
    pub(crate) fn new(test: &str) -> Option<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |what: &str| format!("sk-host-{}-{number}-{what}", std::process::id());
        let network = Self { server: name("server"), host: name("host") };
        match network.make() {
            Ok(()) => Some(network),
            Err(problem) => {
                skipped(test, &format!("{problem}\nIt needs root, and ip of iproute2: apt-get install -y iproute2"));
                None
            }
        }
    }

    fn make(&self) -> Result<(), String> {
        let Self { server, host } = self;
        ip(&["netns", "add", server])?;
        ip(&["netns", "add", host])?;
        ip(&["link", "add", "eth0", "netns", server, "type", "veth", "peer", "name", "eth0", "netns", host])?;
        for (namespace, address) in [(server, Self::SERVER), (host, Self::HOST)] {
            ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
            for link in ["lo", "eth0"] {
                ip(&["-n", namespace, "link", "set", link, "up"])?;
            }
        }
        Ok(())
    }

    /// A server for https in it, which does not run yet.
    pub(crate) fn new_server(&self) -> Server {
        let listen = format!("{}:8443", Self::SERVER);
        Server::at(format!("https://{listen}"), listen, enter(&self.server))
    }

    /// What stands before a program of the host. Each has mounts of its own.
    pub(crate) fn host(&self) -> Vec<String> {
        enter(&self.host)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.server, &self.host] {
            drop(ip(&["netns", "delete", namespace]));
        }
    }
}

fn enter(namespace: &str) -> Vec<String> {
    [program(), "netns", "exec", namespace].map(str::to_owned).to_vec()
}

/// Debian has it where only root looks.
fn program() -> &'static str {
    ["/usr/sbin/ip", "/sbin/ip"].into_iter().find(|it| std::path::Path::new(it).exists()).unwrap_or("ip")
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program());
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
