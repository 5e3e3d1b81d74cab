//! The cookie of a session.
//!
//! `__Host-`: a browser takes it over TLS alone, and from this very host alone, so that no page of a neighbouring name can
//! put one there. A server that is reached by plain HTTP, which is on loopback, has to do without.

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use sikkerkey_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

use crate::app::App;

/// Its name.
pub const NAME: &str = "__Host-sikkerkey-session";
const PLAIN_NAME: &str = "sikkerkey-session";
/// A token: 256 bits in hex.
const TOKEN_LEN: usize = 64;

/// The name of the cookie at this server.
pub(in crate::http) fn name(app: &App) -> &'static str {
    if is_plain(app) { PLAIN_NAME } else { NAME }
}

/// The token that a request brings along. With two of them somebody else has put one there: then there is none.
pub(in crate::http) fn token(app: &App, headers: &HeaderMap) -> Option<SecretText> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(';'));
    let mut ours = cookies.filter_map(|it| it.trim().split_once('=')).filter(|(it, _)| *it == name(app));
    let (_, token) = ours.next()?;
    let is_token = token.len() == TOKEN_LEN && token.bytes().all(|it| it.is_ascii_hexdigit());
    (is_token && ours.next().is_none()).then(|| SecretText::new(token.to_owned()))
}

/// Gives a browser the token.
pub(in crate::http) fn set(app: &App, token: &SecretText, response: &mut Response) {
    let text = Zeroizing::new(format!("{}={}{}", name(app), token.expose(), attributes(app)));
    put(&text, response);
}

/// Takes a browser its token.
pub(in crate::http) fn clear(app: &App, response: &mut Response) {
    put(&format!("{}=; Max-Age=0{}", name(app), attributes(app)), response);
}

/// It ends with the browser, or with the session.
fn attributes(app: &App) -> &'static str {
    if is_plain(app) { "; Path=/; HttpOnly; SameSite=Strict" } else { "; Path=/; Secure; HttpOnly; SameSite=Strict" }
}

fn put(text: &str, response: &mut Response) {
    // Hex digits and constants: always a header.
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
}

fn is_plain(app: &App) -> bool {
    !app.public_url.starts_with("https://")
}
