//! The socket of the person who runs the server: a file that only the server's own user may open.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::sealed::Door;
use crate::admin::execute::{Desk, execute, while_sealed};
use crate::admin::{SOCKET, socket};

/// How long a client may take to say what it wants.
const ASK_TIME: Duration = Duration::from_secs(10);
/// How many are served at a time.
const CLIENTS: usize = 8;

/// The socket in a data directory.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// Makes the socket. The caller holds the lock on the directory, so a socket that is there was left by a server that has
/// ended.
pub fn listen(data_dir: &Path) -> anyhow::Result<Socket> {
    let path = data_dir.join(SOCKET);
    let listener = bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    Ok(Socket { listener, path })
}

/// Serves the socket until `shutdown` resolves.
pub async fn serve(socket: Socket, door: Arc<Door>, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Socket { listener, path } = socket;
    let places = Arc::new(Semaphore::new(CLIENTS));
    let mut clients = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (door, places) = (Arc::clone(&door), Arc::clone(&places));
                    clients.spawn(async move {
                        let _place = places.acquire_owned().await;
                        if let Err(error) = talk(&door, stream).await {
                            tracing::debug!(%error, "a client of the administration socket went away");
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "the administration socket does not accept"),
            },
            Some(ended) = clients.join_next(), if !clients.is_empty() => ended.context("an administration request panicked")?,
        }
    }
    // What has begun is finished: the writer still runs.
    while let Some(ended) = clients.join_next().await {
        ended.context("an administration request panicked")?;
    }
    drop(listener);
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    // Under another name until nobody else may open it: between bind and chmod it would be anybody's.
    let unready = path.with_extension("sock.new");
    for left in [&unready, &path.to_owned()] {
        match std::fs::remove_file(left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = UnixListener::bind(&unready)?;
    std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&unready, path)?;
    Ok(listener)
}

async fn talk(door: &Door, mut stream: UnixStream) -> anyhow::Result<()> {
    let request = match timeout(ASK_TIME, socket::receive(&mut stream)).await {
        Ok(request) => request,
        Err(_) => Err("the request took too long to arrive".to_owned()),
    };
    let answer = match request {
        Ok(request) => match door.app() {
            Ok(app) => execute(Desk { app, serves: true }, request).await,
            Err(missing) => while_sealed(&request, missing),
        },
        Err(text) => Err(text),
    };
    socket::reply(&mut stream, answer).await
}

#[cfg(test)]
mod tests;
