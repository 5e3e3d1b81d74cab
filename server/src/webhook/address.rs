//! To which addresses deliveries go.
//!
//! Whoever may make a webhook could otherwise have the server speak to its own host, to its network, or to the service
//! that tells a virtual machine its credentials. So a name is resolved here, every address that it has is looked at, and
//! the connection is made to an address that was looked at ([`Checked`]), never to the name: a name that means another
//! address a moment later (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// Addresses that belong to nobody on the internet, and what they are.
const CLOSED: [(&str, &str); 29] = [
    ("0.0.0.0/8", "an address of this host"),
    ("10.0.0.0/8", "a private address"),
    ("100.64.0.0/10", "an address of a provider's own network"),
    ("127.0.0.0/8", "a loopback address"),
    ("168.63.129.16/32", "the address of a cloud's metadata"),
    ("169.254.0.0/16", "a link-local address"),
    ("172.16.0.0/12", "a private address"),
    ("192.0.0.0/24", "a reserved address"),
    ("192.0.2.0/24", "an address for documentation"),
    ("192.88.99.0/24", "a reserved address"),
    ("192.168.0.0/16", "a private address"),
    ("198.18.0.0/15", "an address for benchmarks"),
    ("198.51.100.0/24", "an address for documentation"),
    ("203.0.113.0/24", "an address for documentation"),
    ("224.0.0.0/4", "a multicast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::/128", "an address of this host"),
    ("::1/128", "a loopback address"),
    ("64:ff9b::/96", "a translated address"),
    ("64:ff9b:1::/48", "a translated address"),
    ("100::/64", "a reserved address"),
    ("2001::/23", "a reserved address"),
    ("2001:db8::/32", "an address for documentation"),
    ("2002::/16", "a translated address"),
    ("3fff::/20", "an address for documentation"),
    ("fc00::/7", "a private address"),
    ("fe80::/10", "a link-local address"),
    ("fec0::/10", "a private address"),
    ("ff00::/8", "a multicast address"),
];

/// Which addresses deliveries go to.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Ranges that a person has opened.
    allowed: Vec<IpNet>,
}

/// Addresses that were looked at. There is no other way to make one than [`Guard::check`].
#[derive(Debug)]
pub struct Checked(Vec<SocketAddr>);

impl Checked {
    /// The addresses, at least one.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }
}

/// An address that deliveries do not go to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} is {what}: deliveries go to public addresses only; for a receiver that is meant to be there, start the \
     server with --webhook-allow and its range"
)]
pub struct Closed {
    /// Which.
    pub address: IpAddr,
    /// What it is.
    pub what: &'static str,
}

impl Guard {
    /// Public addresses, and those of these ranges.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Looks at all addresses of a name. One that is closed closes the others, too: a name that means both is a trap.
    pub fn check(&self, addresses: impl IntoIterator<Item = SocketAddr>) -> Result<Checked, Closed> {
        let mut checked = Vec::new();
        for address in addresses {
            self.look(address.ip())?;
            checked.push(address);
        }
        Ok(Checked(checked))
    }

