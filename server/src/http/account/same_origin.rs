//! Telling the server's own pages from everybody else's, so that no other page does anything in a person's name.
//!
//! A browser says of each request from which page it comes, and no page can make it say otherwise: `Origin`, and in every
//! browser of the last years `Sec-Fetch-Site`. The cookie is `SameSite=Strict` besides. Neither looks into bodies, so there
//! is no token to leak.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HeaderName, ORIGIN};

use crate::app::App;
use crate::refusal::{Refusal, RefusalKind};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request that changes something comes from the server's own pages.
pub fn own_page(app: &App, headers: &HeaderMap) -> Result<(), Refusal> {
    check(&origin_of(&app.public_url), once(headers, &ORIGIN), once(headers, &SITE))
}

/// Whether it comes from there, with a JSON body, which a form of another page cannot send.
pub fn json(app: &App, headers: &HeaderMap) -> Result<(), Refusal> {
    own_page(app, headers)?;
    let Given::Once(given) = once(headers, &CONTENT_TYPE) else { return Err(not_json()) };
    let media_type = given.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(not_json()) }
}

/// Whether a request that looks is one that a person made here: not one that another page makes with their cookie.
pub fn looked_at_here(headers: &HeaderMap) -> Result<(), Refusal> {
    match once(headers, &SITE) {
        Given::Never | Given::Once("same-origin" | "none") => Ok(()),
        _ => Err(refused("Sec-Fetch-Site is another than same-origin: open the page of this server itself")),
    }
}

/// How often a header is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given<'h> {
    Never,
    Once(&'h str),
    Otherwise,
}

fn once<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Given<'h> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Given::Never,
        (Some(value), None) => value.to_str().map_or(Given::Otherwise, Given::Once),
        _ => Given::Otherwise,
    }
}

/// As a browser writes it: in small letters, without the port that goes without saying.
fn origin_of(public_url: &str) -> String {
    let url = public_url.to_lowercase();
    let short = match url.split_once("://") {
        Some(("https", _)) => url.strip_suffix(":443"),
        Some(("http", _)) => url.strip_suffix(":80"),
        _ => None,
    };
    short.map(str::to_owned).unwrap_or(url)
}

fn check(own: &str, origin: Given<'_>, site: Given<'_>) -> Result<(), Refusal> {
    match (origin, site) {
        (_, Given::Once("same-origin") | Given::Never) if origin == Given::Once(own) => Ok(()),
        (Given::Never, Given::Once("same-origin")) => Ok(()),
        (Given::Never, Given::Never) => {
            let text = format!("the request does not say where it comes from: send Origin: {own}");
            Err(refused(&text))
        }
        (Given::Never, _) => {
            Err(refused("Sec-Fetch-Site is another than same-origin: open the page of this server itself"))
        }
        (it, _) if it == Given::Once(own) => {
            Err(refused("Sec-Fetch-Site is another than same-origin: open the page of this server itself"))
        }
        _ => Err(refused(&format!("Origin is another than {own}: open the page of this server itself"))),
    }
}

fn not_json() -> Refusal {
    refused("Content-Type is another than application/json: send it, and JSON as the body")
}

fn refused(text: &str) -> Refusal {
    Refusal::new(RefusalKind::Forbidden, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_origin_is_written_as_browsers_write_it() {
        for (public_url, origin) in [
            ("https://SikkerKey.example.com", "https://sikkerkey.example.com"),
            ("https://sikkerkey.example.com:443", "https://sikkerkey.example.com"),
            ("https://sikkerkey.example.com:8443", "https://sikkerkey.example.com:8443"),
            ("https://sikkerkey.example.com:80", "https://sikkerkey.example.com:80"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:8080", "http://localhost:8080"),
        ] {
            assert_eq!(origin_of(public_url), origin);
        }
    }

    #[test]
    fn only_the_servers_own_pages_change_anything() {
        const URL: &str = "https://sikkerkey.example.com";
        use Given::{Never, Once, Otherwise};
        for (origin, site, allowed) in [
            (Once(URL), Once("same-origin"), true),
            (Once(URL), Never, true),
            (Never, Once("same-origin"), true),
            (Never, Never, false),
            (Never, Once("none"), false),
            (Never, Once("same-site"), false),
            (Never, Once("cross-site"), false),
            (Never, Otherwise, false),
            (Once(URL), Once("same-site"), false),
            (Once(URL), Once("cross-site"), false),
            (Once(URL), Otherwise, false),
            (Once("null"), Once("same-origin"), false),
            (Once("https://evil.example.com"), Once("same-origin"), false),
            (Once("https://sikkerkey.example.com.evil.test"), Never, false),
            (Once("http://sikkerkey.example.com"), Never, false),
            (Once("https://sikkerkey.example.com:8443"), Never, false),
            (Otherwise, Once("same-origin"), false),
        ] {
            assert_eq!(check(URL, origin, site).is_ok(), allowed, "{origin:?} {site:?}");
        }
    }
}
