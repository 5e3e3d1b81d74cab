//! The server's address, parsed once.

use std::fmt;
use std::str::FromStr;

/// An origin to talk to: `https`, or plain `http` on the loopback interface. Its text has no trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    origin: String,
}

/// A text that is not such an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// Not a URL at all, or one without a host.
    #[error("{0:?} is not a URL: write an origin such as https://sikkerkey-server.sikkerkey-system.svc:8443")]
    Malformed(String),
    /// More than an origin.
    #[error("{0:?} is more than an origin: leave out path, query and user name")]
    NotAnOrigin(String),
    /// Plain HTTP to somewhere else.
    #[error("{0:?} is not https: plain http is accepted on the loopback interface only")]
    Plain(String),
}

impl ServerUrl {
    /// The origin, without a trailing slash. It is also the audience of the token that the operator logs in with.
    pub fn as_str(&self) -> &str {
        &self.origin
    }

    /// The address of a route.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Whether the connection is TLS.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = reqwest::Url::parse(text).map_err(|_| ServerUrlError::Malformed(text.to_owned()))?;
        let host = url.host_str().ok_or_else(|| ServerUrlError::Malformed(text.to_owned()))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(ServerUrlError::NotAnOrigin(text.to_owned()));
        }
        let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let loopback = host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err(ServerUrlError::Plain(text.to_owned())),
        }
        Ok(Self { origin: text.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_on_the_loopback_are_origins() {
        for (text, origin) in [
            ("https://server.example:8443", "https://server.example:8443"),
            ("https://server.example/", "https://server.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:1", "http://localhost:1"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!(url.as_str(), origin);
            assert_eq!(url.join("/v1/x"), format!("{origin}/v1/x"));
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (text, expected) in [
            ("http://server.example", ServerUrlError::Plain as fn(String) -> _),
            ("http://10.0.0.1:80", ServerUrlError::Plain),
            ("http://localhost.example", ServerUrlError::Plain),
            ("ftp://server.example", ServerUrlError::Plain),
            ("https://server.example/v1", ServerUrlError::NotAnOrigin),
            ("https://user@server.example", ServerUrlError::NotAnOrigin),
            ("https://server.example/?a=b", ServerUrlError::NotAnOrigin),
            ("server.example", ServerUrlError::Malformed),
            ("", ServerUrlError::Malformed),
        ] {
            assert_eq!(text.parse::<ServerUrl>(), Err(expected(text.to_owned())), "{text}");
        }
    }
}
