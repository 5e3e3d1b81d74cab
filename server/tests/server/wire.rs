//! Requests and answers as bytes on a connection, and seeded dice to cut them with.

use std::time::Duration;

use sikkerkey_server::audit::verify::Verifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::*;
use crate::process::Process;

/// How long anything may take that has to happen.
pub const BOUND: Duration = Duration::from_mins(1);

/// The same numbers in every run ("`SplitMix64`").
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

/// A request as it stands on the wire.
pub fn bytes(request: &Signed) -> Vec<u8> {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (method, target, length) = (request.method, &request.target, request.body.len());
    let head = format!("{method} {target} HTTP/1.1\r\nhost: x\r\n{}content-length: {length}\r\n\r\n", headers.concat());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

/// Sends some bytes, reads up to some bytes, and goes away. What came back is returned.
pub async fn cut(address: &str, sent: &[u8], read: usize, reset: bool) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(mut stream) = TcpStream::connect(address).await else { return answer };
    if stream.write_all(sent).await.is_ok() {
        while answer.len() < read && !is_whole(&answer) {
            let mut piece = vec![0; read - answer.len()];
            match timeout(BOUND, stream.read(&mut piece)).await.expect("an answer or an end in time") {
                Ok(0) | Err(_) => break,
                Ok(n) => answer.extend_from_slice(&piece[..n]),
            }
        }
    }
    if reset {
        // The other end hears of it by a reset.
        stream.set_zero_linger().unwrap();
    }
    answer
}

/// Whether this is a whole answer.
pub fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|it| answer.len() >= end + 4 + it.trim().parse::<usize>().unwrap())
}

/// The status of a whole answer.
pub fn status(answer: &[u8]) -> Option<u16> {
    is_whole(answer).then(|| std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap())
}

/// A request that nobody signed.
pub fn plain(target: &str) -> Signed {
    let address = "127.0.0.1".to_owned();
    Signed { method: "GET", target: target.into(), headers: vec![], body: vec![], address }
}

/// What the server counts, by name and labels.
pub async fn metric(process: &Process, name: &str) -> u64 {
    let (_, text) = process.connect().await.send(plain("/metrics")).await.unwrap();
    value_of(std::str::from_utf8(&text).unwrap(), name)
}

/// One count of what is measured; zero when there is none.
pub fn value_of(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |it| it.parse().unwrap())
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Sends a signal to a process that this test has started.
pub fn signal(process: &Process, signal: &str) {
    let pid = process.child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

/// Ends the server as an administrator would.
pub async fn end(mut process: Process) {
    signal(&process, "-TERM");
    let ended = process.ended().await;
    assert!(ended.success(), "{ended}");
}

/// The whole audit verifies.
pub async fn verify_audit(server: &Server) {
    let mut verifier = Verifier::new(server.engine.app.keyring.audit());
    loop {
        let rows = server.engine.app.records.after(verifier.head().seq, 10_000).await.unwrap();
        for row in &rows {
            verifier.next(row).unwrap();
        }
        if rows.is_empty() {
            return;
        }
    }
}
