//! Address ranges.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Whether `address` is in one of `ranges`. An IPv4 address in IPv6 clothes (`::ffff:a.b.c.d`) is that IPv4 address, on
/// either side. The error names the range that is none.
pub fn is_in_any(address: IpAddr, ranges: &[String]) -> Result<bool, String> {
    let address = address.to_canonical();
    let mut found = false;
    for range in ranges {
        // Every range is read, whether or not an earlier one matched: a list that is wrong allows nobody.
        found |= parse(range)?.contains(&address);
    }
    Ok(found)
}

/// A range in its canonical form.
pub fn parse(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text.parse().map_err(|_| format!("{text} is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"))?;
    if net.addr() != net.network() {
        return Err(format!("{text} is not a CIDR in its shortest form: write {}", net.trunc()));
    }
    if let IpNet::V6(v6) = net
        && let Some(length) = v6.prefix_len().checked_sub(96)
        && let Some(v4) = mapped(v6.network())
        && let Ok(v4) = Ipv4Net::new(v4, length)
    {
        return Ok(IpNet::V4(v4));
    }
    Ok(net)
}

fn mapped(address: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    address.to_ipv4_mapped()
}
