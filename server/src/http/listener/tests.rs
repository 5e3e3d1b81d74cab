use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

struct Served {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn served(limits: Limits, router: Router) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let metrics = Arc::new(Metrics::default());
    let task = tokio::spawn(serve(listener, None, router, limits, Arc::clone(&metrics), stopped));
    Served { address, metrics, stop, task }
}

impl Served {
    async fn connect(&self, text: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text).await.unwrap();
        stream
    }

    async fn end(self) {
        self.stop.send_replace(true);
        timeout(Duration::from_secs(10), self.task).await.expect("it ends in time").unwrap();
    }
}

fn hasty() -> Limits {
    Limits { idle: Duration::from_millis(200), ..Limits::default() }
}

fn router() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

/// What comes back until the server closes.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is as good as an end.
    drop(timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("an end in time"));
    answer
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const HALF: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nx-half: ";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

#[tokio::test]
async fn whoever_says_nothing_or_says_it_slowly_is_cut_off() {
    let server = served(hasty(), router()).await;
    for text in [&b""[..], b"P", b"PRI * HT", b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ", PREFACE] {
        let answer = rest(server.connect(text).await).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{text:?}: {answer:?}");
    }
    assert_eq!(server.metrics.connections.get(), 0);
    server.end().await;
}

#[tokio::test]
async fn a_slow_trickle_of_header_bytes_buys_no_more_time() {
    let server = served(hasty(), router()).await;
    let stream = server.connect(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    let (mut reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while writing.write_all(b"x").await.is_ok() {
            pause.tick().await;
        }
    });
    let mut answer = Vec::new();
    drop(timeout(Duration::from_secs(10), reading.read_to_end(&mut answer)).await.expect("an end in time"));
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    trickle.abort();
    server.end().await;
}

#[tokio::test]
async fn a_connection_that_works_is_not_idle() {
    let (entered, mut waits) = mpsc::channel(1);
    let (release, released) = watch::channel(false);
    let slow = Router::new().route(
        "/",
        get(async move || {
            entered.send(()).await.unwrap();
            drop(released.clone().wait_for(|it| *it).await);
            "late"
        }),
    );
    let server = served(hasty(), slow).await;
    let stream = server.connect(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    waits.recv().await.unwrap();
    // Another is cut off meanwhile, so the limit has passed.
    rest(server.connect(b"").await).await;
    rest(server.connect(PREFACE).await).await;
    release.send_replace(true);
    let answer = String::from_utf8(rest(stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("late"), "{answer}");
    server.end().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = served(Limits { connections: 3, ..Limits::default() }, router()).await;
    let idle = [server.connect(b"").await, server.connect(b"G").await, server.connect(PREFACE).await];
    let mut late = server.connect(ASK).await;
    let mut byte = [0];
    while server.metrics.connections.get() < 3 {
        tokio::task::yield_now().await;
    }
    assert!(timeout(Duration::from_millis(100), late.read(&mut byte)).await.is_err());
    drop(idle);
    assert!(rest(late).await.ends_with(b"hello"));
    server.end().await;
}

#[tokio::test]
async fn a_server_that_ends_waits_for_no_connection_that_asks_nothing() {
    let server = served(Limits { shutdown: Duration::from_secs(4), ..Limits::default() }, router()).await;
    let idle = [server.connect(b"").await, server.connect(HALF).await, server.connect(PREFACE).await];
    while server.metrics.connections.get() < 3 {
        tokio::task::yield_now().await;
    }
    // All have given back their places before the server was out of patience.
    let metrics = Arc::clone(&server.metrics);
    server.end().await;
    assert_eq!(metrics.connections.get(), 0);
    drop(idle);
}

#[tokio::test]
async fn whoever_has_connected_before_the_end_is_answered() {
    let server = served(Limits::default(), router()).await;
    let mut late = server.connect(b"").await;
    while server.metrics.connections.get() < 1 {
        tokio::task::yield_now().await;
    }
    // Without a pause for the server, so that none of them is accepted before it ends.
    let connect = |_| std::net::TcpStream::connect(server.address).unwrap();
    let waiting: Vec<_> = (0..20).map(connect).collect();
    let ended = tokio::spawn(server.end());
    tokio::task::yield_now().await;
    late.write_all(ASK).await.unwrap();
    assert!(rest(late).await.ends_with(b"hello"));
    for stream in waiting {
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream).unwrap();
        stream.write_all(ASK).await.unwrap();
        assert!(rest(stream).await.ends_with(b"hello"));
    }
    ended.await.unwrap();
}

#[tokio::test]
async fn the_first_request_after_the_end_is_the_last() {
    let server = served(Limits::default(), router()).await;
    let mut stream = server.connect(b"").await;
    while server.metrics.connections.get() < 1 {
        tokio::task::yield_now().await;
    }
    let ended = tokio::spawn(server.end());
    tokio::task::yield_now().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // The server closes, although the client would go on.
    assert!(rest(stream).await.ends_with(b"hello"));
    ended.await.unwrap();
}
