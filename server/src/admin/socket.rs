//! The socket between the command line and the running server: one request and one answer a connection, each a JSON
//! text that ends where its sender ends.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::{Answer, Request};

/// The longest request: the keys of a cluster, or a value.
const MAX_REQUEST: u64 = 1024 * 1024;

/// The answer, or why there is none.
#[derive(Serialize, Deserialize)]
enum Reply {
    Done(Answer),
    Refused(String),
}

/// Asks the server that runs, if one does: none means that nobody listens.
pub(crate) async fn ask(socket: &Path, request: &Request) -> anyhow::Result<Option<Result<Answer, String>>> {
    let mut stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!("cannot connect to {}: run the command as the user that the server runs as", socket.display())
            });
        }
    };
    let text = Zeroizing::new(serde_json::to_vec(request)?);
    let talk = async {
        stream.write_all(&text).await?;
        stream.shutdown().await?;
        let mut answer = Zeroizing::new(Vec::new());
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = talk.await.context("the server ended the connection")?;
    let reply: Reply = serde_json::from_slice(&answer).context("the server answered something else than JSON")?;
    Ok(Some(match reply {
        Reply::Done(answer) => Ok(answer),
        Reply::Refused(message) => Err(message),
    }))
}

/// The request of a client. The error is a text for it.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Request, String> {
    let mut text = Zeroizing::new(Vec::new());
    let read = stream.take(MAX_REQUEST + 1).read_to_end(&mut text).await;
    read.map_err(|error| format!("the request could not be read: {error}"))?;
    if u64::try_from(text.len()).is_ok_and(|it| it > MAX_REQUEST) {
        // Read to its end all the same: a client that is cut off while it writes never sees why.
        drop(tokio::io::copy(&mut stream.take(16 * MAX_REQUEST), &mut tokio::io::sink()).await);
        return Err("the request is larger than 1 MiB".to_owned());
    }
    // serde's own text would repeat what it did not understand.
    serde_json::from_slice(&text)
        .map_err(|_| "the request is not one this server knows: use its own command line".to_owned())
}

/// Answers a client.
pub(crate) async fn reply(stream: &mut UnixStream, answer: Result<Answer, String>) -> anyhow::Result<()> {
    let reply = answer.map_or_else(Reply::Refused, Reply::Done);
    let text = Zeroizing::new(serde_json::to_vec(&reply)?);
    stream.write_all(&text).await?;
    stream.shutdown().await?;
    Ok(())
}
