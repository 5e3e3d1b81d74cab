//! Pages of somebody else, at another address than the server's.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A server of HTML. It ends with this.
pub(crate) struct Stranger {
    /// By another name than the server under test, so that it is another site as well.
    pub(crate) origin: String,
    _serving: JoinSet<()>,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) html: String,
    /// Its Content-Security-Policy, if it has one.
    pub(crate) policy: Option<&'static str>,
}

impl Page {
    pub(crate) fn new(html: impl Into<String>) -> Self {
        Self { html: html.into(), policy: None }
    }
}

impl Stranger {
    /// Serves these pages by their paths.
    pub(crate) async fn serve<const N: usize>(pages: [(&str, Page); N]) -> Self {
        let pages: BTreeMap<String, Page> = pages.into_iter().map(|(path, page)| (path.to_owned(), page)).collect();
        let pages = Arc::new(pages);
        let answer = async move |uri: Uri| match pages.get(uri.path()) {
            None => StatusCode::NOT_FOUND.into_response(),
            Some(page) => {
                let html = ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.html.clone());
                match page.policy {
                    Some(policy) => ([(CONTENT_SECURITY_POLICY, policy)], html).into_response(),
                    None => html.into_response(),
                }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, _serving: serving }
    }

    /// The same pages by the name that the server under test has, which differ from its own by the port alone.
    pub(crate) fn neighbour(&self) -> String {
        self.origin.replace("127.0.0.1", "localhost")
    }
}
