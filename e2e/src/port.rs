//! Ports for the servers of tests.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Below what Linux gives to connections by itself (`net.ipv4.ip_local_port_range`), so that none of them takes the port before its
/// server listens, or while the server is stopped. Above what Kubernetes' own parts listen on, and below the ports of nodes.
const CHOICE: Range<u16> = 11_000..30_000;

/// What this process was given: two that ask at once get two.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// This address with a port on which nobody listens, never the same one twice.
///
/// # Errors
///
/// The address is not this machine's, or there are no random bytes.
pub fn free(address: IpAddr) -> io::Result<SocketAddr> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let mut random = [0; 2];
        getrandom::fill(&mut random)?;
        let port = CHOICE.start + u16::from_ne_bytes(random) % (CHOICE.end - CHOICE.start);
        match TcpListener::bind((address, port)) {
            Ok(_) if given.insert(port) => return Ok(SocketAddr::new(address, port)),
            Ok(_) => {}
            Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_port_is_given_once_and_no_connection_takes_it() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let ports: Vec<_> = (0..100).map(|_| free(address).unwrap().port()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        assert!(ports.iter().all(|port| *port < first), "{first} {ports:?}");
        let held = TcpListener::bind((address, ports[0])).unwrap();
        assert_eq!(held.local_addr().unwrap().port(), ports[0]);
    }

    #[test]
    fn an_address_of_another_machine_has_none() {
        assert!(free([192, 0, 2, 1].into()).is_err());
    }
}
