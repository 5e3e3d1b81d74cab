//! The network of a node: one link to the machine, addresses that follow from the node's number, no address translation anywhere.
//!
//! The machine is 10.98.N.1, the node 10.98.N.2, its pods are in 10.97.N.0/24. Both sides reach each other with their own addresses.
//! Inside the node the whole service range counts as local: the API server answers at 10.96.0.1:443 itself, and any other service
//! address refuses at once, where it would otherwise hang.

use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// The addresses that follow from the number of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    number: u8,
}

/// The address of the service `kubernetes`.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Where the kubelet tells pods to ask for names. Nobody answers there; it refuses at once.
pub(crate) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The range of service addresses.
pub(crate) const SERVICES: &str = "10.96.0.0/16";

impl Network {
    pub(crate) fn of_node(number: u8) -> Self {
        Self { number }
    }

    /// The machine's end.
    pub(crate) fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 98, self.number, 1)
    }

    /// The node's end.
    pub(crate) fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 98, self.number, 2)
    }

    /// The range of pod addresses.
    pub(crate) fn pods(self) -> String {
        format!("10.97.{}.0/24", self.number)
    }

    /// The name of the link on the machine; a name may have 15 characters.
    pub(crate) fn link(self) -> String {
        format!("sk-e2e-{}", self.number)
    }

    /// What the `ip` tool does on the machine once the node's network namespace is there.
    pub(crate) fn on_machine(self, node_pid: u32) -> String {
        let (link, host, node, pods) = (self.link(), self.host(), self.node(), self.pods());
        format!(
            "link add {link} type veth peer name node0 netns {node_pid}\n\
             address add {host}/24 dev {link}\n\
             link set {link} up\n\
             route add {pods} via {node}\n"
        )
    }

    /// What the `ip` tool does inside the node afterwards.
    pub(crate) fn in_node(self) -> String {
        let (host, node) = (self.host(), self.node());
        format!(
            "link set lo up\n\
             address add {node}/24 dev node0\n\
             link set node0 up\n\
             route add default via {host}\n\
             route add local {SERVICES} dev lo\n"
        )
    }
}

/// Runs a batch of the `ip` tool on the machine.
pub(crate) fn run_batch(batch: &str) -> io::Result<()> {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(batch.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Removes the link of a node, and its routes with it. The kernel frees network namespaces late, so it is not left to that.
pub(crate) fn disconnect(number: u8) {
    for link in links(number) {
        // It may vanish by itself at this moment. What stays shows in the leftovers.
        let _ = Command::new("ip").args(["link", "delete", &link]).stderr(Stdio::null()).status();
    }
}

/// The links of a node on this machine.
pub(crate) fn links(number: u8) -> Vec<String> {
    let link = Network::of_node(number).link();
    if fs::exists(format!("/sys/class/net/{link}")).unwrap_or(false) { vec![link] } else { Vec::new() }
}

/// The routes of this machine into the networks of a node.
pub(crate) fn routes(number: u8) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/route").unwrap_or_default();
    parse_routes(&table).filter(|route| route.number() == Some(number)).map(|route| route.to_string()).collect()
}

/// The numbers whose networks this machine already uses for something else than a node of ours.
pub(crate) fn networks_in_use() -> io::Result<Vec<u8>> {
    let table = fs::read_to_string("/proc/net/route")?;
    Ok(parse_routes(&table)
        .filter(|route| !route.link.starts_with("sk-e2e-"))
        .filter_map(|route| route.number())
        .collect())
}

#[derive(Debug)]
struct Route {
    link: String,
    destination: Ipv4Addr,
}

impl Route {
    /// The node whose networks this route leads into.
    fn number(&self) -> Option<u8> {
        match self.destination.octets() {
            [10, 97 | 98, number, _] => Some(number),
            _ => None,
        }
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} dev {}", self.destination, self.link)
    }
}

/// Reads `/proc/net/route`, whose addresses are hexadecimal in the machine's byte order.
fn parse_routes(table: &str) -> impl Iterator<Item = Route> + '_ {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let link = fields.next()?.to_owned();
        let destination = u32::from_str_radix(fields.next()?, 16).ok()?;
        Some(Route { link, destination: Ipv4Addr::from(destination.to_ne_bytes()) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn routes_into_our_networks_are_recognised() {
        let table = "Iface\tDestination\tGateway\tFlags\n\
                     eth0\t00000000\t010200C0\t0003\n\
                     sk-e2e-7\t0007620A\t00000000\t0001\n\
                     tun0\t0009610A\t00000000\t0001\n";
        let routes: Vec<Route> = parse_routes(table).collect();
        assert_eq!(routes.iter().map(Route::number).collect::<Vec<_>>(), [None, Some(7), Some(9)]);
        assert_eq!(routes[1].to_string(), "10.98.7.0 dev sk-e2e-7");
    }

    #[test]
    fn the_link_name_fits_for_the_largest_number() {
        assert!(Network::of_node(u8::MAX).link().len() <= 15);
    }
}
