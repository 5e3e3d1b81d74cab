//! Where a call goes.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderValue, Uri};

/// A URL that no call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not `scheme://host[:port]`.
    #[error("not an origin: write https://HOST or https://HOST:PORT, without a path")]
    NotAnOrigin,
    /// Plain HTTP to another machine.
    #[error("not https: plain http is for loopback addresses only")]
    NotEncrypted,
}

/// A scheme, a host and a port: `https`, or plain `http` on this very machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    authority: HeaderValue,
    host: String,
    port: u16,
    is_encrypted: bool,
}

impl Origin {
    /// Parses `https://HOST[:PORT]`, with or without a trailing slash. A path, a query or a user is refused.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_| OriginError::NotAnOrigin)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(OriginError::NotAnOrigin);
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        if host.is_empty() || !is_bare || text.contains('#') {
            return Err(OriginError::NotAnOrigin);
        }
        let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (is_encrypted, default_port) = match scheme {
            "https" => (true, 443),
            "http" if is_loopback => (false, 80),
            "http" => return Err(OriginError::NotEncrypted),
            _ => return Err(OriginError::NotAnOrigin),
        };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => default_port,
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(OriginError::NotAnOrigin)?,
            None => return Err(OriginError::NotAnOrigin),
        };
        Ok(Self {
            text: format!("{scheme}://{authority}"),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| OriginError::NotAnOrigin)?,
            host,
            port,
            is_encrypted,
        })
    }

    /// A port of this machine, without TLS.
    pub(crate) fn loopback(port: u16) -> Result<Self, OriginError> {
        Self::parse(&format!("http://127.0.0.1:{port}"))
    }

    pub(super) fn authority(&self) -> HeaderValue {
        self.authority.clone()
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is spoken to over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, host, port, encrypted) in [
            ("https://sikkerkey-operator.sikkerkey-system.svc", "sikkerkey-operator.sikkerkey-system.svc", 443, true),
            ("https://10.96.0.7:8443/", "10.96.0.7", 8443, true),
            ("https://[fd00::1]:8443", "fd00::1", 8443, true),
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, false),
            ("http://[::1]", "::1", 80, false),
            ("http://localhost:1", "localhost", 1, false),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!((origin.host(), origin.port(), origin.is_encrypted()), (host, port, encrypted), "{text}");
            assert_eq!(origin.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "server",
            "https://",
            "https:///v1",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://u:p@a",
            "ftp://a",
            "https://a:99999",
        ] {
            assert_eq!(Origin::parse(text), Err(OriginError::NotAnOrigin), "{text}");
        }
        for text in ["http://server", "http://10.0.0.1:80", "http://127.0.0.1.example.com"] {
            assert_eq!(Origin::parse(text), Err(OriginError::NotEncrypted), "{text}");
        }
    }
}
