//! Where a request really goes.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, stream};
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::time::Instant;

pub(super) enum Upstream {
    /// An API server.
    Kubernetes(kube::Client),
    /// A server.
    Https {
        origin: String,
        /// File of its certificate authority, which is made after the proxy.
        ca: PathBuf,
        client: OnceCell<reqwest::Client>,
    },
}

impl Upstream {
    pub(super) fn https(origin: &str, ca: PathBuf) -> Self {
        Self::Https { origin: origin.to_owned(), ca, client: OnceCell::new() }
    }

    pub(super) async fn forward(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        for ours in [HOST, CONNECTION, TRANSFER_ENCODING] {
            head.headers.remove(ours);
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        match self {
            Self::Kubernetes(client) => {
                head.uri = path.parse::<Uri>().map_err(io::Error::other)?;
                let request = Request::from_parts(head, kube::client::Body::from(body.to_vec()));
                let answer = client.send(request).await.map_err(io::Error::other)?;
                Ok(answer.map(Body::new))
            }
            Self::Https { origin, ca, client } => {
                let client = client.get_or_try_init(async || reached(ca)).await?;
                let url = format!("{origin}{path}");
                let request = client.request(head.method, url).headers(head.headers).body(body);
                let answer = request.send().await.map_err(io::Error::other)?;
                let mut back = Response::builder().status(answer.status());
                if let Some(headers) = back.headers_mut() {
                    headers.extend(answer.headers().clone());
                    headers.remove(TRANSFER_ENCODING);
                    headers.remove(CONNECTION);
                }
                back.body(Body::from_stream(chunks(answer))).map_err(io::Error::other)
            }
        }
    }
}

fn reached(ca: &PathBuf) -> io::Result<reqwest::Client> {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(ca)?).map_err(io::Error::other)?;
    reqwest::Client::builder().tls_certs_only([ca]).build().map_err(io::Error::other)
}

fn chunks(answer: reqwest::Response) -> impl Stream<Item = Result<Bytes, reqwest::Error>> {
    stream::try_unfold(answer, async |mut answer| Ok(answer.chunk().await?.map(|chunk| (chunk, answer))))
}

/// A body that breaks off after this long.
pub(super) fn cut(body: Body, after: Duration) -> Body {
    let end = Instant::now() + after;
    let parts = stream::unfold(Some(body.into_data_stream()), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout_at(end, body.next()).await {
            Ok(Some(Ok(part))) => Some((Ok(part), Some(body))),
            Ok(Some(Err(error))) => Some((Err(Box::<dyn Error + Send + Sync>::from(error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err("cut by the proxy of a test".into()), None)),
        }
    });
    Body::from_stream(parts)
}

/// A body whose parts come so much later, each after it was sent: they do not wait for one another.
pub(super) fn lag(body: Body, by: Duration) -> Body {
    let (sender, sent) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut parts = body.into_data_stream();
        while let Some(part) = tokio::select! {
            part = parts.next() => part,
            () = sender.closed() => None,
        } {
            let _ = sender.send((Instant::now() + by, part));
        }
    });
    Body::from_stream(stream::unfold(sent, async |mut sent| {
        let (at, part) = sent.recv().await?;
        tokio::time::sleep_until(at).await;
        Some((part, sent))
    }))
}

/// A body that breaks off when something changes.
pub(super) fn until_changed<T: Send + Sync + 'static>(body: Body, changes: watch::Receiver<T>) -> Body {
    let parts = stream::unfold(Some((body.into_data_stream(), changes)), |state| async move {
        let (mut body, mut changes) = state?;
        tokio::select! {
            part = body.next() => match part? {
                Ok(part) => Some((Ok(part), Some((body, changes)))),
                Err(error) => Some((Err(Box::<dyn Error + Send + Sync>::from(error)), None)),
            },
            _ = changes.changed() => Some((Err("cut by the proxy of a test".into()), None)),
        }
    });
    Body::from_stream(parts)
}
