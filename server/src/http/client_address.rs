//! Whose address counts when a proxy stands in between.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::usecase::source::Source;

/// Proxies whose word about the client is taken.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts these ranges.
    pub fn new(ranges: Vec<IpNet>) -> Self {
        Self(ranges)
    }

    /// Finds the client. `forwarded_for` are the values of all `X-Forwarded-For` headers in their order.
    ///
    /// Every proxy appends the address it saw, so the list is read from the right: the first address that is not a
    /// trusted proxy's own is the client. What stands left of it was written by the client itself. An entry that is no
    /// address ends the search: the proxy before it is all that is known.
    pub fn client<'a>(&self, peer: IpAddr, forwarded_for: impl DoubleEndedIterator<Item = &'a str>) -> Source {
        let mut address = peer.to_canonical();
        let hops = forwarded_for.rev().flat_map(|header| header.rsplit(','));
        for hop in hops {
            if !self.0.iter().any(|range| range.contains(&address)) {
                break;
            }
            let Ok(next) = hop.trim().parse::<IpAddr>() else { break };
            address = next.to_canonical();
        }
        Source { address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_rightmost_hop_that_is_not_a_trusted_proxy() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let cases: [(&str, &[&str], &str); 8] = [
            ("192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9, nonsense"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
        ];
        for (peer, headers, client) in cases {
            let found = proxies.client(peer.parse().unwrap(), headers.iter().copied());
            assert_eq!(found.address.to_string(), client, "{peer} {headers:?}");
        }
        let nobody = TrustedProxies::default().client("10.0.0.1".parse().unwrap(), ["1.1.1.1"].into_iter());
        assert_eq!(nobody.address.to_string(), "10.0.0.1");
    }
}
