//! One HTTP exchange: TLS with our own roots only, bounded in time and size, failures sorted into classes.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sikkerkey_protocol::error_body::{ErrorBody, ErrorCode};

use super::error::{Class, ServerError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(15);
/// The inventory of ten thousand objects is some ten megabytes.
const MAX_ANSWER: usize = 256 << 20;
/// A refusal's text goes into conditions.
const MAX_REFUSAL_TEXT: usize = 400;

/// The trust bundle cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the trust bundle for the server is not usable: {0}")]
pub struct BundleError(String);

/// A client that trusts the certificates of `bundle` (PEM) and no others.
pub(super) fn client(bundle: &str) -> Result<reqwest::Client, BundleError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        let certificate = certificate.map_err(|error| BundleError(error.to_string()))?;
        roots.add(certificate).map_err(|error| BundleError(error.to_string()))?;
    }
    trusting(roots)
}

/// A client that trusts these certificates and no others.
pub(super) fn trusting(roots: rustls::RootCertStore) -> Result<reqwest::Client, BundleError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BundleError(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("sikkerkey-operator/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| BundleError(error.to_string()))
}

/// Sends `request`; the body of a 200.
pub(super) async fn exchange(request: reqwest::RequestBuilder) -> Result<Vec<u8>, ServerError> {
    let mut response = request.send().await.map_err(|error| unreachable_by(&error))?;
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = Vec::with_capacity(announced.unwrap_or_default().min(MAX_ANSWER));
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_by(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ServerError::Unreachable { class: Class::Unavailable });
        }
        body.extend_from_slice(&chunk);
    }
    match response.status().as_u16() {
        200 => Ok(body),
        status => Err(refusal(status, &body)),
    }
}

/// What an answer other than a success means.
fn refusal(status: u16, body: &[u8]) -> ServerError {
    let body: Option<ErrorBody> = serde_json::from_slice(body).ok();
    let text = body.as_ref().map_or_else(|| format!("HTTP {status}"), |body| printable(&body.error));
    let code = body.and_then(|body| body.code);
    match status {
        503 if code == Some(ErrorCode::Sealed) => ServerError::Sealed,
        429 | 500.. => ServerError::Unreachable { class: Class::Unavailable },
        _ => ServerError::Refused { status, code, text },
    }
}

/// One line of bounded length, without a full stop at its end: it is put into a sentence.
fn printable(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REFUSAL_TEXT).collect();
    line.trim().trim_end_matches('.').to_owned()
}

fn unreachable_by(error: &reqwest::Error) -> ServerError {
    ServerError::Unreachable { class: classify(error) }
}

/// Walks the chain of causes: the outermost error of an HTTP library says little.
fn classify(error: &reqwest::Error) -> Class {
    if error.is_timeout() {
        return Class::TimedOut;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if current.is::<rustls::Error>() {
            return Class::CertificateNotTrusted;
        }
        // The resolver's error has no public type.
        if current.to_string().starts_with("dns error") {
            return Class::NameNotResolved;
        }
        let io = current.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return Class::TimedOut;
        }
        // An I/O error that wraps another names that one's source as its own, and not that one itself.
        cause = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    Class::ConnectionRefused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_success_is_sorted_by_what_helps() {
        let away = ServerError::Unreachable { class: Class::Unavailable };
        let refused = |status, code, text: &str| ServerError::Refused { status, code, text: text.to_owned() };
        for (status, body, expected) in [
            (503, r#"{"error":"no root key","code":"Sealed"}"#, ServerError::Sealed),
            (503, r#"{"error":"the sealed value cannot be opened"}"#, away.clone()),
            (503, r#"{"error":"shutting down"}"#, away.clone()),
            (500, "", away.clone()),
            (429, r#"{"error":"slow down"}"#, away.clone()),
            (502, "<html>", away),
            (403, r#"{"error":"no.\n"}"#, refused(403, None, "no")),
            (404, "", refused(404, None, "HTTP 404")),
            (
                409,
                r#"{"error":"earlier namespace","code":"AdoptionRequired"}"#,
                refused(409, Some(ErrorCode::AdoptionRequired), "earlier namespace"),
            ),
            (409, r#"{"error":"x","code":"Newer"}"#, refused(409, Some(ErrorCode::Other), "x")),
        ] {
            assert_eq!(refusal(status, body.as_bytes()), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_is_one_line_of_bounded_length() {
        let text = format!("a\r\nb\u{7}{}", "x".repeat(2_000));
        let ServerError::Refused { text, .. } =
            refusal(400, &serde_json::to_vec(&ErrorBody { error: text, code: None }).unwrap())
        else {
            panic!("not a refusal")
        };
        assert_eq!(text.chars().count(), MAX_REFUSAL_TEXT);
        assert!(!text.contains(char::is_control), "{text}");
    }
}
