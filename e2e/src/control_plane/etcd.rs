//! What is in etcd: all that Kubernetes stores. A test searches it for values that must not be there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::net::UnixStream;

use crate::run_directory::RunDirectory;

/// The socket on which etcd listens.
pub(crate) fn socket(run: &RunDirectory) -> PathBuf {
    run.join("etcd.sock")
}

/// Where etcd keeps its files.
pub(crate) fn data_directory(run: &RunDirectory) -> PathBuf {
    run.join("etcd")
}

/// Why etcd could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read etcd: {0}")]
pub struct DumpError(String);

/// All keys with their values.
#[derive(Debug)]
pub struct EtcdDump {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl EtcdDump {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The keys, as text.
    pub fn keys(&self) -> impl Iterator<Item = String> + '_ {
        self.entries.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned())
    }

    /// The keys whose name or value holds these bytes.
    pub fn keys_with(&self, needle: &[u8]) -> Vec<String> {
        self.entries
            .iter()
            .filter(|(key, value)| contains(key, needle) || contains(value, needle))
            .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
            .collect()
    }
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
}

/// Reads everything, by the JSON form of etcd's own interface.
pub(crate) async fn dump(run: &RunDirectory) -> Result<EtcdDump, DumpError> {
    const PAGE: usize = 500;
    let mut entries = Vec::new();
    let mut from = vec![0];
    loop {
        // The range end "\0" means: to the last key.
        let request = json!({"key": STANDARD.encode(&from), "range_end": "AA==", "limit": PAGE, "sort_order": "ASCEND", "sort_target": "KEY"});
        let answer = post(&socket(run), "/v3/kv/range", request.to_string()).await?;
        let range: Range = serde_json::from_slice(&answer).map_err(|error| DumpError(error.to_string()))?;
        let full = range.kvs.len() == PAGE;
        for entry in range.kvs {
            let decode = |text: &str| STANDARD.decode(text).map_err(|error| DumpError(error.to_string()));
            entries.push((decode(&entry.key)?, decode(&entry.value)?));
        }
        match entries.last() {
            Some((key, _)) if full => from = [key.as_slice(), &[0]].concat(),
            _ => return Ok(EtcdDump { entries }),
        }
    }
}

/// The files of etcd that hold these bytes. They have what was overwritten or deleted too, which a dump has not.
pub(crate) fn files_with(run: &RunDirectory, needle: &[u8]) -> io::Result<Vec<PathBuf>> {
    search_files(&data_directory(run), needle)
}

/// The files below a directory that hold these bytes.
pub(crate) fn search_files(directory: &Path, needle: &[u8]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    // What is below it comes and goes; the directory itself is there.
    fs::metadata(directory)?;
    search(directory, needle, &mut found)?;
    Ok(found)
}

fn search(directory: &Path, needle: &[u8], found: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        // As a file may be.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, needle, found)?;
        } else if path.is_file() && contains(&read_if_there(&path)?, needle) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whoever writes the files may remove one while others are looked at.
fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Etcd's files are 64 MB each, mostly zeros: the first byte is looked for before the rest is compared.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return false };
    let mut from = haystack;
    while let Some(at) = from.iter().position(|byte| byte == first) {
        from = from.get(at + 1..).unwrap_or_default();
        if from.starts_with(rest) {
            return true;
        }
    }
    false
}

async fn post(socket: &Path, path: &str, body: String) -> Result<Bytes, DumpError> {
    let failed = |error: &dyn std::fmt::Display| DumpError(error.to_string());
    let stream = UnixStream::connect(socket).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let request = http::Request::post(path)
        .header(http::header::HOST, "etcd")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| failed(&error))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(DumpError(format!("status {status}"))) }
    };
    let drive = async {
        // What goes wrong with the connection shows in the exchange.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = exchange => answer,
        () = drive => Err(DumpError("the connection ended".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_wherever_they_are() {
        for (haystack, needle, found) in [
            (&b"xxabc"[..], &b"abc"[..], true),
            (b"aabc", b"abc", true),
            (b"abab", b"abc", false),
            (b"ab", b"abc", false),
            (b"abc", b"c", true),
            (b"abc", b"", false),
        ] {
            assert_eq!(contains(haystack, needle), found, "{haystack:?} {needle:?}");
        }
    }
}
