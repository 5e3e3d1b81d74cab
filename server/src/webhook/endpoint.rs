//! Where deliveries go, as people write it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// The longest, in bytes.
const LONGEST: usize = 2048;

/// An `https` URL with a host. Its path may hold a token, so only scheme, host and port are ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    text: String,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Endpoint {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name or address of the host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, if that is what the host is given by.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as they stand in a request.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LONGEST {
            return Err("url is at most 2048 characters long");
        }
        if text.contains('#') {
            return Err("url has no part after #: it would not be sent");
        }
        let uri: Uri = text.parse().map_err(|_| "url is an URL with a host, such as https://host/path")?;
        if uri.scheme_str() != Some("https") {
            return Err("url begins with https://: what is told is nobody else's business");
        }
        let authority = uri.authority().ok_or("url needs a host")?;
        if authority.as_str().contains('@') {
            return Err("url takes no user and password: put a token into its path");
        }
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        if host.is_empty() {
            return Err("url needs a host");
        }
        // What some programs read as an address (0x7f.1, 2130706433) is no name of anybody.
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let is_number = last.starts_with(|it: char| it.is_ascii_digit()) || last.is_empty();
        if is_number && host.parse::<IpAddr>().is_err() {
            return Err("url has a host that is neither a name nor an address");
        }
        if authority.port().is_some_and(|it| it.as_u16() == 0)
            || (authority.port().is_none() && authority.as_str().ends_with(':'))
        {
            return Err("url has a port that is none");
        }
        Ok(Self {
            port: authority.port_u16().unwrap_or(443),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or("/", |it| it.as_str()).to_owned(),
            text: text.to_owned(),
            host,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_endpoint_is_an_https_url_with_a_host_and_its_path_is_not_shown() {
        for (text, expected) in [
            ("https://hooks.example.com/services/token", Ok(("hooks.example.com", 443, "/services/token"))),
            ("https://Hooks.Example.com:8443/x?y=z", Ok(("hooks.example.com", 8443, "/x?y=z"))),
            ("https://93.184.215.14", Ok(("93.184.215.14", 443, "/"))),
            ("https://[2606:4700::1]:8443/x", Ok(("2606:4700::1", 8443, "/x"))),
            ("https://localhost/x", Ok(("localhost", 443, "/x"))),
            ("http://hooks.example.com/x", Err("begins with https://")),
            ("ftp://hooks.example.com/x", Err("begins with https://")),
            ("hooks.example.com/x", Err("an URL with a host")),
            ("/x", Err("begins with https://")),
            ("", Err("an URL with a host")),
            ("https://", Err("an URL with a host")),
            ("https://user:password@hooks.example.com/x", Err("no user and password")),
            ("https://public.example.com@127.0.0.1/x", Err("no user and password")),
            ("https://hooks.example.com/x#y", Err("no part after #")),
            ("https://2130706433/x", Err("neither a name nor an address")),
            ("https://0x7f.1/x", Err("neither a name nor an address")),
            ("https://127.1/x", Err("neither a name nor an address")),
            ("https://example.com:0/x", Err("a port that is none")),
            ("https://hooks.example.com/ x", Err("an URL with a host")),
        ] {
            match (text.parse::<Endpoint>(), expected) {
                (Ok(it), Ok(expected)) => {
                    assert_eq!((it.host(), it.port(), it.path()), expected, "{text}");
                    assert!(!format!("{it:?}").contains("token"));
                    assert_eq!(it.as_str(), text);
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
        let long = format!("https://a.example/{}", "x".repeat(2048));
        assert_eq!(long.parse::<Endpoint>(), Err("url is at most 2048 characters long"));
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_an_endpoint_or_refused(text in ".{0,80}") {
            let text = format!("https://{text}");
            if let Ok(it) = text.parse::<Endpoint>() {
                prop_assert!(!it.host().is_empty() && it.path().starts_with(['/', '?']));
            }
        }
    }
}
