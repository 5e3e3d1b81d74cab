//! The names a certificate is for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A DNS name, in lower case.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// Not a name a certificate can be for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is neither an IP address nor a DNS name: write for example 10.0.0.7 or sikkerkey.example.com")]
pub struct NameError(String);

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Ip(address));
        }
        let label = |label: &str| {
            let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
        };
        let host = text.strip_prefix("*.").unwrap_or(text);
        if text.len() <= 253 && host.split('.').all(label) {
            return Ok(Self::Dns(text.to_ascii_lowercase()));
        }
        Err(NameError(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// The name in a URL such as `https://sikkerkey.example.com:8443`.
pub fn of_url(url: &str) -> Result<Name, NameError> {
    let uri: http::Uri = url.parse().map_err(|_| NameError(url.to_owned()))?;
    uri.host().ok_or_else(|| NameError(url.to_owned()))?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_from_text_and_from_a_url() {
        for (url, name) in [
            ("https://SikkerKey.example.com:8443", Name::Dns("sikkerkey.example.com".into())),
            ("https://10.0.0.7", Name::Ip("10.0.0.7".parse().unwrap())),
            ("https://[fd00::7]:8443/x", Name::Ip("fd00::7".parse().unwrap())),
        ] {
            assert_eq!(of_url(url), Ok(name));
        }
        for bad in ["", "a b", "-a.example", "a..b", "https://x"] {
            assert_eq!(bad.parse::<Name>(), Err(NameError(bad.to_owned())), "{bad}");
        }
        assert_eq!(of_url("/path"), Err(NameError("/path".into())));
    }
}