    /// Looks at one address.
    pub fn look(&self, address: IpAddr) -> Result<(), Closed> {
        // ::ffff:10.0.0.1 is 10.0.0.1.
        let address = address.to_canonical();
        if self.allowed.iter().any(|it| it.contains(&address)) {
            return Ok(());
        }
        let of = |range: &str| range.parse::<IpNet>().is_ok_and(|it| it.contains(&address));
        if let Some((_, what)) = CLOSED.iter().find(|(range, _)| of(range)) {
            return Err(Closed { address, what });
        }
        match address {
            // Of IPv6 a part alone is given out to anybody.
            IpAddr::V6(it) if it.segments().first().is_none_or(|it| it >> 13 != 1) => {
                Err(Closed { address, what: "a reserved address" })
            }
            IpAddr::V4(Ipv4Addr::BROADCAST) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                Err(Closed { address, what: "a reserved address" })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(address: &str) -> Result<(), &'static str> {
        Guard::default().look(address.parse().unwrap()).map_err(|it| it.what)
    }

    #[test]
    fn deliveries_go_to_public_addresses_alone() {
        for (address, expected) in [
            ("93.184.215.14", Ok(())),
            ("1.1.1.1", Ok(())),
            ("100.63.255.255", Ok(())),
            ("100.128.0.0", Ok(())),
            ("172.15.255.255", Ok(())),
            ("172.32.0.0", Ok(())),
            ("223.255.255.255", Ok(())),
            ("2606:4700:4700::1111", Ok(())),
            ("2a00:1450:4001:81b::200e", Ok(())),
            ("2001:200::1", Ok(())),
            ("0.0.0.0", Err("an address of this host")),
            ("0.1.2.3", Err("an address of this host")),
            ("10.0.0.1", Err("a private address")),
            ("100.64.0.1", Err("an address of a provider's own network")),
            ("100.100.100.200", Err("an address of a provider's own network")),
            ("127.0.0.1", Err("a loopback address")),
            ("127.255.255.254", Err("a loopback address")),
            ("168.63.129.16", Err("the address of a cloud's metadata")),
            ("169.254.169.254", Err("a link-local address")),
            ("172.16.0.1", Err("a private address")),
            ("172.31.255.255", Err("a private address")),
            ("192.0.0.192", Err("a reserved address")),
            ("192.0.2.1", Err("an address for documentation")),
            ("192.168.1.1", Err("a private address")),
            ("198.19.255.255", Err("an address for benchmarks")),
            ("224.0.0.1", Err("a multicast address")),
            ("239.255.255.255", Err("a multicast address")),
            ("240.0.0.1", Err("a reserved address")),
            ("255.255.255.255", Err("a reserved address")),
            ("::", Err("an address of this host")),
            ("::1", Err("a loopback address")),
            ("::127.0.0.1", Err("a reserved address")),
            ("::ffff:127.0.0.1", Err("a loopback address")),
            ("::ffff:10.0.0.1", Err("a private address")),
            ("::ffff:169.254.169.254", Err("a link-local address")),
            ("::ffff:93.184.215.14", Ok(())),
            ("::ffff:0:7f00:1", Err("a reserved address")),
            ("64:ff9b::7f00:1", Err("a translated address")),
            ("64:ff9b::a9fe:a9fe", Err("a translated address")),
            ("64:ff9b:1::1", Err("a translated address")),
            ("100::1", Err("a reserved address")),
            ("2001::1", Err("a reserved address")),
            ("2001:db8::1", Err("an address for documentation")),
            ("2002:7f00:1::", Err("a translated address")),
            ("3fff::1", Err("an address for documentation")),
            ("4000::1", Err("a reserved address")),
            ("5f00::1", Err("a reserved address")),
            ("fc00::1", Err("a private address")),
            ("fd00:ec2::254", Err("a private address")),
            ("fe80::1", Err("a link-local address")),
            ("fec0::1", Err("a private address")),
            ("ff02::1", Err("a multicast address")),
        ] {
            assert_eq!(look(address), expected, "{address}");
        }
        assert!(CLOSED.iter().all(|(range, _)| range.parse::<IpNet>().is_ok()));
    }

    #[test]
    fn a_person_opens_a_range_and_no_more() {
        let guard = Guard::new(vec!["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()]);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "::1", "1.1.1.1"] {
            assert_eq!(guard.look(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["10.2.0.1", "127.0.0.1", "169.254.169.254"] {
            assert!(guard.look(address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[test]
    fn a_name_that_means_a_public_and_a_closed_address_is_closed() {
        let public: SocketAddr = "93.184.215.14:443".parse().unwrap();
        let private: SocketAddr = "10.0.0.1:443".parse().unwrap();
        assert_eq!(Guard::default().check([public]).unwrap().addresses(), [public]);
        let closed = Guard::default().check([public, private]).unwrap_err();
        assert_eq!(closed.address, private.ip());
        assert!(closed.to_string().contains("10.0.0.1 is a private address"), "{closed}");
    }

    proptest! {
        #[test]
        fn what_is_closed_as_ipv4_is_closed_inside_ipv6(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            let mapped = v4.to_ipv6_mapped();
            prop_assert_eq!(Guard::default().look(v4.into()).is_ok(), Guard::default().look(mapped.into()).is_ok());
            // The other ways to write an IPv4 address into one of IPv6 are closed as a whole.
            let [_, _, _, _, _, _, a, b] = mapped.segments();
            for other in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 0),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, a, b),
            ] {
                prop_assert!(Guard::default().look(other.into()).is_err(), "{}", other);
            }
        }

        #[test]
        fn what_the_standard_library_calls_its_own_is_closed(bits in any::<u128>(), short in any::<u32>()) {
            let v4 = Ipv4Addr::from(short);
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified() {
                prop_assert!(Guard::default().look(v4.into()).is_err());
            }
            let v6 = Ipv6Addr::from(bits);
            if v6.is_loopback() || v6.is_multicast() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified() {
                prop_assert!(Guard::default().look(v6.into()).is_err());
            }
        }
    }
}
