//! Numbers that one run on this machine holds at a time.
//!
//! Addresses, link names and cgroups of a cluster follow from its number, so two runs must never hold the same one. A claim is a
//! listening socket in the abstract namespace: the kernel frees it when its holder dies, however that happens, and no file stays.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// What a number is claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An API server with etcd, on free ports of the machine itself.
    ControlPlane,
    /// A whole node in namespaces of its own.
    Node,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::ControlPlane => "plane",
            Self::Node => "node",
        })
    }
}

/// A run as people name it: `node1`, `plane2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunName {
    /// What kind of run.
    pub kind: Kind,
    /// Its number.
    pub number: u8,
}

impl fmt::Display for RunName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.kind, self.number)
    }
}

impl std::str::FromStr for RunName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Kind::Node, Kind::ControlPlane]
            .into_iter()
            .find_map(|kind| Some(Self { kind, number: text.strip_prefix(&kind.to_string())?.parse().ok()? }))
            .filter(|name| NUMBERS.contains(&name.number))
            .ok_or_else(|| format!("a run is named like node1 or plane1, and {text:?} is not"))
    }
}

/// The numbers there are: they become the third octet of an address.
pub(crate) const NUMBERS: std::ops::RangeInclusive<u8> = 1..=250;

/// Proof that no other run uses this number. Whoever holds it may remove whatever carries the number.
#[derive(Debug)]
pub struct Claim {
    kind: Kind,
    number: u8,
    _socket: UnixListener,
}

impl Claim {
    /// Takes a number, unless another process holds it.
    pub fn take(kind: Kind, number: u8) -> io::Result<Option<Self>> {
        match UnixListener::bind_addr(&address(kind, number)?) {
            Ok(socket) => Ok(Some(Self { kind, number, _socket: socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the lowest free number that `usable` accepts.
    pub(crate) fn first_free(kind: Kind, usable: impl Fn(u8) -> bool) -> io::Result<Self> {
        for number in NUMBERS.filter(|number| usable(*number)) {
            if let Some(claim) = Self::take(kind, number)? {
                return Ok(claim);
            }
        }
        Err(io::Error::other("all 250 numbers are held by other runs, or their networks by this machine"))
    }

    /// What the number is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The number.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The directory of the run that holds this claim.
    pub(crate) fn directory(&self) -> PathBuf {
        directory(self.kind, self.number)
    }
}

/// The process that holds a number.
pub(crate) fn holder(kind: Kind, number: u8) -> io::Result<Option<Pid>> {
    match UnixStream::connect_addr(&address(kind, number)?) {
        Ok(stream) => Ok(Some(rustix::net::sockopt::socket_peercred(&stream)?.pid)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directory of a run, the same for each run with that number: what a crashed one left is found and removed by the next.
pub(crate) fn directory(kind: Kind, number: u8) -> PathBuf {
    let base = std::env::temp_dir();
    let base = base.canonicalize().unwrap_or(base);
    match rustix::process::getuid().as_raw() {
        0 => base.join(format!("sikkerkey-e2e-{kind}{number}")),
        user => base.join(format!("sikkerkey-e2e-{user}-{kind}{number}")),
    }
}

fn address(kind: Kind, number: u8) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("sikkerkey-e2e/{}/{kind}/{number}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_name_is_its_kind_and_number() {
        for name in ["node1", "plane250"] {
            assert_eq!(name.parse::<RunName>().unwrap().to_string(), name);
        }
        for wrong in ["", "node", "node0", "node251", "node-1", "1", "nodes1"] {
            assert!(wrong.parse::<RunName>().unwrap_err().contains("named like node1"), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_held_by_one_claim_at_a_time_and_its_holder_is_known() {
        let claim = Claim::first_free(Kind::ControlPlane, |number| number > 200).unwrap();
        assert!(Claim::take(Kind::ControlPlane, claim.number()).unwrap().is_none());
        assert_eq!(holder(Kind::ControlPlane, claim.number()).unwrap(), Some(rustix::process::getpid()));
        let number = claim.number();
        drop(claim);
        assert_eq!(holder(Kind::ControlPlane, number).unwrap(), None);
        assert!(Claim::take(Kind::ControlPlane, number).unwrap().is_some());
    }
}
