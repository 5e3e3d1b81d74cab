//! Where a collector is.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// What every collector adds to its origin.
const PATH: &str = "/v1/traces";

/// The address of a collector that takes OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it is reached by TLS.
    pub(crate) is_encrypted: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Of the requests.
    pub(crate) path: String,
}

/// It is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address of a collector: write http://HOST:4318 or https://HOST[:PORT], to which /v1/traces is added"
)]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || EndpointError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().filter(|it| !it.as_str().contains('@')).ok_or_else(wrong)?;
        if uri.query().is_some() || text.contains('#') || authority.host().is_empty() {
            return Err(wrong());
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if is_encrypted {
                    443
                } else {
                    80
                }
            }
            _ => authority.port_u16().filter(|port| *port != 0).ok_or_else(wrong)?,
        };
        let base = uri.path().trim_end_matches('/');
        Ok(Self { is_encrypted, host: authority.host().to_owned(), port, path: format!("{base}{PATH}") })
    }
}

impl Endpoint {
    /// The host as names are looked up: without the brackets of an IPv6 address.
    pub(crate) fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_encrypted, host, port, path } = self;
        let scheme = if *is_encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{host}:{port}{}", path.trim_end_matches(PATH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_origin_with_or_without_a_path() {
        for (text, printed, path) in [
            ("http://collector:4318", "http://collector:4318", "/v1/traces"),
            ("http://collector.monitoring.svc/", "http://collector.monitoring.svc:80", "/v1/traces"),
            ("https://otel.example.com/in/", "https://otel.example.com:443/in", "/in/v1/traces"),
            ("http://[::1]:4318", "http://[::1]:4318", "/v1/traces"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.to_string().as_str(), endpoint.path.as_str()), (printed, path));
            assert_eq!(printed.parse(), Ok(endpoint), "what is printed is read");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for text in [
            "",
            "collector:4318",
            "grpc://c:4317",
            "http://u:p@c",
            "http://c:0",
            "http://c:x",
            "http://c/?q",
            "http://c/#f",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains("write http://HOST:4318"), "{text}: {error}");
        }
    }
}
