//! The client of the API server.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::client::Client;
use kube::runtime::watcher;
use kube::{Config, Error};

const CONNECT: Duration = Duration::from_secs(5);
/// What takes no bytes for so long is a peer that is no longer there.
const WRITE: Duration = Duration::from_secs(15);
/// What sends none while something is waited for is none either.
const READ: Duration = Duration::from_secs(90);
/// The API server ends a watch after so long, and before the above does: one on which nothing happens may bring nothing at all.
const WATCH: u32 = 60;

/// A client with which no request waits for ever, and which asks once: whoever asks has a next attempt of their own, while that
/// of the library would wait minutes within a request, and not hear that the API server is back.
pub fn client(mut config: Config) -> Result<Client, Error> {
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(WRITE);
    config.read_timeout = Some(READ);
    // Counted from the question, and not from when its connection was used last.
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Client::try_from(config)
}

/// How everything is watched.
pub fn watch() -> watcher::Config {
    watcher::Config::default().timeout(WATCH)
}

/// Of two versions of one object the later one has the higher number.
pub fn version(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    /// Asks a server whose every answer is this one, or which has none.
    async fn asked(answer: Option<StatusCode>) -> (Result<Namespace, Error>, usize, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let router = Router::new().fallback(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            match answer {
                Some(status) => status,
                None => std::future::pending().await,
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let namespaces: Api<Namespace> = Api::all(client(Config::new(url)).unwrap());
        let begun = Instant::now();
        let got = namespaces.get("shop").await;
        (got, count.load(Ordering::Relaxed), begun.elapsed())
    }

    #[test]
    fn a_version_is_a_number_or_none() {
        for (text, expected) in [("5", Some(5)), ("not a number", None)] {
            let meta = ObjectMeta { resource_version: Some(text.to_owned()), ..ObjectMeta::default() };
            assert_eq!(version(&meta), expected, "{text}");
        }
        assert_eq!(version(&ObjectMeta::default()), None);
    }

    #[tokio::test]
    async fn a_refusal_is_heard_at_once() {
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT] {
            let (got, asked, _) = asked(Some(status)).await;
            assert!(got.is_err() && asked == 1, "{status}: {asked}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_never_answers_is_given_up() {
        let (got, asked, after) = asked(None).await;
        assert!(got.is_err() && asked == 1 && after >= READ && after < READ + Duration::from_secs(5), "{after:?}");
    }
}
